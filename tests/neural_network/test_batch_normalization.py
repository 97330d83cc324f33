"""neural_network: batch normalization against a slow network in NumPy, and its running statistics."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax

from references.network import forward, gradient, mean_loss, moments, net_of, penalty
from references.network_tasks import (
    TASKS,
    N,
    X,
    X_new,
    assert_same_net,
    changed,
    every_task,
    fitted,
    model_of,
    reference,
    start_of,
    theta,
    three,
    weight,
    y,
)


@every_task
@pytest.mark.parametrize("normalization", [True, "input"])
def test_a_full_batch_step_with_batch_normalization(task, normalization):
    """The gradient of the plain objective in which means and variances are functions of the weights."""
    parameters = {"batch_normalization": normalization}
    model = fitted(task, sample_weight=weight, batch_size="full", max_iter=1, alpha=0.05, **parameters)
    start = start_of(task, **parameters)
    start = start._replace(
        means=[np.zeros_like(part) for part in start.means], variances=[np.ones_like(part) for part in start.variances]
    )
    assert all((scale == 1).all() for scale in start.scales)
    *_, loss, target = TASKS[task]
    slopes = gradient(start, X, target, loss, "tanh", weight / weight.mean(), True)
    n = len(start.coefs)
    penalties = [0.05 * W for W in start.coefs] + [0.0] * (len(slopes) - n)
    expected = [part - 0.1 * (g + p) for part, g, p in zip(start.trained, slopes, penalties, strict=True)]
    assert_allclose(theta(net_of(model).with_trained(expected)), theta(model), rtol=1e-9, atol=1e-12)
    # after one batch of all rows the running statistics are its own
    _, raw = forward(start, X, "tanh", True, weight)
    for mean, variance, z in zip(model.running_means_, model.running_variances_, raw, strict=True):
        expected_mean, expected_variance = moments(z, weight)
        assert_allclose(mean, expected_mean, atol=1e-12)
        assert_allclose(variance, expected_variance, rtol=1e-10)


# In batches of 2, some have two rows with weight, some one, some none.
HOLES = np.tile([2.0, 1.0, 3.0, 0.0, 0.0, 0.0, 0.5, 1.0], 3)


@pytest.mark.parametrize("normalization", [True, "input"])
@pytest.mark.parametrize(
    ("solver", "batch_size", "last_batch"), [("sgd", 5, "keep"), ("adam", 7, "drop"), ("sgd", 2, "keep")]
)
@pytest.mark.parametrize("weights", [None, weight, HOLES], ids=["unweighted", "weighted", "holes"])
@pytest.mark.parametrize("task", ["classes", "regression"])
def test_batch_normalization_step_by_step(task, solver, batch_size, last_batch, weights, normalization):
    """Trained and running parameters; over more than ten batches, where the weight of a new one becomes constant."""
    parameters = {"batch_size": batch_size, "last_batch": last_batch, "batch_normalization": normalization}
    parameters |= {"solver": solver, "alpha": 0.05, "epsilon": 1e-4}
    model = fitted(task, sample_weight=weights, max_iter=4, learning_rate_init=0.05, **parameters)
    expected = reference(task, weights=weights, epochs=4, etas=0.05, **parameters)
    assert_same_net(model, expected, rtol=1e-7, atol=1e-9)
    assert changed(model, start_of(task, batch_normalization=normalization))
    scores, _ = forward(expected, X_new, "tanh")
    if task == "classes":
        assert_allclose(model.predict_proba(X_new), softmax(scores, axis=1), rtol=1e-6)
    else:
        assert_allclose(model.predict(X_new), scores[:, 0], rtol=1e-6)


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_batch_normalization_of_float32(layout):
    parameters = {"batch_normalization": True, "batch_size": 8, "learning_rate_init": 0.02}
    model = fitted("classes", layout(X.astype(np.float32)), **parameters)
    parts = (model.coefs_, model.intercepts_, model.scales_, model.running_means_, model.running_variances_)
    assert {part.dtype for layer in parts for part in layer} == {np.dtype(np.float32)}
    assert_same_net(model, fitted("classes", layout(X), **parameters), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("normalization", [True, "input"])
def test_partial_fits_with_batch_normalization_are_an_epoch(normalization):
    parameters = {"batch_normalization": normalization, "batch_size": 6, "solver": "adam", "max_iter": 1}
    model = model_of("classes", **parameters)
    for start in range(0, N, 6):
        model.partial_fit(X[start : start + 6], three[start : start + 6], classes=np.unique(three))
        model = pickle.loads(pickle.dumps(model))
    assert_same_net(model, fitted("classes", **parameters), rtol=1e-11)


def test_batch_normalization_forgotten():
    """A fit without it leaves nothing of it behind."""
    model = fitted("regression", batch_normalization=True).set_params(batch_normalization=False).fit(X, y)
    assert_array_equal(theta(model), theta(fitted("regression")))
    assert model.scales_ == model.running_means_ == model.running_variances_ == []


def test_records_with_batch_normalization_use_the_running_statistics():
    *_, loss, target = TASKS["classes"]
    model = fitted("classes", batch_normalization=True, batch_size=5, evaluate_every=1, alpha=0.05)
    value = mean_loss(net_of(model), X, target, loss, "tanh")
    assert_allclose(model.history_["train_loss"][-1], value, rtol=1e-10)
    assert_allclose(model.history_["objective"][-1], value + penalty(net_of(model), 0.05), rtol=1e-10)
