"""``engine.dual_averaging`` in batches of one dense row, where outputs share no loss, without L1.

Rows go straight into the dual vectors. Of the average ``m`` it is ``u = S (m - n)`` that is kept here: what an update
leaves alone stays as it is, and what adds ``d`` to ``n`` takes ``S d`` from it, with the ``S`` of before. So weights
where a gradient is taken are ``(n + b u) / (q + l2 E_y)`` with ``b = 0.7 / S`` and ``E_y = E + b U``, ``U`` being for
the sums of rates what ``u`` is for the dual vectors. Four updates, for which ``E_y`` is the same, are made in a pass,
as in ``steps_on_four_rows`` of ``engine.sgd``.

``S`` is counted in what it was before the call: float32 has no room for its square.
"""

from typing import NamedTuple

from minibatch.engine.compile import entry, kernel
from minibatch.engine.dual_averaging import (
    AVERAGE_SUM,
    DISTANCE,
    FOURS,
    GRADIENTS,
    INTERPOLATION,
    POINT_SUM,
    SUM,
    WEIGHTS,
    find_rate,
    has_new_sums,
    inverse_root,
    next_look,
    note_distance,
    note_memory,
)
from minibatch.engine.four_rows import (
    add_four_rows_to_both,
    dots_with_both,
    prefetch_rows,
    products_with_both,
    scaled_products_with_both,
)
from minibatch.engine.linear import (
    AHEAD,
    prefetch_place,
    prefetch_target,
    row_at,
    target_of_output,
    two_rows,
    weighted_loss_and_slope,
)
from minibatch.engine.optimizers import soft_threshold
from minibatch.engine.rows import add_row

__all__ = [
    "INVERSE", "N_BUFFER", "OF_INTERCEPT", "SMALL_GROWTH", "SQUARED_NORM", "UNIT", "Place", "advanced",
    "bring_up_factors", "dot_of_point", "dual_averaging_rows_epoch", "find_factors", "from_sums", "look_around",
    "next_rate", "pass_over_rows", "place_of", "put_back", "renew_inverses", "share_of_sums", "slowed",
    "steps_on_four", "to_sums", "update_with_four_rows", "update_with_four_scaled_rows", "update_with_row",
]  # fmt: skip

# Columns of the buffer of an output: what ``S`` is counted in, the inverse root of ``v``; on sparse rows, of the
# gradient the intercept's part and the squared norm.
UNIT, INVERSE, OF_INTERCEPT, SQUARED_NORM = range(4)
N_BUFFER = 4
# Up to this growth of ``v``, relative to itself, four terms of a series give its inverse root to rounding.
SMALL_GROWTH = 1e-4


class Place(NamedTuple):
    """Where an output stands."""

    distance: float  # r^2
    gradients: float  # v
    inverse: float  # 1 / sqrt(v)
    weights: float  # S
    rates: float  # E
    others: float  # U


@kernel
def to_sums(memory, buffer):
    """Put ``u`` and ``U`` in the place of the averages, and ``S`` in units of its own."""
    (dual, dual_intercept), (average, average_intercept), _, pace = memory
    for p in range(pace.shape[0]):
        buffer[p, UNIT] = pace[p, WEIGHTS] if pace[p, WEIGHTS] > 0.0 else pace[p, DISTANCE]
        buffer[p, INVERSE] = inverse_root(pace[p, GRADIENTS])
        pace[p, WEIGHTS] /= buffer[p, UNIT]
        pace[p, AVERAGE_SUM] -= pace[p, SUM]
    for k in range(dual.shape[0]):
        average_intercept[k] -= dual_intercept[k]
        for j in range(dual.shape[1]):
            average[k, j] -= dual[k, j]


@kernel
def from_sums(memory, buffer):
    """Undo ``to_sums``."""
    (dual, dual_intercept), (average, average_intercept), _, pace = memory
    last = pace.shape[0] - 1
    for k in range(dual.shape[0]):
        factor = 1.0 / pace[min(k, last), WEIGHTS]
        of_column = average.dtype.type(factor)
        for j in range(dual.shape[1]):
            average[k, j] = dual[k, j] + of_column * average[k, j]
        average_intercept[k] = dual_intercept[k] + factor * average_intercept[k]
    for p in range(pace.shape[0]):
        pace[p, AVERAGE_SUM] = pace[p, SUM] + pace[p, AVERAGE_SUM] / pace[p, WEIGHTS]
        pace[p, WEIGHTS] *= buffer[p, UNIT]


@kernel
def next_rate(pace, p, squared_norm, t, unit, part):
    """Make update ``t`` of a pace, or a part of one; returns the rate, and the ``S`` of before."""
    weights, (before, eta) = pace[p, WEIGHTS], find_rate(pace, p, squared_norm, part)
    pace[p, AVERAGE_SUM] -= weights * before
    pace[p, WEIGHTS] += pace[p, DISTANCE] / unit * t
    return eta, weights


