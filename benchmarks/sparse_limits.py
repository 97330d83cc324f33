"""What batches of sparse rows cost at least where the rate follows the gradient: python benchmarks/sparse_limits.py

``learning_rate="auto"`` needs the norm of a batch's gradient before it moves. So its values are read three times (for
the scores, for the gradient and its norm, to move) where those of a constant rate are read twice; it moves two numbers
a column; and columns have scales, for the scores and for the norm. Here are these passes alone, with neither losses nor
rates nor penalties, beside two of a constant rate; the third over all values again, or over a list of the batch's
columns, whichever is quicker. Then whole epochs of the estimators. Nanoseconds a row, means of the quickest quarter.
Rows are generated; those of ``sms_spam_counts.npz``, a CSR matrix with y, come first where MINIBATCH_DATA names its
folder, once and four times over: an epoch has work on the columns too, however few its rows.
"""

import os
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from plain_table import folder_of, show

from minibatch import MiniBatchSGDClassifier
from minibatch._problems.batching import sample_order
from minibatch._problems.state import rows_of
from minibatch.engine.compile import entry, kernel
from minibatch.engine.row_blocks import AHEAD
from minibatch.engine.rows import add_row, prefetch_row, row_dot

N_ROWS, BATCH_SIZES, ROUNDS, N_EPOCHS = 30_000, (8, 32, 256), 24, 9
MESSAGES = "sms_spam_counts.npz"
DUAL, ADDED, GRADIENT = range(3)
# columns, values a row, and how fast the share of rows with a value falls from column to column
SHAPES = {
    "15 of 4,200": (4_200, 15, 0.9),
    "30 of 10,000": (10_000, 30, 0.9),
    "60 of 20,000": (20_000, 60, 0.9),
    "75 of 47,000": (47_000, 75, 0.9),
    "75 of 47,000, alike": (47_000, 75, 0.0),
}


@kernel
def move(parts, j):
    """One column, by its part of the gradient, which is 0 where it has been moved already."""
    g = parts[j, GRADIENT]
    parts[j, GRADIENT] = 0.0
    parts[j, DUAL] -= 0.01 * g
    parts[j, ADDED] += 0.02 * g


@entry
def two_passes(stamp):
    def two_passes(X, order, batch_size, weights, slopes):
        _ = stamp
        for start in range(0, order.shape[0], batch_size):
            stop = min(start + batch_size, order.shape[0])
            for r in range(start, stop):
                prefetch_row(X, order[min(r + AHEAD, order.shape[0] - 1)])
                slopes[r - start] = row_dot(X, order[r], weights, 0)
            for r in range(start, stop):
                add_row(X, order[r], slopes[r - start] * 1e-9, weights, 0)

    return two_passes


@entry
def three_passes(stamp):
    def three_passes(X, order, batch_size, parts, bands, scales, slopes, listed, in_list):
        _ = stamp
        (values, indices, indptr), (factors, inverses) = X, scales
        n_places, total, one, none = np.uintp(0), 0.0, np.uintp(1), np.uintp(0)
        for start in range(0, order.shape[0], batch_size):
            stop = min(start + batch_size, order.shape[0])
            for r in range(start, stop):
                prefetch_row(X, order[min(r + AHEAD, order.shape[0] - 1)])
                of_dual = of_added = 0.0
                for p in range(np.uintp(indptr[order[r]]), np.uintp(indptr[order[r] + 1])):
                    j = np.uintp(indices[p])
                    x = values[p] * factors[np.uintp(bands[j])]
                    of_dual, of_added = of_dual + x * parts[j, DUAL], of_added + x * parts[j, ADDED]
                slopes[r - start] = 1e-9 * (of_dual + 0.3 * of_added)
            n_places = none
            for r in range(start, stop):
                factor = slopes[r - start]
                for p in range(np.uintp(indptr[order[r]]), np.uintp(indptr[order[r] + 1])):
                    j, part = np.uintp(indices[p]), factor * values[p]
                    before = parts[j, GRADIENT]
                    parts[j, GRADIENT] = before + part
                    total += part * (before + before + part) * inverses[np.uintp(bands[j])]
                    if in_list:
                        listed[n_places] = j
                        n_places += one if before == 0.0 else none
            if in_list:
                for place in range(n_places):
                    move(parts, np.uintp(listed[place]))
            else:
                for r in range(start, stop):
                    for p in range(np.uintp(indptr[order[r]]), np.uintp(indptr[order[r] + 1])):
                        move(parts, np.uintp(indices[p]))
        return total

    return three_passes


