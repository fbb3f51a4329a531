"""Which memories are used, which do harm, which look wrong, and which are there twice: evidence, row by row."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.memory import TEACHER
from reaugkd.siblings import word_overlap
from reaugkd.texts import rows_with, texts_of

if TYPE_CHECKING:  # torch takes seconds to import, and a page that names the questions does not wait for it
    from reaugkd.evaluation_set import Answered
    from reaugkd.inference import ReAugKDClassifier
    from reaugkd.memory import Memory

NEIGHBOURS = 10
NEAR_DUPLICATE = 0.8
ALL, DUPLICATES, LEAKS = "all", "near-duplicates", "leaks of the test rows"
SHOWS = (ALL, "suspicious", "harmful", "most used", "never used", "edited", DUPLICATES, LEAKS)
"""What :func:`memories` can be asked."""
UNJUDGED = (ALL, "edited", DUPLICATES)
"""Those of them that need no answers to test rows."""
FIRST = (
    *("number", "text", "text_pair", "label"),
    *("other", "other_text", "other_text_pair", "other_label", "overlap"),
    *("teacher", "neighbours", "suspicion", "retrieved", "fixes", "breaks"),
)


def memory_use(memory: "Memory", answered: "Answered") -> pd.DataFrame:
    """Say what each memory did for the rows of an evaluation set.

    Parameters
    ----------
    memory : Memory
        M rows.
    answered : Answered
        Answers by that memory.

    Returns
    -------
    DataFrame
        M rows: ``retrieved``, how often it was among the k nearest; ``weight``, the sum of its λ · w; ``fixes``, how
        many answers that retrieval mended it voted right; ``breaks``, how many that retrieval spoiled it voted wrong;
        ``gain``, by how much it moved the probability of the gold classes from what the student alone gives them, in
        all: the sum of λ w (ȳ[gold] - ŷ[gold]), where for a class that the student does not know λ is 1 and ŷ is 0;
        what it gives to such classes it takes from the others.
    """
    numbers, gold = answered.retrieved.numbers, answered.asked.labels
    predicted = answered.predicted
    right_before, right_after = predicted["student"] == gold, predicted["answer"] == gold
    votes = memory.soft_labels.argmax(axis=1)[numbers]
    weights = answered.combined.retrieval_weights[:, None] * answered.retrieved.weights
    gains = answered.retrieved.weights * _moved(memory, answered)
    fixes = (~right_before & right_after)[:, None] & (votes == gold[:, None])
    breaks = (right_before & ~right_after)[:, None] & (votes != gold[:, None])

    def summed(values: NDArray[np.floating] | NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(numbers.ravel(), weights=values.ravel(), minlength=len(memory)).astype(np.float64)

    return pd.DataFrame(
        {
            "retrieved": np.bincount(numbers.ravel(), minlength=len(memory)),
            "weight": summed(weights),
            "fixes": summed(fixes).astype(np.int64),
            "breaks": summed(breaks).astype(np.int64),
            "gain": summed(gains),
        }
    )


def _moved(memory: "Memory", answered: "Answered") -> NDArray[np.float64]:
    """Return by how much each neighbour (N, k), if it had all the weight, would move the gold class's probability."""
    combined, gold, numbers = answered.combined, answered.asked.labels, answered.retrieved.numbers
    rows, known = np.arange(len(gold)), combined.student_probabilities.shape[1]
    unknown = combined.memory_weights.shape[1] - known
    student = np.pad(combined.student_probabilities, ((0, 0), (0, unknown)))[rows, gold][:, None]
    weight = combined.memory_weights[rows, gold][:, None]
    taken = (memory.soft_labels[numbers][:, :, known:] * combined.memory_weights[:, None, known:]).sum(axis=2)
    moved: NDArray[np.float64] = weight * (memory.soft_labels[numbers, gold[:, None]] - student)
    return moved - (1 - weight) * taken * student


