"""Choose on held-out rows how the memory is searched, and how much each key counts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.model_selection import KFold

from reaugkd.measures.calibration import at_temperature, clipped_log, fit_temperature
from reaugkd.measures.metrics import METRICS, log_loss
from reaugkd.method.answers import EncodedTexts
from reaugkd.method.mapped import nearest_first
from reaugkd.method.memory import Memory
from reaugkd.method.pool import KeySettings, Pool, log_pool, smoothed, weighed
from reaugkd.tasks.task import FEWEST_VALIDATION
from reaugkd.texts import Labels, are_siblings

GRID_K = (4, 8, 16, 32, 64)
GRID_TEMPERATURE = (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
GRID_RETRIEVAL_WEIGHT = tuple(round(0.1 * step, 1) for step in range(1, 10))
SEARCHED = 2 * max(GRID_K)  # enough are left when siblings are left out
FOLDS = 5
PULL = 0.01
STUDENT = "student"
JOINS = 0.5  # standard errors by which an expert must lower the log loss: of those that tell nothing a third do


@dataclass(frozen=True)
class PoolChoice:
    """A pool that was chosen, and what it answered to rows that it was not fitted to.

    Parameters
    ----------
    pool : Pool
        The choice.
    unseen : (N, C) float64
        Probabilities of the held-out rows, each by weights that were fitted on the other folds.
    """

    pool: Pool
    unseen: NDArray[np.float64]


def too_few_rows(rows: int) -> bool:
    """Return whether held-out rows are too few to tell whether a memory pays: under 50."""
    return rows < FEWEST_VALIDATION


def choose_pool(encoded: EncodedTexts, labels: Labels, memory: Memory, keys: Sequence[str]) -> PoolChoice:
    """Choose k and τ_r of each key and the weights of a logarithmic pool, by the log loss over five folds.

    Each key is first pooled with the student alone. Of the k whose log loss lies within a standard error of the lowest,
    the largest is taken, the smoothest model that is as good (the one-standard-error rule of Breiman et al.,
    *Classification and Regression Trees*, 1984, with the error of the paired difference). Then
    :func:`choose_weights` lets the keys into the pool.

    Parameters
    ----------
    encoded : EncodedTexts
        Validation rows, never test rows. Their siblings in the memory are left out of the search.
    labels : (N,) int64
        Their gold labels.
    memory : Memory
        Its keys must not have been fitted to siblings of these rows; see :func:`reaugkd.method.keys.fit_keys`.
    keys : sequence of str
        Names of the keys to choose from.

    Returns
    -------
    PoolChoice
        The student alone where there are fewer than 50 rows.
    """
    temperature = fit_temperature(encoded.student_probabilities, labels)
    student = at_temperature(encoded.student_probabilities, temperature)
    if too_few_rows(len(labels)):
        return PoolChoice(Pool({name: KeySettings(GRID_K[0]) for name in keys}, 1.0, temperature), student)
    tried = {name: best_settings(encoded, student, labels, memory, name) for name in keys}
    weights, unseen = choose_weights(student, {name: said for name, (_, said) in tried.items()}, labels)
    chosen = {name: replace(settings, weight=weights[name]) for name, (settings, _) in tried.items()}
    return PoolChoice(Pool(chosen, weights[STUDENT], temperature), unseen)


def choose_weights(
    student: NDArray[np.float64], experts: Mapping[str, NDArray[np.float64]], labels: Labels
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Let experts into a logarithmic pool with the student, and fit its weights.

    The experts come in the order of their log loss with the student alone, each if it lowers the pool's log loss on
    rows that its weights were not fitted to, by half a standard error of the difference at least; any other has weight
    0 and costs nothing.

    Parameters
    ----------
    student : (N, C) float64
        ŷ_i of held-out rows, calibrated.
    experts : mapping of str to (N, C) float64
        What others say of the same rows, such as r̃_i of a key.
    labels : (N,) int64
        Gold labels.

    Returns
    -------
    tuple of dict of str to float and (N, C) float64
        The weights, the student's under the name ``student``, and each row's answer by weights of the other folds.
    """
    joined: dict[str, NDArray[np.float64]] = {}
    unseen = student
    alone = {name: log_loss(labels, _by_other_folds(student, {name: said}, labels)) for name, said in experts.items()}
    for name in sorted(experts, key=lambda name: alone[name]):
        with_it = joined | {name: experts[name]}
        answers = _by_other_folds(student, with_it, labels)
        if standard_errors_gained(unseen, answers, labels) > JOINS:
            joined, unseen = with_it, answers
    fitted = dict(zip([STUDENT, *joined], fit_weights(student, joined, labels).tolist(), strict=True))
    return {name: fitted.get(name, 0.0) for name in (STUDENT, *experts)}, unseen


def fit_weights(
    student: NDArray[np.floating], memory: Mapping[str, NDArray[np.floating]], labels: Labels, pull: float = PULL
) -> NDArray[np.float64]:
    r"""Fit the weights of a logarithmic pool by the log loss of its answers.

    .. math:: \min_{a > 0, \, b \ge 0} \; -\frac{1}{N} \sum_i \log p_i(y_i) + \frac{\pi}{2} \| (a - 1, b) \|^2

    The loss is convex in the weights. The weak pull to the student alone, π, decides where rows do not.

    Parameters
    ----------
    student : (N, C) float
        ŷ_i, calibrated.
    memory : mapping of str to (N, C) float
        r̃_i of each key.
    labels : (N,) int64
        Gold labels.
    pull : float
        π.

    Returns
    -------
    (1 + J,) float64
        a, then b_j in the order of the keys.
    """
    logs = np.stack([clipped_log(said) for said in (student, *memory.values())])
    rows, start = np.arange(len(labels)), np.zeros(len(logs))
    start[0] = 1.0
    of_gold = logs[:, rows, labels]

    def objective(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        answers = log_softmax(np.tensordot(weights, logs, axes=1), axis=1)
        expected = np.einsum("nc,jnc->jn", np.exp(answers), logs)
        distance = weights - start
        loss = -answers[rows, labels].mean() + pull * (distance @ distance) / 2
        return float(loss), -(of_gold - expected).mean(axis=1) + pull * distance

    bounds = [(1e-3, None), *[(0.0, None)] * len(memory)]
    return minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds).x


