"""Edits of a memory as a small file, to add, relabel and remove rows without training; and its train set after them."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError, kind_of, quoted, read_as
from reaugkd.files import as_path, check_writable, read_json_lines, whole_file, whole_folder, write_csv
from reaugkd.method.mapped import changed_copy
from reaugkd.method.memory import LABELLED_BY, Memory, labelled_by_person
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.texts import check_label, check_text, check_whole, texts_of

KINDS = ("add", "relabel", "remove")
HEADING = "## Edited after training"
EDITED, ADDED = "edited", "added"
"""Column of the memory's rows: how a row was edited, empty where it was not. An added row stays ``added``."""


@dataclass(frozen=True)
class Edit:
    """One edit of a memory; validated when made.

    Parameters
    ----------
    edit : str
        ``add``, ``relabel`` or ``remove``.
    id : str
        Of the row; a new one where a row is added.
    label : str or None
        The gold class, which may be new; of an added row the teacher's answer if left out. Spaces around it go.
    text, text_pair : str or None
        Of an added row.
    """

    edit: str
    id: str
    label: str | None = None
    text: str | None = None
    text_pair: str | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not isinstance(value, str):
                raise ReAugKDError(f"An edit has the {name} {quoted(value)}, which is no text; put it in quotes.")
            check_whole(value or "", f"The {name} of an edit")
        check_label(self.label or "")
        # " metal" would be a class beside "metal".
        object.__setattr__(self, "label", (self.label or "").strip() or None)
        if self.edit not in KINDS:
            raise ReAugKDError(f"An edit is called {quoted(self.edit)}; it must be one of {', '.join(KINDS)}.")
        if not self.id:
            raise ReAugKDError("An edit names no row; give it an id.")
        if self.edit == "relabel" and not self.label:
            raise ReAugKDError(f"The edit of row {quoted(self.id)} names no label; give it one.")
        if self.edit == "add" and not (self.text or "").strip():
            raise ReAugKDError(f"The added row {quoted(self.id)} has no text; give it one.")

    def as_dict(self) -> dict[str, str]:
        """Return the parts that are given, by name, as a line of a patch file has them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


Patch = tuple[Edit, ...]
"""Edits, applied in their order; leave out the last to undo it."""


def read_patch(path: str | Path) -> Patch:
    """Read a patch from a file of JSON Lines, one edit a line.

    Parameters
    ----------
    path : str or Path
        The file; see :class:`Edit` for the keys of a line.

    Returns
    -------
    Patch
        The edits.

    Raises
    ------
    ReAugKDError
        If the file is missing, or a line is no edit.
    """
    return as_patch(read_json_lines(path), f" of {str(path)!r}")


def as_patch(given: Sequence[Mapping[str, Any]], source: str = "") -> Patch:
    """Make edits of mappings, as a file or a program gives them; an error names the edit and its source."""
    names, patch = [field.name for field in fields(Edit)], []
    for place, edit in enumerate(read_as(list[Any], given, "The patch"), start=1):
        if not isinstance(edit, Mapping):
            raise ReAugKDError(f"Edit {place}{source} is {quoted(edit)}; an edit is made of {', '.join(names)}.")
        if wrong := [name for name in edit if name not in names]:
            raise ReAugKDError(f"Edit {place}{source} has a {quoted(wrong[0])}; an edit is made of {', '.join(names)}.")
        try:
            patch.append(Edit(**{"edit": "", "id": "", **edit}))
        except ReAugKDError as error:
            raise ReAugKDError(f"Edit {place}{source}: {error}") from error
    return tuple(patch)


def write_patch(patch: Patch, path: str | Path) -> None:
    """Write a patch as JSON Lines, whole or not at all."""
    lines = [json.dumps(edit.as_dict(), ensure_ascii=False) for edit in patch]
    with whole_file(path) as writing:
        writing.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def additions(model: ReAugKDClassifier, rows: pd.DataFrame, patch: Patch = ()) -> Patch:
    """Turn a table of new rows into edits; each gets an id that neither the memory nor the patch before has."""
    taken = {*model.memory.rows["id"], *(edit.id for edit in patch)}
    free = (name for number in count(1) if (name := f"added-{number}") not in taken)
    names = ("label", "text", "text_pair")
    return tuple(
        Edit("add", next(free), **{name: row[name] for name in names if isinstance(row.get(name), str)})
        for row in rows.to_dict("records")
    )


def extended(model: ReAugKDClassifier, patch: Patch, edits: Sequence[Edit]) -> Patch:
    """Add edits to a patch as a person means them: a later edit of a row takes the place of an earlier one.

    An added row that is relabelled is added with that label, and one that is removed is not added. A row that gets back
    the label of the memory is not edited any more.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    patch : Patch
        What was edited before.
    edits : sequence of Edit
        Further edits.

    Returns
    -------
    Patch
        An edit a row at most, which :func:`apply_patch` takes.

    Raises
    ------
    ReAugKDError
        If none of the edits changes anything, or as :func:`check_patch` does.
    """
    rows = model.memory.rows[labelled_by_person(model.memory.rows)]
    labels, taken = dict(zip(rows["id"], rows["label"], strict=True)), dict[str, Edit]()
    for edit in (*patch, *edits):
        before = taken.pop(edit.id, None) if edit.edit == "remove" else taken.get(edit.id)
        if before is not None and before.edit == "add" and edit.edit != "add":
            if edit.edit == "relabel":
                taken[edit.id] = replace(before, label=edit.label)
        elif edit.edit == "relabel" and labels.get(edit.id) == edit.label:
            taken.pop(edit.id, None)
        else:
            taken[edit.id] = edit
    found = tuple(taken.values())
    if set(found) == set(patch) and edits:
        what = f"The row {quoted(edits[0].id)} is" if len(edits) == 1 else f"All {len(edits)} rows are"
        raise ReAugKDError(f"{what} so already; choose another label, or other rows.")
    check_patch(model, found)
    return found


def check_patch(model: ReAugKDClassifier, patch: Patch) -> None:
    """Raise what :func:`apply_patch` would raise, except for an empty memory; no network runs."""
    _Changes(model, patch)


def fitting(model: ReAugKDClassifier, patch: Patch) -> Patch:
    """Return those edits of a patch that can be applied to a model, each after those before it."""
    changes, taken = _Changes(model), []
    for edit in patch:
        with suppress(ReAugKDError):
            changes.take(edit)
            taken.append(edit)
    return tuple(taken)


class _Changes:
    """The rows of a model's memory after edits: new labels, removals and additions."""

    def __init__(self, model: ReAugKDClassifier, patch: Patch = ()) -> None:
        self.model = model
        self.labels: dict[str, str | None] = dict.fromkeys(model.memory.rows["id"], "")
        """The new label of each row that was there: "" where it stays, None where the row goes."""
        self.added: dict[str, Edit] = {}
        for number, edit in enumerate(read_as(tuple[Any, ...], patch, "The patch"), start=1):
            if not isinstance(edit, Edit):
                raise ReAugKDError(f"Edit {number} is {kind_of(edit)}; read a patch by read_patch or as_patch.")
            self.take(edit, number)

    def take(self, edit: Edit, number: int = 1) -> None:
        """Apply one more edit, or raise why that is impossible."""
        is_there = edit.id in self.added or self.labels.get(edit.id) is not None
        if is_there == (edit.edit == "add"):
            wrong = "adds a row that is there already" if is_there else f"{edit.edit}s a row that is not there"
            raise ReAugKDError(f"Edit {number} {wrong}, {quoted(edit.id)}; correct the patch or choose another model.")
        if edit.edit == "add":
            self._check_added(edit)
            self.added[edit.id] = edit
        elif edit.id not in self.added:
            self.labels[edit.id] = edit.label if edit.edit == "relabel" else None
        elif edit.edit == "relabel":
            self.added[edit.id] = replace(self.added[edit.id], label=edit.label)
        else:
            del self.added[edit.id]

    def _check_added(self, edit: Edit) -> None:
        names = ("first text", "second text") if self.model.settings.is_pair else ("text",)
        for name, text in zip(names, (edit.text, edit.text_pair), strict=False):
            check_text(text or "", f"The {name} of the added row {quoted(edit.id)}")
        if edit.label is None and self.model.teacher is None:
            raise ReAugKDError(
                f"The added row {quoted(edit.id)} has no label, and the teacher was not saved with the model; "
                "give it one."
            )


