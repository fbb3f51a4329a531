"""The text key: n-grams of the student's subwords, drawn by a ridge to where the teacher puts the text."""

import bz2
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix, vstack
from transformers import BatchEncoding, PreTrainedTokenizerBase

from reaugkd.method.projection import key_width
from reaugkd.networks.encoders import normalize, tokenized
from reaugkd.texts import Text, fold_masks, folds_apart

if TYPE_CHECKING:
    from reaugkd.method.memory import Memory

LONGEST = 3  # subwords of an n-gram
MOST_NGRAMS = 300_000  # of more, those of the most texts are kept
WORDS_AT_A_TIME = 50_000  # texts: the subwords of a million would take gigabytes
# Of a pair: whatever either text holds, what both hold, and what one of them holds alone.
EITHER, BOTH, ONE = range(3)
STEPS = 60  # of conjugate gradients
TOLERANCE = 1e-3
FILE = "text.safetensors"
FOLDS = 5
PENALTIES = (3.0, 1.0, 0.3, 0.1)
PENALTY_ROWS = 20_000  # so many are enough to tell which penalty is best
LEVELS = 1_023  # steps on either side of 0, in which a ridge is written as texts


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
            weights = np.concatenate([counts, np.ones(len(found), np.int64)])
            numbers, places = np.unique(np.concatenate([numbers, found]), return_inverse=True)
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
        blocks = []
        for start in range(0, max(1, len(texts)), WORDS_AT_A_TIME):
            block = texts[start : start + WORDS_AT_A_TIME]
            rows, columns, values = self.entries(tokenizer, block)
            starts = np.searchsorted(rows, np.arange(len(block) + 1))
            blocks.append(csr_matrix((values, columns, starts), shape=(len(block), len(self))))
        return vstack(blocks, format="csr")


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
    first, second = (_ngrams(_subwords(tokenizer, [text[side] for text in texts], None), base) for side in (0, 1))
    once = [_counted(*side)[:2] for side in (first, second)]
    rows, numbers, texts_with_it = _counted(*map(np.concatenate, zip(*once, strict=True)))
    shared = rows, numbers + np.where(texts_with_it == 2, BOTH, ONE) * base**LONGEST
    return _counted(*map(np.concatenate, zip(first, second, shared, strict=True)))


def _subwords(tokenizer: PreTrainedTokenizerBase, texts: list[str], tokens: BatchEncoding | None) -> list[list[int]]:
    """Cut texts into subwords, or take those that a network reads between its special tokens, if it reads them all."""
    if texts and tokens is not None and tokens.encodings and not any(one.overflowing for one in tokens.encodings):
        is_special = max(tokens.encodings, key=len).special_tokens_mask
        if all(is_special):  # the tokenizer drops all that the texts hold, such as control characters
            return [[] for _ in texts]
        first, after = is_special.index(0), is_special[::-1].index(0)
        return [ids[first : len(ids) - after] for ids in tokens["input_ids"]]
    if not texts:
        return []
    nothing_else = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
    return tokenized(tokenizer, texts, add_special_tokens=False, **nothing_else)["input_ids"]


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


