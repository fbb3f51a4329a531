"""The whole method in one call, from a task to a trained model; an interrupted training goes on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError, kind_of, require
from reaugkd.files import alone, as_path, check_writable, restored, whole_folder
from reaugkd.measures.metrics import METRICS
from reaugkd.method.answers import EncodedTexts
from reaugkd.method.choice import too_few_rows
from reaugkd.method.distillation import OnStudentEpoch, Student
from reaugkd.method.keys import Keyed, fit_keys_by_split
from reaugkd.method.memory import TEACHER, Memory
from reaugkd.method.pool import Pool
from reaugkd.method.projection import ProjectionHead
from reaugkd.method.teacher import Teacher, TeacherOutputs
from reaugkd.model.card import about_memory, model_card
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.evaluation import Networks, alignment, answer_methods, measured
from reaugkd.model.folder import EPOCHS_FILE, ModelSettings, check_target
from reaugkd.model.maps import EpochWatch, TrainingEpochs, fit_maps
from reaugkd.networks.encoders import TextClassifier, check_encoder, tokenized
from reaugkd.networks.trainer import OnProgress, Progress, processes_of_training, working_folder
from reaugkd.networks.weights import cache_folder, find_weights
from reaugkd.recipe import GOLD_ONLY, Recipe, model_digest, student_stages, teacher_stages
from reaugkd.tasks.task import Task, check_task

TEXTS_TO_COUNT = 1_000  # of the train texts, to tell which share is cut
MANY_CUT = 0.05
MOST_WATCHED = 500  # validation rows, after each epoch
STAGES = {"student": "Student alone", "kd": "Student by soft labels (KD)", "reaugkd": "Student by ReAugKD"}


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
        Gets the progress; a bar is drawn if left out.

    Returns
    -------
    TeacherOutputs
        What was written.

    Raises
    ------
    ReAugKDError
        If the file cannot be written there, weights are not found or cannot encode the texts, or the disk is full.

    Examples
    --------
    >>> outputs = teach(task, recipe, folder / "outputs.parquet", on_progress=silent)
    >>> outputs.check(task)
    """
    out = check_outputs_file(out)
    recipe = _filled(task, recipe)
    _check_encoders(task, recipe, on_progress, "teacher")
    # Not OUT.partial: that is of a model that is trained beside the file.
    with working_folder(out.with_name(out.stem + ".teacher.partial"), teacher_stages(task, recipe)) as (work,):
        outputs = _teacher_outputs(task, recipe, work, on_progress)
        if processes_of_training().is_main_process:
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
    out = as_path(out)
    if out.suffix != ".parquet":
        raise ReAugKDError(f"{str(out)!r} must end in .parquet; name another file for the outputs.")
    if out.is_dir():
        raise ReAugKDError(f"{str(out)!r} is a folder; name a file for the outputs.")
    check_writable(out)
    return out


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
        Gets the progress, and may raise to cancel.
    say : callable, optional
        Gets a sentence, before the first stage, about texts that stand in train and in another split, and about many
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

    Examples
    --------
    >>> trained = train(task, recipe, folder / "model", on_progress=silent)
    >>> ReAugKDClassifier.from_pretrained(folder / "model").classes_.tolist() == trained.classes_.tolist()
    True
    """
    out = check_target(out)
    recipe = _checked(task, _filled(task, recipe), teacher_outputs, on_progress)
    if say is not None and processes_of_training().is_main_process:
        student = TextClassifier.from_pretrained(find_weights(recipe.student), 1, max_length=recipe.max_length)
        tell_of_texts(task, student, say)
    stages = [student_stages(task, recipe, teacher_outputs)]
    stages += [teacher_stages(task, recipe)] if teacher_outputs is None else []
    seconds: dict[str, float] = {}
    teacher = None
    with working_folder(out.with_name(out.name + ".partial"), *stages) as (work, *teaching):
        if teacher_outputs is None:
            with _timed(seconds, "teacher"):
                teacher_outputs = _teacher_outputs(task, recipe, teaching[0], on_progress)
            if recipe.keep_teacher:
                teacher = Teacher.load(teaching[0] / "teacher", max_length=recipe.max_length)
        with _timed(seconds, "projection_head"):
            folder = work / "projection_head"
            teacher_outputs, head, memory = _projected(task, recipe, teacher_outputs, on_progress, folder)
        students = _students(task, recipe, memory, work, seconds, on_progress)
        student = students["reaugkd"]
        _report(on_progress, "Keys of the memory")
        with _timed(seconds, "keys"):
            keyed = fit_keys_by_split(task, memory, student, recipe)
        _report(on_progress, "Evaluation")
        with _timed(seconds, "evaluation"):
            metrics, pool, held_out = _evaluate(task, teacher_outputs, head, keyed, students)
        _report(on_progress, "Maps")
        with _timed(seconds, "maps"):
            maps = fit_maps(memory.teacher_embeddings, student.embed(task.taught_texts), held_out, seed=recipe.seed)
        metrics["seconds"] = seconds
        settings = ModelSettings.of(task, recipe, student.num_layers)
        keys, memory = keyed["test"]
        of_teacher = list(teacher_outputs.of("validation", "test")[1])  # in this order in the table too
        model = ReAugKDClassifier(
            settings=settings,
            pool=pool,
            student=student,
            memory=memory,
            keys=keys,
            metrics=metrics,
            evaluation_rows=task.held_out_table().assign(teacher_soft_labels=of_teacher),
            maps=maps,
            projection_head=head,
            teacher=teacher,
            card=model_card(settings, metrics),
            epochs=TrainingEpochs.load(work / EPOCHS_FILE),
        )
        if processes_of_training().is_main_process:
            model.save_pretrained(out)
    return model


def load_or_train(
    task: Task,
    recipe: Recipe | None = None,
    *,
    teacher_outputs: TeacherOutputs | None = None,
    ablations: bool = True,
    on_progress: OnProgress | None = None,
) -> ReAugKDClassifier:
    """Load the model of this task and recipe from the cache, or train it and keep it there.

    Notebooks share trained models by it. The models lie in the folder ``models`` of ``$REAUGKD_CACHE``
    (``~/.cache/reaugkd`` if that is not set), each by a digest of rows, recipe, teacher outputs and version.

    Parameters
    ----------
    task : Task
        The task.
    recipe : Recipe, optional
        Every choice; the defaults if left out.
    teacher_outputs : TeacherOutputs, optional
        Outputs of a teacher that was trained before; then none is trained.
    ablations : bool
        Train the students of the ablations too, score them all, and fit maps, as :func:`train` does. Without, the one
        student takes a third of the time, and the model need have neither figures nor maps.
    on_progress : callable, optional
        Gets the progress of a training; a bar is drawn if left out.

    Returns
    -------
    ReAugKDClassifier
        The model.

    Raises
    ------
    ReAugKDError
        As :func:`train` does.

    Examples
    --------
    >>> alone = load_or_train(task, recipe, ablations=False, on_progress=silent)  # not scored
    >>> first = load_or_train(task, recipe, on_progress=silent)
    >>> again = load_or_train(task, recipe)  # trains nothing
    >>> again.predict(["some iron and zinc"]).tolist() == first.predict(["some iron and zinc"]).tolist()
    True
    >>> bool((alone.student.embed(["a ripe plum"]) == first.student.embed(["a ripe plum"])).all()), alone.metrics
    (True, {})
    """
    recipe = _filled(task, recipe or Recipe())
    whole = cache_folder() / "models" / model_digest(task, recipe, teacher_outputs)
    unscored = whole.with_name(whole.name + "-alone")
    check_writable(whole)
    whole.parent.mkdir(parents=True, exist_ok=True)
    with alone(whole.with_name(f".{whole.name}")):  # a second caller waits, and then loads
        if ablations and not restored(whole).is_dir():
            train(task, recipe, whole, teacher_outputs=teacher_outputs, on_progress=on_progress)
        elif not whole.is_dir() and not restored(unscored).is_dir():
            train_one(task, recipe, teacher_outputs, on_progress).save_pretrained(unscored)
        return ReAugKDClassifier.from_pretrained(whole if whole.is_dir() else unscored)


def train_one(
    task: Task, recipe: Recipe, outputs: TeacherOutputs | None = None, on_progress: OnProgress | None = None
) -> ReAugKDClassifier:
    """Train one student by the recipe's loss, and what it needs; nothing is scored."""
    recipe, teacher = _checked(task, recipe, outputs, on_progress), None
    if outputs is None:
        teacher = Teacher.fit(task, recipe, on_progress=on_progress)
        outputs = teacher.outputs(task)
    _, head, memory = _projected(task, recipe, outputs, on_progress)
    student = Student.fit(task, memory, recipe, on_progress=on_progress)
    model = ReAugKDClassifier.tune(student, memory, task, recipe)
    return replace(model, projection_head=head, teacher=teacher if recipe.keep_teacher else None)


