"""The gradient noise scale of a fitted model."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from minibatch._problems.state import Order
from minibatch._tables import html_table, short, text_table
from minibatch._training.noise import GradientNoise, estimated_noise, gradient_noise
from minibatch.diagnostics._noise_curvature import NoiseCurvature, bent_deviations, curvature_of
from minibatch.diagnostics._objective import TrainedObjective, trained_objective

__all__ = [
    "CARRIED", "CONSTRAINTS", "GradientNoiseResult", "carried_by_few", "drawn_rows", "gradient_noise_scale",
    "rows_in_words",
]  # fmt: skip

# A few rows carry the noise where the largest hundredth of them has more than this share of the trace. Of intervals
# that should hold 95 % of the truth, those from 1,000 rows with t-distributed columns (3 degrees of freedom; 1, 5 and
# 30 of them) held 8 to 44 %, and 78 to 100 % of these samples are above it; of normal ones, up to 4 % are.
CARRIED = 0.35

CONSTRAINTS: dict[str, list[Any]] = {
    "batch_size": [Interval(Integral, 2, None, closed="left"), None],
    "reference": [StrOptions({"train", "population"})],
    "confidence": [Interval(Real, 0, 1, closed="neither")],
    "random_state": ["random_state"],
}
_OWN_CONSTRAINTS: dict[str, list[Any]] = {**CONSTRAINTS, "curvature": ["boolean"]}


@dataclass(frozen=True, repr=False, eq=False)
class GradientNoiseResult:
    """What :func:`gradient_noise_scale` found.

    Attributes
    ----------
    trace : float
        Estimate of ``tr(S)``, where ``S`` is the covariance of the gradients of single rows.

    squared_norm : float
        Estimate of ``||G||^2``, where ``G`` is the gradient of the objective. It has no bias, so it may be negative
        where the gradient is lost in the noise.

    noise_scale : float
        ``trace / squared_norm``, in rows, or that with curvature if asked for, ``curvature.trace /
        curvature.along_gradient``. Infinite where the denominator is not positive, NaN where there is neither gradient
        nor noise, or the objective bends downwards; see ``interval`` for what is known then.

    interval : (float, float)
        Confidence interval of the noise scale; the upper end is infinite where it is not ``resolved``.

    resolved : bool
        Whether the rows looked at tell the gradient from zero. If not, the data only say that the noise scale is above
        ``interval[0]``.

    n_rows, n_samples : int
        Rows looked at, and rows given.

    reference : str
        ``'train'`` or ``'population'``.

    confidence : float
        Of the interval.

    batch_size : int
        Rows in a batch of the model's last training, ``batch_size_``.

    signal_to_noise : float
        ``batch_size / noise_scale``: how often the noise of a batch of independent rows, squared, fits into the
        gradient, squared. At 1 the batch size is the noise scale.

    largest_share : float
        The share of the trace that the largest hundredth of the rows looked at carries (the largest row, of fewer than
        200); with curvature, of ``tr(H S)``.

    carried_by_few : bool
        Whether the interval is to be doubted: it is from a sample, and ``largest_share`` is above 0.35. Then the rows
        that matter most may not be among those looked at, and no estimate of a variance knows. Such intervals are too
        narrow, as a rule too low.

    curvature : NoiseCurvature or None
        With ``curvature=True``, how the objective bends along the noise and along the gradient: ``trace`` and
        ``along_gradient``, estimates of ``tr(H S)`` and ``G' H G``; ``of_noise``, ``of_gradient`` and ``mean``, the
        curvature in the mean direction of the noise, of the gradient and of all; ``alignment``, the first of these over
        the last; ``n_probes``, 0 where the whole Hessian was made.
    """

    trace: float
    squared_norm: float
    noise_scale: float
    interval: tuple[float, float]
    resolved: bool
    n_rows: int
    n_samples: int
    reference: str
    confidence: float
    batch_size: int
    signal_to_noise: float
    largest_share: float
    carried_by_few: bool
    curvature: NoiseCurvature | None = None

    def _title(self) -> str:
        rows, bent = rows_in_words(self.n_rows, self.n_samples), self.curvature
        what = "Gradient noise scale" if bent is None else "Gradient noise scale with curvature"
        low, high = (short(end) for end in self.interval)
        if np.isnan(self.noise_scale):
            if bent is not None and min(bent.trace, bent.along_gradient) < 0.0:
                return f"{what}: none, for the objective bends downwards along its gradient or the noise"
            return f"{what}: none, for there is neither gradient nor noise in {rows}"
        if not self.resolved:
            gradient = "gradient" if bent is None else "curvature along the gradient"
            return (
                f"{what}: above {low} ({self.confidence:g} confidence); {rows} do not tell the {gradient} from zero "
                "[MB209]"
            )
        probed = bent is not None and bent.n_probes > 0
        if self.reference == "train" and self.n_rows == self.n_samples and not probed:
            return f"{what}: {short(self.noise_scale)} rows, exact for {rows}"
        return (
            f"{what}: {short(self.noise_scale)} rows, between {low} and {high} ({self.confidence:g} confidence), from "
            f"{rows}"
        )

    def _rows(self) -> list[list[Any]]:
        bent = [] if self.curvature is None else [
            ["curvature along the noise", self.curvature.of_noise],
            ["curvature along the gradient", self.curvature.of_gradient],
            ["curvature in the mean direction", self.curvature.mean],
            ["alignment of noise and curvature", self.curvature.alignment],
        ]  # fmt: skip
        return [
            ["trace of the noise", self.trace],
            ["squared norm of the gradient", self.squared_norm],
            *bent,
            ["batch size of the model", self.batch_size],
            ["signal to noise of a batch", self.signal_to_noise],
            ["share of the largest rows in the trace", self.largest_share],
        ]

    def _doubts(self) -> list[str]:
        if not self.carried_by_few:
            return []
        few = max(1, self.n_rows // 100)
        rows = "row carries" if few == 1 else f"{few} rows carry"
        return [
            f"a few rows carry the noise: the largest {rows} {self.largest_share:.0%} of the trace, so the interval is "
            "too narrow; look at more rows, or at columns and targets with heavy tails [MB210]"
        ]

    def __repr__(self) -> str:
        return "\n".join([self._title(), text_table(["", "estimate"], self._rows()), *self._doubts()])

    def _repr_html_(self) -> str:
        return html_table("; ".join([self._title(), *self._doubts()]), ["", "estimate"], self._rows())


def gradient_noise_scale(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    batch_size: int | None = None,
    reference: str = "train",
    confidence: float = 0.95,
    random_state: Any = None,
    sample_weight: Any = None,
    curvature: bool = False,
) -> GradientNoiseResult:
    """How noisy the gradient of a batch is at a fitted model, as the batch size at which noise and signal are equal.

    With ``g_i`` the gradient of the loss of row ``i``, ``S`` the covariance of these, and ``G`` the gradient of the
    objective with its penalty, the simple noise scale [1]_ is ``B_simple = tr(S) / ||G||^2``. A batch of ``B`` rows has
    ``E ||g_B - G||^2 = tr(S) / B``. Far below ``B_simple``, twice the rows in a batch are worth nearly twice the
    learning rate; far above it they only cost time: the best single step with a batch of ``B`` rows lowers the loss by
    ``1 / (1 + B_simple / B)`` of what the best step along ``G`` would, where the curvature is the same in all
    directions. Gradients of single rows are never formed [3]_: their norms and inner products come from one pass
    forward and back. All in all it costs two or three times what the gradient of the rows looked at does.

    Parameters
    ----------
    estimator : fitted estimator of this package, or fitted Pipeline that ends in one
        It stays as it is. Its weights of classes count, its dropout does not.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows, two or more. (With rows that the model has not seen it is about their objective.)

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or targets.

    batch_size : int, default=None
        How many rows to look at, two or more, drawn at random without replacement; None for all. Some thousands are
        enough early in training. Late, when the gradient is small, more are needed to resolve it: about ``B_simple``.

    reference : {'train', 'population'}, default='train'
        Whose ``S`` and ``G``: those of the rows given, exact if all are looked at, or those of the population that
        the rows are independent draws from. Small training sets that are fitted closely have a small gradient of their
        own, while that of the population stays lost in the noise.

    confidence : float, default=0.95
        Of the interval, between 0 and 1.

    random_state : int, RandomState instance or None, default=None
        Seed of the draw of rows. None draws a new one without touching NumPy's global state.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows; ``g_i`` is the gradient of ``s_i loss_i``, with weights of mean 1. A batch takes rows
        whatever their weights, so weights that differ are noise too.

    curvature : bool, default=False
        Whether noise and gradient count by the curvature in their directions: the noise scale is then ``B_noise =
        tr(H S) / G' H G`` (eq. 2.8 of [1]_), with ``H`` the Hessian of the objective on all rows given. The best single
        step with a batch of ``B`` rows is ``1 / (1 + B_noise / B)`` of the best one along ``G``, and so is what it
        gains, for a quadratic exactly. Set it where directions differ, as they do in columns of different scales or
        late in training; it costs as many products with the Hessian as there are parameters, or 100 pairs if there are
        many.

    Returns
    -------
    GradientNoiseResult
        Both estimates, the noise scale with its interval, and whether it is resolved.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    NotFittedError
        If it is not fitted.
    ValueError
        Before any work, if a parameter or the data are out of range; if the model normalises batches, where a row has
        no gradient of its own; if the objective is not finite.

    See Also
    --------
    gradient_noise_curve : The same along a training run.
    norm_test : Whether one batch is large enough.

    Notes
    -----
    With ``g`` the mean of ``m`` gradients out of ``n``, ``T = sum_i ||g_i - g||^2 / (m - 1)`` and ``p`` the gradient of
    the penalty, the estimates are ``(1 - 1/n) T`` and ``||g + p||^2 - (1/m - 1/n) T``, for the population ``T`` and
    ``||g + p||^2 - T / m``. Neither has a bias; with one row per small batch they are those of [1]_. The interval of
    their ratio is Fieller's [2]_, with variances of the jackknife. Where gradients have heavy tails, as with columns of
    X that do, a sample knows neither its trace nor the variance of that; see ``carried_by_few``.

    With ``curvature`` all of this holds in the inner product of the Hessian, ``v' H w`` in place of ``v . w``. Where it
    bends downwards along the gradient or the noise, as that of a network may, no step is the best and there is no noise
    scale. Of more than 512 parameters (fewer, of many rows) ``v' H v`` is estimated by random signs, and the interval
    is wider by their error. The alignment ``p tr(H S) / (tr(H) tr(S))`` [4]_ says how often more the objective bends
    along the noise than in the mean of ``p`` directions. Losses of straight pieces bend by their penalty alone.

    It is an order of magnitude: it knows the training loss only, nothing of momentum or adaptive solvers, nor of
    curvature unless asked to, and it grows during training, often more than tenfold. It says which batch sizes use rows
    well, not which generalize.

    References
    ----------
    .. [1] S. McCandlish, J. Kaplan, D. Amodei et al., "An Empirical Model of Large-Batch Training", 2018.
           arXiv:1812.06162
    .. [2] E. C. Fieller, "Some Problems in Interval Estimation",
       Journal of the Royal Statistical Society B 16, 1954.
    .. [3] I. Goodfellow, "Efficient Per-Example Gradient Computations",
       2015. arXiv:1510.01799
    .. [4] Z. Zhu, J. Wu, B. Yu, L. Wu and J. Ma, "The Anisotropic Noise in Stochastic Gradient Descent: Its Behavior of
           Escaping from Sharp Minima and Regularization Effects", ICML 2019. arXiv:1803.00195

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.diagnostics import gradient_noise_scale
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X = scale(X)
    >>> early, late = (
    ...     MiniBatchSGDClassifier(
    ...         "log_loss", batch_size=32, max_iter=m, tol=None, random_state=0
    ...     ).fit(X, y)
    ...     for m in (1, 50)
    ... )
    >>> gradient_noise_scale(early, X, y).noise_scale < gradient_noise_scale(
    ...     late, X, y
    ... ).noise_scale
    True
    """
    given = {"batch_size": batch_size, "reference": reference, "confidence": confidence, "random_state": random_state}
    given |= {"curvature": curvature}
    validate_parameter_constraints(_OWN_CONSTRAINTS, given, caller_name="gradient_noise_scale")
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    with trained_objective(estimator, X, y, sample_weight) as objective:
        n_samples, model_size = objective.problem.n_samples, int(objective.final.batch_size_)
        rows = drawn_rows(n_samples, batch_size, random)
        plain = gradient_noise(objective.problem, objective.theta, rows, reference=reference, confidence=confidence)
        found, bent = plain, None
        if curvature:
            n_population = n_samples if reference == "train" else np.inf
            found, bent = _with_curvature(objective, rows, plain, n_population, confidence, random)
    if np.isnan(found.noise_scale):
        signal_to_noise = np.nan
    else:
        signal_to_noise = model_size / found.noise_scale if found.noise_scale > 0.0 else np.inf
    return GradientNoiseResult(
        plain.trace, plain.squared_norm, found.noise_scale, found.interval, found.resolved, found.n_rows, n_samples,
        reference, confidence, model_size, signal_to_noise, found.largest_share,
        carried_by_few(found.largest_share, found.n_rows < n_samples or reference == "population"), bent,
    )  # fmt: skip


def _with_curvature(
    objective: TrainedObjective,
    rows: Order | None,
    plain: GradientNoise,
    n_population: float,
    confidence: float,
    random: np.random.RandomState,
) -> tuple[GradientNoise, NoiseCurvature]:
    bent = bent_deviations(objective, rows, random)
    found = estimated_noise(bent.rows, n_population, confidence, bent.variance)
    said = curvature_of(
        bent, found.trace, found.squared_norm, plain.trace, plain.squared_norm, objective.problem.n_trained
    )
    is_all = found.n_rows == n_population and bent.n_probes == 0
    if found.trace < 0.0 or (is_all and found.squared_norm < 0.0):
        found = found._replace(noise_scale=np.nan, interval=(np.nan, np.nan), resolved=False)
    return found, said


def carried_by_few(largest_share: Any, sampled: bool) -> Any:
    """Whether intervals from a sample are to be doubted; of all rows they are exact.

    >>> (
    ...     carried_by_few(0.5, True),
    ...     carried_by_few(0.5, False),
    ...     carried_by_few(float("nan"), True),
    ... )
    (True, False, False)
    """
    return sampled & (largest_share > CARRIED)


def drawn_rows(n_samples: int, size: int | None, random_state: Any) -> Order | None:
    """Numbers of rows drawn without replacement; None for all."""
    if size is None or size >= n_samples:
        return None
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    return np.sort(random.choice(n_samples, size, replace=False))


def rows_in_words(n_rows: int, n_samples: int) -> str:
    """

    >>> rows_in_words(50, 50), rows_in_words(8, 50)
    ('all 50 rows', '8 of 50 rows')
    """
    return f"all {n_rows} rows" if n_rows == n_samples else f"{n_rows} of {n_samples} rows"
