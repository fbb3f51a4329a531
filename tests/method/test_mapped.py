"""A memory on disk: built in a stream, mapped, and the same as one in memory."""

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from memories import brute_force, memory_of, random_memory, unit

from reaugkd.errors import ReAugKDError
from reaugkd.method.mapped import (
    EXACT_UP_TO,
    Mapped,
    build_index,
    cells_for,
    changed_copy,
    open_index,
    search_exactly,
    search_index,
)
from reaugkd.method.memory import Memory


def in_batches(memory, size):
    """Parts of a memory, as a stream would give them."""
    for start in range(0, len(memory), size):
        part = slice(start, start + size)
        yield Memory(
            memory.rows.iloc[part].reset_index(drop=True),
            memory.classes,
            memory.soft_labels[part],
            memory.teacher_embeddings[part],
            {name: key[part] for name, key in memory.keys.items()},
        )


def contents(folder):
    """The bytes of each file."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_memory_built_in_a_stream_is_the_one_built_in_one_go(tmp_path):
    memory = random_memory()
    streamed = Memory.build(in_batches(memory, 30), tmp_path / "streamed")
    whole = Memory.build([memory], tmp_path / "whole")
    pd.testing.assert_frame_equal(streamed.rows, whole.rows)
    pd.testing.assert_frame_equal(streamed.rows, memory.rows)
    one, other = (contents(tmp_path / name) for name in ("streamed", "whole"))
    assert one.keys() == other.keys()
    matrices = [name for name in one if name.endswith(".float16")]
    assert len(matrices) == 4
    assert all(one[name] == other[name] for name in matrices)


@pytest.mark.parametrize("again", [False, True], ids=["built", "loaded"])
@pytest.mark.parametrize("cells", [None, 5])
def test_a_mapped_memory_is_that_in_memory_up_to_the_rounding_of_float16(tmp_path, again, cells):
    memory = random_memory()
    mapped = Memory.build(in_batches(memory, 64), tmp_path / "memory", cells)
    mapped = Memory.load(tmp_path / "memory") if again else mapped
    assert mapped.is_mapped
    assert not memory.is_mapped
    pd.testing.assert_frame_equal(mapped.rows, memory.rows)
    assert (mapped.classes, mapped.texts) == (memory.classes, memory.texts)
    np.testing.assert_array_equal(mapped.labels, memory.labels)
    np.testing.assert_allclose(mapped.soft_labels, memory.soft_labels, atol=1e-3)
    np.testing.assert_allclose(mapped.teacher_embeddings, memory.teacher_embeddings, atol=1e-3)
    queries = np.random.default_rng(1).normal(size=(40, 9))
    cosines, _ = mapped.search("text", queries, 7)  # five cells are all read
    np.testing.assert_allclose(cosines, brute_force(memory.keys["text"], queries, 7)[0], atol=2e-3)
    pd.testing.assert_frame_equal(mapped.rows_at([7, 3, 7]), memory.rows_at([7, 3, 7]))


def test_loading_and_searching_read_neither_texts_nor_the_matrices(tmp_path):
    Memory.build([random_memory(rows=5_000)], tmp_path / "memory", 16)
    before = pa.total_allocated_bytes()
    mapped = Memory.load(tmp_path / "memory")
    mapped.search("text", np.ones((3, 9)), 5)
    assert pa.total_allocated_bytes() - before < 10_000  # the table's bytes are those of the mapped file
    parts = [mapped.soft_labels, mapped.teacher_embeddings, *mapped.keys.values()]
    assert all(isinstance(part, Mapped) and part.dtype == np.float16 and not part.flags.writeable for part in parts)


def test_where_the_cells_hold_fewer_than_k_the_search_is_exact(tmp_path):
    memory = random_memory(rows=300)
    mapped = Memory.build([memory], tmp_path / "memory", 200)
    cosines, numbers = mapped.search("aligned", memory.keys["aligned"][:5], 250)
    assert all(len(set(row)) == 250 for row in numbers.tolist())
    np.testing.assert_allclose(
        cosines, brute_force(memory.keys["aligned"], memory.keys["aligned"][:5], 250)[0], atol=2e-3
    )


def test_other_keys_of_a_mapped_memory_are_not_searched_by_the_index_of_the_old(tmp_path):
    mapped = Memory.build([random_memory()], tmp_path / "memory", 4)
    other = mapped.with_keys({"text": np.asarray(mapped.keys["text"][::-1])})
    queries = np.random.default_rng(2).normal(size=(6, 9))
    np.testing.assert_array_equal(other.search("text", queries, 1)[1], 199 - mapped.search("text", queries, 1)[1])


def test_changed_rows_of_a_mapped_matrix_leave_the_file_as_it_is(tmp_path):
    mapped = Memory.build([random_memory()], tmp_path / "memory")
    before = contents(tmp_path / "memory")
    changed = changed_copy(mapped.soft_labels, {4: np.array([0, 1, 0])})
    edited = replace(mapped, soft_labels=changed)
    assert edited.soft_labels[4].tolist() == [0, 1, 0]
    np.testing.assert_array_equal(np.delete(edited.soft_labels, 4, 0), np.delete(mapped.soft_labels, 4, 0))
    assert contents(tmp_path / "memory") == before
    again = Memory.build([edited], tmp_path / "edited")
    assert again.soft_labels[4].tolist() == [0, 1, 0]


def test_a_copy_takes_the_index_and_one_built_over_itself_is_whole(tmp_path):
    memory = Memory.build([random_memory()], tmp_path / "memory", 7)
    before = contents(tmp_path / "memory")
    Memory.build([memory], tmp_path / "copy")
    assert contents(tmp_path / "copy") == before
    over = Memory.build([memory], tmp_path / "memory", 0)
    assert over.keys["text"].index is None
    assert not list((tmp_path / "memory").glob("*.faiss"))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_mapped_memory_can_be_pickled(tmp_path):
    mapped = Memory.build([random_memory()], tmp_path / "memory", 4)
    copied = pickle.loads(pickle.dumps(mapped))
    shutil.rmtree(tmp_path / "memory")
    queries = np.random.default_rng(2).normal(size=(6, 9))
    np.testing.assert_allclose(copied.search("text", queries, 3)[0], mapped.search("text", queries, 3)[0], atol=2e-3)
    pd.testing.assert_frame_equal(copied.rows, mapped.rows)


@pytest.mark.parametrize("name", ["key_text.faiss", "key_text.float16", "soft_labels.float16", "rows.arrow"])
def test_a_damaged_file_is_named_before_it_is_read(tmp_path, name):
    Memory.build([random_memory()], tmp_path / "memory", 4)
    path = tmp_path / "memory" / name
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ReAugKDError, match=f"The file {name} of the memory in .* is damaged; build it again"):
        Memory.load(tmp_path / "memory")


def test_a_missing_file_and_no_memory_at_all_are_said_in_a_sentence(tmp_path):
    Memory.build([random_memory()], tmp_path / "memory", 4)
    (tmp_path / "memory" / "rows.arrow").unlink()
    with pytest.raises(ReAugKDError, match=r"lacks its file rows\.arrow; build it again"):
        Memory.load(tmp_path / "memory")
    with pytest.raises(ReAugKDError, match="holds no whole memory; build or copy it again"):
        Memory.load(tmp_path / "nothing")


@pytest.mark.parametrize("content", ["", "[]", '{"rows": 3}', "changed"])
def test_a_damaged_list_of_a_memorys_files_is_named(tmp_path, content):
    Memory.build([random_memory()], tmp_path / "memory", 4)
    about = tmp_path / "memory" / "memory.json"
    about.write_text(about.read_text().replace("200", "199") if content == "changed" else content)
    with pytest.raises(ReAugKDError, match=r"The file memory\.json of the memory in .* is damaged; build it again"):
        Memory.load(tmp_path / "memory")


def test_batches_that_do_not_fit_together_are_refused_and_leave_nothing(tmp_path):
    memory = random_memory()
    others = {
        "has other classes or keys": memory.with_keys({"text": memory.keys["text"]}),
        "have other columns": replace(memory, rows=memory.rows.drop(columns="id")),
        "or others in them": replace(memory, rows=memory.rows.assign(text=[[1]] * 200)),
    }
    for sentence, other in others.items():
        with pytest.raises(ReAugKDError, match=f"atch 2 .*{sentence}"):
            Memory.build([memory, other], tmp_path / "memory")
    with pytest.raises(ReAugKDError, match="needs at least one row"):
        Memory.build([], tmp_path / "memory")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_things_is_not_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ReAugKDError, match="holds other things than a memory; name another folder"):
        Memory.build([random_memory()], tmp_path)
    with pytest.raises(ReAugKDError, match="cells is -1; it must be at least 0"):
        Memory.build([random_memory()], tmp_path / "memory", -1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_column_that_one_batch_lacks_values_of_keeps_its_kind(tmp_path):
    memory = memory_of(np.eye(4), np.full((4, 2), 0.5))
    first = replace(memory, rows=memory.rows.assign(topic="shops"))
    second = replace(memory, rows=memory.rows.assign(topic=None))
    built = Memory.build([first, second], tmp_path / "memory")
    assert built.rows["topic"].isna().sum() == 4
    assert built.rows["topic"].iloc[0] == "shops"


@pytest.mark.parametrize(
    ("batches", "sentence"),
    [
        (None, "batches is nothing; it must be a list of memories"),
        ("ab", "A batch is a single text, not a memory; give parts of a memory"),
        ([{"text": "a"}], "A batch is names with values, not a memory"),
    ],
)
def test_what_is_no_part_of_a_memory_is_refused_and_nothing_is_written(tmp_path, batches, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        Memory.build(batches, tmp_path / "large")
    assert not list(tmp_path.iterdir())


def test_a_column_of_mixed_kinds_is_told_and_nothing_is_written(toy_model, tmp_path):
    memory = toy_model.memory
    mixed = replace(memory, rows=memory.rows.assign(further=[1, "a"] * (len(memory) // 2)))
    with pytest.raises(
        ReAugKDError, match="A column of batch 1 holds what no file of Arrow can; make its values of one"
    ):
        Memory.build([mixed], tmp_path / "large")
    assert not list(tmp_path.iterdir())


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


def resident_pages():
    """Return the megabytes of files that this process has in memory."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssFile"].split()[0]) / 1e3


