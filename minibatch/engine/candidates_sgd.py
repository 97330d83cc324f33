"""Plain SGD of many models at once, on dense rows; see ``engine.candidates``.

L2 is a scale in front of a model's weights, as in ``engine.sgd``.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.candidates import add_rows_of_block, block_at, slopes_of_block
from minibatch.engine.compile import entry, joining, kernel
from minibatch.engine.optimizers import shrinkage
from minibatch.engine.sgd import SMALLEST_SCALE

__all__ = [
    "RoomOfRates", "add_gradients", "candidates_sgd_epoch", "factors_of_update",
    "rescale_columns", "scale_slopes", "shrink_columns", "spread_rates", "update_candidates",
]  # fmt: skip


class RoomOfRates(NamedTuple):
    """Numbers of the columns in a batch."""

    rates: np.ndarray
    factors: np.ndarray  # what slopes are multiplied by


@kernel
def spread_rates(rates, batch, of_columns):
    """Those of the models in a batch, for every output; after the last of them it stays."""
    n, batch = rates.shape[0], min(batch, rates.shape[1] - 1)
    for begin in range(0, of_columns.shape[0], n):
        for i in range(n):
            of_columns[begin + i] = rates[i, batch]


@kernel
def rescale_columns(models):
    """Multiply the scales into the weights."""
    for j in range(models.weights.shape[0]):
        w = models.weights[j]
        for i in range(w.shape[0]):
            w[i] *= models.scales[i]
    models.scales[:] = 1.0


@kernel
def shrink_columns(models, rates, l2):
    """Take L2 from the weights; returns whether the scale of one is to be multiplied into them."""
    smallest, scales = 1.0, models.scales
    for i in range(scales.shape[0]):
        scales[i] *= shrinkage(rates[i], l2[i])
        smallest = min(smallest, scales[i])
    return smallest < SMALLEST_SCALE


@kernel
def factors_of_update(models, n_rows, fit_intercept, sums, steps):
    """What slopes are multiplied by; updates the intercepts."""
    rates, factors = steps
    for i in range(rates.shape[0]):
        factors[i] = -rates[i] / (n_rows * models.scales[i])
    if fit_intercept:
        for i in range(rates.shape[0]):
            models.intercept[i] -= rates[i] / n_rows * sums[i]


@kernel
def add_gradients(gradient, factors, weights):
    for j in range(weights.shape[0]):
        w, g = weights[j], gradient[j]
        for i in range(w.shape[0]):
            w[i] += factors[i] * g[i]


@kernel
def scale_slopes(n_rows, factors, scores):
    for r in range(n_rows):
        for i in range(factors.shape[0]):
            scores[r, i] *= factors[i]


@joining
def update_candidates(shared, models, n_rows, room, steps):
    """Update with a batch, which is in the room."""
    if shrink_columns(models, steps.rates, shared.numbers.l2):
        rescale_columns(models)
    factors_of_update(models, n_rows, shared.objective.fit_intercept, room.sums, steps)
    if shared.batch_size > room.rows.shape[0]:
        add_gradients(room.gradient, steps.factors, models.weights)
    else:
        scale_slopes(n_rows, steps.factors, room.scores)
        add_rows_of_block(n_rows, True, room.rows, room.scores, models.weights)


@entry
def candidates_sgd_epoch(stamp):
    def candidates_sgd_epoch(shared, first, last, models, rates, room, steps):
        """Train on the rows at places ``first`` to ``last`` of the order, with ``rates`` (models, batches), of all
        batches or of the first. What is between two calls of a batch is in ``room``."""
        _ = stamp
        begin, block = first, room.rows.shape[0]
        while begin < last:
            batch, start, stop, end = block_at(shared, begin, last, block)
            if begin == start:
                room.sums[:] = 0.0
            slopes_of_block(shared, begin, end, models, room)
            if shared.batch_size > block:
                add_rows_of_block(end - begin, begin > start, room.rows, room.scores, room.gradient)
            if end == stop:
                spread_rates(rates, batch, steps.rates)
                update_candidates(shared, models, stop - start, room, steps)
            begin = end
        rescale_columns(models)

    return candidates_sgd_epoch
