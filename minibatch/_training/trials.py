"""Short runs with the rates of a longer one, on some of the rows, judged on others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minibatch._problems.batching import Order, rows_in_batches
from minibatch._problems.epochs import Epoch
from minibatch._problems.state import Vector
from minibatch.schedules._progress import Progress, Rates, Schedule

__all__ = [
    "FEW", "FEWEST_ROWS", "FEWEST_TO_SPLIT", "FEWEST_UPDATES", "FIRST_UPDATES", "FULL_BATCH", "FULL_LENGTHS",
    "JUDGES", "LARGEST_BATCH", "LEARNED", "LONGER", "LOOKS", "MOST_ROWS", "N_LENGTHS", "SCOUTS", "SEGMENTS",
    "SHARE", "Run", "Split", "Trials", "rates_of_trial", "splits_of",
]  # fmt: skip

# Rows that are learned from, and rows that judge: enough to tell rates that differ by a factor of two. Of fewer than
# FEW rows, every third judges in turn; so few that none can be spared judge themselves.
LEARNED, JUDGES, FEW, FEWEST_TO_SPLIT = 4000, 2000, 300, 4
# Larger batches are as many rows in a trial: noisier, so the rate is on the safe side. All rows are all of some.
LARGEST_BATCH, FULL_BATCH = 128, 1500
# The longest trials have a 24th of the rows of the run, within these; those before are a quarter of the next.
SHARE, FEWEST_ROWS, MOST_ROWS = 24, 2000, 16_000
FEWEST_UPDATES, FIRST_UPDATES, LONGER, N_LENGTHS = 64, 16, 4, 3
FULL_LENGTHS, SCOUTS = (12, 24), 1000
LOOKS = 8  # at a trial that ends at a high rate
SEGMENTS = 32  # parts of a run at whose beginnings a schedule that counts rows is told how many there were


class Run(NamedTuple):
    """The run that a rate is for."""

    schedule: Callable[[float], Schedule]  # by its first rate
    batch_size: int
    last_batch: str
    epochs: float
    averaged: bool

    def is_full(self, n_samples: int) -> bool:
        return self.batch_size >= n_samples

    def n_updates(self, n_samples: int) -> int:
        return max(1, int(self.epochs * rows_in_batches(n_samples, self.batch_size, self.last_batch)[1]))


class Split(NamedTuple):
    """Two problems on rows of one."""

    learned: Any
    judges: Any


def splits_of(problem: Any, run: Run, random: np.random.Generator, held_out: bool = True) -> list[Split]:
    """Copies of rows with weights above 0, in random order; without ``held_out``, the same ones learn and judge."""
    most = FULL_BATCH if run.is_full(problem.n_samples) else LEARNED
    sample = problem.sample(LEARNED if not held_out else most + JUDGES, random)
    places = random.permutation(sample.n_samples)
    if not held_out or len(places) < FEWEST_TO_SPLIT:
        return [Split(sample, sample)]
    n_judges = min(len(places) // 3, JUDGES)
    in_turn = [np.roll(places, -n_judges * turn) for turn in range(3 if len(places) < FEW else 1)]
    return [Split(sample.copied(turn[n_judges:]), sample.copied(turn[:n_judges])) for turn in in_turn]


@dataclass(frozen=True)
class Trials:
    """Runs from ``theta``, whose costs are remembered."""

    splits: list[Split]
    theta: Vector
    run: Run
    n_samples: int  # of the run
    seed: int
    costs: dict[tuple[float, int], float] = field(default_factory=dict)

    @property
    def few(self) -> Any:
        """Some of the rows learned from."""
        learned = self.splits[0].learned
        return learned.copied(np.arange(min(SCOUTS, learned.n_samples)))

    @property
    def lengths(self) -> list[int]:
        """Updates of trials, the longest last."""
        if self.run.is_full(self.n_samples):
            return [min(length, self.run.n_updates(self.n_samples)) for length in FULL_LENGTHS]
        rows = int(np.clip(self.run.epochs * self.n_samples / SHARE, FEWEST_ROWS, MOST_ROWS))
        longest = min(max(FEWEST_UPDATES, rows // self._batch_size), self.run.n_updates(self.n_samples))
        return [max(min(FIRST_UPDATES, longest), longest // LONGER**i) for i in reversed(range(N_LENGTHS))]

    @property
    def _batch_size(self) -> int:
        return min(self.run.batch_size, FULL_BATCH if self.run.is_full(self.n_samples) else LARGEST_BATCH)

    def cost(self, eta: float, n_updates: int) -> float:
        """The objective of the judges after so many updates from a first rate ``eta``, infinite where it has none."""
        if (eta, n_updates) not in self.costs:
            cost = sum(self._cost(split, eta, n_updates) for split in self.splits)
            self.costs[eta, n_updates] = cost if np.isfinite(cost) else np.inf
        return self.costs[eta, n_updates]

    def _cost(self, split: Split, eta: float, n_updates: int) -> float:
        """A mean over the last quarter where the rate stays high: single iterates are noisy, and may be lucky."""
        if n_updates == 0:
            return _objective(split.judges, self.theta)
        rates = rates_of_trial(self.run, self.n_samples, eta, n_updates)
        ends = np.array([n_updates])
        if rates[-1] > 0.5 * rates.mean() and not self.run.is_full(self.n_samples):
            ends = np.unique(np.linspace(0.75 * n_updates, n_updates, LOOKS).astype(int))
        found = [_objective(split.judges, theta) for theta in self.path(split.learned, rates, ends[ends > 0])]
        return float(np.mean(found))

    def path(self, problem: Any, rates: Rates, ends: Order) -> Iterator[Vector]:
        """The parameters after some of the updates; the same rows in the same order whatever the rates."""
        state, batch_size = problem.new_state(self.theta, self.run.averaged), min(self._batch_size, problem.n_samples)
        noisy, done = batch_size < problem.n_samples, 0
        _, whole = rows_in_batches(problem.n_samples, batch_size, self.run.last_batch)
        for order, n_batches in self._orders(problem.n_samples, batch_size, len(rates)):
            looks = ends[(ends > done) & (ends < done + n_batches)] - done
            for first, last in pairwise([0, *looks.tolist(), n_batches]):
                here, rows = rates[done + first : done + last], order[first * batch_size : last * batch_size]
                first_averaged = 0 if self.run.averaged else len(here)
                problem.run_epoch(state, Epoch(rows, here, batch_size, first_averaged, noisy, self.seed + done, whole))
                if not np.isfinite(state.theta).all():
                    yield state.theta
                    return
                if done + last in ends:
                    yield state.result()
            done += n_batches

    def _orders(self, n_rows: int, batch_size: int, n_updates: int) -> Iterator[tuple[Order, int]]:
        """Epochs of so many updates in all."""
        random = np.random.default_rng(self.seed)
        while n_updates > 0:
            n_learned, n_batches = rows_in_batches(n_rows, batch_size, self.run.last_batch, n_updates)
            yield random.permutation(n_rows)[:n_learned], n_batches
            n_updates -= n_batches


def _objective(problem: Any, theta: Vector) -> float:
    if not np.isfinite(theta).all():
        return np.inf
    return problem.mean_loss(problem.scores(theta)) + float(problem.penalties(theta).sum())


def rates_of_trial(run: Run, n_samples: int, eta: float, number: int) -> Rates:
    """So many rates, evenly out of those of the run: a trial sees all of its schedule."""
    _, whole = rows_in_batches(n_samples, run.batch_size, run.last_batch)
    n_parts = int(min(SEGMENTS, number, np.ceil(run.epochs)))
    ends, stride, schedule = np.arange(n_parts + 1) * number // n_parts, run.epochs * whole / number, run.schedule(eta)

    def part(first: int, last: int) -> Rates:
        before = first * stride
        rows = int(before / whole) * n_samples
        return schedule(Progress(last - first, int(before), before / whole, whole, rows, stride))

    return np.concatenate([part(first, last) for first, last in pairwise(ends.tolist())])
