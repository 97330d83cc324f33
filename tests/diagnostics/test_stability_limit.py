"""The largest stable rate: dense second moments, closed forms, training on both sides of it, what it refuses."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import _eigenvalues, _stability, hessian_spectrum, stability_limit

SOLVERS = [("sgd", 0.9), ("momentum", 0.5), ("momentum", 0.9), ("nesterov", 0.5), ("nesterov", 0.9)]
every_solver = pytest.mark.parametrize(("solver", "momentum"), SOLVERS)
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.standard_normal((12, 3)), RANDOM.standard_normal(12)
WEIGHTS = RANDOM.uniform(0.1, 2.0, 12)


def least_squares(**parameters):
    given = {"alpha": 0, "penalty": None, "fit_intercept": False, **parameters}
    return MiniBatchSGDRegressor(**given)


def update_matrix(H, rate, solver, momentum):
    """Of (w, v), for a batch with this Hessian."""
    eye = np.eye(len(H))
    if solver == "nesterov":
        after = [eye - rate * (1 + momentum) * H, -rate * momentum**2 * eye]
    else:
        momentum = 0.0 if solver == "sgd" else momentum
        after = [eye - rate * H, -rate * momentum * eye]
    return np.block([after, [H, momentum * eye]])


def dense_limit(hessians, penalty, batch_size, solver, momentum):
    """Where the spectral radius of E[A kron A] is 1, for batches of rows with these Hessians, with replacement."""

    def radius(rate):
        matrices = [update_matrix(H + penalty, rate, solver, momentum) for H in hessians]
        mean = np.mean(matrices, axis=0)
        noise = np.mean([np.kron(A - mean, A - mean) for A in matrices], axis=0)
        return np.abs(np.linalg.eigvals(np.kron(mean, mean) + noise / batch_size)).max()

    largest = np.linalg.eigvalsh(np.mean(hessians, axis=0) + penalty)[-1]
    rates = np.geomspace(1e-2, 4, 60) / largest
    first = np.argmax([radius(rate) > 1 + 1e-9 for rate in rates])  # the first, should there be several
    return brentq(lambda rate: radius(rate) - 1 - 1e-12, rates[first - 1], rates[first])


def outer_products(rows):
    return np.einsum("ij,ik->ijk", rows, rows)


class TestAgainstDenseSecondMoments:
    @every_solver
    @pytest.mark.parametrize("batch_size", [1, 3, 8])
    def test_least_squares(self, solver, momentum, batch_size):
        model = least_squares(solver=solver, momentum=momentum, batch_size=batch_size)
        expected = dense_limit(outer_products(X), np.zeros((3, 3)), batch_size, solver, momentum)
        found = stability_limit(model, X, Y)
        assert_allclose(found, expected, rtol=1e-4)
        assert found.exact
        assert found < found.full_batch

    @every_solver
    def test_l2_intercept_and_weights(self, solver, momentum):
        model = MiniBatchSGDRegressor(alpha=0.3, solver=solver, momentum=momentum, batch_size=2)
        rows = np.column_stack([X, np.ones(12)]) * np.sqrt(WEIGHTS / WEIGHTS.mean())[:, None]
        expected = dense_limit(outer_products(rows), np.diag([0.3, 0.3, 0.3, 0]), 2, solver, momentum)
        assert_allclose(stability_limit(model, X, Y, sample_weight=WEIGHTS), expected, rtol=1e-4)

    @every_solver
    def test_logistic_regression_where_it_was_fitted(self, solver, momentum):
        model = MiniBatchSGDClassifier(
            "log_loss", alpha=0.01, solver=solver, momentum=momentum, batch_size=4, max_iter=20, tol=None
        )
        model.set_params(learning_rate="constant", eta0=0.1, random_state=0).fit(X, Y > 0)
        p = model.predict_proba(X)[:, 1]
        rows = np.column_stack([X, np.ones(12)]) * np.sqrt(p * (1 - p))[:, None]
        expected = dense_limit(outer_products(rows), np.diag([0.01, 0.01, 0.01, 0]), 4, solver, momentum)
        assert_allclose(stability_limit(model, X, Y > 0), expected, rtol=1e-4)

    def test_one_against_the_rest_has_the_lowest_limit_of_its_classes(self):
        X, y = (part[::4] for part in load_iris(return_X_y=True))
        X, class_weight = scale(X[:, 2:]), {0: 1, 1: 5, 2: 0.2}
        model = MiniBatchSGDClassifier("log_loss", batch_size=2, class_weight=class_weight, max_iter=5, tol=None)
        model.set_params(learning_rate="constant", random_state=0).fit(X, y)
        p, limits = 1 / (1 + np.exp(-model.decision_function(X))), []
        for k in range(3):
            s = np.where(y == k, class_weight[k], 1.0)
            rows = np.column_stack([X, np.ones(len(X))]) * np.sqrt(s / s.mean() * p[:, k] * (1 - p[:, k]))[:, None]
            limits.append(dense_limit(outer_products(rows), 1e-4 * np.diag([1, 1, 0]), 2, "sgd", 0))
        assert np.ptp(limits) > 0.1 * min(limits)
        assert_allclose(stability_limit(model, X, y), min(limits), rtol=1e-4)

    @every_solver
    def test_large_matrices_go_to_lanczos(self, solver, momentum, monkeypatch):
        wide = np.random.default_rng(1).standard_normal((40, 9)) * np.linspace(0.3, 1, 9)
        model = least_squares(solver=solver, momentum=momentum, batch_size=3)
        by_lanczos = stability_limit(model, wide, np.ones(40))
        monkeypatch.setattr(_eigenvalues, "_SMALL", 1000)
        assert_allclose(by_lanczos, stability_limit(model, wide, np.ones(40)), rtol=1e-4)


class TestClosedForms:
    @pytest.mark.parametrize(
        ("solver", "factor"), [("sgd", 2), ("momentum", 2 * 1.9), ("nesterov", 2 * 1.9 / 2.8)], ids=lambda x: str(x)
    )
    def test_full_batches(self, solver, factor):
        largest = np.linalg.eigvalsh(X.T @ X / 12)[-1]
        found = stability_limit(least_squares(solver=solver, momentum=0.9, batch_size="full"), X, Y)
        assert_allclose(found, factor / largest, rtol=1e-6)
        assert_allclose([found.full_batch, found.curvature], [found, largest], rtol=1e-6)

    @pytest.mark.parametrize("batch_size", [1, 4, 32])
    def test_gaussian_rows_of_one_variance(self, batch_size):
        """2 B / (B + d + 1); the sample's fourth moments are off by about sqrt(d / n)."""
        d, n = 6, 40_000
        rows = np.random.default_rng(2).standard_normal((n, d))
        found = stability_limit(least_squares(batch_size=batch_size), rows, np.ones(n))
        assert_allclose(found, 2 * batch_size / (batch_size + d + 1), rtol=0.02)

    @pytest.mark.parametrize("batch_size", [1, 8])
    def test_gaussian_rows_of_several_variances(self, batch_size):
        """sum_i eta h_i / (B (2 - eta h_i (1 + 1 / B))) = 1."""
        h, n, B = np.array([2.0, 1.0, 0.5, 0.1]), 40_000, batch_size
        rows = np.random.default_rng(3).standard_normal((n, 4)) * np.sqrt(h)
        last = 2 / (h[0] * (1 + 1 / B)) * (1 - 1e-9)
        expected = brentq(lambda eta: (eta * h / (B * (2 - eta * h * (1 + 1 / B)))).sum() - 1, 1e-6, last)
        assert_allclose(stability_limit(least_squares(batch_size=B), rows, np.ones(n)), expected, rtol=0.02)

    def test_rows_that_are_all_the_same_make_no_noise(self):
        rows = np.tile([[1.0, 2.0]], (10, 1))
        assert_allclose(stability_limit(least_squares(batch_size=1), rows, np.ones(10)), 2 / 5, rtol=1e-4)

    @every_solver
    def test_larger_batches_bear_higher_rates(self, solver, momentum):
        model = least_squares(solver=solver, momentum=momentum)
        limits = [stability_limit(model.set_params(batch_size=size), X, Y) for size in (1, 2, 4, 8, "full")]
        assert (np.diff(limits) > 0).all()

    def test_the_rate_a_row_of_plain_descent_falls_with_the_batch(self):
        sizes = np.array([1, 2, 4, 8])
        limits = np.array([stability_limit(least_squares(batch_size=int(size)), X, Y) for size in sizes])
        assert (np.diff(limits / sizes) < 0).all()


