"""Epochs of logistic regression: dense and sparse rows, both types, two and more classes."""

import numpy as np
import scipy.sparse as sp
from machine import pass_over
from measure import compared
from sklearn.linear_model import SGDClassifier

from minibatch import MiniBatchSGDClassifier

BATCH_SIZES = (1, 8, 32, 256, 4096, "full")
# rows, columns, classes; CSR where the columns that a row names are given
DENSE = [(500_000, 20, 2), (200_000, 100, 2), (40_000, 784, 2), (5_000, 5_000, 2), (50_000, 100, 10), (20_000, 100, 26)]
SPARSE = [(100_000, 47_000, 75)]
RATE, ALPHA = 1e-3, 1e-4
OPTIONS = {
    "loss": "log_loss", "learning_rate": "constant", "eta0": RATE, "alpha": ALPHA, "tol": None, "random_state": 0
}  # fmt: skip


def dense_rows(n, d, n_classes, dtype):
    random = np.random.default_rng(0)
    X = random.standard_normal((n, d), dtype=np.float32).astype(dtype)
    scores = X @ random.standard_normal((d, n_classes)).astype(dtype) + random.standard_normal((n, n_classes))
    return X, scores.argmax(axis=1)


def sparse_rows(n, d, per_row, dtype):
    """Columns as words in texts: few are in most rows. Rows have norm 1."""
    random = np.random.default_rng(0)
    columns = np.sort((d * random.random((n, per_row)) ** 3).astype(np.int32), axis=1)
    values = random.random((n, per_row))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    starts = np.arange(0, n * per_row + 1, per_row, dtype=np.int32)
    X = sp.csr_array((values.ravel().astype(dtype), columns.ravel(), starts), shape=(n, d))
    X.sum_duplicates()
    return X, (X @ random.standard_normal(d) > 0).astype(int)


def ours(X, y, batch_size):
    return lambda epochs: MiniBatchSGDClassifier(batch_size=batch_size, max_iter=epochs, **OPTIONS).fit(X, y)


def scikit_learn(X, y, batch_size):
    """It has no batches: rows one by one, whatever the size."""
    return lambda epochs: SGDClassifier(max_iter=epochs, **OPTIONS).fit(X, y)


def pytorch(X, y, batch_size):
    """The loop of its tutorials, with the rows of a batch taken by index."""
    import torch

    if sp.issparse(X):
        return None
    n, d = X.shape
    size, classes = n if batch_size == "full" else batch_size, np.arange(1 if y.max() == 1 else y.max() + 1)
    own = y[:, None] == (classes if len(classes) > 1 else [1])  # each class against the rest, as the others do it
    rows, labels = torch.from_numpy(X), torch.from_numpy(own.astype(X.dtype))
    loss = torch.nn.BCEWithLogitsLoss(reduction="sum")

    def fit(epochs):
        torch.manual_seed(0)
        model = torch.nn.Linear(d, len(classes), dtype=rows.dtype)
        groups = [{"params": [model.weight], "weight_decay": ALPHA}, {"params": [model.bias]}]
        optimizer = torch.optim.SGD(groups, lr=RATE)
        for _ in range(epochs):
            for batch in torch.randperm(n).split(size):
                optimizer.zero_grad()
                (loss(model(rows[batch]), labels[batch]) / len(batch)).backward()
                optimizer.step()

    return fit


def river(X, y, batch_size):
    """``learn_many`` on data frames; two classes, dense, in batches."""
    import pandas as pd
    from river import linear_model, optim

    if sp.issparse(X) or y.max() > 1 or batch_size == 1:
        return None
    frame, labels = pd.DataFrame(X), pd.Series(y.astype(bool))
    size = len(y) if batch_size == "full" else batch_size

    def fit(epochs):
        model, random = linear_model.LogisticRegression(optim.SGD(RATE), l2=ALPHA), np.random.default_rng(0)
        for _ in range(epochs):
            order = random.permutation(len(y))
            for start in range(0, len(y), size):
                here = order[start : start + size]
                model.learn_many(frame.iloc[here], labels.iloc[here])

    return fit


def mlxtend(X, y, batch_size):
    """Two classes, dense; it takes the number of batches."""
    from mlxtend.classifier import LogisticRegression

    if sp.issparse(X) or y.max() > 1:
        return None
    n_batches = 1 if batch_size == "full" else max(1, len(y) // batch_size)
    return lambda epochs: LogisticRegression(
        eta=RATE, l2_lambda=ALPHA, epochs=epochs, minibatches=n_batches, random_seed=0
    ).fit(X, y)


PEERS = {"scikit-learn": scikit_learn, "PyTorch": pytorch, "river": river, "mlxtend": mlxtend}


def cases(quick):
    """Name, X and y of every data set, one at a time."""
    for dtype in (np.float64, np.float32):
        for n, d, n_classes in DENSE[: 2 if quick else None]:
            yield f"{n} x {d} {np.dtype(dtype).name}, {n_classes} classes", *dense_rows(n, d, n_classes, dtype)
        for n, d, per_row in [] if quick else SPARSE:
            yield f"{n} x {d} {np.dtype(dtype).name}, {per_row} a row, 2 classes", *sparse_rows(n, d, per_row, dtype)


def table(peers, quick):
    """Rows of the table, one a data set and batch size."""
    for name, X, y in cases(quick):
        floor = round(pass_over(X), 3)
        for batch_size in BATCH_SIZES:
            makers = {"ours": ours, **peers}
            fits = {peer: fit for peer, make in makers.items() if (fit := make(X, y, batch_size)) is not None}
            yield {"data": name, "batch_size": batch_size, "pass_ms": floor, **compared(fits)}
