"""schedules: formulas, and the schedules of scikit-learn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.schedules import SCHEDULES, constant, invscaling, optimal, schedule_of

T = np.arange(1, 2001)


def test_constant():
    assert_allclose(constant(T, eta0=0.3), np.full(2000, 0.3), rtol=0)


def test_invscaling_halves_at_four_with_a_root():
    rates = invscaling(T, eta0=0.4, power_t=0.5)
    assert_allclose(rates[[0, 3, 99]], [0.4, 0.2, 0.04])


def test_power_of_zero_is_constant():
    assert_allclose(invscaling(T, eta0=0.4, power_t=0.0), constant(T, eta0=0.4))


@pytest.mark.parametrize("alpha", [1e-5, 1e-3, 0.5])
def test_optimal_shrinks_weights_by_a_telescoping_product(alpha):
    """T07: with eta = 1 / (alpha (t0 + t - 1)), the factors 1 - alpha eta multiply to (t0 - 1) / (t0 + T - 1)."""
    t0 = alpha**-0.75
    shrunk = np.prod(1 - alpha * optimal(T, alpha=alpha, batch_size=1))
    assert_allclose(shrunk, (t0 - 1) / (t0 + len(T) - 1), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("batch_size", [2, 32, 1000])
def test_optimal_for_batches_is_the_per_row_rate_at_32_rows_an_update(batch_size):
    per_row = optimal(32 * (T - 1) + 1, alpha=1e-3, batch_size=1)
    assert_allclose(optimal(T, alpha=1e-3, batch_size=batch_size), per_row / np.sqrt(32), rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_of_binds_the_parameters_and_never_rises(name):
    rates = schedule_of(name, eta0=0.1, power_t=0.25, alpha=1e-3, batch_size=8)(T)
    assert rates.dtype == np.float64
    assert (rates > 0).all()
    assert (np.diff(rates) <= 0).all()


def test_one_over_t_on_a_mean_is_the_mean_whatever_the_batch_size():
    """T08: f = (w - x)^2 / 2 with eta = 1 / t, one epoch in batches of the same size: w is the mean of x."""
    x = np.random.default_rng(0).standard_normal(60)
    for batch_size in (1, 4, 15, 60):
        model = MiniBatchSGDRegressor(
            penalty=None, fit_intercept=False, batch_size=batch_size, max_iter=1, tol=None, learning_rate="invscaling",
            eta0=1.0, power_t=1.0, random_state=batch_size,
        )  # fmt: skip
        assert_allclose(model.fit(np.ones((60, 1)), x, coef_init=np.array([7.0])).coef_, x.mean(), rtol=1e-12)


def test_rates_go_on_over_epochs_and_partial_fits():
    X, y = np.random.default_rng(0).standard_normal((20, 2)), np.arange(20) % 2
    model = MiniBatchSGDClassifier(
        learning_rate="invscaling", eta0=1.0, power_t=1.0, batch_size=5, max_iter=3, tol=None
    )
    assert_allclose(model.fit(X, y).history_["learning_rate"], [1 / 4, 1 / 8, 1 / 12])
    assert_allclose(model.partial_fit(X, y).history_["learning_rate"][-1], 1 / 16)


def test_adaptive_divides_the_rate_by_five_at_each_standstill():
    X, y = np.random.default_rng(0).standard_normal((30, 2)), np.random.default_rng(1).standard_normal(30)
    model = MiniBatchSGDRegressor(
        learning_rate="adaptive", eta0=0.5, batch_size=5, max_iter=1000, n_iter_no_change=3, tol=1e-3, random_state=0
    ).fit(X, y)
    rates = model.history_["learning_rate"]
    steps = rates[1:] / rates[:-1]
    assert model.status_ == "converged"
    assert np.isclose(steps, 1).sum() + np.isclose(steps, 0.2).sum() == len(steps)
    assert rates[-1] <= 1e-6 < rates[0]
