"""Files and folders that people name, and matrices as columns of their tables."""

import errno
import os
import re
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reaugkd import files
from reaugkd.errors import ReAugKDError
from reaugkd.files import (
    as_path,
    check_writable,
    column_matrix,
    explain_disk_errors,
    make_folder,
    matrix_column,
    read_json_lines,
    read_sealed,
    read_text_file,
    remove_at_once,
    restore_below,
    restored,
    whole_file,
    whole_folder,
    write_sealed,
)


def test_a_text_is_read_from_the_home_folder_without_the_mark_of_an_editor(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "note.txt").write_text("naïve", encoding="utf-8-sig")
    assert read_text_file("~/note.txt") == "naïve"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_said(tmp_path, encoding):
    (tmp_path / "note.txt").write_text("naïve", encoding=encoding)
    with pytest.raises(ReAugKDError, match="note.txt' is not written in UTF-8; save it as a text in UTF-8"):
        read_text_file(tmp_path / "note.txt")


def test_a_place_where_nothing_may_be_written_is_refused(tmp_path, monkeypatch):
    check_writable(tmp_path / "new" / "model")
    (tmp_path / "file").touch()
    with pytest.raises(ReAugKDError, match="cannot be written, since .*file' is a file; name another place"):
        check_writable(tmp_path / "file" / "model")
    monkeypatch.setattr(files.os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(ReAugKDError, match="is read-only"):
        check_writable(tmp_path / "model")


def test_missing_rights_are_said_in_a_sentence(tmp_path):
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "rows.csv"))
    refused = pytest.raises(ReAugKDError, match="rows.csv' may not be read or written; change its permissions")
    with refused, explain_disk_errors(tmp_path):
        raise error


OF_TORCH = [
    "[enforce fail at inline_container.cc:672] . unexpected pos 9216 vs 9108",
    "basic_ios::clear: iostream error",
]


@pytest.mark.parametrize("said", OF_TORCH)
@pytest.mark.parametrize(("free", "kind"), [(9_108, ReAugKDError), (10**9, RuntimeError)])
def test_an_error_of_torch_that_tells_no_reason_is_a_full_disk_where_nothing_is_free(
    tmp_path, monkeypatch, free, kind, said
):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    sentence = "The disk is full while writing" if kind is ReAugKDError else re.escape(said)
    with pytest.raises(kind, match=sentence), explain_disk_errors(tmp_path / "new" / "model"):
        raise RuntimeError(said)


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "new" / "note.txt"
    with whole_file("~/new/note.txt") as writing:
        writing.write_text("first")
        assert not path.exists()
    assert path.read_text() == "first"

    def interrupted():
        with whole_file(path) as writing:
            writing.write_text("sec")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        interrupted()
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def write_folder(path, content="new"):
    """Write a folder of a file, a folder with a file, and a link."""
    with whole_folder(path) as new:
        (new / "deep").mkdir()
        (new / "one.txt").write_text(content)
        (new / "deep" / "two.txt").write_text(content)
        (new / "link").symlink_to("one.txt")


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


FOLDER = ["folder", "folder/deep", "folder/deep/two.txt", "folder/link", "folder/one.txt"]


@pytest.mark.parametrize("swaps", [True, False], ids=["one step", "two renames"])
def test_a_folder_takes_the_place_of_the_old_one_and_nothing_else_is_left(tmp_path, monkeypatch, swaps):
    if not swaps:
        monkeypatch.setattr(files, "_swapped", lambda *_: False)
    for content in ("old", "new"):
        write_folder(tmp_path / "folder", content)
        assert names(tmp_path) == FOLDER
        assert (tmp_path / "folder" / "deep" / "two.txt").read_text() == content


def test_a_folder_is_there_at_every_moment_while_another_takes_its_place(tmp_path, monkeypatch):
    write_folder(tmp_path / "folder", "old")
    monkeypatch.setattr(Path, "rename", lambda *_: pytest.fail("the old folder was moved away"))
    write_folder(tmp_path / "folder", "new")
    assert (tmp_path / "folder" / "one.txt").read_text() == "new"


@pytest.mark.parametrize("swaps", [True, False], ids=["one step", "two renames"])
def test_the_old_folder_goes_only_when_the_place_of_the_new_one_is_on_the_disk(tmp_path, monkeypatch, swaps):
    if not swaps:
        monkeypatch.setattr(files, "_swapped", lambda *_: False)
    write_folder(tmp_path / "folder", "old")
    seen, sync = [], files.sync

    def look(path, **options):
        seen.append(sorted(file.read_text() for file in tmp_path.rglob("one.txt")))
        sync(path, **options)

    monkeypatch.setattr(files, "sync", look)
    write_folder(tmp_path / "folder", "new")
    assert len(seen) > 1  # before it takes its place, and after
    assert all(found == ["new", "old"] for found in seen)


def test_all_is_on_the_disk_before_it_takes_its_place_and_the_place_is_after(tmp_path, monkeypatch):
    steps, fsync, put = [], os.fsync, files._put_in_place
    monkeypatch.setattr(files.os, "fsync", lambda fd: steps.append(os.fstat(fd).st_ino) or fsync(fd))
    monkeypatch.setattr(files, "_put_in_place", lambda new, path: steps.append("in place") or put(new, path))
    write_folder(tmp_path / "folder")
    wanted = {path.stat().st_ino for path in (tmp_path / "folder").rglob("*") if not path.is_symlink()}
    place = steps.index("in place")
    assert set(steps[:place]) == wanted | {(tmp_path / "folder").stat().st_ino}
    assert steps[place + 1 :] == [tmp_path.stat().st_ino]
    steps.clear()
    with whole_file(tmp_path / "file.txt") as writing:
        writing.write_text("words")
    assert steps == [(tmp_path / "file.txt").stat().st_ino, "in place", tmp_path.stat().st_ino]


