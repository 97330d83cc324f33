"""Time of an epoch, a row, from 10,000 to 10,000,000 rows of 20 columns: logistic regression."""

from data import dense_rows
from machine import pass_over
from measure import compared_epochs
from tables import Table
from task import Task

LONGEST = 10.0  # seconds of an epoch; who takes longer has a dash
BATCH_SIZES = (1, 256)
N_ROWS, N_COLUMNS, RATE = (10**4, 10**5, 10**6, 10**7), 20, 1e-4


def growth(pace):
    for n in N_ROWS[: pace.sources and 2 * pace.sources]:
        X, y = dense_rows(n, N_COLUMNS, 2)
        floor = 1e6 * pass_over(X) / n
        for batch_size in BATCH_SIZES:
            task = Task("linear", X, y, batch_size, RATE)
            row = compared_epochs(task, 1e9, pace._replace(epoch=LONGEST), whole=True)
            yield {"data": f"batch size {batch_size}", "at": n, "yardsticks": {"pass over X, ns a row": floor}, **row}


TABLES = [Table("growth", "Epoch of logistic regression, a row", "ns", growth, over="rows", ratios=False)]
