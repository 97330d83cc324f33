"""Several fits at once: threads, forks, new processes and joblib's backends. The numbers are always those of one fit
alone, nobody waits for ever, and BLAS is left as it was."""

import multiprocessing
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numba
import pytest
from joblib import parallel_config
from numba.core.compiler_lock import global_compiler_lock
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from threadpoolctl import threadpool_limits

from minibatch._problems import blas as _blas
from minibatch.engine.compile import COMPILED
from references.fits import (
    FOUR,
    LINEAR,
    NETWORKS,
    X_LARGE,
    Y_LARGE,
    blas_settings,
    large_model_of,
    model_of,
    parameters_of,
    parameters_of_all_four,
    target_of,
)

pytestmark = [
    pytest.mark.usefixtures("blas_is_left_as_it_was"),
    pytest.mark.skipif(not COMPILED, reason="threads and processes are for compiled kernels"),
    # of forks with threads around, from Python 3.12 on: that is what is tried here
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's own libraries do not bear forks")
ALL_FOUR = pytest.mark.parametrize("estimator", FOUR)
PATIENCE = 60  # seconds; what hangs is a failure
FOLDS = KFold(2)


@pytest.fixture(scope="module")
def alone():
    with threadpool_limits(2, user_api="blas"):
        return parameters_of_all_four()


def send_parameters(connection):
    """What a child does: fit, and tell."""
    connection.send((parameters_of_all_four(), blas_settings()))


def send_compiled(connection):
    connection.send(numba.njit(lambda number: number + 1)(1))


def send_time(connection):
    connection.send(time.monotonic())


def told_by_child(method, send=send_parameters):
    """The parameters of the four models and the settings of BLAS, or what else a process made by ``method`` sends."""
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    child = context.Process(target=send, args=(there,), daemon=True)
    child.start()
    there.close()
    try:
        assert here.poll(PATIENCE), f"a child of {method!r} waits for ever"
        return here.recv()
    finally:
        child.kill()
        child.join()


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert_array_equal(one, other)


class DuringFit:
    """A callback that stops in the second epoch to call ``action``."""

    def __init__(self, action):
        self.action = action

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 1:
            self.action()


class UntilTold:
    """A callback that lets a fit go on until it is told to stop."""

    def __init__(self):
        self.began, self.stop = threading.Event(), threading.Event()

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        self.began.set()
        return self.stop.is_set()


# ---------------------------------------------------------------------- processes


@ON_LINUX
def test_a_fork_after_fits_on_threads(alone):
    found, settings = told_by_child("fork")
    assert_same(found, alone)
    assert settings == blas_settings()
    assert_same(parameters_of_all_four(), alone)  # the parent goes on


@ON_LINUX
@ALL_FOUR
def test_a_fork_in_the_middle_of_a_fit_on_another_thread(estimator, alone):
    callback = UntilTold()
    model = large_model_of(estimator, max_iter=10**6).set_callbacks(callback)
    with ThreadPoolExecutor(1) as pool:
        fit = pool.submit(model.fit, X_LARGE, target_of(estimator, Y_LARGE))
        try:
            assert callback.began.wait(PATIENCE)
            found, _ = told_by_child("fork")
        finally:
            callback.stop.set()
        assert fit.result(PATIENCE).status_ == "stopped_by_callback"
    assert_same(found, alone)


@ON_LINUX
@ALL_FOUR
def test_a_fork_from_within_a_fit(estimator, alone):
    told, target = [], target_of(estimator, Y_LARGE)
    model = large_model_of(estimator).set_callbacks(DuringFit(lambda: told.append(told_by_child("fork")[0])))
    model.fit(X_LARGE, target)
    assert_same(told[0], alone)
    assert_array_equal(parameters_of(model), alone[FOUR.index(estimator)])


@ON_LINUX
def test_a_fork_while_another_thread_sets_blas(monkeypatch):
    """BLAS has a lock of its own then: the child is not born before it is free."""
    original, begun, ended = _blas._set_threads, threading.Event(), []

    def slowly(*arguments):
        begun.set()
        time.sleep(0.3)
        original(*arguments)
        ended.append(time.monotonic())

    def come_and_go():
        with _blas.one_blas_thread():
            pass

    monkeypatch.setattr(_blas, "_set_threads", slowly)
    with ThreadPoolExecutor(1) as pool:
        visit = pool.submit(come_and_go)
        assert begun.wait(PATIENCE)
        born = told_by_child("fork", send_time)
        visit.result(PATIENCE)
    assert born > ended[0]


@ON_LINUX
def test_a_fork_while_another_thread_compiles():
    """The child can compile: it is not born before Numba's lock is free."""
    held = threading.Event()

    def compile_for_a_while():
        with global_compiler_lock:
            held.set()
            time.sleep(0.3)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(compile_for_a_while)
        assert held.wait(PATIENCE)
        assert told_by_child("fork", send_compiled) == 2


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted({"spawn", "forkserver"} & {*multiprocessing.get_all_start_methods()}))
def test_new_processes(method, alone):
    found, _ = told_by_child(method)
    assert_same(found, alone)


