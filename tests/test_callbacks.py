"""callbacks: checkpoints that are whole whenever the process ends, and models that go on from them."""

import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.callback import FitCallback
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch.callbacks import ModelCheckpoint, latest_checkpoint
from references.fits import FOUR, NETWORKS, model_of, parameters_of, target_of
from references.persistence import assert_same

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 3))
y = X @ [1.0, 2.0, -1.0] + 0.1
every_estimator = pytest.mark.parametrize("estimator", FOUR)
SOLVERS = [(estimator, solver) for estimator in FOUR for solver in ("sgd", "adam")]


def loaded(path):
    return pickle.loads(path.read_bytes())


def files_in(directory):
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


def fitted(estimator, checkpoint, **parameters):
    return (
        model_of(estimator, **{"max_iter": 7, **parameters}).set_callbacks(checkpoint).fit(X, target_of(estimator, y))
    )


# ---------------------------------------------------------------------- going on


@pytest.mark.parametrize(("estimator", "solver"), SOLVERS)
@pytest.mark.parametrize("more", [{}, {"shuffle": "block", "batch_size": 7}], ids=str)
def test_a_warm_start_is_the_fit_that_was_never_cut_off(estimator, solver, more, tmp_path):
    """Bit by bit: weights, memory and history."""
    more = more if estimator in NETWORKS else {**more, "average": True}
    whole = fitted(estimator, ModelCheckpoint(tmp_path, every_n_epochs=4), solver=solver, **more)
    model = loaded(latest_checkpoint(tmp_path))
    assert (model.n_iter_, model.status_) == (4, "stopped_by_callback")
    model.set_params(warm_start=True, max_iter=7 - model.n_iter_).fit(X, target_of(estimator, y))
    expected = {**vars(whole.set_callbacks()), "warm_start": True, "max_iter": 3, "n_iter_": 3}
    begun_anew = "_no_improvement_count" if estimator in NETWORKS else "t_"  # of the rule; of the schedule
    expected[begun_anew] = getattr(model, begun_anew)
    counts = {"schedule_updates": 0, "schedule_epochs": 0.0}
    learnt = dict(vars(model))
    memory, before = (state.pop("_optimizer")._replace(**counts) for state in (learnt, expected))
    assert_same(learnt, expected, ignore=("seconds",))
    assert_same(memory, before)


@every_estimator
@pytest.mark.parametrize("schedule", ["invscaling", "step", "cosine"])
def test_chunks_of_all_rows_go_on_with_the_schedule(estimator, schedule, tmp_path):
    whole = fitted(estimator, ModelCheckpoint(tmp_path, every_n_epochs=4), learning_rate=schedule, warmup=2.0)
    model = loaded(latest_checkpoint(tmp_path))
    for _ in range(3):
        model.partial_fit(X, target_of(estimator, y))
    assert_array_equal(parameters_of(model), parameters_of(whole))
    assert_array_equal(model.history_["learning_rate"], whole.history_["learning_rate"])


# ---------------------------------------------------------------------- files


@every_estimator
@pytest.mark.parametrize(
    ("every", "keep", "epochs"),
    [(1, 1, [7]), (1, 3, [5, 6, 7]), (3, 1, [6]), (2, 2, [4, 6]), (9, 1, []), (1, 99, range(1, 8))],
)
def test_the_last_few_are_kept(estimator, every, keep, epochs, tmp_path):
    fitted(estimator, ModelCheckpoint(tmp_path, every_n_epochs=every, keep_last=keep))
    assert files_in(tmp_path) == [f"epoch-{epoch:08}.pkl" for epoch in epochs]
    found = sorted(tmp_path.rglob("*.pkl"))
    for epoch, path in zip(epochs, found, strict=True):
        expected = model_of(estimator, max_iter=epoch).fit(X, target_of(estimator, y))
        assert_array_equal(parameters_of(loaded(path)), parameters_of(expected))
    assert latest_checkpoint(tmp_path) == (found[-1] if found else None)


