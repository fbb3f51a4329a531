"""Step 4: the memory of the training texts, which can be searched by several keys."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError, kind_of, listed, quoted, read_as, require
from reaugkd.files import as_path
from reaugkd.measures.calibration import are_probabilities
from reaugkd.method.mapped import Found, Mapped, nearest_first, read_memory, search_exactly, search_index, write_memory
from reaugkd.networks.encoders import normalize
from reaugkd.texts import Labels, Text, texts_of

if TYPE_CHECKING:  # takes a second to import, and an answer does not need it
    from reaugkd.tasks.task import Task

TEACHER = "teacher"
"""Used as the name of a key: z itself, in its whole width, as a teacher would search."""
FEW_SIMILARITIES = 2_000_000
"""Up to so many, NumPy sorts out the highest in less than half of FAISS's time; more would fill the memory."""
FEW_ROWS = 1_000
STANDS_FOR = "stands_for"
"""Column of a condensed memory's rows: for how many memories each one stands."""
LABELLED_BY = "labelled_by"
"""Column of the memory's rows: ``teacher`` where a row has no gold label and its label is the teacher's, else empty."""


@dataclass(frozen=True)
class Memory:
    """What is kept of the training texts; validated when made.

    A large one lies on disk: :meth:`build` writes it, :meth:`load` maps it, and only what is asked for is read. Its
    matrices are float16, and were validated when they were written.

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

    @classmethod
    def build(cls, batches: Iterable["Memory"], folder: str | Path, cells: int | None = None) -> "Memory":
        """Build a memory of any size in a stream; one batch is in memory at a time, then one key's index.

        Parameters
        ----------
        batches : iterable of Memory
            Parts of the memory, of the same classes, keys and columns; a part of 10,000 rows or more is quickest.
        folder : str or Path
            Where the memory is written, whole or not at all; a memory that lies there is replaced.
        cells : int, optional
            How many cells the index of each key has; 0 searches exactly. By size if left out, see
            :func:`reaugkd.method.mapped.cells_for`.

        Returns
        -------
        Memory
            The whole, mapped from the folder.

        Raises
        ------
        ReAugKDError
            If there is no batch, one does not fit the first, the folder holds something else, or the disk is full.

        Examples
        --------
        >>> large = Memory.build([memory, memory], folder)
        >>> len(large) == 2 * len(memory)
        True
        """
        cells = read_as(int | None, cells, "cells")
        require(cells is None or cells >= 0, "cells", cells, "at least 0")
        folder = as_path(folder)
        write_memory(parts_of_memory(batches), folder, cells)
        return cls(**read_memory(folder, check=False))

    @classmethod
    def load(cls, folder: str | Path) -> "Memory":
        """Map a memory that :meth:`build` wrote, after its files' SHA-256 sums are checked.

        Parameters
        ----------
        folder : str or Path
            The folder.

        Returns
        -------
        Memory
            Of which neither texts nor numbers are in memory.

        Raises
        ------
        ReAugKDError
            If there is no memory, or a file is missing or damaged.
        """
        return cls(**read_memory(as_path(folder), check=True))

    def __post_init__(self) -> None:
        require(isinstance(self.rows, pd.DataFrame), "The table of a memory", kind_of(self.rows), "a pandas DataFrame")
        object.__setattr__(self, "classes", read_as(tuple[str, ...], self.classes, "The list of classes"))
        if not len(self.rows):
            raise ReAugKDError("A memory needs at least one row; give it texts.")
        parts = {"soft labels": self.soft_labels, "teacher embeddings": self.teacher_embeddings}
        parts |= {f"keys {name!r}": key for name, key in self.keys.items()}
        for name, part in parts.items():
            require(getattr(part, "ndim", 0) == 2, f"The matrix of {name}", kind_of(part), "a matrix of numbers")
            if len(part) != len(self):
                raise ReAugKDError(f"A memory of {len(self)} rows has {len(part)} {name}; make them of the same texts.")
            if not isinstance(part, Mapped) and not np.isfinite(part).all():
                raise ReAugKDError(f"The {name} of a memory are not all finite; train or copy the model again.")
        if self.soft_labels.shape[1:] != (len(self.classes),):
            raise ReAugKDError(
                f"Soft labels of shape {self.soft_labels.shape} do not fit a memory of {len(self.classes)} classes; "
                "give one number for each class."
            )
        if not isinstance(self.soft_labels, Mapped):
            if not are_probabilities(self.soft_labels):
                raise ReAugKDError("Soft labels of the memory do not sum to 1; train or copy the model again.")
            object.__setattr__(self, "soft_labels", np.asarray(self.soft_labels, dtype=np.float32))
        object.__setattr__(self, "teacher_embeddings", _of_length_one(self.teacher_embeddings))
        object.__setattr__(self, "keys", {name: _of_length_one(key) for name, key in self.keys.items()})

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

    @property
    def is_mapped(self) -> bool:
        """Whether it lies on disk."""
        return isinstance(self.soft_labels, Mapped)

    @property
    def widths(self) -> dict[str, int]:
        """How many numbers each key has, by its name, and z."""
        return {name: key.shape[1] for name, key in self.keys.items()} | {TEACHER: self.teacher_embeddings.shape[1]}

    def rows_at(self, numbers: Sequence[int] | NDArray[np.integer]) -> pd.DataFrame:
        """Return some rows by their numbers, in this order; of a mapped memory, to read a few reads no other row."""
        if not self.is_mapped or len(numbers) > FEW_ROWS:
            return self.rows.iloc[np.asarray(numbers)]
        # A table in many pieces would be joined first to take rows of it.
        return pd.concat([self.rows.iloc[number : number + 1] for number in map(int, numbers)] or [self.rows.iloc[:0]])

    def part(self, numbers: NDArray[np.integer]) -> "Memory":
        """Return some of the memories by their numbers, in this order, in main memory."""
        return Memory(
            self.rows_at(numbers).reset_index(drop=True),
            self.classes,
            self.soft_labels[numbers],
            self.teacher_embeddings[numbers],
            {name: key[numbers] for name, key in self.keys.items()},
        )

    def with_keys(self, keys: Mapping[str, NDArray[np.float32]]) -> "Memory":
        """Return the same memories with these keys instead of theirs."""
        return replace(self, keys=keys)

    def search(self, key: str, queries: NDArray[np.floating], k: int) -> Found:
        """Find the k nearest memories of each query by one key: exactly, or by its index where it has one.

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
        queries, k = self._checked(key, queries, k)
        searched = self.teacher_embeddings if key == TEACHER else self.keys[key]
        k = min(k, len(self))
        if isinstance(searched, Mapped) and searched.index is not None:
            similarities, numbers = search_index(searched.index, queries, k)
            few = numbers[:, -1] < 0  # the cells that were read hold fewer
            if few.any():
                similarities[few], numbers[few] = search_exactly(searched, queries[few], k)
            return similarities, numbers
        if len(queries) * len(self) <= FEW_SIMILARITIES:
            return _nearest(queries, np.asarray(searched, dtype=np.float32), k)
        return search_exactly(searched, queries, k)

    def _checked(self, key: str, queries: NDArray[np.floating], k: int) -> tuple[NDArray[np.float32], int]:
        """Return queries of length 1 and k, if a search by them is possible."""
        key, k = read_as(str, key, "key"), read_as(int, k, "k")
        if (width := self.widths.get(key)) is None:
            known = listed(name for name in self.widths if name != TEACHER)
            raise ReAugKDError(f"The memory has no key {quoted(key)}; it has {known or 'none'}.")
        require(k >= 1, "k", k, "at least 1")
        shape: tuple[int, ...] = getattr(queries, "shape", ())
        if len(shape) != 2 or shape[1] != width:
            raise ReAugKDError(
                f"Queries of shape {shape} do not fit the key {key!r} of width {width}; embed them by the same model."
            )
        return normalize(queries), k


