"""What shuffle="block" does for data larger than memory: python benchmarks/larger_than_memory.py FILE GIGABYTES

Logistic regression on a memory-mapped file of random float32 rows of 784 columns, which is written, read in each of the
orders, and deleted. Give it more gigabytes than the machine (or the control group that it runs in) has memory. Prints
the seconds of an epoch and what a fit of two epochs, which begins with a check of X, reads from the disk, in units of
the file; and the same of one read from front to back. Linux only: bytes are those of /proc/self/io.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from minibatch import MiniBatchSGDClassifier

COLUMNS, ROWS_AT_ONCE, BATCH_SIZE = 784, 20_000, 256


def write(path, n_rows):
    random = np.random.default_rng(0)
    weights, y = random.standard_normal(COLUMNS), []
    with path.open("wb") as file:
        for start in range(0, n_rows, ROWS_AT_ONCE):
            rows = random.standard_normal((min(ROWS_AT_ONCE, n_rows - start), COLUMNS), dtype=np.float32)
            y.append(rows @ weights > 0)
            file.write(rows.tobytes())
    return np.concatenate(y)


def bytes_read():
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["read_bytes"])


def read_once(X):
    for start in range(0, len(X), ROWS_AT_ONCE):
        X[start : start + ROWS_AT_ONCE].sum()


def fit(X, y, shuffle):
    """Seconds of the second epoch, and bytes read in all: by a check of X and two epochs."""
    before = bytes_read()
    model = MiniBatchSGDClassifier(
        loss="log_loss", batch_size=BATCH_SIZE, shuffle=shuffle, max_iter=2, tol=None, random_state=0
    ).fit(X, y)
    first, second = model.history_["seconds"]
    return second - first, bytes_read() - before


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("gigabytes", type=float)
    arguments = parser.parse_args()
    n_rows = int(arguments.gigabytes * 2**30 / (4 * COLUMNS))
    y = write(arguments.file, n_rows)
    try:
        X = np.memmap(arguments.file, np.float32, "r", shape=(n_rows, COLUMNS))
        size = X.nbytes
        MiniBatchSGDClassifier(loss="log_loss", batch_size=BATCH_SIZE, max_iter=1).fit(np.array(X[:1000]), y[:1000])
        start, before = time.perf_counter(), bytes_read()
        read_once(X)
        print(f"{n_rows} x {COLUMNS} float32, batches of {BATCH_SIZE}")
        print(f"read once: {time.perf_counter() - start:.1f} s, {(bytes_read() - before) / size:.2f} files", flush=True)
        for shuffle in (False, "block", True):
            seconds, read = fit(X, y, shuffle)
            print(f"shuffle={shuffle}: {seconds:.1f} s an epoch, {read / size:.1f} files read in all", flush=True)
    finally:
        arguments.file.unlink()


if __name__ == "__main__":
    main()
