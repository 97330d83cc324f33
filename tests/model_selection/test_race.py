"""Batch sizes against each other: known paths, known winners, and objectives of real runs."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss
from sklearn.preprocessing import scale

from minibatch import MiniBatchSGDClassifier
from minibatch.model_selection._race import (
    AFTER_REST,
    LONGER,
    MOST_SEEDS,
    Path,
    Race,
    lowest_of,
    seconds_to_levels,
)

TIMES = np.concatenate([[0.0], 1.2 ** np.arange(40)])


def path(objectives, seconds=TIMES, ended="in time", batch_size=1):
    return Path(batch_size, np.nan, seconds, seconds, np.array(objectives, float), ended)


@given(st.floats(0.05, 0.9), st.floats(0.1, 100.0), st.floats(-100.0, 100.0))
def test_the_time_to_a_level_along_a_power_of_time(level, size, lowest):
    """From 1 at the second first look down as ``t^-1``: an interpolation by logarithms is off by its step at most."""
    falling = lowest + size * np.r_[1.0, 1.0 / TIMES[1:]]
    lower = path([lowest + size, lowest])
    (seconds,), _ = seconds_to_levels([path(falling), lower._replace(seconds=TIMES[:2])], (level,))
    assert_allclose(seconds, 1.0 / level, rtol=0.01)


def test_beyond_its_end_a_path_goes_on_as_one_over_time():
    falling = np.r_[1.0, 1.0 / TIMES[1:11]]
    (seconds,), _ = seconds_to_levels([path(falling, TIMES[:11]), path([1.0, 0.0], TIMES[:2])], (0.01,))
    assert_allclose(seconds, 100.0, rtol=1e-9)


def test_a_level_is_reached_where_a_path_stays():
    """Noise takes it below the level for one look."""
    (noisy, steady) = seconds_to_levels(
        [path([1, 0.5, 0.0, 0.5, 0.5, 0.05, 0.0], TIMES[:7]), path([1, 0.5, 0.5, 0.5, 0.5, 0.05, 0.0], TIMES[:7])],
        (0.1,),
    )
    assert noisy == steady
    assert TIMES[4] < noisy[0] < TIMES[5]


def test_before_the_first_look_the_objective_falls_in_a_straight_line():
    (seconds,) = seconds_to_levels([path([1.0, 0.0], TIMES[:2])], (0.25,))
    assert_allclose(seconds, 0.75)


def test_what_has_come_to_rest_above_a_level_gets_there_much_later():
    """As with a rate that is too high: the run ended early, and its noise had taken it below for a moment."""
    noisy, other = path([1.0, 0.0, 0.2], TIMES[:3], "at rest"), path([1.0, 0.5, 0.1], TIMES[:3])
    assert lowest_of([noisy, other]) == (1.0, 0.1)
    paths = [noisy, noisy._replace(ended="in time"), other]
    times = seconds_to_levels(paths, (1 / 18,))[:, 0]  # half of what the noisy one has left
    assert_allclose(times[:2], [2.0**AFTER_REST * TIMES[2], 2.0 * TIMES[2]])


def test_what_diverged_is_last():
    diverged, other = path([1.0, 0.9], TIMES[:2], "diverged"), path([1.0, 0.5, 0.0], TIMES[:3])
    assert lowest_of([diverged, other]) == (1.0, 0.0)
    assert seconds_to_levels([diverged, other], (0.1,))[0, 0] == np.inf


class Known:
    """A model whose objective after ``t`` seconds is ``1 / (1 + t / cost)``; its cost is least at one size and rate."""

    last_batch = "keep"

    def __init__(self, batch_size, rate, best_size, best_rate, an_update):
        off = np.log2(batch_size / best_size) ** 2
        off += 0.0 if np.isnan(rate) else np.log(rate / best_rate) ** 2
        self.batch_size, self.cost, self.an_update = batch_size, 0.01 * (1.0 + off), an_update
        self.n_samples = 1000  # as the problem

    def _drops_short_batches(self):
        return False

    def scores(self, theta):
        return theta

    def mean_loss(self, scores):
        return float(scores[0])

    def penalties(self, theta):
        return np.zeros(1)

    def _train(self, X, y, weight, watch):
        watch.begin(type("Measures", (), {"problem": self}), np.ones(1))
        for number in watch.limits["stretches"].tolist():
            watch.see({"n_updates": number}, np.array([1.0 / (1.0 + number * self.an_update / self.cost)]))


def race_of_known(best_size, best_rate=None, deadline=np.inf):
    rows = (np.zeros((1000, 1)), np.zeros(1000), None)

    def an_update(size):
        return 1e-6 * (1 + size)

    def model(size, times, seed):
        rate = np.nan if best_rate is None else times
        return Known(size, rate, best_size, best_rate, an_update(size)), rate

    return Race(model, rows, an_update, deadline, lambda: None)


SIZES = np.array([1, 4, 16, 64, 256, 1000])


@pytest.mark.parametrize("best", [1, 16, 256, 1000])
@pytest.mark.parametrize("start", [1, 50, 1000])
def test_from_any_start_the_best_size_is_found_and_its_neighbours_are_run(best, start):
    race = race_of_known(best)
    race.run(SIZES, start)
    paths, costs = race.best_of_sizes()
    sizes = [of_seeds[0].batch_size for of_seeds in paths]
    assert sizes == sorted(sizes)
    assert sizes[int(np.argmin(costs))] == best
    at = SIZES.tolist().index(best)
    assert set(SIZES[max(0, at - 1) : at + 2]) <= set(sizes)
    assert all(len(of_seeds) == MOST_SEEDS for of_seeds in paths)


@pytest.mark.parametrize("best_rate", [1.0, 9.0, 1 / 9])
def test_the_best_rate_is_found(best_rate):
    race = race_of_known(64, best_rate)
    race.run(SIZES, 16)
    paths, costs = race.best_of_sizes()
    best = paths[int(np.argmin(costs))][0]
    assert (best.batch_size, best.learning_rate) == (64, pytest.approx(best_rate))


@pytest.mark.parametrize("best_rate", [1.7, 4.0, 1 / 5])
def test_the_best_rate_between_those_tried_is_found(best_rate):
    race = race_of_known(64, best_rate)
    race.run(SIZES, 16)
    race.refine(1.2)
    paths, costs = race.best_of_sizes()
    best = paths[int(np.argmin(costs))][0]
    assert best.batch_size == 64
    assert best.learning_rate == pytest.approx(best_rate, rel=0.15)


def test_only_sizes_about_as_good_as_the_best_look_for_a_better_rate():
    race = race_of_known(64, 1.7)
    race.run(SIZES, 16)
    before = set(race.paths)
    race.refine(1.2)
    assert {size for size, _ in set(race.paths) - before} == {64}
    race.refine(np.inf)
    assert {size for size, _ in set(race.paths) - before} == {size for size, _ in before}


def test_without_rates_or_time_there_is_none_to_look_for():
    without_rates, without_time = race_of_known(16), race_of_known(16, 1.7)
    for race in (without_rates, without_time):
        race.run(SIZES, 16)
        before = set(race.paths)
        race.deadline = np.inf if race is without_rates else time.perf_counter() - 1.0
        race.refine(1.2)
        assert set(race.paths) == before


def test_all_get_the_time_that_the_first_says():
    race = race_of_known(16)
    race.run(SIZES, 16)
    first = race.paths[16, 1.0][0]
    assert race.longest == pytest.approx(LONGER * first.seconds[-1])
    assert all(of_seed.seconds[-1] <= race.longest * 1.001 for paths in race.paths.values() for of_seed in paths[1:])


def test_after_the_deadline_nothing_begins_and_what_runs_is_cut_off():
    race = race_of_known(256, deadline=time.perf_counter() - 1.0)
    race.run(SIZES, 4)
    assert list(race.paths) == [(4, 1.0)]
    assert race.paths[4, 1.0][0].ended == "too slow"


def test_objectives_are_those_of_fits_of_so_many_updates():
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    model = MiniBatchSGDClassifier("log_loss", batch_size=16, random_state=0, tol=None, alpha=1e-3)
    race = Race(lambda *_: (model, np.nan), (X, y, None), lambda size: 1e-5, np.inf, lambda: None)
    race.run(np.array([16]), 16)
    found = race.paths[16, 1.0][0]
    assert_allclose(found.seconds, 1e-5 * found.updates)
    for place in (0, 3, len(found.updates) - 1):
        if place == 0:
            expected = np.log(2)
        else:
            fitted = model.set_params(max_updates=int(found.updates[place]), max_iter=10**6).fit(X, y)
            expected = log_loss(y, fitted.predict_proba(X)) + 0.5e-3 * (fitted.coef_**2).sum()
        assert_allclose(found.objectives[place], expected, rtol=1e-6)


def test_class_weights_are_in_the_objective():
    X, y = load_breast_cancer(return_X_y=True)
    X, weights = scale(X), {0: 5.0, 1: 1.0}
    model = MiniBatchSGDClassifier(
        "log_loss", batch_size=16, random_state=0, tol=None, class_weight=weights, alpha=1e-3
    )
    race = Race(lambda *_: (model, np.nan), (X, y, None), lambda size: 1e-5, np.inf, lambda: None)
    race.run(np.array([16]), 16)
    found = race.paths[16, 1.0][0]
    fitted = model.set_params(max_updates=int(found.updates[5]), max_iter=10**6).fit(X, y)
    loss = log_loss(y, fitted.predict_proba(X), sample_weight=np.where(y == 0, 5.0, 1.0))
    assert_allclose(found.objectives[5], loss + 0.5e-3 * (fitted.coef_**2).sum(), rtol=1e-6)
