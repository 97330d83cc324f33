"""``engine.dual_averaging`` of many models at once, in batches of dense rows; see ``engine.candidates``.

Of the average ``m`` it is ``m - n`` that is kept beside the dual vectors ``n``; ``engine.candidates_auto_rows`` keeps
it times ``S``. Paces are (columns, 6) in Fortran's order, so that what finds a rate is SIMD code too. Features of the
same scale are in a band.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.candidates import add_rows_of_block, slopes_of_block
from minibatch.engine.compile import entry, joining, kernel
from minibatch.engine.dual_averaging import (
    DISTANCE,
    POINT_SUM,
    Memory,
    bring_up_sums,
    move,
    next_look,
    share_of_average,
)
from minibatch.engine.optimizers import soft_threshold

__all__ = [
    "Bands", "RoomOfSteps", "begin_batch", "candidates_auto_epoch", "factors_of_points", "look_from_points", "points_of_candidates",
    "squared_norms", "step_candidates",
]  # fmt: skip


class Bands(NamedTuple):
    """Of the features."""

    of_features: np.ndarray
    scales: np.ndarray  # ``q`` of each band, in the type of X


class RoomOfSteps(NamedTuple):
    """Where the updates are found: numbers of the columns, but for the first of all in the type of X."""

    squares: np.ndarray  # float64
    rates: np.ndarray
    shares: np.ndarray
    thresholds: np.ndarray
    factors: np.ndarray  # (bands, columns): what makes weights of dual vectors


@kernel
def factors_of_points(pace, numbers, scales, steps):
    """Fill what makes weights, where gradients are taken, of dual vectors: thresholds and factors."""
    real = steps.factors.dtype.type
    for i in range(pace.shape[0]):
        steps.thresholds[i] = numbers.l1[i] * pace[i, POINT_SUM]
    for b in range(scales.shape[0]):
        for i in range(pace.shape[0]):
            steps.factors[b, i] = real(1) / (scales[b] + real(numbers.l2[i] * pace[i, POINT_SUM]))


@kernel
def points_of_candidates(memory, bands, steps, points):
    """Fill ``points`` with the weights where the next gradient is taken."""
    (dual, dual_intercept), (others, other_intercept), _, _ = memory
    zero, shares, thresholds = dual.dtype.type(0), steps.shares, steps.thresholds
    for i in range(shares.shape[0]):
        points.intercept[i] = dual_intercept[i] + shares[i] * other_intercept[i]
    for j in range(dual.shape[0]):
        n, u, w, factors = dual[j], others[j], points.weights[j], steps.factors[bands.of_features[j]]
        for i in range(n.shape[0]):
            w[i] = soft_threshold(n[i] + shares[i] * u[i], thresholds[i], zero) * factors[i]


@kernel
def look_from_points(points, memory, bands, far):
    """See how far the points are from the first weights."""
    start, first_intercept = memory.start
    for i in range(far.shape[0]):
        moved = points.intercept[i] - first_intercept[i]
        far[i] = moved * moved
    for j in range(start.shape[0]):
        scale, w, first = float(bands.scales[bands.of_features[j]]), points.weights[j], start[j]
        for i in range(far.shape[0]):
            gone = float(w[i] - first[i])
            far[i] += scale * gone * gone
    for i in range(far.shape[0]):
        memory.pace[i, DISTANCE] = max(memory.pace[i, DISTANCE], far[i])


@kernel
def squared_norms(room, bands, squares):
    """Of the summed gradients, in the norm of the scales' inverses."""
    for i in range(squares.shape[0]):
        squares[i] = room.sums[i] * room.sums[i]
    for j in range(room.gradient.shape[0]):
        inverse, g = 1.0 / float(bands.scales[bands.of_features[j]]), room.gradient[j]
        for i in range(squares.shape[0]):
            squares[i] += inverse * float(g[i]) * float(g[i])


@kernel
def step_candidates(memory, room, bands, t, n_rows, batch_size, steps):
    """Update ``t``, or a part of one, with the gradients, summed over so many rows."""
    (dual, dual_intercept), (others, other_intercept), _, pace = memory
    squares, rates, shares = steps.squares, steps.rates, steps.shares
    part, of_sums = n_rows / batch_size, 1.0 / batch_size
    squared_norms(room, bands, squares)
    for i in range(pace.shape[0]):
        eta, share = move(pace, i, squares[i] * of_sums * of_sums, t, part)
        rates[i], shares[i] = eta * of_sums, share
        moved = -eta * of_sums * room.sums[i]
        dual_intercept[i] += moved
        other_intercept[i] = (1.0 - share) * (other_intercept[i] - moved)
    one = dual.dtype.type(1)
    for j in range(dual.shape[0]):
        n, u, g = dual[j], others[j], room.gradient[j]
        for i in range(n.shape[0]):
            moved = rates[i] * g[i]
            n[i] -= moved
            u[i] = (one - shares[i]) * (u[i] + moved)


@joining
def begin_batch(memory, numbers, bands, t, steps, points, sums):
    sums[:] = 0.0
    bring_up_sums(memory.pace, t)
    factors_of_points(memory.pace, numbers, bands.scales, steps)
    for i in range(memory.pace.shape[0]):
        steps.shares[i] = share_of_average(memory.pace, i)
    points_of_candidates(memory, bands, steps, points)
    if t == next_look(t - 1):
        look_from_points(points, memory, bands, steps.squares)


@entry
def candidates_auto_epoch(stamp):
    def candidates_auto_epoch(
        data, order, first, last, batch_size, objective, n_outputs, numbers, bands, memory, n_updates, points, room,
        steps, losses,
    ):
        """Train on the rows at places ``first`` to ``last`` of the order of an epoch, before which there were
        ``n_updates``; adds the weighted losses to ``losses``. What is between two calls of a batch is in ``points``
        and ``room``."""
        _ = stamp
        begin = first
        while begin < last:
            batch = begin // batch_size
            start, t = batch * batch_size, n_updates + batch + 1
            stop = min(start + batch_size, order.shape[0])
            end = min(begin + room.rows.shape[0], stop, last)
            if begin == start:
                begin_batch(memory, numbers, bands, t, steps, points, room.sums)
            slopes_of_block(data, order, begin, end, objective, n_outputs, points, numbers.parameters, room, losses)
            add_rows_of_block(end - begin, begin > start, room.rows, room.scores, room.gradient)
            if end == stop:
                if not objective.fit_intercept:
                    room.sums[:] = 0.0
                step_candidates(memory, room, bands, t, stop - start, batch_size, steps)
            begin = end

    return candidates_auto_epoch
