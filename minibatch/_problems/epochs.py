"""Work orders of epochs, and what these leave behind: of one, or of several in one call of compiled code."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.batching import Order
from minibatch._problems.pieces import at_once
from minibatch.schedules._progress import Rates

__all__ = [
    "MOST_EPOCHS", "PARAMETERS_AT_ONCE", "ROWS_IN_ORDERS", "SHARE_OF_PIECE", "Epoch", "Notes", "Passed",
    "n_epochs_at_once", "no_passes",
]  # fmt: skip

# A call of several epochs is at most this share of a piece (see ``pieces``), two milliseconds: ten times what Python
# takes between two calls. Nor does more than so many epochs of the smallest data gain anything.
SHARE_OF_PIECE, MOST_EPOCHS = 40, 64
# Nor do their orders, and the rates of single rows, take much memory: 128 kB each.
ROWS_IN_ORDERS = 16_384
# NumPy sums up so many numbers at once. With more of them, a penalty could have other digits than by itself.
PARAMETERS_AT_ONCE = 8192


class Epoch(NamedTuple):
    """One pass over the rows in ``order``, with the rate of each batch; or several, a row of both for each. Rates that
    are the same in all of them are views of one row."""

    order: Order
    etas: Rates
    batch_size: int
    first_averaged: int  # iterates are added to the average from this batch on
    noisy: bool  # a batch is not all there is to train on
    seed: int  # of what is random besides the order
    whole: int = 1  # batches of a whole epoch, of which this may be a part

    def as_rows(self) -> "Epoch":
        """One pass as several are written."""
        return self._replace(order=self.order[None], etas=self.etas[None])

    def number(self, i: int) -> "Epoch":
        """One of several, as one is written."""
        return self._replace(order=self.order[i], etas=self.etas[i])

    def parts(self, n_batches: int) -> "Iterator[Epoch]":
        """Of so many batches each."""
        for first in range(0, len(self.etas), n_batches):
            yield self.part(first, first + n_batches)

    def part(self, first: int, last: int) -> "Epoch":
        """From batch ``first`` to before batch ``last``."""
        if first == 0 and last >= len(self.etas):
            return self
        return self._replace(
            order=self.order[first * self.batch_size : last * self.batch_size],
            etas=self.etas[first:last],
            first_averaged=max(0, self.first_averaged - first),
        )


class Notes(NamedTuple):
    """What a call of compiled code notes at the end of each of several epochs; without rows, of none."""

    thetas: NDArray[Any]  # (epochs, n_parameters)
    paces: NDArray[np.float64]  # (epochs, objectives, columns), the ``State.scalars`` where the engine finds the rates


class Passed(NamedTuple):
    """What epochs that have run leave behind."""

    losses: NDArray[np.float64]  # (epochs, outputs): sums over the rows, each before it was trained on
    penalties: NDArray[np.float64]  # (epochs,): sums of those before each update, see ``State.penalty_seen``
    notes: Notes


def n_epochs_at_once(work: float, n_rows: int, n_parameters: int, longer: int = 1) -> int:
    """Of so much work each; one, if that is much already. Calls may be so many times ``longer`` than for one fit.

    >>> (
    ...     [n_epochs_at_once(work, 150, 10) for work in (1e4, 1e6, 1e9)],
    ...     n_epochs_at_once(1e4, 150, 5000),
    ... )
    ([64, 5, 1], 1)
    """
    most = min(MOST_EPOCHS, longer * ROWS_IN_ORDERS // n_rows, PARAMETERS_AT_ONCE // n_parameters)
    return max(1, min(most, at_once(SHARE_OF_PIECE * work / longer)))


def no_passes(n_epochs: int, n_outputs: int, theta: NDArray[Any], scalars: NDArray[np.float64], noted: bool) -> Passed:
    """What so many epochs fill; ``theta`` and ``scalars`` are like those that are ``noted``."""
    thetas = np.empty((n_epochs if noted else 0, len(theta)), theta.dtype)
    paces = np.empty((n_epochs if noted and scalars.shape[1] > 1 else 0, *scalars.shape))
    return Passed(np.zeros((n_epochs, n_outputs)), np.zeros(n_epochs), Notes(thetas, paces))
