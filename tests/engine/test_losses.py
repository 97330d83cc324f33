"""engine.losses: values by hand, slopes by finite differences."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, log_softmax, logit

from minibatch.engine.losses import CLASSIFICATION, MAX_SLOPE, REGRESSION
from references.gradient_descent import MARGIN_LOSSES
from references.kernels import loss_and_slope, softmax_loss_and_slopes

# of classes; the log loss of shares by another name
LOSSES = {**REGRESSION, "cross_entropy": REGRESSION["log_loss"], **CLASSIFICATION}
STEP = 1e-5

scores = st.floats(-6, 6)
every_loss = pytest.mark.parametrize("loss", LOSSES)

# loss, prediction, target, parameter, value, slope
BY_HAND = [
    ("log_loss", 0.0, 1.0, 0, math.log(2), -0.5),
    ("log_loss", math.log(3), -1.0, 0, math.log(4), 0.75),
    ("hinge", 0.5, 1.0, 0, 0.5, -1.0),
    ("hinge", 0.5, -1.0, 0, 1.5, 1.0),
    ("hinge", 2.0, 1.0, 0, 0.0, 0.0),
    ("squared_hinge", 0.5, 1.0, 0, 0.25, -1.0),
    ("squared_hinge", -1.5, -1.0, 0, 0.0, 0.0),
    ("modified_huber", 0.5, 1.0, 0, 0.25, -1.0),
    ("modified_huber", -2.0, 1.0, 0, 8.0, -4.0),
    ("modified_huber", 2.0, 1.0, 0, 0.0, 0.0),
    ("perceptron", -0.5, 1.0, 0, 0.5, -1.0),
    ("perceptron", 0.5, 1.0, 0, 0.0, 0.0),
    ("squared_error", 3.0, 1.0, 0, 2.0, 2.0),
    ("huber", 3.0, 1.0, 0.5, 0.875, 0.5),
    ("huber", 0.8, 1.0, 0.5, 0.02, -0.2),
    ("epsilon_insensitive", 1.5, 1.0, 0.1, 0.4, 1.0),
    ("epsilon_insensitive", 0.5, 1.0, 0.1, 0.4, -1.0),
    ("epsilon_insensitive", 1.05, 1.0, 0.1, 0.0, 0.0),
    ("squared_epsilon_insensitive", 1.5, 1.0, 0.1, 0.16, 0.8),
    ("squared_epsilon_insensitive", 0.5, 1.0, 0.1, 0.16, -0.8),
    ("absolute_error", -0.5, 1.0, 0, 1.5, -1.0),
    ("quantile", 1.0, 3.0, 0.9, 1.8, -0.9),
    ("quantile", 4.0, 3.0, 0.9, 0.1, 0.1),
    ("poisson", math.log(2), 3.0, 0, 2 - 3 * math.log(2), -1.0),
    ("gamma", math.log(2), 3.0, 0, math.log(2) + 1.5, -0.5),
    ("cross_entropy", 0.0, 0.25, 0, math.log(2), 0.25),
    ("cross_entropy", math.log(3), 0.75, 0, math.log(4) - 0.75 * math.log(3), 0.0),
    ("cross_entropy", -math.log(3), 0.5, 0, math.log(4) - 0.5 * math.log(3), -0.25),
    ("cross_entropy", 2.0, 1.0, 0, math.log1p(math.exp(-2)), -1 / (1 + math.exp(2))),
]


def value(loss, z, y, parameter):
    return loss_and_slope(LOSSES[loss], z, y, parameter)[0]


def target_for(loss, y):
    """``y`` moved to where the loss is defined."""
    if loss in MARGIN_LOSSES:
        return 1.0 if y > 0 else -1.0
    if loss == "cross_entropy":
        return expit(y)
    return abs(y) + 0.1 if loss in ("poisson", "gamma") else y


def distance_from_kink(loss, z, y, parameter):
    kinks = {
        "hinge": abs(1 - y * z),
        "perceptron": abs(z),
        "epsilon_insensitive": abs(abs(z - y) - parameter),
        "absolute_error": abs(z - y),
        "quantile": abs(z - y),
    }
    return kinks.get(loss, 1.0)


@pytest.mark.parametrize(("loss", "z", "y", "parameter", "value", "slope"), BY_HAND)
def test_value_and_slope_by_hand(loss, z, y, parameter, value, slope):
    assert_allclose(loss_and_slope(LOSSES[loss], z, y, float(parameter)), (value, slope), rtol=1e-14, atol=1e-15)


@every_loss
@given(z=scores, y=scores, parameter=st.floats(0.05, 0.95))
def test_slope_is_the_finite_difference_of_the_value(loss, z, y, parameter):
    y = target_for(loss, y)
    assume(distance_from_kink(loss, z, y, parameter) > 2 * STEP)
    difference = (value(loss, z + STEP, y, parameter) - value(loss, z - STEP, y, parameter)) / (2 * STEP)
    found, slope = loss_and_slope(LOSSES[loss], z, y, parameter)
    # where the second derivative jumps, the difference is off by up to a STEP of it
    assert_allclose(slope, difference, rtol=1e-6, atol=4 * STEP + 1e-9 * abs(found))


@every_loss
@given(z=scores, y=scores, parameter=st.floats(0.05, 0.95))
def test_value_is_finite_and_convex(loss, z, y, parameter):
    """The tangent at any point lies below the loss."""
    y = target_for(loss, y)
    found, slope = loss_and_slope(LOSSES[loss], z, y, parameter)
    for other in np.linspace(-6, 6, 13):
        assert value(loss, other, y, parameter) >= found + slope * (other - z) - 1e-9 * (1 + abs(slope))


@every_loss
@given(z=scores, y=scores, parameter=st.floats(0.05, 0.95))
def test_a_perfect_prediction_has_the_smallest_loss_and_no_slope(loss, z, y, parameter):
    y = target_for(loss, y)
    perfect = {"poisson": math.log(y) if y > 0 else 0, "gamma": math.log(y) if y > 0 else 0}.get(loss, y)
    perfect = 50.0 * y if loss in MARGIN_LOSSES else logit(y) if loss == "cross_entropy" else perfect
    smallest, slope = loss_and_slope(LOSSES[loss], perfect, y, parameter)
    assert abs(slope) < 1e-12
    assert value(loss, z, y, parameter) >= smallest - 1e-12


@every_loss
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_large_slopes_are_cut_and_their_values_infinite(loss, sign):
    z = sign * (700.0 if loss in ("poisson", "gamma") else 1e200)
    found, slope = loss_and_slope(LOSSES[loss], z, target_for(loss, 1.0), 0.5)
    assert abs(slope) < MAX_SLOPE or (abs(slope) == MAX_SLOPE and found == np.inf)


@pytest.mark.parametrize("z", [-800.0, -60.0, -1.0, 0.0, 1.0, 30.0, 700.0])
@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_log_loss_keeps_its_digits_far_out(z, y):
    found, slope = loss_and_slope(CLASSIFICATION["log_loss"], z, y, 0.0)
    assert_allclose(found, np.logaddexp(0, -y * z), rtol=1e-13, atol=1e-13)
    assert_allclose(slope, -y * expit(-y * z), rtol=1e-13)
    if abs(z) < 30:
        assert_allclose(found, -math.log(expit(y * z)), rtol=1e-12)


@pytest.mark.parametrize("z", [-800.0, -60.0, -1e-9, 0.0, 1e-9, 1.0, 30.0, 700.0])
@pytest.mark.parametrize("y", [0.0, 1e-12, 0.3, 0.5, 1.0 - 1e-12, 1.0])
def test_log_loss_of_shares_keeps_its_digits_far_out(z, y):
    """Against the sum of both classes' losses, each of which has all digits; of one class alone, to the last bit."""
    found, slope = loss_and_slope(REGRESSION["log_loss"], z, y, 0.0)
    assert_allclose(found, y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z), rtol=1e-13, atol=1e-300)
    assert_allclose(slope, (1 - y) * expit(z) - y * expit(-z), rtol=1e-12, atol=1e-16)
    if y in (0.0, 1.0):
        assert (found, slope) == loss_and_slope(CLASSIFICATION["log_loss"], z, 2 * y - 1, 0.0)


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=6), st.data())
def test_softmax_value_and_slopes(row, data):
    label = data.draw(st.integers(0, len(row) - 1))
    z = np.array([row])
    slopes = z.copy()
    found = softmax_loss_and_slopes(slopes, 0, label)
    assert_allclose(found, -log_softmax(z[0])[label], rtol=1e-10, atol=1e-12)
    shifts = STEP * np.eye(len(row))
    differences = [(log_softmax(z[0] - e)[label] - log_softmax(z[0] + e)[label]) / (2 * STEP) for e in shifts]
    assert_allclose(slopes[0], differences, rtol=1e-5, atol=1e-8)
    assert_allclose(slopes.sum(), 0.0, atol=1e-12)


def test_softmax_slope_of_the_own_class_keeps_its_digits_near_certainty():
    slopes = np.array([[40.0, 0.0, 0.0]])
    softmax_loss_and_slopes(slopes, 0, 0)
    assert_allclose(slopes[0], [-2 * math.exp(-40), math.exp(-40), math.exp(-40)], rtol=1e-12)


def test_softmax_does_not_overflow():
    slopes = np.array([[2000.0, -2000.0]])
    assert_allclose(softmax_loss_and_slopes(slopes, 0, 1), 4000.0)
    assert_allclose(slopes, [[1.0, -1.0]])
