"""What ``fit`` refuses, and a fit that goes on from its checkpoint."""

import errno
import os

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier
from minibatch.distributed import ArrayShards, _checkpoint, fit

X, y = make_classification(600, 6, n_informative=4, random_state=0)
LINEAR = MiniBatchSGDClassifier(
    "log_loss", learning_rate="constant", eta0=0.1, batch_size=50, max_iter=3, tol=None, random_state=0
)
NETWORK = MiniBatchMLPClassifier((5,), learning_rate="constant", batch_size=50, max_iter=3, tol=None, random_state=0)


def parameters(model):
    return np.append(model.coef_, model.intercept_)


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "auto"])
def test_a_fit_goes_on_from_its_checkpoint(learning_rate, tmp_path):
    averaged = learning_rate != "auto"
    model = clone(LINEAR).set_params(learning_rate=learning_rate, eta0=0.01, max_iter=5, average=averaged)
    whole = clone(model).fit(X, y)
    first = fit(clone(model).set_params(max_iter=2), X, y, checkpoint=tmp_path)
    assert first.n_iter_ == 2
    more = fit(clone(model), X, y, checkpoint=tmp_path)
    assert_allclose(parameters(more), parameters(whole), rtol=1e-12)
    assert more.n_iter_ == 5
    assert len(more.history_["epoch"]) == 5
    again = fit(clone(model), X, y, checkpoint=tmp_path)  # there is nothing left to do
    assert_allclose(parameters(again), parameters(whole), rtol=1e-12)
    with pytest.raises(ValueError, match="of a fit with other alpha"):
        fit(clone(model).set_params(alpha=0.5), X, y, checkpoint=tmp_path)


WRONG = {
    "n_workers": {"n_workers": 0},
    "sync": {"sync": "often"},
    "period must": {"sync": "parameters", "period": 0},
    "goes with": {"period": 3},
    "backend": {"backend": "magic"},
    "timeout": {"timeout": 0},
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_arguments_are_refused_before_any_work(words):
    with pytest.raises(ValueError, match=words):
        fit(clone(LINEAR), X, y, **WRONG[words])


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(TypeError, match="of this package"):
        fit(SGDClassifier(), X, y)
    with pytest.raises(ValueError, match="batch_normalization"):
        fit(clone(NETWORK).set_params(batch_normalization=True), X, y, n_workers=2)
    with pytest.raises(ValueError, match="lbfgs"):
        fit(MiniBatchMLPRegressor(solver="lbfgs"), X, X[:, 0], n_workers=2)
    with pytest.raises(ValueError, match="alpha"):
        fit(clone(LINEAR).set_params(alpha=-1.0), X, y, n_workers=2)
    drawn = clone(LINEAR).set_params(shuffle="replacement")
    for estimator, rows, targets in ((drawn, ArrayShards([X], [y]), None), (make_pipeline(Normalizer(), drawn), X, y)):
        with pytest.raises(ValueError, match="shuffle='replacement' draws from all rows, but these are read in pieces"):
            fit(estimator, rows, targets)
        assert not hasattr(drawn, "coef_")


def test_a_checkpoint_is_written_on_the_way_and_a_full_disk_leaves_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(_checkpoint, "SECONDS_BETWEEN", 0.0)
    model = clone(LINEAR).set_params(max_iter=6)
    whole, save, count = clone(model).fit(X, y), _checkpoint.joblib.dump, [0]

    def full(kept, file):
        count[0] += 1
        if count[0] >= 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(kept, file)

    with monkeypatch.context() as patch:
        patch.setattr(_checkpoint.joblib, "dump", full)
        with pytest.warns(RuntimeWarning, match=r"cannot be written \(No space left on device\); training goes on"):
            model_of_full_disk = fit(clone(model), X, y, checkpoint=tmp_path)
    assert_allclose(parameters(model_of_full_disk), parameters(whole), rtol=1e-12)
    assert [path.name for path in tmp_path.iterdir()] == ["minibatch-checkpoint.joblib"]
    assert _checkpoint.joblib.load(tmp_path / "minibatch-checkpoint.joblib").n_epochs == 3
    (tmp_path / "minibatch-checkpoint.123.unfinished").write_bytes(b"of a process that was killed")
    more = fit(clone(model), X, y, checkpoint=tmp_path)
    assert_allclose(parameters(more), parameters(whole), rtol=1e-12)
    assert more.n_iter_ == 6
    assert len([*tmp_path.iterdir()]) == 1


def test_a_checkpoint_of_other_rows_or_damaged_is_refused(tmp_path):
    model, as_before = clone(LINEAR), fit(clone(LINEAR), X, y, checkpoint=tmp_path)
    for rows, targets in ((X[:-1], y[:-1]), (X + 1.0, y), (X, 1 - y), (X[:, :3], y), (X.astype(np.float32), y)):
        with pytest.raises(ValueError, match="of a fit with other rows; give another folder"):
            fit(clone(model), rows, targets, checkpoint=tmp_path)
    for same in (X.tolist(), np.asfortranarray(X)):
        assert_array_equal(fit(clone(model), same, y, checkpoint=tmp_path).coef_, as_before.coef_)
    file = tmp_path / "minibatch-checkpoint.joblib"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"minibatch-checkpoint\.joblib there cannot be read.*delete it"):
        fit(model, X, y, checkpoint=tmp_path)
    assert not hasattr(model, "coef_")


def test_checkpoints_know_sources_data_frames_and_sparse_rows_again(tmp_path):
    pandas = pytest.importorskip("pandas")
    words = np.array(["no", "yes"], dtype=object)[y]
    frame = pandas.DataFrame(X).assign(more=1.0)
    frame.columns = frame.columns.astype(str)
    for number, (rows, targets) in enumerate([
        (frame, words),
        (sp.csc_array(X), words),
        (ArrayShards([X[:9], X[9:]], [words[:9], words[9:]]), None),
    ]):  # fmt: skip
        folder = tmp_path / str(number)
        first = fit(clone(LINEAR), rows, targets, checkpoint=folder)
        assert_array_equal(fit(clone(LINEAR), rows, targets, checkpoint=folder).coef_, first.coef_)
    with pytest.raises(ValueError, match="other rows"):
        fit(clone(LINEAR), ArrayShards([X[:9], X[9:]], [y[:9], y[9:]]), checkpoint=folder)
