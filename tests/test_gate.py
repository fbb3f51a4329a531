"""λ by query: the formula, the gradient's minimum, what a closed gate does."""

import numpy as np
import pytest
from scipy.optimize import minimize

from reaugkd.gate import FEATURES, Gate, fit_gate, gain_is_certain, gate_features


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    student, retrieved = (generator.dirichlet([0.6] * 3, size=200) for _ in range(2))
    similarities = generator.uniform(-1, 1, size=(200, 4))
    return student, similarities, retrieved, generator.integers(0, 3, 200)


def test_features_are_entropy_margin_similarity_agreement_and_same_answer():
    student = np.asarray([[0.7, 0.2, 0.1]])
    retrieved = np.asarray([[0.1, 0.6, 0.3]])
    found = dict(zip(FEATURES, gate_features(student, np.asarray([[0.5, 0.8]]), retrieved)[0], strict=True))
    entropy = -(0.7 * np.log(0.7) + 0.2 * np.log(0.2) + 0.1 * np.log(0.1)) / np.log(3)
    wanted = {"student_entropy": entropy, "student_margin": 0.5, "nearest_similarity": 0.8}
    wanted |= {"neighbour_agreement": 0.6, "same_answer": 0.0}
    assert found == pytest.approx(wanted)


def test_weights_follow_the_logistic_formula(rows):
    student, similarities, retrieved, _ = rows
    gate = Gate(1.0, (0.5, -1.0, 2.0, 0.1, -0.3), -1.5, (0.1,) * 5, (2.0,) * 5)
    features = gate_features(student, similarities, retrieved)
    standard = (features - 0.1) / 2.0
    wanted = 1 / (1 + np.exp(-(standard @ np.asarray(gate.coefficients) - 1.5)))
    np.testing.assert_allclose(gate.retrieval_weights(student, similarities, retrieved), wanted, rtol=1e-12)


def test_the_fitted_gate_has_the_lowest_penalised_log_loss_that_another_optimiser_finds(rows):
    student, similarities, retrieved, labels = rows
    features = gate_features(student, similarities, retrieved)
    gate = fit_gate(features, student, retrieved, labels, penalty=0.05)
    standard = (features - gate.means) / gate.scales

    def loss(parameters):
        weight = 1 / (1 + np.exp(-(standard @ parameters[:-1] + parameters[-1])))
        chosen = ((1 - weight)[:, None] * student + weight[:, None] * retrieved)[np.arange(200), labels]
        distance = np.append(parameters[:-1], parameters[-1] - np.log(0.1 / 0.9))
        return -np.log(chosen).mean() + 0.05 * (distance**2).sum() / 2

    best = minimize(loss, np.zeros(6), method="Nelder-Mead", options={"maxiter": 20_000, "fatol": 1e-12, "xatol": 1e-9})
    assert loss(np.asarray([*gate.coefficients, gate.intercept])) == pytest.approx(best.fun, abs=1e-6)


def test_a_closed_gate_gives_the_memory_no_weight(rows):
    student, similarities, retrieved, _ = rows
    assert Gate.closed(1.0).is_closed
    assert Gate.closed(1.0).retrieval_weights(student, similarities, retrieved).max() < 1e-12


def test_a_gain_is_certain_when_it_is_large_against_its_spread_and_not_by_chance():
    generator = np.random.default_rng(1)
    labels = np.zeros(400, dtype=int)
    baseline = np.full((400, 2), 0.5)
    better, noisy = (np.clip(0.5 + shift + 0.2 * generator.standard_normal(400), 0.05, 0.95) for shift in (0.2, 0.0))
    assert gain_is_certain(np.stack([better, 1 - better], 1), baseline, labels)
    assert not gain_is_certain(np.stack([noisy, 1 - noisy], 1), baseline, labels)
    assert not gain_is_certain(baseline, baseline, labels)
