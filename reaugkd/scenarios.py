"""What a memory can do without training: learn classes, stand in for labels, unlearn wrong ones, grow.

Each scenario trains a student, then changes its memory and no network, and compares with a student that is trained
again and with plain kNN over an untuned encoder. What is fitted besides takes no training: the keys in closed form,
and the pool.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from reaugkd.answers import EncodedTexts, answer
from reaugkd.choice import choose_linear, choose_pool
from reaugkd.data import UNLABELLED, Task
from reaugkd.encoders import TextClassifier, normalize
from reaugkd.errors import ReAugKDError
from reaugkd.key_fitting import UntunedEncoder, fit_keys
from reaugkd.keys import ALIGNED, ENCODER, TEXT, Key
from reaugkd.memory import Memory
from reaugkd.metrics import METRICS
from reaugkd.pool import Pool
from reaugkd.projection_head import ProjectionHead
from reaugkd.recipe import Recipe, distill, fit_head
from reaugkd.teacher import TeacherOutputs
from reaugkd.texts import Labels, Text
from reaugkd.weights import DEFAULT_ENCODER, find_weights

NEW_CLASSES = 15
ROWS_A_NEW_CLASS = (5, 20, None)
ROWS_A_CLASS = (16, 64)
NOISE = 0.2
GROWTH = 10
POOL_ROWS = 1_000
UNTUNED = "untuned"
WAYS = {
    "aligned key": (ALIGNED,),
    "text key": (TEXT,),
    "free keys": (ALIGNED, TEXT),
    "encoder key": (ALIGNED, TEXT, ENCODER),
}
"""By which keys a memory is searched; the last named decides about new classes."""
Row = dict[str, Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """A student and what it was taught with.

    Parameters
    ----------
    student : TextClassifier
        The trained student.
    projection : ProjectionHead or None
        Brings the teacher's hidden states to the z that the student was aligned to.
    seconds : float
        That the student's training took.
    """

    student: TextClassifier
    projection: ProjectionHead | None
    seconds: float

    def predicted(self, texts: list[Text]) -> Labels:
        """Return the student's own labels of texts."""
        labels: Labels = self.student.encode(texts)[1].argmax(axis=1)
        return labels


@dataclass(frozen=True)
class Keyed:
    """A memory with every key, and what each makes of a text; beside them ``untuned``, an encoder's last layer.

    Parameters
    ----------
    made : Trained
        The student.
    keys : dict of str to Key
        By name.
    memory : Memory
        What they search.
    """

    made: Trained
    keys: dict[str, Key]
    memory: Memory

    @classmethod
    def of(
        cls,
        made: Trained,
        memory: Memory,
        texts: Sequence[Text],
        encoder: UntunedEncoder,
        held_out: Sequence[Text] = (),
    ) -> "Keyed":
        """Fit the keys to a memory, apart from the siblings of held-out texts."""
        keys, keyed = fit_keys(memory, texts, made.student.tokenizer, encoder=encoder, held_out=held_out)
        return cls(made, keys, keyed.with_keys({**keyed.keys, UNTUNED: encoder.pooled[:, -1]}))

    def encode(self, texts: Sequence[Text]) -> EncodedTexts:
        """Run the student and the keys over texts."""
        hidden, probabilities = self.made.student.encode(texts)
        embeddings = normalize(hidden)
        encoder = self.keys[ENCODER].encoder  # type: ignore[attr-defined]  # that key has one
        pooled = encoder.encode_layers(texts)
        queries = {name: key.embed(texts, embeddings) for name, key in self.keys.items() if name != ENCODER}
        queries |= {ENCODER: self.keys[ENCODER].keys(pooled), UNTUNED: normalize(pooled[:, -1])}  # type: ignore[attr-defined]
        return EncodedTexts(texts, embeddings, probabilities, queries)

    def grown(self, rows: Memory, encoded: EncodedTexts) -> "Keyed":
        """Return the memory with further rows, each keyed as a query is."""
        old = self.memory
        keys = {name: np.concatenate([key, encoded.queries[name]]) for name, key in old.keys.items()}
        return replace(self, memory=rows.with_keys(keys))