def apply_patch(model: ReAugKDClassifier, patch: Patch) -> ReAugKDClassifier:
    """Return a model with the edited memory; the given one stays as it is, and nothing is trained.

    An added row is keyed as a query is, so no teacher is needed. Its soft labels are the teacher's where the model has
    one that names the same class, else one-hot; those of a relabelled row are one-hot. A label that the model does not
    have becomes a new class, which the memory alone knows.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    patch : Patch
        The edits.

    Returns
    -------
    ReAugKDClassifier
        The edited model, with the pool and the measured figures of the model.

    Raises
    ------
    ReAugKDError
        As :func:`check_patch` does, and if no row is left.
    """
    changes, memories, known = _Changes(model, patch), model.memory, model.settings.label_names
    remaining = np.flatnonzero([changes.labels[name] is not None for name in memories.rows["id"]])
    added = pd.DataFrame(map(asdict, changes.added.values()), columns=["id", "label", "text", "text_pair"])
    texts = texts_of(added, model.settings.is_pair)
    encoded = model.encode(texts)
    said = model.teacher.encode(texts)[1] if model.teacher else np.zeros_like(encoded.student_probabilities)
    likeliest = said.argmax(axis=1)
    added["label"] = added["label"].fillna(pd.Series([known[number] for number in likeliest], dtype=object))
    relabelled = memories.rows["id"].iloc[remaining].map(changes.labels)
    is_relabelled = (relabelled != "").to_numpy()
    stays = len(remaining) == len(memories) and added.empty  # no row is copied then, and a key's index stays
    rows = _edited_rows(memories.rows if stays else memories.rows.iloc[remaining], relabelled, added)
    names = tuple(dict.fromkeys([*known, *relabelled[is_relabelled], *added["label"]]))
    gold = pd.Index(names).get_indexer(pd.Index(rows["label"]))

    def joined(part: NDArray[np.float32], more: NDArray[np.float32]) -> NDArray[np.float32]:
        return part if stays else np.concatenate([part[remaining], more])

    soft_labels = joined(memories.soft_labels, _widened(said, len(known)))
    # One-hot where a person gave a label that the teacher does not give.
    is_denied = (likeliest != gold[len(remaining) :]) | ~said.any(axis=1)
    is_sure, sure = np.concatenate([is_relabelled, is_denied]), np.eye(len(names), dtype=np.float32)
    changed = {row: sure[gold[row]] for row in np.flatnonzero(is_sure).tolist()}
    edited = Memory(
        rows,
        names,
        changed_copy(_widened(soft_labels, len(names)), changed),
        joined(memories.teacher_embeddings, encoded.embeddings),
        {name: joined(key, encoded.queries[name]) for name, key in memories.keys.items()},
    )
    counts = {"added": len(added), "relabelled": int(is_relabelled.sum()), "removed": len(memories) - len(remaining)}
    edits = {name: model.metrics.get("edits", {}).get(name, 0) + number for name, number in counts.items()}
    counted = ", ".join(f"{number:,} {kind}" for kind, number in edits.items())
    counted = f"Rows of the memory: {counted}. The figures above are from before.\n"
    return replace(
        model,
        settings=replace(model.settings, label_names=names),
        memory=edited,
        metrics=model.metrics | {"edits": edits},
        maps=model.maps and model.maps.of_rows(remaining, memories, encoded.embeddings),
        card=f"{model.card.split(HEADING)[0]}{HEADING}\n\n{counted}",
        epochs=model.epochs and model.epochs.of_rows(remaining),
    )


