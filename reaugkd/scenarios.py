"""What a memory can do without training: learn classes, stand in for labels, hold texts that only a teacher labelled.

Each scenario trains a student, then changes its memory and no network. What is fitted besides takes no training: the
keys in closed form, and the pool.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from reaugkd.answers import EncodedTexts, answer
from reaugkd.choice import choose_linear, choose_pool
from reaugkd.data import SPLITS, Task
from reaugkd.encoder_key import EncoderKey
from reaugkd.encoders import TextClassifier, normalize
from reaugkd.errors import ReAugKDError
from reaugkd.key_fitting import UntunedEncoder, fit_keys
from reaugkd.keys import ALIGNED, ENCODER, TEXT, Key
from reaugkd.memory import Memory
from reaugkd.metrics import METRICS
from reaugkd.pool import Pool
from reaugkd.projection_head import ProjectionHead
from reaugkd.recipe import Recipe, distill, fit_head, taught_memory
from reaugkd.teacher import TeacherOutputs
from reaugkd.texts import Labels, Text
from reaugkd.weights import DEFAULT_ENCODER, find_weights

NEW_CLASSES = 15
ROWS_A_NEW_CLASS = (5, 20, None)
ROWS_A_CLASS = (16, 64)
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
        encoder: UntunedEncoder | None = None,
        held_out: Sequence[Text] = (),
    ) -> "Keyed":
        """Fit the keys, of which one needs an encoder, to a memory, apart from the siblings of held-out texts."""
        keys, keyed = fit_keys(memory, texts, made.student.tokenizer, encoder=encoder, held_out=held_out)
        untuned = {} if encoder is None else {UNTUNED: encoder.pooled[:, -1]}
        return cls(made, keys, keyed.with_keys({**keyed.keys, **untuned}))

    def encode(self, texts: Sequence[Text]) -> EncodedTexts:
        """Run the student and the keys over texts."""
        free = {name: key for name, key in self.keys.items() if not isinstance(key, EncoderKey)}
        encoded, key = EncodedTexts.of(self.made.student, free, texts), self.keys.get(ENCODER)
        if isinstance(key, EncoderKey) and key.encoder is not None:  # its layers serve two keys
            pooled = key.encoder.encode_layers(texts)
            layers = {ENCODER: key.keys(pooled), UNTUNED: normalize(pooled[:, -1])}
            encoded = replace(encoded, queries={**encoded.queries, **layers})
        return encoded

    def pools(self, held_out: Sequence[Text], labels: Labels, metric: str) -> tuple[dict[str, Pool], Pool]:
        """Choose on held-out texts a pool for each of :data:`WAYS`, and how plain kNN searches ``untuned``."""
        asked = self.encode(held_out)
        pools = {way: choose_pool(asked, labels, self.memory, keys).pool for way, keys in WAYS.items()}
        return pools, choose_linear(asked, labels, self.memory, UNTUNED, metric, (1.0,))

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
    old = part_of(task, **{split: np.flatnonzero(task.labels(split) < known) for split in SPLITS})
    old = replace(old, label_names=task.label_names[:known])
    outputs = teach(old).calibrated(old)
    hidden, soft_labels = outputs.of("train")
    made = trained(old, soft_labels, hidden, recipe)
    assert made.projection is not None
    z, old_rows = made.projection.project(hidden), np.flatnonzero(labels < known)
    memory, texts, held_out = taught_memory(old, soft_labels, z), old.texts("train"), old.texts("validation")
    encoder = untuned_encoder(old, recipe)
    to_choose = Keyed.of(made, memory, texts, encoder, held_out)
    pools, nearest = to_choose.pools(held_out, old.labels("validation"), old.metric)
    keyed = Keyed.of(made, memory, texts, encoder)
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
        encoded = keyed.encode(part_of(task, train=added).texts("train"))
        soft, both = np.concatenate([padded, one_hot(labels[added], len(ordered))]), part_of(task, train=rows)
        grown = keyed.grown(taught_memory(both, soft, np.concatenate([z, encoded.embeddings])), encoded)
        seconds = time.monotonic() - start
        for way, pool in pools.items():
            found = answer(queries, grown.memory, pool).pooled.probabilities
            yield {"way": f"memory, {way}", "rows_a_class": shown, "seconds": seconds} | scored(found.argmax(axis=1))
        # No student, so no class that it does not know: all neighbours count alike.
        found = answer(queries, grown.memory, nearest).retrieved[UNTUNED].probabilities
        yield {"way": "plain kNN, untuned", "rows_a_class": shown, "seconds": seconds} | scored(found.argmax(axis=1))
        again = trained(both, soft, None, recipe)
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
    again = trained(task, soft_labels, None, recipe)
    predicted = again.predicted(task.texts("test"))
    for count in ROWS_A_CLASS:
        yield _scored("retrained on all rows (KD)", count, task, predicted, again.seconds)


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
    """
    plain = replace(task, rows=DatasetDict({split: task.rows[split] for split in SPLITS}))
    epochs = recipe.for_task(task).epochs or 1.0
    longer = replace(recipe, epochs=epochs * len(task.taught_texts) / len(plain.taught_texts))
    runs = {"without": (plain, recipe), "without, equal steps": (plain, longer), "with unlabelled text": (task, recipe)}
    for name, (taught, how) in runs.items():
        hidden, soft_labels = outputs.of(*taught.taught_splits)
        made = trained(taught, soft_labels, hidden, how)
        yield _scored(f"student {name}", None, task, made.predicted(task.texts("test")), made.seconds)
        memories = {f"memory {name}": taught}
        memories |= {"memory without, grown": task} if name == "without" else {}
        for way, remembered in memories.items():
            start = time.monotonic()
            found = _by_free_keys(remembered, made, outputs)
            yield _scored(way, None, task, found, time.monotonic() - start)


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
    assert made.projection is not None
    z = made.projection.project(hidden)
    rest, asked = part_of(task, train=others), part_of(task, train=held_out).texts("train")
    part = UntunedEncoder(encoder.encoder, encoder.pooled[others])
    to_choose = Keyed.of(made, taught_memory(rest, soft_labels[others], z[others]), rest.texts("train"), part, asked)
    pools, nearest = to_choose.pools(asked, soft_labels[held_out].argmax(axis=1), task.metric)
    whole = Keyed.of(made, taught_memory(task, soft_labels, z), task.texts("train"), encoder)
    queries = whole.encode(task.texts("test"))
    seconds = time.monotonic() - start
    yield _scored("ReAugKD, no memory", count, task, queries.student_probabilities.argmax(axis=1), made.seconds)
    for way, pool in pools.items():
        found = answer(queries, whole.memory, pool).predicted["answer"]
        yield _scored(f"memory grown, {way}", count, task, found, seconds)
    found = answer(queries, whole.memory, nearest).predicted["answer"]
    yield _scored("plain kNN, untuned", count, task, found, seconds)


def _by_free_keys(task: Task, made: Trained, outputs: TeacherOutputs) -> Labels:
    """Answer the test rows by a memory of the taught texts, its pool chosen on the validation rows."""
    assert made.projection is not None
    hidden, soft_labels = outputs.of(*task.taught_splits)
    memory, held_out = taught_memory(task, soft_labels, made.projection.project(hidden)), task.texts("validation")
    to_choose = Keyed.of(made, memory, task.taught_texts, held_out=held_out)
    asked, keys = to_choose.encode(held_out), WAYS["free keys"]
    pool = choose_pool(asked, task.labels("validation"), to_choose.memory, keys).pool
    keyed = Keyed.of(made, memory, task.taught_texts)
    return answer(keyed.encode(task.texts("test")), keyed.memory, pool).predicted["answer"]


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


def _labelled(rows: Dataset, labels: list[int]) -> Dataset:
    """Return the rows with these labels in the place of theirs."""
    return rows.remove_columns("label").add_column("label", labels)
