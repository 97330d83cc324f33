"""``engine.dual_averaging`` of several outputs on CSR rows, in batches and one by one: exact.

As ``engine.dual_averaging_sparse_batches``, for all outputs at once: what they have of a column lies together, is read
once for all of them, and is SIMD code (``engine.dual_averaging_sparse_vectors``). Of a single row the norm is known
when its scores are, and columns move at once: with many outputs, what waits takes more room in the cache than a second
pass over a row takes time.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.compile import entry, kernel
from minibatch.engine.dual_averaging import POINT_SUM, WEIGHTS, find_factors, next_look, note_distance
from minibatch.engine.dual_averaging_sparse import band_of
from minibatch.engine.dual_averaging_sparse_batches import sum_of_slopes
from minibatch.engine.dual_averaging_sparse_vectors import add_scores, add_to_gradient, settle_and_score
from minibatch.engine.dual_averaging_sums import (
    OF_INTERCEPT,
    SQUARED_NORM,
    SUM_BEFORE,
    bring_up_factors,
    move_intercepts,
    numbers_from_sums,
    numbers_to_sums,
    rate_at,
    share_of_model,
    share_of_sums,
)
from minibatch.engine.linear import slopes_from_scores
from minibatch.engine.optimizers import soft_threshold
from minibatch.engine.row_blocks import AHEAD, prefetch_place, row_at
from minibatch.engine.rows import prefetch

__all__ = [
    "OutputColumns", "add_gradients", "dual_averaging_sparse_outputs_epoch", "dual_averaging_sparse_outputs_row_epoch",
    "find_shares", "gradients_of_batch", "gradients_of_row", "head_type", "look_at_outputs", "move_by_row",
    "pack_outputs", "put_scores", "remember_outputs", "scores_of_outputs", "scores_of_row", "settle", "settle_outputs",
    "unpack_outputs",
]  # fmt: skip


def head_type(real):
    """What is kept of a column besides its numbers, as a NumPy type: the last update that had it, and its band."""
    count = f"u{np.dtype(real).itemsize // 2}"
    return np.dtype([("last", count), ("band", count)])


class OutputColumns(NamedTuple):
    """What the loop makes of the memory. ``width`` is the number of outputs, and of those that are not there."""

    # (features, 2 * width): n and u; in batches of several rows 3 * width: the gradient of the last that had the column
    parts: np.ndarray
    heads: np.ndarray  # (features,), of the ``head_type``
    bands: np.ndarray  # of the columns; empty where they are alike
    scales: np.ndarray  # of the bands
    inverses: np.ndarray  # of these scales, in float64
    factors: np.ndarray  # (bands, width): from a dual vector to weights, where the next gradient is taken
    shares: np.ndarray  # (2, width): of u there, and the thresholds
    moves: np.ndarray  # (updates, 2 * width): what an update adds to n and u for a unit of the gradient
    slopes: np.ndarray  # (width,): of a row; zeros where there is no output
    sums: np.ndarray  # (width,) in float64: scores of a row, or squared norms of the gradients


@kernel
def pack_outputs(memory, columns, buffer):
    """``to_sums``, of weights into ``columns``."""
    dual, average, width = memory.dual.weights, memory.average.weights, columns.sums.shape[0]
    numbers_to_sums(memory, buffer)
    columns.parts[:] = 0.0
    columns.moves[:2] = 0.0
    columns.slopes[:] = 0.0
    for j in range(dual.shape[1]):
        for k in range(dual.shape[0]):
            columns.parts[j, k], columns.parts[j, width + k] = dual[k, j], average[k, j] - dual[k, j]
        columns.heads[j]["last"], columns.heads[j]["band"] = 0, band_of(columns, np.uintp(j))


@kernel
def settle(columns, m, j, x):
    """Settle a column before update ``m``, which has it, or which is none; adds to the scores of a row, where it has
    ``x``."""
    head = columns.heads[j]
    settle_and_score(
        x, columns.parts, j, columns.moves, np.uintp(head["last"]), columns.factors, np.uintp(head["band"]),
        columns.shares, columns.sums,
    )  # fmt: skip
    head["last"] = m


@kernel
def settle_outputs(columns):
    """Settle all columns: none waits where there are no gradients."""
    if columns.parts.shape[1] > columns.moves.shape[1]:
        for j in range(columns.heads.shape[0]):
            settle(columns, 0, np.uintp(j), columns.factors.dtype.type(0))


@kernel
def unpack_outputs(columns, memory, buffer):
    """``from_sums``, of the weights in ``columns``."""
    dual, average, width = memory.dual.weights, memory.average.weights, columns.sums.shape[0]
    settle_outputs(columns)
    for k in range(dual.shape[0]):
        share = dual.dtype.type(share_of_model(memory.pace, k))
        for j in range(dual.shape[1]):
            n = columns.parts[j, k]
            dual[k, j], average[k, j] = n, n + share * columns.parts[j, width + k]
    numbers_from_sums(memory, buffer)


@kernel
def find_shares(pace, objective, n_outputs, shares):
    """See to where the next gradient is taken."""
    for k in range(n_outputs):
        p = min(k, pace.shape[0] - 1)
        shares[0, k], shares[1, k] = share_of_sums(pace[p, WEIGHTS]), objective.l1 * pace[p, POINT_SUM]


@kernel
def look_at_outputs(columns, memory, objective):
    """``look_at_columns``."""
    (start, first_intercept), parts, factors, shares = memory.start, columns.parts, columns.factors, columns.shares
    n_outputs, width, far, zero = start.shape[0], columns.sums.shape[0], 0.0, factors.dtype.type(0)
    settle_outputs(columns)
    find_shares(memory.pace, objective, n_outputs, shares)
    for k in range(n_outputs):
        moved = memory.dual.intercept[k] + shares[0, k] * memory.average.intercept[k] - first_intercept[k]
        far += float(moved) * float(moved)
        for j in range(start.shape[1]):
            band, there = np.uintp(columns.heads[j]["band"]), parts[j, k] + shares[0, k] * parts[j, width + k]
            gone = float(soft_threshold(there, shares[1, k], zero) * factors[band, k] - start[k, j])
            far += gone * gone * float(columns.scales[band])
        far = note_distance(memory.pace, k, n_outputs, far)


@kernel
def put_scores(r, memory, columns, scores):
    """What is in ``sums``, and the intercepts."""
    for k in range(scores.shape[1]):
        intercept = memory.dual.intercept[k] + float(columns.shares[0, k]) * memory.average.intercept[k]
        scores[r, k] = columns.sums[k] + intercept


@kernel
def scores_of_outputs(data, order, start, stop, memory, columns, m, scores):
    """``scores_of_batch``."""
    values, indices, indptr = data.X
    for r in range(start, stop):
        i = np.uintp(order[r])
        prefetch_place(data.X, data.y, data.weight, order, r + AHEAD)
        columns.sums[:] = 0.0
        for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + np.uintp(1)])):
            settle(columns, m, np.uintp(indices[p]), values[p])
        put_scores(r - start, memory, columns, scores)


@kernel
def scores_of_row(X, i, memory, columns, scores):
    """Where no column waits to be settled."""
    (values, indices, indptr), (parts, heads, sums) = X, (columns.parts, columns.heads, columns.sums)
    sums[:] = 0.0
    for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + np.uintp(1)])):
        j = np.uintp(indices[p])
        add_scores(values[p], parts, j, columns.factors, np.uintp(heads[j]["band"]), columns.shares, sums)
    put_scores(0, memory, columns, scores)


@kernel
def add_gradients(X, order, start, stop, slopes, share_of_row, columns):
    """Add up the gradients, and in ``sums`` their squared norms."""
    (values, indices, indptr), of_row, real = X, columns.slopes, columns.factors.dtype.type
    columns.sums[:] = 0.0
    for r in range(start, stop):
        i, is_still = np.uintp(order[r]), True
        for k in range(slopes.shape[1]):
            of_row[k] = real(slopes[r - start, k] * share_of_row)
            is_still = is_still and slopes[r - start, k] == 0.0
        if not is_still:
            for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + np.uintp(1)])):
                j = np.uintp(indices[p])
                inverse = columns.inverses[np.uintp(columns.heads[j]["band"])]
                add_to_gradient(values[p], of_row, columns.parts, j, inverse, columns.sums)


@kernel
def gradients_of_batch(X, order, start, stop, batch_size, objective, columns, slopes, buffer):
    """Find the gradients, from the slopes of the rows."""
    add_gradients(X, order, start, stop, slopes, 1.0 / batch_size, columns)
    for k in range(slopes.shape[1]):
        of_intercept = sum_of_slopes(slopes, stop - start, k) / batch_size if objective.fit_intercept else 0.0
        buffer[k, OF_INTERCEPT], buffer[k, SQUARED_NORM] = of_intercept, columns.sums[k] + of_intercept * of_intercept


@kernel
def gradients_of_row(square, objective, slopes, buffer):
    """Of a row, and the square of what it adds: all but the columns' values."""
    for k in range(slopes.shape[1]):
        slope = slopes[0, k]
        buffer[k, OF_INTERCEPT] = slope if objective.fit_intercept else 0.0
        buffer[k, SQUARED_NORM] = slope * slope * square


