"""What a study compares, read from a YAML file: tasks, teachers, methods and seeds."""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from inspect import signature
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import yaml

from reaugkd.data import SPLITS, UNLABELLED, Task
from reaugkd.errors import ReAugKDError
from reaugkd.recipe import STUDENT_EPOCHS, TEACHER_EPOCHS, Recipe
from reaugkd.sources import load_files
from reaugkd.weights import DEFAULT_ENCODER

# Goes up when the keys or the rules by which the pool is chosen change: recorded answers are then old.
CHOICES = 5
POOLS = {
    "pool": ("aligned", "text"),
    "aligned": ("aligned",),
    "text": ("text",),
    "words": ("words",),
    "text+words": ("text", "words"),
    "gold words": ("gold words",),
    "text+gold words": ("text", "gold words"),
}
"""Which experts a logarithmic pool may take beside the student, by the name of the answer: keys of the memory, and the
classifiers of :mod:`reaugkd.controls`, which have no memory."""
SCENARIOS = ("new_classes", "few_labels", "unlabelled_text")


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
        paths = {split: data / self.files[split] for split in (*SPLITS, UNLABELLED) if split in self.files}
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
        The pretrained encoder that is fine-tuned.
    seeds : tuple of int
        Seeds to train it with; the n-th seed of the study takes the n-th of them, going round.
    methods : tuple of str or None
        The methods that learn from it; all if left out.
    """

    name: str
    encoder: str
    seeds: tuple[int, ...] = (0,)
    methods: tuple[str, ...] | None = None

    def teaches(self, method: str) -> bool:
        """Whether the method of this name learns from it."""
        return self.methods is None or method in self.methods


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
    def needs_teacher(self) -> bool:
        """Whether the student learns from the teacher at all; one that does not is trained once for all teachers."""
        loss = self.recipe(StudyTeacher("any", DEFAULT_ENCODER), 0).distillation
        return loss.soft_label_weight > 0 or loss.aligns


@dataclass(frozen=True)
class StudyScenario:
    """A scenario of :mod:`reaugkd.scenarios` in a study.

    Parameters
    ----------
    kind : str
        Name of its function, one of :data:`SCENARIOS`.
    task : str
        Name of the task.
    teacher : str
        Name of the teacher.
    seeds : tuple of int
        Seeds of the students and of what is drawn, each one of the study's.
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
    encoder_key : dict or None
        ``encoder``, and the list ``layers``: by the first so many of them the memory is searched too, each number a key
        of its own; ``methods``, if not all, names those that have it.
    scenarios : tuple of StudyScenario
        What is done with a memory after training.
    """

    tasks: tuple[StudyTask, ...]
    teachers: tuple[StudyTeacher, ...]
    methods: tuple[StudyMethod, ...]
    seeds: tuple[int, ...]
    compare: tuple[tuple[str, str], ...] = ()
    encoder_key: dict[str, Any] | None = field(default=None)
    scenarios: tuple[StudyScenario, ...] = ()

    def encoder_layers(self, method: StudyMethod) -> list[int]:
        """Return by how many layers of the untuned encoder a method's students search too, a key each."""
        about = self.encoder_key or {}
        names = about.get("methods")
        return list(about.get("layers", ())) if names is None or method.name in names else []

    def answers(self, method: StudyMethod) -> list[str]:
        """Return how a method's students can answer, see :class:`reaugkd.study_answers.Answers`."""
        if not method.needs_teacher:
            return ["off"]
        encoders = [f"pool+encoder{layers}" for layers in self.encoder_layers(method)]
        return ["off", "linear", *POOLS, "memory", *encoders]

    def teacher_seed(self, teacher: StudyTeacher, seed: int) -> int:
        """Return the seed of the teacher that teaches a student: the study's seeds take a teacher's in turn.

        Parameters
        ----------
        teacher : StudyTeacher
            The teacher.
        seed : int
            The student's, one of :attr:`seeds`.
        """
        return teacher.seeds[self.seeds.index(seed) % len(teacher.seeds)]

    def made_by(self, task: str, recipe: Recipe, teacher_seed: int) -> str:
        """Return a digest of all settings that decide what a student, or a scenario's, answers.

        Parameters
        ----------
        task : str
            Name of the task.
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
        made_of = [files, asdict(recipe), teacher_seed, self.encoder_key, CHOICES, STUDENT_EPOCHS, TEACHER_EPOCHS]
        return _digest(made_of)

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
        return f"{teacher.name}-{seed}-{_digest([teacher.encoder, seed, *trained_by])}"

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
        If the file is missing, is no YAML, names something that does not exist, or has a setting of the wrong kind.
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
            tasks=tuple(StudyTask(name, files) for name, files in _named(content, "tasks")),
            teachers=tuple(StudyTeacher(name, **_with_tuples(about)) for name, about in _named(content, "teachers")),
            methods=tuple(StudyMethod(name, changes) for name, changes in _named(content, "methods")),
            seeds=tuple(content["seeds"]),
            compare=tuple((str(ours), str(theirs)) for ours, theirs in content.get("compare", ())),
            encoder_key=content.get("encoder_key"),
            scenarios=tuple(StudyScenario(**_with_tuples(about)) for about in content.get("scenarios", ())),
        )
        _check(study)
    except (AttributeError, TypeError, ValueError) as error:
        raise ReAugKDError(f"{str(path)!r} is not laid out as a study ({error}); correct it.") from error
    except ReAugKDError as error:
        raise ReAugKDError(f"{str(path)!r}: {error}") from error
    return study


def _named(content: dict[str, Any], part: str) -> list[tuple[str, dict[str, Any]]]:
    """Return a part's entries by name, each with its settings; a method may have none."""
    entries = content[part]
    if not isinstance(entries, dict):
        raise ReAugKDError(f"{part} is {entries!r}; write a name and its settings for each.")
    for name, settings in entries.items():
        if not isinstance(name, str) or not isinstance({} if settings is None else settings, dict):
            raise ReAugKDError(f"{part} has {name!r}: {settings!r}; write a name, and its settings by name.")
    return [(name, settings or {}) for name, settings in entries.items()]


