"""Confusion, disagreements and calibration as HTML whose cells are buttons; what a button means is in ``data-pick``."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reaugkd.measures.reliability import confidence_column

from .neighbour_table import escaped_text

if TYPE_CHECKING:  # torch takes seconds to import, and no table needs it
    from reaugkd.analysis.comparison import Comparison

MAX_CLASSES = 100


def confusion_table(counts: pd.DataFrame, voice: str = "answer") -> str:
    """Draw a confusion matrix.

    Parameters
    ----------
    counts : DataFrame
        As :func:`reaugkd.analysis.error_analysis.confusion` gives it; of more than 100 classes those of most errors
        are drawn, the most first.
    voice : str
        Whose predictions the columns are.

    Returns
    -------
    str
        HTML of one table; each cell that is not empty picks its rows.
    """
    errors = counts - np.diag(np.diag(counts))
    names, most, note = counts.index, max(1, int(errors.to_numpy().max())), ""
    if len(names) > MAX_CLASSES:
        note = (
            f"; the {MAX_CLASSES} classes of most errors, the most first; {len(names) - MAX_CLASSES} others are left "
            f"out: filter the rows by their label to see them"
        )
        names = (errors.sum() + errors.sum(axis=1)).sort_values(ascending=False, kind="stable").index[:MAX_CLASSES]
    head = "".join(
        f'<th scope="col" title="{escaped_text(name)}"><span>{escaped_text(name)}</span></th>' for name in names
    )
    body = ""
    for gold, row in zip(names, counts.loc[names, names].to_numpy().tolist(), strict=True):
        cells = "".join(_count(count, gold, name, most, voice) for name, count in zip(names, row, strict=True))
        body += f'<tr><th scope="row" title="{escaped_text(gold)}">{escaped_text(gold)}</th>{cells}</tr>'
    return (
        f'<table class="confusion"><caption>Gold label down, {escaped_text(voice)} across{note}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def disagreement_table(combinations: pd.DataFrame) -> str:
    """Draw who said what: first where not all agree, then, under a line that says so, where they do.

    Parameters
    ----------
    combinations : DataFrame
        As :func:`reaugkd.analysis.error_analysis.disagreements` gives it.

    Returns
    -------
    str
        HTML of one table; each count picks its rows. A name that is the gold one is marked.
    """
    voices = [name for name in combinations.columns if name not in ("label", "rows")]
    differ = combinations[["label", *voices]].nunique(axis=1) > 1
    head = "".join(f"<th>{name}</th>" for name in ("rows", "gold label", *voices))
    apart, alike = (
        "".join(_combination(row, voices) for row in combinations[chosen].to_dict("records"))
        for chosen in (differ, ~differ)
    )
    line = f'<tr class="agree"><td colspan="{2 + len(voices)}">All agree</td></tr>' if alike else ""
    note = "" if apart else '<p class="empty">Gold label, student, memory and answer agree on every row.</p>'
    table = f"<thead><tr>{head}</tr></thead><tbody>{apart}{line}{alike}</tbody>"
    return f'{note}<table class="disagreements">{table}</table>'


def reliability_bars(table: pd.DataFrame, voice: str, error: float) -> str:
    """Draw a reliability diagram: a bar of accuracy for each bin of confidence, a line where it should end.

    Parameters
    ----------
    table : DataFrame
        As :func:`reaugkd.analysis.error_analysis.calibration` gives it.
    voice : str
        Whose it is.
    error : float
        The expected calibration error, from 0 to 1.

    Returns
    -------
    str
        HTML of one figure; each bar picks the rows of its bin.
    """
    bars = ""
    for low, high, rows, confidence, accuracy in table.itertuples(index=False):
        if not rows:
            bars += '<span class="bin"></span>'
            continue
        said = f"{rows} rows of confidence {low:.1f} to {high:.1f}: {accuracy:.0%} right, "
        said += f"mean confidence {confidence:.0%}"
        bars += _button(
            {"between": {confidence_column(voice): [low, high]}},
            f'<i style="height:{100 * accuracy:.1f}%"></i><b style="bottom:{100 * confidence:.1f}%"></b>'
            f"<span>{rows}</span>",
            f' class="bin" title="{said}" aria-label="{said}"',
        )
    ticks = "".join(f"<span>{low:.1f}</span>" for low in table["low"])
    return (
        f'<figure class="reliability"><figcaption><b>{escaped_text(voice)}</b>: expected calibration error '
        f'{100 * error:.1f} %</figcaption><div class="bins">{bars}</div><div class="ticks">{ticks}</div>'
        "<small>confidence; bar: share that is right, line: where it should end</small></figure>"
    )


def outcome_table(comparison: "Comparison") -> str:
    """Draw on how many rows both, one, or none of two is right.

    Parameters
    ----------
    comparison : Comparison
        As :func:`reaugkd.analysis.comparison.compare` gives it.

    Returns
    -------
    str
        HTML of one table of two by two; each count picks its rows, and of those on which both are wrong, the rows that
        they answer differently.
    """
    both, first, second, neither = (_outcome(name, count) for name, count in comparison.counts.items())
    apart = comparison.both_wrong_differently
    if apart:
        pick = {"equal": {"outcome": list(comparison.counts)[3], "differs": "True"}}
        neither += f"<small>{_button(pick, f'{apart:,} differently')}</small>"
    head = '<td></td><th scope="col">second right</th><th scope="col">second wrong</th>'
    return (
        f'<table class="outcomes"><thead><tr>{head}</tr></thead><tbody>'
        f'<tr><th scope="row">first right</th><td class="same">{both}</td><td class="first">{first}</td></tr>'
        f'<tr><th scope="row">first wrong</th><td class="second">{second}</td><td class="same">{neither}</td></tr>'
        "</tbody></table>"
    )


def flip_buttons(flips: Mapping[str, int]) -> str:
    """Say how many answers are others than they were.

    Parameters
    ----------
    flips : mapping of str to int
        Rows by ``fixed``, ``broken`` and ``changed``; others are left out.

    Returns
    -------
    str
        HTML; each count picks its rows by their ``flip``.
    """
    words = {"fixed": "fixed", "broken": "broken", "changed": "from wrong to wrong"}
    said = {kind: f"{flips[kind]:,} {word}" for kind, word in words.items() if flips.get(kind)}
    return ", ".join(_button({"equal": {"flip": kind}}, words) for kind, words in said.items()) or "nothing"


def _outcome(name: str, count: int) -> str:
    """Draw a cell of the four; without rows it is no button."""
    number = _button({"equal": {"outcome": name}}, f"{count:,}") if count else f"<b>{count:,}</b>"
    return f"{number}<span>{escaped_text(name)}</span>"


def _combination(row: Mapping[Any, Any], voices: list[str]) -> str:
    gold, names = escaped_text(row["label"]), [escaped_text(row[voice]) for voice in voices]
    cells = "".join(f'<td class="{"right" if name == gold else "wrong"}" title="{name}">{name}</td>' for name in names)
    pick = _button({"equal": {name: row[name] for name in ("label", *voices)}}, str(row["rows"]))
    return f'<tr><td>{pick}</td><td title="{gold}">{gold}</td>{cells}</tr>'


def _count(count: int, gold: str, predicted: str, most: int, voice: str) -> str:
    if not count:
        return "<td></td>"
    depth = 0.15 + 0.6 * min(1.0, count / most)
    colour = "rgba(0, 158, 115, 0.25)" if gold == predicted else f"rgba(213, 94, 0, {depth:.2f})"
    return f'<td style="background:{colour}">{_button({"equal": {"label": gold, voice: predicted}}, str(count))}</td>'


def _button(pick: dict[str, Any], inside: str, further: str = "") -> str:
    return f'<button data-pick="{escaped_text(json.dumps(pick))}"{further}>{inside}</button>'
