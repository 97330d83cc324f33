"""What sparse rows cost at least where the rate follows the gradient: python benchmarks/sparse_limits.py

With ``learning_rate="auto"`` two numbers a column move, where a constant rate has one, and columns have scales. They
move when they are next read: single rows take one pass over the values. In batches of several rows nothing moves before
the norm of their gradient is known, so that it is added up apart, in a second one. Here are these passes alone, with
neither losses nor rates nor penalties, beside the two of a constant rate; then whole epochs of the estimators.
Nanoseconds a row, means of the quickest quarter. Rows are generated; those of ``sms_spam_counts.npz``, a CSR matrix
with y, come first where MINIBATCH_DATA names its folder, once and four times over: an epoch has work on the columns
too, however few its rows.
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
from minibatch.engine.compile import entry
from minibatch.engine.dual_averaging_sparse import REMEMBERED, add_product, column_type, move_type
from minibatch.engine.row_blocks import AHEAD
from minibatch.engine.rows import add_row, prefetch_row, row_dot

N_ROWS, BATCH_SIZES, ROUNDS, N_EPOCHS = 30_000, (1, 8, 32, 256), 48, 9
MESSAGES = "sms_spam_counts.npz"
# columns, values a row, and how fast the share of rows with a value falls from column to column
SHAPES = {
    "15 of 4,200": (4_200, 15, 0.9),
    "30 of 10,000": (10_000, 30, 0.9),
    "60 of 20,000": (20_000, 60, 0.9),
    "75 of 47,000": (47_000, 75, 0.9),
    "75 of 47,000, alike": (47_000, 75, 0.0),
}


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
def passes_of_auto(stamp):
    def passes_of_auto(X, order, batch_size, columns, moves, scales, slopes):
        _ = stamp
        (values, indices, indptr), (factors, inverses), m, total = X, scales, 0, 0.0
        for start in range(0, order.shape[0], batch_size):
            stop, m = min(start + batch_size, order.shape[0]), m + 1
            for r in range(start, stop):
                prefetch_row(X, order[min(r + AHEAD, order.shape[0] - 1)])
                score = 0.0
                for p in range(np.uintp(indptr[order[r]]), np.uintp(indptr[order[r] + 1])):
                    column = columns[np.uintp(indices[p])]
                    x = values[p] * factors[np.uintp(column["band"])]
                    move = moves[np.uintp(column["last"])]
                    n, u = add_product(column, move["n"], move["u"], column["gradient"])
                    column["gradient"], column["last"] = 0.0, m
                    score += x * (n + 0.3 * u)
                slopes[r - start] = 1e-9 * score
            before = total
            for r in range(start, stop):
                factor = slopes[r - start]
                for p in range(np.uintp(indptr[order[r]]), np.uintp(indptr[order[r] + 1])):
                    column, part = columns[np.uintp(indices[p])], factor * values[p]
                    g = column["gradient"]
                    column["gradient"] = g + part
                    total += part * (g + g + part) * inverses[np.uintp(column["band"])]
            moves[m]["n"], moves[m]["u"] = -0.01, 0.02 + 1e-9 * (total - before)
        return total

    return passes_of_auto


@entry
def pass_of_single_rows(stamp):
    def pass_of_single_rows(X, order, columns, moves, factors):
        _ = stamp
        (values, indices, indptr), m = X, 0
        for r in range(order.shape[0]):
            prefetch_row(X, order[min(r + AHEAD, order.shape[0] - 1)])
            score, m = 0.0, m % (moves.shape[0] - 1) + 1
            for p in range(np.uintp(indptr[order[r]]), np.uintp(indptr[order[r] + 1])):
                column = columns[np.uintp(indices[p])]
                x, move = values[p] * factors[np.uintp(column["band"])], moves[np.uintp(column["last"])]
                n, u = add_product(column, move["n"], move["u"], column["gradient"])
                column["gradient"], column["last"] = values[p], m
                score += x * (n + 0.3 * u)
            moves[m]["n"], moves[m]["u"] = -1e-9 * score, 2e-9 * score

    return pass_of_single_rows


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
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)  # as vectorizers make them
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
    weights, slopes = np.zeros((1, n_columns)), np.empty(batch_size)
    columns, first = np.zeros((2, n_columns), column_type(np.float64))
    moves = np.zeros(min(-(-n_rows // batch_size), REMEMBERED) + 1, move_type(np.float64))
    first["band"], first["n"] = np.log2(1 + np.bincount(X.indices, minlength=n_columns)), 1.0
    factors = np.linspace(0.9, 1.1, first["band"].max() + 1)

    def of_auto():
        columns[:] = first
        start = time.perf_counter()
        if batch_size > 1:
            passes_of_auto(data, order, batch_size, columns, moves, (factors, 1.0 / factors), slopes)
        else:
            pass_of_single_rows(data, order, columns, moves, factors)
        return time.perf_counter() - start

    def of_constant():
        start = time.perf_counter()
        two_passes(data, order, batch_size, weights, slopes)
        return time.perf_counter() - start

    passes = {"constant": of_constant, "auto": of_auto}
    seconds = {name: [] for name in passes}
    for _ in range(ROUNDS):
        for name, run in passes.items():
            seconds[name].append(run())
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
            line = [name, str(batch_size)]
            for some in (passes, whole):
                constant, auto = some["constant"], some["auto"]
                line += [f"{constant:.0f}", f"{auto:.0f}", f"{auto / constant:.2f}"]
            lines.append(line)
    columns = ["values, columns", "B", "passes", "auto", "ratio", "epoch", "auto", "ratio"]
    show("sparse_limits", columns, lines, folder)


if __name__ == "__main__":
    main(folder_of(__doc__))
