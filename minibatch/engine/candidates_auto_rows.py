"""``engine.candidates_auto`` in batches of one row.

As in ``engine.dual_averaging_rows``, rows go into ``n`` and into ``u = S (m - n)``, and without L1 four updates, for
which the sums at the point are the same, are made in a pass: weights are then factors times ``n + b u``, so that scores
follow from products of the rows with ``n``, with ``u`` and with each other, all known before.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.candidates import add_rows_of_block, dots_of_rows, fill_rows, slopes_of_candidates
from minibatch.engine.candidates_auto import fill_factors, fill_points, look_from_points
from minibatch.engine.candidates_sgd_rows import products_of_rows
from minibatch.engine.compile import entry, joining, kernel
from minibatch.engine.dual_averaging import FOURS, WEIGHTS, brings_up, next_look
from minibatch.engine.dual_averaging_sums import bring_up_sums, next_rate, share_of_sums
from minibatch.engine.products import product

__all__ = [
    "RoomOfRows", "add_rows_to_both", "add_steps_before", "begin_rows", "bring_up_columns",
    "candidates_auto_rows_epoch", "fill_shares", "products_by_bands", "products_of_pairs", "products_with_both",
    "scale_duals", "score_row", "step_with_row", "update_with_rows",
]  # fmt: skip


class RoomOfRows(NamedTuple):
    """Where four updates are found, besides a ``Room``."""

    dots: np.ndarray  # (4, columns): of the rows with ``u``, then what they are multiplied by to be added to it
    scaled: np.ndarray  # (features, columns): dual vectors times the factors; empty where features are alike
    of_bands: np.ndarray  # (bands, 4, 4): products of two rows
    products: np.ndarray  # (4, 4, columns): their sums, times the factors
    units: np.ndarray  # (columns): what ``S`` is counted in


@kernel
def fill_shares(pace, shares):
    """Find what points have of ``u``."""
    for i in range(shares.shape[0]):
        shares[i] = share_of_sums(pace[i, WEIGHTS])


@kernel
def bring_up_columns(shared, autos, t):
    """Bring up the sums where gradients are taken, and what follows from them, if update ``t`` needs it."""
    if brings_up(t):
        bring_up_sums(autos.memory.pace)
        fill_factors(shared.numbers, autos)


@kernel
def step_with_row(memory, q, t, square, fit_intercept, scores, rows):
    """Make update ``t`` with the slopes of row ``q``, which become what the row is multiplied by."""
    pace, dual, other = memory.pace, memory.dual.intercept, memory.average.intercept
    steps, dots, units, of_intercept = scores[q], rows.dots[q], rows.units, 1.0 if fit_intercept else 0.0
    for i in range(units.shape[0]):
        slope = float(steps[i])
        eta, weights = next_rate(pace, i, slope * slope * square, t, units[i], 1.0)
        step = eta * slope
        steps[i], dots[i] = -step, weights * step
        dual[i] -= of_intercept * step
        other[i] += of_intercept * (weights * step)


@joining
def add_rows_to_both(n_rows, room, rows, memory):
    for both in range(2):  # one after the other: what is compiled once is there in half of the time
        factors, out = (room.scores, memory.dual.weights) if both == 0 else (rows.dots, memory.average.weights)
        add_rows_of_block(n_rows, True, room.rows, factors, out)


@kernel
def scale_duals(dual, autos, scaled):
    for j in range(dual.shape[0]):
        n, of_band, out = dual[j], autos.steps.factors[autos.bands.of_features[j]], scaled[j]
        for i in range(n.shape[0]):
            out[i] = n[i] * of_band[i]


@joining
def products_with_both(autos, room, rows):
    """Of the rows with the dual vectors and with ``u``, times the factors."""
    factors, scaled = autos.steps.factors, rows.scaled
    for both in range(2):
        dual, products = (autos.memory.dual, room.scores) if both == 0 else (autos.memory.average, rows.dots)
        if scaled.shape[0] > 0:
            scale_duals(dual.weights, autos, scaled)
        product(room.rows, scaled if scaled.shape[0] > 0 else dual.weights, products)
        if scaled.shape[0] == 0:
            for q in range(products.shape[0]):
                of_row = products[q]
                for i in range(of_row.shape[0]):
                    of_row[i] *= factors[0, i]


@kernel
def products_by_bands(x, bands, of_bands):
    """Of one row with another, over the features of each band."""
    of_bands[:] = 0
    for j in range(x.shape[1]):
        products = of_bands[bands.of_features[j]]
        for q in range(1, 4):
            for p in range(q):
                products[p, q] += x[p, j] * x[q, j]


@kernel
def products_of_pairs(x, autos, rows):
    """Of one row with another, times the factors."""
    factors = autos.steps.factors
    if factors.shape[0] == 1:
        products_of_rows(x, 4, rows.of_bands[0])
    else:
        products_by_bands(x, autos.bands, rows.of_bands)
    for q in range(1, 4):
        for p in range(q):
            products, of_bands = rows.products[p, q], rows.of_bands[:, p, q]
            for i in range(products.shape[0]):
                products[i] = of_bands[0] * factors[0, i]
            for b in range(1, factors.shape[0]):
                for i in range(products.shape[0]):
                    products[i] += of_bands[b] * factors[b, i]


@kernel
def add_steps_before(q, products, dots):
    """Add what the updates with rows before row ``q`` give to its products."""
    for p in range(q):
        of_row, steps, factors = dots[q], dots[p], products[p, q]
        for i in range(of_row.shape[0]):
            of_row[i] += factors[i] * steps[i]


@kernel
def score_row(q, autos, room, rows):
    """Find the scores of a row where the gradient is taken, without intercepts; and these."""
    (_, dual), (_, other), _, pace = autos.memory
    scores, dots, intercept, shares = room.scores[q], rows.dots[q], autos.points.intercept, autos.steps.squares
    fill_shares(pace, shares)
    for i in range(scores.shape[0]):
        scores[i] += shares[i] * dots[i]
        intercept[i] = dual[i] + shares[i] * other[i]


@joining
def begin_rows(shared, r, n_rows, t, autos, room, rows):
    """Score the next row; of four, find what their scores follow from."""
    looks = t == next_look(t - 1)
    if n_rows == 1 or looks:
        fill_shares(autos.memory.pace, autos.steps.shares)
        fill_points(autos)
    if looks:
        look_from_points(autos)
    if n_rows == 1:
        dots_of_rows(shared, r, r + 1, autos.points.weights, room)
    else:
        fill_rows(shared, r, r + n_rows, room.rows)
        products_with_both(autos, room, rows)
        products_of_pairs(room.rows, autos, rows)


@joining
def update_with_rows(shared, r, n_rows, t, squares, autos, room, rows):
    """Updates with one row or four, from update ``t`` on."""
    begin_rows(shared, r, n_rows, t, autos, room, rows)
    scores = room.scores
    for q in range(n_rows):
        if n_rows > 1:
            add_steps_before(q, rows.products, scores)
            add_steps_before(q, rows.products, rows.dots)
            score_row(q, autos, room, rows)
        slopes_of_candidates(shared, r + q, r + q + 1, autos.points, scores[q : q + 1], room.sums)
        step_with_row(autos.memory, q, t + q, squares[r + q], shared.objective.fit_intercept, scores, rows)
    add_rows_to_both(n_rows, room, rows, autos.memory)


@entry
def candidates_auto_rows_epoch(stamp):
    def candidates_auto_rows_epoch(shared, first, last, autos, n_updates, room, rows, squares, by_fours):
        """``candidates_auto_epoch`` for batches of one row. ``squares`` are those of ``dual_averaging_rows_epoch``; no
        model has L1 where four updates are made in a pass."""
        _ = stamp
        fill_factors(shared.numbers, autos)
        r = first
        while r < last:
            t = n_updates + r + 1
            bring_up_columns(shared, autos, t)
            together = by_fours and t >= FOURS and t % 4 == 0 and r + 4 <= last
            n_rows = 4 if together else 1
            update_with_rows(shared, r, n_rows, t, squares, autos, room, rows)
            r += n_rows

    return candidates_auto_rows_epoch
