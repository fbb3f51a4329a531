"""Step 1: fine-tune a teacher, and keep its outputs for every row: the seam between the two halves.

A black box stands in for it: soft labels from a file or a function, embeddings from any open encoder.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from transformers import set_seed

from reaugkd.errors import ReAugKDError, kind_of, quoted, reason, require
from reaugkd.files import as_path, column_matrix, matrix_column, whole_file
from reaugkd.measures.calibration import ROUNDING, are_probabilities, as_numbers, at_temperature, fit_temperature
from reaugkd.method.distillation import train_classifier
from reaugkd.networks.encoders import TextClassifier
from reaugkd.networks.trainer import OnProgress, computes_bf16
from reaugkd.networks.weights import find_weights
from reaugkd.recipe import Recipe
from reaugkd.tasks.sources import read_table
from reaugkd.tasks.task import Task, row_ids
from reaugkd.texts import Text, label_text

OUTPUTS_VERSION = 1
# By how much a sum of a black box's probabilities may differ from 1: each class adds half of a second decimal.
ROUNDED_OFF = 0.02
ROUNDED_OFF_A_CLASS = 0.005
RowId = tuple[str, str]
SoftLabels = Callable[[list[Text]], NDArray[np.floating]] | Mapping[RowId, NDArray[np.floating]]
"""A function from texts to (N, C) probabilities, or the (C,) probabilities of each (split, id)."""


@dataclass(frozen=True)
class TeacherOutputs:
    """A teacher's outputs for every row of a task; the second half of the method needs them and no teacher.

    Parameters
    ----------
    ids : list of str
        Row ids: those of train, then validation, then test, then, where there are, unlabelled rows.
    splits : list of str
        Split of each row.
    hidden : (N, H_t) float16 or float32
        Pooled outputs h_i of the fine-tuned teacher (``teacher_hidden``).
    soft_labels : (N, C) float32
        Class probabilities ȳ_i by its classifier; rows sum to 1.
    label_names : tuple of str
        Names of the C classes.
    teacher : str
        Name of the pretrained encoder that was fine-tuned.
    fingerprint : str
        :meth:`reaugkd.tasks.task.Task.fingerprint` of the rows.

    Examples
    --------
    >>> outputs.save(folder / "outputs.parquet")
    >>> hidden, soft_labels = TeacherOutputs.load(folder / "outputs.parquet").of("test")
    >>> soft_labels.shape == (len(task.rows["test"]), len(task.label_names))
    True
    """

    ids: list[str]
    splits: list[str]
    hidden: NDArray[np.floating]
    soft_labels: NDArray[np.float32]
    label_names: tuple[str, ...]
    teacher: str
    fingerprint: str

    @classmethod
    def load(cls, path: str | Path) -> "TeacherOutputs":
        """Read a file that :meth:`save` wrote, and check it.

        Parameters
        ----------
        path : str or Path
            A Parquet file.

        Returns
        -------
        TeacherOutputs
            The outputs.

        Raises
        ------
        ReAugKDError
            If the file is missing, damaged, of another version, or its rows are no probabilities.
        """
        path = as_path(path)
        if not path.is_file():
            raise ReAugKDError(f"There is no file {str(path)!r}; make it with `reaugkd teach --out {path}`.")
        try:
            table = pq.read_table(path)
            about = json.loads((table.schema.metadata or {})[b"reaugkd"])
            version = about["version"]
            outputs = cls(
                ids=table["id"].to_pylist(),
                splits=table["split"].to_pylist(),
                hidden=column_matrix(table["teacher_hidden"]),
                soft_labels=column_matrix(table["soft_labels"]).astype(np.float32),
                label_names=tuple(about["label_names"]),
                teacher=about["teacher"],
                fingerprint=about["fingerprint"],
            )
        except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
            raise ReAugKDError(
                f"{str(path)!r} holds no teacher outputs ({reason(error)}); make it again with `reaugkd teach`."
            ) from error
        if version != OUTPUTS_VERSION:
            raise ReAugKDError(f"{str(path)!r} is of format {version}, not {OUTPUTS_VERSION}; make it again.")
        fits = outputs.soft_labels.shape[1] == len(outputs.label_names)
        if not (fits and are_probabilities(outputs.soft_labels) and np.isfinite(outputs.hidden).all()):
            raise ReAugKDError(
                f"{str(path)!r} has rows that are no probabilities or no finite embeddings; "
                "make it again with `reaugkd teach`."
            )
        return outputs

    def save(self, path: str | Path) -> None:
        """Write the outputs as a Parquet file.

        Parameters
        ----------
        path : str or Path
            The file; written whole or not at all.
        """
        about = {name: getattr(self, name) for name in ("label_names", "teacher", "fingerprint")}
        columns = {
            "id": self.ids,
            "split": self.splits,
            "teacher_hidden": matrix_column(self.hidden),
            "soft_labels": matrix_column(self.soft_labels),
        }
        table = pa.table(columns, metadata={"reaugkd": json.dumps({"version": OUTPUTS_VERSION, **about})})
        with whole_file(path) as writing:
            pq.write_table(table, writing)

    def of(self, *splits: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return hidden states (N, H_t) and soft labels (N, C), both float32, of one split or several."""
        rows = np.isin(self.splits, splits)
        return self.hidden[rows].astype(np.float32), self.soft_labels[rows]

    def calibrated(self, task: Task) -> "TeacherOutputs":
        """Return the outputs with soft labels at the temperature of the lowest log loss on the validation rows.

        A teacher is too sure of the texts that it was trained on, or, trained briefly over many classes, not sure
        enough; neighbours' soft labels can only be blended with the student's if both mean what they say.

        Parameters
        ----------
        task : Task
            Its validation labels are used, no others.

        Returns
        -------
        TeacherOutputs
            The most probable classes stay the same.
        """
        temperature = fit_temperature(self.of("validation")[1], task.labels("validation"))
        return replace(self, soft_labels=at_temperature(self.soft_labels, temperature).astype(np.float32))

    def check(self, task: Task) -> None:
        """Refuse outputs that were computed for other rows.

        Parameters
        ----------
        task : Task
            The task to train on.

        Raises
        ------
        ReAugKDError
            If classes, rows or splits differ.
        """
        if self.fingerprint != task.fingerprint():
            raise ReAugKDError(
                f"The teacher outputs were computed for other classes, rows or splits than those of {task.name}; "
                "make them again with `reaugkd teach`."
            )


