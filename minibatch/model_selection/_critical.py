"""`critical_batch_size`: where larger batches begin to cost more rows, measured by branches of a training run."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import indexable
from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from sklearn.utils.validation import _num_samples, check_is_fitted

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.pipelines import fit_transform, split_pipeline, transform
from minibatch._base.ranges import countable, is_number, number_above
from minibatch._base.seeds import SEEDS
from minibatch._base.sparse import refuse_damaged
from minibatch._base.trials import check_parameters
from minibatch._training.calibration import HARDLY
from minibatch.model_selection._arguments import positive_integer, seed_of
from minibatch.model_selection._branches import Branches, Goal, OfSize, checkpoints
from minibatch.model_selection._critical_result import CriticalBatchSize, Point, point_of, result_of
from minibatch.model_selection._varied import plain_values

__all__ = ["critical_batch_size"]

# Rows in which the smallest batches set the target: a share of all within these bounds.
_SHARE, _FEWEST_ROWS, _MOST_ROWS = 0.25, 256, 4000
_CUT = 0.01  # of the objective, if that is above 0: nearer to 0 a fall says no more
_LIMIT = 6.0  # times as many rows as the smallest batches may others take
_ENOUGH = 2.5  # times as many rows: larger batches are not measured any more
_FACTOR = 4  # from one batch size to the next
_FIRST_LOOK = 0.25  # of the rows of the smallest batches
_NOISE = 2.0  # standard errors: a smaller fall is none
_BEGINNING = 0.1  # epochs before the branches of an estimator that is not fitted
_WITHOUT_SCALES = ("sgd", "momentum", "nesterov", "schedule_free_sgd")

_CONSTRAINTS: dict[str, list[Any]] = {
    "overhead": [number_above(0)],
    "window": [Interval(Integral, 1, None, closed="left"), None],
    "n_repeats": [Interval(Integral, 1, 10**6, closed="both")],
    "confidence": [Interval(Real, 0, 1, closed="neither")],
    "random_state": ["random_state"],
}


def critical_batch_size(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    after: float | Sequence[float] | None = None,
    overhead: float = 0.2,
    batch_sizes: Sequence[int] | None = None,
    window: int | None = None,
    n_repeats: int = 5,
    confidence: float = 0.95,
    random_state: Any = None,
    sample_weight: Any = None,
) -> CriticalBatchSize:
    """The batch size from which on batches cost a fifth more rows, measured by branches of a training run.

    From one model, branches train on with batches of 1, 4, 16, ... rows, each at its own best constant rate, until the
    objective has fallen as far as it does in the smallest batches within a few rows [1]_. The rows that they take,
    ``E(B) = E_min (1 + B / B_c)``, are fitted [3]_, and ``overhead * B_c`` is the batch size that takes ``1 +
    overhead`` times as many rows as the smallest batches do: by the usual definition 20 % more [2]_. Up to there twice
    the batch needs nearly half the updates.

    It takes about 150 branches of some hundred or thousand rows each, where :func:`steps_to_target` trains from the
    beginning to a target for every batch size and rate. And it can be asked anew along a run: as a rule, the critical
    batch size grows as training goes on.

    Parameters
    ----------
    estimator : estimator of this package, or Pipeline that ends in one
        It stays as it is. Branches use its solver, penalty and so on, at constant rates, without averaging, warm-up,
        growth or stopping rules. Where it is fitted, branches go on from its parameters and its optimizer's memory.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows, two or more.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or targets.

    after : float, sequence of float or None, default=None
        Epochs of the estimator's own training, anew, after which to branch; several for the course of a run, in rising
        order. None: where the estimator is, or 0.1 if it is not fitted.

    overhead : float, default=0.2
        The share of more rows that is still worth it.

    batch_sizes : sequence of int, default=None
        Rows in a batch, three different sizes or more; None for 1, 4, 16, ... Those above half of all rows are left
        out. The smallest sets the target, and should be well below what is looked for; from a size on that takes 2.5
        times its rows, larger ones are not measured.

    window : int, default=None
        Rows in which the smallest batches set the target; None for a quarter of all, but at least 256 and at most 4000.
        Where they leave less than 1 % of the objective, that is the target. The answer is about the next so many rows.

    n_repeats : int, default=5
        Branches of every size and rate, in other orders of the rows, of which the geometric mean counts.

    confidence : float, default=0.95
        Level of the interval.

    random_state : int, RandomState instance or None, default=None
        Seed of the orders of rows, shared by all sizes and rates. None: the estimator's seed if that is an integer,
        else a new one.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, as in ``fit``.

    Returns
    -------
    CriticalBatchSize
        ``batch_size`` and its ``interval`` (of the last point), the course along the run, the branches in a table, and
        what to doubt.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    ValueError
        Before any training, if an argument is out of range, the solver makes no updates with batches, or the model
        normalises batches.

    See Also
    --------
    minibatch.diagnostics.gradient_noise_scale : A prediction of ``B_c`` from one pass over the rows.
    steps_to_target : The same law over whole trainings, to a target of your own.
    recommend_batch_size : The size that takes the least time on this machine.

    Notes
    -----
    Rates are looked for by factors of two, from the model's own rate times the ratio of the batch sizes (its root for
    adaptive solvers), and where a parabola through the best three says that fewest rows are needed. Objectives, penalty
    included, are looked at on up to 2048 of the rows. A branch reaches the target halfway between the first time below
    it and the last time above it.

    On least squares with isotropic Gaussian rows and no noise, ``d`` columns, ``B`` rows take ``B ln(1 / e) / ln(1 + B
    / (d + 1))`` rows until a share ``e`` is left: 20 % more than single rows do at ``B = 0.42 (d + 1)``.

    The branches of adaptive solvers and momentum begin with the memory of the model's own batch size, which favours
    sizes near it. With ``learning_rate="auto"`` of a linear model branches are plain SGD at constant rates. It is an
    order of magnitude, of rows and not of seconds, and about training rows.

    References
    ----------
    .. [1] W. Merrill, S. Arora, D. Groeneveld and H. Hajishirzi, "Critical Batch Size Revisited: A Simple Empirical
           Approach to Large-Batch Language Model Training", 2025. arXiv:2505.23971
    .. [2] H. Zhang, D. Morwani, N. Vyas et al., "How Does Critical Batch Size Scale in Pre-training?", 2024.
           arXiv:2410.21676
    .. [3] S. McCandlish, J. Kaplan, D. Amodei et al., "An Empirical Model of Large-Batch Training", 2018.
           arXiv:1812.06162

    Examples
    --------
    >>> import numpy as np
    >>> from minibatch import MiniBatchSGDRegressor
    >>> from minibatch.model_selection import critical_batch_size
    >>> X = np.random.default_rng(0).standard_normal((5000, 15))
    >>> y = X @ np.ones(15)
    >>> found = critical_batch_size(
    ...     MiniBatchSGDRegressor(alpha=0, learning_rate="constant", random_state=0),
    ...     X,
    ...     y,
    ...     random_state=0,
    ... )
    >>> 2 < found.batch_size < 20  # 0.42 (d + 1) is 7
    True
    """
    given = {"overhead": overhead, "window": window, "n_repeats": n_repeats, "confidence": confidence}
    given |= {"random_state": random_state}
    validate_parameter_constraints(_CONSTRAINTS, given, caller_name="critical_batch_size")
    transformers, final = split_pipeline(estimator)
    check_parameters(final)
    _refuse(final)
    points = _checked_points(after)
    refuse_damaged(X)
    X, y = indexable(X, y)
    n_samples = _num_samples(X)
    if n_samples < 2:
        raise ValueError(f"X must have at least two rows; got {n_samples}.")
    sizes = _checked_sizes(batch_sizes, n_samples)
    window = _window(n_samples) if window is None else countable(window)
    goes_on = points is None and hasattr(final, "history_")
    if goes_on:
        for part in transformers:
            check_is_fitted(part)
        X = transform(transformers, X)
    else:
        X = fit_transform([clone(part) for part in transformers], X, y)
    seed = seed_of(random_state, final)
    rows, seeds = (X, y, sample_weight), [seed, *np.random.RandomState(seed).randint(SEEDS, size=n_repeats - 1)]
    points = [_BEGINNING] if points is None else points
    models = [final] if goes_on else checkpoints(final, rows, seed, points)
    found = [_at(model, rows, [int(one) for one in seeds], sizes, window, confidence) for model in models]
    return result_of(found, None if goes_on else points, overhead, window, confidence)


def _refuse(final: Any) -> None:
    if final.solver == "lbfgs":
        raise ValueError("solver='lbfgs' makes no updates with batches; choose 'sgd' or another stochastic solver.")
    if getattr(final, "batch_normalization", False):
        raise ValueError(
            "With batch normalization small batches train another network, whose objective is not that of large ones; "
            "compare batch sizes with convergence_curve."
        )


def _window(n_samples: int) -> int:
    """
    >>> [_window(n) for n in (100, 2000, 10**6)]
    [256, 500, 4000]
    """
    return int(np.clip(_SHARE * n_samples, _FEWEST_ROWS, _MOST_ROWS))


def _checked_points(after: Any) -> list[float] | None:
    if after is None:
        return None
    points = [after] if is_number(after) else plain_values("after", after)
    for point in points:
        if not is_number(point) or not 0.0 <= point < np.inf:
            raise ValueError(f"after must be epochs, at least 0 and finite; got {point!r}.")
    if sorted(set(points)) != points:
        raise ValueError(f"after must be in rising order, each once; got {points}.")
    return [float(point) for point in points]


def _checked_sizes(batch_sizes: Any, n_samples: int) -> list[int]:
    """
    >>> _checked_sizes(None, 100), _checked_sizes([8, 2, 4, 60], 100)
    ([1, 4, 16], [2, 4, 8])
    """
    largest = n_samples // 2
    if batch_sizes is None:
        return [_FACTOR**k for k in range(40) if _FACTOR**k <= largest]
    values = [positive_integer("batch_sizes", value) for value in plain_values("batch_sizes", batch_sizes)]
    sizes = sorted({size for size in values if size <= largest})
    if len(sizes) < 3:
        raise ValueError(
            f"batch_sizes must have three different sizes or more, for a fit, up to half of the {n_samples} rows; got "
            f"{values}."
        )
    return sizes


def _at(
    model: MiniBatchEstimator,
    rows: tuple[Any, Any, Any],
    seeds: list[int],
    sizes: list[int],
    window: int,
    confidence: float,
) -> Point:
    """What branches from this model say."""
    branches = Branches(model, rows, seeds)
    goal, rate = _goal(branches, sizes[0], window)
    found = [] if goal is None else _climb(branches, sizes, rate, goal)
    return point_of(branches, found, goal, confidence)


def _first_rate(model: Any, batch_size: int) -> float:
    """The model's own, scaled to the batch size."""
    if not hasattr(model, "history_"):
        return float(model._usual_rate)
    rate = float(model.history_.last("learning_rate", np.nan))
    rate = rate if 0.0 < rate < np.inf else float(model._usual_rate)
    return rate * (batch_size / model.batch_size_) ** _power(model)


