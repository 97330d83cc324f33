"""A worker in a process of its own: ``main`` is what ``_processes`` starts.

It does what the driver says, until that is gone. Ctrl-C is the driver's.
"""

import os
import signal
from dataclasses import replace
from functools import lru_cache
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
from minibatch.distributed._communicator import SharedFile, Traffic
from minibatch.distributed._rounds import Trained, train_by_gradients, train_by_rounds
from minibatch.engine.linear import Data
from minibatch.engine.rows import CSR

__all__ = ["ADDRESS", "KEY", "Done", "Job", "Team", "Worker", "main", "map_plan", "work"]

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
    plan: Path  # of the order of all rows in an epoch, and the rates of its batches: see ``map_plan``
    by_gradients: bool  # else the worker has rows of its own


class Job(NamedTuple):
    """The batches ``first`` to ``last`` of an epoch."""

    state: State
    epoch: Epoch  # without the order and the rates, which are in the plan
    n_rows: int
    n_updates: int
    first: int
    last: int
    period: int
    asked: tuple[Any, ...]  # what the order of an epoch depends on, but for the number of rows


class Done(NamedTuple):
    """The state is that of all, and told by one."""

    trained: Trained | None
    traffic: Traffic


class Worker:
    """What a team member has."""

    def __init__(self, team: Team) -> None:
        self.workers = SharedFile(team.path, team.rank, team.size, team.capacity, team.timeout)
        self._by_gradients = team.by_gradients
        problem = replace(team.problem, data=_rows_in(team.rows))
        self._order, self._rates = map_plan(team.plan, problem.n_samples, "r+")
        self._orders = lru_cache(maxsize=1)(sample_order)
        self._problem = problem if team.by_gradients else _of_own_rows(problem, self.workers)

    def train(self, job: Job) -> Trained:
        rates = self._rates[: job.n_updates]
        with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges: the driver sees that
            if self._by_gradients:
                epoch = job.epoch._replace(order=self._order[: job.n_rows], etas=rates).part(job.first, job.last)
                return train_by_gradients(self._problem, job.state, epoch, self.workers)
            order, batch_size = self._own_order(*job.asked), -(-job.epoch.batch_size // self.workers.size)
            epoch = job.epoch._replace(order=order, etas=rates, batch_size=batch_size)
            return train_by_rounds(self._problem, job.state, epoch, job.first, job.last, job.period, self.workers)

    def _own_order(self, shuffle: bool | str, seed: int, number: int) -> Order:
        """Of the own rows; no two workers have the same."""
        return self._orders(self._problem.n_samples, shuffle, (seed + self.workers.rank) % SEEDS, number)


def work(driver: Connection) -> None:
    """Answer every message with ``Done`` or an exception."""
    worker: Any = None
    while True:
        try:
            message = driver.recv()
        except (EOFError, OSError):
            return
        answer: Any = None
        try:
            if isinstance(message, Team):
                worker = None  # its rows go before others come
                worker = Worker(message)
            else:
                before, trained = worker.workers.traffic, worker.train(message)
                traffic = Traffic(*(now - then for now, then in zip(worker.workers.traffic, before, strict=True)))
                answer = Done(trained if worker.workers.rank == 0 else None, traffic)
        except Exception as error:
            answer = error
        driver.send(answer)


def map_plan(path: Path, n_samples: int, mode: Literal["r+", "w+"]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The order and the rates of an epoch of so many rows, in memory that driver and workers share."""
    order = np.memmap(path, np.int64, mode, shape=2 * n_samples)
    return np.asarray(order[:n_samples]), np.asarray(order[n_samples:].view(np.float64))


def _of_own_rows(problem: Any, workers: SharedFile) -> Any:
    """With a copy of these: random rows are read faster from memory of one's own."""
    own = problem.copied(np.arange(*workers.part_of(problem.n_samples)))
    return replace(own, squares=None) if getattr(own, "squares", None) is not None else own


def _rows_in(path: Path) -> Any:
    """The rows in a file, as the engine takes them."""
    X, y, weight, class_weight = joblib.load(path, mmap_mode="r")
    plain = CSR(*map(_plain, X)) if isinstance(X, CSR) else _plain(X)
    return Data(plain, _plain(y), _plain(weight), np.array(class_weight))


def _plain(array: Any) -> Any:
    return read_only(np.asarray(array))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Client(os.environ[ADDRESS], authkey=bytes.fromhex(os.environ.pop(KEY))) as driver:
        driver.send(os.getpid())
        work(driver)
