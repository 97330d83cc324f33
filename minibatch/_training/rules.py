"""When to stop: rules that are shown the objective and the validation figures of every epoch."""

from dataclasses import dataclass, field
from math import isfinite
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.state import State

__all__ = ["BestRule", "Rule", "ScoreRule", "WindowRule"]

# A rise of this many standard errors of the difference between two windows is more than noise.
_STANDARD_ERRORS = 3.0


class Rule(Protocol):
    """When to stop: shown, of every epoch, the objective, and score and loss on a validation set (NaN without one)."""

    tol: float | None
    objectives: list[float]
    is_scikit_learns: bool  # and ends a run where scikit-learn does
    of_average: float  # the objective of an average when the rule was last met

    @property
    def status(self) -> str: ...  # of a run that the rule ends
    @property
    def least(self) -> float: ...
    def see(self, objective: float, score: float, loss: float, state: State) -> None: ...
    def is_met(self) -> bool: ...  # there is no more progress, for better or worse
    def has_risen(self) -> bool: ...  # above the lowest so far, by more than noise
    def comes_down(self, end: float) -> bool: ...
    def noise(self) -> float: ...
    def start_over(self) -> None: ...
    def wait_again(self) -> None: ...  # the rule is met, but the run goes on
    def state_to_keep(self, last: State) -> State: ...
    def why_not_met(self, noisy: bool) -> str: ...


