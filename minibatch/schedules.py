"""Learning-rate schedules: plain functions of the number ``t`` of the update (an array, from 1) to the rate.

They run once an epoch, vectorised, and hand the engine an array of rates; a schedule is not compiled.
To add one: a function here and a line in ``SCHEDULES``.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

Rates = NDArray[np.float64]

# ``learning_rate="adaptive"`` is divided by this when training stalls, as in scikit-learn, until it is this small.
ADAPTIVE_FACTOR, ADAPTIVE_END = 5.0, 1e-6


def constant(t: NDArray[np.int64], *, eta0: float) -> Rates:
    """``eta = eta0``.

    >>> constant(np.array([1, 2]), eta0=0.1)
    array([0.1, 0.1])
    """
    return np.full(len(t), eta0, dtype=np.float64)


def invscaling(t: NDArray[np.int64], *, eta0: float, power_t: float) -> Rates:
    """``eta = eta0 / t ** power_t``.

    >>> invscaling(np.array([1, 4]), eta0=0.1, power_t=0.5)
    array([0.1 , 0.05])
    """
    return eta0 / t**power_t


def optimal(t: NDArray[np.int64], *, alpha: float) -> Rates:
    """``eta = 1 / (alpha (t0 + t - 1))``, starting at ``eta = alpha ** -0.25``: Bottou's schedule as in scikit-learn.

    The first rate is the size of weights that one expects at this ``alpha``. (scikit-learn divides it by the loss's
    slope for a bad prediction, or 1 if that is larger; it is 1 for every loss that scikit-learn has.)

    >>> optimal(np.array([1, 1001]), alpha=1e-4)
    array([10.,  5.])
    """
    t0 = 1.0 / (alpha**-0.25 * alpha)
    return 1.0 / (alpha * (t0 + t - 1.0))


SCHEDULES: dict[str, tuple[Callable[..., Rates], tuple[str, ...]]] = {
    "constant": (constant, ("eta0",)),
    "adaptive": (constant, ("eta0",)),
    "invscaling": (invscaling, ("eta0", "power_t")),
    "optimal": (optimal, ("alpha",)),
}


def schedule_of(estimator: object) -> Callable[[NDArray[np.int64]], Rates]:
    """The schedule that an estimator's parameters describe, as a function of ``t`` alone."""
    function, parameters = SCHEDULES[estimator.learning_rate]  # type: ignore[attr-defined]
    return partial(function, **{name: getattr(estimator, name) for name in parameters})
