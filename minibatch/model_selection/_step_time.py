"""How long an update takes on this machine, as a function of the batch size: timed, and fitted by a line."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from minibatch._base.trials import Updates, plain_clone

__all__ = ["MOST_UPDATES", "NEAR", "ROUNDS", "SECONDS_A_RUN", "SIZES", "StepTime", "step_time"]

# A run is long enough for the clock. All sizes are timed in turn, several times, and the fastest run of each counts:
# whatever else the machine does only makes a run slower.
SECONDS_A_RUN, ROUNDS = 0.015, 5
SIZES = (1, 4, 16, 64, 256, 1024, 4096)
MOST_UPDATES = 20_000
# The fit is judged at the sizes within this factor of one.
NEAR = 8


class StepTime(NamedTuple):
    """``overhead + per_sample * B`` seconds for an update on ``B`` rows."""

    overhead: float
    per_sample: float
    batch_sizes: NDArray[np.int64]  # timed
    seconds: NDArray[np.float64]  # per update, as timed: with the epochs begun in that run
    fitted: NDArray[np.float64]  # the same by the fit

    def off_line(self, batch_size: int) -> float:
        """The factor by which the fit is off where it matters: at the timed sizes up to ``NEAR`` times smaller or
        larger."""
        ratio = self.batch_sizes / batch_size
        factors = np.exp(np.abs(np.log(self.fitted / self.seconds)))
        return float(factors[(ratio >= 1.0 / NEAR) & (ratio <= NEAR)].max(initial=1.0))


def step_time(final: Any, X: Any, y: Any, weight: Any) -> StepTime:
    """Time updates of several batch sizes, and fit the line.

    A run of ``k`` updates on ``B`` rows takes ``k a + k B b + e c`` seconds: ``c`` is what an epoch costs besides its
    updates (drawing an order), and ``e`` counts the epochs begun. Over a long training ``c`` is spread over the ``n``
    rows of an epoch, so that an update takes ``a + (b + c / n) B``.
    """
    n_samples = X.shape[0]
    sizes = np.unique([min(size, n_samples) for size in SIZES])
    models = [plain_clone(final, batch_size=int(size)) for size in sizes]
    shortest = [min(_seconds(model, X, y, weight, 1) for _ in range(2)) for model in models]
    runs = [(model, k) for model, one in zip(models, shortest, strict=True) for k in (1, _updates_of_a_run(one))]
    times = [[_seconds(model, X, y, weight, k) for model, k in runs] for _ in range(ROUNDS)]
    seconds, updates = np.min(times, axis=0), np.array([k for _, k in runs], float)
    rows = updates * np.repeat(sizes, 2)
    epochs = np.ceil(updates / -(-n_samples // np.repeat(sizes, 2)))
    # relative errors count: a run of one update is as telling as one of thousands
    counts = np.stack([updates, rows, epochs], axis=1)
    (a, b, c), _ = nnls(counts / seconds[:, None], np.ones(len(seconds)))
    timed, fitted = np.array([seconds, counts @ (a, b, c)])[:, 1::2] / updates[1::2]  # of the long runs
    return StepTime(float(a), float(b + c / n_samples), sizes, timed, fitted)


def _updates_of_a_run(seconds: float) -> int:
    """How many, if one took so long; more than one, so that updates are told from epochs."""
    return int(np.clip(SECONDS_A_RUN / seconds, 2, MOST_UPDATES))


def _seconds(model: Any, X: Any, y: Any, weight: Any, n_updates: int) -> float:
    few = slice(0, 2)  # nothing is tested
    test = (X[few], y[few], None)
    model._train(X, y, weight, watch=Updates(test, n_updates))
    return float(model.history_.last("seconds"))
