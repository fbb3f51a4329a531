"""What is classified: texts and pairs of texts; and siblings, texts that are parts of one another.

Held-out rows may have siblings in train, which new texts would not have.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError, kind_of, listed, quoted, require

if TYPE_CHECKING:  # scipy.sparse takes long to import: the page opens first
    from scipy.sparse import csr_array

MAX_CHARACTERS = 100_000
MAX_LABEL = 1_000  # characters: an array of answers has room for the longest name in each
OVERLAP = 0.8  # of a sibling's words
TRIED_HOLDERS = 100  # texts that may hold another, the longest first
COMPARED = 2**24  # pairs at a time
COPY = 0.8  # of the words of both
_WORD = re.compile(r"\w+")

Text = str | tuple[str, str]  # what is classified: one text, or a pair of texts
Labels = NDArray[np.int64]  # numbers of classes, (N,)


def as_text(value: Any) -> str:
    """Write a value as text: bytes are UTF-8, and a whole number that pandas made a float, such as 1.0, is 1."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ReAugKDError(f"{value[:40]!r} is not text in UTF-8; write the table's column as text.") from error
    if not pd.api.types.is_scalar(value):
        raise ReAugKDError(f"{quoted(value)} is {kind_of(value)}, not one value; give one value in each row.")
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    text = str(int(value)) if is_whole else str(value)
    check_whole(text, quoted(text))
    return text


def label_text(value: Any) -> str:
    """Write a label as text, without spaces around it."""
    return as_text(value).strip()


def two_parts(text: Text) -> tuple[str, str]:
    """Return a pair as it is, and of one text the text and an empty second part."""
    return (text, "") if isinstance(text, str) else text


def in_one_line(text: Text) -> str:
    """Return a text as it is, and a pair with a bar between its parts, as it is shown to people."""
    return text if isinstance(text, str) else " | ".join(text)


def words_read(text: Text, characters: Sequence[int] | None) -> int | None:
    """Count the whole words among the first characters of a text, of a pair of both parts; None where all are read."""
    if characters is None:
        return None
    words = 0
    for part, end in zip((text,) if isinstance(text, str) else text, characters, strict=True):
        is_broken = part[end - 1 : end].isalnum() and part[end : end + 1].isalnum()
        words += len(part[:end].split()) - is_broken
    return words


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


def checked_table(table: Any, called: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return a table with a plain index; refuse what is no table, and one without rows or with wrong columns."""
    require(isinstance(table, pd.DataFrame), f"The {called}", kind_of(table), "a pandas DataFrame")
    table = with_index_as_columns(table)
    for column in columns:
        if column not in table.columns:
            raise ReAugKDError(f"The {called} has no column {column!r}; it has {listed(map(quoted, table.columns))}.")
    if not table.columns.is_unique:
        twice = quoted(table.columns[table.columns.duplicated()][0])
        raise ReAugKDError(f"Two columns of the {called} are called {twice}; rename one or drop it.")
    if table.empty:
        raise ReAugKDError(f"The {called} has no rows; give it at least one.")
    return table


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
        raise ReAugKDError(f"Give a list of texts, not {kind_of(texts)}; name a table's column, put one text in [ ].")
    for position, text in enumerate(texts, start=1):
        if isinstance(text, tuple | list) and len(text) != 2:
            raise ReAugKDError(f"Text {position} is no text and no pair of texts; give one or the other.")
        for part in text if isinstance(text, tuple | list) else (text,):
            check_text(part, f"Text {position}")
    return [text if isinstance(text, str) else (text[0], text[1]) for text in texts]


def check_text(text: str, name: str) -> None:
    """Refuse a text that is no string, is empty, has more than 100,000 characters, or holds half a character."""
    if not isinstance(text, str):
        raise ReAugKDError(f"{name} is {kind_of(text)}, not a text; write it as text.")
    if not text.strip():
        raise ReAugKDError(f"{name} is empty; write at least a word.")
    if len(text) > MAX_CHARACTERS:
        raise ReAugKDError(f"{name} has {len(text):,} characters, more than {MAX_CHARACTERS:,}; shorten it.")
    check_whole(text, name)


def check_whole(text: str, name: str) -> None:
    """Refuse a text that holds half a character, which no file can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ReAugKDError(f"{name} holds half a character, a lone surrogate; write it whole or take it out.") from None


def check_label(label: str) -> None:
    """Refuse a label that is a text rather than the name of a class."""
    if len(label) > MAX_LABEL:
        raise ReAugKDError(
            f"The label {quoted(label)} has {len(label):,} characters, more than {MAX_LABEL:,}; name a shorter class, "
            "or another column."
        )


def are_siblings(texts: Sequence[Text], rows: pd.DataFrame, numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Find neighbours that hold four fifths of the query's words, or the reverse.

    A corpus may be cut from fewer sources than it has rows: SST-2's train rows are phrases of one another's
    sentences. A memory finds such siblings for rows that were held out of train and looks better than it is, so they
    are left out where something is chosen.

    Parameters
    ----------
    texts : sequence of Text
        N queries, texts or pairs.
    rows : DataFrame
        The memories: ``text`` and, for pairs, ``text_pair``.
    numbers : (N, k) int64
        Each query's neighbours, as row numbers.

    Returns
    -------
    (N, k) bool
        True for a sibling: of the smaller set of words, at least 0.8 are in the other.
    """
    used, places = np.unique(numbers, return_inverse=True)
    these, those = _word_matrices(texts, texts_of(rows.take(used), "text_pair" in rows.columns))
    shared = [these.multiply(those[neighbours]).sum(axis=1) for neighbours in places.T]
    smaller = np.minimum(np.diff(these.indptr)[:, None], np.diff(those.indptr)[places])
    return np.column_stack(shared) >= OVERLAP * smaller


def have_siblings(texts: Sequence[Text], others: Sequence[Text]) -> NDArray[np.bool_]:
    """Find texts that are siblings of any of some others, as :func:`are_siblings` does: (N,)."""
    found = np.zeros(len(texts), dtype=bool)
    for _, numbers, shared, other_words, words in _sharing(*_word_matrices(others, texts)):
        found[numbers[shared >= OVERLAP * np.minimum(other_words, words)]] = True
    return found


def copies_of(texts: Sequence[Text]) -> NDArray[np.int64]:
    """Find near-copies: texts that share four fifths of the words of both, each counted once.

    Parameters
    ----------
    texts : sequence of Text
        N texts or pairs.

    Returns
    -------
    (N,) int64
        The number of the first text that each is a near-copy of, or a near-copy of one; its own where there is none.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    (matrix, _), pairs = _word_matrices(texts, []), []
    for rows, others, shared, words, other_words in _sharing(matrix, matrix):
        is_near = shared >= COPY * (words + other_words - shared)
        pairs.append(np.stack([rows[is_near], others[is_near]]))
    near = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(near.shape[1]), tuple(near)), shape=(len(texts), len(texts)))
    _, families = connected_components(graph, directed=False)
    _, first = np.unique(families, return_index=True)
    return first[families].astype(np.int64)


