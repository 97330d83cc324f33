"""Four rows of X against a row of weights, while the processor fetches rows that are needed later.

Plain SGD spends its time in these loops. Asked for one after the other, the cache lines of the rows ahead fill the
queue of loads, and all that follows waits; asked for here and there in the loops over columns, they come while these
calculate. No compiler makes SIMD code of a loop that asks for memory, so it is written in LLVM's own terms. Measured on
200,000 x 100 float64 in random order, ns a row and epoch: 155 with all lines of a row at once, 110 in this way; just
adding the rows up takes 84.

``ahead`` is a tuple of the rows to ask for. In plain Python nobody is asked; sparse rows are asked for at once.
"""

from itertools import combinations, product, repeat

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from minibatch.engine.compile import INLINED, OPTIONS
from minibatch.engine.rows import CACHE_LINE, add_row, prefetch_address, prefetch_row, row_dot
from minibatch.engine.vectors import (
    INT,
    VECTOR_BYTES,
    array_row,
    chosen,
    multiply_add,
    splat,
    sum_of_lanes,
    vector_type,
)

__all__ = [
    "FEW_SUMS", "VECTORS_OF_LINE", "WITH_OTHERS", "WITH_ROWS", "WITH_WEIGHTS", "add_four_rows", "add_four_rows_to_both",
    "add_four_rows_to_two", "dots_of_two", "dots_with_both", "four_row_dots", "prefetch_rows", "products_of_four_rows",
    "products_with_both", "scaled_products_with_both",
]  # fmt: skip

VECTORS_OF_LINE = CACHE_LINE // VECTOR_BYTES
# A sum that every vector is added to waits for itself; where there are few, each vector of a line has its own.
FEW_SUMS = 4
# The four rows with the weights, 4, and others, 5; and with each other.
WITH_WEIGHTS, WITH_OTHERS = [(row, 4) for row in range(4)], [(row, 5) for row in range(4)]
WITH_ROWS = list(combinations(range(4), 2))

_JIT = {**OPTIONS, **INLINED}


def _place(builder, row, j, vector, width):
    """The address of the ``width`` numbers from column ``j`` on, and how they are aligned."""
    pointer = ir.VectorType(vector.element, width).as_pointer()
    return builder.bitcast(builder.gep(row, [j]), pointer), VECTOR_BYTES // vector.count


def _load(builder, row, j, vector, width):
    """``width`` numbers, and zeros in the other lanes."""
    place, align = _place(builder, row, j, vector, width)
    value = builder.load(place, align=align)
    return value if width == vector.count else chosen(builder, value, [min(q, width) for q in range(vector.count)])


def _store(builder, value, row, j, width):
    """The first ``width`` lanes."""
    place, align = _place(builder, row, j, value.type, width)
    builder.store(
        value if width == value.type.count else chosen(builder, value, list(range(width))), place, align=align
    )


def _over_columns(builder, n_columns, lanes, ahead, step):
    """``step(j, width, v)`` for each vector of columns: the ``v``-th of its line, of ``width`` columns from ``j`` on.

    Asks for the rows at the addresses ``ahead``. What is left after the whole vectors goes by halves of vectors, and
    halves of these: a masked store would keep the next load of its columns waiting.
    """
    per_line, j = VECTORS_OF_LINE * lanes, cgutils.alloca_once_value(builder, INT(0))

    def steps(widths):
        for v, width in enumerate(widths):
            begin = builder.load(j)
            step(begin, width, v)
            builder.store(builder.add(begin, INT(width)), j)

    with cgutils.for_range(builder, builder.udiv(n_columns, INT(per_line))):
        for row in ahead:
            prefetch_address(builder, builder.gep(row, [builder.load(j)]))
        steps([lanes] * VECTORS_OF_LINE)
    for row, place in product(ahead, (builder.load(j), builder.sub(n_columns, INT(1)))):  # it may begin within a line
        prefetch_address(builder, builder.gep(row, [place]))
    width = per_line // 2
    while width > 0:
        with builder.if_then(cgutils.is_not_null(builder, builder.and_(n_columns, INT(width)))):
            steps([width])
        width //= 2


