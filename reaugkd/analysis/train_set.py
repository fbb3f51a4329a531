"""The rows that a memory holds as a train set: to correct the data, and to train again."""

from pathlib import Path

import pandas as pd

from reaugkd.analysis.edits import EDITED
from reaugkd.errors import ReAugKDError
from reaugkd.files import as_path, check_writable, whole_file, whole_folder, write_csv
from reaugkd.method.memory import LABELLED_BY, labelled_by_person
from reaugkd.model.classifier import ReAugKDClassifier


def train_set(model: ReAugKDClassifier) -> pd.DataFrame:
    """Return the rows of a memory that have a person's label, as they are after its edits.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model; to get the rows after edits that are not saved, edit it first.

    Returns
    -------
    DataFrame
        ``id``, ``text``, for pairs ``text_pair``, ``label`` and further columns. Rows that only the teacher labelled
        are left out: they came without labels, and a training takes them so.

    Raises
    ------
    ReAugKDError
        If no row has a person's label.

    Examples
    --------
    >>> rows = train_set(model)
    >>> len(rows) == len(model.memory)
    True
    """
    rows = model.memory.rows
    rows = rows[labelled_by_person(rows)].drop(columns=[EDITED, LABELLED_BY], errors="ignore")
    if rows.empty:
        raise ReAugKDError("No row of the memory has a person's label; relabel or add some first.")
    return rows.reset_index(drop=True)


def write_train_set(model: ReAugKDClassifier, path: str | Path) -> Path:
    """Write the corrected train set.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    path : str or Path
        ``.csv`` or ``.parquet``: a file of the train rows. Without an ending: a folder that ``datasets.load_dataset``
        and :func:`reaugkd.tasks.sources.load_task` read, with the held-out rows that the model carries as splits.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    ReAugKDError
        If the path has another ending, the folder holds other things, or it cannot be written.
    """
    check_writable(path := as_path(path))
    tables = {"train": train_set(model)}
    if path.suffix in (".csv", ".parquet") and not path.is_dir():
        with whole_file(path) as writing:
            if path.suffix == ".csv":
                write_csv(tables["train"], writing)
            else:
                tables["train"].to_parquet(writing, index=False)
        return path
    if path.suffix or path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ReAugKDError(f"{str(path)!r} is no new folder, .csv or .parquet file; name another place.")
    if model.evaluation_rows is not None:
        held = model.evaluation_rows.drop(columns="teacher_soft_labels", errors="ignore")
        tables |= {str(split): rows.drop(columns="split") for split, rows in held.groupby("split")}
    with whole_folder(path) as new:
        for split, rows in tables.items():
            rows.to_parquet(new / f"{split}.parquet", index=False)
    return path
