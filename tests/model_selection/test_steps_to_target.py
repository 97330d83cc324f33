"""steps_to_target: counts against NumPy and closed forms, what is said of every trial, and what it refuses."""

import copy
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import fit_steps_to_target, steps_to_target

PLAIN = MiniBatchSGDRegressor(alpha=0, fit_intercept=False, shuffle=False)
RATES = (0.01, 0.03, 0.1, 0.3, 1.0)


@pytest.fixture(scope="module")
def quadratic():
    """Least squares without noise, curvatures from 0.2 to 2."""
    random = np.random.default_rng(0)
    X = random.standard_normal((53, 6)) * np.sqrt(np.linspace(0.2, 2, 6))
    return X, X @ np.ones(6)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:400] / 16, y[:400]


def losses_of(X, y, batch_size, rate, momentum, n_updates):
    """The training loss before the first and after every update of gradient descent, rows in their order; infinite
    from where it is ten thousand times the first."""
    w, v, losses, start = np.zeros(X.shape[1]), 0.0, np.full(n_updates + 1, np.inf), 0
    for update in range(n_updates + 1):
        losses[update] = 0.5 * np.mean((X @ w - y) ** 2)
        if losses[update] > 1e4 * losses[0]:
            break
        rows = slice(start, start + batch_size)
        v = momentum * v + X[rows].T @ (X[rows] @ w - y[rows]) / len(y[rows])
        w = w - rate * v
        start = 0 if start + batch_size >= len(y) else start + batch_size
    return losses


def looks(n_updates):
    """When the training is looked at: each look is at most 4 % after the last one, or the next update."""
    number, found = 0, []
    while number < n_updates:
        number = min(n_updates, max(number + 1, int(number * 1.04 + 1e-9)))
        found.append(number)
    return np.array(found)


def trials(result, **where):
    """Status, updates and updates done of the trials with these values."""
    here = np.all([result.trials[name] == value for name, value in where.items()], axis=0)
    return [result.trials[name][here] for name in ("status", "updates", "n_updates")]


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
                assert fewest <= done < diverged
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
        sgd = MiniBatchSGDRegressor(penalty=None, fit_intercept=False)
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
        sgd = MiniBatchSGDClassifier("log_loss", random_state=3)
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
        sgd = MiniBatchSGDClassifier("log_loss", random_state=0)
        one, other = (steps_to_target(sgd, X, y, target=target, **more) for target in (0.95, {"test_score": 0.95}))
        assert repr(one) == repr(other)
        assert str(one.target) == "test_score >= 0.95"

    @pytest.mark.parametrize("solver", ["adam", "sgd"])
    def test_a_network(self, digits, solver):
        network = MiniBatchMLPClassifier((10,), solver=solver, random_state=5)
        result = steps_to_target(
            network, *digits, batch_sizes=[20, 100], learning_rates=[0.003, 0.01, 0.03],
            momenta=[0.9] if solver == "sgd" else None, target=("train_loss", 0.5), max_updates=1000,
        )  # fmt: skip
        self.assert_first_there(network, result, "train_loss", 0.5, digits * 2)


