"""Comparing batch sizes: grids, convergence curves, a scorer for searches."""

from minibatch.model_selection._curve import convergence_curve
from minibatch.model_selection._grid import batch_size_grid
from minibatch.model_selection._power_law import PowerLaw, fit_power_law
from minibatch.model_selection._result import ConvergenceCurve
from minibatch.model_selection._scorer import ConvergenceScorer

__all__ = ["ConvergenceCurve", "ConvergenceScorer", "PowerLaw", "batch_size_grid", "convergence_curve", "fit_power_law"]
