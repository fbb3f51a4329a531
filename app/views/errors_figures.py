"""The figures of the page of errors as HTML whose cells are buttons: each of the rows that boxes and figures let pass.

What a button means is in ``data-pick``, and one is picked.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import reaugkd as rk
from reaugkd.measures.calibration import calibration_error, confidence_column

from ..computed import cached, encoded_rows
from ..rendering import render
from .errors_page import ErrorsPage, Filter

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.error_analysis import RowFilter
    from reaugkd.method.answers import Answers

FIGURES = ("summary", "slices", "reliability", "confusion", "disagreements")
NO_ROWS = "<p class='empty'>No row passes these filters; choose others, or show all.</p>"
MAX_CLASSES = 100
MANY_CLASSES = 20  # of more, those that no row has are left out


def confusion_table(counts: pd.DataFrame, picked: Filter | None = None) -> str:
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


def disagreement_table(combinations: pd.DataFrame, picked: Filter | None = None) -> str:
    """Draw who said what: first where not all agree, then, under a line that says so, where they do."""
    names = combinations.drop(columns="rows")
    rows = list(zip(names.to_dict("records"), combinations["rows"], strict=True))
    apart = int((names.nunique(axis=1) > 1).sum())  # these come first
    voices = list(names.columns[1:])
    return render("disagreements", voices=voices, apart=rows[:apart], alike=rows[apart:], picked=picked)


def slice_table(slices: pd.DataFrame, fewest: int, picked: Filter | None = None) -> str:
    """Draw the slices of rows, the worst first, below those that are surely worse than the rest."""
    rows = [{**row, "pick": pick_of(row["row_filter"])} for row in slices.to_dict("records")]
    return render("slices", slices=rows, worse=[row for row in rows if row["is_worse"]], fewest=fewest, picked=picked)


def pick_of(row_filter: "RowFilter") -> dict[str, Any]:
    """Return the arguments of a row filter as a button carries them."""
    between = {name: list(ends) for name, ends in row_filter.between.items()}
    return {name: value for name, value in {"equal": row_filter.equal, "between": between}.items() if value}


def reliability_bars(tables: Mapping[str, pd.DataFrame], picked: Filter | None = None) -> str:
    """Draw a reliability diagram a voice: a bar of accuracy for each bin of confidence, a line where it should end."""
    voices = [
        (voice, calibration_error(of), confidence_column(voice), of.to_dict("records")) for voice, of in tables.items()
    ]
    return render("reliability", voices=voices, picked=picked)


def summary_html(
    figures: Mapping[str, Any], metric: str, flips: Mapping[str, int], which: str, picked: Filter | None = None
) -> str:
    """Say in a few words how good answers are, with intervals."""
    metric = metric.replace("_", " ").capitalize()
    return render("summary", metric=metric, which=which, flips=flips, picked=picked, **figures)


@cached(4)
def answers_of(model: "rk.ReAugKDClassifier", split: str, **moved: Any) -> "tuple[Answers, pd.DataFrame]":
    """Answer a split once; in the table, beside what was chosen in training. Four results stay."""
    from reaugkd.analysis.error_analysis import sliceable_table

    encoded = encoded_rows(model, split)
    answers = model.answer(encoded, model.pool.overridden(**moved))
    return answers, sliceable_table(answers, model.answer(encoded))


def figure_html(
    figure: str, model: "rk.ReAugKDClassifier", shown: ErrorsPage, answers: "Answers", rows: pd.DataFrame
) -> str:
    """Draw one of :data:`FIGURES` of some rows, with what is picked in it marked."""
    from reaugkd.analysis import error_analysis as found
    from reaugkd.analysis.error_analysis import FEWEST_ROWS, slices

    settings, picked = model.settings, shown.picks.get(figure)
    if rows.empty:
        return NO_ROWS
    if figure == "summary":
        figures = found.summary(answers, settings.metric)
        return summary_html(figures, settings.metric, Counter(rows["flip"]), shown.which, picked)
    if figure == "slices":
        return slice_table(slices(rows), FEWEST_ROWS, picked)
    if figure == "confusion":
        return confusion_table(found.confusion(rows, settings.label_names), picked=picked)
    if figure == "disagreements":
        return disagreement_table(found.disagreements(rows), picked)
    voices = [voice for voice in ("student", "answer", "teacher") if voice in rows]
    return reliability_bars({voice: found.calibration(rows, voice) for voice in voices}, picked)
