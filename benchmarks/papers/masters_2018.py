"""Masters and Luschi 2018: at equal epochs small batches are best, and allow more rates; at equal updates not.

Plain SGD, no momentum; rates are per row of a batch, ``eta / m``, as theirs. A network with one hidden layer, on a few
thousand images of MNIST; the score is that of the last epoch.

    MINIBATCH_DATA=folder python benchmarks/papers/masters_2018.py
"""

import numpy as np
from reproduction import Claim, Found, mnist, number, reproduce
from sklearn.base import clone
from sklearn.model_selection import ShuffleSplit

from minibatch import MiniBatchMLPClassifier
from minibatch.model_selection import MiniBatchGridSearchCV
from minibatch.plotting import BatchSizeLearningRateDisplay

SIZES = (2, 8, 32, 128, 512, 2048)
N_TRAIN, N_TEST, SEEDS = 4_000, 4_000, 5
EPOCHS, UPDATES = 10, 300
USABLE = 2.0  # points of accuracy behind the best rate of all


def search(model, base_rates, X, y, n_seeds, **budget):
    """Every batch size at its own rates, on random splits, of which each has its own seed."""
    grid = [{"batch_size": [m], "learning_rate_init": [rate * m for rate in base_rates]} for m in SIZES]
    splits = ShuffleSplit(n_seeds, train_size=N_TRAIN, test_size=N_TEST, random_state=0)
    return MiniBatchGridSearchCV(clone(model).set_params(**budget), grid, cv=splits, refit=False).fit(X, y)


def scores(found, n_base_rates):
    """Test accuracy in percent by seed, batch size and rate; of runs that diverged 0."""
    results = found.cv_results_
    splits = range(found.n_splits_)
    values = np.array([100 * results[f"split{split}_test_score"] for split in splits])
    diverged = np.array([results[f"split{split}_status"] == "diverged" for split in splits])
    return np.where(diverged, 0.0, values).reshape(len(splits), len(SIZES), n_base_rates)


def measure(quick):
    # the batches of equal updates are many rows: fewer rates and seeds there
    fine, coarse = (2.0 ** np.arange(-12, 1, step) for step in ((4, 6) if quick else (1, 2)))
    data = mnist(N_TRAIN + N_TEST, 1)[:2]
    model = MiniBatchMLPClassifier(
        (32,), solver="sgd", momentum=0.0, learning_rate="constant", tol=None, random_state=0
    )  # fmt: skip
    epochs = search(model, fine, *data, 1 if quick else SEEDS, max_iter=1 if quick else EPOCHS)
    updates = search(model, coarse, *data, 1 if quick else 3, max_iter=100_000, max_updates=5 if quick else UPDATES)
    by_epochs, by_updates = scores(epochs, len(fine)), scores(updates, len(coarse))
    return Found(claims(by_epochs, by_updates), {"sizes": table(by_epochs, by_updates)}, draw(epochs, updates))


def usable(by_rate):
    """How many rates, each twice the one before, are within so many points of the best of all sizes."""
    best = by_rate.max(axis=(1, 2), keepdims=True)
    return (by_rate >= best - USABLE).sum(axis=2)


def claims(by_epochs, by_updates):
    at_best_rates, at_equal_updates = by_epochs.max(axis=2), by_updates.max(axis=2)
    sizes, n_usable = np.array(SIZES), usable(by_epochs)
    return [
        Claim(
            "best batch size at equal epochs", "2 to 32", sizes[at_best_rates.argmax(axis=1)], (2, 32), 2048, "rows"
        ),
        Claim(
            "accuracy at equal epochs: best of m ≤ 32 above m = 2048", "above 0, all networks",
            at_best_rates[:, sizes <= 32].max(axis=1) - at_best_rates[:, -1], (0.5, 20.0), 0.0, "points",
        ),
        Claim(
            "usable rates per row: m = 2 less m = 2048, in doublings", "the range shrinks",
            n_usable[:, 0] - n_usable[:, -1], (1, 12), 0.0,
        ),
        Claim(
            "best batch size at equal updates", "not asked (larger, Shallue 2019)",
            sizes[at_equal_updates.argmax(axis=1)], (128, 2048), 32, "rows",
        ),
    ]  # fmt: skip


def table(by_epochs, by_updates):
    """Means over seeds."""
    epochs, updates = by_epochs.max(axis=2).mean(axis=0), by_updates.max(axis=2).mean(axis=0)
    columns = ["m", f"accuracy after {EPOCHS} epochs, %", "usable rates", f"accuracy after {UPDATES} updates, %"]
    rows = zip(SIZES, epochs, usable(by_epochs).mean(axis=0), updates, strict=True)
    return columns, [[f"{m:,}", f"{first:.1f}", number(n), f"{second:.1f}"] for m, first, n, second in rows]


def draw(epochs, updates):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
    for ax, found in zip(axes, (epochs, updates), strict=True):
        BatchSizeLearningRateDisplay.from_search(found, ax=ax, rate="base")
    return figure


if __name__ == "__main__":
    reproduce(__file__, measure)
