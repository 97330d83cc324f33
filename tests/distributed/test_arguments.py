"""What ``fit`` refuses, and a fit that goes on from its checkpoint."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import SGDClassifier

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier
from minibatch.distributed import _checkpoint, fit

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


def test_a_checkpoint_is_written_on_the_way_and_a_full_disk_leaves_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(_checkpoint, "SECONDS_BETWEEN", 0.0)
    model = clone(LINEAR).set_params(max_iter=6)
    whole, save, count = clone(model).fit(X, y), _checkpoint.joblib.dump, [0]

    def full(kept, path):
        count[0] += 1
        if count[0] == 4:
            raise OSError("No space left on device")
        save(kept, path)

    monkeypatch.setattr(_checkpoint.joblib, "dump", full)
    with pytest.raises(OSError, match="No space"):
        fit(clone(model), X, y, checkpoint=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["minibatch-checkpoint.joblib"]
    more = fit(clone(model), X, y, checkpoint=tmp_path)
    assert_allclose(parameters(more), parameters(whole), rtol=1e-12)
    assert more.n_iter_ == 6
