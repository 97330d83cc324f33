"""The average of a network's iterates that is its model: what the newest one weighs in it, update by update.

``average += share_t (theta - average)`` after update ``t = 1, 2, ...`` of those that are averaged. The first share is
1, so that the parameters before count for nothing. There are three:

* the tail, ``9 / (t + 8)``: what ``learning_rate="auto"`` predicts with, polynomial-decay averaging (Shamir & Zhang
  2013, arXiv 1212.1824). It forgets the beginning (iterates before ``t / 2`` weigh ``2^-9`` together) without being
  told how long training will last;
* the mean of all, ``1 / t``;
* the exponential average, ``1 - 2^(-1 / h)`` with a half-life of ``h`` updates; as long as that is less than ``1 / t``,
  the mean. (Running statistics of batch normalization begin in the same way.)

Not every iterate is needed: of the tail, every second is taken from update 512 on, from 1024 on every fourth, and so
on, weighing as much more. Some 50 iterates weigh in then at any time, the cost vanishes beside that of the updates, and
no weight is so small that a float32 average could not follow. Of the two others, which are to be what they say to the
last digits, that begins where 32,768 iterates weigh in.
"""

import numpy as np

from minibatch._problems.epochs import Epoch
from minibatch._problems.state import State
from minibatch.schedules._progress import Rates

__all__ = ["DENSE", "DENSE_IN_MEAN", "NEWEST", "shares_of_updates", "weights_in_mean", "weights_in_tail"]

NEWEST = 9  # times its share is what the last iterate weighs in the tail
DENSE, DENSE_IN_MEAN = 256, 2**14  # from twice so many on, iterates are left out


def weights_in_tail(first: int, number: int) -> Rates:
    """What the iterates after updates ``first``, ``first + 1``, ... (from 1) weigh in their average; 0: left out.

    >>> weights_in_tail(1, 3).round(2), weights_in_tail(1023, 6).round(4)
    (array([1.  , 0.9 , 0.82]), array([0.    , 0.0349, 0.    , 0.    , 0.    , 0.0347]))
    """
    t = np.arange(first, first + number)
    stride = _strides(t, DENSE)
    return np.where(t % stride == 0, NEWEST * stride / (t + NEWEST - 1.0), 0.0)


def weights_in_mean(first: int, number: int, half_life: float = np.inf) -> Rates:
    """The same in the mean of all, or with a finite half-life, in updates, in an exponential average.

    >>> weights_in_mean(1, 4).round(2), weights_in_mean(1, 4, half_life=2.0).round(2)
    (array([1.  , 0.5 , 0.33, 0.25]), array([1.  , 0.5 , 0.33, 0.29]))
    """
    t = np.arange(first, first + number)
    stride = _strides(np.minimum(t, half_life / np.log(2.0)), DENSE_IN_MEAN)
    return np.where(t % stride == 0, np.maximum(stride / t, -np.expm1(-stride * np.log(2.0) / half_life)), 0.0)


def _strides(n_weighing: np.ndarray, dense: int) -> np.ndarray:
    """Of how many iterates one is taken, where so many weigh in."""
    powers: np.ndarray = np.frexp(n_weighing // dense)[1] - 1  # exact, unlike a logarithm
    return 2 ** np.maximum(powers, 0)


def shares_of_updates(state: State, epoch: Epoch, half_life: float | None) -> Rates:
    """Of the next updates of a state with an average; 0 before averaging begins. The half-life is in epochs, infinite
    for the mean of all, None for the tail."""
    n_before = min(epoch.first_averaged, len(epoch.etas))
    here = state.n_averaged + 1, len(epoch.etas) - n_before
    weights = weights_in_tail(*here) if half_life is None else weights_in_mean(*here, half_life * epoch.whole)
    return np.concatenate([np.zeros(n_before), weights])
