"""engine.mlp and MLPProblem: gradients by finite differences, cuts into shares and blocks, threads."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import ThreadpoolController, threadpool_limits

from minibatch._problems import meeting, mlp
from minibatch._problems.blas import n_blas_threads, one_blas_thread
from minibatch._problems.epochs import Epoch
from minibatch._problems.layout import buffers, layers_of, network_of
from minibatch._problems.mlp import MLPProblem
from minibatch._problems.pieces import Threads
from minibatch.engine.activations import ACTIVATIONS
from minibatch.engine.barrier import abandon, new_barrier
from minibatch.engine.batch_normalization import STATISTICS_RATE, VARIANCE_EPSILON
from minibatch.engine.compile import COMPILED
from minibatch.engine.linear import SEPARATE, SOFTMAX, Objective, Solver
from minibatch.engine.losses import LOG_LOSS, POISSON, SQUARED_ERROR
from minibatch.engine.optimizers import SOLVERS
from references.kernels import hashed

N, D, K = 23, 5, 3
UNITS = [D, 7, 4, K]
random = np.random.default_rng(0)
X = random.standard_normal((N, D))
SPARSE = sp.csr_array(np.where(random.random((N, D)) < 0.5, X, 0.0))
CLASSES = random.integers(0, K, N)
WEIGHT = random.integers(0, 3, N) / 1.0
WEIGHT /= WEIGHT.mean()
TARGETS = {  # loss, outputs, target
    "softmax": (LOG_LOSS, SOFTMAX, CLASSES),
    "multilabel": (LOG_LOSS, SEPARATE, np.where(random.random((N, K)) < 0.5, 1.0, -1.0)),
    "squared_error": (SQUARED_ERROR, SEPARATE, random.standard_normal((N, K))),
    "poisson": (POISSON, SEPARATE, random.poisson(2.0, (N, K)) / 1.0),
}


def problem_of(target="softmax", X=X, activation="tanh", alpha=0.05, solver="sgd", weight=None, units=UNITS, **more):
    loss, outputs, y = TARGETS[target]
    layout = {name: more.pop(name) for name in ("normalized", "normalized_inputs", "dropout", "chunk") if name in more}
    network = network_of(units, ACTIVATIONS[activation], **layout)
    objective = Objective(loss, 0.0, outputs, 0, 0.0, alpha, True)
    y = more.pop("y", y)
    return MLPProblem.from_arrays(
        X, y, weight, objective, Solver(SOLVERS[solver], 0.9, 0.9, 0.999, 1e-8), network, **more
    )


def start_of(problem, seed=1, dtype=np.float64):
    """Parameters in general position; scales and variances are positive."""
    random = np.random.default_rng(seed)
    theta = 0.5 * random.standard_normal(problem.network.n_parameters)
    layers = layers_of(problem.network, theta)
    for part in (*layers.scales, *layers.variances):
        part[...] = random.uniform(0.5, 1.5, part.shape)
    return theta.astype(dtype)


def trained(problem, batch_size, epochs=2, order=None, eta=0.1, seed=3):
    state = problem.new_state(start_of(problem, dtype=problem.data.y.dtype), averaged=False)
    order = np.arange(problem.n_samples) if order is None else order
    losses = []
    for _ in range(epochs):
        n_batches = -(-len(order) // batch_size)
        epoch = Epoch(order, np.full(n_batches, eta), batch_size, n_batches, True, seed)
        losses.append(problem.run_epoch(state, epoch)[0])
    return state.theta, losses


def central_differences(function, theta, step=1e-6):
    units = np.eye(len(theta))
    return np.array([(function(theta + step * u) - function(theta - step * u)) / (2 * step) for u in units])


# ---------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("activation", ["tanh", "gelu", "logistic", "identity"])
@pytest.mark.parametrize("rows", [X, SPARSE], ids=["dense", "csr"])
def test_gradient_is_the_derivative_of_the_loss(target, activation, rows):
    problem = problem_of(target, rows, activation, weight=WEIGHT)
    theta = start_of(problem)
    _, gradient = problem.evaluate(theta)
    expected = central_differences(lambda theta: problem.evaluate(theta)[0][0], theta)
    assert_allclose(gradient, expected, atol=1e-7)


def test_gradient_with_running_statistics_is_the_derivative_of_the_loss():
    problem = problem_of(normalized=True, normalized_inputs=True)
    theta, n = start_of(problem), problem.network.n_trained
    _, gradient = problem.evaluate(theta)
    expected = central_differences(lambda theta: problem.evaluate(theta)[0][0], theta)
    assert_allclose(gradient, expected[:n], atol=1e-7)


def batch_normalized_objective(problem, theta, inputs, bounds=(0, N)):
    """With the statistics of the batch, or of chunks of it, whose rows count by their weights, in plain NumPy."""

    def standardized(values):
        return np.concatenate([of_chunk(values[a:b], WEIGHT[a:b]) for a, b in pairwise(bounds)])

    def of_chunk(z, weights):
        mean = np.average(z, axis=0, weights=weights)
        return (z - mean) / np.sqrt(np.average((z - mean) ** 2, axis=0, weights=weights) + VARIANCE_EPSILON)

    layers = layers_of(problem.network, theta)
    values = standardized(X) if inputs else X
    for W, b, scale in zip(layers.weights, layers.intercepts, layers.scales, strict=False):
        values = np.tanh(scale * standardized(values @ W) + b)
    scores = values @ layers.weights[-1] + layers.intercepts[-1]
    loss = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(N), CLASSES]
    return (WEIGHT * loss).mean() + problem.penalties(theta)[0]


@pytest.mark.parametrize("inputs", [False, True])
def test_a_step_follows_the_gradient_through_the_batch_statistics(inputs):
    problem = problem_of(normalized=True, normalized_inputs=inputs, weight=WEIGHT)
    before, n = start_of(problem), problem.network.n_trained
    after, _ = trained(problem, N, epochs=1)
    slope = central_differences(lambda theta: batch_normalized_objective(problem, theta, inputs), before)
    assert_allclose(after[:n], (before - 0.1 * slope)[:n], atol=1e-8)


# chunk sizes, and where the chunks of 23 rows begin and end: the last of 11 takes the row that would be alone
CHUNKS = [(5, (0, 5, 10, 15, 20, 23)), (11, (0, 11, 23)), (12, (0, 12, 23)), (22, (0, 23)), (23, (0, 23))]


@pytest.mark.parametrize("inputs", [False, True])
@pytest.mark.parametrize(("chunk", "bounds"), CHUNKS)
def test_a_step_follows_the_gradient_through_the_statistics_of_chunks(chunk, bounds, inputs):
    problem = problem_of(normalized=True, normalized_inputs=inputs, weight=WEIGHT, chunk=chunk)
    before, n = start_of(problem), problem.network.n_trained
    after, _ = trained(problem, N, epochs=1)
    slope = central_differences(lambda theta: batch_normalized_objective(problem, theta, inputs, bounds), before)
    assert_allclose(after[:n], (before - 0.1 * slope)[:n], atol=1e-8)


@pytest.mark.parametrize(("chunk", "bounds"), CHUNKS)
def test_what_leaves_a_chunk_has_mean_0_and_variance_1(chunk, bounds, monkeypatch):
    """Each chunk in turn is the last one, which the buffers hold in the end."""
    works, problem = [], problem_of(normalized=True, normalized_inputs=True, chunk=chunk, units=[D, 4, K])
    monkeypatch.setattr(mlp, "buffers", lambda *sizes, **more: works.append(buffers(*sizes, **more)) or works[-1])
    n_rows, weights = bounds[-1] - bounds[-2], layers_of(problem.network, start_of(problem)).weights[0]
    for shift in range(0, N, 4):
        order = np.roll(np.arange(N), shift)
        trained(problem, N, epochs=1, order=order)
        hidden, last = works[-1].normalized[: 4 * n_rows].reshape(n_rows, 4), X[order[-n_rows:]]
        z = (last - last.mean(axis=0)) / np.sqrt(last.var(axis=0) + VARIANCE_EPSILON) @ weights
        assert_allclose(hidden.mean(axis=0), 0.0, atol=1e-12)
        assert_allclose(hidden.var(axis=0), z.var(axis=0) / (z.var(axis=0) + VARIANCE_EPSILON), rtol=1e-9)
        assert_allclose(hidden, (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + VARIANCE_EPSILON), atol=1e-9)


@pytest.mark.parametrize("noisy", [True, False])
def test_running_statistics_go_towards_the_mean_over_the_chunks(noisy):
    problem = problem_of(normalized=True, normalized_inputs=True, chunk=5)
    state = problem.new_state(start_of(problem), averaged=False)
    mean, variance, parts = np.zeros(D), np.zeros(D), [slice(a, b) for a, b in pairwise(CHUNKS[0][1])]
    for t in range(1, 15):
        problem.run_epoch(state, Epoch(np.arange(N), np.zeros(1), N, 1, noisy, 0))
        rate, sizes = max(STATISTICS_RATE, 1 / t), [len(X[part]) for part in parts]
        mean += rate * (np.average([X[part].mean(axis=0) for part in parts], axis=0, weights=sizes) - mean)
        own = [X[part].var(axis=0, ddof=1) for part in parts]  # unbiased: a chunk is never all there is
        variance += rate * (np.average(own, axis=0, weights=sizes) - variance)
    layers = layers_of(problem.network, state.theta)
    assert_allclose(layers.means[-1], mean, atol=1e-12)
    assert_allclose(layers.variances[-1], variance, atol=1e-12)


@pytest.mark.skipif(not COMPILED, reason="plain Python runs on one thread")
@pytest.mark.parametrize("rows", [X, SPARSE], ids=["dense", "csr"])
def test_chunks_on_any_threads(rows, monkeypatch):
    kind = {"normalized": True, "weight": WEIGHT, "chunk": 4, "solver": "adam", "dropout": 0.2}
    whole = trained(problem_of(X=rows, **kind), 11, epochs=5)
    make_small_cuts(monkeypatch, "by rows")
    alone = trained(problem_of(X=rows, **kind), 11, epochs=5)
    assert_allclose(alone[0], whole[0], atol=1e-11)
    with ThreadPoolExecutor(2) as pool:
        for n_threads in (2, 3):
            problem = problem_of(X=rows, **kind, threads=Threads(n_threads, pool))
            shared = trained(problem, 11, epochs=5)
            assert_array_equal(shared[0], alone[0])
            assert shared[1] == alone[1]


@pytest.mark.skipif(not COMPILED, reason="plain Python runs on one thread")
def test_a_normalised_batch_with_weights_is_one_share_on_any_threads(monkeypatch):
    whole = trained(problem_of(normalized=True, normalized_inputs=True, weight=WEIGHT), 11)
    make_small_cuts(monkeypatch, "by rows")
    with ThreadPoolExecutor(2) as pool:
        for threads in (Threads(1, None), Threads(3, pool)):
            problem = problem_of(normalized=True, normalized_inputs=True, weight=WEIGHT, threads=threads)
            assert mlp._n_shares(problem.network, 11) > 1
            assert_allclose(trained(problem, 11)[0], whole[0], atol=1e-12)


def test_running_statistics_are_means_first_and_decay_later():
    problem = problem_of(normalized=True, normalized_inputs=True)
    theta, _ = trained(problem, 8, epochs=5, eta=0.0)
    mean, variance = layers_of(problem.network, start_of(problem)).means[-1], 0.0
    batches = [X[:8], X[8:16], X[16:]] * 5
    for t, batch in enumerate(batches, start=1):
        rate = max(STATISTICS_RATE, 1 / t)
        mean = mean + rate * (batch.mean(axis=0) - mean)
        variance = variance + rate * (batch.var(axis=0, ddof=1) - variance)
    layers = layers_of(problem.network, theta)
    assert_allclose(layers.means[-1], mean, atol=1e-12)
    assert_allclose(layers.variances[-1], variance, atol=1e-12)
    assert len(layers.means) == len(layers.scales) + 1 == 3


# ---------------------------------------------------------------------------------------------- shares, blocks, threads


WAYS = {"by inputs": {"FEW_ROWS": 64}, "by rows": {"FEW_ROWS": 0}, "by gradients": {"LARGE_BATCH": 1}}


def make_small_cuts(monkeypatch, way):
    """Cut also these batches, into shares that take several blocks."""
    for name, value in ({"SMALL_WORK": 1, "SHARE_WORK": 100, "BLOCK_ROWS": 2} | WAYS[way]).items():
        monkeypatch.setattr(mlp, name, value)


@pytest.fixture(params=WAYS)
def small_cuts(monkeypatch, request):
    make_small_cuts(monkeypatch, request.param)
    return request.param


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("batch_size", [1, 4, 11, N])  # the last batch of 11 rows has one: seven shares are empty
def test_the_cut_does_not_change_the_model(way, solver, batch_size, monkeypatch):
    whole = trained(problem_of(solver=solver, weight=WEIGHT, dropout=0.2), batch_size)
    make_small_cuts(monkeypatch, way)
    problem = problem_of(solver=solver, weight=WEIGHT, dropout=0.2)
    assert mlp._n_shares(problem.network, batch_size) > 1
    cut = trained(problem, batch_size)
    assert_allclose(cut[0], whole[0], atol=1e-11)
    assert_allclose(cut[1], whole[1], rtol=1e-12)


@pytest.mark.skipif(not COMPILED, reason="plain Python runs on one thread")
@pytest.mark.parametrize("rows", [X, SPARSE], ids=["dense", "csr"])
def test_the_model_does_not_depend_on_the_number_of_threads(rows, small_cuts):
    alone = trained(problem_of("squared_error", rows, solver="adam", dropout=0.2), 11, epochs=20)
    for n_threads in (2, 3, 8):
        with ThreadPoolExecutor(n_threads - 1) as pool:
            problem = problem_of("squared_error", rows, solver="adam", dropout=0.2, threads=Threads(n_threads, pool))
            shared = trained(problem, 11, epochs=20)
            theta = shared[0]
            assert_array_equal(theta, alone[0])
            assert shared[1] == alone[1]
            assert_array_equal(problem.evaluate(theta)[1], problem_of("squared_error", rows).evaluate(theta)[1])
            assert_array_equal(problem.scores(theta), problem_of("squared_error", rows).scores(theta))


@pytest.mark.skipif(not COMPILED, reason="plain Python runs on one thread")
@pytest.mark.parametrize("at_once", [1, 4])
def test_blas_threads_have_no_say(at_once):
    """Products large enough for BLAS to use threads, which would cut them otherwise; also in fits at the same time."""
    rows, units = np.random.default_rng(0).standard_normal((400, 700)), [700, 40, K]

    def train(_):
        return trained(problem_of(X=rows, y=np.arange(400) % K, units=units), 150, eta=0.01)[0]

    with threadpool_limits(1, user_api="blas"):
        expected = train(0)
    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(at_once) as pool:
        for theta in pool.map(train, range(at_once)):
            assert_array_equal(theta, expected)


def test_the_limit_on_blas_is_lifted_when_the_last_has_gone():
    controller = ThreadpoolController().select(user_api="blas")
    before, inside = [library["num_threads"] for library in controller.info()], []

    def train_inside(_):
        with one_blas_thread() as others:
            inside.append(others)
            trained(problem_of(), 5)
            assert {library["num_threads"] for library in controller.info()} == {1}
            assert n_blas_threads() == max(before)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(train_inside, range(6)))
    assert [library["num_threads"] for library in controller.info()] == before
    with one_blas_thread() as others, one_blas_thread() as nested:
        assert others == nested == 0


@pytest.mark.skipif(not COMPILED, reason="plain Python runs on one thread")
@pytest.mark.parametrize(("way", "name"), [("by inputs", "mlp_epoch_by_inputs"), ("by rows", "mlp_epoch")])
def test_an_abandoned_barrier_lets_everybody_go(way, name, monkeypatch):
    """One thread fails before it meets the others, who wait in compiled code."""
    make_small_cuts(monkeypatch, way)
    original, calls = getattr(mlp, name), threading.Lock()

    def fails_once(*arguments):
        if calls.acquire(blocking=False):
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(mlp, name, fails_once)
    with ThreadPoolExecutor(2) as pool:
        problem = problem_of(threads=Threads(3, pool))
        with pytest.raises(KeyboardInterrupt):
            trained(problem, N)


@pytest.mark.skipif(not COMPILED, reason="plain Python runs on one thread")
def test_a_helper_that_fails_on_its_way_does_not_leave_the_others_waiting(small_cuts, monkeypatch):
    original, here = mlp.one_blas_thread, threading.get_ident()

    def fails_in_helpers():
        if threading.get_ident() != here:
            raise MemoryError
        return original()

    for module in (mlp, meeting):
        monkeypatch.setattr(module, "one_blas_thread", fails_in_helpers)
    with ThreadPoolExecutor(1) as pool:
        problem = problem_of(threads=Threads(2, pool))
        with pytest.raises(MemoryError):
            trained(problem, N)


FIRST_FITS_AT_ONCE = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from threadpoolctl import ThreadpoolController
from minibatch import MiniBatchMLPRegressor

X = np.random.default_rng(0).standard_normal((40, 3))
controller = ThreadpoolController().select(user_api="blas")
before = [library["num_threads"] for library in controller.info()]
nets = [MiniBatchMLPRegressor(hidden_layer_sizes=(2,), max_iter=3, tol=None) for _ in range(8)]
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda net: net.fit(X, X[:, 0]), nets))
assert [library["num_threads"] for library in controller.info()] == before
"""


