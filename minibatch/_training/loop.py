"""The one epoch loop of every model: order, rates, records, stopping, divergence.

Python decides once an epoch; ``problem.run_epoch`` trains in compiled code. Failure is a status, not an exception.

``training`` is a generator that asks for one epoch after the other, and ``alone`` runs what it asks for. So the epochs
that many fits ask for can be run together (``_problems.together``); nothing does that yet.
"""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.batching import epoch_seed, rows_in_batches, sample_order
from minibatch._problems.state import Epoch, Problem, Request, State, Vector, norm_of
from minibatch._training.beginning import Beginning
from minibatch._training.growth import Growth, next_batch_size
from minibatch._training.rules import Rule
from minibatch.history import History
from minibatch.schedules import ADAPTIVE_END, ADAPTIVE_FACTOR, Progress, Rates, Schedule

__all__ = [
    "Counters", "EpochCallbacks", "Observer", "Outcome", "Plan", "Steps", "Validate", "alone", "evaluation", "keep",
    "training",
]  # fmt: skip


_T = TypeVar("_T")


class Plan(NamedTuple):
    """How to train; the parameters of the estimator, resolved."""

    batch_size: int
    noisy: bool  # a batch is not all there is to train on
    last_batch: str
    shuffle: bool | str
    seed: int
    schedule: Schedule
    growth: Growth | None  # of the batch size
    adaptive: bool
    max_iter: int
    max_updates: int | None
    max_samples: int | None
    max_seconds: float | None
    # an epoch is cut into so many for an observer, where it has the batches; or the observer looks after these updates
    stretches: int | NDArray[np.int64]
    patience: float  # epochs without a finite loss that are a divergence
    evaluate_every: int | None
    average_from: int | None
    verbose: int


class EpochCallbacks(Protocol):
    """What training() tells the outside: before and after each epoch; a true answer stops. ``outcome`` is that of a run
    that stops there, whose state and history go on changing."""

    def epoch_begins(self) -> None: ...
    def epoch_ends(self, outcome: Callable[[], "Outcome"]) -> bool: ...


class Observer(Protocol):
    """Sees the counts and the parameters after every stretch of every epoch."""

    def see(self, row: dict[str, Any], theta: Vector) -> None: ...


Validate = Callable[[Vector], tuple[float, float]]
# What asks for epochs, is sent the sums of their progressive losses, and returns something in the end.
Steps = Generator[Request, NDArray[np.float64], _T]


class Outcome(NamedTuple):
    status: str
    why: str  # more about max_iter
    n_iter: int
    rule: Rule | None
    state: State
    history: History
    next_rate: float  # of the epoch that would come next


def alone(steps: Steps[_T]) -> _T:
    """Run every epoch that is asked for; returns what there is in the end."""
    losses: Any = None
    try:
        while True:
            request = steps.send(losses)
            try:
                losses = request.problem.run_epoch(request.state, request.epoch)
            except BaseException as error:  # raised where the epoch was asked for, for what is to be undone there
                steps.throw(error)
            del request  # with the order of its rows, before there is another
    except StopIteration as end:
        result: _T = end.value
        return result


