"""Batches that grow along a fit: by a factor every so many epochs, or as the norm test asks for."""

from typing import NamedTuple

import numpy as np

from minibatch._problems.state import Problem, Vector
from minibatch._training.noise import noise_scale

__all__ = ["BATCHES_LOOKED_AT", "LARGEST_FACTOR", "ROWS_LOOKED_AT", "THETA", "Growth", "grown", "next_batch_size"]

# The norm test looks at so many batches, and at so many rows at least: a single batch says little about its own noise.
BATCHES_LOOKED_AT, ROWS_LOOKED_AT = 4, 1024
# Byrd et al. ask for a standard error of the gradient below theta times its norm; of Bollapragada et al., theta.
THETA = 0.9
# One look is noisy: batches at most double at a time.
LARGEST_FACTOR = 2.0


class Growth(NamedTuple):
    """``factor`` None: the norm test decides."""

    factor: float | None
    interval: int  # epochs from one growth, or look, to the next
    largest: int  # batch size


def next_batch_size(growth: Growth, batch_size: int, problem: Problem, theta: Vector, n_epochs: int, seed: int) -> int:
    """The batch size after ``n_epochs`` epochs; never smaller than before."""
    size = grown(growth, batch_size, n_epochs)
    if growth.factor is not None or size == batch_size:
        return size
    n_rows = min(problem.n_samples, max(BATCHES_LOOKED_AT * batch_size, ROWS_LOOKED_AT))
    rows = np.random.default_rng(seed).choice(problem.n_samples, n_rows, replace=False)
    passing = noise_scale(problem, theta, np.sort(rows)) / THETA**2
    # not a number: neither gradient nor noise, or a run that diverges; nothing that a larger batch could mend
    return min(size, int(np.ceil(min(passing, size)))) if passing > batch_size else batch_size


def grown(growth: Growth, batch_size: int, n_epochs: int) -> int:
    """The largest batch size that may come after ``n_epochs`` epochs; by a factor, the one that does.

    >>> [grown(Growth(1.5, 2, 20), 8, n) for n in (1, 2)], grown(Growth(1.5, 2, 20), 18, 4)
    ([8, 12], 20)
    """
    if n_epochs % growth.interval or batch_size >= growth.largest:
        return batch_size
    return min(int(np.ceil(batch_size * (growth.factor or LARGEST_FACTOR))), growth.largest)
