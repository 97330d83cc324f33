"""``engine.dual_averaging`` in batches of one dense row of a softmax, without L1.

The outputs have one pace, and a slope needs the scores of all. So here four updates are made in a pass over the dual
vectors of all outputs (as in ``engine.dual_averaging_fours`` in one over those of each): their rows are multiplied with
these and with each other, and what an update adds to the scores of later ones is its steps times a number that is the
same for every output. Before update ``FOURS``, and where fewer than four rows are left, one update is a pass: four of
which three have no steps.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.compile import entry, joining, kernel
from minibatch.engine.dual_averaging import (
    FOURS,
    POINT_SUM,
    WEIGHTS,
    brings_up,
    find_factors,
    next_look,
    note_memory,
)
from minibatch.engine.dual_averaging_fours import ask_for_numbers
from minibatch.engine.dual_averaging_sums import (
    UNIT,
    bring_up_sums,
    from_sums,
    look_around,
    next_rate,
    share_of_sums,
    to_sums,
)
from minibatch.engine.four_rows import add_four_rows_to_both, dots_with_both, prefetch_rows
from minibatch.engine.linear import slopes_from_scores
from minibatch.engine.row_blocks import AHEAD, two_rows

__all__ = [
    "FourRows", "dual_averaging_softmax_epoch", "move_outputs_by_four_rows", "products_of_four_rows_and_outputs",
    "scale_four_rows", "steps_of_rows", "update_softmax",
]  # fmt: skip


class FourRows(NamedTuple):
    """Buffers of a pass."""

    rows: np.ndarray  # (4, features): times the factors that make weights of dual vectors
    products: np.ndarray  # (4, 4): of rows with each other, each of two columns times its factor
    dots: np.ndarray  # (8, outputs): of the rows with ``n``, and with ``u``
    scores: np.ndarray  # (4, outputs): then slopes, then steps
    sums: np.ndarray  # (4,): ``S`` before each update


@kernel
def scale_four_rows(X, i0, i1, i2, i3, scales, shrinks, four):
    """Fill the rows, and their products with each other."""
    rows, products, alike = four.rows, four.products, scales.shape[0] == 1
    one, zero = scales.dtype.type(1), scales.dtype.type(0)
    g01 = g02 = g03 = g12 = g13 = g23 = zero
    of_all = one / (scales[0] + shrinks)
    for j in range(rows.shape[1]):
        factor = of_all if alike else one / (scales[j] + shrinks)
        x0, x1, x2, x3 = X[i0, j], X[i1, j], X[i2, j], X[i3, j]
        y0, y1, y2 = x0 * factor, x1 * factor, x2 * factor
        rows[0, j], rows[1, j], rows[2, j], rows[3, j] = y0, y1, y2, x3 * factor
        g01 += y0 * x1
        g02 += y0 * x2
        g03 += y0 * x3
        g12 += y1 * x2
        g13 += y1 * x3
        g23 += y2 * x3
    products[0, 1], products[0, 2], products[0, 3] = g01, g02, g03
    products[1, 2], products[1, 3], products[2, 3] = g12, g13, g23


@kernel
def products_of_four_rows_and_outputs(memory, four):
    n, u, rows, dots = memory.dual.weights, memory.average.weights, four.rows, four.dots
    for k in range(n.shape[0]):
        d0, d1, d2, d3, e0, e1, e2, e3 = dots_with_both(rows, 0, 1, 2, 3, n, u, k, ())
        dots[0, k], dots[1, k], dots[2, k], dots[3, k] = d0, d1, d2, d3
        dots[4, k], dots[5, k], dots[6, k], dots[7, k] = e0, e1, e2, e3


@kernel
def steps_of_rows(data, order, r, n_rows, t, objective, memory, buffer, squares, four, losses):
    """Make the updates of the pace from ``t`` on, and find the steps of all outputs; those of rows that are not there
    are 0."""
    (_, y, weight, class_weight), pace, one = data, memory.pace, 1.0 if objective.fit_intercept else 0.0
    n, u, dots, scores = memory.dual.intercept, memory.average.intercept, four.dots, four.scores
    scores[n_rows:] = 0.0
    for a in range(n_rows):
        share, squared_slopes = share_of_sums(pace[0, WEIGHTS]), 0.0
        for k in range(n.shape[0]):
            scores[a, k] = (dots[a, k] + share * dots[4 + a, k]) + (n[k] + share * u[k])
        for before in range(a):
            moved = (1.0 - share * four.sums[before]) * (four.products[before, a] + one)
            for k in range(n.shape[0]):
                scores[a, k] -= moved * scores[before, k]
        slopes_from_scores(
            objective.outputs, order, r + a, r + a + 1, y, weight, class_weight, scores[a : a + 1], objective, losses
        )
        for k in range(n.shape[0]):
            squared_slopes += scores[a, k] * scores[a, k]
        squared_norm = squared_slopes * squares[order[r + a]]
        eta, four.sums[a] = next_rate(pace, 0, squared_norm, t + a, buffer[0, UNIT], 1.0)
        for k in range(n.shape[0]):
            scores[a, k] *= eta


@kernel
def move_outputs_by_four_rows(X, i0, i1, i2, i3, objective, memory, four):
    """Take the steps times the rows from ``n``; and what follows from ``u``."""
    (n, dual_intercept), (u, average_intercept), steps = memory.dual, memory.average, four.scores
    s0, s1, s2, s3 = four.sums
    for k in range(n.shape[0]):
        a0, a1, a2, a3 = steps[0, k], steps[1, k], steps[2, k], steps[3, k]
        u0, u1, u2, u3 = s0 * a0, s1 * a1, s2 * a2, s3 * a3
        add_four_rows_to_both(X, i0, i1, i2, i3, (-a0, -a1, -a2, -a3), (u0, u1, u2, u3), n, u, k, ())
        if objective.fit_intercept:
            dual_intercept[k] -= (a0 + a1) + (a2 + a3)
            average_intercept[k] += (u0 + u1) + (u2 + u3)


@joining
def update_softmax(data, order, r, n_rows, t, objective, scales, memory, buffer, squares, four, losses):
    """Update with the one row or four from place ``r`` on."""
    X, last, real = data.X, n_rows - 1, four.rows.dtype.type
    i0, i1, i2, i3 = order[r], order[r + min(1, last)], order[r + min(2, last)], order[r + last]
    ask_for_numbers(data, order, r, squares)
    prefetch_rows(X, two_rows(order, r + AHEAD))
    scale_four_rows(X, i0, i1, i2, i3, scales, real(objective.l2 * memory.pace[0, POINT_SUM]), four)
    products_of_four_rows_and_outputs(memory, four)
    prefetch_rows(X, two_rows(order, r + AHEAD + 2))
    steps_of_rows(data, order, r, n_rows, t, objective, memory, buffer, squares, four, losses)
    move_outputs_by_four_rows(X, i0, i1, i2, i3, objective, memory, four)


@entry
def dual_averaging_softmax_epoch(stamp):
    def dual_averaging_softmax_epoch(
        data, orders, objective, scales, memory, n_updates, buffer, factors, squares, four, losses, notes
    ):
        """``dual_averaging_one_row_epoch`` for a softmax without L1; ``four`` are buffers, see ``FourRows``."""
        _ = stamp
        pace, look, t = memory.pace, next_look(n_updates), n_updates + 1
        for e in range(orders.shape[0]):
            order, r = orders[e], 0
            to_sums(memory, buffer)
            while r < order.shape[0]:
                if brings_up(t):
                    bring_up_sums(pace)
                if t == look:
                    find_factors(pace, scales, objective, factors)
                    look_around(memory, scales, objective, factors)
                    look = next_look(t)
                n_rows = 4 if t >= FOURS and t % 4 == 0 and r + 4 <= order.shape[0] else 1
                update_softmax(data, order, r, n_rows, t, objective, scales, memory, buffer, squares, four, losses[e])
                r, t = r + n_rows, t + n_rows
            from_sums(memory, buffer)
            note_memory(memory, objective, notes, e)

    return dual_averaging_softmax_epoch
