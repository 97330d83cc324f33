"""Whether a trial can still arrive in time, from how its loss has fallen so far."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOTHING_KNOWN", "Outlook", "outlook"]

# Gradient descent on a convex loss falls ever more slowly at rates up to 1 / L (arXiv 2503.10138), so that its pace now
# is an upper bound; twice it leaves room for higher rates, noise, momentum and networks.
_FASTER = 2.0
_FROM = 32  # updates; before, a trial is hardly under way


class Outlook(NamedTuple):
    """The line along which a trial falls at most."""

    n_updates: float
    value: float
    pace: float  # an update

    def lowest(self, horizon: float) -> float:
        """The least value after so many updates."""
        return self.value - self.pace * max(0.0, horizon - self.n_updates)


NOTHING_KNOWN = Outlook(0.0, -np.inf, 0.0)


def outlook(updates: Sequence[int], values: Sequence[float]) -> Outlook:
    """From losses at looks: the fall from the second quarter of the updates to their last half.

    The line begins four standard deviations (of the noise around a straight line) below the mean of the last half; its
    pace is twice what was seen and two standard errors more.

    Where it falls by 0.001 an update, it may fall by 0.002 from now on:

    >>> line = outlook([*range(1, 201)], [1 - update / 1000 for update in range(1, 201)])
    >>> round(line.pace, 6), round(line.lowest(400), 6)
    (0.002, 0.3505)
    """
    if not updates or updates[-1] < _FROM:
        return NOTHING_KNOWN
    at, losses = np.array(updates, float), np.array(values)
    late = at > at[-1] / 2
    early = ~late & (at > at[-1] / 4)
    between = at[late].mean() - at[early].mean()
    noise = _scatter(at[late], losses[late])
    error = np.hypot(_scatter(at[early], losses[early]) / np.sqrt(early.sum()), noise / np.sqrt(late.sum()))
    fall = max(0.0, losses[early].mean() - losses[late].mean()) + 2 * error
    return Outlook(float(at[late].mean()), float(losses[late].mean()) - 4 * noise, float(_FASTER * fall / between))


def _scatter(at: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    """The standard deviation around a straight line."""
    at, losses = at - at.mean(), losses - losses.mean()
    return float(np.std(losses - (at @ losses) / (at @ at) * at))