def untuned_encoder(task: Task, recipe: Recipe) -> UntunedEncoder:
    """Run the recipe's untuned encoder, or the default one, over a task's train texts."""
    weights = find_weights(recipe.encoder_key or DEFAULT_ENCODER)
    layers = recipe.encoder_key_layers
    return UntunedEncoder.of(weights, task.texts("train"), layers=layers, max_length=recipe.max_length)


def trained(task: Task, soft_labels: Floats | None, hidden: Floats | None, recipe: Recipe) -> Trained:
    """Train a student on a task as the recipe says.

    Parameters
    ----------
    task : Task
        The task.
    soft_labels : (N, C) float32 or None
        Of the task's taught texts; where none, the student learns from the gold labels alone.
    hidden : (N, H_t) float32 or None
        The teacher's hidden states of the same texts; where none, the student is not aligned.
    recipe : Recipe
        Every choice.

    Returns
    -------
    Trained
        The student.
    """
    recipe = recipe.for_task(task)
    distillation = recipe.distillation
    if hidden is None:
        distillation = replace(distillation, relational_weight=0.0)
    if soft_labels is None:
        distillation = replace(distillation, soft_label_weight=0.0, gold_label_weight=1.0)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        z = projection = None
        if hidden is not None:
            labelled = hidden[: len(task.rows["train"])]
            projection = fit_head(task, recipe, labelled, f"{scratch}/head", on_progress=lambda _: None)
            z = projection.project(hidden)
        student = distill(
            task,
            replace(recipe, distillation=distillation),
            f"{scratch}/student",
            soft_labels=soft_labels,
            keys=z,
            on_progress=lambda _: None,
        )
    return Trained(student, projection, time.monotonic() - start)


def part_of(task: Task, **rows: NDArray[np.integer]) -> Task:
    """Return the task with some rows of the named splits only."""
    chosen = {split: task.rows[split].select(rows[split]) if split in rows else task.rows[split] for split in task.rows}
    return replace(task, rows=DatasetDict(chosen))


def memory_of(task: Task, numbers: NDArray[np.integer], soft_labels: Floats, z: Floats, split: str = "train") -> Memory:
    """Return a memory without keys of some rows of a split; ``soft_labels`` and ``z`` are theirs."""
    rows = task.rows[split].select(numbers).to_pandas()
    names = np.asarray(task.label_names)
    labels = rows["label"] if "label" in rows else soft_labels.argmax(axis=1)
    return Memory(rows.assign(label=names[labels]), task.label_names, soft_labels, z, {})


def one_hot(labels: Labels, classes: int) -> Floats:
    """Return gold labels as soft labels (N, C)."""
    return np.eye(classes, dtype=np.float32)[labels]


