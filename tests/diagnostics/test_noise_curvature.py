"""gradient_noise_scale(curvature=True): eq. 2.8 of McCandlish et al., best steps on quadratics, alignment, probes."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits
from sklearn.preprocessing import scale

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import _noise_curvature, gradient_noise_scale

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((60, 4)) * [3.0, 1.0, 0.5, 0.1]
Y = X @ np.ones(4) + RANDOM.standard_normal(60)
AT_START = {"learning_rate": "constant", "eta0": 1e-30, "max_iter": 1, "tol": None, "random_state": 0}
FEW = {**AT_START, "eta0": 0.01}


@pytest.fixture(scope="module")
def plain():
    return MiniBatchSGDRegressor(alpha=0.0, fit_intercept=False, batch_size=16, **FEW).fit(X, Y)


def moments(model, alpha=0.0):
    """Gradient, covariance of the rows' gradients (all rows are the population) and Hessian, of least squares."""
    A = np.column_stack([X, np.ones(60)]) if model.fit_intercept else X
    gradients = (model.predict(X) - Y)[:, None] * A
    penalty = alpha * np.append(np.ones(4), np.zeros(A.shape[1] - 4))
    w = np.append(model.coef_, model.intercept_)[: A.shape[1]]
    return gradients.mean(axis=0) + penalty * w, np.cov(gradients.T, ddof=0), A.T @ A / 60 + np.diag(penalty)


class TestClosedForms:
    @pytest.mark.parametrize("settings", [{"alpha": 0.0, "fit_intercept": False}, {"alpha": 0.3}], ids=str)
    def test_least_squares(self, settings):
        model = MiniBatchSGDRegressor(**settings, **FEW).fit(X, Y)
        G, S, H = moments(model, settings["alpha"])
        found = gradient_noise_scale(model, X, Y, curvature=True)
        bent = found.curvature
        assert found.noise_scale == pytest.approx(np.trace(H @ S) / (G @ H @ G), rel=1e-9)
        assert_allclose([bent.trace, bent.along_gradient], [np.trace(H @ S), G @ H @ G], rtol=1e-9)
        assert_allclose(
            [bent.of_noise, bent.of_gradient, bent.mean, bent.alignment],
            [np.trace(H @ S) / np.trace(S), G @ H @ G / (G @ G), np.trace(H) / len(H),
             len(H) * np.trace(H @ S) / np.trace(H) / np.trace(S)],
            rtol=1e-9,
        )  # fmt: skip
        assert found.interval == pytest.approx((found.noise_scale, found.noise_scale))
        assert bent.n_probes == 0

    def test_it_is_what_the_best_single_step_says(self, plain):
        """Eq. 2.6: a step of the rate ``max / (1 + B_noise / B)`` along the gradient of a random batch (with
        replacement) is the best, by ``E F(w - eta g_B) = F - eta |G|^2 + eta^2 (G'HG + tr(HS) / B) / 2``, which is
        taken here from batches themselves."""
        G, _, H = moments(plain)
        batches = np.random.default_rng(1).integers(0, 60, (200_000, 8))
        residuals = plain.predict(X) - Y
        gradients = np.einsum("bi,bij->bj", residuals[batches], X[batches]) / 8
        best = (G @ G) / np.einsum("bi,ij,bj->b", gradients, H, gradients).mean()
        largest = (G @ G) / (G @ H @ G)
        noise_scale = gradient_noise_scale(plain, X, Y, curvature=True).noise_scale
        assert best == pytest.approx(largest / (1 + noise_scale / 8), rel=0.01)

    def test_logistic_regression_at_zero(self):
        """Classes N(mu, I) and N(-mu, I): ``(d + |mu|^2) / (|mu|^2 (1 + |mu|^2))``."""
        random, mu = np.random.default_rng(0), np.array([0.8, 0.0, 0.6, 0.0, 0.0])
        labels = random.integers(0, 2, 200_000)
        rows = random.standard_normal((200_000, 5)) + np.outer(2 * labels - 1, mu)
        model = MiniBatchSGDClassifier("log_loss", penalty=None, fit_intercept=False, **AT_START).fit(rows, labels)
        found = gradient_noise_scale(model, rows, labels, curvature=True)
        assert found.noise_scale == pytest.approx(6 / 2, rel=0.02)

    def test_one_curvature_in_all_directions_changes_nothing(self):
        rows = np.linalg.qr(RANDOM.standard_normal((60, 4)))[0] * np.sqrt(60)
        model = MiniBatchSGDRegressor(alpha=0.0, fit_intercept=False, **FEW).fit(rows, Y)
        simple, bent = (gradient_noise_scale(model, rows, Y, curvature=flag) for flag in (False, True))
        assert bent.noise_scale == pytest.approx(simple.noise_scale, rel=1e-9)
        assert bent.curvature.alignment == pytest.approx(1.0, rel=1e-9)
        assert bent.trace == simple.trace
        assert simple.curvature is None

    def test_a_new_scale_of_the_columns_changes_it_less_than_the_simple_one(self):
        """Noise along a column that hardly bends does not count: the simple noise scale cannot know."""
        random = np.random.default_rng(2)
        rows = random.standard_normal((5000, 6))
        rows[:, 0] *= 10
        targets = rows[:, 1:].sum(axis=1)
        model = MiniBatchSGDRegressor(alpha=0.0, fit_intercept=False, **AT_START).fit(rows, targets)
        found = gradient_noise_scale(model, rows, targets, curvature=True)
        assert found.curvature.of_noise > 3 * found.curvature.of_gradient
        assert found.noise_scale > 3 * found.trace / found.squared_norm

    def test_a_network_is_its_hessian_and_its_rows(self):
        """From gradients of single rows and products with the Hessian by differences, in NumPy."""
        model = MiniBatchMLPRegressor(
            hidden_layer_sizes=(3,), activation="tanh", alpha=0.0, max_iter=5, tol=None, random_state=0
        ).fit(X, Y)
        parts = [*model.coefs_, *model.intercepts_]
        theta, ends = np.concatenate([part.ravel() for part in parts]), np.cumsum([part.size for part in parts])

        def gradients(theta):
            W1, W2, b1, b2 = (
                part.reshape(like.shape) for part, like in zip(np.split(theta, ends[:-1]), parts, strict=True)
            )
            hidden = np.tanh(X @ W1 + b1)
            slope = (hidden @ W2 + b2)[:, 0] - Y
            deltas = slope[:, None] * W2[:, 0] * (1 - hidden**2)
            first = np.einsum("ni,nj->nij", X, deltas).reshape(60, -1)
            return np.column_stack([first, slope[:, None] * hidden, deltas, slope])

        steps = 1e-5 * np.eye(len(theta))
        H = np.array([(gradients(theta + s) - gradients(theta - s)).mean(axis=0) / 2e-5 for s in steps])
        G, S = gradients(theta).mean(axis=0), np.cov(gradients(theta).T, ddof=0)
        found = gradient_noise_scale(model, X, Y, curvature=True)
        assert_allclose(
            [found.curvature.trace, found.curvature.along_gradient], [np.trace(H @ S), G @ H @ G], rtol=1e-4
        )


