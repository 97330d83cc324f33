"""What a batch, an update and an epoch do: statements that hold exactly, or in expectation over the order of rows."""

from itertools import combinations, product

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDRegressor
from minibatch._problems.batching import sample_order
from minibatch.engine.optimizers import SOLVERS
from minibatch.schedules._named import CYCLES, SCHEDULES

PLAIN = {
    "penalty": None, "fit_intercept": False, "shuffle": False, "learning_rate": "constant", "max_iter": 1, "tol": None,
}  # fmt: skip
random = np.random.default_rng(0)
X = random.standard_normal((24, 3)) * [1.0, 0.5, 2.0] + 0.3
y = X @ [1.0, -2.0, 0.5] + random.standard_normal(24)
H, c = X.T @ X / 24, X.T @ y / 24


class TestOneUpdate:
    """Of least squares, from w, in expectation over all batches that there are."""

    n = 6
    X, y, w = X[:n], y[:n], np.array([0.7, 0.1, -0.4])
    gradients = (X @ w - y)[:, None] * X
    G, H, noise = gradients.mean(axis=0), X.T @ X / n, np.cov(gradients.T, bias=True)

    def loss(self, w):
        return 0.5 * np.mean((self.X @ w - self.y) ** 2)

    def updated(self, batches, eta):
        model = MiniBatchSGDRegressor(**PLAIN, batch_size="full", eta0=eta)
        return np.array([model.fit(self.X[rows], self.y[rows], self.w).coef_ for rows in map(list, batches)])

    def expected_loss(self, batches, eta):
        return np.mean([self.loss(w) for w in self.updated(batches, eta)])

    @pytest.mark.parametrize("eta", [0.01, 0.3, 2.0])
    @pytest.mark.parametrize("batch_size", [1, 2, 3])
    def test_the_loss_after_it(self, batch_size, eta):
        """E F(w - η g) = F - η |G|² + ½ η² (GᵀHG + tr(HΣ) / B), rows drawn with replacement."""
        curved = self.G @ self.H @ self.G + np.trace(self.H @ self.noise) / batch_size
        expected = self.loss(self.w) - eta * self.G @ self.G + 0.5 * eta**2 * curved
        found = self.expected_loss(product(range(self.n), repeat=batch_size), eta)
        assert_allclose(found, expected, rtol=1e-12)

    @pytest.mark.parametrize("batch_size", [1, 3, 5, 6])
    def test_without_replacement_the_noise_has_the_factor_of_finite_populations(self, batch_size):
        """tr(HΣ) / B times (n - B) / (n - 1): none left for all rows."""
        share = (self.n - batch_size) / (self.n - 1)
        curved = self.G @ self.H @ self.G + share * np.trace(self.H @ self.noise) / batch_size
        expected = self.loss(self.w) - 0.3 * self.G @ self.G + 0.5 * 0.3**2 * curved
        assert_allclose(self.expected_loss(combinations(range(self.n), batch_size), 0.3), expected, rtol=1e-12)

    @pytest.mark.parametrize("batch_size", [1, 2, 5, 6])
    def test_its_covariance(self, batch_size):
        """η² Σ / B with replacement, and without η² (S / B) (1 - B / n), where S has the divisor n - 1."""
        without = self.updated(combinations(range(self.n), batch_size), 0.3)
        S = np.cov(self.gradients.T)
        expected = 0.3**2 * S / batch_size * (1 - batch_size / self.n)
        assert_allclose(np.cov(without.T, bias=True), expected, rtol=1e-11, atol=1e-14)
        if batch_size <= 2:
            drawn = self.updated(product(range(self.n), repeat=batch_size), 0.3)
            assert_allclose(np.cov(drawn.T, bias=True), 0.3**2 * self.noise / batch_size, rtol=1e-11)

    @pytest.mark.parametrize("batch_size", [1, 3])
    def test_the_best_rate_and_what_it_gains(self, batch_size):
        """Both grow with the batch as 1 / (1 + B_noise / B), B_noise = tr(HΣ) / GᵀHG."""
        along = self.G @ self.H @ self.G
        share = 1 / (1 + np.trace(self.H @ self.noise) / along / batch_size)
        best, gain = share * self.G @ self.G / along, share * (self.G @ self.G) ** 2 / (2 * along)
        below, at, above = (
            self.expected_loss(product(range(self.n), repeat=batch_size), factor * best) for factor in (0.9, 1.0, 1.1)
        )
        assert_allclose(at, self.loss(self.w) - gain, rtol=1e-12)
        assert_allclose([below, above], at + 0.01 * gain, rtol=1e-10)


