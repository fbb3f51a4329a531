"""Step 6: choose k, λ and τ on held-out rows, and score every ablation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.inference import ReAugKDClassifier
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.metrics import METRICS, Labels, log_loss
from reaugkd.retrieval import RetrievalSettings, blend, neighbour_weights, retrieved_probabilities

METHODS = (
    "teacher",
    "teacher_knn",
    "student",
    "kd",
    "kd_own_memory",
    "reaugkd_no_retrieval",
    "retrieval_only",
    "reaugkd",
)
GRID_K = (4, 8, 16, 32, 64)
GRID_TEMPERATURE = (0.02, 0.05, 0.1, 0.2)
GRID_RETRIEVAL_WEIGHT = tuple(round(0.1 * step, 1) for step in range(1, 10))


@dataclass(frozen=True)
class Encoded:
    """What a network says of N rows.

    Parameters
    ----------
    embeddings : (N, d) float32
        The queries: x_i, or z_i for a teacher.
    probabilities : (N, C) float32
        Class probabilities by its own classifier.
    """

    embeddings: NDArray[np.float32]
    probabilities: NDArray[np.float32]


def answer(queries: Encoded, knowledge_base: KnowledgeBase, retrieval: RetrievalSettings) -> NDArray[np.float64]:
    """Return the combined probabilities of encoded rows.

    Parameters
    ----------
    queries : Encoded
        N rows.
    knowledge_base : KnowledgeBase
        The memory.
    retrieval : RetrievalSettings
        k, λ and τ_r.

    Returns
    -------
    (N, C) float64
        Rows sum to 1.
    """
    similarities, numbers = knowledge_base.search(queries.embeddings, retrieval.k)
    weights = neighbour_weights(similarities, retrieval.temperature)
    retrieved = retrieved_probabilities(weights, knowledge_base.soft_labels[numbers])
    return blend(queries.probabilities, retrieved, retrieval.retrieval_weight)


def choose_retrieval(
    queries: Encoded,
    labels: Labels,
    knowledge_base: KnowledgeBase,
    metric: str,
    retrieval_weights: Sequence[float] = GRID_RETRIEVAL_WEIGHT,
) -> RetrievalSettings:
    """Choose k, λ and τ_r on held-out rows: the best metric, among equals the lowest log loss.

    Parameters
    ----------
    queries : Encoded
        Validation rows, never test rows.
    labels : (N,) int64
        Their gold labels.
    knowledge_base : KnowledgeBase
        The memory.
    metric : str
        A key of :data:`reaugkd.metrics.METRICS`.
    retrieval_weights : sequence of float
        The λ to choose from; ``(1.0,)`` for retrieval alone.

    Returns
    -------
    RetrievalSettings
        The choice.
    """
    all_similarities, all_numbers = knowledge_base.search(queries.embeddings, max(GRID_K))
    best: tuple[tuple[float, float], RetrievalSettings] | None = None
    for k in sorted({min(k, len(knowledge_base)) for k in GRID_K}):
        neighbour_soft_labels = knowledge_base.soft_labels[all_numbers[:, :k]]
        for temperature in GRID_TEMPERATURE:
            weights = neighbour_weights(all_similarities[:, :k], temperature)
            retrieved = retrieved_probabilities(weights, neighbour_soft_labels)
            for retrieval_weight in retrieval_weights:
                probabilities = blend(queries.probabilities, retrieved, retrieval_weight)
                score = METRICS[metric](labels, probabilities.argmax(axis=1))
                rank = (round(score, 9), -log_loss(labels, probabilities))
                if best is None or rank > best[0]:
                    best = rank, RetrievalSettings(k, retrieval_weight, temperature)
    assert best is not None
    return best[1]


@dataclass(frozen=True)
class Networks:
    """The four networks' outputs for the validation and test rows, each a dict from split to :class:`Encoded`.

    Parameters
    ----------
    teacher : dict of str to Encoded
        The fine-tuned teacher; embeddings are z_i.
    student : dict of str to Encoded
        The student fine-tuned without a teacher.
    kd : dict of str to Encoded
        The student distilled by soft labels only.
    reaugkd : dict of str to Encoded
        The student distilled with the relational loss too.
    """

    teacher: dict[str, Encoded]
    student: dict[str, Encoded]
    kd: dict[str, Encoded]
    reaugkd: dict[str, Encoded]


def score_methods(
    networks: Networks,
    labels: dict[str, Labels],
    knowledge_base: KnowledgeBase,
    kd_knowledge_base: KnowledgeBase,
    metric: str,
) -> tuple[dict[str, dict[str, float]], RetrievalSettings]:
    """Score every ablation on validation and test; whatever is chosen is chosen on validation alone.

    Parameters
    ----------
    networks : Networks
        Outputs for the splits ``validation`` and ``test``.
    labels : dict of str to (N,) int64
        Gold labels by split.
    knowledge_base : KnowledgeBase
        The teacher's memory, keyed by z_i.
    kd_knowledge_base : KnowledgeBase
        The same memories, keyed by the KD student's own embeddings.
    metric : str
        A key of :data:`reaugkd.metrics.METRICS`.

    Returns
    -------
    tuple
        Scores by method and split, and the retrieval settings chosen for ReAugKD.
    """
    held_out = labels["validation"]
    alone = RetrievalSettings(k=1, retrieval_weight=0.0)

    def chosen(encoded: dict[str, Encoded], memory: KnowledgeBase, *weights: float) -> RetrievalSettings:
        return choose_retrieval(encoded["validation"], held_out, memory, metric, weights or GRID_RETRIEVAL_WEIGHT)

    retrieval = chosen(networks.reaugkd, knowledge_base)
    plan = {
        "teacher": (networks.teacher, knowledge_base, alone),
        "teacher_knn": (networks.teacher, knowledge_base, chosen(networks.teacher, knowledge_base, 1.0)),
        "student": (networks.student, knowledge_base, alone),
        "kd": (networks.kd, knowledge_base, alone),
        "kd_own_memory": (networks.kd, kd_knowledge_base, chosen(networks.kd, kd_knowledge_base)),
        "reaugkd_no_retrieval": (networks.reaugkd, knowledge_base, alone),
        "retrieval_only": (networks.reaugkd, knowledge_base, chosen(networks.reaugkd, knowledge_base, 1.0)),
        "reaugkd": (networks.reaugkd, knowledge_base, retrieval),
    }
    scores = {}
    for method, (encoded, memory, settings) in plan.items():
        predictions = {
            split: answer(encoded[split], memory, settings).argmax(axis=1) for split in ("test", "validation")
        }
        scores[method] = {split: METRICS[metric](labels[split], found) for split, found in predictions.items()}
    return scores, retrieval


def evaluate_model(model: ReAugKDClassifier, rows: pd.DataFrame) -> dict[str, Any]:
    """Score a trained model on rows with gold labels.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    rows : DataFrame
        Columns ``text``, ``label`` (names of classes) and, for pairs, ``text_pair``.

    Returns
    -------
    dict
        ``metric``, ``rows``, and ``methods``: the score of the student alone, of the memory alone and of both.

    Raises
    ------
    ReAugKDError
        If there are no rows, a text is empty, or a label is not one of the model's classes.
    """
    settings = model.parts.settings
    if rows.empty:
        raise ReAugKDError("There are no rows to evaluate on; give a table with at least one.")
    unknown = sorted({str(label) for label in rows["label"]} - set(settings.label_names))
    if unknown:
        raise ReAugKDError(f"The model has no class {unknown[0]!r}; its classes are {', '.join(settings.label_names)}.")
    columns = ["text", "text_pair"] if settings.is_pair else ["text"]
    texts = [tuple(row) if settings.is_pair else row[0] for row in rows[columns].fillna("").itertuples(index=False)]
    labels = np.asarray([settings.label_names.index(label) for label in rows["label"]], dtype=np.int64)
    encoded = Encoded(*model.embed(texts))
    weights = {"reaugkd_no_retrieval": 0.0, "retrieval_only": 1.0, "reaugkd": model.retrieval.retrieval_weight}
    scores = {}
    for method, weight in weights.items():
        retrieval = model.retrieval.overridden(retrieval_weight=weight)
        predictions = answer(encoded, model.parts.knowledge_base, retrieval).argmax(axis=1)
        scores[method] = METRICS[settings.metric](labels, predictions)
    return {"metric": settings.metric, "rows": len(rows), "methods": scores}
