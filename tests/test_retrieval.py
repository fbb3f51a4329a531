"""The weights and the blend against NumPy."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from reaugkd import retrieval
from reaugkd.errors import ReAugKDError
from reaugkd.gate import Gate
from reaugkd.retrieval import (
    RetrievalSettings,
    Retrieved,
    blend,
    combine,
    neighbour_weights,
    new_class_weights,
    retrieved_probabilities,
    student_vote,
    weighed,
)


@pytest.fixture(scope="module")
def arrays():
    random = np.random.default_rng(0)
    return {
        "similarities": -np.sort(-random.uniform(-1, 1, size=(5, 4)), axis=1),
        "soft_labels": random.dirichlet(np.ones(3), size=(5, 4)),
        "student": random.dirichlet(np.ones(3), size=5).astype(np.float32),
    }


@pytest.mark.parametrize("temperature", [0.02, 0.1, 1.0])
def test_weights_are_the_softmax_of_the_similarities(arrays, temperature):
    weights = neighbour_weights(arrays["similarities"], temperature)
    for row, similarities in zip(weights, arrays["similarities"], strict=True):
        exponentials = [np.exp(value / temperature) for value in similarities]
        np.testing.assert_allclose(row, np.asarray(exponentials) / sum(exponentials), rtol=1e-12)


def test_weights_are_finite_at_a_tiny_temperature():
    np.testing.assert_allclose(neighbour_weights(np.asarray([[1.0, 0.5, -1.0]]), 1e-6), [[1, 0, 0]], atol=1e-12)


def test_equal_similarities_weigh_the_same():
    np.testing.assert_allclose(neighbour_weights(np.full((2, 4), 0.3, dtype=np.float32), 0.1), 0.25)


def test_a_neighbour_that_was_not_found_weighs_nothing():
    weights = neighbour_weights(np.asarray([[0.9, 0.8, -np.inf]]), 0.1)
    np.testing.assert_allclose(weights[:, :2], neighbour_weights(np.asarray([[0.9, 0.8]]), 0.1))
    assert weights[0, 2] == 0


def test_the_retrieved_prediction_is_the_weighted_sum_of_the_soft_labels(arrays):
    weights = neighbour_weights(arrays["similarities"], 0.1)
    retrieved = retrieved_probabilities(weights, arrays["soft_labels"])
    for i in range(5):
        wanted = sum(weights[i, k] * arrays["soft_labels"][i, k] for k in range(4))
        np.testing.assert_allclose(retrieved[i], wanted, rtol=1e-12)
    np.testing.assert_allclose(retrieved.sum(axis=1), 1)


@pytest.mark.parametrize("gathered", [1, 100, 700, 2**22])
def test_the_prediction_is_the_same_to_the_bit_however_many_queries_are_gathered_at_a_time(monkeypatch, gathered):
    random = np.random.default_rng(1)
    memory = SimpleNamespace(soft_labels=random.dirichlet(np.ones(7), size=50).astype(np.float32))
    similarities, numbers = random.uniform(size=(33, 5)).astype(np.float32), random.integers(50, size=(33, 5))
    monkeypatch.setattr(retrieval, "GATHERED", gathered)
    found = weighed(memory, similarities, numbers, 0.1)
    weights = neighbour_weights(similarities, 0.1)
    np.testing.assert_array_equal(found.probabilities, retrieved_probabilities(weights, memory.soft_labels[numbers]))


def test_many_queries_over_many_classes_do_not_take_gigabytes():
    memory = SimpleNamespace(soft_labels=np.full((10, 500), 0.002, dtype=np.float32))
    similarities, numbers = np.zeros((2_000, 64), dtype=np.float32), np.zeros((2_000, 64), dtype=np.int64)
    tracemalloc.start()
    weighed(memory, similarities, numbers, 0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20  # soft labels of all neighbours would be 770 MB


def test_the_weight_of_new_classes_is_what_the_two_nearest_give_them_and_each_kind_shares_its_own_by_similarity(arrays):
    weights, known = neighbour_weights(arrays["similarities"], 0.5), 2
    found = new_class_weights(weights, arrays["soft_labels"], known)
    for i in range(5):
        new = [sum(arrays["soft_labels"][i, k, known:]) for k in range(4)]
        u = sum(weights[i, k] * new[k] for k in range(4))
        v = (weights[i, 0] * new[0] + weights[i, 1] * new[1]) / (weights[i, 0] + weights[i, 1])
        wanted = [weights[i, k] * (new[k] * v / u + (1 - new[k]) * (1 - v) / (1 - u)) for k in range(4)]
        np.testing.assert_allclose(found[i], wanted, rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)


def test_without_a_memory_of_a_new_class_among_the_neighbours_the_weights_stay_as_they_are_to_the_bit(arrays):
    weights = neighbour_weights(arrays["similarities"], 0.1)
    of_known = np.pad(arrays["soft_labels"], ((0, 0), (0, 0), (0, 2)))
    for soft_labels, known in ((of_known, 3), (arrays["soft_labels"], 3), (arrays["soft_labels"], None)):
        np.testing.assert_array_equal(new_class_weights(weights, soft_labels, known), weights)


@pytest.mark.parametrize("k", [2, 4, 16, 64])
@pytest.mark.parametrize(("new_rows", "wins"), [((0, 1), True), ((0, 1, 2), True), ((2, 3, 5), False)])
def test_a_class_of_a_few_rows_wins_where_the_two_nearest_are_its_and_only_there_however_large_k_is(k, new_rows, wins):
    labels = np.zeros(64, dtype=np.int64)
    labels[[row for row in new_rows if row < k]] = 2
    memory = SimpleNamespace(soft_labels=np.eye(3, dtype=np.float32)[labels])
    similarities = np.linspace(0.9, 0.5, 64, dtype=np.float32)[None, :k]
    found = weighed(memory, similarities, np.arange(k)[None, :], 0.2, known=2)
    shut = RetrievalSettings(k, 0.0, 0.2, gate=Gate.closed(1.0))
    answered = combine(np.asarray([[0.99, 0.01]]), found, shut).probabilities
    assert (answered.argmax() == 2) == wins
    np.testing.assert_allclose(found.weights.sum(), 1)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
def test_the_blend_is_the_formula(arrays, weight):
    retrieved = arrays["soft_labels"][:, 0]
    wanted = (1 - weight) * arrays["student"].astype(np.float64) + weight * retrieved
    np.testing.assert_allclose(blend(arrays["student"], retrieved, weight), wanted, rtol=1e-12)


def test_a_lambda_of_zero_is_the_plain_student_to_the_bit(arrays):
    blended = blend(arrays["student"], arrays["soft_labels"][:, 0], 0.0)
    np.testing.assert_array_equal(blended.astype(np.float32), arrays["student"])
    np.testing.assert_array_equal(blended, arrays["student"].astype(np.float64))


def test_a_lambda_of_one_is_the_plain_knn_to_the_bit(arrays):
    retrieved = arrays["soft_labels"][:, 0]
    np.testing.assert_array_equal(blend(arrays["student"], retrieved, 1.0), retrieved)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "k is 0; it must be at least 1"),
        ({"k": 2.5}, r"k is 2\.5; it must be a whole number"),
        ({"k": float("nan")}, "k is nan; it must be at least 1"),
        ({"k": float("inf")}, "k is inf; it must be a whole number"),
        ({"retrieval_weight": -0.1}, r"retrieval_weight is -0\.1; it must be from 0 to 1"),
        ({"retrieval_weight": 1.1}, r"retrieval_weight is 1\.1; it must be from 0 to 1"),
        ({"retrieval_weight": float("nan")}, "retrieval_weight is nan"),
        ({"temperature": 0}, "temperature is 0; it must be above 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
    ],
)
def test_settings_are_validated_when_made_and_when_overridden(settings, message):
    with pytest.raises(ReAugKDError, match=message):
        RetrievalSettings(**settings)
    with pytest.raises(ReAugKDError, match=message):
        RetrievalSettings().overridden(**settings)


def test_only_what_is_given_is_overridden():
    settings = RetrievalSettings(k=7, retrieval_weight=0.4, temperature=0.2)
    assert settings.overridden() == settings
    assert settings.overridden(retrieval_weight=0.0) == RetrievalSettings(7, 0.0, 0.2)
    assert settings.overridden(k=3, temperature=0.5) == RetrievalSettings(3, 0.4, 0.5)


def test_a_class_that_the_student_does_not_know_wins_where_its_memories_are_nearest():
    retrieved = np.asarray([[0.05, 0.05, 0.9], [0.3, 0.7, 0.0]])
    student = np.asarray([[0.98, 0.02], [0.6, 0.4]])
    vote = student_vote(student, retrieved)
    np.testing.assert_allclose(vote, [[0.098, 0.002, 0.9], [0.6, 0.4, 0.0]], atol=1e-12)
    np.testing.assert_allclose(vote.sum(axis=1), 1.0)


def test_a_fixed_weight_of_zero_leaves_new_classes_out_and_a_closed_gate_lets_them_win():
    found = Retrieved(np.zeros((1, 2), int), np.ones((1, 2), "f4"), np.full((1, 2), 0.5), np.asarray([[0.1, 0.0, 0.9]]))
    student = np.asarray([[0.8, 0.2]], dtype="f4")
    plain = combine(student, found, RetrievalSettings(2, 0.0)).probabilities
    np.testing.assert_array_equal(plain[:, :2], student.astype(np.float64))
    np.testing.assert_array_equal(combine(student, found, RetrievalSettings(2, 0.0)).memory_weights, [[0, 0, 0]])
    np.testing.assert_array_equal(combine(student, found, RetrievalSettings(2, 0.3)).memory_weights, [[0.3, 0.3, 1]])
    gated = combine(student, found, RetrievalSettings(2, 0.0, gate=Gate.closed(1.0)))
    np.testing.assert_array_equal(gated.memory_weights, [[0, 0, 1]])
    assert gated.probabilities.argmax() == 2
    assert gated.retrieval_weights[0] < 1e-12


def test_a_given_weight_silences_the_gate():
    settings = RetrievalSettings(4, 0.2, 0.1, Gate.closed(2.0))
    assert settings.overridden(k=8).gate is settings.gate
    assert settings.overridden(retrieval_weight=0.5) == RetrievalSettings(4, 0.5, 0.1)
