"""Kernels that tests call: of their own, only compiled code can."""

import numba

from minibatch.engine import activations, dropout, losses, optimizers
from minibatch.engine.compile import OPTIONS


def _called(kernel):
    @numba.njit(**OPTIONS)
    def call(*arguments):
        return kernel(*arguments)

    return call


activate = _called(activations.activate)
hashed = _called(dropout.hashed)
loss_and_slope = _called(losses.loss_and_slope)
softmax_loss_and_slopes = _called(losses.softmax_loss_and_slopes)
bias_corrections = _called(optimizers.bias_corrections)
shrinkage = _called(optimizers.shrinkage)
soft_threshold = _called(optimizers.soft_threshold)
take_step = _called(optimizers.take_step)
