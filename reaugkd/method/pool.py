"""Step 5 in formulas: weigh the neighbours of each key, and pool what they say with the student's own prediction."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from reaugkd.errors import ReAugKDError, check_kinds, listed, quoted, require
from reaugkd.measures.calibration import at_temperature, clipped_log

KINDS = ("logarithmic", "linear")
DECIDE_ABOUT_NEW = 2  # memories; chosen by classes left out of train, see new_share
SUREST = 0.99  # how sure the memory can be that a text is of a new class: no known class is ruled out
SMOOTHING = 0.02
COLDEST, HIGHEST = 1e-9, 1e9  # temperatures and weights beyond would make sums and quotients infinite
GATHERED = 2**22  # soft labels at a time, 32 MB: of all queries, neighbours and classes at once they would be gigabytes


@dataclass(frozen=True)
class KeySettings:
    """How one key of the memory is searched, and how much it counts; validated when made.

    Parameters
    ----------
    k : int
        Number of neighbours.
    temperature : float
        τ_r of their weights; small means that the nearest counts most.
    weight : float
        b, from 0; a key of weight 0 does not change the answer.
    """

    k: int = 16
    temperature: float = 0.1
    weight: float = 0.0

    def __post_init__(self) -> None:
        check_kinds(self, "")
        require(self.k >= 1, "k", self.k, "at least 1")
        require(self.k <= HIGHEST, "k", self.k, "at most 1e9")  # JSON as the page writes it takes no longer numbers
        require(COLDEST <= self.temperature <= HIGHEST, "temperature", self.temperature, "above 0, from 1e-9 to 1e9")
        require(0 <= self.weight <= HIGHEST, "The weight of a key", self.weight, "from 0 to 1e9")


@dataclass(frozen=True)
class Pool:
    r"""How the student and the keys of the memory make one answer; validated when made.

    .. math:: \log p(c) = a \log \hat y(c) + \sum_j b_j \log \tilde r_j(c) - \log Z, \quad
              \tilde r = 0.98 \, r + 0.02 / C

    is the logarithmic pool (Genest and Zidek 1986): what says nothing costs nothing, and no expert can veto. The linear
    one is the paper's, :math:`p = (1 - \lambda) \hat y + \lambda \sum_j (b_j / \sum b) r_j`.

    Parameters
    ----------
    keys : mapping of str to KeySettings
        By name, the keys that may be searched.
    student_weight : float
        a, above 0.
    student_temperature : float
        Divides the student's log-probabilities first, so that they mean what they say (Guo et al. 2017).
    new_class_key : str
        The key that decides whether a text is of a class that the student does not know; the last if left out. The
        aligned one is the worst for it: a student puts what it was never taught near what it knows.
    kind : str
        ``"logarithmic"`` or ``"linear"``.
    retrieval_weight : float or None
        λ: from 0, the student alone, to 1, the memory alone; None is what was fitted, see :attr:`fitted_weight`.
        In a logarithmic pool, with s = a + Σb, it sets a to s (1 - λ) and the b_j to s λ b_j / Σb. Where no key has a
        weight, all have equal shares of λ, and s = a. A linear pool needs one.

    Examples
    --------
    >>> model.pool.overridden(k=4, retrieval_weight=0.5).fitted_weight == model.pool.fitted_weight
    True
    """

    keys: Mapping[str, KeySettings]
    student_weight: float = 1.0
    student_temperature: float = 1.0
    new_class_key: str = ""
    kind: str = "logarithmic"
    retrieval_weight: float | None = None

    def __post_init__(self) -> None:
        check_kinds(self, "")
        require(self.kind in KINDS, "The pool", quoted(self.kind), f"one of {', '.join(KINDS)}")
        if not self.keys:
            raise ReAugKDError("A pool needs at least one key; name one.")
        if not self.new_class_key:
            object.__setattr__(self, "new_class_key", list(self.keys)[-1])
        if self.new_class_key not in self.keys:
            raise ReAugKDError(
                f"The key {quoted(self.new_class_key)} is to decide about new classes, but the pool has "
                f"{listed(self.keys)}; name one of these."
            )
        for name in ("student_weight", "student_temperature"):
            require(COLDEST <= getattr(self, name) <= HIGHEST, name, getattr(self, name), "above 0, from 1e-9 to 1e9")
        good = self.retrieval_weight is None or 0 <= self.retrieval_weight <= 1
        require(good, "retrieval_weight", self.retrieval_weight, "from 0 to 1")
        if self.kind == "linear" and self.retrieval_weight is None:
            raise ReAugKDError("A linear pool needs a retrieval_weight; give one from 0 to 1.")

    @property
    def total_weight(self) -> float:
        """S = a + Σ b_j."""
        return self.student_weight + sum(key.weight for key in self.keys.values())

    @property
    def fitted_weight(self) -> float:
        """λ* = Σ b_j / s, the λ at which the pool is as it was fitted."""
        return 1.0 - self.student_weight / self.total_weight

    @property
    def shares(self) -> dict[str, float]:
        """Each key's part of λ, b_j / Σb; equal parts where no key has a weight."""
        total = self.total_weight - self.student_weight
        if total > 0:
            return {name: key.weight / total for name, key in self.keys.items()}
        return {name: 1.0 / len(self.keys) for name in self.keys}

    @property
    def weights(self) -> tuple[float, dict[str, float]]:
        """The weights that count: the student's, and each key's."""
        if self.retrieval_weight is None:
            return self.student_weight, {name: key.weight for name, key in self.keys.items()}
        total = 1.0 if self.kind == "linear" else self.total_weight
        of_keys = {name: total * self.retrieval_weight * share for name, share in self.shares.items()}
        return total * (1.0 - self.retrieval_weight), of_keys

    @property
    def asks_memory(self) -> bool:
        """Whether the memory is asked of classes that the student does not know: not where λ is set to 0."""
        return self.retrieval_weight is None or self.retrieval_weight > 0

    @property
    def new_classes_weight(self) -> float:
        """How much of v counts: all as fitted, less where λ of a logarithmic pool is set below that, and none at 0."""
        if self.retrieval_weight is None or self.kind == "linear" or self.fitted_weight == 0:
            return float(self.asks_memory)
        return min(1.0, self.retrieval_weight / self.fitted_weight)

    def searched(self, known: int, classes: int) -> list[str]:
        """Return the keys that an answer depends on: those with a weight, and the one that decides about new classes.

        Parameters
        ----------
        known, classes : int
            How many classes the student knows, and the memory.
        """
        _, weights = self.weights
        decides = self.new_class_key if classes > known and self.asks_memory else None
        return [name for name in self.keys if weights[name] > 0 or name == decides]

    def overridden(
        self, k: int | None = None, retrieval_weight: float | None = None, temperature: float | None = None
    ) -> "Pool":
        """Return this pool with the given settings instead of its own; k and τ_r hold for every key."""
        given = {"k": k, "temperature": temperature}
        changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        keys = {name: replace(key, **changed) for name, key in self.keys.items()}
        weight = self.retrieval_weight if retrieval_weight is None else retrieval_weight
        return replace(self, keys=keys, retrieval_weight=weight)


