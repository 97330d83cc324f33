"""``engine.dual_averaging`` in batches of one dense row, whatever the loss, the penalty and the columns.

As in ``engine.dual_averaging_sums``, rows go into ``n`` and into ``u = S (m - n)``, so that an update is two passes
over its row: one for the score, one that moves. There is none over the weights.
"""

from minibatch.engine.compile import entry, kernel
from minibatch.engine.dual_averaging import POINT_SUM, WEIGHTS, find_factors, next_look, note_memory
from minibatch.engine.dual_averaging_sums import (
    UNIT,
    bring_up_factors,
    dot_of_point,
    from_sums,
    look_around,
    next_rate,
    share_of_sums,
    to_sums,
)
from minibatch.engine.linear import slopes_from_scores
from minibatch.engine.row_blocks import AHEAD, prefetch_place, row_at
from minibatch.engine.rows import prefetch

__all__ = ["dual_averaging_one_row_epoch", "move_outputs_by_row", "score_at_point"]


@kernel
def score_at_point(X, i, objective, memory, factors, scores):
    """Fill ``scores[0]``."""
    (n, dual_intercept), (u, average_intercept), pace, real = *memory[:2], memory.pace, memory.dual.weights.dtype.type
    for k in range(n.shape[0]):
        p = min(k, pace.shape[0] - 1)
        share, threshold = share_of_sums(pace[p, WEIGHTS]), objective.l1 * pace[p, POINT_SUM]
        dot = dot_of_point(X, i, n, u, k, factors, real(share), real(threshold))
        scores[0, k] = float(dot) + dual_intercept[k] + share * average_intercept[k]


@kernel
def move_outputs_by_row(X, i, t, square, objective, memory, buffer, slopes):
    """Make update ``t`` with the slopes of a row, and the square of what it adds."""
    (n, dual_intercept), (u, average_intercept), pace = memory.dual, memory.average, memory.pace
    n_paces, real, of_all, eta, weights = pace.shape[0], n.dtype.type, 0.0, 0.0, 0.0
    for k in range(n.shape[0]):
        of_all += slopes[0, k] * slopes[0, k] * square
    for k in range(n.shape[0]):
        slope = slopes[0, k]
        if k < n_paces:
            squared_norm = slope * slope * square if n_paces == n.shape[0] else of_all
            eta, weights = next_rate(pace, k, squared_norm, t, buffer[k, UNIT], 1.0)
        if slope != 0.0:
            of_dual, of_added = real(eta * slope), real(weights * eta * slope)
            for j in range(n.shape[1]):
                n[k, j] -= of_dual * X[i, j]
                u[k, j] += of_added * X[i, j]
            if objective.fit_intercept:
                dual_intercept[k] -= eta * slope
                average_intercept[k] += weights * eta * slope


@entry
def dual_averaging_one_row_epoch(stamp):
    def dual_averaging_one_row_epoch(
        data, orders, objective, scales, memory, n_updates, buffer, factors, squares, scores, losses, notes
    ):
        """``dual_averaging_epoch`` for batches of one row. ``squares`` are the squared norms of what rows add;
        ``buffer`` is (outputs, ``N_BUFFER``), ``factors`` (outputs, scales), ``scores`` (1, outputs)."""
        _ = stamp
        X, y, weight, class_weight = data
        t, look = n_updates, next_look(n_updates)
        for e in range(orders.shape[0]):
            order = orders[e]
            to_sums(memory, buffer)
            find_factors(memory.pace, scales, objective, factors)
            for r in range(order.shape[0]):
                t += 1
                bring_up_factors(memory.pace, t, scales, objective, factors)
                if t == look:
                    look_around(memory, scales, objective, factors)
                    look = next_look(t)
                prefetch_place(X, y, weight, order, r + AHEAD)
                prefetch(squares, row_at(order, r + AHEAD))
                score_at_point(X, order[r], objective, memory, factors, scores)
                slopes_from_scores(
                    objective.outputs, order, r, r + 1, y, weight, class_weight, scores, objective, losses[e]
                )
                move_outputs_by_row(X, order[r], t, squares[order[r]], objective, memory, buffer, scores)
            from_sums(memory, buffer)
            note_memory(memory, objective, notes, e)

    return dual_averaging_one_row_epoch