def _addresses(context, builder, X, rows, ahead):
    """Of rows of X, and of those ahead; each a pair of a type and a value."""
    ahead_type, ahead = ahead
    rows = [*rows, *zip(ahead_type, cgutils.unpack_tuple(builder, ahead), strict=True)]
    return [array_row(context, builder, *X, context.cast(builder, i, kind, types.intp))[0] for kind, i in rows]


def _rows_of_weights(context, builder, matrices, k):
    """Addresses of row ``k`` of each matrix of a tuple, or of the row of a tuple ``k``; their type, and the number of
    columns."""
    (matrices_type, matrices), (k_type, k) = matrices, k
    several = isinstance(k_type, types.BaseTuple)
    places = zip(k_type, cgutils.unpack_tuple(builder, k), strict=True) if several else repeat((k_type, k))
    rows = [
        array_row(context, builder, W, matrix, context.cast(builder, place, kind, types.intp))
        for W, matrix, (kind, place) in zip(matrices_type, cgutils.unpack_tuple(builder, matrices), places)  # noqa: B905
    ]
    return [address for address, _ in rows], matrices_type[0].dtype, rows[0][1]


def _products(pairs, scaled=False):
    """An intrinsic: the sums over columns of the products of ``pairs`` among four rows of X and those of weights; times
    what is in the last row of weights, where they are ``scaled``."""

    @intrinsic
    def products(typing_context, X, i0, i1, i2, i3, matrices, k, ahead):
        def codegen(context, builder, signature, args):
            X, *rows, matrices, k, ahead = zip(signature.args, args, strict=True)
            addresses = _addresses(context, builder, X, rows, ahead)
            weights, dtype, n_columns = _rows_of_weights(context, builder, matrices, k)
            vector = vector_type(context, dtype)
            n_sets = VECTORS_OF_LINE if len(pairs) <= FEW_SUMS else 1
            sums = [[cgutils.alloca_once_value(builder, vector(None)) for _ in pairs] for _ in range(n_sets)]

            def step(j, width, v):
                x = [_load(builder, row, j, vector, width) for row in (*addresses[:4], *weights)]
                firsts = [builder.fmul(x[a], x[-1]) for a in range(4)] if scaled else x
                for place, (a, b) in zip(sums[v % n_sets], pairs, strict=True):
                    builder.store(multiply_add(builder, firsts[a], x[b], builder.load(place)), place)

            _over_columns(builder, n_columns, vector.count, addresses[4:], step)
            for places in zip(*sums, strict=True):
                for place in places[1:]:
                    builder.store(builder.fadd(builder.load(places[0]), builder.load(place)), places[0])
            totals = [sum_of_lanes(builder, builder.load(place)) for place in sums[0]]
            return context.make_tuple(builder, signature.return_type, totals)

        return types.UniTuple(matrices[0].dtype, len(pairs))(X, i0, i1, i2, i3, matrices, k, ahead), codegen

    return products


_dots, _all_products = _products(WITH_WEIGHTS), _products(WITH_WEIGHTS + WITH_ROWS)
_dots_with_both = _products(WITH_WEIGHTS + WITH_OTHERS)
_all_products_with_both = _products(WITH_WEIGHTS + WITH_OTHERS + WITH_ROWS)
_scaled_products_with_both = _products(WITH_WEIGHTS + WITH_OTHERS + WITH_ROWS, scaled=True)


@intrinsic
def _add(typing_context, X, i0, i1, i2, i3, factors, matrices, k, ahead):
    """Add the rows to row ``k`` of each matrix, times its four ``factors``."""

    def codegen(context, builder, signature, args):
        X, *rows, (factors_type, factors), matrices, k, ahead = zip(signature.args, args, strict=True)
        addresses = _addresses(context, builder, X, rows, ahead)
        weights, dtype, n_columns = _rows_of_weights(context, builder, matrices, k)
        vector = vector_type(context, dtype)
        factors = zip(factors_type, cgutils.unpack_tuple(builder, factors), strict=True)
        factors = [splat(builder, context.cast(builder, a, kind, dtype), vector.count) for kind, a in factors]

        def step(j, width, v):
            rows = [_load(builder, row, j, vector, width) for row in addresses[:4]]
            for m, address in enumerate(weights):
                value = _load(builder, address, j, vector, width)
                for factor, row in zip(factors[4 * m : 4 * m + 4], rows, strict=True):
                    value = multiply_add(builder, factor, row, value)
                _store(builder, value, address, j, width)

        _over_columns(builder, n_columns, vector.count, addresses[4:], step)
        return context.get_dummy_value()

    return types.void(X, i0, i1, i2, i3, factors, matrices, k, ahead), codegen


