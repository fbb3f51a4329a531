"""Choices are made on validation alone; every ablation is scored."""

import numpy as np
import pandas as pd
import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.evaluation import (
    GRID_RETRIEVAL_WEIGHT,
    METHODS,
    Encoded,
    Networks,
    answer,
    choose_retrieval,
    evaluate_model,
    score_methods,
)
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.retrieval import RetrievalSettings


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


def test_all_eight_methods_are_scored_on_test_and_validation(memory):
    labels = {"validation": np.arange(20) % 3, "test": np.arange(30) % 3}
    networks = four_networks(100)
    scores, retrieval = score_methods(networks, labels, memory, memory, "accuracy")
    assert tuple(scores) == METHODS
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
    assert one[1] == other[1]
    assert [s["validation"] for s in one[0].values()] == [s["validation"] for s in other[0].values()]
    assert [s["test"] for s in one[0].values()] != [s["test"] for s in other[0].values()]


def test_kd_with_its_own_memory_searches_that_memory(memory):
    labels = {"validation": np.arange(20) % 3, "test": np.arange(30) % 3}
    own = memory_of(random_unit(60, 8, 77), np.roll(memory.soft_labels, 1, axis=1))
    with_own, _ = score_methods(four_networks(100), labels, memory, own, "accuracy")
    with_teachers, _ = score_methods(four_networks(100), labels, memory, memory, "accuracy")
    changed = {method for method in METHODS if with_own[method] != with_teachers[method]}
    assert changed == {"kd_own_memory"}


def test_evaluate_model_refuses_rows_that_are_not_there(toy_model):
    with pytest.raises(ReAugKDError, match="no rows to evaluate on"):
        evaluate_model(toy_model, pd.DataFrame({"text": [], "label": []}))
