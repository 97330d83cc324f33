"""Fits that raise: what was raised, what scikit-learn's ``error_score`` means, and its warning."""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from traceback import format_exc
from typing import Any, NamedTuple

from sklearn.exceptions import FitFailedWarning

from minibatch._base.ranges import is_number
from minibatch.model_selection._folds import WatchedFit

__all__ = ["Failure", "attempt", "error_score_of", "warn_of_failures"]


class Failure(NamedTuple):
    """What was raised, and its traceback."""

    error: Exception
    why: str


def attempt(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Failure | None]:
    """What a function returns, or what it raises."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, Failure(error, format_exc())


def error_score_of(error_score: Any) -> Any:
    """The argument, if it is one."""
    if not is_number(error_score) and not (isinstance(error_score, str) and error_score == "raise"):
        raise ValueError(f"error_score must be a number or 'raise'; got {error_score!r}.")
    return error_score


def warn_of_failures(fits: Sequence[Sequence[WatchedFit]]) -> None:
    """One warning about all fits that failed; an error where all did."""
    every = [fit for folds in fits for fit in folds]
    failures = Counter(fit.failure for fit in every if fit.failure)
    if not failures:
        return
    why = "\n".join(f"{number} fits failed with the following error:\n{text}" for text, number in failures.items())
    if failures.total() == len(every):
        raise ValueError(f"All the {len(every)} fits failed.\n\n{why}")
    warnings.warn(
        f"{failures.total()} fits failed out of a total of {len(every)}. Their scores are error_score. If these "
        f"failures are not expected, set error_score='raise'. [MB111]\n\n{why}",
        FitFailedWarning,
        stacklevel=4,
    )
