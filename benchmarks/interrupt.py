"""How long a fit goes on after Ctrl-C: seconds from the signal to the KeyboardInterrupt, the worst of several moments.

Usage: ``python benchmarks/interrupt.py [part of a case's name]``. POSIX only.
"""

import os
import signal
import sys
import threading
import time
import warnings

import numpy as np
import scipy.sparse as sp

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier

MOMENTS = (0.35, 0.8, 1.3)  # seconds after the beginning of the fit
RANDOM = np.random.default_rng(0)


def dense(n_rows, n_columns, n_classes=2):
    return RANDOM.standard_normal((n_rows, n_columns)), RANDOM.integers(n_classes, size=n_rows)


def sparse(n_rows, n_columns, n_stored):
    indices = RANDOM.integers(n_columns, size=n_rows * n_stored).astype(np.int32)
    indptr = np.arange(n_rows + 1, dtype=np.int32) * n_stored
    return sp.csr_array((RANDOM.random(len(indices)), indices, indptr), (n_rows, n_columns)), RANDOM.integers(
        2, size=n_rows
    )


def linear(**options):
    return MiniBatchSGDClassifier("log_loss", max_iter=10**6, tol=None, random_state=0, n_jobs=2, **options)


def network(**options):
    return MiniBatchMLPClassifier((100,), max_iter=10**6, tol=None, random_state=0, **options)


CASES = {
    "dense 1e6 x 100, batch 1": (lambda: dense(10**6, 100), linear(batch_size=1)),
    "dense 1e6 x 100, batch 32": (lambda: dense(10**6, 100), linear(batch_size=32)),
    "dense 1e6 x 100, full batch": (lambda: dense(10**6, 100), linear(batch_size="full")),
    "dense 1e6 x 100, batch 1, averaged": (lambda: dense(10**6, 100), linear(batch_size=1, average=True)),
    "dense 1e6 x 100, batch 1, Adam": (lambda: dense(10**6, 100), linear(batch_size=1, solver="adam")),
    "dense 6e4 x 784, 10 classes, batch 1, Adam": (
        lambda: dense(60_000, 784, 10),
        linear(batch_size=1, solver="adam", multi_class="multinomial"),
    ),
    "dense 3e6 x 100, full batch, evaluated": (
        lambda: dense(3 * 10**6, 100),
        linear(batch_size="full", evaluate_every=1),
    ),
    "CSR 5e5 x 70000, 75 a row, batch 1": (lambda: sparse(500_000, 70_000, 75), linear(batch_size=1)),
    "CSR 5e5 x 70000, 75 a row, batch 1, L1": (lambda: sparse(500_000, 70_000, 75), linear(batch_size=1, penalty="l1")),
    "CSR 5e5 x 70000, 75 a row, batch 32": (lambda: sparse(500_000, 70_000, 75), linear(batch_size=32)),
    "CSR 5e4 x 70000, 75 a row, batch 32, Adam": (
        lambda: sparse(50_000, 70_000, 75),
        linear(batch_size=32, solver="adam"),
    ),
    "CSR 5e5 x 70000, 75 a row, full batch": (lambda: sparse(500_000, 70_000, 75), linear(batch_size="full")),
    "network 784-100-10, 6e4 rows, batch 1": (lambda: dense(60_000, 784, 10), network(batch_size=1, solver="sgd")),
    "network 784-100-10, 6e4 rows, batch 1, Adam": (lambda: dense(60_000, 784, 10), network(batch_size=1)),
    "network 784-100-10, 6e4 rows, batch 32": (lambda: dense(60_000, 784, 10), network(batch_size=32)),
    "network 784-100-10, 6e4 rows, full batch": (lambda: dense(60_000, 784, 10), network(batch_size=60_000)),
    "network 784-100-10, 3e5 rows, full batch": (lambda: dense(300_000, 784, 10), network(batch_size=300_000)),
    "network 784-100-10, 6e4 rows, L-BFGS": (lambda: dense(60_000, 784, 10), network(solver="lbfgs", max_fun=10**6)),
    "network 784-100-10, 6e4 rows, full batch, batch normalization": (
        lambda: dense(60_000, 784, 10),
        network(batch_size=60_000, batch_normalization=True),
    ),
}


def latency(model, X, y, moment):
    """Seconds from the signal to the exception."""
    sent = []

    def send():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(moment, send)
    timer.start()
    try:
        model.fit(X, y)
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0]
    finally:
        timer.cancel()
        timer.join()
    raise AssertionError("the fit was over before the signal")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name, (make, model) in CASES.items():
        if len(sys.argv) > 1 and sys.argv[1] not in name:
            continue
        X, y = make()
        short = model.get_params() | {"max_iter": 1, "max_updates": 1}
        model.__class__(**short).fit(X, y)  # compiles
        worst = max(latency(model, X, y, moment) for moment in MOMENTS)
        print(f"{name}: {worst:.2f} s", flush=True)
