"""Fits that raise: what scikit-learn's ``error_score`` means, and its warning."""

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sklearn.exceptions import FitFailedWarning

from minibatch._base.ranges import is_number
from minibatch.model_selection._folds import WatchedFit

__all__ = ["error_score_of", "warn_of_failures"]


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
        f"failures are not expected, set error_score='raise'.\n\n{why}",
        FitFailedWarning,
        stacklevel=4,
    )
