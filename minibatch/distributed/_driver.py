"""The driver's side of training: what ``_training`` asks for is done by workers, and everything else as in ``fit``."""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Protocol, TypeVar

import numpy as np
from scipy.optimize import nnls

from minibatch._base.callbacks import CallbackBridge
from minibatch._base.rows import Checked
from minibatch._problems.batching import Order, sample_orders
from minibatch._problems.epochs import Epoch
from minibatch._problems.requests import Ran, Request
from minibatch._problems.state import State
from minibatch._training.epochs import Steps
from minibatch.distributed._communicator import Traffic
from minibatch.distributed._rounds import Trained

__all__ = ["PARTS_KEPT", "SECONDS_AT_ONCE", "SHARE_WAITING", "Orders", "Record", "Teller", "Workers", "drive"]

# A worker that is lost costs a part of an epoch, of about so many seconds.
SECONDS_AT_ONCE = 0.5
# With period=None, rounds take about this share of the time, as so many parts tell that are unlike.
SHARE_WAITING, PARTS_KEPT = 0.1, 16

_T = TypeVar("_T")


class Workers(Protocol):
    """Who trains."""

    number: int

    def share(self, problem: Any, n_numbers: int, by_gradients: bool) -> None: ...
    def begin(self, epoch: Epoch) -> None: ...
    def train(self, state: State, first: int, last: int, period: int, asked: Any) -> tuple[Trained, Traffic]: ...
    def close(self) -> None: ...


class Orders:
    """``sample_orders``, of the next epoch while workers train on this one; or none, where workers make them."""

    def __init__(self, pool: Executor, elsewhere: bool) -> None:
        self._pool, self._elsewhere = pool, elsewhere
        self._next: tuple[Any, Future[Order]] | None = None
        self.asked: tuple[Any, ...] = ()  # what the order of the latest epoch depends on, but for the number of rows

    def __call__(self, n_samples: int, shuffle: bool | str, seed: int, epoch: int, n_epochs: int) -> Order:
        self.asked = shuffle, seed, epoch
        if self._elsewhere:
            return np.broadcast_to(np.int64(0), (n_epochs, n_samples))
        asked = n_samples, shuffle, seed, epoch, n_epochs
        known, self._next = self._next, None
        order = known[1].result() if known is not None and known[0] == asked else sample_orders(*asked)
        if shuffle:
            following = n_samples, shuffle, seed, epoch + 1, n_epochs
            self._next = following, self._pool.submit(sample_orders, *following)
        return order