@kernel
def place_of(pace, buffer, k):
    return Place(
        pace[k, DISTANCE], pace[k, GRADIENTS], buffer[k, INVERSE], pace[k, WEIGHTS], pace[k, SUM], pace[k, AVERAGE_SUM]
    )


@kernel
def put_back(place, pace, buffer, k):
    pace[k, GRADIENTS], buffer[k, INVERSE], pace[k, WEIGHTS] = place.gradients, place.inverse, place.weights
    pace[k, SUM], pace[k, AVERAGE_SUM] = place.rates, place.others


@kernel
def share_of_sums(weights):
    """What the point where gradients are taken has of ``u``."""
    return INTERPOLATION / weights if weights > 0.0 else 0.0


@kernel
def find_factors(pace, scales, objective, factors):
    """Fill ``factors``: what makes weights, where a gradient is taken, of dual vectors."""
    last, real = pace.shape[0] - 1, factors.dtype.type
    one = real(1)
    for k in range(factors.shape[0]):
        shrinks = real(objective.l2 * pace[min(k, last), POINT_SUM])
        for j in range(scales.shape[0]):
            factors[k, j] = one / (scales[j] + shrinks)


@kernel
def bring_up_factors(pace, t, scales, objective, factors):
    """Bring up the sums where gradients are taken, and what follows from them, if update ``t`` needs it."""
    if has_new_sums(t):
        for p in range(pace.shape[0]):
            pace[p, POINT_SUM] = pace[p, SUM] + share_of_sums(pace[p, WEIGHTS]) * pace[p, AVERAGE_SUM]
        find_factors(pace, scales, objective, factors)


@kernel
def look_around(memory, scales, objective, factors):
    """See how far the points where gradients are taken are from the first weights."""
    (n, dual_intercept), (u, average_intercept), (start, first_intercept), pace = memory
    last, real, far = pace.shape[0] - 1, n.dtype.type, 0.0
    zero, step = real(0), 1 if scales.shape[0] > 1 else 0
    for k in range(n.shape[0]):
        p, c = min(k, last), 0
        share, threshold = share_of_sums(pace[p, WEIGHTS]), real(objective.l1 * pace[p, POINT_SUM])
        moved, of_sums = dual_intercept[k] + share * average_intercept[k] - first_intercept[k], real(share)
        far += moved * moved
        for j in range(n.shape[1]):
            weight = soft_threshold(n[k, j] + of_sums * u[k, j], threshold, zero) * factors[k, c]
            gone = float(weight - start[k, j])
            far += float(scales[c]) * gone * gone
            c += step
        far = note_distance(pace, k, n.shape[0], far)


@kernel
def renew_inverses(pace, buffer):
    """Without the rounding of many terms."""
    for k in range(pace.shape[0]):
        buffer[k, INVERSE] = inverse_root(pace[k, GRADIENTS])


@kernel
def dot_of_point(X, i, n, u, k, factors, share, threshold):
    """The product of a row with the weights of output ``k`` where the next gradient is taken."""
    real = n.dtype.type
    zero, total, alike = real(0), real(0), factors.shape[1] == 1
    if threshold == zero and alike:
        for j in range(n.shape[1]):
            total += X[i, j] * (n[k, j] + share * u[k, j])
    elif threshold == zero:
        for j in range(n.shape[1]):
            total += X[i, j] * (n[k, j] + share * u[k, j]) * factors[k, j]
    elif alike:
        for j in range(n.shape[1]):
            total += X[i, j] * soft_threshold(n[k, j] + share * u[k, j], threshold, zero)
    else:
        for j in range(n.shape[1]):
            total += X[i, j] * soft_threshold(n[k, j] + share * u[k, j], threshold, zero) * factors[k, j]
    return total * factors[k, 0] if alike else total


@kernel
def advanced(place, weight):
    """The place with what is known of an update before its gradient: all but ``v``."""
    distance, gradients, inverse, weights, rates, others = place
    eta = distance * inverse
    return Place(distance, gradients, inverse, weights + weight, rates + eta, others - weights * eta)


@kernel
def slowed(place, square, slope):
    """The place after a gradient of so many squares of the slope, and what the slope times the rate is.

    The next score waits for that, so the way from the slope is short: a series in the place of a root and a quotient.
    """
    distance, gradients, inverse, weights, rates, others = place
    of_slope, eta = distance * square, distance * inverse
    squared = slope * slope
    x, step = squared * (of_slope * (inverse * inverse)), eta * slope
    gradients += of_slope * squared
    if x < SMALL_GROWTH and inverse > 0.0:
        factor = (1.0 - 0.5 * x) + (x * x) * (0.375 - 0.3125 * x)
        inverse, step = inverse * factor, step * factor
    else:
        inverse = inverse_root(gradients)
        step = distance * inverse * slope
    return Place(distance, gradients, inverse, weights, rates, others), step


