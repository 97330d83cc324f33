"""The highest rate that short runs bear: the search for it, and what counts as a rise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibatch.diagnostics._constant_rates import highest_steady, rises

GRIDS = {
    "exponential": np.geomspace(1e-5, 10, 100),
    "linear": np.linspace(1e-5, 10, 100),
    "coarse": np.geomspace(1, 8, 2),
}


@given(st.sampled_from(sorted(GRIDS)), st.integers(0, 99), st.floats(1e-6, 20))
def test_it_is_the_highest_rate_below_the_limit(grid, start, limit):
    rates = GRIDS[grid]
    start = min(start, len(rates) - 1)
    place, tried = highest_steady(rates, start, lambda rate: np.array([False, rate > limit]))
    below = np.flatnonzero(rates[: start + 1] <= limit)
    assert place == (below[-1] if len(below) else -1)
    assert all(np.array_equal(rose, [False, rates[i] > limit]) for i, rose in tried.items())
    # halvings, then the bisection of a factor of two
    assert len(tried) <= 2 + np.log2(rates[-1] / rates[0]) + np.log2(len(rates))


def test_the_first_rate_from_above_that_holds_counts():
    """A run that rises by chance at a low rate changes nothing."""
    rates = np.arange(1.0, 11.0)
    place, tried = highest_steady(rates, 9, lambda rate: np.array([rate > 6 or rate == 2]))
    assert rates[place] == 6.0
    assert 1 not in tried


def test_one_repeat_that_rises_is_enough():
    assert highest_steady(np.array([1.0, 2.0]), 1, lambda rate: np.array([False, False, rate > 1]))[0] == 0
    assert highest_steady(np.array([1.0, 2.0]), 1, lambda rate: np.array([False, True]))[0] == -1


FALLING = 1 + 9 * np.exp(-np.arange(100) / 10)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (FALLING, False),
        (FALLING + np.where(np.arange(100) == 90, 100.0, 0.0), False),  # once
        (FALLING + 0.5 * np.sin(np.arange(100)), False),  # noise
        (FALLING + 1e-6 * 1.2 ** np.arange(100), True),  # what is steep grows out of nothing
        (np.where(np.arange(100) < 50, FALLING, np.nan), True),  # stopped
        (np.full(100, 6.0), True),  # less than half of the fall
        (np.full(100, 5.0), False),
        (FALLING + 10, True),
    ],
)
def test_what_a_rise_is(losses, expected):
    assert rises(10.0, losses, fall=9.0) == expected
    assert rises(10.0 - 30.0, losses - 30.0, fall=9.0) == expected  # of a loss that is negative, as well


def test_a_fall_too_small_to_be_seen_is_no_measure_of_a_climb():
    flat = 10 + 1e-3 * np.linspace(0, 1, 100)
    assert not rises(10.0 + 1e-3, flat, fall=0.0)
    assert rises(10.0 + 1e-3, 10 + np.linspace(0, 1, 100), fall=0.0)
