"""A second, independent key into the memory: an untuned encoder, which errs elsewhere than the student does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reaugkd.data import Text
from reaugkd.encoders import TextClassifier, normalize
from reaugkd.knowledge_base import KnowledgeBase


@dataclass(frozen=True)
class SecondKey:
    """The same memories, found by the sentence embeddings of an untuned encoder.

    The student and its own key fail together: one network embeds the query and classifies it. An encoder that never
    saw the task fails on other texts; it costs a further pass over each query.

    Parameters
    ----------
    encoder : TextClassifier
        The untuned encoder; its classifier is not used.
    knowledge_base : KnowledgeBase
        The memories, keyed by its embeddings.
    """

    encoder: TextClassifier
    knowledge_base: KnowledgeBase

    @classmethod
    def of(
        cls, weights: str | Path, knowledge_base: KnowledgeBase, texts: Sequence[Text], max_length: int
    ) -> "SecondKey":
        """Embed a memory's texts by a pretrained encoder.

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

        Returns
        -------
        SecondKey
            The key.
        """
        encoder = TextClassifier.from_pretrained(weights, 1, max_length=max_length)
        embeddings = normalize(encoder.encode(texts)[0])
        return cls(encoder, replace(knowledge_base, embeddings=embeddings))

    def embed(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Return the encoder's embeddings (N, d) of length 1."""
        return normalize(self.encoder.encode(texts)[0])
