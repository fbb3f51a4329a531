"""Choices are made on validation alone; every ablation is scored."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reaugkd import evaluation
from reaugkd.errors import ReAugKDError
from reaugkd.evaluation import (
    GRID_RETRIEVAL_WEIGHT,
    Encoded,
    Networks,
    answer,
    choose_gate,
    choose_retrieval,
    evaluate_model,
    score_methods,
    too_few_for_a_gate,
)
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.model_card import METHOD_NAMES
from reaugkd.retrieval import RetrievalSettings
from reaugkd.significance import Interval


def memory_of(embeddings, soft_labels):
    rows = pd.DataFrame({"id": [str(n) for n in range(len(embeddings))], "text": "t", "label": "l"})
    return KnowledgeBase(rows, np.asarray(embeddings, np.float32), np.asarray(soft_labels, np.float32))


def random_unit(rows, width, seed):
    vectors = np.random.default_rng(seed).normal(size=(rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def memory():
    soft_labels = np.random.default_rng(5).dirichlet([0.5] * 3, size=60)
    return memory_of(random_unit(60, 8, 4), soft_labels)


def encoded(rows, seed):
    return Encoded(random_unit(rows, 8, seed), np.random.default_rng(seed).dirichlet([1.0] * 3, size=rows).astype("f4"))


def test_answer_equals_the_formulas_worked_out_row_by_row(memory):
    queries = encoded(5, 1)
    found = answer(queries, memory, RetrievalSettings(k=4, retrieval_weight=0.3, temperature=0.2))
    for row in range(5):
        similarities = memory.embeddings.astype(np.float64) @ queries.embeddings[row].astype(np.float64)
        nearest = np.argsort(-similarities)[:4]
        weights = np.exp(similarities[nearest] / 0.2) / np.exp(similarities[nearest] / 0.2).sum()
        retrieved = sum(w * memory.soft_labels[n].astype(np.float64) for w, n in zip(weights, nearest, strict=True))
        expected = 0.7 * queries.probabilities[row].astype(np.float64) + 0.3 * retrieved
        np.testing.assert_allclose(found[row], expected, rtol=1e-5)


def test_a_perfect_memory_and_a_wrong_student_choose_the_largest_retrieval_weight():
    points = np.eye(3, dtype=np.float32)
    memory = memory_of(np.repeat(points, 4, axis=0), np.repeat(np.eye(3), 4, axis=0))
    labels = np.asarray([0, 1, 2] * 5)
    wrong = np.full((15, 3), 0.05, dtype=np.float32)
    wrong[np.arange(15), (labels + 1) % 3] = 0.9
    chosen = choose_retrieval(Encoded(points[labels], wrong), labels, memory, "accuracy")
    assert chosen.retrieval_weight == max(GRID_RETRIEVAL_WEIGHT)
    assert chosen.k == 4  # of the grid, the only k that stays within a class


def test_a_perfect_student_and_a_misleading_memory_choose_the_smallest_retrieval_weight():
    points = np.eye(3, dtype=np.float32)
    memory = memory_of(np.repeat(points, 64, axis=0), np.repeat(np.roll(np.eye(3), 1, axis=1), 64, axis=0))
    labels = np.asarray([0, 1, 2] * 5)
    right = np.full((15, 3), 0.01, dtype=np.float32)
    right[np.arange(15), labels] = 0.98
    chosen = choose_retrieval(Encoded(points[labels], right), labels, memory, "accuracy")
    assert chosen.retrieval_weight == min(GRID_RETRIEVAL_WEIGHT)


def four_networks(test_seed):
    return Networks(
        *({"validation": encoded(20, seed), "test": encoded(30, test_seed + seed)} for seed in (11, 12, 13, 14))
    )


def test_every_method_is_scored_on_test_and_validation_and_the_second_key_where_there_is_one(memory):
    labels = {"validation": np.arange(20) % 3, "test": np.arange(30) % 3}
    networks = four_networks(100)
    scored = score_methods(networks, labels, memory, memory, "accuracy")
    scores, retrieval = scored.methods, scored.retrieval
    assert tuple(scores) == tuple(method for method in METHOD_NAMES if method != "kd_second_key")
    keyed = replace(networks, second_keys={"validation": random_unit(20, 8, 1), "test": random_unit(30, 8, 2)})
    assert tuple(score_methods(keyed, labels, memory, memory, "accuracy", memory).methods) == tuple(METHOD_NAMES)
    alone = {"teacher": networks.teacher, "student": networks.student, "kd": networks.kd}
    for method, network in (alone | {"reaugkd_no_retrieval": networks.reaugkd}).items():
        for split in ("test", "validation"):
            right = (network[split].probabilities.argmax(axis=1) == labels[split]).mean()
            assert scores[method][split] == pytest.approx(right)
    combined = answer(networks.reaugkd["test"], memory, retrieval).argmax(axis=1)
    assert scores["reaugkd"]["test"] == pytest.approx((combined == labels["test"]).mean())


def test_the_choice_does_not_depend_on_any_test_row(memory):
    validation = np.arange(20) % 3
    one = score_methods(
        four_networks(100), {"validation": validation, "test": np.arange(30) % 3}, memory, memory, "accuracy"
    )
    other = score_methods(
        four_networks(500), {"validation": validation, "test": np.zeros(30, int)}, memory, memory, "accuracy"
    )
    assert one.retrieval == other.retrieval
    assert [s["validation"] for s in one.methods.values()] == [s["validation"] for s in other.methods.values()]
    assert [s["test"] for s in one.methods.values()] != [s["test"] for s in other.methods.values()]


def student_that_is_right(share, labels, seed):
    """Probabilities 0.9 for the gold class in so many of the rows, else for the other of two."""
    says = np.where(np.random.default_rng(seed).random(len(labels)) < share, labels, 1 - labels)
    return np.where(np.arange(2) == says[:, None], 0.9, 0.1).astype("f4")


def test_the_gate_opens_for_a_memory_that_errs_elsewhere_and_lifts_unseen_rows():
    memory = memory_of(np.eye(2), np.eye(2))
    labels = np.arange(1200) % 2
    student = student_that_is_right(0.8, labels, 1)
    found_by = np.where(np.random.default_rng(2).random(1200) < 0.9, labels, 1 - labels)
    queries = np.eye(2, dtype=np.float32)[found_by]
    held_out, test = slice(0, 400), slice(400, 1200)
    choice = choose_gate(Encoded(queries[held_out], student[held_out]), labels[held_out], memory, "accuracy")
    assert not choice.retrieval.gate.is_closed
    answers = answer(Encoded(queries[test], student[test]), memory, choice.retrieval).argmax(axis=1)
    assert (answers == labels[test]).mean() > (student[test].argmax(axis=1) == labels[test]).mean() + 0.05


def test_the_gate_stays_closed_for_a_memory_that_only_repeats_the_student():
    memory = memory_of(np.eye(2), np.eye(2))
    labels = np.arange(400) % 2
    student = student_that_is_right(0.8, labels, 1)
    queries = Encoded(np.eye(2, dtype=np.float32)[student.argmax(axis=1)], student)
    choice = choose_gate(queries, labels, memory, "accuracy")
    assert choice.retrieval.gate.is_closed
    np.testing.assert_array_equal(answer(queries, memory, choice.retrieval).argmax(axis=1), student.argmax(axis=1))


@pytest.mark.parametrize(
    ("errors", "low", "mean", "is_open"),
    [
        (2.0, 0.0, 0.01, True),  # certain in both
        (2.0, -0.01, 0.01, False),  # the metric may have fallen by chance
        (3.5, -0.01, 0.01, True),  # the log loss leaves no doubt
        (3.5, -0.03, -0.01, False),  # and yet the metric fell
        (1.0, 0.01, 0.02, False),  # the log loss may have fallen by chance
    ],
)
def test_the_gate_opens_for_a_certain_gain_or_one_beyond_doubt_that_does_not_lower_the_metric(
    monkeypatch, errors, low, mean, is_open
):
    monkeypatch.setattr(evaluation, "gain_is_certain", lambda *given: errors > (*given, 1.645)[3])
    monkeypatch.setattr(evaluation, "paired_bootstrap", lambda *_, **__: Interval(mean, low, 1.0))
    generator = np.random.default_rng(0)
    queries = Encoded(random_unit(60, 4, 0), generator.dirichlet([1, 1], size=60).astype(np.float32))
    memory = memory_of(np.eye(4), [[1, 0], [0, 1], [1, 0], [0, 1]])
    choice = choose_gate(queries, generator.integers(0, 2, 60), memory, "accuracy")
    assert choice.retrieval.gate.is_closed != is_open


@pytest.mark.parametrize(("right", "k"), [(0.93, 4), (0.65, 64)])
def test_few_memories_are_chosen_unless_more_of_them_are_better_by_over_a_standard_error(monkeypatch, right, k):
    generator = np.random.default_rng(2)

    def near(places):
        angles = np.pi / 2 * places + generator.uniform(-0.1, 0.1, len(places))
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    places, labels = np.repeat(np.arange(2), 100), np.arange(600) % 2
    memory = memory_of(near(places), np.eye(2)[np.where(generator.random(200) < right, places, 1 - places)])
    found = near(np.where(generator.random(600) < 0.85, labels, 1 - labels))
    asked = Encoded(found, student_that_is_right(0.8, labels, 1)), labels, memory, "accuracy"
    assert choose_gate(*asked).retrieval.k == k
    monkeypatch.setattr(evaluation, "ONE_ERROR", -np.inf)
    assert choose_gate(*asked).retrieval.k == 64


def test_the_gate_opens_by_the_smallest_k_that_opens_it_among_those_alike(monkeypatch):
    opens = iter([False, True, False, False, False])  # k of 4, 8, 16, 32 and 64
    monkeypatch.setattr(evaluation, "_pays", lambda *_: next(opens))
    monkeypatch.setattr(evaluation, "ONE_ERROR", np.inf)
    memory, labels = memory_of(random_unit(80, 4, 1), np.eye(2)[np.arange(80) % 2]), np.arange(60) % 2
    choice = choose_gate(
        Encoded(random_unit(60, 4, 0), student_that_is_right(0.8, labels, 1)), labels, memory, "accuracy"
    )
    assert (choice.retrieval.k, choice.retrieval.gate.is_closed) == (8, False)


def test_the_gate_stays_closed_where_too_few_rows_are_held_out():
    memory, labels = memory_of(np.eye(2), np.eye(2)), np.arange(20) % 2
    queries = Encoded(np.eye(2, dtype=np.float32)[labels], student_that_is_right(0.5, labels, 3))
    assert choose_gate(queries, labels, memory, "accuracy").retrieval.gate.is_closed


def test_the_second_key_is_chosen_where_it_tells_more_than_the_students():
    memory = memory_of(np.eye(2), np.eye(2))
    labels = {"validation": np.arange(300) % 2, "test": np.arange(200) % 2}
    says = {split: student_that_is_right(0.8, gold, 4) for split, gold in labels.items()}
    repeats = {split: Encoded(np.eye(2, dtype="f4")[p.argmax(axis=1)], p) for split, p in says.items()}
    knows = {split: np.eye(2, dtype="f4")[gold] for split, gold in labels.items()}
    networks = Networks(repeats, repeats, repeats, repeats, second_keys=knows)
    scored = score_methods(networks, labels, memory, memory, "accuracy", memory)
    assert scored.by_second_key
    assert scored.methods["reaugkd"]["test"] == scored.methods["kd_second_key"]["test"] == 1.0


@pytest.mark.parametrize(("rows", "few"), [(49, 49), (50, None)])
def test_a_gate_is_tried_from_fifty_rows_on_and_who_asks_is_told_so(rows, few):
    gold = np.arange(rows) % 2
    unsure = Encoded(np.eye(2, dtype="f4")[gold], np.full((rows, 2), 0.5, dtype="f4"))
    choice = choose_gate(unsure, gold, memory_of(np.eye(2), np.eye(2)), "accuracy")
    assert choice.retrieval.gate_is_open == (few is None)
    assert too_few_for_a_gate(rows) == few


def test_kd_with_its_own_memory_searches_that_memory(memory):
    labels = {"validation": np.arange(20) % 3, "test": np.arange(30) % 3}
    own = memory_of(random_unit(60, 8, 77), np.roll(memory.soft_labels, 1, axis=1))
    with_own = score_methods(four_networks(100), labels, memory, own, "accuracy").methods
    with_teachers = score_methods(four_networks(100), labels, memory, memory, "accuracy").methods
    changed = {method for method in with_own if with_own[method] != with_teachers[method]}
    assert changed == {"kd_own_memory"}


def test_evaluate_model_refuses_rows_that_are_not_there(toy_model):
    with pytest.raises(ReAugKDError, match="no rows to evaluate on"):
        evaluate_model(toy_model, pd.DataFrame({"text": [], "label": []}))
