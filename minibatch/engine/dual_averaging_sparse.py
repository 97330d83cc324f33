"""``engine.dual_averaging`` of one output in batches of one CSR row, at the cost of one pass over its values: exact.

As with dense rows (``engine.dual_averaging_sums``), rows go into ``n`` and into ``u = S (m - n)``, which a column that
is not in the batch leaves as they are; the penalties are two numbers. The scales of columns are powers of two apart, in
*bands*, so that there are few numbers to divide by: one for each band and update, not for each value.

What an update adds is known when the score is, but a column waits for it until a row next has it. Then it is *settled*:
moved by its part of the gradient of the last update that had it, times what that one adds for a unit, which is
remembered. So where scores are found, columns are settled, and get their part in the gradient of this row; nobody comes
back to them. When there is no room for more updates, all columns are settled.

Places in the arrays of X are unsigned, as their columns are (``engine.rows``): a tenth of an epoch went into checks.
What belongs to a column lies together, and memory is waited for once. Several outputs:
``engine.dual_averaging_sparse_outputs``.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from minibatch.engine.compile import INLINED, OPTIONS, entry, kernel, kernel_in_order
from minibatch.engine.dual_averaging import (
    DISTANCE,
    POINT_SUM,
    WEIGHTS,
    find_factors,
    next_bring_up,
    next_look,
    note_distance,
    rate_after,
)
from minibatch.engine.dual_averaging_fours import Place, place_of, put_back
from minibatch.engine.dual_averaging_sums import (
    UNIT,
    bring_up_factors,
    numbers_from_sums,
    numbers_to_sums,
    share_of_model,
    share_of_sums,
)
from minibatch.engine.linear import target_of_output
from minibatch.engine.optimizers import soft_threshold
from minibatch.engine.row_blocks import AHEAD, prefetch_place, row_at
from minibatch.engine.row_losses import loss_of_score
from minibatch.engine.rows import prefetch
from minibatch.engine.vectors import multiply_add, splat

__all__ = [
    "REMEMBERED", "Columns", "add_product", "band_of", "column_type", "dot_of_bands", "dot_of_row", "dot_of_thresholds",
    "dual_averaging_sparse_row_epoch", "look_at_columns", "move_type", "pack", "part_of_dot", "place_to_remember",
    "remember", "run_of_rows", "settle_all", "settled", "unpack", "weight_there",
]  # fmt: skip

# Updates that are remembered, at most: settling all columns takes a pass over them. A column of float32 has 16 bits for
# the number of its last.
REMEMBERED = 16384


def move_type(real):
    """What an update adds to a column for a unit of its gradient, as a NumPy type."""
    return np.dtype([("n", real), ("u", real)])


def column_type(real):
    """What is kept of a column, as a NumPy type: ``n`` and ``u``, its part of the gradient of the last update that had
    it, which that is, and its band."""
    count = f"u{np.dtype(real).itemsize // 2}"
    return np.dtype([("n", real), ("u", real), ("gradient", real), ("last", count), ("band", count)])


class Columns(NamedTuple):
    """What the loop makes of the memory. Bands are numbered; there are none where all columns are alike."""

    parts: np.ndarray  # (features,), of the ``column_type``
    bands: np.ndarray  # of the columns
    scales: np.ndarray  # of the bands
    inverses: np.ndarray  # of these scales, in float64
    factors: np.ndarray  # (1, bands): from a dual vector to weights, where the next gradient is taken
    moves: np.ndarray  # (updates,), of the ``move_type``: those remembered; the first adds nothing


@kernel
def band_of(columns, j):
    return np.uintp(columns.bands[j]) if columns.bands.shape[0] > 0 else np.uintp(0)


@kernel
def pack(memory, columns, buffer):
    """``to_sums``, of weights into ``columns``."""
    dual, average = memory.dual.weights, memory.average.weights
    numbers_to_sums(memory, buffer)
    for j in range(columns.parts.shape[0]):
        column = columns.parts[j]
        column["n"], column["u"] = dual[0, j], average[0, j] - dual[0, j]
        column["gradient"], column["last"], column["band"] = 0.0, 0, band_of(columns, np.uintp(j))
    columns.moves[0]["n"], columns.moves[0]["u"] = 0.0, 0.0


def add_product(column, n, u, factor):
    """Add ``factor`` times ``n`` and ``u`` to those of a column; returns what they are then."""
    column["n"] += n * factor
    column["u"] += u * factor
    return column["n"], column["u"]


@intrinsic
def _add_product(typing_context, column, n, u, factor):
    """The two lie side by side, and are a vector: measured, an eighth of an epoch in batches of long rows."""

    def codegen(context, builder, signature, args):
        real = context.get_data_type(factor)
        pair, align = ir.VectorType(real, 2), context.get_abi_sizeof(real)
        of_column, change = builder.bitcast(args[0], pair.as_pointer()), ir.Constant(pair, ir.Undefined)
        for place in range(2):
            change = builder.insert_element(change, args[1 + place], cgutils.int32_t(place))
        after = multiply_add(builder, change, splat(builder, args[3], 2), builder.load(of_column, align=align))
        builder.store(after, of_column, align=align)
        numbers = [builder.extract_element(after, cgutils.int32_t(place)) for place in range(2)]
        return context.make_tuple(builder, signature.return_type, numbers)

    return types.UniTuple(factor, 2)(column, n, u, factor), codegen


@overload(add_product, jit_options={**OPTIONS, **INLINED})
def _add_product_of_records(column, n, u, factor):
    return lambda column, n, u, factor: _add_product(column, n, u, factor)


@kernel
def settled(columns, m, j, gradient):
    """What there is of a column in ``n`` and ``u``, after all updates before ``m``, which comes next, and in whose
    gradient it gets this part."""
    column = columns.parts[j]
    move = columns.moves[np.uintp(column["last"])]
    n, u = add_product(column, move["n"], move["u"], column["gradient"])
    column["gradient"], column["last"] = gradient, m
    return n, u


@kernel
def settle_all(columns):
    zero = columns.factors.dtype.type(0)
    for j in range(columns.parts.shape[0]):
        settled(columns, 0, np.uintp(j), zero)


@kernel
def unpack(columns, memory, buffer):
    """``from_sums``, of the weights in ``columns``."""
    dual, average, real = memory.dual.weights, memory.average.weights, columns.factors.dtype.type
    share, zero = real(share_of_model(memory.pace, 0)), real(0)
    for j in range(columns.parts.shape[0]):
        n, u = settled(columns, 0, np.uintp(j), zero)
        dual[0, j], average[0, j] = n, n + share * u
    numbers_from_sums(memory, buffer)


@kernel
def weight_there(columns, m, j, gradient, share, threshold):
    """The weight of a column where the gradient of update ``m`` is taken."""
    n, u = settled(columns, m, j, gradient)
    factor = columns.factors[0, np.uintp(columns.parts[j]["band"])]
    return soft_threshold(n + share * u, threshold, columns.factors.dtype.type(0)) * factor


@kernel_in_order
def part_of_dot(X, p, columns, m, single, share):
    """Of a value in a row, where there is no threshold."""
    x, j = X.data[p], np.uintp(X.indices[p])
    n, u = settled(columns, m, j, x if single else X.data.dtype.type(0))
    return x * columns.factors[0, np.uintp(columns.parts[j]["band"])] * (n + share * u)


@kernel_in_order
def dot_of_bands(X, i, columns, m, single, share):
    """``dot_of_row`` where there is no threshold. Sums of two, in order, as in ``engine.rows``."""
    even = odd = X.data.dtype.type(0)
    one, two = np.uintp(1), np.uintp(2)
    p, last = np.uintp(X.indptr[i]), np.uintp(X.indptr[i + one])
    while p + two <= last:
        even += part_of_dot(X, p, columns, m, single, share)
        odd += part_of_dot(X, p + one, columns, m, single, share)
        p += two
    if p < last:
        even += part_of_dot(X, p, columns, m, single, share)
    return even + odd


@kernel_in_order
def dot_of_thresholds(X, i, columns, m, single, share, threshold):
    """``dot_of_row`` where there is a threshold."""
    values, indices, indptr = X
    total = zero = values.dtype.type(0)
    for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + np.uintp(1)])):
        gradient = values[p] if single else zero
        total += values[p] * weight_there(columns, m, np.uintp(indices[p]), gradient, share, threshold)
    return total


@kernel
def dot_of_row(X, i, columns, m, single, share, threshold):
    """The product of a row with the weights where the gradient of update ``m`` is taken. A single row is this gradient,
    for a slope of one."""
    real = columns.factors.dtype.type
    if threshold == 0.0:
        return float(dot_of_bands(X, i, columns, m, single, real(share)))
    return float(dot_of_thresholds(X, i, columns, m, single, real(share), real(threshold)))


@kernel
def look_at_columns(columns, memory, objective):
    """See how far the point where gradients are taken is from the first weights. All columns are settled then."""
    (start, first_intercept), real, pace = memory.start, columns.factors.dtype.type, memory.pace
    of_others, zero = share_of_sums(pace[0, WEIGHTS]), real(0)
    share, threshold = real(of_others), real(objective.l1 * pace[0, POINT_SUM])
    moved = memory.dual.intercept[0] + of_others * memory.average.intercept[0] - first_intercept[0]
    far = float(moved) * float(moved)
    for j in range(columns.parts.shape[0]):
        gone = float(weight_there(columns, 0, np.uintp(j), zero, share, threshold) - start[0, j])
        far += gone * gone * float(columns.scales[band_of(columns, np.uintp(j))])
    note_distance(pace, 0, 1, far)


@kernel
def place_to_remember(t, look, m, columns, memory, objective):
    """Where what update ``t`` adds is remembered, after ``m``. All columns are settled where the distance is looked at,
    and where there is no room for more."""
    if t == look:
        look_at_columns(columns, memory, objective)
        return 1
    if m + 1 == columns.moves.shape[0]:
        settle_all(columns)
        return 1
    return m + 1


@kernel
def remember(columns, m, of_weights, of_others):
    """Of update ``m``, which takes ``of_weights`` times its gradient from ``n`` and adds ``of_others`` times it to
    ``u``."""
    move, real = columns.moves[m], columns.factors.dtype.type
    move["n"], move["u"] = real(-of_weights), real(of_others)


@kernel
def run_of_rows(data, order, first, last, n_updates, m, objective, memory, buffer, columns, squares):
    """Update with the rows at places ``first`` to ``last - 1``, between which no sums are brought up, from number ``m``
    of the updates remembered on; returns their loss. Where the output stands is in registers."""
    (X, y, row_weight, class_weight), one = data, 1.0 if objective.fit_intercept else 0.0
    distance, loss, threshold = memory.pace[0, DISTANCE], 0.0, objective.l1 * memory.pace[0, POINT_SUM]
    unit, place = distance / buffer[0, UNIT], place_of(memory, 0)
    for r in range(first, last):
        i, t, number = np.uintp(order[r]), n_updates + r + 1, np.uintp(m + r - first)
        v, rate, weights, rate_sum, other_sum, dual, other = place
        share = share_of_sums(weights)
        prefetch_place(X, y, row_weight, order, r + AHEAD)
        prefetch(squares, row_at(order, r + AHEAD))
        z = dot_of_row(X, i, columns, number, True, share, threshold) + (dual + share * other)
        target, weight = target_of_output(i, 0, y, row_weight, class_weight, objective)
        value, slope = loss_of_score(objective.loss, z, target, weight, objective.parameter)
        rate_sum, other_sum = rate_sum + rate, other_sum - weights * rate
        v += distance * squares[i] * (weight * weight) * (slope * slope)
        rate = rate_after(rate, distance, v, t)
        step = rate * (weight * slope)
        remember(columns, number, step, weights * step)
        loss += weight * value
        dual, other = dual - one * step, other + one * (weights * step)
        place = Place(v, rate, weights + unit * t, rate_sum, other_sum, dual, other)
    put_back(place, memory, 0)
    return loss


@entry
def dual_averaging_sparse_row_epoch(stamp):
    def dual_averaging_sparse_row_epoch(data, order, objective, memory, n_updates, buffer, columns, squares, losses):
        """``dual_averaging_epoch`` of one output in batches of one CSR row, none of which names a column twice.
        ``squares`` are those of the rows in the norm of the scales' inverses; ``buffer`` is (1, ``N_BUFFER``)."""
        _ = stamp
        m, r, look = 0, 0, next_look(n_updates)
        pack(memory, columns, buffer)
        find_factors(memory.pace, columns.scales, objective, columns.factors)
        while r < order.shape[0]:
            t = n_updates + r + 1
            bring_up_factors(memory.pace, t, columns.scales, objective, columns.factors)
            m = place_to_remember(t, look, m, columns, memory, objective)
            if t == look:
                look = next_look(t)
            last = min(order.shape[0], r + next_bring_up(t) - t, r + columns.moves.shape[0] - m)
            losses[0] += run_of_rows(data, order, r, last, n_updates, m, objective, memory, buffer, columns, squares)
            m, r = m + (last - r) - 1, last
        unpack(columns, memory, buffer)

    return dual_averaging_sparse_row_epoch