class Teacher(TextClassifier):
    """A pretrained encoder that is fine-tuned on a task's gold labels."""

    pretrained = "a teacher"
    """Name of the pretrained encoder."""
    bf16: bool | None = False
    """Whether it reads in bfloat16, as it was trained; None means where hardware and network compute in it."""

    @classmethod
    def fit(
        cls,
        task: Task,
        recipe: Recipe | None = None,
        *,
        folder: str | Path | None = None,
        on_progress: OnProgress | None = None,
        **settings: Any,
    ) -> "Teacher":
        """Fine-tune an encoder with the cross-entropy on the gold labels of the train rows.

        Parameters
        ----------
        task : Task
            The task.
        recipe : Recipe, optional
            ``teacher``, the encoder, ``teacher_epochs``, ``teacher_training``, ``max_length`` and ``seed`` are used.
        folder : str or Path, optional
            For checkpoints, from which an interrupted training goes on.
        on_progress : callable, optional
            Gets the progress; a bar is drawn if left out.
        **settings : Any
            Changes of the recipe, as :meth:`reaugkd.recipe.Recipe.updated` takes them.

        Returns
        -------
        Teacher
            In evaluation mode.

        Raises
        ------
        ReAugKDError
            If the encoder is not found or cannot be loaded.

        Examples
        --------
        >>> teacher = Teacher.fit(task, teacher=encoder, teacher_epochs=1, on_progress=silent)
        >>> teacher.outputs(task).check(task)  # they are of its rows
        """
        recipe = (recipe or Recipe()).updated(**settings).for_task(task)
        weights, training = find_weights(recipe.teacher), recipe.teacher_training
        set_seed(training.seed)
        teacher = cls.from_pretrained(weights, len(task.label_names), max_length=recipe.max_length)
        teacher.pretrained, teacher.bf16 = recipe.teacher, training.bf16
        train_classifier(teacher, task, training, "Teacher", folder=folder, on_progress=on_progress)
        return teacher

    def read(self, texts: Sequence[Text]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what :meth:`encode` does, by the type of numbers that the teacher was trained in: in less time."""
        if self.bf16 or (self.bf16 is None and computes_bf16()):
            with suppress(RuntimeError), torch.autocast(self.classifier.weight.device.type, torch.bfloat16):
                return self.encode(texts)  # some encoders, such as DeBERTa, mix a type of their own in
        return self.encode(texts)

    def outputs(self, task: Task) -> TeacherOutputs:
        """Run the teacher over every row of a task.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        TeacherOutputs
            Hidden states as float16.
        """
        hidden, soft_labels = self.read(task.all_texts)
        return TeacherOutputs(
            ids=[row_id for _, row_id in task.all_ids],
            splits=[split for split, _ in task.all_ids],
            hidden=hidden.astype(np.float16),
            soft_labels=soft_labels,
            label_names=task.label_names,
            teacher=self.pretrained,
            fingerprint=task.fingerprint(),
        )


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
    answers = given_soft_labels(task, soft_labels, task.splits)
    untuned = Teacher.from_pretrained(find_weights(encoder), 1)
    untuned.pretrained = f"black box, embeddings of {encoder}"
    return replace(untuned.outputs(task), soft_labels=answers)


def given_soft_labels(task: Task, soft_labels: SoftLabels, splits: Sequence[str]) -> NDArray[np.float32]:
    """Return the soft labels of some splits' rows, checked; those that were rounded are scaled to sum to 1.

    Parameters
    ----------
    task : Task
        The task.
    soft_labels : callable or mapping
        Probabilities, columns in the order of ``task.label_names``.
    splits : sequence of str
        Whose rows are wanted, in this order.

    Returns
    -------
    (N, C) float32
        Rows sum to 1.

    Raises
    ------
    ReAugKDError
        If a row has no probabilities, or their sum differs from 1 by more than rounding explains.
    """
    rows = [(split, row_id) for split in splits for row_id in task.rows[split]["id"]]
    said: Any
    if callable(soft_labels):
        said = soft_labels([text for split in splits for text in task.texts(split)])
    else:
        wanted_kind = "a function of texts, or numbers by split and id"
        require(isinstance(soft_labels, Mapping), "The part soft_labels", kind_of(soft_labels), wanted_kind)
        missing = [row for row in rows if row not in soft_labels]
        if missing:
            split, row_id = missing[0]
            raise ReAugKDError(
                f"The {split} row {quoted(row_id)} has no soft labels; give some to every row, and leave the column "
                "split out where rows are held out for you."
            )
        said = [soft_labels[row] for row in rows]
    answers = as_numbers(said, "The list of soft labels")
    wanted = (len(rows), len(task.label_names))
    if answers.shape != wanted:
        raise ReAugKDError(
            f"Soft labels of shape {answers.shape} are no probabilities of {wanted[0]} rows over {wanted[1]} classes; "
            "give each row numbers from 0 that sum to 1."
        )
    return _summing_to_one(answers, rows)


def _summing_to_one(answers: NDArray[np.float64], rows: list[RowId]) -> NDArray[np.float32]:
    """Scale the rows of (N, C) that were rounded, and leave the others as they are to the bit."""
    sums = answers.sum(axis=1)
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
    rows = task.all_ids
    if len({row_id for _, row_id in rows}) < len(rows):
        raise ReAugKDError(f"Rows of different splits share an id; add a column split to {str(path)!r}.")
    return {row: by_id[row[1]] for row in rows if row[1] in by_id}
