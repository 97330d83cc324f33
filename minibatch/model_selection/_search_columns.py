"""What a search says of its fits beside their scores."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.exceptions import ConvergenceWarning

from minibatch.model_selection._search_board import DROPPED, FAILED, Result

__all__ = ["columns_of", "rank_by_round", "warn_of_divergence"]

_WORST_FIRST = (FAILED, "diverged", DROPPED)
_COUNTS = {"n_iter": "epoch", "n_updates": "n_updates", "seconds": "seconds"}  # by column of the history


def columns_of(results: Sequence[Result], n_splits: int, rounds: bool) -> dict[str, list[Any]]:
    """For ``cv_results_``; ``results`` have the splits of a candidate one after the other."""
    candidates = [results[i : i + n_splits] for i in range(0, len(results), n_splits)]
    columns: dict[str, list[Any]] = {"status": [_status_of(fits) for fits in candidates]}
    for split in range(n_splits):
        columns[f"split{split}_status"] = [fits[split].status for fits in candidates]
    for name, column in _COUNTS.items():
        columns[f"mean_{name}"] = [_mean([fit.history.last(column, np.nan) for fit in fits]) for fits in candidates]
    columns["mean_batch_size"] = [_mean([fit.batch_size or np.nan for fit in fits]) for fits in candidates]
    if rounds:
        columns["round"] = [fits[0].round for fits in candidates]
    return columns


def _status_of(fits: Sequence[Result]) -> str:
    statuses = [fit.status for fit in fits]
    return next((status for status in _WORST_FIRST if status in statuses), statuses[0])


def _mean(values: Sequence[float]) -> float:
    """Of the fits that did not fail."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan


def rank_by_round(results: dict[str, Any]) -> None:
    """Who took part longer ranks before others, whatever these had scored by then."""
    for name in [name for name in results if name.startswith("rank_test_")]:
        n = len(results[name])
        later = results["round"].max() - results["round"]
        results[name] = rankdata((n + 1.0) * later + results[name], method="min").astype(np.int32)


def warn_of_divergence(results: dict[str, Any], n_splits: int) -> None:
    """Once for all fits."""
    diverged = np.array([results[f"split{split}_status"] == "diverged" for split in range(n_splits)])
    if diverged.any():
        message = (
            f"{diverged.sum()} of {diverged.size} fits diverged, of {diverged.any(axis=0).sum()} candidates; "
            "cv_results_['status'] says of which. The others are not affected. A lower learning rate, or scaled "
            "columns, would help. [MB110]"
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=5)
