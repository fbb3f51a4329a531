"""The Learn page's texts teach, and the right answers of its tasks are right by brute force."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from reaugkd.comparison import compare
from reaugkd.errors import ReAugKDError
from reaugkd.evaluation_set import EvaluationSet, held_out
from reaugkd.exercises import NEAR_ENOUGH, SHORT, exercise, flip_weights
from reaugkd.inference import ReAugKDClassifier
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.lessons import LESSONS, Guess, guessed_classes, judged_guesses, lesson_settings, teaching_order
from reaugkd.links import PageState
from reaugkd.patch import Edit, apply_patch
from reaugkd.retrieval import blend
from reaugkd.sources import SHOPTALK

KEYS = [lesson.key for lesson in LESSONS]


def changed(model, **parts):
    return ReAugKDClassifier(replace(model.parts, **parts))


@pytest.fixture(scope="module")
def asked(puzzled_model):
    return EvaluationSet.of(puzzled_model, held_out(puzzled_model, ["test"]))


def set_task(model, asked, key, seed=0):
    return exercise(model, asked, key, seed)


# Which texts are shown, and what is guessed


def test_texts_are_answered_by_one_weight_whatever_the_gate_says(toy_model):
    settings = lesson_settings(toy_model, 0.3)
    assert (settings.k, settings.retrieval_weight, settings.gate) == (8, 0.3, None)
    assert settings.temperature == toy_model.retrieval.temperature


def test_a_memory_of_fewer_than_eight_texts_shows_them_all(toy_model):
    memory = toy_model.parts.knowledge_base
    few = changed(
        toy_model, knowledge_base=KnowledgeBase(memory.rows.head(5), memory.embeddings[:5], memory.soft_labels[:5])
    )
    assert lesson_settings(few).k == 5


def kinds(answered):
    gold, said = answered.asked.labels, answered.predicted
    differ = said["student"] != said["retrieved"]
    return np.where(differ, "differ", np.where(said["student"] != gold, "wrong", "plain"))


def test_of_four_texts_in_a_row_student_and_memory_differ_on_two_and_one_is_plain(puzzled_model, asked):
    answered = asked.answered(puzzled_model.memory, lesson_settings(puzzled_model))
    order = teaching_order(answered)
    assert sorted(order.tolist()) == list(range(len(asked)))
    kind = kinds(answered)[order]
    blocks = int(min((kind == "differ").sum() // 2, (kind == "wrong").sum(), (kind == "plain").sum()))
    assert blocks >= 1
    for block in range(blocks):
        four = sorted(kind[4 * block : 4 * block + 4].tolist())
        assert four == ["differ", "differ", "plain", "wrong"]


def test_the_order_of_texts_is_drawn_by_its_seed_and_no_weight_changes_it(puzzled_model, asked):
    orders = [
        teaching_order(asked.answered(puzzled_model.memory, lesson_settings(puzzled_model, weight)), seed).tolist()
        for weight, seed in ((0.0, 1), (1.0, 1), (0.5, 2))
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_where_all_agree_all_rows_are_shown(toy_model):
    asked = EvaluationSet.of(toy_model, held_out(toy_model, ["test"]))
    answered = asked.answered(toy_model.memory, lesson_settings(toy_model))
    assert sorted(teaching_order(answered).tolist()) == list(range(len(asked)))


def test_guesses_are_held_against_what_student_memory_and_answer_say(puzzled_model, asked):
    for text in asked.rows["text"].head(12):
        explanation = puzzled_model.explain(text, k=8, retrieval_weight=0.6)
        alone = puzzled_model.predict([text], retrieval_weight=0.0)[0]
        memory = puzzled_model.predict([text], k=8, retrieval_weight=1.0)[0]
        guesses = judged_guesses(explanation, "fruit", str(memory), "yes")
        assert [guess.truth for guess in guesses] == [alone, memory, "yes" if explanation.label != alone else "no"]
        assert [guess.given for guess in guesses] == ["fruit", memory, "yes"]
        assert guesses[1].is_right
    assert not Guess("The memory", "fruit", "metal").is_right


def test_the_student_alone_is_judged_by_what_it_says_itself_and_not_by_a_class_that_it_does_not_know(gadget_model):
    text = "the shiny gadget hums"
    explanation = gadget_model.explain(text, k=2, retrieval_weight=0.4)
    alone = str(gadget_model.predict([text], retrieval_weight=0.0)[0])
    guesses = judged_guesses(explanation, alone, "gadget", "yes")
    assert [guess.truth for guess in guesses] == [alone, "gadget", "yes"]
    assert set(guessed_classes(explanation, alone)) == set(gadget_model.classes_)


def gadget_rows(model):
    rows = held_out(model, ["test"])
    return EvaluationSet.of(model, rows.assign(text=rows["text"].where(rows.index % 3 > 0, "the shiny gadget hums")))


@pytest.mark.parametrize("seed", range(3))
def test_the_tasks_about_one_text_hold_where_the_memory_knows_a_class_that_the_student_does_not(puzzled_model, seed):
    added = (Edit("add", "gadget-0", "gadget", "the shiny gadget hums"), Edit("add", "gadget-1", "gadget", "gadget"))
    model = apply_patch(puzzled_model, added)
    asked = gadget_rows(model)
    task = set_task(model, asked, "weight", seed)
    said = [model.explain(task.text, k=8, retrieval_weight=step / 100).label for step in range(101)]
    assert task.answer == next(number for number, label in enumerate(said) if label != said[0]) / 100
    assert f"alone calls this {said[0]}" in task.lesson.question
    task = set_task(model, asked, "memories", seed)
    alone = model.predict([task.text], retrieval_weight=0.0)[0]
    answer = model.explain(task.text, k=8, retrieval_weight=0.5).label
    assert answer != alone
    assert f"turns the student's {alone} into {answer}" in task.lesson.question


def test_of_many_classes_eight_are_guessed_among_with_all_that_matter(toy_model):
    explanation = toy_model.explain("iron and rain", k=8)
    assert guessed_classes(explanation, "fruit") == tuple(toy_model.classes_)
    rng = np.random.default_rng(0)
    names = tuple(f"c{number:02}" for number in range(30))
    student, retrieved = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(30))
    gold = names[int(np.maximum(student, retrieved).argmin())]
    many = replace(explanation, classes=names, student_probabilities=student, retrieved=retrieved)
    shown = guessed_classes(many, gold)
    assert len(shown) == 8
    assert list(shown) == sorted(shown)
    assert {gold, names[student.argmax()], names[retrieved.argmax()]} <= set(shown)


# The tasks


@pytest.mark.parametrize("key", KEYS)
def test_the_right_answer_is_right_the_words_are_filled_in_and_nothing_is_no_answer(puzzled_model, asked, key):
    task = set_task(puzzled_model, asked, key)
    verdict = task.check(task.answer)
    assert verdict.is_right
    assert verdict.why.endswith(".")
    words = (task.lesson.question, *task.lesson.hints, task.lesson.solution)
    assert len(task.lesson.hints) == 2
    assert not any("{" in text or "}" in text or not text for text in words)
    for nothing in (None, "", []):
        with pytest.raises(ReAugKDError, match="There is no answer to check yet"):
            task.check(nothing)


@pytest.mark.parametrize("key", ["memories", "classes", "label", "difference"])
def test_an_option_that_is_not_there_is_refused(puzzled_model, asked, key):
    with pytest.raises(ReAugKDError, match="There is no option"):
        set_task(puzzled_model, asked, key).check(["x"] if key == "memories" else "x")


def test_a_task_that_is_not_there_is_told_in_a_sentence(puzzled_model, asked):
    with pytest.raises(ReAugKDError, match="There is no task 'x'; choose one of weight, memories"):
        set_task(puzzled_model, asked, "x")


@pytest.mark.parametrize("key", KEYS)
def test_a_task_is_drawn_by_its_seed(puzzled_model, asked, key):
    first, again = (set_task(puzzled_model, asked, key, 3) for _ in range(2))
    assert (first.text, first.options, first.answer) == (again.text, again.options, again.answer)


def test_the_weight_above_which_the_answer_flips_is_that_of_brute_force():
    rng = np.random.default_rng(0)
    student, retrieved = rng.dirichlet(np.ones(4), 200), rng.dirichlet(np.ones(4), 200)
    levels = flip_weights(student, retrieved)
    steps = np.linspace(0, 1, 2_001)
    for row in range(200):
        said = np.array([blend(student[[row]], retrieved[[row]], step).argmax() for step in steps])
        left = steps[said != student[row].argmax()]
        assert levels[row] == pytest.approx(left[0], abs=6e-4) if len(left) else np.isinf(levels[row])


@pytest.mark.parametrize("seed", range(4))
def test_the_weight_of_the_task_is_the_first_step_of_the_slider_that_flips_the_answer(puzzled_model, asked, seed):
    task = set_task(puzzled_model, asked, "weight", seed)
    steps = [step / 100 for step in range(101)]
    said = [puzzled_model.explain(task.text, k=8, retrieval_weight=step).label for step in steps]
    first = next(number for number, label in enumerate(said) if label != said[0])
    assert task.answer == steps[first]
    assert set(said[first:]).isdisjoint(said[:1])
    assert task.link == PageState(text=task.text, k=8, retrieval_weight=0.0)
    for given in steps:
        verdict = task.check(given)
        assert verdict.is_right == (abs(given - task.answer) <= NEAR_ENOUGH + 1e-9)
        if not verdict.is_right:
            assert f"the answer is {said[steps.index(given)]}" in verdict.why
            assert ("larger" if given < task.answer else "smaller") in verdict.why
    with pytest.raises(ReAugKDError, match="λ goes from 0 to 1, and 2 is not between"):
        task.check(2)


def test_the_weight_is_asked_of_a_short_text_that_the_memory_mends_where_there_is_one(puzzled_model, asked):
    task = set_task(puzzled_model, asked, "weight")
    assert len(task.text) <= SHORT
    assert task.text in asked.rows["text"].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_the_fewest_memories_are_those_of_brute_force(puzzled_model, asked, seed):
    task = set_task(puzzled_model, asked, "memories", seed)
    plain = puzzled_model.explain(task.text, k=8, retrieval_weight=0.5)
    assert plain.label != puzzled_model.explain(task.text, k=8, retrieval_weight=0.0).label
    numbers = [neighbour.number for neighbour in plain.neighbours]
    assert [value for _, value in task.options] == list(map(str, numbers))
    ids = puzzled_model.parts.knowledge_base.rows["id"]

    def flips(struck):
        edited = apply_patch(puzzled_model, tuple(Edit("remove", ids[number]) for number in struck))
        return edited.explain(task.text, k=8, retrieval_weight=0.5).label != plain.label

    size = next(size for size in range(1, 9) if any(map(flips, combinations(numbers, size))))
    assert len(task.answer) == size
    for struck in [*combinations(numbers, 1), *combinations(numbers, 2)]:
        verdict = task.check(list(map(str, struck)))
        assert verdict.is_right == (flips(struck) and len(struck) == size)
        if flips(struck) and len(struck) > size:
            assert "fewer are enough" in verdict.why


def test_the_classes_are_those_that_the_student_confuses_most(puzzled_model, asked):
    task = set_task(puzzled_model, asked, "classes")
    said = puzzled_model.predict(asked.rows["text"].tolist(), retrieval_weight=0.0)
    wrong = [{gold, name} for gold, name in zip(asked.rows["label"], said, strict=True) if gold != name]
    shown = dict((value, text) for text, value in task.options)
    most = max(wrong.count(set(text.split(" and "))) for text in shown.values())
    assert f"That is {most} of the student's {len(wrong)} errors." in task.lesson.solution
    for value, text in shown.items():
        count = wrong.count(set(text.split(" and ")))
        verdict = task.check(value)
        assert verdict.is_right == (count == most)
        assert f"{count} time" in verdict.why
    assert task.link == PageState(view="errors", retrieval_weight=0.0)


def test_the_suspicious_label_is_the_wrong_one(toy_model):
    rows = toy_model.parts.knowledge_base.rows
    fruit = rows.loc[rows["label"] == "fruit", "id"].iloc[4]
    number = int(np.flatnonzero(rows["id"] == fruit)[0])
    memory = toy_model.parts.knowledge_base
    wrong = KnowledgeBase(
        rows.assign(label=rows["label"].where(rows["id"] != fruit, "weather")), memory.embeddings, memory.soft_labels
    )
    model = changed(toy_model, knowledge_base=wrong)
    task = set_task(model, EvaluationSet.of(model, held_out(model, ["test"])), "label")
    assert task.answer == str(number)
    assert len(task.options) == 5
    assert (f"weather: {rows['text'][number]}", str(number)) in task.options
    assert [task.check(value).is_right for _, value in task.options].count(True) == 1
    assert task.link == PageState(view="memory", selected=tuple(int(value) for _, value in task.options))
    assert "planted" not in task.lesson.solution


def test_a_planted_label_of_shoptalk_is_told_as_such(toy_model):
    rows = toy_model.parts.knowledge_base.rows
    names = ("praise", "complaint", "fact", "warning")
    memory = toy_model.parts.knowledge_base
    labels = rows["label"].map(dict(zip(toy_model.classes_, names, strict=False)))
    planted = pd.read_csv(SHOPTALK / "wrong_labels.csv")
    planted = planted[planted["wrong_label"] == "warning"].iloc[0]
    model = changed(
        toy_model,
        settings=replace(toy_model.parts.settings, task="shoptalk", label_names=names),
        knowledge_base=KnowledgeBase(
            rows.assign(
                id=rows["id"].where(rows.index != 7, planted["id"]), label=labels.where(rows.index != 7, "warning")
            ),
            memory.embeddings,
            np.pad(memory.soft_labels, ((0, 0), (0, 1))),
        ),
        evaluation_rows=toy_model.parts.evaluation_rows.assign(
            label=toy_model.parts.evaluation_rows["label"].map(dict(zip(toy_model.classes_, names, strict=False)))
        ),
    )
    task = set_task(model, EvaluationSet.of(model, held_out(model, ["test"])), "label")
    assert task.answer == "7"
    assert "one of the wrong labels that were planted in shoptalk" in task.lesson.solution


def test_whether_the_difference_is_real_is_what_the_comparison_says(puzzled_model, asked, toy_model):
    for model in (puzzled_model, toy_model):
        task = set_task(model, asked, "difference")
        sides = [
            asked.answered(model.memory, model.retrieval.overridden(retrieval_weight=weight)) for weight in (1.0, 0.0)
        ]
        found = compare(*sides, "accuracy")
        first, second = found.counts["only first right"], found.counts["only second right"]
        ahead = "memory" if first > second else "student"
        wanted = "neither" if first == second else f"{ahead} {'real' if found.p_value < 0.05 else 'chance'}"
        assert task.answer == wanted
        assert [value for _, value in task.options if task.check(value).is_right] == [wanted]
        assert f"right on {first} rows, only the student on {second}" in task.lesson.solution
        assert task.link == PageState(view="compare", retrieval_weight=1.0)


def test_where_memory_and_student_agree_everywhere_a_sentence_says_so(toy_model):
    asked = EvaluationSet.of(toy_model, held_out(toy_model, ["test"]).assign(label="fruit"))
    memory = toy_model.parts.knowledge_base
    said = asked.student_probabilities.argmax(axis=1)
    same = replace(
        asked,
        rows=asked.rows.assign(label=[asked.label_names[number] for number in said]),
        query_keys=np.tile(memory.embeddings[:1], (len(asked), 1)),
        student_probabilities=np.tile(memory.soft_labels[:1], (len(asked), 1)),
    )
    for key in ("weight", "memories"):
        with pytest.raises(ReAugKDError, match="choose another model for this task"):
            set_task(toy_model, same, key)


@pytest.fixture
def pairs(puzzled_model):
    """The puzzled model as one of pairs, whose second text is the first again."""
    memory, rows = puzzled_model.parts.knowledge_base, puzzled_model.parts.evaluation_rows
    memory_rows = memory.rows.assign(text_pair=memory.rows["text"])
    return changed(
        puzzled_model,
        settings=replace(puzzled_model.parts.settings, is_pair=True),
        knowledge_base=KnowledgeBase(memory_rows, memory.embeddings, memory.soft_labels),
        evaluation_rows=rows.assign(text_pair=rows["text"]),
    )


def test_pairs_are_asked_with_both_texts(pairs):
    asked = EvaluationSet.of(pairs, held_out(pairs, ["test"]))
    task = set_task(pairs, asked, "weight")
    assert task.text == f"{task.link.text} | {task.link.text_pair}"
    assert task.check(task.answer).is_right
    assert all(" | " in text for text, _ in set_task(pairs, asked, "label").options)


def test_a_pair_is_short_where_both_texts_together_are(pairs):
    asked = EvaluationSet.of(pairs, held_out(pairs, ["test"]))
    a_short_one = asked.rows["text"] == set_task(pairs, asked, "weight").link.text
    second = np.where(a_short_one, "short", "x" * SHORT)
    mixed = replace(asked, rows=asked.rows.assign(text_pair=second))
    assert {set_task(pairs, mixed, "weight", seed).link.text_pair for seed in range(5)} == {"short"}
