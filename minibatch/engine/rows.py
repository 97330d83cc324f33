"""Rows of X, dense or sparse: everything the epoch loops do with a row.

Each operation is written three times on purpose: the Python function is the reference (and what runs with
``NUMBA_DISABLE_JIT=1``), the overloads are the dense and the CSR loop that Numba compiles.
A dense X is a C-ordered array; a sparse one is a ``CSR``, whose columns, and places of values, are cast to an unsigned
type where they index: a signed index is checked for counting from the end. On CSR rows that of the columns takes a
quarter of an epoch, and that of the places from a seventh to a third.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from minibatch.engine.compile import INLINED, OPTIONS, kernel_in_order

__all__ = [
    "CACHE_LINE", "CSR", "PREFETCHED_LINES", "add_row", "prefetch", "prefetch_address", "prefetch_row", "row_dot",
]  # fmt: skip

CACHE_LINE = 64
# Lines of a row to ask for ahead of time, so that rows ahead do not push those in use out of the cache.
PREFETCHED_LINES = 128

_JIT = {**OPTIONS, **INLINED}


class CSR(NamedTuple):
    """The arrays of a ``scipy.sparse`` CSR matrix; row ``i`` is the slice ``indptr[i]:indptr[i + 1]``."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray


def _row(X, i):
    """Columns and values of row ``i``, for the reference functions."""
    if isinstance(X, CSR):
        here = slice(X.indptr[i], X.indptr[i + 1])
        return X.indices[here], X.data[here]
    return slice(None), X[i]


@kernel_in_order
def _sparse_dot(X, i, W, k):
    """Two sums, so that one addition need not wait for the other; in order, because SIMD code would gather the weights,
    which takes half as long again (measured on AVX2)."""
    values, columns, indptr = X
    even = odd = W.dtype.type(0)
    p, last, one, two = np.uintp(indptr[i]), np.uintp(indptr[i + 1]), np.uintp(1), np.uintp(2)
    while p + two <= last:
        even += values[p] * W[k, np.uintp(columns[p])]
        odd += values[p + one] * W[k, np.uintp(columns[p + one])]
        p += two
    if p < last:
        even += values[p] * W[k, np.uintp(columns[p])]
    return even + odd


def row_dot(X, i, W, k):
    """``X[i] @ W[k]``."""
    columns, values = _row(X, i)
    return values @ W[k, columns]


@overload(row_dot, jit_options=_JIT)
def _row_dot(X, i, W, k):
    def dense(X, i, W, k):
        total = W.dtype.type(0)
        for j in range(W.shape[1]):
            total += X[i, j] * W[k, j]
        return total

    def sparse(X, i, W, k):
        return _sparse_dot(X, i, W, k)

    return dense if isinstance(X, types.Array) else sparse


def add_row(X, i, a, W, k):
    """``W[k] += a * X[i]``."""
    columns, values = _row(X, i)
    np.add.at(W[k], columns, a * values)  # a CSR row may name a column twice


@overload(add_row, jit_options=_JIT)
def _add_row(X, i, a, W, k):
    def dense(X, i, a, W, k):
        a = W.dtype.type(a)
        for j in range(W.shape[1]):
            W[k, j] += a * X[i, j]

    def sparse(X, i, a, W, k):
        values, columns, indptr = X
        a = W.dtype.type(a)
        for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + 1])):
            W[k, np.uintp(columns[p])] += a * values[p]

    return dense if isinstance(X, types.Array) else sparse


def prefetch_address(builder, address):
    """Ask for the cache line at an address, in code of LLVM.

    It comes into the second level: many more loads may be on their way there than to the first. Measured on rows of
    784 values in random order, just added up: 16 GB/s float64 and 20 float32, with the first level 10 and 10.
    """
    of_pointer = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t] + [cgutils.int32_t] * 3)
    function = cgutils.get_or_insert_function(builder.module, of_pointer, "llvm.prefetch.p0")
    read, second_level, data = cgutils.int32_t(0), cgutils.int32_t(2), cgutils.int32_t(1)
    builder.call(function, [builder.bitcast(address, cgutils.voidptr_t), read, second_level, data])


@intrinsic
def _prefetch_element(typing_context, array, index):
    """Ask for the cache line of element ``index`` of a C-ordered array; one past the end does no harm."""

    def codegen(context, builder, signature, args):
        array_type, index_type = signature.args
        struct = context.make_array(array_type)(context, builder, args[0])
        index = context.cast(builder, args[1], index_type, types.intp)
        prefetch_address(builder, builder.gep(struct.data, [index]))
        return context.get_dummy_value()

    return types.void(array, index), codegen


def prefetch_row(X, i):
    """Ask the processor to load row ``i``, which is needed a few rows later."""


@overload(prefetch_row, jit_options=_JIT)
def _prefetch_row(X, i):
    # a number that the compiler knows: with ``X.itemsize`` there were three divisions a row
    of_values = X if isinstance(X, types.Array) else X[0]
    step = CACHE_LINE * 8 // of_values.dtype.bitwidth

    def dense(X, i):
        first = i * X.shape[1]
        last = first + min(X.shape[1], PREFETCHED_LINES * step) - 1
        for element in range(first, last, step):
            _prefetch_element(X, element)
        _prefetch_element(X, last)

    def sparse(X, i):
        values, columns, indptr = X
        first = indptr[i]
        # as much of every row as the mean row has: a loop whose end the processor can foretell
        for p in range(first, first + min(values.shape[0] // (indptr.shape[0] - 1) + 1, 128), step):
            _prefetch_element(values, p)
            _prefetch_element(columns, p)

    return dense if isinstance(X, types.Array) else sparse


def prefetch(array, i):
    """Ask the processor to load element ``i`` of an array (1-D, or of one column)."""


@overload(prefetch, jit_options=_JIT)
def _prefetch(array, i):
    return lambda array, i: _prefetch_element(array, i)
