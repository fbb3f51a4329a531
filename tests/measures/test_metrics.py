import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from reaugkd.errors import ReAugKDError
from reaugkd.measures.metrics import (
    METRICS,
    METRICS_OF_COUNTS,
    accuracy_interval,
    counted,
    drawn,
    drawn_differences,
    interval,
    log_loss,
    mcnemar,
    score_interval,
)

BY_SCIKIT_LEARN = {
    "accuracy": accuracy_score,
    "accuracy_and_f1": lambda *given: (accuracy_score(*given) + f1_of_class_1(*given)) / 2,
    "macro_f1": lambda *given: f1_score(*given, average="macro", zero_division=0.0),
    "matthews_correlation": matthews_corrcoef,
}


def f1_of_class_1(labels, predictions):
    return f1_score(labels, predictions, labels=[1], average="macro", zero_division=0.0)


# Worked out on paper: gold 1 with prediction 1 four times, 1 with 0 twice, 0 with 1 once, 0 with 0 three times.
#   true positives 4, misses 2, false alarms 1, true negatives 3; 10 rows
#   accuracy 7/10; precision 4/5; recall 4/6; F1 of class 1 = 2*4 / (2*4 + 1 + 2) = 8/11
#   F1 of class 0 = 2*3 / (2*3 + 2 + 1) = 6/9
#   Matthews = (4*3 - 1*2) / sqrt((4+1)(4+2)(3+1)(3+2)) = 10 / sqrt(600)
GOLD = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0])
PREDICTED = np.array([1, 1, 1, 1, 0, 0, 1, 0, 0, 0])


@pytest.mark.parametrize(
    ("metric", "by_hand"),
    [
        ("accuracy", 7 / 10),
        ("accuracy_and_f1", (7 / 10 + 8 / 11) / 2),
        ("macro_f1", (8 / 11 + 6 / 9) / 2),
        ("matthews_correlation", 10 / math.sqrt(600)),
    ],
)
def test_each_metric_is_the_value_worked_out_on_paper(metric, by_hand):
    assert METRICS[metric](GOLD, PREDICTED) == pytest.approx(by_hand, abs=1e-12)
    assert type(METRICS[metric](GOLD, PREDICTED)) is float


def test_every_metric_is_1_for_a_perfect_answer():
    assert {name: metric(GOLD, GOLD) for name, metric in METRICS.items()} == dict.fromkeys(METRICS, 1.0)


def test_f1_counts_class_1_and_not_class_0():
    flipped = METRICS["accuracy_and_f1"](1 - GOLD, 1 - PREDICTED)
    assert flipped == pytest.approx((7 / 10 + 6 / 9) / 2, abs=1e-12)


def test_a_class_that_is_never_predicted_counts_as_0_and_warns_of_nothing(recwarn):
    gold, predicted = np.array([0, 1, 2, 2]), np.array([0, 0, 2, 2])
    # F1: class 0 has 2*1 / (2*1 + 1) = 2/3, class 1 has 0, class 2 has 1
    assert METRICS["macro_f1"](gold, predicted) == pytest.approx((2 / 3 + 0 + 1) / 3, abs=1e-12)
    assert METRICS["accuracy_and_f1"](np.array([1, 1]), np.array([0, 0])) == 0.0
    assert [str(warning.message) for warning in recwarn] == []


def test_the_log_loss_is_the_mean_of_minus_the_logarithm_of_the_gold_class():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.7, 0.2], [0.2, 0.3, 0.5]])
    by_hand = -(math.log(0.5) + math.log(0.2) + math.log(0.3)) / 3
    assert log_loss(np.array([0, 2, 1]), probabilities) == pytest.approx(by_hand, abs=1e-12)


def test_a_probability_of_zero_costs_the_logarithm_of_a_millionth_squared():
    assert log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(12 * math.log(10), abs=1e-9)


def test_a_class_that_was_added_later_counts_as_a_wrong_answer():
    labels, predictions = np.asarray([0, 1, 1, 1]), np.asarray([0, 1, 2, 1])
    assert METRICS["accuracy_and_f1"](labels, predictions) == pytest.approx((3 / 4 + 2 * 2 / (2 * 2 + 1)) / 2)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("said", [(0, 1, 2, 4), (0, 1), (0,), (3,)])
def test_each_metric_is_the_one_of_scikit_learn(metric, said):
    generator = np.random.default_rng(len(said))
    gold = generator.integers(0, 3, size=200)
    answers = np.where(generator.random((3, 200)) < 0.5, gold, generator.choice(said, size=(3, 200)))
    answers[0] = said[0]  # one that always says the same
    found = METRICS_OF_COUNTS[metric](counted(gold * 5 + answers, 5))
    wanted = [BY_SCIKIT_LEARN[metric](gold, answer) for answer in answers]
    assert found == pytest.approx(wanted, abs=1e-12)
    assert [METRICS[metric](gold, answer) for answer in answers] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_of_counts_knows_rows_of_one_class(metric, recwarn):
    # As scikit-learn says of a single class: no F1 of class 1, no correlation; only the latter warns there.
    scores = {"accuracy": 1.0, "accuracy_and_f1": 0.5, "macro_f1": 1.0, "matthews_correlation": 0.0}
    assert METRICS_OF_COUNTS[metric](counted(np.zeros((1, 4), np.int64), 2)).tolist() == [scores[metric]]
    assert [str(warning.message) for warning in recwarn] == []


def test_rows_are_counted_by_gold_in_rows_and_prediction_in_columns():
    counts = counted(np.stack([GOLD * 2 + PREDICTED, GOLD * 2 + GOLD]), 2)
    assert counts.tolist() == [[[3, 1], [2, 4]], [[4, 0], [0, 6]]]


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
