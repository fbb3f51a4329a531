"""Metrics to compare methods by: GLUE's for each task."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from reaugkd.measures.calibration import clipped_log
from reaugkd.texts import Labels


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
