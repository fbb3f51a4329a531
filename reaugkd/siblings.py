"""Texts that are parts of each other: rows held out of train may have siblings there that no new text would have."""

import re
from collections.abc import Sequence
from itertools import chain
from math import ceil

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from reaugkd.texts import Labels, Text

OVERLAP = 0.8
TRIED_HOLDERS = 100  # texts that may hold another, the longest first
COMPARED = 2**24  # pairs at a time
_WORD = re.compile(r"\w+")


def siblings(texts: Sequence[Text], rows: pd.DataFrame, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Tell which neighbours hold four fifths of the query's words, or the query theirs.

    A corpus may be cut from fewer sources than it has rows: SST-2's train rows are phrases of one another's
    sentences. A memory finds such siblings for rows that were held out of train and looks better than it is, so they
    are left out where something is chosen.

    Parameters
    ----------
    texts : sequence of Text
        N queries, texts or pairs.
    rows : DataFrame
        The memories: ``text`` and, for pairs, ``text_pair``.
    numbers : (N, k) int64
        Each query's neighbours, as row numbers.

    Returns
    -------
    (N, k) bool
        True for a sibling: of the smaller set of words, at least 0.8 are in the other.
    """
    columns = [name for name in ("text", "text_pair") if name in rows.columns]
    used = np.unique(numbers)
    memories = rows[columns].iloc[used].fillna("").itertuples(index=False, name=None)
    words = {number: _words(" ".join(memory)) for number, memory in zip(used.tolist(), memories, strict=True)}
    found = np.zeros(numbers.shape, dtype=bool)
    for row, text in enumerate(texts):
        query = _words(_joined(text))
        for place, number in enumerate(numbers[row].tolist()):
            other = words[number]
            found[row, place] = len(query & other) >= OVERLAP * min(len(query), len(other))
    return found


def have_siblings(texts: Sequence[Text], others: Sequence[Text]) -> NDArray[np.bool_]:
    """Tell which texts are siblings of any of some others, as :func:`siblings` does.

    Parameters
    ----------
    texts : sequence of Text
        N texts or pairs.
    others : sequence of Text
        V texts or pairs, such as those on which something is chosen.

    Returns
    -------
    (N,) bool
        True where there is one.
    """
    vocabulary: dict[str, int] = {}
    these, those = _word_matrix(texts, vocabulary), _word_matrix(others, vocabulary)
    columns = max(1, len(vocabulary))
    these.resize(len(texts), columns)
    those.resize(len(others), columns)
    lengths, other_lengths = (np.diff(matrix.indptr) for matrix in (these, those))
    found = np.zeros(len(texts), dtype=bool)
    step = max(1, COMPARED // max(1, len(texts)))
    for start in range(0, len(others), step):
        shared = (those[start : start + step] @ these.T).tocoo()
        smaller = np.minimum(other_lengths[start + shared.row], lengths[shared.col])
        found[shared.col[shared.data >= OVERLAP * smaller]] = True
    return found


def folds_apart(texts: Sequence[Text], labels: Labels, folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Cut rows into folds that are alike in classes and keep siblings together.

    Each text goes with the longest that holds four fifths of its words, and that with one that holds it: the phrases of
    a sentence stay with it. Where a text is a part of several, the others are not its siblings here, since by short
    phrases all texts of a corpus would become one family.

    Parameters
    ----------
    texts : sequence of Text
        N texts or pairs.
    labels : (N,) int64
        Their classes; of a family that of its longest text counts.
    folds : int
        How many at most; no more than there are families.
    seed : int
        Seed of the draw.

    Returns
    -------
    (N,) int64
        Number of each row's fold, from 0.
    """
    from sklearn.model_selection import KFold, StratifiedKFold  # takes long to import: only who fits pays for it

    families, members = np.unique(_longest_holders(texts), return_inverse=True)
    folds = min(folds, len(families))
    if folds < 2:
        return np.zeros(len(texts), dtype=np.int64)
    alike = np.bincount(labels[families]).max() >= folds
    splitter = (StratifiedKFold if alike else KFold)(folds, shuffle=True, random_state=seed)
    fold_of_family = np.zeros(len(families), dtype=np.int64)
    places, classes = np.zeros(len(families)), labels[families]
    if alike:  # a class of fewer families than folds is in some of them alone, and scikit-learn warns of it
        rare = np.bincount(classes)[classes] < folds
        classes = np.where(rare, -1, classes)
        if 0 < rare.sum() < folds:
            classes = np.where(rare, np.bincount(classes[~rare]).argmax(), classes)
    for number, (_, held_out) in enumerate(splitter.split(places, classes)):
        fold_of_family[held_out] = number
    return fold_of_family[members]


def _longest_holders(texts: Sequence[Text]) -> NDArray[np.int64]:
    """Return for each text the number of the longest that holds it, by way of those that hold one another."""
    words = [_words(_joined(text)) for text in texts]
    ordered = sorted(range(len(words)), key=lambda number: -len(words[number]))
    rank = {number: place for place, number in enumerate(ordered)}
    holders: dict[str, list[int]] = {}
    for number in ordered:
        for word in words[number]:
            holders.setdefault(word, []).append(number)
    root = np.arange(len(words))
    for number in ordered:  # the longest first, so that its holder's own root is known
        own = words[number]
        needed = ceil(OVERLAP * len(own) - 1e-9)
        # A text that holds so many of the words holds at least one of these, the rarest.
        rarest = sorted(own, key=lambda word: (len(holders[word]), word))[: len(own) - needed + 1]
        tried = sorted(set(chain.from_iterable(holders[word][:TRIED_HOLDERS] for word in rarest)), key=rank.__getitem__)
        for other in tried:
            if rank[other] >= rank[number]:
                break
            if len(own & words[other]) >= needed:
                root[number] = root[other]
                break
    return root


def _word_matrix(texts: Sequence[Text], vocabulary: dict[str, int]) -> csr_matrix:
    """Return which words (columns, numbered as they come) each text (rows) holds, as ones."""
    places = [[vocabulary.setdefault(word, len(vocabulary)) for word in _words(_joined(text))] for text in texts]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in places])])
    columns = np.fromiter(chain.from_iterable(places), dtype=np.int64)
    shape = len(texts), max(1, len(vocabulary))
    return csr_matrix((np.ones(len(columns), dtype=np.float32), columns, starts), shape=shape)


def word_overlap(text: Text, other: Text) -> float:
    """Return the words that two texts share by all words of both (Jaccard), from 0 to 1; case does not count."""
    words, others = _words(_joined(text)), _words(_joined(other))
    return len(words & others) / len(words | others)


def _joined(text: Text) -> str:
    return text if isinstance(text, str) else " ".join(text)


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower())) or frozenset([text])
