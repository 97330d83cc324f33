"""How long an update takes on this machine, by batch size: timed in runs of several lengths."""

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from minibatch._base.watch import Measures
from minibatch._problems.batching import rows_in_batches, sample_order

__all__ = [
    "AGREE", "FEWEST_LOOKS", "FEWEST_ROUNDS", "LARGEST", "LEAST_SHARE", "MOST_ROUNDS", "SECONDS_A_RUN",
    "Enough", "StepTimes", "clock_of", "step_times", "times_that_agree",
]  # fmt: skip

# A run is long enough for the clock. All sizes are timed in turn until the two fastest runs of each agree: whatever
# else the machine does only makes a run slower.
SECONDS_A_RUN, FEWEST_LOOKS = 0.02, 4
AGREE, FEWEST_ROUNDS, MOST_ROUNDS = 1.1, 3, 8
LARGEST = 16_384  # rows of a batch that is timed; beyond, they are all that counts
LEAST_SHARE = 0.01  # of an update on one row that is not the row


class Enough(Exception):
    """Ends a run from inside."""


class StepTimes(NamedTuple):
    """Seconds of updates, as timed, with what an epoch takes beside its updates spread over its rows."""

    batch_sizes: NDArray[np.int64]
    seconds: NDArray[np.float64]
    spreads: NDArray[np.float64]  # of the two fastest runs, as a ratio

    def of(self, batch_size: Any) -> Any:
        """Straight lines between logarithms; beyond the largest size, rows are all that counts.

        >>> times = StepTimes(np.array([1, 4]), np.array([1e-6, 2e-6]), np.ones(2))
        >>> times.of(np.array([1, 2, 8])).round(8)
        array([1.00e-06, 1.41e-06, 4.00e-06])
        """
        logarithms = np.interp(np.log(batch_size), np.log(self.batch_sizes), np.log(self.seconds))
        return np.exp(logarithms) * np.maximum(1.0, batch_size / self.batch_sizes[-1])

    def line(self) -> tuple[float, float]:
        """``(a, b)`` with which ``a + b B`` is nearest, by ratios; both above 0.

        >>> sizes = 4 ** np.arange(5)
        >>> np.round(StepTimes(sizes, 3e-6 + 2e-7 * sizes, np.ones(5)).line(), 9).tolist()
        [3e-06, 2e-07]
        """
        sizes, first, last = self.batch_sizes, self.seconds[0], self.seconds[-1] / self.batch_sizes[-1]
        start = np.log([0.5 * first, 0.5 * last])
        bounds = (np.log([LEAST_SHARE * first, 1e-3 * last]), np.log([2.0 * first, 2.0 * max(first, last)]))

        def off(logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
            a, b = np.exp(logarithms)
            return np.log(a + b * sizes) - np.log(self.seconds)

        a, b = np.exp(least_squares(off, start, bounds=bounds, xtol=1e-12, ftol=1e-12, gtol=1e-12).x)
        return float(a), float(b)


def clock_of(model: Any) -> Callable[[], float]:
    """Of the processor where the calling thread does all the work: what else runs on the machine does not count."""
    return time.thread_time if model._n_threads() == 1 else time.perf_counter


class _Stopwatch:
    """The ``Watch`` of a run whose updates are timed: one, two, four, ... of them, from an epoch on in whole epochs."""

    def __init__(self, rows: tuple[Any, Any, Any], looks: NDArray[np.int64], clock: Callable[[], float]) -> None:
        self.test = rows  # nothing is asked about them
        self.limits = {
            "max_iter": sys.maxsize, "max_updates": int(looks[-1]), "stretches": looks, "patience": np.inf,
            "growth": None,
        }  # fmt: skip
        self.looks, self.clock = looks, clock
        self.times: list[float] = []

    def begin(self, measures: Measures, theta: NDArray[Any]) -> None:
        self.began = self.clock()

    def see(self, row: dict[str, Any], theta: NDArray[Any]) -> None:
        if row["n_updates"] != self.looks[len(self.times)]:
            return
        self.times.append(self.clock() - self.began)
        if len(self.times) >= FEWEST_LOOKS and self.times[-1] - self.times[0] > SECONDS_A_RUN:
            raise Enough

    def end(self, theta: NDArray[Any]) -> None: ...


def _looks(whole: int) -> NDArray[np.int64]:
    """
    >>> _looks(6)[:7].tolist()
    [1, 2, 4, 6, 12, 24, 48]
    """
    within = [2**i for i in range(whole.bit_length()) if 2**i < whole]
    return np.array([*within, *(whole * 2**i for i in range(FEWEST_LOOKS + 20))])


def _seconds_an_update(model: Any, X: Any, y: Any, weight: Any, seconds_an_order: float) -> float:
    """The slope of the last half of a run, so that what comes before the first update does not count."""
    _, whole = rows_in_batches(len(y), model.batch_size, "drop" if model._drops_short_batches() else "keep")
    watch = _Stopwatch((X[:2], y[:2], None), _looks(whole), clock_of(model))
    try:
        model._train(X, y, weight, watch=watch)
    except Enough:
        pass
    done, times = watch.looks[: len(watch.times)], np.array(watch.times)
    half = np.searchsorted(done, done[-1] / 2, side="right") - 1
    within_an_epoch = seconds_an_order / whole if done[-1] <= whole else 0.0
    return float((times[-1] - times[half]) / (done[-1] - done[half])) + within_an_epoch


def step_times(models: list[Any], X: Any, y: Any, weight: Any, deadline: float = np.inf) -> StepTimes:
    """Time updates of models that differ in their batch size, an integer, until runs agree or the deadline has come
    (of ``time.perf_counter``)."""
    clock, orders = clock_of(models[0]), []
    for epoch in range(FEWEST_ROUNDS):
        began = clock()
        sample_order(len(y), models[0].shuffle, 0, epoch)
        orders.append(clock() - began)
    sizes = np.array([model.batch_size for model in models])
    by_size = dict(zip(sizes.tolist(), models, strict=True))
    return times_that_agree(
        sizes, lambda size: _seconds_an_update(by_size[size], X, y, weight, min(orders)), deadline
    )  # fmt: skip


def times_that_agree(
    sizes: NDArray[np.int64], seconds_of: Callable[[int], float], deadline: float = np.inf
) -> StepTimes:
    """The fastest runs of every batch size, by ``seconds_of`` an update with it."""
    runs: list[list[float]] = [[] for _ in sizes]
    for number in range(MOST_ROUNDS):
        for size, times in zip(sizes.tolist(), runs, strict=True):
            if number < FEWEST_ROUNDS or times[1] > AGREE * times[0]:
                times.append(seconds_of(size))
                times.sort()
        if number > 0 and time.perf_counter() > deadline:
            break
    fastest = np.array([times[:2] for times in runs])
    return StepTimes(sizes, fastest[:, 0], fastest[:, 1] / fastest[:, 0])
