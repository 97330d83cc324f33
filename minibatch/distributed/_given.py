"""What is given to train on and to train: arrays or a source, an estimator or a pipeline."""

from contextlib import closing
from typing import Any, NamedTuple

import joblib
import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import _num_samples

from minibatch.distributed._parquet import ParquetRows
from minibatch.distributed._ray import RayRows, is_ray_dataset
from minibatch.distributed._sources import ArrayShards, Source, Transformed, pieces_of

__all__ = ["Given", "learn", "learnt_by", "mark_of", "parts_of", "source_of", "through_transformers"]

_ROWS_LOOKED_AT = 1000  # at most


class Given(NamedTuple):
    """The data, as ``fit`` of an estimator takes them."""

    X: Any
    y: Any
    weight: Any
    validation: tuple[Any, Any, Any]
    target: Any = None  # columns of a data set that does not know them


def parts_of(estimator: Any) -> tuple[list[Any], Any]:
    """The transformers of a pipeline, and what is at its end."""
    if not isinstance(estimator, Pipeline):
        return [], estimator
    steps = [step for _, step in estimator.steps if step is not None and step != "passthrough"]
    return steps[:-1], steps[-1]


def learnt_by(estimator: Any) -> dict[str, Any]:
    """All that is not a parameter."""
    names = {*estimator.get_params(deep=False)}
    return {name: value for name, value in vars(estimator).items() if name not in names}


def learn(estimator: Any, learnt: dict[str, Any]) -> None:
    """That, in place of what it has learnt."""
    parameters = {name: value for name, value in vars(estimator).items() if name not in learnt_by(estimator)}
    estimator.__dict__ = parameters | learnt


def source_of(given: Given, transformers: list[Any]) -> Source | None:
    """Where rows are read from in pieces; None for arrays that are trained on as they are."""
    if is_ray_dataset(given.X):
        if given.target is None:
            raise ValueError("target must name the column of targets of a Ray Data set; got None.")
        return RayRows(given.X, given.target)
    if given.target is not None:
        raise ValueError(f"target={given.target!r} is for Ray Data sets; other sources and arrays have targets.")
    if isinstance(given.X, ArrayShards | ParquetRows):
        if given.y is not None or given.weight is not None:
            raise ValueError(f"y and sample_weight belong into {type(given.X).__name__}, not beside it.")
        return given.X
    if not transformers:
        return None
    return ArrayShards([given.X], None if given.y is None else [given.y], _listed(given.weight))


def _listed(weight: Any) -> Any:
    return None if weight is None else [weight]


def through_transformers(transformers: list[Any], source: Source) -> Source:
    """Fit each in one pass, piece by piece; returns the source of what they make of the rows."""
    found = source
    for transformer in transformers:
        stateless = not get_tags(transformer).requires_fit
        if not hasattr(transformer, "partial_fit") and not stateless:
            raise TypeError(
                f"{type(transformer).__name__} has no partial_fit, and rows are read in pieces; fit it before, on a "
                "part of the rows, and give transformed rows."
            )
        anew = clone(transformer)  # which has seen nothing, while the one given stays as it is if anything fails
        with closing(pieces_of(found)) as pieces:
            for piece in pieces:
                (anew.fit if stateless else anew.partial_fit)(piece.X, piece.y)
                if stateless:
                    break
        learn(transformer, learnt_by(anew))
        names, found = found.feature_names, Transformed(found, [anew])  # pieces are arrays, without names
        if names is not None:
            transformer.feature_names_in_ = names  # as if it had learnt from a data frame
    return found


def mark_of(given: Given, source: Source | None) -> str:
    """By which other rows are told: how many there are, and a hash of some."""
    if source is None:
        n_rows = _num_samples(given.X)
        some = np.arange(0, n_rows, max(1, -(-n_rows // _ROWS_LOOKED_AT)))
        X, y = (part if part is None else _safe_indexing(part, some) for part in (given.X, given.y))
        return f"{n_rows} rows, hash {_hash(X, y)}"
    n_rows, names = sum(source.rows_of_pieces), source.feature_names
    said = f"{n_rows} rows, columns {None if names is None else [*names]}"
    if n_rows == 0 or isinstance(source, RayRows):  # whose blocks may come in another order
        return said
    first = source.read(0).at(slice(0, _ROWS_LOOKED_AT))
    return f"{said}, hash {_hash(first.X, first.y)}"


def _hash(*parts: Any) -> str:
    """The same for a list and an array, and in whatever order an array lies."""
    found: list[Any] = [part.tocsr() if sp.issparse(part) else np.ascontiguousarray(part) for part in parts]
    return str(joblib.hash([part.astype(str) if part.dtype == object else part for part in found]))
