"""Time to a test accuracy, every peer at its own best rate.

The target is ``SHARE`` of the way from the largest class to what scikit-learn's solvers reach on the same rows:
LogisticRegression with the same objective, MLPClassifier as it comes. The best rate is the one of ``RATES`` at which
test accuracy, looked at after every epoch, first reaches it in the least time; the tuning and the looks are not timed.
What is timed is a fit of as many epochs.
"""

import warnings
from itertools import count

import linear_peers
import network_peers
import numpy as np
from data import Source, load
from machine import pass_over
from measure import compared, in_turns, seconds_of
from tables import Table
from training import installed

SHARE = 0.95
RATES = (1e-3, 1e-2, 1e-1, 1e0, 1e1)
N_FEW = 1_000
LINEAR = [Source(32_561, 108, 2, archive="adult"), Source(10_000, 784, 10, archive="fashion_mnist")]
NETWORKS = [Source(10_000, 784, 10, archive="fashion_mnist"), Source(10_000, 16, 26, archive="letter")]


def best_linear(n):
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    return OneVsRestClassifier(LogisticRegression(C=1 / (linear_peers.ALPHA * n)))


def best_network(n):
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(random_state=0, max_iter=50)


def target_of(data, model):
    best = model.fit(data.X, data.y).score(data.X_test, data.y_test)
    largest = np.bincount(data.y_test).max() / len(data.y_test)
    return largest + SHARE * (best - largest)


def trial(training, data, target, longest):
    """Seconds, infinite where they are more than ``longest``, and epochs until the test accuracy is reached."""
    seconds, watched = 0.0, training.watched()
    for epoch in count(1):
        made = []
        try:
            seconds += seconds_of(lambda made=made: made.append(next(watched)))
        except ValueError:  # diverged: scikit-learn raises
            return np.inf, epoch
        if np.mean(made[0](data.X_test) == data.y_test) >= target:
            return seconds, epoch
        if seconds > longest:
            return np.inf, epoch


def tuned(make, data, batch_size, target, longest):
    """The training at its best rate; the epochs and the rate. None where no rate gets there."""
    few = make(data.X[:N_FEW], data.y[:N_FEW], batch_size, RATES[0])
    if few is None:
        return None
    next(few.watched())  # compiles
    if seconds_of(few.fit, 1) * len(data.y) / N_FEW > longest:  # not an epoch is possible
        return None
    best, found = longest, None
    for rate in RATES:
        training = make(data.X, data.y, batch_size, rate)
        seconds, epochs = trial(training, data, target, best)
        if seconds < best:
            best, found = seconds, (training, epochs, rate)
    return found


def _rows(peers, data, target, name, pace):
    floor = pass_over(data.X)
    for batch_size in pace.batch_sizes:
        found = {peer: tuned(make, data, batch_size, target, pace.trial) for peer, make in peers.items()}
        found = {peer: best for peer, best in found.items() if best}
        fits = {peer: lambda best=best: seconds_of(best[0].fit, best[1]) for peer, best in found.items()}
        yield {
            "data": f"{name}, {data.name}, accuracy {target:.3f}",
            "at": batch_size,
            "yardsticks": {"pass over X, ms": floor},
            "epochs": {peer: best[1] for peer, best in found.items()},
            "rates": {peer: best[2] for peer, best in found.items()},
            **compared(in_turns(fits, pace.rounds), 1e3),
        }


def accuracy(pace):
    for name, peers, best, sources in (
        ("linear", linear_peers.PEERS, best_linear, LINEAR),
        ("network", network_peers.PEERS, best_network, NETWORKS),
    ):
        for source in sources[: pace.sources]:
            data = load(source._replace(n=min(source.n, pace.rows)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a rate too high
                yield from _rows(installed(peers), data, target_of(data, best(len(data.y))), name, pace)


TABLES = [Table("accuracy", "Time to a test accuracy, at the best rate of each (a dash: not reached)", "ms", accuracy)]
