"""Epochs that training waits for: what it asks, and what it gets."""

import time
from typing import Any, NamedTuple

from minibatch._problems.epochs import Epoch
from minibatch._problems.state import Problem, State

__all__ = ["Ran", "Request"]


class Request(NamedTuple):
    """An epoch that training waits for, or several: what ``run`` does, or what comes to the same."""

    problem: Problem
    state: State
    epoch: Epoch

    def of_one_batch(self) -> "Request":
        """The first, for a copy of the state."""
        rows, rates = self.epoch.order[..., : self.epoch.batch_size], self.epoch.etas[..., :1]
        return self._replace(state=self.state.copy(), epoch=self.epoch._replace(order=rows, etas=rates))

    def run(self) -> "Ran":
        began = time.perf_counter()
        run: Any = self.problem.run_epoch if self.epoch.order.ndim == 1 else self.problem.run_epochs
        return Ran(run(self.state, self.epoch), time.perf_counter() - began)


class Ran(NamedTuple):
    """What comes of a request: what ``problem.run_epoch`` or ``run_epochs`` returns, and how long it took."""

    left: Any
    seconds: float
