"""What there is to say about how training ended: the text of the one warning that a fit may give."""

from typing import Any

import numpy as np
from sklearn.base import is_classifier

from minibatch._problems.state import Problem, largest_value
from minibatch._training.beginning import Beginning
from minibatch._training.loop import Outcome

__all__ = ["complaint"]


def complaint(model: Any, problem: Problem, outcome: Outcome, beginning: Beginning | None) -> str:
    """Empty where training ended well. A part of a longer run has no ``beginning``."""
    if outcome.status == "diverged":
        return _divergence(model, problem, outcome, beginning)
    if outcome.status != "max_iter" or model.tol is None or beginning is None:
        return ""
    message = "Maximum number of iteration reached before convergence. Consider increasing max_iter to improve the "
    message += f"fit. {outcome.why}"
    loss = outcome.history.last("progressive_loss", np.nan)
    if not is_classifier(model) and loss > beginning.constant.loss:
        message += (
            f" The model is still worse than a constant, with |y| up to {largest_value(problem.data.y):.3g}: scale "
            "y with TransformedTargetRegressor(model, transformer=StandardScaler())."
        )
    return message


def _divergence(model: Any, problem: Problem, outcome: Outcome, beginning: Beginning | None) -> str:
    """Where and with what a run diverged, and what to do."""
    last, sizes = outcome.history.last, f"largest |x| {largest_value(problem.data.X):.3g}"
    remedy = "scale X with StandardScaler"
    if not is_classifier(model):
        sizes += f", largest |y| {largest_value(problem.data.y):.3g}"
        remedy += " and divide y by a constant"
    if "learning_rate" not in outcome.history:
        return (
            f"The objective is not finite after iteration {last('epoch')}, {sizes}; the last finite parameters are "
            f"kept. {remedy[0].upper()}{remedy[1:]}."
        )
    where = f"in epoch {last('epoch')} (by update {last('n_updates')})"
    rate = f"at learning rate {last('learning_rate'):.3g}, batch size {last('batch_size')}, {sizes}"
    lower = f"Lower {model._rate_parameter}"
    if model.learning_rate == "optimal":  # has no first rate
        lower = f"Set learning_rate='constant' and a low {model._rate_parameter}"
    if beginning is None or not np.isfinite(last("progressive_objective", np.nan)):
        return f"Diverged {where} {rate}; the last finite parameters are kept. {lower}, or {remedy}."
    first, end = beginning.first, beginning.objective(outcome.state.result())
    return (
        f"Diverged: training ended {where} with an objective of {end:.3g}, above the {first:.3g} of its beginning, "
        f"{rate}. {lower}, or {remedy}."
    )