def training(
    problem: Problem,
    plan: Plan,
    rule: Rule,
    beginning: Beginning | None,
    state: State,
    history: History,
    validate: Validate | None = None,
    callbacks: EpochCallbacks | None = None,
    observer: Observer | None = None,
) -> Steps[Outcome]:
    """Train ``state`` for up to ``plan.max_iter`` epochs, until ``rule`` is met.

    ``history`` is what came before; the rows of this run are in the outcome. Without a ``beginning`` the run is part of
    another, and fails only where it leaves the finite numbers.
    """
    done, clock = History(), Counters(history)
    start, n_bad_epochs, status = state.result().copy(), 0, ""
    penalty = problem.penalties(state.theta).sum()
    while not status:
        if callbacks is not None:
            callbacks.epoch_begins()
        before, penalty_before, n_updates, state.penalty_seen = state.copy(), penalty, clock.n_updates, 0.0
        losses, record = yield from _run_epoch(problem, plan, state, clock, observer)
        if np.isfinite(state.theta).all():
            penalty = problem.penalties(state.theta).sum()
            objective = float(losses.sum() + _mean_penalty(state, penalty_before, penalty, clock.n_updates - n_updates))
            n_bad_epochs = 0 if np.isfinite(objective) else n_bad_epochs + 1
            record["progressive_objective"] = objective
            record |= evaluation(problem, plan, clock.epoch, state.result(), start, validate)
            score, loss = (record.get(f"validation_{name}", np.nan) for name in ("score", "loss"))
            rule.see(objective, score, loss, state)
        else:
            state, status = before, "diverged"
            columns = ["progressive_objective", *_evaluated_columns(plan, clock.epoch, validate)]
            record |= dict.fromkeys(columns, np.nan)
        keep(record, done, plan)
        status = status or _end_or_lower_rate(plan, rule, beginning, state, clock, done, n_bad_epochs)
        if callbacks is not None:
            here = status or "stopped_by_callback"
            if callbacks.epoch_ends(partial(_outcome, here, problem, plan, rule, beginning, state, clock, done)):
                status = status if status == "diverged" else "stopped_by_callback"
        if not status and plan.growth is not None:
            plan = _with_next_batch_size(plan, plan.growth, problem, state, clock.epoch, done.n_epochs)
    return _outcome(status, problem, plan, rule, beginning, state, clock, done)


def _outcome(
    status: str,
    problem: Problem,
    plan: Plan,
    rule: Rule,
    beginning: Beginning | None,
    state: State,
    clock: "Counters",
    done: History,
) -> Outcome:
    """Of a run that stops here."""
    _, whole = rows_in_batches(problem.n_samples, plan.batch_size, plan.last_batch)
    next_rate = _rate_of(state, _rates(plan, state, clock, 1, whole))
    why, state = rule.why_not_met(plan.noisy) if status == "max_iter" else "", rule.state_to_keep(state)
    if beginning is not None and status not in ("converged", "diverged") and _has_failed(rule, beginning, state):
        status = "diverged"
    return Outcome(status, why, done.n_epochs, rule, state, done, next_rate)


def _mean_penalty(state: State, before: float, after: float, n_updates: int) -> float:
    """Along an epoch: as it was seen, or else half of its values before and after."""
    return state.penalty_seen / n_updates if state.penalty_seen > 0.0 else 0.5 * (before + after)


def _end_or_lower_rate(
    plan: Plan,
    rule: Rule,
    beginning: Beginning | None,
    state: State,
    clock: "Counters",
    done: History,
    n_bad_epochs: int,
) -> str:
    """What ends the run now, as a status. Empty: it goes on, at a lower rate where the adaptive schedule says so."""
    if n_bad_epochs >= plan.patience:
        return "diverged"
    if spent := clock.budget_spent(plan):
        return spent
    if rule.is_met():
        if plan.adaptive and done.last("learning_rate") > ADAPTIVE_END:
            state.rate_factor /= ADAPTIVE_FACTOR
            rule.start_over()
        elif _average_falls(rule, beginning, state):
            rule.start_over()
        elif status := _status_without_progress(rule, beginning, state):
            return status
    if done.n_epochs == plan.max_iter:
        return "diverged" if n_bad_epochs else "max_iter"
    return ""


def _average_falls(rule: Rule, beginning: Beginning | None, state: State) -> bool:
    """Whether the objective of an average has fallen since the rule was last met. The rule sees iterates, whose noise
    hides that their average still improves."""
    if state.average is None or beginning is None or rule.status != "converged":
        return False
    before, rule.of_average = rule.of_average, beginning.objective(state.average)
    return rule.of_average < before - rule.least


def _status_without_progress(rule: Rule, beginning: Beginning | None, state: State) -> str:
    """What a run is called whose rule is met. Empty: it has not come to rest, or not yet below where it began."""
    if beginning is None or rule.status != "converged":
        return rule.status
    verdict = beginning.judge(state.result(), rule)
    if verdict == "below" and not rule.has_risen():
        return rule.status
    if verdict == "failed":  # single epochs that are not below the lowest say little of a noisy descent
        return "" if rule.is_scikit_learns and _comes_down(rule, beginning, state) else "diverged"
    return "diverged" if rule.is_scikit_learns else ""


