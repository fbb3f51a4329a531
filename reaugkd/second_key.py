"""A second, independent key into the same memory: an untuned encoder, which errs elsewhere than the student does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reaugkd.encoders import TextClassifier
from reaugkd.key_head import KeyHead, fit_key_head
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.texts import Text


def half_of(layers: int) -> int:
    """Return how many of an encoder's layers the second key reads where the teacher is made of the same encoder.

    With all of them it would cost as much as asking the teacher. With half, student and second key together cost less,
    as long as the student is not deeper than the other half.

    Parameters
    ----------
    layers : int
        How many the encoder has.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, layers // 2)


@dataclass(frozen=True)
class SecondKey:
    """The same memories, found by what the layers of an untuned encoder make of a text.

    The student and its own key fail together: one network embeds the query and classifies it. An encoder that never
    saw the task fails on other texts; it costs a further pass over each query.

    Parameters
    ----------
    encoder : TextClassifier
        The untuned encoder; its classifier is not used.
    head : KeyHead
        Draws it to the teacher's embeddings.
    knowledge_base : KnowledgeBase
        The memories, keyed by both.
    """

    encoder: TextClassifier
    head: KeyHead
    knowledge_base: KnowledgeBase

    @classmethod
    def of(
        cls,
        weights: str | Path,
        knowledge_base: KnowledgeBase,
        texts: Sequence[Text],
        max_length: int,
        taught: NDArray[np.bool_] | None = None,
        layers: int | None = None,
    ) -> "SecondKey":
        """Embed a memory's texts by a pretrained encoder, and fit the head to the memory's keys.

        Parameters
        ----------
        weights : str or Path
            Folder of the encoder.
        knowledge_base : KnowledgeBase
            The memory.
        texts : sequence of Text
            Its N texts or pairs.
        max_length : int
            Tokens after which a text is cut.
        taught : (N,) bool, optional
            Which keys of the memory are the teacher's z; all if left out.
        layers : int, optional
            Keep only the encoder's first so many layers.

        Returns
        -------
        SecondKey
            The key.
        """
        encoder = TextClassifier.from_pretrained(weights, 1, layers=layers, max_length=max_length)
        pooled = encoder.encode_layers(texts)
        rows = slice(None) if taught is None else taught  # a slice copies nothing
        head = fit_key_head(pooled[rows], knowledge_base.embeddings[rows])
        return cls(encoder, head, replace(knowledge_base, embeddings=head.keys(pooled)))

    def embed(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Return what the memory is searched with, (N, d' + d) of length 1."""
        return self.head.keys(self.encoder.encode_layers(texts))
