"""Whether probabilities mean what they say, one temperature by which they do, and which answers are sure enough.

What is not sure enough is left to a person: the reject option (Chow 1970), measured as accuracy against the share that
is answered (El-Yaniv and Wiener 2010). Temperature and threshold are fitted on held-out rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from reaugkd.errors import ReAugKDError, check_kinds, read_as, require
from reaugkd.texts import Labels

ROUNDING = 1e-3
"""By how much the sum of float16 numbers may differ from 1."""
BINS = 10  # empty ones stay in the table, which scikit-learn's calibration_curve leaves out
PROBABILITY = "probability"
EVERY = -1.0  # no probability and no cosine is lower: each text is answered
FEWEST_ANSWERED = 10  # a handful of rows is right by chance


def are_probabilities(rows: NDArray[np.floating]) -> bool:
    """Return whether each row of (N, C) holds finite numbers from 0 that sum to 1, up to the rounding of float16."""
    return bool(np.isfinite(rows).all() and (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=ROUNDING))


def as_numbers(given: Any, name: str) -> NDArray[np.float64]:
    """Return what somebody gave as an array of numbers; refuse other things, and rows of unequal length."""
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ReAugKDError(f"{name} holds no table of numbers; give each row as many, one for each class.") from error


def clipped_log(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logarithms of probabilities, of 1e-12 where they are smaller, as float64."""
    return np.log(np.asarray(probabilities, dtype=np.float64).clip(1e-12))


def at_temperature(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return softmax(log p / T), (N, C) float64: T above 1 makes probabilities less sure, the order stays."""
    return softmax(clipped_log(probabilities) / temperature, axis=1)


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
    logs = clipped_log(probabilities)
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        fitted = log_softmax(logs / np.exp(log_temperature), axis=1)[rows, labels].sum()
        return float(log_temperature**2 / 2 - fitted)

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.1), np.log(10.0)), method="bounded").x))


def reliability_table(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> pd.DataFrame:
    """Return ``low``, ``high``, ``rows``, mean ``confidence`` and ``accuracy`` of bins; an edge is of the bin below."""
    edges = np.arange(BINS + 1) / BINS
    numbers = np.digitize(confidences, edges[1:-1], right=True)
    means = pd.DataFrame({"confidence": confidences, "accuracy": right}, dtype=np.float64).groupby(numbers).mean()
    rows = np.bincount(numbers, minlength=BINS)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "rows": rows}).join(means)


def expected_calibration_error(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Return Σ_b (n_b / N) · |accuracy_b - confidence_b|, from 0 to 1 (Guo et al. 2017, eq. 3); 0 for no rows."""
    return calibration_error(reliability_table(confidences, right))


def calibration_error(table: pd.DataFrame) -> float:
    """Return the same of a reliability table."""
    gaps = (table["accuracy"] - table["confidence"]).abs().fillna(0.0)
    return float((gaps * table["rows"]).sum() / max(1, table["rows"].sum()))


def confidence_column(voice: str) -> str:
    """Return the column in which a voice's confidence stands."""
    return "probability" if voice == "answer" else f"{voice}_probability"


@dataclass(frozen=True)
class Threshold:
    """From which score on a text is answered; below it, the text is left to a person.

    Parameters
    ----------
    by : str
        What the score is: ``"probability"``, that of the answer, or the name of a key, for the cosine of the nearest
        memory by that key.
    least : float
        The lowest score that is answered, from -1 to 1.
    accuracy : float
        The accuracy that was wanted of the validation rows that are answered, from 0 to 1.

    Raises
    ------
    ReAugKDError
        If a number is outside of these.
    """

    by: str
    least: float
    accuracy: float

    def __post_init__(self) -> None:
        check_kinds(self)
        require(-1 <= self.least <= 1, "least", self.least, "a number from -1 to 1")
        require(0 <= self.accuracy <= 1, "accuracy", self.accuracy, "a number from 0 to 1")


def coverage_table(scores: NDArray[np.floating], right: NDArray[np.bool_]) -> pd.DataFrame:
    """Return the accuracy of what is answered at each threshold, the highest threshold first.

    Parameters
    ----------
    scores : (N,) float
        How sure each answer is; of equal scores all rows are answered, or none.
    right : (N,) bool
        Whether each answer is right.

    Returns
    -------
    DataFrame
        A row for each threshold: ``least``, the lowest score that is answered; ``rows`` and their ``share`` that are
        answered; their ``accuracy``.

    Examples
    --------
    >>> table = coverage_table(np.array([0.9, 0.5, 0.7]), np.array([True, False, True]))
    >>> table["accuracy"].round(2).tolist()
    [1.0, 1.0, 0.67]
    """
    order = np.argsort(-scores, kind="stable")
    rows = np.arange(1, len(order) + 1)
    found = {"least": np.asarray(scores, dtype=np.float64)[order], "rows": rows, "share": rows / max(1, len(rows))}
    table = pd.DataFrame(found | {"accuracy": np.cumsum(right[order]) / rows})
    return table.drop_duplicates("least", keep="last", ignore_index=True)


def choose_threshold(scores: NDArray[np.floating], right: NDArray[np.bool_], accuracy: float, by: str) -> Threshold:
    """Choose the threshold that answers most held-out rows with the accuracy that is wanted.

    Parameters
    ----------
    scores : (N,) float
        How sure the answers to N held-out rows are.
    right : (N,) bool
        Whether each is right.
    accuracy : float
        What is wanted of those that are answered, from 0 to 1.
    by : str
        What the scores are; see :class:`Threshold`.

    Returns
    -------
    Threshold
        It answers at least ten of the rows, and lies midway between two scores.

    Raises
    ------
    ReAugKDError
        If no threshold reaches the accuracy.
    """
    accuracy = read_as(float, accuracy, "accuracy")
    table = coverage_table(scores, right)
    enough = table[table["rows"] >= min(FEWEST_ANSWERED, len(scores))]
    reached = enough[enough["accuracy"] >= accuracy]
    if reached.empty:
        best = f"; the best is {100 * enough['accuracy'].max():.1f} %" if len(enough) else ""
        raise ReAugKDError(
            f"At no threshold are {100 * accuracy:g} % of the answers to the {len(scores):,} validation rows right"
            f"{best}; ask for less."
        )
    lowest = reached.index[-1]
    is_every = lowest == len(table) - 1
    return Threshold(by, EVERY if is_every else float(table["least"].iloc[lowest : lowest + 2].mean()), float(accuracy))
