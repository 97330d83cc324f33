"""What can be asked about a learning rate, a batch size and fitted models."""

from minibatch.diagnostics._batch_sharpness import BatchSharpnessResult, batch_sharpness
from minibatch.diagnostics._batch_sharpness_curve import BatchSharpnessCurve, batch_sharpness_curve
from minibatch.diagnostics._hessian import HessianSpectrumResult, hessian_spectrum
from minibatch.diagnostics._interpolation import LossInterpolationResult, loss_interpolation
from minibatch.diagnostics._noise_curve import GradientNoiseCurve, gradient_noise_curve
from minibatch.diagnostics._noise_scale import GradientNoiseResult, gradient_noise_scale
from minibatch.diagnostics._norm_test import NormTestResult, norm_test
from minibatch.diagnostics._range_test import LearningRateRangeResult, learning_rate_range_test
from minibatch.diagnostics._sharpness import SharpnessResult, sharpness
from minibatch.diagnostics._stability import StabilityLimit, stability_limit

__all__ = [
    "BatchSharpnessCurve",
    "BatchSharpnessResult",
    "GradientNoiseCurve",
    "GradientNoiseResult",
    "HessianSpectrumResult",
    "LearningRateRangeResult",
    "LossInterpolationResult",
    "NormTestResult",
    "SharpnessResult",
    "StabilityLimit",
    "batch_sharpness",
    "batch_sharpness_curve",
    "gradient_noise_curve",
    "gradient_noise_scale",
    "hessian_spectrum",
    "learning_rate_range_test",
    "loss_interpolation",
    "norm_test",
    "sharpness",
    "stability_limit",
]
