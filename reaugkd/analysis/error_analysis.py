"""Where answers go wrong: confusion, disagreement of the voices, calibration, and the rows behind each figure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reaugkd.errors import ReAugKDError, quoted
from reaugkd.measures.calibration import confidence_column, expected_calibration_error, reliability_table
from reaugkd.measures.metrics import METRICS, drawn_differences, interval, score_interval
from reaugkd.method.answers import EFFECTS, Answers, effects
from reaugkd.texts import check_whole

TEXTS = ("text", "text_pair", "other_text", "other_text_pair")
VOICES = ("teacher", "student", "memory", "answer")


@dataclass(frozen=True)
class RowFilter:
    """Conditions on the rows of an answered table; a row must meet all of them.

    Parameters
    ----------
    equal : mapping of str to str
        By column, the value of a row.
    between : mapping of str to (float, float)
        By column, a lower end, excluded except for 0, and an upper end, included.
    text : str
        A part of a text, in upper or lower case; of pairs either text counts, of two rows side by side also the
        other's.
    rows : collection of int, optional
        Numbers of rows by the table's index, such as those selected on a map; any row if left out.
    """

    equal: Mapping[str, str] = field(default_factory=dict)
    between: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    text: str = ""
    rows: Collection[int] | None = None

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that meet all conditions, in their order, with their index; an unknown column is refused."""
        numbers = table.select_dtypes("number").columns
        wrong = [name for name in self.equal if name not in table] + [n for n in self.between if n not in numbers]
        if wrong:
            raise ReAugKDError(
                f"There is no column {quoted(wrong[0])} to filter by in this way; choose one of the table's."
            )
        matches = pd.Series(True, index=table.index)
        if self.rows is not None:
            matches &= table.index.isin(list(self.rows))
        for name, value in self.equal.items():
            matches &= table[name].astype(str) == value
        for name, (low, high) in self.between.items():
            matches &= ((table[name] > low) | ((table[name] == 0) & (low == 0))) & (table[name] <= high)
        if text := self.text.strip():
            check_whole(text, "The text to look for")
            texts = table[[name for name in TEXTS if name in table]].astype(str)
            matches &= texts.apply(lambda column: column.str.contains(text, case=False, regex=False)).any(axis=1)
        return table[matches]


def confusion(table: pd.DataFrame, label_names: tuple[str, ...], voice: str = "answer") -> pd.DataFrame:
    """Count gold labels (rows) against those of one of :data:`VOICES` (columns): (C, C)."""
    counts = pd.crosstab(table["label"], table[voice])
    return counts.reindex(index=list(label_names), columns=list(label_names), fill_value=0)


def disagreements(table: pd.DataFrame) -> pd.DataFrame:
    """Count every combination of gold label and voices; those that differ come first, the most frequent on top."""
    names = ["label", *(voice for voice in VOICES if voice in table.columns)]
    counts = table.groupby(names, sort=True).size().reset_index(name="rows")
    counts = counts.sort_values("rows", ascending=False, kind="stable")
    differ = counts[names].nunique(axis=1) > 1
    return pd.concat([counts[differ], counts[~differ]], ignore_index=True)


def calibration(table: pd.DataFrame, voice: str = "answer") -> pd.DataFrame:
    """Return the reliability table of one voice; see :func:`reaugkd.measures.calibration.reliability_table`."""
    return reliability_table(table[confidence_column(voice)].to_numpy(), (table[voice] == table["label"]).to_numpy())


def summary(answers: Answers, metric: str) -> dict[str, Any]:
    """Measure how good the answers are.

    Parameters
    ----------
    answers : Answers
        Answers to rows with gold labels.
    metric : str
        A key of :data:`reaugkd.measures.metrics.METRICS`.

    Returns
    -------
    dict
        ``rows``; ``score`` by voice, from 0 to 1, and its 95 % ``interval``; ``gain``, the answer's score less the
        student's, and the ends of its interval by the paired bootstrap; ``calibration_error`` by voice, from 0 to 1;
        and ``effects``: how many rows have each of :data:`reaugkd.method.answers.EFFECTS`.
    """
    gold, predicted = answers.labels, answers.predicted
    found = effects(gold, predicted["student"], predicted["answer"])
    return {
        "rows": len(gold),
        "score": {voice: METRICS[metric](gold, numbers) for voice, numbers in predicted.items()},
        "interval": {voice: score_interval(gold, numbers, metric) for voice, numbers in predicted.items()},
        "gain": interval(drawn_differences(gold, predicted["answer"], predicted["student"], metric)),
        "calibration_error": {
            voice: expected_calibration_error(values.max(axis=1), predicted[voice] == gold)
            for voice, values in answers.probabilities.items()
        },
        "effects": {effect: int((found == effect).sum()) for effect in EFFECTS},
    }
