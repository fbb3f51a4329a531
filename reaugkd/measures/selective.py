"""Which answers are sure enough to be given, and which texts are left to a person.

The reject option (Chow 1970), measured as accuracy against the share that is answered (El-Yaniv and Wiener 2010).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError, check_kinds, read_as, require

PROBABILITY = "probability"
EVERY = -1.0  # no probability and no cosine is lower: each text is answered
FEWEST_ANSWERED = 10  # a handful of rows is right by chance


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
