"""The law of updates: the critical batch size of noise that is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from minibatch.model_selection._noise_law import critical_batch_size, relative_updates


@given(st.floats(0.1, 1e6), st.integers(1, 500), st.integers(2, 30))
def test_where_the_noise_does_not_change_the_critical_batch_size_is_the_noise_scale(scale, batch_size, n_looks):
    looks = np.cumsum(np.arange(1, n_looks + 1))
    assert_allclose(critical_batch_size(np.full(n_looks, scale), looks, batch_size), scale, rtol=1e-9)


@given(st.lists(st.floats(1.0, 1e5), min_size=2, max_size=10), st.integers(1, 500))
def test_the_critical_batch_size_makes_the_updates_come_out_right(scales, batch_size):
    """With ds = dk / (1 + N / B) ideal steps, updates at another size are sum ds (1 + N / B') = S (1 + B_c / B')."""
    scales, looks = np.array(scales), np.arange(1, len(scales) + 1)
    steps = 1 / (1 + scales / batch_size)
    critical = critical_batch_size(scales, looks, batch_size)
    for other in (1, 64, 1000):
        assert_allclose((steps * (1 + scales / other)).sum(), steps.sum() * (1 + critical / other), rtol=1e-9)


def test_noise_alone_and_nothing_at_all():
    assert critical_batch_size(np.array([np.inf, np.inf]), np.array([1, 9]), 32) == np.inf
    assert critical_batch_size(np.array([np.nan, 5.0]), np.array([1, 9]), 32) == pytest.approx(5.0)
    assert_allclose(relative_updates(np.array([4, 8]), np.inf), [1 / 4, 1 / 8])
