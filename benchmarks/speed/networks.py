"""Epochs of a network with one hidden layer of ReLUs, by SGD with Nesterov's momentum, float32."""

import numpy as np
from machine import pass_over
from measure import compared
from sklearn.neural_network import MLPClassifier

from minibatch import MiniBatchMLPClassifier

BATCH_SIZES = (1, 8, 32, 256, 4096, "full")
# inputs, hidden units, classes
SHAPES = [(784, 100, 10), (20, 50, 2)]
N_ROWS, N_ROWS_ONE_BY_ONE = 10_000, 1_000
RATE, MOMENTUM, ALPHA = 1e-4, 0.9, 1e-4
OPTIONS = {"solver": "sgd", "momentum": MOMENTUM, "learning_rate_init": RATE, "random_state": 0}


def rows_of(n, d, n_classes):
    random = np.random.default_rng(0)
    X = random.standard_normal((n, d), dtype=np.float32)
    return X, (X @ random.standard_normal((d, n_classes), dtype=np.float32)).argmax(axis=1)


def ours(X, y, n_units, batch_size):
    return lambda epochs: MiniBatchMLPClassifier(
        (n_units,), batch_size=batch_size, alpha=ALPHA, max_iter=epochs, tol=None, **OPTIONS
    ).fit(X, y)


def scikit_learn(X, y, n_units, batch_size):
    """It divides alpha by the batch size."""
    size = len(y) if batch_size == "full" else min(batch_size, len(y))
    return lambda epochs: MLPClassifier(
        (n_units,), batch_size=size, alpha=ALPHA * size, max_iter=epochs, n_iter_no_change=np.inf, **OPTIONS
    ).fit(X, y)


def pytorch(X, y, n_units, batch_size):
    """The loop of its tutorials, with the rows of a batch taken by index; no penalty on intercepts."""
    import torch

    rows, labels, size = torch.from_numpy(X), torch.from_numpy(y), len(y) if batch_size == "full" else batch_size
    loss = torch.nn.CrossEntropyLoss()

    def fit(epochs):
        torch.manual_seed(0)
        layers = [torch.nn.Linear(X.shape[1], n_units), torch.nn.Linear(n_units, int(y.max()) + 1)]
        model = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1])
        groups = [
            {"params": [layer.weight for layer in layers], "weight_decay": ALPHA},
            {"params": [layer.bias for layer in layers]},
        ]
        optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, nesterov=True)
        for _ in range(epochs):
            for batch in torch.randperm(len(y)).split(size):
                optimizer.zero_grad()
                loss(model(rows[batch]), labels[batch]).backward()
                optimizer.step()

    return fit


def skorch(X, y, n_units, batch_size):
    """PyTorch behind scikit-learn's interface, with its own loaders."""
    import torch
    from skorch import NeuralNetClassifier

    def fit(epochs):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(X.shape[1], n_units), torch.nn.ReLU(), torch.nn.Linear(n_units, int(y.max()) + 1)
        )
        NeuralNetClassifier(
            model, criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.SGD, optimizer__momentum=MOMENTUM,
            optimizer__nesterov=True, optimizer__weight_decay=ALPHA, lr=RATE, max_epochs=epochs, train_split=None,
            batch_size=-1 if batch_size == "full" else batch_size, iterator_train__shuffle=True, verbose=0,
        ).fit(X, y)  # fmt: skip

    return fit


PEERS = {"scikit-learn": scikit_learn, "PyTorch": pytorch, "skorch": skorch}


def table(peers, quick):
    """Rows of the table, one a network and batch size."""
    for d, n_units, n_classes in SHAPES[: 1 if quick else None]:
        for batch_size in BATCH_SIZES:
            X, y = rows_of(N_ROWS_ONE_BY_ONE if batch_size == 1 else N_ROWS, d, n_classes)
            fits = {name: make(X, y, n_units, batch_size) for name, make in {"ours": ours, **peers}.items()}
            yield {
                "data": f"{d}-{n_units}-{n_classes}, {len(y)} rows",
                "batch_size": batch_size,
                "pass_ms": round(pass_over(X), 3),
                **compared(fits),
            }
