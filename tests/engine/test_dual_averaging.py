"""The loops of ``learning_rate="auto"``: every path gives the model of the NumPy reference."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minibatch._problems import dual_averaging_columns as columns
from minibatch._problems.column_scales import ColumnMoments
from minibatch._problems.dual_averaging import DualAveragingProblem
from minibatch._problems.epochs import Epoch, no_passes
from minibatch._problems.linear import OUTPUTS, LinearProblem
from minibatch._problems.pieces import Threads
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.optimizers import SGD
from references.dual_averaging_paths import (
    BOTH,
    DENSE,
    L1,
    L2,
    LOSSES,
    NO_PENALTY,
    PATHS,
    SCALES,
    SINGLE_ROWS,
    SPARSE,
    D,
    N,
    assert_same,
    distances_of,
    problem_of,
    reference,
    rng,
    targets,
    train,
)

RUNS = [
    pytest.param(method, X, size, penalty, differ, id=f"{method}-{size}-{penalty}-{'differ' if differ else 'alike'}")
    for method, (X, sizes, penalties, kinds) in PATHS.items()
    for size in sizes
    for penalty in penalties
    for differ in kinds
]


@pytest.mark.parametrize(("method", "X", "batch_size", "penalty", "differ"), RUNS)
def test_every_path_gives_the_model_of_the_formulas(method, X, batch_size, penalty, differ):
    for loss in LOSSES:
        y, (l1, l2), scales = targets(loss), penalty, SCALES[differ]
        problem = problem_of(X, y, loss, scales, l1=l1, l2=l2)
        found = train(problem, method, batch_size)
        assert_same(found, reference(problem, y, loss, scales, batch_size=batch_size, l1=l1, l2=l2))


@pytest.mark.parametrize("batch_size", [1, 4, N])
@pytest.mark.parametrize("penalty", [L2, BOTH])
@pytest.mark.parametrize(
    ("method", "X"),
    [
        ("_softmax_rows", DENSE),
        ("_one_row", DENSE),
        ("_sparse_rows", SPARSE),
        ("_sparse_batches", SPARSE),
        ("_gradient_batches", DENSE),
        ("_large_batches", DENSE),
    ],
)
def test_a_softmax_has_one_rate(method, X, batch_size, penalty):
    batch_size = 1 if method in SINGLE_ROWS else batch_size
    (l1, l2), scales, y = penalty if method != "_softmax_rows" else L2, SCALES[True], targets("softmax", 3)
    problem = problem_of(X, y, "softmax", scales, l1=l1, l2=l2, n_outputs=3)
    found = train(problem, method, batch_size)
    assert_same(found, reference(problem, y, "softmax", scales, batch_size=batch_size, l1=l1, l2=l2))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("method", "X"), [(method, X) for method, (X, *_) in PATHS.items()])
def test_weights_of_rows(method, X, fit_intercept):
    weight, y = rng.integers(0, 3, N).astype(float), targets("log_loss")
    problem = problem_of(X, y, "log_loss", SCALES[False], l2=0.1, weight=weight, fit_intercept=fit_intercept)
    size = 1 if method in SINGLE_ROWS else 4
    expected = reference(
        problem, y, "log_loss", SCALES[False], batch_size=size, l2=0.1, weights=weight, fit_intercept=fit_intercept
    )
    assert_same(train(problem, method, size), expected)


@pytest.mark.parametrize(("method", "X"), [(method, X) for method, (X, *_) in PATHS.items()])
def test_float32(method, X):
    y = targets("log_loss")
    problem = problem_of(X.astype(np.float32), y, "log_loss", SCALES[False], l2=0.1)
    size = 1 if method in SINGLE_ROWS else 4
    found = train(problem, method, size)
    assert found[0].dtype == np.float32
    assert_same(found, reference(problem, y, "log_loss", SCALES[False], batch_size=size, l2=0.1), 1e-5)


def test_large_steps_in_float32_do_not_overflow():
    """The average's weights grow with the fourth power of a distance and the square of the updates."""
    X = np.tile(DENSE, (200, 1)).astype(np.float32)
    y = 1e9 * targets("squared_error", 1, len(X))
    for method in ("_four_rows", "_one_row", "_sparse_rows", "_sparse_batches", "_gradient_batches"):
        rows = sp.csr_array(X) if method.startswith("_sparse") else X
        coef, intercept, rates = train(problem_of(rows, y, "squared_error", SCALES[False]), method, 1)
        assert np.isfinite(coef).all()
        assert np.isfinite(intercept).all()
        assert (rates > 0).all()


