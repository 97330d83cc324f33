"""``engine.dual_averaging`` in batches of several CSR rows, at the cost of three passes over their values: exact.

One for the scores, one that adds the gradient up and finds its norm, one that moves. Where the columns are in a cache,
that one goes over a list of those of the batch, each once; where memory is waited for, writing it takes as long.
"""

import numpy as np

from minibatch.engine.compile import entry, kernel, kernel_in_order
from minibatch.engine.dual_averaging import next_look
from minibatch.engine.dual_averaging_sparse import (
    ADDED,
    DUAL,
    GRADIENT,
    band_of,
    find_shares,
    look_at_columns,
    pack,
    score_at_columns,
    unpack,
)
from minibatch.engine.dual_averaging_sums import (
    OF_INTERCEPT,
    SQUARED_NORM,
    UNIT,
    bring_up_factors,
    find_factors,
    next_rate,
)
from minibatch.engine.linear import slopes_from_scores
from minibatch.engine.row_blocks import AHEAD, prefetch_place

__all__ = [
    "add_gradient_of_rows", "add_part", "dual_averaging_sparse_epoch", "move_by_gradient", "move_column",
    "move_outputs_by_batch", "norm_of_batch", "scores_of_batch", "sum_of_slopes",
]  # fmt: skip


@kernel
def scores_of_batch(data, order, start, stop, memory, columns, scores):
    for r in range(start, stop):
        prefetch_place(data.X, data.y, data.weight, order, r + AHEAD)
        for k in range(columns.parts.shape[0]):
            scores[r - start, k] = score_at_columns(data.X, order[r], memory, columns, k)


@kernel
def add_part(columns, k, j, part):
    """Add to a column's gradient. Returns what it was, and by how much its squared norm grows."""
    before = columns.parts[k, j, GRADIENT]
    after = before + part
    columns.parts[k, j, GRADIENT] = after
    return before, float(part * (before + after)) * columns.inverses[band_of(columns, j)]


@kernel
def add_gradient_of_rows(X, order, start, stop, k, slopes, share_of_row, columns):
    """Add up the gradient of output ``k``, and list its columns; returns its squared norm. A list without room for
    another row is called full."""
    (values, indices, indptr), listed, real = X, columns.listed, columns.parts.dtype.type
    squared_norm, one, none, room = 0.0, np.uintp(1), np.uintp(0), np.uintp(listed.shape[1])
    n_listed = one
    for r in range(start, stop):
        slope = slopes[r - start, k]
        if slope != 0.0:
            factor = real(slope * share_of_row)
            first, last = np.uintp(indptr[order[r]]), np.uintp(indptr[order[r] + 1])
            if n_listed + (last - first) <= room:
                for p in range(first, last):
                    before, growth = add_part(columns, k, np.uintp(indices[p]), factor * values[p])
                    squared_norm += growth
                    listed[k, n_listed] = indices[p]
                    n_listed += one if before == real(0) else none
            else:
                n_listed = room
                for p in range(first, last):
                    squared_norm += add_part(columns, k, np.uintp(indices[p]), factor * values[p])[1]
    if room > none:
        listed[k, 0] = n_listed
    return squared_norm


@kernel
def move_column(parts, k, j, of_dual, of_added):
    """By its gradient, which is 0 then."""
    g = parts[k, j, GRADIENT]
    parts[k, j, GRADIENT] = parts.dtype.type(0)
    parts[k, j, DUAL] += of_dual * g
    parts[k, j, ADDED] += of_added * g


@kernel
def move_by_gradient(X, order, start, stop, k, eta, weights, slopes, columns):
    """Take the gradient of output ``k``, times the rate, from ``n``; and what follows from ``u``. A list that is full
    may lack columns: stored zeros, and sums that come to 0 on the way, are listed again and again."""
    (_, indices, indptr), parts, listed = X, columns.parts, columns.listed
    real, n_places = parts.dtype.type, listed.shape[1]
    of_dual, of_added = real(-eta), real(weights * eta)
    if n_places > 0 and listed[k, 0] < n_places:
        for place in range(1, listed[k, 0]):
            move_column(parts, k, np.uintp(listed[k, place]), of_dual, of_added)
        return
    for r in range(start, stop):
        if slopes[r - start, k] != 0.0:
            for p in range(np.uintp(indptr[order[r]]), np.uintp(indptr[order[r] + 1])):
                move_column(parts, k, np.uintp(indices[p]), of_dual, of_added)


@kernel_in_order
def sum_of_slopes(slopes, n_rows, k):
    total = 0.0
    for r in range(n_rows):
        total += slopes[r, k]
    return total


@kernel
def norm_of_batch(X, order, start, stop, batch_size, k, objective, columns, slopes, buffer):
    """Note of the gradient of output ``k`` what belongs to the intercept, and the squared norm."""
    of_intercept = sum_of_slopes(slopes, stop - start, k) / batch_size if objective.fit_intercept else 0.0
    of_columns = add_gradient_of_rows(X, order, start, stop, k, slopes, 1.0 / batch_size, columns)
    buffer[k, OF_INTERCEPT], buffer[k, SQUARED_NORM] = of_intercept, of_columns + of_intercept * of_intercept


@kernel
def move_outputs_by_batch(X, order, start, stop, batch_size, t, objective, memory, buffer, columns, slopes):
    """Make update ``t`` with the slopes of the rows."""
    n_outputs, n_paces, of_all, eta, weights = columns.parts.shape[0], memory.pace.shape[0], 0.0, 0.0, 0.0
    part = (stop - start) / batch_size
    for k in range(n_outputs):
        norm_of_batch(X, order, start, stop, batch_size, k, objective, columns, slopes, buffer)
        of_all += buffer[k, SQUARED_NORM]
    for k in range(n_outputs):
        if k < n_paces:
            squared_norm = buffer[k, SQUARED_NORM] if n_paces == n_outputs else of_all
            eta, weights = next_rate(memory.pace, k, squared_norm, t, buffer[k, UNIT], part)
        move_by_gradient(X, order, start, stop, k, eta, weights, slopes, columns)
        memory.dual.intercept[k] -= eta * buffer[k, OF_INTERCEPT]
        memory.average.intercept[k] += weights * eta * buffer[k, OF_INTERCEPT]


@entry
def dual_averaging_sparse_epoch(stamp):
    def dual_averaging_sparse_epoch(
        data, order, batch_size, objective, scales, memory, n_updates, buffer, columns, scores, losses
    ):
        """``dual_averaging_epoch`` on CSR rows that name no column twice. ``buffer`` is (outputs, ``N_BUFFER``)."""
        _ = stamp
        X, y, weight, class_weight = data
        t, look = n_updates, next_look(n_updates)
        pack(memory, columns, buffer)
        find_factors(memory.pace, columns.scales, objective, columns.factors)
        for start in range(0, order.shape[0], batch_size):
            stop, t = min(start + batch_size, order.shape[0]), t + 1
            bring_up_factors(memory.pace, t, columns.scales, objective, columns.factors)
            if t == look:
                look_at_columns(columns, memory, objective)
                look = next_look(t)
            find_shares(memory.pace, objective, columns)
            scores_of_batch(data, order, start, stop, memory, columns, scores)
            slopes_from_scores(
                objective.outputs, order, start, stop, y, weight, class_weight, scores, objective, losses
            )
            move_outputs_by_batch(X, order, start, stop, batch_size, t, objective, memory, buffer, columns, scores)
        unpack(columns, memory, buffer)

    return dual_averaging_sparse_epoch
