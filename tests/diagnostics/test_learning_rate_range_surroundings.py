"""The learning-rate range test: what it leaves alone, settings, kinds of rows, what it shows and refuses."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import learning_rate_range_test


def same_result(a, b):
    assert_array_equal(a.losses, b.losses)
    assert_array_equal(a.first_losses, b.first_losses)
    assert a.suggestions == pytest.approx(b.suggestions, nan_ok=True, rel=0)


class TestWhatItLeavesAlone:
    @pytest.mark.parametrize(
        "estimator",
        [
            MiniBatchSGDClassifier("log_loss", max_iter=3, tol=None),
            MiniBatchSGDClassifier(max_iter=3, tol=None, average=True, random_state=np.random.RandomState(3)),
            MiniBatchMLPClassifier((4,), max_iter=3, early_stopping=True, warm_start=True),
            make_pipeline(StandardScaler(), MiniBatchMLPClassifier((4,), max_iter=3, tol=None)),
        ],
        ids=["linear", "RandomState", "warm network", "pipeline"],
    )
    @pytest.mark.parametrize("fitted", [False, True])
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_a_fit_after_it_is_bit_for_bit_the_fit_without_it(self, estimator, fitted, cancer):
        X, y = cancer
        without, tested = copy.deepcopy(estimator), copy.deepcopy(estimator)
        models = []
        for model in (without, tested):
            np.random.seed(0)  # noqa: NPY002 - random_state=None takes it from there
            if fitted:
                model.fit(X, y)
            before = pickle.dumps(model)
            if model is tested:
                learning_rate_range_test(model, X, y, n_rates=20, n_repeats=2)
                assert pickle.dumps(model) == before
            model.fit(X, y)
            models.append(model[-1] if hasattr(model, "steps") else model)
        a, b = ([np.ravel(part) for part in getattr(model, "coefs_", [getattr(model, "coef_", 0)])] for model in models)
        assert_array_equal(np.concatenate(a), np.concatenate(b))

    def test_the_steps_of_a_pipeline(self, cancer):
        pipeline = make_pipeline(StandardScaler(), MiniBatchSGDClassifier("log_loss"))
        learning_rate_range_test(pipeline, *cancer, n_rates=5)
        assert not hasattr(pipeline[0], "mean_")
        assert not hasattr(pipeline[-1], "coef_")

    def test_callbacks_hear_nothing(self, cancer):
        class Listener:
            heard = 0

            def setup(self, estimator, context):
                self.heard += 1

            def on_fit_task_begin(self, context, **more):
                self.heard += 1

            def on_fit_task_end(self, context, **more):
                self.heard += 1

            def teardown(self, estimator, context):
                self.heard += 1

        listener = Listener()
        estimator = MiniBatchSGDClassifier("log_loss").set_callbacks(listener)
        learning_rate_range_test(estimator, *cancer, n_rates=5)
        assert listener.heard == 0


class TestSettings:
    def test_the_same_random_state_gives_the_same_result(self, cancer):
        estimator = MiniBatchMLPClassifier((4,), batch_size=16)
        a, b, c = (learning_rate_range_test(estimator, *cancer, n_rates=20, random_state=s) for s in (1, 1, 2))
        same_result(a, b)
        assert not np.array_equal(a.losses, c.losses, equal_nan=True)

    def test_none_is_another_result_each_time(self, cancer):
        np.random.seed(0)  # noqa: NPY002 - it must not be taken from there
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        a, b = (learning_rate_range_test(MiniBatchSGDClassifier("log_loss"), *cancer, n_rates=9) for _ in range(2))
        assert not np.array_equal(a.losses, b.losses)
        assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    def test_repeats_have_orders_of_their_own_and_networks_weights_of_their_own(self, cancer):
        linear = learning_rate_range_test(MiniBatchSGDClassifier("log_loss", random_state=0), *cancer, n_rates=5)
        assert len(np.unique(linear.losses[:, -1])) == 3
        assert len(np.unique(linear.first_losses)) == 1
        network = learning_rate_range_test(MiniBatchMLPClassifier((4,), random_state=0), *cancer, n_rates=5)
        assert len(np.unique(network.first_losses)) == 3

    def test_batches_have_the_size_of_the_estimator(self, cancer):
        for size, rows in ((1, 1), (64, 64), (0.1, 57), ("full", 569)):
            estimator = MiniBatchSGDClassifier("log_loss", batch_size=size)
            assert learning_rate_range_test(estimator, *cancer, n_rates=3).batch_size == rows

    def test_rate_stopping_and_averaging_of_the_estimator_are_not_used(self, cancer):
        plain = MiniBatchSGDClassifier("log_loss", alpha=0.01)
        other = MiniBatchSGDClassifier(
            "log_loss", alpha=0.01, learning_rate="adaptive", eta0=5.0, early_stopping=True, average=True, max_iter=1,
            max_updates=2, tol=10.0, n_iter_no_change=1, evaluate_every=1,
        )  # fmt: skip
        same_result(*(learning_rate_range_test(e, *cancer, n_rates=50, random_state=0) for e in (plain, other)))

    def test_a_fitted_estimator_begins_anew(self, cancer):
        blank = MiniBatchSGDClassifier("log_loss", warm_start=True, max_iter=3, tol=None, random_state=0)
        fitted = copy.deepcopy(blank).fit(*cancer)
        same_result(*(learning_rate_range_test(e, *cancer, n_rates=20, random_state=0) for e in (blank, fitted)))

    def test_a_pipeline_is_its_last_step_on_transformed_rows(self, cancer):
        X, y = cancer
        X = 10 * X + 3
        pipeline = make_pipeline(StandardScaler(), MiniBatchSGDClassifier("log_loss"))
        result = learning_rate_range_test(pipeline, X, y, n_rates=20, random_state=0)
        scaled = StandardScaler().fit_transform(X)
        same_result(result, learning_rate_range_test(pipeline[-1], scaled, y, n_rates=20, random_state=0))

    @pytest.mark.parametrize("make", [sp.csr_array, sp.csc_matrix, sp.coo_array])
    def test_sparse_rows_give_the_result_of_dense_ones(self, make):
        X, y = load_digits(return_X_y=True)
        X, y = X[:200] / 16, y[:200]
        estimator = MiniBatchSGDClassifier("log_loss", batch_size=8)
        setting = {"n_rates": 30, "probe_size": 50, "random_state": 0}
        dense = learning_rate_range_test(estimator, X, y, **setting)
        sparse = learning_rate_range_test(estimator, make(X), y, **setting)
        assert_allclose(sparse.losses, dense.losses, rtol=1e-9)

    def test_lists_and_frames_are_rows_too(self, cancer):
        pd = pytest.importorskip("pandas")
        X, y = cancer
        estimator, setting = MiniBatchSGDClassifier("log_loss"), {"n_rates": 5, "random_state": 0, "probe_size": 100}
        expected = learning_rate_range_test(estimator, X, y, **setting)
        frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])])
        same_result(learning_rate_range_test(estimator, frame, pd.Series(y), **setting), expected)
        same_result(learning_rate_range_test(estimator, X.tolist(), y.tolist(), **setting), expected)

    @pytest.mark.parametrize(
        "estimator",
        [
            MiniBatchMLPRegressor(hidden_layer_sizes=(4,), batch_size=16, solver="sgd"),
            MiniBatchSGDRegressor(batch_size=16, solver="adam"),
            MiniBatchMLPRegressor(hidden_layer_sizes=(4,), batch_size=16, batch_normalization=True, dropout=0.2),
        ],
    )
    def test_regression_with_two_targets(self, estimator):
        random = np.random.default_rng(0)
        X = random.standard_normal((100, 3))
        y = X @ random.standard_normal((3, 2))
        result = learning_rate_range_test(estimator, X, y, random_state=0)
        assert not np.isnan(result.suggestions["steepest"])

    def test_probe_rows_are_rows_of_x_and_the_same_for_all_updates(self, cancer):
        X, y = cancer
        estimator = MiniBatchSGDClassifier("log_loss", fit_intercept=False)
        start = np.linspace(-1, 1, X.shape[1])
        setting = {"coef_init": start, "n_rates": 30, "min_rate": 1e-300, "max_rate": 1e-299, "n_repeats": 2}
        result = learning_rate_range_test(estimator, X, y, probe_size=1, **setting)
        losses = np.logaddexp(0, -(2 * y - 1) * (X @ start))
        assert np.isclose(losses, result.first_losses[0]).any()
        assert_allclose(result.losses, result.first_losses[0])
        assert_allclose(learning_rate_range_test(estimator, X, y, **setting).losses, losses.mean())

    def test_weights_count_in_training_and_loss(self, cancer):
        X, y = cancer
        weight = np.where(np.arange(len(y)) < 100, 2.0, 0.0)
        estimator = MiniBatchSGDClassifier("log_loss", batch_size="full", alpha=0.01)
        part = learning_rate_range_test(estimator, X[:100], y[:100], n_rates=30, random_state=0)
        weighted = learning_rate_range_test(estimator, X, y, n_rates=30, random_state=0, sample_weight=weight)
        assert_allclose(weighted.losses, part.losses)

    def test_the_loss_on_the_probe_rows_is_their_weighted_mean(self, cancer):
        X, y = cancer
        start = np.linspace(-1, 1, X.shape[1])
        weight = np.random.default_rng(0).uniform(size=len(y))
        losses = np.logaddexp(0, -(2 * y - 1) * (X @ start))
        estimator, setting = (
            MiniBatchSGDClassifier("log_loss", fit_intercept=False),
            {"coef_init": start, "n_rates": 2},
        )
        result = learning_rate_range_test(estimator, X, y, sample_weight=weight, **setting)
        assert_allclose(result.first_losses, np.average(losses, weights=weight))
        weight[np.arange(len(y)) != 7] = 0.0  # no probe row is drawn from those without weight
        result = learning_rate_range_test(estimator, X, y, sample_weight=weight, probe_size=1, **setting)
        assert_allclose(result.first_losses, losses[7])

    def test_first_updates_that_raise_the_loss_do_not_stop_it(self):
        # the first row pulls the wrong way
        X, y = np.ones((10, 1)), np.array([-1.0, *np.ones(9)])
        estimator = MiniBatchSGDRegressor(batch_size=1, shuffle=False, fit_intercept=False)
        result = learning_rate_range_test(estimator, X, y, max_rate=1.0, n_repeats=1)
        assert result.losses[0, 0] > result.first_losses[0]
        assert np.isfinite(result.losses[0]).sum() > 80

    def test_a_loss_that_overflows_ends_a_repeat_without_a_warning(self, recwarn, quadratic):
        estimator, X, y, start = quadratic
        result = learning_rate_range_test(estimator, X, y, max_rate=1e300, n_rates=3, **start)
        assert np.isnan(result.losses[:, -1]).all()
        assert not [w for w in recwarn if "minibatch" in w.filename]


class TestResult:
    @pytest.fixture
    def result(self, cancer):
        return learning_rate_range_test(MiniBatchMLPClassifier((4,), batch_size=16), *cancer, random_state=0)

    def test_it_can_be_pickled(self, result):
        same_result(pickle.loads(pickle.dumps(result)), result)

    def test_it_becomes_a_frame(self, result):
        pytest.importorskip("pandas")
        frame = result.to_frame()
        assert list(frame) == ["learning_rate", "smoothed_loss", "loss_0", "loss_1", "loss_2"]
        assert_array_equal(frame["loss_1"], result.losses[1])

    def test_it_shows_every_suggestion_with_its_spread(self, result):
        for text in (repr(result), result._repr_html_()):
            assert "batch size 16, 3 repeats" in text
            for name, rate in result.suggestions.items():
                assert name in text
                assert f"{rate:.3g}" in text
        for low, high in result.suggestion_ranges.values():
            assert low <= high

    def test_it_says_which_suggestion_there_is_not_and_why(self, cancer):
        result = learning_rate_range_test(MiniBatchSGDClassifier("log_loss"), *cancer, max_rate=0.5, random_state=0)
        assert np.isnan(result.suggestions["stable_max"])
        assert np.isnan(result.suggestion_ranges["stable_max"]).all()
        assert "no stable_max: the loss did not rise far enough up to max_rate=0.5; raise max_rate" in repr(result)
        assert "raise max_rate" in result._repr_html_()


class Untouched(TransformerMixin, BaseEstimator):
    """Fails when it is used: a wrong parameter is to be found before any work."""

    def fit(self, X, y=None):
        raise AssertionError("fitted")


class TestWrongInput:
    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"min_rate": 1.0, "max_rate": 0.1}, "min_rate must be below max_rate; got min_rate=1 and max_rate=0.1"),
            ({"min_rate": 1.0, "max_rate": 1.0}, "min_rate must be below max_rate"),
            ({"min_rate": 0.0}, "'min_rate' parameter .* Got 0.0"),
            ({"max_rate": -1.0}, "'max_rate' parameter .* Got -1.0"),
            ({"max_rate": np.inf}, "'max_rate' parameter"),
            ({"min_rate": np.nan}, "'min_rate' parameter"),
            ({"n_rates": 1}, "'n_rates' parameter .* Got 1"),
            ({"n_repeats": 0}, "'n_repeats' parameter"),
            ({"probe_size": 0}, "'probe_size' parameter"),
            ({"stop_factor": 0.0}, "'stop_factor' parameter"),
            ({"sweep": "log"}, "'sweep' parameter .* Got 'log'"),
            ({"sample_weight": -np.ones(569)}, "Negative values in data passed to `sample_weight`"),
        ],
    )
    def test_a_parameter_out_of_range_is_named_before_any_work(self, setting, message, cancer):
        pipeline = make_pipeline(Untouched(), MiniBatchSGDClassifier("log_loss"))
        with pytest.raises(ValueError, match=message):
            learning_rate_range_test(pipeline, *cancer, **setting)

    def test_one_row(self):
        with pytest.raises(ValueError, match="at least two rows; got 1"):
            learning_rate_range_test(MiniBatchSGDRegressor(), [[1.0]], [1.0])

    def test_rows_that_do_not_match(self, cancer):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            learning_rate_range_test(MiniBatchSGDClassifier(), cancer[0], cancer[1][:-1])

    def test_a_solver_without_a_rate(self, cancer):
        with pytest.raises(ValueError, match="solver='lbfgs' has no learning rate"):
            learning_rate_range_test(MiniBatchMLPClassifier(solver="lbfgs"), *cancer)

    def test_a_parameter_of_the_estimator_out_of_range(self, cancer):
        with pytest.raises(ValueError, match="'batch_size' parameter"):
            learning_rate_range_test(MiniBatchSGDClassifier(batch_size=0), *cancer)

    def test_a_foreign_estimator(self, cancer):
        with pytest.raises(TypeError, match="SGDClassifier"):
            learning_rate_range_test(SGDClassifier(), *cancer)

    def test_unknown_parameters_of_fit(self, cancer):
        with pytest.raises(TypeError, match=r"'n_rate'.*coef_init and intercept_init"):
            learning_rate_range_test(MiniBatchSGDClassifier(), *cancer, n_rate=3)
        with pytest.raises(TypeError, match=r"'coef_init'.*MiniBatchMLPClassifier, which takes none"):
            learning_rate_range_test(MiniBatchMLPClassifier(), *cancer, coef_init=np.zeros(3))

    def test_a_loss_that_is_not_finite_at_the_start(self, quadratic):
        estimator, X, y, _ = quadratic
        with pytest.raises(ValueError, match="The loss is inf before the first update; scale X"):
            learning_rate_range_test(estimator, X, y, coef_init=np.array([1e300]))
