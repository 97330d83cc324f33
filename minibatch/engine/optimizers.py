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

The schedule-free solvers (Defazio et al. 2024, arXiv 2405.15682) take gradients at ``y = (1 - beta) z + beta x``, step
from ``z`` and evaluate the average ``x = (1 - share) x + share z``. ``w`` is ``y`` and ``first`` is ``z``, as in the
authors' program: ``x`` follows from them, and needs no vector. L2 is a gradient at ``y``, L1 a proximal step of ``z``.

To add a solver: a code, a line in ``SOLVERS`` and ``N_SLOTS``, a branch in ``take_step``.
"""

from math import copysign, sqrt
from typing import NamedTuple

from minibatch.engine.compile import kernel

__all__ = [
    "ADAGRAD",
    "ADAM",
    "ADAMW",
    "COPIES",
    "DOWG",
    "DUAL_AVERAGING",
    "KINDS",
    "MOMENTUM",
    "NESTEROV",
    "N_SCALARS",
    "N_SLOTS",
    "RMSPROP",
    "SAGA",
    "SCHEDULE_FREE_ADAMW",
    "SCHEDULE_FREE_SGD",
    "SGD",
    "SOLVERS",
    "SVRG",
    "VARIANCE_REDUCED",
    "Step",
    "bias_corrections",
    "schedule_free_step",
    "shrinkage",
    "soft_threshold",
    "take_step",
]  # fmt: skip

SGD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADAM, ADAMW = range(7)
SCHEDULE_FREE_SGD, SCHEDULE_FREE_ADAMW, DOWG, DUAL_AVERAGING, SVRG, SAGA = range(7, 13)
SOLVERS = {
    "sgd": SGD,
    "momentum": MOMENTUM,
    "nesterov": NESTEROV,
    "adagrad": ADAGRAD,
    "rmsprop": RMSPROP,
    "adam": ADAM,
    "adamw": ADAMW,
    "schedule_free_sgd": SCHEDULE_FREE_SGD,
    "schedule_free_adamw": SCHEDULE_FREE_ADAMW,
}
# Of linear models, on rows that come again (``engine.variance_reduced``).
VARIANCE_REDUCED = {"svrg": SVRG, "saga": SAGA}
# Of updates, by the names that saved models have for them: what plain SGD becomes where it finds its own rates, with
# ``learning_rate="dowg"`` (``engine.updates``) and of linear models with "auto" (``engine.dual_averaging``).
KINDS = {**SOLVERS, **VARIANCE_REDUCED, "dowg": DOWG, "dual_averaging": DUAL_AVERAGING}
# Vectors of memory a solver keeps (the first of SGD and DoWG: only for L1).
N_SLOTS = {
    SGD: 1,
    MOMENTUM: 1,
    NESTEROV: 1,
    ADAGRAD: 1,
    RMSPROP: 1,
    ADAM: 2,
    ADAMW: 2,
    SCHEDULE_FREE_SGD: 1,
    SCHEDULE_FREE_ADAMW: 2,
    DOWG: 2,
    DUAL_AVERAGING: 3,
    SVRG: 1,
    SAGA: 1,
}
# Which of them begins as a copy of the parameters: z; where the run began.
COPIES = {SCHEDULE_FREE_SGD: 0, SCHEDULE_FREE_ADAMW: 0, DOWG: -1}
# Numbers of memory, of every objective: the sum of the squared rates; ``r^2`` and ``v`` of DoWG, with which the pace of
# ``engine.dual_averaging`` begins as well.
N_SCALARS = {SCHEDULE_FREE_SGD: 1, SCHEDULE_FREE_ADAMW: 1, DOWG: 2, DUAL_AVERAGING: 7}


class Step(NamedTuple):
    """Update ``number`` (from 1) at the rate ``eta``; ``share`` is what its ``z`` weighs in a schedule-free average."""

    number: int
    eta: float
    share: float


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
def schedule_free_step(adaptive, w, g, z, second, eta, share, beta, l1, l2, gain_2, scale_2, epsilon):
    """``take_step`` of the schedule-free solvers. The decay of the adaptive one is beside its step, and at ``y``."""
    n, real = w.shape[0], w.dtype.type
    zero, one = real(0), real(1)
    # the next y: of the new z, and of the x that y and the old z make
    of_z, of_x_and_z, of_new = real(1.0 - beta), real(1.0 - share), real(1.0 - beta * (1.0 - share))
    for j in range(n):
        old, per_slope = z[j], one
        if adaptive:
            second[j] += gain_2 * (g[j] * g[j] - second[j])
            per_slope = one / (sqrt(second[j] * scale_2) + epsilon)
        z[j] = soft_threshold(old - eta * (per_slope * g[j] + l2 * w[j]), eta * per_slope * l1, zero)
        w[j] = of_x_and_z * (w[j] - of_z * old) + of_new * z[j]


@kernel
def take_step(
    solver, w, g, first, second, eta, share, l1, l2, due, momentum, beta_1, beta_2, correction_1, correction_2, epsilon
):  # fmt: skip
    """Update ``w`` in place. Solvers with less than two slots do not touch the others."""
    n, real = w.shape[0], w.dtype.type
    beta = beta_1 if solver == SCHEDULE_FREE_ADAMW else momentum
    # all in the type of w: a float64 among float32 numbers would cost half of the SIMD lanes and conversions
    zero, one, keep = real(0), real(1), real(shrinkage(eta, l2))
    gain_1, gain_2 = real(1.0 - beta_1), real(1.0 - beta_2)
    eta_1, scale_2 = real(eta / correction_1), real(1.0 / correction_2)
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
    elif solver == SCHEDULE_FREE_SGD:
        schedule_free_step(False, w, g, first, second, eta, share, beta, l1, l2, gain_2, scale_2, epsilon)
    elif solver == SCHEDULE_FREE_ADAMW:
        schedule_free_step(True, w, g, first, second, eta, share, beta, l1, l2, gain_2, scale_2, epsilon)
    else:  # ADAM, ADAMW: the latter shrinks w beside the adaptive step (Loshchilov & Hutter 2019, arXiv 1711.05101)
        coupled = l2 if solver == ADAM else zero
        keep = one if solver == ADAM else keep
        for j in range(n):
            slope = g[j] + coupled * w[j]
            first[j] += gain_1 * (slope - first[j])
            second[j] += gain_2 * (slope * slope - second[j])
            per_slope = one / (sqrt(second[j] * scale_2) + epsilon)
            w[j] = soft_threshold(keep * w[j] - eta_1 * per_slope * first[j], eta * per_slope * l1, zero)
