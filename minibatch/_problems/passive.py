"""Passive-aggressive steps: what the engine has to know of every row."""

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from minibatch._problems.linear import LinearProblem
from minibatch._problems.state import matrix_of, read_only

__all__ = ["LARGEST", "PASSIVE", "with_passive_steps"]

# The largest part of a step at the rate ``eta0``, and what stands in the denominator beside ``eta0 ||x||^2``.
PASSIVE = {"pa1": (1.0, 0.0), "pa2": (np.inf, 0.5)}
# A number for a row whose step is as long as its rate allows, whatever its loss.
LARGEST = 1e300


def with_passive_steps(problem: LinearProblem, name: str, eta0: float) -> LinearProblem:
    """The same problem, whose rows make steps as long as they ask for; rows of zeros make none with ``'pa1'``, as in
    scikit-learn."""
    largest, more = PASSIVE[name]
    with np.errstate(over="ignore", divide="ignore"):
        below = eta0 * _squared_norms(matrix_of(problem.data.X, problem.n_features)) + more
        of_rows = np.where(below > 0.0, np.minimum(1.0 / below, LARGEST), 0.0)
    return replace(problem, objective=problem.objective._replace(passive=(read_only(of_rows), largest)))


def _squared_norms(X: Any) -> NDArray[np.float64]:
    """Of the rows, in float64: squares of float32 overflow soon."""
    if not sp.issparse(X):
        return np.einsum("ij,ij->i", X, X, dtype=np.float64)
    X = sp.csr_array(X, dtype=np.float64, copy=True)
    X.sum_duplicates()
    return np.asarray(X.multiply(X).sum(axis=1), np.float64).ravel()
