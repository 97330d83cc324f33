"""Linear models: slopes and gradients of any number of outputs, and the epoch of every solver. Scores: ``row_blocks``.

Conventions: ``scores = X @ weights.T + intercept``, one column an output; ``slopes`` are the derivatives of the
weighted losses in the scores and take their place in the same buffer. A batch's gradient is the mean over its rows.
Scores, losses and slopes are float64 whatever the type of X; sums over columns stay in the type of X (SIMD).

``gradient_epoch`` is the textbook loop. ``engine.sgd`` and ``engine.sparse_sgd`` give the same model faster where the
solver is plain SGD; ``chunk_gradient`` with ``updates.apply_step`` serve batches so large that threads share them.
"""

from typing import Any, NamedTuple

import numpy as np

from minibatch.engine.compile import entry, joining, kernel
from minibatch.engine.lanes import LANES, lanes
from minibatch.engine.losses import softmax_loss_and_slopes
from minibatch.engine.optimizers import Step
from minibatch.engine.row_blocks import add_rows, add_rows_to_two, scores_of_rows
from minibatch.engine.row_losses import tilted, weighted_loss_and_step
from minibatch.engine.updates import update

__all__ = [
    "CLASSES_AT_ONCE", "ONE_VS_REST", "ROWS_PER_SUM", "SEPARATE", "SOFTMAX", "Data", "Objective", "Parameters",
    "Solver", "add_batch", "add_gradient", "add_parameters", "batch_slopes", "chunk_gradient", "gradient_epoch",
    "loss_of_output", "losses_of_scores", "note_parameters", "one_vs_rest_slopes", "slopes_from_scores",
    "slopes_of_output", "softmax_slopes", "target_of_output",
]  # fmt: skip

# How the outputs read the target: a column of y each; class k against the rest; or all together through a softmax. As
# codes of losses are, these are tuples: Numba compiles a softmax only where there is one, and then nothing else. It
# drops a branch on the length of a tuple where that is an argument of the function, not where it is a field of one.
SEPARATE, ONE_VS_REST, SOFTMAX = (0,), (0, 0), ()

# From so many classes on, those of a row fill SIMD code better than rows do.
CLASSES_AT_ONCE = 4
# A float32 sum is carried to float64 after so many rows.
ROWS_PER_SUM = 1024


class Data(NamedTuple):
    """What is trained on. ``y`` is (n, columns) in the type of X; ``weight`` is (n,), empty where all are 1;
    ``class_weight`` is (2, outputs): what a row of the rest and a row of the class weigh in its one-vs-rest problem."""

    X: Any  # an array or a CSR
    y: np.ndarray
    weight: np.ndarray
    class_weight: np.ndarray


class Parameters(NamedTuple):
    """Weights (outputs, features) and intercepts (outputs,), or anything of their shape: gradients, slots, sums."""

    weights: np.ndarray
    intercept: np.ndarray


class Objective(NamedTuple):
    """``first_output`` is the number of the first row of weights, where only some outputs are trained here.

    Where they are not empty, ``tilt`` is the slope of a linear term in the intercept, and ``passive`` is what
    passive-aggressive steps need: a number for every row of X, and the largest part of a step. As codes of losses are,
    these are tuples: what few models need is compiled for them alone.
    """

    loss: tuple[int, ...]
    parameter: float
    outputs: tuple[int, ...]
    first_output: int
    l1: float
    l2: float
    fit_intercept: bool
    tilt: tuple[float, ...] = ()
    passive: tuple[Any, ...] = ()


class Solver(NamedTuple):
    kind: int
    momentum: float
    beta_1: float
    beta_2: float
    epsilon: float


@kernel
def target_of_output(row, k, y, weight, class_weight, objective):
    """What output ``k`` (not of a softmax) is to give for a row, and what the row weighs."""
    output = objective.first_output + k
    s = weight[row] if weight.shape[0] > 0 else 1.0
    if len(objective.outputs) == 2:  # one against the rest
        own = np.int64(y[row, 0]) == output
        return (1.0 if own else -1.0), s * class_weight[1 if own else 0, output]
    return float(y[row, output]), float(s)


