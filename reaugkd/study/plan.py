"""What a study compares, read from a YAML file: tasks, teachers, methods and seeds."""

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml

from reaugkd.errors import ReAugKDError, in_short, listed, quoted, read_as, read_named, reason
from reaugkd.files import as_path, read_text_file
from reaugkd.recipe import STUDENT_EPOCHS, TEACHER_EPOCHS, Recipe, check_seed
from reaugkd.tasks.sources import load_files
from reaugkd.tasks.task import SPLITS, UNLABELLED, Task

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
classifiers of :mod:`reaugkd.study.answers`, which have no memory."""
SCENARIOS = ("new_classes", "few_labels", "unlabelled_text")
NO_TEACHER = "none"


@dataclass(frozen=True)
class StudyTeacher:
    """A teacher of a study.

    Parameters
    ----------
    encoder : str
        The pretrained encoder that is fine-tuned.
    seeds : tuple of int
        Seeds to train it with; the n-th seed of the study takes the n-th of them, and begins again after the last.
    methods : tuple of str or None
        The methods that learn from it; all if left out.
    """

    encoder: str
    seeds: tuple[int, ...] = (0,)
    methods: tuple[str, ...] | None = None


@dataclass(frozen=True)
class StudyEncoder:
    """An untuned encoder whose layers are further keys of the memory.

    Parameters
    ----------
    encoder : str
        The pretrained encoder.
    layers : tuple of int
        How many of its first layers a key has; each number is a key of its own.
    """

    encoder: str
    layers: tuple[int, ...]

    def file(self, task: Task) -> Path:
        """Return the file of the layers of a task's texts; its name has a digest of encoder and texts."""
        return Path("encoder_layers", f"{task.name}-{_digest([self.encoder, task.fingerprint()])}.npz")


@dataclass(frozen=True)
class StudyScenario:
    """A scenario of :mod:`reaugkd.study.scenarios` in a study.

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
class Run:
    """A student of a study, or a scenario by one seed. Files lie in the study's folder.

    Parameters
    ----------
    about : dict
        Its columns in a :class:`~reaugkd.study.run.StudyRecord`: ``task``, ``teacher``, ``method`` or ``kind``,
        ``seed``, and ``settings_digest``, a digest of all settings that decide what it answers.
    recipe : Recipe
        Of the student, not yet filled in for the task's size.
    teacher_seed : int
        Seed of the teacher.
    file : Path
        The run's result.
    outputs_file : Path
        The teacher's outputs; its name has a digest of the teacher's settings.
    """

    about: dict[str, Any]
    recipe: Recipe
    teacher_seed: int
    file: Path
    outputs_file: Path

    @property
    def keys_file(self) -> Path:
        """The embeddings by the teacher's projection head; its name has a digest of the head's settings."""
        training = asdict(replace(self.recipe.projection_training, seed=self.teacher_seed))
        digest = _digest([self.recipe.student, training, self.recipe.projection_temperature])
        return Path("keys", f"{self.outputs_file.stem}-{digest}.npz")


@dataclass(frozen=True)
class Study:
    """What is compared.

    Parameters
    ----------
    tasks : dict of str to dict
        By name the arguments of :func:`reaugkd.tasks.sources.load_files`; paths start from the study's data folder.
    teachers : dict of str to StudyTeacher
        By name.
    methods : dict of str to Recipe
        By name, how the student is trained; teacher and seed are the study's.
    seeds : tuple of int
        Seeds of the students.
    compare : tuple of (str, str)
        Which answers are compared, ``"method/answer"`` each, the baseline second.
    encoder_key : StudyEncoder or None
        Gives the students further keys.
    scenarios : tuple of StudyScenario
        What is done with a memory after training.
    """

    tasks: dict[str, dict[str, Any]]
    teachers: dict[str, StudyTeacher]
    methods: dict[str, Recipe]
    seeds: tuple[int, ...]
    compare: tuple[tuple[str, str], ...] = ()
    encoder_key: StudyEncoder | None = None
    scenarios: tuple[StudyScenario, ...] = ()
    _loaded: dict[tuple[str, Path], Task] = field(default_factory=dict, init=False, repr=False, compare=False)

    def load(self, task: str, data: str | Path) -> Task:
        """Load the task of this name, once; ``data`` is the folder from which its paths start."""
        files, root = self.tasks[task], as_path(data)
        if (task, root) not in self._loaded:
            paths = {split: root / Path(files[split]).expanduser() for split in (*SPLITS, UNLABELLED) if split in files}
            self._loaded[task, root] = replace(load_files(**files | paths), name=task)
        return self._loaded[task, root]

    def answers(self, method: str) -> list[str]:
        """Return how a method's students can answer, see :func:`reaugkd.study.answers.choose_ways`."""
        if not needs_teacher(self.methods[method]):
            return ["off"]
        with_encoder = [f"pool+encoder{layers}" for layers in self.encoder_key.layers] if self.encoder_key else []
        return ["off", "linear", *POOLS, "memory", *with_encoder]

    def students(self) -> Iterator[Run]:
        """Yield every student, one seed after the other, so that a study that is stopped early has whole seeds.

        A student that learns from no teacher belongs to the teacher :data:`NO_TEACHER` and comes once.
        """
        first = next(iter(self.teachers))
        every = product(self.seeds, self.teachers.items(), self.tasks, self.methods.items())
        for seed, (teacher, about), task, (method, recipe) in every:
            learns = needs_teacher(recipe)
            if (about.methods is None or method in about.methods) if learns else teacher == first:
                named = {"task": task, "teacher": teacher if learns else NO_TEACHER, "method": method, "seed": seed}
                file = Path("students", task, named["teacher"], f"{method}-{seed}.npz")
                yield self._run(named, replace(recipe, seed=seed), teacher, file)

    def scenario_runs(self) -> Iterator[Run]:
        """Yield every scenario by each of its seeds, one seed after the other."""
        every = [(position, one, seed) for one in self.scenarios for position, seed in enumerate(one.seeds)]
        for _, one, seed in sorted(every, key=itemgetter(0)):
            named = {"kind": one.kind, "task": one.task, "teacher": one.teacher, "seed": seed}
            file = Path("scenarios", f"{one.kind}-{one.task}-{one.teacher}-{seed}.json")
            run = self._run(named, Recipe(seed=seed), one.teacher, file)
            if one.kind == "new_classes":  # its teacher has not seen all classes
                outputs = self._outputs_file(f"{one.task}-old-classes", one.teacher, seed)
                run = replace(run, teacher_seed=seed, outputs_file=outputs)
            yield run

    def _run(self, named: dict[str, Any], recipe: Recipe, teacher: str, file: Path) -> Run:
        """Return a run; the study's seeds take a teacher's seeds in turn."""
        task, about = named["task"], self.teachers[teacher]
        teacher_seed = about.seeds[self.seeds.index(named["seed"]) % len(about.seeds)]
        recipe = replace(recipe, teacher=about.encoder)
        key, epochs = self.encoder_key and asdict(self.encoder_key), [STUDENT_EPOCHS, TEACHER_EPOCHS]
        digest = _digest([self.tasks[task], asdict(recipe), teacher_seed, key, CHOICES, *epochs])
        outputs = self._outputs_file(task, teacher, teacher_seed)
        return Run(named | {"settings_digest": digest}, recipe, teacher_seed, file, outputs)

    def _outputs_file(self, task: str, teacher: str, seed: int) -> Path:
        recipe = Recipe()
        training = [asdict(recipe.teacher_training), recipe.max_length, recipe.teacher_epochs, TEACHER_EPOCHS]
        digest = _digest([self.teachers[teacher].encoder, seed, *training])
        return Path("teachers", f"{task}-{teacher}-{seed}-{digest}.parquet")


