"""Step 7: score every ablation, and measure how near the student's space comes to the teacher's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reaugkd.measures.calibration import at_temperature, fit_temperature
from reaugkd.measures.metrics import METRICS, drawn_differences, interval, log_loss, score_interval
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.choice import STUDENT, choose_linear, choose_pool
from reaugkd.method.keys import ALIGNED
from reaugkd.method.memory import TEACHER, Memory
from reaugkd.method.pool import Pool
from reaugkd.networks.encoders import normalize
from reaugkd.texts import Labels

Said = dict[str, dict[str, NDArray[np.float64]]]
"""By method, then by split, the probabilities (N, C) of its answers."""


@dataclass(frozen=True)
class Networks:
    """The four networks' outputs for the validation and test rows, each a dict from split to :class:`EncodedTexts`.

    Parameters
    ----------
    teacher : dict of str to EncodedTexts
        The fine-tuned teacher; its queries are z_i, by the name :data:`reaugkd.method.memory.TEACHER`.
    student : dict of str to EncodedTexts
        The student fine-tuned without a teacher.
    kd : dict of str to EncodedTexts
        The student distilled by soft labels only.
    reaugkd : dict of str to EncodedTexts
        The student distilled with the relational loss too.

    Examples
    --------
    >>> of_splits = {split: model.encode(task.texts(split)) for split in ("validation", "test")}
    >>> networks = Networks(student=of_splits, kd=of_splits, reaugkd=of_splits, teacher=teacher_encoded)
    """

    teacher: dict[str, EncodedTexts]
    student: dict[str, EncodedTexts]
    kd: dict[str, EncodedTexts]
    reaugkd: dict[str, EncodedTexts]


def score_methods(
    networks: Networks, labels: dict[str, Labels], memory: Memory, memory_to_choose: Memory, metric: str
) -> tuple[dict[str, dict[str, float]], Pool]:
    """Score every ablation on validation and test; whatever is chosen is chosen on validation alone.

    Parameters
    ----------
    networks : Networks
        Outputs for the splits ``validation`` and ``test``; the queries of the validation rows are those of
        ``memory_to_choose``, the others' those of ``memory``.
    labels : dict of str to (N,) int64
        Gold labels by split.
    memory : Memory
        The teacher's memory.
    memory_to_choose : Memory
        The same with keys that were fitted apart from the validation rows, see
        :func:`reaugkd.method.keys.fit_keys`.
    metric : str
        A key of :data:`reaugkd.measures.metrics.METRICS`.

    Returns
    -------
    tuple of dict and Pool
        By method ``test`` and ``validation`` (the metric) and ``test_log_loss`` (nats; of a network alone at the
        temperature of the validation rows), and the pool that was chosen for ReAugKD. The pooled methods' validation
        scores are of rows to which the weights were not fitted.

    Examples
    --------
    >>> of_splits = {split: model.encode(task.texts(split)) for split in ("validation", "test")}
    >>> networks = Networks(student=of_splits, kd=of_splits, reaugkd=of_splits, teacher=teacher_encoded)
    >>> labels = {split: task.labels(split) for split in ("validation", "test")}
    >>> scores, pool = score_methods(networks, labels, memory, memory, "accuracy")
    >>> sorted(scores["reaugkd"])
    ['test', 'test_log_loss', 'validation']
    """
    said, _, pool = answer_methods(networks, labels, memory, memory_to_choose, metric)
    return {method: _scored(of_splits, labels, metric) for method, of_splits in said.items()}, pool


def answer_methods(
    networks: Networks, labels: dict[str, Labels], memory: Memory, memory_to_choose: Memory, metric: str
) -> tuple[Said, Said, Pool]:
    """Answer by every ablation.

    Parameters
    ----------
    networks, labels, memory, memory_to_choose, metric : see score_methods
        The same.

    Returns
    -------
    tuple of Said, Said and Pool
        What each method says; what each key says without a student, as the pool searches it; and that pool.
    """
    held_out, keys = labels["validation"], list(memory.keys)
    alone = {"teacher": networks.teacher, "student": networks.student, "kd": networks.kd}
    alone["reaugkd_no_retrieval"] = networks.reaugkd
    said = {method: _alone(encoded, held_out) for method, encoded in alone.items()}
    knn = choose_linear(networks.teacher["validation"], held_out, memory_to_choose, TEACHER, metric, (1.0,))
    linear = choose_linear(networks.reaugkd["validation"], held_out, memory_to_choose, ALIGNED, metric)
    memories = {"validation": memory_to_choose, "test": memory}
    for method, encoded, pool in (("teacher_knn", networks.teacher, knn), ("reaugkd_linear", networks.reaugkd, linear)):
        said[method] = {split: answer(encoded[split], of, pool).pooled.probabilities for split, of in memories.items()}
    for method, encoded in (("kd_memory", networks.kd), ("reaugkd", networks.reaugkd)):
        choice = choose_pool(encoded["validation"], held_out, memory_to_choose, keys)
        found = answer(encoded["test"], memory, choice.pool)
        said[method] = {"validation": choice.unseen, "test": found.pooled.probabilities}
    among = {"validation": answer(encoded["validation"], memory_to_choose, choice.pool), "test": found}
    votes = {key: {split: of.retrieved[key].probabilities for split, of in among.items()} for key in keys}
    return said, votes, choice.pool


def measured(
    said: Said, votes: Said, labels: Mapping[str, Labels], metric: str, baseline: str = STUDENT
) -> dict[str, Any]:
    """Score what :func:`answer_methods` returns, with 95 % intervals over the test rows.

    Parameters
    ----------
    said, votes : Said
        What methods and keys say.
    labels : mapping of str to (N,) int64
        Gold labels by split.
    metric : str
        A key of :data:`reaugkd.measures.metrics.METRICS`.
    baseline : str
        The method to which all are compared; the student that had no teacher if left out.

    Returns
    -------
    dict
        ``metric``; ``methods`` and ``keys``, scored as :func:`score_methods` says; ``intervals``, for each of both
        ``test``, the ends of the score's interval, and ``lead``, how far it is ahead of the baseline, with the ends of
        that interval by the paired bootstrap.
    """
    gold, every = labels["test"], {**said, **votes}
    predicted = {name: of_splits["test"].argmax(axis=1) for name, of_splits in every.items()}
    intervals = {
        name: {
            "test": list(score_interval(gold, numbers, metric)),
            "lead": list(interval(drawn_differences(gold, numbers, predicted[baseline], metric))),
        }
        for name, numbers in predicted.items()
    }
    scores = {name: _scored(of_splits, labels, metric) for name, of_splits in every.items()}
    methods, keys = ({name: scores[name] for name in of} for of in (said, votes))
    return {"metric": metric, "methods": methods, "keys": keys, "intervals": intervals}


def answer_keys(
    encoded: Mapping[str, EncodedTexts], labels: Mapping[str, Labels], memory: Memory, memory_to_choose: Memory
) -> tuple[Said, Pool]:
    """Answer by one classifier as it is, calibrated, with each key alone, and with all of them.

    Parameters
    ----------
    encoded : mapping of str to EncodedTexts
        What it says of the splits ``validation`` and ``test``.
    labels, memory, memory_to_choose : see score_methods
        The same.

    Returns
    -------
    tuple of Said and Pool
        What ``classifier``, ``classifier_calibrated``, ``classifier_KEY`` and ``reaugkd`` say; the pool of all keys.
    """
    held_out, names = labels["validation"], list(memory.keys)
    as_it_is = {split: rows.student_probabilities.astype(np.float64) for split, rows in encoded.items()}
    said: Said = {"classifier": as_it_is, "classifier_calibrated": _alone(encoded, held_out)}
    for method, keys in [*((f"classifier_{name}", [name]) for name in names), ("reaugkd", names)]:
        choice = choose_pool(encoded["validation"], held_out, memory_to_choose, keys)
        found = answer(encoded["test"], memory, choice.pool).pooled.probabilities
        said[method] = {"validation": choice.unseen, "test": found}
    return said, choice.pool


def _alone(encoded: Mapping[str, EncodedTexts], held_out: Labels) -> dict[str, NDArray[np.float64]]:
    """Return a network's own probabilities by split, at the temperature of the validation rows."""
    temperature = fit_temperature(encoded["validation"].student_probabilities, held_out)
    return {split: at_temperature(rows.student_probabilities, temperature) for split, rows in encoded.items()}


