"""What the loops of ``engine.dual_averaging`` on sparse rows want: rows, and what they keep of the columns."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minibatch._problems.column_scales import Scales
from minibatch._problems.state import matrix_of, rows_of
from minibatch.engine.dual_averaging_sparse import REMEMBERED, Columns, column_type, move_type
from minibatch.engine.dual_averaging_sparse_outputs import OutputColumns, head_type
from minibatch.engine.dual_averaging_sparse_vectors import AT_ONCE
from minibatch.engine.rows import CACHE_LINE, CSR

__all__ = ["bytes_of_columns", "columns_of", "output_columns_of", "without_repeats"]


def columns_of(scales: Scales, n_features: int, n_batches: int, dtype: np.dtype[Any]) -> Columns:
    """For one output, and so many updates."""
    n_bands = len(scales.of_bands)
    inverses, factors = 1.0 / scales.of_bands.astype(np.float64), np.empty((1, n_bands), dtype)
    (parts,) = _aligned(1, n_features, column_type(dtype))
    moves = np.empty(_n_remembered(n_batches, 1), move_type(dtype))
    return Columns(parts, scales.bands, scales.of_bands, inverses, factors, moves)


def output_columns_of(
    scales: Scales, n_features: int, n_outputs: int, n_batches: int, dtype: np.dtype[Any]
) -> OutputColumns:
    """For several outputs, and so many updates of several rows; where they are none, for single rows."""
    width, n_bands = _width(n_outputs), len(scales.of_bands)
    parts = _aligned(n_features, (3 if n_batches else 2) * width, dtype)
    heads = np.empty(n_features, head_type(dtype))
    inverses, factors = 1.0 / scales.of_bands.astype(np.float64), np.empty((n_bands, width), dtype)
    shares, moves = np.zeros((2, width), dtype), np.empty((_n_remembered(n_batches, width), 2 * width), dtype)
    slopes, sums = np.zeros(width, dtype), np.empty(width)
    return OutputColumns(parts, heads, scales.bands, scales.of_bands, inverses, factors, shares, moves, slopes, sums)


def bytes_of_columns(n_features: int, n_outputs: int, n_batches: int, dtype: DTypeLike) -> int:
    """Of what ``columns_of`` or ``output_columns_of`` makes."""
    one, width = np.dtype(dtype).itemsize, _width(n_outputs) if n_outputs > 1 else 1
    return one * (((3 if n_batches else 2) * width + 1) * n_features + 2 * width * _n_remembered(n_batches, width))


def without_repeats(X: CSR, n_features: int) -> CSR:
    """Sparse rows that name no column twice: the norm of a row's gradient is that of its values."""
    matrix = matrix_of(X, n_features)
    if matrix.has_canonical_format:
        return X
    matrix = matrix.copy()
    matrix.sum_duplicates()
    canonical: CSR = rows_of(matrix)
    return canonical


def _width(n_outputs: int) -> int:
    """SIMD vectors are full."""
    return -(-n_outputs // AT_ONCE) * AT_ONCE


def _n_remembered(n_batches: int, width: int) -> int:
    """Updates with room in ``moves``, the same number of bytes whatever the outputs, and one that is none."""
    return max(1, min(n_batches, -(-REMEMBERED // width))) + 1


def _aligned(n_rows: int, n_columns: int, kind: np.dtype[Any]) -> NDArray[Any]:
    """What begins with a line of the cache: no element lies in two."""
    size = n_rows * n_columns * kind.itemsize
    buffer = np.empty(size + CACHE_LINE, np.uint8)
    first = -buffer.ctypes.data % CACHE_LINE
    return buffer[first : first + size].view(kind).reshape(n_rows, n_columns)
