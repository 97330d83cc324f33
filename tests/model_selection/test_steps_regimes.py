"""Regimes of steps_to_target: slopes, their intervals, and what is said where these do not tell regimes apart."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from minibatch.model_selection import fit_steps_to_target, steps_to_target
from minibatch.model_selection._steps_regimes import log_error, regimes_of, slopes_of
from references.steps import PLAIN, RATES, quadratic_rows

SIZES = np.array([1, 4, 16, 64, 256, 1024, 4096])
CURVE = 1000 * (1 + 64 / SIZES)
SLOPES = np.gradient(np.log(CURVE), np.log(SIZES))


def noisy(sigma, seed, n_repeats):
    random = np.random.default_rng(seed)
    return CURVE[:, None] * np.exp(sigma * random.standard_normal((len(SIZES), n_repeats)))


def found(repeats, confidence=0.95):
    """Slopes with their intervals, from repeats of every size."""
    updates = np.median(repeats, axis=1)
    fit = fit_steps_to_target(SIZES, updates)
    return updates, slopes_of(SIZES, updates, *log_error(list(repeats), updates, fit), confidence)


@pytest.mark.parametrize("n_repeats", [1, 5])
@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_intervals_hold_the_slopes_as_often_as_they_say(n_repeats, confidence):
    """Over 300 curves of 7 sizes. They are a little wide: a median of five has 1.57 times the variance of the mean in
    theirs, 1.43 in truth; a single count that is off widens the scatter around the fit as well."""
    held = []
    for seed in range(300):
        _, (_, low, high) = found(noisy(0.3, seed, n_repeats), confidence)
        held.append((low <= SLOPES) & (SLOPES <= high))
    assert confidence - 0.03 < np.mean(held) < confidence + (0.08 if n_repeats == 1 else 0.06)


def test_the_error_of_a_slope_is_that_of_its_differences():
    """Between two sizes a slope is a difference of logarithms over a distance."""
    errors = np.array([0.3, 0.4])
    slope, low, high = slopes_of(np.array([1, 8]), np.array([80.0, 20.0]), errors, 10, 0.9)
    assert_allclose(slope, np.log(1 / 4) / np.log(8))
    assert_allclose(high - low, 2 * stats.t.ppf(0.95, 10) * 0.5 / np.log(8))


def test_without_repeats_the_error_is_the_scatter_around_the_fit_and_at_least_the_resolution():
    exact = fit_steps_to_target(SIZES, CURVE)
    errors, freedom = log_error([], CURVE, exact)
    assert_allclose(errors, np.hypot(0.04, 1 / CURVE) / np.sqrt(12))
    assert freedom == 5
    scattered = fit_steps_to_target(SIZES, noisy(0.3, 0, 1)[:, 0])
    assert_array_equal(log_error([], CURVE, scattered)[0], scattered.spread)


def test_regimes_are_certain_where_intervals_are_narrow():
    updates, slopes = found(noisy(0.01, 0, 5))
    # the slopes at 16 and 256, a quarter of B_c and four times as much, are the borders
    assert regimes_of(updates, slopes)[:2] == ["perfect scaling"] * 2
    assert regimes_of(updates, slopes)[3] == "diminishing returns"
    assert regimes_of(updates, slopes)[-2:] == ["plateau"] * 2


def test_noise_makes_them_unsure():
    assert "unsure" in regimes_of(*found(noisy(1.0, 0, 1)))


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((-1.1, -0.85), "perfect scaling"),
        ((-0.9, -0.5), "perfect scaling or diminishing returns"),
        ((-0.7, -0.3), "diminishing returns"),
        ((-0.5, 0.1), "diminishing returns or plateau"),
        ((-0.1, 0.1), "plateau"),
        ((-0.9, 0.1), "unsure"),
        ((np.nan, np.nan), "unsure"),
    ],
)
def test_words_are_those_that_an_interval_touches(ends, words):
    assert regimes_of(
        np.array([10.0]), np.array([[np.mean(ends) if ends[0] < 9 else -0.5], *([end] for end in ends)])
    ) == [words]


def test_they_are_in_the_result_its_frame_and_its_text():
    arguments = {"learning_rates": RATES, "target": ("train_loss", 1e-3), "max_updates": 3000}
    result = steps_to_target(PLAIN, *quadratic_rows(), batch_sizes=[1, 10, 53], **arguments)
    assert result.slope_intervals.shape == (3, 2)
    assert_array_equal(result.to_frame()["slope_low"], result.slope_intervals[:, 0])
    assert (result.slope_intervals[:, 0] < result.slopes).all()
    # three sizes leave one degree of freedom
    assert "unsure" in result.regimes
    assert "unsure" in repr(result)
    assert "unsure" in result._repr_html_()


def test_two_sizes_and_one_repeat_tell_nothing_of_noise():
    arguments = {"learning_rates": RATES, "target": ("train_loss", 1e-3), "max_updates": 3000}
    alone = steps_to_target(PLAIN, *quadratic_rows(), batch_sizes=[1, 53], **arguments)
    assert alone.regimes == ["unsure"] * 2
    assert np.isnan(alone.slope_intervals).all()
    again = steps_to_target(PLAIN, *quadratic_rows(), batch_sizes=[1, 53], n_repeats=3, **arguments)
    assert np.isfinite(again.slope_intervals).all()


def test_repeats_of_the_best_rate_are_run_on_so_that_their_scatter_counts():
    model = PLAIN.__class__(alpha=0, learning_rate="constant")
    X, y = quadratic_rows()
    y = y + np.random.default_rng(0).standard_normal(53)
    result = steps_to_target(
        model, X, y, batch_sizes=[2, 8, 53], learning_rates=RATES, target=("train_loss", 0.6), max_updates=3000,
        n_repeats=5, random_state=0,
    )  # fmt: skip
    for size, rate in zip(result.batch_sizes, result.learning_rates, strict=True):
        here = (result.trials["batch_size"] == size) & (result.trials["learning_rate"] == rate)
        assert set(result.trials["status"][here]) == {"reached"}
        assert np.sort(result.trials["updates"][here])[2] == result.updates[result.batch_sizes == size]