@kernel
def loss_of_output(row, k, z, y, weight, class_weight, objective):
    """Weighted loss and slope of output ``k`` (not of a softmax) for a row with score ``z``."""
    target, s = target_of_output(row, k, y, weight, class_weight, objective)
    return weighted_loss_and_step(objective.loss, z, target, s, objective.parameter, objective.passive, row)


@kernel
def softmax_slopes(row, y, weight, scores, r):
    """Turn ``scores[r]``, the scores of a row, into weighted slopes; returns the weighted loss."""
    value = softmax_loss_and_slopes(scores, r, np.int64(y[row, 0]))
    if weight.shape[0] > 0:
        s = weight[row]
        value = s * value if s != 0.0 else 0.0
        for k in range(scores.shape[1]):
            scores[r, k] = s * scores[r, k] if s != 0.0 else 0.0
    return value


@kernel
def slopes_of_output(loss, k, order, start, stop, y, weight, class_weight, scores, objective):
    """Turn scores of one output into slopes; returns the sum of the losses."""
    targets, weights, slopes, total = lanes(), lanes(), lanes(), 0.0
    for begin in range(start, stop, LANES):
        n = min(LANES, stop - begin)
        for q in range(n):
            targets[q], weights[q] = target_of_output(order[begin + q], k, y, weight, class_weight, objective)
            slopes[q] = scores[begin - start + q, k]
        for q in range(n):
            value, slopes[q] = weighted_loss_and_step(
                loss, slopes[q], targets[q], weights[q], objective.parameter, objective.passive, order[begin + q]
            )
            total += value
        for q in range(n):
            scores[begin - start + q, k] = slopes[q]
    return total


@kernel
def one_vs_rest_slopes(loss, row, y, weight, class_weight, scores, r, objective, losses):
    """Turn ``scores[r]``, the scores of a row, into weighted slopes of classes against the rest; add their losses."""
    first = np.uintp(objective.first_output)  # unsigned, see ``engine.rows``
    own, s = np.int64(y[row, 0]) - objective.first_output, (weight[row] if weight.shape[0] > 0 else 1.0)
    for k in range(scores.shape[1]):
        target = 1.0 if k == own else -1.0
        of_rest, of_class = class_weight[0, first + np.uintp(k)], class_weight[1, first + np.uintp(k)]
        t = s * (of_class if k == own else of_rest)
        value, scores[r, k] = weighted_loss_and_step(
            loss, scores[r, k], target, t, objective.parameter, objective.passive, row
        )
        losses[k] += value


@joining
def slopes_from_scores(outputs, order, start, stop, y, weight, class_weight, scores, objective, losses):
    """Turn ``scores[: stop - start]``, the scores of rows ``order[start:stop]``, into weighted slopes; add their
    weighted losses to ``losses``. ``outputs`` are those of the objective."""
    if len(outputs) == 0:  # a softmax
        for r in range(start, stop):
            losses[0] += softmax_slopes(order[r], y, weight, scores, r - start)
        return
    loss = objective.loss
    if len(outputs) == 2:  # one against the rest
        if scores.shape[1] >= CLASSES_AT_ONCE:
            for r in range(start, stop):
                one_vs_rest_slopes(loss, order[r], y, weight, class_weight, scores, r - start, objective, losses)
            return
    for k in range(scores.shape[1]):
        losses[k] += slopes_of_output(loss, k, order, start, stop, y, weight, class_weight, scores, objective)


@joining
def batch_slopes(data, order, start, stop, objective, weights, intercept, scale, scores, losses):
    """Fill ``scores[: stop - start]`` with the slopes of rows ``order[start:stop]`` at ``scale * weights``."""
    _, y, weight, class_weight = data
    scores_of_rows(objective.outputs, data, order, start, stop, weights, intercept, scale, scores)
    slopes_from_scores(objective.outputs, order, start, stop, y, weight, class_weight, scores, objective, losses)


