"""A model whose memory takes a part of the bytes: ways to keep few entries, of which one is chosen on held-out rows."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.analysis.comparison import Comparison, compare
from reaugkd.analysis.edits import HEADING as EDITED_HEADING
from reaugkd.analysis.refit import choose_known, taught_rows, with_pool
from reaugkd.errors import ReAugKDError, kind_of, quoted, read_as, require
from reaugkd.measures.calibration import at_temperature
from reaugkd.measures.metrics import METRICS, log_loss
from reaugkd.method.answers import Answers, EncodedTexts, answer
from reaugkd.method.choice import PoolChoice, standard_errors_gained, too_few_rows
from reaugkd.method.keys import ALIGNED, TEXT, AlignedKey, Key, fit_text_key
from reaugkd.method.memory import STANDS_FOR, Memory
from reaugkd.method.pool import DECIDE_ABOUT_NEW
from reaugkd.method.text_key import LEVELS, TextKey
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.folder import memory_bytes
from reaugkd.texts import Labels, have_siblings

SIZES = (0.0, 0.5, 1.0)  # from one entry a class to as many as fit, as powers of how many times more these are
MEASURED = 1_000  # entries, by which it is estimated how many fit
STEPS = (LEVELS, 127, 31)  # of the text key's ridge: as many as leave room for all of its texts
FEWEST_TEXTS = 20  # of the text key: folds of four
HEADING = "## Condensed after training"
ALL, ALONE = "all memories", "student alone"
METHODS = ("prototypes", "coverage", "used", "random")
"""How entries are chosen; the last is the control."""
TRIED = 1_000  # memories that one step of the greedy coverage compares, or more where few are kept
GROUND = 20_000  # memories that are to be covered: of more, so many are drawn
MISSED = 0.1  # of the best memories of a step, so many are not among those that it compares
Space = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Condensed:
    """A model with a condensed memory, and what that costs.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model; save it as any other.
    curve : DataFrame
        A row for each way that was tried: ``method``; ``entries``; ``key_texts``, of how many texts the text key is
        made; ``bytes`` on disk, of memory and keys; ``share`` of all of them; ``score`` by the task's metric and
        ``log_loss`` in nats, both of the validation rows, each by weights that were fitted on the other folds;
        ``gain_kept``, the part of what all memories take from the student's log loss, missing where they take nothing;
        ``is_chosen``. The first two rows are the student alone and all memories.
    """

    model: ReAugKDClassifier
    curve: pd.DataFrame

    def compared(self, before: ReAugKDClassifier) -> Comparison:
        """Compare with the model before, on its test rows, by which nothing was chosen; the condensed one is first."""
        rows = before.held_out(["test"])
        first, second = (model.answer(model.encode_rows(rows)) for model in (self.model, before))
        return compare(first, second, before.settings.metric)

    def in_words(self, before: ReAugKDClassifier) -> str:
        """Say in sentences what was chosen and what it does on the test rows; the argument is the model before."""
        chosen, compared = self.curve[self.curve["is_chosen"]].iloc[0], self.compared(before)
        (after, was), change = (100 * score for score in compared.scores), compared.difference
        metric, whole = before.settings.metric.replace("_", " "), self.curve["bytes"][1]
        return (
            f"{chosen['entries']:,} of {len(before.memory):,} entries ({chosen['method']}), "
            f"{chosen['bytes'] / 1e6:.2f} MB of {whole / 1e6:.2f}. On {len(compared.table):,} test rows "
            f"{metric} goes from {was:.1f} to {after:.1f} %, a change of "
            f"{100 * change.low:+.1f} to {100 * change.high:+.1f} points (95 % interval)."
        )


def condense(
    model: ReAugKDClassifier,
    keep: float = 0.1,
    *,
    most_bytes: int | None = None,
    method: str | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Condensed:
    """Make a model's memory smaller, and choose on its validation rows how.

    All that a memory takes on disk is counted: texts, keys, soft labels, and the text key's ridge, which is written as
    its texts (:class:`reaugkd.method.text_key.DualRidge`). Numbers become float16, and z is left out: the aligned
    key gives nearly all of it back. By each method many and few entries are tried, each with a pool of its own. Of
    those whose log loss lies within a standard error of the lowest, the one with the most entries is taken: it changes
    the least. Where there is room for all entries and all texts, they stay, and so does the model's pool.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model; it stays as it is.
    keep : float
        The part of the bytes to keep, above 0 and below 1.
    most_bytes : int, optional
        In the place of ``keep``.
    method : str, optional
        One of :data:`reaugkd.analysis.condensed.METHODS`; all but the control, ``random``, are tried if left out.
    say : callable
        Called with a sentence for each way that was tried.

    Returns
    -------
    Condensed
        The model and the curve.

    Raises
    ------
    ReAugKDError
        If the model has under 50 validation rows, is condensed already, or cannot be made so small.

    Examples
    --------
    >>> condensed = condense(model, keep=1 / 16)  # doctest: +SKIP
    >>> condensed.model.save_pretrained("runs/small")  # doctest: +SKIP
    """
    require(isinstance(model, ReAugKDClassifier), "The model", kind_of(model), "one that from_pretrained gives")
    keep, most_bytes = read_as(float, keep, "keep"), read_as(int | None, most_bytes, "most_bytes")
    require(0 < keep < 1, "keep", keep, "above 0 and below 1")
    require(most_bytes is None or most_bytes >= 1, "most_bytes", most_bytes, "at least 1")
    if read_as(str | None, method, "method") not in (None, *METHODS):
        raise ReAugKDError(f"There is no method {quoted(method)} to condense by; choose one of {', '.join(METHODS)}.")
    if STANDS_FOR in model.memory.rows.columns:
        raise ReAugKDError("This memory is condensed already; condense the model that it was made of.")
    trials = _Trials(model, say)
    budget = int(keep * trials.whole_bytes) if most_bytes is None else most_bytes
    if budget >= trials.whole_bytes:
        raise ReAugKDError(f"The memory takes {trials.whole_bytes:,} bytes; ask for fewer.")
    methods = [method] if method else [name for name in METHODS if name != "random"]
    tried = [trials.tried(budget, one, size) for one in methods for size in SIZES]
    chosen = next((one for one in tried if trials.keeps_all(one.row)), None)
    chosen = chosen or _as_good_with_most_entries(tried, trials.labels)
    for share in (1 / 4, 1 / 16, 1 / 64):  # of the bytes: points of the curve beside the one that is asked for
        with suppress(ReAugKDError):  # where the curve ends before
            if abs(share - budget / trials.whole_bytes) > 0.01 * share:
                tried.append(trials.tried(int(share * trials.whole_bytes), chosen.row["method"], SIZES[-1]))
    rows = [trials.alone | {"is_chosen": False}, trials.all | {"is_chosen": False}]
    rows += [one.row | {"is_chosen": one is chosen} for one in tried]
    curve = pd.DataFrame(rows).drop_duplicates(["method", "entries", "bytes"], ignore_index=True)
    gained = curve["log_loss"][0] - curve["log_loss"]
    curve["gain_kept"] = gained / (gained[1] if gained[1] > 0 else np.nan)
    return Condensed(_shipped(model, chosen, trials.whole_bytes), curve)


@dataclass(frozen=True)
class _Keyed:
    """A whole memory with a text key of some texts: to be shipped, and apart from the validation rows' siblings."""

    keys: dict[str, Key]
    memory: Memory
    apart: Memory
    encoded: EncodedTexts  # the validation rows, with queries by the key that is apart
    key_texts: int
    key_bytes: int


