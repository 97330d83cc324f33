"""Products of matrices in tiles: some rows and some SIMD vectors of the result stay in registers while the sums grow.

BLAS copies both matrices into an order of its own first, which is most of the work where one of them is small. Nothing
is copied here: rows of the second matrix are read as they lie. Measured on AVX2, GFLOP/s, float32: 8 rows times
(784, 100) 38 where BLAS has 15, 32 rows 45 and 36, 64 rows 67 and 65; above that BLAS is faster. Times (100, 10) it is
12 and 6 for 8 rows, 33 and 27 for 64, and for the transposed product over 256 rows 35 and 21.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from minibatch.engine.compile import INLINED, OPTIONS, kernel
from minibatch.engine.vectors import INT, VECTOR_BYTES, multiply_add, splat

__all__ = ["TERMS_AT_ONCE", "TILE_ROWS", "TILE_VECTORS", "add_tile", "multiply_in_tiles", "vector_lanes"]

# A tile is so many rows and up to so many vectors: of the 16 registers of AVX2, it takes 12, a row of vectors 3.
TILE_ROWS, TILE_VECTORS = 4, 3
# Terms that are added up before the next tile: their rows of the second matrix stay in the first level of the cache.
TERMS_AT_ONCE = 64


def _tile_function(module, real, size, n_vectors):
    """A function of the module, called by all tiles of so many vectors: ``add_tile`` with pointers and steps.

    Steps are in elements: ``a_step``, ``b_step``, ``out_step`` from row to row, ``a_next`` from term to term. The last
    vector begins at column ``last``. Where a tile has more rows or columns than are left, some are computed twice.
    """
    lanes, pointer = VECTOR_BYTES // size, real.as_pointer()
    vector, name = ir.VectorType(real, lanes), f"minibatch_tile_{n_vectors}_{real}"
    if name in module.globals:
        return module.globals[name]
    arguments = [pointer, INT, INT, INT, INT, pointer, INT, pointer, INT, INT, cgutils.bool_t]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    function.linkage = "linkonce_odr"
    a, a_step, a_next, n_rows, n_terms, b, b_step, out, out_step, last, keep = function.args
    entry, begun, loop, end = (function.append_basic_block(label) for label in ("entry", "begun", "loop", "end"))

    builder = ir.IRBuilder(entry)
    lowest = builder.sub(n_rows, INT(1))
    rows = [builder.select(builder.icmp_signed("<", INT(r), lowest), INT(r), lowest) for r in range(TILE_ROWS)]
    columns = [INT(v * lanes) for v in range(n_vectors - 1)] + [last]

    def vectors_at(row):
        return [builder.bitcast(builder.gep(row, [column]), vector.as_pointer()) for column in columns]

    a_rows = [builder.gep(a, [builder.mul(row, a_step)]) for row in rows]
    places = [place for row in rows for place in vectors_at(builder.gep(out, [builder.mul(row, out_step)]))]
    builder.cbranch(keep, begun, loop)
    builder.position_at_end(begun)
    before = [builder.load(place, align=size) for place in places]
    builder.branch(loop)

    builder.position_at_end(loop)
    term, sums = builder.phi(INT), [builder.phi(vector) for _ in places]
    factors = [builder.load(place, align=size) for place in vectors_at(builder.gep(b, [builder.mul(term, b_step)]))]
    a_place, following, found = builder.mul(term, a_next), builder.add(term, INT(1)), []
    for r, row in enumerate(a_rows):
        value = builder.load(builder.gep(row, [a_place]))
        value = splat(builder, value, lanes)
        of_row = sums[r * n_vectors : (r + 1) * n_vectors]
        found += [multiply_add(builder, value, y, z) for y, z in zip(factors, of_row, strict=True)]
    builder.cbranch(builder.icmp_signed("<", following, n_terms), loop, end)
    for phi, start, value in zip([term, *sums], [INT(0), *before], [following, *found], strict=True):
        phi.add_incoming(phi.type(0 if phi is term else None), entry)
        phi.add_incoming(start, begun)
        phi.add_incoming(value, loop)

    builder.position_at_end(end)
    for place, value in zip(places, found, strict=True):
        builder.store(value, place, align=size)
    builder.ret_void()
    return function


def _add_tile(n_vectors):
    """``add_tile`` of so many vectors."""

    @intrinsic
    def add_tile(typing_context, transposed, a, b, i, j, start, stop, keep, out):
        def codegen(context, builder, signature, args):
            transposed, a, b, i, j, start, stop, keep, out = args
            a, b, out = (make_array(signature.args[q])(context, builder, args[q]) for q in (1, 2, 8))
            i, j, start, stop = (context.cast(builder, args[q], signature.args[q], types.intp) for q in (3, 4, 5, 6))
            real = context.get_data_type(signature.args[8].dtype)
            size = context.get_abi_sizeof(real)
            lanes = VECTOR_BYTES // size

            def step(array):
                return builder.sdiv(builder.extract_value(array.strides, 0), INT(size))

            def at(array, row, column, row_step, column_step):
                place = builder.add(builder.mul(row, row_step), builder.mul(column, column_step))
                return builder.gep(array.data, [place])

            one, b_step, out_step = INT(1), step(b), step(out)
            a_step, a_next = builder.select(transposed, one, step(a)), builder.select(transposed, step(a), one)
            n_rows, n_columns = (builder.extract_value(out.shape, axis) for axis in (0, 1))
            wanted = INT((n_vectors - 1) * lanes)
            possible = builder.sub(builder.sub(n_columns, j), INT(lanes))
            last = builder.select(builder.icmp_signed("<", possible, wanted), possible, wanted)
            arguments = [at(a, i, start, a_step, a_next), a_step, a_next, builder.sub(n_rows, i)]
            arguments += [builder.sub(stop, start), at(b, start, j, b_step, one), b_step]
            arguments += [at(out, i, j, out_step, one), out_step, last, keep]
            builder.call(_tile_function(builder.module, real, size, n_vectors), arguments)
            return context.get_dummy_value()

        return types.void(transposed, a, b, i, j, start, stop, keep, out), codegen

    return add_tile


_add_tile_1, _add_tile_2, _add_tile_3 = (_add_tile(n_vectors) for n_vectors in range(1, TILE_VECTORS + 1))


def add_tile(n_vectors, transposed, a, b, i, j, start, stop, keep, out):
    """What terms ``start`` to ``stop`` of ``a @ b``, or ``a.T @ b``, give to the rows of ``out`` from ``i`` on and the
    columns from ``j`` on, as many as a tile has or ``out`` has left; added where what is there is to ``keep``."""
    rows = slice(i, i + TILE_ROWS)
    columns = slice(j, j + n_vectors * vector_lanes(out))
    left = a[start:stop, rows].T if transposed else a[rows, start:stop]
    found = left @ b[start:stop, columns]
    out[rows, columns] = out[rows, columns] + found if keep else found


@overload(add_tile, jit_options={**OPTIONS, **INLINED})
def _compiled_add_tile(n_vectors, transposed, a, b, i, j, start, stop, keep, out):
    def tile(n_vectors, transposed, a, b, i, j, start, stop, keep, out):
        if n_vectors == 1:
            _add_tile_1(transposed, a, b, i, j, start, stop, keep, out)
        elif n_vectors == 2:
            _add_tile_2(transposed, a, b, i, j, start, stop, keep, out)
        else:
            _add_tile_3(transposed, a, b, i, j, start, stop, keep, out)

    return tile


@kernel
def vector_lanes(out):
    """Numbers in a vector; a matrix with fewer columns has no tiles."""
    return VECTOR_BYTES // out.itemsize


@kernel
def multiply_in_tiles(transposed, a, b, keep, out):
    """``out = a @ b``, of a matrix or its transpose; added to what is there where that is to ``keep``."""
    lanes, n_terms, n_columns = vector_lanes(out), b.shape[0], out.shape[1]
    if n_terms == 0 and not keep:
        out[:] = 0
    for start in range(0, n_terms, TERMS_AT_ONCE):
        stop, j = min(start + TERMS_AT_ONCE, n_terms), 0
        while j < n_columns:
            left = (n_columns - j + lanes - 1) // lanes
            # never one after others: it would wait for its own sums, and reach back into columns that are done
            n_vectors = 2 if left == TILE_VECTORS + 1 else min(left, TILE_VECTORS)
            for i in range(0, out.shape[0], TILE_ROWS):
                add_tile(n_vectors, transposed, a, b, i, j, start, stop, keep or start > 0, out)
            j += n_vectors * lanes
