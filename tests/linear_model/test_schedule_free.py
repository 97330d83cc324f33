"""The schedule-free solvers of linear models: the published loops, and that everything looks at the average."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._problems.linear_loops import LARGE_BATCH
from references.gradient_descent import descend

N, D = 50, 4
rng = np.random.default_rng(0)
X = rng.standard_normal((N, D)) * (rng.random((N, D)) < 0.7)
y = X @ [1.0, -2.0, 0.5, 0.0] + 0.3 + 0.1 * rng.standard_normal(N)
Y = np.c_[y, X[:, 0] ** 2]
PLAIN = {"learning_rate": "constant", "shuffle": False, "tol": None, "random_state": 0, "max_iter": 4, "alpha": 0.01}
SOLVERS = ["schedule_free_sgd", "schedule_free_adamw"]
both = pytest.mark.parametrize("solver", SOLVERS)


def model_of(solver, **parameters):
    return MiniBatchSGDRegressor(**{**PLAIN, "solver": solver, "eta0": 0.1, "batch_size": 5, **parameters})


def theta(model):
    return np.c_[np.atleast_2d(model.coef_), model.intercept_]


def published(X, y, batch_size, eta, epochs=4, beta=0.9, alpha=0.01):
    """Algorithm 1 of Defazio et al. 2024 (arXiv 2405.15682), by SGD, and where its gradients were taken."""
    A, z, x, t, points = np.c_[X, np.ones(len(X))], np.zeros(D + 1), np.zeros(D + 1), 0, []
    for _ in range(epochs):
        for start in range(0, len(X), batch_size):
            rows, t = slice(start, start + batch_size), t + 1
            at = (1 - beta) * z + beta * x
            g = A[rows].T @ (A[rows] @ at - y[rows]) / len(A[rows]) + alpha * np.r_[at[:D], 0]
            z = z - eta * g
            x = (1 - 1 / t) * x + z / t
            points.append(at)
    return x, points


@pytest.mark.parametrize("batch_size", [1, 5, 7, N])
@pytest.mark.parametrize("layout", [np.array, sp.csr_array])
def test_the_published_loop(layout, batch_size):
    model = model_of("schedule_free_sgd", batch_size=batch_size).fit(layout(X), y)
    assert_allclose(theta(model)[0], published(X, y, batch_size, 0.1)[0], rtol=1e-10)


def test_progressive_losses_are_where_gradients_are_taken():
    model = model_of("schedule_free_sgd", max_iter=2, penalty=None).fit(X, y)
    _, points = published(X, y, 5, 0.1, epochs=2, alpha=0.0)
    squares = [
        (np.c_[X, np.ones(N)][rows] @ at - y[rows]) ** 2 / 2
        for at, rows in zip(points, [slice(s, s + 5) for s in range(0, N, 5)] * 2, strict=True)
    ]
    assert_allclose(model.history_["progressive_loss"], np.mean(np.reshape(squares, (2, -1)), axis=1), rtol=1e-10)


@both
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet", None])
def test_a_rate_that_changes_weighs_the_average(solver, penalty):
    """By its square: with a warm-up and a rate that falls."""
    parameters = {"learning_rate": "invscaling", "power_t": 0.4, "warmup": 1.5, "penalty": penalty, "l1_ratio": 0.3}
    model = model_of(solver, **parameters, alpha=0.02, momentum=0.8, beta_1=0.7, beta_2=0.95).fit(X, Y)
    etas = 0.1 * np.minimum((np.arange(40) + 1) / 15, 1) / np.arange(1, 41) ** 0.4
    l1, l2 = {None: (0, 0), "l2": (0, 0.02), "l1": (0.02, 0), "elasticnet": (0.006, 0.014)}[penalty]
    options = {"solver": solver, "momentum": 0.8, "beta_1": 0.7, "beta_2": 0.95, "l1": l1, "l2": l2}
    w, b = descend(X, Y, "squared_error", batch_size=5, etas=etas, epochs=4, **options)
    assert_allclose(theta(model), np.c_[w, b], rtol=1e-9, atol=1e-12)


@both
def test_large_batches_on_threads(solver):
    n = 2 * LARGE_BATCH + 77
    rows = np.random.default_rng(1).standard_normal((n, D))
    target = rows @ [1.0, 0.0, -1.0, 2.0]
    found = [
        theta(model_of(solver, batch_size=LARGE_BATCH, max_iter=2, n_jobs=n_jobs).fit(rows, target))
        for n_jobs in (1, 2)
    ]
    assert_array_equal(found[0], found[1])
    w, b = descend(
        rows, target[:, None], "squared_error", batch_size=LARGE_BATCH, etas=0.1, epochs=2, solver=solver, l2=0.01
    )
    assert_allclose(found[0], np.c_[w, b], rtol=1e-9)


@both
@pytest.mark.parametrize("layout", [np.array, sp.csr_array])
def test_slices_are_an_epoch_and_a_warm_start_goes_on(solver, layout):
    at_once = model_of(solver).fit(layout(X), y)
    sliced = model_of(solver)
    for _ in range(4):
        for start in range(0, N, 10):
            sliced = pickle.loads(
                pickle.dumps(sliced.partial_fit(layout(X[start : start + 10]), y[start : start + 10]))
            )
    assert_allclose(theta(sliced), theta(at_once), rtol=1e-10)
    warm = model_of(solver, max_iter=1, warm_start=True)
    for _ in range(4):
        warm.fit(layout(X), y)
    assert_allclose(theta(warm), theta(at_once), rtol=1e-10)
    for name in ("progressive_loss", "n_updates", "learning_rate"):
        assert_allclose(warm.history_[name], at_once.history_[name], rtol=1e-10)


@both
def test_a_copy_goes_on_to_the_same_digits(solver):
    model = model_of(solver).fit(X.astype(np.float32), y)
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(theta(copy.partial_fit(X, y)), theta(model.partial_fit(X, y)))
    assert copy.coef_.dtype == np.float32


@both
def test_float32_follows_float64(solver):
    parameters = {"max_iter": 100, "batch_size": 1, "eta0": 0.01}
    exact, found = (model_of(solver, **parameters).fit(X.astype(kind), y) for kind in (np.float64, np.float32))
    assert_allclose(theta(found), theta(exact), atol=2e-5)


@both
def test_another_interpolation_or_solver_on_the_way_goes_on_from_the_model(solver):
    """``y`` is made anew of ``x`` and ``z``, which are what there is to remember."""
    name = "momentum" if solver == "schedule_free_sgd" else "beta_1"
    model = model_of(solver, eta0=1e-12).fit(X, y)
    for change in ({name: 0.5}, {"solver": "sgd"}, {"solver": solver}):
        before = theta(model)
        assert_allclose(theta(model.set_params(**change).partial_fit(X, y)), before, atol=1e-9)


@both
def test_all_that_is_evaluated_is_the_average(solver):
    held_out = np.random.default_rng(2).standard_normal((20, D))
    model = model_of(solver, evaluate_every=1, early_stopping=True, tol=0.0, n_iter_no_change=2, max_iter=60, eta0=0.5)
    model.fit(X, y, X_val=held_out, y_val=held_out @ [1.0, -2.0, 0.5, 0.0] + 0.3)
    best, scores = int(np.argmax(model.history_["validation_score"])), model.history_["validation_score"]
    assert_allclose(model.score(held_out, held_out @ [1.0, -2.0, 0.5, 0.0] + 0.3), scores[best], rtol=1e-12)
    again = model_of(solver, evaluate_every=1, max_iter=best + 1, eta0=0.5).fit(X, y)
    assert_array_equal(theta(again), theta(model))
    loss = 0.5 * np.mean((again.predict(X) - y) ** 2)
    assert_allclose(again.history_["train_loss"][-1], loss, rtol=1e-12)
    assert_allclose(again.history_["objective"][-1], loss + 0.005 * np.sum(again.coef_**2), rtol=1e-12)
    assert_allclose(again.history_["distance_from_init"][-1], np.linalg.norm(theta(again)), rtol=1e-12)


def test_a_divergence_keeps_the_average_of_before():
    model = model_of("schedule_free_sgd", penalty=None)
    before = theta(model.fit(X, y))
    with pytest.warns(match="Diverged"):
        model.set_params(eta0=1e300).partial_fit(X, y)
    assert model.status_ == "diverged"
    assert_allclose(theta(model), before, rtol=1e-14)


@pytest.mark.parametrize(("solver", "like"), [("schedule_free_sgd", "sgd"), ("schedule_free_adamw", "adamw")])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_the_average_is_below_the_noise_of_a_constant_rate(solver, like, batch_size):
    """Which is what others have a schedule for."""
    noisy, least = y + np.random.default_rng(1).standard_normal(N), {}
    for name in (solver, like):
        parameters = {"batch_size": batch_size, "max_iter": 400, "eta0": 0.2, "shuffle": True, "penalty": None}
        model = model_of(name, **parameters).fit(X, noisy)
        least[name] = np.mean((model.predict(X) - noisy) ** 2)
    best = np.mean((LinearRegression().fit(X, noisy).predict(X) - noisy) ** 2)
    assert least[solver] - best < 0.1 * (least[like] - best)


@both
@pytest.mark.parametrize("estimator", [MiniBatchSGDClassifier, MiniBatchSGDRegressor])
def test_what_does_not_go_with_them(estimator, solver):
    name = "momentum" if solver == "schedule_free_sgd" else "beta_1"
    with pytest.raises(ValueError, match=f"{name} must be > 0 with solver='{solver}'.* got {name}=0"):
        estimator(solver=solver, **{name: 0}).fit(X, y > 0)
    with pytest.raises(ValueError, match=f"average=10 does not go with solver='{solver}'.* leave average out"):
        estimator(solver=solver, average=10).fit(X, y > 0)
