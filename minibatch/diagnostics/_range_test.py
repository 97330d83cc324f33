"""The learning-rate range test."""

import sys
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import _safe_indexing, check_random_state, indexable
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import _check_sample_weight, _num_samples

from minibatch._base.estimator import SEEDS, MiniBatchEstimator
from minibatch._base.pipelines import fit_transform, split_pipeline
from minibatch._base.trials import plain_clone
from minibatch._base.watch import Measures
from minibatch._tables import frame_of, html_table, text_table
from minibatch.diagnostics._suggestions import Curve, median_curve, smoothed, stop_level, suggest

__all__ = ["LearningRateRangeResult", "learning_rate_range_test"]


@dataclass(frozen=True, repr=False, eq=False)
class LearningRateRangeResult:
    """What a :func:`learning_rate_range_test` found.

    Attributes
    ----------
    rates : ndarray of shape (n_rates,)
        The rate of every update.

    losses : ndarray of shape (n_repeats, n_rates)
        Mean loss on the probe rows after every update, without penalty and class weights. NaN after a repeat was
        stopped; the loss at which it was stopped is there if it was finite.

    first_losses : ndarray of shape (n_repeats,)
        The same before the first update.

    smoothed : ndarray of shape (n_rates,)
        The median over the repeats, then a moving average: ``s_k = sum_j 0.6^(k-j) l_j / sum_j 0.6^(k-j)``. A repeat
        that was stopped counts as above the others, so this is NaN from where half of them are stopped.

    suggestions : dict {str: float}
        Rates by name, NaN where the sweep shows none:

        - ``'steepest'``: where ``smoothed`` falls fastest before its minimum, at the least ``d loss / d log rate``.
        - ``'valley'``: the middle of the longest decreasing subsequence of ``smoothed``, between where a hundredth of
          the fall is done and the minimum.
        - ``'minimum/10'``: a tenth of the rate at which ``smoothed`` is least.
        - ``'stable_max'``: the highest rate before the loss climbs out of the valley. It is out where the median over
          the repeats (not smoothed) is above ``best + (first - best) / 10`` for good; the climb begins at the last
          update before that which lowered it. There is none unless the loss rises far enough to stop the sweep. For
          full batches on a quadratic of curvature ``h`` that are still descending, this is the last rate of the sweep
          up to ``2 / h``; a sweep so long that it has converged by then shows it late, once the error has grown out of
          the rounding: use fewer rates.

    suggestion_ranges : dict {str: (float, float)}
        Lowest and highest of each suggestion when it is made from one repeat alone.

    missing : dict {str: str}
        Why a suggestion is NaN, and what to do.

    batch_size : int
        Rows in a batch. The rates hold for this size.

    sweep : str
        ``'exponential'`` or ``'linear'``.
    """

    rates: Curve
    losses: NDArray[np.float64]
    first_losses: Curve
    smoothed: Curve
    suggestions: dict[str, float]
    suggestion_ranges: dict[str, tuple[float, float]]
    missing: dict[str, str]
    batch_size: int
    sweep: str

    def to_frame(self) -> Any:
        """One row an update: its rate, the smoothed loss, the loss of every repeat."""
        repeats = {f"loss_{i}": losses for i, losses in enumerate(self.losses)}
        return frame_of({"learning_rate": self.rates, "smoothed_loss": self.smoothed, **repeats})

    def _title(self) -> str:
        n_repeats, n_rates = self.losses.shape
        low, high = self.rates[[0, -1]]
        s = "" if n_repeats == 1 else "s"
        return (
            f"Learning-rate range test: {n_rates} rates from {low:g} to {high:g} ({self.sweep}), batch size "
            f"{self.batch_size}, {n_repeats} repeat{s}"
        )

    def _rows(self) -> list[list[Any]]:
        return [[name, rate, *self.suggestion_ranges[name]] for name, rate in self.suggestions.items()]

    def __repr__(self) -> str:
        table = text_table(["suggestion", "rate", "lowest", "highest"], self._rows())
        return "\n".join([self._title(), table, *(f"no {name}: {why}" for name, why in self.missing.items())])

    def _repr_html_(self) -> str:
        header = ["suggestion", "rate", "lowest", "highest", "why there is none"]
        rows = [[*row, self.missing.get(row[0], "")] for row in self._rows()]
        return html_table(self._title(), header, rows)


class _Stop(Exception):
    """Ends a repeat."""


