"""Products with the Hessian of an objective: of a linear model by a formula, of others by differences of gradients."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._problems.linear import LinearProblem
from minibatch._problems.state import matrix_of
from minibatch.diagnostics._eigenvalues import Product
from minibatch.diagnostics._objective import Trained, TrainedObjective
from minibatch.diagnostics._solvers import STRAIGHT_LOSSES
from minibatch.engine import losses
from minibatch.engine.linear import ONE_VS_REST

__all__ = ["has_independent_outputs", "hessian_product", "row_curvatures"]

_Array = NDArray[np.float64]

# The error of a central difference is least where its truncation, h^2, is as large as its rounding, eps / h. Where the
# gradient jumps, a shorter step has fewer jumps in it, and rounding still leaves half of the digits.
_EPS = float(np.finfo(np.float64).eps)
_STEP, _STEP_AMONG_JUMPS = _EPS ** (1 / 3), _EPS ** (1 / 2)

# Second derivatives in the score z, for a target y and the loss's parameter; other losses are straight.
_SECOND_DERIVATIVES: dict[tuple[int, ...], Callable[[_Array, _Array, float], NDArray[Any]]] = {
    losses.LOG_LOSS: lambda z, y, _: expit(z) * expit(-z),
    losses.SQUARED_HINGE: lambda z, y, _: 2.0 * (y * z < 1.0),
    losses.MODIFIED_HUBER: lambda z, y, _: 2.0 * (np.abs(y * z) < 1.0),
    losses.SQUARED_ERROR: lambda z, y, _: np.ones_like(z),
    losses.HUBER: lambda z, y, epsilon: 1.0 * (np.abs(z - y) < epsilon),
    losses.SQUARED_EPSILON_INSENSITIVE: lambda z, y, epsilon: 2.0 * (np.abs(z - y) > epsilon),
    losses.CROSS_ENTROPY: lambda z, y, _: expit(z) * expit(-z),
    losses.POISSON: lambda z, y, _: np.exp(z),
    losses.GAMMA: lambda z, y, _: y * np.exp(-z),
}


def hessian_product(objective: TrainedObjective, stretch: float = 1.0) -> Product:
    """``v -> H v`` at the model. Differences take steps longer than the usual ones by ``stretch``.

    A linear model whose loss bends has ``H = sum_i (x_i, 1) loss_i'' (x_i, 1)' / n + alpha``, whatever the scale of X.
    """
    linear = isinstance(objective.problem, LinearProblem)
    if linear and getattr(objective.final, "loss", None) not in STRAIGHT_LOSSES:
        return _linear_product(objective)
    return _difference_product(objective, stretch)


def has_independent_outputs(problem: Any) -> bool:
    """Whether it is a linear model in each of its outputs, which share nothing."""
    return isinstance(problem, LinearProblem) and problem.n_objectives == problem.n_outputs


def row_curvatures(objective: TrainedObjective) -> _Array:
    """``s_i loss_i''`` in the score of every row, (n_samples, outputs), of a linear model with independent outputs."""
    problem: Any = objective.problem
    y, weight, class_weight = problem.data.y, problem.data.weight, problem.data.class_weight
    scores, s = problem.scores(objective.theta), np.ones((problem.n_samples, problem.n_outputs))
    if problem.objective.outputs == ONE_VS_REST:
        outputs = np.arange(problem.n_outputs)
        own = y.astype(np.int64) == outputs
        y, s = np.where(own, 1.0, -1.0), class_weight[own.astype(np.int64), outputs]
    if len(weight):
        s = s * weight[:, None]
    second = _SECOND_DERIVATIVES.get(problem.objective.loss, lambda z, y, _: np.zeros_like(z))
    with np.errstate(over="ignore", invalid="ignore"):  # of a row without weight, which is no row
        return np.where(s == 0.0, 0.0, s * second(scores, y, problem.objective.parameter))


def _linear_product(objective: TrainedObjective) -> Product:
    problem: Any = objective.problem
    rows, theta = matrix_of(problem.data.X, problem.n_features), np.zeros(problem.n_parameters)
    bend = _independent(objective) if has_independent_outputs(problem) else _softmax(objective)

    def product(v: Trained) -> Trained:
        theta[: problem.n_trained] = np.ravel(v)
        bent = bend(problem.scores(theta)) / problem.n_samples
        of_weights = (rows.T @ bent).T + problem.objective.l2 * problem.parameters(theta).weights
        return np.concatenate([of_weights.ravel(), bent.sum(axis=0)])[: problem.n_trained]

    return product


def _independent(objective: TrainedObjective) -> Product:
    curvatures = row_curvatures(objective)
    return lambda scores: curvatures * scores


def _softmax(objective: TrainedObjective) -> Product:
    """A row's covariance of the classes, times its weight."""
    problem: Any = objective.problem
    p = softmax(problem.scores(objective.theta), axis=1)
    weighted = p * problem.data.weight[:, None] if len(problem.data.weight) else p
    return lambda scores: weighted * (scores - np.sum(p * scores, axis=1, keepdims=True))


def _difference_product(objective: TrainedObjective, stretch: float) -> Product:
    smooth = _without_l1(objective)
    at = smooth.trained
    step = stretch * (_STEP_AMONG_JUMPS if _gradient_jumps(smooth.final) else _STEP) * (1.0 + float(np.linalg.norm(at)))

    def product(v: Trained) -> Trained:
        v = np.ravel(v)
        length = float(np.linalg.norm(v))
        if length == 0.0:
            return np.zeros_like(at)
        h = step / length
        with np.errstate(over="ignore", invalid="ignore"):
            Hv: Trained = (smooth.gradient(at + h * v) - smooth.gradient(at - h * v)) / (2.0 * h)
        if not np.isfinite(Hv).all():
            raise ValueError(
                f"The gradient is not finite within {step:.2g} of the parameters of the model; scale X with "
                "StandardScaler, or fit with a lower learning rate."
            )
        return Hv

    return product


def _gradient_jumps(final: MiniBatchEstimator) -> bool:
    return getattr(final, "_activation", None) == "relu" or getattr(final, "loss", None) in STRAIGHT_LOSSES


def _without_l1(objective: TrainedObjective) -> TrainedObjective:
    """Across the kink of a weight that is 0, a difference of gradients would be the jump over the step."""
    problem: Any = objective.problem
    return objective._replace(problem=replace(problem, objective=problem.objective._replace(l1=0.0)))