class TestSearch:
    arguments = {"batch_sizes": [8, 64], "target": {"train_loss": 0.3}, "max_updates": 600, "random_state": 1}
    network = MiniBatchMLPClassifier((8,), solver="momentum")

    @pytest.mark.parametrize("n_repeats", [1, 4])
    def test_stopping_trials_early_changes_no_count(self, digits, n_repeats):
        """Alone, a rate has nothing to be compared with, and runs to the end."""
        rates = [0.003, 0.03, 0.1, 0.3, 1.0]
        arguments = self.arguments | {"n_repeats": n_repeats}
        together = steps_to_target(self.network, *digits, learning_rates=rates, **arguments)
        alone = [steps_to_target(self.network, *digits, learning_rates=[rate], **arguments) for rate in rates]
        assert_array_equal(together.updates, np.nanmin([one.updates for one in alone], axis=0))
        for one in alone:
            counts = one.trials["updates"].reshape(2, n_repeats)
            done = np.sort(np.where(np.isnan(counts), np.inf, counts), axis=1)[:, n_repeats // 2]
            assert_array_equal(np.where(np.isnan(one.updates), np.inf, one.updates), done)

    @pytest.mark.parametrize("target", [("train_loss", 0.5), ("train_score", 0.7)])
    def test_of_equal_counts_the_one_furthest_beyond_the_target_is_best(self, target):
        """One update leaves ``1 - eta`` of the error: rates on both sides of 1 arrive, that in the middle at 0."""
        X = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        result = steps_to_target(
            PLAIN, X, X @ [1, 2], batch_sizes=["full"], learning_rates=[0.6, 1.0, 1.4], target=target, max_updates=9
        )
        assert result.trials["updates"].tolist() == [1, 1, 1]
        assert result.learning_rates == 1.0

    def test_trials_that_are_stopped_are_not_said_to_be_at_their_limit(self, quadratic):
        arguments = {"batch_sizes": [10], "learning_rates": [0.01, 0.1], "target": ("train_loss", 1e-3)}
        (fewest,) = steps_to_target(PLAIN, *quadratic, max_updates=10_000, **arguments).updates
        for more, status in ((1, "pruned"), (0, "censored")):
            result = steps_to_target(PLAIN, *quadratic, max_updates=int(fewest) + more, **arguments)
            assert trials(result, learning_rate=0.01)[0] == [status]
            assert result.updates == [fewest]

    def test_repeats_have_their_own_seeds_and_share_them_with_all_others(self, digits):
        result = steps_to_target(
            self.network, *digits, learning_rates=[1e-9, 1e-8], **(self.arguments | {"max_updates": 1, "n_repeats": 3})
        )
        values = result.trials["value"].reshape(4, 3)
        assert len(set(np.round(values[0], 5))) == 3  # three networks that have hardly moved
        assert_allclose(values, np.tile(values[0], (4, 1)), rtol=1e-5)

    def test_rates_that_never_arrive_cost_little_however_many_updates_are_allowed(self, cancer):
        result = steps_to_target(
            MiniBatchSGDClassifier("log_loss", random_state=0), *cancer, batch_sizes=[4],
            learning_rates=[1e-9, 0.01, 30.0], target=("train_loss", 0.15), max_updates=10**9,
        )  # fmt: skip
        status, _, done = trials(result, batch_size=4)
        assert sorted(status) == ["pruned", "pruned", "reached"]
        assert done.max() <= 4 * result.updates[0]

    def test_results_do_not_depend_on_n_jobs(self, digits):
        one, two = (
            steps_to_target(self.network, *digits, learning_rates=[0.01, 0.1], n_jobs=n, **self.arguments)
            for n in (1, 2)
        )
        assert one.to_frame("trials").equals(two.to_frame("trials"))
        assert repr(one) == repr(two)

    def test_a_seed_repeats_and_none_leaves_numpy_alone(self, digits):
        more = {"learning_rates": [0.03], "n_repeats": 2}
        one, two = (steps_to_target(self.network, *digits, **more, **self.arguments) for _ in range(2))
        assert repr(one) == repr(two)
        before = np.random.mtrand._rand.get_state()[1].copy()
        steps_to_target(self.network, *digits, **more, **(self.arguments | {"random_state": None}))
        assert_array_equal(np.random.mtrand._rand.get_state()[1], before)


class TestSurroundings:
    arguments = {"batch_sizes": [10, 53], "learning_rates": RATES, "target": ("train_loss", 1e-3), "max_updates": 3000}

    def test_the_estimator_is_as_before(self, quadratic):
        model = make_pipeline(StandardScaler(), clone(PLAIN)).fit(*quadratic)
        before = copy.deepcopy(vars(model[-1]))
        mean = model[0].mean_.copy()
        steps_to_target(model, quadratic[0] + 1, quadratic[1], **(self.arguments | {"max_updates": 50}))
        assert_array_equal(model[0].mean_, mean)
        assert vars(model[-1]).keys() == before.keys()
        assert_array_equal(model[-1].coef_, before["coef_"])
        assert model[-1].history_.to_frame().equals(before["history_"].to_frame())

    @pytest.mark.parametrize(
        "parameters",
        [
            {"learning_rate": "invscaling", "eta0": 7.0, "early_stopping": True, "average": True, "max_iter": 1},
            {"learning_rate": "constant", "learning_rate_scaling": "linear", "warmup": 3.0},
            {"batch_growth": 2.0, "batch_growth_interval": 1},
            {
                "learning_rate": "adaptive",
                "eta0": "auto",
                "tol": 1.0,
                "max_updates": 3,
                "verbose": 1,
                "warm_start": True,
            },
        ],
    )
    def test_how_it_would_stop_and_change_its_rate_and_batch_does_not_count(self, quadratic, parameters, capsys):
        other = clone(PLAIN).set_params(**parameters)
        plain, same = (steps_to_target(sgd, *quadratic, **self.arguments) for sgd in (PLAIN, other))
        assert repr(plain) == repr(same)
        assert capsys.readouterr().out == ""

    def test_nor_that_of_a_network(self, quadratic):
        network = MiniBatchMLPClassifier((3,), solver="sgd", random_state=0)
        other = clone(network).set_params(learning_rate="adaptive", learning_rate_init=5.0, early_stopping=True)
        arguments = self.arguments | {"target": ("train_score", 0.9)}
        plain, same = (steps_to_target(one, quadratic[0], quadratic[1] > 0, **arguments) for one in (network, other))
        assert repr(plain) == repr(same)

    def test_a_pipeline_is_its_last_step_on_transformed_rows(self, cancer):
        X, y = load_breast_cancer(return_X_y=True)
        sgd = MiniBatchSGDClassifier("log_loss", random_state=0)
        arguments = {"batch_sizes": [32], "learning_rates": [0.01, 0.1], "target": 0.95, "max_updates": 500}
        scaler = StandardScaler().fit(X[:300])
        inside = steps_to_target(
            make_pipeline(StandardScaler(), sgd), X[:300], y[:300], X_test=X[300:], y_test=y[300:], **arguments
        )
        outside = steps_to_target(
            sgd, scaler.transform(X[:300]), y[:300], X_test=scaler.transform(X[300:]), y_test=y[300:], **arguments
        )
        assert repr(inside) == repr(outside)
        assert inside.updates[0] < 500

    def test_a_weight_is_a_repeated_row(self, quadratic):
        X, y = quadratic
        weight = np.arange(53) % 3 + 1
        arguments = self.arguments | {"batch_sizes": ["full"]}
        weighted = steps_to_target(PLAIN, X, y, sample_weight=weight, **arguments)
        repeated = steps_to_target(PLAIN, np.repeat(X, weight, axis=0), np.repeat(y, weight), **arguments)
        assert_array_equal(weighted.trials["updates"], repeated.trials["updates"])
        assert_allclose(weighted.trials["value"], repeated.trials["value"], rtol=1e-8)
        assert weighted.updates != steps_to_target(PLAIN, X, y, **arguments).updates

    def test_sparse_rows(self, quadratic):
        X, y = quadratic
        dense, sparse = (steps_to_target(PLAIN, rows, y, **self.arguments) for rows in (X, sp.csr_matrix(X)))
        assert_array_equal(sparse.trials["updates"], dense.trials["updates"])

    def test_sizes_that_come_to_the_same_are_one(self, quadratic):
        result = steps_to_target(PLAIN, *quadratic, **(self.arguments | {"batch_sizes": ["full", 100, 0.5, 26, 53]}))
        assert result.batch_sizes.tolist() == [26, 53]


class TestClassesThatTheTrainingPartLacks:
    @pytest.fixture(params=["linear", "network"])
    def task(self, request):
        X, y = load_digits(return_X_y=True)
        X, y = X[:400] / 16, np.array(list("abcdefghij"))[y[:400]]
        model = MiniBatchSGDClassifier() if request.param == "linear" else MiniBatchMLPClassifier((8,), solver="sgd")
        known = y != "j"
        arguments = {"batch_sizes": [20], "learning_rates": [0.1], "max_updates": 500, "random_state": 0}
        return model, (X[known], y[known]), {**arguments, "X_test": X, "y_test": y}

    def test_their_rows_are_errors_of_the_test_score(self, task):
        model, rows, arguments = task
        share = np.mean(arguments["y_test"] != "j")
        known = arguments | {"X_test": rows[0], "y_test": rows[1]}
        expected = steps_to_target(model, *rows, **known, target=0.8)
        assert_array_equal(expected.trials["status"], "reached")
        with pytest.warns(
            UserWarning, match=r"y_test has classes that y lacks \('j'\): the test score counts .* errors"
        ):
            found = steps_to_target(model, *rows, **arguments, target=0.8 * share - 1e-12)
        assert_array_equal(found.updates, expected.updates)

    def test_they_have_no_test_loss(self, task):
        model, rows, arguments = task
        with pytest.raises(ValueError, match=r"y_test has classes that y lacks \('j'\).* or give a target that counts"):
            steps_to_target(model, *rows, **arguments, target=("test_loss", 0.1))

    def test_a_target_of_training_rows_does_not_look_at_them(self, task):
        model, rows, arguments = task
        steps_to_target(model, *rows, **arguments, target=("train_loss", 1.0))
