"""``learning_rate="auto"`` of many models in one pass: ``engine.candidates_auto`` as ``Request.run`` of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.batching import Order
from minibatch._problems.candidates import (
    ROWS_OF_PASS,
    columns_of,
    numbers_of,
    order_of,
    pieces_of,
    room_of,
    vectors_of,
)
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.state import Request, Vector
from minibatch.engine.candidates import Candidates, Numbers
from minibatch.engine.candidates_auto import Bands, RoomOfSteps, candidates_auto_epoch
from minibatch.engine.candidates_auto_rows import RoomOfRows, candidates_auto_rows_epoch
from minibatch.engine.dual_averaging import AVERAGE_SUM, DISTANCE, SUM, WEIGHTS, Memory
from minibatch.engine.linear import Parameters

__all__ = ["train_auto"]


def train_auto(requests: Sequence[Request]) -> list[NDArray[np.float64]]:
    """Losses of each."""
    problem: Any = requests[0].problem
    memory, numbers, bands = _memory_of(requests), numbers_of([request.problem for request in requests]), _bands(problem)
    losses, batch_size = np.zeros(len(memory.pace)), requests[0].epoch.batch_size
    train = _single_rows if batch_size == 1 and problem.squares_of_rows is not None else _batches
    memory = train(requests[0], order_of(requests[0]), numbers, bands, memory, losses)
    _write_back(requests, memory, _models_of(memory, numbers, bands))
    return list(losses.reshape(-1, len(requests)).T)


def _batches(
    request: Request, order: Order, numbers: Numbers, bands: Bands, memory: Memory, losses: NDArray[np.float64]
) -> Memory:
    problem: Any = request.problem
    (dual, average, start, pace), batch_size = memory, request.epoch.batch_size
    others = Parameters(average.weights - dual.weights, average.intercept - dual.intercept)
    points, steps = _points(dual), _room_of_steps(dual.weights, bands)
    room = room_of(dual.weights, batch_size, needs_gradient=True)
    for first, last in pieces_of(len(order), batch_size, dual.weights):
        candidates_auto_epoch(
            problem.data, order, first, last, batch_size, problem.objective, problem.n_outputs, numbers, bands,
            Memory(dual, others, start, pace), request.state.slot_updates, points, room, steps, losses,
        )  # fmt: skip
    return Memory(dual, Parameters(dual.weights + others.weights, dual.intercept + others.intercept), start, pace)


def _single_rows(
    request: Request, order: Order, numbers: Numbers, bands: Bands, memory: Memory, losses: NDArray[np.float64]
) -> Memory:
    problem: Any = request.problem
    (dual, average, start, pace), squares = memory, problem.squares_of_rows[order]
    units = np.where(pace[:, WEIGHTS] > 0.0, pace[:, WEIGHTS], pace[:, DISTANCE])
    pace[:, WEIGHTS] /= units
    pace[:, AVERAGE_SUM] -= pace[:, SUM]
    # S is 1 in its units, or 0 and then the two are the same
    others = Parameters(average.weights - dual.weights, average.intercept - dual.intercept)
    points, steps = _points(dual), _room_of_steps(dual.weights, bands)
    room, rows = room_of(dual.weights, 1, needs_gradient=False), _room_of_rows(dual.weights, bands, units)
    for first, last in pieces_of(len(order), 1, dual.weights):
        candidates_auto_rows_epoch(
            problem.data, order, first, last, problem.objective, problem.n_outputs, numbers, bands,
            Memory(dual, others, start, pace), request.state.slot_updates, points, room, steps, rows, squares,
            not numbers.l1.any(), losses,
        )  # fmt: skip
    factors = 1.0 / pace[:, WEIGHTS]
    pace[:, AVERAGE_SUM] = pace[:, SUM] + pace[:, AVERAGE_SUM] * factors
    pace[:, WEIGHTS] *= units
    of_weights = factors.astype(dual.weights.dtype)
    average = Parameters(dual.weights + of_weights * others.weights, dual.intercept + factors * others.intercept)
    return Memory(dual, average, start, pace)


def _memory_of(requests: Sequence[Request]) -> Memory:
    problem: Any = requests[0].problem
    slots = np.stack([request.state.slots for request in requests])
    dual, average, start = (columns_of(slots[:, i], problem) for i in range(slots.shape[1]))
    paces = np.stack([request.state.scalars for request in requests], axis=1)  # (outputs, models, 6)
    return Memory(dual, average, start, np.asfortranarray(paces.reshape(-1, paces.shape[2])))


def _bands(problem: DualAveragingProblem) -> Bands:
    of_features, scales = problem.scales_of_bands
    return Bands(of_features if len(of_features) else np.zeros(problem.n_features, np.uint8), scales)


def _points(dual: Parameters) -> Candidates:
    """A buffer."""
    return Candidates(np.empty_like(dual.weights), np.empty_like(dual.intercept), np.ones(len(dual.intercept)))


def _room_of_steps(weights: Vector, bands: Bands) -> RoomOfSteps:
    n_columns, dtype = weights.shape[1], weights.dtype
    factors = np.empty((len(bands.scales), n_columns), dtype)
    return RoomOfSteps(np.empty(n_columns), *np.empty((3, n_columns), dtype), factors)


def _room_of_rows(weights: Vector, bands: Bands, units: NDArray[np.float64]) -> RoomOfRows:
    (n_features, n_columns), dtype, n_bands = weights.shape, weights.dtype, len(bands.scales)
    pairs = ROWS_OF_PASS, ROWS_OF_PASS
    return RoomOfRows(
        np.empty((ROWS_OF_PASS, n_columns), dtype), np.empty((n_features if n_bands > 1 else 0, n_columns), dtype),
        np.empty((n_bands, *pairs), dtype), np.empty((*pairs, n_columns), dtype), units,
    )  # fmt: skip


def _models_of(memory: Memory, numbers: Numbers, bands: Bands) -> Parameters:
    """The parameters that the memory stands for."""
    (dual, intercept), sums = memory.average, memory.pace[:, AVERAGE_SUM]
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.maximum(np.abs(dual, dtype=np.float64) - numbers.l1 * sums, 0.0)
        weights = np.copysign(size, dual) / (bands.scales[bands.of_features, None] + numbers.l2 * sums)
    return Parameters(weights, intercept)


def _write_back(requests: Sequence[Request], memory: Memory, models: Parameters) -> None:
    problem: Any = requests[0].problem
    slots = np.stack([vectors_of(part, problem) for part in memory[:3]], axis=1)
    paces = memory.pace.reshape(problem.n_outputs, len(requests), -1)
    for i, (request, theta) in enumerate(zip(requests, vectors_of(models, problem), strict=True)):
        request.state.theta[...], request.state.slots[...] = theta, slots[i]
        request.state.scalars[...] = paces[:, i]
        request.state.count(len(request.epoch.etas), 0)
