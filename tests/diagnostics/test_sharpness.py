"""Sharpness of every kind: closed forms at minima of quadratics, what does and does not change it, what is flagged."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import hessian_spectrum, sharpness
from minibatch.diagnostics._objective import trained_objective

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
KINDS = ["box", "worst_case", "average", "adaptive"]
BALLS = ["worst_case", "adaptive"]


def placed(X, y, w, **parameters):
    """A linear model with these parameters, whatever they should be."""
    model = MiniBatchSGDRegressor(
        **{"penalty": None, "fit_intercept": False, "max_iter": 1, "tol": None, "eta0": 1e-9, **parameters}
    ).fit(X, y)
    model.coef_ = np.asarray(w, dtype=model.coef_.dtype)
    return model


def quadratic(H, w, f0=0.0):
    """Rows and targets of the least squares ``f0 + (v - w)' H (v - w) / 2``, and the model at its minimum."""
    values, vectors = np.linalg.eigh(H)
    n = 2 * len(H)
    X = np.vstack([np.sqrt(n * values)[:, None] * vectors.T, np.zeros_like(H)])
    y = np.concatenate([X[: len(H)] @ w, np.full(len(H), np.sqrt(4.0 * f0))])
    return placed(X, y, w), X, y


def correlated(d, seed):
    Z = np.random.default_rng(seed).standard_normal((2 * d, d))
    return Z.T @ Z / d


H3, W3, F3 = np.diag([5.0, 1.0, 0.2]), np.array([1.0, -2.0, 0.0]), 0.3


@pytest.fixture(scope="module")
def relu(digits):
    return MiniBatchMLPClassifier(
        (5,), "relu", alpha=0.0, learning_rate="constant", max_iter=200, tol=None, random_state=0
    ).fit(*digits)


class TestBoxOnQuadratics:
    def test_a_diagonal_one_has_its_maximum_at_all_vertices(self):
        result = sharpness(*quadratic(H3, W3, F3), epsilon=0.01, random_state=0)
        expected = 100 * 0.5 * (np.diag(H3) * 0.01**2 * (np.abs(W3) + 1) ** 2).sum() / (1 + F3)
        assert expected == pytest.approx(0.112308, abs=1e-6)
        assert result.value == pytest.approx(expected, rel=1e-7)
        assert_allclose(result.values, expected, rtol=1e-7)
        assert result.objective == pytest.approx(F3)
        assert result.worst_objective == pytest.approx(F3 + expected * (1 + F3) / 100)
        assert result.converged
        assert result.at_minimum

    def test_it_is_quadratic_in_epsilon(self):
        one, half = (sharpness(*quadratic(H3, W3, F3), epsilon=e, random_state=0).value for e in (0.01, 0.005))
        assert one / half == pytest.approx(4.0, rel=1e-6)

    def test_the_published_size_is_the_default(self):
        given, default = (sharpness(*quadratic(H3, W3, F3), random_state=0, **e) for e in ({"epsilon": 1e-3}, {}))
        assert given.value == default.value
        assert default.epsilon == 1e-3

    @pytest.mark.parametrize("seed", range(5))
    def test_a_correlated_one_has_it_at_the_best_vertex(self, seed):
        H, w = correlated(8, seed), np.random.default_rng(seed).standard_normal(8)
        result = sharpness(*quadratic(H, w), epsilon=0.01, n_starts=20, random_state=0)
        vertices = np.array(list(itertools.product([-1, 1], repeat=8))) * 0.01 * (np.abs(w) + 1)
        assert result.value == pytest.approx(100 * np.einsum("vi,ij,vj->v", vertices, H, vertices).max() / 2, rel=1e-6)

    def test_a_slope_counts_with_the_whole_width(self):
        model, X, y = quadratic(H3, W3, F3)
        model.coef_ = np.array([1.5, -2.0, 0.0])
        result = sharpness(model, X, y, epsilon=1e-4, random_state=0)
        f, slope = F3 + 0.5 * 5 * 0.25, 5 * 0.5 * 1e-4 * 2.5
        curved = 0.5 * (np.diag(H3) * 1e-8 * (np.array([1.5, 2.0, 0.0]) + 1) ** 2).sum()
        assert result.value == pytest.approx(100 * (slope + curved) / (1 + f), rel=1e-6)
        assert result.slope_rise == pytest.approx(slope)
        assert not result.at_minimum
        assert f"the slope there would by itself make a rise of {slope:.3g}" in repr(result)

    def test_a_subspace_has_the_box_of_its_axes(self):
        """Of two dimensions in three: both pairs of corners, by hand."""
        result = sharpness(*quadratic(H3, W3), n_directions=2, epsilon=0.01, random_state=7)
        A = np.random.RandomState(7).standard_normal((3, 2))
        widths = 0.01 * (np.abs(np.linalg.pinv(A) @ W3) + 1)
        steps = [A @ (widths * sign) for sign in ([1, 1], [1, -1])]
        assert result.value == pytest.approx(100 * max(0.5 * s @ H3 @ s for s in steps), rel=1e-9)
        assert result.exact
        assert "dimensions of the subspace" in repr(result)

    def test_a_subspace_sees_the_curvature_that_the_whole_box_sees(self):
        """Near a minimum, but not at it: twice the radius is nearly four times the rise, not twice."""
        H, w = correlated(200, 0), np.random.default_rng(0).standard_normal(200)
        model, X, y = quadratic(H, w)
        model.coef_ = w + 1e-4 * np.random.default_rng(1).standard_normal(200)
        for n_directions in (None, 20, 100):
            one, half = (
                sharpness(model, X, y, n_directions=n_directions, epsilon=epsilon, random_state=0)
                for epsilon in (1e-3, 5e-4)
            )
            assert one.at_minimum
            assert 3.7 < one.value / half.value < 4


