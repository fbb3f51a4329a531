"""The ridge by conjugate gradients against scikit-learn's in closed form, to the accuracy that it promises."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.linear_model import Ridge

from reaugkd.method.ridge import TOLERANCE, sparse_ridge


def sparse_rows(rows, columns, seed=0):
    """Rows of length 1 with about ten numbers, as TF-IDF has."""
    given = random_array((rows, columns), density=10 / columns, rng=np.random.default_rng(seed), format="csr")
    lengths = np.sqrt(given.multiply(given).sum(axis=1))
    return csr_matrix(given / np.maximum(lengths, 1e-12)[:, None], dtype=np.float32)


def targets(rows, width=5, seed=1):
    return (np.random.default_rng(seed).normal(size=(rows, width)) + 2).astype(np.float32)


def exact(features, wanted, penalty):
    ridge = Ridge(alpha=penalty, solver="cholesky").fit(features.toarray().astype(float), wanted.astype(float))
    return ridge.coef_.T, ridge.intercept_


@pytest.mark.parametrize("penalty", [3.0, 1.0, 0.3, 0.1])
@pytest.mark.parametrize(("rows", "columns"), [(300, 40), (60, 400)], ids=["tall", "wide"])
def test_the_layer_is_that_of_scikit_learn_within_the_accuracy_that_is_promised(rows, columns, penalty):
    features, wanted = sparse_rows(rows, columns), targets(rows)
    weight, bias = sparse_ridge(features, wanted, penalty)
    best, best_bias = exact(features, wanted, penalty)
    dense = features.toarray().astype(np.float64)
    centred = dense - dense.mean(axis=0)
    right = centred.T @ (wanted - wanted.mean(axis=0, dtype=np.float64))
    left = centred.T @ centred + penalty * np.eye(columns)
    np.testing.assert_allclose(left @ best, right, atol=1e-9)
    missed = np.linalg.norm(left @ weight - right, axis=0) / np.linalg.norm(right, axis=0)
    assert missed.max() <= 1.01 * TOLERANCE
    # ‖left (W - W*)‖ = ‖missed‖, so no weight is farther off than this by the smallest eigenvalue.
    allowed = 1.01 * TOLERANCE * np.linalg.norm(right, axis=0) / np.linalg.eigvalsh(left)[0]
    assert (np.linalg.norm(weight - best, axis=0) <= allowed).all()
    np.testing.assert_allclose(weight, best, atol=2e-3 * np.abs(best).max())
    np.testing.assert_allclose(bias, best_bias, atol=1e-3)


def test_the_bias_takes_what_all_targets_have_in_common():
    features, wanted = sparse_rows(200, 30), targets(200)
    weight, bias = sparse_ridge(features, wanted, 0.5)
    moved, moved_bias = sparse_ridge(features, wanted + np.float32(7), 0.5)
    np.testing.assert_allclose(moved, weight, atol=2e-3 * np.abs(weight).max())
    np.testing.assert_allclose(moved_bias - bias, 7, atol=1e-3)
    np.testing.assert_allclose((features @ weight + bias).mean(axis=0), wanted.mean(axis=0), atol=1e-5)


def test_targets_that_are_all_alike_are_the_bias_alone():
    weight, bias = sparse_ridge(sparse_rows(50, 20), np.full((50, 2), 3, dtype=np.float32), 1.0)
    np.testing.assert_array_equal(weight, 0)
    np.testing.assert_allclose(bias, 3)


def test_a_heavier_penalty_makes_smaller_weights():
    features, wanted = sparse_rows(200, 30), targets(200)
    sizes = [np.linalg.norm(sparse_ridge(features, wanted, penalty)[0]) for penalty in (0.1, 1.0, 10.0, 1e4)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.02 * sizes[0]