def test_fits_do_not_disturb_each_other(tmp_path):
    """Not even those of one second: each has a folder."""
    checkpoint = ModelCheckpoint(str(tmp_path / "new" / "folder"), keep_last=2)
    for _ in range(3):
        fitted(FOUR[0], checkpoint)
    runs = sorted((tmp_path / "new" / "folder").iterdir())
    assert len(runs) == 3
    for run in runs:
        assert re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{8}", run.name)
        assert files_in(run) == ["epoch-00000006.pkl", "epoch-00000007.pkl"]


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_every_fit_of_a_search_over_pipelines_has_its_own(backend, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path)
    pipeline = make_pipeline(StandardScaler(), model_of(FOUR[1], max_iter=4).set_callbacks(checkpoint))
    name = f"{FOUR[1].__name__.lower()}__batch_size"
    search = GridSearchCV(pipeline, {name: [1, 8, "full"]}, cv=2, n_jobs=2)
    with parallel_config(backend=backend):
        search.fit(X, y)
    assert len([*tmp_path.iterdir()]) == 1
    assert len(files_in(tmp_path)) == 3 * 2 + 1
    sizes = sorted(str(loaded(path).batch_size) for path in tmp_path.rglob("*.pkl"))
    assert sizes == sorted([*["1", "8", "full"] * 2, str(search.best_params_[name])])
    assert_array_equal(parameters_of(loaded(latest_checkpoint(tmp_path))), parameters_of(search.best_estimator_[-1]))


def test_it_has_no_callbacks(tmp_path):
    """Nor contexts of the fit, in a pipeline either."""
    model = model_of(FOUR[0]).set_callbacks(ModelCheckpoint(tmp_path))
    make_pipeline(StandardScaler(), model).fit(X, target_of(FOUR[0], y))
    kept = vars(loaded(latest_checkpoint(tmp_path)))
    assert not [name for name in kept if "callback" in name]


# ---------------------------------------------------------------------- accidents


@pytest.mark.parametrize("step", ["dump", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()], ids=repr)
def test_an_error_while_writing_leaves_the_one_before(step, error, tmp_path, monkeypatch):
    """And nothing else; the fit says so, and the model is as it was."""
    real, calls = getattr(pickle if step == "dump" else os, step), []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise error
        return real(*arguments)

    monkeypatch.setattr(f"{'pickle' if step == 'dump' else 'os'}.{step}", failing)
    model = model_of(FOUR[1], max_iter=7).set_callbacks(ModelCheckpoint(tmp_path))
    with pytest.raises(type(error)):
        model.fit(X, y)
    assert not hasattr(model, "coef_")
    assert files_in(tmp_path) == ["epoch-00000002.pkl"]
    assert loaded(latest_checkpoint(tmp_path)).n_iter_ == 2


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_process_that_is_killed_while_writing_leaves_a_whole_one(tmp_path):
    code = """
        import os, pickle, signal, sys
        import numpy as np
        from minibatch import MiniBatchSGDRegressor
        from minibatch.callbacks import ModelCheckpoint

        class Killed(pickle.Pickler):
            def reducer_override(self, what):
                if getattr(what, "n_iter_", 0) == 5:
                    os.kill(os.getpid(), signal.SIGKILL)
                return NotImplemented

        pickle.dump = lambda model, file: (file.write(b"half of it"), file.flush(), Killed(file).dump(model))
        X = np.random.default_rng(0).standard_normal((60, 3))
        model = MiniBatchSGDRegressor(max_iter=7, tol=None, random_state=0, learning_rate="constant", eta0=0.03)
        model.set_callbacks(ModelCheckpoint(sys.argv[1])).fit(X, X[:, 0])
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], check=False, capture_output=True)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert files_in(tmp_path) == ["epoch-00000004.pkl", "epoch-00000005.unfinished"]
    path = latest_checkpoint(tmp_path)
    assert path.name == "epoch-00000004.pkl"


def test_a_folder_that_cannot_be_made_is_an_error_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    model = model_of(FOUR[0]).set_callbacks(ModelCheckpoint(tmp_path / "file"))
    with pytest.raises(FileExistsError):
        model.fit(X, target_of(FOUR[0], y))
    assert not hasattr(model, "history_")


@pytest.mark.parametrize("name", ["every_n_epochs", "keep_last"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "all", None])
def test_wrong_numbers_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be an int, 1 or larger; got {value!r}"):
        ModelCheckpoint("folder", **{name: value})


# ---------------------------------------------------------------------- scikit-learn


def test_it_follows_the_protocol_of_callbacks(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, keep_last=2)
    assert isinstance(checkpoint, FitCallback)
    assert vars(pickle.loads(pickle.dumps(checkpoint))) == vars(checkpoint)
    assert clone(model_of(FOUR[0]).set_callbacks(checkpoint))._skl_callbacks == [checkpoint]


def test_fits_of_others_that_show_no_model_have_no_checkpoints(tmp_path):
    scaler = StandardScaler().set_callbacks(ModelCheckpoint(tmp_path))
    scaler.fit(X)
    assert latest_checkpoint(tmp_path) is None
