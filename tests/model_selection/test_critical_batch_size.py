"""critical_batch_size: least squares whose rows are known, branches as fits, points of a run, wrong input."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDOneClassSVM,
    MiniBatchSGDRegressor,
)
from minibatch.model_selection import critical_batch_size, steps_to_target
from minibatch.model_selection._branches import Branch, Branches, Goal, checkpoints

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SGD = MiniBatchSGDRegressor(alpha=0.0, fit_intercept=False, learning_rate="constant", random_state=0)


def isotropic(d, n=20_000, noise=0.0):
    random = np.random.default_rng(d)
    X = random.standard_normal((n, d))
    return X, X @ np.ones(d) + noise * random.standard_normal(n)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="module")
def few():
    """Least squares of few rows, where branches take little time."""
    return isotropic(5, 600)


@pytest.fixture(scope="module")
def found(few):
    return critical_batch_size(SGD, *few, n_repeats=2, random_state=0)


class TestLeastSquares:
    """``E(B) = B ln(1/e) / ln(1 + B / (d + 1))`` rows, at the rates ``B / (B + d + 1)``, until a share e is left."""

    @pytest.mark.parametrize("d", [8, 32])
    def test_rows_and_rates_of_every_size(self, d):
        result = critical_batch_size(SGD, *isotropic(d), random_state=1)
        size, table = 0.42 * (d + 1), result.table
        assert size / 1.7 < result.batch_size < 1.7 * size
        assert result.interval[0] < 1.5 * size
        sizes, rates = table["batch_size"], table["learning_rate"]
        expected = sizes * np.log(100) / np.log1p(sizes / (d + 1))
        here = sizes <= 2 * (d + 1)  # beyond, it is a handful of updates
        assert np.sum(here) >= 3
        assert_allclose(table["rows"][here], expected[here], rtol=0.3)
        assert_allclose(np.log2(rates[here] * (sizes[here] + d + 1) / sizes[here]), 0.0, atol=1.3)

    def test_another_overhead_is_another_share_of_the_same_scale(self, few, found):
        more = critical_batch_size(SGD, *few, overhead=1.0, n_repeats=2, random_state=0)
        assert more.batch_size == pytest.approx(found.course["noise_scale"][0], abs=0.5)
        assert_allclose(more.interval, np.multiply(found.interval, 5.0))
        assert_array_equal(more.table["rows"], found.table["rows"])

    def test_it_grows_along_a_run_with_noise(self):
        """The noise scale ``d + 1 + d sigma^2 / |error|^2`` grows as the error falls."""
        X, y = isotropic(8, 4000, noise=1.0)
        model = clone(SGD).set_params(eta0=0.002, batch_size=4)
        result = critical_batch_size(model, X, y, after=[0.0, 1.2], window=200, n_repeats=5, random_state=0)
        first, last = result.course["noise_scale"]
        assert last > 2 * first
        assert_array_equal(result.course["epoch"], [0.0, 1.2])
        assert_array_equal(result.course["n_updates"], [0, 1200])
        assert result.course["objective"][1] < result.course["objective"][0]
        assert result.batch_size == result.course["batch_size"][-1]

    def test_it_costs_less_than_steps_to_target(self):
        X, y = isotropic(8, 4000)
        result = critical_batch_size(SGD, X, y, random_state=0)
        steps = steps_to_target(
            SGD, X, y, batch_sizes=[1, 4, 16, 64, 256], learning_rates=np.geomspace(0.01, 2, 9),
            target=("train_loss", 0.001), max_updates=5000, n_repeats=5, random_state=0,
        )  # fmt: skip
        assert result.n_rows < 0.5 * np.sum(steps.trials["n_updates"] * steps.trials["batch_size"])
        assert 0.2 < result.course["noise_scale"][0] / steps.critical_batch_size < 5


class TestBranches:
    @pytest.mark.parametrize("solver", ["sgd", "momentum", "adam"])
    def test_they_are_fits_that_go_on(self, solver, cancer):
        """From the model's parameters and the optimizer's memory, at a constant rate, in an order of their own."""
        X, y = cancer
        model = MiniBatchSGDClassifier(
            "log_loss", solver=solver, learning_rate="invscaling", eta0=0.05, batch_size=32, max_iter=3, tol=None,
            alpha=0.01, random_state=0,
        ).fit(X, y)  # fmt: skip
        before = pickle.dumps(model)
        (branch,) = Branches(model, (X, y, None), [7]).at(16, 0.01, Goal(0.0, 320.0, 160.0))
        assert pickle.dumps(model) == before
        assert branch.rows[0] == 0
        assert branch.rows[-1] == 320

        def objective(fitted):
            z = (2 * y - 1) * (X @ fitted.coef_[0] + fitted.intercept_[0])
            return np.mean(np.logaddexp(0, -z)) + 0.005 * np.sum(fitted.coef_**2)

        further = copy.deepcopy(model).set_params(
            warm_start=True, learning_rate="constant", eta0=0.01, batch_size=16, random_state=7, max_updates=20
        )
        further.fit(X, y)
        assert branch.objectives[0] == pytest.approx(objective(model), rel=1e-9)
        assert branch.objectives[-1] == pytest.approx(objective(further), rel=1e-9)

    def test_a_rate_that_is_too_high_is_a_divergence(self, few):
        (branch,) = Branches(clone(SGD), (*few, None), [0]).at(4, 100.0, Goal(0.0, 600.0, 4.0))
        assert branch.diverged
        assert branch.cost(Goal(0.0, 600.0, 4.0)) == np.inf

    @given(st.floats(0.02, 0.98), st.integers(3, 40))
    def test_an_exponential_reaches_any_level_where_it_should(self, level, n_looks):
        rows = np.geomspace(1, 1000, n_looks)
        branch = Branch(np.append(0.0, rows), np.append(1.0, np.exp(-rows / 200)), diverged=False)
        assert branch.rows_to(level) == pytest.approx(-200 * np.log(level), rel=1e-9)

    def test_what_stays_above_costs_more_the_farther_it_stays(self):
        goal, rows = Goal(1.0, 100.0, 1.0), np.array([0.0, 50.0, 100.0])
        costs = [Branch(rows, np.array([3.0, 2.0, end]), diverged=False).cost(goal) for end in (0.5, 1.5, 2.5)]
        assert costs[0] < 100.0 < costs[1] < costs[2]

    def test_objectives_below_zero_are_no_logarithms(self):
        branch = Branch(np.array([0.0, 10.0]), np.array([1.0, -3.0]), diverged=False)
        assert branch.rows_to(-1.0) == pytest.approx(5.0)


class TestPointsOfARun:
    @pytest.mark.parametrize(
        "estimator",
        [
            MiniBatchSGDClassifier("log_loss", solver="momentum", learning_rate="cosine", eta0=0.05, max_iter=9),
            MiniBatchSGDClassifier("log_loss", max_iter=9),
            MiniBatchMLPClassifier((4,), max_iter=9, learning_rate="constant"),
        ],
        ids=["cosine", "auto", "network"],
    )
    def test_they_are_those_of_the_estimators_own_training(self, estimator, cancer):
        """Whole epochs: a run that is cut within one draws the rest of its rows anew."""
        X, y = cancer
        estimator.set_params(batch_size=50, random_state=3, tol=None)
        points = checkpoints(estimator, (X, y, None), 3, [2.0, 5.0])
        for model, epochs in zip(points, (2, 5), strict=True):
            run = clone(estimator)
            if estimator.learning_rate == "cosine":
                run.set_params(cycle_length=9.0)
            run.set_params(max_iter=epochs).fit(X, y)
            assert model.n_updates_ == run.n_updates_
            assert_allclose(np.ravel(model.predict_proba(X)), np.ravel(run.predict_proba(X)), rtol=1e-9)

    def test_stopping_rules_do_not_end_it(self, cancer):
        model = MiniBatchSGDClassifier("log_loss", tol=0.1, n_iter_no_change=1, early_stopping=True, random_state=0)
        (point,) = checkpoints(model, (*cancer, None), 0, [20.0])
        assert point.history_["epoch"][-1] == 20

    def test_a_fitted_estimator_is_asked_where_it_is(self, few):
        model = clone(SGD).set_params(eta0=0.003, batch_size=8, max_iter=1, tol=None).fit(*few)
        before = pickle.dumps(model)
        result = critical_batch_size(model, *few, n_repeats=2, random_state=0)
        assert pickle.dumps(model) == before
        assert result.course["n_updates"] == [model.n_updates_]
        assert np.isnan(result.course["epoch"]).all()
        assert result.course["objective"][0] == pytest.approx(np.mean((model.predict(few[0]) - few[1]) ** 2) / 2)

    def test_at_the_beginning_it_is_said_that_it_grows(self, few):
        result = critical_batch_size(SGD, *few, after=0, n_repeats=2, random_state=0)
        assert result.course["n_updates"] == [0]
        assert any("it grows as training goes on" in doubt for doubt in result.unsure)

    def test_at_rest_there_is_none(self, few):
        X, y = few
        y = y + np.random.default_rng(0).standard_normal(600)
        model = clone(SGD).fit(X, y)
        model.coef_ = np.linalg.lstsq(X, y, rcond=None)[0]
        result = critical_batch_size(model, X, y, n_repeats=3, random_state=0)
        assert np.isnan([result.batch_size, *result.interval]).all()
        assert "not found" in repr(result)
        assert "does not fall within 256 rows" in result.unsure[0]
        assert len(result.table["batch_size"]) == 0


class TestModels:
    def test_pipelines_are_their_last_steps_on_transformed_rows(self, cancer):
        X, y = load_breast_cancer(return_X_y=True)
        model = MiniBatchSGDClassifier("log_loss", learning_rate="constant", eta0=0.05, random_state=0)
        whole = critical_batch_size(make_pipeline(StandardScaler(), model), X, y, n_repeats=2, random_state=0)
        bare = critical_batch_size(model, StandardScaler().fit_transform(X), y, n_repeats=2, random_state=0)
        assert repr(whole) == repr(bare)
        fitted = make_pipeline(StandardScaler(), clone(model)).fit(X, y)
        assert critical_batch_size(fitted, X, y, n_repeats=2).course["n_updates"] == [fitted[-1].n_updates_]

    def test_sparse_rows_are_dense_rows(self, few):
        X = np.where(np.abs(few[0]) > 0.5, few[0], 0.0)
        dense, sparse = (
            critical_batch_size(SGD, rows, few[1], n_repeats=2, random_state=0) for rows in (X, sp.csr_matrix(X))
        )
        assert_allclose(sparse.table["rows"], dense.table["rows"], rtol=1e-6)

    def test_weights_count(self, few):
        X, y = few
        heavy = np.where(np.arange(600) < 300, 1.9, 0.1)
        weighted = critical_batch_size(SGD, X, y, n_repeats=2, random_state=0, sample_weight=heavy)
        plain = critical_batch_size(SGD, X, y, n_repeats=2, random_state=0)
        # weights that differ are noise: a batch of as many rows says less
        assert weighted.course["noise_scale"][0] > 1.2 * plain.course["noise_scale"][0]

    @pytest.mark.parametrize(
        "model",
        [
            MiniBatchMLPClassifier((6,), learning_rate="constant", random_state=0),
            MiniBatchSGDClassifier("log_loss", random_state=0),
            MiniBatchSGDClassifier("hinge", solver="adam", learning_rate="constant", random_state=0),
        ],
        ids=["adam", "auto", "hinge"],
    )
    def test_other_models_have_one_too(self, model, cancer):
        result = critical_batch_size(model, *cancer, n_repeats=2, random_state=0)
        sizes = result.table["batch_size"]
        assert len(sizes) >= 3
        assert 1 <= result.batch_size
        assert np.all(np.diff(result.table["rows"][np.isfinite(result.table["rows"])]) > -100)

    def test_the_one_class_machine_has_no_targets(self, few):
        result = critical_batch_size(MiniBatchSGDOneClassSVM(random_state=0), few[0], None, n_repeats=2, random_state=0)
        assert result.course["target"][0] < result.course["objective"][0]

    def test_a_loss_whose_objective_is_negative(self, few):
        X, y = few
        model = MiniBatchSGDRegressor("poisson", learning_rate="constant", eta0=0.001, alpha=0.0, random_state=0)
        result = critical_batch_size(model, X, np.exp(0.2 * y + 2), n_repeats=2, random_state=0)
        assert np.isfinite(result.course["target"]).all()
        assert result.course["target"][0] < result.course["objective"][0]

    def test_memory_of_the_optimizer_is_said(self, few):
        model = clone(SGD).set_params(solver="adam", batch_size=8, max_iter=1, tol=None).fit(*few)
        result = critical_batch_size(model, *few, n_repeats=2, random_state=0)
        assert any("memory of batches of 8" in doubt for doubt in result.unsure)


class TestResult:
    def test_it_says_what_it_found(self, found):
        low, high = found.interval
        for text in (repr(found), found._repr_html_()):
            assert "(20 % more rows than the smallest)" in text
            assert f"{found.batch_size:.0f} rows, between {low:.3g} and {high:.3g} (0.95 confidence)" in text
            assert f"From branches on {found.n_rows} rows in all." in text
        assert pickle.loads(pickle.dumps(found)).interval == found.interval

    def test_the_table_has_the_overheads_of_the_law(self, found):
        table, scale_ = found.table, found.course["noise_scale"][0]
        least = (table["rows"] / (1 + table["overhead"]))[np.isfinite(table["rows"])]
        assert_allclose(least, least[0])
        assert found.batch_size == max(1, round(0.2 * scale_))

    def test_frames(self, found):
        pytest.importorskip("pandas")
        assert list(found.to_frame()) == ["n_updates", "batch_size", "learning_rate", "rows", "spread", "overhead"]
        assert len(found.to_frame("course")) == 1
        with pytest.raises(ValueError, match="what must be 'table' or 'course'; got 'all'"):
            found.to_frame("all")

    def test_several_points_are_shown_as_a_course(self, few):
        result = critical_batch_size(clone(SGD).set_params(eta0=1e-3), *few, after=[0.1, 0.2], n_repeats=1)
        assert "noise_scale" in repr(result)
        assert np.unique(result.table["n_updates"]).size == 2

    def test_a_seed_makes_it_reproducible(self, few):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        model = clone(SGD).set_params(random_state=None)
        first, second, other = (
            critical_batch_size(model, *few, n_repeats=1, random_state=seed).table["rows"][0] for seed in (1, 1, None)
        )
        assert first == second != other
        assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    def test_sizes_may_be_given(self, few):
        result = critical_batch_size(SGD, *few, batch_sizes=[8, 2, 4], n_repeats=1, random_state=0)
        assert_array_equal(result.table["batch_size"], [2, 4, 8])

    def test_too_few_sizes_leave_no_law(self):
        X, y = isotropic(3, 12)
        result = critical_batch_size(SGD, X, y, n_repeats=1, random_state=0)
        assert len(result.table["batch_size"]) == 2  # 1 and 4: half of the rows are 6
        assert np.isnan(result.batch_size)
        assert "the law needs three" in result.unsure[0]
        assert "the 12 rows more than once" in repr(result)


class TestWrongInput:
    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"overhead": 0}, "'overhead' parameter of critical_batch_size must be"),
            ({"window": 0}, "'window' parameter"),
            ({"n_repeats": 0}, "'n_repeats' parameter"),
            ({"confidence": 1}, "'confidence' parameter"),
            ({"random_state": "a"}, "'random_state' parameter"),
            ({"after": -1}, "after must be epochs, at least 0 and finite; got -1"),
            ({"after": [1, 0.5]}, r"after must be in rising order, each once; got \[1, 0.5\]"),
            ({"batch_sizes": [1, 2]}, r"batch_sizes must have three different sizes or more, .* got \[1, 2\]"),
            ({"batch_sizes": [1, 2, 301]}, r"up to half of the 600 rows; got \[1, 2, 301\]"),
            ({"batch_sizes": [0, 1, 2]}, "batch_sizes must be an integer of at least 1; got 0"),
            ({"batch_sizes": [0.5, 1, 2]}, "batch_sizes must be an integer of at least 1; got 0.5"),
        ],
    )
    def test_an_argument_out_of_range_is_named_before_any_training(self, setting, message, few, monkeypatch):
        monkeypatch.setattr(MiniBatchSGDRegressor, "_train", lambda *_, **__: pytest.fail("it was trained"))
        with pytest.raises(ValueError, match=message):
            critical_batch_size(SGD, *few, **setting)

    def test_models_that_cannot_be_asked(self, few):
        with pytest.raises(TypeError, match="StandardScaler"):
            critical_batch_size(StandardScaler(), *few)
        with pytest.raises(TypeError, match="after must be a sequence of values; got 'end'"):
            critical_batch_size(SGD, *few, after="end")
        with pytest.raises(ValueError, match="solver='lbfgs' makes no updates with batches"):
            critical_batch_size(MiniBatchMLPRegressor(hidden_layer_sizes=(2,), solver="lbfgs"), *few)
        with pytest.raises(ValueError, match="With batch normalization small batches train another network"):
            critical_batch_size(MiniBatchMLPRegressor(batch_normalization=True), *few)
        with pytest.raises(ValueError, match="'batch_size' parameter of MiniBatchSGDRegressor"):
            critical_batch_size(clone(SGD).set_params(batch_size=0), *few)
        with pytest.raises(ValueError, match="at least two rows; got 1"):
            critical_batch_size(SGD, few[0][:1], few[1][:1])

    def test_the_estimator_is_not_fitted_by_it(self, few):
        model = clone(SGD)
        critical_batch_size(model, *few, n_repeats=1, random_state=0)
        with pytest.raises(NotFittedError):
            model.predict(few[0])