def _scored(
    probabilities: Mapping[str, NDArray[np.floating]], labels: Mapping[str, Labels], metric: str
) -> dict[str, float]:
    scores = {split: METRICS[metric](labels[split], probabilities[split].argmax(1)) for split in ("test", "validation")}
    return {**scores, "test_log_loss": log_loss(labels["test"], probabilities["test"])}


def alignment(
    student_embeddings: NDArray[np.floating], teacher_embeddings: NDArray[np.floating], memory: Memory, k: int = 10
) -> dict[str, float]:
    """Measure how near the student's embeddings of held-out texts land to the teacher's.

    Parameters
    ----------
    student_embeddings : (N, d) float
        x_i of texts that neither was trained on.
    teacher_embeddings : (N, d) float
        z_i of the same texts.
    memory : Memory
        The memory that both search.
    k : int
        Neighbours to compare.

    Returns
    -------
    dict of str to float
        ``overlap_at_10`` (named after k): mean share of the k nearest memories that both find, 0 to 1.
        ``class_agreement_at_10``: mean overlap of the classes of those memories, 0 to 1. ``cka``: see :func:`cka`.
        ``cosine``: mean of x_i · z_i, -1 to 1. ``within_class_cosine``: see :func:`within_class_cosine`; where it
        is near 1 a class has collapsed to a point, its memories are equally near, and the overlap says little.
    """
    _, by_student = memory.search(TEACHER, student_embeddings, k)
    _, by_teacher = memory.search(TEACHER, teacher_embeddings, k)
    shared = [len(set(mine) & set(theirs)) / len(mine) for mine, theirs in zip(by_student, by_teacher, strict=True)]
    names, classes = np.unique(memory.rows["label"], return_inverse=True)
    return {
        f"overlap_at_{k}": float(np.mean(shared)),
        f"class_agreement_at_{k}": class_agreement(classes[by_student], classes[by_teacher], len(names)),
        "cka": cka(student_embeddings, teacher_embeddings),
        "cosine": float((normalize(student_embeddings) * normalize(teacher_embeddings)).sum(axis=1).mean()),
        "within_class_cosine": within_class_cosine(memory),
    }


