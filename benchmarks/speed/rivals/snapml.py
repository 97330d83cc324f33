"""Snap ML: dual coordinate descent, on as many threads as there are cores. Two classes: more are not a softmax.

The intercept is one more column, of ``COLUMN``, whose weight is in the penalty: the larger, the less of it.
"""

import os
from types import SimpleNamespace

import numpy as np
from task import linear_classes, needs_no_batches

name = "snapml"
requires = "snapml"
COLUMN = 10.0


def can(task):
    return needs_no_batches(task) and task.n_classes == 2


def fit(task, model=None):
    from snapml import LogisticRegression

    model = LogisticRegression(
        regularizer=task.alpha * len(task.y), fit_intercept=True, intercept_scaling=COLUMN, max_iter=task.length,
        tol=0.0, n_jobs=os.cpu_count(), random_state=0,
    ).fit(task.X, task.y)  # fmt: skip
    return SimpleNamespace(coef_=model.coef_, intercept_=COLUMN * np.asarray(model.intercept_))


def predict(model, X):
    return linear_classes(model, X)
