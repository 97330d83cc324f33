"""How high a constant rate may be before full-batch descent runs away: power iterations on the Hessian."""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.extmath import row_norms

from minibatch._problems.linear import LinearProblem
from minibatch._problems.state import Vector, matrix_of
from minibatch.engine.losses import SQUARED_EPSILON_INSENSITIVE, SQUARED_ERROR, SQUARED_HINGE
from minibatch.engine.optimizers import MOMENTUM, NESTEROV, SGD

__all__ = [
    "CHANGE", "POWER_ITERATIONS", "largest_rate_of_rows", "largest_stable_rate",
]  # fmt: skip

POWER_ITERATIONS = 12
CHANGE = 0.5  # of the scores, in the root mean square, over which gradients are compared: hinges have curvature then


def largest_stable_rate(problem: Any, theta: Vector, random: np.random.Generator) -> float:
    """``2 / L`` for plain descent, ``2 (1 + mu) / L`` with momentum, ``2 (1 + mu) / (L (1 + 2 mu))`` with Nesterov's;
    infinite for solvers that divide by the gradient's size. ``L`` is the largest curvature at ``theta``."""
    mu, kind = problem.solver.momentum, problem.solver.kind
    factors = {SGD: 1.0, MOMENTUM: 1.0 + mu, NESTEROV: (1.0 + mu) / (1.0 + 2.0 * mu)}
    if kind not in factors:
        return np.inf
    curvature = _largest_curvature(problem, theta, random) + problem.objective.l2
    return 2.0 * factors[kind] / curvature if curvature > 0.0 else np.inf


def largest_rate_of_rows(problem: Any, theta: Vector, random: np.random.Generator) -> float:
    """What the longest row allows, alone in its batch: it may be in no sample. Of squared losses, whose slopes grow
    with the error: a higher rate throws the weights further away each time. Infinite for others, and for solvers that
    divide by the gradient's size."""
    squared = (SQUARED_ERROR, SQUARED_HINGE, SQUARED_EPSILON_INSENSITIVE)
    if not isinstance(problem, LinearProblem) or problem.objective.loss not in squared:
        return np.inf
    if problem.solver.kind not in (SGD, MOMENTUM, NESTEROV):
        return np.inf
    kept = 0.0 if problem.solver.kind == SGD else problem.solver.momentum
    sizes = row_norms(matrix_of(problem.data.X, problem.n_features), squared=True)
    if len(problem.data.weight):
        sizes = sizes * problem.data.weight
    longest = np.argmax(sizes if problem.rows is None else sizes[problem.rows])
    alone = replace(problem.copied(np.array([longest])), solver=problem.solver._replace(kind=SGD))
    return (1.0 - kept) * largest_stable_rate(alone, theta, random)


def _largest_curvature(problem: Any, theta: Vector, random: np.random.Generator) -> float:
    """Of the loss, in the units of a batch's gradient, by differences of gradients."""
    n_trained, found = problem.n_trained, 0.0
    gradient, scores = problem.mean_gradient(theta)[:n_trained], problem.scores(theta)
    direction = random.standard_normal(n_trained)
    for _ in range(POWER_ITERATIONS):
        direction /= np.linalg.norm(direction)
        moved = problem.scores(_moved(theta, direction)) - scores
        change = float(np.sqrt(np.mean(moved**2, dtype=np.float64)))
        if not 0.0 < change < np.inf:
            break
        size = CHANGE / change
        direction = (problem.mean_gradient(_moved(theta, size * direction))[:n_trained] - gradient) / size
        norm = float(np.linalg.norm(direction))
        if not 0.0 < norm < np.inf:
            break
        found = norm
    return found


def _moved(theta: Vector, step: Vector) -> Vector:
    moved = theta.copy()
    moved[: len(step)] += step
    return moved
