"""From watched fits to arrays (values x folds x evaluations), numbers a fold, and numbers a value."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from minibatch.model_selection import _paths
from minibatch.model_selection._folds import QUANTITIES, WatchedFit

__all__ = ["CONFIDENCE", "METRICS", "SPENT", "TO_TARGET", "Target", "curves_of", "folds_of", "summary_of"]

_Array = NDArray[Any]
METRICS = ("train_score", "test_score", "train_loss", "test_loss")
TO_TARGET = {
    "epochs_to_target": "epoch",
    "updates_to_target": "n_updates",
    "samples_to_target": "n_samples_seen",
    "seconds_to_target": "seconds",
}
SPENT = {"n_epochs": "epoch", "n_updates": "n_updates", "n_samples_seen": "n_samples_seen", "seconds": "seconds"}
CONFIDENCE = 0.95


class Target(NamedTuple):
    """A value of one of the recorded quantities to reach."""

    name: str
    value: float

    @property
    def lower_is_better(self) -> bool:
        return not self.name.endswith("score")

    def __str__(self) -> str:
        return f"{self.name} {'<=' if self.lower_is_better else '>='} {self.value:g}"


def curves_of(fits: Sequence[Sequence[WatchedFit]]) -> dict[str, _Array]:
    """Arrays of values x folds x evaluations; NaN where a fit had ended or diverged."""
    longest = max(len(fit.rows) for folds in fits for fit in folds)
    curves = {name: np.full((len(fits), len(fits[0]), longest), np.nan) for name in QUANTITIES}
    for value, folds in enumerate(fits):
        for fold, fit in enumerate(folds):
            for name, curve in curves.items():
                curve[value, fold, : len(fit.rows)] = [row.get(name, np.nan) for row in fit.rows]
    return curves


def folds_of(
    fits: Sequence[Sequence[WatchedFit]], curves: dict[str, _Array], target: Target | None
) -> dict[str, _Array]:
    """Arrays of values x folds: how every fit ended, and what its path says."""
    by_fit = [[_fold(fit, _path(curves, v, f), target) for f, fit in enumerate(folds)] for v, folds in enumerate(fits)]
    return {name: np.array([[fold[name] for fold in folds] for folds in by_fit]) for name in by_fit[0][0]}


def _path(curves: dict[str, _Array], value: int, fold: int) -> dict[str, _Array]:
    """The evaluations of one fit."""
    done = np.isfinite(curves["n_updates"][value, fold])
    return {name: curve[value, fold][done] for name, curve in curves.items()}


def _fold(fit: WatchedFit, path: dict[str, _Array], target: Target | None) -> dict[str, Any]:
    best = _paths.best_evaluation(path["test_loss"])
    onset = _paths.overfitting_onset(path["train_loss"], path["test_loss"])
    fold: dict[str, Any] = {"status": fit.status, "resolved_batch_size": fit.batch_size, "n_samples": fit.n_samples}
    fold |= {name: fit.kept.get(name, np.nan) for name in METRICS}
    fold |= {name: path[quantity][-1] for name, quantity in SPENT.items()}
    if target is not None:
        # a score that stands for a failure reaches nothing
        values = np.empty(0) if fit.failure else path[target.name]
        reached = _paths.first_reached(values, target.value, target.lower_is_better)
        fold |= {name: _at(path[quantity], reached) for name, quantity in TO_TARGET.items()}
    return fold | {
        "best_epoch": _at(path["epoch"], best),
        "overfitting_onset": _at(path["epoch"], onset),
        "convergence_rate": _paths.convergence_rate(path["epoch"], path["train_loss"]),
        "share_of_rises": _paths.share_of_rises(path["train_loss"]),
        "roughness": _paths.roughness(path["train_loss"]),
    }


def _at(values: _Array, evaluation: int | None) -> float:
    return np.nan if evaluation is None else float(values[evaluation])


def summary_of(folds: dict[str, _Array], parameters: dict[str, list[Any]], n_test: float) -> dict[str, Any]:
    """One entry a value, in the manner of ``cv_results_``."""
    score_gap = folds["train_score"] - folds["test_score"]
    summary: dict[str, Any] = {**parameters, "status": [_counted(row) for row in folds["status"]]}
    if "epochs_to_target" in folds:
        summary["reached"] = np.isfinite(folds["epochs_to_target"]).mean(axis=1)
        summary |= {column: _median_where(folds[column]) for column in TO_TARGET}
    for metric in METRICS:
        summary |= _mean_and_std(metric, folds[metric])
    summary |= _mean_and_std("generalization_gap", score_gap)
    summary |= _mean_and_std("loss_gap", folds["test_loss"] - folds["train_loss"])
    summary["rank_test_score"] = _ranks(summary["mean_test_score"], (folds["status"] == "diverged").any(axis=1))
    best = int(np.argmin(summary["rank_test_score"]))
    test_to_train = n_test / folds["n_samples"].mean(axis=1)
    summary |= _compared("test_score", folds["test_score"], best, test_to_train)
    summary |= _compared("generalization_gap", score_gap, best, test_to_train)
    summary |= {column: folds[column].mean(axis=1) for column in SPENT}
    for column in ("convergence_rate", "share_of_rises", "roughness"):
        summary[column] = folds[column].mean(axis=1)
    summary["best_epoch"] = _median_where(folds["best_epoch"])
    summary["overfitted"] = np.isfinite(folds["overfitting_onset"]).mean(axis=1)
    summary["overfitting_onset"] = _median_where(folds["overfitting_onset"])
    return summary


def _mean_and_std(name: str, values: _Array) -> dict[str, _Array]:
    return {f"mean_{name}": values.mean(axis=1), f"std_{name}": values.std(axis=1)}


def _counted(statuses: _Array) -> str:
    counts = Counter(statuses.tolist())
    if len(counts) == 1:
        return str(statuses[0])
    return ", ".join(f"{status} ({count} of {len(statuses)})" for status, count in counts.most_common())


def _median_where(values: _Array) -> _Array:
    """Medians over the folds that have a number; NaN where none has.

    >>> _median_where(np.array([[1.0, 2.0, np.nan], [np.nan, np.nan, np.nan]]))
    array([1.5, nan])
    """
    there = np.isfinite(values)
    return np.array([np.median(row[here]) if here.any() else np.nan for row, here in zip(values, there, strict=True)])


def _ranks(scores: _Array, diverged: _Array) -> _Array:
    """1 for the best, ties alike; values of which a fit diverged after all others; NaN last.

    >>> _ranks(np.array([0.5, 0.9, np.nan, 0.7]), np.array([False, True, False, False]))
    array([2, 3, 4, 1])
    """
    groups = np.where(np.isnan(scores), 2, diverged)
    keys = np.array([groups, -np.nan_to_num(scores)]).T
    _, ranks, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    return 1 + (np.cumsum(counts) - counts)[ranks.ravel()]


def _compared(name: str, values: _Array, best: int, test_to_train: _Array) -> dict[str, _Array]:
    """Mean difference to the best value, fold by fold, and half the width of its 95 % interval.

    Training parts of folds overlap, so differences are not independent; their variance is taken times
    ``1/k + n_test/n_train``, not ``1/k`` (Nadeau & Bengio, Machine Learning 52, 2003).
    """
    difference = values - values[best]
    n_folds = values.shape[1]
    half_width = np.full(len(values), np.nan)
    if n_folds > 1:
        ratio = np.maximum(test_to_train, test_to_train[best])
        variance = difference.var(axis=1, ddof=1) * (1.0 / n_folds + ratio)
        half_width = stats.t.ppf(0.5 + CONFIDENCE / 2, n_folds - 1) * np.sqrt(variance)
    return {f"{name}_vs_best": difference.mean(axis=1), f"{name}_vs_best_interval": half_width}