class TestTraining:
    @pytest.mark.parametrize(("solver", "momentum"), [("sgd", 0), ("momentum", 0.8), ("nesterov", 0.8)])
    def test_it_contracts_below_and_runs_away_above(self, solver, momentum):
        """In so many directions a run is like the mean of all runs, and 10 of 3000 rows are like independent ones."""
        random = np.random.default_rng(4)
        rows, w = random.standard_normal((3000, 80)), random.standard_normal(80)
        model = least_squares(
            solver=solver, momentum=momentum, batch_size=10, learning_rate="constant", max_iter=8, tol=None
        ).set_params(random_state=0)
        limit = stability_limit(model, rows, rows @ w)
        assert limit < 0.5 * limit.full_batch
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it does diverge
            below, above = (
                model.set_params(eta0=float(share * limit)).fit(rows, rows @ w).history_["progressive_loss"]
                for share in (0.93, 1.07)
            )
        assert below[-1] < 1e-2 * below[0]
        assert above[-1] > 1e2 * above[0]


class TestWhereTheLimitIsOfFullBatches:
    @pytest.mark.parametrize(("momentum", "nesterov"), [(0, True), (0.8, False), (0.8, True)])
    def test_networks(self, momentum, nesterov):
        X, y = load_digits(return_X_y=True)
        X, y = X[:100] / 16, y[:100]
        net = MiniBatchMLPClassifier((5,), activation="tanh", solver="sgd", momentum=momentum, max_iter=3, tol=None)
        net.set_params(nesterovs_momentum=nesterov, random_state=0, batch_size=20).fit(X, y)
        curvature = hessian_spectrum(net, X, y, k=1, random_state=0).eigenvalues[0]
        factor = 2 * (1 + momentum) / (1 + 2 * momentum if nesterov else 1)
        found = stability_limit(net, X, y)
        assert_allclose([found, found.curvature], [factor / curvature, curvature], rtol=1e-3)
        assert not found.exact
        assert found.solver == ("sgd" if momentum == 0 else "nesterov" if nesterov else "momentum")
        assert "an upper bound: the noise of batches of 20 lowers it" in repr(found)
        assert stability_limit(net.set_params(batch_size="full"), X, y).exact

    def test_softmax(self):
        X, y = load_iris(return_X_y=True)
        model = MiniBatchSGDClassifier("log_loss", multi_class="multinomial", batch_size=4, alpha=0.1)
        found = stability_limit(model, scale(X), y)
        A = np.column_stack([scale(X), np.ones(150)])
        H = np.kron(np.eye(3) / 3 - 1 / 9, A.T @ A / 150) + np.kron(np.eye(3), 0.1 * np.diag([1, 1, 1, 1, 0]))
        assert not found.exact
        assert_allclose(found, 2 / np.linalg.eigvalsh(H)[-1], rtol=1e-6)

    def test_data_that_are_too_large(self, monkeypatch):
        monkeypatch.setattr(_stability, "_MOST_WORK", 107)  # 12 * 3**2 is 108
        assert not stability_limit(least_squares(batch_size=2), X, Y).exact