@pytest.mark.compiled
def test_the_limit_is_lifted_after_the_first_fits_of_a_process_at_once():
    for _ in range(2):
        subprocess.run([sys.executable, "-W", "ignore", "-c", FIRST_FITS_AT_ONCE], check=True, timeout=120)


def test_abandoning_is_for_ever():
    barrier = new_barrier()
    abandon(barrier)
    assert barrier.any()


# ---------------------------------------------------------------------------------------------- dropout


def test_dropout_leaves_out_its_share_and_keeps_the_expectation():
    problem = problem_of("squared_error", X=np.ones((4000, 1)), activation="identity", units=[1, 50, 1], dropout=0.3,
                         y=np.zeros(4000), alpha=0.0)  # fmt: skip
    state = problem.new_state(np.ones(problem.network.n_parameters), averaged=False)
    layers = layers_of(problem.network, state.theta)
    layers.intercepts[0][:] = layers.intercepts[1][:] = 0.0
    # with y = 0 the loss is half the squared score, and the score is (units that stay) / (1 - 0.3)
    loss = problem.run_epoch(state, Epoch(np.arange(4000), np.zeros(1), 4000, 1, True, 5))[0] / 4000
    mean, variance = 50.0, 50 * 0.3 / 0.7
    assert_allclose(loss, 0.5 * (mean**2 + variance), rtol=0.005)


