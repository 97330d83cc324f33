"""The largest rate that holds, and how the loss fluctuates, by batch size: python benchmarks/questions/stability.py"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, among, listed, rows, write
from sklearn.base import clone

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import stability_limit

ROWS, SEEDS, UPDATES, EPOCHS, ACCURACY, ALPHA = 4000, 3, 200, 4, 1.05, 0.1
EPOCHS_OF_NOISE = 200
SIZES = [1, 4, 16, 64, 256, 1024, "full"]
LEAST_SQUARES = MiniBatchSGDRegressor(shuffle="replacement", alpha=ALPHA, fit_intercept=False)


def least_squares(name):
    """Rows and a target of mean 0 and variance 1: counts as they are, two classes as two numbers."""
    X, y = rows(name, ROWS)
    y = np.unique(y, return_inverse=True)[1] if y.dtype.kind not in "fiu" else y.astype(float)
    return X.astype(float), (y - y.mean()) / y.std()


def holds(model, X, y, rate):
    """Whether no seed diverges."""
    name = "eta0" if "eta0" in model.get_params() else "learning_rate_init"
    size = len(y) if model.batch_size == "full" else model.batch_size
    updates = max(UPDATES, EPOCHS * len(y) // size)  # rare rows are met, too
    model = clone(model).set_params(
        learning_rate="constant", max_updates=updates, max_iter=updates, tol=None, **{name: rate}
    )
    return all(model.set_params(random_state=seed).fit(X, y).status_ != "diverged" for seed in range(SEEDS))


def largest_rate(model, X, y):
    """Below which all tried hold: from below in fourfold steps, as runs come back from far too high, then by halves."""
    low = 1e-4
    while holds(model, X, y, 4 * low):
        low *= 4
    high = 4 * low
    while high / low > ACCURACY:
        middle = np.sqrt(low * high)
        low, high = (middle, high) if holds(model, X, y, middle) else (low, middle)
    return low


def limits(name, model=LEAST_SQUARES):
    """Measured, and for least squares as theory has them."""
    is_network = model is not LEAST_SQUARES
    X, y = rows(name, ROWS) if is_network else least_squares(name)
    models = [clone(model).set_params(batch_size=size) for size in SIZES]
    predicted = [np.nan if is_network else float(stability_limit(one, X, y)) for one in models]
    return np.array([largest_rate(one, X, y) for one in models]), np.array(predicted)


def fluctuations(rates):
    """What stays of the excess of the objective over the least, by batch size: at a rate for each, on letter."""
    X, y = least_squares("letter")
    optimum = np.linalg.solve(X.T @ X + ALPHA * len(y) * np.eye(X.shape[1]), X.T @ y)
    least = 0.5 * np.mean((X @ optimum - y) ** 2) + 0.5 * ALPHA * optimum @ optimum
    found = []
    for size, rate in zip(SIZES[:-1], rates, strict=True):
        model = clone(LEAST_SQUARES).set_params(
            learning_rate="constant", eta0=rate, batch_size=size, max_iter=EPOCHS_OF_NOISE, tol=None, evaluate_every=1
        )
        runs = [model.set_params(random_state=seed).fit(X, y, coef_init=optimum) for seed in range(SEEDS)]
        objectives = [run.history_["objective"] for run in runs]
        held = all(len(of) == EPOCHS_OF_NOISE and np.isfinite(of).all() for of in objectives)
        found.append(np.mean(objectives, axis=0)[EPOCHS_OF_NOISE // 2 :].mean() - least if held else np.nan)
    return np.array(found)


def claims_of(found, numbers, at_one_rate, in_proportion):
    names, linear = ", ".join(found), [of for of in found.values() if not np.isnan(of[1]).all()]
    rates = np.array([measured for measured, _ in found.values()])
    rises = rates[:, 1:] / rates[:, :-1]
    fourfold = rises[:, :-1] > 4 / ACCURACY**2
    errors = np.array([measured / predicted for measured, predicted in linear])
    known = np.abs(np.log(errors)) < np.log(1.25)
    slope = np.polyfit(np.log(numbers), np.log(at_one_rate), 1)[0]
    relative = in_proportion / in_proportion[0]
    alike = np.abs(relative - 1) < 0.25
    return [
        (
            "Larger batches are more stable, up to some hundreds of rows.",
            bool(
                (rates[:, 1:] > 0.8 * np.maximum.accumulate(rates, axis=1)[:, :-1]).all()
                and (rates[:, -1] > 2 * rates[:, 0]).all()
            ),
            f"largest rates that hold at {listed(numbers)} and all rows: "
            + "; ".join(f"{name} {listed(of, '.2g')}" for name, of in zip(found, rates, strict=True)),
        ),
        (
            "Large batches tolerate rates in proportion.",
            among(fourfold.flat),
            f"four times the batch allows {listed(rises[:, 0], '.2g')} times the rate from 1 row on, "
            f"{listed(rises[:, 2], '.2g')} from 16, {listed(rises[:, 4], '.2g')} from 256 ({names})",
        ),
        (
            "A full batch cannot diverge.",
            bool(np.isinf(rates[:, -1]).all()),
            f"it does above the last of these rates; least squares: {listed(errors[:, -1], '.2f')} times two over the "
            "largest curvature",
        ),
        (
            "At one rate the loss fluctuates as one over the batch size.",
            bool(abs(slope + 1) < 0.1),
            f"excess of the objective of least squares at {listed(numbers)} rows: {listed(at_one_rate, '.2g')}; slope "
            f"{slope:.2f} on logarithmic axes",
        ),
        (
            "At rates in proportion to the batch size all sizes fluctuate alike.",
            among(alike[1:]),
            f"times the excess of single rows: {listed(relative, '.2g')} (a dash: diverged)",
        ),
        (
            "The largest stable rate can be known before training.",
            among(known.flat),
            f"least squares, measured over `stability_limit` at {listed(numbers)} and all rows: "
            + "; ".join(listed(of, ".2f") for of in errors),
        ),
    ]


def main():
    warnings.simplefilter("ignore")  # runs are meant to diverge
    network = MiniBatchMLPClassifier((32,), solver="sgd")
    found = {
        "letter (least squares)": limits("letter"),
        "bike_hour (least squares)": limits("bike_hour"),
        "adult (least squares)": limits("adult"),
        "letter (network)": limits("letter", network),
    }
    numbers = np.array(SIZES[:-1])
    rate = 0.25 * found["letter (least squares)"][1][0]  # of the limit that theory has for single rows
    at_one_rate, in_proportion = fluctuations(np.full(len(numbers), rate)), fluctuations(rate * numbers)
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
        for number, (title, (measured, predicted)) in enumerate(found.items()):
            left.loglog([*numbers, ROWS], measured, "o", color=f"C{number}", label=title)
            left.loglog([*numbers, ROWS], predicted, color=f"C{number}", lw=0.8)
        left.plot([], [], color="0.4", lw=0.8, label="stability_limit")
        left.loglog(numbers, found["letter (least squares)"][0][0] * numbers, ":", color="0.4", label="in proportion")
        left.set(title="Largest constant rate that holds", xlabel="batch size", ylabel="rate", ylim=(None, 30))
        left.legend(fontsize=7)
        right.loglog(numbers, at_one_rate, "o-", label="one rate for all")
        right.loglog(numbers, in_proportion, "s-", label="rate in proportion to the batch size")
        right.loglog(numbers, at_one_rate[0] / numbers, ":", color="0.4", label="single rows / batch size")
        right.set(title="Excess of the objective that stays", xlabel="batch size")
        right.legend(fontsize=7)
    about = (
        f"{ROWS:,} rows, {SEEDS} seeds, {UPDATES} updates and {EPOCHS} epochs at least; rates to "
        f"{100 * (ACCURACY - 1):.0f} %, which hold if no run has the status `'diverged'`. Least squares with "
        f"`alpha={ALPHA}`, rows drawn with replacement; fluctuations on letter from the optimum on, at a quarter of "
        "the limit of single rows."
    )
    write("stability", figure, claims_of(found, numbers, at_one_rate, in_proportion), about)


if __name__ == "__main__":
    main()
