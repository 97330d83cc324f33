"""Neighbourhoods of a model, and the search for the highest point of the objective in them."""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize

from minibatch._problems.linear import LinearProblem
from minibatch.diagnostics._objective import Trained, TrainedObjective

__all__ = ["MOST_ENUMERATED", "Found", "Neighbourhood", "Rise", "average", "ball", "box", "highest"]

# Dimensions of a box whose corners are all looked at, 1,024.
MOST_ENUMERATED = 10

_TOLERANCES = {"ftol": 1e-10, "gtol": 1e-8}
_PUSHES = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0] + 4 * [1e100]  # the last ones reach a vertex
_STOPPED = 1  # scipy's status for a search that max_iter ended


class Neighbourhood(NamedTuple):
    """Points ``place(z)`` around the model; how a gradient there becomes one in ``z``; a ``z`` far along it."""

    place: Callable[[Trained], Trained]
    pull_back: Callable[[Trained, Trained], Trained]
    along: Callable[[Trained, float], Trained]
    starts: list[Trained]
    bounds: Bounds | None
    slope_rise: float


class Found(NamedTuple):
    """Rises from each start or of each pair, that which answers the question, the highest, and what to know of them."""

    rises: NDArray[np.float64]
    rise: float
    highest: float
    slope_rise: float
    converged: bool
    standard_error: float = 0.0
    exact: bool = False  # the highest is the maximum


class _Overflow(Exception):
    """The objective is not finite at a point of the neighbourhood."""


class Rise:
    """``F(point) - F(model)``, counted."""

    def __init__(self, objective: TrainedObjective) -> None:
        self.of, self.at = objective, objective.trained
        self.base, self.gradient = objective.both(self.at)
        self.n_evaluations = 1

    @property
    def is_convex(self) -> bool:
        """As every loss is, and so every objective that is linear in the parameters inside it."""
        return isinstance(self.of.problem, LinearProblem)

    def __call__(self, point: Trained) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            return self._from_base(self.of.value(point))

    def both(self, point: Trained) -> tuple[float, Trained]:
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = self.of.both(point)
        return self._from_base(value if np.isfinite(gradient).all() else np.inf), gradient

    def _from_base(self, value: float) -> float:
        self.n_evaluations += 1
        if not np.isfinite(value):
            raise _Overflow
        return value - self.base


def average(rise: Rise, rho: float, n_pairs: int, random: np.random.RandomState) -> Found:
    """Pairs of opposite points: what is linear in the step cancels."""
    rises = np.empty((n_pairs, 2))
    try:
        for pair in rises:
            step = rho * random.standard_normal(len(rise.at))
            pair[:] = rise(rise.at + step), rise(rise.at - step)
    except _Overflow:
        rises[:] = np.inf
    means, finite = rises.mean(axis=1), bool(np.isfinite(rises).all())
    return Found(
        rises=means,
        rise=float(means.mean()),
        highest=max(0.0, float(rises.max())),
        slope_rise=rho * float(np.linalg.norm(rise.gradient)),
        converged=finite,
        standard_error=float(means.std(ddof=1) / np.sqrt(n_pairs)) if finite else np.nan,
    )


def box(
    rise: Rise, epsilon: float, n_directions: int | None, n_starts: int, random: np.random.RandomState
) -> Neighbourhood:
    """``z`` in shares of the half widths of the box."""
    n = len(rise.at)
    if rise.base <= -1.0:
        raise ValueError(
            f"kind='box' divides by 1 + F, but F, the objective at the model, is {rise.base:.3g}; take "
            "kind='worst_case'."
        )
    if n_directions is not None and n_directions > n:
        raise ValueError(f"n_directions must be at most the number of trained parameters, {n}; got {n_directions}.")
    A: Any = sp.eye_array(n, format="csr")
    in_space: NDArray[np.floating[Any]] = rise.at
    if n_directions is not None:
        # not of unit length: a step along one moves every parameter by about epsilon, as one of the whole box does
        A = random.standard_normal((n, n_directions))
        in_space = np.linalg.lstsq(A, rise.at, rcond=None)[0]
    widths = epsilon * (np.abs(in_space) + 1.0)
    # a coordinate with little slope must not come to lie at 0, where it has none
    off_axes = 0.01 * random.uniform(-1.0, 1.0, len(widths))

    def pull_back(gradient: Trained, z: Trained) -> Trained:
        back: Trained = widths * (A.T @ gradient)
        return back

    def along(gradient: Trained, push: float) -> Trained:
        slope = pull_back(gradient, gradient)
        return np.clip(push * slope / (np.sqrt(np.mean(slope**2)) or 1.0) + off_axes, -1.0, 1.0)

    return Neighbourhood(
        place=lambda z: rise.at + A @ (widths * z),
        pull_back=pull_back,
        along=along,
        starts=[random.uniform(-1.0, 1.0, len(widths)) for _ in range(n_starts)],
        bounds=Bounds(-1.0, 1.0),
        slope_rise=float(np.abs(widths * (A.T @ rise.gradient)).sum()),
    )


