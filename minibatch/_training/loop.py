"""The one epoch loop of every model: records, stopping, divergence.

Python decides once an epoch, or once for several of small data that nobody looks between: what comes next
(``next_epochs``), that it runs (``run_epoch``, ``run_epochs``: compiled code), and what came of it (``_note``). Failure
is a status, not an exception.

``training`` is a generator that asks for its epochs, and ``alone`` runs what it asks for. So the epochs that many fits
ask for can be run together (``_training.together``, searches).
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from typing import Any, NamedTuple, Protocol

import numpy as np

from minibatch._problems.batching import epoch_seed, rows_in_batches
from minibatch._problems.epochs import Epoch
from minibatch._problems.state import Problem, State, Vector, norm_of
from minibatch._training.beginning import Beginning
from minibatch._training.epochs import (
    Counters,
    Observer,
    Plan,
    Steps,
    Trained,
    next_epochs,
    next_rate,
    run_epoch,
    run_epochs,
)
from minibatch._training.growth import Growth, after_trade, next_batch_size
from minibatch._training.rules import Rule
from minibatch.history import History
from minibatch.schedules._named import ADAPTIVE_END, ADAPTIVE_FACTOR
from minibatch.schedules._progress import Progress

__all__ = ["AHEAD_OF_RULE", "EpochCallbacks", "Outcome", "Validate", "evaluation", "keep", "training"]

# Epochs that run before the rule looks at the first of them: where it is met they run again up to there. More would
# save little, and waste more where it is met soon.
AHEAD_OF_RULE = 8


class EpochCallbacks(Protocol):
    """What training() tells the outside: before and after an epoch, or so many as it does not ask about; a true answer
    stops. Where it asks for none it rests. ``outcome`` is that of a run that stops there, whose state and history go on
    changing."""

    def n_unwatched(self) -> float: ...
    def epoch_begins(self) -> None: ...
    def epoch_ends(self, n_epochs: int, outcome: Callable[..., "Outcome"]) -> bool: ...


Validate = Callable[[Vector], tuple[float, float]]


class Outcome(NamedTuple):
    status: str
    why: Callable[[], str]  # it has not converged, in words
    n_iter: int
    rule: Rule | None
    state: State
    history: History
    next_rate: Callable[[], float]  # of the epoch that would come next


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
    done, clock, n_bad_epochs, status = History(), Counters(history), 0, ""
    start, penalty = state.result().copy(), problem.penalties(state.theta).sum()
    is_looked_at = observer is not None or validate is not None
    while not status:
        if callbacks is not None:
            callbacks.epoch_begins()
        before, n_epochs = state.copy(), 1
        if not is_looked_at:
            n_epochs = _n_unwatched(problem, plan, rule, clock, done.n_epochs, callbacks)
        if n_epochs == 1:  # nothing here keeps its order and its rates, which are as long as the data
            trained = yield from run_epoch(
                problem, plan, state, clock, next_epochs(problem, plan, state, clock), observer
            )
        else:
            epochs = next_epochs(problem, plan, state, clock, n_epochs)
            trained = yield from run_epochs(problem, state, clock, epochs)
        objectives, penalties = _objectives(problem, trained, penalty)
        columns = trained.columns
        if objectives and n_epochs == 1:
            columns |= evaluation(problem, plan, clock.epoch, state.result(), start, validate)
        n_seen, n_bad_epochs, ended = _show(rule, plan, objectives, n_epochs, n_bad_epochs, columns, state)
        if n_seen < n_epochs:  # it ends before the last of these epochs, or they have left the finite numbers
            state = (
                before if n_seen == 0 else (yield from _again(problem, before, clock, epochs, trained.thetas[:n_seen]))
            )
            status = "" if ended else "diverged"
        penalty = penalties[n_seen - 1] if n_seen else penalty
        _note(columns, objectives[:n_seen], status, plan, clock, done, validate)
        status = status or _end_or_lower_rate(plan, rule, beginning, state, clock, done, n_bad_epochs)
        if callbacks is not None:
            here = status or "stopped_by_callback"
            outcome = partial(_outcome, here, problem, plan, rule, beginning, state, clock, done)
            if callbacks.epoch_ends(done.n_epochs, outcome):
                status = status if status == "diverged" else "stopped_by_callback"
        if not status and plan.growth is not None:
            plan = _with_next_batch_size(plan, plan.growth, problem, state, clock, done.n_epochs)
        if not status and callbacks is not None and callbacks.n_unwatched() < 1:
            yield None
    return _outcome(status, problem, plan, rule, beginning, state, clock, done)


def _n_unwatched(
    problem: Problem, plan: Plan, rule: Rule, clock: Counters, n_done: int, callbacks: EpochCallbacks | None
) -> int:
    """How many epochs may run before anything looks at one."""
    most = plan.max_iter - n_done if callbacks is None else min(plan.max_iter - n_done, callbacks.n_unwatched())
    from_first = plan.average_from is not None and plan.average_from - clock.n_samples_seen <= plan.batch_size
    averages_later = plan.average_from is not None and not from_first
    if most <= 1 or plan.growth is not None or plan.verbose or plan.max_seconds is not None or averages_later:
        return 1
    n_epochs = int(min(problem.n_epochs_at_once(plan.batch_size, from_first, plan.longer), most))
    if n_epochs > 1:
        _, whole = rows_in_batches(plan.rows_of(problem), plan.batch_size, plan.last_batch)
        n_epochs = int(min(n_epochs, clock.batches_left(plan) // whole))
    if plan.evaluate_every is not None:
        n_epochs = min(n_epochs, plan.evaluate_every - 1 - clock.epoch % plan.evaluate_every)
    if rule.tol is not None:
        n_epochs = 1 if n_epochs == 1 or rule.is_met() else min(n_epochs, AHEAD_OF_RULE)
    return max(1, n_epochs)


def _objectives(problem: Problem, trained: Trained, before: float) -> tuple[list[float], Sequence[float]]:
    """Of the epochs before the first that leaves the finite numbers, with the penalties at their ends."""
    thetas = trained.thetas
    if len(thetas) == 1:
        return _objective_of_one(problem, trained, before)
    n_finite = int(np.append(np.isfinite(thetas).all(axis=1), False).argmin())
    if n_finite == 0:
        return [], []
    penalties = problem.penalties(thetas[:n_finite]).sum(axis=1)
    # along an epoch: as it was seen, or else half of its values before and after
    halfway, along = 0.5 * (np.append(before, penalties[:-1]) + penalties), trained.penalties[:n_finite]
    objectives = trained.losses[:n_finite].sum(axis=1) + np.where(along != 0.0, along, halfway)
    return objectives.tolist(), penalties.tolist()


def _objective_of_one(problem: Problem, trained: Trained, before: float) -> tuple[list[float], list[float]]:
    """The same of one epoch, in plain numbers: arrays of one take as long as a short epoch."""
    theta, along = trained.thetas[0], float(trained.penalties[0])
    if not np.isfinite(theta).all():
        return [], []
    penalty = float(problem.penalties(theta).sum())
    return [float(trained.losses[0].sum()) + (along if along != 0.0 else 0.5 * (before + penalty))], [penalty]


def _show(
    rule: Rule,
    plan: Plan,
    objectives: list[float],
    n_epochs: int,
    n_bad: int,
    columns: dict[str, list[Any]],
    state: State,
) -> tuple[int, int, bool]:
    """Show the epochs to the rule until something ends the run, or might: how many they were, and how many of the last
    had no finite objective; and whether it was one of these that ended it."""
    (score,), (loss,) = (columns.get(f"validation_{name}", [np.nan]) for name in ("score", "loss"))
    for n_seen, objective in enumerate(objectives, 1):
        n_bad = 0 if isfinite(objective) else n_bad + 1
        rule.see(objective, score, loss, state)
        if n_seen < n_epochs and (n_bad >= plan.patience or rule.is_met()):
            return n_seen, n_bad, True
    return len(objectives), n_bad, False


def _again(problem: Problem, before: State, clock: Counters, epochs: Epoch, thetas: Vector) -> Steps[State]:
    """The state after the first of these epochs, each of which ended with such parameters."""
    n_epochs = len(thetas)
    first = epochs._replace(order=epochs.order[:n_epochs], etas=epochs.etas[:n_epochs])
    if before.is_parameters_alone:
        before.theta[...] = thetas[-1]
        before.count(first.etas.size, 0)
        before.schedule_epochs += n_epochs
    else:
        yield from run_epochs(problem, before, clock, first)
    return before


def _note(
    columns: dict[str, list[Any]],
    objectives: list[float],
    status: str,
    plan: Plan,
    clock: Counters,
    done: History,
    validate: Validate | None,
) -> None:
    """Add epochs to the history: those with an objective and, where they diverged, one more."""
    last = [np.nan] if status == "diverged" else []
    columns = {name: values[: len(objectives) + len(last)] for name, values in columns.items()}
    columns["progressive_objective"] = [*objectives, *last]
    clock.go_to({name: values[-1] for name, values in columns.items()})
    if status == "diverged":
        columns |= dict.fromkeys(_evaluated_columns(plan, clock.epoch, validate), last)
    keep(columns, done, plan)


def _outcome(
    status: str,
    problem: Problem,
    plan: Plan,
    rule: Rule,
    beginning: Beginning | None,
    state: State,
    clock: "Counters",
    done: History,
    judged: bool = True,
) -> Outcome:
    """Of a run that stops here. Where it is not ``judged``, nobody looks whether it has failed."""
    rate = partial(next_rate, problem, plan, state, clock)
    state = rule.state_to_keep(state)
    is_open = judged and status not in ("converged", "diverged")
    if is_open and beginning is not None and _has_failed(rule, beginning, state):
        status = "diverged"
    return Outcome(status, partial(rule.why_not_met, plan.noisy), done.n_epochs, rule, state, done, rate)


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
        else:
            rule.wait_again()
    if done.n_epochs == plan.max_iter:
        return "diverged" if n_bad_epochs else "max_iter"
    return ""


def _average_falls(rule: Rule, beginning: Beginning | None, state: State) -> bool:
    """Whether the objective of an average has fallen since the rule was last met. The rule sees iterates, whose noise
    hides that their average still improves."""
    if state.average is None or beginning is None or rule.status != "converged":
        return False
    before, rule.of_average = rule.of_average, beginning.objective(state.result())
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


def _with_next_batch_size(
    plan: Plan, growth: Growth, problem: Problem, state: State, clock: Counters, n_epochs: int
) -> Plan:
    n, size = plan.rows_of(problem), plan.batch_size
    if growth.trade is None:
        seed = epoch_seed(plan.seed, clock.epoch)
        drawn_anew = plan.shuffle == "replacement"
        size = next_batch_size(growth, size, problem, state.theta, n_epochs, seed, drawn_anew)
    else:
        trade, epochs, rows = growth.trade, state.schedule_epochs, clock.n_samples_seen
        ends = Progress(2, 0, epochs - 1.0, trade.whole, rows - n, stride=max(1, trade.whole - 1))
        following = Progress(1, 0, epochs, trade.whole, rows)
        last, after = (plan.schedule(trade.progress(now)) for now in (ends, following))
        rates = float(last.max()), float(after[0]) * state.rate_factor
        growth, size = after_trade(growth, trade, size, rates, n_epochs)
    return plan._replace(batch_size=size, noisy=size < n, growth=growth)


def _evaluated_columns(plan: Plan, epoch: int, validate: Validate | None) -> list[str]:
    """Names of what ``evaluation`` measures after an epoch."""
    due = plan.evaluate_every and epoch % plan.evaluate_every == 0
    training = ["train_loss", "objective", "gradient_norm", "distance_from_init"] if due else []
    return training if validate is None else [*training, "validation_loss", "validation_score"]


def evaluation(
    problem: Problem, plan: Plan, epoch: int, theta: Vector, start: Vector, validate: Validate | None
) -> dict[str, list[float]]:
    """The columns of the history that ``evaluate_every`` and a validation set ask for after an epoch."""
    names, values = _evaluated_columns(plan, epoch, validate), []
    if "train_loss" in names:
        losses, gradient = problem.evaluate(theta)
        loss, penalty = float(losses.sum()), float(problem.penalties(theta).sum())
        n = problem.n_trained  # not the running statistics of batch normalization
        distance = norm_of(theta[:n].astype(np.float64) - start[:n])
        values += [loss, loss + penalty, problem.gradient_norm(theta, gradient), distance]
    if validate is not None:
        values += validate(theta)
    return {name: [value] for name, value in zip(names, values, strict=True)}


def keep(columns: dict[str, list[Any]], done: History, plan: Plan) -> None:
    """Add rows to the history, and print them if asked to."""
    done.add(columns)
    if plan.verbose:
        for row in zip(*columns.values(), strict=True):
            print(", ".join(f"{name} {value:.6g}" for name, value in zip(columns, row, strict=True)), flush=True)
