"""Every choice of a training: the defaults here are the recipe."""

import hashlib
import json
import math
from dataclasses import KW_ONLY, asdict, dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reaugkd.errors import ReAugKDError, check_kinds, quoted, require, require_each

if TYPE_CHECKING:
    from reaugkd.method.teacher import TeacherOutputs
    from reaugkd.tasks.task import Task

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
REFERENCE_WIDTH = 384
# A network learns from a small task by going over it more often: epochs fall from the first figure to the
# second as the train rows rise from 1,000 to 10,000.
TEACHER_EPOCHS = (6.0, 3.0)
STUDENT_EPOCHS = (10.0, 5.0)
MIN_STEPS = 150  # by full batches: a task of fewer rows gets as many epochs as if it filled one
CANDIDATES = ("batch", "memory")
TEACHER_STAGES, STUDENT_STAGES = "teacher-", "students-"  # begin the names of the folders in which stages lie


def check_seed(seed: int) -> None:
    """Refuse a seed that the generators of random numbers do not take.

    Parameters
    ----------
    seed : int
        The seed.

    Raises
    ------
    ReAugKDError
        If it is below 0 or above 4,294,967,295.
    """
    require(0 <= seed < 2**32, "The setting seed", seed, f"from 0 to {2**32 - 1:,}")


@dataclass(frozen=True)
class TrainingSettings:
    """How one network is trained; validated when made.

    Parameters
    ----------
    epochs : float
        Passes over the train rows.
    learning_rate : float
        Peak of a linear schedule with warm-up, for an encoder of width 384; see :meth:`for_width`.
    batch_size : int
        Rows per device and step.
    gradient_accumulation_steps : int
        Steps whose gradients are added up before the weights move.
    warmup_share : float
        Share of the steps during which the learning rate rises.
    weight_decay : float
        AdamW's weight decay.
    seed : int
        Seed of weights, dropout and order.
    bf16 : bool or None
        Train in bfloat16 autocast; None means where hardware and network compute in it.
    freeze_word_embeddings : bool
        Leave the word embeddings as pretrained.
    """

    epochs: float
    learning_rate: float
    batch_size: int = 32
    gradient_accumulation_steps: int = 1
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    seed: int = 0
    bf16: bool | None = None
    freeze_word_embeddings: bool = True

    def __post_init__(self) -> None:
        check_kinds(self)
        above = ("epochs", "learning_rate", "batch_size", "gradient_accumulation_steps")
        require_each(self, above, lambda value: 0 < value < math.inf, "above 0 and finite")
        require_each(self, ("warmup_share", "weight_decay"), lambda value: 0 <= value < 1, "from 0 to below 1")
        check_seed(self.seed)

    def for_width(self, width: int) -> "TrainingSettings":
        """Return the settings for an encoder of another width: a wider one takes proportionally smaller steps."""
        return replace(self, learning_rate=self.learning_rate * REFERENCE_WIDTH / width)


@dataclass(frozen=True)
class DistillationSettings:
    """Weights and temperatures of a loss; validated when made.

    The loss is ``soft_label_weight`` · CE(ȳ, ŷ) + ``gold_label_weight`` · CE(y, ŷ) + ``relational_weight`` · KL(q‖p);
    see :mod:`reaugkd.method.losses`.

    Parameters
    ----------
    soft_label_weight : float
        Weight of the cross-entropy with the teacher's soft labels.
    gold_label_weight : float
        Weight of the cross-entropy with the gold labels.
    relational_weight : float
        β, the weight of the relational loss; 0 is plain distillation.
    distillation_temperature : float
        Temperature that softens both sides of the soft-label term.
    relational_temperature : float
        τ of the similarities.
    candidates : str
        Whose similarities are compared: the ``"batch"``, as in the paper, or the whole ``"memory"``.
    embedding_head : bool
        Align the student's pooled output through a linear layer of its own, so that the classifier's space is left
        alone; without it, as in the paper, the pooled output itself is drawn to the teacher's space.
    """

    soft_label_weight: float = 1.0
    gold_label_weight: float = 0.0
    relational_weight: float = 5.0
    distillation_temperature: float = 1.0
    relational_temperature: float = 0.1
    candidates: str = "memory"
    embedding_head: bool = True

    def __post_init__(self) -> None:
        check_kinds(self)
        weights = ("soft_label_weight", "gold_label_weight", "relational_weight")
        require_each(self, weights, lambda value: 0 <= value < math.inf, "at least 0 and finite")
        if self.soft_label_weight + self.gold_label_weight == 0:
            raise ReAugKDError("Both soft_label_weight and gold_label_weight are 0; nothing would be learnt.")
        temperatures = ("distillation_temperature", "relational_temperature")
        require_each(self, temperatures, lambda value: 0 < value < math.inf, "above 0 and finite")
        known = f"one of {', '.join(CANDIDATES)}"
        require(self.candidates in CANDIDATES, "The setting candidates", quoted(self.candidates), known)

    @property
    def aligns(self) -> bool:
        """Whether the student is drawn to the teacher's embeddings."""
        return self.relational_weight > 0


