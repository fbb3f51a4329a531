"""Where answers go wrong: confusion, disagreement of the voices, calibration, slices, and the rows behind each."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from reaugkd.errors import ReAugKDError, quoted
from reaugkd.measures.calibration import confidence_column, expected_calibration_error, reliability_table
from reaugkd.measures.metrics import METRICS, accuracy_interval, drawn_differences, interval, score_interval
from reaugkd.method.answers import EFFECTS, Answers, effects
from reaugkd.texts import check_whole

TEXTS = ("text", "text_pair", "other_text", "other_text_pair")
VOICES = ("teacher", "student", "memory", "answer")
LENGTH, NEAREST = "words", "nearest"
FEWEST_ROWS = 10
MOST_VALUES = 200  # a column of more names is no kind of row, such as a date
QUARTERS = 4
_NOT_SLICED = {"id", "split", *TEXTS, *VOICES, *map(confidence_column, VOICES), "effect", "flip", "is_sure"}


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
            raise ReAugKDError(f"There is no column {quoted(wrong[0])} to filter by in this way; choose another.")
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


def sliceable_table(answers: Answers, instead_of: Answers | None = None) -> pd.DataFrame:
    """Return the table of answers with two more columns to slice and to filter by.

    Parameters
    ----------
    answers : Answers
        Answers to N rows with gold labels.
    instead_of : Answers, optional
        As :meth:`Answers.table` takes it.

    Returns
    -------
    DataFrame
        As :meth:`Answers.table`, then ``words``, how many a text has (of a pair both together), and for each key
        ``nearest_KEY``, the cosine of the nearest memory by it: how much the row overlaps with train.
    """
    table = answers.table(instead_of)
    texts = table["text"] if "text_pair" not in table else table["text"] + " " + table["text_pair"]
    found: dict[str, Any] = {LENGTH: [len(text.split()) for text in texts]}
    found |= {f"{NEAREST}_{key}": answers.scores(key) for key in answers.retrieved}
    return table.assign(**{name: values for name, values in found.items() if name not in table})


def slices(table: pd.DataFrame, fewest: int = FEWEST_ROWS) -> pd.DataFrame:
    """Measure the answers slice by slice, the worst first.

    A slice is the rows of one value of a column, or of one quarter of a column of numbers. Fisher's exact test asks
    whether its answers are wrong more often than those of all other rows; its p-values are corrected for the number of
    slices by Holm's method, which holds however much slices overlap.

    Parameters
    ----------
    table : DataFrame
        N rows, by :func:`sliceable_table`.
    fewest : int
        How many rows a slice has at least; smaller ones are left out.

    Returns
    -------
    DataFrame
        A row for each slice: ``column`` and ``value``; ``rows``; ``accuracy`` with its 95 % interval ``low`` to
        ``high``; how many rows the memory ``fixed`` and ``broken``; the corrected ``p_value``; ``is_worse``, whether
        that is below 0.05; and ``row_filter``, the :class:`RowFilter` that lets its rows pass.

    Examples
    --------
    >>> table = sliceable_table(model.answer(model.encode_rows(model.held_out(["test"]))))
    >>> worst = slices(table).iloc[0]
    >>> len(worst["row_filter"].of(table)) == int(worst["rows"])
    True
    """
    right, rows = (table["answer"] == table["label"]).to_numpy(), []
    fixed, broken = (table["effect"] == "fixed").to_numpy(), (table["effect"] == "broken").to_numpy()
    for column, value, row_filter, inside in _slices_of(table):
        count, hits = int(inside.sum()), int(right[inside].sum())
        if not fewest <= count < len(right):
            continue
        low, high = accuracy_interval(hits, count)
        # Fisher's exact test, one-sided: at least so many of all wrong answers are of the slice by chance.
        p_value = stats.hypergeom.sf(count - hits - 1, len(right), (~right).sum(), count)
        effects = int(fixed[inside].sum()), int(broken[inside].sum())
        rows.append((column, value, count, hits / count, low, high, *effects, p_value, row_filter))
    names = ["column", "value", "rows", "accuracy", "low", "high", "fixed", "broken", "p_value", "row_filter"]
    found = pd.DataFrame(rows, columns=names)
    found["p_value"] = holm(found["p_value"].astype(float))
    found.insert(names.index("row_filter"), "is_worse", found["p_value"] < 0.05)
    return found.sort_values(["accuracy", "high"], kind="stable", ignore_index=True)


def holm(p_values: "pd.Series[float]") -> "pd.Series[float]":
    """Correct p-values for their number (Holm 1979): the smallest of m times m, the next times m - 1, none falling."""
    ordered = p_values.sort_values()
    return (ordered * np.arange(len(ordered), 0, -1)).cummax().clip(upper=1.0).reindex(p_values.index)


Slice = tuple[str, str, RowFilter, NDArray[np.bool_]]  # its column, its value in words, its filter, its rows


def _slices_of(table: pd.DataFrame) -> Iterator[Slice]:
    for column in (str(name) for name in table.columns if name not in _NOT_SLICED):
        values = table[column]
        if pd.api.types.is_numeric_dtype(values) and values.dtype != bool and values.nunique() > QUARTERS:
            yield from _quarters(column, values.astype(float))
        elif 1 < values.nunique() <= MOST_VALUES:
            names = values.astype(str).to_numpy()
            for value in sorted(set(names[values.notna()])):
                yield column, value, RowFilter(equal={column: value}), names == value


def _quarters(column: str, values: "pd.Series[float]") -> Iterator[Slice]:
    """Cut numbers at their quartiles, midway between two of them, so that no row lies on an edge."""
    distinct = np.unique(values.dropna())
    middles = (distinct[:-1] + distinct[1:]) / 2
    cuts = np.quantile(values.dropna(), np.arange(1, QUARTERS) / QUARTERS)
    inner = np.unique(middles[np.searchsorted(middles, cuts).clip(max=len(middles) - 1)])
    for low, high in pairwise([float(distinct[0]) - 1, *inner.tolist(), float(distinct[-1])]):
        inside = ((values > low) & (values <= high)).to_numpy()
        ends = f"{values[inside].min():.3g} to {values[inside].max():.3g}"
        yield column, ends, RowFilter(between={column: (low, high)}), inside
