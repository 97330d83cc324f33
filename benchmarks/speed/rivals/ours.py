"""This package. To an objective with rates that nobody tuned, its default."""

import numpy as np
from task import MOMENTUM, N_UNITS, trained

name = "ours"
requires = "scikit-minibatch"


def can(task):
    return task.batch_size is not None and not (task.kind == "network" and task.is_sparse)


def fit(task, model=None):
    if task.kind == "network":
        return trained(lambda epochs: _network(task, epochs), task, model)
    return trained(lambda epochs: _linear(task, epochs), task, model)


def _linear(task, epochs):
    from minibatch import MiniBatchSGDClassifier

    ways = {
        "linear": {"learning_rate": "constant", "eta0": task.rate},
        "objective": {"learning_rate": "auto", "multi_class": "multinomial"},
    }
    return MiniBatchSGDClassifier(
        "log_loss", alpha=task.alpha, batch_size=task.batch_size, max_iter=epochs, tol=None,
        random_state=np.random.RandomState(0), **ways[task.kind],
    )  # fmt: skip


def _network(task, epochs):
    from minibatch import MiniBatchMLPClassifier

    return MiniBatchMLPClassifier(
        (N_UNITS,), solver="sgd", momentum=MOMENTUM, alpha=task.alpha, batch_size=task.batch_size,
        learning_rate_init=task.rate, max_iter=epochs, tol=None, random_state=np.random.RandomState(0),
    )  # fmt: skip


def predict(model, X):
    return model.predict(X)
