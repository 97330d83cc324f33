"""How updates go with the batch size: slopes, their intervals, and what these tell apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from minibatch.model_selection._steps_fit import StepsFit

__all__ = ["log_error", "regimes_of", "slopes_of"]

_Array = NDArray[np.float64]

_PERFECT, _PLATEAU = -0.8, -0.2  # slopes of S_min (1 + B_c / B) at a quarter of B_c, and at four times B_c
_NAMES = ("perfect scaling", "diminishing returns", "plateau")
_RESOLUTION = 0.04 / np.sqrt(12)  # standard deviation of a count that is up to 4 % too high


def log_error(repeats: Sequence[_Array], updates: _Array, fit: StepsFit | None) -> tuple[_Array, float]:
    """Standard errors of ``log updates``, and their degrees of freedom; NaN where nothing tells them.

    From the updates of all ``repeats`` at the best rates, if there are several, else from the scatter around the fit.
    A median of ``n`` has the variance ``pi / (2 n)`` of one.
    """
    coarse = np.hypot(_RESOLUTION, 1 / np.sqrt(12) / np.maximum(updates, 1))
    several = [np.log(counts) for counts in repeats if len(counts) > 1 and (counts > 0).all()]
    if several:
        freedom = sum(len(counts) - 1 for counts in several)
        variance = sum(((counts - counts.mean()) ** 2).sum() for counts in several) / freedom
        n = np.array([max(1, len(counts)) for counts in repeats])
        return np.sqrt(variance * np.pi / (2 * n) + coarse**2), freedom
    if fit is not None:
        return np.maximum(fit.spread, coarse), fit.n_sizes - 2
    return np.full(len(updates), np.nan), 1


def slopes_of(sizes: NDArray[np.int64], updates: _Array, errors: _Array, freedom: float, confidence: float) -> _Array:
    """``d log updates / d log size`` between neighbours that reached the target, and both ends of its interval."""
    slopes = np.full((3, len(sizes)), np.nan)
    there = updates > 0
    if there.sum() > 1:
        x, width = np.log(sizes[there]), stats.t.ppf(0.5 + confidence / 2, freedom)
        weights = np.asarray(np.gradient(np.eye(len(x)), x, axis=0))  # slopes are sums of these times logarithms
        middle = weights @ np.log(updates[there])
        half = width * np.sqrt(weights**2 @ errors[there] ** 2)
        slopes[:, there] = middle, middle - half, middle + half
    return slopes


def regimes_of(updates: _Array, slopes: _Array) -> list[str]:
    """In words; those that an interval does not tell apart are all named."""
    return [_regime(count, *ends) for count, ends in zip(updates, slopes.T, strict=True)]


def _regime(updates: float, slope: float, low: float, high: float) -> str:
    if np.isnan(updates):
        return "not reached"
    if np.isnan(slope):
        return "-"
    if np.isnan(low):
        return "unsure"
    first, last = (int(end > _PERFECT) + int(end >= _PLATEAU) for end in (low, high))
    return "unsure" if last - first == 2 else " or ".join(_NAMES[first : last + 1])
