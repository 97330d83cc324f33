"""Parquet larger than memory: python benchmarks/larger_than_memory_parquet.py FOLDER [--gigabytes 6.5]

Writes a file of 50 random float32 columns and a label (not compressed: random numbers are not), reads and trains, each
in a process of its own, and deletes the file. Prints a Markdown table.

Every process may have 1 GiB of data: ``ulimit -d`` (RLIMIT_DATA: heap and anonymous memory, which the kernel refuses
beyond that). Address space is not limited, which Numba and pyarrow reserve and do not use. The most memory that a
process really had (peak resident set: code and shared libraries too) is in the table. The system forgets the file once
a second, so that every pass reads from the disk, not from memory that belongs to no process. Linux only.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np

COLUMNS, ROWS_OF_GROUP, LIMIT, BATCH_SIZE, EPOCHS = 50, 32_768, 2**30, 32, 2
RUNS = [
    "pyarrow, columns",
    "pyarrow, rows",
    "minibatch, 1 worker, shuffle='block'",
    "minibatch, 2 workers, shuffle='block'",
    "SGDClassifier.partial_fit, shuffle='block'",
    "minibatch, 1 worker, shuffle=True",
    "pyarrow, columns again",
]


def write(file, gigabytes):
    import pyarrow as pa
    from pyarrow import parquet

    random = np.random.default_rng(0)
    weights = random.standard_normal(COLUMNS, dtype=np.float32)
    schema = pa.schema([*((f"x{j}", pa.float32()) for j in range(COLUMNS)), ("label", pa.int8())])
    n_groups = int(gigabytes * 2**30 / ((4 * COLUMNS + 1) * ROWS_OF_GROUP))
    with parquet.ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:
        for _ in range(n_groups):
            rows = random.standard_normal((COLUMNS, ROWS_OF_GROUP), dtype=np.float32)
            writer.write_table(pa.table([*rows, (weights @ rows > 0).astype(np.int8)], schema=schema))


def read_with_pyarrow(file, as_rows):
    """All columns to NumPy, as pyarrow does it by default (several threads decode columns); or to an array of rows."""
    from pyarrow import parquet

    seconds = []
    for _ in range(EPOCHS):
        began = time.perf_counter()
        with parquet.ParquetFile(file) as opened:
            for number in range(opened.num_row_groups):
                columns = [column.to_numpy() for column in opened.read_row_group(number).itercolumns()]
                if as_rows:
                    np.stack(columns[:COLUMNS], axis=1)
        seconds.append(time.perf_counter() - began)
    return {"first pass": None, "epochs": seconds}


def train(file, n_workers, shuffle):
    from minibatch import MiniBatchSGDClassifier
    from minibatch.distributed import ParquetRows, _fit, fit

    looks, look_at = [], _fit.look_at

    def timed(*args):
        began = time.perf_counter()
        look = look_at(*args)
        looks.append(time.perf_counter() - began)
        return look

    _fit.look_at = timed
    model = MiniBatchSGDClassifier(
        "log_loss", batch_size=BATCH_SIZE, max_iter=EPOCHS, tol=None, shuffle=shuffle, random_state=0
    )
    fit(model, ParquetRows(file, "label"), n_workers=n_workers, sync="parameters")
    return {"first pass": looks[0], "epochs": np.diff(model.history_["seconds"], prepend=0.0).tolist()}


def train_scikit_learn(file, shuffle):
    """On the same windows; the next is read while this one is trained on, as in ours."""
    from sklearn.linear_model import SGDClassifier

    from minibatch.distributed import ParquetRows
    from minibatch.distributed._stream import ROWS_OF_WINDOW, Stream

    source, model, seconds = ParquetRows(file, "label"), SGDClassifier("log_loss", random_state=0), []
    stream, n_rows = Stream(source), sum(source.rows_of_pieces)
    for epoch in range(EPOCHS):
        began = time.perf_counter()
        for first in range(0, n_rows, ROWS_OF_WINDOW):
            piece = stream.take((shuffle, 0, epoch), first, min(ROWS_OF_WINDOW, n_rows - first))
            model.partial_fit(piece.X, piece.y, classes=[0, 1])
        seconds.append(time.perf_counter() - began)
    return {"first pass": None, "epochs": seconds}


def run(name, file):
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    shuffle = "block" if "block" in name else True
    if name.startswith("pyarrow"):
        found = read_with_pyarrow(file, "rows" in name)
    elif name.startswith("SGDClassifier"):
        found = train_scikit_learn(file, shuffle)
    else:
        found = train(file, 2 if "2 workers" in name else 1, shuffle)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    print(json.dumps({**found, "peaks": [one.ru_maxrss / 2**10 for one in used], "cpu": cpu}))


def forget(file, is_over):
    """What the system keeps of the file in memory that nobody asked for."""
    descriptor = os.open(file, os.O_RDONLY)
    while not is_over.wait(1.0):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def table(file, names):
    print("| what | first look, s | epochs (passes), s | CPU seconds in all | most memory, MiB | of a worker |")
    print("|---|---|---|---|---|---|")
    for name in names:
        command = [sys.executable, __file__, str(file), "--run", name]
        out = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
        found = json.loads(out.splitlines()[-1])
        first = "" if found["first pass"] is None else f"{found['first pass']:.1f}"
        epochs = ", ".join(f"{seconds:.1f}" for seconds in found["epochs"])
        own, of_worker = found["peaks"]
        memory = f"{own:.0f} | {f'{of_worker:.0f}' if of_worker else ''}"
        print(f"| {name} | {first} | {epochs} | {found['cpu']:.0f} | {memory} |", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="python benchmarks/larger_than_memory_parquet.py", description=__doc__)
    parser.add_argument("folder", type=Path, help="where there is room for the file")
    parser.add_argument("--gigabytes", type=float, default=6.5)
    parser.add_argument("--only", default="", help="part of the name of what is measured")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(options.run, options.folder)
        return
    file, is_over = options.folder / "larger_than_memory.parquet", Event()
    try:
        began = time.perf_counter()
        write(file, options.gigabytes)
        size = file.stat().st_size / 2**30
        print(
            f"{size:.2f} GiB, written in {time.perf_counter() - began:.0f} s; no process has more than 1 GiB of data\n"
        )
        Thread(target=forget, args=(file, is_over), daemon=True).start()
        table(file, [name for name in RUNS if options.only in name])
    finally:
        is_over.set()
        file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
