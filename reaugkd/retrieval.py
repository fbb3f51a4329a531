"""Step 5 in formulas: weigh the neighbours, blend their soft labels with the student's own prediction."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError

if TYPE_CHECKING:  # a page that has sliders for these settings does not wait for torch
    from reaugkd.gate import Gate
    from reaugkd.knowledge_base import KnowledgeBase


DECIDE_ABOUT_NEW = 2  # memories; chosen by classes left out of train, see new_class_weights
GATHERED = 2**22  # soft labels at a time, 32 MB: of all queries, neighbours and classes at once they would be gigabytes


@dataclass(frozen=True)
class RetrievalSettings:
    """How much of the memory goes into an answer; validated when made.

    Parameters
    ----------
    k : int
        Number of neighbours.
    retrieval_weight : float
        λ, from 0 (the plain student) to 1 (the neighbours alone).
    temperature : float
        τ_r of the neighbours' weights; small means that the nearest counts most.
    gate : Gate or None
        Sets λ for each query; ``retrieval_weight`` is then what it gives on average.
    """

    k: int = 16
    retrieval_weight: float = 0.5
    temperature: float = 0.1
    gate: "Gate | None" = None

    def __post_init__(self) -> None:
        if not self.k >= 1:
            raise ReAugKDError(f"k is {self.k}; it must be at least 1.")
        if self.k % 1:
            raise ReAugKDError(f"k is {self.k}; it must be a whole number.")
        object.__setattr__(self, "k", int(self.k))  # FAISS and JSON take no NumPy number
        if not 0 <= self.retrieval_weight <= 1:
            raise ReAugKDError(f"retrieval_weight is {self.retrieval_weight}; it must be from 0 to 1.")
        if not self.temperature > 0:
            raise ReAugKDError(f"temperature is {self.temperature}; it must be above 0.")

    @property
    def gate_is_open(self) -> bool:
        """Whether a gate asks the memory at all; a closed one answers as the student does."""
        return self.gate is not None and not self.gate.is_closed

    @property
    def asks_memory(self) -> bool:
        """Whether the memory is asked of classes that the student does not know: not where λ is fixed at 0."""
        return self.gate is not None or self.retrieval_weight > 0

    def needs_memory(self, known: int, classes: int) -> bool:
        """Whether an answer depends on the memory at all.

        Parameters
        ----------
        known, classes : int
            How many classes the student knows, and the memory.

        Returns
        -------
        bool
            Not where λ is 0 for every text and the student knows every class.
        """
        if self.gate is not None and self.gate.is_closed:
            return classes > known
        return self.asks_memory

    def overridden(
        self, k: int | None = None, retrieval_weight: float | None = None, temperature: float | None = None
    ) -> "RetrievalSettings":
        """Return these settings with those that are given in the place of their own; a given λ silences the gate."""
        return RetrievalSettings(
            self.k if k is None else k,
            self.retrieval_weight if retrieval_weight is None else retrieval_weight,
            self.temperature if temperature is None else temperature,
            self.gate if retrieval_weight is None else None,
        )


@dataclass(frozen=True)
class Retrieved:
    """What the memory says of N queries.

    Parameters
    ----------
    numbers : (N, k) int64
        Row numbers of the neighbours in the knowledge base, the nearest first.
    similarities : (N, k) float32
        Cosine of query and key.
    weights : (N, k) float64
        w_ik, or w'_ik where the memory holds classes that the student does not know; rows sum to 1.
    probabilities : (N, C) float64
        r_i = Σ_k w_ik ȳ_k; rows sum to 1.
    """

    numbers: NDArray[np.int64]
    similarities: NDArray[np.float32]
    weights: NDArray[np.float64]
    probabilities: NDArray[np.float64]

    @classmethod
    def nothing(cls, queries: int, classes: int) -> "Retrieved":
        """Return what stands for a memory that need not be asked: neighbours and a prediction that weigh nothing."""
        one = np.zeros((queries, 1))
        return cls(one.astype(np.int64), one.astype(np.float32), one, np.zeros((queries, classes)))


def retrieve(
    knowledge_base: "KnowledgeBase",
    embeddings: NDArray[np.floating],
    settings: RetrievalSettings,
    known: int | None = None,
) -> Retrieved:
    """Search the memory and blend the neighbours' soft labels.

    Parameters
    ----------
    knowledge_base : KnowledgeBase
        The memory.
    embeddings : (N, d) float
        The queries x_i.
    settings : RetrievalSettings
        Its k and τ_r count; λ does not.
    known : int, optional
        How many of the memory's classes, the first of them, the student knows; all, if left out. See
        :func:`new_class_weights`.

    Returns
    -------
    Retrieved
        Neighbours, their weights and their prediction.
    """
    similarities, numbers = knowledge_base.search(embeddings, settings.k)
    return weighed(knowledge_base, similarities, numbers, settings.temperature, known)


def weighed(
    knowledge_base: "KnowledgeBase",
    similarities: NDArray[np.float32],
    numbers: NDArray[np.int64],
    temperature: float,
    known: int | None = None,
) -> Retrieved:
    """Blend the soft labels of neighbours that are already found.

    Parameters
    ----------
    knowledge_base : KnowledgeBase
        The memory.
    similarities : (N, k) float32
        Cosines of query and key; minus infinity weighs nothing.
    numbers : (N, k) int64
        Row numbers of the neighbours.
    temperature : float
        τ_r.
    known : int, optional
        As :func:`retrieve` takes it.

    Returns
    -------
    Retrieved
        The neighbours, their weights and their prediction.
    """
    weights = neighbour_weights(similarities, temperature)
    soft_labels = knowledge_base.soft_labels
    probabilities = np.empty((len(numbers), soft_labels.shape[1]))
    queries = max(1, GATHERED // (numbers.shape[1] * soft_labels.shape[1]))
    for start in range(0, len(numbers), queries):
        block = slice(start, start + queries)
        gathered = soft_labels[numbers[block]]
        weights[block] = new_class_weights(weights[block], gathered, known)
        probabilities[block] = retrieved_probabilities(weights[block], gathered)
    return Retrieved(numbers, similarities, weights, probabilities)


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
    scaled = np.asarray(similarities, dtype=np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def new_class_weights(
    weights: NDArray[np.float64], neighbour_soft_labels: NDArray[np.floating], known: int | None
) -> NDArray[np.float64]:
    r"""Let the two nearest memories decide how much of the weight goes to classes that the student does not know.

    A class that was added has few rows, which among many neighbours are outvoted however near they are; k was chosen
    where every class had many. With n_k the part of neighbour k's soft label that is of new classes:

    .. math:: u = \sum_k w_k n_k, \quad v = \frac{w_1 n_1 + w_2 n_2}{w_1 + w_2}, \quad
              w'_k = w_k \left( n_k \frac{v}{u} + (1 - n_k) \frac{1 - v}{1 - u} \right)

    Parameters
    ----------
    weights : (N, k) float64
        As :func:`neighbour_weights` gives them, the nearest first.
    neighbour_soft_labels : (N, k, C) float
        Soft labels of each query's neighbours.
    known : int or None
        How many of the C classes, the first of them, the student knows; None for all.

    Returns
    -------
    (N, k) float64
        Rows sum to 1; they are as they were where no neighbour is of a new class.
    """
    if known is None or known >= neighbour_soft_labels.shape[2]:
        return weights
    new = neighbour_soft_labels[:, :, known:].sum(axis=2, dtype=np.float64)
    of_new, of_known = weights * new, weights * (1.0 - new)
    nearest = slice(0, DECIDE_ABOUT_NEW)
    share = of_new[:, nearest].sum(axis=1, keepdims=True) / weights[:, nearest].sum(axis=1, keepdims=True)

    def scaled_to(wanted: NDArray[np.float64], part: NDArray[np.float64]) -> NDArray[np.float64]:
        total = part.sum(axis=1, keepdims=True)
        return part * np.divide(wanted, total, out=np.zeros_like(total), where=total > 0)

    return np.where(
        of_new.any(axis=1, keepdims=True), scaled_to(share, of_new) + scaled_to(1.0 - share, of_known), weights
    )


def retrieved_probabilities(
    weights: NDArray[np.floating], neighbour_soft_labels: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the retrieved prediction r_i = Σ_k w_ik ȳ_k.

    Parameters
    ----------
    weights : (N, k) float
        As :func:`neighbour_weights` gives them.
    neighbour_soft_labels : (N, k, C) float
        Soft labels of each query's neighbours.

    Returns
    -------
    (N, C) float64
        Rows sum to 1.
    """
    return np.einsum("nk,nkc->nc", weights, neighbour_soft_labels.astype(np.float64))


