"""What a study compares, read from a YAML file: tasks, teachers, methods and seeds."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from reaugkd.data import Task
from reaugkd.distillation import DistillationSettings
from reaugkd.errors import ReAugKDError
from reaugkd.recipe import STUDENT_EPOCHS, TEACHER_EPOCHS, Recipe
from reaugkd.sources import load_files
from reaugkd.weights import DEFAULT_ENCODER

# Goes up when the second key or the rules by which k, τ and the gate are chosen change: recorded answers are then old.
CHOICES = 4
SCENARIOS = ("new_classes", "few_labels", "grown_memory", "corrected_labels")


@dataclass(frozen=True)
class StudyTask:
    """A task of a study.

    Parameters
    ----------
    name : str
        Its name in tables and plots.
    files : dict
        Arguments of :func:`reaugkd.sources.load_files`; paths start from the study's data folder.
    """

    name: str
    files: dict[str, Any]

    def load(self, data: Path) -> Task:
        """Load the task; ``data`` is the folder from which its paths start."""
        paths = {split: data / self.files[split] for split in ("train", "validation", "test") if split in self.files}
        options = {name: value for name, value in self.files.items() if name not in paths}
        return replace(load_files(**paths, **options), name=self.name)


@dataclass(frozen=True)
class StudyTeacher:
    """A teacher of a study.

    Parameters
    ----------
    name : str
        Its name in tables and plots.
    encoder : str
        The pretrained encoder that is fine-tuned; of a black box, the open encoder that gives the embeddings.
    seeds : tuple of int
        Seeds to train it with; the n-th seed of the study takes the n-th of them, going round.
    cross_fit : int
        Folds of :mod:`reaugkd.cross_fit`; 0 for a plain teacher.
    soft_labels_of : str or None
        Makes it a black box: only the soft labels of that other teacher are known.
    methods : tuple of str or None
        The methods that learn from it; all if left out.
    """

    name: str
    encoder: str
    seeds: tuple[int, ...] = (0,)
    cross_fit: int = 0
    soft_labels_of: str | None = None
    methods: tuple[str, ...] | None = None

    def teaches(self, method: str) -> bool:
        """Whether the method of this name learns from it."""
        return self.methods is None or method in self.methods

    def halves(self, second_key: str) -> bool:
        """Whether the recipe takes half of this encoder for the second key: all of it could as well be the teacher."""
        return self.soft_labels_of is None and self.encoder == second_key


@dataclass(frozen=True)
class StudyMethod:
    """A way to train the student.

    Parameters
    ----------
    name : str
        Its name in tables and plots.
    changes : dict
        What differs from the :class:`~reaugkd.recipe.Recipe`, nested as its fields are.
    """

    name: str
    changes: dict[str, Any]

    def recipe(self, teacher: StudyTeacher, seed: int) -> Recipe:
        """Return the recipe of one student."""
        recipe = Recipe(teacher=teacher.encoder, seed=seed)
        changed: Recipe = _changed(recipe, self.changes, f"methods.{self.name}")
        return changed

    @property
    def aligns(self) -> bool:
        """Whether the student is drawn to the teacher's embeddings."""
        return self._loss().aligns

    @property
    def needs_teacher(self) -> bool:
        """Whether the student learns from the teacher at all; one that does not is trained once for all teachers."""
        return bool(self._loss().soft_label_weight) or self.aligns

    def _loss(self) -> DistillationSettings:
        return self.recipe(StudyTeacher("any", DEFAULT_ENCODER), 0).distillation


