"""The rows of a fold as the final estimators of a search get them: cut, transformed and checked once for many."""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer
from sklearn.pipeline import Pipeline
from sklearn.utils import assert_all_finite
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.pipelines import split_pipeline, transform
from minibatch._base.rows import Checked

__all__ = ["Fold", "Given", "Part", "Sample", "checked_once", "fold_of", "knows_only_predictions"]


class Given(NamedTuple):
    """What ``fit`` of a search was given, with what goes to the fits and to the scores."""

    X: Any
    y: Any
    fit_params: Mapping[str, Any]
    score_params: Mapping[str, Any]


class Sample(NamedTuple):
    """The numbers of the rows of one split, and its own."""

    number: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


class Part(NamedTuple):
    """Rows to score on, as the models that are scored get them."""

    X: Any
    y: Any
    params: dict[str, Any]
    known_finite: bool

    def checks(self) -> AbstractContextManager[Any]:
        """How much of these rows is to be checked by each of many models."""
        return config_context(assume_finite=True) if self.known_finite else nullcontext()


class Fold(NamedTuple):
    """One split, behind transformers that are fitted to its training part."""

    number: int
    X: Any
    y: Any
    params: dict[str, Any]  # of ``fit`` of the final estimator
    given: tuple[Any, Any, Any]  # what went into the transformers: X, y, sample_weight
    train: Part
    test: Part
    pipeline: Any  # fitted, with ``_End`` at its end
    scores_final: bool  # whether scorers get the final estimator; else the pipeline

    def scored(self, final: Any) -> Any:
        """What the scorers get for a fitted final estimator."""
        return final if self.scores_final else _with_end(self.pipeline, final)


class _End(BaseEstimator):
    """Stands at the end of a pipeline in place of the final estimator, and keeps what that would get."""

    def __init__(self, final: Any = None) -> None:
        self.final = final

    def fit(self, X: Any, y: Any = None, **params: Any) -> "_End":
        self.got_ = X, y, params
        return self

    def get_metadata_routing(self) -> Any:
        return get_routing_for_object(self.final)

    def __sklearn_tags__(self) -> Any:
        return self.final.__sklearn_tags__()


def fold_of(estimator: Any, given: Given, sample: Sample, scores_final: bool) -> Fold:
    """Fit the transformers of ``estimator``, a clone, to the training part."""
    (X, y), (X_test, y_test) = (_safe_split(estimator, given.X, given.y, rows) for rows in (sample.train, sample.test))
    fit_params = _check_method_params(given.X, params=given.fit_params, indices=sample.train)
    pipeline, final = _with_end(estimator, _End(split_pipeline(estimator)[1])), split_pipeline(estimator)[1]
    pipeline.fit(X, y, **fit_params)
    got, got_y, params = _end_of(pipeline).got_
    _end_of(pipeline).got_ = ()  # the rows go when the fold does
    scores = [_check_method_params(given.X, params=given.score_params, indices=i) for i in (sample.train, sample.test)]
    transformers = split_pipeline(_with_end(pipeline, final))[0] if scores_final else []
    rows = (got if scores_final else X, transform(transformers, X_test))
    train, test = (
        Part(rows_, targets, of_scores, _is_finite(rows_))
        for rows_, targets, of_scores in zip(rows, (y, y_test), scores, strict=True)
    )
    weight = fit_params.get("sample_weight")
    return Fold(sample.number, got, got_y, params, (X, y, weight), train, test, pipeline, scores_final)


def checked_once(final: MiniBatchEstimator, fold: Fold) -> Checked | None:
    """The training rows as models that differ from ``final`` in numbers would check them. None where it refuses them:
    each says so by itself."""
    model = clone(final)
    try:
        bound = signature(model.fit).bind(fold.X, fold.y, **fold.params).arguments
        before = {**vars(model)}
        rows = model._checked_rows(
            fold.X, fold.y, bound.get("sample_weight"), reset=True, all_zero=model.early_stopping
        )
    except (ValueError, TypeError):
        return None
    return Checked(rows, {name: value for name, value in vars(model).items() if name not in before})


def knows_only_predictions(scorer: Any) -> bool:
    """Whether a scorer is one of scikit-learn's, which ask an estimator for nothing but its predictions or score."""
    if isinstance(scorer, _MultimetricScorer):
        return all(map(knows_only_predictions, scorer._scorers.values()))
    return isinstance(scorer, _BaseScorer | _PassthroughScorer)


def _with_end(estimator: Any, end: Any) -> Any:
    """A pipeline with another final estimator, and all else the same; or that estimator."""
    if not isinstance(estimator, Pipeline):
        return end
    changed = copy.copy(estimator)
    name, last = estimator.steps[-1]
    changed.steps = [*estimator.steps[:-1], (name, _with_end(last, end))]
    return changed


def _end_of(estimator: Any) -> Any:
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def _is_finite(X: Any) -> bool:
    """Whether X is an array of finite numbers, which nobody needs to look at again."""
    if not (isinstance(X, np.ndarray) or sp.issparse(X)) or X.dtype.kind != "f":
        return False
    try:
        assert_all_finite(X)
    except ValueError:
        return False
    return True
