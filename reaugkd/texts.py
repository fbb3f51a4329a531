"""What is classified, and as what: texts, pairs of texts, and the numbers of their classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError

MAX_CHARACTERS = 100_000

Text = str | tuple[str, str]
"""What is classified: one text, or a pair of texts."""

Labels = NDArray[np.int64]
"""Numbers of classes, (N,)."""


def two_parts(text: Text) -> tuple[str, str]:
    """Return a pair as it is, and of one text the text and an empty second part."""
    return (text, "") if isinstance(text, str) else text


def in_one_line(text: Text) -> str:
    """Return a text as it is, and a pair with a bar between its parts, as it is shown to people."""
    return text if isinstance(text, str) else " | ".join(text)


def check_texts(texts: Sequence[Text]) -> None:
    """Refuse texts that are empty or enormous.

    Parameters
    ----------
    texts : sequence of Text
        Texts or pairs.

    Raises
    ------
    ReAugKDError
        If a text has no character but spaces, or more than 100,000 characters, or it is one text and no list.
    """
    if isinstance(texts, str):
        raise ReAugKDError("Give a list of texts, not a single text.")
    for position, text in enumerate(texts, start=1):
        for part in text if isinstance(text, tuple | list) else (text,):
            if not isinstance(part, str):
                raise ReAugKDError(f"Text {position} is a {type(part).__name__}, not a string; give text.")
            if not part.strip():
                raise ReAugKDError(f"Text {position} is empty; write at least a word.")
            if len(part) > MAX_CHARACTERS:
                raise ReAugKDError(
                    f"Text {position} has {len(part):,} characters, more than {MAX_CHARACTERS:,}; shorten it."
                )
