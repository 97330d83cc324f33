"""steps_to_target: counts against NumPy, closed forms and plain fits, and what is said of every trial."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import fit_steps_to_target, steps_to_target
from references.steps import PLAIN, RATES, looks, losses_of, trials


@pytest.mark.parametrize("momenta", [(0.0,), (0.0, 0.5, 0.9)], scope="class")
class TestAgainstNumPy:
    sizes, max_updates = (1, 10, 53), 3000

    @pytest.fixture(scope="class")
    @classmethod
    def result(cls, quadratic, momenta):
        return steps_to_target(
            clone(PLAIN).set_params(solver="momentum"), *quadratic, batch_sizes=[10, 1, "full"], learning_rates=RATES,
            momenta=momenta, target={"train_loss": 1e-3}, max_updates=cls.max_updates,
        )  # fmt: skip

    @pytest.fixture(scope="class")
    @classmethod
    def losses(cls, quadratic, momenta):
        """At the looks, by batch size, rate and momentum."""
        combinations = product(cls.sizes, RATES, momenta)
        return {which: losses_of(*quadratic, *which, cls.max_updates)[looks(cls.max_updates)] for which in combinations}

    def first(self, here):
        return looks(self.max_updates)[np.argmax(here)] if here.any() else np.inf

    def test_counts_are_the_first_looks_at_which_gradient_descent_is_there(self, result, losses):
        assert_array_equal(result.batch_sizes, self.sizes)
        needed = {which: self.first(values <= 1e-3) for which, values in losses.items()}
        for i, size in enumerate(self.sizes):
            fewest = min(count for (of, *_), count in needed.items() if of == size)
            assert result.updates[i] == fewest
            assert needed[size, result.learning_rates[i], result.momenta[i]] == fewest
            n_batches = -(-53 // size)
            assert result.samples[i] == fewest // n_batches * 53 + fewest % n_batches * size
            assert result.epochs[i] == pytest.approx(fewest / n_batches)

    def test_of_equal_counts_the_one_furthest_beyond_the_target_is_best(self, result, losses):
        at = np.searchsorted(looks(self.max_updates), result.updates)
        for i, size in enumerate(self.sizes):
            best = losses[size, result.learning_rates[i], result.momenta[i]][at[i]]
            assert best == min(values[at[i]] for (of, *_), values in losses.items() if of == size)

    def test_every_trial_says_how_it_ended(self, quadratic, result, losses):
        first_loss = 0.5 * np.mean(quadratic[1] ** 2)
        for which, values in losses.items():
            names = ("batch_size", "learning_rate", "momentum")
            (status,), (updates,), (done,) = trials(result, **dict(zip(names, which, strict=True)))
            reached, diverged = self.first(values <= 1e-3), self.first(values > 1001 * first_loss)
            fewest = result.updates[self.sizes.index(which[0])]
            if status == "reached":
                assert fewest <= updates == done == reached
            elif status == "pruned":
                assert done < diverged
                assert reached > fewest
            else:
                assert (status, done) == ("diverged", diverged)
        assert {"reached", "pruned", "diverged"} == set(result.trials["status"])


class TestFit:
    def test_the_fit_is_that_of_the_counts(self, quadratic):
        arguments = {"learning_rates": RATES, "target": ("train_loss", 1e-3), "max_updates": 3000}
        result = steps_to_target(PLAIN, *quadratic, batch_sizes=[1, 4, 10, 30], confidence=0.8, **arguments)
        fit = fit_steps_to_target([1, 4, 10, 30], result.updates, confidence=0.8)
        assert (result.critical_batch_size, result.interval) == (fit.critical_batch_size, fit.interval)
        assert repr(result.fit) == repr(fit)


class TestIsotropicLeastSquares:
    """Fresh rows from a standard normal distribution, no noise: the squared error shrinks by ``1 - 2 eta +
    eta^2 (1 + (d + 1) / B)`` an update, least at ``eta = B / (B + d + 1)``, where it is ``(d + 1) / (B + d + 1)``."""

    d, sizes = 63, np.array([1, 8, 64, 512])

    @pytest.fixture(scope="class")
    @classmethod
    def result(cls):
        X = np.random.default_rng(0).standard_normal((6000, cls.d))
        best = cls.sizes / (cls.sizes + cls.d + 1)
        sgd = MiniBatchSGDRegressor(penalty=None, learning_rate="constant", fit_intercept=False)
        start = 0.5 * np.mean(X.sum(axis=1) ** 2)
        return steps_to_target(
            sgd, X, X.sum(axis=1), batch_sizes=cls.sizes, learning_rates=np.outer(best, [0.5, 1, 1.8]).ravel(),
            target=("train_loss", 1e-4 * start), max_updates=20_000, n_repeats=3, random_state=0,
        )  # fmt: skip

    def test_updates_follow_the_closed_form(self, result):
        """To four standard errors of a median of three and the resolution. The logarithm of the error has the variance
        ``2 / B`` times the square of its mean step, and, by the convexity of the logarithm, is 2 / d lower."""
        updates = np.log(1e4) / np.log1p(self.sizes / (self.d + 1))
        errors = 4 * 1.25 * np.sqrt(2 / (updates * self.sizes * 3)) + 0.04 + 2 / self.d
        assert (np.abs(result.updates / updates - 1) <= errors + 1 / updates).all()
        assert (result.epochs <= 1).all()

    def test_each_size_is_at_its_own_rate(self, result):
        assert_allclose(result.learning_rates, self.sizes / (self.sizes + self.d + 1))
        assert not result.at_edge.any()

    def test_regimes_are_those_of_the_slopes(self, result):
        assert_allclose(result.slopes, np.gradient(np.log(result.updates), np.log(result.batch_sizes)))
        assert result.regimes == ["perfect scaling"] * 2 + ["diminishing returns"] * 2
        assert 8 < result.critical_batch_size < 4 * (self.d + 1)


def value_of(name, model, X, y, X_test, y_test):
    """The recorded quantity of a fitted classifier."""
    if name == "gradient_norm":
        return model.history_["gradient_norm"][-1]
    part = (X, y) if name.startswith("train") else (X_test, y_test)
    return model._loss(*part) if name.endswith("loss") else model.score(*part)


TARGETS = {"test_score": 0.95, "train_score": 0.95, "test_loss": 0.15, "train_loss": 0.15, "gradient_norm": 0.05}


class TestAgainstFits:
    """A plain fit at the best rate meets the target after so many updates, and not at the look before."""

    def assert_first_there(self, estimator, result, name, value, data):
        for size, updates, rate in zip(result.batch_sizes, result.updates, result.learning_rates, strict=True):
            before = looks(int(updates))[-2] if updates > 1 else None
            for count in (updates, before):
                if count is None:
                    continue
                model = clone(estimator).set_params(batch_size=int(size), max_updates=int(count), tol=None)
                model.set_params(learning_rate="constant", evaluate_every=1, **{estimator._rate_parameter: rate})
                found = value_of(name, model.fit(*data[:2]), *data)
                reached = found >= value if name.endswith("score") else found <= value
                assert reached == (count == updates)

    @pytest.mark.parametrize("name", TARGETS)
    def test_every_quantity(self, cancer, name):
        X, y = cancer
        data = X[:400], y[:400], X[400:], y[400:]
        sgd = MiniBatchSGDClassifier("log_loss", learning_rate="constant", random_state=3)
        sizes = ["full"] if name == "gradient_norm" else [16, "full"]
        result = steps_to_target(
            sgd, *data[:2], batch_sizes=sizes, learning_rates=[0.003, 0.01, 0.03], target={name: TARGETS[name]},
            max_updates=2000, X_test=data[2], y_test=data[3],
        )  # fmt: skip
        assert (result.updates > 1).any()
        self.assert_first_there(sgd, result, name, TARGETS[name], data)

    def test_a_number_is_a_test_score(self, cancer):
        X, y = cancer
        more = {"batch_sizes": [50], "learning_rates": [0.01], "max_updates": 100, "X_test": X, "y_test": y}
        sgd = MiniBatchSGDClassifier("log_loss", learning_rate="constant", random_state=0)
        one, other = (steps_to_target(sgd, X, y, target=target, **more) for target in (0.95, {"test_score": 0.95}))
        assert repr(one) == repr(other)
        assert str(one.target) == "test_score >= 0.95"

    @pytest.mark.parametrize("solver", ["adam", "sgd"])
    def test_a_network(self, digits, solver):
        network = MiniBatchMLPClassifier((10,), learning_rate="constant", solver=solver, random_state=5)
        result = steps_to_target(
            network, *digits, batch_sizes=[20, 100], learning_rates=[0.003, 0.01, 0.03],
            momenta=[0.9] if solver == "sgd" else None, target=("train_loss", 0.5), max_updates=1000,
        )  # fmt: skip
        self.assert_first_there(network, result, "train_loss", 0.5, digits * 2)
