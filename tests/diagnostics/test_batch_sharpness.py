"""batch_sharpness: closed forms on least squares, slow objectives of single batches, limits, samples, wrong input."""

import pickle
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.special import log_softmax, softmax
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDOneClassSVM,
    MiniBatchSGDRegressor,
)
from minibatch.diagnostics import batch_sharpness, batch_sharpness_curve, stability_limit

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((40, 3)) * [1.0, 2.0, 0.5]
Y = X @ np.ones(3) + RANDOM.standard_normal(40)
WEIGHT = RANDOM.uniform(0.2, 2.0, 40)
FEW = {"learning_rate": "constant", "eta0": 0.01, "max_iter": 2, "tol": None, "random_state": 0}


@pytest.fixture(scope="module")
def plain():
    return MiniBatchSGDRegressor(alpha=0.0, fit_intercept=False, batch_size=1, **FEW).fit(X, Y)


def along_gradient(gradient_of, theta):
    """``g' H g / ||g||^2`` from gradients alone."""
    g = gradient_of(theta)
    u, h = g / np.linalg.norm(g), 1e-5
    return u @ (gradient_of(theta + h * u) - gradient_of(theta - h * u)) / (2 * h)


def assert_same_numbers(found, expected):
    """In any order: batches are drawn in a random one."""
    assert_allclose(np.sort(found), np.sort(expected), rtol=1e-6)


class TestLeastSquares:
    def test_single_rows_have_the_mean_of_their_squares(self, plain):
        found = batch_sharpness(plain, X, Y)
        assert found.value == pytest.approx(np.mean(np.sum(X**2, axis=1)), rel=1e-12)
        assert found.exact
        assert found.interval == (found.value, found.value)
        assert found.n_batches == 40

    def test_rows_that_are_fitted_exactly_do_not_count(self):
        """Numbers with few digits, so that residuals of 0 are 0."""
        rows, model = np.round(4 * X) / 4, MiniBatchSGDRegressor(alpha=0.0, fit_intercept=False, **FEW).fit(X, Y)
        model.coef_ = np.array([1.0, 2.0, -1.0])
        targets = rows @ model.coef_
        targets[7:] += 1.0
        found = batch_sharpness(model, rows, targets, batch_size=1)
        assert found.value == pytest.approx(np.mean(np.sum(rows[7:] ** 2, axis=1)), rel=1e-12)
        assert found.n_batches == 33

    def test_all_rows_have_the_curvature_along_the_gradient(self, plain):
        found = batch_sharpness(plain, X, Y, batch_size="full")
        g, H = X.T @ (plain.predict(X) - Y) / 40, X.T @ X / 40
        assert found.value == pytest.approx(g @ H @ g / (g @ g), rel=1e-12)
        assert found.exact
        assert found.n_batches == 1
        assert batch_sharpness(plain, X, Y, batch_size=1000).value == found.value

    def test_pairs_are_pairs(self, plain):
        """Every batch is one of the pairs of rows that there are, and their mean is that of all pairs."""
        rows, targets = X[:6], Y[:6]
        of_pairs = []
        for pair in map(list, combinations(range(6), 2)):
            g, H = rows[pair].T @ (plain.predict(rows[pair]) - targets[pair]) / 2, rows[pair].T @ rows[pair] / 2
            of_pairs.append(g @ H @ g / (g @ g))
        found = batch_sharpness(plain, rows, targets, batch_size=2, n_batches=3000, random_state=0)
        assert np.abs(found.curvatures[:, None] - of_pairs).min(axis=1).max() < 1e-12
        assert found.interval[0] < np.mean(of_pairs) < found.interval[1]
        assert not found.exact

    def test_penalty_intercept_and_weights_are_those_of_training(self):
        model = MiniBatchSGDRegressor(alpha=0.3, **FEW).fit(X, Y, sample_weight=WEIGHT)
        A, s, alpha = np.column_stack([X, np.ones(40)]), WEIGHT / WEIGHT.mean(), np.diag([0.3, 0.3, 0.3, 0.0])
        w = np.append(model.coef_, model.intercept_)
        expected = []
        for a, weight, y in zip(A, s, Y, strict=True):
            g, H = weight * (a @ w - y) * a + alpha @ w, weight * np.outer(a, a) + alpha
            expected.append(g @ H @ g / (g @ g))
        found = batch_sharpness(model, X, Y, batch_size=1, sample_weight=WEIGHT)
        assert_same_numbers(found.curvatures, expected)


