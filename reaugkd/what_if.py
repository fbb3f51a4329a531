"""What one answer would be without some of its memories, or with other labels on them; nothing is changed for good."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.inference import Explanation, ReAugKDClassifier
from reaugkd.retrieval import (
    RetrievalSettings,
    Retrieved,
    combine,
    neighbour_weights,
    new_class_weights,
    retrieved_probabilities,
)
from reaugkd.texts import Text

RESERVE = 64
TRIED_IN_FULL = 2


@dataclass(frozen=True)
class AskedText:
    """A text that the student has embedded: a slider or a struck-out memory needs no second encoding.

    Parameters
    ----------
    text : Text
        The text or pair.
    embedding : (d,) float32
        x.
    student_probabilities : (C,) float32
        ŷ.
    key : (d',) float32
        What the memory is searched with.
    teacher_probabilities : (C,) float32 or None
        The teacher's own, where the model keeps its teacher.
    """

    text: Text
    embedding: NDArray[np.float32]
    student_probabilities: NDArray[np.float32]
    key: NDArray[np.float32]
    teacher_probabilities: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, model: ReAugKDClassifier, text: Text) -> "AskedText":
        """Run a model's student on one text, and its second key and its teacher where it keeps them.

        Parameters
        ----------
        model : ReAugKDClassifier
            The model.
        text : Text
            A text or pair.

        Returns
        -------
        AskedText
            The embedded text.

        Raises
        ------
        ReAugKDError
            If a text is empty or enormous, or a pair where the model takes single texts, or the other way round.
        """
        embeddings, probabilities = model.embed([text])
        keys, teacher = model.query_keys([text], embeddings), model.parts.teacher
        said = None
        if teacher is not None:
            known = teacher.encode([text])[1][0]
            said = np.pad(known, (0, len(model.classes_) - len(known)))  # of classes added since it cannot speak
        return cls(text, embeddings[0], probabilities[0], keys[0], said)


@dataclass(frozen=True)
class Strikes:
    """What is thought away from a memory.

    Parameters
    ----------
    struck : collection of int
        Row numbers of memories that are not there; the next nearest take their places.
    relabelled : mapping of int to str
        Row numbers of memories, and the class for which each is to vote with all its weight.
    """

    struck: Collection[int] = ()
    relabelled: Mapping[int, str] = field(default_factory=dict)


NO_STRIKES = Strikes()
Pool = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]
"""Memories near a text: cosines (P,), row numbers (P,) and soft labels (P, C)."""


def explain_what_if(
    model: ReAugKDClassifier, asked: AskedText, retrieval: RetrievalSettings, strikes: Strikes
) -> Explanation:
    """Answer a text as if some memories were not there, or had another label.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model, which stays as it is.
    asked : AskedText
        The text.
    retrieval : RetrievalSettings
        k, λ or the gate, and τ_r.
    strikes : Strikes
        What is thought away.

    Returns
    -------
    Explanation
        As :meth:`ReAugKDClassifier.explain` gives it.

    Raises
    ------
    ReAugKDError
        If all memories are struck out.
    """
    similarities, numbers, soft_labels = _pool(model, asked, retrieval.k, strikes)
    known = len(asked.student_probabilities)
    found = _weighed(similarities[None, :], numbers[None, :], soft_labels[None, :, :], retrieval.temperature, known)
    explanation = model.explain_retrieved(
        asked.text, asked.embedding, asked.student_probabilities, retrieval, found, soft_labels
    )
    neighbours = [
        replace(neighbour, label=strikes.relabelled.get(neighbour.number, neighbour.label))
        for neighbour in explanation.neighbours
    ]
    return replace(explanation, neighbours=neighbours)


def flipping_set(
    model: ReAugKDClassifier, asked: AskedText, retrieval: RetrievalSettings, strikes: Strikes = NO_STRIKES
) -> tuple[list[int], str] | None:
    """Find the smallest set of memories without which the answer would be another, beyond what is thought away already.

    Sets of one and two are all tried, so where such a set is found none is smaller. Larger ones are found greedily,
    by always striking out the memory that costs the answer most, and then putting back whatever is not needed: none of
    its members can be left out, but another, smaller set may exist.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    asked : AskedText
        The text.
    retrieval : RetrievalSettings
        k, λ or the gate, and τ_r.
    strikes : Strikes
        What is thought away already: the answer that is to change is the one without these.

    Returns
    -------
    tuple of list of int and str, or None
        Row numbers, and the answer without them; None where striking out up to 64 memories does not change it.

    Raises
    ------
    ReAugKDError
        If all memories are struck out already.
    """
    pool = _pool(model, asked, retrieval.k + RESERVE, strikes)
    numbers = pool[1]
    names = np.asarray(model.parts.settings.label_names)
    k, most = min(retrieval.k, len(numbers)), min(RESERVE, len(numbers) - 1)

    def answers(sets: list[tuple[int, ...]]) -> NDArray[np.float64]:
        return _answers_without(asked, retrieval, pool, sets)

    answer = int(answers([()])[0].argmax())
    for size in range(1, min(TRIED_IN_FULL, most) + 1):
        sets = list(combinations(range(k), size))
        flipped = np.flatnonzero(answers(sets).argmax(axis=1) != answer)
        if len(flipped):
            chosen = sets[int(flipped[0])]
            return numbers[list(chosen)].tolist(), str(names[answers([chosen])[0].argmax()])
    struck: tuple[int, ...] = ()
    while len(struck) < most:
        left = [place for place in range(min(len(numbers), k + len(struck))) if place not in struck]
        found = answers([(*struck, place) for place in left])
        margins = found[:, answer] - np.delete(found, answer, axis=1).max(axis=1)
        struck = (*struck, left[int(margins.argmin())])
        if margins.min() < 0:
            break
    else:
        return None
    for place in struck:
        fewer = tuple(other for other in struck if other != place)
        if answers([fewer])[0].argmax() != answer:
            struck = fewer
    return numbers[list(struck)].tolist(), str(names[answers([struck])[0].argmax()])


def _pool(model: ReAugKDClassifier, asked: AskedText, size: int, strikes: Strikes) -> Pool:
    """Return the nearest memories that are not struck out, the nearest first, with the labels thought of."""
    similarities, numbers = (found[0] for found in model.memory.search(asked.key[None, :], size + len(strikes.struck)))
    left = ~np.isin(numbers, list(strikes.struck))
    if not left.any():
        raise ReAugKDError("Without any memory there is nothing to look up; leave at least one, or put some back.")
    similarities, numbers = similarities[left][:size], numbers[left][:size]
    soft_labels = model.memory.soft_labels[numbers]
    names = model.parts.settings.label_names
    for place, number in enumerate(numbers.tolist()):
        if number in strikes.relabelled:
            soft_labels[place] = np.eye(len(names))[names.index(strikes.relabelled[number])]
    return similarities, numbers, soft_labels


def _answers_without(
    asked: AskedText, retrieval: RetrievalSettings, pool: Pool, sets: list[tuple[int, ...]]
) -> NDArray[np.float64]:
    """Return the combined probabilities (S, C) without each of S sets, all of one size, of places in the pool."""
    similarities, numbers, soft_labels = pool
    places = np.arange(len(numbers))
    kept = np.stack([np.delete(places, struck)[: retrieval.k] for struck in sets])
    student = np.repeat(asked.student_probabilities[None, :], len(sets), axis=0)
    found = _weighed(similarities[kept], numbers[kept], soft_labels[kept], retrieval.temperature, student.shape[1])
    return combine(student, found, retrieval).probabilities


def _weighed(
    similarities: NDArray[np.float32],
    numbers: NDArray[np.int64],
    soft_labels: NDArray[Any],
    temperature: float,
    known: int,
) -> Retrieved:
    weights = new_class_weights(neighbour_weights(similarities, temperature), soft_labels, known)
    return Retrieved(numbers, similarities, weights, retrieved_probabilities(weights, soft_labels))
