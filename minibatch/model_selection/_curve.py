"""`convergence_curve`: arguments to watched fits to a result."""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_outlier_detector
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import indexable
from sklearn.utils.validation import _check_sample_weight, _num_samples

from minibatch._base.pipelines import split_pipeline
from minibatch._base.sparse import refuse_damaged
from minibatch.model_selection._arguments import (
    budget_in_words,
    check_budget_replaces_nothing,
    folds_of_rows,
    limits_of,
    positive_integer,
    scorer_of,
    scoring_in_words,
    seed_of,
    subset,
    target_of,
)
from minibatch.model_selection._failures import error_score_of, warn_of_failures
from minibatch.model_selection._folds import Candidate, Fold, Part, WatchedFit, run_all, watched_fits
from minibatch.model_selection._result import ConvergenceCurve
from minibatch.model_selection._summary import curves_of, folds_of, summary_of
from minibatch.model_selection._varied import Varied, varied

__all__ = ["convergence_curve"]


def convergence_curve(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    param_name: str = "batch_size",
    param_range: Any = None,
    paired_params: Mapping[str, Any] | None = None,
    cv: Any = None,
    scoring: Any = None,
    budget: Mapping[str, float] | None = None,
    target: float | Mapping[str, float] | None = None,
    sample_weight: Any = None,
    groups: Any = None,
    evaluations_per_epoch: int = 1,
    random_state: Any = None,
    n_jobs: int | None = None,
    progress_bar: bool = False,
    error_score: float | str = np.nan,
) -> ConvergenceCurve:
    """How fast, how steadily and how well an estimator learns, for every value of a parameter.

    Every value is trained once on the training part of every fold. Loss and score of both parts are recorded at every
    evaluation along the way. What a batch size costs is another thing in epochs, in updates and in seconds, and so is
    the winner: the budget that all values share is printed with the result.

    Parameters
    ----------
    estimator : estimator of minibatch, or Pipeline that ends in one
        Cloned, never changed. Transformers are fitted on the training part of each fold, without its test part.
        Callbacks of the estimator are left out.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        All rows.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Their targets. `MiniBatchSGDOneClassSVM` needs none; where it gets any, they are for ``scoring`` alone.

    param_name : str, default="batch_size"
        The parameter to vary: any of the estimator, by its plain name or, in a pipeline, as ``step__name``; or
        ``"train_size"``, the number of training rows.

    param_range : sequence or None, default=None
        Its values. None: for ``batch_size`` `batch_size_grid` of the smallest training part; for ``train_size``
        10, 20, 40, 70 and 100 % of it. Integers are numbers of rows, floats fractions. The rows of a smaller training
        set are among those of a larger one, and classes keep their shares.

    paired_params : dict of str to sequence or None, default=None
        Other parameters and their values, one for each of ``param_range``: ``{"eta0": [0.01, 0.1, 1.0]}``. A learning
        rate belongs to a batch size; compare each size at its own.

    cv : int, splitter or iterable, default=None
        As in scikit-learn: 5 folds, stratified for a classifier.

    scoring : str, callable or None, default=None
        Score of both parts. None: the estimator's ``score``, which is accuracy or R squared; of
        `MiniBatchSGDOneClassSVM` the share of rows that are no outliers. In a pipeline, X comes to a callable
        transformed.

    budget : {"epochs": k}, {"updates": k}, {"samples": k}, {"seconds": s} or None, default=None
        What every fit is allowed, in place of ``max_iter`` and ``max_updates``. ``samples`` ends with the batch that
        reaches it, ``seconds`` (of training) with the evaluation that does; the latter is fair only with ``n_jobs=1``
        on a quiet machine, and does not repeat exactly. A fit ends earlier by the estimator's own ``tol`` or
        ``early_stopping``: set ``tol=None`` to have every budget spent. None: ``max_iter`` and ``max_updates``.

    target : float, dict, tuple or None, default=None
        A test score to reach, or ``{"test_loss": 0.3}`` or a pair ``("test_loss", 0.3)`` for another recorded quantity
        (``train_loss``, ``train_score``, ``gradient_norm``). Fix it before you look at curves.

    sample_weight : array-like of shape (n_samples,), default=None
        For training, losses and scores; transformers do not get it.

    groups : array-like of shape (n_samples,), default=None
        For a splitter that wants them.

    evaluations_per_epoch : int, default=1
        Evaluate so many times an epoch (at most once a batch): to-target counts are no finer than this. Each evaluation
        costs about a full-batch epoch and the two scores.

    random_state : int, RandomState or None, default=None
        Chooses the rows of ``train_size``, and the seed of an estimator whose own ``random_state`` is None. All values
        get the same seed, so that they see the rows in the same order and begin alike. None: the estimator's seed if
        it is an integer, else a new one.

    n_jobs : int or None, default=None
        Fits at the same time, on the joblib backend in use. Results do not depend on it, times do. Linear models of one
        fold that have the same batches, as over ``alpha``, train side by side, and share their seconds.

    progress_bar : bool, default=False
        Show how many fits are done (needs rich).

    error_score : float or 'raise', default=numpy.nan
        The score of a fit that raises an error, whose ``status`` is then ``'failed'``: the others go on. ``'raise'``
        raises the error. As in scikit-learn, it is an error if every fit fails.

    Returns
    -------
    ConvergenceCurve
        With ``curves_``, ``folds_``, ``summary_``, ``to_frame()``, and a table as its repr.

    Raises
    ------
    ValueError, TypeError
        For wrong arguments or parameter values before any fit; if every fit failed; with ``error_score="raise"`` also
        for data that a fold cannot use when it comes to that.

    Warns
    -----
    FitFailedWarning
        Once, saying how many fits failed, and why (MB111).
    UserWarning
        Once, naming the folds whose test part has a class that its training part lacks. Their score is what ``score``
        says, which counts such rows as errors; their test loss is not defined, and NaN (MB401).
    ConvergenceWarning
        Once, naming the values that diverged (MB110). The others are not affected.

    References
    ----------
    Shallue et al., "Measuring the effects of data parallelism on neural network training", JMLR 20 (2019), on budgets
    and targets; Masters & Luschi, arXiv 1804.07612, for comparisons at equal epochs.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.model_selection import convergence_curve
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> sgd = MiniBatchSGDClassifier(
    ...     "log_loss", learning_rate="constant", tol=None, random_state=0
    ... )
    >>> curve = convergence_curve(
    ...     make_pipeline(StandardScaler(), sgd),
    ...     X,
    ...     y,
    ...     param_range=[8, "full"],
    ...     cv=3,
    ...     budget={"epochs": 10},
    ...     target=0.9,
    ... )
    >>> curve.curves_["test_loss"].shape
    (2, 3, 10)
    >>> curve.summary_["updates_to_target"]
    array([48.,  1.])
    """
    refuse_damaged(X)
    X, y, groups = indexable(X, y, groups)
    _, final = split_pipeline(estimator)
    y = _targets(y, X, final)
    weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
    scorer, goal = scorer_of(scoring, final), target_of(target)
    limits = {**limits_of(budget), "stretches": positive_integer("evaluations_per_epoch", evaluations_per_epoch)}
    splits = folds_of_rows(cv, X, y, groups, final)
    n_train = min(len(fold.train) for fold in splits)
    parameter = varied(estimator, param_name, param_range, paired_params, n_train)
    names = {parameter.name, *parameter.paired}
    check_budget_replaces_nothing(budget, names)
    seed, data, error_score = seed_of(random_state, final), Part(X, y, weight), error_score_of(error_score)
    jobs = _jobs(parameter, estimator, splits, partial(subset, y=y, estimator=final, seed=seed), seed)
    calls = [(candidates, data, fold, scorer, limits, error_score) for candidates, fold in jobs]
    results = run_all(watched_fits, calls, n_jobs, progress_bar)
    fits = _by_value(results, len(parameter.values), len(splits))
    _warn(parameter, fits)
    curves = curves_of(fits)
    folds = folds_of(fits, curves, goal)
    n_test = float(np.mean([len(fold.test) for fold in splits]))
    with np.errstate(over="ignore", invalid="ignore"):  # squares of numbers on their way to divergence
        summary = summary_of(folds, {parameter.name: parameter.values, **parameter.paired}, n_test)
    return ConvergenceCurve(
        param_name=parameter.name,
        param_range=parameter.values,
        budget=budget_in_words(budget, estimator, names),
        target=goal,
        scoring=scoring_in_words(scoring, final),
        curves_=curves,
        folds_=folds,
        summary_=summary,
        paired_params=parameter.paired,
    )


