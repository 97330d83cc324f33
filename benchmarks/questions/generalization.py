"""Test errors and gaps after equal epochs and equal updates: python benchmarks/questions/generalization.py"""

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, among, listed, rows, write
from scipy.stats import t
from sklearn.base import clone
from sklearn.model_selection import ShuffleSplit

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.model_selection import convergence_curve

SIZES = [8, 32, 128, 512, "full"]
N_ROWS, N_SPLITS, EPOCHS = 2000, 5, 20
FOLDS = ShuffleSplit(N_SPLITS, train_size=N_ROWS, test_size=4000, random_state=0)
LINEAR = MiniBatchSGDClassifier("log_loss", multi_class="multinomial", tol=None, random_state=0)
OWN_RATES = MiniBatchMLPClassifier(
    (100,), solver="sgd", learning_rate="auto", momentum=0.0, alpha=0, tol=None, random_state=0
)
ONE_RATE = clone(OWN_RATES).set_params(learning_rate="constant", learning_rate_init=0.1)
BY_EPOCHS, BY_UPDATES = {"epochs": EPOCHS}, {"updates": EPOCHS * N_ROWS // SIZES[0]}
EQUAL_EPOCHS, EQUAL_UPDATES = "network, one rate, equal epochs", "network, one rate, equal updates"
PARTS = {
    EQUAL_EPOCHS: (ONE_RATE, BY_EPOCHS),
    EQUAL_UPDATES: (ONE_RATE, BY_UPDATES),
    "network, own rates, equal epochs": (OWN_RATES, BY_EPOCHS),
    "linear, own rates, equal epochs": (LINEAR, BY_EPOCHS),
}


def scores(model, budget, X, y):
    """Accuracy on the training and on the test rows, sizes by splits."""
    curve = convergence_curve(model, X, y, param_range=SIZES, cv=FOLDS, budget=budget)
    return curve.folds_["train_score"], curve.folds_["test_score"]


def lead(test):
    """The smallest batch less all rows, in points, with its interval of 95 % over the splits."""
    difference = 100 * (test[0] - test[-1])
    return difference.mean(), t.ppf(0.975, N_SPLITS - 1) * difference.std(ddof=1) / np.sqrt(N_SPLITS)


def picture(found):
    figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained", sharex=True, sharey=True)
    for ax, (title, parts) in zip(axes.flat, found.items(), strict=True):
        for values, name, style in zip(parts, ("training rows", "test rows"), ("s--", "o-"), strict=True):
            means, spread = values.mean(axis=1), values.std(axis=1)
            ax.errorbar(range(len(SIZES)), means, spread, fmt=style, capsize=2, label=name)
        ax.set_title(title, fontsize=9)
        ax.set(xticks=range(len(SIZES)), xticklabels=SIZES)
    figure.supxlabel("batch size")
    figure.supylabel("accuracy, a tenth of the labels drawn anew")
    axes[0, 0].legend()
    return figure


def main():
    X, y = rows("letter", 6000)
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random(len(y)) < 0.1, rng.integers(0, 26, len(y)), y)  # there is something to learn by heart
    found = {name: scores(*part, X, noisy) for name, part in PARTS.items()}
    leads = {name: lead(test) for name, (_, test) in found.items()}
    gaps = {name: 100 * (train - test).mean(axis=1)[[0, -1]] for name, (train, test) in found.items()}
    shown = {name: f"{mean:+.1f} ± {half:.1f}" for name, (mean, half) in leads.items()}
    claims = [
        (
            "Small batches generalize better.",
            among(mean - half > 0 for mean, half in leads.values()),
            "test accuracy of the smallest batch less that of all rows, points: "
            + "; ".join(f"{name} {points}" for name, points in shown.items()),
        ),
        (
            "Large batches have a larger gap between training and test.",
            among(gap[1] > gap[0] + 0.5 for gap in gaps.values()),
            "gap of the smallest batch and of all rows, points: "
            + "; ".join(f"{name} {listed(gap, '.1f')}" for name, gap in gaps.items()),
        ),
        (
            "Training longer makes up for a large batch.",
            bool(abs(leads[EQUAL_UPDATES][0]) < abs(leads[EQUAL_EPOCHS][0]) / 2),
            f"the lead of the small batch is {shown[EQUAL_EPOCHS]} points after equal epochs, {shown[EQUAL_UPDATES]} "
            "after equal updates",
        ),
    ]
    with plt.rc_context(STYLE):
        figure = picture(found)
    about = (
        f"{N_ROWS:,} training rows of letter, a tenth of the labels drawn anew, {N_SPLITS} splits; ± is an interval of "
        "95 %. One rate: 0.1 at every size."
    )
    write("generalization", figure, claims, about)


if __name__ == "__main__":
    main()
