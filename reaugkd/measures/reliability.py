"""Reliability: whether answers of 80 % confidence are right eight times in ten (Guo et al. 2017, section 2)."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BINS = 10  # empty ones stay in the table, which scikit-learn's calibration_curve leaves out


def reliability_table(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> pd.DataFrame:
    """Compare confidence and accuracy, bin by bin, of equal width; a confidence on an edge belongs to the bin below.

    Parameters
    ----------
    confidences : (N,) float
        Probabilities of the predicted classes.
    right : (N,) bool
        Whether the predicted class is the gold one.

    Returns
    -------
    DataFrame
        A row for each bin: ``low``, ``high``, ``rows``; ``confidence`` and ``accuracy`` are means, missing where no
        row falls into the bin.
    """
    edges = np.arange(BINS + 1) / BINS
    numbers = np.digitize(confidences, edges[1:-1], right=True)
    means = pd.DataFrame({"confidence": confidences, "accuracy": right}, dtype=np.float64).groupby(numbers).mean()
    rows = np.bincount(numbers, minlength=BINS)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "rows": rows}).join(means)


def expected_calibration_error(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Return Σ_b (n_b / N) · |accuracy_b - confidence_b|, from 0 to 1; 0 where there are no rows.

    Parameters
    ----------
    confidences : (N,) float
        Probabilities of the predicted classes.
    right : (N,) bool
        Whether the predicted class is the gold one.

    Returns
    -------
    float
        The error (Guo et al. 2017, eq. 3), lower is better.
    """
    table = reliability_table(confidences, right)
    gaps = (table["accuracy"] - table["confidence"]).abs().fillna(0.0)
    return float((gaps * table["rows"]).sum() / max(1, len(confidences)))


def confidence_column(voice: str) -> str:
    """Return the column in which a voice's confidence stands."""
    return "probability" if voice == "answer" else f"{voice}_probability"