def _targets(y: Any, X: Any, final: Any) -> Any:
    """Those that were given; all the same where the estimator needs none."""
    if y is None and not is_outlier_detector(final):
        raise ValueError("y is None; convergence_curve requires y.")
    return np.ones(_num_samples(X)) if y is None else y


def _jobs(
    parameter: Varied, estimator: Any, splits: list[Fold], smaller: Callable[..., NDArray[np.int64]], seed: int
) -> list[tuple[list[Candidate], Fold]]:
    """Value by value a candidate for each fold; or, where they share batches, fold by fold those of all values."""
    candidates = [
        [Candidate(estimator, parameters, seed, f"{parameter.name}={value!r}, fold {i}") for i in range(len(splits))]
        for value, parameters in parameter.candidates()
    ]
    if parameter.shares_batches(estimator):
        return [(list(of_fold), fold) for of_fold, fold in zip(zip(*candidates, strict=True), splits, strict=True)]
    jobs = []
    for value, of_value in zip(parameter.values, candidates, strict=True):
        for candidate, fold in zip(of_value, splits, strict=True):
            rows = smaller(fold.train, value) if parameter.is_train_size else fold.train
            jobs.append(([candidate], fold._replace(train=rows)))
    return jobs


def _by_value(results: list[list[WatchedFit]], n_values: int, n_folds: int) -> list[list[WatchedFit]]:
    """The fits of every value, fold by fold."""
    fits = [fit for of_job in results for fit in of_job]
    if len(results) == n_values * n_folds:
        return [fits[i : i + n_folds] for i in range(0, len(fits), n_folds)]
    return [fits[i::n_values] for i in range(n_values)]


