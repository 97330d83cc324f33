"""_problems.batching: resolved sizes, sample orders, last batches."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from minibatch import MiniBatchSGDRegressor
from minibatch._base.seeds import seed_of
from minibatch._problems.batching import (
    power_of_two_below_root,
    resolve_batch_size,
    rows_in_batches,
    sample_order,
    sample_orders,
)
from references.orders import order_of_epoch

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


@pytest.mark.parametrize("n", [1, 2, 3, 50, 64, 65, 1000])
def test_an_order_is_that_of_fisher_and_yates(n, monkeypatch):
    monkeypatch.setattr("minibatch._problems.batching.UNIFORMS_AT_ONCE", 64)
    np.testing.assert_array_equal(sample_order(n, True, 5, 2), order_of_epoch(n, 5, 2))


@pytest.mark.compiled
def test_every_order_of_four_is_as_likely_as_any_other():
    """Chi-squared of 24 equal shares, to four standard errors."""
    codes = [int("".join(map(str, sample_order(4, True, seed, 0)))) for seed in range(4800)]
    _, counts = np.unique(codes, return_counts=True)
    assert len(counts) == 24
    assert abs(np.sum((counts - 200) ** 2 / 200) - 23) < 4 * np.sqrt(2 * 23)


class TestBlocks:
    """Blocks of 4 rows, of which 3 are mixed."""

    @pytest.fixture(autouse=True)
    def _small_blocks(self, monkeypatch):
        monkeypatch.setattr("minibatch._problems.batching.BLOCK_ROWS", 4)
        monkeypatch.setattr("minibatch._problems.batching.BLOCKS_AT_ONCE", 3)

    @given(st.integers(1, 200), st.integers(0, 2**31 - 2), st.integers(0, 50))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_an_order_is_a_permutation_that_the_seed_and_the_epoch_decide(self, n, seed, epoch):
        order = sample_order(n, "block", seed, epoch)
        assert order.dtype == np.int64
        assert sorted(order) == list(range(n))
        np.testing.assert_array_equal(order, sample_order(n, "block", seed, epoch))

    def test_rows_are_those_of_three_blocks_at_a_time(self):
        order = sample_order(48, "block", 1, 0)
        for begin in range(0, 48, 12):
            _, counts = np.unique(order[begin : begin + 12] // 4, return_counts=True)
            assert list(counts) == [4, 4, 4]
            assert (np.diff(order[begin : begin + 12]) != 1).any()  # rows of a block apart
        assert not np.array_equal(np.sort(order[:12]), np.arange(12))  # not the first blocks

    def test_of_a_short_last_block_too(self):
        orders = [sample_order(46, "block", seed, 0) for seed in range(50)]
        places = [np.flatnonzero(order >= 44) for order in orders]
        assert all(abs(first - second) < 12 for first, second in places)
        assert len({first // 12 for first, _ in places}) == 4  # anywhere

    @pytest.mark.parametrize("n", [1, 5, 12])
    def test_few_rows_are_shuffled_as_without(self, n):
        np.testing.assert_array_equal(sample_order(n, "block", 3, 1), sample_order(n, True, 3, 1))

    def test_every_place_is_as_likely_for_every_row(self):
        """Chi-squared of row and place, to four standard errors: (20 - 1)² degrees of freedom."""
        table = np.zeros((20, 20))
        for seed in range(2000):
            table[np.arange(20), sample_order(20, "block", seed, 0)] += 1
        assert abs(np.sum((table - 100) ** 2 / 100) - 19**2) < 4 * np.sqrt(2 * 19**2)


class TestReplacement:
    """shuffle="replacement": every place of an epoch has a row of its own drawing."""

    @given(counts, st.integers(0, 2**31 - 2), st.integers(0, 50))
    def test_it_is_a_function_of_seed_and_epoch(self, n, seed, epoch):
        order = sample_order(n, "replacement", seed, epoch)
        assert order.dtype == np.int64
        assert len(order) == n
        assert order.min() >= 0
        assert order.max() < n
        np.testing.assert_array_equal(order, sample_order(n, "replacement", seed, epoch))
        several = sample_orders(n, "replacement", seed, epoch, 3)
        np.testing.assert_array_equal(several, [sample_order(n, "replacement", seed, epoch + i) for i in range(3)])

    @pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 1000])
    def test_rows_are_those_of_the_epochs_stream(self, n, monkeypatch):
        monkeypatch.setattr("minibatch._problems.batching.UNIFORMS_AT_ONCE", 64)
        np.testing.assert_array_equal(
            sample_order(n, "replacement", 5, 2), order_of_epoch(n, 5, 2, shuffle="replacement")
        )

    def test_every_row_is_as_likely_at_every_place(self):
        """Chi-squared of row and place over 2000 epochs, to four standard errors: 10 times 9 degrees of freedom."""
        table = np.zeros((10, 10))
        for order in sample_orders(10, "replacement", 0, 0, 2000):
            table[np.arange(10), order] += 1
        assert abs(np.sum((table - 200) ** 2 / 200) - 90) < 4 * np.sqrt(2 * 90)

    def test_places_are_independent(self):
        """A row comes twice in a pair of places with the probability 1/n; a permutation has no pair."""
        orders = sample_orders(8, "replacement", 1, 0, 4000)
        pairs = np.mean(orders[:, 0] == orders[:, 5])
        assert abs(pairs - 1 / 8) < 4 * np.sqrt(1 / 8 * 7 / 8 / 4000)

    @pytest.mark.parametrize("size", [1, 7, 250])
    def test_a_share_of_one_over_e_of_the_rows_does_not_come(self, size):
        """Each row has a column of its own; the order is the same at every batch size."""
        n = 500
        model = MiniBatchSGDRegressor(
            batch_size=size, shuffle="replacement", penalty=None, fit_intercept=False, learning_rate="constant",
            eta0=1e-3, max_iter=1, tol=None, random_state=0,
        ).fit(np.eye(n), np.ones(n))  # fmt: skip
        drawn = np.bincount(sample_order(n, "replacement", seed_of(0), 0), minlength=n)
        np.testing.assert_array_equal(model.coef_ == 0, drawn == 0)
        assert abs(np.mean(drawn == 0) - np.exp(-1)) < 4 * np.sqrt(np.exp(-1) * (1 - 2 / np.e) / n)

    def test_a_full_batch_has_every_row_once(self):
        X, y = np.eye(20), np.arange(1.0, 21.0)
        fits = [
            MiniBatchSGDRegressor(batch_size=20, shuffle=shuffle, max_iter=2, tol=None, random_state=0).fit(X, y)
            for shuffle in (True, "replacement")
        ]
        np.testing.assert_array_equal(fits[0].coef_, fits[1].coef_)

    def test_batches_have_the_covariance_of_independent_rows(self):
        """One update from 0 moves a weight along the mean target of its batch: its variance over batches is S / B with
        replacement, and (1 - B / n) times n / (n - 1) of that without."""
        n, size, random = 40, 20, np.random.default_rng(0)
        y, X = random.standard_normal(n), np.ones((n, 1))
        common = {"penalty": None, "fit_intercept": False, "learning_rate": "constant", "eta0": 0.1, "tol": None}
        common |= {"batch_size": size, "max_updates": 1}
        variance = {}
        for shuffle in (True, "replacement"):
            moved = [
                MiniBatchSGDRegressor(shuffle=shuffle, random_state=seed, **common).fit(X, y).coef_[0]
                for seed in range(600)
            ]
            variance[shuffle] = np.mean((10 * np.array(moved) - y.mean()) ** 2)
        of_rows = np.var(y)
        error = 4 * np.sqrt(2 / 600)  # of a variance of 600 numbers that are nearly normal
        assert abs(variance["replacement"] / (of_rows / size) - 1) < error
        assert abs(variance[True] / (of_rows / size * (1 - size / n) * n / (n - 1)) - 1) < error


def test_blocks_train_a_model_like_any_order():
    random = np.random.default_rng(0)
    X = random.standard_normal((20_000, 3))
    y = X @ [1.0, 2.0, 3.0] + random.standard_normal(20_000)
    model = MiniBatchSGDRegressor(
        batch_size=32, learning_rate="constant", eta0=0.01, max_iter=2, tol=None, random_state=0
    )
    any_order, blocks = (clone(model).set_params(shuffle=how).fit(X, y).coef_ for how in (True, "block"))
    assert not np.array_equal(blocks, any_order)
    np.testing.assert_allclose(blocks, any_order, atol=0.05)


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
