"""The answers of a study: every way to answer is chosen on validation rows, then scored on test rows.

Controls, classifiers of the same n-grams, enter the pool without any memory, to tell what the memory adds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import at_temperature, clipped_log, fit_temperature
from reaugkd.measures.metrics import METRICS, log_loss
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.choice import STUDENT, best_settings, choose_linear, choose_weights
from reaugkd.method.keys import ALIGNED, Key, UntunedEncoder, fit_encoder_key, fit_keys, fit_rows
from reaugkd.method.memory import Memory
from reaugkd.method.pool import KeySettings, Pool, log_pool
from reaugkd.method.text_key import FOLDS, NGrams, best_penalty, sparse_ridge
from reaugkd.model.evaluation import alignment
from reaugkd.networks.weights import find_weights
from reaugkd.study.plan import POOLS, Run, Study, StudyEncoder, needs_teacher
from reaugkd.study.run import NOTHING, StudyRecord, has_digest, student_digest, teacher_outputs
from reaugkd.tasks.task import Task
from reaugkd.texts import Labels, Text, folds_apart

Probabilities = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]
EVALUATED = ("validation", "test")
Way = tuple[dict[str, Any], dict[str, Probabilities]]
"""One way of one student to answer: what is chosen (weights, and k and τ_r of each key), and the answers to the rows of
each split of :data:`EVALUATED`, (N, C); where something is fitted, a validation row's is by the other folds."""
CLIP = 0.01
"""The least probability of a soft label whose logarithm is a target: below, the logarithm is all that counts."""
STRENGTHS = (1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Searched:
    """A teacher's memory on a task with its keys, and the controls: one for all students of that teacher.

    For the validation rows it is fitted apart from their siblings, for the test rows to all taught rows.

    Parameters
    ----------
    keys : dict of str to Key
        The keys that cost no network, by name.
    memory : Memory
        The memory that they search.
    encoder_queries : dict of str to (N, w) float32
        By the name of each key of an untuned encoder its queries, the same for every student.
    controls : dict of str to (N, C) float64
        Answers of the classifiers without a memory.
    """

    keys: dict[str, Key]
    memory: Memory
    encoder_queries: dict[str, NDArray[np.float32]]
    controls: dict[str, Probabilities]

    def encode(self, outputs: Arrays, texts: list[Text], split: str) -> EncodedTexts:
        """Return a student's recorded outputs for the texts of a split, with the queries of every key."""
        embeddings = outputs[f"{split}_embeddings"].astype(np.float32)
        queries = {name: key.embed(texts, embeddings) for name, key in self.keys.items()}
        return EncodedTexts(texts, embeddings, outputs[f"{split}_probabilities"], queries | self.encoder_queries)


def study_answers(study: Study, data: str | Path, work: str | Path, known: StudyRecord = NOTHING) -> pd.DataFrame:
    """Choose, answer and score for every student that is trained, or recorded by an earlier report.

    Parameters
    ----------
    study : Study
        The plan.
    data : str or Path
        Folder from which the tasks' paths start.
    work : str or Path
        Folder in which :func:`reaugkd.study.run.run_study` left the students' outputs.
    known : StudyRecord
        Recorded answers; where today's settings made them, nothing is chosen again.

    Returns
    -------
    DataFrame
        A row for each task, teacher, method, seed and answer: ``settings_digest``, metric, choice (JSON),
        ``validation``, ``test``, ``log_loss`` (nats), ``seconds`` of training, and of the N test rows ``predicted``,
        the labels, and ``gold_log_probability``; where there is a teacher, its own ``teacher`` score and how near the
        student's space comes to its, see :func:`reaugkd.model.evaluation.alignment`.

    Raises
    ------
    ReAugKDError
        If a student is trained but neither recorded nor complete: a file of its keys is missing.
    """
    work = Path(work)
    tables = []
    last: tuple[Any, dict[str, Searched]] = None, {}  # one teacher's at a time: a memory with its keys is large
    for run in study.students():
        task, recorded = study.load(run.about["task"], data), known.rows_of(run.about)
        if len(recorded):
            tables.append(recorded)
        elif is_trained(task, run, work):
            learns, settings = needs_teacher(run.recipe), (run.keys_file, run.recipe.calibrate_teacher)
            if learns and settings != last[0]:
                last = settings, search_by(task, run, work, study.encoder_key)
            tables.append(_answered(task, run, work, last[1] if learns else {}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def is_trained(task: Task, run: Run, work: Path) -> bool:
    """Return whether a student's file is there and was made by today's settings, of today's teacher."""
    outputs = None
    if needs_teacher(run.recipe):
        if not ((work / run.file).is_file() and (work / run.outputs_file).is_file()):
            return False
        outputs = teacher_outputs(task, run, work)
    return has_digest(work / run.file, student_digest(task, run.recipe.for_task(task), outputs))


def search_by(task: Task, run: Run, work: Path, encoder: StudyEncoder | None) -> dict[str, Searched]:
    """Fit the keys of a student's teacher to its memory, for ``validation`` and for ``test``."""
    z, layers = _loaded(work / run.keys_file), {}
    if encoder is not None:
        layers = _loaded(work / encoder.file(task))

    def taught(parts: Arrays) -> NDArray[Any]:
        return np.concatenate([parts[split] for split in task.taught_splits])

    tokenizer = AutoTokenizer.from_pretrained(find_weights(run.recipe.student))
    memory, found = Memory.of(task, teacher_outputs(task, run, work).of(*task.taught_splits)[1], taught(z)), {}
    for split, apart in (("validation", task.texts("validation")), ("test", [])):
        keys, keyed = fit_keys(memory, tokenizer, held_out=apart)
        fitted, queries, rows = fit_rows(memory.texts, apart), {}, dict(keyed.keys)
        for count in () if encoder is None else encoder.layers:
            of_taught, of_split = (part[:, : count + 1].astype(np.float32) for part in (taught(layers), layers[split]))
            key, rows[f"encoder{count}"] = fit_encoder_key(UntunedEncoder(None, of_taught), memory, fitted)
            queries[f"encoder{count}"] = key.keys(of_split)
        answers = control_answers(task, memory, tokenizer, task.texts(split), fitted)
        found[split] = Searched(keys, keyed.with_keys(rows), queries, answers)
    return found


def _loaded(path: Path) -> dict[str, NDArray[Any]]:
    """Load a file that a student's answers need beside its own; it may be lost, or of other settings."""
    if not path.is_file():
        raise ReAugKDError(
            f"A student is trained, but {str(path)!r}, which it answers by, is missing or of other settings; "
            "run the study without --report-only."
        )
    return dict(np.load(path))


def _answered(task: Task, run: Run, work: Path, searched: Mapping[str, Searched]) -> pd.DataFrame:
    """Choose every way of a student to answer, then score it."""
    outputs = np.load(work / run.file)
    ways = choose_ways(task, outputs, searched)
    gold, score = task.labels("test"), METRICS[task.metric]  # read only now: everything is chosen
    about = run.about | {"seconds": float(outputs["seconds"])}
    if searched:
        x, z = outputs["test_embeddings"].astype(np.float32), _loaded(work / run.keys_file)["test"]
        about |= alignment(x, z, searched["test"].memory)
        about["teacher_test"] = score(gold, teacher_outputs(task, run, work).of("test")[1].argmax(axis=1))
    held_out, rows = task.labels("validation"), []
    for name, (chosen, said) in ways.items():
        predicted, of_gold = said["test"].argmax(axis=1), clipped_log(said["test"][np.arange(len(gold)), gold])
        scores = {
            "answer": name,
            "metric": task.metric,
            "chosen": json.dumps(chosen),
            "validation": score(held_out, said["validation"].argmax(axis=1)),
            "validation_log_loss": log_loss(held_out, said["validation"]),
            "test": score(gold, predicted),
            "log_loss": log_loss(gold, said["test"]),
            "predicted": predicted.astype(np.int16),
            "gold_log_probability": of_gold.astype(np.float16),
        }
        rows.append(about | scores)
    return pd.DataFrame(rows)


def choose_ways(task: Task, outputs: Arrays, searched: Mapping[str, Searched]) -> dict[str, Way]:
    """Choose every way of one student to answer on the validation rows; no test label is read.

    Parameters
    ----------
    task : Task
        The task.
    outputs : mapping
        The student's outputs for each split: ``{split}_embeddings`` and ``{split}_probabilities``.
    searched : mapping of str to Searched
        Its teacher's memory, as :func:`search_by` gives it; empty where there is no teacher.

    Returns
    -------
    dict of str to Way
        ``off``, the student at the temperature of the validation rows; ``linear``, the paper's blend by the aligned
        key; those of :data:`reaugkd.study.plan.POOLS`, of which ``pool`` is the recipe's; ``memory``, the recipe's
        keys alone (λ = 1); ``pool+encoderL``, the recipe's with the first L layers of the untuned encoder as a key.
    """
    labels = task.labels("validation")
    temperature = fit_temperature(outputs["validation_probabilities"], labels)
    student = {split: at_temperature(outputs[f"{split}_probabilities"], temperature) for split in EVALUATED}
    ways: dict[str, Way] = {"off": ({"student_temperature": temperature}, student)}
    if not searched:
        return ways
    encoded = {split: side.encode(outputs, task.texts(split), split) for split, side in searched.items()}
    held_out, test, memory = encoded["validation"], encoded["test"], searched["validation"].memory
    linear = choose_linear(held_out, labels, memory, ALIGNED, task.metric)
    found = {split: answer(encoded[split], side.memory, linear).pooled for split, side in searched.items()}
    blended = {split: pooled.probabilities for split, pooled in found.items()}
    ways["linear"] = asdict(linear.keys[ALIGNED]) | {"retrieval_weight": linear.retrieval_weight}, blended
    experts = {split: dict(side.controls) for split, side in searched.items()}
    settings: dict[str, KeySettings] = {}
    for name in test.queries:
        best = best_settings(held_out, student["validation"], labels, memory, name)
        settings[name], experts["validation"][name] = best
    experts["test"] |= answer(test, searched["test"].memory, Pool(settings)).pooled.memory
    with_encoder = {f"pool+{name}": (*POOLS["pool"], name) for name in searched["test"].encoder_queries}
    for way, names in (POOLS | with_encoder).items():
        said = {split: {name: experts[split][name] for name in names} for split in EVALUATED}
        weights, unseen = choose_weights(student["validation"], said["validation"], labels)
        used = {name: {"k": one.k, "temperature": one.temperature} for name, one in settings.items() if name in names}
        pooled = np.exp(log_pool(student["test"], said["test"], np.asarray(list(weights.values()))))
        ways[way] = {"weights": weights, **used}, {"validation": unseen, "test": pooled}
        if way == "pool":
            keys = {name: replace(settings[name], weight=weights[name]) for name in names}
            of_student, of_keys = Pool(keys, weights[STUDENT], retrieval_weight=1.0).weights
            alone = np.asarray([of_student, *of_keys.values()])
            by_memory = {split: np.exp(log_pool(student[split], said[split], alone)) for split in EVALUATED}
            ways["memory"] = ways["pool"][0], by_memory
    return ways


def control_answers(
    task: Task, memory: Memory, tokenizer: PreTrainedTokenizerBase, asked: Sequence[Text], fitted: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Return what ``words`` and ``gold words`` answer to M texts, (M, C) each, learnt from some rows of a memory."""
    texts, labels = memory.texts, task.labels("train")
    rows = np.flatnonzero(fitted)
    known, labelled = [texts[row] for row in rows.tolist()], rows[rows < len(labels)]
    by_gold = gold_classifier(tokenizer, known[: len(labelled)], labels[labelled], len(task.label_names), asked)
    return {"words": words_classifier(tokenizer, known, memory.soft_labels[rows], asked), "gold words": by_gold}


def words_classifier(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], soft_labels: NDArray[np.floating], asked: Sequence[Text]
) -> NDArray[np.float64]:
    """Classify M texts, (M, C), by a ridge from n-grams to the teacher's log soft labels, log max(ȳ, 0.01)."""
    ngrams = NGrams.of(tokenizer, texts)
    folds = folds_apart(texts, soft_labels.argmax(axis=1), FOLDS)
    targets = np.log(np.maximum(soft_labels, CLIP)).astype(np.float32)
    features = ngrams.matrix(tokenizer, texts)
    weight, bias = sparse_ridge(features, targets, best_penalty(features, targets, folds))
    return softmax((ngrams.matrix(tokenizer, asked) @ weight + bias).astype(np.float64), axis=1)


def gold_classifier(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], labels: Labels, classes: int, asked: Sequence[Text]
) -> NDArray[np.float64]:
    """Classify M texts, (M, C), by logistic regression from n-grams to gold labels; its C is chosen on a fifth."""
    ngrams = NGrams.of(tokenizer, texts)
    search = GridSearchCV(
        LogisticRegression(max_iter=100),
        {"C": STRENGTHS},
        scoring="accuracy",  # a class that the fifth lacks would be refused by the log loss
        cv=ShuffleSplit(1, test_size=0.2, random_state=0),
    ).fit(ngrams.matrix(tokenizer, texts), labels)
    probabilities = np.zeros((len(asked), classes))
    probabilities[:, search.classes_] = search.predict_proba(ngrams.matrix(tokenizer, asked))
    return probabilities
