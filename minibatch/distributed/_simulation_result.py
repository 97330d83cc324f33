"""What `simulate_workers` says."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._tables import frame_of, html_table, text_table

__all__ = ["WorkersSimulation"]

_OF_WORKERS = "With the batch size at which so many workers are fastest, against one worker at its best:"
_OF_SIZES = "Workers from which twice as many save less than 10% of an update, and with which it is fastest:"


@dataclass(frozen=True, repr=False, eq=False)
class WorkersSimulation:
    """What :func:`simulate_workers` found: ``K`` numbers of workers, ``B`` batch sizes.

    Attributes
    ----------
    n_workers : ndarray of shape (K,)
        Numbers of workers.

    batch_sizes : ndarray of shape (B,)
        Rows of a batch over all workers.

    relative_seconds : ndarray of shape (K, B)
        Time to the target; 1 is that of one worker with the best of these batch sizes.

    seconds_per_update : ndarray of shape (K, B)
        Of an update, the exchange among them.

    seconds_per_exchange : ndarray of shape (K,)
        Of the exchange in it.

    fastest_n_workers : ndarray of shape (B,)
        The fewest workers with which an update is fastest, of all numbers up to the largest of ``n_workers``; that
        number itself may stand for more.

    worthwhile_n_workers : ndarray of shape (B,)
        The fewest from which twice as many save less than 10 % of the time, of the same numbers.
    """

    n_workers: NDArray[np.int64]
    batch_sizes: NDArray[np.int64]
    relative_seconds: NDArray[np.float64]
    seconds_per_update: NDArray[np.float64]
    seconds_per_exchange: NDArray[np.float64]
    fastest_n_workers: NDArray[np.int64]
    worthwhile_n_workers: NDArray[np.int64]

    @property
    def speedups(self) -> NDArray[np.float64]:
        """(K, B): how many times as fast as one worker with the best of these batch sizes."""
        return 1.0 / self.relative_seconds

    @property
    def efficiencies(self) -> NDArray[np.float64]:
        """(K, B): speed-up a worker."""
        return np.asarray(self.speedups / self.n_workers[:, None])

    @property
    def exchange_shares(self) -> NDArray[np.float64]:
        """(K, B): share of the time that goes into exchanges."""
        return np.asarray(self.seconds_per_exchange[:, None] / self.seconds_per_update)

    @property
    def best_batch_sizes(self) -> NDArray[np.int64]:
        """(K,): the batch size with which so many workers are fastest."""
        return self.batch_sizes[np.argmin(self.relative_seconds, axis=1)]

    def to_frame(self) -> Any:
        """One row a pair of a number of workers and a batch size."""
        pairs = {"relative_seconds": self.relative_seconds, "speedup": self.speedups, "efficiency": self.efficiencies}
        pairs |= {"exchange_share": self.exchange_shares, "seconds_per_update": self.seconds_per_update}
        columns = {
            "n_workers": np.repeat(self.n_workers, len(self.batch_sizes)),
            "batch_size": np.tile(self.batch_sizes, len(self.n_workers)),
        }
        return frame_of(columns | {name: values.ravel() for name, values in pairs.items()})

    def _of_workers(self) -> tuple[list[str], list[list[Any]]]:
        at = np.arange(len(self.n_workers)), np.argmin(self.relative_seconds, axis=1)
        columns = [
            self.best_batch_sizes,
            self.speedups[at],
            100 * self.efficiencies[at],
            100 * self.exchange_shares[at],
        ]
        header = ["workers", "batch size", "speed-up", "% efficiency", "% exchange"]
        return header, [list(row) for row in zip(self.n_workers, *columns, strict=True)]

    def _of_sizes(self) -> tuple[list[str], list[list[Any]]]:
        columns = self.batch_sizes, self.worthwhile_n_workers, self.fastest_n_workers
        return ["batch size", "worthwhile", "fastest"], [list(row) for row in zip(*columns, strict=True)]

    def __repr__(self) -> str:
        return f"{_OF_WORKERS}\n{text_table(*self._of_workers())}\n{_OF_SIZES}\n{text_table(*self._of_sizes())}"

    def _repr_html_(self) -> str:
        tables = html_table(_OF_WORKERS, *self._of_workers()) + html_table(_OF_SIZES, *self._of_sizes())
        return f"<div>{tables}</div>"
