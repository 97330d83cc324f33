"""neural_network: scikit-learn's networks, step by step, and where L-BFGS ends."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor

from references.network import mean_loss, net_of, penalty
from references.network_tasks import (
    PLAIN,
    TASKS,
    N,
    X,
    X_new,
    Y,
    assert_same_net,
    changed,
    fitted,
    model_of,
    start_of,
    theta,
    three,
    weight,
)

# ---------------------------------------------------------------------- scikit-learn, step by step

THEIR_TASKS = {
    "binary": (MLPClassifier, {}),
    "classes": (MLPClassifier, {}),
    "labels": (MLPClassifier, {}),
    "regression": (MLPRegressor, {}),
    "outputs": (MLPRegressor, {}),
    "poisson": (MLPRegressor, {"loss": "poisson"}),
}
their_tasks = pytest.mark.parametrize("task", THEIR_TASKS)
IGNORED = {"tol": 0.0, "n_iter_no_change": 1000}  # scikit-learn's way to train for max_iter epochs


def both_fitted(task, *, alpha=0.0, batch_size=8, sample_weight=None, **parameters):
    """With the documented conversion of ``alpha``; the batch size divides the number of rows."""
    target = TASKS[task][2]
    if task == "poisson":  # a log link begins at the mean; at 1, as in scikit-learn, at 0
        target = target / np.average(target, weights=sample_weight)
    estimator, more = THEIR_TASKS[task]
    parameters = {**PLAIN, "max_iter": 5, **parameters}
    total = batch_size if sample_weight is None else sample_weight.sum()
    theirs = estimator(**{**parameters, **more, **IGNORED, "alpha": alpha * total, "batch_size": batch_size})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(X, target, sample_weight)
    ours = model_of(task, **{**parameters, "alpha": alpha, "batch_size": batch_size}).fit(X, target, sample_weight)
    return ours, theirs


def assert_same_predictions(ours, theirs):
    if hasattr(ours, "classes_"):
        assert_array_equal(ours.predict(X_new), theirs.predict(X_new))
        assert_allclose(ours.predict_proba(X_new), theirs.predict_proba(X_new), rtol=1e-9)
    else:
        assert_allclose(ours.predict(X_new), theirs.predict(X_new), rtol=1e-8)


@their_tasks
@pytest.mark.parametrize("activation", ["logistic", "relu"])
@pytest.mark.parametrize("hidden_layer_sizes", [(5,), (4, 3)])
def test_the_first_parameters_are_those_of_scikit_learn(task, activation, hidden_layer_sizes):
    parameters = {"activation": activation, "hidden_layer_sizes": hidden_layer_sizes, "random_state": 7}
    estimator, more = THEIR_TASKS[task]
    theirs = estimator(**more, **parameters, solver="sgd", learning_rate_init=1e-300, alpha=0.0)
    more = {} if estimator is MLPRegressor else {"classes": getattr(fitted(task), "classes_", None)}
    start = start_of(task, **parameters)
    assert_allclose(theta(theirs.partial_fit(X, TASKS[task][2], **more)), theta(start), rtol=1e-14)
    assert not np.array_equal(theta(start), theta(start_of(task, **{**parameters, "random_state": 8})))


@their_tasks
@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, True), (0.9, False), (0.9, True)])
def test_sgd_is_scikit_learns(task, alpha, momentum, nesterov):
    parameters = {"momentum": momentum, "nesterovs_momentum": nesterov, "learning_rate_init": 0.03}
    ours, theirs = both_fitted(task, alpha=alpha, **parameters)
    assert_same_net(ours, theirs)
    assert_same_predictions(ours, theirs)
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_iter_", "t_"):
        assert getattr(ours, name) == getattr(theirs, name)


@their_tasks
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_adam_is_scikit_learns(task, alpha):
    """But for epsilon, which is added to the root of the second moment before its correction there."""
    ours, theirs = both_fitted(task, alpha=alpha, solver="adam", learning_rate_init=0.01, epsilon=1e-10, max_iter=8)
    assert_same_net(ours, theirs, rtol=1e-6, atol=1e-6)
    assert changed(ours, start_of(task))


@pytest.mark.parametrize("task", ["classes", "outputs", "poisson"])
def test_weights_are_scikit_learns_on_a_full_batch(task):
    ours, theirs = both_fitted(task, alpha=0.1, batch_size=N, sample_weight=weight)
    assert_same_net(ours, theirs)


def test_invscaling_is_scikit_learns():
    """Without momentum: scikit-learn's velocity contains the rate."""
    parameters = {"learning_rate": "invscaling", "power_t": 0.3}
    ours, theirs = both_fitted("classes", **parameters)
    assert_same_net(ours, theirs)
    assert_allclose(ours.history_["learning_rate"], 0.1 / (np.arange(5) * N + 1) ** 0.3)
    chunks = [clone(model).set_params(batch_size=6) for model in (ours, theirs)]
    for model in chunks:
        for start in range(0, N, 6):
            model.partial_fit(X[start : start + 6], three[start : start + 6], classes=np.unique(three))
    assert_same_net(*chunks)


