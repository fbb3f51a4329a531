"""Evidence about each memory: how it is used, whether it does harm, looks wrong, or stands there twice."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logsumexp

from reaugkd.analysis.memory_questions import ALL, DUPLICATES, LEAKS, SHOWS, SUSPICIOUS, UNJUDGED
from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import clipped_log
from reaugkd.method.answers import effects
from reaugkd.method.keys import TEXT
from reaugkd.method.memory import LABELLED_BY, TEACHER
from reaugkd.method.pool import GATHERED, SMOOTHING
from reaugkd.texts import rows_with, texts_of, word_overlap

if TYPE_CHECKING:
    from reaugkd.method.answers import Answers
    from reaugkd.method.memory import Memory
    from reaugkd.model.classifier import ReAugKDClassifier

NEIGHBOURS = 10
NEAR_DUPLICATE = 0.8
FIRST = (
    *("number", "text", "text_pair", "label", LABELLED_BY),
    *("other", "other_text", "other_text_pair", "other_label", "overlap"),
    *("teacher", "neighbours", "suspicion", "retrieved", "fixes", "breaks"),
)


def memory_use(answers: "Answers") -> pd.DataFrame:
    r"""Measure what each memory did for rows with gold labels.

    ``gain`` is, in nats, by how much the log-probability of the gold classes would fall if a key did not find the
    memory and no other took its place. With r^{-i} that key's average over its other neighbours, and p among the
    classes that the student knows,

    .. math:: \Delta_c = b \, (\log \tilde r_c - \log \tilde r^{-i}_c), \quad
              \mathrm{gain} = \Delta_\mathrm{gold} + \log \sum_c p_c \exp(-\Delta_c).

    Parameters
    ----------
    answers : Answers
        Answers to N rows, by every key of the pool.

    Returns
    -------
    DataFrame
        M rows: ``retrieved``, for how many rows it was among the k nearest by a key with a weight, or by any where
        none has one; ``weight``, the sum over rows and keys of its w times the key's share of all weights, b / (a +
        Σb); ``fixes``, how many of the answers that retrieval fixed it voted right; ``breaks``, how many of those that
        it broke it voted wrong; ``gain``, the sum over rows and keys. A row whose gold class the student does not know
        adds nothing to the gain: of such classes the nearest memories decide, not the pool.
    """
    memory, pool, gold = answers.memory, answers.pool, answers.labels
    names = pool.searched(answers.encoded.known, len(memory.classes)) or list(pool.keys)
    student_weight, weights = pool.weights
    total = student_weight + sum(weights.values())
    weight, gain = np.zeros(len(memory)), np.zeros(len(memory))
    for name in names:
        found = answers.retrieved[name]
        np.add.at(weight, found.numbers, found.weights * weights[name] / total)
        np.add.at(gain, found.numbers, _gains(answers, name))
    numbers = np.sort(np.concatenate([answers.retrieved[name].numbers for name in names], axis=1), axis=1)
    rows, places = np.nonzero(np.diff(numbers, axis=1, prepend=-1))  # what two keys find of a row counts once
    found_numbers = numbers[rows, places]
    predicted = answers.predicted
    effect = effects(gold, predicted["student"], predicted["answer"])[rows]
    votes_right = memory.soft_labels.argmax(axis=1)[found_numbers] == gold[rows]

    def counted(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(found_numbers[chosen], minlength=len(memory)).astype(np.int64)

    return pd.DataFrame(
        {
            "retrieved": counted(np.ones(len(rows), dtype=bool)),
            "weight": weight,
            "fixes": counted((effect == "fixed") & votes_right),
            "breaks": counted((effect == "broken") & ~votes_right),
            "gain": gain,
        }
    )


def _gains(answers: "Answers", name: str) -> NDArray[np.float64]:
    """Return what each neighbour (N, k) by one key gains in nats, see :func:`memory_use`."""
    known, found, gold = answers.encoded.known, answers.retrieved[name], answers.labels
    _, weights = answers.pool.weights
    gains = np.zeros(found.numbers.shape)
    of_known = np.flatnonzero(gold < known)
    step = max(1, GATHERED // (4 * found.numbers.shape[1] * len(answers.memory.classes)))  # some arrays at a time
    for start in range(0, len(of_known), step):
        rows = of_known[start : start + step]
        without = _without_each(found.weights[rows], answers.memory.soft_labels[found.numbers[rows]], known)
        of_key = answers.pooled.memory[name][rows, None]
        pooled = (answers.pooled.probabilities[rows, :known] / (1.0 - answers.pooled.new[rows, None]))[:, None]
        if answers.pool.kind == "linear":
            left = pooled - weights[name] * (of_key - without)
            change = clipped_log(left) - clipped_log(pooled)
        else:
            change = weights[name] * (np.log((1.0 - SMOOTHING) * without + SMOOTHING / known) - np.log(of_key))
            change -= logsumexp(change, b=pooled, axis=2, keepdims=True)
        gains[rows] = -np.take_along_axis(change, gold[rows][:, None, None], axis=2)[:, :, 0]
    return gains


def _without_each(weights: NDArray[np.float64], soft_labels: NDArray[np.floating], known: int) -> NDArray[np.float64]:
    """Return r without each neighbour, (N, k, C) over the known classes; even where no other is of any of them."""
    given = weights[:, :, None] * soft_labels[:, :, :known]
    # Sums of those before and those after: r - w ȳ would be lost in rounding where one has nearly all the weight.
    without = np.zeros_like(given)
    without[:, 1:] = np.cumsum(given[:, :-1], axis=1)
    without[:, :-1] += np.cumsum(given[:, :0:-1], axis=1)[:, ::-1]
    totals = without.sum(axis=2, keepdims=True)
    return np.divide(without, totals, out=np.full_like(without, 1.0 / known), where=totals > 0)


def suspicious_rows(memory: "Memory", use: pd.DataFrame) -> pd.DataFrame:
    """Rank the memories by how wrong their gold label looks, with the evidence for it.

    Parameters
    ----------
    memory : Memory
        M rows.
    use : DataFrame
        As :func:`memory_use` gives it.

    Returns
    -------
    DataFrame
        M rows, the most suspicious first: ids, texts and labels; ``number`` (row of the memory), ``suspicion`` (from 0
        to 1, the mean of the three that follow; 0 where the label is the teacher's, since there is no gold label),
        ``teacher_doubt`` (1 less the teacher's probability of the row's class), ``neighbour_doubt`` (share of its 10
        nearest memories by the teacher's z of another class), ``harm`` (1 where it broke more answers than it fixed),
        the labels by the ``teacher`` and by its ``neighbours``, the columns of ``use``; then the memory's further ones.
    """
    numbers, labels, names = np.arange(len(memory)), memory.labels, np.asarray(memory.classes)
    nearest = _nearest_others(memory, TEACHER)
    votes = np.stack([(labels[nearest] == number).mean(axis=1) for number in range(len(names))], axis=1)
    evidence = pd.DataFrame(
        {
            "teacher_doubt": 1.0 - memory.soft_labels[numbers, labels],
            "neighbour_doubt": 1.0 - votes[numbers, labels],
            "harm": (use["breaks"] > use["fixes"]).astype(np.float64),
        }
    )
    suspicion = evidence.mean(axis=1).where(_by_person(memory.rows).to_numpy(), 0.0)
    labels_by = {"teacher": names[memory.soft_labels.argmax(axis=1)], "neighbours": names[votes.argmax(axis=1)]}
    found = {"number": numbers, "suspicion": suspicion, **evidence, **labels_by, **use}
    table = rows_with(memory.rows.reset_index(drop=True), {str(name): column for name, column in found.items()})
    return table.sort_values(["suspicion", "number"], ascending=[False, True], ignore_index=True)


def memory_table(answers: "Answers") -> pd.DataFrame:
    """Return all evidence about each memory, the most suspicious first; see :func:`suspicious_rows`."""
    return suspicious_rows(answers.memory, memory_use(answers))


def memories(model: "ReAugKDClassifier", answers: "Answers | None", show: str) -> pd.DataFrame:
    """List memories by a question about them, with the columns that matter first.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    answers : Answers or None
        Its answers to its test rows; those of :data:`UNJUDGED` can be listed without.
    show : str
        One of :data:`SHOWS`.

    Returns
    -------
    DataFrame
        ``number`` (row of the memory), ``text``, of pairs ``text_pair``, and ``label``. Of near-duplicates and leaks
        then ``other`` (row of the other memory, or of the test row), its texts and its label, and the ``overlap``; of
        all other questions the columns of :func:`memory_table`, or without answers the label by the ``teacher``. A
        :class:`reaugkd.analysis.error_analysis.RowFilter` finds texts in it.

    Raises
    ------
    ReAugKDError
        If there is no such question, or test rows are needed and there are no answers.
    """
    if show not in SHOWS:
        raise ReAugKDError(f"{show!r} is nothing to show; choose one of {', '.join(SHOWS)}.")
    if show == DUPLICATES:
        found = near_duplicates(model.memory)
    elif answers is None:
        if show not in UNJUDGED:
            raise ReAugKDError(
                f"There are no answers to test rows to tell {show!r} by; choose one of {', '.join(UNJUDGED)}."
            )
        found = shown_memories(_unjudged(model.memory), show)
    elif show == LEAKS:
        found = _turned(leaks(answers))
    else:
        found = shown_memories(memory_table(answers), show)
    first = [name for name in FIRST if name in found.columns]
    return found[first + [name for name in found.columns if name not in first]]


def _unjudged(memory: "Memory") -> pd.DataFrame:
    """Return what is known of each memory without answers to test rows."""
    rows, names = memory.rows.reset_index(drop=True), np.asarray(memory.classes)
    return rows.assign(number=np.arange(len(rows)), teacher=names[memory.soft_labels.argmax(axis=1)])


def _by_person(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Tell which memories have a gold label, not one by the teacher."""
    by = rows[LABELLED_BY] if LABELLED_BY in rows.columns else pd.Series("", index=rows.index)
    return by != TEACHER


def _turned(pairs: pd.DataFrame) -> pd.DataFrame:
    """Swap the two rows of each pair."""
    names = {name: f"other_{name}" for name in ("text", "text_pair", "label")} | {"number": "other"}
    return pairs.rename(columns=names | {other: name for name, other in names.items()})


def shown_memories(table: pd.DataFrame, show: str) -> pd.DataFrame:
    """Choose and order rows of a :func:`memory_table` by one of :data:`SHOWS` about single memories."""
    found = table
    if show == ALL:
        found = found.sort_values("number")
    elif show == SUSPICIOUS:
        found = found[_by_person(found)]
    elif show == "edited":
        found = found[found["edited"] != ""] if "edited" in found.columns else found.head(0)
    elif show == "most used":
        found = found.sort_values(["weight", "retrieved"], ascending=False, kind="stable")
    elif show == "never used":
        found = found[found["retrieved"] == 0]
    elif show == "harmful":
        found = found[found["gain"] < 0].sort_values(["gain", "breaks"], kind="stable")
    return found.reset_index(drop=True)


def near_duplicates(memory: "Memory") -> pd.DataFrame:
    """Find memories that share four fifths of their words with another memory.

    Parameters
    ----------
    memory : Memory
        M rows; a row is compared with the 10 nearest to it by the text key, and by the teacher's z.

    Returns
    -------
    DataFrame
        Two rows for each two memories, one for each direction: ``number`` and ``other`` (rows of the memory),
        ``overlap`` (shared words by all words of both), ``text`` and ``other_text``, of pairs ``text_pair`` and
        ``other_text_pair``, their ``label`` and ``other_label``; the most alike first.
    """
    searched = [name for name in (TEXT, TEACHER) if name == TEACHER or name in memory.keys]
    nearest = np.concatenate([_nearest_others(memory, name) for name in searched], axis=1)
    pairs = {(row, other) for row, others in enumerate(nearest.tolist()) for other in others}
    return _alike(pairs | {pair[::-1] for pair in pairs}, memory.rows, memory.rows)


def leaks(answers: "Answers") -> pd.DataFrame:
    """Find rows of an evaluation set that stand in the memory, nearly word by word: their answers prove little.

    Parameters
    ----------
    answers : Answers
        Answers to the rows; each is compared with its k nearest memories by every key.

    Returns
    -------
    DataFrame
        As :func:`near_duplicates` gives it; ``number`` is the row of the evaluation set, ``other`` that of the memory.
    """
    numbers = np.concatenate([found.numbers for found in answers.retrieved.values()], axis=1)
    pairs = {(row, other) for row, others in enumerate(numbers.tolist()) for other in others}
    return _alike(pairs, answers.encoded.table, answers.memory.rows)


def _nearest_others(memory: "Memory", key: str) -> NDArray[np.int64]:
    """Return the 10 nearest memories (M, k) of each but itself, or all others, by a key or by the teacher's z."""
    queries = memory.teacher_embeddings if key == TEACHER else memory.keys[key]
    _, numbers = memory.search(key, queries, NEIGHBOURS + 1)
    own = numbers == np.arange(len(memory))[:, None]
    own[:, -1] |= ~own.any(axis=1)  # among equals a memory may not find itself: then the farthest goes
    return numbers[~own].reshape(len(memory), -1)


def _alike(pairs: set[tuple[int, int]], rows: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of row numbers whose texts share enough words, the most alike first."""
    columns = [name for name in ("text", "text_pair", "label") if name in rows.columns]
    texts, other_texts = (texts_of(table, "text_pair" in columns) for table in (rows, others))
    found = [(number, other, word_overlap(texts[number], other_texts[other])) for number, other in pairs]
    table = pd.DataFrame(found, columns=["number", "other", "overlap"])
    table = table[table["overlap"] >= NEAR_DUPLICATE]
    for name, source, position in (("", rows, "number"), ("other_", others, "other")):
        for column in columns:
            table[name + column] = source[column].to_numpy()[table[position].to_numpy(dtype=np.int64)]
    return table.sort_values(["overlap", "number", "other"], ascending=[False, True, True], ignore_index=True)
