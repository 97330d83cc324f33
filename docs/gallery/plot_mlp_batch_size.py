"""
The batch size of a network: equal epochs, equal updates
========================================================

The same network on scikit-learn's digits with 1, 16, 128 and all rows an update, under two budgets: a number of epochs
(``max_iter``), which gives every batch size the same number of rows, and a number of updates (``max_updates``), which
gives every batch size the same number of steps, and the larger ones more rows.

Rates are constant here; the default, ``learning_rate="auto"``, needs no tuning. A constant rate belongs
to the batch size and to the budget, so each pair of them is tuned over the same grid: the rate with the lowest loss at
the end of the budget, on rows held out of the training rows. Then the network is trained on all training rows, from
three seeds. Nothing is chosen by the test rows.

The full batch makes 30 steps in 30 epochs, and none of the rates makes them enough: it ends behind, in the loss on the
training rows most of all. In 1000 updates single rows have not yet seen all of the data, and end behind in turn. Among
the other sizes the test accuracies differ about as little as those of the seeds do.
"""

import warnings
from itertools import count, takewhile

import matplotlib

matplotlib.use("Agg")  # the picture is saved, not shown

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from minibatch import MiniBatchMLPClassifier

BATCH_SIZES = [1, 16, 128, "full"]
BUDGETS = {"30 epochs": {"max_iter": 30}, "1000 updates": {"max_iter": 1000, "max_updates": 1000}}
RATES = np.logspace(-3, 0, 7)
SEEDS = range(3)

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.25, stratify=y, random_state=0)
X_fit, X_held, y_fit, y_held = train_test_split(X_train, y_train, test_size=0.2, stratify=y_train, random_state=0)


def network(size, rate, seed, budget):
    """32 hidden units; SGD with Nesterov's momentum of 0.9 at a constant rate, to the end of the budget."""
    return MiniBatchMLPClassifier(
        (32,),
        solver="sgd",
        batch_size=size,
        learning_rate="constant",
        learning_rate_init=rate,
        random_state=seed,
        tol=None,
        **budget,
    )


def tuned_rate(size, budget):
    """The rate with the lowest loss on the held-out rows at the end of the budget."""

    def loss(rate):
        model = network(size, rate, SEEDS[0], budget).fit(X_fit, y_fit, X_val=X_held, y_val=y_held)
        return np.inf if model.status_ == "diverged" else model.history_["validation_loss"][-1]

    with warnings.catch_warnings():  # some of the rates are meant to be too high
        warnings.simplefilter("ignore", ConvergenceWarning)
        return min(RATES, key=loss)


def watch(model, rows, labels):
    """The history of a run, with loss and accuracy on some rows as its "validation" columns; they do not change the
    training. The history has one row an epoch; a fit of fewer updates is the beginning of a longer one of the same
    seed, so short fits show what happened within the first epoch."""
    histories = [model.fit(X_train, y_train, X_val=rows, y_val=labels).history_.to_frame()]
    with warnings.catch_warnings():  # an update or two may end above the beginning
        warnings.simplefilter("ignore", ConvergenceWarning)
        for updates in takewhile(lambda k: k < histories[0]["n_updates"][0], (2**k for k in count())):
            short = clone(model).set_params(max_updates=updates).fit(X_train, y_train, X_val=rows, y_val=labels)
            histories.append(short.history_.to_frame())
    history = pd.concat(histories).sort_values("n_updates", ignore_index=True)
    return history.assign(epochs=history["n_samples_seen"] / len(y_train)).rename(columns={"n_updates": "updates"})


def curves(size, rate, budget):
    """Means over the seeds, for the training rows and the test rows, and the last row of every seed's test curve."""
    parts = {"train": (X_train, y_train), "test": (X_test, y_test)}
    runs = {part: [watch(network(size, rate, seed, budget), *rows) for seed in SEEDS] for part, rows in parts.items()}
    ends = pd.DataFrame([run.iloc[-1] for run in runs["test"]])
    return {part: sum(frames) / len(frames) for part, frames in runs.items()}, ends


def row_of_table(size, rate, means, ends):
    """What a batch size came to at the end of a budget."""
    last, score = means["test"].iloc[-1], ends["validation_score"]
    return {
        "batch_size": size,
        "rate": f"{rate:.2g}",
        "updates": f"{last['updates']:.0f}",
        "epochs": f"{last['epochs']:.4g}",
        "seconds": f"{last['seconds']:.2g}",
        "train loss": f"{means['train']['validation_loss'].iloc[-1]:.3f}",
        "test loss": f"{last['validation_loss']:.3f}",
        "test accuracy": f"{score.mean():.3f} +- {score.std():.3f}",
    }


# %%
# One row of panels a budget, with the means over the seeds. Accuracies are shown from 0.8 up. ``seconds`` in the table
# is the time of the training alone.

COLOURS = dict(zip(BATCH_SIZES, plt.get_cmap("viridis")([0.0, 0.33, 0.62, 0.88]), strict=True))
MARKS = dict(zip(BATCH_SIZES, "osD^", strict=True))
STYLES = {"train": {"linestyle": "--", "markerfacecolor": "white"}, "test": {"linestyle": "-"}}


def draw(axes, x, size, means):
    """Loss (left) and accuracy (right) against epochs or updates, in a figure's row."""
    for ax, column in zip(axes, ("validation_loss", "validation_score"), strict=True):
        for part, mean in means.items():
            places = np.searchsorted(mean[x], np.geomspace(mean[x].iloc[0], mean[x].iloc[-1], 7) * (1 - 1e-9))
            style = {"color": COLOURS[size], "marker": MARKS[size], "markersize": 5, **STYLES[part]}
            ax.plot(mean[x], mean[column], markevery=[*np.unique(places)], **style)


figure, axes = plt.subplots(2, 2, figsize=(11, 8.3), layout="constrained")
for row, (name, budget) in enumerate(BUDGETS.items()):
    x, table = name.split()[1], []
    for size in BATCH_SIZES:
        rate = tuned_rate(size, budget)
        means, ends = curves(size, rate, budget)
        table.append(row_of_table(size, rate, means, ends))
        draw(axes[row], x, size, means)
    print(f"\n{name} for every batch size, each at its own rate (means over {len(SEEDS)} seeds):")
    print(pd.DataFrame(table).set_index("batch_size").to_string())
    for ax, label in zip(axes[row], ("Cross-entropy", "Accuracy"), strict=True):
        ax.set(xscale="log", xlabel=x.capitalize(), ylabel=label)
        ax.set_title(f"{name} for each: {label.lower()}", loc="left", fontsize="medium")
        ax.set_xlim(left=0.05 if x == "epochs" else None)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.grid(color="0.92")
    axes[row, 0].set_yscale("log")
    axes[row, 0].yaxis.set_major_formatter("{x:g}")
    axes[row, 1].set(ylim=(0.8, 1.005), yticks=np.linspace(0.8, 1, 5))

sizes = [Line2D([], [], color=COLOURS[size], marker=MARKS[size], label=f"batch_size {size}") for size in BATCH_SIZES]
parts = [Line2D([], [], color="0.3", marker="o", label=f"{part} rows", **style) for part, style in STYLES.items()]
figure.legend(handles=[*sizes, *parts], loc="outside lower center", ncols=6)
figure.savefig("mlp_batch_size.png", dpi=120)
print("\nPicture: mlp_batch_size.png")
