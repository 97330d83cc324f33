"""The loops of ``learning_rate="auto"`` after many updates, when rates and their sums are not those of now."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from minibatch._problems.pieces import Threads
from minibatch.engine.dual_averaging import brings_up, next_bring_up, next_look
from references.dual_averaging import dual_averaging
from references.dual_averaging_paths import (
    DENSE,
    PARAMETER,
    PATHS,
    SCALES,
    SINGLE_ROWS,
    SPARSE,
    START,
    N,
    assert_same,
    distances_of,
    problem_of,
    reference,
    targets,
    train,
)


def few_heavy_rows(n):
    weights = np.ones(n)
    weights[[300, 511, 701, 1100, 1101, 1234, 1375]] = 200.0 * np.arange(1, 8)
    return weights


def heavier_rows_from_here_on(n):
    """None of which alone has much of the sum of squares."""
    return np.where(np.arange(n) < 1100, 1.0, 3.0)


@pytest.mark.parametrize("differ", [False, True])
@pytest.mark.parametrize("n_outputs", [1, 5])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize(
    ("method", "l1"),
    [
        ("_four_rows", 0.0),
        *itertools.product(["_one_row", "_sparse_rows", "_sparse_batches", "_gradient_batches"], [0.0, 0.01]),
    ],
)
def test_many_updates_of_single_rows(method, l1, loss, n_outputs, differ):
    """Looks are far between, four rows are a pass, sums and rates are carried from call to call, and brought up before
    every fourth update, then every sixteenth, then every 64th."""
    y, X = targets(loss, n_outputs), SPARSE if method.startswith("_sparse") else DENSE
    problem = problem_of(X, y, loss, SCALES[differ], l1=l1, l2=0.3)
    found = train(problem, method, 1, epochs=190)
    expected = reference(problem, y, loss, SCALES[differ], batch_size=1, l1=l1, l2=0.3, epochs=190)
    assert_same(found, expected, 1e-9)


@pytest.mark.parametrize(
    ("method", "X"),
    [("_softmax_rows", DENSE), *[(method, X) for method, (X, *_) in PATHS.items() if method != "_four_rows"]],
)
def test_many_updates_of_a_softmax(method, X):
    y, size = targets("softmax", 3), 1 if method in SINGLE_ROWS else 5
    problem = problem_of(X, y, "softmax", SCALES[True], l2=0.3, n_outputs=3)
    found = train(problem, method, size, epochs=220)
    assert_same(found, reference(problem, y, "softmax", SCALES[True], batch_size=size, l2=0.3, epochs=220), 1e-9)


@pytest.mark.parametrize("n_outputs", [1, 5])
@pytest.mark.parametrize(
    ("method", "X"), [("_sparse_batches", SPARSE), ("_gradient_batches", DENSE), ("_large_batches", DENSE)]
)
def test_many_updates_of_batches(method, X, n_outputs):
    """The last of 3 rows."""
    y = targets("log_loss", n_outputs)
    problem = problem_of(X, y, "log_loss", SCALES[True], l1=0.01, l2=0.3)
    found = train(problem, method, 5, epochs=220)
    expected = reference(problem, y, "log_loss", SCALES[True], batch_size=5, l1=0.01, l2=0.3, epochs=220)
    assert_same(found, expected, 1e-9)


@numba.njit
def bring_ups(n):
    """Of the first ``n`` updates, whether sums are brought up before them; when they are next, and when looks are."""
    found = np.empty((n, 3), np.int64)
    for t in range(n):
        found[t, 0], found[t, 1], found[t, 2] = brings_up(t), next_bring_up(t), next_look(t)
    return found


def test_when_sums_are_brought_up():
    """Powers of four of updates apart, a 256th to a 64th of those so far where these are many; always where the
    distance is looked at."""
    is_due, bring_up, look = bring_ups(70_000).T
    due = np.flatnonzero(is_due)
    steps, after = np.diff(due), due[1:]
    assert_array_equal(bring_up[: due[-1]], np.repeat(after, steps))
    assert_array_equal(steps[after <= 256], 1)
    assert set(steps) == {1, 4, 16, 64, 256, 1024}
    assert (256 * steps > due[:-1]).all()
    assert (64 * steps <= due[:-1])[after > 256].all()
    assert (bring_up <= look).all()


@pytest.mark.parametrize("weights_of_rows", [few_heavy_rows, heavier_rows_from_here_on])
@pytest.mark.parametrize("differ", [False, True])
@pytest.mark.parametrize(
    ("method", "loss", "n_outputs"),
    [
        ("_four_rows", "log_loss", 1),
        ("_four_rows", "log_loss", 5),
        ("_four_rows", "hinge", 2),
        ("_softmax_rows", "softmax", 3),
        *[
            (method, "log_loss", n_outputs)
            for method in ("_one_row", "_sparse_rows", "_sparse_batches", "_gradient_batches")
            for n_outputs in (1, 5)
        ],
    ],
)
def test_gradients_that_outgrow_a_rate_bring_it_up_at_once(method, loss, n_outputs, differ, weights_of_rows):
    """At any place among four rows, when the rate is brought up before every fourth update and every sixteenth."""
    n, scales = 60 * N, SCALES[differ]
    rows, y, weight = np.tile(DENSE, (60, 1)), targets(loss, n_outputs, n), weights_of_rows(n)
    X = sp.csr_array(rows) if method.startswith("_sparse") else rows
    problem = problem_of(X, y, loss, scales, l2=0.3, weight=weight, n_outputs=n_outputs)
    options = {
        "batch_size": 1, "scales": scales, "distances": distances_of(problem), "parameter": PARAMETER, "l2": 0.3,
        "weights": weight, "theta": START[:, :n_outputs],
    }  # fmt: skip
    found, expected = train(problem, method, 1, epochs=1), dual_averaging(rows, y, loss, **options)
    assert_same(found, expected, 1e-9)
    assert np.abs(dual_averaging(rows, y, loss, **options, growth=1e9)[0] - expected[0]).max() > 1e-4


@pytest.mark.parametrize("n_outputs", [1, 5])
@pytest.mark.parametrize("method", ["_four_rows", "_one_row", "_sparse_rows", "_sparse_batches", "_gradient_batches"])
def test_the_first_gradient_of_all_has_a_rate_at_once(method, n_outputs):
    """However late it comes: rows before it weigh nothing."""
    n, scales = 60 * N, SCALES[False]
    rows, y, weight = (
        np.tile(DENSE, (60, 1)),
        targets("log_loss", n_outputs, n),
        np.where(np.arange(n) < 1030, 0.0, 1.0),
    )
    X = sp.csr_array(rows) if method.startswith("_sparse") else rows
    problem = problem_of(X, y, "log_loss", scales, l2=0.3, weight=weight)
    expected = dual_averaging(
        rows, y, "log_loss", batch_size=1, scales=scales, distances=distances_of(problem), l2=0.3, weights=weight,
        theta=START[:, :n_outputs],
    )  # fmt: skip
    assert_same(train(problem, method, 1, epochs=1), expected, 1e-9)


def test_outputs_whose_gradients_are_large_at_different_times_do_not_wait_for_each_other():
    """Of outputs side by side, some make four updates one by one: the same digits, whoever is beside them."""
    n, n_outputs = 60 * N, 5
    rows, y = np.tile(DENSE, (60, 1)), targets("log_loss", n_outputs, n)
    for weight in (7.0, 8.0, 10.0):
        weights = np.where(np.arange(n) % 97 == 0, weight, 1.0)
        options = {"l2": 0.3, "weight": weights, "n_outputs": n_outputs}
        alone = train(problem_of(rows, y, "log_loss", SCALES[False], **options), "_four_rows", 1)
        with ThreadPoolExecutor(2) as pool:
            problem = problem_of(rows, y, "log_loss", SCALES[False], **options, threads=Threads(3, pool))
            shared = train(problem, "_four_rows", 1)
        for part, other in zip(alone, shared, strict=True):
            assert_array_equal(part, other)
        expected = dual_averaging(
            rows, y, "log_loss", batch_size=1, scales=SCALES[False], distances=distances_of(problem), l2=0.3,
            weights=weights, theta=START[:, :n_outputs], epochs=2,
        )  # fmt: skip
        assert_same(alone, expected, 1e-9)
