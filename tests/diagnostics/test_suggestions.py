"""Learning rates read off curves of known shape."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minibatch.diagnostics._suggestions import NAMES, median_curve, smoothed, suggest

RATES = np.geomspace(1e-5, 10, 121)  # 20 rates a decade


def found_in(losses, first=1.0):
    return suggest(RATES, np.asarray(losses), first, 2.0)


def falling(center=1e-2):
    """From 1 to 0, fastest at ``center``."""
    return 1 / (1 + (RATES / center) ** 2)


def rising(at=1.0):
    return np.where(RATES > at, 30 * np.log10(np.maximum(RATES / at, 1)), 0)


def test_they_are_near_where_they_should_be():
    found, missing = found_in(falling() + rising())
    assert not missing
    update = RATES[1] / RATES[0]
    assert 1e-2 < found["steepest"] < 1e-2 * update**3  # the average is late
    assert 0.08 < found["minimum/10"] < 0.13
    assert found["stable_max"] == pytest.approx(1.0)
    assert found["valley"] == pytest.approx(10**-1.5, rel=0.3)  # from 1e-3, a hundredth of the fall, to 1


def test_they_do_not_change_with_a_constant_added_to_the_loss():
    losses = falling() + rising()
    # at -1, |first loss| is the same: what counts as a visible fall is a share of it
    assert found_in(losses - 2, first=-1.0)[0] == pytest.approx(found_in(losses)[0])


def test_the_valley_does_not_move_with_a_lower_min_rate():
    losses = falling() + rising()
    lower = np.geomspace(1e-8, 10, 181)
    longer = np.concatenate([np.linspace(1 + 1e-9, 1, 60), losses])
    assert suggest(lower, longer, 1 + 2e-9, 2.0)[0]["valley"] == pytest.approx(found_in(losses)[0]["valley"])


def test_a_steeper_fall_after_the_minimum_does_not_count():
    losses = falling()
    losses[-6], losses[-1] = 1.5, 5.0
    assert found_in(losses)[0]["steepest"] < 0.03


def test_a_loss_that_never_falls_gives_none():
    found, missing = found_in(np.full(121, 0.995))
    assert np.isnan(list(found.values())).all()
    assert set(missing) == set(NAMES)
    assert "did not fall" in missing["steepest"]


def test_a_loss_that_still_falls_at_the_end_gives_none():
    found, missing = found_in(falling(center=30.0))
    assert np.isnan(list(found.values())).all()
    assert all("max_rate=10" in why for why in missing.values())


def test_a_fall_that_has_slowed_down_gives_the_steepest_place_alone():
    found, missing = found_in(falling())
    assert [name for name in NAMES if not np.isnan(found[name])] == ["steepest"]
    assert set(missing) == {"valley", "minimum/10", "stable_max"}


def test_a_loss_that_only_falls_at_the_first_rate_gives_none():
    found, missing = found_in(0.5 + np.linspace(0, 0.4, 121))
    assert np.isnan(list(found.values())).all()
    assert "lower min_rate" in missing["minimum/10"]


def test_a_sweep_that_is_over_at_once_gives_none():
    losses = np.full(121, np.nan)
    for n in (0, 1):
        losses[:n] = 0.5
        assert np.isnan(list(found_in(losses)[0].values())).all()


def test_a_loss_that_comes_back_has_not_climbed_for_good():
    losses = falling() + rising(at=5.0)
    losses[80] = 0.5
    assert found_in(losses)[0]["stable_max"] > 4.0


def test_the_average_has_weights_that_sum_to_one():
    losses = np.array([3.0, 1.0, 2.0])
    weights = np.array([0.36, 0.6, 1.0])
    assert_allclose(smoothed(losses)[2], weights @ losses / weights.sum())
    assert smoothed(losses)[0] == pytest.approx(3.0)


def test_a_stopped_repeat_counts_as_above_the_others():
    losses = np.array([[3.0, 9.0, np.nan], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    assert_array_equal(median_curve(losses), [2.0, 2.0, 2.0])
    assert_array_equal(median_curve(losses[:2]), [2.0, 5.0, np.nan])
