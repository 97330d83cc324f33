"""What outputs do with a value of a CSR row, in SIMD code over outputs: see ``engine.dual_averaging_sparse_outputs``.

A column is a row of ``parts``: its ``n`` in every output, its ``u``, its gradients. Outputs are ``AT_ONCE``, or a
multiple; those that are not there are zeros. As in ``engine.rows``, a Python function is the reference, and overloads
are what Numba compiles: of the loops that it makes of these, no SIMD code comes.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from minibatch.engine.compile import INLINED, OPTIONS
from minibatch.engine.vectors import INT, array_row, clipped, multiply_add, splat

__all__ = [
    "AT_ONCE", "add_scores", "add_to_gradient", "settle_and_score",
]  # fmt: skip

AT_ONCE = 4
_JIT = {**OPTIONS, **INLINED}


def add_scores(x, parts, j, factors, band, shares, sums):
    """Add ``x`` times the weights of column ``j`` where a gradient is taken to ``sums``."""
    n, u = parts[j, : 2 * len(sums)].reshape(2, -1)
    there = n + shares[0] * u
    sums += x * factors[band] * (there - np.clip(there, -shares[1], shares[1]))


def settle_and_score(x, parts, j, moves, last, factors, band, shares, sums):
    """``add_scores``, after the column is settled by what update ``last`` added; nothing is left of its gradients."""
    (n, u, gradient), (of_n, of_u) = parts[j].reshape(3, -1), moves[last].reshape(2, -1)
    n += of_n * gradient
    u += of_u * gradient
    gradient[:] = 0.0
    add_scores(x, parts, j, factors, band, shares, sums)


def add_to_gradient(x, slopes, parts, j, inverse, sums):
    """Add ``x`` times the slopes to the gradient of column ``j``, and to ``sums`` what its squared norms grow by."""
    gradient = parts[j].reshape(3, -1)[2]
    part = x * slopes
    sums += (part * (gradient + (gradient + part))) * inverse
    gradient += part


def _over_outputs(builder, width, size):
    """Loads and stores of ``AT_ONCE`` numbers of a row, of ``size`` bytes each, and a loop over them."""

    def at(row, k):
        return builder.bitcast(builder.gep(row, [k]), ir.VectorType(row.type.pointee, AT_ONCE).as_pointer())

    def load(row, k):
        return builder.load(at(row, k), align=size(row.type.pointee))

    def store(vector, row, k):
        builder.store(vector, at(row, k), align=size(row.type.pointee))

    return load, store, cgutils.for_range_slice(builder, INT(0), width, INT(AT_ONCE), intp=INT(0).type)


def _code_of_scores(settles):
    """Of ``settle_and_score``, or of ``add_scores``."""

    def codegen(context, builder, signature, args):
        kinds, (x, parts, j), (factors, band, shares, sums) = signature.args, args[:3], args[-4:]
        column, _ = array_row(context, builder, kinds[1], parts, j)
        of_band, width = array_row(context, builder, kinds[-4], factors, band)
        share, threshold = (array_row(context, builder, kinds[-2], shares, INT(row))[0] for row in range(2))
        total = context.make_array(kinds[-1])(context, builder, sums).data
        load, store, outputs = _over_outputs(builder, width, context.get_abi_sizeof)
        value, others = splat(builder, x, AT_ONCE), builder.gep(column, [width])
        if settles:
            move, _ = array_row(context, builder, kinds[3], args[3], args[4])
            gradients, of_others = builder.gep(others, [width]), builder.gep(move, [width])
        with outputs as (k, _):
            n, u = load(column, k), load(others, k)
            if settles:
                gradient = load(gradients, k)
                n = multiply_add(builder, load(move, k), gradient, n)
                u = multiply_add(builder, load(of_others, k), gradient, u)
                for vector, row in ((n, column), (u, others), (gradient.type(None), gradients)):
                    store(vector, row, k)
            there = multiply_add(builder, load(share, k), u, n)
            there = builder.fsub(there, clipped(builder, there, load(threshold, k)))
            product, before = builder.fmul(builder.fmul(value, load(of_band, k)), there), load(total, k)
            store(builder.fadd(before, _extended(builder, product, before.type)), total, k)
        return context.get_dummy_value()

    return codegen


@intrinsic
def _add_scores(typing_context, x, parts, j, factors, band, shares, sums):
    return types.none(x, parts, j, factors, band, shares, sums), _code_of_scores(settles=False)


@intrinsic
def _settle_and_score(typing_context, x, parts, j, moves, last, factors, band, shares, sums):
    return types.none(x, parts, j, moves, last, factors, band, shares, sums), _code_of_scores(settles=True)


@intrinsic
def _add_to_gradient(typing_context, x, slopes, parts, j, inverse, sums):
    def codegen(context, builder, signature, args):
        kinds = signature.args
        of_row, total = (context.make_array(kinds[i])(context, builder, args[i]) for i in (1, 5))
        column, _ = array_row(context, builder, kinds[2], args[2], args[3])
        width = builder.extract_value(of_row.shape, 0)
        load, store, outputs = _over_outputs(builder, width, context.get_abi_sizeof)
        gradients = builder.gep(column, [builder.mul(width, INT(2))])
        value, factor = splat(builder, args[0], AT_ONCE), splat(builder, args[4], AT_ONCE)
        with outputs as (k, _):
            part, before = builder.fmul(value, load(of_row.data, k)), load(gradients, k)
            after = builder.fadd(before, part)
            store(after, gradients, k)
            grown, norm = builder.fmul(part, builder.fadd(before, after)), load(total.data, k)
            grown = _extended(builder, grown, norm.type)
            store(multiply_add(builder, grown, factor, norm), total.data, k)
        return context.get_dummy_value()

    return types.none(x, slopes, parts, j, inverse, sums), codegen


def _extended(builder, vector, kind):
    """To float64, where it is not."""
    return vector if vector.type == kind else builder.fpext(vector, kind)


@overload(add_scores, jit_options=_JIT)
def _add_scores_in_vectors(x, parts, j, factors, band, shares, sums):
    return lambda x, parts, j, factors, band, shares, sums: _add_scores(x, parts, j, factors, band, shares, sums)


@overload(settle_and_score, jit_options=_JIT)
def _settle_and_score_in_vectors(x, parts, j, moves, last, factors, band, shares, sums):
    return lambda x, parts, j, moves, last, factors, band, shares, sums: _settle_and_score(
        x, parts, j, moves, last, factors, band, shares, sums
    )


@overload(add_to_gradient, jit_options=_JIT)
def _add_to_gradient_in_vectors(x, slopes, parts, j, inverse, sums):
    return lambda x, slopes, parts, j, inverse, sums: _add_to_gradient(x, slopes, parts, j, inverse, sums)
