"""Plain SGD on sparse rows with L1, elastic net or averaging, at the cost of the stored values alone.

An update moves every weight (it shrinks, it is thresholded, it enters the average), but a weight whose column is not
in the batch moves in a way known in advance. It is left as it was and *settled* when its column next turns up.

Weights are ``scale`` times the stored ``v``. With ``P[i]`` the scale after ``i`` updates, ``U[i]`` the L1 penalty that
has fallen due up to there, in units of ``v`` (the sum of ``eta l1 / P``), and ``r`` what the weight has received of it
(against its sign; see ``engine.optimizers``), soft thresholds compose to

    |w| after update i = P[i] max(0, |v| - (U[i] + sign(v) r)).

With ``S`` and ``Q`` the sums of ``P`` and ``P U`` over the updates that are averaged, a column last settled after
update ``a`` contributes

    sum of |w| over a < i <= m = (|v| - sign(v) r) (S[m] - S[a]) - (Q[m] - Q[a])        (as long as it is not 0)

to the average. So settling costs a few operations, and a binary search in ``U`` where the weight reached 0 in between.
``i`` counts within a window; at its end all columns are settled, and the scale becomes 1 again.
"""

from math import copysign

import numpy as np

from minibatch.engine.compile import entry, kernel
from minibatch.engine.linear import add_batch, batch_slopes
from minibatch.engine.optimizers import shrinkage, soft_threshold
from minibatch.engine.sgd import rescale

__all__ = ["SMALLEST_LAZY_SCALE", "WINDOW", "last_update_below", "lazy_sgd_epoch", "settle", "settle_all"]

# The scale at which a window ends early: ``U`` grows as it falls, and the sums lose the digits.
SMALLEST_LAZY_SCALE = 1e-4
# Updates in a window. Settling all columns costs a pass over the weights, so windows are long; ``U`` fits into L1.
WINDOW = 4096


@kernel
def last_update_below(U, threshold, low, high):
    """The last of the updates ``low`` to ``high`` with ``U`` below ``threshold``, or ``low``: binary search."""
    while high - low > 1:
        middle = (low + high) // 2
        if U[middle] < threshold:
            low = middle
        else:
            high = middle
    return low


@kernel
def settle(v, received, last, total, k, j, m, U, S, Q):
    """Bring column ``j`` of output ``k`` up to date with update ``m``."""
    value = v[k, j]
    credit = copysign(received[k, j], value * received[k, j])
    v[k, j] = soft_threshold(value, U[m] + credit, 0.0)
    received[k, j] += v[k, j] - value
    if total.shape[1] > 0:
        a = last[k, j]
        last[k, j] = m
        if value != 0.0 and a < m:
            size = abs(value) - credit
            end = m if v[k, j] != 0.0 else last_update_below(U, size, a, m)
            total[k, j] += copysign(size * (S[end] - S[a]) - (Q[end] - Q[a]), value)


@kernel
def settle_all(weights, received, last, total, m, scale, U, S, Q):
    """Settle every column, multiply the scale into the weights and what they have received, begin a new window."""
    for k in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            settle(weights, received, last, total, k, np.uintp(j), m, U, S, Q)
            weights[k, j] *= scale
            received[k, j] *= scale
            if total.shape[1] > 0:
                last[k, j] = 0
    U[0] = U[m] * scale


@entry
def lazy_sgd_epoch(stamp):
    def lazy_sgd_epoch(
        data, order, etas, batch_size, objective, theta, slot, total, first_averaged, scores, losses, last, U, S, Q
    ):
        """Train on CSR rows; as ``gradient_epoch`` with plain SGD and L1 or averaging.

        ``total`` and ``last`` have no columns where nothing is averaged; ``U``, ``S`` and ``Q`` have ``WINDOW + 1``
        zeros. ``slot`` is the solver's first.
        """
        _ = stamp
        X, (weights, intercept), (total_weights, total_intercept) = data.X, theta, total
        columns, indptr, n_outputs, received = X.indices, X.indptr, weights.shape[0], slot.weights
        scale, m = 1.0, 0
        U[0] = slot.intercept[0]  # the same for all outputs
        for batch in range(etas.shape[0]):
            start = batch * batch_size
            stop = min(start + batch_size, order.shape[0])
            eta = etas[batch]
            keep = shrinkage(eta, objective.l2)
            if m == WINDOW or scale * keep < SMALLEST_LAZY_SCALE:
                settle_all(weights, received, last, total_weights, m, scale, U, S, Q)
                scale, m = 1.0, 0
            for k in range(n_outputs):
                for r in range(start, stop):
                    for p in range(np.uintp(indptr[order[r]]), np.uintp(indptr[order[r] + 1])):
                        settle(weights, received, last, total_weights, k, np.uintp(columns[p]), m, U, S, Q)
            batch_slopes(data, order, start, stop, objective, weights, intercept, scale, scores, losses)
            if keep < SMALLEST_LAZY_SCALE:  # all columns are settled and the scale is 1
                rescale(weights, keep)
                rescale(received, keep)
                U[m] *= keep
            else:
                scale *= keep
            factor = -eta / (stop - start)
            add_batch(
                objective.outputs, X, order, start, stop, scores, factor, factor / scale, weights, intercept, objective
            )
            m += 1
            U[m] = U[m - 1] + eta * objective.l1 / scale
            averaged = scale if batch >= first_averaged else 0.0
            S[m] = S[m - 1] + averaged
            Q[m] = Q[m - 1] + averaged * U[m]
            if batch >= first_averaged:
                for k in range(n_outputs):
                    total_intercept[k] += intercept[k]
        settle_all(weights, received, last, total_weights, m, scale, U, S, Q)
        for k in range(n_outputs):
            slot.intercept[k] = U[0]

    return lazy_sgd_epoch