@kernel
def remember_outputs(columns, m, pace, buffer):
    width, real = columns.sums.shape[0], columns.factors.dtype.type
    for k in range(buffer.shape[0]):
        eta = rate_at(pace, k)
        columns.moves[m, k], columns.moves[m, width + k] = real(-eta), real(buffer[k, SUM_BEFORE] * eta)


@kernel
def move_by_row(X, i, columns, slopes, pace, buffer):
    """Move the columns of a row."""
    (values, indices, indptr), width, real, is_still = X, columns.sums.shape[0], columns.factors.dtype.type, True
    for k in range(buffer.shape[0]):
        step = rate_at(pace, k) * slopes[0, k]
        columns.moves[1, k], columns.moves[1, width + k] = real(-step), real(buffer[k, SUM_BEFORE] * step)
        is_still = is_still and step == 0.0
    if not is_still:
        for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + np.uintp(1)])):
            x, column, move = values[p], columns.parts[np.uintp(indices[p])], columns.moves[1]
            for place in range(move.shape[0]):
                column[place] += x * move[place]


@entry
def dual_averaging_sparse_outputs_epoch(stamp):
    def dual_averaging_sparse_outputs_epoch(
        data, order, batch_size, objective, memory, n_updates, buffer, columns, scores, losses
    ):
        """``dual_averaging_epoch`` on CSR rows that name no column twice. ``buffer`` is (outputs, ``N_BUFFER``)."""
        _ = stamp
        X, y, weight, class_weight = data
        t, m, look = n_updates, 0, next_look(n_updates)
        pack_outputs(memory, columns, buffer)
        find_factors(memory.pace, columns.scales, objective, columns.factors.T)
        for start in range(0, order.shape[0], batch_size):
            stop, t, m = min(start + batch_size, order.shape[0]), t + 1, m + 1
            bring_up_factors(memory.pace, t, columns.scales, objective, columns.factors.T)
            if t == look:
                look_at_outputs(columns, memory, objective)
                m, look = 1, next_look(t)
            elif m == columns.moves.shape[0]:
                settle_outputs(columns)
                m = 1
            find_shares(memory.pace, objective, scores.shape[1], columns.shares)
            columns.moves[m] = 0.0  # for columns that an earlier row of the batch has settled
            scores_of_outputs(data, order, start, stop, memory, columns, m, scores)
            slopes_from_scores(
                objective.outputs, order, start, stop, y, weight, class_weight, scores, objective, losses
            )
            gradients_of_batch(X, order, start, stop, batch_size, objective, columns, scores, buffer)
            move_intercepts(t, (stop - start) / batch_size, memory, buffer)
            remember_outputs(columns, m, memory.pace, buffer)
        unpack_outputs(columns, memory, buffer)

    return dual_averaging_sparse_outputs_epoch


