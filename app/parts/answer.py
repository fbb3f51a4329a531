"""One text on a page: examples of it, the student run on it, and how its answer is shown."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

import reaugkd as rk
from reaugkd.texts import Text, in_one_line, texts_of

from ..computed import cached, encoded_rows
from ..rendering import render
from .answer_bars import bars_of, what_happened
from .neighbour_table import marked_pieces

if TYPE_CHECKING:  # torch takes seconds to import: the page opens first
    from reaugkd.analysis.shared_words import Spans

EXAMPLES = 24  # classes; of more, the examples would fill the page
TRIED = 1_000  # test rows among which an example is looked for: of more, the page would open late
LONGEST_SHOWN = 200


@cached(4)
def example_texts(model: "rk.ReAugKDClassifier") -> list[Text]:
    """Choose texts that the student was not trained on: first one that the memory puts right, then one a class."""
    from reaugkd.analysis.examples import telling_rows

    if model.evaluation_rows is None:
        rows = model.memory.rows.groupby("label", sort=False).head(1)
        return texts_of(rows.head(EXAMPLES), model.settings.is_pair)
    rows = model.held_out(["test"])  # all, where they are few: the maps need them too
    encoded = encoded_rows(model, "test") if len(rows) <= TRIED else model.encode_rows(rows.head(TRIED))
    return [encoded.texts[row] for row in telling_rows(model.answer(encoded))[:EXAMPLES]]


@cached(4)
def known_texts(model: "rk.ReAugKDClassifier") -> dict[Text, dict[Any, Any]]:
    """Return what a model knows of the texts that it carries, once."""
    from reaugkd.analysis.examples import known_rows

    return known_rows(model)


@cached(4)
def key_costs(model: "rk.ReAugKDClassifier") -> dict[str, float]:
    """Measure what each key costs on this machine, in milliseconds, once, on the first of the examples."""
    from reaugkd.analysis.key_cost import milliseconds

    return milliseconds(model, example_texts(model)[0])


def marked_words(
    model: "rk.ReAugKDClassifier", explanation: "rk.Explanation", key: str
) -> "tuple[Spans, dict[int, Spans] | None]":
    """Return the words that a text shares with its neighbours by the text key, of both; None for another key."""
    from reaugkd.analysis.shared_words import shared_words
    from reaugkd.method.text_key import TextKey

    of_model = model.keys[key]
    if not isinstance(of_model, TextKey):
        return [], None
    neighbours = next(part for part in explanation.keys if part.name == key).neighbours
    texts, numbers = zip(*((neighbour.text, neighbour.number) for neighbour in neighbours), strict=True)
    own, others = shared_words(of_model, explanation.text, texts, model.memory.keys[key][list(numbers)])
    return own, dict(zip(numbers, others, strict=True))


def asked_text(model: "rk.ReAugKDClassifier", text: str, text_pair: str = "") -> "rk.EncodedTexts":
    """Run the student on one text or pair, with what is known of it: its row, and what the teacher says."""
    asked: Text = (text, text_pair) if model.settings.is_pair else text
    encoded, known = model.encode([asked]), known_texts(model).get(asked, {})
    said = known.get("teacher_soft_labels")
    if said is None and model.teacher is not None:
        said = model.teacher.encode([asked])[1][0]
    rows = pd.DataFrame([known]) if known else None
    return replace(encoded, rows=rows, teacher_probabilities=None if said is None else said[None])


def shortened(text: str, longest: int) -> str:
    """Cut a text that has more characters than this."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def answer_html(
    explanation: "rk.Explanation",
    asked: "rk.EncodedTexts | None" = None,
    order: Sequence[str] = (),
    marks: "Spans | None" = None,
) -> str:
    """Say the answer, whether it is right, what the memory did to it, and what it adds up from.

    An order of classes is for two answers that stand side by side; ``marks`` are words of the text to mark.
    """
    whole = in_one_line(explanation.text)
    text = shortened(whole, LONGEST_SHOWN)
    teacher = None if asked is None or asked.teacher_probabilities is None else asked.teacher_probabilities[0]
    return render(
        "answer",
        text=marked_pieces(text, [span for span in marks or [] if span[1] <= len(text) - (text != whole)]),
        characters_read=sum(explanation.characters_read or ()),
        unread=shortened(explanation.unread, LONGEST_SHOWN),
        gold=None if asked is None or asked.rows is None else asked.rows.iloc[0].to_dict(),
        teacher_label=None if teacher is None else explanation.classes[int(teacher.argmax())],
        happened=what_happened(explanation),
        **bars_of(explanation, teacher, order),
    )