def tell_of_texts(task: Task, student: TextClassifier, say: Callable[[str], object]) -> None:
    """Tell what makes the scores of a task better, or worse, than one may think: repeated texts, and cut ones."""
    texts = task.texts("train")
    known = set(texts)
    shares = {split: np.mean([text in known for text in task.texts(split)]) for split in ("test", "validation")}
    repeated = " and ".join(f"{100 * share:.3g} % of the {split} texts" for split, share in shares.items() if share)
    if repeated:
        say(f"{repeated} stand word for word in train, so the scores on them flatter the model.")
    limit, counted = student.max_length, texts[:: -(-len(texts) // TEXTS_TO_COUNT)]
    tokens = tokenized(student.tokenizer, counted, truncation=True, max_length=limit + 1)
    cut = np.mean([len(ids) > limit for ids in tokens["input_ids"]])
    if cut > MANY_CUT:
        say(f"About {100 * cut:.0f} % of the train texts are longer than max_length ({limit} tokens) and are cut.")


def _filled(task: Task, recipe: Recipe) -> Recipe:
    """Return a recipe filled in for a task; refuse what is none."""
    check_task(task)
    require(isinstance(recipe, Recipe), "The recipe", kind_of(recipe), "a Recipe")
    return recipe.for_task(task)


def _checked(task: Task, recipe: Recipe, outputs: TeacherOutputs | None, on_progress: OnProgress | None) -> Recipe:
    """Refuse what cannot be trained, before the first stage; the recipe then names the teacher of the outputs."""
    if outputs is None:
        _check_encoders(task, recipe, on_progress, "teacher", "encoder_key", "student")
        return recipe
    if recipe.keep_teacher:
        raise ReAugKDError("A teacher that is only known by its outputs cannot be kept; leave one of the two out.")
    outputs.check(task)
    recipe = replace(recipe, teacher=outputs.teacher)
    _check_encoders(task, recipe, on_progress, "encoder_key", "student")
    return recipe


def _check_encoders(task: Task, recipe: Recipe, on_progress: OnProgress | None, *roles: str) -> None:
    """Fetch and try encoders before the first stage: what the last one needs would else show after hours."""
    layers = {"teacher": None, "encoder_key": recipe.encoder_key_layers, "student": recipe.student_layers}
    for role in roles:
        name = getattr(recipe, role)
        if name is not None:
            check_encoder(
                find_weights(name, lambda sentence: _report(on_progress, sentence)),
                task.all_texts,
                layers=layers[role],
                max_length=recipe.max_length,
                every_layer=role == "encoder_key",
            )


def _teacher_outputs(task: Task, recipe: Recipe, work: Path, on_progress: OnProgress | None) -> TeacherOutputs:
    """Fine-tune the teacher, or load its outputs if an interrupted training had finished them."""
    path = work / "teacher_outputs.parquet"
    if path.is_file():
        return TeacherOutputs.load(path)
    teacher = Teacher.fit(task, recipe, folder=work / "checkpoints", on_progress=on_progress)
    _report(on_progress, "Teacher outputs")
    outputs = teacher.outputs(task)
    if processes_of_training().is_main_process:
        with whole_folder(work / "teacher") as folder:
            teacher.save(folder)
        outputs.save(path)
    processes_of_training().wait_for_everyone()
    return outputs


def _projected(
    task: Task, recipe: Recipe, outputs: TeacherOutputs, on_progress: OnProgress | None, folder: Path | None = None
) -> tuple[TeacherOutputs, ProjectionHead, Memory]:
    """Calibrate a teacher's outputs, train the projection head, and make the memory that students learn from."""
    outputs = outputs.calibrated(task) if recipe.calibrate_teacher else outputs
    head = ProjectionHead.fit(task, outputs.of("train")[0], recipe, folder=folder, on_progress=on_progress)
    hidden, soft_labels = outputs.of(*task.taught_splits)
    return outputs, head, Memory.of(task, soft_labels, head.project(hidden))


def _students(
    task: Task, recipe: Recipe, memory: Memory, work: Path, seconds: dict[str, float], on_progress: OnProgress | None
) -> dict[str, Student]:
    """Train the student of each ablation, or load it if an interrupted training had finished it; ours comes last."""
    unaligned = replace(recipe.distillation, relational_weight=0.0)
    is_main, students = processes_of_training().is_main_process, {}
    for method, loss in {"student": GOLD_ONLY, "kd": unaligned, "reaugkd": recipe.distillation}.items():
        finished = work / method
        with _timed(seconds, method):
            if finished.is_dir():
                students[method] = Student.load(finished, max_length=recipe.max_length)
                continue
            watch = None
            if method == "reaugkd" and is_main:
                watch = EpochWatch(memory.teacher_embeddings, memory.rows["label"].to_numpy(dtype=str))
            students[method] = Student.fit(
                task,
                memory,
                replace(recipe, distillation=loss),
                folder=work / f"{method}_checkpoints",
                stage=STAGES[method],
                on_progress=on_progress,
                on_epoch=_after_epochs(task, STAGES[method], on_progress, watch, work / EPOCHS_FILE),
            )
            if is_main:
                with whole_folder(finished) as folder:
                    students[method].save(folder)
    return students


def _after_epochs(
    task: Task, stage: str, on_progress: OnProgress | None, watch: EpochWatch | None, path: Path
) -> OnStudentEpoch:
    """Return what reports a student's score on validation rows, and keeps where the watched texts lie, in a file."""
    texts, gold, taught = task.texts("validation")[:MOST_WATCHED], task.labels("validation"), task.taught_texts

    def on_epoch(epoch: int, student: TextClassifier) -> None:
        if on_progress is not None:
            score = METRICS[task.metric](gold[: len(texts)], student.encode(texts)[1].argmax(axis=1))
            on_progress(Progress(stage, epoch=epoch, score=score))
        if watch is not None:
            epochs = watch.seen(epoch, student.embed([taught[row] for row in watch.rows]), path)
            if on_progress is not None:
                on_progress(Progress(stage, epochs=epochs))

    return on_epoch


def _evaluate(
    task: Task, outputs: TeacherOutputs, head: ProjectionHead, keyed: dict[str, Keyed], students: dict[str, Student]
) -> tuple[dict[str, Any], Pool, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the figures, the pool, and z and x of the held-out rows, validation before test."""
    encoded: dict[str, dict[str, EncodedTexts]] = {method: {} for method in ("teacher", *students)}
    for split, (keys, _) in keyed.items():
        texts, (hidden, soft_labels) = task.texts(split), outputs.of(split)
        z = head.project(hidden)
        encoded["teacher"][split] = EncodedTexts(texts, z, soft_labels, {TEACHER: z})
        for method, student in students.items():
            encoded[method][split] = EncodedTexts.of(student, keys, texts)
    labels, memory = {split: task.labels(split) for split in keyed}, keyed["test"][1]
    said, votes, pool = answer_methods(Networks(**encoded), labels, memory, keyed["validation"][1], task.metric)
    aligned = alignment(encoded["reaugkd"]["test"].embeddings, encoded["teacher"]["test"].embeddings, memory)
    about = about_memory(pool, too_few_rows(len(labels["validation"])))
    metrics = measured(said, votes, labels, task.metric) | {"alignment": aligned, "memory": about}
    z, x = (
        np.concatenate([encoded[network][split].embeddings for split in ("validation", "test")])
        for network in ("teacher", "reaugkd")
    )
    return metrics, pool, (z, x)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - start, 1)


def _report(on_progress: OnProgress | None, stage: str) -> None:
    if on_progress is not None:
        on_progress(Progress(stage))