class TestOtherModels:
    def test_softmax(self):
        labels = np.digitize(Y, [-1, 1])
        model = MiniBatchSGDClassifier("log_loss", multi_class="multinomial", alpha=0.1, **FEW).fit(X, labels)
        A = np.column_stack([X, np.ones(40)])
        theta = np.concatenate([model.coef_.ravel(), model.intercept_])

        def gradient_of(row):
            def gradient(theta):
                W = np.column_stack([theta[:9].reshape(3, 3), theta[9:]])
                G = np.outer(softmax(W @ A[row]) - np.eye(3)[labels[row]], A[row])
                return np.concatenate([G[:, :3].ravel() + 0.1 * theta[:9], G[:, 3]])

            return gradient

        expected = [along_gradient(gradient_of(row), theta) for row in range(40)]
        assert_same_numbers(batch_sharpness(model, X, labels, batch_size=1).curvatures, expected)

    def test_outputs_of_their_own_are_one_vector(self):
        targets = np.column_stack([Y, X[:, 0] ** 2])
        model = MiniBatchSGDRegressor(alpha=0.0, fit_intercept=False, **FEW).fit(X, targets)
        G, H = X.T @ (model.predict(X) - targets) / 40, X.T @ X / 40
        found = batch_sharpness(model, X, targets, batch_size="full")
        assert found.value == pytest.approx(np.sum(G * (H @ G)) / np.sum(G * G), rel=1e-12)

    def test_straight_losses_bend_by_their_penalty_alone(self):
        model = MiniBatchSGDClassifier("hinge", alpha=0.2, **FEW).fit(X, Y > 0)
        w, b, y = model.coef_[0], model.intercept_[0], np.where(Y > 0, 1.0, -1.0)
        wrong = y * (X @ w + b) < 1.0
        of_weights, of_intercept = -(y * wrong) @ X / 40 + 0.2 * w, -(y * wrong).mean()
        expected = 0.2 * (of_weights @ of_weights) / (of_weights @ of_weights + of_intercept**2)
        assert batch_sharpness(model, X, Y > 0, batch_size="full").value == pytest.approx(expected, rel=1e-9)

    def test_the_one_class_machine_bends_by_its_penalty_alone(self):
        """``nu / 2 ||w||^2 - nu offset + mean max(0, offset - x w)``."""
        model = MiniBatchSGDOneClassSVM(nu=0.2, batch_size=8, **FEW).fit(X)
        outside = X @ model.coef_.ravel() < model.offset_
        of_weights = 0.2 * model.coef_.ravel() - outside @ X / 40
        expected = 0.2 * (of_weights @ of_weights) / (of_weights @ of_weights + (outside.mean() - 0.2) ** 2)
        assert batch_sharpness(model, X, None, batch_size="full").value == pytest.approx(expected, rel=1e-9)
        assert len(batch_sharpness_curve(model, X, None, n_looks=3).values) == 3

    def test_a_network_is_its_batches_one_by_one(self):
        """Gradients by finite differences of the loss of a batch, in NumPy."""
        rows, labels = X[:12], np.digitize(Y[:12], [-1, 1])
        model = MiniBatchMLPClassifier((4,), activation="tanh", alpha=0.05, max_iter=3, tol=None, random_state=0)
        model.fit(rows, labels)
        parts = [*model.coefs_, *model.intercepts_]
        theta, ends = np.concatenate([part.ravel() for part in parts]), np.cumsum([part.size for part in parts])

        def loss(theta, batch):
            W1, W2, b1, b2 = (
                part.reshape(like.shape) for part, like in zip(np.split(theta, ends[:-1]), parts, strict=True)
            )
            scores = np.tanh(rows[batch] @ W1 + b1) @ W2 + b2
            penalty = 0.025 * (np.sum(W1**2) + np.sum(W2**2))
            return -np.mean(log_softmax(scores, axis=1)[np.arange(len(batch)), labels[batch]]) + penalty

        def gradient(theta, batch):
            steps = 1e-6 * np.eye(len(theta))
            return np.array([(loss(theta + step, batch) - loss(theta - step, batch)) / 2e-6 for step in steps])

        def expected(batch):
            g = gradient(theta, batch)
            u, h = g / np.linalg.norm(g), 1e-3
            return (loss(theta + h * u, batch) - 2 * loss(theta, batch) + loss(theta - h * u, batch)) / h**2

        single = batch_sharpness(model, rows, labels, batch_size=1)
        assert_allclose(np.sort(single.curvatures), np.sort([expected([row]) for row in range(12)]), rtol=1e-4)
        whole = batch_sharpness(model, rows, labels, batch_size="full")
        assert whole.value == pytest.approx(expected(list(range(12))), rel=1e-4)

    @pytest.mark.parametrize(
        "model", [MiniBatchSGDClassifier("log_loss", batch_size=8), MiniBatchMLPClassifier((4,), batch_size=8)]
    )
    def test_sparse_rows_are_dense_rows(self, model):
        rows = np.where(np.abs(X) > 0.7, X, 0.0)
        model.set_params(random_state=0, max_iter=3, tol=None).fit(rows, Y > 0)
        dense, sparse = (batch_sharpness(model, form, Y > 0, random_state=1) for form in (rows, sp.csc_matrix(rows)))
        assert_allclose(sparse.curvatures, dense.curvatures, rtol=1e-6)

    def test_pipelines_are_their_last_steps_on_transformed_rows(self):
        model = make_pipeline(StandardScaler(), MiniBatchSGDClassifier("log_loss", random_state=0)).fit(X, Y > 0)
        bare = batch_sharpness(model[-1], model[:-1].transform(X), Y > 0, random_state=0)
        assert repr(batch_sharpness(model, X, Y > 0, random_state=0)) == repr(bare)


