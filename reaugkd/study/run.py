"""Run a study: train every student of its plan, write its outputs for every row, and go on where it stopped.

Nothing is chosen or scored here; :mod:`reaugkd.study.answers` does that from the files this leaves.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.files import as_path, check_writable, whole_file
from reaugkd.method.distillation import Student
from reaugkd.method.memory import Memory
from reaugkd.method.projection import ProjectionHead
from reaugkd.method.teacher import TeacherOutputs
from reaugkd.networks.encoders import TextClassifier, normalize
from reaugkd.networks.trainer import silent
from reaugkd.networks.weights import find_weights
from reaugkd.recipe import Recipe
from reaugkd.study import scenarios
from reaugkd.study.plan import Run, Study, needs_teacher
from reaugkd.tasks.task import SPLITS, Task
from reaugkd.training import teach

Say = Callable[[str], None]
DATA_FILE = "data.json"

ANSWERS_FILE = "answers.parquet"
SCENARIOS_FILE = "scenario_rows.csv"


@dataclass(frozen=True)
class StudyRecord:
    """Answers of students and rows of scenarios, each with the digest of its settings.

    Parameters
    ----------
    answers : DataFrame
        As :func:`reaugkd.study.answers.study_answers` gives them.
    scenarios : DataFrame
        A row for each scenario, seed and way.
    """

    answers: pd.DataFrame = field(default_factory=pd.DataFrame)
    scenarios: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def load(cls, folder: str | Path) -> "StudyRecord":
        """Read a record from the folder of an earlier report; a :class:`ReAugKDError` says if it holds no answers."""
        folder = as_path(folder)
        answers, scenarios = folder / ANSWERS_FILE, folder / SCENARIOS_FILE
        if not answers.is_file():
            raise ReAugKDError(f"{str(folder)!r} holds no {ANSWERS_FILE}; name the folder of an earlier report.")
        return cls(pd.read_parquet(answers), pd.read_csv(scenarios) if scenarios.is_file() else pd.DataFrame())

    def save(self, folder: str | Path) -> list[Path]:
        """Write the record, and return its files."""
        answers, scenarios = Path(folder) / ANSWERS_FILE, Path(folder) / SCENARIOS_FILE
        with whole_file(answers) as writing:
            self.answers.to_parquet(writing, index=False, compression="zstd")
        if self.scenarios.empty:
            return [answers]
        with whole_file(scenarios) as writing:
            self.scenarios.to_csv(writing, index=False, float_format="%.6g")
        return [answers, scenarios]

    def rows_of(self, run: Mapping[str, Any]) -> pd.DataFrame:
        """Return the rows of one student or scenario by the columns of its run, ``about``; none if not recorded."""
        table = self.scenarios if "kind" in run else self.answers
        return table[(table.reindex(columns=list(run)) == pd.Series(run)).all(axis=1)]


NOTHING = StudyRecord()


def run_study(study: Study, data: str | Path, work: str | Path, *, say: Say, known: StudyRecord = NOTHING) -> None:
    """Train what is not yet trained.

    Parameters
    ----------
    study : Study
        The plan.
    data : str or Path
        Folder from which the tasks' paths start.
    work : str or Path
        Folder for teachers' outputs and students' outputs; what lies there and fits is not made again.
    say : callable
        Called with a sentence for every network that was trained.
    known : StudyRecord
        Students whose answers it holds are not trained.

    Raises
    ------
    ReAugKDError
        If a file of the data is missing, weights are not found, or the folder was made of other rows or labels.
    """
    work = as_path(work)
    check_writable(work / DATA_FILE)
    tasks = {name: study.load(name, data) for name in study.tasks}
    _check_data(tasks, work / DATA_FILE)
    if study.encoder_key is not None:
        for task in tasks.values():
            _encode_layers(task, study.encoder_key.encoder, work / study.encoder_key.file(task))
    runs = list(study.students())
    for number, run in enumerate(runs, start=1):
        if len(known.rows_of(run.about)):
            continue
        task, outputs, memory = tasks[run.about["task"]], None, None
        recipe = run.recipe.for_task(task)
        if needs_teacher(recipe):
            outputs = _teach(task, run, work, say)
            z = _project(outputs, task, replace(recipe, seed=run.teacher_seed), work / run.keys_file)
            z_of_taught = np.concatenate([z[split] for split in task.taught_splits])
            memory = Memory.of(task, outputs.of(*task.taught_splits)[1], z_of_taught)
        digest = student_digest(task, recipe, outputs)
        if has_digest(work / run.file, digest):
            continue
        seconds = _train_student(task, memory, recipe, work / run.file, digest)
        named = "{task}, {teacher}, {method}, seed {seed}".format(**run.about)
        say(f"{number} of {len(runs)}: {named}: {seconds:.0f} s.")


def run_scenarios(study: Study, data: str | Path, work: str | Path, *, say: Say, known: StudyRecord = NOTHING) -> None:
    """Run those scenarios of the plan that have no result by today's settings, in the folder or recorded."""
    work = as_path(work)
    for run in study.scenario_runs():
        if len(scenario_rows(run, work, known)):
            continue
        task, scenario = study.load(run.about["task"], data), getattr(scenarios, run.about["kind"])
        found = scenario(task, partial(_teach, run=run, work=work, say=say), run.recipe)
        _save_json(work / run.file, [run.about | {"metric": task.metric} | row for row in found])
        say(f"Scenario {run.file.stem}.")


