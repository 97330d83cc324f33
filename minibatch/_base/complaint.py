"""What there is to say about how training ended: the text of the one warning that a fit may give."""

from typing import Any

import numpy as np
from sklearn.base import is_outlier_detector, is_regressor

from minibatch._problems.state import Problem, largest_value
from minibatch._training.beginning import Beginning, Findings
from minibatch._training.loop import Outcome
from minibatch.schedules._named import CYCLES

__all__ = ["complaint"]


def complaint(model: Any, problem: Problem, outcome: Outcome, beginning: Beginning | None) -> str:
    """Empty where training ended well. A part of a longer run has no ``beginning``."""
    if outcome.status == "diverged":
        return _divergence(model, problem, outcome, beginning)
    if outcome.status != "max_iter" or model.tol is None or beginning is None:
        return ""
    return f"Maximum number of iteration reached before convergence. {_why(model, problem, outcome, beginning)}"


def _why(model: Any, problem: Problem, outcome: Outcome, beginning: Beginning) -> str:
    """Why a run has not converged within its epochs, and what to do."""
    constant, end = beginning.constant, beginning.objective(outcome.state.result())
    more = "Consider increasing max_iter to improve the fit."
    if constant.is_comparable and end > beginning.first:
        return (
            f"{more} The objective is {end:.3g}, still above the {beginning.first:.3g} at which the fit began. [MB107]"
        )
    if constant.is_comparable and end > constant.loss and _has_a_scale(model):
        return (
            f"The model is still worse than a constant, with |y| up to {largest_value(problem.data.y):.3g}: scale y "
            "with TransformedTargetRegressor(model, transformer=StandardScaler()), use a higher learning rate, or "
            "increase max_iter. [MB108]"
        )
    return f"{more} {outcome.why()}"


def _has_a_scale(model: Any) -> bool:
    """Whether y has one, which shares have not."""
    return is_regressor(model) and model.loss != "log_loss"


def _divergence(model: Any, problem: Any, outcome: Outcome, beginning: Beginning | None) -> str:
    """Where and with what a run diverged, and what to do."""
    findings = Findings() if beginning is None else beginning.findings
    largest_x = findings.once(problem, "largest |x|", lambda: largest_value(problem.data.X))
    last, sizes = outcome.history.last, f"largest |x| {largest_x:.3g}"
    remedy = "scale X with StandardScaler"
    if is_outlier_detector(model):  # rows around the origin have no outliers
        remedy += "(with_mean=False)"
    if _has_a_scale(model):
        sizes += f", largest |y| {largest_value(problem.data.y):.3g}"
        remedy += " and divide y by a constant"
    if "learning_rate" not in outcome.history:
        return (
            f"The objective is not finite after iteration {last('epoch')}, {sizes}; the last finite parameters are "
            f"kept. {remedy[0].upper()}{remedy[1:]}. [MB109]"
        )
    where = f"in epoch {last('epoch')} (by update {last('n_updates')})"
    rate = f"at learning rate {last('learning_rate'):.3g}, batch size {last('batch_size')}, {sizes}"
    lower = f"Lower {model._rate_parameter}"
    if model.learning_rate in CYCLES:
        lower += " and max_eta"
    elif model.learning_rate in ("auto", "optimal", "dowg"):  # none begins at this rate
        lower = f"Set learning_rate='constant' and a low {model._rate_parameter}"
    if beginning is None or not np.isfinite(last("progressive_objective", np.nan)):
        return f"Diverged {where} {rate}; the last finite parameters are kept. {lower}, or {remedy}. [MB109]"
    first, end = beginning.first, beginning.objective(outcome.state.result())
    what = f"training ended {where} with an objective of {end:.3g}, above the {first:.3g} of its beginning"
    if end <= first and outcome.rule is not None:
        lowest, last_seen = min(outcome.rule.objectives), outcome.rule.objectives[-1]
        what = f"the objective had risen from {lowest:.3g} to {last_seen:.3g} when training ended {where}"
    return f"Diverged: {what}, {rate}. {lower}, or {remedy}. [MB109]"
