"""How rows are listed on every page: which they are, how many, and the first of them in a table."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from pandas.api.types import is_numeric_dtype

from ..rendering import render
from ..scripts import source_with

if TYPE_CHECKING:
    Row = Mapping[Any, Any] | pd.Series[Any]

MAX_ROWS = 500
TEXTS = ("text", "text_pair", "other_text", "other_text_pair", "reason")
UNSORTED = ("", True)


def listed_html(which: str, rows: int, of: int = 0) -> str:
    """Say which rows are listed, and how many; of how many, where not all are."""
    return render("listed", which=which, rows=rows, of=of if of != rows else 0, most=MAX_ROWS)


def whose_label(row: "Row") -> str:
    """Say whose the label of a row is: of the data, of the person who edits, or of the teacher where it had none."""
    if row.get("edited"):
        return "your label"
    return "labelled by the teacher" if row.get("labelled_by") == "teacher" else "gold label"


def numbered(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Put the numbers of rows into a first column."""
    while name in rows.columns:
        name += " number"
    return rows.reset_index(names=name)


def next_order(rows: pd.DataFrame, column: str, before: tuple[str, bool]) -> tuple[str, bool]:
    """Return how a click on a column sorts: a second one the other way; figures have their highest value first."""
    is_figure = column != rows.columns[0] and is_numeric_dtype(rows[column])
    return column, not before[1] if column == before[0] else not is_figure


def in_order(rows: pd.DataFrame, column: str, ascending: bool) -> pd.DataFrame:
    """Sort rows by a column, what is missing last; rows without it keep their order."""
    if column not in rows.columns:
        return rows
    return rows.sort_values(
        column,
        ascending=ascending,
        kind="stable",
        key=lambda values: values if is_numeric_dtype(values) else values.astype("string"),
    )


def place_table(elem_id: str, **options: Any) -> gr.HTML:
    """Place a table: it says ``choose`` with ``rows``; ``ticks=True`` lets rows be ticked and edited by keys.

    A click on a header sorts what stands in the page; with ``sorts=True`` it says ``sort`` with ``column`` instead.
    """
    html: dict[str, Any] = {"js_on_load": source_with("row_table.js", "sort_rows"), "apply_default_css": False}
    return gr.HTML("", elem_id=elem_id, elem_classes="row-table", **html, **options)


def row_table(rows: pd.DataFrame, order: tuple[str, bool] = UNSORTED, edits: Mapping[int, str] | None = None) -> str:
    """Draw the first rows of a list.

    Parameters
    ----------
    rows : DataFrame
        Their numbers in its first column, where they can be opened.
    order : tuple of str and bool
        The column that they are sorted by, and whether its lowest value comes first.
    edits : mapping of int to str, optional
        What pending edits make of some of them, in a word; where it is given, rows can be ticked.
    """
    shown = rows.head(MAX_ROWS)
    return render(
        "row_table",
        columns=[str(name) for name in shown.columns],
        rows=[[_written(value) for value in row] for row in shown.itertuples(index=False, name=None)],
        texts=TEXTS,
        edits=edits,
        order=order,
        drawn=time.monotonic_ns(),
    )


def _written(value: object) -> object:
    """Write a figure with two digits after the point, and nothing for what is missing."""
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.2f}"
    return "" if value is None or value is pd.NA else value
