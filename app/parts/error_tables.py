"""Figures of errors as HTML whose cells are buttons; what a button means is in ``data-pick``, and one is picked."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reaugkd.measures.calibration import confidence_column

from ..rendering import render

if TYPE_CHECKING:  # torch takes seconds to import, and no table needs it
    from reaugkd.analysis.comparison import Comparison
    from reaugkd.analysis.error_analysis import RowFilter

Pick = Mapping[str, Any] | None  # the arguments of a row filter
MAX_CLASSES = 100
MANY_CLASSES = 20  # of more, those that no row has are left out


def confusion_table(counts: pd.DataFrame, voice: str = "answer", picked: Pick = None) -> str:
    """Draw a confusion matrix, its classes in the order of the model's."""
    errors = counts - np.diag(np.diag(counts))
    names, most, note = counts.index, max(1, int(errors.to_numpy().max(initial=0))), ""
    if len(names) > MANY_CLASSES:
        occurs = (counts.sum() + counts.sum(axis=1)) > 0
        names = names[occurs]
        note = f"; {(~occurs).sum()} classes without a row are left out" if (~occurs).any() else ""
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
    return render("confusion", names=names, rows=rows, most=most, voice=voice, note=note, picked=picked)


def disagreement_table(combinations: pd.DataFrame, picked: Pick = None) -> str:
    """Draw who said what: first where not all agree, then, under a line that says so, where they do."""
    voices = [name for name in combinations.columns if name not in ("label", "rows")]
    apart: list[dict[str, Any]] = []
    alike: list[dict[str, Any]] = []
    for row in combinations.to_dict("records"):
        names = {name: row[name] for name in ("label", *voices)}
        (alike if len(set(names.values())) == 1 else apart).append({"names": names, "rows": row["rows"]})
    return render("disagreements", voices=voices, apart=apart, alike=alike, picked=picked)


def slice_table(slices: pd.DataFrame, fewest: int, picked: Pick = None) -> str:
    """Draw the slices of rows, the worst first, below those that are surely worse than the rest."""
    rows = [{**row, "pick": pick_of(row["row_filter"])} for row in slices.to_dict("records")]
    return render("slices", slices=rows, worse=[row for row in rows if row["is_worse"]], fewest=fewest, picked=picked)


def pick_of(row_filter: "RowFilter") -> dict[str, Any]:
    """Return the arguments of a row filter as a button carries them."""
    given = asdict(row_filter)
    equal, between = given["equal"], {name: list(ends) for name, ends in given["between"].items()}
    return {name: value for name, value in {"equal": equal, "between": between}.items() if value}


def reliability_bars(voices: Mapping[str, tuple[pd.DataFrame, float]], picked: Pick = None) -> str:
    """Draw a reliability diagram a voice: a bar of accuracy for each bin of confidence, a line where it should end."""
    return render(
        "reliability",
        voices=[
            (voice, error, [_bin(row, confidence_column(voice)) for row in table.to_dict("records")])
            for voice, (table, error) in voices.items()
        ],
        picked=picked,
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


def summary_html(
    figures: Mapping[str, Any], metric: str, flips: Mapping[str, int], which: str, picked: Pick = None
) -> str:
    """Say in a few words how good answers are, with intervals."""
    words = {"fixed": "fixed", "broken": "broken", "changed": "from wrong to wrong"}
    counted = [(kind, f"{flips[kind]:,} {word}") for kind, word in words.items() if flips.get(kind)]
    return render(
        "summary",
        metric=metric.replace("_", " ").capitalize(),
        which=which,
        flips=counted,
        picked=picked,
        **figures,
    )
