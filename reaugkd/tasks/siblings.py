"""Siblings, texts that are parts of each other: held-out rows may have some in train, which new texts would not."""

import re
from collections import defaultdict
from collections.abc import Sequence
from math import ceil

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from reaugkd.texts import Labels, Text, texts_of

OVERLAP = 0.8
TRIED_HOLDERS = 100  # texts that may hold another, the longest first
COMPARED = 2**24  # pairs at a time
_WORD = re.compile(r"\w+")


def are_siblings(texts: Sequence[Text], rows: pd.DataFrame, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Find neighbours that hold four fifths of the query's words, or the reverse.

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
    used, places = np.unique(numbers, return_inverse=True)
    these, those = _word_matrices(texts, texts_of(rows.take(used), "text_pair" in rows.columns))
    shared = [these.multiply(those[neighbours]).sum(axis=1) for neighbours in places.T]
    smaller = np.minimum(np.diff(these.indptr)[:, None], np.diff(those.indptr)[places])
    return np.column_stack(shared) >= OVERLAP * smaller


def have_siblings(texts: Sequence[Text], others: Sequence[Text]) -> NDArray[np.bool_]:
    """Find texts that are siblings of any of some others, as :func:`are_siblings` does: (N,)."""
    these, those = _word_matrices(texts, others)
    lengths, other_lengths = np.diff(these.indptr), np.diff(those.indptr)
    found = np.zeros(len(texts), dtype=bool)
    step = max(1, COMPARED // max(1, len(texts)))
    for start in range(0, len(others), step):
        shared = (those[start : start + step] @ these.T).tocoo()
        smaller = np.minimum(other_lengths[start + shared.row], lengths[shared.col])
        found[shared.col[shared.data >= OVERLAP * smaller]] = True
    return found


def folds_apart(texts: Sequence[Text], labels: Labels, folds: int) -> NDArray[np.int64]:
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

    Returns
    -------
    (N,) int64
        Number of each row's fold, from 0.
    """
    from sklearn.model_selection import KFold, StratifiedKFold  # slow to import, and needed to fit only

    families, members = np.unique(_longest_holders(texts), return_inverse=True)
    folds = min(folds, len(families))
    if folds < 2:
        return np.zeros(len(texts), dtype=np.int64)
    alike = np.bincount(labels[families]).max() >= folds
    splitter = (StratifiedKFold if alike else KFold)(folds, shuffle=True, random_state=0)
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
    order = sorted(range(len(texts)), key=lambda number: -len(_words(texts[number])))
    words = [_words(texts[number]) for number in order]
    holders: dict[str, list[int]] = defaultdict(list)
    for place, own in enumerate(words):
        for word in own:
            holders[word].append(place)
    root = list(range(len(words)))
    for place, own in enumerate(words):  # the longest first, so that its holder's own root is known
        needed = ceil(OVERLAP * len(own) - 1e-9)
        # A text that holds so many of the words holds at least one of these, the rarest.
        rarest = sorted(own, key=lambda word: (len(holders[word]), word))[: len(own) - needed + 1]
        tried = {other for word in rarest for other in holders[word][:TRIED_HOLDERS] if other < place}
        holder = next((other for other in sorted(tried) if len(own & words[other]) >= needed), place)
        root[place] = root[holder]
    numbers = np.asarray(order, dtype=np.int64)
    return numbers[root][np.argsort(numbers)]


def _word_matrices(texts: Sequence[Text], others: Sequence[Text]) -> tuple[csr_array, csr_array]:
    """Return which words (columns) each text (rows) holds, as ones, for both lists by the same columns."""
    from sklearn.feature_extraction.text import CountVectorizer

    both = csr_array(CountVectorizer(analyzer=_words, dtype=np.int32).fit_transform([*texts, *others]))
    return both[: len(texts)], both[len(texts) :]


def word_overlap(text: Text, other: Text) -> float:
    """Return the words that two texts share by all words of both (Jaccard), from 0 to 1; case does not count."""
    words, others = _words(text), _words(other)
    return len(words & others) / len(words | others)


def _words(text: Text) -> frozenset[str]:
    joined = text if isinstance(text, str) else " ".join(text)
    return frozenset(_WORD.findall(joined.lower())) or frozenset([joined])