def scenario_rows(run: Run, work: Path, known: StudyRecord = NOTHING) -> pd.DataFrame:
    """Return a scenario's rows, a way each: those of the folder, else the recorded ones; none of other settings."""
    path = work / run.file
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    today = [row for row in rows if row.get("settings_digest") == run.about["settings_digest"]]
    return pd.DataFrame(today) if today else known.rows_of(run.about)


def teacher_outputs(task: Task, run: Run, work: Path) -> TeacherOutputs:
    """Load the outputs of a run's teacher for just this task, calibrated if the recipe says so."""
    outputs = TeacherOutputs.load(work / run.outputs_file)
    outputs.check(task)
    return outputs.calibrated(task) if run.recipe.calibrate_teacher else outputs


def student_digest(task: Task, recipe: Recipe, outputs: TeacherOutputs | None) -> str:
    """Return a digest of all that decides about a student; without outputs it learns from no teacher."""
    names = ["student", "student_layers", "max_length", "distillation", "student_training"]
    if recipe.distillation.aligns:
        names += ["projection_training", "projection_temperature"]
    settings = asdict(recipe)
    parts = [*_rows_and_labels(task), json.dumps([settings[name] for name in names])]
    if outputs is not None:
        parts.append(hashlib.sha256(outputs.soft_labels.tobytes() + outputs.hidden.tobytes()).hexdigest())
    return _sha256(parts)


def has_digest(path: Path, digest: str) -> bool:
    """Return whether the ``.npz`` of a student is there, and was made by just these settings."""
    if not path.is_file():
        return False
    with np.load(path) as arrays:
        return str(arrays["settings_digest"]) == digest


def _rows_and_labels(task: Task) -> list[str]:
    """Return what a network that is trained on a task depends on, of the task."""
    return [task.fingerprint(), repr(task.labels("train").tolist())]


def _sha256(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _check_data(tasks: Mapping[str, Task], path: Path) -> None:
    """Refuse other rows or labels than those that the study's folder was made of: its teachers are of the old ones."""
    today = {name: _sha256(_rows_and_labels(task)) for name, task in tasks.items()}
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    changed = [repr(name) for name, digest in today.items() if before.get(name, digest) != digest]
    if changed:
        raise ReAugKDError(
            f"The rows or train labels of {', '.join(changed)} differ from those that the teachers in "
            f"{str(path.parent)!r} were trained on; name a new folder with --out."
        )
    _save_json(path, before | today)


def _teach(task: Task, run: Run, work: Path, say: Say) -> TeacherOutputs:
    """Load a run's teacher outputs, or fine-tune the teacher first."""
    path = work / run.outputs_file
    if not path.is_file():
        start = time.monotonic()
        teach(task, Recipe(teacher=run.recipe.teacher, seed=run.teacher_seed), path, on_progress=silent)
        say(f"Teacher {path.stem}: {time.monotonic() - start:.0f} s.")
    return teacher_outputs(task, run, work)


def _project(outputs: TeacherOutputs, task: Task, recipe: Recipe, path: Path) -> dict[str, NDArray[np.float32]]:
    """Load z of every split, or fit the projection head first; one for all students of a teacher."""
    if not path.is_file():
        head = ProjectionHead.fit(task, outputs.of("train")[0], recipe, on_progress=silent)
        _save(path, **{split: head.project(outputs.of(split)[0]) for split in task.splits})
    return dict(np.load(path))


def _encode_layers(task: Task, name: str, path: Path) -> None:
    if not path.is_file():
        encoder = TextClassifier.from_pretrained(find_weights(name), 1)
        _save(path, **{split: encoder.encode_layers(task.texts(split)).astype(np.float16) for split in task.splits})


def _train_student(task: Task, memory: Memory | None, recipe: Recipe, path: Path, digest: str) -> float:
    """Train one student, write its embeddings and probabilities of every row, and return the training's seconds."""
    start = time.monotonic()
    scratch = path.with_suffix(".partial")
    checkpoints = scratch / digest[:12]  # an interrupted training goes on only by the settings that began it
    student = Student.fit(task, memory, recipe, folder=checkpoints, on_progress=silent)
    seconds = time.monotonic() - start
    outputs: dict[str, NDArray[Any]] = {"settings_digest": np.array(digest), "seconds": np.array(seconds)}
    for split in SPLITS:
        hidden, outputs[f"{split}_probabilities"] = student.encode(task.texts(split))
        outputs[f"{split}_embeddings"] = normalize(hidden).astype(np.float16)
    _save(path, **outputs)
    shutil.rmtree(scratch, ignore_errors=True)
    return seconds


def _save_json(path: Path, content: Any) -> None:
    with whole_file(path) as writing:
        writing.write_text(json.dumps(content, indent=1, default=float) + "\n", encoding="utf-8")


def _save(path: Path, **arrays: NDArray[Any]) -> None:
    with whole_file(path) as writing:
        np.savez(writing, **arrays)  # type: ignore[arg-type]
