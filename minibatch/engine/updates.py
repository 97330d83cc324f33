"""One update of a linear model by every solver, and the rate of DoWG.

DoWG (Khaled, Mishchenko & Jin 2023, arXiv 2305.16284) is plain SGD at the rate ``r^2 / sqrt(v)``: ``r`` is the largest
distance from the first parameters so far, and at least the first distance, which comes in the place of a rate; ``v``
sums up ``r^2 ||g||^2`` with the gradient ``g`` of loss and L2. Every objective has its own (``scalars``), so that the
outputs of a model may be shared out to threads.
"""

from math import sqrt

from minibatch.engine.compile import entry, kernel
from minibatch.engine.optimizers import DOWG, SGD, bias_corrections, shrinkage, take_step

__all__ = ["apply_step", "dowg_rate", "squares_of_output", "update"]


@kernel
def squares_of_output(w, g, origin, l2):
    """Squared distance from the origin, and squared norm of the gradient with that of L2."""
    distance, norm = 0.0, 0.0
    for j in range(w.shape[0]):
        away, slope = float(w[j] - origin[j]), float(g[j] + l2 * w[j])
        distance += away * away
        norm += slope * slope
    return distance, norm


@kernel
def dowg_rate(theta, grad, origin, first_output, last_output, least_distance, objective, scalars):
    """The next rate of an objective, of some outputs; ``scalars`` (2,) are its ``r^2`` and ``v``."""
    squared_distance, squared_norm, real = 0.0, 0.0, theta.weights.dtype.type
    for k in range(first_output, last_output):
        d, n = squares_of_output(theta.weights[k], grad.weights[k], origin.weights[k], real(objective.l2))
        squared_distance += d
        squared_norm += n
        if objective.fit_intercept:
            away, slope = float(theta.intercept[k] - origin.intercept[k]), float(grad.intercept[k])
            squared_distance += away * away
            squared_norm += slope * slope
    scalars[0] = max(scalars[0], least_distance * least_distance, squared_distance)
    scalars[1] += scalars[0] * squared_norm
    return scalars[0] / sqrt(scalars[1]) if scalars[1] > 0.0 else 0.0


@kernel
def update(theta, grad, first, second, scalars, step, objective, solver):
    """Update all parameters; intercepts are not penalised. ``scalars`` has a row for every objective."""
    (kind, momentum, beta_1, beta_2, epsilon), (number, eta, share) = solver, step
    c1, c2 = bias_corrections(number, beta_1, beta_2)
    l1, l2, n_outputs = objective.l1, objective.l2, theta.weights.shape[0]
    finds_rates = kind == DOWG
    kind, origin = SGD if finds_rates else kind, second if l1 > 0.0 else first
    for k in range(n_outputs):
        if finds_rates and k < scalars.shape[0]:  # one for all, or one each
            last = k + 1 if scalars.shape[0] == n_outputs else n_outputs
            eta = dowg_rate(theta, grad, origin, k, last, step.eta, objective, scalars[k])
        due = 0.0
        if kind == SGD and l1 > 0.0:  # kept in the slot of the intercept, which is not penalised
            due = first.intercept[k] = shrinkage(eta, l2) * first.intercept[k] + eta * l1
        w, g, m, v = theta.weights[k], grad.weights[k], first.weights[k], second.weights[k]
        take_step(kind, w, g, m, v, eta, share, l1, l2, due, momentum, beta_1, beta_2, c1, c2, epsilon)
        if objective.fit_intercept:  # one by one: SIMD rounds otherwise, and threads share the outputs out
            w, g = theta.intercept[k : k + 1], grad.intercept[k : k + 1]
            m, v = first.intercept[k : k + 1], second.intercept[k : k + 1]
            take_step(kind, w, g, m, v, eta, share, 0.0, 0.0, 0.0, momentum, beta_1, beta_2, c1, c2, epsilon)


@entry
def apply_step(stamp):
    def apply_step(theta, grad, first, second, scalars, step, objective, solver):
        """One update with a given gradient."""
        _ = stamp
        update(theta, grad, first, second, scalars, step, objective, solver)

    return apply_step
