"""A ridge over n-grams, written as the texts that it was fitted to: a tenth of the bytes of its weights, or less."""

import bz2
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from reaugkd.texts import Text

LEVELS = 127  # steps on either side of 0


@dataclass(frozen=True)
class DualRidge:
    r"""What each of N texts adds to the weights W of a ridge with penalty α.

    .. math:: W = X^\top A, \quad A = (Y - X W - 1 b^\top) / \alpha

    W has w numbers for each of some hundred n-grams of a text, A has w for the text. The n-grams and their rarity
    follow from the texts, which are packed together; A is cut to 127 steps on either side of 0, or to fewer.

    Parameters
    ----------
    texts : sequence of Text
        N texts or pairs.
    parts : (N, w) int8
        A in steps.
    step : (w,) float32
        A step of each column.
    """

    texts: Sequence[Text]
    parts: NDArray[np.int8]
    step: NDArray[np.float32]

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
        step = np.maximum(np.abs(residual).max(axis=0), 1e-12) / LEVELS
        return cls(texts, np.round(residual / step).astype(np.int8), (step / penalty).astype(np.float32))

    def coarser(self, levels: int) -> "DualRidge":
        """Return the ridge with A cut to fewer steps on either side of 0, which pack better."""
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
            "step": self.step,
        }

    @classmethod
    def unpacked(cls, arrays: dict[str, NDArray[Any]]) -> "DualRidge":
        """Return the ridge of which :meth:`packed` gave the arrays."""
        written, parts = (bz2.decompress(arrays[name].tobytes()) for name in ("packed_texts", "packed_parts"))
        texts = [tuple(text) if isinstance(text, list) else text for text in json.loads(written)]
        return cls(texts, np.frombuffer(parts, dtype=np.int8).reshape(len(texts), -1), arrays["step"])
