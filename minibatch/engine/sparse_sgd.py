"""Plain SGD on sparse rows with L1, elastic net or averaging, at the cost of the stored values alone.

An update moves every weight (it shrinks, it is thresholded, it enters the average), but a weight whose column is not
in the batch moves in a way known in advance. It is left as it was and *settled* when its column next turns up.

Weights are ``scale`` times the stored ``v``. With ``P[m]`` the scale after ``m`` updates, ``U[m]`` the sum of
``eta l1 / P`` up to there, and ``S``, ``Q`` the sums of ``P`` and ``P U`` over the updates that are averaged, a column
last settled after update ``a`` has

    |w| after update m = P[m] * max(0, |v| - (U[m] - U[a]))                     (soft thresholds compose)
    sum of |w| over a < i <= m = (|v| + U[a]) (S[m] - S[a]) - (Q[m] - Q[a])     (as long as it is not 0)

so settling costs a few operations, and a binary search in ``U`` where the weight reached 0 in between. ``m`` counts
within a window; at its end all columns are settled and the scale returns to 1, which also keeps the sums accurate.
The cumulative threshold is the idea of Tsuruoka, Tsujii & Ananiadou (ACL 2009), here exact for the proximal step.
"""

from math import copysign

from minibatch.engine.compile import entry, kernel
from minibatch.engine.optimizers import shrinkage, soft_threshold
from minibatch.engine.sgd import SMALLEST_SCALE, add_batch, batch_slopes, rescale

# Updates in a window. Settling all columns costs a pass over the weights, so windows are long; ``U`` fits into L1.
WINDOW = 4096


@kernel
def last_update_below(U, threshold, low, high):
    """The last update up to which ``U`` is below ``threshold``: binary search with ``U[low] < threshold <= U[high]``."""
    while high - low > 1:
        middle = (low + high) // 2
        if U[middle] < threshold:
            low = middle
        else:
            high = middle
    return low


@kernel
def settle(v, last, total, k, j, m, U, S, Q):
    """Bring column ``j`` of output ``k`` up to date with update ``m``."""
    a, value = last[k, j], v[k, j]
    last[k, j] = m
    v[k, j] = soft_threshold(value, U[m] - U[a])
    if total.shape[1] > 0 and value != 0.0:
        size = abs(value)
        end = m if size > U[m] - U[a] else last_update_below(U, U[a] + size, a, m)
        total[k, j] += copysign((size + U[a]) * (S[end] - S[a]) - (Q[end] - Q[a]), value)


@kernel
def settle_all(weights, last, total, m, scale, U, S, Q):
    """Settle every column and multiply the scale into the weights."""
    for k in range(last.shape[0]):
        for j in range(last.shape[1]):
            settle(weights, last, total, k, j, m, U, S, Q)
            weights[k, j] *= scale
            last[k, j] = 0


@entry
def lazy_sgd_epoch(stamp):
    def lazy_sgd_epoch(data, order, etas, batch_size, objective, theta, total, first_averaged, scores, losses, last, U, S, Q):
        """Train on CSR rows; as ``gradient_epoch`` with plain SGD. ``total`` is empty where nothing is averaged."""
        _ = stamp
        X, (weights, intercept), (total_weights, total_intercept) = data.X, theta, total
        columns, indptr = X.indices, X.indptr
        n_outputs = weights.shape[0]
        scale, m = 1.0, 0
        for batch in range(etas.shape[0]):
            start = batch * batch_size
            stop = min(start + batch_size, order.shape[0])
            eta = etas[batch]
            keep = shrinkage(eta, objective.l2)
            if m == WINDOW or scale * keep < SMALLEST_SCALE:
                settle_all(weights, last, total_weights, m, scale, U, S, Q)
                scale, m = 1.0, 0
            for k in range(n_outputs):
                for r in range(start, stop):
                    for p in range(indptr[order[r]], indptr[order[r] + 1]):
                        settle(weights, last, total_weights, k, columns[p], m, U, S, Q)
            batch_slopes(data, order, start, stop, objective, weights, intercept, scale, scores, losses)
            if keep < SMALLEST_SCALE:  # all columns are settled and the scale is 1
                rescale(weights, keep)
            else:
                scale *= keep
            factor = -eta / (stop - start)
            add_batch(
                X, order, start, stop, scores, factor, factor / scale, weights, intercept, objective.fit_intercept
            )
            m += 1
            U[m] = U[m - 1] + eta * objective.l1 / scale
            averaged = scale if batch >= first_averaged else 0.0
            S[m] = S[m - 1] + averaged
            Q[m] = Q[m - 1] + averaged * U[m]
            if batch >= first_averaged:
                for k in range(n_outputs):
                    total_intercept[k] += intercept[k]
        settle_all(weights, last, total_weights, m, scale, U, S, Q)

    return lazy_sgd_epoch
