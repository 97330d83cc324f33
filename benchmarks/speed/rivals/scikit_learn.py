"""SGDClassifier, which has no batches: rows one by one, whatever the size; MLPClassifier, which has."""

import numpy as np
from task import MOMENTUM, N_UNITS, trained

name = "scikit-learn"
requires = "scikit-learn"


def can(task):
    return task.kind in ("linear", "network")


def fit(task, model=None):
    make = _linear if task.kind == "linear" else _network
    return trained(lambda epochs: make(task, epochs), task, model)


def _linear(task, epochs):
    from sklearn.linear_model import SGDClassifier

    return SGDClassifier(
        "log_loss", alpha=task.alpha, learning_rate="constant", eta0=task.rate, max_iter=epochs, tol=None,
        random_state=np.random.RandomState(0),
    )  # fmt: skip


def _network(task, epochs):
    """It divides alpha by the batch size."""
    from sklearn.neural_network import MLPClassifier

    size = task.rows_of_batch
    return MLPClassifier(
        (N_UNITS,), solver="sgd", momentum=MOMENTUM, alpha=task.alpha * size, batch_size=size,
        learning_rate_init=task.rate, max_iter=epochs, n_iter_no_change=np.inf, random_state=np.random.RandomState(0),
    )  # fmt: skip


def predict(model, X):
    return model.predict(X)
