"""How many threads there really are: of fits inside searches, on every backend of joblib, and of BLAS in there."""

import os
import threading

import pytest
import scipy.optimize
from joblib import parallel_config
from sklearn.model_selection import KFold, cross_validate

from minibatch._problems import mlp
from minibatch.engine.compile import COMPILED
from references.fits import (
    FOUR,
    LINEAR,
    NETWORKS,
    X_LARGE,
    Y_LARGE,
    Counted,
    blas_settings,
    large_model_of,
    n_helpers,
    target_of,
)

pytestmark = [
    pytest.mark.usefixtures("blas_is_left_as_it_was"),
    pytest.mark.skipif(not COMPILED, reason="threads are for compiled kernels"),
]
PATIENCE = 60  # seconds; what hangs is a failure
FOLDS = KFold(2)


def threads_in_folds(model, backend):
    """Helpers beside the thread of a fit, and BLAS's setting in there, of two folds at once."""
    target = target_of(type(model).__mro__[2], Y_LARGE)
    with parallel_config(backend=backend):
        found = cross_validate(model, X_LARGE, target, cv=FOLDS, n_jobs=2, scoring=n_helpers, error_score="raise")
    return found["test_helpers"], found["test_blas"]


@pytest.mark.parametrize("estimator", NETWORKS)
def test_networks_on_loky_have_the_threads_that_joblib_leaves_them(estimator):
    """It sets BLAS in each of two workers to half the cores."""
    helpers, blas = threads_in_folds(large_model_of(Counted[estimator]), "loky")
    assert (2 * (1 + helpers) <= max(2, os.cpu_count())).all()
    assert (1 + helpers <= blas).all()
    alone = large_model_of(Counted[estimator]).fit(X_LARGE, target_of(estimator, Y_LARGE))
    assert alone.n_helpers_ == 1  # the batches are worth two threads where there are two


@pytest.mark.parametrize("estimator", NETWORKS)
def test_networks_at_once_share_the_threads_of_blas(estimator, monkeypatch):
    """On joblib's threads: two fits that know of each other run on a thread each."""
    original, running, most, calls, lock = mlp.mlp_epoch, [0], [0], [0], threading.Lock()
    gate, meeting = threading.Barrier(2), threading.Barrier(2)

    def counted(*arguments):
        with lock:
            running[0] += 1
            calls[0] += 1
            most[0], first = max(most[0], running[0]), calls[0] <= 2
        if first:  # an epoch may be over before a busy machine begins the other
            meeting.wait(PATIENCE)
        try:
            return original(*arguments)
        finally:
            with lock:
                running[0] -= 1

    monkeypatch.setattr(mlp, "mlp_epoch", counted)
    model = large_model_of(Counted[estimator]).set_callbacks(AtTheSameTime(gate))
    with parallel_config(backend="threading"):
        cross_validate(model, X_LARGE, target_of(estimator, Y_LARGE), cv=FOLDS, n_jobs=2, error_score="raise")
    assert most[0] == 2


class AtTheSameTime:
    """A callback that lets the first epoch of two fits begin together."""

    def __init__(self, gate):
        self.gate = gate

    def __deepcopy__(self, memo):
        return self

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 0:
            self.gate.wait(PATIENCE)

    def on_fit_task_end(self, estimator, context): ...


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize(("n_jobs", "helpers"), [(None, 0), (1, 0), (2, 1)])
def test_linear_models_have_the_threads_they_are_told_to(backend, n_jobs, helpers):
    """``n_jobs=None`` is one inside a search, whatever the search has."""
    for estimator in LINEAR:
        # evaluations, so that epochs come one by one: several of small data have one thread
        model = large_model_of(Counted[estimator], n_jobs=n_jobs, evaluate_every=1)
        found, _ = threads_in_folds(model, backend)
        own = helpers if estimator is LINEAR[0] else 0  # one output is one share
        assert (found <= (2 * own if backend == "threading" else own)).all()
        assert backend == "threading" or (found == own).all()


@pytest.mark.parametrize("estimator", FOUR)
def test_blas_has_one_thread_in_lbfgs(estimator, monkeypatch):
    """Others stay awake for a while after each of its products, on the cores that the rows' threads need."""
    original, inside = scipy.optimize.minimize, []

    def counted(objective, *arguments, **more):
        inside.extend(blas_settings())
        return original(objective, *arguments, **more)

    monkeypatch.setattr(scipy.optimize, "minimize", counted)
    model = large_model_of(estimator, solver="lbfgs")
    if estimator is LINEAR[0]:
        model.set_params(loss="log_loss")
    model.fit(X_LARGE, target_of(estimator, Y_LARGE))
    assert set(inside) == {1}
