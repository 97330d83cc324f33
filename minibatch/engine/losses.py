"""Pointwise losses: value and slope (the derivative in the prediction) side by side.

Conventions: ``z`` is the prediction ``x @ w + b`` (for ``poisson`` and ``gamma`` its exponential is the mean), ``y``
the target (-1 or +1 for the classification losses). Squared losses carry a factor 1/2 where scikit-learn's do.

A code is a tuple: Numba knows how long one is, and compiles the log loss, ``()``, without the others, and these without
it. That is two thirds of what all would take. The log loss of shares (``CROSS_ENTROPY``), whose target is in [0, 1], is
one of the others, so that the log loss of classes stays as short as it is.

To add a loss: a code, a branch in ``loss_and_slope`` (``bounded`` where the slope can be large), a line in
``CLASSIFICATION`` or ``REGRESSION``.
"""

from math import copysign, exp, inf, log

import numpy as np

from minibatch.engine.compile import kernel
from minibatch.engine.elementary import exp_of_negative, log_of_one_plus

__all__ = [
    "ABSOLUTE_ERROR", "CLASSIFICATION", "CROSS_ENTROPY", "EPSILON_INSENSITIVE", "GAMMA", "HINGE", "HUBER", "LOG_LOSS",
    "MAX_SLOPE", "MODIFIED_HUBER", "PERCEPTRON", "POISSON", "QUANTILE", "REGRESSION", "SMOOTH",
    "SQUARED_EPSILON_INSENSITIVE", "SQUARED_ERROR", "SQUARED_HINGE", "bounded", "largest_of_row", "log_loss_in_parts",
    "loss_and_slope", "softmax_loss_and_slopes",
]  # fmt: skip

LOG_LOSS = ()
(
    HINGE,
    SQUARED_HINGE,
    MODIFIED_HUBER,
    PERCEPTRON,
    SQUARED_ERROR,
    HUBER,
    EPSILON_INSENSITIVE,
    SQUARED_EPSILON_INSENSITIVE,
    ABSOLUTE_ERROR,
    QUANTILE,
    POISSON,
    GAMMA,
    CROSS_ENTROPY,
) = ((k,) for k in range(13))

# scikit-learn's SGDClassifier accepts four of the regression losses; so do we.
_SHARED = {
    "squared_error": SQUARED_ERROR,
    "huber": HUBER,
    "epsilon_insensitive": EPSILON_INSENSITIVE,
    "squared_epsilon_insensitive": SQUARED_EPSILON_INSENSITIVE,
}
CLASSIFICATION = {
    "hinge": HINGE,
    "squared_hinge": SQUARED_HINGE,
    "perceptron": PERCEPTRON,
    "log_loss": LOG_LOSS,
    "modified_huber": MODIFIED_HUBER,
    **_SHARED,
}
REGRESSION = {
    **_SHARED,
    "absolute_error": ABSOLUTE_ERROR,
    "quantile": QUANTILE,
    "poisson": POISSON,
    "gamma": GAMMA,
    "log_loss": CROSS_ENTROPY,
}

# Those whose slope does not jump.
SMOOTH = (
    "log_loss", "squared_hinge", "modified_huber", "squared_error", "huber", "squared_epsilon_insensitive", "poisson",
    "gamma",
)  # fmt: skip

# A larger slope is cut to this, as in scikit-learn, which keeps a bad first step finite. The value of such a loss is
# reported as infinite: that is how the trainer learns that a run is beyond repair.
MAX_SLOPE = 1e12


@kernel
def bounded(value, slope):
    """What stands for a value and a slope that may be too large."""
    if abs(slope) > MAX_SLOPE:
        return inf, copysign(MAX_SLOPE, slope)
    return value, slope


@kernel
def log_loss_in_parts(z, y):
    """The loss is the logarithm of one more than the first, and the second; slope."""
    margin = y * z
    e = exp_of_negative(-abs(margin))
    return e, -min(margin, 0.0), -y * (e if margin > 0.0 else 1.0) / (1.0 + e)


