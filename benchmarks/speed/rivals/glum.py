"""glum: a generalized linear model of the binomial family, by iteratively reweighted least squares; two classes."""

from types import SimpleNamespace

import numpy as np
from task import linear_classes, needs_no_batches

name = "glum"
requires = "glum"


def can(task):
    return needs_no_batches(task) and task.n_classes == 2


def fit(task, model=None):
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(
        family="binomial", alpha=task.alpha, l1_ratio=0, gradient_tol=1e-12, max_iter=task.length
    ).fit(task.X, task.y.astype(task.X.dtype))
    return SimpleNamespace(coef_=model.coef_[None], intercept_=np.array([model.intercept_]))


def predict(model, X):
    return linear_classes(model, X)
