"""Is this tree slower than another version? python benchmarks/kernels/gate.py REVISION [--most 1.25] [--rounds 15]

Each version has a process of its own, and they fit by turns, so that a machine which slows down slows both. (In one
process, two copies of the same version came out 1.6 to 8 times apart.) What counts is the median, over the rounds, of
the ratio of two fits that follow one another. A task that is above the limit is measured again with three times the
rounds before it fails, and the exit status is 1.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np
from tasks import TASKS, rows

ROOT = Path(__file__).parents[2]
PACKAGE = "minibatch"


def unpacked(revision, folder):
    """The package as it was at a revision."""
    archive = subprocess.run(["git", "archive", revision, PACKAGE], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def serve(folder):
    """Fit the tasks that are named on the standard input, and print the seconds of each."""
    sys.path.insert(0, str(folder))
    package = __import__(PACKAGE)
    if Path(folder).resolve() not in Path(package.__file__).resolve().parents:
        raise SystemExit(f"{package.__file__} was imported in place of the package in {folder}.")
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        kind, parameters, of = TASKS[line.strip()]
        X, y = rows(of)
        model = getattr(package, kind)(**parameters)
        start = time.perf_counter()
        model.fit(X, y)
        print(time.perf_counter() - start, flush=True)


class Version:
    """A process that has imported the package of a folder."""

    def __init__(self, folder):
        command = [sys.executable, __file__, "--serve", str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def seconds(self, name):
        print(name, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def ratio(base, head, name, rounds):
    """How many times as long the head takes: the median, and the quartiles."""
    base.seconds(name), head.seconds(name)  # compiled
    ratios = []
    for number in range(rounds):
        if number % 2:
            before, after = base.seconds(name), head.seconds(name)
        else:
            after, before = head.seconds(name), base.seconds(name)
        ratios.append(after / before)
    return np.percentile(ratios, [50, 25, 75])


def compare(revision, most, rounds):
    """Print the ratio of every task, and return the names of those above the limit."""
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        with closing(Version(unpacked(revision, folder))) as base, closing(Version(ROOT)) as head:
            for name in TASKS:
                found = ratio(base, head, name, rounds)
                if found[0] > most:
                    found = ratio(base, head, name, 3 * rounds)
                if found[0] > most:
                    failed.append(name)
                print(f"{name}: {found[0]:.2f} ({found[1]:.2f} to {found[2]:.2f}) times {revision}", flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="of git, to compare this tree with; with --serve a folder")
    parser.add_argument("--most", type=float, default=1.25, help="the ratio above which a task fails")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.revision)
    if failed := compare(options.revision, options.most, options.rounds):
        sys.exit(f"More than {options.most} times as long: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