@joining
def add_batch(outputs, X, order, start, stop, scores, factor, row_factor, weights, intercept, objective):
    """Add the rows times their slopes times ``row_factor`` to the weights, the slopes times ``factor`` to the
    intercepts. ``outputs`` are those of the objective: pairs of separate ones, of which there mostly is one, are not
    compiled."""
    done = 0
    if len(outputs) != 1:
        done = intercept.shape[0] - intercept.shape[0] % 2
        for k in range(0, done, 2):
            of_first, of_second = add_rows_to_two(X, order, start, stop, scores, k, row_factor, weights)
            if objective.fit_intercept:
                intercept[k] += factor * tilted(objective.tilt, of_first, stop - start)
                intercept[k + 1] += factor * tilted(objective.tilt, of_second, stop - start)
    for k in range(done, intercept.shape[0]):
        slope_sum = add_rows(X, order, start, stop, scores, k, row_factor, weights)
        if objective.fit_intercept:
            intercept[k] += factor * tilted(objective.tilt, slope_sum, stop - start)


@joining
def add_gradient(data, order, start, stop, objective, theta, factor, grad, scores, losses):
    """Add ``factor`` times the gradient of the summed losses of rows ``order[start:stop]`` to ``grad``.

    One pass: a block of as many rows as ``scores`` has is scored and added while it is in the cache.
    """
    (weights, intercept), (of_weights, of_intercept) = theta, grad
    for begin in range(start, stop, scores.shape[0]):
        end = min(begin + scores.shape[0], stop)
        batch_slopes(data, order, begin, end, objective, weights, intercept, 1.0, scores, losses)
        add_batch(
            objective.outputs, data.X, order, begin, end, scores, factor, factor, of_weights, of_intercept, objective
        )


@kernel
def add_parameters(theta, total):
    (weights, intercept), (total_weights, total_intercept) = theta, total
    for k in range(intercept.shape[0]):
        total_intercept[k] += intercept[k]
        for j in range(weights.shape[1]):
            total_weights[k, j] += weights[k, j]


@kernel
def note_parameters(theta, objective, thetas, e):
    """Write the parameters at the end of epoch ``e`` into a flat vector, where ``thetas`` has one for it."""
    (weights, intercept), first = theta, objective.first_output
    if e < thetas.shape[0]:
        n_columns = weights.shape[1]
        n_weights = thetas.shape[1] // (n_columns + 1) * n_columns
        for k in range(intercept.shape[0]):
            thetas[e, n_weights + first + k] = intercept[k]
            for j in range(n_columns):
                thetas[e, (first + k) * n_columns + j] = weights[k, j]


@entry
def gradient_epoch(stamp):
    def gradient_epoch(
        data, orders, etas, shares, batch_size, objective, solver, theta, grad, first, second, scalars, n_updates,
        total, first_averaged, scores, losses, thetas,
    ):  # fmt: skip
        """Train on each of ``orders`` in batches with any solver; adds the weighted losses of the outputs in an epoch
        to ``losses`` (epochs, outputs), and writes the parameters at its end into ``thetas``, if that has rows.

        ``etas`` and ``shares`` (epochs, batches) hold the rate and the share of each batch, ``n_updates`` counts the
        earlier updates. From batch ``first_averaged`` of an epoch on, parameters are added to ``total`` after each
        update.
        """
        _ = stamp
        t, n = n_updates, orders.shape[1]
        for e in range(orders.shape[0]):
            for batch in range(etas.shape[1]):
                start, t = batch * batch_size, t + 1
                stop = min(start + batch_size, n)
                grad.weights[:] = 0.0
                grad.intercept[:] = 0.0
                factor = 1.0 / (stop - start)
                add_gradient(data, orders[e], start, stop, objective, theta, factor, grad, scores, losses[e])
                update(
                    theta, grad, first, second, scalars, Step(t, etas[e, batch], shares[e, batch]), objective, solver
                )
                if batch >= first_averaged:
                    add_parameters(theta, total)
            note_parameters(theta, objective, thetas, e)

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
        """Add the weighted losses of the rows ``order`` to ``losses``; ``scores``, theirs, become slopes."""
        _ = stamp
        (_, y, weight, class_weight), n = data, order.shape[0]
        slopes_from_scores(objective.outputs, order, 0, n, y, weight, class_weight, scores, objective, losses)

    return losses_of_scores