class TestNoCurvature:
    def test_features_that_are_zero_or_repeated_change_nothing(self):
        model = least_squares(batch_size=2)
        assert_allclose(stability_limit(model, np.column_stack([X, np.zeros(12)]), Y), stability_limit(model, X, Y))
        doubled = np.column_stack([X, X]) / np.sqrt(2)
        assert_allclose(stability_limit(model, doubled, Y), stability_limit(model, X, Y), rtol=1e-4)

    @pytest.mark.parametrize("batch_size", [2, "full"])
    def test_nothing_but_zeros_has_no_limit(self, batch_size):
        assert stability_limit(least_squares(batch_size=batch_size), np.zeros((12, 3)), Y) == np.inf

    @pytest.mark.parametrize("loss", ["hinge", "perceptron", "epsilon_insensitive"])
    def test_losses_of_straight_pieces_have_the_limit_of_the_penalty(self, loss):
        model = MiniBatchSGDClassifier(loss, penalty=None, batch_size=2)
        assert stability_limit(model, X, Y > 0) == np.inf
        assert_allclose(stability_limit(model.set_params(penalty="l2", alpha=0.5), X, Y > 0), 4.0)

    def test_l1_changes_nothing(self):
        model = least_squares(batch_size=2, penalty="l1", alpha=0.5)
        assert_allclose(stability_limit(model, X, Y), stability_limit(least_squares(batch_size=2), X, Y), rtol=1e-6)


