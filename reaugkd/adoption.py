"""A classifier that was fine-tuned elsewhere gets a memory of its train texts; nothing is trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError, listed, quoted, read_as, require
from reaugkd.files import as_path
from reaugkd.measures.calibration import at_temperature, clipped_log, fit_temperature
from reaugkd.measures.metrics import drawn, interval, log_loss
from reaugkd.method.answers import EncodedTexts
from reaugkd.method.choice import choose_pool, too_few_rows
from reaugkd.method.keys import fit_keys_by_split
from reaugkd.method.memory import Memory
from reaugkd.method.pool import Pool
from reaugkd.method.teacher import SoftLabels, given_soft_labels
from reaugkd.model.card import about_memory, model_card
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.evaluation import answer_keys, measured
from reaugkd.model.folder import ModelSettings, check_target
from reaugkd.model.maps import fit_maps
from reaugkd.networks.encoders import SequenceClassifier, has_no_names
from reaugkd.networks.trainer import OnProgress, Progress, silent
from reaugkd.networks.weights import find_weights
from reaugkd.recipe import Recipe
from reaugkd.tasks.task import SPLIT_SEED, SPLITS, Task, check_task, make_task
from reaugkd.texts import Text
from reaugkd.training import tell_of_texts

TEXTS_AT_A_TIME = 256  # between two reports of progress
SURELY = 3.0  # standard errors by which a classifier is better on rows that it has seen


def adopt(
    classifier: str | Path,
    task: Task,
    out: str | Path,
    *,
    saw_validation: bool = True,
    soft_labels: SoftLabels | None = None,
    max_length: int | None = None,
    on_progress: OnProgress | None = None,
    say: Callable[[str], object] | None = None,
) -> ReAugKDClassifier:
    """Give a fine-tuned classifier a memory of its train texts, score what that brings, and save the model.

    The student is this classifier: it is not trained, and its probabilities stay as they are. The key ``aligned`` is
    the vector that enters its last linear layer. Keys and weights are chosen on rows that the classifier never saw,
    since on its own train rows it is nearly always right, and every memory looks useless.

    Parameters
    ----------
    classifier : str or Path
        A folder, or a name on the hub, that ``transformers.AutoModelForSequenceClassification`` loads.
    task : Task
        Its train rows are those that the classifier learnt from; its test rows must be new to it. The labels are the
        names of the classifier's classes (``id2label``), or their numbers.
    out : str or Path
        The model's folder.
    saw_validation : bool
        Whether the classifier knows the validation rows too, as it does where :func:`reaugkd.load_files` drew them from
        the train file. They then join the memory, and half of the test rows, drawn by label and always the same, take
        their place and leave the report.
    soft_labels : callable or mapping, optional
        Soft labels of the memory, as :func:`reaugkd.method.teacher.black_box_outputs` takes them, columns in the order
        of ``task.label_names``. If left out, the classifier's own, calibrated, or the gold labels, whichever give the
        lower log loss on the rows that the classifier never saw.
    max_length : int, optional
        Tokens after which a text is cut; as many as the classifier can read if left out.
    on_progress : callable, optional
        Gets the progress, and may raise to cancel.
    say : callable, optional
        Gets a sentence about texts that stand in two splits, about many that are cut, and about validation rows that
        the classifier seems to know.

    Returns
    -------
    ReAugKDClassifier
        The model, as it was saved.

    Raises
    ------
    ReAugKDError
        If there is no such classifier, it is of a kind that cannot be adopted, its classes are not those of the task,
        soft labels are missing, or ``out`` holds something else.

    Examples
    --------
    >>> model = adopt(classifier, task, folder / "adopted", saw_validation=False)
    >>> model.settings.is_adopted, list(model.metrics["methods"])[-1]
    (True, 'reaugkd')
    """
    check_task(task)
    out, report = check_target(out), on_progress or silent
    max_length = read_as(int | None, max_length, "max_length")
    require(max_length is None or max_length >= 1, "max_length", max_length, "at least 1")
    folder = find_weights(classifier, lambda sentence: report(Progress(sentence)))
    student = SequenceClassifier.from_pretrained(folder, max_length=max_length)
    classes, numbers = matched_classes(task.label_names, student.class_names)
    learnt = ("train", "validation") if saw_validation else ("train",)
    given = None if soft_labels is None else given_soft_labels(task, soft_labels, learnt)
    task = _regrouped(task, classes, numbers, saw_validation)
    _check_reading(student, task.all_texts, classifier)
    if say is not None:
        tell_of_texts(task, student, say)
    embeddings, own = _read(student, task.texts("train"), report)
    report(Progress("The classifier reads rows that it never saw"))
    held = {split: EncodedTexts.of(student, {}, task.texts(split)) for split in ("validation", "test")}
    if say is not None:
        _tell_of_known_rows(task, held, say)
    gold = np.eye(len(classes), dtype=np.float32)[task.labels("train")]
    temperature = fit_temperature(held["validation"].student_probabilities, task.labels("validation"))
    tried = {"its own": at_temperature(own, temperature).astype(np.float32), "gold": gold}
    if given is not None:
        tried = {"given": given @ np.eye(len(classes), dtype=np.float32)[numbers]}
    report(Progress("Keys of the memory"))
    keyed = fit_keys_by_split(task, Memory.of(task, gold, embeddings), student, Recipe())
    held = {split: rows.searching_by(keyed[split][0]) for split, rows in held.items()}
    report(Progress("Evaluation"))
    kind = _best_soft_labels(task, tried, held["validation"], keyed["validation"][1])
    memories = {split: replace(memory, soft_labels=tried[kind]) for split, (_, memory) in keyed.items()}
    metrics, pool = _evaluate(task, held, memories)
    report(Progress("Maps"))
    settings = _settings(task, student, classifier, saw_validation, kind)
    keys, memory = keyed["test"][0], memories["test"]
    x = np.concatenate([held[split].embeddings for split in ("validation", "test")])  # its own, which is the teacher's
    model = ReAugKDClassifier(
        settings=settings,
        pool=pool,
        student=student,
        memory=memory,
        keys=keys,
        metrics=metrics,
        evaluation_rows=task.held_out_table(),
        maps=fit_maps(memory.teacher_embeddings, memory.teacher_embeddings, (x, x)),
        card=model_card(settings, metrics),
    )
    model.save_pretrained(out)
    return model


def matched_classes(labels: Sequence[str], names: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """Find which class of a classifier each label of some rows is.

    Parameters
    ----------
    labels : sequence of str
        Labels of the rows, each once: names of classes, in any case of letters, or numbers from 0.
    names : sequence of str
        The classifier's C classes, in its order.

    Returns
    -------
    tuple of tuple of str and list of int
        What the classes are called from now on, in the classifier's order, and the number of each label's class. The
        spelling of the rows counts, so that they can be asked again; so do numbers where nobody named the classes.

    Raises
    ------
    ReAugKDError
        If a label is neither.
    """
    for fold in (str, str.casefold):
        known = {fold(name): number for number, name in enumerate(names)}
        numbers = [known[fold(label)] for label in labels if fold(label) in known]
        if len(set(numbers)) == len(labels):
            spelt = dict(enumerate(names)) | dict(zip(numbers, labels, strict=True))
            return tuple(spelt.values()), numbers
    counted = [str(number) for number in range(len(names))]
    if set(labels) <= set(counted):
        return tuple(counted if has_no_names(names) else names), [int(label) for label in labels]
    strange = next((label for label in labels if label.casefold() not in known), labels[0])
    raise ReAugKDError(
        f"The label {quoted(strange)} is no class of the classifier, which has {listed(names)}; write these names, or "
        f"numbers from 0 to {len(names) - 1}, into the label column, or the labels' names into id2label of config.json."
    )


def _regrouped(task: Task, classes: tuple[str, ...], numbers: list[int], saw_validation: bool) -> Task:
    """Return the task by the classifier's classes; what it knows is in train."""
    names = {label: classes[number] for label, number in zip(task.label_names, numbers, strict=True)}
    tables = {split: (table := task.table(split)).assign(label=table["label"].map(names)) for split in SPLITS}
    if saw_validation:
        tables["train"] = pd.concat([tables["train"], tables["validation"]], ignore_index=True)
        mixed = tables["test"].sample(frac=1, random_state=SPLIT_SEED).sort_values("label", kind="stable")
        halves = (mixed.iloc[first::2].sort_index().reset_index(drop=True) for first in (0, 1))
        tables["validation"], tables["test"] = halves  # alike in labels, and always the same
    return make_task(task.name, tables, label_names=classes, metric=task.metric)


