"""Where tasks come from: the shipped one, the hub, local files."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd

from reaugkd.data import SPLITS, Task, made_up_ids, make_task, with_unlabelled
from reaugkd.errors import ReAugKDError
from reaugkd.texts import MAX_CHARACTERS, as_text, label_text
from reaugkd.weights import hub_is_reachable

SHOPTALK = Path(__file__).parent / "shoptalk"
SHOPTALK_TEACHER_OUTPUTS = SHOPTALK / "teacher_outputs.parquet"

DRAW_SEED = 0
ROWS_TO_KEEP = 2  # of each class, where a draw of train rows leaves it with fewer than are needed
GLUE_REPOSITORY = "nyu-mll/glue"
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
_PANDAS_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    # Without quoting, as GLUE and most corpora write their TSV; a CSV is quoted as in RFC 4180.
    ".tsv": lambda path: _read_delimited(path, sep="\t", quoting=csv.QUOTE_NONE),
    ".csv": lambda path: _read_delimited(path),
    ".jsonl": lambda path: pd.read_json(path, lines=True, dtype=False, encoding="utf-8-sig"),
    ".parquet": pd.read_parquet,
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

    Nobody can mend the rows of a hub's data set: those without a label or a text are left out, texts over the limit
    are cut, and ids that repeat are replaced.

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
        A key of :data:`reaugkd.metrics.METRICS`; GLUE's own, or accuracy, if left out.
    unlabelled : str or Path, optional
        A table of texts without labels, as :func:`load_files` takes it.
    planted_errors : bool
        Plant shoptalk's 40 wrong labels in its train split, for exercises in error analysis.
    say : callable, optional
        Takes a sentence about what was left out or cut; standard error if left out.

    Returns
    -------
    Task
        Where the test labels are hidden, as GLUE's are, the validation split becomes the test split, and rows
        are held out of train for the choices.

    Raises
    ------
    ReAugKDError
        If the task is unknown, cannot be fetched, or lacks a column.
    """
    say = say or _on_standard_error
    if name == "shoptalk":
        columns = {"text": text_column or "text"}
        return _with_unlabelled_file(_load_shoptalk(planted_errors), unlabelled, columns, say)
    if planted_errors:
        raise ReAugKDError(f"Only shoptalk has planted errors, not {name!r}; leave the option out.")
    if "/" not in name:
        raise ReAugKDError(f"There is no task {name!r}; use shoptalk, glue/TASK, or OWNER/NAME of a hub data set.")
    if name.startswith("glue/"):
        glue_name = name.removeprefix("glue/")
        if glue_name not in GLUE:
            raise ReAugKDError(f"There is no GLUE task {glue_name!r}; choose one of {', '.join(GLUE)}.")
        text_column, text_pair_column, glue_metric = GLUE[glue_name]
        metric = metric or glue_metric
        repository, config = GLUE_REPOSITORY, glue_name
    else:
        repository, _, config = name.partition(":")
    tables, label_names = _hub_tables(repository, config or None, name, label_column)
    columns = {"text": _text_column(tables["train"], text_column, name), "label": label_column}
    if text_pair_column:
        columns["text_pair"] = text_pair_column
    tables = {split: _named_columns(table, columns, f"{name}, {split}") for split, table in tables.items()}
    tables = _mended(_shown_labels(tables, label_names), name, say)
    task = make_task(name, tables, label_names=label_names, metric=metric or "accuracy")
    return _with_unlabelled_file(task, unlabelled, columns, say)


