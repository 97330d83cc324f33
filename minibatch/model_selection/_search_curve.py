"""Some candidates of a search as a curve: what their histories say."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minibatch.model_selection._arguments import budget_in_words, scoring_in_words
from minibatch.model_selection._folds import WatchedFit
from minibatch.model_selection._result import ConvergenceCurve
from minibatch.model_selection._search_board import FAILED, Found, Result
from minibatch.model_selection._summary import curves_of, folds_of, summary_of

__all__ = ["curve_of_search"]


def curve_of_search(search: Any, found: Found, candidates: Sequence[int], final: Any) -> ConvergenceCurve:
    """``found`` are the fits of ``search``."""
    parameters = [search.cv_results_["params"][i] for i in candidates]
    values = _varied(search.cv_results_["params"], parameters)
    name, *others = values
    fits = [[_fit_of(found[i, split]) for split in range(search.n_splits_)] for i in candidates]
    curves = curves_of(fits)
    folds = folds_of(fits, curves, None)
    n_test = np.mean([found[candidates[0], split].row["n_test_samples"] for split in range(search.n_splits_)])
    with np.errstate(over="ignore", invalid="ignore"):  # squares of numbers on their way to divergence
        summary = summary_of(folds, values, float(n_test))
    return ConvergenceCurve(
        param_name=name,
        param_range=values[name],
        budget=budget_in_words(None, search.estimator, list(values)),
        target=None,
        scoring=scoring_in_words(search.scoring, final),
        curves_=curves,
        folds_=folds,
        summary_=summary,
        paired_params={other: values[other] for other in others},
    )


def _varied(every: Sequence[Mapping[str, Any]], some: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Short names of the parameters that the search varied, the batch size first, with the values of some candidates;
    whole names where two steps of a pipeline have parameters of one name."""
    paths = list(dict.fromkeys(path for parameters in every for path in parameters))
    several = [path for path in paths if len({repr(parameters.get(path)) for parameters in every}) > 1] or paths[:1]
    short = [path.split("__")[-1] for path in several]
    names = {path: name if short.count(name) == 1 else path for path, name in zip(several, short, strict=True)}
    ordered = sorted(several, key=lambda path: names[path] != "batch_size")
    return {names[path]: [parameters.get(path) for parameters in some] for path in ordered}


def _fit_of(result: Result) -> WatchedFit:
    """As if it had been watched: the training loss is that of the history where it was evaluated, and else the mean
    loss of the rows before they were trained on; of the test part there is the score at the end."""
    history = result.history
    names = ("epoch", "n_updates", "n_samples_seen", "seconds", "learning_rate")
    columns = {name: history[name] for name in names if name in history}
    for loss in ("progressive_loss", "train_loss"):
        if loss in history:
            columns["train_loss"] = history[loss]
    if "gradient_norm" in history:
        columns["gradient_norm"] = history["gradient_norm"]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if "train_loss" in history:  # only where it was evaluated
        rows = [row for row in rows if np.isfinite(row["train_loss"])]
    rows = rows or [dict.fromkeys(names[:4], 0.0)]
    kept = {"train_loss": rows[-1].get("train_loss", np.nan)}
    for part in ("train", "test"):
        score = result.row.get(f"{part}_scores", {})
        if not isinstance(score, dict):
            kept[f"{part}_score"] = float(score)
    failure = result.row["fit_error"] if result.status == FAILED else ""
    return WatchedFit(rows, kept, result.status, result.batch_size, result.n_samples, [], failure)