def _check_reading(student: SequenceClassifier, texts: list[Text], name: str | Path) -> None:
    """Refuse a classifier that fails at the shortest or the longest text."""
    by_length = sorted(texts, key=lambda text: len("".join(text)))
    try:
        student.encode([by_length[0], by_length[-1]])
    except Exception as error:  # each architecture fails in a way of its own
        raise ReAugKDError(f"{str(name)!r} cannot encode the texts of the task; name another classifier.") from error


def _read(student: SequenceClassifier, texts: list[Text], report: OnProgress) -> tuple[NDArray[np.float32], ...]:
    """Return embeddings (N, H) and probabilities (N, C) of many texts, and tell how far it is."""
    parts = []
    for first in range(0, len(texts), TEXTS_AT_A_TIME):
        report(Progress("The classifier reads its train rows", first, len(texts)))
        parts.append(student.encode(texts[first : first + TEXTS_AT_A_TIME]))
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _tell_of_known_rows(task: Task, held: Mapping[str, EncodedTexts], say: Callable[[str], object]) -> None:
    """Tell if a classifier is so much better on validation rows than on test rows that it must have learnt them."""
    right = {split: rows.student_probabilities.argmax(axis=1) == task.labels(split) for split, rows in held.items()}
    known, new = (100 * right[split].mean() for split in ("validation", "test"))
    share = np.concatenate(list(right.values())).mean()
    error = 100 * np.sqrt(share * (1 - share) * sum(1 / len(rows) for rows in right.values()))
    if known - new > SURELY * error:
        say(
            f"The classifier is right on {known:.0f} % of the validation rows but on {new:.0f} % of the test rows: it "
            "seems to have learnt the former, and then its memory looks useless. Give rows that it never saw."
        )