@dataclass(frozen=True)
class Combined:
    """The answers to N queries, and what they are blended of.

    Parameters
    ----------
    student_probabilities : (N, C) float64
        ŷ_i over the classes that the student knows, the first of the C' of the memory; calibrated where a gate sets λ.
    student_vote : (N, C') float64
        What goes into the blend for ŷ_i, over all classes of the memory; see :func:`student_vote`.
    retrieval_weights : (N,) float64
        λ_i.
    memory_weights : (N, C') float64
        λ_i by class: 1 for a class that the student does not know, and 0 there too if the memory is not asked.
    probabilities : (N, C') float64
        (1 - λ_i) vote_i + λ_i r_i; rows sum to 1.
    """

    student_probabilities: NDArray[np.float64]
    student_vote: NDArray[np.float64]
    retrieval_weights: NDArray[np.float64]
    memory_weights: NDArray[np.float64]
    probabilities: NDArray[np.float64]


def combine(student_probabilities: NDArray[np.floating], retrieved: Retrieved, settings: RetrievalSettings) -> Combined:
    """Blend the student's own prediction with what the memory says.

    Parameters
    ----------
    student_probabilities : (N, C) float
        ŷ_i as the student gives them; a gate calibrates them first.
    retrieved : Retrieved
        What the memory says of the same queries.
    settings : RetrievalSettings
        λ or the gate. Where λ is fixed at 0 the memory is not asked, and the result is the student's own to the bit.

    Returns
    -------
    Combined
        Student, vote, weights and answer.
    """
    gate, student = settings.gate, np.asarray(student_probabilities, dtype=np.float64)
    known = student.shape[1]
    if gate is not None:
        student = gate.calibrate(student)
        weights = gate.retrieval_weights(student, retrieved.similarities, retrieved.probabilities)
    else:
        weights = np.full(len(student), settings.retrieval_weight)
    if settings.asks_memory:
        vote = student_vote(student, retrieved.probabilities)
    else:
        vote = np.zeros_like(retrieved.probabilities)
        vote[:, :known] = student
    by_class = np.tile(weights[:, None], vote.shape[1])
    by_class[:, known:] = settings.asks_memory
    return Combined(student, vote, weights, by_class, blend(vote, retrieved.probabilities, weights[:, None]))


