"""SVRG and SAGA: steps along slopes less those that are remembered, whose mean over all rows is known.

The gradient of a linear model's row is its slope times the row, so what a method remembers of a row is one number an
output. With ``r_i`` the remembered slope of row ``i`` and ``g = 1/n sum_i r_i (x_i, 1)``, an update with batch ``B`` is

    w <- prox( w - eta ( 1/|B| sum_{i in B} (s_i(w) - r_i) (x_i, 1) + g + l2 w ) )

where the proximal step is the soft threshold at ``eta l1`` (intercepts have neither penalty). The mean over all batches
is the gradient, and at the optimum every single step is 0: no noise is left that a smaller rate would have to remove.

SVRG (Johnson & Zhang, NIPS 2013) remembers all slopes at one point, anew for every epoch; SAGA (Defazio, Bach &
Lacoste-Julien, NIPS 2014, arXiv 1407.0202) replaces those of a batch by the new ones, and moves ``g`` along.
"""

from minibatch.engine.compile import entry, joining, kernel
from minibatch.engine.linear import ROWS_PER_SUM, add_parameters, slopes_from_scores
from minibatch.engine.optimizers import shrinkage, soft_threshold
from minibatch.engine.row_blocks import add_rows, places_ahead, row_at, scores_of_rows
from minibatch.engine.rows import prefetch

__all__ = [
    "changes_of_slopes", "memory_of_slopes", "move_by_batch", "move_intercept", "move_weights",
    "variance_reduced_epoch",
]  # fmt: skip


@joining
def changes_of_slopes(data, order, start, stop, objective, theta, scale, memory, follow, scores, losses):
    """Fill ``scores[: stop - start]`` with the slopes of rows ``order[start:stop]`` at ``scale * weights`` less those
    in ``memory`` (rows of X, outputs), which the new ones replace where it is to ``follow``."""
    _, y, weight, class_weight = data
    scores_of_rows(objective.outputs, data, order, start, stop, theta.weights, theta.intercept, scale, scores)
    slopes_from_scores(objective.outputs, order, start, stop, y, weight, class_weight, scores, objective, losses)
    for r in range(start, stop):
        prefetch(memory, row_at(order, r + places_ahead(scores)) * memory.shape[1])
        for k in range(scores.shape[1]):
            slope, before = scores[r - start, k], memory[order[r], k]
            scores[r - start, k] = slope - before
            if follow:
                memory[order[r], k] = slope


@kernel
def move_intercept(k, change, eta, n_batch, of_all, fit_intercept, intercept, mean):
    """The update of one intercept; ``change`` is the sum over the batch."""
    if fit_intercept:
        intercept[k] -= eta * (change / n_batch + mean[k])
    mean[k] += of_all * change


@kernel
def move_weights(w, grad, mean, eta, of_batch, of_all, l1, l2):
    """The update of the weights of one output: ``of_batch`` times ``grad`` is the change of the batch's mean gradient,
    ``of_all`` times that of ``mean``."""
    real = w.dtype.type
    keep, zero, threshold, eta = real(shrinkage(eta, l2)), real(0), real(eta * l1), real(eta)
    of_batch, of_all = real(of_batch), real(of_all)
    for j in range(w.shape[0]):
        w[j] = soft_threshold(keep * w[j] - eta * (of_batch * grad[j] + mean[j]), threshold, zero)
        mean[j] += of_all * grad[j]


@kernel
def move_by_batch(data, order, start, stop, n_rows, eta, objective, theta, mean, grad, memory, follow, scores, losses):
    """The update with rows ``order[start:stop]``; a single one is its own gradient, times its slope."""
    changes_of_slopes(data, order, start, stop, objective, theta, 1.0, memory, follow, scores, losses)
    n_batch, of_all, l1, l2 = stop - start, 1.0 / n_rows if follow else 0.0, objective.l1, objective.l2
    for k in range(scores.shape[1]):
        w, g, change = theta.weights[k], mean.weights[k], scores[0, k]
        if n_batch == 1:
            move_weights(w, data.X[order[start]], g, eta, change, of_all * change, l1, l2)
        else:
            grad[k] = 0.0
            change = add_rows(data.X, order, start, stop, scores, k, 1.0, grad)
            move_weights(w, grad[k], g, eta, 1.0 / n_batch, of_all, l1, l2)
        move_intercept(k, change, eta, n_batch, of_all, objective.fit_intercept, theta.intercept, mean.intercept)


@entry
def variance_reduced_epoch(stamp):
    def variance_reduced_epoch(
        data, order, etas, batch_size, n_rows, objective, theta, mean, grad, memory, follow, scores, losses
    ):
        """Train on dense rows in batches, with the memory of all ``n_rows`` that are trained on; ``mean`` are the
        parameters' ``g``. ``grad`` (outputs, features) and ``scores`` (batch_size, outputs) are buffers."""
        _ = stamp
        for batch in range(etas.shape[0]):
            start = batch * batch_size
            stop = min(start + batch_size, order.shape[0])
            move_by_batch(
                data, order, start, stop, n_rows, etas[batch], objective, theta, mean, grad, memory, follow, scores,
                losses,
            )  # fmt: skip

    return variance_reduced_epoch


@entry
def memory_of_slopes(stamp):
    def memory_of_slopes(data, order, objective, theta, memory, part, total, scores, losses):
        """Remember the slopes of the rows in ``order``, and add the gradient of their summed losses to ``total``
        (float64). ``part`` is a buffer like ``theta``."""
        _ = stamp
        _, y, weight, class_weight = data
        for begin in range(0, order.shape[0], ROWS_PER_SUM):
            part.weights[:] = 0.0
            part.intercept[:] = 0.0
            end = min(begin + ROWS_PER_SUM, order.shape[0])
            for start in range(begin, end, scores.shape[0]):
                stop = min(start + scores.shape[0], end)
                scores_of_rows(objective.outputs, data, order, start, stop, theta.weights, theta.intercept, 1.0, scores)
                slopes_from_scores(
                    objective.outputs, order, start, stop, y, weight, class_weight, scores, objective, losses
                )
                for k in range(scores.shape[1]):
                    for r in range(start, stop):
                        memory[order[r], k] = scores[r - start, k]
                    part.intercept[k] += add_rows(data.X, order, start, stop, scores, k, 1.0, part.weights)
            add_parameters(part, total)

    return memory_of_slopes
