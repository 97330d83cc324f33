"""Multi-layer perceptrons: batches of any size, on threads."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import row_norms

from minibatch._problems.averages import shares_of_updates
from minibatch._problems.batching import Order
from minibatch._problems.blas import one_blas_thread
from minibatch._problems.epochs import Epoch
from minibatch._problems.layout import WHOLE_BATCH, buffer_sizes, buffer_type, buffers
from minibatch._problems.meeting import on_threads_that_meet
from minibatch._problems.mlp_work import BLOCK_WORK, UPDATE_WORK, rows_at_once, work_of_row
from minibatch._problems.pieces import Threads, at_once, cut, share_out
from minibatch._problems.state import ProblemOnRows, RowGradients, State, Vector, blocks_of_rows, data_of
from minibatch.engine.compile import COMPILED
from minibatch.engine.linear import Data, Objective, Solver
from minibatch.engine.mlp import mlp_epoch, mlp_gradient, mlp_row_gradients, mlp_scores, mlp_update
from minibatch.engine.mlp_by_inputs import mlp_epoch_by_inputs
from minibatch.engine.network import Network, Work
from minibatch.engine.optimizers import Step
from minibatch.engine.rows import CSR
from minibatch.schedules._progress import Rates

__all__ = [
    "BLOCK_ROWS", "FEW_ROWS", "LARGE_BATCH", "MAX_SHARES", "ROWS_OF_STATISTICS", "ROWS_OF_UPDATE", "SHARE_WORK",
    "SMALL_WORK", "MLPProblem", "scores_of",
]  # fmt: skip

# The work on a batch is cut into shares that threads take, by the data alone, so that results do not depend on the
# number of threads: from SMALL_WORK multiplications by a weight on (an update counts as ROWS_OF_UPDATE rows), of
# SHARE_WORK, at most MAX_SHARES. A share goes through the network in blocks of BLOCK_ROWS rows, which the cache holds.
SMALL_WORK, SHARE_WORK, MAX_SHARES, BLOCK_ROWS, ROWS_OF_UPDATE = 300_000, 10_000_000, 8, 256, 4
FEW_ROWS = 64  # batches of so many are shared out by inputs (``engine.mlp_by_inputs``)
# Threads meet twice in a batch and share out its rows first and then its weights; from so many rows on, or more than a
# piece, each sums up the gradient of its own rows instead, and they meet once. Measured on 784-100-10 and 16-100-26:
# 0.6 to 0.9 times as fast at 1,024 rows, level at 4,096, 1.2 to 1.3 times at 10,000.
LARGE_BATCH = 4096
ROWS_OF_STATISTICS = 1024  # at most, of the beginning of a fit


def _n_shares(network: Network, n_rows: int) -> int:
    work = (n_rows + ROWS_OF_UPDATE) * network.n_weights
    return 1 if work < SMALL_WORK else int(np.clip(work // SHARE_WORK, 2, MAX_SHARES))


def _rows_of_shares(network: Network, n_rows: int) -> tuple[int, int]:
    """How many shares so many rows are, where each has buffers of its own, and the rows of these."""
    n_shares = _n_shares(network, n_rows)
    return n_shares, min(BLOCK_ROWS, -(-n_rows // n_shares))


def _buffers_of_shares(network: Network, n_rows: int, X: Any, dtype: Any, **more: bool) -> list[Work]:
    n_shares, rows_of_each = _rows_of_shares(network, n_rows)
    return [buffers(network, rows_of_each, X, dtype, **more) for _ in range(n_shares)]


def _share_bounds(n_rows: int, n_shares: int) -> Order:
    return np.arange(n_shares + 1) * n_rows // n_shares


@dataclass(frozen=True)
class MLPProblem(ProblemOnRows):
    """A network on dense (C order) or CSR rows."""

    network: Network
    half_life: float | None = field(default=None, kw_only=True)  # of an average of the iterates: see ``averages``

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: NDArray[Any],
        weight: NDArray[Any] | None,
        objective: Objective,
        solver: Solver,
        network: Network,
        data: Data | None = None,
        **more: Any,
    ) -> "MLPProblem":
        """``y`` as ``data_of`` takes it; ``data`` is what that has returned for these arrays before."""
        data = data_of(X, y, weight, int(network.units[-1])) if data is None else data
        return cls(data, objective, solver, network, n_features=X.shape[1], **more)

    @property
    def is_random(self) -> bool:
        return self.network.dropout > 0.0

    @property
    def n_parameters(self) -> int:
        return self.network.n_parameters

    @property
    def n_trained(self) -> int:
        """How many of the parameters, from the first, training changes."""
        return self.network.n_trained

    def new_state(self, theta: Vector, averaged: bool) -> State:
        """The state before the first update; ``theta`` is copied."""
        first = self._first_state(theta, self.n_trained, np.zeros(0))
        return replace(first, average=theta.copy() if averaged else None)

    def in_whole_batches(self) -> "MLPProblem":
        """With all rows of a batch normalised alike."""
        normalization: Any = self.network.normalization
        return replace(self, network=self.network._replace(normalization=normalization._replace(chunk=WHOLE_BATCH)))

    def with_statistics(self, theta: Vector) -> Vector:
        """With those of the rows as running statistics, from some of them: as training normalizes from the first batch
        on. A copy; without batch normalization, as it is."""
        if not self.network.normalized:
            return theta
        n_rows = min(self.n_samples, ROWS_OF_STATISTICS)
        some = self.in_whole_batches().on_rows(np.linspace(0, self.n_samples - 1, n_rows).astype(np.int64))
        state = some.new_state(theta, False)
        some.run_epoch(state, Epoch(np.arange(n_rows), np.zeros(1), n_rows, 1, False, 0))  # at the rate 0
        return state.theta

    def penalties(self, theta: Vector) -> NDArray[np.float64]:
        """The penalty, as one entry."""
        if self.objective.l2 == 0.0:
            return np.zeros(1)  # also of weights whose squares overflow
        w = theta[: self.network.n_weights]
        # not w @ w: a thread of BLAS, once woken, keeps a core busy for a while, and the next epoch would share it
        with np.errstate(over="ignore"):  # infinity is the right answer
            return np.array([0.5 * self.objective.l2 * np.einsum("i,i", w, w, dtype=np.float64)])

    def evaluate(self, theta: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weighted mean loss over all rows as one entry, and its gradient, without penalty and dropout."""
        rows = self._all_rows
        total_weight = self.data.weight[rows].sum(dtype=np.float64) if len(self.data.weight) else len(rows)
        loss, gradient = self._gradient(theta)
        return np.array([loss / total_weight]), gradient / total_weight

    def with_penalty(self, theta: Vector, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """The gradient of the objective, from that of the loss."""
        n = self.network.n_weights
        with np.errstate(over="ignore"):
            return np.concatenate([gradient[:n] + self.objective.l2 * theta[:n], gradient[n:]])

    def scores(self, theta: Vector) -> NDArray[Any]:
        """What the last layer gives for all rows, before softmax, logistic or exponential function."""
        return scores_of(self.data.X, len(self.data.y), self.network, theta, self.threads)

    def evaluation_bytes(self) -> dict[str, int]:
        """What ``evaluate`` and ``gradient_norm`` allocate, by what it holds."""
        order, buffers = 16 * self.n_samples * (self.rows is None), self._bytes_of_shares(self.n_samples)
        gradients = max(16 * self.n_parameters, 32 * self.n_parameters - buffers)  # they go before the penalty comes
        return {"order of the rows": order, "batch buffers": buffers, "gradients": gradients}

    def scores_bytes(self, n_rows: int) -> dict[str, int]:
        """What ``scores`` of so many rows allocates."""
        n_shares, n_at_once = _rows_of_shares(self.network, n_rows)
        buffers = min(n_shares, self.threads.number) * self._buffer_bytes(n_at_once, gradient=False)
        scores = n_rows * int(self.network.units[-1])
        return {"scores": scores * self.data.y.itemsize, "batch buffers": buffers, "order of the rows": 8 * n_rows}

    def mean_gradient(self, theta: Vector) -> NDArray[np.float64]:
        """The gradient of a batch of all rows, without penalty: its rows count alike, whatever their weights."""
        return self._gradient(theta)[1] / self.n_samples

    def row_gradients(self, theta: Vector, directions: NDArray[np.float64]) -> RowGradients:
        """Norms of the gradients of the rows trained on, in their order, and products with (n_trained,) directions."""
        if self.network.normalized:
            raise ValueError("With batch normalization a row has no gradient of its own: the batch's rows share it.")
        rows, directions = self._all_rows, np.ascontiguousarray(directions, dtype=theta.dtype)
        blocks = blocks_of_rows(self.data.X, rows, self.n_features)
        input_norms = np.concatenate([row_norms(X, squared=True).astype(np.float64) for _, X in blocks])
        found = RowGradients(np.zeros(len(rows)), np.zeros((len(directions), len(rows))))
        works = _buffers_of_shares(self.network, len(rows), self.data.X, theta.dtype, gradient=False)
        losses = np.zeros((len(works), self.network.units[-1]))
        bounds = _share_bounds(len(rows), len(works))

        def share_gradients(share: int) -> Iterator[None]:
            work = works[share]
            step = rows_at_once(self.network, self.data.X, work.n_rows, 1 + len(directions))
            for begin, end in cut(bounds[share], bounds[share + 1], step):
                with one_blas_thread():
                    mlp_row_gradients(
                        self.data, rows, begin, end, self.objective, self.network, theta, directions, work,
                        input_norms, losses[share], *found,
                    )  # fmt: skip
                yield

        share_out(self.threads, share_gradients, len(works))
        return found

    def run_epoch(self, state: State, epoch: Epoch) -> NDArray[np.float64]:
        """Train; returns the progressive loss sum as one entry."""
        epoch = epoch if self.rows is None else epoch._replace(order=self.rows[epoch.order])
        n_shares = _n_shares(self.network, epoch.batch_size)
        losses = np.zeros((n_shares, self.network.units[-1]))
        train = self._way_to_train(epoch.batch_size)
        with one_blas_thread() as others:
            # other fits have a right to cores: threads that wait awake for one that has no core are slow
            n_threads = max(1, min(self.threads.number - others, n_shares)) if COMPILED else 1
            train(state, epoch, losses, self.threads._replace(number=n_threads))
        return np.array([losses.sum()])

    @cached_property
    def _row_work(self) -> float:
        return work_of_row(self.network, self.data.X)

    def _batch_work(self, batch_size: int) -> float:
        n_blocks = -(-batch_size // (self.network.chunk if self.network.normalized else BLOCK_ROWS))
        return batch_size * self._row_work + (UPDATE_WORK + BLOCK_WORK * n_blocks) * self.n_parameters

    def _is_large(self, batch_size: int) -> bool:
        """Never with batch normalization, which needs all rows of a batch at once."""
        large = batch_size >= LARGE_BATCH or at_once(self._batch_work(batch_size)) == 0
        return (large or self.partners is not None) and not self.network.normalized

    def _block_rows(self, batch_size: int) -> int:
        """Rows that the shares of a batch take at once."""
        most = BLOCK_ROWS * _n_shares(self.network, batch_size)
        return min(batch_size, self.network.chunk + 1 if self.network.normalized else most)  # a row may come along

    def _is_small(self, batch_size: int) -> bool:
        """``engine.mlp_by_inputs`` says what it is not for."""
        outside = self.network.normalized or len(self.network.units) < 3 or isinstance(self.data.X, CSR)
        return batch_size <= FEW_ROWS and not outside and _n_shares(self.network, batch_size) > 1

    def _way_to_train(self, batch_size: int) -> Callable[[State, Epoch, Vector, Threads], None]:
        if self._is_large(batch_size):
            return self._by_gradients
        return self._by_inputs if self._is_small(batch_size) else self._by_rows

    def _parts(self, state: State, epoch: Epoch) -> Iterator[Epoch]:
        """Of so many batches that are done in one call of every thread; counts them when they are done."""
        most = max(1, at_once(self._batch_work(epoch.batch_size)))
        for part in epoch.parts(most):
            yield part
            _count(state, part)

    def _shares(self, state: State, part: Epoch) -> Rates:
        """What updates weigh in an average, of the solver's or of the state's."""
        if state.average is None:
            return state.shares(part.etas)
        return shares_of_updates(state, part, self.half_life)

    def _by_inputs(self, state: State, epoch: Epoch, losses: Vector, threads: Threads) -> None:
        """Small batches: every thread keeps its weights."""
        (n_shares, n_outputs), memory = losses.shape, _memory(state)
        work = self._new_buffers(epoch.batch_size)
        others = [self._new_buffers(epoch.batch_size, gradient=False) for _ in range(threads.number - 1)]
        works = [work, *(other._replace(gradient=work.gradient) for other in others)]
        deltas = np.empty_like(work.deltas)
        parts = np.empty((n_shares, len(deltas)), deltas.dtype)
        all_losses = np.zeros((threads.number, n_outputs))

        for part in self._parts(state, epoch):
            rates = part.etas, self._shares(state, part)

            def train(
                thread: int, first: int, last: int, barrier: Vector, part: Epoch = part, rates: Any = rates
            ) -> None:
                mlp_epoch_by_inputs(
                    self.data, part.order, *rates, part.batch_size, self.objective, self.solver, self.network,
                    state.theta, *memory, state.slot_updates, works[thread], parts, deltas, part.seed,
                    all_losses[thread], first, last, barrier, threads.number,
                )  # fmt: skip

            on_threads_that_meet(train, n_shares, threads)
        losses[0] += all_losses[0]

    def _by_rows(self, state: State, epoch: Epoch, losses: Vector, threads: Threads) -> None:
        """Threads share the rows of a batch, then the weights."""
        n_shares, memory = len(losses), _memory(state)
        work = self._new_buffers(self._block_rows(epoch.batch_size))
        for part in self._parts(state, epoch):
            rates = part.etas, self._shares(state, part)

            def train(
                thread: int, first: int, last: int, barrier: Vector, part: Epoch = part, rates: Any = rates
            ) -> None:
                mlp_epoch(
                    self.data, part.order, *rates, part.batch_size, self.objective, self.solver, self.network,
                    state.theta, *memory, state.slot_updates, state.schedule_updates, work, part.seed, not part.noisy,
                    losses, first, last, barrier, threads.number,
                )  # fmt: skip

            on_threads_that_meet(train, n_shares, threads)

    def _by_gradients(self, state: State, epoch: Epoch, losses: Vector, threads: Threads) -> None:
        """Large batches: a share sums up the gradient of its own rows."""
        works = _buffers_of_shares(self.network, epoch.batch_size, self.data.X, state.theta.dtype)
        memory = _memory(state)
        for batch in epoch.parts(1):
            n_rows = len(batch.order)
            self._add_up(batch.order, state.theta, works, losses, threads, self.network.dropout, epoch.seed, 1 / n_rows)
            for work in works[1:]:
                works[0].gradient[:] += work.gradient
            if self.partners is not None:
                (works[0].gradient[:],) = self.partners.added(works[0].gradient)
            step = Step(state.slot_updates + 1, batch.etas[0], self._shares(state, batch)[0])
            mlp_update(state.theta, works[0], *memory, step, self.objective, self.solver, self.network)
            _count(state, batch)
        if self.partners is not None:
            (losses[...],) = self.partners.added(losses)

    def epoch_bytes(self, batch_size: int, averaged: bool) -> dict[str, int]:
        """What ``run_epoch`` allocates for batches of so many rows, by what it holds."""
        if self._is_large(batch_size):
            return {"batch buffers": self._bytes_of_shares(batch_size)}
        if self._is_small(batch_size):
            n_shares, itemsize = _n_shares(self.network, batch_size), self.data.y.itemsize
            n_threads = min(self.threads.number, n_shares)
            exchanged = (1 + n_shares) * buffer_sizes(self.network, batch_size, self.data.X)["deltas"]
            others = (n_threads - 1) * self._buffer_bytes(batch_size, gradient=False)
            return {"batch buffers": self._buffer_bytes(batch_size) + others + exchanged * itemsize}
        return {"batch buffers": self._buffer_bytes(self._block_rows(batch_size))}

    def _new_buffers(self, n_rows: int, **more: bool) -> Work:
        return buffers(self.network, n_rows, self.data.X, self.data.y.dtype, **more)

    def _bytes_of_shares(self, n_rows: int, **more: bool) -> int:
        """Of ``_buffers_of_shares``."""
        n_shares, n_rows = _rows_of_shares(self.network, n_rows)
        return n_shares * self._buffer_bytes(n_rows, **more)

    def _buffer_bytes(self, n_rows: int, **more: bool) -> int:
        """Of ``buffers``."""
        sizes, dtype = buffer_sizes(self.network, n_rows, self.data.X, **more), self.data.y.dtype
        return sum(size * buffer_type(name, dtype).itemsize for name, size in sizes.items())

    def _gradient(self, theta: Vector) -> tuple[float, NDArray[np.float64]]:
        """Summed loss of all rows and its gradient."""
        rows = self._all_rows
        works = _buffers_of_shares(self.network, len(rows), self.data.X, theta.dtype)
        losses = np.zeros((len(works), self.network.units[-1]))
        self._add_up(rows, theta, works, losses, self.threads, 0.0, 0, 1.0)
        return float(losses.sum()), sum((work.gradient for work in works), np.zeros(self.n_trained))

    def _add_up(
        self, rows: Order, theta: Vector, works: list[Work], losses: Vector, threads: Threads, dropout: float,
        seed: int, factor: float,
    ) -> None:  # fmt: skip
        """Leave ``factor`` times the gradients of shares of the rows in their buffers, and add their losses."""
        step = rows_at_once(self.network, self.data.X, works[0].n_rows)
        first, last = self._own_part(len(rows))
        bounds = first + _share_bounds(last - first, len(works))

        def gradient(share: int) -> Iterator[None]:
            for begin, end in cut(bounds[share], bounds[share + 1], step):
                with one_blas_thread():
                    mlp_gradient(
                        self.data, rows, begin, end, begin > bounds[share], self.objective, self.network, theta,
                        works[share], dropout, seed, factor, losses[share],
                    )  # fmt: skip
                yield

        share_out(threads, gradient, len(works))


def _memory(state: State) -> tuple[Vector, Vector, Vector]:
    """The optimizer's slots, which solvers with fewer never touch; the average, empty if there is none."""
    first, second, *_ = *state.slots, state.theta, state.theta
    return first, second, np.empty(0, state.theta.dtype) if state.average is None else state.average


def _count(state: State, done: Epoch) -> None:
    n_averaged = 0 if state.average is None else max(0, len(done.etas) - done.first_averaged)
    state.count(len(done.etas), n_averaged)


def scores_of(X: Any, n_rows: int, network: Network, theta: Vector, threads: Threads) -> NDArray[Any]:
    """Scores (n_rows, outputs) of the rows of X, an array or a CSR; buffers do not grow with their number."""
    scores, order = np.empty((n_rows, network.units[-1]), theta.dtype), np.arange(n_rows)
    n_shares, n_at_once = _rows_of_shares(network, n_rows)
    bounds, n_threads = _share_bounds(n_rows, n_shares), min(n_shares, threads.number)
    free = [buffers(network, n_at_once, X, theta.dtype, gradient=False) for _ in range(n_threads)]

    def score(share: int) -> Iterator[None]:
        work = free.pop()
        for begin, end in cut(bounds[share], bounds[share + 1], rows_at_once(network, X, work.n_rows)):
            with one_blas_thread():
                mlp_scores(X, order, begin, end, network, theta, work, scores)
            yield
        free.append(work)

    share_out(threads, score, n_shares)
    return scores
