"""``engine.dual_averaging`` in batches of one CSR row, at the cost of its values: exact, whatever the penalty.

As with dense rows (``engine.dual_averaging_sums``), rows go into ``n`` and into ``u = S (m - n)``, which a column that
is not in the batch leaves as they are; the penalties are two numbers an output. The scales of columns are powers of two
apart, in *bands*, so that there are few numbers to divide by: one for each band and update, not for each value.

Places in the arrays of X are unsigned, as their columns are (``engine.rows``): a tenth of an epoch went into checks.
What belongs to a column lies together, and memory is waited for once: ``n``, ``u`` and what batches of several rows
(``engine.dual_averaging_sparse_batches``) keep of it. These leave a column as it is after an update, and *settle* it
when a row next has it: here, where scores are found. Batches of one row have no ``moves``, and nothing to settle.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from minibatch.engine.compile import INLINED, OPTIONS, entry, kernel, kernel_in_order
from minibatch.engine.dual_averaging import POINT_SUM, WEIGHTS, find_factors, next_look, note_distance
from minibatch.engine.dual_averaging_sums import (
    UNIT,
    bring_up_factors,
    next_rate,
    numbers_from_sums,
    numbers_to_sums,
    share_of_model,
    share_of_sums,
)
from minibatch.engine.linear import slopes_from_scores
from minibatch.engine.optimizers import soft_threshold
from minibatch.engine.row_blocks import AHEAD, prefetch_place, row_at
from minibatch.engine.rows import prefetch
from minibatch.engine.vectors import multiply_add, splat

__all__ = [
    "Columns", "add_product", "band_of", "between", "column_type", "dot_of_alike", "dot_of_bands", "dot_of_scaled",
    "dual_averaging_sparse_row_epoch", "factor_of", "find_shares", "look_at_columns", "move_by_row", "move_outputs",
    "pack", "part_of_dot", "score_at_columns", "settled", "unpack", "weight_there",
]  # fmt: skip


def column_type(real, in_batches):
    """What is kept of a column, as a NumPy type: of ``n`` and of ``u``; in batches its part of the gradient of the last
    one that had it, which that is, and its band."""
    fields = [("n", real), ("u", real)]
    if in_batches:
        count = f"u{np.dtype(real).itemsize // 2}"
        fields += [("gradient", real), ("last", count), ("band", count)]
    return np.dtype(fields)


class Columns(NamedTuple):
    """What the loop makes of the memory. Bands are numbered; there are none where all columns are alike."""

    parts: np.ndarray  # (outputs, features), of the ``column_type``
    bands: np.ndarray  # of the columns
    scales: np.ndarray  # of the bands
    inverses: np.ndarray  # of these scales, in float64
    factors: np.ndarray  # (outputs, bands): from a dual vector to weights, where the next gradient is taken
    shares: np.ndarray  # (outputs, 2): of u there, and the threshold
    # one of (outputs, updates), in batches: what each adds for a unit of the gradient. Functions that ask whether there
    # are any have them as an argument: a branch on the length of a field is compiled, one on that of an argument not.
    moves: tuple[np.ndarray, ...]


@kernel
def band_of(columns, j):
    return np.uintp(columns.bands[j]) if columns.bands.shape[0] > 0 else np.uintp(0)


@kernel
def factor_of(columns, moves, k, j):
    """What makes a weight of a column, where the next gradient is taken, of its part in the dual vectors."""
    band = np.uintp(columns.parts[k, j]["band"]) if len(moves) > 0 else band_of(columns, j)
    return columns.factors[k, band]


@kernel
def pack(memory, columns, moves, buffer):
    """``to_sums``, of weights into ``columns``."""
    parts, dual, average = columns.parts, memory.dual.weights, memory.average.weights
    numbers_to_sums(memory, buffer)
    for k in range(parts.shape[0]):
        for j in range(parts.shape[1]):
            column = parts[k, j]
            column["n"], column["u"] = dual[k, j], average[k, j] - dual[k, j]
            if len(moves) > 0:
                column["gradient"], column["last"], column["band"] = 0.0, 0, band_of(columns, np.uintp(j))


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
def settled(parts, moves, m, k, j):
    """What there is of a column in ``n`` and ``u``, after all updates before ``m``, which comes next."""
    column = parts[k, j]
    if len(moves) == 0:
        return column["n"], column["u"]
    move = moves[0][k, np.uintp(column["last"])]
    n, u = add_product(column, move["n"], move["u"], column["gradient"])
    column["gradient"], column["last"] = 0.0, m
    return n, u


@kernel
def unpack(columns, moves, memory, buffer):
    """``from_sums``, of the weights in ``columns``."""
    parts, dual, average = columns.parts, memory.dual.weights, memory.average.weights
    for k in range(parts.shape[0]):
        share = average.dtype.type(share_of_model(memory.pace, k))
        for j in range(parts.shape[1]):
            n, u = settled(parts, moves, 0, k, j)
            dual[k, j], average[k, j] = n, n + share * u
    numbers_from_sums(memory, buffer)


@kernel
def find_shares(pace, objective, columns):
    """See to where the next gradient is taken."""
    last = pace.shape[0] - 1
    for k in range(columns.parts.shape[0]):
        p = min(k, last)
        columns.shares[k, 0], columns.shares[k, 1] = share_of_sums(pace[p, WEIGHTS]), objective.l1 * pace[p, POINT_SUM]


@kernel
def between(parts, moves, m, k, j, share):
    """What there is of a column where the next gradient is taken, before a threshold and its factor."""
    n, u = settled(parts, moves, m, k, j)
    return n + share * u


@kernel
def weight_there(columns, moves, m, k, j, share, threshold, zero):
    """The weight of a column where the next gradient is taken."""
    there = between(columns.parts, moves, m, k, j, share)
    return soft_threshold(there, threshold, zero) * factor_of(columns, moves, k, j)


@kernel_in_order
def dot_of_alike(X, i, parts, moves, m, k, share):
    """The product of a row with what there is of its columns. Sums of two, in order, as in ``engine.rows``."""
    values, indices, indptr = X
    even = odd = values.dtype.type(0)
    one, two = np.uintp(1), np.uintp(2)
    p, last = np.uintp(indptr[i]), np.uintp(indptr[i + one])
    while p + two <= last:
        even += values[p] * between(parts, moves, m, k, np.uintp(indices[p]), share)
        odd += values[p + one] * between(parts, moves, m, k, np.uintp(indices[p + one]), share)
        p += two
    if p < last:
        even += values[p] * between(parts, moves, m, k, np.uintp(indices[p]), share)
    return even + odd


@kernel_in_order
def part_of_dot(X, p, columns, moves, m, k, share):
    """Of a value in a row whose columns have scales."""
    j = np.uintp(X.indices[p])
    return X.data[p] * factor_of(columns, moves, k, j) * between(columns.parts, moves, m, k, j, share)


@kernel_in_order
def dot_of_scaled(X, i, columns, moves, m, k, share):
    """``dot_of_bands`` where there is no threshold."""
    even = odd = X.data.dtype.type(0)
    one, two = np.uintp(1), np.uintp(2)
    p, last = np.uintp(X.indptr[i]), np.uintp(X.indptr[i + one])
    while p + two <= last:
        even += part_of_dot(X, p, columns, moves, m, k, share)
        odd += part_of_dot(X, p + one, columns, moves, m, k, share)
        p += two
    if p < last:
        even += part_of_dot(X, p, columns, moves, m, k, share)
    return even + odd


@kernel_in_order
def dot_of_bands(X, i, columns, moves, m, k, share, threshold):
    """The product of a row with the weights of output ``k`` where the next gradient is taken."""
    values, indices, indptr = X
    zero = total = values.dtype.type(0)
    for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + np.uintp(1)])):
        total += values[p] * weight_there(columns, moves, m, k, np.uintp(indices[p]), share, threshold, zero)
    return total


@kernel
def score_at_columns(X, i, memory, columns, moves, m, k):
    """The score of a row in output ``k`` where the next gradient is taken."""
    real = columns.factors.dtype.type
    share, threshold = real(columns.shares[k, 0]), real(columns.shares[k, 1])
    if threshold == real(0) and columns.bands.shape[0] == 0:
        dot = dot_of_alike(X, i, columns.parts, moves, m, k, share) * columns.factors[k, 0]
    elif threshold == real(0):
        dot = dot_of_scaled(X, i, columns, moves, m, k, share)
    else:
        dot = dot_of_bands(X, i, columns, moves, m, k, share, threshold)
    return float(dot) + memory.dual.intercept[k] + columns.shares[k, 0] * memory.average.intercept[k]


@kernel
def move_by_row(X, i, k, step, weights, columns):
    """Take ``step`` times the row from ``n`` of output ``k``; and what follows from ``u``."""
    (values, indices, indptr), parts, real = X, columns.parts, columns.factors.dtype.type
    if step != 0.0:
        n, u = real(-step), real(weights * step)
        for p in range(np.uintp(indptr[i]), np.uintp(indptr[i + np.uintp(1)])):
            add_product(parts[k, np.uintp(indices[p])], n, u, values[p])


@kernel
def look_at_columns(columns, moves, memory, objective):
    """See how far the points where gradients are taken are from the first weights. All columns are settled then."""
    (start, first_intercept), real, far = memory.start, columns.factors.dtype.type, 0.0
    n_outputs, zero = columns.parts.shape[0], real(0)
    find_shares(memory.pace, objective, columns)
    for k in range(n_outputs):
        share, threshold = real(columns.shares[k, 0]), real(columns.shares[k, 1])
        moved = memory.dual.intercept[k] + share * memory.average.intercept[k] - first_intercept[k]
        far += float(moved) * float(moved)
        for j in range(columns.parts.shape[1]):
            gone = float(weight_there(columns, moves, 0, k, np.uintp(j), share, threshold, zero) - start[k, j])
            far += gone * gone * float(columns.scales[band_of(columns, np.uintp(j))])
        far = note_distance(memory.pace, k, n_outputs, far)


@kernel
def move_outputs(X, i, t, square, objective, memory, buffer, columns, slopes):
    """Make update ``t`` with the slopes of a row, and the square of what it adds."""
    n_outputs, n_paces, of_all, eta, weights = columns.parts.shape[0], memory.pace.shape[0], 0.0, 0.0, 0.0
    for k in range(n_outputs):
        of_all += slopes[0, k] * slopes[0, k] * square
    for k in range(n_outputs):
        slope = slopes[0, k]
        if k < n_paces:
            squared_norm = slope * slope * square if n_paces == n_outputs else of_all
            eta, weights = next_rate(memory.pace, k, squared_norm, t, buffer[k, UNIT], 1.0)
        move_by_row(X, i, k, eta * slope, weights, columns)
        if objective.fit_intercept:
            memory.dual.intercept[k] -= eta * slope
            memory.average.intercept[k] += weights * eta * slope


@entry
def dual_averaging_sparse_row_epoch(stamp):
    def dual_averaging_sparse_row_epoch(
        data, order, objective, scales, memory, n_updates, buffer, columns, squares, scores, losses
    ):
        """``dual_averaging_epoch`` in batches of one CSR row, none of which names a column twice. ``squares`` are those
        of the rows in the norm of the scales' inverses; ``buffer`` is (outputs, ``N_BUFFER``)."""
        _ = stamp
        X, y, weight, class_weight = data
        look = next_look(n_updates)
        pack(memory, columns, columns.moves, buffer)
        find_factors(memory.pace, columns.scales, objective, columns.factors)
        for r in range(order.shape[0]):
            i, t = np.uintp(order[r]), n_updates + r + 1
            bring_up_factors(memory.pace, t, columns.scales, objective, columns.factors)
            if t == look:
                look_at_columns(columns, columns.moves, memory, objective)
                look = next_look(t)
            find_shares(memory.pace, objective, columns)
            prefetch_place(X, y, weight, order, r + AHEAD)
            prefetch(squares, row_at(order, r + AHEAD))
            for k in range(losses.shape[0]):
                scores[0, k] = score_at_columns(X, i, memory, columns, columns.moves, 0, k)
            slopes_from_scores(objective.outputs, order, r, r + 1, y, weight, class_weight, scores, objective, losses)
            move_outputs(X, i, t, squares[i], objective, memory, buffer, columns, scores)
        unpack(columns, columns.moves, memory, buffer)

    return dual_averaging_sparse_row_epoch
