"""Edits of a memory as a small file: add, relabel, remove rows and classes without training, and replay it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reaugkd.classifier import ReAugKDClassifier
from reaugkd.epochs import TrainingEpochs
from reaugkd.errors import ReAugKDError
from reaugkd.maps import ProjectionMaps
from reaugkd.memory import LABELLED_BY, Memory
from reaugkd.texts import check_text, texts_of

KINDS = ("add", "relabel", "remove")
HEADING = "## Edited after training"
EDITED, ADDED = "edited", "added"
"""Column of the memory's rows that says how a row was edited, empty where it was not; what was added stays so."""


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
        The gold class, which may be new; of an added row the teacher's answer if left out. Space around it goes.
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
                raise ReAugKDError(f"An edit has the {name} {value!r}, which is no text; put it in quotes.")
        # Here, where a file and a hand alike make an edit: " metal" would be a class beside "metal".
        object.__setattr__(self, "label", (self.label or "").strip() or None)
        if self.edit not in KINDS:
            raise ReAugKDError(f"An edit is called {self.edit!r}; it must be one of {', '.join(KINDS)}.")
        if not self.id:
            raise ReAugKDError("An edit names no row; give it an id.")
        if self.edit == "relabel" and not self.label:
            raise ReAugKDError(f"The edit of row {self.id!r} names no label; give it one.")
        if self.edit == "add" and not (self.text or "").strip():
            raise ReAugKDError(f"The added row {self.id!r} has no text; give it one.")

    def as_dict(self) -> dict[str, str]:
        """Return the edit by the names of its parts, without those that it has not, as a line of a patch file."""
        return {name: value for name, value in asdict(self).items() if value is not None}


