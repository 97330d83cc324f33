"""Time of an epoch: linear models and networks."""

import numpy as np
from data import Source, load
from machine import gemm_rate, pass_over
from measure import compared_epochs
from tables import Table
from task import N_UNITS, Task

RATE = 1e-4  # none diverges
LINEAR = [
    Source(500_000, 20, 2),
    Source(32_561, 108, 2, archive="adult"),
    Source(40_000, 784, 2),
    Source(5_000, 5_000, 2),
    Source(10_000, 784, 10, archive="fashion_mnist"),
    Source(16_000, 16, 26, archive="letter"),
    Source(4_459, 4_213, 2, per_row=14, archive="sms_spam_counts"),
    Source(100_000, 47_000, 2, per_row=75),
]
NETWORKS = [
    Source(10_000, 784, 10, archive="fashion_mnist"),
    Source(10_000, 20, 2),
    Source(10_000, 16, 26, archive="letter"),
]


def _rows(kind, source, dtype, yardsticks, pace):
    data = load(source, dtype)
    scale = 1e3 * len(data.y)
    floor = pass_over(data.X)
    for batch_size in pace.batch_sizes:
        row = compared_epochs(Task(kind, data.X, data.y, batch_size, RATE), scale, pace)
        yield {
            "data": data.name,
            "at": batch_size,
            "yardsticks": yardsticks(data, floor, row["values"]["ours"][0]),
            **row,
        }


def _passes(data, floor, milliseconds):
    return {"pass over X, ms": floor, "ours, passes": milliseconds / floor}


def linear(pace):
    for dtype in (np.float32, np.float64):
        for source in pace.of(LINEAR):
            yield from _rows("linear", source, dtype, _passes, pace)


def networks(pace):
    for dtype in (np.float32, np.float64):
        rate = 1e9 * gemm_rate(dtype)

        def of_gemm(data, floor, milliseconds, rate=rate):
            """The share of the machine's rate that the products of an epoch reach."""
            inputs, outputs = data.X.shape[1], int(data.y.max()) + 1
            operations = len(data.y) * N_UNITS * (4 * inputs + 6 * outputs)
            return {"pass over X, ms": floor, "ours, of GEMM": operations / (1e-3 * milliseconds * rate)}

        for source in pace.of(NETWORKS[: 1 if dtype == np.float64 else None]):
            yield from _rows("network", source, dtype, of_gemm, pace)


TABLES = [
    Table("linear", "Epoch of logistic regression by SGD", "ms", linear),
    Table("networks", f"Epoch of a network with {N_UNITS} hidden units", "ms", networks),
]
