"""What is classified, and as what: texts, pairs of texts, and the numbers of their classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError

MAX_CHARACTERS = 100_000

Text = str | tuple[str, str]  # what is classified: one text, or a pair of texts
Labels = NDArray[np.int64]  # numbers of classes, (N,)


def as_text(value: Any) -> str:
    """Write a value as text: bytes are UTF-8, and a whole number that pandas made a float, such as 1.0, is 1."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ReAugKDError(f"{value[:40]!r} is not text in UTF-8; write the table's column as text.") from error
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if is_whole else str(value)


def label_text(value: Any) -> str:
    """Write a label as text, without spaces around it."""
    return as_text(value).strip()


def two_parts(text: Text) -> tuple[str, str]:
    """Return a pair as it is, and of one text the text and an empty second part."""
    return (text, "") if isinstance(text, str) else text


def in_one_line(text: Text) -> str:
    """Return a text as it is, and a pair with a bar between its parts, as it is shown to people."""
    return text if isinstance(text, str) else " | ".join(text)


def text_of_row(row: "Mapping[Any, Any] | pd.Series[Any]") -> Text:
    """Return a row's ``text``, or the pair of it and its ``text_pair``."""
    text, pair = row["text"], row.get("text_pair")
    return (text, pair) if isinstance(pair, str) else text


def row_in_one_line(row: "Mapping[Any, Any] | pd.Series[Any]") -> str:
    """Return a row's text, or both of a pair, in one line, as :func:`in_one_line` does."""
    return in_one_line(text_of_row(row))


def texts_of(rows: pd.DataFrame, is_pair: bool) -> list[Text]:
    """Return the texts or pairs of a table with the columns ``text`` and, for pairs, ``text_pair``."""
    if not is_pair:
        return list(rows["text"].fillna(""))
    return list(zip(rows["text"].fillna(""), rows["text_pair"].fillna(""), strict=True))


def with_index_as_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a plain index; named levels of the old index, such as ids, become columns."""
    named = [name for name in table.index.names if name is not None and name not in table.columns]
    return (table.reset_index(level=named) if named else table).reset_index(drop=True)


def rows_with(rows: pd.DataFrame, found: Mapping[str, Any]) -> pd.DataFrame:
    """Insert columns about N rows between their texts and labels and their further columns."""
    first = [name for name in ("id", "split", "text", "text_pair", "label") if name in rows.columns]
    columns = {name: rows[name] for name in first} | dict(found)
    return pd.DataFrame(columns | {str(name): rows[name] for name in rows.columns if name not in columns})


def check_texts(texts: Sequence[Text]) -> list[Text]:
    """Refuse texts that are empty or enormous, and anything but a list of texts.

    Parameters
    ----------
    texts : sequence of Text
        Texts or pairs; a list, a tuple, an array, or a column of a table.

    Returns
    -------
    list of Text
        The same texts; a pair is a tuple.

    Raises
    ------
    ReAugKDError
        If a text has only spaces, more than 100,000 characters, or half a character, or is neither text nor pair; or if
        ``texts`` is no list: one text, a table, or something without an order.
    """
    is_list = hasattr(texts, "__len__") and hasattr(texts, "__getitem__") and getattr(texts, "ndim", 1) == 1
    if not is_list or isinstance(texts, str | bytes | Mapping):
        kind = "a single text" if isinstance(texts, str) else f"an object of type {type(texts).__name__}"
        raise ReAugKDError(f"Give a list of texts, not {kind}; of a table name the column, and put one text in [ ].")
    for position, text in enumerate(texts, start=1):
        parts = text if isinstance(text, tuple | list) else (text,)
        if isinstance(text, tuple | list) and len(text) != 2:
            raise ReAugKDError(f"Text {position} is no text and no pair of texts; give one or the other.")
        for part in parts:
            check_text(part, f"Text {position}")
    return [text if isinstance(text, str) else (text[0], text[1]) for text in texts]


def check_text(text: str, name: str) -> None:
    """Refuse a text that is no string, is empty, has more than 100,000 characters, or holds half a character."""
    if not isinstance(text, str):
        raise ReAugKDError(f"{name} is of type {type(text).__name__}, not a string; give text.")
    if not text.strip():
        raise ReAugKDError(f"{name} is empty; write at least a word.")
    if len(text) > MAX_CHARACTERS:
        raise ReAugKDError(f"{name} has {len(text):,} characters, more than {MAX_CHARACTERS:,}; shorten it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ReAugKDError(f"{name} holds half a character, a lone surrogate; write it whole or take it out.") from None
