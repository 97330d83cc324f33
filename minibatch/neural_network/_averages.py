"""``average``: of which iterates a network's model is the mean."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from minibatch._base.ranges import number_above
from minibatch.neural_network._auto import SCHEDULE_FREE

__all__ = ["AVERAGES", "EMA", "averaged_from", "half_life_of"]

EMA = "ema"
AVERAGES: dict[str, list[Any]] = {
    "average": [Interval(Integral, 0, None, closed="neither"), "boolean", StrOptions({EMA})],
    "average_half_life": [number_above(0)],
}


def averaged_from(estimator: Any) -> int | None:
    """After how many rows averaging begins; None where nothing is averaged."""
    if estimator.average:
        return 1 if isinstance(estimator.average, str) else int(estimator.average)
    return 0 if estimator._is_auto and estimator.solver not in SCHEDULE_FREE else None


def half_life_of(estimator: Any) -> float | None:
    """In epochs, infinite for the mean of all iterates; None for the tail average of ``learning_rate="auto"``."""
    if not estimator.average:
        return None
    return float(estimator.average_half_life) if isinstance(estimator.average, str) else np.inf
