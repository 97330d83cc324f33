"""``engine.dual_averaging_fours`` for many outputs: what four updates are made of is found for all of them at once.

Products with rows are found output by output. All else, of which every output by itself waits for one number after the
other, is SIMD code over outputs: measured on 20,000 x 64 float64 and ten classes against the rest, log loss, half of
the time.
"""

import numpy as np

from minibatch.engine.compile import kernel
from minibatch.engine.dual_averaging import DISTANCE
from minibatch.engine.dual_averaging_fours import (
    Place,
    ask_for_numbers,
    four_steps,
    place_of,
    products_at_point,
    put_back,
    update_one_by_one,
)
from minibatch.engine.dual_averaging_sums import UNIT
from minibatch.engine.four_rows import add_four_rows_to_both, dots_with_both, prefetch_rows
from minibatch.engine.lanes import LANES, lanes
from minibatch.engine.row_blocks import AHEAD, two_rows

__all__ = [
    "AT_ONCE", "add_steps_of_outputs", "fill_places", "fill_products", "fill_targets", "fill_with_zeros", "place_in",
    "put_back_all", "put_in", "run_side_by_side",
]  # fmt: skip

# SIMD vectors are full: rows weigh nothing for outputs that are not there.
AT_ONCE = 8


@kernel
def fill_targets(data, i, first, n, objective, targets, weights):
    """What outputs ``first`` to ``first + n - 1`` are to give for a row, and what it weighs."""
    (_, y, weight, class_weight), output = data, np.uintp(objective.first_output + first)
    s = float(weight[i]) if weight.shape[0] > 0 else 1.0
    if len(objective.outputs) == 2:  # one against the rest
        own = np.int64(y[i, 0]) - objective.first_output - first
        for k in range(n):
            of_rest, of_class = class_weight[0, output + np.uintp(k)], class_weight[1, output + np.uintp(k)]
            targets[k] = 1.0 if k == own else -1.0
            weights[k] = s * (of_class if k == own else of_rest)
    else:
        for k in range(n):
            targets[k], weights[k] = float(y[i, output + np.uintp(k)]), s


@kernel
def fill_with_zeros(numbers, n):
    for numbers_of_outputs in numbers:
        for k in range(n):
            numbers_of_outputs[k] = 0.0


@kernel
def fill_products(X, i0, i1, i2, i3, memory, first, n, factors, factor, products, ahead):
    """Those of the rows with ``n``, with ``u`` and with each other, and their factors, as ``four_steps`` wants them.
    Where columns are alike, those with each other are the same for all outputs."""
    d0, d1, d2, d3, e0, e1, e2, e3, g01, g02, g03, g12, g13, g23 = products
    N, U, done = memory.dual.weights, memory.average.weights, 1 if factors.shape[1] == 1 else n
    for k in range(done):
        of_output, factor[k] = products_at_point(X, i0, i1, i2, i3, memory, first + k, factors, ahead)
        d0[k], d1[k], d2[k], d3[k], e0[k], e1[k], e2[k], e3[k] = of_output[:8]
        g01[k], g02[k], g03[k], g12[k], g13[k], g23[k] = of_output[8:]
    for k in range(done, n):
        d0[k], d1[k], d2[k], d3[k], e0[k], e1[k], e2[k], e3[k] = dots_with_both(X, i0, i1, i2, i3, N, U, first + k, ())
        factor[k] = factors[first + k, 0]
        g01[k], g02[k], g03[k], g12[k], g13[k], g23[k] = g01[0], g02[0], g03[0], g12[0], g13[0], g23[0]


@kernel
def add_steps_of_outputs(X, i0, i1, i2, i3, memory, first, n, steps, ahead):
    """Take the rows from ``n`` and add them to ``u``, times the steps of the outputs."""
    a0, a1, a2, a3, u0, u1, u2, u3 = steps
    N, U = memory.dual.weights, memory.average.weights
    prefetch_rows(X, ahead)
    for k in range(n):
        taken, added = (-a0[k], -a1[k], -a2[k], -a3[k]), (u0[k], u1[k], u2[k], u3[k])
        if a0[k] != 0.0 or a1[k] != 0.0 or a2[k] != 0.0 or a3[k] != 0.0:
            add_four_rows_to_both(X, i0, i1, i2, i3, taken, added, N, U, first + k, ())


@kernel
def place_in(places, k):
    v, rate, weights, rate_sum, other_sum, dual, other = places
    return Place(v[k], rate[k], weights[k], rate_sum[k], other_sum[k], dual[k], other[k])


