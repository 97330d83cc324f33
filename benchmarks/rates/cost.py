"""How long an epoch with learning_rate="auto" takes, beside one at a constant rate: python benchmarks/rates/cost.py

The ratio of the seconds in the histories of both, which take turns in one process: of each the mean of the quickest
quarter, since the machine makes a run longer, never shorter. Log loss; classes one against the rest. Dense rows are
generated, with columns as large as each other or not; sparse ones are those of benchmarks/sparse_limits.py. The first
epoch is left out: it compiles, and finds the first distance.
"""

import sys
from pathlib import Path

import numpy as np

from minibatch import MiniBatchSGDClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from plain_table import folder_of, show
from sparse_limits import problems, quickest

BATCH_SIZES, ROUNDS, N_EPOCHS = (1, 8, 32, 256), 6, 7
# rows, columns, whether these differ, classes
DENSE = [
    (40_000, 20, False, 2),
    (40_000, 20, True, 2),
    (40_000, 20, False, 10),
    (40_000, 20, True, 10),
    (20_000, 100, False, 2),
    (20_000, 100, True, 2),
    (20_000, 100, False, 10),
    (20_000, 100, True, 10),
    (6_000, 784, False, 2),
    (6_000, 784, True, 2),
    (6_000, 784, False, 10),
    (6_000, 784, True, 10),
]


def dense_problems():
    for n_rows, n_columns, differ, n_classes in DENSE:
        random = np.random.default_rng(0)
        X = random.standard_normal((n_rows, n_columns))
        y = (X @ random.standard_normal((n_columns, n_classes))).argmax(axis=1)
        scales = np.exp(random.standard_normal(n_columns)) if differ else 1.0
        name = f"{n_rows:,} x {n_columns}{', columns differ' if differ else ''}"
        yield name, n_classes, scales * X, y


def sparse_problems():
    for name, X, y in problems():
        yield f"sparse, {name}", 2, X, y
        if X.shape[1] < 30_000:
            yield f"sparse, {name}", 10, X[:10_000], np.random.default_rng(1).integers(0, 10, min(10_000, X.shape[0]))


def ratio(X, y, batch_size):
    seconds = {"constant": [], "auto": []}
    for _ in range(ROUNDS):
        for name, some in seconds.items():
            model = MiniBatchSGDClassifier(
                "log_loss", learning_rate=name, batch_size=batch_size, max_iter=N_EPOCHS, tol=None, random_state=0,
                evaluate_every=1,
            ).fit(X, y)  # fmt: skip
            some.extend(np.diff(model.history_["seconds"]))
    return quickest(seconds["auto"], 1) / quickest(seconds["constant"], 1)


def main(folder):
    lines = []
    for some in (dense_problems(), sparse_problems()):
        for name, n_classes, X, y in some:
            ratios = [f"{ratio(X, y, batch_size):.2f}" for batch_size in BATCH_SIZES]
            lines.append([name, str(n_classes), *ratios])
    show("auto_cost", ["rows", "classes", *(f"B = {size}" for size in BATCH_SIZES)], lines, folder)


if __name__ == "__main__":
    main(folder_of(__doc__))
