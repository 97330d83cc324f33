"""What a batch's gradient knows of the gradient of all rows: python benchmarks/questions/what_is_batch_size.py"""

import matplotlib.pyplot as plt
import numpy as np
from answers import STYLE, listed, rows, write
from scipy.special import expit

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor

SIZES = [1, 4, 16, 64, 256, 1024]
PATHS = {1: "C1", 32: "C0", "full": "C2"}


def gradients_of_batches(X, signs, w, size):
    """The gradient of the mean log loss of every batch of an epoch."""
    order = np.random.default_rng(size).permutation(len(X))[: len(X) // size * size]
    slopes = -signs[order] * expit(-signs[order] * (X[order] @ w))
    return (slopes[:, None] * X[order]).reshape(-1, size, X.shape[1]).mean(axis=1)


def noise_of_batches():
    """Relative errors of batches' gradients by size, that of their mean, and the updates of an epoch."""
    X, y = rows("adult", 32_768)
    model = MiniBatchSGDClassifier("log_loss", fit_intercept=False, max_iter=1, tol=None, random_state=0).fit(X, y)
    X, signs, w = X.astype(float), np.where(y == model.classes_[1], 1.0, -1.0), model.coef_[0].astype(float)
    full = gradients_of_batches(X, signs, w, len(X))[0]
    errors, biases, updates = [], [], []
    for size in SIZES:
        found = gradients_of_batches(X, signs, w, size)
        errors.append(np.sqrt(np.mean(np.sum((found - full) ** 2, axis=1))) / np.linalg.norm(full))
        biases.append(np.linalg.norm(found.mean(axis=0) - full) / np.linalg.norm(full))
        one = MiniBatchSGDClassifier("log_loss", batch_size=size, max_iter=1, tol=None, random_state=0)
        updates.append(one.fit(X, y).history_["n_updates"][0])
    return np.array(errors), np.array(biases), np.array(updates), len(X)


def path(size):
    """Weights of a line through 256 points, update by update."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((256, 2)) * [1.0, 0.5]
    y = X @ [1.0, 1.0] + 0.7 * rng.standard_normal(256)
    model = MiniBatchSGDRegressor(
        batch_size=size, penalty=None, fit_intercept=False, learning_rate="constant", eta0=0.1, random_state=0
    )
    weights = [np.zeros(2)]
    for start in range(0, 256, 256 if size == "full" else size):
        stop = 256 if size == "full" else start + size
        weights.append(model.partial_fit(X[start:stop], y[start:stop]).coef_.copy())
    return np.array(weights)


def main():
    errors, biases, updates, n_rows = noise_of_batches()
    slope = np.polyfit(np.log(SIZES), np.log(errors), 1)[0]
    with plt.rc_context(STYLE):
        figure, (steps, noise) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        for size, colour in PATHS.items():
            weights = path(size)
            updates_of_path = f"{len(weights) - 1} update{'s' if len(weights) > 2 else ''}"
            steps.plot(*weights.T, ".-", color=colour, lw=0.8, ms=3, label=f"{size}: {updates_of_path}")
        steps.plot(1, 1, "k+", ms=10, label="weights that made the data")
        steps.set(title="One epoch at one rate, 256 rows, 2 weights", xlabel="first weight", ylabel="second weight")
        steps.legend(title="batch size", loc="upper left")
        noise.loglog(SIZES, errors, "o", label="measured on adult")
        noise.loglog(SIZES, errors[0] / np.sqrt(SIZES), ":", color="0.4", label="one row's / √(batch size)")
        noise.set(
            title="Error of a batch's gradient", xlabel="batch size", ylabel="relative to the gradient of all rows"
        )
        noise.legend()
    claims = [
        (
            "A batch's gradient is right on average.",
            bool(biases.max() < 1e-6),
            f"an epoch's batches on average differ from the gradient of all rows by {biases.max():.0e} of it",
        ),
        (
            "Its error falls as one over the root of the batch size.",
            bool(abs(slope + 0.5) < 0.05),
            f"at {listed(SIZES)} rows {listed(errors, '.3g')} times the gradient; slope {slope:.2f} of the logarithms",
        ),
        (
            "An epoch has as many updates as batches fit into the rows.",
            bool(np.all(updates == np.ceil(n_rows / np.array(SIZES)))),
            f"{n_rows:,} rows: {listed(updates, '.0f')} updates",
        ),
    ]
    write("what_is_batch_size", figure, claims, f"Logistic regression on {n_rows:,} rows of adult after one epoch.")


if __name__ == "__main__":
    main()
