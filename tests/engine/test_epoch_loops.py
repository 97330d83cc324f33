"""The epoch loops: every path gives the model of the NumPy reference."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._problems.epochs import Epoch, no_passes
from minibatch._problems.linear import OUTPUTS, LinearProblem
from minibatch._problems.linear_loops import LARGE_BATCH
from minibatch._problems.pieces import Threads
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.losses import CLASSIFICATION, REGRESSION
from minibatch.engine.optimizers import KINDS, SOLVERS
from minibatch.engine.sparse_sgd import WINDOW
from references.gradient_descent import MARGIN_LOSSES, descend

# of classes; the log loss of shares by another name
LOSSES = {**REGRESSION, "cross_entropy": REGRESSION["log_loss"], **CLASSIFICATION}
N, D, EPOCHS, ETA, PARAMETER = 23, 5, 2, 0.05, 0.3
rng = np.random.default_rng(0)
DENSE = rng.standard_normal((N, D)) * (rng.random((N, D)) < 0.6)
SPARSE = sp.csr_array(DENSE)

# path: layout of X, batch sizes, penalties (l1, l2), outputs
NO_L1, ALL_PENALTIES = [(0.0, 0.0), (0.0, 0.2)], [(0.0, 0.0), (0.0, 0.2), (0.1, 0.0), (0.05, 0.2)]
PATHS = {
    "one_row": ("_plain_sgd", [1], NO_L1, 1),
    "sgd": ("_plain_sgd", [1, 4, 5, N], NO_L1, 2),
    "lazy_sgd": ("_lazy_batches", [1, 4, 5], ALL_PENALTIES, 2),
    "gradient": ("_gradient_batches", [1, 4, 5], ALL_PENALTIES, 2),
    "large": ("_large_batches", [5, N], NO_L1, 2),
}
RUNS = [
    pytest.param(
        method, X, batch_size, penalty, outputs, id=f"{path}-{layout}-{batch_size}-l1={penalty[0]}-l2={penalty[1]}"
    )
    for path, (method, sizes, penalties, outputs) in PATHS.items()
    for layout, X in (("dense", DENSE), ("csr", SPARSE))
    if not (path == "lazy_sgd" and layout == "dense")
    for batch_size in sizes
    for penalty in penalties
]


# A start in general position: from zero, scores tie with the kink of the perceptron up to rounding.
START = 0.3 * np.random.default_rng(4).standard_normal((D + 1, 7))


def targets(loss, n_outputs=2, n=N):
    y = np.random.default_rng(1).standard_normal((n, n_outputs))
    if loss in MARGIN_LOSSES:
        return np.where(y > 0, 1.0, -1.0)
    if loss == "cross_entropy":
        return 1.0 / (1.0 + np.exp(-y))
    return np.abs(y) + 0.1 if loss in ("poisson", "gamma") else y


def problem_of(
    X, y, loss, *, l1=0.0, l2=0.0, solver="sgd", outputs="separate", weight=None, fit_intercept=True, **more
):
    objective = Objective(LOSSES[loss], PARAMETER, OUTPUTS[outputs], 0, l1, l2, fit_intercept)
    n_outputs = more.pop("n_outputs", y.shape[-1])
    return LinearProblem.from_arrays(
        X, y, weight, objective, Solver(KINDS[solver], 0.9, 0.9, 0.999, 1e-8), n_outputs, **more
    )


def train(problem, method, batch_size, order=None, epochs=EPOCHS, eta=ETA, average=False):
    """Parameters after some epochs in one of the loops, not necessarily the one that would be chosen."""
    order = np.arange(problem.n_samples) if order is None else order
    start = START[[*range(problem.n_features), -1], : problem.n_outputs]
    state = problem.new_state(np.append(start[:-1].T, start[-1]), averaged=average)
    n_batches = -(-len(order) // batch_size)
    for _ in range(epochs):
        first_averaged = 0 if average else n_batches
        epoch = Epoch(order, np.full(n_batches, eta), batch_size, first_averaged, True, 0)
        passed = no_passes(1, problem.n_outputs, state.theta, state.scalars, noted=False)
        getattr(problem, method)(state, epoch.as_rows(), passed)
        state.slot_updates += n_batches
        state.n_averaged += n_batches if average else 0
    return problem.parameters(state.result())


def reference(y, loss, X=DENSE, epochs=EPOCHS, eta=ETA, **options):
    n_outputs = int(y.max()) + 1 if loss == "softmax" else y.shape[1]
    start = START[[*range(X.shape[1]), -1], :n_outputs]
    return descend(X, y, loss, epochs=epochs, etas=eta, parameter=PARAMETER, theta=start, **options)


def assert_same(found, expected, tolerance=1e-11):
    for part, reference in zip(found, expected, strict=True):
        assert_allclose(part, reference, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize(("method", "X", "batch_size", "penalty", "outputs"), RUNS)
def test_every_path_gives_the_textbook_model(method, X, batch_size, penalty, outputs, average):
    for loss in LOSSES:
        y, (l1, l2) = targets(loss, outputs), penalty
        found = train(problem_of(X, y, loss, l1=l1, l2=l2), method, batch_size, average=average)
        expected = reference(y, loss, batch_size=batch_size, l1=l1, l2=l2, average_from=1 if average else None)
        assert_same(found, expected)


@pytest.mark.parametrize("solver", [*SOLVERS, "dowg"])
@pytest.mark.parametrize("l1", [0.0, 0.1])
@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("method", ["_gradient_batches", "_large_batches"])
def test_every_solver_gives_the_textbook_model(solver, l1, batch_size, method):
    y = targets("log_loss")
    found = train(problem_of(DENSE, y, "log_loss", l1=l1, l2=0.1, solver=solver), method, batch_size)
    assert_same(found, reference(y, "log_loss", batch_size=batch_size, l1=l1, l2=0.1, solver=solver))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(
    ("method", "X", "batch_size"),
    [
        ("_plain_sgd", DENSE, 1),
        ("_plain_sgd", SPARSE, 4),
        ("_lazy_batches", SPARSE, 4),
        ("_gradient_batches", DENSE, 4),
        ("_large_batches", SPARSE, N),
    ],
)
@pytest.mark.parametrize("outputs", [1, 2])
def test_weights_and_intercept_on_every_path(method, X, batch_size, outputs, fit_intercept):
    y, weight = targets("squared_hinge", outputs), np.random.default_rng(2).integers(0, 3, N).astype(float)
    weight /= weight.mean()
    found = train(
        problem_of(X, y, "squared_hinge", l2=0.1, weight=weight, fit_intercept=fit_intercept), method, batch_size
    )
    options = {"batch_size": batch_size, "l2": 0.1, "weights": weight, "fit_intercept": fit_intercept}
    assert_same(found, reference(y, "squared_hinge", **options))


@pytest.mark.parametrize(
    ("method", "X", "solver"),
    [
        ("_plain_sgd", DENSE, "sgd"),
        ("_lazy_batches", SPARSE, "sgd"),
        ("_gradient_batches", SPARSE, "adam"),
        ("_large_batches", DENSE, "nesterov"),
        ("_gradient_batches", DENSE, "schedule_free_sgd"),
        ("_gradient_batches", SPARSE, "dowg"),
        ("_large_batches", DENSE, "dowg"),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 5, N])
def test_softmax_on_every_path(method, X, solver, batch_size):
    labels = np.arange(N) % 3
    problem = problem_of(X, labels, "log_loss", l2=0.1, solver=solver, outputs="multinomial", n_outputs=3)
    found = train(problem, method, batch_size)
    assert_same(found, reference(labels, "softmax", batch_size=batch_size, l2=0.1, solver=solver))


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("n_classes", [3, 7])  # 7 are taken a row at a time, by one of two threads
@pytest.mark.parametrize("loss", ["log_loss", "huber"])
@pytest.mark.parametrize("batch_size", [1, 5, N])
def test_one_vs_rest_is_one_problem_a_class(batch_size, loss, n_classes, n_threads):
    labels, random = np.arange(N) % n_classes, np.random.default_rng(3)
    weight, class_weight = random.uniform(0.5, 2.0, N), random.uniform(0.5, 2.0, (2, n_classes))
    with ThreadPoolExecutor(1) as pool:
        more = {"weight": weight, "class_weight": class_weight, "threads": Threads(n_threads, pool)}
        problem = problem_of(DENSE, labels, loss, outputs="ovr", n_outputs=n_classes, **more)
        weights, intercept = train(problem, "_plain_sgd", batch_size)
    for k in range(n_classes):
        own = labels == k
        s = weight * np.where(own, class_weight[1, k], class_weight[0, k])
        options = {"batch_size": batch_size, "weights": s, "etas": ETA * s.mean(), "epochs": EPOCHS}  # it divides by it
        start = START[[*range(D), -1], k : k + 1]
        expected = descend(DENSE, np.where(own, 1.0, -1.0)[:, None], loss, parameter=PARAMETER, theta=start, **options)
        assert_same((weights[k : k + 1], intercept[k : k + 1]), expected)


@pytest.mark.parametrize("solver", ["dowg", "schedule_free_adamw"])
@pytest.mark.parametrize("l1", [0.0, 0.1])
@pytest.mark.parametrize("n_classes", [3, 7])
def test_outputs_with_distances_of_their_own_are_alike_on_any_number_of_threads(solver, l1, n_classes):
    labels, found = np.arange(N) % n_classes, []
    for n_threads in (1, 2, 3):
        with ThreadPoolExecutor(n_threads) as pool:
            more = {"outputs": "ovr", "n_outputs": n_classes, "l1": l1, "l2": 0.1, "threads": Threads(n_threads, pool)}
            found.append(train(problem_of(DENSE, labels, "log_loss", solver=solver, **more), "_gradient_batches", 5))
    for other in found[1:]:
        assert_array_equal(other.weights, found[0].weights)
        assert_array_equal(other.intercept, found[0].intercept)
    expected = reference(2.0 * np.eye(n_classes)[labels] - 1, "log_loss", batch_size=5, l1=l1, l2=0.1, solver=solver)
    assert_same(found[0], expected)


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.compiled
def test_lazy_averaging_with_l1_over_several_windows(batch_size, l2):
    """Weights are settled at the end of a window and when they cross zero, which the second half makes them do."""
    half = np.concatenate([np.tile(np.arange(0, N), 110), np.tile(np.arange(N, 2 * N), 110)])
    order = np.repeat(half, batch_size)
    assert len(order) // batch_size > WINDOW
    X, y = np.vstack([DENSE, DENSE]), targets("squared_error", 2)
    y = np.vstack([y, -2 * y])
    options = {"l1": 0.05, "l2": l2}
    middle = train(
        problem_of(X, y, "squared_error", **options), "_gradient_batches", batch_size, order[: len(order) // 2], 1
    )
    for average in (False, True):
        eager = train(
            problem_of(X, y, "squared_error", **options), "_gradient_batches", batch_size, order, 1, average=average
        )
        lazy = train(
            problem_of(sp.csr_array(X), y, "squared_error", **options),
            "_lazy_batches",
            batch_size,
            order,
            1,
            average=average,
        )
        assert_same(lazy, eager, 1e-9)
        if not average:
            assert (middle.weights * eager.weights < 0).any()


def coefficients(model):
    return np.append(model.coef_, model.intercept_)


@st.composite
def sparse_fits(draw):
    n, d = draw(st.integers(2, 30)), draw(st.integers(1, 8))
    seed = draw(st.integers(0, 2**32 - 1))
    X = sp.random_array((n, d), density=draw(st.floats(0, 1)), rng=np.random.default_rng(seed), format="csr")
    solver = draw(st.sampled_from(list(SOLVERS)))
    penalty = draw(st.sampled_from([None, "l2", "l1", "elasticnet"]))
    # above 1 the shrinkage of plain SGD is cut to 0; solvers with momentum would diverge there
    rate = draw(st.floats(1e-3, 3.0 if solver == "sgd" else 0.2))
    parameters = {
        "solver": solver,
        "penalty": penalty,
        "alpha": draw(st.floats(1e-4, 2.0)),
        "eta0": rate,
        "batch_size": draw(st.sampled_from([1, 2, 5, 0.3, "full"])),
        "average": draw(st.sampled_from([False] if "schedule_free" in solver else [False, True, 7])),
        "fit_intercept": draw(st.booleans()),
        "max_iter": draw(st.integers(1, 4)),
    }
    return X, np.random.default_rng(seed + 1).standard_normal(n), parameters


@given(sparse_fits(), st.sampled_from(["log_loss", "huber"]))
def test_dense_csr_and_csc_give_the_same_model(case, loss):
    X, y, parameters = case
    if loss == "log_loss":
        y = np.where(y > 0, 1, 0)
        y[:2] = 0, 1
    estimator = MiniBatchSGDClassifier if loss in MARGIN_LOSSES else MiniBatchSGDRegressor
    model = estimator(loss, learning_rate="constant", tol=None, random_state=0, **parameters)
    dense, csr, csc = (coefficients(model.fit(M, y)) for M in (X.toarray(), X, X.tocsc()))
    assert_allclose(csr, dense, rtol=1e-7, atol=1e-9)
    assert_array_equal(csr, csc)


@pytest.mark.parametrize("X", ["dense", "csr"])
@pytest.mark.parametrize("outputs", ["separate", "multinomial"])
def test_large_batches_give_the_same_bits_on_any_number_of_threads(X, outputs):
    n = LARGE_BATCH + 77
    rows = np.random.default_rng(3).standard_normal((n, 3))
    y = np.arange(n) % 2 if outputs == "multinomial" else rows[:, :2] - rows[:, 1:]
    found = []
    for n_threads in (1, 2, 4):
        with ThreadPoolExecutor(n_threads) as executor:
            loss = "log_loss" if outputs == "multinomial" else "squared_error"
            problem = problem_of(
                rows if X == "dense" else sp.csr_array(rows), y, loss, outputs=outputs, n_outputs=2,
                threads=Threads(n_threads, executor),
            )  # fmt: skip
            found.append(train(problem, "_large_batches", n, epochs=1, eta=0.3))
    for other in found[1:]:
        assert_array_equal(other.weights, found[0].weights)
        assert_array_equal(other.intercept, found[0].intercept)
    loss = "softmax" if outputs == "multinomial" else loss
    assert_same(found[0], reference(y, loss, X=rows, batch_size=n, epochs=1, eta=0.3))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # NumPy's, with NUMBA_DISABLE_JIT=1
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize(
    ("method", "layout"),
    [
        ("_plain_sgd", "dense"),
        ("_plain_sgd", "csr"),
        ("_lazy_batches", "csr"),
        ("_gradient_batches", "dense"),
        ("_large_batches", "dense"),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_nan_and_infinity_reach_the_parameters(bad, loss, method, layout, batch_size):
    """Divergence is seen by them: fast math may not assume that they do not occur."""
    X = DENSE.copy()
    X[7, 2] = bad
    problem = problem_of(X if layout == "dense" else sp.csr_array(X), targets(loss, 1), loss, l2=0.1)
    found = train(problem, method, batch_size, epochs=2)
    assert not np.isfinite(np.append(found.weights, found.intercept)).all()


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("n_rows", [1, 4, 7])
def test_slopes_beyond_the_largest_are_cut_and_reported(n_rows):
    """One row far too large: the parameters stay finite, the loss does not."""
    y, expected = np.array([1e200] + (n_rows - 1) * [1.0]), 0.0
    problem = problem_of(np.ones((n_rows, 1)), y[:, None], "squared_error")
    state = problem.new_state(np.zeros(2), averaged=False)
    losses = problem.run_epoch(state, Epoch(np.arange(n_rows), np.full(n_rows, 0.1), 1, n_rows, True, 0))
    for target in y:
        expected -= 0.1 * np.clip(2 * expected - target, -1e12, 1e12)
    assert losses[0] == np.inf
    assert_allclose(state.theta, expected)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_rows_without_weight_are_no_rows_however_large(batch_size):
    y = np.array([1.0, 1e200, 2.0, 3.0, 4.0, 1e200])[:, None]
    weight = (y[:, 0] < 1e100) * 1.0
    problem = problem_of(np.ones((6, 1)), y, "squared_error", weight=weight)
    state = problem.new_state(np.zeros(2), averaged=False)
    losses = problem.run_epoch(state, Epoch(np.arange(6), np.full(-(-6 // batch_size), 0.1), batch_size, 6, True, 0))
    assert 0 < losses[0] < 20
    assert abs(state.theta).max() < 2
