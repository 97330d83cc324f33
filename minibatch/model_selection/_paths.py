"""What the path of one fit says, as numbers; all functions take arrays of one value an evaluation."""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Path", "best_evaluation", "convergence_rate", "first_reached", "overfitting_onset", "roughness", "share_of_rises",
]  # fmt: skip

Path = NDArray[np.float64]
_VISIBLE_RISE = 0.01  # of a loss


def first_reached(values: Path, target: float, lower_is_better: bool) -> int | None:
    """Number of the first evaluation at which the target is reached.

    >>> first_reached(np.array([0.5, 0.8, 0.7]), 0.7, lower_is_better=False)
    1
    """
    reached = values <= target if lower_is_better else values >= target
    return int(np.argmax(reached)) if reached.any() else None


def convergence_rate(epoch: Path, loss: Path) -> float:
    """Slope of ``-log(loss)`` against the epoch, by least squares over the descent (up to the lowest loss).

    NaN where the descent has fewer than two evaluations, or a loss that is not positive.

    >>> round(
    ...     convergence_rate(
    ...         np.array([1.0, 2.0, 3.0, 4.0]), np.exp([-0.5, -1.0, -1.5, -1.4])
    ...     ),
    ...     6,
    ... )
    0.5
    """
    if not np.isfinite(loss).any():
        return np.nan
    descent = slice(0, int(np.nanargmin(loss)) + 1)
    x, y = epoch[descent], loss[descent]
    if len(y) < 2 or not (np.isfinite(y) & (y > 0)).all():
        return np.nan
    return float(-np.polyfit(x, np.log(y), 1)[0])


def share_of_rises(loss: Path) -> float:
    """Share of the evaluations, from the second on, at which the loss was higher than at the one before.

    >>> share_of_rises(np.array([3.0, 2.0, 2.5, 1.0, 1.0]))
    0.25
    """
    steps = np.diff(loss[np.isfinite(loss)])
    return float(np.mean(steps > 0)) if len(steps) else np.nan


def roughness(loss: Path) -> float:
    """Noise of a single evaluation, relative to the loss: what the second differences of ``log(loss)`` say of it.

    For ``log(loss)`` with independent normal errors of standard deviation s on a line, second differences are normal
    with standard deviation ``sqrt(6) s``; their median absolute value is 0.6745 of that. The median, because the bend
    at the beginning of a descent is not noise. 0 for a geometric descent.

    >>> round(roughness(np.array([1.0, 0.5, 0.25, 0.125])), 12)
    0.0
    """
    positive = loss[np.isfinite(loss) & (loss > 0)]
    if len(positive) < 3 or len(positive) < np.isfinite(loss).sum():
        return np.nan
    return float(np.median(np.abs(np.diff(np.log(positive), 2))) / (0.6745 * np.sqrt(6)))


def best_evaluation(test_loss: Path) -> int | None:
    """Number of the evaluation with the lowest test loss."""
    return int(np.nanargmin(test_loss)) if np.isfinite(test_loss).any() else None


def overfitting_onset(train_loss: Path, test_loss: Path) -> int | None:
    """Number of the evaluation from which on the test loss rises while the training loss falls.

    That is the lowest value around where the running median of the test loss (over five evaluations, or three, or one,
    of a short path) is lowest, if at the end that median is higher by more than a hundredth and by more than noise
    explains: by ``3 + sqrt(2 log T)`` standard deviations of such a median, for the lowest of T noisy values is low by
    chance. The running median of the training loss has to be lower at the end.

    >>> train_loss = 2.0 ** -np.arange(8)
    >>> overfitting_onset(train_loss, np.array([4.0, 3.0, 2.5, 2.4, 2.5, 2.7, 3.0, 3.4]))
    3
    >>> overfitting_onset(
    ...     train_loss, np.array([4.0, 3.0, 2.5, 2.4, 2.38, 2.37, 2.37, 2.38])
    ... ) is None
    True
    """
    n = len(test_loss)
    if n < 2 or not (np.isfinite(train_loss) & np.isfinite(test_loss)).all():
        return None
    width = 5 if n >= 15 else 3 if n >= 9 else 1
    train, test = _running_median(train_loss, width), _running_median(test_loss, width)
    best = int(np.argmin(test))
    first = max(0, best - width // 2)
    onset = first + int(np.argmin(test_loss[first : best + width // 2 + 1]))
    # the median of k normal values varies by 1.2533 / sqrt(k) of what one does
    noise = np.nan_to_num(roughness(test_loss)) * (1.2533 / np.sqrt(width) if width > 1 else 1.0)
    needed = max(_VISIBLE_RISE, (3.0 + np.sqrt(2.0 * np.log(n))) * noise) * abs(test[best])
    return onset if test[-1] > test[best] + needed and train[-1] < train[best] else None


def _running_median(values: Path, width: int) -> Path:
    """Medians over ``width`` values around each; at the ends over those that are there."""
    half = width // 2
    return np.array([np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])
