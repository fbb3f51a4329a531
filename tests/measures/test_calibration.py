"""One temperature makes probabilities mean what they say."""

import numpy as np
import pytest

from reaugkd.measures.calibration import at_temperature, fit_temperature
from reaugkd.measures.metrics import log_loss


def test_a_temperature_divides_log_probabilities_and_keeps_their_order():
    probabilities = np.asarray([[0.7, 0.2, 0.1]])
    wanted = np.sqrt(probabilities) / np.sqrt(probabilities).sum()
    np.testing.assert_allclose(at_temperature(probabilities, 2.0), wanted, rtol=1e-12)
    np.testing.assert_allclose(at_temperature(probabilities, 1.0), probabilities, rtol=1e-12)


def test_the_fitted_temperature_undoes_overconfidence():
    generator = np.random.default_rng(0)
    true = generator.dirichlet([1.0] * 4, size=20_000)
    labels = np.asarray([generator.choice(4, p=row) for row in true])
    assert fit_temperature(at_temperature(true, 1 / 3), labels) == pytest.approx(3.0, rel=0.05)
    assert fit_temperature(true, labels) == pytest.approx(1.0, rel=0.05)


def test_the_fitted_temperature_is_the_best_of_a_fine_grid():
    generator = np.random.default_rng(1)
    probabilities, labels = generator.dirichlet([0.3] * 3, size=300), generator.integers(0, 3, 300)
    grid = np.geomspace(0.1, 10, 2_000)

    def loss(temperature):
        return 300 * log_loss(labels, at_temperature(probabilities, temperature)) + np.log(temperature) ** 2 / 2

    best = min(grid, key=loss)
    assert fit_temperature(probabilities, labels) == pytest.approx(best, rel=0.01)


def test_rows_without_an_error_do_not_make_probabilities_certain():
    probabilities = np.asarray([[0.8, 0.2]] * 20)
    temperature = fit_temperature(probabilities, np.zeros(20, dtype=int))
    assert 0.3 < temperature < 1