class TestMaxima:
    @pytest.mark.parametrize("d", [1, 5, 10])
    @pytest.mark.parametrize("seed", range(4))
    def test_few_parameters_are_exact(self, d, seed):
        H, w = correlated(d, seed), np.random.default_rng(seed).standard_normal(d)
        model, X, y = quadratic(H, w)
        model.coef_ = w + 0.01
        result = sharpness(model, X, y, epsilon=0.01, n_starts=1, random_state=0)
        corners = np.array(list(itertools.product([-1, 1], repeat=d))) * 0.01 * (np.abs(model.coef_) + 1)
        rises = [((w - model.coef_ - s) @ H @ (w - model.coef_ - s)) / 2 for s in corners]
        assert result.worst_objective == pytest.approx(max(rises), rel=1e-9)
        assert (result.exact, result.starts_agree, result.n_evaluations) == (True, True, 1 + 2**d)
        assert "all corners of the box were looked at: it is exact" in repr(result)

    def test_more_parameters_are_not(self):
        result = sharpness(*quadratic(correlated(11, 0), np.ones(11)), random_state=0)
        assert not result.exact
        assert len(result.values) == 20

    def test_twenty_starts_are_near_the_highest_corner(self):
        """Five of them are 12 percent below it in the worst of these."""
        signs = np.array(list(itertools.product([-1.0, 1.0], repeat=12)))
        for seed in range(6):
            H, w = correlated(12, seed), np.random.default_rng(seed).standard_normal(12)
            corners = signs * 0.01 * (np.abs(w) + 1)
            highest = 50 * np.einsum("vi,ij,vj->v", corners, H, corners).max()
            assert sharpness(*quadratic(H, w), epsilon=0.01, random_state=seed).value > 0.99 * highest

    def test_starts_that_disagree_are_named(self):
        H, w = correlated(30, 0), np.random.default_rng(0).standard_normal(30)
        result = sharpness(*quadratic(H, w), random_state=0)
        near = np.sum(result.values >= 0.99 * result.value)
        assert near < 20
        assert not result.starts_agree
        assert f"the starts disagree: {near} of 20 end within 1% of the highest" in repr(result)
        assert f"the lowest at {result.values.min() / result.value:.0%} of it" in result._repr_html_()

    def test_starts_that_agree_are_not(self):
        result = sharpness(*quadratic(np.diag(np.linspace(1, 2, 30)), np.ones(30)), random_state=0)
        assert result.starts_agree
        assert "disagree" not in repr(result)

    def test_the_highest_corner_of_a_small_network_is_a_start(self):
        """A box so large that the objective has several maxima in it."""
        X = np.linspace(-1, 1, 20)[:, None]
        model = MiniBatchMLPRegressor("squared_error", (2,), "tanh", max_iter=300, tol=None, random_state=0)
        model.fit(X, np.sin(3 * X[:, 0]))
        result = sharpness(model, X, np.sin(3 * X[:, 0]), epsilon=1.0, n_starts=1, random_state=0)
        with trained_objective(model, X, np.sin(3 * X[:, 0])) as objective:
            x = objective.trained
            corners = np.array(list(itertools.product([-1, 1], repeat=len(x)))) * (np.abs(x) + 1)
            highest = max(objective.value(x + step) for step in corners)
        assert result.worst_objective >= highest * (1 - 1e-12)
        assert not result.exact
        assert len(result.values) == 2


