"""Which sizes come within a fifth of the quickest, on many data sets: python benchmarks/questions/common_sizes.py"""

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, among, rows, write

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor

SIZES = 2 ** np.arange(13)
CLASSES = ("adult", "covtype_93k", "letter", "spambase", "isolet")
NUMBERS = ("bike_hour", "naval", "protein", "power_plant", "diamonds")
EPOCHS, SEEDS, SLACK = 30, 3, 1.2


def models(name, y):
    """Linear, and for classes a network too; y of numbers is scaled."""
    if name in NUMBERS:
        return {f"{name} (linear)": MiniBatchSGDRegressor()}
    network = MiniBatchMLPClassifier((50,), solver="sgd", learning_rate="auto")
    return {f"{name} (linear)": MiniBatchSGDClassifier("log_loss"), f"{name} (network)": network}


def seconds_to_target(model, X, y):
    """Of every size, the median over seeds of the time until 2 % of the fall of the objective is left."""
    runs = [
        [
            model.set_params(batch_size=int(size), max_iter=EPOCHS, tol=None, evaluate_every=1, random_state=seed)
            .fit(X, y)
            .history_
            for seed in range(SEEDS)
        ]
        for size in SIZES
    ]
    objectives = np.array([[run["objective"] for run in one] for one in runs])
    seconds = np.array([[run["seconds"] for run in one] for one in runs])
    start = objectives[-1, :, 0].max()  # after one epoch of the largest batches: hardly below where all begin
    goal = objectives.min() + 0.02 * (start - objectives.min())
    first = np.argmax(objectives <= goal, axis=2)[..., None]
    times = np.where(objectives.min(axis=2) <= goal, np.take_along_axis(seconds, first, axis=2)[..., 0], np.inf)
    return np.median(times, axis=1)


def main():
    found = {}
    for name in (*CLASSES, *NUMBERS):
        X, y = rows(name, 8000)
        if name in NUMBERS:
            y = (y - y.mean()) / y.std()
        for task, model in models(name, y).items():
            found[task] = seconds_to_target(model, X, y)
    good = {task: times <= SLACK * times.min() for task, times in found.items()}
    best = {task: int(SIZES[np.argmin(times)]) for task, times in found.items()}
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(8, 0.3 * len(found) + 1), layout="constrained")
        for height, task in enumerate(reversed(found)):
            about = ax.plot(SIZES[good[task]], np.full(good[task].sum(), height), "s", color="C0", ms=7, alpha=0.5)
            quickest = ax.plot(best[task], height, "o", color="C1")
        between = ax.axvspan(2, 32, color="0.5", alpha=0.15, lw=0)
        words = ["quickest", f"within {SLACK - 1:.0%} of its time", "2 to 32 rows"]
        figure.legend([*quickest, *about, between], words, loc="outside lower center", ncols=3)
        ax.set(xscale="log", xlabel="batch size", yticks=range(len(found)), yticklabels=list(reversed(found)))
        ax.set_xticks(SIZES[::2], [str(size) for size in SIZES[::2]])
        ax.minorticks_off()
    at_32 = np.array([times[5] / times.min() for times in found.values()])
    small = sum(2 <= size <= 32 for size in best.values())
    single, whole = (np.array([times[place] / times.min() for times in found.values()]) for place in (0, -1))
    claims = [
        (
            "32 is a good default.",
            among(at_32 <= 2),
            f"within twice the quickest size's time on {np.sum(at_32 <= 2)} of {len(found)}, not there within {EPOCHS} "
            f"epochs on {np.sum(np.isinf(at_32))}",
        ),
        (
            "Batches of 2 to 32 are best (Masters & Luschi 2018).",
            among(2 <= size <= 32 for size in best.values()),
            f"the quickest size is in that range on {small} of {len(found)}; sizes: "
            + ", ".join(f"{size} ({task})" for task, size in best.items()),
        ),
        (
            "Single rows are for textbooks only.",
            among(single > 2),
            f"within twice the quickest size's time on {np.sum(single <= 2)} of {len(found)}",
        ),
        (
            "The larger the better, up to what memory holds.",
            among(whole <= SLACK),
            f"{SIZES[-1]:,} rows are within a fifth of the quickest on {np.sum(whole <= SLACK)} of {len(found)}",
        ),
    ]
    about = (
        f'8,000 rows at most, {SEEDS} seeds, `learning_rate="auto"`; time of training until 2 % of the fall of the '
        f"objective is left, among {EPOCHS} epochs of every size."
    )
    write("common_sizes", figure, claims, about)


if __name__ == "__main__":
    main()
