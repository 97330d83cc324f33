"""SVRG and SAGA on sparse rows, at the cost of the stored values alone.

An update moves every weight (``engine.variance_reduced``), but one whose column is not in the batch in a way known in
advance: by ``g``, which stays as it is there, by L2 and by the soft threshold. It is left as it was, and *settled* when
its column next turns up.

Weights are ``scale`` times the stored ``v``. With ``U[i]`` the rates up to update ``i`` in units of ``v`` (the sum of
``eta / scale``), ``v`` moves against ``g + l1 sign(v)`` by the difference of ``U``: in a straight line, until it
reaches 0. There it stays where ``|g| <= l1``, and else goes on in the other direction. The one update in which it
arrives is made as it is written; a binary search finds it.

``i`` counts within a window; at its end all columns are settled, and the scale becomes 1 again.
"""

import numpy as np

from minibatch.engine.compile import entry, kernel
from minibatch.engine.optimizers import shrinkage, soft_threshold
from minibatch.engine.row_blocks import add_rows
from minibatch.engine.sgd import rescale
from minibatch.engine.sparse_sgd import SMALLEST_LAZY_SCALE, WINDOW, last_update_below
from minibatch.engine.variance_reduced import changes_of_slopes, move_intercept

__all__ = ["moved_to_update", "settle_columns", "settle_rows", "sparse_variance_reduced_epoch"]


@kernel
def moved_to_update(v, g, l1, last, m, U):
    """A weight after update ``m`` that was ``v`` after update ``last``, of a column that was in no batch since."""
    if last == m:
        return v
    if l1 == 0.0:
        return v - (U[m] - U[last]) * g
    if v == 0.0:
        return -(U[m] - U[last]) * soft_threshold(g, l1, 0.0)
    side = 1.0 if v > 0.0 else -1.0
    size, g = side * v, side * g
    pull = g + l1
    if size - (U[m] - U[last]) * pull > 0.0:
        return side * (size - (U[m] - U[last]) * pull)
    before = last_update_below(U, U[last] + size / pull, last, m)
    step = U[before + 1] - U[before]
    arrived = soft_threshold(size - (U[before] - U[last]) * pull - step * g, step * l1, 0.0)
    return side * (arrived - (U[m] - U[before + 1]) * max(0.0, g - l1))


@kernel
def settle_rows(X, order, start, stop, v, mean, last, m, U, l1):
    """Bring the columns of some rows up to date with update ``m``."""
    for k in range(v.shape[0]):
        for r in range(start, stop):
            for p in range(np.uintp(X.indptr[order[r]]), np.uintp(X.indptr[order[r] + 1])):
                j = np.uintp(X.indices[p])
                if last[k, j] != m:
                    v[k, j] = moved_to_update(float(v[k, j]), float(mean[k, j]), l1, last[k, j], m, U)
                    last[k, j] = m


@kernel
def settle_columns(v, mean, last, m, scale, U, l1):
    """Settle every column, multiply the scale into the weights, begin a new window."""
    for k in range(v.shape[0]):
        for j in range(v.shape[1]):
            v[k, j] = scale * moved_to_update(float(v[k, j]), float(mean[k, j]), l1, last[k, j], m, U)
            last[k, j] = 0


@entry
def sparse_variance_reduced_epoch(stamp):
    def sparse_variance_reduced_epoch(
        data, order, etas, batch_size, n_rows, objective, theta, mean, memory, follow, scores, losses, last, U
    ):
        """``variance_reduced_epoch`` on CSR rows. ``last`` (outputs, features) are zeros, and ``U`` has ``WINDOW + 1``
        numbers."""
        _ = stamp
        X, (v, intercept), (g, g_intercept), l1 = data.X, theta, mean, objective.l1
        scale, m, of_all = 1.0, 0, 1.0 / n_rows if follow else 0.0
        U[0] = 0.0
        for batch in range(etas.shape[0]):
            start, eta = batch * batch_size, etas[batch]
            stop = min(start + batch_size, order.shape[0])
            keep = shrinkage(eta, objective.l2)
            if m == WINDOW or scale * keep < SMALLEST_LAZY_SCALE:
                settle_columns(v, g, last, m, scale, U, l1)
                scale, m = 1.0, 0
            settle_rows(X, order, start, stop, v, g, last, m, U, l1)
            changes_of_slopes(data, order, start, stop, objective, theta, scale, memory, follow, scores, losses)
            if keep < SMALLEST_LAZY_SCALE:  # all columns are settled and the scale is 1
                rescale(v, keep)
            else:
                scale *= keep
            m += 1
            U[m] = U[m - 1] + eta / scale
            n_batch = stop - start
            for k in range(scores.shape[1]):
                change = add_rows(X, order, start, stop, scores, k, -eta / (scale * n_batch), v)
                move_intercept(k, change, eta, n_batch, of_all, objective.fit_intercept, intercept, g_intercept)
            settle_rows(X, order, start, stop, v, g, last, m, U, l1)
            if follow:
                for k in range(scores.shape[1]):
                    add_rows(X, order, start, stop, scores, k, of_all, g)
        settle_columns(v, g, last, m, scale, U, l1)

    return sparse_variance_reduced_epoch
