"""Step 5 in formulas: weigh the neighbours, blend their soft labels with the student's own prediction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError


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
    """

    k: int = 16
    retrieval_weight: float = 0.5
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ReAugKDError(f"k is {self.k}; it must be at least 1.")
        if not 0 <= self.retrieval_weight <= 1:
            raise ReAugKDError(f"retrieval_weight is {self.retrieval_weight}; it must be from 0 to 1.")
        if not self.temperature > 0:
            raise ReAugKDError(f"temperature is {self.temperature}; it must be above 0.")

    def overridden(
        self, k: int | None = None, retrieval_weight: float | None = None, temperature: float | None = None
    ) -> "RetrievalSettings":
        """Return these settings with those that are given in the place of their own."""
        return RetrievalSettings(
            self.k if k is None else k,
            self.retrieval_weight if retrieval_weight is None else retrieval_weight,
            self.temperature if temperature is None else temperature,
        )


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


def blend(
    student_probabilities: NDArray[np.floating], retrieved: NDArray[np.floating], retrieval_weight: float
) -> NDArray[np.float64]:
    """Return the final prediction (1 - λ) ŷ_i + λ r_i.

    Parameters
    ----------
    student_probabilities : (N, C) float
        ŷ_i.
    retrieved : (N, C) float
        r_i.
    retrieval_weight : float
        λ; at 0 the result is the student's own to the bit, at 1 the retrieved one.

    Returns
    -------
    (N, C) float64
        Rows sum to 1.
    """
    student_probabilities = student_probabilities.astype(np.float64)
    return (1.0 - retrieval_weight) * student_probabilities + retrieval_weight * retrieved