def ball(rise: Rise, rho: float, adaptive: bool, n_starts: int, random: np.random.RandomState) -> Neighbourhood:
    """``z`` of any length: its direction counts. The ball of ``'adaptive'`` is as wide as each parameter is large."""
    widths = rho * (np.abs(rise.at) if adaptive else np.ones_like(rise.at))
    if not widths.any():
        raise ValueError("kind='adaptive' moves parameters in proportion, but all are 0; take kind='worst_case'.")

    def pull_back(gradient: Trained, z: Trained) -> Trained:
        length, along = np.linalg.norm(z), widths * gradient
        tangential: Trained = (along - z * (z @ along) / length**2) / length
        return tangential

    return Neighbourhood(
        place=lambda z: rise.at + widths * z / np.linalg.norm(z),
        pull_back=pull_back,
        along=lambda gradient, push: widths * gradient,
        starts=[random.standard_normal(len(widths)) for _ in range(n_starts)],
        bounds=None,
        slope_rise=float(np.linalg.norm(widths * rise.gradient)),
    )


def highest(rise: Rise, around: Neighbourhood, max_iter: int) -> Found:
    """The highest rise that is found from all starts.

    The maximum of a convex objective over a box is at a corner. Where these are few, all are looked at; of an objective
    that is not convex, the highest is one more start.
    """
    starts = around.starts
    try:
        if around.bounds is not None and len(starts[0]) <= MOST_ENUMERATED:
            corner, height = _highest_corner(rise, around, len(starts[0]))
            if rise.is_convex:
                return Found(np.array([height]), height, height, around.slope_rise, True, exact=True)
            starts = [*starts, corner]
        found = [_climb(rise, around, start, max_iter) for start in starts]
    except _Overflow:
        found = [(np.inf, False)] * len(starts)
    rises = np.array([height for height, _ in found])
    best = int(rises.argmax())
    return Found(rises, float(rises[best]), float(rises[best]), around.slope_rise, found[best][1])


def _highest_corner(rise: Rise, around: Neighbourhood, n: int) -> tuple[Trained, float]:
    corners = [np.array(corner) for corner in product((-1.0, 1.0), repeat=n)]
    heights = [rise(around.place(corner)) for corner in corners]
    best = int(np.argmax(heights))
    return corners[best], max(0.0, heights[best])


def _climb(rise: Rise, around: Neighbourhood, start: Trained, max_iter: int) -> tuple[float, bool]:
    """The rise at the end of one search, at least that of the model itself, and whether it ended by itself."""
    z, height = _stride(rise, around, start)
    scale = abs(height) or 1.0  # L-BFGS-B compares with 1, and a rise may be 1e-9

    def downhill(z: Trained) -> tuple[float, Trained]:
        height, gradient = rise.both(around.place(z))
        return -height / scale, -around.pull_back(gradient, z) / scale

    options = {"maxiter": max_iter, **_TOLERANCES}
    end = minimize(downhill, z, jac=True, method="L-BFGS-B", bounds=around.bounds, options=options)
    return max(0.0, -float(end.fun) * scale), end.status != _STOPPED


def _stride(rise: Rise, around: Neighbourhood, z: Trained) -> tuple[Trained, float]:
    """The highest of some points, each far along the gradient at the last one, and its rise.

    They go from the middle of a box to its vertices, as mean-field annealing does: of many vertices that no neighbour
    exceeds, it finds a high one. Ten iterations of L-BFGS-B alone stay far below when the parameters are thousands.
    """
    height, gradient = rise.both(around.place(z))
    best = z, height
    for push in _PUSHES:
        z = around.along(gradient, push)
        if not z.any():
            break
        height, gradient = rise.both(around.place(z))
        best = max(best, (z, height), key=lambda point: point[1])
    return best
