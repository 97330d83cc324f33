"""Epochs that training waits for: what it asks, and what it gets."""

import time
from typing import Any, NamedTuple

import numpy as np

from minibatch._problems.epochs import Epoch
from minibatch._problems.state import Problem, State

__all__ = ["Ran", "Request"]

# Of a batch that is only to show which kernels it takes: more than the largest block that is trained on as one.
_ROWS = 1024


class Request(NamedTuple):
    """An epoch that training waits for, or several: what ``run`` does, or what comes to the same."""

    problem: Problem
    state: State
    epoch: Epoch

    def of_one_batch(self) -> "Request":
        """The first, for a copy of the state; the beginning of a long one."""
        rows, rates = self.epoch.order[..., : min(self.epoch.batch_size, _ROWS)], self.epoch.etas[..., :1]
        return self._replace(state=self.state.copy(), epoch=self.epoch._replace(order=rows, etas=rates))

    def run(self) -> "Ran":
        began = time.perf_counter()
        run: Any = self.problem.run_epoch if self.epoch.order.ndim == 1 else self.problem.run_epochs
        epoch, etas = self.epoch, self.epoch.etas
        if not etas.flags.carray:  # as compiled loops take them: writeable, in C order
            epoch = epoch._replace(etas=np.array(etas, order="C"))
        return Ran(run(self.state, epoch), time.perf_counter() - began)


class Ran(NamedTuple):
    """What comes of a request: what ``problem.run_epoch`` or ``run_epochs`` returns, and how long it took."""

    left: Any
    seconds: float
