"""Figures of errors as HTML whose cells are buttons; what a button means is in ``data-pick``, and one is picked."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reaugkd.measures.calibration import confidence_column

from ..rendering import render

if TYPE_CHECKING:  # torch takes seconds to import, and no table needs it
    from reaugkd.analysis.error_analysis import RowFilter

Pick = Mapping[str, Any] | None  # the arguments of a row filter
MAX_CLASSES = 100
MANY_CLASSES = 20  # of more, those that no row has are left out


def confusion_table(counts: pd.DataFrame, picked: Pick = None) -> str:
    """Draw a confusion matrix, its classes in the order of the model's."""
    names, errors = counts.index, counts - np.diag(np.diag(counts))
    if len(names) > MANY_CLASSES:
        names = names[(counts.sum() + counts.sum(axis=1)) > 0]
    occurring, most = len(names), max(1, int(errors.to_numpy().max(initial=0)))
    if occurring > MAX_CLASSES:
        names = (errors.sum() + errors.sum(axis=1)).sort_values(ascending=False, kind="stable").index[:MAX_CLASSES]
    rows = list(zip(names, counts.loc[names, names].to_numpy().tolist(), strict=True))
    empty, others = len(counts) - occurring, occurring - len(names)
    return render("confusion", names=names, rows=rows, most=most, empty=empty, others=others, picked=picked)


def disagreement_table(combinations: pd.DataFrame, picked: Pick = None) -> str:
    """Draw who said what: first where not all agree, then, under a line that says so, where they do."""
    names = combinations.drop(columns="rows")
    rows = list(zip(names.to_dict("records"), combinations["rows"], strict=True))
    apart = int((names.nunique(axis=1) > 1).sum())  # these come first
    voices = list(names.columns[1:])
    return render("disagreements", voices=voices, apart=rows[:apart], alike=rows[apart:], picked=picked)


def slice_table(slices: pd.DataFrame, fewest: int, picked: Pick = None) -> str:
    """Draw the slices of rows, the worst first, below those that are surely worse than the rest."""
    rows = [{**row, "pick": pick_of(row["row_filter"])} for row in slices.to_dict("records")]
    return render("slices", slices=rows, worse=[row for row in rows if row["is_worse"]], fewest=fewest, picked=picked)


def pick_of(row_filter: "RowFilter") -> dict[str, Any]:
    """Return the arguments of a row filter as a button carries them."""
    between = {name: list(ends) for name, ends in row_filter.between.items()}
    return {name: value for name, value in {"equal": row_filter.equal, "between": between}.items() if value}


def reliability_bars(voices: Mapping[str, tuple[pd.DataFrame, float]], picked: Pick = None) -> str:
    """Draw a reliability diagram a voice: a bar of accuracy for each bin of confidence, a line where it should end."""
    drawn = [
        (voice, error, confidence_column(voice), table.to_dict("records")) for voice, (table, error) in voices.items()
    ]
    return render("reliability", voices=drawn, picked=picked)


def summary_html(
    figures: Mapping[str, Any], metric: str, flips: Mapping[str, int], which: str, picked: Pick = None
) -> str:
    """Say in a few words how good answers are, with intervals."""
    metric = metric.replace("_", " ").capitalize()
    return render("summary", metric=metric, which=which, flips=flips, picked=picked, **figures)
