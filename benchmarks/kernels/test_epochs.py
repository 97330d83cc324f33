"""Epochs of the main kernels: pytest benchmarks/kernels --benchmark-only

For regressions: ``--benchmark-autosave``, then ``--benchmark-compare --benchmark-compare-fail=median:20%`` on the same
machine. A benchmark is a fit of ``N_EPOCHS``, so that checks of the input hardly count.
"""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier

N_EPOCHS = 20
OPTIONS = {"max_iter": N_EPOCHS, "tol": None, "random_state": 0}


def dense_rows(n, d, dtype=np.float64):
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


def run(benchmark, model, X, y):
    benchmark.extra_info["epochs"] = N_EPOCHS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        benchmark.pedantic(model.fit, (X, y), rounds=10, warmup_rounds=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 32, "full"])
def test_linear_dense(benchmark, batch_size, dtype):
    model = MiniBatchSGDClassifier("log_loss", batch_size=batch_size, **OPTIONS)
    run(benchmark, model, *dense_rows(20_000, 100, dtype))


@pytest.mark.parametrize("batch_size", [1, 32, "full"])
def test_linear_sparse(benchmark, batch_size):
    model = MiniBatchSGDClassifier("log_loss", batch_size=batch_size, **OPTIONS)
    run(benchmark, model, *sparse_rows(5_000, 20_000, 75))


@pytest.mark.parametrize("batch_size", [1, 32, "full"])
def test_network(benchmark, batch_size):
    model = MiniBatchMLPClassifier((50,), batch_size=batch_size, solver="sgd", learning_rate_init=1e-3, **OPTIONS)
    run(benchmark, model, *dense_rows(1_000, 100, np.float32))
