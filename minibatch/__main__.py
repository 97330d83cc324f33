"""``python -m minibatch warmup``: compile now what the first fits would compile."""

import argparse
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from minibatch._problems.linear_loops import LARGE_BATCH
from minibatch.engine.compile import COMPILED
from minibatch.engine.sgd import sgd_epoch
from minibatch.linear_model import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.neural_network import MiniBatchMLPRegressor

__all__ = ["main", "warm_up"]

# Fits that need all kernels between them: name, estimator, parameters. Losses, penalties, schedules, the number of
# outputs and the sizes of batches beyond these need no kernels of their own, nor do classifiers beside regressors.
_CONSTANT: dict[str, Any] = {"learning_rate": "constant"}
_FITS: tuple[tuple[str, type, dict[str, Any]], ...] = (
    ("linear, batches of one row", MiniBatchSGDRegressor, {"batch_size": 1}),
    ("linear, one row, L1", MiniBatchSGDRegressor, {"batch_size": 1, "penalty": "l1"}),
    ("linear, small batches", MiniBatchSGDRegressor, {"batch_size": 2}),
    ("linear, large batches", MiniBatchSGDRegressor, {"batch_size": "full", "evaluate_every": 1}),
    ("linear, validation", MiniBatchSGDClassifier, {"early_stopping": True}),
    ("schedules, one row", MiniBatchSGDRegressor, {"batch_size": 1, **_CONSTANT}),
    ("schedules, averaged", MiniBatchSGDRegressor, {"batch_size": 1, "average": True, **_CONSTANT}),
    ("schedules, small batches", MiniBatchSGDRegressor, {"batch_size": 2, **_CONSTANT}),
    ("schedules, L1", MiniBatchSGDRegressor, {"batch_size": 2, "penalty": "l1", **_CONSTANT}),
    ("schedules, other solvers", MiniBatchSGDRegressor, {"batch_size": 2, "solver": "adam", **_CONSTANT}),
    ("schedules, large batches", MiniBatchSGDRegressor, {"batch_size": "full", **_CONSTANT}),
    ("networks", MiniBatchMLPRegressor, {"batch_size": 2, "evaluate_every": 1}),
    ("networks, on two threads", MiniBatchMLPRegressor, {"batch_size": 2, "hidden_layer_sizes": (200, 250)}),
    ("networks, large batches", MiniBatchMLPRegressor, {"batch_size": "full"}),
    ("networks, validation", MiniBatchMLPRegressor, {"early_stopping": True}),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m minibatch", description="Tools around minibatch.")
    command = parser.add_subparsers(required=True, metavar="command").add_parser(
        "warmup",
        help="compile the kernels of all estimators into the disk cache",
        description="Compile the kernels of all estimators into the disk cache, when an image is built or in CI: fits "
        "of later processes on this kind of processor load them. NUMBA_CACHE_DIR moves the cache.",
    )
    command.add_argument(
        "--dtype", choices=["float32", "float64"], action="append", help="type of X; may be repeated (default: float64)"
    )
    command.add_argument("--sparse", action="store_true", help="for CSR rows too")
    options = parser.parse_args(arguments)
    folder = sgd_epoch.stats.cache_path if COMPILED else None
    if folder is None:
        parser.error("nothing is kept: unset MINIBATCH_NUMBA_CACHE and NUMBA_DISABLE_JIT")
    for dtype in options.dtype or ["float64"]:
        for sparse in [False, True] if options.sparse else [False]:
            print(f"{dtype}, {'CSR' if sparse else 'dense'} rows")
            for name, seconds in warm_up(dtype, sparse=sparse):
                print(f"  {name:<30}{seconds:6.1f} s", flush=True)
    print(f"Kept in {folder}")


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


if __name__ == "__main__":
    main()