def prefetch_rows(X, ahead):
    """Ask for all of some rows."""
    for i in ahead:
        prefetch_row(X, i)


@overload(prefetch_rows, jit_options=_JIT)
def _prefetch_rows(X, ahead):
    def rows(X, ahead):
        for i in ahead:
            prefetch_row(X, i)

    return rows if len(ahead) else lambda X, ahead: None


def four_row_dots(X, i0, i1, i2, i3, W, k, ahead):
    """Four times ``row_dot``; dense rows share the loads of ``W[k]``."""
    return row_dot(X, i0, W, k), row_dot(X, i1, W, k), row_dot(X, i2, W, k), row_dot(X, i3, W, k)


@overload(four_row_dots, jit_options=_JIT)
def _four_row_dots(X, i0, i1, i2, i3, W, k, ahead):
    def dense(X, i0, i1, i2, i3, W, k, ahead):
        return _dots(X, i0, i1, i2, i3, (W,), k, ahead)

    def sparse(X, i0, i1, i2, i3, W, k, ahead):
        prefetch_rows(X, ahead)
        return row_dot(X, i0, W, k), row_dot(X, i1, W, k), row_dot(X, i2, W, k), row_dot(X, i3, W, k)

    return dense if isinstance(X, types.Array) else sparse


def dots_of_two(X, i0, i1, i2, i3, W, k, ahead):
    """``four_row_dots`` with ``W[k]`` and with ``W[k + 1]``; dense rows are loaded once."""
    return (*four_row_dots(X, i0, i1, i2, i3, W, k, ahead), *four_row_dots(X, i0, i1, i2, i3, W, k + 1, ()))


@overload(dots_of_two, jit_options=_JIT)
def _dots_of_two(X, i0, i1, i2, i3, W, k, ahead):
    def dense(X, i0, i1, i2, i3, W, k, ahead):
        return _dots_with_both(X, i0, i1, i2, i3, (W, W), (k, k + 1), ahead)

    def sparse(X, i0, i1, i2, i3, W, k, ahead):
        d0, d1, d2, d3 = four_row_dots(X, i0, i1, i2, i3, W, k, ahead)
        e0, e1, e2, e3 = four_row_dots(X, i0, i1, i2, i3, W, k + 1, ())
        return d0, d1, d2, d3, e0, e1, e2, e3

    return dense if isinstance(X, types.Array) else sparse


def products_of_four_rows(X, i0, i1, i2, i3, W, k, ahead):
    """``four_row_dots``, and the six products of one dense row with another: 01, 02, 03, 12, 13, 23."""
    rows = [X[i] for i in (i0, i1, i2, i3)]
    return *four_row_dots(X, i0, i1, i2, i3, W, k, ahead), *(rows[a] @ rows[b] for a, b in WITH_ROWS)


@overload(products_of_four_rows, jit_options=_JIT)
def _products_of_four_rows(X, i0, i1, i2, i3, W, k, ahead):
    return lambda X, i0, i1, i2, i3, W, k, ahead: _all_products(X, i0, i1, i2, i3, (W,), k, ahead)


def dots_with_both(X, i0, i1, i2, i3, V, U, k, ahead):
    """``four_row_dots`` of dense rows with ``V[k]`` and with ``U[k]``."""
    return (*four_row_dots(X, i0, i1, i2, i3, V, k, ahead), *four_row_dots(X, i0, i1, i2, i3, U, k, ahead))


@overload(dots_with_both, jit_options=_JIT)
def _dots_of_both(X, i0, i1, i2, i3, V, U, k, ahead):
    return lambda X, i0, i1, i2, i3, V, U, k, ahead: _dots_with_both(X, i0, i1, i2, i3, (V, U), k, ahead)


