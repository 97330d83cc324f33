"""engine.sgd: four updates in a pass over the weights are four updates in as many passes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from minibatch.engine.linear import ONE_VS_REST, SEPARATE, Data, Objective, Parameters
from minibatch.engine.losses import HINGE, LOG_LOSS, PERCEPTRON, SQUARED_ERROR
from minibatch.engine.sgd import four_row_epoch, one_row_epoch

D = 5


def parameters_of(epoch, X, y, weight, order, etas, objective):
    """Weights, intercept and loss sum after an epoch."""
    data = Data(X, y, weight, np.array([[0.5, 2.0]]))
    for array in data[:3]:
        array.flags.writeable = False
    theta, losses = Parameters(np.full((1, D), 0.25, X.dtype), np.full(1, -0.5, X.dtype)), np.zeros((1, 1))
    passes, notes = (order[None], etas[None]), (losses, np.empty((0, D + 1), X.dtype), np.empty((1, 0)), np.zeros(1))
    if epoch is one_row_epoch:
        nothing = Parameters(np.empty((1, 0)), np.empty(1))
        one_row_epoch(data, *passes, objective, theta, nothing, len(etas), *notes)
    else:
        four_row_epoch(data, *passes, objective, theta, *notes)
    return np.concatenate([theta.weights[0], theta.intercept, losses[0]])


def data_of(n, seed, scale=1.0, dtype=np.float64):
    random = np.random.default_rng(seed)
    X = (scale * random.standard_normal((max(n, 1), D))).astype(dtype)
    return X, random.choice([-1.0, 1.0], (max(n, 1), 1)).astype(dtype), random.permutation(max(n, 1))[:n]


@given(
    n=st.integers(0, 13),
    seed=st.integers(0, 1000),
    loss=st.sampled_from([LOG_LOSS, HINGE, SQUARED_ERROR]),
    outputs=st.sampled_from([SEPARATE, ONE_VS_REST]),
    l2=st.sampled_from([0.0, 0.01, 9.0, 10.0, 30.0]),  # at a rate of 0.1 the last two leave nothing of the weights
    weighted=st.booleans(),
    fit_intercept=st.booleans(),
)
def test_any_number_of_rows(n, seed, loss, outputs, l2, weighted, fit_intercept):
    X, y, order = data_of(n, seed)
    weight = (np.arange(len(X)) % 3).astype(float) if weighted else np.empty(0)
    objective = Objective(loss, 0.1, outputs, 0, 0.0, l2, fit_intercept)
    etas = np.linspace(0.1, 0.05, len(order))
    etas[: len(etas) // 2] = 0.1
    one, four = (
        parameters_of(epoch, X, y, weight, order, etas, objective) for epoch in (one_row_epoch, four_row_epoch)
    )
    assert_allclose(four, one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", [PERCEPTRON, LOG_LOSS])
def test_rows_whose_products_overflow(loss):
    """In float32; scores and weights do not."""
    X, y, order = data_of(40, 0, scale=1e19, dtype=np.float32)
    objective, etas = Objective(loss, 0.0, SEPARATE, 0, 0.0, 0.0, True), np.full(40, 1e-3)
    one, four = (
        parameters_of(epoch, X, y, np.empty(0, np.float32), order, etas, objective)
        for epoch in (one_row_epoch, four_row_epoch)
    )
    assert np.isfinite(one).all()
    assert_allclose(four, one, rtol=1e-5)
