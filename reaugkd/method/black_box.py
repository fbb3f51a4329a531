"""A black-box teacher: soft labels from a file or a function, embeddings from any open encoder."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import ROUNDING
from reaugkd.method.teacher import Teacher, TeacherOutputs
from reaugkd.networks.weights import find_weights
from reaugkd.tasks.sources import read_table
from reaugkd.tasks.task import Task, row_ids
from reaugkd.texts import Text, label_text

# By how much a sum may differ from 1: each class adds half of a second decimal.
ROUNDED_OFF = 0.02
ROUNDED_OFF_A_CLASS = 0.005
RowId = tuple[str, str]
SoftLabels = Callable[[list[Text]], NDArray[np.floating]] | Mapping[RowId, NDArray[np.floating]]
"""A function from texts to (N, C) probabilities, or the (C,) probabilities of each (split, id)."""


def black_box_outputs(task: Task, soft_labels: SoftLabels, encoder: str) -> TeacherOutputs:
    """Stand in for a teacher of which only the answers are known.

    The open encoder is not tuned: its sentence embeddings take the place of ``teacher_hidden``, and the projection
    head shapes them by the gold labels as it does a teacher's. So :func:`reaugkd.training.train` goes on from here.

    Parameters
    ----------
    task : Task
        The task.
    soft_labels : callable or mapping
        The teacher's probabilities, columns in the order of ``task.label_names``; those that were rounded are scaled
        to sum to 1.
    encoder : str
        Name or folder of the open encoder.

    Returns
    -------
    TeacherOutputs
        Of every row of the task.

    Raises
    ------
    ReAugKDError
        If a row has no probabilities, or their sum differs from 1 by more than rounding explains.
    """
    rows = _every_row(task)
    if callable(soft_labels):
        texts = [text for split in task.splits for text in task.texts(split)]
        answers = np.asarray(soft_labels(texts), dtype=np.float32)
    else:
        missing = [row for row in rows if row not in soft_labels]
        if missing:
            split, row_id = missing[0]
            raise ReAugKDError(
                f"The {split} row {row_id!r} has no soft labels; give some to every row, and leave the column "
                "split out where rows are held out for you."
            )
        answers = np.stack([soft_labels[row] for row in rows]).astype(np.float32)
    wanted = (len(rows), len(task.label_names))
    if answers.shape != wanted:
        raise ReAugKDError(
            f"Soft labels of shape {answers.shape} are no probabilities of {wanted[0]} rows over {wanted[1]} classes; "
            "give each row numbers from 0 that sum to 1."
        )
    answers = _summing_to_one(answers, rows)
    untuned = Teacher.from_pretrained(find_weights(encoder), 1)
    untuned.pretrained = f"black box, embeddings of {encoder}"
    return replace(untuned.outputs(task), soft_labels=answers)


def _every_row(task: Task) -> list[RowId]:
    return [(split, row_id) for split in task.splits for row_id in task.rows[split]["id"]]


def _summing_to_one(answers: NDArray[np.float32], rows: list[RowId]) -> NDArray[np.float32]:
    """Scale the rows of (N, C) that were rounded, and leave the others as they are to the bit."""
    sums = answers.astype(np.float64).sum(axis=1)
    allowed = max(ROUNDED_OFF, ROUNDED_OFF_A_CLASS * answers.shape[1])
    is_near = (sums > 0) & (np.abs(sums - 1) <= allowed + 1e-6)  # of many classes all may be rounded to 0
    wrong = ~(is_near & (answers >= 0).all(axis=1))
    if wrong.any():
        first = int(wrong.argmax())
        split, row_id = rows[first]
        raise ReAugKDError(
            f"The soft labels of the {split} row {row_id!r} are no probabilities (they sum to {sums[first]:.4g}, the "
            f"lowest is {answers[first].min():.4g}); give numbers from 0 that sum to 1."
        )
    is_rounded = np.abs(sums - 1) > ROUNDING
    return np.where(is_rounded[:, None], answers / sums[:, None], answers).astype(np.float32)


def read_soft_labels(path: str | Path, task: Task) -> dict[RowId, NDArray[np.float32]]:
    """Read a black box's answers from a table.

    Parameters
    ----------
    path : str or Path
        CSV, TSV, JSONL or Parquet with a column for each class, named after it, and ``id`` and ``split``. Without
        ``split`` a row is known by its id, wherever it was held out; without ``id`` too, by its place in the train
        file, whose rows have no ids either.
    task : Task
        Whose classes are meant.

    Returns
    -------
    dict
        The (C,) probabilities of each (split, id).

    Raises
    ------
    ReAugKDError
        If a column is missing or holds something else than numbers, or ids do not tell the rows apart.
    """
    table = read_table(path).rename(columns=label_text)
    missing = [name for name in task.label_names if name not in table.columns]
    if missing:
        raise ReAugKDError(f"{str(path)!r} has no column {missing[0]!r}; it needs one for each class.")
    try:
        answers = table[list(task.label_names)].astype(float).to_numpy(dtype=np.float32)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise ReAugKDError(f"{str(path)!r} holds a soft label that is no number ({error}); correct it.") from error
    ids = row_ids(table, "train")
    if "split" in table.columns:
        return dict(zip(zip(table["split"].astype(str), ids, strict=True), answers, strict=True))
    if len(set(ids)) < len(ids):
        raise ReAugKDError(f"{str(path)!r} holds an id twice; add a column split that tells the rows apart.")
    by_id = dict(zip(ids, answers, strict=True))
    rows = _every_row(task)
    if len({row_id for _, row_id in rows}) < len(rows):
        raise ReAugKDError(f"Rows of different splits share an id; add a column split to {str(path)!r}.")
    return {row: by_id[row[1]] for row in rows if row[1] in by_id}
