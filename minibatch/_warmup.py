"""Compile ahead of the first fit, for images of containers and for CI."""

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from minibatch._problems.linear import LARGE_BATCH
from minibatch.linear_model import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.neural_network import MiniBatchMLPRegressor

# Fits that need all kernels between them: name, estimator, parameters. Losses, penalties, schedules, the number of
# outputs and the sizes of batches beyond these need no kernels of their own, nor do classifiers beside regressors.
_FITS: tuple[tuple[str, type, dict[str, Any]], ...] = (
    ("linear, batches of one row", MiniBatchSGDRegressor, {"batch_size": 1}),
    ("linear, averaged", MiniBatchSGDRegressor, {"batch_size": 1, "average": True}),
    ("linear, small batches", MiniBatchSGDRegressor, {"batch_size": 2}),
    ("linear, L1", MiniBatchSGDRegressor, {"batch_size": 2, "penalty": "l1"}),
    ("linear, other solvers", MiniBatchSGDRegressor, {"batch_size": 2, "solver": "adam"}),
    ("linear, large batches", MiniBatchSGDRegressor, {"batch_size": "full", "evaluate_every": 1}),
    ("linear, validation", MiniBatchSGDClassifier, {"early_stopping": True}),
    ("networks", MiniBatchMLPRegressor, {"batch_size": 2, "evaluate_every": 1}),
    ("networks, on two threads", MiniBatchMLPRegressor, {"batch_size": 2, "hidden_layer_sizes": (200, 250)}),
    ("networks, large batches", MiniBatchMLPRegressor, {"batch_size": "full"}),
    ("networks, validation", MiniBatchMLPRegressor, {"early_stopping": True}),
)


def warm_up(dtype: Any, *, sparse: bool) -> Iterator[tuple[str, float]]:
    """Train each kind of model for an epoch; yields what it was and how many seconds it took."""
    for name, estimator, parameters in _FITS:
        n_rows = LARGE_BATCH if parameters.get("batch_size") == "full" else 20
        X = np.random.default_rng(0).standard_normal((n_rows, 3)).astype(dtype)
        y = (X[:, 0] > 0).astype(X.dtype)
        rows = sp.csr_array(X) if sparse else X
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator(max_iter=1, tol=None, random_state=0, **parameters).fit(rows, y).predict(rows)
        yield name, time.perf_counter() - began
