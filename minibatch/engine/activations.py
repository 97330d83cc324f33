"""Activations of hidden units: value and slope side by side.

To add one: a code, a line in ``ACTIVATIONS``, a loop in ``activate``.
"""

from math import erf, exp, pi, sqrt, tanh

from minibatch.engine.compile import kernel

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
            value = one / (one + exp(-z[j]))
            z[j] = value
            slopes[j] = value * (one - value)
    elif activation == TANH:
        for j in range(z.shape[0]):
            z[j] = tanh(z[j])
            slopes[j] = one - z[j] * z[j]
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
