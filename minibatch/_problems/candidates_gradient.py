"""Many models with any solver in one pass: ``engine.candidates_gradient`` as ``Request.run`` of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.candidates import numbers_of, order_of, pieces_of, room_of
from minibatch._problems.linear import LinearProblem
from minibatch._problems.state import Request
from minibatch.engine.candidates_gradient import Learners, Rates, RoomOfGradients, candidates_gradient_epoch
from minibatch.engine.linear import Parameters
from minibatch.engine.optimizers import SGD

__all__ = ["train_by_gradients"]


def train_by_gradients(requests: Sequence[Request]) -> list[NDArray[np.float64]]:
    """Losses of each."""
    problems: list[Any] = [request.problem for request in requests]
    first, epoch, state, n = problems[0], requests[0].epoch, requests[0].state, len(requests)
    learners, numbers, rates, order = _learners_of(requests), numbers_of(problems), _rates_of(requests), order_of(requests[0])
    weights = learners.theta.weights.T
    room = room_of(weights, epoch.batch_size, needs_gradient=False)
    buffers = RoomOfGradients(room.rows, room.scores, room.sums, np.ones(weights.shape[1]))
    losses, own = np.zeros(weights.shape[1]), np.empty((1, first.n_outputs))
    for begin, end in pieces_of(len(order), epoch.batch_size, weights):
        candidates_gradient_epoch(
            first.data, order, begin, end, epoch.batch_size, first.objective, first.solver, numbers, learners, rates,
            state.slot_updates, epoch.first_averaged, buffers, own, losses,
        )  # fmt: skip
    _write_back(requests, learners)
    return list(losses.reshape(-1, n).T[:, : first.n_objectives])


def _learners_of(requests: Sequence[Request]) -> Learners:
    problem: Any = requests[0].problem
    states = [request.state for request in requests]
    theta = _rows_of([state.theta for state in states], problem)
    gradient = Parameters(*(np.empty_like(part) for part in theta))
    slots = [_rows_of([state.slots[i] for state in states], problem) for i in range(len(states[0].slots))]
    if _forgets(requests[0]):
        slots[0].weights[:], slots[0].intercept[:] = 0.0, 0.0
    first, second = [*slots, gradient, gradient][:2]  # a solver with less than two slots never touches the others
    averaged = requests[0].epoch.first_averaged < len(requests[0].epoch.etas)
    total = Parameters(np.empty((len(theta.intercept), 0)), np.empty(len(theta.intercept)))
    if averaged:
        total = _rows_of([state.total for state in states], problem)
    return Learners(theta, gradient, first, second, total)


def _rows_of(vectors: Sequence[NDArray[Any]], problem: LinearProblem) -> Parameters:
    """Flat vectors of models as a row of weights for each column."""
    parts = [problem.parameters(vector) for vector in vectors]
    weights = np.stack([part.weights for part in parts], axis=1)
    intercept = np.stack([part.intercept for part in parts], axis=1)
    return Parameters(weights.reshape(-1, problem.n_features), intercept.ravel())


def _rates_of(requests: Sequence[Request]) -> Rates:
    etas = [request.epoch.etas for request in requests]
    shares = [request.state.shares(request.epoch.etas) for request in requests]
    momenta = [request.problem.solver.momentum for request in requests]
    return Rates(np.stack(etas), np.stack(shares), np.array(momenta, dtype=np.float64))


def _forgets(request: Request) -> bool:
    """As ``LinearLoops.run_epoch``: a full batch neither pays debts of L1 nor makes any."""
    problem: Any = request.problem
    return bool(problem.solver.kind == SGD and problem.objective.l1 > 0.0 and not request.epoch.noisy)


def _write_back(requests: Sequence[Request], learners: Learners) -> None:
    problem: Any = requests[0].problem
    n, epoch = len(requests), requests[0].epoch
    averaged = max(0, len(epoch.etas) - epoch.first_averaged)
    for i, request in enumerate(requests):
        state = request.state
        kept = [(state.theta, learners.theta)]
        kept += zip(state.slots, (learners.first, learners.second), strict=False)
        if averaged:
            kept.append((state.total, learners.total))
        for vector, rows in kept:
            parameters = problem.parameters(vector)
            parameters.weights[...], parameters.intercept[...] = rows.weights[i::n], rows.intercept[i::n]
        if _forgets(request):
            state.slots[0] = 0.0
        state.count(len(epoch.etas), averaged)