def new_classes(
    task: Task, teach: Callable[[Task], TeacherOutputs], recipe: Recipe, left_out: int = NEW_CLASSES
) -> Iterator[Row]:
    """Leave classes out of all training, then add some of their rows to the memory only.

    Parameters
    ----------
    task : Task
        A task of many classes.
    teach : callable
        Trains a teacher on the task that is left, and returns its outputs.
    recipe : Recipe
        Of the students; its seed draws the classes and rows too.
    left_out : int
        How many classes are left out of training.

    Yields
    ------
    dict
        ``way``, ``rows_a_class``, ``old``, ``new`` and ``all`` (accuracy on the test rows of those classes) and
        ``seconds`` that the change took.

    Raises
    ------
    ReAugKDError
        If fewer than two classes would be left.
    """
    if len(task.label_names) < left_out + 2:
        raise ReAugKDError(
            f"To leave {left_out} classes out of training, a task needs {left_out + 2}; {task.name!r} has "
            f"{len(task.label_names)}: take the scenario new_classes out, or choose another task."
        )
    generator = np.random.default_rng(recipe.seed)
    newcomers = np.sort(generator.choice(len(task.label_names), left_out, replace=False))
    ordered = [number for number in range(len(task.label_names)) if number not in newcomers] + newcomers.tolist()
    task = _relabelled(task, ordered)
    known = len(ordered) - left_out
    labels, gold = task.labels("train"), task.labels("test")
    is_new = gold >= known
    old = part_of(
        task, **{split: np.flatnonzero(task.labels(split) < known) for split in ("train", "validation", "test")}
    )
    old = replace(old, label_names=task.label_names[:known])
    outputs = teach(old).calibrated(old)
    hidden, soft_labels = outputs.of("train")
    made = trained(old, soft_labels, hidden, recipe)
    assert made.projection is not None
    z, old_rows = made.projection.project(hidden), np.flatnonzero(labels < known)
    keyed, pools, nearest = _chosen(old, made, soft_labels, z, untuned_encoder(old, recipe))
    queries = keyed.encode(task.texts("test"))
    padded = np.pad(soft_labels, ((0, 0), (0, left_out)))

    def scored(predicted: Labels) -> Row:
        right = predicted == gold
        return {"old": right[~is_new].mean(), "new": right[is_new].mean(), "all": right.mean()}

    for way, pool in pools.items():
        found = answer(queries, keyed.memory, pool).pooled.probabilities
        yield {"way": f"memory, {way}", "rows_a_class": 0, "seconds": 0.0} | scored(found.argmax(axis=1))
    for count in ROWS_A_NEW_CLASS:
        added = _drawn(labels, range(known, known + left_out), count, generator)
        rows = np.concatenate([old_rows, added])
        shown = int(count or round(len(added) / left_out))
        start = time.monotonic()
        texts = task.texts("train")
        encoded = keyed.encode([texts[row] for row in added.tolist()])
        soft = np.concatenate([padded, one_hot(labels[added], len(ordered))])
        grown = keyed.grown(memory_of(task, rows, soft, np.concatenate([z, encoded.embeddings])), encoded)
        seconds = time.monotonic() - start
        for way, pool in pools.items():
            found = answer(queries, grown.memory, pool).pooled.probabilities
            yield {"way": f"memory, {way}", "rows_a_class": shown, "seconds": seconds} | scored(found.argmax(axis=1))
        # No student, so no class that it does not know: all neighbours count alike.
        found = answer(queries, grown.memory, nearest).retrieved[UNTUNED].probabilities
        yield {"way": "plain kNN, untuned", "rows_a_class": shown, "seconds": seconds} | scored(found.argmax(axis=1))
        again = trained(part_of(task, train=rows), soft, None, recipe)
        predicted = again.predicted(task.texts("test"))
        yield {"way": "retrained", "rows_a_class": shown, "seconds": again.seconds} | scored(predicted)


def few_labels(task: Task, outputs: TeacherOutputs, recipe: Recipe) -> Iterator[Row]:
    """Train on a few rows a class; the teacher has labelled the other train texts, which go into the memory only.

    The pool is fitted without a gold label: on texts that the student was not trained on, by what the teacher says. The
    retrained student learns by KD from all the texts that the memory holds; it is one for all numbers of rows.

    Parameters
    ----------
    task : Task
        The task.
    outputs : TeacherOutputs
        Calibrated outputs of a teacher of the whole task.
    recipe : Recipe
        Of the students.

    Yields
    ------
    dict
        ``way``, ``rows_a_class``, ``all`` (the task's metric on its test rows) and ``seconds``.
    """
    generator = np.random.default_rng(recipe.seed)
    hidden, soft_labels = outputs.of("train")
    labels, everything = task.labels("train"), np.arange(len(task.rows["train"]))
    encoder = untuned_encoder(task, recipe)
    for count in ROWS_A_CLASS:
        kept = np.sort(_drawn(labels, range(len(task.label_names)), count, generator))
        few = part_of(task, train=kept)
        baseline = trained(few, soft_labels[kept], None, recipe)
        aligned = trained(few, soft_labels[kept], hidden[kept], recipe)
        yield _scored("KD", count, task, baseline.predicted(task.texts("test")), baseline.seconds)
        unseen = np.setdiff1d(everything, kept)
        yield from _by_grown_memory(task, aligned, unseen, outputs, encoder, count, generator)
    retrained = _retrained(task, soft_labels, recipe)
    yield from (retrained | {"rows_a_class": count} for count in ROWS_A_CLASS)


