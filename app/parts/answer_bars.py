"""An answer in one sentence, in bars by class, and in parts that add up."""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from math import exp
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import reaugkd as rk
from reaugkd.method.pool import DECIDE_ABOUT_NEW
from reaugkd.plots.charts import VOICE_COLOURS

from ..rendering import fill_file
from .neighbour_table import NO_WEIGHT, signed, what_it_adds

SHOWN_CLASSES = 8
ROUNDING = 1e-9


class Part(NamedTuple):
    """A part of an answer's lead as it is drawn: the voice with its colour, its name, weight and value, and words."""

    voice: str
    name: str
    weight: float
    value: float
    says: str


def what_happened(explanation: "rk.Explanation") -> str:
    """Say in a sentence what the memory did to the answer."""
    return fill_file("happened.txt", explanation=explanation, decide=DECIDE_ABOUT_NEW)


def likeliest_classes(*explanations: "rk.Explanation") -> list[str]:
    """Return the classes that answers give most, in one order for all of them: by the most that any gives."""
    most: dict[str, float] = {}
    for explanation in explanations:
        for name, probability in zip(explanation.classes, explanation.probabilities.tolist(), strict=True):
            most[name] = max(probability, most.get(name, 0.0))
    return sorted(most, key=lambda name: -most[name])[:SHOWN_CLASSES]


def bars_of(
    explanation: "rk.Explanation", teacher: NDArray[np.floating] | None = None, order: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what the template ``answer_bars`` draws; the classes are those of an order, or else the likeliest."""
    voices: dict[str, NDArray[np.floating]] = {
        "student": explanation.student_probabilities,
        "memory": explanation.memory_probabilities,
        **({} if teacher is None else {"teacher": teacher}),
        "answer": explanation.probabilities,
    }
    numbers = {name: number for number, name in enumerate(explanation.classes)}
    classes = []
    for name in order or likeliest_classes(explanation):
        number = numbers.get(name, len(numbers))  # a class that only the other answer knows
        values = {voice: float(of[number]) if number < len(of) else None for voice, of in voices.items()}
        classes.append((name, name == explanation.label, values))
    parts = _parts(explanation)
    reached = list(accumulate((part.value for part in parts), initial=0.0))  # a bar begins where the one before ends
    return {
        "voices": voices,
        "classes": classes,
        "parts": list(zip(parts, reached[:-1], strict=True)),
        "ends": (min(reached), max(reached) if any(reached) else 1.0),
        "colours": VOICE_COLOURS,
        "explanation": explanation,
        "signed": partial(signed, explanation),
        "odds": exp(explanation.lead),
    }


def _parts(explanation: "rk.Explanation") -> list[Part]:
    """Return the parts that make the answer's lead: the student's, each key's, the decision on new classes."""
    weight, value, of_new = explanation.pool.weights[0], explanation.student_part, explanation.new_classes_part
    parts = [Part("student", "student", weight, value, signed(explanation, value) if weight else NO_WEIGHT)]
    for key in explanation.keys:
        words = signed(explanation, key.part) if key.part else what_it_adds(explanation, key)
        parts.append(Part(key.name, f"{key.name} key", key.settings.weight, key.part, words))
    if abs(of_new) > ROUNDING:
        parts.append(Part("new classes", "decision on new classes", 0.0, of_new, signed(explanation, of_new)))
    return parts
