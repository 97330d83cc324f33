"""The sizes of a fit, without bytes for what it would hold."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.base import is_classifier

from minibatch._base.rates import growth_of
from minibatch._problems.column_scales import ColumnMoments
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.linear import LinearProblem
from minibatch._problems.mlp import MLPProblem
from minibatch._problems.pieces import Threads
from minibatch._problems.state import rows_of, values_of_row
from minibatch._problems.variance_reduced import VarianceReducedProblem, as_its_solver_asks
from minibatch.model_selection._memory_result import Parts

__all__ = ["MOST", "Fit", "fit_of"]

MOST = 10**15  # rows or columns that arrays may have
_MOST_STORED = 10**18  # values that NumPy gives a shape


class Fit(NamedTuple):
    """The sizes of a fit. ``problem`` has the right number of rows and parameters, but no bytes for them."""

    final: Any
    problem: LinearProblem | MLPProblem
    n_samples: int
    n_features: int
    n_held_out: int
    batch_size: int
    largest_batch: int  # that it grows to
    coded_by_sign: bool  # classes become -1 and 1
    n_parameters: int
    n_columns: int  # of the target
    itemsize: int
    sparse: bool
    state: Parts
    moments_of_columns: int

    @property
    def n_trained_on(self) -> int:
        return self.n_samples - self.n_held_out

    @property
    def n_batches(self) -> int:
        return -(-self.n_trained_on // self.batch_size)

    @property
    def in_chunks(self) -> bool:
        """Whether chunks of a full batch are normalized by themselves, so that its rows are shuffled."""
        network = getattr(self.problem, "network", None)
        return network is not None and network.normalized and network.chunk < self.n_trained_on

    @property
    def values_of_row(self) -> float:
        return values_of_row(self.problem.data.X) if self.sparse else self.n_features

    @property
    def row_bytes(self) -> int:
        """Of a copied row; of the mean row, where they are sparse."""
        if not self.sparse:
            return self.n_features * self.itemsize
        number = self.problem.data.X.indptr.itemsize
        return round(self.values_of_row * (self.itemsize + number) + number)

    @property
    def by_score(self) -> bool:
        """Whether the best state is kept."""
        return self.n_held_out > 0 and self.final.tol is not None


def fit_of(final: Any, n_features: int, n_samples: int, n_outputs: int, dtype: Any, density: float | None) -> Fit:
    n_held_out = int(np.ceil(n_samples * final.validation_fraction)) if final.early_stopping else 0
    if n_held_out >= n_samples:
        raise ValueError(
            f"n_samples={n_samples} leaves no row to train on with validation_fraction={final.validation_fraction:g}; "
            "lower validation_fraction, or give more rows."
        )
    # labels that come more than once: scikit-learn warns of others
    y = np.tile(np.arange(max(2, n_outputs)), 3) if is_classifier(final) else np.ones((2, n_outputs))
    X = np.broadcast_to(np.zeros((), dtype), (len(y), n_features))
    problem: Any = final._new_problem(X, final._encode(y, True), None, threads=Threads(final._n_threads(), None))
    coded_by_sign = is_classifier(final) and isinstance(problem, LinearProblem) and bool(problem.data.y.min() < 0)
    problem = as_its_solver_asks(_with_rows(problem, n_samples, n_held_out))
    if density is not None:
        problem = replace(problem, data=problem.data._replace(X=_sparse_rows(n_samples, n_features, density, dtype)))
    n_parameters, batch_size = problem.n_parameters, final._resolved_batch_size(problem.n_samples)
    growth = growth_of(final, problem.n_samples)
    finds_rates = isinstance(problem, LinearProblem) and final._finds_rates()
    if finds_rates:
        problem = DualAveragingProblem.with_moments(problem, ColumnMoments(np.zeros(1), np.zeros(1), 1.0))
    return Fit(
        final=final,
        problem=problem,
        n_samples=n_samples,
        n_features=n_features,
        n_held_out=n_held_out,
        batch_size=batch_size,
        largest_batch=batch_size if growth is None else growth.largest,
        coded_by_sign=coded_by_sign,
        n_parameters=n_parameters,
        n_columns=problem.data.y.shape[1],
        itemsize=dtype.itemsize,
        sparse=density is not None,
        state=_bytes_of_state(problem, dtype.itemsize, 0 if finds_rates else _of_average(final, dtype)),
        moments_of_columns=16 * n_features if finds_rates else 0,
    )


def _bytes_of_state(problem: Any, itemsize: int, of_average: int) -> Parts:
    """``of_average`` are those of a parameter in an average."""
    n_remembered = problem.n_trained if isinstance(problem, MLPProblem) else problem.n_parameters
    return {
        "parameters": itemsize * problem.n_parameters,
        "optimizer memory": itemsize * problem.n_slots * n_remembered,
        "average of the parameters": of_average * problem.n_parameters,
        "slopes of the rows": problem.slopes_bytes() if isinstance(problem, VarianceReducedProblem) else 0,
    }


def _of_average(final: Any, dtype: Any) -> int:
    """Bytes of a parameter in an average."""
    if hasattr(final, "hidden_layer_sizes"):  # a network
        return dtype.itemsize if final.average or final._is_auto else 0
    return 8 if final.average else 0


def _with_rows(problem: Any, n_samples: int, n_held_out: int) -> Any:
    """The problem with so many rows, some of them held out. All are the same one."""
    y = np.broadcast_to(problem.data.y[:1], (n_samples, problem.data.y.shape[1]))
    kept = np.broadcast_to(np.zeros((), np.int64), n_samples - n_held_out) if n_held_out else None
    return replace(problem, data=problem.data._replace(y=y), rows=kept)


def _sparse_rows(n_samples: int, n_features: int, density: float, dtype: Any) -> Any:
    """CSR rows with so many stored values, without bytes for them."""
    n_stored = min(round(density * n_samples * n_features), _MOST_STORED)
    number = np.zeros((), np.int32 if max(n_stored, n_features) <= np.iinfo(np.int32).max else np.int64)
    return rows_of(sp.csr_array((1, n_features), dtype=dtype))._replace(
        data=np.broadcast_to(np.zeros((), dtype), n_stored),
        indices=np.broadcast_to(number, n_stored),
        indptr=np.broadcast_to(number, n_samples + 1),
    )
