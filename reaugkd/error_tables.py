"""Confusion, disagreements and calibration as HTML whose cells are buttons; what a button means is in ``data-pick``."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reaugkd.neighbour_table import escaped_text
from reaugkd.reliability import confidence_column

if TYPE_CHECKING:  # torch takes seconds to import, and no table needs it
    from reaugkd.comparison import Comparison

MAX_CLASSES = 100


def confusion_table(counts: pd.DataFrame, voice: str = "answer") -> str:
    """Draw a confusion matrix.

    Parameters
    ----------
    counts : DataFrame
        As :func:`reaugkd.error_analysis.confusion` gives it; of more than 100 classes those of most errors are drawn,
        the most first.
    voice : str
        Whose predictions the columns are.

    Returns
    -------
    str
        HTML of one table; each cell that is not empty picks its rows.
    """
    matrix = counts.to_numpy()
    errors = matrix - np.diag(matrix.diagonal())
    shown, note = np.arange(len(counts)), ""
    if len(counts) > MAX_CLASSES:
        shown = np.argsort(-(errors.sum(axis=0) + errors.sum(axis=1)), kind="stable")[:MAX_CLASSES]
        note = (
            f"; the {MAX_CLASSES} classes of most errors, the most first; {len(counts) - MAX_CLASSES} others are left "
            f"out: filter the rows by their label to see them"
        )
    names, most = counts.index[shown].tolist(), max(1, int(errors.max()))
    head = "".join(f'<th scope="col"><span>{escaped_text(name)}</span></th>' for name in names)
    body = ""
    for gold, row in zip(names, matrix[np.ix_(shown, shown)].tolist(), strict=True):
        cells = "".join(_count(count, gold, name, most, voice) for name, count in zip(names, row, strict=True))
        body += f'<tr><th scope="row">{escaped_text(gold)}</th>{cells}</tr>'
    return (
        f'<table class="confusion"><caption>Gold label down, {escaped_text(voice)} across{note}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def disagreement_table(combinations: pd.DataFrame) -> str:
    """Draw who said what: first where not all agree, then, under a line that says so, where they do.

    Parameters
    ----------
    combinations : DataFrame
        As :func:`reaugkd.error_analysis.disagreements` gives it.

    Returns
    -------
    str
        HTML of one table; each count picks its rows. A name that is the gold one is marked.
    """
    voices = [name for name in combinations.columns if name not in ("label", "rows")]
    differ = combinations[["label", *voices]].nunique(axis=1) > 1
    head = "".join(f"<th>{name}</th>" for name in ("rows", "gold label", *voices))
    body = "".join(_combination(row, voices) for row in combinations[differ].to_dict("records"))
    body += f'<tr class="agree"><td colspan="{2 + len(voices)}">All agree</td></tr>' if not differ.all() else ""
    body += "".join(_combination(row, voices) for row in combinations[~differ].to_dict("records"))
    note = "" if differ.any() else '<p class="empty">Gold label, student, memory and answer agree on every row.</p>'
    return f'{note}<table class="disagreements"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def reliability_bars(table: pd.DataFrame, voice: str, error: float) -> str:
    """Draw a reliability diagram: a bar of accuracy for each bin of confidence, a line where it should end.

    Parameters
    ----------
    table : DataFrame
        As :func:`reaugkd.error_analysis.calibration` gives it.
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
        said = (
            f"{rows} rows of confidence {low:.1f} to {high:.1f}: {accuracy:.0%} right, mean confidence {confidence:.0%}"
        )
        pick = escaped_text(json.dumps({"between": {confidence_column(voice): [low, high]}}))
        bars += (
            f'<button class="bin" data-pick="{pick}" title="{said}" aria-label="{said}">'
            f'<i style="height:{100 * accuracy:.1f}%"></i><b style="bottom:{100 * confidence:.1f}%"></b>'
            f"<span>{rows}</span></button>"
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
        As :func:`reaugkd.comparison.compare` gives it.

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
        neither += f"<small>{_button(f'{apart:,} differently', pick)}</small>"
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
    said = [
        _button(f"{flips[kind]:,} {word}", {"equal": {"flip": kind}}) for kind, word in words.items() if flips.get(kind)
    ]
    return ", ".join(said) or "nothing"


def _outcome(name: str, count: int) -> str:
    """Draw a cell of the four; without rows it is no button."""
    text = f"{count:,}"
    number = _button(text, {"equal": {"outcome": name}}) if count else f"<b>{text}</b>"
    return f"{number}<span>{escaped_text(name)}</span>"


def _combination(row: Mapping[Any, Any], voices: list[str]) -> str:
    cells = "".join(
        f'<td class="{"right" if row[voice] == row["label"] else "wrong"}">{escaped_text(row[voice])}</td>'
        for voice in voices
    )
    pick = _button(str(row["rows"]), {"equal": {name: row[name] for name in ("label", *voices)}})
    return f"<tr><td>{pick}</td><td>{escaped_text(row['label'])}</td>{cells}</tr>"


def _count(count: int, gold: str, predicted: str, most: int, voice: str) -> str:
    if not count:
        return "<td></td>"
    right = gold == predicted
    depth = 0.15 + 0.6 * min(1.0, count / most)
    colour = "rgba(0, 158, 115, 0.25)" if right else f"rgba(213, 94, 0, {depth:.2f})"
    pick = _button(str(count), {"equal": {"label": gold, voice: predicted}})
    return f'<td style="background:{colour}">{pick}</td>'


def _button(text: str, pick: dict[str, Any]) -> str:
    return f'<button data-pick="{escaped_text(json.dumps(pick))}">{escaped_text(text)}</button>'
