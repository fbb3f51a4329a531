"""Which memories are used, which do harm, which look wrong, and which are there twice: evidence, row by row."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.error_analysis import RowFilter
from reaugkd.evaluation_set import Answered, rows_with, texts_of
from reaugkd.inference import ReAugKDClassifier
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.siblings import word_overlap

NEIGHBOURS = 10
NEAR_DUPLICATE = 0.8
QUESTIONS = {
    "suspicious": "Which labels look wrong?",
    "harmful": "Which do harm?",
    "most used": "Which are used most?",
    "never used": "Which are never used?",
    "edited": "Which were edited?",
}
"""What :func:`shown_memories` can be asked."""


def memory_use(memory: KnowledgeBase, answered: Answered) -> pd.DataFrame:
    """Say what each memory did for the rows of an evaluation set.

    Parameters
    ----------
    memory : KnowledgeBase
        M rows.
    answered : Answered
        Answers by that memory.

    Returns
    -------
    DataFrame
        M rows: ``retrieved``, how often it was among the k nearest; ``weight``, the sum of its λ · w; ``fixes``, how
        many answers that retrieval mended it voted right; ``breaks``, how many that retrieval spoiled it voted wrong;
        ``gain``, by how much it moved the probability of the gold classes, in all: the sum of λ w (ȳ[gold] - ŷ[gold]).
    """
    numbers, gold = answered.retrieved.numbers, answered.asked.labels
    rows = np.arange(len(gold))
    predicted = answered.predicted
    right_before, right_after = predicted["student"] == gold, predicted["answer"] == gold
    votes = memory.soft_labels.argmax(axis=1)[numbers]
    weights = answered.combined.retrieval_weights[:, None] * answered.retrieved.weights
    student = answered.combined.student_vote[rows, gold]
    gains = weights * (memory.soft_labels[numbers, gold[:, None]] - student[:, None])
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


def suspicious_rows(memory: KnowledgeBase, label_names: tuple[str, ...], use: pd.DataFrame) -> pd.DataFrame:
    """Rank the memories by how wrong their gold label looks, with the evidence for it.

    Parameters
    ----------
    memory : KnowledgeBase
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


def memory_table(model: ReAugKDClassifier, answered: Answered) -> pd.DataFrame:
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
    return suspicious_rows(model.parts.knowledge_base, model.parts.settings.label_names, use)


def shown_memories(table: pd.DataFrame, show: str, text: str = "") -> pd.DataFrame:
    """Choose and order memories by a question about them.

    Parameters
    ----------
    table : DataFrame
        As :func:`memory_table` gives it.
    show : str
        A key of :data:`QUESTIONS`.
    text : str
        What the text of a memory holds, in upper or lower case.

    Returns
    -------
    DataFrame
        Some of the rows.
    """
    found = RowFilter(text=text).of(table)
    if show == "edited":
        found = found[found["edited"] != ""] if "edited" in found.columns else found.head(0)
    elif show == "most used":
        found = found.sort_values(["weight", "retrieved"], ascending=False, kind="stable")
    elif show == "never used":
        found = found[found["retrieved"] == 0]
    elif show == "harmful":
        found = found[found["gain"] < 0].sort_values(["gain", "breaks"], kind="stable")
    return found.reset_index(drop=True)


def near_duplicates(memory: KnowledgeBase, is_pair: bool) -> pd.DataFrame:
    """Find memories that share four fifths of their words with another.

    Parameters
    ----------
    memory : KnowledgeBase
        M rows; a row is compared with the 10 nearest to it.
    is_pair : bool
        Whether the rows are pairs.

    Returns
    -------
    DataFrame
        A row for each two: ``number`` and ``other`` (rows of the memory, the lower first), ``overlap`` (shared words by
        all words of both), ``text`` and ``other_text``, their ``label`` and ``other_label``; the most alike first.
    """
    if len(memory) < 2:
        return _pairs([], memory.rows, memory.rows, is_pair)
    nearest = _nearest_others(memory, min(NEIGHBOURS, len(memory) - 1))
    pairs = {(min(row, other), max(row, other)) for row, others in enumerate(nearest.tolist()) for other in others}
    return _pairs(sorted(pairs), memory.rows, memory.rows, is_pair)


def leaks(memory: KnowledgeBase, answered: Answered, is_pair: bool) -> pd.DataFrame:
    """Find rows of an evaluation set that the memory holds nearly word by word: their answers prove little.

    Parameters
    ----------
    memory : KnowledgeBase
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


def _nearest_others(memory: KnowledgeBase, k: int) -> NDArray[np.int64]:
    """Return the k nearest memories (M, k) of each memory but itself."""
    _, numbers = memory.search(memory.embeddings, k + 1)
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
        for column in ("text", "label"):
            table[name + column] = source[column].to_numpy()[table[position].to_numpy(dtype=np.int64)]
    return table.sort_values(["overlap", "number", "other"], ascending=[False, True, True], ignore_index=True)
