"""How the objective of a batch bends along the batch's own gradient, and the rate that this is held against."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from minibatch._problems.batching import Order
from minibatch._problems.linear import LinearProblem
from minibatch._problems.passive import PASSIVE
from minibatch._problems.state import norm_of
from minibatch.diagnostics._hessian_product import hessian_product
from minibatch.diagnostics._objective import TrainedObjective
from minibatch.diagnostics._solvers import solver_of, stable_product

__all__ = ["Edge", "directional_curvatures", "drawn_batches", "edge_of", "mean_and_interval", "share_of_batches"]


class Edge(NamedTuple):
    """Where batch sharpness comes to rest, times the learning rate: of small batches and of large ones."""

    solver: str
    momentum: float
    products: tuple[float, float]
    missing: str  # why there is none

    def limits(self, rate: float) -> tuple[float, float]:
        """At this rate; NaN where there is none."""
        small, large = self.products
        return (small / rate, large / rate) if rate > 0.0 else (np.nan, np.nan)


def edge_of(objective: TrainedObjective) -> Edge:
    """``2``, or of a momentum ``m`` from ``2 (1 - m)`` to what is stable on full batches: ``2 (1 + m)`` or, with
    Nesterov's, ``2 (1 + m) / (1 + 2 m)``."""
    final: Any = objective.final
    (solver, momentum), schedule = solver_of(final), final.learning_rate
    large = stable_product(solver, momentum)
    averages = schedule == "auto" and isinstance(objective.problem, LinearProblem)  # all gradients so far
    if np.isnan(large) or averages or schedule in PASSIVE:
        missing = f"learning_rate={schedule!r} with solver={solver!r} has no one rate"
        return Edge(solver, momentum, (np.nan, np.nan), f"{missing} that every gradient is multiplied by")
    return Edge(solver, momentum, (2.0 * (1.0 - momentum), large), "")


def share_of_batches(n_samples: int, size: int, number: int) -> float:
    """The share that so many batches are of all: of the one of all rows, of those of one row; of others, next to none.

    >>> share_of_batches(10, 10, 5), share_of_batches(10, 1, 5), share_of_batches(10, 2, 5)
    (1.0, 0.5, 0.0)
    """
    if size >= n_samples:
        return 1.0
    return min(1.0, number / n_samples) if size == 1 else 0.0


def drawn_batches(n_samples: int, size: int, number: int, random: np.random.RandomState) -> list[Order]:
    """So many batches of rows as epochs have them, in random order; no more than there are.

    >>> [len(batch) for batch in drawn_batches(10, 4, 5, np.random.RandomState(0))]
    [4, 4, 4, 4, 4]
    >>> [len(drawn_batches(10, size, 50, np.random.RandomState(0))) for size in (1, 2, 10)]
    [10, 50, 1]
    """
    if size >= n_samples:
        return [np.arange(n_samples)]
    number = min(number, n_samples) if size == 1 else number
    whole = n_samples // size
    batches: list[Order] = []
    while len(batches) < number:
        order = random.permutation(n_samples)
        batches += [np.sort(order[i * size : (i + 1) * size]) for i in range(min(whole, number - len(batches)))]
    return batches


def directional_curvatures(objective: TrainedObjective, batches: Sequence[Order]) -> NDArray[np.float64]:
    """``g' H g / ||g||^2`` of every batch, with gradient and Hessian of its own objective; NaN where ``g`` is 0."""
    return np.array([_of_batch(objective, batch) for batch in batches])


def _of_batch(objective: TrainedObjective, batch: Order) -> float:
    problem: Any = objective.problem
    part = objective if len(batch) == problem.n_samples else objective._replace(problem=problem.copied(batch))
    gradient = part.gradient(part.trained)
    length = norm_of(gradient)
    if length == 0.0:
        return np.nan
    direction = gradient / length
    return float(direction @ hessian_product(part, across_kinks=False)(direction))


def mean_and_interval(
    values: NDArray[np.float64], confidence: float, share_seen: float
) -> tuple[float, tuple[float, float]]:
    """The mean of the values that are numbers, with Student's interval; ``share_seen`` of all that there are."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return np.nan, (np.nan, np.nan)
    mean = float(known.mean())
    if share_seen >= 1.0:
        return mean, (mean, mean)
    if len(known) < 2:
        return mean, (-np.inf, np.inf)
    error = float(known.std(ddof=1)) * np.sqrt((1.0 - share_seen) / len(known))
    away = float(student_t.ppf(0.5 + 0.5 * confidence, len(known) - 1)) * error
    return mean, (mean - away, mean + away)
