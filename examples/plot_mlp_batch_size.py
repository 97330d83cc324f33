"""
The batch size of a network: equal epochs, equal updates
========================================================

The same network on scikit-learn's digits with 1, 16, 128 and all rows an update, under two budgets: a number of epochs,
which gives every batch size the same number of rows, and a number of updates, which gives every batch size the same
number of steps, and the larger ones more rows.

Rates are constant here; the default, ``learning_rate="auto"``, needs no tuning. A constant rate belongs to the batch
size and to the budget, so each pair of them is tuned over the same grid, on one half of the rows. The other half
compares them, fold by fold: nothing is chosen by the rows that compare.

At its own rate each size comes to about the same accuracy, the full batch in 30 steps too, at a rate a hundred times that
of single rows. In 1000 updates single rows are far behind: they have seen the rows less than twice.
"""

import warnings

import matplotlib

matplotlib.use("Agg")  # the picture is saved, not shown

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import (
    StratifiedKFold,
    StratifiedShuffleSplit,
    train_test_split,
)

from minibatch import MiniBatchMLPClassifier
from minibatch.model_selection import convergence_curve
from minibatch.plotting import ConvergenceDisplay

BATCH_SIZES = [1, 16, 128, "full"]
BUDGETS = {"30 epochs": {"epochs": 30}, "1000 updates": {"updates": 1000}}
RATES = np.logspace(-3, 0, 7)

X, y = load_digits(return_X_y=True)
X_tune, X_compare, y_tune, y_compare = train_test_split(
    X / 16, y, test_size=0.5, stratify=y, random_state=0
)
network = MiniBatchMLPClassifier(
    (32,),
    solver="sgd",
    learning_rate="constant",
    learning_rate_init=0.1,
    tol=None,
    random_state=0,
)

# %%
# The rate of every size
# ----------------------
# That with the lowest loss at the end of the budget, on a quarter of the rows held out. A rate that is too high
# diverges, and has none: what warns of it is expected here, and not shown.


def tuned_rate(size, budget):
    held_out = StratifiedShuffleSplit(1, test_size=0.25, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        curve = convergence_curve(
            network.set_params(batch_size=size),
            X_tune,
            y_tune,
            param_name="learning_rate_init",
            param_range=RATES,
            cv=held_out,
            budget=budget,
        )
    losses = np.where(
        curve.folds_["status"][:, 0] == "diverged",
        np.inf,
        curve.folds_["test_loss"][:, 0],
    )
    return float(RATES[np.argmin(losses)])


rates = {
    name: [tuned_rate(size, budget) for size in BATCH_SIZES]
    for name, budget in BUDGETS.items()
}

# %%
# The comparison
# --------------
# Tables and pictures say what each size came to under each budget, at its own rate.
figure, axes = plt.subplots(2, 2, figsize=(15, 8.5), layout="constrained")
for row, (name, budget) in zip(axes, BUDGETS.items(), strict=True):
    curve = convergence_curve(
        network,
        X_compare,
        y_compare,
        param_range=BATCH_SIZES,
        paired_params={"learning_rate_init": rates[name]},
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
        budget=budget,
        evaluations_per_epoch=4,
    )
    print(
        f"\n{name}, at rates of {', '.join(f'{rate:.2g}' for rate in rates[name])}:\n{curve}"
    )
    x = "epoch" if "epochs" in budget else "n_updates"
    for ax, y_axis in zip(row, ("test_loss", "test_score"), strict=True):
        ConvergenceDisplay.from_curve(curve, ax=ax, x=x, y=y_axis, log_x=True)
figure.savefig("mlp_batch_size.png", dpi=120)
print("\nPicture: mlp_batch_size.png")
