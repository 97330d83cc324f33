"""Eigenvalues at an end of a symmetric matrix that is known by its products alone."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

__all__ = ["CONVERGED", "Product", "extreme_eigenpairs", "matrix_of_product", "residuals"]

_Array = NDArray[np.float64]
Product = Callable[[_Array], _Array]

# Up to so many dimensions the matrix is made; ARPACK needs room.
_SMALL = 20
_RESTARTS = 100
# A residual beyond this share of the largest eigenvalue is too large to trust.
CONVERGED = 1e-4


def matrix_of_product(product: Product, n: int) -> _Array:
    """The whole matrix, column by column, its two halves made equal."""
    matrix = np.array([product(column) for column in np.eye(n)])
    return (matrix + matrix.T) / 2.0


def extreme_eigenpairs(
    product: Product, start: _Array, k: int, tolerance: float, *, shift: float = 0.0, n_vectors: int | None = None
) -> tuple[_Array, _Array]:
    """The ``k`` largest eigenvalues, in descending order, and eigenvectors; NaN for those that Lanczos did not find.

    ARPACK's ``tolerance`` is relative to each eigenvalue. A ``shift`` beyond them all makes it relative to the shift:
    those near 0, of which there may be many, need not be told apart. A negative shift asks for the smallest ones.
    """
    n = len(start)
    if n <= max(_SMALL, k):
        values, vectors = np.linalg.eigh(matrix_of_product(product, n))
        here = slice(k) if shift < 0.0 else slice(n - k, n)
        return values[here][::-1], vectors[:, here][:, ::-1]
    if not product(start).any():  # the matrix is 0, which ARPACK refuses
        return np.zeros(k), np.eye(n, k)
    operator = LinearOperator((n, n), matvec=lambda v: product(v) + shift * np.ravel(v), dtype=np.float64)
    which = "SA" if shift < 0.0 else "LA"
    try:
        found = eigsh(operator, k, which=which, v0=start, ncv=n_vectors, tol=tolerance, maxiter=_RESTARTS)
    except ArpackNoConvergence as error:
        found = error.eigenvalues, error.eigenvectors
    order = np.argsort(found[0])[::-1]
    values, vectors = np.full(k, np.nan), np.full((n, k), np.nan)
    values[: len(order)], vectors[:, : len(order)] = found[0][order] - shift, found[1][:, order]
    return values, vectors


def residuals(product: Product, values: _Array, vectors: _Array) -> _Array:
    """``||H v - lambda v||``, within which an eigenvalue lies; NaN where there is none."""
    pairs = zip(values, vectors.T, strict=True)
    return np.array([np.linalg.norm(product(v) - value * v) if np.isfinite(value) else np.nan for value, v in pairs])
