"""norm_test: the three statistics against plain loops, suggestions against closed forms, wrong input."""

import pickle
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler, scale

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._training.noise import Deviations
from minibatch.diagnostics import norm_test
from minibatch.diagnostics._norm_test import _test

LEAST_SQUARES = MiniBatchSGDRegressor(
    penalty=None, fit_intercept=False, learning_rate="constant", eta0=0.02, batch_size=16, max_iter=2, tol=None,
    random_state=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X)[:200, :6], y[:200]


@pytest.fixture(scope="module")
def logistic(cancer):
    model = MiniBatchSGDClassifier("log_loss", alpha=0.1, batch_size=32, max_iter=1, tol=None, random_state=0)
    return model.fit(*cancer)


@pytest.fixture(scope="module")
def least_squares(cancer):
    X, _ = cancer
    return clone(LEAST_SQUARES).fit(X[:, 1:], X[:, 0] + 5), X[:, 1:], X[:, 0] + 5


@pytest.fixture(scope="module")
def at_optimum(cancer):
    """Where the gradient is next to nothing, and any batch is too small by its variance."""
    model = MiniBatchSGDClassifier("log_loss", alpha=0.1, batch_size="full", learning_rate="constant", eta0=1.0)
    return model.set_params(max_iter=500, tol=None).fit(*cancer)


def statistics(gradients, of_penalty):
    """The three by their definitions."""
    size, batch = len(gradients), gradients.mean(axis=0) + of_penalty
    squared = batch @ batch
    along = gradients @ batch
    across = gradients - np.outer(along / squared, batch)
    norm = np.trace(np.cov(gradients.T)) / (size * squared)
    inner = np.var(along, ddof=1) / (size * squared**2)
    orthogonal = np.trace(np.cov(across.T)) / (size * squared)
    return np.sqrt([norm, inner, orthogonal])


class TestStatistics:
    def test_they_are_those_of_the_definitions(self, logistic, cancer):
        """On all rows, so that the batch is known."""
        X, y = cancer
        found = norm_test(logistic, X, y, batch_size=200)
        gradients = (logistic.predict_proba(X)[:, 1] - y)[:, None] * np.column_stack([X, np.ones(len(X))])
        expected = statistics(gradients, np.append(0.1 * logistic.coef_[0], 0.0))
        assert_allclose([found.theta_norm, found.theta_inner, found.nu], expected, rtol=1e-9)
        assert found.trace == pytest.approx(np.trace(np.cov(gradients.T)))
        assert found.batch_size == found.n_samples == 200

    @settings(deadline=None)
    @given(st.integers(2, 40), st.integers(0, 1000), st.floats(0.01, 10))
    def test_the_norm_test_is_the_two_others_together(self, size, seed, length):
        gradients = np.random.default_rng(seed).standard_normal((size, 3)) + length
        mean = gradients.mean(axis=0)
        total = mean + 0.3
        rows = Deviations(np.sum((gradients - mean) ** 2, axis=1), (gradients - mean) @ total, total @ total, 0.0)
        found = _test(rows, 0.9)
        assert found.theta_norm**2 == pytest.approx(found.theta_inner**2 + found.nu**2, rel=1e-12)
        assert_allclose(
            [found.theta_norm, found.theta_inner, found.nu], statistics(gradients, 0.3), rtol=1e-6, atol=1e-7
        )

    def test_a_single_direction_has_nothing_across(self, cancer):
        X, _ = cancer
        model = MiniBatchSGDRegressor(penalty=None, fit_intercept=False, max_iter=1, tol=None, random_state=0)
        found = norm_test(model.fit(X[:, :1], X[:, 1]), X[:, :1], X[:, 1], random_state=0)
        assert found.nu == pytest.approx(0.0, abs=1e-6)
        assert found.theta_norm == pytest.approx(found.theta_inner)

    def test_the_batch_is_drawn_from_the_rows(self, logistic, cancer):
        """On average the squared norm of its gradient is that of the objective and the trace over the batch size."""
        exact = norm_test(logistic, *cancer, batch_size=200)
        found = [norm_test(logistic, *cancer, random_state=i) for i in range(300)]
        assert {one.batch_size for one in found} == {32}
        traces, norms = (np.array([getattr(one, name) for one in found]) for name in ("trace", "squared_norm"))
        assert abs(traces.mean() - exact.trace) < 4 * traces.std() / np.sqrt(300)
        expected = exact.squared_norm + exact.trace / 32 * (1 - 32 / 200)
        assert abs(norms.mean() - expected) < 4 * norms.std() / np.sqrt(300)