def suspicious_rows(memory: "Memory", label_names: tuple[str, ...], use: pd.DataFrame) -> pd.DataFrame:
    """Rank the memories by how wrong their gold label looks, with the evidence for it.

    Parameters
    ----------
    memory : Memory
        M rows, keyed by the teacher.
    label_names : tuple of str
        The C classes.
    use : DataFrame
        As :func:`memory_use` gives it.

    Returns
    -------
    DataFrame
        M rows, the most suspicious first: ids, texts and labels; ``number`` (row of the memory), ``suspicion`` (from 0
        to 1, the mean of the three that follow), ``teacher_doubt`` (1 less the teacher's probability of the gold
        class), ``neighbour_doubt`` (share of its 10 nearest memories of another gold class), ``harm`` (1 where it broke
        more answers than it fixed), what the ``teacher`` and its ``neighbours`` say, the columns of ``use``; then the
        memory's further ones.
    """
    numbers = np.arange(len(memory))
    gold = np.asarray([label_names.index(label) for label in memory.rows["label"]], dtype=np.int64)
    nearest = _nearest_others(memory, min(NEIGHBOURS, max(1, len(memory) - 1)))
    votes = np.stack([(gold[nearest] == number).mean(axis=1) for number in range(len(label_names))], axis=1)
    names = np.asarray(label_names)
    evidence = pd.DataFrame(
        {
            "teacher_doubt": 1.0 - memory.soft_labels[numbers, gold],
            "neighbour_doubt": 1.0 - votes[numbers, gold],
            "harm": (use["breaks"] > use["fixes"]).astype(np.float64),
        }
    )
    said = {"teacher": names[memory.soft_labels.argmax(axis=1)], "neighbours": names[votes.argmax(axis=1)]}
    found = {"number": numbers, "suspicion": evidence.mean(axis=1), **evidence, **said, **use}
    table = rows_with(memory.rows.reset_index(drop=True), {str(name): column for name, column in found.items()})
    return table.sort_values(["suspicion", "number"], ascending=[False, True], ignore_index=True)


def memory_table(model: "ReAugKDClassifier", answered: "Answered") -> pd.DataFrame:
    """Return all that is known of each memory, the most suspicious first; see :func:`suspicious_rows`.

    Where an untuned encoder searches the memory, neighbours still are the teacher's: it knows what belongs together.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    answered : Answered
        Its answers to an evaluation set.

    Returns
    -------
    DataFrame
        A row a memory.
    """
    use = memory_use(model.memory, answered)
    return suspicious_rows(model.parts.memory, model.parts.settings.label_names, use)


def memories(model: "ReAugKDClassifier", answered: "Answered | None", show: str) -> pd.DataFrame:
    """List memories by a question about them, with the columns that matter first.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    answered : Answered or None
        Its answers to its test rows; those of :data:`UNJUDGED` can be listed without.
    show : str
        One of :data:`SHOWS`.

    Returns
    -------
    DataFrame
        ``number`` (row of the memory), ``text``, of pairs ``text_pair``, and ``label``. Of near-duplicates and leaks
        then ``other`` (row of the other memory, or of the test row), its texts and its label, and the ``overlap``; of
        all other questions what :func:`memory_table` knows, or what ``teacher`` and memory say where nothing is
        answered. A :class:`reaugkd.error_analysis.RowFilter` finds texts in it.

    Raises
    ------
    ReAugKDError
        If there is no such question, or test rows are needed and there are no answers.
    """
    if show not in SHOWS:
        raise ReAugKDError(f"{show!r} is nothing to show; choose one of {', '.join(SHOWS)}.")
    is_pair = model.parts.settings.is_pair
    if show == DUPLICATES:
        found = near_duplicates(model.memory, is_pair)
    elif answered is None:
        if show not in UNJUDGED:
            raise ReAugKDError(
                f"There are no answers to test rows to tell {show!r} by; choose one of {', '.join(UNJUDGED)}."
            )
        found = shown_memories(_unjudged(model), show)
    elif show == LEAKS:
        found = _turned(leaks(model.memory, answered, is_pair))
    else:
        found = shown_memories(memory_table(model, answered), show)
    first = [name for name in FIRST if name in found.columns]
    return found[first + [name for name in found.columns if name not in first]]


def _unjudged(model: "ReAugKDClassifier") -> pd.DataFrame:
    """Return what is known of each memory before anything is answered."""
    memory, names = model.parts.memory, np.asarray(model.parts.settings.label_names)
    rows = memory.rows.reset_index(drop=True)
    return rows.assign(number=np.arange(len(rows)), teacher=names[memory.soft_labels.argmax(axis=1)])