@pytest.mark.parametrize("epoch", [0, 5])
def test_every_batch_is_as_likely_as_any_other(epoch):
    """The first and the second batch of 3 out of 7 rows: chi-squared of 35 equal shares, to four standard errors."""
    orders = np.array([sample_order(7, True, seed, epoch) for seed in range(7000)])
    for batch in (orders[:, :3], orders[:, 3:6]):
        _, counts = np.unique(np.sort(batch, axis=1), axis=0, return_counts=True)
        assert len(counts) == 35
        assert abs(np.sum((counts - 200) ** 2 / 200) - 34) < 4 * np.sqrt(2 * 34)


@pytest.mark.parametrize("cut", [[8, 16], [2, 5]], ids=["equal", "unequal"])
@pytest.mark.parametrize("kind", ["linear", "network"])
def test_an_update_with_a_batch_is_the_mean_of_those_with_its_parts_by_their_rows(kind, cut):
    """As in accumulating gradients, from one start, penalty included; parts of 8, 8, 8 and of 2, 3, 19 rows."""
    common = {"alpha": 0.1, "batch_size": "full", "max_iter": 1, "tol": None, "learning_rate": "constant"}

    def after(rows):
        if kind == "linear":
            model = MiniBatchSGDRegressor("huber", eta0=0.3, **common).fit(X[rows], y[rows], [0.5, -1.0, 0.2], [0.1])
            return np.append(model.coef_, model.intercept_)
        model = MiniBatchMLPRegressor(
            hidden_layer_sizes=(4,),
            activation="tanh",
            solver="sgd",
            learning_rate_init=0.3,
            random_state=0,
            **common,
        ).fit(X[rows], y[rows])
        return np.concatenate([part.ravel() for part in (*model.coefs_, *model.intercepts_)])

    parts, whole = np.split(np.arange(24), cut), after(slice(None))
    updated = [after(rows) for rows in parts]
    assert_allclose(np.average(updated, axis=0, weights=[len(rows) for rows in parts]), whole, rtol=1e-11)
    assert np.allclose(np.mean(updated, axis=0), whole) == (cut == [8, 16])  # without their rows, for equal parts alone


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_full_batches_are_gradient_descent_with_every_schedule(schedule):
    """w <- w - η_t (H w - c + α w), and no shuffling changes a bit of it."""
    parameters = {"learning_rate": schedule, "alpha": 0.01, "eta0": 0.05, "max_iter": 20, "tol": None}
    if schedule in CYCLES or schedule in ("cosine", "step"):
        parameters |= {"cycle_length": 8}
    model = MiniBatchSGDRegressor(batch_size="full", fit_intercept=False, random_state=0, **parameters).fit(X, y)
    w, rates = np.zeros(3), model.history_["learning_rate"]
    assert len(np.unique(rates)) > 1 or schedule in ("constant", "adaptive")
    for eta in rates:
        w = w - eta * (H @ w - c + 0.01 * w)
    assert_allclose(model.coef_, w, rtol=1e-10)
    unshuffled = MiniBatchSGDRegressor(batch_size=24, fit_intercept=False, shuffle=False, random_state=0, **parameters)
    unshuffled.fit(X, y)
    assert_array_equal(unshuffled.coef_, model.coef_)