def rows(n_columns, n_values, fall):
    """Random columns of each row, their numbers in order; rare ones are the last."""
    random = np.random.default_rng(0)
    shares = np.cumsum(np.arange(1, n_columns + 1) ** -fall)
    columns = np.searchsorted(shares, shares[-1] * random.random((N_ROWS, n_values)))
    columns.sort(axis=1)
    X = sp.csr_array(
        (random.standard_normal(columns.size), columns.ravel(), np.arange(0, columns.size + 1, n_values)),
        (N_ROWS, n_columns),
    )
    X.sum_duplicates()
    return X


def problems():
    """Names, rows and targets."""
    folder = os.environ.get("MINIBATCH_DATA")
    if folder:
        archive = Path(folder) / MESSAGES
        X, y = sp.csr_array(sp.load_npz(archive)).astype(float), np.load(archive)["y"]
        yield "12 of 4,200, messages", X, y
        yield "the same four times", sp.csr_array(sp.vstack([X] * 4)), np.tile(y, 4)
    for name, shape in SHAPES.items():
        yield name, rows(*shape), np.random.default_rng(1).integers(0, 2, N_ROWS)


def quickest(seconds, n_rows):
    """Mean of the quickest quarter, in nanoseconds a row: the machine makes a run longer, never shorter."""
    return 1e9 * np.mean(np.sort(seconds)[: len(seconds) // 4]) / n_rows


def bare(X, batch_size):
    """By turns."""
    n_rows, n_columns = X.shape
    data, order = rows_of(X), sample_order(n_rows, True, 0, 0)
    weights, parts, slopes = np.zeros((1, n_columns)), np.zeros((n_columns, 3)), np.empty(batch_size)
    bands = np.log2(1 + np.bincount(X.indices, minlength=n_columns)).astype(np.uint8)
    factors, listed = np.linspace(0.9, 1.1, bands.max() + 1), np.empty(X.nnz, np.int32)
    rest = (bands, (factors, 1.0 / factors), slopes, listed)
    passes = {
        "two": lambda: two_passes(data, order, batch_size, weights, slopes),
        "three": lambda: three_passes(data, order, batch_size, parts, *rest, False),
        "three, list": lambda: three_passes(data, order, batch_size, parts, *rest, True),
    }
    seconds = {name: [] for name in passes}
    for _ in range(ROUNDS):
        for name, run in passes.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: quickest(some, n_rows) for name, some in seconds.items()}


def epochs(X, y, batch_size):
    """Of whole fits, by what the history says of an epoch."""
    seconds = {"constant": [], "auto": []}
    for _ in range(ROUNDS // (N_EPOCHS - 1)):
        for name, some in seconds.items():
            model = MiniBatchSGDClassifier(
                "log_loss", learning_rate=name, eta0=0.01, batch_size=batch_size, max_iter=N_EPOCHS, tol=None,
                random_state=0, evaluate_every=1,
            ).fit(X, y)  # fmt: skip
            some.extend(np.diff(model.history_["seconds"]))
    return {name: quickest(some, X.shape[0]) for name, some in seconds.items()}


def main(folder):
    lines = []
    for name, X, y in problems():
        for batch_size in BATCH_SIZES:
            passes, whole = bare(X, batch_size), epochs(X, y, batch_size)
            two, three = passes["two"], min(passes["three"], passes["three, list"])
            constant, auto = whole["constant"], whole["auto"]
            shown = f"{two:.0f}", f"{three:.0f}", f"{three / two:.2f}", f"{constant:.0f}", f"{auto:.0f}"
            lines.append([name, str(batch_size), *shown, f"{auto / constant:.2f}"])
    columns = ["values, columns", "B", "two passes", "three", "ratio", "constant", "auto", "ratio"]
    show("sparse_limits", columns, lines, folder)


if __name__ == "__main__":
    main(folder_of(__doc__))
