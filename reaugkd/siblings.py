"""Texts that are parts of each other: rows held out of train may have siblings there that no new text would have."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.texts import Text

OVERLAP = 0.8
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


def word_overlap(text: Text, other: Text) -> float:
    """Return the words that two texts share by all words of both (Jaccard), from 0 to 1; case does not count."""
    words, others = _words(_joined(text)), _words(_joined(other))
    return len(words & others) / len(words | others)


def _joined(text: Text) -> str:
    return text if isinstance(text, str) else " ".join(text)


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower())) or frozenset([text])
