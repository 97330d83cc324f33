"""
What people say about batch sizes, measured
===========================================

Five claims, each put to the test on scikit-learn's digits or on made-up data with noise. The script prints the figures
and whether the claim holds, and draws them.

1. *A smaller batch needs fewer epochs.* Softmax regression on the digits, to a test loss of 0.2. It holds at one
   learning rate for all sizes. At the best rate of each, 1, 4 and 16 rows need the same.
2. *A larger batch needs fewer updates*, at its own rate: in proportion at first, then less and less, in the end none.
3. *A larger batch needs fewer seconds.* From one row to a few, if at all: on a problem this small an epoch takes about
   as long at every size, so the sizes that need the fewest epochs win. Look at your own problem.
4. *At a constant rate, noise keeps the loss above its minimum, less so for larger batches.* Linear regression. It
   holds, and more than theory for fresh rows says, which is printed beside it: where the steps of a whole epoch are
   remembered, the errors of rows that come once an epoch cancel, most of all at its end.
5. *Large batches generalize otherwise than small ones.* A network on labels of which a tenth are wrong. After equal
   epochs the gap between training and test accuracy is far smaller for the full batch. After equal updates it is not:
   what closed the gap was training less.
"""

import warnings

import matplotlib

matplotlib.use("Agg")  # the picture is saved, not shown

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ShuffleSplit, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch.model_selection import convergence_curve
from minibatch.plotting import (
    BatchSizeScalingDisplay,
    ConvergenceDisplay,
    GeneralizationGapDisplay,
)

FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)
SIZES = [1, 4, 16, 64, 256, "full"]
RATES = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
TARGET = {"test_loss": 0.2}


def verdict(claim, holds, figures):
    print(f"{claim}: {'holds' if holds else 'does not hold'}\n    {figures}")


def listed(values, digits=".3g"):
    return ", ".join(
        "not reached" if np.isnan(value) else f"{value:{digits}}" for value in values
    )


# %%
# Claims 1 to 3: epochs, updates and seconds to a target
# ------------------------------------------------------
# The best rate of a size is the one that reaches the target in the fewest epochs, in every fold. The highest ones
# diverge: what warns of it is expected here, and not shown.

X, y = load_digits(return_X_y=True)
softmax = MiniBatchSGDClassifier(
    "log_loss",
    multi_class="multinomial",
    learning_rate="constant",
    eta0=0.1,
    tol=None,
    random_state=0,
)
model = make_pipeline(MinMaxScaler(), softmax)
shared = {"cv": FOLDS, "budget": {"epochs": 40}, "target": TARGET}


