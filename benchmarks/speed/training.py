"""What every peer looks like here: it trains for a number of epochs, and it can be watched along them."""

from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice
from typing import NamedTuple

import numpy as np

MODULES = {"ours": "minibatch", "scikit-learn": "sklearn", "PyTorch": "torch"}


class Training(NamedTuple):
    """A model and its rows, ready to be trained from the beginning."""

    fit: Callable  # of a number of epochs: what is timed
    watched: Callable  # a generator that yields ``predict`` after every epoch


def installed(peers):
    """Those that can be imported."""
    return {name: make for name, make in peers.items() if find_spec(MODULES.get(name, name))}


def rows_of_batch(batch_size, n):
    return n if batch_size == "full" else min(batch_size, n)


def of_estimator(model, X, y):
    """``model`` makes an estimator with so many epochs. Watched, it trains by ``partial_fit``, an epoch a call."""

    def watched():
        estimator, classes = model(1), np.unique(y)
        while True:
            estimator.partial_fit(X, y, classes=classes)
            yield estimator.predict

    return Training(lambda epochs: model(epochs).fit(X, y), watched)


def of_epochs(watched):
    """A loop of one's own, which can be watched as it is."""

    def fit(epochs):
        for _ in islice(watched(), epochs):
            pass

    return Training(fit, watched)


def of_torch(layers, loss, X, targets, batch_size, alpha, **options):
    """The loop of PyTorch's tutorials, with the rows of a batch taken by index, which is faster than its DataLoader."""
    import torch

    rows, targets, n = torch.from_numpy(X), torch.from_numpy(targets), len(targets)
    size = rows_of_batch(batch_size, n)

    def watched():
        torch.manual_seed(0)
        model = layers()
        kinds = [
            [value for name, value in model.named_parameters() if name.endswith(end)] for end in ("weight", "bias")
        ]
        groups = [{"params": kinds[0], "weight_decay": alpha}, {"params": kinds[1]}]
        optimizer = torch.optim.SGD(groups, **options)
        while True:
            for batch in torch.randperm(n).split(size):
                optimizer.zero_grad()
                loss(model(rows[batch]), targets[batch]).backward()
                optimizer.step()
            yield lambda X: _torch_labels(model, X)

    return of_epochs(watched)


def _torch_labels(model, X):
    import torch

    with torch.no_grad():
        scores = model(torch.from_numpy(X)).numpy()
    return scores.argmax(axis=1) if scores.shape[1] > 1 else scores[:, 0] > 0
