"""A batch size for this model, these data and this machine, and a learning rate for it."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state, indexable
from sklearn.utils._param_validation import validate_parameter_constraints

from minibatch._base.estimator import SEEDS, MiniBatchEstimator
from minibatch._base.pipelines import fit_transform, split_pipeline
from minibatch._base.ranges import number_above
from minibatch._base.sparse import refuse_damaged
from minibatch._base.trials import check_parameters, plain_clone
from minibatch.diagnostics import (
    GradientNoiseCurve,
    LearningRateRangeResult,
    gradient_noise_curve,
    learning_rate_range_test,
)
from minibatch.diagnostics._suggestions import FEWEST_RATES, VISIBLE
from minibatch.model_selection._memory import memory_required
from minibatch.model_selection._recommendation import BatchSizeRecommendation, Table
from minibatch.model_selection._step_time import StepTime, step_time

__all__ = [
    "CHANGED", "CROOKED", "FEWEST_UPDATES", "LOOKS", "MOST_UPDATES", "ROWS_LOOKED_AT", "RUN_EPOCHS", "RUN_ROWS",
    "SIMILAR", "SPREAD", "SUGGESTIONS", "critical_batch_size", "recommend_batch_size",
]  # fmt: skip

# The short run along which the noise is looked at: batches of RUN_ROWS, five epochs of them but within these bounds.
RUN_ROWS, RUN_EPOCHS, FEWEST_UPDATES, MOST_UPDATES = 32, 5, 200, 3000
LOOKS, ROWS_LOOKED_AT = 12, 5000
# Of the suggestions of a range test, the first that there is. Measured on 40 tasks (four data sets, five models,
# batches of 8 and 64, five epochs): test accuracy was below that of the best of 11 rates by 0.6 points on average and 3
# at most with minimum/10, by 2.6 and 39 with valley, by 4.4 and 53 with steepest.
SUGGESTIONS = ("minimum/10", "valley", "steepest")
# What stands for minimum/10 where the loss is least at the last rate.
_TO_THE_END = "max_rate/10"
# Predicted times this close are taken for the same.
SIMILAR = 1.2
# The factors that are worth a doubt: by which the noise scale grew, times are off a line, repeats are apart.
CHANGED, CROOKED, SPREAD = 4.0, 2.0, 3.0

_CONSTRAINTS: dict[str, list[Any]] = {
    "min_rate": [number_above(0)],
    "max_rate": [number_above(0)],
    "max_memory": [number_above(0), None],
    "random_state": ["random_state"],
}


def recommend_batch_size(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    max_memory: float | None = None,
    min_rate: float = 1e-5,
    max_rate: float = 10.0,
    random_state: Any = None,
    sample_weight: Any = None,
) -> BatchSizeRecommendation:
    """The batch size that brings the loss down in the least time, by the noise of gradients and the time of updates.

    With batches of ``B`` rows, a training takes ``S_min (1 + B_c / B)`` updates [1]_, each of them ``a + b B`` seconds;
    the product is least at ``B = sqrt(a B_c / b)``. Here ``a`` and ``b`` are timed on this machine, and ``B_c`` is the
    gradient noise scale along a short run with batches of 32 rows. A learning-rate range test at the recommended batch
    size gives a rate to begin with. The estimator stays as it is: clones are trained.

    Parameters
    ----------
    estimator : estimator of this package, or Pipeline that ends in one
        Fitted or not. Its batch size, learning rate, schedule and stopping rules are not used, but for the memory that
        they take. Transformers are fitted on X.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels or targets.

    max_memory : float, default=None
        Bytes that a fit of the estimator may take beyond X and y, as :func:`memory_required` counts them. Larger
        batches are not recommended. None: no bound.

    min_rate, max_rate : float, default=1e-5 and 10
        First and last rate of the range tests. Widen them where an error says that a test found no rate.

    random_state : int, RandomState instance or None, default=None
        Seed of what is random. The times that are measured differ from run to run all the same, and the recommendation
        may with them, between sizes that are predicted to be about as good.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    BatchSizeRecommendation
        The batch size, a learning rate for it, the reason in words, what is unsure, and a table over batch sizes.

    Raises
    ------
    TypeError
        If the estimator is none of this package.
    ValueError
        Before any training, if a parameter or the data are out of range, the solver makes no updates with batches, the
        model normalises batches (no row has a gradient of its own then), or ``max_memory`` is too small for one row.
        After a range test that suggests no rate, with the reason: as a rule, columns of X that are not scaled.

    See Also
    --------
    steps_to_target : The updates that batch sizes take to a target, each with its own rates: slower, and surer.
    minibatch.diagnostics.gradient_noise_curve : The noise scale along training.
    minibatch.diagnostics.learning_rate_range_test : What the learning rate comes from.

    Notes
    -----
    The law is about plain gradient descent near its best rate. ``B_c`` is an average over ideal, noiseless steps: an
    update with batches of ``B`` at a noise scale ``N`` counts as ``1 / (1 + N / B)`` of one, and each look at the noise
    stands for the updates since the last. Trust its order of magnitude; near the best, the time depends little on the
    batch size. The recommended size is the middle of those that are predicted to take at most 20 % more than the least
    time, which is the best one unless it lies at an end of the range. Set it together with the rate: the old rate suits
    the old size. The test score is not looked at; :func:`convergence_curve` does that.

    References
    ----------
    .. [1] S. McCandlish, J. Kaplan, D. Amodei et al., "An Empirical Model of Large-Batch Training", 2018.
           arXiv:1812.06162

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.model_selection import recommend_batch_size
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MiniBatchSGDClassifier("log_loss", learning_rate="constant", random_state=0)
    >>> advice = recommend_batch_size(model, X / 16, y, random_state=0)
    >>> 1 <= advice.batch_size <= len(X)
    True
    >>> model = model.set_params(batch_size=advice.batch_size, eta0=advice.learning_rate).fit(X / 16, y)
    """
    given = {"max_memory": max_memory, "min_rate": min_rate, "max_rate": max_rate, "random_state": random_state}
    validate_parameter_constraints(_CONSTRAINTS, given, caller_name="recommend_batch_size")
    if isinstance(max_memory, bool):  # a number to Python
        raise ValueError(f"max_memory must be a number of bytes or None; got {max_memory}.")
    transformers, final = split_pipeline(estimator)
    check_parameters(final)
    refuse_damaged(X)
    X, y = indexable(X, y)
    random = np.random.RandomState() if random_state is None else check_random_state(random_state)
    seed = int(random.randint(SEEDS))
    model = _model_to_try(final, seed)
    X = fit_transform([clone(part) for part in transformers], X, y)
    X, _, weight = clone(model)._checked_rows(X, y, sample_weight, reset=True)
    y, n_samples = np.asarray(y), len(y)
    if n_samples < 2:
        raise ValueError(f"X must have at least two rows; got {n_samples}.")
    sizes, memory = _sizes_in_memory(final, X, y, max_memory)

    def range_test(batch_size: int) -> LearningRateRangeResult:
        sized = clone(model).set_params(batch_size=batch_size)
        test = learning_rate_range_test(
            sized, X, y, min_rate=min_rate, max_rate=max_rate, random_state=seed, sample_weight=weight
        )
        return _with_a_rate(test)

    run_rows = min(RUN_ROWS, n_samples)
    rate, _ = _rate(range_test(run_rows))
    run = clone(model).set_params(batch_size=run_rows, **{model._rate_parameter: rate})
    noise = gradient_noise_curve(
        run, X, y, n_looks=LOOKS, max_updates=_run_updates(n_samples, run_rows), random_state=seed,
        batch_size=min(n_samples, ROWS_LOOKED_AT), sample_weight=weight,
    )  # fmt: skip
    prediction = _predicted(sizes, memory, noise, step_time(run, X, y, weight))
    best = _middle(prediction.similar)
    return _advice(best, prediction, range_test(best), final)


class _Prediction(NamedTuple):
    table: Table
    critical: float
    noise: GradientNoiseCurve
    timed: StepTime

    @property
    def similar(self) -> NDArray[np.int64]:
        """The sizes that are predicted to be about as fast as the fastest."""
        return self.table["batch_size"][self.table["seconds"] <= SIMILAR * self.table["seconds"].min()]


def _model_to_try(final: MiniBatchEstimator, seed: int) -> MiniBatchEstimator:
    """A clone whose training depends on the batch size and the rate alone."""
    if getattr(final, "solver", None) == "lbfgs":
        raise ValueError("solver='lbfgs' makes no updates with batches; choose 'sgd' or another stochastic solver.")
    if getattr(final, "batch_normalization", False):
        raise ValueError(
            "With batch normalization a row has no gradient of its own, so there is no noise scale to go by; compare "
            "batch sizes with steps_to_target or convergence_curve."
        )
    parameters: dict[str, Any] = {"random_state": seed}
    if getattr(final, final._rate_parameter) == "auto":  # the range test finds one
        parameters[final._rate_parameter] = type(final)().get_params()[final._rate_parameter]
    return plain_clone(final, **parameters)


def _with_a_rate(test: LearningRateRangeResult) -> LearningRateRangeResult:
    """The test, if it suggests one."""
    if _rate(test)[1]:
        return test
    raise ValueError(
        f"The range test with batches of {test.batch_size} suggests no learning rate: {test.missing[SUGGESTIONS[0]]}."
    )


def _run_updates(n_samples: int, batch_size: int) -> int:
    return int(np.clip(RUN_EPOCHS * -(-n_samples // batch_size), FEWEST_UPDATES, MOST_UPDATES))


def _rate(test: LearningRateRangeResult) -> tuple[float, str]:
    """The first suggestion that there is, or a tenth of the last rate where the loss fell to the end, and its name; or
    the highest stable rate where that is lower. NaN if there is none."""
    rates = {name: test.suggestions[name] for name in SUGGESTIONS}
    if _falls_on(test):
        rates[_TO_THE_END] = test.rates[-1] / 10
    for name, rate in rates.items():
        if np.isfinite(rate):
            highest = test.suggestions["stable_max"]
            return (highest, "stable_max") if highest < rate else (float(rate), name)
    return np.nan, ""


def _falls_on(test: LearningRateRangeResult) -> bool:
    """Whether the loss has fallen, and is least at the last rate."""
    first, least = float(np.median(test.first_losses)), np.nanmin(test.smoothed, initial=np.inf)
    return bool(test.smoothed[-1] == least < first - VISIBLE * abs(first) and len(test.rates) >= FEWEST_RATES)


def _sizes_in_memory(
    final: MiniBatchEstimator, X: Any, y: NDArray[Any], max_memory: float | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Powers of two, and all rows, as far as the memory allows; and the bytes that each takes."""
    n_samples, n_features = X.shape
    density = X.nnz / (n_samples * n_features) if sp.issparse(X) else None
    n_outputs = len(np.unique(y)) if is_classifier(final) and y.ndim == 1 else y.size // n_samples
    sizes = np.unique([*2 ** np.arange(int(np.log2(n_samples)) + 1), n_samples])
    memory = np.array([
        memory_required(
            final, n_features, int(size), n_samples=n_samples, n_outputs=n_outputs, dtype=X.dtype, density=density
        ).total
        for size in sizes
    ])  # fmt: skip
    fits = memory <= (np.inf if max_memory is None else max_memory)
    if not fits.any():
        raise ValueError(
            f"max_memory={max_memory:g} bytes is too little for batches of any size: a fit takes {memory.min():,}."
        )
    return sizes[fits], memory[fits]


