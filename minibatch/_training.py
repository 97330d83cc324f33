"""The one epoch loop of every model: order, rates, records, stopping, divergence.

Python decides once an epoch; ``problem.run_epoch`` trains in compiled code. Failure is a status, not an exception.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from minibatch._batching import rows_in_batches, sample_order
from minibatch._problems import LinearProblem, State, Vector
from minibatch.history import History
from minibatch.schedules import ADAPTIVE_END, ADAPTIVE_FACTOR, Rates


class Plan(NamedTuple):
    """How to train; the parameters of the estimator, resolved."""

    batch_size: int
    noisy: bool  # a batch is not all there is to train on
    last_batch: str
    shuffle: bool
    seed: int
    schedule: Callable[[NDArray[np.int64]], Rates]
    adaptive: bool
    max_iter: int
    max_updates: int | None
    tol: float | None
    n_iter_no_change: int
    early_stopping: bool
    evaluate_every: int | None
    average_from: int | None
    verbose: int


class EpochCallbacks(Protocol):
    """What train() tells the outside: before and after each epoch; a true answer stops."""

    def epoch_begins(self) -> None: ...
    def epoch_ends(self, theta: Vector) -> bool: ...


Validate = Callable[[Vector], tuple[float, float]]


@dataclass
class ObjectiveRule:
    """Stop when the mean objective of the last ``patience`` epochs is less than ``tol`` below that of the ``patience``
    epochs before. Means, because a single epoch is noisy; two windows, because a slow descent is not a standstill."""

    tol: float | None
    patience: int
    objectives: list[float] = field(default_factory=list)

    def see(self, objective: float, state: State) -> None:
        self.objectives.append(objective)

    def gain(self) -> float:
        """By how much the objective fell from the window before to the last one (or over fewer epochs)."""
        size = min(self.patience, len(self.objectives) // 2)
        if size == 0:
            return 0.0
        return float(np.mean(self.objectives[-2 * size : -size]) - np.mean(self.objectives[-size:]))

    def is_met(self) -> bool:
        return self.tol is not None and len(self.objectives) >= 2 * self.patience and not self.gain() >= self.tol

    def start_over(self) -> None:
        self.objectives.clear()

    def state_to_keep(self, last: State) -> State:
        """The last one."""
        return last


@dataclass
class ScoreRule:
    """Stop when the validation score was not at least ``tol`` above the best before for ``patience`` epochs."""

    tol: float | None
    patience: int
    best: float = -np.inf
    n_unimproved: int = 0
    best_state: State | None = field(default=None, repr=False)

    def see(self, score: float, state: State) -> None:
        improved = self.tol is not None and score >= self.best + self.tol
        self.n_unimproved = 0 if improved else self.n_unimproved + 1
        if score > self.best:
            self.best = score
            self.best_state = state.copy()

    def is_met(self) -> bool:
        return self.tol is not None and self.n_unimproved >= self.patience

    def start_over(self) -> None:
        self.n_unimproved = 0

    def state_to_keep(self, last: State) -> State:
        """The one with the best score, unless ``tol=None`` asked for every epoch."""
        return last if self.tol is None or self.best_state is None else self.best_state


class Outcome(NamedTuple):
    status: str
    n_iter: int
    rule: ObjectiveRule | ScoreRule
    state: State
    history: History


def train(
    problem: LinearProblem,
    plan: Plan,
    state: State,
    history: History,
    validate: Validate | None = None,
    callbacks: EpochCallbacks | None = None,
) -> Outcome:
    """Train ``state`` for up to ``plan.max_iter`` epochs.

    ``history`` is what came before; the rows of this run are in the outcome.
    """
    done = History()
    rule = (ScoreRule if plan.early_stopping else ObjectiveRule)(plan.tol, plan.n_iter_no_change)
    clock = _Counters(history)
    start, rate_factor, n_bad_epochs, status = state.theta.copy(), 1.0, 0, "max_iter"
    for _ in range(plan.max_iter):
        if callbacks is not None:
            callbacks.epoch_begins()
        before, penalty = state.copy(), problem.penalties(state.theta).sum()
        began = time.perf_counter()
        losses, n_rows, etas = _run_epoch(problem, plan, state, clock, rate_factor)
        clock.add(n_rows, len(etas), time.perf_counter() - began)

        losses = losses / n_rows
        record = clock.row(learning_rate=etas[-1], batch_size=plan.batch_size, progressive_loss=losses.sum())
        if not np.isfinite(state.theta).all():
            done.append(**record)
            state, status = before, "diverged"
            if callbacks is not None:
                callbacks.epoch_ends(state.result())
            break
        n_bad_epochs = 0 if np.isfinite(losses).all() else n_bad_epochs + 1
        if plan.evaluate_every and clock.epoch % plan.evaluate_every == 0:
            record |= _evaluation(problem, state.result(), start)
        if validate is not None:
            record["validation_loss"], record["validation_score"] = validate(state.result())
        done.append(**record)
        if plan.verbose:
            print(", ".join(f"{name} {value:.6g}" for name, value in record.items()), flush=True)

        # along an epoch the penalty goes from its value before to its value after; half of each is its share
        objective = float(losses.sum() + 0.5 * (penalty + problem.penalties(state.theta).sum()))
        rule.see(record["validation_score"] if plan.early_stopping else objective, state)
        if callbacks is not None and callbacks.epoch_ends(state.result()):
            status = "stopped_by_callback"
            break
        if n_bad_epochs >= plan.n_iter_no_change:
            status = "diverged"
            break
        if plan.max_updates is not None and clock.updates_here >= plan.max_updates:
            status = "max_updates"
            break
        if rule.is_met():
            if plan.adaptive and etas[-1] > ADAPTIVE_END:
                rate_factor /= ADAPTIVE_FACTOR
                rule.start_over()
                continue
            status = "early_stopped" if plan.early_stopping else "converged"
            break
    if n_bad_epochs and status == "max_iter":
        status = "diverged"
    return Outcome(status, done.n_epochs, rule, rule.state_to_keep(state), done)


@dataclass
class _Counters:
    """Counts that go on from an earlier history."""

    history: History
    updates_here: int = 0

    def __post_init__(self) -> None:
        last = self.history.last
        self.epoch, self.n_updates = last("epoch"), last("n_updates")
        self.n_samples_seen, self.seconds = last("n_samples_seen"), last("seconds", 0.0)

    def add(self, n_rows: int, n_batches: int, seconds: float) -> None:
        self.epoch += 1
        self.n_updates += n_batches
        self.updates_here += n_batches
        self.n_samples_seen += n_rows
        self.seconds += seconds

    def row(self, **more: Any) -> dict[str, Any]:
        more["learning_rate"], more["progressive_loss"] = float(more["learning_rate"]), float(more["progressive_loss"])
        return {
            "epoch": self.epoch,
            "n_updates": self.n_updates,
            "n_samples_seen": self.n_samples_seen,
            "seconds": self.seconds,
            **more,
        }


def _run_epoch(
    problem: LinearProblem, plan: Plan, state: State, clock: _Counters, rate_factor: float
) -> tuple[NDArray[np.float64], int, Rates]:
    """One pass: progressive loss sums, rows and rates."""
    left = np.inf if plan.max_updates is None else plan.max_updates - clock.updates_here
    n_rows, n_batches = rows_in_batches(problem.n_samples, plan.batch_size, plan.last_batch, left)
    # the order of the rows in a full batch does not matter, and reading them in their own is faster
    shuffle = plan.shuffle and plan.batch_size < problem.n_samples
    order = sample_order(problem.n_samples, shuffle, plan.seed, clock.epoch)[:n_rows]
    etas = plan.schedule(state.schedule_updates + np.arange(1, n_batches + 1)) * rate_factor
    first_averaged = n_batches
    if plan.average_from is not None:
        # averaging begins with the update that has seen `average_from` rows
        missing = plan.average_from - clock.n_samples_seen
        if missing <= n_rows:
            first_averaged = max(0, -(-missing // plan.batch_size) - 1)
    return problem.run_epoch(state, order, etas, plan.batch_size, first_averaged, plan.noisy), n_rows, etas


def _evaluation(problem: LinearProblem, theta: Vector, start: Vector) -> dict[str, float]:
    losses, gradient = problem.evaluate(theta)
    loss = float(losses.sum())
    return {
        "train_loss": loss,
        "objective": loss + float(problem.penalties(theta).sum()),
        "gradient_norm": problem.gradient_norm(theta, gradient),
        "distance_from_init": float(np.linalg.norm(theta.astype(np.float64) - start)),
    }
