"""Single rows end where scikit-learn's fits end; what it has not ends by the rule of batches."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import linear_model as sk
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, make_regression
from sklearn.preprocessing import scale

from minibatch import (
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch._training.rules import BestRule, WindowRule

X, y = make_regression(200, 8, noise=5, random_state=0)
X, y = scale(X), scale(y)
Xb, yb = load_breast_cancer(return_X_y=True)
Xd, yd = load_diabetes(return_X_y=True)
Xb, Xd = scale(Xb), scale(Xd)
SCHEDULES = [("constant", 0.001), ("invscaling", 0.01), ("adaptive", 0.01)]


@pytest.mark.parametrize(("learning_rate", "eta0"), SCHEDULES)
@pytest.mark.parametrize("loss", ["hinge", "log_loss", "modified_huber"])
@pytest.mark.parametrize("alpha", [1e-4, 1e-2])
def test_single_rows_end_where_scikit_learn_ends(loss, learning_rate, eta0, alpha):
    common = {"loss": loss, "learning_rate": learning_rate, "eta0": eta0, "alpha": alpha, "shuffle": False}
    ours = MiniBatchSGDClassifier(batch_size=1, **common).fit(Xb, yb)
    theirs = sk.SGDClassifier(**common).fit(Xb, yb)
    assert (ours.n_iter_, ours.status_) == (theirs.n_iter_, "converged")
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7)


def test_so_with_their_default_schedule():
    ours = MiniBatchSGDClassifier(batch_size=1, learning_rate="optimal", shuffle=False).fit(Xb, yb)
    theirs = sk.SGDClassifier(shuffle=False).fit(Xb, yb)
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7)


@pytest.mark.parametrize(("learning_rate", "eta0"), SCHEDULES)
@pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("penalty", ["l2", None])
def test_so_for_regression(loss, learning_rate, eta0, penalty):
    common = {"loss": loss, "learning_rate": learning_rate, "eta0": eta0, "penalty": penalty, "shuffle": False}
    ours = MiniBatchSGDRegressor(batch_size=1, **common).fit(Xd, scale(yd))
    theirs = sk.SGDRegressor(**common).fit(Xd, scale(yd))
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7)


def test_other_solvers_and_several_outputs_have_the_rule_of_batches():
    common = {"batch_size": 1, "learning_rate": "constant", "eta0": 1e-3, "max_iter": 2, "tol": None}
    model, one = MiniBatchSGDRegressor(**common).fit(X, y), {"unit": 1.0}
    problem = model._new_problem(X, y, weight=None)
    assert isinstance(model._rule(problem, **one), BestRule)
    assert isinstance(clone(model).set_params(solver="adam")._rule(problem, **one), WindowRule)
    assert isinstance(clone(model).set_params(learning_rate="cosine")._rule(problem, **one), WindowRule)
    assert isinstance(clone(model).set_params(batch_size=2)._rule(problem, **one), WindowRule)
    two = model._new_problem(X, np.c_[y, y], weight=None)
    assert isinstance(model._rule(two, **one), WindowRule)