def _best_soft_labels(task: Task, tried: Mapping[str, NDArray[np.float32]], held: EncodedTexts, memory: Memory) -> str:
    """Name the soft labels by which the pool's log loss is lowest on rows that the classifier never saw.

    The classifier's own repeat its answers, which adds little where it did not learn its train rows by heart.
    """
    labels = task.labels("validation")

    def loss(kind: str) -> float:
        with_them = replace(memory, soft_labels=tried[kind])
        return log_loss(labels, choose_pool(held, labels, with_them, list(memory.keys)).unseen)

    return min(tried, key=loss)


def _evaluate(task: Task, held: dict[str, EncodedTexts], memories: dict[str, Memory]) -> tuple[dict[str, Any], Pool]:
    """Score the classifier and its memory, and say whether the difference may be chance."""
    labels = {split: task.labels(split) for split in held}
    said, pool = answer_keys(held, labels, memories["test"], memories["validation"])
    metrics = measured(said, {}, labels, task.metric, "classifier")
    rows, gold = np.arange(len(labels["test"])), labels["test"]
    answers, before = (said[method]["test"][rows, gold] for method in ("reaugkd", "classifier_calibrated"))
    losses = clipped_log(before) - clipped_log(answers)
    loss = drawn(lambda _, numbers: float(losses[numbers].mean()), 1, len(gold))
    metrics["memory"] = about_memory(pool, too_few_rows(len(labels["validation"])))
    metrics["gain"] = {"test": metrics["intervals"]["reaugkd"]["lead"], "test_log_loss": [*interval(loss)]}
    return metrics, pool


def _settings(
    task: Task, student: SequenceClassifier, classifier: str | Path, saw_validation: bool, soft_labels: str
) -> ModelSettings:
    """Say what the model is made of; a local folder is named without the way to it."""
    path, rows = as_path(classifier), f"{len(task.rows['validation']):,}"
    half = f"half of the test rows ({rows}), which the score leaves out"
    name = path.resolve().name if path.is_dir() else str(classifier)
    settings = ModelSettings.of(task, Recipe(student=name, max_length=student.max_length), student.num_layers)
    chosen_on = half if saw_validation else f"{rows} validation rows"
    return replace(settings, teacher="", training={"soft_labels": soft_labels, "chosen_on": chosen_on})
