"""Choose again on the held-out rows that a model carries: after its memory was edited, or by another key."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reaugkd.analysis.edits import ADDED, EDITED
from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import EncodedTexts
from reaugkd.method.choice import choose_pool, too_few_rows
from reaugkd.method.key_fitting import UntunedEncoder, fit_keys
from reaugkd.method.keys import ENCODER
from reaugkd.method.memory import Memory
from reaugkd.method.pool import Pool
from reaugkd.model.card import about_memory, choice_in_words
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.networks.weights import find_weights
from reaugkd.texts import texts_of

FEWEST_TAUGHT = 5  # a fold of them holds one


def refit_pool(model: ReAugKDClassifier) -> ReAugKDClassifier:
    """Fit the pool again on the validation rows, as :func:`reaugkd.method.choice.choose_pool` does in training.

    A memory that was repaired may earn a weight that it had not before. Classes that the student does not know are left
    out of the fit: the memory alone decides about them.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.

    Returns
    -------
    ReAugKDClassifier
        The same networks, memory and keys with the new choice.

    Raises
    ------
    ReAugKDError
        If the model carries no evaluation rows, or hardly a memory is of its teacher.
    """
    return _refitted(model, None)


def with_weight(model: ReAugKDClassifier, retrieval_weight: float) -> ReAugKDClassifier:
    """Return the model with one λ that is set by hand in the place of the fitted one."""
    return _with_choice(model, model.pool.overridden(retrieval_weight=retrieval_weight))


def with_encoder_key(model: ReAugKDClassifier, encoder: str, layers: int | None = None) -> ReAugKDClassifier:
    """Let an untuned encoder search the memory too from now on, and fit the pool again.

    A student puts what it was never taught near what it knows, so a class that was added after training is better
    found by an encoder that was not tuned; it then decides about new classes. It runs beside the student for every
    text.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    encoder : str
        A name or folder that :func:`reaugkd.networks.weights.find_weights` finds.
    layers : int, optional
        Keep only its first so many layers.

    Returns
    -------
    ReAugKDClassifier
        The model with the key.

    Raises
    ------
    ReAugKDError
        If the encoder is not found, the model carries no evaluation rows, or hardly a memory is of its teacher.
    """
    _taught(model.memory)
    settings = model.settings
    texts = texts_of(model.memory.rows, settings.is_pair)
    untuned = UntunedEncoder.of(find_weights(encoder), texts, layers=layers, max_length=settings.max_length)
    return _refitted(model, untuned)


def _taught(memory: Memory) -> NDArray[np.bool_]:
    """Return which rows have a z by the teacher: where it would put an added one is not known."""
    rows = memory.rows
    taught = (rows[EDITED] != ADDED).to_numpy() if EDITED in rows.columns else np.ones(len(rows), dtype=bool)
    if taught.sum() < FEWEST_TAUGHT:
        raise ReAugKDError(
            f"Fewer than {FEWEST_TAUGHT} memories are the teacher's own, too few to fit a key to; keep more."
        )
    return taught


def _refitted(model: ReAugKDClassifier, untuned: UntunedEncoder | None) -> ReAugKDClassifier:
    """Fit the pool again; with an encoder, fit its key first, and let it decide about new classes."""
    parts, tokenizer = model, model.student.tokenizer
    rows = model.held_out(["validation"])
    taught, texts = _taught(model.memory), texts_of(model.memory.rows, parts.settings.is_pair)
    if untuned is not None:
        keys, memory = fit_keys(model.memory, texts, tokenizer, encoder=untuned, taught=taught)
        model = replace(parts, keys=keys, memory=memory)
    elif ENCODER in parts.keys:
        encoder = parts.keys[ENCODER].encoder  # type: ignore[attr-defined]  # that key has one
        untuned = UntunedEncoder(encoder, encoder.encode_layers(texts))
    encoded = model.encode_rows(rows)
    held_out, memory = fit_keys(model.memory, texts, tokenizer, encoder=untuned, held_out=encoded.texts, taught=taught)
    queries = {name: key.embed(encoded.texts, encoded.embeddings) for name, key in held_out.items()}
    pool = choose_known(replace(encoded, queries=queries), memory)
    return _with_choice(model, pool)


def choose_known(encoded: EncodedTexts, memory: Memory) -> Pool:
    """Choose a pool on rows and memories of the classes that the student knows.

    Parameters
    ----------
    encoded : EncodedTexts
        Held-out rows with gold labels.
    memory : Memory
        The memory, with keys that were fitted apart from these rows.

    Returns
    -------
    Pool
        The choice.
    """
    known = encoded.known
    labels = encoded.labels(memory.classes)
    asked = np.flatnonzero(labels < known)
    voting = np.flatnonzero(memory.soft_labels[:, :known].sum(axis=1) > 1 - 1e-3)
    of_known = Memory(
        memory.rows.iloc[voting].reset_index(drop=True),
        memory.classes[:known],
        memory.soft_labels[voting][:, :known],
        memory.teacher_embeddings[voting],
        {name: key[voting] for name, key in memory.keys.items()},
    )
    return choose_pool(encoded.part(asked), labels[asked], of_known, list(memory.keys)).pool


def _with_choice(model: ReAugKDClassifier, pool: Pool) -> ReAugKDClassifier:
    """Return the model with another choice, and with figures and a card that say so."""
    parts, card = model, model.card
    rows = parts.evaluation_rows
    too_few = rows is not None and too_few_rows(int((rows["split"] == "validation").sum()))
    memory = about_memory(pool, too_few)
    if "memory" in parts.metrics:  # what a person has written into the card in its place stays
        before = choice_in_words(parts.settings, parts.metrics["memory"])
        card = card.replace(before, choice_in_words(parts.settings, memory))
    return replace(parts, pool=pool, metrics=parts.metrics | {"memory": memory}, card=card)
