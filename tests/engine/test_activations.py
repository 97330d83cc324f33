"""engine.activations: values by another library, slopes by differences, NaN."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minibatch.engine.activations import ACTIVATIONS
from references.kernels import activate


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_are_derivatives_of_values(activation):
    z = np.linspace(-6.0, 6.0, 50)  # even: not at the kink of relu
    step = 1e-6
    values, slopes, above, below = z.copy(), np.empty(50), z + step, z - step
    activate(ACTIVATIONS[activation], values, slopes)
    activate(ACTIVATIONS[activation], above, np.empty(50))
    activate(ACTIVATIONS[activation], below, np.empty(50))
    assert_allclose(slopes, (above - below) / (2 * step), atol=1e-8)


def test_values_of_the_activations():
    from scipy.special import expit
    from scipy.stats import norm

    z = np.array([-800.0, -3.0, -1e-9, 0.0, 1e-9, 2.0, 800.0])
    expected = {
        "identity": z,
        "logistic": expit(z),
        "tanh": np.tanh(z),
        "relu": np.maximum(z, 0),
        "gelu": z * norm.cdf(z),
    }
    assert expected.keys() == ACTIVATIONS.keys()
    for name, values in expected.items():
        found, slopes = z.copy(), np.empty(len(z))
        activate(ACTIVATIONS[name], found, slopes)
        assert_allclose(found, values, rtol=1e-13, atol=1e-300, err_msg=name)
        assert np.isfinite(slopes).all(), name


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_goes_through_every_activation(activation):
    z = np.array([np.nan, 1.0])
    activate(ACTIVATIONS[activation], z, np.empty(2))
    assert_array_equal(np.isnan(z), [True, False])
