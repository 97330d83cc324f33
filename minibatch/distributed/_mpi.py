"""Workers that are the processes of ``mpirun``: all call ``fit``, and the first of them drives and is a worker too.

MPI moves numbers, which are added up here, in the order of the ranks. Whoever fails tells all, who hear it where they
wait; and no wait but that for the driver's next word is without an end.
"""

import pickle
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.epochs import Epoch
from minibatch._problems.pieces import ALONE
from minibatch._problems.state import State
from minibatch.distributed._communicator import (
    AWAKE,
    NAP,
    Traffic,
    added_in_order,
    packed,
    part_of,
    that_can_be_sent,
    unpacked,
)
from minibatch.distributed._rounds import Trained
from minibatch.distributed._streamed import StreamWorker
from minibatch.distributed._worker import Done, Job, Worker, of_own_rows

__all__ = ["LONG_NAP", "SHORT", "MPIWorkers", "Ranks"]

# Bytes of all vectors up to which every rank gets them all, in one exchange. Of longer ones a rank adds up its part.
SHORT = 65_536
# Seconds between two looks for the driver's next word, once it has not come for a while: a core is left to it.
LONG_NAP = 0.001
_CONTROL = 1  # the tag of what ranks say when something is wrong


class _Rows(NamedTuple):
    """What is trained on from here on."""

    problem: Any  # without rows
    data: Any  # of all; None where each gets its own
    origin: Any  # a source, and the look at it
    by_gradients: bool


class _Plan(NamedTuple):
    """Of the next epoch."""

    order: Any
    rates: Any


class _End(NamedTuple):
    result: Any


