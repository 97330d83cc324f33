"""_problems.pieces: cut work changes no digit, and is shared out to threads that stop together."""

import copy
import threading
import time
import warnings
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from minibatch import (
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch._problems import dual_averaging, linear_loops, mlp, single_rows, variance_reduced
from minibatch._problems.pieces import cut, pool_of, share_out
from references.pieces import calls_of, small_pieces

RANDOM = np.random.default_rng(0)
X, LABELS = RANDOM.standard_normal((60, 5)), RANDOM.integers(3, size=60)
TARGET = X @ RANDOM.standard_normal((5, 2)) + RANDOM.standard_normal((60, 2))


# ---------------------------------------------------------------------------------------------- a piece


CONSTANT = {"learning_rate": "constant"}
LINEAR_LOOPS = {
    "one_row_epoch": {"batch_size": 1, "average": True, **CONSTANT},
    "four_row_epoch": {"batch_size": 1, **CONSTANT},
    "sgd_epoch": {"batch_size": 4, **CONSTANT},
    "gradient_epoch": {"batch_size": 4, "solver": "adam", **CONSTANT},
    "lazy_sgd_epoch": {"batch_size": 4, "penalty": "l1", **CONSTANT},
    "dual_averaging_rows_epoch": {"batch_size": 1},
    "dual_averaging_one_row_epoch": {"batch_size": 1, "penalty": "l1"},
    "dual_averaging_epoch": {"batch_size": 4},
    "dual_averaging_sparse_epoch": {"batch_size": 4, "penalty": "l1"},
    "variance_reduced_epoch": {"batch_size": 4, "solver": "saga"},
    "sparse_variance_reduced_epoch": {"batch_size": 4, "solver": "saga"},
}


@pytest.mark.parametrize("name", LINEAR_LOOPS)
def test_a_call_of_a_linear_loop_is_one_piece(monkeypatch, name):
    """And the pieces together are the epoch, with the model of one call: to rounding, as any cut between batches."""
    rows = sp.csr_array(X) if "sparse" in name or "lazy" in name else X
    modules = single_rows, linear_loops, dual_averaging, variance_reduced
    module = next(module for module in modules if hasattr(module, name))
    model = MiniBatchSGDRegressor(max_iter=2, tol=None, random_state=0, **LINEAR_LOOPS[name])
    with calls_of(monkeypatch, module, name) as calls:
        whole = model.fit(rows, TARGET[:, 0]).coef_
        assert sum(len(np.atleast_2d(args[1])) for args in calls) == 2  # epochs: small data are not cut
        calls.clear()
        small_pieces(monkeypatch, 1500)
        cut_up = model.fit(rows, TARGET[:, 0]).coef_
    assert len(calls) > 4
    row_work = 50 + (16 * 5 if sp.issparse(rows) else 2 * 5)
    assert all(args[1].size * row_work <= 1500 for args in calls)
    assert sum(args[1].size for args in calls) == 2 * 60
    np.testing.assert_allclose(cut_up, whole, rtol=1e-12)


@pytest.mark.parametrize("differ", [False, True])
def test_pieces_of_a_softmax_in_single_rows(monkeypatch, differ):
    """They begin and end where four rows would be a pass."""
    rows, classes = RANDOM.standard_normal((701, 5)), RANDOM.integers(0, 3, 701)
    rows *= 10.0 ** np.arange(5) if differ else 1.0
    model = MiniBatchSGDClassifier(
        "log_loss", multi_class="multinomial", batch_size=1, max_iter=3, tol=None, random_state=0
    )
    whole = model.fit(rows, classes).coef_
    small_pieces(monkeypatch, 30_000)
    with calls_of(monkeypatch, dual_averaging, "dual_averaging_softmax_epoch") as calls:
        cut_up = model.fit(rows, classes).coef_
    assert len(calls) > 6
    np.testing.assert_allclose(cut_up, whole, rtol=1e-9, atol=1e-12 * np.abs(whole).max())


AVERAGES = [
    {},
    {"average": True, **CONSTANT},
    {"average": 37, **CONSTANT},
    {"average": 37, "penalty": "l1", **CONSTANT},
    {"solver": "momentum", "average": 37, **CONSTANT},
]


@pytest.mark.parametrize("options", AVERAGES)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_averages_and_counts_go_on_from_piece_to_piece(monkeypatch, options, storage):
    model = MiniBatchSGDRegressor(batch_size=3, max_iter=3, tol=None, random_state=0, **options)
    whole = copy.deepcopy(model.fit(storage(X), TARGET))
    small_pieces(monkeypatch, 1000)
    model.fit(storage(X), TARGET)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-12)
    assert (model.n_updates_, model.t_) == (whole.n_updates_, whole.t_)
    np.testing.assert_allclose(model.history_["progressive_loss"], whole.history_["progressive_loss"], rtol=1e-12)


def numbers_of(model, rows):
    return [*map(np.ravel, model.coefs_), *map(np.ravel, model.intercepts_), *map(np.ravel, [model.predict(rows)])]


