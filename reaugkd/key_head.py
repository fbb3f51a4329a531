"""A linear layer that brings an untuned encoder's embedding to where the teacher would put the text."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import RidgeCV

from reaugkd.encoders import normalize

PENALTIES = np.logspace(-3, 3, 13)
TEACHER_SHARE = 0.5


@dataclass(frozen=True)
class KeyHead:
    r"""Turns an untuned embedding e of length 1 into a key that knows the task.

    .. math:: u = \frac{W e + b}{\|W e + b\|}, \quad
              \mathrm{key} = [\sqrt{1 - s} \, e; \sqrt{s} \, u], \quad
              \mathrm{key} \cdot \mathrm{key}' = (1 - s) \, e \cdot e' + s \, u \cdot u'

    An untuned encoder errs elsewhere than the student, but does not know what matters for the task; the teacher's
    embeddings z, which u is drawn to, do. Half of the similarity stays untuned (s = 0.5), so that a class which the
    teacher never saw is still told from the others.

    Parameters
    ----------
    weight : (d', d) float32
        W, transposed: from the untuned encoder's width to the teacher's embedding.
    bias : (d,) float32
        b.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def keys(self, embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the keys (N, d' + d) float32, of length 1, of untuned embeddings (N, d') of length 1."""
        drawn = normalize(embeddings @ self.weight + self.bias)
        parts = [np.sqrt(1 - TEACHER_SHARE) * embeddings, np.sqrt(TEACHER_SHARE) * drawn]
        return normalize(np.concatenate(parts, axis=1))

    def save(self, path: str | Path) -> None:
        """Write a safetensors file."""
        save_file({"weight": self.weight, "bias": self.bias}, path)

    @classmethod
    def load(cls, path: str | Path) -> "KeyHead":
        """Read what :meth:`save` wrote."""
        return cls(**load_file(path))


def fit_key_head(embeddings: NDArray[np.floating], teacher_embeddings: NDArray[np.floating]) -> KeyHead:
    """Fit the layer by ridge regression, in closed form; its penalty is the best of 13 by leave-one-out.

    Parameters
    ----------
    embeddings : (N, d') float
        The untuned encoder's embeddings of the memory's texts, of length 1.
    teacher_embeddings : (N, d) float
        z_i of the same texts.

    Returns
    -------
    KeyHead
        The layer.
    """
    found = RidgeCV(alphas=PENALTIES).fit(embeddings, teacher_embeddings)
    weight, bias = np.ascontiguousarray(found.coef_.T, dtype=np.float32), np.asarray(found.intercept_, dtype=np.float32)
    return KeyHead(weight, np.atleast_1d(bias))
