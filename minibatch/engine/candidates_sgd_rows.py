"""``engine.candidates_sgd`` in batches of one row: up to four updates in a pass over the weights.

As in ``engine.sgd``, scores are those of before the first of the four, and what the earlier steps add to them.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.candidates import add_rows_of_block, dots_of_rows, slopes_of_candidates
from minibatch.engine.candidates_sgd import (
    factors_of_update,
    rescale_columns,
    scale_slopes,
    shrink_columns,
    spread_rates,
)
from minibatch.engine.compile import entry, joining, kernel
from minibatch.engine.four_rows import products_of_four_rows
from minibatch.engine.optimizers import shrinkage
from minibatch.engine.rows import row_dot
from minibatch.engine.sgd import are_finite, norm_after

__all__ = [
    "Norms", "add_earlier_steps", "candidates_sgd_rows_epoch", "note_products", "products_of_rows", "rescale_all",
    "update_norms", "update_with_rows",
]  # fmt: skip


class Norms(NamedTuple):
    """``||w||^2`` of the models from update to update, where the penalty is followed."""

    of_rows: np.ndarray  # ``||x||^2`` in their order; empty where nobody asks
    squared: np.ndarray  # (columns)
    seen: np.ndarray  # (columns): the sum of those before each update
    products: np.ndarray  # (columns): of a row with the weights


@kernel
def products_of_rows(rows, n_rows, products):
    """Fill those of two rows, the first of which comes earlier; returns whether all are finite."""
    if n_rows == 4:
        found = products_of_four_rows(rows, 0, 1, 2, 3, rows, 0, ())
        products[0, 1], products[0, 2], products[0, 3] = found[4], found[5], found[6]
        products[1, 2], products[1, 3], products[2, 3] = found[7], found[8], found[9]
        return are_finite(found)
    total = rows.dtype.type(0)
    for q in range(n_rows):
        for p in range(q):
            products[p, q] = row_dot(rows, p, rows, q)
            total += abs(products[p, q])
    return total < np.inf


@kernel
def add_earlier_steps(q, products, scores):
    """Add what the steps of rows before row ``q`` give to its scores."""
    for p in range(q):
        of_row, steps, product = scores[q], scores[p], products[p, q]
        for i in range(of_row.shape[0]):
            of_row[i] += product * steps[i]


@kernel
def rescale_all(models, q, n_rows, scores):
    """Multiply the scales into the weights, and what goes with these: steps before row ``q``, dots of those after."""
    for p in range(n_rows):
        if p != q:
            of_row = scores[p]
            for i in range(of_row.shape[0]):
                of_row[i] *= models.scales[i]
    rescale_columns(models)


@kernel
def note_products(scales, dots, norms):
    """Note the products of a row with the weights, and the norms of these before an update."""
    for i in range(scales.shape[0]):
        norms.products[i] = scales[i] * float(dots[i])
        norms.seen[i] += norms.squared[i]


@kernel
def update_norms(rates, l2, slopes, square, norms):
    """After an update with a row."""
    for i in range(rates.shape[0]):
        keep, step = shrinkage(rates[i], l2[i]), rates[i] * float(slopes[i])
        norms.squared[i] = norm_after(norms.squared[i], keep, step, norms.products[i], square)


@joining
def update_with_rows(shared, first, n_rows, models, rates, products, norms, room, steps):
    """Updates with so many rows, one after the other; they are in the room, and their products with the weights."""
    follows = norms.of_rows.shape[0] > 0
    scores, sums = room.scores, room.sums
    for q in range(n_rows):
        r = first + q
        spread_rates(rates, r, steps.rates)
        add_earlier_steps(q, products, scores)
        sums[:] = 0.0
        if follows:
            note_products(models.scales, scores[q], norms)
        slopes_of_candidates(shared, r, r + 1, models, scores[q : q + 1], sums)
        if follows:
            update_norms(steps.rates, shared.numbers.l2, scores[q], norms.of_rows[r], norms)
        if shrink_columns(models, steps.rates, shared.numbers.l2):
            rescale_all(models, q, n_rows, scores)
        factors_of_update(models, 1, shared.objective.fit_intercept, sums, steps)
        scale_slopes(1, steps.factors, scores[q : q + 1])
    add_rows_of_block(n_rows, True, room.rows, scores, models.weights)


@entry
def candidates_sgd_rows_epoch(stamp):
    def candidates_sgd_rows_epoch(shared, first, last, models, rates, products, norms, room, steps):
        """``candidates_sgd_epoch`` in batches of one row. ``room`` is for four, ``products`` for those of two of
        them. With the squared norms of the rows, those of the weights are added up as by ``one_row_epoch``."""
        _ = stamp
        begin = first
        while begin < last:
            n_rows = min(room.rows.shape[0], last - begin)
            dots_of_rows(shared, begin, begin + n_rows, models.weights, room)
            if not products_of_rows(room.rows, n_rows, products):  # squares overflow: these rows one by one
                n_rows = 1
            update_with_rows(shared, begin, n_rows, models, rates, products, norms, room, steps)
            begin += n_rows
        rescale_columns(models)

    return candidates_sgd_rows_epoch
