"""Ctrl-C: it comes soon, and leaves the estimator, BLAS, threads and the compiler as they were."""

import copy
import linecache
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import minibatch
from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch._blas import _only_limit, n_blas_threads, one_blas_thread
from minibatch._problems import linear, mlp, pieces
from minibatch._problems.pieces import cut, pool_of, share_out
from minibatch.engine.compile import COMPILED, aside
from minibatch.history import History

PACKAGE = str(Path(minibatch.__file__).parent)
RANDOM = np.random.default_rng(0)
X, LABELS = RANDOM.standard_normal((60, 5)), RANDOM.integers(3, size=60)
TARGET = X @ RANDOM.standard_normal((5, 2)) + RANDOM.standard_normal((60, 2))

needs_signals = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX signals")


def small_pieces(monkeypatch, work):
    monkeypatch.setattr(pieces, "WORK_AT_ONCE", work)


# ---------------------------------------------------------------------------------------------- a piece


@contextmanager
def calls_of(monkeypatch, module, name):
    """The arguments of every call of a kernel."""
    calls, kernel = [], getattr(module, name)

    def counted(*args):
        calls.append(args)
        return kernel(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, counted)
        yield calls


LINEAR_LOOPS = {
    "one_row_epoch": {"batch_size": 1},
    "sgd_epoch": {"batch_size": 4},
    "gradient_epoch": {"batch_size": 4, "solver": "adam"},
    "lazy_sgd_epoch": {"batch_size": 4, "penalty": "l1"},
}


@pytest.mark.parametrize("name", LINEAR_LOOPS)
def test_a_call_of_a_linear_loop_is_one_piece(monkeypatch, name):
    """And the pieces together are the epoch, with the model of one call: to rounding, as any cut between batches."""
    rows = sp.csr_array(X) if name == "lazy_sgd_epoch" else X
    model = MiniBatchSGDRegressor(max_iter=2, tol=None, random_state=0, **LINEAR_LOOPS[name])
    with calls_of(monkeypatch, linear, name) as calls:
        whole = model.fit(rows, TARGET[:, 0]).coef_
        assert len(calls) == 2  # small data are not cut
        calls.clear()
        small_pieces(monkeypatch, 1500)
        cut_up = model.fit(rows, TARGET[:, 0]).coef_
    assert len(calls) > 4
    row_work = 50 + (16 * 5 if sp.issparse(rows) else 2 * 5)
    assert all(len(args[2]) * model.batch_size * row_work <= 1500 for args in calls)
    assert sum(len(args[2]) for args in calls) == 2 * 60 / model.batch_size
    np.testing.assert_allclose(cut_up, whole, rtol=1e-12)


AVERAGES = [{"average": True}, {"average": 37}, {"average": 37, "penalty": "l1"}, {"solver": "momentum", "average": 37}]


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


NETWORKS = {
    "one row a batch": {"batch_size": 1},
    "batches": {"batch_size": 7, "dropout": 0.3, "learning_rate_init": 0.01},
    "a large batch": {"batch_size": 1500, "dropout": 0.3, "hidden_layer_sizes": (200, 150)},
    "a large batch, Nesterov": {"batch_size": 1500, "solver": "sgd", "hidden_layer_sizes": (200, 150)},
    "batch normalization": {"batch_size": 50, "batch_normalization": True},
    "L-BFGS": {"solver": "lbfgs"},
}


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
def test_pieces_change_no_digit_of_a_network(monkeypatch, options, storage):
    """Evaluations, scores and losses on validation rows included; with the threads that there are."""
    monkeypatch.setattr(mlp, "SHARE_WORK", 1_000_000)  # large batches have shares, as real ones
    monkeypatch.setattr(mlp, "SMALL_WORK", 1_000_000)
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
    with calls_of(monkeypatch, linear, "chunk_gradient") as calls:
        model.fit(rows, labels)
    assert len(calls) > 2 * 3 * linear.CHUNKS
    np.testing.assert_array_equal(model.coef_, whole.coef_)
    np.testing.assert_array_equal(model.history_["gradient_norm"], whole.history_["gradient_norm"])


def test_a_batch_of_many_outputs_is_cut_too(monkeypatch):
    """Of less than 8192 rows, but more than a piece."""
    labels = RANDOM.integers(3, size=4096)
    rows = RANDOM.standard_normal((4096, 5)) + labels[:, None]
    model = MiniBatchSGDClassifier("log_loss", batch_size=2048, max_iter=2, tol=None, random_state=0)
    whole = copy.deepcopy(model.fit(rows, labels))
    small_pieces(monkeypatch, 200_000)
    with calls_of(monkeypatch, linear, "chunk_gradient") as calls:
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


