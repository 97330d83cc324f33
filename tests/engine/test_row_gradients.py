"""Gradients row by row: norms and inner products against gradients that are formed one at a time."""

from contextlib import ExitStack

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from minibatch._problems import mlp, state
from minibatch._problems.layout import network_of
from minibatch._problems.linear import OUTPUTS, LinearProblem
from minibatch._problems.mlp import MLPProblem
from minibatch._problems.pieces import Threads, pool_of
from minibatch.engine.activations import ACTIVATIONS
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.losses import CLASSIFICATION, REGRESSION

N, D, K = 23, 5, 3
random = np.random.default_rng(0)
DENSE = random.standard_normal((N, D)) * (random.random((N, D)) < 0.7)
SPARSE = sp.csr_array(DENSE)
ROWS = {"dense": DENSE, "csr": SPARSE}
WEIGHT = random.integers(0, 3, N) / 1.0
CLASSES = random.integers(0, K, N)
SIGNS = np.where(random.random((N, K)) < 0.5, 1.0, -1.0)
NUMBERS = random.gamma(2.0, 1.0, (N, K))
SGD = Solver(0, 0.0, 0.0, 0.0, 0.0)
# of classes; the log loss of shares by another name
LOSSES = {**REGRESSION, "cross_entropy": REGRESSION["log_loss"], **CLASSIFICATION}


def linear(X=DENSE, loss="log_loss", outputs="separate", y=SIGNS, weight=WEIGHT, fit_intercept=True, **more):
    code = LOSSES[loss]
    objective = Objective(code, 0.3, OUTPUTS[outputs], 0, 0.1, 0.2, fit_intercept)
    return LinearProblem.from_arrays(X, y, weight, objective, SGD, K, **more)


def network(X=DENSE, loss="log_loss", outputs="multinomial", y=CLASSES, weight=WEIGHT, layers=(7, 4), **more):
    code = LOSSES[loss]
    objective = Objective(code, 0.3, OUTPUTS[outputs], 0, 0.0, 0.2, True)
    layout = network_of([D, *layers, K], ACTIVATIONS["tanh"], normalized=more.pop("normalized", False))
    return MLPProblem.from_arrays(X, y, weight, objective, SGD, layout, **more)


def theta_of(problem, dtype=np.float64):
    n = problem.network.n_parameters if isinstance(problem, MLPProblem) else problem.n_parameters
    return (0.5 * np.random.default_rng(1).standard_normal(n)).astype(dtype)


def directions_of(problem, number=2):
    return np.random.default_rng(2).standard_normal((number, problem.n_trained))


def one_by_one(problem, theta):
    """The gradients (n, n_trained) of the rows, each by the pass that trains."""
    n = problem.n_trained
    return np.array([problem.on_rows([i]).mean_gradient(theta)[:n] for i in range(problem.n_samples)])


def assert_row_gradients(problem, tolerance=1e-12):
    theta, directions = theta_of(problem), directions_of(problem)
    gradients = one_by_one(problem, theta)
    found = problem.row_gradients(theta, directions)
    assert_allclose(found.squared_norms, np.sum(gradients**2, axis=1), rtol=tolerance, atol=1e-300)
    scale = np.linalg.norm(gradients, axis=1) * np.linalg.norm(directions, axis=1)[:, None]
    assert np.all(np.abs(found.products - directions @ gradients.T) <= tolerance * scale)


OF_LINEAR = {
    **{f"regression-{loss}": {"loss": loss, "y": NUMBERS} for loss in REGRESSION if loss != "log_loss"},
    "regression-log_loss": {"loss": "cross_entropy", "y": NUMBERS / (1.0 + NUMBERS)},
    **{f"classification-{loss}": {"loss": loss} for loss in CLASSIFICATION},
    "one against the rest": {"outputs": "ovr", "y": CLASSES},
    "class weights": {"outputs": "ovr", "y": CLASSES, "class_weight": random.uniform(0.5, 2.0, (2, K))},
    "softmax": {"outputs": "multinomial", "y": CLASSES},
    "no intercept": {"fit_intercept": False},
    "no weights": {"weight": None},
    "some rows, one of them twice": {"rows": np.array([20, 3, 4, 3, 11])},
}
OF_NETWORKS = {
    "softmax": {},
    "separate outputs": {"outputs": "separate", "y": SIGNS},
    "regression": {"loss": "squared_error", "outputs": "separate", "y": NUMBERS},
    "no hidden layer": {"layers": ()},
    "one hidden layer": {"layers": (9,)},
    "three hidden layers": {"layers": (2, 6, 3)},
    "no weights": {"weight": None},
    "some rows, one of them twice": {"rows": np.array([20, 3, 4, 3, 11])},
}


