"""`MiniBatchGridSearchCV`: scikit-learn's grid search, whose candidates share passes over the rows."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import _fit_context, clone, is_classifier
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv
from sklearn.model_selection._validation import _insert_error_scores, _warn_or_raise_about_fit_failures
from sklearn.utils import indexable
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_method_params, check_is_fitted

from minibatch._base.pipelines import split_pipeline
from minibatch._base.sparse import refuse_damaged
from minibatch.history import History
from minibatch.model_selection._result import ConvergenceCurve
from minibatch.model_selection._search_board import Fits, Found, fold_by_fold, in_rounds
from minibatch.model_selection._search_columns import columns_of, rank_by_round, warn_of_divergence
from minibatch.model_selection._search_curve import curve_of_search
from minibatch.model_selection._search_folds import Given, Sample
from minibatch.model_selection._search_lanes import Candidate, candidates_of
from minibatch.model_selection._search_threads import workers

__all__ = ["MiniBatchGridSearchCV"]

_SHOWN = 8  # candidates in a curve, unless others are asked for


class MiniBatchGridSearchCV(GridSearchCV):
    """`GridSearchCV` for estimators of this package: candidates that differ in numbers train in shared passes.

    Every candidate is, to rounding, the model that its own ``fit`` would give: the same order of rows, the same end,
    the same status and history. But each fold is cut, checked and shuffled once for all candidates, its transformers
    are fitted once for every setting of theirs, and one pass over a batch updates all the linear models that differ
    only in rates, penalties and the like. So a grid costs far less than its fits one by one.

    With ``factor``, candidates compete: after ``min_epochs`` epochs, ``factor`` times as many and so on, only one in
    ``factor`` goes on, from where it is [1]_. Nothing is trained twice.

    Parameters
    ----------
    estimator : estimator of minibatch, or Pipeline that ends in one
        Cloned, never changed. Where its ``random_state`` is None, all candidates get the same new seed.

    param_grid : dict of str to sequence, or list of dicts
        As in `GridSearchCV`: names of parameters and the values to try, every combination of them; or several such
        grids. A list of dicts of which one has a single value in the place of a sequence, as `ParameterSampler` draws
        them, is a list of candidates.

    scoring : str, callable, list, tuple or dict, default=None
        As in `GridSearchCV`. None: the estimator's ``score``, which is accuracy or R squared.

    n_jobs : int or None, default=None
        Threads to train on (not processes: they share the rows), and how many folds are copied at a time. None: one, or
        what a ``joblib.parallel_config`` says. Results do not depend on it.

    refit : bool, str or callable, default=True
        As in `GridSearchCV`: whether, and by which score, the best candidate is fitted again to all rows.

    cv : int, splitter or iterable, default=None
        As in `GridSearchCV`: 5 folds, stratified for a classifier.

    verbose : int, default=0
        1 says how many fits there are, 2 also how each of them ended.

    error_score : float or 'raise', default=numpy.nan
        The score of a fit that raises an error; the others go on. ``'raise'`` raises it. A fit that diverges is none:
        it keeps its last finite parameters, and ``status`` says so.

    return_train_score : bool, default=False
        Whether training parts are scored as well.

    factor : int or None, default=None
        One in so many candidates goes on after each round. 2 and 3 are usual. None: every candidate is trained to its
        end. Scores of candidates that went out early are those of then, and they rank behind all that lived longer.
        The copies of all folds are kept. ``solver='lbfgs'`` has no epochs: it is at its end after the first round.

    min_epochs : int, default=1
        Epochs before the first round ends, with ``factor``. Give more where the first epochs say little.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        As of `GridSearchCV`, and in addition

        - ``status``, of every candidate: ``'failed'`` (MB111) or ``'diverged'`` if a fold did, else ``'dropped'``
          (MB112) if it did not get to its end, else the ``status_`` of its fits, the first where they differ;
          ``split0_status`` and so on are those of the folds.
        - ``mean_n_iter``, ``mean_n_updates``, ``mean_seconds``, ``mean_batch_size``: means over the folds of epochs,
          updates, seconds of training and rows in a batch. ``round``, with ``factor``: the last in which it took part,
          from 0.

        In ``mean_fit_time`` and ``mean_seconds``, what fits share is divided among them.

    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_, multimetric_, classes_, \
