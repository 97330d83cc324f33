"""Linear models: which epoch loop of the engine trains what."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.batching import Order
from minibatch._problems.epochs import Epoch, Passed, n_epochs_at_once, no_passes
from minibatch._problems.pieces import at_once, cut, share_out
from minibatch._problems.single_rows import train_on_single_rows
from minibatch._problems.state import LOSS_WORK, ProblemOnRows, State, Vector, part_of, read_only
from minibatch.engine.linear import ROWS_PER_SUM, SOFTMAX, Objective, Parameters, chunk_gradient, gradient_epoch
from minibatch.engine.optimizers import DOWG, N_SCALARS, SGD, Step
from minibatch.engine.row_blocks import BLOCK_BYTES, BLOCK_ROWS
from minibatch.engine.rows import CSR
from minibatch.engine.sgd import sgd_epoch
from minibatch.engine.sparse_sgd import WINDOW, lazy_sgd_epoch
from minibatch.engine.updates import apply_step

__all__ = ["CACHED_BYTES", "CHUNKS", "LARGE_BATCH", "STORED_WORK", "UPDATE_WORK", "VALUE_WORK", "LinearLoops"]

# Batches of so many rows are cut into chunks that threads share. The cut depends on the batch alone, so that the
# result does not depend on the number of threads.
LARGE_BATCH, CHUNKS = 8192, 8
# Work (see ``pieces``) of a value of a row, once scored and once added; of a stored value, whose weight is anywhere; of
# a parameter in an update. Measured with Adam, the slowest solver, and columns that the cache does not hold.
VALUE_WORK, STORED_WORK, UPDATE_WORK = 2, 16, 3
CACHED_BYTES = 256 * 1024  # of the rows and scores of a batch, which are still there when they are read again


@dataclass(frozen=True)
class LinearLoops(ProblemOnRows):
    """How ``n_outputs`` rows of weights are trained on dense (C order) or CSR rows."""

    n_outputs: int
    squares: NDArray[np.float64] | None = field(default=None, kw_only=True)  # ||x||^2, see ``following_penalty``

    @property
    def n_parameters(self) -> int:
        return self.n_outputs * (self.n_features + 1)

    @property
    def n_objectives(self) -> int:
        return 1 if self.objective.outputs == SOFTMAX else self.n_outputs

    def parameters(self, flat: Vector) -> Parameters:
        """Views of a flat vector as weights (outputs, features) and intercepts (outputs,)."""
        n_weights = self.n_outputs * self.n_features
        return Parameters(flat[:n_weights].reshape(self.n_outputs, self.n_features), flat[n_weights:])

    def run_epoch(self, state: State, epoch: Epoch) -> NDArray[np.float64]:
        """Train; returns the progressive loss sums of the objectives."""
        if self.rows is not None:
            epoch = epoch._replace(order=self.rows[epoch.order])
        passed = no_passes(1, self.n_outputs, state.theta, state.scalars, noted=False)
        debts = state.slots[: int(self._forgets(epoch.noisy))]  # of L1: a full batch neither pays them nor makes any
        debts[:] = 0.0
        for part in epoch.parts(self._batches_at_once(epoch)):
            averaged = max(0, len(part.etas) - part.first_averaged)
            self._epoch_function(part.batch_size, averaged > 0)(state, part.as_rows(), passed)
            state.count(len(part.etas), averaged)
        debts[:] = 0.0
        state.penalty_seen += passed.penalties[0]
        return passed.losses[0, : self.n_objectives]

    def _forgets(self, noisy: bool) -> bool:
        return self.solver.kind in (SGD, DOWG) and self.objective.l1 > 0.0 and not noisy

    def n_epochs_at_once(self, batch_size: int, averaged: bool, longer: int) -> int:
        finds_rates = N_SCALARS.get(self.solver.kind, 0) > 1
        if finds_rates or self._forgets(batch_size < self.n_samples):
            return 1
        return self._n_epochs_of(batch_size, self._epoch_function(batch_size, averaged), 1, longer)

    def _n_epochs_of(self, batch_size: int, loop: Callable[..., None], times: float, longer: int) -> int:
        """Of a loop; a row takes ``times`` its work in a gradient."""
        if loop not in (self._plain_sgd, self._gradient_batches):
            return 1
        work = times * self.n_samples * (self._row_work + UPDATE_WORK * self.n_parameters / batch_size)
        return n_epochs_at_once(work, self.n_samples, self.n_parameters, longer)

    def run_epochs(self, state: State, epochs: Epoch) -> Passed:
        if self.rows is not None:
            epochs = epochs._replace(order=self.rows[epochs.order])
        passed = no_passes(len(epochs.order), self.n_outputs, state.theta, state.scalars, noted=True)
        averaged = epochs.first_averaged == 0
        self._epoch_function(epochs.batch_size, averaged)(state, epochs, passed)
        state.count(epochs.etas.size, epochs.etas.size * averaged)
        return passed._replace(losses=passed.losses[:, : self.n_objectives])

    def epoch_bytes(self, batch_size: int, averaged: bool) -> dict[str, int]:
        """What ``run_epoch`` allocates for batches of so many rows, by what it holds."""
        one, loop = self.data.y.itemsize * self.n_parameters, self._epoch_function(batch_size, averaged)
        if loop == self._large_batches:
            return {"gradients": self._sum_bytes(batch_size)}
        if loop == self._gradient_batches:
            return {"gradients": one}
        scores = 8 * batch_size * self.n_outputs
        if loop == self._plain_sgd:
            return {"batch buffers": scores}
        # lazily: a slot, the update that every weight has seen, and what has fallen due in a window
        seen = 4 * self.n_outputs * self.n_features if averaged else 0
        return {"batch buffers": scores, "lazy updates": one + seen + 3 * 8 * (WINDOW + 1)}

    def _epoch_function(self, batch_size: int, averaged: bool) -> Callable[..., None]:
        """The fastest loop that gives the textbook's model."""
        if self._is_large(batch_size):
            return self._large_batches
        if self.solver.kind != SGD or self._gradient_pays(batch_size):
            return self._gradient_batches
        if isinstance(self.data.X, CSR):
            return self._lazy_batches if averaged or self.objective.l1 > 0.0 else self._plain_sgd
        return self._gradient_batches if self.objective.l1 > 0.0 else self._plain_sgd

    def _is_large(self, batch_size: int) -> bool:
        large = batch_size >= LARGE_BATCH or at_once(batch_size * self._row_work) == 0
        return large or self.partners is not None

    def _gradient_pays(self, batch_size: int) -> bool:
        """Whether plain SGD is faster with a gradient: without, all rows of a batch are scored before they are added.

        So with batches larger than a block of dense rows (measured: up to a third faster, at 20 to 784 columns); and
        of sparse rows where the cache forgets the batch, if an update, which is of all weights, is little beside it.
        """
        if not isinstance(self.data.X, CSR):
            return batch_size > BLOCK_ROWS
        forgotten = batch_size * (self._row_bytes + 8 * self.n_outputs) > CACHED_BYTES
        return forgotten and 4 * UPDATE_WORK * self.n_parameters < batch_size * self._row_work

    @cached_property
    def _row_bytes(self) -> float:
        """Of a row of X; of the mean row, where they are sparse."""
        X = self.data.X
        if isinstance(X, CSR):
            return (X.data.nbytes + X.indices.nbytes) / len(self.data.y)
        return self.n_features * X.itemsize

    @cached_property
    def _row_work(self) -> float:
        """Of a row in the gradient of all outputs; of the mean row, where they are sparse."""
        X = self.data.X
        values = STORED_WORK * len(X.data) / len(self.data.y) if isinstance(X, CSR) else VALUE_WORK * self.n_features
        return self.n_outputs * (LOSS_WORK + values)

    def _batches_at_once(self, epoch: Epoch) -> int:
        """How many batches are a piece."""
        averaged = epoch.first_averaged < len(epoch.etas)
        loop, work = self._epoch_function(epoch.batch_size, averaged), epoch.batch_size * self._row_work
        if loop == self._lazy_batches:
            n_batches = at_once(2 * work)
            return n_batches - n_batches % WINDOW if n_batches > WINDOW else max(1, n_batches)
        if averaged or loop != self._plain_sgd:
            work += UPDATE_WORK * self.n_parameters
        return max(1, at_once(work))

    def _plain_sgd(self, state: State, epochs: Epoch, passed: Passed) -> None:
        orders, etas, batch_size, first_averaged, *_ = epochs
        theta = self.parameters(state.theta)
        total = self._total(state, first_averaged < etas.shape[1])
        if batch_size == 1 and self.n_outputs == 1:
            return train_on_single_rows(self.data, epochs, self.objective, theta, total, passed, self.squares)

        def train(here: slice, objective: Objective) -> None:
            scores = np.empty((batch_size, here.stop - here.start))
            sgd_epoch(
                self.data, orders, etas, batch_size, objective, part_of(theta, here), part_of(total, here),
                first_averaged, scores, passed.losses[:, here], passed.notes.thetas,
            )  # fmt: skip

        self._for_outputs(train, len(orders))

    def _lazy_batches(self, state: State, epoch: Epoch, passed: Passed) -> None:
        (order,), (etas,), batch_size, first_averaged, *_ = epoch
        theta = self.parameters(state.theta)
        slot, _ = self._slots(state, self.parameters(np.zeros_like(state.theta)))
        total = self._total(state, first_averaged < len(etas))

        def train(here: slice, objective: Objective) -> None:
            n_outputs = here.stop - here.start
            lazy_sgd_epoch(
                self.data, order, etas, batch_size, objective, part_of(theta, here), part_of(slot, here),
                part_of(total, here), first_averaged, np.empty((batch_size, n_outputs)), passed.losses[0, here],
                np.zeros((n_outputs, total.weights.shape[1]), np.int32), *np.zeros((3, WINDOW + 1)),
            )  # fmt: skip

        self._for_outputs(train)

    def _gradient_batches(self, state: State, epochs: Epoch, passed: Passed) -> None:
        orders, etas, batch_size, first_averaged, *_ = epochs
        theta, grad = self.parameters(state.theta), self.parameters(np.empty_like(state.theta))
        first, second = self._slots(state, grad)
        total, shares = self._total(state, first_averaged < etas.shape[1]), state.shares(etas.ravel())

        def train(here: slice, objective: Objective) -> None:
            gradient_epoch(
                self.data, orders, etas, shares.reshape(etas.shape), batch_size, objective, self.solver,
                part_of(theta, here), part_of(grad, here), part_of(first, here), part_of(second, here),
                state.scalars[here], state.slot_updates, part_of(total, here), first_averaged,
                self._block_scores(batch_size, here.stop - here.start), passed.losses[:, here], passed.notes.thetas,
            )  # fmt: skip

        self._for_outputs(train, len(orders))

    def _large_batches(self, state: State, epoch: Epoch, passed: Passed) -> None:
        (order,), (etas,), batch_size, first_averaged, *_ = epoch
        theta, shares = self.parameters(state.theta), state.shares(etas)
        for batch, eta in enumerate(etas):
            rows = order[batch * batch_size : (batch + 1) * batch_size]
            batch_losses, gradient = self._sum_over(rows, theta, self.objective)
            passed.losses[0] += batch_losses
            grad = self.parameters((gradient / len(rows)).astype(state.theta.dtype))
            first, second = self._slots(state, grad)
            step = Step(state.slot_updates + batch + 1, eta, shares[batch])
            apply_step(theta, grad, first, second, state.scalars, step, self.objective, self.solver)
            if batch >= first_averaged:
                state.total += state.theta

    @property
    def _of_losses(self) -> Objective:
        """The objective whose gradient is that of the losses, whatever steps are made."""
        return self.objective._replace(tilt=(), passive=())

    def copied(self, places: Order) -> Self:
        found = super().copied(places)
        if not self.objective.passive:
            return found
        of_rows, largest = self.objective.passive
        passive = read_only(of_rows[self._all_rows[places]]), largest
        return replace(found, objective=self.objective._replace(passive=passive))

    def _sum_over(
        self, rows: Order, theta: Parameters, objective: Objective
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Summed losses and their gradient, by chunks that threads share, added up in the order of the chunks."""
        first, last = self._own_part(len(rows))
        n_chunks = _n_chunks(last - first)
        bounds = np.linspace(first, last, n_chunks + 1).astype(np.int64)
        losses, totals = np.zeros((n_chunks, self.n_outputs)), np.zeros((n_chunks, self.n_parameters))
        # where the kernel begins a new sum anyway: the cut changes no digit
        step = ROWS_PER_SUM * max(1, at_once(ROWS_PER_SUM * self._row_work + UPDATE_WORK * self.n_parameters))

        def chunk(c: int) -> Iterator[None]:
            part = self.parameters(np.empty(self.n_parameters, theta.weights.dtype))
            total, scores = self.parameters(totals[c]), self._block_scores(ROWS_PER_SUM, self.n_outputs)
            for begin, end in cut(bounds[c], bounds[c + 1], step):
                chunk_gradient(self.data, rows, begin, end, objective, theta, part, total, scores, losses[c])
                yield

        share_out(self.threads, chunk, n_chunks)
        of_losses, gradient = losses.sum(axis=0), totals.sum(axis=0)
        if self.partners is not None:
            of_losses, gradient = self.partners.added(of_losses, gradient)
        return of_losses, gradient

    def _block_scores(self, batch_size: int, n_outputs: int) -> NDArray[np.float64]:
        """The buffer for the rows that are scored and added together. A batch is as few blocks as may be, as alike as
        may be."""
        fitting = max(4, min(BLOCK_ROWS, int(BLOCK_BYTES / max(1.0, self._row_bytes))) // 4 * 4)
        n_blocks = -(-batch_size // fitting)
        return np.empty((4 * -(-batch_size // (4 * n_blocks)), n_outputs))

    def _sum_bytes(self, n_rows: int) -> int:
        """What ``_sum_over`` so many rows makes: gradients of the chunks; those that threads add up, then the sum."""
        n_chunks = _n_chunks(n_rows)
        return self.n_parameters * (8 * n_chunks + max(8, self.data.y.itemsize * min(n_chunks, self.threads.number)))

    def _for_outputs(self, train: Callable[[slice, Objective], None], n_epochs: int = 1) -> None:
        """Train all outputs, or a share of them on each thread where they are independent (and the data not small)."""
        alone = self.objective.outputs == SOFTMAX or n_epochs > 1
        n_shares = 1 if alone else min(self.threads.number, self.n_outputs)
        if n_shares == 1:
            return train(slice(0, self.n_outputs), self.objective)
        bounds = [self.n_outputs * i // n_shares for i in range(n_shares + 1)]

        def share(i: int) -> Iterator[None]:
            train(slice(bounds[i], bounds[i + 1]), self.objective._replace(first_output=bounds[i]))
            yield

        share_out(self.threads, share, n_shares)

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


def _n_chunks(n_rows: int) -> int:
    return CHUNKS if n_rows >= LARGE_BATCH else 1
