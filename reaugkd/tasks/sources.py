"""Where tasks come from: the shipped one, the hub, local files."""

import csv
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow.parquet as pq

from reaugkd.errors import ReAugKDError, in_short, listed, quoted, read_as, reason, require
from reaugkd.files import explain_disk_errors, find_file, read_json_lines, read_text_file, without_quotes
from reaugkd.networks.weights import hub_is_reachable
from reaugkd.tasks.task import Task, make_task, row_ids, with_unlabelled
from reaugkd.texts import MAX_CHARACTERS, as_text, label_text, with_index_as_columns

SHOPTALK = Path(__file__).parent / "shoptalk"
SHOPTALK_TEACHER_OUTPUTS = SHOPTALK / "teacher_outputs.parquet"

# Columns and metric of each GLUE task (Wang et al. 2019, table 1); STS-B is a regression and so left out.
GLUE = {
    "cola": ("sentence", None, "matthews_correlation"),
    "sst2": ("sentence", None, "accuracy"),
    "mrpc": ("sentence1", "sentence2", "accuracy_and_f1"),
    "qqp": ("question1", "question2", "accuracy_and_f1"),
    "mnli": ("premise", "hypothesis", "accuracy"),
    "qnli": ("question", "sentence", "accuracy"),
    "rte": ("sentence1", "sentence2", "accuracy"),
    "wnli": ("sentence1", "sentence2", "accuracy"),
}


def load_task(
    name: str,
    *,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str = "label",
    metric: str | None = None,
    unlabelled: str | Path | None = None,
    planted_errors: bool = False,
    say: Callable[[str], object] | None = None,
) -> Task:
    """Load a task by name.

    Rows of a hub's data set cannot be corrected: those without a label or a text are left out, texts over the limit are
    cut, and ids that repeat are replaced.

    Parameters
    ----------
    name : str
        ``"shoptalk"``; ``"glue/TASK"``; or any data set on the hub (or a local folder laid out as one) as
        ``"owner/name"`` or ``"owner/name:config"``.
    text_column, text_pair_column : str, optional
        Columns of the text and, for pairs, of the second text. GLUE's are known; elsewhere ``text`` or
        ``sentence`` is looked for.
    label_column : str
        Column of the gold label.
    metric : str, optional
        A key of :data:`reaugkd.measures.metrics.METRICS`; GLUE's own, or accuracy, if left out.
    unlabelled : str or Path, optional
        A table of texts without labels, as :func:`load_files` takes it.
    planted_errors : bool
        Plant shoptalk's 40 wrong labels in its train split, for exercises in error analysis.
    say : callable, optional
        Called with a sentence about rows that were left out; writes to standard error if left out.

    Returns
    -------
    Task
        The task. Where the test labels are hidden, as GLUE's are, the validation split becomes the test split, and
        validation rows are held out of train.

    Raises
    ------
    ReAugKDError
        If the task is unknown, cannot be fetched, or lacks a column.

    Examples
    --------
    >>> {split: len(rows) for split, rows in load_task("shoptalk").rows.items()}
    {'train': 1000, 'validation': 200, 'test': 400}
    """
    say = say or _on_standard_error
    require(isinstance(name, str), "The task", quoted(name), "a name such as shoptalk")
    if name == "shoptalk":
        return _with_unlabelled_file(_load_shoptalk(planted_errors), unlabelled, {"text": text_column or "text"}, say)
    if planted_errors:
        raise ReAugKDError(f"Only shoptalk has planted errors, not {name!r}; leave the option out.")
    if "/" not in name:
        raise ReAugKDError(f"There is no task {quoted(name)}; use shoptalk, glue/TASK, or OWNER/NAME of the hub.")
    if name.startswith("glue/"):
        glue_name = name.removeprefix("glue/")
        if glue_name not in GLUE:
            raise ReAugKDError(f"There is no GLUE task {quoted(glue_name)}; choose one of {', '.join(GLUE)}.")
        text_column, text_pair_column, glue_metric = GLUE[glue_name]
        metric = metric or glue_metric
        repository, config = "nyu-mll/glue", glue_name
    else:
        repository, _, config = name.partition(":")
    tables, label_names = _hub_tables(repository, config or None, name, label_column)
    found = [column for column in ("text", "sentence") if column in tables["train"].columns]
    columns = _columns(text_column or [*found, "text"][0], text_pair_column, label_column)
    named = {split: _named_columns(table, columns, f"{name}, {split}") for split, table in tables.items()}
    tables = {split: _whole_rows(table, split) for split, table in named.items()}
    if left_out := sum(len(named[split]) - len(table) for split, table in tables.items()):
        say(f"Left out {left_out:,} rows of {name} that lack a label or a text.")
    task = make_task(name, tables, label_names=label_names, metric=metric or "accuracy")
    return _with_unlabelled_file(task, unlabelled, columns, say)


