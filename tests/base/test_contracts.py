"""What the package promises, as properties of random estimators on random data.

The checks of ``minibatch.testing``, which say more of batch sizes, run on the same in ``testing/test_checks.py``.
"""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from joblib import parallel_backend
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, log_expit, log_softmax
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import History
from minibatch.testing import batch_sizes, estimators
from references.random_tasks import LINEAR, NETWORKS, arrays_of, dense, smooth_estimators, tasks, theta

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TAME = {"well_scaled": True, "dtype": np.float64}

# ---------------------------------------------------------------------- C1: one objective

LOSSES = {
    "squared_error": lambda z, y, _: (z - y) ** 2 / 2,
    "huber": lambda z, y, e: np.where(abs(z - y) <= e, (z - y) ** 2 / 2, e * abs(z - y) - e**2 / 2),
    "squared_epsilon_insensitive": lambda z, y, e: np.maximum(0, abs(z - y) - e) ** 2,
    "squared_hinge": lambda z, y, _: np.maximum(0, 1 - y * z) ** 2,
    "modified_huber": lambda z, y, _: np.where(y * z >= -1, np.maximum(0, 1 - y * z) ** 2, -4 * y * z),
    "log_loss": lambda z, y, _: -log_expit(y * z),
}


def linear_losses(model, X, y):
    """Of every row, the sum over one-vs-rest problems."""
    z = dense(X) @ np.atleast_2d(model.coef_).T + model.intercept_
    if not is_classifier(model):
        return LOSSES[model.loss](z, np.reshape(y, z.shape), model.epsilon).sum(axis=1)
    if z.shape[1] == 1:
        return LOSSES[model.loss](z[:, 0], np.where(y == model.classes_[1], 1, -1), model.epsilon)
    own = y[:, None] == model.classes_
    if model.multi_class == "multinomial":
        return -log_softmax(z, axis=1)[own]
    return LOSSES[model.loss](z, np.where(own, 1, -1), model.epsilon).sum(axis=1)


def network_losses(model, X, y):
    if is_classifier(model):
        return -np.log(model.predict_proba(X)[y[:, None] == model.classes_])
    return 0.5 * ((np.reshape(model.predict(X), (len(y), -1)) - np.reshape(y, (len(y), -1))) ** 2).sum(axis=1)


def penalty(model):
    if isinstance(model, NETWORKS):
        return model.alpha / 2 * sum((W**2).sum() for W in model.coefs_)
    share = {"l2": 0.0, "l1": 1.0, "elasticnet": model.l1_ratio, None: 0.0}[model.penalty]
    w = model.coef_
    return (model.penalty is not None) * model.alpha * (share * abs(w).sum() + (1 - share) / 2 * (w**2).sum())


@given(tasks(smooth_estimators(evaluate_every=1), **TAME, weighted=True))
def test_the_objective_is_the_weighted_mean_loss_plus_the_penalty(task):
    model, X, y, weight = task
    history = model.fit(X, y, sample_weight=weight).history_
    losses, counts = (network_losses if isinstance(model, NETWORKS) else linear_losses)(model, X, y), weight > 0
    mean = np.average(losses[counts], weights=weight[counts])  # what does not count may be infinite
    assert_allclose(history["train_loss"][-1], mean, rtol=1e-7, atol=1e-10)
    assert_allclose(history["objective"][-1] - history["train_loss"][-1], penalty(model), rtol=1e-5, atol=1e-10)


