"""``engine.dual_averaging`` in batches of one CSR row, at the cost of its values: exact, whatever the penalty.

As with dense rows (``engine.dual_averaging_sums``), rows go into ``n`` and into ``u = S (m - n)``, which a column that
is not in the batch leaves as they are; the penalties are two numbers an output. The scales of columns are powers of two
apart, in *bands*, so that there are few numbers to divide by: one for each band and update, not for each value.

Places in the arrays of X are unsigned, as their columns are (``engine.rows``): a tenth of an epoch went into checks.
What belongs to a column lies together, and memory is waited for once: ``n``, ``u`` and, in batches of several rows
(``engine.dual_averaging_sparse_batches``), its place in their gradient.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.compile import entry, kernel, kernel_in_order
from minibatch.engine.dual_averaging import POINT_SUM, WEIGHTS, next_look, note_distance
from minibatch.engine.dual_averaging_sums import (
    UNIT,
    bring_up_factors,
    find_factors,
    next_rate,
    numbers_from_sums,
    numbers_to_sums,
    share_of_model,
    share_of_sums,
)
from minibatch.engine.linear import slopes_from_scores
from minibatch.engine.optimizers import soft_threshold
from minibatch.engine.row_blocks import AHEAD, prefetch_place, row_at
from minibatch.engine.rows import prefetch

__all__ = [
    "ADDED", "DUAL", "GRADIENT", "Columns", "band_of", "dot_of_alike", "dot_of_bands", "dot_of_scaled",
    "dual_averaging_sparse_row_epoch", "find_shares", "look_at_columns", "move_by_row", "move_outputs", "pack",
    "scaled", "score_at_columns", "unpack", "weight_there", "with_column",
]  # fmt: skip

# What is kept of a column: of n and of u, and its place in the gradient of a batch.
DUAL, ADDED, GRADIENT = range(3)


class Columns(NamedTuple):
    """What the loop makes of the memory. Bands are numbered; there are none where all columns are alike."""

    parts: np.ndarray  # (outputs, features, 2 or 3)
    bands: np.ndarray  # of the columns
    scales: np.ndarray  # of the bands
    inverses: np.ndarray  # of these scales, in float64
    factors: np.ndarray  # (outputs, bands): from a dual vector to weights, where the next gradient is taken
    shares: np.ndarray  # (outputs, 2): of u there, and the threshold
    listed: np.ndarray  # (outputs, 2 features + 1): one more than the columns of a batch, and which; or no room


@kernel
def band_of(columns, j):
    return np.uintp(columns.bands[j]) if columns.bands.shape[0] > 0 else np.uintp(0)


@kernel
def pack(memory, columns, buffer):
    """``to_sums``, of weights into ``columns``."""
    parts, dual, average = columns.parts, memory.dual.weights, memory.average.weights
    numbers_to_sums(memory, buffer)
    for k in range(parts.shape[0]):
        for j in range(parts.shape[1]):
            parts[k, j, DUAL], parts[k, j, ADDED] = dual[k, j], average[k, j] - dual[k, j]
            if parts.shape[2] > GRADIENT:
                parts[k, j, GRADIENT] = 0.0


@kernel
def unpack(columns, memory, buffer):
    """``from_sums``, of the weights in ``columns``."""
    parts, dual, average = columns.parts, memory.dual.weights, memory.average.weights
    for k in range(parts.shape[0]):
        share = parts.dtype.type(share_of_model(memory.pace, k))
        for j in range(parts.shape[1]):
            dual[k, j], average[k, j] = parts[k, j, DUAL], parts[k, j, DUAL] + share * parts[k, j, ADDED]
    numbers_from_sums(memory, buffer)


@kernel
def find_shares(pace, objective, columns):
    """See to where the next gradient is taken."""
    last = pace.shape[0] - 1
    for k in range(columns.parts.shape[0]):
        p = min(k, last)
        columns.shares[k, 0], columns.shares[k, 1] = share_of_sums(pace[p, WEIGHTS]), objective.l1 * pace[p, POINT_SUM]


@kernel
def weight_there(columns, k, j, share, threshold, zero):
    """The weight of a column where the next gradient is taken."""
    between = columns.parts[k, j, DUAL] + share * columns.parts[k, j, ADDED]
    return soft_threshold(between, threshold, zero) * columns.factors[k, band_of(columns, j)]


@kernel_in_order
def with_column(parts, k, j, x, n, u):
    """Two sums with ``x`` times what is kept of a column."""
    return n + x * parts[k, j, DUAL], u + x * parts[k, j, ADDED]


@kernel_in_order
def dot_of_alike(X, i, parts, k, share):
    """The product of a row with ``n`` and ``share`` times ``u``. Sums of two, in order, as in ``engine.rows``; ``n``
    and ``u`` lie side by side, and are a vector."""
    values, indices, indptr = X
    even_n = even_u = odd_n = odd_u = parts.dtype.type(0)
    p, last, one, two = np.uintp(indptr[i]), np.uintp(indptr[i + 1]), np.uintp(1), np.uintp(2)
    while p + two <= last:
        even_n, even_u = with_column(parts, k, np.uintp(indices[p]), values[p], even_n, even_u)
        odd_n, odd_u = with_column(parts, k, np.uintp(indices[p + one]), values[p + one], odd_n, odd_u)
        p += two
    if p < last:
        even_n, even_u = with_column(parts, k, np.uintp(indices[p]), values[p], even_n, even_u)
    return (even_n + odd_n) + share * (even_u + odd_u)


@kernel
def scaled(columns, k, j, x):
    """A value of a column, times its factor."""
    return x * columns.factors[k, band_of(columns, j)]


@kernel_in_order
def dot_of_scaled(X, i, columns, k, share):
    """``dot_of_bands`` where there is no threshold."""
    (values, indices, indptr), parts = X, columns.parts
    even_n = even_u = odd_n = odd_u = parts.dtype.type(0)
    p, last, one, two = np.uintp(indptr[i]), np.uintp(indptr[i + 1]), np.uintp(1), np.uintp(2)
    while p + two <= last:
        j, other = np.uintp(indices[p]), np.uintp(indices[p + one])
        even_n, even_u = with_column(parts, k, j, scaled(columns, k, j, values[p]), even_n, even_u)
        odd_n, odd_u = with_column(parts, k, other, scaled(columns, k, other, values[p + one]), odd_n, odd_u)
        p += two
    if p < last:
        j = np.uintp(indices[p])
        even_n, even_u = with_column(parts, k, j, scaled(columns, k, j, values[p]), even_n, even_u)
    return (even_n + odd_n) + share * (even_u + odd_u)


@kernel_in_order
def dot_of_bands(X, i, columns, k, share, threshold):
    """The product of a row with the weights of output ``k`` where the next gradient is taken."""
    values, indices, indptr = X
    zero = columns.parts.dtype.type(0)
    even = odd = zero
    p, last, one, two = np.uintp(indptr[i]), np.uintp(indptr[i + 1]), np.uintp(1), np.uintp(2)
    while p + two <= last:
        even += values[p] * weight_there(columns, k, np.uintp(indices[p]), share, threshold, zero)
        odd += values[p + one] * weight_there(columns, k, np.uintp(indices[p + one]), share, threshold, zero)
        p += two
    if p < last:
        even += values[p] * weight_there(columns, k, np.uintp(indices[p]), share, threshold, zero)
    return even + odd


@kernel
def score_at_columns(X, i, memory, columns, k):
    """The score of a row in output ``k`` where the next gradient is taken."""
    real = columns.parts.dtype.type
    share, threshold = real(columns.shares[k, 0]), real(columns.shares[k, 1])
    if threshold == real(0) and columns.bands.shape[0] == 0:
        dot = dot_of_alike(X, i, columns.parts, k, share) * columns.factors[k, 0]
    elif threshold == real(0):
        dot = dot_of_scaled(X, i, columns, k, share)
    else:
        dot = dot_of_bands(X, i, columns, k, share, threshold)
    return float(dot) + memory.dual.intercept[k] + columns.shares[k, 0] * memory.average.intercept[k]


@kernel
def move_by_row(X, i, k, step, weights, columns):
    """Take ``step`` times the row from ``n`` of output ``k``; and what follows from ``u``."""
    (values, indices, indptr), parts, real = X, columns.parts, columns.parts.dtype.type
    of_dual, of_added = real(-step), real(weights * step)
    if step != 0.0:
        for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + 1])):
            j = np.uintp(indices[p])
            parts[k, j, DUAL] += of_dual * values[p]
            parts[k, j, ADDED] += of_added * values[p]


@kernel
def look_at_columns(columns, memory, objective):
    """See how far the points where gradients are taken are from the first weights."""
    (start, first_intercept), real, far = memory.start, columns.parts.dtype.type, 0.0
    n_outputs, zero = columns.parts.shape[0], real(0)
    find_shares(memory.pace, objective, columns)
    for k in range(n_outputs):
        share, threshold = real(columns.shares[k, 0]), real(columns.shares[k, 1])
        moved = memory.dual.intercept[k] + share * memory.average.intercept[k] - first_intercept[k]
        far += float(moved) * float(moved)
        for j in range(columns.parts.shape[1]):
            gone = float(weight_there(columns, k, np.uintp(j), share, threshold, zero) - start[k, j])
            far += gone * gone * float(columns.scales[band_of(columns, np.uintp(j))])
        far = note_distance(memory.pace, k, n_outputs, far)


@kernel
def move_outputs(X, i, t, square, objective, memory, buffer, columns, slopes):
    """Make update ``t`` with the slopes of a row, and the square of what it adds."""
    n_outputs, n_paces, of_all, eta, weights = columns.parts.shape[0], memory.pace.shape[0], 0.0, 0.0, 0.0
    for k in range(n_outputs):
        of_all += slopes[0, k] * slopes[0, k] * square
    for k in range(n_outputs):
        slope = slopes[0, k]
        if k < n_paces:
            squared_norm = slope * slope * square if n_paces == n_outputs else of_all
            eta, weights = next_rate(memory.pace, k, squared_norm, t, buffer[k, UNIT], 1.0)
        move_by_row(X, i, k, eta * slope, weights, columns)
        if objective.fit_intercept:
            memory.dual.intercept[k] -= eta * slope
            memory.average.intercept[k] += weights * eta * slope


@entry
def dual_averaging_sparse_row_epoch(stamp):
    def dual_averaging_sparse_row_epoch(
        data, order, objective, scales, memory, n_updates, buffer, columns, squares, scores, losses
    ):
        """``dual_averaging_epoch`` in batches of one CSR row, none of which names a column twice. ``squares`` are those
        of the rows in the norm of the scales' inverses; ``buffer`` is (outputs, ``N_BUFFER``)."""
        _ = stamp
        X, y, weight, class_weight = data
        look = next_look(n_updates)
        pack(memory, columns, buffer)
        find_factors(memory.pace, columns.scales, objective, columns.factors)
        for r in range(order.shape[0]):
            t = n_updates + r + 1
            bring_up_factors(memory.pace, t, columns.scales, objective, columns.factors)
            if t == look:
                look_at_columns(columns, memory, objective)
                look = next_look(t)
            find_shares(memory.pace, objective, columns)
            prefetch_place(X, y, weight, order, r + AHEAD)
            prefetch(squares, row_at(order, r + AHEAD))
            for k in range(losses.shape[0]):
                scores[0, k] = score_at_columns(X, order[r], memory, columns, k)
            slopes_from_scores(objective.outputs, order, r, r + 1, y, weight, class_weight, scores, objective, losses)
            move_outputs(X, order[r], t, squares[order[r]], objective, memory, buffer, columns, scores)
        unpack(columns, memory, buffer)

    return dual_averaging_sparse_row_epoch
