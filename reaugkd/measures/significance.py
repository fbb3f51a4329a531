"""Is a difference real? A paired bootstrap over seeds and examples, McNemar's test."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reaugkd.errors import ReAugKDError
from reaugkd.measures.metrics import METRICS_OF_COUNTS, cells_of, counted
from reaugkd.texts import Labels

Numbers = NDArray[np.int64]


class Interval(NamedTuple):
    """A mean, and the ends of the interval around it."""

    mean: float
    low: float
    high: float


def interval(differences: NDArray[np.floating]) -> Interval:
    """Return a difference with the 2.5th and 97.5th percentile of its draws, as :func:`drawn` gives them, (1 + D,)."""
    low, high = np.percentile(differences[1:], [2.5, 97.5])
    return Interval(float(differences[0]), float(low), float(high))


def drawn_differences(
    labels: Labels, predictions: Labels, baseline: Labels, metric: str, *, seed: int = 0
) -> NDArray[np.float64]:
    """Return how much better predictions are than a baseline, and how much by each draw of a paired bootstrap.

    Each draw takes N of the N examples and S of the S seeds with replacement, the same ones for both methods (the
    percentile bootstrap of Efron and Tibshirani 1993); the difference is averaged over the seeds.

    Parameters
    ----------
    labels : (N,) int64
        Gold labels.
    predictions, baseline : (S, N) int64
        Predicted labels of both methods, one row for each seed; (N,) for one seed.
    metric : str
        A key of :data:`reaugkd.measures.metrics.METRICS`.
    seed : int
        Seed of the 1,000 draws.

    Returns
    -------
    (1 + 1,000,) float64
        For :func:`interval`.

    Raises
    ------
    ReAugKDError
        If the shapes differ.
    """
    predictions, baseline = np.atleast_2d(predictions), np.atleast_2d(baseline)
    if not predictions.shape == baseline.shape == (len(predictions), len(labels)):
        raise ReAugKDError(
            f"Predictions {predictions.shape} and {baseline.shape} do not fit {len(labels)} labels; "
            "compare the same seeds on the same examples."
        )
    cells, classes = cells_of(labels, np.concatenate([predictions, baseline]))

    def difference(seeds: Numbers, rows: Numbers) -> float:
        ours, theirs = np.split(METRICS_OF_COUNTS[metric](counted(cells[:, rows], classes)), 2)
        return float(np.mean((ours - theirs)[seeds]))

    return drawn(difference, *predictions.shape, seed=seed)


def drawn(
    statistic: Callable[[Numbers, Numbers], float], seeds: int, rows: int, *, seed: int = 0
) -> NDArray[np.float64]:
    """Return a statistic of all seeds and rows, then of draws of both with replacement: (1 + 1,000,) float64."""
    generator = np.random.default_rng(seed)
    found = [statistic(np.arange(seeds), np.arange(rows))]
    for _ in range(1_000):  # of seeds and rows together: scipy.stats.bootstrap draws along one axis
        found.append(statistic(generator.integers(seeds, size=seeds), generator.integers(rows, size=rows)))
    return np.asarray(found)


def accuracy_interval(right: int, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy (Wilson 1927), which holds for few rows and near 0 and 1 too."""
    found = stats.binomtest(right, rows).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def score_interval(labels: Labels, predictions: Labels, metric: str) -> tuple[float, float]:
    """Return the 95 % interval of a score: Wilson's of an accuracy, of other metrics that of 1,000 bootstrap draws.

    Parameters
    ----------
    labels, predictions : (N,) int64
        Gold and predicted labels.
    metric : str
        A key of :data:`reaugkd.measures.metrics.METRICS`.
    """
    if metric == "accuracy":
        return accuracy_interval(int((predictions == labels).sum()), len(labels))
    cells, classes = cells_of(labels, predictions)

    def score(_: Numbers, rows: Numbers) -> float:
        return float(METRICS_OF_COUNTS[metric](counted(cells[:, rows], classes))[0])

    _, low, high = interval(drawn(score, 1, len(labels)))
    return low, high


def mcnemar(labels: Labels, predictions: Labels, baseline: Labels) -> float:
    """Return the p-value of McNemar's exact test that two classifiers err equally often (McNemar 1947)."""
    right, baseline_right = predictions == labels, baseline == labels
    only_ours, only_theirs = int((right & ~baseline_right).sum()), int((~right & baseline_right).sum())
    if not only_ours + only_theirs:
        return 1.0
    return float(stats.binomtest(only_ours, only_ours + only_theirs).pvalue)
