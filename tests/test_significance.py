"""Intervals and tests agree with published figures and with counts by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from reaugkd.errors import ReAugKDError
from reaugkd.significance import interval_over_seeds, mcnemar, paired_bootstrap


def test_interval_over_seeds_is_students_t():
    # t(0.975, 4) = 2.776445 (any table of Student's t); the standard error of 1..5 is sqrt(2.5 / 5).
    interval = interval_over_seeds([1, 2, 3, 4, 5])
    assert interval.mean == 3
    assert interval.high == pytest.approx(3 + 2.776445 * math.sqrt(0.5), abs=1e-5)
    assert interval.low == pytest.approx(3 - 2.776445 * math.sqrt(0.5), abs=1e-5)


def test_a_single_seed_has_no_interval():
    interval = interval_over_seeds([0.5])
    assert interval.mean == 0.5
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_no_seed_at_all_is_refused():
    with pytest.raises(ReAugKDError, match="at least one seed"):
        interval_over_seeds([])


def test_bootstrap_interval_of_accuracy_is_near_the_normal_one():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, size=2_000)
    ours = np.where(generator.random(2_000) < 0.85, labels, 1 - labels)
    theirs = np.where(generator.random(2_000) < 0.80, labels, 1 - labels)
    interval = paired_bootstrap(labels, ours, theirs, "accuracy")
    differences = (ours == labels).astype(float) - (theirs == labels).astype(float)
    assert interval.mean == pytest.approx(differences.mean())
    half = 1.96 * stats.sem(differences)
    assert interval.low == pytest.approx(differences.mean() - half, abs=0.15 * half)
    assert interval.high == pytest.approx(differences.mean() + half, abs=0.15 * half)


def test_bootstrap_averages_over_seeds():
    labels = np.asarray([0, 1, 0, 1])
    ours = np.asarray([[0, 1, 0, 1], [0, 1, 0, 0]])
    theirs = np.asarray([[0, 1, 0, 0], [0, 1, 1, 0]])
    assert paired_bootstrap(labels, ours, theirs, "accuracy", draws=10).mean == pytest.approx(0.25)


def test_bootstrap_pairs_the_examples():
    labels = np.random.default_rng(1).integers(0, 2, size=100)
    noisy = np.random.default_rng(2).integers(0, 2, size=100)
    interval = paired_bootstrap(labels, noisy, noisy, "matthews_correlation")
    assert (interval.low, interval.mean, interval.high) == (0, 0, 0)


def test_bootstrap_refuses_predictions_of_other_examples():
    with pytest.raises(ReAugKDError, match="same seeds on the same examples"):
        paired_bootstrap(np.zeros(3, np.int64), np.zeros((1, 3), np.int64), np.zeros((1, 4), np.int64), "accuracy")


def test_mcnemar_is_a_fair_coin_over_the_examples_that_differ():
    labels = np.zeros(20, np.int64)
    ours = np.zeros(20, np.int64)
    theirs = np.asarray([1] * 6 + [0] * 14)
    # Six heads of six tosses, both sides: 2 / 2^6.
    assert mcnemar(labels, ours, theirs) == pytest.approx(2 / 64)
    assert mcnemar(labels, theirs, ours) == pytest.approx(2 / 64)


def test_mcnemar_of_equal_predictions_is_one():
    labels = np.asarray([0, 1, 1])
    assert mcnemar(labels, labels, labels) == 1