@pytest.mark.parametrize(("rows", "cells", "probes"), [(6_000, 64, 64), (20_000, 64, 26), (20_000, 8, 8)])
def test_a_search_reads_eight_cells_or_eight_thousand_rows(tmp_path, rows, cells, probes):
    build_index(collapsed(rows)[0], tmp_path / "keys.faiss", cells)
    assert open_index(tmp_path / "keys.faiss").nprobe == probes


def test_of_many_cells_more_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("reaugkd.method.mapped.CELLS_A_PROBE", 2)
    build_index(collapsed(30_000)[0], tmp_path / "keys.faiss", 64)
    assert open_index(tmp_path / "keys.faiss").nprobe == 32


def test_an_index_finds_what_brute_force_finds_or_as_near(tmp_path):
    keys, queries = collapsed(30_000)
    build_index(keys, tmp_path / "keys.faiss", 64)
    cosines, numbers = search_index(open_index(tmp_path / "keys.faiss"), keys, queries, 16)
    wanted, _ = brute_force(keys, queries, 16)
    found = (unit(queries)[:, None] * keys[numbers].astype(np.float64)).sum(axis=2)
    np.testing.assert_allclose(cosines, found, atol=1e-3)
    assert (np.diff(cosines, axis=1) <= 0).all()
    assert (found >= wanted[:, [-1]] - 1e-6).mean() > 0.95


