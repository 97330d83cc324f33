"""Activations of hidden units: value and slope side by side.

To add one: a code, a line in ``ACTIVATIONS``, a loop in ``activate``.
"""

from math import copysign, erf, exp, pi, sqrt

from minibatch.engine.compile import kernel

__all__ = ["ACTIVATIONS", "GELU", "IDENTITY", "LOGISTIC", "RELU", "TANH", "activate"]

IDENTITY, LOGISTIC, TANH, RELU, GELU = range(5)
ACTIVATIONS = {"identity": IDENTITY, "logistic": LOGISTIC, "tanh": TANH, "relu": RELU, "gelu": GELU}


@kernel
def activate(activation, z, slopes):
    """Replace a vector ``z`` by the values of its units; ``slopes`` takes their derivatives in ``z``."""
    real = z.dtype.type
    zero, one = real(0), real(1)
    if activation == IDENTITY:
        for j in range(z.shape[0]):
            slopes[j] = one
    elif activation == LOGISTIC:
        for j in range(z.shape[0]):
            e = real(exp(-abs(z[j])))  # of the side that does not overflow
            value = (one if z[j] > zero else e) / (one + e)
            z[j] = value
            slopes[j] = value * (one - value)
    elif activation == TANH:
        # by exp, which runs several at once; math.tanh takes five times as long
        c3, c5, c7, c9, c11 = real(-1 / 3), real(2 / 15), real(-17 / 315), real(62 / 2835), real(-1382 / 155925)
        near = real(0.07)
        for j in range(z.shape[0]):
            x, square = abs(z[j]), z[j] * z[j]
            e = real(exp(-(x + x)))
            far = copysign((one - e) / (one + e), z[j])  # loses digits near 0, where the series has them
            series = z[j] * (one + square * (c3 + square * (c5 + square * (c7 + square * (c9 + square * c11)))))
            value = series if x < near else far
            z[j] = value
            slopes[j] = one - value * value
    elif activation == RELU:
        for j in range(z.shape[0]):
            active = z[j] > zero
            z[j] = z[j] if active or z[j] != z[j] else zero
            slopes[j] = one if active else zero
    else:  # GELU: z times the probability that a normal variable is below z (Hendrycks & Gimpel, arXiv 1606.08415)
        half, root_half, density = real(0.5), real(sqrt(0.5)), real(1.0 / sqrt(2.0 * pi))
        for j in range(z.shape[0]):
            probability = half * (one + real(erf(z[j] * root_half)))
            slopes[j] = probability + z[j] * density * real(exp(-half * z[j] * z[j]))
            z[j] *= probability
