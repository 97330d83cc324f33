"""Matrices inside flat vectors, and their products: dense ones go to BLAS, rows of a CSR matrix are added up.

As in ``engine.rows``, a Python function is the reference, and overloads are what Numba compiles.
"""

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array, populate_array

from minibatch.engine.compile import INLINED, OPTIONS_OF_VIEWS
from minibatch.engine.compile import kernel_with_views as kernel
from minibatch.engine.rows import CSR, prefetch_row

_JIT = {**OPTIONS_OF_VIEWS, **INLINED}
# OpenBLAS copies the second matrix into an order of its own, except for products of up to so many multiplications.
# Measured on (784, 100) and (300, 100) matrices, float32: 32 rows in 46 us and 128 in 183 instead of 73 and 222; 8 to
# 20 % less in float64. In pieces of less than 8 rows there is nothing to gain.
SMALL_PRODUCT, FEWEST_ROWS = 1_000_000, 8
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


@kernel
def product(a, b, out):
    """``out = a @ b``, by as many rows at once as BLAS takes without packing ``b``."""
    n_rows = SMALL_PRODUCT // (b.shape[0] * b.shape[1]) // 4 * 4
    if n_rows < FEWEST_ROWS:
        n_rows = a.shape[0]
    for start in range(0, a.shape[0], n_rows):
        stop = min(start + n_rows, a.shape[0])
        np.dot(a[start:stop], b, out[start:stop])


@kernel
def product_at(a, b, out):
    """``out = a.T @ b``"""
    np.dot(a.T, b, out)


@kernel
def product_bt(a, b, out):
    """``out = a @ b.T``"""
    np.dot(a, b.T, out)


@kernel
def add_to_rows(vector, out):
    for r in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[r, j] += vector[j]


@kernel
def column_sums(a, out):
    out[:] = 0
    for r in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[j] += a[r, j]


def batch_rows(X, order, start, stop, buffer):
    """Rows ``order[start:stop]`` of a dense X as a matrix: a part of X where they lie side by side, else copied to
    ``buffer``. Of a CSR matrix, nothing."""
    if isinstance(X, CSR):
        return np.empty((0, 0))
    return X[order[start:stop]]


@overload(batch_rows, jit_options=_JIT)
def _batch_rows(X, order, start, stop, buffer):
    def dense(X, order, start, stop, buffer):
        n_rows, n_columns, first = stop - start, X.shape[1], order[start]
        for r in range(1, n_rows):
            if order[start + r] != first + r:
                break
        else:
            return _matrix_view(X, first * n_columns, n_rows, n_columns)
        rows = _matrix_view(buffer, 0, n_rows, n_columns)
        for r in range(n_rows):
            prefetch_row(X, order[min(start + r + GATHER_AHEAD, order.shape[0] - 1)])
            i = order[start + r]
            for j in range(n_columns):
                rows[r, j] = X[i, j]
        return rows

    def sparse(X, order, start, stop, buffer):
        return _matrix_view(buffer, 0, 0, 0)

    return dense if isinstance(X, types.Array) else sparse


def input_product(X, order, start, rows, W, out):
    """``out = X[order[start:stop]] @ W`` for as many rows as ``out`` has; ``rows`` is what ``batch_rows`` gave."""
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


def input_gradient(X, order, start, rows, delta, out):
    """``out = X[order[start:stop]].T @ delta``, the gradient of the first layer's weights."""
    if not isinstance(X, CSR):
        product_at(rows, delta, out)
        return
    out[:] = 0.0
    for r in range(delta.shape[0]):
        here = slice(X.indptr[order[start + r]], X.indptr[order[start + r] + 1])
        np.add.at(out, X.indices[here], np.outer(X.data[here], delta[r]))  # a row may name a column twice


@overload(input_gradient, jit_options=_JIT)
def _input_gradient(X, order, start, rows, delta, out):
    def dense(X, order, start, rows, delta, out):
        product_at(rows, delta, out)

    def sparse(X, order, start, rows, delta, out):
        values, columns, indptr = X
        out[:] = 0
        for r in range(delta.shape[0]):
            i = order[start + r]
            for p in range(indptr[i], indptr[i + 1]):
                value, column = values[p], columns[p]
                for j in range(delta.shape[1]):
                    out[column, j] += value * delta[r, j]

    return dense if isinstance(X, types.Array) else sparse
