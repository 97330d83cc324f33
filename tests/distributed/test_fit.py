"""Training with several workers, on one machine: against ``fit``, and against local SGD written in NumPy."""

import signal

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import make_classification

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.distributed import _processes as processes
from minibatch.distributed import fit

X, y = make_classification(600, 6, n_informative=4, random_state=0)
WEIGHT = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
LINEAR = MiniBatchSGDClassifier(
    "log_loss", learning_rate="constant", eta0=0.1, batch_size=50, max_iter=3, tol=None, random_state=0
)
NETWORK = MiniBatchMLPClassifier((5,), learning_rate="constant", batch_size=50, max_iter=3, tol=None, random_state=0)


def parameters(model):
    parts = [model.coef_, model.intercept_] if hasattr(model, "coef_") else model.coefs_ + model.intercepts_
    return np.concatenate([np.ravel(part) for part in parts])


@pytest.fixture
def started(monkeypatch):
    """The processes that were started; none may be there when the test is over."""
    found, start = [], processes.Processes._start

    def and_note(self, number):
        workers = start(self, number)
        found.extend(worker.process for worker in workers)
        return workers

    monkeypatch.setattr(processes.Processes, "_start", and_note)
    yield found
    assert all(process.poll() is not None for process in found)


SAME = {
    "linear": (LINEAR, X),
    "auto, L1": (clone(LINEAR).set_params(learning_rate="auto", penalty="l1", eta0=0.01), X),
    "adam, sparse": (clone(LINEAR).set_params(solver="adam", eta0=0.01), sp.csr_array(X)),
    "averaged": (clone(LINEAR).set_params(average=True), X),
    "early stopping": (clone(LINEAR).set_params(early_stopping=True, max_iter=4, tol=1e-3), X),
    "network": (NETWORK, X),
    "network, dropout": (clone(NETWORK).set_params(dropout=0.3, solver="nesterov"), X),
    "network, auto": (clone(NETWORK).set_params(learning_rate="auto"), X),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("n_workers", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_sharing_gradients_gives_the_model_of_fit(name, n_workers, started):
    model, rows = SAME[name]
    weight = None if "network" in name else WEIGHT
    alone = clone(model).fit(rows, y, sample_weight=weight)
    shared = fit(clone(model), rows, y, sample_weight=weight, n_workers=n_workers)
    assert type(shared) is type(model)
    assert_allclose(parameters(shared), parameters(alone), rtol=1e-7, atol=1e-10)
    assert_allclose(shared.history_["progressive_loss"], alone.history_["progressive_loss"], rtol=1e-7)
    assert shared.n_updates_ == alone.n_updates_
    assert shared.status_ == alone.status_
    assert len(started) == (n_workers if n_workers > 1 else 0)
    assert (np.diff(shared.history_["n_rounds"]) >= 0).all()
    assert (shared.history_["n_bytes"][-1] > 0) == (n_workers > 1)


def local_sgd(rows, targets, n_workers, batch_size, period, eta, alpha, n_epochs):
    """Squared loss, rows in their order: workers have neighbouring rows."""
    n = len(rows)
    w, b = np.zeros(rows.shape[1]), 0.0
    parts = [slice(n * k // n_workers, n * (k + 1) // n_workers) for k in range(n_workers)]
    n_updates = -(-n // (n_workers * batch_size))
    for _ in range(n_epochs):
        for first in range(0, n_updates, period):
            ends, sizes = [], []
            for part in parts:
                v, c, seen = w.copy(), b, 0
                for t in range(first, min(first + period, n_updates)):
                    here = slice(part.start + t * batch_size, min(part.start + (t + 1) * batch_size, part.stop))
                    residual = rows[here] @ v + c - targets[here]
                    seen += len(residual)
                    v, c = v - eta * (rows[here].T @ residual / len(residual) + alpha * v), c - eta * residual.mean()
                ends.append((v, c))
                sizes.append(seen)
            w, b = (sum(size * end[i] for size, end in zip(sizes, ends, strict=True)) / sum(sizes) for i in (0, 1))
    return np.append(w, b)


@pytest.mark.parametrize(("batch_size", "period"), [(20, 1), (7, 4), (1, 13)])
def test_sharing_parameters_is_local_sgd(batch_size, period, started):
    model = MiniBatchSGDRegressor(
        learning_rate="constant", eta0=0.02, batch_size=batch_size, max_iter=2, tol=None, shuffle=False, alpha=0.01
    )
    targets, n_workers = X @ np.arange(6.0), 2
    expected = local_sgd(X[:590], targets[:590], n_workers, batch_size, period, 0.02, 0.01, 2)
    model = fit(model, X[:590], targets[:590], n_workers=n_workers, sync="parameters", period=period)
    assert_allclose(parameters(model), expected, rtol=1e-10)
    n_updates = -(-590 // (n_workers * batch_size))
    assert model.n_updates_ == 2 * n_updates
    assert model.batch_size_ == model.history_["batch_size"][-1] == batch_size
    assert model.history_["n_rounds"].tolist() == [-(-n_updates // period) * epoch for epoch in (1, 2)]


SOLVERS = {
    "adam": clone(LINEAR).set_params(solver="adam", eta0=0.01),
    "auto": clone(LINEAR).set_params(learning_rate="auto", eta0=0.01),
    "schedule-free": clone(LINEAR).set_params(solver="schedule_free_sgd", eta0=0.5),
    "averaged": clone(LINEAR).set_params(average=True),
    "network": clone(NETWORK).set_params(max_iter=6, learning_rate_init=0.01),
    "network with batch normalization": clone(NETWORK).set_params(
        max_iter=6, learning_rate_init=0.01, batch_normalization=True
    ),
    "network with chunks, averaged": clone(NETWORK).set_params(
        max_iter=6, learning_rate_init=0.01, batch_normalization=True, ghost_batch_size=10, average="ema"
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in ("auto", "network"))) for name in SOLVERS]
)
def test_sharing_parameters_trains_as_well_with_every_memory(name, started):
    alone = clone(SOLVERS[name]).fit(X, y)
    shared = fit(clone(SOLVERS[name]).set_params(batch_size=25), X, y, n_workers=2, sync="parameters", period=4)
    assert shared.score(X, y) > alone.score(X, y) - 0.03
    assert shared.n_updates_ == alone.n_updates_
    assert shared.status_ == "max_iter"


@pytest.mark.slow
def test_more_workers_than_rows_is_legal(started):
    few = MiniBatchSGDRegressor(learning_rate="constant", eta0=0.1, batch_size=2, max_iter=2, tol=None)
    rows, targets = X[:2], X[:2, 0]
    for sync in ("gradients", "parameters"):
        model = fit(clone(few), rows, targets, n_workers=3, sync=sync)
        assert np.isfinite(parameters(model)).all()


def lose(monkeypatch, calls, signal_number):
    """Signal the last worker at the calls of these numbers."""
    train, count = processes.Processes.train, [0]

    def and_lose(self, *job):
        count[0] += 1
        if count[0] in calls:
            self._workers[-1].process.send_signal(signal_number)
        return train(self, *job)

    monkeypatch.setattr(processes.Processes, "train", and_lose)


@pytest.mark.parametrize("sync", ["gradients", "parameters"])
def test_a_worker_that_is_killed_is_started_anew_and_the_model_stays_the_same(sync, started, monkeypatch):
    period = 2 if sync == "parameters" else None
    expected = fit(clone(LINEAR), X, y, n_workers=2, sync=sync, period=period)
    lose(monkeypatch, {3}, signal.SIGKILL)
    model = fit(clone(LINEAR), X, y, n_workers=2, sync=sync, period=period)
    assert len(started) == 5
    assert_allclose(parameters(model), parameters(expected), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped here")
def test_a_worker_that_stands_still_is_started_anew(started, monkeypatch):
    lose(monkeypatch, {3}, signal.SIGSTOP)
    model = fit(clone(LINEAR), X, y, n_workers=2, timeout=8.0)
    assert len(started) == 3
    assert_allclose(parameters(model), parameters(clone(LINEAR).fit(X, y)), rtol=1e-7)


@pytest.mark.slow
def test_workers_that_are_lost_again_and_again_end_the_fit(started, monkeypatch):
    lose(monkeypatch, range(100), signal.SIGKILL)
    monkeypatch.setattr(processes, "MOST_LOST", 1)
    train = processes.Processes._tell

    def kill_again(self, job):
        self._workers[-1].process.kill()
        return train(self, job)

    monkeypatch.setattr(processes.Processes, "_tell", kill_again)
    model = clone(LINEAR)
    with pytest.raises(RuntimeError, match="workers were lost"):
        fit(model, X, y, n_workers=2)
    assert not hasattr(model, "coef_")


def test_an_interrupt_ends_all_workers_and_leaves_the_estimator_as_it_was(started, monkeypatch):
    model = clone(LINEAR).fit(X, y)
    before, train, count = dict(vars(model)), processes.Processes.train, [0]

    def interrupted(self, *job):
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        return train(self, *job)

    monkeypatch.setattr(processes.Processes, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(model, X, y, n_workers=2)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