def load_files(
    train: str | Path,
    test: str | Path | None = None,
    validation: str | Path | None = None,
    *,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str = "label",
    metric: str | None = None,
    positive_label: str | None = None,
    train_rows: int | None = None,
    unlabelled: str | Path | None = None,
    say: Callable[[str], object] | None = None,
) -> Task:
    """Load a task from local CSV, TSV (tabs, no quoting), JSONL or Parquet files.

    Parameters
    ----------
    train : str or Path
        Rows to train on.
    test, validation : str or Path, optional
        The other splits; what is missing is held out of train, stratified by label.
    text_column, text_pair_column, label_column : str
        Names of the columns; the first is ``text`` if left out, ``text_pair_column`` is for pairs of texts only.
    metric : str, optional
        A key of :data:`reaugkd.measures.metrics.METRICS`; accuracy if left out.
    positive_label : str, optional
        The class of two whose F1 counts; the last by letter or number if left out.
    train_rows : int, optional
        Draw so many train rows, with a seed of its own; all if left out.
    unlabelled : str or Path, optional
        Texts without labels, by the same names of columns; see :func:`reaugkd.tasks.task.with_unlabelled`.
    say : callable, optional
        Called with a sentence about unlabelled rows that were left out; writes to standard error if left out.

    Returns
    -------
    Task
        The task, named after the train file's stem. A drawn row has the id of its place in the whole file.

    Raises
    ------
    ReAugKDError
        If a file or column is missing, or the rows do not make a task.

    Examples
    --------
    >>> task.table("train").to_csv(folder / "mine.csv", index=False)
    >>> load_files(folder / "mine.csv").name  # validation and test rows are held out of it
    'mine'
    """
    columns = _columns(text_column or "text", text_pair_column, label_column)
    others = {split: path for split, path in (("validation", validation), ("test", test)) if path is not None}
    tables = {split: named_texts(path, columns) for split, path in {"train": train, **others}.items()}
    rows = tables["train"]
    label_names = None if positive_label is None else _ordered_names(rows, label_text(positive_label))
    if (count := read_as(int | None, train_rows, "train_rows")) is not None:
        if not 1 <= count <= len(rows):
            raise ReAugKDError(f"{count:,} train rows cannot be drawn from {len(rows):,}; ask for 1 to all.")
        rows = rows.assign(id=row_ids(rows, "train"))
        tables["train"] = rows.sample(count, random_state=0).sort_index()
    task = make_task(Path(train).stem, tables, label_names=label_names, metric=metric or "accuracy")
    return _with_unlabelled_file(task, unlabelled, columns, say or _on_standard_error)


def _columns(text: str, text_pair: str | None, label: str) -> dict[str, str]:
    """Return a table's names of columns by this library's."""
    return {"text": text, "label": label} | ({"text_pair": text_pair} if text_pair else {})