class Record:
    """What goes on between workers, epoch by epoch; and how it goes on."""

    def __init__(self, period: int | None, by_gradients: bool, most_rows: float = np.inf) -> None:
        self.traffic = Traffic()
        self.rows: list[Traffic] = []  # after every epoch
        self.period = 1 if period is None else period
        self.by_gradients, self._adapts = by_gradients, period is None and not by_gradients
        self._n_at_once, self._most_rows = 1, most_rows  # of all workers, that are held
        self._took: dict[tuple[int, int], float] = {}  # seconds of the latest part of so many rounds and updates

    def next_updates(self, batch_size: int) -> int:
        """How many are trained at once."""
        if self._adapts:  # to what memory holds, too
            self.period = int(min(self.period, max(1.0, self._most_rows / batch_size)))
        unit = 1 if self.by_gradients else self.period
        if self._n_at_once * unit * batch_size > self._most_rows:
            return unit * max(1, int(self._most_rows // (unit * batch_size)))
        return self._n_at_once if self.by_gradients else self._n_at_once * self.period

    def add(self, traffic: Traffic, n_updates: int, seconds: float) -> None:
        self.traffic += traffic
        if self._adapts:
            part = traffic.n_rounds, n_updates
            self._took.pop(part, None)  # the latest stand last
            self._took[part] = seconds
            if len(self._took) > PARTS_KEPT:
                del self._took[next(iter(self._took))]
            self.period = int(np.clip(self._wanted_period(), (self.period + 1) // 2, 2 * self.period))
        if seconds < SECONDS_AT_ONCE / 2:
            self._n_at_once *= 2
        elif seconds > 2 * SECONDS_AT_ONCE:
            self._n_at_once = max(1, self._n_at_once // 2)

    def _wanted_period(self) -> float:
        """That with which rounds are a tenth of the time: waiting, and the Python around it. What a round and an update
        take is told from parts with different periods; a part has costs of its own, too."""
        seconds, (n_rounds, n_updates) = np.array([*self._took.values()]), np.array([*self._took]).T
        costs = np.stack([np.ones_like(seconds), n_rounds, n_updates], axis=1) / seconds[:, None]
        (_, of_round, of_update), _ = nnls(costs, np.ones_like(seconds))
        if len(seconds) < 3 or of_update == 0.0:
            return np.inf
        return float(np.ceil(of_round * (1.0 - SHARE_WAITING) / (SHARE_WAITING * of_update)))


class Teller(CallbackBridge):
    """Tells callbacks as in ``fit``, the record that an epoch is over, and somebody who keeps what there is."""

    def __init__(self, record: Record, keep: Callable[[Callable[[], Any], Record], None], *args: Any) -> None:
        model, X, *rest = args
        super().__init__(model, None if isinstance(X, Checked) else X, *rest)
        self._is_told, self.sees_epochs = self.sees_epochs, True
        self._record, self._keep = record, keep

    def epoch_begins(self) -> None:
        if self._is_told:
            super().epoch_begins()

    def epoch_ends(self, n_epochs: int, outcome: Callable[..., Any]) -> bool:
        self._record.rows.append(self._record.traffic)
        self._keep(lambda: self._seen(outcome(judged=False)), self._record)
        return self._is_told and super().epoch_ends(n_epochs, outcome)


def drive(steps: Steps[_T], workers: Workers, record: Record, orders: Orders) -> _T:
    """As ``_training.epochs.alone``, with workers."""
    shared: Any = None
    try:
        request = next(steps)
        while True:
            try:
                ran = None
                if request is not None:
                    if shared is not request.problem:
                        shared = request.problem
                        workers.share(shared, _numbers_of(request), record.by_gradients)
                        workers.begin(request.epoch)  # a first batch, which nobody keeps: compiling is no cost of it
                        workers.train(request.state.copy(), 0, 1, 1, orders.asked)
                    ran = _run(request, workers, record, orders)
            except BaseException as error:  # raised where the epoch was asked for, for what is to be undone there
                steps.throw(error)
            del request
            request = steps.send(ran)
    except StopIteration as end:
        result: _T = end.value
        return result


def _numbers_of(request: Request) -> int:
    """Of an exchange: of parameters with all memory, or of a gradient and losses, which is less."""
    state = request.state
    arrays = [value for value in vars(state).values() if isinstance(value, np.ndarray)]
    return 64 + sum(array.size for array in arrays) + 16 * request.problem.data.class_weight.shape[1]


def _run(request: Request, workers: Workers, record: Record, orders: Orders) -> Ran:
    _, state, epoch = request
    workers.begin(epoch)
    began, first, n_batches = time.perf_counter(), 0, len(epoch.etas)
    losses: Any = 0.0
    while first < n_batches:
        part_began, n_updates = time.perf_counter(), min(record.next_updates(epoch.batch_size), n_batches - first)
        (after, of_part), traffic = workers.train(state, first, first + n_updates, record.period, orders.asked)
        _become(state, after)
        losses, first = losses + of_part, first + n_updates
        record.add(traffic, n_updates, time.perf_counter() - part_began)
    return Ran(losses, time.perf_counter() - began)


def _become(state: State, other: State) -> None:
    """In place: whoever asked for the epoch goes on with this state."""
    for name, value in vars(other).items():
        if isinstance(value, np.ndarray) and value.shape == getattr(state, name).shape:
            getattr(state, name)[...] = value
        else:
            setattr(state, name, value)
