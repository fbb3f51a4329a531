"""A large memory on disk, written in a stream of batches and mapped when it is read; and how its nearest are found.

Mapped means that a file's bytes are read where they are asked for: to load a memory reads neither texts nor numbers
(only their SHA-256 sums read each file once), and an answer reads the cells of the index that it searches and the soft
labels of its neighbours.

Few memories are searched exactly, many by cells of an index (IVF). A key's numbers are few, and a class is nearly a
point, so that a coarse code cannot tell its memories apart: one bit a number finds 0.7 of the 16 nearest of a million
memories of banking77 even where the nearest 128 are compared again. The cells therefore hold float16; those of a very
large index hold the difference from their centre in eight bits a number, and what they find is compared again by the
key itself. How well and how fast they answer is measured by ``tests/benchmarks/memory_scale.py``.
"""

import mmap
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from math import ceil, log2, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from reaugkd.errors import ReAugKDError
from reaugkd.files import check_writable, read_sealed, restored, sha256_of, whole_folder, write_sealed

if TYPE_CHECKING:
    from reaugkd.method.memory import Memory

ROWS_FILE = "rows.arrow"
ABOUT_FILE = "memory.json"
SOFT_LABELS, TEACHER_EMBEDDINGS, KEY = "soft_labels", "teacher_embeddings", "key_"
INDEX_SUFFIX = ".faiss"
EXACT_UP_TO = 100_000
"""Memories; of more, exact search costs more than the student."""
PROBES, ROWS_READ, CELLS_A_PROBE = 8, 8_000, 256
"""A search reads so many cells at least; more where they hold fewer rows than these, or where there are many cells."""
TRAINED_ON = 64  # rows a cell: k-means takes no more
LARGE = 10**9
"""Bytes. Cells of float16 that would take more are halved; rows that are read of a larger file do not stay resident."""
COMPARED = 64  # rows, at least, that a halved index names; a class has many that are nearly as near
LANES = 16  # FAISS reads a row of float16 sixteen numbers at a time; other widths take twenty times longer
Found = tuple[NDArray[np.float32], NDArray[np.int64]]  # cosines (N, k), the highest first, and row numbers (N, k)
BLOCK = 2**16  # rows at a time: what lies on disk is never in memory as a whole


def cells_for(rows: int) -> int:
    """Return how many cells an index of so many rows has: the power of two nearest to their root; none up to 100,000.

    Parameters
    ----------
    rows : int
        M.

    Returns
    -------
    int
        0 where the search is exact.
    """
    return 0 if rows <= EXACT_UP_TO else 2 ** round(log2(sqrt(rows)))


