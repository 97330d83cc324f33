"""Fits that show the speed of the main kernels: so many epochs that checks of the input hardly count."""

import numpy as np
import scipy.sparse as sp

__all__ = ["N_EPOCHS", "TASKS", "rows"]

N_EPOCHS = 20
OPTIONS = {"max_iter": N_EPOCHS, "tol": None, "random_state": 0}
LINEAR, NETWORK = "MiniBatchSGDClassifier", "MiniBatchMLPClassifier"


def dense_rows(n, d, dtype):
    random = np.random.default_rng(0)
    X = random.standard_normal((n, d)).astype(dtype)
    return X, (X @ random.standard_normal(d) > 0).astype(int)


def sparse_rows(n, d, per_row):
    random = np.random.default_rng(0)
    columns = random.integers(d, size=n * per_row)
    starts = np.arange(0, n * per_row + 1, per_row)
    X = sp.csr_array((random.random(n * per_row), columns, starts), shape=(n, d))
    X.sum_duplicates()
    return X, random.integers(2, size=n)


ROWS = {
    "float32": lambda: dense_rows(20_000, 100, np.float32),
    "float64": lambda: dense_rows(20_000, 100, np.float64),
    "sparse": lambda: sparse_rows(5_000, 20_000, 75),
    "few": lambda: dense_rows(1_000, 100, np.float32),
}
# name: the class, its parameters, the name of its rows
TASKS = {
    f"{what}, batch size {size}": (kind, parameters | OPTIONS | {"batch_size": size}, name)
    for what, kind, parameters, name in (
        ("linear float32", LINEAR, {"loss": "log_loss"}, "float32"),
        ("linear float64", LINEAR, {"loss": "log_loss"}, "float64"),
        ("linear sparse", LINEAR, {"loss": "log_loss"}, "sparse"),
        ("network", NETWORK, {"hidden_layer_sizes": (50,), "solver": "sgd", "learning_rate_init": 1e-3}, "few"),
    )
    for size in (1, 32, "full")
}


def rows(name):
    return ROWS[name]()
