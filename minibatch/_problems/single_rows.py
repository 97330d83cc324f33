"""Batches of one row of a linear model with one output: which loop, and the penalty along it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import row_norms

from minibatch._problems.batching import Order
from minibatch.engine.linear import Data, Objective, Parameters
from minibatch.engine.rows import CSR
from minibatch.engine.sgd import four_row_epoch, one_row_epoch
from minibatch.schedules import Rates

__all__ = ["finite_squares", "train_on_single_rows"]


def finite_squares(X: Any) -> NDArray[np.float64] | None:
    """Squared norms of the rows; None where they overflow."""
    with np.errstate(over="ignore"):
        squares = row_norms(X, squared=True).astype(np.float64)
    return squares if np.isfinite(squares).all() else None


def train_on_single_rows(
    data: Data,
    order: Order,
    etas: Rates,
    objective: Objective,
    theta: Parameters,
    total: Parameters,
    first_averaged: int,
    losses: NDArray[Any],
    squares: NDArray[np.float64] | None,
) -> float:
    """Train; with the squared norms of the rows it returns the sum of the penalties before each update, else 0."""
    of_rows, norm = np.empty(0), 0.0
    if squares is not None:
        of_rows, norm = squares[order], float(np.square(theta.weights, dtype=np.float64).sum())
    if first_averaged >= len(etas) and not isinstance(data.X, CSR):
        norms = four_row_epoch(data, order, etas, objective, theta, losses, of_rows, norm)
    else:
        norms = one_row_epoch(data, order, etas, objective, theta, total, first_averaged, losses, of_rows, norm)
    return 0.5 * objective.l2 * norms
