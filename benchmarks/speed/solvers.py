"""Time to an objective: those that train in batches, at every batch size, beside solvers of logistic regression.

All minimise mean log loss + alpha/2 ||w||^2, a softmax for more than two classes. The optimum is the lowest objective
that L-BFGS reaches. The number of iterations or epochs is the lowest of ``LENGTHS`` after which the objective is near
enough, and those in batches take the best of ``RATES``; this search is not timed, the fit of that length is.
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

ABOVE = (0.01, 0.001)  # the optimum, as a share of it
RATES = (1e-2, 3e-2, 1e-1, 3e-1, 1e0, 3e0, 1e1)
LENGTHS = np.unique(np.rint(2 ** np.arange(0, 12, 0.5)).astype(int))
MOST_ITERATIONS = 10_000
SOURCES = [Source(32_561, 108, 2, archive="adult"), Source(16_000, 16, 26, archive="letter")]


def objective(model, task):
    scores = task.X @ model.coef_.T + model.intercept_
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    losses = logsumexp(scores, axis=1) - scores[np.arange(len(task.y)), task.y]
    return losses.mean() + task.alpha / 2 * np.sum(model.coef_**2)


def optimum(task):
    return objective(every()["lbfgs"].fit(task._replace(length=MOST_ITERATIONS)), task)


def shortest(rival, task, goal, longest):
    """Seconds, and the task as short as it gets there; None if it takes too many iterations."""
    for length in map(int, LENGTHS):
        longer = task._replace(length=length)
        made = []
        seconds = seconds_of(lambda longer=longer, made=made: made.append(rival.fit(longer)))
        if objective(made[0], task) <= goal:
            return seconds, longer
        if seconds > longest:
            return None
    return None


def quickest(rival, task, goal, longest):
    """The task of the rate that gets there first; None where none does."""
    best = None
    rates = (None,) if task.batch_size is None else RATES
    rival.fit(task._replace(rate=rates[0]))  # compiles, imports
    for rate in rates:
        found = shortest(rival, task._replace(rate=rate), goal, longest)
        if found is not None and found[0] < longest:
            longest, best = found
    return best


def _searched(task, goal, pace):
    """(rival, task) of those that get there, by name and batch size; the names of those not installed."""
    best, absent = {}, []
    for size in (*pace.batch_sizes, None):
        rivals, missing = able(task._replace(batch_size=size), pace)
        absent += [name for name in missing if name not in absent]
        for name, rival in rivals.items():
            found = quickest(rival, task._replace(batch_size=size), goal, pace.trial)
            best |= {(name, size): (rival, found)} if found else {}
    return best, absent


def _rows(data, task, above, lowest, pace):
    best, absent = _searched(task, lowest * (1 + above), pace)
    fits = {key: partial(seconds_of, rival.fit, found) for key, (rival, found) in best.items()}
    seconds = in_turns(fits, pace.rounds)
    for batch_size in pace.batch_sizes:
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
            for above in ABOVE:
                yield from _rows(data, task, above, lowest, pace)


TABLES = [
    Table("solvers", "Time to an objective, beside solvers of LogisticRegression (a dash: not reached)", "ms", solvers)
]