def _turned(pairs: pd.DataFrame) -> pd.DataFrame:
    """Let the two of each pair change places."""
    names = {name: f"other_{name}" for name in ("text", "text_pair", "label")} | {"number": "other"}
    return pairs.rename(columns=names | {other: name for name, other in names.items()})


def shown_memories(table: pd.DataFrame, show: str) -> pd.DataFrame:
    """Choose and order memories by a question about single ones.

    Parameters
    ----------
    table : DataFrame
        As :func:`memory_table` gives it.
    show : str
        One of :data:`SHOWS`, but for near-duplicates and leaks.

    Returns
    -------
    DataFrame
        Some of the rows.
    """
    found = table
    if show == ALL:
        found = found.sort_values("number")
    elif show == "edited":
        found = found[found["edited"] != ""] if "edited" in found.columns else found.head(0)
    elif show == "most used":
        found = found.sort_values(["weight", "retrieved"], ascending=False, kind="stable")
    elif show == "never used":
        found = found[found["retrieved"] == 0]
    elif show == "harmful":
        found = found[found["gain"] < 0].sort_values(["gain", "breaks"], kind="stable")
    return found.reset_index(drop=True)


def near_duplicates(memory: "Memory", is_pair: bool) -> pd.DataFrame:
    """Find memories that share four fifths of their words with another; either of two can be opened.

    Parameters
    ----------
    memory : Memory
        M rows; a row is compared with the 10 nearest to it.
    is_pair : bool
        Whether the rows are pairs.

    Returns
    -------
    DataFrame
        Two rows for each two, either way round: ``number`` and ``other`` (rows of the memory), ``overlap`` (shared
        words by all words of both), ``text`` and ``other_text``, of pairs ``text_pair`` and ``other_text_pair``, their
        ``label`` and ``other_label``; the most alike first.
    """
    if len(memory) < 2:
        return _pairs([], memory.rows, memory.rows, is_pair)
    nearest = _nearest_others(memory, min(NEIGHBOURS, len(memory) - 1))
    pairs = {(row, other) for row, others in enumerate(nearest.tolist()) for other in others}
    return _pairs(sorted(pairs | {pair[::-1] for pair in pairs}), memory.rows, memory.rows, is_pair)


def leaks(memory: "Memory", answered: "Answered", is_pair: bool) -> pd.DataFrame:
    """Find rows of an evaluation set that the memory holds nearly word by word: their answers prove little.

    Parameters
    ----------
    memory : Memory
        The memory.
    answered : Answered
        Answers by it; a row is compared with its k nearest memories.
    is_pair : bool
        Whether the rows are pairs.

    Returns
    -------
    DataFrame
        As :func:`near_duplicates` gives it; ``number`` is the row of the evaluation set, ``other`` that of the memory.
    """
    numbers = answered.retrieved.numbers.tolist()
    pairs = [(row, other) for row, others in enumerate(numbers) for other in others]
    return _pairs(pairs, answered.asked.rows, memory.rows, is_pair)


def _nearest_others(memory: "Memory", k: int) -> NDArray[np.int64]:
    """Return the k nearest memories (M, k) of each memory but itself."""
    _, numbers = memory.search(TEACHER, memory.teacher_embeddings, k + 1)
    own = numbers == np.arange(len(memory))[:, None]
    own[:, -1] |= ~own.any(axis=1)  # among equals a memory may not find itself: then the farthest goes
    return numbers[~own].reshape(len(memory), -1)


def _pairs(pairs: list[tuple[int, int]], rows: pd.DataFrame, others: pd.DataFrame, is_pair: bool) -> pd.DataFrame:
    """Keep the pairs that share enough words."""
    texts, other_texts = texts_of(rows, is_pair), texts_of(others, is_pair)
    found = []
    for number, other in pairs:
        overlap = word_overlap(texts[number], other_texts[other])
        if overlap >= NEAR_DUPLICATE:
            found.append((number, other, overlap))
    table = pd.DataFrame(found, columns=["number", "other", "overlap"])
    for name, source, position in (("", rows, "number"), ("other_", others, "other")):
        for column in ("text", "text_pair", "label") if is_pair else ("text", "label"):
            table[name + column] = source[column].to_numpy()[table[position].to_numpy(dtype=np.int64)]
    return table.sort_values(["overlap", "number", "other"], ascending=[False, True, True], ignore_index=True)