def build_index(vectors: NDArray[np.floating], path: Path, cells: int) -> None:
    """Sort vectors into cells by k-means, and write the index; in memory are the index and one block of rows.

    Parameters
    ----------
    vectors : (M, w) float
        Of length 1; they may lie on disk.
    path : Path
        The file to write.
    cells : int
        How many, at most M.
    """
    width = vectors.shape[1] + -vectors.shape[1] % LANES
    is_halved = 2 * width * len(vectors) > LARGE
    kind = "SQ8" if is_halved else "SQfp16"
    index: Any = faiss.index_factory(width, f"IVF{cells},{kind}", faiss.METRIC_INNER_PRODUCT)
    rows = min(len(vectors), TRAINED_ON * cells)
    drawn = np.sort(np.random.default_rng(0).choice(len(vectors), rows, replace=False))
    index.by_residual = is_halved  # in float16 the key is stored to the bit
    index.cp.min_points_per_centroid = 1  # no warning where a person asks for many cells
    index.train(_widened(vectors[drawn], width))
    for start in range(0, len(vectors), BLOCK):
        index.add(_widened(vectors[start : start + BLOCK], width))
    index.nprobe = min(cells, max(PROBES, cells // CELLS_A_PROBE, ceil(ROWS_READ * cells / len(vectors))))
    faiss.write_index(index, str(path))


def open_index(path: Path) -> Any:
    """Open an index of :func:`build_index`, an IndexIVF; its cells stay on disk until a search reads them."""
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def search_index(index: faiss.IndexIVF, vectors: NDArray[np.floating], queries: NDArray[np.float32], k: int) -> Found:
    """Find the k nearest rows of the cells that are nearest to each query.

    Parameters
    ----------
    index : IndexIVF
        By :func:`open_index`.
    vectors : (M, w) float
        What it is of; they may lie on disk.
    queries : (N, w) float32
        Of length 1.
    k : int
        How many.

    Returns
    -------
    tuple of ndarray
        Cosines (N, k) float32, the highest first, and row numbers (N, k) int64; -1 where the cells hold fewer.
    """
    if not index.by_residual:
        return index.search(_widened(queries, index.d), k)
    similarities, numbers = index.search(_widened(queries, index.d), max(k + k // 2, COMPARED))
    exact = np.einsum("nd,nkd->nk", queries, np.asarray(vectors[numbers], dtype=np.float32))
    return nearest_first(np.where(numbers < 0, similarities, exact), numbers, k)


def search_exactly(vectors: NDArray[np.floating], queries: NDArray[np.float32], k: int) -> Found:
    """Compare every query with every row, a block of rows at a time where they lie on disk.

    Parameters
    ----------
    vectors : (M, w) float
        Of length 1.
    queries : (N, w) float32
        Of length 1.
    k : int
        How many, at most M.

    Returns
    -------
    tuple of ndarray
        As of :func:`search_index`.
    """
    if vectors.dtype == np.float32:
        return faiss.knn(queries, vectors, k, faiss.METRIC_INNER_PRODUCT)
    nearest, numbers = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    for start in range(0, len(vectors), BLOCK):
        block = np.asarray(vectors[start : start + BLOCK], dtype=np.float32)
        cosines, places = faiss.knn(queries, block, min(k, len(block)), faiss.METRIC_INNER_PRODUCT)
        nearest, numbers = nearest_first(np.hstack([nearest, cosines]), np.hstack([numbers, places + start]), k)
    return nearest, numbers


def nearest_first(similarities: NDArray[np.float32], numbers: NDArray[np.int64], k: int | None = None) -> Found:
    """Sort what was found, (N, K), and keep the k nearest; of those that are as near, the first stay first."""
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarities, order, axis=1), np.take_along_axis(numbers, order, axis=1)


def _widened(vectors: NDArray[np.floating], width: int) -> NDArray[np.float32]:
    """Return vectors as float32 with zeros behind, which change no product."""
    return np.pad(np.asarray(vectors, dtype=np.float32), ((0, 0), (0, width - vectors.shape[1])))


class Mapped(np.memmap):
    """A matrix (M, w) float16 of a file; parts of it are plain arrays."""

    _identity: tuple[int, ...] = ()
    _mmap: mmap.mmap
    index: faiss.IndexIVF | None = None
    """What it is searched by; None for exact search."""

    @classmethod
    def of(cls, path: Path, rows: int, width: int, *, to_change: bool = False) -> Self:
        """Map a file; where it is to be changed, only what is changed lies in memory, and the file stays."""
        mapped = cls(path, dtype=np.float16, mode="c" if to_change else "r", shape=(rows, width))
        mapped._identity = _identity(path)
        index = _index_of(path)
        mapped.index = open_index(index) if index.is_file() else None
        return mapped

    @property
    def path(self) -> Path | None:
        """The file that holds just this; None where there is none, or by now another one in its place."""
        path = Path(self.filename) if self.filename and self.mode == "r" else None
        return path if path is not None and path.is_file() and _identity(path) == self._identity else None

    def __getitem__(self, place: Any) -> Any:
        part = np.asarray(super().__getitem__(place))
        is_copy = self.mode == "r" and not np.may_share_memory(part, self)
        if is_copy and self.nbytes > LARGE and hasattr(mmap, "MADV_DONTNEED"):  # Windows has none
            self._mmap.madvise(mmap.MADV_DONTNEED)
        return part


def _identity(path: Path) -> tuple[int, ...]:
    about = path.stat()
    return about.st_dev, about.st_ino, about.st_mtime_ns


def write_memory(batches: Iterable["Memory"], folder: Path, cells: int | None) -> None:
    """Write a memory as :meth:`reaugkd.method.memory.Memory.build` says: whole, or not at all."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / ABOUT_FILE).is_file()):
        raise ReAugKDError(f"{str(folder)!r} holds other things than a memory; name another folder.")
    check_writable(folder)
    with whole_folder(folder) as new:
        about, known = _write_batches(batches, new)
        for name, width in about["widths"].items():
            if name.startswith(KEY):
                _write_index(_file(new, name), (about["rows"], width), cells, known.get(name))
        about["files"] = {path.name: sha256_of(path) for path in sorted(new.iterdir())}
        write_sealed(about, new / ABOUT_FILE)


def _write_batches(batches: Iterable["Memory"], folder: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """Write one batch after the other; return rows, classes and widths, and of one batch alone its files."""
    first: Memory | None = None
    rows, widths, number = 0, dict[str, int](), 0
    with ExitStack() as held:
        for number, batch in enumerate(batches, start=1):
            try:
                parts, table = _parts_of(batch), pa.Table.from_pandas(batch.rows, preserve_index=False)
            except (TypeError, ValueError, pa.ArrowException) as error:
                raise ReAugKDError(
                    f"A column of batch {number} holds what no file of Arrow can; make its values of one kind."
                ) from error
            if first is None:
                first, schema = batch, table.schema
                widths = {name: part.shape[1] for name, part in parts.items()}
                writer = held.enter_context(pa.ipc.new_file(folder / ROWS_FILE, schema))
                into: dict[str, BinaryIO] = {name: held.enter_context(_file(folder, name).open("wb")) for name in parts}
            if batch.classes != first.classes or widths != {name: part.shape[1] for name, part in parts.items()}:
                raise ReAugKDError(f"Batch {number} has other classes or keys than the first; make all by one model.")
            try:
                writer.write_table(table.cast(schema), max_chunksize=BLOCK)
            except (ValueError, pa.ArrowException) as error:
                raise ReAugKDError(
                    f"The rows of batch {number} have other columns than those of the first, or others in them; give "
                    "all batches the same."
                ) from error
            for name, part in parts.items():
                for start in range(0, len(part), BLOCK):
                    into[name].write(np.asarray(part[start : start + BLOCK], dtype=np.float16).tobytes())
            rows += len(batch)
    if first is None:
        raise ReAugKDError("A memory needs at least one row; give it texts.")
    known = {name: part.path for name, part in parts.items() if isinstance(part, Mapped) and part.path is not None}
    return {"rows": rows, "classes": list(first.classes), "widths": widths}, known if number == 1 else {}


def _parts_of(memory: "Memory") -> dict[str, NDArray[np.floating]]:
    keys = {KEY + name: key for name, key in memory.keys.items()}
    return {SOFT_LABELS: memory.soft_labels, TEACHER_EMBEDDINGS: memory.teacher_embeddings, **keys}


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.float16"


def _index_of(path: Path) -> Path:
    return path.with_suffix(INDEX_SUFFIX)


def _write_index(path: Path, shape: tuple[int, int], cells: int | None, known: Path | None) -> None:
    """Write the index of a key's file; that of a file of the same rows is copied."""
    if cells is None and known is not None and _index_of(known).is_file():
        shutil.copyfile(_index_of(known), _index_of(path))
    elif cells := cells_for(shape[0]) if cells is None else min(cells, shape[0]):
        build_index(Mapped.of(path, *shape), _index_of(path), cells)


def read_memory(folder: Path, *, check: bool) -> dict[str, Any]:
    """Map a memory's folder.

    Parameters
    ----------
    folder : Path
        As :func:`write_memory` left it.
    check : bool
        Compare the SHA-256 sum of each file first; False where that was done. No index is opened before.

    Returns
    -------
    dict of str to Any
        The arguments of :class:`reaugkd.method.memory.Memory`.

    Raises
    ------
    ReAugKDError
        If there is no memory, or a file is missing or damaged.
    """
    try:
        about, is_whole = read_sealed(restored(folder) / ABOUT_FILE)
        if check and not is_whole:
            raise ReAugKDError(f"The file {ABOUT_FILE} of the memory in {str(folder)!r} is damaged; build it again.")
        rows, classes, widths, files = (about[name] for name in ("rows", "classes", "widths", "files"))
        for name, sha256 in files.items() if check else ():
            if not (folder / name).is_file():
                raise ReAugKDError(f"The memory in {str(folder)!r} lacks its file {name}; build it again.")
            if sha256_of(folder / name) != sha256:
                raise ReAugKDError(f"The file {name} of the memory in {str(folder)!r} is damaged; build it again.")
        parts = {name: Mapped.of(_file(folder, name), rows, width) for name, width in widths.items()}
        # Its texts stay on disk until one is asked for.
        table = pa.ipc.open_file(pa.memory_map(str(folder / ROWS_FILE))).read_all()
        return {
            "rows": table.to_pandas(split_blocks=True),
            "classes": tuple(classes),
            "soft_labels": parts[SOFT_LABELS],
            "teacher_embeddings": parts[TEACHER_EMBEDDINGS],
            "keys": {name.removeprefix(KEY): part for name, part in parts.items() if name.startswith(KEY)},
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, pa.ArrowException) as error:
        raise ReAugKDError(f"{str(folder)!r} holds no whole memory; build or copy it again.") from error


def changed_copy(part: NDArray[np.floating], changes: Mapping[int, NDArray[np.floating]]) -> NDArray[np.floating]:
    """Return a matrix with some other rows; of one on disk, only these lie in memory."""
    path = part.path if isinstance(part, Mapped) else None
    copy: NDArray[np.floating] = part.copy() if path is None else Mapped.of(path, *part.shape, to_change=True)
    for number, row in changes.items():
        copy[number] = row
    return copy
