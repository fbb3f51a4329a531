"""Tasks about distillation: what a soft label says, what a teacher is worth, and what each key sees."""

from itertools import combinations, pairwise
from math import log

import numpy as np

from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import EncodedTexts
from reaugkd.model.card import METHOD_NAMES
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.plots.links import PageState
from reaugkd.texts import in_one_line, word_overlap

from .exercise import LESSONS, SHORT, Exercise, Verdict, page_of

HALF = 0.5
NEAR_TEMPERATURE = 0.2
DOUBTFUL = 0.2  # how likely the second class is beside the first, where a text teaches well
STEPS = ("student", "kd", "reaugkd_no_retrieval", "reaugkd")
STEP_NAMES = ("from gold labels to soft labels", "to the teacher's space too", "to a memory beside the student")
NEAREST = 3
TRIED = 300  # rows


def soft_exercise(model: ReAugKDClassifier, _: EncodedTexts, __: np.random.Generator) -> Exercise:
    """Ask at which temperature a doubtful text's second class is half as likely as its first."""
    memory = model.memory
    order = np.argsort(-memory.soft_labels, axis=1, kind="stable")
    highest = np.take_along_axis(memory.soft_labels, order[:, :2], axis=1).astype(np.float64)
    ratio, texts = highest[:, 1] / highest[:, 0], memory.texts
    is_short = np.asarray([len(in_one_line(text)) <= SHORT for text in texts])
    fits = (order[:, 0] == memory.labels) & (ratio > 1e-9) & (ratio < HALF)
    if not fits.any():
        raise ReAugKDError("No soft label of this memory is in doubt; choose another model for this task.")
    far = np.abs(np.log(np.where(fits, ratio, 1.0)) - log(DOUBTFUL)) + 100.0 * ~fits + 10.0 * ~is_short
    row = int(far.argmin())
    first, second = (memory.classes[number] for number in order[row, :2])
    right = log(ratio[row]) / log(HALF)
    whose = model.settings.training["soft_labels"] if model.settings.is_adopted else ""
    lesson = LESSONS["soft"].filled(first=first, second=second, highest=highest[row], right=right, whose=whose)

    def judged(given: float) -> Verdict:
        share = ratio[row] ** (1 / given)
        so = f"At T = {given:.1f} {second} is {share:.2f} times as likely as {first}"
        if abs(given - right) <= NEAR_TEMPERATURE + 1e-9:
            return Verdict(True, f"{so}.")
        return Verdict(False, f"{so}: T must be {'larger' if given < right else 'smaller'}.")

    shown = tuple(
        (memory.classes[number], float(number == memory.labels[row]), float(memory.soft_labels[row, number]))
        for number in order[row]
    )
    return Exercise(lesson, in_one_line(texts[row]), page_of(texts[row]), (), right, judged, shown)


def teacher_exercise(model: ReAugKDClassifier, _: EncodedTexts, __: np.random.Generator) -> Exercise:
    """Ask which step from a student that had no teacher to the whole method gains most on the test rows."""
    methods = model.metrics.get("methods", {})
    if not set(STEPS) <= set(methods):
        raise ReAugKDError("No students were compared when this model was made; choose a model that was trained here.")
    scores = {METHOD_NAMES[name]: 100 * methods[name]["test"] for name in STEPS}
    gains = dict(zip(STEP_NAMES, (after - before for before, after in pairwise(scores.values())), strict=True))
    best = max(gains, key=lambda name: gains[name])
    lesson = LESSONS["teacher"].filled(scores=scores, teacher=100 * methods["teacher"]["test"], gains=gains, best=best)

    def judged(given: str) -> Verdict:
        gained = f"The step {given} gains {gains[given]:+.1f} points"
        is_right = gains[given] == gains[best]
        return Verdict(is_right, f"{gained}." if is_right else f"{gained}, another one more.")

    options = tuple((f"{name[0].upper()}{name[1:]}", name) for name in gains)
    return Exercise(lesson, "", PageState(view="train"), options, best, judged)


def keys_exercise(model: ReAugKDClassifier, encoded: EncodedTexts, generator: np.random.Generator) -> Exercise:
    """Show what two keys find for a text, and ask which list is whose; the text is one whose lists differ most."""
    rows = encoded.part(generator.permutation(len(encoded))[:TRIED])
    retrieved, texts = model.answer(rows).retrieved, model.memory.texts
    if len(retrieved) < 2:
        raise ReAugKDError("This model has one key alone; choose another model for this task.")
    shared = {
        name: np.asarray(
            [
                np.mean([word_overlap(text, texts[number]) for number in numbers])
                for text, numbers in zip(rows.texts, found.numbers[:, :NEAREST].tolist(), strict=True)
            ]
        )
        for name, found in retrieved.items()
    }
    one, other = max(combinations(shared, 2), key=lambda pair: np.abs(shared[pair[0]] - shared[pair[1]]).max())
    row = int(np.abs(shared[one] - shared[other]).argmax())
    pair = [one, other] if generator.random() < HALF else [other, one]
    lists = [[in_one_line(texts[number]) for number in retrieved[name].numbers[row, :NEAREST]] for name in pair]
    lesson = LESSONS["keys"].filled(
        lists=lists, keys=pair, shared=[shared[name][row] for name in pair], is_adopted=model.settings.is_adopted
    )

    def judged(given: str) -> Verdict:
        a, b = (shared[name][row] for name in pair)
        return Verdict(given == pair[0], f"List A shares {a:.0%} of all words with the text, list B {b:.0%}.")

    ways = ((one, other), (other, one))
    options = tuple((f"A by the {first} key, B by the {second} key", first) for first, second in ways)
    return Exercise(lesson, in_one_line(rows.texts[row]), page_of(rows.texts[row]), options, pair[0], judged)
