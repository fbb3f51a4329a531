"""The encoder key: an untuned encoder, which errs elsewhere than the student, and costs a pass over each text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from transformers import BatchEncoding

from reaugkd.networks.encoders import TextClassifier, normalize
from reaugkd.texts import Labels, Text, fold_masks, folds_apart

if TYPE_CHECKING:  # a second to import: who only searches with a key does not wait for it
    from sklearn.pipeline import Pipeline

FOLDS = 5
PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)
TEACHER_SHARE = 0.5
MOST_ROWS = 50_000  # by 7 layers of width 384 they are 0.5 GB, of which the fit holds five copies
FOLDER, HEAD_FILE = "encoder", "encoder_key.safetensors"


@dataclass(frozen=True)
class EncoderKey:
    r"""Turns what the layers of an untuned encoder make of a text into a key that knows the task.

    .. math:: u = \frac{W [e_0; \dots; e_L] + b}{\|W [e_0; \dots; e_L] + b\|}, \quad e = \frac{e_L}{\|e_L\|}, \quad
              \mathrm{key} = [\sqrt{1 - s} \, e; \sqrt{s} \, u], \quad
              \mathrm{key} \cdot \mathrm{key}' = (1 - s) \, e \cdot e' + s \, u \cdot u'

    Its last layer was taught to tell topics apart; tone and grammar are in the layers before. The ridge W, b draws them
    to the teacher's z. Half of the similarity stays untuned (s = 0.5), so that a class which the teacher never saw is
    still told from the others.

    Parameters
    ----------
    encoder : TextClassifier or None
        The untuned encoder; its classifier is not used. None where all texts are encoded already.
    weight : ((L + 1) d', d) float32
        W, transposed: from all layers, each of the encoder's width, to the teacher's embedding.
    bias : (d,) float32
        b.
    """

    encoder: TextClassifier | None
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        encoder: TextClassifier | None,
        pooled: NDArray[np.floating],
        texts: Sequence[Text],
        teacher_embeddings: NDArray[np.floating],
        labels: Labels,
    ) -> tuple["EncoderKey", NDArray[np.float32]]:
        """Draw what the layers of an encoder make of texts to z, by a ridge in closed form.

        Parameters
        ----------
        encoder : TextClassifier or None
            The untuned encoder, which embeds and saves.
        pooled : (N, L + 1, d') float
            What its layers make of the texts.
        texts : sequence of Text
            N texts or pairs.
        teacher_embeddings : (N, d) float
            z.
        labels : (N,) int64
            Their classes, by which folds are alike.

        Returns
        -------
        tuple of EncoderKey and (N, d' + d) float32
            The key, and the keys of the texts, each by a ridge that did not see it or its siblings.
        """
        folds = folds_apart(texts, labels, FOLDS)
        penalty = _best_penalty(pooled, teacher_embeddings, folds)
        keys = np.empty((len(pooled), pooled.shape[2] + teacher_embeddings.shape[1]), dtype=np.float32)
        for seen, held_out in fold_masks(folds):
            weight, bias = _ridge(pooled[seen], teacher_embeddings[seen], penalty)
            keys[held_out] = cls(encoder, weight, bias).keys(pooled[held_out])
        return cls(encoder, *_ridge(pooled, teacher_embeddings, penalty)), keys

    def embed(
        self,
        texts: Sequence[Text],
        student_embeddings: NDArray[np.floating] | None = None,
        tokens: BatchEncoding | None = None,
    ) -> NDArray[np.float32]:
        """Return what the memory is searched with, (N, d' + d) of length 1; x is not read."""
        del student_embeddings, tokens
        assert self.encoder is not None
        return self.keys(self.encoder.encode_layers(texts))

    def keys(self, pooled: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the keys (N, d' + d) float32, of length 1, of texts.

        Parameters
        ----------
        pooled : (N, L + 1, d') float
            As :meth:`reaugkd.networks.encoders.TextClassifier.encode_layers` gives them.
        """
        # By torch: the threads of NumPy's product would spin on, and keep those of the next text's encoder waiting.
        features = torch.from_numpy(np.asarray(pooled, dtype=np.float32)).flatten(1)
        drawn = normalize(torch.addmm(torch.from_numpy(self.bias), features, torch.from_numpy(self.weight)).numpy())
        parts = [np.sqrt(1 - TEACHER_SHARE) * normalize(pooled[:, -1]), np.sqrt(TEACHER_SHARE) * drawn]
        return normalize(np.concatenate(parts, axis=1))

    def save(self, folder: str | Path) -> None:
        """Write the encoder into ``encoder``, and ``encoder_key.safetensors`` beside its files."""
        assert self.encoder is not None
        self.encoder.save(Path(folder) / FOLDER)
        save_file({"weight": self.weight, "bias": self.bias}, Path(folder) / FOLDER / HEAD_FILE)

    @classmethod
    def load(cls, folder: str | Path, *, max_length: int = 128) -> "EncoderKey":
        """Read what :meth:`save` wrote."""
        encoder = TextClassifier.load(Path(folder) / FOLDER, max_length=max_length)
        return cls(encoder, **load_file(Path(folder) / FOLDER / HEAD_FILE))


def _pipeline(penalty: float) -> "Pipeline":
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), Ridge(alpha=penalty, solver="cholesky"))


def _some(rows: int) -> NDArray[np.int64]:
    """Return the numbers of the rows that a ridge is fitted to: of many, some are enough."""
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))


def _best_penalty(
    pooled: NDArray[np.floating], teacher_embeddings: NDArray[np.floating], folds: NDArray[np.int64]
) -> float:
    """Return the penalty of the least squared error over one of the folds."""
    kept = _some(len(pooled))
    features = pooled[kept].reshape(len(kept), -1).astype(np.float32)
    targets, held_out = np.asarray(teacher_embeddings, dtype=np.float32)[kept], folds[kept] == 0
    if held_out.all():
        return PENALTIES[-1]

    def error(penalty: float) -> float:
        ridge = _pipeline(penalty).fit(features[~held_out], targets[~held_out])
        return float(((ridge.predict(features[held_out]) - targets[held_out]) ** 2).sum())

    return min(PENALTIES, key=error)


def _ridge(
    pooled: NDArray[np.floating], teacher_embeddings: NDArray[np.floating], penalty: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    r"""Fit W and b in closed form.

    What all z have in common, their mean m, would drown what the layer makes of a text where that is little, as on a
    hard task, and all u would look alike. So m counts as much as what is added to it:

    .. math:: b = b' - m + r \, m, \quad r^2 = \operatorname{mean}_i \| W e_i + b' - m \|^2,

    with e_i the layers of text i and b' the intercept of the ridge.
    """
    kept = _some(len(pooled))
    features = pooled[kept].reshape(len(kept), -1).astype(np.float32)
    targets = np.asarray(teacher_embeddings, dtype=np.float32)[kept]
    scaler, ridge = _pipeline(penalty).fit(features, targets)
    weight = (ridge.coef_ / scaler.scale_).T
    common = targets.mean(axis=0)
    bias = ridge.intercept_ - scaler.mean_ @ weight - common
    spread = np.sqrt(((features @ weight + bias) ** 2).sum(axis=1).mean())
    return np.ascontiguousarray(weight, dtype=np.float32), (bias + spread * common).astype(np.float32)
