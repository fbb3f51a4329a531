"""A task: rows of text with labels, in a train, a validation and a test split."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from reaugkd.errors import ReAugKDError, kind_of, quoted, read_as, require
from reaugkd.measures.metrics import METRICS
from reaugkd.texts import Text, as_text, check_label, check_text, checked_table, have_siblings, label_text, texts_of

SPLITS = ("train", "validation", "test")
UNLABELLED = "unlabelled"  # the split, which a task may have, of texts that only the teacher labels
VALIDATION_SHARE = 0.1
FEWEST_VALIDATION = 50  # rows; fewer cannot show whether a memory helps, so the student answers alone
TEST_SHARE = 0.2
FEWEST_TO_HOLD_OUT = 3  # rows of a class: two stay in train
SPLIT_SEED = 0  # of its own: a teacher's saved outputs fit whatever the seed of a training
# Columns that a model's own tables add to a task's rows.
RESERVED = (
    *("teacher_embedding", "key_aligned", "key_text", "key_encoder", "soft_labels", "teacher_soft_labels"),
    *("edited", "labelled_by"),
)


@dataclass(frozen=True)
class Task:
    """A text-classification task, ready to train on.

    Parameters
    ----------
    name : str
        Name of the task, for people.
    label_names : tuple of str
        Names of the C classes; a row's ``label`` is an index into it.
    metric : str
        A key of :data:`reaugkd.measures.metrics.METRICS`.
    rows : DatasetDict
        The splits ``train``, ``validation`` and ``test``, each with the columns ``id``, ``text``, ``label`` and,
        for pairs, ``text_pair``, and further columns, by which maps can be coloured; those of :data:`RESERVED` names
        are called ``given_...``. There may be a split ``unlabelled``, without labels: see
        :func:`with_unlabelled`.

    Examples
    --------
    >>> task.label_names
    ('fruit', 'metal', 'weather')
    >>> len(task.texts("train")) == len(task.labels("train")) == len(task.table("train"))
    True
    """

    name: str
    label_names: tuple[str, ...]
    metric: str
    rows: DatasetDict

    @property
    def is_pair(self) -> bool:
        """Whether the rows are pairs of texts."""
        return "text_pair" in self.rows["train"].column_names

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that there are, in the order in which a teacher's outputs hold them."""
        return (*SPLITS, UNLABELLED) if UNLABELLED in self.rows else SPLITS

    @property
    def taught_splits(self) -> tuple[str, ...]:
        """The splits from which a student learns by soft labels, and which the memory holds."""
        return ("train", UNLABELLED) if UNLABELLED in self.rows else ("train",)

    @property
    def taught_texts(self) -> list[Text]:
        """The texts of :attr:`taught_splits`, the train texts first."""
        return [text for split in self.taught_splits for text in self.texts(split)]

    @property
    def all_texts(self) -> list[Text]:
        """The texts of all :attr:`splits`, in their order."""
        return [text for split in self.splits for text in self.texts(split)]

    @property
    def all_ids(self) -> list[tuple[str, str]]:
        """Split and id of each of :attr:`all_texts`."""
        return [(split, row_id) for split in self.splits for row_id in self.rows[split]["id"]]

    def texts(self, split: str) -> list[Text]:
        """Return the texts of a split; pairs as tuples."""
        return texts_of(self.rows[split].to_pandas(), self.is_pair)

    def table(self, split: str) -> pd.DataFrame:
        """Return the rows of a split that has labels, with the class's name as ``label``."""
        rows = self.rows[split].to_pandas()
        return rows.assign(label=[self.label_names[number] for number in rows["label"]])

    def held_out_table(self) -> pd.DataFrame:
        """Return the validation rows and then the test rows, as :meth:`table` does, with their ``split``."""
        return pd.concat([self.table(split).assign(split=split) for split in ("validation", "test")], ignore_index=True)

    def labels(self, split: str) -> NDArray[np.int64]:
        """Return the gold labels of a split, shape (N,), as indices into ``label_names``."""
        return np.asarray(self.rows[split]["label"], dtype=np.int64)

    def fingerprint(self) -> str:
        """Return a SHA-256 of ids, texts, splits and class names, by which saved teacher outputs are matched.

        Gold labels are left out: wrong labels may be planted in rows that a teacher has already seen clean.
        """
        digest = hashlib.sha256("\x1f".join(self.label_names).encode())
        for split in self.splits:
            for row_id, text in zip(self.rows[split]["id"], self.texts(split), strict=True):
                parts = (split, row_id, text) if isinstance(text, str) else (split, row_id, *text)
                digest.update("\x1f".join(parts).encode() + b"\x1e")
        return digest.hexdigest()


