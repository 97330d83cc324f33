"""Batches of one row of a linear model with one output: which loop, and the penalty along it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import row_norms

from minibatch._problems.epochs import Epoch, Passed
from minibatch.engine.linear import Data, Objective, Parameters
from minibatch.engine.rows import CSR
from minibatch.engine.sgd import four_row_epoch, one_row_epoch

__all__ = ["finite_squares", "train_on_single_rows"]


def finite_squares(X: Any) -> NDArray[np.float64] | None:
    """Squared norms of the rows; None where they overflow."""
    with np.errstate(over="ignore"):
        squares = row_norms(X, squared=True).astype(np.float64)
    return squares if np.isfinite(squares).all() else None


def train_on_single_rows(
    data: Data,
    epochs: Epoch,
    objective: Objective,
    theta: Parameters,
    total: Parameters,
    passed: Passed,
    squares: NDArray[np.float64] | None,
) -> None:
    """Train; with the squared norms of the rows it adds up the penalties before each update."""
    orders, etas, _, first_averaged, *_ = epochs
    of_rows = np.empty((len(orders), 0)) if squares is None else squares[orders]
    norms, numbers = np.zeros(len(orders)), (orders, etas, objective, theta)
    if first_averaged >= etas.shape[1] and not isinstance(data.X, CSR) and not objective.tilt:
        four_row_epoch(data, *numbers, passed.losses, passed.notes.thetas, of_rows, norms)
    else:
        one_row_epoch(data, *numbers, total, first_averaged, passed.losses, passed.notes.thetas, of_rows, norms)
    passed.penalties[:] += 0.5 * objective.l2 * norms
