"""Sparse matrices whose arrays do not fit together, refused before compiled code, SciPy's or ours, goes by them."""

from itertools import chain
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["refuse_damaged"]


def refuse_damaged(X: Any, name: str = "X") -> None:
    """Refuse a sparse matrix with numbers of rows or columns that it does not have, one pass over them.

    SciPy looks at them only when asked to (``check_format``, two passes, which changes the matrix), so one that was
    built by hand or changed afterwards would be read, and written to, out of bounds. What is not sparse is not looked
    at, nor DOK, which SciPy looks at whenever it converts it.
    """
    if not sp.issparse(X):
        return
    if X.format in ("csr", "csc", "bsr"):
        fault = _fault_of_compressed(X)
    elif X.format == "coo":
        fault = _fault_of_coordinates(X)
    elif X.format == "lil":
        fault = _fault_of_lists(X)
    elif X.format == "dia":
        fault = "" if len(X.offsets) == len(X.data) else f"data has {len(X.data)} rows for {len(X.offsets)} offsets"
    else:
        fault = ""
    if fault:
        raise ValueError(
            f"{name} is a sparse matrix of shape {X.shape} ({X.format}) that is damaged: {fault}. Build it anew, for "
            "instance from (data, (rows, columns))."
        )


def _fault_of_compressed(X: Any) -> str:
    data, indices, indptr = X.data, X.indices, X.indptr
    block = X.blocksize if X.format == "bsr" else (1, 1)
    n_rows, n_columns = (size // b for size, b in zip((1, *X.shape)[-2:], block, strict=True))
    if X.format == "csc":
        n_rows, n_columns = n_columns, n_rows
    if indptr.shape != (n_rows + 1,) or indices.ndim != 1 or data.ndim != (3 if X.format == "bsr" else 1):
        return f"data, indices and indptr have the shapes {data.shape}, {indices.shape} and {indptr.shape}"
    if indptr.dtype.kind not in "iu":
        return f"indptr has the type {indptr.dtype}, which does not count"
    n_stored = int(indptr[-1])
    if indptr[0] != 0 or n_stored > min(len(indices), len(data)) or (indptr[1:] < indptr[:-1]).any():
        return f"indptr must rise from 0 to at most {min(len(indices), len(data))}, the number of stored values"
    return _fault_of_numbers("indices", indices[:n_stored], n_columns)


def _fault_of_lists(X: Any) -> str:
    if not len(X.rows) == len(X.data) == X.shape[0]:
        return f"rows and data have {len(X.rows)} and {len(X.data)} lists for {X.shape[0]} rows"
    if [*map(len, X.rows)] != [*map(len, X.data)]:
        return "rows and data have lists of different lengths"
    return _fault_of_numbers("rows", np.fromiter(chain.from_iterable(X.rows), np.int64), X.shape[1])


def _fault_of_coordinates(X: Any) -> str:
    for axis, (numbers, size) in enumerate(zip(X.coords, X.shape, strict=False)):
        if numbers.shape != X.data.shape:
            return f"data and coords[{axis}] have the shapes {X.data.shape} and {numbers.shape}"
        fault = _fault_of_numbers(f"coords[{axis}]", numbers, size)
        if fault:
            return fault
    return ""


def _fault_of_numbers(name: str, numbers: NDArray[Any], size: int) -> str:
    """Of numbers that must be from 0 to ``size - 1``."""
    if numbers.dtype.kind not in "iu":
        return f"{name} has the type {numbers.dtype}, which does not count"
    # unsigned, a negative number is larger than any size: one pass in place of two
    if len(numbers) == 0 or numbers.view(f"{numbers.dtype.byteorder}u{numbers.itemsize}").max() < size:
        return ""
    wrong = numbers[(numbers < 0) | (numbers >= size)]
    return f"{name} holds {wrong[0]}, and must be from 0 to {size - 1}"
