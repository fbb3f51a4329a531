"""Run a study: train every student that its plan names, keep what each says of every row, and go on where it stopped.

Nothing is chosen or scored here; :mod:`reaugkd.study_answers` does that from the files this leaves.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reaugkd.data import SPLITS, Task
from reaugkd.encoders import TextClassifier, normalize
from reaugkd.errors import ReAugKDError
from reaugkd.recipe import Recipe, distill, fit_head, teach
from reaugkd.scenarios import few_labels, new_classes, unlabelled_text
from reaugkd.study_plan import Study, StudyMethod, StudyScenario, StudyTeacher
from reaugkd.study_record import StudyRecord
from reaugkd.teacher import TeacherOutputs
from reaugkd.trainer import Progress
from reaugkd.weights import find_weights

Say = Callable[[str], None]


@dataclass(frozen=True)
class Cell:
    """One student of a study.

    Parameters
    ----------
    task, teacher, method : str
        Their names in the plan.
    seed : int
        Seed of the student.
    """

    task: str
    teacher: str
    method: str
    seed: int

    def about(self, study: Study, teacher: StudyTeacher, method: StudyMethod, teacher_seed: int) -> dict[str, Any]:
        """Return what a :class:`~reaugkd.study_record.StudyRecord` knows the student by."""
        made_by = study.made_by(self.task, method.recipe(teacher, self.seed), teacher_seed)
        return asdict(self) | {"made_by": made_by}

    def file(self, work: Path) -> Path:
        """Return where the student's outputs lie."""
        return work / "students" / self.task / self.teacher / f"{self.method}-{self.seed}.npz"