def test_sparse_rows_are_textbook_steps_after_ten_thousand_updates():
    """Weights are kept as a number times a vector, and that number shrinks to e^-300 here: it has to be put in at
    times. Against w <- (1 - η α) w - η (x · w - y) x, one row after the other."""
    n, d, eta, alpha = 10_000, 20, 0.1, 0.3
    rows = sp.random_array((n, d), density=0.1, rng=np.random.default_rng(1), format="csr")
    targets = 3 * np.random.default_rng(2).standard_normal(n)
    w = np.zeros(d)
    for x, target in zip(rows.toarray(), targets, strict=True):
        w = (1 - eta * alpha) * w - eta * (x @ w - target) * x
    model = MiniBatchSGDRegressor(**{**PLAIN, "penalty": "l2"}, alpha=alpha, batch_size=1, eta0=eta)
    for layout in (rows, rows.toarray()):
        assert_allclose(model.fit(layout, targets).coef_, w, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("solver", ["sgd", "nesterov", "adam"])
@pytest.mark.parametrize(("batch_size", "average"), [(1, True), (4, 12), (4, 10), (5, 30)])
def test_an_average_is_the_mean_of_the_iterates_from_its_start_on(batch_size, average, solver, layout):
    """From the update on that has seen ``average`` rows, in the first epoch or in a later one."""
    parameters = {**PLAIN, "fit_intercept": True, "eta0": 0.05, "solver": solver, "batch_size": batch_size}
    one_by_one, iterates, seen = MiniBatchSGDRegressor(**parameters), [], 0
    for _ in range(2):
        for first in range(0, 24, batch_size):
            rows = slice(first, first + batch_size)
            one_by_one.partial_fit(layout(X[rows]), y[rows])
            seen += len(X[rows])
            if seen >= average:
                iterates.append(np.append(one_by_one.coef_, one_by_one.intercept_))
    parameters |= {"average": average, "max_iter": 2}
    model = MiniBatchSGDRegressor(**parameters).fit(layout(X), y)
    assert_allclose(np.append(model.coef_, model.intercept_), np.mean(iterates, axis=0), rtol=1e-11)


@pytest.mark.parametrize("solver", [s for s in SOLVERS if s.startswith("adam") or s in ("adagrad", "rmsprop")])
def test_solvers_that_scale_the_gradient_do_not_see_the_scale_of_the_loss(solver):
    """c times the loss is the same path where epsilon is nothing and there is no penalty."""
    parameters = {**PLAIN, "solver": solver, "adam_epsilon": 1e-300, "batch_size": 4, "eta0": 0.05}
    found = []
    for scale in (1.0, 4.0, 1000.0):
        model = MiniBatchSGDRegressor(**parameters)
        for _ in range(5):
            model.partial_fit(X, y, sample_weight=np.full(24, scale))
        found.append(model.coef_)
    assert_array_equal(found[1], found[0])  # powers of two do not even round
    assert_allclose(found[2], found[0], rtol=1e-11)


class TestProgressiveLoss:
    """Rows are predicted before they are trained on: in the first epoch, as rows never seen."""

    d, n, batch_size, n_outputs, sigma = 8, 60, 6, 30, 1.0

    @pytest.fixture(scope="class")
    @classmethod
    def differences(cls):
        """The progressive loss less the expected loss on new rows along the path; (experiments, epochs).

        For normal rows of unit variance and noise σ the latter is ½ (|w - w*|² + σ²), summed over the outputs."""
        random, found = np.random.default_rng(3), []
        parameters = {**PLAIN, "eta0": 0.1, "batch_size": cls.batch_size}
        for _ in range(40):
            truth = 0.3 * random.standard_normal((cls.n_outputs, cls.d))
            X = random.standard_normal((cls.n, cls.d))
            Y = X @ truth.T + cls.sigma * random.standard_normal((cls.n, cls.n_outputs))
            progressive = MiniBatchSGDRegressor(**{**parameters, "max_iter": 3}).fit(X, Y).history_["progressive_loss"]
            model, on_new_rows, w = MiniBatchSGDRegressor(**parameters), np.zeros(3), np.zeros_like(truth)
            for epoch in range(3):
                for rows in np.split(np.arange(cls.n), cls.n // cls.batch_size):
                    loss = 0.5 * (np.sum((w - truth) ** 2) + cls.n_outputs * cls.sigma**2)
                    on_new_rows[epoch] += loss * cls.batch_size / cls.n
                    w = model.partial_fit(X[rows], Y[rows]).coef_
            found.append(progressive - on_new_rows)
        return np.array(found)

    def test_in_the_first_epoch_it_is_that_of_new_rows_on_average(self, differences):
        error = differences[:, 0].std(ddof=1) / np.sqrt(len(differences))
        assert abs(differences[:, 0].mean()) < 4 * error
        assert 4 * error < -differences[:, 1].mean()  # small enough to tell a bias

    def test_from_the_second_on_it_is_too_low(self, differences):
        errors = differences[:, 1:].std(axis=0, ddof=1) / np.sqrt(len(differences))
        assert (differences[:, 1:].mean(axis=0) < -4 * errors).all()