class TestLimits:
    def test_that_of_plain_sgd_is_2_over_the_rate(self, plain):
        found = batch_sharpness(plain, X, Y)
        assert found.learning_rate == 0.01
        assert_allclose(found.limits, [200.0, 200.0])
        assert f"2 / learning rate  200{found.value / 200:.3g}".replace(" ", "") in repr(found).replace(" ", "")

    def test_the_rate_is_that_of_the_last_epoch(self):
        model = MiniBatchSGDRegressor(learning_rate="inverse_time", alpha=0.5, eta0=0.1, max_iter=5, tol=None).fit(X, Y)
        found = batch_sharpness(model, X, Y)
        assert found.learning_rate == model.history_["learning_rate"][-1] < 0.1
        assert_allclose(found.limits, 2 / found.learning_rate)

    @pytest.mark.parametrize("solver", ["sgd", "momentum", "nesterov"])
    @pytest.mark.parametrize("m", [0.5, 0.9])
    def test_they_are_where_least_squares_become_unstable(self, solver, m):
        """One row of 1,000 is not 0. Alone, its squares are the batch sharpness, and the noise is far above the
        gradient; with all others, there is no noise. The rates are those of `stability_limit`, from second moments."""
        rows = np.zeros((1000, 1))
        rows[0] = 3.0
        for size, side in ((1, 0), ("full", 1)):
            model = MiniBatchSGDRegressor(
                alpha=0.0, fit_intercept=False, solver=solver, momentum=m, batch_size=size, **FEW
            ).fit(rows, np.ones(1000))  # fmt: skip
            rate = float(stability_limit(model, rows, np.ones(1000)))
            found = batch_sharpness(model, rows, np.ones(1000))
            assert found.value == pytest.approx(9.0 if size == 1 else 0.009)
            assert found.limits[side] * found.learning_rate / rate == pytest.approx(found.value, rel=0.02)

    @pytest.mark.parametrize(("n", "m"), [(10, 0.5), (10, 0.9), (40, 0.9)])
    def test_between_small_and_large_batches_they_are_in_between(self, n, m):
        """``2 (1 - m) / eta + 2 m h / (1 + m)`` in one direction: as docs/diagnostics.md has it."""
        rows = np.zeros((n, 1))
        rows[0] = 3.0
        model = MiniBatchSGDRegressor(
            alpha=0.0, fit_intercept=False, solver="momentum", momentum=m, batch_size=1, **FEW
        ).fit(rows, np.ones(n))  # fmt: skip
        rate = float(stability_limit(model, rows, np.ones(n)))
        limit = 2 * (1 - m) / rate + 2 * m * (9.0 / n) / (1 + m)
        assert batch_sharpness(model, rows, np.ones(n)).value == pytest.approx(limit, rel=1e-4)

    def test_momentum_is_named(self):
        model = MiniBatchSGDRegressor(solver="nesterov", momentum=0.9, **FEW).fit(X, Y)
        found = batch_sharpness(model, X, Y, batch_size=5, random_state=0)
        assert_allclose(found.limits, [2 * 0.1 / 0.01, 2 * 1.9 / 2.8 / 0.01])
        for text in (repr(found), found._repr_html_()):
            assert "2 (1 - m) / learning rate, small batches" in text
            assert "2 (1 + m) / ((1 + 2 m) learning rate), large batches" in text

    @pytest.mark.parametrize(
        "model",
        [
            MiniBatchSGDRegressor(solver="adam", **FEW),
            MiniBatchSGDRegressor(random_state=0),
            MiniBatchSGDRegressor("epsilon_insensitive", learning_rate="pa1", random_state=0),
            MiniBatchMLPRegressor(hidden_layer_sizes=(3,), random_state=0, max_iter=3, tol=None),
            MiniBatchMLPRegressor(hidden_layer_sizes=(3,), random_state=0, max_iter=3, solver="lbfgs"),
        ],
        ids=["adam", "auto", "passive-aggressive", "network's adam", "lbfgs"],
    )
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_no_one_rate_no_limit(self, model):
        found = batch_sharpness(model.fit(X, Y), X, Y, random_state=0)
        assert np.isfinite(found.value)
        assert np.isnan(found.limits).all()
        assert "no limit: learning_rate=" in repr(found)


