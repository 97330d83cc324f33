"""What shuffle="block" does to speed and to convergence: python benchmarks/block_shuffle.py [--out FOLDER]

Logistic regression at a constant rate, on rows that come in random order and on rows sorted by class. Times are those
of an epoch, medians over rounds in which the orders take turns; an epoch is the difference between fits of more and
fewer of them.
"""

import time

import numpy as np
from plain_table import folder_of, show

from minibatch import MiniBatchSGDClassifier

ORDERS = (True, "block", False)
SHAPES = [(2_000_000, 20), (200_000, 100), (40_000, 784)]
ROUNDS, FEW, MANY = 5, 1, 4
COLUMNS = ["`True`", '`"block"`', "`False`"]
EPOCHS = (1, 2, 5, 20)


def rows_of(n, d, dtype=np.float32):
    random = np.random.default_rng(0)
    X = random.standard_normal((n, d), dtype=np.float32).astype(dtype)
    return X, (X @ random.standard_normal(d) + random.standard_normal(n) > 0).astype(int)


def model(shuffle, max_iter, **more):
    options = {"loss": "log_loss", "learning_rate": "constant", "tol": None, "random_state": 0, **more}
    return MiniBatchSGDClassifier(shuffle=shuffle, max_iter=max_iter, **options)


def seconds_of_epoch(X, y, shuffle, batch_size):
    seconds = []
    for epochs in (FEW, MANY):
        start = time.perf_counter()
        model(shuffle, epochs, batch_size=batch_size, eta0=1e-3).fit(X, y)
        seconds.append(time.perf_counter() - start)
    return (seconds[1] - seconds[0]) / (MANY - FEW)


def speed(folder):
    lines = []
    for dtype in (np.float32, np.float64):
        for n, d in SHAPES:
            X, y = rows_of(n, d, dtype)
            for batch_size in (1, 256):
                model(True, 1, batch_size=batch_size).fit(X, y)  # compile
                turns = [[seconds_of_epoch(X, y, order, batch_size) for order in ORDERS] for _ in range(ROUNDS)]
                cells = [f"{1e9 * seconds / n:.1f}" for seconds in np.median(turns, axis=0)]
                lines.append([f"{n} x {d} {np.dtype(dtype).name}, batch {batch_size}", *cells])
    show("block_shuffle_speed", ["data", *COLUMNS], lines, folder)


def convergence(folder):
    (X, y), lines = rows_of(100_000, 20), []
    for name, order in (("random", np.arange(len(y))), ("sorted by class", np.argsort(y, kind="stable"))):
        for batch_size, eta0 in ((1, 1e-3), (32, 3e-2), (256, 0.3)):
            cells = []
            for shuffle in ORDERS:
                fit = model(shuffle, EPOCHS[-1], batch_size=batch_size, eta0=eta0, evaluate_every=1)
                objective = fit.fit(X[order], y[order]).history_["objective"]
                cells.append(", ".join(f"{objective[epochs - 1]:.4f}" for epochs in EPOCHS))
            lines.append([f"{name}, batch {batch_size}", *cells])
    show("block_shuffle_objective", ["rows", *COLUMNS], lines, folder)


if __name__ == "__main__":
    where = folder_of(__doc__)
    speed(where)
    convergence(where)
