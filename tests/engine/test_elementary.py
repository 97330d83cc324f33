"""engine.elementary: against NumPy's long doubles."""

import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minibatch.engine.compile import OPTIONS
from minibatch.engine.elementary import exp_of_negative, log_of_one_plus


def over_array(function):
    @numba.njit(**OPTIONS)
    def fill(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    return fill


exp_of, log_of = over_array(exp_of_negative), over_array(log_of_one_plus)


def values(function, x):
    out = np.empty(len(x))
    function(np.asarray(x, float), out)
    return out


def errors(found, exact):
    """In units of the last place."""
    return np.abs(found - exact) / np.spacing(exact.astype(float))


# all sizes of x, and what is next to the ends of the intervals on which the series are used
HALVES = np.log(2) * (np.arange(-2000, 1) / 2)
STEPS = np.concatenate([np.nextafter(HALVES, -np.inf), HALVES, np.nextafter(HALVES, 0.0)])
NEGATIVE = -np.concatenate([-STEPS[STEPS > -708], np.geomspace(1e-320, 708, 2000), [0.0]])
UNIT = np.concatenate([np.geomspace(1e-300, 1, 2000), np.linspace(0.41, 0.42, 500), np.exp(NEGATIVE[NEGATIVE > -700])])


def test_exponential():
    assert errors(values(exp_of, NEGATIVE), np.exp(NEGATIVE.astype(np.longdouble))).max() < 2.5


def test_logarithm():
    assert errors(values(log_of, UNIT), np.log1p(UNIT.astype(np.longdouble))).max() < 2.5


def test_exact_values():
    assert_array_equal(values(exp_of, [0.0, -0.0]), [1.0, 1.0])
    assert_array_equal(values(log_of, [0.0, 1.0]), [0.0, np.log(2.0)])


@pytest.mark.parametrize("x", [-709.0, -746.0, -1e300, -np.inf])
def test_what_is_hardly_anything_is_nothing(x):
    assert values(exp_of, [x])[0] == 0.0


def test_not_a_number_stays_one():
    assert np.isnan([values(exp_of, [np.nan]), values(log_of, [np.nan])]).all()