@entry
def dual_averaging_sparse_outputs_row_epoch(stamp):
    def dual_averaging_sparse_outputs_row_epoch(
        data, order, objective, memory, n_updates, buffer, columns, squares, scores, losses
    ):
        """The same in batches of one row: its norm is known, so that columns move at once. ``squares`` are those of
        ``dual_averaging_sparse_row_epoch``."""
        _ = stamp
        X, y, weight, class_weight = data
        look = next_look(n_updates)
        pack_outputs(memory, columns, buffer)
        find_factors(memory.pace, columns.scales, objective, columns.factors.T)
        for r in range(order.shape[0]):
            i, t = np.uintp(order[r]), n_updates + r + 1
            bring_up_factors(memory.pace, t, columns.scales, objective, columns.factors.T)
            if t == look:
                look_at_outputs(columns, memory, objective)
                look = next_look(t)
            find_shares(memory.pace, objective, scores.shape[1], columns.shares)
            prefetch_place(X, y, weight, order, r + AHEAD)
            prefetch(squares, row_at(order, r + AHEAD))
            scores_of_row(X, i, memory, columns, scores)
            slopes_from_scores(objective.outputs, order, r, r + 1, y, weight, class_weight, scores, objective, losses)
            gradients_of_row(squares[i], objective, scores, buffer)
            move_intercepts(t, 1.0, memory, buffer)
            move_by_row(X, i, columns, scores, memory.pace, buffer)
        unpack_outputs(columns, memory, buffer)

    return dual_averaging_sparse_outputs_row_epoch
