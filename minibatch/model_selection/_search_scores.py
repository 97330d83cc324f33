"""Scores of fitted candidates: by the scorer or, where that is accuracy or R squared, in a fraction of its time."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer
from sklearn.model_selection._validation import _score

from minibatch._base.watch import Evaluation
from minibatch._problems.state import Vector
from minibatch.model_selection._failures import attempt

__all__ = ["Fit", "ScoredRows", "is_own_score", "knows_only_predictions", "own_evaluation", "scores_of"]


class ScoredRows(NamedTuple):
    """As what is scored gets them."""

    X: Any
    y: Any
    params: dict[str, Any]


class Fit(Protocol):
    """That has come to an end, or rests."""

    def now(self) -> Any:
        """The model that it leaves here."""

    def theta(self, problem: Any) -> Vector:
        """The parameters of that, as the problem lays them out."""


def knows_only_predictions(scorer: Any) -> bool:
    """Whether a scorer is one of scikit-learn's, which ask an estimator for nothing but its predictions or score."""
    if isinstance(scorer, _MultimetricScorer):
        return all(map(knows_only_predictions, scorer._scorers.values()))
    return isinstance(scorer, _BaseScorer | _PassthroughScorer)


def is_own_score(scorer: Any, final: Any) -> bool:
    """Whether a scorer gives the accuracy or R squared of predictions that are as this package makes them."""
    if not type(final).__module__.startswith("minibatch."):
        return False
    if isinstance(scorer, _PassthroughScorer):
        return type(final).score in (ClassifierMixin.score, RegressorMixin.score)
    metric = accuracy_score if is_classifier(final) else r2_score
    return isinstance(scorer, _BaseScorer) and scorer._score_func is metric and scorer._sign == 1 and not scorer._kwargs


def own_evaluation(model: Any, part: ScoredRows, dtype: Any) -> Evaluation:
    """For scores of many models like this one, which has learnt what there is to know from the training rows: checked
    once."""
    if not part.params.keys() <= {"sample_weight"}:
        raise TypeError("scores take something else than weights")
    rows = model._checked_rows(part.X, part.y, part.params.get("sample_weight"), reset=False, dtype=dtype)
    found: Evaluation = model._evaluation(rows)
    return found


def scores_of(
    fits: Sequence[Fit],
    evaluations: Sequence[Evaluation | None],
    part: ScoredRows,
    to_score: Callable[[Any], Any],
    scorer: Any,
    error_score: Any,
) -> list[Any]:
    """As scikit-learn's ``_fit_and_score`` has them. ``to_score`` makes of a final estimator what the scorer gets; that
    says what there is to say where there is no evaluation, or that has no number."""
    found: dict[int, Any] = {}
    alike: dict[int, list[int]] = {}
    for i, evaluation in enumerate(evaluations):
        if evaluation is not None:
            alike.setdefault(id(evaluation), []).append(i)
    for places in alike.values():
        scores = attempt(_own_scores, [fits[i] for i in places], evaluations[places[0]])[0]
        found |= {i: score for i, score in zip(places, scores or (), strict=False) if np.isfinite(score)}
    return [
        found[i] if i in found else _score(to_score(fit.now()), part.X, part.y, scorer, part.params, error_score)
        for i, fit in enumerate(fits)
    ]


def _own_scores(fits: Sequence[Fit], evaluation: Evaluation) -> list[float]:
    return evaluation.scores(np.stack([fit.theta(evaluation.problem) for fit in fits]))
