"""Whether one batch is large enough: the norm test and the two tests that it is made of."""

from dataclasses import dataclass
from math import ceil, inf, isfinite, isnan, nan, sqrt
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from minibatch._base.ranges import number_above
from minibatch._tables import html_table, short, text_table
from minibatch._training.noise import Deviations, row_deviations
from minibatch.diagnostics._norm_test_adaptive import AdaptiveNormTest, adaptive_norm_test
from minibatch.diagnostics._objective import TrainedObjective, trained_objective
from minibatch.engine.optimizers import DOWG, SGD

__all__ = ["NormTestResult", "norm_test"]


@dataclass(frozen=True, repr=False, eq=False)
class NormTestResult:
    """What a :func:`norm_test` found on its batch.

    Attributes
    ----------
    theta_norm, theta_inner, nu : float
        The smallest thresholds that the batch passes in the norm test, the inner-product test and the orthogonality
        test; ``theta_norm^2 = theta_inner^2 + nu^2``. Infinite where the batch has no gradient, NaN where it has no
        noise either.

    thresholds : dict {str: float}
        What was asked for, by the names of the three.

    passes : dict {str: bool}
        Whether each is at most its threshold. A batch of all rows has the gradient of the objective, and passes
        whatever is found.

    suggested_batch_size : int or float
        The least batch size at which the norm test would pass with the variance and the gradient of this batch, or
        ``n_samples`` if there is none below. NaN as ``theta_norm``.

    cabs_batch_size : int or None
        The batch size by the rule of CABS, ``ceil(learning rate * trace / loss)``, at most ``n_samples``; None where it
        does not apply.

    cabs_missing : str
        Why there is none; empty where there is one.

    trace : float
        ``sum_i ||g_i - g||^2 / (B - 1)``, the trace of the covariance of the rows' gradients in the batch.

    squared_norm : float
        ``||g||^2`` of the batch, the penalty included. On average it is above that of the objective by ``trace / B``.

    loss : float
        Mean loss of the batch, without penalty.

    batch_size, n_samples : int
        Rows in the batch, and rows given.

    adaptive : AdaptiveNormTest or None
        The tests for a solver that divides gradients by scales of its own: ``theta_scaled`` and its
        ``suggested_batch_size``, in these scales; ``theta_coordinates``, ``share_passing`` and
        ``coordinate_batch_size``, parameter by parameter; which ``passes``. None for other solvers.
    """

    theta_norm: float
    theta_inner: float
    nu: float
    thresholds: dict[str, float]
    passes: dict[str, bool]
    suggested_batch_size: float
    cabs_batch_size: int | None
    cabs_missing: str
    trace: float
    squared_norm: float
    loss: float
    batch_size: int
    n_samples: int
    adaptive: AdaptiveNormTest | None = None

    def _title(self) -> str:
        if np.isnan(self.theta_norm):
            return f"Norm test of a batch of {self.batch_size} rows: neither gradient nor noise, nothing to test"
        if self.batch_size == self.n_samples:
            smaller = self.suggested_batch_size < self.n_samples
            others = f"batches of {short(self.suggested_batch_size)}" if smaller else "no smaller batches"
            return (
                f"Norm test: a batch of all {self.n_samples} rows has the gradient of the objective; by its variance, "
                f"{others} would pass"
            )
        verdict = "large enough" if self.passes["theta_norm"] else "too small"
        return (
            f"Norm test: a batch of {self.batch_size} rows is {verdict} here; the suggested size is "
            f"{short(self.suggested_batch_size)} of {self.n_samples} rows"
        )

    def _cabs(self) -> str:
        return (
            f"no batch size by CABS: {self.cabs_missing}"
            if self.cabs_missing
            else f"batch size by CABS: {self.cabs_batch_size}"
        )

    def _rows(self) -> list[list[Any]]:
        rows: list[list[Any]] = [
            [words, getattr(self, name), self.thresholds[name], "yes" if self.passes[name] else "no"]
            for name, words in (("theta_norm", "norm"), ("theta_inner", "inner product"), ("nu", "orthogonality"))
        ]
        if self.adaptive is not None:
            threshold, passes = self.thresholds["theta_norm"], self.adaptive.passes
            rows += [
                [words, getattr(self.adaptive, name), threshold, "yes" if passes[name] else "no"]
                for name, words in (("theta_scaled", "norm, scaled"), ("theta_coordinates", "every parameter"))
            ]
        return rows

    def _more(self) -> list[str]:
        if self.adaptive is None:
            return [self._cabs()]
        suggested, of_half = self.adaptive.suggested_batch_size, self.adaptive.coordinate_batch_size
        return [
            self._cabs(),
            f"in the solver's scales the suggested size is {short(suggested)}",
            f"{100 * self.adaptive.share_passing:.3g} % of the parameters pass by themselves; batches of "
            f"{short(of_half)} would do for half of those with noise",
        ]

    def __repr__(self) -> str:
        table = text_table(["test", "found", "threshold", "passes"], self._rows())
        return "\n".join([self._title(), table, *self._more()])

    def _repr_html_(self) -> str:
        caption = "; ".join([self._title(), *self._more()])
        return html_table(caption, ["test", "found", "threshold", "passes"], self._rows())


