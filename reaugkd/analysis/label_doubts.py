"""Which labels of a memory look wrong, by voices that did not see them? No network is trained."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from reaugkd.method.keys import ALIGNED
from reaugkd.method.memory import Memory, labelled_by_person
from reaugkd.method.pool import SMOOTHING, KeySettings, Pool, weighed
from reaugkd.texts import fold_masks, folds_apart

DOUBTFUL = 0.5
"""A label looks wrong from this doubt on: it gets at most half of what labels of its class usually get."""


def label_doubts(memory: Memory, pool: Pool) -> pd.DataFrame:
    r"""Doubt each gold label by what is said of its row without it.

    The row's nearest memories by each independent key, such as the text key, vote with their soft labels; the row
    itself is left out, and its key was drawn by folds that it is not in. A logistic regression from the teacher's
    embedding to the gold labels answers for rows of a fold that it was not fitted to. With p the normalised geometric
    mean of these voices, each smoothed, the doubt is

    .. math:: d_i = 1 - \frac{p_i(y_i)}{\operatorname{mean}_{j \neq i: y_j = y_i} p_j(y_j)}.

    The mean over the class (over all rows where it has no other) is confident learning's self-confidence (Northcutt et
    al. 2021): some classes are harder than others.
    The networks have seen the labels, so a teacher that learnt a wrong one by heart half defends it.

    Parameters
    ----------
    memory : Memory
        M rows with keys.
    pool : Pool
        Gives k and τ_r of each key.

    Returns
    -------
    DataFrame
        M rows: ``doubt``, 1 at most, below 0 where the label gets more than usual, 0 where only the teacher gave it;
        ``suggested``, the class that the voices together find likeliest; the probability of the label by each voice,
        ``by_text`` (and ``by_encoder``) and ``by_embedding``.
    """
    rows, labels, is_gold = np.arange(len(memory)), memory.labels, labelled_by_person(memory.rows)
    said, classes = _voices(memory, pool), len(memory.classes)
    unseen = _together(said)
    own = unseen[rows, labels]
    sums, counts = (np.bincount(labels[is_gold], of, minlength=classes) for of in (own[is_gold], None))
    others = counts[labels] - is_gold
    usual = np.where(others > 0, (sums[labels] - is_gold * own) / np.maximum(others, 1), own.mean())
    doubt = np.where(is_gold, 1.0 - own / usual, 0.0)
    columns = {name: voice[rows, labels] for name, voice in said.items()}
    suggested = np.asarray(memory.classes)[unseen.argmax(axis=1)]
    return pd.DataFrame({"doubt": doubt, "suggested": suggested, **columns})


def unseen_probabilities(memory: Memory, pool: Pool) -> NDArray[np.float64]:
    """Return p (M, C) of :func:`label_doubts`, the class probabilities of each row by voices that did not see it."""
    return _together(_voices(memory, pool))


def _voices(memory: Memory, pool: Pool) -> dict[str, NDArray[np.float64]]:
    """Return what each voice says of each row, (M, C), by the name of its column."""
    others = {name: settings for name, settings in pool.keys.items() if name != ALIGNED and name in memory.keys}
    said = {f"by_{name}": _by_neighbours(memory, name, settings) for name, settings in others.items()}
    return {**said, "by_embedding": _by_embedding(memory)}


def _together(said: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the normalised geometric mean of voices (M, C), each smoothed."""
    smoothed = [(1.0 - SMOOTHING) * voice + SMOOTHING / voice.shape[1] for voice in said.values()]
    return softmax(np.mean(np.log(smoothed), axis=0), axis=1)


def nearest_others(
    memory: Memory, key: str, queries: NDArray[np.floating], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return cosines (M, k) and row numbers (M, k) of the nearest memories of each but itself, or of all others."""
    similarities, numbers = memory.search(key, queries, k + 1)
    own = numbers == np.arange(len(memory))[:, None]
    own[:, -1] |= ~own.any(axis=1)  # among equals a memory may not find itself: then the farthest goes
    shape = (len(memory), numbers.shape[1] - 1)
    return similarities[~own].reshape(shape), numbers[~own].reshape(shape)


def _by_neighbours(memory: Memory, key: str, settings: KeySettings) -> NDArray[np.float64]:
    """Return what the neighbours of each row by a key say of it, (M, C)."""
    found = nearest_others(memory, key, memory.keys[key], settings.k)
    if not found[1].size:
        return np.full(memory.soft_labels.shape, 1.0 / len(memory.classes))
    return weighed(memory.soft_labels, *found, settings.temperature).probabilities


def _by_embedding(memory: Memory) -> NDArray[np.float64]:
    """Return what regressions from z to the gold labels of other folds say of each row, (M, C)."""
    from sklearn.linear_model import LogisticRegression  # slow to import

    z, labels = memory.keys.get(ALIGNED, memory.teacher_embeddings), memory.labels
    is_gold = labelled_by_person(memory.rows)
    said = np.full(memory.soft_labels.shape, 1.0 / len(memory.classes))
    for seen, held_out in fold_masks(folds_apart(memory.texts, labels, 5)):
        fitted = seen & is_gold
        if len(np.unique(labels[fitted])) > 1:
            regression = LogisticRegression(max_iter=300).fit(z[fitted], labels[fitted])
            said[held_out] = 0.0
            said[np.ix_(held_out, regression.classes_)] = regression.predict_proba(z[held_out])
    return said
