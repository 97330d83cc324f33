"""A first learning rate from a sample of the rows, in Bottou's way."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from minibatch._problems.state import ALONE, Epoch, Vector

# Bottou takes 1000 rows and one pass in batches of one. Larger batches make more passes, to this many updates: a few
# steps of gradient descent go well at rates that run away later.
SAMPLE_ROWS, FEWEST_UPDATES = 1000, 16
# Halvings before it is given up.
MOST_HALVINGS = 60
MOST_DOUBLINGS = 20


def calibrated_rate(problem: Any, theta: Vector, batch_size: int, seed: int) -> float:
    """The rate below that with the lowest objective after training on a sample, by factors of two."""
    random = np.random.default_rng(seed)
    everything = np.arange(problem.n_samples) if problem.rows is None else problem.rows
    rows = random.permutation(everything)[:SAMPLE_ROWS]
    sample = replace(problem, rows=rows, threads=ALONE)
    n_batches = -(-len(rows) // batch_size)
    orders = [random.permutation(len(rows)) for _ in range(-(-FEWEST_UPDATES // n_batches))]

    def cost(eta: float) -> float:
        state = sample.new_state(theta, False)
        for order in orders:
            epoch = Epoch(order, np.full(n_batches, eta), batch_size, n_batches, n_batches > 1, seed)
            sample.run_epoch(state, epoch)
        if not np.isfinite(state.theta).all():
            return np.inf
        losses, _ = sample.evaluate(state.theta)
        return float(losses.sum() + sample.penalties(state.theta).sum())

    return lower_end_of_bracket(cost)


def lower_end_of_bracket(cost: Callable[[float], float]) -> float:
    """The rate one factor of two below the best, where that was found by halving; else the best one.

    From 1 and 2, the rate is halved or doubled until the cost no longer falls; the lower of the last two is the answer.
    That is careful on purpose: a rate that is too low costs time, one that is too high costs the result.

    >>> lower_end_of_bracket(lambda eta: (eta - 0.25) ** 2), lower_end_of_bracket(lambda eta: (eta - 8) ** 2)
    (0.125, 8.0)
    """
    low, high = 1.0, 2.0
    low_cost, high_cost = _finite_or_inf(cost(low)), _finite_or_inf(cost(high))
    if low_cost < high_cost or high_cost == np.inf:
        for _ in range(MOST_HALVINGS):
            if not (low_cost < high_cost or high_cost == np.inf):
                break
            high, high_cost, low = low, low_cost, low / 2.0
            low_cost = _finite_or_inf(cost(low))
    else:
        for _ in range(MOST_DOUBLINGS):
            if not high_cost < low_cost:
                break
            low, low_cost, high = high, high_cost, high * 2.0
            high_cost = _finite_or_inf(cost(high))
    if low_cost == np.inf:
        raise ValueError(
            "No learning rate from 1e-18 to 2 gives a finite objective on a sample of the rows; scale X with "
            "StandardScaler."
        )
    return low


def _finite_or_inf(value: float) -> float:
    return value if np.isfinite(value) else np.inf
