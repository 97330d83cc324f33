"""``learning_rate="auto"`` of the linear models, as users meet it. The rule itself: engine/test_dual_averaging.py."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.preprocessing import scale

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._problems import dual_averaging
from minibatch._problems.dual_averaging import DualAveragingProblem

N, D = 120, 5
rng = np.random.default_rng(0)
X = rng.choice([-1.0, 1.0], (N, D))  # whatever the rows, all columns have the unit 1
y = X @ [1.0, -2.0, 0.5, 0.0, 0.3] + 0.4 + 0.3 * rng.standard_normal(N)
Y, sides = np.c_[y, X[:, 0] - y], (y > 0.0).astype(int)
PLAIN = {"shuffle": False, "tol": None, "random_state": 0}
BATCH_SIZES = [1, 7, 32, "full"]
cancer = (scale(load_breast_cancer().data), load_breast_cancer().target)
diabetes = (scale(load_diabetes().data), scale(load_diabetes().target))


def regressor(**parameters):
    return MiniBatchSGDRegressor(**{**PLAIN, "batch_size": 7, "max_iter": 3, **parameters})


def theta(model):
    return np.c_[np.atleast_2d(model.coef_), model.intercept_]


# ---------------------------------------------------------------------- every batch size stands alone


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_a_logistic_regression_comes_near_its_optimum_at_every_batch_size(batch_size):
    """Of what there is to gain above the best constant; the same number of epochs, and nothing tuned."""
    rows, target = cancer
    alpha, epochs = 1e-2, 100 if batch_size == "full" else 20
    model = MiniBatchSGDClassifier("log_loss", alpha=alpha, batch_size=batch_size, max_iter=epochs, **PLAIN)
    model.fit(rows, target)
    best = LogisticRegression(C=1.0 / (alpha * len(target)), tol=1e-10, max_iter=10_000).fit(rows, target)

    def objective(fitted):
        return log_loss(target, fitted.predict_proba(rows)) + 0.5 * alpha * (fitted.coef_**2).sum()

    constant = log_loss(target, np.full(len(target), target.mean()))
    assert (objective(model) - objective(best)) / (constant - objective(best)) < 0.01


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_units_of_columns_and_of_y_change_nothing(batch_size, unit):
    """But for the penalty, which is left out: the model of other units is that of these. Powers of two: no rounding."""
    rows, target = diabetes
    units, of_y = 2.0 ** np.round(np.log2(unit) * np.linspace(-1, 1, rows.shape[1])), 2.0 ** np.round(np.log2(unit))
    model = regressor(penalty=None, batch_size=batch_size, fit_intercept=False)
    here, there = (theta(model.fit(*data))[0].copy() for data in ((rows, target), (rows * units, target * of_y)))
    assert_allclose(there[:-1] * units / of_y, here[:-1], rtol=1e-9)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_raw_columns_train(batch_size):
    rows, target = load_diabetes(scaled=False, return_X_y=True)
    ridge = Ridge(alpha=1e-4 * len(target)).fit(rows, target).score(rows, target)
    assert regressor(batch_size=batch_size, max_iter=200).fit(rows, target).score(rows, target) > 0.5 * ridge


def test_there_is_no_first_rate():
    model = regressor().fit(X, y)
    assert np.isnan(model.eta0_)
    assert (model.history_["learning_rate"] > 0.0).all()


# ---------------------------------------------------------------------- going on


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("penalty", ["l2", "l1", None])
def test_a_warm_start_goes_on(batch_size, penalty):
    parameters = {"batch_size": batch_size, "penalty": penalty, "alpha": 0.01}
    warm = regressor(**parameters, max_iter=2, warm_start=True).fit(X, Y).fit(X, Y)
    assert_allclose(theta(warm), theta(regressor(**parameters, max_iter=4).fit(X, Y)), rtol=1e-9, atol=1e-12)


def test_a_stream_is_one_long_run():
    """Of chunks whose columns have one unit; saved and loaded on the way, dense or sparse."""
    dense, sparse = regressor(), regressor()
    for start in range(0, N, 30):
        chunk = slice(start, start + 30)
        dense = pickle.loads(pickle.dumps(dense)).partial_fit(X[chunk], y[chunk])
        sparse.partial_fit(sp.csr_array(X[chunk]), y[chunk])
    assert_allclose(theta(sparse), theta(dense), rtol=1e-9)
    assert dense._optimizer.n_updates == 4 * 5
    assert dense._optimizer.moments.weight == N
    assert_array_equal(dense._optimizer.moments.squares, np.full(D, N))
    assert dense.score(X, y) > regressor().partial_fit(X[:30], y[:30]).score(X, y)


class TestShortChunksOfALongStream:
    """Scales of columns stay as they are until the rows have grown by a sixteenth."""

    UNITS = np.array([1.0, 30.0, 1.0, 0.01, 1.0])
    ROWS = np.random.default_rng(1).standard_normal((N, D)) * UNITS

    def stream(self):
        return regressor().partial_fit(self.ROWS, y)

    def scales_seen(self, model, n_chunks, saved=False):
        """Along chunks of two rows: the rows whose scales each was trained with."""
        seen = []
        for i in range(n_chunks):
            model = pickle.loads(pickle.dumps(model)) if saved else model
            model.partial_fit(self.ROWS[2 * i : 2 * i + 2], y[2 * i : 2 * i + 2])
            seen.append(model._optimizer.scaled_by.weight)
        return model, seen

    def test_scales_are_looked_at_when_the_rows_have_grown_by_a_sixteenth(self):
        _, seen = self.scales_seen(self.stream(), 9)
        assert seen == [120, 120, 120, 128, 128, 128, 128, 128, 138]

    def test_a_saved_model_goes_on_with_the_same_scales(self):
        (saved, there), (live, here) = (self.scales_seen(self.stream(), 9, saved) for saved in (True, False))
        assert there == here
        assert_array_equal(theta(saved), theta(live))

    def test_weights_are_near_those_with_scales_of_all_rows(self, monkeypatch):
        lagging, _ = self.scales_seen(self.stream(), 20)
        monkeypatch.setattr(dual_averaging, "still_scales", lambda *_: False)
        current, seen = self.scales_seen(self.stream(), 20)
        assert seen == [N + 2 * i for i in range(1, 21)]
        difference = (lagging.coef_ - current.coef_) * self.UNITS
        assert 0.0 < np.linalg.norm(difference) < np.linalg.norm(current.coef_ * self.UNITS) / 16

    @pytest.mark.parametrize("column", [0, 3])
    def test_a_column_whose_values_grow_a_millionfold_does_not_wait(self, column):
        model, rows = self.stream(), self.ROWS[:2].copy()
        rows[:, column] *= 1e6
        model.partial_fit(rows, y[:2])
        assert model._optimizer.scaled_by is model._optimizer.moments
        assert np.isfinite(theta(model)).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from(["l2", "l1", "elasticnet", None]), st.sampled_from([1, 7, 120]))
def test_other_scales_leave_the_weights_as_they_are(seed, penalty, batch_size):
    model = regressor(penalty=penalty, alpha=0.02, batch_size=batch_size).fit(X, Y)
    problem = DualAveragingProblem.of(model._new_problem(X, Y, None), None)
    state = problem.new_state(np.zeros(problem.n_parameters), False)
    state.remember(model._optimizer.slots, model._optimizer.n_updates, model._optimizer.scalars)
    before = problem.model_of(state)
    assert_allclose(before, model._fitted_theta(problem), rtol=1e-12, atol=1e-14)
    units = 10.0 ** np.random.default_rng(seed).uniform(-6, 6, D)
    other = replace(problem, moments=problem.moments._replace(squares=problem.moments.squares * units**2))
    other.rewrite(state, problem.scales)
    assert_allclose(other.model_of(state), before, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_a_stream_whose_units_grow_stays_finite(batch_size):
    stream = regressor(batch_size=batch_size)
    for power in range(0, 40, 4):
        stream.partial_fit(X * np.ldexp(1.0, power), y)
        assert np.isfinite(theta(stream)).all()


def test_changed_weights_are_where_it_begins_anew():
    changed, fresh = regressor().partial_fit(X, y), regressor().partial_fit(X, y)
    changed.partial_fit(X, y)
    changed.coef_ = np.array([1.0, -2.0, 0.5, 0.0, 0.3])
    changed.intercept_ = np.array([0.4])
    fresh = regressor(max_iter=1).fit(X, y, coef_init=changed.coef_, intercept_init=changed.intercept_)
    assert_allclose(theta(changed.partial_fit(X, y)), theta(fresh), rtol=1e-12)


def test_a_new_penalty_is_where_it_begins_anew():
    """The memory stands for other weights with it."""
    model = regressor(penalty=None).partial_fit(X, y)
    model.set_params(penalty="l1", alpha=0.1).partial_fit(X, y)
    assert model._optimizer.n_updates == -(-N // 7)


def test_batches_that_grow():
    model = regressor(batch_size=4, batch_growth=2.0, batch_growth_interval=1, max_iter=6).fit(X, y)
    assert model.history_["batch_size"].tolist() == [4, 8, 16, 32, 64, 120]
    assert model._optimizer.n_updates == 30 + 15 + 8 + 4 + 2 + 1
    assert model.score(X, y) > 0.95


# ---------------------------------------------------------------------- all that a fit may be asked for


@pytest.mark.parametrize("estimator", [MiniBatchSGDRegressor, MiniBatchSGDClassifier])
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_the_model_is_an_average_already(estimator, batch_size):
    target = sides if estimator is MiniBatchSGDClassifier else y
    models = [estimator(batch_size=batch_size, average=average, max_iter=3, **PLAIN) for average in (False, True, 50)]
    alone, *others = (theta(model.fit(X, target)) for model in models)
    for other in others:
        assert_array_equal(other, alone)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_l1_leaves_zeros(batch_size):
    rows, target = cancer
    model = MiniBatchSGDClassifier("log_loss", penalty="l1", alpha=0.02, batch_size=batch_size, max_iter=30, **PLAIN)
    reference = LogisticRegression(
        l1_ratio=1.0, C=1.0 / (0.02 * len(target)), solver="saga", max_iter=5000, random_state=0
    )
    zeros, expected = (fit.fit(rows, target).coef_ == 0.0 for fit in (model, reference))
    assert (zeros == expected).mean() > 0.9
    assert zeros.sum() > 15


@pytest.mark.parametrize("multi_class", ["ovr", "multinomial"])
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_dense_and_sparse_rows_give_one_model(multi_class, batch_size):
    classes = np.digitize(y, [-1.0, 1.0])
    rows = X * (rng.random((N, D)) < 0.5)
    parameters = {"multi_class": multi_class, "batch_size": batch_size, "max_iter": 3, **PLAIN}
    dense, sparse = (
        theta(MiniBatchSGDClassifier("log_loss", **parameters).fit(layout(rows), classes))
        for layout in (np.asarray, sp.csr_array)
    )
    assert_allclose(sparse, dense, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_a_sparse_row_that_names_a_column_twice_has_their_sum(batch_size):
    half = sp.csr_array((np.repeat(X.ravel() / 2, 2), np.tile(np.repeat(np.arange(D), 2), N), 2 * D * np.arange(N + 1)))
    assert not half.has_canonical_format
    model = regressor(batch_size=batch_size)
    twice, once = (theta(model.fit(rows, y)).copy() for rows in (half, sp.csr_array(X)))
    assert_allclose(twice, once, rtol=1e-12)
    assert half.nnz == 2 * N * D  # as it was


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_float32_rows(batch_size):
    single, double = (regressor(batch_size=batch_size).fit(X.astype(kind), Y) for kind in (np.float32, np.float64))
    assert single.coef_.dtype == np.float32
    assert_allclose(theta(single), theta(double), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "value"), [("warmup", 2), ("learning_rate_scaling", "linear")])
def test_what_it_leaves_nothing_to_do_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}={value!r} does nothing with learning_rate='auto'"):
        regressor(**{name: value}).fit(X, y)


def test_a_rate_that_is_not_used_is_named():
    with pytest.warns(UserWarning, match=r"eta0=0\.5 is not used: learning_rate='auto' finds its rates by itself"):
        regressor(eta0=0.5).fit(X, y)


@pytest.mark.parametrize("solver", ["momentum", "adam"])
def test_other_solvers_have_a_calibrated_constant_rate(solver):
    auto, calibrated = (
        regressor(solver=solver, learning_rate=schedule, eta0=eta0).fit(X, y)
        for schedule, eta0 in (("auto", 0.01), ("constant", "auto"))
    )
    assert auto.eta0_ == calibrated.eta0_ > 0.0
    assert_array_equal(theta(auto), theta(calibrated))