def sparse_ridge(
    features: csr_matrix, targets: NDArray[np.float32], penalty: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    r"""Fit a linear layer by conjugate gradients, all targets at once.

    .. math:: \min_{W, b} \| X W + 1 b^\top - Y \|^2 + \alpha \| W \|^2

    scikit-learn's Ridge takes sparse rows too, but solves one target after the other.

    Parameters
    ----------
    features : sparse (N, V) float32
        X.
    targets : (N, w) float32
        Y.
    penalty : float
        α, above 0.

    Returns
    -------
    tuple of ndarray
        W (V, w) and b (w,), float32; the normal equations hold to a thousandth of their right side.
    """
    turned = features.T.tocsr()
    mean = np.asarray(features.mean(axis=0), dtype=np.float32).ravel()
    centre = targets.mean(axis=0)

    def left(weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (Xᵀ X + α) W of centred X."""
        said = features @ weight - mean @ weight
        return turned @ said - np.outer(mean, said.sum(axis=0)) + penalty * weight

    right = turned @ (targets - centre)
    weight, residual, direction = np.zeros_like(right), right.copy(), right.copy()
    size = (residual**2).sum(axis=0)
    enough = TOLERANCE**2 * size
    for _ in range(STEPS):
        if (size <= enough).all():
            break
        moved = left(direction)
        step = size / np.maximum((direction * moved).sum(axis=0), 1e-30)
        weight += step * direction
        residual -= step * moved
        before, size = size, (residual**2).sum(axis=0)
        direction = residual + (size / np.maximum(before, 1e-30)) * direction
    return weight, centre - mean @ weight


@dataclass(frozen=True)
class DualRidge:
    r"""What each of N texts adds to the weights W of a ridge with penalty α.

    .. math:: W = X^\top A, \quad A = (Y - X W - 1 b^\top) / \alpha

    W has w numbers for each of some hundred n-grams of a text, A has w for the text. The n-grams and their rarity
    follow from the texts, which are packed together; A is cut to 1,023 steps on either side of 0, or to fewer.

    Parameters
    ----------
    texts : sequence of Text
        N texts or pairs.
    parts : (N, w) int16 or int8
        A in steps; int8 where they are 127 or fewer on either side of 0.
    step : float32
        A step, the same for all columns: an error costs as much in each. Files of before hold one a column, (w,).
    """

    texts: Sequence[Text]
    parts: NDArray[np.int16 | np.int8]
    step: NDArray[np.float32] | np.float32

    @classmethod
    def of(cls, texts: Sequence[Text], residual: NDArray[np.floating], penalty: float) -> "DualRidge":
        """Cut A to steps.

        Parameters
        ----------
        texts : sequence of Text
            N texts or pairs.
        residual : (N, w) float
            Y - X W - 1 b.
        penalty : float
            α.

        Returns
        -------
        DualRidge
            The ridge.
        """
        step = max(np.abs(residual).max(), 1e-12) / LEVELS
        return cls(texts, np.round(residual / step).astype(np.int16), np.float32(step / penalty))

    def coarser(self, levels: int) -> "DualRidge":
        """Return the ridge with A cut to at most 127 steps on either side of 0, which pack better."""
        share = levels / LEVELS
        return DualRidge(self.texts, np.round(self.parts * share).astype(np.int8), self.step / np.float32(share))

    def weight(self, features: csr_matrix) -> NDArray[np.float32]:
        """Return W (V, w) float32; the n-grams X (N, V) are those of the texts."""
        return features.T @ (self.parts * self.step)

    def packed(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a file holds."""
        written = json.dumps(list(self.texts), ensure_ascii=False, separators=(",", ":")).encode()
        packed = {"packed_texts": written, "packed_parts": self.parts.tobytes()}
        return {
            **{name: np.frombuffer(bz2.compress(content), dtype=np.uint8) for name, content in packed.items()},
            "step": np.asarray(self.step),
        }

    @classmethod
    def unpacked(cls, arrays: dict[str, NDArray[Any]], width: int) -> "DualRidge":
        """Return the ridge of which :meth:`packed` gave the arrays, with w columns."""
        written, parts = (bz2.decompress(arrays[name].tobytes()) for name in ("packed_texts", "packed_parts"))
        texts = [tuple(text) if isinstance(text, list) else text for text in json.loads(written)]
        numbers = np.frombuffer(parts, dtype=f"i{len(parts) // (len(texts) * width)}")
        return cls(texts, numbers.reshape(len(texts), -1), arrays["step"])


@dataclass(frozen=True)
class TextKey:
    r"""Draws the n-grams of a text to the teacher's embedding.

    .. math:: u = [W^\top g + b; \, s], \quad \mathrm{key} = u / \|u\|

    with g the text's :class:`~reaugkd.method.text_key.NGrams`, W and b a ridge to the first principal components of z,
    and s the root of the mean of \|W^T g + b\|^2 over texts that the ridge did not see. A text of which the n-grams say
    little is then near the middle, and all its neighbours are alike. It errs elsewhere than the student: that is its
    use.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        The student's.
    ngrams : NGrams
        What is known of texts.
    weight : (V, w) float32
        W.
    bias : (w,) float32
        b.
    spread : float
        s.
    in_texts : DualRidge or None
        The texts from which n-grams and W follow, where the file is to hold these in their place.
    """

    tokenizer: PreTrainedTokenizerBase
    ngrams: NGrams
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    spread: float
    in_texts: DualRidge | None = None

    @classmethod
    def fit(
        cls, tokenizer: PreTrainedTokenizerBase, memory: "Memory", *, in_texts: bool = False
    ) -> tuple["TextKey", NDArray[np.float32]]:
        """Fit the ridge, and key the same texts by ridges that did not see them.

        A train row's z names its class, so a ridge that has seen it keys it by its own label, and nearest memories
        would be found by chance. The rows are cut into five folds, alike in classes and with siblings together; each
        fold is keyed by the ridge of the others. The penalty is the one of the least squared error over the folds.

        Parameters
        ----------
        tokenizer : PreTrainedTokenizerBase
            The student's.
        memory : Memory
            Its N texts and their z are fitted to; the folds are alike in its labels.
        in_texts : bool
            Whether the key's file is to hold the texts in the place of the weights, which is smaller.

        Returns
        -------
        tuple of TextKey and (N, w + 1) float32
            The key, and the keys of the texts, of length 1.
        """
        from sklearn.decomposition import PCA  # takes long to import, and only a fit needs it

        texts, z = memory.texts, memory.teacher_embeddings
        ngrams = NGrams.of(tokenizer, texts)
        features = ngrams.matrix(tokenizer, texts)
        targets = PCA(key_width(z, len(memory.classes)), random_state=0).fit_transform(z)
        folds = folds_apart(texts, memory.labels, FOLDS)
        penalty = best_penalty(features, targets, folds)
        weight, bias = sparse_ridge(features, targets, penalty)
        unseen = _unseen(features, targets, folds, penalty)
        spread = float(np.sqrt((unseen**2).sum(axis=1).mean()))
        ridge = DualRidge.of(texts, targets - features @ weight - bias, penalty) if in_texts else None
        weight = weight.astype(np.float16).astype(np.float32) if ridge is None else ridge.weight(features)  # as saved
        return cls(tokenizer, ngrams, weight, bias, spread, ridge), _with_spread(unseen, spread)

    def embed(
        self,
        texts: Sequence[Text],
        student_embeddings: NDArray[np.floating] | None = None,
        tokens: BatchEncoding | None = None,
    ) -> NDArray[np.float32]:
        """Return what the memory is searched with, (N, w + 1) of length 1; x is not read."""
        del student_embeddings
        rows, columns, values = self.ngrams.entries(self.tokenizer, texts, tokens)
        drawn = np.tile(self.bias, (len(texts), 1))
        # A sparse matrix would be checked first, which takes longer than the product for one text.
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        drawn[rows[starts]] += np.add.reduceat(values[:, None] * self.weight[columns], starts)
        return _with_spread(drawn, self.spread)

    def coarser(self, levels: int) -> "TextKey":
        """Return a key that is written as texts by fewer steps, see :meth:`DualRidge.coarser`."""
        assert self.in_texts is not None
        ridge = self.in_texts.coarser(levels)
        return replace(self, weight=ridge.weight(self.ngrams.matrix(self.tokenizer, ridge.texts)), in_texts=ridge)

    def save(self, folder: str | Path) -> None:
        """Write ``text.safetensors``; the weights lose digits that do not count (float16)."""
        parts: dict[str, NDArray[Any]] = {"bias": self.bias, "spread": np.asarray(self.spread)}
        if self.in_texts is not None:
            parts |= self.in_texts.packed()
        else:
            parts |= {"numbers": self.ngrams.numbers, "rarity": self.ngrams.rarity}
            parts |= {"texts": np.asarray(self.ngrams.texts), "weight": self.weight.astype(np.float16)}
        save_file(parts, Path(folder) / FILE)

    @classmethod
    def load(cls, folder: str | Path, tokenizer: PreTrainedTokenizerBase) -> "TextKey":
        """Read what :meth:`save` wrote; the tokenizer is the student's."""
        parts = load_file(Path(folder) / FILE)
        bias, spread = parts["bias"], float(parts["spread"])
        if "weight" in parts:
            ngrams = NGrams(parts["numbers"], parts["rarity"], int(parts["texts"]))
            return cls(tokenizer, ngrams, parts["weight"].astype(np.float32), bias, spread)
        ridge = DualRidge.unpacked(parts, bias.size)
        ngrams = NGrams.of(tokenizer, ridge.texts)
        return cls(tokenizer, ngrams, ridge.weight(ngrams.matrix(tokenizer, ridge.texts)), bias, spread, ridge)


def _with_spread(drawn: NDArray[np.floating], spread: float) -> NDArray[np.float32]:
    return normalize(np.column_stack([drawn, np.full(len(drawn), spread, dtype=np.float32)]))


def best_penalty(features: csr_matrix, targets: NDArray[np.float32], folds: NDArray[np.int64]) -> float:
    """Return the penalty of the least squared error over the folds; of many rows, some are enough."""
    if features.shape[0] > PENALTY_ROWS:
        drawn = np.sort(np.random.default_rng(0).choice(features.shape[0], PENALTY_ROWS, replace=False))
        features, targets, folds = features[drawn], targets[drawn], folds[drawn]
    errors = [((_unseen(features, targets, folds, penalty) - targets) ** 2).sum() for penalty in PENALTIES]
    return PENALTIES[int(np.argmin(errors))]


def _unseen(
    features: csr_matrix, targets: NDArray[np.float32], folds: NDArray[np.int64], penalty: float
) -> NDArray[np.float32]:
    """Return what ridges that did not see it make of each row, (N, w)."""
    drawn = np.empty_like(targets)
    for seen, held_out in fold_masks(folds):
        weight, bias = sparse_ridge(features[seen], targets[seen], penalty)
        drawn[held_out] = features[held_out] @ weight + bias
    return drawn
