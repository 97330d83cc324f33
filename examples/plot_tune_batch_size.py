"""
Tune the batch size of a linear model
=====================================

``GridSearchCV`` over ``batch_size`` together with ``eta0``, in a pipeline, on two data sets that come with
scikit-learn. Batch size and learning rate are one decision: a rate that is right for one row an update is far too low
for the full data set, so each size is judged by its own best rate.

Every candidate trains for the same number of epochs. The table says for each size, at its best rate, the score in
cross-validation and what it took to bring the training objective down to a target: the size that needs the fewest
epochs is not the one that needs the fewest updates, and neither need be the fastest. The picture shows the same runs.
"""

import matplotlib

matplotlib.use("Agg")  # the picture is saved, not shown

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.callback import ProgressBar
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchSGDClassifier

BATCH_SIZES = [1, 8, 32, 128, 0.25, "full"]
RATES = np.logspace(-3, 0, 7)
EPOCHS = 60


def tune(X, y):
    """Grid search over both parameters; all candidates see the same sample orders."""
    model = Pipeline(
        [
            ("scale", StandardScaler()),
            (
                "sgd",
                MiniBatchSGDClassifier(
                    "log_loss",
                    multi_class="multinomial",
                    learning_rate="constant",
                    alpha=1e-3,
                    max_iter=EPOCHS,
                    tol=None,  # equal epochs for all
                    random_state=0,
                ),
            ),
        ]
    )
    grid = {"sgd__batch_size": BATCH_SIZES, "sgd__eta0": RATES}
    return GridSearchCV(model, grid, cv=5, n_jobs=2).set_callbacks(ProgressBar(max_propagation_depth=0)).fit(X, y)


def best_of_each_size(search):
    """The row of ``cv_results_`` with the best score, for every batch size."""
    results = pd.DataFrame(search.cv_results_)
    sizes = results["param_sgd__batch_size"].astype(str)
    return {size: results[sizes == str(size)].nlargest(1, "mean_test_score").iloc[0] for size in BATCH_SIZES}


def histories(search, best, X, y):
    """Train once more on all rows at each size's best rate, with the objective evaluated after every epoch."""
    runs = {}
    for size, row in best.items():
        model = search.estimator.set_params(**row["params"], sgd__evaluate_every=1).fit(X, y)
        runs[size] = model[-1].history_
    return runs


def table(best, runs, target):
    """Score of every size, and epochs, updates and seconds until the objective reached the target (NaN: never)."""
    rows = []
    for size, history in runs.items():
        reached = np.flatnonzero(history["objective"] <= target)[:1]
        cost = {name: next(iter(history[name][reached]), np.nan) for name in ("epoch", "n_updates", "seconds")}
        score = f"{best[size]['mean_test_score']:.3f} +- {best[size]['std_test_score']:.3f}"
        rows.append({"batch_size": size, "best eta0": best[size]["param_sgd__eta0"], "score": score, **cost})
    return pd.DataFrame(rows).set_index("batch_size").rename(columns={"epoch": "epochs", "n_updates": "updates"})


def draw(axes, runs, target):
    """Objective against epochs (left) and against updates (right); the marks tell sizes apart without colour."""
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(runs)))
    for (size, history), colour, mark in zip(runs.items(), colours, "osD^vX", strict=True):
        for ax, name in zip(axes, ("epoch", "n_updates"), strict=True):
            every = np.unique(np.geomspace(1, EPOCHS, 9).astype(int)) - 1
            ax.plot(history[name], history["objective"], color=colour, marker=mark, markevery=list(every), label=size)
    for ax, label in zip(axes, ("Epochs", "Updates"), strict=True):
        ax.axhline(target, color="0.5", linestyle=":", linewidth=1)
        ax.set(xscale="log", yscale="log", xlabel=label, ylabel="Training objective")


figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained", sharey="row")
for row, (name, load) in enumerate({"digits": load_digits, "breast cancer": load_breast_cancer}.items()):
    X, y = load(return_X_y=True)
    search = tune(X, y)
    best = best_of_each_size(search)
    runs = histories(search, best, X, y)
    target = 1.5 * min(history["objective"].min() for history in runs.values())
    print(f"\n{name}: {len(y)} rows, best {search.best_params_}, score {search.best_score_:.3f}")
    print(f"At each size's best rate, cost of a training objective of {target:.3g}:")
    print(table(best, runs, target).to_string(float_format="{:.3g}".format, na_rep="never"))
    draw(axes[row], runs, target)
    axes[row, 0].set_title(f"{name.capitalize()}: the same runs, by epochs ...", loc="left", fontsize="medium")
    axes[row, 1].set_title("... and by updates (dotted: the target)", loc="left", fontsize="medium")
    axes[row, 1].legend(title="batch_size", loc="center left", bbox_to_anchor=(1.02, 0.5))

figure.savefig("tune_batch_size.png", dpi=120)
print("\nPicture: tune_batch_size.png")
