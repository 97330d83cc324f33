"""Workers in processes of this machine: they are started, told what to do, watched, and started anew when one is gone.

They are not those of ``multiprocessing``, which import the user's script and so need a guard in there.
"""

import os
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Connection, Listener, wait
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, NamedTuple

import joblib

from minibatch._problems.epochs import Epoch
from minibatch._problems.pieces import ALONE
from minibatch._problems.state import State
from minibatch.distributed._communicator import Abandoned, SharedFile, Traffic
from minibatch.distributed._rounds import Trained
from minibatch.distributed._worker import ADDRESS, KEY, Done, Job, Team, map_plan

__all__ = ["GRACE", "LOOK", "MOST_LOST", "Processes"]

MOST_LOST = 3  # workers that may be lost in one fit
# Seconds between two looks at processes that start; until those that do not answer are ended.
LOOK, GRACE = 0.05, 2.0
_MEMORY = Path("/dev/shm")


class _Process(NamedTuple):
    process: subprocess.Popen[bytes]
    connection: Connection


class Processes:
    """So many workers, of a source where there is one. What they share is in a folder that goes when they do."""

    def __init__(self, number: int, timeout: float, source: Any = None, look: Any = None) -> None:
        self.number, self._source, self._look = number, source, look
        self._timeout, self._n_lost, self._n_teams = timeout, 0, 0
        self._folder: TemporaryDirectory[str] | None = None
        self._key, self._arrived = secrets.token_bytes(32), SimpleQueue[Connection]()
        self._listener = Listener(authkey=self._key, backlog=number)
        Thread(target=self._accept, daemon=True).start()
        self._workers: list[_Process] = []
        self._problem: Any = None
        self._started: list[subprocess.Popen[bytes]] = []
        try:
            self._workers = self._start(number)
        except BaseException:
            self.close()
            raise

    def share(self, problem: Any, n_numbers: int, by_gradients: bool) -> None:
        """Give the rows of a problem: all to all, or to each its own. An exchange is of so many numbers at most."""
        n_samples = problem.n_samples if self._look is None else self._look.n_rows
        needed = _n_bytes(problem.data) + 8 * (2 * n_samples + 4 * self.number * n_numbers)
        needed += getattr(self._source, "n_bytes", 0)
        self._clear()
        self._folder = TemporaryDirectory(prefix="minibatch-", dir=_MEMORY if _has_room(_MEMORY, needed) else None)
        self._path_of = Path(self._folder.name)
        rows = self._path_of / "rows"
        joblib.dump(problem.data if self._source is None else (self._source, self._look, problem.data), rows)
        self._problem = replace(problem, data=None, threads=ALONE)
        self._capacity, self._rows, self._plan_path = n_numbers, rows, self._path_of / "plan"
        self._plan, self._by_gradients = map_plan(self._plan_path, n_samples, "w+"), by_gradients
        self._written: tuple[int, float] | None = None  # of the rates that are in the plan, where all are the same
        self._gather()

    def begin(self, epoch: Epoch) -> None:
        """The next epoch."""
        order, rates = self._plan
        same = (len(epoch.etas), float(epoch.etas[0])) if epoch.etas.strides == (0,) else None
        if same is None or same != self._written:
            rates[: len(epoch.etas)], self._written = epoch.etas, same
        if epoch.order.strides != (0,):
            order[: len(epoch.order)] = epoch.order
        self._epoch = epoch._replace(order=order[:0], etas=rates[:0])

    def train(self, state: State, first: int, last: int, period: int, asked: Any) -> tuple[Trained, Traffic]:
        """Batches of the epoch. A worker that is lost is started anew, and all begin these batches once more."""
        while True:
            found = self._tell(Job(state, self._epoch, first, last, period, asked))
            if not isinstance(found, list):
                return found
            self._replace(found)

    def close(self) -> None:
        """End all processes, at once; nothing of them is left."""
        for process in self._started:
            process.kill()
        for process in self._started:
            process.wait()
        for worker in self._workers:
            worker.connection.close()
        self._listener.close()
        self._clear()

    def _clear(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                self._arrived.put(self._listener.accept())
            except Exception:  # the listener is closed, or somebody came who does not know the key
                if self._listener._listener is None:  # type: ignore[attr-defined]
                    return

    def _start(self, number: int) -> list[_Process]:
        address = self._listener.address
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, ADDRESS: str(address), KEY: self._key.hex(), "PYTHONPATH": paths}
        command = [sys.executable, "-c", "from minibatch.distributed._worker import main; main()"]
        processes = {}
        for _ in range(number):
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
            self._started.append(process)
            processes[process.pid] = process
        began, found = time.monotonic(), []
        while processes:
            try:
                connection = self._arrived.get(timeout=LOOK)
                found.append(_Process(processes.pop(connection.recv()), connection))
                continue
            except Empty:
                pass
            for process in processes.values():
                if process.poll() is not None:
                    raise RuntimeError(f"A worker process ended with status {process.returncode} as it was started.")
            if time.monotonic() - began > self._timeout:
                raise TimeoutError(f"{len(processes)} of {number} workers did not start within {self._timeout:g} s.")
        return found

    def _gather(self) -> None:
        """Make a team of all, with a new file of what they say to each other."""
        path = self._path_of / f"team-{self._n_teams}"
        self._n_teams, size = self._n_teams + 1, len(self._workers)
        SharedFile.create(path, size, self._capacity)
        self._path = path
        for rank, worker in enumerate(self._workers):
            team = Team(
                path, rank, size, self._capacity, self._timeout, self._problem, self._rows, len(self._plan[0]),
                self._plan_path, self._by_gradients, self._source is not None,
            )  # fmt: skip
            worker.connection.send(team)
        for worker in self._workers:
            if not worker.connection.poll(self._timeout):
                raise TimeoutError(f"A worker did not answer within {self._timeout:g} s.")
            answer = worker.connection.recv()
            if isinstance(answer, Exception):
                raise answer

    def _tell(self, job: Job) -> tuple[Trained, Traffic] | list[int]:
        """What comes of it; or the numbers of the workers that are lost."""
        lost = []
        for i, worker in enumerate(self._workers):
            try:
                worker.connection.send(job)
            except OSError:
                lost.append(i)
        answers = self._answers(set(range(self.number)) - {*lost}, self._timeout if not lost else 0.0)
        if len(answers) < self.number or any(isinstance(answer, Exception) for answer in answers.values()):
            SharedFile.abandon(self._path)
            silent = set(range(self.number)) - {*answers} - {*lost}
            answers |= self._answers(silent, GRACE)
            for answer in answers.values():
                if isinstance(answer, Exception) and not isinstance(answer, Abandoned | MemoryError | EOFError):
                    raise answer
            broken = [i for i in range(self.number) if not isinstance(answers.get(i, EOFError()), Done | Abandoned)]
            if not broken:
                raise TimeoutError(f"Workers waited for each other for more than timeout={self._timeout:g} s.")
            return broken
        done: list[Done] = [answers[i] for i in range(self.number)]
        trained = done[0].trained
        assert trained is not None
        traffic = done[0].traffic._replace(seconds_waiting=max(one.traffic.seconds_waiting for one in done))
        return trained, traffic

    def _answers(self, places: set[int], timeout: float) -> dict[int, Any]:
        """Of workers, as far as they come in time; ``EOFError`` of one that is gone. The first exception ends it."""
        found: dict[int, Any] = {}
        until = time.monotonic() + timeout
        while places - {*found}:
            by_connection = {self._workers[i].connection: i for i in places - {*found}}
            ready: Any = wait(list(by_connection), max(0.0, until - time.monotonic()))
            for connection in ready:
                try:
                    found[by_connection[connection]] = connection.recv()
                except (EOFError, OSError):
                    found[by_connection[connection]] = EOFError()
            if not ready or any(isinstance(answer, Exception) for answer in found.values()):
                break
        return found

    def _replace(self, lost: list[int]) -> None:
        """Start those anew that are gone, or do not answer."""
        ended = []
        for i in lost:
            process = self._workers[i].process
            process.kill()
            ended.append(str(process.wait()))
            self._workers[i].connection.close()
        self._n_lost += len(lost)
        if self._n_lost > MOST_LOST:
            raise RuntimeError(
                f"{self._n_lost} workers were lost, the last with status {', '.join(ended)} (-9: killed, as the system "
                "does where memory is short). Take fewer workers, or smaller batches."
            )
        for i, worker in zip(lost, self._start(len(lost)), strict=True):
            self._workers[i] = worker
        self._gather()


def _n_bytes(data: Any) -> int:
    """Of arrays in named tuples."""
    return sum(_n_bytes(part) for part in data) if isinstance(data, tuple) else int(data.nbytes)


def _has_room(folder: Path, needed: int) -> bool:
    """Containers often have 64 MB there, and whoever writes more into a map is killed."""
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 2 * needed