@dataclass(frozen=True)
class _Trial:
    """One way to condense."""

    keyed: _Keyed
    memory: Memory
    choice: PoolChoice
    row: dict[str, Any]


class _Trials:
    """What all ways to condense one model share."""

    def __init__(self, model: ReAugKDClassifier, say: Callable[[str], object]) -> None:
        rows = model.held_out(["validation"])
        if too_few_rows(len(rows)):
            raise ReAugKDError(
                f"The model has {len(rows)} validation rows, too few to tell what a condensed memory keeps; have 50."
            )
        self.model, self.say, self.encoded = model, say, model.encode_rows(rows)
        self.whole_bytes = memory_bytes(model.memory, model.keys)
        self.taught = np.flatnonzero(taught_rows(model.memory))
        self.siblings = have_siblings(model.memory.texts, self.encoded.texts)
        self.keyed, self._text_keys = cache(self._keyed), cache(self._fitted_text_keys)
        whole = self.keyed(len(self.taught), STEPS[0])
        choice, self.labels = choose_known(whole.encoded, whole.apart)
        self.answers = answer(whole.encoded, whole.apart, choice.pool)
        asked = self.encoded.student_probabilities[self.answers.labels < self.encoded.known]
        self.alone = self._row(ALONE, 0, 0, 0, at_temperature(asked, choice.pool.student_temperature))
        self.all = self._row(ALL, len(model.memory), len(self.taught), self.whole_bytes, choice.unseen)

    def keeps_all(self, row: dict[str, Any]) -> bool:
        """Return whether a row of the curve is of all entries, with a text key of all texts."""
        return all(row[name] == self.all[name] for name in ("entries", "key_texts"))

    def _row(self, method: str, entries: int, key_texts: int, taken: int, said: NDArray[np.float64]) -> dict[str, Any]:
        size = {"entries": entries, "key_texts": key_texts, "bytes": taken, "share": taken / self.whole_bytes}
        score = METRICS[self.model.settings.metric](self.labels, said.argmax(axis=1))
        return {"method": method, **size, "score": score, "log_loss": log_loss(self.labels, said)}

    def _fitted_text_keys(self, count: int) -> tuple[tuple[TextKey, Memory], tuple[TextKey, Memory]]:
        """Fit a text key to so many texts, and one apart from siblings; return each with the memory that it keys."""
        drawn = np.zeros(len(self.model.memory), dtype=bool)
        drawn[np.random.default_rng(0).permutation(self.taught)[:count]] = True
        apart = drawn & ~self.siblings
        fitted = (drawn, apart if apart.sum() >= FEWEST_TEXTS else drawn)
        return _with_text_key(self.model, fitted[0]), _with_text_key(self.model, fitted[1])

    def _keyed(self, count: int, steps: int) -> _Keyed:
        """Key the whole memory by a text key of so many texts, whose ridge has so many steps."""
        (key, memory), (apart_key, apart) = self._text_keys(count)
        if steps != STEPS[0]:
            key, apart_key = key.coarser(steps), apart_key.coarser(steps)
        axes = self.model.keys[ALIGNED].axes.astype(np.float16).astype(np.float32)  # type: ignore[attr-defined]
        keys = {**self.model.keys, ALIGNED: AlignedKey(axes), TEXT: key}
        queries = {**self.encoded.queries, TEXT: apart_key.embed(self.encoded.texts)}
        return _Keyed(keys, memory, apart, replace(self.encoded, queries=queries), count, _key_bytes(key))

    def tried(self, most_bytes: int, method: str, size: float) -> _Trial:
        """Condense to so many bytes, and choose the pool again."""
        keyed, entries = self._fitting(most_bytes, size)
        memory = self._condensed(keyed.memory, entries, method)
        while (taken := memory_bytes(memory, keyed.keys)) > most_bytes:  # they were estimated
            if entries > len(memory.classes):
                entries = int(0.95 * entries)
            else:
                keyed = self._of_texts(0.95 * keyed.key_texts)
            memory = self._condensed(keyed.memory, entries, method)
        choice, _ = choose_known(keyed.encoded, self._condensed(keyed.apart, entries, method))
        row = self._row(method, len(memory), keyed.key_texts, taken, choice.unseen)
        if self.keeps_all(row):  # what was chosen for the same memory before
            choice = replace(choice, pool=self.model.pool)
        self.say(f"{method}, {len(memory):,} entries, {taken:,} bytes: log loss {row['log_loss']:.4f}")
        return _Trial(keyed, memory, choice, row)

    def _fitting(self, most_bytes: int, size: float) -> tuple[_Keyed, int]:
        """Return a text key for which there is room, and so many entries as the size says."""
        classes, whole = len(self.model.memory.classes), self.keyed(len(self.taught), STEPS[0])
        others = {name: key for name, key in whole.keys.items() if name != TEXT}
        some = min(len(whole.memory), classes + MEASURED)
        few, many = (memory_bytes(self._condensed(whole.memory, count, "random"), others) for count in (classes, some))
        of_entry = (many - few) / max(1, some - classes)
        every = (self.keyed(len(self.taught), steps) for steps in STEPS)
        fitting = next((keyed for keyed in every if keyed.key_bytes + few <= most_bytes), None)
        # A quarter of the bytes is for entries, where all are too few for the text key and all else.
        room = most_bytes / 4 if fitting is None else most_bytes - fitting.key_bytes
        most = int(np.clip(classes + (room - few) / max(1, of_entry), classes, len(whole.memory)))
        if fitting is None:
            left = most_bytes - few - (most - classes) * of_entry
            coarsest = self.keyed(len(self.taught), STEPS[-1])
            fitting = self._of_texts(len(self.taught) * left / coarsest.key_bytes)
        return fitting, round(classes * (most / classes) ** size)

    def _of_texts(self, count: float) -> _Keyed:
        if count < FEWEST_TEXTS:
            raise ReAugKDError(
                f"The memory of {self.whole_bytes:,} bytes cannot be made so small: the text key needs "
                f"{FEWEST_TEXTS} texts, and each class an entry; keep more."
            )
        return self.keyed(int(count), STEPS[-1])

    def _condensed(self, memory: Memory, entries: int, method: str) -> Memory:
        return condense_memory(memory, entries, method, self.answers, self.encoded.known)


