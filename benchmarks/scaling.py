"""From which batch size more machines stop helping: python benchmarks/scaling.py [--out docs/distributed]

Measured here: the exchange of vectors between two processes; the updates of two processes beside what ``a + b B / K``
and the exchange predict; ``a`` and ``b`` of a worker and the critical batch size. The rest is ``simulate_workers`` on
networks of other people. Exchanges are the fastest of some runs of many, and times of updates the processor's, so that
others on the machine count little. The data are NPZ files with X and y in the folder
MINIBATCH_DATA; without it, digits take their place.
"""

import argparse
import os
import sys
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch._base.trials import Updates
from minibatch.distributed import simulate_workers
from minibatch.distributed._processes import Processes
from minibatch.distributed._timing import Solo, numbers_of_gradient, seconds_of_exchange, seconds_of_update, share_rows
from minibatch.model_selection import recommend_batch_size
from minibatch.plotting import WorkersSimulationDisplay

# Latency in seconds and bandwidth in bytes a second. The second is measured: J. Squyres, "MPI over 40Gb Ethernet",
# https://blogs.cisco.com/performance/mpi-over-40gb-ethernet, with Open MPI 1.8.1 between two servers, 1.93 us and 37.23
# Gbit/s. Of the first the bandwidth is the line rate, and the latency a round figure for TCP.
NETWORKS = {"10 Gbit Ethernet, TCP": (5e-5, 1.25e9), "40 Gbit Ethernet, MPI": (1.93e-6, 4.654e9)}
LINEAR = MiniBatchSGDClassifier("log_loss", random_state=0)
NETWORK = MiniBatchMLPClassifier((100,), random_state=0)
MODELS = {"covtype_93k": ("linear", LINEAR), "fashion_mnist": ("network", NETWORK)}
SIZES, ROUNDS = 4 ** np.arange(3, 9), 20


def rows_of(name):
    if "MINIBATCH_DATA" not in os.environ:
        X, y = load_digits(return_X_y=True)
    else:
        found = np.load(Path(os.environ["MINIBATCH_DATA"]) / f"{name}.npz")
        X, y = found["X"], found["y"]
    return StandardScaler().fit_transform(X.reshape(len(y), -1).astype(np.float32)), y


def header(*columns):
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")


def exchanges():
    header("float64 numbers", "us")
    with closing(Processes(2, 60.0)) as workers:
        for number in (100, 1000, 10_000, 100_000, 1_000_000):
            seconds = min(seconds_of_exchange(workers, number) for _ in range(ROUNDS))
            print(f"| {number:,} | {1e6 * seconds:.3g} |", flush=True)


def updates(name, kind, model, X, y):
    """Of two processes, beside what one in their place and the exchange say."""
    rate = {model._rate_parameter: 1e-9, "learning_rate": "constant"}
    model = type(model)(**(model.get_params() | rate | {"batch_size": 64}))
    with closing(model._training(X, y, None, watch=Updates((X[:2], y[:2], None), 10**9))) as steps:
        request = next(steps)
    n_numbers, solo = numbers_of_gradient(request), Solo()
    share_rows(solo, request)
    with closing(Processes(2, 60.0)) as workers:
        share_rows(workers, request)
        measured = [(size, processor_seconds(workers, request, size)) for size in (64, 1024, 16_384)]
        exchange = min(seconds_of_exchange(workers, n_numbers) for _ in range(ROUNDS))
    for size, seconds in measured:
        part = min(seconds_of_update(solo, request, size // 2) for _ in range(3))
        cells = " | ".join(f"{1e6 * number:.3g}" for number in (part, exchange, part + exchange, seconds))
        print(f"| {name} | {kind} | {size:,} | {cells} |", flush=True)


def processor_seconds(workers, request, batch_size):
    """Of an update, by the processor's clock of the busier worker; waiting awake is among it. (Linux tells.)"""
    n_batches = len(request.epoch.order) // batch_size
    rates = np.full(n_batches, 1e-9)
    workers.begin(request.epoch._replace(etas=rates, batch_size=batch_size, first_averaged=n_batches))
    workers.train(request.state, 0, 1, 1, ())
    before = [seconds_of_process(worker.process.pid) for worker in workers._workers]
    runs = 1 + 200 // n_batches  # the clock ticks every 10 ms
    for _ in range(runs):
        workers.train(request.state, 0, n_batches, 1, ())
    after = [seconds_of_process(worker.process.pid) for worker in workers._workers]
    return max(end - begin for begin, end in zip(before, after, strict=True)) / (runs * n_batches)


def seconds_of_process(pid):
    of_user, of_system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(of_user) + int(of_system)) / os.sysconf("SC_CLK_TCK")


def simulated(name, kind, advice, n_parameters, axes):
    a, b = advice.seconds_per_update
    for ax, (network, constants) in zip(axes, NETWORKS.items(), strict=True):
        found = simulate_workers((a, b), advice.critical_batch_size, n_parameters, constants, batch_sizes=SIZES)
        for size, worthwhile, fastest, best in zip(
            SIZES, found.worthwhile_n_workers, found.fastest_n_workers, found.speedups.max(axis=0), strict=True
        ):
            print(f"| {name}, {kind} | {network} | {size:,} | {worthwhile:,} | {fastest:,} | {best:.2g} |", flush=True)
        WorkersSimulationDisplay.from_result(found, ax=ax)
        ax.set_title(f"{name}, {kind}; {network}", loc="left", fontsize="medium")


def main():
    import matplotlib.pyplot as plt

    parser = argparse.ArgumentParser(prog="python benchmarks/scaling.py")
    parser.add_argument("--out", type=Path, help="folder of the picture")
    out = parser.parse_args().out
    warnings.simplefilter("ignore")
    exchanges()
    data = {name: rows_of(name) for name in MODELS}
    header("data", "model", "rows", "part", "exchange", "predicted, us", "processor, us")
    for name, (kind, model) in MODELS.items():
        updates(name, kind, model, *data[name])
    advice = {}
    header("data", "model", "numbers", "a, us", "b, us", "critical batch size", "advised of 16")
    for name, (kind, model) in MODELS.items():
        network = NETWORKS["10 Gbit Ethernet, TCP"]
        found = recommend_batch_size(model, *data[name], n_workers=16, network=network, random_state=0, max_seconds=60)
        fitted = type(model)(**(model.get_params() | {"max_iter": 1})).fit(*data[name])
        arrays = [*fitted.coefs_, *fitted.intercepts_] if kind == "network" else [fitted.coef_, fitted.intercept_]
        advice[name] = found, sum(array.size for array in arrays)
        a, b = (1e6 * seconds for seconds in found.seconds_per_update)
        cells = f"{advice[name][1]:,} | {a:.3g} | {b:.3g} | {found.critical_batch_size:.3g} | {found.batch_size:,}"
        print(f"| {name} | {kind} | {cells} |", flush=True)
        print(found.reason, *found.unsure, sep="\n", file=sys.stderr, flush=True)
    figure, axes = plt.subplots(2, 2, figsize=(13, 9), layout="constrained")
    header("data, model", "network", "rows of a batch", "worthwhile", "fastest", "times as fast")
    for row, (name, (kind, _)) in zip(axes, MODELS.items(), strict=True):
        simulated(name, kind, *advice[name], row)
    for ax in axes[:, 0]:
        ax.get_legend().remove()
    figure.suptitle("Speed-up over one worker with the best batch size", x=0.01, ha="left")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        figure.savefig(out / "scaling.png", dpi=90)


if __name__ == "__main__":
    main()
