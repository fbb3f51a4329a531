"""Evidence about each memory: how it is used, whether it does harm, its label looks wrong, or it stands there twice.

No network is trained.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import add

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import logsumexp, softmax
from scipy.stats import false_discovery_control, norm

from reaugkd.analysis import memory_questions as lists
from reaugkd.errors import ReAugKDError, quoted
from reaugkd.measures.calibration import clipped_log
from reaugkd.method.answers import Answers, effects
from reaugkd.method.keys import ALIGNED, TEXT
from reaugkd.method.memory import LABELLED_BY, TEACHER, Memory, labelled_by_person
from reaugkd.method.pool import GATHERED, SMOOTHING, KeySettings, Pool, weighed
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.texts import fold_masks, folds_apart, rows_with, texts_of, word_overlap

NEIGHBOURS = 10
NEAR_DUPLICATE = 0.8
FALSE_ALARMS = 0.1
"""A memory does harm where its gain is surely below 0: so many of those that are listed are so by chance."""
MOST_AUDITED = 5_000  # memories of one that lies on disk
FIRST = (
    *("number", "text", "text_pair", "label", LABELLED_BY),
    *("other", "other_text", "other_text_pair", "other_label", "overlap"),
)
DOUBTFUL = 0.5
"""A label looks wrong from this doubt on: it gets at most half of what labels of its class usually get."""


def label_doubts(memory: Memory, pool: Pool) -> pd.DataFrame:
    r"""Doubt each gold label by what is said of its row without it.

    The row's nearest memories by each independent key, such as the text key, vote with their soft labels; the row
    itself is left out, and its key was drawn by folds that it is not in. A logistic regression from the teacher's
    embedding to the gold labels answers for rows of a fold that it was not fitted to. With p the normalised geometric
    mean of these voices, each smoothed, the doubt is

    .. math:: d_i = 1 - \frac{p_i(y_i)}{\operatorname{mean}_{j \neq i: y_j = y_i} p_j(y_j)}.

    The mean over the class (over all rows where it has no other) is confident learning's self-confidence (Northcutt et
    al. 2021): some classes are harder than others.
    The networks have seen the labels, so a teacher that learnt a wrong one by heart half defends it.

    Parameters
    ----------
    memory : Memory
        M rows with keys.
    pool : Pool
        Gives k and τ_r of each key.

    Returns
    -------
    DataFrame
        M rows: ``doubt``, 1 at most, below 0 where the label gets more than usual, 0 where only the teacher gave it;
        ``suggested``, the class that the voices together find likeliest; the probability of the label by each voice,
        ``by_text`` (and ``by_encoder``) and ``by_embedding``.
    """
    rows, labels, is_gold = np.arange(len(memory)), memory.labels, labelled_by_person(memory.rows)
    said, classes = _voices(memory, pool), len(memory.classes)
    unseen = _together(said)
    own = unseen[rows, labels]
    sums, counts = (np.bincount(labels[is_gold], of, minlength=classes) for of in (own[is_gold], None))
    others = counts[labels] - is_gold
    usual = np.where(others > 0, (sums[labels] - is_gold * own) / np.maximum(others, 1), own.mean())
    doubt = np.where(is_gold, 1.0 - own / usual, 0.0)
    columns = {name: voice[rows, labels] for name, voice in said.items()}
    return pd.DataFrame({"doubt": doubt, "suggested": np.asarray(memory.classes)[unseen.argmax(axis=1)], **columns})


def unseen_probabilities(memory: Memory, pool: Pool) -> NDArray[np.float64]:
    """Return p (M, C) of :func:`label_doubts`, the class probabilities of each row by voices that did not see it."""
    return _together(_voices(memory, pool))


def _voices(memory: Memory, pool: Pool) -> dict[str, NDArray[np.float64]]:
    """Return what each voice says of each row, (M, C), by the name of its column."""
    others = {name: settings for name, settings in pool.keys.items() if name != ALIGNED and name in memory.keys}
    said = {f"by_{name}": _by_neighbours(memory, name, settings) for name, settings in others.items()}
    return {**said, "by_embedding": _by_embedding(memory)}


def _together(said: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the normalised geometric mean of voices (M, C), each smoothed."""
    smoothed = [(1.0 - SMOOTHING) * voice + SMOOTHING / voice.shape[1] for voice in said.values()]
    return softmax(np.mean(np.log(smoothed), axis=0), axis=1)


