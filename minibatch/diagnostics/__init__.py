"""What can be asked about a learning rate and about fitted models."""

from minibatch.diagnostics._interpolation import LossInterpolationResult, loss_interpolation
from minibatch.diagnostics._noise_curve import GradientNoiseCurve, gradient_noise_curve
from minibatch.diagnostics._noise_scale import GradientNoiseResult, gradient_noise_scale
from minibatch.diagnostics._norm_test import NormTestResult, norm_test
from minibatch.diagnostics._range_test import LearningRateRangeResult, learning_rate_range_test

__all__ = [
    "GradientNoiseCurve",
    "GradientNoiseResult",
    "LearningRateRangeResult",
    "LossInterpolationResult",
    "NormTestResult",
    "gradient_noise_curve",
    "gradient_noise_scale",
    "learning_rate_range_test",
    "loss_interpolation",
    "norm_test",
]
