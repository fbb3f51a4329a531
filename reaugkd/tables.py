"""Matrices as columns of Arrow tables: one place knows how."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def matrix_column(matrix: NDArray[Any]) -> pa.FixedSizeListArray:
    """Return a matrix (N, d) as a column with a list of fixed size in each row."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).ravel()), matrix.shape[1])


def column_matrix(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return such a column as a matrix (N, d) of the column's type."""
    array = column.combine_chunks()
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)
