"""Curvature of the objective at a fitted model: extreme eigenvalues and trace of its Hessian."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from minibatch._tables import frame_of, html_table, text_table
from minibatch.diagnostics._eigenvalues import CONVERGED, Product, extreme_eigenpairs, matrix_of_product, residuals
from minibatch.diagnostics._hessian_product import hessian_product
from minibatch.diagnostics._objective import Trained, trained_objective
from minibatch.diagnostics._solvers import solver_of, stable_product

__all__ = ["HessianSpectrumResult", "hessian_spectrum"]

_DEFAULT_K = 5
# Up to so many parameters, or so many for every eigenvalue asked for, the whole matrix takes fewer products.
_DENSE, _DENSE_PER_EIGENVALUE = 128, 4
# Of Lanczos, relative to the largest eigenvalue. The smallest is one of many close together, as a rule, and its sign is
# what is asked about.
_TOLERANCE, _TOLERANCE_OF_SMALLEST = 1e-7, 1e-4
_POWER_STEPS = 10


@dataclass(frozen=True, repr=False, eq=False)
class HessianSpectrumResult:
    """What a :func:`hessian_spectrum` found.

    Attributes
    ----------
    eigenvalues : ndarray of shape (k,)
        The largest eigenvalues of the Hessian, in descending order. NaN, at the end, for those that Lanczos did not
        find.

    eigenvectors : ndarray of shape (n_parameters, k)
        Their eigenvectors, of length 1, one a column: all weights, layer by layer, then all intercepts, then the scales
        of batch normalization.

    residuals : ndarray of shape (k,)
        ``||H v - lambda v||``. An eigenvalue of the Hessian lies within this distance. The product is made anew, with
        steps twice as long where it is a difference of gradients, so that errors of the differences show in it.

    converged : ndarray of shape (k,)
        Whether the residual is at most 1e-4 of the largest ``|lambda|``.

    smallest : float
        The smallest eigenvalue: below zero, the model is not at a minimum. From Lanczos it may be too high by 1e-4
        of the largest; NaN where Lanczos did not find it.

    trace : float
        The sum of all eigenvalues.

    trace_error : float
        Its standard error; 0 where the whole matrix was made.

    n_parameters : int
        Trained parameters: rows of the Hessian.

    method : str
        ``'dense'`` or ``'lanczos'``.

    solver : str
        The update that trained the model: ``'sgd'``, ``'momentum'``, ``'nesterov'``, ``'adam'`` and so on. That of a
        network is ``'nesterov'`` for ``solver='sgd'`` with Nesterov's momentum.

    learning_rate : float
        Of the last update; NaN where the solver has none.

    edge_of_stability : float
        The curvature above which a full-batch update at this rate overshoots for ever: ``2 / eta`` for ``'sgd'``,
        ``2 (1 + beta) / eta`` for ``'momentum'``, ``2 (1 + beta) / ((1 + 2 beta) eta)`` for ``'nesterov'``. NaN for
        other solvers: their steps have a length of their own in every parameter, and the Hessian alone does not tell.
    """

    eigenvalues: NDArray[np.float64]
    eigenvectors: NDArray[np.float64]
    residuals: NDArray[np.float64]
    converged: NDArray[np.bool_]
    smallest: float
    trace: float
    trace_error: float
    n_parameters: int
    method: str
    solver: str
    learning_rate: float
    edge_of_stability: float

    def to_frame(self) -> Any:
        """One row an eigenvalue: its rank from 1, itself, its residual, whether it converged."""
        ranks = np.arange(1, len(self.eigenvalues) + 1)
        columns = {"rank": ranks, "eigenvalue": self.eigenvalues, "residual": self.residuals}
        return frame_of(columns | {"converged": self.converged})

    def _title(self) -> str:
        error = f" +- {self.trace_error:.2g}" if self.trace_error > 0.0 else ""
        return (
            f"Hessian spectrum: {len(self.eigenvalues)} largest of {self.n_parameters} eigenvalues ({self.method}); "
            f"smallest {self.smallest:.3g}, trace {self.trace:.4g}{error}"
        )

    def _remarks(self) -> list[str]:
        if not np.isnan(self.edge_of_stability):
            remarks = [
                f"edge of stability of full batches, {self.solver} at learning rate {self.learning_rate:.3g}: "
                f"{self.edge_of_stability:.4g}"
            ]
        else:
            remarks = [f"solver {self.solver!r} has no edge of stability that the Hessian alone tells"]
        if not self.converged.all():
            remarks.append(
                "not converged: kinks of the objective (hinge, ReLU) near the parameters, columns of X that are not "
                "scaled, or eigenvalues too close together [MB214]"
            )
        return remarks

    def _rows(self) -> list[list[Any]]:
        columns = (self.eigenvalues, self.residuals, self.converged)
        return [
            [rank, value, residual, "yes" if converged else "no"]
            for rank, (value, residual, converged) in enumerate(zip(*columns, strict=True), start=1)
        ]

    def __repr__(self) -> str:
        table = text_table(["rank", "eigenvalue", "residual", "converged"], self._rows())
        return "\n".join([self._title(), table, *self._remarks()])

    def _repr_html_(self) -> str:
        caption = "; ".join([self._title(), *self._remarks()])
        return html_table(caption, ["rank", "eigenvalue", "residual", "converged"], self._rows())


class _Spectrum(NamedTuple):
    """Eigenvalues in descending order and eigenvectors, the smallest eigenvalue, the trace with its error."""

    values: NDArray[np.float64]
    vectors: NDArray[np.float64]
    smallest: float
    trace: float
    trace_error: float


_CONSTRAINTS: dict[str, list[Any]] = {
    "k": [Interval(Integral, 1, None, closed="left"), None],
    "n_probes": [Interval(Integral, 2, None, closed="left")],
    "random_state": ["random_state"],
}


def hessian_spectrum(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    k: int | None = None,
    n_probes: int = 100,
    random_state: Any = None,
    sample_weight: Any = None,
) -> HessianSpectrumResult:
    """Largest eigenvalues, smallest eigenvalue and trace of the Hessian of the training objective at a fitted model.

    ``H = d^2 F / d theta^2`` with ``F = sum_i s_i loss_i / sum_i s_i + alpha R(w)``, in all trained parameters
    ``theta``. The largest eigenvalue limits the learning rate: full-batch gradient descent overshoots along its
    eigenvector where ``eta > 2 / lambda``. While a network is trained with full batches it rises to about ``2 / eta``
    and stays there [1]_. The trace is the mean curvature over all directions times their number.

    Parameters
    ----------
    estimator : fitted estimator of this package, or fitted Pipeline that ends in one
        It stays as it is.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows that the objective is made of, as a rule the training rows.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their labels or targets.

    k : int, default=None
        How many of the largest (algebraic) eigenvalues, at most all. None means 5, or all where there are fewer.

    n_probes : int, default=100
        Random vectors for the trace; its error falls with their root. Not used up to 128 parameters, or 4 for every
        eigenvalue asked for: then the whole matrix is made, and the trace is exact.

    random_state : int, RandomState instance or None, default=None
        Seed of the random vectors. Pass an int for a reproducible result. None draws a new one without touching NumPy's
        global state.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, as in ``fit``.

    Returns
    -------
    HessianSpectrumResult
        Eigenvalues with their residuals, eigenvectors, trace, and the edge of stability of the model's solver.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    NotFittedError
        If it is not fitted.
    ValueError
        If a parameter is out of range, ``k`` is more than there are parameters, the rows do not fit, or the objective
        or its gradient is not finite around the model.

    See Also
    --------
    minibatch.plotting.HessianSpectrumDisplay : The eigenvalues and the edge of stability.
    minibatch.diagnostics.sharpness : How far the objective rises around the model.

    Notes
    -----
    Products are exact for linear models whose loss bends: rows times second derivatives. Those of networks are central
    differences of the gradient, ``H v = (g(w + h v) - g(w - h v)) / 2h`` with ``h = eps^(1/3) (1 + ||w||) / ||v||``.
    Large problems go to Lanczos (``scipy.sparse.linalg.eigsh``). The trace is that of the part that the eigenvectors
    explain, plus Hutchinson's estimate [2]_ ``mean z' P H P z``, ``z`` of -1 and +1, of the rest ``P = I - V V'``, as
    in [3]_.

    A difference averages the curvature over its step. Where the gradient jumps, as that of the hinge and of ReLU does,
    ``h`` is ``eps^(1/2) (1 + ||w||) / ||v||``, so that hardly any row has its kink within the step. The spectrum is
    that of the smooth pieces then: of the hinge, the penalty's alone. A row right at its kink shows as a large
    residual. The L1 part of a penalty has no curvature but for its kink at 0; it is left out. Dropout is off, and batch
    normalization uses its running statistics.

    A batch smaller than the data becomes unstable at lower curvature than ``edge_of_stability``; for networks it
    settles there [4]_. The spectrum depends on how the parameters are scaled [5]_: it says which learning rates are
    stable, not how well a model generalizes.

    References
    ----------
    .. [1] J. Cohen et al., "Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability", ICLR 2021.
       arXiv:2103.00065
    .. [2] M. F. Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian smoothing
       splines", Communications in Statistics 1990.
    .. [3] R. A. Meyer et al., "Hutch++: Optimal Stochastic Trace Estimation",
       SOSA 2021. arXiv:2010.09649
    .. [4] A. Andreyev and P. Beneventano, "Edge of Stochastic Stability",
       2024. arXiv:2412.20553
    .. [5] L. Dinh et al., "Sharp Minima Can Generalize For Deep Nets",
       ICML 2017. arXiv:1703.04933

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDRegressor
    >>> from minibatch.diagnostics import hessian_spectrum
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MiniBatchSGDRegressor(alpha=0, random_state=0).fit(scale(X), y)
    >>> result = hessian_spectrum(model, scale(X), y, k=3)
    >>> result.eigenvalues.round(3), round(result.trace, 3)
    (array([4.024, 1.492, 1.206]), 11.0)
    """
    given = {"k": k, "n_probes": n_probes, "random_state": random_state}
    validate_parameter_constraints(_CONSTRAINTS, given, caller_name="hessian_spectrum")
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    with trained_objective(estimator, X, y, sample_weight) as objective:
        n = len(objective.trained)
        if k is None:
            k = min(_DEFAULT_K, n)
        if k > n:
            raise ValueError(f"k must be at most the number of trained parameters, {n}; got k={k}.")
        product, dense = hessian_product(objective), n <= max(_DENSE, _DENSE_PER_EIGENVALUE * k)
        found = _whole(product, n, k) if dense else _lanczos(product, n, k, n_probes, random)
        errors = residuals(hessian_product(objective, stretch=2.0), found.values, found.vectors)
    largest = np.nanmax(np.abs([*found.values, found.smallest])) if np.isfinite(found.values).any() else np.nan
    solver, momentum = solver_of(objective.final)
    rate = float(objective.final.history_.last("learning_rate", np.nan))
    return HessianSpectrumResult(
        eigenvalues=found.values,
        eigenvectors=found.vectors,
        residuals=errors,
        converged=errors <= CONVERGED * largest,
        smallest=found.smallest,
        trace=found.trace,
        trace_error=found.trace_error,
        n_parameters=n,
        method="dense" if dense else "lanczos",
        solver=solver,
        learning_rate=rate,
        edge_of_stability=stable_product(solver, momentum) / rate,
    )


def _whole(product: Product, n: int, k: int) -> _Spectrum:
    """From the whole matrix, column by column."""
    H = matrix_of_product(product, n)
    values, vectors = np.linalg.eigh(H)
    return _Spectrum(values[: -k - 1 : -1].copy(), vectors[:, : -k - 1 : -1].copy(), values[0], float(np.trace(H)), 0.0)


def _lanczos(product: Product, n: int, k: int, n_probes: int, random: np.random.RandomState) -> _Spectrum:
    start = random.standard_normal(n)
    scale = _largest_magnitude(product, start)
    values, vectors = extreme_eigenpairs(product, start, k, _TOLERANCE, shift=2.0 * scale)
    lowest, _ = extreme_eigenpairs(product, start, 1, _TOLERANCE_OF_SMALLEST, shift=-2.0 * scale)
    known = vectors[:, np.isfinite(values)]
    rest = [_rest_of_trace(product, known, random.choice([-1.0, 1.0], n)) for _ in range(n_probes)]
    trace = float(np.nansum(values) + np.mean(rest))
    return _Spectrum(values, vectors, float(lowest[0]), trace, float(np.std(rest, ddof=1) / np.sqrt(n_probes)))


def _largest_magnitude(product: Product, v: Trained) -> float:
    """About the largest ``|lambda|``, from below, by the power method."""
    length = 0.0
    for _ in range(_POWER_STEPS):
        v = product(v / np.linalg.norm(v))
        length = float(np.linalg.norm(v))
        if length == 0.0:
            break
    return length


def _rest_of_trace(product: Product, known: NDArray[np.float64], probe: Trained) -> float:
    """``z' P H P z``, where ``P`` takes the known eigenvectors out."""
    rest = probe - known @ (known.T @ probe)
    return float(rest @ product(rest))