def products_with_both(X, i0, i1, i2, i3, V, U, k, ahead):
    """``dots_with_both``, and the six products of one row with another, as in ``products_of_four_rows``."""
    rows = [X[i] for i in (i0, i1, i2, i3)]
    return *dots_with_both(X, i0, i1, i2, i3, V, U, k, ahead), *(rows[a] @ rows[b] for a, b in WITH_ROWS)


@overload(products_with_both, jit_options=_JIT)
def _products_of_both(X, i0, i1, i2, i3, V, U, k, ahead):
    return lambda X, i0, i1, i2, i3, V, U, k, ahead: _all_products_with_both(X, i0, i1, i2, i3, (V, U), k, ahead)


def scaled_products_with_both(X, i0, i1, i2, i3, V, U, factors, k, ahead):
    """``products_with_both``, every product of two columns times the column of ``factors[k]``."""
    rows = [X[i] for i in (i0, i1, i2, i3)]
    scaled = [row * factors[k] for row in rows]
    return *(row @ W[k] for W in (V, U) for row in scaled), *(scaled[a] @ rows[b] for a, b in WITH_ROWS)


@overload(scaled_products_with_both, jit_options=_JIT)
def _scaled_products_of_both(X, i0, i1, i2, i3, V, U, factors, k, ahead):
    return lambda X, i0, i1, i2, i3, V, U, factors, k, ahead: _scaled_products_with_both(
        X, i0, i1, i2, i3, (V, U, factors), k, ahead
    )


def add_four_rows_to_both(X, i0, i1, i2, i3, a, b, V, U, k, ahead):
    """``add_four_rows`` of dense rows to ``V[k]`` times the four numbers ``a``, and to ``U[k]`` times ``b``."""
    add_four_rows(X, i0, i1, i2, i3, *a, V, k, ahead)
    add_four_rows(X, i0, i1, i2, i3, *b, U, k, ())


@overload(add_four_rows_to_both, jit_options=_JIT)
def _add_to_both(X, i0, i1, i2, i3, a, b, V, U, k, ahead):
    return lambda X, i0, i1, i2, i3, a, b, V, U, k, ahead: _add(X, i0, i1, i2, i3, a + b, (V, U), k, ahead)


def add_four_rows(X, i0, i1, i2, i3, a0, a1, a2, a3, W, k, ahead):
    """Four times ``add_row``; dense rows share the load and the store of ``W[k]``."""
    for i, a in ((i0, a0), (i1, a1), (i2, a2), (i3, a3)):
        add_row(X, i, a, W, k)


@overload(add_four_rows, jit_options=_JIT)
def _add_four_rows(X, i0, i1, i2, i3, a0, a1, a2, a3, W, k, ahead):
    def dense(X, i0, i1, i2, i3, a0, a1, a2, a3, W, k, ahead):
        _add(X, i0, i1, i2, i3, (a0, a1, a2, a3), (W,), k, ahead)

    def sparse(X, i0, i1, i2, i3, a0, a1, a2, a3, W, k, ahead):
        prefetch_rows(X, ahead)
        add_row(X, i0, a0, W, k)
        add_row(X, i1, a1, W, k)
        add_row(X, i2, a2, W, k)
        add_row(X, i3, a3, W, k)

    return dense if isinstance(X, types.Array) else sparse


def add_four_rows_to_two(X, i0, i1, i2, i3, a, b, W, k, ahead):
    """``add_four_rows`` to ``W[k]`` times the four numbers ``a``, and to ``W[k + 1]`` times ``b``."""
    add_four_rows(X, i0, i1, i2, i3, *a, W, k, ahead)
    add_four_rows(X, i0, i1, i2, i3, *b, W, k + 1, ())


@overload(add_four_rows_to_two, jit_options=_JIT)
def _add_to_two(X, i0, i1, i2, i3, a, b, W, k, ahead):
    def dense(X, i0, i1, i2, i3, a, b, W, k, ahead):
        _add(X, i0, i1, i2, i3, a + b, (W, W), (k, k + 1), ahead)

    def sparse(X, i0, i1, i2, i3, a, b, W, k, ahead):
        add_four_rows(X, i0, i1, i2, i3, a[0], a[1], a[2], a[3], W, k, ahead)
        add_four_rows(X, i0, i1, i2, i3, b[0], b[1], b[2], b[3], W, k + 1, ())

    return dense if isinstance(X, types.Array) else sparse
