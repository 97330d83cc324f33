"""What ``engine.dual_averaging`` keeps where rows go straight into the dual vectors: single rows, and CSR rows.

Of the average ``m`` it is ``u = S (m - n)``: what an update leaves alone stays as it is, and what adds ``d`` to ``n``
takes ``S d`` from it, with the ``S`` of before. So weights where a gradient is taken are those of ``n + b u`` with
``b = 0.7 / S``, and of ``E_y = E + b U``, ``U`` being for the sums of rates what ``u`` is for the dual vectors.

``S`` is counted in what it was before the call: float32 has no room for its square.
"""

from minibatch.engine.compile import kernel
from minibatch.engine.dual_averaging import (
    AVERAGE_SUM,
    DISTANCE,
    INTERPOLATION,
    POINT_SUM,
    RATE,
    SUM,
    WEIGHTS,
    bring_up_rate,
    brings_up,
    find_factors,
    find_rate,
    note_distance,
)
from minibatch.engine.optimizers import soft_threshold

__all__ = [
    "N_BUFFER", "OF_INTERCEPT", "SQUARED_NORM", "SUM_BEFORE", "UNIT", "bring_up_factors", "bring_up_sums",
    "dot_of_point", "from_sums", "look_around", "move_intercepts", "next_rate", "numbers_from_sums", "numbers_to_sums",
    "rate_at", "share_of_model", "share_of_sums", "to_sums",
]  # fmt: skip

# Columns of the buffer of an output: what ``S`` is counted in; on batches of sparse rows, of the gradient what belongs
# to the intercept and the squared norm, and the ``S`` before its update.
UNIT, OF_INTERCEPT, SQUARED_NORM, SUM_BEFORE = range(4)
N_BUFFER = 4


@kernel
def to_sums(memory, buffer):
    """Put ``u`` and ``U`` in the place of the averages, and ``S`` in units of its own."""
    numbers_to_sums(memory, buffer)
    dual, average = memory.dual.weights, memory.average.weights
    for k in range(dual.shape[0]):
        for j in range(dual.shape[1]):
            average[k, j] -= dual[k, j]


@kernel
def numbers_to_sums(memory, buffer):
    """``to_sums`` but for the weights."""
    (_, dual_intercept), (_, average_intercept), _, pace = memory
    for p in range(pace.shape[0]):
        buffer[p, UNIT] = pace[p, WEIGHTS] if pace[p, WEIGHTS] > 0.0 else pace[p, DISTANCE]
        pace[p, WEIGHTS] /= buffer[p, UNIT]
        pace[p, AVERAGE_SUM] -= pace[p, SUM]
    for k in range(dual_intercept.shape[0]):
        average_intercept[k] -= dual_intercept[k]


@kernel
def from_sums(memory, buffer):
    """Undo ``to_sums``."""
    dual, average = memory.dual.weights, memory.average.weights
    for k in range(dual.shape[0]):
        share = average.dtype.type(share_of_model(memory.pace, k))
        for j in range(dual.shape[1]):
            average[k, j] = dual[k, j] + share * average[k, j]
    numbers_from_sums(memory, buffer)


@kernel
def rate_at(pace, k):
    """The rate of an output."""
    return pace[min(k, pace.shape[0] - 1), RATE]


@kernel
def share_of_model(pace, k):
    """What the average, the model's, has of ``u`` in output ``k``."""
    return 1.0 / pace[min(k, pace.shape[0] - 1), WEIGHTS]


@kernel
def numbers_from_sums(memory, buffer):
    """``from_sums`` but for the weights, which need the ``S`` of before."""
    (_, dual_intercept), (_, average_intercept), _, pace = memory
    for k in range(dual_intercept.shape[0]):
        average_intercept[k] = dual_intercept[k] + share_of_model(pace, k) * average_intercept[k]
    for p in range(pace.shape[0]):
        pace[p, AVERAGE_SUM] = pace[p, SUM] + pace[p, AVERAGE_SUM] / pace[p, WEIGHTS]
        pace[p, WEIGHTS] *= buffer[p, UNIT]