def test_dropout_depends_on_seed_and_row_not_on_the_batch():
    """At rate 0 the progressive loss is the sum over rows, whatever the batches and the order."""
    problem = problem_of(dropout=0.4)
    losses = {}
    for batch_size, order, seed in [(1, None, 3), (7, None, 3), (N, np.arange(N)[::-1].copy(), 3), (7, None, 4)]:
        _, (loss,) = trained(problem, batch_size, epochs=1, order=order, eta=0.0, seed=seed)
        losses.setdefault(seed, []).append(loss)
    assert_allclose(losses[3], losses[3][0], rtol=1e-12)
    assert abs(losses[4][0] - losses[3][0]) > 1e-3


def test_the_hash_spreads_over_32_bits():
    values = np.array([hashed(i) for i in range(20_000)])
    assert values.min() >= 0
    assert values.max() < 2**32
    counts, _ = np.histogram(values, bins=20, range=(0, 2**32))
    assert_allclose(counts, 1000, atol=150)  # nearly five deviations
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.03


# ---------------------------------------------------------------------------------------------- prediction, precision


def test_scores_do_not_depend_on_the_blocks(monkeypatch):
    problem = problem_of(normalized=True, normalized_inputs=True)
    theta = start_of(problem)
    expected = problem.scores(theta)
    for rows in (1, 2, 5, 100):
        monkeypatch.setattr(mlp, "BLOCK_ROWS", rows)
        assert_allclose(problem.scores(theta), expected, rtol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_float32_follows_float64(solver):
    exact, _ = trained(problem_of(solver=solver), 5, eta=0.01)
    found, _ = trained(problem_of(X=X.astype(np.float32), solver=solver), 5, eta=0.01)
    assert found.dtype == np.float32
    assert_allclose(found, exact, atol=1e-4)


def test_nan_reaches_the_parameters():
    """Divergence is detected by it: fast math must not assume it away."""
    with_nan = X.copy()
    with_nan[3, 2] = np.nan
    for activation in ACTIVATIONS:
        theta, losses = trained(problem_of(X=with_nan, activation=activation), 5, epochs=1)
        assert np.isnan(theta).any(), activation
        assert np.isnan(losses).all(), activation