@given(
    tasks(
        smooth_estimators(penalty=st.sampled_from(["l2", None]), average=False, dropout=0.0, batch_growth=None),
        min_samples=4,
        **TAME,
        weighted=True,
    ),
    st.integers(1, 4),
)
def test_the_gradient_of_a_batch_is_that_of_all_rows_on_average(task, size):
    """One update on every slice of the data, each from the same model: the mean of these is the update on all rows."""
    model, X, y, weight = task
    n = len(y) // size * size
    rows, target, weight = X[:n], y[:n], weight[:n] + 0.5
    plain = {"solver": "sgd", "learning_rate": "constant", "max_iter": 1, "batch_size": "full", "tol": None}
    plain |= {"momentum": 0.0} if isinstance(model, NETWORKS) else {"eta0": 0.01}
    plain |= {"learning_rate_init": 0.01} if isinstance(model, NETWORKS) else {}
    start = model.set_params(**plain, learning_rate_scaling=None, warmup=0.0).fit(X, y)

    def updated(here):
        return theta(copy.deepcopy(start).partial_fit(rows[here], target[here], sample_weight=weight[here]))

    slices = [updated(slice(first, first + size)) for first in range(0, n, size)]
    assert_allclose(np.mean(slices, axis=0), updated(slice(None)), rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------------- C2: batch sizes


@given(tasks(estimators(batch_size=batch_sizes(), batch_growth=None), min_samples=2))
def test_batches_are_resolved_and_updates_counted(task):
    model, X, y = task
    model.set_params(tol=None, max_updates=None).fit(X, y)
    n, asked = len(y), model.batch_size
    auto = 200 if isinstance(model, NETWORKS) else 8
    expected = {"full": n, "auto": auto}.get(asked, asked)
    expected = min(n, max(1, round(expected * n)) if isinstance(expected, float) else expected)
    if model.solver == "lbfgs":
        assert model.batch_size_ == n
        return
    a_epoch = n // expected if model.last_batch == "drop" else -(-n // expected)
    assert model.batch_size_ == expected
    assert model.status_ == "diverged" or model.n_iter_ == model.max_iter
    assert model.n_updates_ == a_epoch * model.n_iter_
    rows = a_epoch * expected if model.last_batch == "drop" else n
    assert model.history_["n_samples_seen"].tolist() == [rows * (i + 1) for i in range(model.n_iter_)]


@given(tasks(estimators(max_updates=st.integers(1, 40), max_iter=20, tol=None, solver="sgd")))
def test_a_budget_of_updates_is_kept_exactly(task):
    model, X, y = task
    model.fit(X, y)
    if model.status_ == "max_updates":
        assert model.n_updates_ == model.max_updates
    else:
        assert model.status_ in ("max_iter", "diverged")
        assert model.n_updates_ <= model.max_updates


# ---------------------------------------------------------------------- C3: exact paths


@given(tasks(smooth_estimators(batch_growth=None), **TAME, weighted=True, sparse=False))
def test_sparse_rows_give_the_same_history_and_predictions(task):
    model, X, y, weight = task
    for name in ("eta0", "learning_rate_init"):  # of two calibrated rates that do equally well, either may be taken
        if getattr(model, name, None) == "auto":
            model.set_params(**{name: 0.01})
    models = [clone(model).fit(rows, y, sample_weight=weight) for rows in (X, sp.csr_array(X), sp.csc_matrix(X))]
    name = "objective" if model.solver == "lbfgs" else "progressive_loss"
    for other in models[1:]:
        assert (other.status_, other.n_iter_) == (models[0].status_, models[0].n_iter_)
        if other.n_iter_ > 0:  # L-BFGS may begin at the minimum
            assert_allclose(other.history_[name], models[0].history_[name], rtol=1e-6, atol=1e-9)
        assert_allclose(theta(other), theta(models[0]), rtol=1e-6, atol=1e-8)


@given(tasks(estimators(LINEAR[0], n_jobs=1) | estimators(LINEAR[1], n_jobs=1), weighted=True))
def test_threads_do_not_change_a_bit(task):
    model, X, y, weight = task
    expected = theta(clone(model).fit(X, y, sample_weight=weight))
    assert_array_equal(theta(clone(model).set_params(n_jobs=2).fit(X, y, sample_weight=weight)), expected)
    with parallel_backend("threading", n_jobs=2):
        found = theta(clone(model).set_params(n_jobs=None).fit(X, y, sample_weight=weight))
    assert_array_equal(found, expected)


@given(tasks(estimators()))
def test_parameters_and_predictions_have_the_type_of_x(task):
    model, X, y = task
    model.fit(X, y)
    assert {part.dtype for part in arrays_of(model).values()} == {X.dtype}
    if is_classifier(model) and hasattr(model, "decision_function"):
        assert model.decision_function(X).dtype == X.dtype
    elif not is_classifier(model):
        assert model.predict(X).dtype == X.dtype


@given(tasks(estimators(warm_start=True, solver="adam", tol=None, max_updates=None, batch_growth=None)), st.data())
def test_a_warm_start_goes_on_where_it_stopped(task, data):
    """At a constant rate, epochs in two fits are epochs in one."""
    model, X, y = task
    rates = {"learning_rate": "constant", "warmup": 0.0}
    rates |= {name: 0.01 for name in ("eta0", "learning_rate_init") if hasattr(model, name)}
    first = data.draw(st.integers(1, model.max_iter))
    model.set_params(**rates)
    at_once = clone(model).set_params(max_iter=first + model.max_iter).fit(X, y)
    in_two = clone(model).set_params(max_iter=first).fit(X, y).set_params(max_iter=model.max_iter).fit(X, y)
    if at_once.status_ != "diverged":
        assert_array_equal(theta(in_two), theta(at_once))
        assert_array_equal(in_two.history_["n_updates"], at_once.history_["n_updates"])


# ---------------------------------------------------------------------- C4: failure is a value


@given(tasks(estimators(max_updates=st.integers(1, 3))))
def test_budgets_of_a_fit_do_not_cut_a_chunk(task):
    """``partial_fit`` trains on all of it, as one without a budget does."""
    model, X, y = task
    if not hasattr(model, "partial_fit"):
        return
    classes = {"classes": np.unique(y)} if is_classifier(model) else {}
    whole = clone(model).set_params(max_updates=None, cycle_length=3)
    model.set_params(cycle_length=3)  # None is the length of a run within the budget
    for _ in range(2):
        model.partial_fit(X, y, **classes)
        whole.partial_fit(X, y, **classes)
    assert model.n_updates_ == whole.n_updates_
    assert model.status_ in ("max_iter", "diverged")
    assert_array_equal(theta(model), theta(whole))


STATUSES = {"converged", "max_iter", "max_updates", "diverged"}


@given(tasks(estimators(), weighted=True))
def test_a_fit_ends_with_finite_parameters_and_says_how(task):
    model, X, y, weight = task
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y, sample_weight=weight)
    assert all(np.isfinite(part).all() for part in arrays_of(model).values())
    assert model.status_ in STATUSES
    messages = [str(warning.message) for warning in caught]
    assert [warning.category for warning in caught] == [ConvergenceWarning] * len(caught)
    if model.status_ == "diverged":
        assert len(messages) == 1
        assert messages[0].startswith("Diverged")
    predicted = model.predict(X)
    assert predicted.shape == y.shape
    if is_classifier(model):
        assert set(predicted) <= set(y)


