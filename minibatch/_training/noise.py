"""The noise of gradients: how much those of single rows differ, next to the gradient that all of them share.

Conventions: ``g_i`` is the gradient of ``s_i loss_i``, what row ``i`` gives to its batch; ``g`` is the mean of those
looked at, and ``G`` the gradient of the objective, its penalty included. The penalty has no noise. Estimates are
without bias; see ``estimated_noise``.
"""

from math import inf, nan, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from minibatch._problems.batching import Order
from minibatch._problems.state import Problem, Vector

__all__ = [
    "Deviations", "GradientNoise", "estimated_noise", "fieller_interval", "gradient_noise", "noise_scale",
    "row_deviations",
]  # fmt: skip


class Deviations(NamedTuple):
    """How the gradients of ``m`` rows lie around their mean ``g``; ``p`` is the gradient of the penalty.

    Inner products may be those of a symmetric matrix, as a Hessian is: then the norms are ``v' H v``.
    """

    squares: NDArray[np.float64]  # (m,): ||g_i - g||^2
    along: NDArray[np.float64]  # (m,): (g_i - g) . (g + p)
    squared_norm: float  # ||g + p||^2
    rounding: float  # a squared norm below this is not told from zero


class GradientNoise(NamedTuple):
    """Estimates from ``n_rows`` rows; ``interval`` is that of the noise scale."""

    trace: float  # of the covariance of the g_i
    squared_norm: float  # of G; an estimate without bias may be negative
    noise_scale: float  # trace / squared_norm; inf where that is not positive, nan where both are zero
    interval: tuple[float, float]
    resolved: bool  # the interval has an end: the squared norm is significantly above zero
    n_rows: int
    largest_share: float  # of the trace, that of the largest hundredth of the rows, or of the largest one


def gradient_noise(
    problem: Problem, theta: Vector, rows: Order | None = None, *, reference: str = "train", confidence: float = 0.95
) -> GradientNoise:
    """Estimates at ``theta`` from the rows trained on, or from some of them, numbered among these and drawn without
    replacement. ``reference``: the noise of batches of the rows trained on ("train"), or of batches of new rows from
    where these come ("population")."""
    sample = problem if rows is None else problem.on_rows(rows)
    n_population = problem.n_samples if reference == "train" else inf
    return estimated_noise(row_deviations(sample, theta), n_population, confidence)


def noise_scale(problem: Problem, theta: Vector, rows: Order) -> float:
    """The estimate of ``gradient_noise`` alone; not a number where gradients are too large for one."""
    with np.errstate(over="ignore", invalid="ignore"):
        deviations = row_deviations(problem.on_rows(rows), theta)
        total = float(deviations.squares.sum())
        trace, squared_norm = _estimates(len(rows), problem.n_samples, deviations.squared_norm, total)
    return _ratio(trace, squared_norm, deviations.rounding)


def row_deviations(problem: Problem, theta: Vector) -> Deviations:
    """Two passes over the rows of the problem: their mean gradient, then every row beside it."""
    n = problem.n_trained
    mean = problem.mean_gradient(theta)
    total = problem.with_penalty(theta, mean)[:n].astype(np.float64)
    mean = mean[:n].astype(np.float64)
    found = problem.row_gradients(theta, np.stack([mean, total]))
    squares = np.maximum(found.squared_norms - 2.0 * found.products[0] + mean @ mean, 0.0)
    # a mean of m terms is known to at least m eps times their size
    rounding = (len(squares) * np.finfo(theta.dtype).eps) ** 2 * found.squared_norms.mean()
    return Deviations(squares, found.products[1] - mean @ total, float(total @ total), float(rounding))


