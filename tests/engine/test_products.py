"""engine.products beside NumPy, for shapes around the places where they change loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minibatch.engine import products
from minibatch.engine.compile import COMPILED
from minibatch.engine.tiles import TERMS_AT_ONCE
from references import kernels

SIZES = st.integers(1, 40)
TYPES = st.sampled_from([np.float32, np.float64])


def matrices(dtype, *shapes):
    """Numbers whose sums of products are exact: the order does not matter."""
    random = np.random.default_rng(sum(map(sum, shapes)))
    return [random.integers(-8, 9, shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("function", [kernels.product, kernels.product_of_few_rows])
@given(n_rows=st.integers(1, 20), depth=SIZES, n_columns=SIZES, dtype=TYPES)
def test_product(function, n_rows, depth, n_columns, dtype):
    a, b, out = matrices(dtype, (n_rows, depth), (depth, n_columns), (n_rows, n_columns))
    function(a, b, out)
    assert_array_equal(out, a @ b)


@pytest.mark.parametrize("function", [kernels.product_bt, kernels.product_bt_of_few_rows])
@given(n_rows=st.integers(1, 20), depth=SIZES, n_columns=SIZES, dtype=TYPES)
def test_product_with_a_transpose(function, n_rows, depth, n_columns, dtype):
    a, b, out = matrices(dtype, (n_rows, depth), (n_columns, depth), (n_rows, n_columns))
    function(a, b, out)
    assert_array_equal(out, a @ b.T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    n_rows=st.integers(1, 11),
    depth=st.integers(0, 2 * TERMS_AT_ONCE + 2),
    n_columns=st.integers(8, 60),
    transposed=st.booleans(),
    keep=st.booleans(),
)
def test_tiles(dtype, n_rows, depth, n_columns, transposed, keep):
    a, b, wide = matrices(dtype, (n_rows, depth + 2), (depth, n_columns), (n_rows + 1, n_columns + 3))
    a, out = a[:, 1:-1], wide[:-1, 1:-2]  # parts of rows, of which nothing else may change
    expected = wide.copy()
    expected[:-1, 1:-2] = a @ b + (out if keep else 0)
    if not keep:
        out[:] = np.nan
    kernels.multiply_in_tiles(transposed, np.ascontiguousarray(a.T) if transposed else a, b, keep, out)
    assert_array_equal(wide, expected)


@given(n_rows=st.integers(1, 20), low=SIZES, width=SIZES, n_columns=SIZES, dtype=TYPES, keep=st.booleans())
def test_product_of_a_transpose_takes_columns_and_keeps(n_rows, low, width, n_columns, dtype, keep):
    a, b, out = matrices(dtype, (n_rows, low + width + 1), (n_rows, n_columns), (width, n_columns))
    if not keep:
        out[0, 0] = np.nan  # what BLAS must not read
    part = a[:, low : low + width]
    expected = part.T @ b + (out if keep else 0)
    kernels.product_at(part, b, keep, out)
    assert_array_equal(out, expected)


@given(n_rows=SIZES, n_columns=SIZES, dtype=TYPES, keep=st.booleans())
def test_sums_over_columns(n_rows, n_columns, dtype, keep):
    a, b, sums = matrices(dtype, (n_rows, n_columns), (n_rows, n_columns), (n_columns,))
    of_products = sums.copy()
    expected = a.sum(axis=0) + (sums if keep else 0), (a * b).sum(axis=0) + (sums if keep else 0)
    kernels.add_column_sums(a, keep, sums)
    kernels.add_column_products(a, b, keep, of_products)
    assert_array_equal(sums, expected[0])
    assert_array_equal(of_products, expected[1])


@pytest.mark.skipif(COMPILED, reason="the processor decides for compiled code")
@pytest.mark.parametrize(("n_rows", "n_pieces"), [(1, 1), (11, 1), (12, 1), (13, 2), (24, 2), (30, 3)])
@pytest.mark.parametrize("keep", [True, False])
def test_products_in_pieces(n_rows, n_pieces, keep, monkeypatch):
    pieces = []

    def multiply(*arguments):
        pieces.append(arguments)
        reference(*arguments)

    reference = products.multiply
    monkeypatch.setattr(products, "multiply", multiply)
    monkeypatch.setattr(products, "BLAS_COPIES", False)
    monkeypatch.setattr(products, "SMALL_PRODUCT", products.FEWEST_ROWS * 30)
    a, b, out = matrices(np.float64, (n_rows, 5), (5, 6), (n_rows, 6))
    products.product(a, b, out)
    assert_array_equal(out, a @ b)
    assert len(pieces) == n_pieces
    expected = a @ b + (out if keep else 0)
    products.product_at(a.T.copy(), b, keep, out)
    assert_array_equal(out, expected)
    assert len(pieces) == 2 * n_pieces


@pytest.mark.parametrize("n_rows", [12, 25, 60])
def test_products_that_are_cut_on_some_processors(n_rows):
    """With AVX-512, into pieces of 16 rows."""
    a, b = matrices(np.float32, (n_rows, 256), (256, 240))
    for transposed in (False, True):
        out = np.full((n_rows, 240), np.nan, np.float32)
        if transposed:
            kernels.product_at(a.T.copy(), b, False, out)
        else:
            kernels.product(a, b, out)
        assert_array_equal(out, a @ b)


@pytest.mark.parametrize("n_rows", [4, 20])
def test_nan_and_infinity_come_through(n_rows):
    a, b, out = np.ones((n_rows, 9)), np.ones((9, 9)), np.zeros((n_rows, 9))
    a[0, 0], b[8, 8] = np.nan, np.inf
    for function, expected in ((kernels.product, a @ b), (kernels.product_bt, a @ b.T)):
        function(a, b, out)
        assert_allclose(out, expected)
