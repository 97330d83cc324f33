"""The trials of a batch size: how many updates each learning rate needs to reach a target."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minibatch._base.estimator import MiniBatchEstimator
from minibatch._base.trials import plain_clone
from minibatch.model_selection._steps_watch import Looks, Run, Stop, Task, Trial
from minibatch.model_selection._summary import Target

__all__ = ["Found", "middle", "rungs_of", "search"]

_RUNG, _FIRST_RUNG = 4, 50  # all trials go so many times as far before any goes on; the first rung is no shorter
_FULLY = 4  # the repeats of the best rate are run on to so many times its updates: their scatter is that of the count


class Found(NamedTuple):
    """The trials of one batch size, candidates x repeats, and which candidate needs the fewest updates, if any."""

    runs: list[list[Run]]
    best: int | None


def search(final: MiniBatchEstimator, task: Task) -> Found:
    """The trials of one batch size.

    They climb together: all go a few updates, then four times as many, the most promising first, until one has reached
    the target; the others go as far as that one, if they have not yet, and only those whose pace may take them there.
    So a rate that stays above the target for ever costs little more than the best one, however many updates are
    allowed.
    """
    runs: dict[int, list[Run]] = {}
    order, fewest = list(range(len(task.candidates))), np.inf
    for rung in rungs_of(task.looks):
        for candidate in order:
            runs[candidate] = _climb_all(final, task, candidate, runs.get(candidate), min(rung, fewest), fewest)
            fewest = min(fewest, middle(runs[candidate]).updates)
        order.sort(key=lambda candidate: _distance(runs[candidate], task.target))
    best = _best(runs, task.target)
    named = [[_named(run, task.looks[-1], fewest) for run in runs[candidate]] for candidate in sorted(runs)]
    if best is not None:
        more = _climb_all(final, task, best, runs[best], _FULLY * fewest, np.inf)
        named[best] = [_named(run, task.looks[-1], fewest) for run in more]
    return Found(named, best)


def _best(runs: dict[int, list[Run]], target: Target) -> int | None:
    """The candidate with the fewest updates; of several, the one that was furthest beyond the target."""
    keys = {candidate: (middle(repeats).updates, _distance(repeats, target)) for candidate, repeats in runs.items()}
    best = min(sorted(keys), key=keys.__getitem__)
    return best if np.isfinite(keys[best][0]) else None


def rungs_of(looks: Looks) -> list[int]:
    """Up to where all trials go before any goes on.

    >>> from minibatch.model_selection._steps_watch import looks_up_to
    >>> rungs_of(looks_up_to(10_000)), rungs_of(looks_up_to(60))
    ([153, 613, 2479, 10000], [60])
    """
    rungs = [int(looks[-1])]
    while rungs[0] // _RUNG >= _FIRST_RUNG:
        rungs.insert(0, int(looks[looks <= rungs[0] // _RUNG][-1]))
    return rungs


def _climb_all(
    final: MiniBatchEstimator, task: Task, candidate: int, before: list[Run] | None, up_to: float, fewest: float
) -> list[Run]:
    """The repeats of a candidate, up to so many updates."""
    looks = task.looks[task.looks <= max(1, up_to)]
    horizon = min(fewest, float(task.looks[-1]))
    tells = _pace_tells(final, task, horizon)

    def is_settled(run: Run) -> bool:
        too_slow = tells and run.outlook.lowest(horizon) > task.target.value
        return run.status != "unfinished" or run.n_updates >= looks[-1] or too_slow

    repeats: Sequence[Run | None] = before or [None] * len(task.seeds)
    return [
        run if run is not None and is_settled(run) else _climb(final, task, candidate, seed, looks, horizon)
        for seed, run in zip(task.seeds, repeats, strict=True)
    ]


def _pace_tells(final: MiniBatchEstimator, task: Task, horizon: float) -> bool:
    """Whether a trial that falls too slowly now will not arrive by then.

    Rates that the estimator finds may yet rise. A network may stay on a plateau and then fall, so that it is judged
    only where another rate has arrived.
    """
    is_late = horizon < task.looks[-1]
    return not np.isnan(task.candidates[0][0]) and (is_late or not hasattr(final, "hidden_layer_sizes"))


def _climb(final: MiniBatchEstimator, task: Task, candidate: int, seed: int, looks: Looks, horizon: float) -> Run:
    """One trial up to the last of these looks, from the first parameters."""
    model = _model(final, task, candidate, seed)
    watch = Trial(task, looks, horizon, _pace_tells(final, task, horizon))
    with np.errstate(over="ignore", invalid="ignore"):  # a rate that is too high
        try:
            model._train(*task.data, watch=watch)
        except Stop:
            return watch.run
        except Exception as error:
            rate = task.candidates[candidate][0]
            at = "" if np.isnan(rate) else f" at the learning rate {rate:g}"
            error.add_note(f"In a trial of batch_size={model.batch_size!r}{at}.")
            raise
    # above its beginning, a run may be on its way down, unless this was all the time it had
    given_up = looks[-1] == task.looks[-1] or not np.isfinite(model.history_.last("progressive_objective"))
    failed = model.status_ == "diverged" and watch.run.status != "reached" and given_up
    return watch.run._replace(status="diverged") if failed else watch.run


def _model(final: MiniBatchEstimator, task: Task, candidate: int, seed: int) -> MiniBatchEstimator:
    rate, momentum = task.candidates[candidate]
    model = plain_clone(final, random_state=seed)
    if momentum is not None:
        model.set_params(momentum=momentum)
    if np.isnan(rate):
        return model.set_params(learning_rate=final.learning_rate)
    return model.set_params(**{final._rate_parameter: rate})


def middle(runs: Sequence[Run]) -> Run:
    """The median repeat; of an even number, the slower one in the middle, for which slower ones need not be run on."""
    return sorted(runs, key=lambda run: run.updates)[len(runs) // 2]


def _distance(runs: Sequence[Run], target: Target) -> float:
    """How far from the target the repeats are; negative beyond it."""
    sign = 1.0 if target.lower_is_better else -1.0
    values = [sign * (run.value - target.value) if run.status != "diverged" else np.inf for run in runs]
    return float(np.mean(values))


def _named(run: Run, last: int, fewest: float) -> Run:
    if run.status != "unfinished":
        return run
    status = "censored" if run.n_updates == last else "pruned" if np.isfinite(fewest) else "stalled"
    return run._replace(status=status)
