"""neural_network: every loss, solver, activation and record against a slow network in NumPy, step by step."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minibatch.engine.activations import ACTIVATIONS
from minibatch.engine.optimizers import SOLVERS
from references.network import gradient, mean_loss, penalty, train
from references.network_tasks import (
    TASKS,
    N,
    X,
    assert_same_net,
    changed,
    every_task,
    fitted,
    reference,
    start_of,
    theta,
    weight,
)


@every_task
@pytest.mark.parametrize("batch_size", [1, 5, 24])
def test_every_loss_and_batch_size(task, batch_size):
    model = fitted(task, batch_size=batch_size, alpha=0.05)
    expected = reference(task, batch_size=batch_size, alpha=0.05)
    assert_same_net(model, expected)
    assert changed(model, start_of(task))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", ["classes", "regression"])
def test_every_solver(task, solver):
    parameters = {"solver": solver, "momentum": 0.8, "beta_1": 0.7, "beta_2": 0.95, "epsilon": 1e-3}
    model = fitted(
        task, batch_size=5, alpha=0.1, nesterovs_momentum=False, **{**parameters, "learning_rate_init": 0.02}
    )
    expected = {**parameters, "solver": "momentum" if solver == "sgd" else solver}
    assert_same_net(model, reference(task, etas=0.02, alpha=0.1, **expected))


def test_sgd_has_nesterovs_momentum_unless_told_otherwise():
    models = [fitted("regression", batch_size=5, momentum=0.9, nesterovs_momentum=flag) for flag in (True, False)]
    for model, solver in zip(models, ("nesterov", "momentum"), strict=True):
        assert_same_net(model, reference("regression", solver=solver, momentum=0.9))
    assert changed(*models)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("task", ["labels", "outputs"])
def test_every_activation(task, activation):
    model = fitted(task, activation=activation, batch_size=8)
    assert_same_net(model, reference(task, activation=activation, batch_size=8))


@pytest.mark.parametrize("hidden_layer_sizes", [1, (5,), [2, 3, 4]])
def test_any_number_of_layers(hidden_layer_sizes):
    parameters = {"hidden_layer_sizes": hidden_layer_sizes, "activation": "gelu"}
    model = fitted("classes", batch_size=8, **parameters)
    *_, loss, target = TASKS["classes"]
    start = start_of("classes", **parameters)
    assert_same_net(model, train(start, X, target, loss, "gelu", batch_size=8, etas=0.1, epochs=3))
    assert model.n_layers_ == 2 + np.size(hidden_layer_sizes)


@pytest.mark.parametrize("task", ["binary", "outputs"])
def test_a_last_batch_that_is_dropped(task):
    model = fitted(task, batch_size=7, last_batch="drop")
    assert_same_net(model, reference(task, batch_size=7, last_batch="drop"))
    assert (model.n_updates_, model.t_) == (9, 63)


@every_task
@pytest.mark.parametrize("batch_size", [5, "full"])
def test_weights(task, batch_size):
    model = fitted(task, sample_weight=weight, batch_size=batch_size, alpha=0.05)
    size = N if batch_size == "full" else batch_size
    assert_same_net(model, reference(task, weights=weight, batch_size=size, alpha=0.05))


@every_task
def test_what_is_recorded(task):
    """Every figure of the history, from its definition."""
    *_, loss, target = TASKS[task]
    model = fitted(task, sample_weight=weight, alpha=0.05, batch_size="full", evaluate_every=2)
    start, s = start_of(task, weight), weight / weight.mean()
    nets = [start, *(reference(task, weights=weight, batch_size=N, alpha=0.05, epochs=k) for k in (1, 2, 3))]
    losses = [mean_loss(net, X, target, loss, "tanh", s) for net in nets]
    objectives = [value + penalty(net, 0.05) for value, net in zip(losses, nets, strict=True)]
    penalties = [penalty(net, 0.05) for net in nets]
    history = model.history_
    assert_allclose(history["progressive_loss"], losses[:3], rtol=1e-10)
    expected = [losses[k] + (penalties[k] + penalties[k + 1]) / 2 for k in range(3)]
    assert_allclose(history["progressive_objective"], expected, rtol=1e-10)
    slopes = gradient(nets[2], X, target, loss, "tanh", s)
    slopes = [g + 0.05 * W if k < 3 else g for k, (g, W) in enumerate(zip(slopes, nets[2].trained, strict=True))]
    columns = {
        "train_loss": losses[2],
        "objective": objectives[2],
        "gradient_norm": np.sqrt(sum((g**2).sum() for g in slopes)),
        "distance_from_init": np.linalg.norm(theta(nets[2]) - theta(start)),
    }
    for name, value in columns.items():
        assert_allclose(history[name], [np.nan, value, np.nan], rtol=1e-9)
    assert_allclose(history["learning_rate"], 0.1)
    assert_array_equal(history["n_samples_seen"], [N, 2 * N, 3 * N])
    assert model.loss_curve_ == history["progressive_objective"].tolist()
    assert (model.loss_, model.best_loss_) == (model.loss_curve_[-1], min(model.loss_curve_))
    assert (model.n_layers_, model.n_outputs_) == (4, model.coefs_[-1].shape[1])
    assert model.validation_scores_ is None
