"""``gradient_epoch`` of many models at once, on dense rows, with any solver but those that find their rates.

Only the products with the rows are shared. Each update is ``take_step`` of a column as it is elsewhere, so that here
weights and memory are (columns, features); see ``engine.candidates`` for what a column is.
"""

from typing import NamedTuple

import numpy as np

from minibatch.engine.candidates import Candidates, fill_rows, slopes_of_candidates
from minibatch.engine.compile import entry, joining, kernel
from minibatch.engine.linear import SOFTMAX, Parameters, add_parameters, softmax_slopes
from minibatch.engine.optimizers import SGD, bias_corrections, shrinkage, take_step
from minibatch.engine.products import product_at, product_bt

__all__ = [
    "Learners", "Rates", "RoomOfGradients", "add_block", "candidates_gradient_epoch", "slopes_of_classes",
    "step_columns",
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


@kernel
def slopes_of_classes(data, order, start, stop, intercept, scores, sums, own, losses):
    """``slopes_of_candidates`` of a softmax; ``own`` (1, classes) is a buffer."""
    n_classes = own.shape[1]
    n = scores.shape[1] // n_classes
    for r in range(start, stop):
        for i in range(n):
            for k in range(n_classes):
                own[0, k] = float(scores[r - start, k * n + i]) + float(intercept[k * n + i])
            losses[i] += softmax_slopes(order[r], data.y, data.weight, own, 0)
            for k in range(n_classes):
                scores[r - start, k * n + i] = own[0, k]
                sums[k * n + i] += own[0, k]


@kernel
def step_columns(learners, rates, batch, t, numbers, objective, solver):
    """Update ``t`` of every column, with its gradient."""
    theta, gradient, first, second, _ = learners
    n, kind = rates.etas.shape[0], solver.kind
    c1, c2 = bias_corrections(t, solver.beta_1, solver.beta_2)
    for c in range(theta.intercept.shape[0]):
        i, l1, l2, due = c % n, numbers.l1[c], numbers.l2[c], 0.0
        eta, share, momentum = rates.etas[i, batch], rates.shares[i, batch], rates.momenta[i]
        if kind == SGD and l1 > 0.0:  # as in ``engine.updates``
            due = first.intercept[c] = shrinkage(eta, l2) * first.intercept[c] + eta * l1
        take_step(
            kind, theta.weights[c], gradient.weights[c], first.weights[c], second.weights[c], eta, share, l1, l2, due,
            momentum, solver.beta_1, solver.beta_2, c1, c2, solver.epsilon,
        )  # fmt: skip
        if objective.fit_intercept:
            take_step(
                kind, theta.intercept[c : c + 1], gradient.intercept[c : c + 1], first.intercept[c : c + 1],
                second.intercept[c : c + 1], eta, share, 0.0, 0.0, 0.0, momentum, solver.beta_1, solver.beta_2, c1, c2,
                solver.epsilon,
            )  # fmt: skip


@joining
def add_block(data, order, begin, end, share, is_first, objective, numbers, learners, room, own, losses):
    """Score rows of a batch, and add them to its gradient, in which each has a ``share``, or begin that."""
    n_rows, n_outputs, intercept = end - begin, own.shape[1], learners.theta.intercept
    rows, scores = room.rows[:n_rows], room.scores[:n_rows]
    fill_rows(data, order, begin, end, rows)
    product_bt(rows, learners.theta.weights, scores)
    if objective.outputs == SOFTMAX:
        slopes_of_classes(data, order, begin, end, intercept, scores, room.sums, own, losses)
    else:
        models = Candidates(learners.theta.weights, intercept, room.scales)
        slopes_of_candidates(
            data, order, begin, end, objective, n_outputs, models, numbers.parameters, scores, room.sums, losses
        )
    of_row = scores.dtype.type(share)
    for r in range(n_rows):
        for c in range(scores.shape[1]):
            scores[r, c] *= of_row
    product_at(scores, rows, not is_first, learners.gradient.weights)


@entry
def candidates_gradient_epoch(stamp):
    def candidates_gradient_epoch(
        data, order, first, last, batch_size, objective, solver, numbers, learners, rates, n_updates, first_averaged,
        room, own, losses,
    ):  # fmt: skip
        """Train on the rows at places ``first`` to ``last`` of the order of an epoch, before which there were
        ``n_updates``; adds the weighted losses to ``losses``, one of every column. What is between two calls of a batch
        is in ``room`` and in the gradient. Penalty and parameter of ``objective`` and the momentum of ``solver`` are
        not looked at."""
        _ = stamp
        begin = first
        while begin < last:
            batch = begin // batch_size
            start = batch * batch_size
            stop = min(start + batch_size, order.shape[0])
            end = min(begin + room.rows.shape[0], stop, last)
            if begin == start:
                room.sums[:] = 0.0
            share = 1.0 / (stop - start)
            add_block(
                data, order, begin, end, share, begin == start, objective, numbers, learners, room, own, losses
            )
            if end == stop:
                for c in range(room.sums.shape[0]):
                    learners.gradient.intercept[c] = share * room.sums[c]
                step_columns(learners, rates, batch, n_updates + batch + 1, numbers, objective, solver)
                if batch >= first_averaged:
                    add_parameters(learners.theta, learners.total)
            begin = end

    return candidates_gradient_epoch
