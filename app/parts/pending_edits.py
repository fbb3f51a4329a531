"""The pending edits of a visitor, which several pages make and list; the browser keeps them until they are saved."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

import reaugkd as rk
from reaugkd.errors import ReAugKDError
from reaugkd.texts import row_in_one_line

from ..computed import cached, edited_model
from ..menu import ModelMenu
from ..rendering import render

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.edits import Edit, Patch

PendingEdits = dict[str, list[dict[str, str]]]  # by model, as the browser keeps them


def pending_patch(edits: PendingEdits, name: str, model: "rk.ReAugKDClassifier") -> "tuple[Patch, int]":
    """Read the pending edits of a model that a browser kept; its memory may have changed since."""
    from reaugkd.analysis.edits import Edit, fitting

    found = tuple(Edit(**edit) for edit in edits.get(name, []))
    fits = fitting(model, found)
    return fits, len(found) - len(fits)


def model_and_patch(menu: ModelMenu, name: str, edits: PendingEdits) -> "tuple[rk.ReAugKDClassifier, Patch]":
    """Return a model and its pending edits."""
    model = menu.get(name)
    return model, pending_patch(edits, name, model)[0]


def with_pending(edits: PendingEdits, name: str, patch: "Patch") -> PendingEdits:
    """Return the edits that a browser keeps, with those of a model replaced."""
    return {**edits, name: [edit.as_dict() for edit in patch]}


@cached(2)
def with_edits(model: "rk.ReAugKDClassifier", patch: "Patch", refit: bool = False) -> "rk.ReAugKDClassifier":
    """Return a model with pending edits in its memory, and its pool fitted again if asked, once: it takes seconds."""
    from reaugkd.analysis.refit import refit_pool

    return refit_pool(edited_model(model, patch)) if refit else edited_model(model, patch)


def rows_edited(model: "rk.ReAugKDClassifier", kind: str, rows: list[int], label: str | None = None) -> "list[Edit]":
    """Relabel or remove memories."""
    from reaugkd.analysis.edits import Edit

    if not rows:
        raise ReAugKDError("No memory is chosen; click a row of the list, or tick several.")
    return [Edit(kind, name, label) for name in model.memory.rows["id"].iloc[rows]]


def rows_added(model: "rk.ReAugKDClassifier", patch: "Patch", rows: pd.DataFrame) -> "Sequence[Edit]":
    """Add texts."""
    from reaugkd.analysis.edits import additions

    return additions(model, rows, patch)


def file_added(model: "rk.ReAugKDClassifier", patch: "Patch", path: str) -> "Sequence[Edit]":
    """Add the texts of a table."""
    from reaugkd.tasks.sources import named_texts

    columns = ["text", "label"] + ["text_pair"] * model.settings.is_pair
    return rows_added(model, patch, named_texts(path, {column: column for column in columns}))


def edited_rows(model: "rk.ReAugKDClassifier", patch: "Patch") -> dict[int, str]:
    """Return in a word what edits make of rows of the memory, by their numbers."""
    numbers = {row: number for number, row in enumerate(model.memory.rows["id"])}
    return {numbers[edit.id]: edit.label or "removed" for edit in patch if edit.id in numbers}


def pending_html(patch: "Patch", classes: Sequence[str] = (), saved: Mapping[str, Any] | None = None) -> str:
    """List the edits, each with a button that drops it; those that are saved say in which version."""
    saved = saved or {"version": "", "edits": []}
    edits = [(edit, edit.text and row_in_one_line(vars(edit)), edit.as_dict() in saved["edits"]) for edit in patch]
    return render("pending", edits=edits, classes=classes, version=saved["version"])
