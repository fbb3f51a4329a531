import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reaugkd.tables import column_matrix, matrix_column


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
