"""The learning-rate range test: closed forms, when it stops, rates that hold, reasons why there are none."""

import copy
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.preprocessing import scale

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import learning_rate_range_test, stability_limit

CURVATURE = 3.0  # of the quadratic


class TestAgainstClosedForms:
    def test_losses_on_a_quadratic_are_those_of_gradient_descent(self, quadratic):
        estimator, X, y, start = quadratic
        result = learning_rate_range_test(estimator, X, y, min_rate=1e-3, max_rate=10, n_rates=60, **start)
        rates = 1e-3 * (10 / 1e-3) ** (np.arange(60) / 59)
        assert_allclose(result.rates, rates)
        assert_allclose(result.first_losses, CURVATURE / 2)
        expected = CURVATURE / 2 * np.cumprod((1 - CURVATURE * rates) ** 2)
        for losses in result.losses:
            n = np.isfinite(losses).sum()
            assert_allclose(losses[:n], expected[:n], rtol=1e-9)

    @pytest.mark.parametrize("sweep", ["exponential", "linear"])
    def test_the_loss_first_rises_at_the_first_rate_above_two_over_the_curvature(self, sweep, quadratic):
        estimator, X, y, start = quadratic
        result = learning_rate_range_test(
            estimator, X, y, min_rate=1e-3, max_rate=10, n_rates=200, n_repeats=1, sweep=sweep, **start
        )
        last_that_falls = int(np.argmax(np.diff(result.losses[0]) > 0))
        expected = result.rates[result.rates <= 2 / CURVATURE].max()
        assert result.rates[last_that_falls] == expected
        assert result.suggestions["stable_max"] == expected
        assert result.suggestion_ranges["stable_max"] == (expected, expected)

    def test_a_linear_sweep_has_evenly_spaced_rates(self, quadratic):
        estimator, X, y, start = quadratic
        result = learning_rate_range_test(estimator, X, y, sweep="linear", max_rate=0.5, n_rates=6, **start)
        assert_allclose(result.rates, np.linspace(1e-5, 0.5, 6))

    def test_it_stops_where_the_loss_exceeds_the_best_by_a_multiple_of_the_fall(self, quadratic):
        estimator, X, y, start = quadratic
        sweep = {"min_rate": 1e-3, "max_rate": 10, "n_rates": 200, "n_repeats": 1}
        for factor in (0.5, 1.0, 4.0):
            losses = learning_rate_range_test(estimator, X, y, stop_factor=factor, **sweep, **start).losses[0]
            seen = losses[np.isfinite(losses)]
            level = seen.min() + factor * (CURVATURE / 2 - seen.min())
            assert seen[-1] > level >= seen[seen.argmin() : -1].max()
            assert np.isnan(losses[len(seen) :]).all()
            assert len(seen) < 200

    def test_losses_of_batches_are_those_of_training_step_by_step(self, cancer):
        X, y = cancer
        estimator = MiniBatchSGDClassifier("log_loss", batch_size=64, shuffle=False, alpha=0.01)
        result = learning_rate_range_test(estimator, X, y, max_rate=0.5, n_rates=20, probe_size=len(y), n_repeats=1)
        model = MiniBatchSGDClassifier("log_loss", batch_size=64, shuffle=False, alpha=0.01, learning_rate="constant")
        z = 2 * y - 1
        for k, rate in enumerate(result.rates):
            first = k % 9 * 64  # 569 rows: nine batches an epoch
            model.set_params(eta0=rate).partial_fit(X[first : first + 64], y[first : first + 64], classes=[0, 1])
            expected = np.logaddexp(0, -z * model.decision_function(X)).mean()
            assert result.losses[0, k] == pytest.approx(expected, rel=1e-9)