GOLD_ONLY = DistillationSettings(soft_label_weight=0.0, gold_label_weight=1.0, relational_weight=0.0)
"""The loss of a teacher, and of a student without one."""


@dataclass(frozen=True)
class Recipe:
    """Every choice of a training; kinds, epochs and seed are validated when made, as each part's settings are.

    Parameters
    ----------
    teacher, student : str
        Pretrained encoders: folders, or names that :func:`reaugkd.networks.weights.find_weights` finds. A student can
        start from a tuned teacher: name the folder ``teacher`` of a model that kept it.
    student_layers : int or None
        Only the first so many layers of the student's encoder; None keeps all.
    max_length : int
        Tokens after which a text is cut.
    epochs : float or None
        Passes over the train rows for each student; by the size of the task if None.
    teacher_epochs : float or None
        The same for the teacher.
    seed : int
        Seed of all trainings.
    encoder_key : str or None
        A pretrained encoder, left untuned, by whose layers the memory is searched too, beside the keys that cost no
        network; none by default. It runs beside the student for every text (:class:`reaugkd.method.keys.EncoderKey`).
    encoder_key_layers : int or None
        Only the first so many of its layers; None keeps all.
    calibrate_teacher : bool
        Set the temperature of the soft labels on the validation rows.
    keep_teacher : bool
        Keep the teacher in the model's folder; it is not needed to answer.
    teacher_training, projection_training, student_training : TrainingSettings
        How each network is trained; epochs and seed are replaced by those above.
    projection_temperature : float
        τ of the supervised contrastive loss.
    distillation : DistillationSettings
        The student's loss; the ablations leave parts of it out.
    """

    teacher: str = DEFAULT_ENCODER
    student: str = DEFAULT_ENCODER
    student_layers: int | None = 2
    max_length: int = 128
    epochs: float | None = None
    teacher_epochs: float | None = None
    seed: int = 0
    encoder_key: str | None = None
    encoder_key_layers: int | None = None
    calibrate_teacher: bool = True
    keep_teacher: bool = False
    _: KW_ONLY
    teacher_training: TrainingSettings = field(default=TrainingSettings(6, learning_rate=1e-4, batch_size=32))
    projection_training: TrainingSettings = field(default=TrainingSettings(20, learning_rate=1e-3, batch_size=256))
    student_training: TrainingSettings = field(default=TrainingSettings(10, learning_rate=6e-4, batch_size=64))
    projection_temperature: float = 0.1
    distillation: DistillationSettings = field(default=DistillationSettings())

    def __post_init__(self) -> None:
        for name in ("teacher", "student", "encoder_key"):
            if isinstance(getattr(self, name), Path):
                object.__setattr__(self, name, str(getattr(self, name)))
        check_kinds(self)
        counts = ("student_layers", "encoder_key_layers", "max_length")
        require_each(self, counts, lambda value: value is None or value >= 1, "at least 1")
        wanted = "above 0 and finite, or left out"
        require_each(self, ("epochs", "teacher_epochs"), lambda value: value is None or 0 < value < math.inf, wanted)
        require_each(self, ("projection_temperature",), lambda value: 0 < value < math.inf, "above 0 and finite")
        check_seed(self.seed)

    def updated(self, **settings: Any) -> "Recipe":
        """Return the recipe with some settings changed, those of the loss by their own names.

        Parameters
        ----------
        **settings : Any
            Names of this class, or of :class:`DistillationSettings`.

        Returns
        -------
        Recipe
            The changed one.

        Raises
        ------
        ReAugKDError
            If there is no such setting, or a value is not allowed.

        Examples
        --------
        >>> Recipe().updated(epochs=3, relational_weight=0.0).distillation.aligns
        False
        """
        of_loss = {name: settings.pop(name) for name in _names(DistillationSettings) if name in settings}
        for name in settings:
            if name not in _names(Recipe):
                known = ", ".join([*_names(Recipe), *_names(DistillationSettings)])
                raise ReAugKDError(f"There is no setting {quoted(name)}; there are {known}.")
        return replace(self, **{"distillation": replace(self.distillation, **of_loss)} | settings)

    def for_task(self, task: "Task") -> "Recipe":
        """Fill in the epochs for a task's size, and the seed."""
        rows, taught = len(task.rows["train"]), len(task.taught_texts)
        teacher_epochs = self.teacher_epochs or _epochs_by_size(rows, self.teacher_training.batch_size, *TEACHER_EPOCHS)
        epochs = self.epochs or _epochs_by_size(taught, self.student_training.batch_size, *STUDENT_EPOCHS)
        return replace(
            self,
            epochs=epochs,
            teacher_epochs=teacher_epochs,
            teacher_training=replace(self.teacher_training, epochs=teacher_epochs, seed=self.seed),
            projection_training=replace(self.projection_training, seed=self.seed),
            student_training=replace(self.student_training, epochs=epochs, seed=self.seed),
        )


