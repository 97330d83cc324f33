"""Matrices inside flat vectors; what the first layer of a network does with the rows of X, dense or sparse.

As in ``engine.rows``, a Python function is the reference, and overloads are what Numba compiles.
"""

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array, populate_array

from minibatch.engine.compile import INLINED, OPTIONS
from minibatch.engine.products import product, product_at
from minibatch.engine.rows import CSR, prefetch_row

__all__ = [
    "GATHER_AHEAD", "gather_columns", "input_gradient", "input_product", "is_sparse", "matrix", "rows_in_sequence",
]  # fmt: skip

_JIT = {**OPTIONS, **INLINED}
# Rows to gather are asked for this far ahead.
GATHER_AHEAD = 4


def matrix(flat, start, n_rows, n_columns):
    """A C-ordered matrix of the elements of ``flat`` (an array of any shape) from ``start`` on; not a copy."""
    return flat.reshape(-1)[start : start + n_rows * n_columns].reshape(n_rows, n_columns)


@intrinsic
def _matrix_view(typing_context, flat, start, n_rows, n_columns):
    result = types.Array(flat.dtype, 2, "C")  # never written where ``flat`` is read-only: one type, one compilation

    def codegen(context, builder, signature, args):
        start, n_rows, n_columns = (
            context.cast(builder, value, kind, types.intp)
            for value, kind in zip(args[1:], signature.args[1:], strict=True)
        )
        data = builder.gep(make_array(signature.args[0])(context, builder, args[0]).data, [start])
        size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(flat.dtype)))
        view = make_array(result)(context, builder)
        populate_array(
            view,
            data=data,
            shape=cgutils.pack_array(builder, [n_rows, n_columns]),
            strides=cgutils.pack_array(builder, [builder.mul(n_columns, size), size]),
            itemsize=size,
            meminfo=None,
        )
        return view._getvalue()

    return result(flat, start, n_rows, n_columns), codegen


@overload(matrix, jit_options=_JIT)
def _matrix(flat, start, n_rows, n_columns):
    return lambda flat, start, n_rows, n_columns: _matrix_view(flat, start, n_rows, n_columns)


def rows_in_sequence(X, first, n_rows):
    """Rows of a dense X from ``first`` on, a part of it; of a CSR matrix, nothing."""
    return np.empty((0, 0)) if isinstance(X, CSR) else X[first : first + n_rows]


@overload(rows_in_sequence, jit_options=_JIT)
def _rows_in_sequence(X, first, n_rows):
    def dense(X, first, n_rows):
        return _matrix_view(X, first * X.shape[1], n_rows, X.shape[1])

    def sparse(X, first, n_rows):
        return _matrix_view(X.data, 0, 0, 0)

    return dense if isinstance(X, types.Array) else sparse


def gather_columns(X, order, start, low, high, out):
    """Copy columns ``low`` to ``high`` of a dense X, from place ``start`` of the order on, to those of ``out``; nothing
    of a CSR matrix."""
    if not isinstance(X, CSR):
        out[:, low:high] = X[order[start : start + len(out)], low:high]


@overload(gather_columns, jit_options=_JIT)
def _gather_columns(X, order, start, low, high, out):
    def dense(X, order, start, low, high, out):
        for r in range(out.shape[0]):
            prefetch_row(X, order[min(start + r + GATHER_AHEAD, order.shape[0] - 1)])
            row, copy = X[order[start + r], low:high], out[r, low:high]
            for j in range(copy.shape[0]):  # from 0 on: of other columns it would be checked whether they are negative
                copy[j] = row[j]

    def sparse(X, order, start, low, high, out):
        pass

    return dense if isinstance(X, types.Array) else sparse


def input_product(X, order, start, rows, W, out):
    """``out = X[order[start:stop]] @ W`` for as many rows as ``out`` has; ``rows`` are those of a dense X."""
    if not isinstance(X, CSR):
        product(rows, W, out)
        return
    for r in range(out.shape[0]):
        here = slice(X.indptr[order[start + r]], X.indptr[order[start + r] + 1])
        out[r] = X.data[here] @ W[X.indices[here]]


@overload(input_product, jit_options=_JIT)
def _input_product(X, order, start, rows, W, out):
    def dense(X, order, start, rows, W, out):
        product(rows, W, out)

    def sparse(X, order, start, rows, W, out):
        values, columns, indptr = X
        for r in range(out.shape[0]):
            prefetch_row(X, order[min(start + r + GATHER_AHEAD, order.shape[0] - 1)])
            i = order[start + r]
            for j in range(out.shape[1]):
                out[r, j] = 0
            for p in range(indptr[i], indptr[i + 1]):
                value, column = values[p], columns[p]
                for j in range(out.shape[1]):
                    out[r, j] += value * W[column, j]

    return dense if isinstance(X, types.Array) else sparse


def input_gradient(X, order, start, rows, delta, low, high, keep, out):
    """``out = X[order[start:stop], low:high].T @ delta``, the gradient of some rows of the first layer's weights; added
    to what is there where that is to ``keep``."""
    if not isinstance(X, CSR):
        product_at(rows[:, low:high], delta, keep, out)
        return
    if not keep:
        out[:] = 0.0
    for r in range(delta.shape[0]):
        here = slice(X.indptr[order[start + r]], X.indptr[order[start + r] + 1])
        columns, values = X.indices[here], X.data[here]
        own = (columns >= low) & (columns < high)
        np.add.at(out, columns[own] - low, np.outer(values[own], delta[r]))  # a row may name a column twice


@overload(input_gradient, jit_options=_JIT)
def _input_gradient(X, order, start, rows, delta, low, high, keep, out):
    def dense(X, order, start, rows, delta, low, high, keep, out):
        product_at(rows[:, low:high], delta, keep, out)

    def sparse(X, order, start, rows, delta, low, high, keep, out):
        values, columns, indptr = X
        if not keep:
            out[:] = 0
        for r in range(delta.shape[0]):
            i = order[start + r]
            for p in range(indptr[i], indptr[i + 1]):
                value, column = values[p], columns[p]
                if low <= column < high:
                    for j in range(delta.shape[1]):
                        out[column - low, j] += value * delta[r, j]

    return dense if isinstance(X, types.Array) else sparse


def is_sparse(X):
    """Whether X is a CSR matrix."""
    return isinstance(X, CSR)


@overload(is_sparse, jit_options=_JIT)
def _is_sparse(X):
    sparse = not isinstance(X, types.Array)
    return lambda X: sparse