def estimated_noise(
    rows: Deviations, n_population: float, confidence: float, variance_of_squares: float = 0.0
) -> GradientNoise:
    """From ``m`` rows that are all or some of ``n`` ("train"), or independent draws (``n = inf``). The sum of the
    squares may be an estimate itself, with a variance.

    With ``S = sum_i ||g_i - g||^2 / (m - 1)``, the trace is ``(1 - 1/n) S``, the squared norm ``||g + p||^2 -
    (1/m - 1/n) S``: exact where ``m = n``. The interval of their ratio is Fieller's, from jackknife variances.
    """
    m = len(rows.squares)
    total = float(rows.squares.sum())
    trace, squared_norm = _estimates(m, n_population, rows.squared_norm, total)
    if not np.isfinite([trace, squared_norm]).all():
        return GradientNoise(trace, squared_norm, nan, (0.0, inf), False, m, nan)
    covariance = np.zeros((2, 2))
    if 2 < m < n_population:
        norms_without = rows.squared_norm - 2.0 * rows.along / (m - 1) + rows.squares / (m - 1) ** 2
        totals_without = total - rows.squares * m / (m - 1)
        without = np.array(_estimates(m - 1, n_population, norms_without, totals_without))
        covariance = (1.0 - m / n_population) * (m - 1) ** 2 / m * np.cov(without)
    if variance_of_squares > 0.0:
        moved = np.array(_estimates(m, n_population, 0.0, np.sqrt(variance_of_squares)))
        covariance = covariance + np.outer(moved, moved)
    quantile = float(student_t.ppf(0.5 + 0.5 * confidence, m - 1))
    lower, upper = fieller_interval(trace, max(squared_norm, rows.rounding), covariance, quantile)
    if m == 2 < n_population:  # no variance from two rows
        lower, upper = 0.0, inf
    scale, told = _ratio(trace, squared_norm, rows.rounding), squared_norm > rows.rounding
    sizes = np.sort(np.abs(rows.squares))
    share = float(sizes[-max(1, m // 100) :].sum() / sizes.sum()) if sizes[-1] > 0.0 else nan
    return GradientNoise(trace, squared_norm, scale, (lower, upper if told else inf), told and upper < inf, m, share)


def _ratio(trace: float, squared_norm: float, rounding: float) -> float:
    """The noise scale: infinite where the gradient is not told from zero, not a number where there is no noise
    either, or where it overflows."""
    if not np.isfinite([trace, squared_norm]).all():
        return nan
    if squared_norm > rounding:
        return trace / squared_norm
    return inf if trace > 0.0 else nan


def _estimates(m: int, n_population: float, squared_norm: Any, total: Any) -> tuple[Any, Any]:
    """Trace and squared norm from the squared norm of the mean and the summed squares around it."""
    variance = total / (m - 1)
    return (1.0 - 1.0 / n_population) * variance, squared_norm - (1.0 / m - 1.0 / n_population) * variance


def fieller_interval(
    numerator: float, denominator: float, covariance: NDArray[np.float64], quantile: float
) -> tuple[float, float]:
    """Ratios ``r >= 0`` that two estimates do not contradict, ``(a - r b)^2 <= quantile^2 Var(a - r b)`` (Fieller
    1954).

    Without upper end where the denominator is not significantly different from zero.

    >>> (
    ...     fieller_interval(6.0, 3.0, np.zeros((2, 2)), 1.96),
    ...     fieller_interval(6.0, 1.0, np.eye(2), 1.96)[1],
    ... )
    ((2.0, 2.0), inf)
    """
    unit = max(abs(numerator), abs(denominator), sqrt(np.trace(covariance))) or 1.0  # squares could overflow
    numerator, denominator = numerator / unit, denominator / unit
    factor, ((of_numerator, of_both), (_, of_denominator)) = quantile**2, (covariance / unit / unit).tolist()
    # a r^2 - 2 b r + c <= 0; the discriminant is written so that it is 0 without variance
    a = denominator**2 - factor * of_denominator
    b = numerator * denominator - factor * of_both
    c = numerator**2 - factor * of_numerator
    spread = denominator**2 * of_numerator - 2.0 * numerator * denominator * of_both + numerator**2 * of_denominator
    root = sqrt(max(0.0, factor * (spread - factor * (of_numerator * of_denominator - of_both**2))))
    if a > 0.0:
        return max(0.0, (b - root) / a), (b + root) / a
    if c <= 0.0:
        return 0.0, inf
    return (c / (b + root) if b + root > 0.0 else inf), inf
