"""What is trained: the arrays and codes of a problem, and the few things that training asks of it.

Conventions
-----------
``F(theta) = sum_i s_i loss_i / sum_i s_i + l1 ||W||_1 + l2/2 ||W||^2``; intercepts are not penalised. Outputs that
do not share a loss (columns of y, one-vs-rest classes) each have an objective of their own; arrays called ``losses``
or ``penalties`` have one entry an objective.

``theta`` is one flat vector (n_parameters,), weights before intercepts; whatever has its shape (gradients, optimizer
memory, sums of iterates) is laid out alike. Weights ``s`` have mean 1, so a batch's loss is a sum over ``B`` rows.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from minibatch._batching import Order
from minibatch.engine.linear import (
    ONE_VS_REST,
    SEPARATE,
    SOFTMAX,
    Data,
    Objective,
    Parameters,
    Solver,
    apply_step,
    chunk_gradient,
    gradient_epoch,
)
from minibatch.engine.optimizers import N_SLOTS, SGD
from minibatch.engine.rows import CSR
from minibatch.engine.sgd import one_row_epoch, sgd_epoch
from minibatch.engine.sparse_sgd import WINDOW, lazy_sgd_epoch
from minibatch.schedules import Rates

Vector = NDArray[np.floating[Any]]

OUTPUTS = {"separate": SEPARATE, "ovr": ONE_VS_REST, "multinomial": SOFTMAX}

# Batches of so many rows are cut into chunks that threads share. The cut depends on the batch alone, so that the
# result does not depend on the number of threads.
LARGE_BATCH, CHUNKS = 8192, 8
# Plain SGD reads the rows of a dense batch twice; that pays while they stay in the cache.
CACHED_BYTES = 256 * 1024


@dataclass
class State:
    """All that training changes. ``slots`` is the optimizer's memory, ``total`` the sum of ``n_averaged`` iterates."""

    theta: Vector
    slots: Vector
    total: NDArray[np.float64]
    n_averaged: int = 0
    slot_updates: int = 0  # updates since the slots were 0
    schedule_updates: int = 0  # updates since the schedule began

    def copy(self) -> "State":
        return replace(self, theta=self.theta.copy(), slots=self.slots.copy(), total=self.total.copy())

    def result(self) -> Vector:
        """The parameters to predict with: the average, once there is one."""
        if self.n_averaged == 0:
            return self.theta
        return (self.total / self.n_averaged).astype(self.theta.dtype)


