"""What the text key reads of a text: n-grams of the student's own subwords, as numbers, weighted by TF-IDF."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from transformers import BatchEncoding, PreTrainedTokenizerBase

from reaugkd.texts import Text

LONGEST = 3  # subwords of an n-gram
MOST_NGRAMS = 300_000  # of more, those of the most texts are kept
WORDS_AT_A_TIME = 50_000  # texts: the subwords of a million would take gigabytes
# Of a pair: whatever either text holds, what both hold, and what one of them holds alone.
EITHER, BOTH, ONE = range(3)


@dataclass(frozen=True)
class NGrams:
    r"""The n-grams of some texts, and how rare each is.

    An n-gram of one to three subwords is a number in the base of the tokenizer's vocabulary, so that no text has to be
    kept and languages without spaces are read too. A text becomes a sparse row:

    .. math:: \frac{(1 + \log n_g) \, \mathrm{idf}_g}{\| \cdot \|}, \quad
              \mathrm{idf}_g = 1 + \log \frac{1 + N}{1 + N_g},

    with n_g the times that the text holds g, and N_g of N texts that hold it. The length is that of all its n-grams,
    with N_g = 0 for those that are not known: a text of which little is known is short, and not sure of the rest.

    Parameters
    ----------
    numbers : (V,) int64
        The n-grams, in ascending order.
    rarity : (V,) float32
        idf of each.
    texts : int
        N.
    """

    numbers: NDArray[np.int64]
    rarity: NDArray[np.float32]
    texts: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text]) -> "NGrams":
        """Gather the n-grams of texts; of more than 300,000 those that the most texts hold.

        Parameters
        ----------
        tokenizer : PreTrainedTokenizerBase
            The student's.
        texts : sequence of Text
            N texts or pairs.

        Returns
        -------
        NGrams
            With their rarity.
        """
        numbers, counts = np.empty(0, np.int64), np.empty(0, np.int64)
        for start in range(0, len(texts), WORDS_AT_A_TIME):
            _, found, _ = ngram_counts(tokenizer, texts[start : start + WORDS_AT_A_TIME])
            merged = np.concatenate([numbers, found])
            weights = np.concatenate([counts, np.ones(len(found), np.int64)])
            numbers, places = np.unique(merged, return_inverse=True)
            counts = np.bincount(places, weights=weights).astype(np.int64)
        if len(numbers) > MOST_NGRAMS:
            kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_NGRAMS])
            numbers, counts = numbers[kept], counts[kept]
        rarity = 1 + np.log((1 + len(texts)) / (1 + counts))
        return cls(numbers, rarity.astype(np.float32), len(texts))

    def __len__(self) -> int:
        return len(self.numbers)

    def entries(
        self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], tokens: BatchEncoding | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Return what is not 0 of :meth:`matrix`: rows (T,) in ascending order, columns (T,) and values (T,)."""
        rows, numbers, counts = ngram_counts(tokenizer, texts, tokens)
        places = np.searchsorted(self.numbers, numbers)
        is_known = np.append(self.numbers, -1)[places] == numbers
        rarity = np.append(self.rarity, np.float32(1 + np.log(1 + self.texts)))[np.where(is_known, places, len(self))]
        values = (1 + np.log(counts)) * rarity
        lengths = np.sqrt(np.bincount(rows, weights=values**2, minlength=len(texts)))
        return rows[is_known], places[is_known], (values / lengths[rows])[is_known].astype(np.float32)

    def matrix(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text]) -> csr_matrix:
        """Return TF-IDF of texts as a sparse matrix (N, V) float32, rows of length 1 or shorter."""
        rows, columns, values = self.entries(tokenizer, texts)
        starts = np.searchsorted(rows, np.arange(len(texts) + 1))
        return csr_matrix((values, columns, starts), shape=(len(texts), len(self)))


def ngram_counts(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], tokens: BatchEncoding | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count the n-grams of texts.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        Cuts texts into subwords; no text is shortened, and no special token counts.
    texts : sequence of Text
        N texts or pairs.
    tokens : BatchEncoding, optional
        The same texts as a network reads them, by the same tokenizer; they need not be cut twice then.

    Returns
    -------
    tuple of (T,) int64
        Rows in ascending order, the n-grams that each holds as numbers in ascending order, and how often it does.
        Of a pair there are also those that both texts hold, and those that one holds alone, under numbers of their own.
    """
    texts = list(texts)
    base = len(tokenizer) + 1
    if not texts or isinstance(texts[0], str):
        return _counted(*_ngrams(_subwords(tokenizer, [str(text) for text in texts], tokens), base))
    first, second = (_ngrams(_subwords(tokenizer, [text[side] for text in texts]), base) for side in (0, 1))
    both, one = _shared(_counted(*first), _counted(*second))
    kinds = [first, second, (both[0], both[1] + BOTH * base**LONGEST), (one[0], one[1] + ONE * base**LONGEST)]
    return _counted(np.concatenate([rows for rows, _ in kinds]), np.concatenate([numbers for _, numbers in kinds]))


def _subwords(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], tokens: BatchEncoding | None = None
) -> list[list[int]]:
    """Cut texts into subwords, or take those that a network reads between its special tokens, if it reads them all."""
    if texts and tokens is not None and tokens.encodings and not any(one.overflowing for one in tokens.encodings):
        is_special = tokens.encodings[0].special_tokens_mask
        first, after = is_special.index(0), is_special[::-1].index(0)
        return [ids[first : len(ids) - after] for ids in tokens["input_ids"]]
    if not texts:
        return []
    cut: list[list[int]] = tokenizer(
        texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False, verbose=False
    )["input_ids"]
    return cut


def _ngrams(subwords_of_texts: list[list[int]], base: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows (T,) and the numbers (T,) of all n-grams, in no order that counts."""
    subwords = np.fromiter(chain.from_iterable(subwords_of_texts), dtype=np.int64) + 1
    rows = np.repeat(np.arange(len(subwords_of_texts)), [len(text) for text in subwords_of_texts])
    found, owners, joined = [subwords], [rows], subwords
    for longer in range(1, LONGEST):
        joined = joined[:-1] * base + subwords[longer:]
        within = rows[:-longer] == rows[longer:]
        found.append(joined[within])
        owners.append(rows[:-longer][within])
    return np.concatenate(owners), np.concatenate(found)


def _counted(
    rows: NDArray[np.int64], numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return each row's n-grams once, with their counts."""
    order = np.lexsort((numbers, rows))
    rows, numbers = rows[order], numbers[order]
    is_first = np.ones(len(rows), dtype=bool)
    is_first[1:] = (rows[1:] != rows[:-1]) | (numbers[1:] != numbers[:-1])
    starts = np.flatnonzero(is_first)
    return rows[starts], numbers[starts], np.diff(np.append(starts, len(rows)))


def _shared(
    first: tuple[NDArray[np.int64], ...], second: tuple[NDArray[np.int64], ...]
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return rows and n-grams that both texts of a pair hold, and those that one of them holds alone."""
    rows, numbers, times = _counted(*(np.concatenate(parts) for parts in zip(first[:2], second[:2], strict=True)))
    both = times == 2
    return (rows[both], numbers[both]), (rows[~both], numbers[~both])
