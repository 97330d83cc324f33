"""What the noise of gradients says about batch sizes: the critical one, and the updates that others take."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch.diagnostics import GradientNoiseCurve, gradient_noise_curve

__all__ = [
    "FEWEST_UPDATES", "LOOKS", "MOST_UPDATES", "ROWS_LOOKED_AT", "RUN_EPOCHS", "RUN_ROWS", "critical_batch_size",
    "noise_along_a_run", "relative_updates",
]  # fmt: skip

# The short run along which the noise is looked at: batches of RUN_ROWS, five epochs of them but within these bounds.
RUN_ROWS, RUN_EPOCHS, FEWEST_UPDATES, MOST_UPDATES = 32, 5, 200, 3000
LOOKS, ROWS_LOOKED_AT = 12, 5000


def noise_along_a_run(model: Any, rows: tuple[Any, Any, Any], seed: int) -> GradientNoiseCurve:
    """Of a model whose batches are of ``RUN_ROWS``, or of all rows."""
    X, y, weight = rows
    updates = int(np.clip(RUN_EPOCHS * -(-len(y) // model.batch_size), FEWEST_UPDATES, MOST_UPDATES))
    return gradient_noise_curve(
        model, X, y, n_looks=LOOKS, max_updates=updates, random_state=seed, batch_size=min(len(y), ROWS_LOOKED_AT),
        sample_weight=weight,
    )  # fmt: skip


def critical_batch_size(noise_scales: NDArray[np.float64], n_updates: NDArray[np.int64], batch_size: int) -> float:
    """The mean noise scale over ideal steps: a look stands for the updates since the last one, each ``1 / (1 + N / B)``
    of a step.

    >>> critical_batch_size(np.array([96.0, 96.0]), np.array([1, 10]), 32)
    96.0
    >>> critical_batch_size(
    ...     np.array([0.0, np.inf]), np.array([1, 2]), 32
    ... )  # an update of pure noise is no step
    32.0
    """
    known = ~np.isnan(noise_scales)
    updates = np.diff(n_updates, prepend=0)[known]
    steps = updates / (1.0 + noise_scales[known] / batch_size)
    return float((updates - steps).sum() * batch_size / steps.sum()) if steps.sum() > 0.0 else np.inf


def relative_updates(sizes: NDArray[np.int64], critical: float) -> NDArray[np.float64]:
    """``1 + B_c / B``; of nothing but noise, rows are all that counts.

    >>> (
    ...     relative_updates(np.array([8, 32]), 32.0),
    ...     relative_updates(np.array([8, 32]), np.inf),
    ... )
    (array([5., 2.]), array([0.125  , 0.03125]))
    """
    return 1.0 + critical / sizes if critical < np.inf else 1.0 / sizes
