"""``learning_rate="auto"`` of many models in one pass: ``engine.candidates_auto`` as ``Request.run`` of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.candidates import columns_of, numbers_of, order_of, pieces_of, room_of, vectors_of
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.state import Request
from minibatch.engine.candidates import Candidates, Numbers
from minibatch.engine.candidates_auto import Bands, RoomOfSteps, candidates_auto_epoch
from minibatch.engine.dual_averaging import AVERAGE_SUM, Memory
from minibatch.engine.linear import Parameters

__all__ = ["train_auto"]


def train_auto(requests: Sequence[Request]) -> list[NDArray[np.float64]]:
    """Losses of each."""
    problems: list[Any] = [request.problem for request in requests]
    first, epoch, state, n = problems[0], requests[0].epoch, requests[0].state, len(requests)
    memory, bands, numbers = _memory_of(requests), _bands_of(first), numbers_of(problems)
    points = Candidates(*(np.empty_like(part) for part in memory.dual), np.ones(len(memory.pace)))
    room, losses = room_of(points.weights, epoch.batch_size, needs_gradient=True), np.zeros(len(memory.pace))
    steps, order = _room_of_steps(points.weights, bands), order_of(requests[0])
    for begin, end in pieces_of(len(order), epoch.batch_size, points.weights):
        candidates_auto_epoch(
            first.data, order, begin, end, epoch.batch_size, first.objective, first.n_outputs, numbers, bands, memory,
            state.slot_updates, points, room, steps, losses,
        )  # fmt: skip
    dual, others, start, pace = memory
    average = Parameters(dual.weights + others.weights, dual.intercept + others.intercept)
    memory = Memory(dual, average, start, pace)
    _write_back(requests, memory, _models_of(memory, numbers, bands))
    return list(losses.reshape(-1, n).T)


def _memory_of(requests: Sequence[Request]) -> Memory:
    problem: Any = requests[0].problem
    slots = np.stack([request.state.slots for request in requests])
    dual, average, start = (columns_of(slots[:, i], problem) for i in range(slots.shape[1]))
    others = Parameters(average.weights - dual.weights, average.intercept - dual.intercept)
    paces = np.stack([request.state.scalars for request in requests], axis=1)  # (outputs, models, 6)
    return Memory(dual, others, start, np.asfortranarray(paces.reshape(-1, paces.shape[2])))


def _bands_of(problem: DualAveragingProblem) -> Bands:
    bands, scales = problem.scales_of_bands
    return Bands(bands if len(bands) else np.zeros(problem.n_features, np.uint8), scales)


def _room_of_steps(weights: NDArray[Any], bands: Bands) -> RoomOfSteps:
    n_columns, dtype = weights.shape[1], weights.dtype
    return RoomOfSteps(
        np.empty(n_columns), *np.empty((3, n_columns), dtype), np.empty((len(bands.scales), n_columns), dtype)
    )


def _models_of(memory: Memory, numbers: Numbers, bands: Bands) -> Parameters:
    """The parameters that the memory stands for."""
    (dual, intercept), sums = memory.average, memory.pace[:, AVERAGE_SUM]
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.maximum(np.abs(dual, dtype=np.float64) - numbers.l1 * sums, 0.0)
        weights = np.copysign(size, dual) / (bands.scales[bands.of_features, None] + numbers.l2 * sums)
    return Parameters(weights.astype(dual.dtype), intercept)


def _write_back(requests: Sequence[Request], memory: Memory, models: Parameters) -> None:
    problem: Any = requests[0].problem
    slots = np.stack([vectors_of(part, problem) for part in memory[:3]], axis=1)
    paces = memory.pace.reshape(problem.n_outputs, len(requests), -1)
    for i, (request, theta) in enumerate(zip(requests, vectors_of(models, problem), strict=True)):
        request.state.theta[...], request.state.slots[...] = theta, slots[i]
        request.state.scalars[...] = paces[:, i]
        request.state.count(len(request.epoch.etas), 0)
