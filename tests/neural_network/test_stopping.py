"""neural_network: what ends a fit, what callbacks and validation sets see, and which parameters are kept."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from minibatch import MiniBatchMLPClassifier
from references.network import mean_loss, net_of
from references.network_tasks import (
    TASKS,
    X,
    X_new,
    assert_same_net,
    changed,
    every_task,
    fitted,
    forward_of,
    model_of,
    theta,
    three,
    weight,
    y,
)


class StopAfter:
    """A scikit-learn callback that asks to stop at the end of an epoch."""

    def __init__(self, n_epochs):
        self.n_epochs, self.seen = n_epochs, 0

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "epoch":
            return False
        self.seen += 1
        return self.seen >= self.n_epochs


def test_stopped_by_callback():
    model = model_of("classes", max_iter=50).set_callbacks(StopAfter(3)).fit(X, three)
    assert (model.status_, model.n_iter_) == ("stopped_by_callback", 3)
    assert_array_equal(theta(model), theta(fitted("classes", max_iter=3)))


class Keep(StopAfter):
    """Keeps the estimator of every epoch."""

    def __init__(self):
        super().__init__(np.inf)
        self.kept = []

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.kept.append(fitted_estimator)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize("task", ["classes", "regression"])
def test_callbacks_see_the_net_of_every_epoch(task, solver):
    """And may keep it: the epochs that follow do not change it."""
    callback = Keep()
    model_of(task, solver=solver, max_iter=50, max_updates=3).set_callbacks(callback).fit(X, TASKS[task][2])
    assert len(callback.kept) == 3
    for epoch, kept in enumerate(callback.kept, start=1):
        shorter = fitted(task, solver=solver, max_iter=epoch)
        assert_allclose(forward_of(kept, X_new), forward_of(shorter, X_new), rtol=1e-9)


def test_callbacks_of_lbfgs_up_to_max_iter():
    callback = StopAfter(np.inf)
    model = model_of("classes", solver="lbfgs").set_callbacks(callback).fit(X, three)
    assert (model.status_, model.n_iter_, callback.seen) == ("max_iter", 3, 3)


def test_callbacks_see_nothing_of_an_earlier_fit():
    """Batch normalization may have been switched off since."""
    callback = Keep()
    model = fitted("regression", batch_normalization=True).set_params(batch_normalization=False)
    model.set_callbacks(callback).fit(X, y)
    assert_allclose(callback.kept[-1].predict(X_new), model.predict(X_new), rtol=1e-12)


def test_max_updates_stops_within_an_epoch():
    model = fitted("regression", batch_size=5, max_updates=7, max_iter=50)
    assert (model.status_, model.n_iter_, model.n_updates_, model.t_) == ("max_updates", 2, 7, 34)
    steps = fitted("regression", batch_size=5, max_iter=1).partial_fit(X[:10], y[:10])
    assert_same_net(model, steps, rtol=1e-12)


def test_max_iter_is_a_status_and_a_warning():
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = fitted("regression", tol=1e-9)
    assert (model.status_, model.n_iter_) == ("max_iter", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted("regression").status_ == "max_iter"


@pytest.mark.parametrize("patience", [2, 5])
def test_a_network_that_has_hardly_begun_is_waited_for_as_long_again(patience):
    """``_no_improvement_count`` is scikit-learn's name."""
    rows, labels = load_digits(n_class=2, return_X_y=True)
    begun = []
    for seed in range(12):
        net = MiniBatchMLPClassifier(
            (100,), solver="sgd", learning_rate="constant", tol=1e-2, n_iter_no_change=patience, random_state=seed
        ).fit(rows[:100] / 16, labels[:100])
        assert (net.status_, net._no_improvement_count) == ("converged", patience + 1)
        begun.append(net.n_iter_ > patience + 2)
    assert any(begun)
    assert not all(begun)


