"""A search over batch size and learning rate: how to run one, and what to take from one that has been run."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from minibatch._base.pipelines import parameter_path, split_pipeline
from minibatch.model_selection._arguments import budget_in_words, limits_of, scoring_in_words, seeded
from minibatch.model_selection._scorer import ConvergenceScorer
from minibatch.model_selection._search import MiniBatchGridSearchCV
from minibatch.model_selection._varied import check_candidate, plain_values

__all__ = ["RateGrid"]


class RateGrid(NamedTuple):
    """Batch size, learning rate and score of every candidate, and what the scores depend on."""

    batch_sizes: list[Any]
    learning_rates: NDArray[np.float64]
    scores: NDArray[np.float64]
    diverged: NDArray[np.float64] | None
    resolved_batch_sizes: NDArray[np.float64] | None
    scoring: str
    budget: str
    n_folds: int

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        batch_sizes: Sequence[Any],
        learning_rates: Sequence[float],
        cv: Any,
        scoring: Any,
        budget: Mapping[str, int] | None,
        groups: Any,
        random_state: Any,
        n_jobs: int | None,
    ) -> "RateGrid":
        """Every batch size with every learning rate, cross-validated."""
        grid = _grid(estimator, batch_sizes, learning_rates)
        model = seeded(estimator, random_state)
        model.set_params(**{parameter_path(model, name): value for name, value in _limits(budget).items()})
        scorer = ConvergenceScorer(scoring)
        search = MiniBatchGridSearchCV(model, grid, scoring=scorer, cv=cv, refit=False, n_jobs=n_jobs)
        with warnings.catch_warnings():
            # the result says which diverged; their losses are infinite
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", "One or more of the test scores are non-finite", UserWarning)
            warnings.filterwarnings("ignore", "invalid value encountered", RuntimeWarning)
            search.fit(X, y, groups=groups)
        return cls.from_search(search)._replace(budget=budget_in_words(budget, estimator))

    @classmethod
    def from_search(cls, search: Any) -> "RateGrid":
        """What a fitted search found."""
        check_is_fitted(search, "cv_results_")
        _, final = split_pipeline(search.estimator)
        results = search.cv_results_
        names = [parameter_path(search.estimator, name) for name in ("batch_size", final._rate_parameter)]
        _check_parameters(results, names)
        batch_sizes, rates = ([candidate[name] for candidate in results["params"]] for name in names)
        column, scoring = _score_column(search, final)
        return cls(
            batch_sizes=plain_values("batch_size", batch_sizes),
            learning_rates=np.array(rates, dtype=float),
            scores=np.asarray(results[column], dtype=float),
            diverged=_shares_diverged(results, search.n_splits_),
            resolved_batch_sizes=results.get("mean_batch_size", results.get("mean_test_batch_size")),
            scoring=scoring,
            budget=budget_in_words(None, search.estimator),
            n_folds=search.n_splits_,
        )


def _grid(estimator: Any, batch_sizes: Any, learning_rates: Any) -> dict[str, list[Any]]:
    """What to search over, every value checked."""
    _, final = split_pipeline(estimator)
    _check_rate_counts(final)
    grid = {}
    given = {"batch_sizes": ("batch_size", batch_sizes), "learning_rates": (final._rate_parameter, learning_rates)}
    for argument, (name, values) in given.items():
        path = parameter_path(estimator, name)
        grid[path] = list(dict.fromkeys(plain_values(argument, values)))
        for value in grid[path]:
            check_candidate(estimator, {path: value})
    return grid


def _check_rate_counts(final: Any) -> None:
    name = final._rate_parameter
    if getattr(final, "solver", None) == "lbfgs":
        raise ValueError(f"solver='lbfgs' has neither {name} nor a batch size; use another solver.")
    if final.learning_rate in ("auto", "optimal", "dowg"):
        raise ValueError(
            f"learning_rate={final.learning_rate!r} does not use {name} as a rate, so it cannot be compared; use "
            "learning_rate='constant'."
        )


def _limits(budget: Mapping[str, int] | None) -> dict[str, Any]:
    """The estimator's parameters for a budget."""
    limits = limits_of(budget)
    if not limits.keys() <= {"max_iter", "max_updates"}:
        raise ValueError(f"budget must be in epochs or updates here; got {budget!r}.")
    return limits


def _check_parameters(results: Mapping[str, Any], names: list[str]) -> None:
    """A candidate for every cell, and no more."""
    candidates = [tuple(candidate.get(name) for name in names) for candidate in results["params"]]
    tried = sorted({name for candidate in results["params"] for name in candidate})
    if any(None in candidate for candidate in candidates) or len(tried) > len(names):
        raise ValueError(f"search must vary {names[0]} and {names[1]}, and nothing else; it varied {', '.join(tried)}.")
    if len(set(candidates)) < len(candidates):
        raise ValueError(
            f"search tried some pairs of {names[0]} and {names[1]} more than once; use one without repeats."
        )


def _shares_diverged(results: Mapping[str, Any], n_splits: int) -> NDArray[np.float64] | None:
    """Of the folds, as our own search or our scorer in another says; None where nobody does."""
    if "status" not in results:
        return results.get("mean_test_status_diverged")
    return np.mean([results[f"split{split}_status"] == "diverged" for split in range(n_splits)], axis=0)


def _score_column(search: Any, final: Any) -> tuple[str, str]:
    """The column of the scores, and their name."""
    scoring = search.scoring.scoring if isinstance(search.scoring, ConvergenceScorer) else search.scoring
    named = f"mean_test_{search.refit}"
    if "mean_test_score" in search.cv_results_:
        return "mean_test_score", scoring_in_words(scoring, final)
    if isinstance(search.refit, str) and named in search.cv_results_:
        return named, search.refit
    raise ValueError("search has several scores; name the one to show with refit=.")
