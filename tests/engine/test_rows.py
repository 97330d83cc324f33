"""engine.rows: each operation on dense and CSR rows against NumPy."""

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from minibatch.engine.four_rows import add_four_rows, four_row_dots, products_of_four_rows
from minibatch.engine.rows import (
    CSR,
    add_row,
    prefetch,
    prefetch_row,
    row_dot,
)

pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # NumPy's, with NUMBA_DISABLE_JIT=1

N, D = 7, 19


# The operations are overloads: compiled only where compiled code calls them.
@numba.njit
def call_row_dot(X, i, W, k):
    return row_dot(X, i, W, k)


@numba.njit
def call_four_row_dots(X, i, W, k):
    return four_row_dots(X, i[0], i[1], i[2], i[3], W, k, (i[0], i[1]))


@numba.njit
def call_products_of_four_rows(X, i, W, k):
    return products_of_four_rows(X, i[0], i[1], i[2], i[3], W, k, (i[0], i[1]))


@numba.njit
def call_add_row(X, i, a, W, k):
    add_row(X, i, a, W, k)


@numba.njit
def call_add_four_rows(X, i, a, W, k):
    add_four_rows(X, i[0], i[1], i[2], i[3], a[0], a[1], a[2], a[3], W, k, (i[0], i[1]))


@numba.njit
def call_prefetch(X, y, i):
    prefetch_row(X, i)
    prefetch(y, i)


def random_csr():
    """Row 2 is empty; row 4 names column 3 twice."""
    X = sp.random_array((N, D), density=0.4, rng=np.random.default_rng(0), format="lil")
    X[2] = 0
    X = sp.csr_array(X)
    indices = np.insert(X.indices, X.indptr[4], [3, 3])
    data = np.insert(X.data, X.indptr[4], [1.5, -0.25])
    indptr = X.indptr + 2 * (np.arange(N + 1) > 4)
    return CSR(data, indices, indptr), sp.csr_array((data, indices, indptr), shape=(N, D)).toarray()


@pytest.fixture(params=["dense", "int32", "int64"])
def layout(request):
    return request.param


@pytest.fixture(params=["float32", "float64"])
def case(request, layout):
    """X in the layout, the same as an array, weights, tolerance."""
    rows, dense = random_csr()
    dense = dense.astype(request.param)
    X = dense.copy()
    if layout != "dense":
        X = CSR(rows.data.astype(request.param), rows.indices.astype(layout), rows.indptr.astype(layout))
    W = np.random.default_rng(1).standard_normal((2, D)).astype(request.param)
    return X, dense, W, 20 * np.finfo(request.param).eps


def test_row_dot(case):
    X, dense, W, tolerance = case
    found = [[call_row_dot(X, i, W, k) for k in range(2)] for i in range(N)]
    assert_allclose(found, dense.astype(float) @ W.T.astype(float), rtol=0, atol=tolerance)


@pytest.mark.parametrize("rows", [(0, 1, 2, 3), (6, 4, 4, 0)])
def test_four_row_dots(case, rows):
    X, dense, W, tolerance = case
    found = call_four_row_dots(X, np.array(rows), W, 1)
    assert_allclose(found, dense[list(rows)].astype(float) @ W[1].astype(float), rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [(0, 1, 2, 3), (6, 4, 4, 0)])
def test_products_of_four_rows(rows, dtype):
    _, dense = random_csr()
    X, W = dense.astype(dtype), np.random.default_rng(1).standard_normal((2, D)).astype(dtype)
    found = call_products_of_four_rows(X, np.array(rows), W, 1)
    chosen = X[list(rows)].astype(float)
    expected = [*(chosen @ W[1].astype(float)), *(chosen @ chosen.T)[np.triu_indices(4, k=1)]]
    assert_allclose(found, expected, rtol=0, atol=20 * np.finfo(dtype).eps)


def test_add_row_changes_one_row_of_weights(case):
    X, dense, W, tolerance = case
    for i in range(N):
        changed = W.copy()
        call_add_row(X, i, -0.7, changed, 1)
        assert_array_equal(changed[0], W[0])
        assert_allclose(changed[1], W[1] - 0.7 * dense[i].astype(float), rtol=0, atol=tolerance)
        assert changed.dtype == W.dtype


@pytest.mark.parametrize("rows", [(0, 1, 2, 3), (6, 4, 4, 0)])
def test_add_four_rows(case, rows):
    X, dense, W, tolerance = case
    factors, changed = np.array([0.5, -1.0, 2.0, 0.0]), W.copy()
    call_add_four_rows(X, np.array(rows), factors, changed, 0)
    assert_allclose(changed[0], W[0] + factors @ dense[list(rows)].astype(float), rtol=0, atol=3 * tolerance)
    assert_array_equal(changed[1], W[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_columns", [*range(1, 18), 31, 32, 33, 100])
def test_four_rows_of_any_length(n_columns, dtype):
    """Rows are parts of longer ones, of which nothing is read or written."""
    rng = np.random.default_rng(n_columns)
    X, W = np.full((N, n_columns + 9), np.nan, dtype), np.full((2, n_columns + 9), np.nan, dtype)
    X[:, :n_columns], W[:, :n_columns] = rng.standard_normal((N, n_columns)), rng.standard_normal((2, n_columns))
    rows, factors, before = np.array([6, 4, 1, 0]), np.array([0.5, -1.0, 2.0, 0.25]), W.copy()
    x, w = X[:, :n_columns][rows].astype(float), W[1, :n_columns].astype(float)
    tolerance = {"rtol": 0, "atol": 4 * np.finfo(dtype).eps * (1 + np.abs(x).sum() * np.abs(x).max())}
    parts = X[:, :n_columns], W[:, :n_columns]
    assert_allclose(call_four_row_dots(parts[0], rows, parts[1], 1), x @ w, **tolerance)
    expected = [*(x @ w), *(x @ x.T)[np.triu_indices(4, k=1)]]
    assert_allclose(call_products_of_four_rows(parts[0], rows, parts[1], 1), expected, **tolerance)
    call_add_four_rows(parts[0], rows, factors, parts[1], 1)
    assert_allclose(W[1, :n_columns], w + factors @ x, **tolerance)
    assert_array_equal(W[0], before[0])
    assert_array_equal(W[1, n_columns:], before[1, n_columns:])


def test_columns_without_stored_values_keep_their_weights(case, layout):
    X, dense, W, _ = case
    changed = W.copy()
    call_add_row(X, 0, np.inf, changed, 0)
    stored = dense[0] != 0
    assert np.isinf(changed[0, stored]).all()
    if layout != "dense":
        assert_array_equal(changed[0, ~stored], W[0, ~stored])


def test_nan_and_infinity_come_through(case):
    X, _, W, _ = case
    values = X.data if isinstance(X, CSR) else X
    values[...] = np.nan
    assert np.isnan(call_row_dot(X, 0, W, 0))
    values[...] = np.inf
    assert not np.isfinite(call_row_dot(X, 0, W, 0))


def test_prefetching_changes_nothing(case):
    """Of the first, an empty and the last row: an address beyond the data would crash."""
    X, _, _, _ = case
    before = [np.array(part) for part in X]
    for i in (0, 2, N - 1):
        call_prefetch(X, np.zeros(N), i)
    for part, kept in zip(X, before, strict=True):
        assert_array_equal(part, kept)