_CONSTRAINTS: dict[str, list[Any]] = {
    "batch_size": [Interval(Integral, 2, None, closed="left"), None],
    "theta": [number_above(0)],
    "nu": [number_above(0)],
    "random_state": ["random_state"],
}


def norm_test(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    batch_size: int | None = None,
    theta: float = 0.9,
    nu: float = 5.84,
    random_state: Any = None,
    sample_weight: Any = None,
) -> NormTestResult:
    """Whether the gradient of one random batch says enough about that of the objective at a fitted model.

    With ``g_i`` the gradients of the ``B`` rows of the batch, ``g`` the batch's (their mean plus the gradient of the
    penalty), and all variances with ``1 / (B - 1)``:

    - norm test [1]_: ``tr Var(g_i) / B <= theta^2 ||g||^2``,
    - inner-product test [2]_: ``Var(g_i . g) / B <= theta^2 ||g||^4``,
    - orthogonality test [2]_: ``tr Var(g_i - (g_i . g) g / ||g||^2) / B <= nu^2 ||g||^2``.

    The second asks that the batch gradient is a descent direction for most batches, the third that it is not nearly
    orthogonal to the true one; both together are weaker than the first, and let batches stay smaller.

    A solver that divides the gradient of every parameter ``j`` by a scale ``d_j`` (``'adagrad'``, ``'rmsprop'``,
    ``'adam'`` and its kin) has other units, and two more tests, for the same ``theta``:

    - scaled norm test: ``sum_j Var(g_ij) / d_j / B <= theta^2 sum_j g_j^2 / d_j``, the norm test in the parameters in
      which its steps are those of plain gradient descent,
    - coordinate-wise test [4]_: ``Var(g_ij) / B <= theta^2 g_j^2`` for every ``j``.

    Parameters
    ----------
    estimator : fitted estimator of this package, or fitted Pipeline that ends in one
        It stays as it is. Its weights of classes count, its dropout does not.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows, two or more.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or targets.

    batch_size : int, default=None
        Rows in the batch, two or more, all rows if there are fewer; None for the model's ``batch_size_``.

    theta : float, default=0.9
        Threshold of the norm test and the inner-product test. Lower for batches that are surer, and larger.

    nu : float, default=5.84
        Threshold of the orthogonality test, about ``tan(80 degrees)`` [2]_.

    random_state : int, RandomState instance or None, default=None
        Seed of the draw of rows. None draws a new one without touching NumPy's global state.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows; ``g_i`` is the gradient of ``s_i loss_i``, with weights of mean 1 over all rows.

    Returns
    -------
    NormTestResult
        The thresholds that would be passed, which are passed, and suggested batch sizes.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    NotFittedError
        If it is not fitted.
    ValueError
        Before any work, if a parameter or the data are out of range, or the batch has a single row; if the model
        normalises batches, where a row has no gradient of its own; if the objective is not finite.

    See Also
    --------
    gradient_noise_scale : The ratio of noise to gradient with an interval, from as many rows as there are.

    Notes
    -----
    The suggestion is ``ceil(tr Var(g_i) / (theta^2 ||g||^2))``. The gradient of a batch has noise in its norm, so near
    the optimum the suggestion is too small: about ``B / theta^2`` for pure noise. It comes from one batch, and another
    has another; repeat with other seeds. The tests take the rows of a batch as independent draws: that batches of
    almost all rows have less noise is not part of them. (``batch_growth="adaptive"`` counts it.)

    The scales are those of the optimizer's memory: the roots of its sums or corrected means of squared gradients, and
    epsilon. The coordinate-wise test is strict: a parameter whose gradient crosses 0 asks for all rows. So it comes
    with the share of parameters that pass, and with the batch size at which half of those with noise would. Both cost a
    gradient of every row of the batch by itself.

    CABS [3]_ takes ``ceil(rate * tr Var(g_i) / loss)`` rows, with the learning rate of the last epoch. It assumes plain
    SGD, a least loss of about 0, and curvature that is the same in all directions.

    References
    ----------
    .. [1] R. H. Byrd, G. M. Chin, J. Nocedal and Y. Wu, "Sample Size Selection in Optimization Methods for Machine
           Learning", Mathematical Programming 134, 2012.
    .. [2] R. Bollapragada, R. Byrd and J. Nocedal, "Adaptive Sampling Strategies for Stochastic Optimization", SIAM
           Journal on Optimization 28, 2018. arXiv:1710.11258
    .. [3] L. Balles, J. Romero and P. Hennig, "Coupling Adaptive Batch Sizes with Learning Rates", UAI 2017.
           arXiv:1612.05086
    .. [4] T. T.-K. Lau, H. Liu and M. Kolar, "AdAdaGrad: Adaptive Batch Size Schemes for Adaptive Gradient Methods",
           2024. arXiv:2402.11215

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.diagnostics import norm_test
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = MiniBatchSGDClassifier(
    ...     "log_loss", batch_size=32, max_iter=50, tol=None, random_state=0
    ... )
    >>> result = norm_test(model.fit(scale(X), y), scale(X), y, random_state=0)
    >>> result.passes["theta_norm"], result.suggested_batch_size > 32
    (False, True)
    """
    given = {"batch_size": batch_size, "theta": theta, "nu": nu, "random_state": random_state}
    validate_parameter_constraints(_CONSTRAINTS, given, caller_name="norm_test")
    with trained_objective(estimator, X, y, sample_weight) as objective:
        n_samples = objective.problem.n_samples
        size = min(n_samples, objective.final.batch_size_ if batch_size is None else batch_size)
        if size < 2:
            raise ValueError(
                f"The model was trained with batch_size={size}; a single row has no variance. Set batch_size to 2 or "
                "more."
            )
        random = np.random.RandomState() if random_state is None else check_random_state(random_state)
        rows = np.sort(random.choice(n_samples, size, replace=False))
        batch = objective.problem.on_rows(rows)
        found = _test(row_deviations(batch, objective.theta), theta)
        losses, _ = batch.evaluate(objective.theta)
        cabs, missing = _cabs(objective, found.trace, float(losses.sum()))
        adaptive = adaptive_norm_test(objective, rows, theta)
    thresholds = {"theta_norm": theta, "theta_inner": theta, "nu": nu}
    certain = size == n_samples and not np.isnan(found.theta_norm)
    passes = {name: certain or bool(getattr(found, name) <= threshold) for name, threshold in thresholds.items()}
    suggested = found.suggested if isnan(found.suggested) else max(1, ceil(min(found.suggested, n_samples)))
    return NormTestResult(
        found.theta_norm, found.theta_inner, found.nu, thresholds, passes, suggested, cabs, missing, found.trace,
        found.squared_norm, float(losses.sum()), int(size), n_samples, adaptive,
    )  # fmt: skip


