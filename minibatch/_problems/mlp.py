"""Multi-layer perceptrons: layout of the parameters, buffers, batches of any size."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import row_norms

from minibatch._batching import Order
from minibatch._blas import one_blas_thread
from minibatch._problems.state import (
    ALONE,
    Epoch,
    RowGradients,
    State,
    Threads,
    Vector,
    blocks_of_rows,
    data_of,
    mean_loss,
    norm_of,
    share_out,
)
from minibatch.engine.barrier import abandon, new_barrier
from minibatch.engine.compile import COMPILED
from minibatch.engine.linear import Data, Objective, Solver
from minibatch.engine.mlp import Network, Work, mlp_epoch, mlp_gradient, mlp_row_gradients, mlp_scores
from minibatch.engine.optimizers import N_SLOTS, SGD
from minibatch.engine.rows import CSR

# Batches of SMALL_WORK multiplications by a weight or more are cut into shares, of SHARE_WORK and at most MAX_SHARES,
# that threads take. The cut depends on the data alone, so that results do not depend on the number of threads. A share
# goes through the network in blocks of rows that the cache holds. (Batch normalization couples all rows of a batch: it
# takes them at once.) Measured on 784-100-10 with two threads: batches of 8 and 32 rows gain nothing, those of 256 and
# more take half the time.
SMALL_WORK, SHARE_WORK, MAX_SHARES, BLOCK_ROWS = 4_000_000, 10_000_000, 8, 256


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

        def share_gradients(share: int) -> None:
            with one_blas_thread():
                mlp_row_gradients(
                    self.data, rows, bounds[share], bounds[share + 1], self.objective, self.network, theta, directions,
                    work, share, input_norms, losses[share], *found,
                )  # fmt: skip

        share_out(self.threads, share_gradients, n_shares)
        return found

    def run_epoch(self, state: State, epoch: Epoch) -> NDArray[np.float64]:
        """Train; returns the progressive loss sum as one entry."""
        order = epoch.order if self.rows is None else self.rows[epoch.order]
        work = _buffers(self.network, epoch.batch_size, self.data.X, state.theta.dtype, whole=self.network.normalized)
        n_shares, _ = work.total.shape
        losses, barrier = np.zeros((n_shares, self.network.units[-1])), new_barrier()
        first, second = [*state.slots, work.total[0], work.total[0]][:2]  # a solver with fewer never touches the others

        def train(thread: int, n_threads: int) -> None:
            first_share, last_share = thread * n_shares // n_threads, (thread + 1) * n_shares // n_threads
            with _nobody_waits_in_vain(barrier), one_blas_thread():
                mlp_epoch(
                    self.data, order, epoch.etas, epoch.batch_size, self.objective, self.solver, self.network,
                    state.theta, first, second, state.slot_updates, state.schedule_updates, work, epoch.seed, losses,
                    first_share, last_share, barrier, n_threads,
                )  # fmt: skip

        # other fits have a right to cores: threads that wait awake for one that has no core are slow
        with _nobody_waits_in_vain(barrier), one_blas_thread() as others:
            n_threads = max(1, min(self.threads.number - others, n_shares)) if COMPILED else 1
            share_out(self.threads, lambda thread: train(thread, n_threads), n_threads)
        state.slot_updates += len(epoch.etas)
        state.schedule_updates += len(epoch.etas)
        return np.array([losses.sum()])

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

        def gradient(share: int) -> None:
            with one_blas_thread():
                mlp_gradient(
                    self.data, rows, bounds[share], bounds[share + 1], self.objective, self.network, theta, work,
                    share, losses[share],
                )  # fmt: skip

        share_out(self.threads, gradient, n_shares)
        return float(losses.sum()), work.total.sum(axis=0, dtype=np.float64)


@contextmanager
def _nobody_waits_in_vain(barrier: NDArray[np.int64]) -> Iterator[None]:
    """If this thread does not come to the barrier, the others must not wait for it."""
    try:
        yield
    except BaseException:
        abandon(barrier)
        raise


def scores_of(X: Any, n_rows: int, network: Network, theta: Vector, threads: Threads) -> NDArray[Any]:
    """Scores (n_rows, outputs) of the rows of X, an array or a CSR; buffers do not grow with their number."""
    scores, order = np.empty((n_rows, network.units[-1]), theta.dtype), np.arange(n_rows)
    work = _buffers(network, n_rows, X, theta.dtype, gradients=False)
    n_shares, _ = work.total.shape
    bounds = np.linspace(0, n_rows, n_shares + 1).astype(np.int64)

    def score(share: int) -> None:
        with one_blas_thread():
            mlp_scores(X, order, bounds[share], bounds[share + 1], network, theta, work, share, scores)

    share_out(threads, score, n_shares)
    return scores