@dataclass(frozen=True)
class StudyScenario:
    """A scenario of :mod:`reaugkd.scenarios` in a study.

    Parameters
    ----------
    kind : str
        Name of its function: ``new_classes``, ``few_labels``, ``grown_memory`` or ``corrected_labels``.
    task : str
        Name of the task.
    teacher : str
        Name of the teacher.
    seeds : tuple of int
        Seeds of the students and of what is drawn.
    """

    kind: str
    task: str
    teacher: str
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Study:
    """What is compared.

    Parameters
    ----------
    tasks : tuple of StudyTask
        On what.
    teachers : tuple of StudyTeacher
        By whom.
    methods : tuple of StudyMethod
        How the student is trained.
    seeds : tuple of int
        Seeds of the students.
    compare : tuple of (str, str)
        Which answers are compared, ``"method/answer"`` each, the baseline second.
    second_key : dict or None
        ``encoder`` and ``layers`` of an untuned encoder by which the memory is searched too.
    scenarios : tuple of StudyScenario
        What is done with a memory after training.
    """

    tasks: tuple[StudyTask, ...]
    teachers: tuple[StudyTeacher, ...]
    methods: tuple[StudyMethod, ...]
    seeds: tuple[int, ...]
    compare: tuple[tuple[str, str], ...] = ()
    second_key: dict[str, Any] | None = field(default=None)
    scenarios: tuple[StudyScenario, ...] = ()

    def made_by(self, task: str, teacher: StudyTeacher, recipe: Recipe, teacher_seed: int) -> str:
        """Return a digest of all settings that decide what a student, or a scenario's, answers.

        Parameters
        ----------
        task : str
            Name of the task.
        teacher : StudyTeacher
            The teacher.
        recipe : Recipe
            Of the student, not yet filled in for the task's size.
        teacher_seed : int
            Seed of the teacher.

        Returns
        -------
        str
            Twelve hexadecimal digits.
        """
        files = next(entry.files for entry in self.tasks if entry.name == task)
        made_of = [files, asdict(recipe), *self._teaches(teacher, teacher_seed), self.second_key]
        return _digest([*made_of, CHOICES, STUDENT_EPOCHS, TEACHER_EPOCHS])

    def taught_by(self, teacher: StudyTeacher, seed: int) -> str:
        """Return a trained teacher's name for files: the plan's, the seed, and a digest of what it is trained by.

        Parameters
        ----------
        teacher : StudyTeacher
            The teacher.
        seed : int
            Its seed.

        Returns
        -------
        str
            Another one wherever the teacher would be another.
        """
        recipe = Recipe()
        trained_by = [asdict(recipe.teacher_training), recipe.max_length, recipe.teacher_epochs, TEACHER_EPOCHS]
        return f"{teacher.name}-{seed}-{_digest([*self._teaches(teacher, seed), *trained_by])}"

    def projected_by(self, teacher: StudyTeacher, seed: int, recipe: Recipe) -> str:
        """Return the name for files of a teacher's projection head, as :meth:`taught_by` does of the teacher.

        Parameters
        ----------
        teacher : StudyTeacher
            The teacher.
        seed : int
            Its seed, and the head's.
        recipe : Recipe
            ``student``, ``projection_training`` and ``projection_temperature`` count.

        Returns
        -------
        str
            Another one wherever the head would be another.
        """
        training = asdict(replace(recipe.projection_training, seed=seed))
        return f"{self.taught_by(teacher, seed)}-{_digest([recipe.student, training, recipe.projection_temperature])}"

    def fits_head(self, teacher: StudyTeacher, seed: int, recipe: Recipe) -> bool:
        """Return whether a method that the teacher teaches is aligned by the projection head of this recipe.

        Students of the teacher that are not aligned need that head too: the key head of the second key draws to it.

        Parameters
        ----------
        teacher : StudyTeacher
            The teacher.
        seed : int
            Its seed, and the head's.
        recipe : Recipe
            What :meth:`projected_by` reads counts.

        Returns
        -------
        bool
            Whether the study fits that head.
        """
        wanted = self.projected_by(teacher, seed, recipe)
        aligned = [method for method in self.methods if method.aligns and teacher.teaches(method.name)]
        return any(self.projected_by(teacher, seed, method.recipe(teacher, seed)) == wanted for method in aligned)

    def _teaches(self, teacher: StudyTeacher, seed: int) -> list[dict[str, Any] | None]:
        """Return what tells a teacher from others: its settings, and those of the teacher whose soft labels it has."""
        source = next((other for other in self.teachers if other.name == teacher.soft_labels_of), None)
        return [
            asdict(teacher) | {"seeds": seed, "methods": None},
            None if source is None else asdict(source) | {"seeds": source.seeds[0], "methods": None},
        ]