def _has_failed(rule: Rule, beginning: Beginning, state: State) -> bool:
    """A run that something else ends than its rule."""
    return beginning.judge(state.result(), rule) == "failed" and not _comes_down(rule, beginning, state)


def _comes_down(rule: Rule, beginning: Beginning, state: State) -> bool:
    return rule.comes_down(beginning.objective(state.result()))


@dataclass
class Counters:
    """Counts that go on from an earlier history."""

    history: History
    updates_here: int = 0
    samples_here: int = 0
    seconds_here: float = 0.0

    def __post_init__(self) -> None:
        last = self.history.last
        self.epoch, self.n_updates = last("epoch"), last("n_updates")
        self.n_samples_seen, self.seconds = last("n_samples_seen"), last("seconds", 0.0)

    def add(self, n_rows: int, n_batches: int, seconds: float) -> None:
        self.n_updates += n_batches
        self.updates_here += n_batches
        self.n_samples_seen += n_rows
        self.samples_here += n_rows
        self.seconds += seconds
        self.seconds_here += seconds

    def batches_left(self, plan: Plan) -> float:
        """How many batches the budgets of updates and of samples allow; the last may exceed the latter."""
        updates = np.inf if plan.max_updates is None else plan.max_updates - self.updates_here
        samples = np.inf if plan.max_samples is None else plan.max_samples - self.samples_here
        return min(updates, np.ceil(samples / plan.batch_size))

    def budget_spent(self, plan: Plan) -> str:
        """The budget that is used up, as a status; empty if there is none."""
        for name, used in (
            ("max_updates", self.updates_here),
            ("max_samples", self.samples_here),
            ("max_seconds", self.seconds_here),
        ):
            limit = getattr(plan, name)
            if limit is not None and used >= limit:
                return name
        return ""

    def row(self, **more: Any) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "n_updates": self.n_updates,
            "n_samples_seen": self.n_samples_seen,
            "seconds": self.seconds,
            **more,
        }


def _with_next_batch_size(
    plan: Plan, growth: Growth, problem: Problem, state: State, epoch: int, n_epochs: int
) -> Plan:
    size = next_batch_size(growth, plan.batch_size, problem, state.theta, n_epochs, epoch_seed(plan.seed, epoch))
    return plan._replace(batch_size=size, noisy=size < problem.n_samples)


def _rates(plan: Plan, state: State, clock: Counters, n_batches: int, whole: int) -> Rates:
    """Of the next batches, of which ``whole`` are an epoch."""
    progress = Progress(n_batches, state.schedule_updates, state.schedule_epochs, whole, clock.n_samples_seen)
    return plan.schedule(progress) * state.rate_factor


def _rate_of(state: State, rates: Rates) -> float:
    """Of the last of these updates, where the engine does not find the rates."""
    return float(rates[-1]) if np.isnan(state.own_rate) else state.own_rate


