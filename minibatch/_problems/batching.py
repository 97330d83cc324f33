"""What a batch is: the resolved size, the order of the rows, the last short batch."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch.engine.shuffle import shuffle_rows

__all__ = [
    "BLOCKS_AT_ONCE", "BLOCK_ROWS", "UNIFORMS_AT_ONCE", "Order", "epoch_seed", "power_of_two_below_root",
    "resolve_batch_size", "rows_in_batches", "sample_order", "sample_orders",
]  # fmt: skip

Order = NDArray[np.int64]

# Of shuffle="block": rows that stay neighbours until the last step, and how many such blocks are mixed with each other.
# Rows of 20 to 800 columns then are 20 kB to 1.6 MB that are read together.
BLOCK_ROWS, BLOCKS_AT_ONCE = 256, 32
UNIFORMS_AT_ONCE = 8192  # random numbers that the cache holds


def resolve_batch_size(batch_size: Any, n_samples: int, auto: int) -> int:
    """Rows in a batch when ``n_samples`` rows are trained on; ``auto`` is what ``"auto"`` means.

    >>> [resolve_batch_size(b, 150, auto=8) for b in (32, 1000, 0.25, 1.0, "full", "auto")]
    [32, 150, 38, 150, 150, 8]
    """
    if batch_size == "full":
        return n_samples
    if batch_size == "auto":
        return min(auto, n_samples)
    if isinstance(batch_size, Integral):
        return min(int(batch_size), n_samples)
    return max(1, round(float(batch_size) * n_samples))


def power_of_two_below_root(n_samples: int, low: int = 8, high: int = 256) -> int:
    """The largest power of two up to ``sqrt(n_samples)``, between ``low`` and ``high``: at least as many updates an
    epoch as rows a batch.

    >>> [power_of_two_below_root(n) for n in (10, 150, 1797, 60_000, 10**7)]
    [8, 8, 32, 128, 256]
    """
    return min(high, max(low, 2 ** ((n_samples.bit_length() - 1) // 2)))


def sample_order(n_samples: int, shuffle: bool | str, seed: int, epoch: int) -> Order:
    """The order of the rows in an epoch: a function of the seed and the number of the epoch, not of the batch size.

    ``shuffle="block"``: blocks of neighbours in random order, then the rows of every ``BLOCKS_AT_ONCE`` of these.
    ``"replacement"``: each place has any of the rows, whatever the others have.
    """
    return sample_orders(n_samples, shuffle, seed, epoch, 1)[0]


def sample_orders(n_samples: int, shuffle: bool | str, seed: int, epoch: int, n_epochs: int) -> Order:
    """Those of so many epochs, a row each.

    >>> orders = sample_orders(5, True, seed=0, epoch=7, n_epochs=3)
    >>> [sample_order(5, True, 0, epoch).tolist() for epoch in (7, 8, 9)] == orders.tolist()
    True
    """
    n_blocks = -(-n_samples // BLOCK_ROWS)
    if shuffle == "block" and n_blocks > BLOCKS_AT_ONCE:
        return np.stack([_blocks_in_order(n_samples, n_blocks, seed, epoch + i) for i in range(n_epochs)])
    if shuffle == "replacement":
        return _drawn(n_samples, seed, epoch, n_epochs)
    orders: Order = np.arange(n_samples)[None]
    if n_epochs > 1:
        orders = np.repeat(orders, n_epochs, axis=0)
    if shuffle:
        _Stream(seed, epoch).shuffle(orders)
    return orders


def _blocks_in_order(n_samples: int, n_blocks: int, seed: int, epoch: int) -> Order:
    blocks, stream = np.arange(n_blocks)[None], _Stream(seed, epoch)
    stream.shuffle(blocks)
    order = (BLOCK_ROWS * blocks[0, :, None] + np.arange(BLOCK_ROWS)).ravel()
    order = order[order < n_samples]
    for begin in range(0, n_samples, BLOCK_ROWS * BLOCKS_AT_ONCE):
        stream.shuffle(order[None, begin : begin + BLOCK_ROWS * BLOCKS_AT_ONCE])
    return order


def _drawn(n_samples: int, seed: int, epoch: int, n_epochs: int) -> Order:
    """By words of the streams that make the other orders, which are NumPy's: nobody waits for a compiler."""
    orders = np.empty((n_epochs, n_samples), np.int64)
    for i, order in enumerate(orders):
        stream = np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(epoch + i,)))
        for begin in range(0, n_samples, UNIFORMS_AT_ONCE):
            part = order[begin : begin + UNIFORMS_AT_ONCE]
            part[...] = (stream.random_raw(len(part)) >> np.uint64(11)) * 2.0**-53 * n_samples  # below n_samples
    return orders


class _Stream:
    """Random numbers of an epoch, or of those from it on."""

    def __init__(self, seed: int, epoch: int) -> None:
        self._epoch, self._pool = epoch, np.random.SeedSequence(seed).pool
        self._state = np.empty(4, np.uint64)

    def shuffle(self, orders: Order) -> None:
        """In place, every order as likely as any other: a row an epoch, or one row that goes on."""
        uniforms = np.empty(min(UNIFORMS_AT_ONCE, max(orders.shape[1] - 1, 1)))
        with np.errstate(over="ignore"):  # of words that wrap around, where nothing is compiled
            shuffle_rows(orders, self._pool, self._epoch, self._state, uniforms)
        self._pool = self._pool[:0]


def epoch_seed(seed: int, epoch: int) -> int:
    """32 random bits for what else is random in an epoch; independent of its order of rows."""
    return int(np.random.SeedSequence(seed, spawn_key=(epoch, 1)).generate_state(1)[0])


def rows_in_batches(n_samples: int, batch_size: int, last_batch: str, max_batches: float = np.inf) -> tuple[int, int]:
    """Rows and batches of an epoch; a short last batch counts unless it is dropped.

    >>> (
    ...     rows_in_batches(53, 8, "keep"),
    ...     rows_in_batches(53, 8, "drop"),
    ...     rows_in_batches(53, 8, "keep", max_batches=2),
    ... )
    ((53, 7), (48, 6), (16, 2))
    """
    n_batches = n_samples // batch_size if last_batch == "drop" else -(-n_samples // batch_size)
    n_batches = int(min(n_batches, max_batches))
    return min(n_samples, n_batches * batch_size), n_batches
