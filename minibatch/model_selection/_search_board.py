"""All fits of a search: fold by fold to their ends, or all folds at once, in rounds after which the worst go."""

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import ceil, inf, isfinite, isnan
from statistics import fmean
from typing import Any, NamedTuple

from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.utils.validation import _num_samples

from minibatch._base.callbacks import says_when_it_compiles
from minibatch._problems.blas import one_blas_thread
from minibatch.history import History
from minibatch.model_selection._search_folds import FoldRows, Given, Sample
from minibatch.model_selection._search_lanes import Candidate, Lane, lanes_of
from minibatch.model_selection._search_runs import LONGER, Run, Side, go_on, load_kernels
from minibatch.model_selection._search_scores import scores_of
from minibatch.model_selection._search_threads import Workers

__all__ = ["DROPPED", "FAILED", "Fits", "Found", "Result", "fold_by_fold", "in_rounds"]

FAILED, DROPPED = "failed", "dropped"  # beside the statuses of the estimators


class Fits(NamedTuple):
    """What is to be fitted, and how fits are scored."""

    candidates: list[Candidate]
    given: Given
    samples: list[Sample]
    contexts: list[list[Any]]  # of callbacks, for every split one for every candidate; None where there are none
    error_score: float | str
    workers: Workers
    caller: Any

    def lanes(self, sample: Sample) -> tuple[list[Lane], list[Run]]:
        lanes, failed = lanes_of(self.candidates, self.given, sample, self.contexts[sample.number], self.workers)
        if sample.number == 0:
            with says_when_it_compiles(self.caller):
                for lane in lanes:
                    load_kernels(lane.runs, lane.rows, self.side(lane, inf))
        return lanes, failed

    def side(self, lane: Lane, until: float) -> Side:
        limits = {"orders": lru_cache(maxsize=1)(lane.fold.orders), "longer": LONGER}
        return Side(lane.fold, limits, self.caller, isfinite(until))


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
    """Train all fits to their ends. The rows of a fold are there only while it is trained: as many folds at a time as
    there are threads."""
    found: Found = {}
    at_once = fits.workers.number
    for first in range(0, len(fits.samples), at_once):
        found |= _begun(fits.samples[first : first + at_once], inf, fits)[0]
    return found


def in_rounds(fits: Fits, factor: int, min_epochs: int, metric: str) -> Found:
    """Successive halving: after ``min_epochs`` epochs, ``factor`` times as many, and so on, one in ``factor`` of the
    candidates goes on where it is, those with the best mean score."""
    alive, until, number = list(range(len(fits.candidates))), float(min_epochs), 0
    found, lanes = _begun(fits.samples, until, fits)
    while lanes := [lane for lane in map(_unfinished, lanes) if lane.runs]:
        alive, number = _best(found, alive, ceil(len(alive) / factor), metric), number + 1
        until = inf if len(alive) == 1 else until * factor
        if trained := _trained(_without_dropped(lanes, {*alive}, until, found, fits), lanes, fits):
            found |= trained
            splits = range(len(fits.samples))
            found |= {(i, split): found[i, split]._replace(round=number) for i in alive for split in splits}
    return found


def _without_dropped(
    lanes: Sequence[Lane], alive: set[int], until: float, found: Found, fits: Fits
) -> Iterator[tuple[Lane, float, Fits]]:
    """Calls of what goes on. Runs that do not are closed when the turn of their lane comes: others train meanwhile."""
    for lane in lanes:
        for run in lane.runs:
            if run.candidate not in alive:
                key = run.candidate, run.split
                run.close()
                found[key] = found[key]._replace(status=DROPPED)
                _say(found[key], *key, fits)
        kept = _unfinished(lane)
        if kept.runs:
            yield kept, until, fits


def _best(found: Found, alive: Sequence[int], number: int, metric: str) -> list[int]:
    """So many of those that are alive; of equals the first."""
    scores: dict[int, list[float]] = {i: [] for i in alive}
    for (i, _), result in found.items():
        if i in scores:
            scores[i].append(_score_of(result, metric))

    def place(i: int) -> tuple[float, int]:
        mean = fmean(scores[i])
        return inf if isnan(mean) else -mean, i

    return sorted(alive, key=place)[:number]


def _score_of(result: Result, metric: str) -> float:
    scores = result.row["test_scores"]
    return float(scores[metric] if isinstance(scores, dict) else scores)


def _unfinished(lane: Lane) -> Lane:
    kept = [i for i, run in enumerate(lane.runs) if not run.is_over]
    return lane._replace(runs=[lane.runs[i] for i in kept], rows=[lane.rows[i] for i in kept])


