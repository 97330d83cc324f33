"""_problems.candidates_gradient: models of any solver that share passes are those that they would be alone."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minibatch._problems import candidates, together
from minibatch._problems.together import run_together
from minibatch.engine.optimizers import SOLVERS
from references.shared_passes import (
    LOSSES,
    N,
    X,
    assert_as_alone,
    copy_of,
    of_many_numbers,
    refuse_to_train_alone,
    request,
)

LABELS = (np.arange(N) % 3).astype(float)[:, None]


@pytest.fixture(autouse=True)
def shares_a_pass(monkeypatch):
    refuse_to_train_alone(monkeypatch)


@pytest.mark.parametrize("batch_size", [1, 4, N])
@pytest.mark.parametrize("l1", [0.0, 0.03])
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver(solver, l1, batch_size):
    l1 = 0.05 if solver == "sgd" and l1 == 0.0 else l1  # without, other loops are faster
    assert_as_alone(of_many_numbers(solver=SOLVERS[solver], l1=l1, batch_size=batch_size, n_outputs=2))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss):
    assert_as_alone(of_many_numbers(loss=loss, l1=0.02, n_outputs=2))


@pytest.mark.parametrize("first_averaged", [0, 4])
@pytest.mark.parametrize("solver", ["sgd", "momentum"])
@pytest.mark.parametrize("l1", [0.0, 0.03])
def test_averages(l1, solver, first_averaged):
    more = {"solver": SOLVERS[solver], "l1": l1, "first_averaged": first_averaged, "n_outputs": 2}
    assert_as_alone(of_many_numbers(**more))


def test_momenta_and_both_penalties_differ():
    numbers = [(momentum, l1, l2) for momentum in (0.0, 0.9) for l1 in (0.01, 0.2) for l2 in (0.0, 0.1)]
    solver = SOLVERS["nesterov"]
    assert_as_alone(
        [request(0.1, solver=solver, momentum=momentum, l1=l1, l2=l2) for momentum, l1, l2 in numbers], epochs=3
    )


@pytest.mark.parametrize("batch_size", [1, 4, N])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_softmax_with_weights(fit_intercept, solver, batch_size, monkeypatch):
    monkeypatch.setattr(together, "SMALL_BATCH", 1)  # that it does not pay is no reason to be wrong
    weight = np.random.default_rng(3).integers(0, 3, N).astype(float)
    more = {"n_outputs": 3, "outputs": "multinomial", "y": LABELS, "weight": weight, "batch_size": batch_size}
    assert_as_alone(of_many_numbers(fit_intercept=fit_intercept, solver=SOLVERS[solver], **more))


def test_classes_against_the_rest():
    class_weight = np.array([[1.0, 0.5, 2.0], [0.3, 1.0, 4.0]])
    more = {"n_outputs": 3, "outputs": "ovr", "y": LABELS, "class_weight": class_weight, "l1": 0.02}
    assert_as_alone(of_many_numbers(**more))


@pytest.mark.parametrize("number", [8, 13])
@pytest.mark.parametrize("batch_size", [1, 3, 20])
def test_calls_that_are_cut_anywhere(monkeypatch, batch_size, number):
    monkeypatch.setattr(candidates, "BLOCK_ROWS", 8)
    monkeypatch.setattr(candidates, "at_once", lambda work: 0)
    rows = np.arange(3, N)
    more = {"batch_size": batch_size, "rows": rows, "order": np.arange(len(rows))[::-1].copy(), "l1": 0.03}
    assert_as_alone([request(eta, **more) for eta in np.logspace(-3, -1, number)])


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("solver", ["sgd", "momentum"])
def test_float32(solver, batch_size):
    more = {"matrix": X.astype(np.float32), "batch_size": batch_size, "l1": 0.02, "solver": SOLVERS[solver]}
    assert_as_alone(of_many_numbers(**more), 1e-4)


def test_one_that_explodes_leaves_the_others_as_they_are():
    more = {"loss": "squared_error", "l1": 0.02}
    fine = [request(eta, **more) for eta in np.linspace(0.01, 0.2, 8)]
    with_another, shared = copy_of([*fine, request(1e300, **more)]), copy_of(fine)
    run_together(shared)
    run_together(with_another)
    assert not np.isfinite(with_another[-1].state.theta).all()
    for one, other in zip(shared, with_another, strict=False):
        assert_allclose(one.state.theta, other.state.theta, rtol=1e-12)