class TestBallsOnQuadratics:
    @given(st.integers(2, 8), st.floats(1e-3, 1.0), st.integers(0, 2**31 - 1))
    def test_the_worst_case_is_half_rho_squared_times_the_largest_eigenvalue(self, d, rho, seed):
        H, w = correlated(d, seed), np.random.default_rng(seed).standard_normal(d)
        result = sharpness(*quadratic(H, w), kind="worst_case", epsilon=rho, random_state=0)
        assert result.value == pytest.approx(rho**2 * np.linalg.eigvalsh(H)[-1] / 2, rel=1e-5)
        assert result.converged

    @given(st.integers(2, 8), st.floats(1e-3, 1.0), st.integers(0, 2**31 - 1))
    def test_the_adaptive_one_scales_the_curvature_by_the_parameters(self, d, rho, seed):
        random = np.random.default_rng(seed)
        H, w = correlated(d, seed), random.standard_normal(d)
        w[0] = 0.0
        result = sharpness(*quadratic(H, w), kind="adaptive", epsilon=rho, random_state=0)
        D = np.diag(np.abs(w))
        assert result.value == pytest.approx(rho**2 * np.linalg.eigvalsh(D @ H @ D)[-1] / 2, rel=1e-5)

    def test_the_average_is_half_rho_squared_times_the_trace(self):
        H, w = correlated(6, 1), np.arange(6.0)
        result = sharpness(*quadratic(H, w), kind="average", epsilon=0.1, n_directions=4000, random_state=0)
        assert abs(result.value - 0.01 * np.trace(H) / 2) < 4 * result.standard_error
        # e' H e / 2 has the variance rho^4 ||H||_F^2 / 2
        assert result.standard_error == pytest.approx(np.sqrt(1e-4 * (H**2).sum() / 2 / 4000), rel=0.1)
        assert result.values.shape == (4000,)
        assert result.value == pytest.approx(result.values.mean())

    def test_a_slope_cancels_in_the_average(self):
        model, X, y = quadratic(H3, W3)
        flat = sharpness(model, X, y, kind="average", random_state=0)
        model.coef_ = W3 + 100.0
        steep = sharpness(model, X, y, kind="average", random_state=0)
        assert_allclose(steep.values, flat.values, rtol=1e-6)
        assert flat.at_minimum
        assert not steep.at_minimum
        assert steep.slope_rise == pytest.approx(0.05 * steep.gradient_norm)

    def test_a_slope_alone_rises_by_rho_times_its_norm(self):
        """Absolute errors far from any kink are linear."""
        X, y = np.array([[3.0, 4.0], [3.0, 4.0]]), np.zeros(2)
        model = placed(X, y, [100.0, 0.0], loss="absolute_error")
        for kind, expected in (("worst_case", 0.5 * 5), ("adaptive", 0.5 * 3 * 100)):
            result = sharpness(model, X, y, kind=kind, epsilon=0.5, random_state=0)
            assert_allclose([result.value, result.slope_rise], expected)

    @pytest.mark.parametrize("rho", [0.05, 1e-3])
    def test_many_parameters_converge(self, rho):
        """A gap of a few percent between the first eigenvalues, where power iteration is slow."""
        values = np.linspace(0.1, 1.0, 60)
        result = sharpness(*quadratic(np.diag(values), np.ones(60)), kind="worst_case", epsilon=rho, random_state=0)
        assert result.converged
        assert result.value == pytest.approx(rho**2 / 2, rel=1e-5)

    @pytest.mark.parametrize("kind", BALLS)
    def test_a_search_that_is_cut_off_says_so(self, kind):
        values = np.linspace(0.1, 1.0, 60)
        result = sharpness(*quadratic(np.diag(values), np.ones(60)), kind=kind, max_iter=1, random_state=0)
        assert not result.converged
        assert 0.4 < result.value / (0.05**2 / 2) < 1
        assert "stopped at max_iter" in repr(result)