def choose_linear(
    encoded: EncodedTexts,
    labels: Labels,
    memory: Memory,
    key: str,
    metric: str,
    retrieval_weights: Sequence[float] = GRID_RETRIEVAL_WEIGHT,
) -> Pool:
    """Choose k, λ and τ_r of the paper's linear blend by one key: the best metric, among equals the lowest log loss.

    Parameters
    ----------
    encoded : EncodedTexts
        Validation rows, never test rows.
    labels : (N,) int64
        Their gold labels.
    memory : Memory
        The memory.
    key : str
        Name of the key.
    metric : str
        A key of :data:`reaugkd.measures.metrics.METRICS`.
    retrieval_weights : sequence of float
        The λ to choose from; ``(1.0,)`` for the memory alone.

    Returns
    -------
    Pool
        Of the kind ``linear``.
    """
    student, ranked = encoded.student_probabilities.astype(np.float64), []
    for settings, retrieved in _retrieved_by_settings(encoded, memory, key):
        for weight in retrieval_weights:
            answers = (1.0 - weight) * student + weight * retrieved
            score = METRICS[metric](labels, answers.argmax(axis=1))
            pool = Pool({key: settings}, kind="linear", retrieval_weight=weight)
            ranked.append((round(score, 9), -log_loss(labels, answers), pool))
    return max(ranked, key=itemgetter(0, 1))[2]


def best_settings(
    encoded: EncodedTexts, student: NDArray[np.float64], labels: Labels, memory: Memory, key: str
) -> tuple[KeySettings, NDArray[np.float64]]:
    """Choose k and τ_r of one key, pooled with the student alone; see :func:`choose_pool`.

    Parameters
    ----------
    encoded : EncodedTexts
        Held-out rows.
    student : (N, C) float64
        ŷ_i, calibrated.
    labels : (N,) int64
        Gold labels.
    memory : Memory
        The memory.
    key : str
        Name of the key.

    Returns
    -------
    tuple of KeySettings and (N, C) float64
        The largest k that is as good as the best within a standard error, with its best τ_r; and r̃_i by them.
    """
    best: dict[int, tuple[float, KeySettings, NDArray[np.float64], NDArray[np.float64]]] = {}
    for settings, retrieved in _retrieved_by_settings(encoded, memory, key):
        said = smoothed(retrieved, encoded.known)
        unseen = _by_other_folds(student, {key: said}, labels)
        one = log_loss(labels, unseen), settings, said, unseen
        best[settings.k] = min(best.get(settings.k, one), one, key=itemgetter(0))
    lowest = min(best.values(), key=itemgetter(0))[-1]
    return next(
        (settings, said)
        for _, settings, said, unseen in reversed(best.values())
        if standard_errors_gained(unseen, lowest, labels) <= 1.0
    )


def standard_errors_gained(answers: NDArray[np.float64], others: NDArray[np.float64], labels: Labels) -> float:
    """Return by how many standard errors of the paired difference the log loss of others is lower."""
    rows = np.arange(len(labels))
    gained = clipped_log(others[rows, labels]) - clipped_log(answers[rows, labels])
    mean, error = float(gained.mean()), float(gained.std(ddof=1) / np.sqrt(len(labels)))
    return mean / max(error, 1e-12)


def _by_other_folds(
    student: NDArray[np.float64], memory: Mapping[str, NDArray[np.float64]], labels: Labels
) -> NDArray[np.float64]:
    """Return each row's answer by weights that were fitted on the other folds."""
    answers = np.empty_like(student)
    for fitted, unseen in KFold(FOLDS, shuffle=True, random_state=0).split(labels):
        weights = fit_weights(student[fitted], {name: said[fitted] for name, said in memory.items()}, labels[fitted])
        of_unseen = {name: said[unseen] for name, said in memory.items()}
        answers[unseen] = np.exp(log_pool(student[unseen], of_unseen, weights))
    return answers


def _retrieved_by_settings(
    encoded: EncodedTexts, memory: Memory, key: str
) -> Iterator[tuple[KeySettings, NDArray[np.float64]]]:
    """Yield every k and τ_r, the smallest k first, and r by them; siblings of the texts are left out."""
    similarities, numbers = memory.search(key, encoded.queries[key], SEARCHED)
    left_out = are_siblings(encoded.texts, memory.rows, numbers)
    left_out[:, -1] &= ~left_out.all(axis=1)  # a text that finds siblings only keeps the farthest
    similarities, numbers = nearest_first(np.where(left_out, -np.inf, similarities), numbers)
    for k in sorted({min(k, len(memory)) for k in GRID_K}):
        for temperature in GRID_TEMPERATURE:
            found = weighed(memory.soft_labels, similarities[:, :k], numbers[:, :k], temperature)
            yield KeySettings(k, temperature), found.probabilities
