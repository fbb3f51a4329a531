"""Each scenario changes the memory alone, and what it says of the change is what brute force finds."""

from dataclasses import replace

import numpy as np
import pytest

from reaugkd import scenarios
from reaugkd.distillation import DistillationSettings
from reaugkd.errors import ReAugKDError
from reaugkd.scenarios import corrected_labels, few_labels, grown_memory, new_classes, one_hot, part_of
from reaugkd.teacher import TeacherOutputs


@pytest.fixture(scope="module")
def recipe(toy_recipe, toy_encoder_folder):
    return replace(toy_recipe, second_key=str(toy_encoder_folder), epochs=4)


def says_gold(task):
    """Outputs of a teacher that is right and sure, its hidden states one corner a class with a little noise."""
    labels = np.concatenate([task.labels(split) for split in ("train", "validation", "test")])
    soft_labels = 0.97 * one_hot(labels, len(task.label_names)) + 0.03 / len(task.label_names)
    hidden = np.eye(48, dtype="f4")[labels] + 0.01 * np.random.default_rng(0).normal(size=(len(labels), 48))
    splits = [split for split in ("train", "validation", "test") for _ in task.labels(split)]
    ids = [row for split in ("train", "validation", "test") for row in task.rows[split]["id"]]
    return TeacherOutputs(
        ids, splits, hidden.astype("f4"), soft_labels.astype("f4"), task.label_names, "gold", task.fingerprint()
    )


def by_way(rows):
    return {(row["way"], row.get("rows_a_class")): row for row in rows}


def test_a_new_class_is_learnt_by_the_memory_and_the_old_ones_stay(toy_task, recipe):
    rows = by_way(new_classes(toy_task, says_gold, recipe, left_out=1))
    counts = sorted({count for way, count in rows if way == "memory, own"})
    assert counts[:3] == [0, 5, 20]
    assert rows["memory, own", 0]["new"] == 0
    assert rows["memory, own", counts[-1]]["new"] > 0.5
    assert rows["memory, own", counts[-1]]["old"] > rows["memory, own", 0]["old"] - 0.2
    shares = np.asarray([rows[key]["old"] for key in rows] + [rows[key]["new"] for key in rows])
    assert ((shares >= 0) & (shares <= 1)).all()
    gold = np.bincount(toy_task.labels("test")) / len(toy_task.labels("test"))
    for row in rows.values():  # the share of all is the shares of both parts, weighted by their sizes
        assert any(row["all"] == pytest.approx((1 - part) * row["old"] + part * row["new"]) for part in gold)


def test_a_task_of_too_few_classes_to_leave_some_out_is_told_before_a_teacher_is_taught(toy_task, recipe):
    with pytest.raises(ReAugKDError, match="To leave 15 classes out of training, a task needs 17; 'toy' has 3"):
        list(new_classes(toy_task, pytest.fail, recipe))


def test_few_labels_are_helped_by_text_that_the_teacher_labelled(toy_task, recipe, monkeypatch):
    monkeypatch.setattr(scenarios, "ROWS_A_CLASS", (3, 4))
    outputs, sizes, original = says_gold(toy_task), [], scenarios.trained
    monkeypatch.setattr(
        scenarios, "trained", lambda task, *more: sizes.append(len(task.rows["train"])) or original(task, *more)
    )
    found = list(few_labels(toy_task, outputs, recipe))
    by_memory = (
        "KD",
        "ReAugKD, no memory",
        "memory grown, own",
        "memory grown, untuned",
        "plain kNN, untuned",
        "memory grown, second",
    )
    retrained = "retrained on all rows (KD)"
    ways = [*((way, count) for count in (3, 4) for way in by_memory), (retrained, 3), (retrained, 4)]
    assert [(row["way"], row["rows_a_class"]) for row in found] == ways
    assert all(0 <= row["all"] <= 1 and row["seconds"] > 0 for row in found)
    assert sizes == [9, 9, 12, 12, len(toy_task.rows["train"])]
    again = original(toy_task, outputs.of("train")[1], None, recipe).student.encode(toy_task.texts("test"))[1]
    gold = toy_task.labels("test")
    assert {row["all"] for row in found[-2:]} == {(again.argmax(axis=1) == gold).mean()}


