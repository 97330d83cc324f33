"""Single rows, mini-batches and all rows, by epoch, update and second: python benchmarks/questions/descent.py"""

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, listed, rows, write
from matplotlib.ticker import LogLocator

from minibatch import MiniBatchSGDClassifier

SIZES = {1: "stochastic", 32: "mini-batch", "full": "batch"}
EPOCHS = 100


def model_of(size, **parameters):
    return MiniBatchSGDClassifier("log_loss", batch_size=size, tol=None, random_state=0, **parameters)


def rises(objectives):
    """The share of epochs after which the objective is higher than before."""
    return np.mean(np.diff(objectives) > 1e-12 * objectives[:-1])


def main():
    X, y = rows("adult", 20_000)
    optimum = model_of("full", solver="lbfgs", max_iter=2000, evaluate_every=1).fit(X, y).history_["objective"][-1]
    auto, constant = {}, {}
    for size in SIZES:
        auto[size] = model_of(size, max_iter=EPOCHS, evaluate_every=1).fit(X, y).history_
        rate = {"learning_rate": "constant", "eta0": 1.0 if size == "full" else 0.01}
        constant[size] = model_of(size, max_iter=EPOCHS, evaluate_every=1, **rate).fit(X, y).history_
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
        for ax, x in zip(axes, ("epoch", "n_updates", "seconds"), strict=True):
            for size, name in SIZES.items():
                ax.loglog(auto[size][x], auto[size]["objective"] / optimum - 1, label=f"{name} ({size})")
            ax.set(xlabel={"epoch": "epochs", "n_updates": "updates", "seconds": "seconds"}[x])
            if x == "seconds":
                ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                ax.xaxis.set_major_formatter("{x:g}")
            ax.minorticks_off()
        axes[0].set_ylabel("objective above the optimum, relative")
        axes[0].legend()
    above = {size: 100 * (auto[size]["objective"][-1] / optimum - 1) for size in SIZES}
    stays = {size: 100 * (constant[size]["objective"][-1] / optimum - 1) for size in SIZES}
    ups = {size: 100 * rises(constant[size]["objective"]) for size in SIZES}
    first = {size: 1 + np.sum(auto[size]["objective"] > 1.05 * optimum) for size in SIZES}
    claims = [
        (
            "Stochastic descent is noisy, batch descent goes down all the time.",
            bool(ups[1] > 10 and ups["full"] == 0),
            f"epochs that end higher than they began, at constant rates: {ups[1]:.0f} % in single rows, "
            f"{ups[32]:.0f} % in batches of 32, {ups['full']:.0f} % with all rows",
        ),
        (
            "Stochastic descent never settles at the minimum.",
            None if stays[1] > 10 * above[1] else bool(above[1] > 1),
            f"after {EPOCHS} epochs in single rows: {stays[1]:.2g} % above the optimum at a constant rate, "
            f'{above[1]:.2g} % with `"auto"`, whose model is an average',
        ),
        (
            "Batch descent ends nearest to the optimum.",
            bool(above["full"] < min(above[1], above[32])),
            f'after {EPOCHS} epochs with `"auto"`, % above the optimum at 1, 32 and all rows: '
            + listed(list(above.values()), ".2g"),
        ),
        (
            "Mini-batches need no more epochs than single rows, and fewer than full batches.",
            bool(first[32] <= 2 * first[1] and first[32] < first["full"]),
            "epochs to 5 % above the optimum: " + ", ".join(f"{first[size]} ({name})" for size, name in SIZES.items()),
        ),
    ]
    write("descent", figure, claims, f"Logistic regression on 20,000 rows of adult, {EPOCHS} epochs.")


if __name__ == "__main__":
    main()
