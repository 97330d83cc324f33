"""Seconds of an epoch, epochs to a target, and their product: python benchmarks/questions/training_time.py"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, among, listed, rows, write
from sklearn.model_selection import ShuffleSplit

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.model_selection import convergence_curve

SIZES = [1, 4, 16, 64, 256, 1024, 4096]
FOLDS = ShuffleSplit(3, test_size=0.25, random_state=0)
TASKS = {
    "adult (linear)": ("adult", MiniBatchSGDClassifier("log_loss"), 0.33),
    "letter (network)": ("letter", MiniBatchMLPClassifier((100,), solver="sgd", learning_rate="auto"), 0.6),
}
EPOCHS = 60


def summary(name, model, loss):
    X, y = rows(name, 20_000)
    model.set_params(tol=None, random_state=0)
    curve = convergence_curve(
        model, X, y, param_range=SIZES, cv=FOLDS, budget={"epochs": EPOCHS}, target={"test_loss": loss},
        evaluations_per_epoch=4,
    )  # fmt: skip
    found = curve.summary_
    return found["seconds"] / EPOCHS, found["epochs_to_target"], found["seconds_to_target"]


def main():
    found = {task: summary(*task_of) for task, task_of in TASKS.items()}
    titles = ("seconds of an epoch", "epochs to the target", "seconds to the target")
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
        for ax, title, *values in zip(axes, titles, *found.values(), strict=True):
            for task, points, style in zip(found, values, ("o-", "s--"), strict=True):
                ax.loglog(SIZES, points, style, label=task)
            ax.set(title=title, xlabel="batch size")
        axes[0].legend()
    epoch, epochs, seconds = (dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True))
    gains = {task: values[0] / values.min() for task, values in epoch.items()}
    best = {task: SIZES[int(np.nanargmin(values))] for task, values in seconds.items()}
    lost = {task: np.nan_to_num(values, nan=np.inf)[-1] / np.nanmin(values) for task, values in seconds.items()}
    claims = [
        (
            "Larger batches make epochs shorter.",
            among(gain > 2 for gain in gains.values()),
            "; ".join(f"{task}: single rows take {gain:.1f} times the quickest" for task, gain in gains.items()),
        ),
        (
            "Larger batches need more epochs.",
            among(later > 1.05 * earlier for values in epochs.values() for earlier, later in pairwise(values)),
            "; ".join(f"{task}: epochs at {listed(SIZES)} rows {listed(epochs[task], '.3g')}" for task in TASKS),
        ),
        (
            "The largest batch is the quickest.",
            among(times < 1.2 for times in lost.values()),
            "; ".join(
                f"{task}: quickest {best[task]}, {SIZES[-1]} rows take {lost[task]:.1f} times that" for task in TASKS
            ),
        ),
    ]
    about = "20,000 rows, three splits; targets are test losses: 0.33 on adult, 0.6 on letter."
    write("training_time", figure, claims, about)


if __name__ == "__main__":
    main()