def folds_apart(texts: Sequence[Text], labels: Labels, folds: int) -> NDArray[np.int64]:
    """Cut rows into folds that are alike in classes and keep siblings together.

    Each text goes with the longest that holds four fifths of its words, and that with one that holds it: the phrases of
    a sentence stay with it. Where a text is a part of several, the others are not its siblings here, since by short
    phrases all texts of a corpus would become one family.

    Parameters
    ----------
    texts : sequence of Text
        N texts or pairs.
    labels : (N,) int64
        Their classes; of a family that of its longest text counts.
    folds : int
        How many at most; no more than there are families.

    Returns
    -------
    (N,) int64
        Number of each row's fold, from 0.
    """
    from sklearn.model_selection import KFold, StratifiedKFold  # slow to import, and needed to fit only

    families, members = np.unique(_longest_holders(texts), return_inverse=True)
    folds = min(folds, len(families))
    if folds < 2:
        return np.zeros(len(texts), dtype=np.int64)
    alike = np.bincount(labels[families]).max() >= folds
    splitter = (StratifiedKFold if alike else KFold)(folds, shuffle=True, random_state=0)
    fold_of_family = np.zeros(len(families), dtype=np.int64)
    places, classes = np.zeros(len(families)), labels[families]
    if alike:  # a class of fewer families than folds is in some of them alone, and scikit-learn warns of it
        rare = np.bincount(classes)[classes] < folds
        classes = np.where(rare, -1, classes)
        if 0 < rare.sum() < folds:
            classes = np.where(rare, np.bincount(classes[~rare]).argmax(), classes)
    for number, (_, held_out) in enumerate(splitter.split(places, classes)):
        fold_of_family[held_out] = number
    return fold_of_family[members]


def fold_masks(folds: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield for each fold (N,) the rows of the others, to fit to, and its own; a fold that is alone is fitted to."""
    for fold in np.unique(folds):
        held_out = folds == fold
        yield held_out if held_out.all() else ~held_out, held_out


def _longest_holders(texts: Sequence[Text]) -> NDArray[np.int64]:
    """Return for each text the number of the longest that holds it, by way of those that hold one another."""
    order = sorted(range(len(texts)), key=lambda number: -len(_words(texts[number])))
    words = [_words(texts[number]) for number in order]
    holders: dict[str, list[int]] = defaultdict(list)
    for place, own in enumerate(words):
        for word in own:
            holders[word].append(place)
    root = list(range(len(words)))
    for place, own in enumerate(words):  # the longest first, so that its holder's own root is known
        needed = ceil(OVERLAP * len(own) - 1e-9)
        # A text that holds so many of the words holds at least one of these, the rarest.
        rarest = sorted(own, key=lambda word: (len(holders[word]), word))[: len(own) - needed + 1]
        tried = {other for word in rarest for other in holders[word][:TRIED_HOLDERS] if other < place}
        holder = next((other for other in sorted(tried) if len(own & words[other]) >= needed), place)
        root[place] = root[holder]
    numbers = np.asarray(order, dtype=np.int64)
    return numbers[root][np.argsort(numbers)]


def _sharing(these: "csr_array", those: "csr_array") -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Yield of pairs that share a word, some at a time, both numbers, the words shared, and the words of each."""
    words, other_words = np.diff(these.indptr), np.diff(those.indptr)
    step = max(1, COMPARED // max(1, those.shape[0]))
    for start in range(0, these.shape[0], step):
        shared = (these[start : start + step] @ those.T).tocoo()
        rows = start + shared.row
        yield rows, shared.col, shared.data, words[rows], other_words[shared.col]


def _word_matrices(texts: Sequence[Text], others: Sequence[Text]) -> "tuple[csr_array, csr_array]":
    """Return which words (columns) each text (rows) holds, as ones, for both lists by the same columns."""
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import CountVectorizer

    both = csr_array(CountVectorizer(analyzer=_words, dtype=np.int32).fit_transform([*texts, *others]))
    return both[: len(texts)], both[len(texts) :]


def word_overlap(text: Text, other: Text) -> float:
    """Return the words that two texts share by all words of both (Jaccard), from 0 to 1; case does not count."""
    words, others = _words(text), _words(other)
    return len(words & others) / len(words | others)


def _words(text: Text) -> frozenset[str]:
    joined = text if isinstance(text, str) else " ".join(text)
    return frozenset(_WORD.findall(joined.lower())) or frozenset([joined])
