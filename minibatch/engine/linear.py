"""Linear models with any number of outputs: scores, slopes, gradients, and the epoch of every solver.

Conventions: ``scores = X @ weights.T + intercept``, one column an output; ``slopes`` are the derivatives of the
weighted losses in the scores and take their place in the same buffer. A batch's gradient is the mean over its rows.
Scores, losses and slopes are float64 whatever the type of X; sums over columns stay in the type of X (SIMD).

``gradient_epoch`` is the textbook loop. ``engine.sgd`` and ``engine.sparse_sgd`` give the same model faster where the
solver is plain SGD; ``chunk_gradient`` with ``apply_step`` serve batches so large that threads share them.
"""

from math import copysign, inf
from typing import Any, NamedTuple

import numpy as np

from minibatch.engine.compile import entry, kernel
from minibatch.engine.losses import MAX_SLOPE, loss_and_slope, softmax_loss_and_slopes
from minibatch.engine.optimizers import SGD, bias_corrections, shrinkage, take_step
from minibatch.engine.rows import add_four_rows, add_row, four_row_dots, prefetch, prefetch_row, row_dot

# How the outputs read the target: a column of y each; class k against the rest; or all together through a softmax.
SEPARATE, ONE_VS_REST, SOFTMAX = range(3)

# Rows are asked for this far ahead of their use; farther than two blocks of four, nearer than the cache forgets.
# Measured: a shuffled epoch on 500,000 x 20 float64 takes 25 ms with, 65 ms without.
AHEAD = 8
# A float32 sum is carried to float64 after so many rows.
ROWS_PER_SUM = 1024


class Data(NamedTuple):
    """What is trained on. ``y`` is (n, columns) in the type of X; ``weight`` is (n,), empty where all are 1;
    ``class_weight`` is (outputs, 2): what a row of the rest and a row of the class weigh in its one-vs-rest problem."""

    X: Any  # an array or a CSR
    y: np.ndarray
    weight: np.ndarray
    class_weight: np.ndarray


class Parameters(NamedTuple):
    """Weights (outputs, features) and intercepts (outputs,), or anything of their shape: gradients, slots, sums."""

    weights: np.ndarray
    intercept: np.ndarray


class Objective(NamedTuple):
    """``first_output`` is the number of the first row of weights, where only some outputs are trained here."""

    loss: int
    parameter: float
    outputs: int
    first_output: int
    l1: float
    l2: float
    fit_intercept: bool


class Solver(NamedTuple):
    kind: int
    momentum: float
    beta_1: float
    beta_2: float
    epsilon: float


@kernel
def loss_of_output(row, k, z, y, weight, class_weight, objective):
    """Weighted loss and slope of output ``k`` (not of a softmax) for a row with score ``z``."""
    output = objective.first_output + k
    s = weight[row] if weight.shape[0] > 0 else 1.0
    if objective.outputs == ONE_VS_REST:
        own = int(y[row, 0]) == output
        target = 1.0 if own else -1.0
        s *= class_weight[output, 1 if own else 0]
    else:
        target = float(y[row, output])
    if s == 0.0:  # a row without weight is no row, whatever its loss
        return 0.0, 0.0
    value, slope = loss_and_slope(objective.loss, z, target, objective.parameter)
    if abs(slope) > MAX_SLOPE:
        value, slope = inf, copysign(MAX_SLOPE, slope)
    return s * value, s * slope


@kernel
def slopes_from_scores(row, y, weight, class_weight, scores, r, objective, losses):
    """Turn ``scores[r]``, the scores of a row, into weighted slopes; add its weighted losses to ``losses``."""
    if objective.outputs == SOFTMAX:
        value = softmax_loss_and_slopes(scores, r, int(y[row, 0]))
        if weight.shape[0] > 0:
            s = weight[row]
            value = s * value if s != 0.0 else 0.0
            for k in range(scores.shape[1]):
                scores[r, k] = s * scores[r, k] if s != 0.0 else 0.0
        losses[0] += value
        return
    for k in range(scores.shape[1]):
        value, slope = loss_of_output(row, k, scores[r, k], y, weight, class_weight, objective)
        losses[k] += value
        scores[r, k] = slope


@kernel
def scores_of_row(X, i, weights, intercept, scale, scores, r):
    """Fill ``scores[r]``."""
    for k in range(scores.shape[1]):
        scores[r, k] = scale * row_dot(X, i, weights, k) + intercept[k]


@kernel
def scores_of_four_rows(X, i0, i1, i2, i3, weights, intercept, scale, scores, r):
    """Fill ``scores[r : r + 4]``."""
    for k in range(scores.shape[1]):
        d0, d1, d2, d3 = four_row_dots(X, i0, i1, i2, i3, weights, k)
        b = intercept[k]
        scores[r, k] = scale * d0 + b
        scores[r + 1, k] = scale * d1 + b
        scores[r + 2, k] = scale * d2 + b
        scores[r + 3, k] = scale * d3 + b


@kernel
def prefetch_place(X, y, weight, order, r):
    """Ask for the row at place ``r`` of the order, or the last."""
    i = order[min(r, order.shape[0] - 1)]
    prefetch_row(X, i)
    prefetch(y, i * y.shape[1])
    if weight.shape[0] > 0:
        prefetch(weight, i)