def _with_tuples(about: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in about.items()}


def _check(study: Study) -> None:
    if not (study.tasks and study.teachers and study.methods and study.seeds):
        raise ReAugKDError("A study needs at least one task, teacher, method and seed.")
    for task in study.tasks:
        _check_task(task)
    _check_seeds(study.seeds, "seeds")
    for method in study.methods:
        method.recipe(study.teachers[0], study.seeds[0])  # an unknown setting fails now, not after hours
    _check_encoder_key(study)
    for teacher in study.teachers:
        _check_teacher(teacher, study)
    for scenario in study.scenarios:
        _check_scenario(scenario, study)
    by_name = {method.name: method for method in study.methods}
    for side in (side for pair in study.compare for side in pair):
        name, _, answer = side.partition("/")
        if name not in by_name:
            raise ReAugKDError(f"It compares {side!r}, but has no method of that name.")
        if answer and answer not in study.answers(by_name[name]):
            known = ", ".join(study.answers(by_name[name]))
            raise ReAugKDError(f"It compares {side!r}, but {name} answers by none but {known}.")


def _check_task(task: StudyTask) -> None:
    options = signature(load_files).parameters
    if "train" not in task.files:
        raise ReAugKDError(f"tasks.{task.name} has no train file; name it as train.")
    for name, value in task.files.items():
        if name not in options:
            raise ReAugKDError(f"tasks.{task.name} has no option {name!r}; it has {', '.join(options)}.")
        _fitting(value, str if name in (*SPLITS, UNLABELLED) else options[name].annotation, f"tasks.{task.name}.{name}")


