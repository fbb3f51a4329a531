"""Each scenario changes the memory alone, and what it says of the change is what brute force finds."""

from dataclasses import replace
from math import ceil
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import DatasetDict
from memories import brute_force, unit
from toy_data import toy_rows

from reaugkd.errors import ReAugKDError
from reaugkd.method.distillation import Student
from reaugkd.method.keys import UntunedEncoder
from reaugkd.method.teacher import TeacherOutputs
from reaugkd.recipe import DistillationSettings, Recipe
from reaugkd.study import scenarios
from reaugkd.study.scenarios import few_labels, new_classes, part_of, unlabelled_text
from reaugkd.tasks.task import SPLITS, make_task, with_unlabelled

WAYS = ["aligned key", "text key", "free keys", "encoder key"]


@pytest.fixture(scope="module")
def task():
    """Three classes: 120 train, 75 validation and 36 test rows."""
    rows = {"train": toy_rows(40, seed=0), "validation": toy_rows(25, seed=1), "test": toy_rows(12, seed=2)}
    return make_task("toy", rows)


@pytest.fixture(scope="module")
def recipe(toy_recipe, toy_encoder_folder):
    return replace(toy_recipe, encoder_key=str(toy_encoder_folder), epochs=4)


def says_gold(task, gold=None):
    """Outputs of a teacher that is right and sure, its hidden states one corner a class with a little noise."""
    gold = {split: task.labels(split) for split in SPLITS} | (gold or {})
    labels = np.concatenate([gold[split] for split in task.splits])
    soft_labels = 0.97 * np.eye(len(task.label_names), dtype="f4")[labels] + 0.03 / len(task.label_names)
    hidden = np.eye(48, dtype="f4")[labels] + 0.01 * np.random.default_rng(0).normal(size=(len(labels), 48))
    splits = [split for split in task.splits for _ in gold[split]]
    ids = [row for split in task.splits for row in task.rows[split]["id"]]
    return TeacherOutputs(
        ids, splits, hidden.astype("f4"), soft_labels.astype("f4"), task.label_names, "gold", task.fingerprint()
    )


def teach(task):
    """What a scenario is given to ask for a teacher."""
    return says_gold(task).calibrated(task)


@pytest.fixture
def trainings(monkeypatch):
    """Task, soft labels, hidden states and recipe of every student that is trained."""
    return recorded(monkeypatch, "trained")


def recorded(patch, name):
    """Record what a function of the scenarios is given, in the order of the calls."""
    seen, original = [], getattr(scenarios, name)
    patch.setattr(scenarios, name, lambda *given: seen.append(given) or original(*given))
    return seen


@pytest.fixture(scope="module")
def with_new_class(task, recipe):
    """The scenario of one new class, run once: its rows, the trainings and the answers."""
    with pytest.MonkeyPatch.context() as patch:
        trainings, answers = recorded(patch, "trained"), recorded(patch, "answer")
        return list(new_classes(task, teach, recipe, left_out=1)), trainings, answers


def by_way(rows):
    return {(row["way"], row.get("rows_a_class")): row for row in rows}


def test_a_new_class_is_learnt_by_the_memory_and_the_old_ones_stay(task, with_new_class):
    rows, trainings, _ = with_new_class
    rows = by_way(rows)
    assert {way for way, _ in rows} == {*(f"memory, {way}" for way in WAYS), "plain kNN, untuned", "retrained"}
    assert {rows[f"memory, {way}", 0]["new"] for way in WAYS} == {0}
    for way in WAYS[1:]:
        before, after = (rows[f"memory, {way}", count] for count in (0, 40))
        assert after["new"] > 0.5
        assert after["old"] > before["old"] - 0.2
    shares = np.asarray([[row["old"], row["new"]] for row in rows.values()])
    assert ((shares >= 0) & (shares <= 1)).all()
    gold = np.bincount(task.labels("test")) / len(task.labels("test"))
    for row in rows.values():  # the share of all is the shares of both parts, weighted by their sizes
        assert any(row["all"] == pytest.approx((1 - part) * row["old"] + part * row["new"]) for part in gold)
    first, *again = (given[0] for given in trainings)
    assert len(first.label_names) == 2
    assert (len(first.rows["train"]), len(first.rows["validation"])) == (80, 50)
    assert [np.bincount(student.labels("train")).tolist() for student in again] == [[40, 40, 5], [40, 40, 20], [40] * 3]