class TestRatesThatHold:
    """'stable_max', where the sweep alone shows it too late: what is steep has converged by then."""

    @pytest.mark.parametrize("solver", ["sgd", "momentum", "nesterov"])
    @pytest.mark.parametrize("seed", [0, 1])
    def test_full_batches_of_least_squares_have_the_limit_of_their_curvature(self, solver, seed):
        X, y = (scale(part) for part in load_diabetes(return_X_y=True))
        estimator = MiniBatchSGDRegressor(penalty=None, batch_size="full", solver=solver)
        result = learning_rate_range_test(estimator, X, y, random_state=seed)
        found, limit = result.suggestions["stable_max"], stability_limit(estimator, X, y)
        assert (0.75 if solver == "sgd" else 0.5) * limit < found <= limit
        if solver == "sgd":  # the sweep is still at its least
            assert np.nanmin(result.smoothed[result.rates > 2 * limit]) < 1.01 * np.nanmin(result.smoothed)
        assert result.suggestion_ranges["stable_max"] == (found, found)

    @pytest.mark.parametrize("condition", [1e1, 1e3, 1e5])
    def test_however_flat_the_other_directions_are(self, condition):
        random = np.random.default_rng(0)
        X = np.linalg.qr(random.standard_normal((60, 6)))[0] * np.sqrt(60 * np.geomspace(1, 1 / condition, 6))
        y = X @ np.array([1e-3, 1, 1, 1, 1, 1])  # little to learn where it is steep
        estimator = MiniBatchSGDRegressor(penalty=None, fit_intercept=False, batch_size="full")
        found = learning_rate_range_test(estimator, X, y, max_rate=100, random_state=0).suggestions["stable_max"]
        assert 0.8 * 2.0 < found <= 1.05 * 2.0

    def test_small_batches_stay_below_the_limit_of_full_ones(self):
        X, y = (scale(part) for part in load_diabetes(return_X_y=True))
        estimator = MiniBatchSGDRegressor(penalty=None, batch_size=16)
        result = learning_rate_range_test(estimator, X, y, random_state=0)
        found = result.suggestions["stable_max"]
        assert 0.25 * stability_limit(estimator, X, y) < found <= stability_limit(estimator, X, y).full_batch
        assert result.suggestion_ranges["stable_max"][0] == found

    @pytest.mark.parametrize(
        "estimator",
        [
            MiniBatchMLPClassifier((8,), solver="sgd"),
            MiniBatchMLPClassifier((8,), batch_size="full"),
            MiniBatchSGDClassifier("log_loss", solver="adam", batch_size=1),
        ],
        ids=["network", "network, Adam, full batch", "linear, Adam, single rows"],
    )
    def test_training_at_it_falls_and_at_eight_times_does_not_stay_low(self, estimator, cancer):
        X, y = cancer
        found = learning_rate_range_test(estimator, X, y, max_rate=100, random_state=0).suggestions["stable_max"]
        losses = []
        for rate in (found, 8 * found):
            setting = {"learning_rate": "constant", estimator._rate_parameter: rate, "tol": None, "random_state": 1}
            model = copy.deepcopy(estimator).set_params(max_iter=1000, max_updates=200, **setting)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                losses.append(model.fit(X, y)._loss(X, y))
        assert losses[0] < 0.35
        assert losses[1] > 2 * losses[0]

    def test_a_sweep_that_does_not_rise_far_is_followed_by_runs_at_its_last_rate(self, quadratic):
        """They rise, at a rate that the sweep only just reached."""
        estimator, X, y, start = quadratic
        result = learning_rate_range_test(estimator, X, y, min_rate=1e-3, max_rate=0.75, n_rates=50, **start)
        assert result.losses[0, -1] < 0.1 * result.first_losses[0]
        assert result.suggestions["stable_max"] == result.rates[result.rates <= 2 / CURVATURE].max()
        assert "stable_max" not in result.missing

    def test_rates_that_all_rise(self, quadratic):
        estimator, X, y, start = quadratic
        result = learning_rate_range_test(
            estimator, X, y, min_rate=0.67, max_rate=10, n_rates=40, sweep="linear", stop_factor=1e9, **start
        )
        assert np.isnan(result.suggestions["stable_max"])
        assert "lower min_rate" in result.missing["stable_max"]

    def test_suggestions_above_it_are_named(self, cancer):
        result = learning_rate_range_test(MiniBatchSGDClassifier("log_loss"), *cancer, random_state=0)
        assert "above stable_max" not in repr(result)
        result.suggestions["stable_max"] = result.suggestions["steepest"] / 2
        assert "above stable_max, at which runs begin to rise: steepest, " in repr(result)
        assert "above stable_max" in result._repr_html_()


