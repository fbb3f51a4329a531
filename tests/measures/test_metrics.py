import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from reaugkd.measures.metrics import METRICS, METRICS_OF_COUNTS, counted, log_loss

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
