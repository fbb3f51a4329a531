"""The whole method, from a task to a trained model: the defaults here are the recipe."""

import hashlib
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accelerate import PartialState
from numpy.typing import NDArray

from reaugkd.alignment import alignment
from reaugkd.answers import EncodedTexts
from reaugkd.choice import too_few_rows
from reaugkd.classifier import ReAugKDClassifier
from reaugkd.data import UNLABELLED, Task
from reaugkd.distillation import DistillationSettings, OnStudentEpoch, train_student
from reaugkd.encoders import TextClassifier, check_encoder, encoder_config, normalize, share_cut
from reaugkd.epochs import EpochWatch, TrainingEpochs
from reaugkd.errors import ReAugKDError
from reaugkd.evaluation import Networks, score_methods
from reaugkd.key_fitting import UntunedEncoder, fit_keys
from reaugkd.keys import Key
from reaugkd.maps import fit_maps
from reaugkd.memory import LABELLED_BY, TEACHER, Memory
from reaugkd.model_card import about_memory, model_card
from reaugkd.model_folder import (
    EPOCHS_FILE,
    ModelParts,
    ModelSettings,
    check_parents,
    check_target,
    full_disk_as_sentence,
)
from reaugkd.pool import Pool
from reaugkd.projection import fit_projection_head
from reaugkd.projection_head import ProjectionHead
from reaugkd.teacher import TeacherOutputs, fine_tune_teacher
from reaugkd.trainer import OnProgress, Progress, TrainingSettings, check_seed
from reaugkd.weights import DEFAULT_ENCODER, find_weights

# A network learns from a small task by going over it more often: epochs fall from the first figure to the
# second as the train rows rise from 1,000 to 10,000.
TEACHER_EPOCHS = (6.0, 3.0)
STUDENT_EPOCHS = (10.0, 5.0)
CHECKED_TEXTS = 100
TEXTS_TO_COUNT = 1_000  # of the train texts, to tell which share is cut
MANY_CUT = 0.05
MIN_STEPS = 150  # by full batches: fewer rows than one are gone over as often as if they filled it
KEY_FILE = "key"
EMPTIED = ""  # the key of a working folder that is being emptied
TEACHING = "teaching"
"""The teacher's part of a working folder."""


@dataclass(frozen=True)
class Recipe:
    """Every choice of a training; its epochs and seed are validated when made, as each part's settings are.

    Parameters
    ----------
    teacher, student : str
        Pretrained encoders: folders, or names that :func:`reaugkd.weights.find_weights` finds. A student can start
        from a tuned teacher: name the folder ``teacher`` of a model that kept it.
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
        network; none by default. It runs beside the student for every text; see :mod:`reaugkd.encoder_key`.
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
    teacher_training: TrainingSettings = field(
        default=TrainingSettings(epochs=6, learning_rate=1e-4, batch_size=32), kw_only=True
    )
    projection_training: TrainingSettings = field(
        default=TrainingSettings(epochs=20, learning_rate=1e-3, batch_size=256), kw_only=True
    )
    student_training: TrainingSettings = field(
        default=TrainingSettings(epochs=10, learning_rate=6e-4, batch_size=64), kw_only=True
    )
    projection_temperature: float = field(default=0.1, kw_only=True)
    distillation: DistillationSettings = field(default=DistillationSettings(), kw_only=True)

    def __post_init__(self) -> None:
        for name in ("epochs", "teacher_epochs"):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                raise ReAugKDError(f"The setting {name} is {value}; it must be above 0 and finite, or left out.")
        check_seed(self.seed)

    def for_task(self, task: Task) -> "Recipe":
        """Fill in the epochs for a task's size, and the seed."""
        rows, taught = len(task.rows["train"]), len(task.taught_texts)
        teacher_epochs, epochs = self.teacher_epochs, self.epochs
        if teacher_epochs is None:
            teacher_epochs = _epochs_by_size(rows, self.teacher_training.batch_size, *TEACHER_EPOCHS)
        if epochs is None:
            epochs = _epochs_by_size(taught, self.student_training.batch_size, *STUDENT_EPOCHS)
        return replace(
            self,
            epochs=epochs,
            teacher_epochs=teacher_epochs,
            teacher_training=replace(self.teacher_training, epochs=teacher_epochs, seed=self.seed),
            projection_training=replace(self.projection_training, seed=self.seed),
            student_training=replace(self.student_training, epochs=epochs, seed=self.seed),
        )


