"""The next epoch, or several that nobody looks between: which rows in which order at which rates, and how they run."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import isnan
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.batching import Order, epoch_seed, rows_in_batches, sample_orders
from minibatch._problems.epochs import Epoch
from minibatch._problems.requests import Ran, Request
from minibatch._problems.state import Problem, State, Vector, largest_rate
from minibatch._training.growth import Growth
from minibatch.history import History
from minibatch.schedules._progress import Progress, Rates, Schedule

__all__ = [
    "Counters", "Observer", "Plan", "Steps", "Trained", "alone", "next_epochs", "next_rate", "run_epoch", "run_epochs",
]  # fmt: skip


_T = TypeVar("_T")
# What asks for epochs, is sent what came of each, and returns something in the end. In between it may rest, and ask for
# nothing.
Steps = Generator[Request | None, Ran | None, _T]


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
    orders: Callable[..., Order] = sample_orders
    longer: int = 1  # calls of several epochs may be so many times longer than is good for one fit
    n_rows: int | None = None  # of an epoch, where those of the problem are a sample of them
    in_chunks: bool = False  # it matters which rows of a batch lie side by side, also where that is all rows

    def rows_of(self, problem: Problem) -> int:
        return problem.n_samples if self.n_rows is None else self.n_rows


class Observer(Protocol):
    """Sees the counts and the parameters after every stretch of every epoch."""

    def see(self, row: dict[str, Any], theta: Vector) -> None: ...


class Trained(NamedTuple):
    """What epochs that ran leave to be noted: a row, or an entry of a column, for each."""

    losses: NDArray[np.float64]  # (epochs, objectives): progressive means
    penalties: NDArray[np.float64]  # (epochs,): means of those before each update, 0 where nobody followed them
    thetas: Vector  # (epochs, n_parameters)
    columns: dict[str, list[Any]]  # of the history


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

    def go_to(self, row: dict[str, Any]) -> None:
        """Count up to a row of the history."""
        names = "n_samples_seen", "n_updates", "seconds"
        self.epoch = row["epoch"]
        self.add(*(row[name] - getattr(self, name) for name in names))

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


def alone(steps: Steps[_T]) -> _T:
    """Run all epochs that are asked for; returns what there is in the end."""
    try:
        request = next(steps)
        while True:
            try:
                ran = None if request is None else request.run()
            except BaseException as error:  # raised where the epoch was asked for, for what is to be undone there
                steps.throw(error)
            del request  # whose order and rates are as long as the data
            request = steps.send(ran)
    except StopIteration as end:
        result: _T = end.value
        return result


def next_epochs(problem: Problem, plan: Plan, state: State, clock: Counters, n_epochs: int = 1) -> Epoch:
    """So many, a row of orders and rates each; more than one are whole."""
    n, batch_size = plan.rows_of(problem), plan.batch_size
    _, whole = rows_in_batches(n, batch_size, plan.last_batch)
    n_rows, n_batches = rows_in_batches(n, batch_size, plan.last_batch, clock.batches_left(plan))
    # the order of the rows in a full batch matters to chunks alone, and reading them in their own is faster; a full
    # batch has all rows once with shuffle="replacement" too, for it is gradient descent on the objective
    shuffle = plan.shuffle if batch_size < n else plan.in_chunks and bool(plan.shuffle)
    orders = plan.orders(n, shuffle, plan.seed, clock.epoch, n_epochs)[:, :n_rows]
    orders = orders if orders.strides[1] == 0 else np.ascontiguousarray(orders)  # where others have it, it has no room
    etas = _rates(plan, state, clock, n_batches, whole, n_rows, n_epochs)
    first_averaged = _first_averaged(plan, clock.n_samples_seen, n_rows, n_batches)
    seed = epoch_seed(plan.seed, clock.epoch) if problem.is_random else 0
    return Epoch(orders, etas, batch_size, first_averaged, plan.noisy, seed, whole)


def next_rate(problem: Problem, plan: Plan, state: State, clock: Counters) -> float:
    """Of the first update of the epoch that would come next; of the last one where the engine finds the rates."""
    if not isnan(state.own_rate):
        return state.own_rate
    _, whole = rows_in_batches(plan.rows_of(problem), plan.batch_size, plan.last_batch)
    return _rate_of(state, _rates(plan, state, clock, 1, whole)[0])


def _rates(
    plan: Plan, state: State, clock: Counters, n_batches: int, whole: int, n_rows: int = 0, n_epochs: int = 1
) -> Rates:
    """Of the next batches, of which ``whole`` are an epoch, in so many epochs of so many rows."""
    updates: Any = state.schedule_updates
    epochs: Any = state.schedule_epochs
    rows: Any = clock.n_samples_seen
    if n_epochs > 1:
        number = np.arange(n_epochs)[:, None]
        updates, rows = updates + n_batches * number, rows + n_rows * number
        epochs = np.array([*accumulate([1.0] * (n_epochs - 1), initial=epochs)])[:, None]  # as they are counted
    now = Progress(n_batches, updates, epochs, whole, rows)
    trade = None if plan.growth is None else plan.growth.trade
    etas, shape = plan.schedule(trade.progress(now) if trade else now), (n_epochs, n_batches)
    if state.rate_factor != 1.0:
        etas = etas * state.rate_factor
    etas = trade.rates(etas, plan.batch_size) if trade else etas
    return etas.reshape(shape) if n_epochs == 1 else np.broadcast_to(etas, shape)


def _rate_of(state: State, rates: Rates) -> float:
    """Of the last of these updates, where the engine does not find the rates."""
    own_rate = state.own_rate
    return float(rates[-1]) if isnan(own_rate) else own_rate


def run_epoch(
    problem: Problem, plan: Plan, state: State, clock: Counters, epoch: Epoch, observer: Observer | None
) -> Steps[Trained]:
    """One pass, cut where somebody looks."""
    _, whole = rows_in_batches(plan.rows_of(problem), plan.batch_size, plan.last_batch)
    epoch = epoch.number(0)
    epochs_before, samples_before = clock.epoch, clock.n_samples_seen
    schedule_epochs, updates_before, state.penalty_seen = state.schedule_epochs, clock.n_updates, 0.0
    clock.epoch += 1
    losses: Any = 0.0
    looks = plan.stretches if isinstance(plan.stretches, int) else plan.stretches - clock.updates_here
    for first, last in _stretches(len(epoch.etas), whole, looks):
        stretch = epoch.part(first, last)
        ran = yield from _run(problem, state, stretch)
        losses = losses + ran.left
        state.schedule_epochs = schedule_epochs + last / whole
        clock.add(len(stretch.order), last - first, ran.seconds)
        if observer is not None:
            row = clock.row(learning_rate=_rate_of(state, stretch.etas), batch_size=epoch.batch_size)
            observer.see(row | {"epoch": epochs_before + last / whole}, state.result())
        if clock.budget_spent(plan) == "max_seconds":
            break
    losses = losses / (clock.n_samples_seen - samples_before)
    seen = {"progressive_loss": float(losses.sum()), "progressive_objective": np.nan}
    row = clock.row(learning_rate=_rate_of(state, stretch.etas), batch_size=epoch.batch_size, **seen)
    penalties = np.array([state.penalty_seen / (clock.n_updates - updates_before)])
    columns = {name: [value] for name, value in row.items()}
    return Trained(losses[None], penalties, state.theta[None], columns)


def run_epochs(problem: Problem, state: State, clock: Counters, epochs: Epoch) -> Steps[Trained]:
    """Several whole passes in one call. ``clock`` is left as it is: who looks at them says how many count."""
    (n_epochs, n_rows), n_batches = epochs.order.shape, epochs.etas.shape[1]
    passed, seconds = yield from _run(problem, state, epochs)
    for _ in range(n_epochs):
        state.schedule_epochs += 1.0
    seconds /= n_epochs
    losses, number, paces = passed.losses / n_rows, range(1, n_epochs + 1), passed.notes.paces
    columns = {
        "epoch": [clock.epoch + i for i in number],
        "n_updates": [clock.n_updates + n_batches * i for i in number],
        "n_samples_seen": [clock.n_samples_seen + n_rows * i for i in number],
        "seconds": [clock.seconds + seconds * i for i in number],
        "learning_rate": (largest_rate(paces) if len(paces) else epochs.etas[:, -1]).tolist(),
        "batch_size": [epochs.batch_size] * n_epochs,
        "progressive_loss": losses.sum(axis=1).tolist(),
        "progressive_objective": [np.nan] * n_epochs,
    }
    return Trained(losses, passed.penalties / n_batches, passed.notes.thetas, columns)


def _run(problem: Problem, state: State, epoch: Epoch) -> Steps[Ran]:
    ran = yield Request(problem, state, epoch)
    assert ran is not None
    return ran


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
