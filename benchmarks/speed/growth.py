"""Time of an epoch, a row, from 10,000 to 10,000,000 rows of 20 columns: logistic regression."""

import linear_peers
import numpy as np
from data import dense_rows
from machine import pass_over
from measure import compared_epochs
from tables import Table
from training import installed

MOST_UPDATES = {"ours": np.inf, "scikit-learn": np.inf, "PyTorch": 10**4}  # in an epoch; more take too long
BATCH_SIZES = (1, 256)
N_ROWS, N_COLUMNS, RATE = (10**4, 10**5, 10**6, 10**7), 20, 1e-4


def growth(pace):
    makers = installed(linear_peers.PEERS)
    for n in N_ROWS[: pace.sources and 2 * pace.sources]:
        X, y = dense_rows(n, N_COLUMNS, 2)
        floor = 1e6 * pass_over(X) / n
        for batch_size in BATCH_SIZES:
            affordable = [name for name, most in MOST_UPDATES.items() if name in makers and n / batch_size <= most]
            peers = {name: makers[name] for name in affordable}
            row = compared_epochs(peers, X, y, batch_size, RATE, 1e9, pace._replace(epoch=np.inf))
            yield {"data": f"batch size {batch_size}", "at": n, "yardsticks": {"pass over X, ns a row": floor}, **row}


TABLES = [Table("growth", "Epoch of logistic regression, a row", "ns", growth, over="rows", ratios=False)]
