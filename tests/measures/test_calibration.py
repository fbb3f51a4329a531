"""Whether probabilities mean what they say, and the one temperature that makes them."""

import numpy as np
import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import (
    EVERY,
    Threshold,
    at_temperature,
    choose_threshold,
    coverage_table,
    expected_calibration_error,
    fit_temperature,
    reliability_table,
)
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


@pytest.fixture
def answers():
    generator = np.random.default_rng(3)
    confidences = generator.uniform(0.3, 1.0, 500)
    return confidences, generator.random(500) < confidences**2


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it():
    table = reliability_table(np.asarray([0.0, 0.1, 0.1001, 0.95, 1.0]), np.ones(5, dtype=bool))
    assert table["rows"].tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]


def test_means_and_error_are_those_of_a_loop_over_the_bins(answers):
    confidences, right = answers
    table, error = reliability_table(confidences, right), 0.0
    for number in range(10):
        inside = (confidences > number / 10) & (confidences <= (number + 1) / 10)
        assert table.loc[number, "rows"] == inside.sum()
        if inside.any():
            assert table.loc[number, "confidence"] == pytest.approx(confidences[inside].mean())
            assert table.loc[number, "accuracy"] == pytest.approx(right[inside].mean())
            error += inside.mean() * abs(right[inside].mean() - confidences[inside].mean())
        else:
            assert np.isnan(table.loc[number, "accuracy"])
    assert expected_calibration_error(confidences, right) == pytest.approx(error)


def test_answers_that_are_as_often_right_as_they_say_have_no_error():
    confidences = np.repeat([0.25, 0.75], 400)
    right = np.tile([True, False, False, False], 100).tolist() + np.tile([True, True, True, False], 100).tolist()
    assert expected_calibration_error(confidences, np.asarray(right)) == pytest.approx(0.0, abs=1e-12)


def test_no_rows_have_no_error():
    assert expected_calibration_error(np.asarray([]), np.asarray([], dtype=bool)) == 0.0


@pytest.fixture
def scored():
    generator = np.random.default_rng(3)
    scores = generator.integers(1, 30, 120) / 30  # many are equal
    return scores, generator.random(120) < scores


def test_each_threshold_answers_the_rows_that_reach_it(scored):
    scores, right = scored
    table = coverage_table(scores, right)
    assert len(table) == len(set(scores))
    assert table["share"].iloc[-1] == 1
    for least, rows, share, accuracy in table.itertuples(index=False):
        answered = scores >= least
        assert (rows, share) == (answered.sum(), answered.mean())
        assert accuracy == pytest.approx(right[answered].mean())


def test_no_threshold_that_reaches_the_accuracy_answers_more(scored):
    scores, right = scored
    chosen = choose_threshold(scores, right, 0.8, "probability")
    answered = scores >= chosen.least
    assert right[answered].mean() >= 0.8
    assert chosen.least not in scores
    more = [scores >= least for least in scores if (scores >= least).sum() > answered.sum()]
    assert more
    assert all(right[rows].mean() < 0.8 for rows in more)


def test_where_all_answers_are_good_enough_each_text_is_answered(scored):
    assert choose_threshold(scored[0], scored[1], 0.1, "probability").least == EVERY


def test_a_handful_of_right_rows_makes_no_threshold(scored):
    scores = np.arange(50) / 50
    right = np.arange(50) >= 45  # the five surest alone
    with pytest.raises(ReAugKDError, match=r"At no threshold are 90 % .* 50 validation rows right; the best is 50.0 %"):
        choose_threshold(scores, right, 0.9, "probability")


def test_without_rows_there_is_no_threshold():
    with pytest.raises(ReAugKDError, match="0 validation rows right; ask for less"):
        choose_threshold(np.empty(0), np.empty(0, dtype=bool), 0.9, "probability")


@pytest.mark.parametrize(("wrong", "named"), [({"least": 2.0}, "least is 2"), ({"accuracy": -1.0}, "accuracy is -1")])
def test_a_threshold_out_of_range_is_refused(wrong, named):
    with pytest.raises(ReAugKDError, match=named):
        Threshold(**{"by": "probability", "least": 0.5, "accuracy": 0.9, **wrong})


@pytest.mark.parametrize("accuracy", ["0.9%", None, float("nan"), [0.9]])
def test_an_accuracy_that_is_no_number_is_told(accuracy):
    with pytest.raises(ReAugKDError, match="accuracy is .*; it must be a number"):
        choose_threshold(np.array([0.5, 0.9]), np.array([True, True]), accuracy, "probability")
