"""engine.dual_averaging_sparse_vectors: compiled code against the Python functions, which are the formulas."""

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minibatch.engine.dual_averaging_sparse_vectors import AT_ONCE, add_scores, add_to_gradient, settle_and_score

rng = np.random.default_rng(0)
TYPES = [np.float64, np.float32]
WIDTHS = [AT_ONCE, 2 * AT_ONCE, 5 * AT_ONCE]


# The operations are overloads: compiled only where compiled code calls them.
@numba.njit
def call_add_scores(*args):
    add_scores(*args)


@numba.njit
def call_settle_and_score(*args):
    settle_and_score(*args)


@numba.njit
def call_add_to_gradient(*args):
    add_to_gradient(*args)


def normal(kind, *shape):
    return rng.standard_normal(shape).astype(kind)


def assert_same(function, compiled, args, n_changed):
    """The arrays among the arguments, in the end; of the first, a row, and that where something is to change."""
    expected = [np.array(arg) if isinstance(arg, np.ndarray) else arg for arg in args]
    before = [np.array(arg) for arg in args if isinstance(arg, np.ndarray)]
    function(*expected)
    compiled(*args)
    found, expected = ([arg for arg in some if isinstance(arg, np.ndarray)] for some in (args, expected))
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, rtol=1e-5 if one.dtype == np.float32 else 1e-13, atol=1e-6)
    assert sum(not np.array_equal(one, other) for one, other in zip(found, before, strict=True)) == n_changed


@pytest.mark.parametrize("limit", [0.0, 0.7])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", TYPES)
def test_add_scores(kind, width, limit):
    parts, factors, shares = normal(kind, 3, 2 * width), normal(kind, 2, width), normal(kind, 2, width)
    shares[1] = limit
    assert_same(
        add_scores, call_add_scores, (kind(1.7), parts, 1, factors, 1, shares, rng.standard_normal(width)), n_changed=1
    )


@pytest.mark.parametrize("limit", [0.0, 0.7])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", TYPES)
def test_settle_and_score(kind, width, limit):
    parts, moves, factors = normal(kind, 3, 3 * width), normal(kind, 5, 2 * width), normal(kind, 2, width)
    shares, before = np.stack([normal(kind, width), np.full(width, limit, kind)]), np.array(parts)
    args = (kind(-0.3), parts, 1, moves, 3, factors, 0, shares, rng.standard_normal(width))
    assert_same(settle_and_score, call_settle_and_score, args, n_changed=2)
    assert_array_equal(parts[[0, 2]], before[[0, 2]])
    assert_array_equal(parts[1, 2 * width :], 0.0)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", TYPES)
def test_what_a_value_adds_to_squared_norms(kind, width):
    parts, slopes, sums = normal(kind, 3, 3 * width), normal(kind, width), np.zeros(width)
    before = np.array(parts)
    assert_same(add_to_gradient, call_add_to_gradient, (kind(2.5), slopes, parts, 2, 0.25, sums), n_changed=2)
    assert_array_equal(parts[:2], before[:2])
    assert_array_equal(parts[2, : 2 * width], before[2, : 2 * width])
    norms = 0.25 * (parts[2, 2 * width :].astype(float) ** 2 - before[2, 2 * width :].astype(float) ** 2)
    assert_allclose(sums, norms, rtol=1e-4 if kind == np.float32 else 1e-12, atol=1e-5)