@dataclass(frozen=True)
class Retrieved:
    """What the memory says of N queries by one key.

    Parameters
    ----------
    numbers : (N, k) int64
        Row numbers of the neighbours in the memory, the nearest first.
    similarities : (N, k) float32
        Cosine of query and key.
    weights : (N, k) float64
        w_ik; rows sum to 1.
    probabilities : (N, C) float64
        r_i = Σ_k w_ik ȳ_k; rows sum to 1.
    """

    numbers: NDArray[np.int64]
    similarities: NDArray[np.float32]
    weights: NDArray[np.float64]
    probabilities: NDArray[np.float64]


def neighbour_weights(similarities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return w_ik = softmax over the k neighbours of similarity / τ_r.

    Parameters
    ----------
    similarities : (N, k) float
        Cosine similarities; minus infinity weighs nothing.
    temperature : float
        τ_r, above 0.

    Returns
    -------
    (N, k) float64
        Rows sum to 1.
    """
    return softmax(np.asarray(similarities, dtype=np.float64) / temperature, axis=1)


def weighed(
    soft_labels: NDArray[np.floating], similarities: NDArray[np.float32], numbers: NDArray[np.int64], temperature: float
) -> Retrieved:
    """Average the soft labels of neighbours that are already found: r_i = Σ_k w_ik ȳ_k.

    Parameters
    ----------
    soft_labels : (M, C) float
        Of the whole memory.
    similarities : (N, k) float32
        Cosines of query and key; minus infinity weighs nothing.
    numbers : (N, k) int64
        Row numbers of the neighbours.
    temperature : float
        τ_r.

    Returns
    -------
    Retrieved
        The neighbours, their weights and their prediction.
    """
    weights = neighbour_weights(similarities, temperature)
    probabilities = np.empty((len(numbers), soft_labels.shape[1]))
    queries = max(1, GATHERED // (numbers.shape[1] * soft_labels.shape[1]))
    for start in range(0, len(numbers), queries):
        block = slice(start, start + queries)
        gathered = soft_labels[numbers[block]].astype(np.float64)
        probabilities[block] = np.einsum("nk,nkc->nc", weights[block], gathered)
    return Retrieved(numbers, similarities, weights, probabilities)


def smoothed(probabilities: NDArray[np.floating], known: int) -> NDArray[np.float64]:
    """Return r̃ = 0.98 r + 0.02 / C over the classes that the student knows, (N, C).

    Parameters
    ----------
    probabilities : (N, C') float
        r_i over all classes of the memory.
    known : int
        C, how many of them, the first, the student knows.

    Returns
    -------
    (N, C) float64
        Rows sum to 1; a row without any neighbour of a known class is even.
    """
    of_known = _to_one(np.asarray(probabilities[:, :known], dtype=np.float64))
    return (1.0 - SMOOTHING) * of_known + SMOOTHING / known


def new_share(
    weights: NDArray[np.float64], neighbour_soft_labels: NDArray[np.floating], known: int
) -> NDArray[np.float64]:
    r"""Let the two nearest memories say how sure it is that a text is of a class that the student does not know.

    A class that was added has few rows, which among many neighbours are outvoted however near they are; k was chosen
    where every class had many. With n_k the part of neighbour k's soft label that is of new classes:

    .. math:: v = \min \left( 0.99, \frac{w_1 n_1 + w_2 n_2}{w_1 + w_2} \right)

    Parameters
    ----------
    weights : (N, k) float64
        As :func:`neighbour_weights` gives them, the nearest first.
    neighbour_soft_labels : (N, k, C') float
        Soft labels of each query's neighbours.
    known : int
        How many of the classes, the first of them, the student knows.

    Returns
    -------
    (N,) float64
        v, from 0 to 0.99.
    """
    nearest = slice(0, DECIDE_ABOUT_NEW)
    of_new = neighbour_soft_labels[:, nearest, known:].sum(axis=2, dtype=np.float64)
    return np.minimum(SUREST, (weights[:, nearest] * of_new).sum(axis=1) / weights[:, nearest].sum(axis=1))


@dataclass(frozen=True)
class Pooled:
    """The answers to N queries, and what they are pooled of.

    Parameters
    ----------
    student : (N, C) float64
        ŷ_i over the classes that the student knows, the first of the C' of the memory; calibrated.
    memory : mapping of str to (N, C) float64
        r̃_i of each key that was searched, smoothed, over the same classes; in a linear pool r_i itself.
    new : (N,) float64
        v_i, how sure the memory is that the text is of a class that the student does not know.
    probabilities : (N, C') float64
        The answer; rows sum to 1.
    """

    student: NDArray[np.float64]
    memory: Mapping[str, NDArray[np.float64]] = field(repr=False)
    new: NDArray[np.float64]
    probabilities: NDArray[np.float64]


def pooled(
    student_probabilities: NDArray[np.floating],
    retrieved: Mapping[str, Retrieved],
    pool: Pool,
    soft_labels: NDArray[np.floating],
) -> Pooled:
    r"""Pool the student's own prediction with what the memory says by each key.

    Whether a text is of a class that the student does not know the memory alone decides, by one key; the pool holds
    among the known ones:

    .. math:: p(c) = (1 - v) \, p_\mathrm{pool}(c) \text{ for a known class, } \quad
              p(c) = v \, r(c) / \sum_{c' \text{ new}} r(c') \text{ for a new one.}

    Parameters
    ----------
    student_probabilities : (N, C) float
        ŷ_i as the student gives them.
    retrieved : mapping of str to Retrieved
        What the memory says by each key that :meth:`Pool.searched` names.
    pool : Pool
        Weights, and λ. Where λ is set below the fitted one, v is less in the same proportion; at 0 it is 0.
    soft_labels : (M, C') float
        Of the whole memory; those of the two nearest by the key that decides about new classes are read, where there
        are such classes.

    Returns
    -------
    Pooled
        Student, memory and answer.
    """
    known, classes = student_probabilities.shape[1], soft_labels.shape[1]
    student = at_temperature(student_probabilities, pool.student_temperature)
    weight, weights = pool.weights
    if pool.kind == "linear":
        memory = {name: found.probabilities[:, :known] for name, found in retrieved.items()}
        memory = {name: _to_one(said) for name, said in memory.items()}
        among_known = weight * student + sum(weights[name] * said for name, said in memory.items())
    else:
        memory = {name: smoothed(found.probabilities, known) for name, found in retrieved.items()}
        logs = weight * clipped_log(student) + sum(weights[name] * np.log(said) for name, said in memory.items())
        among_known = softmax(logs, axis=1)
    new, probabilities = np.zeros(len(student)), np.zeros((len(student), classes))
    if classes > known and pool.asks_memory:
        said = retrieved[pool.new_class_key]
        decided = soft_labels[said.numbers[:, :DECIDE_ABOUT_NEW]]
        new = pool.new_classes_weight * new_share(said.weights, decided, known)
        probabilities[:, known:] = new[:, None] * _to_one(said.probabilities[:, known:])
    probabilities[:, :known] = (1.0 - new)[:, None] * among_known
    return Pooled(student, memory, new, probabilities)


def _to_one(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale rows to sum to 1; a row of zeros becomes even."""
    totals = rows.sum(axis=1, keepdims=True)
    return np.divide(rows, totals, out=np.full_like(rows, 1.0 / rows.shape[1]), where=totals > 0)


def log_pool(
    student: NDArray[np.floating], memory: Mapping[str, NDArray[np.floating]], weights: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the log-probabilities (N, C) of a logarithmic pool; ``weights`` are a and the b_j in the keys' order."""
    logs = np.stack([clipped_log(said) for said in (student, *memory.values())])
    return log_softmax(np.tensordot(weights, logs, axes=1), axis=1)
