"""Noise that adds to the gradient: variances in closed form against training.

Where only the targets are random, a fit of least squares is linear in them: ``w = sum_i y_i w^(i)``, with ``w^(i)`` the
fit of the i-th unit vector. Those are columns of one ``y`` here, so that a single fit gives variances to rounding.
"""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import solve_discrete_lyapunov

from minibatch import MiniBatchSGDRegressor
from minibatch.model_selection import steps_to_target

PLAIN = {
    "penalty": None, "fit_intercept": False, "shuffle": False, "learning_rate": "constant", "max_iter": 1, "tol": None,
}  # fmt: skip
# Three rows, and the standard deviations of the noise in their targets; repeated, every batch has the same curvature.
ROWS = np.array([[1.0, 0.2, 0.0], [0.3, 1.5, -0.4], [-0.5, 0.1, 0.8]])
SPREAD = np.array([0.5, 1.0, 2.0])
H = ROWS.T @ ROWS / 3
COVARIANCE = (ROWS.T * SPREAD**2) @ ROWS / 3  # of the gradient of a row


def stream(rows, n_updates, batch_size):
    return np.tile(rows, (n_updates * batch_size // len(rows), 1))


def trained(X, Y, **parameters):
    """Coefficients (features, outputs) after one pass, from zero."""
    return MiniBatchSGDRegressor(**{**PLAIN, **parameters}).fit(X, Y).coef_.T


def covariance(rows, spread, n_updates, batch_size, **parameters):
    """Of the parameters, for independent noise in the targets."""
    X = stream(rows, n_updates, batch_size)
    units = np.diag(np.resize(spread, len(X)))
    parts = trained(X, units, batch_size=batch_size, **parameters)
    return parts @ parts.T


def variance(h, sigma, n_updates, batch_size, **parameters):
    """In one dimension of curvature ``h``, where the gradient of a row has the standard deviation ``sigma``."""
    spread = np.array([sigma / np.sqrt(h)])
    return covariance(np.array([[np.sqrt(h)]]), spread, n_updates, batch_size, **parameters)[0, 0]


def bias(rows, start, n_updates, batch_size, **parameters):
    """Where the mean of the parameters is, for a start so far from the optimum."""
    X = stream(rows, n_updates, batch_size)
    return start + trained(X, -X @ start[:, None], batch_size=batch_size, **parameters)[:, 0]


class TestNoiseFloor:
    """The variance that training at a constant rate ends with."""

    h, sigma = 2.0, 1.3

    @pytest.mark.parametrize("batch_size", [1, 4])
    @pytest.mark.parametrize("eta", [0.1, 0.4, 0.9])
    def test_of_sgd(self, eta, batch_size):
        """Var = η σ² / (B h (2 - η h)), an excess loss of η σ² / (2 B (2 - η h))."""
        found = variance(self.h, self.sigma, 150, batch_size, eta0=eta)
        floor = eta * self.sigma**2 / (batch_size * self.h * (2 - eta * self.h))
        assert_allclose(found, floor, rtol=1e-12)

    @pytest.mark.parametrize("batch_size", [1, 4])
    @pytest.mark.parametrize(("eta", "beta"), [(0.05, 0.5), (0.3, 0.8), (1.2, 0.8), (0.6, 0.0)])
    def test_of_the_heavy_ball(self, eta, beta, batch_size):
        """Var = η (σ² / B) (1 + β) / ((1 - β) h (2 (1 + β) - η h))."""
        found = variance(self.h, self.sigma, 400, batch_size, eta0=eta, solver="momentum", momentum=beta)
        noise = eta * self.sigma**2 / batch_size * (1 + beta)
        assert_allclose(found, noise / ((1 - beta) * self.h * (2 * (1 + beta) - eta * self.h)), rtol=1e-10)

    @pytest.mark.parametrize("batch_size", [1, 4])
    @pytest.mark.parametrize(("eta", "beta"), [(0.05, 0.5), (0.3, 0.8), (0.6, 0.8), (0.6, 0.0)])
    def test_of_nesterovs_momentum(self, eta, beta, batch_size):
        """θ' = y - η (h y + noise), y' = θ' + β (θ' - θ): the variance of y by the Lyapunov equation of (θ', θ)."""
        found = variance(self.h, self.sigma, 400, batch_size, eta0=eta, solver="nesterov", momentum=beta)
        ahead, shrink = np.array([1 + beta, -beta]), 1 - eta * self.h
        update = np.array([shrink * ahead, [1.0, 0.0]])
        noise = np.diag([(eta * self.sigma) ** 2 / batch_size, 0.0])
        assert_allclose(found, ahead @ solve_discrete_lyapunov(update, noise) @ ahead, rtol=1e-10)

    @pytest.mark.parametrize("batch_size", [3, 12])
    @pytest.mark.parametrize("eta", [0.2, 1.0])
    def test_of_several_dimensions(self, eta, batch_size):
        """H C + C H - η H C H = η Σ / B."""
        C = covariance(ROWS, SPREAD, 300, batch_size, eta0=eta)
        assert_allclose(H @ C + C @ H - eta * H @ C @ H, eta * COVARIANCE / batch_size, atol=1e-9)

    @pytest.mark.parametrize("c", [2, 8])
    @pytest.mark.parametrize("eta", [0.02, 0.2, 0.6])
    def test_a_rate_lower_by_a_factor_is_a_little_noisier_than_a_batch_larger_by_it(self, eta, c):
        """Var(η / c, B) / Var(η, c B) = (2 - η h) / (2 - η h / c): one where η h is small, and η / B is all."""
        n_updates = int(20 * c / (eta * self.h))
        lower_rate = variance(self.h, self.sigma, n_updates, 1, eta0=eta / c)
        larger_batch = variance(self.h, self.sigma, n_updates // c, c, eta0=eta)
        ratio = (2 - eta * self.h) / (2 - eta * self.h / c)
        assert_allclose(lower_rate / larger_batch, ratio, rtol=1e-10)
        assert 1 - eta * self.h / 2 < ratio < 1


class TestQuadraticModel:
    """A diagonal quadratic with curvatures ``h_i = 1 / i`` and noise ``c_i / B`` in its gradient."""

    h = 1 / np.arange(1.0, 9.0)
    c = np.linspace(0.2, 1.0, 8)
    start = np.linspace(2.0, -1.0, 8)
    rows = np.diag(np.sqrt(8 * h))  # a batch has each of them equally often
    spread = np.sqrt(c / h)

    def expected_loss(self, n_updates, batch_size, **parameters):
        moved = bias(self.rows, self.start, n_updates, batch_size, **parameters)
        noise = np.diag(covariance(self.rows, self.spread, n_updates, batch_size, **parameters))
        return 0.5 * np.sum(self.h * (moved**2 + noise))

    @pytest.mark.parametrize("batch_size", [8, 32])
    @pytest.mark.parametrize("n_updates", [1, 7, 60])
    @pytest.mark.parametrize("eta", [0.1, 1.2])
    def test_the_loss_after_every_number_of_updates(self, eta, n_updates, batch_size):
        """E L(t) = ½ Σ h_i (ρ_i^2t θ_i² + (1 - ρ_i^2t) η c_i / (B h_i (2 - η h_i))), ρ_i = 1 - η h_i."""
        left = (1 - eta * self.h) ** (2 * n_updates)
        floor = eta * self.c / (batch_size * self.h * (2 - eta * self.h))
        expected = 0.5 * np.sum(self.h * (left * self.start**2 + (1 - left) * floor))
        assert_allclose(self.expected_loss(n_updates, batch_size, eta0=eta), expected, rtol=1e-12)

    @pytest.mark.parametrize("n_updates", [1, 7, 60])
    @pytest.mark.parametrize(("eta", "beta"), [(0.1, 0.9), (1.2, 0.5)])
    def test_the_loss_with_momentum(self, eta, beta, n_updates):
        """Second moments P of (w, v) in each dimension: P' = A P Aᵀ + n nᵀ c / B."""
        expected = 0.0
        for h, c, start in zip(self.h, self.c, self.start, strict=True):
            A, n = np.array([[1 - eta * h, -eta * beta], [h, beta]]), np.array([-eta, 1.0])
            P = np.diag([start**2, 0.0])
            for _ in range(n_updates):
                P = A @ P @ A.T + np.outer(n, n) * c / 16
            expected += 0.5 * h * P[0, 0]
        found = self.expected_loss(n_updates, 16, eta0=eta, solver="momentum", momentum=beta)
        assert_allclose(found, expected, rtol=1e-11)

    @pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
    def test_the_loss_stays_below_the_bound_for_strongly_convex_objectives(self, share):
        """With η <= 1 / L, M = tr Σ / B and c the lowest curvature (Bottou, Curtis & Nocedal 2018, theorem 4.6):

        E F(w_k) - F* <= η L M / (2 c) + (1 - η c)^(k - 1) (F(w_1) - F* - η L M / (2 c)).
        """
        L, lowest = self.h.max(), self.h.min()
        eta = share / L
        plateau = eta * L * self.c.sum() / 8 / (2 * lowest)
        first = 0.5 * np.sum(self.h * self.start**2)
        for n_updates in (1, 2, 5, 20, 80, 250):
            bound = plateau + (1 - eta * lowest) ** n_updates * (first - plateau)
            assert self.expected_loss(n_updates, 8, eta0=eta) < bound


def test_updates_to_a_target_fall_with_the_batch_size_and_end_on_a_plateau():
    """Where noise rules, k times the batch takes a k-th of the updates; where curvature does, as many as all rows take:
    the least t with ½ Σ h_i (1 - η h_i)^2t θ_i² below the target, at the best η."""
    h, n, rates = TestQuadraticModel.h, 8192, np.geomspace(0.002, 1.9, 9)
    X = stream(np.diag(np.sqrt(8 * h)), n, 1)
    y = X.sum(axis=1) + 6 * np.random.default_rng(0).standard_normal(n)
    optimum = np.linalg.lstsq(X, y, rcond=None)[0]
    excess = 0.02 * 0.5 * np.sum(h * optimum**2)
    model = MiniBatchSGDRegressor(penalty=None, fit_intercept=False, shuffle=False, learning_rate="constant")
    result = steps_to_target(
        model, X, y, batch_sizes=[8, 32, 128, 2048, "full"], learning_rates=rates, max_updates=4000, random_state=0,
        target=("train_loss", 0.5 * np.mean((X @ optimum - y) ** 2) + excess),
    )  # fmt: skip
    assert (result.slopes[:2] <= -0.8).all()
    assert result.slopes[-1] >= -0.2
    counts = np.arange(100)[:, None, None]
    losses = 0.5 * np.sum(h * (1 - rates[:, None] * h) ** (2 * counts) * optimum**2, axis=2)
    assert result.updates[-1] == np.argmax((losses <= excess).any(axis=1))


class TestAveraging:
    """Of the iterates at a constant rate, from the first on."""

    @pytest.mark.parametrize("eta", [0.2, 0.5, 1.5])
    def test_the_variance_does_not_depend_on_the_rate(self, eta):
        """T Var = σ² / (B h²) (1/T) Σ_k (1 - (1 - η h)^k)², which tends to σ² / (B h²)."""
        h, sigma, n_updates, batch_size = 1.2, 0.8, 500, 2
        found = n_updates * variance(h, sigma, n_updates, batch_size, eta0=eta, average=True)
        limit = sigma**2 / (batch_size * h**2)
        shares = 1 - (1 - eta * h) ** np.arange(1, n_updates + 1)
        assert_allclose(found, limit * np.mean(shares**2), rtol=1e-11)
        assert_allclose(found, limit, rtol=2 / (n_updates * min(eta * h, 2 - eta * h)))

    def test_it_is_as_good_as_any_estimate_can_be(self):
        """T Cov -> H⁻¹ Σ H⁻¹ / B, the bound of Cramér and Rao. What is missing is a share of 2 / (T η h) at most."""
        eta, n_updates, batch_size = 1.0, 900, 3
        found = n_updates * covariance(ROWS, SPREAD, n_updates, batch_size, eta0=eta, average=True)
        inverse = np.linalg.inv(H)
        bound = inverse @ COVARIANCE @ inverse / batch_size
        missing = 2 / (n_updates * eta * np.linalg.eigvalsh(H)[0])
        assert missing < 0.05
        assert_allclose(found, bound, atol=missing * np.trace(bound))

    def test_the_last_iterate_is_far_worse(self):
        averaged, last = (
            np.trace(covariance(ROWS, SPREAD, 900, 3, eta0=1.0, average=average)) for average in (True, False)
        )
        assert averaged < 0.02 * last


class TestRandomWalk:
    """Gradients of mean zero that do not depend on the parameters: slopes of absolute errors far from their targets.

    Every pattern of signs of the targets is a column of ``y``, so that means over them are expectations."""

    n = 12
    X = np.random.default_rng(0).standard_normal((n, 3))
    trace = np.mean(np.sum(X**2, axis=1))

    def squared_distance(self, batch_size, eta=0.1, **parameters):
        signs = np.array(list(product([-1.0, 1.0], repeat=self.n))).T
        found = trained(
            self.X, 1e9 * signs, loss="absolute_error", batch_size=batch_size, eta0=eta, shuffle=True, random_state=0,
            **parameters,
        )  # fmt: skip
        return np.mean(np.sum(found**2, axis=0))

    @pytest.mark.parametrize("batch_size", [1, 3, 4, 12])
    def test_the_squared_distance_grows_with_the_number_of_updates(self, batch_size):
        """E |w_t - w_0|² = t η² tr Σ / B."""
        n_updates = self.n // batch_size
        expected = n_updates * 0.1**2 * self.trace / batch_size
        assert_allclose(self.squared_distance(batch_size), expected, rtol=1e-10)

    @pytest.mark.parametrize("batch_size", [2, 6])
    @pytest.mark.parametrize(("rule", "power"), [("sqrt", 0), ("linear", 1)])
    def test_an_update_at_a_rate_scaled_from_single_rows(self, rule, power, batch_size):
        """tr Cov(update) = η² tr Σ / B: the same for every B by the root rule, B times as much by the linear one."""
        total = self.squared_distance(batch_size, learning_rate_scaling=rule, reference_batch_size=1)
        expected = 0.1**2 * self.trace * float(batch_size) ** power
        assert_allclose(total / (self.n // batch_size), expected, rtol=1e-10)
