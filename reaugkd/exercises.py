"""Guided tasks for one model: the right answers are computed from it, so they hold for whichever model is chosen."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.answers import EncodedTexts
from reaugkd.classifier import ReAugKDClassifier
from reaugkd.comparison import LIKELY_CHANCE, OUTCOMES, compare
from reaugkd.error_analysis import confusion
from reaugkd.errors import ReAugKDError
from reaugkd.lessons import LESSONS, Lesson, lesson_settings
from reaugkd.links import PageState
from reaugkd.memory_audit import memory_table
from reaugkd.pool import Pool
from reaugkd.sources import SHOPTALK
from reaugkd.texts import Text, in_one_line, texts_of, two_parts
from reaugkd.what_if import NO_STRIKES, Strikes, explain_what_if, flipping_set

NEAR_ENOUGH = 0.05
SHORT = 160  # characters that a learner reads at a glance
FEW = 2
OPTIONS = 5
PAIRS = 6


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and why.

    Parameters
    ----------
    is_right : bool
        Whether it is.
    why : str
        A sentence or two of plain text.
    """

    is_right: bool
    why: str


@dataclass(frozen=True)
class Exercise:
    """A task for one model.

    Parameters
    ----------
    lesson : Lesson
        Its words, filled in.
    text : str
        The text that it is about, empty where it is about many.
    link : PageState
        The view that helps, without the model's name.
    options : tuple of (str, str)
        What can be chosen, as it is shown, and the value that is given back; none where a number is asked for.
    answer : float, str or tuple of str
        A right answer: a number, or one or several values of the options.
    judged : callable
        Judges an answer that is not empty.
    """

    lesson: Lesson
    text: str
    link: PageState
    options: tuple[tuple[str, str], ...]
    answer: float | str | tuple[str, ...]
    judged: Callable[[Any], Verdict]

    def check(self, given: float | str | Collection[str] | None) -> Verdict:
        """Judge an answer.

        Parameters
        ----------
        given : float, str, collection of str or None
            Of the kind of ``answer``.

        Returns
        -------
        Verdict
            Right or wrong, and why.

        Raises
        ------
        ReAugKDError
            If nothing is given, a number that is no λ, or what is none of the options.
        """
        if given is None or given in ("", [], ()):
            what = "write a number" if self.lesson.kind == "number" else "choose one" + " or more" * self._many
            raise ReAugKDError(f"There is no answer to check yet; {what} first.")
        if isinstance(given, (int, float)) and not 0 <= given <= 1:
            raise ReAugKDError(f"λ goes from 0 to 1, and {given:g} is not between; write another number.")
        values = [value for _, value in self.options]
        chosen: Any = given if self._many else [given]
        if values and not set(chosen) <= set(values):
            raise ReAugKDError(f"There is no option {given!r}; choose one of {', '.join(values)}.")
        return self.judged(given)

    @property
    def _many(self) -> bool:
        return self.lesson.kind == "several"


def exercise(model: ReAugKDClassifier, encoded: EncodedTexts, key: str, seed: int = 0) -> Exercise:
    """Set a task for a model; its right answer is computed, so it holds for any model.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    encoded : EncodedTexts
        Its test rows, by :meth:`ReAugKDClassifier.encode_rows`.
    key : str
        Of one of :data:`reaugkd.lessons.LESSONS`.
    seed : int
        Seed by which a text, or the options, are drawn.

    Returns
    -------
    Exercise
        The task.

    Raises
    ------
    ReAugKDError
        If there is no such task, or the model gives no occasion for it.
    """
    setters = {
        "weight": _weight_exercise,
        "memories": _memories_exercise,
        "classes": _classes_exercise,
        "label": _label_exercise,
        "difference": _difference_exercise,
    }
    if key not in setters:
        raise ReAugKDError(f"There is no task {key!r}; choose one of {', '.join(setters)}.")
    return setters[key](model, encoded, np.random.default_rng(seed))


