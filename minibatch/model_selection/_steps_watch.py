"""One trial, watched: looks at geometrically spaced updates, until it is clear how it ends."""

import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minibatch._base.watch import Measures
from minibatch._problems.state import Vector
from minibatch.model_selection._folds import Part
from minibatch.model_selection._steps_pace import NOTHING_KNOWN, Outlook, outlook
from minibatch.model_selection._steps_probe import Probe, blocks_of
from minibatch.model_selection._summary import Target

__all__ = ["Looks", "Run", "Stop", "Task", "Trial", "looks_up_to"]

Looks = NDArray[np.int64]  # numbers of the updates after which to look

_RESOLUTION = 0.04  # between two looks, of the updates
_FAR_ABOVE = 1000.0  # times the first loss: such a loss does not come back


class Task(NamedTuple):
    """What the trials of all batch sizes share."""

    data: Part
    test: Part
    test_has_loss: bool  # no row is of a class that the model does not know
    candidates: list[tuple[float, float | None]]  # learning rate (NaN: the estimator finds its own) and momentum
    seeds: list[int]
    target: Target
    looks: Looks


class Run(NamedTuple):
    """How far a trial went. ``updates`` to the target are infinite where it was not reached."""

    status: str
    updates: float
    n_updates: int
    n_samples: int
    epoch: float
    value: float
    outlook: Outlook = NOTHING_KNOWN


class Stop(Exception):
    """Ends a trial."""


class Trial:
    """Watches a trial up to the last of these looks, or until the target is reached or out of reach.

    Out of reach is a loss that diverges or, if its pace is judged, that will be above the target after ``horizon``
    updates.
    """

    def __init__(self, task: Task, looks: Looks, horizon: float, judges_pace: bool) -> None:
        self.task, self.target, self.horizon, self.judges_pace = task, task.target, horizon, judges_pace
        self.test = tuple(task.test if task.test_has_loss else task.data)  # nothing is asked about the latter
        self.looks, self.last = frozenset(looks.tolist()), int(looks[-1])
        self.limits = {"max_iter": sys.maxsize, "max_updates": self.last, "stretches": looks}
        self.run = Run("unfinished", np.inf, 0, 0, 0.0, np.nan)
        self.seen: list[int] = []
        self.values: list[float] = []

    def begin(self, measures: Measures, theta: Vector) -> None:
        self.measures = measures
        self.probe = self._probe(theta)
        self.first = self.probe.look(theta)
        if not np.isfinite(self.first):
            raise ValueError(
                f"{self.target.name} is {self.first} before the first update; scale X with StandardScaler."
            )
        self._judge({"n_updates": 0, "n_samples_seen": 0, "epoch": 0.0}, self.first)

    def see(self, row: dict[str, Any], theta: Vector) -> None:
        if row["n_updates"] not in self.looks:  # the trainer also shows the end of every epoch
            return
        if not np.isfinite(theta).all():
            self._judge(row, np.nan)
        # where the trial ends here, what is said of it is true of all rows
        value = self.probe.look(theta) if row["n_updates"] == self.last else self.probe.estimate(theta)
        self._judge(row, self.probe.look(theta) if self._diverged(value) else value)
        if not self.target.name.endswith("loss"):
            return
        self.seen.append(row["n_updates"])
        self.values.append(value)
        self.run = self.run._replace(outlook=outlook(self.seen, self.values))
        if self.judges_pace and self.run.outlook.lowest(self.horizon) > self.target.value:
            self.run = self.run._replace(value=self.probe.look(theta))
            raise Stop

    def end(self, theta: Vector) -> None:
        """The trial came to its limit, or to parameters that are not finite."""

    def _judge(self, row: dict[str, Any], value: float) -> None:
        reached = value <= self.target.value if self.target.lower_is_better else value >= self.target.value
        status = "reached" if reached else "diverged" if self._diverged(value) else "unfinished"
        updates = row["n_updates"] if reached else np.inf
        self.run = Run(status, updates, row["n_updates"], row["n_samples_seen"], row["epoch"], value)
        if status != "unfinished":
            raise Stop

    def _diverged(self, value: float) -> bool:
        is_loss = self.target.name.endswith("loss")
        return not np.isfinite(value) or (is_loss and value > self.first + _FAR_ABOVE * abs(self.first))

    def value(self, theta: Vector) -> float:
        """Of the quantity that the target is about, on all rows; NaN for parameters that are not finite."""
        if not np.isfinite(theta).all():
            return np.nan
        if self.target.name == "gradient_norm":
            return self.measures.training(theta)["gradient_norm"]
        if self.target.name == "test_score" and not self.task.test_has_loss:
            return float(self.measures.fitted(theta).score(self.task.test.X, self.task.test.y))
        part, what = self.target.name.split("_")
        return getattr(getattr(self.measures, part), what)(theta)

    def _probe(self, theta: Vector) -> Probe:
        """A sample's gradient is longer than that of all rows, and rows of unknown classes are in no evaluation."""
        part, what = self.target.name.split("_")
        if self.target.name == "gradient_norm" or (part == "test" and not self.task.test_has_loss):
            return Probe(self.target, self.value, [])
        evaluation = getattr(self.measures, part)
        blocks = blocks_of(self.measures, theta, evaluation, self.task.seeds[0])
        return Probe(self.target, self.value, [getattr(block, what) for block in blocks])


def looks_up_to(limit: int) -> Looks:
    """After every update at first, then each at most 4 % later, and after the last one.

    >>> looks_up_to(55)[45:]
    array([46, 47, 48, 49, 50, 52, 54, 55])
    """
    looks = [1]
    while looks[-1] < limit:
        looks.append(min(limit, looks[-1] + max(1, int(_RESOLUTION * looks[-1]))))
    return np.array(looks)
