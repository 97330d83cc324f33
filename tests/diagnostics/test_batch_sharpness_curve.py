"""batch_sharpness_curve: the looks of a training run are those of fits that end there, and where it comes to rest."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDRegressor
from minibatch.diagnostics import batch_sharpness, batch_sharpness_curve

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((60, 4))
Y = X @ np.ones(4) + RANDOM.standard_normal(60)
SGD = MiniBatchSGDRegressor(
    batch_size=1, learning_rate="constant", eta0=0.01, max_iter=2, tol=None, alpha=0.01, random_state=0
)
NETWORK = MiniBatchMLPRegressor(
    hidden_layer_sizes=(5,), activation="tanh", solver="sgd", momentum=0.5, nesterovs_momentum=False, batch_size="full",
    learning_rate="constant", learning_rate_init=0.05, max_iter=30, tol=None, random_state=0,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", [SGD, NETWORK], ids=["single rows", "a network in full batches"])
def test_every_look_is_that_of_a_fit_that_ends_there(estimator):
    curve = batch_sharpness_curve(estimator, X, Y, n_looks=4, max_updates=20)
    assert_array_equal(curve.n_updates, [1, 3, 7, 20])
    for i, n_updates in enumerate(curve.n_updates):
        model = copy.deepcopy(estimator).set_params(max_updates=int(n_updates), max_iter=100).fit(X, Y)
        expected = batch_sharpness(model, X, Y)
        assert curve.values[i] == pytest.approx(expected.value, rel=1e-6)
        assert_allclose(curve.intervals[i], expected.interval, rtol=1e-6)
        assert_allclose(curve.limits[i], expected.limits, rtol=1e-12)
        assert curve.losses[i] == pytest.approx(model._loss(X, Y), rel=1e-9)
        assert curve.batch_sizes[i] == model.batch_size_


def test_limits_follow_the_rate():
    model = copy.deepcopy(SGD).set_params(learning_rate="invscaling", power_t=0.5, batch_size=6, solver="momentum")
    curve = batch_sharpness_curve(model.set_params(momentum=0.9), X, Y, n_looks=4, n_batches=5, random_state=0)
    assert_allclose(curve.learning_rates, 0.01 / np.sqrt(curve.n_updates))
    assert_allclose(curve.limits, np.outer(np.sqrt(curve.n_updates), [0.2 / 0.01, 3.8 / 0.01]))


def test_batches_that_grow_are_looked_at_as_they_are():
    model = copy.deepcopy(SGD).set_params(batch_size=6, batch_growth=2.0, batch_growth_interval=1, max_iter=3)
    curve = batch_sharpness_curve(model, X, Y, n_looks=30)
    assert set(curve.batch_sizes) == {6, 12, 24}
    assert curve.values[-1] < curve.values[0]  # larger batches are flatter, and these are least squares


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "momentum"), [(0.25, 0.0), (0.2, 0.5)])
def test_it_rises_to_the_limit_of_small_batches(rate, momentum):
    """The edge of stochastic stability, on 500 digits: where it is allowed to fall first, batch sharpness rises again
    to about ``2 (1 - m) / eta``."""
    rows, labels = load_digits(return_X_y=True)
    rows, targets = scale(rows[:500]), np.eye(10)[labels[:500]]
    network = MiniBatchMLPRegressor(
        hidden_layer_sizes=(50, 50), activation="tanh", solver="sgd", momentum=momentum, nesterovs_momentum=False,
        batch_size=8, learning_rate="constant", learning_rate_init=rate, alpha=0.0, max_iter=400, tol=None,
        random_state=0,
    )  # fmt: skip
    curve = batch_sharpness_curve(network, rows, targets, n_looks=25, random_state=0)
    reached = curve.values / curve.limits[:, 0]
    assert 0.75 < reached[-3:].mean() < 1.25, reached
    assert reached[-3:].mean() > 1.2 * reached.min()
    assert curve.limits[0, 0] == pytest.approx(2 * (1 - momentum) / rate)


class TestSurroundings:
    def test_the_estimator_stays_as_it_is(self):
        for estimator in (copy.deepcopy(SGD), copy.deepcopy(SGD).fit(X, Y)):
            before = pickle.dumps(estimator)
            batch_sharpness_curve(estimator, X, Y, n_looks=3)
            assert pickle.dumps(estimator) == before

    def test_a_seed_makes_it_reproducible(self):
        estimator = copy.deepcopy(SGD).set_params(random_state=None, batch_size=5)
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        first, second, other = (
            batch_sharpness_curve(estimator, X, Y, random_state=seed, n_looks=3).values[-1] for seed in (1, 1, None)
        )
        assert first == second != other
        assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    def test_the_batches_are_the_same_at_every_look(self):
        frozen = copy.deepcopy(SGD).set_params(eta0=1e-30, batch_size=5)
        curve = batch_sharpness_curve(frozen, X, Y, n_looks=4, random_state=0)
        assert_allclose(curve.values, curve.values[0], rtol=1e-12)

    def test_pipelines_are_fitted_first(self):
        curve = batch_sharpness_curve(make_pipeline(StandardScaler(), SGD), 10 * X + 3, Y, n_looks=3)
        bare = batch_sharpness_curve(SGD, StandardScaler().fit_transform(10 * X + 3), Y, n_looks=3)
        assert repr(curve) == repr(bare)

    def test_it_becomes_a_table(self):
        curve = batch_sharpness_curve(SGD, X, Y, n_looks=3)
        for text in (repr(curve), curve._repr_html_()):
            assert "of a training run that ended as" in text
            assert "limit 2 / learning rate" in text
            assert f"{curve.values[-1]:.3g}" in text
        columns = ["n_updates", "epoch", "batch_size", "learning_rate", "loss", "batch_sharpness", "lower", "upper"]
        pytest.importorskip("pandas")
        assert list(curve.to_frame()) == [*columns, "limit"]
        both = batch_sharpness_curve(NETWORK, X, Y, n_looks=3, max_updates=5)
        assert list(both.to_frame()) == [*columns, "limit_small", "limit_large"]
        assert pickle.loads(pickle.dumps(curve)).status == curve.status

    def test_without_a_limit_it_says_why(self):
        curve = batch_sharpness_curve(copy.deepcopy(SGD).set_params(solver="adam"), X, Y, n_looks=2)
        assert "no limits: learning_rate='constant' with solver='adam'" in repr(curve)
        assert np.isnan(curve.limits).all()

    def test_divergence_ends_the_curve(self):
        model = copy.deepcopy(SGD).set_params(eta0=10, batch_size=20, max_iter=50)
        curve = batch_sharpness_curve(model, X, Y)
        assert curve.status == "diverged"
        assert np.isfinite(curve.losses).all()
        with pytest.raises(ValueError, match="loss is not finite after the first update"):
            batch_sharpness_curve(model.set_params(eta0=1e200), X, Y)


class TestWrongInput:
    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"n_looks": 1}, "'n_looks' parameter of batch_sharpness_curve must be"),
            ({"max_updates": 0}, "'max_updates' parameter"),
            ({"n_batches": 1}, "'n_batches' parameter"),
            ({"confidence": 95}, "'confidence' parameter"),
        ],
    )
    def test_a_parameter_out_of_range_is_named(self, setting, message):
        estimator = copy.deepcopy(SGD)
        with pytest.raises(ValueError, match=message):
            batch_sharpness_curve(estimator, X, Y, **setting)
        with pytest.raises(NotFittedError):
            batch_sharpness(estimator, X, Y)

    def test_models_without_it_are_not_trained(self, monkeypatch):
        monkeypatch.setattr(MiniBatchMLPClassifier, "_train", lambda *_, **__: pytest.fail("it was trained"))
        with pytest.raises(ValueError, match="With batch normalization"):
            batch_sharpness_curve(MiniBatchMLPClassifier((3,), batch_normalization=True), X, Y > 0)
        with pytest.raises(ValueError, match="solver='lbfgs' makes no updates with batches"):
            batch_sharpness_curve(MiniBatchMLPClassifier((3,), solver="lbfgs"), X, Y > 0)
        with pytest.raises(TypeError, match="StandardScaler"):
            batch_sharpness_curve(StandardScaler(), X, Y)
        with pytest.raises(ValueError, match="at least two rows"):
            batch_sharpness_curve(MiniBatchSGDRegressor(), X[:1], Y[:1])