@kernel
def put_in(places, k, place):
    v, rate, weights, rate_sum, other_sum, dual, other = places
    v[k], rate[k], weights[k], rate_sum[k], other_sum[k], dual[k], other[k] = place


@kernel
def fill_places(memory, first, n, full, places):
    """Where outputs stand; those that are not there stand where the last does."""
    for k in range(full):
        put_in(places, k, place_of(memory, first + min(k, n - 1)))


@kernel
def put_back_all(places, memory, first, n):
    for k in range(n):
        put_back(place_in(places, k), memory, first + k)


@kernel
def run_side_by_side(
    data, order, begin, end, first, n_updates, objective, memory, buffer, factors, squares, losses
):  # fmt: skip
    """``run_by_fours`` for up to ``LANES`` outputs, from ``first`` on; adds to their losses."""
    d0, d1, d2, d3, e0, e1, e2, e3 = lanes(), lanes(), lanes(), lanes(), lanes(), lanes(), lanes(), lanes()
    a0, a1, a2, a3, u0, u1, u2, u3 = lanes(), lanes(), lanes(), lanes(), lanes(), lanes(), lanes(), lanes()
    g01, g02, g03, g12, g13, g23 = lanes(), lanes(), lanes(), lanes(), lanes(), lanes()
    y0, y1, y2, y3, w0, w1, w2, w3 = lanes(), lanes(), lanes(), lanes(), lanes(), lanes(), lanes(), lanes()
    places = lanes(), lanes(), lanes(), lanes(), lanes(), lanes(), lanes()
    after = lanes(), lanes(), lanes(), lanes(), lanes(), lanes(), lanes()
    distance, unit, factor, loss, high = lanes(), lanes(), lanes(), lanes(), lanes()
    products, steps = (d0, d1, d2, d3, e0, e1, e2, e3, g01, g02, g03, g12, g13, g23), (a0, a1, a2, a3, u0, u1, u2, u3)
    X, n = data.X, min(LANES, losses.shape[0] - first)
    full = min(LANES, -(-n // AT_ONCE) * AT_ONCE)
    fill_with_zeros(products, full)
    fill_with_zeros((y0, y1, y2, y3, w0, w1, w2, w3, factor), full)
    fill_places(memory, first, n, full, places)
    for k in range(full):
        i = first + min(k, n - 1)
        distance[k], unit[k] = memory.pace[i, DISTANCE], memory.pace[i, DISTANCE] / buffer[i, UNIT]
    for r in range(begin, end, 4):
        i0, i1, i2, i3 = order[r], order[r + 1], order[r + 2], order[r + 3]
        t, of_rows = n_updates + r + 1, (squares[i0], squares[i1], squares[i2], squares[i3])
        ask_for_numbers(data, order, r, squares)
        fill_products(X, i0, i1, i2, i3, memory, first, n, factors, factor, products, two_rows(order, r + AHEAD))
        fill_targets(data, i0, first, n, objective, y0, w0)
        fill_targets(data, i1, first, n, objective, y1, w1)
        fill_targets(data, i2, first, n, objective, y2, w2)
        fill_targets(data, i3, first, n, objective, y3, w3)
        for k in range(full):
            loss[k], place, (a0[k], a1[k], a2[k], a3[k]), (u0[k], u1[k], u2[k], u3[k]), too_high = four_steps(
                place_in(places, k), distance[k],
                (unit[k] * t, unit[k] * (t + 1), unit[k] * (t + 2), unit[k] * (t + 3)),
                (d0[k], d1[k], d2[k], d3[k], e0[k], e1[k], e2[k], e3[k],
                 g01[k], g02[k], g03[k], g12[k], g13[k], g23[k]), factor[k],
                (y0[k], y1[k], y2[k], y3[k]), (w0[k], w1[k], w2[k], w3[k]), of_rows, objective,
            )  # fmt: skip
            put_in(after, k, place)
            high[k] = 1.0 if too_high else 0.0
        for k in range(n):
            if high[k] > 0.0:  # each by itself, so that who else is here changes no digit
                put_back(place_in(places, k), memory, first + k)
                loss[k] = update_one_by_one(data, order, r, t, first + k, objective, memory, buffer, factors, squares)
                put_in(after, k, place_of(memory, first + k))
                for step_of_row in steps:
                    step_of_row[k] = 0.0
        for k in range(n):
            losses[first + k] += loss[k]
        for k in range(full):
            put_in(places, k, place_in(after, k))
        add_steps_of_outputs(X, i0, i1, i2, i3, memory, first, n, steps, two_rows(order, r + AHEAD + 2))
    put_back_all(places, memory, first, n)