@pytest.mark.parametrize("learning_rate", ["constant", "adaptive"])
@pytest.mark.parametrize("task", ["classes", "regression"])
def test_the_stopping_rule_is_scikit_learns(task, learning_rate):
    """Where there is no penalty, both look at the same figures; ``tol`` is in units of the loss of a constant."""
    parameters = {**PLAIN, "tol": 1e-2, "n_iter_no_change": 3, "max_iter": 400, "batch_size": 8}
    parameters |= {"learning_rate": learning_rate, "learning_rate_init": 0.2}
    estimator, _, target, *_ = TASKS[task]
    shares = np.unique(three, return_counts=True)[1] / N
    unit = -shares @ np.log(shares) if task == "classes" else target.var() / 2
    ours = estimator(**parameters | {"tol": 1e-2 / unit}).fit(X, target)
    theirs = THEIR_TASKS[task][0](**parameters).fit(X, target)
    assert (ours.status_, ours.n_iter_) == ("converged", theirs.n_iter_)
    assert ours.n_iter_ < 400
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert_allclose(ours.best_loss_, theirs.best_loss_, rtol=1e-9)
    assert_same_net(ours, theirs, rtol=1e-8)
    if learning_rate == "adaptive":
        assert ours.history_["learning_rate"][-1] <= 1e-6


# ---------------------------------------------------------------------- L-BFGS


def lbfgs_fitted(task, **parameters):
    """Ours, scikit-learn's, and the objectives of both."""
    estimator, _, target, loss, numbers = TASKS[task]
    theirs, more = THEIR_TASKS[task]
    parameters = {
        "hidden_layer_sizes": (3,),
        "activation": "tanh",
        "random_state": 0,
        "tol": 1e-7,
        **parameters,
        **more,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = estimator(**parameters, solver="lbfgs", alpha=0.05).fit(X, target)
        theirs = theirs(**parameters, solver="lbfgs", alpha=0.05 * N).fit(X, target)
    nets = (net_of(ours), net_of(theirs))
    return ours, theirs, *(mean_loss(net, X, numbers, loss, "tanh") + penalty(net, 0.05) for net in nets)


@pytest.mark.parametrize("task", [task for task in THEIR_TASKS if task != "outputs"])
def test_lbfgs_is_scikit_learns_for_a_while(task):
    """Rounding grows from iteration to iteration. (Of several outputs, scikit-learn's loss is the mean and its gradient
    that of the sum.)"""
    ours, theirs, *_ = lbfgs_fitted(task, max_iter=15)
    assert_same_net(ours, theirs, rtol=1e-5, atol=1e-6)
    assert ours.n_iter_ == theirs.n_iter_ == 15


@their_tasks
def test_lbfgs_reaches_the_objective_of_scikit_learn(task):
    ours, _, objective, theirs = lbfgs_fitted(task, max_iter=1000)
    assert ours.status_ == "converged"
    assert objective <= theirs + 1e-6
    assert_allclose(ours.loss_, objective, rtol=1e-9)
    assert (np.diff(ours.loss_curve_) <= 0).all()
    assert ours.n_iter_ == len(ours.loss_curve_) == ours.n_updates_


@pytest.mark.parametrize("weights", [None, weight])
def test_lbfgs_without_activation_is_least_squares(weights):
    parameters = {
        "solver": "lbfgs",
        "activation": "identity",
        "hidden_layer_sizes": (2,),
        "tol": 1e-9,
        "max_iter": 5000,
    }
    model = fitted("outputs", sample_weight=weights, **parameters)
    expected = LinearRegression().fit(X, Y, weights).predict(X_new)
    assert model.status_ == "converged"
    assert_allclose(model.predict(X_new), expected, atol=1e-5)
