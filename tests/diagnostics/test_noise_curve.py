"""gradient_noise_curve: the looks of a training run are those of fits that end there."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import gradient_noise_curve, gradient_noise_scale

LOGISTIC = MiniBatchSGDClassifier("log_loss", batch_size=20, max_iter=4, tol=None, random_state=0)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X)[:200, :6], y[:200]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:200] / 16, y[:200]


MODELS = {
    "logistic regression": (LOGISTIC, "cancer"),
    "momentum and a schedule": (
        MiniBatchSGDClassifier(solver="momentum", learning_rate="invscaling", eta0=0.1, batch_size=32, random_state=1),
        "cancer",
    ),
    "a network": (MiniBatchMLPClassifier((6,), batch_size=32, random_state=0), "digits"),
    "dropout": (MiniBatchMLPClassifier((6,), batch_size=32, dropout=0.2, random_state=0), "digits"),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_look_is_that_of_a_fit_that_ends_there(name, request):
    estimator, data = MODELS[name]
    X, y = request.getfixturevalue(data)
    curve = gradient_noise_curve(estimator, X, y, n_looks=4, max_updates=17, reference="population")
    assert_array_equal(curve.n_updates, [1, 3, 7, 17])
    for i, n_updates in enumerate(curve.n_updates):
        model = copy.deepcopy(estimator).set_params(max_updates=int(n_updates), max_iter=100, tol=None).fit(X, y)
        expected = gradient_noise_scale(model, X, y, reference="population")
        assert curve.traces[i] == pytest.approx(expected.trace, rel=1e-9)
        assert curve.squared_norms[i] == pytest.approx(expected.squared_norm, rel=1e-9)
        assert curve.noise_scales[i] == pytest.approx(expected.noise_scale, rel=1e-9)
        assert curve.intervals[i] == pytest.approx(expected.interval, rel=1e-6)
        assert curve.resolved[i] == expected.resolved
        assert curve.largest_shares[i] == pytest.approx(expected.largest_share, rel=1e-9)
        assert curve.carried_by_few[i] == expected.carried_by_few
        assert curve.losses[i] == pytest.approx(model._loss(X, y), rel=1e-9)
        assert curve.epochs[i] == pytest.approx(n_updates / -(-len(y) // model.batch_size_))


def test_the_noise_scale_rises_as_the_gradient_falls(cancer):
    curve = gradient_noise_curve(LOGISTIC, *cancer)
    assert curve.noise_scales[-1] > 5 * curve.noise_scales[0]
    assert curve.losses[-1] < curve.losses[0]
    assert np.all(curve.resolved)
    assert_allclose(curve.noise_scales, curve.traces / curve.squared_norms)
    assert_array_equal(curve.intervals[:, 0], curve.intervals[:, 1])


class TestLength:
    def test_it_is_that_of_the_estimator(self, cancer):
        curve = gradient_noise_curve(LOGISTIC, *cancer, n_looks=5)
        assert curve.n_updates[-1] == 40
        assert curve.epochs[-1] == 4
        assert curve.status == "max_iter"
        assert_array_equal(curve.batch_sizes, 20)
        short = gradient_noise_curve(copy.deepcopy(LOGISTIC).set_params(max_updates=13), *cancer, n_looks=5)
        assert short.n_updates[-1] == 13
        assert short.status == "max_updates"

    def test_max_updates_may_be_longer(self, cancer):
        curve = gradient_noise_curve(LOGISTIC, *cancer, n_looks=3, max_updates=100)
        assert_array_equal(curve.n_updates, [1, 10, 100])

    def test_one_update_is_one_look(self, cancer):
        assert_array_equal(gradient_noise_curve(LOGISTIC, *cancer, max_updates=1).n_updates, [1])

    def test_a_short_last_batch_may_be_dropped(self, cancer):
        X, y = cancer[0][:195], cancer[1][:195]
        kept, dropped = (
            gradient_noise_curve(copy.deepcopy(LOGISTIC).set_params(last_batch=last), X, y).n_updates[-1]
            for last in ("keep", "drop")
        )
        assert (kept, dropped) == (40, 36)

    def test_training_that_converges_is_looked_at_where_it_ends(self, cancer):
        estimator = copy.deepcopy(LOGISTIC).set_params(tol=0.01, max_iter=1000, n_iter_no_change=2)
        fitted = copy.deepcopy(estimator).fit(*cancer)
        curve = gradient_noise_curve(estimator, *cancer, n_looks=4)
        assert curve.status == "converged"
        assert curve.n_updates[-1] == fitted.n_updates_ < 10_000
        assert curve.losses[-1] == pytest.approx(fitted._loss(*cancer))
        assert curve.noise_scales[-1] == pytest.approx(gradient_noise_scale(fitted, *cancer).noise_scale, rel=1e-9)

    def test_divergence_ends_the_curve(self, cancer):
        X, _ = cancer
        estimator = MiniBatchSGDRegressor(learning_rate="constant", eta0=10, batch_size=20, max_iter=50, random_state=0)
        curve = gradient_noise_curve(estimator, X, X[:, 0])
        assert curve.status == "diverged"
        assert_array_equal(curve.n_updates, [1, 2, 3, 4, 5, 7])
        assert "ended as 'diverged'" in repr(curve)
        assert np.isfinite(curve.losses).all()
        with pytest.raises(ValueError, match="loss is not finite after the first update"):
            gradient_noise_curve(estimator.set_params(eta0=1e20), X, X[:, 0])

    def test_parameters_that_overflow_are_not_looked_at(self, cancer):
        """Training puts back those before the epoch, which are not those after the updates that were counted."""
        X, _ = cancer
        estimator = MiniBatchMLPRegressor(
            hidden_layer_sizes=(4,), activation="identity", solver="sgd", momentum=0.0, learning_rate="constant",
            learning_rate_init=1e3, batch_size=5, random_state=0,
        )  # fmt: skip
        curve = gradient_noise_curve(estimator, X, X[:, 0], n_looks=6)
        assert curve.status == "diverged"
        assert_array_equal(curve.n_updates, [1])


class TestRows:
    def test_a_sample_is_the_same_at_every_look(self, cancer):
        """Parameters that do not move have the same noise at all looks."""
        frozen = copy.deepcopy(LOGISTIC).set_params(learning_rate="constant", eta0=1e-30)
        curve = gradient_noise_curve(frozen, *cancer, batch_size=30, random_state=3)
        assert_allclose(curve.traces, curve.traces[0], rtol=1e-12)
        assert curve.n_rows == 30
        assert curve.n_samples == 200
        other = gradient_noise_curve(frozen, *cancer, batch_size=30, random_state=4)
        assert other.traces[0] != curve.traces[0]

    def test_weights_count_in_training_and_in_the_noise(self, cancer):
        X, y = cancer
        weight = np.random.default_rng(0).uniform(0, 2, len(y))
        curve = gradient_noise_curve(LOGISTIC, X, y, sample_weight=weight)
        model = copy.deepcopy(LOGISTIC).fit(X, y, sample_weight=weight)
        assert curve.traces[-1] == pytest.approx(gradient_noise_scale(model, X, y, sample_weight=weight).trace)

    def test_pipelines_are_fitted_first(self, cancer):
        X, y = 10 * cancer[0] + 3, cancer[1]
        curve = gradient_noise_curve(make_pipeline(StandardScaler(), LOGISTIC), X, y)
        bare = gradient_noise_curve(LOGISTIC, StandardScaler().fit_transform(X), y)
        assert repr(curve) == repr(bare)

    def test_float32(self, cancer):
        X, y = cancer
        curve = gradient_noise_curve(LOGISTIC, X.astype(np.float32), y)
        assert_allclose(curve.noise_scales, gradient_noise_curve(LOGISTIC, X, y).noise_scales, rtol=1e-2)


class TestSurroundings:
    def test_the_estimator_stays_as_it_is(self, cancer):
        for estimator in (copy.deepcopy(LOGISTIC), copy.deepcopy(LOGISTIC).fit(*cancer)):
            before = pickle.dumps(estimator)
            gradient_noise_curve(estimator, *cancer, n_looks=3)
            assert pickle.dumps(estimator) == before

    def test_early_stopping_and_averaging_do_not_come_in(self, cancer):
        other = copy.deepcopy(LOGISTIC).set_params(early_stopping=True, average=True, evaluate_every=1)
        assert repr(gradient_noise_curve(other, *cancer)) == repr(gradient_noise_curve(LOGISTIC, *cancer))

    def test_a_seed_makes_it_reproducible(self, cancer):
        estimator = copy.deepcopy(LOGISTIC).set_params(random_state=None)
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        first, second, other = (
            gradient_noise_curve(estimator, *cancer, random_state=seed, n_looks=3).traces[-1] for seed in (1, 1, None)
        )
        assert first == second != other
        assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    def test_it_becomes_a_table(self, cancer):
        curve = gradient_noise_curve(LOGISTIC, *cancer, reference="population", batch_size=20, random_state=0)
        assert "20 of 200 rows" in repr(curve)
        assert f"at {np.sum(~curve.resolved)} of them only a lower bound" in repr(curve)
        for text in (repr(curve), curve._repr_html_()):
            assert f"{curve.losses[-1]:.3g}" in text
        pytest.importorskip("pandas")
        frame = curve.to_frame()
        assert list(frame) == [
            "n_updates", "epoch", "batch_size", "loss", "noise_scale", "lower", "upper", "resolved",
            "largest_share",
        ]  # fmt: skip
        assert_array_equal(frame["lower"], curve.intervals[:, 0])
        n_carried = np.sum(curve.largest_shares > 0.35)
        assert np.sum(curve.carried_by_few) == n_carried
        assert (f"at {n_carried} a few rows carry it" in repr(curve)) == (n_carried > 0)
        assert pickle.loads(pickle.dumps(curve)).status == curve.status


class TestWrongInput:
    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"n_looks": 1}, "'n_looks' parameter of gradient_noise_curve must be"),
            ({"max_updates": 0}, "'max_updates' parameter"),
            ({"batch_size": 1}, "'batch_size' parameter"),
            ({"reference": "test"}, "'reference' parameter"),
            ({"confidence": 95}, "'confidence' parameter"),
            ({"sample_weight": -np.ones(200)}, "Negative values in data passed to `sample_weight`"),
        ],
    )
    def test_a_parameter_out_of_range_is_named(self, setting, message, cancer):
        with pytest.raises(ValueError, match=message):
            gradient_noise_curve(LOGISTIC, *cancer, **setting)

    def test_parameters_of_the_estimator_are_checked(self, cancer):
        with pytest.raises(ValueError, match="'batch_size' parameter of MiniBatchSGDClassifier"):
            gradient_noise_curve(MiniBatchSGDClassifier(batch_size=0), *cancer)

    def test_models_without_such_noise(self, digits, monkeypatch):
        monkeypatch.setattr(MiniBatchMLPClassifier, "_train", lambda *_, **__: pytest.fail("it was trained"))
        with pytest.raises(ValueError, match="batch normalization"):
            gradient_noise_curve(MiniBatchMLPClassifier((3,), batch_normalization=True), *digits)
        with pytest.raises(ValueError, match="solver='lbfgs' makes no updates with batches"):
            gradient_noise_curve(MiniBatchMLPClassifier((3,), solver="lbfgs"), *digits)

    def test_foreign_estimators_and_single_rows(self, cancer):
        with pytest.raises(TypeError, match="StandardScaler"):
            gradient_noise_curve(StandardScaler(), *cancer)
        with pytest.raises(ValueError, match="at least two rows"):
            gradient_noise_curve(MiniBatchSGDRegressor(), cancer[0][:1], cancer[1][:1])

    def test_nothing_is_fitted_by_a_refused_call(self, cancer):
        estimator = copy.deepcopy(LOGISTIC)
        with pytest.raises(ValueError, match="n_looks"):
            gradient_noise_curve(estimator, *cancer, n_looks=0)
        with pytest.raises(NotFittedError):
            gradient_noise_scale(estimator, *cancer)