def _names(settings: type) -> list[str]:
    return [one.name for one in fields(settings)]


def _epochs_by_size(rows: int, batch_size: int, few_rows: float, many_rows: float) -> float:
    share = min(max(math.log10(rows / 1_000), 0.0), 1.0)
    enough_steps = math.ceil(MIN_STEPS * batch_size / rows)
    return float(max(round(few_rows + share * (many_rows - few_rows)), enough_steps))


def teacher_stages(task: "Task", recipe: Recipe) -> str:
    """Return the name of the folder of the teacher's stages; other settings of the students leave it as it is."""
    settings = asdict(recipe)
    kept = {name: settings[name] for name in ("teacher", "teacher_training", "max_length")}
    return TEACHER_STAGES + _digest(task, kept, ["train"])


def student_stages(task: "Task", recipe: Recipe, outputs: "TeacherOutputs | None") -> str:
    """Return the name of the folder of the students' stages.

    None of them depends on the encoder key, or on whether the teacher goes into the model: these may change.

    Parameters
    ----------
    task : Task
        The task.
    recipe : Recipe
        Filled in for the task.
    outputs : TeacherOutputs or None
        Of a teacher that was trained before.

    Returns
    -------
    str
        Another one wherever the students would be others.
    """
    kept = asdict(replace(recipe, encoder_key=None, encoder_key_layers=None, keep_teacher=False))
    # The validation labels calibrate the soft labels.
    return STUDENT_STAGES + _digest(task, kept, ["train", "validation"], outputs)


def model_digest(task: "Task", recipe: Recipe, outputs: "TeacherOutputs | None") -> str:
    """Return a name for the model of a task and a recipe that is filled in; each version of the library has its own."""
    return _digest(task, asdict(recipe) | {"version": version("reaugkd")}, ["train", "validation", "test"], outputs)


def _digest(task: "Task", settings: dict[str, Any], splits: list[str], outputs: "TeacherOutputs | None" = None) -> str:
    digest = hashlib.sha256(f"{task.fingerprint()}\n{json.dumps(settings, default=str)}".encode())
    given = [] if outputs is None else [outputs.soft_labels, outputs.hidden]
    for array in [*map(task.labels, splits), *given]:
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
