"""Is a difference real? Intervals over seeds, a paired bootstrap over examples, McNemar's test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reaugkd.errors import ReAugKDError
from reaugkd.metrics import METRICS_OF_COUNTS, counted
from reaugkd.texts import Labels

DRAWS = 1_000


@dataclass(frozen=True)
class Interval:
    """A mean and the interval around it.

    Parameters
    ----------
    mean : float
        The estimate.
    low, high : float
        Ends of the interval; NaN where one value alone gives none.
    """

    mean: float
    low: float
    high: float


def interval_over_seeds(values: Sequence[float] | NDArray[np.floating], confidence: float = 0.95) -> Interval:
    """Return the mean over seeds and its interval by Student's t.

    Parameters
    ----------
    values : (S,) float
        One figure a seed.
    confidence : float
        Share of intervals that would hold the true mean.

    Returns
    -------
    Interval
        Without ends (NaN) for a single seed.

    Raises
    ------
    ReAugKDError
        If there is no value.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        raise ReAugKDError("There are no values to average; run the study for at least one seed.")
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, float("nan"), float("nan"))
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values))
    return Interval(mean, mean - half, mean + half)


def paired_bootstrap(
    labels: Labels,
    predictions: NDArray[np.integer],
    baseline: NDArray[np.integer],
    metric: str,
    *,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Return how much better predictions are than a baseline, with an interval over examples and seeds.

    Each draw takes N of the N examples and S of the S seeds with replacement, the same ones for both methods (the
    percentile bootstrap of Efron and Tibshirani 1993); the difference is averaged over the seeds.

    Parameters
    ----------
    labels : (N,) int64
        Gold labels.
    predictions, baseline : (S, N) int64
        Predicted labels of both methods, one row a seed.
    metric : str
        A key of :data:`reaugkd.metrics.METRICS`.
    confidence : float
        Share of the draws inside the interval.
    draws : int
        Number of draws.
    seed : int
        Seed of the draws.

    Returns
    -------
    Interval
        The difference on the examples as they are, and the percentiles over the draws: 2.5 and 97.5 for 0.95.

    Raises
    ------
    ReAugKDError
        If the shapes differ.
    """
    found = drawn_differences(labels, predictions, baseline, metric, draws=draws, seed=seed)
    return percentiles(*found, confidence)


def drawn_differences(
    labels: Labels,
    predictions: NDArray[np.integer],
    baseline: NDArray[np.integer],
    metric: str,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, NDArray[np.float64]]:
    """Return the difference of :func:`paired_bootstrap`, and that of each draw, (D,); the arguments are its own."""
    predictions, baseline = np.atleast_2d(predictions), np.atleast_2d(baseline)
    if not predictions.shape == baseline.shape == (len(predictions), len(labels)):
        raise ReAugKDError(
            f"Predictions {predictions.shape} and {baseline.shape} do not fit {len(labels)} labels; "
            "compare the same seeds on the same examples."
        )
    classes = max(2, 1 + max(int(values.max()) for values in (labels, predictions, baseline)))
    cells = labels * classes + np.concatenate([predictions, baseline])

    def difference(seeds: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
        ours, theirs = np.split(METRICS_OF_COUNTS[metric](counted(cells[:, rows], classes)), 2)
        return float(np.mean((ours - theirs)[seeds]))

    return drawn(difference, *predictions.shape, draws=draws, seed=seed)


def drawn(
    statistic: Callable[[NDArray[np.int64], NDArray[np.int64]], float],
    seeds: int,
    rows: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, NDArray[np.float64]]:
    """Return a statistic of all seeds and rows, and that of draws of both with replacement.

    Parameters
    ----------
    statistic : callable
        Of the numbers of seeds (S,) and of rows (N,) that are taken.
    seeds, rows : int
        S and N.
    draws : int
        D.
    seed : int
        Seed of the draws.

    Returns
    -------
    tuple of float and (D,) float64
        For :func:`percentiles`.
    """
    generator = np.random.default_rng(seed)

    def taken(count: int) -> NDArray[np.int64]:
        return generator.integers(count, size=count)

    found = [statistic(taken(seeds), taken(rows)) for _ in range(draws)]
    return statistic(np.arange(seeds), np.arange(rows)), np.asarray(found)


def percentiles(mean: float, drawn: NDArray[np.floating], confidence: float = 0.95) -> Interval:
    """Return a mean with the percentiles of its draws (D,) as the interval."""
    outside = 50 * (1 - confidence)
    low, high = np.percentile(drawn, [outside, 100 - outside])
    return Interval(mean, float(low), float(high))


def mcnemar(labels: Labels, predictions: NDArray[np.integer], baseline: NDArray[np.integer]) -> float:
    """Return the p-value of McNemar's exact test that two classifiers err equally often (McNemar 1947).

    Parameters
    ----------
    labels : (N,) int64
        Gold labels.
    predictions, baseline : (N,) int64
        Predicted labels.

    Returns
    -------
    float
        From 0 to 1; 1 where no example tells the two apart.
    """
    right, baseline_right = predictions == labels, baseline == labels
    only_ours, only_theirs = int((right & ~baseline_right).sum()), int((~right & baseline_right).sum())
    if not only_ours + only_theirs:
        return 1.0
    return float(stats.binomtest(only_ours, only_ours + only_theirs).pvalue)