# ---------------------------------------------------------------------- searches


@pytest.fixture(scope="module")
def folds_alone():
    """Of every estimator, the models and scores of two folds, one after the other."""
    return {estimator: folds_of(estimator) for estimator in FOUR}


def folds_of(estimator, workers=None, **parameters):
    found = cross_validate(
        large_model_of(estimator, **parameters), X_LARGE, target_of(estimator, Y_LARGE), cv=FOLDS, n_jobs=workers,
        return_estimator=True, error_score="raise",
    )  # fmt: skip
    return [*map(parameters_of, found["estimator"]), found["test_score"]]


@ALL_FOUR
@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_every_backend_of_joblib_gives_the_same_bits(estimator, backend, folds_alone):
    for own in (1, 2) if estimator in LINEAR else (None,):
        parameters = {} if own is None else {"n_jobs": own}
        with parallel_config(backend=backend):
            assert_same(folds_of(estimator, workers=2, **parameters), folds_alone[estimator])
    assert multiprocessing.current_process().name == "MainProcess"


@ALL_FOUR
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_search_gives_the_same_bits(estimator, backend):
    def search(n_jobs):
        grid = GridSearchCV(model_of(estimator), {"batch_size": [1, 8, "full"]}, cv=2, n_jobs=n_jobs)
        grid.fit(X_LARGE[:60, :4], target_of(estimator, Y_LARGE[:60]))
        return grid.cv_results_["mean_test_score"], parameters_of(grid.best_estimator_)

    expected = search(1)
    with parallel_config(backend=backend):
        assert_same(search(2), expected)


# ---------------------------------------------------------------------- threads of one process


@ALL_FOUR
def test_fits_at_once_of_the_same_kind(estimator, alone):
    target, expected = target_of(estimator, Y_LARGE), alone[FOUR.index(estimator)]

    def fit(_):
        return parameters_of(large_model_of(estimator).fit(X_LARGE, target))

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(fit, range(6)):
            assert_array_equal(found, expected)


def test_fits_at_once_of_all_kinds(alone):
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(lambda _: parameters_of_all_four(), range(3)):
            assert_same(found, alone)


def test_predictions_during_a_fit(alone):
    """Of models that are fitted already, on the same kernels."""
    model = large_model_of(NETWORKS[0]).fit(X_LARGE, target_of(NETWORKS[0], Y_LARGE))
    expected, callback = model.predict_proba(X_LARGE), UntilTold()
    other = large_model_of(NETWORKS[0], max_iter=10**6).set_callbacks(callback)
    with ThreadPoolExecutor(1) as pool:
        fit = pool.submit(other.fit, X_LARGE, target_of(NETWORKS[0], Y_LARGE))
        assert callback.began.wait(PATIENCE)
        found = [model.predict_proba(X_LARGE) for _ in range(3)]
        callback.stop.set()
        fit.result(PATIENCE)
    assert_same(found, [expected] * 3)


def test_a_fit_in_a_daemon_thread(alone):
    found = []
    thread = threading.Thread(target=lambda: found.extend(parameters_of_all_four()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert_same(found, alone)


LEFT_ALONE = """
import sys, threading
sys.path[:0] = {path!r}
from references.fits import X_LARGE, Y_LARGE, large_model_of, target_of
from minibatch import {name} as estimator

began = threading.Event()

class Tell:
    def setup(self, estimator, context): ...
    def teardown(self, estimator, context): ...
    def on_fit_task_begin(self, estimator, context): ...
    def on_fit_task_end(self, estimator, context):
        began.set()

model = large_model_of(estimator, max_iter=10**6, **{more!r}).set_callbacks(Tell())
threading.Thread(target=model.fit, args=(X_LARGE, target_of(estimator, Y_LARGE)), daemon=True).start()
assert began.wait({patience})
print("the end", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "more"), [("MiniBatchSGDClassifier", {"n_jobs": 2}), ("MiniBatchMLPClassifier", {})], ids=["linear", "net"]
)
def test_a_process_may_end_during_a_fit_in_a_daemon_thread(name, more):
    script = LEFT_ALONE.format(path=sys.path, name=name, more=more, patience=PATIENCE)
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "the end\n"), ended.stderr
