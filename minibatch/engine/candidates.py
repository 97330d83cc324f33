"""Plain SGD of many models at once, which differ in numbers alone: one pass over the rows trains them all.

Weights are (features, models), so that the models of a column lie together: a value of X is loaded once and meets all
of them in SIMD code, whatever the batch size. With ``n`` models of as many outputs, model ``i`` of output ``k`` is
column ``k n + i``. L2 is a scale in front of a model's weights, as in ``engine.sgd``; each column is what that trains
alone, to rounding, and one that explodes leaves the others as they are.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.compile import entry, kernel
from minibatch.engine.linear import AHEAD, prefetch_place, target_of_output, weighted_loss_and_slope
from minibatch.engine.optimizers import shrinkage
from minibatch.engine.products import product, product_at, product_of_few_rows
from minibatch.engine.rows import add_row
from minibatch.engine.sgd import SMALLEST_SCALE

__all__ = [
    "Candidates", "Room", "add_gradient", "add_outer", "candidates_epoch", "factors_of_update", "fill_rows",
    "rescale_columns", "scale_slopes", "slopes_of_block", "slopes_of_candidates",
]  # fmt: skip


class Candidates(NamedTuple):
    """The models, and their numbers."""

    weights: np.ndarray  # (features, outputs * models), in the type of X
    intercept: np.ndarray  # (outputs * models), float64
    rates: np.ndarray  # (batches, models)
    l2: np.ndarray  # (models)
    parameters: np.ndarray  # (models): of the loss


class Room(NamedTuple):
    """Where the loop works."""

    rows: np.ndarray  # (block, features)
    scores: np.ndarray  # (block, outputs * models)
    gradient: np.ndarray  # as the weights; empty where a batch is a block
    sums: np.ndarray  # (outputs * models): of the slopes
    scales: np.ndarray  # (models)
    factors: np.ndarray  # (models)


@kernel
def fill_rows(data, order, start, stop, rows):
    for r in range(start, stop):
        prefetch_place(data.X, data.y, data.weight, order, r + AHEAD)
        i = order[r]
        for j in range(rows.shape[1]):
            rows[r - start, j] = data.X[i, j]


@kernel
def add_outer(rows, scores, weights):
    """``product_at`` of one row, added to the weights."""
    for j in range(rows.shape[1]):
        add_row(scores, 0, rows[0, j], weights, j)


@kernel
def slopes_of_candidates(loss, data, order, start, stop, objective, models, room, losses):
    """Turn the dots of the rows into weighted slopes, and add up losses and slopes."""
    (_, y, weight, class_weight), scales = data, room.scales
    n = scales.shape[0]
    for k in range(models.intercept.shape[0] // n):
        intercept, sums, of_output = models.intercept[k * n :], room.sums[k * n :], losses[k * n :]
        for r in range(start, stop):
            target, s = target_of_output(order[r], k, y, weight, class_weight, objective)
            slopes = room.scores[r - start, k * n :]
            for i in range(n):
                z = scales[i] * float(slopes[i]) + intercept[i]
                value, slope = weighted_loss_and_slope(loss, z, target, s, models.parameters[i])
                of_output[i] += value
                sums[i] += slope
                slopes[i] = slope


@kernel
def slopes_of_block(data, order, start, stop, objective, models, room, losses):
    """Fill ``room.scores`` with the weighted slopes of a block of rows."""
    n_rows = stop - start
    rows, scores = room.rows[:n_rows], room.scores[:n_rows]
    fill_rows(data, order, start, stop, rows)
    if n_rows == 1:
        product_of_few_rows(rows, models.weights, scores)
    else:
        product(rows, models.weights, scores)
    slopes_of_candidates(objective.loss, data, order, start, stop, objective, models, room, losses)


@kernel
def rescale_columns(models, room):
    """Multiply the scales into the weights."""
    n = room.scales.shape[0]
    for j in range(models.weights.shape[0]):
        for k in range(models.weights.shape[1] // n):
            of_output = models.weights[j, k * n :]
            for i in range(n):
                of_output[i] *= room.scales[i]
    room.scales[:] = 1.0


@kernel
def factors_of_update(models, batch, n_rows, fit_intercept, room):
    """Scales after the update, intercepts, and what slopes are multiplied by."""
    n, rates, smallest = room.scales.shape[0], models.rates[batch], 1.0
    for i in range(n):
        room.scales[i] *= shrinkage(rates[i], models.l2[i])
        smallest = min(smallest, room.scales[i])
    if smallest < SMALLEST_SCALE:
        rescale_columns(models, room)
    for i in range(n):
        room.factors[i] = -rates[i] / (n_rows * room.scales[i])
    if fit_intercept:
        for k in range(models.intercept.shape[0] // n):
            intercept, sums = models.intercept[k * n :], room.sums[k * n :]
            for i in range(n):
                intercept[i] -= rates[i] / n_rows * sums[i]


@kernel
def scale_slopes(n_rows, room):
    n = room.scales.shape[0]
    for r in range(n_rows):
        for k in range(room.scores.shape[1] // n):
            slopes = room.scores[r, k * n :]
            for i in range(n):
                slopes[i] *= room.factors[i]


@kernel
def add_gradient(models, room):
    n = room.scales.shape[0]
    for j in range(models.weights.shape[0]):
        for k in range(models.weights.shape[1] // n):
            weights, gradient = models.weights[j, k * n :], room.gradient[j, k * n :]
            for i in range(n):
                weights[i] += room.factors[i] * gradient[i]


@entry
def candidates_epoch(stamp):
    def candidates_epoch(data, order, batch_size, objective, models, room, losses):
        """Train on ``order`` in batches; adds the weighted losses to ``losses``, one of every column of the weights.
        The L2 and the parameter of ``objective`` are not looked at."""
        _ = stamp
        block = room.rows.shape[0]
        room.scales[:] = 1.0
        for batch in range(models.rates.shape[0]):
            start = batch * batch_size
            stop = min(start + batch_size, order.shape[0])
            room.sums[:] = 0.0
            room.gradient[:] = 0
            for begin in range(start, stop, block):
                end = min(begin + block, stop)
                slopes_of_block(data, order, begin, end, objective, models, room, losses)
                if batch_size > block:
                    product_at(room.rows[: end - begin], room.scores[: end - begin], True, room.gradient)
            factors_of_update(models, batch, stop - start, objective.fit_intercept, room)
            if batch_size > block:
                add_gradient(models, room)
                continue
            scale_slopes(stop - start, room)
            if stop - start == 1:
                add_outer(room.rows, room.scores, models.weights)
            else:
                product_at(room.rows[: stop - start], room.scores[: stop - start], True, models.weights)
        rescale_columns(models, room)

    return candidates_epoch
