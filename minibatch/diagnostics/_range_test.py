"""The learning-rate range test."""

from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_regressor
from sklearn.utils import check_random_state, indexable
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import _check_sample_weight, _num_samples

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.pipelines import fit_transform, split_pipeline
from minibatch._base.ranges import number_above
from minibatch._base.seeds import SEEDS
from minibatch._base.sparse import refuse_damaged
from minibatch._tables import frame_of, html_table, text_table
from minibatch.diagnostics._constant_rates import Rises, highest_steady, rises_at
from minibatch.diagnostics._scales import scale_in_words
from minibatch.diagnostics._suggestions import Curve, Scale, median_curve, not_risen, or_scale, smoothed, suggest
from minibatch.diagnostics._sweep import Runs, probe_rows

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
        - ``'stable_max'``: the highest rate of the sweep at which short runs do not rise. The first candidate is the
          last rate before the sweep climbs for good: it is out of the valley where the median over the repeats (not
          smoothed) is above ``best + (first - best) / 10``, and the climb begins at the last update before that which
          lowered it; the last rate, if the sweep never rises far. From every repeat's beginning, a run at this rate
          alone follows, and the rate is lowered (halved, then bisected among those of the sweep) until no repeat is
          stopped, climbs by a tenth of its fall from its second to its last quarter, or ends with less than half of the
          sweep's fall. There is none if the last rate holds.

    suggestion_ranges : dict {str: (float, float)}
        Lowest and highest of each suggestion when it is made from one repeat alone; for ``'stable_max'``, of the rates
        tried, the highest that held in each.

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
        return "\n".join([self._title(), table, *self._reasons(), *self._above()])

    def _reasons(self) -> list[str]:
        """Why there is none, once for those with the same reason."""
        names: dict[str, list[str]] = {}
        for name, why in self.missing.items():
            names.setdefault(why, []).append(name)
        return [f"no {', '.join(of)}: {why}" for why, of in names.items()]

    def _above(self) -> list[str]:
        """Doubts about suggestions that a run at a constant rate would not bear."""
        highest = self.suggestions["stable_max"]
        above = [name for name, rate in self.suggestions.items() if rate > highest]
        return [f"above stable_max, at which runs begin to rise: {', '.join(above)}"] if above else []

    def _repr_html_(self) -> str:
        header = ["suggestion", "rate", "lowest", "highest", "why there is none"]
        rows = [[*row, self.missing.get(row[0], "")] for row in self._rows()]
        return html_table("; ".join([self._title(), *self._above()]), header, rows)


# Updates and repeats that anybody has the time for.
_MOST = 10**6

_CONSTRAINTS: dict[str, list[Any]] = {
    "min_rate": [number_above(0)],
    "max_rate": [number_above(0)],
    "n_rates": [Interval(Integral, 2, _MOST, closed="both")],
    "sweep": [StrOptions({"exponential", "linear"})],
    "n_repeats": [Interval(Integral, 1, _MOST, closed="both")],
    "probe_size": [Interval(Integral, 1, None, closed="left")],
    "stop_factor": [number_above(0)],
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
        Updates in the sweep, one a rate. Fewer than 10 suggest nothing. More of them, where the loss has hardly begun
        to fall when it rises again: small batches, or many parameters.

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
    stability_limit : The highest stable rate from curvature and noise.

    Notes
    -----
    The runs at constant rates that check 'stable_max' are five passes over the rows, at least 100 updates and at most
    1,000, with 100 looks at the probe rows: for full batches and up to some hundred rows, each costs what the sweep
    does. There are one to ten of them, five or so as a rule, and those that rise end early. A sweep alone shows the
    limit too late, by a factor of 4 on diabetes data with full batches: directions in which the objective is steep have
    converged by then, and must grow out of nothing. What heavy and rare rows do after 1,000 updates they do not see;
    for least squares, :func:`stability_limit` does. The other suggestions may lie above it: lower them then.

    'steepest', 'valley' and 'minimum/10' are the rules of fastai [3]_ with two differences: slopes are always taken
    along the logarithm of the rate, and the valley begins where the loss has visibly fallen, so that a lower
    ``min_rate`` does not move it. They are starting points: a loss that falls in a hundred updates says little about
    the end of a long training. The moving average looks back, so they come some updates late.

    Smith [1]_ [2]_ reads the highest useful rate off the same curve by eye: where the loss stops falling, or is ragged.

    References
    ----------
    .. [1] L. N. Smith, "Cyclical Learning Rates for Training Neural Networks",
       WACV 2017. arXiv:1506.01186
    .. [2] L. N. Smith, "A disciplined approach to neural network hyper-parameters",
       2018. arXiv:1803.09820
    .. [3] J. Howard and S. Gugger, "fastai: A Layered API for Deep Learning",
       Information 2020. arXiv:2002.04688

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.diagnostics import learning_rate_range_test
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(), MiniBatchSGDClassifier("log_loss", batch_size=32)
    ... )
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
    refuse_damaged(X)
    X, y = indexable(X, y)
    if _num_samples(X) < 2:
        raise ValueError(f"X must have at least two rows; got {_num_samples(X)}.")
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    X, y = indexable(fit_transform([clone(part) for part in transformers], X, y), y)
    rates = (np.geomspace if sweep == "exponential" else np.linspace)(min_rate, max_rate, n_rates)
    probe = probe_rows(X, y, sample_weight, probe_size, random)
    seeds = [int(seed) for seed in random.randint(SEEDS, size=n_repeats)]
    return _result(Runs(final, (X, y, sample_weight), init, probe, stop_factor, seeds), rates, sweep)


