"""The largest constant learning rate at which training does not run away."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import brentq

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._problems.state import matrix_of
from minibatch._tables import html_table, short
from minibatch.diagnostics._eigenvalues import CONVERGED, extreme_eigenpairs, residuals
from minibatch.diagnostics._hessian_product import has_independent_outputs, hessian_product, row_curvatures
from minibatch.diagnostics._objective import TrainedObjective, trained_objective
from minibatch.diagnostics._solvers import STRAIGHT_LOSSES, solver_of, stable_product

__all__ = ["StabilityLimit", "stability_limit"]

_Array = NDArray[np.float64]

# Beyond so many n_samples * n_features**2 the noise of batches is left out. Measured: this many take about 10 s on two
# cores, and n_features = 300 with 10,000 rows are below it.
_MOST_WORK = 1e9
_ACCURACY = 1e-5  # of a limit
# Of the eigenvectors on the way: their errors count by their squares. A basis this small costs the fewest products.
_ACCURACY_OF_NOISE, _BASIS_OF_NOISE = 1e-3, 8


class StabilityLimit(float):
    """What :func:`stability_limit` found: a number, the rate, that knows where it comes from.

    Attributes
    ----------
    exact : bool
        Whether the noise of batches is in it. If not, the number is ``full_batch``, an upper bound.

    full_batch : float
        The limit of full batches, which have no noise.

    curvature : float
        The largest eigenvalue of the Hessian; NaN, as the limit is then, where Lanczos did not find it.

    converged : bool
        Whether an eigenvalue of the Hessian lies within 1e-4 of ``curvature``, relatively. If not, kinks (ReLU) or
        columns of X of large scale spoil it, and the limit is not to be trusted.

    batch_size : int
        Rows in a batch.

    solver : str
        ``'sgd'``, ``'momentum'`` or ``'nesterov'``.

    momentum : float
        0 for ``'sgd'``.
    """

    exact: bool
    full_batch: float
    curvature: float
    converged: bool
    batch_size: int
    solver: str
    momentum: float

    def __new__(cls, rate: float, **attributes: Any) -> "StabilityLimit":
        self = super().__new__(cls, rate)
        self.__dict__.update(attributes)
        return self

    def _title(self) -> str:
        momentum = f" (momentum {self.momentum:g})" if self.momentum else ""
        return f"Largest stable rate of {self.solver}{momentum}, batches of {self.batch_size}: {short(float(self))}"

    def _bound(self) -> str:
        return "" if self.exact else f"an upper bound: the noise of batches of {self.batch_size} lowers it"

    def _doubt(self) -> str:
        return "" if self.converged else "not converged: scale X, or look at a model farther from kinks (ReLU) [MB214]"

    def __repr__(self) -> str:
        more = self._bound() or f"full batch: {short(self.full_batch)}"
        doubt = f", {self._doubt()}" if self._doubt() else ""
        return f"{self._title()} ({more}; largest curvature: {short(self.curvature)}{doubt})"

    def _repr_html_(self) -> str:
        rows = [
            ["rate", float(self), self._bound()],
            ["rate of full batches", self.full_batch, ""],
            ["largest curvature", self.curvature, self._doubt()],
        ]
        return html_table(self._title(), ["", "value", ""], rows)


def stability_limit(estimator: Any, X: Any, y: Any, *, sample_weight: Any = None) -> StabilityLimit:
    """The largest constant learning rate at which gradient descent stays near a minimum with the Hessian found here.

    Above it, any small distance from the minimum grows from update to update. With the largest eigenvalue ``h`` of the
    Hessian (penalty included) and momentum ``m``, full batches are stable below [1]_

    - ``2 / h`` for ``solver='sgd'``,
    - ``2 (1 + m) / h`` for ``'momentum'``,
    - ``2 (1 + m) / ((1 + 2 m) h)`` for ``'nesterov'``.

    The noise of smaller batches lowers this. Below the limit that is returned, the mean square of the distance falls
    (or, where the rows contradict each other, stays bounded), which is all of plain SGD's second moments [2]_ [3]_:
    with the Hessians ``H_b`` of random batches, and ``H`` their mean, ``M -> E[(I - eta H_b) M (I - eta H_b)]`` has the
    spectral radius 1 at the limit. With momentum it is the same map of the second moments of weights and velocity.

    Parameters
    ----------
    estimator : estimator of this package, or Pipeline that ends in one
        Its solver, momentum, batch size and penalty are used, not its learning rate. The Hessian is that of its
        parameters, or, before ``fit``, of those that its training begins with; least squares have the same Hessian
        everywhere. The transformers of a pipeline must be fitted.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or targets.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, as in ``fit``.

    Returns
    -------
    StabilityLimit
        The rate, a ``float``; infinite where the objective is not curved. Independent outputs (columns of y, each class
        against the rest) each have a limit; this is the lowest.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    ValueError
        If the solver has no such limit, or the rows do not fit.

    See Also
    --------
    learning_rate_range_test : Usable rates by trying them.

    Notes
    -----
    For batches, the limit is that of linear models with independent outputs and up to about a billion ``n_samples *
    n_features**2``, the work of one step of the computation, which makes some dozens. For networks, ``'log_loss'`` with
    ``multi_class='multinomial'`` and larger data, it is the limit of full batches, an upper bound, and ``exact`` is
    False: the second moments have as many numbers as the Hessian.

    Rows are taken to be drawn with replacement (``shuffle="replacement"``), and the last short batch of an epoch to be
    none. Other epochs draw without. Where the batch is a small part of the rows the two agree to a few percent; close
    to the full batch, such an estimator is a little more stable than this says.

    Mean squares are strict: where rare, heavy rows decide, most runs are still stable some way above the limit.

    It is about rates that do not fall, and about the neighbourhood of a minimum. A loss that bends less farther out
    (``'log_loss'``, ``'huber'``) does not run away above the limit but bounces around the minimum. Losses of straight
    pieces (``'hinge'``, ``'absolute_error'``, ...) have no curvature and no limit but that of the L2 penalty. An L1
    penalty, which is a shrinking step, changes nothing. Plain SGD never shrinks a weight beyond 0, so that with an
    ``alpha`` above the curvature of the loss its limit is higher than this says. Dropout, more noise, is left out;
    batch normalization counts with its running statistics, and ``batch_growth`` with the first batch size.

    References
    ----------
    .. [1] B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Computational
       Mathematics and Mathematical Physics, 1964.
    .. [2] C. Ma and L. Ying, "On Linear Stability of SGD and Input-Smoothness of Neural Networks", NeurIPS 2021.
       arXiv:2105.13462
    .. [3] R. Mulayoff and T. Michaeli, "Exact Mean Square Linear Stability Analysis for SGD", COLT 2024.
       arXiv:2306.07850

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDRegressor
    >>> from minibatch.diagnostics import stability_limit
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X = scale(X)
    >>> for size in (1, 16, "full"):
    ...     print(stability_limit(MiniBatchSGDRegressor(batch_size=size), X, y))
    Largest stable rate of sgd, batches of 1: 0.135 (full batch: 0.497; largest curvature: 4.02)
    Largest stable rate of sgd, batches of 16: 0.453 (full batch: 0.497; largest curvature: 4.02)
    Largest stable rate of sgd, batches of 442: 0.497 (full batch: 0.497; largest curvature: 4.02)
    """
    with trained_objective(estimator, X, y, sample_weight, may_be_unfitted=True) as found:
        problem: Any = found.problem
        solver, momentum = _checked_solver(found.final)
        batch_size = found.final._resolved_batch_size(problem.n_samples)
        straight = getattr(found.final, "loss", None) in STRAIGHT_LOSSES
        curvature, converged = (problem.objective.l2, True) if straight else _largest_curvature(found)
        rate = full = np.inf if curvature <= 0.0 else stable_product(solver, momentum) / curvature
        exact = straight or batch_size >= problem.n_samples
        if not exact and _is_within_reach(problem):
            lowest = float(np.min(_limits_of_outputs(found, batch_size, solver, momentum)))  # NaN, if one is
            exact = not np.isnan(lowest)
            rate = min(full, lowest) if exact else full
    return StabilityLimit(
        rate, exact=exact, full_batch=full, curvature=curvature, converged=converged, batch_size=batch_size,
        solver=solver, momentum=momentum,
    )  # fmt: skip


_ADAPTIVE = "which divides the gradient by a scale of its own that moves all the time"
_OF_ROWS = "whose noise depends on what it remembers of the rows"
_WITHOUT_LIMIT = {"lbfgs": "which chooses its steps itself", "svrg": _OF_ROWS, "saga": _OF_ROWS}


def _checked_solver(final: MiniBatchEstimator) -> tuple[str, float]:
    """Name and momentum."""
    solver, momentum = solver_of(final)
    if np.isnan(stable_product(solver, momentum)):
        others = "" if hasattr(final, "nesterovs_momentum") else ", 'momentum' or 'nesterov'"
        why = _WITHOUT_LIMIT.get(solver, _ADAPTIVE)
        raise ValueError(
            f"solver must be 'sgd'{others}; got {solver!r}, {why}, so that no constant rate is a limit. "
            "learning_rate_range_test looks for usable rates."
        )
    return solver, momentum


def _largest_curvature(found: TrainedObjective) -> tuple[float, bool]:
    """The largest eigenvalue of the Hessian, and whether another look at it agrees."""
    start = np.random.default_rng(0).standard_normal(found.problem.n_trained)
    values, vectors = extreme_eigenpairs(hessian_product(found), start, 1, _ACCURACY)
    (residual,) = residuals(hessian_product(found, stretch=2.0), values, vectors)
    return float(values[0]), bool(residual <= CONVERGED * abs(values[0]))


def _is_within_reach(problem: Any) -> bool:
    """Whether the outputs are independent linear models, not too large."""
    return has_independent_outputs(problem) and problem.n_samples * problem.n_features**2 <= _MOST_WORK


def _limits_of_outputs(found: TrainedObjective, batch_size: int, solver: str, momentum: float) -> list[float]:
    problem: Any = found.problem
    rows = matrix_of(problem.data.X, problem.n_features)
    rows = rows.toarray() if sp.issparse(rows) else rows
    penalty = np.full(problem.n_features, problem.objective.l2)
    if problem.objective.fit_intercept:
        rows, penalty = np.column_stack([rows, np.ones(len(rows))]), np.append(penalty, 0.0)
    return [
        _mean_square_limit(np.sqrt(curvature)[:, None] * rows, penalty, batch_size, solver, momentum)
        for curvature in row_curvatures(found).T
    ]


def _mean_square_limit(rows: _Array, penalty: _Array, batch_size: int, solver: str, momentum: float) -> float:
    """The limit for the objective ``mean_i (rows_i @ w)**2 / 2 + penalty @ w**2 / 2`` with batches of random rows.

    In the eigenbasis of the Hessian, a noise of the gradient with second moments N leaves second moments ``R(eta) * N``
    of the weights, number by number (``_response``), and weights with second moments S make a noise ``V(S)``. The limit
    is where ``S -> R(eta) * V(S)`` has the spectral radius 1. The map keeps matrices nonnegative, so its radius is an
    eigenvalue; it is similar to the symmetric ``sqrt(R) * V(sqrt(R) *)``. With its eigenvector, ``<S, S / R(eta)> =
    <S, V(S)>`` gives the next rate, never below the limit (safeguarded iteration for nonlinear eigenvalue problems).
    NaN where it does not settle.
    """
    n = len(rows)
    hessian = rows.T @ rows / n + np.diag(penalty)
    curvatures, basis = np.linalg.eigh(hessian)
    curved = curvatures > len(hessian) * np.finfo(np.float64).eps * curvatures[-1]  # no row looks elsewhere
    if not curved.any():
        return np.inf
    curvatures, rows = curvatures[curved], rows @ basis[:, curved]
    mean, d = rows.T @ rows / n, len(curvatures)
    full = stable_product(solver, momentum) / curvatures[-1]

    def noise(S: _Array) -> _Array:
        squares = np.einsum("ij,ij->i", rows @ S, rows)
        return ((squares[:, None] * rows).T @ rows / n - mean @ S @ mean) / batch_size

    x, rate = np.eye(d).ravel(), full / 2
    for _ in range(50):
        root = np.sqrt(_response(curvatures, rate, solver, momentum))
        found, vectors = extreme_eigenpairs(
            lambda x, root=root: (root * noise(root * x.reshape(d, d))).ravel(),  # type: ignore[misc]
            x, 1, _ACCURACY_OF_NOISE, n_vectors=_BASIS_OF_NOISE,
        )  # fmt: skip
        if np.isnan(found[0]):
            break
        x = vectors[:, 0]
        S = root * x.reshape(d, d)
        before, rate = rate, _rate_of(S, float(np.vdot(S, noise(S))), curvatures, full, solver, momentum)
        if abs(rate - before) <= _ACCURACY * rate:
            return rate
    return np.nan


def _rate_of(S: _Array, noise: float, curvatures: _Array, full: float, solver: str, momentum: float) -> float:
    """The rate at which ``<S, S / R> = noise``, up to ``full``."""

    def excess(share: float) -> float:
        return float((S**2 / _response(curvatures, share * full, solver, momentum)).sum()) - noise

    most, least = 1 - _ACCURACY, 1e-3
    if excess(most) >= 0.0:
        return most * full
    while excess(least) <= 0.0:
        least /= 1e3
    return full * brentq(excess, least, most, rtol=_ACCURACY / 10)


def _response(curvatures: _Array, rate: float, solver: str, momentum: float) -> _Array:
    """Second moments of the weights per second moment of the noise in the gradient, for every two eigendirections.

    From ``w' = (1 + m - eta h) w - m w_before - eta noise`` for momentum, and for Nesterov's from ``w' = (1 + m) u - m
    u_before`` with ``u = w - eta (h w + noise)``, both stationary.
    """
    a, b, m = curvatures[:, None], curvatures, momentum
    if solver != "nesterov":
        inverse = (1 - m) * (a + b) / rate + m * (a - b) ** 2 / (1 - m * m) - (1 - m) / (1 + m) * a * b
        return 1.0 / inverse
    a, b, k = 1 - rate * a, 1 - rate * b, 1 + m
    ab = a * b
    left = 1 - m * m * ab
    noise = k * k + m * m - m * k * k * (a + b - m * ab * (2 - m * (a + b)) / left)
    return rate**2 * noise / (1 - (k * k + m * m) * ab + k * k * m * ab * (a + b - 2 * m * ab) / left)
