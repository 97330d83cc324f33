"""Displays, in the manner of scikit-learn's; matplotlib is needed only to draw."""

from minibatch.plotting._batch_sharpness import BatchSharpnessDisplay
from minibatch.plotting._convergence import ConvergenceDisplay
from minibatch.plotting._diagnostics import LearningRateRangeDisplay, LossInterpolationDisplay
from minibatch.plotting._gap import GeneralizationGapDisplay
from minibatch.plotting._learning_curve import LearningCurveDisplay
from minibatch.plotting._noise_scale import NoiseScaleDisplay
from minibatch.plotting._rate_map import BatchSizeLearningRateDisplay
from minibatch.plotting._scaling import BatchSizeScalingDisplay
from minibatch.plotting._spectrum import HessianSpectrumDisplay
from minibatch.plotting._workers import WorkersSimulationDisplay

__all__ = [
    "BatchSharpnessDisplay",
    "BatchSizeLearningRateDisplay",
    "BatchSizeScalingDisplay",
    "ConvergenceDisplay",
    "GeneralizationGapDisplay",
    "HessianSpectrumDisplay",
    "LearningCurveDisplay",
    "LearningRateRangeDisplay",
    "LossInterpolationDisplay",
    "NoiseScaleDisplay",
    "WorkersSimulationDisplay",
]
