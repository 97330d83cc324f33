"""Data sets: archives in the folder MINIBATCH_DATA where they are there, generated rows of the same shape otherwise.

An archive has X (CSR as scipy.sparse.save_npz writes it, or dense), y, and may have n_train: its leading rows are the
training part.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

N_TEST = 5_000
PIXEL = 255


class Source(NamedTuple):
    n: int  # rows to train on, at most
    d: int
    n_classes: int
    per_row: int = 0  # values in a row of CSR; 0: dense
    archive: str = ""


class Data(NamedTuple):
    name: str
    X: np.ndarray
    y: np.ndarray  # 0, 1, ...
    X_test: np.ndarray
    y_test: np.ndarray


def load(source, dtype=np.float32):
    path = Path(os.environ.get("MINIBATCH_DATA", "")) / f"{source.archive}.npz"
    real = path.is_file()
    X, y, n_train = _read(path) if real else _generate(source, dtype)
    X, test = X[:n_train][: source.n], X[n_train:][:N_TEST]
    if real:
        X, test = _scaled(X, test)
    y, y_test = y[:n_train][: source.n], y[n_train:][:N_TEST]
    shape = f"{X.shape[0]} x {X.shape[1]} {np.dtype(dtype).name}"
    name = f"{source.archive if real else 'generated'}, {shape}, {len(np.unique(y))} classes"
    name += f", {X.nnz / X.shape[0]:.0f} a row" if source.per_row else ""
    return Data(name, X.astype(dtype, copy=False), y, test.astype(dtype, copy=False), y_test)


def dense_rows(n, d, n_classes, dtype=np.float32):
    """Normal columns; the class is the largest of noisy linear scores."""
    random = np.random.default_rng(0)
    X = random.standard_normal((n, d), dtype=np.float32).astype(dtype, copy=False)
    scores = X @ random.standard_normal((d, n_classes)).astype(dtype)
    scores += random.standard_normal((n, n_classes), dtype=np.float32)
    return X, scores.argmax(axis=1)


def sparse_rows(n, d, per_row):
    """Columns as words in texts: few are in most rows. Rows have norm 1."""
    import scipy.sparse as sp

    random = np.random.default_rng(0)
    columns = np.sort((d * random.random((n, per_row)) ** 3).astype(np.int32), axis=1)
    values = random.random((n, per_row))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    starts = np.arange(0, n * per_row + 1, per_row, dtype=np.int32)
    X = sp.csr_array((values.ravel(), columns.ravel(), starts), shape=(n, d))
    X.sum_duplicates()
    return X, (X @ random.standard_normal(d) > 0).astype(int)


def _generate(source, dtype):
    n, d, n_classes, per_row, _ = source
    n_rows = n + min(n // 4, N_TEST)
    X, y = sparse_rows(n_rows, d, per_row) if per_row else dense_rows(n_rows, d, n_classes, dtype)
    return X, y, n


def _read(path):
    import scipy.sparse as sp

    archive = np.load(path)
    X = sp.csr_array(sp.load_npz(path)) if "indptr" in archive else archive["X"]
    y = np.unique(archive["y"], return_inverse=True)[1]
    if "n_train" in archive:
        return X, y, int(archive["n_train"])
    order = np.random.default_rng(0).permutation(len(y))
    return X[order], y[order], 4 * len(y) // 5


def _scaled(X, test):
    """Sparse rows get norm 1, pixels are divided by their largest value, other columns are standardized."""
    from sklearn.preprocessing import Normalizer, StandardScaler

    if hasattr(X, "indptr"):
        return Normalizer().transform(X.astype(float)), Normalizer().transform(test.astype(float))
    if X.dtype == np.uint8 and X.max() == PIXEL:
        return X / PIXEL, test / PIXEL
    scaler = StandardScaler().fit(X.astype(float))
    return scaler.transform(X.astype(float)), scaler.transform(test.astype(float))