def nearest_others(
    memory: Memory, key: str, queries: NDArray[np.floating], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return cosines (M, k) and row numbers (M, k) of the nearest memories of each but itself, or of all others."""
    similarities, numbers = memory.search(key, queries, k + 1)
    own = numbers == np.arange(len(memory))[:, None]
    own[:, -1] |= ~own.any(axis=1)  # among equals a memory may not find itself: then the farthest goes
    shape = (len(memory), numbers.shape[1] - 1)
    return similarities[~own].reshape(shape), numbers[~own].reshape(shape)


def _by_neighbours(memory: Memory, key: str, settings: KeySettings) -> NDArray[np.float64]:
    """Return what the neighbours of each row by a key say of it, (M, C)."""
    found = nearest_others(memory, key, memory.keys[key], settings.k)
    if not found[1].size:
        return np.full(memory.soft_labels.shape, 1.0 / len(memory.classes))
    return weighed(memory.soft_labels, *found, settings.temperature).probabilities


def _by_embedding(memory: Memory) -> NDArray[np.float64]:
    """Return what regressions from z to the gold labels of other folds say of each row, (M, C)."""
    from sklearn.linear_model import LogisticRegression  # slow to import

    z, labels = memory.keys.get(ALIGNED, memory.teacher_embeddings), memory.labels
    is_gold = labelled_by_person(memory.rows)
    said = np.full(memory.soft_labels.shape, 1.0 / len(memory.classes))
    for seen, held_out in fold_masks(folds_apart(memory.texts, labels, 5)):
        fitted = seen & is_gold
        if len(np.unique(labels[fitted])) > 1:
            regression = LogisticRegression(max_iter=300).fit(z[fitted], labels[fitted])
            said[held_out] = 0.0
            said[np.ix_(held_out, regression.classes_)] = regression.predict_proba(z[held_out])
    return said


def memory_use(answers: Answers) -> pd.DataFrame:
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
        it broke it voted wrong; ``gain``, the sum over rows and keys; ``raises`` and ``lowers``, for how many rows it
        made the gold class likelier or less likely; ``p_of_harm``, the p-value that the gain is not below 0, by the
        normal distribution with the root of the sum of its squares over rows as standard error, and corrected for so
        many memories (Benjamini and Hochberg 1995). A row whose gold class the student does not know adds nothing to
        the gain: of such classes the nearest memories decide, not the pool.
    """
    memory, pool, gold = answers.memory, answers.pool, answers.labels
    names = pool.searched(answers.encoded.known, len(memory.classes)) or list(pool.keys)
    student_weight, weights = pool.weights
    total = student_weight + sum(weights.values())

    def summed(values: Callable[[str], NDArray[np.floating]]) -> csr_array:
        """Sum over the keys what each says of a row's neighbours, (N, M)."""
        shape, found = (len(gold), len(memory)), answers.retrieved
        starts = {name: np.arange(len(gold) + 1) * found[name].numbers.shape[1] for name in names}
        parts = [csr_array((values(n).ravel(), found[n].numbers.ravel(), starts[n]), shape=shape) for n in names]
        return reduce(add, parts)

    weight = summed(lambda name: answers.retrieved[name].weights * weights[name] / total)
    gains = summed(lambda name: _gains(answers, name))
    rows, numbers = summed(lambda name: np.ones(answers.retrieved[name].numbers.shape)).nonzero()
    predicted = answers.predicted
    effect = effects(gold, predicted["student"], predicted["answer"])[rows]
    used, places = np.unique(numbers, return_inverse=True)
    votes_right = memory.soft_labels[used].argmax(axis=1)[places] == gold[rows]

    def counted(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(numbers[chosen], minlength=len(memory)).astype(np.int64)

    gain, error = gains.sum(axis=0), np.sqrt(gains.power(2).sum(axis=0))
    below = norm.cdf(np.divide(gain, error, out=np.zeros_like(gain), where=error > 0))
    columns = {
        "retrieved": counted(np.ones(len(rows), dtype=bool)),
        "weight": weight.sum(axis=0),
        "fixes": counted((effect == "fixed") & votes_right),
        "breaks": counted((effect == "broken") & ~votes_right),
        "gain": gain,
        "raises": (gains > 0).sum(axis=0),
        "lowers": (gains < 0).sum(axis=0),
        "p_of_harm": false_discovery_control(below),
    }
    return pd.DataFrame(columns)


def _gains(answers: Answers, name: str) -> NDArray[np.float64]:
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


def memory_table(answers: Answers) -> pd.DataFrame:
    """Return all evidence about each memory.

    Parameters
    ----------
    answers : Answers
        Answers to rows with gold labels, by which use and harm are judged.

    Returns
    -------
    DataFrame
        M rows in the order of the memory: ids, texts and labels; ``number`` (row of the memory); the columns of
        :func:`reaugkd.analysis.memory_audit.label_doubts` and of :func:`memory_use`; then the memory's further ones.
        Of a memory on disk, only the 5,000 that the answers use most, and what these say of one another.
    """
    memory, use = answers.memory, memory_use(answers)
    numbers = np.arange(len(memory))
    if memory.is_mapped:
        used = np.flatnonzero(use["retrieved"])
        numbers = np.sort(used[np.argsort(-use["weight"].to_numpy()[used], kind="stable")[:MOST_AUDITED]])
        memory, use = memory.part(numbers), use.iloc[numbers].reset_index(drop=True)
    found = {"number": numbers, **label_doubts(memory, answers.pool), **use}
    return rows_with(memory.rows.reset_index(drop=True), {str(name): column for name, column in found.items()})


def memories(model: ReAugKDClassifier, answers: Answers | None, show: str) -> pd.DataFrame:
    """List memories by a question about them, with the columns that matter first.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    answers : Answers or None
        Its answers to rows with gold labels, such as the first half of its test rows; the questions
        ``memory_questions.UNJUDGED`` need none.
    show : str
        One of ``memory_questions.SHOWS``.

    Returns
    -------
    DataFrame
        ``number`` (row of the memory), ``text``, of pairs ``text_pair``, and ``label``. Of near-duplicates and leaks
        then ``other`` (row of the other memory, or of the test row), its texts and its label, and the ``overlap``; of
        all other questions their ``memory_questions.REASONS`` and the other columns of :func:`memory_table`. A
        :class:`reaugkd.analysis.error_analysis.RowFilter` finds texts in it.

    Raises
    ------
    ReAugKDError
        If there is no such question, or rows with gold labels are needed and there are no answers.
    """
    if show not in lists.SHOWS:
        raise ReAugKDError(f"{quoted(show)} is nothing to show; choose one of {', '.join(lists.SHOWS)}.")
    is_large = model.memory.is_mapped
    if show == lists.DUPLICATES:
        if is_large:
            raise ReAugKDError(
                f"Near-duplicates are not looked for in a memory on disk, of {len(model.memory):,} rows; choose "
                "another list."
            )
        return _first_columns(near_duplicates(model.memory), show)
    if answers is None:
        if show not in lists.UNJUDGED:
            raise ReAugKDError(
                f"There are no answers to test rows to tell {show!r} by; choose one of {', '.join(lists.UNJUDGED)}."
            )
        rows = (model.memory.rows.head(MOST_AUDITED) if is_large else model.memory.rows).reset_index(drop=True)
        return shown_memories(rows.assign(number=np.arange(len(rows))), show)
    if show == lists.LEAKS:
        return _first_columns(_turned(leaks(answers)), show)
    return shown_memories(memory_table(answers), show)


def _first_columns(found: pd.DataFrame, show: str) -> pd.DataFrame:
    """Put the columns that matter to a question first."""
    first = [name for name in (*FIRST, *lists.REASONS.get(show, ())) if name in found.columns]
    return found[first + [name for name in found.columns if name not in first]]


def _turned(pairs: pd.DataFrame) -> pd.DataFrame:
    """Swap the two rows of each pair."""
    names = {name: f"other_{name}" for name in ("text", "text_pair", "label")} | {"number": "other"}
    return pairs.rename(columns=names | {other: name for name, other in names.items()})


def shown_memories(table: pd.DataFrame, show: str) -> pd.DataFrame:
    """Choose and order rows of a :func:`memory_table` by one of ``memory_questions.SHOWS`` about single memories."""
    column, ascending = lists.SORTED_BY[show]
    chosen = {
        lists.WRONG: lambda: (table["doubt"] >= DOUBTFUL) & (table["suggested"] != table["label"]),
        lists.HARMFUL: lambda: table["p_of_harm"] <= FALSE_ALARMS,
        "never used": lambda: table["retrieved"] == 0,
        "edited": lambda: table["edited"] != "" if "edited" in table.columns else table["number"] < 0,
    }
    found = table[chosen[show]()] if show in chosen else table
    found = found.sort_values([column, "number"], ascending=[ascending, True], ignore_index=True)
    return _first_columns(found, show)


def near_duplicates(memory: Memory) -> pd.DataFrame:
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
    spaces = {name: memory.keys[name] for name in memory.keys if name == TEXT} | {TEACHER: memory.teacher_embeddings}
    nearest = np.concatenate([nearest_others(memory, *one, NEIGHBOURS)[1] for one in spaces.items()], axis=1)
    pairs = {(row, other) for row, others in enumerate(nearest.tolist()) for other in others}
    return _alike(pairs | {pair[::-1] for pair in pairs}, memory.rows, memory.rows)


def leaks(answers: Answers) -> pd.DataFrame:
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
    used, places = np.unique(numbers, return_inverse=True)
    pairs = {(row, other) for row, others in enumerate(places.tolist()) for other in others}
    table = _alike(pairs, answers.encoded.table, answers.memory.rows_at(used))
    return table.assign(other=used[table["other"].to_numpy(dtype=np.int64)])


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
