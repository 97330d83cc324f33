"""Small buffers on the stack, for loops of nothing but arithmetic: of these, the compiler makes SIMD code."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from minibatch.engine.compile import COMPILED

__all__ = ["LANES", "lanes"]

# Numbers in a buffer.
LANES = 64


def _on_the_stack(typing_context):
    """An array of ``LANES`` numbers, whatever they are; it is gone when the function that asks for it returns."""
    result = types.Array(types.float64, 1, "C")

    def codegen(context, builder, signature, args):
        size = context.get_abi_sizeof(context.get_data_type(types.float64))
        view = make_array(result)(context, builder)
        populate_array(
            view,
            data=cgutils.alloca_once(builder, ir.DoubleType(), size=LANES),
            shape=[context.get_constant(types.intp, LANES)],
            strides=[context.get_constant(types.intp, size)],
            itemsize=context.get_constant(types.intp, size),
            meminfo=None,
        )
        return view._getvalue()

    return result(), codegen


def _in_plain_python():
    return np.empty(LANES)


# Not an overload, as elsewhere: what is on the stack of a function is gone when it returns.
lanes = intrinsic(_on_the_stack) if COMPILED else _in_plain_python
