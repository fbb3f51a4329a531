"""Step 7: score every ablation; whatever is chosen is chosen on held-out rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reaugkd.measures.calibration import at_temperature, fit_temperature
from reaugkd.measures.metrics import METRICS, log_loss
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.choice import choose_linear, choose_pool
from reaugkd.method.keys import ALIGNED
from reaugkd.method.memory import TEACHER, Memory
from reaugkd.method.pool import Pool
from reaugkd.texts import Labels


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
        :func:`reaugkd.method.key_fitting.fit_keys`.
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
    held_out, keys = labels["validation"], list(memory.keys)
    alone = {"teacher": networks.teacher, "student": networks.student, "kd": networks.kd}
    alone["reaugkd_no_retrieval"] = networks.reaugkd
    said = {method: _alone(encoded, held_out) for method, encoded in alone.items()}
    knn = choose_linear(networks.teacher["validation"], held_out, memory_to_choose, TEACHER, metric, (1.0,))
    linear = choose_linear(networks.reaugkd["validation"], held_out, memory_to_choose, ALIGNED, metric)
    for method, encoded, pool in (
        ("teacher_knn", networks.teacher, knn),
        ("reaugkd_linear", networks.reaugkd, linear),
    ):
        said[method] = {
            "validation": answer(encoded["validation"], memory_to_choose, pool).pooled.probabilities,
            "test": answer(encoded["test"], memory, pool).pooled.probabilities,
        }
    pools = {}
    for method, encoded in (("kd_memory", networks.kd), ("reaugkd", networks.reaugkd)):
        choice = choose_pool(encoded["validation"], held_out, memory_to_choose, keys)
        pools[method] = choice.pool
        found = answer(encoded["test"], memory, choice.pool).pooled.probabilities
        said[method] = {"validation": choice.unseen, "test": found}
    return {method: _scored(probabilities, labels, metric) for method, probabilities in said.items()}, pools["reaugkd"]


def _alone(encoded: Mapping[str, EncodedTexts], held_out: Labels) -> dict[str, NDArray[np.float64]]:
    """Return a network's own probabilities by split, at the temperature of the validation rows."""
    temperature = fit_temperature(encoded["validation"].student_probabilities, held_out)
    return {split: at_temperature(rows.student_probabilities, temperature) for split, rows in encoded.items()}


def _scored(
    probabilities: Mapping[str, NDArray[np.floating]], labels: Mapping[str, Labels], metric: str
) -> dict[str, float]:
    scores = {
        split: METRICS[metric](labels[split], probabilities[split].argmax(axis=1)) for split in ("test", "validation")
    }
    return {**scores, "test_log_loss": log_loss(labels["test"], probabilities["test"])}
