"""What a page of the app shows, as the Python that gives the same: to copy into a notebook, and to run."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reaugkd.analysis.memory_questions import DUPLICATES, LEAKS

from .rendering import fill_file

if TYPE_CHECKING:  # torch takes seconds to import, and no code is run here
    from reaugkd.analysis.edits import Patch
    from reaugkd.texts import Text

IMPORTS = {
    "reaugkd.method.answers": ("changed_answers",),
    "reaugkd.analysis.comparison": ("compare", "comparison_in_words"),
    "reaugkd.analysis.error_analysis": ("RowFilter", "confusion", "sliceable_table", "slices", "summary"),
    "reaugkd.analysis.memory_audit": ("memories",),
    "reaugkd.analysis.edit_effects": ("halves",),
    "reaugkd.analysis.edits": ("Edit", "apply_patch"),
    "reaugkd.analysis.refit": ("refit_pool",),
    "reaugkd.analysis.what_if": ("WhatIf", "explain_what_if"),
}
"""What the code may call, by the module that has it."""


def query_code(folder: str, text: "Text", changes: Mapping[str, Any], **settings: Any) -> str:
    """Write the code of one answer; ``changes`` of the memory are ``struck`` and ``relabelled``, where it has any."""
    return _code("query", folder=folder, text=text, changes=changes, settings=settings)


def errors_code(folder: str, split: str, chosen: Mapping[str, Any], **settings: Any) -> str:
    """Write the code of the figures over a split, and of the rows that are listed."""
    return _code("errors", folder=folder, split=split, settings=settings, chosen=chosen)


def memory_code(
    folder: str,
    show: str,
    chosen: Mapping[str, Any],
    patch: "Patch" = (),
    refit: bool = False,
    version: str = "",
    carries_rows: bool = True,
) -> str:
    """Write the code of the memories that are listed, and of the pending edits with what they fix and break."""
    answered = "" if not carries_rows or show == DUPLICATES else "encoded" if show == LEAKS else "judging"
    edits = {"patch": patch, "refit": refit, "version": version}
    return _code("memory", folder=folder, show=show, answered=answered, chosen=chosen, **edits)


def compare_code(sides: Sequence[tuple[str, float | None]], split: str, chosen: Mapping[str, Any], text: "Text") -> str:
    """Write the code of two sides, over the same rows and on one text."""
    return _code("compare", first=sides[0], second=sides[1], split=split, text=text, chosen=chosen)


def _code(page: str, **values: Any) -> str:
    """Fill the code of a page, below imports of what it calls in the order that linters want."""
    body = fill_file(f"code/{page}.jinja", **values)
    called = {module: [name for name in names if re.search(rf"\b{name}\(", body)] for module, names in IMPORTS.items()}
    imports = [f"from {module} import {', '.join(names)}" for module, names in called.items() if names]
    return "\n".join(["from reaugkd import ReAugKDClassifier", *imports, "", body])
