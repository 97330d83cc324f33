"""Requests of linear models that share passes over the rows: what goes into the engine, and comes out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.linear import LinearProblem
from minibatch._problems.pieces import at_once, cut
from minibatch._problems.state import Request, Vector
from minibatch.engine.candidates import Numbers, Room
from minibatch.engine.linear import Parameters

__all__ = [
    "BLOCK_ROWS", "LOSS_WORK", "ROWS_OF_PASS", "VALUE_WORK", "columns_of", "numbers_of", "of_columns", "order_of", "pieces_of", "room_of", "vectors_of",
]  # fmt: skip

# Rows that are copied, scored and added while they are in the cache.
BLOCK_ROWS = 256
# Single rows whose updates are a pass over the weights.
ROWS_OF_PASS = 4
# Work (see ``pieces``) of a row and a column of weights: the loss, and a value.
LOSS_WORK, VALUE_WORK = 10, 0.2


def columns_of(vectors: NDArray[Any], problem: LinearProblem) -> Parameters:
    """Flat vectors (models, n_parameters) as the engine takes many models: weights (features, columns) in their type,
    and intercepts (columns,)."""
    n, n_weights = len(vectors), problem.n_outputs * problem.n_features
    weights = vectors[:, :n_weights].reshape(n, problem.n_outputs, problem.n_features)
    intercept = vectors[:, n_weights:].T.astype(np.float64).ravel()
    return Parameters(np.ascontiguousarray(weights.transpose(2, 1, 0)).reshape(problem.n_features, -1), intercept)


def vectors_of(columns: Parameters, problem: LinearProblem) -> NDArray[Any]:
    """What ``columns_of`` was given."""
    weights = columns.weights.reshape(problem.n_features, problem.n_outputs, -1)
    n = weights.shape[2]
    return np.hstack([weights.transpose(2, 1, 0).reshape(n, -1), columns.intercept.reshape(-1, n).T])


def of_columns(numbers: Sequence[float], problem: LinearProblem) -> NDArray[np.float64]:
    """Numbers of models, for each output."""
    return np.tile(np.array(numbers, dtype=np.float64), problem.n_outputs)


def numbers_of(problems: Sequence[LinearProblem]) -> Numbers:
    first, objectives = problems[0], [problem.objective for problem in problems]
    return Numbers(
        of_columns([objective.l1 for objective in objectives], first),
        of_columns([objective.l2 for objective in objectives], first),
        of_columns([objective.parameter for objective in objectives], first),
    )


def order_of(request: Request) -> NDArray[np.int64]:
    """Of the rows of the data."""
    problem: Any = request.problem
    order: NDArray[np.int64] = request.epoch.order if problem.rows is None else problem.rows[request.epoch.order]
    return order


def room_of(weights: Vector, batch_size: int, *, needs_gradient: bool) -> Room:
    """Buffers; one for the gradient where a batch is more than a block, or the engine needs it."""
    (n_features, n_columns), dtype = weights.shape, weights.dtype
    block = min(batch_size, BLOCK_ROWS) if batch_size > 1 else ROWS_OF_PASS
    gradient = np.empty((n_features if needs_gradient or batch_size > block else 0, n_columns), dtype)
    rows, scores = np.empty((block, n_features), dtype), np.empty((block, n_columns), dtype)
    return Room(rows, scores, gradient, np.zeros(n_columns))


def pieces_of(n_rows: int, batch_size: int, weights: Vector) -> Iterator[tuple[int, int]]:
    """The first and last rows of the calls that an epoch is cut into: between batches, or blocks of large ones."""
    n_features, n_columns = weights.shape
    unit = min(batch_size, BLOCK_ROWS) if batch_size > 1 else ROWS_OF_PASS
    step = at_once(n_columns * (LOSS_WORK + VALUE_WORK * n_features)) // unit * unit
    yield from cut(0, n_rows, max(unit, step))
