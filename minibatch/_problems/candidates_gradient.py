"""Many models with any solver in one pass: ``engine.candidates_gradient`` as ``Request.run`` of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.candidates import VECTOR_BYTES, losses_of, padded, pieces_of, room_of, shared_by
from minibatch._problems.linear import LinearProblem
from minibatch._problems.requests import Request
from minibatch.engine.candidates import Shared
from minibatch.engine.candidates_gradient import Learners, Rates, RoomOfGradients, candidates_gradient_epoch
from minibatch.engine.linear import Parameters
from minibatch.engine.optimizers import SGD

__all__ = ["train_by_gradients"]


def train_by_gradients(requests: Sequence[Request]) -> list[NDArray[np.float64]]:
    """Losses of each."""
    problem: Any = requests[0].problem
    state, epoch, everyone = requests[0].state, requests[0].epoch, padded(requests, VECTOR_BYTES // 8)  # of losses
    learners, shared, rates = _learners_of(everyone), shared_by(everyone), _rates_of(requests, len(everyone))
    room = _room_of(learners, shared)
    for first, last in pieces_of(shared):
        candidates_gradient_epoch(
            shared, first, last, problem.solver, learners, rates, state.slot_updates, epoch.first_averaged, room
        )
    _write_back(requests, learners)
    return [losses[: problem.n_objectives] for losses in losses_of(shared, len(requests))]


def _room_of(learners: Learners, shared: Shared) -> RoomOfGradients:
    rows, scores, _, sums = room_of(learners.theta.weights.T, shared.batch_size, needs_gradient=False)
    return RoomOfGradients(rows, scores, sums, np.ones(len(sums)), np.empty((1, shared.n_outputs)))


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


def _rates_of(requests: Sequence[Request], n_models: int) -> Rates:
    """With those of the last as often as there are more models."""
    places = np.minimum(np.arange(n_models), len(requests) - 1)
    problems: list[Any] = [request.problem for request in requests]
    momenta = np.array([problem.solver.momentum for problem in problems], dtype=np.float64)[places]
    etas = np.stack([requests[i].epoch.etas for i in places])
    if requests[0].state.beta == 0.0:  # nothing weighs iterates, see ``State.shares``
        return Rates(etas, etas, momenta)
    shares = [request.state.shares(request.epoch.etas) for request in requests]
    return Rates(etas, np.stack([shares[i] for i in places]), momenta)


def _forgets(request: Request) -> bool:
    """As ``LinearLoops.run_epoch``: a full batch neither pays debts of L1 nor makes any."""
    problem: Any = request.problem
    return bool(problem.solver.kind == SGD and problem.objective.l1 > 0.0 and not request.epoch.noisy)


def _write_back(requests: Sequence[Request], learners: Learners) -> None:
    problem: Any = requests[0].problem
    n, epoch = len(learners.theta.intercept) // problem.n_outputs, requests[0].epoch
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
