"""What a study found: for every student, each way to answer is chosen on validation rows, then scored on test rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.data import Task
from reaugkd.evaluation import Encoded, answer, choose_gate, choose_retrieval
from reaugkd.knowledge_base import KnowledgeBase
from reaugkd.metrics import METRICS, Labels, log_loss
from reaugkd.retrieval import RetrievalSettings
from reaugkd.study import Cell, StudyFolder, cells
from reaugkd.study_plan import Study
from reaugkd.teacher import TeacherOutputs

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
        with x), ``own`` (the student's own x), ``second`` (the untuned encoder); or ``gate``, the recipe's choice.
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


def study_answers(study: Study, data: str | Path, work: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose, answer and score for every student that is trained.

    Parameters
    ----------
    study : Study
        The plan.
    data : str or Path
        Folder from which the tasks' paths start.
    work : str or Path
        Folder in which :func:`reaugkd.study.run_study` left the students' outputs.

    Returns
    -------
    tuple of DataFrame
        Scores: a row for each task, teacher, method, seed and answer, with metric, choice, ``validation``, ``test``,
        ``log_loss`` (nats) and ``seconds`` of training. Predictions: the same keys, test row and predicted label.
    """
    folder = StudyFolder(Path(work))
    tasks = {task.name: task.load(Path(data)) for task in study.tasks}
    scores, predictions = [], []
    for cell, teacher, method, teacher_seed in cells(study):
        path = cell.file(folder.path)
        if not path.is_file():
            continue
        task = tasks[cell.task]
        outputs = TeacherOutputs.load(folder.teacher_outputs(cell.task, teacher.name, teacher_seed)).calibrated(task)
        keys = folder.keys(cell.task, teacher.name, teacher_seed)
        aligned = np.load(keys)["train"] if method.aligns and keys.is_file() else None
        second = folder.second_key(cell.task)
        said = np.load(path)
        chosen = list(cell_answers(cell, task, said, outputs, aligned, second))
        gold = task.labels("test")  # read only now: everything is chosen
        for found in chosen:
            scores.append(_score(found, gold, task.metric) | {"seconds": float(said["seconds"])})
            predictions.append(_predictions(found))
    return pd.DataFrame(scores), pd.concat(predictions, ignore_index=True) if predictions else pd.DataFrame()


def cell_answers(
    cell: Cell,
    task: Task,
    said: Any,
    outputs: TeacherOutputs,
    aligned: NDArray[np.float32] | None,
    second: Path,
) -> Iterator[Answers]:
    """Choose every way of one student to answer on the validation rows; no test label is read.

    Parameters
    ----------
    cell : Cell
        The student.
    task : Task
        The task.
    said : mapping
        What the student says of each split: ``{split}_embeddings`` and ``{split}_probabilities``.
    outputs : TeacherOutputs
        For the soft labels of the memory, calibrated.
    aligned : (M, d) float32 or None
        z of the train rows, where the student was aligned to them.
    second : Path
        File of the untuned encoder's embeddings; may be missing.

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
    soft_labels = outputs.of("train")[1]
    rows = task.rows["train"].to_pandas()

    def made(name: str, queries: dict[str, Encoded], memory: KnowledgeBase, settings: RetrievalSettings) -> Answers:
        validation = METRICS[metric](labels, answer(queries["validation"], memory, settings).argmax(axis=1))
        return Answers(cell, name, settings, validation, answer(queries["test"], memory, settings))

    own = KnowledgeBase(rows, student["train"].embeddings, soft_labels)
    yield made("off", student, own, ALONE)
    keyed = {"own": (student, own)}
    if aligned is not None:
        keyed["aligned"] = student, KnowledgeBase(rows, aligned, soft_labels)
    if second.is_file():
        found = np.load(second)
        queries = {
            split: replace(student[split], embeddings=found[split].astype(np.float32))
            for split in ("validation", "test")
        }
        keyed["second"] = queries, KnowledgeBase(rows, found["train"].astype(np.float32), soft_labels)
    choices = {}
    for key, (queries, memory) in keyed.items():
        held_out = queries["validation"]
        yield made(f"fixed-{key}", queries, memory, choose_retrieval(held_out, labels, memory, metric))
        yield made(f"only-{key}", queries, memory, choose_retrieval(held_out, labels, memory, metric, (1.0,)))
        choices[key] = choose_gate(held_out, labels, memory, metric)
        yield made(f"gate-{key}", queries, memory, choices[key].retrieval)
    offered = [key for key in ("aligned" if aligned is not None else "own", "second") if key in keyed]
    best = min(offered, key=lambda key: choices[key].log_loss)
    yield made("gate", *keyed[best], choices[best].retrieval)


def _score(found: Answers, gold: Labels, metric: str) -> dict[str, Any]:
    cell, retrieval = found.cell, found.retrieval
    return {
        "task": cell.task,
        "teacher": cell.teacher,
        "method": cell.method,
        "seed": cell.seed,
        "answer": found.answer,
        "metric": metric,
        "k": retrieval.k,
        "retrieval_weight": retrieval.retrieval_weight,
        "temperature": retrieval.temperature,
        "gate": "none" if retrieval.gate is None else "closed" if retrieval.gate.is_closed else "open",
        "validation": found.validation,
        "test": METRICS[metric](gold, found.probabilities.argmax(axis=1)),
        "log_loss": log_loss(gold, found.probabilities),
    }


def _predictions(found: Answers) -> pd.DataFrame:
    cell = found.cell
    predicted = found.probabilities.argmax(axis=1).astype(np.int16)
    about = {"task": cell.task, "teacher": cell.teacher, "method": cell.method, "seed": cell.seed}
    return pd.DataFrame({**about, "answer": found.answer, "row": np.arange(len(predicted)), "predicted": predicted})
