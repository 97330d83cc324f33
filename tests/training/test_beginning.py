"""training.beginning: a run is judged by where it began, on as many rows as that takes."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import make_regression
from sklearn.preprocessing import scale

from minibatch import (
    MiniBatchSGDRegressor,
)
from minibatch._training.beginning import CLEARLY, ROWS_LOOKED_AT, VALUES_LOOKED_AT, Beginning, Findings
from minibatch._training.rules import WindowRule

X, y = make_regression(200, 8, noise=5, random_state=0)
X, y = scale(X), scale(y)


def after(*objectives):
    """A rule that has seen these."""
    return WindowRule(1e-3, 5, objectives=[*objectives])


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_many_rows_are_looked_at_in_part(layout):
    n = 3 * ROWS_LOOKED_AT
    rows = layout(np.random.default_rng(0).standard_normal((n, 2)))
    target = rows @ [1.0, 2.0]
    model = MiniBatchSGDRegressor(max_updates=1, tol=None, learning_rate="constant").fit(rows, target)
    problem = model._new_problem(rows, target, weight=None)
    zeros = np.zeros(3)
    beginning = Beginning(problem, zeros, seed=0)
    good, level, slightly, bad = np.array([1.0, 2.0, 0.0]), zeros, np.array([-1e-3, 0.0, 0.0]), np.array([-1.0, 0, 0])
    assert [beginning.judge(theta, after(0.1)) for theta in (good, level, slightly, bad)] == [
        "below",
        "below",
        "failed",
        "failed",
    ]
    assert "first" in vars(beginning)  # all rows were needed, for those that are close
    alone = Beginning(problem, zeros, seed=0)
    assert alone.judge(good, after(0.1)) == "below"
    assert "objective" not in vars(alone)
    assert CLEARLY * beginning.constant.unit < beginning.first - beginning.objective(good)


def test_of_wide_rows_fewer_are_looked_at():
    wide = np.random.default_rng(0).standard_normal((2000, 700)).astype(np.float32)
    model = MiniBatchSGDRegressor(max_updates=1, tol=None, learning_rate="constant").fit(wide, wide[:, 0])
    problem = model._new_problem(wide, wide[:, 0], weight=None)
    beginning = Beginning(problem, np.zeros(701, np.float32), seed=0)
    good, middling = np.eye(1, 701, dtype=np.float32)[0], 0.1 * np.eye(1, 701, dtype=np.float32)[0]
    assert beginning.judge(good, after(0.1)) == "below"
    assert len(beginning._sample.data.y) == VALUES_LOOKED_AT // 700
    assert beginning.judge(middling, after(0.1)) == "below"  # a fall by a fifth, which so few rows do not show clearly


def test_between_the_beginning_and_the_constant_is_neither():
    model = MiniBatchSGDRegressor(max_updates=1, tol=None, alpha=0.0, learning_rate="constant").fit(X, y)
    problem = model._new_problem(X, y, weight=None)
    best = np.append(np.linalg.lstsq(X, y, rcond=None)[0], 0.0)
    beginning = Beginning(problem, best, seed=0)
    assert [beginning.judge(c * best, after(0.1)) for c in (1.0, 0.9, -0.1)] == ["below", "above", "failed"]
    assert beginning.judge(np.full_like(best, 1e300), after(0.1)) == "failed"
    noisy = after(0.1, 0.5, 0.1, 0.5)
    assert beginning.judge(0.9 * best, noisy) == "above"
    warm = dataclasses.replace(beginning, goes_on=True)
    assert warm.judge(0.9 * best, noisy) == "below"  # by its noise


def problem_of(model, rows=None):
    model.set_params(max_updates=1, tol=None, learning_rate="constant").fit(X, y)
    return model._new_problem(X, y, weight=None, rows=rows)


def test_what_one_run_finds_out_holds_for_others_on_the_same_rows():
    shared, theta, calls = Findings(), np.zeros(9), []
    for alpha in (0.0, 0.1, 10.0):
        for loss, epsilon in (("huber", 0.1), ("huber", 1.0), ("squared_error", 0.1)):
            problem = problem_of(MiniBatchSGDRegressor(loss, epsilon=epsilon, alpha=alpha))
            found, alone = Beginning(problem, theta, 0, shared), Beginning(problem, theta, 0)
            assert found.constant == alone.constant
            assert found.first == alone.first
            assert found.objective(theta + 0.1) == alone.objective(theta + 0.1)
            shared.once(problem, "seen", lambda: calls.append(1))
    assert len(calls) == 3  # alpha makes no difference
    first = Beginning(problem, theta + 0.2, 0, shared).first
    assert first == Beginning(problem, theta + 0.2, 0).first != found.first


def test_a_choice_of_rows_is_not_shared():
    shared = Findings()
    constants = [
        Beginning(problem_of(MiniBatchSGDRegressor(), rows=np.arange(n)), np.zeros(9), 0, shared).constant.loss
        for n in (50, 100)
    ]
    assert constants[0] != constants[1]


def test_the_objective_is_that_of_the_parameters_asked_about():
    beginning, theta = Beginning(problem_of(MiniBatchSGDRegressor()), np.zeros(9), 0), np.full(9, 0.1)
    once = beginning.objective(theta)
    theta[0] = 2.0  # in place, as training does
    assert beginning.objective(theta) != once
    assert beginning.objective(np.full(9, 0.1)) == once