class TestSuggestions:
    def test_it_is_the_least_size_that_would_pass(self, logistic, cancer):
        found = norm_test(logistic, *cancer, theta=0.5, random_state=1)
        assert found.suggested_batch_size == ceil(found.trace / (0.25 * found.squared_norm))
        for size, passes in ((found.suggested_batch_size, True), (found.suggested_batch_size - 1, False)):
            assert (found.trace / size <= 0.25 * found.squared_norm) == passes

    def test_it_grows_towards_the_optimum(self, cancer):
        early, late = (
            MiniBatchSGDClassifier(
                "log_loss", batch_size=32, max_iter=epochs, tol=None, learning_rate="constant", eta0=0.05,
                random_state=0,
            ).fit(*cancer)
            for epochs in (1, 300)
        )  # fmt: skip
        first, last = (norm_test(model, *cancer, random_state=0) for model in (early, late))
        assert last.suggested_batch_size > first.suggested_batch_size

    @pytest.mark.parametrize("theta", [0.1, 0.9, 3.0])
    def test_it_passes_where_it_is_at_most_the_threshold(self, theta, logistic, cancer):
        found = norm_test(logistic, *cancer, theta=theta, nu=theta, random_state=0)
        for name in ("theta_norm", "theta_inner", "nu"):
            assert found.passes[name] == (getattr(found, name) <= theta)
            assert found.thresholds[name] == theta
        assert found.passes["theta_norm"] == (found.suggested_batch_size <= found.batch_size)

    def test_cabs_on_least_squares_is_rate_times_trace_over_loss(self, least_squares):
        model, X, y = least_squares
        residuals = model.predict(X) - y
        gradients = residuals[:, None] * X
        found = norm_test(model, X, y, batch_size=len(y))
        assert found.loss == pytest.approx(np.mean(residuals**2) / 2)
        assert found.cabs_batch_size == ceil(0.02 * np.trace(np.cov(gradients.T)) / found.loss)
        assert found.cabs_missing == ""

    def test_cabs_is_for_plain_sgd(self, cancer):
        X, y = cancer
        for model in (
            MiniBatchSGDClassifier(solver="adam", random_state=0),
            MiniBatchMLPClassifier((3,), solver="sgd", momentum=0.9, random_state=0),
            MiniBatchMLPClassifier((3,), solver="lbfgs", random_state=0),
        ):
            found = norm_test(model.set_params(max_iter=2, tol=None).fit(X, y), X, y, batch_size=50)
            assert found.cabs_batch_size is None
            assert "plain SGD" in found.cabs_missing
            assert "plain SGD" in repr(found)
        plain = MiniBatchMLPClassifier((3,), solver="sgd", momentum=0.0, max_iter=2, tol=None, random_state=0)
        assert norm_test(plain.fit(X, y), X, y).cabs_batch_size >= 1


class TestAllRows:
    def test_no_suggestion_exceeds_the_rows(self, at_optimum, cancer):
        for size in (2, 50, 199, 200):
            found = norm_test(at_optimum, *cancer, batch_size=size, theta=0.01, random_state=0)
            assert found.trace / (0.01**2 * found.squared_norm) > 200
            assert found.suggested_batch_size == 200

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_nor_does_that_of_cabs(self, least_squares):
        model, X, y = least_squares
        high = clone(model).set_params(eta0=1e3, max_iter=1, batch_size="full").fit(X, y)
        high.coef_ = model.coef_
        assert norm_test(high, X, y).cabs_batch_size == len(y)

    def test_they_have_the_gradient_of_the_objective_and_pass(self, at_optimum, cancer):
        found = norm_test(at_optimum, *cancer)
        assert found.batch_size == found.n_samples == 200
        assert found.theta_norm > 0.9
        assert all(found.passes.values())
        assert "a batch of all 200 rows has the gradient of the objective" in repr(found)
        assert "no smaller batches would pass" in repr(found)
        assert "too small" not in repr(found)
        assert not norm_test(at_optimum, *cancer, batch_size=199, random_state=0).passes["theta_norm"]

    def test_smaller_batches_that_would_pass_are_named(self, logistic, cancer):
        found = norm_test(logistic, *cancer, batch_size=200)
        assert found.suggested_batch_size < 200
        assert f"batches of {found.suggested_batch_size} would pass" in repr(found)


