"""Rates of networks that nobody tunes, at every batch size: how far behind the best of tuned rates are they?

One hidden layer of 64 ReLUs, Adam, the same number of epochs for all. For every data set and batch size, the best of
seven constant and three cosine rates, chosen by the test score itself (for objectives: by the objective), is what a
rule is compared with: a bar that no honest tuning reaches. Columns are standardised, and so is y.

    python benchmarks/rates/networks.py                      # scikit-learn's own data and generated ones
    MINIBATCH_DATA=folder python benchmarks/rates/networks.py    # and all archives there, with X and y
    python benchmarks/rates/networks.py digits letter        # some of them
"""

import sys
import warnings

import numpy as np
from data import archives, arrays, is_classification, standardised

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor

SIZES, EPOCHS, SEEDS = (1, 8, 32, 200, 1024, "full"), 20, (0, 1)
TUNED = [("constant", rate) for rate in (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1)]
TUNED += [("cosine", rate) for rate in (0.003, 0.01, 0.03)]
RULES = {
    "0.001": {"learning_rate": "constant"},
    "0.001 sqrt(B / 200)": {"learning_rate": "constant", "learning_rate_scaling": "sqrt", "reference_batch_size": 200},
    "auto": {"learning_rate": "auto"},
}
VALUES, MOST_ROWS = 1_000_000, 3000  # to train on: fewer rows where they are wide
OWN = ("digits", "wine", "breast_cancer", "five classes", "friedman")
ENOUGH = {True: 0.01, False: 0.02}  # behind, of a classifier's accuracy and of R2


def names():
    return sys.argv[1:] or [*OWN, *archives()]


def task(name):
    """An estimator's class, training rows and test rows."""
    X, y = arrays(name)
    n_train = min(MOST_ROWS, max(500, VALUES // X.shape[1]), 3 * len(y) // 4)
    rows = np.random.default_rng(0).permutation(len(y))[: n_train * 4 // 3]
    train, test = rows[:n_train], rows[n_train:]
    parts = standardised(X, train, test)
    is_classifier = is_classification(y)
    if not is_classifier:
        y = (y - y[train].mean()) / y[train].std()
    model = MiniBatchMLPClassifier if is_classifier else MiniBatchMLPRegressor
    return model, (parts[0], y[train]), (parts[1], y[test])


def outcome(kind, train, test, size, **parameters):
    """Test score and objective, means over seeds."""
    found = []
    for seed in SEEDS:
        model = kind(
            hidden_layer_sizes=(64,), batch_size=size, max_iter=EPOCHS, tol=None, evaluate_every=EPOCHS,
            random_state=seed, **parameters,
        ).fit(*train)  # fmt: skip
        finite = model.status_ != "diverged"
        score = model.score(*test) if finite else -np.inf
        found.append((max(score, 0.0), model.history_["objective"][-1] if finite else np.inf))
    return np.mean(found, axis=0)


def gaps(name):
    """Of every rule at every size: points (or R2) behind the best score, share above the least objective."""
    kind, train, test = task(name)
    for size in SIZES:
        tuned = [outcome(kind, train, test, size, learning_rate=s, learning_rate_init=r) for s, r in TUNED]
        best_score, least = max(score for score, _ in tuned), min(objective for _, objective in tuned)
        for rule, parameters in RULES.items():
            score, objective = outcome(kind, train, test, size, **parameters)
            yield rule, size, kind is MiniBatchMLPClassifier, best_score, best_score - score, objective / least - 1


def table(cells):
    """Median and worst gap by rule and size."""
    print("| rule | within | " + " | ".join(f"B = {size}" for size in SIZES) + " |")
    print("|" + "---|" * (2 + len(SIZES)))
    for is_classifier, unit, factor in ((True, "points", 100), (False, "R2", 1)):
        for rule in RULES:
            mine = [cell for cell in cells if cell[1] == rule and cell[3] == is_classifier]
            if not mine:
                continue
            within = np.mean([cell[5] <= ENOUGH[is_classifier] for cell in mine])
            texts = []
            for size in SIZES:
                behind, above = np.array([cell[5:] for cell in mine if cell[2] == size]).T
                texts.append(
                    f"{factor * np.median(behind):.2g}, {factor * behind.max():.2g}; "
                    f"{np.median(above):+.0%}, {above.max():+.0%}"
                )
            print(f"| {rule} ({unit}) | {within:.0%} | {' | '.join(texts)} |")


def main():
    warnings.simplefilter("ignore")
    cells = []
    print(f"| data | B | best tuned score | {' | '.join(RULES)} |")
    print("|" + "---|" * (3 + len(RULES)))
    for name in names():
        mine = [(name, *cell) for cell in gaps(name)]
        cells += mine
        best = [f"{cell[4]:.3f}" for cell in mine if cell[1] == "auto"]
        behind = [[f"{cell[5]:+.3f}" for cell in mine if cell[1] == rule] for rule in RULES]
        texts = ["<br>".join(map(str, column)) for column in (SIZES, best, *behind)]
        print(f"| {name} | {' | '.join(texts)} |", flush=True)
    print("\nMedian, worst gap in test score; median, worst excess of the objective over the least:\n")
    table(cells)


if __name__ == "__main__":
    main()
