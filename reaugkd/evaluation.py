"""Step 6: choose k, λ and τ on held-out rows, and score every ablation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from reaugkd.calibration import at_temperature, fit_temperature
from reaugkd.data import FEWEST_VALIDATION
from reaugkd.evaluation_set import EvaluationSet
from reaugkd.gate import Gate, fit_gate, gain_is_certain, gate_features
from reaugkd.inference import ReAugKDClassifier
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.metrics import METRICS, log_loss
from reaugkd.retrieval import (
    RetrievalSettings,
    Retrieved,
    blend,
    combine,
    retrieve,
    weighed,
)
from reaugkd.siblings import siblings
from reaugkd.significance import paired_bootstrap
from reaugkd.texts import Labels, Text

GRID_K = (4, 8, 16, 32, 64)
GRID_TEMPERATURE = (0.02, 0.05, 0.1, 0.2)
GRID_PENALTY = (1.0, 0.1, 0.01)
FOLDS = 5
GATE_CONFIDENCE, GATE_DRAWS = 0.8, 300  # a tenth of the draws lies below
BEYOND_DOUBT = 2.58  # standard errors: chance goes so far once in two hundred times
ONE_ERROR = 1.0  # standard error by which a log loss must be lower before more memories are taken for it
SEARCHED = 2 * max(GRID_K)  # enough are left when siblings are left out
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
    texts : sequence of Text, optional
        The rows; where something is chosen on them, their :mod:`~reaugkd.siblings` in the memory are left out.
    """

    embeddings: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    texts: Sequence[Text] | None = None


def answer(queries: Encoded, knowledge_base: KnowledgeBase, retrieval: RetrievalSettings) -> NDArray[np.float64]:
    """Return the combined probabilities of encoded rows.

    Parameters
    ----------
    queries : Encoded
        N rows.
    knowledge_base : KnowledgeBase
        The memory.
    retrieval : RetrievalSettings
        k, λ or the gate, and τ_r.

    Returns
    -------
    (N, C) float64
        Rows sum to 1.
    """
    retrieved = retrieve(knowledge_base, queries.embeddings, retrieval, queries.probabilities.shape[1])
    return combine(queries.probabilities, retrieved, retrieval).probabilities


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
    best: tuple[tuple[float, float], RetrievalSettings] | None = None
    for k, temperature, retrieved in _retrieved_by_settings(queries, knowledge_base):
        for retrieval_weight in retrieval_weights:
            probabilities = blend(queries.probabilities, retrieved.probabilities, retrieval_weight)
            score = METRICS[metric](labels, probabilities.argmax(axis=1))
            rank = (round(score, 9), -log_loss(labels, probabilities))
            if best is None or rank > best[0]:
                best = rank, RetrievalSettings(k, retrieval_weight, temperature)
    assert best is not None
    return best[1]


def _retrieved_by_settings(queries: Encoded, knowledge_base: KnowledgeBase) -> Iterator[tuple[int, float, Retrieved]]:
    """Yield every k and τ_r to choose from, and what the memory says by them; siblings of the queries are left out."""
    similarities, numbers = knowledge_base.search(queries.embeddings, SEARCHED)
    if queries.texts is not None:
        left_out = siblings(queries.texts, knowledge_base.rows, numbers)
        left_out[:, -1] &= ~left_out.all(axis=1)  # whoever has siblings only keeps the farthest
        similarities = np.where(left_out, -np.inf, similarities)
        order = np.argsort(-similarities, axis=1, kind="stable")
        similarities = np.take_along_axis(similarities, order, axis=1)
        numbers = np.take_along_axis(numbers, order, axis=1)
    for k in sorted({min(k, len(knowledge_base)) for k in GRID_K}):
        for temperature in GRID_TEMPERATURE:
            yield k, temperature, weighed(knowledge_base, similarities[:, :k], numbers[:, :k], temperature)


def too_few_for_a_gate(rows: int) -> int | None:
    """Return the number of validation rows where they are too few to try a gate on.

    Parameters
    ----------
    rows : int
        How many there are.

    Returns
    -------
    int or None
        The same, or None where they are enough.
    """
    return rows if rows < FEWEST_VALIDATION else None


@dataclass(frozen=True)
class GateChoice:
    """A fitted gate with its k and τ_r.

    Parameters
    ----------
    retrieval : RetrievalSettings
        With the gate.
    log_loss : float
        Of the held-out rows, in nats, by gates that were not fitted on them.
    """

    retrieval: RetrievalSettings
    log_loss: float