Patch = tuple[Edit, ...]
"""Edits, applied in their order; to undo the last is to leave it out."""


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
    if not Path(path).is_file():
        raise ReAugKDError(f"There is no file {str(path)!r}; name a patch.")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ReAugKDError(f"{str(path)!r} is not written in UTF-8; save it as a text in UTF-8.") from error
    edits = []
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines would cut texts at U+2028 and its like
        if line.strip():
            try:
                edits.append(Edit(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise ReAugKDError(f"Line {number} of {str(path)!r} is no edit ({error}); correct it.") from error
    return tuple(edits)


def write_patch(patch: Patch, path: str | Path) -> None:
    """Write a patch as JSON Lines, whole or not at all."""
    lines = [json.dumps(edit.as_dict(), ensure_ascii=False) for edit in patch]
    partial = Path(path).with_name(Path(path).name + ".partial")
    partial.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    partial.replace(path)


def additions(model: ReAugKDClassifier, rows: pd.DataFrame, patch: Patch = ()) -> Patch:
    """Turn a table of new rows into edits; each gets an id that neither the memory nor the patch has.

    Parameters
    ----------
    model : ReAugKDClassifier
        Whose memory shall have the rows.
    rows : DataFrame
        ``text``, for pairs ``text_pair``, and ``label``, which may be missing where the teacher was kept.
    patch : Patch
        Edits that come before.

    Returns
    -------
    Patch
        One edit a row.
    """
    taken = {*model.memory.rows["id"], *(edit.id for edit in patch)}
    edits: list[Edit] = []
    number = 1
    for row in rows.to_dict("records"):
        while f"added-{number}" in taken:
            number += 1
        taken.add(f"added-{number}")
        kept = {name: row[name] for name in ("label", "text", "text_pair") if isinstance(row.get(name), str)}
        edits.append(Edit("add", f"added-{number}", **kept))
    return tuple(edits)


def check_patch(model: ReAugKDClassifier, patch: Patch) -> None:
    """Raise what :func:`apply_patch` would raise, but for an emptied memory; no network runs.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    patch : Patch
        The edits.

    Raises
    ------
    ReAugKDError
        If an edit names a row that is not there, or adds one that is, or adds one whose text, or second text of a pair,
        is empty or enormous, or one without a label where the teacher was not kept.
    """
    _, added = _walked(model.memory.rows["id"].tolist(), patch)
    for edit in added:
        texts = {"text": edit.text}
        if model.parts.settings.is_pair:
            texts = {"first text": edit.text, "second text": edit.text_pair}
        for name, text in texts.items():
            check_text(text or "", f"The {name} of the added row {edit.id!r}")
    nameless = [edit.id for edit in added if edit.label is None]
    if model.parts.teacher is None and nameless:
        raise ReAugKDError(f"The added row {nameless[0]!r} has no label, and the teacher was not kept; give it one.")


def fitting(model: ReAugKDClassifier, patch: Patch) -> Patch:
    """Return those edits of a patch that a model can take, each after those before it; no network runs.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model, whose memory may be another than that for which the patch was made.
    patch : Patch
        The edits.

    Returns
    -------
    Patch
        All of them where :func:`check_patch` finds nothing wrong.
    """

    def extended(taken: Patch, further: Patch) -> Patch:
        try:
            check_patch(model, taken + further)
        except ReAugKDError:
            half = len(further) // 2  # halves: where few of many do not fit, few checks tell which
            return extended(extended(taken, further[:half]), further[half:]) if half else taken
        return taken + further

    return extended((), patch)


def apply_patch(model: ReAugKDClassifier, patch: Patch) -> ReAugKDClassifier:
    """Return a model with the edited memory; the given one stays as it is, and nothing is trained.

    An added row is keyed as a query is, so no teacher is needed. Its soft labels are the teacher's where the model
    keeps it and it names the same class, else 1 for the gold class; those of a relabelled row are 1 for its new class.
    A label that the model does not have becomes a new class, which the memory alone knows.

    Parameters
    ----------
    model : ReAugKDClassifier
        The model.
    patch : Patch
        The edits.

    Returns
    -------
    ReAugKDClassifier
        The edited model. Its pool is that of the model; its measured figures are from before.

    Raises
    ------
    ReAugKDError
        As :func:`check_patch` does, and if no row is left.
    """
    check_patch(model, patch)
    parts, memories = model.parts, model.memory
    labels, added = _walked(memories.rows["id"].tolist(), patch)
    kept = np.flatnonzero([labels[name] is not None for name in memories.rows["id"]])
    texts = texts_of(pd.DataFrame(map(asdict, added)), parts.settings.is_pair) if added else []
    encoded = model.encode(texts)
    embeddings, teacher = encoded.embeddings, parts.teacher
    said = teacher.encode(texts)[1] if teacher is not None and texts else np.zeros_like(encoded.student_probabilities)
    known = parts.settings.label_names
    added = [
        edit if edit.label else replace(edit, label=known[int(row.argmax())])
        for edit, row in zip(added, said, strict=True)
    ]
    new_labels = [label for label in labels.values() if label] + [str(edit.label) for edit in added]
    names = tuple(dict.fromkeys([*known, *new_labels]))
    edited = Memory(
        _edited_rows(memories.rows.iloc[kept], labels, added, parts.settings.is_pair),
        names,
        _edited_soft_labels(memories, kept, labels, added, said, names),
        np.concatenate([memories.teacher_embeddings[kept], embeddings]),
        {name: np.concatenate([key[kept], encoded.queries[name]]) for name, key in memories.keys.items()},
    )
    relabelled = sum(bool(label) for label in labels.values())
    counts = {"added": len(added), "relabelled": relabelled, "removed": len(memories) - len(kept)}
    before = parts.metrics.get("edits", {})
    metrics = parts.metrics | {"edits": {name: before.get(name, 0) + count for name, count in counts.items()}}
    return ReAugKDClassifier(
        replace(
            parts,
            settings=replace(parts.settings, label_names=names),
            memory=edited,
            metrics=metrics,
            maps=_edited_maps(parts.maps, memories, kept, embeddings),
            card=_edited_card(parts.card, metrics["edits"]),
            epochs=_edited_epochs(parts.epochs, kept),
        )
    )


def _edited_epochs(epochs: TrainingEpochs | None, kept: NDArray[np.integer]) -> TrainingEpochs | None:
    """Return what is left of the watched rows, None where nothing is."""
    left = None if epochs is None else epochs.of_rows(kept)
    return left if left is not None and len(left.rows) else None


def _walked(ids: list[str], patch: Iterable[Edit]) -> tuple[dict[str, str | None], list[Edit]]:
    """Go through the edits: each known row's new label ("" where it stays, None where it goes), and what is added."""
    labels: dict[str, str | None] = dict.fromkeys(ids, "")
    added: dict[str, Edit] = {}
    for number, edit in enumerate(patch, start=1):
        there = edit.id in added or labels.get(edit.id) is not None
        if there == (edit.edit == "add"):
            wrong = "adds a row that is there already" if there else f"{edit.edit}s a row that is not there"
            raise ReAugKDError(f"Edit {number} {wrong}, {edit.id!r}; correct the patch or choose another model.")
        if edit.edit == "add":
            added[edit.id] = edit
        elif edit.id in added:
            if edit.edit == "remove":
                del added[edit.id]
            else:
                added[edit.id] = replace(added[edit.id], label=edit.label)
        else:
            labels[edit.id] = edit.label if edit.edit == "relabel" else None
    return labels, list(added.values())


def _edited_rows(
    rows: pd.DataFrame, labels: Mapping[str, str | None], added: list[Edit], is_pair: bool
) -> pd.DataFrame:
    """Return the kept rows with their new labels, and the added ones; what nobody said of these is missing."""
    relabelled = rows["id"].map(labels)
    rows = rows.assign(label=relabelled.where(relabelled != "", rows["label"]))
    before = rows[EDITED] if EDITED in rows.columns else pd.Series("", index=rows.index)
    # That a row was added says whose its key is, and is not to be forgotten when it is relabelled.
    rows[EDITED] = np.where((relabelled != "") & (before != ADDED), "relabelled", before)
    if LABELLED_BY in rows.columns:  # who relabels a row has read it: its label is a person's from now on
        rows[LABELLED_BY] = np.where(relabelled != "", "", rows[LABELLED_BY])
    new = pd.DataFrame(map(asdict, added), columns=["id", "label", "text", "text_pair"]).assign(**{EDITED: ADDED})
    new = new if is_pair else new.drop(columns="text_pair")
    for name in rows.columns.difference(new.columns):
        new[name] = "" if pd.api.types.is_string_dtype(rows[name]) else np.nan
    return pd.concat([rows, new[list(rows.columns)]], ignore_index=True) if added else rows.reset_index(drop=True)


def _edited_soft_labels(
    memories: Memory,
    kept: NDArray[np.intp],
    labels: Mapping[str, str | None],
    added: list[Edit],
    said: NDArray[np.float32],
    names: tuple[str, ...],
) -> NDArray[np.float32]:
    soft_labels = np.pad(memories.soft_labels[kept], ((0, 0), (0, len(names) - memories.soft_labels.shape[1])))
    for place, name in enumerate(memories.rows["id"].iloc[kept]):
        if label := labels[name]:
            soft_labels[place] = _sure(names, label)
    new = np.pad(said, ((0, 0), (0, len(names) - said.shape[1])))
    for place, edit in enumerate(added):
        if not (new[place].any() and names[int(new[place].argmax())] == edit.label):
            new[place] = _sure(names, str(edit.label))
    return np.concatenate([soft_labels, new])


def _sure(names: tuple[str, ...], label: str) -> NDArray[np.float32]:
    """Return soft labels (C,) that are sure of one class."""
    return np.asarray([name == label for name in names], dtype=np.float32)


def _edited_maps(
    maps: ProjectionMaps | None, memories: Memory, kept: NDArray[np.intp], embeddings: NDArray[np.float32]
) -> ProjectionMaps | None:
    """Return the maps without the removed rows; an added row lies where a query of the same text would."""
    if maps is None:
        return None
    places = maps.place(embeddings, memories) if len(embeddings) else np.empty((0, 2, 2), dtype=np.float32)
    return ProjectionMaps(
        np.concatenate([maps.teacher_points[kept], places[:, 0]]),
        np.concatenate([maps.student_points[kept], places[:, 1]]),
        np.concatenate([maps.student_embeddings[kept], embeddings]),
    )


def _edited_card(card: str, edits: Mapping[str, Any]) -> str:
    """Say in the model card that the figures are from before."""
    counts = ", ".join(f"{count:,} {kind}" for kind, count in edits.items())
    return card.split(HEADING)[0] + f"{HEADING}\n\nRows of the memory: {counts}. The figures above are from before.\n"
