"""What a worker does, on threads of this process in place of processes."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.base import clone

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDRegressor
from minibatch.distributed import ArrayShards, fit
from minibatch.distributed._communicator import Traffic
from minibatch.distributed._driver import Record

X = np.random.default_rng(0).standard_normal((90, 3))
PLAIN = {"learning_rate": "constant", "batch_size": 12, "max_iter": 2, "tol": None, "random_state": 0}
MODELS = {
    "linear": (MiniBatchSGDRegressor(eta0=0.05, **PLAIN), X),
    "auto": (MiniBatchSGDRegressor(**{**PLAIN, "learning_rate": "auto"}), sp.csr_array(X)),
    "averaged": (MiniBatchSGDRegressor(eta0=0.05, average=True, **PLAIN), X),
    "network": (MiniBatchMLPRegressor(hidden_layer_sizes=(3,), **PLAIN), X),
}


def weights(model):
    return np.ravel(model.coef_ if hasattr(model, "coef_") else model.coefs_[0])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("sync", ["gradients", "parameters"])
def test_two_workers_train_as_one(name, streams, sync, on_threads):
    model, rows = MODELS[name]
    model = clone(model).set_params(shuffle=False)
    targets = X @ [1.0, -2.0, 0.5]
    data = (ArrayShards([rows[:40], rows[40:]], [targets[:40], targets[40:]]),) if streams else (rows, targets)
    alone = clone(model).fit(rows, targets)
    if sync == "gradients":
        model.set_params(batch_size="full")  # whose rows have no order
        alone = clone(model).fit(rows, targets)
        assert_allclose(weights(fit(model, *data, n_workers=2)), weights(alone), rtol=1e-7)
    else:
        shared = fit(model.set_params(batch_size=6), *data, n_workers=2, sync=sync, period=2)
        assert shared.n_updates_ == alone.n_updates_
        assert shared.history_["n_rounds"].tolist() == [4, 8]
        assert shared.score(rows, targets) > alone.score(rows, targets) - 0.2


@pytest.mark.parametrize("sync", ["gradients", "parameters"])
def test_a_worker_without_rows_of_a_batch_is_legal(sync, on_threads):
    model = MiniBatchSGDRegressor(**{**PLAIN, "batch_size": 2, "eta0": 0.01}, shuffle=False)
    shards = ArrayShards([X[:5], X[5:9]], [X[:5, 0], X[5:9, 0]])
    shared = fit(model, shards, n_workers=3, sync=sync)
    assert shared.n_updates_ == (10 if sync == "gradients" else 4)
    assert np.isfinite(weights(shared)).all()


def test_an_error_of_a_worker_is_raised_where_it_was_asked_for(on_threads, monkeypatch):
    def fails(self, team):
        raise OSError("no rows here")

    monkeypatch.setattr("minibatch.distributed._worker.Member.__init__", fails)
    with pytest.raises(OSError, match="no rows here"):
        fit(clone(MODELS["linear"][0]), X, X[:, 0], n_workers=2)


@pytest.mark.parametrize("of_update", [1e-7, 1e-5, 1e-3])
def test_the_period_becomes_that_whose_rounds_take_a_tenth_of_the_time(of_update):
    record, of_part, of_round = Record(None, by_gradients=False), 3e-4, 2e-4
    for _ in range(60):
        n_updates = record.next_updates(1)
        n_rounds = -(-n_updates // record.period)
        record.add(Traffic(n_rounds, 0, 0.0), n_updates, of_part + of_round * n_rounds + of_update * n_updates)
    assert record.period == pytest.approx(9 * of_round / of_update, abs=1.0, rel=0.02)
