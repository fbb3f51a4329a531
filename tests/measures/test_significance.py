"""Intervals and tests agree with published figures and with counts by hand."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import matthews_corrcoef

from reaugkd.errors import ReAugKDError
from reaugkd.measures.metrics import METRICS
from reaugkd.measures.significance import (
    accuracy_interval,
    drawn,
    drawn_differences,
    interval,
    mcnemar,
    score_interval,
)


def paired_bootstrap(*given, **options):
    return interval(drawn_differences(*given, **options))


def test_bootstrap_interval_of_accuracy_is_near_the_normal_one():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, size=2_000)
    ours = np.where(generator.random(2_000) < 0.85, labels, 1 - labels)
    theirs = np.where(generator.random(2_000) < 0.80, labels, 1 - labels)
    found = paired_bootstrap(labels, ours, theirs, "accuracy")
    differences = (ours == labels).astype(float) - (theirs == labels).astype(float)
    assert found.mean == pytest.approx(differences.mean())
    half = 1.96 * stats.sem(differences)
    assert found.low == pytest.approx(differences.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(differences.mean() + half, abs=0.15 * half)


def test_the_bootstrap_is_a_loop_by_hand_over_the_same_draws_of_seeds_and_rows():
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, size=40)
    ours, theirs = ((labels + (random.random((3, 40)) < wrong)) % 2 for wrong in (0.2, 0.35))

    def difference(seeds, rows):
        scores = [[matthews_corrcoef(labels[rows], side[seed, rows]) for seed in seeds] for side in (ours, theirs)]
        return np.mean(scores[0]) - np.mean(scores[1])

    generator, wanted = np.random.default_rng(7), []
    for _ in range(50):
        seeds = generator.integers(3, size=3)
        wanted.append(difference(seeds, generator.integers(40, size=40)))
    found = drawn_differences(labels, ours, theirs, "matthews_correlation", seed=7)[:51]
    mean = difference(range(3), np.arange(40))
    np.testing.assert_allclose(found, [mean, *wanted], atol=1e-12)
    both = interval(found)
    assert (both.mean, both.low, both.high) == pytest.approx((mean, *np.percentile(wanted, [2.5, 97.5])))


def test_the_interval_holds_the_chance_of_the_seeds():
    labels = np.zeros(10, np.int64)
    ours = np.repeat([[0], [1]], 10, axis=1)  # one seed is right everywhere, the other nowhere
    found = paired_bootstrap(labels, ours, np.ones((2, 10), np.int64), "accuracy")
    assert (found.low, found.mean, found.high) == (0, 0.5, 1)


def test_every_seed_and_row_is_drawn_as_often_as_any_other():
    taken = []
    drawn(lambda seeds, rows: taken.append((seeds, rows)) or 0.0, 3, 5)
    (all_seeds, all_rows), *draws = taken
    assert (all_seeds.tolist(), all_rows.tolist()) == ([0, 1, 2], [0, 1, 2, 3, 4])
    for numbers, count in ((np.stack([seeds for seeds, _ in draws]), 3), (np.stack([rows for _, rows in draws]), 5)):
        assert numbers.shape == (1_000, count)
        shares = np.bincount(numbers.ravel()) / numbers.size
        np.testing.assert_allclose(shares, 1 / count, atol=4 * np.sqrt((1 - 1 / count) / count / numbers.size))


def test_bootstrap_pairs_the_examples():
    labels = np.random.default_rng(1).integers(0, 2, size=100)
    noisy = np.random.default_rng(2).integers(0, 2, size=100)
    found = paired_bootstrap(labels, np.stack([noisy, labels]), np.stack([noisy, labels]), "matthews_correlation")
    assert (found.low, found.mean, found.high) == (0, 0, 0)


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


def test_the_interval_of_an_accuracy_is_wilsons_and_never_a_point():
    z, rate = 1.959963984540054, 7 / 9
    middle = (rate + z**2 / 18) / (1 + z**2 / 9)
    half = z * np.sqrt(rate * (1 - rate) / 9 + z**2 / (4 * 81)) / (1 + z**2 / 9)
    assert accuracy_interval(7, 9) == pytest.approx((middle - half, middle + half))
    assert accuracy_interval(9, 9)[0] < 0.75


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "accuracy_and_f1", "matthews_correlation"])
def test_the_interval_of_a_score_holds_the_score_and_narrows_with_rows(metric):
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 400)
    predictions = np.where(generator.random(400) < 0.8, labels, 1 - labels)
    widths = []
    for rows in (40, 400):
        low, high = score_interval(labels[:rows], predictions[:rows], metric)
        assert low < METRICS[metric](labels[:rows], predictions[:rows]) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