class TestSamples:
    def test_their_mean_is_that_of_all_rows(self, plain):
        exact = gradient_noise_scale(plain, X, Y, curvature=True).curvature
        found = [
            gradient_noise_scale(plain, X, Y, batch_size=15, random_state=i, curvature=True).curvature
            for i in range(300)
        ]
        for name in ("trace", "along_gradient"):
            values = np.array([getattr(one, name) for one in found])
            assert abs(values.mean() - getattr(exact, name)) < 4 * values.std() / np.sqrt(300)
        assert {one.mean for one in found} == {exact.mean}  # the Hessian is that of all rows

    def test_new_rows_are_asked_about_with_the_other_divisor(self, plain):
        train, population = (
            gradient_noise_scale(plain, X, Y, reference=name, curvature=True) for name in ("train", "population")
        )
        assert population.curvature.trace == pytest.approx(train.curvature.trace * 60 / 59, rel=1e-12)
        assert population.interval[0] < population.noise_scale < population.interval[1]

    @pytest.mark.parametrize("model", [MiniBatchSGDRegressor(**FEW), MiniBatchSGDRegressor("huber", **FEW)])
    def test_sparse_rows_are_dense_rows(self, model):
        rows = np.where(np.abs(X) > 0.3, X, 0.0)
        dense, sparse = (
            gradient_noise_scale(model.fit(form, Y), form, Y, curvature=True) for form in (rows, sp.csr_matrix(rows))
        )
        assert_allclose(sparse.curvature, dense.curvature, rtol=1e-9)


