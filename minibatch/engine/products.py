"""Products of dense matrices, and sums over their columns: small ones are found here and in ``engine.tiles``, others by
BLAS.

As in ``engine.rows``, a Python function is the reference, and overloads are what Numba compiles. Rows may be parts of
longer ones.
"""

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array
from numba.np.linalg import ensure_blas, get_blas_kind

from minibatch.engine.compile import COMPILED, INLINED, OPTIONS, kernel
from minibatch.engine.four_rows import add_four_rows, four_row_dots
from minibatch.engine.rows import add_row, row_dot
from minibatch.engine.tiles import TILE_ROWS, multiply_in_tiles, vector_lanes

__all__ = [
    "BLAS_COPIES", "COLUMNS_IN_TILES", "FEWEST_ROWS", "FEW_ROWS", "ROWS_IN_TILES", "SMALL_PRODUCT",
    "add_column_products", "add_column_sums", "add_to_rows", "copy_to", "fits_tiles", "multiply", "multiply_in_pieces",
    "product", "product_at", "product_bt", "product_bt_of_few_rows", "product_of_few_rows",
]  # fmt: skip

_JIT = {**OPTIONS, **INLINED}
# OpenBLAS copies both matrices into an order of its own. For small ones that is most of the work: measured on AVX2,
# 1 row times (784, 100), float32, takes 6 us here and 57 there. Up to so many rows, or columns of the result, tiles are
# faster; where there are too few columns for these, loops over few rows are.
ROWS_IN_TILES, COLUMNS_IN_TILES, FEW_ROWS = 64, 32, 8
# With AVX-512 it does not copy, for products of up to so many multiplications. Measured there, GFLOP/s, float32: 256
# rows times (784, 100) at once 95, in pieces 110; the gradient of these weights from 32 rows 82 and 107, from 256 rows
# 87 and 111 (float64 43 and 53). Pieces of 8 rows are slower than all at once, and so are those of products with a
# transpose on the right: 256 rows times (256, 256), 92 at once and 33.
SMALL_PRODUCT, FEWEST_ROWS = 1_000_000, 12
# A number that is known to Numba: what is not for this processor is not compiled.
BLAS_COPIES = not (COMPILED and get_host_cpu_features().get("avx512f", False))


def multiply(transposed_a, a, transposed_b, b, keep, out):
    """``out = a @ b``, by BLAS, of a matrix or its transpose; added to what is there where that is to ``keep``."""
    found = (a.T if transposed_a else a) @ (b.T if transposed_b else b)
    out[...] = out + found if keep else found


@intrinsic
def _gemm(typing_context, transposed_a, a, transposed_b, b, keep, out):
    """Numba's ``np.dot`` has neither ``keep`` nor parts of rows; this is what it calls. The matrices of BLAS are in
    Fortran's order: it is asked for ``out.T = b.T @ a.T``."""
    dtype = out.dtype

    def codegen(context, builder, signature, args):
        ensure_blas()
        transposed_a, a, transposed_b, b, keep, out = args
        a, b, out = (make_array(signature.args[i])(context, builder, array) for i, array in ((1, a), (3, b), (5, out)))
        real, char, pointer = context.get_data_type(dtype), cgutils.int8_t, cgutils.voidptr_t
        size = context.get_constant(types.intp, context.get_abi_sizeof(real))

        def shape(array, axis):
            return builder.extract_value(array.shape, axis)

        def operand(array):
            return builder.bitcast(array.data, pointer), builder.sdiv(builder.extract_value(array.strides, 0), size)

        def letter(transposed):
            return builder.select(transposed, char(ord("t")), char(ord("n")))

        def scalar(value):
            return builder.bitcast(cgutils.alloca_once_value(builder, value), pointer)

        depth = builder.select(transposed_a, shape(a, 0), shape(a, 1))
        one, beta = scalar(real(1.0)), scalar(builder.select(keep, real(1.0), real(0.0)))
        letters, sizes = [letter(transposed_b), letter(transposed_a)], [shape(out, 1), shape(out, 0), depth]
        arguments = [char(ord(get_blas_kind(dtype))), *letters, *sizes, one, *operand(b), *operand(a), beta]
        arguments += operand(out)
        function_type = ir.FunctionType(cgutils.int32_t, [argument.type for argument in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, function_type, "numba_xxgemm"), arguments)
        return context.get_dummy_value()

    return types.void(types.boolean, a, types.boolean, b, types.boolean, out), codegen


