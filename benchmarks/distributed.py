"""Two workers beside one: python benchmarks/distributed.py [--workers 2] [--repeats 3]

Seconds of ten epochs of a linear model on generated rows, as ``history_`` has them: workers are there, kernels are
compiled. Medians of alternating runs.
"""

import argparse
import statistics

import numpy as np
from sklearn.base import clone

from minibatch import MiniBatchSGDClassifier
from minibatch.distributed import fit

ROWS, COLUMNS, EPOCHS = 600_000, 50, 10
CELLS = [
    *(("parameters", batch_size, period) for batch_size in (1, 32) for period in (100, 1000, 10_000)),
    *(("gradients", batch_size, None) for batch_size in (256, 8192, 65_536)),
]


def main():
    parser = argparse.ArgumentParser(prog="python benchmarks/distributed.py")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    X = random.standard_normal((ROWS, COLUMNS), dtype=np.float32)
    y = (X @ random.standard_normal(COLUMNS, dtype=np.float32) > 0).astype(int)
    model = MiniBatchSGDClassifier("log_loss", learning_rate="constant", max_iter=EPOCHS, tol=None, random_state=0)
    print(f"| sync | batch | period | one worker, s | {options.workers} workers, s | ratio | waiting |")
    print("|---|---|---|---|---|---|---|")
    for sync, batch_size, period in CELLS:
        took = {1: [], options.workers: []}
        for _ in range(options.repeats):
            for n_workers in took:
                here = clone(model).set_params(batch_size=batch_size, eta0=1e-3 * min(batch_size, 100))
                how = {"sync": sync, "period": period if n_workers > 1 or sync == "parameters" else None}
                history = fit(here, X, y, n_workers=n_workers, **how).history_
                took[n_workers].append((history["seconds"][-1], history["seconds_waiting"][-1]))
        (one, _), (several, waiting) = (map(statistics.median, zip(*runs, strict=True)) for runs in took.values())
        cells = f"{sync} | {batch_size} | {period or ''} | {one:.3g} | {several:.3g} | {one / several:.2f}"
        print(f"| {cells} | {waiting / several:.0%} |", flush=True)


if __name__ == "__main__":
    main()
