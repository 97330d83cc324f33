"""The average of a network's iterates, in which the latest weigh most: what ``learning_rate="auto"`` predicts with.

``average += 9 / (t + 8) (theta - average)`` after update ``t = 1, 2, ...``: polynomial-decay averaging (Shamir & Zhang
2013, arXiv 1212.1824). It forgets the beginning (iterates before ``t / 2`` weigh ``2^-9`` together) without being told
how long training will last.

Not every iterate is needed: from update 512 on, every second is taken, from 1024 on every fourth, and so on, weighing
as much more. Some 50 iterates weigh in then at any time, the cost vanishes beside that of the updates, and no weight is
so small that a float32 average could not follow.
"""

import numpy as np

from minibatch.schedules._progress import Rates

__all__ = ["DENSE", "NEWEST", "weights_of_newest"]

NEWEST = 9  # times its share is what the last iterate weighs
DENSE = 256  # from twice so many updates on, iterates are left out


def weights_of_newest(first: int, number: int) -> Rates:
    """What the iterates after updates ``first``, ``first + 1``, ... (from 1) weigh in their average; 0: left out.

    >>> weights_of_newest(1, 3).round(2), weights_of_newest(1023, 6).round(4)
    (array([1.  , 0.9 , 0.82]), array([0.    , 0.0349, 0.    , 0.    , 0.    , 0.0347]))
    """
    t = np.arange(first, first + number)
    stride = 2 ** np.maximum(np.frexp(t // DENSE)[1] - 1, 0)  # exact, unlike a logarithm
    return np.where(t % stride == 0, NEWEST * stride / (t + NEWEST - 1.0), 0.0)
