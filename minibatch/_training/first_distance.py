"""The first distance of ``engine.dual_averaging``: how far steepest descent goes until half of its slope is left."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.blas import one_blas_thread
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.linear import LinearProblem
from minibatch._problems.pieces import cut
from minibatch._problems.state import SCORES_AT_ONCE, Vector, matrix_of, values_of_row
from minibatch._training.beginning import n_rows_looked_at

__all__ = [
    "BISECTIONS", "LEAST_DISTANCE", "MOST_POWERS", "SAMPLE_ROWS", "SAMPLE_SCORES", "first_distances",
    "n_rows_of_sample",
]  # fmt: skip

SAMPLE_ROWS, SAMPLE_SCORES = 1000, 2**19
# Where there is no slope at the beginning, or the loss has no scale (a perceptron's).
LEAST_DISTANCE = 1e-6
# Steps that are tried: from 1 up and down by powers of two, then between the last two.
MOST_POWERS, BISECTIONS = 200, 5


def first_distances(problem: DualAveragingProblem, theta: Vector, seed: int) -> NDArray[np.float64]:
    """In the norm of the columns' scales, one for every objective, on a sample of the rows.

    On a quadratic this is half of the Cauchy step, so never more than half of the way to the optimum. It needs no
    curvature: an absolute error has none, and that of Huber's far away says nothing of how far that is.
    """
    sample, dtype = problem.sample(n_rows_of_sample(problem), np.random.default_rng(seed)), problem.scales.dtype
    q, theta = problem.scales.astype(np.float64), theta.astype(np.float64)
    if problem.objective.tilt and not theta.any():
        return _from_the_origin(sample, q)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = sample.scores(theta.astype(dtype))
        gradient = sample.with_penalty(theta, _mean_gradient(sample, scores))
        direction = -gradient
        (w, b), (g, g0), (d, d0) = (problem.parameters(vector) for vector in (theta, gradient, direction))
        d /= q  # in ``direction`` too, of which it is a part
        moves = sample.scores(direction.astype(dtype))
        of_penalty, bend = (_of_objectives(problem, part) for part in _slopes_of_penalty(problem, w, d, d0))
        at_start = _of_objectives(problem, np.einsum("kj,kj->k", g, d) + problem.objective.fit_intercept * g0 * d0)

        def slope(steps: NDArray[np.float64]) -> NDArray[np.float64]:
            of_loss = np.zeros(problem.n_outputs)
            for begin, end in cut(0, sample.n_samples, max(1, SCORES_AT_ONCE // problem.n_outputs)):
                here = scores[begin:end] + np.broadcast_to(steps, problem.n_outputs) * moves[begin:end]
                of_loss += np.einsum("ik,ik->k", sample.slopes(np.arange(begin, end), here), moves[begin:end])
            return _of_objectives(problem, of_loss / sample.n_samples) + of_penalty + steps * bend

        steps = _half_of(slope, at_start)
        distances = steps * np.sqrt(-at_start)
        away = _of_objectives(problem, (q * w**2).sum(axis=1) + b**2)
    least = LEAST_DISTANCE * (1.0 + np.sqrt(away))
    return np.where(np.isfinite(distances), np.maximum(distances, least), least)


def _from_the_origin(sample: DualAveragingProblem, q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a one-class machine, whose rows all tie with the kink at 0: half of the way to the least objective with the
    weights along the mean row and the best offset, which gains by the mean of the lowest scores. Where that is not
    above 0, a hundredth of the longest such way."""
    X, (nu,), weight = matrix_of(sample.data.X, sample.n_features), sample.objective.tilt, sample.data.weight
    with one_blas_thread(), np.errstate(all="ignore"):
        share = np.full(X.shape[0], 1.0 / X.shape[0]) if not len(weight) else weight / weight.sum(dtype=np.float64)
        w = X.T @ share / q
        scores = X @ w
        order = np.argsort(scores)
        at = min(int(np.searchsorted(np.cumsum(share[order]), nu)), len(order) - 1)
        quantile = scores[order][at]
        low = quantile - share @ np.maximum(quantile - scores, 0.0) / nu  # the mean of the scores below, by weights
        longest = share @ scores / (w @ w)
        step = max(0.5 * low / (w @ w), 0.01 * longest)
        distance = step * np.sqrt((q * w**2).sum() + low**2)
    return np.array([distance if LEAST_DISTANCE < distance < np.inf else LEAST_DISTANCE])


def n_rows_of_sample(problem: LinearProblem) -> int:
    """As many as fit into little memory."""
    most = min(SAMPLE_ROWS, max(1, SAMPLE_SCORES // problem.n_outputs))
    return min(most, n_rows_looked_at(values_of_row(problem.data.X), problem.n_samples))


def _mean_gradient(sample: DualAveragingProblem, scores: NDArray[Any]) -> NDArray[np.float64]:
    """That of ``LinearProblem``, by a product: its loop would be a sixth of what a first fit compiles."""
    X, slopes = matrix_of(sample.data.X, sample.n_features), sample.slopes(np.arange(sample.n_samples), scores)
    with one_blas_thread():
        of_weights = X.T @ slopes.astype(X.dtype)
    return np.concatenate([of_weights.T.ravel(), slopes.sum(axis=0)]) / sample.n_samples


def _of_objectives(problem: DualAveragingProblem, of_outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over the outputs of every objective."""
    return of_outputs.sum(keepdims=True) if problem.n_objectives == 1 else of_outputs


def _slopes_of_penalty(
    problem: DualAveragingProblem, w: Vector, d: Vector, d0: Vector
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Along ``d``, of every output: the penalty's slope, and how it grows with the step; L1 as it is at ``w``."""
    objective = problem.objective
    slope = objective.l2 * np.einsum("kj,kj->k", w, d)
    if objective.tilt:
        slope += objective.tilt[0] * d0
    if objective.l1 > 0.0:
        slope += objective.l1 * np.where(w == 0.0, np.abs(d), np.sign(w) * d).sum(axis=1)
    return slope, objective.l2 * np.einsum("kj,kj->k", d, d)


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
