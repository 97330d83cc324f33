"""Branches of a training run: from one model on, with batches of other sizes and rates, until they reach a target."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import _num_samples

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.rates import lasts_the_run
from minibatch._base.trials import plain_copy, without_callbacks
from minibatch._base.watch import Measures
from minibatch._problems.pieces import ALONE
from minibatch._problems.state import Vector
from minibatch._training.calibration import lowest, walk
from minibatch.model_selection._step_time import Enough

__all__ = ["Branch", "Branches", "Goal", "OfSize", "checkpoints", "first_rows"]

_Array = NDArray[np.float64]

_JUDGES = 2048  # rows on which the objective is looked at
_LOOKS = 1.15  # each after so many times as many rows as the last
_PAST = 1.3  # a branch goes on so far beyond its first crossing: noise may have taken it there for a moment
_LAST = 3  # looks whose mean says where a branch that did not reach its target has ended
_FAR_ABOVE = 1000.0  # times the objective where it began: such a branch does not come back
_RATE_FACTOR = 2.0


def first_rows(rows: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """Some rows for the test part that a watched fit has, about which nothing is asked."""
    X, y, _ = rows
    return X[:2], None if y is None else y[:2], None


class Goal(NamedTuple):
    """What branches are to reach."""

    target: float  # of the objective
    limit: float  # rows that a branch may take
    first_look: float  # in rows


class Branch(NamedTuple):
    """Where a branch was at its looks, the first of which is at its beginning."""

    rows: _Array
    objectives: _Array
    diverged: bool

    def rows_to(self, target: float) -> float:
        """Rows until the target, by straight lines between looks (of logarithms, where all are positive); infinite
        where it was not reached. Of a noisy objective, halfway between the first time below and the last time above, by
        logarithms.

        >>> falls = Branch(np.array([0.0, 10.0, 20.0]), np.array([8.0, 2.0, 0.5]), False)
        >>> [round(falls.rows_to(target), 6) for target in (4.0, 1.0, 0.1)]
        [5.0, 15.0, inf]
        >>> round(
        ...     Branch(np.arange(1.0, 5.0), np.array([8.0, 0.5, 2.0, 0.5]), False).rows_to(1.0),
        ...     6,
        ... )  # 1.75 and 3.5
        2.474874
        """
        below = np.flatnonzero(self.objectives <= target)
        if len(below) == 0:
            return np.inf
        above, most = np.flatnonzero(self.objectives > target), len(self.rows) - 1
        first, last = int(below[0]), int(above[-1]) + 1 if len(above) else 1
        crossings = [self._crossing(int(np.clip(at, 1, most)), target) for at in (first, last)]
        return float(np.sqrt(crossings[0] * crossings[1]))

    def _crossing(self, at: int, target: float) -> float:
        """Between a look and the one before it; of a last look that is above, that look."""
        values = self.objectives[at - 1], target, self.objectives[at]
        before, here, after = np.log(values) if min(values) > 0.0 else values
        share = (before - here) / (before - after) if after <= here < before else 1.0
        return float(self.rows[at - 1] + share * (self.rows[at] - self.rows[at - 1]))

    def cost(self, goal: Goal) -> float:
        """Rows to the target; beyond the limit, the more the farther it stayed away."""
        if self.diverged:
            return np.inf
        rows = self.rows_to(goal.target)
        if np.isfinite(rows):
            return rows
        left = (self.end - goal.target) / (self.objectives[0] - goal.target)
        return goal.limit * (1.0 + max(0.0, left))

    @property
    def end(self) -> float:
        return float(self.objectives[-_LAST:].mean())


class OfSize(NamedTuple):
    """The branches of a size at its best rate."""

    batch_size: int
    learning_rate: float
    branches: list[Branch]  # one a repeat
    cost: float  # geometric mean over repeats

    def rows_to(self, target: float) -> _Array:
        return np.array([branch.rows_to(target) for branch in self.branches])


class _Watch:
    """The ``Watch`` of a branch."""

    def __init__(self, branches: "Branches", goal: Goal, batch_size: int, n_before: int) -> None:
        self.test, self.branches, self.goal, self.n_before = first_rows(branches.rows), branches, goal, n_before
        last = max(1, int(goal.limit / batch_size))
        number = 2 + int(max(0.0, np.log(goal.limit / goal.first_look) / np.log(_LOOKS)))
        looks = np.ceil(goal.first_look / batch_size * _LOOKS ** np.arange(number)).astype(np.int64)
        self.looks = np.unique([*looks[looks < last], last])
        self.limits = {
            "max_iter": sys.maxsize, "max_updates": last, "stretches": self.looks, "patience": np.inf, "growth": None,
        }  # fmt: skip
        self.rows: list[float] = [0.0]
        self.objectives: list[float] = []
        self.crossed, self.diverged = np.inf, False

    def begin(self, measures: Measures, theta: Vector) -> None:
        if self.branches.judge is None:
            problem = measures.problem
            places = np.arange(problem.n_samples)
            if problem.n_samples > _JUDGES:
                places = np.sort(np.random.default_rng(0).permutation(problem.n_samples)[:_JUDGES])
            # the threads of a fit end with it
            self.branches.judge = replace(problem.copied(places), threads=ALONE)
        self.objectives.append(self._objective(theta))

    def _objective(self, theta: Vector) -> float:
        judge: Any = self.branches.judge
        return float(judge.mean_loss(judge.scores(theta)) + judge.penalties(theta).sum())

    def see(self, row: dict[str, Any], theta: Vector) -> None:
        finite = bool(np.isfinite(theta).all())
        objective = self._objective(theta) if finite else np.inf
        if not objective <= self.objectives[0] + _FAR_ABOVE * abs(self.objectives[0]):
            self.diverged = True
            self._stop()
        rows = float(row["n_samples_seen"] - self.n_before)
        if rows <= self.rows[-1]:
            return
        self.rows.append(rows)
        self.objectives.append(objective)
        if objective <= self.goal.target:
            self.crossed = min(self.crossed, rows)
        if rows >= _PAST * self.crossed:
            self._stop()

    def _stop(self) -> NoReturn:
        raise Enough

    def end(self, theta: Vector) -> None: ...

    def branch(self) -> Branch:
        return Branch(np.array(self.rows), np.array(self.objectives), self.diverged)


@dataclass
class Branches:
    """Runs from one model, on the same rows, with the same seeds whatever size and rate."""

    model: MiniBatchEstimator
    rows: tuple[Any, Any, Any]
    seeds: list[int]
    judge: Any = None
    n_rows: float = 0.0  # trained on so far
    done: dict[tuple[int, float, Goal], list[Branch]] = field(default_factory=dict)

    def at(self, batch_size: int, rate: float, goal: Goal) -> list[Branch]:
        """One a repeat; remembered."""
        key = batch_size, rate, goal
        if key not in self.done:
            self.done[key] = [self._branch(batch_size, rate, goal, seed) for seed in self.seeds]
        return self.done[key]

    def _branch(self, batch_size: int, rate: float, goal: Goal, seed: int) -> Branch:
        model = plain_copy(
            self.model, batch_size=batch_size, last_batch="drop", random_state=seed,
            **{self.model._rate_parameter: rate},
        )  # fmt: skip
        n_before = model.history_.last("n_samples_seen") if hasattr(model, "history_") else 0
        watch = _Watch(self, goal, batch_size, n_before)
        with np.errstate(over="ignore", invalid="ignore"):  # a rate that is too high
            try:
                model._train(*self.rows, watch=watch)
            except Enough:
                pass
        self.n_rows += watch.rows[-1]
        return watch.branch()

    def of_size(self, batch_size: int, start: float, goal: Goal) -> OfSize:
        """At the rate of the fewest rows, on a walk by factors of two, and where a parabola says that it is."""

        def cost(rate: float) -> float:
            costs = np.array([branch.cost(goal) for branch in self.at(batch_size, rate, goal)])
            return float(np.exp(np.mean(np.log(costs)))) if np.isfinite(costs).all() else np.inf

        rate = walk(cost, start, _RATE_FACTOR)
        rate = min(rate, lowest(cost, rate, _RATE_FACTOR), key=cost)
        return OfSize(batch_size, rate, self.at(batch_size, rate, goal), cost(rate))


class _Trunk:
    """The ``Watch`` of a run that is cut off after so many rows, and says nothing."""

    def __init__(self, rows: tuple[Any, Any, Any], number: int) -> None:
        self.test = first_rows(rows)
        self.limits = {"max_iter": sys.maxsize, "max_updates": None, "max_samples": number}

    def begin(self, measures: Measures, theta: Vector) -> None: ...
    def see(self, row: dict[str, Any], theta: Vector) -> None: ...
    def end(self, theta: Vector) -> None: ...


def checkpoints(
    final: MiniBatchEstimator, rows: tuple[Any, Any, Any], seed: int, epochs: list[float]
) -> Iterator[MiniBatchEstimator]:
    """A clone after so many epochs of its own training, as it goes on. Stopping rules do not end it."""
    model = without_callbacks(clone(final)).set_params(
        tol=None, evaluate_every=None, max_updates=None, warm_start=False, verbose=0, random_state=seed
    )
    if model.early_stopping:  # the one-class machine has no such parameter
        model.set_params(early_stopping=False)
    if lasts_the_run(model):
        model.set_params(cycle_length=float(final.max_iter))  # as long as it would be, wherever it is cut off
    n_samples, done = _num_samples(rows[0]), 0
    for point in epochs:
        number = round(point * n_samples)
        if number > done:
            with np.errstate(over="ignore", invalid="ignore"):
                model._train(*rows, watch=_Trunk(rows, number - done), goes_on=done > 0)
            done = int(model.history_.last("n_samples_seen"))
        yield model