def _with_unlabelled_file(
    task: Task, path: str | Path | None, columns: dict[str, str], say: Callable[[str], object]
) -> Task:
    """Give a task the texts of a file; its labels are ignored."""
    if path is None:
        return task
    texts = {name: column for name, column in columns.items() if name != "label"}
    table = read_table(path).drop(columns=columns.get("label", "label"), errors="ignore")
    task, left_out = with_unlabelled(task, _named_columns(table, texts, str(path)))
    if left_out:
        say(f"Left out {left_out:,} unlabelled texts that are known, or nearly, from another split.")
    return task


def _ordered_names(train: pd.DataFrame, wanted: str) -> list[str]:
    """Put the positive class second, where the metrics of two classes look for it."""
    names = sorted(set(train["label"].dropna()))
    if len(names) != 2 or wanted not in names:
        raise ReAugKDError(
            f"The positive label {quoted(wanted)} must be one of two classes; the train rows have {listed(names)}."
        )
    return sorted(names, key=wanted.__eq__)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table from a local file.

    Parameters
    ----------
    path : str or Path
        A ``.csv``, ``.tsv`` (tabs, no quoting), ``.jsonl`` or ``.parquet`` file, or a ``.txt`` file, of which each line
        that is not empty is a row of the column ``text``.

    Returns
    -------
    DataFrame
        The rows; an index that has a name, as pandas keeps one in Parquet, is a column.

    Raises
    ------
    ReAugKDError
        If the file is missing, of another kind, empty, or cannot be parsed.
    """
    path = find_file(path)
    if (kind := path.suffix.lower()) not in _READERS:
        raise ReAugKDError(f"{path.name!r} is not a table that can be read; give one of {', '.join(_READERS)}.")
    try:
        with explain_disk_errors(path):
            table = with_index_as_columns(_READERS[kind](path))
        if table.columns.empty:
            raise ValueError("it has no rows")
        return table
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parsers raise subclasses of these
        why = in_short(reason(error).rpartition("C error: ")[2])
        raise ReAugKDError(f"{path.name!r} is not a valid {kind[1:].upper()} file ({why}); correct it.") from error


def named_texts(path: str | Path, columns: dict[str, str]) -> pd.DataFrame:
    """Read a file's columns, by this library's names ``text``, ``text_pair`` and ``label``, as text."""
    return _named_columns(read_table(path), columns, str(path))


def _load_shoptalk(planted_errors: bool) -> Task:
    table = read_table(SHOPTALK / "shoptalk.csv")
    if planted_errors:
        wrong = read_table(SHOPTALK / "wrong_labels.csv").set_index("id")["wrong_label"]
        table["label"] = table["id"].map(wrong).fillna(table["label"])
    tables = {str(split): rows.drop(columns="split").reset_index(drop=True) for split, rows in table.groupby("split")}
    return make_task("shoptalk", tables)


def _hub_tables(
    repository: str, config: str | None, name: str, label_column: str
) -> tuple[dict[str, pd.DataFrame], list[str] | None]:
    """Fetch a data set's splits as tables, with the class names where its features state them."""
    if not Path(repository).is_dir() and not hub_is_reachable():
        datasets.config.HF_HUB_OFFLINE = True  # what is cached loads at once, what is not fails at once
    try:
        splits = datasets.load_dataset(repository, config)
    except Exception as error:  # the library raises kinds of its own, of the hub's and of HTTP's
        raise ReAugKDError(
            f"The data set {quoted(name)} could not be loaded ({reason(error)}); check its name or the network."
        ) from error
    if "train" not in splits:
        raise ReAugKDError(f"The data set {name!r} has no train split, only {listed(splits)}; use another one.")
    held_out = next((key for key in ("validation", "validation_matched", "dev") if key in splits), "")
    sources = {"train": "train", "validation": held_out, "test": "test"}
    tables = {split: splits[key].to_pandas() for split, key in sources.items() if key in splits}
    test = tables.pop("test", pd.DataFrame())
    if label_column in test.columns and (test[label_column] != -1).any():
        tables["test"] = test
    elif held_out:  # the test labels are hidden
        tables["test"] = tables.pop("validation")
    feature = splits["train"].features.get(label_column)
    if not isinstance(feature, datasets.ClassLabel):
        return tables, None
    names = dict(enumerate(feature.names))  # a hidden label, -1, becomes a missing one
    shown = {split: table.assign(**{label_column: table[label_column].map(names)}) for split, table in tables.items()}
    return shown, feature.names


