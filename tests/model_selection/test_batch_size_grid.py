"""batch_size_grid: what every grid has, for every number of rows."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV

from minibatch import MiniBatchSGDRegressor
from minibatch.model_selection import batch_size_grid

rows = st.integers(1, 10**9) | st.integers(1, 200)


@given(rows)
@example(1)
@example(2)
@example(3)
@example(2**29)
@example(2**30 - 1)
def test_every_grid(n):
    grid = batch_size_grid(n)
    *sizes, full = grid if n > 1 else [*grid, "full"]
    assert full == "full"
    assert sizes[0] == 1
    assert len(grid) <= 13
    assert all(type(size) is int and size == 2 ** (size.bit_length() - 1) for size in sizes)
    # one ratio between all neighbours
    assert len({larger // smaller for smaller, larger in pairwise(sizes)}) <= 1


@given(rows.filter(lambda n: n >= 8))
def test_all_rows_are_a_step_of_their_own(n):
    """The last power is nearer to full than a step and a half, and not so near that it would be the same thing."""
    *sizes, _ = batch_size_grid(n)
    step = math.log2(sizes[1] / sizes[0]) if len(sizes) > 1 else 1.0
    gap = math.log2(n / sizes[-1])
    assert step / 2 <= gap + 1e-12
    assert gap < 1.5 * step + 1e-12


@given(rows)
def test_powers_are_left_out_only_where_there_would_be_too_many(n):
    grid = batch_size_grid(n)
    if n < 4096:
        assert grid[:2] in ([1], [1, "full"], [1, 2])
    if n > 2**15:
        assert grid[1] > 2


@given(rows, st.floats(1.0, 1e12), st.floats(0.5, 1e6))
def test_what_does_not_fit_is_left_out_and_nothing_else(n, max_bytes, bytes_per_row):
    if max_bytes < bytes_per_row:
        with pytest.raises(ValueError, match=r"Not one row of .* bytes fits max_bytes="):
            batch_size_grid(n, max_bytes=max_bytes, bytes_per_row=bytes_per_row)
        return
    grid = batch_size_grid(n, max_bytes=max_bytes, bytes_per_row=bytes_per_row)
    fits = [size for size in batch_size_grid(n) if (n if size == "full" else size) * bytes_per_row <= max_bytes]
    # where rounding decides, either is right
    if not any(math.isclose((n if size == "full" else size) * bytes_per_row, max_bytes) for size in batch_size_grid(n)):
        assert grid == fits
    assert grid[0] == 1


@given(rows, rows)
def test_more_rows_never_have_a_smaller_largest_batch(n, m):
    n, m = sorted((n, m))
    largest = [max([1, *(size for size in batch_size_grid(rows) if size != "full")]) * 2 for rows in (n, m)]
    # thinning to wider steps may end lower, but by less than the step
    assert largest[1] * 2 ** (m.bit_length() // 12 + 2) >= largest[0]


@pytest.mark.parametrize("n", [np.int64(500), np.int8(100), np.uint16(60_000)])
def test_integers_of_numpy_give_integers_of_python(n):
    grid = batch_size_grid(n)
    assert grid == batch_size_grid(int(n))
    assert {type(size) for size in grid[:-1]} == {int}


@pytest.mark.parametrize("n", [0, -1, 1.0, 1e5, "100", None, [100], np.float64(3.0)])
def test_rows_are_a_positive_integer(n):
    with pytest.raises(ValueError, match="n_samples must be an integer of at least 1; got"):
        batch_size_grid(n)


@pytest.mark.parametrize(
    "limits",
    [
        {"max_bytes": 1e6},
        {"bytes_per_row": 8},
        {"max_bytes": 0, "bytes_per_row": 8},
        {"max_bytes": 1e6, "bytes_per_row": 0},
        {"max_bytes": -1.0, "bytes_per_row": 8},
        {"max_bytes": math.nan, "bytes_per_row": 8},
        {"max_bytes": "1GB", "bytes_per_row": 8},
    ],
)
def test_the_two_about_memory_go_together_and_are_positive(limits):
    with pytest.raises(ValueError, match=r"max_bytes and bytes_per_row go together and are positive; got (max|bytes)_"):
        batch_size_grid(100, **limits)


def test_without_limit_all_fits():
    assert batch_size_grid(1000, max_bytes=math.inf, bytes_per_row=1) == batch_size_grid(1000)
    assert batch_size_grid(1000, max_bytes=1000, bytes_per_row=1) == batch_size_grid(1000)
    assert batch_size_grid(1000, max_bytes=999, bytes_per_row=1) == batch_size_grid(1000)[:-1]
    with pytest.raises(TypeError):
        batch_size_grid(1000, 10, 1)  # by name only


def test_a_grid_is_one_for_a_search():
    X = np.random.default_rng(0).standard_normal((30, 2))
    search = GridSearchCV(
        MiniBatchSGDRegressor(max_iter=2, tol=None, random_state=0), {"batch_size": batch_size_grid(20)}, cv=3
    )
    assert search.fit(X, X[:, 0]).best_params_["batch_size"] in batch_size_grid(20)