def test_a_grown_memory_is_compared_with_a_student_of_all_rows(toy_task, recipe, monkeypatch):
    sizes = []
    original = scenarios.trained
    monkeypatch.setattr(
        scenarios, "trained", lambda task, *more: sizes.append(len(task.rows["train"])) or original(task, *more)
    )
    rows = by_way(grown_memory(toy_task, says_gold(toy_task), recipe))
    total = len(toy_task.rows["train"])
    assert sizes == [total // 10, total]
    assert ("retrained on all rows (KD)", round(total // 10 / 3)) in rows


def test_the_student_of_wrong_labels_sees_a_fifth_of_them_wrong_and_only_the_memory_is_corrected(
    toy_task, recipe, monkeypatch
):
    seen = []
    original = scenarios.trained
    monkeypatch.setattr(
        scenarios, "trained", lambda task, *more: seen.append(task.labels("train")) or original(task, *more)
    )
    rows = by_way(corrected_labels(toy_task, recipe))
    assert 0.08 < (seen[0] != toy_task.labels("train")).mean() < 0.35
    np.testing.assert_array_equal(seen[1], toy_task.labels("train"))
    assert len(seen) == 2
    corrected = {f"memory corrected, {key}" for key in ("own", "untuned", "second")}
    nearest = {f"plain kNN {state}, untuned" for state in ("of wrong labels", "corrected")}
    assert {way for way, _ in rows} >= {"student of wrong labels", *corrected, *nearest, "retrained on right labels"}


def test_the_key_head_knows_the_wrong_labels_alone(toy_task, recipe, monkeypatch):
    drawn_to, fit_key_head = [], scenarios.fit_key_head
    monkeypatch.setattr(
        scenarios, "fit_key_head", lambda layers, wanted: drawn_to.append(wanted) or fit_key_head(layers, wanted)
    )
    list(corrected_labels(toy_task, replace(recipe, epochs=1)))
    assert len(drawn_to) == 1
    is_wrong = drawn_to[0].argmax(axis=1) != toy_task.labels("train")
    assert 0.08 < is_wrong.mean() < 0.35


def test_the_corrected_memory_is_chosen_for_by_the_same_wrong_labels_as_before(toy_task, recipe, monkeypatch):
    asked, memories = [], []
    for name in ("choose_gate", "choose_retrieval"):
        original = getattr(scenarios, name)

        def spy(queries, labels, memory, *more, _original=original):
            asked.append(labels)
            memories.append(memory.soft_labels.argmax(axis=1))
            return _original(queries, labels, memory, *more)

        monkeypatch.setattr(scenarios, name, spy)
    list(corrected_labels(toy_task, replace(recipe, epochs=1)))
    clean = toy_task.labels("validation")
    assert 0 < (asked[0] != clean).mean() < 0.5
    assert all((labels == asked[0]).all() for labels in asked)
    is_right = [(labels == toy_task.labels("train")).all() for labels in memories]
    assert is_right == [False] * 5 + [True] * 5


def test_a_student_without_hidden_states_is_not_aligned(toy_task, recipe, monkeypatch):
    losses = []
    original = scenarios.distill
    monkeypatch.setattr(
        scenarios,
        "distill",
        lambda task, given, *more, **options: (
            losses.append(given.distillation) or original(task, given, *more, **options)
        ),
    )
    settings = DistillationSettings(relational_temperature=0.2)
    _, soft_labels = says_gold(toy_task).of("train")
    scenarios.trained(toy_task, soft_labels, None, replace(recipe, epochs=1, distillation=settings))
    assert losses == [replace(settings, relational_weight=0.0)]


def test_a_part_of_a_task_has_the_named_rows_and_the_other_splits_whole(toy_task):
    part = part_of(toy_task, train=np.asarray([4, 2]))
    assert part.texts("train") == [toy_task.texts("train")[4], toy_task.texts("train")[2]]
    assert part.texts("test") == toy_task.texts("test")
