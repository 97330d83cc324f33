"""_problems.averages: the weights by their formulas; every way to train a network averages alike."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minibatch._problems import mlp
from minibatch._problems.averages import (
    DENSE,
    DENSE_IN_MEAN,
    NEWEST,
    shares_of_updates,
    weights_in_mean,
    weights_in_tail,
)
from minibatch._problems.epochs import Epoch
from minibatch._problems.layout import network_of
from minibatch._problems.mlp import MLPProblem
from minibatch._problems.state import State
from minibatch.engine.activations import ACTIVATIONS
from minibatch.engine.linear import SEPARATE, Objective, Solver
from minibatch.engine.losses import SQUARED_ERROR
from minibatch.engine.optimizers import SOLVERS

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((40, 6)), rng.standard_normal((40, 2))


def shares_of(n_updates, weights=weights_in_tail):
    """What every iterate weighs in the average in the end."""
    newest = weights(1, n_updates)
    return newest * np.append(np.cumprod((1 - newest)[::-1])[::-1][1:], 1.0)


@pytest.mark.parametrize("n_updates", [1, 2, 100, 511, 5000, 100_000])
def test_the_tail_is_an_average_that_forgets_the_beginning(n_updates):
    shares = shares_of(n_updates)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares >= 0).all()
    if n_updates > 50:
        assert shares[: n_updates // 2].sum() < 0.01
        middle = (shares * np.arange(1, n_updates + 1)).sum() / n_updates
        assert middle == pytest.approx(NEWEST / (NEWEST + 1), abs=0.02)


def test_weights_of_the_tail_are_those_of_polynomial_decay():
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
    taken = np.flatnonzero(weights_in_tail(1, n)) + 1
    assert_array_equal(np.diff(taken[taken < 2 * DENSE]), 1)
    assert all(step in (1, 2, 4, 8, 16, 32, 64) for step in np.diff(taken))
    assert weights_in_tail(n, n)[weights_in_tail(n, n) > 0].min() > NEWEST / (4 * DENSE)


@pytest.mark.parametrize("n_updates", [1, 2, 1000, 2 * DENSE_IN_MEAN - 1])
def test_the_mean_is_the_mean(n_updates):
    assert_allclose(shares_of(n_updates, weights_in_mean), 1 / n_updates, rtol=1e-9)


@pytest.mark.parametrize("half_life", [0.01, 1.0, 7.0, 300.0])
def test_the_exponential_average_has_its_half_life(half_life):
    """An iterate weighs half as much as one that is so many updates younger, but for the first, which weigh alike."""
    n = 3000
    shares, memory = shares_of(n, lambda *run: weights_in_mean(*run, half_life)), half_life / np.log(2)
    assert shares.sum() == pytest.approx(1.0)
    first = int(memory)
    assert_allclose(shares[:first], shares[0], rtol=1e-9)
    young = shares[max(1, first + 1) :]
    young = young[young > 1e-300]
    assert_allclose(young[1:] / young[:-1], 2 ** (1 / half_life), rtol=1e-9)
    assert shares[-1] == pytest.approx(1 - 0.5 ** (1 / half_life), rel=1e-12)


@pytest.mark.parametrize("half_life", [np.inf, 50_000.0])
def test_of_very_many_iterates_every_second_or_fourth_is_taken(half_life):
    """Of a path that is smooth, to hardly any difference, and with no weight that float32 could not add."""
    n = 150_000
    shares, newest = shares_of(n, lambda *run: weights_in_mean(*run, half_life)), weights_in_mean(1, n, half_life)
    assert shares.sum() == pytest.approx(1.0)
    taken = np.flatnonzero(newest) + 1
    assert set(np.diff(taken[taken >= 2 * DENSE_IN_MEAN])) <= {1, 2, 4, 8}
    assert newest[taken - 1].min() > 0.5 / DENSE_IN_MEAN > 250 * np.finfo(np.float32).eps
    exact, path = np.full(n, 1 / n), np.sqrt(np.arange(1, n + 1.0))
    if np.isfinite(half_life):
        exact = 0.5 ** (np.arange(n)[::-1] / half_life)
        first = int(half_life / np.log(2))  # their mean, which then decays as a whole
        exact[:first] = 0.5 ** ((n - first) / half_life) / (1 - 0.5 ** (1 / half_life)) / first
        exact /= exact.sum()
    assert (path * shares).sum() == pytest.approx((path * exact).sum(), rel=1e-3)


@pytest.mark.parametrize("weights", [weights_in_tail, weights_in_mean, lambda *run: weights_in_mean(*run, 400.0)])
def test_pieces_of_a_run_have_the_weights_of_the_run(weights):
    bounds = [1, 2, 300, 513, 1500, 3001]
    pieces = [weights(first, last - first) for first, last in pairwise(bounds)]
    assert_array_equal(np.concatenate(pieces), weights(1, 3000))


@pytest.mark.parametrize("batch_size", [1, 4, 9, 40])
def test_an_epoch_forgets_alike_whatever_the_batch_size(batch_size):
    """Late in a run: the scaling rule of Busbridge et al. (2023), that a batch k times as large decays k times over."""
    n_batches = -(-40 // batch_size)
    epoch = Epoch(np.arange(40), np.zeros(n_batches), batch_size, 0, True, 0, n_batches)
    state = State(np.zeros(1), np.zeros((0, 1)), np.zeros(0), average=np.zeros(1), n_averaged=10**9)
    shares = shares_of_updates(state, epoch, 2.5)
    assert np.prod(1 - shares) == pytest.approx(0.5 ** (1 / 2.5))
    assert_array_equal(np.unique(shares), shares[:1])


def test_shares_begin_where_averaging_does():
    epoch = Epoch(np.arange(40), np.zeros(10), 4, 7, True, 0, 10)
    state = State(np.zeros(1), np.zeros((0, 1)), np.zeros(0), average=np.zeros(1))
    assert_allclose(shares_of_updates(state, epoch, np.inf), [0] * 7 + [1, 1 / 2, 1 / 3])
    assert_array_equal(shares_of_updates(state, epoch._replace(first_averaged=12), np.inf), np.zeros(10))


WAYS = {"by rows": {}, "by inputs": {"SMALL_WORK": 0}, "by gradients": {"LARGE_BATCH": 1}}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("half_life", [None, np.inf, 3.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_way_to_train_averages_what_it_trains(way, normalized, dtype, half_life, monkeypatch):
    """One update at a time, averaged by hand, is the run at once, to the digit: running statistics too."""
    for name, value in WAYS[way].items():
        monkeypatch.setattr(mlp, name, value)
    network = network_of([6, 9, 2], ACTIVATIONS["tanh"], normalized)
    objective, solver = (
        Objective(SQUARED_ERROR, 0.0, SEPARATE, 0, 0.0, 0.01, True),
        Solver(SOLVERS["adam"], 0.9, 0.9, 0.999, 1e-8),
    )
    problem = MLPProblem.from_arrays(
        X.astype(dtype), Y.astype(dtype), None, objective, solver, network, half_life=half_life
    )
    theta = rng.uniform(0.5, 1.0, network.n_parameters).astype(dtype)
    orders = [np.random.default_rng(k).permutation(40) for k in range(70)]
    epochs = [Epoch(order, np.full(10, 0.01), 4, 0, True, 0, 10) for order in orders]
    state, slow = problem.new_state(theta, True), problem.new_state(theta, False)
    weights = weights_in_tail(1, 700) if half_life is None else weights_in_mean(1, 700, half_life * 10)
    average, newest = theta.copy(), iter(weights)
    for epoch in epochs:
        problem.run_epoch(state, epoch)
        for batch in epoch.parts(1):
            problem.run_epoch(slow, batch)
            average += dtype(next(newest)) * (slow.theta - average)
    assert_allclose(state.theta, slow.theta, rtol=10 * np.finfo(dtype).eps)
    assert_allclose(state.average, average, rtol=100 * np.finfo(dtype).eps, atol=10 * np.finfo(dtype).eps)
    assert state.result() is state.average
    assert state.n_averaged == 700
    assert np.abs(state.average - state.theta).max() > 1e-3


def test_copies_are_apart():
    state = State(np.ones(3), np.zeros((2, 3)), np.zeros(0), average=np.ones(3))
    state.copy().average[:] = 0.0
    assert (state.average == 1.0).all()
