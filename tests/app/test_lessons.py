"""The Learn page's texts teach, and the right answers of its tasks are right by brute force."""

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from app.exercise import LESSONS
from app.exercises import NEAR_ENOUGH, SHORT, exercise, flip_weights
from app.lessons import guessed_classes, lesson_settings, teaching_order, truths
from reaugkd.analysis.comparison import compare
from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import at_temperature
from reaugkd.method.memory import Memory
from reaugkd.method.pool import KeySettings, Pool
from reaugkd.model.explanation import explain
from reaugkd.plots.links import PageState
from reaugkd.tasks.sources import SHOPTALK

KEYS = [*LESSONS]


def changed(model, **parts):
    return replace(model, **parts)


@pytest.fixture(scope="module")
def encoded(puzzled_model):
    return rows_of(puzzled_model)


def rows_of(model):
    return model.encode_rows(model.held_out(["test"]))


def told(model, text, weight):
    """Answer one text as the Learn page does."""
    return explain(model.answer(model.encode([text]), lesson_settings(model, weight)))


# Which texts are shown, and what is guessed


def test_texts_are_answered_by_a_linear_blend_by_the_key_that_counts_most(toy_model):
    first, second, third = KeySettings(4, 0.1, 0.2), KeySettings(16, 0.03, 0.5), KeySettings(32, 0.4, 0.1)
    for keys, name, temperature in (
        ({"aligned": first, "text": second, "encoder": third}, "text", 0.03),
        ({"aligned": second, "text": first}, "aligned", 0.03),
        ({"aligned": replace(first, weight=0.0), "text": replace(second, weight=0.0)}, "aligned", 0.1),
    ):
        pool = lesson_settings(changed(toy_model, pool=Pool(keys)), 0.3)
        assert pool == Pool({name: KeySettings(8, temperature)}, kind="linear", retrieval_weight=0.3)


def test_an_answer_is_the_paper_s_linear_blend(puzzled_model, encoded):
    pool, row = lesson_settings(puzzled_model, 0.3), 7
    _, numbers = puzzled_model.memory.search("aligned", encoded.queries["aligned"], 8)
    cosines = puzzled_model.memory.keys["aligned"][numbers[row]] @ encoded.queries["aligned"][row]
    weights = np.exp(cosines.astype("f8") / pool.keys["aligned"].temperature)
    retrieved = weights @ puzzled_model.memory.soft_labels[numbers[row]] / weights.sum()
    said = told(puzzled_model, encoded.texts[row], 0.3)
    blended = 0.7 * encoded.student_probabilities[row] + 0.3 * retrieved
    np.testing.assert_allclose(said.probabilities, blended, atol=1e-5)
    assert [neighbour.number for neighbour in said.neighbours] == numbers[row].tolist()


def test_a_memory_of_fewer_than_eight_texts_shows_them_all(toy_model):
    assert lesson_settings(changed(toy_model, memory=part(toy_model.memory, range(5)))).keys["aligned"].k == 5


def part(memory, numbers):
    kept = list(numbers)
    return Memory(
        memory.rows.iloc[kept].reset_index(drop=True),
        memory.classes,
        memory.soft_labels[kept],
        memory.teacher_embeddings[kept],
        {name: key[kept] for name, key in memory.keys.items()},
    )


def kinds(answers):
    gold, said = answers.labels, answers.predicted
    differ = said["student"] != said["memory"]
    return np.where(differ, "differ", np.where(said["student"] != gold, "wrong", "plain"))


