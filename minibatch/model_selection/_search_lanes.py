"""Candidates of a search, and which of their fits go side by side."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import joblib
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from minibatch._base.estimator import SEEDS, MiniBatchEstimator
from minibatch._base.pipelines import parameter_path, split_pipeline
from minibatch._base.rows import Checked
from minibatch._base.trials import check_parameters
from minibatch.model_selection._search_folds import Fold, Given, Sample, checked_once, fold_of
from minibatch.model_selection._search_runs import Failure, Run, attempt

__all__ = ["FEWEST_IN_LANE", "Candidate", "Lane", "candidates_of", "lanes_of"]

# Lanes are not cut into smaller ones than this: many models in a pass are what makes it fast.
FEWEST_IN_LANE = 16
# Parameters that are no numbers, and yet do not change what a model makes of its rows.
_OF_TRAINING = {"batch_size", "random_state", "learning_rate", "penalty", "tol", "max_updates", "evaluate_every"}


class Candidate(NamedTuple):
    """An estimator with its parameters set. ``setting`` is the same for those whose transformers are, ``form`` for
    those that make the same of their rows."""

    number: int
    parameters: Mapping[str, Any]
    estimator: Any
    final: MiniBatchEstimator
    setting: str
    form: str
    refusal: Failure | None  # of its parameters


class Lane(NamedTuple):
    """Fits that share batches, and the rows as each would check them."""

    fold: Fold
    runs: list[Run]
    checked: list[Checked | None]
    rows_in_batch: int


def candidates_of(estimator: Any, parameters: Sequence[Mapping[str, Any]]) -> list[Candidate]:
    """All of them. Where no seed is set they have the same one, and so see their rows in the same order."""
    prefix, found = parameter_path(estimator, ""), []
    seed = int(check_random_state(None).randint(SEEDS))
    for number, given in enumerate(parameters):
        model = clone(estimator).set_params(**clone(dict(given), safe=False))
        _, final = split_pipeline(model)
        if final.random_state is None:
            final.set_params(random_state=seed)
        setting = joblib.hash({name: value for name, value in given.items() if not name.startswith(prefix)})
        form = joblib.hash((setting, type(final), _without_numbers(final)))
        found.append(Candidate(number, given, model, final, setting, form, attempt(check_parameters, final)[1]))
    return found


def _without_numbers(final: MiniBatchEstimator) -> dict[str, Any]:
    parameters = {name: value for name, value in final.get_params(deep=False).items() if name not in _OF_TRAINING}
    return {name: value for name, value in parameters.items() if isinstance(value, bool) or not isinstance(value, Real)}


def lanes_of(
    candidates: Sequence[Candidate], given: Given, sample: Sample, scores_final: bool, contexts: Sequence[Any],
    n_jobs: int | None,
) -> tuple[list[Lane], list[Run]]:  # fmt: skip
    """Of one split, those that take longest first; and the runs that cannot begin."""
    by_setting: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_setting.setdefault(candidate.setting, []).append(candidate)
    calls = [(clone(group[0].estimator), given, sample, scores_final) for group in by_setting.values()]
    folds = Parallel(n_jobs=n_jobs, require="sharedmem")(delayed(attempt)(fold_of, *call) for call in calls)
    most = max(FEWEST_IN_LANE, -(-len(candidates) // joblib.effective_n_jobs(n_jobs)))
    lanes: list[Lane] = []
    failed: list[Run] = []
    for group, (fold, failure) in zip(by_setting.values(), folds, strict=True):
        begun: list[Run] = []
        for one in group:
            run = Run(one.number, sample.number, _own(one.final), contexts[one.number])
            run.failure = one.refusal or failure
            (failed if run.failure else begun).append(run)
        if begun:
            lanes += _lanes(fold, begun, {one.number: one.form for one in group}, most)
    return sorted(lanes, key=lambda lane: lane.rows_in_batch), failed


def _own(final: Any) -> Any:
    """A model for one split. As ``clone``, which takes longer: nothing changes parameters, but who draws from them."""
    return copy.copy(final) if isinstance(final.random_state, Integral) else clone(final)


def _lanes(fold: Fold, runs: Sequence[Run], forms: Mapping[int, str], most: int) -> Iterator[Lane]:
    """Those with the same batch size, at most so many; what shares no passes goes alone."""
    by_size: dict[tuple[int, int], list[Run]] = {}
    for run in runs:
        rows_in_batch = run.model._resolved_batch_size(len(fold.y))
        by_size.setdefault((rows_in_batch, -1 if run.model._shares_passes else run.candidate), []).append(run)
    checked = {forms[run.candidate]: run for run in runs}
    rows = {form: checked_once(run.model, fold) for form, run in checked.items()}
    for (rows_in_batch, _), side_by_side in by_size.items():
        for first in range(0, len(side_by_side), most):
            members = side_by_side[first : first + most]
            yield Lane(fold, members, [rows[forms[run.candidate]] for run in members], rows_in_batch)