class TestNetworks:
    def test_a_relu_network_may_be_rescaled_without_the_adaptive_sharpness(self, relu, digits):
        scaled = copy.deepcopy(relu)
        scaled.coefs_ = [5.0 * relu.coefs_[0], relu.coefs_[1] / 5.0]
        scaled.intercepts_ = [5.0 * relu.intercepts_[0], relu.intercepts_[1]]
        assert_allclose(scaled.predict_proba(digits[0]), relu.predict_proba(digits[0]))
        before, after = (sharpness(model, *digits, kind="adaptive", random_state=0).value for model in (relu, scaled))
        assert after == pytest.approx(before, rel=1e-4)
        before, after = (hessian_spectrum(model, *digits, k=1).eigenvalues[0] for model in (relu, scaled))
        assert after > 3 * before
        for kind in ("box", "worst_case"):
            before, after = (sharpness(model, *digits, kind=kind, random_state=0).value for model in (relu, scaled))
            assert abs(after / before - 1) > 0.2

    def test_the_example_of_two_weights(self):
        """``(v relu(u) - 1)^2 / 2`` at (2, 1/2) and (6, 1/6): curvature 4.25 and 36.03, adaptive twice 2."""
        X, y = np.ones((2, 1)), np.ones(2)
        model = MiniBatchMLPRegressor("squared_error", (1,), "relu", alpha=0.0, max_iter=1, tol=None).fit(X, y)
        for u, v, curvature in ((2.0, 0.5, 4.25), (6.0, 1 / 6, 36 + 1 / 36)):
            model.coefs_ = [np.array([[u]]), np.array([[v]])]
            model.intercepts_ = [np.zeros(1), np.zeros(1)]
            # the two intercepts add v^2 + 1 to the curvature, and do not move in the adaptive ball
            largest = hessian_spectrum(model, X, y, k=1).eigenvalues[0]
            assert largest == pytest.approx(curvature + v**2 + 1, rel=1e-6)
            adaptive = sharpness(model, X, y, kind="adaptive", epsilon=1e-3, random_state=0).value
            assert adaptive == pytest.approx(1e-6 * 2.0 / 2, rel=1e-2)  # to first order in rho

    @pytest.mark.parametrize("kind", ["box", *BALLS])
    def test_the_value_is_reached_in_the_neighbourhood_and_random_points_stay_below(self, kind, relu, digits):
        result = sharpness(relu, *digits, kind=kind, random_state=0)
        random = np.random.default_rng(0)
        with trained_objective(relu, *digits) as objective:
            x = objective.trained
            rho = result.epsilon
            for _ in range(50):
                z = random.uniform(-1, 1, len(x))
                step = rho * (np.abs(x) + 1) * np.sign(z) if kind == "box" else rho * z / np.linalg.norm(z)
                step = step * np.abs(x) if kind == "adaptive" else step
                assert objective.value(x + step) < result.worst_objective

    def test_large_networks_are_searched_thoroughly(self):
        """The steps to vertices: L-BFGS-B alone finds a quarter of it, and another value from every start."""
        X, y = load_digits(return_X_y=True)
        X, y = X[:300] / 16, y[:300]
        model = MiniBatchMLPClassifier((20,), alpha=0.0, max_iter=100, tol=None, random_state=0).fit(X, y)
        result = sharpness(model, X, y, random_state=0)
        assert result.values.min() > 0.9 * result.value
        assert 100 * result.slope_rise / (1 + result.objective) < result.value
        assert result.value / 100 * (1 + result.objective) == pytest.approx(result.worst_objective - result.objective)