def critical_batch_size(noise_scales: NDArray[np.float64], n_updates: NDArray[np.int64], batch_size: int) -> float:
    """The mean noise scale over ideal steps: a look stands for the updates since the last one, each ``1 / (1 + N / B)``
    of a step.

    >>> critical_batch_size(np.array([96.0, 96.0]), np.array([1, 10]), 32)
    96.0
    >>> critical_batch_size(np.array([0.0, np.inf]), np.array([1, 2]), 32)  # an update of pure noise is no step
    32.0
    """
    known = ~np.isnan(noise_scales)
    updates = np.diff(n_updates, prepend=0)[known]
    steps = updates / (1.0 + noise_scales[known] / batch_size)
    return float((updates - steps).sum() * batch_size / steps.sum()) if steps.sum() > 0.0 else np.inf


def _predicted(
    sizes: NDArray[np.int64], memory: NDArray[np.int64], noise: GradientNoiseCurve, timed: StepTime
) -> _Prediction:
    """For as much progress as the short run made."""
    run_rows = int(noise.batch_sizes[-1])
    critical = critical_batch_size(noise.noise_scales, noise.n_updates, run_rows)
    # of nothing but noise, rows are all that counts
    ratio = (1.0 + critical / sizes) / (1.0 + critical / run_rows) if critical < np.inf else run_rows / sizes
    updates = noise.n_updates[-1] * ratio
    table = {
        "batch_size": sizes,
        "updates": updates,
        "seconds": updates * (timed.overhead + timed.per_sample * sizes),
        "memory": memory,
        "signal_to_noise": np.sqrt(sizes / critical) if critical > 0.0 else np.full(len(sizes), np.inf),
    }
    return _Prediction(table, critical, noise, timed)


