"""fit_steps_to_target and optimal_batch_size: exact curves, noisy curves, and what data cannot tell."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize, stats

from minibatch.model_selection import fit_steps_to_target, optimal_batch_size

SIZES = np.array([1, 4, 16, 64, 256, 1024, 4096])
INTERVALS = ("interval", "min_steps_interval", "min_samples_interval")


def curve(min_steps, critical, sizes=SIZES):
    return min_steps * (1 + critical / sizes)


def noisy(sigma, seed=0, critical=256):
    return curve(100, critical) * np.exp(sigma * np.random.default_rng(seed).standard_normal(len(SIZES)))


class TestExactCurves:
    @given(st.floats(1e-2, 1e6), st.floats(2.0, 2000.0))
    def test_both_numbers_are_found(self, min_steps, critical):
        fit = fit_steps_to_target(SIZES, curve(min_steps, critical))
        assert_allclose([fit.min_steps, fit.critical_batch_size], [min_steps, critical], rtol=1e-6)
        assert_allclose([fit.interval, fit.min_steps_interval], [[critical] * 2, [min_steps] * 2], rtol=1e-5)
        assert_allclose(fit.predict([3, 10**6]), curve(min_steps, critical, np.array([3, 10**6])), rtol=1e-6)
        assert fit.warnings == ()

    @given(st.floats(2.0, 2000.0), st.floats(0.1, 1e5))
    def test_updates_and_examples_trade_along_a_hyperbola(self, critical, size):
        fit = fit_steps_to_target(SIZES, curve(100, critical))
        updates = float(fit.predict(size))
        assert (updates / fit.min_steps - 1) * (updates * size / fit.min_samples - 1) == pytest.approx(1, rel=1e-6)

    def test_at_the_critical_size_updates_and_examples_are_twice_the_fewest(self):
        fit = fit_steps_to_target(SIZES, noisy(0.05))
        updates = fit.predict(fit.critical_batch_size)
        assert updates == pytest.approx(2 * fit.min_steps)
        assert updates * fit.critical_batch_size == pytest.approx(2 * fit.min_samples)


class TestNoisyCurves:
    @pytest.mark.parametrize("confidence", [0.5, 0.9])
    def test_intervals_hold_the_truth_as_often_as_they_say(self, confidence):
        """Over 400 noisy curves; four standard errors of a share are below 0.1 and 0.06."""
        held = np.zeros(3)
        for seed in range(400):
            fit = fit_steps_to_target(SIZES, noisy(0.05, seed), confidence=confidence)
            ends = [getattr(fit, name) for name in INTERVALS]
            held += [low <= value <= high for (low, high), value in zip(ends, (256, 100, 25_600), strict=True)]
        assert_allclose(held / 400, confidence, atol=4 * np.sqrt(confidence * (1 - confidence) / 400))

    def test_small_errors_give_the_intervals_of_the_linearised_model(self):
        updates = noisy(1e-4)
        fit = fit_steps_to_target(SIZES, updates, confidence=0.8)
        (log_steps, log_size), covariance = optimize.curve_fit(
            lambda sizes, p, q: p + np.log1p(np.exp(q) / sizes), SIZES, np.log(updates), [4.0, 5.0], xtol=1e-12
        )
        assert_allclose([fit.min_steps, fit.critical_batch_size], np.exp([log_steps, log_size]), rtol=1e-7)
        half = stats.t.ppf(0.9, 5) * np.sqrt([covariance[1, 1], covariance[0, 0], covariance.sum()])
        widths = [np.diff(np.log(getattr(fit, name)))[0] for name in INTERVALS]
        assert_allclose(widths, 2 * half, rtol=1e-3)

    @settings(max_examples=8 * settings.default.max_examples)
    @given(st.lists(st.floats(-5, 5), min_size=3, max_size=8), st.floats(-8, 8))
    def test_no_other_curve_is_nearer(self, logs, log_size):
        sizes = 2.0 ** np.arange(len(logs))
        fit = fit_steps_to_target(sizes, np.exp(logs))
        residuals = logs - np.log1p(np.exp(log_size) / sizes)
        assert fit.spread**2 * (len(logs) - 2) <= np.sum((residuals - residuals.mean()) ** 2) * (1 + 1e-9) + 1e-20
        values = (fit.critical_batch_size, fit.min_steps, fit.min_samples)
        for name, value in zip(INTERVALS, values, strict=True):
            low, high = getattr(fit, name)
            assert low * (1 - 1e-9) <= value <= high * (1 + 1e-9)

    def test_the_spread_is_the_standard_deviation_around_the_curve(self):
        updates = noisy(0.1)
        fit = fit_steps_to_target(SIZES, updates)
        residuals = np.log(updates / fit.predict(SIZES))
        assert fit.spread == pytest.approx(np.sqrt(np.sum(residuals**2) / 5))


class TestSymmetries:
    @given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
    def test_the_fit_goes_with_the_units(self, seed, size_unit, step_unit):
        one = fit_steps_to_target(SIZES, noisy(0.2, seed))
        other = fit_steps_to_target(SIZES * size_unit, noisy(0.2, seed) * step_unit)
        units = (size_unit, step_unit, size_unit * step_unit)
        values = ("critical_batch_size", "min_steps", "min_samples")
        for names, rtol in ((values, 1e-6), (INTERVALS, 1e-5)):
            for name, unit in zip(names, units, strict=True):
                assert_allclose(getattr(other, name), np.array(getattr(one, name)) * unit, rtol=rtol)

    @given(st.integers(0, 1000), st.sampled_from([0.01, 256, 1e6]))
    def test_examples_against_one_over_the_size_are_the_same_curve(self, seed, critical):
        updates = noisy(0.3, seed, critical)
        one, other = fit_steps_to_target(SIZES, updates), fit_steps_to_target(1 / SIZES, updates * SIZES)
        assert_allclose([other.min_steps, other.min_samples], [one.min_samples, one.min_steps], rtol=1e-6)
        assert_allclose(other.min_steps_interval, one.min_samples_interval, rtol=1e-4)
        assert_allclose(other.interval, [1 / end if end else np.inf for end in one.interval[::-1]], rtol=1e-4)

    @given(st.permutations(range(7)))
    def test_the_order_of_the_sizes_does_not_matter(self, order):
        one, other = (fit_steps_to_target(SIZES[o], noisy(0.1)[o]) for o in (list(range(7)), order))
        assert_allclose([*other.interval, other.min_steps], [*one.interval, one.min_steps], rtol=1e-6)


class TestWhatDataCannotTell:
    def test_without_a_floor_there_is_only_a_lower_bound(self):
        fit = fit_steps_to_target(SIZES, 10_000 / SIZES * np.exp(0.05 * np.array([-1, 1, -1, 1, -1, 1, -1])))
        assert (fit.critical_batch_size, fit.min_steps, fit.interval[1]) == (np.inf, 0.0, np.inf)
        assert fit.interval[0] > 4096
        assert fit.min_steps_interval[0] == 0
        assert fit.min_samples_interval[0] < 10_000 < fit.min_samples_interval[1]
        assert_allclose(fit.predict(SIZES) * SIZES, 10_000, rtol=0.02)
        assert fit.warnings == (
            "critical_batch_size is above the largest size, 4096: only its lower bound is known. Add larger sizes. "
            "[MB232]",
        )

    def test_where_batches_gain_nothing_there_is_only_an_upper_bound(self):
        fit = fit_steps_to_target(SIZES, 50 * np.exp(0.05 * np.array([-1, 1, -1, 1, -1, 1, -1])))
        assert (fit.critical_batch_size, fit.min_samples, fit.interval[0]) == (0.0, 0.0, 0.0)
        assert 0 < fit.interval[1] < 1
        assert fit.min_steps_interval[0] < 50 < fit.min_steps_interval[1]
        assert_allclose(fit.predict(SIZES), 50, rtol=0.02)
        assert "below the smallest size, 1: only its upper bound" in fit.warnings[0]

    @pytest.mark.parametrize(("critical", "words"), [(20_000, "above the largest size"), (0.3, "below the smallest")])
    def test_a_bend_outside_the_sizes_is_a_bound(self, critical, words):
        fit = fit_steps_to_target(SIZES, noisy(0.005, critical=critical))
        assert fit.critical_batch_size == pytest.approx(critical, rel=0.2)
        assert fit.interval[0 if critical < 1 else 1] in (0.0, np.inf)
        assert fit.interval[0] < critical < fit.interval[1]
        (warning,) = fit.warnings
        assert words in warning

    def test_scatter_that_hides_the_bend_is_said(self):
        fit = fit_steps_to_target([8, 64, 512], [600, 90, 80])
        assert 8 < fit.critical_batch_size < 512
        assert fit.interval == (0.0, np.inf)
        assert fit.warnings == (
            "The scatter leaves critical_batch_size without lower and upper bound. Add sizes, or repeats. [MB233]",
        )

    def test_sizes_that_did_not_reach_the_target_are_left_out_and_counted(self):
        updates = noisy(0.1)
        updates[[0, 6]] = np.nan, np.inf
        fit = fit_steps_to_target(SIZES, updates)
        alone = fit_steps_to_target(SIZES[1:6], updates[1:6])
        assert (fit.n_sizes, fit.n_censored) == (5, 2)
        assert "to 5 sizes, 2 left out" in repr(fit)
        assert dataclasses.asdict(fit) == dataclasses.asdict(alone) | {"n_censored": 2}


class TestWrongInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([1, 2, 3], [1, 2]), r"of one length; got shapes \(3,\) and \(2,\)"),
            (([[1, 2, 3]], [[3, 2, 1]]), "one-dimensional"),
            (([0, 1, 2], [3, 2, 1]), "batch_sizes must be finite and positive"),
            (([1, 2, np.nan], [3, 2, 1]), "batch_sizes must be finite and positive"),
            (([1, 2, 4], [3, 0, 1]), "updates must be positive, or NaN where"),
            (([1, 2, 4, 8], [3, 2, np.nan, np.inf]), "three different batch_sizes with finite updates or more; got 2"),
            (([1, 2, 2, 2], [4, 2, 2, 2]), "three different batch_sizes"),
        ],
    )
    def test_is_named(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            fit_steps_to_target(*arguments)

    @pytest.mark.parametrize("confidence", [0, 1, 95, "high"])
    def test_confidence_is_a_share(self, confidence):
        with pytest.raises(ValueError, match="'confidence' parameter of fit_steps_to_target"):
            fit_steps_to_target(SIZES, noisy(0.1), confidence=confidence)


def test_tables():
    fit = fit_steps_to_target(SIZES, noisy(0.1), confidence=0.9)
    assert list(fit.to_frame()["quantity"]) == ["critical_batch_size", "min_steps", "min_samples"]
    assert_allclose(fit.to_frame()["low"], [getattr(fit, name)[0] for name in INTERVALS])
    for text in (repr(fit), fit._repr_html_()):
        assert "90 % intervals" in text
        assert "min_samples" in text
    assert fit._repr_html_().count("<table") == 1
    open_ended = fit_steps_to_target(SIZES, SIZES[::-1])
    assert f"<li>{open_ended.warnings[0]}</li>" in open_ended._repr_html_()


class TestOptimalBatchSize:
    @given(st.floats(1e-6, 1.0), st.floats(1e-8, 1e-3), st.floats(1.0, 1e5))
    def test_it_takes_the_least_time(self, overhead, per_sample, critical):
        best = optimal_batch_size(overhead=overhead, per_sample=per_sample, critical_batch_size=critical)

        def seconds(size):
            return 100 * (1 + critical / size) * (overhead + per_sample * size)

        assert seconds(best) == pytest.approx(100 * (np.sqrt(overhead) + np.sqrt(per_sample * critical)) ** 2)
        assert (seconds(best) <= seconds(best * np.geomspace(0.01, 100, 401)) * (1 + 1e-12)).all()
        assert max(seconds(best / 2), seconds(2 * best)) <= 1.125 * seconds(best) * (1 + 1e-12)

    def test_a_grid_of_sizes_has_its_least_time_there(self):
        sizes = np.arange(1, 2000)
        seconds = (1 + 312.5 / sizes) * (3e-4 + 1.25e-6 * sizes)
        best = optimal_batch_size(overhead=3e-4, per_sample=1.25e-6, critical_batch_size=312.5)
        assert abs(sizes[np.argmin(seconds)] - best) < 1

    @pytest.mark.parametrize("name", ["overhead", "per_sample", "critical_batch_size"])
    @pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan, "3"])
    def test_numbers_are_positive(self, name, value):
        given = {"overhead": 1e-4, "per_sample": 1e-6, "critical_batch_size": 100.0, name: value}
        with pytest.raises(ValueError, match=f"'{name}' parameter of optimal_batch_size"):
            optimal_batch_size(**given)
