"""When to stop: rules that are shown the objective and the validation score of every epoch."""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from minibatch._problems.state import State

__all__ = ["BestRule", "Rule", "WindowRule"]


class Rule(Protocol):
    """When to stop: shown the objective and the validation score (NaN without a validation set) of every epoch."""

    @property
    def status(self) -> str: ...
    def see(self, objective: float, score: float, state: State) -> None: ...
    def is_met(self) -> bool: ...
    def start_over(self) -> None: ...
    def state_to_keep(self, last: State) -> State: ...
    def why_not_met(self, noisy: bool) -> str: ...


@dataclass
class WindowRule:
    """Stop when the mean objective of the last ``patience`` epochs is less than ``tol`` below that of the ``patience``
    epochs before. Means, because a single epoch is noisy; two windows, because a slow descent is not a standstill."""

    tol: float | None
    patience: int
    objectives: list[float] = field(default_factory=list)
    status: ClassVar[str] = "converged"

    def see(self, objective: float, score: float, state: State) -> None:
        self.objectives.append(objective)

    def gain(self) -> float:
        """By how much the objective fell from the window before to the last one (or over fewer epochs)."""
        size = min(self.patience, len(self.objectives) // 2)
        if size == 0:
            return 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # of objectives near the largest number, or infinite
            return float(np.mean(self.objectives[-2 * size : -size]) - np.mean(self.objectives[-size:]))

    def is_met(self) -> bool:
        if self.tol is None or len(self.objectives) < 2 * self.patience:
            return False
        gain = self.gain()
        return bool(np.isfinite(gain)) and gain < self.tol  # what is infinite has not come to a standstill

    def start_over(self) -> None:
        self.objectives.clear()

    def state_to_keep(self, last: State) -> State:
        """The last one."""
        return last

    def why_not_met(self, noisy: bool) -> str:
        if len(self.objectives) < 2:
            return "One epoch is too few to tell more."
        if self.tol is not None and self.gain() >= self.tol:
            return f"The objective is still descending by more than tol={self.tol:g}."
        if noisy:
            return "Noise floor reached: a larger batch_size or a decaying learning_rate would go lower."
        return "The full-batch objective no longer descends by tol: a lower learning rate would go lower."


@dataclass
class BestRule:
    """Stop when ``patience`` epochs in a row were not at least ``tol`` better than the best before: by the validation
    score, whose best state is kept then, or by the objective."""

    tol: float | None
    patience: float
    by_score: bool
    best: float = -np.inf
    n_unimproved: int = 0
    best_state: State | None = field(default=None, repr=False)

    @property
    def status(self) -> str:
        return "early_stopped" if self.by_score else "converged"

    def see(self, objective: float, score: float, state: State) -> None:
        value = score if self.by_score else -objective
        improved = self.tol is not None and value >= self.best + self.tol
        self.n_unimproved = 0 if improved else self.n_unimproved + 1
        if value > self.best:
            self.best = value
            self.best_state = state.copy() if self.by_score else None

    def is_met(self) -> bool:
        return self.tol is not None and self.n_unimproved >= self.patience

    def start_over(self) -> None:
        self.n_unimproved = 0

    def state_to_keep(self, last: State) -> State:
        """The one with the best score, unless ``tol=None`` asked for every epoch."""
        return last if self.tol is None or self.best_state is None else self.best_state

    def why_not_met(self, noisy: bool) -> str:
        what = "validation score" if self.by_score else "objective"
        return f"The {what} last improved by tol {self.n_unimproved} epochs before the end."
