"""Epochs of many linear models in shared passes over the rows, where they differ in numbers alone."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from minibatch._problems.candidates_auto import train_auto
from minibatch._problems.candidates_gradient import train_by_gradients
from minibatch._problems.candidates_sgd import train_sgd
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.linear import LinearProblem
from minibatch._problems.pieces import cut
from minibatch._problems.state import Request
from minibatch.engine.linear import SOFTMAX
from minibatch.engine.optimizers import DOWG, DUAL_AVERAGING, SGD

__all__ = ["CACHED_BYTES", "FEWEST", "FEW_BYTES", "run_together"]

# Of weights that are trained at once: they stay in the second level of the cache.
CACHED_BYTES = 256 * 1024
# Fewer columns of weights than these are trained one by one.
FEWEST = 8
# Of arrays that are as fast copied as their addresses are found.
FEW_BYTES = 1024

_Train = Callable[[Sequence[Request]], list[Any]]


def run_together(requests: Sequence[Request]) -> list[Any]:
    """What ``run`` of every request returns, to rounding; those that can share a pass do."""
    found: dict[int, Any] = {}
    for train, group in _groups(requests):
        found |= dict(zip(group, train([requests[i] for i in group]), strict=True))
    return [found[i] for i in range(len(requests))]


def _groups(requests: Sequence[Request]) -> Iterator[tuple[_Train, list[int]]]:
    """The numbers of requests that are trained together, as many as the cache has room for, and what trains them."""
    alike: dict[Any, list[list[int]]] = {}
    for i, request in enumerate(requests):
        groups = alike.setdefault(_what_is_shared(request) or i, [])
        for group in groups:
            if _share_arrays(requests[group[0]], request):
                group.append(i)
                break
        else:
            groups.append([i])
    for group in chain.from_iterable(alike.values()):
        train, problem = _train_of(requests[group[0]]), requests[group[0]].problem
        if train is None or len(group) == 1 or len(group) * problem.n_outputs < FEWEST:
            yield _one_by_one, group
        else:
            for first, last in cut(0, len(group), max(FEWEST, CACHED_BYTES // _bytes_of(problem))):
                yield train, group[first:last]


def _bytes_of(problem: Any) -> int:
    return int(problem.n_parameters * problem.data.y.itemsize)


def _train_of(request: Request) -> _Train | None:
    """What trains such requests in one pass: an epoch on dense rows."""
    problem, epoch = request.problem, request.epoch
    if not isinstance(problem, LinearProblem) or not isinstance(problem.data.X, np.ndarray) or epoch.order.ndim > 1:
        return None
    kind, objective = problem.solver.kind, problem.objective
    if kind == DUAL_AVERAGING:
        return None if objective.outputs == SOFTMAX else train_auto
    if kind == DOWG or problem.squares is not None:
        return None
    last_alone = epoch.first_averaged >= len(epoch.etas)
    if kind == SGD and objective.l1 == 0.0 and objective.outputs != SOFTMAX and last_alone:
        return train_sgd
    return train_by_gradients


def _what_is_shared(request: Request) -> Any:
    """What requests have in common that differ in numbers alone, but for arrays; None for those that are alone."""
    train = _train_of(request)
    if train is None:
        return None
    problem: Any = request.problem
    epoch, X = request.epoch, problem.data.X
    objective = problem.objective._replace(l1=float(problem.objective.l1 > 0.0), l2=0.0, parameter=0.0)
    solver = problem.solver._replace(momentum=0.0)
    rows = X.__array_interface__["data"][0], X.shape, X.dtype, problem.n_outputs
    number = None if train is train_sgd else request.state.slot_updates
    return train, objective, solver, rows, epoch.batch_size, epoch.first_averaged, epoch.noisy, number


def _share_arrays(a: Request, b: Request) -> bool:
    mine: Any = a.problem
    other: Any = b.problem
    arrays = [(a.epoch.order, b.epoch.order), (mine.rows, other.rows), *zip(mine.data[1:], other.data[1:], strict=True)]
    if isinstance(mine, DualAveragingProblem):
        arrays += zip(mine.scales_of_bands, other.scales_of_bands, strict=True)
    return all(_same(*pair) for pair in arrays)


def _same(a: Any, b: Any) -> bool:
    """Whether two arrays are equal; what is in one place is not looked at."""
    if a is b or a is None or b is None or a.shape != b.shape or a.dtype != b.dtype:
        return a is b
    if a.nbytes <= FEW_BYTES:
        return bool(a.tobytes() == b.tobytes())
    return a.__array_interface__ == b.__array_interface__ or np.array_equal(a, b)


def _one_by_one(requests: Sequence[Request]) -> list[Any]:
    return [request.run() for request in requests]
