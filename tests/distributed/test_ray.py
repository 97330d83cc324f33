"""Workers that are actors of Ray: the model of processes, rows of its data sets, a worker that is lost."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone

from minibatch import MiniBatchSGDRegressor
from minibatch.distributed import _ray, fit

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

X = np.random.default_rng(0).standard_normal((400, 4))
Y = X @ [1.0, -1.0, 2.0, 0.5]
MODEL = MiniBatchSGDRegressor(
    learning_rate="constant", eta0=0.02, batch_size=40, max_iter=3, tol=None, random_state=0, shuffle=False
)


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_gradients_give_the_model_of_fit_and_parameters_that_of_processes(cluster):
    assert_allclose(fit(clone(MODEL), X, Y, n_workers=2, backend="ray").coef_, clone(MODEL).fit(X, Y).coef_, rtol=1e-9)
    how = {"n_workers": 2, "sync": "parameters", "period": 2}
    expected = fit(clone(MODEL), X, Y, **how)
    assert_allclose(fit(clone(MODEL), X, Y, backend="ray", **how).coef_, expected.coef_, rtol=1e-12)


def test_rows_of_a_data_set_are_those_of_the_array(cluster):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd")).assign(label=Y)
    data = ray.data.from_pandas([frame[:150], frame[150:]])
    read = fit(clone(MODEL), data, target="label")
    assert_allclose(read.coef_, clone(MODEL).fit(X, Y).coef_, rtol=1e-9)
    assert read.feature_names_in_.tolist() == list("abcd")
    shared = fit(clone(MODEL), data, target="label", n_workers=2, backend="ray", sync="parameters", period=2)
    assert shared.n_updates_ == 15
    with pytest.raises(ValueError, match="no column 'nothing'"):
        fit(clone(MODEL), data, target="nothing")
    with pytest.raises(ValueError, match="target must name"):
        fit(clone(MODEL), data)


def test_an_actor_that_dies_is_started_anew(cluster, monkeypatch):
    expected = fit(clone(MODEL), X, Y, n_workers=2, sync="parameters", period=2, backend="ray")
    train, count = _ray.RayWorkers.train, [0]

    def and_lose(self, *job):
        count[0] += 1
        if count[0] == 3:
            ray.kill(self._actors[1])
        return train(self, *job)

    monkeypatch.setattr(_ray.RayWorkers, "train", and_lose)
    model = fit(clone(MODEL), X, Y, n_workers=2, sync="parameters", period=2, backend="ray")
    assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