def teach(
    task: Task,
    recipe: Recipe,
    out: str | Path,
    *,
    on_progress: OnProgress | None = None,
) -> TeacherOutputs:
    """Fine-tune a teacher and write its outputs for every row to a file.

    Parameters
    ----------
    task : Task
        The task.
    recipe : Recipe
        ``teacher``, ``teacher_epochs``, ``teacher_training``, ``max_length`` and ``seed`` count.
    out : str or Path
        A Parquet file, from which :func:`train` starts without any teacher.
    on_progress : callable, optional
        Is told of the progress.

    Returns
    -------
    TeacherOutputs
        What was written.

    Raises
    ------
    ReAugKDError
        If the file cannot be written there, weights are not found or cannot encode the texts, or the disk is full.
    """
    out = Path(out)
    check_outputs_file(out)
    recipe = recipe.for_task(task)
    _check_teacher(recipe, task, on_progress)
    # Not OUT.partial: that is of a model that is trained beside the file.
    with _working_folder(out.with_name(out.stem + ".teacher.partial"), task, recipe) as work:
        outputs = _teacher_outputs(task, recipe, work / TEACHING, on_progress)
        if PartialState().is_main_process:
            outputs.save(out)
    return outputs


def check_outputs_file(out: Path) -> None:
    """Refuse to write a teacher's outputs to what is no Parquet file.

    Parameters
    ----------
    out : Path
        The file.

    Raises
    ------
    ReAugKDError
        If it has another ending, is a folder, or lies in a file.
    """
    if out.suffix != ".parquet":
        raise ReAugKDError(f"{str(out)!r} must end in .parquet; name another file for the outputs.")
    if out.is_dir():
        raise ReAugKDError(f"{str(out)!r} is a folder; name a file for the outputs.")
    check_parents(out)


def fit_head(
    task: Task,
    recipe: Recipe,
    hidden: NDArray[np.floating],
    checkpoints: str | Path,
    *,
    on_progress: OnProgress | None = None,
) -> ProjectionHead:
    """Fit the head that brings a teacher's hidden states to the width of the recipe's student.

    Parameters
    ----------
    task : Task
        The task.
    recipe : Recipe
        ``student``, ``projection_training``, ``projection_temperature`` and ``seed`` count.
    hidden : (N, H_t) float
        The teacher's hidden states h_i of the train rows.
    checkpoints : str or Path
        Folder for what an interrupted fit goes on from.
    on_progress : callable, optional
        Is told of the progress.

    Returns
    -------
    ProjectionHead
        Of eq. 2.
    """
    recipe = recipe.for_task(task)
    width = encoder_config(find_weights(recipe.student, _sentence(on_progress))).hidden_size
    return fit_projection_head(
        hidden,
        task.labels("train"),
        width,
        recipe.projection_training,
        checkpoints,
        temperature=recipe.projection_temperature,
        on_progress=on_progress,
    )


def distill(
    task: Task,
    recipe: Recipe,
    checkpoints: str | Path,
    *,
    soft_labels: NDArray[np.float32] | None = None,
    keys: NDArray[np.float32] | None = None,
    stage: str = "Student",
    on_progress: OnProgress | None = None,
    on_epoch: OnStudentEpoch | None = None,
) -> TextClassifier:
    """Train one student by the loss of the recipe.

    Parameters
    ----------
    task : Task
        The task.
    recipe : Recipe
        ``student``, ``student_layers``, ``student_training``, ``distillation``, ``max_length``, ``epochs`` and
        ``seed`` count.
    checkpoints : str or Path
        Folder for what an interrupted training goes on from.
    soft_labels : (N, C) float32, optional
        ȳ_i of the train rows; needed where the loss gives them weight.
    keys : (N, d) float32, optional
        z_i of the train rows; needed where the loss aligns the student to them.
    stage : str
        What the progress is called.
    on_progress : callable, optional
        Is told of the progress.
    on_epoch : callable, optional
        Is given the number of each epoch that has ended, 0 before the first, and the student.

    Returns
    -------
    TextClassifier
        The student.
    """
    recipe = recipe.for_task(task)
    return train_student(
        find_weights(recipe.student, _sentence(on_progress)),
        task,
        recipe.student_training,
        recipe.distillation,
        checkpoints,
        stage,
        soft_labels=soft_labels,
        teacher_embeddings=keys,
        layers=recipe.student_layers,
        max_length=recipe.max_length,
        on_progress=on_progress,
        on_epoch=on_epoch,
    )


