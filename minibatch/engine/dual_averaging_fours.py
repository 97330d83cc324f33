"""Four updates of an output with single rows, in a pass over its dual vectors: see ``engine.dual_averaging_rows``.

Four updates, for which the sums of rates where gradients are taken are the same, and so is the rate, are made in a
pass, as in ``steps_on_four_rows`` of ``engine.sgd``; where their gradients bring up the rate, one by one. Where an
output stands is in registers until the sums are brought up.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.compile import joining, kernel
from minibatch.engine.dual_averaging import (
    AVERAGE_SUM,
    DISTANCE,
    GRADIENTS,
    RATE,
    SUM,
    WEIGHTS,
    is_high,
)
from minibatch.engine.dual_averaging_sums import UNIT, dot_of_point, next_rate, share_of_sums
from minibatch.engine.four_rows import (
    add_four_rows_to_both,
    prefetch_rows,
    products_with_both,
    scaled_products_with_both,
)
from minibatch.engine.linear import loss_of_output, target_of_output
from minibatch.engine.row_blocks import AHEAD, prefetch_place, prefetch_target, row_at, two_rows
from minibatch.engine.row_losses import loss_of_score
from minibatch.engine.rows import add_row, prefetch

__all__ = [
    "Place", "ask_for_numbers", "four_steps", "place_of", "products_at_point", "put_back", "run_by_fours",
    "update_one_by_one", "update_with_row",
]  # fmt: skip


class Place(NamedTuple):
    """Where an output stands."""

    gradients: float  # v
    rate: float  # eta
    weights: float  # S
    rate_sum: float  # E
    other_sum: float  # U
    dual: float  # of n and of u, what belongs to the intercept
    other: float


@kernel
def place_of(memory, k):
    pace = memory.pace
    return Place(
        pace[k, GRADIENTS],
        pace[k, RATE],
        pace[k, WEIGHTS],
        pace[k, SUM],
        pace[k, AVERAGE_SUM],
        np.float64(memory.dual.intercept[k]),
        np.float64(memory.average.intercept[k]),
    )


@kernel
def put_back(place, memory, k):
    pace = memory.pace
    pace[k, GRADIENTS], pace[k, RATE], pace[k, WEIGHTS] = place.gradients, place.rate, place.weights
    pace[k, SUM], pace[k, AVERAGE_SUM] = place.rate_sum, place.other_sum
    memory.dual.intercept[k], memory.average.intercept[k] = place.dual, place.other


@kernel
def update_with_row(data, order, r, t, k, objective, memory, buffer, factors, squares):
    """Update output ``k`` with the row at place ``r``; returns its loss."""
    (X, y, row_weight, class_weight), i, pace = data, order[r], memory.pace
    prefetch_place(X, y, row_weight, order, r + AHEAD)
    (n, dual_intercept), (u, average_intercept), real = memory.dual, memory.average, memory.dual.weights.dtype.type
    share = share_of_sums(pace[k, WEIGHTS])
    z = float(dot_of_point(X, i, n, u, k, factors, real(share), real(0)))
    z += dual_intercept[k] + share * average_intercept[k]
    value, slope = loss_of_output(i, k, z, y, row_weight, class_weight, objective)
    eta, weights = next_rate(pace, k, slope * slope * squares[i], t, buffer[k, UNIT], 1.0)
    step = eta * slope
    if slope != 0.0:
        add_row(X, i, -step, n, k)
        add_row(X, i, weights * step, u, k)
        if objective.fit_intercept:
            dual_intercept[k] -= step
            average_intercept[k] += weights * step
    return value


@joining
def update_one_by_one(data, order, r, t, k, objective, memory, buffer, factors, squares):
    """Four updates of output ``k``, from update ``t`` on; returns their loss."""
    loss = 0.0
    for q in range(4):
        loss += update_with_row(data, order, r + q, t + q, k, objective, memory, buffer, factors, squares)
    return loss


@kernel
def four_steps(place, distance, added_to_sum, products, factor, targets, weights, squares, objective):
    """Four updates; returns their loss, the new place, what the rows are multiplied by to be taken from ``n`` and added
    to ``u``, and whether the gradients bring up the rate: then they are to be made one by one.

    ``factor`` times the ``products`` are those of the rows with ``n``, with ``u`` and with each other, before the first
    update; ``added_to_sum`` is what ``S`` grows by. What earlier steps add to scores are their slopes and rates times
    numbers that are known before (``c``).
    """
    loss, parameter, one = objective.loss, objective.parameter, 1.0 if objective.fit_intercept else 0.0
    d0, d1, d2, d3, e0, e1, e2, e3, g01, g02, g03, g12, g13, g23 = products
    (y0, y1, y2, y3), (w0, w1, w2, w3), (q0, q1, q2, q3) = targets, weights, squares
    v, rate, s0, rate_sum, other_sum, dual, other = place
    s1 = s0 + added_to_sum[0]
    s2 = s1 + added_to_sum[1]
    s3 = s2 + added_to_sum[2]
    b0, b1, b2, b3 = share_of_sums(s0), share_of_sums(s1), share_of_sums(s2), share_of_sums(s3)
    c01, c02 = (1.0 - b1 * s0) * (factor * g01 + one), (1.0 - b2 * s0) * (factor * g02 + one)
    c03, c12 = (1.0 - b3 * s0) * (factor * g03 + one), (1.0 - b2 * s1) * (factor * g12 + one)
    c13, c23 = (1.0 - b3 * s1) * (factor * g13 + one), (1.0 - b3 * s2) * (factor * g23 + one)
    z0, z1 = factor * (d0 + b0 * e0) + (dual + b0 * other), factor * (d1 + b1 * e1) + (dual + b1 * other)
    z2, z3 = factor * (d2 + b2 * e2) + (dual + b2 * other), factor * (d3 + b3 * e3) + (dual + b3 * other)

    value0, slope = loss_of_score(loss, z0, y0, w0, parameter)
    a0, g0 = (rate * w0) * slope, (distance * q0) * (w0 * w0) * (slope * slope)
    z2, z3 = z2 - c02 * a0, z3 - c03 * a0
    value1, slope = loss_of_score(loss, z1 - c01 * a0, y1, w1, parameter)
    a1, g1 = (rate * w1) * slope, (distance * q1) * (w1 * w1) * (slope * slope)
    z3 -= c13 * a1
    value2, slope = loss_of_score(loss, z2 - c12 * a1, y2, w2, parameter)
    a2, g2 = (rate * w2) * slope, (distance * q2) * (w2 * w2) * (slope * slope)
    value3, slope = loss_of_score(loss, z3 - c23 * a2, y3, w3, parameter)
    a3, g3 = (rate * w3) * slope, (distance * q3) * (w3 * w3) * (slope * slope)

    v += (g0 + g1) + (g2 + g3)
    rate_sum += 4.0 * rate
    other_sum -= rate * ((s0 + s1) + (s2 + s3))
    u0, u1, u2, u3 = s0 * a0, s1 * a1, s2 * a2, s3 * a3
    dual -= one * ((a0 + a1) + (a2 + a3))
    other += one * ((u0 + u1) + (u2 + u3))
    value = (w0 * value0 + w1 * value1) + (w2 * value2 + w3 * value3)
    place = Place(v, rate, s3 + added_to_sum[3], rate_sum, other_sum, dual, other)
    return value, place, (a0, a1, a2, a3), (u0, u1, u2, u3), is_high(rate, distance, v)


@kernel
def ask_for_numbers(data, order, r, squares):
    """Ask for all that belongs to four rows but their columns."""
    for q in range(4):
        i = row_at(order, r + AHEAD + q)
        prefetch_target(data.y, data.weight, i)
        prefetch(squares, i)


@kernel
def products_at_point(X, i0, i1, i2, i3, memory, k, factors, ahead):
    """The products of ``four_steps`` and their factor: of columns that differ each has its own."""
    n, u, factor = memory.dual.weights, memory.average.weights, factors.dtype.type(1)
    if factors.shape[1] == 1:
        products = products_with_both(X, i0, i1, i2, i3, n, u, k, ahead)
        factor = factors[k, 0]
    else:
        products = scaled_products_with_both(X, i0, i1, i2, i3, n, u, factors, k, ahead)
    d0, d1, d2, d3, e0, e1, e2, e3, g01, g02, g03, g12, g13, g23 = products
    return (
        float(d0), float(d1), float(d2), float(d3), float(e0), float(e1), float(e2), float(e3),
        float(g01), float(g02), float(g03), float(g12), float(g13), float(g23),
    ), float(factor)  # fmt: skip


@kernel
def run_by_fours(data, order, first, last, k, n_updates, objective, memory, buffer, factors, squares):
    """Update output ``k`` with the rows at places ``first`` to ``last - 1``, between which no sums are brought up;
    returns their loss."""
    (X, y, row_weight, class_weight), n, u = data, memory.dual.weights, memory.average.weights
    distance, loss = memory.pace[k, DISTANCE], 0.0
    unit, place = distance / buffer[k, UNIT], place_of(memory, k)
    for r in range(first, last, 4):
        t = n_updates + r + 1
        i0, i1, i2, i3 = order[r], order[r + 1], order[r + 2], order[r + 3]
        ask_for_numbers(data, order, r, squares)
        products, factor = products_at_point(X, i0, i1, i2, i3, memory, k, factors, two_rows(order, r + AHEAD))
        y0, w0 = target_of_output(i0, k, y, row_weight, class_weight, objective)
        y1, w1 = target_of_output(i1, k, y, row_weight, class_weight, objective)
        y2, w2 = target_of_output(i2, k, y, row_weight, class_weight, objective)
        y3, w3 = target_of_output(i3, k, y, row_weight, class_weight, objective)
        added_to_sum = (unit * t, unit * (t + 1), unit * (t + 2), unit * (t + 3))
        of_rows = (squares[i0], squares[i1], squares[i2], squares[i3])
        value, after, (a0, a1, a2, a3), added, too_high = four_steps(
            place, distance, added_to_sum, products, factor, (y0, y1, y2, y3), (w0, w1, w2, w3), of_rows, objective
        )
        if too_high:
            put_back(place, memory, k)
            loss += update_one_by_one(data, order, r, t, k, objective, memory, buffer, factors, squares)
            place = place_of(memory, k)
            continue
        loss, place = loss + value, after
        asked = two_rows(order, r + AHEAD + 2)
        if a0 != 0.0 or a1 != 0.0 or a2 != 0.0 or a3 != 0.0:
            add_four_rows_to_both(X, i0, i1, i2, i3, (-a0, -a1, -a2, -a3), added, n, u, k, asked)
        else:
            prefetch_rows(X, asked)
    put_back(place, memory, k)
    return loss
