"""How the nearest memories are found: exactly where they are few, by cells of an index (IVF) where they are many.

A key's numbers are few, and a class is nearly a point, so that a coarse code cannot tell its memories apart: one bit a
number finds 0.7 of the 16 nearest of a million memories of banking77 even where the nearest 128 are compared again.
The cells therefore hold float16. How well and how fast they answer is measured by ``tests/benchmarks/memory_scale.py``.
"""

from math import ceil, log2, sqrt
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

INDEX_SUFFIX = ".faiss"
EXACT_UP_TO = 100_000
"""Memories; of more, exact search costs more than the student."""
PROBES, ROWS_READ, CELLS_A_PROBE = 8, 8_000, 256
"""A search reads so many cells at least; more where they hold fewer rows than these, or where there are many cells."""
TRAINED_ON = 64  # rows a cell: k-means takes no more
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
    index: Any = faiss.index_factory(width, f"IVF{cells},SQfp16", faiss.METRIC_INNER_PRODUCT)
    rows = min(len(vectors), TRAINED_ON * cells)
    drawn = np.sort(np.random.default_rng(0).choice(len(vectors), rows, replace=False))
    index.by_residual = False  # what is stored is the key to the bit
    index.cp.min_points_per_centroid = 1  # no warning where a person asks for many cells
    index.train(_widened(vectors[drawn], width))
    for start in range(0, len(vectors), BLOCK):
        index.add(_widened(vectors[start : start + BLOCK], width))
    index.nprobe = min(cells, max(PROBES, cells // CELLS_A_PROBE, ceil(ROWS_READ * cells / len(vectors))))
    faiss.write_index(index, str(path))


def open_index(path: Path) -> Any:
    """Open an index of :func:`build_index`, an IndexIVF; its cells stay on disk until a search reads them."""
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def search_index(index: faiss.IndexIVF, queries: NDArray[np.float32], k: int) -> Found:
    """Find the k nearest rows of the cells that are nearest to each query.

    Parameters
    ----------
    index : IndexIVF
        By :func:`open_index`.
    queries : (N, w) float32
        Of length 1.
    k : int
        How many.

    Returns
    -------
    tuple of ndarray
        Cosines (N, k) float32, the highest first, and row numbers (N, k) int64; -1 where the cells hold fewer.
    """
    return index.search(_widened(queries, index.d), k)


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
