"""What training needs to know of any problem: its state, and the questions it asks.

Conventions
-----------
``F(theta) = sum_i s_i loss_i / sum_i s_i + penalty``; intercepts are not penalised. Outputs that do not share a loss
(columns of y of a linear model, one-vs-rest classes) each have an objective of their own; arrays called ``losses`` or
``penalties`` have one entry an objective.

``theta`` is one flat vector (n_parameters,), weights before intercepts; whatever has its shape (gradients, optimizer
memory, sums of iterates) is laid out alike. Weights ``s`` have mean 1, so a batch's loss is a sum over ``B`` rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils import gen_batches

from minibatch._problems.batching import Order
from minibatch._problems.epochs import Epoch, Passed
from minibatch._problems.partners import Partners
from minibatch._problems.pieces import ALONE, Threads, at_once, cut
from minibatch.engine.linear import Data, Objective, Parameters, Solver, losses_of_scores
from minibatch.engine.optimizers import (
    COPIES,
    DOWG,
    N_SCALARS,
    N_SLOTS,
    SCHEDULE_FREE_ADAMW,
    SCHEDULE_FREE_SGD,
    SGD,
)
from minibatch.engine.rows import CSR
from minibatch.schedules._progress import Rates

__all__ = [
    "LOSS_WORK", "ROWS_AT_ONCE", "SCORES_AT_ONCE", "Problem", "ProblemOnRows", "RowGradients", "State",
    "Vector", "blocks_of_rows", "data_of", "largest_rate", "largest_value", "matrix_of", "norm_of", "part_of",
    "read_only", "rows_of", "score_into", "values_of_row",
]  # fmt: skip

Vector = NDArray[np.floating[Any]]

ROWS_AT_ONCE = 4096  # that are copied, where NumPy does what kernels do elsewhere
SCORES_AT_ONCE = 2**14  # that are copied, for the kernel to turn into slopes
LOSS_WORK = 50  # of a row and an output, see ``pieces``


@dataclass
class State:
    """All that training changes. ``slots`` and ``scalars`` are the optimizer's memory, ``total`` is the sum of
    ``n_averaged`` iterates, ``average`` a mean of them.

    Of a schedule-free solver ``theta`` is where gradients are taken, ``y = (1 - beta) z + beta x`` with ``z`` in the
    first slot; the model is the average ``x``.
    """

    theta: Vector
    slots: Vector
    total: NDArray[np.float64]
    scalars: NDArray[np.float64] = field(default_factory=lambda: np.zeros((1, 0)))  # a row for every objective
    beta: float = 0.0  # of a schedule-free solver
    n_averaged: int = 0
    slot_updates: int = 0  # updates since the slots were 0
    schedule_updates: int = 0  # updates since the schedule began
    schedule_epochs: float = 0.0  # epochs since then, in fractions
    rate_factor: float = 1.0  # what "adaptive" has made of the learning rate
    penalty_seen: float = 0.0  # sum over updates of the penalty before each, where the problem follows it
    average: Vector | None = None  # of a network's iterates, see ``averages``; means nothing before there is one
    slopes: NDArray[np.float64] | None = None  # (rows, outputs), those that SVRG and SAGA remember

    def copy(self) -> "State":
        arrays = {name: value.copy() for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return State(**(vars(self) | arrays))

    @property
    def own_rate(self) -> float:
        """After the last update, where the engine finds the rates; NaN elsewhere. ``r^2 / sqrt(v)`` of the first two
        scalars, the largest of the objectives; ``learning_rate="auto"`` may have made it at a rate up to 3 % higher.

        >>> scalars = np.array([[4.0, 16.0], [9.0, 9.0], [1.0, 0.0]])
        >>> State(np.zeros(1), np.zeros((1, 1)), np.zeros(1), scalars).own_rate
        3.0
        """
        if self.scalars.shape[1] < 2:
            return np.nan
        if len(self.scalars) > 1:
            return float(largest_rate(self.scalars))
        squared_distance, v, *_ = self.scalars[0].tolist()
        return squared_distance / sqrt(v) if v > 0.0 else 0.0

    @property
    def is_parameters_alone(self) -> bool:
        """Whether there is no memory, sum or average beside the parameters."""
        return self.slots.size == self.total.size == self.scalars.size == 0 and self.average is None

    def result(self) -> Vector:
        """The parameters to predict with: the average, once there is one."""
        if self.beta > 0.0:
            x, z = self.theta.copy(), self.slots[0]
            with np.errstate(over="ignore", invalid="ignore"):
                x[: len(z)] = z + (x[: len(z)] - z) / self.beta
            return x
        if self.n_averaged == 0:
            return self.theta
        if self.average is not None:
            return self.average
        return (self.total / self.n_averaged).astype(self.theta.dtype)

    def fits(self, slots: Vector, scalars: NDArray[np.float64]) -> bool:
        """Whether this is memory of a solver like the one that the state is for."""
        return slots.shape == self.slots.shape and scalars.size == self.scalars.size

    def remember(self, slots: Vector, n_updates: int, scalars: NDArray[np.float64]) -> None:
        """Go on with the memory of an earlier run, which ``fits``, and whose result is ``theta``."""
        self.slots, self.slot_updates = slots.astype(self.slots.dtype), n_updates
        self.scalars = scalars.reshape(self.scalars.shape).copy()
        if self.beta > 0.0:
            y, z = self.theta[: slots.shape[1]], self.slots[0]
            y[...] = z + self.beta * (y - z)

    def count(self, n_updates: int, n_averaged: int) -> None:
        """Note that so many updates were made, and so many iterates added to the sum."""
        self.n_averaged += n_averaged
        self.slot_updates += n_updates
        self.schedule_updates += n_updates

    def shares(self, etas: Rates) -> Rates:
        """What ``z`` after each of the next updates weighs in the average of a schedule-free solver: ``eta^2`` over the
        sum of those so far, which is remembered. Others do not look at it."""
        if self.beta == 0.0:
            return etas
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.square(etas)
            sums = np.cumsum(np.append(self.scalars[0, 0], squares))[1:]  # in order: cuts of an epoch change no digit
            self.scalars[0, 0] = sums[-1]
            return np.divide(squares, sums, out=np.zeros_like(squares), where=sums > 0.0)


class RowGradients(NamedTuple):
    """Of ``g_i``, the gradient of ``s_i loss_i``, for every row ``i``: ``||g_i||^2``, and the inner products with some
    directions. Without penalty and dropout."""

    squared_norms: NDArray[np.float64]  # (n,)
    products: NDArray[np.float64]  # (directions, n)


class Problem(Protocol):
    """What training and diagnostics ask of a model with its data."""

    @property
    def n_samples(self) -> int: ...
    @property
    def n_trained(self) -> int: ...
    @property
    def data(self) -> Data: ...
    @property
    def solver(self) -> Any: ...
    @property
    def threads(self) -> Threads: ...
    @property
    def is_random(self) -> bool: ...  # whether an epoch draws anything besides the order of the rows
    def new_state(self, theta: Vector, averaged: bool) -> State: ...
    def penalties(self, theta: Vector) -> NDArray[np.float64]: ...
    def evaluate(self, theta: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def with_penalty(self, theta: Vector, gradient: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def gradient_norm(self, theta: Vector, gradient: NDArray[np.float64]) -> float: ...
    def on_rows(self, places: Order) -> "Problem": ...
    def mean_gradient(self, theta: Vector) -> NDArray[np.float64]: ...
    def row_gradients(self, theta: Vector, directions: NDArray[np.float64]) -> RowGradients: ...
    def scores(self, theta: Vector) -> NDArray[Any]: ...
    def scores_of_models(self, thetas: Vector) -> Iterator[NDArray[Any]]: ...
    def mean_loss(self, scores: NDArray[Any]) -> float: ...
    def run_epoch(self, state: State, epoch: Epoch) -> NDArray[np.float64]: ...
    def n_epochs_at_once(self, batch_size: int, averaged: bool, longer: int) -> int: ...
    def run_epochs(self, state: State, epochs: Epoch) -> Passed: ...


@dataclass(frozen=True)
class ProblemOnRows:
    """The part of a ``Problem`` that is the same for all models: which rows there are, and what follows from them."""

    data: Data
    objective: Objective
    solver: Solver
    n_features: int = field(kw_only=True)
    rows: Order | None = field(default=None, kw_only=True)  # the rows to train on, where it is not all of them
    threads: Threads = field(default=ALONE, kw_only=True)
    partners: Partners | None = field(default=None, kw_only=True)  # with whom an epoch is run; its gradients are shared

    @property
    def n_samples(self) -> int:
        return len(self.data.y if self.rows is None else self.rows)

    @property
    def n_objectives(self) -> int:
        return 1

    @property
    def n_slots(self) -> int:
        """Numbers that the solver remembers of every parameter."""
        without_l1 = self.solver.kind in (SGD, DOWG) and self.objective.l1 == 0.0
        return N_SLOTS[self.solver.kind] - int(without_l1)

    def _first_state(self, theta: Vector, n_remembered: int, total: NDArray[np.float64]) -> State:
        """The state before the first update, with memory of so many parameters; ``theta`` is copied."""
        kind, slots = self.solver.kind, np.zeros((self.n_slots, n_remembered), theta.dtype)
        if kind in COPIES:
            slots[COPIES[kind]] = theta[:n_remembered]
        scalars = np.zeros((self.n_objectives, N_SCALARS.get(kind, 0)))
        betas = {SCHEDULE_FREE_SGD: self.solver.momentum, SCHEDULE_FREE_ADAMW: self.solver.beta_1}
        return State(theta.copy(), slots, total, scalars=scalars, beta=betas.get(kind, 0.0))

    def n_epochs_at_once(self, batch_size: int, averaged: bool, longer: int) -> int:
        """How many epochs one call of compiled code may train: more than one where Python would take longer. See
        ``epochs`` for ``longer``."""
        return 1

    def run_epochs(self, state: State, epochs: Epoch) -> Passed:
        """Train several epochs, to the digits of ``run_epoch``."""
        raise NotImplementedError

    @property
    def _all_rows(self) -> Order:
        return np.arange(self.n_samples) if self.rows is None else self.rows

    def _own_part(self, n_rows: int) -> tuple[int, int]:
        """Which of so many rows are not the partners'."""
        return (0, n_rows) if self.partners is None else self.partners.part_of(n_rows)

    def agree(self, state: State) -> None:
        """Make parameters of a memory that was averaged over partners."""

    def on_rows(self, places: Order) -> Self:
        """The problem of some of the rows trained on."""
        return replace(self, rows=self._all_rows[places])

    def copied(self, places: Order) -> Self:
        """The problem of copies of some of the rows trained on, for what looks at all rows that there are."""
        rows, weight = self._all_rows[places], self.data.weight
        X = rows_of(matrix_of(self.data.X, self.n_features)[rows])
        y, weight = (read_only(part[rows]) if len(part) else part for part in (self.data.y, weight))
        return replace(self, data=self.data._replace(X=X, y=y, weight=weight), rows=None)

    def sample(self, most: int, random: np.random.Generator) -> Self:
        """So many rows that weigh anything, in random order if not all, for the calling thread. Their mean gradient is
        without bias: rows that weigh nothing count in it, as they do in a batch."""
        weight, n_rows = self.data.weight, self.n_samples
        if not len(weight):
            if self.rows is None and n_rows <= most:  # all that there are, in their own order: the data themselves
                return replace(self, threads=ALONE)
            return replace(self.copied(random.choice(n_rows, min(most, n_rows), replace=False)), threads=ALONE)
        places = np.flatnonzero(weight[self._all_rows] > 0.0)
        found = self.copied(random.choice(places, min(most, len(places)), replace=False))
        of_batches = read_only(len(places) / n_rows * found.data.weight)
        return replace(found, data=found.data._replace(weight=of_batches), threads=ALONE)

    def with_penalty(self, theta: Vector, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """The gradient of the objective, from that of the loss."""
        raise NotImplementedError

    def gradient_norm(self, theta: Vector, gradient: NDArray[np.float64]) -> float:
        """Norm of the objective's gradient."""
        with np.errstate(over="ignore", invalid="ignore"):
            return norm_of(self.with_penalty(theta, gradient))

    def scores(self, theta: Vector) -> NDArray[Any]:
        raise NotImplementedError

    def scores_of_models(self, thetas: Vector) -> Iterator[NDArray[Any]]:
        """``scores`` of vectors in rows."""
        return map(self.scores, thetas)

    def mean_loss(self, scores: NDArray[Any]) -> float:
        """The loss of ``evaluate``, from the scores of all rows."""
        losses, weight, total = np.zeros(scores.shape[1]), self.data.weight, float(self.n_samples)
        if len(weight):
            total = (weight if self.rows is None else weight[self.rows]).sum(dtype=np.float64)
        step = min(at_once(LOSS_WORK * len(losses)), SCORES_AT_ONCE // len(losses))
        for begin, end in cut(0, self.n_samples, max(1, step)):
            here = np.arange(begin, end) if self.rows is None else self.rows[begin:end]
            losses_of_scores(self.data, here, self.objective, np.ascontiguousarray(scores[here]), losses)
        return float(losses.sum() / total)


def data_of(
    X: Any,
    y: NDArray[Any],
    weight: NDArray[Any] | None,
    n_outputs: int,
    class_weight: NDArray[np.float64] | None = None,
) -> Data:
    """The arrays of a problem. ``y`` has the columns of a regression, columns of -1 and +1, or one of class numbers."""
    target = _in_type_of(X, y.reshape(len(y), -1), "y")
    weights = read_only(np.empty(0, X.dtype)) if weight is None else _in_type_of(X, weight, "sample_weight")
    return Data(rows_of(X), target, weights, np.ones((2, n_outputs)) if class_weight is None else class_weight)


def _in_type_of(X: Any, values: NDArray[Any], name: str) -> NDArray[Any]:
    """Finite values, read-only and in the type of X."""
    with np.errstate(over="ignore"):
        cast = read_only(np.ascontiguousarray(values, dtype=X.dtype))
    may_overflow = values.dtype != X.dtype and values.dtype.kind not in "biu"
    if may_overflow and not np.isfinite(cast).all():
        raise ValueError(
            f"{name} has values too large for {X.dtype}, the type of X and of the model; divide {name} by a constant, "
            "or give X as float64 to a model that is not fitted yet."
        )
    return cast


def largest_rate(scalars: NDArray[np.float64]) -> NDArray[np.float64]:
    """``r^2 / sqrt(v)`` of the first two columns, the largest of the rows: the last two axes."""
    squared_distances, v = scalars[..., 0], scalars[..., 1]
    with np.errstate(over="ignore", invalid="ignore"):
        rates = np.divide(squared_distances, np.sqrt(v), out=np.zeros_like(v), where=v > 0.0)
    largest: NDArray[np.float64] = rates.max(axis=-1)
    return largest


def norm_of(vector: NDArray[Any]) -> float:
    """Euclidean norm, also where squares overflow or vanish.

    >>> [norm_of(2.0**k * np.array([3.0, -4.0])) / 2.0**k for k in (600, 0, -600)]
    [5.0, 5.0, 5.0]
    """
    largest = np.abs(vector).max(initial=0.0)
    if not 0.0 < largest < np.inf:
        return float(largest)
    unit = np.ldexp(1.0, np.frexp(largest)[1] - 1)  # a power of two: no rounding
    return float(unit * np.linalg.norm(vector / unit))


def part_of(parameters: Parameters, here: slice) -> Parameters:
    """Of some outputs."""
    if here.stop - here.start == len(parameters.intercept):
        return parameters
    return Parameters(parameters.weights[here], parameters.intercept[here])


def rows_of(X: Any) -> Any:
    """X as the engine takes it: a read-only array or a ``CSR``."""
    return CSR(*_same_index_type(X)) if sp.issparse(X) else read_only(X)


def matrix_of(X: Any, n_features: int) -> Any:
    """X of a problem as NumPy and SciPy take it."""
    return sp.csr_array((X.data, X.indices, X.indptr), (len(X.indptr) - 1, n_features)) if isinstance(X, CSR) else X


def score_into(scores: NDArray[Any], X: Any, weights: Vector, intercept: Vector) -> None:
    """``X @ W.T + b``, of dense rows without an array besides."""
    if sp.issparse(X):
        scores[...] = X @ weights.T
    else:
        np.matmul(X, weights.T, out=scores)
    scores += intercept


def blocks_of_rows(X: Any, rows: Order, n_features: int) -> Iterator[tuple[slice, Any]]:
    """Some rows at a time: where they are in ``rows``, and as a matrix, which if sparse names no column twice."""
    matrix = matrix_of(X, n_features)
    for here in gen_batches(len(rows), ROWS_AT_ONCE):
        block = matrix[rows[here]]
        if sp.issparse(block):
            block.sum_duplicates()
        yield here, block


def values_of_row(X: Any) -> float:
    """Stored values of the mean row."""
    return len(X.data) / max(1, len(X.indptr) - 1) if isinstance(X, CSR) else float(X.shape[1])


def largest_value(X: Any) -> float:
    """Largest ``|x|`` (or ``|y|``), for the message about a divergence."""
    values = X.data if isinstance(X, CSR) else X
    return float(max(values.max(initial=0.0), -values.min(initial=0.0)))


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view. Numba compiles read-only arrays apart; giving it nothing else halves what it compiles."""
    view = array.view()
    view.flags.writeable = False
    return view


def _same_index_type(X: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Data, indices and row pointer of a CSR matrix, the last two of one type, in which the pointers have room: two
    things to compile, not many."""
    kind = np.dtype(np.int64)
    if X.indices.dtype == np.int32 and X.indptr[-1] <= np.iinfo(np.int32).max:
        kind = X.indices.dtype
    indices, indptr = (read_only(part.astype(kind, copy=False)) for part in (X.indices, X.indptr))
    return read_only(X.data), indices, indptr
