"""``learning_rate="auto"`` of many models in one pass: ``engine.candidates_auto`` as ``Request.run`` of each."""

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
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.requests import Request
from minibatch._problems.state import Vector
from minibatch.engine.candidates import Candidates, Shared
from minibatch.engine.candidates_auto import Autos, Bands, Steps, candidates_auto_epoch
from minibatch.engine.candidates_auto_rows import RoomOfRows, candidates_auto_rows_epoch
from minibatch.engine.dual_averaging import AVERAGE_SUM, DISTANCE, SUM, WEIGHTS, Memory
from minibatch.engine.linear import Parameters

__all__ = ["train_auto"]


def train_auto(requests: Sequence[Request]) -> list[NDArray[np.float64]]:
    """Losses of each."""
    problem: Any = requests[0].problem
    everyone = padded(requests, lanes_of(problem))
    memory, shared, bands = _memory_of(everyone), shared_by(everyone), _bands_of(problem)
    single = shared.batch_size == 1 and problem.squares_of_rows is not None
    memory = (_single_rows if single else _batches)(requests[0], shared, bands, memory)
    _write_back(requests, memory, _models_of(memory, shared, bands))
    return losses_of(shared, len(requests))


def _batches(request: Request, shared: Shared, bands: Bands, memory: Memory) -> Memory:
    dual, average, start, pace = memory
    others = Parameters(average.weights - dual.weights, average.intercept - dual.intercept)
    autos = _autos_of(Memory(dual, others, start, pace), bands)
    room = room_of(dual.weights, shared.batch_size, needs_gradient=True)
    for first, last in pieces_of(shared):
        candidates_auto_epoch(shared, first, last, autos, request.state.slot_updates, room)
    return Memory(dual, Parameters(dual.weights + others.weights, dual.intercept + others.intercept), start, pace)


def _single_rows(request: Request, shared: Shared, bands: Bands, memory: Memory) -> Memory:
    problem: Any = request.problem
    (dual, average, start, pace), squares = memory, problem.squares_of_rows[shared.order]
    units = np.where(pace[:, WEIGHTS] > 0.0, pace[:, WEIGHTS], pace[:, DISTANCE])
    pace[:, WEIGHTS] /= units
    pace[:, AVERAGE_SUM] -= pace[:, SUM]
    # S is 1 in its units, or 0, and then the average is the dual vector
    others = Parameters(average.weights - dual.weights, average.intercept - dual.intercept)
    autos, by_fours = _autos_of(Memory(dual, others, start, pace), bands), not shared.numbers.l1.any()
    room, rows = room_of(dual.weights, 1, needs_gradient=False), _room_of_rows(dual.weights, bands, units)
    for first, last in pieces_of(shared):
        candidates_auto_rows_epoch(
            shared, first, last, autos, request.state.slot_updates, room, rows, squares, by_fours
        )
    factors = 1.0 / pace[:, WEIGHTS]
    pace[:, AVERAGE_SUM] = pace[:, SUM] + pace[:, AVERAGE_SUM] * factors
    pace[:, WEIGHTS] *= units
    weights = dual.weights + factors.astype(dual.weights.dtype) * others.weights
    return Memory(dual, Parameters(weights, dual.intercept + factors * others.intercept), start, pace)


def _memory_of(requests: Sequence[Request]) -> Memory:
    problem: Any = requests[0].problem
    slots = np.stack([request.state.slots for request in requests])
    dual, average, start = (columns_of(slots[:, i], problem) for i in range(slots.shape[1]))
    paces = np.stack([request.state.scalars for request in requests], axis=1)  # (outputs, models, 7)
    return Memory(dual, average, start, np.asfortranarray(paces.reshape(-1, paces.shape[2])))


def _bands_of(problem: DualAveragingProblem) -> Bands:
    of_features, scales, _ = problem.scales_of_bands
    return Bands(of_features if len(of_features) else np.zeros(problem.n_features, np.uint8), scales)


def _autos_of(memory: Memory, bands: Bands) -> Autos:
    """With buffers."""
    (weights, intercept), n_columns = memory.dual, len(memory.pace)
    squares, rates, shares, thresholds = np.empty(n_columns), *np.empty((3, n_columns), weights.dtype)
    factors = np.empty((len(bands.scales), n_columns), weights.dtype)
    points = Candidates(np.empty_like(weights), np.empty_like(intercept), np.ones(n_columns))
    return Autos(memory, bands, points, Steps(squares, rates, shares, thresholds, factors))


def _room_of_rows(weights: Vector, bands: Bands, units: NDArray[np.float64]) -> RoomOfRows:
    (n_features, n_columns), dtype, n_bands = weights.shape, weights.dtype, len(bands.scales)
    pairs = ROWS_OF_PASS, ROWS_OF_PASS
    return RoomOfRows(
        np.empty((ROWS_OF_PASS, n_columns), dtype), np.empty((n_features if n_bands > 1 else 0, n_columns), dtype),
        np.empty((n_bands, *pairs), dtype), np.empty((*pairs, n_columns), dtype), units,
    )  # fmt: skip


def _models_of(memory: Memory, shared: Shared, bands: Bands) -> Parameters:
    """The parameters that the memory stands for."""
    (dual, intercept), sums, numbers = memory.average, memory.pace[:, AVERAGE_SUM], shared.numbers
    size = np.maximum(np.abs(dual, dtype=np.float64) - numbers.l1 * sums, 0.0)
    weights = np.copysign(size, dual) / (bands.scales[bands.of_features, None] + numbers.l2 * sums)
    return Parameters(weights, intercept)


def _write_back(requests: Sequence[Request], memory: Memory, models: Parameters) -> None:
    problem: Any = requests[0].problem
    slots = np.stack([vectors_of(part, problem) for part in memory[:3]], axis=1)
    paces = memory.pace.reshape(problem.n_outputs, len(slots), -1)
    for i, (request, theta) in enumerate(zip(requests, vectors_of(models, problem), strict=False)):
        request.state.theta[...], request.state.slots[...] = theta, slots[i]
        request.state.scalars[...] = paces[:, i]
        request.state.count(len(request.epoch.etas), 0)
