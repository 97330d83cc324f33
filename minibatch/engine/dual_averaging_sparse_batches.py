"""``engine.dual_averaging`` in batches of several CSR rows, at the cost of two passes over their values: exact.

The rate follows the norm of the gradient, so that nothing can move before it is added up; but what moves are columns of
this batch, whose next values are read when another has them. So the first pass, which finds scores, settles columns:
moves them by their gradient in the last batch that had them. The second adds the gradient up, and finds its norm.
What each update adds for a unit of the gradient is remembered; when there is no room for more, all columns are settled.
"""

import numpy as np

from minibatch.engine.compile import entry, kernel, kernel_in_order
from minibatch.engine.dual_averaging import find_factors, next_look
from minibatch.engine.dual_averaging_sparse import find_shares, look_at_columns, pack, score_at_columns, settled, unpack
from minibatch.engine.dual_averaging_sums import (
    OF_INTERCEPT,
    SQUARED_NORM,
    UNIT,
    bring_up_factors,
    next_rate,
)
from minibatch.engine.linear import slopes_from_scores
from minibatch.engine.row_blocks import AHEAD, prefetch_place

__all__ = [
    "REMEMBERED", "add_gradient_of_rows", "add_part", "dual_averaging_sparse_epoch", "move_outputs_by_batch",
    "norm_of_batch", "scores_of_batch", "settle_all", "sum_of_slopes",
]  # fmt: skip

# Updates that are remembered, at most: settling all columns takes a pass over them. A column of float32 has 16 bits for
# the number of its last.
REMEMBERED = 4096


@kernel
def settle_all(columns, moves):
    for k in range(columns.parts.shape[0]):
        for j in range(columns.parts.shape[1]):
            settled(columns.parts, moves, 0, k, np.uintp(j))


@kernel
def scores_of_batch(data, order, start, stop, memory, columns, m, scores):
    """The scores of the rows; the update that they are for is ``m`` of those remembered."""
    for r in range(start, stop):
        i = np.uintp(order[r])
        prefetch_place(data.X, data.y, data.weight, order, r + AHEAD)
        for k in range(columns.parts.shape[0]):
            scores[r - start, k] = score_at_columns(data.X, i, memory, columns, columns.moves, m, k)


@kernel
def add_part(columns, k, j, part):
    """Add to a column's gradient. Returns by how much its squared norm grows."""
    column = columns.parts[k, j]
    before = column["gradient"]
    after = before + part
    column["gradient"] = after
    return float(part * (before + after)) * columns.inverses[np.uintp(column["band"])]


@kernel
def add_gradient_of_rows(X, order, start, stop, k, slopes, share_of_row, columns):
    """Add up the gradient of output ``k``; returns its squared norm."""
    (values, indices, indptr), real, squared_norm = X, columns.factors.dtype.type, 0.0
    for r in range(np.uintp(stop - start)):
        slope, i = slopes[r, np.uintp(k)], np.uintp(order[np.uintp(start) + r])
        if slope != 0.0:
            factor = real(slope * share_of_row)
            for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + np.uintp(1)])):
                squared_norm += add_part(columns, k, np.uintp(indices[p]), factor * values[p])
    return squared_norm


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
def move_outputs_by_batch(X, order, start, stop, batch_size, t, m, objective, memory, buffer, columns, slopes):
    """Find the gradient, from the slopes of the rows, and make update ``t``: of the intercepts here, and of columns as
    number ``m`` of those remembered."""
    n_outputs, n_paces, of_all, eta, weights = columns.parts.shape[0], memory.pace.shape[0], 0.0, 0.0, 0.0
    part, real = (stop - start) / batch_size, columns.factors.dtype.type
    for k in range(n_outputs):
        norm_of_batch(X, order, start, stop, batch_size, k, objective, columns, slopes, buffer)
        of_all += buffer[k, SQUARED_NORM]
    for k in range(n_outputs):
        if k < n_paces:
            squared_norm = buffer[k, SQUARED_NORM] if n_paces == n_outputs else of_all
            eta, weights = next_rate(memory.pace, k, squared_norm, t, buffer[k, UNIT], part)
        move = columns.moves[0][k, m]
        move["n"], move["u"] = real(-eta), real(weights * eta)
        memory.dual.intercept[k] -= eta * buffer[k, OF_INTERCEPT]
        memory.average.intercept[k] += weights * eta * buffer[k, OF_INTERCEPT]


@entry
def dual_averaging_sparse_epoch(stamp):
    def dual_averaging_sparse_epoch(
        data, order, batch_size, objective, scales, memory, n_updates, buffer, columns, scores, losses
    ):
        """``dual_averaging_epoch`` on CSR rows that name no column twice. ``buffer`` is (outputs, ``N_BUFFER``); what
        is in ``columns.moves`` are zeros, one update of which stays: it is that of columns which are settled."""
        _ = stamp
        X, y, weight, class_weight = data
        t, m, look = n_updates, 0, next_look(n_updates)
        pack(memory, columns, columns.moves, buffer)
        find_factors(memory.pace, columns.scales, objective, columns.factors)
        for start in range(0, order.shape[0], batch_size):
            stop, t, m = min(start + batch_size, order.shape[0]), t + 1, m + 1
            bring_up_factors(memory.pace, t, columns.scales, objective, columns.factors)
            if t == look:
                look_at_columns(columns, columns.moves, memory, objective)
                m, look = 1, next_look(t)
            elif m == columns.moves[0].shape[1]:
                settle_all(columns, columns.moves)
                m = 1
            find_shares(memory.pace, objective, columns)
            scores_of_batch(data, order, start, stop, memory, columns, m, scores)
            slopes_from_scores(
                objective.outputs, order, start, stop, y, weight, class_weight, scores, objective, losses
            )
            move_outputs_by_batch(X, order, start, stop, batch_size, t, m, objective, memory, buffer, columns, scores)
        unpack(columns, columns.moves, memory, buffer)

    return dual_averaging_sparse_epoch
