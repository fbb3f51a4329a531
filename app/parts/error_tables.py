"""Confusion, disagreements and calibration as HTML whose cells are buttons; what a button means is in ``data-pick``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reaugkd.measures.calibration import confidence_column

from ..rendering import render

if TYPE_CHECKING:  # torch takes seconds to import, and no table needs it
    from reaugkd.analysis.comparison import Comparison

MAX_CLASSES = 100


def confusion_table(counts: pd.DataFrame, voice: str = "answer") -> str:
    """Draw a confusion matrix."""
    errors = counts - np.diag(np.diag(counts))
    names, most, note = counts.index, max(1, int(errors.to_numpy().max())), ""
    if len(names) > MAX_CLASSES:
        note = (
            f"; the {MAX_CLASSES} classes of most errors, the most first; {len(names) - MAX_CLASSES} others are left "
            f"out: filter the rows by their label to see them"
        )
        names = (errors.sum() + errors.sum(axis=1)).sort_values(ascending=False, kind="stable").index[:MAX_CLASSES]
    rows = [
        (gold, list(zip(names, row, strict=True)))
        for gold, row in zip(names, counts.loc[names, names].to_numpy().tolist(), strict=True)
    ]
    return render("confusion", names=names, rows=rows, most=most, voice=voice, note=note)


def disagreement_table(combinations: pd.DataFrame) -> str:
    """Draw who said what: first where not all agree, then, under a line that says so, where they do."""
    voices = [name for name in combinations.columns if name not in ("label", "rows")]
    apart: list[dict[str, Any]] = []
    alike: list[dict[str, Any]] = []
    for row in combinations.to_dict("records"):
        names = {name: row[name] for name in ("label", *voices)}
        (alike if len(set(names.values())) == 1 else apart).append({"names": names, "rows": row["rows"]})
    return render("disagreements", voices=voices, apart=apart, alike=alike)


def reliability_bars(voices: Mapping[str, tuple[pd.DataFrame, float]]) -> str:
    """Draw a reliability diagram a voice: a bar of accuracy for each bin of confidence, a line where it should end."""
    return render(
        "reliability",
        voices=[
            (voice, error, [_bin(row, confidence_column(voice)) for row in table.to_dict("records")])
            for voice, (table, error) in voices.items()
        ],
    )


def _bin(row: Mapping[Any, Any], column: str) -> dict[str, Any]:
    """Return a bin with what it picks, and what it says to those who do not see it."""
    low, high = row["low"], row["high"]
    says = (
        f"{row['rows']} rows of confidence {low:.1f} to {high:.1f}: {row['accuracy']:.0%} right, "
        f"mean confidence {row['confidence']:.0%}"
    )
    return {**row, "pick": {"between": {column: [low, high]}}, "says": says}


def outcome_table(comparison: "Comparison") -> str:
    """Draw on how many rows both, one, or none of two is right."""
    return render("outcomes", counts=comparison.counts, differently=comparison.both_wrong_differently)


def summary_html(figures: Mapping[str, Any], metric: str, flips: Mapping[str, int], which: str) -> str:
    """Say in a few words how good answers are."""
    words = {"fixed": "fixed", "broken": "broken", "changed": "from wrong to wrong"}
    counted = [(kind, f"{flips[kind]:,} {word}") for kind, word in words.items() if flips.get(kind)]
    return render(
        "summary",
        metric=metric.replace("_", " ").capitalize(),
        rows=figures["rows"],
        which=which,
        score=figures["score"],
        effects=figures["effects"],
        flips=counted,
    )
