"""norm_test of adaptive solvers: scaled and coordinate-wise tests against loops over rows and the solvers' formulas."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.base import clone

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import norm_test
from minibatch.diagnostics._norm_test_adaptive import norm_tests_by_parameter, scales_of
from minibatch.diagnostics._objective import trained_objective

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((80, 4)) * [5.0, 1.0, 1.0, 0.2]
Y = X @ np.ones(4) + RANDOM.standard_normal(80)
SGD = MiniBatchSGDRegressor(
    solver="adam", alpha=0.1, learning_rate="constant", eta0=0.05, batch_size=20, max_iter=2, tol=None, random_state=0
)


@pytest.fixture(scope="module")
def adam():
    return clone(SGD).fit(X, Y)


def gradients_of(model):
    """Of single rows, and of the penalty."""
    A = np.column_stack([X, np.ones(80)])
    return (model.predict(X) - Y)[:, None] * A, np.append(model.alpha * model.coef_, 0.0)


def slow_scales(solver, gradients_along, epsilon=1e-8, beta_2=0.999):
    """From the gradients of all updates."""
    squares = np.array(gradients_along) ** 2
    if solver == "adagrad":
        return np.sqrt(squares.sum(axis=0)) + epsilon
    mean = np.zeros(squares.shape[1])
    for square in squares:
        mean += (1 - beta_2) * (square - mean)
    return np.sqrt(mean if solver == "rmsprop" else mean / (1 - beta_2 ** len(squares))) + epsilon


class TestScales:
    @pytest.mark.parametrize("solver", ["adagrad", "rmsprop", "adam", "adamw"])
    def test_they_are_what_the_solver_divides_by(self, solver):
        """Full batches, whose gradients are known from the models after every update."""
        model = clone(SGD).set_params(solver=solver, batch_size="full", alpha=0.0, max_iter=4)
        along = []
        for n_updates in range(4):
            if n_updates == 0:
                w = np.zeros(5)
            else:
                fitted = clone(model).set_params(max_iter=n_updates).fit(X, Y)
                w = np.append(fitted.coef_, fitted.intercept_)
            A = np.column_stack([X, np.ones(80)])
            along.append(A.T @ (A @ w - Y) / 80)
        with trained_objective(model.fit(X, Y), X, Y) as objective:
            assert_allclose(scales_of(objective), slow_scales(solver, along), rtol=1e-9)

    def test_other_solvers_have_none(self):
        for solver in ("sgd", "momentum", "nesterov", "schedule_free_sgd"):
            found = norm_test(clone(SGD).set_params(solver=solver, eta0=0.001).fit(X, Y), X, Y, random_state=0)
            assert found.adaptive is None
            assert "scales" not in repr(found)

    def test_nor_has_one_that_did_not_train_the_model(self, adam):
        changed = pickle.loads(pickle.dumps(adam)).set_params(solver="rmsprop")
        assert norm_test(changed, X, Y, random_state=0).adaptive is None


class TestTests:
    def test_they_are_those_of_the_definitions(self, adam):
        """On all rows, so that the batch is known; by hand in the parameters ``sqrt(d) w``."""
        gradients, penalty = gradients_of(adam)
        with trained_objective(adam, X, Y) as objective:
            d = scales_of(objective)
        found = norm_test(adam, X, Y, batch_size=80, theta=0.5).adaptive
        g, variances = gradients.mean(axis=0) + penalty, np.var(gradients, axis=0, ddof=1)
        in_scaled = np.cov((gradients / np.sqrt(d)).T)
        signal = np.sum((g / np.sqrt(d)) ** 2)
        assert found.theta_scaled == pytest.approx(np.sqrt(np.trace(in_scaled) / 80 / signal), rel=1e-9)
        assert found.suggested_batch_size == min(80, np.ceil(np.trace(in_scaled) / signal / 0.25))
        assert found.theta_coordinates == pytest.approx(np.sqrt(np.max(variances / g**2) / 80), rel=1e-9)
        assert found.coordinate_batch_size == min(80, np.ceil(np.median(variances / g**2) / 0.25))

    def test_scales_of_one_size_leave_the_norm_test(self):
        random = np.random.default_rng(1)
        gradient, variances = random.standard_normal(6), random.uniform(1, 2, 6)
        found = norm_tests_by_parameter(gradient, variances, np.full(6, 7.0), 10, 1000, 0.9)
        assert found.theta_scaled == pytest.approx(np.sqrt(variances.sum() / 10 / (gradient @ gradient)))

    @given(st.integers(0, 1000), st.floats(0.1, 10))
    def test_no_unit_of_a_parameter_matters(self, seed, unit):
        """A parameter in other units has gradients, their roots of squares and so its scale in these too: what is left
        is its scale, once."""
        random = np.random.default_rng(seed)
        gradient, variances, units = random.standard_normal(4), random.uniform(1, 2, 4), np.array([unit, 1, 1, 1])
        plain = norm_tests_by_parameter(gradient, variances, np.ones(4), 10, 1000, 0.9)
        # coordinate-wise: not at all
        other = norm_tests_by_parameter(gradient * units, variances * units**2, units, 10, 1000, 0.9)
        assert other.theta_coordinates == pytest.approx(plain.theta_coordinates)
        assert other.share_passing == plain.share_passing
        # scaled: by the first power, where the norm test goes by the second
        noise, signal = np.sum(variances * units), np.sum(gradient**2 * units)
        assert other.theta_scaled == pytest.approx(np.sqrt(noise / signal / 10))

    def test_the_suggested_size_is_the_least_that_passes(self):
        gradient, variances, scales = np.array([1.0, 0.1]), np.array([4.0, 9.0]), np.array([1.0, 3.0])
        suggested = norm_tests_by_parameter(gradient, variances, scales, 5, 10**6, 0.5).suggested_batch_size
        for size, passes in ((suggested, True), (suggested - 1, False)):
            assert (
                norm_tests_by_parameter(gradient, variances, scales, size, 10**6, 0.5).passes["theta_scaled"] == passes
            )

    def test_the_share_that_passes_is_counted(self):
        gradient, variances = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 100.0, 1.0, 0.0])
        found = norm_tests_by_parameter(gradient, variances, np.ones(4), 10, 1000, 0.9)
        assert found.share_passing == 0.5  # the first, and the one without noise
        assert found.theta_coordinates == np.inf
        assert not found.passes["theta_coordinates"]
        assert found.coordinate_batch_size == np.ceil(100 / 0.81)

    def test_a_batch_of_all_rows_passes(self, adam):
        found = norm_test(adam, X, Y, batch_size=80, theta=1e-6).adaptive
        assert found.passes == {"theta_scaled": True, "theta_coordinates": True}
        assert found.share_passing == 1.0

    def test_the_batch_is_that_of_the_other_tests(self, adam):
        """The same rows: without penalty and scales of one size the sum of the variances is the trace."""
        model = clone(SGD).set_params(solver="adagrad", adam_epsilon=1e12, alpha=0.0).fit(X, Y)
        found = norm_test(model, X, Y, random_state=3)
        assert found.adaptive.theta_scaled == pytest.approx(found.theta_norm, rel=1e-6)
        assert found.adaptive.suggested_batch_size == found.suggested_batch_size

    def test_neither_gradient_nor_noise(self):
        found = norm_tests_by_parameter(np.zeros(3), np.zeros(3), np.ones(3), 10, 100, 0.9)
        assert np.isnan([found.theta_scaled, found.suggested_batch_size]).all()
        assert found.share_passing == 1.0
        assert not found.passes["theta_scaled"]
        noise = norm_tests_by_parameter(np.zeros(3), np.ones(3), np.ones(3), 10, 100, 0.9)
        assert noise.theta_scaled == np.inf
        assert noise.suggested_batch_size == 100


class TestModels:
    def test_networks_and_sparse_rows(self):
        network = MiniBatchMLPRegressor(
            hidden_layer_sizes=(3,), learning_rate="constant", batch_size=20, max_iter=3, tol=None, random_state=0
        ).fit(X, Y)
        found = norm_test(network, X, Y, random_state=0)
        assert found.adaptive.theta_scaled > 0.0
        rows = np.where(np.abs(X) > 0.3, X, 0.0)
        model = MiniBatchSGDClassifier(
            "log_loss", solver="adam", learning_rate="constant", random_state=0, max_iter=3, tol=None
        )
        dense, sparse = (
            norm_test(clone(model).fit(form, Y > 0), form, Y > 0, random_state=0).adaptive
            for form in (rows, sp.csr_matrix(rows))
        )
        assert sparse.theta_scaled == pytest.approx(dense.theta_scaled, rel=1e-6)

    def test_a_network_is_its_rows_one_by_one(self):
        """The variances of its parameters add up to the trace that comes without forming gradients."""
        network = MiniBatchMLPRegressor(
            hidden_layer_sizes=(3,), learning_rate="constant", epsilon=1e12, alpha=0.0, batch_size=20, max_iter=3,
            tol=None, random_state=0,
        ).fit(X, Y)  # fmt: skip
        found = norm_test(network, X, Y, random_state=0)
        assert found.adaptive.theta_scaled == pytest.approx(found.theta_norm, rel=1e-6)

    def test_it_says_what_it_found(self, adam):
        found = norm_test(adam, X, Y, random_state=0)
        for text in (repr(found), found._repr_html_()):
            assert "norm, scaled" in text
            assert "every parameter" in text
            assert f"suggested size is {found.adaptive.suggested_batch_size}" in text
            assert f"{100 * found.adaptive.share_passing:.3g} % of the parameters pass by themselves" in text
        assert pickle.loads(pickle.dumps(found)).adaptive == found.adaptive

    def test_the_model_stays_as_it_is(self, adam):
        before = pickle.dumps(adam)
        norm_test(adam, X, Y, random_state=0)
        assert pickle.dumps(adam) == before
