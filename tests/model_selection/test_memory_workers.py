"""The memory of a fit with several workers: what is said of it, and what the system says of one."""

import re
import sys
import warnings
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.distributed import _processes as processes
from minibatch.distributed import fit
from minibatch.model_selection import memory_required
from minibatch.model_selection._memory_workers import PROCESS

LINEAR = MiniBatchSGDClassifier("log_loss", batch_size=1000, max_iter=3, tol=None, random_state=0)
NETWORK = MiniBatchMLPClassifier((2000,), batch_size=1000, max_iter=3, tol=None, random_state=0)
SYNC = ("gradients", "parameters")


def of_workers(found):
    """Bytes of processes and of what they share."""
    return sum(size for part, size in found.parts.items() if "workers" in part or part.startswith("shared"))


def test_one_worker_is_a_fit():
    alone = memory_required(LINEAR, 10, n_samples=1000)
    assert memory_required(LINEAR, 10, n_samples=1000, n_workers=1, sync="parameters") == alone


@pytest.mark.parametrize("sync", SYNC)
@pytest.mark.parametrize("model", [LINEAR, NETWORK], ids=["linear", "network"])
def test_every_worker_takes_its_process_and_more(model, sync):
    found = [memory_required(model, 50, n_samples=10_000, n_workers=k, sync=sync) for k in (1, 2, 4)]
    assert found[1].parts["processes of the workers"] == 2 * PROCESS
    assert found[1].total - found[0].total > 2 * PROCESS
    assert found[2].total - found[1].total >= 2 * PROCESS
    assert all(max(one.moments.values()) == one.total for one in found)


def test_rows_are_shared_once_or_are_each_ones_own():
    bytes_of_rows = 100_000 * 50 * 4 + 100_000 * 4
    more = {"n_samples": 100_000, "dtype": np.float32, "n_workers": 3}
    gradients, parameters = (
        memory_required(LINEAR, 50, sync=sync, **more).parts for sync in ("gradients", "parameters")
    )
    assert gradients["shared rows"] == parameters["shared rows"] == bytes_of_rows
    assert "own rows of the workers" not in gradients
    assert parameters["own rows of the workers"] == bytes_of_rows
    assert gradients["order of the next epoch"] == 8 * 100_000
    assert "order of the rows" not in parameters


def test_an_exchange_is_of_a_gradient_or_of_all_that_training_changes():
    more = {"n_samples": 1000, "n_workers": 2}
    gradients, parameters = (
        memory_required(NETWORK, 50, sync=sync, **more).parts for sync in ("gradients", "parameters")
    )
    n_parameters = 51 * 2000 + 2001
    assert gradients["shared exchanges"] == 2 * 2 * 8 * n_parameters
    assert parameters["shared exchanges"] == 4 * gradients["shared exchanges"]  # two moments of adam, and an average


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_workers": 0}, "'n_workers' parameter of memory_required must be an int"),
        ({"n_workers": 1.5}, "'n_workers' parameter of memory_required must be an int"),
        ({"n_workers": 2, "sync": "often"}, "'sync' parameter of memory_required must be a str"),
    ],
)
def test_wrong_arguments(given, words):
    with pytest.raises(ValueError, match=words):
        memory_required(LINEAR, 10, n_samples=100, **given)


def test_what_fit_cannot_share():
    with pytest.raises(ValueError, match="lbfgs"):
        memory_required(MiniBatchMLPClassifier(solver="lbfgs"), 10, n_samples=100, n_workers=2)
    normalized = MiniBatchMLPClassifier(batch_normalization=True)
    with pytest.raises(ValueError, match="batch_normalization needs all rows"):
        memory_required(normalized, 10, n_samples=100, n_workers=2)
    memory_required(normalized, 10, n_samples=100, n_workers=2, sync="parameters")


def private_bytes(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(number) for number in re.findall(r"^Private_\w+:\s+(\d+)", text, re.MULTILINE))


@pytest.fixture
def peaks(monkeypatch):
    """Bytes of the workers and of their files, as they are seen while workers train."""
    seen, train = [], processes.Processes.train

    def watched(self, *args):
        done = Event()

        def look():
            while not done.wait(0.002):
                of_files = sum(512 * path.stat().st_blocks for path in self._path_of.iterdir())
                seen.append(of_files + sum(private_bytes(worker.process.pid) for worker in self._workers))

        looking = Thread(target=look)
        looking.start()
        try:
            return train(self, *args)
        finally:
            done.set()
            looking.join()

    monkeypatch.setattr(processes.Processes, "train", watched)
    return seen


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell it in other ways")
@pytest.mark.parametrize("sync", SYNC)
@pytest.mark.parametrize(("model", "shape"), [(LINEAR, (400_000, 50)), (NETWORK, (20_000, 500))], ids=["linear", "net"])
def test_what_the_system_says_of_workers(model, shape, sync, peaks):
    X = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    y = (X[:, 0] > 0).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(2):  # kernels are compiled in the first
            peaks.clear()
            fit(model, X, y, n_workers=2, sync=sync, period=None if sync == "gradients" else 5)
    said = memory_required(model, shape[1], n_samples=shape[0], dtype=np.float32, n_workers=2, sync=sync)
    assert abs(of_workers(said) - max(peaks)) <= 0.25 * max(peaks), said
