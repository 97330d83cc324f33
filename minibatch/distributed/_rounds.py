"""What a worker does with a part of an epoch: a share of every gradient, or updates of its own and then an average."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.epochs import Epoch
from minibatch._problems.state import State
from minibatch.distributed._communicator import Communicator

__all__ = ["Trained", "train_by_gradients", "train_by_rounds"]


class Trained(NamedTuple):
    """What comes of a part of an epoch."""

    state: State
    losses: NDArray[np.float64]  # progressive sums of the objectives


def train_by_gradients(problem: Any, state: State, epoch: Epoch, workers: Communicator) -> Trained:
    """Every batch is a step of all, with the sum of their gradients. All have all rows."""
    losses = replace(problem, partners=workers).run_epoch(state, epoch)
    return Trained(state, losses)


def train_by_rounds(problem: Any, state: State, epoch: Epoch, period: int, workers: Communicator) -> Trained:
    """``period`` updates with batches of one's own rows, then the mean of all workers, by rows. There may be rows for
    fewer updates than rates: others have more."""
    losses: Any = 0.0
    for begin in range(0, len(epoch.etas), period):
        end = min(begin + period, len(epoch.etas))
        n_rows = max(0, min(len(epoch.order), end * epoch.batch_size) - begin * epoch.batch_size)
        begins = state.n_averaged, state.slot_updates, state.schedule_updates
        own = np.zeros(problem.n_objectives)
        if n_rows:
            part = epoch.part(begin, begin - (-n_rows // epoch.batch_size))
            own = problem.run_epoch(state, part)
        losses = losses + _average(problem, state, begins, own, n_rows, end - begin, workers)
    return Trained(state, losses)


def _average(
    problem: Any, state: State, begins: Sequence[int], losses: Any, n_rows: int, n_updates: int, workers: Communicator
) -> NDArray[np.float64]:
    """Make parameters, memory and averages the means over workers, by rows; returns the sum of the losses. ``begins``
    are the counts of the state before these updates.

    A sum of iterates is what its mean makes of as many as there would be without the cut.
    """
    before, slot_updates, schedule_updates = begins
    n_averaged = before + (n_updates if state.n_averaged > before else 0)
    of_total = state.total / max(1, state.n_averaged)
    parts = [state.theta, state.slots, state.scalars, of_total]
    parts += [] if state.average is None else [state.average]
    weighted = [n_rows * part.astype(np.float64) for part in parts]
    sums = workers.added(np.array([n_rows, n_averaged * n_rows], np.float64), losses, *weighted)
    (rows, averaged), losses, *means = sums
    for part, mean in zip(parts, means, strict=True):
        part[...] = mean / rows
    state.n_averaged = round(averaged / rows)
    state.total[...] = of_total * state.n_averaged
    state.slot_updates, state.schedule_updates = slot_updates + n_updates, schedule_updates + n_updates
    problem.agree(state)
    return losses
