"""Schedules as estimators have them: by their names, or a function of the user's, from the parameters.

Rates are computed once an epoch, vectorised, and handed to the engine as an array; a schedule is not compiled.
To add one: a function in ``_functions.py`` and a line in ``SCHEDULES``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from minibatch.schedules._functions import (
    cosine,
    exp_range,
    inverse_time,
    invscaling,
    one_cycle,
    optimal,
    step,
    triangular,
    triangular2,
    warmup,
)
from minibatch.schedules._progress import Progress, Rates, Schedule, UserSchedule

__all__ = ["ADAPTIVE_END", "ADAPTIVE_FACTOR", "CYCLES", "ONCE_A_RUN", "SCHEDULES", "Shape", "schedule_of"]

# ``learning_rate="adaptive"`` is divided by this when training stalls, as in scikit-learn, until it is this small.
ADAPTIVE_FACTOR, ADAPTIVE_END = 5.0, 1e-6


@dataclass(frozen=True)
class Shape:
    """What schedules are made of: the parameters of an estimator, resolved. Lengths are in epochs."""

    eta0: float
    max_eta: float
    power_t: float
    alpha: float
    batch_size: int
    length: float
    decay: float  # over a length
    decay_base: bool
    warmup: float
    by_rows: bool  # invscaling counts rows, once an epoch, not updates


SCHEDULES: dict[str, Callable[[Progress, Shape], Rates]] = {
    "constant": lambda now, of: _one_number(of.eta0, now.number),
    "adaptive": lambda now, of: _one_number(of.eta0, now.number),
    "dowg": lambda now, of: _one_number(of.eta0, now.number),  # the first distance, of which the engine makes rates
    "invscaling": lambda now, of: invscaling(now.rows if of.by_rows else now.updates, of.eta0, of.power_t),
    "optimal": lambda now, of: (
        optimal(now.updates, of.alpha) if of.batch_size == 1 else inverse_time(now.updates, of.eta0, of.alpha)
    ),
    "inverse_time": lambda now, of: inverse_time(now.updates, of.eta0, of.alpha),
    "step": lambda now, of: step(now.epochs, of.eta0, of.length, of.decay),
    "cosine": lambda now, of: cosine(now.epochs, of.eta0, of.length),
    "triangular": lambda now, of: triangular(now.epochs, of.eta0, of.max_eta, of.length / 2),
    "triangular2": lambda now, of: triangular2(now.epochs, of.eta0, of.max_eta, of.length / 2),
    "exp_range": lambda now, of: exp_range(
        now.epochs, of.eta0, of.max_eta, of.length / 2, of.decay ** (1 / of.length), decay_base=of.decay_base
    ),
    "one_cycle": lambda now, of: one_cycle(now.epochs, of.max_eta, of.length, eta0=of.eta0),
}
# Those that rise to ``max_eta``, and those whose length is by default that of the run.
CYCLES = ("triangular", "triangular2", "exp_range", "one_cycle")
ONCE_A_RUN = ("cosine", "one_cycle")


def _one_number(rate: float, number: int) -> Rates:
    """A row of it that takes no room: ``np.broadcast_to``, in a tenth of its time."""
    row: Rates = np.ndarray((number,), np.float64, np.array([rate]), 0, (0,))
    row.flags.writeable = False
    return row


def _of_user(schedule: UserSchedule, now: Progress, of: Shape) -> Rates:
    """``eta0`` times what the user's function gives. It need not know of several epochs: of these it is asked one by
    one."""
    if np.ndim(now.epochs_before) == 0:
        return of.eta0 * _factors(schedule, now)
    before = np.broadcast_arrays(now.updates_before, now.epochs_before, now.rows_before)
    each = zip(*(part.ravel().tolist() for part in before), strict=True)
    epochs = [now._replace(updates_before=u, epochs_before=e, rows_before=r) for u, e, r in each]
    return of.eta0 * np.stack([_factors(schedule, epoch) for epoch in epochs])


def _factors(schedule: UserSchedule, now: Progress) -> Rates:
    found = schedule(now)
    try:
        factors = np.broadcast_to(np.asarray(found, np.float64), (now.number,))
    except (TypeError, ValueError):
        factors = np.array([np.nan])
    if not ((factors >= 0.0) & (factors < np.inf)).all():
        raise ValueError(
            f"learning_rate={schedule!r} must give what the first rate is multiplied by, a number from 0 on or an "
            f"array of {now.number} for so many updates; it gave {found!r}."
        )
    return factors


def schedule_of(learning_rate: str | UserSchedule, shape: Shape) -> Schedule:
    """The schedule of that name, or of the user's, as a function of the progress alone."""
    function = SCHEDULES[learning_rate] if isinstance(learning_rate, str) else partial(_of_user, learning_rate)

    def rates(now: Progress) -> Rates:
        with np.errstate(all="ignore"):  # they are looked at below
            found = function(now, shape)
            if shape.warmup:
                # an update has the rate that the rise reaches by its end: the first one does something
                found = found * warmup(now.epochs + 1 / now.updates_an_epoch, shape.warmup)
        if not np.isfinite(found[:1] if found.strides == (0,) else found).all():
            raise ValueError(
                f"learning_rate={learning_rate!r} comes to a rate of {found[~np.isfinite(found)][0]} from a first "
                f"rate of {shape.eta0:g}, max_eta={shape.max_eta:g}, alpha={shape.alpha:g}, "
                f"cycle_length={shape.length:g} and warmup={shape.warmup:g}; choose numbers that are nearer to 1."
            )
        return found

    return rates
