"""Many linear models at once, which differ in numbers alone: what all loops over them have in common.

Weights are (features, models), so that the models of a feature lie together: a value of X is loaded once and meets all
of them in SIMD code, whatever the batch size. With ``n`` models of as many outputs, model ``i`` of output ``k`` is
column ``k n + i``; numbers of a model are written once for each of its outputs. Each column is what it would be alone,
to rounding, and one that explodes leaves the others as they are.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.compile import joining, kernel
from minibatch.engine.linear import AHEAD, prefetch_place, target_of_output, weighted_loss_and_slope
from minibatch.engine.losses import LOG_LOSS
from minibatch.engine.products import product, product_at, product_of_few_rows
from minibatch.engine.rows import add_row

__all__ = [
    "Candidates", "Numbers", "Room", "add_rows_of_block", "dots_of_rows", "fill_rows", "slopes_of_block",
    "slopes_of_candidates", "slopes_of_columns",
]  # fmt: skip


class Candidates(NamedTuple):
    """The models: ``scales`` times their weights."""

    weights: np.ndarray  # (features, columns), in the type of X
    intercept: np.ndarray  # (columns), float64
    scales: np.ndarray  # (columns)


class Numbers(NamedTuple):
    """Of each column."""

    l1: np.ndarray
    l2: np.ndarray
    parameters: np.ndarray  # of the loss


class Room(NamedTuple):
    """Where a loop works."""

    rows: np.ndarray  # (block, features)
    scores: np.ndarray  # (block, columns)
    gradient: np.ndarray  # as the weights; empty where rows are added to these
    sums: np.ndarray  # (columns): of the slopes of a batch


@kernel
def fill_rows(data, order, start, stop, rows):
    for r in range(start, stop):
        prefetch_place(data.X, data.y, data.weight, order, r + AHEAD)
        i = order[r]
        for j in range(rows.shape[1]):
            rows[r - start, j] = data.X[i, j]


@kernel
def slopes_of_columns(loss, data, order, start, stop, objective, n_outputs, models, parameters, scores, sums, losses):
    """``slopes_of_candidates`` of a loss."""
    _, y, weight, class_weight = data
    n = models.intercept.shape[0] // n_outputs
    for k in range(n_outputs):
        scales, intercept, own = models.scales[k * n :], models.intercept[k * n :], parameters[k * n :]
        sums_of_output, of_output = sums[k * n :], losses[k * n :]
        for r in range(start, stop):
            target, s = target_of_output(order[r], k, y, weight, class_weight, objective)
            slopes = scores[r - start, k * n :]
            for i in range(n):
                z = scales[i] * float(slopes[i]) + intercept[i]
                value, slope = weighted_loss_and_slope(loss, z, target, s, own[i])
                of_output[i] += value
                sums_of_output[i] += slope
                slopes[i] = slope


@joining
def slopes_of_candidates(data, order, start, stop, objective, n_outputs, models, parameters, scores, sums, losses):
    """Turn the dots of rows with weights into weighted slopes, and add up losses and slopes."""
    if objective.loss == LOG_LOSS:  # the compiler knows it, and makes SIMD code of the loop
        slopes_of_columns(
            LOG_LOSS, data, order, start, stop, objective, n_outputs, models, parameters, scores, sums, losses
        )
    else:
        slopes_of_columns(
            objective.loss, data, order, start, stop, objective, n_outputs, models, parameters, scores, sums, losses
        )


@kernel
def dots_of_rows(data, order, start, stop, weights, room):
    """Fill ``room.rows``, and ``room.scores`` with their products with the weights."""
    n_rows = stop - start
    rows, scores = room.rows[:n_rows], room.scores[:n_rows]
    fill_rows(data, order, start, stop, rows)
    if n_rows == 1:
        product_of_few_rows(rows, weights, scores)
    else:
        product(rows, weights, scores)


@joining
def slopes_of_block(data, order, start, stop, objective, n_outputs, models, parameters, room, losses):
    """Fill ``room.scores`` with the weighted slopes of a block of rows."""
    dots_of_rows(data, order, start, stop, models.weights, room)
    slopes_of_candidates(
        data, order, start, stop, objective, n_outputs, models, parameters, room.scores, room.sums, losses
    )


@kernel
def add_rows_of_block(n_rows, keep, rows, factors, out):
    """Add so many rows times their ``factors`` (rows, columns) to ``out``, or put them there."""
    if n_rows == 1 and keep:
        for j in range(out.shape[0]):
            add_row(factors, 0, rows[0, j], out, j)
    else:
        product_at(rows[:n_rows], factors[:n_rows], keep, out)
