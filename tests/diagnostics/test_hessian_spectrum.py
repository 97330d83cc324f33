"""Spectrum of the Hessian: closed forms, a slow network, Lanczos, the trace, what is flagged and refused."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import _eigenvalues, _hessian, hessian_spectrum
from minibatch.diagnostics._objective import TrainedObjective
from references.network import net_of, slow_hessian

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
LEAST_SQUARES = MiniBatchSGDRegressor(penalty=None, eta0=1e-3, learning_rate="constant", max_iter=3, random_state=0)
LOGISTIC = MiniBatchSGDClassifier("log_loss", alpha=0.1, max_iter=3, random_state=0)


def fitted(estimator, X, y, **parameters):
    return copy.deepcopy(estimator).set_params(**parameters).fit(X, y)


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


def largest(H, k):
    return np.linalg.eigvalsh(H)[::-1][:k]


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X)[:, :8], y


@pytest.fixture(scope="module")
def wide():
    """So many columns that Lanczos takes over, with a spectrum over two decades."""
    random = np.random.default_rng(0)
    X = random.standard_normal((300, 150)) * np.geomspace(0.1, 2.0, 150)
    return X, X @ random.standard_normal(150)


class TestAgainstClosedForms:
    @pytest.mark.parametrize("alpha", [0.0, 0.3])
    def test_least_squares_has_the_second_moments_of_x_and_alpha_on_the_weights(self, cancer, alpha):
        X, y = cancer
        A = with_ones(X)
        H = A.T @ A / len(A) + alpha * np.diag([1.0] * 8 + [0.0])
        result = hessian_spectrum(fitted(LEAST_SQUARES, X, y, penalty="l2", alpha=alpha), X, y, k=9)
        # a product of differences has the rounding of a gradient over a step of 1e-5
        assert_allclose(result.eigenvalues, largest(H, 9), atol=1e-8)
        assert_allclose([result.smallest, result.trace], [result.eigenvalues[-1], np.trace(H)], atol=1e-8)
        assert result.trace_error == 0.0
        assert result.method == "dense"
        assert_allclose(H @ result.eigenvectors, result.eigenvalues * result.eigenvectors, atol=1e-8)

    def test_logistic_loss_weighs_the_rows_by_their_variance(self, cancer):
        X, y = cancer
        model = fitted(LOGISTIC, X, y)
        p = model.predict_proba(X)[:, 1]
        A = with_ones(X)
        H = (A * (p * (1 - p))[:, None]).T @ A / len(A) + 0.1 * np.diag([1.0] * 8 + [0.0])
        result = hessian_spectrum(model, X, y)
        assert_allclose(result.eigenvalues, largest(H, 5), atol=1e-8)
        assert result.trace == pytest.approx(np.trace(H), rel=1e-7)

    def test_softmax_has_the_covariance_of_the_classes(self, digits):
        X, y = digits
        model = fitted(LOGISTIC, X, y, multi_class="multinomial", alpha=0.0, learning_rate="constant")
        P, A = model.predict_proba(X), with_ones(X)
        covariance = P[:, :, None] * np.eye(3) - P[:, :, None] * P[:, None, :]
        H = np.einsum("ikl,ia,ib->kalb", covariance, A, A).reshape(21, 21) / len(A)
        result = hessian_spectrum(model, X, y, k=21)
        assert_allclose(result.eigenvalues, largest(H, 21), atol=1e-8)
        assert_allclose(result.eigenvalues[-7:], 0.0, atol=1e-8)  # the same for all classes changes nothing

    def test_poisson_loss_weighs_the_rows_by_their_mean(self, digits):
        X, y = digits
        model = MiniBatchSGDRegressor("poisson", penalty=None, fit_intercept=False, max_iter=3).fit(X, y)
        H = (X * model.predict(X)[:, None]).T @ X / len(X)
        assert_allclose(hessian_spectrum(model, X, y).eigenvalues, largest(H, 5), rtol=1e-7)

    def test_outputs_that_share_nothing_have_a_spectrum_each(self, digits):
        X, y = digits
        model = fitted(LEAST_SQUARES, X, np.column_stack([y, -y]), fit_intercept=False)
        each = np.linalg.eigvalsh(X.T @ X / len(X))[::-1]
        assert_allclose(
            hessian_spectrum(model, X, np.column_stack([y, -y]), k=12).eigenvalues, np.repeat(each, 2), atol=1e-9
        )

    def test_l1_has_no_curvature_though_weights_lie_on_its_kink(self, cancer):
        X, y = cancer[0].copy(), cancer[1]
        X[:, 2:] = np.random.default_rng(0).standard_normal((len(y), 6))
        model = fitted(LOGISTIC, X, y, penalty="l1", alpha=0.05, max_iter=100)
        assert 0 < np.sum(model.coef_ == 0.0) < 8
        p, A = model.predict_proba(X)[:, 1], with_ones(X)
        H = (A * (p * (1 - p))[:, None]).T @ A / len(A)
        result = hessian_spectrum(model, X, y, k=9)
        assert_allclose(result.eigenvalues, largest(H, 9), atol=1e-8)
        assert result.converged.all()

    def test_the_hinge_has_the_curvature_of_its_penalty(self, cancer):
        model = fitted(LOGISTIC, *cancer, loss="hinge")
        result = hessian_spectrum(model, *cancer, k=9)
        assert_allclose(result.eigenvalues, [0.1] * 8 + [0.0], atol=1e-6)


@given(st.integers(1, 6), st.integers(2, 12), st.booleans(), st.floats(0.01, 1.0), st.integers(0, 2**31 - 1))
def test_every_least_squares_problem_has_its_second_moments(n_features, n_samples, intercept, alpha, seed):
    random = np.random.default_rng(seed)
    X, y, s = random.standard_normal((n_samples, n_features)), random.standard_normal(n_samples), random.uniform(0.1, 2)
    weight = s * random.uniform(0.1, 1.0, n_samples)
    model = fitted(LEAST_SQUARES, X, y, penalty="l2", alpha=alpha, fit_intercept=intercept)
    A = with_ones(X) if intercept else X
    n = A.shape[1]
    H = (A * weight[:, None]).T @ A / weight.sum() + alpha * np.diag(np.arange(n) < n_features)
    result = hessian_spectrum(model, X, y, k=n, sample_weight=weight)
    assert_allclose(result.eigenvalues, largest(H, n), atol=1e-8)
    assert_allclose(result.eigenvectors.T @ result.eigenvectors, np.eye(n), atol=1e-10)
    assert result.trace == pytest.approx(result.eigenvalues.sum())


class TestNetworks:
    @pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
    def test_the_hessian_is_that_of_a_slow_network(self, activation, digits):
        X, y = digits[0][:40], digits[1][:40]
        model = MiniBatchMLPClassifier((3,), activation, alpha=0.02, max_iter=3, tol=None, random_state=0).fit(X, y)
        H = slow_hessian(net_of(model), X, y, "softmax", activation, alpha=0.02)
        result = hessian_spectrum(model, X, y, k=len(H))
        assert_allclose(result.eigenvalues, largest(H, len(H)), atol=1e-6)
        assert_allclose(H @ result.eigenvectors, result.eigenvalues * result.eigenvectors, atol=1e-6)
        assert result.converged.all()

    def test_kinks_of_relu_near_the_parameters_are_not_in_the_differences(self):
        """Of 40000 inputs to units, dozens have their kink within a thousandth of a percent."""
        X, y = load_digits(return_X_y=True)
        model = MiniBatchMLPClassifier((22,), "relu", max_iter=2, tol=None, random_state=0).fit(X, y)
        assert hessian_spectrum(model, X, y, n_probes=2, random_state=0).converged.all()

    def test_batch_normalization_keeps_its_running_statistics(self, digits):
        X, y = digits[0][:40], digits[1][:40].astype(float)
        model = MiniBatchMLPRegressor(
            "squared_error", (3,), "tanh", alpha=0.0, batch_normalization=True, max_iter=3, tol=None, random_state=0
        ).fit(X, y)
        H = slow_hessian(net_of(model), X, y[:, None], "squared_error", "tanh", alpha=0.0)
        result = hessian_spectrum(model, X, y, k=len(H))
        assert result.n_parameters == 6 * 3 + 3 + 3 + 1 + 3
        assert_allclose(result.eigenvalues, largest(H, len(H)), atol=1e-6)
        assert_allclose(H @ result.eigenvectors, result.eigenvalues * result.eigenvectors, atol=1e-6)

    def test_lanczos_finds_what_the_whole_matrix_has(self, digits, monkeypatch):
        model = MiniBatchMLPClassifier((16,), "tanh", max_iter=20, tol=None, random_state=0).fit(*digits)
        few = hessian_spectrum(model, *digits, random_state=0)
        monkeypatch.setattr(_hessian, "_DENSE", 1000)
        whole = hessian_spectrum(model, *digits)
        assert (few.method, whole.method, few.n_parameters) == ("lanczos", "dense", 163)
        assert whole.smallest < -1e-4  # not at a minimum
        assert_allclose(few.eigenvalues, whole.eigenvalues, rtol=1e-6)
        assert -1e-9 < few.smallest - whole.smallest < 1e-4 * whole.eigenvalues[0]
        assert abs(few.trace - whole.trace) < 4 * few.trace_error
        assert_allclose(np.abs(few.eigenvectors.T @ whole.eigenvectors), np.eye(5), atol=1e-4)
        assert few.converged.all()


class TestLanczosAndTheTrace:
    def test_eigenvalues_are_those_of_the_second_moments(self, wide):
        X, y = wide
        model = fitted(LEAST_SQUARES, X, y, fit_intercept=False)
        H = X.T @ X / len(X)
        result = hessian_spectrum(model, X, y, random_state=0)
        assert result.method == "lanczos"
        assert_allclose(result.eigenvalues, largest(H, 5), rtol=1e-7)
        assert -1e-8 < result.smallest - np.linalg.eigvalsh(H)[0] < 1e-4 * result.eigenvalues[0]
        assert (result.residuals < 1e-5).all()
        assert hessian_spectrum(model, X, y, k=38).method == "dense"  # many take the whole matrix

    def test_the_error_of_the_trace_is_that_of_hutchinsons_formula(self, wide):
        X, y = wide
        H = X.T @ X / len(X)
        result = hessian_spectrum(
            fitted(LEAST_SQUARES, X, y, fit_intercept=False), X, y, k=3, n_probes=3000, random_state=0
        )
        P = np.eye(150) - result.eigenvectors @ result.eigenvectors.T
        rest = P @ H @ P
        variance = 2 * ((rest**2).sum() - (np.diag(rest) ** 2).sum())
        # a sample variance of 3000 has a relative error of about sqrt(2 / 3000) = 0.026
        assert result.trace_error == pytest.approx(np.sqrt(variance / 3000), rel=0.06)
        assert abs(result.trace - np.trace(H)) < 4 * result.trace_error
        assert result.trace == pytest.approx(np.trace(H), rel=5e-3)

    def test_any_probe_gives_the_trace_of_a_diagonal_matrix(self):
        h = np.geomspace(0.1, 10.0, 140)
        X = np.diag(np.sqrt(140 * h))
        model = fitted(LEAST_SQUARES, X, np.zeros(140), fit_intercept=False)
        result = hessian_spectrum(model, X, np.zeros(140), n_probes=2, random_state=1)
        assert result.method == "lanczos"
        assert_allclose(result.eigenvalues, h[::-1][:5], rtol=1e-6)
        assert result.trace == pytest.approx(h.sum(), rel=1e-6)

    def test_eigenvalues_that_coincide_are_counted(self):
        """Three directions have curvature, 147 have none."""
        X = np.zeros((6, 150))
        X[[0, 1, 2], [3, 70, 149]] = np.sqrt(6.0 * np.array([5.0, 5.0, 1.0]))
        model = fitted(LEAST_SQUARES, X, np.zeros(6), fit_intercept=False)
        result = hessian_spectrum(model, X, np.zeros(6), random_state=0)
        assert_allclose(result.eigenvalues, [5.0, 5.0, 1.0, 0.0, 0.0], atol=1e-6)
        assert result.converged.all()
        assert result.smallest == pytest.approx(0.0, abs=1e-6)

    def test_eigenvalues_far_below_the_largest_need_not_be_told_apart(self):
        h = np.append([5.0, 4.0, 1.0], np.linspace(1e-8, 2e-8, 147))
        X = np.diag(np.sqrt(150 * h))
        model = fitted(LEAST_SQUARES, X, np.zeros(150), fit_intercept=False)
        result = hessian_spectrum(model, X, np.zeros(150), random_state=0)
        assert_allclose(result.eigenvalues, [5.0, 4.0, 1.0, 0.0, 0.0], atol=1e-6)
        assert abs(result.smallest) < 5e-4

    def test_the_smallest_is_found_among_many_zeros(self):
        """What all classes have in common changes no probability."""
        X, y = load_digits(return_X_y=True)
        model = fitted(LOGISTIC, X / 16, y, multi_class="multinomial", penalty=None)
        result = hessian_spectrum(model, X / 16, y, k=2, n_probes=2, random_state=0)
        assert -1e-8 < result.smallest < 1e-4 * result.eigenvalues[0]

    def test_a_matrix_of_zeros_has_them_for_eigenvalues(self, wide):
        X, y = wide
        model = fitted(LOGISTIC, X, y > 0, loss="hinge", penalty=None, learning_rate="constant", eta0=1e-3)
        result = hessian_spectrum(model, X, y > 0, n_probes=2, random_state=0)
        assert not np.any([*result.eigenvalues, result.smallest, result.trace])
        assert result.converged.all()


class TestFlags:
    def test_eigenvalues_that_were_not_found_are_nan_and_said_so(self, wide, monkeypatch):
        monkeypatch.setattr(_eigenvalues, "_RESTARTS", 1)
        model = fitted(LEAST_SQUARES, *wide, fit_intercept=False)
        result = hessian_spectrum(model, *wide, random_state=0)
        missing = np.isnan(result.eigenvalues)
        assert missing.any()
        assert not result.converged[missing].any()
        assert np.isnan(result.residuals[missing]).all()
        assert (np.sort(missing) == missing).all()
        assert abs(result.trace - (wide[0] ** 2).sum() / 300) < 5 * result.trace_error
        assert "not converged: kinks" in repr(result)

    def test_a_row_right_at_the_kink_of_the_hinge_is_seen(self):
        X, y = np.array([[1.0], [-3.0], [2.5]]), np.array([1, 0, 1])
        model = MiniBatchSGDClassifier("hinge", fit_intercept=False, max_iter=1, tol=None).fit(X, y)
        for weight, converged in ((1.0, False), (1.1, True)):
            model.coef_[:] = weight
            assert hessian_spectrum(model, X, y, k=1).converged[0] == converged


class TestEdgeOfStability:
    @pytest.mark.parametrize(("solver", "factor"), [("sgd", 2.0), ("momentum", 2 * 1.9), ("nesterov", 2 * 1.9 / 2.8)])
    def test_full_batches_converge_below_it_and_diverge_above(self, solver, factor, cancer):
        X, y = cancer
        full = {"solver": solver, "momentum": 0.9, "batch_size": "full", "max_iter": 200, "tol": None}
        curvature = hessian_spectrum(fitted(LEAST_SQUARES, X, y), X, y, k=1).eigenvalues[0]
        below, above = (fitted(LEAST_SQUARES, X, y, eta0=share * factor / curvature, **full) for share in (0.95, 1.05))
        assert hessian_spectrum(below, X, y).edge_of_stability == pytest.approx(curvature / 0.95)
        losses = [model.history_["progressive_loss"] for model in (below, above)]
        assert losses[0][-1] < losses[0][0]
        assert not losses[1][-1] < 1e3 * losses[1][0]

    @pytest.mark.parametrize(
        ("parameters", "solver", "factor"),
        [
            ({}, "nesterov", 3.8 / 2.8),
            ({"nesterovs_momentum": False}, "momentum", 3.8),
            ({"momentum": 0.0}, "sgd", 2.0),
        ],
    )
    def test_a_networks_sgd_has_momentum(self, parameters, solver, factor, digits):
        model = MiniBatchMLPClassifier(
            (2,), solver="sgd", learning_rate="constant", learning_rate_init=0.05, max_iter=1, **parameters
        )
        result = hessian_spectrum(model.fit(*digits), *digits, k=1)
        assert (result.solver, result.learning_rate) == (solver, 0.05)
        assert result.edge_of_stability == pytest.approx(factor / 0.05)
        assert f"{solver} at learning rate 0.05: {factor / 0.05:.4g}" in repr(result)

    @pytest.mark.parametrize("solver", ["adam", "lbfgs"])
    def test_other_solvers_have_none(self, solver, digits):
        model = MiniBatchMLPClassifier((2,), solver=solver, max_iter=2).fit(*digits)
        result = hessian_spectrum(model, *digits, k=1)
        assert np.isnan(result.edge_of_stability)
        assert np.isnan(result.learning_rate) == (solver == "lbfgs")
        assert f"solver '{solver}' has no edge of stability" in result._repr_html_().replace("&#x27;", "'")

    def test_the_rate_is_that_of_the_last_epoch(self, cancer):
        model = fitted(LEAST_SQUARES, *cancer, learning_rate="invscaling", max_iter=5)
        assert hessian_spectrum(model, *cancer).learning_rate == model.history_["learning_rate"][-1] < 1e-3


class TestData:
    def test_weights_are_repetitions(self, cancer):
        X, y = cancer[0][:60], cancer[1][:60]
        times = np.arange(60) % 3
        model = fitted(LOGISTIC, *cancer)
        weighted = hessian_spectrum(model, X, y, sample_weight=times)
        repeated = hessian_spectrum(model, np.repeat(X, times, axis=0), np.repeat(y, times))
        assert_allclose(weighted.eigenvalues, repeated.eigenvalues, atol=1e-9)

    @pytest.mark.parametrize("estimator", [LOGISTIC, MiniBatchMLPClassifier((3,), "tanh", max_iter=3, random_state=0)])
    def test_sparse_rows_and_float32_and_pipelines_have_the_spectrum(self, estimator, cancer):
        X, y = cancer
        X = np.where(np.abs(X) > 1, X, 0.0)
        model = fitted(estimator, X, y)
        expected = hessian_spectrum(model, X, y).eigenvalues
        assert_allclose(hessian_spectrum(model, sp.csr_array(X), y).eigenvalues, expected, rtol=1e-7)
        shifted = make_pipeline(StandardScaler(with_std=False), copy.deepcopy(model))
        shifted[0].fit(X)
        assert_allclose(hessian_spectrum(shifted, X + X.mean(axis=0), y).eigenvalues, expected, rtol=1e-7)
        single = fitted(estimator, X.astype(np.float32), y)
        result = hessian_spectrum(single, X.astype(np.float32), y)
        assert_allclose(result.eigenvalues, expected, rtol=1e-4)
        assert result.residuals.max() < 1e-7  # computed in float64

    def test_the_model_and_the_global_seed_stay_as_they_are(self, wide):
        model = fitted(LEAST_SQUARES, *wide)
        before, state = pickle.dumps(model), np.random.get_state()[1].copy()  # noqa: NPY002
        hessian_spectrum(model, *wide)
        assert pickle.dumps(model) == before
        assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
        one, other = (hessian_spectrum(model, *wide, random_state=3) for _ in range(2))
        assert one.trace == other.trace
        assert_array_equal(one.eigenvalues, other.eigenvalues)


class TestResult:
    def test_it_shows_itself(self, cancer):
        result = pickle.loads(pickle.dumps(hessian_spectrum(fitted(LEAST_SQUARES, *cancer), *cancer, k=3)))
        assert "3 largest of 9 eigenvalues (dense)" in repr(result)
        assert f"{result.eigenvalues[0]:.3g}" in repr(result)
        assert result._repr_html_().count("<tr>") == 4
        pytest.importorskip("pandas")
        assert list(result.to_frame()) == ["rank", "eigenvalue", "residual", "converged"]


class TestWrongInput:
    def test_a_model_that_is_not_fitted_or_foreign(self, cancer):
        with pytest.raises(NotFittedError, match="MiniBatchSGDRegressor is not fitted"):
            hessian_spectrum(MiniBatchSGDRegressor(), *cancer)
        with pytest.raises(TypeError, match="StandardScaler"):
            hessian_spectrum(StandardScaler().fit(cancer[0]), *cancer)

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"k": 0}, "'k' parameter of hessian_spectrum must be an int in the range"),
            ({"k": 10}, "k must be at most the number of trained parameters, 9; got k=10"),
            ({"k": 2.5}, "'k' parameter"),
            ({"n_probes": 1}, "'n_probes' parameter"),
            ({"random_state": "a"}, "'random_state' parameter"),
            ({"sample_weight": -np.ones(569)}, "Negative values in data passed to `sample_weight`"),
        ],
    )
    def test_a_parameter_out_of_range_is_named(self, setting, message, cancer):
        with pytest.raises(ValueError, match=message):
            hessian_spectrum(fitted(LEAST_SQUARES, *cancer), *cancer, **setting)

    def test_rows_of_another_width(self, cancer):
        with pytest.raises(ValueError, match="X has 2 features, but MiniBatchSGDRegressor is expecting 8"):
            hessian_spectrum(fitted(LEAST_SQUARES, *cancer), cancer[0][:, :2], cancer[1])

    def test_a_gradient_that_overflows(self, cancer, monkeypatch):
        network = MiniBatchMLPRegressor(hidden_layer_sizes=(2,), max_iter=1, random_state=0).fit(*cancer)
        monkeypatch.setattr(TrainedObjective, "gradient", lambda self, trained: np.full_like(trained, np.inf))
        with pytest.raises(ValueError, match=r"The gradient is not finite within .* scale X with StandardScaler"):
            hessian_spectrum(network, *cancer)


def test_a_small_model_has_fewer_eigenvalues_than_the_default():
    model = MiniBatchSGDRegressor(fit_intercept=False, max_iter=2, tol=None).fit(np.eye(4)[:, :2], np.arange(4.0))
    assert len(hessian_spectrum(model, np.eye(4)[:, :2], np.arange(4.0)).eigenvalues) == 2
