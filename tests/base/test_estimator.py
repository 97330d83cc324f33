"""_base.estimator: what all estimators share, as a user of scikit-learn sees it."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.linear_model import SGDRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.engine.optimizers import SOLVERS

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 4))
y = X @ [1.0, -2.0, 0.5, 0.0] + 0.5 * rng.standard_normal(60) + 1.0
labels = np.digitize(y, [0.0, 2.0])
PLAIN = {"learning_rate": "constant", "eta0": 0.03, "tol": None, "random_state": 0, "max_iter": 4, "batch_size": 10}

BOTH = pytest.mark.parametrize("estimator", [MiniBatchSGDClassifier, MiniBatchSGDRegressor])
AVERAGED = [solver for solver in SOLVERS if not solver.startswith("schedule_free")]  # which average already
every_penalty = pytest.mark.parametrize("penalty", [None, "l2", "l1", "elasticnet"])


def target_of(estimator):
    return labels if estimator is MiniBatchSGDClassifier else y


def theta(model):
    return np.append(np.ravel(model.coef_), model.intercept_)


def fitted(estimator, X=X, **parameters):
    return estimator(**{**PLAIN, **parameters}).fit(X, target_of(estimator))


# ---------------------------------------------------------------------- going on


@pytest.mark.parametrize(("solver", "average"), [*((s, False) for s in SOLVERS), *((s, True) for s in AVERAGED)])
@every_penalty
def test_a_warm_start_goes_on(solver, penalty, average):
    """Memory, average and the order of the rows: 4 + 4 epochs are 8 epochs."""
    parameters = {"solver": solver, "penalty": penalty, "average": average, "alpha": 0.02}
    twice = fitted(MiniBatchSGDRegressor, warm_start=True, **parameters).fit(X, y)
    at_once = fitted(MiniBatchSGDRegressor, max_iter=8, **parameters)
    assert_allclose(theta(twice), theta(at_once), rtol=1e-12, atol=1e-15)
    for name in ("epoch", "n_updates", "n_samples_seen", "progressive_loss"):
        assert_allclose(twice.history_[name], at_once.history_[name], rtol=1e-10)
    assert (twice.n_updates_, twice.n_iter_) == (48, 4)


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_a_full_batch_after_small_ones_takes_the_step_of_the_textbook(layout):
    """What L1 could not take from weights at 0 is due to batches with noise only."""
    alpha, eta = 0.1, 0.03
    model = fitted(MiniBatchSGDRegressor, layout(X), penalty="l1", alpha=5.0, warm_start=True)
    w, b = model.coef_.copy(), model.intercept_.copy()
    assert not w.all()
    residual = X @ w + b - y
    ahead = w - eta * X.T @ residual / 60
    model.set_params(batch_size="full", alpha=alpha, max_iter=1).fit(layout(X), y)
    assert_allclose(model.coef_, np.sign(ahead) * np.maximum(np.abs(ahead) - eta * alpha, 0), rtol=1e-12)
    assert_allclose(model.intercept_, b - eta * residual.mean(), rtol=1e-12)


@pytest.mark.parametrize(
    ("solver", "average", "learning_rate"),
    [
        *((solver, False, rate) for solver in SOLVERS for rate in ("constant", "invscaling")),
        *((solver, True, "constant") for solver in AVERAGED),
    ],
)
@every_penalty
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_partial_fits_over_slices_are_an_epoch(solver, penalty, average, learning_rate, layout):
    parameters = {"solver": solver, "penalty": penalty, "average": average, "learning_rate": learning_rate}
    parameters |= {"shuffle": False, "alpha": 0.02}
    model, rows = MiniBatchSGDRegressor(**{**PLAIN, **parameters}), layout(X)
    for start, stop in ((0, 10), (10, 40), (40, 60)):
        model.partial_fit(rows[start:stop], y[start:stop])
    whole = fitted(MiniBatchSGDRegressor, rows, max_iter=1, **parameters)
    assert_allclose(theta(model), theta(whole), rtol=1e-11, atol=1e-15)
    assert (model.n_updates_, model.t_) == (whole.n_updates_, whole.t_)


@pytest.mark.parametrize("multi_class", ["ovr", "multinomial"])
def test_partial_fits_of_a_classifier_know_all_classes_from_the_start(multi_class):
    parameters = {
        **PLAIN,
        "loss": "log_loss",
        "shuffle": False,
        "multi_class": multi_class,
        "learning_rate": "inverse_time",
    }
    order = np.argsort(labels, kind="stable")
    model = MiniBatchSGDClassifier(**parameters)
    for start in range(0, 60, 10):
        here = order[start : start + 10]
        model.partial_fit(X[here], labels[here], classes=[0, 1, 2])
    whole = MiniBatchSGDClassifier(**{**parameters, "max_iter": 1}).fit(X[order], labels[order])
    assert_allclose(theta(model), theta(whole), rtol=1e-11)


def test_a_fit_without_warm_start_forgets():
    model = fitted(MiniBatchSGDRegressor, solver="adam")
    first = theta(model)
    assert_array_equal(theta(model.partial_fit(X, y).fit(X, y)), first)
    assert model.history_.n_epochs == 4


def test_a_pickled_model_goes_on_like_the_original():
    model = fitted(MiniBatchSGDRegressor, solver="adam", average=True)
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict(X), model.predict(X))
    assert_array_equal(theta(copy.partial_fit(X, y)), theta(model.partial_fit(X, y)))


@BOTH
@pytest.mark.parametrize("batch_size", [1, 0.5, "full", "auto"])
def test_clone_keeps_parameters_and_nothing_else(estimator, batch_size):
    model = fitted(estimator, batch_size=batch_size)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "coef_")
    assert_array_equal(theta(copy.fit(X, target_of(estimator))), theta(model))


@pytest.mark.parametrize("parameters", [{}, {"average": True}, {"penalty": "l1", "alpha": 0.05}, {"solver": "adam"}])
def test_sparsified_models_predict_and_go_on(parameters):
    plain, model = (fitted(MiniBatchSGDClassifier, **parameters) for _ in range(2))
    model.sparsify()
    assert sp.issparse(model.coef_)
    assert_array_equal(model.predict(X), plain.predict(X))
    plain.partial_fit(X, labels)
    assert_allclose(theta(model.partial_fit(X, labels)), theta(plain), rtol=1e-12)
    assert_allclose(theta(model.sparsify().densify()), theta(plain), rtol=1e-12)


def test_a_start_given_by_the_user():
    model = MiniBatchSGDRegressor(**{**PLAIN, "eta0": 1e-12})
    model.fit(X, y, coef_init=np.arange(4.0), intercept_init=[7.0])
    assert_allclose(theta(model), [0, 1, 2, 3, 7], atol=1e-8)


# ---------------------------------------------------------------------- weights


@BOTH
@pytest.mark.parametrize("parameters", [{}, {"solver": "momentum"}, {"penalty": "l1", "alpha": 0.05}])
def test_weights_are_repetitions_and_zero_weights_absent_rows(estimator, parameters):
    weight, target = np.random.default_rng(1).integers(0, 4, 60), target_of(estimator)
    model = estimator(**{**PLAIN, "batch_size": "full", "max_iter": 30, **parameters})
    weighted = theta(model.fit(X, target, sample_weight=weight))
    assert_allclose(
        theta(model.fit(np.repeat(X, weight, axis=0), np.repeat(target, weight))), weighted, rtol=1e-9, atol=1e-12
    )
    kept = weight > 0
    assert_allclose(
        theta(model.fit(X[kept], target[kept], sample_weight=weight[kept])), weighted, rtol=1e-9, atol=1e-12
    )


@BOTH
def test_the_scale_of_weights_does_not_matter(estimator):
    weight, target = np.random.default_rng(1).random(60), target_of(estimator)
    found = [theta(estimator(**PLAIN).fit(X, target, sample_weight=factor * weight)) for factor in (1, 1024, 1e-3)]
    assert_array_equal(found[0], found[1])
    assert_allclose(found[2], found[0], rtol=1e-9)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_a_row_without_weight_may_hold_anything_finite(loss):
    wild, weight = np.vstack([X, np.full((1, 4), 1e200)]), np.append(np.ones(60), 0.0)
    target = np.append(np.abs(y), 1e200)
    model = MiniBatchSGDRegressor(loss, **{**PLAIN, "batch_size": "full", "eta0": 0.01})
    expected = theta(model.fit(X, np.abs(y)))
    assert_allclose(theta(model.fit(wild, target, sample_weight=weight)), expected, rtol=1e-9)


def test_weights_are_normalised_over_the_rows_trained_on():
    """The held-out rows have no say in it."""
    weight = np.random.default_rng(1).random(60)
    model = MiniBatchSGDRegressor(**PLAIN, early_stopping=True, validation_fraction=0.5)
    once = theta(model.fit(X, y, sample_weight=weight))
    assert_allclose(theta(model.fit(X, y, sample_weight=5 * weight)), once, rtol=1e-9)


# ---------------------------------------------------------------------- data


def test_one_model_for_any_layout_of_x():
    expected = theta(fitted(MiniBatchSGDRegressor))
    read_only = X.copy()
    read_only.flags.writeable = False
    wide = np.zeros((60, 8))
    wide[:, ::2] = X
    for same in (read_only, np.asfortranarray(X), wide[:, ::2], X.tolist(), pd.DataFrame(X)):
        assert_array_equal(theta(fitted(MiniBatchSGDRegressor, same)), expected)


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_sparse_x_with_any_index_type_and_unsorted_columns(index):
    expected = theta(fitted(MiniBatchSGDRegressor))
    rows = sp.csr_array(X)
    order = np.concatenate([np.arange(4 * i, 4 * i + 4)[::-1] for i in range(60)])
    rows = sp.csr_array((rows.data[order], rows.indices[order].astype(index), rows.indptr.astype(index)), shape=X.shape)
    rows.data.flags.writeable = False
    for same in (rows, rows.tocsc(), rows.tocoo(), sp.csr_matrix(X)):
        assert_allclose(theta(fitted(MiniBatchSGDRegressor, same)), expected, rtol=1e-10)


def test_the_input_is_not_changed():
    before = X.copy(), y.copy()
    fitted(MiniBatchSGDRegressor, penalty="l1", average=True)
    assert_array_equal(X, before[0])
    assert_array_equal(y, before[1])


@BOTH
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_float32_stays_float32(estimator, layout):
    model = fitted(estimator, layout(X.astype(np.float32)))
    assert (model.coef_.dtype, model.intercept_.dtype) == (np.float32, np.float32)
    assert_allclose(theta(model), theta(fitted(estimator, layout(X))), rtol=1e-4, atol=1e-5)
    model.partial_fit(layout(X), target_of(estimator))
    assert model.coef_.dtype == np.float32


def test_float32_is_as_accurate_as_scikit_learn():
    large = np.random.default_rng(2).standard_normal((3000, 20))
    target = large @ np.arange(20.0)
    parameters = {"learning_rate": "constant", "eta0": 0.001, "shuffle": False, "tol": None, "max_iter": 5}
    errors = []
    for model in (MiniBatchSGDRegressor(**parameters, batch_size=1), SGDRegressor(**parameters)):
        exact = theta(model.fit(large, target))
        errors.append(np.abs(theta(model.fit(large.astype(np.float32), target)) - exact).max())
    assert errors[0] <= 2 * errors[1]


@BOTH
def test_feature_names(estimator):
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = fitted(estimator, frame)
    assert list(model.feature_names_in_) == list("abcd")
    assert_allclose(model.predict(frame), fitted(estimator).predict(X), rtol=1e-12)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c", "d"]])
    with pytest.warns(UserWarning, match="feature names"):
        model.predict(X)


# ---------------------------------------------------------------------- threads, searches, callbacks


@pytest.mark.parametrize("multi_class", ["ovr", "multinomial"])
@pytest.mark.parametrize("parameters", [{}, {"average": True}, {"solver": "adam"}, {"batch_size": 1}])
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_one_model_for_any_number_of_jobs(multi_class, parameters, layout):
    parameters = {"loss": "log_loss", "multi_class": multi_class, **parameters}
    found = [fitted(MiniBatchSGDClassifier, layout(X), n_jobs=n_jobs, **parameters) for n_jobs in (None, 1, 2, 3, -1)]
    for other in found[1:]:
        assert_array_equal(theta(other), theta(found[0]))


def test_the_same_seed_gives_the_same_model_and_another_a_different_one():
    found = [theta(fitted(MiniBatchSGDRegressor, random_state=seed)) for seed in (1, 1, 2)]
    assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_grid_over_batch_sizes_in_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), MiniBatchSGDClassifier(**{**PLAIN, "shuffle": True}))
    grid = GridSearchCV(pipeline, {"minibatchsgdclassifier__batch_size": [1, 16, 0.1, "full", "auto"]}, cv=3, n_jobs=2)
    grid.fit(X, labels)
    assert (grid.cv_results_["mean_test_score"] > 0.5).all()
    assert grid.best_estimator_[-1].status_ == "max_iter"


def test_fractions_are_of_the_rows_of_the_fold():
    sizes = [fitted(MiniBatchSGDRegressor, batch_size=size).batch_size_ for size in (0.25, 1000, 1.0, "auto")]
    assert sizes == [15, 60, 60, 8]
    half = MiniBatchSGDRegressor(**{**PLAIN, "batch_size": 0.5, "early_stopping": True, "validation_fraction": 0.2})
    assert half.fit(X, y).batch_size_ == 24


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_candidate_that_diverges_does_not_end_a_search():
    grid = GridSearchCV(MiniBatchSGDRegressor(**PLAIN), {"eta0": [0.03, 1e6]}, cv=2, error_score="raise").fit(
        100 * X, y
    )
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()


def test_callbacks_see_every_epoch():
    monitor = ScoringMonitor(scoring="r2")
    model = MiniBatchSGDRegressor(**PLAIN).set_callbacks(monitor).fit(X, y)
    frame = monitor.get_logs().data_as_pandas
    scores = frame.loc[frame["task_name"] == "epoch", "r2"]
    expected = [fitted(MiniBatchSGDRegressor, max_iter=k).score(X, y) for k in range(1, 5)]
    assert_allclose(scores, expected, rtol=1e-12)
    assert model.n_iter_ == 4


class Keep:
    """A callback that keeps the estimator of every epoch."""

    def __init__(self):
        self.kept = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.kept.append(fitted_estimator)


def test_callbacks_may_keep_the_model_of_an_epoch():
    callback = Keep()
    MiniBatchSGDRegressor(**PLAIN).set_callbacks(callback).fit(X, y)
    expected = [fitted(MiniBatchSGDRegressor, max_iter=k).coef_ for k in range(1, 5)]
    assert_allclose([kept.coef_ for kept in callback.kept], expected, rtol=1e-12)


def test_a_progress_bar_in_a_search():
    search = GridSearchCV(MiniBatchSGDRegressor(**PLAIN), {"batch_size": [1, 8]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    assert np.isfinite(search.best_score_)


def test_nothing_is_warned_of_in_a_plain_fit():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(MiniBatchSGDRegressor)
        fitted(MiniBatchSGDClassifier, loss="log_loss").predict_proba(X)