@pytest.mark.parametrize("k", [1, 16, 200])
def test_a_very_large_index_is_halved_and_finds_the_same_with_exact_similarities(tmp_path, monkeypatch, k):
    keys, queries = collapsed(30_000)
    build_index(keys, tmp_path / "whole.faiss", 64)
    monkeypatch.setattr("reaugkd.method.mapped.LARGE", 10**5)
    build_index(keys, tmp_path / "keys.faiss", 64)
    sizes = [(tmp_path / name).stat().st_size - 8 * len(keys) for name in ("keys.faiss", "whole.faiss")]  # of the ids
    assert sizes[0] < 0.55 * sizes[1]
    similarities, numbers = search_index(open_index(tmp_path / "keys.faiss"), keys, queries, k)
    wanted, _ = search_index(open_index(tmp_path / "whole.faiss"), keys, queries, k)
    found = (unit(queries)[:, None] * keys[numbers].astype(np.float64)).sum(axis=2)
    np.testing.assert_allclose(similarities, found, atol=1e-6)
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert (found >= wanted[:, [-1]] - 1e-6).mean() > 0.99


def test_a_halved_index_whose_cells_hold_too_few_says_so_as_a_whole_one_does(tmp_path, monkeypatch):
    keys, queries = collapsed(400)
    monkeypatch.setattr("reaugkd.method.mapped.LARGE", 0)
    build_index(keys, tmp_path / "keys.faiss", 4)
    index = open_index(tmp_path / "keys.faiss")
    index.nprobe = 1
    similarities, numbers = search_index(index, keys, queries, 399)
    assert (numbers[:, -1] == -1).all()
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert (numbers[:, 0] >= 0).all()


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="tells what is resident on Linux alone")
def test_rows_that_are_read_of_a_large_file_are_right_and_do_not_stay_resident(tmp_path, monkeypatch):
    rows = 200_000
    stored = np.random.default_rng(0).normal(size=(rows, 128)).astype(np.float16)  # 51 MB
    stored.tofile(tmp_path / "key.float16")

    def read_all():
        mapped, before = Mapped.of(tmp_path / "key.float16", rows, 128), resident_pages()
        for asked in np.random.default_rng(1).permutation(rows).reshape(-1, 1_000):
            np.testing.assert_array_equal(mapped[asked], stored[asked])
        return resident_pages() - before

    assert read_all() > 40
    monkeypatch.setattr("reaugkd.method.mapped.LARGE", 10**6)
    assert read_all() < 5