def needs_teacher(recipe: Recipe) -> bool:
    """Return whether a student learns from the teacher at all; one that does not is trained once for all teachers."""
    return recipe.distillation.soft_label_weight > 0 or recipe.distillation.aligns


def _digest(settings: Any) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def read_study(path: str | Path) -> Study:
    """Read a study from a YAML file; a mistake raises a :class:`ReAugKDError` that names file and place."""
    text = read_text_file(path)
    try:
        study: Study = read_as(Study, yaml.load(text, _EachNameOnce))  # noqa: S506 -- it is a SafeLoader
        _check(study)
    except (yaml.YAMLError, RecursionError) as error:
        raise ReAugKDError(f"{str(path)!r} is no YAML ({in_short(reason(error))}); correct it.") from error
    except ReAugKDError as error:
        raise ReAugKDError(f"{str(path)!r}: {error}") from error
    return study


class _EachNameOnce(yaml.SafeLoader):
    """Refuses a mapping that has a name twice: PyYAML alone would drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [name.value for name, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise ReAugKDError(
                    f"The name {quoted(name)} stands twice in the part from line {node.start_mark.line + 1} on; "
                    "keep one."
                )
        return super().construct_mapping(node, deep)


def _check(study: Study) -> None:
    """Refuse a plan that names something that does not exist: it would fail after hours."""
    for part in ("tasks", "teachers", "methods", "seeds"):
        _each_once(part, getattr(study, part))
    for name in (*study.tasks, *study.teachers, *study.methods):
        if not name.strip(".") or set(name) & set("/\\"):
            raise ReAugKDError(
                f"The name {quoted(name)} cannot be that of a file; use letters, digits and - + _ instead."
            )
    for name, files in study.tasks.items():
        read_named(load_files, files, f"tasks.{name}")
    for name, recipe in study.methods.items():
        if (recipe.teacher, recipe.seed) != (Recipe.teacher, Recipe.seed):
            raise ReAugKDError(f"methods.{name} sets teacher or seed; name them under teachers and seeds.")
    for name, teacher in study.teachers.items():
        _each_once(f"teachers.{name}.seeds", set(teacher.seeds))
        for seed in (*study.seeds, *teacher.seeds):
            check_seed(seed)
        _each_of(f"teachers.{name}.methods", teacher.methods or (), study.methods)
    for number, scenario in enumerate(study.scenarios):
        where = f"scenarios[{number}]"
        _each_of(f"{where}.kind", [scenario.kind], SCENARIOS)
        _each_of(f"{where}.task", [scenario.task], study.tasks)
        _each_of(f"{where}.teacher", [scenario.teacher], study.teachers)
        _each_once(f"{where}.seeds", scenario.seeds)
        _each_of(f"{where}.seeds", scenario.seeds, study.seeds)
        if (UNLABELLED in study.tasks[scenario.task]) != (scenario.kind == "unlabelled_text"):
            raise ReAugKDError(
                f"{where}: {scenario.kind!r} cannot run on {scenario.task!r}; unlabelled_text needs a task with a file "
                "of unlabelled rows, the others one without."
            )
    sides = [f"{method}/{answer}" for method in study.methods for answer in study.answers(method)]
    _each_of("compare", [side for pair in study.compare for side in pair], [*study.methods, *sides])


def _each_once(where: str, values: Collection[Any]) -> None:
    if not values or len(set(values)) < len(values):
        raise ReAugKDError(f"{where} is {quoted(list(values))}; name at least one, and each once.")


def _each_of(where: str, names: Collection[Any], allowed: Collection[Any]) -> None:
    for name in names:
        if name not in allowed:
            raise ReAugKDError(f"{where} names {quoted(name)}; it must be one of {listed(map(str, allowed))}.")
