"""_batching: resolved sizes, sample orders, last batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibatch import MiniBatchSGDRegressor
from minibatch._batching import power_of_two_below_root, resolve_batch_size, rows_in_batches, sample_order

counts = st.integers(1, 1000)


@pytest.mark.parametrize(
    ("batch_size", "expected"),
    [
        (1, 1),
        (40, 40),
        (41, 40),
        (10**9, 40),
        (np.int32(7), 7),
        (0.25, 10),
        (0.001, 1),
        (1.0, 40),
        ("full", 40),
        ("auto", 8),
    ],
)
def test_resolved_size(batch_size, expected):
    found = resolve_batch_size(batch_size, 40, auto=8)
    assert (found, type(found)) == (expected, int)


def test_auto_is_clipped():
    assert resolve_batch_size("auto", 5, auto=8) == 5


@given(st.floats(0, 1, exclude_min=True), counts)
def test_a_fraction_is_rounded_and_never_empty(fraction, n):
    size = resolve_batch_size(fraction, n, auto=8)
    assert 1 <= size <= n
    assert abs(size - fraction * n) <= 0.5 or size == 1


@given(st.integers(1, 10**9))
def test_auto_is_a_power_of_two_up_to_the_root(n):
    size = power_of_two_below_root(n)
    assert size in (8, 16, 32, 64, 128, 256)
    assert size == 8 or size**2 <= n
    assert size == 256 or (2 * size) ** 2 > n


@given(counts, st.integers(0, 2**31 - 2), st.integers(0, 50))
def test_an_order_is_a_permutation_that_the_seed_and_the_epoch_decide(n, seed, epoch):
    order = sample_order(n, True, seed, epoch)
    assert order.dtype == np.int64
    assert sorted(order) == list(range(n))
    assert np.array_equal(order, sample_order(n, True, seed, epoch))


def test_epochs_and_seeds_have_different_orders():
    orders = {tuple(sample_order(20, True, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_no_shuffling_keeps_the_order():
    assert list(sample_order(4, False, 3, 7)) == [0, 1, 2, 3]


@given(counts, counts, st.sampled_from(["keep", "drop"]), st.integers(0, 50) | st.just(np.inf))
def test_rows_in_batches_counts_slices(n, batch_size, last_batch, max_batches):
    sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
    if last_batch == "drop" and sizes[-1] < batch_size:
        sizes.pop()
    sizes = sizes[: int(min(len(sizes), max_batches))]
    assert rows_in_batches(n, batch_size, last_batch, max_batches) == (sum(sizes), len(sizes))


@pytest.mark.parametrize(("last_batch", "n_updates", "n_rows"), [("keep", 4, 10), ("drop", 3, 9)])
def test_a_short_last_batch_is_kept_or_dropped(last_batch, n_updates, n_rows):
    X = np.arange(10.0).reshape(-1, 1) / 10
    model = MiniBatchSGDRegressor(batch_size=3, last_batch=last_batch, shuffle=False, max_iter=1, tol=None).fit(
        X, X[:, 0]
    )
    assert (model.n_updates_, model.history_["n_samples_seen"][0]) == (n_updates, n_rows)


def test_orders_are_the_same_for_every_batch_size():
    """Each row is a column of its own here, so that the weights tell which row was dropped."""
    X = np.eye(11)
    kept = {}
    for batch_size in (2, 5):
        model = MiniBatchSGDRegressor(
            "absolute_error", penalty=None, fit_intercept=False, batch_size=batch_size, last_batch="drop", max_iter=1,
            tol=None, learning_rate="constant", eta0=0.1, random_state=5,
        ).fit(X, np.ones(11))  # fmt: skip
        kept[batch_size] = np.flatnonzero(model.coef_ == 0)
    assert np.array_equal(kept[2], kept[5])
    assert len(kept[2]) == 1
