"""Guided tasks for one model: the right answers are computed from it, so they hold for whichever model is chosen."""

from collections.abc import Collection
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.analysis.comparison import LIKELY_CHANCE, OUTCOMES, compare
from reaugkd.analysis.error_analysis import confusion
from reaugkd.analysis.memory_audit import memory_table
from reaugkd.analysis.what_if import UNCHANGED, WhatIf, explain_what_if, flipping_set
from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import EncodedTexts
from reaugkd.method.pool import Pool
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.plots.links import PageState
from reaugkd.tasks.sources import SHOPTALK
from reaugkd.texts import in_one_line, row_in_one_line

from .distillation_exercises import keys_exercise, soft_exercise, teacher_exercise
from .exercise import LESSONS, SHORT, Exercise, Verdict, page_of
from .lessons import lesson_settings

NEAR_ENOUGH = 0.05
FEW = 2
OPTIONS = 5
PAIRS = 6


def exercise(model: ReAugKDClassifier, encoded: EncodedTexts, key: str, seed: int = 0) -> Exercise:
    """Set a task for a model; its right answer is computed, so it holds for any model."""
    setters = {
        "soft": soft_exercise,
        "teacher": teacher_exercise,
        "keys": keys_exercise,
        "weight": _weight_exercise,
        "memories": _memories_exercise,
        "classes": _classes_exercise,
        "label": _label_exercise,
        "difference": _difference_exercise,
    }
    return setters[key](model, encoded, np.random.default_rng(seed))