# ---------------------------------------------------------------------------------------------- at every moment


@contextmanager
def interrupt_at(n):
    """Raise KeyboardInterrupt before the n-th line of the package that this thread comes to; gives the count.

    Not where Python handles no signal: at a ``try``, and at a ``with``, whose line comes again before it is left.
    """
    count = [0]

    def trace(frame, event, _):
        if not frame.f_code.co_filename.startswith(PACKAGE) or "engine" in frame.f_code.co_filename:
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not line.lstrip().startswith(("with ", "try:")):
            count[0] += 1
            if count[0] == n:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)


def frozen(value):
    """A copy to compare with: arrays as their bytes."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {name: frozen(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [frozen(part) for part in value]
    return frozen(vars(value)) if hasattr(value, "_columns") else repr(value)


def surroundings():
    limit = _only_limit()
    return n_blas_threads(), limit._current(), set(limit._inside), threading.active_count()


FITS = {
    "linear, averaged": (MiniBatchSGDRegressor(batch_size=7, average=True, n_jobs=2), "fit"),
    "linear, calibrated, validated": (
        MiniBatchSGDRegressor(batch_size=7, solver="adam", eta0="auto", early_stopping=True, evaluate_every=1),
        "fit",
    ),
    "linear, partial_fit": (MiniBatchSGDRegressor(batch_size=7, penalty="l1"), "partial_fit"),
    "network": (
        MiniBatchMLPRegressor(hidden_layer_sizes=(4,), batch_size=20, evaluate_every=1, batch_growth=1.5),
        "fit",
    ),
    "network, large batches": (MiniBatchMLPRegressor(hidden_layer_sizes=(4,), batch_size=60), "fit"),
    "network, partial_fit": (MiniBatchMLPRegressor(hidden_layer_sizes=(4,), batch_size=20), "partial_fit"),
    "network, L-BFGS": (MiniBatchMLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs"), "fit"),
}


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(("model", "method"), FITS.values(), ids=FITS)
def test_an_interrupt_at_any_line_changes_nothing(monkeypatch, model, method, fitted):
    """Attributes, the memory of the optimizer and the history among them, the setting of BLAS, threads; then it fits as
    if nothing had been."""
    small_pieces(monkeypatch, 3000)
    monkeypatch.setattr(mlp, "SMALL_WORK", 100)
    monkeypatch.setattr(mlp, "SHARE_WORK", 100)
    monkeypatch.setattr("minibatch.neural_network._base.n_blas_threads", lambda: 2)
    warnings.simplefilter("ignore", ConvergenceWarning)  # pytest puts the filters back
    model = copy.deepcopy(model).set_params(random_state=0, max_iter=2, warm_start=True)
    if fitted:
        getattr(model, method)(X, TARGET[:, 0])
    getattr(copy.deepcopy(model), method)(X, TARGET[:, 0])  # what is done at a first call only
    reference = copy.deepcopy(model)
    with interrupt_at(-1) as n_lines:
        getattr(reference, method)(X, TARGET[:, 0])
    before, around = frozen(vars(model)), surroundings()
    n_unchanged = 0
    for n in {*np.linspace(1, n_lines[0], 40).astype(int), *range(n_lines[0] - 40, n_lines[0] + 1)}:
        tried = copy.deepcopy(model)
        with suppress(KeyboardInterrupt), interrupt_at(n):  # helpers may leave this thread fewer lines
            getattr(tried, method)(X, TARGET[:, 0])
        assert surroundings() == around, n
        if frozen(vars(tried)) == before:
            n_unchanged += 1
            getattr(tried, method)(X, TARGET[:, 0])
        # or it was over: helpers did the most, or all is done but the warnings
        assert set(vars(tried)) == set(vars(reference)), n
        assert tried.history_.n_epochs == reference.history_.n_epochs, n
        assert frozen(tried.predict(X)) == frozen(reference.predict(X)), n
    assert n_unchanged > 20


def test_a_row_of_the_history_that_is_half_done_is_taken_back():
    history = History()
    history.append(epoch=1, progressive_loss=2.0)
    before, mark = history.copy(), history._mark()
    history.append(epoch=2, validation_loss=1.0)
    history._columns["progressive_loss"].append(np.nan)
    history._back_to(mark)
    assert history == before
    assert frozen(history) == frozen(before)


def test_a_visit_to_the_limit_of_blas_that_never_began_ends_nothing():
    """As after Ctrl-C on the way in."""
    limit, setting = _only_limit(), n_blas_threads()
    with one_blas_thread():
        limit.go((threading.get_ident(), object()))
        assert set(limit._current()) <= {1}
        assert n_blas_threads() == setting
    with threadpool_limits(1, user_api="blas"):  # set by somebody else since
        limit.go((threading.get_ident(), object()))
        assert set(limit._current()) <= {1}


# ---------------------------------------------------------------------------------------------- real signals

ROWS, CLASSES = RANDOM.standard_normal((20_000, 20)), RANDOM.integers(3, size=20_000)
FOREVER = {"max_iter": 10**9, "tol": None, "random_state": 0}
LONG_FITS = {
    "linear": (MiniBatchSGDClassifier("log_loss", batch_size=1, n_jobs=2, **FOREVER), linear, "sgd_epoch"),
    "linear, full": (
        MiniBatchSGDClassifier("log_loss", batch_size="full", n_jobs=2, **FOREVER),
        linear,
        "chunk_gradient",
    ),
    "network": (MiniBatchMLPClassifier((30,), batch_size=32, **FOREVER), mlp, "mlp_epoch"),
    "network, full": (MiniBatchMLPClassifier((30,), batch_size=20_000, **FOREVER), mlp, "mlp_gradient"),
    "network, L-BFGS": (MiniBatchMLPClassifier((30,), solver="lbfgs", max_fun=10**9, **FOREVER), mlp, "mlp_gradient"),
}


def ctrl_c(thread=None):
    signal.pthread_kill((thread or threading.main_thread()).ident, signal.SIGINT)


@needs_signals
@pytest.mark.parametrize("moment", [0.05, 0.21])
@pytest.mark.parametrize(("model", "module", "name"), LONG_FITS.values(), ids=LONG_FITS)
def test_ctrl_c_comes_after_a_few_pieces(monkeypatch, model, module, name, moment):
    """Counted, because the clock of a busy machine says little. These pieces are short, a thousandth of real ones: a
    helper makes some before the caller has its turn."""
    small_pieces(monkeypatch, 10_000_000)
    model.__class__(**model.get_params() | {"max_iter": 1}).fit(ROWS[:9000], CLASSES[:9000])  # compiled
    around, at_signal = surroundings(), []
    with calls_of(monkeypatch, module, name) as calls:
        timer = threading.Timer(moment, lambda: (at_signal.append(len(calls)), ctrl_c()))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            model.fit(ROWS, CLASSES)
        timer.join()
    assert len(calls) - at_signal[0] <= 20
    assert not hasattr(model, "coef_")
    assert not hasattr(model, "coefs_")
    assert surroundings() == around


@needs_signals
def test_a_compilation_goes_on_beside_the_interrupted_caller():
    """Halfway, Numba would be left with half of its tables."""
    go_on, done = threading.Event(), []

    def compile_signature(signature):
        ctrl_c()
        go_on.wait()
        done.append((signature, threading.current_thread() is threading.main_thread()))
        return signature

    with pytest.raises(KeyboardInterrupt):
        aside(compile_signature)("int64")
    assert done == []
    go_on.set()
    while threading.active_count() > 1 and not done:
        time.sleep(0.01)
    assert done == [("int64", False)]


def test_compilation_gives_and_raises_what_the_compiler_does():
    assert aside(str.upper)("int64") == "INT64"
    with pytest.raises(ZeroDivisionError):
        aside(lambda signature: 1 / 0)("int64")
    found = []
    helper = threading.Thread(target=lambda: found.append(aside(lambda _: threading.current_thread())("int64")))
    helper.start()
    helper.join()
    assert found == [helper]  # signals do not come to other threads than the main one


INTERRUPTED = """
import signal, threading
import numpy as np
from minibatch import MiniBatchSGDRegressor

X = np.random.default_rng(0).standard_normal((20, 3))
fit = MiniBatchSGDRegressor(batch_size=1, max_iter=2, tol=None, random_state=0).fit
signal.signal(signal.SIGALRM, signal.default_int_handler)
for moment in (0.02, 0.05, 0.2):
    signal.setitimer(signal.ITIMER_REAL, moment)
    try:
        fit(X, X[:, 0])
    except KeyboardInterrupt:
        print("interrupted")
print(fit(X, X[:, 0]).coef_[0].hex())
"""


@needs_signals
@pytest.mark.slow
@pytest.mark.skipif(not COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
def test_a_fit_after_interrupted_compilations():
    environment = {**os.environ, "MINIBATCH_NUMBA_CACHE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    *interrupts, number = done.stdout.split()
    assert interrupts == ["interrupted"] * 3, done.stderr
    rows = np.random.default_rng(0).standard_normal((20, 3))
    model = MiniBatchSGDRegressor(batch_size=1, max_iter=2, tol=None, random_state=0).fit(rows, rows[:, 0])
    assert float.fromhex(number) == model.coef_[0]