def _as_good_with_most_entries(tried: Sequence[_Trial], labels: Labels) -> _Trial:
    best = min(tried, key=lambda one: one.row["log_loss"]).choice.unseen
    as_good = [one for one in tried if standard_errors_gained(one.choice.unseen, best, labels) <= 1.0]
    return max(as_good, key=lambda one: (one.row["entries"], -one.row["log_loss"]))


def _key_bytes(key: TextKey) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        key.save(scratch)
        return sum(path.stat().st_size for path in Path(scratch).iterdir())


def _with_text_key(model: ReAugKDClassifier, fitted: NDArray[np.bool_]) -> tuple[TextKey, Memory]:
    """Fit a text key to some rows of a memory, and key all: those by folds that did not see them."""
    key, keys = fit_text_key(model.memory, model.student.tokenizer, fitted, in_texts=True)
    return key, model.memory.with_keys({**model.memory.keys, TEXT: keys})


def _shipped(model: ReAugKDClassifier, chosen: _Trial, whole_bytes: int) -> ReAugKDClassifier:
    """Return the model with what was chosen, with maps, metrics and a card that state it."""
    row, memory = chosen.row, chosen.memory
    rows = pd.Index(model.memory.rows["id"]).get_indexer(pd.Index(memory.rows["id"]))
    said = (
        f"{row['entries']:,} entries ({row['method']}) stand for {len(model.memory):,} memories; with all keys they "
        f"take {row['bytes']:,} of {whole_bytes:,} bytes. The figures above are from before.\n"
    )
    card, *edits = model.card.partition(EDITED_HEADING)
    condensed = replace(
        model,
        memory=memory,
        keys=chosen.keyed.keys,
        maps=model.maps and model.maps.of_rows(rows, model.memory, model.maps.student_embeddings[:0]),
        epochs=model.epochs and model.epochs.of_rows(rows),
        metrics=model.metrics | {"condensed": {**row, "whole_bytes": whole_bytes, "memories": len(model.memory)}},
        card=f"{card}{HEADING}\n\n{said}\n{''.join(edits)}",
    )
    return with_pool(condensed, chosen.choice.pool)