def _begun(samples: Sequence[Sample], until: float, fits: Fits) -> tuple[Found, list[Lane]]:
    """What comes of all runs on some samples up to so many epochs, and their lanes. A lane begins when it is made; of
    one sample those first that take longest."""
    refused: Found = {}
    lanes: list[Lane] = []

    def calls() -> Iterator[tuple[Lane, float, Fits]]:
        for sample in samples:
            made, failed = fits.lanes(sample)
            for run in failed:
                refused[run.candidate, run.split] = _refused(run, fits)
            made.sort(key=lambda lane: lane.rows_in_batch)
            lanes.extend(made)
            yield from ((lane, until, fits) for lane in made)

    return _trained(calls(), lanes, fits) | refused, lanes


def _trained(calls: Iterable[tuple[Lane, float, Fits]], lanes: Sequence[Lane], fits: Fits) -> Found:
    """What comes of runs up to so many epochs."""
    found: Found = {}
    try:
        for of_lane in fits.workers.call(_of_lane, calls):
            found |= of_lane
    except BaseException:
        for run in [run for lane in lanes for run in lane.runs]:
            run.close()
        raise
    return found


def _of_lane(lane: Lane, until: float, fits: Fits) -> Found:
    go_on(lane.runs, lane.rows, fits.side(lane, until), until)
    fitted = [i for i, run in enumerate(lane.runs) if run.failure is None]
    scored = dict(zip(fitted, _scores(lane, fitted, fits), strict=True))
    results = {}
    for i, run in enumerate(lane.runs):
        key = run.candidate, run.split
        results[key] = _result(run, lane.fold, scored[i]) if i in scored else _failure(run, fits)
        if run.is_over:
            _say(results[key], *key, fits)
            run.close()
    return results


def _scores(lane: Lane, places: Sequence[int], fits: Fits) -> list[dict[str, Any]]:
    """Of some runs of a lane, with the time that each took."""
    runs, given, began = [lane.runs[i] for i in places], fits.given, time.perf_counter()
    with one_blas_thread():  # the other threads have models of their own to score
        parts = []
        for number, part in enumerate(lane.fold.scored):
            evaluations = [lane.rows[i].evaluations[number] for i in places]
            parts.append(scores_of(runs, evaluations, part, lane.fold.to_score, given.scorer, fits.error_score))
    seconds = (time.perf_counter() - began) / max(1, len(places) * len(parts))
    names = "test_scores", "train_scores"
    return [{"score_time": seconds, **dict(zip(names, scores, strict=False))} for scores in zip(*parts, strict=True)]


def _say(result: Result, candidate: int, split: int, fits: Fits) -> None:
    """How a fit ended."""
    if fits.caller.verbose > 1:
        named = ", ".join(f"{name}={value}" for name, value in fits.candidates[candidate].parameters.items())
        scores, epochs = result.row["test_scores"], result.history.last("epoch", 0)
        of_scores = scores.items() if isinstance(scores, dict) else [("score", scores)]
        said = ", ".join(f"{name} {score:.4g}" for name, score in of_scores)
        print(f"split {split}, {named}: {result.status} after {epochs} epochs, {said}")


def _result(run: Run, fold: FoldRows, scored: dict[str, Any]) -> Result:
    row = {"fit_error": None, "n_test_samples": _num_samples(fold.scored[0].X), "fit_time": run.seconds, **scored}
    status, history = run.ended()
    n_rows = _num_samples(fold.X)
    return Result(row, status, history, n_rows, history.last("batch_size", n_rows))


def _refused(run: Run, fits: Fits) -> Result:
    """Of a fit that did not begin."""
    if run.context is not None:
        run.context.call_on_fit_task_begin(estimator=fits.caller)
        run.context.call_on_fit_task_end(estimator=fits.caller)
    return _failure(run, fits)


def _failure(run: Run, fits: Fits) -> Result:
    """Of a fit that raised; ``error_score="raise"`` raises the same."""
    assert run.failure is not None
    if isinstance(fits.error_score, str):
        raise run.failure.error
    run.failure.error.__traceback__ = None  # with frames that have the rows
    multiple = isinstance(fits.given.scorer, _MultimetricScorer)
    scores = dict.fromkeys(fits.given.scorer._scorers, fits.error_score) if multiple else fits.error_score
    sample = fits.samples[run.split]
    row = {"fit_error": run.failure.why, "n_test_samples": len(sample.test), "fit_time": run.seconds}
    row |= {"score_time": 0.0, "test_scores": scores}
    if fits.given.return_train_score:
        row["train_scores"] = scores
    return Result(row, FAILED, History(), len(sample.train), 0)