def with_entry(X, value):
    """X with another number, somewhere."""
    bad = X.copy()
    (bad.data if sp.issparse(bad) else bad.reshape(-1))[:1] = value
    return bad if not sp.issparse(bad) or bad.nnz else sp.csr_array(np.full(X.shape, value, X.dtype))


BAD = {
    "NaN in X": lambda X, y, s: (with_entry(X, np.nan), y, s),
    "infinity in X": lambda X, y, s: (with_entry(X, -np.inf), y, s),
    "X of one dimension": lambda X, y, s: (dense(X)[:, 0], y, s),
    "another number of rows": lambda X, y, s: (X, np.append(y, y[:1]), s),
    "another number of weights": lambda X, y, s: (X, y, s[1:]),
    "negative weight": lambda X, y, s: (X, y, -s),
    "NaN among the weights": lambda X, y, s: (X, y, s * np.nan),
    "no weight": lambda X, y, s: (X, y, 0 * s),
    "missing y": lambda X, y, s: (X, None, s),
    "y of three dimensions": lambda X, y, s: (X, np.reshape(y, (-1, 1, 1)), s),
    "words in X": lambda X, y, s: (np.full(X.shape, "a"), y, s),
}


@given(tasks(estimators(), weighted=True), st.sampled_from(sorted(BAD)), st.booleans(), st.booleans())
def test_bad_input_is_refused_and_changes_nothing(task, bad, fitted, partial):
    model, X, y, weight = task
    if fitted:
        model.fit(X, y, sample_weight=weight)
    before = pickle.dumps(vars(model))
    names = set(vars(model))
    train = model.partial_fit if partial and hasattr(model, "partial_fit") else model.fit
    labels = {"classes": np.unique(y)} if train != model.fit and is_classifier(model) else {}
    rows, target, weights = BAD[bad](X, y, weight)
    with pytest.raises((ValueError, TypeError)):
        train(rows, target, sample_weight=weights, **labels)
    assert set(vars(model)) == names
    assert pickle.dumps(vars(model)) == before


# ---------------------------------------------------------------------- C5: everything is recorded


@given(tasks(estimators(evaluate_every=st.sampled_from([None, 1, 2]))))
def test_the_history_has_a_row_an_epoch_and_counts_on(task):
    model, X, y = task
    history = model.fit(X, y).history_
    assert history.n_epochs == model.n_iter_
    assert {len(history[name]) for name in history} <= {model.n_iter_}
    assert f"{history.n_epochs} epochs" in repr(history)
    if model.n_iter_ == 0:  # L-BFGS began at the minimum: there are no columns
        assert (model.solver, list(history)) == ("lbfgs", [])
        return
    assert history["epoch"].tolist() == list(range(1, model.n_iter_ + 1))
    assert history["n_updates"][-1] == model.n_updates_
    for name in ("n_updates", "n_samples_seen", "seconds"):
        assert (np.diff(history[name]) >= 0).all()
        assert history[name][0] >= 0
    again = pickle.loads(pickle.dumps(history))
    assert isinstance(again, History)
    assert again == history
    frame = history.to_frame()
    assert list(frame.columns) == list(history)
    assert len(frame) == model.n_iter_


