"""All fits of a search: fold by fold to their ends, or all folds at once, in rounds after which the worst go."""

import time
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from math import ceil, inf
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection._validation import _score
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _num_samples

from minibatch._problems.blas import one_blas_thread
from minibatch.history import History
from minibatch.model_selection._search_folds import Fold, Given, Part, Sample, knows_only_predictions
from minibatch.model_selection._search_lanes import Candidate, Lane, lanes_of
from minibatch.model_selection._search_runs import Run, go_on

__all__ = ["DROPPED", "FAILED", "Fits", "Found", "Result", "fold_by_fold", "in_rounds"]

FAILED, DROPPED = "failed", "dropped"  # beside the statuses of the estimators


class Fits(NamedTuple):
    """What is to be fitted, and how fits are scored."""

    candidates: list[Candidate]
    given: Given
    samples: list[Sample]
    contexts: list[list[Any]]  # of callbacks, for every split one for every candidate
    scorer: Any
    error_score: float | str
    return_train_score: bool
    n_jobs: int | None
    caller: Any

    def lanes(self, sample: Sample) -> tuple[list[Lane], list[Run]]:
        scores_final, contexts = knows_only_predictions(self.scorer), self.contexts[sample.number]
        return lanes_of(self.candidates, self.given, sample, scores_final, contexts, self.n_jobs)


class Result(NamedTuple):
    """Of one candidate on one split."""

    row: dict[str, Any]  # as scikit-learn's ``_fit_and_score`` returns it
    status: str
    history: History
    n_samples: int  # to train on
    batch_size: int
    round: int = 0  # the last that it took part in


Found = dict[tuple[int, int], Result]  # by the numbers of candidate and split


def fold_by_fold(fits: Fits) -> Found:
    """Train all fits to their ends. The rows of a fold are there only while it is trained."""
    found: Found = {}
    for sample in fits.samples:
        found |= _trained(*fits.lanes(sample), inf, fits)
    return found


def in_rounds(fits: Fits, factor: int, min_epochs: int, metric: str) -> Found:
    """Successive halving: after ``min_epochs`` epochs, ``factor`` times as many, and so on, one in ``factor`` of the
    candidates goes on where it is, those with the best mean score."""
    made = [fits.lanes(sample) for sample in fits.samples]
    lanes = [lane for of_sample, _ in made for lane in of_sample]
    found = _trained([], [run for _, failed in made for run in failed], 0.0, fits)
    alive, until, number = list(range(len(fits.candidates))), float(min_epochs), 0
    while lanes:
        found |= _trained(lanes, [], until, fits)
        found |= {key: result._replace(round=number) for key, result in found.items() if key[0] in alive}
        if not any(run.request for lane in lanes for run in lane.runs):
            break
        alive, number = _best(found, alive, ceil(len(alive) / factor), metric), number + 1
        for run in [run for lane in lanes for run in lane.runs if run.candidate not in alive and run.request]:
            run.drop()
            found[run.candidate, run.split] = found[run.candidate, run.split]._replace(status=DROPPED)
        lanes = [lane for lane in map(_unfinished, lanes) if lane.runs]
        until = inf if len(alive) == 1 else until * factor
    return found


def _best(found: Found, alive: Sequence[int], number: int, metric: str) -> list[int]:
    """So many of those that are alive; of equals the first."""
    scores = {i: np.mean([_score_of(result, metric) for key, result in found.items() if key[0] == i]) for i in alive}
    return sorted(alive, key=lambda i: (-np.nan_to_num(scores[i], nan=-inf), i))[:number]


def _score_of(result: Result, metric: str) -> float:
    scores = result.row["test_scores"]
    return float(scores[metric] if isinstance(scores, dict) else scores)


def _unfinished(lane: Lane) -> Lane:
    kept = [i for i, run in enumerate(lane.runs) if run.request is not None]
    return lane._replace(runs=[lane.runs[i] for i in kept], checked=[lane.checked[i] for i in kept])


def _trained(lanes: Sequence[Lane], failed: Sequence[Run], until: float, fits: Fits) -> Found:
    """What comes of runs up to so many epochs."""
    found = {(run.candidate, run.split): _failure(run, fits) for run in failed}
    # in the context of the caller, who may be told about a compilation
    calls = (delayed(copy_context().run)(_of_lane, lane, until, fits) for lane in lanes)
    for of_lane in Parallel(n_jobs=fits.n_jobs, require="sharedmem")(calls):
        found |= of_lane
    return found


def _of_lane(lane: Lane, until: float, fits: Fits) -> Found:
    go_on(lane.runs, lane.fold, lane.checked, fits.caller, until)
    results = {(run.candidate, run.split): _result(run, lane.fold, fits) for run in lane.runs}
    if fits.caller.verbose > 1:
        for (number, split), result in results.items():
            print(_line(fits.candidates[number].parameters, split, result))
    return results


def _line(parameters: Mapping[str, Any], split: int, result: Result) -> str:
    named = ", ".join(f"{name}={value}" for name, value in parameters.items())
    scores, epochs = result.row["test_scores"], result.history.last("epoch", 0)
    of_scores = scores.items() if isinstance(scores, dict) else [("score", scores)]
    said = ", ".join(f"{name} {score:.4g}" for name, score in of_scores)
    return f"split {split}, {named}: {result.status} after {epochs} epochs, {said}"


def _result(run: Run, fold: Fold, fits: Fits) -> Result:
    if run.failure is not None:
        return _failure(run, fits)
    final = run.now()
    row: dict[str, Any] = {"fit_error": None, "n_test_samples": _num_samples(fold.test.X), "fit_time": run.seconds}
    began = time.perf_counter()
    row["test_scores"] = _scores(final, fold, fold.test, fits)
    row["score_time"] = time.perf_counter() - began
    if fits.return_train_score:
        row["train_scores"] = _scores(final, fold, fold.train, fits)
    return Result(row, final.status_, final.history_, _num_samples(fold.X), final.batch_size_)


def _scores(final: Any, fold: Fold, part: Part, fits: Fits) -> Any:
    with part.checks(), one_blas_thread():  # the other threads have models of their own to score
        return _score(fold.scored(final), part.X, part.y, fits.scorer, part.params, fits.error_score)


def _failure(run: Run, fits: Fits) -> Result:
    """Of a fit that raised; ``error_score="raise"`` raises the same."""
    assert run.failure is not None
    if isinstance(fits.error_score, str):
        raise run.failure.error
    multiple = isinstance(fits.scorer, _MultimetricScorer)
    scores = dict.fromkeys(fits.scorer._scorers, fits.error_score) if multiple else fits.error_score
    row = {
        "fit_error": run.failure.why,
        "n_test_samples": 0,
        "fit_time": run.seconds,
        "score_time": 0.0,
        "test_scores": scores,
    }
    if fits.return_train_score:
        row["train_scores"] = scores
    return Result(row, FAILED, History(), 0, 0)
