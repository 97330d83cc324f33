"""neural_network: warm starts, partial fits, pickles and clones, and a change of solver on the way."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from references.network import mean_loss, net_of, penalty
from references.network_tasks import (
    TASKS,
    N,
    X,
    X_new,
    assert_same_net,
    every_task,
    fitted,
    model_of,
    theta,
    three,
    two,
    y,
)


@pytest.mark.parametrize(
    "parameters",
    [
        {"momentum": 0.9},
        {"solver": "adam"},
        {"momentum": 0.9, "learning_rate": "invscaling"},
        {"solver": "adagrad", "dropout": 0.3},
        {"solver": "adam", "batch_normalization": True},
    ],
    ids=lambda parameters: "-".join(map(str, parameters.values())),
)
def test_a_warm_start_goes_on(parameters):
    """Memory, schedule, statistics, order of the rows, dropout: 5 + 5 epochs are 10, with a pickle in between too."""
    parameters = {"learning_rate_init": 0.02, "batch_size": 7, "shuffle": True, **parameters}
    once = fitted("classes", max_iter=5, warm_start=True, **parameters)
    twice = pickle.loads(pickle.dumps(once)).fit(X, three)
    at_once = fitted("classes", max_iter=10, **parameters)
    assert_same_net(once.fit(X, three), at_once, rtol=1e-11)
    assert_array_equal(theta(twice), theta(once))
    for name in ("epoch", "n_updates", "n_samples_seen", "learning_rate", "progressive_loss"):
        assert_allclose(once.history_[name], at_once.history_[name], rtol=1e-9)
    assert (once.n_iter_, once.n_updates_, once.t_) == (5, 40, 240)
    assert once.loss_curve_ == once.history_["progressive_objective"].tolist()


def test_a_fit_without_warm_start_forgets():
    model = fitted("binary", solver="adam")
    first = theta(model)
    assert_array_equal(theta(model.partial_fit(X, two).fit(X, two)), first)
    assert model.history_.n_epochs == 3


def test_lbfgs_goes_on_where_adam_stopped_and_back():
    model = fitted("regression", solver="adam", warm_start=True, alpha=0.01)
    before = mean_loss(net_of(model), X, y[:, None], "squared_error", "tanh") + penalty(net_of(model), 0.01)
    model.set_params(solver="lbfgs").fit(X, y)
    assert model.history_["objective"][3] <= before
    assert model.loss_ < before
    model.set_params(solver="adam", learning_rate_init=1e-12, max_iter=1).fit(X, y)
    assert_allclose(model.history_["progressive_objective"][-1], model.history_["objective"][5], rtol=1e-6)


@every_task
def test_a_pickle_predicts_the_same(task):
    model = fitted(task, solver="adam", batch_size=5)
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict(X_new), model.predict(X_new))
    target = TASKS[task][2]
    assert_array_equal(theta(copy.partial_fit(X, target)), theta(model.partial_fit(X, target)))


def test_partial_fit_knows_all_classes_from_the_start():
    order = np.argsort(three, kind="stable")
    model = model_of("classes", batch_size=4)
    for start in range(0, N, 4):
        here = order[start : start + 4]
        model.partial_fit(X[here], three[here], classes=["low", "middle", "top"])
    whole = model_of("classes", batch_size=4, max_iter=1).fit(X[order], three[order])
    assert_same_net(model, whole, rtol=1e-11)


@pytest.mark.parametrize("batch_size", [1, 0.5, "full", "auto"])
def test_clone_keeps_parameters_and_nothing_else(batch_size):
    model = fitted("classes", batch_size=batch_size, dropout=0.2)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "coefs_")
    assert_array_equal(theta(copy.fit(X, three)), theta(model))


def test_a_grid_over_batch_sizes_does_not_depend_on_the_number_of_jobs():
    grid = {"batch_size": [1, 5, 0.5, "full"]}
    found = [
        GridSearchCV(
            model_of("classes", solver="adam", shuffle=True), grid, cv=2, n_jobs=n_jobs, scoring="neg_log_loss"
        )
        .fit(X, three)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    assert_array_equal(found[0], found[1])
    assert len(set(found[0])) == 4


def test_a_change_of_solver_keeps_the_running_statistics():
    """The optimizer begins anew, the statistics do not."""
    statistics = {}
    for solver in ("adam", "sgd"):
        model = fitted("classes", batch_normalization=True, batch_size=5, max_iter=10, solver="adam")
        model.set_params(solver=solver, learning_rate_init=1e-12, batch_size="full").partial_fit(X, three)
        statistics[solver] = np.concatenate(model.running_variances_)
    assert_allclose(statistics["sgd"], statistics["adam"], rtol=1e-6)


def test_the_best_loss_is_the_lowest_also_after_a_divergence_and_with_two_solvers():
    model = fitted("regression", solver="lbfgs", max_iter=4, warm_start=True)
    model.set_params(solver="adam").fit(X, TASKS["regression"][2])
    assert len(model.loss_curve_) == model.history_.n_epochs == 8
    assert np.isfinite(model.loss_curve_).all()
    lowest = min(model.loss_curve_)
    model.set_params(solver="sgd", learning_rate_init=1e6).fit(X, TASKS["regression"][2])
    assert model.status_ == "diverged"
    assert model.best_loss_ == lowest
