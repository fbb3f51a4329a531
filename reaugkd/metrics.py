"""The figures by which methods are compared: GLUE's metric for each task, from scikit-learn."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

Labels = NDArray[np.int64]


def accuracy_and_f1(labels: Labels, predictions: Labels) -> float:
    """Return the mean of accuracy and F1 of class 1, as GLUE scores MRPC and QQP.

    Parameters
    ----------
    labels : (N,) int64
        Gold labels, 0 or 1.
    predictions : (N,) int64
        Predicted labels; others than 0 and 1 are wrong.

    Returns
    -------
    float
        Between 0 and 1, higher is better.
    """
    # By its number: a class that was added to a memory later may be predicted too.
    f1 = f1_score(labels, predictions, labels=[1], average="macro", zero_division=0.0)
    return float((accuracy_score(labels, predictions) + f1) / 2)


def macro_f1(labels: Labels, predictions: Labels) -> float:
    """Return the unweighted mean of the classes' F1.

    Parameters
    ----------
    labels : (N,) int64
        Gold labels.
    predictions : (N,) int64
        Predicted labels.

    Returns
    -------
    float
        Between 0 and 1, higher is better.
    """
    return float(f1_score(labels, predictions, average="macro", zero_division=0.0))


METRICS: dict[str, Callable[[Labels, Labels], float]] = {
    "accuracy": lambda labels, predictions: float(accuracy_score(labels, predictions)),
    "accuracy_and_f1": accuracy_and_f1,
    "macro_f1": macro_f1,
    "matthews_correlation": lambda labels, predictions: float(matthews_corrcoef(labels, predictions)),
}
"""Each metric takes gold and predicted labels, both (N,) int64; higher is better."""


def log_loss(labels: Labels, probabilities: NDArray[np.floating]) -> float:
    """Return the mean negative log-likelihood, in nats, of the gold labels.

    Parameters
    ----------
    labels : (N,) int64
        Gold labels.
    probabilities : (N, C) float
        Predicted class probabilities.

    Returns
    -------
    float
        At least 0, lower is better; probabilities below 1e-12 count as 1e-12.
    """
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(chosen, 1e-12, None)).mean())
