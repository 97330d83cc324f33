"""Data of more than one file of tests; a file that needs others has fixtures of its own."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import scale

from minibatch import MiniBatchSGDRegressor


@pytest.fixture(scope="session")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="session")
def digits():
    """Few rows, six columns and three classes."""
    X, y = load_digits(return_X_y=True)
    return X[:150, 20:26] / 16, y[:150] % 3


@pytest.fixture
def quadratic():
    """``3/2 w^2``, from ``w = 1``: an estimator, rows, targets, and what gives it to a range test."""
    estimator = MiniBatchSGDRegressor(penalty=None, fit_intercept=False, batch_size="full")
    return estimator, np.full((4, 1), np.sqrt(3.0)), np.zeros(4), {"coef_init": np.ones(1)}
