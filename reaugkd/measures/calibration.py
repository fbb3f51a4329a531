"""Probabilities that mean what they say: one temperature, fitted on held-out rows."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from reaugkd.texts import Labels

LOWEST, HIGHEST = 0.1, 10.0
ROUNDING = 1e-3
"""By how much the sum of float16 numbers may differ from 1."""


def are_probabilities(rows: NDArray[np.floating]) -> bool:
    """Return whether each row of (N, C) holds finite numbers from 0 that sum to 1, up to the rounding of float16."""
    return bool(np.isfinite(rows).all() and (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=ROUNDING))


def at_temperature(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return softmax(log p / T), (N, C) float64: T above 1 makes probabilities less sure, the order stays."""
    logs = np.log(np.asarray(probabilities, dtype=np.float64).clip(1e-12))
    return softmax(logs / temperature, axis=1)


def fit_temperature(probabilities: NDArray[np.floating], labels: Labels) -> float:
    """Return the temperature of the lowest log loss, from 0.1 to 10 (Guo et al. 2017, section 4.2).

    A standard normal prior on log T counts as much as one row: without it, a few rows that are all right would make
    every probability 0 or 1.

    Parameters
    ----------
    probabilities : (N, C) float
        Probabilities of held-out rows.
    labels : (N,) int64
        Their gold labels.

    Returns
    -------
    float
        Above 1 where the probabilities are too sure.
    """
    logs = np.log(np.asarray(probabilities, dtype=np.float64).clip(1e-12))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        fitted = log_softmax(logs / np.exp(log_temperature), axis=1)[rows, labels].sum()
        return float(log_temperature**2 / 2 - fitted)

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded").x))
