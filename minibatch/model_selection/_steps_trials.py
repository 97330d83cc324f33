"""The trials of a batch size: how many updates each learning rate needs to reach a target."""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.trials import plain_clone
from minibatch._base.watch import Measures
from minibatch.model_selection._folds import Part
from minibatch.model_selection._summary import Target

__all__ = ["Looks", "Run", "Task", "distance", "looks_up_to", "middle", "rungs_of", "search"]

Looks = NDArray[np.int64]  # numbers of the updates after which to look

_RESOLUTION = 0.04  # between two looks, of the updates
_FAR_ABOVE = 1000.0  # times the first loss: such a loss does not come back
_RUNG, _FIRST_RUNG = 4, 50  # all trials go so many times as far before any goes on; the first rung is no shorter


class Run(NamedTuple):
    """How far a trial went. ``updates`` to the target are infinite where it was not reached."""

    status: str
    updates: float
    n_updates: int
    n_samples: int
    epoch: float
    value: float


class _Stop(Exception):
    """Ends a trial."""


class _Trial:
    """Watches a trial at geometrically spaced updates, until the target is reached or out of reach."""

    def __init__(self, target: Target, looks: Looks, data: Part, test: Part, test_has_loss: bool) -> None:
        self.target, self.test_part, self.test_has_loss = target, test, test_has_loss
        self.test = tuple(test if test_has_loss else data)  # nothing is asked about the latter
        self.looks = frozenset(looks.tolist())
        self.limits = {
            "max_iter": sys.maxsize,
            "max_updates": int(looks[-1]),
            "stretches": looks,
        }
        self.run = Run("unfinished", np.inf, 0, 0, 0.0, np.nan)

    def begin(self, measures: Measures, theta: NDArray[Any]) -> None:
        self.measures = measures
        self.first = self.value(theta)
        if not np.isfinite(self.first):
            raise ValueError(
                f"{self.target.name} is {self.first} before the first update; scale X with StandardScaler."
            )
        self._judge({"n_updates": 0, "n_samples_seen": 0, "epoch": 0.0}, self.first)

    def see(self, row: dict[str, Any], theta: NDArray[Any]) -> None:
        if row["n_updates"] in self.looks:  # the trainer also shows the end of every epoch
            self._judge(row, self.value(theta))

    def end(self, theta: NDArray[Any]) -> None:
        """The trial came to its limit, or to parameters that are not finite."""

    def _judge(self, row: dict[str, Any], value: float) -> None:
        below = self.target.lower_is_better
        reached = value <= self.target.value if below else value >= self.target.value
        is_loss = self.target.name.endswith("loss")
        diverged = not np.isfinite(value) or (is_loss and value > self.first + _FAR_ABOVE * abs(self.first))
        status = "reached" if reached else "diverged" if diverged else "unfinished"
        updates = row["n_updates"] if reached else np.inf
        self.run = Run(status, updates, row["n_updates"], row["n_samples_seen"], row["epoch"], value)
        if status != "unfinished":
            raise _Stop

    def value(self, theta: NDArray[Any]) -> float:
        """Of the quantity that the target is about; NaN for parameters that are not finite."""
        if not np.isfinite(theta).all():
            return np.nan
        if self.target.name == "gradient_norm":
            return self.measures.training(theta)["gradient_norm"]
        if self.target.name == "test_score" and not self.test_has_loss:
            return float(self.measures.fitted(theta).score(self.test_part.X, self.test_part.y))
        part, what = self.target.name.split("_")
        evaluation = self.measures.train if part == "train" else self.measures.test
        return evaluation.loss(theta) if what == "loss" else evaluation.score(theta)


def looks_up_to(limit: int) -> Looks:
    """After every update at first, then each at most 4 % later, and after the last one.

    >>> looks_up_to(55)[45:]
    array([46, 47, 48, 49, 50, 52, 54, 55])
    """
    looks = [1]
    while looks[-1] < limit:
        looks.append(min(limit, looks[-1] + max(1, int(_RESOLUTION * looks[-1]))))
    return np.array(looks)


