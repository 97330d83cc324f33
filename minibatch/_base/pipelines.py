"""Estimators inside pipelines."""

from typing import Any

from sklearn.pipeline import Pipeline

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.sparse import refuse_damaged

__all__ = ["fit_transform", "parameter_path", "split_pipeline", "transform"]


def split_pipeline(estimator: Any) -> tuple[list[Any], MiniBatchEstimator]:
    """The pipelines of transformers before the final estimator (not copied), from the outermost in, and that estimator.

    An estimator that stands alone has no transformers.
    """
    transformers, final = [], estimator
    while isinstance(final, Pipeline):
        if len(final) > 1:
            transformers.append(final[:-1])
        final = final[-1]
    if not isinstance(final, MiniBatchEstimator):
        where = "" if final is estimator else " at the end of the Pipeline"
        got = repr(final) if isinstance(final, str) else type(final).__name__
        if isinstance(final, type):
            got = f"the class {final.__name__} instead of {final.__name__}(...)"
        message = "estimator must be an estimator of minibatch, or a Pipeline that ends in one"
        raise TypeError(f"{message}; got {got}{where}.")
    return transformers, final


def fit_transform(transformers: list[Any], X: Any, y: Any) -> Any:
    """Fit the transformers on X and y; X as the final estimator gets it."""
    for pipeline in transformers:
        refuse_damaged(X)
        X = pipeline.fit_transform(X, y)
    return X


def transform(transformers: list[Any], X: Any) -> Any:
    """X as the final estimator gets it."""
    for pipeline in transformers:
        refuse_damaged(X)
        for _, step in pipeline.steps:  # a pipeline asks whether its last step, here a transformer, is fitted
            X = X if step in (None, "passthrough") else step.transform(X)
    return X


def parameter_path(estimator: Any, name: str) -> str:
    """The name of a parameter of the final estimator, as ``set_params`` of the pipeline around it takes it."""
    path = []
    while isinstance(estimator, Pipeline):
        step, estimator = estimator.steps[-1]
        path.append(step)
    return "__".join([*path, name])
