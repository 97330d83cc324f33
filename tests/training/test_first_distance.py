"""The first distance: closed forms, units, sparse rows."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.linear import OUTPUTS, LinearProblem
from minibatch._training.first_distance import LEAST_DISTANCE, first_distances
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.losses import CLASSIFICATION, REGRESSION

PRECISION = 2 ** (1 / 32) - 1  # of five bisections between powers of two
rng = np.random.default_rng(0)
X = rng.standard_normal((200, 4))
Y = X @ [1.0, -2.0, 0.5, 0.0] + 3.0 + 0.1 * rng.standard_normal(200)


def problem_of(X, y, loss="squared_error", l1=0.0, l2=0.0, outputs="separate", n_outputs=1, weight=None):
    code = {**REGRESSION, **CLASSIFICATION}[loss]
    objective = Objective(code, 0.1, OUTPUTS[outputs], 0, l1, l2, True)
    problem = LinearProblem.from_arrays(X, y, weight, objective, Solver(0, 0, 0, 0, 1), n_outputs)
    return DualAveragingProblem.of(problem, None)


def distance(problem, theta=None):
    start = np.zeros(problem.n_parameters) if theta is None else theta
    return first_distances(problem, start.astype(problem.data.y.dtype), seed=0)


def half_of_cauchy(X, y, q, l2=0.0, theta=None):
    """Half of ``|g|^3 / g'Hg`` of least squares, in the norm of the scales."""
    Z, q = np.c_[X, np.ones(len(X))], np.append(np.broadcast_to(q, X.shape[1]), 1.0)
    theta = np.zeros(Z.shape[1]) if theta is None else theta
    penalty = l2 * np.append(np.ones(X.shape[1]), 0.0)
    H = Z.T @ Z / len(X) + np.diag(penalty)
    g = Z.T @ (Z @ theta - y) / len(X) + penalty * theta
    step = g / q
    return 0.5 * (g @ step) ** 1.5 / (step @ H @ step)


@pytest.mark.parametrize("l2", [0.0, 0.5, 100.0])
@pytest.mark.parametrize("theta", [np.zeros(5), np.array([1.0, 2.0, -1.0, 0.0, 5.0])])
def test_on_a_quadratic_it_is_half_of_the_cauchy_step(l2, theta):
    problem = problem_of(X, Y, l2=l2)
    found = distance(problem, theta)
    assert_allclose(found, [half_of_cauchy(X, Y, problem.scales, l2, theta)], rtol=PRECISION)


def test_it_is_never_further_than_the_optimum():
    for seed in range(20):
        random = np.random.default_rng(seed)
        A = random.standard_normal((50, 3)) @ random.standard_normal((3, 3))
        y = A @ random.standard_normal(3) + random.standard_normal(50)
        problem = problem_of(A, y)
        best = np.linalg.lstsq(np.c_[A, np.ones(50)], y, rcond=None)[0]
        q = np.append(np.broadcast_to(problem.scales, 3), 1.0)
        assert distance(problem) <= np.sqrt(np.sum(q * best**2))


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "epsilon_insensitive"])
def test_losses_without_curvature_know_how_far_it_is(loss):
    far = 1e5 + Y
    found = distance(problem_of(X, far, loss))
    assert 0.5e5 < found[0] < 1.1e5


def test_every_output_has_its_own():
    found = distance(problem_of(X, np.c_[Y, 1000 * Y], n_outputs=2))
    assert_allclose(found[1], 1000 * found[0], rtol=2 * PRECISION)
    assert_allclose(found[:1], distance(problem_of(X, Y)), rtol=1e-12)


def test_a_softmax_has_one():
    problem = problem_of(X, np.arange(200) % 3, "log_loss", outputs="multinomial", n_outputs=3)
    assert distance(problem).shape == (1,)


@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "hinge", "poisson"])
def test_dense_and_sparse_rows_are_the_same(loss):
    A = X * (rng.random(X.shape) < 0.5)
    y = np.abs(Y) if loss == "poisson" else np.sign(Y - 3) if loss in CLASSIFICATION and loss != "squared_error" else Y
    assert_allclose(distance(problem_of(A, y, loss)), distance(problem_of(sp.csr_array(A), y, loss)), rtol=1e-9)


def test_units_of_columns_and_of_y_do_not_matter():
    # powers of two, as bands are
    units = np.array([1.0, 2.0**10, 2.0**-10, 2.0**4])
    assert_allclose(
        distance(problem_of(X * units, 1e6 * Y)), 1e6 * distance(problem_of(X * units, Y)), rtol=2 * PRECISION
    )


@pytest.mark.parametrize("loss", ["squared_error", "perceptron"])
def test_where_there_is_no_slope_it_is_small_but_not_nothing(loss):
    y = np.zeros(200) if loss == "squared_error" else np.sign(Y - 3)
    found = distance(problem_of(X, y, loss))
    assert 0 < found[0] <= 2 * LEAST_DISTANCE


def test_rows_of_weight_zero_do_not_count():
    y, weight = np.where(np.arange(200) < 100, Y, 1e9), np.where(np.arange(200) < 100, 2.0, 0.0)
    problem = problem_of(X, y, weight=weight)
    # rows with weight are all there is to a sample
    assert_allclose(distance(problem), [half_of_cauchy(X[:100], Y[:100], problem.scales)], rtol=1.0)
    assert distance(problem)[0] < 100