@dataclass(frozen=True)
class StudyFolder:
    """Where a study keeps what it made; every name says what it is, so that a person can copy or delete one.

    Parameters
    ----------
    path : Path
        The folder.
    """

    path: Path

    def teacher_outputs(self, task: str, taught_by: str) -> Path:
        """Return the Parquet file of the outputs of a teacher that :meth:`Study.taught_by` names."""
        return self.path / "teachers" / f"{task}-{taught_by}.parquet"

    def keys(self, task: str, projected_by: str) -> Path:
        """Return the file of the embeddings by a projection head that :meth:`Study.projected_by` names."""
        return self.path / "keys" / f"{task}-{projected_by}.npz"

    def scenario(self, scenario: StudyScenario, seed: int) -> Path:
        """Return the JSON file of a scenario's rows."""
        return self.path / "scenarios" / f"{scenario.kind}-{scenario.task}-{scenario.teacher}-{seed}.json"

    def scenario_rows(self, scenario: StudyScenario, about: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return a scenario's rows; none where it was not run, or was run by other settings than today's."""
        path = self.scenario(scenario, about["seed"])
        rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        return [row for row in rows if row.get("made_by") == about["made_by"]]

    @property
    def data(self) -> Path:
        """Return the JSON file of each task's digest of rows and labels."""
        return self.path / "data.json"

    def encoder_layers(self, task: str) -> Path:
        """Return the file of what the untuned encoder's layers make of every text."""
        return self.path / "encoder_layers" / f"{task}.npz"


def cells(study: Study) -> Iterator[tuple[Cell, StudyTeacher, StudyMethod, int]]:
    """Yield every student with its teacher, its method and the teacher's seed; one seed after the other.

    A study that is stopped early has whole seeds. A student that learns from no teacher belongs to the teacher
    ``"none"`` and comes once.

    Parameters
    ----------
    study : Study
        The plan.

    Yields
    ------
    tuple
        :class:`Cell`, :class:`~reaugkd.study_plan.StudyTeacher`, :class:`~reaugkd.study_plan.StudyMethod`, seed.
    """
    for seed in study.seeds:
        for teacher in study.teachers:
            teacher_seed = study.teacher_seed(teacher, seed)
            for task in study.tasks:
                for method in study.methods:
                    if method.needs_teacher:
                        if teacher.teaches(method.name):
                            yield Cell(task.name, teacher.name, method.name, seed), teacher, method, teacher_seed
                    elif teacher == study.teachers[0]:
                        yield Cell(task.name, "none", method.name, seed), teacher, method, teacher_seed


def run_study(study: Study, data: str | Path, work: str | Path, *, say: Say, known: StudyRecord | None = None) -> None:
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
        Is told a sentence for every network that was trained.
    known : StudyRecord, optional
        Students of which it has the answers are not trained.

    Raises
    ------
    ReAugKDError
        If a file of the data is missing, weights are not found, or the folder was made of other rows or labels.
    """
    folder = StudyFolder(Path(work))
    tasks = {task.name: task.load(Path(data)) for task in study.tasks}
    _check_data(tasks, folder.data)
    if study.encoder_key:
        for name, task in tasks.items():
            _encode_layers(task, study.encoder_key, folder.encoder_layers(name))
    everything = list(cells(study))
    for number, (cell, teacher, method, teacher_seed) in enumerate(everything, start=1):
        if known is not None and len(known.answers_of(cell.about(study, teacher, method, teacher_seed))):
            continue
        task = tasks[cell.task]
        recipe = method.recipe(teacher, cell.seed).for_task(task)
        outputs = keys = None
        if method.needs_teacher:
            outputs = _outputs(study, teacher, task, teacher_seed, folder, say)
            outputs = outputs.calibrated(task) if recipe.calibrate_teacher else outputs
            keys_file = folder.keys(cell.task, study.projected_by(teacher, teacher_seed, recipe))
            keys = _projected(outputs, task, recipe, teacher_seed, keys_file)
        made_of = student_made_of(task, recipe, outputs)
        path = cell.file(folder.path)
        if is_made_of(path, made_of):
            continue
        seconds = _train_cell(task, recipe, outputs, keys, path, made_of)
        named = f"{cell.task}, {cell.teacher}, {cell.method}, seed {cell.seed}"
        say(f"{number} of {len(everything)}: {named}: {seconds:.0f} s.")


def scenario_runs(study: Study) -> Iterator[tuple[StudyScenario, StudyTeacher, int, dict[str, Any]]]:
    """Yield every scenario and seed, one seed after the other, so that a study that is stopped early has whole seeds.

    Parameters
    ----------
    study : Study
        The plan.

    Yields
    ------
    tuple
        :class:`~reaugkd.study_plan.StudyScenario`, its teacher, the teacher's seed, and what a
        :class:`~reaugkd.study_record.StudyRecord` knows the run by.
    """
    teachers = {teacher.name: teacher for teacher in study.teachers}
    most = max((len(scenario.seeds) for scenario in study.scenarios), default=0)
    for position in range(most):
        for scenario in [scenario for scenario in study.scenarios if position < len(scenario.seeds)]:
            teacher, seed = teachers[scenario.teacher], scenario.seeds[position]
            teacher_seed = study.teacher_seed(teacher, seed)
            made_by = study.made_by(scenario.task, Recipe(teacher=teacher.encoder, seed=seed), teacher_seed)
            about = {"kind": scenario.kind, "task": scenario.task, "teacher": teacher.name, "seed": seed}
            yield scenario, teacher, teacher_seed, about | {"made_by": made_by}


def run_scenarios(
    study: Study, data: str | Path, work: str | Path, *, say: Say, known: StudyRecord | None = None
) -> None:
    """Run the plan's scenarios, of which no result by today's settings lies in the folder yet.

    Parameters
    ----------
    study : Study
        The plan.
    data : str or Path
        Folder from which the tasks' paths start.
    work : str or Path
        The study's folder; each scenario and seed leaves a JSON file of its rows.
    say : callable
        Is told a sentence for every scenario.
    known : StudyRecord, optional
        Scenarios of which it has the rows are not run.
    """
    folder = StudyFolder(Path(work))
    for scenario, teacher, teacher_seed, about in scenario_runs(study):
        path, seed = folder.scenario(scenario, about["seed"]), about["seed"]
        if folder.scenario_rows(scenario, about) or (known is not None and len(known.rows_of(about))):
            continue
        task = next(task for task in study.tasks if task.name == scenario.task).load(Path(data))
        recipe = Recipe(teacher=teacher.encoder, seed=seed)
        if scenario.kind == "new_classes":
            taught = folder.teacher_outputs(f"{task.name}-old-classes", study.taught_by(teacher, seed))
            rows = list(new_classes(task, partial(_taught, recipe=recipe, path=taught, say=say), recipe))
        else:
            run = few_labels if scenario.kind == "few_labels" else unlabelled_text
            outputs = _outputs(study, teacher, task, teacher_seed, folder, say).calibrated(task)
            rows = list(run(task, outputs, recipe))
        named = [about | {"metric": task.metric} | row for row in rows]
        _save_json(path, named)
        say(f"Scenario {path.stem}.")


def student_made_of(task: Task, recipe: Recipe, outputs: TeacherOutputs | None) -> str:
    """Return a digest of all that decides about a student; its file holds it.

    Parameters
    ----------
    task : Task
        The task.
    recipe : Recipe
        Of the student, filled in for the task.
    outputs : TeacherOutputs or None
        What it learns from, calibrated if the recipe says so; None where it learns from no teacher.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    names = ["student", "student_layers", "max_length", "distillation", "student_training"]
    if recipe.distillation.aligns:
        names += ["projection_training", "projection_temperature"]
    settings = asdict(recipe)
    parts = [*_seen(task), json.dumps([settings[name] for name in names])]
    if outputs is not None:
        parts.append(hashlib.sha256(outputs.soft_labels.tobytes() + outputs.hidden.tobytes()).hexdigest())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def layers_made_of(task: Task, about: Mapping[str, Any]) -> str:
    """Return what decides about the untuned encoder's layers on a task; their file holds it.

    Parameters
    ----------
    task : Task
        The task.
    about : mapping
        ``encoder``, as the plan names it.

    Returns
    -------
    str
        JSON.
    """
    return json.dumps([about["encoder"], task.fingerprint()])


def is_made_of(path: Path, made_of: str) -> bool:
    """Return whether an ``.npz`` of the study is there and was made of just that.

    Parameters
    ----------
    path : Path
        File of a student or of an encoder's layers.
    made_of : str
        What it must hold as ``made_of``.

    Returns
    -------
    bool
        Whether it counts.
    """
    if not path.is_file():
        return False
    with np.load(path) as found:
        return str(found["made_of"]) == made_of


def _seen(task: Task) -> list[str]:
    """Return what a network that is trained on a task depends on, of the task."""
    return [task.fingerprint(), repr(task.labels("train").tolist())]


def _check_data(tasks: Mapping[str, Task], path: Path) -> None:
    """Refuse other rows or labels than those that the study's folder was made of: its teachers are of the old ones."""
    today = {name: hashlib.sha256("\n".join(_seen(task)).encode()).hexdigest() for name, task in tasks.items()}
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    changed = [repr(name) for name, digest in today.items() if known.get(name, digest) != digest]
    if changed:
        raise ReAugKDError(
            f"The rows or train labels of {', '.join(changed)} are others than those that {str(path.parent)!r} was "
            "made of, and so are its teachers; name a new folder with --out."
        )
    _save_json(path, known | today)


def _save_json(path: Path, made: Any) -> None:
    """Write a file that is whole whenever it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writing = path.with_suffix(".writing")
    writing.write_text(json.dumps(made, indent=1, default=float) + "\n", encoding="utf-8")
    writing.replace(path)


def _outputs(
    study: Study, teacher: StudyTeacher, task: Task, seed: int, folder: StudyFolder, say: Say
) -> TeacherOutputs:
    """Load the outputs of one of the plan's teachers, or make them first."""
    path = folder.teacher_outputs(task.name, study.taught_by(teacher, seed))
    return _taught(task, Recipe(teacher=teacher.encoder, seed=seed), path, say)


def _taught(task: Task, recipe: Recipe, path: Path, say: Say) -> TeacherOutputs:
    """Load a teacher's outputs, or fine-tune the teacher first."""
    if not path.is_file():
        start = time.monotonic()
        teach(task, recipe, path, on_progress=_silent)
        say(f"Teacher {path.stem}: {time.monotonic() - start:.0f} s.")
    outputs = TeacherOutputs.load(path)
    outputs.check(task)
    return outputs


def _projected(
    outputs: TeacherOutputs, task: Task, recipe: Recipe, seed: int, path: Path
) -> dict[str, NDArray[np.float32]]:
    """Load z of every split, or fit the projection head first; one for all students of a teacher."""
    if not path.is_file():
        hidden, _ = outputs.of("train")
        scratch = path.with_suffix(".partial")
        head = fit_head(task, replace(recipe, seed=seed), hidden, scratch, on_progress=_silent)
        shutil.rmtree(scratch, ignore_errors=True)
        _save(path, **{split: head.project(outputs.of(split)[0]) for split in task.splits})
    return dict(np.load(path))


def _encode_layers(task: Task, about: dict[str, Any], path: Path) -> None:
    made_of = layers_made_of(task, about)
    if is_made_of(path, made_of):
        return
    encoder = TextClassifier.from_pretrained(find_weights(about["encoder"]), 1)
    layers = {split: encoder.encode_layers(task.texts(split)).astype(np.float16) for split in task.splits}
    _save(path, made_of=np.array(made_of), **layers)


def _train_cell(
    task: Task,
    recipe: Recipe,
    outputs: TeacherOutputs | None,
    keys: dict[str, NDArray[np.float32]] | None,
    path: Path,
    made_of: str,
) -> float:
    """Train one student, write what it says of every row, and return the seconds that the training took."""
    start = time.monotonic()
    scratch = path.with_suffix(".partial")
    student = distill(
        task,
        recipe,
        scratch / made_of[:12],  # an interrupted training goes on only by the settings that began it
        soft_labels=None if outputs is None else outputs.of(*task.taught_splits)[1],
        keys=None if keys is None else np.concatenate([keys[split] for split in task.taught_splits]),
        on_progress=_silent,
    )
    seconds = time.monotonic() - start
    said: dict[str, NDArray[Any]] = {}
    for split in SPLITS:
        hidden, probabilities = student.encode(task.texts(split))
        said |= {f"{split}_embeddings": normalize(hidden).astype(np.float16), f"{split}_probabilities": probabilities}
    shutil.rmtree(scratch, ignore_errors=True)
    _save(path, made_of=np.array(made_of), seconds=np.array(seconds), **said)
    return seconds


def _silent(_: Progress) -> None:
    """Report no progress: a study tells of whole networks only."""


def _save(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".writing.npz")
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)
