"""How a trained model lies on disk: the one place that knows, laid out as a Hugging Face repository."""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from reaugkd import files
from reaugkd.errors import ReAugKDError
from reaugkd.measures.calibration import PROBABILITY, Threshold
from reaugkd.method.keys import ALIGNED, ENCODER, ENCODER_FOLDER, ENCODER_KEY_FILE, TEXT, AlignedKey, EncoderKey, Key
from reaugkd.method.mapped import ABOUT_FILE, INDEX_SUFFIX, cells_for, read_memory
from reaugkd.method.memory import STANDS_FOR, Memory
from reaugkd.method.pool import Pool
from reaugkd.method.projection import ProjectionHead
from reaugkd.method.text_key import TextKey
from reaugkd.model.maps import ProjectionMaps, TrainingEpochs
from reaugkd.networks.encoders import TextClassifier, load_student
from reaugkd.networks.onnx import OnnxNetwork
from reaugkd.recipe import Recipe

if TYPE_CHECKING:
    from reaugkd.model.classifier import ReAugKDClassifier
    from reaugkd.tasks.task import Task

FORMAT_VERSION = 6
SETTINGS_FILE = "reaugkd.json"
METRICS_FILE = "metrics.json"
CARD_FILE = "README.md"
MEMORY_FILE = "memory.parquet"
MEMORY_FOLDER = "memory"  # in the place of that file, where the memory is large
KEYS_FOLDER = "keys"
EVALUATION_FILE = "evaluation.parquet"
PINNED_FILE = "pinned.parquet"
MAPS_FILE = "maps.parquet"
HELD_OUT_MAPS_FILE = "maps_held_out.parquet"
EPOCHS_FILE = "epochs.parquet"
ONNX_FILE = "student.onnx"
PROJECTION_FILE = "projection_head.safetensors"
TEACHER_FOLDER = "teacher"
MAPS_COLUMNS = ("teacher_point", "student_point", "student_embedding")  # of the held-out rows the first two
Z_COLUMN = "teacher_embedding"
KEY_COLUMN = "key_"  # begins the columns of the memory's file that hold what a key searches
SUMS_UP_TO = 10**9
"""Bytes of a model; of a larger one the sums are checked by `reaugkd verify`, and at load only those of its indexes."""
# Not in the list of files with their sums: the file of the list, which has its own, and what a person may edit.
_UNLISTED = {SETTINGS_FILE, CARD_FILE}


@dataclass(frozen=True)
class ModelSettings:
    """What a trained model was made of.

    Parameters
    ----------
    task : str
        Name of the task.
    metric : str
        Its metric, a key of :data:`reaugkd.measures.metrics.METRICS`.
    label_names : tuple of str
        Names of the C classes.
    is_pair : bool
        Whether it classifies pairs of texts.
    teacher : str
        Name of the teacher's pretrained encoder; empty where there was none, see :attr:`is_adopted`.
    student : str
        Name of the student's, or of the classifier that was adopted.
    student_layers : int
        Layers of the student.
    max_length : int
        Tokens after which a text is cut.
    training : dict
        Settings of the training, for the record.
    """

    task: str
    metric: str
    label_names: tuple[str, ...]
    is_pair: bool
    teacher: str
    student: str
    student_layers: int
    max_length: int
    training: dict[str, Any]

    @property
    def is_adopted(self) -> bool:
        """Whether the student is a classifier that was fine-tuned elsewhere: it had no teacher."""
        return not self.teacher

    @classmethod
    def of(cls, task: "Task", recipe: Recipe, student_layers: int) -> "ModelSettings":
        """Return the settings of a model that a recipe makes of a task; ``recipe.teacher`` names its teacher."""
        return cls(
            task=task.name,
            metric=task.metric,
            label_names=task.label_names,
            is_pair=task.is_pair,
            teacher=recipe.teacher,
            student=recipe.student,
            student_layers=student_layers,
            max_length=recipe.max_length,
            training=asdict(recipe),
        )


def write_model(model: "ReAugKDClassifier", folder: str | Path) -> None:
    """Write a model's folder: whole, or not at all; a good model that lies there stays until the new one is whole.

    Files that a person has put beside that model, such as notes, stay too, unless they are called as the new one's are.

    Parameters
    ----------
    model : ReAugKDClassifier
        What to write.
    folder : str or Path
        Where to; a folder that holds something else than a model is not touched.

    Raises
    ------
    ReAugKDError
        If the folder holds something else, or the disk is full.
    """
    folder = check_target(folder)
    with files.whole_folder(folder) as new:
        _write_files(model, new)
        _carry_over(folder, new)


