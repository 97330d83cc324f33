"""Learning rates read off the curve of a range test: plain functions of the rates and the losses after each update."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FEWEST_RATES", "GRACE", "LOST", "NAMES", "SMOOTHING", "VISIBLE", "Curve", "Scale", "median_curve", "not_risen",
    "or_scale", "smoothed", "stop_level", "suggest",
]  # fmt: skip

Curve = NDArray[np.float64]
Scale = Callable[[bool], str]  # what the scale of the data has to do with a loss that rose, or did not, in words

NAMES = ("steepest", "valley", "minimum/10", "stable_max")

# A curve of fewer points has no shape.
FEWEST_RATES = 10
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
    rates: Curve, losses: Curve, first_loss: float, stop_factor: float, scale: Scale = lambda rose: ""
) -> tuple[dict[str, float], dict[str, str]]:
    """Suggested rates by name, NaN where the curve has none, and for those the reason.

    ``losses`` are those after every update, NaN from where the sweep was stopped. ``scale`` is asked what the scale of
    the data has to do with a loss that does not fall, but rises or stays where it is.
    """
    n = int(np.isfinite(losses).sum())
    curve = smoothed(losses)[:n]
    fall = first_loss - np.min(curve, initial=first_loss)
    if len(rates) < FEWEST_RATES:
        why = f"n_rates={len(rates)} updates are too few to read a curve from; raise n_rates to 20 or more"
        return dict.fromkeys(NAMES, np.nan), dict.fromkeys(NAMES, why)
    if n < 2 or not fall > VISIBLE * abs(first_loss):
        why = _why_no_fall(rates, n, first_loss, scale(n < len(rates)))
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
            missing[name] = (
                f"the loss was still falling at max_rate={rates[-1]:g}; {or_scale(scale(False), 'raise max_rate')}"
            )
        elif place == 0:
            reason = f"the loss fell no more after min_rate={rates[0]:g}"
            missing[name] = f"{reason}; {or_scale(scale(True), 'lower min_rate')}"
        else:
            found[name] = float(rates[place] / (10 if name == "minimum/10" else 1))
    rose = n < len(rates) or losses[n - 1] > stop_level(first_loss, losses[:n].min(), stop_factor)
    if rose:
        found["stable_max"] = float(rates[_before_the_climb(losses[:n], first_loss)])
    else:
        missing["stable_max"] = not_risen(rates)
    return found, missing


def not_risen(rates: Curve) -> str:
    """Why there is no ``'stable_max'`` where the loss has fallen."""
    return f"the loss did not rise far enough up to max_rate={rates[-1]:g}; raise max_rate"


def _why_no_fall(rates: Curve, n: int, first_loss: float, scale: str) -> str:
    """The reason and the remedy; the sweep went to rate ``n``."""
    if first_loss == 0.0:
        return "the loss is 0 before the first update; there is nothing to learn"
    why = f"the loss did not fall by {VISIBLE:.0%} of its first value"
    if n == len(rates):
        return f"{why} up to max_rate={rates[-1]:g}; {or_scale(scale, 'raise max_rate or n_rates')}"
    if n < 2:
        return f"{why}, but rose at once, at min_rate={rates[0]:g}; {or_scale(scale, 'lower min_rate')}"
    remedy = "lower min_rate" if n < FEWEST_RATES else "raise n_rates"
    return f"{why} before it rose, at a rate of {rates[n]:.2g}; {or_scale(scale, remedy)}"


def or_scale(scale: str, remedy: str) -> str:
    """What to do, about the scale of the data if that is why.

    >>> (
    ...     or_scale("", "lower min_rate"),
    ...     or_scale("y has mean 5,000: scale y", "lower min_rate"),
    ... )
    ('lower min_rate', 'y has mean 5,000: scale y, or lower min_rate')
    """
    return f"{scale}, or {remedy}" if scale else remedy


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
