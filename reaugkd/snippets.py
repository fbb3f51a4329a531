"""What a page of the app shows, as the Python that gives the same: to copy into a notebook, and to run."""

import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from reaugkd.links import PageState, given, short, struck_in_link
from reaugkd.memory_audit import DUPLICATES

if TYPE_CHECKING:  # torch takes seconds to import, and no code is run here
    from reaugkd.patch import Edit, Patch
    from reaugkd.retrieval import RetrievalSettings
    from reaugkd.texts import Text

    Imports = dict[str, tuple[str, ...]]  # names by module

REFIT = "refit"
"""In the place of a λ: a gate that is fitted again to the edited memory."""
ROWS: "Imports" = {"reaugkd.evaluation_set": ("EvaluationSet", "held_out")}


def query_code(
    folder: str,
    text: "Text",
    retrieval: "RetrievalSettings",
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
    retrieval : RetrievalSettings
        k, λ or the gate, and τ_r.
    struck : tuple of int
        Memories that are thought away, by row number.
    relabelled : mapping of int to str, optional
        Memories that are thought of as of another class.

    Returns
    -------
    str
        Python; ``explanation`` is then the answer, and a comment says how to make a link to it.
    """
    settings = _settings(retrieval)
    imports: Imports = {}
    answer = [f"explanation = model.explain({text!r}, {settings})"]
    thought = [f"struck={struck!r}"] if struck else []
    thought += [f"relabelled={dict(relabelled)!r}"] if relabelled else []
    if thought:
        imports["reaugkd.what_if"] = ("AskedText", "Strikes", "explain_what_if")
        answer = [
            f"asked = AskedText.of(model, {text!r})  # the student runs here, and not again",
            f"retrieval = model.retrieval.overridden({settings})",
            f"explanation = explain_what_if(model, asked, retrieval, Strikes({', '.join(thought)}))",
        ]
    return _lines(
        *_start(folder, imports),
        *answer,
        "print(explanation.label, explanation.probabilities.max())",
        "for neighbour in explanation.neighbours:",
        "    print(neighbour.similarity, neighbour.share, neighbour.label, neighbour.text)",
        "",
        "# A link that opens the app in this state (both names are in reaugkd.links):",
        f"# app_link({_page(folder, text, retrieval, short(struck_in_link(struck, relabelled or {})))})",
    )


def errors_code(folder: str, split: str, retrieval: "RetrievalSettings", chosen: Mapping[str, Any]) -> str:
    """Write the code of the figures over a split, and of the rows that are listed.

    Parameters
    ----------
    folder : str
        The model's folder.
    split : str
        ``test`` or ``validation``.
    retrieval : RetrievalSettings
        k, λ or the gate, and τ_r.
    chosen : mapping of str to Any
        The arguments of a :class:`reaugkd.error_analysis.RowFilter`; those that let all rows pass are left out. Where
        it names rows, the figures too are of these.

    Returns
    -------
    str
        Python; ``figures``, ``counts`` and ``rows`` are then the summary, the confusion matrix and the listed rows.
    """
    part, further = _part(chosen)
    instead_of = "asked.answered(model.memory, model.retrieval)" if "flip" in chosen.get("equal", {}) else ""
    return _lines(
        *_start(folder, {"reaugkd.error_analysis": ("RowFilter", "confusion", "summary"), **ROWS}),
        f"asked = EvaluationSet.of(model, held_out(model, [{split!r}]))  # the student runs here, and not again",
        *part,
        f"answered = asked.answered(model.memory, model.retrieval.overridden({_settings(retrieval)}))",
        "figures = summary(answered, model.parts.settings.metric)",
        f"table = answered.table({instead_of})",
        "counts = confusion(table, model.parts.settings.label_names)",
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
    imports, listing = _listing(show, chosen, carries_rows)
    if not patch:
        return _lines(*_start(folder, imports), *listing, "print(rows)")
    before, after = "model", "apply_patch(model, patch)"
    if answer_by == REFIT:
        imports["reaugkd.refit"], after = ("refit_gate",), f"refit_gate({after})"
    elif answer_by is not None:
        imports["reaugkd.refit"] = ("with_weight",)
        before, after = (f"with_weight({of}, {float(answer_by)!r})" for of in (before, after))
    imports["reaugkd.patch"] = ("Edit", "apply_patch")
    imports["reaugkd.evaluation_set"] = tuple({"changed_rows", "held_out", *imports.get("reaugkd.evaluation_set", ())})
    return _lines(
        *_start(folder, imports),
        *listing,
        "print(rows)",
        "",
        "patch = (",
        *(f"    {_edit(edit)}," for edit in patch),
        ")",
        f"edited = {after}",
        f"changed = changed_rows({before}, edited, held_out(model, ['test']))",
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
        Python; ``comparison`` and ``rows`` are then the comparison and the listed rows, ``answers`` both answers.
    """
    imports = {
        "reaugkd.comparison": ("compare", "comparison_in_words"),
        "reaugkd.error_analysis": ("RowFilter",),
        **ROWS,
    }
    part, further = _part(chosen)
    weights = [None if weight is None else float(weight) for _, weight in (first, second)]
    other = "first" if first[0] == second[0] else f"ReAugKDClassifier.from_pretrained({second[0]!r})"
    return _lines(
        *_start(folder=first[0], imports=imports, name="first"),
        f"second = {other}",
        f"sides = ((first, {weights[0]!r}), (second, {weights[1]!r}))  # who answers, and its λ; None: as in training",
        "answered = []",
        "for model, weight in sides:",
        f"    asked = EvaluationSet.of(model, held_out(model, [{split!r}]))",
        *(f"    {line}" for line in part),
        "    answered.append(asked.answered(model.memory, model.retrieval.overridden(retrieval_weight=weight)))",
        "metric = first.parts.settings.metric",
        "comparison = compare(*answered, metric)",
        r"print(*comparison_in_words(comparison, metric), sep='\n')",
        f"rows = {_filter(further)}.of(comparison.table)",
        "print(rows)",
        "",
        f"text = {text!r}",
        "answers = [model.explain(text, retrieval_weight=weight) for model, weight in sides]",
        "print([answer.label for answer in answers])",
    )


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _start(folder: str, imports: "Imports", name: str = "model") -> list[str]:
    """Import what is needed, in the order that linters want, and load the model."""
    found = [f"from {module} import {', '.join(sorted(set(names)))}" for module, names in sorted(imports.items())]
    loaded = f"{name} = ReAugKDClassifier.from_pretrained({folder!r})"
    return ["from reaugkd import ReAugKDClassifier", *found, "", loaded]


def _settings(retrieval: "RetrievalSettings") -> str:
    """Write k, τ_r and λ as arguments; where the gate sets λ none is given, since it would silence the gate."""
    weight = "" if retrieval.gate is not None else f"retrieval_weight={float(retrieval.retrieval_weight)!r}, "
    return f"k={int(retrieval.k)}, {weight}temperature={float(retrieval.temperature)!r}"


def _page(folder: str, text: "Text", retrieval: "RetrievalSettings", of_view: Mapping[str, str]) -> str:
    """Write the state of the page as a call, without what is left at its default."""
    first, second = (text, "") if isinstance(text, str) else text
    weight = None if retrieval.gate is not None else float(retrieval.retrieval_weight)
    state = PageState(
        PurePath(folder).name,
        text=first,
        text_pair=second,
        k=int(retrieval.k),
        retrieval_weight=weight,
        temperature=float(retrieval.temperature),
        of_view=of_view,
    )
    return f"PageState({', '.join(f'{name}={value!r}' for name, value in given(state).items())})"


def _filter(chosen: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in chosen.items() if value not in (None, "", {})}
    return f"RowFilter({', '.join(f'{name}={value!r}' for name, value in kept.items())})"


def _part(chosen: Mapping[str, Any]) -> tuple[list[str], Mapping[str, Any]]:
    """Write the code that asks only the rows that a filter names, if any; return it with what else the filter says."""
    rows = chosen.get("rows")
    if not rows:
        return [], chosen
    part = f"asked = asked.part({[int(row) for row in rows]!r})  # no others are asked"
    return [part], {name: value for name, value in chosen.items() if name != "rows"}


def _listing(show: str, chosen: Mapping[str, Any], carries_rows: bool) -> tuple["Imports", list[str]]:
    """Write the code of the listed memories, with what it imports."""
    imports: Imports = {"reaugkd.error_analysis": ("RowFilter",), "reaugkd.memory_audit": ("memories",)}
    answered: list[str] = []
    by = "None"
    if carries_rows and show != DUPLICATES:
        imports, by = imports | ROWS, "answered"
        answered = [
            "asked = EvaluationSet.of(model, held_out(model, ['test']))  # the student runs here, and not again",
            "answered = asked.answered(model.memory, model.retrieval)",
        ]
    return imports, [*answered, f"rows = {_filter(chosen)}.of(memories(model, {by}, {show!r}))"]


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
