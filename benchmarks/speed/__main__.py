"""Epochs beside other libraries: python benchmarks/speed [--quick] [--out FOLDER]

Prints, and saves as JSON and pictures, how many times as long an epoch of each peer takes: above 1, ours is faster.
"passes" is our epoch in units of one pass over X (``X.sum()``). Peers that are not installed are left out:
``pip install "scikit-minibatch[bench]"``. All have as many threads as the machine has cores, as they come.
"""

import argparse
import importlib
import json
import warnings
from pathlib import Path

import linear
import networks
from machine import description
from report import heading, line_of, save
from sklearn.exceptions import ConvergenceWarning

MODULES = {"scikit-learn": "sklearn", "PyTorch": "torch"}


def installed(peers):
    """Those that can be imported."""
    found = {}
    for name, make in peers.items():
        try:
            importlib.import_module(MODULES.get(name, name))
            found[name] = make
        except ImportError:
            print(f"{name} is not installed: left out")
    return found


def main():
    parser = argparse.ArgumentParser(prog="python benchmarks/speed", description="Epochs beside other libraries.")
    parser.add_argument("--quick", action="store_true", help="the first data sets only")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of results and pictures")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    results = {"machine": description(), "tables": {}}
    print(json.dumps(results["machine"], indent=1))
    for table in (linear, networks):
        name, peers = table.__name__, installed(table.PEERS)
        print(f"\n{name}\n{heading(peers)}")
        rows = results["tables"][name] = []
        for row in table.table(peers, options.quick):
            rows.append(row)
            print(line_of(row, peers), flush=True)
            save(results, options.out)  # what is measured is kept, wherever this ends


if __name__ == "__main__":
    main()
