"""Plain SGD with L2 or no penalty: rows are added to the weights directly, no gradient is formed.

L2 is a scale in front of the weights, so that an update without slope (a fitted hinge) costs one pass over the row.
From batch ``first_averaged`` on, parameters are added to ``total`` after each update; ``engine.sparse_sgd`` does that,
and L1, without touching every weight.
"""

from minibatch.engine.compile import entry, kernel
from minibatch.engine.linear import (
    AHEAD,
    loss_of_output,
    prefetch_place,
    scores_of_four_rows,
    scores_of_row,
    slopes_from_scores,
)
from minibatch.engine.optimizers import shrinkage
from minibatch.engine.rows import add_four_rows, add_row, row_dot

# A scale below this is multiplied into the weights (float32 ends at 1e-38).
SMALLEST_SCALE = 1e-9
# How far ahead batches of one row ask. Measured on 20, 100 and 784 columns: 4 is a sixth faster than 8 at 100.
ONE_ROW_AHEAD = 4


@kernel
def batch_slopes(data, order, start, stop, objective, weights, intercept, scale, scores, losses):
    """Fill ``scores[: stop - start]`` with the slopes of rows ``order[start:stop]`` at ``scale * weights``."""
    X, y, weight, class_weight = data
    r = start
    while r + 4 <= stop:
        i0, i1, i2, i3 = order[r], order[r + 1], order[r + 2], order[r + 3]
        scores_of_four_rows(X, i0, i1, i2, i3, weights, intercept, scale, scores, r - start)
        r += 4
    while r < stop:
        scores_of_row(X, order[r], weights, intercept, scale, scores, r - start)
        r += 1
    for r in range(start, stop):
        prefetch_place(X, y, weight, order, r + max(AHEAD, stop - start))  # its like in the next batch
        slopes_from_scores(order[r], y, weight, class_weight, scores, r - start, objective, losses)


@kernel
def add_batch(X, order, start, stop, scores, factor, row_factor, weights, intercept, fit_intercept):
    """Add the rows times their slopes times ``row_factor`` to the weights, the slopes times ``factor`` to the
    intercepts."""
    for k in range(intercept.shape[0]):
        slope_sum = 0.0
        r = start
        while r + 4 <= stop:
            s0, s1 = scores[r - start, k], scores[r - start + 1, k]
            s2, s3 = scores[r - start + 2, k], scores[r - start + 3, k]
            if s0 != 0.0 or s1 != 0.0 or s2 != 0.0 or s3 != 0.0:
                add_four_rows(
                    X, order[r], order[r + 1], order[r + 2], order[r + 3],
                    row_factor * s0, row_factor * s1, row_factor * s2, row_factor * s3, weights, k,
                )  # fmt: skip
            slope_sum += (s0 + s1) + (s2 + s3)
            r += 4
        while r < stop:
            s = scores[r - start, k]
            if s != 0.0:  # most rows, once a hinge is fitted
                add_row(X, order[r], row_factor * s, weights, k)
            slope_sum += s
            r += 1
        if fit_intercept:
            intercept[k] += factor * slope_sum


@kernel
def rescale(weights, scale):
    for k in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            weights[k, j] *= scale


@kernel
def add_scaled(scale, weights, intercept, total_weights, total_intercept):
    for k in range(intercept.shape[0]):
        total_intercept[k] += intercept[k]
        for j in range(weights.shape[1]):
            total_weights[k, j] += scale * weights[k, j]


@entry
def sgd_epoch(stamp):
    def sgd_epoch(data, order, etas, batch_size, objective, theta, total, first_averaged, scores, losses):
        """Train on ``order`` in batches, as ``gradient_epoch`` with plain SGD; ``scores`` is (batch_size, outputs)."""
        _ = stamp
        X, (weights, intercept), (total_weights, total_intercept) = data.X, theta, total
        scale = 1.0
        for batch in range(etas.shape[0]):
            start = batch * batch_size
            stop = min(start + batch_size, order.shape[0])
            batch_slopes(data, order, start, stop, objective, weights, intercept, scale, scores, losses)
            keep = shrinkage(etas[batch], objective.l2)
            if scale * keep < SMALLEST_SCALE:
                rescale(weights, scale * keep)
                scale = 1.0
            else:
                scale *= keep
            factor = -etas[batch] / (stop - start)
            add_batch(
                X, order, start, stop, scores, factor, factor / scale, weights, intercept, objective.fit_intercept
            )
            if batch >= first_averaged:
                add_scaled(scale, weights, intercept, total_weights, total_intercept)
        rescale(weights, scale)

    return sgd_epoch


@entry
def one_row_epoch(stamp):
    def one_row_epoch(data, order, etas, objective, theta, total, first_averaged, losses):
        """``sgd_epoch`` for batches of one row and one output: loss, intercept and scale stay in registers."""
        _ = stamp
        (X, y, weight, class_weight), weights, total_weights = data, theta.weights, total.weights
        loss, scale, intercept = 0.0, 1.0, float(theta.intercept[0])
        for r in range(etas.shape[0]):
            prefetch_place(X, y, weight, order, r + ONE_ROW_AHEAD)
            i, eta = order[r], etas[r]
            z = scale * row_dot(X, i, weights, 0) + intercept
            value, slope = loss_of_output(i, 0, z, y, weight, class_weight, objective)
            loss += value
            scale *= shrinkage(eta, objective.l2)
            if scale < SMALLEST_SCALE:
                rescale(weights, scale)
                scale = 1.0
            if slope != 0.0:
                add_row(X, i, -eta * slope / scale, weights, 0)
                if objective.fit_intercept:
                    intercept -= eta * slope
            if r >= first_averaged:
                total.intercept[0] += intercept
                for j in range(weights.shape[1]):
                    total_weights[0, j] += scale * weights[0, j]
        rescale(weights, scale)
        theta.intercept[0] = intercept
        losses[0] += loss

    return one_row_epoch