n_features_in_, feature_names_in_
        As of `GridSearchCV`.

    Raises
    ------
    TypeError, ValueError
        For wrong arguments, before any fit; if all fits failed.

    Warns
    -----
    FitFailedWarning
        Once, saying how many fits failed, and why: the one of scikit-learn, without a code (see MB111).
    ConvergenceWarning
        Once, saying how many diverged (MB110). Nobody is warned of fits whose ``status`` is ``'max_iter'``.

    See Also
    --------
    convergence_curve : Losses and scores along training, for the values of one parameter.
    ConvergenceScorer : What a search of scikit-learn needs to know how its fits ended.

    References
    ----------
    .. [1] Jamieson & Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016
       (arXiv 1502.07943).

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from minibatch import MiniBatchSGDClassifier
    >>> from minibatch.model_selection import MiniBatchGridSearchCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MiniBatchSGDClassifier("log_loss", random_state=0))
    >>> name = "minibatchsgdclassifier__"
    >>> grid = {name + "batch_size": [1, 32, "full"], name + "alpha": [1e-4, 1e-3, 1e-2]}
    >>> search = MiniBatchGridSearchCV(model, grid, cv=3).fit(X, y)
    >>> len(search.cv_results_["params"]), bool(search.best_score_ > 0.96)
    (9, True)
    >>> print(search.cv_results_["status"][0])
    converged
    >>> search.history_of(0, split=1)["n_updates"][:2]
    array([379, 758])
    """

    _parameter_constraints: dict = {
        **GridSearchCV._parameter_constraints,
        "factor": [Interval(Integral, 2, None, closed="left"), None],
        "min_epochs": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Any,
        param_grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
        *,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        error_score: float | str = np.nan,
        return_train_score: bool = False,
        factor: int | None = None,
        min_epochs: int = 1,
    ) -> None:
        super().__init__(
            estimator, param_grid, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose,
            error_score=error_score, return_train_score=return_train_score,
        )  # fmt: skip
        self.factor = factor
        self.min_epochs = min_epochs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Train and score all candidates on all folds, and the best on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            All rows.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets.

        **params : dict
            For ``fit`` of the estimator, the splitter and the scorers, as of `GridSearchCV`: what is as long as X is
            cut to the folds.

        Returns
        -------
        self : object
            The search.
        """
        parameters = _candidate_parameters(self.param_grid)
        candidates = candidates_of(self.estimator, parameters)
        scorer, metric = self._get_scorers()
        if self.factor is not None:
            metric = self._metric_of_rounds(metric)
        refuse_damaged(X)
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        weight = params.get("sample_weight")
        task = {"estimator": self, "X": X, "y": y, "metadata": None if weight is None else {"sample_weight": weight}}
        context = self._init_callback_context(max_subtasks=1 + (self.refit is not False))
        context.call_on_fit_task_begin(**task)
        samples = self._samples(X, y, routed.splitter.split)
        with _told_of_all_fits(self, context, candidates) as contexts, workers(self.n_jobs) as at_work:
            given = Given(X, y, routed.estimator.fit, routed.scorer.score, scorer, self.return_train_score)
            fits = Fits(candidates, given, samples, contexts, self.error_score, at_work, self)
            found = fold_by_fold(fits) if self.factor is None else in_rounds(fits, self.factor, self.min_epochs, metric)
        self._keep(parameters, found, scorer, metric)
        if self.refit:
            self._refit(task, context, routed.estimator.fit)
        context.call_on_fit_task_end(**task)
        return self

    def history_of(self, candidate: int, split: int = 0) -> History:
        """What happened in a fit, epoch by epoch.

        Parameters
        ----------
        candidate : int
            The number of the candidate: its place in ``cv_results_``.

        split : int, default=0
            The number of the fold.

        Returns
        -------
        History
            As ``history_`` of the estimators: up to where a candidate was dropped, without rows if the fit failed.
        """
        self._check_number("candidate", candidate)
        if split not in range(self.n_splits_):
            raise ValueError(f"split must be an integer from 0 to {self.n_splits_ - 1}; got {split!r}.")
        return self._found[candidate, split].history

    def to_curve(self, candidates: Sequence[int] | None = None) -> ConvergenceCurve:
        """How candidates converged, as `convergence_curve` reports it.

        ``train_loss`` is that of the histories where it was evaluated (``evaluate_every``), else the mean loss of an
        epoch's rows, each before it was trained on. A search does not look at test parts on the way: there is
        ``test_score`` at the end alone, and no ``test_loss``.

        Parameters
        ----------
        candidates : sequence of int, default=None
            The numbers of candidates, their places in ``cv_results_``. None: the best 8, by their rank.

        Returns
        -------
        ConvergenceCurve
            Over the parameters that were searched: the batch size, if it is among them, with the others paired.
        """
        check_is_fitted(self, "cv_results_")
        if candidates is None:
            rank = next(name for name in self.cv_results_ if name.startswith("rank_test_"))
            candidates = np.argsort(self.cv_results_[rank], kind="stable")[:_SHOWN].tolist()
        if not len(candidates):
            raise ValueError("candidates is empty; give at least one number.")
        for number in candidates:
            self._check_number("candidates", number)
        return curve_of_search(self, self._found, candidates, split_pipeline(self.estimator)[1])

    def _check_number(self, name: str, candidate: int) -> None:
        check_is_fitted(self, "cv_results_")
        n_candidates = len(self.cv_results_["params"])
        if candidate not in range(n_candidates):
            raise ValueError(f"{name} must be an integer from 0 to {n_candidates - 1}; got {candidate!r}.")

    def _metric_of_rounds(self, metric: Any) -> str:
        """The score by which candidates go."""
        if callable(self.scoring) and isinstance(self.refit, str):
            return self.refit
        if not isinstance(metric, str):
            raise ValueError(f"factor needs the name of a score in refit, by which candidates go; got {self.refit!r}.")
        return metric

    def _samples(self, X: Any, y: Any, split_params: Mapping[str, Any]) -> list[Sample]:
        self._checked_cv_orig = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        samples = [Sample(i, *rows) for i, rows in enumerate(self._checked_cv_orig.split(X, y, **split_params))]
        self.n_splits_ = self._checked_cv_orig.get_n_splits(X, y, **split_params)
        if len(samples) != self.n_splits_:
            raise ValueError(
                f"cv says that it has {self.n_splits_} splits, and gives {len(samples)}; both must be the same."
            )
        return samples

    def _keep(self, parameters: list[dict[str, Any]], found: Found, scorer: Any, metric: str) -> None:
        """The results, and the best of them."""
        results = [found[i, split] for i in range(len(parameters)) for split in range(self.n_splits_)]
        rows = [result.row for result in results]
        _warn_or_raise_about_fit_failures(rows, self.error_score)
        if callable(self.scoring):
            _insert_error_scores(rows, self.error_score)
        self.multimetric_ = isinstance(rows[0]["test_scores"], dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(rows[0]["test_scores"])
            metric = self.refit
        columns = columns_of(results, self.n_splits_, rounds=self.factor is not None)
        self.cv_results_ = self._format_results(parameters, self.n_splits_, rows, columns)
        if self.factor is not None:
            rank_by_round(self.cv_results_)
        warn_of_divergence(self.cv_results_, self.n_splits_)
        self._found = found
        self.scorer_ = scorer._scorers if isinstance(scorer, _MultimetricScorer) else scorer
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, metric, self.cv_results_)
            self.best_params_ = parameters[self.best_index_]
            if not callable(self.refit):
                self.best_score_ = self.cv_results_[f"mean_test_{metric}"][self.best_index_]

    def _refit(self, task: dict[str, Any], context: Any, fit_params: Mapping[str, Any]) -> None:
        """Fit the best candidate to all rows."""
        self.best_estimator_ = clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
        of_refit, began = context.subcontext(task_name="refit-with-best-params"), time.time()
        with of_refit.propagate_callback_context(self.best_estimator_):
            of_refit.call_on_fit_task_begin(**task)
            self.best_estimator_.fit(task["X"], task["y"], **fit_params)
        self.refit_time_ = time.time() - began
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_
        of_refit.call_on_fit_task_end(**task)


