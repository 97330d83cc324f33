"""Batch sharpness along a training run."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from minibatch._base.seeds import SEEDS
from minibatch._tables import frame_of, html_table, text_table
from minibatch.diagnostics._batch_sharpness import limits_in_words, refuse_batch_normalization
from minibatch.diagnostics._batches import (
    directional_curvatures,
    drawn_batches,
    edge_of,
    mean_and_interval,
    share_of_batches,
)
from minibatch.diagnostics._looks import Look, looks_along
from minibatch.diagnostics._objective import TrainedObjective

__all__ = ["BatchSharpnessCurve", "batch_sharpness_curve"]

_Curve = NDArray[np.float64]

_CONSTRAINTS: dict[str, list[Any]] = {
    "n_looks": [Interval(Integral, 2, None, closed="left")],
    "max_updates": [Interval(Integral, 1, None, closed="left"), None],
    "n_batches": [Interval(Integral, 2, None, closed="left")],
    "confidence": [Interval(Real, 0, 1, closed="neither")],
    "random_state": ["random_state"],
}


@dataclass(frozen=True, repr=False, eq=False)
class BatchSharpnessCurve:
    """What :func:`batch_sharpness_curve` found.

    Attributes
    ----------
    n_updates : ndarray of shape (n_looks,)
        After how many updates it looked.

    epochs : ndarray of shape (n_looks,)
        The same in passes over the rows, in fractions.

    losses : ndarray of shape (n_looks,)
        Mean loss on the training rows then, without penalty and class weights.

    values : ndarray of shape (n_looks,)
        The batch sharpness, in batches of the size that training then has; NaN where no batch has a gradient.

    intervals : ndarray of shape (n_looks, 2)
        Confidence intervals.

    limits : ndarray of shape (n_looks, 2)
        Where it comes to rest at the learning rate of the moment: in small batches and in large ones, which is one
        number, ``2 / learning_rate``, without momentum. NaN where ``missing`` says why.

    learning_rates : ndarray of shape (n_looks,)
        Of the last update before each look.

    batch_sizes : ndarray of shape (n_looks,)
        Rows in a batch then.

    solver, momentum : str, float
        Of the estimator; the momentum is 0 for plain SGD.

    missing : str
        Why there are no limits; empty where there are.

    status : str
        How training ended, as ``status_`` of the estimator says it. Before ``'diverged'``, the curve ends where the
        loss is no longer finite.

    n_batches, n_samples : int
        Batches looked at, at most, and rows trained on.

    confidence : float
        Of the intervals.
    """

    n_updates: NDArray[np.int64]
    epochs: _Curve
    losses: _Curve
    values: _Curve
    intervals: _Curve
    limits: _Curve
    learning_rates: _Curve
    batch_sizes: NDArray[np.int64]
    solver: str
    momentum: float
    missing: str
    status: str
    n_batches: int
    n_samples: int
    confidence: float

    def _columns(self) -> dict[str, NDArray[Any]]:
        columns = {
            "n_updates": self.n_updates,
            "epoch": self.epochs,
            "batch_size": self.batch_sizes,
            "learning_rate": self.learning_rates,
            "loss": self.losses,
            "batch_sharpness": self.values,
            "lower": self.intervals[:, 0],
            "upper": self.intervals[:, 1],
        }
        names = ["limit"] if self.momentum == 0.0 else ["limit_small", "limit_large"]
        return columns | dict(zip(names, self.limits.T, strict=False))

    def to_frame(self) -> Any:
        """One row a look: the counts, the batch size and the rate, the loss, the batch sharpness with its interval, and
        the limits."""
        return frame_of(self._columns())

    def _title(self) -> str:
        limits = f"no limits: {self.missing}" if self.missing else " and ".join(self._limits_in_words())
        return (
            f"Batch sharpness at {len(self.n_updates)} places of a training run that ended as {self.status!r}, from "
            f"{self.n_batches} batches or all that there are; {limits}"
        )

    def _limits_in_words(self) -> list[str]:
        words = limits_in_words(self.solver, self.momentum)
        return [f"limit {words[0]}"] if len(words) == 1 else [f"limits {words[0]}", words[1]]

    def _rows(self) -> list[list[Any]]:
        return [list(row) for row in zip(*self._columns().values(), strict=True)]

    def __repr__(self) -> str:
        return f"{self._title()}\n{text_table(list(self._columns()), self._rows())}"

    def _repr_html_(self) -> str:
        return html_table(self._title(), list(self._columns()), self._rows())


def batch_sharpness_curve(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    n_looks: int = 20,
    max_updates: int | None = None,
    n_batches: int = 100,
    confidence: float = 0.95,
    random_state: Any = None,
    sample_weight: Any = None,
) -> BatchSharpnessCurve:
    """Train, and look at batch sharpness along the way, beside what the learning rate lets stand.

    :func:`batch_sharpness` is ``E[g_B' H_B g_B / ||g_B||^2]`` over batches ``B`` of the size trained with. Where a
    network is trained at a constant rate ``eta`` it rises, and comes to rest at ``2 / eta`` [1]_; with momentum ``m``
    at ``2 (1 - m) / eta`` in small batches and at ``2 (1 + m) / eta`` in large ones [2]_. A curve that stays far below
    says that the rate could be higher, or the batch smaller. The estimator stays as it is: a clone is trained.

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

    n_batches : int, default=100
        How many batches to look at, two or more, or all that there are. The same at every look where the batch size
        is, so that the curve shows the training and not the draw.

    confidence : float, default=0.95
        Of every interval, between 0 and 1.

    random_state : int, RandomState instance or None, default=None
        Seed of the draw of batches, and of the training where the estimator has none. None draws a new one without
        touching NumPy's global state.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, as in ``fit``.

    Returns
    -------
    BatchSharpnessCurve
        Values with intervals, limits, losses, rates and batch sizes at every look.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    ValueError
        Before any training, if a parameter or the data are out of range, the solver makes no updates with batches, or
        the model normalises batches. After it, if the loss was not finite at any look.

    See Also
    --------
    batch_sharpness : The same for a fitted model; what it means and what it does not.
    minibatch.plotting.BatchSharpnessDisplay : The curve, drawn.

    Notes
    -----
    ``learning_rate="auto"`` of a network predicts with an average of its iterates, and the looks are at that; name a
    schedule, such as ``"constant"``, to see where the iterates are.

    References
    ----------
    .. [1] A. Andreyev and P. Beneventano, "Edge of Stochastic Stability: Revisiting the Edge of Stability for SGD",
           2024. arXiv:2412.20553
    .. [2] A. Andreyev, A. Ananthkumar, M. Walden, T. Poggio and P. Beneventano, "Momentum Further Constrains Sharpness
           at the Edge of Stochastic Stability", 2026. arXiv:2604.14108

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from minibatch import MiniBatchMLPClassifier
    >>> from minibatch.diagnostics import batch_sharpness_curve
    >>> X, y = load_digits(return_X_y=True)
    >>> network = MiniBatchMLPClassifier(
    ...     (16,),
    ...     activation="tanh",
    ...     solver="sgd",
    ...     momentum=0.0,
    ...     learning_rate="constant",
    ...     learning_rate_init=0.2,
    ...     batch_size=16,
    ...     random_state=0,
    ... )
    >>> curve = batch_sharpness_curve(
    ...     network, X / 16, y, n_looks=4, max_updates=400, random_state=0
    ... )
    >>> curve.n_updates
    array([  1,   7,  54, 400])
    >>> curve.limits[:, 0]
    array([10., 10., 10., 10.])
    """
    given: dict[str, Any] = {"n_looks": n_looks, "max_updates": max_updates, "n_batches": n_batches}
    given |= {"confidence": confidence, "random_state": random_state}
    validate_parameter_constraints(_CONSTRAINTS, given, caller_name="batch_sharpness_curve")

    def look_of(objective: TrainedObjective, random: np.random.RandomState) -> Look:
        refuse_batch_normalization(objective)
        edge, n_samples, seed = edge_of(objective), objective.problem.n_samples, int(random.randint(SEEDS))

        def look(theta: _Curve, row: dict[str, Any]) -> Any:
            size = min(row["batch_size"], n_samples)
            batches = drawn_batches(n_samples, size, n_batches, np.random.RandomState(seed))
            curvatures = directional_curvatures(objective._replace(theta=theta), batches)
            return edge, *mean_and_interval(curvatures, confidence, share_of_batches(n_samples, size, n_batches))

        return look

    looks = looks_along(
        estimator, X, y, sample_weight, n_looks=n_looks, max_updates=max_updates, random_state=random_state,
        look_of=look_of,
    )  # fmt: skip
    (edge, *_), values, intervals = zip(*looks.found, strict=True)
    rates = looks.column("learning_rate")
    return BatchSharpnessCurve(
        looks.column("n_updates"), looks.column("epoch"), np.array(looks.losses), np.array(values),
        np.array(intervals), np.array([edge.limits(rate) for rate in rates]), rates, looks.column("batch_size"),
        edge.solver, edge.momentum, edge.missing, looks.status, n_batches, looks.n_samples, confidence,
    )  # fmt: skip
