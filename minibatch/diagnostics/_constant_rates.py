"""The highest constant rate at which short runs do not rise."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _num_samples

from minibatch.diagnostics._suggestions import LOST, VISIBLE, Curve, smoothed
from minibatch.diagnostics._sweep import Runs, Sweep

__all__ = [
    "FEWEST_UPDATES", "KEPT", "LOOKS", "MOST_UPDATES", "PASSES", "Rises", "highest_steady", "rises", "rises_at",
]  # fmt: skip

# Of a run at a constant rate. Full batches on a quadratic of curvature h gain a factor of (rate * h - 1)^2 an update
# above 2 / h: at 1.05 of it, 2e8 in 100 updates. Small batches run away when they have met a heavy row a few times.
PASSES, FEWEST_UPDATES, MOST_UPDATES, LOOKS = 5, 100, 1000, 100
# The share of the sweep's fall that a run must reach and keep.
KEPT = 0.5

Rises = Callable[[float], NDArray[np.bool_]]  # of a rate: whether each of the repeats rises


def rises(first_loss: float, losses: Curve, fall: float) -> bool:
    """Whether a run was stopped, climbs from its second to its last quarter (by medians), or ends with less than half
    of the ``fall`` of its sweep: a network whose units have all died does not rise any more.

    As for a sweep, a fall below a hundredth of ``|first_loss|`` is none, and a tenth of the fall is lost.

    >>> (
    ...     rises(1.0, np.array([0.5, 0.3, 0.2, 0.1]), 0.9),
    ...     rises(1.0, np.array([0.5, 0.1, 0.2, 0.3]), 0.9),
    ... )
    (False, True)
    >>> (
    ...     rises(1.0, np.array([0.5, 0.6, np.nan, np.nan]), 0.9),
    ...     rises(1.0, np.array([0.8, 0.7, 0.7, 0.7]), 0.9),
    ... )
    (True, True)
    """
    if not np.isfinite(losses).all():
        return True
    _, second, _, last = (np.median(part) for part in np.array_split(losses, 4))
    own = max(first_loss - losses.min(), VISIBLE * abs(first_loss))
    return bool(last > first_loss - KEPT * fall or last > second + LOST * own)


def rises_at(runs: Runs, sweeps: list[Sweep]) -> Rises:
    """Runs at one rate, from where the sweeps begin and in the same orders of the rows: five passes over them, but
    within these bounds."""
    one_pass = -(-_num_samples(runs.rows[0]) // sweeps[0].batch_size)
    n_updates = int(np.clip(PASSES * one_pass, FEWEST_UPDATES, MOST_UPDATES))
    falls = [sweep.first_loss - np.nanmin(smoothed(sweep.losses), initial=sweep.first_loss) for sweep in sweeps]

    def answer(rate: float) -> NDArray[np.bool_]:
        found = runs.at(np.full(n_updates, rate), LOOKS)
        return np.array([rises(run.first_loss, run.losses, fall) for run, fall in zip(found, falls, strict=True)])

    return answer


def highest_steady(rates: Curve, start: int, rises: Rises) -> tuple[int, dict[int, NDArray[np.bool_]]]:
    """The place of the highest of the rising ``rates``, up to that at ``start``, where no repeat rises, -1 if all do;
    and what was tried.

    The rate is halved until it holds, then what is between is bisected. From above, because a noisy run may rise a
    little by chance at any rate: the first that holds counts.

    >>> place, tried = highest_steady(
    ...     np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 4, lambda rate: np.array([rate > 3.5])
    ... )
    >>> place, sorted(tried)
    (2, [1, 2, 3, 4])
    """
    tried = {}

    def holds(place: int) -> bool:
        tried[place] = rises(float(rates[place]))
        return not tried[place].any()

    high, low = start + 1, start
    while low >= 0 and not holds(low):
        high, low = low, min(low - 1, int(np.searchsorted(rates, rates[low] / 2, side="right")) - 1)
    while low >= 0 and high - low > 1 and low < start:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, tried
