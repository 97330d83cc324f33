"""Requests of many models on the same rows, and whether passes that they share leave what each would leave alone."""

import numpy as np
from numpy.testing import assert_allclose

from minibatch._problems import together
from minibatch._problems.column_scales import ColumnMoments
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.epochs import Epoch
from minibatch._problems.linear import OUTPUTS, LinearProblem
from minibatch._problems.requests import Request
from minibatch._problems.together import run_together
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.losses import CLASSIFICATION, REGRESSION
from minibatch.engine.optimizers import SGD
from references.gradient_descent import MARGIN_LOSSES

# of classes; the log loss of shares by another name
LOSSES = {**REGRESSION, "cross_entropy": REGRESSION["log_loss"], **CLASSIFICATION}
N, D = 37, 5
X = np.random.default_rng(0).standard_normal((N, D))
ORDER = np.random.default_rng(1).permutation(N)


def target_of(loss, n_outputs):
    y = np.random.default_rng(2).standard_normal((N, n_outputs))
    if loss in MARGIN_LOSSES:
        return np.where(y > 0, 1.0, -1.0)
    if loss == "cross_entropy":
        return 1.0 / (1.0 + np.exp(-y))
    return np.abs(y) + 0.1 if loss in ("poisson", "gamma") else y


def problem_of(
    *, loss="log_loss", l1=0.0, l2=0.1, parameter=0.3, n_outputs=1, matrix=X, y=None, weight=None, class_weight=None,
    outputs="separate", fit_intercept=True, solver=SGD, momentum=0.9, **more,
):  # fmt: skip
    objective = Objective(LOSSES[loss], parameter, OUTPUTS[outputs], 0, l1, l2, fit_intercept)
    y = target_of(loss, n_outputs) if y is None else y
    numbers = Solver(solver, momentum, 0.9, 0.999, 1e-8)
    return LinearProblem.from_arrays(matrix, y, weight, objective, numbers, n_outputs, class_weight, **more)


def first_theta(problem, seed):
    theta = 0.1 * np.random.default_rng(seed).standard_normal(problem.n_parameters).astype(problem.data.y.dtype)
    if not problem.objective.fit_intercept:
        theta[-problem.n_outputs :] = 0.0
    return theta


def request(eta, *, batch_size=4, order=ORDER, seed=0, first_averaged=None, **more):
    """Of a solver that is told its rates."""
    problem, n_batches = problem_of(**more), -(-len(order) // batch_size)
    state = problem.new_state(first_theta(problem, seed), first_averaged is not None)
    first_averaged = n_batches if first_averaged is None else first_averaged
    etas, noisy = np.linspace(eta, eta / 2, n_batches), batch_size < problem.n_samples
    return Request(problem, state, Epoch(order, etas, batch_size, first_averaged, noisy, 0))


def auto_request(distance, *, scales=(0.49,), batch_size=4, order=ORDER, seed=0, n_updates=0, **more):
    """Of a model that finds its rates; ``scales`` are those of the columns, squared: all alike, or powers of four."""
    scales = np.broadcast_to(scales, D).astype(float)
    problem = DualAveragingProblem.with_moments(problem_of(**more), ColumnMoments(scales, np.ones(D), 1.0))
    state, n_batches = problem.new_state(first_theta(problem, seed), False), -(-len(order) // batch_size)
    problem.begin(state, distance * (1.0 + np.arange(problem.n_objectives)))
    state.slot_updates = n_updates
    epoch = Epoch(order, np.full(n_batches, np.nan), batch_size, n_batches, batch_size < problem.n_samples, 0)
    return Request(problem, state, epoch)


def of_many_numbers(**more):
    numbers = [(eta, l2, parameter) for eta in (1e-3, 0.1) for l2 in (0.0, 0.2) for parameter in (0.1, 0.4)]
    return [request(eta, l2=l2, parameter=parameter, seed=i, **more) for i, (eta, l2, parameter) in enumerate(numbers)]


def autos_of_many_numbers(**more):
    """As many as share a pass in any batches."""
    numbers = [(far, l2, parameter) for far in (0.03, 0.1, 0.3, 0.5) for l2 in (0.0, 0.2) for parameter in (0.1, 0.4)]
    return [
        auto_request(far, l2=l2, parameter=parameter, seed=i, **more) for i, (far, l2, parameter) in enumerate(numbers)
    ]


def copy_of(requests):
    return [one._replace(state=one.state.copy()) for one in requests]


def assert_same_states(ours, theirs, tolerance):
    for name in ("theta", "slots", "scalars", "total"):
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=tolerance, atol=tolerance, err_msg=name)
    assert_allclose(ours.penalty_seen, theirs.penalty_seen, rtol=10 * tolerance)
    for count in ("slot_updates", "schedule_updates", "n_averaged"):
        assert getattr(ours, count) == getattr(theirs, count), count


def assert_as_alone(requests, tolerance=1e-10, epochs=2):
    """In some epochs, one after the other."""
    alone, shared = copy_of(requests), copy_of(requests)
    for _ in range(epochs):
        losses = [problem.run_epoch(state, epoch) for problem, state, epoch in alone]
        for found, expected in zip(run_together(shared), losses, strict=True):
            assert_allclose(found.left, expected, rtol=tolerance)
    for one, other in zip(shared, alone, strict=True):
        assert_same_states(one.state, other.state, tolerance)


def refuse_to_train_alone(monkeypatch):
    def refuse(requests):
        raise AssertionError(f"{len(requests)} alone")

    monkeypatch.setattr(together, "_one_by_one", refuse)
