"""What early stopping looks at: the estimator's own score, the loss, or a scorer of the user's."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import get_scorer, get_scorer_names

from minibatch._base.rows import Rows
from minibatch._base.watch import Evaluation
from minibatch._problems.state import Vector
from minibatch._training.loop import Validate
from minibatch._training.rules import ScoreRule

__all__ = ["check_scoring", "fitted_with", "refuse_one_row", "score_rule", "validation_by"]


def check_scoring(scoring: Any) -> None:
    """Refuse a name that nobody knows."""
    if not isinstance(scoring, str) or scoring == "loss" or scoring in (names := get_scorer_names()):
        return
    near = get_close_matches(scoring, ["loss", *names], n=1)
    meant = f" Did you mean {near[0]!r}?" if near else " sklearn.metrics.get_scorer_names() lists the names."
    raise ValueError(
        "scoring must be 'loss', the name of a scorer of scikit-learn, a callable scorer(estimator, X, y) or None; "
        f"got {scoring!r}.{meant}"
    )


def refuse_one_row(model: Any, held_out: Rows) -> None:
    if len(held_out.target) < 2 and model.scoring is None and is_regressor(model):
        raise ValueError("early_stopping looks at R squared, which one row does not have; give two or more.")


def score_rule(model: Any, patience: float, unit: float) -> ScoreRule:
    """When to stop; ``unit`` is that of ``tol`` in losses."""
    by_loss = model.scoring == "loss"
    return ScoreRule(model.tol, patience, unit, has_ties=is_classifier(model) and not by_loss, by_loss=by_loss)


def fitted_with(model: Any, problem: Any, theta: Vector) -> Any:
    """A copy of the model with these parameters, for predictions."""
    fitted = copy(model)
    fitted.__dict__.pop("_n_averaged", None)  # which says that there are averages: those of an earlier fit
    fitted.__dict__.update(model._fitted_attributes(problem, theta))
    return fitted


def validation_by(model: Any, held_out: Rows, theta: Vector) -> Validate:
    """Loss and score of parameters on a validation set. A scorer that cannot score this model says so at ``theta``,
    before anything is trained."""
    evaluation, scoring = model._evaluation(held_out), model.scoring
    if scoring is None:
        return evaluation.both
    scorer = None if scoring == "loss" else get_scorer(scoring)
    validate = _Validation(model, evaluation, model._decode(held_out.target), scorer)
    try:
        validate(theta)
    except Exception as error:
        if not isinstance(scoring, str):
            raise
        raise ValueError(
            f"scoring={scoring!r} cannot score this {type(model).__name__} on the validation set: {error} Use another "
            "scorer, or scoring=None."
        ) from error
    return validate


@dataclass(frozen=True)
class _Validation:
    model: Any
    evaluation: Evaluation
    y: Any  # as the user gave it
    scorer: Callable[..., Any] | None  # None: the loss, whose sign is changed

    def __call__(self, theta: Vector) -> tuple[float, float]:
        scores = self.evaluation.problem.scores(theta)
        loss = self.evaluation.problem.mean_loss(scores)
        found = -loss if self.scorer is None else self._score(theta, scores)
        return loss, -np.inf if np.isnan(found) else found

    def _score(self, theta: Vector, scores: Any) -> float:
        """Minus infinity where there are predictions that no metric takes (a run that diverges)."""
        if not np.isfinite(self.model._link_inverse(scores) if is_regressor(self.model) else scores).all():
            return -np.inf
        problem, rows, scorer = self.evaluation.problem, self.evaluation.rows, self.scorer
        weights = {} if rows.weight is None or not _takes_weights(scorer) else {"sample_weight": rows.weight}
        assert scorer is not None
        fitted = fitted_with(self.model, problem, theta)
        fitted.__dict__.pop("feature_names_in_", None)  # checked rows are arrays, without names of columns
        with np.errstate(over="ignore", invalid="ignore"):
            found = scorer(fitted, rows.X, self.y, **weights)
        try:
            return float(found)
        except (TypeError, ValueError):
            raise TypeError(
                f"scoring={self.model.scoring!r} must give one number; it gave {found!r}. For several scores, look at "
                "one here and at the others in a search."
            ) from None


def _takes_weights(scorer: Any) -> bool:
    """Whether a scorer, or the metric in one of scikit-learn's, has an argument for them."""
    try:
        return "sample_weight" in signature(getattr(scorer, "_score_func", scorer)).parameters
    except ValueError:  # of something compiled
        return False