def parts_of_memory(batches: Iterable[Memory]) -> Iterator[Memory]:
    """Yield parts of a memory, and refuse what is none."""
    # A number of NumPy is iterable by its type.
    is_list = isinstance(batches, Iterable) and getattr(batches, "ndim", 1) > 0
    require(is_list, "batches", kind_of(batches), "a list of memories")
    for batch in batches:
        if not isinstance(batch, Memory):
            raise ReAugKDError(f"A batch is {kind_of(batch)}, not a memory; give parts of a memory.")
        yield batch


def _of_length_one(matrix: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return rows of length 1; those that lie on disk are so already."""
    return matrix if isinstance(matrix, Mapped) else normalize(matrix)


def labelled_by_person(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows (M,) of a memory have a gold label, not one by the teacher."""
    return (rows[LABELLED_BY] != TEACHER).to_numpy() if LABELLED_BY in rows.columns else np.ones(len(rows), dtype=bool)


def _nearest(queries: NDArray[np.float32], searched: NDArray[np.float32], k: int) -> Found:
    """Search as :meth:`Memory.search` does; of memories that are as near, the first come first."""
    # By torch: the threads of NumPy's product would spin on, and keep those of the next text's encoder waiting.
    similarities = (torch.from_numpy(queries) @ torch.from_numpy(searched).T).numpy()
    numbers = np.sort(np.argpartition(similarities, -k, axis=1)[:, -k:], axis=1)
    return nearest_first(np.take_along_axis(similarities, numbers, axis=1), numbers)
