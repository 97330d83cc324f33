"""How long an update takes on this machine, as a function of the batch size: timed, and fitted by a line."""

import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.base import clone

from minibatch._estimator import Measures
from minibatch._problems.state import Vector

# A run is long enough for the clock, and for the first touch of the data to matter little. Of several runs the fastest
# counts: others on the machine only make them slower.
SECONDS_A_RUN, REPEATS = 0.02, 3
SIZES = (1, 4, 16, 64, 256, 1024, 4096)
MOST_UPDATES = 20_000


class StepTime(NamedTuple):
    """``overhead + per_sample * B`` seconds for an update on ``B`` rows."""

    overhead: float
    per_sample: float
    error: float  # largest relative deviation of a timed run from the line
    batch_sizes: NDArray[np.int64]  # timed
    seconds: NDArray[np.float64]  # per update, as timed


class _Updates:
    """The ``Watch`` of a timed run: so many updates, whatever the estimator says about when to stop."""

    def __init__(self, rows: tuple[Any, Any, Any], n_updates: int) -> None:
        self.test = rows
        self.limits = {"max_iter": sys.maxsize, "max_updates": n_updates, "patience": np.inf, "growth": None}
        self.limits |= {"evaluate_every": None, "verbose": 0}

    def begin(self, measures: Measures, theta: Vector) -> None: ...
    def see(self, row: dict[str, Any], theta: Vector) -> None: ...
    def end(self, theta: Vector) -> None: ...


def step_time(final: Any, X: Any, y: Any, weight: Any, n_samples: int) -> StepTime:
    """Time updates of several batch sizes, and fit the line.

    A run of ``k`` updates on ``B`` rows takes ``k a + k B b + e c`` seconds, with ``c`` for what an epoch costs besides
    its updates (drawing an order), and ``e`` epochs begun. Over a long training ``c`` is spread over the ``n`` rows of an
    epoch, so an update takes ``a + (b + c / n) B``.
    """
    sizes = np.unique([min(size, n_samples) for size in SIZES])
    counts, times = [], []
    for size in sizes:
        model = clone(final).set_params(batch_size=int(size), tol=None, early_stopping=False)
        vars(model).pop("_skl_callbacks", None)
        one = min(_seconds(model, X, y, weight, 1) for _ in range(REPEATS))
        n_updates = int(np.clip(SECONDS_A_RUN / one, 2, MOST_UPDATES))
        # the first guess counts an epoch's costs as an update's; the second does not
        n_updates = int(np.clip(n_updates * SECONDS_A_RUN / _seconds(model, X, y, weight, n_updates), 2, MOST_UPDATES))
        many = min(_seconds(model, X, y, weight, n_updates) for _ in range(REPEATS))
        for k, seconds in ((1, one), (n_updates, many)):
            counts.append((k, k * size, np.ceil(k / -(-n_samples // size))))
            times.append(seconds)
    design, seconds = np.array(counts, float), np.array(times)
    # relative errors count: a run of one update is as telling as one of thousands
    (a, b, c), _ = nnls(design / seconds[:, None], np.ones(len(seconds)))
    long = slice(1, None, 2)
    per_update = (seconds[long] - c * design[long, 2]) / design[long, 0] + c * sizes / n_samples
    overhead, per_sample = float(a), float(b + c / n_samples)
    error = float(np.abs((overhead + per_sample * sizes) / per_update - 1.0).max())
    return StepTime(overhead, per_sample, error, sizes, per_update)


def _seconds(model: Any, X: Any, y: Any, weight: Any, n_updates: int) -> float:
    few = slice(0, 2)  # nothing is tested
    test = (X[few], y[few], None)
    model._train(X, y, weight, watch=_Updates(test, n_updates))
    return float(model.history_.last("seconds"))