@kernel
def loss_and_slope(loss, z, y, parameter):
    """Value and derivative in ``z``; ``parameter`` is the epsilon or the quantile of the losses that have one.

    Only slopes that can be large are ``bounded``: in batches of one row every next score waits for that.
    """
    if len(loss) == 0:
        e, value, slope = log_loss_in_parts(z, y)
        return value + log_of_one_plus(e), slope
    if loss == HINGE or loss == PERCEPTRON:
        threshold = 1.0 if loss == HINGE else 0.0
        gap = threshold - y * z
        value = max(gap, 0.0)
        slope = -y if gap >= 0.0 else 0.0
    elif loss == SQUARED_HINGE:
        gap = max(1.0 - y * z, 0.0)
        value, slope = bounded(gap * gap, -2.0 * y * gap)
    elif loss == MODIFIED_HUBER:
        margin = y * z
        gap = max(1.0 - margin, 0.0)
        value = gap * gap if margin >= -1.0 else -4.0 * margin
        slope = -2.0 * y * gap if margin >= -1.0 else -4.0 * y
    elif loss == SQUARED_ERROR:
        residual = z - y
        value, slope = bounded(0.5 * residual * residual, residual)
    elif loss == HUBER:
        residual = z - y
        slope = min(max(residual, -parameter), parameter)
        value, slope = bounded(slope * (residual - 0.5 * slope), slope)
    elif loss == EPSILON_INSENSITIVE:
        residual = z - y
        value = max(abs(residual) - parameter, 0.0)
        slope = np.sign(residual) if abs(residual) > parameter else 0.0
    elif loss == SQUARED_EPSILON_INSENSITIVE:
        residual = z - y
        excess = max(abs(residual) - parameter, 0.0)
        value, slope = bounded(excess * excess, 2.0 * np.sign(residual) * excess)
    elif loss == ABSOLUTE_ERROR:
        residual = z - y
        value = abs(residual)
        slope = np.sign(residual)
    elif loss == QUANTILE:
        residual = z - y
        slope = 0.0 if residual == 0.0 else (1.0 - parameter if residual > 0.0 else -parameter)
        value = slope * residual
    elif loss == POISSON:
        mean = exp(z)
        value, slope = bounded(mean - y * z, mean - y)
    elif loss == GAMMA:
        ratio = y * exp(-z)
        value, slope = bounded(z + ratio, 1.0 - ratio)
    else:  # CROSS_ENTROPY: log(1 + exp(z)) - y z, in parts that are not differences of large numbers
        e, rest = exp_of_negative(-abs(z)), 1.0 - y
        value = log_of_one_plus(e) + (rest * z if z > 0.0 else -y * z)
        slope = (rest - y * e if z > 0.0 else rest * e - y) / (1.0 + e)
    return value, slope


@kernel
def largest_of_row(scores, r):
    """Of four numbers at a time, each of which has its own largest: one would wait for itself."""
    n = scores.shape[1]
    m0 = m1 = m2 = m3 = scores[r, 0]
    for k in range(0, n - 3, 4):
        m0, m1 = max(m0, scores[r, k]), max(m1, scores[r, k + 1])
        m2, m3 = max(m2, scores[r, k + 2]), max(m3, scores[r, k + 3])
    for k in range(n - n % 4, n):
        m0 = max(m0, scores[r, k])
    return max(max(m0, m1), max(m2, m3))


@kernel
def softmax_loss_and_slopes(scores, r, label):
    """Cross-entropy of ``softmax(scores[r])`` with class ``label``; the slopes overwrite ``scores[r]``."""
    n_classes, largest = scores.shape[1], largest_of_row(scores, r)
    own, total = scores[r, label] - largest, 0.0
    for k in range(n_classes):
        scores[r, k] = exp_of_negative(scores[r, k] - largest)
        total += scores[r, k]
    others = 0.0  # 1 - p of the own class as a sum of the others: no cancellation where p is near 1
    for k in range(n_classes):
        scores[r, k] /= total
        others += scores[r, k] if k != label else 0.0
    scores[r, label] = -others
    return log(total) - own
