"""Which words a text shares with its neighbours, as the text key reads them."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from tokenizers import Encoding

from reaugkd.method.text_key import LONGEST, TextKey

COMMON = 0.1  # an n-gram that more than this share of the memory holds tells nothing
Spans = list[tuple[int, int]]
"""Where marked words begin and end in a text, in characters."""


def shared_words(key: TextKey, text: str, others: Sequence[str]) -> tuple[Spans, list[Spans]]:
    """Find the words that a text shares with other texts, by n-grams that are rare in the memory.

    The key does not compare words: it draws n-grams to where the teacher puts the text, and texts without a word in
    common can be near. So the words tell a part of what matched.

    Parameters
    ----------
    key : TextKey
        Its n-grams, and how rare each is in the memory.
    text : str
        The query; a pair in one line.
    others : sequence of str
        N memories, pairs in one line.

    Returns
    -------
    tuple of Spans and list of Spans
        Of the query the words that any of the others holds, and of each of the others those that the query holds. A
        word counts if all its subwords are in n-grams that both hold and that at most a tenth of the memory holds.
        Nothing where the tokenizer does not say where its tokens stand.
    """
    cut = key.tokenizer([text, *others], add_special_tokens=False, verbose=False)
    if not cut.encodings:
        return [], [[] for _ in others]
    query, *found = ([_rare_ngrams(key, one), one] for one in cut.encodings)
    spans = [_words(one, {gram: places for gram, places in grams.items() if gram in query[0]}) for grams, one in found]
    held = set().union(*(grams for grams, _ in found))
    return _words(query[1], {gram: places for gram, places in query[0].items() if gram in held}), spans


def _rare_ngrams(key: TextKey, encoding: Encoding) -> dict[int, list[range]]:
    """Return the n-grams of a text that few memories hold, as the key numbers them, and the places of each."""
    base, ids, ngrams = len(key.tokenizer) + 1, encoding.ids, key.ngrams
    least = 1 + np.log((1 + ngrams.texts) / (1 + COMMON * ngrams.texts))
    places: dict[int, list[range]] = {}
    for length in range(1, LONGEST + 1):
        for start in range(len(ids) - length + 1):
            number = reduce(lambda joined, one: joined * base + one + 1, ids[start : start + length], 0)
            places.setdefault(number, []).append(range(start, start + length))
    numbers = np.fromiter(places, dtype=np.int64)
    at = np.searchsorted(ngrams.numbers, numbers)
    is_rare = (np.append(ngrams.numbers, -1)[at] == numbers) & (np.append(ngrams.rarity, 0)[at] >= least)
    return {number: places[number] for number in numbers[is_rare].tolist()}


def _words(encoding: Encoding, ngrams: dict[int, list[range]]) -> Spans:
    """Return the words of a text of which n-grams cover each subword."""
    covered = {token for ranges in ngrams.values() for places in ranges for token in places}
    of_word: dict[int, list[int]] = {}
    for token, word in enumerate(encoding.word_ids):
        if word is not None:
            of_word.setdefault(word, []).append(token)
    return [
        (encoding.offsets[tokens[0]][0], encoding.offsets[tokens[-1]][1])
        for tokens in of_word.values()
        if covered.issuperset(tokens)
    ]