class TestSamples:
    def test_intervals_hold_the_mean_of_all_batches(self):
        random = np.random.default_rng(1)
        rows = random.standard_normal((300, 3))
        targets = rows @ np.ones(3) + random.standard_normal(300)
        model = MiniBatchSGDRegressor(fit_intercept=False, alpha=0.0, **FEW).fit(rows, targets)
        exact = batch_sharpness(model, rows, targets, batch_size=1).value
        found = [
            batch_sharpness(model, rows, targets, batch_size=1, n_batches=100, random_state=i, confidence=0.9)
            for i in range(150)
        ]
        held = np.mean([low <= exact <= high for low, high in (one.interval for one in found)])
        assert 0.83 < held < 0.97
        assert {one.n_batches for one in found} == {100}

    def test_a_seed_makes_it_reproducible(self, plain):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        first, second, other = (
            batch_sharpness(plain, X, Y, batch_size=7, n_batches=5, random_state=seed).value for seed in (1, 1, None)
        )
        assert first == second != other
        assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    def test_without_n_batches_they_are_those_of_an_epoch_within_bounds(self, plain):
        rows, targets = np.tile(X, (30, 1)), np.tile(Y, 30)
        sizes = {1: 1000, 2: 600, 30: 40, 600: 30, 1199: 30, 1200: 1}
        found = {size: batch_sharpness(plain, rows, targets, batch_size=size, random_state=0) for size in sizes}
        assert {size: one.n_batches for size, one in found.items()} == sizes


class TestResult:
    def test_it_says_what_it_found(self, plain):
        sampled = batch_sharpness(plain, X, Y, batch_size=4, random_state=0, confidence=0.8)
        low, high = sampled.interval
        assert low < sampled.value < high
        for text in (repr(sampled), sampled._repr_html_()):
            assert f"{sampled.value:.3g}, between {low:.3g} and {high:.3g} (0.8 confidence), from 30 batches" in text
            assert "batches of 4 of 40 rows" in text
        assert "exact (1 batch)" in repr(batch_sharpness(plain, X, Y, batch_size="full"))
        assert pickle.loads(pickle.dumps(sampled)).interval == sampled.interval

    def test_no_gradient_no_value(self):
        model = MiniBatchSGDRegressor(alpha=0.0, **FEW).fit(X, np.zeros(40))
        found = batch_sharpness(model, X, np.zeros(40), batch_size=4)
        assert np.isnan([found.value, *found.interval]).all()
        assert "none, for no batch has a gradient" in repr(found)

    def test_the_model_stays_as_it_is(self):
        model = MiniBatchMLPClassifier((3,), dropout=0.3, random_state=0, max_iter=2, tol=None).fit(X, Y > 0)
        before = pickle.dumps(model)
        batch_sharpness(model, X, Y > 0, batch_size=5)
        assert pickle.dumps(model) == before


class TestWrongInput:
    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"batch_size": 0}, "'batch_size' parameter of batch_sharpness must be"),
            ({"batch_size": "auto"}, "'batch_size' parameter"),
            ({"n_batches": 1}, "'n_batches' parameter"),
            ({"confidence": 1.0}, "'confidence' parameter"),
            ({"random_state": "a"}, "'random_state' parameter"),
            ({"sample_weight": -np.ones(40)}, "Negative values in data passed to `sample_weight`"),
        ],
    )
    def test_a_parameter_out_of_range_is_named(self, setting, message, plain):
        with pytest.raises(ValueError, match=message):
            batch_sharpness(plain, X, Y, **setting)

    def test_models_that_cannot_be_looked_at(self, plain):
        with pytest.raises(NotFittedError, match="MiniBatchSGDClassifier is not fitted"):
            batch_sharpness(MiniBatchSGDClassifier(), X, Y > 0)
        with pytest.raises(TypeError, match="StandardScaler"):
            batch_sharpness(StandardScaler().fit(X), X, Y)
        with pytest.raises(ValueError, match="X has 2 features, but MiniBatchSGDRegressor is expecting 3"):
            batch_sharpness(plain, X[:, 1:], Y)
        with pytest.raises(ValueError, match="at least two rows; got 1"):
            batch_sharpness(plain, X[:1], Y[:1])

    def test_batch_normalization(self):
        model = MiniBatchMLPClassifier((3,), batch_normalization=True, max_iter=2, tol=None, random_state=0)
        with pytest.raises(ValueError, match="With batch normalization"):
            batch_sharpness(model.fit(X, Y > 0), X, Y > 0)
