"""Fewer memories that answer as all of them do: class-wise prototypes, coverage, use, or chance as the control."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from reaugkd.method.answers import Answers
from reaugkd.method.memory import Memory
from reaugkd.method.pool import DECIDE_ABOUT_NEW

METHODS = ("prototypes", "coverage", "used", "random")
"""How entries are chosen; the last is the control."""
STANDS_FOR = "stands_for"
"""Column of a condensed memory's rows: for how many memories each one stands."""
TRIED = 1_000  # memories that one step of the greedy coverage compares, or more where few are kept
GROUND = 20_000  # memories that are to be covered: of more, so many are drawn
MISSED = 0.1  # of the best memories of a step, so many are not among those that it compares
Space = NDArray[np.float32]
Rows = NDArray[np.int64]


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
    shares = answers.pool.shares
    parts = [np.sqrt(share) * memory.keys[name] for name, share in shares.items() if share > 0]
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
