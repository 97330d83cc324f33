"""How smooth the objective of a linear model is, and the constant rate for SVRG and SAGA that follows."""

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import row_norms

from minibatch._problems.blas import one_blas_thread
from minibatch._problems.linear import LinearProblem
from minibatch._problems.state import matrix_of
from minibatch.engine.linear import SOFTMAX
from minibatch.engine.losses import (
    CROSS_ENTROPY,
    HUBER,
    LOG_LOSS,
    MODIFIED_HUBER,
    SQUARED_EPSILON_INSENSITIVE,
    SQUARED_ERROR,
    SQUARED_HINGE,
)

__all__ = ["LARGEST_CURVATURE", "POWER_ITERATIONS", "SOFTMAX_CURVATURE", "rate_of_variance_reduction"]

# The largest second derivative of a loss in the score; of a softmax, of the norm of its Hessian.
LARGEST_CURVATURE = {
    LOG_LOSS: 0.25,
    CROSS_ENTROPY: 0.25,
    SQUARED_ERROR: 1.0,
    HUBER: 1.0,
    SQUARED_HINGE: 2.0,
    MODIFIED_HUBER: 2.0,
    SQUARED_EPSILON_INSENSITIVE: 2.0,
}
SOFTMAX_CURVATURE = 0.5
POWER_ITERATIONS = 12


def rate_of_variance_reduction(problem: LinearProblem, batch_size: int) -> float:
    """``1 / (a L + (1 - a) M)`` with ``a = n (B - 1) / (B (n - 1))``: one over the expected smoothness of batches drawn
    without replacement (Gower et al. 2019, arXiv 1901.09401, proposition 3.8), with the curvature ``L`` of the
    objective and ``M`` of the longest row's. Proofs for SAGA ask for a third of it in single rows (arXiv 1407.0202),
    after 20 epochs up to a hundred times further from the optimum (measured on five data sets at four batch sizes); at
    twice the rate some runs in single rows blow up. Infinite where the slope of the loss may change without bound."""
    curvature, n = _largest_curvature_of_loss(problem), problem.n_samples
    if not 0.0 < curvature < np.inf:
        return np.inf
    longest, of_all = (curvature * size + problem.objective.l2 for size in _sizes_of_rows(problem))
    of_batches = n * (batch_size - 1) / (batch_size * (n - 1)) if n > 1 else 1.0
    smoothness = of_batches * of_all + (1.0 - of_batches) * longest
    return 1.0 / smoothness if smoothness > 0.0 else np.inf


def _largest_curvature_of_loss(problem: LinearProblem) -> float:
    """With class weights."""
    if problem.objective.outputs == SOFTMAX:
        return SOFTMAX_CURVATURE
    return LARGEST_CURVATURE.get(problem.objective.loss, np.inf) * float(problem.data.class_weight.max())


def _sizes_of_rows(problem: LinearProblem) -> tuple[float, float]:
    """The largest ``s_i ||(x_i, 1)||^2``, and the largest eigenvalue of the mean of ``s_i (x_i, 1) (x_i, 1)^T``."""
    intercept = float(problem.objective.fit_intercept)
    rows = slice(None) if problem.rows is None else problem.rows
    X = matrix_of(problem.data.X, problem.n_features)
    weight = problem.data.weight[rows].astype(np.float64) if len(problem.data.weight) else np.ones(problem.n_samples)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = weight * (row_norms(X, squared=True).astype(np.float64)[rows] + intercept)
        of_rows = np.zeros(len(problem.data.y))
        of_rows[rows] = weight / len(weight)
        largest = min(_largest_eigenvalue(X, of_rows, intercept), float(squares.mean()))
    return float(squares.max(initial=0.0)), largest


def _largest_eigenvalue(X: NDArray[np.floating], of_rows: NDArray[np.float64], intercept: float) -> float:
    """Of ``sum_i of_rows_i (x_i, 1) (x_i, 1)^T``, by power iterations from the sum of the rows' sizes."""
    n_features, found = X.shape[1], 0.0
    direction = np.random.default_rng(0).standard_normal(n_features + 1)
    direction[-1] *= intercept
    for _ in range(POWER_ITERATIONS):
        direction /= np.linalg.norm(direction)
        with one_blas_thread():  # in the type of X, of which NumPy would make a copy in another
            images = of_rows * (X @ direction[:-1].astype(X.dtype) + direction[-1])
            direction = np.append(X.T @ images.astype(X.dtype), intercept * images.sum())
        norm = float(np.linalg.norm(direction))
        if not 0.0 < norm < np.inf:
            break
        found = norm
    return found
