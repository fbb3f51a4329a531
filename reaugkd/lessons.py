"""Lessons for the app's Learn page: which texts teach, what is guessed of them, and the words of the guided tasks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reaugkd.pool import KeySettings, Pool

if TYPE_CHECKING:  # torch takes seconds to import, and a page that shows these words does not wait for it
    from reaugkd.answers import Answers
    from reaugkd.classifier import ReAugKDClassifier
    from reaugkd.explanation import Explanation

NEIGHBOURS = 8
WEIGHT = 0.5
GUESSED_CLASSES = 8


def lesson_settings(model: "ReAugKDClassifier", retrieval_weight: float = WEIGHT) -> Pool:
    """Return how texts are answered on the Learn page: by the paper's linear blend, with 8 neighbours by one key.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model; the key is the one that its own pool gives most weight, among equals the first.
    retrieval_weight : float
        λ.

    Returns
    -------
    Pool
        Of the kind ``linear``; τ_r is as chosen in training.
    """
    keys = model.pool.keys
    name = max(keys, key=lambda name: keys[name].weight)
    settings = KeySettings(min(NEIGHBOURS, len(model.memory)), keys[name].temperature)
    return Pool({name: settings}, kind="linear", retrieval_weight=retrieval_weight)


def teaching_order(answers: "Answers", seed: int = 0) -> NDArray[np.int64]:
    """Order rows such that four in a row teach: two on which student and memory differ, an error of both, one plain.

    Student, memory, answer and gold label all agree on the plain rows alone: where student and memory name the same
    class, so does every blend of them. When one kind of row is used up, the others go on.

    Parameters
    ----------
    answers : Answers
        Answers to N rows with gold labels, by any λ.
    seed : int
        Seed of the draw.

    Returns
    -------
    (N,) int64
        Numbers of all rows, each once.
    """
    generator = np.random.default_rng(seed)
    rows, predicted = generator.permutation(len(answers.encoded)), answers.predicted
    student, memory = predicted["student"][rows], predicted["memory"][rows]
    differ, wrong = student != memory, student != answers.labels[rows]
    blocks = np.empty(len(rows))
    for kind, a_block in ((differ, 2), (~differ & wrong, 1), (~differ & ~wrong, 1)):
        blocks[kind] = np.arange(kind.sum()) // a_block
    return rows[np.argsort(blocks + generator.random(len(rows)))].astype(np.int64)


@dataclass(frozen=True)
class Guess:
    """What a learner guessed before an answer was revealed.

    Parameters
    ----------
    about : str
        What was guessed.
    given : str
        The guess.
    truth : str
        What is so.
    """

    about: str
    given: str
    truth: str

    @property
    def is_right(self) -> bool:
        """Whether it was guessed right."""
        return self.given == self.truth


def judged_guesses(explanation: "Explanation", student: str, memory: str, changes: str) -> list[Guess]:
    """Hold a learner's guesses against the answer.

    Parameters
    ----------
    explanation : Explanation
        The answer.
    student, memory : str
        The classes that the learner expects of each.
    changes : str
        ``yes`` if retrieval is expected to change the student's answer, else ``no``.

    Returns
    -------
    list of Guess
        Three.
    """
    alone = explanation.student_label
    changed = "yes" if explanation.label != alone else "no"
    return [
        Guess("The student alone", student, alone),
        Guess("The memory", memory, explanation.memory_label),
        Guess("Retrieval changes the answer", changes, changed),
    ]


def guessed_classes(explanation: "Explanation", gold: str) -> tuple[str, ...]:
    """Return the classes to guess among: at most 8, with the gold one and those that student and memory name.

    Parameters
    ----------
    explanation : Explanation
        The answer that is to be guessed.
    gold : str
        The gold label.

    Returns
    -------
    tuple of str
        In the order of the model's classes, which tells nothing.
    """
    likely = np.array(explanation.memory_probabilities)
    known = len(explanation.student_probabilities)
    likely[:known] = np.maximum(likely[:known], explanation.student_probabilities)
    named = {explanation.classes.index(name) for name in (explanation.student_label, explanation.memory_label, gold)}
    others = [number for number in np.argsort(-likely, kind="stable").tolist() if number not in named]
    kept = sorted([*named, *others[: GUESSED_CLASSES - len(named)]])
    return tuple(explanation.classes[number] for number in kept)


@dataclass(frozen=True)
class Lesson:
    """The words of a task; what stands in curly brackets is filled in for a model.

    Parameters
    ----------
    key, title : str
        Its name, and its heading.
    kind : str
        How it is answered: ``number``, ``one`` of the options or ``several`` of them.
    question : str
        What is asked.
    formula : str
        The formula that it is about.
    hints : tuple of str
        What helps, the vaguer first.
    solution : str
        The right answer, and why.
    """

    key: str
    title: str
    kind: str
    question: str
    formula: str
    hints: tuple[str, str]
    solution: str


LESSONS = (
    Lesson(
        "weight",
        "When does the memory win?",
        "number",
        "The student alone calls this {alone}; its {k} nearest memories call it {memory}. The student gives "
        "ŷ[{alone}] = {student_alone:.3f} and ŷ[{new}] = {student_new:.3f}, the memory r[{alone}] = "
        "{memory_alone:.3f} and r[{new}] = {memory_new:.3f}. What is the smallest λ, in steps of 0.01, at which the "
        "linear blend no longer answers {alone}? Within 0.05 is right. The page Query answers by the logarithmic pool, "
        "which may turn at another λ.",
        "p = (1 − λ) ŷ + λ r",
        (
            "λ = 0 is the student alone, λ = 1 the memory alone. Try 0.5: what is said of it tells whether λ must be "
            "larger or smaller. Halve what is left, and halve again.",
            "The answer turns where both classes are level: (1 − λ) ŷ[{alone}] + λ r[{alone}] = (1 − λ) ŷ[{new}] + "
            "λ r[{new}]. Solve it for λ.",
        ),
        "λ = {weight:.2f}. The student is ahead by a = ŷ[{alone}] − ŷ[{new}] = {ahead:.3f}, the memory leads the other "
        "way by b = r[{new}] − r[{alone}] = {behind:.3f}. The classes are level at a / (a + b) = {level:.3f}, and at "
        "the next step the answer is {new}.",
    ),
    Lesson(
        "memories",
        "Which memories decide it?",
        "several",
        "With λ = {weight:g} the linear blend turns the student's {alone} into {answer}. These are the memories that "
        "it averages. Without which of them would the answer be another one? Take as few as you can; an answer may be "
        "checked as often as you like. The page Query strikes memories out of the logarithmic pool.",
        "r = Σₖ wₖ ȳₖ",
        (
            "When a memory is struck out, the next nearest takes its place, so the answer may well stay. Begin with "
            "the nearest memories that speak for {answer}: they have the largest share of it.",
            "It takes {count}. On the page Query, the button “Which memories decide it?” names such a set for the "
            "logarithmic pool.",
        ),
        "Without {listed} the answer is {without}.",
    ),
    Lesson(
        "classes",
        "What does the student mix up?",
        "one",
        "Which two classes does the student alone confuse most often on the test rows, both ways counted together? "
        "The link opens the page with λ = 0: the answers there are the student's.",
        "n(a taken for b) + n(b taken for a)",
        (
            "A row of the matrix is a gold label, a column is what was said. What is off the diagonal is an error, and "
            "the more of them, the darker the cell.",
            "Each pair has two cells: row a and column b, row b and column a. Add them up. One of the two classes that "
            "you look for is {first}.",
        ),
        "{pair}: {there} rows of {first} were taken for {second} and {back} the other way round. That is {count} of "
        "the student's {errors} errors.",
    ),
    Lesson(
        "label",
        "Whose label looks wrong?",
        "one",
        "A memory with a wrong label misleads everyone who retrieves it. Here are {options} memories with their "
        "labels. One is more suspicious than the others. Which? The link selects them on the maps under the page.",
        "suspicion = (1 − ȳ[label] + share of the 10 nearest with another label + harm) / 3",
        (
            "Cover the labels. Read each text, say what you would call it, and only then look.",
            "The table of the page ranks all memories by their suspicion. Search it for a few words of each of these; "
            "the columns teacher and neighbours say what those think.",
        ),
        "“{text}” It is labelled {label}. The teacher gives that a probability of {given:.2f} and says {teacher}; "
        "{others:.0%} of its 10 nearest memories have another label.{planted} Suspicion is evidence, no proof: "
        "teachers err too. Read the text, then relabel it or leave it.",
    ),
    Lesson(
        "difference",
        "Better, or just lucky?",
        "one",
        "Over the test rows: is the memory alone (λ = 1) better than the student alone (λ = 0), and is the difference "
        "real? The link opens the memory alone as the first, the student alone as the second. We call a difference "
        "real where chance would bring one so large in fewer than 5 of 100 cases.",
        "McNemar: of the n₁ + n₂ rows on which only one is right, would a fair coin fall so unevenly?",
        (
            "Rows on which both are right, or both wrong, say nothing about which is better. Look at the two cells "
            "where only one is right.",
            "Only the memory is right on {first}, only the student on {second}. The p under the answers says how often "
            "a fair coin parts them at least so unevenly.",
        ),
        "Only the memory is right on {first} rows, only the student on {second}. Two equally good ones would part so "
        "unevenly with p = {p_value:.3f}, so {verdict}.",
    ),
)
"""The tasks of the Learn page, in their order; written for shoptalk, asked of any model."""
