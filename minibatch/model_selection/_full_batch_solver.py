"""How long scikit-learn's solver of the same objective takes, where there is one that sees all rows at once."""

import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

__all__ = ["FEWEST_ROWS", "MOST_ITERATIONS", "FullBatchSolver", "full_batch_solver", "time_full_batch_solver"]

FEWEST_ROWS, MOST_ITERATIONS = 5000, 1000


class FullBatchSolver(NamedTuple):
    """``seconds`` are by the clock on the wall; beyond ``n_rows`` in proportion to the rows."""

    name: str
    seconds: float
    n_rows: int  # it was timed on
    n_samples: int

    def __str__(self) -> str:
        how = "measured" if self.n_rows == self.n_samples else f"extrapolated from {self.n_rows:,} rows"
        return f"{self.name} takes {self.seconds:.2g} s on these {self.n_samples:,} rows ({how})"


def full_batch_solver(final: Any, n_samples: int, n_classes: int) -> Any:
    """``LogisticRegression`` or ``Ridge`` with the objective of the estimator; None where neither has it."""
    of_penalty = getattr(final, "penalty", "")
    if of_penalty not in ("l2", None):
        return None
    alpha = float(final.alpha) * n_samples if of_penalty == "l2" else 0.0
    if is_classifier(final) and final.loss == "log_loss":
        solver = LogisticRegression(
            C=1.0 / alpha if alpha > 0.0 else np.inf, fit_intercept=final.fit_intercept,
            class_weight=final.class_weight, max_iter=MOST_ITERATIONS,
        )  # fmt: skip
        return OneVsRestClassifier(solver) if n_classes > 2 and final.multi_class == "ovr" else solver
    if not is_classifier(final) and final.loss == "squared_error":
        return Ridge(alpha=alpha, fit_intercept=final.fit_intercept)
    return None


def time_full_batch_solver(
    final: Any, X: Any, y: NDArray[Any], weight: Any, most_seconds: float, seed: int
) -> FullBatchSolver | None:
    """On rows whose number goes up by factors of 4 for as long as the next fit promises to stay within the seconds."""
    n_samples, n_classes = len(y), len(np.unique(y)) if is_classifier(final) and y.ndim == 1 else 2
    weight = None if weight is None else weight / np.mean(weight)  # C and alpha are for a mean of 1, as here
    n_rows, order = min(n_samples, FEWEST_ROWS), np.random.default_rng(seed).permutation(n_samples)
    while True:
        solver = full_batch_solver(final, n_rows, n_classes)
        if solver is None:
            return None
        here = np.sort(order[:n_rows])
        if is_classifier(final):  # every class is there
            here = np.union1d(here, np.unique(y, return_index=True)[1])
        labelled = {} if weight is None or isinstance(solver, OneVsRestClassifier) else {"sample_weight": weight[here]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            began = time.perf_counter()
            solver.fit(X[here], y[here], **labelled)
            seconds = time.perf_counter() - began
        larger = min(n_samples, 4 * n_rows)
        most_seconds -= seconds
        if n_rows == n_samples or seconds * larger / n_rows > most_seconds:
            name = getattr(solver, "estimator", solver).__class__.__name__
            return FullBatchSolver(name, seconds * n_samples / n_rows, n_rows, n_samples)
        n_rows = larger
