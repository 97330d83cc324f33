"""From what was predicted and what was measured to an answer, its reason and its doubts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch._tables import short
from minibatch.diagnostics import GradientNoiseCurve
from minibatch.model_selection._candidates import Candidates
from minibatch.model_selection._full_batch_solver import FullBatchSolver
from minibatch.model_selection._noise_law import critical_batch_size
from minibatch.model_selection._race import LEVELS, Path, Race, lowest_of, seconds_to_levels
from minibatch.model_selection._recommendation import BatchSizeRecommendation, Table
from minibatch.model_selection._step_time import AGREE, StepTimes
from minibatch.model_selection._worker_advice import Shared, doubts_about_workers, words_about_workers
from minibatch.model_selection._worker_times import WorkerTimes

__all__ = ["CHANGED", "SIMILAR", "Findings", "advice_of", "corrected", "flat_around", "middle"]

# Times this close are taken for the same.
SIMILAR = 1.2
CHANGED = 4.0  # the factor by which a rise of the noise scale is worth a doubt


class Findings(NamedTuple):
    sizes: NDArray[np.int64]
    memory: NDArray[np.int64]
    by_law: NDArray[np.float64]  # relative seconds
    critical: float
    times: StepTimes | WorkerTimes
    noise: GradientNoiseCurve
    race: Race
    candidates: Candidates
    solver: FullBatchSolver | None
    n_samples: int
    n_raced: int  # rows of the runs
    shared: Shared | None  # what there is to say of several workers


def middle(sizes: NDArray[np.int64]) -> int:
    """The size in the middle, by ratios. Predicted times are symmetric in the logarithm of the size around the least,
    so this is the fastest, but where one end of the similar sizes is cut off; there it keeps away from the end.

    >>> (
    ...     middle(np.array([4, 8, 16])),
    ...     middle(np.array([1, 2, 4, 8, 16, 32, 64])),
    ...     middle(np.array([100])),
    ... )
    (8, 8, 100)
    """
    return int(sizes[np.argmin(np.abs(np.log(sizes) - 0.5 * np.log(float(sizes[0]) * sizes[-1])))])


def corrected(
    sizes: NDArray[np.int64], by_law: NDArray[np.float64], raced: NDArray[np.int64], costs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The law, drawn through what was measured: between two raced sizes the ratio to the law goes from one to the other
    by logarithms, beyond them it stays.

    >>> sizes = np.array([1, 2, 4, 8])
    >>> corrected(sizes, np.ones(4), sizes[[0, 2]], np.array([1.0, 4.0]))
    array([1., 2., 4., 4.])
    """
    ratios = np.log(costs) - np.log(by_law[np.searchsorted(sizes, raced)])
    return by_law * np.exp(np.interp(np.log(sizes), np.log(raced), ratios))


def flat_around(best: int, sizes: NDArray[np.int64], fast: NDArray[np.bool_]) -> tuple[int, int]:
    """The ends of the fast sizes on both sides of the best one, without a gap.

    >>> flat_around(
    ...     4, np.array([1, 2, 4, 8, 16]), np.array([True, False, True, True, False])
    ... )
    (4, 8)
    """
    first = last = int(np.flatnonzero(sizes == best)[0])
    while first > 0 and fast[first - 1]:
        first -= 1
    while last + 1 < len(sizes) and fast[last + 1]:
        last += 1
    return int(sizes[first]), int(sizes[last])


def advice_of(found: Findings, estimator: Any, seconds: Callable[[], float]) -> BatchSizeRecommendation:
    """``seconds`` is asked last, since a rate may yet be found here."""
    paths_of_sizes, costs = found.race.best_of_sizes()
    paths = [of_size[0] for of_size in paths_of_sizes]  # the first seed is shown; all are in the costs
    sizes, noise, raced = found.sizes, found.noise, np.array([path.batch_size for path in paths])
    if not np.isfinite(costs).any():  # nothing was measured but that nothing helps
        raced, costs = sizes, found.by_law
    best = middle(raced[costs <= SIMILAR * costs.min()])
    arrived = np.isfinite(costs)
    expected = corrected(sizes, found.by_law, raced[arrived], costs[arrived])
    fast = expected <= SIMILAR * costs.min()
    fast &= ~np.isin(sizes, raced[~arrived])
    flat = flat_around(best, sizes, fast)
    rate_at_best = next((path.learning_rate for path in paths if path.batch_size == best), np.nan)
    advised, rate = found.candidates.advised(estimator, best, rate_at_best)
    lower, upper = (critical_batch_size(end, noise.n_updates, int(noise.batch_sizes[-1])) for end in noise.intervals.T)
    return BatchSizeRecommendation(
        batch_size=best,
        learning_rate=rate,
        flat=flat,
        estimator=advised,
        critical_batch_size=found.critical,
        interval=(min(lower, found.critical), max(upper, found.critical)),  # whatever the rounding
        seconds_per_update=found.times.line(),
        table=_table(found, paths),
        reason=_reason(found, best, flat, raced, costs),
        unsure=(
            *_doubts(found, best, paths),
            *doubts_about_workers(found.shared, sizes, expected, best, found.n_raced),
        ),
        seconds=seconds(),
        full_batch_solver=found.solver,
        noise=noise,
        **({} if found.shared is None else found.shared.fields()),
    )


