"""What a page of the app shows, as the Python that gives the same: to copy into a notebook, and to run."""

import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from reaugkd.links import PageState, given, short, struck_in_link
from reaugkd.memory_questions import DUPLICATES
from reaugkd.texts import two_parts

if TYPE_CHECKING:  # torch takes seconds to import, and no code is run here
    from reaugkd.patch import Edit, Patch
    from reaugkd.texts import Text

    Imports = dict[str, tuple[str, ...]]  # names by module

REFIT = "refit"
"""In the place of a λ: a pool that is fitted again to the edited memory."""
ENCODED = "encoded = model.encode_rows(model.held_out([{!r}]))  # the student runs here, and not again"


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
        As :meth:`reaugkd.pool.Pool.overridden` takes them; None is as chosen in training, and is left out.
    struck : tuple of int
        Memories that are struck out, by row number.
    relabelled : mapping of int to str, optional
        Memories that vote for another class, by row number.

    Returns
    -------
    str
        Python; ``explanation`` is then the answer, and a comment says how to make a link to it.
    """
    settings = _settings(k, retrieval_weight, temperature)
    imports: Imports = {}
    answer = [f"explanation = model.explain({', '.join([repr(text), *settings])})"]
    strikes = [f"struck={struck!r}"] if struck else []
    strikes += [f"relabelled={dict(relabelled)!r}"] if relabelled else []
    if strikes:
        imports["reaugkd.what_if"] = ("Strikes", "explain_what_if")
        answer = [
            f"encoded = model.encode([{text!r}])  # the student runs here, and not again",
            f"explanation = explain_what_if(model, encoded, {_pool(settings)}, Strikes({', '.join(strikes)}))",
        ]
    return _lines(
        *_start(folder, imports),
        *answer,
        "print(explanation.label, explanation.probabilities.max(), explanation.parts)",
        "for neighbour in explanation.neighbours:",
        "    print(neighbour.similarity, neighbour.share, neighbour.label, neighbour.text)",
        "",
        "# A link that opens the app in this state (both names are in reaugkd.links):",
        f"# app_link({_page(folder, text, settings, short(struck_in_link(struck, relabelled or {})))})",
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
        As :meth:`reaugkd.pool.Pool.overridden` takes them; None is as chosen in training, and is left out.
    chosen : mapping of str to Any
        The arguments of a :class:`reaugkd.error_analysis.RowFilter`; those that let all rows pass are left out. Where
        it names rows, the figures too are of these.

    Returns
    -------
    str
        Python; ``figures``, ``counts`` and ``rows`` are then the summary, the confusion matrix and the listed rows.
    """
    part, further = _part(chosen)
    instead_of = "model.answer(encoded)" if "flip" in chosen.get("equal", {}) else ""
    settings = _settings(k, retrieval_weight, temperature)
    return _lines(
        *_start(folder, {"reaugkd.error_analysis": ("RowFilter", "confusion", "summary")}),
        ENCODED.format(split),
        *part,
        f"answers = model.answer(encoded, {_pool(settings)})",
        "figures = summary(answers, model.parts.settings.metric)",
        f"table = answers.table({instead_of})",
        "counts = confusion(table, model.memory.classes)",
        f"rows = {_filter(further)}.of(table)",
        r"print(figures, counts, rows, sep='\n\n')",
    )


