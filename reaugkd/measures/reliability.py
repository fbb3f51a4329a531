"""Reliability: whether answers of 80 % confidence are right eight times in ten (Guo et al. 2017, section 2)."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BINS = 10  # empty ones stay in the table, which scikit-learn's calibration_curve leaves out


def reliability_table(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> pd.DataFrame:
    """Return ``low``, ``high``, ``rows``, mean ``confidence`` and ``accuracy`` of bins; an edge is of the bin below."""
    edges = np.arange(BINS + 1) / BINS
    numbers = np.digitize(confidences, edges[1:-1], right=True)
    means = pd.DataFrame({"confidence": confidences, "accuracy": right}, dtype=np.float64).groupby(numbers).mean()
    rows = np.bincount(numbers, minlength=BINS)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "rows": rows}).join(means)


def expected_calibration_error(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Return Σ_b (n_b / N) · |accuracy_b - confidence_b|, from 0 to 1 (Guo et al. 2017, eq. 3); 0 for no rows."""
    table = reliability_table(confidences, right)
    gaps = (table["accuracy"] - table["confidence"]).abs().fillna(0.0)
    return float((gaps * table["rows"]).sum() / max(1, len(confidences)))


def confidence_column(voice: str) -> str:
    """Return the column in which a voice's confidence stands."""
    return "probability" if voice == "answer" else f"{voice}_probability"
