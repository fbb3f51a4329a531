"""The texts that must stay right whatever is edited; the browser keeps them, and a saved version."""

from typing import Any

import pandas as pd

import reaugkd as rk
from reaugkd.errors import ReAugKDError
from reaugkd.texts import row_in_one_line, text_of_row

from ..rendering import fill_file, render

Kept = dict[str, dict[str, Any]]  # by model: the texts that must stay right, and which edits were saved as what
Pins = list[dict[str, str]]


def pinned_texts(kept: Kept, name: str, model: "rk.ReAugKDClassifier") -> Pins:
    """Return the texts that must stay right: those that the browser keeps, or else those of the model."""
    saved = [] if model.pinned is None else model.pinned.to_dict("records")
    found: Pins = kept.get(name, {}).get("pinned", saved)
    return found


def with_kept(kept: Kept, name: str, **parts: Any) -> Kept:
    """Return what the browser keeps, with parts of a model's replaced."""
    return {**kept, name: {**kept.get(name, {}), **parts}}


def pinned_too(pinned: Pins, model: "rk.ReAugKDClassifier", row: dict[Any, Any]) -> Pins:
    """Pin one more text, which the model must answer right now."""
    if "label" not in row:
        raise ReAugKDError("The text has no label; say which answer is right.")
    said = str(model.predict([text_of_row(row)])[0])
    if said != row["label"]:
        raise ReAugKDError(f"The answer is {said}, not {row['label']}; only a text that is right can be pinned.")
    return [*(each for each in pinned if text_of_row(each) != text_of_row(row)), row]


def pins_html(pinned: Pins, model: "rk.ReAugKDClassifier") -> str:
    """List the texts that must stay right, with what a model answers."""
    texts = [text_of_row(row) for row in pinned]
    answers: Any = model.predict(texts) if texts else []
    lines = [row | {"text": row_in_one_line(row), "answer": said} for row, said in zip(pinned, answers, strict=True)]
    return render("pins", pins=lines)


def broken_in_words(before: "rk.ReAugKDClassifier", after: "rk.ReAugKDClassifier", pinned: Pins) -> str:
    """Say which texts must stay right and break; nothing where none breaks."""
    from reaugkd.analysis.edit_effects import broken_pins

    broken = broken_pins(before, after, pd.DataFrame(pinned))
    if broken.empty:
        return ""
    first = broken.iloc[0].to_dict()
    return fill_file("broken.txt", text=row_in_one_line(first), row=first, others=len(broken) - 1)
