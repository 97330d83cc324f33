"""engine.dual_averaging_vectors: compiled code against the Python function, which is the formulas."""

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minibatch.engine.dual_averaging_vectors import move_weights


# An overload is compiled only where compiled code calls it.
@numba.njit
def call_move_weights(*args):
    move_weights(*args)


def arguments(kind, n_columns, limit, alike):
    rng = np.random.default_rng(n_columns)
    dual, average, grad, point = (rng.standard_normal((3, n_columns)).astype(kind) for _ in range(4))
    factors = rng.random((3, 1 if alike else n_columns)).astype(kind)
    return 1, dual, average, grad, kind(0.3), kind(0.1), kind(0.7), kind(limit), factors, point


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("limit", [0.0, 0.7])
@pytest.mark.parametrize("n_columns", [1, 3, 4, 7, 8, 21, 100])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_an_output_moves_and_the_others_stay(kind, n_columns, limit, alike):
    found = arguments(kind, n_columns, limit, alike)
    before = [np.array(arg) for arg in found]
    expected = [np.array(arg) if isinstance(arg, np.ndarray) else arg for arg in found]
    move_weights(*expected)
    call_move_weights(*found)
    for place in (1, 2, 3, 9):
        assert_allclose(found[place], expected[place], rtol=0, atol=1e-6 if kind == np.float32 else 1e-14)
        assert_array_equal(found[place][[0, 2]], before[place][[0, 2]])
        assert (found[place][1] != before[place][1]).all()
    assert not found[3][1].any()
    assert_array_equal(found[8], before[8])
    assert (limit > 0.0) == (found[9][1] == 0.0).any() or n_columns < 8


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_what_is_no_number_stays_none(kind):
    """A run that diverges is seen by its weights."""
    found = arguments(kind, 9, 0.5, True)
    found[3][1, [2, 8]] = np.nan
    call_move_weights(*found)
    for place in (1, 2, 9):
        assert_array_equal(np.flatnonzero(np.isnan(found[place][1])), [2, 8])
