"""Many linear models at once, which differ in numbers alone: what all loops over them have in common.

Weights are (features, models), so that the models of a feature lie together: a value of X is loaded once and meets all
of them in SIMD code, whatever the batch size. With ``n`` models of as many outputs, model ``i`` of output ``k`` is
column ``k n + i``; numbers of a model are written once for each of its outputs. Each column is what it would be alone,
to rounding, and one that explodes leaves the others as they are.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.compile import joining, kernel
from minibatch.engine.linear import SEPARATE, Data, Objective, target_of_output
from minibatch.engine.losses import HINGE, SQUARED_ERROR, log_loss_in_parts
from minibatch.engine.products import product, product_at, product_of_few_rows
from minibatch.engine.row_blocks import AHEAD, prefetch_place
from minibatch.engine.row_losses import weighted_loss_and_slope
from minibatch.engine.rows import add_row

__all__ = [
    "Candidates", "Numbers", "Room", "Shared", "add_rows_of_block", "block_at", "dots_of_rows", "fill_rows",
    "log_slopes_of_columns", "slopes_of_block", "slopes_of_candidates", "slopes_of_columns",
]  # fmt: skip


class Numbers(NamedTuple):
    """Of each column."""

    l1: np.ndarray
    l2: np.ndarray
    parameters: np.ndarray  # of the loss


class Shared(NamedTuple):
    """An epoch of many models: what they have in common, and the numbers that tell them apart."""

    data: Data
    order: np.ndarray
    batch_size: int
    objective: Objective  # but for the penalty and the parameter of the loss
    n_outputs: int
    numbers: Numbers
    losses: np.ndarray  # (columns): what weighted losses are added to, but for
    products: np.ndarray  # (columns): the product, less 1, of what logarithms are still to be taken of,
    halvings: np.ndarray  # (columns): and how often it was halved


class Candidates(NamedTuple):
    """The models: ``scales`` times their weights."""

    weights: np.ndarray  # (features, columns), in the type of X
    intercept: np.ndarray  # (columns), float64
    scales: np.ndarray  # (columns)


class Room(NamedTuple):
    """Where a loop works."""

    rows: np.ndarray  # (block, features)
    scores: np.ndarray  # (block, columns)
    gradient: np.ndarray  # as the weights; empty where rows are added to these
    sums: np.ndarray  # (columns): of the slopes of a batch


@kernel
def block_at(shared, begin, last, n_rows):
    """The number of the batch that has a row, its first and last rows, and the last row of a block of up to ``n_rows``
    that begins there."""
    batch = begin // shared.batch_size
    start = batch * shared.batch_size
    stop = min(start + shared.batch_size, shared.order.shape[0])
    return batch, start, stop, min(begin + n_rows, stop, last)


@kernel
def fill_rows(shared, start, stop, rows):
    X, y, weight, _ = shared.data
    for r in range(start, stop):
        prefetch_place(X, y, weight, shared.order, r + AHEAD)
        i = shared.order[r]
        for j in range(rows.shape[1]):
            rows[r - start, j] = X[i, j]


@kernel
def slopes_of_columns(loss, shared, start, stop, models, scores, sums):
    """``slopes_of_candidates`` of a loss."""
    (_, y, weight, class_weight), order, parameters = shared.data, shared.order, shared.numbers.parameters
    n = models.intercept.shape[0] // shared.n_outputs
    for k in range(shared.n_outputs):
        here = k * n
        scales, intercept, own = models.scales[here:], models.intercept[here:], parameters[here:]
        of_slopes, of_losses = sums[here:], shared.losses[here:]
        for r in range(start, stop):
            target, s = target_of_output(order[r], k, y, weight, class_weight, shared.objective)
            slopes = scores[r - start, here:]
            for i in range(n):
                z = scales[i] * float(slopes[i]) + intercept[i]
                value, slope = weighted_loss_and_slope(loss, z, target, s, own[i])
                of_losses[i] += value
                of_slopes[i] += slope
                slopes[i] = slope


@kernel
def log_slopes_of_columns(shared, start, stop, models, scores, sums):
    """``slopes_of_columns`` of the logistic loss where all rows weigh 1: a sum of logarithms is the logarithm of a
    product, and one for all rows, a quarter of the time. The product less 1 keeps all digits of what is small."""
    n = models.intercept.shape[0] // shared.n_outputs
    for k in range(shared.n_outputs):
        here = k * n
        scales, intercept, of_slopes = models.scales[here:], models.intercept[here:], sums[here:]
        losses, products, halvings = shared.losses[here:], shared.products[here:], shared.halvings[here:]
        for r in range(start, stop):
            target, slopes = float(shared.data.y[shared.order[r], k]), scores[r - start, here:]
            for i in range(n):
                e, value, slope = log_loss_in_parts(scales[i] * float(slopes[i]) + intercept[i], target)
                product = products[i] + (e + e * products[i])
                above = 1.0 * (product > 1.0)  # as a number, so that nothing branches
                products[i] = (product - above) * (1.0 - 0.5 * above)
                halvings[i] += above
                losses[i] += value
                of_slopes[i] += slope
                slopes[i] = slope


@joining
def slopes_of_candidates(shared, start, stop, models, scores, sums):
    """Turn the products of rows with weights into weighted slopes, and add up losses and slopes.

    Where the compiler knows the loss, it makes SIMD code of the loop: measured, 64 models with a hinge take 3.2 ns a
    row and model in batches of 32, without 4.6.
    """
    loss, weighted = shared.objective.loss, shared.data.weight.shape[0] > 0
    if len(loss) == 0:
        if shared.objective.outputs == SEPARATE and not weighted:
            log_slopes_of_columns(shared, start, stop, models, scores, sums)
        else:
            slopes_of_columns(loss, shared, start, stop, models, scores, sums)
    elif loss == HINGE:
        slopes_of_columns(HINGE, shared, start, stop, models, scores, sums)
    elif loss == SQUARED_ERROR:
        slopes_of_columns(SQUARED_ERROR, shared, start, stop, models, scores, sums)
    else:
        slopes_of_columns(loss, shared, start, stop, models, scores, sums)


@kernel
def dots_of_rows(shared, start, stop, weights, room):
    """Fill ``room.rows``, and ``room.scores`` with their products with the weights."""
    n_rows = stop - start
    rows, scores = room.rows[:n_rows], room.scores[:n_rows]
    fill_rows(shared, start, stop, rows)
    if n_rows == 1:
        product_of_few_rows(rows, weights, scores)
    else:
        product(rows, weights, scores)


@joining
def slopes_of_block(shared, start, stop, models, room):
    """Fill ``room.scores`` with the weighted slopes of a block of rows."""
    dots_of_rows(shared, start, stop, models.weights, room)
    slopes_of_candidates(shared, start, stop, models, room.scores, room.sums)


@kernel
def add_rows_of_block(n_rows, keep, rows, factors, out):
    """Add so many rows times their ``factors`` (rows, columns) to ``out``, or put them there."""
    if n_rows == 1 and keep:
        for j in range(out.shape[0]):
            add_row(factors, 0, rows[0, j], out, j)
    else:
        product_at(rows[:n_rows], factors[:n_rows], keep, out)