def class_agreement(
    student_neighbours: NDArray[np.integer], teacher_neighbours: NDArray[np.integer], classes: int
) -> float:
    """Return the mean overlap of the class shares among both lists of neighbours, Σ_c min(a_c, b_c).

    Parameters
    ----------
    student_neighbours, teacher_neighbours : (N, k) int64
        Class numbers of the memories that each finds.
    classes : int
        Number of classes.

    Returns
    -------
    float
        From 0 to 1.
    """
    by_student, by_teacher = (np.eye(classes)[found].mean(axis=1) for found in (student_neighbours, teacher_neighbours))
    return float(np.minimum(by_student, by_teacher).sum(axis=1).mean())


def cka(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    r"""Return the linear centred kernel alignment of two spaces (Kornblith et al. 2019, section 3).

    .. math:: \frac{\|Y^\top X\|_F^2}{\|X^\top X\|_F \, \|Y^\top Y\|_F}

    Parameters
    ----------
    one, other : (N, d) float
        Embeddings of the same texts, columns centred here; the widths may differ.

    Returns
    -------
    float
        From 0 to 1; 1 for spaces that differ by a rotation and a scale.
    """
    x, y = (space.astype(np.float64) - space.mean(axis=0, dtype=np.float64) for space in (one, other))
    scale = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / scale) if scale else 0.0


def within_class_cosine(memory: Memory) -> float:
    """Return the mean cosine of two memories of one class, averaged over the classes; 1 is a collapsed space.

    Parameters
    ----------
    memory : Memory
        The memory; classes of a single row do not count.

    Returns
    -------
    float
        From -1 to 1; NaN if every class has a single row.
    """
    cosines = []
    for _, rows in memory.rows.reset_index(drop=True).groupby("label"):
        if len(rows) > 1:
            total = memory.teacher_embeddings[rows.index].sum(axis=0, dtype=np.float64)
            cosines.append((total @ total - len(rows)) / (len(rows) * (len(rows) - 1)))
    return float(np.mean(cosines)) if cosines else float("nan")