class TestResult:
    def test_it_shows_all_tests(self, logistic, cancer):
        found = norm_test(logistic, *cancer, random_state=0)
        for text in (repr(found), found._repr_html_()):
            assert "a batch of 32 rows" in text
            assert f"suggested size is {found.suggested_batch_size} of 200 rows" in text
            assert f"{found.theta_inner:.3g}" in text
            assert "orthogonality" in text
            assert f"batch size by CABS: {found.cabs_batch_size}" in text
        assert "too small" in repr(norm_test(logistic, *cancer, theta=1e-3))
        assert "large enough" in repr(norm_test(logistic, *cancer, theta=100))
        assert pickle.loads(pickle.dumps(found)).passes == found.passes

    def test_neither_gradient_nor_noise_is_said(self, cancer):
        X, _ = cancer
        zeros = np.zeros(len(X))
        found = norm_test(clone(LEAST_SQUARES).fit(X, zeros), X, zeros)
        assert np.isnan([found.theta_norm, found.theta_inner, found.nu, found.suggested_batch_size]).all()
        assert not any(found.passes.values())
        assert "nothing to test" in repr(found)
        assert "loss of the batch, which is 0" in found.cabs_missing

    def test_noise_without_gradient(self):
        X = np.array([[1.0], [1.0], [1.0], [1.0]])
        y = np.array([1.0, -1.0, 1.0, -1.0])
        model = MiniBatchSGDRegressor(
            penalty=None, fit_intercept=False, learning_rate="constant", eta0=1e-30, max_iter=1, tol=None
        )
        X, y = np.repeat(X, 2, axis=0), np.repeat(y, 2)
        model.fit(X, y)
        found = next(
            one
            for one in (norm_test(model, X, y, batch_size=4, random_state=seed) for seed in range(20))
            if one.squared_norm == 0
        )
        assert found.theta_norm == np.inf
        assert found.suggested_batch_size == 8  # no batch short of all rows would do
        assert not found.passes["theta_norm"]

    def test_a_gradient_of_rounding_errors_is_none(self, cancer):
        X, _ = cancer
        model = clone(LEAST_SQUARES).fit(X[:, 1:], X[:, 0])
        model.coef_ = np.linalg.lstsq(X[:, 1:], X[:, 0], rcond=None)[0]
        found = norm_test(model, X[:, 1:], X[:, 0], batch_size=200)
        assert 0 < found.squared_norm < 1e-28
        assert found.theta_norm == np.inf
        assert found.suggested_batch_size == 200

    def test_the_model_stays_as_it_is(self, logistic, cancer):
        before, state = pickle.dumps(logistic), np.random.get_state()[1].copy()  # noqa: NPY002
        first, second, other = (norm_test(logistic, *cancer, random_state=seed).trace for seed in (1, 1, None))
        assert first == second != other
        assert pickle.dumps(logistic) == before
        assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


class TestWrongInput:
    def test_a_batch_of_one_row(self, cancer):
        X, y = cancer
        model = MiniBatchSGDClassifier("log_loss", batch_size=1, max_iter=1, tol=None, random_state=0).fit(X, y)
        with pytest.raises(ValueError, match=r"trained with batch_size=1.* Set batch_size to 2 or more"):
            norm_test(model, X, y)
        assert norm_test(model, X, y, batch_size=2).batch_size == 2

    def test_a_batch_larger_than_the_data_is_all_rows(self, logistic, cancer):
        assert norm_test(logistic, *cancer, batch_size=1000).batch_size == 200
        assert norm_test(logistic, cancer[0][:10], cancer[1][:10]).batch_size == 10

    def test_models_that_cannot_be_tested(self, cancer):
        with pytest.raises(NotFittedError, match="MiniBatchSGDClassifier is not fitted"):
            norm_test(MiniBatchSGDClassifier(), *cancer)
        with pytest.raises(TypeError, match="StandardScaler"):
            norm_test(StandardScaler(), *cancer)
        X, y = load_digits(return_X_y=True)
        model = MiniBatchMLPClassifier((5,), batch_normalization=True, max_iter=1, tol=None, random_state=0)
        with pytest.raises(ValueError, match="batch normalization"):
            norm_test(model.fit(X[:100], y[:100]), X[:100], y[:100])

    def test_rows_that_do_not_fit(self, logistic, cancer):
        with pytest.raises(ValueError, match="X has 5 features"):
            norm_test(logistic, cancer[0][:, 1:], cancer[1])
        with pytest.raises(ValueError, match="at least two rows; got 1"):
            norm_test(logistic, cancer[0][:1], cancer[1][:1])

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"batch_size": 1}, "'batch_size' parameter of norm_test must be"),
            ({"theta": 0}, "'theta' parameter of norm_test must be"),
            ({"nu": -1.0}, "'nu' parameter"),
            ({"random_state": "a"}, "'random_state' parameter"),
        ],
    )
    def test_a_parameter_out_of_range_is_named(self, setting, message, logistic, cancer):
        with pytest.raises(ValueError, match=message):
            norm_test(logistic, *cancer, **setting)
