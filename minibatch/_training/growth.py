"""Batches that grow along a fit: by a factor every so many epochs, as the norm test asks for, or in place of the decay
of a schedule."""

from typing import NamedTuple

import numpy as np

from minibatch._problems.state import Problem, Vector
from minibatch._training.noise import noise_scale
from minibatch.schedules._progress import Progress, Rates

__all__ = [
    "BATCHES_LOOKED_AT", "LARGEST_FACTOR", "ROWS_LOOKED_AT", "THETA", "Growth", "Trade", "after_trade", "grown",
    "least_passing",
    "next_batch_size",
]  # fmt: skip

# The norm test looks at so many batches, and at so many rows at least: a single batch says little about its own noise.
BATCHES_LOOKED_AT, ROWS_LOOKED_AT = 4, 1024
# Byrd et al. ask for a standard error of the gradient below theta times its norm; of Bollapragada et al., theta.
THETA = 0.9
# One look is noisy: batches at most double at a time.
LARGEST_FACTOR = 2.0


class Trade(NamedTuple):
    """Of the decay of a schedule for growth. The schedule's rates are for batches of ``first`` rows, ``whole`` of which
    are an epoch; with ``B`` rows they are multiplied by ``(B / first)^power``."""

    first: int
    whole: int
    power: float
    highest: float = 0.0  # rate of the schedule at the ends of epochs so far

    def progress(self, now: Progress) -> Progress:
        """Where updates would stand if batches had not grown."""
        before, stride = int(now.epochs_before * self.whole), now.stride * self.whole / now.updates_an_epoch
        return now._replace(updates_before=before, updates_an_epoch=self.whole, stride=stride)

    def rates(self, of_schedule: Rates, batch_size: int) -> Rates:
        """None is lifted above the highest: a schedule may rise again within an epoch."""
        if batch_size == self.first:
            return of_schedule
        lifted = of_schedule * (batch_size / self.first) ** self.power
        return np.minimum(lifted, np.maximum(of_schedule, self.highest))


class Growth(NamedTuple):
    """``factor`` None: the norm test decides, or what is traded for it."""

    factor: float | None
    interval: int  # epochs from one growth, or look, to the next
    largest: int  # batch size
    trade: Trade | None = None


def after_trade(
    growth: Growth, trade: Trade, batch_size: int, rates: tuple[float, float], n_epochs: int
) -> tuple[Growth, int]:
    """The batch size after ``n_epochs`` epochs, by the highest rate of the schedule in the last one and the first in
    the next: as much larger than the first as the rate is lower than the highest of all.

    >>> growth = Growth(None, 1, 100, Trade(8, 50, 1.0))
    >>> [
    ...     after_trade(growth, growth.trade, 8, (0.4, rate), 1)[1]
    ...     for rate in (0.4, 0.2, 0.3, 0.001)
    ... ]
    [8, 16, 11, 100]
    """
    highest = max(trade.highest, *rates)
    if n_epochs % growth.interval == 0:
        wanted = trade.first * highest / rates[1] if rates[1] > 0.0 else np.inf
        batch_size = max(trade.first, round(min(wanted, growth.largest)))
    return growth._replace(trade=trade._replace(highest=highest)), batch_size


def next_batch_size(
    growth: Growth,
    batch_size: int,
    problem: Problem,
    theta: Vector,
    n_epochs: int,
    seed: int,
    replacement: bool = False,
) -> int:
    """The batch size after ``n_epochs`` epochs; never smaller than before. ``replacement``: how rows are drawn."""
    size = grown(growth, batch_size, n_epochs)
    if growth.factor is not None or size == batch_size:
        return size
    n_rows = min(problem.n_samples, max(BATCHES_LOOKED_AT * batch_size, ROWS_LOOKED_AT))
    rows = np.random.default_rng(seed).choice(problem.n_samples, n_rows, replace=False)
    n_samples = np.inf if replacement else problem.n_samples
    passing = least_passing(noise_scale(problem, theta, np.sort(rows)), n_samples)
    # not a number: neither gradient nor noise, or a run that diverges; nothing that a larger batch could mend
    return min(size, int(np.ceil(min(passing, size)))) if passing > batch_size else batch_size


def least_passing(noise_scale: float, n_samples: float) -> float:
    """The least batch size, in fractions of rows, that passes the norm test: ``E ||g_B - G||^2 <= theta^2 ||G||^2``.

    Batches without replacement have ``E ||g_B - G||^2 = tr(S) (1 / B - 1 / n)``, ``S`` with ``1 / (n - 1)``, and the
    noise scale is ``(1 - 1 / n) tr(S) / ||G||^2``. So no gradient asks for more than all rows. With replacement it is
    as if ``n`` were infinite, of the same noise scale.

    >>> least_passing(81.0 * (1 - 1 / 100), 100), least_passing(np.inf, 100)
    (50.0, 100.0)
    """
    if not noise_scale > 0.0:  # not a number: neither gradient nor noise
        return noise_scale
    with_replacement = noise_scale / (1.0 - 1.0 / n_samples) / THETA**2
    return 1.0 / (1.0 / with_replacement + 1.0 / n_samples)


def grown(growth: Growth, batch_size: int, n_epochs: int) -> int:
    """The largest batch size that may come after ``n_epochs`` epochs; by a factor, the one that does.

    >>> [grown(Growth(1.5, 2, 20), 8, n) for n in (1, 2)], grown(Growth(1.5, 2, 20), 18, 4)
    ([8, 12], 20)
    """
    if n_epochs % growth.interval or batch_size >= growth.largest:
        return batch_size
    return min(int(np.ceil(batch_size * (growth.factor or LARGEST_FACTOR))), growth.largest)
