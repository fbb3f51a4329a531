"""What a study found: for every student, each way to answer is chosen on validation rows, then scored on test rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.alignment import alignment
from reaugkd.data import SPLITS, Task
from reaugkd.encoders import normalize
from reaugkd.errors import ReAugKDError
from reaugkd.evaluation import Encoded, answer, choose_gate, choose_retrieval
from reaugkd.key_head import fit_key_head
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.metrics import METRICS, log_loss
from reaugkd.recipe import Recipe
from reaugkd.retrieval import RetrievalSettings
from reaugkd.second_key import half_of
from reaugkd.study import Cell, StudyFolder, cells, is_made_of, second_key_made_of, student_made_of
from reaugkd.study_plan import Study, StudyMethod, StudyTeacher
from reaugkd.study_record import StudyRecord
from reaugkd.teacher import TeacherOutputs
from reaugkd.texts import Labels

ALONE = RetrievalSettings(k=1, retrieval_weight=0.0)


@dataclass(frozen=True)
class Answers:
    """One way of one student to answer, chosen, and what it says of the test rows.

    Parameters
    ----------
    cell : Cell
        The student.
    answer : str
        ``off``; or ``fixed``, ``gate`` or ``only`` with the key after a hyphen: ``aligned`` (the teacher's z, asked
        with x), ``own`` (the student's own x), ``untuned`` (the untuned encoder), ``second`` (the same with its key
        head), ``half`` (that of its first half of layers); or ``gate``, the recipe's choice.
    retrieval : RetrievalSettings
        k, λ or the gate, and τ_r, chosen on the validation rows.
    validation : float
        The metric on the validation rows.
    probabilities : (N, C) float64
        Of the test rows.
    """

    cell: Cell
    answer: str
    retrieval: RetrievalSettings
    validation: float
    probabilities: NDArray[np.float64]


def study_answers(study: Study, data: str | Path, work: str | Path, known: StudyRecord | None = None) -> pd.DataFrame:
    """Choose, answer and score for every student that is trained, or recorded by an earlier report.

    Parameters
    ----------
    study : Study
        The plan.
    data : str or Path
        Folder from which the tasks' paths start.
    work : str or Path
        Folder in which :func:`reaugkd.study.run_study` left the students' outputs.
    known : StudyRecord, optional
        Answers that count where a student's outputs are not there, or were made by other settings than today's.

    Returns
    -------
    DataFrame
        A row for each task, teacher, method, seed and answer: ``made_by``, metric, choice, ``validation``, ``test``,
        ``log_loss`` (nats), ``seconds`` of training, and ``predicted``, the labels (N,) of the test rows; where there
        is a teacher, how near the student's space comes to it on the test texts, see
        :func:`reaugkd.alignment.alignment`.

    Raises
    ------
    ReAugKDError
        If a student is trained, and neither recorded nor are the keys there by which it answers.
    """
    folder = StudyFolder(Path(work))
    tasks = {task.name: task.load(Path(data)) for task in study.tasks}
    known = known or StudyRecord.load(None)
    found = []
    for cell, teacher, method, teacher_seed in cells(study):
        student = _Student(study, folder, tasks[cell.task], cell, teacher, method, teacher_seed)
        about = cell.about(study, teacher, method, teacher_seed)
        recorded, trained = known.answers_of(about), student.is_trained()
        lacking = student.lacking() if trained else None
        if lacking is not None and recorded.empty:
            raise ReAugKDError(
                f"The student {cell.method} of seed {cell.seed} on {cell.task} by {cell.teacher} is trained, but "
                f"{str(lacking)!r}, which it answers by, is missing or of other settings; run the study without "
                "--report-only."
            )
        found.append(recorded if not trained or lacking is not None else student.answers(about))
    found = [rows for rows in found if len(rows)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


@dataclass(frozen=True)
class Known:
    """What a student's answers are made of besides itself.

    Parameters
    ----------
    outputs : TeacherOutputs
        For the soft labels of the memory, calibrated.
    keys : (M, d) float32 or None
        z of the train rows, where there is a teacher.
    aligns : bool
        Whether the student was aligned to them.
    second : Path or None
        File of what the untuned encoder's layers make of every text, where the plan names one.
    halves_second : bool
        Whether the recipe may choose only half of the second key: where the teacher is made of the same encoder.
    """

    outputs: TeacherOutputs
    keys: NDArray[np.float32] | None
    aligns: bool
    second: Path | None
    halves_second: bool


@dataclass(frozen=True)
class _Student:
    """A student of the plan, with the files that its answers are made of."""

    study: Study
    folder: StudyFolder
    task: Task
    cell: Cell
    teacher: StudyTeacher
    method: StudyMethod
    teacher_seed: int

    @property
    def recipe(self) -> Recipe:
        return self.method.recipe(self.teacher, self.cell.seed).for_task(self.task)

    @property
    def outputs_file(self) -> Path:
        return self.folder.teacher_outputs(self.task.name, self.study.taught_by(self.teacher, self.teacher_seed))

    @property
    def keys_file(self) -> Path:
        projected_by = self.study.projected_by(self.teacher, self.teacher_seed, self.recipe)
        return self.folder.keys(self.task.name, projected_by)

    def is_trained(self) -> bool:
        """Whether its file is there and was made by today's settings."""
        path, recipe, outputs = self.cell.file(self.folder.path), self.recipe, None
        if not path.is_file():
            return False
        if self.method.needs_teacher:
            if not self.outputs_file.is_file():
                return False  # the teacher is another one today
            outputs = TeacherOutputs.load(self.outputs_file)
            outputs.check(self.task)
            outputs = outputs.calibrated(self.task) if recipe.calibrate_teacher else outputs
        return is_made_of(path, student_made_of(self.task, recipe, outputs))

    def lacking(self) -> Path | None:
        """Return the file that the study makes for its answers, and that is not there or was made otherwise."""
        fits_head = self.study.fits_head(self.teacher, self.teacher_seed, self.recipe)
        if self.method.needs_teacher and fits_head and not self.keys_file.is_file():
            return self.keys_file
        second, about = self.folder.second_key(self.task.name), self.study.second_key
        return second if about and not is_made_of(second, second_key_made_of(self.task, about)) else None

    def answers(self, about: dict[str, Any]) -> pd.DataFrame:
        """Choose every way to answer, then score it; ``about`` goes into every row."""
        keys = np.load(self.keys_file) if self.method.needs_teacher and self.keys_file.is_file() else None
        known = Known(
            outputs=TeacherOutputs.load(self.outputs_file).calibrated(self.task),
            keys=None if keys is None else keys["train"],
            aligns=self.method.aligns,
            second=self.folder.second_key(self.task.name) if self.study.second_key else None,
            halves_second=self.study.second_key is not None and self.teacher.halves(self.study.second_key["encoder"]),
        )
        said = np.load(self.cell.file(self.folder.path))
        chosen = list(cell_answers(self.cell, self.task, said, known))
        gold = self.task.labels("test")  # read only now: everything is chosen
        about = about | {"seconds": float(said["seconds"])}
        if keys is not None:
            memory = KnowledgeBase(self.task.rows["train"].to_pandas(), keys["train"], known.outputs.of("train")[1])
            about |= alignment(said["test_embeddings"].astype(np.float32), keys["test"], memory)
        return pd.DataFrame([about | _scored(answers, gold, self.task.metric) for answers in chosen])


