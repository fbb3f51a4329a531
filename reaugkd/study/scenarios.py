"""What a memory can do without training: learn classes, replace labels, hold texts that only a teacher labelled.

Each scenario trains a student, then changes its memory and no network; keys and pool are fitted again.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from datasets import DatasetDict
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.measures.metrics import METRICS
from reaugkd.method.answers import EncodedTexts, answer
from reaugkd.method.choice import choose_linear, choose_pool
from reaugkd.method.distillation import Student
from reaugkd.method.keys import ALIGNED, ENCODER, TEXT, EncoderKey, Key, UntunedEncoder, fit_keys
from reaugkd.method.memory import Memory
from reaugkd.method.pool import Pool
from reaugkd.method.projection import ProjectionHead
from reaugkd.method.teacher import TeacherOutputs
from reaugkd.networks.encoders import TextClassifier, normalize
from reaugkd.networks.trainer import silent
from reaugkd.recipe import DEFAULT_ENCODER, Recipe
from reaugkd.tasks.task import SPLITS, Task
from reaugkd.texts import Labels, Text

NEW_CLASSES = 15
ROWS_A_NEW_CLASS = (5, 20, None)
ROWS_A_CLASS = (16, 64)
POOL_ROWS = 1_000
UNTUNED = "untuned"
PLAIN_KNN = "plain kNN, untuned"
FREE_KEYS = (ALIGNED, TEXT)
WAYS = {"aligned key": (ALIGNED,), "text key": (TEXT,), "free keys": FREE_KEYS, "encoder key": (*FREE_KEYS, ENCODER)}
"""By which keys a memory is searched; the last named decides about new classes."""
Row = dict[str, Any]
Floats = NDArray[np.float32]
Teach = Callable[[Task], TeacherOutputs]
"""Gives the calibrated outputs of a teacher of a task, which it trains if need be."""


@dataclass(frozen=True)
class Trained:
    """A trained student and its projection head.

    Parameters
    ----------
    student : TextClassifier
        The trained student.
    projection : ProjectionHead or None
        Maps the teacher's hidden states to the z that the student was aligned to.
    seconds : float
        Duration of the student's training.
    """

    student: TextClassifier
    projection: ProjectionHead | None
    seconds: float

    def predicted(self, texts: list[Text]) -> Labels:
        """Return the student's own labels of texts."""
        return self.student.encode(texts)[1].argmax(axis=1)

    def projected(self, hidden: Floats) -> Floats:
        """Return z of a teacher's hidden states."""
        assert self.projection is not None
        return self.projection.project(hidden)


@dataclass(frozen=True)
class Keyed:
    """A student's memory with every key, and ``untuned``, the last layer of an untuned encoder.

    Parameters
    ----------
    made : Trained
        The student.
    keys : dict of str to Key
        By name.
    memory : Memory
        The memory that they search.
    """

    made: Trained
    keys: dict[str, Key]
    memory: Memory

    @classmethod
    def of(
        cls, made: Trained, memory: Memory, encoder: UntunedEncoder | None = None, held_out: Sequence[Text] = ()
    ) -> "Keyed":
        """Fit the keys to a memory, apart from the siblings of held-out texts."""
        keys, keyed = fit_keys(memory, made.student.tokenizer, encoder=encoder, held_out=held_out)
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

    def pools(self, held_out: Sequence[Text], labels: Labels, metric: str) -> dict[str, Pool]:
        """Choose on held-out texts a pool for each of :data:`WAYS`, and how plain kNN searches ``untuned``."""
        encoded = self.encode(held_out)
        pools = {way: choose_pool(encoded, labels, self.memory, keys).pool for way, keys in WAYS.items()}
        return pools | {PLAIN_KNN: choose_linear(encoded, labels, self.memory, UNTUNED, metric, (1.0,))}

    def predicted(self, queries: EncodedTexts, pools: Mapping[str, Pool]) -> dict[str, Labels]:
        """Return the labels that each pool gives to texts."""
        found = {way: answer(queries, self.memory, pool) for way, pool in pools.items()}
        # Plain kNN has no student, so every class is known: all neighbours count alike.
        return {
            way: (one.retrieved[UNTUNED] if way == PLAIN_KNN else one.pooled).probabilities.argmax(axis=1)
            for way, one in found.items()
        }

    def grown(self, rows: Memory, encoded: EncodedTexts) -> "Keyed":
        """Return the memory with further rows, each keyed as a query is."""
        keys = {name: np.concatenate([key, encoded.queries[name]]) for name, key in self.memory.keys.items()}
        return replace(self, memory=rows.with_keys(keys))


