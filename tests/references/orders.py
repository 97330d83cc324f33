"""Rows in random order, one exchange at a time."""

import numpy as np


def shuffled(values, random):
    """By Fisher and Yates, from the last place; ``random`` is a generator."""
    values = list(values)
    for last in range(len(values) - 1, 0, -1):
        place = int(random.random() * (last + 1))
        values[last], values[place] = values[place], values[last]
    return values


def order_of_epoch(n, seed, epoch, shuffle=True):
    """The rows of an epoch with ``shuffle=True``, or drawn with replacement."""
    random = np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(epoch,))))
    if shuffle == "replacement":
        return np.array([int(random.random() * n) for _ in range(n)])
    return np.array(shuffled(range(n), random))