def flip_weights(student: NDArray[np.floating], retrieved: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the λ above which a linear blend is no longer the student's answer.

    It leaves the student's class s where another class c is level with it, at λ = a / (a + b) with
    a = ŷ[s] - ŷ[c] and b = r[c] - r[s], and never comes back.
    """
    rows, own = np.arange(len(student)), student.argmax(axis=1)
    ahead = (student[rows, own][:, None] - student).astype(np.float64)
    behind = (retrieved - retrieved[rows, own][:, None]).astype(np.float64)
    levels = np.divide(ahead, ahead + behind, out=np.full_like(ahead, np.inf), where=behind > 0)
    found: NDArray[np.float64] = levels.min(axis=1)
    return found


def _drawn(generator: np.random.Generator, *preferred: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return all rows of the first choices that leave some, in a drawn order."""
    for rows in preferred:
        if rows.any():
            return generator.permutation(np.flatnonzero(rows)).astype(np.int64)
    raise ReAugKDError("On no test row does the memory outvote the student; choose another model for this task.")


def _weight_exercise(model: ReAugKDClassifier, encoded: EncodedTexts, generator: np.random.Generator) -> Exercise:
    """Ask for the λ from which on the memory outvotes the student in a linear blend."""
    pool = lesson_settings(model)
    key, names = pool.new_class_key, model.memory.classes
    answers = model.answer(encoded, pool)
    student, memory = answers.pooled.student, answers.pooled.memory[key]
    levels = flip_weights(student, memory)
    levels[answers.pooled.new > 0] = np.inf  # of a class that the student does not know no λ decides
    short = np.asarray([len(in_one_line(text)) for text in encoded.texts]) <= SHORT
    telling = (levels > 0.15) & (levels < 0.85)
    right_by_memory = memory.argmax(axis=1) == answers.labels
    row = int(_drawn(generator, telling & short & right_by_memory, telling & short, telling, levels < 1)[0])
    own, level, one = int(student[row].argmax()), float(levels[row]), model.answer(encoded.part([row]), pool)

    def answer_at(weight: float) -> str:
        return names[int(one.at(weight).pooled.probabilities.argmax())]

    right = next(step / 100 for step in range(101) if answer_at(step / 100) != names[own])
    alone, new = names[own], answer_at(right)
    # A class that a patch made has no place in either.
    of_student, of_memory = (dict(zip(names, shares[row], strict=False)) for shares in (student, memory))
    found = {"k": pool.keys[key].k, "by_memory": names[int(memory[row].argmax())], "right": right, "level": level}
    lesson = LESSONS["weight"].filled(alone=alone, new=new, student=of_student, memory=of_memory, **found)

    def judged(given: float) -> Verdict:
        so_far = f"At λ = {given:g} the answer is {answer_at(given)}"
        if abs(given - right) <= NEAR_ENOUGH + 1e-9:
            return Verdict(True, f"From λ = {right:.2f} on the answer is no longer {alone}.")
        if given > right:
            return Verdict(False, f"{so_far}, but it is that at a smaller λ already.")
        return Verdict(False, f"{so_far} still: λ must be larger.")

    text = encoded.texts[row]
    return Exercise(lesson, in_one_line(text), page_of(text), (), right, judged)


def _memories_exercise(model: ReAugKDClassifier, encoded: EncodedTexts, generator: np.random.Generator) -> Exercise:
    """Ask for the fewest memories without which the answer is another one."""
    pool = lesson_settings(model)
    predicted = model.answer(encoded, pool).predicted
    rows = _drawn(generator, predicted["answer"] != predicted["student"])
    one, found, without = _decided_by_few(model, encoded, pool, rows)
    plain = explain_what_if(model, one, pool, UNCHANGED)
    shown = {neighbour.number: neighbour.text for neighbour in plain.neighbours}
    texts = [shown[number] for number in found]
    lesson = LESSONS["memories"].filled(weight=pool.retrieval_weight, plain=plain, found=texts, without=without)

    def judged(given: Collection[str]) -> Verdict:
        struck = tuple(int(number) for number in given)
        label = explain_what_if(model, one, pool, WhatIf(struck)).label
        those = "that memory" if len(struck) == 1 else f"those {len(struck)} memories"
        if label == plain.label:
            return Verdict(False, f"Without {those} the answer is {label} still.")
        if len(struck) > len(found):
            return Verdict(False, f"Without {those} the answer is {label}, but fewer are enough.")
        return Verdict(True, f"Without {those} the answer is {label}.")

    options = tuple((text, str(number)) for number, text in shown.items())
    return Exercise(lesson, in_one_line(one.texts[0]), page_of(one.texts[0]), options, tuple(map(str, found)), judged)


def _decided_by_few(
    model: ReAugKDClassifier, encoded: EncodedTexts, pool: Pool, rows: NDArray[np.int64]
) -> tuple[EncodedTexts, list[int], str]:
    """Return the first text whose answer hangs on one or two memories, or else on the fewest; all are listed ones."""
    found: list[tuple[EncodedTexts, list[int], str]] = []
    for row in rows.tolist():
        one = encoded.part([row])
        numbers, without = flipping_set(model, one, pool) or ([], "")
        nearest = [neighbour.number for neighbour in explain_what_if(model, one, pool, UNCHANGED).neighbours]
        if numbers and set(numbers) <= set(nearest):
            found.append((one, numbers, without))
            if len(numbers) <= FEW:
                break
    if not found:
        raise ReAugKDError("No answer hangs on a few memories here; choose another model for this task.")
    return min(found, key=lambda flipped: len(flipped[1]))


def _classes_exercise(model: ReAugKDClassifier, encoded: EncodedTexts, _: np.random.Generator) -> Exercise:
    """Ask which two classes the student confuses most; nothing is drawn, since the pairs are the most frequent ones."""
    names = model.memory.classes
    counts = confusion(model.answer(encoded).table(), names, "student").to_numpy()
    both = counts + counts.T
    often = sorted(combinations(range(len(names)), 2), key=lambda pair: -both[pair])[:PAIRS]
    times = {f"{names[one]} and {names[other]}": int(both[one, other]) for one, other in sorted(often)}
    most, errors = int(both[often[0]]), int(counts.sum() - counts.trace())
    if not most:
        raise ReAugKDError("The student makes no error on the test rows; choose another model for this task.")
    first, second = max(often[0], often[0][::-1], key=lambda pair: counts[pair])
    taken, back = counts[first, second], counts[second, first]
    answer = f"{names[often[0][0]]} and {names[often[0][1]]}"
    lesson = LESSONS["classes"].filled(
        answer=answer, first=names[first], second=names[second], taken=taken, back=back, errors=errors
    )

    def judged(given: str) -> Verdict:
        counted = f"They are taken for each other {times[given]} {'time' if times[given] == 1 else 'times'}"
        is_right = times[given] == most
        return Verdict(is_right, f"{counted}." if is_right else f"{counted}, another two more often.")

    options = tuple((pair, pair) for pair in times)
    return Exercise(lesson, "", PageState(view="errors", retrieval_weight=0.0), options, answer, judged)


def _label_exercise(model: ReAugKDClassifier, encoded: EncodedTexts, generator: np.random.Generator) -> Exercise:
    """Ask which of five memories has the label that is doubted most; the others are of the calmer half."""
    table = memory_table(model.answer(encoded)).sort_values("doubt", ascending=False, kind="stable", ignore_index=True)
    calm = table.iloc[max(1, len(table) // 2) :]
    drawn = calm.iloc[generator.choice(len(calm), min(OPTIONS - 1, len(calm)), replace=False)]
    rows = pd.concat([table.head(1), drawn]).sort_values("number").set_index("number")
    top = table.iloc[0]
    most = int(top["number"])
    shown = dict(zip(rows.index, map(row_in_one_line, rows.to_dict("records")), strict=True))
    wrong = pd.read_csv(SHOPTALK / "wrong_labels.csv", index_col="id")["wrong_label"]
    is_planted = model.settings.task == "shoptalk" and wrong.get(top["id"]) == top["label"]
    lesson = LESSONS["label"].filled(count=len(rows), text=shown[most], top=top.to_dict(), is_planted=is_planted)

    def judged(given: str) -> Verdict:
        row = rows.loc[int(given)]
        doubts = (
            f"The nearest memories give {row['label']} {row['by_text']:.2f} here, and those of like embedding "
            f"{row['by_embedding']:.2f}"
        )
        is_right = bool(row["doubt"] >= top["doubt"])
        return Verdict(is_right, f"{doubts}." if is_right else f"{doubts}: another label is doubted more.")

    options = tuple((f"{rows['label'][number]}: {text}", str(number)) for number, text in shown.items())
    link = PageState(view="memory", selected=tuple(int(number) for number in rows.index))
    return Exercise(lesson, "", link, options, str(most), judged)


def _difference_exercise(model: ReAugKDClassifier, encoded: EncodedTexts, _: np.random.Generator) -> Exercise:
    """Ask whether the memory alone is better than the student alone, beyond chance; nothing is drawn."""
    answers = model.answer(encoded)
    comparison = compare(answers.at(1.0), answers.at(0.0), model.settings.metric)
    first, second = comparison.counts[OUTCOMES[1]], comparison.counts[OUTCOMES[2]]
    is_real = comparison.p_value < LIKELY_CHANCE
    right = "neither" if not is_real else "memory" if first > second else "student"
    verdicts = {
        "memory": "the memory is better, and hardly by chance",
        "student": "the student is better, and hardly by chance",
        "neither": "these rows do not show that either is better",
    }
    counted = f"Only the memory is right on {first} rows, only the student on {second}"
    lesson = LESSONS["difference"].filled(counted=counted, p=comparison.p_value, verdict=verdicts[right])

    def judged(given: str) -> Verdict:
        if given == right:
            return Verdict(True, f"{counted}.")
        if "neither" in (given, right):
            return Verdict(False, "Look at p: is it under 0.05?")
        return Verdict(False, "Count again on how many rows only the one, and only the other, is right.")

    options = tuple((f"{words[0].upper()}{words[1:]}", value) for value, words in verdicts.items())
    return Exercise(lesson, "", PageState(view="compare", retrieval_weight=1.0), options, right, judged)