class TestReasons:
    """Why there is no suggestion."""

    @pytest.mark.parametrize("batch_size", [1, 32, "full"])
    @pytest.mark.parametrize("net", [False, True])
    def test_columns_of_a_large_scale(self, batch_size, net):
        X, y = load_breast_cancer(return_X_y=True)
        X = 1e3 * X
        estimator = MiniBatchSGDClassifier("log_loss", batch_size=batch_size)
        if net:
            estimator = MiniBatchMLPClassifier((8,), solver="sgd", batch_size=batch_size)
        result = learning_rate_range_test(estimator, X, y, random_state=0)
        expected = "column 23 of X has mean 880,583 and standard deviation 568,856: scale X with StandardScaler"
        for text in (repr(result), result._repr_html_(), *result.missing.values()):
            assert expected in text
        assert repr(result).count(expected) == 1
        assert np.isnan(list(result.suggestions.values())).all()

    def test_rates_that_are_too_high_from_the_first_on(self):
        X, y = load_wine(return_X_y=True)
        result = learning_rate_range_test(MiniBatchSGDClassifier("log_loss"), X, y, random_state=0)
        assert "column 12 of X has mean 747 and standard deviation 314" in result.missing["minimum/10"]
        scaled = learning_rate_range_test(MiniBatchSGDClassifier("log_loss"), scale(X), y, min_rate=0.5, random_state=0)
        assert "column" not in repr(scaled)

    def test_columns_of_a_small_scale(self, cancer):
        X, labels = cancer
        for estimator, y, name, why in (
            (
                MiniBatchSGDRegressor(),
                X[:, 0],
                "steepest",
                "the loss did not fall by 1% of its first value before it rose",
            ),
            (
                MiniBatchSGDClassifier("log_loss", batch_size="full"),
                labels,
                "valley",
                "the loss was still falling at max_rate=10",
            ),
        ):
            missing = learning_rate_range_test(estimator, 1e-6 * X, y, random_state=0).missing[name]
            assert missing.startswith(why)
            assert "of X, the largest, has mean" in missing
            remedy = "n_rates" if "rose" in missing else "max_rate"
            assert missing.endswith(f"scale X with StandardScaler, or raise {remedy}")

    def test_targets_of_a_network(self, cancer):
        X, y = cancer
        network = MiniBatchMLPRegressor(hidden_layer_sizes=(4,), solver="sgd")
        for factor, named in ((1e8, True), (1.0, False)):
            text = repr(learning_rate_range_test(network, X, factor * y, random_state=0))
            assert ("y has mean 62,741,652" in text) == named
            assert "column" not in text

    @pytest.mark.parametrize("n_rates", [2, 3, 9])
    def test_too_few_rates(self, n_rates, cancer):
        result = learning_rate_range_test(MiniBatchSGDClassifier("log_loss"), *cancer, n_rates=n_rates)
        assert np.isnan(list(result.suggestions.values())).all()
        why = f"n_rates={n_rates} updates are too few to read a curve from; raise n_rates to 20 or more"
        assert set(result.missing.values()) == {why}

    def test_nothing_to_learn(self):
        X = np.random.default_rng(0).standard_normal((50, 3))
        result = learning_rate_range_test(MiniBatchSGDRegressor(), X, np.zeros(50))
        assert "the loss is 0 before the first update" in repr(result)
