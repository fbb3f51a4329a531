"""The index of a large memory: which size has one, and what it finds against brute force."""

import numpy as np
import pytest
from memories import brute_force, unit

from reaugkd.method.index import EXACT_UP_TO, build_index, cells_for, open_index, search_exactly, search_index


def collapsed(rows=6_000, classes=20, width=13, seed=0):
    """Keys whose classes are nearly points, and queries beside them."""
    random = np.random.default_rng(seed)
    centres = unit(random.normal(size=(classes, width)))
    keys = unit(centres[np.arange(rows) % classes] + 0.02 * random.normal(size=(rows, width)))
    return keys.astype(np.float16), unit(centres + 0.2 * random.normal(size=(classes, width))).astype(np.float32)


@pytest.mark.parametrize(
    ("rows", "cells"), [(10, 0), (EXACT_UP_TO, 0), (EXACT_UP_TO + 1, 256), (10**6, 1024), (10**7, 4096)]
)
def test_a_memory_has_an_index_from_a_size_on_with_as_many_cells_as_the_root_of_its_rows(rows, cells):
    assert cells_for(rows) == cells


@pytest.mark.parametrize(("rows", "cells", "probes"), [(6_000, 64, 64), (20_000, 64, 26), (20_000, 8, 8)])
def test_a_search_reads_eight_cells_or_eight_thousand_rows(tmp_path, rows, cells, probes):
    build_index(collapsed(rows)[0], tmp_path / "keys.faiss", cells)
    assert open_index(tmp_path / "keys.faiss").nprobe == probes


def test_of_many_cells_more_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("reaugkd.method.index.CELLS_A_PROBE", 2)
    build_index(collapsed(30_000)[0], tmp_path / "keys.faiss", 64)
    assert open_index(tmp_path / "keys.faiss").nprobe == 32


def test_an_index_finds_what_brute_force_finds_or_as_near(tmp_path):
    keys, queries = collapsed(30_000)
    build_index(keys, tmp_path / "keys.faiss", 64)
    cosines, numbers = search_index(open_index(tmp_path / "keys.faiss"), queries, 16)
    wanted, _ = brute_force(keys, queries, 16)
    found = (unit(queries)[:, None] * keys[numbers].astype(np.float64)).sum(axis=2)
    np.testing.assert_allclose(cosines, found, atol=1e-3)
    assert (np.diff(cosines, axis=1) <= 0).all()
    assert (found >= wanted[:, [-1]] - 1e-6).mean() > 0.95


def test_an_index_all_of_whose_cells_are_read_is_exact(tmp_path):
    keys, queries = collapsed()
    build_index(keys, tmp_path / "keys.faiss", 8)
    cosines, _ = search_index(open_index(tmp_path / "keys.faiss"), queries, 16)
    wanted = -np.sort(-(queries @ keys.astype(np.float32).T), axis=1)[:, :16]
    np.testing.assert_allclose(cosines, wanted, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_exact_search_in_blocks_is_brute_force(monkeypatch, dtype):
    monkeypatch.setattr("reaugkd.method.index.BLOCK", 700)
    keys, queries = collapsed()
    cosines, numbers = search_exactly(keys.astype(dtype), queries, 16)
    wanted, wanted_numbers = brute_force(keys.astype(np.float32), queries, 16)
    scale = np.linalg.norm(keys[wanted_numbers].astype(np.float64), axis=2)
    np.testing.assert_allclose(cosines, wanted * scale, atol=1e-3)
    assert (numbers == wanted_numbers).mean() > 0.5  # float16 swaps what lies as near
    np.testing.assert_allclose(cosines, (queries[:, None] * keys[numbers].astype(np.float32)).sum(axis=2), atol=1e-5)
