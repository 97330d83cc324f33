"""This package to an objective with SVRG, at the rate that follows from the rows."""

import numpy as np

name = "ours, svrg"
requires = "scikit-minibatch"


def can(task):
    return task.kind == "objective" and task.batch_size is not None


def fit(task, model=None):
    from minibatch import MiniBatchSGDClassifier

    return MiniBatchSGDClassifier(
        "log_loss", alpha=task.alpha, batch_size=task.batch_size, solver="svrg", max_iter=task.length, tol=None,
        multi_class="multinomial", random_state=np.random.RandomState(0),
    ).fit(task.X, task.y)  # fmt: skip


def predict(model, X):
    return model.predict(X)