class _Found(NamedTuple):
    theta_norm: float
    theta_inner: float
    nu: float
    suggested: float
    trace: float
    squared_norm: float


def _test(rows: Deviations, theta: float) -> _Found:
    """The three statistics; the variance across the gradient is what is left of all of it without that along it."""
    size, squared_norm = len(rows.squares), rows.squared_norm
    trace = float(rows.squares.sum() / (size - 1))
    if squared_norm <= rows.rounding:
        none = inf if trace > 0.0 else nan
        return _Found(none, none, none, none, trace, squared_norm)
    along = float(rows.along @ rows.along / (size - 1) / squared_norm)
    theta_norm, theta_inner, nu = (
        sqrt(max(0.0, part) / (size * squared_norm)) for part in (trace, along, trace - along)
    )
    return _Found(theta_norm, theta_inner, nu, trace / squared_norm / theta / theta, trace, squared_norm)


def _cabs(objective: TrainedObjective, trace: float, loss: float) -> tuple[int | None, str]:
    """The batch size by CABS, or why there is none."""
    rate = objective.final.history_.last("learning_rate", nan)
    if objective.problem.solver.kind not in (SGD, DOWG) or not isfinite(rate):
        return None, f"it is for plain SGD, without momentum; the solver is {objective.final.solver!r}"
    if not loss > 0.0:
        return None, f"it divides by the loss of the batch, which is {loss:.3g}"
    return max(1, ceil(min(rate * trace / loss, objective.problem.n_samples))), ""