def cell_answers(cell: Cell, task: Task, said: Any, known: Known) -> Iterator[Answers]:
    """Choose every way of one student to answer on the validation rows; no test label is read.

    Parameters
    ----------
    cell : Cell
        The student.
    task : Task
        The task.
    said : mapping
        What the student says of each split: ``{split}_embeddings`` and ``{split}_probabilities``.
    known : Known
        The teacher's outputs and the keys.

    Yields
    ------
    Answers
        One for each way.
    """
    labels, metric = task.labels("validation"), task.metric
    student = {
        split: Encoded(
            said[f"{split}_embeddings"].astype(np.float32), said[f"{split}_probabilities"], task.texts(split)
        )
        for split in ("train", "validation", "test")
    }
    soft_labels = known.outputs.of("train")[1]
    rows = task.rows["train"].to_pandas()

    def made(name: str, queries: dict[str, Encoded], memory: KnowledgeBase, settings: RetrievalSettings) -> Answers:
        validation = METRICS[metric](labels, answer(queries["validation"], memory, settings).argmax(axis=1))
        return Answers(cell, name, settings, validation, answer(queries["test"], memory, settings))

    own = KnowledgeBase(rows, student["train"].embeddings, soft_labels)
    yield made("off", student, own, ALONE)
    keyed = {"own": (student, own)}
    if known.aligns and known.keys is not None:
        keyed["aligned"] = student, KnowledgeBase(rows, known.keys, soft_labels)
    for key, embeddings in _independent_keys(known).items():
        queries = {split: replace(student[split], embeddings=embeddings[split]) for split in ("validation", "test")}
        keyed[key] = queries, KnowledgeBase(rows, embeddings["train"], soft_labels)
    choices = {}
    for key, (queries, memory) in keyed.items():
        held_out = queries["validation"]
        yield made(f"fixed-{key}", queries, memory, choose_retrieval(held_out, labels, memory, metric))
        yield made(f"only-{key}", queries, memory, choose_retrieval(held_out, labels, memory, metric, (1.0,)))
        choices[key] = choose_gate(held_out, labels, memory, metric)
        yield made(f"gate-{key}", queries, memory, choices[key].retrieval)
    independent = "half" if known.halves_second else "second" if "second" in keyed else "untuned"
    offered = ["aligned" if "aligned" in keyed else "own", *(key for key in (independent,) if key in keyed)]
    best = min(offered, key=lambda key: choices[key].log_loss)
    yield made("gate", *keyed[best], choices[best].retrieval)


def _independent_keys(known: Known) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Return the untuned encoder's embeddings by split, and with the key head where there is a teacher to draw to."""
    if known.second is None:
        return {}
    found = np.load(known.second)
    layers = {split: found[split].astype(np.float32) for split in SPLITS}
    keys = {"untuned": {split: normalize(layers[split][:, -1]) for split in SPLITS}}
    if known.keys is not None:
        depth = layers["train"].shape[1] - 1
        depths = {"second": depth, "half": half_of(depth)} if known.halves_second else {"second": depth}
        for key, count in depths.items():
            head = fit_key_head(layers["train"][:, : count + 1], known.keys)
            keys[key] = {split: head.keys(layers[split][:, : count + 1]) for split in SPLITS}
    return keys


def _scored(found: Answers, gold: Labels, metric: str) -> dict[str, Any]:
    retrieval, predicted = found.retrieval, found.probabilities.argmax(axis=1)
    return {
        "answer": found.answer,
        "metric": metric,
        "k": retrieval.k,
        "retrieval_weight": retrieval.retrieval_weight,
        "temperature": retrieval.temperature,
        "gate": "none" if retrieval.gate is None else "open" if retrieval.gate_is_open else "closed",
        "validation": found.validation,
        "test": METRICS[metric](gold, predicted),
        "log_loss": log_loss(gold, found.probabilities),
        "predicted": predicted.astype(np.int16),
    }
