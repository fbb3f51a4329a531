"""How rows are listed on every page: which they are, how many, and the first of them in a table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

from ..rendering import render

if TYPE_CHECKING:
    Row = Mapping[Any, Any] | pd.Series[Any]

MAX_ROWS = 500
# In pixels. What a memory fixes and breaks stays in sight on a screen of 1280.
WIDTHS = {
    "row": 60,
    "point": 70,
    "number": 90,
    "kind": 90,
    "text": 400,
    "text_pair": 320,
    "other_text": 400,
    "fixes": 75,
    "breaks": 85,
    "first_probability": 170,
    "second_probability": 180,
    "outcome": 175,
}


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


def row_table(rows: pd.DataFrame, widths: Mapping[str, int] | None = None, **options: Any) -> gr.Dataframe:
    """Fill a table with the first rows, figures with two digits after the point; what is missing is empty."""
    shown, width_of = rows.head(MAX_ROWS).round(2), {**WIDTHS, **(widths or {})}
    if shown.isna().any(axis=None):
        shown = shown.astype(object).where(shown.notna(), "")
    return gr.Dataframe(shown, column_widths=[width_of.get(str(name), 110) for name in shown.columns], **options)
