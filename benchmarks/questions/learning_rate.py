"""The best constant rate by batch size, and what rules make of it: python benchmarks/questions/learning_rate.py"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, among, listed, rows, write
from sklearn.base import clone

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.model_selection import MiniBatchGridSearchCV
from minibatch.plotting import BatchSizeLearningRateDisplay

ROWS, FOLDS, EPOCHS, BASE = 6000, 3, 5, 16
SIZES, RATES = 4 ** np.arange(6), 2.0 ** np.arange(-12, 6)
TOLERANCE = 0.05  # of the fall from the best constant model to the best of the grid
MODELS = {
    "adult": ("adult", MiniBatchSGDClassifier("log_loss")),
    "covtype_93k": ("covtype_93k", MiniBatchSGDClassifier("log_loss")),
    "letter, network": ("letter", MiniBatchMLPClassifier((32,), solver="sgd")),
}


def searched(model, X, y, learning_rate, **grid):
    """A search over batch sizes by the log loss of held-out rows, at equal epochs."""
    model = clone(model).set_params(learning_rate=learning_rate, max_iter=EPOCHS, tol=None, random_state=0)
    grid = {"batch_size": SIZES.tolist(), **grid}
    return MiniBatchGridSearchCV(model, grid, scoring="neg_log_loss", cv=FOLDS, refit=False).fit(X, y)


def compared(name, model):
    """The search; shares of the fall that are left by size and rate, those with "auto" by size."""
    X, y = rows(name, ROWS)
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


def judged(left, tuned):
    """Whether a rule is within the tolerance of tuned rates everywhere, somewhere beside the base, or nowhere."""
    return among((left - tuned <= TOLERANCE)[:, SIZES != BASE].flat)


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
            (claim, judged(left, tuned), f"% of the fall lost beside tuned rates at {listed(SIZES)} rows: {lost}")
        )
    return said


def claims_of(found):
    losses, auto = np.array([of for _, of, _ in found.values()]), np.array([of for *_, of in found.values()])
    tuned, best = losses.min(axis=2), RATES[losses.argmin(axis=2)]
    slopes = [np.polyfit(np.log(SIZES), np.log(rates), 1)[0] for rates in best]
    by_name = "; ".join(f"{name} {listed(row, '.2g')}" for name, row in zip(found, best, strict=True))
    of_one = [SIZES[of_rule(of, 0).argmin()] for of in losses]
    lost = "; ".join(f"{name} {listed(100 * row, '.2g')}" for name, row in zip(found, auto - tuned, strict=True))
    return [
        (
            "The best rate goes up with the batch size.",
            among(np.array(slopes) > 0.1),
            f"best rates at {listed(SIZES)} rows: {by_name}; slopes on logarithmic axes {listed(slopes, '.2f')}",
        ),
        *claims_about_rules(losses, found),
        (
            "The batch size cannot be tuned without the rate.",
            among([of_one != SIZES[tuned.argmin(axis=1)].tolist(), (auto - tuned > TOLERANCE).all()]),
            f"at the one rate that is best for {BASE} rows, {listed(of_one)} rows seem best, and at tuned rates "
            f'{listed(SIZES[tuned.argmin(axis=1)])} are; with `learning_rate="auto"`, % of the fall lost beside tuned '
            f"rates: {lost}",
        ),
    ]


def main():
    warnings.simplefilter("ignore")  # some rates are meant to diverge
    found = {title: compared(*of) for title, of in MODELS.items()}
    with plt.rc_context(STYLE):
        figure, (heat, best, left) = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
        display = BatchSizeLearningRateDisplay.from_search(found["adult"][0], ax=heat)
        display.ax_.set_title("adult: the best cell is framed")
        for number, (title, (_, losses, auto)) in enumerate(found.items()):
            rates, colour = RATES[losses.argmin(axis=1)], f"C{number}"
            best.loglog(SIZES, rates, "o-", color=colour, label=title)
            left.loglog(SIZES, 100 * losses.min(axis=1), "o-", color=colour)
            left.loglog(SIZES, 100 * np.maximum(auto, 1e-4), "s--", color=colour, mfc="none")
            left.loglog(SIZES, 100 * of_rule(losses, 0), ":", color=colour)
        first = RATES[found["adult"][1].argmin(axis=1)][0]
        best.loglog(SIZES, first * SIZES, "k:", label="∝ batch size")
        best.loglog(SIZES, first * np.sqrt(SIZES), "k--", label="∝ its root")
        best.set(title="Best constant rate", xlabel="batch size", ylabel="rate")
        best.legend(fontsize=7)
        for style, words in (("o-", "tuned rates"), ("s--", '"auto"'), (":", f"the best rate of {BASE} rows")):
            left.plot([], [], style, color="0.4", mfc="none", label=words)
        left.set(title="% of the fall that is left", xlabel="batch size")
        left.legend(fontsize=7)
    about = (
        f"{ROWS:,} rows, {FOLDS} folds, {EPOCHS} epochs for all; {len(RATES)} constant rates, a factor of two apart. "
        "The fall is that of the held-out log loss, from the best constant model to the best of the grid; a rule holds "
        f"where it loses {100 * TOLERANCE:.0f} % of it at most."
    )
    write("learning_rate", figure, claims_of(found), about)


if __name__ == "__main__":
    main()
