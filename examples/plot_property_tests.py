"""
Property tests of your own estimator
====================================

An estimator of one's own that takes a batch size can be wrong in ways that no score shows: a penalty that grows with
the number of updates, a last batch that counts too much, chunks that are not an epoch. ``minibatch.testing`` has checks
for these, for any estimator with a ``batch_size``, and strategies for hypothesis, which look for the smallest data on
which something of your own does not hold.

Here is a ridge regression of twenty lines with a mistake that is found in scikit-learn's networks too: it divides the
penalty by the batch size.
"""

import warnings
from textwrap import fill

import numpy as np
from hypothesis import given, settings
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from minibatch.testing import (
    check_full_batch_ignores_the_order_of_rows,
    check_penalty_does_not_depend_on_batch_size,
    estimators,
    regression_data,
)


class MyRidge(RegressorMixin, BaseEstimator):
    """Gradient descent on ``mean((X w - y)^2) / 2 + alpha / 2 |w|^2``."""

    def __init__(
        self,
        batch_size=1,
        alpha=0.1,
        eta0=0.01,
        max_iter=5,
        shuffle=True,
        random_state=None,
    ):
        self.batch_size = batch_size
        self.alpha = alpha
        self.eta0 = eta0
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state

    def penalty_gradient(self, size):
        return self.alpha * self.coef_ / size  # the mistake

    def fit(self, X, y):
        X, y = validate_data(self, X, y, dtype=np.float64)
        rng = np.random.default_rng(self.random_state)
        self.coef_ = np.zeros(X.shape[1])
        size = len(X) if self.batch_size == "full" else self.batch_size
        for _ in range(self.max_iter):
            order = rng.permutation(len(X)) if self.shuffle else np.arange(len(X))
            for start in range(0, len(X), size):
                batch = order[start : start + size]
                gradient = X[batch].T @ (X[batch] @ self.coef_ - y[batch]) / len(batch)
                self.coef_ -= self.eta0 * (gradient + self.penalty_gradient(len(batch)))
        return self

    def predict(self, X):
        check_is_fitted(self)
        return validate_data(self, X, reset=False) @ self.coef_


# %%
# What the checks say
# -------------------
# In a test file this is one decorator, ``@parametrize_with_batch_checks([MyRidge()])``.


def verdict(check, estimator):
    try:
        check(estimator)
    except AssertionError as error:
        return f"does not hold: {str(error).splitlines()[0]}"
    return "holds"


for check in (
    check_full_batch_ignores_the_order_of_rows,
    check_penalty_does_not_depend_on_batch_size,
):
    print(fill(f"{check.__name__}: {verdict(check, MyRidge())}", 88))


# %%
# Mended
# ------
class MendedRidge(MyRidge):
    def penalty_gradient(self, size):
        return self.alpha * self.coef_


print(f"mended: {verdict(check_penalty_does_not_depend_on_batch_size, MendedRidge())}")

# %%
# Properties of your own
# ----------------------
# Strategies draw data and estimators that fit together; what fails shrinks to a few rows and a short repr. Here, a
# pipeline must predict one finite number a row, whatever estimator and data.

PLAIN = {
    "max_iter": 2,
    "tol": None,
    "solver": "sgd",
    "loss": "squared_error",
    "learning_rate": "auto",
    "eta0": 0.01,
}


# no deadline: the first example waits for the compiler
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(regression_data(sparse=False), estimators("regressor", **PLAIN))
def a_prediction_is_a_finite_number_a_row(data, model):
    X, y = data
    with warnings.catch_warnings():
        # some draws diverge: what they predict is finite all the same
        warnings.simplefilter("ignore", ConvergenceWarning)
        predicted = make_pipeline(StandardScaler(), model).fit(X, y).predict(X)
    assert predicted.shape == y.shape
    assert np.all(np.isfinite(predicted))


a_prediction_is_a_finite_number_a_row()
print("25 draws: holds")
