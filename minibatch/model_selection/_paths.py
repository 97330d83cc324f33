"""What the path of one fit says, as numbers; all functions take arrays of one value an evaluation."""

import numpy as np
from numpy.typing import NDArray

Path = NDArray[np.float64]


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

    >>> round(convergence_rate(np.array([1.0, 2.0, 3.0, 4.0]), np.exp([-0.5, -1.0, -1.5, -1.4])), 6)
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

    That is the one with the lowest test loss, if at the end the test loss is above it by more than three times its
    roughness, and the training loss is below its value there.

    >>> train_loss = 2.0 ** -np.arange(8)
    >>> overfitting_onset(train_loss, np.array([4.0, 3.0, 2.5, 2.4, 2.5, 2.7, 3.0, 3.4]))
    3
    >>> overfitting_onset(train_loss, np.array([4.0, 3.0, 2.5, 2.4, 2.38, 2.37, 2.37, 2.38])) is None
    True
    """
    both = np.isfinite(train_loss) & np.isfinite(test_loss)
    best = best_evaluation(np.where(both, test_loss, np.nan))
    if best is None or not both[-1]:
        return None
    noise = roughness(test_loss)
    rose = test_loss[-1] > test_loss[best] * (1.0 + 3.0 * (0.0 if np.isnan(noise) else noise))
    return best if rose and train_loss[-1] < train_loss[best] else None
