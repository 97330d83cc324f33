"""An update of weights in SIMD code: see ``engine.dual_averaging``.

The compiler makes none of a loop that writes four arrays which it can't tell apart. As in ``engine.rows``, a Python
function is the reference, and an overload is what Numba compiles.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from minibatch.engine.compile import INLINED, OPTIONS
from minibatch.engine.vectors import INT, array_row, clipped, multiply_add, splat, vector_type

__all__ = ["move_weights"]


def move_weights(k, dual, average, grad, eta, share, of_average, threshold, factors, point):
    """Move what output ``k`` has, and fill ``point`` with its weights where the next gradient is taken; this one
    becomes 0."""
    dual[k] -= eta * grad[k]
    average[k] += share * (dual[k] - average[k])
    there = dual[k] + of_average * (average[k] - dual[k])
    point[k] = (there - np.clip(there, -threshold, threshold)) * factors[k]
    grad[k] = 0.0


def _factors_at(context, builder, kind, factors, k, vector):
    """Where they are for column ``j``: of columns that are alike, always the same."""
    row, width = array_row(context, builder, kind, factors, k)
    alike = builder.icmp_signed("==", width, INT(1))
    copies = cgutils.alloca_once(builder, vector)
    builder.store(splat(builder, builder.load(row), vector.count), copies)
    row = builder.select(alike, builder.bitcast(copies, row.type), row)
    step = builder.select(alike, INT(0), INT(1))
    return lambda j: builder.gep(row, [builder.mul(j, step)])


@intrinsic
def _move_weights(typing_context, k, dual, average, grad, eta, share, of_average, threshold, factors, point):
    def codegen(context, builder, signature, args):
        kinds, k, numbers = signature.args, args[0], args[4:8]
        (n_row, width), (m_row, _), (g_row, _), (point_row, _) = (
            array_row(context, builder, kinds[place], args[place], k) for place in (1, 2, 3, 9)
        )
        full = vector_type(context, dual.dtype)
        factor_at = _factors_at(context, builder, kinds[8], args[8], k, full)

        def columns(j, lanes):
            def at(address):
                return builder.bitcast(address, ir.VectorType(full.element, lanes).as_pointer())

            def load(address):
                return builder.load(at(address), align=context.get_abi_sizeof(full.element))

            def store(value, address):
                builder.store(value, at(address), align=context.get_abi_sizeof(full.element))

            eta, share, of_average, threshold = (splat(builder, number, lanes) for number in numbers)
            n_at, m_at, g_at, point_at = (builder.gep(row, [j]) for row in (n_row, m_row, g_row, point_row))
            before, gradient = load(m_at), load(g_at)
            n = multiply_add(builder, builder.fneg(eta), gradient, load(n_at))
            m = multiply_add(builder, share, builder.fsub(n, before), before)
            there = multiply_add(builder, of_average, builder.fsub(m, n), n)
            weights = builder.fmul(builder.fsub(there, clipped(builder, there, threshold)), load(factor_at(j)))
            for value, address in ((n, n_at), (m, m_at), (weights, point_at), (gradient.type(None), g_at)):
                store(value, address)

        in_vectors = builder.sub(width, builder.srem(width, INT(full.count)))
        for first, last, lanes in ((INT(0), in_vectors, full.count), (in_vectors, width, 1)):
            with cgutils.for_range_slice(builder, first, last, INT(lanes), intp=INT) as (j, _):
                columns(j, lanes)
        return context.get_dummy_value()

    return types.none(k, dual, average, grad, eta, share, of_average, threshold, factors, point), codegen


@overload(move_weights, jit_options={**OPTIONS, **INLINED})
def _move_weights_in_vectors(k, dual, average, grad, eta, share, of_average, threshold, factors, point):
    return lambda k, dual, average, grad, eta, share, of_average, threshold, factors, point: _move_weights(
        k, dual, average, grad, eta, share, of_average, threshold, factors, point
    )