def _digest(settings: Any) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def read_study(path: str | Path) -> Study:
    """Read a study from a YAML file, and check it.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Study
        What it compares.

    Raises
    ------
    ReAugKDError
        If the file is missing, is no YAML, or names something that does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise ReAugKDError(
            f"There is no file {str(path)!r}; write the study's tasks, teachers, methods and seeds there."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ReAugKDError(f"{str(path)!r} is no YAML ({' '.join(str(error).split())}); correct it.") from error
    known = {entry.name for entry in fields(Study)}
    if not isinstance(content, dict) or not {"tasks", "teachers", "methods", "seeds"} <= set(content) <= known:
        raise ReAugKDError(
            f"{str(path)!r} must hold tasks, teachers, methods and seeds, and nothing else but "
            f"{' and '.join(sorted(known - {'tasks', 'teachers', 'methods', 'seeds'}))}."
        )
    try:
        study = Study(
            tasks=tuple(StudyTask(name, dict(files)) for name, files in content["tasks"].items()),
            teachers=tuple(StudyTeacher(name, **_with_tuples(about)) for name, about in content["teachers"].items()),
            methods=tuple(StudyMethod(name, changes or {}) for name, changes in content["methods"].items()),
            seeds=tuple(int(seed) for seed in content["seeds"]),
            compare=tuple((str(ours), str(theirs)) for ours, theirs in content.get("compare", ())),
            second_key=content.get("second_key"),
            scenarios=tuple(StudyScenario(**_with_tuples(about)) for about in content.get("scenarios", ())),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise ReAugKDError(f"{str(path)!r} is not laid out as a study ({error}); correct it.") from error
    _check(study, path)
    return study


def _with_tuples(about: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in about.items()}


def _check(study: Study, path: Path) -> None:
    if not (study.tasks and study.teachers and study.methods and study.seeds):
        raise ReAugKDError(f"{str(path)!r} needs at least one task, teacher, method and seed.")
    teachers = {teacher.name for teacher in study.teachers if teacher.soft_labels_of is None}
    for teacher in study.teachers:
        if teacher.soft_labels_of not in (None, *teachers):
            raise ReAugKDError(
                f"{str(path)!r}: the black box {teacher.name!r} takes the soft labels of {teacher.soft_labels_of!r}, "
                f"which is none of the teachers {', '.join(sorted(teachers))}."
            )
    for method in study.methods:
        method.recipe(study.teachers[0], study.seeds[0])  # an unknown setting fails now, not after hours
    tasks = {task.name for task in study.tasks}
    for scenario in study.scenarios:
        if scenario.kind not in SCENARIOS or scenario.task not in tasks or scenario.teacher not in teachers:
            raise ReAugKDError(
                f"{str(path)!r}: the scenario {scenario.kind!r} on {scenario.task!r} by {scenario.teacher!r} must be "
                f"one of {', '.join(SCENARIOS)} on a task and by a teacher of the study."
            )
    names = {method.name for method in study.methods}
    for teacher in study.teachers:
        unknown = sorted(set(teacher.methods or ()) - names)
        if unknown:
            raise ReAugKDError(f"{str(path)!r}: the teacher {teacher.name!r} has no method {unknown[0]!r} to teach.")
    for pair in study.compare:
        for side in pair:
            if side.split("/")[0] not in names:
                raise ReAugKDError(f"{str(path)!r} compares {side!r}, but has no method of that name.")


def _changed(settings: Any, changes: dict[str, Any], where: str) -> Any:
    """Return nested settings with some of them changed."""
    known = {entry.name for entry in fields(settings)}
    found = {}
    for name, value in changes.items():
        if name not in known:
            raise ReAugKDError(f"{where} has no setting {name!r}; it has {', '.join(sorted(known))}.")
        inner = getattr(settings, name)
        found[name] = _changed(inner, value, f"{where}.{name}") if is_dataclass(inner) else value
    return replace(settings, **found)
