"""The whole method, from a task to a trained model: the defaults here are the recipe."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accelerate import PartialState
from numpy.typing import NDArray
from transformers import AutoConfig

from reaugkd.errors import ReAugKDError, require
from reaugkd.files import check_writable
from reaugkd.kinds import check_kinds
from reaugkd.method.alignment import alignment
from reaugkd.method.answers import EncodedTexts
from reaugkd.method.choice import too_few_rows
from reaugkd.method.distillation import GOLD_ONLY, DistillationSettings, OnStudentEpoch, train_classifier
from reaugkd.method.key_fitting import UntunedEncoder, fit_keys
from reaugkd.method.keys import Key
from reaugkd.method.memory import LABELLED_BY, TEACHER, Memory
from reaugkd.method.pool import Pool
from reaugkd.method.projection import fit_projection_head
from reaugkd.method.projection_head import ProjectionHead
from reaugkd.method.teacher import TeacherOutputs
from reaugkd.model.card import about_memory, model_card
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.evaluation import Networks, score_methods
from reaugkd.model.folder import EPOCHS_FILE, ModelParts, ModelSettings, check_target
from reaugkd.model.maps import fit_maps
from reaugkd.networks.encoders import TextClassifier, check_encoder, normalize, share_cut
from reaugkd.networks.epochs import EpochWatch, TrainingEpochs
from reaugkd.networks.trainer import OnProgress, Progress, TrainingSettings, check_seed
from reaugkd.networks.weights import DEFAULT_ENCODER, find_weights
from reaugkd.tasks.task import UNLABELLED, Task
from reaugkd.texts import Text
from reaugkd.working_folder import student_stages, teacher_stages, working_folder

# A network learns from a small task by going over it more often: epochs fall from the first figure to the
# second as the train rows rise from 1,000 to 10,000.
TEACHER_EPOCHS = (6.0, 3.0)
STUDENT_EPOCHS = (10.0, 5.0)
TEXTS_TO_COUNT = 1_000  # of the train texts, to tell which share is cut
MANY_CUT = 0.05
MIN_STEPS = 150  # by full batches: fewer rows than one are gone over as often as if they filled it
STAGES = {"student": "Student alone", "kd": "Student by soft labels (KD)", "reaugkd": "Student by ReAugKD"}


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
        network; none by default. It runs beside the student for every text; see :mod:`reaugkd.method.encoder_key`.
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
        check_kinds(self)
        for name in ("epochs", "teacher_epochs"):
            value = getattr(self, name)
            good = value is None or 0 < value < inf
            require(good, f"The setting {name}", value, "above 0 and finite, or left out")
        check_seed(self.seed)

    def for_task(self, task: Task) -> "Recipe":
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


def teach(task: Task, recipe: Recipe, out: str | Path, *, on_progress: OnProgress | None = None) -> TeacherOutputs:
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
    out = check_outputs_file(out)
    recipe = recipe.for_task(task)
    _check_encoders(task, recipe, on_progress, "teacher")
    # Not OUT.partial: that is of a model that is trained beside the file.
    with working_folder(out.with_name(out.stem + ".teacher.partial"), teacher_stages(task, recipe)) as (work,):
        outputs = _teacher_outputs(task, recipe, work, on_progress)
        if PartialState().is_main_process:
            outputs.save(out)
    return outputs


def check_outputs_file(out: str | Path) -> Path:
    """Refuse to write a teacher's outputs to what is no Parquet file.

    Parameters
    ----------
    out : str or Path
        The file; ``~`` is the home folder.

    Returns
    -------
    Path
        The same file.

    Raises
    ------
    ReAugKDError
        If it has another ending, is a folder, or may not be written.
    """
    out = Path(out).expanduser()
    if out.suffix != ".parquet":
        raise ReAugKDError(f"{str(out)!r} must end in .parquet; name another file for the outputs.")
    if out.is_dir():
        raise ReAugKDError(f"{str(out)!r} is a folder; name a file for the outputs.")
    check_writable(out)
    return out


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
    return fit_projection_head(
        hidden,
        task.labels("train"),
        AutoConfig.from_pretrained(find_weights(recipe.student)).hidden_size,
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
    return train_classifier(
        find_weights(recipe.student),
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
        ȳ_i of the texts of its :attr:`~reaugkd.tasks.task.Task.taught_splits`.
    teacher_embeddings : (N, d) float32
        z_i of the same texts.

    Returns
    -------
    Memory
        For :func:`reaugkd.method.key_fitting.fit_keys`.
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
    on_progress: OnProgress | None = None,
    say: Callable[[str], object] | None = None,
) -> ReAugKDClassifier:
    """Train teacher, projection head and students, score every ablation, and save the model.

    An interrupted training goes on where it stopped when it is called again with the same task and recipe: each
    finished stage lies in ``OUT.partial``, which goes when the model is whole, with all that other settings left there.
    A good model in ``out`` stays until then. With other settings of the students, a teacher that is finished is not
    trained again.

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
        If the outputs do not fit the task, ``out`` holds something else, weights are not found, an encoder cannot
        encode the texts or lacks layers that are asked for, or the disk is full.
    """
    out = check_target(out)
    recipe = recipe.for_task(task)
    if teacher_outputs is None:
        _check_encoders(task, recipe, on_progress, "teacher", "encoder_key", "student")
    elif recipe.keep_teacher:
        raise ReAugKDError("A teacher that is only known by its outputs cannot be kept; leave one of the two out.")
    else:
        teacher_outputs.check(task)
        recipe = replace(recipe, teacher=teacher_outputs.teacher)
        _check_encoders(task, recipe, on_progress, "encoder_key", "student")
    if say is not None and PartialState().is_main_process:
        _tell_of_texts(task, recipe, say)
    stages = [student_stages(task, recipe, teacher_outputs)]
    stages += [teacher_stages(task, recipe)] if teacher_outputs is None else []
    seconds: dict[str, float] = {}
    teacher = None
    partial = out.with_name(out.name + ".partial")
    with working_folder(partial, *stages) as (work, *teaching):
        if teacher_outputs is None:
            with _timed(seconds, "teacher"):
                teacher_outputs = _teacher_outputs(task, recipe, teaching[0], on_progress)
            if recipe.keep_teacher:
                teacher = TextClassifier.load(teaching[0] / "teacher", max_length=recipe.max_length)
        if recipe.calibrate_teacher:
            teacher_outputs = teacher_outputs.calibrated(task)
        with _timed(seconds, "projection_head"):
            hidden = teacher_outputs.of("train")[0]
            head = fit_head(task, recipe, hidden, work / "projection_head", on_progress=on_progress)
        hidden, soft_labels = teacher_outputs.of(*task.taught_splits)
        memory = taught_memory(task, soft_labels, head.project(hidden))
        students = _students(task, recipe, memory, work, seconds, on_progress)
        student = students["reaugkd"]
        _report(on_progress, "Keys of the memory")
        with _timed(seconds, "keys"):
            keyed = _keyed(task, recipe, memory, student)
        _report(on_progress, "Evaluation")
        with _timed(seconds, "evaluation"):
            metrics, pool = _evaluate(task, teacher_outputs, head, keyed, students)
        _report(on_progress, "Maps")
        with _timed(seconds, "maps"):
            embeddings = normalize(student.encode(task.taught_texts)[0])
            maps = fit_maps(memory.teacher_embeddings, embeddings, recipe.seed)
        metrics["seconds"] = seconds
        settings = model_settings(task, recipe, student.num_layers)
        keys, memory = keyed["test"]
        model = ReAugKDClassifier(
            ModelParts(
                settings=settings,
                pool=pool,
                student=student,
                memory=memory,
                keys=keys,
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


def _check_encoders(task: Task, recipe: Recipe, on_progress: OnProgress | None, *roles: str) -> None:
    """Fetch and try encoders before the first stage: what the last one needs would else show after hours."""
    layers = {"teacher": None, "encoder_key": recipe.encoder_key_layers, "student": recipe.student_layers}
    for role in roles:
        name = getattr(recipe, role)
        if name is not None:
            check_encoder(
                find_weights(name, lambda sentence: _report(on_progress, sentence)),
                [text for split in task.splits for text in task.texts(split)],
                layers=layers[role],
                max_length=recipe.max_length,
                every_layer=role == "encoder_key",
            )


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


def _teacher_outputs(task: Task, recipe: Recipe, work: Path, on_progress: OnProgress | None) -> TeacherOutputs:
    """Fine-tune the teacher, or load its outputs if an interrupted training had finished them."""
    path = work / "teacher_outputs.parquet"
    if path.is_file():
        return TeacherOutputs.load(path)
    teacher = train_classifier(
        find_weights(recipe.teacher),
        task,
        recipe.teacher_training,
        GOLD_ONLY,
        work / "checkpoints",
        "Teacher",
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


def _students(
    task: Task, recipe: Recipe, memory: Memory, work: Path, seconds: dict[str, float], on_progress: OnProgress | None
) -> dict[str, TextClassifier]:
    """Train the student of each ablation, or load it if an interrupted training had finished it; ours comes last."""
    unaligned = replace(recipe.distillation, relational_weight=0.0)
    alone = replace(unaligned, soft_label_weight=0.0, gold_label_weight=1.0)
    is_main, students = PartialState().is_main_process, {}
    for method, loss in {"student": alone, "kd": unaligned, "reaugkd": recipe.distillation}.items():
        folder, finished = work / method, work / method / "finished"
        with _timed(seconds, method):
            if finished.is_file():
                students[method] = TextClassifier.load(folder, max_length=recipe.max_length)
                continue
            watch = _watched(task, memory, work / EPOCHS_FILE, on_progress)
            students[method] = distill(
                task,
                replace(recipe, distillation=loss),
                work / f"{method}_checkpoints",
                soft_labels=memory.soft_labels,
                keys=memory.teacher_embeddings,
                stage=STAGES[method],
                on_progress=on_progress,
                on_epoch=watch if method == "reaugkd" and is_main else None,
            )
            if is_main:
                students[method].save(folder)
                finished.touch()
    return students


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


def _keyed(
    task: Task, recipe: Recipe, memory: Memory, student: TextClassifier
) -> dict[str, tuple[dict[str, Key], Memory]]:
    """Fit the keys, and for what is chosen on validation rows once more, apart from the siblings of these."""
    encoder, texts = None, task.taught_texts
    if recipe.encoder_key is not None:
        weights, layers = find_weights(recipe.encoder_key), recipe.encoder_key_layers
        encoder = UntunedEncoder.of(weights, texts, layers=layers, max_length=recipe.max_length)
    apart: dict[str, list[Text]] = {"test": [], "validation": task.texts("validation")}
    return {
        split: fit_keys(memory, texts, student.tokenizer, encoder=encoder, held_out=held_out)
        for split, held_out in apart.items()
    }


def _evaluate(
    task: Task,
    teacher_outputs: TeacherOutputs,
    head: ProjectionHead,
    keyed: dict[str, tuple[dict[str, Key], Memory]],
    students: dict[str, TextClassifier],
) -> tuple[dict[str, Any], Pool]:
    encoded: dict[str, dict[str, EncodedTexts]] = {method: {} for method in ("teacher", *students)}
    for split, (keys, _) in keyed.items():
        texts, (hidden, soft_labels) = task.texts(split), teacher_outputs.of(split)
        z = head.project(hidden)
        encoded["teacher"][split] = EncodedTexts(texts, z, soft_labels, {TEACHER: z})
        for method, student in students.items():
            encoded[method][split] = EncodedTexts.of(student, keys, texts)
    labels, memory = {split: task.labels(split) for split in keyed}, keyed["test"][1]
    methods, pool = score_methods(Networks(**encoded), labels, memory, keyed["validation"][1], task.metric)
    aligned = alignment(encoded["reaugkd"]["test"].embeddings, encoded["teacher"]["test"].embeddings, memory)
    about = about_memory(pool, too_few_rows(len(labels["validation"])))
    return {"metric": task.metric, "methods": methods, "alignment": aligned, "memory": about}, pool


def _named_rows(task: Task, split: str) -> pd.DataFrame:
    """Return a split's rows with the label's name in the place of its number."""
    table = task.rows[split].to_pandas()
    return table.assign(label=[task.label_names[number] for number in table["label"]])


def _evaluation_rows(task: Task, teacher_outputs: TeacherOutputs) -> pd.DataFrame:
    tables = [
        _named_rows(task, split).assign(split=split, teacher_soft_labels=list(teacher_outputs.of(split)[1]))
        for split in ("validation", "test")
    ]
    return pd.concat(tables, ignore_index=True)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - start, 1)


def _report(on_progress: OnProgress | None, stage: str) -> None:
    if on_progress is not None:
        on_progress(Progress(stage))
