"""Batch sizes against each other: each trains for the same time at its own rates, and what they reach is compared."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from minibatch._base.watch import Measures
from minibatch._problems.batching import rows_in_batches
from minibatch._problems.state import Vector
from minibatch._training.calibration import lowest, walk
from minibatch.model_selection._step_time import Enough

__all__ = [
    "AFTER_REST", "AT_REST", "FEWEST_EPOCHS", "FIRST_LOOK", "JUDGES", "LEAST_SHARE", "LEVELS", "LONGER",
    "LOOK_FACTOR", "MOST_EPOCHS", "MOST_SEEDS", "RATE_FACTOR", "RUNS_TO_COME", "Path", "Race", "lowest_of",
    "seconds_to_levels",
]  # fmt: skip

# A run is looked at after a share of an epoch, and then after so many times the updates; on JUDGES rows.
FIRST_LOOK, LOOK_FACTOR, JUDGES = 0.03, 1.2, 10_000
# It has come to rest when the last half of its updates gained less than this share of all that was gained. Along
# ``F* + c / t`` that share is left to gain. The first run says how long the others may take: LONGER times as long.
AT_REST, FEWEST_EPOCHS, MOST_EPOCHS, LONGER = 0.003, 2, 100, 2.0
# What sizes are compared by: the time until so much of the fall of the objective is left, as a mean of logarithms.
LEVELS = (0.04, 0.01)
RATE_FACTOR = 3.0
AFTER_REST = 2.0  # what a run at rest has left falls as the inverse of this root of time
LEAST_SHARE = 1e-3  # of the time until the first look
RUNS_TO_COME = 6  # that share the time that is left
MOST_SEEDS = 3  # of runs that are compared, where there is time


class Path(NamedTuple):
    """What a run reached."""

    batch_size: int
    learning_rate: float  # NaN where training finds its own
    seconds: NDArray[np.float64]  # by the time of an update, at every look
    updates: NDArray[np.float64]
    objectives: NDArray[np.float64]  # the first is that of the beginning
    ended: str  # 'at rest', 'in time', 'too slow', 'diverged'


class _Looks:
    """The ``Watch`` of one run."""

    def __init__(self, rows: tuple[Any, Any, Any], whole: int, most_updates: int, ends: float) -> None:
        number = int(np.log(MOST_EPOCHS / FIRST_LOOK) / np.log(LOOK_FACTOR)) + 1
        looks = np.unique(np.ceil(whole * FIRST_LOOK * LOOK_FACTOR ** np.arange(number)).astype(np.int64))
        self.looks = np.unique([*looks[looks < most_updates], most_updates])
        self.test, self.fewest, self.ends = rows, FEWEST_EPOCHS * whole, ends
        self.limits = {
            "max_iter": sys.maxsize, "max_updates": most_updates, "stretches": self.looks, "patience": np.inf,
            "growth": None,
        }  # fmt: skip
        self.updates, self.objectives, self.ended = [0], [np.inf], "in time"

    def begin(self, measures: Measures, theta: Vector) -> None:
        problem = measures.problem
        if problem.n_samples > JUDGES:
            places = np.random.default_rng(0).permutation(problem.n_samples)[:JUDGES]
            problem = problem.copied(np.sort(places))
        self.problem = problem
        self.objectives = [self.objective(theta)]

    def objective(self, theta: Vector) -> float:
        return float(self.problem.mean_loss(self.problem.scores(theta)) + self.problem.penalties(theta).sum())

    def see(self, row: dict[str, Any], theta: Vector) -> None:
        if not np.isfinite(theta).all():
            self._end("diverged")
        if row["n_updates"] not in self.looks:
            return
        objective = self.objective(theta)
        if not np.isfinite(objective):
            self._end("diverged")
        self.updates.append(row["n_updates"])
        self.objectives.append(objective)
        if self._is_at_rest():
            self._end("at rest")
        if time.perf_counter() > self.ends:
            self._end("too slow")

    def _end(self, how: str) -> NoReturn:
        self.ended = how
        raise Enough

    def end(self, theta: Vector) -> None: ...

    def _is_at_rest(self) -> bool:
        now = self.updates[-1]
        if now < self.fewest:
            return False
        lowest = np.fmin.accumulate(self.objectives)
        half = np.searchsorted(self.updates, now / 2, side="right") - 1
        return bool(lowest[half] - lowest[-1] <= AT_REST * (lowest[0] - lowest[-1]))


@dataclass
class Race:
    """Runs on the same rows, remembered by batch size and how many times the first rate theirs is. ``model_of`` gives
    the model of such a pair for a seed, and its rate; NaN where there are no rates to choose."""

    model_of: Callable[[int, float, int], tuple[Any, float]]
    rows: tuple[Any, Any, Any]
    seconds_an_update: Callable[[int], float]
    deadline: float  # of ``time.perf_counter``
    told: Callable[[], None]
    longest: float = np.inf  # seconds of training, by the times of updates
    n_seeds: int = 1
    paths: dict[tuple[int, float], list[Path]] = field(default_factory=dict)  # one a seed

    def run(self, sizes: NDArray[np.int64], start: int) -> None:
        """From the start to all sides, and on from the best so far until nothing beside it is better."""
        all_sizes = sizes.tolist()
        best = (int(sizes[np.argmin(np.abs(np.log(sizes / start)))]), 1.0)
        self._first(best)
        while True:
            at, times = all_sizes.index(best[0]), best[1]
            beside = [(all_sizes[i], times) for i in (at + 1, at - 1) if 0 <= i < len(all_sizes)]
            if self._has_rates:
                beside += [(best[0], times * RATE_FACTOR), (best[0], times / RATE_FACTOR)]
            for pair in beside:
                self._run(pair)
            found = list(self.paths)[int(np.argmin(self.costs()))]
            if found == best or time.perf_counter() > self.deadline:
                return
            best = found

    def refine(self, similar: float) -> None:
        """Sizes that take at most so many times the least find the best rate between those that were tried."""
        paths_of_sizes, costs = self.best_of_sizes()
        if not self._has_rates or not np.isfinite(costs.min()):
            return
        for (path, *_), cost in zip(paths_of_sizes, costs, strict=True):
            if cost <= similar * costs.min():
                self._refine(path.batch_size)

    def _refine(self, batch_size: int) -> None:
        def cost(times: float) -> float:
            self._run((batch_size, times))
            return self._cost((batch_size, times))

        best = min((times for size, times in self.paths if size == batch_size), key=cost)
        cost(lowest(cost, walk(cost, best, RATE_FACTOR), RATE_FACTOR))

    @property
    def _has_rates(self) -> bool:
        first, *_ = self.paths.values()
        return not np.isnan(first[0].learning_rate)

    def _run(self, pair: tuple[int, float]) -> None:
        if pair not in self.paths and time.perf_counter() < self.deadline:
            self.paths[pair] = [self._path(pair, seed) for seed in range(self.n_seeds)]

    def _cost(self, pair: tuple[int, float]) -> float:
        return float(self.costs()[list(self.paths).index(pair)]) if pair in self.paths else np.inf

    def costs(self) -> NDArray[np.float64]:
        """What pairs are compared by: means of logarithms over seeds and levels."""
        times = [seconds_to_levels(list(of_seed)) for of_seed in zip(*self.paths.values(), strict=True)]
        costs: NDArray[np.float64] = np.exp(np.log(times).mean(axis=(0, 2)))
        return costs

    def best_of_sizes(self) -> tuple[list[list[Path]], NDArray[np.float64]]:
        """The best paths of every size, in order of the sizes, and their costs."""
        pairs, costs = list(self.paths), self.costs()
        best: dict[int, int] = {}
        for number in np.argsort(costs)[::-1]:
            best[pairs[number][0]] = int(number)
        numbers = [best[size] for size in sorted(best)]
        return [self.paths[pairs[number]] for number in numbers], costs[numbers]

    def _first(self, pair: tuple[int, float]) -> None:
        """It says how long others may take, and how often they can run."""
        began = time.perf_counter()
        first = self._path(pair, 0)
        took = time.perf_counter() - began
        self.longest = LONGER * first.seconds[-1]
        if MOST_SEEDS * RUNS_TO_COME * LONGER * took < self.deadline - time.perf_counter():
            self.n_seeds = MOST_SEEDS
        self.paths[pair] = [first, *(self._path(pair, seed) for seed in range(1, self.n_seeds))]

    def _path(self, pair: tuple[int, float], seed: int) -> Path:
        X, y, weight = self.rows
        batch_size, an_update = pair[0], self.seconds_an_update(pair[0])
        model, rate = self.model_of(*pair, seed)
        now = time.perf_counter()
        ends = now + max(0.0, self.deadline - now) / RUNS_TO_COME
        _, whole = rows_in_batches(len(y), batch_size, "drop" if model._drops_short_batches() else "keep")
        most = int(np.clip(self.longest / an_update, 1, MOST_EPOCHS * whole))
        watch = _Looks((X[:2], y[:2], None), whole, most, ends)
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                model._train(X, y, weight, watch=watch)
            except Enough:
                pass
        self.told()
        updates = np.array(watch.updates, float)
        return Path(batch_size, rate, an_update * updates, updates, np.array(watch.objectives), watch.ended)


def lowest_of(paths: list[Path]) -> tuple[float, float]:
    """The objective where all begin, and the lowest at which any has ended."""
    return float(paths[0].objectives[0]), float(min(path.objectives[-1] for path in paths))


def seconds_to_levels(paths: list[Path], levels: tuple[float, ...] = LEVELS) -> NDArray[np.float64]:
    """(paths, levels): seconds until a share of the whole fall is left, by logarithms between looks.

    What a path has not reached when its time was over it would, if what is left fell as ``1 / t``, and much later where
    it has come to rest: the noise of a constant rate does not fall.
    """
    first, lowest = lowest_of(paths)
    return np.array(
        [[_seconds_to(path, lowest + level * (first - lowest), lowest) for level in levels] for path in paths]
    )


def _seconds_to(path: Path, level: float, lowest: float) -> float:
    """Until it is there to stay: the noise of a rate that is too high may take it there for a moment."""
    stays = np.maximum.accumulate(path.objectives[::-1])[::-1]
    if not level > lowest:  # nothing fell
        return np.inf
    if not stays[-1] <= level:
        if path.ended == "diverged":
            return np.inf
        power = AFTER_REST if path.ended == "at rest" else 1.0
        return float(path.seconds[-1] * ((stays[-1] - lowest) / (level - lowest)) ** power)
    at = int(np.argmax(stays <= level))
    before, after = path.objectives[at - 1], path.objectives[at]
    share = float((before - level) / (before - after))
    if at == 1:
        return float(path.seconds[1] * max(share, LEAST_SHARE))
    return float(path.seconds[at - 1] * (path.seconds[at] / path.seconds[at - 1]) ** share)