def test_plain_knn_is_a_brute_force_search_by_the_untuned_encoders_last_layer(task, recipe, with_new_class):
    rows, _, answers = with_new_class
    found = [row for row in rows if row["way"] == "plain kNN, untuned"]
    plain = [given for given in answers if given[2].kind == "linear"]
    assert [row["rows_a_class"] for row in found] == [5, 20, 40]
    for row, (_, memory, pool) in zip(found, plain, strict=True):
        encoder = UntunedEncoder.of(recipe.encoder_key, memory.rows["text"].tolist(), max_length=16)
        asked = unit(encoder.encoder.encode_layers(task.texts("test"))[:, -1])
        settings = pool.keys["untuned"]
        cosines, numbers = brute_force(encoder.pooled[:, -1], asked, settings.k)
        weights = np.exp(cosines / settings.temperature)
        said = np.einsum("nk,nkc->nc", weights, memory.soft_labels[numbers].astype(np.float64)).argmax(axis=1)
        right = np.asarray(memory.classes)[said] == np.asarray(task.label_names)[task.labels("test")]
        assert row["all"] == pytest.approx(right.mean())


def test_a_task_of_too_few_classes_to_leave_some_out_is_told_before_a_teacher_is_taught(task, recipe):
    with pytest.raises(ReAugKDError, match="To leave 15 classes out of training, a task needs 17; 'toy' has 3"):
        list(new_classes(task, pytest.fail, recipe))


def is_share_of_test_rows(value):
    """Whether a score is so many of the 36 test rows."""
    return 0 <= value <= 1 and value * 36 == pytest.approx(round(value * 36))


@pytest.mark.slow
def test_few_labels_are_helped_by_text_that_the_teacher_labelled(task, recipe, trainings, monkeypatch):
    monkeypatch.setattr(scenarios, "ROWS_A_CLASS", (3, 4))
    outputs = says_gold(task)
    found = list(few_labels(task, lambda _: outputs, recipe))
    by_memory = ["KD", "ReAugKD, no memory", *(f"memory grown, {way}" for way in WAYS), "plain kNN, untuned"]
    retrained = "retrained on all rows (KD)"
    ways = [*((way, count) for count in (3, 4) for way in by_memory), (retrained, 3), (retrained, 4)]
    assert [(row["way"], row["rows_a_class"]) for row in found] == ways
    assert all(is_share_of_test_rows(row["all"]) and row["seconds"] > 0 for row in found)
    assert [len(given[0].rows["train"]) for given in trainings] == [9, 9, 12, 12, 120]
    rows = by_way(found)
    assert rows["memory grown, text key", 3]["all"] > rows["ReAugKD, no memory", 3]["all"] + 0.2
    again = scenarios.trained(task, outputs.of("train")[1], None, recipe).student.encode(task.texts("test"))[1]
    assert {row["all"] for row in found[-2:]} == {(again.argmax(axis=1) == task.labels("test")).mean()}


def test_the_pool_of_few_labels_is_chosen_by_the_teachers_word_on_texts_that_no_student_has_seen(
    task, recipe, trainings, monkeypatch
):
    monkeypatch.setattr(scenarios, "ROWS_A_CLASS", (3,))
    chosen, original = [], scenarios.choose_pool

    def spy(encoded, labels, memory, keys):
        chosen.append((encoded.texts, labels, memory.rows["text"].tolist()))
        return original(encoded, labels, memory, keys)

    monkeypatch.setattr(scenarios, "choose_pool", spy)
    wrong = (task.labels("train") + 1) % 3
    list(few_labels(task, lambda task: says_gold(task, {"train": wrong}), recipe))
    assert len(chosen) == len(WAYS)
    said = dict(zip(task.texts("train"), wrong.tolist(), strict=True))
    for texts, labels, memory in chosen:
        assert len(texts) == (120 - 9) // 2
        assert not set(texts) & set(trainings[0][0].texts("train"))
        assert labels.tolist() == [said[text] for text in texts]
        assert len(memory) == 120 - len(texts)


@pytest.fixture(scope="module")
def half_labelled(task):
    """The task with 60 train rows, and 60 more texts that only the teacher labels."""
    rows = {split: task.rows[split].to_pandas() for split in SPLITS}
    names = np.asarray(task.label_names)
    rows = {split: table.assign(label=names[table["label"]]) for split, table in rows.items()}
    taught, others = rows["train"].iloc[::2], rows["train"].iloc[1::2]
    whole, left_out = with_unlabelled(make_task("toy", rows | {"train": taught}), others)
    gold = dict(zip(others["text"], others["label"], strict=True))
    labels = [task.label_names.index(gold[text]) for text in whole.texts("unlabelled")]
    assert len(labels) == 60 - left_out > 40
    return whole, np.asarray(labels)


@pytest.fixture(scope="module")
def with_unlabelled_text(half_labelled, recipe):
    """The scenario of unlabelled text, run once: rows, teacher, trainings, answers, choices, and steps of students."""
    task, labels = half_labelled
    outputs, steps, fit = says_gold(task, {"unlabelled": labels}), [], Student.fit

    def counted(*given, on_progress):
        done = []
        student = fit(*given, on_progress=lambda progress: done.append(progress.step))
        steps.append(max(done))
        return student

    with pytest.MonkeyPatch.context() as patch:
        seen = {name: recorded(patch, name) for name in ("trained", "answer", "choose_pool")}
        patch.setattr(Student, "fit", counted)
        rows = list(unlabelled_text(task, lambda _: outputs, recipe))
    return SimpleNamespace(rows=rows, outputs=outputs, steps=steps, **seen)