def _middle(sizes: NDArray[np.int64]) -> int:
    """The size in the middle, by ratios. Predicted times are symmetric in the logarithm of the size around the least,
    so this is the fastest, but where one end of the similar sizes is cut off; there it keeps away from the end.

    >>> _middle(np.array([4, 8, 16])), _middle(np.array([1, 2, 4, 8, 16, 32, 64])), _middle(np.array([100]))
    (8, 8, 100)
    """
    return int(sizes[np.argmin(np.abs(np.log(sizes) - 0.5 * np.log(float(sizes[0]) * sizes[-1])))])


def _advice(
    best: int,
    prediction: _Prediction,
    range_test: LearningRateRangeResult,
    final: MiniBatchEstimator,
) -> BatchSizeRecommendation:
    table, critical, noise, timed = prediction
    lower, upper = (critical_batch_size(end, noise.n_updates, int(noise.batch_sizes[-1])) for end in noise.intervals.T)
    rate, suggestion = _rate(range_test)
    similar = prediction.similar
    reason = (
        f"An update takes {timed.overhead * 1e6:.2g} us and {timed.per_sample * 1e6:.2g} us a row, and the gradient "
        f"noise scale is {critical:.0f} rows. Batches of {similar[0]} to {similar[-1]} rows are predicted to take "
        f"about the same time (within {SIMILAR - 1:.0%}); {best} is in their middle."
    )
    return BatchSizeRecommendation(
        batch_size=best,
        learning_rate=float(rate),
        suggestion=suggestion,
        critical_batch_size=critical,
        interval=(min(lower, critical), max(upper, critical)),  # in the order of the numbers, whatever the rounding
        seconds_per_update=(timed.overhead, timed.per_sample),
        table=table,
        reason=reason,
        unsure=(*_doubts_about_size(best, prediction, final), *_doubts_about_rate(range_test)),
        noise=noise,
        range_test=range_test,
    )


