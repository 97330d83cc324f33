"""The best model that looks at no column: where log links begin, and the unit in which ``tol`` is measured."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, xlog1py, xlogy
from sklearn.utils.extmath import row_norms
from sklearn.utils.stats import _weighted_percentile

from minibatch._problems.state import matrix_of, read_only
from minibatch.engine.linear import ONE_VS_REST, SOFTMAX
from minibatch.engine.losses import (
    ABSOLUTE_ERROR,
    CROSS_ENTROPY,
    EPSILON_INSENSITIVE,
    GAMMA,
    HINGE,
    HUBER,
    LOG_LOSS,
    PERCEPTRON,
    POISSON,
    QUANTILE,
)

__all__ = ["LEVEL", "LOG_LINKS", "BestConstant", "best_constant"]

LOG_LINKS = (POISSON, GAMMA)
LEVEL = 0.02  # of the unit


class BestConstant(NamedTuple):
    """The constant with the least loss. Nearly the least for Huber's loss and for those that are insensitive to small
    residuals: these have the median, or the mean if they are squared."""

    scores: NDArray[np.float64]  # of the outputs; finite, so 0 where a mean of 0 has no logarithm
    loss: float  # summed over the outputs, without penalty
    # What there is to gain: the loss, from the least that the targets allow. Where all rows have one target, that of
    # the score 0, or 1. It is of the size of all differences between losses, whatever the scale of y.
    unit: float
    # Whether it tells anything about a model. That of a perceptron scales with its weights, which have no scale: at 0
    # they have no loss, and only a draw for a prediction.
    is_comparable: bool


def best_constant(problem: Any) -> BestConstant:
    """Of the rows trained on, with their weights."""
    if problem.objective.tilt:
        return _of_one_class(problem)
    y, weight = _targets_and_weights(problem)
    best, least = _best_scores(problem, y, weight), _least_loss(problem.objective.loss, y, weight)
    if problem.objective.outputs in (ONE_VS_REST, SOFTMAX):
        problem = _on_rows_of(problem, y, weight)
    loss = _loss_of(problem, best)
    varied = np.ptp(y if weight is None else y[weight > 0.0], axis=0).any()  # else the loss is rounding
    gain = loss - least if varied else _loss_of(problem, np.zeros_like(best)) - least
    is_comparable = problem.objective.loss != PERCEPTRON
    return BestConstant(best, loss, gain if 0.0 < gain < np.inf else 1.0, is_comparable)


def _of_one_class(problem: Any) -> BestConstant:
    """All rows on the boundary, which has no loss. A model gains at most ``nu / 2`` times the squared norm of the mean
    row; this is the unit with the mean of the squared norms, which is not 0 for centred rows. Where there is nothing to
    gain, a run comes to rest a little above the boundary: a part of the unit counts as level with it."""
    X, (_, weight) = matrix_of(problem.data.X, problem.n_features), _targets_and_weights(problem)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = row_norms(X, squared=True).astype(np.float64)
        squares = squares if problem.rows is None else squares[problem.rows]
        unit = 0.5 * problem.objective.l2 * float(_mean(squares[:, None], weight).sum())
    unit = unit if 0.0 < unit < np.inf else 1.0
    return BestConstant(np.zeros(1), LEVEL * unit, unit, is_comparable=True)


def _best_scores(problem: Any, y: NDArray[Any], weight: Any) -> NDArray[np.float64]:
    code, outputs = problem.objective.loss, problem.objective.outputs
    if outputs == SOFTMAX:
        return _finite(np.log, weight)
    if outputs == ONE_VS_REST:
        of_rest, of_class = problem.data.class_weight * [1.0 - weight, weight]
        mean = (of_class - of_rest) / np.maximum(of_class + of_rest, np.finfo(float).tiny)
    else:
        mean = _mean(y, weight)
    if code in LOG_LINKS:
        return _finite(np.log, mean)
    if code in (LOG_LOSS, CROSS_ENTROPY):
        return _finite(logit, mean if code == CROSS_ENTROPY else (1.0 + mean) / 2.0)
    at_median = code in (HINGE, PERCEPTRON, HUBER, EPSILON_INSENSITIVE, ABSOLUTE_ERROR, QUANTILE)
    if at_median and (outputs == ONE_VS_REST or code in (HINGE, PERCEPTRON)):
        return np.where(mean > 0.0, 1.0, -1.0)
    if at_median:
        return _quantile(y, weight, problem.objective.parameter if code == QUANTILE else 0.5)
    return mean


def _targets_and_weights(problem: Any) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    """Of the rows trained on, weights summing to 1 (None: all the same); of classes that share rows, their numbers and
    shares. No row is copied without need."""
    rows = slice(None) if problem.rows is None else problem.rows
    y, weight = problem.data.y[rows], None
    if len(problem.data.weight):
        weight = problem.data.weight[rows].astype(np.float64)
        weight /= weight.sum()
    if problem.objective.outputs in (ONE_VS_REST, SOFTMAX):
        n_classes = problem.data.class_weight.shape[1]
        counts: Any = np.bincount(y[:, 0].astype(np.int64), weight, n_classes)
        return np.arange(n_classes, dtype=np.float64)[:, None], counts / (len(y) if weight is None else 1.0)
    return y, weight


def _on_rows_of(problem: Any, y: NDArray[Any], weight: Any) -> Any:
    """One row a class has the same losses of constants; its cost does not grow with rows times classes."""
    targets, weights = (read_only(part.astype(problem.data.y.dtype)) for part in (y, weight))
    return replace(problem, data=problem.data._replace(y=targets, weight=weights), rows=None)


def _loss_of(problem: Any, scores: NDArray[np.float64]) -> float:
    """Of a constant."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(problem.mean_loss(np.broadcast_to(scores, (len(problem.data.y), len(scores)))))


def _mean(y: NDArray[Any], weight: Any) -> NDArray[np.float64]:
    if weight is None:
        return y.mean(axis=0, dtype=np.float64)
    return np.einsum("i,ij->j", weight, y)  # a product would wake the threads of BLAS


def _quantile(y: NDArray[Any], weight: Any, rank: float) -> NDArray[np.float64]:
    if weight is None:
        return np.quantile(y, rank, axis=0, method="inverted_cdf").astype(np.float64)
    return np.atleast_1d(_weighted_percentile(y, weight, 100.0 * rank)).astype(np.float64)


def _least_loss(code: tuple[int, ...], y: NDArray[Any], weight: Any) -> float:
    """That every row could have with a score of its own."""
    if code not in (*LOG_LINKS, CROSS_ENTROPY):
        return 0.0
    if code == CROSS_ENTROPY:  # the entropy of the targets
        return float(_mean(-xlogy(y, y) - xlog1py(1.0 - y, -y), weight).sum())
    return float(_mean(y - xlogy(y, y) if code == POISSON else 1.0 + np.log(y), weight).sum())


def _finite(function: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        found = function(values)
    return np.where(np.isfinite(found), found, 0.0)
