"""What is computed of a model once, however many pages ask for it."""

from collections.abc import Callable
from threading import Condition
from typing import TYPE_CHECKING, TypeVar

import cachetools
import pandas as pd

import reaugkd as rk
from reaugkd.analysis.memory_questions import LEAKS, REASONS

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.edits import Patch
    from reaugkd.method.answers import Answers, EncodedTexts

SPLITS = ["test", "validation"]
R = TypeVar("R")


def cached(count: int) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Return a decorator that holds a function's last results; a caller waits only for the result that it asks for."""
    return cachetools.cached(cachetools.LRUCache(count), condition=Condition())


@cached(1)
def import_model() -> None:
    """Import what every answer needs, once, while other threads wait: two cannot import transformers at a time."""
    from reaugkd.model import folder  # noqa: F401


@cached(1)
def import_analysis() -> None:
    """Import what Query does not need, once, while other threads wait.

    scikit-learn's parts import one another: two threads that begin at different ends, such as the maps and a page that
    a link opens, would wait for one another.
    """
    import_model()
    from reaugkd.analysis import comparison, error_analysis, memory_audit  # noqa: F401

    from . import exercises  # noqa: F401
    from .parts import map_points  # noqa: F401


@cached(4)
def encoded_rows(model: "rk.ReAugKDClassifier", split: str) -> "EncodedTexts":
    """Run the student over a split of the model's evaluation rows, once; the last four stay."""
    return model.encode_rows(model.held_out([split]))


def answered_rows(model: "rk.ReAugKDClassifier", split: str) -> "Answers":
    """Answer a split of the model's evaluation rows as was chosen in training."""
    return model.answer(encoded_rows(model, split))


@cached(4)
def encoded_halves(model: "rk.ReAugKDClassifier") -> "tuple[EncodedTexts, EncodedTexts]":
    """Cut a model's test rows into the half that edits are judged on and the half that tells, once."""
    from reaugkd.analysis.edit_effects import halves

    return halves(encoded_rows(model, "test"))


def judged_rows(model: "rk.ReAugKDClassifier") -> "Answers":
    """Answer the half of the test rows that edits are judged on."""
    return model.answer(encoded_halves(model)[0])


@cached(2)
def evidence_of(model: "rk.ReAugKDClassifier") -> pd.DataFrame:
    """Gather all evidence about each memory, once: most lists are cut from it."""
    from reaugkd.analysis.memory_audit import memory_table

    return memory_table(judged_rows(model))


@cached(8)
def memories_of(model: "rk.ReAugKDClassifier", show: str) -> pd.DataFrame:
    """List a model's memories by a question about them, once; the last eight lists stay."""
    from reaugkd.analysis.memory_audit import memories, shown_memories

    if model.evaluation_rows is None:
        return memories(model, None, show)
    if show in REASONS:
        return shown_memories(evidence_of(model), show)
    return memories(model, answered_rows(model, "test") if show == LEAKS else judged_rows(model), show)


@cached(4)
def edited_model(model: "rk.ReAugKDClassifier", patch: "Patch") -> "rk.ReAugKDClassifier":
    """Apply pending edits to a model's memory, once; the last four stay, and the model itself stays as it is."""
    from reaugkd.analysis.edits import apply_patch

    return apply_patch(model, patch) if patch else model