@overload(multiply, jit_options=_JIT)
def _multiply(transposed_a, a, transposed_b, b, keep, out):
    def multiply(transposed_a, a, transposed_b, b, keep, out):
        _gemm(transposed_a, a, transposed_b, b, keep, out)

    return multiply


@kernel
def multiply_in_pieces(transposed, a, b, keep, out):
    """``out = a @ b``, of a matrix or its transpose, added to what is there where that is to ``keep``: so many rows of
    ``out`` at a time that BLAS copies nothing, where it can do without."""
    n_rows = out.shape[0]
    step = n_rows if BLAS_COPIES else SMALL_PRODUCT // max(1, b.shape[0] * b.shape[1]) // 4 * 4
    if step < FEWEST_ROWS:
        step = max(1, n_rows)
    for start in range(0, n_rows, step):
        stop = min(start + step, n_rows)
        if transposed:
            multiply(True, a[:, start:stop], False, b, keep, out[start:stop])
        else:
            multiply(False, a[start:stop], False, b, keep, out[start:stop])


@kernel
def fits_tiles(rows):
    """Whether products with so many rows, whose result has as many columns, are faster in tiles."""
    n_rows, n_columns = rows.shape
    small = n_rows <= ROWS_IN_TILES or n_columns <= COLUMNS_IN_TILES
    return BLAS_COPIES and small and n_columns >= vector_lanes(rows)


@kernel
def product_of_few_rows(a, b, out):
    """``out = a @ b``; four rows of ``b`` serve all rows of ``a`` while the cache holds them."""
    out[:] = 0
    depth, k = b.shape[0], 0
    while k + 4 <= depth:
        for i in range(a.shape[0]):
            add_four_rows(b, k, k + 1, k + 2, k + 3, a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3], out, i, ())
        k += 4
    while k < depth:
        for i in range(a.shape[0]):
            add_row(b, k, a[i, k], out, i)
        k += 1


@kernel
def product_bt_of_few_rows(a, b, out):
    """``out = a @ b.T``; likewise."""
    n_columns, j = b.shape[0], 0
    while j + 4 <= n_columns:
        for i in range(a.shape[0]):
            out[i, j], out[i, j + 1], out[i, j + 2], out[i, j + 3] = four_row_dots(b, j, j + 1, j + 2, j + 3, a, i, ())
        j += 4
    while j < n_columns:
        for i in range(a.shape[0]):
            out[i, j] = row_dot(b, j, a, i)
        j += 1


@kernel
def product(a, b, out):
    """``out = a @ b``"""
    n_rows = a.shape[0]
    if BLAS_COPIES and n_rows >= TILE_ROWS and fits_tiles(out):
        multiply_in_tiles(False, a, b, False, out)
    elif BLAS_COPIES and n_rows <= FEW_ROWS:
        product_of_few_rows(a, b, out)
    else:
        multiply_in_pieces(False, a, b, False, out)


@kernel
def product_at(a, b, keep, out):
    """``out = a.T @ b``, added to what is there where that is to ``keep``; ``a`` may be some columns of a matrix."""
    if BLAS_COPIES and fits_tiles(b):
        multiply_in_tiles(True, a, b, keep, out)
    else:
        multiply_in_pieces(True, a, b, keep, out)


@kernel
def product_bt(a, b, out):
    """``out = a @ b.T``"""
    if BLAS_COPIES and a.shape[0] <= FEW_ROWS:
        product_bt_of_few_rows(a, b, out)
    else:
        multiply(False, a, True, b, False, out)


@kernel
def copy_to(a, out):
    for r in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[r, j] = a[r, j]


@kernel
def add_to_rows(vector, out):
    for r in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[r, j] += vector[j]


@kernel
def add_column_sums(a, keep, out):
    """The sums of the columns, added to what is there where that is to ``keep``; rounded once for four rows."""
    if not keep:
        out[:] = 0
    r = 0
    while r + 4 <= a.shape[0]:
        for j in range(a.shape[1]):
            out[j] += (a[r, j] + a[r + 1, j]) + (a[r + 2, j] + a[r + 3, j])
        r += 4
    while r < a.shape[0]:
        for j in range(a.shape[1]):
            out[j] += a[r, j]
        r += 1


@kernel
def add_column_products(a, b, keep, out):
    """``add_column_sums`` of ``a * b``."""
    if not keep:
        out[:] = 0
    for r in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[j] += a[r, j] * b[r, j]
