"""The list of memories: a table whose rows can be opened, ticked, sorted and edited by keys."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence

import gradio as gr
import numpy as np
import pandas as pd

import reaugkd as rk
from reaugkd.texts import row_in_one_line

from ..rendering import render
from ..scripts import source
from .row_table import MAX_ROWS, whose_label

NOT_OPENED = "<p>Click a row to edit it, or tick several.</p>"
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


def opened_html(model: "rk.ReAugKDClassifier", numbers: Sequence[int]) -> str:
    """Show the memory that is chosen, or say how many are."""
    if not numbers:
        return NOT_OPENED
    memory = model.memory
    if len(numbers) > 1:
        labels = Counter(memory.rows["label"].iloc[list(numbers)]).most_common()
        return render("ticked", count=len(numbers), labels=labels)
    row = memory.rows.iloc[numbers[0]]
    soft_labels = None if row.get("edited") or row.get("labelled_by") else memory.soft_labels[numbers[0]]
    return render(
        "memory",
        id=row["id"],
        text=row_in_one_line(row),
        whose=whose_label(row),
        label=row["label"],
        is_adopted=model.settings.is_adopted,
        teacher=None if soft_labels is None else memory.classes[int(soft_labels.argmax())],
        probability=0 if soft_labels is None else soft_labels.max(),
    )


def _written(value: object) -> object:
    """Write a figure with two digits after the point, and nothing for what is missing."""
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.2f}"
    return "" if value is None else value
