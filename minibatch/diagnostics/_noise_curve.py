"""The gradient noise scale along a training run."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from minibatch._tables import frame_of, html_table, text_table
from minibatch._training.noise import GradientNoise, gradient_noise
from minibatch.diagnostics._looks import Look, looks_along
from minibatch.diagnostics._noise_scale import CONSTRAINTS, carried_by_few, drawn_rows, rows_in_words
from minibatch.diagnostics._objective import TrainedObjective

__all__ = ["GradientNoiseCurve", "gradient_noise_curve"]

_Curve = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class GradientNoiseCurve:
    """What :func:`gradient_noise_curve` found.

    Attributes
    ----------
    n_updates : ndarray of shape (n_looks,)
        After how many updates it looked.

    epochs : ndarray of shape (n_looks,)
        The same in passes over the rows, in fractions.

    losses : ndarray of shape (n_looks,)
        Mean loss on the training rows then, without penalty and class weights.

    noise_scales : ndarray of shape (n_looks,)
        ``traces / squared_norms``, in rows. Infinite where the squared norm is not positive, NaN where there is neither
        gradient nor noise.

    intervals : ndarray of shape (n_looks, 2)
        Confidence intervals of the noise scales; the upper end is infinite where it is not resolved.

    resolved : ndarray of bool of shape (n_looks,)
        Whether the rows looked at tell the gradient from zero. If not, they only say that the noise scale is above
        ``intervals[:, 0]``.

    traces, squared_norms : ndarray of shape (n_looks,)
        Estimates of the trace of the covariance of the rows' gradients, and of the squared norm of the objective's
        gradient.

    batch_sizes : ndarray of shape (n_looks,)
        Rows in a batch of the training then.

    status : str
        How training ended, as ``status_`` of the estimator says it. Before ``'diverged'``, the curve ends where the
        loss is no longer finite.

    n_rows, n_samples : int
        Rows looked at, and rows trained on.

    reference : str
        ``'train'`` or ``'population'``.

    confidence : float
        Of the intervals.

    largest_shares : ndarray of shape (n_looks,)
        The share of the trace that the largest hundredth of the rows looked at carries.

    carried_by_few : ndarray of bool of shape (n_looks,)
        Whether an interval is to be doubted: it is from a sample of which few rows carry the noise. See
        :func:`gradient_noise_scale`.
    """

    n_updates: NDArray[np.int64]
    epochs: _Curve
    losses: _Curve
    noise_scales: _Curve
    intervals: _Curve
    resolved: NDArray[np.bool_]
    traces: _Curve
    squared_norms: _Curve
    batch_sizes: NDArray[np.int64]
    status: str
    n_rows: int
    n_samples: int
    reference: str
    confidence: float
    largest_shares: _Curve
    carried_by_few: NDArray[np.bool_]

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {
            "n_updates": self.n_updates,
            "epoch": self.epochs,
            "batch_size": self.batch_sizes,
            "loss": self.losses,
            "noise_scale": self.noise_scales,
            "lower": self.intervals[:, 0],
            "upper": self.intervals[:, 1],
            "resolved": self.resolved,
            "largest_share": self.largest_shares,
        }

    def to_frame(self) -> Any:
        """One row a look: the counts, the batch size, the loss, the noise scale with its interval."""
        return frame_of(self._columns())

    def _title(self) -> str:
        n_looks, n_open = len(self.n_updates), int(np.sum(~self.resolved))
        words = (
            f"Gradient noise scale at {n_looks} places of a training run that ended as {self.status!r}, from "
            f"{rows_in_words(self.n_rows, self.n_samples)}"
        )
        n_carried = int(np.sum(self.carried_by_few))
        words += f"; at {n_open} of them only a lower bound [MB209]" if n_open else ""
        return words + (f"; at {n_carried} a few rows carry it: intervals are too narrow [MB210]" if n_carried else "")

    def _rows(self) -> list[list[Any]]:
        columns = self._columns() | {"resolved": np.where(self.resolved, "yes", "no")}
        return [list(row) for row in zip(*columns.values(), strict=True)]

    def __repr__(self) -> str:
        return f"{self._title()}\n{text_table(list(self._columns()), self._rows())}"

    def _repr_html_(self) -> str:
        return html_table(self._title(), list(self._columns()), self._rows())


_OWN_CONSTRAINTS: dict[str, list[Any]] = {
    **CONSTRAINTS,
    "n_looks": [Interval(Integral, 2, None, closed="left")],
    "max_updates": [Interval(Integral, 1, None, closed="left"), None],
}


def gradient_noise_curve(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    n_looks: int = 20,
    max_updates: int | None = None,
    batch_size: int | None = None,
    reference: str = "train",
    confidence: float = 0.95,
    random_state: Any = None,
    sample_weight: Any = None,
) -> GradientNoiseCurve:
    """Train, and estimate the gradient noise scale along the way.

    The noise scale ``tr(S) / ||G||^2`` of :func:`gradient_noise_scale` grows while the gradient ``G`` falls: what is a
    large batch in the first epoch is a small one in the last. The curve shows when a batch size stops being more than
    the noise asks for, and so when to let it grow [1]_. The estimator stays as it is: a clone is trained.

    Parameters
    ----------
    estimator : estimator of this package, or Pipeline that ends in one
        Fitted or not; training begins anew. Transformers are fitted on X. All its parameters are used, but for early
        stopping, which would hold rows out, averaging, which would hide where training is, and what it records.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows, two or more.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or targets.

    n_looks : int, default=20
        How many looks there are at most, after 1 to ``max_updates`` updates in geometric progression. One is added
        where training ends sooner, as it does if the estimator's ``tol`` is met.

    max_updates : int, default=None
        How many updates to train for; None for ``max_iter`` epochs, or the estimator's own ``max_updates``.

    batch_size : int, default=None
        How many rows to look at, two or more, drawn at random; None for all. The same at every look, so that the curve
        shows the training and not the draw.

    reference : {'train', 'population'}, default='train'
        Whose noise; see :func:`gradient_noise_scale`.

    confidence : float, default=0.95
        Of every interval, between 0 and 1.

    random_state : int, RandomState instance or None, default=None
        Seed of the draw of rows, and of the training where the estimator has none. None draws a new one without
        touching NumPy's global state.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, in training and in the noise.

    Returns
    -------
    GradientNoiseCurve
        Noise scales with intervals, losses and batch sizes at every look.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    ValueError
        Before any training, if a parameter or the data are out of range, the solver makes no updates with batches, or
        the model normalises batches, where a row has no gradient of its own. After it, if the loss was not finite at
        any look.

    See Also
    --------
    gradient_noise_scale : The same for a fitted model; what it means and what it does not.
    minibatch.plotting.NoiseScaleDisplay : The curve, drawn.

    References
    ----------
    .. [1] S. McCandlish, J. Kaplan, D. Amodei et al., "An Empirical Model of Large-Batch Training", 2018.
           arXiv:1812.06162

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.diagnostics import gradient_noise_curve
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(),
    ...     MiniBatchSGDClassifier("log_loss", batch_size=32, random_state=0),
    ... )
    >>> curve = gradient_noise_curve(model, X, y, n_looks=5, max_updates=100)
    >>> curve.n_updates
    array([  1,   3,  10,  32, 100])
    >>> bool(curve.noise_scales[0] < curve.noise_scales[-1])
    True
    """
    given: dict[str, Any] = {
        "n_looks": n_looks,
        "max_updates": max_updates,
        "batch_size": batch_size,
        "reference": reference,
    }
    given |= {"confidence": confidence, "random_state": random_state}
    validate_parameter_constraints(_OWN_CONSTRAINTS, given, caller_name="gradient_noise_curve")

    def look_of(objective: TrainedObjective, random: np.random.RandomState) -> Look:
        problem = objective.problem
        rows = drawn_rows(problem.n_samples, batch_size, random)

        def noise_at(theta: _Curve, row: dict[str, Any]) -> GradientNoise:
            return gradient_noise(problem, theta, rows, reference=reference, confidence=confidence)

        noise_at(objective.theta, {})  # refuses what has no such noise, before training
        return noise_at

    looks = looks_along(
        estimator, X, y, sample_weight, n_looks=n_looks, max_updates=max_updates, random_state=random_state,
        look_of=look_of,
    )  # fmt: skip
    traces, squared_norms, scales, intervals, resolved, _, shares = map(np.array, zip(*looks.found, strict=True))
    n_rows = looks.found[0].n_rows
    sampled = n_rows < looks.n_samples or reference != "train"
    return GradientNoiseCurve(
        looks.column("n_updates"), looks.column("epoch"), np.array(looks.losses), scales, intervals, resolved, traces,
        squared_norms, looks.column("batch_size"), looks.status, n_rows, looks.n_samples, reference, confidence,
        shares, carried_by_few(shares, sampled),
    )  # fmt: skip
