"""A network with one hidden layer of ReLUs, by SGD with Nesterov's momentum: ours and its peers, as in linear_peers."""

import numpy as np
from training import of_estimator, of_torch, rows_of_batch

N_UNITS, MOMENTUM, ALPHA = 100, 0.9, 1e-4
OPTIONS = {"hidden_layer_sizes": (N_UNITS,), "solver": "sgd", "momentum": MOMENTUM}


def ours(X, y, batch_size, rate):
    from minibatch import MiniBatchMLPClassifier

    def model(epochs):
        return MiniBatchMLPClassifier(
            batch_size=batch_size, alpha=ALPHA, learning_rate_init=rate, max_iter=epochs, tol=None,
            random_state=np.random.RandomState(0), **OPTIONS,
        )  # fmt: skip

    return of_estimator(model, X, y)


def scikit_learn(X, y, batch_size, rate):
    """It divides alpha by the batch size."""
    from sklearn.neural_network import MLPClassifier

    size = rows_of_batch(batch_size, len(y))

    def model(epochs):
        return MLPClassifier(
            batch_size=size, alpha=ALPHA * size, learning_rate_init=rate, max_iter=epochs, n_iter_no_change=np.inf,
            random_state=np.random.RandomState(0), **OPTIONS,
        )  # fmt: skip

    return of_estimator(model, X, y)


def _layers(X, y):
    import torch

    dtype = torch.from_numpy(X[:1]).dtype
    first, last = (
        torch.nn.Linear(*shape, dtype=dtype) for shape in ((X.shape[1], N_UNITS), (N_UNITS, int(y.max()) + 1))
    )
    return torch.nn.Sequential(first, torch.nn.ReLU(), last)


def pytorch(X, y, batch_size, rate):
    import torch

    return of_torch(
        lambda: _layers(X, y), torch.nn.CrossEntropyLoss(), X, y, batch_size, ALPHA,
        lr=rate, momentum=MOMENTUM, nesterov=True,
    )  # fmt: skip


def skorch(X, y, batch_size, rate):
    """PyTorch behind scikit-learn's interface, with its own loaders; the penalty has the intercepts in it."""
    import torch
    from skorch import NeuralNetClassifier

    def model(epochs):
        torch.manual_seed(0)
        return NeuralNetClassifier(
            _layers(X, y), criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.SGD, optimizer__momentum=MOMENTUM,
            optimizer__nesterov=True, optimizer__weight_decay=ALPHA, lr=rate, max_epochs=epochs, train_split=None,
            batch_size=rows_of_batch(batch_size, len(y)), iterator_train__shuffle=True, verbose=0,
        )  # fmt: skip

    return of_estimator(model, X, y)


PEERS = {"ours": ours, "scikit-learn": scikit_learn, "PyTorch": pytorch, "skorch": skorch}
