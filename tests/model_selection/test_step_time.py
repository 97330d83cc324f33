"""How long updates take: known costs come out of runs by a clock that only work moves."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import _step_time
from minibatch.model_selection._step_time import AGREE, MOST_ROUNDS, StepTimes, clock_of, step_times

SETUP, AN_EPOCH, AN_UPDATE, A_ROW = 0.7, 2e-3, 3e-5, 4e-7


class Stub(MiniBatchSGDRegressor):
    """Takes 0.7 s to begin, 2 ms an epoch, 30 us an update and 0.4 us a row, by a clock of its own."""

    def _train(self, X, y, sample_weight, *, watch):
        watch.begin(None, None)
        self.now[0] += SETUP  # before the first update
        whole, slower = -(-len(y) // self.batch_size), self.slower()
        looks, done = set(watch.limits["stretches"].tolist()), 0
        while True:
            if done % whole == 0:
                self.now[0] += slower * AN_EPOCH
            step = min(look for look in {*looks, (done // whole + 1) * whole} if look > done) - done
            done += step
            self.now[0] += slower * step * (AN_UPDATE + A_ROW * self.batch_size)
            watch.see({"n_updates": done}, None)


def stubs(monkeypatch, sizes, slower=lambda: 1.0):
    now = [0.0]
    models = []
    for size in sizes:
        models.append(Stub(batch_size=size))
        models[-1].now, models[-1].slower = now, slower
    monkeypatch.setattr(_step_time, "clock_of", lambda model: lambda: now[0])

    def order(*_):
        now[0] += AN_EPOCH

    monkeypatch.setattr(_step_time, "sample_order", order)
    return models


@pytest.mark.parametrize("n", [100, 5000, 200_000])
def test_the_set_up_of_a_run_is_subtracted_and_that_of_an_epoch_spread_over_its_updates(monkeypatch, n):
    sizes = [size for size in (1, 4, 16, 64, 256, 1024, 4096) if size <= n]
    found = step_times(stubs(monkeypatch, sizes), np.zeros((n, 2)), np.zeros(n), None)
    updates_of_an_epoch = -(-n // np.array(sizes))
    expected = AN_UPDATE + A_ROW * np.array(sizes) + AN_EPOCH / updates_of_an_epoch
    assert_allclose(found.seconds, expected, rtol=1e-6)
    assert_allclose(found.spreads, 1.0, rtol=1e-6)


def test_runs_that_something_slowed_down_do_not_count(monkeypatch):
    factors = iter([1.0, 3.0, 2.0, 1.05] * 100)
    (model,) = stubs(monkeypatch, [16], lambda: next(factors))
    found = step_times([model], np.zeros((100_000, 2)), np.zeros(100_000), None)
    assert_allclose(found.seconds, AN_UPDATE + 16 * A_ROW + AN_EPOCH * 16 / 100_000, rtol=1e-2)
    assert_allclose(found.spreads, 1.05, rtol=1e-2)


def test_runs_that_never_agree_say_so_and_end(monkeypatch):
    runs = []

    def slower():
        runs.append(1.0)
        return 2.0 ** -len(runs)

    (model,) = stubs(monkeypatch, [16], slower)
    found = step_times([model], np.zeros((100, 2)), np.zeros(100), None)
    assert found.spreads[0] > AGREE
    assert len(runs) == MOST_ROUNDS


def test_the_deadline_ends_the_rounds_but_not_before_two_runs_can_be_compared(monkeypatch):
    runs = []
    (model,) = stubs(monkeypatch, [16], lambda: float(len(runs.append(0) or runs)))
    found = step_times([model], np.zeros((100, 2)), np.zeros(100), None, deadline=-np.inf)
    assert len(runs) == 2
    assert_allclose(found.spreads, 2.0, rtol=1e-6)


@given(st.floats(1e-9, 1e-2), st.floats(1e-10, 1e-5))
def test_a_line_comes_back(a, b):
    sizes = 4 ** np.arange(8)
    found = StepTimes(sizes, a + b * sizes, np.ones(8)).line()
    if 0.02 * b < a < 1e4 * b:  # a part that the times show
        assert_allclose(found, (a, b), rtol=0.01)
    assert min(found) > 0


def test_no_time_is_0_where_single_rows_have_a_faster_loop():
    """The best straight line then has no overhead at all."""
    times = StepTimes(np.array([1, 4, 16]), np.array([1e-8, 4e-7, 1.6e-6]), np.ones(3))
    assert min(times.line()) > 1e-11
    assert times.of(1) == pytest.approx(1e-8)


def test_between_sizes_by_logarithms_beyond_by_rows():
    times = StepTimes(np.array([1, 16]), np.array([1e-6, 4e-6]), np.ones(2))
    assert_allclose(times.of(np.array([1, 4, 16, 64])), [1e-6, 2e-6, 4e-6, 16e-6])


def test_the_clock_is_the_processors_where_one_thread_works(monkeypatch):
    assert clock_of(MiniBatchSGDClassifier()) is time.thread_time
    assert clock_of(MiniBatchSGDClassifier(n_jobs=2)) is time.perf_counter
    net = MiniBatchMLPClassifier()
    monkeypatch.setattr(MiniBatchMLPClassifier, "_n_threads", lambda self: 2)
    assert clock_of(net) is time.perf_counter


def test_a_real_model():
    random = np.random.default_rng(0)
    X, y = random.standard_normal((500, 5)), random.integers(0, 2, 500)
    found = step_times([MiniBatchSGDClassifier(batch_size=size) for size in (1, 500)], X, y, None)
    assert (found.seconds > 0).all()
    assert found.seconds[1] > found.seconds[0]