def _warn(parameter: Varied, fits: list[list[WatchedFit]]) -> None:
    warn_of_failures(fits)
    _warn_of_unknown_classes(parameter, fits)
    _warn_of_divergence(parameter, fits)


def _warn_of_unknown_classes(parameter: Varied, fits: list[list[WatchedFit]]) -> None:
    folds = {number: fit.unknown for row in fits for number, fit in enumerate(row) if fit.unknown}
    if not folds:
        return
    sizes = [f"{value!r}" for value, row in zip(parameter.values, fits, strict=True) if any(f.unknown for f in row)]
    where = f", at train_size {', '.join(sizes)}" if parameter.is_train_size else ""
    named = ", ".join(f"{number} (class {', '.join(map(repr, folds[number]))})" for number in sorted(folds))
    message = (
        f"The test part has classes that the training part lacks in fold {named}{where}: its test loss is NaN, and its "
        "score counts their rows as errors. Use fewer, stratified folds, larger training parts, or leave out rare "
        "classes. [MB401]"
    )
    warnings.warn(message, UserWarning, stacklevel=4)


def _warn_of_divergence(parameter: Varied, fits: list[list[WatchedFit]]) -> None:
    counts = [sum(fit.status == "diverged" for fit in folds) for folds in fits]
    if any(counts):
        named = ", ".join(f"{value!r}" for value, count in zip(parameter.values, counts, strict=True) if count)
        message = (
            f"{sum(counts)} of {sum(map(len, fits))} fits diverged, at {parameter.name} {named}; the "
            "others are not affected. A lower learning rate, or scaled columns, would help. [MB110]"
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=4)
