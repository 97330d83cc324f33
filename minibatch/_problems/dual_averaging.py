"""A linear model whose rate nobody sets: which loop of ``engine.dual_averaging`` trains what."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import row_norms

from minibatch._problems.column_scales import FEW_VALUES, ColumnMoments, Scales, moments_of, still_scales
from minibatch._problems.dual_averaging_columns import bytes_of_columns, columns_of, output_columns_of, without_repeats
from minibatch._problems.epochs import Epoch, Passed
from minibatch._problems.linear import LinearProblem
from minibatch._problems.linear_loops import UPDATE_WORK
from minibatch._problems.pieces import at_once
from minibatch._problems.state import State, Vector, norm_of, part_of
from minibatch.engine.columns import squares_of_sparse_rows
from minibatch.engine.dual_averaging import (
    AVERAGE_SUM,
    DISTANCE,
    SUM,
    Memory,
    dual_averaging_epoch,
    dual_averaging_step,
    gradient_point,
)
from minibatch.engine.dual_averaging_one_row import dual_averaging_one_row_epoch
from minibatch.engine.dual_averaging_rows import dual_averaging_rows_epoch
from minibatch.engine.dual_averaging_softmax import FourRows, dual_averaging_softmax_epoch
from minibatch.engine.dual_averaging_sparse import REMEMBERED, Columns, dual_averaging_sparse_row_epoch
from minibatch.engine.dual_averaging_sparse_batches import dual_averaging_sparse_epoch
from minibatch.engine.dual_averaging_sparse_outputs import (
    OutputColumns,
    dual_averaging_sparse_outputs_epoch,
    dual_averaging_sparse_outputs_row_epoch,
)
from minibatch.engine.dual_averaging_sums import N_BUFFER
from minibatch.engine.linear import SOFTMAX, Objective
from minibatch.engine.losses import LOG_LOSS
from minibatch.engine.optimizers import DUAL_AVERAGING
from minibatch.engine.rows import CSR

__all__ = ["DualAveragingProblem", "going_on"]


@dataclass(frozen=True)
class DualAveragingProblem(LinearProblem):
    """``moments`` are of all rows that training has seen, not only of those of this problem; ``at_last_look`` are those
    whose scales still do, where that are fewer rows."""

    moments: ColumnMoments = field(kw_only=True)
    at_last_look: ColumnMoments | None = field(default=None, kw_only=True)

    @classmethod
    def of(
        cls, problem: LinearProblem, before: ColumnMoments | None = None, scaled_by: ColumnMoments | None = None
    ) -> "DualAveragingProblem":
        """The same rows and objective; ``before`` is of the rows of earlier calls, and ``scaled_by`` of those whose
        scales the last of them had."""
        if isinstance(problem.data.X, CSR):
            X = without_repeats(problem.data.X, problem.n_features)
            problem = replace(problem, data=problem.data._replace(X=X))
        moments = moments_of(problem, before)
        still_do = scaled_by is not None and still_scales(scaled_by, moments)
        return cls.with_moments(problem, moments, scaled_by if still_do else None)

    @classmethod
    def with_moments(
        cls, problem: LinearProblem, moments: ColumnMoments, at_last_look: ColumnMoments | None = None
    ) -> "DualAveragingProblem":
        parts = {name: getattr(problem, name) for name in problem.__dataclass_fields__}
        parts |= {"solver": problem.solver._replace(kind=DUAL_AVERAGING)}
        return cls(**parts | {"moments": moments, "at_last_look": at_last_look})

    @property
    def scaled_by(self) -> ColumnMoments:
        """Of the rows that scales are of."""
        return self.at_last_look or self.moments

    @cached_property
    def scales(self) -> NDArray[np.floating[Any]]:
        """``q`` of ``engine.dual_averaging``, in the type of X; one number where the columns are alike."""
        return self.scales_of_bands.of_columns

    @property
    def _inverse_scales(self) -> NDArray[np.float64]:
        return 1.0 / self.scales.astype(np.float64)

    @cached_property
    def scales_of_bands(self) -> Scales:
        return self.scaled_by.scales(self.data.y.dtype)

    def new_state(self, theta: Vector, averaged: bool) -> State:
        """At ``theta``, but without a memory: ``begin`` makes it, or that of an earlier call goes on."""
        return super().new_state(theta, averaged=False)

    def begin(self, state: State, distances: NDArray[np.float64]) -> None:
        """The memory at the parameters of a new state, with these first distances."""
        state.slots[...] = state.theta
        self._dual_weights(state)[...] *= self.scales
        state.scalars[:, DISTANCE] = distances**2

    def _dual_weights(self, state: State) -> NDArray[Any]:
        """Those of the dual vector, and of the average (2, outputs, features)."""
        duals = state.slots[:2, : self.n_outputs * self.n_features]
        return duals.reshape(2, self.n_outputs, self.n_features)

    def weights_of(
        self,
        dual: NDArray[Any],
        sums: NDArray[np.float64],
        scales: NDArray[Any] | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Of the weights' part of a dual vector, or of several, and sums of rates of the outputs. ``scales`` are those
        that the dual vector was made with, where it is not these; weights go into ``out``, where there is one."""
        scales = self.scales if scales is None else scales
        l1, l2, sums = self.objective.l1, self.objective.l2, sums[..., None]
        if l1 > 0.0:
            dual = np.copysign(np.maximum(np.abs(dual, dtype=np.float64) - l1 * sums, 0.0), dual)
        return np.divide(dual, scales + l2 * sums, out=out)

    def rewrite(self, state: State, before: NDArray[Any]) -> None:
        """Dual vectors made with the scales ``before``, so that weights stay as they are."""
        l1, l2 = self.objective.l1, self.objective.l2
        for duals, sums in _parts(self._dual_weights(state), state.scalars.T[[SUM, AVERAGE_SUM]]):
            of_penalty = l2 * sums[..., None]
            if l1 == 0.0:
                duals *= (self.scales + of_penalty) / (before + of_penalty)
                continue
            weights = self.weights_of(duals, sums, before)
            moved = weights * (self.scales + of_penalty) + np.sign(weights) * l1 * sums[..., None]
            duals[...] = np.where(weights == 0.0, duals, moved)

    def model_of(self, state: State, scales: NDArray[Any] | None = None) -> Vector:
        """The parameters that the memory stands for."""
        theta = np.array(state.slots[1])  # the average
        self._become_models(theta, state.scalars, scales)
        return theta

    def _become_models(
        self, averages: NDArray[Any], paces: NDArray[np.float64], scales: NDArray[Any] | None = None
    ) -> None:
        """Put the weights of an average, or of several, in its place."""
        n_outputs, n_features = self.n_outputs, self.n_features
        weights = averages[..., : n_outputs * n_features].reshape(*averages.shape[:-1], n_outputs, n_features)
        with np.errstate(all="ignore"):  # of a run that diverges
            for part, sums in _parts(weights, paces[..., AVERAGE_SUM]):
                self.weights_of(part, sums, scales, out=part)

    def run_epoch(self, state: State, epoch: Epoch) -> NDArray[np.float64]:
        losses = super().run_epoch(state, epoch)
        state.theta[...] = state.slots[1]  # the average
        self._become_models(state.theta, state.scalars)
        return losses

    def agree(self, state: State) -> None:
        state.theta[...] = self.model_of(state)

    def run_epochs(self, state: State, epochs: Epoch) -> Passed:
        passed = super().run_epochs(state, epochs)
        self._become_models(*passed.notes)
        state.theta[...] = passed.notes.thetas[-1]
        return passed

    def _memory(self, state: State) -> Memory:
        dual, average, start = (self.parameters(slot) for slot in state.slots)
        return Memory(dual, average, start, state.scalars)

    def _epoch_function(self, batch_size: int, averaged: bool) -> Callable[..., None]:
        if self._is_large(batch_size):
            return self._large_batches
        if self.objective.tilt:
            return self._gradient_batches
        if isinstance(self.data.X, CSR) and not self._gradient_pays(batch_size):
            return self._sparse_rows if batch_size == 1 else self._sparse_batches
        if batch_size > 1 or isinstance(self.data.X, CSR):
            return self._gradient_batches
        if self.objective.l1 > 0.0:
            return self._one_row
        return self._softmax_rows if self.objective.outputs == SOFTMAX else self._four_rows

    def _batches_at_once(self, epoch: Epoch) -> int:
        """How many batches are a piece. Sparse and single rows leave what is not in them alone."""
        work = 2 * epoch.batch_size * self._row_work
        if self._epoch_function(epoch.batch_size, False) in (self._gradient_batches, self._large_batches):
            work += 3 * UPDATE_WORK * self.n_parameters
        return max(1, at_once(work))

    @cached_property
    def squares_of_rows(self) -> NDArray[np.float64] | None:
        """Squared norms of the rows in the norm of the scales' inverses, with the 1 of the intercept; None where they
        overflow."""
        X, factors = self.data.X, self._inverse_scales
        squares = np.empty(len(self.data.y))
        with np.errstate(over="ignore"):
            if isinstance(X, CSR):
                squares_of_sparse_rows(X, factors, squares)
            elif len(factors) == 1:
                np.multiply(row_norms(X, squared=True), factors, out=squares)
            else:
                np.einsum("ij,ij,j->i", X, X, factors, out=squares)
        if self.objective.fit_intercept:
            squares += 1.0
        return squares if np.isfinite(squares).all() else None

    def n_epochs_at_once(self, batch_size: int, averaged: bool, longer: int) -> int:
        loop = self._epoch_function(batch_size, averaged)
        single = loop in self._of_single_rows
        # an epoch takes about 1.2 times as long as one with a constant rate
        return self._n_epochs_of(batch_size, self._gradient_batches if single else loop, 1.2, longer)

    @property
    def _of_single_rows(self) -> tuple[Callable[..., None], ...]:
        """The loops over dense rows one by one."""
        return self._four_rows, self._softmax_rows, self._one_row

    def _four_rows(self, state: State, epochs: Epoch, passed: Passed) -> None:
        self._single_rows(dual_averaging_rows_epoch, state, epochs, passed)

    def _softmax_rows(self, state: State, epochs: Epoch, passed: Passed) -> None:
        self._single_rows(dual_averaging_softmax_epoch, state, epochs, passed)

    def _one_row(self, state: State, epochs: Epoch, passed: Passed) -> None:
        self._single_rows(dual_averaging_one_row_epoch, state, epochs, passed)

    def _sparse_rows(self, state: State, epoch: Epoch, passed: Passed) -> None:
        memory, squares = self._memory(state), self.squares_of_rows
        if squares is None:
            return self._sparse_batches(state, epoch, passed)
        data, (order,), before = self.data, epoch.order, state.slot_updates
        if self.n_outputs == 1:
            columns = self._columns(len(order))
            dual_averaging_sparse_row_epoch(
                data, order, self.objective, memory, before, np.empty((1, N_BUFFER)), columns, squares,
                passed.losses[0],
            )  # fmt: skip
            return self._kept_columns.append(columns)

        def train(here: slice, objective: Objective) -> None:
            n_outputs = here.stop - here.start
            dual_averaging_sparse_outputs_row_epoch(
                data, order, objective, _part_of_memory(memory, here), before,
                np.empty((n_outputs, N_BUFFER)), self._output_columns(n_outputs, 0), squares, np.empty((1, n_outputs)),
                passed.losses[0, here],
            )  # fmt: skip

        self._for_outputs(train)

    def _single_rows(self, loop: Callable[..., None], state: State, epochs: Epoch, passed: Passed) -> None:
        memory, squares = self._memory(state), self.squares_of_rows
        if squares is None:
            return self._gradient_batches(state, epochs, passed)

        def train(here: slice, objective: Objective) -> None:
            n_outputs = here.stop - here.start
            room = self._room(loop, n_outputs)
            loop(
                self.data, epochs.order, objective, self.scales, _part_of_memory(memory, here), state.slot_updates,
                np.empty((n_outputs, N_BUFFER)), self._factors(n_outputs), squares, room, passed.losses[:, here],
                passed.notes,
            )  # fmt: skip

        self._for_outputs(train, len(epochs.order))

    def _room(self, loop: Callable[..., None], n_outputs: int) -> Any:
        """The buffers of a loop; of ``dual_averaging_rows_epoch``, whether outputs go side by side: of losses with many
        branches no SIMD code comes."""
        if loop is dual_averaging_rows_epoch:
            return (1,) if self.n_outputs > 1 and self.objective.loss == LOG_LOSS else ()
        if loop is not dual_averaging_softmax_epoch:
            return np.empty((1, n_outputs))
        rows = np.empty((4, self.n_features), self.data.y.dtype)
        return FourRows(rows, np.empty((4, 4)), np.empty((8, n_outputs)), np.empty((4, n_outputs)), np.zeros(4))

    def _factors(self, n_outputs: int) -> Vector:
        return np.empty((n_outputs, len(self.scales)), self.data.y.dtype)

    def epoch_bytes(self, batch_size: int, averaged: bool) -> dict[str, int]:
        theta, loop = self.data.y.itemsize * self.n_parameters, self._epoch_function(batch_size, False)
        one = self.data.y.itemsize * self.n_outputs  # of a column
        of_columns = {"factors of columns": one * len(self.scales)}
        if loop == self._large_batches:
            return {"gradients": self._sum_bytes(batch_size), "point of the gradient": theta, **of_columns}
        if loop == self._gradient_batches:
            return {"gradients": theta, "point of the gradient": theta, **of_columns}
        squares = 8 * len(self.data.y) if batch_size == 1 else 0
        if loop in self._of_single_rows:
            rows = 4 * self.data.y.itemsize * self.n_features if loop == self._softmax_rows else 0
            return {"squares of the rows": squares, **of_columns, "batch buffers": rows}
        n_batches = 0 if loop == self._sparse_rows and self.n_outputs > 1 else -(-self.n_samples // batch_size)
        return {
            "batch buffers": 8 * batch_size * self.n_outputs,
            "lazy updates": bytes_of_columns(self.n_features, self.n_outputs, n_batches, self.data.y.dtype),
            "squares of the rows": squares,
        }

    def _gradient_batches(self, state: State, epochs: Epoch, passed: Passed) -> None:
        memory, batch_size = self._memory(state), epochs.batch_size
        grad, point = (self.parameters(np.empty_like(state.theta)) for _ in range(2))

        def train(here: slice, objective: Objective) -> None:
            dual_averaging_epoch(
                self.data, epochs.order, batch_size, objective, self.scales, self._inverse_scales,
                _part_of_memory(memory, here), state.slot_updates, part_of(grad, here), part_of(point, here),
                self._factors(here.stop - here.start), self._block_scores(batch_size, here.stop - here.start),
                passed.losses[:, here], passed.notes,
            )  # fmt: skip

        self._for_outputs(train, len(epochs.order))

    def _sparse_batches(self, state: State, epoch: Epoch, passed: Passed) -> None:
        memory, batch_size, n_batches = self._memory(state), epoch.batch_size, epoch.etas.shape[1]
        data, (order,), before = self.data, epoch.order, state.slot_updates
        if self.n_outputs == 1:
            columns = self._columns(n_batches)
            dual_averaging_sparse_epoch(
                data, order, batch_size, self.objective, memory, before, np.empty((1, N_BUFFER)), columns,
                np.empty((batch_size, 1)), passed.losses[0],
            )  # fmt: skip
            return self._kept_columns.append(columns)

        def train(here: slice, objective: Objective) -> None:
            n_outputs = here.stop - here.start
            dual_averaging_sparse_outputs_epoch(
                data, order, batch_size, objective, _part_of_memory(memory, here), before,
                np.empty((n_outputs, N_BUFFER)), self._output_columns(n_outputs, n_batches),
                np.empty((batch_size, n_outputs)), passed.losses[0, here],
            )  # fmt: skip

        self._for_outputs(train)

    @cached_property
    def _kept_columns(self) -> list[Columns]:
        """Those of the last epoch: made anew, the system would have to find their pages again."""
        return []

    def _columns(self, n_batches: int) -> Columns:
        """For whoever has none: who asks takes them, and puts them back."""
        kept = self._kept_columns.pop() if self._kept_columns else None
        if kept is not None and len(kept.moves) > min(n_batches, REMEMBERED):
            return kept
        return columns_of(self.scales_of_bands, self.n_features, n_batches, self.data.y.dtype)

    def _output_columns(self, n_outputs: int, n_batches: int) -> OutputColumns:
        return output_columns_of(self.scales_of_bands, self.n_features, n_outputs, n_batches, self.data.y.dtype)

    def _large_batches(self, state: State, epoch: Epoch, passed: Passed) -> None:
        memory, batch_size = self._memory(state), epoch.batch_size
        point, factors = self.parameters(np.empty_like(state.theta)), self._factors(self.n_outputs)
        (order,), (etas,), scales, inverses = epoch.order, epoch.etas, self.scales, self._inverse_scales
        gradient_point(memory, scales, self.objective, factors, point, state.slot_updates)
        for batch in range(len(etas)):
            rows, before = order[batch * batch_size : (batch + 1) * batch_size], state.slot_updates + batch
            batch_losses, gradient = self._sum_over(rows, point, self.objective)
            passed.losses[0] += batch_losses
            grad = self.parameters((gradient / batch_size).astype(state.theta.dtype))
            part = len(rows) / batch_size
            dual_averaging_step(memory, grad, part, scales, inverses, self.objective, factors, point, before)


def going_on(problem: DualAveragingProblem, state: State, scaled_by: ColumnMoments) -> bool:
    """Make the memory of an earlier call that of this problem, whose columns may have other scales. False where it
    does not stand for the parameters that the model has: somebody has changed them, or the penalty."""
    is_same = scaled_by is problem.scaled_by
    before = problem.scales if is_same else scaled_by.scales(state.theta.dtype).of_columns
    model = problem.model_of(state, before)
    if not (_are_same(model, state.theta) or _are_near(model, state.theta)):
        return False
    if not (is_same or _are_same(before, problem.scales)):
        problem.rewrite(state, before)
    return True


def _are_same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """To the bit: to compare a few numbers takes longer."""
    return first.shape == second.shape and first.tobytes() == second.tobytes()


def _are_near(theta: Vector, other: Vector) -> bool:
    tolerance = np.sqrt(np.finfo(other.dtype).eps)
    return bool((np.abs(theta - other) <= tolerance * (norm_of(other) + np.abs(other))).all())


def _parts(weights: NDArray[Any], sums: NDArray[np.float64]) -> Iterator[tuple[NDArray[Any], Any]]:
    """Weights with their sums of rates: all, or where they are many those of an output at a time, so that what is made
    on the way is small."""
    if weights.size <= FEW_VALUES:
        yield weights, sums
        return
    sums = np.broadcast_to(sums, weights.shape[:-1])
    for i in np.ndindex(sums.shape):
        yield weights[i], sums[i]


def _part_of_memory(memory: Memory, here: slice) -> Memory:
    dual, average, start = (part_of(part, here) for part in (memory.dual, memory.average, memory.start))
    return Memory(dual, average, start, memory.pace[here])