class Task(NamedTuple):
    """What the trials of all batch sizes share."""

    data: Part
    test: Part
    test_has_loss: bool  # no row is of a class that the model does not know
    candidates: list[tuple[float, float | None]]  # learning rate and momentum
    seeds: list[int]
    target: Target
    looks: Looks


def search(final: MiniBatchEstimator, task: Task) -> list[list[Run]]:
    """The trials of one batch size: candidates x repeats.

    They climb together: all go a few updates, then four times as many, the most promising first, until one has reached
    the target; the others go as far as that one, if they have not yet. So a rate that stays above the target for ever
    costs little more than the best one, however many updates are allowed.
    """
    runs: dict[int, list[Run]] = {}
    order, fewest = list(range(len(task.candidates))), np.inf
    for rung in rungs_of(task.looks):
        for candidate in order:
            before = runs.get(candidate, [None] * len(task.seeds))
            looks = task.looks[task.looks <= max(1, min(rung, fewest))]
            runs[candidate] = [
                _climb(final, task, candidate, seed, looks, run) for seed, run in zip(task.seeds, before, strict=True)
            ]
            fewest = min(fewest, middle(runs[candidate]).updates)
        order.sort(key=lambda candidate: distance(runs[candidate], task.target))
    return [[_named(run, task.looks[-1]) for run in runs[candidate]] for candidate in sorted(runs)]


def rungs_of(looks: Looks) -> list[int]:
    """Up to where all trials go before any goes on.

    >>> rungs_of(looks_up_to(10_000)), rungs_of(looks_up_to(60))
    ([153, 613, 2479, 10000], [60])
    """
    rungs = [int(looks[-1])]
    while rungs[0] // _RUNG >= _FIRST_RUNG:
        rungs.insert(0, int(looks[looks <= rungs[0] // _RUNG][-1]))
    return rungs


def _climb(final: MiniBatchEstimator, task: Task, candidate: int, seed: int, looks: Looks, before: Run | None) -> Run:
    """One trial up to the last of these looks, from the first parameters; if it is not known already."""
    if before is not None and (before.status != "unfinished" or before.n_updates >= looks[-1]):
        return before
    rate, momentum = task.candidates[candidate]
    parameters = {final._rate_parameter: rate, "random_state": seed}
    if momentum is not None:
        parameters["momentum"] = momentum
    model = plain_clone(final, **parameters)
    watch = _Trial(task.target, looks, task.data, task.test, task.test_has_loss)
    with np.errstate(over="ignore", invalid="ignore"):  # a rate that is too high
        try:
            model._train(*task.data, watch=watch)
        except _Stop:
            return watch.run
        except Exception as error:
            error.add_note(f"In a trial of batch_size={model.batch_size!r} at the learning rate {rate:g}.")
            raise
    # above its beginning, a run may be on its way down, unless this was all the time it had
    given_up = looks[-1] == task.looks[-1] or not np.isfinite(model.history_.last("progressive_objective"))
    failed = model.status_ == "diverged" and watch.run.status != "reached" and given_up
    return watch.run._replace(status="diverged") if failed else watch.run


def middle(runs: Sequence[Run]) -> Run:
    """The median repeat; of an even number, the slower one in the middle, for which slower ones need not be run on."""
    return sorted(runs, key=lambda run: run.updates)[len(runs) // 2]


def distance(runs: Sequence[Run], target: Target) -> float:
    """How far from the target the repeats are; negative beyond it."""
    sign = 1.0 if target.lower_is_better else -1.0
    values = [sign * (run.value - target.value) if run.status != "diverged" else np.inf for run in runs]
    return float(np.mean(values))


def _named(run: Run, last: int) -> Run:
    if run.status != "unfinished":
        return run
    return run._replace(status="censored" if run.n_updates == last else "pruned")
