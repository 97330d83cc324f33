"""Is this tree slower than another version? python benchmarks/kernels/gate.py REVISION [--most 1.25] [--rounds 15]

Both versions of the package are imported into one process and fit by turns, so that a machine which slows down slows
both. What counts is the median, over the rounds, of the ratio of two fits that follow one another. A task that is above
the limit is measured again with three times the rounds before it fails, and the exit status is 1.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
from contextlib import contextmanager
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


def ours():
    return {name: module for name, module in sys.modules.items() if name.split(".")[0] == PACKAGE}


@contextmanager
def active(modules):
    """The modules of one version are those that are imported, late imports inside functions too."""
    sys.modules.update(modules)
    yield
    modules |= ours()
    for name in modules:
        sys.modules.pop(name, None)


def version_in(folder):
    """Modules of the package in a folder."""
    sys.path.insert(0, str(folder))
    modules = {}
    with active(modules):
        __import__(PACKAGE)
        found = Path(sys.modules[PACKAGE].__file__)
    sys.path.remove(str(folder))
    if Path(folder).resolve() not in found.resolve().parents:
        raise SystemExit(f"{found} was imported in place of the package in {folder}.")
    return modules


def seconds(modules, kind, parameters, X, y):
    with active(modules):
        model = getattr(sys.modules[PACKAGE], kind)(**parameters)
        start = time.perf_counter()
        model.fit(X, y)
        return time.perf_counter() - start


def ratio(base, head, task, rounds):
    """How many times as long the head takes: the median, and the quartiles."""
    kind, parameters, of = task
    X, y = rows(of)
    seconds(base, kind, parameters, X, y), seconds(head, kind, parameters, X, y)  # compiled
    ratios = []
    for number in range(rounds):
        turns = {}
        for version in (("base", base), ("head", head))[:: 1 if number % 2 else -1]:
            turns[version[0]] = seconds(version[1], kind, parameters, X, y)
        ratios.append(turns["head"] / turns["base"])
    return np.percentile(ratios, [50, 25, 75])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="of git, to compare this tree with")
    parser.add_argument("--most", type=float, default=1.25, help="the ratio above which a task fails")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        base, head = version_in(unpacked(options.revision, folder)), version_in(ROOT)
        warnings.simplefilter("ignore")
        for name, task in TASKS.items():
            found = ratio(base, head, task, options.rounds)
            if found[0] > options.most:
                found = ratio(base, head, task, 3 * options.rounds)
            failed += [name] * (found[0] > options.most)
            print(f"{name}: {found[0]:.2f} ({found[1]:.2f} to {found[2]:.2f}) times {options.revision}", flush=True)
    if failed:
        sys.exit(f"More than {options.most} times as long: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