def best_rate(size):
    model.set_params(minibatchsgdclassifier__batch_size=size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        summary = convergence_curve(
            model, X, y, param_name="eta0", param_range=RATES, **shared
        ).summary_
    return RATES[
        np.argmin(
            np.where(summary["reached"] == 1, summary["epochs_to_target"], np.inf)
        )
    ]


one_rate = convergence_curve(
    model, X, y, param_range=SIZES, evaluations_per_epoch=4, **shared
)
own_rates = convergence_curve(
    model,
    X,
    y,
    param_range=SIZES,
    paired_params={"eta0": [best_rate(size) for size in SIZES]},
    evaluations_per_epoch=4,
    **shared,
)
print(one_rate, own_rates, sep="\n\n", end="\n\n")


def never_falls(values):
    last_if_not_reached = np.nan_to_num(values, nan=np.inf)
    return bool(np.all(last_if_not_reached[1:] >= last_if_not_reached[:-1]))


def falls_up_to(values):
    """The batch size up to which every value is below the one before."""
    falls = np.diff(values) < 0
    return SIZES[len(falls) if falls.all() else int(np.argmin(falls))]


for rates, curve in {
    "one rate for all": one_rate,
    "each at its own rate": own_rates,
}.items():
    epochs = curve.summary_["epochs_to_target"]
    verdict(
        f"1. A smaller batch needs fewer epochs, {rates}",
        never_falls(epochs),
        f"epochs: {listed(epochs)}",
    )
updates, seconds = (
    own_rates.summary_[f"{unit}_to_target"] for unit in ("updates", "seconds")
)
for claim, values, shown in (
    (
        "2. A larger batch needs fewer updates",
        updates,
        f"updates: {listed(updates, '.0f')}",
    ),
    (
        "3. A larger batch needs fewer seconds",
        seconds,
        f"milliseconds: {listed(1000 * seconds)}",
    ),
):
    largest = falls_up_to(values)
    verdict(
        claim,
        largest == "full",
        f"{shown}; fewer and fewer up to a batch size of {largest}",
    )

# %%
# Claim 4: the noise floor of a constant rate
# -------------------------------------------
# The training loss above its minimum, the mean over the last 20 of 60 epochs, in the middle and at the end of epochs.
# For rows that are never seen twice the excess is ``eta d ``sigma^2`` / (2 (2 B - eta (B + d + 1)))`` in expectation: from
# the stationary state of ``E|w - w*|^2`` with normal rows of d columns, unit variance, and errors of variance ``sigma^2``.

rng = np.random.default_rng(0)
A = rng.standard_normal((2000, 20))
b = A @ rng.standard_normal(20) + rng.standard_normal(2000)
halves = list(ShuffleSplit(4, test_size=0.5, random_state=0).split(A))
least = [
    np.mean((A[train] @ np.linalg.lstsq(A[train], b[train])[0] - b[train]) ** 2) / 2
    for train, _ in halves
]
rate = 0.02
regression = MiniBatchSGDRegressor(
    penalty=None,
    fit_intercept=False,
    learning_rate="constant",
    eta0=rate,
    tol=None,
    random_state=0,
)
floor_sizes = [1, 2, 4, 8, 16, 32]
floors = convergence_curve(
    regression,
    A,
    b,
    param_range=floor_sizes,
    cv=halves,
    budget={"epochs": 60},
    evaluations_per_epoch=2,
)
excess = (floors.curves_["train_loss"] - np.array(least)[:, None])[:, :, -40:].mean(
    axis=1
)
middle, end = excess[:, 0::2].mean(axis=1), excess[:, 1::2].mean(axis=1)
fresh = np.array(
    [
        rate * 20 * 2 * np.mean(least) / (2 * (2 * B - rate * (B + 21)))
        for B in floor_sizes
    ]
)
verdict(
    "4. The noise floor falls with the batch size",
    never_falls(-middle) and never_falls(-end),
    f"excess in the middle of an epoch: {listed(middle)}\n    at the end of an epoch: {listed(end)}\n"
    f"    theory for fresh rows: {listed(fresh)}",
)

# %%
# Claim 5: generalization at equal epochs and at equal updates
# ------------------------------------------------------------
# A gap differs from that of the smallest batch if the interval of the difference, fold by fold, leaves out 0.

noisy_X, noisy_y = make_classification(
    1000, 30, n_informative=10, flip_y=0.2, random_state=0
)
network = make_pipeline(
    StandardScaler(),
    MiniBatchMLPClassifier(
        (64,),
        solver="sgd",
        momentum=0.0,
        learning_rate="constant",
        learning_rate_init=0.1,
        alpha=0,
        tol=None,
        random_state=0,
    ),
)
noisy_sizes = [4, 16, 64, "full"]
budgets = {"epoch": {"epochs": 60}, "n_updates": {"updates": 1500}}
gaps = {
    x: convergence_curve(
        network, noisy_X, noisy_y, param_range=noisy_sizes, cv=FOLDS, budget=budget
    )
    for x, budget in budgets.items()
}
for curve in gaps.values():
    gap = curve.folds_["train_score"] - curve.folds_["test_score"]
    difference = gap[-1] - gap[0]
    verdict(
        f"5. The full batch has a smaller gap than batches of {noisy_sizes[0]}, budget {curve.budget}",
        bool(difference.max() < 0),
        f"gaps: {listed(curve.summary_['mean_generalization_gap'])}; test accuracies: "
        f"{listed(curve.summary_['mean_test_score'])}; difference in each fold: {listed(difference)}",
    )

# %%
# The picture
# -----------

figure, axes = plt.subplots(2, 3, figsize=(17, 9.5), layout="constrained")
ConvergenceDisplay.from_curve(
    one_rate, ax=axes[0, 0], x="epoch", y="test_loss", log_y=True
)
BatchSizeScalingDisplay.from_curve(own_rates, ax=axes[0, 1], y="updates_to_target")
ConvergenceDisplay.from_curve(
    own_rates, ax=axes[0, 2], x="seconds", y="test_loss", log_x=True, log_y=True
)
for floor, name, style in (
    (middle, "middle of an epoch", "o-"),
    (end, "end of an epoch", "s--"),
):
    axes[1, 0].loglog(floor_sizes, floor, style, color="black", label=name)
axes[1, 0].loglog(floor_sizes, fresh, ":", color="black", label="theory, fresh rows")
axes[1, 0].set(
    xlabel="Batch size", ylabel="Training loss above its minimum", xticks=floor_sizes
)
axes[1, 0].set_xticks(floor_sizes, [str(size) for size in floor_sizes])
axes[1, 0].minorticks_off()
axes[1, 0].legend()
for ax, (x, curve) in zip(axes[1, 1:], gaps.items(), strict=True):
    GeneralizationGapDisplay.from_curve(curve, ax=ax, x=x)
titles = [
    "1. One rate",
    "2. Own rates",
    "3. Own rates",
    "4. Noise floor",
    "5. Equal epochs",
    "5. Equal updates",
]
for ax, title in zip(axes.flat, titles, strict=True):
    ax.set_title(f"{title}\n{ax.get_title(loc='left')}", loc="left", fontsize="medium")
figure.savefig("convergence_and_generalization.png")
print("\nsaved convergence_and_generalization.png")
