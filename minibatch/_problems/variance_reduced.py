"""A linear model trained with SVRG or SAGA: what is remembered of the rows, and which loop trains what."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.epochs import Epoch
from minibatch._problems.linear import LinearProblem
from minibatch._problems.linear_loops import UPDATE_WORK
from minibatch._problems.pieces import at_once, cut
from minibatch._problems.state import State
from minibatch.engine.linear import BLOCK_ROWS, Parameters
from minibatch.engine.optimizers import SAGA, SVRG
from minibatch.engine.rows import CSR
from minibatch.engine.sparse_sgd import WINDOW
from minibatch.engine.variance_reduced import memory_of_slopes, variance_reduced_epoch
from minibatch.engine.variance_reduced_sparse import sparse_variance_reduced_epoch

__all__ = ["VarianceReducedProblem"]

PASSES = 3  # over the weights, or the stored values, of an update, beside one of plain SGD


@dataclass(frozen=True)
class VarianceReducedProblem(LinearProblem):
    """The slopes of all rows are in the state, their mean gradient in its slot."""

    @classmethod
    def of(cls, problem: LinearProblem) -> "VarianceReducedProblem":
        """The same rows, objective and solver."""
        return cls(**{part.name: getattr(problem, part.name) for part in fields(problem)})

    def run_epoch(self, state: State, epoch: Epoch) -> NDArray[np.float64]:
        # watched, an epoch comes in several calls
        if state.slopes is None or (self.solver.kind == SVRG and state.schedule_epochs % 1.0 == 0.0):
            self._remember(state)
        if self.rows is not None:
            epoch = epoch._replace(order=self.rows[epoch.order])
        theta, mean, losses = self.parameters(state.theta), self._mean(state), np.zeros(self.n_outputs)
        scores, follow = np.empty((epoch.batch_size, self.n_outputs)), self.solver.kind == SAGA
        for part in epoch.parts(self._batches_at_once(epoch)):
            numbers = self.data, part.order, part.etas, part.batch_size, self.n_samples, self.objective, theta, mean
            if isinstance(self.data.X, CSR):
                seen = np.zeros((self.n_outputs, self.n_features), np.int32)
                window = np.empty(WINDOW + 1)
                sparse_variance_reduced_epoch(*numbers, state.slopes, follow, scores, losses, seen, window)
            else:
                gradient = np.empty((self.n_outputs, self.n_features), state.theta.dtype)
                variance_reduced_epoch(*numbers, gradient, state.slopes, follow, scores, losses)
            state.count(len(part.etas), 0)
        return losses[: self.n_objectives]

    def n_epochs_at_once(self, batch_size: int, averaged: bool, longer: int) -> int:
        return 1

    def epoch_bytes(self, batch_size: int, averaged: bool) -> dict[str, int]:
        found = {"slopes of the rows": 8 * self.n_outputs * len(self.data.y)}
        found["batch buffers"] = 8 * max(batch_size, BLOCK_ROWS) * self.n_outputs
        if isinstance(self.data.X, CSR):
            found["lazy updates"] = 4 * self.n_outputs * self.n_features + 8 * (WINDOW + 1)
        return found

    def _remember(self, state: State) -> None:
        """The slopes of all rows at the parameters, and their mean gradient."""
        theta, mean = self.parameters(state.theta), self._mean(state)
        state.slots[:] = 0.0
        state.slopes = np.zeros((len(self.data.y), self.n_outputs))
        rows, scores, losses = self._all_rows, self._block_scores(BLOCK_ROWS, self.n_outputs), np.zeros(self.n_outputs)
        for begin, end in cut(0, len(rows), max(1, at_once(self._row_work))):
            here = rows[begin:end]
            memory_of_slopes(self.data, here, len(rows), self.objective, theta, state.slopes, mean, scores, losses)

    def _mean(self, state: State) -> Parameters:
        return self.parameters(state.slots[0])

    def _batches_at_once(self, epoch: Epoch) -> int:
        work = PASSES * epoch.batch_size * self._row_work
        if isinstance(self.data.X, CSR):
            n_batches = at_once(work)
            return n_batches - n_batches % WINDOW if n_batches > WINDOW else max(1, n_batches)
        return max(1, at_once(work + PASSES * UPDATE_WORK * self.n_parameters))