def make_task(
    name: str, tables: dict[str, pd.DataFrame], *, label_names: Sequence[str] | None = None, metric: str = "accuracy"
) -> Task:
    """Check tables of rows and make a task of them; hold rows out of train for the splits that are missing.

    A missing test split takes 20 % of the train rows and a missing validation split 10 %, both stratified by
    label. Where 10 % are fewer than 50 rows, it takes 50, unless they are more than a quarter of the train rows. A
    class whose share is less than a row gives one if two of its rows stay in train; a class of fewer than three rows
    gives none. The same rows are drawn each time.

    Parameters
    ----------
    name : str
        Name of the task.
    tables : dict of str to DataFrame
        ``train`` and optionally ``validation`` and ``test``; columns ``text``, ``label`` (a name; spaces around it are
        removed, and 1.0 is 1) and optionally ``id``, ``text_pair`` and others.
    label_names : sequence of str, optional
        Names of the classes in their order; those found in train, sorted, if left out.
    metric : str
        A key of :data:`reaugkd.measures.metrics.METRICS`.

    Returns
    -------
    Task
        The task.

    Raises
    ------
    ReAugKDError
        If there is no train table, a table has no column ``text`` or ``label``, a text is empty or enormous, a label is
        missing, fewer than two classes are in train, no class has three rows where rows must be held out, another split
        has a label that train never had, ``label_names`` names a class twice, or a column holds values of several
        kinds.
    """
    if read_as(str, metric, "metric") not in METRICS:
        raise ReAugKDError(f"There is no metric {quoted(metric)}; choose one of {', '.join(METRICS)}.")
    if not isinstance(tables, Mapping) or "train" not in tables:
        raise ReAugKDError("A task needs train rows; give a DataFrame by the name of each split.")
    columns = ("text", "label", *{"text_pair"}.intersection(getattr(tables["train"], "columns", ())))
    tables = {split: _checked(table, split, columns) for split, table in tables.items()}
    for split, table in tables.items():
        lacking = np.flatnonzero(table["label"].isna() | (table["label"] == ""))
        if len(lacking):
            raise ReAugKDError(f"The {split} row {lacking[0] + 1} has no label; fill it in or delete the row.")
    found = tables["train"]["label"].unique().tolist()
    check_label(max(found, key=len))
    if len(found) < 2:
        raise ReAugKDError(f"Every train row has the label {quoted(found[0])}; take rows of at least two classes.")
    names = _sorted_names(found) if label_names is None else _checked_names(label_names)
    for split, table in tables.items():
        if strange := min(set(table["label"]) - (set(found) & set(names)), default=""):
            raise ReAugKDError(
                f"The label {quoted(strange)} is in {split} but never in train; correct it or add train rows with it."
            )
    if metric == "accuracy_and_f1" and len(names) != 2:
        raise ReAugKDError(f"The metric {metric} is for two classes, this task has {len(names)}; use macro_f1.")
    _check_kinds(tables)
    for split, share, fewest in (("test", TEST_SHARE, 0), ("validation", VALIDATION_SHARE, FEWEST_VALIDATION)):
        if split not in tables:
            tables["train"], tables[split] = _hold_out(tables["train"], split, share, fewest)
    numbers = {name: number for number, name in enumerate(names)}
    numbered = {split: tables[split].assign(label=tables[split]["label"].map(numbers)) for split in SPLITS}
    rows = {split: Dataset.from_pandas(table, preserve_index=False) for split, table in numbered.items()}
    return Task(name=name, label_names=names, metric=metric, rows=DatasetDict(rows))


def check_task(task: Task) -> None:
    """Refuse what is no task, such as the table or the file that one is made of."""
    require(isinstance(task, Task), "The task", kind_of(task), "one that load_task, load_files or make_task gives")


def with_unlabelled(task: Task, table: pd.DataFrame) -> tuple[Task, int]:
    """Give a task texts without labels: the teacher's soft labels of them teach the student and fill the memory.

    Texts that stand word for word in another split are left out, and so are siblings of validation rows: otherwise the
    choices on validation rows would be made on texts that the student half knows.

    Parameters
    ----------
    task : Task
        The task.
    table : DataFrame
        ``text``, for pairs ``text_pair``, optionally ``id`` and others; a column ``label`` is ignored.

    Returns
    -------
    tuple of Task and int
        The task with the split ``unlabelled``, and how many rows were left out.

    Raises
    ------
    ReAugKDError
        If a text is empty or enormous, no row is left, an id is that of a train row, or a column holds values of
        another kind than there.
    """
    check_task(task)
    columns = ["text", "text_pair"] if task.is_pair else ["text"]
    table = _checked(table, UNLABELLED, columns, ["label"] if task.is_pair else ["label", "text_pair"])
    texts = texts_of(table, task.is_pair)
    known = {text for split in SPLITS for text in task.texts(split)}
    is_new = np.asarray([text not in known for text in texts], dtype=bool)
    is_new &= ~table.duplicated(columns).to_numpy() & ~have_siblings(texts, task.texts("validation"))
    table = table[is_new]
    if table.empty:
        raise ReAugKDError("Every unlabelled text stands in another split too; give texts that are new.")
    train = task.rows["train"].to_pandas()
    if twice := sorted(set(table["id"]) & set(train["id"])):  # the memory holds both
        raise ReAugKDError(f"The id {quoted(twice[0])} stands on a train row too; make ids unique or drop the column.")
    _check_kinds({"train": train.drop(columns="label"), UNLABELLED: table})
    rows = Dataset.from_pandas(table, preserve_index=False)
    return replace(task, rows=DatasetDict({**task.rows, UNLABELLED: rows})), int((~is_new).sum())