@pytest.mark.parametrize("layout", ROWS)
@pytest.mark.parametrize("case", OF_LINEAR)
def test_of_a_linear_model_they_are_those_of_single_gradients(case, layout):
    assert_row_gradients(linear(ROWS[layout], **OF_LINEAR[case]))


@pytest.mark.parametrize("layout", ROWS)
@pytest.mark.parametrize("case", OF_NETWORKS)
def test_of_a_network_they_are_those_of_single_gradients(case, layout):
    assert_row_gradients(network(ROWS[layout], **OF_NETWORKS[case]))


@pytest.mark.parametrize("make", [linear, network])
def test_a_row_that_names_a_column_twice(make):
    data, columns = np.array([1.0, 2.0, 3.0]), np.array([1, 1, 0])
    twice = sp.csr_array((data, columns, np.array([0, 2, 3])), shape=(2, D))
    few = {"y": SIGNS[:2] if make is linear else CLASSES[:2], "weight": None}
    assert_row_gradients(make(twice, **few))
    assert_row_gradients(make(twice.toarray(), **few))
    assert_array_equal(twice.data, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("layout", ROWS)
@pytest.mark.parametrize("make", [linear, network])
def test_float32_is_float64_to_its_rounding(make, layout):
    exact, rounded = make(ROWS[layout]), make(ROWS[layout].astype(np.float32))
    theta, directions = theta_of(exact), directions_of(exact)
    expected = exact.row_gradients(theta, directions)
    found = rounded.row_gradients(theta.astype(np.float32), directions)
    assert found.squared_norms.dtype == found.products.dtype == np.float64
    assert_allclose(found.squared_norms, expected.squared_norms, rtol=1e-5)
    scale = np.sqrt(expected.squared_norms) * np.linalg.norm(directions, axis=1)[:, None]
    assert np.all(np.abs(found.products - expected.products) <= 1e-5 * scale)


@pytest.mark.parametrize("layout", ROWS)
@pytest.mark.parametrize("make", [linear, network])
def test_blocks_shares_and_threads_change_nothing(make, layout, monkeypatch):
    whole = make(ROWS[layout])
    theta, directions = theta_of(whole), directions_of(whole)
    expected = whole.row_gradients(theta, directions)
    for module, name, value in ((state, "ROWS_AT_ONCE", 4), (mlp, "BLOCK_ROWS", 2), (mlp, "SMALL_WORK", 1)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(mlp, "SHARE_WORK", 100)
    with ExitStack() as stack:
        for threads in (Threads(1, None), pool_of(2, stack)):
            found = make(ROWS[layout], threads=threads).row_gradients(theta, directions)
            for part, reference in zip(found, expected, strict=True):
                assert_allclose(part, reference, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("make", [linear, network])
class TestMeans:
    def test_the_mean_gradient_is_that_of_the_loss_where_weights_have_mean_one(self, make):
        problem = make(weight=WEIGHT / WEIGHT.mean())
        theta = theta_of(problem)
        assert_allclose(problem.mean_gradient(theta), problem.evaluate(theta)[1], rtol=1e-12, atol=1e-15)

    def test_products_with_the_mean_gradient_have_its_squared_norm_as_mean(self, make):
        problem = make()
        theta = theta_of(problem)
        mean = problem.mean_gradient(theta)[: problem.n_trained]
        products = problem.row_gradients(theta, mean[None]).products
        assert products.mean() == pytest.approx(mean @ mean, rel=1e-12)

    def test_rows_without_weight_have_no_gradient(self, make):
        problem = make(weight=np.zeros(N))
        theta = theta_of(problem)
        assert not problem.mean_gradient(theta).any()
        assert not problem.row_gradients(theta, directions_of(problem)).squared_norms.any()

    def test_rows_of_rows_are_numbered_among_those_trained_on(self, make):
        some = make(rows=np.array([20, 3, 4, 11]))
        assert_array_equal(some.on_rows([3, 1]).rows, [11, 3])
        assert_array_equal(make().on_rows([3, 1]).rows, [3, 1])

    def test_without_directions_there_are_no_products(self, make):
        problem = make()
        found = problem.row_gradients(theta_of(problem), np.empty((0, problem.n_trained)))
        assert found.products.shape == (0, N)
        assert found.squared_norms.shape == (N,)


def test_batch_normalization_is_refused():
    problem = network(normalized=True)
    with pytest.raises(ValueError, match="batch normalization"):
        problem.row_gradients(theta_of(problem), directions_of(problem))