def _candidate_parameters(param_grid: Any) -> list[dict[str, Any]]:
    """Every combination of a grid; or the candidates themselves, whose values are not in sequences."""
    if isinstance(param_grid, list) and not param_grid:
        raise ValueError("param_grid has no candidates; give parameters and values to try, {'batch_size': [1, 32]}.")
    is_list = isinstance(param_grid, list) and all(isinstance(one, Mapping) for one in param_grid)
    if is_list and any(_is_single(value) for given in param_grid for value in given.values()):
        return [dict(given) for given in param_grid]
    return list(ParameterGrid(param_grid))


def _is_single(value: Any) -> bool:
    return isinstance(value, str) or not isinstance(value, Sequence | np.ndarray)


@contextmanager
def _told_of_all_fits(search: Any, context: Any, candidates: Sequence[Candidate]) -> Iterator[list[list[Any]]]:
    """For every split, one context of callbacks for every candidate; None where nobody has callbacks."""
    n_candidates, n_fits = len(candidates), len(candidates) * search.n_splits_
    if search.verbose > 0:
        print(f"Fitting {search.n_splits_} folds for each of {n_candidates} candidates, totalling {n_fits} fits")
    if not any(hasattr(one, "_skl_callbacks") for one in (search, *(candidate.final for candidate in candidates))):
        yield [[None] * n_candidates] * search.n_splits_
        return
    of_search = context.subcontext(task_name="search", max_subtasks=n_fits, sequential_subtasks=False)
    of_search.call_on_fit_task_begin(estimator=search)
    yield [
        [
            of_search.subcontext(task_name="candidate-split-evaluation", task_id=search.n_splits_ * i + split)
            for i in range(n_candidates)
        ]
        for split in range(search.n_splits_)
    ]
    of_search.call_on_fit_task_end(estimator=search)
