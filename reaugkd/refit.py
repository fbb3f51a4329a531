"""Choose again on the held-out rows that a model carries: after its memory was edited, or by another key."""

from dataclasses import replace

import numpy as np

from reaugkd.errors import ReAugKDError
from reaugkd.evaluation import Encoded, choose_gate, too_few_for_a_gate
from reaugkd.evaluation_set import EvaluationSet, held_out
from reaugkd.inference import ReAugKDClassifier
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.model_card import about_memory, choice_in_words
from reaugkd.patch import ADDED, EDITED
from reaugkd.retrieval import RetrievalSettings
from reaugkd.second_key import SecondKey
from reaugkd.texts import texts_of
from reaugkd.weights import find_weights

FEWEST_TAUGHT = 5  # a fifth of them chooses the penalty


def refit_gate(model: ReAugKDClassifier) -> ReAugKDClassifier:
    """Fit gate, k and τ_r again on the validation rows, as :func:`reaugkd.evaluation.choose_gate` does in training.

    A memory that was repaired may earn a trust that it had not before. Classes that the student does not know are
    left out of the fit; they need no gate.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.

    Returns
    -------
    ReAugKDClassifier
        The same networks and memory with the new choice.

    Raises
    ------
    ReAugKDError
        If the model carries no evaluation rows.
    """
    asked = EvaluationSet.of(model, held_out(model, ["validation"]))
    known = asked.student_probabilities.shape[1]
    texts = texts_of(asked.rows, model.parts.settings.is_pair)
    queries = Encoded(asked.query_keys, asked.student_probabilities, texts)
    memory = _of_known_classes(model.memory, known)
    choice = choose_gate(queries, asked.labels, memory, model.parts.settings.metric).retrieval
    return _with_choice(model, choice, too_few_for_a_gate(len(asked.labels)))


def with_weight(model: ReAugKDClassifier, retrieval_weight: float) -> ReAugKDClassifier:
    """Return the model with one λ for every text in the place of its gate."""
    return _with_choice(model, model.retrieval.overridden(retrieval_weight=retrieval_weight))


def searched_by(model: ReAugKDClassifier, encoder: str) -> ReAugKDClassifier:
    """Let an untuned encoder search the memory from now on, and fit the gate again.

    A student puts what it was never taught near what it knows, so a class that was added after training is better
    found by an encoder that was not tuned. Its key head is fitted to the rows that the teacher knew.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    encoder : str
        A name or folder that :func:`reaugkd.weights.find_weights` finds.

    Returns
    -------
    ReAugKDClassifier
        The model with the second key.

    Raises
    ------
    ReAugKDError
        If the encoder is not found, the model carries no evaluation rows, or hardly a memory is of its teacher.
    """
    memories, settings = model.parts.knowledge_base, model.parts.settings
    texts = texts_of(memories.rows, settings.is_pair)
    # An added row is keyed by the student: where the teacher would put it is not known.
    taught = (memories.rows[EDITED] != ADDED).to_numpy() if EDITED in memories.rows.columns else None
    if (len(memories.rows) if taught is None else taught.sum()) < FEWEST_TAUGHT:
        raise ReAugKDError(
            f"Fewer than {FEWEST_TAUGHT} memories are the teacher's own, too few to fit a second key to; keep more."
        )
    key = SecondKey.of(find_weights(encoder), memories, texts, settings.max_length, taught)
    return refit_gate(ReAugKDClassifier(replace(model.parts, second_key=key)))


def _with_choice(
    model: ReAugKDClassifier, retrieval: RetrievalSettings, too_few_rows: int | None = None
) -> ReAugKDClassifier:
    """Return the model with another choice, and with figures and a card that say so."""
    parts, card = model.parts, model.parts.card
    memory = about_memory(retrieval, parts.second_key is not None, too_few_rows)
    if "memory" in parts.metrics:  # what a person has written into the card in its place stays
        before = choice_in_words(parts.settings, parts.retrieval, parts.metrics["memory"])
        card = card.replace(before, choice_in_words(parts.settings, retrieval, memory))
    return ReAugKDClassifier(replace(parts, retrieval=retrieval, metrics=parts.metrics | {"memory": memory}, card=card))


def _of_known_classes(memory: KnowledgeBase, known: int) -> KnowledgeBase:
    """Return the memories that vote for the first classes alone."""
    voting = np.flatnonzero(memory.soft_labels[:, :known].sum(axis=1) > 1 - 1e-3)
    if len(voting) == len(memory) and memory.soft_labels.shape[1] == known:
        return memory
    return KnowledgeBase(
        memory.rows.iloc[voting].reset_index(drop=True),
        memory.embeddings[voting],
        memory.soft_labels[voting][:, :known],
    )