def _check_encoder_key(study: Study) -> None:
    about = study.encoder_key
    if about is None:
        return
    if not isinstance(about, dict) or not {"encoder", "layers"} <= set(about) <= {"encoder", "layers", "methods"}:
        raise ReAugKDError(f"encoder_key is {about!r}; write its encoder, its layers and, if not all, its methods.")
    _fitting(about["encoder"], str, "encoder_key.encoder")
    _fitting(about["layers"], tuple[int, ...], "encoder_key.layers")
    unknown = sorted(set(about.get("methods", ())) - {method.name for method in study.methods})
    if unknown:
        raise ReAugKDError(f"encoder_key names the method {unknown[0]!r}, which the study does not have.")


def _check_teacher(teacher: StudyTeacher, study: Study) -> None:
    where = f"teachers.{teacher.name}"
    for entry in fields(StudyTeacher):
        _fitting(getattr(teacher, entry.name), entry.type, f"{where}.{entry.name}")
    if not teacher.seeds:
        raise ReAugKDError(f"{where}.seeds is empty; name at least one.")
    unknown = sorted(set(teacher.methods or ()) - {method.name for method in study.methods})
    if unknown:
        raise ReAugKDError(f"The teacher {teacher.name!r} has no method {unknown[0]!r} to teach.")


def _check_scenario(scenario: StudyScenario, study: Study) -> None:
    tasks = [task.name for task in study.tasks]
    teachers = [teacher.name for teacher in study.teachers]
    if scenario.kind not in SCENARIOS or scenario.task not in tasks or scenario.teacher not in teachers:
        raise ReAugKDError(
            f"The scenario {scenario.kind!r} on {scenario.task!r} by {scenario.teacher!r} must be one of "
            f"{', '.join(SCENARIOS)} on a task and by a teacher of the study."
        )
    files = next(task.files for task in study.tasks if task.name == scenario.task)
    if (UNLABELLED in files) != (scenario.kind == "unlabelled_text"):
        raise ReAugKDError(
            f"The scenario {scenario.kind!r} cannot run on {scenario.task!r}: unlabelled_text needs a task with a file "
            "of unlabelled rows, the others one without."
        )
    _check_seeds(scenario.seeds, f"scenarios.{scenario.kind}.seeds")
    unknown = [seed for seed in scenario.seeds if seed not in study.seeds]
    if unknown:
        raise ReAugKDError(
            f"scenarios.{scenario.kind}.seeds has {unknown[0]}, none of the study's seeds {list(study.seeds)}: "
            "add it there, which says what teacher it has."
        )


def _check_seeds(seeds: tuple[int, ...], where: str) -> None:
    """Refuse seeds that are none, or that would count one student twice."""
    _fitting(seeds, tuple[int, ...], where)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ReAugKDError(f"{where} is {list(seeds)}; name at least one, and each once.")


def _fitting(value: Any, wanted: Any, where: str) -> Any:
    """Return a value of the wanted type, a number that YAML takes for text (1e-4) as the number it is."""
    kinds = get_args(wanted) if isinstance(wanted, UnionType) else (wanted,)
    if isinstance(value, str) and float in kinds and str not in kinds:
        with suppress(ValueError):
            value = float(value)
    if not any(_is_of(value, kind) for kind in kinds):
        words = [_IN_WORDS.get(get_origin(kind) or kind, kind.__name__) for kind in kinds if kind is not NoneType]
        raise ReAugKDError(f"{where} is {value!r}; it must be {' or '.join(words)}.")
    return value


def _is_of(value: Any, kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return isinstance(value, list | tuple) and all(_is_of(part, get_args(kind)[0]) for part in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


_IN_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list"}


def _changed(settings: Any, changes: Any, where: str) -> Any:
    """Return nested settings with some of them changed."""
    if not isinstance(changes, dict):
        raise ReAugKDError(f"{where} is {changes!r}; write its settings by name.")
    known = {entry.name: entry.type for entry in fields(settings)}
    found = {}
    for name, value in changes.items():
        if name not in known:
            raise ReAugKDError(f"{where} has no setting {name!r}; it has {', '.join(sorted(known))}.")
        inner, place = getattr(settings, name), f"{where}.{name}"
        found[name] = _changed(inner, value, place) if is_dataclass(inner) else _fitting(value, known[name], place)
    return replace(settings, **found)
