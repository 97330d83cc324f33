"""What hangs on the batch size, at one rate and at own rates: python benchmarks/questions/importance.py"""

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, among, listed, rows, write
from sklearn.model_selection import ShuffleSplit

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.model_selection import convergence_curve

SIZES = [1, 8, 64, 512, "full"]
FOLDS = ShuffleSplit(3, test_size=0.25, random_state=0)
EPOCHS = 20
TASKS = {
    "adult (linear)": ("adult", MiniBatchSGDClassifier("log_loss", tol=None, random_state=0)),
    "covtype (linear)": ("covtype_93k", MiniBatchSGDClassifier("log_loss", tol=None, random_state=0)),
    "letter (network)": ("letter", MiniBatchMLPClassifier((50,), solver="sgd", tol=None, random_state=0)),
}
RATES = {"one rate for all": {"learning_rate": "constant"}, "its own rates": {"learning_rate": "auto"}}


def summaries(name, model):
    X, y = rows(name, 20_000)
    found = {}
    for rates, parameters in RATES.items():
        curve = convergence_curve(
            model.set_params(**parameters), X, y, param_range=SIZES, cv=FOLDS, budget={"epochs": EPOCHS}
        )
        found[rates] = curve.summary_["mean_test_score"]
        seconds = curve.summary_["seconds"]
    return found, seconds


def main():
    found = {task: summaries(*task_of) for task, task_of in TASKS.items()}
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
        for ax, (task, (scores, _)) in zip(axes, found.items(), strict=True):
            for (rates, values), style in zip(scores.items(), ("s--", "o-"), strict=True):
                ax.plot(values, style, label=rates)
            ax.set(title=task, xticks=range(len(SIZES)), xticklabels=SIZES, xlabel="batch size")
        axes[0].set_ylabel(f"test accuracy after {EPOCHS} epochs")
        axes[0].legend()
    points = {rates: [100 * np.ptp(scores[rates]) for scores, _ in found.values()] for rates in RATES}
    one, own = points.values()
    times = [seconds.max() / seconds.min() for _, seconds in found.values()]
    best = {
        task: tuple(SIZES[int(np.argmax(values))] for values in scores.values()) for task, (scores, _) in found.items()
    }
    names = ", ".join(TASKS)
    claims = [
        (
            "The batch size makes or breaks a model.",
            among(np.array([one, own]).ravel() > 5),
            f"best less worst size, in points of accuracy ({names}): {listed(one, '.1f')} at one rate for all sizes, "
            f"{listed(own, '.1f')} where each has its own rates",
        ),
        (
            "The size that is best at one rate is the best.",
            among(ours == other for ours, other in best.values()),
            "best sizes at one rate, and at own rates: "
            + "; ".join(f"{task} {ours}, {other}" for task, (ours, other) in best.items()),
        ),
        (
            "It decides how long training takes.",
            among(np.array(times) > 2),
            f"the slowest size takes {listed(times, '.1f')} times as long for {EPOCHS} epochs as the quickest",
        ),
    ]
    about = f"20,000 rows at most, three splits, {EPOCHS} epochs; the one rate is the default of the constant schedule."
    write("importance", figure, claims, about)


if __name__ == "__main__":
    main()
