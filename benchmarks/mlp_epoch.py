"""Time of a network's epoch beside scikit-learn and PyTorch, where installed: python benchmarks/mlp_epoch.py

All train the same net, 784-100-10 with ReLU, on the same float32 rows with the same objective, by SGD with Nesterov's
momentum, in a new order every epoch, on one thread. An epoch is the difference between fits of more and fewer epochs,
so set-up is in none; they take turns, and the ratio is the median over the rounds with its range.
"""

import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from minibatch import MiniBatchMLPClassifier

try:
    import torch
except ImportError:
    torch = None

ROUNDS, FEW, MANY = 5, 1, 4
N_FEATURES, N_UNITS, N_CLASSES = 784, 100, 10
RATE, MOMENTUM, ALPHA = 1e-4, 0.9, 1e-4
CASES = [(1, 1_000), (8, 4_000), (32, 10_000), (256, 10_000), ("full", 10_000)]  # batch size, rows


def fit_minibatch(X, y, batch_size, epochs):
    options = {"solver": "sgd", "momentum": MOMENTUM, "learning_rate_init": RATE, "random_state": 0}
    MiniBatchMLPClassifier((N_UNITS,), batch_size=batch_size, alpha=ALPHA, max_iter=epochs, tol=None, **options).fit(
        X, y
    )


def fit_sklearn(X, y, batch_size, epochs):
    options = {"solver": "sgd", "momentum": MOMENTUM, "learning_rate_init": RATE, "random_state": 0}
    MLPClassifier(  # divides alpha by the batch size
        (N_UNITS,), batch_size=batch_size, alpha=ALPHA * batch_size, max_iter=epochs, n_iter_no_change=np.inf, **options
    ).fit(X, y)


def fit_torch(X, y, batch_size, epochs):
    torch.manual_seed(0)
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    net = torch.nn.Sequential(
        torch.nn.Linear(N_FEATURES, N_UNITS), torch.nn.ReLU(), torch.nn.Linear(N_UNITS, N_CLASSES)
    )
    groups = [  # no penalty on the intercepts
        {"params": [layer.weight for layer in (net[0], net[2])], "weight_decay": ALPHA},
        {"params": [layer.bias for layer in (net[0], net[2])]},
    ]
    optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, nesterov=True)
    loss = torch.nn.CrossEntropyLoss()
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(batch_size):
            optimizer.zero_grad()
            loss(net(X[rows]), y[rows]).backward()
            optimizer.step()


def seconds_of_epoch(fit, *data):
    def seconds(epochs):
        start = time.perf_counter()
        fit(*data, epochs)
        return time.perf_counter() - start

    few, many = seconds(FEW), seconds(MANY)
    return (many - few) / (MANY - FEW)


def row_of_table(fits, size, n):
    """Milliseconds of our epoch, and the ratios of the others."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, N_FEATURES), dtype=np.float32)
    y = (X @ rng.standard_normal((N_FEATURES, N_CLASSES), dtype=np.float32)).argmax(axis=1)
    data = (X, y, n if size == "full" else size)
    for fit in fits:
        fit(*data, 1)  # compile, import
    ours, *others = np.array([[seconds_of_epoch(fit, *data) for fit in fits] for _ in range(ROUNDS)]).T
    ratios = [f"{np.median(r):.1f} ({r.min():.1f} to {r.max():.1f})" for r in others / ours]
    return f"{size!s:>5} {n:>6} {1e3 * np.median(ours):>9.1f}" + "".join(f"{ratio:>24}" for ratio in ratios)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    fits = {"ours": fit_minibatch, "MLPClassifier": fit_sklearn} | ({"PyTorch": fit_torch} if torch else {})
    print("epoch of the other / epoch of MiniBatchMLPClassifier (above 1: ours is faster)")
    print("batch   rows  ours, ms" + "".join(f"{name:>24}" for name in [*fits][1:]))
    if torch:
        torch.set_num_threads(1)
    with threadpool_limits(1):
        for size, n in CASES:
            print(row_of_table(fits.values(), size, n), flush=True)


if __name__ == "__main__":
    main()
