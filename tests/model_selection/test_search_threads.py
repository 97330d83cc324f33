"""Threads of a search."""

import threading

import pytest
from joblib import parallel_config
from sklearn import config_context, get_config

from minibatch.model_selection._search_threads import workers


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_results_come_in_order_under_the_settings_of_the_caller(n_jobs):
    with config_context(assume_finite=True), workers(n_jobs) as at_work:
        found = at_work.call(lambda i: (i, get_config()["assume_finite"]), [(i,) for i in range(20)])
    assert at_work.number == n_jobs
    assert found == [(i, True) for i in range(20)]


def test_calls_run_at_the_same_time():
    meeting = threading.Barrier(2, timeout=20)
    with workers(2) as at_work:
        assert sorted(at_work.call(meeting.wait, [(), ()])) == [0, 1]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_after_an_error_nothing_begins(n_jobs):
    begun = []

    def call(i):
        begun.append(i)
        if i == 0:
            raise ValueError("no")
        gate.wait(20)

    gate = threading.Event()
    threading.Timer(0.2, gate.set).start()
    with pytest.raises(ValueError, match="no"), workers(n_jobs) as at_work:
        at_work.call(call, [(i,) for i in range(50)])
    assert len(begun) <= n_jobs + 1


def test_calls_begin_while_others_are_made():
    begun = threading.Event()

    def arguments():
        yield (0,)
        assert begun.wait(20)
        yield (1,)

    with workers(2) as at_work:
        assert at_work.call(lambda i: begun.set() or i, arguments()) == [0, 1]


def test_joblib_says_how_many():
    with parallel_config(n_jobs=3), workers(None) as at_work:
        assert at_work.number == 3
