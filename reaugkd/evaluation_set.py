"""Rows with gold labels, run through the student once: a slider or an edit of the memory only retrieves anew."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.inference import Explanation, ReAugKDClassifier
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.retrieval import Combined, RetrievalSettings, Retrieved, combine, retrieve
from reaugkd.texts import Labels, label_text, rows_with, texts_of

EFFECTS = ("fixed", "broken", "changed", "none")
"""What a change did to an answer: wrong to right, right to wrong, wrong to wrong otherwise, or nothing."""


@dataclass(frozen=True)
class EvaluationSet:
    """N rows, and what the networks say of them.

    Parameters
    ----------
    rows : DataFrame
        ``text``, ``label`` (names of gold classes), for pairs ``text_pair``, and further columns.
    label_names : tuple of str
        The C classes.
    embeddings : (N, d) float32
        x_i.
    student_probabilities : (N, C') float32
        ŷ_i over the classes that the student was trained on, the first of the C.
    query_keys : (N, d') float32
        What the memory is searched with.
    teacher_probabilities : (N, C) float32 or None
        The teacher's own, where they are known.
    """

    rows: pd.DataFrame
    label_names: tuple[str, ...]
    embeddings: NDArray[np.float32]
    student_probabilities: NDArray[np.float32]
    query_keys: NDArray[np.float32]
    teacher_probabilities: NDArray[np.float32] | None

    @classmethod
    def of(cls, model: ReAugKDClassifier, rows: pd.DataFrame) -> "EvaluationSet":
        """Run a model's student, and its second key, over rows.

        Parameters
        ----------
        model : ReAugKDClassifier
            The model.
        rows : DataFrame
            ``text``, ``label`` (a name or, where names are numbers, a number) and, for pairs, ``text_pair``;
            ``teacher_soft_labels`` where the teacher's are known.

        Returns
        -------
        EvaluationSet
            The rows with what the networks say.

        Raises
        ------
        ReAugKDError
            If there are no rows, a text is empty, or a label is not one of the model's classes.
        """
        settings = model.parts.settings
        if rows.empty:
            raise ReAugKDError("There are no rows to evaluate on; give a table with at least one.")
        names = set(settings.label_names)
        rows = rows.assign(label=[label if label in names else label_text(label) for label in rows["label"]])
        unknown = sorted(set(rows["label"]) - names)
        if unknown:
            raise ReAugKDError(
                f"The model has no class {unknown[0]!r}; its classes are {', '.join(settings.label_names)}."
            )
        texts = texts_of(rows, settings.is_pair)
        embeddings, probabilities = model.embed(texts)
        teacher = None
        if "teacher_soft_labels" in rows.columns:
            teacher = np.stack(rows["teacher_soft_labels"].to_list()).astype(np.float32)
            teacher = np.pad(teacher, ((0, 0), (0, len(settings.label_names) - teacher.shape[1])))
            rows = rows.drop(columns="teacher_soft_labels")
        keys = model.query_keys(texts, embeddings)
        return cls(rows.reset_index(drop=True), settings.label_names, embeddings, probabilities, keys, teacher)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> Labels:
        """Gold labels (N,) int64, as numbers of classes."""
        return np.asarray([self.label_names.index(label) for label in self.rows["label"]], dtype=np.int64)

    def with_classes(self, label_names: tuple[str, ...]) -> "EvaluationSet":
        """Return the same rows for an edited model, whose classes begin with those of this set."""
        teacher = self.teacher_probabilities
        if teacher is not None:
            teacher = np.pad(teacher, ((0, 0), (0, len(label_names) - teacher.shape[1])))
        return replace(self, label_names=label_names, teacher_probabilities=teacher)

    def part(self, rows: Sequence[int]) -> "EvaluationSet":
        """Return some of the rows, which keep their numbers as the index of the table."""
        numbers = np.asarray(rows, dtype=np.int64)
        teacher = self.teacher_probabilities
        return replace(
            self,
            rows=self.rows.iloc[numbers],
            embeddings=self.embeddings[numbers],
            student_probabilities=self.student_probabilities[numbers],
            query_keys=self.query_keys[numbers],
            teacher_probabilities=None if teacher is None else teacher[numbers],
        )

    def answered(self, memory: KnowledgeBase, retrieval: RetrievalSettings) -> "Answered":
        """Answer all rows by one memory and one setting; no network runs.

        Parameters
        ----------
        memory : KnowledgeBase
            The model's memory, or an edited one.
        retrieval : RetrievalSettings
            k, λ or the gate, and τ_r.

        Returns
        -------
        Answered
            The answers.
        """
        retrieved = retrieve(memory, self.query_keys, retrieval, self.student_probabilities.shape[1])
        return Answered(self, retrieved, combine(self.student_probabilities, retrieved, retrieval))


@dataclass(frozen=True)
class Answered:
    """The answers to an evaluation set.

    Parameters
    ----------
    asked : EvaluationSet
        The rows.
    retrieved : Retrieved
        What the memory said of each.
    combined : Combined
        The answers.
    """

    asked: EvaluationSet
    retrieved: Retrieved
    combined: Combined

    @property
    def predicted(self) -> dict[str, Labels]:
        """Predicted labels (N,) int64 by who says so, as :attr:`probabilities`."""
        return {voice: said.argmax(axis=1) for voice, said in self.probabilities.items()}

    @property
    def probabilities(self) -> dict[str, NDArray[np.floating]]:
        """Probabilities (N, C) by who says so: ``teacher`` where known, ``student``, ``retrieved``, ``answer``."""
        asked = self.asked
        teacher = {} if asked.teacher_probabilities is None else {"teacher": asked.teacher_probabilities}
        return teacher | {
            "student": asked.student_probabilities,
            "retrieved": self.retrieved.probabilities,
            "answer": self.combined.probabilities,
        }

    def table(self, instead_of: "Answered | None" = None) -> pd.DataFrame:
        """Return a row for each text, to filter and to save.

        Parameters
        ----------
        instead_of : Answered, optional
            Other answers to the same rows, such as those by what was chosen in training.

        Returns
        -------
        DataFrame
            ``id`` and ``split`` where there are, ``text``, ``text_pair`` of pairs, ``label``; what ``teacher``,
            ``student``, ``retrieved`` and ``answer`` name; ``probability`` of the answer, ``student_probability`` and
            ``teacher_probability`` of theirs; λ as ``weight``; ``effect`` of retrieval, one of :data:`EFFECTS`; where
            there are other answers, ``flip``: what these are instead of them, one of the same; then further columns.
        """
        names, predicted = np.asarray(self.asked.label_names), self.predicted
        found: dict[str, Any] = {voice: names[numbers] for voice, numbers in predicted.items()}
        found["probability"] = self.combined.probabilities.max(axis=1)
        found["student_probability"] = self.asked.student_probabilities.max(axis=1)
        if self.asked.teacher_probabilities is not None:
            found["teacher_probability"] = self.asked.teacher_probabilities.max(axis=1)
        found["weight"] = self.combined.retrieval_weights
        found["effect"] = effects(self.asked.labels, predicted["student"], predicted["answer"])
        if instead_of is not None:
            found["flip"] = effects(self.asked.labels, instead_of.predicted["answer"], predicted["answer"])
        return rows_with(self.asked.rows, found)


def explain_row(model: ReAugKDClassifier, asked: EvaluationSet, row: int, retrieval: RetrievalSettings) -> Explanation:
    """Take the answer to one row apart, as :meth:`ReAugKDClassifier.explain` does; no network runs."""
    text = texts_of(asked.rows.iloc[[row]], model.parts.settings.is_pair)[0]
    return model.explain_embedding(
        text, asked.embeddings[row], asked.student_probabilities[row], retrieval, asked.query_keys[row]
    )


def effects(labels: Labels, before: Labels, after: Labels) -> NDArray[np.str_]:
    """Return what a change did to each answer, (N,) of :data:`EFFECTS`; all arguments are (N,) int64."""
    changed = before != after
    kinds = [changed & (after == labels), changed & (before == labels), changed]
    return np.select(kinds, EFFECTS[:3], EFFECTS[3])


def held_out(model: ReAugKDClassifier, splits: Sequence[str] = ("validation", "test")) -> pd.DataFrame:
    """Return the rows that a model carries for its evaluation.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    splits : sequence of str
        Which of ``validation`` and ``test``.

    Returns
    -------
    DataFrame
        For :meth:`EvaluationSet.of`.

    Raises
    ------
    ReAugKDError
        If the model carries none.
    """
    rows = model.parts.evaluation_rows
    if rows is None:
        raise ReAugKDError("The model carries no evaluation rows; train it again, or give rows with gold labels.")
    return rows[rows["split"].isin(list(splits))].reset_index(drop=True)


def changed_rows(before: ReAugKDClassifier, after: ReAugKDClassifier, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that two models answer differently, each by its own memory and choice.

    Parameters
    ----------
    before, after : ReAugKDClassifier
        The models, such as one and its edited version; the classes of the first are the first of the second.
    rows : DataFrame
        As :meth:`EvaluationSet.of` takes them.

    Returns
    -------
    DataFrame
        ``text``, ``label``, ``before``, ``after``, ``effect`` and further columns, in the order of the rows.
    """
    first, second = (EvaluationSet.of(model, rows) for model in (before, after))
    answers = [asked.answered(model.memory, model.retrieval) for asked, model in ((first, before), (second, after))]
    return compared(*answers)


def changed_by_edits(asked: EvaluationSet, before: ReAugKDClassifier, after: ReAugKDClassifier) -> pd.DataFrame:
    """Return the rows that two versions of one model answer differently, as :func:`changed_rows`; no network runs.

    Parameters
    ----------
    asked : EvaluationSet
        Rows that the student of both has been run over.
    before, after : ReAugKDClassifier
        The versions: the same student and second key, with memories, gates or λ of their own; the classes of the first
        are the first of the second.

    Returns
    -------
    DataFrame
        As :func:`changed_rows` gives it.
    """
    old, new = (
        asked.with_classes(model.parts.settings.label_names).answered(model.memory, model.retrieval)
        for model in (before, after)
    )
    return compared(old, new)


def effect_counts(changed: pd.DataFrame) -> dict[str, int]:
    """Count what a change did.

    Parameters
    ----------
    changed : DataFrame
        As :func:`changed_rows` and :func:`changed_by_edits` give it.

    Returns
    -------
    dict of str to int
        How many answers are ``fixed``, ``broken`` and ``changed``, which is from wrong to wrong; 0 where none is.
    """
    return {effect: int((changed["effect"] == effect).sum()) for effect in EFFECTS[:3]}


def compared(before: "Answered", after: "Answered") -> pd.DataFrame:
    """Return the rows that are answered differently, as :func:`changed_rows` does, from answers that are there."""
    old, new = before.predicted["answer"], after.predicted["answer"]
    names, effect = np.asarray(after.asked.label_names), effects(after.asked.labels, old, new)
    table = rows_with(after.asked.rows, {"before": names[old], "after": names[new], "effect": effect})
    return table[old != new].reset_index(drop=True)
