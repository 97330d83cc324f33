"""Times of updates and exchanges, of workers whose times are known."""

import time
from contextlib import closing

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minibatch import MiniBatchSGDClassifier
from minibatch._base.trials import Updates
from minibatch._problems.state import State
from minibatch.distributed._communicator import Lonely
from minibatch.distributed._processes import Processes
from minibatch.distributed._timing import (
    Exchanges,
    Solo,
    numbers_of_gradient,
    seconds_of_exchange,
    seconds_of_update,
    share_rows,
)

X = np.random.default_rng(0).standard_normal((1000, 4))
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def request_of_fit():
    model = MiniBatchSGDClassifier("log_loss", learning_rate="constant", eta0=1e-9, batch_size=10, random_state=0)
    with closing(model._training(X, Y, None, watch=Updates((X[:2], Y[:2], None), 1000))) as steps:
        return next(steps)


class Sleeping:
    """Workers that take a millisecond for a call, and so long for a batch."""

    number = 2

    def __init__(self, seconds):
        self.seconds, self.longest = seconds, 0

    def share(self, problem, n_numbers, by_gradients):
        self.shared = problem, n_numbers, by_gradients

    def begin(self, epoch):
        self.epoch = epoch

    def train(self, state, first, last, period, asked):
        self.longest = max(self.longest, last)
        time.sleep(1e-3 + (last - first) * self.seconds)

    def close(self): ...


@pytest.mark.parametrize("seconds", [1e-4, 1e-3])
def test_what_comes_before_the_first_batch_does_not_count(request_of_fit, seconds):
    found = seconds_of_update(Sleeping(seconds), request_of_fit, 10)
    assert_allclose(found, seconds, rtol=0.5)


def test_batches_are_cut_from_the_order_of_the_epoch(request_of_fit):
    workers = Sleeping(1e-4)
    seconds_of_update(workers, request_of_fit, 300)
    assert workers.longest == len(workers.epoch.etas) == 3
    assert workers.epoch.batch_size == 300
    assert len(workers.epoch.order) == 1000


def test_one_in_place_of_all_takes_some_batches_of_any_size(request_of_fit):
    class Noting(Solo):
        def begin(self, epoch):
            super().begin(epoch)
            self.epoch = epoch

    workers = Noting()
    share_rows(workers, request_of_fit)
    seconds_of_update(workers, request_of_fit, 900)
    assert len(workers.epoch.etas) >= 4
    assert len(workers.epoch.order) >= 900 * len(workers.epoch.etas)


def test_an_exchange_is_of_as_many_numbers_as_are_added_up(request_of_fit):
    assert numbers_of_gradient(request_of_fit) == 4 + 1 + 1
    workers = Sleeping(1e-4)
    assert_allclose(seconds_of_exchange(workers, 6), 1e-4, rtol=0.5)
    problem, n_numbers, by_gradients = workers.shared
    assert (problem.n_numbers, n_numbers, by_gradients) == (6, 6, True)


def test_one_in_place_of_all_trains_on_a_copy(request_of_fit):
    solo = Solo()
    share_rows(solo, request_of_fit)
    before = request_of_fit.state.copy()
    assert 0 < seconds_of_update(solo, request_of_fit, 100) < 1
    for name, value in vars(before).items():
        assert np.array_equal(value, getattr(request_of_fit.state, name)), name
    solo.close()


def test_exchanges_add_up_a_vector_an_update():
    class Counting(Lonely):
        sizes = ()

        def added(self, *values):
            self.sizes += tuple(value.size for value in values)
            return super().added(*values)

    class Rates:
        etas = np.zeros(3)

    partners = Counting()
    state = State(np.zeros(1), np.zeros((0, 1)), np.zeros(0))
    Exchanges(7, partners=partners).run_epoch(state, Rates)
    assert partners.sizes == (7, 7, 7)


def test_processes_of_this_machine(request_of_fit):
    workers = Processes(2, 60.0)
    try:
        share_rows(workers, request_of_fit)
        assert 0 < seconds_of_update(workers, request_of_fit, 100) < 1
        assert 0 < seconds_of_exchange(workers, 6) < 1
    finally:
        workers.close()
