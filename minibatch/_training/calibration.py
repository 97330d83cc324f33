"""A first learning rate from a sample of the rows, in Bottou's way."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from minibatch._problems.batching import rows_in_batches
from minibatch._problems.pieces import ALONE
from minibatch._problems.state import Epoch, Vector

__all__ = [
    "FEWEST_UPDATES", "MOST_DOUBLINGS", "MOST_HALVINGS", "SAMPLE_ROWS", "calibrated_rate", "lower_end_of_bracket",
]  # fmt: skip

# Bottou takes 1000 rows and one pass in batches of one. Larger batches make more passes, to this many updates: a few
# steps of gradient descent go well at rates that run away later.
SAMPLE_ROWS, FEWEST_UPDATES = 1000, 16
# Powers of two to try, up and down from 1.
MOST_DOUBLINGS, MOST_HALVINGS = 20, 400


def calibrated_rate(problem: Any, theta: Vector, batch_size: int, last_batch: str, seed: int) -> float:
    """A careful rate for batches of so many rows: see ``lower_end_of_bracket``, of the objective of a sample of the
    rows after training on it."""
    random = np.random.default_rng(seed)
    rows = np.arange(len(problem.data.y)) if problem.rows is None else problem.rows
    if len(problem.data.weight):
        rows = rows[problem.data.weight[rows] > 0.0]
    rows = random.permutation(rows)[:SAMPLE_ROWS]
    sample, batch_size = replace(problem, rows=rows, threads=ALONE), min(batch_size, len(rows))
    n_rows, n_batches = rows_in_batches(len(rows), batch_size, last_batch)
    orders = [random.permutation(len(rows))[:n_rows] for _ in range(-(-FEWEST_UPDATES // n_batches))]

    def objective(theta: Vector) -> float:
        losses, _ = sample.evaluate(theta)
        return float(losses.sum() + sample.penalties(theta).sum())

    def cost(eta: float) -> float:
        state = sample.new_state(theta, False)
        for order in orders:
            epoch = Epoch(order, np.full(n_batches, eta), batch_size, n_batches, n_batches > 1, seed)
            sample.run_epoch(state, epoch)
        return objective(state.result()) if np.isfinite(state.theta).all() else np.inf

    with np.errstate(over="ignore", invalid="ignore"):  # rates that are too high
        rate = lower_end_of_bracket(cost)
        if not cost(rate) < objective(theta):
            warnings.warn(
                f"The calibration found no learning rate that lowers the objective from where training begins; it goes "
                f"on at {rate:.2g}. Give a number where that is too low.",
                ConvergenceWarning,
                stacklevel=2,
            )
    return rate


def lower_end_of_bracket(cost: Callable[[float], float]) -> float:
    """The rate one factor of two below the best, where that was found by halving; else the best one.

    From 1 and 2, the rate is halved or doubled until the cost no longer falls; the lower of the last two is the answer.
    That is careful on purpose: a rate that is too low costs time, one that is too high costs the result.

    >>> lower_end_of_bracket(lambda eta: (eta - 0.25) ** 2), lower_end_of_bracket(lambda eta: (eta - 8) ** 2)
    (0.125, 8.0)
    """
    low, high = 1.0, 2.0
    low_cost, high_cost = _finite_or_inf(cost(low)), _finite_or_inf(cost(high))
    if high_cost < low_cost:
        while high_cost < low_cost and high < 2.0**MOST_DOUBLINGS:
            low, low_cost, high = high, high_cost, high * 2.0
            high_cost = _finite_or_inf(cost(high))
        return low
    while (low_cost < high_cost or low_cost == np.inf) and low >= 2.0**-MOST_HALVINGS:
        high_cost, low = low_cost, low / 2.0
        low_cost = _finite_or_inf(cost(low))
    if low_cost == np.inf:
        raise ValueError(
            "No learning rate gives a finite objective on a sample of the rows; scale X with StandardScaler."
        )
    return low


def _finite_or_inf(value: float) -> float:
    return value if np.isfinite(value) else np.inf