class TestProbes:
    @pytest.fixture
    def with_probes(self, monkeypatch):
        monkeypatch.setattr(_noise_curvature, "_MOST_PARAMETERS", 0)

    def test_they_are_right_within_their_interval(self, plain, with_probes):
        G, S, H = moments(plain)
        found = [gradient_noise_scale(plain, X, Y, curvature=True, random_state=i) for i in range(100)]
        exact = np.trace(H @ S) / (G @ H @ G)
        assert np.mean([one.noise_scale for one in found]) == pytest.approx(exact, rel=0.05)
        held = np.mean([low <= exact <= high for low, high in (one.interval for one in found)])
        assert held > 0.88
        assert np.mean([one.curvature.mean for one in found]) == pytest.approx(np.trace(H) / 4, rel=0.05)
        assert {one.curvature.n_probes for one in found} == {100}
        assert "exact" not in repr(found[0])
        assert "between" in repr(found[0])

    def test_signs_see_a_diagonal_hessian_exactly(self, with_probes):
        """``z' H z`` is the trace whatever the signs, so that the mean curvature has no error."""
        rows = np.linalg.qr(RANDOM.standard_normal((60, 4)))[0] * np.sqrt([60.0, 30.0, 10.0, 1.0])
        model = MiniBatchSGDRegressor(alpha=0.0, fit_intercept=False, **FEW).fit(rows, Y)
        bent = gradient_noise_scale(model, rows, Y, curvature=True, random_state=0).curvature
        assert bent.mean == pytest.approx(np.trace(rows.T @ rows / 60) / 4, rel=1e-9)

    def test_many_parameters_are_probed(self):
        digits, labels = load_digits(return_X_y=True)
        model = MiniBatchSGDClassifier("log_loss", multi_class="multinomial", random_state=0, max_iter=1, tol=None)
        model.fit(scale(digits[:300]), labels[:300])
        first, second = (
            gradient_noise_scale(model, scale(digits[:300]), labels[:300], curvature=True, random_state=seed)
            for seed in (0, 1)
        )
        assert first.curvature.n_probes == 100
        assert second.interval[0] < first.noise_scale < second.interval[1]


class TestResult:
    def test_it_says_what_it_found(self, plain):
        found = gradient_noise_scale(plain, X, Y, curvature=True)
        for text in (repr(found), found._repr_html_()):
            assert "Gradient noise scale with curvature" in text
            assert "exact for all 60 rows" in text
            assert "alignment of noise and curvature" in text
            assert f"{found.curvature.alignment:.3g}" in text
        assert "curvature" not in repr(gradient_noise_scale(plain, X, Y))
        assert found.signal_to_noise == pytest.approx(16 / found.noise_scale)
        assert pickle.loads(pickle.dumps(found)).curvature == found.curvature

    def test_downward_curvature_has_no_noise_scale(self):
        """At a saddle of a network: its output layer is 0, and the gradient leads away from it."""
        model = MiniBatchMLPRegressor(
            hidden_layer_sizes=(1,), activation="tanh", alpha=0.0, max_iter=1, tol=None, random_state=0
        ).fit(X, Y)
        model.coefs_[0][:], model.coefs_[1][:] = 0.3 * np.ones((4, 1)), -3.0
        model.intercepts_[0][:], model.intercepts_[1][:] = 2.0, 4.0
        found = gradient_noise_scale(model, X, Y + 50, curvature=True)
        if found.curvature.along_gradient < 0.0 or found.curvature.trace < 0.0:
            assert np.isnan([found.noise_scale, found.signal_to_noise, *found.interval]).all()
            assert "bends downwards" in repr(found)
        else:
            pytest.fail("choose other parameters: the objective bends upwards here")

    def test_neither_gradient_nor_noise_is_said(self):
        model = MiniBatchSGDRegressor(penalty=None, **AT_START).fit(X, np.zeros(60))
        found = gradient_noise_scale(model, X, np.zeros(60), curvature=True)
        assert np.isnan(found.noise_scale)
        assert "neither gradient nor noise" in repr(found)

    def test_straight_losses_bend_by_their_penalty_alone(self):
        model = MiniBatchSGDClassifier("hinge", alpha=0.2, fit_intercept=False, **FEW).fit(X, Y > 0)
        bent = gradient_noise_scale(model, X, Y > 0, curvature=True).curvature
        assert_allclose([bent.of_noise, bent.of_gradient, bent.mean, bent.alignment], [0.2, 0.2, 0.2, 1.0], rtol=1e-9)

    @pytest.mark.parametrize("wrong", ["yes", 2, None])
    def test_wrong_input(self, plain, wrong):
        with pytest.raises(ValueError, match="'curvature' parameter of gradient_noise_scale must be"):
            gradient_noise_scale(plain, X, Y, curvature=wrong)