@pytest.mark.parametrize("differ", [False, True])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error", "hinge"])
@pytest.mark.parametrize("n_features", [1, 3, 4, 7, 8, 16, 33, 100])
def test_single_rows_of_any_width(loss, n_features, differ):
    X = np.random.default_rng(n_features).standard_normal((341, n_features))
    y = targets(loss, 1, 341)
    scales = 4.0 ** np.random.default_rng(0).integers(-3, 3, n_features) if differ else np.full(n_features, 0.7)
    problem = problem_of(X, y, loss, scales, l2=0.1)
    start = np.zeros(problem.n_parameters)

    def trained(method):
        state = problem.new_state(start, averaged=False)
        problem.begin(state, distances_of(problem))
        epoch = Epoch(np.arange(341), np.empty(341), 1, 341, True, 0).as_rows()
        getattr(problem, method)(state, epoch, no_passes(1, 1, state.theta, state.scalars, noted=False))
        return problem.model_of(state)

    assert_allclose(trained("_four_rows"), trained("_gradient_batches"), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_outputs", [3, 70])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("differ", [False, True])
def test_classes_side_by_side(n_outputs, weighted, differ):
    """Each against the rest: fewer than are a SIMD vector, and more than are updated at once."""
    n, random = 1300, np.random.default_rng(2)
    X, labels = random.standard_normal((n, D)), random.integers(0, n_outputs, n)
    weight = random.integers(0, 3, n).astype(float) if weighted else None
    class_weight = 0.5 + random.random((2, n_outputs))
    objective = Objective(LOSSES["log_loss"], 0.0, OUTPUTS["ovr"], 0, 0.0, 0.1, True)
    problem = DualAveragingProblem.of(
        LinearProblem.from_arrays(
            X, labels, weight, objective, Solver(SGD, 0.9, 0.9, 0.999, 1e-8), n_outputs, class_weight=class_weight
        ),
        None,
    )
    problem = replace(problem, moments=ColumnMoments(SCALES[differ], np.ones(D), 1.0))
    epoch = Epoch(random.permutation(n), np.empty(n), 1, n, True, 0).as_rows()

    def trained(method):
        state = problem.new_state(np.zeros(problem.n_parameters), averaged=False)
        problem.begin(state, distances_of(problem))
        passed = no_passes(1, n_outputs, state.theta, state.scalars, noted=False)
        getattr(problem, method)(state, epoch, passed)
        return problem.model_of(state), passed.losses

    assert_same(trained("_four_rows"), trained("_gradient_batches"), 1e-10)


@pytest.mark.parametrize("differ", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n_features", "n_outputs", "fit_intercept"), [(1, 2, True), (7, 3, False), (33, 26, True)])
def test_four_rows_of_a_softmax(n_features, n_outputs, fit_intercept, dtype, l2, differ):
    """Of epochs whose lengths are no multiples of four, with rows that weigh nothing."""
    n, random = 341, np.random.default_rng(n_features)
    X, y = random.standard_normal((n, n_features)).astype(dtype), random.integers(0, n_outputs, n)
    weight = random.integers(0, 3, n).astype(dtype)
    scales = 4.0 ** random.integers(-3, 3, n_features) if differ else np.full(n_features, 0.7)
    problem = problem_of(
        X, y, "softmax", scales, l2=l2, weight=weight, fit_intercept=fit_intercept, n_outputs=n_outputs
    )
    orders, etas = np.array([random.permutation(n) for _ in range(4)]), np.empty((4, n))

    def trained(method):
        state = problem.new_state(np.zeros(problem.n_parameters, dtype), averaged=False)
        problem.begin(state, distances_of(problem))
        passed = no_passes(4, n_outputs, state.theta, state.scalars, noted=True)
        getattr(problem, method)(state, Epoch(orders, etas, 1, n, True, 0), passed)
        return passed.losses[:, 0], passed.notes.thetas, state.scalars, problem.model_of(state)

    tolerance = 1e-10 if dtype == np.float64 else 2e-3
    assert_same(trained("_softmax_rows"), trained("_gradient_batches"), tolerance)


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize(
    ("batch_size", "method"),
    [(1, "_four_rows"), (1, "_one_row"), (1, "_sparse_rows"), (4, "_sparse_batches"), (4, "_gradient_batches")],
)
def test_outputs_on_threads(loss, batch_size, method):
    """The same digits, whatever thread trains an output."""
    y, X = targets(loss, 5), SPARSE if method.startswith("_sparse") else DENSE
    alone = train(problem_of(X, y, loss, SCALES[False], l2=0.1), method, batch_size)
    with ThreadPoolExecutor(2) as pool:
        shared = train(problem_of(X, y, loss, SCALES[False], l2=0.1, threads=Threads(3, pool)), method, batch_size)
    for part, other in zip(alone, shared, strict=True):
        assert_array_equal(part, other)


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([NO_PENALTY, L2, L1, BOTH]),
    st.sampled_from(["squared_error", "log_loss", "squared_hinge"]), st.sampled_from([1, 2, 5]),
)  # fmt: skip
def test_dense_and_sparse_rows_are_the_same(seed, batch_size, penalty, loss, n_outputs):
    random = np.random.default_rng(seed)
    X = random.standard_normal((40, 6)) * (random.random((40, 6)) < 0.4) * 10.0 ** random.integers(-3, 4, 6)
    y, (l1, l2) = targets(loss, n_outputs, 40), penalty
    options = {"l1": l1, "l2": l2}
    dense, sparse = (
        DualAveragingProblem.of(problem_of(A, y, loss, np.ones(6), **options), None) for A in (X, sp.csr_array(X))
    )
    assert_allclose(dense.scales, sparse.scales, rtol=1e-12)
    states = []
    for problem in (dense, sparse):
        state = problem.new_state(np.zeros(7 * n_outputs), averaged=False)
        problem.begin(state, np.full(n_outputs, 0.1))
        n_batches = -(-40 // batch_size)
        problem.run_epoch(state, Epoch(np.arange(40), np.empty(n_batches), batch_size, n_batches, True, 0))
        states.append(state)
    size = np.abs(states[0].theta).max()
    assert_allclose(states[1].theta, states[0].theta, rtol=1e-8, atol=1e-10 * size)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("batch_size", [1, 2, 7, 40])
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("stored_zeros", [False, True])
@pytest.mark.parametrize("before", [0, 1001, 4090])
def test_how_many_updates_are_remembered_changes_nothing(
    monkeypatch, before, stored_zeros, n_outputs, batch_size, kind
):
    """Columns are settled when a row has them, when all are, and at the end: always by the same steps, however long
    runs of rows are. The intercept of single rows is in a register in between, where it has more digits than float32.
    """
    X = sp.csr_array(np.tile([[1.0, 0.0, -2.0, 3.0, 0.5], [1.0, 4.0, 2.0, 0.0, 0.5]], (20, 1)), dtype=kind)
    if stored_zeros:
        X.data[X.indices < 2] = 0.0
    y = targets("log_loss", n_outputs, 40).astype(kind)
    thetas = []
    for remembered in (1, 2, columns.REMEMBERED):
        monkeypatch.setattr(columns, "REMEMBERED", remembered)
        problem = problem_of(X, y, "log_loss", np.ones(5))
        state = problem.new_state(np.zeros(6 * n_outputs, kind), averaged=False)
        problem.begin(state, np.full(n_outputs, 0.1))
        state.slot_updates = before
        for _ in range(3):
            n_batches = -(-40 // batch_size)
            problem.run_epoch(state, Epoch(np.arange(40), np.empty(n_batches), batch_size, n_batches, True, 0))
        thetas.append(state.theta)
    assert np.abs(thetas[0]).max() > 0.0
    rounded = kind == np.float32 and batch_size == n_outputs == 1
    for theta in thetas[1:]:
        assert_allclose(theta, thetas[0], rtol=1e-5 if rounded else 0.0)
