"""How good is recommend_batch_size? The advised model beside a sweep over batch sizes, and rates where there are any.

For every data set, model and seed: the processor's seconds of training, without those of evaluation, until 5 % and 1 %
of the fall of the objective are left, from the first parameters to the lowest that any run of the sweep reaches in 60
epochs. The sweep has the powers of two up to 4096 rows, with learning_rate="constant" each at nine rates. An update's
time is the median over the stretches of a run, and the least of all runs at that batch size. The last columns are the
time of the advised model over that of the fastest of the sweep.

    MINIBATCH_DATA=folder python benchmarks/recommendation.py [auto | constant] [names of data sets]

The folder has NPZ files with X and y. Without it, there are the data sets of scikit-learn alone.
"""

import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from threadpoolctl import threadpool_limits

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import recommend_batch_size

ROWS, EPOCHS, TARGETS, SEEDS = 8000, 60, (0.05, 0.01), (0, 1)
SIZES, RATES = 2 ** np.arange(13), np.logspace(-3, 1, 9)
CLASSIFIER, REGRESSOR = MiniBatchSGDClassifier("log_loss", alpha=1e-4), MiniBatchSGDRegressor(alpha=1e-4)
# the constants of the recommendation were chosen on the first of these, and the others are what it is judged by
CHOSEN_ON = {
    "adult": CLASSIFIER,
    "digits": CLASSIFIER,
    "protein": REGRESSOR,
    "power_plant": REGRESSOR,
    "letter": MiniBatchMLPClassifier((32,)),
}
JUDGED_BY = {
    "covtype_93k": CLASSIFIER,
    "spambase": CLASSIFIER,
    "isolet": CLASSIFIER,
    "breast_cancer": CLASSIFIER,
    "sms_spam_counts": CLASSIFIER,
    "diamonds": REGRESSOR,
    "bike_hour": MiniBatchSGDRegressor("poisson", alpha=1e-4),
    "diabetes": REGRESSOR,
    "fashion_mnist": MiniBatchMLPClassifier((32,)),
    "bike_hour (network)": MiniBatchMLPRegressor(hidden_layer_sizes=(32,)),
}
OF_SCIKIT_LEARN = {"breast_cancer": load_breast_cancer, "digits": load_digits, "diabetes": load_diabetes}


def load(name):
    """At most ROWS rows, scaled."""
    name = name.split()[0]
    if name in OF_SCIKIT_LEARN:
        X, y = OF_SCIKIT_LEARN[name](return_X_y=True)
    else:
        path = Path(os.environ["MINIBATCH_DATA"]) / f"{name}.npz"
        y = np.load(path)["y"]
        X = sp.load_npz(path).tocsr().astype(float) if name == "sms_spam_counts" else np.load(path)["X"].astype(float)
    rows = np.random.default_rng(0).permutation(len(y))[:ROWS]
    X, y = (MaxAbsScaler() if sp.issparse(X) else StandardScaler()).fit_transform(X[rows]), y[rows]
    if name in ("protein", "power_plant", "diamonds", "diabetes"):
        y = (y - y.mean()) / y.std()
    if name == "isolet":
        y = (y == y[0]).astype(int)
    return X, y


class Clock:
    """The ``Watch`` of a fit: objectives of all rows, and seconds of training between them."""

    def __init__(self, rows, whole, longest):
        looks = np.unique(np.ceil(0.02 * whole * 1.15 ** np.arange(58)).astype(int))
        self.test, self.longest, self.spent = (*rows, None), longest, 0.0
        self.limits = {"max_iter": EPOCHS, "max_updates": None, "stretches": looks, "patience": np.inf, "growth": None}

    def begin(self, measures, theta):
        self.problem = measures.problem
        self.updates, self.objectives, self.stretches = [0], [self.objective(theta)], []
        self.at = time.thread_time()

    def objective(self, theta):
        return self.problem.mean_loss(self.problem.scores(theta)) + self.problem.penalties(theta).sum()

    def see(self, row, theta):
        spent = time.thread_time() - self.at
        self.stretches.append((row["n_updates"] - self.updates[-1], spent))
        self.updates.append(row["n_updates"])
        self.objectives.append(self.objective(theta) if np.isfinite(theta).all() else np.inf)
        self.spent += spent
        if self.spent > self.longest or not np.isfinite(self.objectives[-1]):
            raise KeyError  # enough
        self.at = time.thread_time()

    def end(self, theta): ...


