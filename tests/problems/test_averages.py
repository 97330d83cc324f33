"""_problems.tail_average: the weights by their formula; every way to train a network averages alike."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minibatch._problems import mlp
from minibatch._problems.epochs import Epoch
from minibatch._problems.layout import network_of
from minibatch._problems.mlp import MLPProblem
from minibatch._problems.state import State
from minibatch._problems.tail_average import DENSE, NEWEST, weights_of_newest
from minibatch.engine.activations import ACTIVATIONS
from minibatch.engine.linear import SEPARATE, Objective, Solver
from minibatch.engine.losses import SQUARED_ERROR
from minibatch.engine.optimizers import SOLVERS

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((40, 6)), rng.standard_normal((40, 2))


def shares_of(n_updates):
    """What every iterate weighs in the average in the end."""
    newest = weights_of_newest(1, n_updates)
    return newest * np.append(np.cumprod((1 - newest)[::-1])[::-1][1:], 1.0)


@pytest.mark.parametrize("n_updates", [1, 2, 100, 511, 5000, 100_000])
def test_it_is_an_average_that_forgets_the_beginning(n_updates):
    shares = shares_of(n_updates)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares >= 0).all()
    if n_updates > 50:
        assert shares[: n_updates // 2].sum() < 0.01
        middle = (shares * np.arange(1, n_updates + 1)).sum() / n_updates
        assert middle == pytest.approx(NEWEST / (NEWEST + 1), abs=0.02)


def test_weights_are_those_of_polynomial_decay():
    """``P(i) ~ (i + 1) ... (i + 7)``: Shamir and Zhang's with eta = 8."""
    shares, i = shares_of(300), np.arange(1, 301.0)
    exact = np.prod([i + k for k in range(8)], axis=0)
    assert_allclose(shares, exact / exact.sum(), rtol=1e-9)


def test_iterates_that_are_left_out_change_little():
    """Of a mean of anything smooth, and few are left: some 50 count at any time."""
    n = 20_000
    every, some = np.arange(1, n + 1.0) ** 8, shares_of(n)
    path = np.sqrt(np.arange(1, n + 1.0))
    assert (path * some).sum() == pytest.approx((path * every).sum() / every.sum(), rel=2e-3)
    assert 30 < 1 / (some**2).sum() < 120
    taken = np.flatnonzero(weights_of_newest(1, n)) + 1
    assert_array_equal(np.diff(taken[taken < 2 * DENSE]), 1)
    assert all(step in (1, 2, 4, 8, 16, 32, 64) for step in np.diff(taken))
    assert weights_of_newest(n, n)[weights_of_newest(n, n) > 0].min() > NEWEST / (4 * DENSE)


def test_pieces_of_a_run_have_the_weights_of_the_run():
    bounds = [1, 2, 300, 513, 1500, 3001]
    pieces = [weights_of_newest(first, last - first) for first, last in pairwise(bounds)]
    assert_array_equal(np.concatenate(pieces), weights_of_newest(1, 3000))


WAYS = {"by rows": {}, "by inputs": {"SMALL_WORK": 0}, "by gradients": {"LARGE_BATCH": 1}}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_way_to_train_averages_what_it_trains(way, normalized, dtype, monkeypatch):
    """One update at a time, averaged by hand, is the run at once, to the digit: running statistics too."""
    for name, value in WAYS[way].items():
        monkeypatch.setattr(mlp, name, value)
    network = network_of([6, 9, 2], ACTIVATIONS["tanh"], normalized)
    objective, solver = (
        Objective(SQUARED_ERROR, 0.0, SEPARATE, 0, 0.0, 0.01, True),
        Solver(SOLVERS["adam"], 0.9, 0.9, 0.999, 1e-8),
    )
    problem = MLPProblem.from_arrays(X.astype(dtype), Y.astype(dtype), None, objective, solver, network)
    theta = rng.uniform(0.5, 1.0, network.n_parameters).astype(dtype)
    orders = [np.random.default_rng(k).permutation(40) for k in range(70)]
    epochs = [Epoch(order, np.full(10, 0.01), 4, 10, True, 0) for order in orders]
    state, slow = problem.new_state(theta, True), problem.new_state(theta, False)
    average, newest = theta.copy(), iter(weights_of_newest(1, 700))
    for epoch in epochs:
        problem.run_epoch(state, epoch)
        for batch in epoch.parts(1):
            problem.run_epoch(slow, batch)
            average += dtype(next(newest)) * (slow.theta - average)
    assert_allclose(state.theta, slow.theta, rtol=10 * np.finfo(dtype).eps)
    assert_allclose(state.average, average, rtol=100 * np.finfo(dtype).eps, atol=10 * np.finfo(dtype).eps)
    assert state.result() is state.average
    assert np.abs(state.average - state.theta).max() > 1e-3


def test_copies_are_apart():
    state = State(np.ones(3), np.zeros((2, 3)), np.zeros(0), average=np.ones(3))
    state.copy().average[:] = 0.0
    assert (state.average == 1.0).all()
