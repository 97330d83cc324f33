"""Training on rows that are read as they are needed."""

from dataclasses import replace
from typing import Any

import numpy as np

from minibatch._problems.epochs import Epoch
from minibatch._problems.state import State
from minibatch.distributed._communicator import Communicator, Lonely, Traffic, part_of
from minibatch.distributed._look import Look
from minibatch.distributed._rounds import Trained, train_by_gradients, train_by_rounds
from minibatch.distributed._sources import Source
from minibatch.distributed._stream import Stream

__all__ = ["Local", "StreamWorker"]


class StreamWorker:
    """One of the workers that train on a source. ``problem`` is that of the sample."""

    def __init__(self, source: Source, look: Look, problem: Any, workers: Communicator, by_gradients: bool) -> None:
        self._stream, self._look, self._problem = Stream(source), look, problem
        self._workers, self._by_gradients = workers, by_gradients

    def train(
        self, state: State, epoch: Epoch, rates: Any, first: int, last: int, period: int, asked: tuple[Any, ...]
    ) -> Trained:
        """Batches ``first`` to ``last`` of an epoch, with the rates of these."""
        size = epoch.batch_size
        n_rows = min(last * size, self._look.n_rows) - first * size  # of all workers
        begin, n_own = self._own_rows(first, last, size)
        problem = self._problem_of(asked, begin, n_own)
        part = epoch._replace(etas=rates, first_averaged=max(0, epoch.first_averaged - first))
        if self._workers.size == 1:
            return Trained(state, problem.run_epoch(state, part._replace(order=np.arange(n_own))))
        with np.errstate(over="ignore", invalid="ignore"):
            if self._by_gradients:
                part = part._replace(order=self._places(n_rows, size, n_own))
                return train_by_gradients(problem, state, part, self._workers)
            part = part._replace(order=np.arange(n_own), batch_size=-(-size // self._workers.size))
            return train_by_rounds(problem, state, part, period, self._workers)

    def close(self) -> None:
        self._stream.close()

    def _problem_of(self, asked: tuple[Any, ...], begin: int, n_own: int) -> Any:
        if n_own == 0:
            return self._problem
        piece = self._stream.take(asked, begin, n_own)
        return replace(self._problem, data=self._look.problem_of(piece, self._problem).data)

    def _own_rows(self, first: int, last: int, size: int) -> tuple[int, int]:
        """The first of one's own rows in the order of all, and how many they are."""
        n_rows, rank = self._look.n_rows, self._workers.rank
        if self._by_gradients:
            before = sum(self._rows_until(n_rows, size, other) for other in range(rank))
            begin, end = (self._rows_until(min(batch * size, n_rows), size, rank) for batch in (first, last))
            return before + begin, end - begin
        own_first, own_last = part_of(n_rows, rank, self._workers.size)
        own = -(-size // self._workers.size)
        begin, end = (min(own_first + batch * own, own_last) for batch in (first, last))
        return begin, end - begin

    def _rows_until(self, n_rows: int, size: int, rank: int) -> int:
        """How many of the first rows, in batches, are a worker's."""
        (begin, end), (short_begin, short_end) = (
            part_of(number, rank, self._workers.size) for number in (size, n_rows % size)
        )
        return n_rows // size * (end - begin) + short_end - short_begin

    def _places(self, n_rows: int, size: int, n_own: int) -> Any:
        """An order of the rows of all workers, with one's own in their places; nobody looks at the others."""
        order, whole, own = np.zeros(n_rows, np.int64), n_rows // size * size, np.arange(n_own)
        begin, end = self._workers.part_of(size)
        n_whole = whole // size * (end - begin)
        order[:whole].reshape(-1, size)[:, begin:end] = own[:n_whole].reshape(whole // size, end - begin)
        begin, end = self._workers.part_of(n_rows - whole)
        order[whole + begin : whole + end] = own[n_whole:]
        return order


class Local:
    """The one worker, in this process."""

    number = 1

    def __init__(self, source: Source, look: Look) -> None:
        self._source, self._look = source, look
        self._worker: StreamWorker | None = None

    def share(self, problem: Any, n_numbers: int, by_gradients: bool) -> None:
        self._worker = StreamWorker(self._source, self._look, problem, Lonely(), by_gradients)

    def begin(self, epoch: Epoch) -> None:
        self._rates, self._epoch = epoch.etas, epoch._replace(order=epoch.order[:0], etas=epoch.etas[:0])

    def train(self, state: State, first: int, last: int, period: int, asked: Any) -> tuple[Trained, Traffic]:
        assert self._worker is not None
        rates = np.require(self._rates[first:last], requirements=["C", "W"])
        return self._worker.train(state, self._epoch, rates, first, last, period, asked), Traffic()

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
