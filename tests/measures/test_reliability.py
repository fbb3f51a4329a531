"""Bins and calibration error, against a loop."""

import numpy as np
import pytest

from reaugkd.measures.reliability import expected_calibration_error, reliability_table


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