def _table(found: Findings, paths: list[Path]) -> Table:
    sizes, first, lowest = found.sizes, *lowest_of(paths)
    level = lowest + LEVELS[-1] * (first - lowest)
    columns = {name: np.full(len(sizes), np.nan) for name in ("learning_rate", "updates", "seconds", "left")}
    for path, seconds in zip(paths, seconds_to_levels(paths, LEVELS[-1:])[:, 0], strict=True):
        at, end = np.searchsorted(sizes, path.batch_size), path.objectives[-1]
        columns["learning_rate"][at] = path.learning_rate
        if lowest < first:
            columns["left"][at] = (end - lowest) / (first - lowest)
            if end <= level:
                columns["seconds"][at], columns["updates"][at] = seconds, seconds / found.times.of(path.batch_size)
    measured = ~np.isnan(columns["seconds"])
    # the law has no scale of its own: it gets that of what was measured, by the mean of logarithms
    scale = np.exp(np.mean(np.log(columns["seconds"][measured] / found.by_law[measured]))) if measured.any() else 1.0
    with np.errstate(divide="ignore"):  # no noise
        signal_to_noise = np.sqrt(sizes / found.critical)
    return {
        "batch_size": sizes,
        "learning_rate": columns["learning_rate"],
        "predicted_updates": scale * found.by_law / found.times.of(sizes),
        "predicted_seconds": scale * found.by_law,
        "measured_updates": columns["updates"],
        "measured_seconds": columns["seconds"],
        "left": columns["left"],
        "memory": found.memory,
        "signal_to_noise": signal_to_noise,
    }


def _reason(
    found: Findings, best: int, flat: tuple[int, int], raced: NDArray[np.int64], costs: NDArray[np.float64]
) -> str:
    predicted = middle(found.sizes[found.by_law <= SIMILAR * found.by_law.min()])
    words = (
        f"An update takes {1e6 * found.times.of(1):.2g} us on one row and {1e6 * found.times.of(best):.2g} us on "
        f"{best}, and the gradient noise scale is {found.critical:.0f} rows, which predicts batches of {predicted}. "
    )
    if len(raced) < len(found.sizes):
        ratios = costs / costs[raced == best][0]
        words_of = ["never" if ratio == np.inf else f"{ratio:.2g}" for ratio in ratios]
        others = [f"{ratio} with {size}" for size, ratio in zip(raced, words_of, strict=True) if size != best]
        sample = f" on {found.n_raced:,} of the rows" if found.n_raced < found.n_samples else ""
        words += f"In runs{sample} to the same objective, times relative to {best} rows: {', '.join(others)}. "
    if found.shared is not None:
        words += words_about_workers(found.shared, best)
    if flat[0] == flat[1]:
        return f"{words}Other sizes take over {SIMILAR - 1:.0%} more time."
    return f"{words}{flat[0]} to {flat[1]} rows take about the same time (within {SIMILAR - 1:.0%})."


def _doubts(found: Findings, best: int, paths: list[Path]) -> list[str]:
    doubts = [*_doubts_about_runs(found, paths), *_doubts_about_noise(found.noise)]
    first, lowest = lowest_of(paths)
    for path in paths:
        left = path.objectives[-1] - lowest
        if path.batch_size == best and path.learning_rate > 0 and left > LEVELS[-1] * (first - lowest):
            doubts.append(
                f"The run that is advised ended with {left / (first - lowest):.1%} of the fall left: a lower rate ends "
                "lower. [MB201]"
            )
    if best == found.sizes[-1] < found.n_samples:
        doubts.append("max_memory bounds the batch size. [MB202]")
    return doubts


def _doubts_about_runs(found: Findings, paths: list[Path]) -> list[str]:
    candidates, doubts, (first, lowest) = found.candidates, [], lowest_of(paths)
    if not lowest < first:
        doubts.append("No run lowered the objective: the size is that of the law alone. [MB203]")
    if slow := [path.batch_size for path in paths if path.ended == "too slow"]:
        doubts.append(
            f"max_seconds cut off the runs with batches of {', '.join(map(str, slow))}: their order may change later. "
            "[MB204]"
        )
    if candidates.without_rate:
        named = ", ".join(map(str, candidates.without_rate))
        doubts.append(f"No rate was found that lowers the objective with batches of {named}. [MB205]")
    if candidates.raced_schedule != candidates.schedule:
        doubts.append(
            f"Sizes were compared at constant rates, since learning_rate={candidates.schedule!r} depends on how long "
            "training will last. [MB206]"
        )
    apart = found.times.spreads > AGREE
    if apart.any():
        named = ", ".join(map(str, found.times.batch_sizes[apart]))
        doubts.append(
            f"Times of updates on {named} rows were up to a factor of {found.times.spreads.max():.2g} apart; the "
            "machine may have been busy. [MB207]"
        )
    return doubts


def _doubts_about_noise(noise: GradientNoiseCurve) -> list[str]:
    doubts, (start, end) = [], noise.noise_scales[[0, -1]]
    if noise.status == "diverged":
        doubts.append("The short run diverged: the noise is that of its beginning. [MB208]")
    if not noise.resolved.all():
        doubts.append(
            f"At {np.sum(~noise.resolved)} of {len(noise.resolved)} looks, {noise.n_rows} rows do not tell the "
            "gradient from its noise: the noise scale may be larger. [MB209]"
        )
    if noise.carried_by_few.any():
        doubts.append(
            f"At {np.sum(noise.carried_by_few)} of {len(noise.carried_by_few)} looks, a few of the {noise.n_rows} rows "
            "looked at carry the noise: its scale is rougher than its interval says. [MB210]"
        )
    if end > CHANGED * start:
        doubts.append(
            f"The noise scale rose from {short(start)} to {short(end)} rows along the run: a longer training wants "
            "larger batches at its end (see batch_growth). [MB211]"
        )
    return doubts
