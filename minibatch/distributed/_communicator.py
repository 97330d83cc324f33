"""What workers say to each other: vectors, of which every one gets the sum."""

import os
import pickle
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AWAKE",
    "NAP",
    "Abandoned",
    "Communicator",
    "Lonely",
    "SharedFile",
    "Traffic",
    "added_in_order",
    "packed",
    "part_of",
    "reserve",
    "that_can_be_sent",
    "unpacked",
]

# A worker that waits looks again at once for so many seconds, and then lets others have its core.
AWAKE, NAP = 0.0005, 0.00005
_HEADER = 64  # numbers before the vectors: whether all is over, and how often each has written


class Abandoned(Exception):
    """The driver has ended what was going on, or nobody came for too long."""


class Traffic(NamedTuple):
    """What went on between workers."""

    n_rounds: int = 0  # exchanges of parameters or of gradients
    n_bytes: int = 0  # that each sent
    seconds_waiting: float = 0.0

    def __add__(self, other: Any) -> "Traffic":
        return Traffic(*(a + b for a, b in zip(self, other, strict=True)))

    def since(self, before: "Traffic") -> "Traffic":
        """What has come since then."""
        n_rounds, n_bytes, seconds = before
        return Traffic(self.n_rounds - n_rounds, self.n_bytes - n_bytes, self.seconds_waiting - seconds)


class Communicator(Protocol):
    """One of ``size`` workers: a ``Partners`` of a problem."""

    rank: int
    size: int
    traffic: Traffic

    def part_of(self, n_rows: int) -> tuple[int, int]: ...
    def added(self, *values: NDArray[Any]) -> list[NDArray[Any]]: ...


def part_of(n_rows: int, rank: int, size: int) -> tuple[int, int]:
    """The first and last of so many rows that are those of a worker; some have one more than others, or none.

    >>> (
    ...     [part_of(8, rank, 3) for rank in range(3)],
    ...     [part_of(1, rank, 2) for rank in range(2)],
    ... )
    ([(0, 2), (2, 5), (5, 8)], [(0, 0), (0, 1)])
    """
    return n_rows * rank // size, n_rows * (rank + 1) // size


def packed(values: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """One after the other."""
    return np.concatenate([np.ravel(value) for value in values], dtype=np.float64)


def unpacked(flat: NDArray[np.float64], like: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """In the shapes and types that they had."""
    ends = np.cumsum([value.size for value in like])[:-1]
    return [
        part.reshape(value.shape).astype(value.dtype, copy=False)
        for part, value in zip(np.split(flat, ends), like, strict=True)
    ]


def added_in_order(of_ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of vectors, the first ranks' first: to the last digit the same wherever and whenever it is done."""
    total = of_ranks[0].copy()
    for of_rank in of_ranks[1:]:
        total += of_rank
    return total


def reserve(path: Path, begin: int, n_bytes: int) -> None:
    """Room on the disk for a part of a file: else a full disk is known only to whoever writes into the map, whom the
    system then kills."""
    if n_bytes and hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), begin, n_bytes)


def that_can_be_sent(error: BaseException) -> BaseException:
    """Some exceptions cannot be pickled, or not be made of what was pickled: their words then."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class Lonely:
    """One worker."""

    rank, size, traffic = 0, 1, Traffic()

    def part_of(self, n_rows: int) -> tuple[int, int]:
        return 0, n_rows

    def added(self, *values: NDArray[Any]) -> list[NDArray[Any]]:
        return list(values)


class SharedFile:
    """Workers on one machine, with a file that all have mapped into memory.

    Each writes its vector and how often it has written, waits for the others, and adds up all vectors in the order of
    the ranks. There are two places for vectors: who writes into one again has seen that all were past reading it.
    """

    def __init__(self, path: Path, rank: int, size: int, capacity: int, timeout: float) -> None:
        self.rank, self.size, self.traffic = rank, size, Traffic()
        self._timeout, self._n_written = timeout, 0
        numbers = np.memmap(path, np.float64, "r+", shape=_HEADER + 2 * size * capacity)
        self._is_over, self._written = numbers[:1], numbers[1 : 1 + size]
        self._places = np.asarray(numbers[_HEADER:]).reshape(2, size, capacity)

    @staticmethod
    def create(path: Path, size: int, capacity: int) -> None:
        if size >= _HEADER:
            raise ValueError(f"n_workers must be below {_HEADER} on one machine; got {size}.")
        numbers = np.memmap(path, np.float64, "w+", shape=_HEADER + 2 * size * capacity)
        reserve(path, 0, numbers.nbytes)

    @staticmethod
    def abandon(path: Path) -> None:
        """Whoever waits raises ``Abandoned``."""
        np.memmap(path, np.float64, "r+", shape=1)[0] = 1.0

    def part_of(self, n_rows: int) -> tuple[int, int]:
        return part_of(n_rows, self.rank, self.size)

    def added(self, *values: NDArray[Any]) -> list[NDArray[Any]]:
        flat = packed(values)
        place = self._places[self._n_written % 2, :, : len(flat)]
        place[self.rank] = flat
        self._n_written += 1
        self._written[self.rank] = self._n_written
        waited = self._wait()
        total = added_in_order(place)
        self.traffic += Traffic(1, flat.nbytes, waited)
        return unpacked(total, values)

    def _wait(self) -> float:
        """Until all have written; returns for how long."""
        began = time.perf_counter()
        while True:
            if self._written.min() >= self._n_written:
                return time.perf_counter() - began
            waited = time.perf_counter() - began
            if self._is_over[0]:
                raise Abandoned
            if waited > self._timeout:
                late = ", ".join(map(str, np.flatnonzero(self._written < self._n_written)))
                raise Abandoned(f"waited {waited:.0f} s for worker {late}")
            if waited > AWAKE:
                time.sleep(NAP)
