"""Boxes of the forms that train: for a line, and for the columns of an uploaded table that hold text and label."""

from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from reaugkd.errors import ReAugKDError

from ..listening import Updates

TABLES = [".csv", ".tsv", ".jsonl", ".parquet"]
COLUMNS = {"text": "Text", "text_pair": "Second text, if any", "label": "Label"}


def line_box(label: str, elem_id: str, **options: Any) -> gr.Textbox:
    """Place an empty box for one line."""
    return gr.Textbox("", label=label, max_lines=1, elem_id=elem_id, **options)


def place_columns(page: str) -> dict[str, gr.Dropdown]:
    """Place a box for each column, by the names that the library's readers give them."""
    options: dict[str, Any] = {"allow_custom_value": True, "min_width": 120}
    with gr.Row():
        return {
            f"{name}_column": gr.Dropdown([], label=label, elem_id=f"{page}-{name}-column", **options)
            for name, label in COLUMNS.items()
        }


def filled_columns(boxes: dict[str, gr.Dropdown], rows: pd.DataFrame | None) -> Updates:
    """Offer a table's columns, those chosen that are guessed; no table empties the boxes."""
    columns = [] if rows is None else [str(name) for name in rows.columns]
    text, label = guessed_columns(columns) if columns else (None, None)
    guesses = zip(boxes.values(), (text, None, label), strict=True)
    return {box: gr.Dropdown(columns, value=guess) for box, guess in guesses}


def guessed_columns(columns: list[str]) -> tuple[str, str]:
    """Guess which columns hold text and label."""
    named = {name.lower(): name for name in reversed(columns)}
    text = next((named[name] for name in ("text", "sentence", "review", "query") if name in named), columns[0])
    label = next((named[name] for name in ("label", "labels", "class", "category") if name in named), columns[-1])
    return text, label


def uploaded_rows(path: str) -> pd.DataFrame:
    """Read an uploaded table; refuse one without rows."""
    from reaugkd.tasks.sources import read_table

    rows = read_table(path)
    if rows.empty:
        raise ReAugKDError(f"{Path(path).name!r} has no rows; give a table with at least two classes.")
    return rows
