"""``gradient_epoch`` of many models at once, on dense rows, with any solver but those that find their rates.

Only the products with the rows are shared. Each update is ``take_step`` of a column as it is elsewhere, so that here
weights and memory are (columns, features); see ``engine.candidates`` for what a column is.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.candidates import Candidates, block_at, fill_rows, slopes_of_candidates
from minibatch.engine.compile import entry, joining, kernel
from minibatch.engine.linear import SOFTMAX, Parameters, add_parameters, softmax_slopes
from minibatch.engine.optimizers import SGD, bias_corrections, shrinkage, take_step
from minibatch.engine.products import product_at, product_bt

__all__ = [
    "Learners", "Rates", "RoomOfGradients", "add_block", "candidates_gradient_epoch", "part_of_column",
    "slopes_of_classes", "step_columns",
]  # fmt: skip


class Learners(NamedTuple):
    """The models, and what their solvers remember: rows of weights for each column."""

    theta: Parameters
    gradient: Parameters
    first: Parameters
    second: Parameters
    total: Parameters  # of the iterates; without features where nothing is averaged


class Rates(NamedTuple):
    """Numbers of each model."""

    etas: np.ndarray  # (models, batches)
    shares: np.ndarray  # (models, batches)
    momenta: np.ndarray  # (models,)


class RoomOfGradients(NamedTuple):
    """Where the loop works."""

    rows: np.ndarray  # (block, features)
    scores: np.ndarray  # (block, columns)
    sums: np.ndarray  # (columns): of the slopes of a batch
    scales: np.ndarray  # (columns): ones
    own: np.ndarray  # (1, outputs): of a row of a softmax


@kernel
def slopes_of_classes(shared, start, stop, intercept, scores, sums, own):
    """``slopes_of_candidates`` of a softmax; ``own`` (1, classes) is a buffer."""
    (_, y, weight, _), order, losses, n_classes = shared.data, shared.order, shared.losses, shared.n_outputs
    n = scores.shape[1] // n_classes
    for r in range(start, stop):
        for i in range(n):
            for k in range(n_classes):
                own[0, k] = float(scores[r - start, k * n + i]) + float(intercept[k * n + i])
            losses[i] += softmax_slopes(order[r], y, weight, own, 0)
            for k in range(n_classes):
                scores[r - start, k * n + i] = own[0, k]
                sums[k * n + i] += own[0, k]


@kernel
def part_of_column(parameters, c, part):
    """The weights of a column, or its intercept."""
    return parameters.weights[c] if part == 0 else parameters.intercept[c : c + 1]


@kernel
def step_columns(shared, learners, rates, batch, t, solver):
    """Update ``t`` of every column, with its gradient."""
    (theta, gradient, first, second, _), numbers = learners, shared.numbers
    n, kind = rates.etas.shape[0], solver.kind
    c1, c2 = bias_corrections(t, solver.beta_1, solver.beta_2)
    for c in range(theta.intercept.shape[0]):
        i, l1, l2, due = c % n, numbers.l1[c], numbers.l2[c], 0.0
        eta, share, momentum = rates.etas[i, batch], rates.shares[i, batch], rates.momenta[i]
        if kind == SGD and l1 > 0.0:  # as in ``engine.updates``
            due = first.intercept[c] = shrinkage(eta, l2) * first.intercept[c] + eta * l1
        for part in range(2 if shared.objective.fit_intercept else 1):  # compiled once: it is half of the whole
            if part == 1:  # the intercept
                l1, l2, due = 0.0, 0.0, 0.0
            take_step(
                kind, part_of_column(theta, c, part), part_of_column(gradient, c, part),
                part_of_column(first, c, part), part_of_column(second, c, part), eta, share, l1, l2, due, momentum,
                solver.beta_1, solver.beta_2, c1, c2, solver.epsilon,
            )  # fmt: skip


@joining
def add_block(shared, begin, end, share, is_first, learners, room):
    """Score rows of a batch, and add them to its gradient, in which each has a ``share``, or begin that."""
    n_rows, (weights, intercept) = end - begin, learners.theta
    rows, scores = room.rows[:n_rows], room.scores[:n_rows]
    fill_rows(shared, begin, end, rows)
    product_bt(rows, weights, scores)
    if shared.objective.outputs == SOFTMAX:
        slopes_of_classes(shared, begin, end, intercept, scores, room.sums, room.own)
    else:
        slopes_of_candidates(shared, begin, end, Candidates(weights, intercept, room.scales), scores, room.sums)
    of_row = scores.dtype.type(share)
    for r in range(n_rows):
        for c in range(scores.shape[1]):
            scores[r, c] *= of_row
    product_at(scores, rows, not is_first, learners.gradient.weights)


@entry
def candidates_gradient_epoch(stamp):
    def candidates_gradient_epoch(shared, first, last, solver, learners, rates, n_updates, first_averaged, room):
        """Train on the rows at places ``first`` to ``last`` of the order of an epoch, before which there were
        ``n_updates``. What is between two calls of a batch is in ``learners`` and ``room``. The momentum of ``solver``
        is not looked at."""
        _ = stamp
        begin = first
        while begin < last:
            batch, start, stop, end = block_at(shared, begin, last, room.rows.shape[0])
            if begin == start:
                room.sums[:] = 0.0
            share = 1.0 / (stop - start)
            add_block(shared, begin, end, share, begin == start, learners, room)
            if end == stop:
                for c in range(room.sums.shape[0]):
                    learners.gradient.intercept[c] = share * room.sums[c]
                step_columns(shared, learners, rates, batch, n_updates + batch + 1, solver)
                if batch >= first_averaged:
                    add_parameters(learners.theta, learners.total)
            begin = end

    return candidates_gradient_epoch