@dataclass
class _Objectives:
    """What all rules know: the objectives, and means of them over ``patience`` epochs, since a single one is noisy."""

    tol: float | None
    patience: float
    unit: float = 1.0  # of ``tol``: what there is to gain
    is_scikit_learns: bool = False
    objectives: list[float] = field(default_factory=list)
    begins: int = 0  # the first that counts, after a fresh start
    of_average: float = np.inf
    status: ClassVar[str] = "converged"

    def see(self, objective: float, score: float, loss: float, state: State) -> None:
        self.objectives.append(objective)

    def start_over(self) -> None:
        self.begins = len(self.objectives)

    def wait_again(self) -> None:
        """Means over windows wait by themselves."""

    def state_to_keep(self, last: State) -> State:
        """The last one."""
        return last

    @property
    def least(self) -> float:
        """Progress that counts."""
        return 0.0 if self.tol is None else self.tol * self.unit

    def noise(self) -> float:
        """That means over ``patience`` epochs may differ by, or ``least``: from steps, since the deviations of a steady
        rise are large."""
        size = self._window()
        with np.errstate(over="ignore", invalid="ignore"):  # of objectives near the largest number, or infinite
            steps = np.diff(self._counted()[-2 * size :])
            return max(self.least, _STANDARD_ERRORS * float(np.sqrt(np.mean(steps**2) / size))) if size else self.least

    def has_risen(self) -> bool:
        """Whether the last mean is above the lowest."""
        size, seen = self._window(), self._counted()
        if size == 0:
            return False
        with np.errstate(over="ignore", invalid="ignore"):
            means = np.convolve(seen, np.full(size, 1.0 / size), mode="valid")
            return not means[-1] - np.nanmin(means) <= self.noise()

    def comes_down(self, end: float) -> bool:
        """Whether the objective, now ``end``, falls: it is below that of the first epoch, and the last third of the
        epochs (of six or more) below the third before, by more than a standard error. A run that began at a high rate
        may fall for long, from far above its beginning."""
        seen = np.array(self.objectives)
        size = len(seen) // 3
        if not np.isfinite(seen).all() or end >= seen[0] or self.has_risen():
            return False
        if size < 2:
            return True
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.sqrt(np.mean(np.diff(seen[-2 * size :]) ** 2) / size)
            return bool(np.mean(seen[-2 * size : -size]) - np.mean(seen[-size:]) > error)

    def _counted(self) -> NDArray[np.float64]:
        return np.array(self.objectives[self.begins :])

    def _window(self) -> int:
        return int(min(self.patience, (len(self.objectives) - self.begins) // 2))

    def _why(self, falls: bool, noisy: bool) -> str:
        if self.has_risen():
            lowest = int(np.nanargmin(self.objectives))
            return (
                f"The objective has risen since epoch {lowest + 1} of this fit, from {self.objectives[lowest]:.3g} to "
                f"{self.objectives[-1]:.3g}: a lower or decaying learning rate would go lower. [MB106]"
            )
        if falls:
            unit = "" if self.unit == 1.0 else f" times {self.unit:.3g}, what a constant leaves to gain"
            return f"The objective is still descending by more than tol={self.tol:g}{unit}. [MB105]"
        if noisy:
            return "Noise floor reached: a larger batch_size or a decaying learning_rate would go lower. [MB106]"
        return "The full-batch objective no longer descends by tol: a lower learning rate would go lower. [MB106]"


@dataclass
class WindowRule(_Objectives):
    """Stop when the mean objective of the last ``patience`` epochs is at most ``tol`` below that of the ``patience``
    epochs before. Two windows, because a slow descent is not a standstill."""

    def gain(self) -> float:
        """By how much the objective fell from the window before to the last one (or over fewer epochs)."""
        size = self._window()
        if size == 0:
            return 0.0
        seen = np.array(self.objectives[-2 * size :])
        with np.errstate(over="ignore", invalid="ignore"):
            return float(seen[:size].sum() / size - seen[size:].sum() / size)

    def is_met(self) -> bool:
        if self.tol is None or len(self.objectives) - self.begins < 2 * self.patience:
            return False
        gain = self.gain()
        return isfinite(gain) and gain <= self.least  # what is infinite has not come to a standstill

    def why_not_met(self, noisy: bool) -> str:
        if len(self._counted()) < 2:
            return "One epoch is too few to tell more. [MB105]"
        return self._why(self.tol is not None and self.gain() > self.least, noisy)


@dataclass
class BestRule(_Objectives):
    """Stop when ``patience`` epochs in a row were not at least ``tol`` below the lowest objective before."""

    best: float = np.inf
    n_unimproved: int = 0

    def see(self, objective: float, score: float, loss: float, state: State) -> None:
        super().see(objective, score, loss, state)
        improved = self.tol is not None and objective <= self.best - self.least
        self.n_unimproved = 0 if improved else self.n_unimproved + 1
        self.best = min(self.best, objective) if isfinite(objective) else self.best

    def is_met(self) -> bool:
        return self.tol is not None and self.n_unimproved >= self.patience

    def start_over(self) -> None:
        super().start_over()
        self.n_unimproved = 0

    def wait_again(self) -> None:
        """For ``patience`` epochs, as before."""
        self.n_unimproved = 0

    def why_not_met(self, noisy: bool) -> str:
        return self._why(self.n_unimproved == 0, noisy)


@dataclass
class ScoreRule(_Objectives):
    """Stop when the validation score was not at least ``tol`` better than the best before in ``patience`` epochs in a
    row, and keep the best state. Of equal scores the lower validation loss is the better, and its fall by ``unit tol``
    is progress too: with few rows of a class, accuracy says nothing for long."""

    has_ties: bool = True  # as an accuracy
    by_loss: bool = False  # the score is the loss with its sign changed: ``tol`` counts in its unit
    best: tuple[float, float] = (-np.inf, -np.inf)  # score, and the loss with its sign changed
    loss_at_progress: float = np.inf
    n_unimproved: int = 0
    best_state: State | None = field(default=None, repr=False)
    status: ClassVar[str] = "early_stopped"

    def see(self, objective: float, score: float, loss: float, state: State) -> None:
        super().see(objective, score, loss, state)
        if self.tol is None:
            return
        # R squared is only ever the same where it is not defined, and nothing is better than a perfect accuracy
        tells = self.has_ties and score < 1.0
        falls = tells and score >= self.best[0] and loss <= self.loss_at_progress - self.least
        rises = score >= self.best[0] + (self.least if self.by_loss else self.tol)
        progress = (falls or rises) and score > -np.inf
        self.n_unimproved = 0 if progress else self.n_unimproved + 1
        self.loss_at_progress = loss if progress else self.loss_at_progress
        if (score, -loss) > self.best:
            self.best, self.best_state = (score, -loss), state.copy()

    def is_met(self) -> bool:
        return self.tol is not None and self.n_unimproved >= self.patience

    def start_over(self) -> None:
        super().start_over()
        self.n_unimproved = 0

    def state_to_keep(self, last: State) -> State:
        """The best; ``tol=None`` asks for the last, and has none."""
        return last if self.best_state is None else self.best_state

    def why_not_met(self, noisy: bool) -> str:
        if self.n_unimproved == 0:
            return "The validation score is still improving. [MB105]"
        return f"The validation score last improved by tol {self.n_unimproved} epochs before the end. [MB105]"