class _Sweep:
    """Watches a repeat: the loss on the probe rows after every update, until it has risen too far."""

    def __init__(self, rates: Curve, probe: tuple[Any, Any, Any], stop_factor: float) -> None:
        self.test, self.stop_factor, n = probe, stop_factor, len(rates)
        self.limits = {
            # train() also asks for the rate after the last one
            "schedule": lambda now: rates[np.minimum(now.updates, n - 1)],
            "max_iter": n,
            "max_updates": n,
            "stretches": sys.maxsize,  # one update each
            "patience": np.inf,
        }
        self.losses, self.n_seen, self.batch_size = np.full(n, np.nan), 0, 0

    def begin(self, measures: Measures, theta: NDArray[Any]) -> None:
        self.loss_of = measures.test.loss
        self.first_loss = self.best = self.loss_of(theta)
        if not np.isfinite(self.first_loss):
            raise ValueError(
                f"The loss is {self.first_loss} before the first update; scale X with StandardScaler, or start from "
                "smaller parameters (coef_init)."
            )

    def see(self, row: dict[str, Any], theta: NDArray[Any]) -> None:
        loss, self.batch_size = self.loss_of(theta), row["batch_size"]
        if np.isfinite(loss):
            self.losses[self.n_seen] = loss
            self.best = min(self.best, loss)
        self.n_seen += 1
        if not loss <= stop_level(self.first_loss, self.best, self.stop_factor):
            raise _Stop

    def end(self, theta: NDArray[Any]) -> None:
        """The sweep reached its last rate."""


_CONSTRAINTS: dict[str, list[Any]] = {
    "min_rate": [Interval(Real, 0, None, closed="neither")],
    "max_rate": [Interval(Real, 0, None, closed="neither")],
    "n_rates": [Interval(Integral, 2, None, closed="left")],
    "sweep": [StrOptions({"exponential", "linear"})],
    "n_repeats": [Interval(Integral, 1, None, closed="left")],
    "probe_size": [Interval(Integral, 1, None, closed="left")],
    "stop_factor": [Interval(Real, 0, None, closed="neither")],
    "random_state": ["random_state"],
}


def learning_rate_range_test(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    min_rate: float = 1e-5,
    max_rate: float = 10.0,
    n_rates: int = 100,
    sweep: str = "exponential",
    n_repeats: int = 3,
    probe_size: int = 1000,
    stop_factor: float = 2.0,
    random_state: Any = None,
    sample_weight: Any = None,
    **fit_params: Any,
) -> LearningRateRangeResult:
    """Train for some updates at a rising learning rate, and see at which rates the loss falls and rises.

    Update ``k = 0, ..., K - 1`` has the rate ``min_rate * (max_rate / min_rate) ** (k / (K - 1))``, or, in a linear
    sweep, ``min_rate + (max_rate - min_rate) * k / (K - 1)``. After each, the loss is computed on the same probe rows;
    the loss of a batch would show mostly which rows it has. The usable rates depend on the batch size: test the one you
    mean to train with. The estimator stays as it is: clones are trained.

    Parameters
    ----------
    estimator : estimator of this package, or Pipeline that ends in one
        Fitted or not; each repeat begins anew, from the first parameters of a ``fit``. Transformers are fitted on X.
        Its batch size, solver, penalty and so on are used. Its learning rate, stopping rules and averaging are not.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or targets.

    min_rate, max_rate : float, default=1e-5 and 10
        First and last rate. Widen them where a suggestion is missing.

    n_rates : int, default=100
        Updates in the sweep, one a rate. More of them, where the loss has hardly begun to fall when it rises again:
        small batches, or many parameters.

    sweep : {'exponential', 'linear'}, default='exponential'
        How the rate rises. The linear one [1]_ looks closely at a range that is known to a factor of ten.

    n_repeats : int, default=3
        Repeats, each with another order of the rows and, for a network, other first weights. Their spread tells how far
        to trust a suggestion.

    probe_size : int, default=1000
        Rows on which the loss is computed: all rows of positive weight, or so many of them drawn at random. Fewer are
        faster, more are less of a sample.

    stop_factor : float, default=2.0
        A repeat is stopped as soon as ``loss > best + stop_factor * (first_loss - best)``, or the loss is not finite.
        For this, ``first_loss - best`` is at least a quarter of ``|first_loss|``: before the loss has fallen, any small
        rise would stop it. Raise it where a loss comes back after it has risen.

    random_state : int, RandomState instance or None, default=None
        Seed of the probe rows and of the repeats. Pass an int for a reproducible result. None draws a new one without
        touching NumPy's global state. The estimator's own seed is not used.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, in training and in the loss.

    **fit_params
        ``coef_init`` and ``intercept_init``: where a linear model starts, instead of at 0.

    Returns
    -------
    LearningRateRangeResult
        Rates, losses, suggestions and their spread.

    Raises
    ------
    TypeError
        If the estimator is none of this package, or its ``fit`` has no such ``fit_params``.
    ValueError
        Before any training, if a parameter or the data are out of range, the solver has no learning rate, or the loss
        is not finite at the start.

    See Also
    --------
    minibatch.plotting.LearningRateRangeDisplay : The curve with the suggestions.

    Notes
    -----
    'steepest', 'valley' and 'minimum/10' are the rules of fastai [3]_ with two differences: slopes are always taken
    along the logarithm of the rate, and the valley begins where the loss has visibly fallen, so that a lower
    ``min_rate`` does not move it. They are starting points: a loss that falls in a hundred updates says little about
    the end of a long training. The moving average looks back, so they come some updates late.

    Smith [1]_ [2]_ reads the highest useful rate off the same curve by eye: where the loss stops falling, or is ragged.

    References
    ----------
    .. [1] L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017. arXiv:1506.01186
    .. [2] L. N. Smith, "A disciplined approach to neural network hyper-parameters", 2018. arXiv:1803.09820
    .. [3] J. Howard and S. Gugger, "fastai: A Layered API for Deep Learning", Information 2020. arXiv:2002.04688

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.diagnostics import learning_rate_range_test
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MiniBatchSGDClassifier("log_loss", batch_size=32))
    >>> result = learning_rate_range_test(model, X, y, random_state=0)
    >>> 0.01 < result.suggestions["steepest"] < 0.2
    True
    >>> result.missing
    {'stable_max': 'the loss did not rise far enough up to max_rate=10; raise max_rate'}
    """
    given = {"min_rate": min_rate, "max_rate": max_rate, "n_rates": n_rates, "sweep": sweep, "n_repeats": n_repeats}
    given |= {"probe_size": probe_size, "stop_factor": stop_factor, "random_state": random_state}
    validate_parameter_constraints(_CONSTRAINTS, given, caller_name="learning_rate_range_test")
    if not min_rate < max_rate:
        raise ValueError(f"min_rate must be below max_rate; got min_rate={min_rate:g} and max_rate={max_rate:g}.")
    transformers, final = split_pipeline(estimator)
    init = _initial_parameters(final, fit_params)
    if getattr(final, "solver", None) == "lbfgs":
        raise ValueError("solver='lbfgs' has no learning rate to test; choose 'sgd' or another stochastic solver.")
    X, y = indexable(X, y)
    if _num_samples(X) < 2:
        raise ValueError(f"X must have at least two rows; got {_num_samples(X)}.")
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    X, y = indexable(fit_transform([clone(part) for part in transformers], X, y), y)
    rates = (np.geomspace if sweep == "exponential" else np.linspace)(min_rate, max_rate, n_rates)
    probe = _probe(X, y, sample_weight, probe_size, random)
    repeats = [
        _repeat(final, X, y, sample_weight, init, seed, rates, probe, stop_factor)
        for seed in random.randint(SEEDS, size=n_repeats)
    ]
    return _result(repeats, rates, stop_factor, sweep)