class TestData:
    @pytest.mark.parametrize("kind", KINDS)
    def test_weights_are_repetitions(self, kind, digits):
        X, y = digits
        times = np.arange(len(X)) % 3
        model = MiniBatchSGDClassifier("log_loss", alpha=0.1, random_state=0).fit(X, y)
        weighted = sharpness(model, X, y, kind=kind, sample_weight=times, random_state=0)
        repeated = sharpness(model, np.repeat(X, times, axis=0), np.repeat(y, times), kind=kind, random_state=0)
        assert weighted.value == pytest.approx(repeated.value, rel=1e-6)

    @pytest.mark.parametrize("kind", KINDS)
    def test_sparse_rows_and_float32_and_pipelines_have_the_same(self, kind, digits):
        X, y = digits
        estimator = MiniBatchMLPClassifier((3,), "tanh", max_iter=3, random_state=0)
        model, single = copy.deepcopy(estimator).fit(X, y), estimator.fit(X.astype(np.float32), y)
        shifted = make_pipeline(StandardScaler(with_std=False), model)
        shifted[0].fit(X)
        dense = sharpness(model, X, y, kind=kind, random_state=0).value
        assert sharpness(model, sp.csr_array(X), y, kind=kind, random_state=0).value == pytest.approx(dense, rel=1e-6)
        moved = sharpness(shifted, X + X.mean(axis=0), y, kind=kind, random_state=0).value
        assert moved == pytest.approx(dense, rel=1e-6)
        assert sharpness(single, X.astype(np.float32), y, kind=kind, random_state=0).value == pytest.approx(
            dense, rel=1e-3
        )

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_model_and_the_global_seed_stay_as_they_are(self, kind, digits):
        model = MiniBatchMLPClassifier((3,), max_iter=3, random_state=0).fit(*digits)
        before, state = pickle.dumps(model), np.random.get_state()[1].copy()  # noqa: NPY002
        sharpness(model, *digits, kind=kind)
        assert pickle.dumps(model) == before
        assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
        one, other = (sharpness(model, *digits, kind=kind, random_state=3).value for _ in range(2))
        assert one == other

    @pytest.mark.compiled
    @pytest.mark.parametrize("kind", KINDS)
    def test_an_objective_that_overflows_nearby_is_infinitely_sharp(self, kind):
        X, y = np.array([[1.0], [2.0]]), np.array([1.0, 2.0])
        model = placed(X, y, [10.0], loss="poisson")
        result = sharpness(model, X, y, kind=kind, epsilon=1e4, random_state=0)
        assert result.value == result.worst_objective == np.inf
        assert not result.converged
        assert "overflows in the neighbourhood: choose a smaller epsilon" in repr(result)

    def test_a_flat_objective_is_not_sharp(self):
        X, y = np.array([[1.0], [-1.0]]), np.array([1, 0])
        model = MiniBatchSGDClassifier("hinge", penalty=None, learning_rate="constant", eta0=0.1, max_iter=1).fit(X, y)
        model.coef_[:] = 50.0
        for kind in KINDS:
            result = sharpness(model, X, y, kind=kind, random_state=0)
            assert (result.value, result.at_minimum, result.converged) == (0.0, True, True)


class TestResult:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_shows_itself(self, kind, digits):
        model = MiniBatchMLPClassifier((3,), max_iter=3, random_state=0).fit(*digits)
        result = pickle.loads(pickle.dumps(sharpness(model, *digits, kind=kind, random_state=0)))
        for text in (repr(result), result._repr_html_().replace("&#x27;", "'")):
            assert f"kind '{kind}'" in text
            assert f"{result.value:.4g}" in text
            assert f"{result.objective:.6g}" in text
        assert ("percent" in repr(result)) == (kind == "box")
        assert ("pairs of points" in repr(result)) == (kind == "average")


class TestWrongInput:
    def test_a_model_that_is_not_fitted_or_foreign(self, digits):
        with pytest.raises(NotFittedError, match="MiniBatchSGDRegressor is not fitted"):
            sharpness(MiniBatchSGDRegressor(), *digits)
        with pytest.raises(TypeError, match="StandardScaler"):
            sharpness(StandardScaler().fit(digits[0]), *digits)

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"kind": "flat"}, "'kind' parameter of sharpness must be a str among"),
            ({"epsilon": 0.0}, "'epsilon' parameter"),
            ({"epsilon": np.inf}, "'epsilon' parameter"),
            ({"n_starts": 0}, "'n_starts' parameter of sharpness must be"),
            ({"max_iter": 0}, "'max_iter' parameter"),
            ({"n_directions": 0}, "'n_directions' parameter"),
            ({"n_directions": 4}, "n_directions must be at most the number of trained parameters, 3; got 4"),
            ({"n_directions": 1, "kind": "average"}, "n_directions must be at least 2 for kind='average'"),
            ({"n_directions": 2, "kind": "adaptive"}, "n_directions is for kind='box' and 'average'"),
            ({"random_state": "a"}, "'random_state' parameter"),
            ({"sample_weight": -np.ones(6)}, "Negative values in data passed to `sample_weight`"),
        ],
    )
    def test_a_parameter_out_of_range_is_named(self, setting, message):
        with pytest.raises(ValueError, match=message):
            sharpness(*quadratic(H3, W3), **setting)

    def test_rows_of_another_width(self):
        model, X, y = quadratic(H3, W3)
        with pytest.raises(ValueError, match="X has 2 features, but MiniBatchSGDRegressor is expecting 3"):
            sharpness(model, X[:, :2], y)

    def test_what_has_no_meaning(self):
        X, y = np.array([[5.0], [5.0]]), np.array([1e3, 1e3])
        with pytest.raises(ValueError, match=r"divides by 1 \+ F, but F, the objective at the model, is -5.9"):
            sharpness(placed(X, y, [1.38], loss="poisson"), X, y)
        with pytest.raises(ValueError, match="all are 0; take kind='worst_case'"):
            sharpness(placed(X, y, [0.0]), X, y, kind="adaptive")