@given(tasks(smooth_estimators(dropout=0.0, average=False, evaluate_every=1, batch_growth=None), **TAME, weighted=True))
def test_the_progressive_loss_of_a_full_batch_is_the_loss_before_it(task):
    model, X, y, weight = task
    if model.solver == "lbfgs":
        return  # it has no batches
    if model.solver.startswith("schedule_free") or model.learning_rate == "auto":
        return  # what is evaluated is an average
    history = model.set_params(batch_size="full", tol=None, max_updates=None).fit(X, y, sample_weight=weight).history_
    assert_allclose(history["progressive_loss"][1:], history["train_loss"][:-1], rtol=1e-9, atol=1e-12)


@given(tasks(estimators(evaluate_every=None, batch_growth=None)))
def test_recording_changes_nothing(task):
    model, X, y = task
    silent, recorded = clone(model).fit(X, y), clone(model).set_params(evaluate_every=1).fit(X, y)
    assert_array_equal(theta(recorded), theta(silent))
    assert recorded.n_iter_ == silent.n_iter_
    if silent.n_iter_:  # L-BFGS may begin at the minimum
        name = "objective" if model.solver == "lbfgs" else "progressive_objective"
        assert_array_equal(recorded.history_[name], silent.history_[name])


# ---------------------------------------------------------------------- C6: native to scikit-learn


class Listener:
    """A callback that counts the epochs it hears of."""

    def __init__(self):
        self.epochs = 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.epochs += context.task_name == "epoch"


@given(tasks(estimators()))
def test_callbacks_hear_every_epoch_and_change_nothing(task):
    model, X, y = task
    expected, listener = theta(clone(model).fit(X, y)), Listener()
    found = clone(model).set_callbacks(listener).fit(X, y)
    assert_array_equal(theta(found), expected)
    assert listener.epochs == found.n_iter_


@given(tasks(estimators(), sparse=False, min_samples=2))
def test_a_pipeline_is_its_parts(task):
    model, X, y = task
    parts = clone(model).fit(StandardScaler().fit_transform(X), y)
    pipeline = make_pipeline(StandardScaler(), clone(model)).fit(X, y)
    assert_array_equal(theta(pipeline[-1]), theta(parts))


@given(tasks(estimators(), sparse=False), st.booleans())
def test_frames_are_arrays_with_names(task, named):
    model, X, y = task
    frame = pd.DataFrame(X, columns=[f"column {i}" for i in range(X.shape[1])])
    found = clone(model).fit(frame, pd.Series(y) if named else y)
    assert found.feature_names_in_.tolist() == list(frame.columns)
    expected = clone(model).fit(X, y)
    assert_array_equal(theta(found), theta(expected))
    assert_array_equal(found.predict(frame), expected.predict(X.copy("F")))  # as a frame keeps its columns
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame.rename(columns={"column 0": "other"}))


@given(tasks(estimators(max_iter=1), min_samples=8, well_scaled=True), st.lists(batch_sizes(), min_size=1, max_size=3))
def test_a_search_over_batch_sizes_comes_to_its_end(task, sizes):
    model, X, y = task
    folds = [(np.arange(len(y)), np.arange(len(y)))]
    search = GridSearchCV(model, {"batch_size": sizes}, cv=folds, error_score="raise").fit(X, y)
    assert search.best_params_["batch_size"] in sizes
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@given(tasks(estimators("classifier"), **TAME))
def test_probabilities_are_a_distribution(task):
    model, X, y = task
    model.fit(X, y)
    if hasattr(model, "predict_proba"):
        found = model.predict_proba(X)
        assert found.shape == (len(y), len(model.classes_))
        assert_allclose(found.sum(axis=1), 1.0, rtol=1e-9)
        assert found.min() >= 0
        tied = np.sort(found, axis=1)[:, -1] - np.sort(found, axis=1)[:, -2] < 1e-12
        assert_array_equal(model.classes_[found.argmax(axis=1)][~tied], model.predict(X)[~tied])
        if len(model.classes_) == 2 and model.get_params().get("loss") == "log_loss":
            assert_allclose(found[:, 1], expit(model.decision_function(X)), rtol=1e-9)
