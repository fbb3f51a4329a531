"""What a page of the app shows, as the Python that gives the same: to copy into a notebook, and to run."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reaugkd.analysis.memory_questions import DUPLICATES

from .rendering import fill_file

if TYPE_CHECKING:  # torch takes seconds to import, and no code is run here
    from reaugkd.analysis.edits import Patch
    from reaugkd.texts import Text

IMPORTS = {
    "reaugkd.method.answers": ("changed_answers",),
    "reaugkd.analysis.comparison": ("compare", "comparison_in_words"),
    "reaugkd.analysis.error_analysis": ("RowFilter", "confusion", "summary"),
    "reaugkd.analysis.memory_audit": ("memories",),
    "reaugkd.analysis.edits": ("Edit", "apply_patch"),
    "reaugkd.analysis.refit": ("refit_pool",),
    "reaugkd.analysis.what_if": ("WhatIf", "explain_what_if"),
}
"""What the code may call, by the module that has it."""


def query_code(
    folder: str,
    text: "Text",
    k: int | None,
    retrieval_weight: float | None,
    temperature: float | None,
    struck: tuple[int, ...] = (),
    relabelled: Mapping[int, str] | None = None,
) -> str:
    """Write the code of one answer.

    Parameters
    ----------
    folder : str
        The model's folder.
    text : Text
        The text or pair.
    k, retrieval_weight, temperature : int, float and float, or None
        As :meth:`reaugkd.method.pool.Pool.overridden` takes them; None is as chosen in training, and is left out.
    struck : tuple of int
        Memories that are struck out, by row number.
    relabelled : mapping of int to str, optional
        Memories that vote for another class, by row number.

    Returns
    -------
    str
        Python; ``explanation`` is then the answer.
    """
    settings = {"k": k, "retrieval_weight": retrieval_weight, "temperature": temperature}
    changes = {"struck": struck, "relabelled": dict(relabelled or {})}
    return _code("query", folder=folder, text=text, settings=settings, changes=changes)


def errors_code(
    folder: str,
    split: str,
    k: int | None,
    retrieval_weight: float | None,
    temperature: float | None,
    chosen: Mapping[str, Any],
) -> str:
    """Write the code of the figures over a split, and of the rows that are listed.

    Parameters
    ----------
    folder : str
        The model's folder.
    split : str
        ``test`` or ``validation``.
    k, retrieval_weight, temperature : int, float and float, or None
        As :meth:`reaugkd.method.pool.Pool.overridden` takes them; None is as chosen in training, and is left out.
    chosen : mapping of str to Any
        The arguments of a :class:`reaugkd.analysis.error_analysis.RowFilter`; those that let all rows pass are left
        out. Where it names rows, the figures too are of these.

    Returns
    -------
    str
        Python; ``figures``, ``counts`` and ``rows`` are then the summary, the confusion matrix and the listed rows.
    """
    settings = {"k": k, "retrieval_weight": retrieval_weight, "temperature": temperature}
    return _code("errors", folder=folder, split=split, settings=settings, **_rows(chosen))


def memory_code(
    folder: str,
    show: str,
    chosen: Mapping[str, Any],
    patch: "Patch" = (),
    refit: bool = False,
    version: str = "",
    carries_rows: bool = True,
) -> str:
    """Write the code of the memories that are listed, and of the pending edits with what they fix and break.

    Parameters
    ----------
    folder : str
        The model's folder.
    show : str
        One of :data:`reaugkd.analysis.memory_audit.SHOWS`.
    chosen : mapping of str to Any
        The arguments of a :class:`reaugkd.analysis.error_analysis.RowFilter`.
    patch : Patch
        The pending edits.
    refit : bool
        Fit the pool again to the edited memory.
    version : str
        Folder of the edited model.
    carries_rows : bool
        Whether the model carries test rows; without, only some of the memories can be listed.

    Returns
    -------
    str
        Python; ``rows`` is then the list and, where edits are pending, ``changed`` the answers that they change.
    """
    answered = carries_rows and show != DUPLICATES
    edits = {"patch": patch, "refit": refit, "version": version}
    return _code("memory", folder=folder, show=show, answered=answered, **_rows(chosen), **edits)


def compare_code(
    first: tuple[str, float | None],
    second: tuple[str, float | None],
    split: str,
    chosen: Mapping[str, Any],
    text: "Text",
) -> str:
    """Write the code of two sides, over the same rows and on one text.

    Parameters
    ----------
    first, second : tuple of str and float or None
        The model's folder, and its λ; None is what was chosen in training.
    split : str
        ``test`` or ``validation``.
    chosen : mapping of str to Any
        The arguments of a :class:`reaugkd.analysis.error_analysis.RowFilter`. Where it names rows, the comparison too
        is of these.
    text : Text
        The text or pair that both answer.

    Returns
    -------
    str
        Python; ``comparison`` and ``rows`` are then the comparison and the listed rows, ``explanations`` both answers
        to the text.
    """
    return _code("compare", first=first, second=second, split=split, text=text, **_rows(chosen))


def _rows(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a row filter, whole, and without the rows that the figures are of already."""
    chosen = {**chosen, "equal": chosen.get("equal", {}), "rows": chosen.get("rows")}
    return {"chosen": chosen, "row_filter": {**chosen, "rows": None}}


def _code(page: str, **values: Any) -> str:
    """Fill the code of a page, below imports of what it calls in the order that linters want."""
    body = fill_file(f"code/{page}.jinja", **values)
    called = {module: [name for name in names if re.search(rf"\b{name}\(", body)] for module, names in IMPORTS.items()}
    imports = [f"from {module} import {', '.join(names)}" for module, names in called.items() if names]
    return "\n".join(["from reaugkd import ReAugKDClassifier", *imports, "", body])