def _power(model: Any) -> float:
    """Of the batch size, to which best rates are proportional where batches are small."""
    return 1.0 if model.solver in _WITHOUT_SCALES else 0.5


def _goal(branches: Branches, size: int, window: int) -> tuple[Goal | None, float]:
    """What the smallest batches reach at their best rate, and that rate; None where the objective does not fall."""
    start = _first_rate(branches.model, size)
    # an objective that is not positive is cut off nowhere
    first = _first_objective(branches, size, start)
    cut = _CUT * first if first > 0.0 else first - 1e9 * (1.0 + abs(first))
    goal = Goal(cut, max(window, size), float(size))
    best = branches.of_size(size, start, goal)
    rows = best.rows_to(cut)
    if np.isfinite(rows).all():
        needed = float(np.exp(np.mean(np.log(rows))))
        return Goal(cut, _LIMIT * needed, max(1.0, _FIRST_LOOK * needed)), best.learning_rate
    ends = np.array([branch.end for branch in best.branches])
    firsts = np.array([branch.objectives[0] for branch in best.branches])
    error = float(np.std(ends, ddof=1) / np.sqrt(len(ends))) if len(ends) > 1 else 0.0
    target = float(np.median(ends))
    if not firsts.mean() - target > _NOISE * error + HARDLY * abs(firsts.mean()):
        return None, best.learning_rate
    return Goal(max(target, cut), _LIMIT * goal.limit, _FIRST_LOOK * goal.limit), best.learning_rate


def _first_objective(branches: Branches, size: int, rate: float) -> float:
    """Where branches begin, on average."""
    one_update = Goal(-np.inf, float(size), float(size))
    return float(np.mean([branch.objectives[0] for branch in branches.at(size, rate, one_update)]))


def _climb(branches: Branches, sizes: list[int], rate: float, goal: Goal) -> list[OfSize]:
    """Sizes from the smallest on, until one takes many more rows than that."""
    found: list[OfSize] = []
    for size in sizes:
        if found and 2 * size > goal.limit:
            break
        if found:
            rate = found[-1].learning_rate * (size / found[-1].batch_size) ** _power(branches.model)
        found.append(branches.of_size(size, rate, goal))
        if found[-1].cost > _ENOUGH * found[0].cost:
            break
    return found
