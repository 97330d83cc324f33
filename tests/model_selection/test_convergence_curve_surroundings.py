"""convergence_curve leaves alone what is around it: callbacks, warnings, NumPy's random state; errors say where."""

import re
import warnings

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_array_equal
from sklearn.callback import ScoringMonitor
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import convergence_curve

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 4))
y = X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * rng.standard_normal(60)
sgd = MiniBatchSGDRegressor(max_iter=3, tol=None, random_state=0)


def test_callbacks_are_about_the_own_fits_of_the_user():
    monitor = ScoringMonitor(scoring="r2")
    watched = MiniBatchSGDRegressor(max_iter=3, tol=None, random_state=0).set_callbacks(monitor)
    curve = convergence_curve(watched, X, y, param_range=[8], cv=2, budget={"epochs": 6})
    assert_array_equal(curve.summary_["n_epochs"], 6)
    with pytest.raises(ValueError, match="No logs"):
        monitor.get_logs()
    assert watched._skl_callbacks == [monitor]


def test_threads_leave_the_warning_filters_alone():
    """warnings.catch_warnings in a thread may leave its filters to all."""
    with parallel_config("threading"):
        for _ in range(5):
            convergence_curve(sgd, X, y, param_range=[1, 8, 30, "full"], cv=3, n_jobs=4)
    assert not [entry for entry in warnings.filters if entry[0] == "ignore" and entry[2] is ConvergenceWarning]


def test_numpys_random_state_is_not_moved():
    before = np.random.mtrand._rand.get_state()[1].copy()
    for model in (sgd, MiniBatchSGDRegressor(max_iter=1, tol=None)):
        convergence_curve(model, X, y, param_name="train_size", param_range=[0.5], cv=2)
    assert_array_equal(np.random.mtrand._rand.get_state()[1], before)


def test_the_seed_of_the_estimator_chooses_the_rows_too():
    one, other = (convergence_curve(sgd, X, y, param_name="train_size", param_range=[9], cv=2) for _ in range(2))
    assert_array_equal(one.curves_["train_loss"], other.curves_["train_loss"])


def test_an_estimator_without_a_seed_gets_one_also_as_a_value():
    values = [MiniBatchSGDRegressor(max_iter=2, tol=None), MiniBatchSGDRegressor(max_iter=2, tol=None)]
    pipeline = make_pipeline(PCA(2, random_state=0), sgd)
    curve = convergence_curve(
        pipeline, X, y, param_name="minibatchsgdregressor", param_range=values, cv=2, random_state=3
    )
    assert_array_equal(curve.curves_["train_loss"][0], curve.curves_["train_loss"][1])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_says_in_which_fit(n_jobs):
    model, labels = MiniBatchSGDClassifier(max_iter=1, tol=None), np.arange(60) % 2
    with pytest.raises(ValueError, match="number of classes") as raised:
        convergence_curve(
            model, X, labels, param_name="train_size", param_range=[0.5, 1], cv=2, n_jobs=n_jobs, error_score="raise"
        )
    (note,) = raised.value.__notes__
    assert re.fullmatch(r"In the fit of train_size=1, fold [01], 1 training rows\.", note)


def test_rows_are_whole_numbers():
    folds = [(np.arange(30) + 0.5, np.arange(30, 60))]
    with pytest.raises(ValueError, match="cv must give the numbers of rows, or masks; it gave float64"):
        convergence_curve(sgd, X, y, param_range=[8], cv=folds)


@pytest.mark.parametrize(
    ("paired", "message"),
    [
        ({"eta0": [0.1], "minibatchsgdregressor__eta0": [0.2]}, "different parameters; got .*eta0, .*eta0"),
        ({"train_size": [0.5]}, "cannot have 'train_size'"),
        ({"minibatchsgdregressor__batch_size": [4]}, "different parameters"),
    ],
)
def test_pairs_that_clash(paired, message):
    with pytest.raises(ValueError, match=message):
        convergence_curve(make_pipeline(PCA(2), sgd), X, y, param_range=[8], paired_params=paired, cv=2)


def test_the_throw_away_update_asks_for_no_length_of_a_run():
    """A cosine along growing batches lasts as many epochs as the budget says; one update would not tell how many."""
    model = MiniBatchSGDRegressor(learning_rate="cosine", batch_growth="adaptive", tol=None, random_state=0)
    curve = convergence_curve(model, X, y, param_range=[4], cv=2, budget={"epochs": 3})
    assert curve.curves_["learning_rate"][0].ravel()[-1] < 0.3 * model.eta0
