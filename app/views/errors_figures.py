"""The figures of the page of errors, each of the rows that the boxes and the other figures let pass."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import pandas as pd

import reaugkd as rk
from reaugkd.measures.calibration import calibration_error

from ..computed import cached, encoded_rows
from ..parts.error_tables import confusion_table, disagreement_table, reliability_bars, slice_table, summary_html
from .errors_page import ErrorsPage

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.method.answers import Answers

FIGURES = ("summary", "slices", "reliability", "confusion", "disagreements")
NO_ROWS = "<p class='empty'>No row passes these filters; choose others, or show all.</p>"


@cached(4)
def answers_of(model: "rk.ReAugKDClassifier", split: str, **moved: Any) -> "tuple[Answers, pd.DataFrame]":
    """Answer a split once; in the table, beside what was chosen in training. Four results stay."""
    from reaugkd.analysis.slices import sliceable_table

    encoded = encoded_rows(model, split)
    answers = model.answer(encoded, model.pool.overridden(**moved))
    return answers, sliceable_table(answers, model.answer(encoded))


def figure_html(
    figure: str, model: "rk.ReAugKDClassifier", shown: ErrorsPage, answers: "Answers", rows: pd.DataFrame
) -> str:
    """Draw one of :data:`FIGURES` of some rows, with what is picked in it marked."""
    from reaugkd.analysis import error_analysis as found
    from reaugkd.analysis.slices import FEWEST_ROWS, slices

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
    tables = {voice: found.calibration(rows, voice) for voice in voices}
    return reliability_bars({voice: (table, calibration_error(table)) for voice, table in tables.items()}, picked)
