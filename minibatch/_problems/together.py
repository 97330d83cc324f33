"""Epochs of many linear models in shared passes over the rows, where they differ in numbers alone."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minibatch._problems.epochs import no_passes
from minibatch._problems.linear import LinearProblem
from minibatch._problems.requests import Ran, Request
from minibatch._problems.state import Vector
from minibatch.engine.candidates import Candidates, Room, candidates_epoch
from minibatch.engine.linear import SOFTMAX
from minibatch.engine.optimizers import SGD

__all__ = ["BLOCK_ROWS", "CACHED_BYTES", "FEWEST", "run_together"]

# Rows that are copied, scored and added while they are in the cache.
BLOCK_ROWS = 256
# Of weights that are trained at once: they stay in the second level of the cache.
CACHED_BYTES = 256 * 1024
# Fewer columns of weights than these are trained one by one. Measured on 26,666 x 50, float32, ns a row and model, in
# batches of 1, 8, 32, 256 and all rows: 64 models 9, 5, 4, 4, 4; 16 models 17, 7, 5, 5, 5; 8 models 34, 24, 10, 11, 7;
# 4 models 79, 31, 24, 29, 20; one alone 32, 30, 24, 22, 19.
FEWEST = 8


def run_together(requests: Sequence[Request]) -> list[Ran]:
    """What ``run`` of every request returns, to rounding; those that can share a pass do, and its seconds."""
    found: dict[int, Ran] = {}
    for group in _groups(requests):
        members = [requests[i] for i in group]
        began, shared = time.perf_counter(), len(group) * _n_outputs(members[0]) >= FEWEST and len(group) > 1
        left = (_shared if shared else _one_by_one)(members)
        seconds = (time.perf_counter() - began) / len(group)
        found |= {i: Ran(of_one, seconds) for i, of_one in zip(group, left, strict=True)}
    return [found[i] for i in range(len(requests))]


def _groups(requests: Sequence[Request]) -> list[list[int]]:
    """The numbers of requests that share passes, as many as the cache has room for; others alone."""
    groups: list[list[int]] = []
    for i, request in enumerate(requests):
        for group in groups:
            first = requests[group[0]]
            if len(group) < _most(first) and _share_rows(first, request):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def _n_outputs(request: Request) -> int:
    problem: Any = request.problem
    return int(getattr(problem, "n_outputs", 1))


def _most(request: Request) -> int:
    """Models in a pass."""
    if not _is_plain(request):
        return 1
    problem: Any = request.problem
    return max(FEWEST, CACHED_BYTES // max(1, problem.n_parameters * problem.data.y.itemsize))


def _is_plain(request: Request) -> bool:
    """Whether ``candidates_epoch`` trains it: plain SGD on dense rows, no iterate but the last wanted."""
    problem, epoch = request.problem, request.epoch
    return (
        type(problem) is LinearProblem
        and isinstance(problem.data.X, np.ndarray)
        and problem.solver.kind == SGD
        and problem.objective.outputs != SOFTMAX
        and problem.objective.l1 == 0.0
        and problem.squares is None
        and epoch.first_averaged >= epoch.etas.shape[-1]
    )


def _share_rows(a: Request, b: Request) -> bool:
    """Whether two requests, the first of which is plain, differ in numbers alone."""
    if not _is_plain(b):
        return False
    mine: Any = a.problem
    other: Any = b.problem
    arrays = [
        (a.epoch.order, b.epoch.order), (_rows(mine), _rows(other)), (mine.data.y, other.data.y),
        (mine.data.weight, other.data.weight), (mine.data.class_weight, other.data.class_weight),
    ]  # fmt: skip
    return (
        mine.data.X.__array_interface__ == other.data.X.__array_interface__
        and mine.objective._replace(l2=0.0, parameter=0.0) == other.objective._replace(l2=0.0, parameter=0.0)
        and a.epoch.batch_size == b.epoch.batch_size
        and all(np.array_equal(*pair) for pair in arrays)
    )


def _rows(problem: LinearProblem) -> Any:
    return np.empty(0, np.int64) if problem.rows is None else problem.rows


def _one_by_one(requests: Sequence[Request]) -> list[Any]:
    return [request.run().left for request in requests]


def _shared(requests: Sequence[Request]) -> list[Any]:
    """What each request leaves: losses, or of several epochs what ``run_epochs`` returns."""
    if requests[0].epoch.order.ndim == 1:
        return _in_one_pass(requests)
    passed = []
    for problem, state, epochs in requests:
        of: Any = problem
        passed.append(no_passes(len(epochs.order), of.n_outputs, state.theta, state.scalars, noted=True))
    for i in range(len(requests[0].epoch.order)):
        one = [request._replace(epoch=request.epoch.number(i)) for request in requests]
        for of_request, losses, (_, state, _) in zip(passed, _in_one_pass(one), requests, strict=True):
            of_request.losses[i], of_request.notes.thetas[i] = losses, state.theta
            if of_request.notes.paces.size:
                of_request.notes.paces[i] = state.scalars[:, :2]
    return passed


def _in_one_pass(requests: Sequence[Request]) -> list[NDArray[np.float64]]:
    problems: list[Any] = [request.problem for request in requests]
    first, epoch, n = problems[0], requests[0].epoch, len(requests)
    order = epoch.order if first.rows is None else first.rows[epoch.order]
    thetas = [first.parameters(request.state.theta) for request in requests]
    models = Candidates(
        np.stack([theta.weights.T for theta in thetas], axis=2).reshape(first.n_features, -1),
        np.stack([theta.intercept for theta in thetas], axis=1).ravel().astype(np.float64),
        np.stack([request.epoch.etas for request in requests], axis=1),
        np.array([problem.objective.l2 for problem in problems]),
        np.array([problem.objective.parameter for problem in problems]),
    )
    losses = np.zeros(first.n_outputs * n)
    room = _room(models, epoch.batch_size, n)
    candidates_epoch(first.data, order, epoch.batch_size, first.objective, models, room, losses)
    weights = models.weights.reshape(first.n_features, first.n_outputs, n)
    intercept = models.intercept.reshape(first.n_outputs, n)
    for i, (request, theta) in enumerate(zip(requests, thetas, strict=True)):
        theta.weights[...], theta.intercept[...] = weights[:, :, i].T, intercept[:, i]
        request.state.slot_updates += len(epoch.etas)
        request.state.schedule_updates += len(epoch.etas)
    return list(losses.reshape(first.n_outputs, n).T)


def _room(models: Candidates, batch_size: int, n: int) -> Room:
    (n_features, n_columns), dtype, block = models.weights.shape, models.weights.dtype, min(batch_size, BLOCK_ROWS)
    gradient: Vector = np.empty((n_features if batch_size > block else 0, n_columns), dtype)
    return Room(
        np.empty((block, n_features), dtype), np.empty((block, n_columns), dtype), gradient, np.empty(n_columns),
        np.empty(n), np.empty(n),
    )  # fmt: skip
