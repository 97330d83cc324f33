"""Plain SGD of many models in one pass: ``engine.candidates_sgd`` as ``Request.run`` of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.candidates import ROWS_OF_PASS, columns_of, numbers_of, order_of, pieces_of, room_of, vectors_of
from minibatch._problems.state import Request
from minibatch.engine.candidates import Candidates
from minibatch.engine.candidates_sgd import RoomOfRates, candidates_sgd_epoch
from minibatch.engine.candidates_sgd_rows import candidates_sgd_rows_epoch

__all__ = ["train_sgd"]


def train_sgd(requests: Sequence[Request]) -> list[NDArray[np.float64]]:
    """Losses of each."""
    problems: list[Any] = [request.problem for request in requests]
    (data, objective), batch_size = (problems[0].data, problems[0].objective), requests[0].epoch.batch_size
    thetas = columns_of(np.stack([request.state.theta for request in requests]), problems[0])
    n_columns, order, numbers = len(thetas.intercept), order_of(requests[0]), numbers_of(problems)
    models, losses = Candidates(*thetas, np.ones(n_columns)), np.zeros(n_columns)
    rates, steps = np.stack([request.epoch.etas for request in requests]), RoomOfRates(*np.empty((2, n_columns)))
    room = room_of(models.weights, batch_size, needs_gradient=False)
    products = np.empty((ROWS_OF_PASS, ROWS_OF_PASS), models.weights.dtype)
    for begin, end in pieces_of(len(order), batch_size, models.weights):
        if batch_size == 1:
            candidates_sgd_rows_epoch(
                data, order, begin, end, objective, numbers, models, rates, products, room, steps, losses
            )
        else:
            candidates_sgd_epoch(
                data, order, begin, end, batch_size, objective, numbers, models, rates, room, steps, losses
            )
    for request, theta in zip(requests, vectors_of(thetas, problems[0]), strict=True):
        request.state.theta[...] = theta
        request.state.count(len(request.epoch.etas), 0)
    return list(losses.reshape(-1, len(requests)).T)
