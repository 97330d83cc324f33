"""Multi-layer perceptrons: layout of the parameters, buffers, batches of any size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import row_norms

from minibatch._batching import Order
from minibatch._blas import one_blas_thread
from minibatch._problems.pieces import ALONE, Threads, at_once, cut, share_out
from minibatch._problems.state import (
    Epoch,
    RowGradients,
    State,
    Vector,
    blocks_of_rows,
    data_of,
    mean_loss,
    norm_of,
)
from minibatch.engine.barrier import abandon, new_barrier
from minibatch.engine.compile import COMPILED
from minibatch.engine.linear import Data, Objective, Solver
from minibatch.engine.mlp import Network, Work, mlp_epoch, mlp_gradient, mlp_row_gradients, mlp_scores, mlp_update
from minibatch.engine.optimizers import N_SLOTS, SGD
from minibatch.engine.rows import CSR

# Batches of SMALL_WORK multiplications by a weight or more are cut into shares, of SHARE_WORK and at most MAX_SHARES,
# that threads take. The cut depends on the data alone, so that results do not depend on the number of threads. A share
# goes through the network in blocks of rows that the cache holds. (Batch normalization couples all rows of a batch: it
# takes them at once.) Measured on 784-100-10 with two threads: batches of 8 and 32 rows gain nothing, those of 256 and
# more take half the time.
SMALL_WORK, SHARE_WORK, MAX_SHARES, BLOCK_ROWS = 2_000_000, 10_000_000, 8, 256

# Work (see ``pieces``) of a row: a weight, there and back; a stored value and a unit; a unit and its activation. Of a
# parameter: in a block of rows, and in an update. Measured on 784-100-10: 11 us a row in batches of 32, and alone 43 us
# with plain SGD, 98 us with Adam.
WEIGHT_WORK, STORED_WORK, UNIT_WORK, BLOCK_WORK, UPDATE_WORK = 0.4, 2.0, 20.0, 1.0, 2.5


class Layers(NamedTuple):
    """Views of a flat vector: weights (inputs, units) and intercepts of every layer; with batch normalization also
    scales of the hidden ones, and running means and variances of all that is normalised, the inputs last."""

    weights: list[Vector]
    intercepts: list[Vector]
    scales: list[Vector]
    means: list[Vector]
    variances: list[Vector]


def network_of(
    units: Sequence[int], activation: int, normalized: bool = False, normalized_inputs: bool = False, dropout: float = 0
) -> Network:
    """The layout for layers of so many units, inputs first."""
    sizes = [n_inputs * n_units for n_inputs, n_units in pairwise(units)]
    hidden = units[1:-1] if normalized else []
    at, starts = 0, []
    for block in (sizes, units[1:], hidden, hidden, hidden):
        *begin, at = accumulate(block, initial=at)
        starts.append(np.array(begin, dtype=np.int64))
    hidden_at = np.array([*accumulate(units[1:-1], initial=0)], dtype=np.int64)
    n_parameters = at + (2 * units[0] if normalized_inputs else 0)
    weights_at, intercepts_at, scales_at, means_at, variances_at = starts
    return Network(
        units=np.array(units, dtype=np.int64),
        weights_at=weights_at,
        intercepts_at=intercepts_at,
        scales_at=scales_at,
        means_at=means_at,
        variances_at=variances_at,
        hidden_at=hidden_at,
        n_weights=sum(sizes),
        n_trained=at - 2 * sum(hidden),
        n_parameters=n_parameters,
        activation=activation,
        normalized=normalized,
        normalized_inputs=normalized_inputs,
        dropout=dropout,
    )


def layers_of(network: Network, flat: Vector) -> Layers:
    """Views of parameters, or of anything laid out alike."""
    units = network.units

    def views(starts: NDArray[np.int64]) -> list[Vector]:
        return [flat[at : at + n] for at, n in zip(starts, units[1:], strict=False)]

    weights = [
        flat[at : at + n_inputs * n].reshape(n_inputs, n)
        for at, n_inputs, n in zip(network.weights_at, units[:-1], units[1:], strict=True)
    ]
    layers = Layers(weights, *(views(at) for at in network[2:6]))
    if network.normalized_inputs:
        means, variances = flat[-2 * units[0] :].reshape(2, -1)
        layers.means.append(means)
        layers.variances.append(variances)
    return layers


def _n_shares(network: Network, n_rows: int) -> int:
    work = n_rows * network.n_weights
    return 1 if work < SMALL_WORK or n_rows == 1 else int(np.clip(work // SHARE_WORK, 2, min(MAX_SHARES, n_rows)))


def _buffer_shapes(
    network: Network, n_rows: int, X: Any, *, whole: bool = False, gradients: bool = True
) -> tuple[int, dict[str, tuple[int, int]]]:
    """Rows of a block, and the buffers of all shares, for batches of so many rows; ``whole`` ones are not cut."""
    n = 1 if whole else _n_shares(network, n_rows)
    block = n_rows if whole else min(BLOCK_ROWS, -(-n_rows // n))
    n_hidden, n_outputs, n_inputs = network.hidden_at[-1], network.units[-1], network.units[0]
    n_statistics = n_hidden + n_inputs if network.normalized else 0
    n_deltas, n_gradient = block * network.units[1:].max(), network.n_trained if gradients else 0
    of_share = {
        "inputs": 0 if isinstance(X, CSR) else block * n_inputs,
        "values": block * (n_hidden + n_outputs),
        "slopes": block * n_hidden,
        "normalized": block * n_hidden if network.normalized else 0,
        "means": n_statistics,
        "inverse_deviations": n_statistics,
        "even_deltas": n_deltas,
        "odd_deltas": n_deltas,
        "gradient": n_gradient,
        "total": n_gradient,
    }
    return block, {name: (n, int(size)) for name, size in of_share.items()}


def _buffer_type(name: str, dtype: Any) -> Any:
    return np.dtype(np.float64) if name in ("means", "inverse_deviations") else dtype


def _buffers(network: Network, n_rows: int, X: Any, dtype: Any, **more: bool) -> Work:
    """As ``_buffer_shapes`` says."""
    block, shapes = _buffer_shapes(network, n_rows, X, **more)
    return Work(block, **{name: np.empty(shape, _buffer_type(name, dtype)) for name, shape in shapes.items()})


@dataclass(frozen=True)
class MLPProblem:
    """A network on dense (C order) or CSR rows."""

    data: Data
    objective: Objective
    solver: Solver
    network: Network
    rows: Order | None = None  # the rows to train on, where it is not all of them
    threads: Threads = ALONE

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: NDArray[Any],
        weight: NDArray[Any] | None,
        objective: Objective,
        solver: Solver,
        network: Network,
        **more: Any,
    ) -> "MLPProblem":
        """``y`` as ``data_of`` takes it."""
        return cls(data_of(X, y, weight, int(network.units[-1])), objective, solver, network, **more)

    @property
    def n_samples(self) -> int:
        return len(self.data.y if self.rows is None else self.rows)

    @property
    def n_parameters(self) -> int:
        return self.network.n_parameters

    @property
    def n_trained(self) -> int:
        """How many of the parameters, from the first, training changes."""
        return self.network.n_trained

    @property
    def _all_rows(self) -> Order:
        return np.arange(self.n_samples) if self.rows is None else self.rows

    def new_state(self, theta: Vector, averaged: bool) -> State:
        """The state before the first update; ``theta`` is copied."""
        n_slots = 0 if self.solver.kind == SGD else N_SLOTS[self.solver.kind]
        return State(theta.copy(), np.zeros((n_slots, self.network.n_trained), theta.dtype), np.zeros(0))

    def penalties(self, theta: Vector) -> NDArray[np.float64]:
        """The penalty, as one entry."""
        if self.objective.l2 == 0.0:
            return np.zeros(1)  # also of weights whose squares overflow
        w = theta[: self.network.n_weights]
        # not w @ w: a thread of BLAS, once woken, keeps a core busy for a while, and the next epoch would share it
        return np.array([0.5 * self.objective.l2 * np.einsum("i,i", w, w, dtype=np.float64)])

    def on_rows(self, places: Order) -> "MLPProblem":
        """The problem of some of the rows trained on."""
        return replace(self, rows=self._all_rows[places])

    def evaluate(self, theta: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weighted mean loss over all rows as one entry, and its gradient, without penalty and dropout."""
        rows = self._all_rows
        total_weight = self.data.weight[rows].sum(dtype=np.float64) if len(self.data.weight) else len(rows)
        loss, gradient = self._gradient(theta)
        return np.array([loss / total_weight]), gradient / total_weight

    def with_penalty(self, theta: Vector, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """The gradient of the objective, from that of the loss."""
        n = self.network.n_weights
        return np.concatenate([gradient[:n] + self.objective.l2 * theta[:n], gradient[n:]])

    def gradient_norm(self, theta: Vector, gradient: NDArray[np.float64]) -> float:
        """Norm of the objective's gradient."""
        with np.errstate(over="ignore", invalid="ignore"):
            return norm_of(self.with_penalty(theta, gradient))

    def scores(self, theta: Vector) -> NDArray[Any]:
        """What the last layer gives for all rows, before softmax, logistic or exponential function."""
        return scores_of(self.data.X, len(self.data.y), self.network, theta, self.threads)

    def evaluation_bytes(self) -> dict[str, int]:
        """What ``evaluate`` and ``gradient_norm`` allocate, by what it holds."""
        order = 2 * 8 * self.n_samples if self.rows is None else 0
        buffers = self._buffer_bytes(self.n_samples)
        return {"order of the rows": order, "batch buffers": buffers, "gradients": 3 * 8 * self.n_parameters}

    def scores_bytes(self, n_rows: int) -> dict[str, int]:
        """What ``scores`` of so many rows allocates."""
        scores, buffers = n_rows * int(self.network.units[-1]), self._buffer_bytes(n_rows, gradients=False)
        return {"scores": scores * self.data.y.itemsize, "batch buffers": buffers, "order of the rows": 8 * n_rows}

    def mean_loss(self, scores: NDArray[Any]) -> float:
        """The loss of ``evaluate``, from the scores of all rows."""
        return mean_loss(self.data, self._all_rows, scores, self.objective)

    def mean_gradient(self, theta: Vector) -> NDArray[np.float64]:
        """The gradient of a batch of all rows, without penalty: its rows count alike, whatever their weights."""
        return self._gradient(theta)[1] / self.n_samples

    def row_gradients(self, theta: Vector, directions: NDArray[np.float64]) -> RowGradients:
        """Norms of the gradients of the rows trained on, in their order, and products with (n_trained,) directions."""
        if self.network.normalized:
            raise ValueError("With batch normalization a row has no gradient of its own: the batch's rows share it.")
        rows, directions = self._all_rows, np.ascontiguousarray(directions, dtype=theta.dtype)
        blocks = blocks_of_rows(self.data.X, rows, int(self.network.units[0]))
        input_norms = np.concatenate([row_norms(X, squared=True).astype(np.float64) for _, X in blocks])
        found = RowGradients(np.zeros(len(rows)), np.zeros((len(directions), len(rows))))
        work = _buffers(self.network, len(rows), self.data.X, theta.dtype, gradients=False)
        n_shares, _ = work.total.shape
        losses = np.zeros((n_shares, self.network.units[-1]))
        bounds = np.linspace(0, len(rows), n_shares + 1).astype(np.int64)

        def share_gradients(share: int) -> Iterator[None]:
            step = _rows_at_once(self.network, self.data.X, work.n_rows, 1 + len(directions))
            for begin, end in cut(bounds[share], bounds[share + 1], step):
                with one_blas_thread():
                    mlp_row_gradients(
                        self.data, rows, begin, end, self.objective, self.network, theta, directions, work, share,
                        input_norms, losses[share], *found,
                    )  # fmt: skip
                yield

        share_out(self.threads, share_gradients, n_shares)
        return found

    def run_epoch(self, state: State, epoch: Epoch) -> NDArray[np.float64]:
        """Train; returns the progressive loss sum as one entry."""
        epoch = epoch if self.rows is None else epoch._replace(order=self.rows[epoch.order])
        work = _buffers(self.network, epoch.batch_size, self.data.X, state.theta.dtype, whole=self.network.normalized)
        n_shares, _ = work.total.shape
        losses, n_batches = np.zeros((n_shares, self.network.units[-1])), self._batches_at_once(epoch.batch_size)
        # batch normalization needs all rows of a batch at once
        train = self._train if n_batches or self.network.normalized else self._train_on_large_batch
        with one_blas_thread() as others:
            # other fits have a right to cores: threads that wait awake for one that has no core are slow
            n_threads = max(1, min(self.threads.number - others, n_shares)) if COMPILED else 1
            for part in epoch.parts(max(1, n_batches)):
                train(state, part, work, losses, self.threads._replace(number=n_threads))
                state.slot_updates += len(part.etas)
                state.schedule_updates += len(part.etas)
        return np.array([losses.sum()])

    @cached_property
    def _row_work(self) -> float:
        return _row_work(self.network, self.data.X)

    def _batches_at_once(self, batch_size: int) -> int:
        """How many batches are a piece; 0 if one is more."""
        n_blocks = 1 if self.network.normalized else -(-batch_size // BLOCK_ROWS)
        of_parameter = UPDATE_WORK + BLOCK_WORK * n_blocks
        return at_once(batch_size * self._row_work + of_parameter * self.n_parameters)

    def _train(self, state: State, epoch: Epoch, work: Work, losses: Vector, threads: Threads) -> None:
        """Batches that are done in one call of every thread."""
        n_shares, barrier = len(losses), new_barrier()
        first, second = _slots(state, work)

        def train(thread: int) -> Iterator[None]:
            first_share, last_share = (i * n_shares // threads.number for i in (thread, thread + 1))
            with one_blas_thread():
                mlp_epoch(
                    self.data, epoch.order, epoch.etas, epoch.batch_size, self.objective, self.solver, self.network,
                    state.theta, first, second, state.slot_updates, state.schedule_updates, work, epoch.seed, losses,
                    first_share, last_share, barrier, threads.number,
                )  # fmt: skip
            yield

        # a thread that does not come to the barrier must not be waited for
        share_out(threads, train, threads.number, give_up=lambda: abandon(barrier))

    def _train_on_large_batch(self, state: State, epoch: Epoch, work: Work, losses: Vector, threads: Threads) -> None:
        """The same for one batch that takes several calls."""
        bounds = np.arange(len(losses) + 1) * len(epoch.order) // len(losses)
        first, second = _slots(state, work)
        self._add_up(
            epoch.order, bounds, state.theta, work, losses, threads, self.network.dropout, epoch.seed,
            1.0 / len(epoch.order),
        )  # fmt: skip
        mlp_update(
            state.theta, work, first, second, state.slot_updates + 1, epoch.etas[0], self.objective, self.solver,
            self.network,
        )  # fmt: skip

    def epoch_bytes(self, batch_size: int, averaged: bool) -> dict[str, int]:
        """What ``run_epoch`` allocates for batches of so many rows, by what it holds."""
        return {"batch buffers": self._buffer_bytes(batch_size, whole=self.network.normalized)}

    def _buffer_bytes(self, n_rows: int, **more: bool) -> int:
        """Of ``_buffers``."""
        _, shapes = _buffer_shapes(self.network, n_rows, self.data.X, **more)
        dtype = self.data.y.dtype
        return sum(n * size * _buffer_type(name, dtype).itemsize for name, (n, size) in shapes.items())

    def _gradient(self, theta: Vector) -> tuple[float, NDArray[np.float64]]:
        """Summed loss of all rows and its gradient."""
        rows = self._all_rows
        work = _buffers(self.network, len(rows), self.data.X, theta.dtype)
        n_shares, _ = work.total.shape
        losses = np.zeros((n_shares, self.network.units[-1]))
        bounds = np.linspace(0, len(rows), n_shares + 1).astype(np.int64)
        self._add_up(rows, bounds, theta, work, losses, self.threads, 0.0, 0, 1.0)
        return float(losses.sum()), work.total.sum(axis=0, dtype=np.float64)

    def _add_up(
        self, rows: Order, bounds: Order, theta: Vector, work: Work, losses: Vector, threads: Threads, dropout: float,
        seed: int, factor: float,
    ) -> None:  # fmt: skip
        """Put ``factor`` times the gradients of shares of the rows into ``work.total``, and add their losses."""
        step = _rows_at_once(self.network, self.data.X, work.n_rows)

        def gradient(share: int) -> Iterator[None]:
            for begin, end in cut(bounds[share], bounds[share + 1], step):
                with one_blas_thread():
                    mlp_gradient(
                        self.data, rows, begin, end, begin > bounds[share], self.objective, self.network, theta, work,
                        share, dropout, seed, factor, losses[share],
                    )  # fmt: skip
                yield

        share_out(threads, gradient, len(losses))


def _row_work(network: Network, X: Any) -> float:
    """Of the mean row, forward and backward."""
    n_inputs, n_units, *_ = network.units
    work = WEIGHT_WORK * network.n_weights + UNIT_WORK * network.units[1:].sum()
    if isinstance(X, CSR):
        work += (STORED_WORK * len(X.data) / (len(X.indptr) - 1) - WEIGHT_WORK * n_inputs) * n_units
    return float(work)


def _rows_at_once(network: Network, X: Any, block_rows: int, n_times: int = 1) -> int:
    """How many rows are a piece: whole blocks, so that the cut changes no digit."""
    work = block_rows * _row_work(network, X) + BLOCK_WORK * network.n_parameters
    return block_rows * max(1, at_once(n_times * work))


def _slots(state: State, work: Work) -> tuple[Vector, Vector]:
    """The optimizer's memory; a solver with fewer slots never touches the others."""
    first, second = [*state.slots, work.total[0], work.total[0]][:2]
    return first, second


def scores_of(X: Any, n_rows: int, network: Network, theta: Vector, threads: Threads) -> NDArray[Any]:
    """Scores (n_rows, outputs) of the rows of X, an array or a CSR; buffers do not grow with their number."""
    scores, order = np.empty((n_rows, network.units[-1]), theta.dtype), np.arange(n_rows)
    work = _buffers(network, n_rows, X, theta.dtype, gradients=False)
    n_shares, _ = work.total.shape
    bounds = np.linspace(0, n_rows, n_shares + 1).astype(np.int64)

    def score(share: int) -> Iterator[None]:
        for begin, end in cut(bounds[share], bounds[share + 1], _rows_at_once(network, X, work.n_rows)):
            with one_blas_thread():
                mlp_scores(X, order, begin, end, network, theta, work, share, scores)
            yield

    share_out(threads, score, n_shares)
    return scores