def taught_memory(task: Task, soft_labels: NDArray[np.float32], teacher_embeddings: NDArray[np.float32]) -> Memory:
    """Return the memory of all taught texts, without keys; one that has no gold label has the teacher's.

    Parameters
    ----------
    task : Task
        The task.
    soft_labels : (N, C) float32
        ȳ_i of the texts of its :attr:`~reaugkd.data.Task.taught_splits`.
    teacher_embeddings : (N, d) float32
        z_i of the same texts.

    Returns
    -------
    Memory
        For :func:`reaugkd.key_fitting.fit_keys`.
    """
    rows = _named_rows(task, "train")
    if UNLABELLED in task.rows:
        further = task.rows[UNLABELLED].to_pandas()
        names = np.asarray(task.label_names)[soft_labels[len(rows) :].argmax(axis=1)]
        further = further.assign(label=names, **{LABELLED_BY: TEACHER})
        rows = pd.concat([rows.assign(**{LABELLED_BY: ""}), further], ignore_index=True)
    return Memory(rows, task.label_names, soft_labels, teacher_embeddings, {})


def train(
    task: Task,
    recipe: Recipe,
    out: str | Path,
    *,
    teacher_outputs: TeacherOutputs | None = None,
    replace_unfinished: bool = True,
    on_progress: OnProgress | None = None,
    say: Callable[[str], object] | None = None,
) -> ReAugKDClassifier:
    """Train teacher, projection head and students, score every ablation, and save the model.

    An interrupted training goes on where it stopped when it is called again with the same task and recipe: each
    finished stage lies in ``OUT.partial``, which goes when the model is whole. A good model in ``out`` stays until
    then. With other settings of the students, a teacher that is finished is not trained again.

    Parameters
    ----------
    task : Task
        The task.
    recipe : Recipe
        Every choice.
    out : str or Path
        The model's folder.
    teacher_outputs : TeacherOutputs, optional
        Outputs of a teacher that was trained before; then none is trained.
    replace_unfinished : bool
        Whether the unfinished work of another task or recipe for the same ``out`` may be deleted.
    on_progress : callable, optional
        Is told of the progress, and may raise to cancel.
    say : callable, optional
        Is told in a sentence, before the first stage, of texts that stand in train and in another split, and of many
        that are cut.

    Returns
    -------
    ReAugKDClassifier
        The trained model, as it was saved.

    Raises
    ------
    ReAugKDError
        If the outputs do not fit the task, ``out`` holds something else, unfinished work that may not be deleted is
        in the way, weights are not found, an encoder cannot encode the texts or lacks layers that are asked for, or
        the disk is full.
    """
    out = Path(out)
    check_target(out)
    recipe = _checked(recipe.for_task(task), task, teacher_outputs, on_progress)
    if say is not None and PartialState().is_main_process:
        _tell_of_texts(task, recipe, say)
    seconds: dict[str, float] = {}
    teacher = None
    partial = out.with_name(out.name + ".partial")
    with _working_folder(partial, task, recipe, teacher_outputs, replace_unfinished=replace_unfinished) as work:
        if teacher_outputs is None:
            with _timed(seconds, "teacher"):
                teacher_outputs = _teacher_outputs(task, recipe, work / TEACHING, on_progress)
            if recipe.keep_teacher:
                teacher = TextClassifier.load(work / TEACHING / "teacher", max_length=recipe.max_length)
        if recipe.calibrate_teacher:
            teacher_outputs = teacher_outputs.calibrated(task)
        with _timed(seconds, "projection_head"):
            hidden = teacher_outputs.of("train")[0]
            head = fit_head(task, recipe, hidden, work / "projection_head", on_progress=on_progress)
        hidden, soft_labels = teacher_outputs.of(*task.taught_splits)
        memory = taught_memory(task, soft_labels, head.project(hidden))
        students = _trained_students(task, recipe, memory, work, seconds, on_progress)
        with _timed(seconds, "keys"):
            _report(on_progress, "Keys of the memory")
            keyed = _Keyed.fit(task, recipe, memory, students["reaugkd"], on_progress)
        with _timed(seconds, "evaluation"):
            _report(on_progress, "Evaluation")
            metrics, pool = _evaluate(task, teacher_outputs, head, keyed, students)
        with _timed(seconds, "maps"):
            _report(on_progress, "Maps")
            embeddings = normalize(students["reaugkd"].encode(task.taught_texts)[0])
            maps = fit_maps(memory.teacher_embeddings, embeddings, recipe.seed)
        metrics["seconds"] = {stage: round(spent, 1) for stage, spent in seconds.items()}
        settings = model_settings(task, recipe, students["reaugkd"].num_layers)
        model = ReAugKDClassifier(
            ModelParts(
                settings=settings,
                pool=pool,
                student=students["reaugkd"],
                memory=keyed.memory,
                keys=keyed.keys,
                metrics=metrics,
                evaluation_rows=_evaluation_rows(task, teacher_outputs),
                maps=maps,
                projection_head=head,
                teacher=teacher,
                card=model_card(settings, metrics),
                epochs=TrainingEpochs.load(work / EPOCHS_FILE),
            )
        )
        if PartialState().is_main_process:
            model.save_pretrained(out)
    return model


