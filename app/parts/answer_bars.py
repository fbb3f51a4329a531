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
    given = [both for each in explanations for both in zip(each.classes, each.probabilities.tolist(), strict=True)]
    given.sort(key=lambda both: -both[1])
    return [*dict.fromkeys(name for name, _ in given)][:SHOWN_CLASSES]


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
    # The student knows no class that came after its training, and an order may name classes of the other answer alone.
    said = {voice: dict(zip(explanation.classes, of.tolist(), strict=False)) for voice, of in voices.items()}
    names = order or likeliest_classes(explanation)
    parts = {name: part for name, part in explanation.parts.items() if name != NEW_CLASSES or abs(part) > ROUNDING}
    reached = list(accumulate(parts.values(), initial=0.0))  # a bar begins where the one before ends
    return {
        "voices": voices,
        "classes": {name: {voice: of.get(name) for voice, of in said.items()} for name in names},
        "parts": list(zip(parts.items(), reached[:-1], strict=True)),
        "weights": {STUDENT: explanation.pool.weights[0]} | {key.name: key.settings.weight for key in explanation.keys},
        "idle": {STUDENT: NO_WEIGHT, **{key.name: what_it_adds(explanation, key) for key in explanation.keys}},
        "ends": (min(reached), max(reached) if any(reached) else 1.0),
        "colours": VOICE_COLOURS,
        "explanation": explanation,
        "signed": partial(signed, explanation),
        "odds": exp(explanation.lead),
    }
