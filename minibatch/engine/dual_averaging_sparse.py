"""``engine.dual_averaging`` on CSR rows, at the cost of the stored values alone: exact, whatever the penalty.

As with dense rows (``engine.dual_averaging_rows``), rows go into ``n`` and into ``u = S (m - n)``, which a column that
is not in the batch leaves as they are; the penalties are two numbers an output. The scales of columns are powers of two
apart, in *bands*, so that there are few numbers to divide by: one for each band and update, not for each value.

What belongs to a column lies together, and memory is waited for once: ``n``, ``u`` and, in batches of several rows, its
place in their gradient.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.compile import entry, kernel, kernel_in_order
from minibatch.engine.dual_averaging import (
    AVERAGE_SUM,
    SUM,
    WEIGHTS,
    next_look,
    note_distance,
    write_model,
)
from minibatch.engine.dual_averaging_rows import (
    OF_INTERCEPT,
    SQUARED_NORM,
    UNIT,
    from_sums,
    next_rate,
    share_of_sums,
    to_sums,
)
from minibatch.engine.linear import AHEAD, prefetch_place, slopes_from_scores
from minibatch.engine.optimizers import soft_threshold

__all__ = [
    "ADDED", "DUAL", "GRADIENT", "Columns", "add_gradient_of_rows", "band_of", "dot_of_alike", "dot_of_bands",
    "dot_of_scaled", "dual_averaging_sparse_epoch", "find_factors", "look_at_columns", "move_by_gradient",
    "move_by_row", "move_outputs", "norm_of_batch", "pack", "scaled", "score_row", "scores_of_batch", "unpack",
    "weight_there",
]  # fmt: skip

# What is kept of a column: of n and of u, and its place in the gradient of the batch.
DUAL, ADDED, GRADIENT = range(3)


class Columns(NamedTuple):
    """What the loop makes of the memory. Bands are numbered; there are none where all columns are alike."""

    parts: np.ndarray  # (outputs, features, 2 or 3)
    bands: np.ndarray  # of the columns
    scales: np.ndarray  # of the bands
    inverses: np.ndarray  # of these scales, in float64
    factors: np.ndarray  # (outputs, bands): from a dual vector to weights, where the next gradient is taken
    shares: np.ndarray  # (outputs, 2): of u there, and the threshold


@kernel
def band_of(columns, j):
    return np.uintp(columns.bands[j]) if columns.bands.shape[0] > 0 else np.uintp(0)


@kernel
def pack(memory, columns):
    parts = columns.parts
    for k in range(parts.shape[0]):
        for j in range(parts.shape[1]):
            parts[k, j, DUAL], parts[k, j, ADDED] = memory.dual.weights[k, j], memory.average.weights[k, j]
            if parts.shape[2] > 2:
                parts[k, j, GRADIENT] = 0.0


@kernel
def unpack(columns, memory):
    parts = columns.parts
    for k in range(parts.shape[0]):
        for j in range(parts.shape[1]):
            memory.dual.weights[k, j], memory.average.weights[k, j] = parts[k, j, DUAL], parts[k, j, ADDED]


@kernel
def find_factors(pace, objective, columns):
    """See to where the next gradient is taken."""
    n_outputs, real = columns.parts.shape[0], columns.parts.dtype.type
    last, one = pace.shape[0] - 1, real(1)
    for k in range(n_outputs):
        p = min(k, last)
        share = share_of_sums(pace[p, WEIGHTS])
        rates = pace[p, SUM] + share * pace[p, AVERAGE_SUM]
        columns.shares[k, 0], columns.shares[k, 1] = share, objective.l1 * rates
        shrinks = real(objective.l2 * rates)
        for b in range(columns.scales.shape[0]):
            columns.factors[k, b] = one / (columns.scales[b] + shrinks)


@kernel
def weight_there(columns, k, j, share, threshold, zero):
    """The weight of a column where the next gradient is taken."""
    between = columns.parts[k, j, DUAL] + share * columns.parts[k, j, ADDED]
    return soft_threshold(between, threshold, zero) * columns.factors[k, band_of(columns, j)]


@kernel_in_order
def dot_of_alike(X, i, parts, k, share):
    """The product of a row with ``n`` and ``share`` times ``u``. Two sums, in order, as in ``engine.rows``."""
    values, indices, indptr = X
    even = odd = parts.dtype.type(0)
    p, last = indptr[i], indptr[i + 1]
    while p + 2 <= last:
        j = np.uintp(indices[p])
        even += values[p] * (parts[k, j, DUAL] + share * parts[k, j, ADDED])
        j = np.uintp(indices[p + 1])
        odd += values[p + 1] * (parts[k, j, DUAL] + share * parts[k, j, ADDED])
        p += 2
    if p < last:
        j = np.uintp(indices[p])
        even += values[p] * (parts[k, j, DUAL] + share * parts[k, j, ADDED])
    return even + odd


@kernel
def scaled(columns, k, j, share):
    """``weight_there`` where there is no threshold."""
    between = columns.parts[k, j, DUAL] + share * columns.parts[k, j, ADDED]
    return between * columns.factors[k, band_of(columns, j)]


@kernel_in_order
def dot_of_scaled(X, i, columns, k, share):
    """``dot_of_bands`` where there is no threshold."""
    values, indices, indptr = X
    even = odd = columns.parts.dtype.type(0)
    p, last = indptr[i], indptr[i + 1]
    while p + 2 <= last:
        even += values[p] * scaled(columns, k, np.uintp(indices[p]), share)
        odd += values[p + 1] * scaled(columns, k, np.uintp(indices[p + 1]), share)
        p += 2
    if p < last:
        even += values[p] * scaled(columns, k, np.uintp(indices[p]), share)
    return even + odd


@kernel_in_order
def dot_of_bands(X, i, columns, k, share, threshold):
    """The product of a row with the weights of output ``k`` where the next gradient is taken."""
    values, indices, indptr = X
    zero = columns.parts.dtype.type(0)
    even = odd = zero
    p, last = indptr[i], indptr[i + 1]
    while p + 2 <= last:
        even += values[p] * weight_there(columns, k, np.uintp(indices[p]), share, threshold, zero)
        odd += values[p + 1] * weight_there(columns, k, np.uintp(indices[p + 1]), share, threshold, zero)
        p += 2
    if p < last:
        even += values[p] * weight_there(columns, k, np.uintp(indices[p]), share, threshold, zero)
    return even + odd


@kernel
def score_row(X, i, columns, k):
    """The product of a row with the weights of output ``k`` where the next gradient is taken."""
    real = columns.parts.dtype.type
    share, threshold = real(columns.shares[k, 0]), real(columns.shares[k, 1])
    if threshold == real(0) and columns.bands.shape[0] == 0:
        return dot_of_alike(X, i, columns.parts, k, share) * columns.factors[k, 0]
    if threshold == real(0):
        return dot_of_scaled(X, i, columns, k, share)
    return dot_of_bands(X, i, columns, k, share, threshold)


@kernel
def scores_of_batch(data, order, start, stop, memory, columns, scores):
    for r in range(start, stop):
        prefetch_place(data.X, data.y, data.weight, order, r + AHEAD)
        for k in range(columns.parts.shape[0]):
            intercept = memory.dual.intercept[k] + columns.shares[k, 0] * memory.average.intercept[k]
            scores[r - start, k] = float(score_row(data.X, order[r], columns, k)) + intercept


@kernel
def add_gradient_of_rows(X, order, start, stop, k, slopes, columns):
    """Add up the gradient of output ``k``; returns its squared norm."""
    (values, indices, indptr), parts = X, columns.parts
    squared_norm, real = 0.0, parts.dtype.type
    for r in range(start, stop):
        slope = slopes[r - start, k]
        if slope != 0.0:
            factor = real(slope / (stop - start))
            for p in range(indptr[order[r]], indptr[order[r] + 1]):
                j, part = np.uintp(indices[p]), factor * values[p]
                before = parts[k, j, GRADIENT]
                parts[k, j, GRADIENT] = before + part
                squared_norm += float(part * (before + before + part)) * columns.inverses[band_of(columns, j)]
    return squared_norm


@kernel
def move_by_gradient(X, order, start, stop, k, eta, weights, slopes, columns):
    """Take the gradient of output ``k``, times the rate, from ``n``; and what follows from ``u``."""
    (_, indices, indptr), parts = X, columns.parts
    real, zero = parts.dtype.type, parts.dtype.type(0)
    of_dual, of_added = real(eta), real(weights * eta)
    for r in range(start, stop):
        if slopes[r - start, k] != 0.0:
            for p in range(indptr[order[r]], indptr[order[r] + 1]):
                j = np.uintp(indices[p])
                g = parts[k, j, GRADIENT]  # 0 where an earlier row has been
                parts[k, j, GRADIENT] = zero
                parts[k, j, DUAL] -= of_dual * g
                parts[k, j, ADDED] += of_added * g


@kernel
def move_by_row(X, i, k, step, weights, columns):
    """``move_by_gradient`` of a batch of one row, whose gradient, times the rate, is ``step`` times the row."""
    (values, indices, indptr), parts, real = X, columns.parts, columns.parts.dtype.type
    of_dual, of_added = real(step), real(weights * step)
    if step != 0.0:
        for p in range(indptr[i], indptr[i + 1]):
            j = np.uintp(indices[p])
            parts[k, j, DUAL] -= of_dual * values[p]
            parts[k, j, ADDED] += of_added * values[p]


@kernel
def look_at_columns(columns, memory, objective):
    """See how far the points where gradients are taken are from the first weights."""
    (start, first_intercept), real, far = memory.start, columns.parts.dtype.type, 0.0
    n_outputs, zero = columns.parts.shape[0], real(0)
    find_factors(memory.pace, objective, columns)
    for k in range(n_outputs):
        share, threshold = real(columns.shares[k, 0]), real(columns.shares[k, 1])
        moved = memory.dual.intercept[k] + share * memory.average.intercept[k] - first_intercept[k]
        far += float(moved) * float(moved)
        for j in range(columns.parts.shape[1]):
            gone = float(weight_there(columns, k, np.uintp(j), share, threshold, zero) - start[k, j])
            far += gone * gone * float(columns.scales[band_of(columns, np.uintp(j))])
        far = note_distance(memory.pace, k, n_outputs, far)


@kernel
def norm_of_batch(X, order, start, stop, k, objective, columns, slopes, of_row, buffer):
    """Note of the gradient of output ``k`` what belongs to the intercept, and the squared norm; ``of_row`` is that of
    the row, where there is one."""
    slope = 0.0
    for r in range(start, stop):
        slope += slopes[r - start, k]
    buffer[k, OF_INTERCEPT] = slope / (stop - start) if objective.fit_intercept else 0.0
    if columns.parts.shape[2] > 2:
        buffer[k, SQUARED_NORM] = add_gradient_of_rows(X, order, start, stop, k, slopes, columns)
    else:
        buffer[k, SQUARED_NORM] = slope * slope * of_row
    buffer[k, SQUARED_NORM] += buffer[k, OF_INTERCEPT] * buffer[k, OF_INTERCEPT]


@kernel
def move_outputs(X, order, start, stop, t, objective, memory, buffer, columns, slopes, of_row):
    """Make update ``t`` with the slopes of the rows."""
    n_outputs, single = columns.parts.shape[0], columns.parts.shape[2] == 2
    n_paces, of_all, eta, weights = memory.pace.shape[0], 0.0, 0.0, 0.0
    for k in range(n_outputs):
        norm_of_batch(X, order, start, stop, k, objective, columns, slopes, of_row, buffer)
        of_all += buffer[k, SQUARED_NORM]
    for k in range(n_outputs):
        if k < n_paces:
            squared_norm = buffer[k, SQUARED_NORM] if n_paces == n_outputs else of_all
            eta, weights = next_rate(memory.pace, k, squared_norm, t, buffer[k, UNIT])
        if single:
            move_by_row(X, order[start], k, eta * slopes[0, k], weights, columns)
        else:
            move_by_gradient(X, order, start, stop, k, eta, weights, slopes, columns)
        memory.dual.intercept[k] -= eta * buffer[k, OF_INTERCEPT]
        memory.average.intercept[k] += weights * eta * buffer[k, OF_INTERCEPT]


@entry
def dual_averaging_sparse_epoch(stamp):
    def dual_averaging_sparse_epoch(
        data, order, batch_size, objective, scales, memory, n_updates, theta, buffer, columns, squares, scores, losses
    ):
        """``dual_averaging_epoch`` on CSR rows that name no column twice. ``squares`` are those of the rows in the
        norm of the scales' inverses, where batches are of one row; ``buffer`` is (outputs, ``N_BUFFER``)."""
        _ = stamp
        X, y, weight, class_weight = data
        t, look = n_updates, next_look(n_updates)
        to_sums(memory, buffer)
        pack(memory, columns)
        for start in range(0, order.shape[0], batch_size):
            stop, t = min(start + batch_size, order.shape[0]), t + 1
            if t == look:
                look_at_columns(columns, memory, objective)
                look = next_look(t)
            find_factors(memory.pace, objective, columns)
            scores_of_batch(data, order, start, stop, memory, columns, scores)
            slopes_from_scores(order, start, stop, y, weight, class_weight, scores, objective, losses)
            of_row = squares[start] if squares.shape[0] > 0 else 0.0
            move_outputs(X, order, start, stop, t, objective, memory, buffer, columns, scores, of_row)
        unpack(columns, memory)
        from_sums(memory, buffer)
        write_model(memory, scales, objective, theta)

    return dual_averaging_sparse_epoch