def untuned_encoder(task: Task, recipe: Recipe) -> UntunedEncoder:
    """Run the recipe's untuned encoder, or the default one, over a task's train texts."""
    name, layers = recipe.encoder_key or DEFAULT_ENCODER, recipe.encoder_key_layers
    return UntunedEncoder.of(name, task.texts("train"), layers=layers, max_length=recipe.max_length)


def trained(task: Task, soft_labels: Floats, hidden: Floats | None, recipe: Recipe) -> Trained:
    """Train a student; without the teacher's hidden states (N, H_t) of the taught texts it is not aligned."""
    projection, z = None, np.zeros((len(soft_labels), 1), dtype=np.float32)
    start = time.monotonic()
    if hidden is None:
        recipe = recipe.updated(relational_weight=0.0)
    else:
        projection = ProjectionHead.fit(task, hidden[: len(task.rows["train"])], recipe, on_progress=silent)
        z = projection.project(hidden)
    student = Student.fit(task, Memory.of(task, soft_labels, z), recipe, on_progress=silent)
    return Trained(student, projection, time.monotonic() - start)


def part_of(task: Task, **rows: NDArray[np.integer]) -> Task:
    """Return the task with some rows of the named splits only."""
    chosen = {split: task.rows[split].select(numbers) for split, numbers in rows.items()}
    return replace(task, rows=DatasetDict({**task.rows, **chosen}))


def new_classes(task: Task, teach: Teach, recipe: Recipe, left_out: int = NEW_CLASSES) -> Iterator[Row]:
    """Leave classes out of all training, then add some of their rows to the memory only; yield one row for each way."""
    if len(task.label_names) < left_out + 2:
        raise ReAugKDError(
            f"To leave {left_out} classes out of training, a task needs {left_out + 2}; {task.name!r} has "
            f"{len(task.label_names)}: take the scenario new_classes out, or choose another task."
        )
    generator = np.random.default_rng(recipe.seed)
    newcomers = np.sort(generator.choice(len(task.label_names), left_out, replace=False))
    ordered = [number for number in range(len(task.label_names)) if number not in newcomers] + newcomers.tolist()
    task, known = _relabelled(task, ordered), len(ordered) - left_out
    labels, gold = task.labels("train"), task.labels("test")
    old = part_of(task, **{split: np.flatnonzero(task.labels(split) < known) for split in SPLITS})
    old = replace(old, label_names=task.label_names[:known])
    hidden, soft_labels = teach(old).of("train")
    made = trained(old, soft_labels, hidden, recipe)
    z, old_rows = made.projected(hidden), np.flatnonzero(labels < known)
    encoder, held_out, memory = untuned_encoder(old, recipe), old.texts("validation"), Memory.of(old, soft_labels, z)
    to_choose, keyed = Keyed.of(made, memory, encoder, held_out), Keyed.of(made, memory, encoder)
    pools = to_choose.pools(held_out, old.labels("validation"), old.metric)
    queries = keyed.encode(task.texts("test"))
    padded = np.pad(soft_labels, ((0, 0), (0, left_out)))

    def scored(predicted: Mapping[str, Labels], rows_a_class: int, seconds: float) -> Iterator[Row]:
        for way, numbers in predicted.items():
            right, named = numbers == gold, f"memory, {way}" if way in WAYS else way
            shares = {"old": right[gold < known].mean(), "new": right[gold >= known].mean(), "all": right.mean()}
            yield {"way": named, "rows_a_class": rows_a_class, "seconds": seconds} | shares

    yield from scored(keyed.predicted(queries, {way: pools[way] for way in WAYS}), 0, 0.0)
    for count in ROWS_A_NEW_CLASS:
        added = _drawn(labels, range(known, known + left_out), count, generator)
        shown = int(count or round(len(added) / left_out))
        start = time.monotonic()
        encoded = keyed.encode(part_of(task, train=added).texts("train"))
        soft = np.concatenate([padded, np.eye(len(ordered), dtype=np.float32)[labels[added]]])
        both = part_of(task, train=np.concatenate([old_rows, added]))
        grown = keyed.grown(Memory.of(both, soft, np.concatenate([z, encoded.embeddings])), encoded)
        seconds = time.monotonic() - start
        yield from scored(grown.predicted(queries, pools), shown, seconds)
        again = trained(both, soft, None, recipe)
        yield from scored({"retrained": again.predicted(task.texts("test"))}, shown, again.seconds)


