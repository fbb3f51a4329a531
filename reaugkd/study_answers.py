"""What a study found: for every student, each way to answer is chosen on validation rows, then scored on test rows."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from transformers import AutoTokenizer

from reaugkd.alignment import alignment
from reaugkd.answers import EncodedTexts, answer
from reaugkd.calibration import at_temperature, fit_temperature
from reaugkd.choice import STUDENT, best_settings, choose_linear, choose_weights
from reaugkd.controls import gold_classifier, words_classifier
from reaugkd.data import Task
from reaugkd.encoder_key import EncoderKey
from reaugkd.errors import ReAugKDError
from reaugkd.key_fitting import fit_keys, fit_rows, keyed_by
from reaugkd.keys import ALIGNED, Key
from reaugkd.memory import Memory
from reaugkd.metrics import METRICS, log_loss
from reaugkd.pool import KeySettings, Pool, log_pool, retrieve, smoothed
from reaugkd.recipe import Recipe, taught_memory
from reaugkd.study import Cell, StudyFolder, cells, is_made_of, layers_made_of, student_made_of
from reaugkd.study_plan import POOLS, Study, StudyMethod, StudyTeacher
from reaugkd.study_record import StudyRecord
from reaugkd.teacher import TeacherOutputs
from reaugkd.weights import find_weights

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """One way of one student to answer, chosen, and what it says of the test rows.

    Parameters
    ----------
    answer : str
        ``off``, the student at the temperature of the validation rows; ``linear``, the paper's blend by the aligned
        key; one of :data:`reaugkd.study_plan.POOLS`, of which ``pool`` is the recipe's; ``memory``, the recipe's
        keys alone (λ = 1); ``pool+encoderL``, the recipe's with the first L layers of the untuned encoder as a key.
    chosen : dict
        Weights, and k and τ_r of each key.
    validation : (V, C) float64
        Of the validation rows, where something is fitted by what was fitted on other folds.
    test : (N, C) float64
        Of the test rows.
    """

    answer: str
    chosen: dict[str, Any]
    validation: Probabilities
    test: Probabilities


def study_answers(study: Study, data: str | Path, work: str | Path, known: StudyRecord | None = None) -> pd.DataFrame:
    """Choose, answer and score for every student that is trained, or recorded by an earlier report.

    Parameters
    ----------
    study : Study
        The plan.
    data : str or Path
        Folder from which the tasks' paths start.
    work : str or Path
        Folder in which :func:`reaugkd.study.run_study` left the students' outputs.
    known : StudyRecord, optional
        Answers that count where a student's outputs are not there, or were made by other settings than today's; those
        that count are not chosen again.

    Returns
    -------
    DataFrame
        A row for each task, teacher, method, seed and answer: ``made_by``, metric, choice (JSON), ``validation``,
        ``test``, ``log_loss`` (nats), ``seconds`` of training, and of the N test rows ``predicted``, the labels, and
        ``gold_log_probability``; where there is a teacher, its own ``teacher`` score and how near the student's space
        comes to its, see :func:`reaugkd.alignment.alignment`.

    Raises
    ------
    ReAugKDError
        If a student is trained, and neither recorded nor are the files there by which it answers.
    """
    folder = StudyFolder(Path(work))
    tasks = {task.name: task.load(Path(data)) for task in study.tasks}
    known = known or StudyRecord.load(None)
    found = []
    searched: dict[str, Searched] = {}
    for cell, teacher, method, teacher_seed in cells(study):
        student = _Student(study, folder, tasks[cell.task], cell, teacher, method, teacher_seed)
        about = cell.about(study, teacher, method, teacher_seed)
        recorded = known.answers_of(about)
        if len(recorded) or not student.is_trained():
            found.append(recorded)
            continue
        lacking = student.lacking()
        if lacking is not None:
            raise ReAugKDError(
                f"The student {cell.method} of seed {cell.seed} on {cell.task} by {cell.teacher} is trained, but "
                f"{str(lacking)!r}, which it answers by, is missing or of other settings; run the study without "
                "--report-only."
            )
        found.append(student.answers(about, searched))
    found = [rows for rows in found if len(rows)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


@dataclass(frozen=True)
class Searched:
    """A teacher's memory on a task, with its keys and the controls: one for all students of that teacher.

    Parameters
    ----------
    task : Task
        The task.
    keys : dict of str to Key
        Fitted to all train rows.
    memory : Memory
        What they search.
    keys_to_choose : dict of str to Key
        Fitted apart from the validation rows' siblings.
    memory_to_choose : Memory
        What these search.
    layers : dict of str to (N, L + 1, d') float16, or None
        What an untuned encoder's layers make of each split.
    outputs : TeacherOutputs
        The teacher's, calibrated.
    tokenizer : Any
        The student's.
    """

    task: Task
    keys: dict[str, Key]
    memory: Memory
    keys_to_choose: dict[str, Key]
    memory_to_choose: Memory
    layers: Mapping[str, NDArray[np.float16]] | None
    outputs: TeacherOutputs
    tokenizer: Any

    def encoded(self, said: Mapping[str, NDArray[Any]], split: str) -> EncodedTexts:
        """Return a student's recorded outputs for a split with the queries of every key."""
        texts, keys = self.task.texts(split), self.keys_to_choose if split == "validation" else self.keys
        embeddings = said[f"{split}_embeddings"].astype(np.float32)
        queries = {}
        for name, key in keys.items():
            if isinstance(key, EncoderKey):
                assert self.layers is not None
                depth = key.weight.shape[0] // self.layers[split].shape[2]
                queries[name] = key.keys(self.layers[split][:, :depth].astype(np.float32))
            else:
                queries[name] = key.embed(texts, embeddings)
        return EncodedTexts(texts, embeddings, said[f"{split}_probabilities"], queries)

    @cached_property
    def controls(self) -> dict[str, dict[str, Probabilities]]:
        """What the classifiers without a memory say of the validation rows and of the test rows."""
        task, texts, labels = self.task, self.task.taught_texts, self.task.labels("train")
        soft_labels = self.outputs.of(*task.taught_splits)[1]
        found: dict[str, dict[str, Probabilities]] = {"words": {}, "gold words": {}}
        for split, apart in (("validation", task.texts("validation")), ("test", [])):
            rows = np.flatnonzero(fit_rows(texts, apart))
            kept, asked, gold = [texts[row] for row in rows.tolist()], task.texts(split), rows[rows < len(labels)]
            found["words"][split] = words_classifier(self.tokenizer, kept, soft_labels[rows], asked)
            found["gold words"][split] = gold_classifier(
                self.tokenizer, kept[: len(gold)], labels[gold], len(task.label_names), asked
            )
        return found


@dataclass(frozen=True)
class _Student:
    """A student of the plan, with the files that its answers are made of."""

    study: Study
    folder: StudyFolder
    task: Task
    cell: Cell
    teacher: StudyTeacher
    method: StudyMethod
    teacher_seed: int

    @property
    def recipe(self) -> Recipe:
        return self.method.recipe(self.teacher, self.cell.seed).for_task(self.task)

    @property
    def outputs_file(self) -> Path:
        return self.folder.teacher_outputs(self.task.name, self.study.taught_by(self.teacher, self.teacher_seed))

    @property
    def keys_file(self) -> Path:
        projected_by = self.study.projected_by(self.teacher, self.teacher_seed, self.recipe)
        return self.folder.keys(self.task.name, projected_by)

    @property
    def layers_file(self) -> Path | None:
        """Return the file of the untuned encoder's layers, where this student's answers need it."""
        return self.folder.encoder_layers(self.task.name) if self.study.encoder_layers(self.method) else None

    def outputs(self) -> TeacherOutputs:
        outputs = TeacherOutputs.load(self.outputs_file)
        outputs.check(self.task)
        return outputs.calibrated(self.task) if self.recipe.calibrate_teacher else outputs

    def is_trained(self) -> bool:
        """Whether its file is there and was made by today's settings."""
        path, outputs = self.cell.file(self.folder.path), None
        if not path.is_file():
            return False
        if self.method.needs_teacher:
            if not self.outputs_file.is_file():
                return False  # the teacher is another one today
            outputs = self.outputs()
        return is_made_of(path, student_made_of(self.task, self.recipe, outputs))

    def lacking(self) -> Path | None:
        """Return the file that the study makes for its answers, and that is not there or was made otherwise."""
        if self.method.needs_teacher and not self.keys_file.is_file():
            return self.keys_file
        about, layers = self.study.encoder_key, self.layers_file
        if layers is None or about is None:
            return None
        return None if is_made_of(layers, layers_made_of(self.task, about)) else layers

    def answers(self, about: dict[str, Any], known: dict[str, Searched]) -> pd.DataFrame:
        """Choose every way to answer, then score it; ``about`` goes into every row."""
        said = np.load(self.cell.file(self.folder.path))
        searched = None
        if self.method.needs_teacher:
            name = f"{self.keys_file}, {self.recipe.calibrate_teacher}, {self.study.encoder_layers(self.method)}"
            if name not in known:
                known.clear()  # seeds and teachers come one after the other, and a memory with its keys is large
                known[name] = self.searched()
            searched = known[name]
        chosen = cell_answers(self.task, said, searched, self.study.encoder_layers(self.method))
        gold = self.task.labels("test")  # read only now: everything is chosen
        about = about | {"seconds": float(said["seconds"])}
        if searched is not None:
            z, teacher = np.load(self.keys_file)["test"], searched.outputs.of("test")[1]
            about |= alignment(said["test_embeddings"].astype(np.float32), z, searched.memory)
            about["teacher_test"] = METRICS[self.task.metric](gold, teacher.argmax(axis=1))
        return pd.DataFrame([about | _scored(answers, self.task) for answers in chosen])

    def searched(self) -> Searched:
        """Fit the keys to the teacher's memory."""
        task, outputs = self.task, self.outputs()
        tokenizer = AutoTokenizer.from_pretrained(find_weights(self.recipe.student))

        def taught(parts: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate([parts[split] for split in task.taught_splits])

        memory = taught_memory(task, outputs.of(*task.taught_splits)[1], taught(np.load(self.keys_file)))
        texts, held_out = task.taught_texts, task.texts("validation")
        sides: list[Any] = []
        layers = None if self.layers_file is None else dict(np.load(self.layers_file))
        for apart in ([], held_out):
            keys, keyed = fit_keys(memory, texts, tokenizer, held_out=apart)
            for count in self.study.encoder_layers(self.method):
                assert layers is not None
                pooled = taught(layers)[:, : count + 1].astype(np.float32)
                key, made = keyed_by(None, pooled, memory, texts, fit_rows(texts, apart))
                keys, keyed = keys | {f"encoder{count}": key}, keyed.with_keys({**keyed.keys, f"encoder{count}": made})
            sides += [keys, keyed]
        return Searched(task, sides[0], sides[1], sides[2], sides[3], layers, outputs, tokenizer)


def cell_answers(
    task: Task, said: Any, searched: Searched | None, encoder_layers: list[int] | None = None
) -> list[Answers]:
    """Choose every way of one student to answer on the validation rows; no test label is read.

    Parameters
    ----------
    task : Task
        The task.
    said : mapping
        What the student says of each split: ``{split}_embeddings`` and ``{split}_probabilities``.
    searched : Searched or None
        Its teacher's memory; None where there is no teacher.
    encoder_layers : list of int, optional
        By how many layers of an untuned encoder it searches too.

    Returns
    -------
    list of Answers
        One for each way.
    """
    labels = task.labels("validation")
    temperature = fit_temperature(said["validation_probabilities"], labels)
    student = {split: at_temperature(said[f"{split}_probabilities"], temperature) for split in ("validation", "test")}
    found = [Answers("off", {"student_temperature": temperature}, student["validation"], student["test"])]
    if searched is None:
        return found
    held_out, test = searched.encoded(said, "validation"), searched.encoded(said, "test")
    linear = choose_linear(held_out, labels, searched.memory_to_choose, ALIGNED, task.metric)
    found.append(
        Answers(
            "linear",
            asdict(linear.keys[ALIGNED]) | {"retrieval_weight": linear.retrieval_weight},
            answer(held_out, searched.memory_to_choose, linear).pooled.probabilities,
            answer(test, searched.memory, linear).pooled.probabilities,
        )
    )
    experts = {split: {name: said[split] for name, said in searched.controls.items()} for split in student}
    settings: dict[str, KeySettings] = {}
    for name in searched.keys:
        best = best_settings(held_out, student["validation"], labels, searched.memory_to_choose, name)
        settings[name] = best.settings
        experts["validation"][name] = best.memory
        retrieved = retrieve(searched.memory, name, test.queries[name], best.settings)
        experts["test"][name] = smoothed(retrieved.probabilities, test.known)
    encoders = {f"pool+encoder{count}": (*POOLS["pool"], f"encoder{count}") for count in encoder_layers or ()}
    for way, names in (POOLS | encoders).items():
        some = {split: {name: experts[split][name] for name in names} for split in student}
        weights, unseen = choose_weights(student["validation"], some["validation"], labels)
        values = np.asarray(list(weights.values()))
        about: dict[str, Any] = {"weights": weights}
        about |= {name: {"k": one.k, "temperature": one.temperature} for name, one in settings.items() if name in names}
        found.append(Answers(way, about, unseen, np.exp(log_pool(student["test"], some["test"], values))))
        if way == "pool":
            keys = {name: replace(settings[name], weight=weights[name]) for name in names}
            of_student, of_keys = Pool(keys, weights[STUDENT], retrieval_weight=1.0).weights
            alone = np.asarray([of_student, *of_keys.values()])
            by_split = {split: np.exp(log_pool(student[split], some[split], alone)) for split in student}
            found.append(Answers("memory", about, by_split["validation"], by_split["test"]))
    return found


def _scored(found: Answers, task: Task) -> dict[str, Any]:
    gold, predicted = task.labels("test"), found.test.argmax(axis=1)
    of_gold = np.log(found.test[np.arange(len(gold)), gold].clip(1e-12))
    return {
        "answer": found.answer,
        "metric": task.metric,
        "chosen": json.dumps(found.chosen),
        "validation": METRICS[task.metric](task.labels("validation"), found.validation.argmax(axis=1)),
        "validation_log_loss": log_loss(task.labels("validation"), found.validation),
        "test": METRICS[task.metric](gold, predicted),
        "log_loss": log_loss(gold, found.test),
        "predicted": predicted.astype(np.int16),
        "gold_log_probability": of_gold.astype(np.float16),
    }
