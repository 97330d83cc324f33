"""Candidates of a search, and which of their fits go side by side."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import joblib
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import _num_samples

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.pipelines import parameter_path, split_pipeline
from minibatch._base.seeds import SEEDS
from minibatch._base.trials import check_parameters
from minibatch.model_selection._failures import Failure, attempt
from minibatch.model_selection._search_folds import FoldRows, FormRows, Given, Sample, rows_of_fold, rows_of_form
from minibatch.model_selection._search_runs import Run, own_copy
from minibatch.model_selection._search_threads import Workers

__all__ = ["MOST_IN_LANE", "Candidate", "Lane", "candidates_of", "lanes_of"]

# More runs are several lanes, for several threads. Their number does not depend on that of the threads, or results
# would, by rounding.
MOST_IN_LANE = 32
# Parameters that are no numbers, and yet do not change what a model makes of its rows.
_OF_TRAINING = {"batch_size", "random_state", "learning_rate", "penalty", "tol", "max_updates", "evaluate_every"}


class Candidate(NamedTuple):
    """An estimator with its parameters set. ``setting`` is the same for those whose transformers are, ``form`` for
    those that make the same of their rows."""

    number: int
    parameters: Mapping[str, Any]
    estimator: Any
    final: MiniBatchEstimator
    setting: Hashable
    form: Hashable
    refusal: Failure | None  # of its parameters


class Lane(NamedTuple):
    """Fits that share batches, and the rows for each."""

    fold: FoldRows
    runs: list[Run]
    rows: list[FormRows]
    rows_in_batch: int


def candidates_of(estimator: Any, parameters: Sequence[Mapping[str, Any]]) -> list[Candidate]:
    """All of them. Where no seed is set they have the same one, and so see their rows in the same order."""
    seed, found, accepted = int(check_random_state(None).randint(SEEDS)), [], None
    for number, given in enumerate(parameters):
        model = clone(estimator).set_params(**clone(dict(given), safe=False))
        _, final = split_pipeline(model)
        _refuse_own_fit(final)
        if final.random_state is None:
            final.set_params(random_state=seed)
        prefix = parameter_path(model, "")
        setting = _key(number, {name: value for name, value in given.items() if not name.startswith(prefix)})
        form = setting, type(final), _key(number, _without_numbers(final))
        refusal = attempt(check_parameters, final, accepted if type(accepted) is type(final) else final)[1]
        accepted = accepted if refusal else final
        found.append(Candidate(number, given, model, final, setting, form, refusal))
    return found


def _refuse_own_fit(final: MiniBatchEstimator) -> None:
    """Fits are run step by step, not by the method of a subclass."""
    fit: Any = type(final).fit
    if not fit.__module__.startswith("minibatch."):
        raise TypeError(f"{type(final).__name__} has a fit of its own, which a search does not call; use GridSearchCV.")


def _key(number: int, values: Mapping[str, Any]) -> Hashable:
    """The same for the same values; for arrays and the like joblib's, which takes longer. What nobody can hash is like
    no other."""
    pairs = tuple((name, type(value), value) for name, value in values.items())
    return pairs if attempt(hash, pairs)[1] is None else attempt(joblib.hash, values)[0] or number


def _without_numbers(final: MiniBatchEstimator) -> dict[str, Any]:
    parameters = {name: value for name, value in final.get_params(deep=False).items() if name not in _OF_TRAINING}
    return {name: value for name, value in parameters.items() if isinstance(value, bool) or not isinstance(value, Real)}


def lanes_of(
    candidates: Sequence[Candidate], given: Given, sample: Sample, contexts: Sequence[Any], workers: Workers
) -> tuple[list[Lane], list[Run]]:
    """Of one split; and the runs that cannot begin."""
    by_setting: dict[Hashable, list[Candidate]] = {}
    for candidate in candidates:
        by_setting.setdefault(candidate.setting, []).append(candidate)
    calls = [(rows_of_fold, clone(group[0].estimator), given, sample) for group in by_setting.values()]
    # alone not on a thread, which may have another fold's lanes before
    folds = [attempt(*calls[0])] if len(calls) == 1 else workers.call(attempt, calls)
    lanes: list[Lane] = []
    failed: list[Run] = []
    for group, (fold, failure) in zip(by_setting.values(), folds, strict=True):
        able: list[Run] = []
        for one in group:
            run = Run(one.number, sample.number, own_copy(one.final), contexts[one.number])
            run.failure = one.refusal or failure
            (failed if run.failure else able).append(run)
        if able:
            lanes += _lanes(fold, able, {one.number: one.form for one in group}, given.scorer)
    return lanes, failed


def _lanes(fold: FoldRows, runs: Sequence[Run], forms: Mapping[int, Hashable], scorer: Any) -> Iterator[Lane]:
    """Those with the same batch size, at most so many; what shares no passes goes alone."""
    by_size: dict[tuple[int, int], list[Run]] = {}
    for run in runs:
        rows_in_batch = run.model._resolved_batch_size(_num_samples(fold.X))
        by_size.setdefault((rows_in_batch, -1 if run.model._shares_passes else run.candidate), []).append(run)
        run.seconds = fold.seconds / len(runs)
    rows: dict[Hashable, FormRows] = {}
    for run in runs:
        if forms[run.candidate] not in rows:
            like = next((known.checked for known in rows.values() if known.checked is not None), None)
            found = attempt(rows_of_form, run.model, fold, scorer, like)[0]
            # each that refuses them says so by itself
            rows[forms[run.candidate]] = found or FormRows({}, None, [None] * len(fold.scored))
    for (rows_in_batch, _), side_by_side in by_size.items():
        for first in range(0, len(side_by_side), MOST_IN_LANE):
            members = side_by_side[first : first + MOST_IN_LANE]
            yield Lane(fold, members, [rows[forms[run.candidate]] for run in members], rows_in_batch)
