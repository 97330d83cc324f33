"""One update of a vector of parameters by each solver, with its penalty.

Conventions: ``g`` is the mean gradient of the batch's losses, ``eta`` the rate, ``l2`` and ``l1`` the strengths of
``l2/2 ||w||^2`` and ``l1 ||w||_1`` (0 for intercepts), ``first`` and ``second`` the optimizer's memory (``slots``).
The L1 part is a proximal step in the metric of the solver, placed so that every solver stops at the same point:
where ``-g - l2 w`` is a subgradient of ``l1 ||w||_1``. Plain SGD takes the cumulative penalty of Tsuruoka, Tsujii &
Ananiadou (ACL 2009), as scikit-learn does: what L1 could not take from a weight at 0 stays due and is taken when noise
next moves the weight, without which the last few steps would leave no weight at exactly 0. ``first`` is what each
weight has received from L1 so far, ``due`` what each should have. From zeros, as in a full batch, which has no noise
and forgets both, this is the textbook's proximal gradient step.

Momentum is ``v = momentum v + g; w -= eta v`` as in scikit-learn and PyTorch: its effective rate is
``eta / (1 - momentum)``.

To add a solver: a code, a line in ``SOLVERS`` and ``N_SLOTS``, a branch in ``take_step``.
"""

from math import copysign, sqrt

from minibatch.engine.compile import kernel

__all__ = [
    "ADAGRAD", "ADAM", "ADAMW", "DUAL_AVERAGING", "MOMENTUM", "NESTEROV", "N_SLOTS", "RMSPROP", "SGD", "SOLVERS",
    "bias_corrections", "shrinkage", "soft_threshold", "take_step",
]  # fmt: skip

SGD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADAM, ADAMW = range(7)
SOLVERS = {
    "sgd": SGD,
    "momentum": MOMENTUM,
    "nesterov": NESTEROV,
    "adagrad": ADAGRAD,
    "rmsprop": RMSPROP,
    "adam": ADAM,
    "adamw": ADAMW,
}
# What plain SGD of linear models becomes with ``learning_rate="auto"``: see ``engine.dual_averaging``.
DUAL_AVERAGING = -2
# Vectors of memory a solver keeps (SGD: only for L1).
N_SLOTS = {SGD: 1, MOMENTUM: 1, NESTEROV: 1, ADAGRAD: 1, RMSPROP: 1, ADAM: 2, ADAMW: 2, DUAL_AVERAGING: 3}


@kernel
def soft_threshold(z, threshold, zero):
    """The proximal step of ``threshold * |z|``; ``zero`` has the type of ``z``. NaN stays NaN."""
    size = abs(z) - threshold
    return zero if size <= zero else copysign(size, z)


@kernel
def shrinkage(eta, l2):
    """The factor of an SGD step on ``l2/2 ||w||^2``: never negative, as in scikit-learn."""
    return max(0.0, 1.0 - eta * l2)


@kernel
def bias_corrections(t, beta_1, beta_2):
    """What Adam divides its moving averages by after ``t`` updates."""
    return 1.0 - beta_1**t, 1.0 - beta_2**t


@kernel
def take_step(
    solver, w, g, first, second, eta, l1, l2, due, momentum, beta_1, beta_2, correction_1, correction_2, epsilon
):
    """Update ``w`` in place. Solvers with less than two slots do not touch the others."""
    n, real = w.shape[0], w.dtype.type
    # all in the type of w: a float64 among float32 numbers would cost half of the SIMD lanes and conversions
    zero, one, keep = real(0), real(1), real(shrinkage(eta, l2))
    gain_1, gain_2, eta_1, scale_2 = (
        real(1.0 - beta_1),
        real(1.0 - beta_2),
        real(eta / correction_1),
        real(1.0 / correction_2),
    )
    eta, l1, l2, due, momentum, epsilon = real(eta), real(l1), real(l2), real(due), real(momentum), real(epsilon)
    if solver == SGD:
        if l1 == zero:
            for j in range(n):
                w[j] = keep * w[j] - eta * g[j]
        else:
            for j in range(n):
                z = keep * w[j] - eta * g[j]
                received = keep * first[j]
                w[j] = soft_threshold(z, due + copysign(received, z * received), zero)
                first[j] = received + (w[j] - z)
    elif solver == MOMENTUM:
        for j in range(n):
            old = w[j]
            velocity = momentum * first[j] + g[j] + l2 * old
            w[j] = soft_threshold(old - eta * velocity, eta * l1, zero)
            # the proximal step is part of the velocity, or L1 would weigh 1 / (1 - momentum) less
            first[j] = velocity if l1 == zero else (old - w[j]) / eta
    elif solver == NESTEROV:
        for j in range(n):
            old, velocity, slope = w[j], first[j], g[j] + l2 * w[j]
            ahead = momentum * momentum * velocity
            w[j] = soft_threshold(old - eta * (ahead + (one + momentum) * slope), eta * (one + momentum) * l1, zero)
            if l1 != zero:
                slope = ((old - w[j]) / eta - ahead) / (one + momentum)
            first[j] = momentum * velocity + slope
    elif solver == ADAGRAD:
        for j in range(n):
            slope = g[j] + l2 * w[j]
            first[j] += slope * slope
            rate = eta / (sqrt(first[j]) + epsilon)
            w[j] = soft_threshold(w[j] - rate * slope, rate * l1, zero)
    elif solver == RMSPROP:
        for j in range(n):
            slope = g[j] + l2 * w[j]
            first[j] += gain_2 * (slope * slope - first[j])
            rate = eta / (sqrt(first[j]) + epsilon)
            w[j] = soft_threshold(w[j] - rate * slope, rate * l1, zero)
    else:  # ADAM, ADAMW: the latter shrinks w beside the adaptive step (Loshchilov & Hutter 2019, arXiv 1711.05101)
        coupled = l2 if solver == ADAM else zero
        keep = one if solver == ADAM else keep
        for j in range(n):
            slope = g[j] + coupled * w[j]
            first[j] += gain_1 * (slope - first[j])
            second[j] += gain_2 * (slope * slope - second[j])
            per_slope = one / (sqrt(second[j] * scale_2) + epsilon)
            w[j] = soft_threshold(keep * w[j] - eta_1 * per_slope * first[j], eta * per_slope * l1, zero)
