"""Learning-rate schedules and scaling rules: plain functions, for use by themselves and by the estimators.

``t`` is the time since the schedule began, 0 at the first update: a number or an array. Functions with a length
(``step_size``, ``length``; positive) take it in the same unit, whatever that is; the others count updates. Where a
schedule has a length, estimators count epochs, in fractions, so that it means the same for every batch size.

Any function of a ``Progress`` is a schedule too: give it to an estimator as its ``learning_rate``.
"""

from minibatch.schedules._functions import (
    constant,
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
from minibatch.schedules._progress import Progress
from minibatch.schedules._scaling import scale_adam, scale_learning_rate

__all__ = [
    "Progress", "constant", "cosine", "exp_range", "inverse_time", "invscaling", "one_cycle", "optimal", "scale_adam",
    "scale_learning_rate", "step", "triangular", "triangular2", "warmup",
]  # fmt: skip
