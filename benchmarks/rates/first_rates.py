"""First rates of schedules: is eta0="auto" (of networks learning_rate_init="auto") worse than the default it replaces?

The same number of epochs for all. For every data set, solver, schedule and batch size there are the default rate (0.01,
of networks 0.001), "auto", and as the bar the best of some rates, by the objective. Columns are standardised, and so
is y.

    python benchmarks/rates/first_rates.py linear runs.csv              # scikit-learn's own data and generated ones
    MINIBATCH_DATA=folder python benchmarks/rates/first_rates.py networks runs.csv    # and all archives there
    python benchmarks/rates/first_rates.py networks runs.csv digits letter            # some of them

Runs are added to runs.csv, data set by data set; those of data sets that it has are read from it.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from data import OWN, archives, arrays, is_classification, standardised
from scipy import sparse
from scipy.special import entr

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor

EPOCHS = {False: 20, True: 100}  # of full batches 100
MODELS = {
    "linear": {
        "classes": (MiniBatchSGDClassifier, MiniBatchSGDRegressor),
        "parameter": "eta0",
        "default": 0.01,
        "rates": np.logspace(-4, 1, 11),
        "sizes": (1, 8, 32, 256, 2048, "full"),
        "rules": [
            ("sgd", "constant"),
            ("sgd", "invscaling"),
            ("sgd", "cosine"),
            ("momentum", "constant"),
            ("adam", "constant"),
            ("adam", "cosine"),
        ],
        "most_rows": 6000,
    },
    "networks": {
        "classes": (MiniBatchMLPClassifier, MiniBatchMLPRegressor),
        "parameter": "learning_rate_init",
        "default": 0.001,
        "rates": {"adam": np.logspace(-3.5, -1, 6), "sgd": np.logspace(-2.5, 0, 6)},
        "sizes": (8, 32, 256, "full"),
        "rules": [("adam", "constant"), ("sgd", "constant")],
        "most_rows": 1500,
    },
}
VALUES = 1_000_000  # to train on: fewer rows where they are wide
WORSE, ENOUGH = 0.01, {True: 0.0075, False: 0.015}  # of what there is to gain; of accuracy, of R2


def parts(name, most_rows):
    """Whether it is classification, rows to train on and rows to test on."""
    X, y = arrays(name)
    X = X.toarray() if sparse.issparse(X) else X
    n_train = min(most_rows, max(500, VALUES // X.shape[1]), 3 * len(y) // 4)
    rows = np.random.default_rng(0).permutation(len(y))[: n_train * 4 // 3]
    train, test = rows[:n_train], rows[n_train:]
    if not is_classification(y):
        y = (y - y[train].mean()) / y[train].std()
    X_train, X_test = standardised(X, train, test)
    return is_classification(y), (X_train, y[train]), (X_test, y[test])


def constant_objective(kind, y):
    """Of the best model without columns; a linear one has an output for every class."""
    if not is_classification(y):
        return 0.5 * np.var(y)
    shares = np.unique(y, return_counts=True)[1] / len(y)
    one_by_one = kind == "linear" and len(shares) > 2
    return (entr(shares) + entr(1 - shares) * one_by_one).sum()


def runs(kind, name):
    """A row for every rate of every cell."""
    of = MODELS[kind]
    is_classifier, train, test = parts(name, of["most_rows"])
    rows = []
    for solver, schedule in of["rules"]:
        rates = of["rates"][solver] if isinstance(of["rates"], dict) else of["rates"]
        for size in of["sizes"]:
            if size != "full" and size >= len(train[1]):
                continue
            for rule, rate in [("default", of["default"]), ("auto", "auto"), *(("tuned", float(r)) for r in rates)]:
                epochs = EPOCHS[size == "full"]
                model = of["classes"][0 if is_classifier else 1](
                    solver=solver, learning_rate=schedule, batch_size=size, max_iter=epochs, tol=None,
                    evaluate_every=epochs, random_state=0, **{of["parameter"]: rate},
                )  # fmt: skip
                if kind == "linear" and is_classifier:
                    model.set_params(loss="log_loss")
                model.fit(*train)
                ends = model.status_ != "diverged"
                objective, score = (model.history_["objective"][-1], model.score(*test)) if ends else (np.inf, 0.0)
                rows.append((solver, schedule, str(size), rule, model.eta0_, objective, max(score, 0.0)))
    found = pd.DataFrame(rows, columns=["solver", "schedule", "size", "rule", "rate", "objective", "score"])
    constant, least = constant_objective(kind, train[1]), found["objective"].min()
    gain = constant - least
    return found.assign(task=name, is_classifier=is_classifier, gap=(found["objective"] - least) / gain)


def cells(found):
    """Of every cell, gaps and scores of the default, of "auto", and of the best of the rates."""
    of_cell = ["task", "is_classifier", "solver", "schedule", "size"]
    lowest = found.loc[found.groupby([*of_cell, "rule"], sort=False)["gap"].idxmin()]
    return lowest.pivot(index=of_cell, columns="rule", values=["gap", "score", "rate"]).reset_index()


def line(name, mine):
    gap, enough = mine["gap"], mine["is_classifier"].map(ENOUGH)
    above = 100 * (gap.drop(columns="tuned").sub(gap["tuned"], axis=0)).replace(np.inf, 1e9)
    better = mine["score"]["auto"] - mine["score"]["default"]
    worse = gap["auto"] > gap["default"] + WORSE
    numbers = [f"{above[rule].median():.2g} ({100 * (above[rule] < 1).mean():.0f} %)" for rule in ("default", "auto")]
    numbers += [f"{(gap['auto'] < gap['default'] - WORSE).sum()}, {worse.sum()}"]
    numbers += [f"{(better > enough).sum()}, {(better < -enough).sum()}", f"{(worse & (better < -enough)).sum()}"]
    return f"| {name} | {len(mine)} | " + " | ".join(numbers) + " |"


def main():
    warnings.simplefilter("ignore")
    kind, path, *chosen = sys.argv[1:]
    path, names = Path(path), chosen or [*(name for name in OWN if name not in ("docstrings", "zipf")), *archives()]
    found = pd.read_csv(path, dtype={"size": str}) if path.exists() else pd.DataFrame({"task": []})
    for name in names:
        if name not in set(found["task"]):
            found = pd.concat([found, runs(kind, name)], ignore_index=True)
            found.to_csv(path, index=False)
            print(name, flush=True)
    of = cells(found[found["task"].isin(names)])
    print("| | cells | default | auto | objective better, worse | score better, worse | both worse |")
    print("|" + "---|" * 7)
    print(line("all", of))
    for rule in MODELS[kind]["rules"]:
        print(line(" ".join(rule), of[(of["solver"] == rule[0]) & (of["schedule"] == rule[1])]))
    for size in map(str, MODELS[kind]["sizes"]):
        print(line(f"B = {size}", of[of["size"] == size]))
    worse = of[of["gap"]["auto"] > of["gap"]["default"] + WORSE]
    print(worse.round(4).to_string())


if __name__ == "__main__":
    main()