LARGE = {"batch_size": 1500, "hidden_layer_sizes": (200, 150), "learning_rate": "constant"}
NETWORKS = {
    "one row a batch": {"batch_size": 1},
    "batches": {"batch_size": 7, "dropout": 0.3, "learning_rate": "constant", "learning_rate_init": 0.01},
    "a large batch": {**LARGE, "dropout": 0.3},
    "a large batch, Nesterov": {**LARGE, "solver": "sgd"},
    "batch normalization": {"batch_size": 50, "batch_normalization": True},
    "L-BFGS": {"solver": "lbfgs"},
}


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_pieces_change_no_digit_of_a_network(monkeypatch, options, storage):
    """Evaluations, scores and losses on validation rows included; with the threads that there are."""
    monkeypatch.setattr(mlp, "SHARE_WORK", 1_000_000)  # large batches have shares, as real ones
    monkeypatch.setattr(mlp, "SMALL_WORK", 1_000_000)
    monkeypatch.setattr(mlp, "LARGE_BATCH", 1000)
    monkeypatch.setattr(mlp, "BLOCK_ROWS", 64)  # and these have blocks
    n = 2000 if options.get("batch_size", 1) > 100 else 200
    rows, target = np.resize(X, (n, 30)), np.resize(TARGET, (n, 2))
    options = {"hidden_layer_sizes": (20, 10), "max_iter": 2, "tol": None, "random_state": 0} | options
    model = MiniBatchMLPRegressor(evaluate_every=1, **options)
    more = {"X_val": storage(rows[::3]), "y_val": target[::3], "sample_weight": np.linspace(0, 2, n)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole = copy.deepcopy(model.fit(storage(rows), target, **more))
        expected = numbers_of(whole, storage(rows))
        small_pieces(monkeypatch, 100_000)
        with calls_of(monkeypatch, mlp, "mlp_update") as updates:
            model.fit(storage(rows), target, **more)
    assert len(updates) == (4 if options.get("batch_size") == 1500 else 0)
    for found, wanted in zip(numbers_of(model, storage(rows)), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    for name in set(whole.history_) - {"seconds"}:
        np.testing.assert_array_equal(model.history_[name], whole.history_[name])


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_pieces_change_no_digit_of_large_batches_of_linear_models(monkeypatch, storage):
    """A batch of 8192 rows or more is cut where a chunk begins a new sum."""
    rows, labels = storage(RANDOM.standard_normal((20_000, 5))), RANDOM.integers(3, size=20_000)
    model = MiniBatchSGDClassifier("log_loss", batch_size=0.5, evaluate_every=1, max_iter=2, tol=None, random_state=0)
    whole = copy.deepcopy(model.fit(rows, labels))
    small_pieces(monkeypatch, 100_000)
    with calls_of(monkeypatch, linear_loops, "chunk_gradient") as calls:
        model.fit(rows, labels)
    assert len(calls) > 2 * 3 * linear_loops.CHUNKS
    np.testing.assert_array_equal(model.coef_, whole.coef_)
    np.testing.assert_array_equal(model.history_["gradient_norm"], whole.history_["gradient_norm"])


def test_a_batch_of_many_outputs_is_cut_too(monkeypatch):
    """Of less than 8192 rows, but more than a piece."""
    labels = RANDOM.integers(3, size=4096)
    rows = RANDOM.standard_normal((4096, 5)) + labels[:, None]
    model = MiniBatchSGDClassifier("log_loss", batch_size=2048, max_iter=2, tol=None, random_state=0, **CONSTANT)
    whole = copy.deepcopy(model.fit(rows, labels))
    small_pieces(monkeypatch, 200_000)
    with calls_of(monkeypatch, linear_loops, "chunk_gradient") as calls:
        model.fit(rows, labels)
    assert [args[3] - args[2] for args in calls] == [1024] * 8
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-12)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_scores_in_pieces(monkeypatch, storage):
    model = MiniBatchSGDClassifier("log_loss", max_iter=2, tol=None, random_state=0, evaluate_every=1)
    whole = copy.deepcopy(model.fit(storage(X), LABELS, X_val=storage(X), y_val=LABELS).history_["validation_loss"])
    small_pieces(monkeypatch, 1000)
    model.fit(storage(X), LABELS, X_val=storage(X), y_val=LABELS)
    np.testing.assert_allclose(model.history_["validation_loss"], whole, rtol=1e-12)


# ---------------------------------------------------------------------------------------------- threads


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_step_of_every_task_is_done_once(number):
    done = []

    def task(i):
        for begin, _ in cut(0, 10, 4):
            done.append((i, begin))
            yield

    with pool_in_use(number) as threads:
        share_out(threads, task, 5)
    assert sorted(done) == [(i, begin) for i in range(5) for begin in (0, 4, 8)]


@contextmanager
def pool_in_use(number):
    with ExitStack() as stack:
        yield pool_of(number, stack)


@pytest.mark.parametrize("culprit", ["caller", "helper"])
def test_the_others_stop_after_their_step(culprit):
    """A long task ends early, whoever raises."""
    caller, both, done = threading.get_ident(), threading.Barrier(2), []

    def task(_):
        both.wait()
        for step in range(1000):
            time.sleep(0.001)
            done.append(step)
            if step == 3 and (threading.get_ident() == caller) == (culprit == "caller"):
                raise KeyboardInterrupt
            yield

    with pool_in_use(2) as threads, pytest.raises(KeyboardInterrupt):
        share_out(threads, task, 2)
    assert len(done) < 900


def test_a_helper_that_never_began_does_not_begin():
    began, busy = [], threading.Event()

    def task(i):
        began.append(i)
        raise KeyboardInterrupt
        yield

    with pool_in_use(2) as threads:
        threads.helpers.submit(busy.wait)
        with pytest.raises(KeyboardInterrupt):
            share_out(threads, task, 2)
        busy.set()
    assert began == [0]
