"""The best constant rate by batch size, and what rules make of it: python benchmarks/questions/learning_rate.py"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, among, listed, rows, write
from sklearn.base import clone

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.model_selection import MiniBatchGridSearchCV
from minibatch.plotting import BatchSizeLearningRateDisplay

FOLDS, EPOCHS, BASE = 3, 5, 16
SIZES, RATES = 4 ** np.arange(6), 2.0 ** np.arange(-12, 6)
TOLERANCE = 0.05  # of the fall from the best constant model to the best of the grid
MODELS = {
    "adult": ("adult", 16_000, MiniBatchSGDClassifier("log_loss")),
    "covtype_93k": ("covtype_93k", 16_000, MiniBatchSGDClassifier("log_loss")),
    "letter (network)": ("letter", 8000, MiniBatchMLPClassifier((32,), solver="sgd")),
}


def searched(model, X, y, learning_rate, **grid):
    """A search over batch sizes by the log loss of held-out rows, at equal epochs."""
    model = clone(model).set_params(learning_rate=learning_rate, max_iter=EPOCHS, tol=None, random_state=0)
    grid = {"batch_size": SIZES.tolist(), **grid}
    return MiniBatchGridSearchCV(model, grid, scoring="neg_log_loss", cv=FOLDS, refit=False).fit(X, y)


def compared(name, most, model):
    """The search; shares of the fall that are left by size and rate, those with "auto" by size."""
    X, y = rows(name, most)
    rate = "eta0" if "eta0" in model.get_params() else "learning_rate_init"
    search = searched(model, X, y, "constant", **{rate: RATES.tolist()})
    shares = np.unique(y, return_counts=True)[1] / len(y)
    lowest, highest = -search.cv_results_["mean_test_score"].max(), -(shares * np.log(shares)).sum()
    losses, auto = (
        (-found.cv_results_["mean_test_score"].reshape(len(SIZES), -1) - lowest) / (highest - lowest)
        for found in (search, searched(model, X, y, "auto"))
    )
    return search, losses, auto[:, 0]


def of_rule(losses, power):
    """What is left at the best rate of BASE rows, times the factor of batch sizes to this power: NaN off the grid."""
    at = losses[list(SIZES).index(BASE)].argmin() + power * np.log2(SIZES / BASE)
    inside = (at >= 0) & (at < len(RATES))
    return np.where(inside, losses[np.arange(len(SIZES)), np.where(inside, at, 0).astype(int)], np.nan)


def judged(lost, power):
    """Whether rules are within the tolerance of tuned rates beside the base; one rate, at all sizes of a data set."""
    good = (lost <= TOLERANCE)[:, SIZES != BASE]
    return among(good.flat if power else good.all(axis=1))


def claims_about_rules(losses, names):
    tuned, said = losses.min(axis=2), []
    rules = {
        "Linear scaling rule: twice the batch, twice the rate.": 1,
        "Root scaling rule: four times the batch, twice the rate.": 0.5,
        "One rate does for all sizes.": 0,
    }
    for claim, power in rules.items():
        left = np.array([of_rule(of, power) for of in losses])
        lost = "; ".join(f"{name} {listed(100 * row, '.2g')}" for name, row in zip(names, left - tuned, strict=True))
        said.append(
            (
                claim,
                judged(left - tuned, power),
                f"% of the fall lost beside tuned rates at {listed(SIZES)} rows: {lost}",
            )
        )
    return said


def claims_about_tuning(found, losses, auto):
    best = losses.argmin(axis=2)
    slopes = [np.polyfit(np.log(SIZES), np.log(RATES[row]), 1)[0] for row in best]
    by_name = "; ".join(f"{name} {listed(RATES[row], '.2g')}" for name, row in zip(found, best, strict=True))
    chosen = [SIZES[of[:, row].argmin(axis=0)] for of, row in zip(losses, best, strict=True)]
    sizes = "; ".join(f"{name} {listed(row)}" for name, row in zip(found, chosen, strict=True))
    lost = auto.min(axis=1) - losses.min(axis=(1, 2))
    return [
        (
            "The best rate goes up with the batch size.",
            among(np.array(slopes) > 0.1),
            f"best rates at {listed(SIZES)} rows: {by_name}; slopes on logarithmic axes {listed(slopes, '.2f')}",
        ),
        (
            "The batch size cannot be tuned without the rate.",
            among([all(len(set(row)) > 1 for row in chosen), (lost > TOLERANCE).any()]),
            f'at these rates, one by one, the best sizes seem to be {sizes}; with `learning_rate="auto"` a search over '
            f"sizes alone loses {listed(100 * lost, '.2g')} % of the fall beside the search over both",
        ),
    ]


def main():
    warnings.simplefilter("ignore")  # some rates are meant to diverge
    found = {title: compared(*of) for title, of in MODELS.items()}
    losses, auto = np.array([of for _, of, _ in found.values()]), np.array([of for *_, of in found.values()])
    with plt.rc_context(STYLE):
        figure, (heat, best, lost) = plt.subplots(
            1, 3, figsize=(12, 4.2), layout="constrained", width_ratios=[1.3, 1, 1]
        )
        BatchSizeLearningRateDisplay.from_search(found["adult"][0], ax=heat, text_kw={"fontsize": 5})
        for number, (title, of, of_auto) in enumerate(zip(found, losses, auto, strict=True)):
            colour, tuned = f"C{number}", of.min(axis=1)
            best.loglog(
                SIZES, RATES[of.argmin(axis=1)], "o-", color=colour, lw=4 - 1.5 * number, ms=9 - 3 * number, label=title
            )
            lost.semilogx(SIZES, 100 * (of_auto - tuned), "o-", color=colour)
            lost.semilogx(SIZES, 100 * (of_rule(of, 0) - tuned), "s:", color=colour, mfc="none")
        first = RATES[losses[0].argmin(axis=1)][0]
        best.loglog(SIZES, first * SIZES, "k:", lw=0.8, label="in proportion to the batch size")
        best.loglog(SIZES, first * np.sqrt(SIZES), "k--", lw=0.8, label="to its root")
        best.set(title="Best constant rate", xlabel="batch size", ylabel="rate")
        best.legend(fontsize=7)
        lost.plot([], [], "o-", color="0.4", label='learning_rate="auto"')
        lost.plot([], [], "s:", color="0.4", mfc="none", label=f"the best rate of {BASE} rows")
        lost.set(title="% of the fall lost beside tuned rates", xlabel="batch size", ylim=(-20, 60))
        lost.legend(fontsize=7)
    n_rows = ", ".join(f"{most:,} of {name}" for name, most, _ in MODELS.values())
    about = (
        f"Rows: {n_rows}; {FOLDS} folds, {EPOCHS} epochs for all, {len(RATES)} constant rates, a factor of two apart. "
        "The fall is that of the held-out log loss, from the best constant model to the best of the grid; a rule holds "
        f"where it loses {100 * TOLERANCE:.0f} % of it at most. Rules go from the tuned rate of {BASE} rows."
    )
    write("learning_rate", figure, claims_about_tuning(found, losses, auto) + claims_about_rules(losses, found), about)


if __name__ == "__main__":
    main()