def test_what_a_killed_process_left_goes_with_the_next_write_and_a_folder_that_it_moved_away_is_back(tmp_path):
    write_folder(tmp_path / "folder", "old")
    (tmp_path / "folder").rename(tmp_path / ".old-folder")
    for _ in range(2):
        restore_below(tmp_path)
        assert restored(tmp_path / "folder") == tmp_path / "folder"
        assert names(tmp_path) == FOLDER
    shutil.copytree(tmp_path / "folder", tmp_path / ".old-folder")
    shutil.copytree(tmp_path / "folder", tmp_path / ".writing-folder")
    (tmp_path / ".writing-folder.lock").touch()
    restore_below(tmp_path)
    write_folder(tmp_path / "folder", "new")
    assert names(tmp_path) == FOLDER
    (tmp_path / ".gone-folder").mkdir()
    remove_at_once(tmp_path / "folder")
    assert names(tmp_path) == []


def test_two_that_write_the_same_file_do_it_one_after_the_other(tmp_path):
    path, begun = tmp_path / "note.txt", threading.Event()

    def second():
        begun.wait()
        with whole_file(path) as writing:
            writing.write_text("second")

    other = threading.Thread(target=second)
    other.start()
    with whole_file(path) as writing:
        begun.set()
        other.join(0.3)
        assert other.is_alive()
        writing.write_text("first")
        assert writing.read_text() == "first"
    other.join()
    assert path.read_text() == "second"
    assert names(tmp_path) == ["note.txt"]


def test_every_changed_byte_of_a_sealed_file_shows(tmp_path):
    path, content = tmp_path / "about.json", {"name": "naïve", "sums": {"a": 1.5}}
    write_sealed(content, path)
    assert read_sealed(path) == (content, True)
    written = path.read_bytes()
    for place in range(len(written)):
        path.write_bytes(written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :])
        assert not read_sealed(path)[1]
    path.write_text('{"name": "from before there were sums"}')
    assert read_sealed(path) == ({"name": "from before there were sums"}, None)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_a_matrix_comes_back_from_parquet_to_the_bit(tmp_path, dtype):
    matrix = (np.random.default_rng(0).normal(size=(7, 5)) * 10).astype(dtype)
    pq.write_table(pa.table({"matrix": matrix_column(matrix)}), tmp_path / "table.parquet")
    found = column_matrix(pq.read_table(tmp_path / "table.parquet")["matrix"])
    assert found.dtype == matrix.dtype
    np.testing.assert_array_equal(found, matrix)


@pytest.mark.parametrize("matrix", [np.arange(12.0).reshape(4, 3).T, np.arange(24.0).reshape(4, 6)[::2, ::3]])
def test_a_matrix_that_is_not_contiguous_keeps_its_order(matrix):
    column = matrix_column(matrix)
    assert column.to_pylist() == matrix.tolist()


def test_a_column_in_several_chunks_is_one_matrix():
    matrix = np.arange(20, dtype=np.float32).reshape(10, 2)
    column = pa.chunked_array([matrix_column(matrix[:3]), matrix_column(matrix[3:])])
    np.testing.assert_array_equal(column_matrix(column), matrix)


def test_a_slice_of_a_column_is_a_slice_of_the_matrix():
    matrix = np.arange(20, dtype=np.float32).reshape(10, 2)
    column = pa.chunked_array([matrix_column(matrix)])
    np.testing.assert_array_equal(column_matrix(column.slice(4, 3)), matrix[4:7])


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (None, "named by its path, not by nothing; give text"),
        (3, "named by its path, not by a number; give text"),
        ("a\0b", r"There can be no file or folder 'a.x00b' \(.*embedded null"),
        ("x" * 300, "There can be no file or folder 'x*… .File name too long.; check the path"),
        ("~nobody-here/a", "There can be no file or folder '~nobody-here/a'"),
        ("\ud800", "There can be no file or folder .* half a character"),
    ],
)
def test_what_can_be_no_path_is_refused(path, sentence):
    with pytest.raises(ReAugKDError, match=sentence):
        as_path(path)


def test_a_place_that_is_not_there_yet_is_a_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert as_path("~/new/model") == tmp_path / "new" / "model"
    check_writable("/")  # it has no folder above it


def test_a_folder_that_cannot_be_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ReAugKDError, match=r"The folder '.*new' cannot be made \(Not a directory\); name another\.$"):
        make_folder(tmp_path / "file" / "new")


def test_a_line_of_json_that_nests_too_deep_or_names_a_thing_twice_is_told(tmp_path):
    (tmp_path / "deep.jsonl").write_text('{"a":' * 100_000)
    with pytest.raises(ReAugKDError, match="Line 1 of '.*deep.jsonl' is no JSON object"):
        read_json_lines(tmp_path / "deep.jsonl")
    (tmp_path / "twice.jsonl").write_text('{"text": "a", "label": "b", "text": "c"}')
    with pytest.raises(ReAugKDError, match="A line names 'text' twice; keep one of them"):
        read_json_lines(tmp_path / "twice.jsonl")


def test_a_folder_is_not_taken_for_a_file(tmp_path):
    with pytest.raises(ReAugKDError, match="is a folder; name a file"), whole_file(tmp_path):
        pass
