"""Speed beside other libraries: python benchmarks/speed [--quick] [--only TABLE ...] [--out FOLDER]

Prints tables, and saves each as Markdown, JSON and a picture: epochs of linear models and networks over batch sizes,
the time to a test accuracy and to an objective, memory, the first fit, and how an epoch grows with the rows. Each
module of tables says how it measures. Peers that are not installed are left out: ``pip install
"scikit-minibatch[bench]"``. All have as many threads as they take when nobody says how many. Data sets of the folder in
the environment variable MINIBATCH_DATA, where they are there, take the place of generated ones.
"""

import argparse
import time
import warnings
from pathlib import Path

import accuracy
import epochs
import growth
import processes
import solvers
from machine import description
from pictures import draw
from report import cells, markdown, save
from sklearn.exceptions import ConvergenceWarning
from tables import FULL, QUICK

TABLES = {
    table.name: table for module in (epochs, accuracy, solvers, processes, growth) for table in module.TABLES
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(prog="python benchmarks/speed", description="Speed beside other libraries.")
    parser.add_argument("--quick", action="store_true", help="few data sets, short searches")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES, metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of results and pictures")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    machine = description()
    for table in map(TABLES.get, options.only):
        start, rows = time.perf_counter(), []
        for row in table.rows(QUICK if options.quick else FULL):
            rows.append(row)
            print(table.name, *cells(table, row).values(), sep="  ", flush=True)
            save(table, rows, machine, options.out)  # what is measured is kept, wherever this ends
        draw(table, rows, options.out / f"{table.name}.png")
        print(
            f"\n{markdown(table, rows, machine)}\n{table.name} took {time.perf_counter() - start:.0f} s\n", flush=True
        )


if __name__ == "__main__":
    main()