def _run_epoch(
    problem: Problem, plan: Plan, state: State, clock: Counters, observer: Observer | None
) -> Steps[tuple[NDArray[np.float64], dict[str, Any]]]:
    """One pass: progressive losses, and the row of the history."""
    _, whole = rows_in_batches(problem.n_samples, plan.batch_size, plan.last_batch)
    left = clock.batches_left(plan)
    n_rows, n_batches = rows_in_batches(problem.n_samples, plan.batch_size, plan.last_batch, left)
    began, epochs_before, samples_before = time.perf_counter(), clock.epoch, clock.n_samples_seen
    # the order of the rows in a full batch does not matter, and reading them in their own is faster
    shuffle = plan.shuffle if plan.batch_size < problem.n_samples else False
    order = sample_order(problem.n_samples, shuffle, plan.seed, clock.epoch)[:n_rows]
    etas = _rates(plan, state, clock, n_batches, whole)
    first_averaged = _first_averaged(plan, clock.n_samples_seen, n_rows, n_batches)
    seed = epoch_seed(plan.seed, clock.epoch) if problem.is_random else 0
    schedule_epochs = state.schedule_epochs
    clock.epoch += 1
    losses: Any = 0.0
    looks = plan.stretches if isinstance(plan.stretches, int) else plan.stretches - clock.updates_here
    for first, last in _stretches(n_batches, whole, looks):
        rows, rates = order[first * plan.batch_size : last * plan.batch_size], etas[first:last]
        stretch = Epoch(rows, rates, plan.batch_size, max(0, first_averaged - first), plan.noisy, seed)
        losses = losses + (yield Request(problem, state, stretch))
        state.schedule_epochs = schedule_epochs + last / whole
        clock.add(len(rows), last - first, time.perf_counter() - began)
        if observer is not None:
            row = clock.row(learning_rate=_rate_of(state, rates), batch_size=plan.batch_size)
            observer.see(row | {"epoch": epochs_before + last / whole}, state.result())
        if clock.budget_spent(plan) == "max_seconds":
            break
        began = time.perf_counter()
    losses = losses / (clock.n_samples_seen - samples_before)
    return losses, clock.row(
        learning_rate=_rate_of(state, rates), batch_size=plan.batch_size, progressive_loss=float(losses.sum())
    )


def _first_averaged(plan: Plan, n_samples_seen: int, n_rows: int, n_batches: int) -> int:
    """The first batch of an epoch whose update has seen ``average_from`` rows; ``n_batches`` where none has."""
    if plan.average_from is None or plan.average_from - n_samples_seen > n_rows:
        return n_batches
    return max(0, -(-(plan.average_from - n_samples_seen) // plan.batch_size) - 1)


def _stretches(n_batches: int, whole: int, looks: int | NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First and last batch of every stretch of an epoch: so many in a whole one, or one a batch; or one up to each of
    the given batches, and one to the end.

    >>> list(_stretches(10, 10, 4)), list(_stretches(6, 10, 4)), list(_stretches(2, 2, 4))
    ([(0, 2), (2, 5), (5, 7), (7, 10)], [(0, 2), (2, 5), (5, 6)], [(0, 1), (1, 2)])
    >>> list(_stretches(10, 10, np.array([-3, 1, 4, 12])))
    [(0, 1), (1, 4), (4, 10)]
    """
    if isinstance(looks, int):
        number = min(looks, whole)
        ends = [whole * i // number for i in range(1, number + 1)]
    else:
        ends = looks.tolist()
    yield from pairwise([0, *(end for end in ends if 0 < end < n_batches), n_batches])


def _evaluated_columns(plan: Plan, epoch: int, validate: Validate | None) -> list[str]:
    """Names of what ``evaluation`` measures after an epoch."""
    due = plan.evaluate_every and epoch % plan.evaluate_every == 0
    training = ["train_loss", "objective", "gradient_norm", "distance_from_init"] if due else []
    return training if validate is None else [*training, "validation_loss", "validation_score"]


def evaluation(
    problem: Problem, plan: Plan, epoch: int, theta: Vector, start: Vector, validate: Validate | None
) -> dict[str, float]:
    """The columns of the history that ``evaluate_every`` and a validation set ask for after an epoch."""
    names, values = _evaluated_columns(plan, epoch, validate), []
    if "train_loss" in names:
        losses, gradient = problem.evaluate(theta)
        loss, penalty = float(losses.sum()), float(problem.penalties(theta).sum())
        distance = norm_of(theta.astype(np.float64) - start)
        values += [loss, loss + penalty, problem.gradient_norm(theta, gradient), distance]
    if validate is not None:
        values += validate(theta)
    return dict(zip(names, values, strict=True))


def keep(record: dict[str, Any], done: History, plan: Plan) -> None:
    """Add a row to the history, and print it if asked to."""
    done.append(**record)
    if plan.verbose:
        print(", ".join(f"{name} {value:.6g}" for name, value in record.items()), flush=True)
