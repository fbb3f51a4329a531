"""The list of memories: a table whose rows can be opened, ticked, sorted and edited by keys."""

import time
from collections.abc import Mapping

import gradio as gr
import numpy as np
import pandas as pd

from ..rendering import render
from ..scripts import source
from .row_table import MAX_ROWS

TEXTS = ("text", "text_pair", "other_text", "other_text_pair")


def place_rows(elem_id: str) -> gr.HTML:
    """Place the list; it says ``choose`` with the rows, ``sort``, ``relabel``, ``remove`` and ``undo``."""
    return gr.HTML("", elem_id=elem_id, js_on_load=source("memory_rows.js"), apply_default_css=False)


def rows_html(rows: pd.DataFrame, edits: Mapping[int, str], sorted_by: str, ascending: bool) -> str:
    """Draw the first memories of a list.

    Parameters
    ----------
    rows : DataFrame
        With ``number``, the row of the memory.
    edits : mapping of int to str
        What the pending edits make of some of them, in a word.
    sorted_by : str
        The column that the list is sorted by.
    ascending : bool
        Whether its lowest value comes first.
    """
    shown = rows.head(MAX_ROWS)
    columns = [str(name) for name in shown.columns]
    return render(
        "memory_rows",
        columns=columns,
        rows=[{str(name): _written(value) for name, value in row.items()} for row in shown.to_dict("records")],
        edits=edits,
        texts=TEXTS,
        sorted_by=sorted_by,
        ascending=ascending,
        drawn=time.monotonic_ns(),
    )


def _written(value: object) -> object:
    """Write a figure with two digits after the point, and nothing for what is missing."""
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.2f}"
    return "" if value is None else value
