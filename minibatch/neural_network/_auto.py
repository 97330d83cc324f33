"""``learning_rate="auto"`` of the networks: the rates that are tried, and how the one found goes down.

The rate of update ``t = 1, 2, ...`` is ``min(k, 0.3 / sqrt(t))``. ``k`` is one of three rates, the one with which a few
updates from the first parameters go best (``_training/probe.py``); the model is an average of the iterates
(``_problems/tail_average.py``). Nothing depends on how long training will last.
"""

import numpy as np

from minibatch.schedules import invscaling
from minibatch.schedules._progress import Schedule

__all__ = [
    "FEW_ROWS", "HIGHEST", "RATES", "RATES_OF_GRADIENTS", "SCHEDULE_FREE", "STEPS_OF_A_SIZE", "UPDATES_AT_FIRST",
    "rates_to_try", "schedule_from",
]  # fmt: skip

# Solvers that move a parameter by about the rate, whatever the size of the gradients, and rates that suit them. Below
# so many rows the noise of a batch limits the rate, which falls with the root of the rows.
STEPS_OF_A_SIZE = ("adam", "adamw", "rmsprop", "adagrad", "schedule_free_adamw")
SCHEDULE_FREE = ("schedule_free_sgd", "schedule_free_adamw")  # stay at their rate, and average by themselves
RATES, FEW_ROWS = (0.01, 0.03, 0.1), 32
HIGHEST = 0.3  # in the first update, and from then on divided by the root of their number
# The others move by the rate times the gradient, whose size depends on the data: more rates, each of which goes down
# from its own height, by the root of 2 in the first so many updates.
RATES_OF_GRADIENTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
UPDATES_AT_FIRST = 1000


def rates_to_try(solver: str, batch_size: int, noisy: bool) -> tuple[float, ...]:
    """In rising order. A batch is not ``noisy`` where it is all there is.

    >>> (
    ...     rates_to_try("adam", 200, noisy=True),
    ...     rates_to_try("adam", 8, noisy=True),
    ...     rates_to_try("adam", 8, noisy=False),
    ... )
    ((0.01, 0.03, 0.1), (0.005, 0.015, 0.05), (0.01, 0.03, 0.1))
    """
    if solver not in STEPS_OF_A_SIZE:
        return RATES_OF_GRADIENTS
    factor = float(np.sqrt(min(1.0, batch_size / FEW_ROWS))) if noisy else 1.0
    return tuple(factor * rate for rate in RATES)


def schedule_from(eta0: float, solver: str) -> Schedule:
    """The rates of all updates."""
    if solver == "adagrad" or solver in SCHEDULE_FREE:  # the first divides by such a root itself
        return lambda now: np.full(now.number, eta0)
    if solver not in STEPS_OF_A_SIZE:
        return lambda now: invscaling(now.updates / UPDATES_AT_FIRST, eta0, 0.5)
    return lambda now: np.minimum(eta0, invscaling(now.updates, HIGHEST, 0.5))
