"""Learning rates read off the curve of a range test: plain functions of the rates and the losses after each update."""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "GRACE", "LOST", "NAMES", "SMOOTHING", "VISIBLE", "Curve", "median_curve", "smoothed", "stop_level", "suggest",
]  # fmt: skip

Curve = NDArray[np.float64]

NAMES = ("steepest", "valley", "minimum/10", "stable_max")

# The weight of the past in the moving average. It shifts the curve 0.6 / 0.4 = 1.5 updates to the right. Measured on
# six models with 20 seeds each, log10 of the steepest rate has a standard deviation of 0.02 to 0.16; with 0.5, up to
# 0.31.
SMOOTHING = 0.6
# A fall of the loss smaller than this share of |first loss| is none: any rate lowers it by a little at first.
VISIBLE = 0.01
# Until the loss has fallen by this share of |first loss|, the stop rule acts as if it had. Noisy first updates may
# raise the loss before any has lowered it, and so does batch normalization while its running statistics are new.
GRACE = 0.25
# The loss is out of the valley where it has lost this share of its fall.
LOST = 0.1


def smoothed(losses: Curve) -> Curve:
    """The moving average, divided by the sum of its weights so that it starts at the first loss.

    >>> smoothed(np.array([2.0, 2.0, 1.0, np.nan])).round(2)
    array([2.  , 2.  , 1.49,  nan])
    """
    averages, average, weight = np.empty(len(losses)), 0.0, 0.0
    for i, loss in enumerate(losses):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        averages[i] = average / weight
    return averages


def median_curve(losses: Curve) -> Curve:
    """The median over the repeats (rows). One that was stopped counts as above all others: without it, the curve would
    fall as soon as the worst repeat is gone. NaN from where half of them are stopped.

    >>> median_curve(np.array([[3.0, 2.0, 9.0], [5.0, 7.0, np.nan], [4.0, 8.0, np.nan]]))
    array([ 4.,  7., nan])
    """
    median = np.median(np.where(np.isnan(losses), np.inf, losses), axis=0)
    return np.where(np.isfinite(median), median, np.nan)


def stop_level(first_loss: float, best: float, stop_factor: float) -> float:
    """A repeat is stopped where its loss is above this. Additive, because a loss may be negative.

    >>> [round(stop_level(1.0, best, stop_factor=2.0), 2) for best in (1.0, 0.2, -1.0)]
    [1.5, 1.8, 3.0]
    """
    return best + stop_factor * max(first_loss - best, GRACE * abs(first_loss))


def suggest(
    rates: Curve, losses: Curve, first_loss: float, stop_factor: float
) -> tuple[dict[str, float], dict[str, str]]:
    """Suggested rates by name, NaN where the curve has none, and for those the reason.

    ``losses`` are those after every update, NaN from where the sweep was stopped.
    """
    n = int(np.isfinite(losses).sum())
    curve = smoothed(losses)[:n]
    fall = first_loss - np.min(curve, initial=first_loss)
    if n < 2 or not fall > VISIBLE * abs(first_loss):
        why = f"the loss did not fall by {VISIBLE:.0%} of its first value; lower min_rate, raise max_rate or n_rates"
        return dict.fromkeys(NAMES, np.nan), dict.fromkeys(NAMES, why)
    least = int(curve.argmin())
    slopes = np.gradient(curve, np.log(rates[:n]))[: least + 1]
    falls_on = least == len(rates) - 1
    places = {
        "steepest": int(slopes.argmin()),
        "valley": _valley(curve, first_loss - VISIBLE * fall),
        "minimum/10": least,
    }
    found, missing = dict.fromkeys(NAMES, np.nan), {}
    for name, place in places.items():
        # a fall that has slowed down to half shows where it was steepest
        if falls_on and (name != "steepest" or slopes[-1] < slopes.min() / 2):
            missing[name] = f"the loss was still falling at max_rate={rates[-1]:g}; raise max_rate"
        elif place == 0:
            missing[name] = f"the loss fell no more after min_rate={rates[0]:g}; lower min_rate"
        else:
            found[name] = float(rates[place] / (10 if name == "minimum/10" else 1))
    rose = n < len(rates) or losses[n - 1] > stop_level(first_loss, losses[:n].min(), stop_factor)
    if rose:
        found["stable_max"] = float(rates[_before_the_climb(losses[:n], first_loss)])
    else:
        missing["stable_max"] = f"the loss did not rise far enough up to max_rate={rates[-1]:g}; raise max_rate"
    return found, missing


def _valley(curve: Curve, begin: float) -> int:
    """The middle of the longest decreasing subsequence from the first loss below ``begin`` to the least one."""
    start = int(np.argmax(curve < begin))
    falling = curve[start : curve.argmin() + 1]
    length, previous = np.ones(len(falling), int), np.full(len(falling), -1)
    for i in range(1, len(falling)):
        candidates = np.where(falling[:i] > falling[i], length[:i], 0)
        if candidates.max() > 0:
            previous[i] = candidates.argmax()
            length[i] = candidates.max() + 1
    place = int(length.argmax())
    for _ in range((length.max() - 1) // 2):
        place = previous[place]
    return start + int(place)


def _before_the_climb(losses: Curve, first_loss: float) -> int:
    """The last place from which the loss climbs, update by update, out of the valley for good."""
    best = losses.min()
    inside = losses <= best + LOST * max(first_loss - best, 0.0)
    place = int(np.flatnonzero(inside)[-1])
    while place > 0 and losses[place - 1] < losses[place]:
        place -= 1
    return place
