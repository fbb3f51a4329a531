"""What a page of the app shows, as the Python that gives the same: to copy into a notebook, and to run."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reaugkd.analysis.memory_questions import DUPLICATES

if TYPE_CHECKING:  # torch takes seconds to import, and no code is run here
    from reaugkd.analysis.edits import Patch
    from reaugkd.texts import Text

ENCODED = "encoded = model.encode_rows(model.held_out([{!r}]))  # the student runs here, and not again"
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
    settings = _settings(k, retrieval_weight, temperature)
    answer = [f"explanation = model.explain({', '.join([repr(text), *settings])})"]
    strikes = [f"struck={struck!r}"] if struck else []
    strikes += [f"relabelled={dict(relabelled)!r}"] if relabelled else []
    if strikes:
        answer = [
            f"encoded = model.encode([{text!r}])  # the student runs here, and not again",
            f"explanation = explain_what_if(model, encoded, {_pool(settings)}, WhatIf({', '.join(strikes)}))",
        ]
    return _code(
        _loaded("model", folder),
        *answer,
        "print(explanation.label, explanation.probabilities.max(), explanation.parts)",
        "for neighbour in explanation.neighbours:",
        "    print(neighbour.similarity, neighbour.share, neighbour.label, neighbour.text)",
    )


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
    instead_of = "model.answer(encoded)" if "flip" in chosen.get("equal", {}) else ""
    return _code(
        _loaded("model", folder),
        ENCODED.format(split),
        *_part(chosen),
        f"answers = model.answer(encoded, {_pool(_settings(k, retrieval_weight, temperature))})",
        "figures = summary(answers, model.parts.settings.metric)",
        f"table = answers.table({instead_of})",
        "counts = confusion(table, model.memory.classes)",
        f"rows = {_filter(chosen, rows=None)}.of(table)",
        r"print(figures, counts, rows, sep='\n\n')",
    )


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
    by_number = ".set_index('number')" if chosen.get("rows") else ""
    listed = f"memories(model, {'model.answer(encoded)' if answered else None}, {show!r}){by_number}"
    listing = [ENCODED.format("test")] if answered or patch else []
    listing += [f"rows = {_filter(chosen)}.of({listed})", "print(rows)"]
    if not patch:
        return _code(_loaded("model", folder), *listing)
    return _code(
        _loaded("model", folder),
        *listing,
        "",
        "patch = (",
        *(f"    {edit!r}," for edit in patch),
        ")",
        "edited = refit_pool(apply_patch(model, patch))" if refit else "edited = apply_patch(model, patch)",
        "changed = changed_answers(model.answer(encoded), edited.answer(encoded))",
        "print(changed['effect'].value_counts(), changed)",
        f"# edited.save_pretrained({version!r})",
    )


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
    (first_folder, first_weight), (second_folder, second_weight) = first, second
    sides = f"(first, {first_weight!r}), (second, {second_weight!r})"
    return _code(
        _loaded("first", first_folder),
        "second = first" if first_folder == second_folder else _loaded("second", second_folder),
        f"sides = ({sides})  # who answers, and its λ; None: as in training",
        "answers = []",
        "for model, weight in sides:",
        f"    {ENCODED.format(split)}",
        *(f"    {line}" for line in _part(chosen)),
        "    answers.append(model.answer(encoded, model.pool.overridden(retrieval_weight=weight)))",
        "metric = first.parts.settings.metric",
        "comparison = compare(*answers, metric)",
        r"print(*comparison_in_words(comparison, metric), sep='\n')",
        f"rows = {_filter(chosen, rows=None)}.of(comparison.table)",
        "print(rows)",
        "",
        f"text = {text!r}",
        "explanations = [model.explain(text, retrieval_weight=weight) for model, weight in sides]",
        "print([explanation.label for explanation in explanations])",
    )


def _code(*lines: str) -> str:
    """Put lines together, below imports of what they call in the order that linters want."""
    body = "\n".join(lines)
    called = {module: [name for name in names if re.search(rf"\b{name}\(", body)] for module, names in IMPORTS.items()}
    imports = [f"from {module} import {', '.join(names)}" for module, names in called.items() if names]
    return "\n".join(["from reaugkd import ReAugKDClassifier", *imports, "", body, ""])


def _loaded(name: str, folder: str) -> str:
    return f"{name} = ReAugKDClassifier.from_pretrained({folder!r})"


def _settings(k: int | None, retrieval_weight: float | None, temperature: float | None) -> list[str]:
    """Write those settings that are not as chosen in training, as arguments."""
    said = {"k": k, "retrieval_weight": retrieval_weight, "temperature": temperature}
    return [f"{name}={value!r}" for name, value in said.items() if value is not None]


def _pool(settings: list[str]) -> str:
    return f"model.pool.overridden({', '.join(settings)})" if settings else "model.pool"


def _filter(chosen: Mapping[str, Any], **otherwise: Any) -> str:
    kept = {name: value for name, value in {**chosen, **otherwise}.items() if value not in (None, "", {})}
    return f"RowFilter({', '.join(f'{name}={value!r}' for name, value in kept.items())})"


def _part(chosen: Mapping[str, Any]) -> list[str]:
    """Write the code that keeps only the rows that a filter names, if any."""
    rows = chosen.get("rows")
    return [f"encoded = encoded.part({rows!r})  # no others are answered"] if rows else []
