"""What batches of sparse rows cost at least where the rate follows the gradient: python benchmarks/sparse_limits.py

``learning_rate="auto"`` needs the norm of a batch's gradient before it moves. So its values are read three times (for
the scores, for the gradient and its norm, to move) where those of a constant rate are read twice, and it moves two
numbers a column. Here are these passes alone, with neither losses nor rates nor penalties, beside two of a constant
rate; the third over all values again, or over a list of the batch's columns. Then whole epochs of the estimators.
Nanoseconds a row, medians; ``least`` is the quicker of the two kinds of three passes over the two.
"""

import time

import numpy as np
import scipy.sparse as sp
from plain_table import folder_of, show

from minibatch import MiniBatchSGDClassifier
from minibatch._problems.batching import sample_order
from minibatch._problems.state import rows_of
from minibatch.engine.compile import entry, kernel
from minibatch.engine.row_blocks import AHEAD
from minibatch.engine.rows import add_row, prefetch_row, row_dot

N_ROWS, BATCH_SIZES, ROUNDS = 30_000, (32, 256), 9
DUAL, ADDED, GRADIENT = range(3)
# columns, values a row, and how fast the share of rows with a value falls from column to column
SHAPES = {"many columns": (47_000, 75, 0.0), "as words": (47_000, 75, 0.9), "few columns": (4_200, 15, 0.9)}


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
    def three_passes(X, order, batch_size, parts, slopes, listed, in_list):
        _ = stamp
        values, indices, indptr = X
        n_places, total, one, none = np.uintp(0), 0.0, np.uintp(1), np.uintp(0)
        for start in range(0, order.shape[0], batch_size):
            stop = min(start + batch_size, order.shape[0])
            for r in range(start, stop):
                prefetch_row(X, order[min(r + AHEAD, order.shape[0] - 1)])
                even = odd = 0.0
                for p in range(np.uintp(indptr[order[r]]), np.uintp(indptr[order[r] + 1])):
                    j = np.uintp(indices[p])
                    even, odd = even + values[p] * parts[j, DUAL], odd + values[p] * parts[j, ADDED]
                slopes[r - start] = 1e-9 * (even + 0.3 * odd)
            n_places = none
            for r in range(start, stop):
                factor = slopes[r - start]
                for p in range(np.uintp(indptr[order[r]]), np.uintp(indptr[order[r] + 1])):
                    j, part = np.uintp(indices[p]), factor * values[p]
                    before = parts[j, GRADIENT]
                    parts[j, GRADIENT] = before + part
                    total += part * (before + before + part)
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


def nanoseconds(functions):
    """Medians a row, by turns."""
    seconds = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: 1e9 * np.median(some[1:]) / N_ROWS for name, some in seconds.items()}


def bare(X, batch_size):
    data, order = rows_of(X), sample_order(N_ROWS, True, 0, 0)
    weights, parts = np.zeros((1, X.shape[1])), np.zeros((X.shape[1], 3))
    slopes, listed = np.empty(batch_size), np.empty(X.nnz, np.int32)
    return nanoseconds({
        "two": lambda: two_passes(data, order, batch_size, weights, slopes),
        "three": lambda: three_passes(data, order, batch_size, parts, slopes, listed, False),
        "three, list": lambda: three_passes(data, order, batch_size, parts, slopes, listed, True),
    })  # fmt: skip


def epochs(X, y, batch_size):
    """Of whole fits, by what the history says of an epoch."""
    found = {"constant": [], "auto": []}
    for _ in range(ROUNDS):
        for name, some in found.items():
            model = MiniBatchSGDClassifier(
                "log_loss", learning_rate=name, eta0=0.01, batch_size=batch_size, max_iter=3, tol=None, random_state=0,
                evaluate_every=1,
            ).fit(X, y)  # fmt: skip
            some.append(np.diff(model.history_["seconds"]).min())
    return {name: 1e9 * np.median(some) / N_ROWS for name, some in found.items()}


def main(folder):
    lines = []
    for name, shape in SHAPES.items():
        X = rows(*shape)
        y = np.random.default_rng(1).integers(0, 2, N_ROWS)
        for batch_size in BATCH_SIZES:
            passes, whole = bare(X, batch_size), epochs(X, y, batch_size)
            least = min(passes["three"], passes["three, list"]) / passes["two"]
            cells = [f"{value:.0f}" for value in (*passes.values(), *whole.values())]
            lines.append([name, str(batch_size), *cells, f"{least:.2f}", f"{whole['auto'] / whole['constant']:.2f}"])
    columns = ["rows", "batch size", "two passes", "three", "three, list", "constant", "auto", "least", "auto/constant"]
    show("sparse_limits", columns, lines, folder)


if __name__ == "__main__":
    main(folder_of(__doc__))
