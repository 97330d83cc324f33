"""Rates that contract and rates that do not: closed forms for gradient descent, for fresh normal rows, for networks.

Least squares of rows from a normal distribution with variances ``h_i``: the noise of the gradient grows with the error
itself, so that the limit of the rate and the noise floor depend on the batch size together.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDRegressor
from minibatch.diagnostics import hessian_spectrum

PLAIN = {
    "penalty": None, "fit_intercept": False, "shuffle": False, "learning_rate": "constant", "max_iter": 1, "tol": None,
}  # fmt: skip


def within_four_standard_errors(samples, expected):
    samples = np.asarray(samples)
    return abs(samples.mean() - expected) < 4 * samples.std(ddof=1) / np.sqrt(len(samples))


class TestGradientDescent:
    """Full batches on two curvatures, ``low`` and ``high``, from an error in both."""

    low, high = 0.5, 8.0
    X = np.diag(np.sqrt(2 * np.array([low, high])))

    def errors(self, n_updates, **parameters):
        model = MiniBatchSGDRegressor(**{**PLAIN, "max_iter": n_updates}, batch_size="full", **parameters)
        return 1 - model.fit(self.X, self.X.sum(axis=1)).coef_

    def test_the_best_rate_shrinks_the_error_by_the_condition_number(self):
        """η = 2 / (low + high): by (κ - 1) / (κ + 1) an update, in both directions."""
        kappa = self.high / self.low
        for n_updates in (1, 2, 30):
            found = self.errors(n_updates, eta0=2 / (self.low + self.high))
            expected = ((kappa - 1) / (kappa + 1)) ** n_updates
            assert_allclose(found, [expected, (-1) ** n_updates * expected], rtol=1e-10)

    def test_the_heavy_ball_shrinks_it_by_the_root_of_the_condition_number(self):
        """η = 4 / (√low + √high)², β = r² with r = (√κ - 1) / (√κ + 1): by r an update, but for a factor linear in t.

        Both modes of a direction are the same there: errors are rᵗ (1 + (1 - r) t) and (-r)ᵗ (1 + (1 + r) t)."""
        root = np.sqrt(self.high / self.low)
        r = (root - 1) / (root + 1)
        eta = 4 / (np.sqrt(self.low) + np.sqrt(self.high)) ** 2
        for n_updates in (1, 2, 15):
            found = self.errors(n_updates, eta0=eta, solver="momentum", momentum=r**2)
            expected = r**n_updates * (1 + np.array([1 - r, 1 + r]) * n_updates)
            assert_allclose(found, [expected[0], (-1) ** n_updates * expected[1]], rtol=1e-10)


class TestFreshNormalRows:
    """Every row is used once, so that batches are independent."""

    @pytest.mark.parametrize("n_updates", [1, 4, 16])
    @pytest.mark.parametrize(("batch_size", "eta"), [(1, 0.03), (8, 0.2), (8, 0.45)])
    def test_the_mean_square_error_follows_its_recursion(self, batch_size, eta, n_updates):
        """E |δ'|² = (1 - 2 η + η² (1 + (d + 1) / B)) E |δ|² + η² d σ² / B, on unit variances.

        Orthonormal errors, one for each of d outputs, make a mean over all directions out of every run."""
        d, sigma = 24, 0.2
        factor, expected = 1 - 2 * eta + eta**2 * (1 + (d + 1) / batch_size), 1.0
        for _ in range(n_updates):
            expected = factor * expected + eta**2 * d * sigma**2 / batch_size
        random, found = np.random.default_rng(0), []
        model = MiniBatchSGDRegressor(**PLAIN, batch_size=batch_size, eta0=eta)
        for _ in range(60):
            X = random.standard_normal((n_updates * batch_size, d))
            model.fit(X, X + sigma * random.standard_normal(X.shape))
            found.append(np.mean(np.sum((model.coef_ - np.eye(d)) ** 2, axis=1)))
        assert within_four_standard_errors(found, expected)

    @pytest.mark.parametrize(
        ("h", "batch_size", "share"),
        [
            (np.ones(10), 1, 0.4),
            (np.ones(10), 6, 0.7),
            (np.array([4.0, 1.0, 1.0, 0.25, 0.1]), 1, 0.4),
            (np.array([4.0, 1.0, 1.0, 0.25, 0.1]), 6, 0.7),
        ],
        ids=["one-variance-1", "one-variance-6", "variances-1", "variances-6"],
    )
    def test_the_noise_floor(self, h, batch_size, share):
        """Where q = Σ η h_i / (B (2 - η h_i (1 + 1/B))) < 1, the mean of (x · δ)² ends at σ² q / (1 - q).

        For d unit variances that is η d σ² / B / (2 - η (1 + (d + 1) / B)). It is what the progressive loss has above
        that of the noise alone; chunks of a long stream, far longer than the memory of training, are independent."""
        B, sigma = batch_size, 0.5

        def q(eta):
            return np.sum(eta * h / (B * (2 - eta * h * (1 + 1 / B))))

        eta = share * 2 * B / (h.sum() + h.max() * (B + 1))  # q = 1 there at the earliest
        assert q(eta) < 1
        if (h == 1).all():
            isotropic = eta * len(h) / B / (2 - eta * (1 + (len(h) + 1) / B))
            assert_allclose(q(eta) / (1 - q(eta)), isotropic, rtol=1e-12)
        random, above_noise = np.random.default_rng(1), []
        model = MiniBatchSGDRegressor(**PLAIN, batch_size=B, eta0=eta)
        for _ in range(101):
            X = random.standard_normal((6000, len(h))) * np.sqrt(h)
            noise = sigma * random.standard_normal(6000)
            model.partial_fit(X, noise)
            above_noise.append(2 * model.history_["progressive_loss"][-1] - np.mean(noise**2))
        assert within_four_standard_errors(above_noise[1:], sigma**2 * q(eta) / (1 - q(eta)))


class TestBatchSizeAndRateTogether:
    """A grid over both on normal rows of d unit variances without noise, every row used once."""

    d, n_updates = 30, 24
    sizes, rates = np.array([1, 8, 64]), 1.5 * 2.0 ** np.arange(-8, 1)

    @pytest.fixture(scope="class")
    @classmethod
    def losses(cls):
        """Mean squared errors on new rows, (sizes, rates)."""
        n = cls.n_updates * cls.sizes[-1]
        X = np.random.default_rng(2).standard_normal((n + 400, cls.d))
        model = MiniBatchSGDRegressor(**{**PLAIN, "max_iter": 1000}, max_updates=cls.n_updates)
        search = GridSearchCV(
            model, {"batch_size": cls.sizes.tolist(), "eta0": cls.rates.tolist()}, scoring="neg_mean_squared_error",
            cv=[(np.arange(n), np.arange(n, n + 400))],
        )  # fmt: skip
        search.fit(X, X)  # an orthonormal error for each of d outputs: a mean over all directions
        losses = -search.cv_results_["mean_test_score"].reshape(len(cls.sizes), len(cls.rates))
        assert search.best_params_ == {
            "batch_size": cls.sizes[-1], "eta0": cls.rates[losses[-1].argmin()],
        }  # fmt: skip
        return losses

    def test_the_best_rate_is_the_one_that_contracts_most(self, losses):
        """η* = B / (B + d + 1), to a step of the grid."""
        best = self.sizes / (self.sizes + self.d + 1)
        found = self.rates[losses.argmin(axis=1)]
        assert (np.abs(np.log2(found / best)) <= 1).all()

    def test_the_loss_falls_below_the_limit_and_rises_above(self, losses):
        """η_max = 2 B / (B + d + 1): it grows with the batch size, less than proportionally."""
        limits = 2 * self.sizes / (self.sizes + self.d + 1)
        assert_array_equal(losses > 1, self.rates > limits[:, None])


@pytest.mark.slow
@pytest.mark.parametrize("eta", [0.1, 0.2])
def test_full_batch_training_of_a_network_ends_at_the_edge_of_stability(eta):
    """The largest eigenvalue of the Hessian rises until it is 2 / η, whatever η is, and stays there; the loss goes up
    and down and still falls (Cohen et al. 2021)."""
    x = np.linspace(-1, 1, 20)
    y = 8 * x**4 - 8 * x**2 + 1  # a Chebyshev polynomial
    net = MiniBatchMLPRegressor(
        hidden_layer_sizes=(30, 30), activation="tanh", solver="sgd", momentum=0.0, alpha=0.0, batch_size="full",
        learning_rate="constant", learning_rate_init=eta, tol=None, warm_start=True, random_state=0,
    )  # fmt: skip
    sharpness = []
    for n_updates in (10, 5000, 500, 500):
        net.set_params(max_iter=n_updates).fit(x[:, None], y)
        spectrum = hessian_spectrum(net, x[:, None], y, k=1, random_state=0)
        sharpness.append(spectrum.eigenvalues[0] / spectrum.edge_of_stability)
    assert spectrum.edge_of_stability == pytest.approx(2 / eta)
    assert sharpness[0] < 0.8
    assert all(0.9 < value < 1.3 for value in sharpness[1:])
    losses = net.history_["progressive_loss"]
    # Below the edge none would. How many do is decided by rounding: 0.05 to 0.29 of them over six seeds and both rates.
    assert (np.diff(losses) > 0).mean() > 0.03
    assert losses[-1] < 1e-2 * losses[0]