def choose_gate(queries: Encoded, labels: Labels, knowledge_base: KnowledgeBase, metric: str) -> GateChoice:
    """Fit the gate on held-out rows, and choose k and τ_r with it, by the log loss over five folds.

    The gate is closed unless, on folds that it was not fitted on, the log loss falls by more than chance and nine
    draws of ten do not lower the metric: a memory that tells nothing new must cost nothing. Where the fall is beyond
    doubt, the metric, which is the coarser measure, only must not fall.

    Of the k whose log loss lies within a standard error of the lowest, the smallest is taken (the one-standard-error
    rule of Breiman et al., *Classification and Regression Trees*, 1984, with the error of the paired difference): a
    class that is added later has few rows, and among 64 neighbours they would be outvoted. The gate opens by the
    smallest of them that opens it.

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

    Returns
    -------
    GateChoice
        Closed where there are fewer than 50 rows.
    """
    temperature = fit_temperature(queries.probabilities, labels)
    student = at_temperature(queries.probabilities, temperature)
    closed, by_student = Gate.closed(temperature), log_loss(labels, student)
    if too_few_for_a_gate(len(labels)) is not None:
        return GateChoice(RetrievalSettings(GRID_K[0], 0.0, gate=closed), by_student)
    tried = _best_by_k(queries, student, labels, knowledge_base)
    best = min(tried, key=lambda one: one.log_loss)
    alike = [one for one in tried if one is best or not gain_is_certain(best.unseen, one.unseen, labels, ONE_ERROR)]
    chosen = next((one for one in alike if _pays(one.unseen, student, labels, metric)), None)
    if chosen is None:
        return GateChoice(replace(alike[0].settings, gate=closed), by_student)
    gate = fit_gate(chosen.features, student, chosen.retrieved, labels, chosen.penalty, temperature)
    mean = float(gate.weights_of(chosen.features).mean())
    return GateChoice(replace(chosen.settings, retrieval_weight=round(mean, 2), gate=gate), chosen.log_loss)


@dataclass(frozen=True)
class _Tried:
    """A setting of the gate, and what it answered on the folds that it was not fitted on."""

    settings: RetrievalSettings
    penalty: float
    features: NDArray[np.float64]
    retrieved: NDArray[np.float64]
    unseen: NDArray[np.float64]
    log_loss: float


def _best_by_k(
    queries: Encoded, student: NDArray[np.float64], labels: Labels, knowledge_base: KnowledgeBase
) -> list[_Tried]:
    """Return, for each k from the smallest on, the τ_r and the penalty of the lowest log loss."""
    folds = list(KFold(FOLDS, shuffle=True, random_state=0).split(labels))
    best: dict[int, _Tried] = {}
    for k, tau, retrieved in _retrieved_by_settings(queries, knowledge_base):
        features = gate_features(student, retrieved.similarities, retrieved.probabilities)
        for penalty in GRID_PENALTY:
            unseen = _by_other_folds(features, student, retrieved.probabilities, labels, penalty, folds)
            loss = log_loss(labels, unseen)
            if k not in best or loss < best[k].log_loss:
                settings = RetrievalSettings(k, 0.0, tau)
                best[k] = _Tried(settings, penalty, features, retrieved.probabilities, unseen, loss)
    return list(best.values())


def _pays(unseen: NDArray[np.float64], student: NDArray[np.float64], labels: Labels, metric: str) -> bool:
    """Return whether the gate's answers to unseen rows are better than the student's by more than chance."""
    gain = paired_bootstrap(
        labels, unseen.argmax(axis=1), student.argmax(axis=1), metric, confidence=GATE_CONFIDENCE, draws=GATE_DRAWS
    )
    if gain.low >= 0 and gain_is_certain(unseen, student, labels):
        return True
    return gain.mean >= 0 and gain_is_certain(unseen, student, labels, BEYOND_DOUBT)


