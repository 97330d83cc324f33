"""Epochs of many linear models in shared passes over the rows, where they differ in numbers alone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minibatch._problems.candidates_auto import train_auto
from minibatch._problems.candidates_sgd import train_sgd
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.linear import LinearProblem
from minibatch._problems.state import Request
from minibatch.engine.linear import SOFTMAX
from minibatch.engine.optimizers import SGD

__all__ = ["CACHED_BYTES", "FEWEST", "run_together"]

# Of weights that are trained at once: they stay in the second level of the cache.
CACHED_BYTES = 256 * 1024
# Fewer columns of weights than these are trained one by one.
FEWEST = 8

_Train = Callable[[Sequence[Request]], list[Any]]


def run_together(requests: Sequence[Request]) -> list[Any]:
    """What ``run`` of every request returns, to rounding; those that can share a pass do."""
    found: dict[int, Any] = {}
    for group in _groups(requests):
        members = [requests[i] for i in group]
        train = _train_of(members[0])
        if train is None or len(group) == 1 or len(group) * _n_outputs(members[0]) < FEWEST:
            train = _one_by_one
        found |= dict(zip(group, train(members), strict=True))
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
    return int(problem.n_outputs)


def _most(request: Request) -> int:
    """Models in a pass."""
    if _train_of(request) is None:
        return 1
    problem: Any = request.problem
    return max(FEWEST, CACHED_BYTES // max(1, problem.n_parameters * problem.data.y.itemsize))


def _train_of(request: Request) -> _Train | None:
    """What trains such requests in one pass: one epoch on dense rows, no iterate but the last wanted."""
    problem, epoch = request.problem, request.epoch
    if not isinstance(problem, LinearProblem) or not isinstance(problem.data.X, np.ndarray):
        return None
    if epoch.order.ndim > 1 or problem.objective.outputs == SOFTMAX or epoch.first_averaged < len(epoch.etas):
        return None
    if type(problem) is DualAveragingProblem:
        return train_auto
    plain = type(problem) is LinearProblem and problem.solver.kind == SGD and problem.objective.l1 == 0.0
    return train_sgd if plain and problem.squares is None else None


def _share_rows(a: Request, b: Request) -> bool:
    """Whether two requests, the first of which may share a pass, differ in numbers alone."""
    if _train_of(a) is not _train_of(b):
        return False
    mine: Any = a.problem
    other: Any = b.problem
    arrays = [
        (a.epoch.order, b.epoch.order), (_rows(mine), _rows(other)), (mine.data.y, other.data.y),
        (mine.data.weight, other.data.weight), (mine.data.class_weight, other.data.class_weight),
    ]  # fmt: skip
    if isinstance(mine, DualAveragingProblem):
        arrays += zip(mine.scales_of_bands, other.scales_of_bands, strict=True)
    return (
        mine.data.X.__array_interface__ == other.data.X.__array_interface__
        and _alike(mine.objective) == _alike(other.objective)
        and (a.epoch.batch_size, a.state.slot_updates) == (b.epoch.batch_size, b.state.slot_updates)
        and all(_same(*pair) for pair in arrays)
    )


def _alike(objective: Any) -> Any:
    """What objectives have in common that differ in numbers alone."""
    return objective._replace(l1=0.0, l2=0.0, parameter=0.0)


def _same(a: Any, b: Any) -> bool:
    return a is b or a.__array_interface__ == b.__array_interface__ or np.array_equal(a, b)


def _rows(problem: LinearProblem) -> Any:
    return np.empty(0, np.int64) if problem.rows is None else problem.rows


def _one_by_one(requests: Sequence[Request]) -> list[Any]:
    return [request.run() for request in requests]
