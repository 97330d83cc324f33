"""What the processes of ``mpirun`` do in ``test_mpi``: python on_ranks.py NAME FOLDER. One that fails ends all."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDRegressor
from minibatch.distributed import ArrayShards, _mpi, fit

MPI = pytest.importorskip("mpi4py.MPI", reason="needs the extra mpi")

RANK, SIZE = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
X = np.random.default_rng(0).standard_normal((120, 3))
Y = X @ [1.0, -1.0, 2.0] + 0.5
MODEL = MiniBatchSGDRegressor(
    learning_rate="constant", eta0=0.02, batch_size=12, max_iter=3, tol=None, random_state=0, shuffle=False
)


def on_all(model, X=X, y=Y, **how):
    """Rank 0 alone has the rows, and all get the same model."""
    fitted = fit(clone(model), X if RANK == 0 else None, y if RANK == 0 else None, backend="mpi", **how)
    for values in MPI.COMM_WORLD.allgather(parameters_of(fitted)):
        assert_array_equal(values, parameters_of(fitted))
    return fitted


def parameters_of(model):
    last = model[-1] if hasattr(model, "steps") else model
    return np.concatenate([np.ravel(part) for part in (last.coefs_ if hasattr(last, "coefs_") else [last.coef_])])


def gradients(folder):
    adam = clone(MODEL).set_params(solver="adam", shuffle=True)
    network = MiniBatchMLPRegressor(hidden_layer_sizes=(60, 60), batch_size=40, max_iter=2, tol=None, random_state=0)
    assert 8 * SIZE * 60 * 60 > _mpi.SHORT
    for model, rows in ((MODEL, X), (adam, sp.csr_array(X)), (network, X)):
        fitted = on_all(model, rows)
        assert_allclose(parameters_of(fitted), parameters_of(clone(model).fit(rows, Y)), rtol=1e-9)
        assert fitted.history_["n_rounds"][-1] >= fitted.n_updates_


def parameters(folder):
    fitted = on_all(MODEL, sync="parameters", period=2, n_workers=SIZE)
    assert fitted.batch_size_ == 12
    if RANK == 0:
        expected = fit(clone(MODEL), X, Y, sync="parameters", period=2, n_workers=SIZE)
        assert_array_equal(fitted.coef_, expected.coef_)


def sources(folder):
    shards = ArrayShards([X[:50], X[50:]], [Y[:50], Y[50:]])
    pipeline = on_all(make_pipeline(StandardScaler(), MODEL), shards, None, checkpoint=folder)
    assert_allclose(pipeline[0].mean_, X.mean(axis=0))
    if RANK == 0:
        expected = fit(make_pipeline(StandardScaler(), clone(MODEL)), shards, n_workers=SIZE)
        assert_array_equal(pipeline.predict(X), expected.predict(X))
    further = on_all(
        make_pipeline(StandardScaler(), clone(MODEL).set_params(max_iter=5)), shards, None, checkpoint=folder
    )
    assert further[-1].n_iter_ == 5
    assert on_all(MODEL, shards, None, sync="parameters", period=2).n_updates_ == 15


def errors(folder):
    before = clone(MODEL).fit(X, Y)
    coef = before.coef_
    with pytest.raises(ValueError, match="NaN") as caught:
        fit(before, np.where(X > 2.0, np.nan, X) if RANK == 0 else None, Y, backend="mpi")
    assert getattr(caught.value, "__notes__", []) == ["It was raised by rank 0 of MPI."] * (RANK > 0)
    with pytest.raises(ValueError, match=f"mpirun -n {SIZE + 1}"):
        fit(before, X, Y, backend="mpi", n_workers=SIZE + 1)
    assert before.coef_ is coef


def interrupted(folder):
    _signalled(signal.SIGINT, KeyboardInterrupt, None)


def stopped(folder):
    """Rank 1 stands still, until the others have given up; it hears of that when it goes on."""
    processes = MPI.COMM_WORLD.allgather(os.getpid())
    _signalled(signal.SIGSTOP, TimeoutError, "for rank 1 of MPI", timeout=5.0)
    (folder / f"over-{RANK}").touch()
    if RANK == 0:
        while not all((folder / f"over-{rank}").exists() for rank in range(SIZE) if rank != 1):
            time.sleep(0.05)
        os.kill(processes[1], signal.SIGCONT)


def _signalled(number, error, words, **how):
    long = clone(MODEL).set_params(max_iter=10**7)
    if RANK == 1:
        threading.Timer(2.0, os.kill, (os.getpid(), number)).start()
    with pytest.raises(error, match=words):
        fit(long, X, Y, backend="mpi", sync="parameters", period=2, **how)
    assert not hasattr(long, "coef_")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
