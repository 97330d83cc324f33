"""neural_network: batch normalization against a slow network in NumPy, and its running statistics."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax

from references.network import forward, gradient, mean_loss, moments, net_of, penalty
from references.network_tasks import (
    TASKS,
    N,
    X,
    X_new,
    assert_same_net,
    changed,
    every_task,
    fitted,
    model_of,
    reference,
    start_of,
    theta,
    three,
    weight,
    y,
)


@every_task
@pytest.mark.parametrize("normalization", [True, "input"])
def test_a_full_batch_step_with_batch_normalization(task, normalization):
    """The gradient of the plain objective in which means and variances are functions of the weights."""
    parameters = {"batch_normalization": normalization}
    model = fitted(task, sample_weight=weight, batch_size="full", max_iter=1, alpha=0.05, **parameters)
    start = start_of(task, sample_weight=weight, **parameters)
    start = start._replace(
        means=[np.zeros_like(part) for part in start.means], variances=[np.ones_like(part) for part in start.variances]
    )
    assert all((scale == 1).all() for scale in start.scales)
    *_, loss, target = TASKS[task]
    slopes = gradient(start, X, target, loss, "tanh", weight / weight.mean(), True)
    n = len(start.coefs)
    penalties = [0.05 * W for W in start.coefs] + [0.0] * (len(slopes) - n)
    expected = [part - 0.1 * (g + p) for part, g, p in zip(start.trained, slopes, penalties, strict=True)]
    assert_allclose(theta(net_of(model).with_trained(expected)), theta(model), rtol=1e-9, atol=1e-12)
    # after one batch of all rows the running statistics are its own
    _, raw = forward(start, X, "tanh", True, weight)
    for mean, variance, z in zip(model.running_means_, model.running_variances_, raw, strict=True):
        expected_mean, expected_variance = moments(z, weight)
        assert_allclose(mean, expected_mean, atol=1e-12)
        assert_allclose(variance, expected_variance, rtol=1e-10)


@every_task
def test_the_distance_from_the_beginning_is_that_of_what_is_trained(task):
    """Not of running statistics, which move by the units of X."""
    model = fitted(task, batch_normalization=True, batch_size=16, max_iter=3, evaluate_every=1)
    moved = [
        (after - before).ravel()
        for after, before in zip(net_of(model).trained, start_of(task, batch_normalization=True).trained, strict=True)
    ]
    assert_allclose(model.history_["distance_from_init"][-1], np.linalg.norm(np.concatenate(moved)), rtol=1e-9)


# In batches of 2, some have two rows with weight, some one, some none.
HOLES = np.tile([2.0, 1.0, 3.0, 0.0, 0.0, 0.0, 0.5, 1.0], 3)


@pytest.mark.parametrize("normalization", [True, "input"])
@pytest.mark.parametrize(
    ("solver", "batch_size", "last_batch"), [("sgd", 5, "keep"), ("adam", 7, "drop"), ("sgd", 2, "keep")]
)
@pytest.mark.parametrize("weights", [None, weight, HOLES], ids=["unweighted", "weighted", "holes"])
@pytest.mark.parametrize("task", ["classes", "regression"])
def test_batch_normalization_step_by_step(task, solver, batch_size, last_batch, weights, normalization):
    """Trained and running parameters; over more than ten batches, where the weight of a new one becomes constant."""
    parameters = {"batch_size": batch_size, "last_batch": last_batch, "batch_normalization": normalization}
    parameters |= {"solver": solver, "alpha": 0.05, "epsilon": 1e-4}
    model = fitted(task, sample_weight=weights, max_iter=4, learning_rate_init=0.05, **parameters)
    expected = reference(task, weights=weights, epochs=4, etas=0.05, **parameters)
    assert_same_net(model, expected, rtol=1e-7, atol=1e-9)
    assert changed(model, start_of(task, batch_normalization=normalization))
    scores, _ = forward(expected, X_new, "tanh")
    if task == "classes":
        assert_allclose(model.predict_proba(X_new), softmax(scores, axis=1), rtol=1e-6)
    else:
        assert_allclose(model.predict(X_new), scores[:, 0], rtol=1e-6)


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_batch_normalization_of_float32(layout):
    parameters = {"batch_normalization": True, "batch_size": 8, "learning_rate_init": 0.02, "sample_weight": weight}
    model = fitted("classes", layout(X.astype(np.float32)), **parameters)
    parts = (model.coefs_, model.intercepts_, model.scales_, model.running_means_, model.running_variances_)
    assert {part.dtype for layer in parts for part in layer} == {np.dtype(np.float32)}
    assert_same_net(model, fitted("classes", layout(X), **parameters), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("normalization", [True, "input"])
def test_partial_fits_with_batch_normalization_are_an_epoch(normalization):
    parameters = {"batch_normalization": normalization, "batch_size": 6, "solver": "adam", "max_iter": 1}
    model = model_of("classes", **parameters)
    for start in range(0, N, 6):
        model.partial_fit(X[start : start + 6], three[start : start + 6], classes=np.unique(three))
        model = pickle.loads(pickle.dumps(model))
    assert_same_net(model, fitted("classes", **parameters), rtol=1e-11)


NORMALIZATIONS = pytest.mark.parametrize("normalization", [True, "input"])


@every_task
@NORMALIZATIONS
def test_weights_are_repetitions_with_batch_normalization(task, normalization):
    """In full batches; running statistics, and so predictions, too. Only their ratios count."""
    times = np.random.default_rng(1).integers(0, 4, N)
    times[[np.flatnonzero(three == name)[0] for name in np.unique(three)]] = 1
    far = np.where(times[:, None] == 0, X + 1e3, X)
    parameters = {"batch_normalization": normalization, "batch_size": "full", "solver": "momentum", "max_iter": 10}
    target = TASKS[task][2]
    repeated = model_of(task, **parameters).fit(np.repeat(X, times, axis=0), np.repeat(target, times, axis=0))
    for weights in (times, 1e200 * times):
        assert_same_net(fitted(task, far, sample_weight=weights, **parameters), repeated, rtol=1e-7, atol=1e-9)
    assert changed(repeated, fitted(task, **parameters))


@NORMALIZATIONS
@pytest.mark.parametrize("batch_size", [2, 5, "full"])
def test_equal_weights_are_none(batch_size, normalization):
    parameters = {"batch_normalization": normalization, "batch_size": batch_size, "solver": "adam"}
    expected = fitted("classes", **parameters)
    assert_same_net(fitted("classes", sample_weight=np.full(N, 3.0), **parameters), expected, rtol=1e-9)


@NORMALIZATIONS
def test_class_weights_are_sample_weights_with_batch_normalization(normalization):
    parameters = {"batch_normalization": normalization, "batch_size": 5}
    model = fitted("classes", class_weight={"low": 0.0, "top": 4.0}, sample_weight=weight, **parameters)
    of_class = np.select([three == "low", three == "top"], [0.0, 4.0], 1.0)
    assert_same_net(model, fitted("classes", sample_weight=weight * of_class, **parameters), rtol=1e-11)


@NORMALIZATIONS
def test_rows_without_weight_do_not_count_in_chunks(normalization):
    """Nor does a chunk that has none, or one row: it is predicted by what is known, and teaches nothing of means."""
    model, far = model_of("regression", batch_normalization=normalization), X.copy()
    far[3:] = 1e3
    model.partial_fit(far, y, np.r_[2.0, 1.0, 1.0, np.zeros(N - 3)])
    own = X[:3] if normalization == "input" else X[:3] @ start_of("regression", batch_normalization=True).coefs[0]
    found = model.running_means_[-1 if normalization == "input" else 0]
    assert_allclose(found, np.average(own, axis=0, weights=[2, 1, 1]))
    before = [part.copy() for part in (*model.running_means_, *model.running_variances_)]
    model.partial_fit(far, y, np.r_[1.0, np.zeros(N - 1)])
    for old, new in zip(before, (*model.running_means_, *model.running_variances_), strict=True):
        assert_array_equal(old, new)
    assert np.isfinite(theta(model)).all()


def test_weights_of_a_single_row_are_refused():
    with pytest.raises(ValueError, match=r"two rows or more, but the weights leave one of a single row.*positive"):
        fitted("regression", sample_weight=np.eye(N)[3], batch_normalization=True)


def test_batch_normalization_forgotten():
    """A fit without it leaves nothing of it behind."""
    model = fitted("regression", batch_normalization=True).set_params(batch_normalization=False).fit(X, y)
    assert_array_equal(theta(model), theta(fitted("regression")))
    assert model.scales_ == model.running_means_ == model.running_variances_ == []


def test_records_with_batch_normalization_use_the_running_statistics():
    *_, loss, target = TASKS["classes"]
    model = fitted("classes", batch_normalization=True, batch_size=5, evaluate_every=1, alpha=0.05)
    value = mean_loss(net_of(model), X, target, loss, "tanh")
    assert_allclose(model.history_["train_loss"][-1], value, rtol=1e-10)
    assert_allclose(model.history_["objective"][-1], value + penalty(net_of(model), 0.05), rtol=1e-10)


# ---------------------------------------------------------------------- chunks of a batch


@NORMALIZATIONS
@pytest.mark.parametrize("weights", [None, weight, HOLES], ids=["unweighted", "weighted", "holes"])
@pytest.mark.parametrize(
    ("solver", "batch_size", "ghost_batch_size"),
    [("sgd", 10, 4), ("adam", 7, 3), ("sgd", 9, 2), ("sgd", "full", 5), ("sgd", "full", 23)],
)
def test_chunks_step_by_step(solver, batch_size, ghost_batch_size, weights, normalization):
    """Short last chunks, and single rows that go with the chunk before; of a full batch too."""
    parameters = {"batch_normalization": normalization, "ghost_batch_size": ghost_batch_size, "solver": solver}
    parameters |= {"alpha": 0.05, "epsilon": 1e-4}
    model = fitted(
        "classes", sample_weight=weights, max_iter=4, learning_rate_init=0.05, batch_size=batch_size, **parameters
    )
    rows = N if batch_size == "full" else batch_size
    expected = reference("classes", weights=weights, epochs=4, etas=0.05, batch_size=rows, **parameters)
    assert_same_net(model, expected, rtol=1e-7, atol=1e-9)
    whole = {**parameters, "ghost_batch_size": None}
    if ghost_batch_size < 23:
        assert changed(model, fitted("classes", sample_weight=weights, max_iter=4, batch_size=batch_size, **whole))


@NORMALIZATIONS
@every_task
@pytest.mark.parametrize(("batch_size", "ghost_batch_size"), [(8, 8), (8, 100), ("full", N), ("full", 10**30)])
def test_one_chunk_is_the_batch(task, batch_size, ghost_batch_size, normalization):
    """To the last digit; also where one is as large as all batches, and rows are shuffled."""
    parameters = {"batch_normalization": normalization, "batch_size": batch_size, "shuffle": True}
    chunk = fitted(task, ghost_batch_size=ghost_batch_size, **parameters)
    assert_array_equal(theta(chunk), theta(fitted(task, **parameters)))


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_a_batch_steps_by_the_mean_of_its_chunks(layout):
    """Batches of 1, 2, 3 and 4 chunks have one objective: gradients of the chunks of 6 rows, and running statistics."""
    parameters = {"batch_normalization": True, "ghost_batch_size": 6, "max_updates": 1, "alpha": 0.05}
    start, rows = theta(start_of("regression", batch_normalization=True)), layout(X)
    n_trained = len(start) - 2 * 7
    single = []
    for first in range(0, N, 6):
        order = np.r_[first:N, 0:first]
        model = model_of("regression", batch_size=6, **parameters).fit(rows[order], y[order])
        single.append(theta(model))
    for n_chunks in (2, 3):
        found = theta(model_of("regression", batch_size=6 * n_chunks, **parameters).fit(rows, y))
        assert_allclose(found, np.mean(single[:n_chunks], axis=0), atol=1e-12)
    found = theta(model_of("regression", batch_size="full", shuffle=False, **parameters).fit(rows, y))
    assert_allclose(found, np.mean(single, axis=0), atol=1e-12)
    assert np.abs(found - start)[:n_trained].max() > 1e-3


def test_rows_of_a_full_batch_are_shuffled_into_chunks():
    """Else sorted rows would only ever be normalized among their like."""
    parameters = {"batch_normalization": True, "batch_size": "full"}
    for more, depends in (({}, False), ({"ghost_batch_size": 6}, True)):
        shuffled, sorted_ = (fitted("regression", shuffle=s, **parameters, **more) for s in (True, False))
        assert changed(shuffled, sorted_) == depends
        assert_array_equal(theta(shuffled), theta(fitted("regression", shuffle=True, **parameters, **more)))


def test_chunks_of_float32():
    parameters = {"batch_normalization": "input", "batch_size": 10, "ghost_batch_size": 4, "sample_weight": weight}
    model = fitted("classes", X.astype(np.float32), **parameters)
    assert {part.dtype for part in (*model.coefs_, *model.scales_, *model.running_means_)} == {np.dtype(np.float32)}
    assert_same_net(model, fitted("classes", X, **parameters), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("average", [False, "ema"])
def test_a_fit_with_chunks_goes_on(average):
    parameters = {"batch_normalization": True, "batch_size": 10, "ghost_batch_size": 5, "last_batch": "drop"}
    parameters |= {"solver": "adam", "shuffle": True, "average": average}
    once = fitted("classes", max_iter=5, warm_start=True, **parameters)
    once = pickle.loads(pickle.dumps(once)).fit(X, three)
    assert_same_net(once, fitted("classes", max_iter=10, **parameters), rtol=1e-11)


def test_partial_fits_with_chunks_are_an_epoch():
    parameters = {"batch_normalization": True, "batch_size": 8, "ghost_batch_size": 4, "max_iter": 1}
    model = model_of("classes", **parameters)
    for start in range(0, N, 8):
        model.partial_fit(X[start : start + 8], three[start : start + 8], classes=np.unique(three))
    assert_same_net(model, fitted("classes", **parameters), rtol=1e-11)


def test_without_batch_normalization_there_are_no_chunks():
    assert_array_equal(theta(fitted("classes", ghost_batch_size=2)), theta(fitted("classes")))


def test_a_fit_begins_with_statistics_of_all_rows_whatever_the_chunks():
    """By which its end is judged: rows that are sorted do not lie in chunks there."""
    order = np.argsort(y)
    problems = []
    for size in (None, 2):
        model = model_of("regression", batch_normalization=True, ghost_batch_size=size)
        problem = model._new_problem(X[order], y[order], None)
        problems.append(problem.with_statistics(problem.new_state(np.ones(problem.n_parameters), False).theta))
    assert_array_equal(*problems)
