"""Time to an objective: ours at every batch size beside scikit-learn's LogisticRegression by L-BFGS and SAGA.

All minimise mean log loss + alpha/2 ||w||^2 (C = 1 / (alpha n); a softmax for more than two classes). The optimum is
that of L-BFGS at the tightest tolerance. The number of iterations or epochs is the lowest of ``LENGTHS`` after which
the objective is near enough, and ours takes the best of its rates; this search is not timed, the fit of that length is.
"""

import warnings

import numpy as np
from data import Source, load
from machine import pass_over
from measure import compared, in_turns, seconds_of
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from tables import Table

from minibatch import MiniBatchSGDClassifier

ALPHA = 1e-4
ABOVE = (0.01, 0.001)  # the optimum, as a share of it
RATES = (1e-2, 3e-2, 1e-1, 3e-1, 1e0, 3e0, 1e1)
LENGTHS = np.unique(np.rint(2 ** np.arange(0, 12, 0.5)).astype(int))
SOURCES = [Source(32_561, 108, 2, archive="adult"), Source(16_000, 16, 26, archive="letter")]


def objective(model, X, y):
    scores = X @ model.coef_.T + model.intercept_
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    losses = logsumexp(scores, axis=1) - scores[np.arange(len(y)), y]
    return losses.mean() + ALPHA / 2 * np.sum(model.coef_**2)


def ours(n, batch_size, rate):
    def model(length):
        return MiniBatchSGDClassifier(
            "log_loss", multi_class="multinomial", alpha=ALPHA, batch_size=batch_size, learning_rate="cosine",
            eta0=rate, max_iter=length, tol=None, random_state=0,
        )  # fmt: skip

    return model


def scikit_learn(n, solver, tol=0.0):
    return lambda length: LogisticRegression(
        C=1 / (ALPHA * n), solver=solver, tol=tol, max_iter=length, random_state=0
    )  # fmt: skip


def shortest(model, data, goal, longest):
    """The model that gets there in the fewest iterations, and the seconds that took; None if they are too many."""
    for length in map(int, LENGTHS):
        candidate = model(length)
        seconds = seconds_of(candidate.fit, data.X, data.y)
        if objective(candidate, data.X, data.y) <= goal:
            return seconds, candidate
        if seconds > longest:
            return None
    return None


def quickest(data, batch_size, goal, longest):
    """Ours at the rate that gets there first."""
    best = None
    ours(len(data.y), batch_size, RATES[0])(1).fit(data.X, data.y)  # compiles
    for rate in RATES:
        found = shortest(ours(len(data.y), batch_size, rate), data, goal, longest)
        if found is not None and found[0] < longest:
            best, longest = found[1], found[0]
    return best


def _rows(data, above, lowest, pace):
    goal = lowest * (1 + above)
    models = {size: quickest(data, size, goal, pace.trial) for size in pace.batch_sizes}
    for solver in ("lbfgs", "saga"):
        found = shortest(scikit_learn(len(data.y), solver), data, goal, pace.trial)
        models[solver] = found and found[1]
    models = {name: model for name, model in models.items() if model is not None}
    fits = {name: lambda model=model: seconds_of(model.fit, data.X, data.y) for name, model in models.items()}
    seconds = in_turns(fits, pace.rounds)
    for batch_size in pace.batch_sizes:
        names = {"ours": batch_size, "lbfgs": "lbfgs", "saga": "saga"}
        yield {
            "data": f"{data.name}, {100 * above:g} % above the optimum",
            "at": batch_size,
            "yardsticks": {"pass over X, ms": pass_over(data.X)},
            "iterations": {name: models[key].max_iter for name, key in names.items() if key in models},
            "rate": models[batch_size].eta0 if batch_size in models else None,
            **compared({name: seconds[key] for name, key in names.items() if key in seconds}, 1e3),
        }


def solvers(pace):
    for source in SOURCES[: pace.sources]:
        data = load(source._replace(n=min(source.n, pace.rows)), np.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # too few iterations, a rate too high
            best = scikit_learn(len(data.y), "lbfgs", 1e-8)(10_000).fit(data.X, data.y)
            for above in ABOVE:
                yield from _rows(data, above, objective(best, data.X, data.y), pace)


TABLES = [
    Table("solvers", "Time to an objective, beside solvers of LogisticRegression (a dash: not reached)", "ms", solvers)
]
