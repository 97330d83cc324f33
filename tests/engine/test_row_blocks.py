"""engine.row_blocks: scores and gradients of any number of outputs, two of which share the loads of rows."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.special import expit, softmax

from minibatch._problems.epochs import Epoch, no_passes
from minibatch._problems.linear import OUTPUTS, LinearProblem
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.losses import CLASSIFICATION, REGRESSION
from minibatch.engine.optimizers import SGD

N = 71  # two blocks of rows and three rows


def slopes(loss, outputs, scores, y):
    if outputs == "multinomial":
        return softmax(scores, axis=1) - np.eye(scores.shape[1])[y]
    sign = np.where(np.eye(scores.shape[1])[y] > 0, 1.0, -1.0)
    return -sign * (expit(-sign * scores) if loss == "log_loss" else sign * scores < 1)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_features", [1, 3, 8, 33])
@pytest.mark.parametrize("n_outputs", [2, 3, 4, 5, 26])
@pytest.mark.parametrize(
    ("loss", "outputs"), [("log_loss", "multinomial"), ("log_loss", "ovr"), ("hinge", "ovr"), ("hinge", "fitted")]
)
def test_gradients_of_any_number_of_outputs(loss, outputs, n_outputs, n_features, dtype, storage):
    random, fitted = np.random.default_rng(n_outputs), outputs == "fitted"
    X, y = random.standard_normal((N, n_features)).astype(dtype), random.integers(0, n_outputs, N)
    outputs = "ovr" if fitted else outputs
    objective = Objective({**REGRESSION, **CLASSIFICATION}[loss], 0.0, OUTPUTS[outputs], 0, 0.0, 0.0, True)
    problem = LinearProblem.from_arrays(storage(X), y, None, objective, Solver(SGD, 0.9, 0.9, 0.999, 1e-8), n_outputs)
    theta = random.standard_normal(problem.n_parameters).astype(dtype)
    weights, intercept = problem.parameters(theta)
    if fitted:  # most rows have no slope in most outputs
        weights[:], intercept[:] = 0.0, -2.0
    expected = slopes(loss, outputs, X @ weights.T.astype(float) + intercept, y)
    gradient = problem.parameters(problem.evaluate(theta)[1] * N)
    tolerance = {"rtol": 1e-11, "atol": 1e-11} if dtype == np.float64 else {"rtol": 1e-4, "atol": 1e-4}
    assert_allclose(gradient.weights, expected.T @ X, **tolerance)
    assert_allclose(gradient.intercept, expected.sum(axis=0), **tolerance)


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("outputs", ["multinomial", "ovr"])
@pytest.mark.parametrize("n_outputs", [2, 3, 4, 5])
@pytest.mark.parametrize("n_rows", [2, 7, 32, N])
def test_one_step_of_a_batch_is_its_gradient(n_rows, n_outputs, outputs, storage):
    """Of plain SGD, which adds rows to the weights and forms no gradient."""
    random = np.random.default_rng(n_outputs)
    X, y = random.standard_normal((N, 5)), random.integers(0, n_outputs, N)
    objective = Objective(CLASSIFICATION["log_loss"], 0.0, OUTPUTS[outputs], 0, 0.0, 0.0, True)
    problem = LinearProblem.from_arrays(storage(X), y, None, objective, Solver(SGD, 0.9, 0.9, 0.999, 1e-8), n_outputs)
    theta = random.standard_normal(problem.n_parameters)
    state, order = problem.new_state(theta, averaged=False), random.permutation(N)[:n_rows]
    epoch = Epoch(order, np.array([0.1]), n_rows, 1, True, 1)
    problem._plain_sgd(state, epoch.as_rows(), no_passes(1, n_outputs, theta, state.scalars, noted=False))
    expected = theta - 0.1 * problem.on_rows(order).evaluate(theta)[1]
    assert_allclose(state.theta, expected, rtol=1e-12, atol=1e-12)