@pytest.mark.slow
def test_unlabelled_text_teaches_the_student_or_fills_the_memory_alone(half_labelled, recipe, with_unlabelled_text):
    (task, _), rows, outputs = half_labelled, with_unlabelled_text.rows, with_unlabelled_text.outputs
    assert [row["way"] for row in rows] == [
        *("student without", "memory without", "memory without, grown"),
        *("student without, equal steps", "memory without, equal steps"),
        *("student with unlabelled text", "memory with unlabelled text"),
    ]
    assert all(is_share_of_test_rows(row["all"]) and row["seconds"] > 0 for row in rows)
    assert {row["rows_a_class"] for row in rows} == {None}
    assert ["unlabelled" in given[0].rows for given in with_unlabelled_text.trained] == [False, False, True]
    for given in with_unlabelled_text.trained:
        hidden, soft_labels = outputs.of(*given[0].taught_splits)
        np.testing.assert_array_equal(given[1], soft_labels)
        np.testing.assert_array_equal(given[2], hidden)
    plain = replace(task, rows=DatasetDict({split: task.rows[split] for split in SPLITS}))
    alone = scenarios.trained(plain, outputs.of("train")[1], outputs.of("train")[0], recipe)
    assert rows[0]["all"] == (alone.predicted(task.texts("test")) == task.labels("test")).mean()


def test_the_memory_of_unlabelled_text_holds_it_by_the_teachers_word_and_the_pool_is_chosen_on_validation_rows(
    half_labelled, with_unlabelled_text
):
    task, labels = half_labelled
    asked, chosen = with_unlabelled_text.answer, with_unlabelled_text.choose_pool
    sizes = [60, 60 + len(labels), 60, 60 + len(labels)]
    assert [len(memory) for _, memory, _ in asked] == [len(memory) for _, _, memory, _ in chosen] == sizes
    assert asked[1][1].labels.tolist() == [*task.labels("train"), *labels]
    for encoded, gold, _, keys in chosen:
        assert (encoded.texts, gold.tolist()) == (task.texts("validation"), task.labels("validation").tolist())
        assert keys == ("aligned", "text")
    assert all(encoded.texts == task.texts("test") for encoded, _, _ in asked)


def test_with_equal_steps_both_students_take_as_many(half_labelled, recipe, with_unlabelled_text):
    (_, labels), (without, equal, with_text) = half_labelled, with_unlabelled_text.steps
    an_epoch = ceil(60 / recipe.student_training.batch_size)
    assert with_text == 4 * ceil((60 + len(labels)) / recipe.student_training.batch_size)
    assert abs(equal - with_text) <= an_epoch
    assert without == 4 * an_epoch < equal


def test_equal_steps_are_reckoned_from_the_epochs_that_the_recipe_gives_the_larger_task(task, monkeypatch):
    plain = part_of(task, train=np.arange(2_000) % 120)
    whole = replace(plain, rows=DatasetDict({**plain.rows, "unlabelled": plain.rows["train"].select(range(1_500))}))
    recipes, gold = [], task.labels("test")
    stub = SimpleNamespace(predicted=lambda _: gold, seconds=1.0)
    monkeypatch.setattr(scenarios, "trained", lambda *given: recipes.append(given[3]) or stub)
    monkeypatch.setattr(scenarios, "_by_free_keys", lambda *_: gold)
    list(unlabelled_text(whole, lambda _: SimpleNamespace(of=lambda *_: (None, None)), Recipe()))
    # 10 epochs of 1,000 rows and 5 of 10,000: of 3,500 rows it is 10 - 5 log10(3.5), rounded.
    assert [given.epochs for given in recipes] == [None, 7 * 3_500 / 2_000, None]


def test_a_student_without_hidden_states_is_not_aligned(task, recipe, monkeypatch):
    losses = []
    original = Student.fit
    monkeypatch.setattr(
        Student, "fit", lambda *given, **options: losses.append(given[2].distillation) or original(*given, **options)
    )
    settings = DistillationSettings(relational_temperature=0.2)
    _, soft_labels = says_gold(task).of("train")
    scenarios.trained(task, soft_labels, None, replace(recipe, epochs=1, distillation=settings))
    assert losses == [replace(settings, relational_weight=0.0)]


def test_a_part_of_a_task_has_the_named_rows_and_the_other_splits_whole(task):
    part = part_of(task, train=np.asarray([4, 2]))
    assert part.texts("train") == [task.texts("train")[4], task.texts("train")[2]]
    assert part.texts("test") == task.texts("test")
