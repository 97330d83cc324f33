"""How far the objective rises in a neighbourhood of a fitted model."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from minibatch._base.ranges import number_above
from minibatch._tables import html_table, text_table
from minibatch.diagnostics._neighbourhoods import Rise, average, ball, box, highest
from minibatch.diagnostics._objective import trained_objective

__all__ = ["SharpnessResult", "sharpness"]

# The published sizes: Keskar's box and Foret's ball. Keskar's search is inexact on purpose.
_BOX, _BALL = 1e-3, 0.05
_BOX_ITERATIONS, _BALL_ITERATIONS = 10, 200
# Random corners of correlated quadratics: with 5 starts the best of them is up to 12 % below the highest in 12
# dimensions, with 20 up to 0.1 %. The ball of a quadratic has one maximum.
_BOX_STARTS, _BALL_STARTS = 20, 5
# Starts that end so far below the highest of them have found something else.
_APART = 0.01
_N_PAIRS = 100  # of random points, for the average
# Above this share of the rise, the gradient at the model explains too much of it for the model to count as a minimum.
_SLOPE_SHARE = 0.1


@dataclass(frozen=True, repr=False, eq=False)
class SharpnessResult:
    """What :func:`sharpness` found.

    Attributes
    ----------
    value : float
        The sharpness: percent of ``1 + objective`` for ``'box'``, a rise of the objective for the others. Infinite
        where the objective overflows in the neighbourhood.

    kind : str
        ``'box'``, ``'worst_case'``, ``'average'`` or ``'adaptive'``.

    epsilon : float
        Size of the neighbourhood: ``epsilon`` of the box, ``rho`` of the others.

    objective, worst_objective : float
        Objective at the model, and the highest value met.

    standard_error : float
        Of an average; 0 for the others.

    values : ndarray of shape (n_starts,) or (n_directions,)
        The sharpness from each start alone, of which ``value`` is the largest, or of each pair of random points, of
        which it is the mean. A box of few dimensions adds its highest corner to the starts; where that is ``exact``, it
        is all there is.

    n_directions : int or None
        Dimensions of the random subspace, or pairs of random points. None: all trained parameters.

    gradient_norm : float
        ``||g||`` of the objective at the model.

    slope_rise : float
        The largest rise over the neighbourhood if the objective were linear, with the gradient at the model; for an
        average the standard deviation of that rise.

    at_minimum : bool
        Whether ``slope_rise`` is at most a tenth of the rise. If not, the sharpness also says how steep the objective
        is at the model: all of it but for ``'average'``, where the steepness cancels.

    converged : bool
        Whether the search from the best start ended by itself, before ``max_iter``: at a maximum among the points near
        it, which need not be the highest of all. Always for an average, unless the objective overflows.

    exact : bool
        Whether ``value`` is the maximum for certain: that of a linear model, which has a convex objective, in a box of
        at most 10 dimensions, whose corners were all looked at.

    starts_agree : bool
        Whether the searches from all starts ended within 1 percent of the highest. If not, there are several maxima,
        and there may be higher ones. Always for an average.

    n_evaluations : int
        Evaluations of the objective over all rows.
    """

    value: float
    kind: str
    epsilon: float
    objective: float
    worst_objective: float
    standard_error: float
    values: NDArray[np.float64]
    n_directions: int | None
    gradient_norm: float
    slope_rise: float
    at_minimum: bool
    converged: bool
    exact: bool
    starts_agree: bool
    n_evaluations: int

    def _title(self) -> str:
        error = f" +- {self.standard_error:.2g}" if self.standard_error > 0.0 else ""
        percent = " percent" if self.kind == "box" else ""
        return f"Sharpness, kind {self.kind!r}, epsilon {self.epsilon:g}: {self.value:.4g}{percent}{error}"

    def _rows(self) -> list[list[Any]]:
        rows: list[list[Any]] = [
            ["objective at the model", f"{self.objective:.6g}"],
            ["highest objective met", f"{self.worst_objective:.6g}"],
            ["norm of the gradient", self.gradient_norm],
            ["evaluations", self.n_evaluations],
        ]
        of_box = self.kind == "box"
        if self.n_directions is not None:
            rows.insert(0, ["dimensions of the subspace" if of_box else "pairs of points", self.n_directions])
        return rows

    def _remarks(self) -> list[str]:
        if not np.isfinite(self.value):
            return ["the objective overflows in the neighbourhood: choose a smaller epsilon"]
        remarks = []
        if not self.at_minimum:
            remarks.append(
                f"the model is not at a minimum: the slope there would by itself make a rise of {self.slope_rise:.3g}"
            )
        if not self.converged:
            remarks.append("the search stopped at max_iter: the sharpness may be higher")
        if self.exact:
            remarks.append("all corners of the box were looked at: it is exact")
        if not self.starts_agree:
            shares = self.values / self.value
            remarks.append(
                f"the starts disagree: {np.sum(shares >= 1 - _APART)} of {len(shares)} end within {_APART:.0%} of the "
                f"highest, the lowest at {shares.min():.0%} of it; there may be higher points, raise n_starts"
            )
        return remarks

    def __repr__(self) -> str:
        return "\n".join([self._title(), text_table(["quantity", "value"], self._rows()), *self._remarks()])

    def _repr_html_(self) -> str:
        return html_table("; ".join([self._title(), *self._remarks()]), ["quantity", "value"], self._rows())


_CONSTRAINTS: dict[str, list[Any]] = {
    "kind": [StrOptions({"box", "worst_case", "average", "adaptive"})],
    "epsilon": [number_above(0), None],
    "n_directions": [Interval(Integral, 1, None, closed="left"), None],
    "n_starts": [Interval(Integral, 1, None, closed="left"), None],
    "max_iter": [Interval(Integral, 1, None, closed="left"), None],
    "random_state": ["random_state"],
}


def sharpness(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    kind: str = "box",
    epsilon: float | None = None,
    n_directions: int | None = None,
    n_starts: int | None = None,
    max_iter: int | None = None,
    random_state: Any = None,
    sample_weight: Any = None,
) -> SharpnessResult:
    """How far the training objective rises in a neighbourhood of a fitted model.

    With ``F`` the objective (loss and penalty), ``x`` the trained parameters and ``eps`` or ``rho`` the ``epsilon``
    given, the sharpness of each kind is

    - ``'box'`` [1]_: ``100 (max F(x + A z) - F(x)) / (1 + F(x))`` over ``|z_i| <= eps (|(A^+ x)_i| + 1)``. ``A`` is the
      identity, or ``n_directions`` random orthonormal columns.
    - ``'worst_case'`` [2]_: ``max F(x + e) - F(x)`` over ``||e|| <= rho``; at a minimum about
      ``rho^2 lambda_max / 2``.
    - ``'average'``: ``E F(x + e) - F(x)`` for ``e`` normal with variance ``rho^2`` in each parameter; at a minimum
      about ``rho^2 tr(H) / 2``.
    - ``'adaptive'`` [3]_: ``max F(x + e) - F(x)`` over ``||e / |x| || <= rho``, where parameters that are 0 stay. It
      does not change when a layer of a ReLU network is multiplied by a number and the next divided by it.

    Parameters
    ----------
    estimator : fitted estimator of this package, or fitted Pipeline that ends in one
        It stays as it is.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows that the objective is made of, as a rule the training rows.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their labels or targets.

    kind : {'box', 'worst_case', 'average', 'adaptive'}, default='box'
        Which neighbourhood, and what is asked about it. For networks of different scales take ``'adaptive'``.

    epsilon : float, default=None
        Size of the neighbourhood. None means 1e-3 for ``'box'``, as published (with 5e-4), and 0.05 for the others.

    n_directions : int, default=None
        For ``'box'``, the dimensions of a random subspace (100 as published); None is all parameters. The ``p``
        directions are standard normal, the columns of an ``n x p`` matrix ``A``, and the box is ``|z_i| <= eps
        (|(A^+ x)_i| + 1)`` for ``F(x + A z)``, with the pseudo-inverse ``A^+`` [1]_. For ``'average'``, pairs of random
        points ``x + e`` and ``x - e``; None means 100. Not for the others.

    n_starts : int, default=None
        Random points from which the maximum is looked for; the highest counts. None means 20 for ``'box'``, which may
        have many maxima, and 5 for the others. Not used by ``'average'``, nor where the box is ``exact``.

    max_iter : int, default=None
        Iterations of L-BFGS-B from each start. None means 10 for ``'box'``, as published, and 200 for the others, which
        as a rule converge earlier. Not used by ``'average'``.

    random_state : int, RandomState instance or None, default=None
        Seed of the subspace, the starts and the random points. Pass an int for a reproducible result. None draws a new
        one without touching NumPy's global state.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, as in ``fit``.

    Returns
    -------
    SharpnessResult
        The value, and whether to trust it.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    NotFittedError
        If it is not fitted.
    ValueError
        If a parameter is out of range, the rows do not fit, the objective is not finite at the model, or the kind has
        no meaning for it: ``'box'`` where ``1 + F(x)`` is not positive, ``'adaptive'`` where all parameters are 0.

    See Also
    --------
    minibatch.diagnostics.hessian_spectrum : The curvature itself.

    Notes
    -----
    Compare models of the same shape at about the same objective, with one ``kind`` and one ``epsilon``; of models that
    are not at a minimum it measures the gradient (see ``at_minimum``). All kinds but ``'adaptive'`` change when the
    parameters are scaled and the predictions are not [4]_. None is an oracle: Keskar et al. found large batches in
    sharp minima that generalize worse [1]_, more updates closed the gap [5]_, and over many models sharpness follows
    the learning rate more than generalization [6]_.

    The gradient at a minimum is 0, and a search that begins there ends there. Starts are therefore random points. Ten
    steps follow, each to a point of the neighbourhood that lies far along the gradient at the last one: on the ball the
    ascent step of [2]_, in the box first towards its middle and ever more towards a vertex, as in mean-field annealing
    [7]_. From the highest of these points L-BFGS-B goes on. This finds higher points than the published search, which
    is L-BFGS-B alone. ``'worst_case'`` and ``'adaptive'`` are searched on the surface of the ball, which is where the
    maximum of a convex objective is. Of a box of at most 10 dimensions all corners are looked at, 1,024 evaluations of
    the objective. Where it is not ``exact``, the highest point found is a bound from below on a maximum that nobody can
    be sure of: on correlated quadratics of 100 and 300 parameters, 20 starts end 1 to 5 % below 300 starts.

    How long the random directions are is not published [1]_. Standard normal entries move every parameter by ``eps``
    times the square root of the dimensions, so that the curvature counts as it does in the whole box; directions of
    unit length move it so little that only the slope is seen.

    References
    ----------
    .. [1] N. S. Keskar et al., "On Large-Batch Training for Deep Learning: Generalization Gap and Sharp Minima", ICLR
       2017. arXiv:1609.04836
    .. [2] P. Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021.
       arXiv:2010.01412
    .. [3] J. Kwon et al., "ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural
       Networks", ICML 2021. arXiv:2102.11600
    .. [4] L. Dinh et al., "Sharp Minima Can Generalize For Deep Nets",
       ICML 2017. arXiv:1703.04933
    .. [5] E. Hoffer, I. Hubara and D. Soudry, "Train longer, generalize better: closing the generalization gap in large
       batch training of neural networks", NeurIPS 2017. arXiv:1705.08741
    .. [6] M. Andriushchenko et al., "A Modern Look at the Relationship between Sharpness and Generalization", ICML
       2023. arXiv:2302.07011
    .. [7] G. L. Bilbro et al., "Optimization by mean field annealing",
       NIPS 1988.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from minibatch import MiniBatchSGDRegressor
    >>> from minibatch.diagnostics import sharpness
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MiniBatchSGDRegressor(random_state=0).fit(scale(X), scale(y))
    >>> result = sharpness(
    ...     model, scale(X), scale(y), kind="worst_case", epsilon=0.5, random_state=0
    ... )
    >>> 0.5 < result.value < 0.52  # half of 0.5^2 times the largest eigenvalue, 4.02, and the slope
    True
    """
    given = {"kind": kind, "epsilon": epsilon, "n_directions": n_directions, "n_starts": n_starts}
    given |= {"max_iter": max_iter, "random_state": random_state}
    validate_parameter_constraints(_CONSTRAINTS, given, caller_name="sharpness")
    if n_directions is not None and kind not in ("box", "average"):
        raise ValueError(
            f"n_directions is for kind='box' and 'average'; got n_directions={n_directions}, kind={kind!r}."
        )
    if kind == "average" and n_directions == 1:
        raise ValueError("n_directions must be at least 2 for kind='average', which tells its error by them; got 1.")
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    size = float(epsilon or (_BOX if kind == "box" else _BALL))
    with trained_objective(estimator, X, y, sample_weight) as objective:
        rise = Rise(objective)
        if kind == "average":
            n_directions = n_directions or _N_PAIRS
            found = average(rise, size, n_directions, random)
        elif kind == "box":
            around = box(rise, size, n_directions, n_starts or _BOX_STARTS, random)
            found = highest(rise, around, max_iter or _BOX_ITERATIONS)
        else:
            around = ball(rise, size, kind == "adaptive", n_starts or _BALL_STARTS, random)
            found = highest(rise, around, max_iter or _BALL_ITERATIONS)
    unit = 100.0 / (1.0 + rise.base) if kind == "box" else 1.0
    return SharpnessResult(
        value=unit * found.rise,
        kind=kind,
        epsilon=size,
        objective=rise.base,
        worst_objective=rise.base + found.highest,
        standard_error=found.standard_error,
        values=unit * found.rises,
        n_directions=n_directions,
        gradient_norm=float(np.linalg.norm(rise.gradient)),
        slope_rise=found.slope_rise,
        at_minimum=found.slope_rise <= _SLOPE_SHARE * found.rise,
        converged=found.converged,
        exact=found.exact,
        starts_agree=kind == "average" or bool(found.rises.min() >= (1 - _APART) * found.rise),
        n_evaluations=rise.n_evaluations,
    )