@kernel
def update_with_row(data, order, r, k, square, weight, objective, memory, buffer, factors):
    """Update output ``k`` with the row at place ``r``; returns its loss."""
    (X, y, row_weight, class_weight), i, pace = data, order[r], memory.pace
    prefetch_place(X, y, row_weight, order, r + AHEAD)
    (n, dual_intercept), (u, average_intercept) = memory.dual, memory.average
    place, real = place_of(pace, buffer, k), n.dtype.type
    share = share_of_sums(place.weights)
    z = float(dot_of_point(X, i, n, u, k, factors, real(share), real(0)))
    z += dual_intercept[k] + share * average_intercept[k]
    target, s = target_of_output(i, k, y, row_weight, class_weight, objective)
    value, slope = weighted_loss_and_slope(objective.loss, z, target, s, objective.parameter)
    weights = place.weights
    place, step = slowed(advanced(place, weight), square, slope)
    if slope != 0.0:
        add_row(X, i, -step, n, k)
        add_row(X, i, weights * step, u, k)
        if objective.fit_intercept:
            dual_intercept[k] -= step
            average_intercept[k] += weights * step
    put_back(place, pace, buffer, k)
    return value


@kernel
def steps_on_four(data, order, r, k, products, factor, squares, t, objective, memory, buffer, asked):
    """Update output ``k`` with the rows at places ``r`` to ``r + 3``; returns their loss.

    ``factor`` times the ``products`` are those of the rows with ``n``, with ``u`` and with each other, before the first
    update. What the earlier steps add to scores are their slopes and rates times numbers that are known before (``c``).
    """
    (X, y, row_weight, class_weight), loss, parameter = data, objective.loss, objective.parameter
    d0, d1, d2, d3, e0, e1, e2, e3, g01, g02, g03, g12, g13, g23 = products
    weight = memory.pace[k, DISTANCE] / buffer[k, UNIT]
    dual, average = float(memory.dual.intercept[k]), float(memory.average.intercept[k])
    of_intercept = 1.0 if objective.fit_intercept else 0.0
    i0, i1, i2, i3 = order[r], order[r + 1], order[r + 2], order[r + 3]
    y0, w0 = target_of_output(i0, k, y, row_weight, class_weight, objective)
    y1, w1 = target_of_output(i1, k, y, row_weight, class_weight, objective)
    y2, w2 = target_of_output(i2, k, y, row_weight, class_weight, objective)
    y3, w3 = target_of_output(i3, k, y, row_weight, class_weight, objective)

    place = place_of(memory.pace, buffer, k)
    s0, share = place.weights, share_of_sums(place.weights)
    z = factor * (d0 + share * e0) + (dual + share * average)
    place = advanced(place, weight * t)
    value0, slope = weighted_loss_and_slope(loss, z, y0, w0, parameter)
    s1, share = place.weights, share_of_sums(place.weights)
    c0 = (1.0 - share * s0) * (factor * g01 + of_intercept)
    known = factor * (d1 + share * e1) + (dual + share * average)
    place, a0 = slowed(place, squares[r], slope)

    place = advanced(place, weight * (t + 1))
    value1, slope = weighted_loss_and_slope(loss, known - a0 * c0, y1, w1, parameter)
    s2, share = place.weights, share_of_sums(place.weights)
    c0, c1 = (1.0 - share * s0) * (factor * g02 + of_intercept), (1.0 - share * s1) * (factor * g12 + of_intercept)
    known = factor * (d2 + share * e2) + (dual + share * average) - a0 * c0
    place, a1 = slowed(place, squares[r + 1], slope)

    place = advanced(place, weight * (t + 2))
    value2, slope = weighted_loss_and_slope(loss, known - a1 * c1, y2, w2, parameter)
    s3, share = place.weights, share_of_sums(place.weights)
    c0, c1 = (1.0 - share * s0) * (factor * g03 + of_intercept), (1.0 - share * s1) * (factor * g13 + of_intercept)
    c2 = (1.0 - share * s2) * (factor * g23 + of_intercept)
    known = factor * (d3 + share * e3) + (dual + share * average) - (a0 * c0 + a1 * c1)
    place, a2 = slowed(place, squares[r + 2], slope)

    place = advanced(place, weight * (t + 3))
    value3, slope = weighted_loss_and_slope(loss, known - a2 * c2, y3, w3, parameter)
    place, a3 = slowed(place, squares[r + 3], slope)
    put_back(place, memory.pace, buffer, k)
    b0, b1, b2, b3 = s0 * a0, s1 * a1, s2 * a2, s3 * a3
    memory.dual.intercept[k] = dual - of_intercept * ((a0 + a1) + (a2 + a3))
    memory.average.intercept[k] = average + of_intercept * ((b0 + b1) + (b2 + b3))
    if a0 != 0.0 or a1 != 0.0 or a2 != 0.0 or a3 != 0.0:
        n, u = memory.dual.weights, memory.average.weights
        add_four_rows_to_both(X, i0, i1, i2, i3, (-a0, -a1, -a2, -a3), (b0, b1, b2, b3), n, u, k, asked)
    else:
        prefetch_rows(X, asked)
    return (value0 + value1) + (value2 + value3)


