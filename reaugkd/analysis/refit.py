"""Choose again on the held-out rows that a model carries: after an edit of its memory, or with another key."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reaugkd.analysis.edits import ADDED, EDITED
from reaugkd.errors import ReAugKDError
from reaugkd.method.answers import EncodedTexts
from reaugkd.method.choice import PoolChoice, choose_pool, too_few_rows
from reaugkd.method.keys import ENCODER, UntunedEncoder, fit_keys
from reaugkd.method.memory import STANDS_FOR, Memory
from reaugkd.method.pool import Pool
from reaugkd.model.card import about_memory, choice_in_words
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.texts import Labels

FEWEST = 5  # rows that the teacher taught: a fold of them holds one


def refit_pool(model: ReAugKDClassifier, untuned: UntunedEncoder | None = None) -> ReAugKDClassifier:
    """Fit the pool again on the validation rows, as :func:`reaugkd.method.choice.choose_pool` does in training.

    A repaired memory may deserve a higher weight. Classes that the student does not know are left out of the fit: the
    memory alone decides about them.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    untuned : UntunedEncoder, optional
        Fits a new key first, see :func:`with_encoder_key`.

    Returns
    -------
    ReAugKDClassifier
        The same networks, memory and keys with the new choice.

    Raises
    ------
    ReAugKDError
        If the model carries no evaluation rows, or fewer than five memories have a z by the teacher.
    """
    rows = model.held_out(["validation"])
    if STANDS_FOR in model.memory.rows.columns:  # too few rows to fit a key to: those that it has stay
        return with_pool(model, choose_known(model.encode_rows(rows), model.memory)[0].pool)
    tokenizer, taught = model.student.tokenizer, taught_rows(model.memory)
    if untuned is not None:
        keys, memory = fit_keys(model.memory, tokenizer, encoder=untuned, taught=taught)
        model = replace(model, keys=keys, memory=memory)
    elif ENCODER in model.keys:
        encoder = model.keys[ENCODER].encoder  # type: ignore[attr-defined]  # that key has one
        untuned = UntunedEncoder(encoder, encoder.encode_layers(model.memory.texts))
    encoded = model.encode_rows(rows)
    held_out, memory = fit_keys(model.memory, tokenizer, encoder=untuned, held_out=encoded.texts, taught=taught)
    return with_pool(model, choose_known(encoded.searching_by(held_out), memory)[0].pool)


def with_encoder_key(model: ReAugKDClassifier, encoder: str, layers: int | None = None) -> ReAugKDClassifier:
    """Add an untuned encoder's key to a model, and fit the pool again.

    A student embeds a new class near the classes that it knows. An untuned encoder finds a class that was added after
    training better, so its key decides about new classes. The encoder runs beside the student for every text.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    encoder : str
        A name or folder that :func:`reaugkd.networks.weights.find_weights` finds.
    layers : int, optional
        How many of its first layers to keep; all if left out.

    Returns
    -------
    ReAugKDClassifier
        The model with the key.

    Raises
    ------
    ReAugKDError
        If the encoder is not found, the model carries no evaluation rows, or fewer than five memories have a z by the
        teacher.
    """
    if STANDS_FOR in model.memory.rows.columns:
        raise ReAugKDError("A condensed memory has too few texts to fit a key to; add the encoder key before.")
    taught_rows(model.memory)
    texts, max_length = model.memory.texts, model.settings.max_length
    return refit_pool(model, UntunedEncoder.of(encoder, texts, layers=layers, max_length=max_length))


def taught_rows(memory: Memory) -> NDArray[np.bool_]:
    """Return which rows have a z by the teacher; that of an added row is not known."""
    rows = memory.rows
    taught = (rows[EDITED] != ADDED).to_numpy() if EDITED in rows.columns else np.ones(len(rows), dtype=bool)
    if taught.sum() < FEWEST:
        raise ReAugKDError(f"Fewer than {FEWEST} memories are the teacher's own, too few to fit a key to; keep more.")
    return taught


def choose_known(encoded: EncodedTexts, memory: Memory) -> tuple[PoolChoice, Labels]:
    """Choose a pool on held-out rows and memories of the classes that the student knows.

    Parameters
    ----------
    encoded : EncodedTexts
        Validation rows.
    memory : Memory
        The memory.

    Returns
    -------
    tuple of PoolChoice and (N,) int64
        The choice, and the gold labels of its rows.
    """
    known, labels = encoded.known, encoded.labels(memory.classes)
    asked = np.flatnonzero(labels < known)
    of_known = memory.part(np.flatnonzero(memory.soft_labels[:, :known].sum(axis=1, dtype=np.float64) > 1 - 1e-3))
    of_known = replace(of_known, classes=memory.classes[:known], soft_labels=of_known.soft_labels[:, :known])
    return choose_pool(encoded.part(asked), labels[asked], of_known, list(memory.keys)), labels[asked]


def with_pool(model: ReAugKDClassifier, pool: Pool) -> ReAugKDClassifier:
    """Return the model with another pool, and with metrics and a card that state it."""
    card = model.card
    memory = about_memory(pool, too_few_rows(len(model.held_out(["validation"]))))
    if "memory" in model.metrics:  # a card in a person's own words stays
        before = choice_in_words(model.settings, model.metrics["memory"])
        card = card.replace(before, choice_in_words(model.settings, memory))
    refitted = replace(model, pool=pool, metrics=model.metrics | {"memory": memory}, card=card)
    threshold = model.threshold  # of the answers by the pool before
    return refitted if threshold is None else refitted.with_threshold(threshold.accuracy, threshold.by)
