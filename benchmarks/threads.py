"""What a second thread gives: python benchmarks/threads.py [--out FOLDER]

Seconds of an epoch on one thread in units of those on two, the two taking turns; medians. Linear
models take as many threads as ``n_jobs`` says, networks as many as BLAS is set to.
"""

import warnings

import numpy as np
from plain_table import folder_of, show
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier

ROUNDS, EPOCHS = 7, 4
BATCH_SIZES = (1, 8, 32, 64, 256, 1024, 4096, "full")
LINEAR = [(200_000, 100, 2, np.float64), (200_000, 100, 2, np.float32), (16_000, 16, 26, np.float32)]
NETWORKS = [(10_000, 784, 10, (100,)), (10_000, 16, 26, (100,)), (10_000, 200, 10, (256, 256))]


def linear(batch_size, n_threads, dtype):
    return MiniBatchSGDClassifier(
        "log_loss", learning_rate="constant", eta0=1e-3, batch_size=batch_size, n_jobs=n_threads, max_iter=1 + EPOCHS,
        tol=None, random_state=0,
    )  # fmt: skip


def network(batch_size, n_threads, hidden):
    return MiniBatchMLPClassifier(
        hidden, solver="sgd", batch_size=batch_size, max_iter=1 + EPOCHS, tol=None, random_state=0
    )


def seconds_of_epoch(model, X, y, n_threads):
    with threadpool_limits(n_threads):
        model.fit(X, y)
    return np.median(np.diff(model.history_["seconds"]))


def table(title, make, cases, folder):
    lines = []
    for n, d, n_classes, what in cases:
        random, cells = np.random.default_rng(0), []
        X = random.standard_normal((n, d)).astype(what if title == "linear" else np.float32)
        y = random.integers(0, n_classes, n)
        for batch_size in BATCH_SIZES:
            models = {n_threads: make(batch_size, n_threads, what) for n_threads in (1, 2)}
            rows = slice(0, n // 10 if title == "network" and batch_size == 1 else n)
            ratios = []
            for _ in range(ROUNDS):
                one, two = (seconds_of_epoch(model, X[rows], y[rows], k) for k, model in models.items())
                ratios.append(one / two)
            cells.append(f"{np.median(ratios):.2f}")
            print(f"{title} {n} x {d}, {batch_size}: {min(ratios):.2f} to {max(ratios):.2f}", flush=True)
        name = np.dtype(what).name if title == "linear" else f"hidden {what}"
        lines.append([f"{n} x {d}, {n_classes} classes, {name}", *cells])
    show(f"threads_{title}", [title, *map(str, BATCH_SIZES)], lines, folder)


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    where = folder_of(__doc__)
    table("linear", linear, LINEAR, where)
    table("network", network, NETWORKS, where)
