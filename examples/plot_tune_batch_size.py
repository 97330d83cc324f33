"""
Tune the batch size of a linear model
=====================================

A grid search over ``batch_size`` alone, in a pipeline, on two data sets that come with scikit-learn. Nothing says a
learning rate: ``learning_rate="auto"``, the default, finds those of every batch size as it trains.

Is that fair? The check is what one would do without it: every batch size along with every one of seven constant rates,
seven times the fits. ``MiniBatchGridSearchCV`` finds what ``GridSearchCV`` would find, in less time. The table has both
scores in cross-validation, that at rates of its own and that at the best of seven (which this very score has picked),
and what each size took to bring the training objective down to a target: the size that needs the fewest epochs is not
the one that needs the fewest updates, and neither need be the fastest. The picture shows the fits of the search at
their own rates, by epochs and by updates.

A quarter of 1797 rows is 449, and leaves one row over: an update that follows one row at a rate for 449. So short last
batches are dropped.
"""

import warnings

import matplotlib

matplotlib.use("Agg")  # the picture is saved, not shown

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchSGDClassifier
from minibatch.model_selection import MiniBatchGridSearchCV
from minibatch.plotting import ConvergenceDisplay

BATCH_SIZES = [1, 8, 32, 128, 0.25, "full"]
RATES = np.logspace(-3, 0, 7)
EPOCHS = 60


def model(**parameters):
    sgd = MiniBatchSGDClassifier(
        "log_loss",
        multi_class="multinomial",
        alpha=1e-2,
        max_iter=EPOCHS,
        random_state=0,
        tol=None,
        last_batch="drop",  # equal epochs for all
        **parameters,
    )
    return Pipeline([("scale", StandardScaler()), ("sgd", sgd)])


def search(estimator, X, y, **grid):
    """All candidates see the same sample orders."""
    grid = {f"sgd__{name}": values for name, values in grid.items()}
    return MiniBatchGridSearchCV(estimator, grid, cv=5, n_jobs=2).fit(X, y)


def best_of_each_size(searched):
    """The row of ``cv_results_`` with the best score, for every batch size."""
    results = pd.DataFrame(searched.cv_results_)
    sizes = results["param_sgd__batch_size"].astype(str)
    return {
        size: results[sizes == str(size)].nlargest(1, "mean_test_score").iloc[0]
        for size in BATCH_SIZES
    }


def histories(X, y):
    """Train once more on all rows, with the objective evaluated after every epoch."""
    return {
        size: model(batch_size=size, evaluate_every=1).fit(X, y)[-1].history_
        for size in BATCH_SIZES
    }


def table(alone, joint, runs, target):
    """Scores of every size, and epochs, updates and seconds until the objective reached the target (NaN: never)."""
    rows = []
    for size, history in runs.items():
        reached = np.flatnonzero(history["objective"] <= target)[:1]
        cost = {
            name: next(iter(history[name][reached]), np.nan)
            for name in ("epoch", "n_updates", "seconds")
        }
        scores = {
            name: f"{best[size]['mean_test_score']:.3f} +- {best[size]['std_test_score']:.3f}"
            for name, best in (("score", alone), (f"best of {len(RATES)} rates", joint))
        }
        rows.append(
            {
                "batch_size": size,
                **scores,
                "at eta0": joint[size]["param_sgd__eta0"],
                **cost,
            }
        )
    return (
        pd.DataFrame(rows)
        .set_index("batch_size")
        .rename(columns={"epoch": "epochs", "n_updates": "updates"})
    )


figure, axes = plt.subplots(2, 2, figsize=(14, 8), layout="constrained")
for row, (name, load) in enumerate(
    {"digits": load_digits, "breast cancer": load_breast_cancer}.items()
):
    X, y = load(return_X_y=True)
    alone = search(model(), X, y, batch_size=BATCH_SIZES)
    with warnings.catch_warnings():  # some of the rates are meant to be too high
        warnings.simplefilter("ignore", ConvergenceWarning)
        joint = search(
            model(learning_rate="constant"), X, y, batch_size=BATCH_SIZES, eta0=RATES
        )
    runs = histories(X, y)
    target = 1.05 * min(history["objective"].min() for history in runs.values())
    print(f"\n{name}: {len(y)} rows")
    for what, found in (("alone", alone), ("and rates", joint)):
        best = ", ".join(
            f"{value:.3g}" if isinstance(value, float) else str(value)
            for value in found.best_params_.values()
        )
        print(f"batch sizes {what}: best {best}, {found.best_score_:.3f}")
    print(f"Scores, and the cost of a training objective of {target:.3g}:")
    shown = table(best_of_each_size(alone), best_of_each_size(joint), runs, target)
    print(shown.to_string(float_format="{:.3g}".format, na_rep="never"))
    for ax, x in zip(axes[row], ("epoch", "n_updates"), strict=True):
        ConvergenceDisplay.from_search(
            alone, range(len(BATCH_SIZES)), ax=ax, x=x, log_y=True
        )
        ax.set_title(
            f"{name.capitalize()}\n{ax.get_title(loc='left')}",
            loc="left",
            fontsize="medium",
        )

figure.savefig("tune_batch_size.png", dpi=120)
print("\nPicture: tune_batch_size.png")