@pytest.mark.parametrize("task", ["classes", "labels", "regression", "poisson"])
@pytest.mark.parametrize("own_rows", [True, False])
def test_early_stopping_keeps_the_best_score(task, own_rows):
    target = TASKS[task][2]
    # a rate so high that the score goes up and down
    model = model_of(task, early_stopping=True, tol=1e-4, n_iter_no_change=4, max_iter=200, solver="adam")
    model.set_params(learning_rate_init=0.1, batch_size=5, shuffle=True, validation_fraction=0.4)
    given = {"X_val": X_new, "y_val": target[:12], "sample_weight_val": weight[:12]} if own_rows else {}
    model.fit(X, target, **given)
    scores = model.history_["validation_score"]
    assert model.status_ == "early_stopped"
    best = np.lexsort((model.history_["validation_loss"], -scores))[0]  # of equal scores, the one with the least loss
    assert model.n_iter_ >= best + 1 + 5
    if own_rows:
        assert model.score(X_new, target[:12], weight[:12]) == pytest.approx(scores.max(), abs=1e-12)
    assert model.best_validation_score_ == scores.max()
    assert model.validation_scores_ == scores.tolist()
    assert model.best_loss_ is None
    # the parameters kept are those of a run that ends with the best epoch
    shorter = clone(model).set_params(tol=None, max_iter=int(best) + 1).fit(X, target, **given)
    assert_array_equal(theta(shorter), theta(model))
    assert changed(model, clone(model).set_params(tol=None, max_iter=model.n_iter_).fit(X, target, **given))


@every_task
def test_a_validation_set_is_recorded_and_has_no_say(task):
    *_, target, loss, numbers = TASKS[task]
    given = {"X_val": X[:10], "y_val": target[:10], "sample_weight_val": weight[:10]}
    model = model_of(task, batch_size=5).fit(X, target, **given)
    assert_array_equal(theta(model), theta(fitted(task, batch_size=5)))
    history = model.history_
    assert history["validation_score"][-1] == pytest.approx(model.score(X[:10], target[:10], weight[:10]), abs=1e-12)
    s = weight[:10] / weight[:10].mean()
    assert_allclose(history["validation_loss"][-1], mean_loss(net_of(model), X[:10], numbers[:10], loss, "tanh", s))
    assert model.validation_scores_ == history["validation_score"].tolist()


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("task", "parameters"),
    [("regression", {}), ("outputs", {"solver": "momentum"}), ("poisson", {}), ("regression", {"activation": "relu"})],
)
def test_a_divergence_is_a_status(task, parameters):
    target = TASKS[task][2]
    model = model_of(task, max_iter=200, batch_size=5, warm_start=True, **{"activation": "identity", **parameters})
    model.fit(X, target)
    with pytest.warns(ConvergenceWarning, match="learning_rate_init"):
        model.set_params(learning_rate_init=1e4).fit(100 * X, target)
    assert model.status_ == "diverged"
    assert all(np.isfinite(part).all() for part in (*model.coefs_, *model.intercepts_))
    with pytest.warns(ConvergenceWarning, match="learning_rate_init"):
        fresh = clone(model).fit(100 * X, target)
    assert all(np.isfinite(part).all() for part in (*fresh.coefs_, *fresh.intercepts_))


def test_lbfgs_stops_where_it_is_told_to():
    parameters = {"solver": "lbfgs", "tol": 1e-12, "max_iter": 40}
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = fitted("classes", **parameters)
    assert (model.status_, model.n_iter_) == ("max_iter", 40)
    model = fitted("classes", **parameters, max_updates=3)
    assert (model.status_, model.n_iter_) == ("max_updates", 3)
    model = model_of("classes", **parameters).set_callbacks(StopAfter(2)).fit(X, three)
    assert (model.status_, model.n_iter_) == ("stopped_by_callback", 2)


def test_lbfgs_keeps_the_best_score():
    model = model_of("classes", solver="lbfgs", early_stopping=True, tol=1e-4, n_iter_no_change=2, max_iter=100)
    model.fit(X, three, X_val=X_new, y_val=three[:12])  # labels that have nothing to do with the rows
    assert model.status_ == "early_stopped"
    assert model.score(X_new, three[:12]) == max(model.history_["validation_score"])
