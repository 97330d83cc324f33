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


class Outcome(NamedTuple):
    status: str
    n_iter: int
    still_descending: bool
    state: State
    history: History


class EpochCallbacks(Protocol):
    """What train() tells the outside: before and after each epoch; a true answer stops."""

    def epoch_begins(self) -> None: ...
    def epoch_ends(self, theta: Vector) -> bool: ...


Validate = Callable[[Vector], tuple[float, float]]


@dataclass
class StoppingRule:
    """Counts the epochs since training last made progress.

    Progress is an objective at least ``tol`` below, or with early stopping a validation score at least ``tol`` above,
    the one at the last progress. So a slow but steady descent is not taken for a standstill: it is over when
    ``n_iter_no_change`` epochs together gain less than ``tol``.
    """

    tol: float | None
    reference: float = np.inf
    n_unimproved: int = 0
    best_score: float = -np.inf
    best_parameters: tuple[Vector, NDArray[np.float64], int] | None = field(default=None, repr=False)

    def see_loss(self, loss: float) -> None:
        """Take note of an objective (or the negative of a score)."""
        if self.tol is None:
            return
        if loss <= self.reference - self.tol:
            self.reference, self.n_unimproved = loss, 0
        else:
            self.n_unimproved += 1

    def see_score(self, score: float, state: State) -> None:
        """Take note of a validation score, and of the parameters if it is the best so far."""
        self.see_loss(-score)
        if score > self.best_score:
            self.best_score = score
            self.best_parameters = state.theta.copy(), state.total.copy(), state.n_averaged

    def restore_best(self, state: State) -> None:
        """Go back to the parameters of the best score, if stopping was asked for."""
        if self.tol is not None and self.best_parameters is not None:
            state.theta, state.total, state.n_averaged = self.best_parameters

    def _count(self, improved: bool) -> None:
        self.n_unimproved = 0 if improved or self.tol is None else self.n_unimproved + 1


def train(
    problem: LinearProblem,
    plan: Plan,
    state: State,
    history: History,
    validate: Validate | None = None,
    callbacks: EpochCallbacks | None = None,
) -> Outcome:
    """Train ``state`` for up to ``plan.max_iter`` epochs. ``history`` is what came before; new rows are in the outcome."""
    done, rule = History(), StoppingRule(plan.tol)
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
            return Outcome("diverged", done.n_epochs, False, before, done)
        n_bad_epochs = 0 if np.isfinite(losses).all() else n_bad_epochs + 1
        if plan.evaluate_every and clock.epoch % plan.evaluate_every == 0:
            record |= _evaluation(problem, state.result(), start)
        if validate is not None:
            record["validation_loss"], record["validation_score"] = validate(state.result())
        done.append(**record)
        if plan.verbose:
            print(", ".join(f"{name} {value:.6g}" for name, value in record.items()), flush=True)

        if plan.early_stopping:
            rule.see_score(record["validation_score"], state)
        elif done.n_epochs > 1:  # the loss of the first epoch is that of an untrained model on its way
            # along an epoch the penalty goes from its value before to its value after; half of each is its share
            rule.see_loss(losses.sum() + 0.5 * (penalty + problem.penalties(state.theta).sum()))
        if callbacks is not None and callbacks.epoch_ends(state.result()):
            status = "stopped_by_callback"
            break
        if n_bad_epochs >= plan.n_iter_no_change:
            break
        if plan.max_updates is not None and clock.updates_here >= plan.max_updates:
            status = "max_updates"
            break
        if rule.n_unimproved >= plan.n_iter_no_change:
            if plan.adaptive and etas[-1] > ADAPTIVE_END:
                rate_factor /= ADAPTIVE_FACTOR
                rule.n_unimproved = 0
                continue
            status = "early_stopped" if plan.early_stopping else "converged"
            break
    if n_bad_epochs:
        status = "diverged"
    if plan.early_stopping:
        rule.restore_best(state)
    return Outcome(status, done.n_epochs, rule.n_unimproved == 0, state, done)


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
