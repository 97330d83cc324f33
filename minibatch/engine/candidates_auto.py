"""``engine.dual_averaging`` of many models at once, in batches of dense rows; see ``engine.candidates``.

Of the average ``m`` it is ``m - n`` that is kept beside the dual vectors ``n``; ``engine.candidates_auto_rows`` keeps
it times ``S``. Paces are (columns, 7) in Fortran's order, so that what finds a rate is SIMD code too. Features of the
same scale are in a band.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.candidates import Candidates, add_rows_of_block, block_at, slopes_of_block
from minibatch.engine.compile import entry, joining, kernel
from minibatch.engine.dual_averaging import (
    POINT_SUM,
    Memory,
    bring_up,
    move,
    next_look,
    note_farthest,
    share_of_average,
)
from minibatch.engine.optimizers import soft_threshold

__all__ = [
    "Autos", "Bands", "Steps", "begin_batch", "candidates_auto_epoch", "fill_factors", "fill_points",
    "look_from_points", "squared_norms", "step_candidates",
]  # fmt: skip


class Bands(NamedTuple):
    """Of the features."""

    of_features: np.ndarray
    scales: np.ndarray  # ``q`` of each band, in the type of X


class Steps(NamedTuple):
    """Numbers of the columns in an update, but for the first of all in the type of X."""

    squares: np.ndarray  # float64
    rates: np.ndarray
    shares: np.ndarray  # of the average: at the point where a gradient is taken, or of the iterate
    thresholds: np.ndarray
    factors: np.ndarray  # (bands, columns): what makes weights of dual vectors


class Autos(NamedTuple):
    """The models."""

    memory: Memory  # vectors are (features, columns), and ``average`` is ``m - n``
    bands: Bands
    points: Candidates  # where gradients are taken; scales are 1
    steps: Steps


@kernel
def fill_factors(numbers, autos):
    """Find what makes weights, at the sums where gradients are taken, of dual vectors: thresholds and factors."""
    pace, scales, (_, _, _, thresholds, factors) = autos.memory.pace, autos.bands.scales, autos.steps
    real = factors.dtype.type
    for i in range(pace.shape[0]):
        thresholds[i] = numbers.l1[i] * pace[i, POINT_SUM]
    for b in range(scales.shape[0]):
        for i in range(pace.shape[0]):
            factors[b, i] = real(1) / (scales[b] + real(numbers.l2[i] * pace[i, POINT_SUM]))


@kernel
def fill_points(autos):
    """Find the weights where the next gradient is taken."""
    (dual, dual_intercept), (others, other_intercept), _, _ = autos.memory
    points, (_, _, shares, thresholds, factors) = autos.points, autos.steps
    zero = dual.dtype.type(0)
    for i in range(shares.shape[0]):
        points.intercept[i] = dual_intercept[i] + shares[i] * other_intercept[i]
    for j in range(dual.shape[0]):
        n, u, w, of_band = dual[j], others[j], points.weights[j], factors[autos.bands.of_features[j]]
        for i in range(n.shape[0]):
            w[i] = soft_threshold(n[i] + shares[i] * u[i], thresholds[i], zero) * of_band[i]


@kernel
def look_from_points(autos):
    """See how far the points are from the first weights."""
    (start, first_intercept), pace, far = autos.memory.start, autos.memory.pace, autos.steps.squares
    for i in range(far.shape[0]):
        moved = autos.points.intercept[i] - first_intercept[i]
        far[i] = moved * moved
    for j in range(start.shape[0]):
        scale, w, first = float(autos.bands.scales[autos.bands.of_features[j]]), autos.points.weights[j], start[j]
        for i in range(far.shape[0]):
            gone = float(w[i] - first[i])
            far[i] += scale * gone * gone
    for i in range(far.shape[0]):
        note_farthest(pace, i, far[i])


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
def step_candidates(autos, room, t, n_rows, batch_size):
    """Update ``t``, or a part of one, with the gradients, summed over so many rows."""
    (dual, dual_intercept), (others, other_intercept), _, pace = autos.memory
    (squares, rates, shares, _, _), one = autos.steps, dual.dtype.type(1)
    part, of_sums = n_rows / batch_size, 1.0 / batch_size
    squared_norms(room, autos.bands, squares)
    for i in range(pace.shape[0]):
        eta, share = move(pace, i, squares[i] * of_sums * of_sums, t, part)
        rates[i], shares[i] = eta * of_sums, share
        moved = eta * of_sums * room.sums[i]
        dual_intercept[i] -= moved
        other_intercept[i] = (1.0 - share) * (other_intercept[i] + moved)
    for j in range(dual.shape[0]):
        n, u, g = dual[j], others[j], room.gradient[j]
        for i in range(n.shape[0]):
            gone = rates[i] * g[i]
            n[i] -= gone
            u[i] = (one - shares[i]) * (u[i] + gone)


@joining
def begin_batch(shared, autos, t, sums):
    sums[:] = 0.0
    pace, shares = autos.memory.pace, autos.steps.shares
    bring_up(pace, t)
    fill_factors(shared.numbers, autos)
    for i in range(pace.shape[0]):
        shares[i] = share_of_average(pace, i)
    fill_points(autos)
    if t == next_look(t - 1):
        look_from_points(autos)


@entry
def candidates_auto_epoch(stamp):
    def candidates_auto_epoch(shared, first, last, autos, n_updates, room):
        """Train on the rows at places ``first`` to ``last`` of the order of an epoch, before which there were
        ``n_updates``. What is between two calls of a batch is in ``autos`` and ``room``."""
        _ = stamp
        begin = first
        while begin < last:
            batch, start, stop, end = block_at(shared, begin, last, room.rows.shape[0])
            t = n_updates + batch + 1
            if begin == start:
                begin_batch(shared, autos, t, room.sums)
            slopes_of_block(shared, begin, end, autos.points, room)
            add_rows_of_block(end - begin, begin > start, room.rows, room.scores, room.gradient)
            if end == stop:
                if not shared.objective.fit_intercept:
                    room.sums[:] = 0.0
                step_candidates(autos, room, t, stop - start, shared.batch_size)
            begin = end

    return candidates_auto_epoch