def test_what_is_changed_of_a_large_file_stays_changed(tmp_path, monkeypatch):
    monkeypatch.setattr("reaugkd.method.mapped.LARGE", 0)
    np.zeros((300, 8), np.float16).tofile(tmp_path / "key.float16")
    changed = changed_copy(Mapped.of(tmp_path / "key.float16", 300, 8), {7: np.ones(8), 200: np.full(8, 2)})
    assert changed[[7, 8, 200]].mean(axis=1).tolist() == [1, 0, 2]
    assert changed[[7, 8, 200]].mean(axis=1).tolist() == [1, 0, 2]


def test_an_index_all_of_whose_cells_are_read_is_exact(tmp_path):
    keys, queries = collapsed()
    build_index(keys, tmp_path / "keys.faiss", 8)
    cosines, _ = search_index(open_index(tmp_path / "keys.faiss"), keys, queries, 16)
    wanted = -np.sort(-(queries @ keys.astype(np.float32).T), axis=1)[:, :16]
    np.testing.assert_allclose(cosines, wanted, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_exact_search_in_blocks_is_brute_force(monkeypatch, dtype):
    monkeypatch.setattr("reaugkd.method.mapped.BLOCK", 700)
    keys, queries = collapsed()
    cosines, numbers = search_exactly(keys.astype(dtype), queries, 16)
    wanted, wanted_numbers = brute_force(keys.astype(np.float32), queries, 16)
    scale = np.linalg.norm(keys[wanted_numbers].astype(np.float64), axis=2)
    np.testing.assert_allclose(cosines, wanted * scale, atol=1e-3)
    assert (numbers == wanted_numbers).mean() > 0.5  # float16 swaps what lies as near
    np.testing.assert_allclose(cosines, (queries[:, None] * keys[numbers].astype(np.float32)).sum(axis=2), atol=1e-5)
