"""Step 4: the memory of the training texts, which can be searched by several keys."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import faiss
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError, require
from reaugkd.measures.calibration import are_probabilities
from reaugkd.networks.encoders import normalize
from reaugkd.texts import Labels, Text, texts_of

if TYPE_CHECKING:  # a second to import: who only answers does not wait for it
    from reaugkd.tasks.task import Task

TEACHER = "teacher"
"""In the place of a key's name: z itself, in its whole width, as a teacher would search."""
FEW_SIMILARITIES = 2_000_000
"""Up to so many, NumPy sorts out the highest in less than half of FAISS's time; more would fill the memory."""
LABELLED_BY = "labelled_by"
"""Column of the memory's rows: ``teacher`` where a row has no gold label and its label is the teacher's, else empty."""


@dataclass(frozen=True)
class Memory:
    """What is kept of the training texts; validated when made.

    Parameters
    ----------
    rows : DataFrame
        One row a memory: ``id``, ``text``, ``label`` (name of its class), ``text_pair`` for pairs, and further columns
        such as a topic.
    classes : tuple of str
        Names of the C classes.
    soft_labels : (M, C) float32
        The teacher's class probabilities ȳ_i.
    teacher_embeddings : (M, d) float32
        z_i, scaled to length 1 when made; of a row that was added without a teacher, the student's x_i.
    keys : mapping of str to (M, w) float32
        By its name, what each key finds a memory by; scaled to length 1 when made. See :mod:`reaugkd.method.keys`.
    """

    rows: pd.DataFrame
    classes: tuple[str, ...]
    soft_labels: NDArray[np.float32]
    teacher_embeddings: NDArray[np.float32]
    keys: Mapping[str, NDArray[np.float32]]

    @classmethod
    def of(cls, task: "Task", soft_labels: NDArray[np.floating], teacher_embeddings: NDArray[np.floating]) -> "Memory":
        """Return the memory of all texts that the teacher teaches, without keys.

        Parameters
        ----------
        task : Task
            The task; a text of it that has no gold label gets the teacher's.
        soft_labels : (M, C) float
            ȳ_i of the texts of :attr:`~reaugkd.tasks.task.Task.taught_splits`, in their order.
        teacher_embeddings : (M, d) float
            z_i of the same texts.

        Returns
        -------
        Memory
            What a student learns from, and what keys are fitted to.

        Examples
        --------
        >>> hidden, soft_labels = outputs.of("train")
        >>> memory = Memory.of(task, soft_labels, head.project(hidden))
        >>> len(memory) == len(task.rows["train"])
        True
        """
        rows = task.table("train")
        for split in task.taught_splits[1:]:
            further = task.rows[split].to_pandas()
            names = np.asarray(task.label_names)[soft_labels[len(rows) :].argmax(axis=1)]
            further = further.assign(label=names, **{LABELLED_BY: TEACHER})
            rows = pd.concat([rows.assign(**{LABELLED_BY: ""}), further], ignore_index=True)
        return cls(rows, task.label_names, soft_labels, teacher_embeddings, {})

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise ReAugKDError("A memory needs at least one row; give it texts.")
        parts = {"soft labels": self.soft_labels, "teacher embeddings": self.teacher_embeddings}
        parts |= {f"keys {name!r}": key for name, key in self.keys.items()}
        for name, part in parts.items():
            if len(part) != len(self.rows):
                raise ReAugKDError(
                    f"A memory of {len(self.rows)} rows has {len(part)} {name}; make them of the same texts."
                )
            if not np.isfinite(part).all():
                raise ReAugKDError(f"The {name} of a memory are not all finite; train or copy the model again.")
        if self.soft_labels.shape[1:] != (len(self.classes),):
            raise ReAugKDError(
                f"Soft labels of shape {self.soft_labels.shape} do not fit a memory of {len(self.classes)} classes; "
                "give one number for each class."
            )
        if not are_probabilities(self.soft_labels):
            raise ReAugKDError("Soft labels of the memory do not sum to 1; train or copy the model again.")
        object.__setattr__(self, "soft_labels", np.asarray(self.soft_labels, dtype=np.float32))
        object.__setattr__(self, "teacher_embeddings", normalize(self.teacher_embeddings))
        object.__setattr__(self, "keys", {name: normalize(key) for name, key in self.keys.items()})

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> Labels:
        """Labels (M,) int64 of the rows, as numbers of classes."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.asarray([numbers[label] for label in self.rows["label"]], dtype=np.int64)

    @property
    def texts(self) -> list[Text]:
        """Texts of the rows; pairs as tuples."""
        return texts_of(self.rows, "text_pair" in self.rows.columns)

    def with_keys(self, keys: Mapping[str, NDArray[np.float32]]) -> "Memory":
        """Return the same memories with these keys in the place of theirs."""
        return replace(self, keys=keys)

    def search(self, key: str, queries: NDArray[np.floating], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the k nearest memories of each query by one key, exactly.

        Parameters
        ----------
        key : str
            Name of the key; ``"teacher"`` searches z itself, in its whole width.
        queries : (N, w) float
            What the key makes of N texts, of any length; scaled to length 1.
        k : int
            How many; where there are fewer memories, all of them.

        Returns
        -------
        tuple of ndarray
            Cosine similarities (N, k) float32, the highest first, and row numbers (N, k) int64.

        Raises
        ------
        ReAugKDError
            If there is no such key, k is below 1, or the queries have another width.
        """
        if key != TEACHER and key not in self.keys:
            raise ReAugKDError(f"The memory has no key {key!r}; it has {', '.join(self.keys) or 'none'}.")
        require(k >= 1, "k", k, "at least 1")
        searched = self.teacher_embeddings if key == TEACHER else self.keys[key]
        queries = normalize(queries)
        if queries.ndim != 2 or queries.shape[1] != searched.shape[1]:
            raise ReAugKDError(
                f"Queries of shape {queries.shape} do not fit the key {key!r} of width {searched.shape[1]}; "
                "embed them by the same model."
            )
        k = min(k, len(self))
        if len(queries) * len(self) <= FEW_SIMILARITIES:
            return _nearest(queries, searched, k)
        similarities, numbers = faiss.knn(queries, searched, k, faiss.METRIC_INNER_PRODUCT)
        return similarities, numbers


def labelled_by_person(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows (M,) of a memory have a gold label, not one by the teacher."""
    return (rows[LABELLED_BY] != TEACHER).to_numpy() if LABELLED_BY in rows.columns else np.ones(len(rows), dtype=bool)


def _nearest(
    queries: NDArray[np.float32], searched: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Search as :meth:`Memory.search` does; of memories that are as near, the first come first."""
    # By torch: the threads of NumPy's product would spin on, and keep those of the next text's encoder waiting.
    similarities = (torch.from_numpy(queries) @ torch.from_numpy(searched).T).numpy()
    numbers = np.sort(np.argpartition(similarities, -k, axis=1)[:, -k:], axis=1)
    found = np.take_along_axis(similarities, numbers, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(numbers, order, axis=1)
