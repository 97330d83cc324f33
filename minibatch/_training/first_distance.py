"""The first distance of ``engine.dual_averaging``: how far steepest descent goes until half of its slope is left."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.state import Vector

__all__ = ["BISECTIONS", "LEAST_DISTANCE", "MOST_POWERS", "SAMPLE_ROWS", "first_distances"]

SAMPLE_ROWS = 1000
# Where there is no slope at the beginning, or the loss has no scale (a perceptron's).
LEAST_DISTANCE = 1e-6
# Steps that are tried: from 1 up and down by powers of two, then between the last two.
MOST_POWERS, BISECTIONS = 200, 5


def first_distances(problem: DualAveragingProblem, theta: Vector, seed: int) -> NDArray[np.float64]:
    """In the norm of the columns' scales, one for every objective, on a sample of the rows.

    On a quadratic this is half of the Cauchy step, so never more than half of the way to the optimum. It needs no
    curvature: an absolute error has none, and that of Huber's far away says nothing of how far that is.
    """
    sample, n_outputs = problem.sample(SAMPLE_ROWS, np.random.default_rng(seed)), problem.n_outputs
    theta = theta.astype(np.float64)
    gradient = sample.with_penalty(theta, sample.mean_gradient(theta.astype(problem.scales.dtype)))
    of_weights = np.broadcast_to(problem.scales.astype(np.float64), (n_outputs, problem.n_features))
    scales = np.append(of_weights, np.ones(n_outputs))
    with np.errstate(over="ignore", invalid="ignore"):
        direction = -gradient / scales
        scores, moves = (sample.scores(vector.astype(problem.scales.dtype)) for vector in (theta, direction))
        of_penalty, bend = _slopes_of_penalty(sample, theta, direction)
        squared_norms = _by_objective(problem, -direction * gradient)

        def slope(steps: NDArray[np.float64]) -> NDArray[np.float64]:
            here = scores.astype(np.float64) + steps[_objective_of(problem)] * moves
            of_rows = sample.slopes(np.arange(sample.n_samples), here) * moves
            of_loss = of_rows.sum(axis=0) / sample.n_samples
            of_loss = of_loss.sum(keepdims=True) if problem.n_objectives == 1 else of_loss
            return of_loss + of_penalty + steps * bend

        steps = _half_of(slope, -squared_norms)
        distances = steps * np.sqrt(squared_norms)
    least = LEAST_DISTANCE * (1.0 + np.sqrt(_by_objective(problem, scales * theta**2)))
    return np.where(np.isfinite(distances), np.maximum(distances, least), least)


def _objective_of(problem: DualAveragingProblem) -> NDArray[np.int64]:
    """The number of the objective of every output."""
    return np.minimum(np.arange(problem.n_outputs), problem.n_objectives - 1)


def _by_objective(problem: DualAveragingProblem, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over the parameters of every objective."""
    of_weights, of_intercept = problem.parameters(values)
    sums = of_weights.sum(axis=1) + (of_intercept if problem.objective.fit_intercept else 0.0)
    return sums.sum(keepdims=True) if problem.n_objectives == 1 else sums


def _slopes_of_penalty(
    problem: DualAveragingProblem, theta: Vector, direction: Vector
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Along the direction: the penalty's slope, and how it grows with the step; L1 as it is where the step begins."""
    (w, b), (d, _), (l1, l2) = problem.parameters(theta), problem.parameters(direction), problem.objective[4:6]
    none = np.zeros_like(b)
    slope = l2 * w * d + l1 * np.where(w == 0.0, np.abs(d), np.sign(w) * d)
    joined = (np.concatenate([part.ravel(), none]) for part in (slope, l2 * d**2))
    of_slope, bend = (_by_objective(problem, part) for part in joined)
    return of_slope, bend


def _half_of(slope: Callable[[Any], Any], at_start: NDArray[np.float64]) -> NDArray[np.float64]:
    """The steps after which half of the slopes at the start is left."""
    steps = np.ones(len(at_start))
    for _ in range(MOST_POWERS):
        too_short = slope(steps) < 0.5 * at_start
        if not too_short.any():
            break
        steps[too_short] *= 2.0
    for _ in range(MOST_POWERS):
        too_long = slope(0.5 * steps) >= 0.5 * at_start
        if not too_long.any():
            break
        steps[too_long] *= 0.5
    low, high = 0.5 * steps, steps
    for _ in range(BISECTIONS):
        middle = np.sqrt(low * high)
        too_short = slope(middle) < 0.5 * at_start
        low, high = np.where(too_short, middle, low), np.where(too_short, high, middle)
    return high
