"""How good is recommend_batch_size? The recommended size beside an exhaustive sweep with tuned rates.

For every batch size (powers of two, and all rows) and every rate of a grid: the seconds of training, without those of
evaluation, until a fixed test accuracy is reached. The best rate of each size is timed again with other seeds, all
sizes in turn, and the median counts. The last column is the time at the recommended size over that of the fastest one.

    python benchmarks/recommendation.py              # digits
    MINIBATCH_DATA=folder python benchmarks/recommendation.py   # also letter.npz and adult.npz, with X, y and n_train
"""

import os
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.model_selection import recommend_batch_size

RATES, ROUNDS, LONGEST = np.geomspace(1e-3, 30, 10), 7, 10.0
NETWORK_RATES = np.geomspace(1e-4, 0.3, 10)
LINEAR = MiniBatchSGDClassifier("log_loss", multi_class="multinomial", alpha=1e-5)
NETWORK = MiniBatchMLPClassifier((50,), alpha=1e-5)
# data set, model, rates, test accuracy to reach: chosen before any sweep, a little below what each model gets to
TASKS = (
    ("digits", LINEAR, RATES, 0.95),
    ("digits", NETWORK, NETWORK_RATES, 0.96),
    ("letter", LINEAR, RATES, 0.75),
    ("letter", NETWORK, NETWORK_RATES, 0.85),
    ("adult", LINEAR, RATES, 0.845),
    ("adult", NETWORK, NETWORK_RATES, 0.845),
)


class Reached(Exception):
    """Ends a fit: the target is reached, or out of reach."""


class Clock:
    """The ``Watch`` of a fit: seconds of training until the test accuracy is reached."""

    def __init__(self, test, target, most_updates, longest):
        self.test, self.target, self.longest, self.seconds = (*test, None), target, longest, np.inf
        looks = np.unique(np.geomspace(1, most_updates, 300).astype(int))
        self.limits = {"max_iter": sys.maxsize, "max_updates": most_updates, "stretches": looks, "patience": np.inf}

    def begin(self, measures, theta):
        self.score = measures.test.score

    def see(self, row, theta):
        if np.isfinite(theta).all() and self.score(theta) >= self.target:
            self.seconds = row["seconds"]
        if self.seconds < np.inf or row["seconds"] > self.longest or not np.isfinite(theta).all():
            raise Reached

    def end(self, theta):
        """It was not reached."""


def seconds_to(target, model, batch_size, rate, train, test, longest=LONGEST, seed=0):
    """Seconds until the test accuracy is reached; infinite if it is not."""
    parameters = {"batch_size": int(batch_size), model._rate_parameter: rate, "learning_rate": "constant"}
    clock = Clock(test, target, 400 * -(-len(train[0]) // batch_size), longest)
    try:
        clone(model).set_params(tol=None, random_state=seed, **parameters)._train(*train, None, watch=clock)
    except Reached:
        pass
    return clock.seconds


def sweep(model, rates, target, train, test):
    """Batch sizes, and the median seconds of each at its best rate."""
    n = len(train[0])
    sizes = np.unique([*2 ** np.arange(int(np.log2(n)) + 1), n])
    best_rates = []
    for size in sizes:
        fastest, best_rate = np.inf, rates[0]
        for rate in rates:
            seconds = seconds_to(target, model, size, rate, train, test, min(LONGEST, 3 * fastest))
            fastest, best_rate = min((fastest, best_rate), (seconds, rate))
        best_rates.append(best_rate)
    times = [
        [
            seconds_to(target, model, size, rate, train, test, seed=seed)
            for size, rate in zip(sizes, best_rates, strict=True)
        ]
        for seed in range(1, ROUNDS + 1)
    ]
    return sizes, np.median(times, axis=0)


def load(name):
    """Training and test parts, scaled."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
        return (X_train, y_train), (X_test, y_test)
    archive = np.load(Path(os.environ["MINIBATCH_DATA"]) / f"{name}.npz")
    X, y, n = archive["X"].astype(float), archive["y"], int(archive["n_train"])
    scaler = StandardScaler().fit(X[:n])
    return (scaler.transform(X[:n]), y[:n]), (scaler.transform(X[n:]), y[n:])


warnings.simplefilter("ignore")
print("data     model    target  recommended (3 runs)  fastest  ms at fastest  ms at recommended  ratio")
for name, model, rates, target in TASKS:
    if name != "digits" and "MINIBATCH_DATA" not in os.environ:
        continue
    train, test = load(name)
    clone(model).set_params(max_iter=1).fit(*train)  # compiles
    advised = [recommend_batch_size(model, *train, random_state=seed).batch_size for seed in range(3)]
    sizes, seconds = sweep(model, rates, target, train, test)
    fastest, ours = sizes[np.argmin(seconds)], int(np.median(advised))
    at_ours = seconds[np.searchsorted(sizes, ours)]
    print(
        f"{name:8} {'linear' if model is LINEAR else 'network':8} {target:.3f} {advised!s:>22} {fastest:8d} "
        f"{1e3 * seconds.min():14.2f} {1e3 * at_ours:18.2f} {at_ours / seconds.min():6.2f}"
    )
    print(
        "    " + ", ".join(f"{size}: {1e3 * time:.3g}" for size, time in zip(sizes, seconds, strict=True)),
        "ms",
        flush=True,
    )
