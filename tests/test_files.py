"""Files and folders that people name, and matrices as columns of their tables."""

import errno

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reaugkd import files
from reaugkd.errors import ReAugKDError
from reaugkd.files import check_writable, column_matrix, explain_disk_errors, matrix_column, read_text_file, whole_file


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
