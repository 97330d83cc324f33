"""The norm test for adaptive solvers: in the scales that they divide gradients by, and parameter by parameter."""

from math import ceil, inf, nan, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch._base.solvers import for_batches_of
from minibatch._problems.batching import Order
from minibatch.diagnostics._objective import TrainedObjective
from minibatch.engine.optimizers import ADAGRAD, ADAM, ADAMW, RMSPROP, SCHEDULE_FREE_ADAMW

__all__ = ["AdaptiveNormTest", "adaptive_norm_test", "norm_tests_by_parameter", "scales_of"]

_Array = NDArray[np.float64]

_SLOTS = {ADAGRAD: 0, RMSPROP: 0, ADAM: 1, ADAMW: 1, SCHEDULE_FREE_ADAMW: 1}  # of the squares of gradients
_CORRECTED = (ADAM, ADAMW, SCHEDULE_FREE_ADAMW)


class AdaptiveNormTest(NamedTuple):
    """Norm tests of a batch of ``B`` rows for a solver that divides the gradient of parameter ``j`` by ``d_j``.

    Attributes
    ----------
    theta_scaled : float
        The smallest threshold that the batch passes in ``sum_j Var(g_ij) / d_j / B <= theta^2 sum_j g_j^2 / d_j``, the
        norm test where the solver is plain gradient descent: in the parameters ``sqrt(d_j) w_j``.

    suggested_batch_size : float
        The least batch size at which it would pass, or ``n_samples`` if there is none below.

    theta_coordinates : float
        The smallest threshold that every parameter passes, ``Var(g_ij) / B <= theta^2 g_j^2``: the coordinate-wise
        test, as strict as its worst parameter.

    share_passing : float
        The share of the parameters that pass it at the threshold asked for. Those without gradient and noise do.

    coordinate_batch_size : float
        The least batch size at which half of the parameters that have noise would pass, or ``n_samples``.

    passes : dict {str: bool}
        Whether ``theta_scaled`` and ``theta_coordinates`` are at most the threshold; a batch of all rows passes.
    """

    theta_scaled: float
    suggested_batch_size: float
    theta_coordinates: float
    share_passing: float
    coordinate_batch_size: float
    passes: dict[str, bool]


def adaptive_norm_test(objective: TrainedObjective, rows: Order, theta: float) -> AdaptiveNormTest | None:
    """Of a batch of these rows; None for a solver without scales of its own, or one that has not trained the model."""
    scales = scales_of(objective)
    if scales is None:
        return None
    gradient, variances = _moments(objective, rows)
    return norm_tests_by_parameter(gradient, variances, scales, len(rows), objective.problem.n_samples, theta)


def scales_of(objective: TrainedObjective) -> _Array | None:
    """``d_j``: the roots of the solver's means or sums of squared gradients, and epsilon."""
    problem, final = objective.problem, objective.final
    memory, kind = final._optimizer, problem.solver.kind
    if kind not in _SLOTS or memory.kind != kind or memory.n_updates == 0:
        return None
    solver = for_batches_of(memory.rate.batch_size, final, problem).solver
    squares = memory.slots[_SLOTS[kind], : problem.n_trained].astype(np.float64)
    if kind in _CORRECTED:
        squares = squares / (1.0 - solver.beta_2**memory.n_updates)
    scales: _Array = np.sqrt(squares) + solver.epsilon
    return scales


def _moments(objective: TrainedObjective, rows: Order) -> tuple[_Array, _Array]:
    """The gradient of the batch, penalty included, and the variances of the rows' gradients, row by row."""
    problem: Any = objective.problem
    n, theta = problem.n_trained, objective.theta
    mean, squares = np.zeros(n), np.zeros(n)
    for number, row in enumerate(rows, 1):  # Welford's sums, which lose no digits where the variance is small
        gradient = problem.on_rows(np.array([row])).mean_gradient(theta)[:n].astype(np.float64)
        away = gradient - mean
        mean += away / number
        squares += away * (gradient - mean)
    whole = np.zeros(len(theta))
    whole[:n] = mean
    return problem.with_penalty(theta, whole)[:n].astype(np.float64), squares / (len(rows) - 1)


def norm_tests_by_parameter(
    gradient: _Array, variances: _Array, scales: _Array, size: int, n_samples: int, theta: float
) -> AdaptiveNormTest:
    """From the moments of a batch."""
    noise, signal = float(np.sum(variances / scales)), float(np.sum(gradient**2 / scales))
    rounding = (size * np.finfo(np.float64).eps) ** 2 * (noise + signal)
    ratio = noise / signal if signal > rounding else (inf if noise > 0.0 else nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(variances > 0.0, variances / gradient**2, 0.0)  # infinite where a gradient is 0
    worst, noisy = float(each.max(initial=0.0)), each[variances > 0.0]
    middle = float(np.median(noisy)) if len(noisy) else 0.0
    is_all = size == n_samples
    thetas = {"theta_scaled": sqrt(ratio / size), "theta_coordinates": sqrt(worst / size)}
    return AdaptiveNormTest(
        thetas["theta_scaled"], _least(ratio, theta, n_samples), thetas["theta_coordinates"],
        1.0 if is_all else float(np.mean(np.sqrt(each / size) <= theta)), _least(middle, theta, n_samples),
        {name: bool(is_all or value <= theta) for name, value in thetas.items()},
    )  # fmt: skip


def _least(ratio: float, theta: float, n_samples: int) -> float:
    """The least batch size with ``ratio / B <= theta^2``.

    >>> _least(10.0, 0.5, 1000), _least(np.inf, 0.5, 1000), _least(0.0, 0.5, 1000)
    (40, 1000, 1)
    """
    needed = ratio / theta / theta
    return needed if np.isnan(needed) else max(1, ceil(min(needed, n_samples)))
