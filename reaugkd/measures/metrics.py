"""Metrics to compare methods by, GLUE's for each task; and whether a difference is real: bootstrap, McNemar's test."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import clipped_log
from reaugkd.texts import Labels

Numbers = NDArray[np.int64]


def counted(cells: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Count rows by gold and predicted class: (S, C, C) of ``gold * classes + predicted``, (S, N), of S answers."""
    size = classes * classes
    numbered = cells + size * np.arange(len(cells))[:, None]
    return np.bincount(numbered.ravel(), minlength=len(cells) * size).reshape(-1, classes, classes)


def _accuracy(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return _hits(counts).sum(axis=-1) / counts.sum(axis=(-2, -1))


def _accuracy_and_f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of accuracy and F1 of class 1, as GLUE scores MRPC and QQP."""
    return (_accuracy(counts) + np.nan_to_num(_f1(counts)[..., 1])) / 2


def _macro_f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the unweighted mean of the classes' F1."""
    return np.nanmean(_f1(counts), axis=-1)


def _matthews(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the correlation of K classes (Gorodkin 2004); 0 where gold or prediction is one class alone."""
    rows, gold, predicted = counts.sum(axis=(-2, -1)), counts.sum(axis=-1), counts.sum(axis=-2)
    shared = rows * _hits(counts).sum(axis=-1) - (gold * predicted).sum(axis=-1)
    spread = np.sqrt((rows**2 - (gold**2).sum(axis=-1)) * (rows**2 - (predicted**2).sum(axis=-1)).astype(np.float64))
    return np.divide(shared, spread, out=np.zeros(spread.shape), where=spread > 0)


def _hits(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's F1, (..., C); NaN for one that is neither gold nor predicted."""
    seen = counts.sum(axis=-1) + counts.sum(axis=-2)
    return np.divide(2 * _hits(counts), seen, out=np.full(seen.shape, np.nan), where=seen > 0)


METRICS_OF_COUNTS: dict[str, Callable[[NDArray[np.int64]], NDArray[np.float64]]] = {
    "accuracy": _accuracy,
    "accuracy_and_f1": _accuracy_and_f1,
    "macro_f1": _macro_f1,
    "matthews_correlation": _matthews,
}
"""Each metric takes confusion matrices (..., C, C) and gives scores (...), higher is better: a bootstrap scores
thousands of draws, for which scikit-learn, which checks its input each time, takes twenty times as long."""


def cells_of(labels: Labels, predictions: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Return which cell of a confusion matrix each row is of, as :func:`counted` takes it, and how many classes."""
    classes = max(2, 1 + int(max(labels.max(), predictions.max())))
    return labels * classes + np.atleast_2d(predictions), classes


def _scored(metric: str, labels: Labels, predictions: Labels) -> float:
    return float(METRICS_OF_COUNTS[metric](counted(*cells_of(labels, predictions)))[0])


METRICS: dict[str, Callable[[Labels, Labels], float]] = {name: partial(_scored, name) for name in METRICS_OF_COUNTS}
"""The same of gold and predicted labels, both (N,) int64."""


def log_loss(labels: Labels, probabilities: NDArray[np.floating]) -> float:
    """Return the mean negative log-likelihood of gold labels, in nats; probabilities are at least 1e-12."""
    return float(-clipped_log(probabilities[np.arange(len(labels)), labels]).mean())


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
    from scipy.stats import binomtest  # takes long to import, and to classify needs no test

    found = binomtest(right, rows).proportion_ci(method="wilson")
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
    from scipy.stats import binomtest

    right, baseline_right = predictions == labels, baseline == labels
    only_ours, only_theirs = int((right & ~baseline_right).sum()), int((~right & baseline_right).sum())
    if not only_ours + only_theirs:
        return 1.0
    return float(binomtest(only_ours, only_ours + only_theirs).pvalue)