def _checked(table: Any, split: str, columns: Sequence[str], ignored: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table with plain index, ids, labels as text and no reserved column; refuse bad texts and ids."""
    require(split in (*SPLITS, UNLABELLED), "The split", quoted(split), f"one of {', '.join(SPLITS)}")
    table = checked_table(table, f"{split} table", columns).drop(columns=list(ignored), errors="ignore")
    given = {name: f"given_{name}" for name in RESERVED if name in table.columns}
    table = table.drop(columns=[name for name in given.values() if name in table.columns]).rename(columns=given)
    table = table.assign(id=row_ids(table, split))
    if len(twice := table["id"][table["id"].duplicated()]):
        raise ReAugKDError(
            f"The id {quoted(twice.iloc[0])} stands on two {split} rows; make the ids unique or drop the column."
        )
    if "label" in table.columns:
        table["label"] = table["label"].map(label_text, na_action="ignore")
    for column in table.columns.intersection(["text", "text_pair"]):
        for position, text in enumerate(table[column].astype(object).fillna(""), start=1):
            check_text(text, f"The {column} of {split} row {position}")
    return table


def row_ids(table: pd.DataFrame, split: str) -> list[str]:
    """Return the ids of rows as text: the column ``id``, or else each row's place, ``train-1`` and so on."""
    if "id" not in table.columns:
        return [f"{split}-{position}" for position in range(1, len(table) + 1)]
    ids = table["id"].map(as_text, na_action="ignore").astype(object).fillna("").tolist()
    if "" in ids:
        raise ReAugKDError(f"The {split} row {ids.index('') + 1} has no id; fill it in or drop the column.")
    return ids


def _check_kinds(tables: dict[str, pd.DataFrame]) -> None:
    """Refuse columns that Parquet cannot hold: the rows of all splits are saved with a model."""
    together = pd.concat(tables.values(), ignore_index=True)
    for column in together.columns:
        try:
            values = pa.table({"values": pa.Array.from_pandas(together[column])})
            pq.write_table(values.schema.empty_table(), pa.BufferOutputStream())  # its type tells
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise ReAugKDError(
                f"The column {quoted(str(column))} holds what no Parquet file can (mixed kinds, or lists of them); "
                "make its values of one kind, or leave it out."
            ) from error


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return class names in their order; refuse what has no order, and names that stand twice."""
    is_list = isinstance(names, Iterable) and not isinstance(names, str | Set | Mapping)
    found = tuple(map(label_text, names)) if is_list else ()
    if not found or len(set(found)) < len(found):
        raise ReAugKDError(f"label_names is {quoted(names)}; give a list that names each class once.")
    return found


def _sorted_names(names: Sequence[str]) -> tuple[str, ...]:
    """Sort by value where all names are numbers (so 10 comes after 9), else by letter."""
    try:
        return tuple(sorted(names, key=float))
    except ValueError:
        return tuple(sorted(names))


def _hold_out(train: pd.DataFrame, split: str, share: float, fewest: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split rows off train, stratified by label, as :func:`make_task` describes."""
    counts = train["label"].value_counts()
    is_rare = train["label"].map(counts) < FEWEST_TO_HOLD_OUT
    if is_rare.all():
        raise ReAugKDError(
            f"No label has three rows left in train, so no {split} rows can be held out; "
            f"add rows, or give {split} rows of their own."
        )
    share_is_enough = share * len(train) >= fewest
    rare, train = train[is_rare], train[~is_rare]
    least = 0 if share_is_enough or 4 * fewest > len(train) else fewest
    size = max(round(share * len(train)), train["label"].nunique(), least)
    rest, held_out = train_test_split(train, test_size=size, random_state=SPLIT_SEED, stratify=train["label"])
    counts, is_given = rest["label"].value_counts(), np.zeros(len(rest), dtype=bool)
    generator = np.random.default_rng(SPLIT_SEED)
    for label in sorted(set(counts.index[counts > 2]) - set(held_out["label"])):
        is_given[generator.choice(np.flatnonzero(rest["label"] == label))] = True
    return pd.concat([rest[~is_given], rare]).sort_index(), pd.concat([held_out, rest[is_given]]).sort_index()
