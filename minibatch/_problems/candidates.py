"""Requests of linear models that share passes over the rows: what goes into the engine, and comes out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.linear import LinearProblem
from minibatch._problems.pieces import at_once, cut
from minibatch._problems.requests import Request
from minibatch._problems.state import Vector
from minibatch.engine.candidates import Numbers, Room, Shared
from minibatch.engine.linear import Parameters

__all__ = [
    "BLOCK_ROWS", "LOSS_WORK", "ROWS_OF_PASS", "VALUE_WORK", "VECTOR_BYTES", "columns_of", "lanes_of", "losses_of",
    "padded", "pieces_of", "room_of", "shared_by", "vectors_of",
]  # fmt: skip

# Rows that are copied, scored and added while they are in the cache; single rows whose updates are a pass over the
# weights.
BLOCK_ROWS, ROWS_OF_PASS = 256, 4
# Bytes of the longest SIMD vectors.
VECTOR_BYTES = 64
# Work (see ``pieces``) of a row and a column of weights: the loss, and a value.
LOSS_WORK, VALUE_WORK = 10, 0.2


def padded(requests: Sequence[Request], lanes: int) -> list[Request]:
    """With the last as often as it takes for whole SIMD vectors of models: what is left over after these would take
    longer. Measured in batches of one row, float32, ns a row: 15 models 340, 16 models 180."""
    return [*requests, *[requests[-1]] * (-len(requests) % lanes)]


def lanes_of(problem: LinearProblem) -> int:
    """Models in a SIMD vector: of losses, where outputs are many, or of weights."""
    return VECTOR_BYTES // (8 if problem.n_outputs > 1 else problem.data.y.itemsize)


def shared_by(requests: Sequence[Request]) -> Shared:
    problems: list[Any] = [request.problem for request in requests]
    problem, epoch, objectives = problems[0], requests[0].epoch, [problem.objective for problem in problems]
    order = epoch.order if problem.rows is None else problem.rows[epoch.order]
    numbers = Numbers(*(
        np.tile(np.array([getattr(objective, name) for objective in objectives], dtype=np.float64), problem.n_outputs)
        for name in ("l1", "l2", "parameter")
    ))  # fmt: skip
    sums = np.zeros((3, len(numbers.l1)))
    return Shared(problem.data, order, epoch.batch_size, problem.objective, problem.n_outputs, numbers, *sums)


def losses_of(shared: Shared, n_models: int) -> list[NDArray[np.float64]]:
    """Of the outputs of each of the first models."""
    losses = shared.losses + (np.log1p(shared.products) + np.log(2.0) * shared.halvings)
    return list(losses.reshape(shared.n_outputs, -1).T[:n_models])


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


def room_of(weights: Vector, batch_size: int, *, needs_gradient: bool) -> Room:
    """Buffers; one for the gradient where a batch is more than a block, or the engine needs it."""
    (n_features, n_columns), dtype = weights.shape, weights.dtype
    block = min(batch_size, BLOCK_ROWS) if batch_size > 1 else ROWS_OF_PASS
    gradient = np.empty((n_features if needs_gradient or batch_size > block else 0, n_columns), dtype)
    rows, scores = np.empty((block, n_features), dtype), np.empty((block, n_columns), dtype)
    return Room(rows, scores, gradient, np.zeros(n_columns))


def pieces_of(shared: Shared) -> Iterator[tuple[int, int]]:
    """The first and last rows of the calls that an epoch is cut into: between batches, or blocks of large ones."""
    unit = min(shared.batch_size, BLOCK_ROWS) if shared.batch_size > 1 else ROWS_OF_PASS
    work = len(shared.losses) * (LOSS_WORK + VALUE_WORK * shared.data.X.shape[1])
    yield from cut(0, len(shared.order), max(unit, at_once(work) // unit * unit))
