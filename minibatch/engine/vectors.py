"""SIMD vectors in LLVM's own terms, for loops of which no compiler makes what they could be."""

from llvmlite import ir
from numba.core import cgutils

__all__ = [
    "INT", "VECTOR_BYTES", "array_row", "chosen", "clipped", "multiply_add", "splat", "sum_of_lanes", "vector_type",
]  # fmt: skip

# AVX2 has 16 registers of this size. Where there are longer ones, loads from the cache are as fast.
VECTOR_BYTES = 32

INT = cgutils.intp_t


def vector_type(context, dtype):
    """Of numbers of a type of Numba's."""
    real = context.get_data_type(dtype)
    return ir.VectorType(real, VECTOR_BYTES // context.get_abi_sizeof(real))


def chosen(builder, value, places):
    """The lanes of a vector at ``places``; a place after the last is a zero."""
    numbers = ir.Constant(ir.VectorType(cgutils.int32_t, len(places)), places)
    return builder.shuffle_vector(value, value.type(None), numbers)


def splat(builder, number, n):
    """A vector of ``n`` times the same number."""
    undefined = ir.Constant(ir.VectorType(number.type, n), ir.Undefined)
    return chosen(builder, builder.insert_element(undefined, number, cgutils.int32_t(0)), [0] * n)


def multiply_add(builder, x, y, z):
    """``x * y + z``, rounded once where the processor can."""
    return builder.fadd(builder.fmul(x, y, flags=("contract",)), z, flags=("contract",))


def clipped(builder, value, limit):
    """Between minus the limit and the limit."""
    below = builder.select(builder.fcmp_ordered("<", value, limit), value, limit)
    least = builder.fneg(limit)
    return builder.select(builder.fcmp_ordered(">", below, least), below, least)


def sum_of_lanes(builder, vector):
    real, n = vector.type.element, vector.type.count
    function_type = ir.FunctionType(real, [real, vector.type])
    name = f"llvm.vector.reduce.fadd.v{n}f{8 * VECTOR_BYTES // n}"
    function = cgutils.get_or_insert_function(builder.module, function_type, name)
    return builder.call(function, [real(-0.0), vector], fastmath=("reassoc",))


def array_row(context, builder, array_type, array, row):
    """The address of a row of a matrix whose rows are contiguous, and how many columns it has."""
    struct = context.make_array(array_type)(context, builder, array)
    step = builder.sdiv(builder.extract_value(struct.strides, 0), INT(context.get_abi_sizeof(struct.data.type.pointee)))
    return builder.gep(struct.data, [builder.mul(row, step)]), builder.extract_value(struct.shape, 1)
