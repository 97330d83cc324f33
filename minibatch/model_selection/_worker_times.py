"""How long an update takes where several workers share it, by batch size: a worker's part, and the exchange."""

import sys
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch._base.trials import Updates
from minibatch._problems.requests import Request
from minibatch.distributed._driver import Workers
from minibatch.distributed._network import NUMBER_BYTES, Network, allreduce_seconds
from minibatch.distributed._processes import Processes
from minibatch.distributed._timing import Solo, numbers_of_gradient, seconds_of_exchange, seconds_of_update, share_rows
from minibatch.model_selection._step_time import LEAST_SHARE, StepTimes, times_that_agree

__all__ = ["SECONDS_TO_START", "TimedWorkers", "WorkerTimes"]

SECONDS_TO_START = 60.0  # for processes, which on a busy machine take some


class WorkerTimes(NamedTuple):
    """``StepTimes`` of batches over all workers: a worker has the rows of a batch that it gets, rounded up."""

    part: StepTimes  # by rows of a worker, without the exchange
    n_workers: int
    exchange: float
    n_bytes: int  # of a gradient

    @property
    def batch_sizes(self) -> NDArray[np.int64]:
        return self.n_workers * self.part.batch_sizes

    @property
    def spreads(self) -> NDArray[np.float64]:
        return self.part.spreads

    def of(self, batch_size: Any) -> Any:
        """
        >>> part = StepTimes(np.array([1, 4]), np.array([1e-6, 2e-6]), np.ones(2))
        >>> WorkerTimes(part, 2, 5e-6, 80).of(np.array([1, 2, 7, 8, 16])).round(8)
        array([6.e-06, 6.e-06, 7.e-06, 7.e-06, 9.e-06])
        """
        return self.part.of(np.ceil(np.asarray(batch_size) / self.n_workers)) + self.exchange

    def line(self) -> tuple[float, float]:
        """``(a, b)`` with which ``a + b B / K`` is nearest to the time of a part."""
        return self.part.line()


class TimedWorkers:
    """Workers whose updates are timed: processes of this machine, or, where the network between them is known, one in
    place of all. ``model`` is any of those that are trained; its batches are cut anew."""

    def __init__(self, model: Any, rows: tuple[Any, Any, Any], n_workers: int, network: Network | None) -> None:
        self.n_workers, self._network = n_workers, network
        self._request = _first_request(model, rows)
        self._numbers = numbers_of_gradient(self._request)
        self._workers: Workers = Solo() if network is not None else Processes(n_workers, SECONDS_TO_START)
        try:
            share_rows(self._workers, self._request)
        except BaseException:
            self.close()
            raise

    def times(self, sizes: NDArray[np.int64], deadline: float) -> WorkerTimes:
        """By batches with so many rows for each worker."""
        n_parts = self._workers.number  # of a batch that they take together
        updates = times_that_agree(
            sizes, lambda size: seconds_of_update(self._workers, self._request, n_parts * size), deadline
        )
        n_bytes, exchange = NUMBER_BYTES * self._numbers, 0.0
        if self._network is None:
            within = seconds_of_exchange(self._workers, self._numbers)
            # parts are what is left of updates that were timed as a whole, whatever the machine did meanwhile
            parts = np.maximum(updates.seconds - within, LEAST_SHARE * updates.seconds)
            return WorkerTimes(updates._replace(seconds=parts), self.n_workers, within, n_bytes)
        exchange = float(allreduce_seconds(n_bytes, self.n_workers, self._network))
        return WorkerTimes(updates, self.n_workers, exchange, n_bytes)

    def close(self) -> None:
        self._workers.close()


def _first_request(model: Any, rows: tuple[Any, Any, Any]) -> Request:
    X, y, weight = rows
    with closing(model._training(X, y, weight, watch=Updates((X[:2], y[:2], None), sys.maxsize))) as steps:
        request: Request = next(steps)
    return request