def memory_code(
    folder: str,
    show: str,
    chosen: Mapping[str, Any],
    patch: "Patch" = (),
    answer_by: float | str | None = None,
    version: str = "",
    carries_rows: bool = True,
) -> str:
    """Write the code of the memories that are listed, and of the pending edits with what they fix and break.

    Parameters
    ----------
    folder : str
        The model's folder.
    show : str
        One of :data:`reaugkd.memory_audit.SHOWS`.
    chosen : mapping of str to Any
        The arguments of a :class:`reaugkd.error_analysis.RowFilter`.
    patch : Patch
        The pending edits.
    answer_by : float or str, optional
        One λ for every text, or :data:`REFIT`; what was chosen in training if left out.
    version : str
        Folder of the edited model.
    carries_rows : bool
        Whether the model carries test rows; without, only some of the memories can be listed.

    Returns
    -------
    str
        Python; ``rows`` is then the list and, where edits are pending, ``changed`` the answers that they change.
    """
    imports: Imports = {"reaugkd.error_analysis": ("RowFilter",), "reaugkd.memory_audit": ("memories",)}
    answered = carries_rows and show != DUPLICATES
    listed = f"memories(model, {'model.answer(encoded)' if answered else None}, {show!r})"
    listing = [*[ENCODED.format("test")] * bool(answered or patch), f"rows = {_filter(chosen)}.of({listed})"]
    if not patch:
        return _lines(*_start(folder, imports), *listing, "print(rows)")
    before, after = "model.answer(encoded)", "apply_patch(model, patch)"
    if answer_by == REFIT:
        imports["reaugkd.refit"], after = ("refit_pool",), f"refit_pool({after})"
    elif answer_by is not None:
        weight = float(answer_by)
        imports["reaugkd.refit"], after = ("with_weight",), f"with_weight({after}, {weight!r})"
        before = f"{before}.at({weight!r})"
    imports |= {"reaugkd.answers": ("changed_answers",), "reaugkd.patch": ("Edit", "apply_patch")}
    return _lines(
        *_start(folder, imports),
        *listing,
        "print(rows)",
        "",
        "patch = (",
        *(f"    {_edit(edit)}," for edit in patch),
        ")",
        f"edited = {after}",
        f"changed = changed_answers({before}, edited.answer(encoded))",
        "print(changed['effect'].value_counts(), changed)",
        "",
        *_saving(folder, version, answer_by),
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
        The arguments of a :class:`reaugkd.error_analysis.RowFilter`. Where it names rows, the comparison too is of
        these.
    text : Text
        The text or pair that both answer.

    Returns
    -------
    str
        Python; ``comparison`` and ``rows`` are then the comparison and the listed rows, ``explanations`` both answers
        to the text.
    """
    imports = {
        "reaugkd.comparison": ("compare", "comparison_in_words"),
        "reaugkd.error_analysis": ("RowFilter",),
    }
    part, further = _part(chosen)
    weights = [None if weight is None else float(weight) for _, weight in (first, second)]
    other = "first" if first[0] == second[0] else f"ReAugKDClassifier.from_pretrained({second[0]!r})"
    return _lines(
        *_start(folder=first[0], imports=imports, name="first"),
        f"second = {other}",
        f"sides = ((first, {weights[0]!r}), (second, {weights[1]!r}))  # who answers, and its λ; None: as in training",
        "answers = []",
        "for model, weight in sides:",
        f"    encoded = model.encode_rows(model.held_out([{split!r}]))",
        *(f"    {line}" for line in part),
        "    answers.append(model.answer(encoded, model.pool.overridden(retrieval_weight=weight)))",
        "metric = first.parts.settings.metric",
        "comparison = compare(*answers, metric)",
        r"print(*comparison_in_words(comparison, metric), sep='\n')",
        f"rows = {_filter(further)}.of(comparison.table)",
        "print(rows)",
        "",
        f"text = {text!r}",
        "explanations = [model.explain(text, retrieval_weight=weight) for model, weight in sides]",
        "print([explanation.label for explanation in explanations])",
    )


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _start(folder: str, imports: "Imports", name: str = "model") -> list[str]:
    """Import what is needed, in the order that linters want, and load the model."""
    found = [f"from {module} import {', '.join(sorted(set(names)))}" for module, names in sorted(imports.items())]
    loaded = f"{name} = ReAugKDClassifier.from_pretrained({folder!r})"
    return ["from reaugkd import ReAugKDClassifier", *found, "", loaded]


def _settings(k: int | None, retrieval_weight: float | None, temperature: float | None) -> list[str]:
    """Write those settings that are not as chosen in training, as arguments."""
    said = {
        "k": None if k is None else int(k),
        "retrieval_weight": None if retrieval_weight is None else float(retrieval_weight),
        "temperature": None if temperature is None else float(temperature),
    }
    return [f"{name}={value!r}" for name, value in said.items() if value is not None]


def _pool(settings: list[str]) -> str:
    return f"model.pool.overridden({', '.join(settings)})" if settings else "model.pool"


def _page(folder: str, text: "Text", settings: list[str], of_view: Mapping[str, str]) -> str:
    """Write the state of the page as a call, without what is left at its default."""
    first, second = two_parts(text)
    state = PageState(PurePath(folder).name, text=first, text_pair=second, of_view=of_view)
    said = [f"{name}={value!r}" for name, value in given(state).items()]
    return f"PageState({', '.join([*said, *settings])})"


def _filter(chosen: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in chosen.items() if value not in (None, "", {})}
    return f"RowFilter({', '.join(f'{name}={value!r}' for name, value in kept.items())})"


def _part(chosen: Mapping[str, Any]) -> tuple[list[str], Mapping[str, Any]]:
    """Write the code that keeps only the rows that a filter names, if any; return it with what else the filter says."""
    rows = chosen.get("rows")
    if not rows:
        return [], chosen
    part = f"encoded = encoded.part({[int(row) for row in rows]!r})  # no others are answered"
    return [part], {name: value for name, value in chosen.items() if name != "rows"}


def _edit(edit: "Edit") -> str:
    said = [(field.name, getattr(edit, field.name)) for field in fields(edit)]
    return f"Edit({', '.join(f'{name}={value!r}' for name, value in said if value is not None)})"


def _saving(folder: str, version: str, answer_by: float | str | None) -> list[str]:
    """Say how to save the edited model, from Python and, where it can, by the command."""
    saving = ["# To save it:", f"# edited.save_pretrained({version!r})"]
    if answer_by not in (None, REFIT):
        return [*saving, "# The command `reaugkd edit` has no option for one λ."]
    refit = " --refit" if answer_by == REFIT else ""
    return [
        *saving,
        "# The same on the command line, after reaugkd.patch.write_patch(patch, 'patch.jsonl'):",
        f"# reaugkd edit {_word(folder)} --patch patch.jsonl --out {_word(version)}{refit}",
    ]


def _word(text: str) -> str:
    """Quote a word for a shell; it stays on its line whatever it holds."""
    return shlex.quote(text if text.isprintable() else repr(text))
