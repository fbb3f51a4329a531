"""The neighbours of an answer as HTML tables, one for each key."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import reaugkd as rk
from reaugkd.plots.charts import OTHER_COLOUR, PALETTE, VOICE_COLOURS

from ..rendering import render

if TYPE_CHECKING:  # a page that draws does not wait for FAISS
    from reaugkd.analysis.shared_words import Spans
    from reaugkd.model.explanation import KeyPart

SHOWN_CLASSES = 3
SHOWN_FIRST = 8  # neighbours; style.css hides the others until one asks for all
SHOWN_PROBABILITY = 0.005  # the bar of less would be too short to see
NO_WEIGHT = "has no weight"


def neighbour_table(
    explanation: "rk.Explanation",
    relabel_as: Sequence[str] = (),
    only: str = "",
    marks: "Mapping[int, Spans] | None" = None,
    costs: Mapping[str, float] | None = None,
) -> str:
    """Make a table for each key of the memory, the key that adds most to the answer first, or for one key alone.

    ``marks`` are words to mark, by the number of a memory; ``costs`` are milliseconds, by the name of a key.
    """

    def soft_label(neighbour: "rk.Neighbour") -> Iterator[tuple[str, float, str]]:
        for number in (-neighbour.soft_labels).argsort(kind="stable")[:SHOWN_CLASSES].tolist():
            probability = float(neighbour.soft_labels[number])
            colour = PALETTE[number] if len(explanation.classes) <= len(PALETTE) else OTHER_COLOUR
            if probability >= SHOWN_PROBABILITY:
                yield explanation.classes[number], probability, colour

    shown = [key for key in explanation.keys_by_part if only in ("", key.name)]
    return render(
        "neighbours",
        keys=[(key, what_it_adds(explanation, key)) for key in shown],
        costs=costs or {},
        marks=marks,
        pieces=marked_pieces,
        relabel_as=relabel_as,
        soft_label=soft_label,
        first=SHOWN_FIRST,
        colours=VOICE_COLOURS,
    )


def marked_pieces(text: str, spans: "Spans") -> list[tuple[str, bool]]:
    """Cut a text at the words to mark: its pieces in order, and whether each is marked."""
    ends = [0, *(place for span in spans for place in span), len(text)]
    return [(text[start:end], number % 2 == 1) for number, (start, end) in enumerate(pairwise(ends)) if start < end]


def what_it_adds(explanation: "rk.Explanation", key: "KeyPart") -> str:
    """Say in a few words what a key adds to an answer, and for whom it speaks where that is below 0."""
    if not key.part and explanation.new_classes_part and key.name == explanation.pool.new_class_key:
        return "decides about new classes"
    if not key.part and not key.settings.weight:
        return NO_WEIGHT
    value = signed(explanation, key.part)
    return f"adds {value}" + (f": speaks for {explanation.runner_up}" if value.startswith("-") else "")


def signed(explanation: "rk.Explanation", part: float) -> str:
    """Write a part of an answer: log-odds, or in a linear pool points of probability."""
    digits, scale = (1, 100) if explanation.pool.kind == "linear" else (2, 1)
    return f"{round(scale * part, digits) + 0.0:+.{digits}f}"  # + 0.0: a rounded minus zero has no sign