@dataclass(frozen=True)
class LinearProblem:
    """A linear model with ``n_outputs`` rows of weights on dense (C order) or CSR rows."""

    data: Data
    objective: Objective
    solver: Solver
    n_outputs: int
    n_features: int
    rows: Order | None = None  # the rows to train on, where it is not all of them
    executor: Executor | None = None
    n_threads: int = 1

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: NDArray[Any],
        weight: NDArray[Any] | None,
        objective: Objective,
        solver: Solver,
        n_outputs: int,
        class_weight: NDArray[np.float64] | None = None,
        **more: Any,
    ) -> "LinearProblem":
        """``y`` has the columns of a regression, one column of -1 and +1, or one of class numbers."""
        rows = CSR(*_same_index_type(X)) if sp.issparse(X) else _read_only(X)
        y = _read_only(np.ascontiguousarray(y.reshape(len(y), -1), dtype=X.dtype))
        weight = _read_only(np.ascontiguousarray(np.empty(0) if weight is None else weight, dtype=X.dtype))
        if class_weight is None:
            class_weight = np.ones((n_outputs, 2))
        return cls(Data(rows, y, weight, class_weight), objective, solver, n_outputs, X.shape[1], **more)

    @property
    def n_samples(self) -> int:
        return len(self.data.y if self.rows is None else self.rows)

    @property
    def n_parameters(self) -> int:
        return self.n_outputs * (self.n_features + 1)

    @property
    def n_objectives(self) -> int:
        return 1 if self.objective.outputs == SOFTMAX else self.n_outputs

    @property
    def largest_input(self) -> float:
        """Largest ``|x|``, for the message about a divergence."""
        values = self.data.X.data if isinstance(self.data.X, CSR) else self.data.X
        return float(max(values.max(initial=0.0), -values.min(initial=0.0)))

    def parameters(self, flat: Vector) -> Parameters:
        """Views of a flat vector as weights (outputs, features) and intercepts (outputs,)."""
        n_weights = self.n_outputs * self.n_features
        return Parameters(flat[:n_weights].reshape(self.n_outputs, self.n_features), flat[n_weights:])

    def new_state(self, theta: Vector, averaged: bool) -> State:
        """The state before the first update; ``theta`` is copied."""
        unused = self.solver.kind == SGD and self.objective.l1 == 0.0
        slots = np.zeros((0 if unused else N_SLOTS[self.solver.kind], self.n_parameters), theta.dtype)
        return State(theta.copy(), slots, np.zeros(self.n_parameters if averaged else 0))

    def penalties(self, theta: Vector) -> NDArray[np.float64]:
        """The penalty of every objective."""
        w = self.parameters(theta).weights.astype(np.float64)
        w = w.reshape(self.n_objectives, -1)
        return self.objective.l1 * np.abs(w).sum(axis=1) + 0.5 * self.objective.l2 * np.einsum("ij,ij->i", w, w)

    def evaluate(self, theta: Vector) -> tuple[NDArray[np.float64], Parameters]:
        """Weighted mean losses over all rows, and the gradient of their sum (without penalty)."""
        rows = np.arange(self.n_samples) if self.rows is None else self.rows
        weights = self.data.weight[rows] if len(self.data.weight) else np.ones(len(rows))
        losses, gradient = self._sum_over(rows, self.parameters(theta))
        gradient /= weights.sum(dtype=np.float64)
        return losses[: self.n_objectives] / weights.sum(dtype=np.float64), self.parameters(gradient)

    def scores(self, theta: Vector) -> NDArray[Any]:
        """``X @ W.T + b`` for all rows."""
        weights, intercept = self.parameters(theta)
        X = self.data.X
        if isinstance(X, CSR):
            X = sp.csr_array((X.data, X.indices, X.indptr), shape=(len(self.data.y), self.n_features))
        return X @ weights.T + intercept

    def gradient_norm(self, theta: Vector, gradient: Parameters) -> float:
        """Norm of the objective's gradient; where L1 has a kink, of its shortest subgradient."""
        w, l1 = self.parameters(theta).weights.astype(np.float64), self.objective.l1
        smooth = gradient.weights + self.objective.l2 * w
        at_kink = np.sign(smooth) * np.maximum(np.abs(smooth) - l1, 0.0)
        shortest = np.where(w == 0.0, at_kink, smooth + l1 * np.sign(w))
        intercept = gradient.intercept if self.objective.fit_intercept else 0.0
        return float(np.sqrt(np.sum(shortest**2) + np.sum(np.square(intercept))))

    def run_epoch(
        self, state: State, order: Order, etas: Rates, batch_size: int, first_averaged: int, noisy: bool
    ) -> NDArray[np.float64]:
        """Train on the rows in ``order``, one rate a batch; returns the progressive loss sums of the objectives.

        Iterates are added to the average from batch number ``first_averaged`` on. ``noisy`` says that a batch is not
        all there is to train on.
        """
        order = order if self.rows is None else self.rows[order]
        averaged = max(0, len(etas) - first_averaged)
        losses = np.zeros(self.n_outputs)
        train = self._epoch_function(batch_size, averaged > 0)
        train(state, order, etas, batch_size, first_averaged, losses)
        if self.solver.kind == SGD and not noisy:
            state.slots[:] = 0.0
        state.n_averaged += averaged
        state.slot_updates += len(etas)
        state.schedule_updates += len(etas)
        return losses[: self.n_objectives]

    def _epoch_function(self, batch_size: int, averaged: bool) -> Callable[..., None]:
        """The fastest loop that gives the textbook's model."""
        if batch_size >= LARGE_BATCH:
            return self._large_batches
        if self.solver.kind == SGD and isinstance(self.data.X, CSR):
            return self._lazy_batches if averaged or self.objective.l1 > 0.0 else self._plain_sgd
        cached = batch_size * self.n_features * self.data.y.itemsize <= CACHED_BYTES
        if self.solver.kind == SGD and cached and self.objective.l1 == 0.0:
            return self._plain_sgd
        return self._gradient_batches

    def _plain_sgd(
        self, state: State, order: Order, etas: Rates, batch_size: int, first_averaged: int, losses: Vector
    ) -> None:
        theta = self.parameters(state.theta)
        total = self._total(state, first_averaged < len(etas))
        if batch_size == 1 and self.n_outputs == 1:
            one_row_epoch(self.data, order, etas, self.objective, theta, total, first_averaged, losses)
            return

        def train(here: slice, objective: Objective) -> None:
            scores = np.empty((batch_size, here.stop - here.start))
            sgd_epoch(
                self.data, order, etas, batch_size, objective, _part(theta, here), _part(total, here), first_averaged,
                scores, losses[here],
            )  # fmt: skip

        self._for_outputs(train)

    def _lazy_batches(
        self, state: State, order: Order, etas: Rates, batch_size: int, first_averaged: int, losses: Vector
    ) -> None:
        theta = self.parameters(state.theta)
        slot, _ = self._slots(state, self.parameters(np.zeros_like(state.theta)))
        total = self._total(state, first_averaged < len(etas))

        def train(here: slice, objective: Objective) -> None:
            n_outputs = here.stop - here.start
            lazy_sgd_epoch(
                self.data, order, etas, batch_size, objective, _part(theta, here), _part(slot, here),
                _part(total, here), first_averaged, np.empty((batch_size, n_outputs)), losses[here],
                np.zeros((n_outputs, total.weights.shape[1]), np.int32), *np.zeros((3, WINDOW + 1)),
            )  # fmt: skip

        self._for_outputs(train)

    def _gradient_batches(
        self, state: State, order: Order, etas: Rates, batch_size: int, first_averaged: int, losses: Vector
    ) -> None:
        theta, grad = self.parameters(state.theta), self.parameters(np.empty_like(state.theta))
        first, second = self._slots(state, grad)
        total = self._total(state, first_averaged < len(etas))

        def train(here: slice, objective: Objective) -> None:
            gradient_epoch(
                self.data, order, etas, batch_size, objective, self.solver, _part(theta, here), _part(grad, here),
                _part(first, here), _part(second, here), state.slot_updates, _part(total, here), first_averaged,
                np.empty((4, here.stop - here.start)), losses[here],
            )  # fmt: skip

        self._for_outputs(train)

    def _large_batches(
        self, state: State, order: Order, etas: Rates, batch_size: int, first_averaged: int, losses: Vector
    ) -> None:
        theta = self.parameters(state.theta)
        for batch, eta in enumerate(etas):
            rows = order[batch * batch_size : (batch + 1) * batch_size]
            batch_losses, gradient = self._sum_over(rows, theta)
            losses += batch_losses
            grad = self.parameters((gradient / len(rows)).astype(state.theta.dtype))
            first, second = self._slots(state, grad)
            apply_step(theta, grad, first, second, state.slot_updates + batch + 1, eta, self.objective, self.solver)
            if batch >= first_averaged:
                state.total += state.theta

    def _sum_over(self, rows: Order, theta: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Summed losses and their gradient, by chunks that threads share, added up in the order of the chunks."""
        bounds = np.linspace(0, len(rows), (CHUNKS if len(rows) >= LARGE_BATCH else 1) + 1).astype(np.int64)

        def chunk(start: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            losses, total = np.zeros(self.n_outputs), np.zeros(self.n_parameters)
            part = self.parameters(np.empty(self.n_parameters, theta.weights.dtype))
            scores = np.empty((4, self.n_outputs))
            chunk_gradient(
                self.data, rows, start, stop, self.objective, theta, part, self.parameters(total), scores, losses
            )
            return losses, total

        losses, total = np.zeros(self.n_outputs), np.zeros(self.n_parameters)
        for chunk_losses, chunk_total in self._map(chunk, bounds[:-1], bounds[1:]):
            losses += chunk_losses
            total += chunk_total
        return losses, total

    def _for_outputs(self, train: Callable[[slice, Objective], None]) -> None:
        """Train all outputs, or a share of them on each thread where they are independent."""
        shares = 1 if self.objective.outputs == SOFTMAX else min(self.n_threads, self.n_outputs)
        bounds = [self.n_outputs * i // shares for i in range(shares + 1)]
        here = [slice(a, b) for a, b in pairwise(bounds)]
        for _ in self._map(train, here, [self.objective._replace(first_output=s.start) for s in here]):
            pass

    def _map(self, function: Callable[..., Any], *arguments: Iterable[Any]) -> Iterable[Any]:
        return (map if self.executor is None else self.executor.map)(function, *arguments)

    def _slots(self, state: State, unused: Parameters) -> tuple[Parameters, Parameters]:
        """The optimizer's memory as parameters; a solver with less than two slots never touches ``unused``."""
        slots = [self.parameters(slot) for slot in state.slots]
        first, second = [*slots, unused, unused][:2]
        return first, second

    def _total(self, state: State, averaged: bool) -> Parameters:
        """The sum of iterates as parameters, without columns where nothing is averaged."""
        if averaged:
            return self.parameters(state.total)
        return Parameters(np.empty((self.n_outputs, 0)), np.empty(self.n_outputs))


def _part(parameters: Parameters, here: slice) -> Parameters:
    return Parameters(parameters.weights[here], parameters.intercept[here])


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view. Numba compiles read-only arrays apart; giving it nothing else halves what it compiles."""
    view = array.view()
    view.flags.writeable = False
    return view


def _same_index_type(X: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Data, indices and row pointer of a CSR matrix, the last two of one type: one thing to compile, not four."""
    return _read_only(X.data), _read_only(X.indices), _read_only(X.indptr.astype(X.indices.dtype, copy=False))