def condense_memory(memory: Memory, entries: int, method: str, answers: Answers, known: int) -> Memory:
    """Keep few entries of a memory.

    Parameters
    ----------
    memory : Memory
        M memories with their keys.
    entries : int
        About how many to keep, from 1. Each class gets its part, and one at least; a class that the student does not
        know gets two, as the two nearest decide about it.
    method : str
        One of :data:`METHODS`. ``prototypes``: the centres of k-means within each class, which show the text of the
        nearest memory, with the means of keys, z and soft labels. ``coverage``: those to which all others are near,
        greedily (facility location; Mirzasoleiman et al. 2015). ``used``: those that weigh most in the answers to
        held-out rows; those that no answer uses are left out even where there is room. ``random``: the control.
    answers : Answers
        Of the memory to held-out rows, never test rows; ``used`` reads their weights, all the keys' shares of the pool.
    known : int
        How many of the classes the student knows.

    Returns
    -------
    Memory
        The kept entries in the order of the memory, with :data:`STANDS_FOR`.
    """
    space, labels = key_space(memory, answers), memory.labels
    quotas = class_quotas(labels, entries, known)
    classes = [(np.flatnonzero(labels == label), quota) for label, quota in quotas.items()]
    if method == "prototypes":
        return _prototypes(memory, space, classes)
    random, weight = np.random.default_rng(0), np.zeros(len(memory))
    for name, found in answers.retrieved.items():
        np.add.at(weight, found.numbers, answers.pool.shares[name] * found.weights)
    choices: dict[str, Callable[[Rows, int], Rows]] = {
        "coverage": partial(_coverage, space, random),
        "used": partial(_used, space, weight),
        "random": lambda rows, quota: random.choice(rows, quota, replace=False),
    }
    kept = np.sort(np.concatenate([choices[method](rows, quota) for rows, quota in classes]))
    nearest = np.empty(len(memory), dtype=np.int64)
    for start in range(0, len(memory), TRIED):
        nearest[start : start + TRIED] = (space[start : start + TRIED] @ space[kept].T).argmax(axis=1)
    nearest[kept] = np.arange(len(kept))
    return _with_counts(memory.part(kept), np.bincount(nearest, minlength=len(kept)))


