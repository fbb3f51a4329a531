"""How a memory is found: a key embeds queries and memories in one space. Here the paper's own, ``aligned``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from transformers import BatchEncoding

from reaugkd.networks.encoders import normalize
from reaugkd.texts import Text

ALIGNED, TEXT, ENCODER = "aligned", "text", "encoder"
FEWEST_NUMBERS = 8


class Key(Protocol):
    """A way to find memories."""

    def embed(
        self, texts: Sequence[Text], student_embeddings: NDArray[np.floating], tokens: BatchEncoding | None = None
    ) -> NDArray[np.float32]:
        """Return what the memory is searched with, (N, w) float32 of length 1, for N texts.

        Parameters
        ----------
        texts : sequence of Text
            Texts or pairs.
        student_embeddings : (N, d) float
            Their x.
        tokens : BatchEncoding, optional
            What the student read of them, where it is at hand.
        """
        ...

    def save(self, folder: str | Path) -> None:
        """Write the key's files into a folder that is there."""
        ...


def key_width(embeddings: NDArray[np.floating], classes: int) -> int:
    """Return how many numbers a key of the teacher's embeddings needs: as many as classes, 8 at least.

    The contrastive loss draws each class to a point, so the first principal components of z hold nearly all of it.

    Parameters
    ----------
    embeddings : (N, d) float
        z.
    classes : int
        C.

    Returns
    -------
    int
        At most d, and at most N.
    """
    return min(max(FEWEST_NUMBERS, classes), *embeddings.shape)


@dataclass(frozen=True)
class AlignedKey:
    """The paper's key: the student's x searches the teacher's z, in the few dimensions in which the z lie.

    For a z of that subspace x · z is the same as in all dimensions; the search reads 8 numbers in the place of 384.

    Parameters
    ----------
    axes : (d, w) float32
        The first right singular vectors of the memory's z.
    """

    axes: NDArray[np.float32]

    @classmethod
    def fit(cls, teacher_embeddings: NDArray[np.floating], classes: int) -> "AlignedKey":
        """Find the subspace in which the memory's z lie.

        Parameters
        ----------
        teacher_embeddings : (M, d) float
            z.
        classes : int
            C.

        Returns
        -------
        AlignedKey
            Of :func:`key_width` axes.
        """
        # The eigenvectors of d x d products: a singular value decomposition of a million rows would take gigabytes.
        products = np.asarray(teacher_embeddings, dtype=np.float64).T @ teacher_embeddings
        axes = np.linalg.eigh(products)[1][:, ::-1][:, : key_width(teacher_embeddings, classes)]
        return cls(np.ascontiguousarray(axes, dtype=np.float32))

    def embed(
        self, texts: Sequence[Text], student_embeddings: NDArray[np.floating], tokens: BatchEncoding | None = None
    ) -> NDArray[np.float32]:
        """Return x, or z, on the axes, (N, w) of length 1; the texts are not read."""
        del texts, tokens
        return normalize(np.asarray(student_embeddings, dtype=np.float32) @ self.axes)

    def save(self, folder: str | Path) -> None:
        """Write ``aligned.safetensors``."""
        save_file({"axes": self.axes}, Path(folder) / f"{ALIGNED}.safetensors")

    @classmethod
    def load(cls, folder: str | Path) -> "AlignedKey":
        """Read what :meth:`save` wrote."""
        return cls(**load_file(Path(folder) / f"{ALIGNED}.safetensors"))
