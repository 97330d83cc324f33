"""What a batch is: the resolved size, the order of the rows, the last short batch."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

Order = NDArray[np.int64]


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
    return max(1, round(batch_size * n_samples))


def power_of_two_below_root(n_samples: int, low: int = 8, high: int = 256) -> int:
    """The largest power of two up to ``sqrt(n_samples)``, between ``low`` and ``high``: at least as many updates an
    epoch as rows a batch.

    >>> [power_of_two_below_root(n) for n in (10, 150, 1797, 60_000, 10**7)]
    [8, 8, 32, 128, 256]
    """
    return int(min(high, max(low, 2 ** int(np.log2(n_samples) / 2))))


def sample_order(n_samples: int, shuffle: bool, seed: int, epoch: int) -> Order:
    """The order of the rows in an epoch: a function of the seed and the number of the epoch, not of the batch size."""
    if not shuffle:
        return np.arange(n_samples)
    stream = np.random.SeedSequence(seed, spawn_key=(epoch,))
    return np.random.Generator(np.random.SFC64(stream)).permutation(n_samples)


def epoch_seed(seed: int, epoch: int) -> int:
    """32 random bits for what else is random in an epoch; independent of its order of rows."""
    return int(np.random.SeedSequence(seed, spawn_key=(epoch, 1)).generate_state(1)[0])


def rows_in_batches(n_samples: int, batch_size: int, last_batch: str, max_batches: float = np.inf) -> tuple[int, int]:
    """Rows and batches of an epoch; a short last batch counts unless it is dropped.

    >>> rows_in_batches(53, 8, "keep"), rows_in_batches(53, 8, "drop"), rows_in_batches(53, 8, "keep", max_batches=2)
    ((53, 7), (48, 6), (16, 2))
    """
    n_batches = n_samples // batch_size if last_batch == "drop" else -(-n_samples // batch_size)
    n_batches = int(min(n_batches, max_batches))
    return min(n_samples, n_batches * batch_size), n_batches
