"""The text key: n-grams of a text, drawn to where the teacher puts it by a ridge; no network runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from transformers import BatchEncoding, PreTrainedTokenizerBase

from reaugkd.method.keys import TEXT, key_width
from reaugkd.method.ngrams import NGrams
from reaugkd.method.ridge import sparse_ridge
from reaugkd.networks.encoders import normalize
from reaugkd.tasks.siblings import folds_apart
from reaugkd.texts import Labels, Text

FOLDS = 5
PENALTIES = (3.0, 1.0, 0.3, 0.1)
PENALTY_ROWS = 20_000  # so many are enough to tell which penalty is best


@dataclass(frozen=True)
class TextKey:
    r"""Draws the n-grams of a text to the teacher's embedding.

    .. math:: u = [W^\top g + b; \, s], \quad \mathrm{key} = u / \|u\|

    with g the text's :class:`~reaugkd.method.ngrams.NGrams`, W and b a ridge to the first principal components of z,
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
    """

    tokenizer: PreTrainedTokenizerBase
    ngrams: NGrams
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    spread: float

    @classmethod
    def fit(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        texts: Sequence[Text],
        teacher_embeddings: NDArray[np.floating],
        labels: Labels,
        classes: int,
    ) -> tuple["TextKey", NDArray[np.float32]]:
        """Fit the ridge, and key the same texts by ridges that did not see them.

        A train row's z names its class, so a ridge that has seen it keys it by its own label, and nearest memories
        would be found by chance. The rows are cut into five folds, alike in classes and with siblings together; each
        fold is keyed by the ridge of the others. The penalty is the one of the least squared error over the folds.

        Parameters
        ----------
        tokenizer : PreTrainedTokenizerBase
            The student's.
        texts : sequence of Text
            N texts or pairs.
        teacher_embeddings : (N, d) float
            z.
        labels : (N,) int64
            Their classes, by which the folds are alike; the teacher's where there is no gold label.
        classes : int
            C.

        Returns
        -------
        tuple of TextKey and (N, w + 1) float32
            The key, and the keys of the texts, of length 1.
        """
        from sklearn.decomposition import PCA  # takes long to import: only who fits pays for it

        ngrams = NGrams.of(tokenizer, texts)
        features = ngrams.matrix(tokenizer, texts)
        width = key_width(teacher_embeddings, classes)
        targets = PCA(width, random_state=0).fit_transform(np.asarray(teacher_embeddings, dtype=np.float32))
        folds = folds_apart(texts, labels, FOLDS)
        (weight, bias), unseen = fit_apart(features, targets, folds)
        spread = float(np.sqrt((unseen**2).sum(axis=1).mean()))
        weight = weight.astype(np.float16).astype(np.float32)  # as it is saved
        return cls(tokenizer, ngrams, weight, bias, spread), _with_spread(unseen, spread)

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

    def save(self, folder: str | Path) -> None:
        """Write ``text.safetensors``; the weights lose digits that do not count (float16)."""
        parts: dict[str, NDArray[Any]] = {
            "numbers": self.ngrams.numbers,
            "rarity": self.ngrams.rarity,
            "texts": np.asarray(self.ngrams.texts),
            "weight": self.weight.astype(np.float16),
            "bias": self.bias,
            "spread": np.asarray(self.spread),
        }
        save_file(parts, Path(folder) / f"{TEXT}.safetensors")

    @classmethod
    def load(cls, folder: str | Path, tokenizer: PreTrainedTokenizerBase) -> "TextKey":
        """Read what :meth:`save` wrote; the tokenizer is the student's."""
        parts = load_file(Path(folder) / f"{TEXT}.safetensors")
        ngrams = NGrams(parts["numbers"], parts["rarity"], int(parts["texts"]))
        return cls(tokenizer, ngrams, parts["weight"].astype(np.float32), parts["bias"], float(parts["spread"]))


def _with_spread(drawn: NDArray[np.floating], spread: float) -> NDArray[np.float32]:
    return normalize(np.column_stack([drawn, np.full(len(drawn), spread, dtype=np.float32)]))


def fit_apart(
    features: csr_matrix, targets: NDArray[np.float32], folds: NDArray[np.int64]
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]:
    """Fit a ridge whose penalty is chosen over folds, and say what ridges of the other folds make of each row.

    Parameters
    ----------
    features : sparse (N, V) float32
        N-grams.
    targets : (N, w) float32
        What they are drawn to.
    folds : (N,) int64
        Number of each row's fold.

    Returns
    -------
    tuple
        W (V, w) and b (w,) of all rows, and the (N, w) predictions of each by the other folds, all float32.
    """
    penalty = _best_penalty(features, targets, folds)
    return sparse_ridge(features, targets, penalty), _unseen(features, targets, folds, penalty)


def _best_penalty(features: csr_matrix, targets: NDArray[np.float32], folds: NDArray[np.int64]) -> float:
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
    for fold in np.unique(folds):
        held_out = folds == fold
        seen = ~held_out if held_out.sum() < len(folds) else held_out  # a single family is all there is
        weight, bias = sparse_ridge(features[seen], targets[seen], penalty)
        drawn[held_out] = features[held_out] @ weight + bias
    return drawn