def grown_memory(task: Task, outputs: TeacherOutputs, recipe: Recipe) -> Iterator[Row]:
    """Train on a tenth of the rows, then let the memory grow tenfold by texts that the teacher has labelled.

    Parameters
    ----------
    task : Task
        The task.
    outputs : TeacherOutputs
        Calibrated outputs of a teacher of the whole task.
    recipe : Recipe
        Of the students.

    Yields
    ------
    dict
        As :func:`few_labels` yields them, ``rows_a_class`` being the mean; the retrained student is a KD student of all
        the rows.
    """
    generator = np.random.default_rng(recipe.seed)
    hidden, soft_labels = outputs.of("train")
    total = len(task.rows["train"])
    kept = np.sort(generator.choice(total, total // GROWTH, replace=False))
    count = round(len(kept) / len(task.label_names))
    made = trained(part_of(task, train=kept), soft_labels[kept], hidden[kept], recipe)
    unseen = np.setdiff1d(np.arange(total), kept)
    yield from _by_grown_memory(task, made, unseen, outputs, untuned_encoder(task, recipe), count, generator)
    yield _retrained(task, soft_labels, recipe) | {"rows_a_class": count}


def unlabelled_text(task: Task, outputs: TeacherOutputs, recipe: Recipe) -> Iterator[Row]:
    """Give a student texts that only the teacher has labelled; beside it, give them to the memory alone.

    Parameters
    ----------
    task : Task
        A task with unlabelled rows.
    outputs : TeacherOutputs
        Calibrated outputs of a teacher of its train rows, for these and the unlabelled ones.
    recipe : Recipe
        Of the students.

    Yields
    ------
    dict
        ``way``, ``all`` (the task's metric on its test rows) and ``seconds``: a student without the texts as long as
        the recipe trains it, and by as many steps as the one with them; each alone and with its memory; and the first
        with a memory that holds the texts.

    Raises
    ------
    ReAugKDError
        If the task has no unlabelled rows.
    """
    if UNLABELLED not in task.rows:
        raise ReAugKDError(f"The task {task.name!r} has no unlabelled rows; name a file of them in the plan.")
    plain = replace(task, rows=DatasetDict({split: rows for split, rows in task.rows.items() if split != UNLABELLED}))
    count, total = len(task.rows["train"]), len(task.taught_texts)
    hidden, soft_labels = outputs.of(*task.taught_splits)
    epochs = recipe.for_task(task).epochs or 1.0
    longer = replace(recipe, epochs=epochs * total / count)
    runs = {"without": (plain, recipe, count), "without, equal steps": (plain, longer, count)}
    runs["with unlabelled text"] = (task, recipe, total)
    for name, (of_run, how, rows) in runs.items():
        made = trained(of_run, soft_labels[:rows], hidden[:rows], how)
        yield _scored(f"student {name}", None, task, made.predicted(task.texts("test")), made.seconds)
        memories = {"": rows} if name != "without" else {"": rows, ", memory grown": total}
        for grown, size in memories.items():
            start = time.monotonic()
            found = _by_free_keys(task, made, soft_labels[:size], hidden[:size])
            yield _scored(f"memory {name}{grown}", None, task, found, time.monotonic() - start)


def corrected_labels(task: Task, recipe: Recipe) -> Iterator[Row]:
    """Train a student on labels of which a fifth are wrong, then correct them in the memory only.

    The pool is chosen on the wrong validation labels, before and after, and the keys, which for want of a teacher are
    drawn to the labels, are fitted to the wrong ones: what is gained is gained by the memory's correction alone.

    Parameters
    ----------
    task : Task
        The task; its labels are the right ones.
    recipe : Recipe
        Of the students, which here learn from the gold labels alone.

    Yields
    ------
    dict
        ``way``, ``all`` (the task's metric on its test rows) and ``seconds``.
    """
    generator = np.random.default_rng(recipe.seed)
    noisy = replace(task, rows=DatasetDict({**task.rows}))
    for split in ("train", "validation"):
        noisy.rows[split] = _with_wrong_labels(task, split, generator)
    made = trained(noisy, None, None, recipe)
    classes = len(task.label_names)
    yield _scored("student of wrong labels", None, task, made.predicted(task.texts("test")), made.seconds)
    wrong = one_hot(noisy.labels("train"), classes)
    ways = {way: keys for way, keys in WAYS.items() if way in ("text key", "encoder key")}
    encoder = untuned_encoder(task, recipe)
    keyed = None
    for state, labelled in (("of wrong labels", noisy), ("corrected", task)):
        start = time.monotonic()
        soft = one_hot(labelled.labels("train"), classes)
        chosen, pools, nearest = _chosen(noisy, made, soft, wrong, encoder, ways)
        keyed = keyed or chosen
        queries = keyed.encode(task.texts("test"))
        memory = replace(chosen.memory, soft_labels=soft)
        seconds = time.monotonic() - start
        for way, pool in pools.items():
            found = answer(queries, memory, pool).predicted["answer"]
            yield _scored(f"memory {state}, {way}", None, task, found, seconds)
        found = answer(queries, memory, nearest).predicted["memory"]
        yield _scored(f"plain kNN {state}, untuned", None, task, found, seconds)
    again = trained(task, None, None, recipe)
    yield _scored("retrained on right labels", None, task, again.predicted(task.texts("test")), again.seconds)


def _chosen(
    task: Task,
    made: Trained,
    soft_labels: Floats,
    z: Floats,
    encoder: UntunedEncoder,
    ways: Mapping[str, tuple[str, ...]] = WAYS,
) -> tuple[Keyed, dict[str, Pool], Pool]:
    """Fit the keys to a task's train rows, and choose a pool for each way, and plain kNN, on its validation rows."""
    texts, held_out, labels = task.texts("train"), task.texts("validation"), task.labels("validation")
    memory = memory_of(task, np.arange(len(texts)), soft_labels, z)
    to_choose = Keyed.of(made, memory, texts, encoder, held_out)
    asked = to_choose.encode(held_out)
    pools = {
        way: replace(choose_pool(asked, labels, to_choose.memory, keys).pool, new_class_key=keys[-1])
        for way, keys in ways.items()
    }
    nearest = choose_linear(asked, labels, to_choose.memory, UNTUNED, task.metric, (1.0,))
    return Keyed.of(made, memory, texts, encoder), pools, nearest


def _by_grown_memory(
    task: Task,
    made: Trained,
    unseen: NDArray[np.integer],
    outputs: TeacherOutputs,
    encoder: UntunedEncoder,
    count: int,
    generator: np.random.Generator,
) -> Iterator[Row]:
    """Answer without a memory, then with one of all train texts, its pool fitted on some that the student never saw."""
    hidden, soft_labels = outputs.of("train")
    held_out = np.sort(generator.choice(unseen, min(POOL_ROWS, len(unseen) // 2), replace=False))
    others = np.setdiff1d(np.arange(len(hidden)), held_out)
    start = time.monotonic()
    texts = task.texts("train")
    assert made.projection is not None
    z = made.projection.project(hidden)
    asked_texts, other_texts = ([texts[row] for row in rows.tolist()] for rows in (held_out, others))
    part = UntunedEncoder(encoder.encoder, encoder.pooled[others])
    to_choose = Keyed.of(made, memory_of(task, others, soft_labels[others], z[others]), other_texts, part, asked_texts)
    whole = Keyed.of(made, memory_of(task, np.arange(len(texts)), soft_labels, z), texts, encoder)
    asked, queries = to_choose.encode(asked_texts), whole.encode(task.texts("test"))
    by_teacher = soft_labels[held_out].argmax(axis=1)
    seconds = time.monotonic() - start
    yield _scored("ReAugKD, no memory", count, task, queries.student_probabilities.argmax(axis=1), made.seconds)
    for way, keys in WAYS.items():
        pool = choose_pool(asked, by_teacher, to_choose.memory, keys).pool
        yield _scored(
            f"memory grown, {way}", count, task, answer(queries, whole.memory, pool).predicted["answer"], seconds
        )
    nearest = choose_linear(asked, by_teacher, to_choose.memory, UNTUNED, task.metric, (1.0,))
    found = answer(queries, whole.memory, nearest).predicted["memory"]
    yield _scored("plain kNN, untuned", count, task, found, seconds)


def _by_free_keys(task: Task, made: Trained, soft_labels: Floats, hidden: Floats) -> Labels:
    """Answer the test rows by a memory of the first taught texts, its pool chosen on the validation rows."""
    assert made.projection is not None
    texts, tokenizer, held_out = task.taught_texts[: len(hidden)], made.student.tokenizer, task.texts("validation")
    z, names = made.projection.project(hidden), np.asarray(task.label_names)
    rows = _table(texts, task.is_pair).assign(label=names[soft_labels.argmax(axis=1)])
    rows["id"] = [str(number) for number in range(len(rows))]
    memory = Memory(rows, task.label_names, soft_labels, z, {})

    def asked(keys: dict[str, Key], asked_texts: list[Text]) -> EncodedTexts:
        hidden_states, probabilities = made.student.encode(asked_texts)
        x = normalize(hidden_states)
        return EncodedTexts(
            asked_texts, x, probabilities, {name: key.embed(asked_texts, x) for name, key in keys.items()}
        )

    keys, to_choose = fit_keys(memory, texts, tokenizer, held_out=held_out)
    pool = choose_pool(asked(keys, held_out), task.labels("validation"), to_choose, list(keys)).pool
    keys, memory = fit_keys(memory, texts, tokenizer)
    return answer(asked(keys, task.texts("test")), memory, pool).predicted["answer"]


def _table(texts: Sequence[Text], is_pair: bool) -> pd.DataFrame:
    """Return texts as a table with ``text`` and, for pairs, ``text_pair``."""
    return pd.DataFrame(list(texts), columns=["text", "text_pair"]) if is_pair else pd.DataFrame({"text": list(texts)})


def _retrained(task: Task, soft_labels: Floats, recipe: Recipe) -> Row:
    """Train a KD student on all rows and score it."""
    again = trained(task, soft_labels, None, recipe)
    return _scored("retrained on all rows (KD)", None, task, again.predicted(task.texts("test")), again.seconds)


def _scored(way: str, count: int | None, task: Task, predicted: Labels, seconds: float) -> Row:
    score = METRICS[task.metric](task.labels("test"), predicted)
    return {"way": way, "rows_a_class": count, "all": score, "seconds": seconds}


def _relabelled(task: Task, order: list[int]) -> Task:
    """Put the classes into another order."""
    place = {number: position for position, number in enumerate(order)}
    rows = {split: _labelled(table, [place[label] for label in table["label"]]) for split, table in task.rows.items()}
    return replace(task, label_names=tuple(task.label_names[number] for number in order), rows=DatasetDict(rows))


def _drawn(labels: Labels, classes: range, count: int | None, generator: np.random.Generator) -> NDArray[np.integer]:
    """Draw so many rows of each class, or all of them."""
    chosen = []
    for number in classes:
        rows = np.flatnonzero(labels == number)
        chosen.append(rows if count is None else generator.choice(rows, min(count, len(rows)), replace=False))
    return np.concatenate(chosen)


def _with_wrong_labels(task: Task, split: str, generator: np.random.Generator) -> Dataset:
    """Give a fifth of a split's rows another label, each other one equally likely."""
    labels = task.labels(split)
    wrong = generator.random(len(labels)) < NOISE
    shift = generator.integers(1, len(task.label_names), len(labels))
    noisy = np.where(wrong, (labels + shift) % len(task.label_names), labels)
    return _labelled(task.rows[split], noisy.tolist())


def _labelled(rows: Dataset, labels: list[int]) -> Dataset:
    """Return the rows with these labels in the place of theirs."""
    return rows.remove_columns("label").add_column("label", labels)
