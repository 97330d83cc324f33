"""Time to a test accuracy, every rival at its own best rate.

The target is ``SHARE`` of the way from the largest class to what scikit-learn's solvers reach on the same rows:
LogisticRegression with the same objective, MLPClassifier as it comes. The best rate is the one of ``RATES`` at which
test accuracy, looked at after every epoch, first reaches it in the least time; the tuning and the looks are not timed.
What is timed is a fit of as many epochs.
"""

import time
import warnings
from functools import partial
from itertools import count

import numpy as np
from data import Source, load
from machine import pass_over
from measure import compared, in_turns, seconds_of
from rivals import able
from tables import Table
from task import ALPHA, Task

SHARE = 0.95
RATES = (1e-3, 1e-2, 1e-1, 1e0, 1e1)
N_FEW = 1_000
LINEAR = [Source(32_561, 108, 2, archive="adult"), Source(10_000, 784, 10, archive="fashion_mnist")]
NETWORKS = [Source(10_000, 784, 10, archive="fashion_mnist"), Source(10_000, 16, 26, archive="letter")]


def best_linear(n):
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    return OneVsRestClassifier(LogisticRegression(C=1 / (ALPHA * n)))


def best_network(n):
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(random_state=0, max_iter=50)


def target_of(data, model):
    best = model.fit(data.X, data.y).score(data.X_test, data.y_test)
    largest = np.bincount(data.y_test).max() / len(data.y_test)
    return largest + SHARE * (best - largest)


def trial(rival, task, data, target, longest):
    """Seconds, infinite where they are more than ``longest``, and epochs until the test accuracy is reached."""
    seconds, model = 0.0, None
    for epoch in count(1):
        start = time.perf_counter()
        try:
            model = rival.fit(task, model)
        except ValueError:  # diverged: scikit-learn raises
            return np.inf, epoch
        seconds += time.perf_counter() - start
        if np.mean(rival.predict(model, data.X_test) == data.y_test) >= target:
            return seconds, epoch
        if seconds > longest:
            return np.inf, epoch


def tuned(rival, task, data, target, longest):
    """The task at the best rate and as long as it takes. None where no rate gets there."""
    few = task.first(N_FEW)._replace(rate=RATES[0])
    rival.fit(few, rival.fit(few))  # compiles
    if seconds_of(rival.fit, few) * len(data.y) / N_FEW > longest:  # not an epoch is possible
        return None
    rival.fit(task._replace(rate=RATES[0]))  # compiles, where that is for a number of rows
    best, found = longest, None
    for rate in RATES:
        seconds, epochs = trial(rival, task._replace(rate=rate), data, target, best)
        if seconds < best:
            best, found = seconds, task._replace(rate=rate, length=epochs)
    return found


def _rows(kind, data, target, pace):
    floor = pass_over(data.X)
    for batch_size in pace.batch_sizes:
        task = Task(kind, data.X, data.y, batch_size)
        rivals, absent = able(task, pace)
        found = {name: tuned(rival, task, data, target, pace.trial) for name, rival in rivals.items()}
        found = {name: best for name, best in found.items() if best}
        fits = {name: partial(seconds_of, rivals[name].fit, best) for name, best in found.items()}
        yield {
            "data": f"{kind}, {data.name}, accuracy {target:.3f}",
            "at": batch_size,
            "yardsticks": {"pass over X, ms": floor},
            "epochs": {name: best.length for name, best in found.items()},
            "rates": {name: best.rate for name, best in found.items()},
            **compared(in_turns(fits, pace.rounds), 1e3),
            "not installed": absent,
        }


def accuracy(pace):
    for kind, best, sources in (("linear", best_linear, LINEAR), ("network", best_network, NETWORKS)):
        for source in pace.of(sources):
            data = load(source._replace(n=min(source.n, pace.rows)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a rate too high
                yield from _rows(kind, data, target_of(data, best(len(data.y))), pace)


TABLES = [Table("accuracy", "Time to a test accuracy, at the best rate of each (a dash: not reached)", "ms", accuracy)]
