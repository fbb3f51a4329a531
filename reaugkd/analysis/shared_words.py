"""Which words a text shares with its neighbours, and which of them the text key matched by."""

from collections.abc import Sequence
from functools import reduce
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from reaugkd.method.text_key import LONGEST, TextKey
from reaugkd.networks.encoders import tokenized
from reaugkd.texts import Text, in_one_line

COMMON = 0.1  # a word that more than this share of the memory holds tells nothing
LEAST = 0.02  # of the similarity, at most 1, that an n-gram of a marked word adds
Spans = list[tuple[int, int]]
"""Where marked words begin and end in a text, in characters."""


def shared_words(
    key: TextKey, text: Text, others: Sequence[str], embeddings: NDArray[np.floating]
) -> tuple[Spans, list[Spans]]:
    """Find the words that a text shares with its neighbours and that make them near.

    The key does not compare words: it draws n-grams to where the teacher puts the text, and texts without a word in
    common can be near. So the words tell a part of what matched.

    Parameters
    ----------
    key : TextKey
        Its n-grams, and how rare each is in the memory.
    text : Text
        The query.
    others : sequence of str
        N memories, pairs in one line.
    embeddings : (N, w + 1) float
        By which the key finds these memories, of length 1.

    Returns
    -------
    tuple of Spans and list of Spans
        Of the query, in one line, the words that are marked in any of the others, and of each of the others its own. A
        word counts if both hold its n-grams, at most a tenth of the memory holds them, and each adds at least 0.02 to
        the similarity of the two. Nothing where the tokenizer does not say where its tokens stand.
    """
    cut = tokenized(key.tokenizer, [in_one_line(text), *others], add_special_tokens=False, verbose=False)
    if not cut.encodings:
        return [], [[] for _ in others]
    carrying = _carrying(key, text, embeddings)
    query, *found = (_words(key, one) for one in cut.encodings)
    held = {word for word, _ in query}
    marked = [
        [(word, span) for word, span in words if word in held and carries.issuperset(word)]
        for words, carries in zip(found, carrying, strict=True)
    ]
    of_any = {word for words in marked for word, _ in words}
    return [span for word, span in query if word in of_any], [[span for _, span in words] for words in marked]


def _carrying(key: TextKey, text: Text, embeddings: NDArray[np.floating]) -> list[set[int]]:
    """Return for each memory the rare n-grams of a text that add to their similarity, as the key numbers them.

    The similarity is a sum over the text's n-grams, and of the key's bias and spread: each has its part.
    """
    _, columns, values = key.ngrams.entries(key.tokenizer, [text])
    drawn = values[:, None] * key.weight[columns]
    length = np.hypot(np.linalg.norm(drawn.sum(axis=0) + key.bias), key.spread)
    adds = embeddings[:, :-1] @ drawn.T / length >= LEAST
    least = 1 + np.log((1 + key.ngrams.texts) / (1 + COMMON * key.ngrams.texts))
    adds &= key.ngrams.rarity[columns] >= least
    return [set(key.ngrams.numbers[columns[of_memory]].tolist()) for of_memory in adds]


def _words(key: TextKey, encoding: Encoding) -> list[tuple[tuple[int, ...], tuple[int, int]]]:
    """Return the words of a text: of each its longest n-grams, as the key numbers them, and its place."""
    base, words = len(key.tokenizer) + 1, []
    for word, group in groupby(range(len(encoding.ids)), encoding.word_ids.__getitem__):
        tokens = list(group)
        length = min(len(tokens), LONGEST)
        cut = (tokens[start : start + length] for start in range(len(tokens) - length + 1))
        numbers = tuple(reduce(lambda joined, token: joined * base + encoding.ids[token] + 1, one, 0) for one in cut)
        if word is not None:
            words.append((numbers, (encoding.offsets[tokens[0]][0], encoding.offsets[tokens[-1]][1])))
    return words