def _whole_rows(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """Leave out rows without text or label, cut long texts, and replace ids that are missing or repeat."""
    if "id" not in table.columns or table["id"].isna().any() or table["id"].map(as_text).duplicated().any():
        table = table.assign(id=row_ids(table.drop(columns="id", errors="ignore"), split))
    texts = table.columns.intersection(["text", "text_pair"])
    is_blank = table[["label", *texts]].fillna("").apply(lambda values: values.str.strip() == "")
    whole = table[~is_blank.any(axis=1)]
    return whole.assign(**{column: whole[column].str.slice(stop=MAX_CHARACTERS) for column in texts})


def _on_standard_error(message: str) -> None:
    sys.stderr.write(message + "\n")


def _read_delimited(path: Path, **options: Any) -> pd.DataFrame:
    header = pd.read_csv(path, dtype=str, keep_default_na=False, header=None, nrows=1, **options)
    _check_each_once(header.iloc[0].tolist())  # pandas would call the second text.1
    table = pd.read_csv(path, dtype=str, keep_default_na=False, **options)
    if not isinstance(table.index, pd.RangeIndex):  # pandas would shift the columns without a word
        raise ValueError("its rows have more fields than its header")
    return table


def _read_objects(path: Path) -> pd.DataFrame:
    table = pd.DataFrame(read_json_lines(path), dtype=object)
    inferred = table.infer_objects()
    floats = inferred.select_dtypes("float").columns
    rounded = [name for name in floats if not ((inferred[name] == table[name]) | table[name].isna()).all()]
    return inferred.assign(**{name: table[name] for name in rounded})  # large ids beside a missing one stay exact


def _read_parquet(path: Path) -> pd.DataFrame:
    _check_each_once(pq.read_schema(path).names)
    return pd.read_parquet(path)


def _check_each_once(names: list[str]) -> None:
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"two columns are called {quoted(twice[0])}")


def _read_lines(path: Path) -> pd.DataFrame:
    lines = read_text_file(path).split("\n")  # splitlines would cut at U+2028
    return pd.DataFrame({"text": [line for line in lines if line.strip()]}, dtype=str)


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    # Without quoting, as GLUE and most corpora write their TSV; a CSV is quoted as in RFC 4180.
    ".tsv": partial(_read_delimited, sep="\t", quoting=csv.QUOTE_NONE),
    ".csv": lambda path: without_quotes(_read_delimited(path)),
    ".jsonl": _read_objects,
    ".parquet": _read_parquet,
    ".txt": _read_lines,
}


def _named_columns(table: pd.DataFrame, columns: dict[str, str], source: str) -> pd.DataFrame:
    """Rename the columns to this library's names and make them text; a second text counts only if it is named."""
    for column in (named := list(columns.values())):
        if named.count(column) > 1:
            raise ReAugKDError(
                f"The column {quoted(column)} is named twice; name another one for text, second text or label."
            )
        if column not in table.columns:
            raise ReAugKDError(f"{source} has no column {quoted(column)}; it has {listed(map(quoted, table.columns))}.")
    taken = [name for name in columns if name in table.columns and name not in columns.values()]
    table = table.drop(columns=taken).rename(columns={theirs: ours for ours, theirs in columns.items()})
    if "text_pair" not in columns:
        table = table.rename(columns={"text_pair": "given_text_pair"})
    for name, column in columns.items():
        if not all(pd.api.types.is_scalar(value) for value in table[name]):
            raise ReAugKDError(f"The column {quoted(column)} of {source} holds lists or objects; give one value a row.")
        table[name] = table[name].map(label_text if name == "label" else as_text, na_action="ignore")
    return table