class TestUse:
    def test_it_is_a_number_that_can_be_shown_and_stored(self):
        found = stability_limit(least_squares(batch_size=2, solver="momentum", momentum=0.5), X, Y)
        assert isinstance(found / 10, float)
        assert repr(found).startswith(
            f"Largest stable rate of momentum (momentum 0.5), batches of 2: {found:.3g} (full "
        )
        assert "<table" in found._repr_html_()
        again = pickle.loads(pickle.dumps(found))
        assert again == found
        assert vars(again) == vars(found)
        assert (found.solver, found.momentum, found.batch_size) == ("momentum", 0.5, 2)

    def test_sparse_rows_and_several_targets(self):
        model, expected = least_squares(batch_size=2), stability_limit(least_squares(batch_size=2), X, Y)
        assert_allclose(stability_limit(model, sp.csr_array(X), Y), expected)
        assert_allclose(stability_limit(model, X, np.column_stack([Y, -Y])), expected)

    def test_a_pipeline_transforms_the_rows(self):
        model = least_squares(batch_size=3)
        pipeline = make_pipeline(StandardScaler(), model)
        with pytest.raises(NotFittedError):
            stability_limit(pipeline, X, Y)
        pipeline.fit(X, Y)
        assert_allclose(stability_limit(pipeline, X, Y), stability_limit(model, scale(X), Y))

    @pytest.mark.parametrize("rate", [0.01, "auto"])
    def test_nothing_is_moved(self, rate):
        model = least_squares(batch_size=0.25, eta0=rate)
        before, state = model.get_params(), np.random.get_state()[1].copy()  # noqa: NPY002
        assert stability_limit(model, X, Y).batch_size == 3
        assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
        assert model.get_params() == before
        assert vars(model).keys() == vars(clone(model)).keys()

    @pytest.mark.parametrize("solver", ["adagrad", "rmsprop", "adam", "adamw"])
    def test_solvers_that_scale_the_gradient_are_refused(self, solver):
        with pytest.raises(ValueError, match=rf"solver must be 'sgd', 'momentum' or 'nesterov'; got '{solver}', which"):
            stability_limit(least_squares(solver=solver), X, Y)

    @pytest.mark.parametrize("solver", ["adam", "lbfgs"])
    def test_those_of_networks_too(self, solver):
        with pytest.raises(ValueError, match=rf"solver must be 'sgd'; got '{solver}', which"):
            stability_limit(MiniBatchMLPRegressor(solver=solver), X, Y)

    def test_other_estimators_are_refused(self):
        with pytest.raises(TypeError, match="estimator must be an estimator of minibatch"):
            stability_limit(SGDRegressor(), X, Y)