def few_labels(task: Task, teach: Teach, recipe: Recipe) -> Iterator[Row]:
    """Train on a few rows a class; the memory also holds the others, by the teacher's labels."""
    generator = np.random.default_rng(recipe.seed)
    hidden, soft_labels = teach(task).of("train")
    labels, everything, texts = task.labels("train"), np.arange(len(hidden)), task.texts("test")
    encoder = untuned_encoder(task, recipe)
    for count in ROWS_A_CLASS:
        drawn = np.sort(_drawn(labels, range(len(task.label_names)), count, generator))
        few = part_of(task, train=drawn)
        baseline = trained(few, soft_labels[drawn], None, recipe)
        made = trained(few, soft_labels[drawn], hidden[drawn], recipe)
        yield _scored("KD", count, task, baseline.predicted(texts), baseline.seconds)
        # The pool is fitted on texts outside the few, by the teacher's labels: no gold label counts.
        unseen = np.setdiff1d(everything, drawn)
        held_out = np.sort(generator.choice(unseen, min(POOL_ROWS, len(unseen) // 2), replace=False))
        others = np.setdiff1d(everything, held_out)
        start, z = time.monotonic(), made.projected(hidden)
        rest, asked = part_of(task, train=others), part_of(task, train=held_out).texts("train")
        part = replace(encoder, pooled=encoder.pooled[others])
        to_choose = Keyed.of(made, Memory.of(rest, soft_labels[others], z[others]), part, asked)
        pools = to_choose.pools(asked, soft_labels[held_out].argmax(axis=1), task.metric)
        whole = Keyed.of(made, Memory.of(task, soft_labels, z), encoder)
        queries = whole.encode(texts)
        seconds = time.monotonic() - start
        yield _scored("ReAugKD, no memory", count, task, queries.student_probabilities.argmax(axis=1), made.seconds)
        for way, predicted in whole.predicted(queries, pools).items():
            yield _scored(f"memory grown, {way}" if way in WAYS else way, count, task, predicted, seconds)
    again = trained(task, soft_labels, None, recipe)  # by KD, one for all counts
    predicted = again.predicted(texts)
    for count in ROWS_A_CLASS:
        yield _scored("retrained on all rows (KD)", count, task, predicted, again.seconds)


def unlabelled_text(task: Task, teach: Teach, recipe: Recipe) -> Iterator[Row]:
    """Give texts that only the teacher labelled to the student, or to the memory alone; yield one row for each way."""
    outputs = teach(task)
    plain = replace(task, rows=DatasetDict({split: task.rows[split] for split in SPLITS}))
    epochs = recipe.for_task(task).epochs or 1.0
    longer = replace(recipe, epochs=epochs * len(task.taught_texts) / len(plain.taught_texts))
    runs = {"without": (plain, recipe), "without, equal steps": (plain, longer), "with unlabelled text": (task, recipe)}
    for name, (taught, how) in runs.items():
        hidden, soft_labels = outputs.of(*taught.taught_splits)
        made = trained(taught, soft_labels, hidden, how)
        yield _scored(f"student {name}", None, task, made.predicted(task.texts("test")), made.seconds)
        grown = {"memory without, grown": task} if name == "without" else {}
        for way, remembered in {f"memory {name}": taught, **grown}.items():
            start = time.monotonic()
            found = _by_free_keys(remembered, made, outputs)
            yield _scored(way, None, task, found, time.monotonic() - start)


def _by_free_keys(task: Task, made: Trained, outputs: TeacherOutputs) -> Labels:
    """Answer the test rows by a memory of the taught texts, its pool chosen on the validation rows."""
    hidden, soft_labels = outputs.of(*task.taught_splits)
    memory, held_out = Memory.of(task, soft_labels, made.projected(hidden)), task.texts("validation")
    to_choose, keyed = Keyed.of(made, memory, held_out=held_out), Keyed.of(made, memory)
    pool = choose_pool(to_choose.encode(held_out), task.labels("validation"), to_choose.memory, FREE_KEYS).pool
    return keyed.predicted(keyed.encode(task.texts("test")), {"": pool})[""]


def _scored(way: str, count: int | None, task: Task, predicted: Labels, seconds: float) -> Row:
    score = METRICS[task.metric](task.labels("test"), predicted)
    return {"way": way, "rows_a_class": count, "all": score, "seconds": seconds}


def _relabelled(task: Task, order: list[int]) -> Task:
    """Put the classes into another order."""
    place, rows = np.argsort(order), DatasetDict()
    for split, table in task.rows.items():
        rows[split] = table.remove_columns("label").add_column("label", place[task.labels(split)])
    return replace(task, label_names=tuple(task.label_names[number] for number in order), rows=rows)


def _drawn(labels: Labels, classes: range, count: int | None, generator: np.random.Generator) -> NDArray[np.integer]:
    """Draw so many rows of each class, or all of them."""
    every = [np.flatnonzero(labels == number) for number in classes]
    if count is not None:
        every = [generator.choice(rows, min(count, len(rows)), replace=False) for rows in every]
    return np.concatenate(every)
