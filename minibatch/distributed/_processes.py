"""Workers in processes of this machine: they are started, told what to do, watched, and started anew when one is gone.

They are not those of ``multiprocessing``, which import the user's script and so need a guard in there.
"""

import errno
import os
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Client, Connection, Listener, wait
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory, gettempdir
from threading import Thread
from typing import Any, NamedTuple

import joblib

from minibatch._problems.epochs import Epoch
from minibatch._problems.pieces import ALONE
from minibatch._problems.state import State
from minibatch.distributed._communicator import Abandoned, SharedFile, Traffic, reserve
from minibatch.distributed._rounds import Trained
from minibatch.distributed._worker import ADDRESS, KEY, Done, Job, Team, map_plan

__all__ = ["GRACE", "LOOK", "MOST_LOST", "START", "Processes"]

MOST_LOST = 3  # times in a row that workers may be lost, with nothing trained between
# Seconds between two looks at processes that start; until those that do not answer are ended.
LOOK, GRACE = 0.05, 2.0
# For what they do first, workers have at least so many seconds: they start, and kernels are loaded or compiled.
START = 60.0
_MEMORY = Path("/dev/shm")


class _Process(NamedTuple):
    process: subprocess.Popen[bytes]
    connection: Connection


class Processes:
    """So many workers, of a source where there is one. What they share is in a folder that goes when they do."""

    def __init__(self, number: int, timeout: float, source: Any = None, look: Any = None) -> None:
        self.number, self._source, self._look = number, source, look
        self._timeout, self._n_lost, self._n_teams = timeout, 0, 0
        self._patience, self._is_new = max(timeout, START), True
        self._folder: TemporaryDirectory[str] | None = None
        self._key, self._arrived, self._is_closed = secrets.token_bytes(32), SimpleQueue[Connection](), False
        self._lobby = TemporaryDirectory(prefix="minibatch-")
        self._listener = Listener(_address_in(self._lobby.name), authkey=self._key, backlog=number)
        self._address = self._listener.address
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
        self._problem, self._capacity = replace(problem, data=None, threads=ALONE), n_numbers
        self._by_gradients, self._n_samples = by_gradients, n_samples
        rows = problem.data if self._source is None else (self._source, self._look, problem.data)
        folders = [_MEMORY] if _has_room(_MEMORY, needed) else []
        self._write_where_there_is_room([*folders, Path(gettempdir())], rows, needed)
        self._replace(self._gather())

    def _write_where_there_is_room(self, folders: list[Path], rows: Any, needed: int) -> None:
        """What all share, into a new folder in the first of these."""
        for folder in folders:
            self._clear()
            self._folder = TemporaryDirectory(prefix="minibatch-", dir=folder)
            self._path_of = Path(self._folder.name)
            self._rows, self._plan_path = self._path_of / "rows", self._path_of / "plan"
            try:
                joblib.dump(rows, self._rows)
                self._plan = map_plan(self._plan_path, self._n_samples, "w+")
                self._new_team()
                break
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        else:
            raise _no_room(folder, needed)
        self._written: tuple[int, float] | None = None  # of the rates that are in the plan, where all are the same

    def begin(self, epoch: Epoch) -> None:
        """The next epoch."""
        order, rates = self._plan
        same = (len(epoch.etas), float(epoch.etas[0])) if epoch.etas.strides == (0,) else None
        try:
            if same is None or same != self._written:
                reserve(self._plan_path, order.nbytes, rates[: len(epoch.etas)].nbytes)
                rates[: len(epoch.etas)], self._written = epoch.etas, same
            if epoch.order.strides != (0,):
                reserve(self._plan_path, 0, epoch.order.nbytes)
                order[: len(epoch.order)] = epoch.order
        except OSError as error:
            raise _no_room(self._path_of.parent, order.nbytes + rates.nbytes) from error
        self._epoch = epoch._replace(order=order[:0], etas=rates[:0])

    def train(self, state: State, first: int, last: int, period: int, asked: Any) -> tuple[Trained, Traffic]:
        """Batches of the epoch. A worker that is lost is started anew, and all begin these batches once more."""
        while True:
            found = self._tell(Job(state, self._epoch, first, last, period, asked))
            if not isinstance(found, dict):
                self._n_lost, self._is_new = 0, False
                return found
            self._replace(found)

    def close(self) -> None:
        """End all processes, at once; nothing of them is left, whenever Ctrl-C comes."""
        try:
            self._end()
        except KeyboardInterrupt:
            self._end()
            raise

    def _end(self) -> None:
        self._is_closed = True
        for process in self._started:
            process.kill()
        for process in self._started:
            process.wait()
        with suppress(OSError, EOFError):
            Client(self._address).close()  # so that the thread that waits for workers looks up
        self._listener.close()
        self._lobby.cleanup()
        for worker in self._workers:
            worker.connection.close()
        while not self._arrived.empty():
            self._arrived.get().close()
        self._clear()

    def _clear(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                connection = self._listener.accept()
            except Exception:  # somebody came who does not know the key, or is gone
                continue
            _limit(connection, self._timeout)
            self._arrived.put(connection)

    def _start(self, number: int) -> list[_Process]:
        processes = {process.pid: process for process in (self._launch() for _ in range(number))}
        began, found = time.monotonic(), []
        while processes:
            try:
                connection = self._arrived.get(timeout=LOOK)
                found.append(_Process(processes.pop(connection.recv()), connection))
                continue
            except (Empty, EOFError, OSError):  # nobody yet, or gone already
                pass
            for process in [process for process in processes.values() if process.poll() is not None]:
                said = f"worker process {process.pid} ended with status {process.returncode} as it was started"
                if process.returncode >= 0:  # as it would again
                    raise RuntimeError(f"A {said}.")
                self._lose(said)
                del processes[process.pid]
                anew = self._launch()
                processes[anew.pid] = anew
            if time.monotonic() - began > self._patience:
                raise TimeoutError(
                    f"{len(processes)} of {number} workers did not start within {self._patience:g} s: processes "
                    f"{', '.join(map(str, processes))}. Raise timeout={self._timeout:g}, or take fewer workers."
                )
        return found

    def _launch(self) -> subprocess.Popen[bytes]:
        """A process, in a group of its own: Ctrl-C is the driver's."""
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {
            **os.environ, ADDRESS: str(self._address), KEY: self._key.hex(), "PYTHONPATH": paths
        }  # fmt: skip
        command = [sys.executable, "-c", "from minibatch.distributed._worker import main; main()"]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, process_group=0)
        self._started.append(process)
        return process

    def _new_team(self) -> None:
        """A new file of what workers say to each other."""
        self._path = self._path_of / f"team-{self._n_teams}"
        self._n_teams += 1
        SharedFile.create(self._path, self.number, self._capacity)

    def _gather(self) -> dict[int, str]:
        """Make a team of all; returns who is lost, and why."""
        team = Team(
            self._path, 0, self.number, self._capacity, self._patience, self._problem, self._rows, self._n_samples,
            self._plan_path, self._by_gradients, self._source is not None,
        )  # fmt: skip
        self._is_new = True
        answers = self._ask(lambda rank: team._replace(rank=rank), of_all=True)
        for answer in answers.values():
            if isinstance(answer, Exception) and not isinstance(answer, MemoryError | EOFError):
                raise answer
        return self._lost(answers, type(None))

    def _tell(self, job: Job) -> tuple[Trained, Traffic] | dict[int, str]:
        """What comes of it; or the numbers of the workers that are lost, and why."""
        answers = self._ask(lambda _: job)
        if len(answers) < self.number or any(isinstance(answer, Exception) for answer in answers.values()):
            SharedFile.abandon(self._path)
            answers |= self._answers(set(range(self.number)) - {*answers}, GRACE, of_all=True)
            for answer in answers.values():
                if isinstance(answer, Exception) and not isinstance(answer, Abandoned | MemoryError | EOFError):
                    raise answer
            lost = self._lost(answers, Done | Abandoned)
            if not lost:
                said = ", ".join(f"worker {i} {answer}" for i, answer in answers.items() if str(answer)[:6] == "waited")
                raise TimeoutError(f"A round took too long: {said}. Raise timeout={self._timeout:g}.")
            return lost
        done: list[Done] = [answers[i] for i in range(self.number)]
        trained = done[0].trained
        assert trained is not None
        traffic = done[0].traffic._replace(seconds_waiting=max(one.traffic.seconds_waiting for one in done))
        return trained, traffic

    def _ask(self, message_to: Callable[[int], Any], of_all: bool = False) -> dict[int, Any]:
        """What workers answer, as far as they do so in time; ``EOFError`` of one that is gone."""
        answers: dict[int, Any] = {}
        for i, worker in enumerate(self._workers):
            try:
                worker.connection.send(message_to(i))
            except OSError:  # it is gone, or reads nothing
                answers[i] = EOFError()
        seconds = self._patience if self._is_new else self._timeout
        if answers and not of_all:  # the others wait for who is gone
            seconds = 0.0
        return answers | self._answers(set(range(self.number)) - {*answers}, seconds, of_all)

    def _lost(self, answers: dict[int, Any], good: Any) -> dict[int, str]:
        """Whose answer is not good, and why."""
        found = {}
        for i, worker in enumerate(self._workers):
            if isinstance(answers.get(i, EOFError()), good):
                continue
            why = f"did not answer within {self._patience if self._is_new else self._timeout:g} s"
            if isinstance(answers.get(i), MemoryError):
                why = f"ran out of memory ({answers[i]})"
            elif i in answers:
                with suppress(subprocess.TimeoutExpired):
                    why = f"ended with status {worker.process.wait(LOOK)}"
            found[i] = f"worker {i} (process {worker.process.pid}) {why}"
        return found

    def _answers(self, places: set[int], timeout: float, of_all: bool = False) -> dict[int, Any]:
        """Of workers, as far as they come in time; ``EOFError`` of one that is gone. The first exception ends it, where
        not all are wanted."""
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
            if not ready or (not of_all and any(isinstance(answer, Exception) for answer in found.values())):
                break
        return found

    def _replace(self, lost: dict[int, str]) -> None:
        """Start those anew that are gone, or do not answer."""
        while lost:
            self._lose("; ".join(lost.values()))
            for i in lost:
                process, connection = self._workers[i]
                process.kill()
                process.wait()
                connection.close()
            for i, worker in zip(lost, self._start(len(lost)), strict=True):
                self._workers[i] = worker
            self._path.unlink()  # those who still wait there have it
            self._new_team()
            lost = self._gather()

    def _lose(self, said: str) -> None:
        self._n_lost += 1
        if self._n_lost > MOST_LOST:
            raise RuntimeError(
                f"{self._n_lost} times in a row workers were lost; at last: {said}. (Status -9: killed, as the system "
                "does where memory is short.) Take fewer workers, smaller batches, or a longer timeout."
            )
        warnings.warn(f"Lost: {said}. Started anew. [MB502]", RuntimeWarning, stacklevel=2)


def _address_in(folder: str) -> str | None:
    """A socket in there, which workers remove if the driver is killed; elsewhere than on POSIX they are no files."""
    return str(Path(folder) / "driver") if os.name == "posix" else None


def _limit(connection: Connection, seconds: float) -> None:
    """Nobody waits for longer in the middle of a message. (That others read or write it, where they stand still.)"""
    if os.name == "posix":
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            limit = struct.pack("ll", int(seconds), 1 + int(seconds % 1.0 * 999_998))
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                same.setsockopt(socket.SOL_SOCKET, option, limit)


def _no_room(folder: Path, needed: int) -> OSError:
    return OSError(
        errno.ENOSPC,
        f"No room in {folder} for the {needed / 2**20:.0f} MiB that workers share; make some, or name another folder "
        "in the environment variable TMPDIR",
    )


def _n_bytes(data: Any) -> int:
    """Of arrays in named tuples."""
    return sum(_n_bytes(part) for part in data) if isinstance(data, tuple) else int(data.nbytes)


def _has_room(folder: Path, needed: int) -> bool:
    """Containers often have 64 MB there, and whoever writes more into a map is killed."""
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 2 * needed
