"""SVRG and SAGA: every path gives the model of the NumPy reference, and what the methods are made for holds."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minibatch._problems.epochs import Epoch
from minibatch._problems.linear import OUTPUTS, LinearProblem
from minibatch._problems.variance_reduced import as_its_solver_asks
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.losses import CLASSIFICATION, REGRESSION
from minibatch.engine.optimizers import KINDS, VARIANCE_REDUCED
from minibatch.engine.sparse_sgd import WINDOW
from references.gradient_descent import MARGIN_LOSSES
from references.kernels import moved_to_update
from references.variance_reduction import descend_without_noise

LOSSES = {**CLASSIFICATION, **REGRESSION}
N, D, ETA, PARAMETER = 23, 5, 0.05, 0.3
rng = np.random.default_rng(0)
DENSE = rng.standard_normal((N, D)) * (rng.random((N, D)) < 0.6)
LAYOUTS = {"dense": np.ascontiguousarray, "csr": sp.csr_array}
PENALTIES = [(0.0, 0.0), (0.0, 0.2), (0.1, 0.0), (0.05, 0.2)]
# A start in general position: from zero, scores tie with the kink of the perceptron up to rounding.
START = 0.3 * np.random.default_rng(4).standard_normal((D + 1, 3))

every_solver = pytest.mark.parametrize("solver", VARIANCE_REDUCED)
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def targets(loss, n_outputs=2):
    if loss == "softmax":
        return np.arange(N) % 3
    y = np.random.default_rng(1).standard_normal((N, n_outputs))
    if loss in MARGIN_LOSSES:
        return np.where(y > 0, 1.0, -1.0)
    return np.abs(y) + 0.1 if loss in ("poisson", "gamma") else y


def problem_of(X, y, loss, solver, *, l1=0.0, l2=0.0, weight=None, fit_intercept=True):
    code, outputs = (LOSSES["log_loss"], "multinomial") if loss == "softmax" else (LOSSES[loss], "separate")
    objective = Objective(code, PARAMETER, OUTPUTS[outputs], 0, l1, l2, fit_intercept)
    n_outputs = int(y.max()) + 1 if loss == "softmax" else y.shape[1]
    problem = LinearProblem.from_arrays(
        X, y.astype(float), weight, objective, Solver(KINDS[solver], 0.9, 0.9, 0.999, 1e-8), n_outputs
    )
    return as_its_solver_asks(problem)


def train(problem, batch_size, etas=ETA, epochs=2, orders=None, stretches=1):
    """The weights and intercepts after some epochs, each in so many calls; and the state."""
    start = START[:, : problem.n_outputs]
    state = problem.new_state(np.append(start[:-1].T, start[-1]).astype(problem.data.X[0].dtype), averaged=False)
    n_batches = -(-N // batch_size)
    rates = np.broadcast_to(etas, epochs * n_batches).reshape(epochs, n_batches)
    for i in range(epochs):
        order = np.arange(N) if orders is None else orders[i]
        cuts = np.linspace(0, n_batches, stretches + 1).astype(int)
        for first, last in pairwise(cuts):
            rows, here = order[first * batch_size : last * batch_size], np.ascontiguousarray(rates[i, first:last])
            problem.run_epoch(state, Epoch(rows, here, batch_size, last - first, True, 0))
            state.schedule_epochs = i + last / n_batches
    return problem.parameters(state.result()), state


def reference(X, y, loss, solver, batch_size, etas=ETA, epochs=2, **options):
    n_outputs = int(y.max()) + 1 if loss == "softmax" else y.shape[1]
    return descend_without_noise(
        X, y, loss, follow=solver == "saga", batch_size=batch_size, etas=etas, parameter=PARAMETER, epochs=epochs,
        theta=START[:, :n_outputs], **options,
    )  # fmt: skip


def assert_same(found, expected, tolerance=1e-11):
    for part, other in zip(found, expected, strict=True):
        assert_allclose(part, other, rtol=tolerance, atol=tolerance)


@every_solver
@every_layout
@pytest.mark.parametrize("batch_size", [1, 4, 5, N])
@pytest.mark.parametrize(("l1", "l2"), PENALTIES)
def test_every_loss_gives_the_textbook_model(solver, layout, batch_size, l1, l2):
    for loss in (*LOSSES, "softmax"):
        y = targets(loss)
        problem = problem_of(LAYOUTS[layout](DENSE), y, loss, solver, l1=l1, l2=l2)
        found, _ = train(problem, batch_size)
        assert_same(found, reference(DENSE, y, loss, solver, batch_size, l1=l1, l2=l2))


@given(st.data())
def test_any_rows_rates_and_penalties(data):
    """Rates that fall and rise, weights, orders, columns that come seldom and weights that cross 0 in between."""
    seed = data.draw(st.integers(0, 2**16))
    random = np.random.default_rng(seed)
    batch_size, epochs = data.draw(st.integers(1, N)), data.draw(st.integers(1, 3))
    X = random.standard_normal((N, D)) * (random.random((N, D)) < data.draw(st.sampled_from([0.05, 0.2, 0.7])))
    etas = random.uniform(0.0, data.draw(st.sampled_from([0.02, 0.3])), epochs * -(-N // batch_size))
    options = {
        "l1": data.draw(st.sampled_from([0.0, 0.01, 0.1, 1.0])),
        "l2": data.draw(st.sampled_from([0.0, 0.1, 1.0])),
        "fit_intercept": data.draw(st.booleans()),
    }
    weights = data.draw(st.sampled_from([None, random.uniform(0.0, 2.0, N)]))
    orders = [random.permutation(N) for _ in range(epochs)]
    loss, solver = (
        data.draw(st.sampled_from(["squared_error", "log_loss", "softmax"])),
        data.draw(st.sampled_from(list(VARIANCE_REDUCED))),
    )
    y = targets(loss)
    expected = reference(X, y, loss, solver, batch_size, etas, epochs, weights=weights, orders=orders, **options)
    relative = None if weights is None else weights / weights.mean()
    for layout in LAYOUTS.values():
        problem = problem_of(layout(X), y, loss, solver, weight=relative, **options)
        found, _ = train(problem, batch_size, etas, epochs, orders, stretches=data.draw(st.sampled_from([1, 2])))
        assert_same(found, expected, 1e-9)


@every_solver
@pytest.mark.parametrize("l2", [0.2, 30.0])
def test_sparse_rows_over_several_windows(solver, l2):
    """Scales that become small end a window, as so many updates do."""
    n_epochs = 2 * WINDOW // N + 1
    y = targets("squared_error")
    problem = problem_of(sp.csr_array(DENSE), y, "squared_error", solver, l1=0.01, l2=l2)
    found, _ = train(problem, 1, 0.02, n_epochs)
    assert_same(found, reference(DENSE, y, "squared_error", solver, 1, 0.02, n_epochs, l1=0.01, l2=l2), 1e-9)


@every_solver
def test_a_step_along_the_shrinkage_alone(solver):
    """``eta l2`` of one and above: the weights become 0, not negative."""
    y = targets("squared_error")
    for layout in LAYOUTS.values():
        found, _ = train(problem_of(layout(DENSE), y, "squared_error", solver, l2=25.0), 4, 0.05)
        assert_same(found, reference(DENSE, y, "squared_error", solver, 4, 0.05, l2=25.0))


def test_a_row_that_names_a_column_twice():
    y = targets("log_loss")
    once = sp.csr_array(DENSE)
    twice = sp.csr_array((np.repeat(once.data / 2, 2), np.repeat(once.indices, 2), 2 * once.indptr), once.shape)
    found, _ = train(problem_of(twice, y, "log_loss", "saga", l1=0.05, l2=0.1), 4)
    assert_same(found, reference(DENSE, y, "log_loss", "saga", 4, l1=0.05, l2=0.1))


@pytest.mark.parametrize("l1", [0.0, 0.3])
@given(st.data())
def test_a_weight_that_is_left_alone(l1, data):
    """Many updates at once are the updates one by one."""
    U = np.append(0.0, np.cumsum(data.draw(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))))
    v, g = data.draw(st.floats(-3, 3)), data.draw(st.sampled_from([0.0, 0.1, 0.3, 0.31, -0.5, 2.0, -2.0]))
    last = data.draw(st.integers(0, len(U) - 1))
    m, expected = len(U) - 1, v
    for i in range(last, m):
        step = U[i + 1] - U[i]
        z = expected - step * g
        expected = np.sign(z) * max(0.0, abs(z) - step * l1)
    # where it comes to 0, the next side is rounding's
    assert_allclose(moved_to_update(v, g, l1, last, m, U), expected, rtol=1e-12, atol=1e-12)


@every_layout
@every_solver
def test_the_mean_step_is_the_gradient_and_no_step_is_left_at_the_optimum(layout, solver):
    """Enumerated over the rows: without bias anywhere; at the point of the memory, every one is the gradient."""
    y = targets("squared_error")
    X = LAYOUTS[layout](DENSE)
    problem = problem_of(X, y, "squared_error", solver, l2=0.1)
    start = np.append(START[:-1, :2].T, START[-1, :2])
    steps = []
    for i in range(N):
        state = problem.new_state(start, averaged=False)
        problem.run_epoch(state, Epoch(np.array([i]), np.array([0.01]), 1, 1, True, 0))
        steps.append((state.theta - start) / -0.01)
    gradient = problem.with_penalty(start, problem.evaluate(start)[1])
    assert_allclose(np.mean(steps, axis=0), gradient, rtol=1e-10)
    assert_allclose(steps, np.tile(gradient, (N, 1)), rtol=1e-8, atol=1e-10)  # all, as the memory is of there
    # elsewhere: the memory is of the start, the parameters are not
    moved, others = start + 0.3, []
    for i in range(N):
        state = problem.new_state(start, averaged=False)
        problem.run_epoch(state, Epoch(np.arange(0), np.empty(0), 1, 0, True, 0))
        state.theta[...], state.schedule_epochs = moved, 0.5
        problem.run_epoch(state, Epoch(np.array([i]), np.array([0.01]), 1, 1, True, 0))
        others.append((state.theta - moved) / -0.01)
    gradient = problem.with_penalty(moved, problem.evaluate(moved)[1])
    assert np.ptp(others, axis=0).max() > 0.1
    assert_allclose(np.mean(others, axis=0), gradient, rtol=1e-8, atol=1e-10)


@every_layout
def test_the_memory_of_saga_is_that_of_the_last_looks(layout):
    y = targets("log_loss")
    problem = problem_of(LAYOUTS[layout](DENSE), y, "log_loss", "saga")
    _, state = train(problem, 4)
    mean = problem.parameters(state.slots[0])
    assert_allclose(mean.weights, state.slopes.T @ DENSE / N, atol=1e-12)
    assert_allclose(mean.intercept, state.slopes.mean(axis=0), atol=1e-12)


@every_layout
@every_solver
@pytest.mark.parametrize("batch_size", [1, 4])
def test_float32(layout, solver, batch_size):
    y = targets("log_loss")
    problem = problem_of(LAYOUTS[layout](DENSE.astype(np.float32)), y, "log_loss", solver, l1=0.01, l2=0.1)
    found, _ = train(problem, batch_size)
    assert found.weights.dtype == np.float32
    assert_same(found, reference(DENSE, y, "log_loss", solver, batch_size, l1=0.01, l2=0.1), 2e-5)


@every_layout
def test_rows_that_are_not_trained_on_are_not_seen(layout):
    y = targets("log_loss")
    kept = np.delete(np.arange(N), [0, 7])
    of_some = problem_of(LAYOUTS[layout](DENSE), y, "log_loss", "saga").on_rows(kept)
    alone = problem_of(LAYOUTS[layout](DENSE[kept]), y[kept], "log_loss", "saga")
    models = []
    for problem in (of_some, alone):
        state = problem.new_state(np.zeros(problem.n_parameters), averaged=False)
        for i in range(2):
            problem.run_epoch(state, Epoch(np.arange(21), np.full(6, 0.1), 4, 6, True, 0))
            state.schedule_epochs = i + 1.0
        models.append(state.theta)
    assert_array_equal(*models)
