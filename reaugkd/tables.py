"""Matrices as columns of Arrow tables: one place knows how."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def matrix_column(matrix: NDArray[Any]) -> pa.FixedSizeListArray:
    """Turn a matrix into a column with a list of fixed size in each row.

    Parameters
    ----------
    matrix : (N, d) of any number type
        The matrix.

    Returns
    -------
    FixedSizeListArray
        N rows of lists of d, the same type.
    """
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).ravel()), matrix.shape[1])


def column_matrix(column: pa.ChunkedArray) -> NDArray[Any]:
    """Turn such a column back into a matrix.

    Parameters
    ----------
    column : ChunkedArray
        N rows of lists of d.

    Returns
    -------
    (N, d) ndarray
        The matrix, in the column's type.
    """
    array = column.combine_chunks()
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)
