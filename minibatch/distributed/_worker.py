"""A worker in a process of its own: ``main`` is what ``_processes`` starts.

It does what the driver says, until that is gone. Ctrl-C is the driver's.
"""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, Literal, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray

from minibatch._base.seeds import SEEDS
from minibatch._problems.batching import Order, sample_order
from minibatch._problems.epochs import Epoch
from minibatch._problems.state import State, read_only
from minibatch.distributed._communicator import Communicator, SharedFile, Traffic, part_of, that_can_be_sent
from minibatch.distributed._rounds import Trained, train_by_gradients, train_by_rounds
from minibatch.distributed._streamed import StreamWorker
from minibatch.engine.linear import Data
from minibatch.engine.rows import CSR

__all__ = ["ADDRESS", "KEY", "Done", "Job", "Member", "Team", "Worker", "main", "map_plan", "of_own_rows", "work"]

# Names of environment variables; the second is how driver and worker know each other.
ADDRESS, KEY = "MINIBATCH_DRIVER", "MINIBATCH_DRIVER_KEY"


class Team(NamedTuple):
    """Whom a worker works with, and on what."""

    path: Path  # of what is shared
    rank: int
    size: int
    capacity: int
    timeout: float
    problem: Any  # without rows
    rows: Path
    n_rows: int  # of an epoch
    plan: Path  # of the order of all rows in an epoch, and the rates of its batches: see ``map_plan``
    by_gradients: bool  # else the worker has rows of its own
    streams: bool  # ``rows`` has a source, not rows


class Done(NamedTuple):
    """The state is that of all, and told by one."""

    trained: Trained | None
    traffic: Traffic


class Job(NamedTuple):
    """The batches ``first`` to ``last`` of an epoch."""

    state: State
    epoch: Epoch  # without the order and the rates, which are in the plan
    first: int
    last: int
    period: int
    asked: tuple[Any, ...]  # what the order of an epoch depends on, but for the number of rows

    def run(self, worker: Any, workers: Communicator, order: Any, rates: Any) -> Done:
        """With the plan of the epoch: an order of all rows, where it is needed, and rates."""
        before, rates = workers.traffic, _writable(rates[self.first : self.last])  # as compiled loops take them
        epoch = self.epoch._replace(order=order)
        trained = worker.train(self.state.copy(), epoch, rates, self.first, self.last, self.period, self.asked)
        return Done(trained if workers.rank == 0 else None, workers.traffic.since(before))


class Worker:
    """A member of a team, with the problem of all rows where gradients are shared, else of its own."""

    def __init__(self, problem: Any, workers: Communicator, by_gradients: bool) -> None:
        self._workers, self._by_gradients = workers, by_gradients
        self._orders, self._asked = ThreadPoolExecutor(1), tuple[Any, ...]()
        self._problem = problem

    def train(
        self, state: State, epoch: Epoch, rates: Any, first: int, last: int, period: int, asked: tuple[Any, ...]
    ) -> Trained:
        """Batches ``first`` to ``last`` of an epoch, with the rates of these. ``epoch`` has the order of all rows where
        gradients are shared."""
        size, epoch = epoch.batch_size, epoch._replace(etas=rates, first_averaged=max(0, epoch.first_averaged - first))
        with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges: the driver sees that
            if self._by_gradients:
                epoch = epoch._replace(order=_writable(epoch.order[first * size : last * size]))
                return train_by_gradients(self._problem, state, epoch, self._workers)
            size = -(-size // self._workers.size)
            epoch = epoch._replace(order=self._own_order(*asked)[first * size : last * size], batch_size=size)
            trained = train_by_rounds(self._problem, state, epoch, period, self._workers)
        if last * size >= self._problem.n_samples:  # the next one is drawn while the driver looks at this epoch
            shuffle, seed, number = asked
            self._draw(shuffle, seed, number + 1)
        return trained

    def _own_order(self, *asked: Any) -> Order:
        """Of the own rows."""
        if asked != self._asked:
            self._draw(*asked)
        return self._order.result()

    def _draw(self, shuffle: bool | str, seed: int, number: int) -> None:
        self._asked, own_seed = (shuffle, seed, number), (seed + self._workers.rank) % SEEDS  # no two have the same
        self._order = self._orders.submit(sample_order, self._problem.n_samples, shuffle, own_seed, number)


class Member:
    """A worker with whom it works."""

    def __init__(self, team: Team) -> None:
        self._workers = SharedFile(team.path, team.rank, team.size, team.capacity, team.timeout)
        self._plan = map_plan(team.plan, team.n_rows, "r+")
        if team.streams:
            source, look, data = joblib.load(team.rows, mmap_mode="r")
            problem = replace(team.problem, data=data)
            self._worker: Any = StreamWorker(source, look, problem, self._workers, team.by_gradients)
        else:
            problem = replace(team.problem, data=_rows_in(team.rows))
            problem = problem if team.by_gradients else of_own_rows(problem, team.rank, team.size)
            self._worker = Worker(problem, self._workers, team.by_gradients)

    def train(self, job: Job) -> Done:
        return job.run(self._worker, self._workers, *self._plan)


def work(driver: Connection) -> Path | None:
    """Answer every message with ``Done`` or an exception, until the driver is gone; returns the folder they share."""
    member: Any = None
    folder: Path | None = None
    while True:
        try:
            message = driver.recv()
        except (EOFError, OSError):
            return folder
        answer: Any = None
        try:
            if isinstance(message, Team):
                member, folder = None, message.path.parent  # its rows go before others come
                member = Member(message)
            else:
                answer = member.train(message)
        except Exception as error:
            answer = that_can_be_sent(error)
        try:
            driver.send(answer)
        except OSError:
            pass  # as above


def map_plan(path: Path, n_samples: int, mode: Literal["r+", "w+"]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The order and the rates of an epoch of so many rows, in memory that driver and workers share."""
    order = np.memmap(path, np.int64, mode, shape=2 * n_samples)
    return np.asarray(order[:n_samples]), np.asarray(order[n_samples:].view(np.float64))


def of_own_rows(problem: Any, rank: int, size: int) -> Any:
    """With a copy of these: random rows are read faster from memory of one's own."""
    own = problem.copied(np.arange(*part_of(problem.n_samples, rank, size)))
    return replace(own, squares=None) if getattr(own, "squares", None) is not None else own


def _rows_in(path: Path) -> Any:
    """The rows in a file, as the engine takes them."""
    X, y, weight, class_weight = joblib.load(path, mmap_mode="r")
    plain = CSR(*map(_plain, X)) if isinstance(X, CSR) else _plain(X)
    return Data(plain, _plain(y), _plain(weight), np.array(class_weight))


def _writable(array: NDArray[Any]) -> NDArray[Any]:
    return np.require(array, requirements=["C", "W"])


def _plain(array: Any) -> Any:
    return read_only(np.asarray(array))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    address = os.environ[ADDRESS]
    try:
        driver = Client(address, authkey=bytes.fromhex(os.environ.pop(KEY)))
        driver.send(os.getpid())
    except (EOFError, OSError):  # the driver is gone
        return
    with driver:
        folder = work(driver)
    # A driver that ends as it should ends its workers: this one was killed.
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        Path(address).unlink()
    with suppress(OSError):  # another worker was here before
        Path(address).parent.rmdir()
