"""What is guessed on the app's Learn page: which texts teach, how they are answered, and what is so."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import reaugkd as rk
from reaugkd.method.pool import KeySettings, Pool

if TYPE_CHECKING:  # torch takes seconds to import, and a page that shows these words does not wait for it
    from reaugkd.method.answers import Answers

NEIGHBOURS = 8
WEIGHT = 0.5
GUESSED_CLASSES = 8


def lesson_settings(model: "rk.ReAugKDClassifier", retrieval_weight: float = WEIGHT) -> Pool:
    """Return how texts are answered on the Learn page: by the paper's linear blend, with 8 neighbours by one key."""
    keys = model.pool.keys
    name = max(keys, key=lambda name: keys[name].weight)
    settings = KeySettings(min(NEIGHBOURS, len(model.memory)), keys[name].temperature)
    return Pool({name: settings}, kind="linear", retrieval_weight=retrieval_weight)


def teaching_order(answers: "Answers", seed: int = 0) -> NDArray[np.int64]:
    """Order rows so that four in a row teach: two on which student and memory differ, an error of both, one plain.

    Student, memory, answer and gold label all agree on the plain rows alone: where student and memory name the same
    class, so does every blend of them. When one kind of row is used up, the others go on.
    """
    generator = np.random.default_rng(seed)
    rows, predicted = generator.permutation(len(answers.encoded)), answers.predicted
    student, memory = predicted["student"][rows], predicted["memory"][rows]
    differ, wrong = student != memory, student != answers.labels[rows]
    blocks = np.empty(len(rows))
    for kind, a_block in ((differ, 2), (~differ & wrong, 1), (~differ & ~wrong, 1)):
        blocks[kind] = np.arange(kind.sum()) // a_block
    return rows[np.argsort(blocks + generator.random(len(rows)))].astype(np.int64)


def truths(explanation: "rk.Explanation") -> dict[str, str]:
    """Return what is to be guessed before an answer is revealed, and what is so."""
    return {
        "The student alone": explanation.student_label,
        "The memory": explanation.memory_label,
        "Retrieval changes the answer": "yes" if explanation.label != explanation.student_label else "no",
    }


def guessed_classes(explanation: "rk.Explanation", gold: str) -> list[str]:
    """Return the classes to guess among: at most 8, with the gold one and those that student and memory name."""
    likely = np.array(explanation.memory_probabilities)
    known = len(explanation.student_probabilities)
    likely[:known] = np.maximum(likely[:known], explanation.student_probabilities)
    named = (explanation.student_label, explanation.memory_label, gold)
    likely[[explanation.classes.index(name) for name in named]] = 2  # before all others
    shown = np.sort(np.argsort(-likely, kind="stable")[:GUESSED_CLASSES])
    return [explanation.classes[number] for number in shown]
