"""What can be asked about a learning rate and about fitted models."""

from minibatch.diagnostics._hessian import HessianSpectrumResult, hessian_spectrum
from minibatch.diagnostics._interpolation import LossInterpolationResult, loss_interpolation
from minibatch.diagnostics._range_test import LearningRateRangeResult, learning_rate_range_test
from minibatch.diagnostics._sharpness import SharpnessResult, sharpness

__all__ = [
    "HessianSpectrumResult",
    "LearningRateRangeResult",
    "LossInterpolationResult",
    "SharpnessResult",
    "hessian_spectrum",
    "learning_rate_range_test",
    "loss_interpolation",
    "sharpness",
]