def flip_weights(student: NDArray[np.floating], retrieved: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the λ above which a linear blend is no longer the student's answer.

    It leaves the student's class s where another class c is level with it, at λ = a / (a + b) with
    a = ŷ[s] - ŷ[c] and b = r[c] - r[s], and never comes back.

    Parameters
    ----------
    student : (N, C) float
        ŷ_i.
    retrieved : (N, C) float
        r_i.

    Returns
    -------
    (N,) float64
        From 0 to 1; infinite where the student's class stays at every λ.
    """
    rows, own = np.arange(len(student)), student.argmax(axis=1)
    ahead = (student[rows, own][:, None] - student).astype(np.float64)
    behind = (retrieved - retrieved[rows, own][:, None]).astype(np.float64)
    levels = np.divide(ahead, ahead + behind, out=np.full_like(ahead, np.inf), where=behind > 0)
    found: NDArray[np.float64] = levels.min(axis=1)
    return found


def _filled(lesson: Lesson, facts: dict[str, Any]) -> Lesson:
    first, second = (hint.format(**facts) for hint in lesson.hints)
    question, solution = lesson.question.format(**facts), lesson.solution.format(**facts)
    return Lesson(lesson.key, lesson.title, lesson.kind, question, lesson.formula, (first, second), solution)


def _lesson(key: str) -> Lesson:
    return next(lesson for lesson in LESSONS if lesson.key == key)


def _page_of(text: Text) -> PageState:
    first, second = two_parts(text)
    return PageState(text=first, text_pair=second)


def _drawn(generator: np.random.Generator, *preferred: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return all rows of the first choices that leave some, in a drawn order."""
    for kept in preferred:
        if kept.any():
            return generator.permutation(np.flatnonzero(kept)).astype(np.int64)
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

    steps = [step / 100 for step in range(101)]
    right = next(step for step in steps if answer_at(step) != names[own])
    new = names.index(answer_at(right))
    facts = {
        "alone": names[own],
        "memory": names[int(memory[row].argmax())],
        "new": names[new],
        "k": pool.keys[key].k,
        "weight": right,
        "student_alone": student[row, own],
        "student_new": student[row, new],
        "memory_alone": memory[row, own],
        "memory_new": memory[row, new],
        "ahead": student[row, own] - student[row, new],
        "behind": memory[row, new] - memory[row, own],
        "level": level,
    }

    def judged(given: float) -> Verdict:
        said = f"At λ = {given:g} the answer is {answer_at(given)}"
        if abs(given - right) <= NEAR_ENOUGH + 1e-9:
            return Verdict(True, f"From λ = {right:.2f} on the answer is no longer {names[own]}.")
        late = (
            f"{said}, but it is that at a smaller λ already." if given > right else f"{said} still: λ must be larger."
        )
        return Verdict(False, late)

    text = encoded.texts[row]
    return Exercise(_filled(_lesson("weight"), facts), in_one_line(text), _page_of(text), (), right, judged)


def _memories_exercise(model: ReAugKDClassifier, encoded: EncodedTexts, generator: np.random.Generator) -> Exercise:
    """Ask for the fewest memories without which the answer is another one."""
    pool = lesson_settings(model)
    predicted = model.answer(encoded, pool).predicted
    rows = _drawn(generator, predicted["answer"] != predicted["student"])
    one, (found, without) = _decided_by_few(model, encoded, pool, rows)
    plain = explain_what_if(model, one, pool, NO_STRIKES)

    def judged(given: Collection[str]) -> Verdict:
        struck = tuple(int(number) for number in given)
        label = explain_what_if(model, one, pool, Strikes(struck)).label
        if label == plain.label:
            return Verdict(False, f"Without {_so_many(len(struck))} the answer is {label} still.")
        if len(struck) > len(found):
            return Verdict(False, f"Without {_so_many(len(struck))} the answer is {label}, but fewer are enough.")
        return Verdict(True, f"Without {_so_many(len(struck))} the answer is {label}.")

    shown = {neighbour.number: neighbour.text for neighbour in plain.neighbours}
    facts = {
        "weight": pool.retrieval_weight,
        "alone": plain.student_label,
        "answer": plain.label,
        "without": without,
        "count": "one memory" if len(found) == 1 else f"{len(found)} memories",
        "listed": " and ".join(f"“{shown[number]}”" for number in found),
    }
    return Exercise(
        _filled(_lesson("memories"), facts),
        in_one_line(one.texts[0]),
        _page_of(one.texts[0]),
        tuple((said, str(number)) for number, said in shown.items()),
        tuple(map(str, found)),
        judged,
    )


def _so_many(count: int) -> str:
    return "that memory" if count == 1 else f"those {count} memories"


def _decided_by_few(
    model: ReAugKDClassifier, encoded: EncodedTexts, pool: Pool, rows: NDArray[np.int64]
) -> tuple[EncodedTexts, tuple[list[int], str]]:
    """Return the first text whose answer hangs on one or two memories, or else on the fewest; all are listed ones."""
    fewest: tuple[EncodedTexts, tuple[list[int], str]] | None = None
    for row in rows.tolist():
        one = encoded.part([row])
        flipped = flipping_set(model, one, pool)
        nearest = {neighbour.number for neighbour in explain_what_if(model, one, pool, NO_STRIKES).neighbours}
        if flipped is None or not nearest.issuperset(flipped[0]):
            continue
        if fewest is None or len(flipped[0]) < len(fewest[1][0]):
            fewest = one, flipped
        if len(flipped[0]) <= FEW:
            break
    if fewest is None:
        raise ReAugKDError("No answer hangs on a few memories here; choose another model for this task.")
    return fewest


def _classes_exercise(model: ReAugKDClassifier, encoded: EncodedTexts, generator: np.random.Generator) -> Exercise:
    """Ask which two classes the student confuses most."""
    del generator  # nothing is drawn: the pairs are the most frequent ones, by name
    names = model.memory.classes
    counts = confusion(model.answer(encoded).table(), names, "student").to_numpy()
    both = {pair: int(counts[pair] + counts[pair[::-1]]) for pair in combinations(range(len(names)), 2)}
    often = sorted(both, key=lambda pair: -both[pair])[:PAIRS]
    most, errors = both[often[0]], int(counts.sum() - counts.trace())
    if not most:
        raise ReAugKDError("The student makes no error on the test rows; choose another model for this task.")
    first, second = often[0] if counts[often[0]] >= counts[often[0][::-1]] else often[0][::-1]
    values = {f"{left},{right}": (left, right) for left, right in sorted(often)}
    facts = {
        "first": names[first],
        "second": names[second],
        "pair": _paired(names, often[0]),
        "there": int(counts[first, second]),
        "back": int(counts[second, first]),
        "count": most,
        "errors": errors,
    }

    def judged(given: str) -> Verdict:
        count = both[values[given]]
        said = f"They are taken for each other {count} {'time' if count == 1 else 'times'}"
        return Verdict(count == most, f"{said}." if count == most else f"{said}, another two more often.")

    return Exercise(
        _filled(_lesson("classes"), facts),
        "",
        PageState(view="errors", retrieval_weight=0.0),
        tuple((_paired(names, pair), value) for value, pair in values.items()),
        ",".join(map(str, often[0])),
        judged,
    )


def _paired(names: tuple[str, ...], pair: tuple[int, int]) -> str:
    return f"{names[pair[0]]} and {names[pair[1]]}"


def _label_exercise(model: ReAugKDClassifier, encoded: EncodedTexts, generator: np.random.Generator) -> Exercise:
    """Ask which of five memories has the most suspicious label; the others are of the calmer half."""
    table = memory_table(model.answer(encoded))
    calm = table.iloc[max(1, len(table) // 2) :]
    drawn = calm.iloc[generator.choice(len(calm), min(OPTIONS - 1, len(calm)), replace=False)]
    rows = pd.concat([table.head(1), drawn]).sort_values("number").set_index("number")
    top = rows.loc[table["number"].iloc[0]]
    texts = texts_of(rows, model.parts.settings.is_pair)
    shown = {number: in_one_line(text) for number, text in zip(rows.index, texts, strict=True)}
    facts = {
        "options": len(rows),
        "text": shown[table["number"].iloc[0]],
        "label": top["label"],
        "teacher": top["teacher"],
        "given": 1 - top["teacher_doubt"],
        "others": top["neighbour_doubt"],
        "planted": " It is one of the wrong labels that were planted in shoptalk." if _is_planted(model, top) else "",
    }

    def judged(given: str) -> Verdict:
        row = rows.loc[int(given)]
        said = (
            f"The teacher gives {row['label']} {1 - row['teacher_doubt']:.2f} here, and {row['neighbour_doubt']:.0%} "
            "of the nearest memories have another label"
        )
        is_right = bool(row["suspicion"] >= top["suspicion"])
        return Verdict(is_right, f"{said}." if is_right else f"{said}: another one is more suspicious.")

    return Exercise(
        _filled(_lesson("label"), facts),
        "",
        PageState(view="memory", selected=tuple(int(number) for number in rows.index)),
        tuple((f"{rows['label'][number]}: {text}", str(number)) for number, text in shown.items()),
        str(table["number"].iloc[0]),
        judged,
    )


def _is_planted(model: ReAugKDClassifier, row: "pd.Series[Any]") -> bool:
    """Return whether a memory has a wrong label that was planted on purpose."""
    if model.parts.settings.task != "shoptalk":
        return False
    planted = pd.read_csv(SHOPTALK / "wrong_labels.csv")
    return bool(((planted["id"] == row["id"]) & (planted["wrong_label"] == row["label"])).any())


def _difference_exercise(model: ReAugKDClassifier, encoded: EncodedTexts, generator: np.random.Generator) -> Exercise:
    """Ask whether the memory alone is better than the student alone, and whether that is more than chance."""
    del generator  # nothing is drawn: all rows count
    answers = model.answer(encoded)
    comparison = compare(answers.at(1.0), answers.at(0.0), model.parts.settings.metric)
    first, second = comparison.counts[OUTCOMES[1]], comparison.counts[OUTCOMES[2]]
    ahead = "memory" if first > second else "student" if second > first else "neither"
    is_real = comparison.p_value < LIKELY_CHANCE
    right = "neither" if ahead == "neither" else f"{ahead} {'real' if is_real else 'chance'}"
    found = {"memory": "the memory is better", "student": "the student is better", "neither": "they are level"}[ahead]
    facts = {
        "first": first,
        "second": second,
        "p_value": comparison.p_value,
        "verdict": f"{found}, and hardly by chance" if is_real else "these rows do not show that either is better",
    }

    def judged(given: str) -> Verdict:
        if given == right:
            return Verdict(True, f"Only the memory is right on {first} rows, only the student on {second}.")
        if given.split()[0] != ahead:
            return Verdict(False, "Count again on how many rows only the one, and only the other, is right.")
        return Verdict(False, "Who has more rows right is as you say. Now look at p: is it under 0.05?")

    return Exercise(
        _filled(_lesson("difference"), facts),
        "",
        PageState(view="compare", retrieval_weight=1.0),
        (
            ("The memory is better, and the difference is real", "memory real"),
            ("The memory has more rows right, but that may be chance", "memory chance"),
            ("Both have as many rows right", "neither"),
            ("The student has more rows right, but that may be chance", "student chance"),
            ("The student is better, and the difference is real", "student real"),
        ),
        right,
        judged,
    )
