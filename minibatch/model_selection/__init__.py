"""Comparing batch sizes and choosing one."""

from minibatch.model_selection._critical import critical_batch_size
from minibatch.model_selection._critical_result import CriticalBatchSize
from minibatch.model_selection._curve import convergence_curve
from minibatch.model_selection._grid import batch_size_grid
from minibatch.model_selection._memory import memory_required
from minibatch.model_selection._memory_result import MemoryRequired
from minibatch.model_selection._power_law import PowerLaw, fit_power_law
from minibatch.model_selection._recommend import recommend_batch_size
from minibatch.model_selection._recommendation import BatchSizeRecommendation
from minibatch.model_selection._result import ConvergenceCurve
from minibatch.model_selection._scorer import ConvergenceScorer
from minibatch.model_selection._search import MiniBatchGridSearchCV
from minibatch.model_selection._steps_fit import StepsFit, fit_steps_to_target, optimal_batch_size
from minibatch.model_selection._steps_result import StepsToTargetResult
from minibatch.model_selection._steps_to_target import steps_to_target

__all__ = [
    "BatchSizeRecommendation",
    "ConvergenceCurve",
    "ConvergenceScorer",
    "CriticalBatchSize",
    "MemoryRequired",
    "MiniBatchGridSearchCV",
    "PowerLaw",
    "StepsFit",
    "StepsToTargetResult",
    "batch_size_grid",
    "convergence_curve",
    "critical_batch_size",
    "fit_power_law",
    "fit_steps_to_target",
    "memory_required",
    "optimal_batch_size",
    "recommend_batch_size",
    "steps_to_target",
]