@kernel
def next_rate(pace, p, squared_norm, t, unit, part):
    """Make update ``t`` of a pace, or a part of one; returns the rate, and the ``S`` of before."""
    weights, (before, eta) = pace[p, WEIGHTS], find_rate(pace, p, squared_norm, t, part)
    pace[p, AVERAGE_SUM] -= weights * before
    pace[p, WEIGHTS] += pace[p, DISTANCE] / unit * t
    return eta, weights


@kernel
def move_intercepts(t, part, memory, buffer):
    """Make update ``t``, or a part of one, in all but the weights, from what there is in ``buffer`` of the gradients;
    puts there what weights move by."""
    pace, dual, average = memory.pace, memory.dual.intercept, memory.average.intercept
    of_all, eta, weights = 0.0, 0.0, 0.0
    for k in range(dual.shape[0]):
        of_all += buffer[k, SQUARED_NORM]
    for k in range(dual.shape[0]):
        if k < pace.shape[0]:
            squared_norm = buffer[k, SQUARED_NORM] if pace.shape[0] == dual.shape[0] else of_all
            eta, weights = next_rate(pace, k, squared_norm, t, buffer[k, UNIT], part)
        buffer[k, SUM_BEFORE] = weights
        dual[k] -= eta * buffer[k, OF_INTERCEPT]
        average[k] += weights * eta * buffer[k, OF_INTERCEPT]


@kernel
def share_of_sums(weights):
    """What the point where gradients are taken has of ``u``."""
    return INTERPOLATION / weights if weights > 0.0 else 0.0


@kernel
def bring_up_sums(pace):
    """Bring up the sums where gradients are taken, and the rates."""
    for p in range(pace.shape[0]):
        pace[p, POINT_SUM] = pace[p, SUM] + share_of_sums(pace[p, WEIGHTS]) * pace[p, AVERAGE_SUM]
        bring_up_rate(pace, p)


@kernel
def bring_up_factors(pace, t, scales, objective, factors):
    """Bring up the sums where gradients are taken, and what follows from them, if update ``t`` needs it."""
    if brings_up(t):
        bring_up_sums(pace)
        find_factors(pace, scales, objective, factors)


@kernel
def look_around(memory, scales, objective, factors):
    """See how far the points where gradients are taken are from the first weights."""
    (n, dual_intercept), (u, average_intercept), (start, first_intercept), pace = memory
    last, real, far = pace.shape[0] - 1, n.dtype.type, 0.0
    zero, step = real(0), 1 if scales.shape[0] > 1 else 0
    for k in range(n.shape[0]):
        p, c = min(k, last), 0
        share, threshold = share_of_sums(pace[p, WEIGHTS]), real(objective.l1 * pace[p, POINT_SUM])
        moved, of_sums = dual_intercept[k] + share * average_intercept[k] - first_intercept[k], real(share)
        far += moved * moved
        for j in range(n.shape[1]):
            weight = soft_threshold(n[k, j] + of_sums * u[k, j], threshold, zero) * factors[k, c]
            gone = float(weight - start[k, j])
            far += float(scales[c]) * gone * gone
            c += step
        far = note_distance(pace, k, n.shape[0], far)


@kernel
def dot_of_point(X, i, n, u, k, factors, share, threshold):
    """The product of a row with the weights of output ``k`` where the next gradient is taken."""
    real = n.dtype.type
    zero, total, alike = real(0), real(0), factors.shape[1] == 1
    if threshold == zero and alike:
        for j in range(n.shape[1]):
            total += X[i, j] * (n[k, j] + share * u[k, j])
    elif threshold == zero:
        for j in range(n.shape[1]):
            total += X[i, j] * (n[k, j] + share * u[k, j]) * factors[k, j]
    elif alike:
        for j in range(n.shape[1]):
            total += X[i, j] * soft_threshold(n[k, j] + share * u[k, j], threshold, zero)
    else:
        for j in range(n.shape[1]):
            total += X[i, j] * soft_threshold(n[k, j] + share * u[k, j], threshold, zero) * factors[k, j]
    return total * factors[k, 0] if alike else total
