"""The schedule-free solvers of networks: resuming, evaluation at the average, and what does not go with them."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor
from minibatch._problems import mlp
from references.network import mean_loss, net_of, penalty
from references.network_tasks import TASKS, N, X, X_new, assert_same_net, changed, fitted, model_of, reference, theta, y

SOLVERS = ["schedule_free_sgd", "schedule_free_adamw"]
both = pytest.mark.parametrize("solver", SOLVERS)
GIVEN = {"momentum": 0.8, "beta_1": 0.7, "beta_2": 0.95, "epsilon": 1e-3}


@both
@pytest.mark.parametrize("batch_size", [1, 5, N])
@pytest.mark.parametrize("layout", [np.array, sp.csr_array])
def test_every_batch_size_dense_and_sparse(solver, batch_size, layout):
    parameters = {"solver": solver, "batch_size": batch_size, "alpha": 0.05, **GIVEN}
    model = fitted("classes", X=layout(X), **parameters, learning_rate_init=0.05)
    assert_same_net(model, reference("classes", etas=0.05, **parameters))
    assert changed(model, fitted("classes", **parameters, learning_rate_init=1e-12))


@both
@pytest.mark.parametrize("way", ["large", "shares"])
def test_on_threads(solver, way, monkeypatch):
    """Batches whose rows, or weights, are shared out."""
    name, value = ("LARGE_BATCH", 8) if way == "large" else ("SMALL_WORK", 1)
    monkeypatch.setattr(mlp, name, value)
    parameters = {"solver": solver, "batch_size": 10, "alpha": 0.05, **GIVEN}
    model = fitted("regression", **parameters, learning_rate_init=0.05)
    assert_same_net(model, reference("regression", etas=0.05, **parameters))


@both
@pytest.mark.parametrize("more", [{}, {"dropout": 0.3}, {"learning_rate": "invscaling"}], ids=str)
def test_a_warm_start_goes_on(solver, more):
    parameters = {
        "solver": solver,
        "momentum": 0.9,
        "learning_rate_init": 0.02,
        "batch_size": 7,
        "shuffle": True,
        **more,
    }
    once = fitted("classes", max_iter=5, warm_start=True, **parameters)
    twice = pickle.loads(pickle.dumps(once)).fit(X, TASKS["classes"][2])
    at_once = fitted("classes", max_iter=10, **parameters)
    assert_same_net(once.fit(X, TASKS["classes"][2]), at_once, rtol=1e-10)
    assert_array_equal(theta(twice), theta(once))
    assert_allclose(once.history_["progressive_loss"], at_once.history_["progressive_loss"], rtol=1e-10)


@both
def test_slices_are_an_epoch(solver):
    parameters = {"solver": solver, "momentum": 0.9, "learning_rate_init": 0.02, "batch_size": 4}
    sliced = model_of("regression", **parameters)
    for _ in range(3):
        for start in range(0, N, 8):
            sliced.partial_fit(X[start : start + 8], y[start : start + 8])
    assert_same_net(sliced, fitted("regression", **parameters), rtol=1e-10)


@both
def test_all_that_is_evaluated_is_the_average(solver):
    parameters = {"solver": solver, "momentum": 0.9, "learning_rate_init": 0.05, "alpha": 0.05, "batch_size": 6}
    early = {"early_stopping": True, "tol": 0.0, "n_iter_no_change": 3, "max_iter": 200}
    target = X_new @ [1.0, -2.0, 0.5]
    model = model_of("regression", **parameters, **early).fit(X, y, X_val=X_new, y_val=target)
    scores = model.history_["validation_score"]
    assert_allclose(model.score(X_new, target), scores.max(), rtol=1e-12)
    again = fitted("regression", **parameters, max_iter=int(scores.argmax()) + 1, evaluate_every=1)
    assert_array_equal(theta(again), theta(model))
    net = net_of(again)
    loss = mean_loss(net, X, y[:, None], "squared_error", "tanh")
    assert_allclose(again.history_["train_loss"][-1], loss, rtol=1e-11)
    assert_allclose(again.history_["objective"][-1], loss + penalty(net, 0.05), rtol=1e-11)


@both
def test_it_learns(solver):
    rows = np.random.default_rng(0).standard_normal((400, 2))
    rings = (rows**2).sum(axis=1) > 1.4
    rate = 0.01 if solver == "schedule_free_adamw" else 2.0
    model = MiniBatchMLPClassifier(
        (16,), solver=solver, learning_rate_init=rate, random_state=0, max_iter=100, tol=None
    )
    assert model.set_params(batch_size=32).fit(rows, rings).score(rows, rings) > 0.97


@both
@pytest.mark.parametrize("estimator", [MiniBatchMLPClassifier, MiniBatchMLPRegressor])
def test_what_does_not_go_with_them(estimator, solver):
    name = "momentum" if solver == "schedule_free_sgd" else "beta_1"
    with pytest.raises(ValueError, match=f"{name} must be > 0 with solver='{solver}'"):
        estimator(solver=solver, **{name: 0.0}).fit(X, y > 0)
    for normalization in (True, "input"):
        with pytest.raises(
            ValueError, match=f"batch_normalization={normalization!r} does not go with solver='{solver}'"
        ):
            estimator(solver=solver, batch_normalization=normalization).fit(X, y > 0)