@kernel
def add_gradient(data, order, start, stop, objective, theta, factor, grad, scores, losses):
    """Add ``factor`` times the gradient of the summed losses of rows ``order[start:stop]`` to ``grad``.

    One pass: four rows are scored and added while they are in the cache. ``scores`` is a (4, outputs) buffer.
    """
    (X, y, weight, class_weight), (weights, intercept), (grad_weights, grad_intercept) = data, theta, grad
    n_outputs = scores.shape[1]
    r = start
    while r + 4 <= stop:
        i0, i1, i2, i3 = order[r], order[r + 1], order[r + 2], order[r + 3]
        scores_of_four_rows(X, i0, i1, i2, i3, weights, intercept, 1.0, scores, 0)
        for q in range(4):
            prefetch_place(X, y, weight, order, r + q + AHEAD)  # spread out: the queue of loads is short
            slopes_from_scores(order[r + q], y, weight, class_weight, scores, q, objective, losses)
        for k in range(n_outputs):
            a0, a1, a2, a3 = factor * scores[0, k], factor * scores[1, k], factor * scores[2, k], factor * scores[3, k]
            add_four_rows(X, i0, i1, i2, i3, a0, a1, a2, a3, grad_weights, k)
            grad_intercept[k] += (a0 + a1) + (a2 + a3)
        r += 4
    while r < stop:
        prefetch_place(X, y, weight, order, r + AHEAD)
        i = order[r]
        scores_of_row(X, i, weights, intercept, 1.0, scores, 0)
        slopes_from_scores(i, y, weight, class_weight, scores, 0, objective, losses)
        for k in range(n_outputs):
            a = factor * scores[0, k]
            add_row(X, i, a, grad_weights, k)
            grad_intercept[k] += a
        r += 1


@kernel
def update(theta, grad, first, second, t, eta, objective, solver):
    """Update number ``t`` of all parameters; intercepts are not penalised."""
    kind, momentum, beta_1, beta_2, epsilon = solver
    c1, c2 = bias_corrections(t, beta_1, beta_2)
    l1, l2 = objective.l1, objective.l2
    for k in range(theta.weights.shape[0]):
        due = 0.0
        if kind == SGD and l1 > 0.0:  # kept in the slot of the intercept, which is not penalised
            due = first.intercept[k] = shrinkage(eta, l2) * first.intercept[k] + eta * l1
        w, g, m, v = theta.weights[k], grad.weights[k], first.weights[k], second.weights[k]
        take_step(kind, w, g, m, v, eta, l1, l2, due, momentum, beta_1, beta_2, c1, c2, epsilon)
        if objective.fit_intercept:  # one by one: SIMD rounds otherwise, and threads share the outputs out
            w, g = theta.intercept[k : k + 1], grad.intercept[k : k + 1]
            m, v = first.intercept[k : k + 1], second.intercept[k : k + 1]
            take_step(kind, w, g, m, v, eta, 0.0, 0.0, 0.0, momentum, beta_1, beta_2, c1, c2, epsilon)


@kernel
def add_parameters(theta, total):
    (weights, intercept), (total_weights, total_intercept) = theta, total
    for k in range(intercept.shape[0]):
        total_intercept[k] += intercept[k]
        for j in range(weights.shape[1]):
            total_weights[k, j] += weights[k, j]


@entry
def gradient_epoch(stamp):
    def gradient_epoch(
        data, order, etas, batch_size, objective, solver, theta, grad, first, second, n_updates, total, first_averaged,
        scores, losses,
    ):  # fmt: skip
        """Train on ``order`` in batches with any solver; adds the weighted losses of the outputs to ``losses``.

        ``etas`` holds the rate of each batch, ``n_updates`` counts the earlier updates. From batch ``first_averaged``
        on, parameters are added to ``total`` after each update.
        """
        _ = stamp
        for batch in range(etas.shape[0]):
            start = batch * batch_size
            stop = min(start + batch_size, order.shape[0])
            grad.weights[:] = 0.0
            grad.intercept[:] = 0.0
            add_gradient(data, order, start, stop, objective, theta, 1.0 / (stop - start), grad, scores, losses)
            update(theta, grad, first, second, n_updates + batch + 1, etas[batch], objective, solver)
            if batch >= first_averaged:
                add_parameters(theta, total)

    return gradient_epoch


@entry
def chunk_gradient(stamp):
    def chunk_gradient(data, order, start, stop, objective, theta, part, total, scores, losses):
        """Add the gradient of the summed losses of ``order[start:stop]`` to ``total`` (float64), and the losses."""
        _ = stamp
        for begin in range(start, stop, ROWS_PER_SUM):
            part.weights[:] = 0.0
            part.intercept[:] = 0.0
            end = min(begin + ROWS_PER_SUM, stop)
            add_gradient(data, order, begin, end, objective, theta, 1.0, part, scores, losses)
            add_parameters(part, total)

    return chunk_gradient


@entry
def losses_of_scores(stamp):
    def losses_of_scores(data, order, objective, scores, losses):
        """Add the weighted losses of the rows ``order`` to ``losses``; ``scores``, those of all rows, are used up."""
        _ = stamp
        for r in range(order.shape[0]):
            i = order[r]
            slopes_from_scores(i, data.y, data.weight, data.class_weight, scores, i, objective, losses)

    return losses_of_scores


@entry
def apply_step(stamp):
    def apply_step(theta, grad, first, second, t, eta, objective, solver):
        """Update number ``t`` with a given gradient."""
        _ = stamp
        update(theta, grad, first, second, t, eta, objective, solver)

    return apply_step
