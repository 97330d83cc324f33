"""neural_network: what must make no difference, such as sparse rows or class weights written as sample weights."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils import compute_sample_weight

from minibatch.engine.optimizers import SOLVERS
from references.network_tasks import (
    TASKS,
    D,
    N,
    X,
    assert_same_net,
    changed,
    every_task,
    fitted,
    forward_of,
    model_of,
    start_of,
    theta,
    three,
    two,
    weight,
    y,
)

# ---------------------------------------------------------------------- what must make no difference

few = settings(max_examples=settings.default.max_examples // 3)
BATCHES = st.sampled_from([1, 3, 7, "full"])
TASK = st.sampled_from(sorted(TASKS))
SOLVER = st.sampled_from(["sgd", "momentum", "adam"])


@few
@given(TASK, SOLVER, BATCHES, st.integers(0, 99))
def test_dense_and_sparse_rows(task, solver, batch_size, seed):
    random = np.random.default_rng(seed)
    holes = np.where(random.random((N, D)) < 0.5, X, 0.0)
    rows = sp.csr_array(holes)
    order = np.concatenate([random.permutation(np.arange(*rows.indptr[i : i + 2])) for i in range(N)]).astype(int)
    unsorted = sp.csr_array((rows.data[order], rows.indices[order], rows.indptr), shape=rows.shape)
    parameters = {"solver": solver, "batch_size": batch_size, "shuffle": True, "learning_rate_init": 0.02}
    dense, *sparse = (fitted(task, same, **parameters) for same in (holes, rows, unsorted))
    for model in sparse:
        assert_same_net(model, dense, rtol=1e-8, atol=1e-10)
        assert_allclose(forward_of(model, unsorted), forward_of(dense, holes), rtol=1e-8, atol=1e-10)


@few
@given(TASK, SOLVER, BATCHES, st.booleans())
def test_float32_stays_float32(task, solver, batch_size, sparse):
    rows = X.astype(np.float32)
    rows = sp.csr_array(rows) if sparse else rows
    parameters = {"solver": solver, "batch_size": batch_size, "learning_rate_init": 0.02}
    model = fitted(task, rows, **parameters)
    assert {part.dtype for part in (*model.coefs_, *model.intercepts_)} == {np.dtype(np.float32)}
    assert_same_net(model, fitted(task, **parameters), rtol=1e-3, atol=1e-4)
    model.partial_fit(X, TASKS[task][2])
    assert model.coefs_[0].dtype == np.float32


@few
@given(TASK, SOLVER, st.integers(0, 99))
def test_weights_are_repetitions_on_a_full_batch(task, solver, seed):
    times = np.random.default_rng(seed).integers(1, 4, N)
    parameters = {"solver": solver, "batch_size": "full", "alpha": 0.01, "learning_rate_init": 0.02, "max_iter": 10}
    repeated = model_of(task, **parameters).fit(np.repeat(X, times, axis=0), np.repeat(TASKS[task][2], times, axis=0))
    assert_same_net(fitted(task, sample_weight=times, **parameters), repeated, rtol=1e-7, atol=1e-9)


@few
@given(TASK, SOLVER, st.integers(0, 99))
def test_a_row_without_weight_is_not_there(task, solver, seed):
    kept = np.random.default_rng(seed).random(N) < 0.7
    kept[np.unique(three, return_index=True)[1]] = kept[np.unique(two, return_index=True)[1]] = True
    rows, parameters = np.where(kept[:, None], X, 1e3), {"solver": solver, "batch_size": "full", "max_iter": 10}
    weighted = fitted(task, rows, sample_weight=kept.astype(float), **parameters, learning_rate_init=0.02)
    without = model_of(task, **parameters, learning_rate_init=0.02).fit(X[kept], TASKS[task][2][kept])
    assert_same_net(weighted, without, rtol=1e-7, atol=1e-9)


@few
@given(TASK, st.sampled_from(["sgd", "momentum", "nesterov"]), st.permutations(range(N)))
def test_the_order_of_the_rows_of_a_full_batch(task, solver, order):
    parameters = {"solver": solver, "batch_size": "full", "learning_rate_init": 0.05, "max_iter": 20}
    permuted = model_of(task, **parameters).fit(X[order], TASKS[task][2][order])
    assert_same_net(fitted(task, **parameters), permuted, rtol=1e-8, atol=1e-8)


@few
@given(TASK, st.sampled_from([*SOLVERS]), st.integers(1, 23), st.integers(0, 2))
def test_partial_fits_over_slices_are_an_epoch(task, solver, batch_size, batches_a_call):
    """One batch a call, or several and what is left."""
    parameters = {"solver": solver, "batch_size": batch_size, "max_iter": 1, "momentum": 0.9, "alpha": 0.05}
    parameters |= {"learning_rate_init": 0.02}
    model, whole, size = model_of(task, **parameters), model_of(task, **parameters), batch_size * (1 + batches_a_call)
    target = TASKS[task][2]
    if task == "poisson":  # which begins at the mean of the first chunk: all others as one
        for rows in filter(len, (np.arange(N)[:size], np.arange(N)[size:])):
            whole.partial_fit(X[rows], target[rows])
    else:
        whole.fit(X, target)
    names = np.arange(3) if task == "labels" else np.unique(target)
    classes = {"classes": names} if hasattr(whole, "classes_") else {}
    for start in range(0, N, size):
        model.partial_fit(X[start : start + size], target[start : start + size], **classes)
    assert_same_net(model, whole, rtol=1e-10)
    assert (model.n_updates_, model.t_) == (whole.n_updates_, whole.t_)


@every_task
def test_all_names_of_the_full_batch(task):
    parameters = {"solver": "adam", "shuffle": True}
    found = [fitted(task, batch_size=size, **parameters) for size in ("full", 1.0, N, 10 * N, "auto")]
    for model in found:
        assert_array_equal(theta(model), theta(found[0]))
        assert (model.batch_size_, model.n_updates_) == (N, 3)


def test_batch_sizes_are_resolved_on_the_rows_trained_on():
    tall, target = np.tile(X, (20, 1)), np.tile(y, 20)
    sizes = {"auto": 200, 0.25: 120, 70: 70, 1000: 480}
    found = {size: model_of("regression", batch_size=size).fit(tall, target).batch_size_ for size in sizes}
    assert found == sizes
    half = model_of("regression", batch_size=0.5, early_stopping=True, validation_fraction=0.25).fit(X, y)
    assert half.batch_size_ == 9


@pytest.mark.parametrize("parameters", [{}, {"dropout": 0.4}, {"batch_normalization": True}, {"solver": "lbfgs"}])
def test_the_seed_decides(parameters):
    parameters = {"batch_size": 5, "shuffle": True, **parameters}
    found = [theta(fitted("regression", random_state=seed, **parameters)) for seed in (1, 1, 2)]
    assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])


def test_shuffling_changes_the_order_but_not_the_first_parameters():
    models = [fitted("regression", batch_size=5, shuffle=flag) for flag in (True, False)]
    assert changed(*models)
    assert_same_net(*(start_of("regression", shuffle=flag) for flag in (True, False)))


# ---------------------------------------------------------------------- class weights


@pytest.mark.parametrize(
    ("task", "class_weight"),
    [
        ("binary", {"yes": 3.0}),
        ("classes", {"low": 0.5, "top": 4.0}),
        ("labels", [{0: 1.0, 1: 3.0}, {0: 2.0, 1: 0.5}, {0: 1.0, 1: 1.0}]),
        *((task, "balanced") for task in ("binary", "classes", "labels")),
    ],
)
def test_class_weights_are_sample_weights(task, class_weight):
    target = TASKS[task][2]
    by_class = compute_sample_weight(class_weight, target)
    model = fitted(task, sample_weight=weight, class_weight=class_weight, batch_size=5)
    assert_same_net(model, fitted(task, sample_weight=weight * by_class, batch_size=5), rtol=1e-11)
    assert changed(model, fitted(task, sample_weight=weight, batch_size=5))
    if class_weight != "balanced":
        chunk = fitted(task, class_weight=class_weight).partial_fit(X, target)
        same = fitted(task, sample_weight=by_class).partial_fit(X, target, by_class)
        assert_same_net(chunk, same, rtol=1e-11)
