"""Plain SGD of many models in one pass: ``engine.candidates_sgd`` as ``Request.run`` of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.candidates import (
    ROWS_OF_PASS,
    columns_of,
    lanes_of,
    losses_of,
    padded,
    pieces_of,
    room_of,
    shared_by,
    vectors_of,
)
from minibatch._problems.linear import LinearProblem
from minibatch._problems.requests import Request
from minibatch._problems.state import Vector
from minibatch.engine.candidates import Candidates, Shared
from minibatch.engine.candidates_sgd import RoomOfRates, candidates_sgd_epoch
from minibatch.engine.candidates_sgd_rows import Norms, candidates_sgd_rows_epoch
from minibatch.schedules._progress import Rates

__all__ = ["train_sgd"]


def train_sgd(requests: Sequence[Request]) -> list[NDArray[np.float64]]:
    """Losses of each."""
    problem: Any = requests[0].problem
    everyone = padded(requests, lanes_of(problem))
    thetas, shared = columns_of(np.stack([request.state.theta for request in everyone]), problem), shared_by(everyone)
    n_columns, dtype = len(thetas.intercept), thetas.weights.dtype
    models, steps = Candidates(*thetas, np.ones(n_columns)), RoomOfRates(*np.empty((2, n_columns)))
    rates = _rates_of(everyone)
    room = room_of(thetas.weights, shared.batch_size, needs_gradient=False)
    products, norms = np.empty((ROWS_OF_PASS, ROWS_OF_PASS), dtype), _norms_of(problem, shared, thetas.weights)
    for first, last in pieces_of(shared):
        if shared.batch_size == 1:
            candidates_sgd_rows_epoch(shared, first, last, models, rates, products, norms, room, steps)
        else:
            candidates_sgd_epoch(shared, first, last, models, rates, room, steps)
    for i, (request, theta) in enumerate(zip(requests, vectors_of(thetas, problem), strict=False)):
        request.state.theta[...] = theta
        request.state.count(len(request.epoch.etas), 0)
        if len(norms.of_rows):
            request.state.penalty_seen += 0.5 * shared.numbers.l2[i] * norms.seen[i]
    return losses_of(shared, len(requests))


def _rates_of(requests: Sequence[Request]) -> Rates:
    """Of every batch (models, batches); of one, where they stay what they are."""
    etas = [request.epoch.etas for request in requests]
    return np.stack([of_model[:1] for of_model in etas] if all(one.strides == (0,) for one in etas) else etas)


def _norms_of(problem: LinearProblem, shared: Shared, weights: Vector) -> Norms:
    """Where the penalty is followed, of models with one output."""
    if problem.squares is None:
        return Norms(*np.empty((4, 0)))
    squared = np.einsum("jc,jc->c", weights, weights, dtype=np.float64)
    return Norms(problem.squares[shared.order], squared, *np.zeros((2, len(squared))))
