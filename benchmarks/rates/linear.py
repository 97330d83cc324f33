"""Rates of linear models, at every batch size: how far behind tuned rates are those that nobody tunes?

The same number of epochs for all. For every task and batch size, 15 constant and 15 cosine rates are tried, and what a
rule is compared with is the best of these 30 by the test score itself ("within"; for objectives: by the objective), a
bar that no honest tuning reaches, and the score of the one with the least objective ("level"). The constants of
learning_rate="auto" were chosen on some of the data, so there are two tables.

    python benchmarks/rates/linear.py runs.csv                          # scikit-learn's own data and generated ones
    MINIBATCH_DATA=folder python benchmarks/rates/linear.py runs.csv    # and all archives there, with X and y
    python benchmarks/rates/linear.py runs.csv digits "digits, softmax" # some of the tasks

Runs are added to runs.csv, task by task; those of tasks that it has are read from it.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from data import OWN, archives, arrays, is_classification, standardised
from linear_optima import constant_objective, least_objective, objective
from scipy import sparse
from scipy.stats import spearmanr

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor

SIZES, EPOCHS = (1, 8, 32, 256, "full"), {False: 20, True: 100}  # of full batches 100
RULES = {
    "auto": {},
    'constant, eta0="auto"': {"learning_rate": "constant", "eta0": "auto"},
    'schedule_free_sgd, eta0="auto"': {
        "solver": "schedule_free_sgd", "learning_rate": "constant", "eta0": "auto"
    },
    "dowg": {"learning_rate": "dowg"},
    "optimal": {"learning_rate": "optimal"},
    "invscaling": {"learning_rate": "invscaling"},
    "constant 0.01": {"learning_rate": "constant"},
    "constant 0.01 B / 32": {"learning_rate": "constant", "learning_rate_scaling": "linear"},
}  # fmt: skip
TUNED = ("constant", "cosine")
RATES = np.logspace(-3, 4, 15)  # in units of 1 / the mean squared norm of a row
CHOSEN_ON = ("adult", "covtype_93k", "letter", "spambase", "isolet", "sms_spam_counts", "zipf")
CHOSEN_ON += ("naval", "bike_hour", "protein", "power_plant", "diamonds")
VALUES, MOST_ROWS = 1_000_000, 4000  # to train on: fewer rows where they are wide
ENOUGH_HELD, MOST_SPLITS = 4000, 5  # the fewer rows are held out, the more splits
VARIANTS = {
    "hinge": ({"loss": "hinge"}, ("digits", "magic", "adult")),
    "softmax": ({"multi_class": "multinomial"}, ("digits", "satimage", "mnist", "letter")),
    "L1": ({"penalty": "l1", "alpha": 1e-3}, ("chess", "computers", "bike_hour", "spambase")),
    "huber": ({"loss": "huber"}, ("computers", "diabetes", "protein")),
    "raw": ({}, ("wine", "breast_cancer", "diabetes", "computers", "german", "adult", "power_plant")),
}
ENOUGH = {True: 0.0075, False: 0.015}  # behind, of a classifier's accuracy and of R2


def names():
    data = [*OWN, *archives()]
    variants = [f"{name}, {variant}" for variant, (_, of) in VARIANTS.items() for name in of if name in data]
    return sys.argv[2:] or [*data, *variants]


def tasks(name):
    """For every split an estimator without a rate, and the parts: to train on, to choose a batch size by, to test."""
    name, _, variant = name.partition(", ")
    X, y = arrays(name)
    n_train = min(MOST_ROWS, max(500, VALUES // X.shape[1]), 3 * len(y) // 4)
    n_held = min(MOST_ROWS, len(y) - n_train)
    is_classifier = is_classification(y)
    is_count = y.dtype.kind in "iu" and not is_classifier and variant in ("", "raw")
    for split in range(min(MOST_SPLITS, 1 + ENOUGH_HELD // n_held)):
        order = np.random.default_rng(split).permutation(len(y))
        train, validation, test = np.split(order[: n_train + n_held], [n_train, n_train + n_held // 2])
        if sparse.issparse(X) or variant == "raw":
            rows = [X[part].astype(np.float32) for part in (train, validation, test)]
        else:
            rows = standardised(X, train, validation, test)
        targets = y if is_classifier or is_count else (y - y[train].mean()) / y[train].std()
        if is_classifier:
            model = MiniBatchSGDClassifier("log_loss")
        else:
            model = MiniBatchSGDRegressor("poisson" if is_count else "squared_error")
        parts = [(X, targets[part]) for X, part in zip(rows, (train, validation, test), strict=True)]
        yield model.set_params(tol=None, random_state=split, **VARIANTS.get(variant, ({},))[0]), *parts


def candidates(X):
    """Rules, with their rates (NaN where there is none to set), and parameters."""
    squared_norm = np.mean(X.multiply(X).sum(axis=1) if sparse.issparse(X) else np.sum(X**2, axis=1))
    yield from ((rule, np.nan, parameters) for rule, parameters in RULES.items())
    for schedule in TUNED:
        for rate in RATES:
            yield f"tuned {schedule}", rate, {"learning_rate": schedule, "eta0": float(rate / squared_norm)}


def runs(name):
    """A row for every rate of every rule at every batch size, the mean over the splits."""
    found = pd.concat(split_runs(*split) for split in tasks(name))
    of_fit = ["size", "rule", "rate", "is_classifier"]
    return found.groupby(of_fit, as_index=False, dropna=False, sort=False).mean().assign(task=name)


def split_runs(model, train, validation, test):
    """Gaps are in units of what there is to gain over the best constant model."""
    rows = []
    for size in SIZES:
        model.set_params(batch_size=size, max_iter=EPOCHS[size == "full"])
        for rule, rate, parameters in candidates(train[0]):
            fitted = type(model)(**{**model.get_params(), **parameters}).fit(*train)
            scores = [score(fitted, *part) for part in (validation, test)]
            rows.append((str(size), rule, rate, objective(fitted, *train), *scores))
    found = pd.DataFrame(rows, columns=["size", "rule", "rate", "objective", "validation_score", "test_score"])
    reference = least_objective(model, *train)
    least = min(reference, found["objective"].min())
    unit = constant_objective(model, *train) - least
    return found.assign(
        gap=(found["objective"] - least) / unit,
        gap_of_reference=(reference - least) / unit,
        is_classifier=isinstance(model, MiniBatchSGDClassifier),
    )


def score(model, X, y):
    """Accuracy or R2; 0 for what is worse than a constant."""
    return max(model.score(X, y), 0.0) if np.isfinite(model.predict(X)).all() else 0.0


def cells(found):
    """Of every rule in every cell, beside tuned rates: how far the objective is above the least, what the score lacks
    of the best, and of that of the run with the least objective."""
    found = found.assign(score=(found["validation_score"] + found["test_score"]) / 2)
    of_cell = ["task", "size"]
    best = found.groupby([*of_cell, "rule", "is_classifier"], as_index=False).agg(
        gap=("gap", "min"), score=("score", "max"), lowest=("gap", "idxmin")
    )
    best["score_of_lowest"] = found["score"][best.pop("lowest")].to_numpy()
    tuned = best[best["rule"].str.startswith("tuned")].reset_index(drop=True)
    lowest = tuned.loc[tuned.groupby(of_cell)["gap"].idxmin(), [*of_cell, "gap", "score_of_lowest"]]
    highest = tuned.groupby(of_cell, as_index=False)["score"].max()
    best = best.merge(lowest, on=of_cell, suffixes=("", "_tuned")).merge(highest, on=of_cell, suffixes=("", "_tuned"))
    return best.assign(
        above=best["gap"] - best["gap_tuned"],
        behind=best["score_tuned"] - best["score"],
        behind_lowest=best["score_of_lowest_tuned"] - best["score_of_lowest"],
    )


def short(value):
    if abs(value) < 5e-4 or value > 1000:
        return "0" if value < 1 else ">1000"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.{1 if abs(value) < 0.1 else 2}g}"


def table_of_rules(mine):
    """Median and worst by rule and batch size."""
    print("| rule | within | level | " + " | ".join(f"B = {size}" for size in SIZES) + " |")
    print("|" + "---|" * (3 + len(SIZES)))
    for is_classifier, unit, factor in ((True, "points", 100), (False, "R2", 1)):
        for rule in [*RULES, *(f"tuned {schedule}" for schedule in TUNED)]:
            of_rule = mine[(mine["rule"] == rule) & (mine["is_classifier"] == is_classifier)]
            if of_rule.empty:
                continue
            texts = []
            for size in map(str, SIZES):
                behind, above = of_rule.loc[of_rule["size"] == size, ["behind", "above"]].to_numpy().T
                texts.append(
                    f"{short(factor * np.median(behind))}, {short(factor * behind.max())}; "
                    f"{short(100 * np.median(above))}, {short(100 * above.max())}"
                )
            within, level = (of_rule[["behind", "behind_lowest"]] <= ENOUGH[is_classifier]).mean()
            print(f"| {rule} ({unit}) | {within:.0%} | {level:.0%} | {' | '.join(texts)} |")


def table_of_tasks(mine):
    """What "auto" and two others lack at every batch size, beside the best tuned score."""
    shown = ("auto", 'constant, eta0="auto"', "constant 0.01")
    print(f"| task | B | best tuned score | {' | '.join(shown)} | auto, objective |")
    print("|" + "---|" * (4 + len(shown)))
    for name, of_task in mine.groupby("task", sort=False):
        by_size = of_task.set_index(["rule", "size"])
        columns = [[f"{by_size['score_tuned']['auto', str(size)]:.3f}" for size in SIZES]]
        columns += [[f"{by_size['behind'][rule, str(size)]:+.3f}" for size in SIZES] for rule in shown]
        columns.append([short(100 * by_size["above"]["auto", str(size)]) for size in SIZES])
        texts = ["<br>".join(map(str, column)) for column in (SIZES, *columns)]
        print(f"| {name} | {' | '.join(texts)} |")


def searches(found):
    """Of every task, the test score of the batch size that a search over it alone finds, with each rule's rates, and
    that of a search over batch sizes and constant rates. How much alike sizes rank, by objective, as at tuned rates."""
    for name, of_task in found.groupby("task", sort=False):
        tuned = of_task[of_task["rule"].str.startswith("tuned")]
        constant = tuned[tuned["rule"] == "tuned constant"]
        joint = constant.loc[constant["validation_score"].idxmax(), "test_score"]
        at_best = tuned.groupby("size")["gap"].min()
        for rule in RULES:
            mine = of_task[of_task["rule"] == rule].set_index("size")
            alone = mine.loc[mine["validation_score"].idxmax(), "test_score"]
            rank = spearmanr(at_best, mine["gap"].reindex(at_best.index)).statistic
            yield name, of_task["is_classifier"].iloc[0], rule, joint - alone, rank


def table_of_searches(found):
    columns = ["task", "is_classifier", "rule", "lost", "rank"]
    lost = pd.DataFrame(searches(found), columns=columns).groupby(["rule", "is_classifier"], sort=False)
    print("| rule | tasks | lost, mean | lost, worst | rank correlation, mean |\n|---|---|---|---|---|")
    for (rule, is_classifier), mine in lost:
        unit, factor = (" points", 100) if is_classifier else (" R2", 1)
        mean, worst = (short(factor * value) + unit for value in (mine["lost"].mean(), mine["lost"].max()))
        print(f"| {rule} | {len(mine)} | {mean} | {worst} | {mine['rank'].mean():.2f} |")


def report(found):
    chosen_on = found["task"].str.split(", ").str[0].isin(CHOSEN_ON)
    for is_chosen, title in (
        (False, "Data on which nothing was chosen"),
        (True, "Data on which constants were chosen"),
    ):
        mine = found[chosen_on == is_chosen]
        if mine.empty:
            continue
        print(f"\n{title}: median, worst gap in score; median, worst gap of the objective in percent\n")
        is_raw = mine["task"].str.endswith("raw")
        for part, heading in ((mine[~is_raw], ""), (mine[is_raw], "\nRaw columns\n")):
            if len(part):
                print(heading)
                table_of_rules(cells(part))
        print()
        table_of_tasks(cells(mine))
        print("\nA search over the batch size alone, against one over size and rate\n")
        table_of_searches(mine[~is_raw])


def main():
    warnings.simplefilter("ignore")
    path = Path(sys.argv[1])
    for name in names():
        if path.exists() and name in set(pd.read_csv(path)["task"]):
            continue
        start = time.perf_counter()
        runs(name).to_csv(path, mode="a", header=not path.exists(), index=False)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    found = pd.read_csv(path)
    report(found[found["task"].isin(names())])


if __name__ == "__main__":
    main()