def key_space(memory: Memory, answers: Answers) -> Space:
    """Return (M, Σw) float32, in which a cosine is the mean of the keys' cosines by their shares of the pool."""
    parts = [np.sqrt(share) * memory.keys[name] for name, share in answers.pool.shares.items() if share > 0]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def class_quotas(labels: NDArray[np.int64], entries: int, known: int) -> dict[int, int]:
    """Return how many entries each class gets, by its part of the memory; none gets more than it has."""
    classes, counts = np.unique(labels, return_counts=True)
    return {
        number: min(count, max(1 if number < known else DECIDE_ABOUT_NEW, round(entries * count / len(labels))))
        for number, count in zip(classes.tolist(), counts.tolist(), strict=True)
    }


def _prototypes(memory: Memory, space: Space, classes: list[tuple[Rows, int]]) -> Memory:
    from sklearn.cluster import KMeans  # slow to import, and needed here only

    medoids, cluster_of = list[int](), np.empty(len(memory), dtype=np.int64)
    for rows, quota in classes:
        found = KMeans(quota, n_init=1, random_state=0).fit(space[rows]) if quota < len(rows) else None
        own = np.arange(len(rows)) if found is None else np.unique(found.labels_, return_inverse=True)[1]
        for cluster in range(int(own.max()) + 1):
            members = rows[own == cluster]
            nearest = (space[members] @ space[members].mean(axis=0)).argmax()
            cluster_of[members] = len(medoids)
            medoids.append(int(members[nearest]))
    order = np.argsort(medoids)
    place = np.argsort(order)[cluster_of]
    counts = np.bincount(place)

    def mean(values: NDArray[np.floating]) -> NDArray[np.float32]:
        total = np.zeros((len(counts), values.shape[1]))
        np.add.at(total, place, values)
        return (total / counts[:, None]).astype(np.float32)

    kept = memory.part(np.asarray(medoids)[order])
    means = {name: mean(key) for name, key in memory.keys.items()}
    z, soft_labels = mean(memory.teacher_embeddings), mean(memory.soft_labels)
    kept = replace(kept, soft_labels=soft_labels, teacher_embeddings=z, keys=means)
    return _with_counts(kept, counts)


def _coverage(space: Space, random: np.random.Generator, rows: Rows, quota: int) -> Rows:
    r"""Choose S greedily of a class's rows so that :math:`\sum_i \max_{j \in S} \cos(i, j)` over them is large."""
    ground = space[rows if len(rows) <= GROUND else random.choice(rows, GROUND, replace=False)]
    covered, left, kept = np.full(len(ground), -1.0, dtype=np.float32), rows, list[int]()
    tried = max(TRIED, int(np.ceil(len(rows) / quota * np.log(1 / MISSED))))
    for _ in range(quota):
        some = left if len(left) <= tried else random.choice(left, tried, replace=False)
        after = np.maximum(space[some] @ ground.T, covered)
        best = int(after.sum(axis=1).argmax())
        covered, left = after[best], left[left != some[best]]
        kept.append(int(some[best]))
    return np.asarray(kept)


def _used(space: Space, weight: NDArray[np.float64], rows: Rows, quota: int) -> Rows:
    """Choose those of a class's rows that weigh most in answers; where none does, those nearest to its middle."""
    if not (weight[rows] > 0).any():
        return rows[np.argsort(-(space[rows] @ space[rows].mean(axis=0)), kind="stable")][:DECIDE_ABOUT_NEW][:quota]
    return rows[np.argsort(-weight[rows], kind="stable")][: min(quota, int((weight[rows] > 0).sum()))]


def _with_counts(memory: Memory, counts: NDArray[np.integer]) -> Memory:
    return replace(memory, rows=memory.rows.assign(**{STANDS_FOR: counts.astype(np.int64)}))
