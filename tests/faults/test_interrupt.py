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
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import minibatch
from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch._base.parameters import CHECKED
from minibatch._problems import linear_loops, mlp
from minibatch._problems.blas import _only_limit, n_blas_threads, one_blas_thread
from minibatch.engine.compile import COMPILED, aside
from minibatch.history import History
from references.pieces import calls_of, small_pieces

PACKAGE = str(Path(minibatch.__file__).parent)
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((60, 5))
TARGET = X @ RANDOM.standard_normal((5, 2)) + RANDOM.standard_normal((60, 2))


@pytest.fixture(autouse=True)
def ctrl_c_interrupts():
    """A shell in the background starts processes that ignore it: the fits here would go on for ever."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


needs_signals = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX signals")


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


def attributes(model):
    """All but the note of which parameters were checked, which copies do not take along."""
    return {name: value for name, value in vars(model).items() if name != CHECKED}


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

SLOW = ("linear, calibrated, validated", "network, large batches", "network, partial_fit")


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(
    ("model", "method"),
    [pytest.param(*of, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, of in FITS.items()],
)
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
    before, around = frozen(attributes(model)), surroundings()
    n_unchanged = 0
    first, last = range(1, 41), range(n_lines[0] - 40, n_lines[0] + 1)  # helpers take no first line from this thread
    for n in {*first, *last, *np.linspace(1, n_lines[0], 40).astype(int)}:
        tried = copy.deepcopy(model)
        with suppress(KeyboardInterrupt), interrupt_at(n):  # helpers may leave this thread fewer lines
            getattr(tried, method)(X, TARGET[:, 0])
        assert surroundings() == around, n
        if frozen(attributes(tried)) == before:
            n_unchanged += 1
            getattr(tried, method)(X, TARGET[:, 0])
        # or it was over: helpers did the most, or all is done but the warnings
        assert set(attributes(tried)) == set(attributes(reference)), n
        assert tried.history_.n_epochs == reference.history_.n_epochs, n
        assert frozen(tried.predict(X)) == frozen(reference.predict(X)), n
    assert n_unchanged >= 40


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
FOREVER = {"max_iter": 10**5, "tol": None, "random_state": 0}
LONG_FITS = {
    "linear": (MiniBatchSGDClassifier("log_loss", batch_size=1, n_jobs=2, **FOREVER), linear_loops, "sgd_epoch"),
    "linear, full": (
        MiniBatchSGDClassifier("log_loss", batch_size="full", n_jobs=2, **FOREVER),
        linear_loops,
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
