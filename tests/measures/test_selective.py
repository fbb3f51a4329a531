"""Accuracy against the share that is answered, and the threshold, by loops over the rows."""

import numpy as np
import pytest

from reaugkd.errors import ReAugKDError
from reaugkd.measures.selective import EVERY, Threshold, choose_threshold, coverage_table


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
