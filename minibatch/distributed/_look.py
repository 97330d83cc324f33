"""The first pass over a source: what ``fit`` learns from rows before it trains, and a sample of them to judge by."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.utils.validation import _check_sample_weight, check_array

from minibatch._base.rows import Checked
from minibatch._base.trials import without_callbacks
from minibatch._problems.column_scales import ColumnMoments
from minibatch._training.beginning import Findings
from minibatch.distributed._sources import Piece, Source, joined, pieces_of

__all__ = ["ROWS_OF_SAMPLE", "VALUES_AT_ONCE", "Look", "look_at"]

ROWS_OF_SAMPLE = 8192  # or all, of fewer
VALUES_AT_ONCE = 50_000  # whose squares are summed


class Look(NamedTuple):
    """What there is to know about the rows of a source."""

    sample: Checked
    model: Any  # that has learnt what a model learns from rows before it trains
    n_rows: int
    to_mean_one: float  # what weights are multiplied by

    def problem_of(self, piece: Piece, like: Any) -> Any:
        """The problem of some rows; ``like`` is that of the sample."""
        weight = piece.weight
        X, target, weight = self.model._checked_rows(piece.X, piece.y, weight, reset=False, dtype=like.data.y.dtype)
        weight = None if weight is None else weight * self.to_mean_one
        return self.model._new_problem(X, target, weight=weight)


def look_at(source: Source, estimator: Any) -> Look:
    """Read all rows once."""
    n_rows = sum(source.rows_of_pieces)
    if n_rows == 0:
        raise ValueError("There are no rows to train on.")
    if getattr(estimator, "class_weight", None) is not None:
        raise ValueError("class_weight needs all rows at once; give weights of rows instead.")
    found = _Found(n_rows, with_moments=estimator._has_no_schedule() and estimator.solver == "sgd")
    for piece in pieces_of(source):
        found.add(piece)
    model = without_callbacks(clone(estimator))
    # functions, which perhaps cannot be sent, are of no use to workers
    for name, plain in (("learning_rate", "constant"), ("scoring", None)):
        if callable(getattr(model, name)):
            setattr(model, name, plain)
    labels = {"partial": True, "classes": found.classes()} if is_classifier(estimator) else {}
    before, sample = {*vars(model)}, joined(found.sample)
    rows = model._checked_rows(*sample, reset=True, **labels)
    if source.feature_names is not None:
        model.feature_names_in_ = source.feature_names
    learnt = {name: value for name, value in vars(model).items() if name not in before}
    findings = Findings()
    findings.moments = found.moments()
    model.__dict__.pop("feature_names_in_", None)  # pieces have no names
    return Look(Checked(rows, learnt, findings), model, n_rows, n_rows / found.weight if found.weight else 1.0)


@dataclass
class _Found:
    """What is found piece by piece."""

    n_rows: int
    with_moments: bool
    weight: float = 0.0
    sample: list[Piece] = field(default_factory=list)
    _labels: list[NDArray[Any]] = field(default_factory=list)
    _squares: Any = 0.0
    _present: Any = 0.0
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, piece: Piece) -> None:
        if piece.y is None:
            raise ValueError("The source has no targets; give y.")
        X = check_array(piece.X, accept_sparse="csr", dtype=[np.float64, np.float32])
        n_here = X.shape[0]
        weight = np.ones(n_here) if piece.weight is None else _check_sample_weight(piece.weight, X, dtype=np.float64)
        self.weight += float(weight.sum())
        self._labels = [np.unique(np.concatenate([*self._labels, np.unique(piece.y)]))]
        if self.with_moments:
            self._add_moments(X, weight)
        n_wanted = n_here if self.n_rows <= ROWS_OF_SAMPLE else -(-n_here * ROWS_OF_SAMPLE // self.n_rows)
        rows = np.sort(self._random.choice(n_here, n_wanted, replace=False))
        self.sample.append(Piece(X, piece.y, piece.weight).at(rows))

    def _add_moments(self, X: Any, weight: NDArray[np.float64]) -> None:
        """So many values at a time as a processor's cache holds: a seventh of the time."""
        n_rows = X.shape[0] if sp.issparse(X) else max(1, VALUES_AT_ONCE // max(1, X.shape[1]))
        for begin in range(0, X.shape[0], n_rows):
            part, of_part = X[begin : begin + n_rows].astype(np.float64), weight[begin : begin + n_rows]
            self._present = self._present + of_part @ (part != 0).astype(np.float64)
            self._squares = self._squares + of_part @ (part.multiply(part) if sp.issparse(part) else np.square(part))

    def classes(self) -> NDArray[Any]:
        return self._labels[0]

    def moments(self) -> ColumnMoments | None:
        if not self.with_moments:
            return None
        squares, present = (np.asarray(sums, np.float64).ravel() for sums in (self._squares, self._present))
        return ColumnMoments(squares, present, self.weight)
