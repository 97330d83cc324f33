"""The rows of a fold as the final estimators of a search get them: cut, transformed and checked once for many."""

import copy
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.pipelines import split_pipeline, transform
from minibatch._base.rows import Checked
from minibatch._base.watch import Evaluation
from minibatch._problems.batching import Order, sample_orders
from minibatch._training.beginning import Findings
from minibatch.model_selection._failures import attempt
from minibatch.model_selection._search_scores import ScoredRows, is_own_score, knows_only_predictions, own_evaluation

__all__ = ["FoldRows", "FormRows", "Given", "Sample", "arguments_of_fit", "rows_of_fold", "rows_of_form"]


class Given(NamedTuple):
    """What ``fit`` of a search was given, with what goes to the fits and to the scores."""

    X: Any
    y: Any
    fit_params: Mapping[str, Any]
    score_params: Mapping[str, Any]
    scorer: Any
    return_train_score: bool


class Sample(NamedTuple):
    """The numbers of the rows of one split, and its own."""

    number: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


class FoldRows(NamedTuple):
    """One split, behind transformers that are fitted to its training part."""

    number: int
    X: Any
    y: Any
    params: dict[str, Any]  # of ``fit`` of the final estimator
    given: tuple[Any, Any, Any]  # what went into the transformers: X, y, sample_weight
    scored: list[ScoredRows]  # the test part and, where it is asked for, the training part
    pipeline: Any  # fitted, with ``_End`` at its end
    scores_final: bool  # whether scorers get the final estimator; else the pipeline
    seconds: float  # that this took
    orders: Callable[..., Order]  # of its rows in an epoch; the last is remembered

    def to_score(self, final: Any) -> Any:
        """What the scorers get for a fitted final estimator."""
        return final if self.scores_final else _with_end(self.pipeline, final)


class FormRows(NamedTuple):
    """The rows of a fold for models of one form."""

    given: Mapping[str, Any]  # what goes to ``fit``, by its arguments
    checked: Checked | None  # to train on; None where each refuses them by itself
    evaluations: list[Evaluation | None]  # of what is scored; None where the scorer is asked


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


def rows_of_fold(estimator: Any, given: Given, sample: Sample) -> FoldRows:
    """Fit the transformers of ``estimator``, a clone, to the training part."""
    began = time.perf_counter()
    X, y = _safe_split(estimator, given.X, given.y, sample.train)
    params = _check_method_params(given.X, params=given.fit_params, indices=sample.train)
    final = split_pipeline(estimator)[1]
    pipeline = _with_end(estimator, _End(final))
    pipeline.fit(X, y, **params)
    got, got_y, of_final = _end_of(pipeline).got_
    _end_of(pipeline).got_ = ()  # the rows go when the fold does
    seconds = time.perf_counter() - began
    X_test, y_test = _safe_split(estimator, given.X, given.y, sample.test, sample.train)
    of_test, of_train = (
        _check_method_params(given.X, params=given.score_params, indices=rows) for rows in (sample.test, sample.train)
    )
    scored = [ScoredRows(X_test, y_test, of_test), ScoredRows(X, y, of_train)][: 1 + given.return_train_score]
    scores_final = knows_only_predictions(given.scorer)
    if scores_final:
        transformed, failure = attempt(_transformed, split_pipeline(_with_end(pipeline, final))[0], scored)
        # where a transformer refuses rows it is scoring that fails, of the pipeline
        scored, scores_final = (transformed, True) if failure is None else (scored, False)
    whole, orders = (X, y, params.get("sample_weight")), lru_cache(maxsize=1)(sample_orders)
    return FoldRows(
        sample.number, got, got_y, of_final, whole, scored, pipeline, scores_final, seconds, orders
    )  # fmt: skip


def _transformed(transformers: list[Any], parts: list[ScoredRows]) -> list[ScoredRows]:
    return [part._replace(X=transform(transformers, part.X)) for part in parts]


def arguments_of_fit(final: MiniBatchEstimator, fold: FoldRows) -> Mapping[str, Any]:
    return signature(final.fit).bind(fold.X, fold.y, **fold.params).arguments


def rows_of_form(final: MiniBatchEstimator, fold: FoldRows, scorer: Any, like: Checked | None) -> FormRows:
    """For models that differ from ``final`` in numbers; ``like`` is what others have made of the training rows, who may
    have converted X."""
    model, before, given = clone(final), set(vars(final)), arguments_of_fit(final, fold)
    X = fold.X if like is None else like.rows.X
    rows = model._checked_rows(X, fold.y, given.get("sample_weight"), reset=True, all_zero=model.early_stopping)
    learnt = {name: value for name, value in vars(model).items() if name not in before}
    checked = Checked(rows, learnt if like is None else {**like.learnt, **learnt}, Findings())
    if not (fold.scores_final and is_own_score(scorer, final)):
        return FormRows(given, checked, [None] * len(fold.scored))
    return FormRows(given, checked, [attempt(own_evaluation, model, part, rows.X.dtype)[0] for part in fold.scored])


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
