"""Time of an epoch beside scikit-learn's SGDClassifier: python benchmarks/epoch.py

Both train the same logistic regression on the same rows. An epoch is the difference between fits of more and fewer
epochs, so set-up is in neither; the two take turns, and the ratio is the median over the rounds with its range.
"""

import time

import numpy as np
from sklearn.linear_model import SGDClassifier

from minibatch import MiniBatchSGDClassifier

ROUNDS, FEW, MANY = 5, 2, 6
SHAPES = [(200_000, 20), (100_000, 100), (20_000, 784)]
OPTIONS = {"loss": "log_loss", "tol": None, "learning_rate": "constant", "eta0": 1e-3, "random_state": 0}


def seconds_of_fit(model, X, y):
    start = time.perf_counter()
    model.fit(X, y)
    return time.perf_counter() - start


def seconds_of_epoch(estimator, X, y, **options):
    few, many = (seconds_of_fit(estimator(max_iter=n, **OPTIONS, **options), X, y) for n in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def main():
    rng = np.random.default_rng(0)
    print("epoch of SGDClassifier / epoch of MiniBatchSGDClassifier (above 1: ours is faster)")
    for n, d in SHAPES:
        for dtype in (np.float64, np.float32):
            X = rng.standard_normal((n, d)).astype(dtype)
            y = (X @ rng.standard_normal(d) > 0).astype(int)
            for batch_size in (1, 32, 1024, "full"):
                seconds_of_epoch(MiniBatchSGDClassifier, X, y, batch_size=batch_size)  # compile
                ratios = [
                    seconds_of_epoch(SGDClassifier, X, y)
                    / seconds_of_epoch(MiniBatchSGDClassifier, X, y, batch_size=batch_size)
                    for _ in range(ROUNDS)
                ]
                print(
                    f"{n:>7} x {d:<4} {np.dtype(dtype).name:<8} batch {batch_size!s:<5}"
                    f" {np.median(ratios):5.1f}  ({min(ratios):.1f} to {max(ratios):.1f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