def test_of_four_texts_in_a_row_student_and_memory_differ_on_two_and_one_is_plain(puzzled_model, encoded):
    answers = puzzled_model.answer(encoded, lesson_settings(puzzled_model))
    order = teaching_order(answers)
    assert sorted(order.tolist()) == list(range(len(encoded)))
    kind = kinds(answers)[order]
    blocks = int(min((kind == "differ").sum() // 2, (kind == "wrong").sum(), (kind == "plain").sum()))
    assert blocks >= 1
    for block in range(blocks):
        four = sorted(kind[4 * block : 4 * block + 4].tolist())
        assert four == ["differ", "differ", "plain", "wrong"]


def test_the_order_of_texts_is_drawn_by_its_seed_and_no_weight_changes_it(puzzled_model, encoded):
    orders = [
        teaching_order(puzzled_model.answer(encoded, lesson_settings(puzzled_model, weight)), seed).tolist()
        for weight, seed in ((0.0, 1), (1.0, 1), (0.5, 2))
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_where_all_agree_all_rows_are_shown(toy_model):
    answers = toy_model.answer(rows_of(toy_model), lesson_settings(toy_model))
    assert sorted(teaching_order(answers).tolist()) == list(range(36))


def test_guesses_are_held_against_what_student_memory_and_answer_say(puzzled_model, encoded):
    for text in encoded.texts[:12]:
        explanation = told(puzzled_model, text, 0.6)
        alone = puzzled_model.predict([text], retrieval_weight=0.0)[0]
        memory = told(puzzled_model, text, 1.0).label
        assert [*truths(explanation).values()] == [alone, memory, "yes" if explanation.label != alone else "no"]


def test_the_student_alone_is_judged_by_what_it_says_itself_and_not_by_a_class_that_it_does_not_know(gadget_model):
    text = "the shiny gadget hums"
    explanation = told(gadget_model, text, 0.4)
    alone = str(gadget_model.predict([text], retrieval_weight=0.0)[0])
    assert [*truths(explanation).values()] == [alone, "gadget", "yes"]
    assert set(guessed_classes(explanation, alone)) == set(gadget_model.classes_)


def gadget_rows(model):
    rows = model.held_out(["test"])
    return model.encode_rows(rows.assign(text=rows["text"].where(rows.index % 3 > 0, "the shiny gadget hums")))


@pytest.mark.parametrize("seed", range(3))
def test_the_tasks_about_one_text_hold_where_the_memory_knows_a_class_that_the_student_does_not(puzzled_model, seed):
    added = (Edit("add", "gadget-0", "gadget", "the shiny gadget hums"), Edit("add", "gadget-1", "gadget", "gadget"))
    model = apply_patch(puzzled_model, added)
    encoded = gadget_rows(model)
    task = exercise(model, encoded, "weight", seed)
    said = [told(model, task.text, step / 100).label for step in range(101)]
    assert task.answer == next(number for number, label in enumerate(said) if label != said[0]) / 100
    assert f"alone calls this {said[0]}" in task.lesson.question
    task = exercise(model, encoded, "memories", seed)
    alone = model.predict([task.text], retrieval_weight=0.0)[0]
    answer = told(model, task.text, 0.5).label
    assert answer != alone
    assert f"turns the student's {alone} into {answer}" in task.lesson.question


def test_of_many_classes_eight_are_guessed_among_with_all_that_matter(toy_model):
    explanation = told(toy_model, "iron and rain", 0.5)
    assert guessed_classes(explanation, "fruit") == toy_model.classes_.tolist()
    rng = np.random.default_rng(0)
    names = tuple(f"c{number:02}" for number in range(30))
    student, memory = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(30))
    gold = names[int(np.maximum(student, memory).argmin())]
    many = replace(explanation, classes=names, student_probabilities=student, memory_probabilities=memory)
    shown = guessed_classes(many, gold)
    assert len(shown) == 8
    assert list(shown) == sorted(shown)
    assert {gold, names[student.argmax()], names[memory.argmax()]} <= set(shown)


# The tasks


@pytest.mark.parametrize("key", KEYS)
def test_the_right_answer_is_right_the_words_are_filled_in_and_nothing_is_no_answer(puzzled_model, encoded, key):
    task = exercise(puzzled_model, encoded, key)
    verdict = task.check(task.answer)
    assert verdict.is_right
    assert verdict.why.endswith(".")
    words = (task.lesson.question, *task.lesson.hints, task.lesson.solution)
    assert len(task.lesson.hints) == 2
    assert not any("{" in text or "}" in text or not text for text in words)
    for nothing in (None, "", []):
        with pytest.raises(ReAugKDError, match="There is no answer to check yet"):
            task.check(nothing)


@pytest.mark.parametrize("key", KEYS)
def test_a_task_is_drawn_by_its_seed(puzzled_model, encoded, key):
    first, again = (exercise(puzzled_model, encoded, key, 3) for _ in range(2))
    assert (first.text, first.options, first.answer) == (again.text, again.options, again.answer)


def test_the_weight_above_which_the_answer_flips_is_that_of_brute_force():
    rng = np.random.default_rng(0)
    student, retrieved = rng.dirichlet(np.ones(4), 200), rng.dirichlet(np.ones(4), 200)
    levels = flip_weights(student, retrieved)
    steps = np.linspace(0, 1, 2_001)
    for row in range(200):
        said = ((1 - steps[:, None]) * student[row] + steps[:, None] * retrieved[row]).argmax(axis=1)
        left = steps[said != student[row].argmax()]
        assert levels[row] == pytest.approx(left[0], abs=6e-4) if len(left) else np.isinf(levels[row])


@pytest.mark.parametrize("seed", range(4))
def test_the_weight_of_the_task_is_the_first_step_of_the_slider_that_flips_the_answer(puzzled_model, encoded, seed):
    task = exercise(puzzled_model, encoded, "weight", seed)
    steps = [step / 100 for step in range(101)]
    said = [told(puzzled_model, task.text, step).label for step in steps]
    first = next(number for number, label in enumerate(said) if label != said[0])
    assert task.answer == steps[first]
    assert set(said[first:]).isdisjoint(said[:1])
    assert task.link == PageState(text=task.text)
    for given in steps:
        verdict = task.check(given)
        assert verdict.is_right == (abs(given - task.answer) <= NEAR_ENOUGH + 1e-9)
        if not verdict.is_right:
            assert f"the answer is {said[steps.index(given)]}" in verdict.why
            assert ("larger" if given < task.answer else "smaller") in verdict.why
    with pytest.raises(ReAugKDError, match="λ goes from 0 to 1, and 2 is not between"):
        task.check(2)


def test_the_weight_follows_from_the_figures_of_the_question(puzzled_model, encoded):
    task = exercise(puzzled_model, encoded, "weight")
    figures = re.findall(r"([ŷr])\[(\w+)\] = (\d\.\d{3})", task.lesson.question)
    (own, new), said = (figures[0][1], figures[1][1]), {(by, name): float(number) for by, name, number in figures}
    ahead, behind = said["ŷ", own] - said["ŷ", new], said["r", new] - said["r", own]
    assert task.check(ahead / (ahead + behind)).is_right
    student, memory = (
        dict(zip(puzzled_model.classes_, told(puzzled_model, task.text, at).probabilities, strict=True))
        for at in (0, 1)
    )
    for (by, name), number in said.items():
        assert number == pytest.approx((student if by == "ŷ" else memory)[name], abs=5.1e-4)


def test_the_weight_is_asked_of_a_text_on_which_the_memory_is_right_where_there_is_one(puzzled_model, encoded):
    sure = replace(encoded, student_probabilities=np.tile(np.float32([0.7, 0.2, 0.1]), (len(encoded), 1)))
    memory = puzzled_model.answer(encoded, lesson_settings(puzzled_model, 1.0)).predicted["answer"]
    drawn = {exercise(puzzled_model, sure, "weight", seed).text for seed in range(6)}
    assert len(drawn) > 1
    right = min(drawn)
    gold = [puzzled_model.classes_[said - (text != right)] for text, said in zip(encoded.texts, memory, strict=True)]
    only_one = replace(sure, rows=encoded.table.assign(label=gold))
    assert {exercise(puzzled_model, only_one, "weight", seed).text for seed in range(6)} == {right}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_the_fewest_memories_are_those_of_brute_force(puzzled_model, encoded, seed):
    task = exercise(puzzled_model, encoded, "memories", seed)
    plain = told(puzzled_model, task.text, 0.5)
    assert plain.label != told(puzzled_model, task.text, 0.0).label
    numbers = [neighbour.number for neighbour in plain.neighbours]
    assert [value for _, value in task.options] == list(map(str, numbers))
    ids = puzzled_model.memory.rows["id"]

    def flips(struck):
        edited = apply_patch(puzzled_model, tuple(Edit("remove", ids[number]) for number in struck))
        return told(edited, task.text, 0.5).label != plain.label

    size = next(size for size in range(1, 9) if any(map(flips, combinations(numbers, size))))
    assert len(task.answer) == size
    for struck in [*combinations(numbers, 1), *combinations(numbers, 2)]:
        verdict = task.check(list(map(str, struck)))
        assert verdict.is_right == (flips(struck) and len(struck) == size)
        if flips(struck) and len(struck) > size:
            assert "fewer are enough" in verdict.why


def test_the_classes_are_those_that_the_student_confuses_most(puzzled_model, encoded):
    task = exercise(puzzled_model, encoded, "classes")
    said = puzzled_model.predict(encoded.texts, retrieval_weight=0.0)
    wrong = [{gold, name} for gold, name in zip(encoded.table["label"], said, strict=True) if gold != name]
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
    memory, number = toy_model.memory, 4
    labels = memory.rows["label"].where(memory.rows.index != number, "weather")
    assert memory.rows["label"][number] == "fruit"
    model = changed(toy_model, memory=replace(memory, rows=memory.rows.assign(label=labels)))
    task = exercise(model, rows_of(model), "label")
    assert task.answer == str(number)
    assert len(task.options) == 5
    assert (f"weather: {memory.rows['text'][number]}", str(number)) in task.options
    assert [task.check(value).is_right for _, value in task.options].count(True) == 1
    assert task.link == PageState(view="memory", selected=tuple(int(value) for _, value in task.options))
    assert "planted" not in task.lesson.solution


def test_a_planted_label_of_shoptalk_is_told_as_such(toy_model):
    names = ("praise", "complaint", "fact", "warning")
    memory, renamed = toy_model.memory, dict(zip(toy_model.classes_, names, strict=False))
    planted = pd.read_csv(SHOPTALK / "wrong_labels.csv")
    planted = planted[planted["wrong_label"] == "warning"].iloc[0]
    others = memory.rows.index != 7
    rows = memory.rows.assign(
        id=memory.rows["id"].where(others, planted["id"]),
        label=memory.rows["label"].map(renamed).where(others, "warning"),
    )
    held = toy_model.evaluation_rows
    model = changed(
        toy_model,
        settings=replace(toy_model.settings, task="shoptalk", label_names=names),
        memory=replace(memory, rows=rows, classes=names, soft_labels=np.pad(memory.soft_labels, ((0, 0), (0, 1)))),
        evaluation_rows=held.assign(label=held["label"].map(renamed)),
    )
    task = exercise(model, rows_of(model), "label")
    assert task.answer == "7"
    assert "one of the wrong labels that were planted in shoptalk" in task.lesson.solution


def test_whether_the_difference_is_real_is_what_the_comparison_says(puzzled_model, encoded, toy_model):
    for model in (puzzled_model, toy_model):
        task = exercise(model, encoded, "difference")
        sides = [model.answer(encoded, model.pool.overridden(retrieval_weight=weight)) for weight in (1.0, 0.0)]
        found = compare(*sides, "accuracy")
        first, second = found.counts["only first right"], found.counts["only second right"]
        better = "memory" if first > second else "student"
        wanted = better if found.p_value < 0.05 else "neither"
        assert task.answer == wanted
        assert [value for _, value in task.options if task.check(value).is_right] == [wanted]
        assert f"right on {first} rows, only the student on {second}" in task.lesson.solution
        assert task.link == PageState(view="compare", retrieval_weight=1.0)


def test_where_memory_and_student_agree_everywhere_a_sentence_says_so(toy_model):
    encoded, memory = rows_of(toy_model), toy_model.memory
    said = toy_model.classes_[memory.soft_labels[0].argmax()]
    same = replace(
        encoded,
        rows=encoded.table.assign(label=said),
        queries={name: np.tile(key[:1], (len(encoded), 1)) for name, key in memory.keys.items()},
        student_probabilities=np.tile(memory.soft_labels[:1], (len(encoded), 1)),
    )
    for key in ("weight", "memories"):
        with pytest.raises(ReAugKDError, match="choose another model for this task"):
            exercise(toy_model, same, key)


@pytest.fixture
def pairs(puzzled_model):
    """The puzzled model as one of pairs, whose second text is the first again."""
    memory, rows = puzzled_model.memory, puzzled_model.evaluation_rows
    return changed(
        puzzled_model,
        settings=replace(puzzled_model.settings, is_pair=True),
        memory=replace(memory, rows=memory.rows.assign(text_pair=memory.rows["text"])),
        evaluation_rows=rows.assign(text_pair=rows["text"]),
    )


def test_pairs_are_asked_with_both_texts(pairs):
    encoded = rows_of(pairs)
    task = exercise(pairs, encoded, "weight")
    assert task.text == f"{task.link.text} | {task.link.text_pair}"
    assert task.check(task.answer).is_right
    assert all(" | " in text for text, _ in exercise(pairs, encoded, "label").options)


def test_a_pair_is_short_where_both_texts_together_are(pairs):
    encoded = rows_of(pairs)
    a_short_one = exercise(pairs, encoded, "weight").link.text
    texts = [(text, "short" if text == a_short_one else "x" * SHORT) for text, _ in encoded.texts]
    mixed = replace(encoded, texts=texts)
    assert {exercise(pairs, mixed, "weight", seed).link.text_pair for seed in range(5)} == {"short"}


# The tasks on distillation


def test_at_the_right_temperature_the_second_class_is_half_as_likely_and_the_teacher_names_the_gold_label(
    puzzled_model, encoded
):
    task, memory = exercise(puzzled_model, encoded, "soft"), puzzled_model.memory
    row = memory.texts.index(task.text)
    first, second = np.sort(at_temperature(memory.soft_labels[[row]], task.answer)[0])[::-1][:2]
    assert second / first == pytest.approx(0.5, abs=1e-4)
    assert memory.soft_labels[row].argmax() == memory.labels[row]
    assert task.check(task.answer + 0.2).is_right
    assert "T must be smaller" in task.check(task.answer + 0.3).why
    assert "T must be larger" in task.check(task.answer / 2).why
    sure = replace(memory, soft_labels=np.eye(3, dtype=np.float32)[memory.labels])
    with pytest.raises(ReAugKDError, match="No soft label of this memory is in doubt"):
        exercise(replace(puzzled_model, memory=sure), encoded, "soft")


def test_the_step_that_gains_most_is_that_of_the_models_own_table(puzzled_model, encoded):
    scores = {"teacher": 0.9, "student": 0.6, "kd": 0.65, "reaugkd_no_retrieval": 0.64, "reaugkd": 0.75}
    methods = {name: {"test": score} for name, score in scores.items()}
    task = exercise(replace(puzzled_model, metrics={"methods": methods}), encoded, "teacher")
    assert task.answer == "to a memory beside the student"
    assert "gains +5.0 points, another one more" in task.check("from gold labels to soft labels").why
    assert "+11.0 points" in task.lesson.solution
    with pytest.raises(ReAugKDError, match="No students were compared when this model was made"):
        exercise(replace(puzzled_model, metrics={}), encoded, "teacher")


def test_each_list_is_of_the_three_nearest_memories_by_its_key(puzzled_model, encoded):
    task = exercise(puzzled_model, encoded, "keys")
    found = puzzled_model.answer(puzzled_model.encode([task.text])).retrieved
    others = {"aligned": "text", "text": "aligned"}
    lists = task.lesson.question.split("A:")[1].split("B:")
    for name, words in zip((task.answer, others[task.answer]), lists, strict=True):
        assert [f"“{puzzled_model.memory.texts[n]}”" in words for n in found[name].numbers[0, :3]] == [True] * 3
    assert not task.check(others[task.answer]).is_right


@pytest.mark.parametrize(
    ("whose", "said"), [("its own", "The classifier itself is in doubt"), ("given", "The soft label that came with it")]
)
def test_the_tasks_speak_of_no_teacher_where_none_was(adopted_model, puzzled_model, whose, said):
    settings = replace(adopted_model.settings, training=adopted_model.settings.training | {"soft_labels": whose})
    soft_labels = np.full((len(adopted_model.memory), 3), 0.2, dtype=np.float32)  # its own are the gold labels
    soft_labels[np.arange(len(soft_labels)), adopted_model.memory.labels] = 0.6
    memory = replace(adopted_model.memory, soft_labels=soft_labels)
    model = replace(adopted_model, settings=settings, memory=memory)
    encoded = rows_of(model)
    lessons = [exercise(model, encoded, key).lesson for key in ("soft", "keys")]
    words = [" ".join((each.formula, each.question, each.solution, *each.hints)) for each in lessons]
    assert said in words[0]
    assert "the classifier's own embedding" in words[1]
    assert not any("teacher" in each.lower() for each in words)
    with pytest.raises(ReAugKDError, match="choose a model that was trained here"):
        exercise(model, encoded, "teacher")
    taught = [exercise(puzzled_model, rows_of(puzzled_model), key).lesson for key in ("soft", "keys")]
    assert "The teacher is in doubt: its soft label gives" in taught[0].question
    assert taught[1].formula.endswith("the student's embedding x, in the teacher's space")
