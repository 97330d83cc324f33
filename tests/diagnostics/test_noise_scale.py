"""gradient_noise_scale: closed forms, loops over single rows, samples, what it says, wrong input."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch.diagnostics import gradient_noise_scale

# one update that leaves the parameters where they start
AT_START = {"learning_rate": "constant", "eta0": 1e-30, "max_iter": 1, "tol": None, "random_state": 0}


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X)[:200, :6], y[:200]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:150] / 16, y[:150]


@pytest.fixture(scope="module")
def model(cancer):
    return MiniBatchSGDClassifier("log_loss", max_iter=1, tol=None, batch_size=64, random_state=0).fit(*cancer)


def from_gradients(gradients, of_penalty=0.0):
    """Trace and squared norm, all rows being the population."""
    mean = gradients.mean(axis=0)
    return np.mean(np.sum((gradients - mean) ** 2, axis=1)), np.sum((mean + of_penalty) ** 2)


def ones_beside(X):
    return np.column_stack([X, np.ones(len(X))])


class TestClosedForms:
    def test_softmax_at_zero_on_any_data(self, digits):
        X, y = digits
        model = MiniBatchSGDClassifier("log_loss", multi_class="multinomial", penalty=None, **AT_START).fit(X, y)
        found = gradient_noise_scale(model, X, y)
        A = ones_beside(X)
        gradient = A.T @ (0.1 - np.eye(10)[y]) / len(X)
        trace = 0.9 * np.mean(np.sum(A**2, axis=1)) - np.sum(gradient**2)
        assert found.trace == pytest.approx(trace, rel=1e-10)
        assert found.squared_norm == pytest.approx(np.sum(gradient**2), rel=1e-10)
        assert found.noise_scale == pytest.approx(trace / np.sum(gradient**2), rel=1e-10)

    def test_logistic_regression_with_penalty_and_weights(self, cancer):
        X, y = cancer
        weight = np.random.default_rng(0).uniform(0, 2, len(y))
        model = MiniBatchSGDClassifier("log_loss", alpha=0.05, random_state=0, class_weight={0: 3.0, 1: 0.5})
        model.fit(X, y, sample_weight=weight)
        found = gradient_noise_scale(model, X, y, sample_weight=weight)
        s = weight * np.where(y == 1, 0.5, 3.0)
        s /= s.mean()
        gradients = (s * (model.predict_proba(X)[:, 1] - y))[:, None] * ones_beside(X)
        expected = from_gradients(gradients, np.append(0.05 * model.coef_[0], 0.0))
        assert_allclose([found.trace, found.squared_norm], expected, rtol=1e-9)

    def test_least_squares_without_intercept(self, cancer):
        X, _ = cancer
        model = MiniBatchSGDRegressor(penalty=None, fit_intercept=False, max_iter=2, tol=None, random_state=0)
        model.fit(X[:, 1:], X[:, 0])
        gradients = (model.predict(X[:, 1:]) - X[:, 0])[:, None] * X[:, 1:]
        found = gradient_noise_scale(model, X[:, 1:], X[:, 0])
        assert_allclose([found.trace, found.squared_norm], from_gradients(gradients), rtol=1e-9)

    def test_outputs_of_their_own_add_up(self, cancer):
        X, _ = cancer
        y = np.column_stack([X[:, 0], X[:, 1] ** 2])
        settings = {"penalty": None, "max_iter": 2, "tol": None, "random_state": 0, "batch_size": 8}
        both = MiniBatchSGDRegressor(**settings).fit(X, y)
        alone = [MiniBatchSGDRegressor(**settings).fit(X, column) for column in y.T]
        found = gradient_noise_scale(both, X, y)
        parts = [gradient_noise_scale(model, X, column) for model, column in zip(alone, y.T, strict=True)]
        assert found.trace == pytest.approx(sum(part.trace for part in parts), rel=1e-9)
        assert found.squared_norm == pytest.approx(sum(part.squared_norm for part in parts), rel=1e-9)

    def test_a_network_is_its_rows_one_by_one(self, digits):
        """Gradients by finite differences of the loss of a single row."""
        X, y = digits[0][:12, 20:24], digits[1][:12] % 2
        model = MiniBatchMLPClassifier((3,), activation="tanh", alpha=0.1, max_iter=3, tol=None, random_state=0)
        model.fit(X, y)
        parameters = [*model.coefs_, *model.intercepts_]
        gradients = np.zeros((12, sum(part.size for part in parameters)))

        def losses():
            hidden = np.tanh(X @ parameters[0] + parameters[2])
            scores = (hidden @ parameters[1] + parameters[3]).ravel()
            return np.logaddexp(0, scores) - y * scores

        column = 0
        for part in parameters:
            for place in np.ndindex(part.shape):
                before = part[place]
                part[place] = before + 1e-6
                above = losses()
                part[place] = before - 1e-6
                gradients[:, column] = (above - losses()) / 2e-6
                part[place] = before
                column += 1
        of_penalty = 0.1 * np.concatenate([np.ravel(model.coefs_[0]), np.ravel(model.coefs_[1]), np.zeros(4)])
        found = gradient_noise_scale(model, X, y)
        # alpha is that of the mean loss here
        assert_allclose([found.trace, found.squared_norm], from_gradients(gradients, of_penalty), rtol=1e-6)

    def test_new_rows_are_asked_about_with_the_other_divisor(self, cancer):
        X, y = cancer
        model = MiniBatchSGDClassifier("log_loss", learning_rate="constant", random_state=0, max_iter=2, tol=None).fit(
            X, y
        )
        train, population = (gradient_noise_scale(model, X, y, reference=name) for name in ("train", "population"))
        n = len(y)
        assert population.trace == pytest.approx(train.trace * n / (n - 1), rel=1e-12)
        assert population.squared_norm == pytest.approx(train.squared_norm - train.trace / (n - 1), rel=1e-12)
        assert train.interval == pytest.approx((train.noise_scale, train.noise_scale))
        assert population.interval[0] < population.noise_scale < population.interval[1]


class TestSamples:
    def test_their_mean_is_that_of_all_rows(self, model, cancer):
        exact = gradient_noise_scale(model, *cancer)
        found = [gradient_noise_scale(model, *cancer, batch_size=20, random_state=i) for i in range(300)]
        for name in ("trace", "squared_norm"):
            values = np.array([getattr(one, name) for one in found])
            assert abs(values.mean() - getattr(exact, name)) < 4 * values.std() / np.sqrt(300)
        assert {one.n_rows for one in found} == {20}

    def test_more_rows_than_there_are_is_all(self, model, cancer):
        assert repr(gradient_noise_scale(model, *cancer, batch_size=10_000)) == repr(
            gradient_noise_scale(model, *cancer)
        )

    def test_a_seed_makes_it_reproducible(self, model, cancer):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        first, second, other = (
            gradient_noise_scale(model, *cancer, batch_size=20, random_state=seed).trace for seed in (1, 1, None)
        )
        assert first == second != other
        assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    def test_a_gradient_lost_in_the_noise_is_flagged_with_a_lower_bound(self, cancer):
        X, y = cancer
        model = MiniBatchSGDClassifier(
            "log_loss", alpha=0.1, batch_size="full", solver="nesterov", momentum=0.9, learning_rate="constant",
            eta0=0.5, max_iter=2000, random_state=0,
        ).fit(X, y)  # fmt: skip
        found = [gradient_noise_scale(model, X, y, batch_size=8, random_state=i) for i in range(60)]
        assert np.mean([one.resolved for one in found]) <= 0.1
        for one in found:
            assert one.interval[0] >= 0.0
            assert one.noise_scale > 0.0
            assert one.signal_to_noise >= 0.0
            if not one.resolved:
                assert one.interval[1] == np.inf
                assert "8 of 200 rows do not tell the gradient from zero" in repr(one)


class TestData:
    def test_pipelines_are_their_last_steps_on_transformed_rows(self, cancer):
        X, y = 10 * cancer[0] + 3, cancer[1]
        model = make_pipeline(StandardScaler(), MiniBatchSGDClassifier("log_loss", random_state=0)).fit(X, y)
        bare = gradient_noise_scale(model[-1], model[:-1].transform(X), y)
        assert repr(gradient_noise_scale(model, X, y)) == repr(bare)

    @pytest.mark.parametrize("estimator", [MiniBatchSGDClassifier("log_loss"), MiniBatchMLPClassifier((5,))])
    def test_sparse_rows_are_dense_rows(self, estimator, digits):
        X, y = digits
        model = estimator.set_params(random_state=0, max_iter=3, tol=None).fit(X, y)
        dense, sparse = (gradient_noise_scale(model, rows, y) for rows in (X, sp.csc_matrix(X)))
        assert_allclose([sparse.trace, sparse.squared_norm], [dense.trace, dense.squared_norm], rtol=1e-9)

    def test_the_model_stays_as_it_is(self, digits):
        model = MiniBatchMLPClassifier((5,), dropout=0.3, random_state=0, max_iter=2, tol=None).fit(*digits)
        before = pickle.dumps(model)
        gradient_noise_scale(model, *digits, batch_size=50)
        assert pickle.dumps(model) == before


class TestResult:
    def test_signal_to_noise_is_one_at_the_noise_scale(self, model, cancer):
        found = gradient_noise_scale(model, *cancer)
        assert found.batch_size == 64
        assert found.signal_to_noise == pytest.approx(64 * found.squared_norm / found.trace)

    def test_it_says_what_it_found(self, model, cancer):
        exact = gradient_noise_scale(model, *cancer)
        sampled = gradient_noise_scale(model, *cancer, reference="population", confidence=0.5)
        assert "rows, exact for all 200 rows" in repr(exact)
        assert "between" in repr(sampled)
        assert "0.5 confidence" in repr(sampled)
        for text in (repr(exact), exact._repr_html_()):
            assert f"{exact.trace:.3g}" in text
            assert "64" in text

    def test_neither_gradient_nor_noise_is_said(self, cancer):
        X, _ = cancer
        model = MiniBatchSGDRegressor(penalty=None, **AT_START).fit(X, np.zeros(len(X)))
        found = gradient_noise_scale(model, X, np.zeros(len(X)))
        assert np.isnan(found.noise_scale)
        assert np.isnan(found.signal_to_noise)
        assert not found.resolved
        assert "neither gradient nor noise" in repr(found)

    def test_it_can_be_pickled(self, model, cancer):
        found = gradient_noise_scale(model, *cancer)
        assert pickle.loads(pickle.dumps(found)).interval == found.interval


@pytest.fixture(scope="module")
def heavy():
    random = np.random.default_rng(0)
    X = random.standard_t(3, size=(50_000, 5))
    y = X @ np.full(5, 0.3) + random.standard_normal(50_000)
    return MiniBatchSGDRegressor(penalty=None, fit_intercept=False, **AT_START).fit(X, y), X, y


class TestHeavyTails:
    """Columns with the t-distribution of 3 degrees of freedom: gradients have no variance, samples do not know it."""

    def test_intervals_that_miss_are_doubted(self, heavy):
        exact = gradient_noise_scale(*heavy)
        assert not exact.carried_by_few
        found = [gradient_noise_scale(*heavy, batch_size=1000, random_state=seed) for seed in range(40)]
        held = np.array([low <= exact.noise_scale <= high for low, high in (one.interval for one in found)])
        doubted = np.array([one.carried_by_few for one in found])
        assert np.mean([one.resolved for one in found]) > 0.8
        assert held.mean() < 0.7  # of intervals that should hold 95 %
        assert doubted.mean() > 0.8
        assert np.mean(~held & ~doubted) <= 0.05

    def test_columns_with_light_tails_are_not(self):
        random = np.random.default_rng(0)
        X = random.standard_normal((20_000, 5))
        y = X @ np.full(5, 0.3) + random.laplace(size=20_000)
        model = MiniBatchSGDRegressor(penalty=None, fit_intercept=False, **AT_START).fit(X, y)
        found = [gradient_noise_scale(model, X, y, batch_size=1000, random_state=seed) for seed in range(40)]
        assert np.mean([one.carried_by_few for one in found]) < 0.1

    def test_the_share_is_that_of_the_largest_hundredth(self, cancer):
        X, y = cancer
        model = MiniBatchSGDClassifier("log_loss", penalty=None, max_iter=2, tol=None, random_state=0).fit(X, y)
        gradients = (model.predict_proba(X)[:, 1] - y)[:, None] * ones_beside(X)
        squares = np.sort(np.sum((gradients - gradients.mean(axis=0)) ** 2, axis=1))
        assert gradient_noise_scale(model, X, y).largest_share == pytest.approx(squares[-2:].sum() / squares.sum())

    def test_the_words_say_so(self, heavy):
        one = next(
            one
            for one in (gradient_noise_scale(*heavy, batch_size=1000, random_state=seed) for seed in range(9))
            if one.carried_by_few
        )
        for text in (repr(one), one._repr_html_()):
            assert f"a few rows carry the noise: the largest 10 rows carry {one.largest_share:.0%} of the trace" in text
        assert "a few rows" not in repr(gradient_noise_scale(*heavy))


class TestWrongInput:
    def test_a_model_that_is_not_fitted(self, cancer):
        with pytest.raises(NotFittedError, match="MiniBatchSGDClassifier is not fitted"):
            gradient_noise_scale(MiniBatchSGDClassifier(), *cancer)

    def test_a_foreign_model(self, cancer):
        with pytest.raises(TypeError, match="StandardScaler"):
            gradient_noise_scale(StandardScaler().fit(cancer[0]), *cancer)

    def test_rows_of_another_width(self, model, cancer):
        with pytest.raises(ValueError, match="X has 5 features, but MiniBatchSGDClassifier is expecting 6"):
            gradient_noise_scale(model, cancer[0][:, 1:], cancer[1])

    def test_a_single_row(self, model, cancer):
        with pytest.raises(ValueError, match="at least two rows; got 1"):
            gradient_noise_scale(model, cancer[0][:1], cancer[1][:1])

    def test_batch_normalization(self, digits):
        model = MiniBatchMLPClassifier((5,), batch_normalization=True, max_iter=2, tol=None, random_state=0)
        with pytest.raises(ValueError, match="batch normalization"):
            gradient_noise_scale(model.fit(*digits), *digits)

    def test_parameters_that_overflow(self, cancer):
        model = MiniBatchMLPRegressor(hidden_layer_sizes=(2,), max_iter=1, tol=None, random_state=0).fit(*cancer)
        model.coefs_[-1][:] = 1e200
        with pytest.raises(ValueError, match="objective is not finite"):
            gradient_noise_scale(model, *cancer)

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"batch_size": 1}, "'batch_size' parameter of gradient_noise_scale must be"),
            ({"batch_size": 0.5}, "'batch_size' parameter"),
            ({"reference": "test"}, "'reference' parameter of gradient_noise_scale must be a str among"),
            ({"confidence": 0}, "'confidence' parameter"),
            ({"confidence": 1.0}, "'confidence' parameter"),
            ({"random_state": "a"}, "'random_state' parameter"),
            ({"sample_weight": -np.ones(200)}, "Negative values in data passed to `sample_weight`"),
        ],
    )
    def test_a_parameter_out_of_range_is_named(self, setting, message, model, cancer):
        with pytest.raises(ValueError, match=message):
            gradient_noise_scale(model, *cancer, **setting)
