"""Speed beside other libraries: python benchmarks/speed [--quick] [--only TABLE ...] [--rivals NAME ...]
    [--data NAME ...] [--out FOLDER]

Prints tables, and saves each as Markdown, JSON and a picture: epochs of linear models and networks over batch sizes,
the time to a test accuracy and to an objective, searches, small data, memory, the first fit, and how an epoch grows
with the rows. Each module of tables says how it measures, rivals/ who is compared. Who is not installed has "not
installed" in the tables: ``pip install "scikit-minibatch[bench]"`` gets those that install everywhere. All have as many
threads as they take when nobody says how many; "ours, lbfgs" and Snap ML, which would take one, all cores. Data sets
of the folder in the environment variable MINIBATCH_DATA, where they are there, take the place of generated ones.

python benchmarks/speed --docs measures nothing: it writes the tables of docs/performance.md and docs/solvers.md anew
from what is saved in docs/performance.
"""

import argparse
import time
import warnings
from pathlib import Path

import accuracy
import epochs
import growth
import page
import processes
import search
import small
import solvers
from machine import description
from report import cells, markdown, save
from rivals import every, is_installed
from sklearn.exceptions import ConvergenceWarning
from tables import FULL, QUICK

MODULES = (epochs, accuracy, solvers, search, small, processes, growth)
TABLES = {table.name: table for module in MODULES for table in module.TABLES}


def main():
    parser = argparse.ArgumentParser(prog="python benchmarks/speed", description="Speed beside other libraries.")
    parser.add_argument("--quick", action="store_true", help="few data sets, short searches")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES, metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of results and pictures")
    parser.add_argument("--rivals", nargs="+", choices=every(), metavar="RIVAL", help="beside ours; all if not given")
    parser.add_argument("--data", nargs="+", metavar="NAME", help='archives, or "generated"; all if not given')
    parser.add_argument("--docs", action="store_true", help="write the tables of docs/performance.md anew, only")
    options = parser.parse_args()
    if options.docs:
        page.write()
    else:
        measure(options)


def measure(options):
    warnings.simplefilter("ignore", ConvergenceWarning)
    pace, machine = (QUICK if options.quick else FULL)._replace(rivals=options.rivals, data=options.data), description()
    for name, rival in every().items():
        if not is_installed(rival):
            print(f"{name}: not installed")
    for table in map(TABLES.get, options.only):
        start, rows = time.perf_counter(), []
        for row in table.rows(pace):
            rows.append(row)
            print(
                table.name, *(f"{column}: {cell}" for column, cell in cells(table, row).items()), sep="  ", flush=True
            )
            save(table, rows, machine, options.out)  # what is measured is kept, wherever this ends
        if not rows:
            raise SystemExit(f"{table.name}: nothing to measure; --data and --rivals leave no data set and rival")
        if table.draw:
            table.draw(table, rows, options.out / f"{table.name}.png")
        print(
            f"\n{markdown(table, rows, machine)}\n{table.name} took {time.perf_counter() - start:.0f} s\n", flush=True
        )


if __name__ == "__main__":
    main()