class Ranks:
    """The processes of ``mpirun`` in one fit, of which this is one: a ``Communicator``.

    A context: what is raised in it is raised by all.
    """

    def __init__(self, timeout: float, n_workers: int | None) -> None:
        self._mpi = _mpi()
        world = self._mpi.COMM_WORLD
        self.rank, self.size, self.traffic = world.rank, world.size, Traffic()
        if n_workers not in (None, self.size):
            raise ValueError(
                f"n_workers={n_workers}, but MPI has {self.size}: start the script with mpirun -n {n_workers}, or "
                "leave n_workers out."
            )
        self._timeout, self._sent, self._is_over = timeout, list[Any](), False
        self._comm, came = world.Idup()  # so that what a fit that failed has left is not heard by the next
        self._wait(came, np.inf if self.rank else timeout, listens=False)

    def __enter__(self) -> "Ranks":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            self._comm.Free()
        elif not self._is_over:
            self._tell_all("failed", that_can_be_sent(error))

    def part_of(self, n_rows: int) -> tuple[int, int]:
        return part_of(n_rows, self.rank, self.size)

    def added(self, *values: NDArray[Any]) -> list[NDArray[Any]]:
        flat = packed(values)
        total, waited = self._added(flat)
        self.traffic += Traffic(1, flat.nbytes, waited)
        return unpacked(total, values)

    def _added(self, flat: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """The sum, and how long it was waited for."""
        if flat.nbytes * self.size <= SHORT:
            of_all = np.empty((self.size, len(flat)))
            waited = self._wait(self._comm.Iallgather(flat, of_all), self._timeout)
            return added_in_order(of_all), waited
        n_each = -(-len(flat) // self.size)
        padded, parts = np.zeros(self.size * n_each), np.empty((self.size, n_each))
        padded[: len(flat)] = flat
        waited = self._wait(self._comm.Ialltoall(padded, parts), self._timeout)
        own = added_in_order(parts)
        waited += self._wait(self._comm.Iallgather(own, padded), self._timeout)
        return padded[: len(flat)], waited

    def say(self, message: Any) -> None:
        """The driver, to all others."""
        for part in _parts_of(message):
            self._wait(self._comm.Ibcast(part, 0), self._timeout)

    def hear(self) -> Any:
        """What the driver says to all: whenever it does."""
        return _message_in(lambda part: self._wait(self._comm.Ibcast(part, 0), np.inf))

    def give(self, message: Any, rank: int) -> None:
        """The driver, to one."""
        for part in _parts_of(message):
            self._wait(self._comm.Isend(part, rank), self._timeout)

    def get(self) -> Any:
        """What the driver gives to this one."""
        return _message_in(lambda part: self._wait(self._comm.Irecv(part, 0), self._timeout))

    def follow(self) -> Any:
        """Do what the driver says; returns its last word."""
        worker = _WorkerOfRank(self)
        while True:
            message = self.hear()
            if isinstance(message, _End):
                return message.result
            worker.do(message)

    def end(self, result: Any) -> None:
        """The driver's last word."""
        self.say(_End(result))

    def _wait(self, request: Any, timeout: float, listens: bool = True) -> float:
        """Until it is done; returns for how long."""
        began = time.perf_counter()
        while not request.Test():
            waited = time.perf_counter() - began
            if listens:
                self._listen()
            if waited > timeout:
                raise TimeoutError(f"Waited {waited:.0f} s for {self._late() if listens else 'the others'} of MPI.")
            if waited > AWAKE:
                time.sleep(NAP if waited < 100 * LONG_NAP else LONG_NAP)
        return time.perf_counter() - began

    def _listen(self) -> set[int]:
        """Raise what others have failed with, and answer who asks; returns who asks or answers."""
        heard = set()
        while self._comm.Iprobe(tag=_CONTROL):
            status = self._mpi.Status()
            what, error = self._comm.recv(tag=_CONTROL, status=status)
            if what == "failed":
                self._is_over = True
                error.add_note(f"It was raised by rank {status.source} of MPI.")
                raise error
            heard.add(status.source)
            if what == "who waits?":
                self._sent.append(self._comm.isend(("I do", None), status.source, _CONTROL))
        return heard

    def _late(self) -> str:
        """Who does not wait."""
        self._tell_all("who waits?")
        until, there = time.perf_counter() + 1.0, {self.rank}
        while time.perf_counter() < until:
            there |= self._listen()
            time.sleep(LONG_NAP)
        late = sorted({*range(self.size)} - there)
        return f"rank{'s' * (len(late) > 1)} {', '.join(map(str, late))}" if late else "the others"

    def _tell_all(self, what: str, error: Any = None) -> None:
        others = (rank for rank in range(self.size) if rank != self.rank)
        self._sent += [self._comm.isend((what, error), rank, _CONTROL) for rank in others]


class MPIWorkers:
    """All ranks, as their driver has them, of a source where there is one."""

    def __init__(self, ranks: Ranks, timeout: float, source: Any = None, look: Any = None) -> None:
        self.number, self._ranks, self._origin = ranks.size, ranks, (source, look)
        self._worker = _WorkerOfRank(ranks)

    def share(self, problem: Any, n_numbers: int, by_gradients: bool) -> None:
        """Give the rows of a problem: all to all, or to each its own."""
        for_all = by_gradients or self._origin[0] is not None
        rows = _Rows(replace(problem, data=None, threads=ALONE), problem.data, self._origin, by_gradients)
        self._ranks.say(rows if for_all else rows._replace(data=None))
        if not for_all:
            for rank in range(1, self.number):
                self._ranks.give(of_own_rows(problem, rank, self.number).data, rank)
            rows = rows._replace(data=of_own_rows(problem, 0, self.number).data)
        self._worker.do(rows)

    def begin(self, epoch: Epoch) -> None:
        """The next epoch."""
        plan = _Plan(epoch.order if epoch.order.strides != (0,) else epoch.order[:0], epoch.etas)
        self._epoch = epoch._replace(order=epoch.order[:0], etas=epoch.etas[:0])
        self._ranks.say(plan)
        self._worker.do(plan)

    def train(self, state: State, first: int, last: int, period: int, asked: Any) -> tuple[Trained, Traffic]:
        """Batches of the epoch."""
        job = Job(state, self._epoch, first, last, period, asked)
        self._ranks.say(job)
        done = self._worker.do(job)
        assert done is not None
        assert done.trained is not None
        return done.trained, done.traffic

    def close(self) -> None: ...


class _WorkerOfRank:
    """What a rank does when the driver says so."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def do(self, message: _Rows | _Plan | Job) -> Done | None:
        if isinstance(message, _Rows):
            self._worker = self._worker_on(message)
        elif isinstance(message, _Plan):
            self._plan = message
        else:
            done = message.run(self._worker, self._ranks, *self._plan)
            waits = np.zeros(self._ranks.size)
            waits[self._ranks.rank] = done.traffic.seconds_waiting
            (waits,) = self._ranks.added(waits)
            return done._replace(traffic=done.traffic._replace(seconds_waiting=waits.max()))
        return None

    def _worker_on(self, rows: _Rows) -> Any:
        data, (source, look) = self._ranks.get() if rows.data is None else rows.data, rows.origin
        problem = replace(rows.problem, data=data)
        if source is None:
            return Worker(problem, self._ranks, rows.by_gradients)
        return StreamWorker(source, look, problem, self._ranks, rows.by_gradients)


def _parts_of(message: Any) -> list[Any]:
    """As buffers: how many, their sizes, and the pickle with its arrays beside it, which are not copied."""
    arrays: list[Any] = []
    pickled = pickle.dumps(message, protocol=5, buffer_callback=lambda array: arrays.append(array.raw()))
    sizes = np.array([len(part) for part in (pickled, *arrays)])
    return [np.array([len(sizes)]), sizes, pickled, *arrays]


def _message_in(receive: Callable[[NDArray[Any]], Any]) -> Any:
    """From the buffers, each of which is filled by ``receive``. Its arrays cannot be written into."""
    number = np.empty(1, np.int64)
    receive(number)
    sizes = np.empty(number[0], np.int64)
    receive(sizes)
    parts: list[Any] = [np.empty(size, np.uint8) for size in sizes]
    for part in parts:
        receive(part)
        part.flags.writeable = False
    return pickle.loads(parts[0], buffers=parts[1:])


def _mpi() -> Any:
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError("backend='mpi' needs mpi4py: pip install 'scikit-minibatch[mpi]'") from error
    return MPI
