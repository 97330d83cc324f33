"""scikit-learn's solvers of the same objective: whose, with which parameters, and for how long they are timed."""

import time

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.preprocessing import scale

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import _full_batch_solver
from minibatch.model_selection._full_batch_solver import FullBatchSolver, full_batch_solver, time_full_batch_solver


def objective(model, X, y, coef, intercept):
    return (
        clone_with(model, coef, intercept, X, y)._loss(X, y)
        + 0.5 * model.alpha * (model.penalty is not None) * (coef**2).sum()
    )


def clone_with(model, coef, intercept, X, y):
    fitted = type(model)(**model.get_params()).set_params(max_iter=1, tol=None).fit(X, y)
    fitted.coef_, fitted.intercept_ = coef, intercept
    return fitted


@pytest.mark.parametrize(
    ("model", "load", "name"),
    [
        (MiniBatchSGDClassifier("log_loss", alpha=0.01), load_breast_cancer, "LogisticRegression"),
        (MiniBatchSGDClassifier("log_loss", alpha=0.02, multi_class="multinomial"), load_iris, "LogisticRegression"),
        (MiniBatchSGDRegressor(alpha=0.05), load_diabetes, "Ridge"),
    ],
)
def test_its_solution_is_the_least_of_the_objective(model, load, name):
    X, y = load(return_X_y=True)
    X = scale(X)
    solver = full_batch_solver(model, len(y), len(np.unique(y)))
    assert type(solver).__name__ == name
    tight = {"tol": 1e-10} if name == "LogisticRegression" else {}
    solver.set_params(**tight).fit(X, y)
    coef, intercept = solver.coef_, np.atleast_1d(solver.intercept_)
    least = objective(model, X, y, coef, intercept)
    random = np.random.default_rng(0)
    for _ in range(20):
        step = 1e-3 * random.standard_normal(coef.shape)
        assert objective(model, X, y, coef + step, intercept) > least
    for factor in (0.98, 1.02):  # another alpha would have another size
        assert objective(model, X, y, factor * coef, intercept) > least


def test_one_class_against_the_rest():
    solver = full_batch_solver(MiniBatchSGDClassifier("log_loss"), 150, 3)
    assert type(solver).__name__ == "OneVsRestClassifier"
    assert solver.estimator.C == pytest.approx(1 / (1e-4 * 150))


@pytest.mark.parametrize(
    "model",
    [
        MiniBatchSGDClassifier("hinge"),
        MiniBatchSGDClassifier("log_loss", penalty="l1"),
        MiniBatchSGDRegressor("huber"),
        MiniBatchMLPClassifier(),
    ],
)
def test_others_have_none(model):
    assert full_batch_solver(model, 100, 2) is None
    assert time_full_batch_solver(model, np.zeros((4, 1)), np.array([0, 1, 0, 1]), None, 1.0, 0) is None


@pytest.mark.parametrize(
    ("most_seconds", "n_rows", "words"),
    [(100.0, 12_000, "measured"), (3.0, 5000, "extrapolated from 5,000 rows")],
)
def test_rows_go_up_for_as_long_as_the_time_allows(monkeypatch, most_seconds, n_rows, words):
    ticks = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))  # every fit takes a second
    monkeypatch.setattr(_full_batch_solver, "time", time)
    random = np.random.default_rng(0)
    X = random.standard_normal((12_000, 2))
    found = time_full_batch_solver(MiniBatchSGDRegressor(), X, X[:, 0], np.ones(12_000), most_seconds, 0)
    assert found == FullBatchSolver("Ridge", 12_000 / n_rows, n_rows, 12_000)
    assert words in str(found)
    assert str(found).startswith("Ridge takes")
