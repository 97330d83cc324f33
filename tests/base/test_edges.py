"""Where a fit goes wrong, or almost: what must hold all the same."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from minibatch import History, MiniBatchSGDClassifier, MiniBatchSGDRegressor

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 4))
y = X @ [1.0, 2.0, 3.0, 4.0] + 0.1
PLAIN = {"learning_rate": "constant", "tol": None, "random_state": 0, "max_iter": 3}


class Recorder:
    """A callback that writes down what it hears, and raises at the end of the fit if asked to."""

    def __init__(self, fails=False):
        self.heard, self.fails = [], fails

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.heard.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.heard.append(("end", context.task_name))
        if self.fails and context.task_name == "fit":
            raise RuntimeError("a callback's own trouble")


@pytest.mark.compiled
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_log_link_that_overflows_on_the_validation_set_is_a_divergence(early_stopping):
    model = MiniBatchSGDRegressor(
        "poisson", eta0=0.1, learning_rate="constant", batch_size=1, random_state=0, early_stopping=early_stopping
    )
    with pytest.warns(ConvergenceWarning, match="Diverged"):
        model.fit(10 * X, np.exp(y / 3), X_val=10 * X, y_val=np.exp(y / 3))
    assert model.status_ == "diverged"
    assert np.isfinite(model.coef_).all()


def test_a_callback_that_raises_at_the_very_end_leaves_the_history_alone():
    model = MiniBatchSGDRegressor(**PLAIN, warm_start=True).fit(X, y)
    before = model.history_.copy()
    with pytest.raises(RuntimeError, match="own trouble"):
        model.set_callbacks(Recorder(fails=True)).fit(X, y)
    assert model.history_ == before
    assert model.history_.last("n_updates") == model.n_updates_


def test_every_epoch_that_begins_ends_for_the_callbacks():
    recorder = Recorder()
    model = MiniBatchSGDRegressor(**{**PLAIN, "max_iter": 50}, eta0=1e2, batch_size="full").set_callbacks(recorder)
    with pytest.warns(ConvergenceWarning, match="Diverged"):
        model.fit(1e150 * X, y)
    assert recorder.heard.count(("begin", "epoch")) == recorder.heard.count(("end", "epoch")) > 0


@pytest.mark.parametrize("types", [(np.float32, np.float64), (np.float64, np.float32)])
def test_a_warm_start_takes_the_type_of_the_new_rows(types):
    model = MiniBatchSGDRegressor(**PLAIN, solver="adam", warm_start=True)
    for dtype in types:
        model.fit(X.astype(dtype), y)
    assert model.coef_.dtype == types[1]
    assert model.partial_fit(X.astype(types[0]), y).coef_.dtype == types[1]


def test_a_sparsified_regressor_predicts_sparse_rows():
    model = MiniBatchSGDRegressor(**PLAIN, penalty="l1").fit(X, y)
    expected = model.predict(X)
    assert_allclose(model.sparsify().predict(sp.csr_array(X)), expected)


def test_a_validation_set_without_weight_is_refused():
    model = MiniBatchSGDClassifier(early_stopping=True)
    with pytest.raises(ValueError, match="Validation set"):
        model.fit(X, y > 0, X_val=X, y_val=y > 0, sample_weight_val=np.zeros(60))


def test_a_warm_start_on_other_features_says_so():
    model = MiniBatchSGDRegressor(**PLAIN, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="warm_start=True goes on"):
        model.fit(X[:, :2], y)


def test_one_epoch_blames_nothing():
    with pytest.warns(ConvergenceWarning, match="too few to tell"):
        MiniBatchSGDRegressor(max_iter=1).fit(X, y)


def test_early_stopping_goes_on_from_the_state_it_restored():
    """A warm start after early stopping continues the run that stopped at the best epoch, momentum included."""
    held_out = {"X_val": X[:20], "y_val": y[:20]}
    options = {"learning_rate": "constant", "solver": "momentum", "eta0": 0.15, "random_state": 0, "shuffle": False}
    model = MiniBatchSGDRegressor(**options, early_stopping=True, tol=0.0, n_iter_no_change=3, warm_start=True)
    model.fit(X[20:], y[20:], **held_out)
    best = 1 + int(np.argmax(model.history_["validation_score"]))
    assert best < model.n_iter_
    again = MiniBatchSGDRegressor(**options, tol=None, max_iter=best + 1).fit(X[20:], y[20:])
    model.set_params(max_iter=1, early_stopping=False, tol=None).fit(X[20:], y[20:])
    assert_allclose(model.coef_, again.coef_, rtol=1e-12)


def test_histories_compare_by_value():
    history = MiniBatchSGDRegressor(**PLAIN).fit(X, y).history_
    assert history == copy.deepcopy(history)
    other = history.copy()
    other.append(epoch=4)
    assert history != other
    assert history != History()