def read_model(folder: str | Path) -> dict[str, Any]:
    """Read a model's folder, and check what is read.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    dict of str to Any
        The arguments of :class:`reaugkd.model.classifier.ReAugKDClassifier`.

    Raises
    ------
    ReAugKDError
        If it holds no model, is of another version, or a file is missing or damaged.
    """
    folder = files.as_path(folder)
    about = read_settings_file(folder)
    try:
        found = _read_files(folder, about)
    except ReAugKDError:
        if read_settings_file(folder) == about:
            raise
        return read_model(folder)
    # Else another model took its place meanwhile: what was read is of both.
    return found if read_settings_file(folder) == about else read_model(folder)


def _read_files(folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    with files.explain_disk_errors(folder):
        _check_files(folder, about["files"], every_sum=bytes_of(about["files"]) <= SUMS_UP_TO)

    def optional(name: str, read: Callable[[Path], Any]) -> Any:
        return read(folder / name) if name in about["files"] else None

    try:
        settings = ModelSettings(**about["model"] | {"label_names": tuple(about["model"]["label_names"])})
        load_encoder = partial(TextClassifier.load, max_length=settings.max_length)
        student = load_student(folder, max_length=settings.max_length)
        student.onnx = optional(ONNX_FILE, lambda path: OnnxNetwork(path.read_bytes()))
        is_mapped = f"{MEMORY_FOLDER}/{ABOUT_FILE}" in about["files"]
        memory = _read_memory(folder, settings.label_names, is_mapped=is_mapped)
        load_key: dict[str, Callable[[Path], Key]] = {
            ALIGNED: AlignedKey.load,
            TEXT: partial(TextKey.load, tokenizer=student.tokenizer),
            ENCODER: partial(EncoderKey.load, max_length=settings.max_length),
        }
        keys = {name: load_key[name](folder / KEYS_FOLDER) for name in memory.keys}
        pool = Pool(**about["pool"])
        threshold = Threshold(**about["threshold"]) if about.get("threshold") else None
        # The student may know fewer classes than the memory, to which some can be added alone.
        if student.classifier.out_features > len(settings.label_names) or pool.keys.keys() != keys.keys():
            raise ValueError("classes or keys of the parts differ")
        if threshold is not None and threshold.by not in (PROBABILITY, *keys):
            raise ValueError("the threshold is of a key that is not there")
        return {
            "settings": settings,
            "pool": pool,
            "student": student,
            "memory": memory,
            "keys": keys,
            "metrics": read_metrics(folder, about["files"]),
            "evaluation_rows": optional(EVALUATION_FILE, pd.read_parquet),
            "pinned": optional(PINNED_FILE, pd.read_parquet),
            "maps": optional(MAPS_FILE, _read_maps),
            "projection_head": optional(PROJECTION_FILE, _read_projection_head),
            "teacher": optional(f"{TEACHER_FOLDER}/config.json", lambda path: load_encoder(path.parent)),
            "card": read_card(folder),
            "epochs": optional(EPOCHS_FILE, TrainingEpochs.load),
            "threshold": threshold,
        }
    except (KeyError, TypeError, ValueError, OSError, pa.ArrowException, SafetensorError) as error:
        raise ReAugKDError(f"The model in {str(folder)!r} is damaged; train or copy it again.") from error


def verify_model(folder: str | Path) -> dict[str, Any]:
    """Compare every file of a model with the sum that was written with it, however large it is.

    Parameters
    ----------
    folder : str or Path
        The model's folder.

    Returns
    -------
    dict
        What was compared: name of each file to its ``bytes`` and ``sha256``.

    Raises
    ------
    ReAugKDError
        If the folder holds no model, or a file is missing or damaged.
    """
    folder = files.as_path(folder)
    listed: dict[str, Any] = read_settings_file(folder)["files"]
    with files.explain_disk_errors(folder):
        _check_files(folder, listed, every_sum=True)
    return listed


def sum_of(path: Path) -> dict[str, Any]:
    """Return what a model says of a file: its bytes, and its SHA-256."""
    return {"bytes": path.stat().st_size, "sha256": files.sha256_of(path)}


def bytes_of(listed: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the bytes of a model's files together."""
    return sum(file["bytes"] for file in listed.values())


def _check_files(folder: Path, listed: Mapping[str, Mapping[str, Any]], *, every_sum: bool) -> None:
    """Refuse a folder whose files are not those that were written; FAISS trusts an index, so its sum is always one."""
    for name, written in listed.items():
        path = folder / name
        if not path.is_file():
            raise ReAugKDError(f"The model in {str(folder)!r} lacks its file {name}; train or copy it again.")
        is_summed = every_sum or path.suffix == INDEX_SUFFIX
        if path.stat().st_size != written["bytes"] or (is_summed and files.sha256_of(path) != written["sha256"]):
            raise ReAugKDError(f"The file {name} of the model in {str(folder)!r} is damaged; train or copy it again.")


def read_settings_file(folder: str | Path) -> dict[str, Any]:
    """Read the settings of a model without loading it.

    Parameters
    ----------
    folder : str or Path
        The model's folder.

    Returns
    -------
    dict
        ``format_version``, ``model``, ``pool``, ``threshold`` and ``files``.

    Raises
    ------
    ReAugKDError
        If the folder holds no model, or one of another version.
    """
    path = files.restored(files.as_path(folder)) / SETTINGS_FILE
    if not path.is_file():
        raise ReAugKDError(f"{str(folder)!r} holds no trained model; make one with `reaugkd train --out {folder}`.")
    damaged = f"The file {SETTINGS_FILE} in {str(folder)!r} is damaged; train or copy the model again."
    try:
        with files.explain_disk_errors(path):
            about, is_whole = files.read_sealed(path)
        version = about["format_version"]
        if is_whole is False or (version == FORMAT_VERSION and not is_whole):  # formats before had no sum of their own
            raise ReAugKDError(damaged)
        if version != FORMAT_VERSION:
            newer = isinstance(version, int) and version > FORMAT_VERSION
            raise ReAugKDError(
                f"The model in {str(folder)!r} is of format {version}, this library reads {FORMAT_VERSION}; "
                f"{'update the library' if newer else 'train it again'}."
            )
        about["model"], about["pool"]
        listed = about["files"].items()
        about["files"] = {name: {"bytes": int(of["bytes"]), "sha256": str(of["sha256"])} for name, of in listed}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReAugKDError(damaged) from error
    return about


def check_target(folder: str | Path) -> Path:
    """Refuse to write a model where something else lies, or where nothing may be written.

    Parameters
    ----------
    folder : str or Path
        Where a model shall be written; ``~`` is the home folder.

    Returns
    -------
    Path
        The same folder, which may be missing still.

    Raises
    ------
    ReAugKDError
        If it is a file, has no name of its own, is a folder with other things than a model, or may not be written.
    """
    folder = files.restored(files.as_path(folder))
    if folder.name in ("", ".."):
        raise ReAugKDError(f"{str(folder)!r} gives the model's folder no name; name a folder.")
    if folder.is_file():
        raise ReAugKDError(f"{str(folder)!r} is a file; name another folder for the model.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / SETTINGS_FILE).is_file():
        raise ReAugKDError(f"The folder {str(folder)!r} holds other things than a model; name another one.")
    files.check_writable(folder)
    return folder


def _write_files(model: "ReAugKDClassifier", folder: Path) -> None:
    known = model.settings.label_names[: model.student.classifier.out_features]
    model.student.encoder.config.id2label = dict(enumerate(known))
    model.student.encoder.config.label2id = {name: number for number, name in enumerate(known)}
    model.student.save(folder)
    if model.student.onnx is not None:
        (folder / ONNX_FILE).write_bytes(model.student.onnx.content)
    if model.teacher is not None:
        model.teacher.save(folder / TEACHER_FOLDER)
    if model.projection_head is not None:
        save_file(model.projection_head.state_dict(), folder / PROJECTION_FILE)
    _write_memory(model.memory, model.keys, folder)
    for name, rows in {EVALUATION_FILE: model.evaluation_rows, PINNED_FILE: model.pinned}.items():
        if rows is not None:
            pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), folder / name)
    if model.maps is not None:
        _write_maps(model.maps, folder)
    if model.epochs is not None:
        model.epochs.save(folder / EPOCHS_FILE)
    (folder / METRICS_FILE).write_text(json.dumps(model.metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / CARD_FILE).write_text(model.card, encoding="utf-8")
    names = sorted(str(path.relative_to(folder).as_posix()) for path in folder.rglob("*") if path.is_file())
    about = {
        "format_version": FORMAT_VERSION,
        "model": asdict(model.settings),
        "pool": asdict(model.pool),
        "threshold": None if model.threshold is None else asdict(model.threshold),
        "files": {name: sum_of(folder / name) for name in names if name not in _UNLISTED},
    }
    files.write_sealed(about, folder / SETTINGS_FILE)


def _carry_over(old: Path, new: Path) -> None:
    """Copy what is not of the old model, by its own list of files, into the new one's folder."""
    try:
        own = {*_UNLISTED, *read_settings_file(old)["files"]}
    except ReAugKDError:  # no model, or one that cannot tell its files from others: nothing is lost
        own = set()
    for path in sorted(old.rglob("*")):
        name = path.relative_to(old)
        copy = new / name
        if (path.is_file() or path.is_symlink()) and name.as_posix() not in own and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy, follow_symlinks=False)


def memory_bytes(memory: Memory, keys: Mapping[str, Key]) -> int:
    """Return how many bytes a memory and its keys take on disk; an untuned encoder's network is not counted."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_memory(memory, keys, folder)
        network = [path for path in (folder / KEYS_FOLDER / ENCODER_FOLDER).rglob("*") if path.name != ENCODER_KEY_FILE]
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path not in network)


def _write_memory(memory: Memory, keys: Mapping[str, Key], folder: Path) -> None:
    """Write a memory and its keys: as one file, or as a folder that can be mapped, where it is large.

    A condensed one is written as float16, without z, which the aligned key gives back.
    """
    (folder / KEYS_FOLDER).mkdir()
    for key in keys.values():
        key.save(folder / KEYS_FOLDER)
    if memory.is_mapped or cells_for(len(memory)):
        Memory.build([memory], folder / MEMORY_FOLDER)
        return
    pq.write_table(memory_table(memory), folder / MEMORY_FILE)


def memory_table(memory: Memory) -> pa.Table:
    """Return a memory as one table: its rows, and a column each for z, the soft labels and what each key searches."""
    table = pa.Table.from_pandas(memory.rows, preserve_index=False)
    matrices = {KEY_COLUMN + name: of_rows for name, of_rows in memory.keys.items()}
    matrices["soft_labels"] = memory.soft_labels
    if STANDS_FOR in memory.rows.columns:
        matrices = {name: matrix.astype(np.float16) for name, matrix in matrices.items()}
    else:
        matrices = {Z_COLUMN: memory.teacher_embeddings, **matrices}
    for name, matrix in matrices.items():
        table = table.append_column(name, files.matrix_column(matrix))
    return table


def _read_memory(folder: Path, classes: tuple[str, ...], *, is_mapped: bool) -> Memory:
    if is_mapped:  # the sums of its files were checked with all others
        return Memory(**read_memory(folder / MEMORY_FOLDER, check=False))
    table = pq.read_table(folder / MEMORY_FILE)
    if Z_COLUMN not in table.column_names:
        z = _floats(table[KEY_COLUMN + ALIGNED]) @ AlignedKey.load(folder / KEYS_FOLDER).axes.T
        table = table.append_column(Z_COLUMN, files.matrix_column(z))
    return memory_of_table(table, classes)


def memory_of_table(table: pa.Table, classes: tuple[str, ...]) -> Memory:
    """Return the memory that :func:`memory_table` made a table of."""
    columns = [name for name in table.column_names if name.startswith(KEY_COLUMN)]
    keys = {name.removeprefix(KEY_COLUMN): _floats(table[name]) for name in columns}
    rows = table.drop_columns([Z_COLUMN, "soft_labels", *columns]).to_pandas()
    soft_labels = _floats(table["soft_labels"])
    if soft_labels.shape[1] != len(classes):
        raise ValueError(f"{soft_labels.shape[1]} soft labels a row, but {len(classes)} classes")
    return Memory(rows, classes, soft_labels, _floats(table[Z_COLUMN]), keys)


def _write_maps(maps: ProjectionMaps, folder: Path) -> None:
    parts = {MAPS_FILE: [*maps.points.swapaxes(0, 1), maps.student_embeddings.astype(np.float16)]}
    if maps.held_out is not None:
        parts[HELD_OUT_MAPS_FILE] = [*maps.held_out.swapaxes(0, 1)]
    for name, of_file in parts.items():
        columns = dict(zip(MAPS_COLUMNS, map(files.matrix_column, of_file), strict=False))
        pq.write_table(pa.table(columns), folder / name)


def _read_maps(path: Path) -> ProjectionMaps:
    table, held = pq.read_table(path), path.with_name(HELD_OUT_MAPS_FILE)

    def points(of: pa.Table) -> NDArray[np.float32]:
        return np.stack([_floats(of[name]) for name in MAPS_COLUMNS[:2]], axis=1)

    places = points(pq.read_table(held)) if held.is_file() else None
    return ProjectionMaps(points(table), _floats(table[MAPS_COLUMNS[2]]), places)


def _read_projection_head(path: Path) -> ProjectionHead:
    state = load_file(path)
    head = ProjectionHead(*reversed(state["linear.weight"].shape))
    head.load_state_dict(state)
    return head.eval()


def _floats(column: pa.ChunkedArray) -> NDArray[np.float32]:
    return files.column_matrix(column).astype(np.float32)


def read_card(folder: Path) -> str:
    """Return the card of a model, which a person may edit or delete; a byte that is no UTF-8 is shown as �."""
    return (folder / CARD_FILE).read_text(encoding="utf-8", errors="replace") if (folder / CARD_FILE).is_file() else ""


def read_metrics(folder: Path, listed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of a model, whose file is checked first."""
    _check_files(folder, {METRICS_FILE: listed[METRICS_FILE]}, every_sum=True)
    metrics: dict[str, Any] = json.loads((folder / METRICS_FILE).read_bytes())
    return metrics
