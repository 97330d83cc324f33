"""Workers that are actors of Ray, on whatever machines it has; and rows of its data sets.

Ray places, moves and watches. One more actor adds up what workers send it, in the order of their ranks.
"""

import asyncio
import time
import warnings
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.epochs import Epoch
from minibatch._problems.pieces import ALONE
from minibatch._problems.state import State
from minibatch.distributed._communicator import Traffic, packed, part_of, unpacked
from minibatch.distributed._processes import MOST_LOST
from minibatch.distributed._rounds import Trained
from minibatch.distributed._sources import Piece
from minibatch.distributed._streamed import StreamWorker
from minibatch.distributed._worker import Done, Job, Worker, of_own_rows

__all__ = ["RayRows", "RayWorkers", "is_ray_dataset"]


class RayWorkers:
    """So many actors, of a source where there is one."""

    def __init__(self, number: int, timeout: float, source: Any = None, look: Any = None) -> None:
        self.number, self._timeout, self._source, self._look = number, timeout, source, look
        self._ray, self._n_lost = _ray(), 0
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            self._ray.init(include_dashboard=False, log_to_driver=False)
        self._adder: Any = None
        self._actors: list[Any] = []

    def share(self, problem: Any, n_numbers: int, by_gradients: bool) -> None:
        """Give the rows of a problem: all to all, or to each its own."""
        self._by_gradients = by_gradients
        self._problem = replace(problem, data=None, threads=ALONE)
        all_to_all, ranks = by_gradients or self._source is not None, range(self.number)
        problems = [problem] if all_to_all else [of_own_rows(problem, rank, self.number) for rank in ranks]
        self._rows = [self._ray.put(one.data) for one in problems]
        self._origin = self._ray.put((self._source, self._look))
        self._actors = [self._start() for _ in range(self.number)]
        self._gather()

    def begin(self, epoch: Epoch) -> None:
        """The next epoch."""
        order = epoch.order if epoch.order.strides != (0,) else epoch.order[:0].copy()
        self._plan = self._ray.put((order, np.ascontiguousarray(epoch.etas)))
        self._epoch = epoch._replace(order=order[:0].copy(), etas=epoch.etas[:0].copy())

    def train(self, state: State, first: int, last: int, period: int, asked: Any) -> tuple[Trained, Traffic]:
        """Batches of the epoch. A worker that is lost is started anew, and all begin these batches once more."""
        while True:
            job = Job(state, self._epoch, first, last, period, asked)
            answers = [actor.train.remote(job, self._plan) for actor in self._actors]
            done = self._answers(answers)
            if done is not None:
                assert done[0].trained is not None
                self._n_lost, waited = 0, max(one.traffic.seconds_waiting for one in done)
                return done[0].trained, done[0].traffic._replace(seconds_waiting=waited)
            self._replace_lost()
            self._gather()

    def close(self) -> None:
        for actor in [*self._actors, *([] if self._adder is None else [self._adder])]:
            self._ray.kill(actor)
        if self._is_ours:
            self._ray.shutdown()

    def _start(self) -> Any:
        return self._ray.remote(num_cpus=1, max_concurrency=1)(_Actor).remote()

    def _gather(self) -> None:
        """Make a team of all, whoever is lost on the way: a node may be gone before Ray knows it."""
        while not self._have_joined():
            self._replace_lost()

    def _have_joined(self) -> bool:
        """With somebody who adds. False where one is gone."""
        self._adder = self._ray.remote(num_cpus=0)(_Adder).remote(self.number, self._timeout)
        joined = [
            actor.join.remote(
                self._adder,
                rank,
                self.number,
                self._by_gradients,
                self._problem,
                self._rows[rank % len(self._rows)],
                self._origin,
            )
            for rank, actor in enumerate(self._actors)
        ]
        try:
            self._ray.get(joined, timeout=self._timeout)
        except self._ray.exceptions.RayActorError:
            return False
        except self._ray.exceptions.GetTimeoutError as error:
            raise TimeoutError(
                f"Ray has not started {self.number} workers within timeout={self._timeout:g} s; each needs a core."
            ) from error
        return True

    def _answers(self, answers: list[Any]) -> list[Done] | None:
        """None where one is lost: as soon as that is known, for the others wait for it."""
        errors, pending, until = self._ray.exceptions, list(answers), time.monotonic() + self._timeout
        try:
            while pending:
                done, pending = self._ray.wait(pending, num_returns=1, timeout=max(0.0, until - time.monotonic()))
                if not done:
                    return None
                self._ray.get(done)
        except errors.RayActorError:
            return None
        except errors.RayTaskError as error:
            if isinstance(error.cause, TimeoutError | MemoryError | errors.RayActorError):
                return None
            raise error.cause from None
        found: list[Done] = self._ray.get(answers)
        return found

    def _replace_lost(self) -> None:
        """Start those anew that are gone, or do not answer."""
        errors = self._ray.exceptions
        self._ray.kill(self._adder)  # who waits for others does so no longer, and answers
        asked = [actor.is_there.remote() for actor in self._actors]
        there, _ = self._ray.wait(asked, num_returns=len(asked), timeout=min(5.0, self._timeout))
        lost = []
        for i, answer in enumerate(asked):
            try:
                if answer in there and self._ray.get(answer):
                    continue
                lost.append(f"worker {i} does not answer")
            except errors.RayActorError:
                lost.append(f"worker {i} is gone")
            self._ray.kill(self._actors[i])
            self._actors[i] = self._start()
        self._n_lost += 1
        said = "; ".join(lost) or "all are there, but one has no memory, or was waited for too long"
        if self._n_lost > MOST_LOST:
            raise RuntimeError(
                f"{self._n_lost} times in a row workers were lost; at last: {said}. Take fewer workers, smaller "
                "batches, or a longer timeout."
            )
        warnings.warn(f"Lost: {said}. Started anew. [MB502]", RuntimeWarning, stacklevel=2)