def path_of(model, X, y, longest):
    """Updates, objectives, and the seconds of an update."""
    whole = -(-len(y) // min(model.batch_size, len(y)))
    clock = Clock((X, y), whole, longest)
    try:
        model._train(X, y, None, watch=clock)
    except KeyError:
        pass
    updates, seconds = np.array(clock.stretches[len(clock.stretches) // 2 :]).T
    return np.array(clock.updates), np.fmin.accumulate(clock.objectives), np.median(seconds / updates)


def updates_to(level, updates, objectives):
    if not objectives[-1] <= level:
        return np.inf
    at = int(np.argmax(objectives <= level))
    share = (objectives[at - 1] - level) / (objectives[at - 1] - objectives[at])
    return updates[at - 1] + share * (updates[at] - updates[at - 1])


def cells(name, model, schedule, seed):
    """The ratio to the best of the sweep at every target, and what there is to say."""
    X, y = load(name)
    model = clone(model).set_params(learning_rate=schedule, random_state=seed, tol=None)
    clone(model).set_params(batch_size=8, max_iter=1).fit(X, y)  # compiles
    advice = recommend_batch_size(model, X, y, random_state=seed)
    rates = RATES if advice.learning_rate is not None else [None]
    candidates = {"advice": advice.estimator}
    for size in SIZES[SIZES <= len(y)].tolist():
        for rate in rates:
            of_rate = {} if rate is None else {model._rate_parameter: float(rate)}
            candidates[size, rate] = clone(model).set_params(batch_size=size, **of_rate)
    longest = 3.0 if schedule == "auto" else 0.5
    paths = {key: path_of(candidate, X, y, longest) for key, candidate in candidates.items()}
    an_update = {}
    for key, (_, _, seconds) in paths.items():
        size = candidates[key].batch_size
        an_update[size] = min(an_update.get(size, np.inf), seconds)
    first, lowest = paths["advice"][1][0], min(objectives[-1] for _, objectives, _ in paths.values())
    ratios, fastest = [], []
    for target in TARGETS:
        level = lowest + target * (first - lowest)
        seconds = {
            key: updates_to(level, updates, objectives) * an_update[candidates[key].batch_size]
            for key, (updates, objectives, _) in paths.items()
        }
        ours = seconds.pop("advice")
        best = min(seconds, key=seconds.get)
        ratios.append(ours / seconds[best])
        fastest.append((best[0] if best[1] is None else f"{best[0]} at {best[1]:.2g}", seconds[best]))
    return advice, ratios, fastest


def main():
    warnings.simplefilter("ignore")
    threadpool_limits(1)  # so that all work is the calling thread's, and its clock tells
    schedule = sys.argv[1] if len(sys.argv) > 1 else "auto"
    known = CHOSEN_ON | JUDGED_BY
    names = sys.argv[2:] or [n for n in known if "MINIBATCH_DATA" in os.environ or n in OF_SCIKIT_LEARN]
    targets = ", ".join(f"{target:.0%}" for target in TARGETS)
    print(f"| data | model | seed | advised | flat | advice took | fastest at {targets} | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    within = []
    for name in names:
        for seed in SEEDS:
            advice, ratios, fastest = cells(name, known[name], schedule, seed)
            rate = "" if advice.learning_rate is None else f" at {advice.learning_rate:.2g}"
            best = ", ".join(f"{of} ({float(f'{1e3 * seconds:.2g}'):g} ms)" for of, seconds in fastest)
            kind = "network" if "MLP" in type(known[name]).__name__ else "linear"
            print(
                f"| {name.split()[0]}{'' if name in JUDGED_BY else '*'} | {kind} | {seed} "
                f"| {advice.batch_size}{rate} | {advice.flat[0]} to {advice.flat[1]} | {advice.seconds:.1f} s "
                f"| {best} | {', '.join(f'{ratio:.2f}' if ratio < np.inf else 'never' for ratio in ratios)} |",
                flush=True,
            )
            within += [ratio <= 2.0 for ratio in ratios] if name in JUDGED_BY else []
    print(f"\nWithin twice the best time: {sum(within)} of {len(within)}, without those marked *.")


if __name__ == "__main__":
    main()
