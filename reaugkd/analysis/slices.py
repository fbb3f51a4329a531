"""On which kinds of rows is a model worse than elsewhere? By label, length, overlap with train and any column."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from reaugkd.analysis.error_analysis import TEXTS, VOICES, RowFilter
from reaugkd.measures.calibration import confidence_column
from reaugkd.measures.metrics import accuracy_interval
from reaugkd.method.answers import Answers

LENGTH, NEAREST = "words", "nearest"
FEWEST_ROWS = 10
MOST_VALUES = 200  # a column of more names is no kind of row, such as a date
QUARTERS = 4
Slice = tuple[str, str, RowFilter, NDArray[np.bool_]]  # its column, its value in words, its filter, its rows
_NOT_SLICED = {"id", "split", *TEXTS, *VOICES, *map(confidence_column, VOICES), "effect", "flip", "is_sure"}


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
    corrected = (ordered * np.arange(len(ordered), 0, -1)).cummax().clip(upper=1.0)
    return corrected.reindex(p_values.index)


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
