"""What can be asked about a learning rate and about fitted models."""

from minibatch.diagnostics._interpolation import LossInterpolationResult, loss_interpolation
from minibatch.diagnostics._range_test import LearningRateRangeResult, learning_rate_range_test

__all__ = ["LearningRateRangeResult", "LossInterpolationResult", "learning_rate_range_test", "loss_interpolation"]