class _Actor:
    """A worker."""

    def is_there(self) -> bool:
        return True

    def join(self, adder: Any, rank: int, size: int, by_gradients: bool, problem: Any, data: Any, origin: Any) -> None:
        source, look = origin
        self._workers, self._by_gradients = _WithAdder(adder, rank, size), by_gradients
        problem = replace(problem, data=data)
        self._worker: Any = (
            Worker(problem, self._workers, by_gradients)
            if source is None
            else StreamWorker(source, look, problem, self._workers, by_gradients)
        )

    def train(self, job: Job, plan: tuple[Any, Any]) -> Done:
        return job.run(self._worker, self._workers, *plan)


class _WithAdder:
    """A worker's side of the adder."""

    def __init__(self, adder: Any, rank: int, size: int) -> None:
        self._adder, self.rank, self.size, self.traffic, self._n_asked = adder, rank, size, Traffic(), 0

    def part_of(self, n_rows: int) -> tuple[int, int]:
        return part_of(n_rows, self.rank, self.size)

    def added(self, *values: NDArray[Any]) -> list[NDArray[Any]]:
        began, flat = time.perf_counter(), packed(values)
        self._n_asked += 1
        total = _ray().get(self._adder.added.remote(self._n_asked, self.rank, flat))
        self.traffic += Traffic(1, flat.nbytes, time.perf_counter() - began)
        return unpacked(total, values)


class _Adder:
    """Adds up what all send; who is early waits, for so many seconds at most."""

    def __init__(self, size: int, timeout: float) -> None:
        self._size, self._timeout = size, timeout
        self._given: dict[int, dict[int, Any]] = {}
        self._sums: dict[int, asyncio.Future[Any]] = {}

    async def added(self, number: int, rank: int, values: Any) -> Any:
        found = self._sums.setdefault(number, asyncio.get_running_loop().create_future())
        given = self._given.setdefault(number, {})
        given[rank] = values
        if len(given) == self._size:
            total = given[0].copy()
            for other in range(1, self._size):
                total += given[other]
            found.set_result(total)
            self._given.pop(number - 1, None)  # which all have by now
            self._sums.pop(number - 1, None)
        return await asyncio.wait_for(asyncio.shield(found), self._timeout)


class RayRows:
    """Rows of a Ray Data set: its blocks are the pieces."""

    def __init__(self, dataset: Any, target: Any) -> None:
        self._dataset, self._targets = dataset, [target] if isinstance(target, str) else list(target)
        self._single = isinstance(target, str)

    def __getstate__(self) -> dict[str, Any]:
        """Workers read blocks, and do not ask the data set for them."""
        return {**vars(self), "_blocks": self._blocks, "_dataset": None}

    @cached_property
    def _blocks(self) -> tuple[list[Any], list[int], list[str]]:
        ray, dataset = _ray(), self._dataset.materialize()
        names = [name for name in dataset.schema().names if name not in self._targets]
        missing = [name for name in self._targets if name not in dataset.schema().names]
        if missing:
            raise ValueError(f"The data set has no column {missing[0]!r}; its columns are {', '.join(names)}.")
        size = ray.remote(num_cpus=0)(_n_rows)
        blocks = dataset.to_numpy_refs()
        sizes = ray.get([size.remote(block) for block in blocks])
        kept = [i for i, n_rows in enumerate(sizes) if n_rows]
        return [blocks[i] for i in kept], [sizes[i] for i in kept], names

    @property
    def rows_of_pieces(self) -> list[int]:
        return self._blocks[1]

    @property
    def feature_names(self) -> NDArray[Any]:
        return np.array(self._blocks[2], dtype=object)

    def read(self, number: int) -> Piece:
        blocks, _, names = self._blocks
        columns = _ray().get(blocks[number])
        for name in [*names, *self._targets]:
            if columns[name].dtype.kind not in "biuf" and name in names:
                raise ValueError(f"Column {name!r} has values of type {columns[name].dtype}, not numbers; encode it.")
        X = np.stack([columns[name] for name in names], axis=1)
        targets = [columns[name] for name in self._targets]
        return Piece(X, targets[0] if self._single else np.stack(targets, axis=1), None)

    def expect(self, number: int) -> None: ...


def is_ray_dataset(X: Any) -> bool:
    return type(X).__module__.startswith("ray.data")


def _n_rows(columns: dict[str, Any]) -> int:
    return len(next(iter(columns.values()))) if columns else 0


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError("backend='ray' needs Ray: pip install 'scikit-minibatch[ray]'") from error
    return ray
