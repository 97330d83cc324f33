"""Time to an objective: those that train in batches, at every batch size, beside solvers of logistic regression.

All minimise mean log loss + alpha/2 ||w||^2, a softmax for more than two classes. The optimum is the lowest objective
that L-BFGS reaches. The number of iterations or epochs is the least after which the objective is near enough, to a
thirty-second: found among ``LENGTHS``, then between two of these. Who takes rates has the best of ``RATES``. This
search is not timed, the fit of that length is. "ours" has rates that nobody tuned.
"""

import warnings
from functools import partial

import numpy as np
from data import Source, load
from machine import pass_over
from measure import compared, in_turns, seconds_of
from rivals import able, every
from scipy.special import logsumexp
from tables import Table
from task import Task

ABOVE = (1e-2, 1e-3, 1e-5)  # the optimum, as a share of it
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1e0, 3e0, 1e1, 3e1, 1e2)
BATCH_SIZES = (1, 32, 256, "full")
LENGTHS = np.unique(np.rint(2 ** np.arange(0, 12, 0.5)).astype(int))
MOST_ITERATIONS = 10_000
SOURCES = [Source(32_561, 108, 2, archive="adult"), Source(16_000, 16, 26, archive="letter")]


def _sizes(pace):
    return [size for size in BATCH_SIZES if size in pace.batch_sizes]


def objective(model, task):
    scores = task.X @ model.coef_.T + model.intercept_
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    losses = logsumexp(scores, axis=1) - scores[np.arange(len(task.y)), task.y]
    return losses.mean() + task.alpha / 2 * np.sum(model.coef_**2)


def optimum(task):
    return objective(every()["lbfgs"].fit(task._replace(length=MOST_ITERATIONS)), task)


def shortest(rival, task, goals, longest, most):
    """For each of the goals the task as short as it gets there; not those that take too long."""
    found = {}
    for length in map(int, LENGTHS[LENGTHS <= most]):
        longer, made = task._replace(length=length), []
        seconds = seconds_of(lambda longer=longer, made=made: made.append(rival.fit(longer)))
        value = objective(made[0], task)
        found |= {goal: longer for goal in goals if goal not in found and value <= goal}
        if seconds > longest or len(found) == len(goals):
            break
    return found


def quickest(rival, task, goals, longest):
    """For each of the goals the task of the rate that gets there in the fewest epochs; not those where none does."""
    best = {}
    rates = RATES if getattr(rival, "takes_rates", False) else (None,)
    rival.fit(task._replace(rate=rates[0]))  # compiles, imports
    for rate in rates:
        most = max(best[goal].length for goal in goals) if len(best) == len(goals) else LENGTHS[-1]
        for goal, found in shortest(rival, task._replace(rate=rate), goals, longest, most).items():
            best[goal] = min(best.get(goal, found), found, key=lambda each: each.length)
    return best


def refined(rival, task, goal):
    """The task as short as it gets there, to a thirty-second, where among ``LENGTHS`` it is as short as that."""
    shorter, length = max((each for each in map(int, LENGTHS) if each < task.length), default=0), task.length
    while length - shorter > max(1, length // 32):
        middle = (shorter + length) // 2
        gets_there = objective(rival.fit(task._replace(length=middle)), task) <= goal
        shorter, length = (shorter, middle) if gets_there else (middle, length)
    return task._replace(length=length)


def _searched(task, goals, pace):
    """By goal, (rival, task) of those that get there, by name and batch size; the names of those not installed."""
    best, absent = {goal: {} for goal in goals}, []
    for size in (*_sizes(pace), None):
        rivals, missing = able(task._replace(batch_size=size), pace)
        absent += [name for name in missing if name not in absent]
        for name, rival in rivals.items():
            for goal, found in quickest(rival, task._replace(batch_size=size), goals, pace.trial).items():
                best[goal][name, size] = (rival, refined(rival, found, goal))
    return best, absent


def _rows(data, task, above, best, absent, pace):
    fits = {key: partial(seconds_of, rival.fit, found) for key, (rival, found) in best.items()}
    seconds = in_turns(fits, pace.rounds)
    for batch_size in _sizes(pace):
        keys = {name: (name, size) for name, size in best if size in (batch_size, None)}
        yield {
            "data": f"{data.name}, {100 * above:g} % above the optimum",
            "at": batch_size,
            "yardsticks": {"pass over X, ms": pass_over(data.X)},
            "iterations": {name: best[key][1].length for name, key in keys.items()},
            "rates": {name: best[key][1].rate for name, key in keys.items() if best[key][1].rate},
            **compared({name: seconds[key] for name, key in keys.items()}, 1e3),
            "not installed": absent,
        }


def solvers(pace):
    for source in pace.of(SOURCES):
        data = load(source._replace(n=min(source.n, pace.rows)), np.float64)
        task = Task("objective", data.X, data.y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # too few iterations, a rate too high
            lowest = optimum(task)
            best, absent = _searched(task, [lowest * (1 + above) for above in ABOVE], pace)
            for above, found in zip(ABOVE, best.values(), strict=True):
                yield from _rows(data, task, above, found, absent, pace)


TABLES = [
    Table("solvers", "Time to an objective (a dash: not reached)", "ms", solvers, ratios=False),
]
