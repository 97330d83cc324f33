"""A linear model trained with SVRG or SAGA: what is remembered of the rows, and which loop trains what."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.epochs import Epoch
from minibatch._problems.linear import LinearProblem
from minibatch._problems.linear_loops import UPDATE_WORK
from minibatch._problems.pieces import at_once, cut
from minibatch._problems.state import State
from minibatch.engine.linear import ROWS_PER_SUM
from minibatch.engine.optimizers import SAGA, SVRG, VARIANCE_REDUCED
from minibatch.engine.row_blocks import BLOCK_ROWS
from minibatch.engine.rows import CSR
from minibatch.engine.sparse_sgd import WINDOW
from minibatch.engine.variance_reduced import memory_of_slopes, variance_reduced_epoch
from minibatch.engine.variance_reduced_sparse import sparse_variance_reduced_epoch

__all__ = ["PASSES", "VarianceReducedProblem", "as_its_solver_asks"]

PASSES = 3  # over the weights, or the stored values, of an update, beside one of plain SGD


@dataclass(frozen=True)
class VarianceReducedProblem(LinearProblem):
    """The slopes of all rows are in the state, their mean gradient in its slot."""

    def run_epoch(self, state: State, epoch: Epoch) -> NDArray[np.float64]:
        # watched, an epoch comes in several calls
        if state.slopes is None or (self.solver.kind == SVRG and state.schedule_epochs % 1.0 == 0.0):
            self._remember(state)
        if self.rows is not None:
            epoch = epoch._replace(order=self.rows[epoch.order])
        theta, mean = self.parameters(state.theta), self.parameters(state.slots[0])
        losses = np.zeros(self.n_outputs)
        scores, follow = np.empty((epoch.batch_size, self.n_outputs)), self.solver.kind == SAGA
        sparse, window = isinstance(self.data.X, CSR), np.empty(WINDOW + 1)
        # updates that weights have seen, zeros again at the end of a call; or a gradient
        of_weights = np.zeros((self.n_outputs, self.n_features), np.int32 if sparse else state.theta.dtype)
        for part in epoch.parts(self._batches_at_once(epoch)):
            numbers = self.data, part.order, part.etas, part.batch_size, self.n_samples, self.objective, theta, mean
            if sparse:
                sparse_variance_reduced_epoch(*numbers, state.slopes, follow, scores, losses, of_weights, window)
            else:
                variance_reduced_epoch(*numbers, of_weights, state.slopes, follow, scores, losses)
            state.count(len(part.etas), 0)
        return losses[: self.n_objectives]

    def n_epochs_at_once(self, batch_size: int, averaged: bool, longer: int) -> int:
        return 1

    def epoch_bytes(self, batch_size: int, averaged: bool) -> dict[str, int]:
        found = {
            "batch buffers": 8 * max(batch_size, BLOCK_ROWS) * self.n_outputs,
            "mean gradient": (8 + self.data.y.itemsize) * self.n_parameters,
        }
        if isinstance(self.data.X, CSR):
            found["lazy updates"] = 4 * self.n_outputs * self.n_features + 8 * (WINDOW + 1)
        return found

    def slopes_bytes(self) -> int:
        """What a state has of the rows."""
        return 8 * self.n_outputs * len(self.data.y)

    def _remember(self, state: State) -> None:
        """The slopes of all rows at the parameters, and their mean gradient."""
        theta, part = (self.parameters(array) for array in (state.theta, np.empty_like(state.theta)))
        total, rows = np.zeros(self.n_parameters), self._all_rows
        state.slopes = np.zeros((len(self.data.y), self.n_outputs))
        more = part, self.parameters(total), self._block_scores(ROWS_PER_SUM, self.n_outputs), np.zeros(self.n_outputs)
        step = max(1, at_once(self._row_work + UPDATE_WORK * self.n_parameters / ROWS_PER_SUM))
        for begin, end in cut(0, len(rows), step):
            memory_of_slopes(self.data, rows[begin:end], self.objective, theta, state.slopes, *more)
        total /= len(rows)
        state.slots[0] = total

    def _batches_at_once(self, epoch: Epoch) -> int:
        work = PASSES * epoch.batch_size * self._row_work
        if isinstance(self.data.X, CSR):
            n_batches = at_once(work)
            return n_batches - n_batches % WINDOW if n_batches > WINDOW else max(1, n_batches)
        return max(1, at_once(work + PASSES * UPDATE_WORK * self.n_parameters))


def as_its_solver_asks(problem: Any) -> Any:
    """The same problem, with a memory of slopes if its solver has one."""
    if problem.solver.kind not in VARIANCE_REDUCED.values():
        return problem
    return VarianceReducedProblem(**{part.name: getattr(problem, part.name) for part in fields(problem)})
