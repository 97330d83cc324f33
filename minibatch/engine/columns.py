"""Sums of squares: over rows, column by column, and of sparse rows."""

import numpy as np
from numba import types
from numba.extending import overload

from minibatch.engine.compile import INLINED, OPTIONS, entry
from minibatch.engine.rows import CSR

__all__ = ["add_moments", "column_moments", "squares_of_sparse_rows"]


def add_moments(X, i, weight, squares, present):
    """Add row ``i``, which names no column twice: its squares, and 1 where it has a value other than 0."""
    columns, values = (slice(None), X[i]) if not isinstance(X, CSR) else (X.indices[_of(X, i)], X.data[_of(X, i)])
    values = values.astype(np.float64)
    squares[columns] += weight * values**2
    present[columns] += weight * (values != 0.0)


def _of(X, i):
    return slice(X.indptr[i], X.indptr[i + 1])


@overload(add_moments, jit_options={**OPTIONS, **INLINED})
def _add_moments(X, i, weight, squares, present):
    def dense(X, i, weight, squares, present):
        for j in range(squares.shape[0]):
            x = float(X[i, j])
            squares[j] += weight * x * x
            present[j] += weight if x != 0.0 else 0.0

    def sparse(X, i, weight, squares, present):
        values, columns, indptr = X
        for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + 1])):
            x, j = float(values[p]), np.uintp(columns[p])
            squares[j] += weight * x * x
            present[j] += weight if x != 0.0 else 0.0

    return dense if isinstance(X, types.Array) else sparse


@entry
def column_moments(stamp):
    def column_moments(X, rows, weight, squares, present):
        """Add some rows to the weighted sums; returns the sum of their weights. Without weights, each counts 1."""
        _ = stamp
        total = 0.0
        for r in range(rows.shape[0]):
            w = float(weight[rows[r]]) if weight.shape[0] > 0 else 1.0
            add_moments(X, rows[r], w, squares, present)
            total += w
        return total

    return column_moments


@entry
def squares_of_sparse_rows(stamp):
    def squares_of_sparse_rows(X, factors, squares):
        """Fill ``squares``, each of whose terms is multiplied by the factor of its column, or by the one there is."""
        _ = stamp
        values, columns, indptr = X
        differ = factors.shape[0] > 1
        for i in range(squares.shape[0]):
            total = 0.0
            for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + 1])):
                x = float(values[p])
                total += x * x * factors[np.uintp(columns[p]) if differ else np.uintp(0)]
            squares[i] = total

    return squares_of_sparse_rows