def _doubts_about_size(best: int, prediction: _Prediction, final: MiniBatchEstimator) -> list[str]:
    table, _, noise, timed = prediction
    doubts, solver, (start, end) = [], getattr(final, "solver", "sgd"), noise.noise_scales[[0, -1]]
    if noise.status == "diverged":
        doubts.append("The short run diverged: the noise is that of its beginning.")
    if not noise.resolved.all():
        doubts.append(
            f"At {np.sum(~noise.resolved)} of {len(noise.resolved)} looks, {noise.n_rows} rows do not tell the "
            "gradient from its noise: the noise scale may be larger, and with it the best batch size."
        )
    if noise.carried_by_few.any():
        doubts.append(
            f"At {np.sum(noise.carried_by_few)} of {len(noise.carried_by_few)} looks, a few of the {noise.n_rows} rows "
            "looked at carry the noise: its scale is rougher than its interval says."
        )
    if end > CHANGED * start:
        doubts.append(
            f"The noise scale rose from {start:.3g} to {end:.3g} rows along the run: a longer training wants larger "
            "batches at its end (see batch_growth)."
        )
    if (off := timed.off_line(best)) > CROOKED:
        doubts.append(
            f"Near this batch size, the times of updates are up to a factor of {off:.2g} off a straight line; the "
            "machine may have been busy."
        )
    if solver not in ("sgd", "momentum", "nesterov"):
        doubts.append(f"The law of updates is about gradient descent, and solver={solver!r} is not quite that.")
    if prediction.similar[-1] == table["batch_size"][-1] < noise.n_samples:
        doubts.append("max_memory bounds the batch size.")
    return doubts


def _doubts_about_rate(test: LearningRateRangeResult) -> list[str]:
    _, name = _rate(test)
    if name == _TO_THE_END:
        return [f"The loss was still falling at max_rate={test.rates[-1]:g}: a higher learning rate may be faster."]
    lowest, highest = test.suggestion_ranges[name]
    if highest > SPREAD * lowest:
        return [f"The learning rate is read off a noisy curve: its repeats say {lowest:.2g} to {highest:.2g}."]
    return []
