"""Epochs of many linear models in shared passes over the rows, where they differ in numbers alone."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from minibatch._problems.blas import one_blas_thread
from minibatch._problems.candidates_auto import train_auto
from minibatch._problems.candidates_gradient import train_by_gradients
from minibatch._problems.candidates_sgd import train_sgd
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.epochs import Passed, no_passes
from minibatch._problems.linear import LinearProblem
from minibatch._problems.pieces import cut
from minibatch._problems.requests import Ran, Request
from minibatch._problems.variance_reduced import VarianceReducedProblem
from minibatch.engine.linear import SOFTMAX
from minibatch.engine.optimizers import DOWG, DUAL_AVERAGING, SGD

__all__ = ["CACHED_BYTES", "FEWEST", "FEWEST_MORE", "FEWEST_SMALL", "FEW_BYTES", "SMALL_BATCH", "WIDE", "run_together"]

# Of weights that are trained at once: they stay in the second level of the cache.
CACHED_BYTES = 256 * 1024
# Fewer models than these are trained one by one. It takes more of them where rows are wide or outputs share a softmax,
# and most where models find their own rates on single rows, or on few wide ones: the work beside the products with the
# rows counts more. Measured on 5 to 784 columns, float32 and float64, in batches of 1 to all rows: as many in a pass
# take 0.4 to 1.1 times as long as one by one, 64 models 0.1 to 0.5 times, with 784 columns up to 0.7 times. Those with
# a softmax of ten classes take 0.7 to 1 times as long in batches from SMALL_BATCH rows on, 1 to 2 times in small ones.
FEWEST, FEWEST_MORE, FEWEST_SMALL = 5, 8, 16
SMALL_BATCH, WIDE = 32, 100
# Of arrays that are as fast copied as their addresses are found.
FEW_BYTES = 1024

_Train = Callable[[Sequence[Request]], list[Any]]


def run_together(requests: Sequence[Request]) -> list[Ran]:
    """What ``run`` of every request returns, to rounding; those that can share a pass do, and its seconds."""
    found: dict[int, Ran] = {}
    for train, group in _groups(requests):
        began, members = time.perf_counter(), [requests[i] for i in group]
        left = _one_by_one(members) if train is None else _together(train, members)
        seconds = (time.perf_counter() - began) / len(group)
        found |= {i: Ran(of_one, seconds) for i, of_one in zip(group, left, strict=True)}
    return [found[i] for i in range(len(requests))]


def _groups(requests: Sequence[Request]) -> Iterator[tuple[_Train | None, list[int]]]:
    """The numbers of requests that are trained together, as many as the cache has room for, and what trains them; None
    where each trains alone."""
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
        first = requests[group[0]]
        train = _train_of(first)
        if train is None or len(group) < _fewest(first):
            yield None, group
        else:
            n_passes = -(-len(group) // _most(first))
            for begin, end in cut(0, len(group), -(-len(group) // n_passes)):
                yield train, group[begin:end]


def _fewest(request: Request) -> int:
    """Models in a pass, where that is faster than one by one."""
    problem: Any = request.problem
    batch_size, is_auto, is_wide = request.epoch.batch_size, problem.solver.kind == DUAL_AVERAGING, _is_wide(problem)
    if is_auto and (batch_size == 1 or (batch_size < SMALL_BATCH and is_wide)):
        return FEWEST_SMALL
    return FEWEST_MORE if is_wide or problem.objective.outputs == SOFTMAX else FEWEST


def _most(request: Request) -> int:
    problem: Any = request.problem
    return max(_fewest(request), CACHED_BYTES // int(problem.n_parameters * problem.data.y.itemsize))


def _is_wide(problem: Any) -> bool:
    return bool(problem.n_features > WIDE)


def _train_of(request: Request) -> _Train | None:
    """What trains such requests in one pass: an epoch on dense rows. In batches of one row, loops over a pass of all
    weights for every row do not pay; nor does a softmax in small ones."""
    problem, epoch = request.problem, request.epoch
    if not isinstance(problem, LinearProblem) or not isinstance(problem.data.X, np.ndarray):
        return None
    if isinstance(problem, VarianceReducedProblem):
        return None
    kind, objective, single = problem.solver.kind, problem.objective, epoch.batch_size == 1
    if objective.tilt or objective.passive:
        return None
    if kind == DUAL_AVERAGING:
        slow = single and objective.l1 > 0.0 and _is_wide(problem)
        return None if objective.outputs == SOFTMAX or slow else train_auto
    if kind == DOWG or (objective.outputs == SOFTMAX and epoch.batch_size < SMALL_BATCH):
        return None
    if kind == SGD and objective.l1 == 0.0 and objective.outputs != SOFTMAX:
        if epoch.first_averaged >= epoch.etas.shape[-1]:
            return train_sgd
        return None if single else train_by_gradients
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
    n_updates = None if train is train_sgd else request.state.slot_updates
    follows = problem.squares is not None
    return train, objective, solver, rows, epoch.batch_size, epoch.first_averaged, epoch.noisy, n_updates, follows


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
    return [request.run().left for request in requests]


def _together(train: _Train, requests: Sequence[Request]) -> list[Any]:
    """Losses, or what ``run_epochs`` returns."""
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return train(requests) if requests[0].epoch.order.ndim == 1 else _epochs(train, requests)


def _epochs(train: _Train, requests: Sequence[Request]) -> list[Passed]:
    """One shared epoch after the other."""
    passed, number = [], len(requests[0].epoch.order)
    for request in requests:
        problem: Any = request.problem
        state = request.state
        passed.append(no_passes(number, problem.n_outputs, state.theta, state.scalars, noted=True))
    for i in range(number):
        for request in requests:
            request.state.penalty_seen = 0.0
        ones = [request._replace(epoch=request.epoch.number(i)) for request in requests]
        for request, (losses, penalties, notes), of_epoch in zip(requests, passed, train(ones), strict=True):
            losses[i], penalties[i], notes.thetas[i] = of_epoch, request.state.penalty_seen, request.state.theta
            if notes.paces.size:
                notes.paces[i] = request.state.scalars
    return passed