def _edited_rows(rows: pd.DataFrame, relabelled: "pd.Series[str]", added: pd.DataFrame) -> pd.DataFrame:
    """Return the remaining rows with their new labels, then the added ones; their other columns are missing."""
    is_relabelled = relabelled != ""
    rows = rows.assign(label=relabelled.where(is_relabelled, rows["label"]))
    before = rows[EDITED] if EDITED in rows.columns else ""
    # An added row stays "added": its key is the student's, whatever its label.
    rows[EDITED] = np.where(is_relabelled & (before != ADDED), "relabelled", before)
    if LABELLED_BY in rows.columns:  # a relabelled row has a person's label
        rows[LABELLED_BY] = rows[LABELLED_BY].mask(is_relabelled, "")
    if added.empty:
        return rows.reset_index(drop=True)
    added = added.assign(**{EDITED: ADDED})
    for name in rows.columns.difference(added.columns):
        added[name] = "" if pd.api.types.is_string_dtype(rows[name]) else np.nan
    return pd.concat([rows, added[rows.columns]], ignore_index=True)


def _widened(soft_labels: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """Return soft labels with zeros for the classes that came later; as they are, where none did."""
    more = classes - soft_labels.shape[1]
    return np.pad(soft_labels, ((0, 0), (0, more))) if more else soft_labels


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
