"""An answer in one sentence, in bars by class, and in parts that add up."""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

import reaugkd as rk
from reaugkd.method.pool import DECIDE_ABOUT_NEW
from reaugkd.plots.charts import VOICE_COLOURS

from ..rendering import fill_file
from .neighbour_table import NO_WEIGHT, signed, what_it_adds

SHOWN_CLASSES = 8
ROUNDING = 1e-9
STUDENT, NEW_CLASSES = "student", "new classes"  # as in reaugkd.model.explanation, whose import takes seconds


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
    parts = {name: part for name, part in explanation.parts.items() if name != NEW_CLASSES or abs(part) > ROUNDING}
    reached = list(accumulate(parts.values(), initial=0.0))  # a bar begins where the one before ends
    return {
        "voices": voices,
        "classes": classes,
        "parts": list(zip(parts.items(), reached[:-1], strict=True)),
        "weights": {
            STUDENT: explanation.pool.weights[0],
            **{key.name: key.settings.weight for key in explanation.keys},
        },
        "idle": {STUDENT: NO_WEIGHT, **{key.name: what_it_adds(explanation, key) for key in explanation.keys}},
        "ends": (min(reached), max(reached) if any(reached) else 1.0),
        "colours": VOICE_COLOURS,
        "explanation": explanation,
        "signed": partial(signed, explanation),
        "odds": exp(explanation.lead),
    }
