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
from minibatch.linear_model import MiniBatchSGDClassifier, MiniBatchSGDOneClassSVM, MiniBatchSGDRegressor
from minibatch.neural_network import MiniBatchMLPClassifier, MiniBatchMLPRegressor

__all__ = ["main", "warm_up"]

# Fits that need all kernels between them. The log loss, a softmax, other losses and batch normalization have kernels of
# their own; penalties, schedules, the number of outputs and the sizes of batches beyond these have none.
_CONSTANT: dict[str, Any] = {"learning_rate": "constant"}
_LINEAR: dict[str, dict[str, Any]] = {
    "batches of one row": {"batch_size": 1},
    "one row, L1": {"batch_size": 1, "penalty": "l1"},
    "small batches": {"batch_size": 2},
    "large batches": {"batch_size": "full", "evaluate_every": 1},
    "validation": {"early_stopping": True},
    "schedules, one row": {"batch_size": 1, **_CONSTANT},
    "schedules, averaged": {"batch_size": 1, "average": True, **_CONSTANT},
    "schedules, small batches": {"batch_size": 2, **_CONSTANT},
    "schedules, L1": {"batch_size": 2, "penalty": "l1", **_CONSTANT},
    "schedules, other solvers": {"batch_size": 2, "solver": "adam", **_CONSTANT},
    "schedules, large batches": {"batch_size": "full", **_CONSTANT},
    "variance reduction": {"batch_size": 2, "solver": "saga"},
}
_PASSIVE: dict[str, dict[str, Any]] = {
    name: {**_LINEAR[name], "learning_rate": "pa1"}
    for name in ("batches of one row", "one row, L1", "small batches", "large batches", "schedules, averaged")
}
_NOT_OF_ONE_CLASS = ("one row, L1", "validation", "schedules, L1", "variance reduction")
_ONE_CLASS = {name: parameters for name, parameters in _LINEAR.items() if name not in _NOT_OF_ONE_CLASS}
_NETWORKS: dict[str, dict[str, Any]] = {
    "small batches": {"batch_size": 2, "evaluate_every": 1},
    "on two threads": {"batch_size": 2, "hidden_layer_sizes": (200, 250)},
    "large batches": {"batch_size": "full"},
    "validation": {"early_stopping": True},
    "batch normalization": {"batch_size": 4, "evaluate_every": 1, "batch_normalization": True},
}
# What is learned, how many classes there are (0: y is a number), the estimator, and its parameters.
_KINDS: tuple[tuple[str, int, type, dict[str, Any], dict[str, dict[str, Any]]], ...] = (
    ("linear", 0, MiniBatchSGDRegressor, {}, _LINEAR),
    ("linear, log loss", 2, MiniBatchSGDClassifier, {"loss": "log_loss"}, _LINEAR),
    ("linear, classes against the rest", 3, MiniBatchSGDClassifier, {}, _LINEAR),
    ("linear, log loss against the rest", 3, MiniBatchSGDClassifier, {"loss": "log_loss"}, _LINEAR),
    ("linear, softmax", 3, MiniBatchSGDClassifier, {"loss": "log_loss", "multi_class": "multinomial"}, _LINEAR),
    ("passive-aggressive", 2, MiniBatchSGDClassifier, {"loss": "hinge"}, _PASSIVE),
    ("one class", 0, MiniBatchSGDOneClassSVM, {}, _ONE_CLASS),
    ("networks", 0, MiniBatchMLPRegressor, {}, _NETWORKS),
    ("networks, two classes", 2, MiniBatchMLPClassifier, {}, _NETWORKS),
    ("networks, more classes", 3, MiniBatchMLPClassifier, {}, _NETWORKS),
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
                print(f"  {name:<46}{seconds:6.1f} s", flush=True)
    print(f"Kept in {folder}")


def warm_up(dtype: Any, *, sparse: bool) -> Iterator[tuple[str, float]]:
    """Train each kind of model for an epoch; yields what it was and how many seconds it took."""
    for kind, n_classes, estimator, of_kind, ways in _KINDS:
        for way, parameters in ways.items():
            n_rows = LARGE_BATCH if parameters.get("batch_size") == "full" else 20
            X = np.random.default_rng(0).standard_normal((n_rows, 3)).astype(dtype)
            y = np.arange(n_rows) % n_classes if n_classes else X[:, 0]
            rows = sp.csr_array(X) if sparse else X
            began = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = estimator(max_iter=1, tol=None, random_state=0, **of_kind, **parameters)
                model.fit(rows, y).predict(rows)
            yield f"{kind}, {way}", time.perf_counter() - began


if __name__ == "__main__":
    main()
