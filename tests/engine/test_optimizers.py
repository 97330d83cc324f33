"""engine.optimizers: each solver step by step, and the optimum that it stops at."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.linear_model import ElasticNet, Lasso

from minibatch.engine.optimizers import SOLVERS
from references.gradient_descent import Optimizer
from references.kernels import bias_corrections, shrinkage, soft_threshold, take_step

N, D = 40, 4
rng = np.random.default_rng(0)
X = rng.standard_normal((N, D))
y = X @ [2.0, -1.0, 0.05, 0.0] + 0.1 * rng.standard_normal(N)
H, c = X.T @ X / N, X.T @ y / N

every_solver = pytest.mark.parametrize("solver", SOLVERS)
# AdamW's decay is beside its adaptive step, so that L2 has another optimum there.
coupled_solver = pytest.mark.parametrize("solver", [s for s in SOLVERS if "adamw" not in s])


class Compiled:
    """The engine's step with its memory. ``forget`` is what the trainer does between full batches of plain SGD."""

    def __init__(self, solver, forget=False, momentum=0.9, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.solver, self.forget = solver, forget
        self.numbers = momentum, beta_1, beta_2, epsilon
        self.first, self.second, self.due, self.t, self.squares = np.zeros(D), np.zeros(D), 0.0, 0, 0.0

    def model(self, w):
        """Of the schedule-free solvers, the average."""
        beta = {"schedule_free_sgd": self.numbers[0], "schedule_free_adamw": self.numbers[1]}.get(self.solver, 1.0)
        return (w - (1 - beta) * self.first) / beta

    def step(self, w, g, eta, l1, l2):
        momentum, beta_1, beta_2, epsilon = self.numbers
        if self.t == 0 and self.solver.startswith("schedule_free"):
            self.first[:] = w
        self.t, self.squares = self.t + 1, self.squares + eta**2
        if self.forget and self.solver == "sgd":
            self.first[:], self.due = 0.0, 0.0
        self.due = shrinkage(eta, l2) * self.due + eta * l1
        w = w.copy()
        take_step(
            SOLVERS[self.solver], w, g, self.first, self.second, eta, eta**2 / self.squares, l1, l2, self.due,
            momentum, beta_1, beta_2, *bias_corrections(self.t, beta_1, beta_2), epsilon,
        )  # fmt: skip
        return w


def minimise(solver, l1=0.0, l2=0.0, n_steps=6000, eta0=0.1, **numbers):
    """Gradient descent on ``1/(2n) ||X w - y||^2`` with penalties. Of a schedule-free solver, ``z``: the average comes
    nearer as 1 / t only."""
    # steps of these have the size of the rate however near the optimum is, so that it has to fall
    decay = 200 if solver in ("rmsprop", "adam", "adamw") else np.inf
    optimizer, w = Compiled(solver, forget=True, **numbers), np.zeros(D)
    for t in range(n_steps):
        w = optimizer.step(w, H @ w - c, eta0 / (1 + t / decay) ** 0.75, l1, l2)
    return optimizer.first if solver.startswith("schedule_free") else w


@every_solver
@pytest.mark.parametrize("l1", [0.0, 0.3])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_steps_equal_the_reference(solver, l1, l2):
    gradients = np.random.default_rng(1).standard_normal((30, D))
    gradients[:, 0] = 0.0
    numbers = {"momentum": 0.8, "beta_1": 0.7, "beta_2": 0.95, "epsilon": 1e-3}
    ours, reference = Compiled(solver, **numbers), Optimizer(solver, **numbers)
    a = b = np.array([0.5, -0.5, 0.01, 0.0])
    for t, g in enumerate(gradients):
        a, b = (
            ours.step(a, g, 0.2 / (1 + t), l1, l2),
            reference.step(b, g, 0.2 / (1 + t), l1 * np.ones(D), l2 * np.ones(D)),
        )
        assert_allclose(a, b, rtol=1e-12, atol=1e-14, err_msg=f"update {t + 1}")
        assert_allclose(ours.model(a), reference.model(b), rtol=1e-11, atol=1e-14, err_msg=f"update {t + 1}")


@coupled_solver
@pytest.mark.parametrize("l2", [0.0, 0.1, 1.0])
def test_l2_optimum(solver, l2):
    assert_allclose(minimise(solver, l2=l2), np.linalg.solve(H + l2 * np.eye(D), c), atol=2e-4)


@pytest.mark.parametrize(
    ("solver", "l2"), [("schedule_free_sgd", 0.0), ("schedule_free_sgd", 0.5), ("schedule_free_adamw", 0.0)]
)
def test_the_average_of_a_schedule_free_solver_reaches_the_optimum(solver, l2):
    """At a constant rate, at which the other iterates of the adaptive one go on moving."""
    optimizer, y_ = Compiled(solver), np.zeros(D)
    for _ in range(6000):
        y_ = optimizer.step(y_, H @ y_ - c, 0.1, 0.0, l2)
    assert_allclose(optimizer.model(y_), np.linalg.solve(H + l2 * np.eye(D), c), atol=1e-5)


@every_solver
@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_l1_optimum_is_the_lasso(solver, alpha):
    """Whatever the momentum or the metric: L1 is as strong in every solver."""
    expected = Lasso(alpha, fit_intercept=False, tol=1e-12).fit(X, y).coef_
    found = minimise(solver, l1=alpha)
    assert_allclose(found, expected, atol=2e-4)
    assert_allclose(found[expected == 0], 0.0, atol=0)


@coupled_solver
def test_elastic_net_optimum(solver):
    alpha, ratio = 0.2, 0.4
    expected = ElasticNet(alpha=alpha, l1_ratio=ratio, fit_intercept=False, tol=1e-12).fit(X, y).coef_
    assert_allclose(minimise(solver, l1=alpha * ratio, l2=alpha * (1 - ratio)), expected, atol=2e-4)


@pytest.mark.parametrize("solver", ["momentum", "nesterov"])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
def test_momentum_does_not_change_the_strength_of_l1(solver, momentum):
    expected = Lasso(0.3, fit_intercept=False, tol=1e-12).fit(X, y).coef_
    assert_allclose(minimise(solver, l1=0.3, momentum=momentum, eta0=0.05), expected, atol=1e-4)


@pytest.mark.parametrize("solver", ["momentum", "nesterov"])
@pytest.mark.parametrize("l1", [0.0, 0.2])
def test_no_momentum_is_plain_gradient_descent(solver, l1):
    assert_allclose(
        minimise(solver, l1=l1, momentum=0.0, n_steps=20), minimise("sgd", l1=l1, n_steps=20), rtol=1e-12, atol=1e-15
    )


def test_momentum_multiplies_the_rate_under_a_constant_gradient():
    """``v = mu v + g``: the step tends to ``eta g / (1 - mu)``."""
    optimizer, w = Compiled("momentum", momentum=0.9), np.zeros(D)
    for _ in range(400):
        before, w = w, optimizer.step(w, np.ones(D), 0.01, 0.0, 0.0)
    assert_allclose(before - w, 0.1, rtol=1e-10)


def test_heavy_ball_reaches_its_rate():
    """at the best rate and momentum the error falls by (sqrt(k) - 1) / (sqrt(k) + 1) an update."""
    low, high = 1.0, 100.0
    root = (np.sqrt(high / low) - 1) / (np.sqrt(high / low) + 1)
    optimizer, w = Compiled("momentum", momentum=root**2), np.ones(D)
    curvature = np.array([low, 10.0, 50.0, high])
    sizes = []
    for _ in range(200):
        w = optimizer.step(w, curvature * w, 4 / (np.sqrt(low) + np.sqrt(high)) ** 2, 0.0, 0.0)
        sizes.append(np.linalg.norm(w))
    assert_allclose((sizes[-1] / sizes[99]) ** (1 / 100), root, rtol=0.03)


@pytest.mark.parametrize(
    ("solver", "limit"), [("sgd", 2.0), ("momentum", 2 * 1.9), ("nesterov", 2 * 1.9 / 2.8)], ids=str
)
def test_stability_limit(solver, limit):
    """on curvature 1, stable just below the limit and unstable just above."""
    for factor, stable in ((0.98, True), (1.02, False)):
        optimizer, w = Compiled(solver, momentum=0.9), np.ones(D)
        for _ in range(3000):
            w = optimizer.step(w, w.copy(), factor * limit, 0.0, 0.0)
        assert (np.abs(w).max() < 1) == stable


@pytest.mark.parametrize("solver", ["adam", "adamw"])
def test_first_step_of_adam_is_the_sign(solver):
    g = np.array([1e-3, -5.0, 200.0, 0.0])
    w = Compiled(solver, epsilon=1e-300).step(np.zeros(D), g, 0.1, 0.0, 0.0)
    assert_allclose(w, -0.1 * np.sign(g), rtol=1e-12)


def test_adamw_decays_beside_the_adaptive_step():
    w = Compiled("adamw").step(np.full(D, 2.0), np.zeros(D), 0.1, 0.0, 0.5)
    assert_allclose(w, 2.0 * (1 - 0.05), rtol=1e-15)


@given(st.floats(-10, 10), st.floats(0, 10))
def test_soft_threshold_minimises_the_proximal_objective(z, threshold):
    found = soft_threshold(z, threshold, 0.0)
    others = np.linspace(-10, 10, 401)
    assert (
        0.5 * (found - z) ** 2 + threshold * abs(found)
        <= np.min(0.5 * (others - z) ** 2 + threshold * np.abs(others)) + 1e-12
    )


def test_soft_threshold_keeps_nan():
    assert np.isnan(soft_threshold(np.nan, 1.0, 0.0))


def test_shrinkage_is_never_negative():
    assert [shrinkage(0.5, 1.0), shrinkage(2.0, 1.0), shrinkage(1.0, 0.0)] == [0.5, 0.0, 1.0]
