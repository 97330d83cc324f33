"""The noise of gradients in the directions in which the objective bends."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.batching import Order
from minibatch._problems.state import Problem
from minibatch._training.noise import Deviations
from minibatch.diagnostics._eigenvalues import matrix_of_product
from minibatch.diagnostics._hessian_product import hessian_product
from minibatch.diagnostics._objective import TrainedObjective

__all__ = ["BentDeviations", "NoiseCurvature", "bent_deviations", "curvature_of"]

_Array = NDArray[np.float64]

# The whole Hessian is made of so few parameters, where that is no more work than this (rows times parameters squared, a
# few seconds); else random directions probe it, each for a pair of products. So many directions at a time, and so many
# products with rows.
_MOST_PARAMETERS, _MOST_WORK = 512, 5e9
_N_PROBES, _AT_ONCE, _NUMBERS_AT_ONCE = 100, 32, 2**23


class NoiseCurvature(NamedTuple):
    """How the objective bends along the noise of gradients, and along the gradient.

    Attributes
    ----------
    trace : float
        Estimate of ``tr(H S)``.

    along_gradient : float
        Estimate of ``G' H G``.

    of_noise : float
        ``tr(H S) / tr(S)``, the curvature in the mean direction of the noise.

    of_gradient : float
        ``G' H G / ||G||^2``, the curvature in the direction of the gradient.

    mean : float
        ``tr(H) / p``, the curvature in the mean of all ``p`` directions.

    alignment : float
        ``p tr(H S) / (tr(H) tr(S))``: how often more the objective bends along the noise than in the mean direction. 1
        for noise of one size in all directions, at most ``p``.

    n_probes : int
        Random directions that ``tr(H S)`` and ``tr(H)`` are estimated from; 0 where the whole Hessian was made.
    """

    trace: float
    along_gradient: float
    of_noise: float
    of_gradient: float
    mean: float
    alignment: float
    n_probes: int


class BentDeviations(NamedTuple):
    """``Deviations`` in the inner product of the Hessian."""

    rows: Deviations
    variance: float  # of the sum of their squares
    trace: float  # of the Hessian
    n_probes: int


def bent_deviations(objective: TrainedObjective, rows: Order | None, random: np.random.RandomState) -> BentDeviations:
    """Of some of the rows, or of all, with the Hessian of all."""
    problem, theta = objective.problem, objective.theta
    sample = problem if rows is None else problem.on_rows(rows)
    n, product = problem.n_trained, hessian_product(objective, across_kinks=False)
    mean = sample.mean_gradient(theta)
    total = sample.with_penalty(theta, mean)[:n].astype(np.float64)
    mean, bent = mean[:n].astype(np.float64), product(total)
    along = sample.row_gradients(theta, bent[None]).products[0] - mean @ bent
    if n <= _MOST_PARAMETERS and problem.n_samples * n**2 <= _MOST_WORK:
        values, vectors = np.linalg.eigh(matrix_of_product(product, n))
        squares = _squares(sample, theta, mean, values, vectors.T)
        variance, trace, n_probes = 0.0, float(values.sum()), 0
    else:
        squares, variance, trace = _probed(sample, theta, mean, product, random)
        n_probes = _N_PROBES
    rounding = float((len(squares) * np.finfo(np.float64).eps) ** 2 * np.abs(squares).mean())
    return BentDeviations(Deviations(squares, along, float(total @ bent), rounding), variance, trace, n_probes)


def _deviations_along(sample: Problem, theta: _Array, mean: _Array, directions: _Array) -> _Array:
    """``(g_i - g) . v`` for directions ``v`` in rows: (directions, rows)."""
    return sample.row_gradients(theta, directions).products - (directions @ mean)[:, None]


def _at_once(sample: Problem) -> int:
    return int(np.clip(_NUMBERS_AT_ONCE // sample.n_samples, 1, _AT_ONCE))


def _squares(sample: Problem, theta: _Array, mean: _Array, values: _Array, vectors: _Array) -> _Array:
    """``(g_i - g)' H (g_i - g)`` from eigenvalues and, in rows, eigenvectors."""
    squares = np.zeros(sample.n_samples)
    at_once = _at_once(sample)
    for first in range(0, len(values), at_once):
        here = slice(first, first + at_once)
        squares += values[here] @ _deviations_along(sample, theta, mean, vectors[here]) ** 2
    return squares


def _probed(
    sample: Problem, theta: _Array, mean: _Array, product: Any, random: np.random.RandomState
) -> tuple[_Array, float, float]:
    """The same estimated by random signs ``z``, for which ``E[(v . z) (v . H z)] = v' H v``; the variance of their sum
    over rows, and the trace of ``H`` from ``E[z' H z]``."""
    squares, sums, traces = np.zeros(sample.n_samples), [], []
    at_once = _at_once(sample)
    for first in range(0, _N_PROBES, at_once):
        signs = random.choice([-1.0, 1.0], (min(at_once, _N_PROBES - first), len(mean)))
        images = np.array([product(z) for z in signs])
        both = _deviations_along(sample, theta, mean, np.concatenate([signs, images]))
        found = both[: len(signs)] * both[len(signs) :]
        squares += found.sum(axis=0) / _N_PROBES
        sums += found.sum(axis=1).tolist()
        traces += np.einsum("ij,ij->i", signs, images).tolist()
    return squares, float(np.var(sums, ddof=1) / _N_PROBES), float(np.mean(traces))


def curvature_of(
    bent: BentDeviations, trace: float, along_gradient: float, noise: float, squared_norm: float, n_parameters: int
) -> NoiseCurvature:
    """From the estimates of ``tr(H S)``, ``G' H G``, ``tr(S)`` and ``||G||^2``; NaN where there is nothing to divide
    by."""
    of_noise = trace / noise if noise > 0.0 else np.nan
    of_gradient = along_gradient / squared_norm if squared_norm > 0.0 else np.nan
    mean = bent.trace / n_parameters
    alignment = of_noise / mean if mean > 0.0 else np.nan
    return NoiseCurvature(trace, along_gradient, of_noise, of_gradient, mean, alignment, bent.n_probes)
