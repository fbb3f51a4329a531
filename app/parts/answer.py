"""One text on a page: examples of it, the student run on it, and how its answer is shown."""

from dataclasses import replace
from typing import TYPE_CHECKING

import reaugkd as rk
from reaugkd.texts import Text, in_one_line, texts_of

from ..rendering import render
from .answer_bars import bars_of, what_happened

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    import numpy as np
    from numpy.typing import NDArray

    from reaugkd.method.answers import EncodedTexts

EXAMPLES = 6
LONGEST_EXAMPLE = 60  # Gradio cuts longer ones
LONGEST_SHOWN = 200


def example_texts(model: "rk.ReAugKDClassifier") -> list[Text]:
    """Choose short texts that the student was not trained on, one of each of several labels."""
    rows = model.evaluation_rows
    rows = model.memory.rows if rows is None else rows[rows["split"] == "test"]
    columns = ["text", "text_pair"] if model.settings.is_pair else ["text"]
    short = rows[rows[columns].apply(lambda texts: texts.str.len()).sum(axis=1) <= LONGEST_EXAMPLE]
    chosen = (rows if short.empty else short).groupby("label", sort=False).head(1).head(EXAMPLES)
    return texts_of(chosen, model.settings.is_pair)


def asked_text(model: "rk.ReAugKDClassifier", text: str, text_pair: str = "") -> "EncodedTexts":
    """Run the student on one text, or on a pair where the model takes pairs; the teacher too where it was kept."""
    encoded, teacher = model.encode([(text, text_pair) if model.settings.is_pair else text]), model.teacher
    return encoded if teacher is None else replace(encoded, teacher_probabilities=teacher.encode(encoded.texts)[1])


def teacher_of(asked: "EncodedTexts") -> "NDArray[np.float32] | None":
    """Return the teacher's probabilities (C,) of an asked text, None where it was not kept."""
    return None if asked.teacher_probabilities is None else asked.teacher_probabilities[0]


def shortened(text: str, longest: int) -> str:
    """Cut a text that has more characters than this."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def answer_html(explanation: "rk.Explanation", teacher: "NDArray[np.floating] | None" = None) -> str:
    """Say the answer, what the memory did to it, and what it adds up from."""
    return render(
        "answer",
        text=shortened(in_one_line(explanation.text), LONGEST_SHOWN),
        label=explanation.label,
        probability=max(explanation.probabilities),
        happened=what_happened(explanation),
        **bars_of(explanation, teacher),
    )
