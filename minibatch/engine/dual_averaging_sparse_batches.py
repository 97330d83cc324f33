"""``engine.dual_averaging`` of one output in batches of several CSR rows, at the cost of two passes over their values:
exact.

The rate may follow the norm of the gradient, so that nothing can move before it is added up; but what moves are columns
of this batch, whose next values are read when another has them. So the first pass, which finds scores, settles columns
(``engine.dual_averaging_sparse``): moves them by their gradient in the last batch that had them. The second adds the
gradient up, and finds its norm.
"""

import numpy as np

from minibatch.engine.compile import entry, kernel, kernel_in_order
from minibatch.engine.dual_averaging import POINT_SUM, WEIGHTS, find_factors, next_look
from minibatch.engine.dual_averaging_sparse import dot_of_row, pack, place_to_remember, remember, unpack
from minibatch.engine.dual_averaging_sums import (
    OF_INTERCEPT,
    SQUARED_NORM,
    SUM_BEFORE,
    bring_up_factors,
    move_intercepts,
    rate_at,
    share_of_sums,
)
from minibatch.engine.linear import slopes_from_scores
from minibatch.engine.row_blocks import AHEAD, prefetch_place

__all__ = [
    "add_gradient_of_rows", "add_part", "dual_averaging_sparse_epoch", "move_by_batch", "scores_of_batch",
    "sum_of_slopes",
]  # fmt: skip


@kernel
def scores_of_batch(data, order, start, stop, objective, memory, columns, m, scores):
    """The scores of the rows; the update that they are for is ``m`` of those remembered."""
    share, threshold = share_of_sums(memory.pace[0, WEIGHTS]), objective.l1 * memory.pace[0, POINT_SUM]
    intercept = memory.dual.intercept[0] + share * memory.average.intercept[0]
    for r in range(start, stop):
        prefetch_place(data.X, data.y, data.weight, order, r + AHEAD)
        dot = dot_of_row(data.X, np.uintp(order[r]), columns, m, False, share, threshold)
        scores[r - start, 0] = dot + intercept


@kernel
def add_part(columns, j, part):
    """Add to a column's gradient. Returns by how much its squared norm grows."""
    column = columns.parts[j]
    before = column["gradient"]
    after = before + part
    column["gradient"] = after
    return float(part * (before + after)) * columns.inverses[np.uintp(column["band"])]


@kernel
def add_gradient_of_rows(X, order, start, stop, slopes, share_of_row, columns):
    """Add up the gradient; returns its squared norm."""
    (values, indices, indptr), real, squared_norm = X, columns.factors.dtype.type, 0.0
    for r in range(np.uintp(stop - start)):
        slope, i = slopes[r, 0], np.uintp(order[np.uintp(start) + r])
        if slope != 0.0:
            factor = real(slope * share_of_row)
            for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + np.uintp(1)])):
                squared_norm += add_part(columns, np.uintp(indices[p]), factor * values[p])
    return squared_norm


@kernel_in_order
def sum_of_slopes(slopes, n_rows, k):
    total = 0.0
    for r in range(n_rows):
        total += slopes[r, k]
    return total


@kernel
def move_by_batch(X, order, start, stop, batch_size, t, m, objective, memory, buffer, columns, slopes):
    """Find the gradient, from the slopes of the rows, and make update ``t``: of the intercept here, and of columns as
    number ``m`` of those remembered."""
    of_intercept = sum_of_slopes(slopes, stop - start, 0) / batch_size if objective.fit_intercept else 0.0
    of_columns = add_gradient_of_rows(X, order, start, stop, slopes, 1.0 / batch_size, columns)
    buffer[0, OF_INTERCEPT], buffer[0, SQUARED_NORM] = of_intercept, of_columns + of_intercept * of_intercept
    move_intercepts(t, (stop - start) / batch_size, memory, buffer)
    eta = rate_at(memory.pace, 0)
    remember(columns, m, eta, buffer[0, SUM_BEFORE] * eta)


@entry
def dual_averaging_sparse_epoch(stamp):
    def dual_averaging_sparse_epoch(
        data, order, batch_size, objective, memory, n_updates, buffer, columns, scores, losses
    ):
        """``dual_averaging_epoch`` of one output on CSR rows that name no column twice. ``buffer`` is
        (1, ``N_BUFFER``)."""
        _ = stamp
        X, y, weight, class_weight = data
        t, m, look = n_updates, 0, next_look(n_updates)
        pack(memory, columns, buffer)
        find_factors(memory.pace, columns.scales, objective, columns.factors)
        for start in range(0, order.shape[0], batch_size):
            stop, t = min(start + batch_size, order.shape[0]), t + 1
            bring_up_factors(memory.pace, t, columns.scales, objective, columns.factors)
            m = place_to_remember(t, look, m, columns, memory, objective)
            look = next_look(t) if t == look else look
            remember(columns, m, 0.0, 0.0)  # for columns that an earlier row of the batch has settled
            scores_of_batch(data, order, start, stop, objective, memory, columns, m, scores)
            slopes_from_scores(
                objective.outputs, order, start, stop, y, weight, class_weight, scores, objective, losses
            )
            move_by_batch(X, order, start, stop, batch_size, t, m, objective, memory, buffer, columns, scores)
        unpack(columns, memory, buffer)

    return dual_averaging_sparse_epoch