def _checked(
    recipe: Recipe, task: Task, teacher_outputs: TeacherOutputs | None, on_progress: OnProgress | None
) -> Recipe:
    """Refuse what would end a training after hours; return the recipe with the name of the teacher that counts."""
    if teacher_outputs is not None:
        if recipe.keep_teacher:
            raise ReAugKDError("A teacher that is only known by its outputs cannot be kept; leave one of the two out.")
        teacher_outputs.check(task)
        recipe = replace(recipe, teacher=teacher_outputs.teacher)
    _check_encoders(recipe, task, on_progress, teacher_too=teacher_outputs is None)
    return recipe


def _tell_of_texts(task: Task, recipe: Recipe, say: Callable[[str], object]) -> None:
    """Tell what makes the scores of a task better, or worse, than one may think."""
    known = set(task.texts("train"))
    shares = {split: np.mean([text in known for text in task.texts(split)]) for split in ("test", "validation")}
    repeated = " and ".join(f"{100 * share:.3g} % of the {split} texts" for split, share in shares.items() if share)
    if repeated:
        say(f"{repeated} stand word for word in train, so the scores on them flatter the model.")
    texts = task.texts("train")
    cut = share_cut(find_weights(recipe.student), texts[:: -(-len(texts) // TEXTS_TO_COUNT)], recipe.max_length)
    if cut > MANY_CUT:
        length = f"max_length ({recipe.max_length} tokens)"
        say(f"About {100 * cut:.0f} % of the train texts are longer than {length} and are cut.")


def _check_encoders(recipe: Recipe, task: Task, on_progress: OnProgress | None, *, teacher_too: bool) -> None:
    """Try every encoder before the first stage: what the last one needs would else show after the training."""
    texts = task.texts("train")[:CHECKED_TEXTS]
    if teacher_too:
        _check_teacher(recipe, task, on_progress)
    if recipe.encoder_key is not None:
        encoder, layers = find_weights(recipe.encoder_key, _sentence(on_progress)), recipe.encoder_key_layers
        check_encoder(encoder, texts, layers=layers, max_length=recipe.max_length, every_layer=True)
    student = find_weights(recipe.student, _sentence(on_progress))
    check_encoder(student, texts, layers=recipe.student_layers, max_length=recipe.max_length)


def _check_teacher(recipe: Recipe, task: Task, on_progress: OnProgress | None) -> None:
    weights = find_weights(recipe.teacher, _sentence(on_progress))
    check_encoder(weights, task.texts("train")[:CHECKED_TEXTS], max_length=recipe.max_length)


@dataclass(frozen=True)
class _Keyed:
    """A memory with its keys, and the same as what is chosen on validation rows must see it."""

    keys: dict[str, Key]
    memory: Memory
    keys_to_choose: dict[str, Key]
    memory_to_choose: Memory

    @classmethod
    def fit(
        cls, task: Task, recipe: Recipe, memory: Memory, student: TextClassifier, on_progress: OnProgress | None
    ) -> "_Keyed":
        texts, encoder = task.taught_texts, None
        if recipe.encoder_key is not None:
            weights = find_weights(recipe.encoder_key, _sentence(on_progress))
            encoder = UntunedEncoder.of(weights, texts, layers=recipe.encoder_key_layers, max_length=recipe.max_length)
        keys, keyed = fit_keys(memory, texts, student.tokenizer, encoder=encoder)
        held_out = task.texts("validation")
        return cls(keys, keyed, *fit_keys(memory, texts, student.tokenizer, encoder=encoder, held_out=held_out))

    def encode(self, student: TextClassifier, task: Task, split: str) -> EncodedTexts:
        """Run a student over a split; validation rows are asked by the keys to choose by."""
        keys = self.keys_to_choose if split == "validation" else self.keys
        return EncodedTexts.of(student, keys, task.texts(split))


def model_settings(task: Task, recipe: Recipe, student_layers: int) -> ModelSettings:
    """Return what a model's folder says of its task and training.

    Parameters
    ----------
    task : Task
        The task.
    recipe : Recipe
        Every choice; ``teacher`` names the one that counts.
    student_layers : int
        Layers of the student.

    Returns
    -------
    ModelSettings
        Without any figure.
    """
    return ModelSettings(
        task=task.name,
        metric=task.metric,
        label_names=task.label_names,
        is_pair=task.is_pair,
        teacher=recipe.teacher,
        student=recipe.student,
        student_layers=student_layers,
        max_length=recipe.max_length,
        training=asdict(recipe),
    )


def _epochs_by_size(rows: int, batch_size: int, few_rows: float, many_rows: float) -> float:
    share = np.clip(np.log10(rows / 1_000), 0.0, 1.0)
    enough_steps = np.ceil(MIN_STEPS * batch_size / rows)
    return float(max(round(few_rows + share * (many_rows - few_rows)), enough_steps))


def _ablations(settings: DistillationSettings) -> dict[str, DistillationSettings]:
    """Return the loss of each student; the one that ships comes last."""
    unaligned = replace(settings, relational_weight=0.0)
    return {
        "student": replace(unaligned, soft_label_weight=0.0, gold_label_weight=1.0),
        "kd": unaligned,
        "reaugkd": settings,
    }


def _teacher_outputs(task: Task, recipe: Recipe, work: Path, on_progress: OnProgress | None) -> TeacherOutputs:
    """Fine-tune the teacher, or load its outputs if an interrupted training had finished them."""
    path = work / "teacher_outputs.parquet"
    if path.is_file():
        return TeacherOutputs.load(path)
    weights = find_weights(recipe.teacher, _sentence(on_progress))
    teacher = fine_tune_teacher(
        weights,
        task,
        recipe.teacher_training,
        work / "teacher_checkpoints",
        max_length=recipe.max_length,
        on_progress=on_progress,
    )
    _report(on_progress, "Teacher outputs")
    outputs = TeacherOutputs.compute(teacher, task, recipe.teacher)
    if PartialState().is_main_process:
        teacher.save(work / "teacher")
        outputs.save(path)
    PartialState().wait_for_everyone()
    return outputs


def _trained_students(
    task: Task,
    recipe: Recipe,
    memory: Memory,
    work: Path,
    seconds: dict[str, float],
    on_progress: OnProgress | None,
) -> dict[str, TextClassifier]:
    """Train the student of each ablation."""
    students = {}
    for method, distillation in _ablations(recipe.distillation).items():
        with _timed(seconds, method):
            of_method = replace(recipe, distillation=distillation)
            students[method] = _trained_student(method, task, of_method, memory, work, on_progress)
    return students


def _trained_student(
    method: str,
    task: Task,
    recipe: Recipe,
    memory: Memory,
    work: Path,
    on_progress: OnProgress | None,
) -> TextClassifier:
    """Train a student, or load it if an interrupted training had finished it."""
    folder, finished = work / method, work / method / "finished"
    if finished.is_file():
        return TextClassifier.load(folder, max_length=recipe.max_length)
    is_watched = method == "reaugkd" and PartialState().is_main_process
    watch = _watched(task, memory, work / EPOCHS_FILE, on_progress) if is_watched else None
    student = distill(
        task,
        recipe,
        work / f"{method}_checkpoints",
        soft_labels=memory.soft_labels,
        keys=memory.teacher_embeddings,
        stage=STAGES[method],
        on_progress=on_progress,
        on_epoch=watch,
    )
    if PartialState().is_main_process:
        student.save(folder)
        finished.touch()
    return student


def _watched(task: Task, memory: Memory, path: Path, on_progress: OnProgress | None) -> OnStudentEpoch:
    """Return what follows some train texts through the training of the student."""
    watch = EpochWatch(memory.teacher_embeddings, memory.rows["label"].to_numpy(dtype=str))
    every = task.taught_texts
    texts = [every[row] for row in watch.rows]

    def on_epoch(epoch: int, student: TextClassifier) -> None:
        epochs = watch.seen(epoch, normalize(student.encode(texts)[0]), path)
        if on_progress is not None:
            on_progress(Progress(STAGES["reaugkd"], epochs=epochs))

    return on_epoch


STAGES = {"student": "Student alone", "kd": "Student by soft labels (KD)", "reaugkd": "Student by ReAugKD"}


def _evaluate(
    task: Task,
    teacher_outputs: TeacherOutputs,
    head: ProjectionHead,
    keyed: _Keyed,
    students: dict[str, TextClassifier],
) -> tuple[dict[str, Any], Pool]:
    splits = ("validation", "test")
    encoded: dict[str, dict[str, EncodedTexts]] = {"teacher": {}}
    for split in splits:
        hidden, soft_labels = teacher_outputs.of(split)
        z = head.project(hidden)
        encoded["teacher"][split] = EncodedTexts(task.texts(split), z, soft_labels, {TEACHER: z})
    for method, student in students.items():
        encoded[method] = {split: keyed.encode(student, task, split) for split in splits}
    labels = {split: task.labels(split) for split in splits}
    methods, pool = score_methods(Networks(**encoded), labels, keyed.memory, keyed.memory_to_choose, task.metric)
    aligned = alignment(encoded["reaugkd"]["test"].embeddings, encoded["teacher"]["test"].embeddings, keyed.memory)
    about = about_memory(pool, too_few_rows(len(labels["validation"])))
    return {"metric": task.metric, "methods": methods, "alignment": aligned, "memory": about}, pool


def _named_rows(task: Task, split: str) -> pd.DataFrame:
    """Return a split's rows with the label's name in the place of its number."""
    table = task.rows[split].to_pandas()
    return table.assign(label=[task.label_names[number] for number in table["label"]])


def _evaluation_rows(task: Task, teacher_outputs: TeacherOutputs) -> pd.DataFrame:
    tables = []
    for split in ("validation", "test"):
        soft_labels = teacher_outputs.of(split)[1]
        table = _named_rows(task, split)
        tables.append(table.assign(split=split, teacher_soft_labels=list(soft_labels)))
    return pd.concat(tables, ignore_index=True)


@contextmanager
def _working_folder(
    folder: Path,
    task: Task,
    recipe: Recipe,
    teacher_outputs: TeacherOutputs | None = None,
    *,
    replace_unfinished: bool = True,
) -> Iterator[Path]:
    """Keep finished stages for a resume; forget those of another task or recipe, unless they may not be replaced.

    The teacher's stages have a folder and a key of their own: other settings of a student leave them as they are. No
    stage that is kept depends on the encoder key, or on whether the teacher goes into the model: these may change.
    Under ``accelerate launch`` every process goes through the same stages, and only the main one writes.
    """
    processes = PartialState()
    key, known = _key(task, recipe, teacher_outputs), _known_key(folder)
    if known is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ReAugKDError(f"The folder {str(folder)!r} is needed for unfinished work but holds other things; move it.")
    if known not in (None, EMPTIED, key) and not replace_unfinished:
        raise ReAugKDError(
            f"The folder {str(folder)!r} keeps what is finished of a training with other settings; ask for the same "
            "settings to go on, choose another name, or delete the folder."
        )
    processes.wait_for_everyone()
    with full_disk_as_sentence(folder):
        if processes.is_main_process:
            _claim(folder, key, kept=TEACHING)
            if teacher_outputs is None:
                _claim(folder / TEACHING, _teacher_key(task, recipe))
        processes.wait_for_everyone()
        yield folder
    processes.wait_for_everyone()
    if processes.is_main_process:
        _remove(folder)


def _key(task: Task, recipe: Recipe, teacher_outputs: TeacherOutputs | None) -> str:
    """Return a digest of all that decides about the students."""
    kept = asdict(replace(recipe, encoder_key=None, encoder_key_layers=None, keep_teacher=False))
    made_of = [task.fingerprint(), json.dumps(kept, default=str)]
    # The validation labels calibrate the soft labels.
    made_of += [repr(task.labels(split).tolist()) for split in ("train", "validation")]
    if teacher_outputs is not None:
        made_of.append(
            hashlib.sha256(teacher_outputs.soft_labels.tobytes() + teacher_outputs.hidden.tobytes()).hexdigest()
        )
    return hashlib.sha256("\n".join(made_of).encode()).hexdigest()


def _teacher_key(task: Task, recipe: Recipe) -> str:
    """Return a digest of all that decides about the teacher."""
    settings = asdict(recipe)
    kept = {name: settings[name] for name in ("teacher", "teacher_training", "max_length")}
    made_of = [task.fingerprint(), json.dumps(kept, default=str), repr(task.labels("train").tolist())]
    return hashlib.sha256("\n".join(made_of).encode()).hexdigest()


def _known_key(folder: Path) -> str | None:
    """Return the key of what a working folder keeps; None where it keeps nothing of ours."""
    return (folder / KEY_FILE).read_text() if (folder / KEY_FILE).is_file() else None


def _claim(folder: Path, key: str, kept: str | None = None) -> None:
    """Make a working folder; of what it holds by another key, only a folder that is named stays."""
    if _known_key(folder) not in (None, key):
        _empty(folder, kept)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / KEY_FILE).write_text(key)


def _empty(folder: Path, kept: str | None = None) -> None:
    """Remove what a working folder holds; whoever finds it half emptied sees by its key that nothing there is whole."""
    (folder / KEY_FILE).write_text(EMPTIED)
    for path in folder.iterdir():
        if path.name in (KEY_FILE, kept):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _remove(folder: Path) -> None:
    """Remove a working folder, its key last; where Windows holds a file that is still in use, say so and go on."""
    try:
        for part in (folder / TEACHING, folder):
            if part.is_dir():
                _empty(part)
                (part / KEY_FILE).unlink()
                part.rmdir()
    except OSError as error:
        warnings.warn(
            f"All is finished, but its working folder {str(folder)!r} cannot be removed ({error}); delete it.",
            stacklevel=2,
        )


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[stage] = time.monotonic() - start


def _report(on_progress: OnProgress | None, stage: str) -> None:
    if on_progress is not None:
        on_progress(Progress(stage))


def _sentence(on_progress: OnProgress | None) -> Any:
    return lambda sentence: _report(on_progress, sentence)
