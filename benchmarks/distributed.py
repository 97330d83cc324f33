"""Two workers beside one, and what becomes of the model: python benchmarks/distributed.py [--out docs/distributed]

Speed: seconds of ten epochs as ``history_`` has them (workers are there, kernels are compiled), medians of alternating
runs; a linear model on generated rows, and a network on fashion_mnist. With ``--backend ray``, or
``mpirun -n 2 python -m mpi4py benchmarks/distributed.py --backend mpi``, the table of another engine, and no more.

Accuracy: the loss that local SGD comes to on covtype in ten epochs, by workers, batch size and period. The data are NPZ
files with X and y in the folder MINIBATCH_DATA; without it, digits take their place.
"""

import argparse
import importlib
import os
import statistics
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch.distributed import fit

ROWS, COLUMNS, EPOCHS, REPEATS = 600_000, 50, 10, 3
LINEAR = MiniBatchSGDClassifier("log_loss", learning_rate="constant", max_iter=EPOCHS, tol=None, random_state=0)
NETWORK = MiniBatchMLPClassifier((100,), learning_rate="constant", max_iter=2, tol=None, random_state=0)
PERIODS, WORKERS = (10, 100, 1000), (1, 2, 4)


def generated():
    random = np.random.default_rng(0)
    X = random.standard_normal((ROWS, COLUMNS), dtype=np.float32)
    return X, (X @ random.standard_normal(COLUMNS, dtype=np.float32) > 0).astype(int)


def real(name):
    if "MINIBATCH_DATA" not in os.environ:
        X, y = load_digits(return_X_y=True)
    else:
        found = np.load(Path(os.environ["MINIBATCH_DATA"]) / f"{name}.npz")
        X, y = found["X"], found["y"]
    return StandardScaler().fit_transform(X.reshape(len(y), -1).astype(np.float32)), y


def cells():
    """Model, rows, sync, batch size, period."""
    rows = generated()
    for batch_size in (1, 32, 1024):
        for period in (100, 1000, 10_000):
            model = clone(LINEAR).set_params(batch_size=batch_size, eta0=1e-3 * min(batch_size, 100))
            yield "linear", model, rows, "parameters", batch_size, period
    for batch_size in (256, 8192, 65_536):
        yield "linear", clone(LINEAR).set_params(batch_size=batch_size, eta0=0.1), rows, "gradients", batch_size, None
    rows = real("fashion_mnist")
    for sync, batch_size, period in (
        ("parameters", 32, 10), ("parameters", 32, 100), ("gradients", 256, None), ("gradients", 4096, None),
    ):  # fmt: skip
        yield "network", clone(NETWORK).set_params(batch_size=batch_size), rows, sync, batch_size, period


def speed(backend):
    """A table; with MPI, of the first rank."""
    rank, n_workers = 0, 2
    if backend == "mpi":
        ranks = importlib.import_module("mpi4py.MPI").COMM_WORLD
        rank, n_workers = ranks.rank, ranks.size
    if rank == 0:
        print(f"| model | sync | batch | period | one worker, s | {n_workers} {backend}, s | ratio | waiting |")
        print("|---|---|---|---|---|---|---|---|")
    found = []
    for kind, model, (X, y), sync, batch_size, period in cells():
        took = {1: [], n_workers: []}
        for _ in range(REPEATS):
            for number in took:
                how = {"n_workers": number, "sync": sync, "period": period}
                if number > 1:
                    how["backend"] = backend
                elif rank > 0:
                    continue
                history = fit(clone(model), X, y, **how).history_
                took[number].append((history["seconds"][-1], history["seconds_waiting"][-1]))
        if rank == 0:
            (one, _), (several, waiting) = (map(statistics.median, zip(*runs, strict=True)) for runs in took.values())
            named = f"{kind} | {sync} | {batch_size} | {period or ''}"
            print(
                f"| {named} | {one:.3g} | {several:.3g} | {one / several:.2f} | {waiting / several:.0%} |", flush=True
            )
            found.append((kind, sync, batch_size, period, one / several))
    return found


def accuracy():
    """Losses by workers, batch size and period."""
    X, y = real("covtype_93k")
    model = MiniBatchSGDClassifier("log_loss", max_iter=EPOCHS, tol=None, random_state=0)
    found = {}
    for batch_size in (1, 32):
        for n_workers in WORKERS:
            for period in PERIODS if n_workers > 1 else PERIODS[:1]:
                here = clone(model).set_params(batch_size=batch_size)
                fit(here, X, y, n_workers=n_workers, sync="parameters", period=period, timeout=120)
                found[batch_size, n_workers, period] = log_loss(y, here.predict_proba(X))
    print("\n| batch | workers | " + " | ".join(f"period {period}" for period in PERIODS) + " |")
    print("|---|---|" + "---|" * len(PERIODS))
    for batch_size in (1, 32):
        for n_workers in WORKERS:
            row = [found.get((batch_size, n_workers, period)) for period in PERIODS]
            print(f"| {batch_size} | {n_workers} | " + " | ".join("" if x is None else f"{x:.4f}" for x in row) + " |")
    return found


def draw(speeds, losses, out):
    figure, (left, *right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for color, batch_size in enumerate((1, 32, 1024)):
        cell = [(period, ratio) for kind, sync, size, period, ratio in speeds
                if (kind, sync, size) == ("linear", "parameters", batch_size)]  # fmt: skip
        left.semilogx(*zip(*cell, strict=True), "o-", color=f"C{color}", label=f"batches of {batch_size}")
    left.axhline(1.0, color="0.6", linewidth=1)
    left.set(xlabel="Period", ylabel="Times as fast as one worker", ylim=(0, 2))
    left.set_title("Two workers, linear model", loc="left")
    left.legend()
    for axes, batch_size in zip(right, (1, 32), strict=True):
        for color, n_workers in enumerate(WORKERS[1:]):
            values = [losses[batch_size, n_workers, period] for period in PERIODS]
            axes.semilogx(PERIODS, values, "o-", color=f"C{color}", label=f"{n_workers} workers")
        axes.axhline(losses[batch_size, 1, PERIODS[0]], color="0.2", linestyle="--", label="one worker")
        axes.set(xlabel="Period", ylabel="Training loss after ten epochs")
        axes.set_title(f"covtype, batches of {batch_size}", loc="left")
        axes.legend()
    figure.savefig(out / "period.png", dpi=110)


def main():
    parser = argparse.ArgumentParser(prog="python benchmarks/distributed.py")
    parser.add_argument("--backend", choices=["processes", "ray", "mpi"], default="processes")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    speeds = speed(options.backend)
    if options.backend == "processes":
        losses = accuracy()
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            draw(speeds, losses, options.out)


if __name__ == "__main__":
    main()