@kernel
def update_with_four_rows(data, order, r, t, objective, memory, buffer, factors, squares, losses):
    """Update all outputs with the rows at places ``r`` to ``r + 3``, whose columns are alike."""
    X, n, u = data.X, memory.dual.weights, memory.average.weights
    i0, i1, i2, i3 = order[r], order[r + 1], order[r + 2], order[r + 3]
    d0, d1, d2, d3, e0, e1, e2, e3, g01, g02, g03, g12, g13, g23 = products_with_both(
        X, i0, i1, i2, i3, n, u, 0, two_rows(order, r + AHEAD)
    )
    gram = (float(g01), float(g02), float(g03), float(g12), float(g13), float(g23))
    asked = two_rows(order, r + AHEAD + 2)
    for k in range(losses.shape[0]):
        if k > 0:
            d0, d1, d2, d3, e0, e1, e2, e3 = dots_with_both(X, i0, i1, i2, i3, n, u, k, ())
        dots = (float(d0), float(d1), float(d2), float(d3), float(e0), float(e1), float(e2), float(e3))
        factor = float(factors[k, 0])
        losses[k] += steps_on_four(data, order, r, k, dots + gram, factor, squares, t, objective, memory, buffer, asked)


@kernel
def update_with_four_scaled_rows(data, order, r, t, objective, memory, buffer, factors, squares, losses):
    """``update_with_four_rows`` where columns differ."""
    X, n, u = data.X, memory.dual.weights, memory.average.weights
    i0, i1, i2, i3 = order[r], order[r + 1], order[r + 2], order[r + 3]
    ahead, asked = two_rows(order, r + AHEAD), two_rows(order, r + AHEAD + 2)
    for k in range(losses.shape[0]):
        d0, d1, d2, d3, e0, e1, e2, e3, g01, g02, g03, g12, g13, g23 = scaled_products_with_both(
            X, i0, i1, i2, i3, n, u, factors, k, ahead
        )
        products = (
            float(d0), float(d1), float(d2), float(d3), float(e0), float(e1), float(e2), float(e3),
            float(g01), float(g02), float(g03), float(g12), float(g13), float(g23),
        )  # fmt: skip
        losses[k] += steps_on_four(data, order, r, k, products, 1.0, squares, t, objective, memory, buffer, asked)


@kernel
def pass_over_rows(data, order, objective, scales, memory, n_updates, buffer, factors, squares, losses):
    pace, look, r = memory.pace, next_look(n_updates), 0
    to_sums(memory, buffer)
    find_factors(pace, scales, objective, factors)
    while r < order.shape[0]:
        t = n_updates + r + 1
        bring_up_factors(pace, t, scales, objective, factors)
        if t == look:
            look_around(memory, scales, objective, factors)
            renew_inverses(pace, buffer)
            look = next_look(t)
        if t >= FOURS and t % 4 == 0 and r + 4 <= order.shape[0]:
            for q in range(4):
                prefetch_target(data.y, data.weight, row_at(order, r + AHEAD + q))
            if scales.shape[0] == 1:
                update_with_four_rows(data, order, r, t, objective, memory, buffer, factors, squares, losses)
            else:
                update_with_four_scaled_rows(data, order, r, t, objective, memory, buffer, factors, squares, losses)
            r += 4
        else:
            for k in range(losses.shape[0]):
                weight = pace[k, DISTANCE] / buffer[k, UNIT] * t
                losses[k] += update_with_row(data, order, r, k, squares[r], weight, objective, memory, buffer, factors)
            r += 1
    from_sums(memory, buffer)


@entry
def dual_averaging_rows_epoch(stamp):
    def dual_averaging_rows_epoch(
        data, orders, objective, scales, memory, n_updates, buffer, factors, squares, losses, notes
    ):
        """``dual_averaging_epoch`` for batches of one row and outputs that do not share a loss. ``squares`` are the
        squared norms of what rows add, in their order; ``buffer`` is (outputs, ``N_BUFFER``), ``factors`` (outputs,
        scales)."""
        _ = stamp
        for e in range(orders.shape[0]):
            before = n_updates + e * orders.shape[1]
            pass_over_rows(data, orders[e], objective, scales, memory, before, buffer, factors, squares[e], losses[e])
            note_memory(memory, objective, notes, e)

    return dual_averaging_rows_epoch
