"""What limits an epoch of a linear model: python benchmarks/limits.py [--out FOLDER]

Nanoseconds a row, medians: drawing the order of the rows; adding up the values of all rows, in their order and in the
drawn one, asked for ahead of their use as the engine does (what memory allows); a logistic loss after the other, each
waiting for the slope before (what batches of one row cannot go below, whatever their columns); then whole epochs of
log loss. ``GB/s`` is what the epoch at batch size 1 reads of X.
"""

import time

import numpy as np
from plain_table import folder_of, show

from minibatch import MiniBatchSGDClassifier
from minibatch._problems.batching import sample_order
from minibatch.engine.compile import entry
from minibatch.engine.linear import weighted_loss_and_slope
from minibatch.engine.losses import LOG_LOSS
from minibatch.engine.row_blocks import AHEAD
from minibatch.engine.rows import prefetch_row

SHAPES = [(500_000, 20), (200_000, 100), (40_000, 784)]
ROUNDS, EPOCHS = 7, 4
BATCH_SIZES = (1, 32, 1024)


@entry
def sum_of_rows(stamp):
    def sum_of_rows(X, order):
        _ = stamp
        total, n = X.dtype.type(0), order.shape[0]
        for r in range(n):
            prefetch_row(X, order[min(r + AHEAD, n - 1)])
            i = order[r]
            for j in range(X.shape[1]):
                total += X[i, j]
        return total

    return sum_of_rows


@entry
def chain_of_losses(stamp):
    def chain_of_losses(n):
        _ = stamp
        z, total = 0.1, 0.0
        for _ in range(n):
            value, slope = weighted_loss_and_slope(LOG_LOSS, z, 1.0, 1.0, 0.0)
            total += value
            z = 0.1 - 1e-3 * slope
        return total

    return chain_of_losses


def median_seconds(function, *arguments):
    function(*arguments)
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        function(*arguments)
        seconds.append(time.perf_counter() - start)
    return np.median(seconds)


def seconds_of_epoch(X, y, batch_size):
    options = {"loss": "log_loss", "learning_rate": "constant", "eta0": 1e-3, "tol": None, "random_state": 0}

    def fit(epochs):
        MiniBatchSGDClassifier(batch_size=batch_size, max_iter=epochs, **options).fit(X, y)

    return (median_seconds(fit, 1 + EPOCHS) - median_seconds(fit, 1)) / EPOCHS


def main(folder):
    n, lines = 1_000_000, []
    print(f"loss and slope, one after the other: {1e9 * median_seconds(chain_of_losses, n) / n:.1f} ns")
    for n, d in SHAPES:
        drawn = sample_order(n, True, 0, 0)
        of_order = median_seconds(sample_order, n, True, 0, 0)
        for dtype in (np.float64, np.float32):
            X = np.random.default_rng(0).standard_normal((n, d)).astype(dtype)
            y = (X[:, 0] > 0).astype(int)
            seconds = {"order": of_order, "in sequence": median_seconds(sum_of_rows, X, np.arange(n))}
            seconds["drawn order"] = median_seconds(sum_of_rows, X, drawn)
            seconds |= {f"batch {size}": seconds_of_epoch(X, y, size) for size in BATCH_SIZES}
            cells = [f"{1e9 * value / n:.1f}" for value in seconds.values()]
            lines.append([f"{n} x {d} {X.dtype}", *cells, f"{X.nbytes / seconds['batch 1'] / 1e9:.1f}"])
    show("limits", ["data", *seconds, "GB/s"], lines, folder)


if __name__ == "__main__":
    main(folder_of(__doc__))