def student_vote(student_probabilities: NDArray[np.floating], retrieved: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ŷ_i over all classes of the memory, which may be more than the student was trained on.

    Of a class that came later the student cannot speak, so there its vote is the memory's: with u_i the mass of r_i
    on such classes, the vote is (1 - u_i) ŷ_i on the classes it knows and r_i on the others. Else a student that
    knows no better would outvote every new class.

    Parameters
    ----------
    student_probabilities : (N, C) float
        ŷ_i.
    retrieved : (N, C') float
        r_i; C' is at least C, and the first C classes are the student's.

    Returns
    -------
    (N, C') float64
        Rows sum to 1.
    """
    known = student_probabilities.shape[1]
    vote = np.array(retrieved, dtype=np.float64)
    vote[:, :known] = student_probabilities
    if retrieved.shape[1] > known:
        vote[:, :known] *= 1.0 - retrieved[:, known:].sum(axis=1, keepdims=True)
    return vote


def blend(
    student_probabilities: NDArray[np.floating],
    retrieved: NDArray[np.floating],
    retrieval_weight: float | NDArray[np.floating],
) -> NDArray[np.float64]:
    """Return the final prediction (1 - λ) ŷ_i + λ r_i.

    Parameters
    ----------
    student_probabilities : (N, C) float
        ŷ_i.
    retrieved : (N, C) float
        r_i.
    retrieval_weight : float or (N, 1) float
        λ; at 0 the result is the student's own to the bit, at 1 the retrieved one.

    Returns
    -------
    (N, C) float64
        Rows sum to 1.
    """
    weight = np.asarray(retrieval_weight, dtype=np.float64)
    blended: NDArray[np.float64] = (1.0 - weight) * student_probabilities.astype(np.float64) + weight * retrieved
    return blended