def _initial_parameters(final: MiniBatchEstimator, fit_params: dict[str, Any]) -> tuple[Any, Any]:
    known = ("coef_init", "intercept_init") if hasattr(type(final), "sparsify") else ()
    unknown = [name for name in fit_params if name not in known]
    if unknown:
        raise TypeError(
            f"learning_rate_range_test has no parameter {unknown[0]!r}, nor can it hand it to {type(final).__name__}, "
            f"which takes {' and '.join(known) or 'none'}."
        )
    return fit_params.get("coef_init"), fit_params.get("intercept_init")


def _probe(X: Any, y: Any, weight: Any, size: int, random: np.random.RandomState) -> tuple[Any, Any, Any]:
    """X, y and weights of the rows on which the loss is computed."""
    rows = np.arange(_num_samples(X)) if weight is None else np.flatnonzero(weight)
    if len(rows) > size:
        rows = np.sort(random.choice(rows, size, replace=False))
    return _safe_indexing(X, rows), _safe_indexing(y, rows), None if weight is None else weight[rows]


def _repeat(
    final: MiniBatchEstimator,
    X: Any,
    y: Any,
    weight: Any,
    init: tuple[Any, Any],
    seed: int,
    rates: Curve,
    probe: tuple[Any, Any, Any],
    stop_factor: float,
) -> _Sweep:
    """One sweep on a clone."""
    model = plain_clone(final, random_state=int(seed), **{final._rate_parameter: rates[0]})
    watch = _Sweep(rates, probe, stop_factor)
    with np.errstate(over="ignore", invalid="ignore"):  # a rate that is too high is what we are looking for
        try:
            model._train(X, y, weight, init=init, watch=watch)
        except _Stop:
            pass
    return watch


def _result(repeats: list[_Sweep], rates: Curve, stop_factor: float, sweep: str) -> LearningRateRangeResult:
    losses = np.array([repeat.losses for repeat in repeats])
    first_losses = np.array([repeat.first_loss for repeat in repeats])
    median = median_curve(losses)
    suggestions, missing = suggest(rates, median, float(np.median(first_losses)), stop_factor)
    alone = [suggest(rates, own, first, stop_factor)[0] for own, first in zip(losses, first_losses, strict=True)]
    ranges = {}
    for name in suggestions:
        found = [one[name] for one in alone if not np.isnan(one[name])]
        ranges[name] = (min(found), max(found)) if found else (np.nan, np.nan)
    batch_size = repeats[0].batch_size
    return LearningRateRangeResult(
        rates, losses, first_losses, smoothed(median), suggestions, ranges, missing, batch_size, sweep
    )