def _initial_parameters(final: MiniBatchEstimator, fit_params: dict[str, Any]) -> tuple[Any, Any]:
    known = ("coef_init", "intercept_init") if hasattr(type(final), "sparsify") else ()
    unknown = [name for name in fit_params if name not in known]
    if unknown:
        raise TypeError(
            f"learning_rate_range_test has no parameter {unknown[0]!r}, nor can it hand it to {type(final).__name__}, "
            f"which takes {' and '.join(known) or 'none'}."
        )
    return fit_params.get("coef_init"), fit_params.get("intercept_init")


def _result(runs: Runs, rates: Curve, sweep: str) -> LearningRateRangeResult:
    repeats = runs.at(rates)
    losses = np.array([repeat.losses for repeat in repeats])
    first_losses = np.array([repeat.first_loss for repeat in repeats])
    median, factor = median_curve(losses), runs.stop_factor
    found, missing = suggest(rates, median, float(np.median(first_losses)), factor, partial(_scale, runs))
    alone = [suggest(rates, own, first, factor)[0] for own, first in zip(losses, first_losses, strict=True)]
    ranges = {name: _range([one[name] for one in alone]) for name in found}
    if missing.get("stable_max", not_risen(rates)) == not_risen(rates):
        rises = rises_at(runs, repeats)
        found["stable_max"], ranges["stable_max"], why = _steady(
            rates, found["stable_max"], rises, partial(_scale, runs)
        )
        missing = {name: reason for name, reason in missing.items() if name != "stable_max"} | why
    return LearningRateRangeResult(
        rates, losses, first_losses, smoothed(median), found, ranges, missing, repeats[0].batch_size, sweep
    )


def _scale(runs: Runs, rose: bool) -> str:
    """The scale of the data in words, where it is far from what rates are made for."""
    X, y, _ = runs.rows
    # of a linear model without a link, y scales the weights and changes no rate
    y_counts = is_regressor(runs.final) and not hasattr(type(runs.final), "sparsify")
    return scale_in_words(X, y, rose=rose, y_counts=y_counts)


def _range(rates: list[float]) -> tuple[float, float]:
    known = [rate for rate in rates if not np.isnan(rate)]
    return (min(known), max(known)) if known else (np.nan, np.nan)


def _steady(
    rates: Curve, candidate: float, rises: Rises, scale: Scale
) -> tuple[float, tuple[float, float], dict[str, str]]:
    """``'stable_max'``, its range, and why there is none: the candidate, or the last rate, lowered until runs at it do
    not rise."""
    none, last = (np.nan, np.nan), len(rates) - 1
    place, tried = highest_steady(rates, last if np.isnan(candidate) else int(np.searchsorted(rates, candidate)), rises)
    if place == last:
        return np.nan, none, {"stable_max": not_risen(rates)}
    if place < 0:
        why = f"runs at a constant min_rate={rates[0]:g} rose; {or_scale(scale(True), 'lower min_rate')}"
        return np.nan, none, {"stable_max": why}
    of_repeats = np.array([np.where(rose, -1, place) for place, rose in tried.items()]).max(axis=0)
    return float(rates[place]), (float(rates[of_repeats.min()]), float(rates[of_repeats.max()])), {}
