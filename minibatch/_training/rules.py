"""When to stop: rules that are shown the objective and the validation figures of every epoch."""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from minibatch._problems.state import State

__all__ = ["BestRule", "Rule", "ScoreRule", "WindowRule"]

# A rise of this many standard errors of the difference between two windows is more than noise.
_STANDARD_ERRORS = 3.0


class Rule(Protocol):
    """When to stop: shown, of every epoch, the objective, and score and loss on a validation set (NaN without one)."""

    @property
    def status(self) -> str: ...  # of a run that the rule ends
    @property
    def waits(self) -> bool: ...  # for an objective that has risen to come down again
    def see(self, objective: float, score: float, loss: float, state: State) -> None: ...
    def is_met(self) -> bool: ...  # there is no more progress, for better or worse
    def has_risen(self) -> bool: ...  # above the lowest so far, by more than noise
    def start_over(self) -> None: ...
    def state_to_keep(self, last: State) -> State: ...
    def why_not_met(self, noisy: bool) -> str: ...


@dataclass
class _Objectives:
    """What the rules that look at the objective share: means over ``patience`` epochs, since a single one is noisy."""

    tol: float | None
    patience: float
    unit: float = 1.0  # of ``tol``: what there is to gain
    objectives: list[float] = field(default_factory=list)
    waits: bool = True
    status: ClassVar[str] = "converged"

    def see(self, objective: float, score: float, loss: float, state: State) -> None:
        self.objectives.append(objective)

    def state_to_keep(self, last: State) -> State:
        """The last one."""
        return last

    @property
    def least(self) -> float:
        """Progress that counts."""
        return 0.0 if self.tol is None else self.tol * self.unit

    def has_risen(self) -> bool:
        size = int(min(self.patience, len(self.objectives) // 2))
        if size == 0:
            return False
        with np.errstate(over="ignore", invalid="ignore"):  # of objectives near the largest number, or infinite
            seen = np.array(self.objectives)
            means = np.convolve(seen, np.full(size, 1.0 / size), mode="valid")
            # from steps, not from deviations: those of a steady rise are large
            steps = np.diff(seen[-2 * size :])
            noise = _STANDARD_ERRORS * np.sqrt(np.mean(steps**2) / size)
            return not means[-1] - np.nanmin(means) <= max(noise, self.least)

    def _why(self, falls: bool, noisy: bool) -> str:
        if self.has_risen():
            lowest = int(np.nanargmin(self.objectives))
            return (
                f"The objective has risen since epoch {lowest + 1} of this fit, from {self.objectives[lowest]:.3g} to "
                f"{self.objectives[-1]:.3g}: a lower or decaying learning rate would go lower."
            )
        if falls:
            return (
                f"The objective is still descending by more than tol={self.tol:g} times {self.unit:.3g}, the loss of a "
                "constant."
            )
        if noisy:
            return "Noise floor reached: a larger batch_size or a decaying learning_rate would go lower."
        return "The full-batch objective no longer descends by tol: a lower learning rate would go lower."


@dataclass
class WindowRule(_Objectives):
    """Stop when the mean objective of the last ``patience`` epochs is at most ``tol`` below that of the ``patience``
    epochs before. Two windows, because a slow descent is not a standstill."""

    def gain(self) -> float:
        """By how much the objective fell from the window before to the last one (or over fewer epochs)."""
        size = int(min(self.patience, len(self.objectives) // 2))
        if size == 0:
            return 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.mean(self.objectives[-2 * size : -size]) - np.mean(self.objectives[-size:]))

    def is_met(self) -> bool:
        if self.tol is None or len(self.objectives) < 2 * self.patience:
            return False
        gain = self.gain()
        return bool(np.isfinite(gain)) and gain <= self.least  # what is infinite has not come to a standstill

    def start_over(self) -> None:
        self.objectives.clear()

    def why_not_met(self, noisy: bool) -> str:
        if len(self.objectives) < 2:
            return "One epoch is too few to tell more."
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
        self.best = min(self.best, objective) if np.isfinite(objective) else self.best

    def is_met(self) -> bool:
        return self.tol is not None and self.n_unimproved >= self.patience

    def start_over(self) -> None:
        self.n_unimproved = 0

    def why_not_met(self, noisy: bool) -> str:
        return self._why(self.n_unimproved == 0, noisy)


@dataclass
class ScoreRule:
    """Stop when the validation score was not at least ``tol`` better than the best before in ``patience`` epochs in a
    row, and keep the best state. Of equal scores the lower validation loss is the better, and its fall by ``unit tol``
    is progress too: with few rows of a class, accuracy says nothing for long."""

    tol: float | None
    patience: float
    unit: float = 1.0  # of ``tol``, for the loss
    best: tuple[float, float] = (-np.inf, -np.inf)  # score, and the loss with its sign changed
    loss_at_progress: float = np.inf
    n_unimproved: int = 0
    best_state: State | None = field(default=None, repr=False)
    waits: ClassVar[bool] = False
    status: ClassVar[str] = "early_stopped"

    def see(self, objective: float, score: float, loss: float, state: State) -> None:
        if self.tol is not None:
            falls = score >= self.best[0] and loss <= self.loss_at_progress - self.tol * self.unit
            progress = falls or score >= self.best[0] + self.tol
            self.n_unimproved = 0 if progress else self.n_unimproved + 1
            self.loss_at_progress = loss if progress else self.loss_at_progress
        if (score, -loss) > self.best:
            self.best, self.best_state = (score, -loss), state.copy()

    def is_met(self) -> bool:
        return self.tol is not None and self.n_unimproved >= self.patience

    def has_risen(self) -> bool:
        """The objective may: the score decides."""
        return False

    def start_over(self) -> None:
        self.n_unimproved = 0

    def state_to_keep(self, last: State) -> State:
        """The best, unless ``tol=None`` asked for every epoch."""
        return last if self.tol is None or self.best_state is None else self.best_state

    def why_not_met(self, noisy: bool) -> str:
        if self.n_unimproved == 0:
            return "The validation score is still improving."
        return f"The validation score last improved by tol {self.n_unimproved} epochs before the end."
