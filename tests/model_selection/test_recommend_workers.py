"""recommend_batch_size for several workers: their times in the law, in the runs and in the words."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits

from minibatch import MiniBatchSGDClassifier
from minibatch.distributed._network import allreduce_seconds
from minibatch.model_selection import _race, _recommend, memory_required, recommend_batch_size
from minibatch.model_selection._step_time import StepTimes
from minibatch.model_selection._worker_advice import checked_team, compared, doubts_about_workers, words_about_workers
from minibatch.model_selection._worker_times import TimedWorkers, WorkerTimes

X, Y = load_digits(return_X_y=True)
X, Y = X[:600] / 16, Y[:600]
AUTO = MiniBatchSGDClassifier("log_loss", random_state=0)
A, B, BYTES, NETWORK = 3e-6, 5e-7, 8 * (65 * 10 + 10), (1e-5, 1e9)
POWERS = 4 ** np.arange(8)
PART = StepTimes(POWERS, A + B * POWERS, np.ones(8))


class Known:
    """In place of ``TimedWorkers``: a part takes 3 us and 0.5 us a row, as an update of one worker."""

    exchange_of_processes = 1e-4

    def __init__(self, model, rows, n_workers, network):
        self.n_workers, self.network = n_workers, network

    def times(self, sizes, deadline):
        exchange = self.exchange_of_processes
        if self.network is not None:
            exchange = float(allreduce_seconds(BYTES, self.n_workers, self.network))
        return WorkerTimes(PART, self.n_workers, exchange, BYTES)

    def close(self): ...


@pytest.fixture
def known_times(monkeypatch):
    monkeypatch.setattr(_recommend, "step_times", lambda *_: PART)
    monkeypatch.setattr(_recommend, "TimedWorkers", Known)
    monkeypatch.setattr(_race, "MOST_SEEDS", 1)


@pytest.mark.compiled  # in plain Python a run ends by the clock
def test_one_worker_is_the_advice_without_workers(known_times):
    plain = recommend_batch_size(AUTO, X, Y, random_state=0)
    one = recommend_batch_size(AUTO, X, Y, n_workers=1, random_state=0)
    assert (plain.batch_size, plain.reason, plain.unsure) == (one.batch_size, one.reason, one.unsure)
    assert repr(plain.to_frame()) == repr(one.to_frame())
    assert (one.n_workers, one.seconds_per_exchange) == (1, 0.0)
    assert "workers" not in repr(one)


def test_predictions_and_measured_times_have_parts_and_exchanges(known_times):
    advice = recommend_batch_size(AUTO, X, Y, n_workers=4, network=NETWORK, random_state=0)
    assert advice.n_workers == 4
    assert_allclose(advice.seconds_per_exchange, allreduce_seconds(BYTES, 4, NETWORK))
    assert_allclose(advice.seconds_per_update, (A, B), rtol=1e-4)
    table = advice.table
    parts = np.ceil(table["batch_size"] / 4)
    known = np.isin(parts, POWERS)  # times between those that are known are drawn by logarithms
    seconds = A + B * parts[known] + advice.seconds_per_exchange
    for of in ("predicted", "measured"):
        assert_allclose(table[f"{of}_seconds"][known], table[f"{of}_updates"][known] * seconds)
    sizes = table["batch_size"].tolist()
    required = memory_required(AUTO, 64, sizes[-1], n_samples=600, n_outputs=10, n_workers=4).total
    assert table["memory"][-1] == required


def test_slow_networks_want_large_batches(known_times):
    fast, slow = (
        recommend_batch_size(AUTO, X, Y, n_workers=8, network=(latency, 1e12), random_state=0) for latency in (0.0, 0.1)
    )
    assert fast.batch_size < slow.batch_size
    assert slow.batch_size >= 256
    assert "8 workers are predicted to be slower than one. [MB212]" in slow.unsure
    assert f"With batches of {slow.batch_size} an update is fastest with one worker on this network." in slow.reason
    assert not any("slower than one" in doubt for doubt in fast.unsure)


def test_the_words_name_workers_and_exchange(known_times):
    advice = recommend_batch_size(AUTO, X, Y, n_workers=2, random_state=0)
    assert repr(advice).startswith(f"Recommended batch size: {advice.batch_size} over 2 workers\n")
    assert f"2 workers share a batch; 1e+02 us of an update are the exchange of {BYTES:,} bytes." in advice.reason
    assert "of the time of one worker, whose best batches have" in advice.reason
    assert "on this network" not in advice.reason


def shared(part=PART, network=NETWORK, exchange=2e-5):
    sizes = 4 ** np.arange(8)
    times = WorkerTimes(part, 4, exchange, BYTES)
    return compared(checked_team(4, network), times, sizes, 0.5 * sizes, sizes + 10.0)


def test_up_to_how_many_workers_it_pays():
    words = words_about_workers(shared(), 4096)
    seconds = [A + B * np.ceil(4096 / k) + allreduce_seconds(BYTES, k, NETWORK) for k in range(1, 2001)]
    assert f"an update is fastest with {1 + np.argmin(seconds[:1000])}." in words
    most = next(k for k in range(1, 1000) if seconds[2 * k - 1] > 0.9 * seconds[k - 1])
    assert abs(most - int(words.split("up to ")[1].split()[0])) <= 1  # times between known ones are drawn by logarithms
    assert "predicted to take 0.045 of the time of one worker, whose best batches have 1 rows" in words


def test_sizes_beyond_the_runs_are_a_doubt():
    sizes, expected = 4 ** np.arange(4), np.array([4.0, 2.0, 1.5, 1.0])
    assert doubts_about_workers(shared(), sizes, expected, 16, 16) == [
        "By the law batches of 64 are faster still; runs see 16 rows and do not tell. [MB213]"
    ]
    assert doubts_about_workers(shared(), sizes, expected, 16, 64) == []
    assert doubts_about_workers(None, sizes, expected, 16, 16) == []


def test_times_of_one_in_place_of_all():
    """With a network they are those of the loop that workers run, and nobody else is started."""
    workers = TimedWorkers(AUTO, (X, Y, None), 3, NETWORK)
    times = workers.times(np.array([1, 64]), 0.0)
    workers.close()
    assert times.batch_sizes.tolist() == [3, 192]
    assert times.n_bytes == BYTES
    assert_allclose(times.exchange, allreduce_seconds(BYTES, 3, NETWORK))
    assert (times.part.seconds > 1e-7).all()
    assert_allclose(times.of(192) - times.exchange, times.part.seconds[1])


@pytest.mark.slow
def test_processes_of_this_machine():
    advice = recommend_batch_size(AUTO, X, Y, n_workers=2, max_seconds=10, random_state=0)
    assert advice.seconds_per_exchange > 1e-6
    assert 1 <= advice.batch_size <= 600


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_workers": 0}, "n_workers must be an integer from 1 to 10,000; got 0"),
        ({"n_workers": 1.0}, "n_workers must be an integer"),
        ({"n_workers": True}, "n_workers must be an integer"),
        ({"network": (1e-5, 1e9)}, "goes with several workers; give n_workers"),
        ({"n_workers": 2, "network": (1e-5,)}, "network must be a pair of finite numbers"),
        ({"n_workers": 2, "network": (-1, 1e9)}, "network must be a pair of finite numbers"),
        ({"n_workers": 601}, "n_workers=601 is more than the 600 rows of X; give fewer workers"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(given, words, monkeypatch):
    monkeypatch.delattr(_recommend, "step_times")
    with pytest.raises(ValueError, match=words):
        recommend_batch_size(AUTO, X, Y, **given)