def _by_other_folds(
    features: NDArray[np.float64],
    student: NDArray[np.float64],
    retrieved: NDArray[np.floating],
    labels: Labels,
    penalty: float,
    folds: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> NDArray[np.float64]:
    """Return each row's answer by the gate that was fitted on the other folds."""
    answers = np.empty_like(student)
    for fitted, held_out in folds:
        gate = fit_gate(features[fitted], student[fitted], retrieved[fitted], labels[fitted], penalty)
        weights = gate.weights_of(features[held_out])
        answers[held_out] = blend(student[held_out], retrieved[held_out], weights[:, None])
    return answers


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
    second_keys : dict of str to (N, d') float32, optional
        The untuned encoder's embeddings of the same rows.
    """

    teacher: dict[str, Encoded]
    student: dict[str, Encoded]
    kd: dict[str, Encoded]
    reaugkd: dict[str, Encoded]
    second_keys: dict[str, NDArray[np.float32]] | None = None

    def by_second_key(self, encoded: dict[str, Encoded]) -> dict[str, Encoded]:
        """Return a student's outputs with the second key in the place of its embeddings."""
        keys = self.second_keys or {}
        return {split: replace(encoded[split], embeddings=keys[split]) for split in keys}


@dataclass(frozen=True)
class Scored:
    """The table of ablations, and the choice behind its last row.

    Parameters
    ----------
    methods : dict of str to dict of str to float
        Score by method and split.
    retrieval : RetrievalSettings
        What was chosen for ReAugKD.
    by_second_key : bool
        Whether the second key told more on the validation rows than the student's.
    """

    methods: dict[str, dict[str, float]]
    retrieval: RetrievalSettings
    by_second_key: bool


def score_methods(
    networks: Networks,
    labels: dict[str, Labels],
    knowledge_base: KnowledgeBase,
    kd_knowledge_base: KnowledgeBase,
    metric: str,
    second_knowledge_base: KnowledgeBase | None = None,
) -> Scored:
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
    second_knowledge_base : KnowledgeBase, optional
        The same memories, keyed by the untuned encoder; needs ``networks.second_keys``.

    Returns
    -------
    Scored
        Scores by method and split, and what was chosen for ReAugKD.
    """
    held_out = labels["validation"]
    alone = RetrievalSettings(k=1, retrieval_weight=0.0)

    def chosen(encoded: dict[str, Encoded], memory: KnowledgeBase, *weights: float) -> RetrievalSettings:
        return choose_retrieval(encoded["validation"], held_out, memory, metric, weights or GRID_RETRIEVAL_WEIGHT)

    def gated(encoded: dict[str, Encoded], memory: KnowledgeBase) -> GateChoice:
        return choose_gate(encoded["validation"], held_out, memory, metric)

    ours, memory, choice = networks.reaugkd, knowledge_base, gated(networks.reaugkd, knowledge_base)
    plan = {
        "teacher": (networks.teacher, knowledge_base, alone),
        "teacher_knn": (networks.teacher, knowledge_base, chosen(networks.teacher, knowledge_base, 1.0)),
        "student": (networks.student, knowledge_base, alone),
        "kd": (networks.kd, knowledge_base, alone),
        "kd_own_memory": (networks.kd, kd_knowledge_base, chosen(networks.kd, kd_knowledge_base)),
        "reaugkd_no_retrieval": (networks.reaugkd, knowledge_base, alone),
        "retrieval_only": (networks.reaugkd, knowledge_base, chosen(networks.reaugkd, knowledge_base, 1.0)),
        "reaugkd_fixed_weight": (networks.reaugkd, knowledge_base, chosen(networks.reaugkd, knowledge_base)),
    }
    by_second_key = False
    if second_knowledge_base is not None:
        kd, second = networks.by_second_key(networks.kd), networks.by_second_key(networks.reaugkd)
        plan["kd_second_key"] = kd, second_knowledge_base, gated(kd, second_knowledge_base).retrieval
        second_choice = gated(second, second_knowledge_base)
        by_second_key = second_choice.log_loss < choice.log_loss
        if by_second_key:
            ours, memory, choice = second, second_knowledge_base, second_choice
    plan["reaugkd"] = ours, memory, choice.retrieval
    scores = {}
    for method, (encoded, searched, settings) in plan.items():
        predictions = {
            split: answer(encoded[split], searched, settings).argmax(axis=1) for split in ("test", "validation")
        }
        scores[method] = {split: METRICS[metric](labels[split], found) for split, found in predictions.items()}
    return Scored(scores, choice.retrieval, by_second_key)


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
    evaluation_set, metric = EvaluationSet.of(model, rows), model.parts.settings.metric
    weights = {"reaugkd_no_retrieval": 0.0, "retrieval_only": 1.0, "reaugkd": None}
    scores = {}
    for method, weight in weights.items():
        retrieval = model.retrieval.overridden(retrieval_weight=weight)
        found = evaluation_set.answered(model.memory, retrieval).predicted["answer"]
        scores[method] = METRICS[metric](evaluation_set.labels, found)
    return {"metric": metric, "rows": len(rows), "methods": scores}