def load_files(
    train: str | Path,
    test: str | Path | None = None,
    validation: str | Path | None = None,
    *,
    text_column: str = "text",
    text_pair_column: str | None = None,
    label_column: str = "label",
    metric: str = "accuracy",
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
        Names of the columns; ``text_pair_column`` for pairs of texts only.
    metric : str
        A key of :data:`reaugkd.metrics.METRICS`.
    positive_label : str, optional
        The class of two whose F1 counts; the last by letter or number if left out.
    train_rows : int, optional
        Draw so many train rows, with a seed of its own; all if left out. Where the draw by itself would make no
        task, for want of rows of a class, each class first gets two of its rows, as far as the number goes.
    unlabelled : str or Path, optional
        Texts without labels, by the same names of columns; see :func:`reaugkd.data.with_unlabelled`.
    say : callable, optional
        Takes a sentence about unlabelled rows that were left out; standard error if left out.

    Returns
    -------
    Task
        The task, named after the train file's stem. Rows keep the ids of their place in the whole file.

    Raises
    ------
    ReAugKDError
        If a file or column is missing, or the rows do not make a task.
    """
    columns = {"text": text_column, "label": label_column}
    if text_pair_column:
        columns["text_pair"] = text_pair_column
    paths = {split: path for split, path in zip(SPLITS, (train, validation, test), strict=True) if path is not None}
    tables = {split: _named_columns(read_table(path), columns, str(path)) for split, path in paths.items()}
    label_names = None if positive_label is None else _ordered_names(tables["train"], label_text(positive_label))
    if train_rows is not None:
        tables["train"] = _drawn_rows(tables, train_rows)
    task = make_task(Path(train).stem, tables, label_names=label_names, metric=metric)
    return _with_unlabelled_file(task, unlabelled, columns, say or _on_standard_error)


def _with_unlabelled_file(
    task: Task, path: str | Path | None, columns: dict[str, str], say: Callable[[str], object]
) -> Task:
    """Give a task the texts of a file that has no labels, or has some that do not count."""
    if path is None:
        return task
    table = read_table(path)
    label = columns.get("label")
    table = table.drop(columns=[label] if label in table.columns else [])
    texts = {name: column for name, column in columns.items() if name != "label"}
    task, left_out = with_unlabelled(task, _named_columns(table, texts, str(path)))
    if left_out:
        say(f"Left out {left_out:,} unlabelled texts that are known, or nearly, from another split.")
    return task


def _ordered_names(train: pd.DataFrame, positive_label: str) -> list[str]:
    """Put the positive class second, where the metrics of two classes look for it."""
    others = sorted(set(train["label"].dropna()) - {positive_label})
    if len(others) != 1 or positive_label not in set(train["label"]):
        raise ReAugKDError(
            f"The positive label {positive_label!r} must be one of two classes; "
            f"the train rows have {', '.join(sorted(set(train['label'].dropna())))}."
        )
    return [*others, positive_label]


def _drawn_rows(tables: dict[str, pd.DataFrame], rows: int) -> pd.DataFrame:
    train = tables["train"]
    if not 1 <= rows <= len(train):
        raise ReAugKDError(f"{rows:,} train rows cannot be drawn from {len(train):,}; ask for fewer, at least one.")
    if "id" not in train.columns:
        train = train.assign(id=made_up_ids(train, "train"))
    order = train.sample(frac=1, random_state=DRAW_SEED)
    if not _has_enough(order[:rows], tables):
        nth_of_class = order.groupby("label", dropna=False).cumcount().clip(upper=ROWS_TO_KEEP)
        order = order.iloc[np.argsort(nth_of_class, kind="stable")]
    return order[:rows].sort_index()


def _has_enough(drawn: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> bool:
    """Return whether drawn train rows make a task: with all labels of the other splits, and rows to hold out."""
    counts = drawn["label"].value_counts()
    fewest = 1 if len(tables) == len(SPLITS) else ROWS_TO_KEEP
    others = {label for split in tables.keys() - {"train"} for label in tables[split]["label"]}
    return len(counts) > 1 and counts.min() >= fewest and others <= set(counts.index)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table from a local file.

    Parameters
    ----------
    path : str or Path
        A ``.csv``, ``.tsv`` (tabs, no quoting), ``.jsonl`` or ``.parquet`` file.

    Returns
    -------
    DataFrame
        The rows.

    Raises
    ------
    ReAugKDError
        If the file is missing, of another kind, or cannot be parsed.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ReAugKDError(f"There is no file {str(path)!r}; check the path.")
    if path.suffix.lower() not in _PANDAS_READERS:
        kinds = ", ".join(_PANDAS_READERS)
        raise ReAugKDError(f"{path.name!r} is not a table that can be read; give one of {kinds}.")
    try:
        return _PANDAS_READERS[path.suffix.lower()](path)
    except (ValueError, OSError, UnicodeError) as error:  # pandas' and pyarrow's parsers raise subclasses of these
        reason = (str(error).splitlines() or ["no reason given"])[0].rstrip(".")
        raise ReAugKDError(
            f"{path.name!r} is not a valid {path.suffix[1:].upper()} file ({reason}); mend it."
        ) from error


def named_texts(path: str | Path, columns: dict[str, str]) -> pd.DataFrame:
    """Read a file's columns under this library's names.

    Parameters
    ----------
    path : str or Path
        A table as :func:`read_table` takes it.
    columns : dict of str to str
        From this library's name (``text``, ``text_pair``, ``label``) to the file's.

    Returns
    -------
    DataFrame
        The columns as text, and the file's others.

    Raises
    ------
    ReAugKDError
        If the file cannot be read or lacks a column.
    """
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
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ReAugKDError(
            f"The data set {name!r} could not be loaded ({reason}); check its name or the network."
        ) from error
    if "train" not in splits:
        raise ReAugKDError(f"The data set {name!r} has no train split, only {', '.join(splits)}; use another one.")
    found = {"train": splits["train"]}
    validation = next((splits[key] for key in ("validation", "validation_matched", "dev") if key in splits), None)
    test = splits.get("test")
    if test is None or _labels_hidden(test, label_column):
        validation, test = None, validation
    found |= {key: rows for key, rows in (("validation", validation), ("test", test)) if rows is not None}
    feature = splits["train"].features.get(label_column)
    label_names = feature.names if isinstance(feature, datasets.ClassLabel) else None
    return {split: rows.to_pandas() for split, rows in found.items()}, label_names


def _labels_hidden(rows: datasets.Dataset, label_column: str) -> bool:
    return label_column not in rows.column_names or all(label == -1 for label in rows[label_column])


def _shown_labels(tables: dict[str, pd.DataFrame], names: list[str] | None) -> dict[str, pd.DataFrame]:
    """Put class names in the place of ClassLabel's integers."""
    if names is None:
        return tables
    shown = {str(number): name for number, name in enumerate(names)}  # a hidden label, -1, becomes a missing one
    return {split: table.assign(label=table["label"].map(shown)) for split, table in tables.items()}


def _mended(tables: dict[str, pd.DataFrame], name: str, say: Callable[[str], object]) -> dict[str, pd.DataFrame]:
    """Make a data set that nobody here can mend one of whole rows, and tell how many were not."""
    mended, left_out, cut = {}, 0, 0
    for split, table in tables.items():
        if "id" not in table.columns or table["id"].astype(str).duplicated().any():
            table = table.assign(id=made_up_ids(table, split))
        columns = [column for column in ("text", "text_pair") if column in table.columns]
        is_blank = table[["label", *columns]].fillna("").apply(lambda values: values.str.strip() == "")
        whole = table[~is_blank.any(axis=1)]
        left_out += len(table) - len(whole)
        cut += int(whole[columns].apply(lambda values: values.str.len() > MAX_CHARACTERS).any(axis=1).sum())
        mended[split] = whole.assign(**{column: whole[column].str.slice(stop=MAX_CHARACTERS) for column in columns})
    if left_out:
        say(f"Left out {left_out:,} rows of {name} that lack a label or a text.")
    if cut:
        say(f"Cut the texts of {cut:,} rows of {name} to {MAX_CHARACTERS:,} characters.")
    return mended


def _on_standard_error(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


def _text_column(table: pd.DataFrame, wanted: str | None, name: str) -> str:
    if wanted:
        return wanted
    for column in ("text", "sentence"):
        if column in table.columns:
            return column
    raise ReAugKDError(
        f"{name!r} has no column text or sentence; name one of {', '.join(table.columns)} as text column."
    )


def _read_delimited(path: Path, **options: Any) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=str, keep_default_na=False, **options)
    if not isinstance(table.index, pd.RangeIndex):  # pandas would shift the columns without a word
        raise ValueError("its rows have more fields than its header")
    return table


def _named_columns(table: pd.DataFrame, columns: dict[str, str], source: str) -> pd.DataFrame:
    """Rename the columns to this library's names and make them text; a second text counts where it is asked for."""
    for name, column in columns.items():
        other = next(other for other, named in columns.items() if named == column)
        if other != name:
            raise ReAugKDError(f"The column {column!r} is named for both {other} and {name}; name another one.")
        if column not in table.columns:
            raise ReAugKDError(
                f"{source} has no column {column!r}; it has {', '.join(map(repr, map(str, table.columns)))}."
            )
    taken = [name for name in columns if name in table.columns and name not in columns.values()]
    table = table.drop(columns=taken).rename(columns={theirs: ours for ours, theirs in columns.items()})
    if "text_pair" not in columns:
        table = table.rename(columns={"text_pair": "given_text_pair"})
    for name, column in columns.items():
        if not all(pd.api.types.is_scalar(value) for value in table[name]):
            raise ReAugKDError(f"The column {column!r} of {source} holds lists or objects; give one value a row.")
        missing, written = table[name].isna(), label_text if name == "label" else as_text
        table[name] = [None if lacks else written(value) for lacks, value in zip(missing, table[name], strict=True)]
    return table
