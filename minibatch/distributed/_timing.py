"""How long updates of workers take, and exchanges between them: of workers that train, by the clock on the wall; or of
one that has nobody to wait for, by its processor's."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.epochs import Epoch
from minibatch._problems.pieces import ALONE, Threads
from minibatch._problems.requests import Request
from minibatch._problems.state import State
from minibatch.distributed._communicator import Communicator, Lonely, Traffic
from minibatch.distributed._driver import Workers
from minibatch.distributed._rounds import Trained, train_by_gradients
from minibatch.engine.linear import Data

__all__ = [
    "SECONDS_A_RUN", "Exchanges", "Solo", "numbers_of_gradient", "seconds_of_exchange", "seconds_of_update",
    "share_rows",
]  # fmt: skip

SECONDS_A_RUN = 0.02  # long enough for the clock
_FEWEST_BATCHES, _FEWEST_RUNS, _MOST_RUNS = 4, 3, 30
_LEAST_SHARE = 0.01  # of a run that all but its first batch take, whatever the clock says
_EXCHANGES = 4096


class Solo:
    """One of several workers, in this process: it runs their loop, on one thread, and its sums are its own."""

    number, clock = 1, staticmethod(time.thread_time)

    def share(self, problem: Any, n_numbers: int, by_gradients: bool) -> None:
        self._problem = replace(problem, threads=ALONE)

    def begin(self, epoch: Epoch) -> None:
        self._epoch = epoch

    def train(self, state: State, first: int, last: int, period: int, asked: Any) -> tuple[Trained, Traffic]:
        return train_by_gradients(self._problem, state.copy(), self._epoch.part(first, last), Lonely()), Traffic()

    def close(self) -> None: ...


def seconds_of_update(workers: Workers, request: Request, batch_size: int) -> float:
    """Of one on so many rows over all workers. They have the problem of the request, whose epoch says in which order
    rows come and at which rate."""
    order, etas, _, first_averaged, *_ = request.epoch
    if isinstance(workers, Solo):  # whose epochs may be of any length: the time of a call drops out
        order = np.tile(order, -(-_FEWEST_BATCHES * batch_size // len(order)))
    n_batches = max(1, len(order) // batch_size)
    rates = np.full(n_batches, etas[0])
    first = 0 if first_averaged < len(etas) else n_batches
    workers.begin(request.epoch._replace(order=order, etas=rates, batch_size=batch_size, first_averaged=first))
    return _seconds_of_one(workers, request.state, n_batches)


def seconds_of_exchange(workers: Workers, n_numbers: int) -> float:
    """Until everybody has a sum of so many numbers; a mean of many, in the fastest of some runs, as updates are timed.
    Workers are left without rows."""
    workers.share(Exchanges(n_numbers), n_numbers, True)
    workers.begin(Epoch(np.arange(_EXCHANGES), np.zeros(_EXCHANGES), 1, _EXCHANGES, True, 0))
    state = State(np.zeros(1), np.zeros((0, 1)), np.zeros(0))
    return min(_seconds_of_one(workers, state, _EXCHANGES) for _ in range(_FEWEST_RUNS))


def numbers_of_gradient(request: Request) -> int:
    """That are added up in every update: a gradient, and the losses of the outputs."""
    return len(request.state.theta) + int(request.problem.data.class_weight.shape[1])


def share_rows(workers: Workers, request: Request) -> None:
    """With room for exchanges, and a first batch, so that kernels are there."""
    n_losses = 16 * int(request.problem.data.class_weight.shape[1])  # of the shares of a network's batch
    workers.share(request.problem, 64 + n_losses + numbers_of_gradient(request), True)
    workers.begin(request.epoch)
    workers.train(request.state, 0, 1, 1, ())


def _seconds_of_one(workers: Workers, state: State, most: int) -> float:
    """Of ``most`` batches that have begun. What a call takes beside its batches does not count, where there are two: on
    a busy machine the state alone takes longer on its way than a batch."""
    clock: Callable[[], float] = getattr(workers, "clock", time.perf_counter)

    def took(number: int) -> float:
        began = clock()
        workers.train(state, 0, number, 1, ())
        return clock() - began

    first = min(took(1) for _ in range(_FEWEST_RUNS))
    if most == 1:
        return first
    number = 2
    while (more := took(number) - first) < SECONDS_A_RUN and number < most:
        number = min(2 * number, most)
    # short runs are repeated: what else the machine does only makes them longer
    runs = range(int(np.clip(SECONDS_A_RUN / max(more, 1e-9), 1, _MOST_RUNS)))
    whole = min([first + more, *(took(number) for _ in runs)])
    first = min([first, *(took(1) for _ in runs)])
    return float(max(whole - first, _LEAST_SHARE * whole)) / (number - 1)


@dataclass(frozen=True)
class Exchanges:
    """A ``problem`` whose updates are exchanges of so many numbers and nothing else."""

    n_numbers: int
    data: Any = field(default_factory=lambda: Data(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(0), np.ones((1, 1))))
    n_samples: int = _EXCHANGES
    threads: Threads = ALONE
    partners: Communicator | None = None

    def run_epoch(self, state: State, epoch: Epoch) -> NDArray[np.float64]:
        values = np.zeros(self.n_numbers)
        for _ in epoch.etas:
            if self.partners is not None:
                self.partners.added(values)
        return np.zeros(1)
