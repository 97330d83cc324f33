"""Batch sharpness: how much batches bend along their own gradients, beside what the learning rate lets stand."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from minibatch._tables import html_table, short, text_table
from minibatch.diagnostics._batches import (
    Edge,
    directional_curvatures,
    drawn_batches,
    edge_of,
    mean_and_interval,
    share_of_batches,
)
from minibatch.diagnostics._objective import TrainedObjective, trained_objective

__all__ = ["BatchSharpnessResult", "batch_sharpness", "limits_in_words", "refuse_batch_normalization"]

# Batches that are looked at without ``n_batches``: those of an epoch within these bounds.
_FEWEST, _MOST = 30, 1000

_CONSTRAINTS: dict[str, list[Any]] = {
    "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"full"}), None],
    "n_batches": [Interval(Integral, 2, None, closed="left"), None],
    "confidence": [Interval(Real, 0, 1, closed="neither")],
    "random_state": ["random_state"],
}


@dataclass(frozen=True, repr=False, eq=False)
class BatchSharpnessResult:
    """What :func:`batch_sharpness` found.

    Attributes
    ----------
    value : float
        The batch sharpness, the mean of ``curvatures``; NaN where no batch has a gradient.

    interval : (float, float)
        Its confidence interval, from the batches looked at; both ends are ``value`` where it is ``exact``.

    limits : (float, float)
        Where batch sharpness comes to rest at ``learning_rate``, in small batches and in large ones: both are
        ``2 / learning_rate`` without momentum. NaN where ``missing`` says why.

    learning_rate : float
        Of the model's last epoch.

    solver, momentum : str, float
        Of the model; the momentum is 0 for plain SGD.

    missing : str
        Why there are no limits; empty where there are.

    curvatures : ndarray of shape (n_batches,)
        ``g' H g / ||g||^2`` of every batch; NaN where a batch has no gradient.

    exact : bool
        Whether there are no other batches of this size: that of all rows, or each row by itself.

    batch_size, n_samples : int
        Rows in a batch, and rows given.

    confidence : float
        Of the interval.
    """

    value: float
    interval: tuple[float, float]
    limits: tuple[float, float]
    learning_rate: float
    solver: str
    momentum: float
    missing: str
    curvatures: NDArray[np.float64]
    exact: bool
    batch_size: int
    n_samples: int
    confidence: float

    @property
    def n_batches(self) -> int:
        """Batches that have a gradient."""
        return int(np.sum(~np.isnan(self.curvatures)))

    def _title(self) -> str:
        of = f"Batch sharpness, batches of {self.batch_size} of {self.n_samples} rows"
        if np.isnan(self.value):
            return f"{of}: none, for no batch has a gradient"
        low, high = self.interval
        batches = f"batch{'es' * (self.n_batches != 1)}"
        if self.exact:
            return f"{of}: {short(self.value)}, exact ({self.n_batches} {batches})"
        between = f"between {short(low)} and {short(high)} ({self.confidence:g} confidence)"
        return f"{of}: {short(self.value)}, {between}, from {self.n_batches} {batches}"

    def _rows(self) -> list[list[Any]]:
        rows = limits_in_words(self.solver, self.momentum)
        return [[words, limit, self.value / limit] for words, limit in zip(rows, self.limits, strict=False)]

    def _about_limits(self) -> str:
        return f"no limit: {self.missing}" if self.missing else f"learning rate {short(self.learning_rate)}"

    def __repr__(self) -> str:
        table = [] if self.missing else [text_table(["limit", "", "share reached"], self._rows())]
        return "\n".join([self._title(), self._about_limits(), *table])

    def _repr_html_(self) -> str:
        rows = [] if self.missing else self._rows()
        return html_table(f"{self._title()}; {self._about_limits()}", ["limit", "", "share reached"], rows)


def batch_sharpness(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    batch_size: int | str | None = None,
    n_batches: int | None = None,
    confidence: float = 0.95,
    random_state: Any = None,
    sample_weight: Any = None,
) -> BatchSharpnessResult:
    """How much batches bend along their own gradients at a fitted model, beside ``2 / learning_rate``.

    With ``g_B`` the gradient and ``H_B`` the Hessian of the objective of a batch ``B``, penalty included, the batch
    sharpness [1]_ is the mean over batches ``E[g_B' H_B g_B / ||g_B||^2]``. A step ``-eta g_B`` changes the objective
    of its own batch by ``-eta ||g_B||^2 + eta^2 g_B' H_B g_B / 2``: what the batch gains is lost again where its
    sharpness is above ``2 / eta``. While SGD trains a network at a constant rate, batch sharpness rises to ``2 / eta``
    and stays there; the largest eigenvalue of the Hessian of all rows (:func:`hessian_spectrum`), which does so for
    full batches, stays below.

    Parameters
    ----------
    estimator : fitted estimator of this package, or fitted Pipeline that ends in one
        It stays as it is. Its weights of classes count, its dropout does not.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows, two or more.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or targets.

    batch_size : int, 'full' or None, default=None
        Rows in a batch, all rows if there are fewer; None for the model's ``batch_size_``. Smaller batches are sharper.

    n_batches : int, default=None
        How many batches to look at, two or more; None for those of an epoch, but at least 30 and at most 1000. There is
        one batch of all rows, and as many of one row as there are rows. Raise it where the interval is too wide: a
        batch costs as much as three or four of its gradients.

    confidence : float, default=0.95
        Of the interval, between 0 and 1.

    random_state : int, RandomState instance or None, default=None
        Seed of the draw of batches. None draws new ones without touching NumPy's global state.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, as in ``fit``.

    Returns
    -------
    BatchSharpnessResult
        The value with its interval, and the limits of the model's learning rate.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    NotFittedError
        If it is not fitted.
    ValueError
        Before any work, if a parameter or the data are out of range; if the model normalises batches; if the objective
        is not finite.

    See Also
    --------
    batch_sharpness_curve : The same along a training run, where it can be seen to come to rest.
    stability_limit : The largest rate that is stable at a minimum, batches of random rows included.
    sharpness : How far the objective of all rows rises in a neighbourhood.

    Notes
    -----
    With momentum ``m`` it comes to rest at ``2 (1 - m) / eta`` in small batches, whose noise the momentum adds up, and
    at ``2 (1 + m) / eta`` in large ones, as full batches do [2]_; with Nesterov's momentum at ``2 (1 + m) / ((1 + 2 m)
    eta)`` in large ones, which is where full batches become unstable. Adaptive solvers scale every parameter in their
    own way, and ``learning_rate="auto"`` of linear models multiplies no gradient by one rate: there is the value, and
    no limit.

    In least squares with batches of one row it is the mean of ``||x_i||^2`` over the rows that are not fitted exactly,
    wherever the model is; in full batches it is the curvature along the gradient, ``g' H g / ||g||^2``. Batches are
    drawn as epochs have them, without replacement. A batch whose gradient is 0 has no direction and is left out.

    A value far below the limit says that the rate is not what holds training back. One at the limit says that a higher
    rate, or a smaller batch at this rate, is met by flatter parameters or by divergence. Quadratics (least squares) do
    not become flatter: they diverge. It does not say which model generalizes better.

    Linear models with several outputs of their own are taken together, as one vector of parameters; where outputs
    differ much, ask about each alone. Losses of straight pieces (``'hinge'``, ``'absolute_error'``, ...) bend nowhere
    but at their kinks, which are left out; L1 penalties are, too. Of networks ``H_B g_B`` is a difference of two
    gradients.

    References
    ----------
    .. [1] A. Andreyev and P. Beneventano, "Edge of Stochastic Stability: Revisiting the Edge of Stability for SGD",
           2024. arXiv:2412.20553
    .. [2] A. Andreyev, A. Ananthkumar, M. Walden, T. Poggio and P. Beneventano, "Momentum Further Constrains Sharpness
           at the Edge of Stochastic Stability", 2026. arXiv:2604.14108

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDRegressor
    >>> from minibatch.diagnostics import batch_sharpness
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X, y = scale(X), scale(y)
    >>> model = MiniBatchSGDRegressor(
    ...     alpha=0,
    ...     fit_intercept=False,
    ...     learning_rate="constant",
    ...     eta0=0.02,
    ...     batch_size=1,
    ...     random_state=0,
    ... )
    >>> batch_sharpness(model.fit(X, y), X, y)
    Batch sharpness, batches of 1 of 442 rows: 10, exact (442 batches)
    learning rate 0.02
    limit              share reached
    2 / learning rate  100            0.1
    >>> batch_sharpness(model, X, y, batch_size=64, random_state=0).value < 10
    True
    """
    given = {"batch_size": batch_size, "n_batches": n_batches, "confidence": confidence, "random_state": random_state}
    validate_parameter_constraints(_CONSTRAINTS, given, caller_name="batch_sharpness")
    with trained_objective(estimator, X, y, sample_weight) as objective:
        refuse_batch_normalization(objective)
        n_samples, edge = objective.problem.n_samples, edge_of(objective)
        asked = objective.final.batch_size_ if batch_size is None else batch_size
        size = n_samples if asked == "full" else min(int(asked), n_samples)
        number = min(_MOST, max(_FEWEST, n_samples // size)) if n_batches is None else n_batches
        random = np.random.RandomState() if random_state is None else check_random_state(random_state)
        batches = drawn_batches(n_samples, size, number, random)
        curvatures = directional_curvatures(objective, batches)
        rate = float(objective.final.history_.last("learning_rate", np.nan))
    seen = share_of_batches(n_samples, size, number)
    value, interval = mean_and_interval(curvatures, confidence, seen)
    return BatchSharpnessResult(
        value, interval, edge.limits(rate), rate, edge.solver, edge.momentum, _missing(edge, rate), curvatures,
        seen == 1.0, size, n_samples, confidence,
    )  # fmt: skip


def _missing(edge: Edge, rate: float) -> str:
    if edge.missing or rate > 0.0:
        return edge.missing
    return f"the learning rate of the last epoch is {short(rate)}"


def refuse_batch_normalization(objective: TrainedObjective) -> None:
    if getattr(objective.final, "batch_normalization", False):
        raise ValueError(
            "With batch normalization the gradient of a batch goes through the statistics of the batch, which there is "
            "no Hessian of here; hessian_spectrum looks at all rows, with the running statistics."
        )


def limits_in_words(solver: str, momentum: float) -> list[str]:
    """The formulas of the limits; one where both are the same.

    >>> limits_in_words("sgd", 0.0), limits_in_words("momentum", 0.9)[0]
    (['2 / learning rate'], '2 (1 - m) / learning rate, small batches')
    """
    if momentum == 0.0:
        return ["2 / learning rate"]
    large = "2 (1 + m) / ((1 + 2 m) learning rate)" if solver == "nesterov" else "2 (1 + m) / learning rate"
    return ["2 (1 - m) / learning rate, small batches", f"{large}, large batches"]
