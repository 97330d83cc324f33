"""Paths of the loops of ``learning_rate="auto"``: small problems for each, and the NumPy reference of them."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.testing import assert_allclose

from minibatch._problems.column_scales import ColumnMoments
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.epochs import Epoch, no_passes
from minibatch._problems.linear import OUTPUTS, LinearProblem
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.losses import CLASSIFICATION, REGRESSION
from minibatch.engine.optimizers import SGD
from references.dual_averaging import dual_averaging
from references.gradient_descent import MARGIN_LOSSES

# of classes; the log loss of shares by another name
LOSSES = {**REGRESSION, "cross_entropy": REGRESSION["log_loss"], **CLASSIFICATION}
N, D, PARAMETER = 23, 5, 0.3
rng = np.random.default_rng(0)
SINGLE_ROWS = {"_four_rows", "_softmax_rows", "_one_row", "_sparse_rows"}
DENSE = rng.standard_normal((N, D)) * (rng.random((N, D)) < 0.6)
SPARSE = sp.csr_array(DENSE)
START = 0.3 * np.random.default_rng(4).standard_normal((D + 1, 7))  # at 0 scores tie with the kink of the perceptron
NO_PENALTY, L2, L1, BOTH = (0.0, 0.0), (0.0, 0.2), (0.1, 0.0), (0.05, 0.2)
# path: layout of X, batch sizes, penalties (l1, l2), whether columns may differ
PATHS = {
    "_four_rows": (DENSE, [1], [NO_PENALTY, L2], [False, True]),
    "_one_row": (DENSE, [1], [NO_PENALTY, L2, L1, BOTH], [False, True]),
    "_sparse_rows": (SPARSE, [1], [NO_PENALTY, L2, L1, BOTH], [False, True]),
    "_sparse_batches": (SPARSE, [1, 4, N], [NO_PENALTY, L2, L1, BOTH], [False, True]),
    "_gradient_batches": (DENSE, [1, 4, N], [NO_PENALTY, L2, L1, BOTH], [False, True]),
    "_large_batches": (DENSE, [5, N], [L2, BOTH], [False, True]),
}
# of the columns: as they turn out of these moments, powers of four apart
SCALES = {False: np.full(D, 0.49), True: np.array([4.0, 4.0, 0.25, 16.0, 0.0625])}


def targets(loss, n_outputs=2, n=N):
    y = np.random.default_rng(1).standard_normal((n, n_outputs))
    if loss == "softmax":
        return np.arange(n) % n_outputs
    if loss in MARGIN_LOSSES:
        return np.where(y > 0, 1.0, -1.0)
    if loss == "cross_entropy":
        return 1.0 / (1.0 + np.exp(-y))
    return np.abs(y) + 0.1 if loss in ("poisson", "gamma") else y


def problem_of(X, y, loss, scales, *, l1=0.0, l2=0.0, weight=None, fit_intercept=True, n_outputs=None, **more):
    code, outputs = ("log_loss", "multinomial") if loss == "softmax" else (loss, "separate")
    objective = Objective(LOSSES[code], PARAMETER, OUTPUTS[outputs], 0, l1, l2, fit_intercept)
    solver, n_outputs = Solver(SGD, 0.9, 0.9, 0.999, 1e-8), n_outputs or y.shape[-1]
    problem = DualAveragingProblem.of(
        LinearProblem.from_arrays(X, y, weight, objective, solver, n_outputs, **more), None
    )
    return replace(problem, moments=ColumnMoments(np.asarray(scales), np.ones(len(scales)), 1.0))


def distances_of(problem):
    return 0.3 * (1.0 + np.arange(problem.n_objectives))


def train(problem, method, batch_size, epochs=2, order=None):
    """Parameters and last rates of some epochs in one of the loops, not necessarily the one that would be chosen."""
    order = np.arange(problem.n_samples) if order is None else order
    start = START[[*range(problem.n_features), -1], : problem.n_outputs]
    state = problem.new_state(np.append(start[:-1].T, start[-1]).astype(problem.data.y.dtype), averaged=False)
    problem.begin(state, distances_of(problem))
    n_batches, rates = -(-len(order) // batch_size), []
    for _ in range(epochs):
        epoch = Epoch(order, np.full(n_batches, np.nan), batch_size, n_batches, True, 0)
        passed = no_passes(1, problem.n_outputs, state.theta, state.scalars, noted=False)
        getattr(problem, method)(state, epoch.as_rows(), passed)
        state.slot_updates += n_batches
        rates.append(state.own_rate)
    return *problem.parameters(problem.model_of(state)), np.array(rates)


def reference(problem, y, loss, scales, **options):
    start = START[[*range(problem.n_features), -1], : problem.n_outputs]
    more = {"scales": scales, "distances": distances_of(problem), "parameter": PARAMETER, "theta": start, "epochs": 2}
    return dual_averaging(DENSE, y, loss, **{**more, **options})


def assert_same(found, expected, tolerance=1e-11):
    for part, by_reference in zip(found, expected, strict=True):
        assert_allclose(part, by_reference, rtol=tolerance, atol=tolerance)
