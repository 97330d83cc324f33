"""Estimates of gradient noise: without bias, exact where they can be, with intervals that hold."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import binom
from scipy.stats import t as student_t

from minibatch._problems.layout import network_of
from minibatch._problems.linear import OUTPUTS, LinearProblem
from minibatch._problems.mlp import MLPProblem
from minibatch._training.noise import Deviations, estimated_noise, fieller_interval, gradient_noise, row_deviations
from minibatch.engine.activations import ACTIVATIONS
from minibatch.engine.linear import Objective, Solver
from minibatch.engine.losses import LOG_LOSS, SQUARED_ERROR

SGD = Solver(0, 0.0, 0.0, 0.0, 0.0)
N, D = 7, 3
random = np.random.default_rng(0)
X = random.standard_normal((N, D))
Y = random.standard_normal(N)
WEIGHT = random.uniform(0.5, 1.5, N)


def least_squares(X=X, y=Y, l2=0.0, weight=None, fit_intercept=False, **more):
    objective = Objective(SQUARED_ERROR, 0.0, OUTPUTS["separate"], 0, 0.0, l2, fit_intercept)
    return LinearProblem.from_arrays(X, y, weight, objective, SGD, 1, **more)


def softmax(X, classes, n_classes, l2=0.0):
    objective = Objective(LOG_LOSS, 0.0, OUTPUTS["multinomial"], 0, 0.0, l2, True)
    return LinearProblem.from_arrays(X, classes, None, objective, SGD, n_classes)


def network(l2=0.3):
    objective = Objective(SQUARED_ERROR, 0.0, OUTPUTS["separate"], 0, 0.0, l2, True)
    return MLPProblem.from_arrays(X, Y, WEIGHT, objective, SGD, network_of([D, 4, 1], ACTIVATIONS["tanh"]))


def theta_of(problem, n):
    return np.random.default_rng(3).standard_normal(n)


PROBLEMS = {
    "least squares": (least_squares(), 4),
    "with a penalty": (least_squares(l2=0.5, weight=WEIGHT, fit_intercept=True), 4),
    "some rows": (least_squares(l2=0.5, rows=np.array([6, 2, 3, 0])), 4),
    "network": (network(), 21),
}


def gradients_of(problem, theta):
    """Those of the rows and of the penalty."""
    n = problem.n_trained
    rows = np.array([problem.on_rows([i]).mean_gradient(theta)[:n] for i in range(problem.n_samples)])
    mean = problem.mean_gradient(theta)
    return rows, (problem.with_penalty(theta, mean) - mean)[:n]


def deviations_of(gradients, of_penalty=0.0):
    mean = gradients.mean(axis=0)
    total = mean + of_penalty
    return Deviations(np.sum((gradients - mean) ** 2, axis=1), (gradients - mean) @ total, total @ total, 0.0)


@pytest.mark.parametrize("name", PROBLEMS)
def test_deviations_are_those_of_gradients_one_by_one(name):
    problem, n = PROBLEMS[name]
    theta = theta_of(problem, n)
    found, expected = row_deviations(problem, theta), deviations_of(*gradients_of(problem, theta))
    assert_allclose(found.squares, expected.squares, rtol=1e-12)
    assert_allclose(found.along, expected.along, rtol=1e-10)
    assert found.squared_norm == pytest.approx(expected.squared_norm, rel=1e-12)


@pytest.mark.parametrize("name", PROBLEMS)
class TestEverySample:
    """Means over all samples that there are: no bias, to rounding."""

    @pytest.fixture
    def truth(self, name):
        problem, n = PROBLEMS[name]
        theta = theta_of(problem, n)
        rows, of_penalty = gradients_of(problem, theta)
        G, covariance = rows.mean(axis=0) + of_penalty, np.cov(rows.T, bias=True)
        return problem, theta, G, covariance

    def test_all_rows_are_the_population(self, truth):
        problem, theta, G, covariance = truth
        found = gradient_noise(problem, theta)
        assert found.trace == pytest.approx(np.trace(covariance), rel=1e-12)
        assert found.squared_norm == pytest.approx(G @ G, rel=1e-12)
        assert found.noise_scale == pytest.approx(np.trace(covariance) / (G @ G), rel=1e-12)
        assert found.interval == pytest.approx((found.noise_scale, found.noise_scale), rel=1e-14)
        assert found.resolved
        assert found.n_rows == problem.n_samples

    @pytest.mark.parametrize("size", [2, 3])
    def test_rows_without_replacement(self, truth, size):
        problem, theta, G, covariance = truth
        samples = combinations(range(problem.n_samples), size)
        found = [gradient_noise(problem, theta, np.array(rows)) for rows in samples]
        assert np.mean([one.trace for one in found]) == pytest.approx(np.trace(covariance), rel=1e-12)
        assert np.mean([one.squared_norm for one in found]) == pytest.approx(G @ G, rel=1e-12)

    @pytest.mark.parametrize("size", [2, 3])
    def test_independent_draws(self, truth, size):
        problem, theta, G, covariance = truth
        samples = product(range(problem.n_samples), repeat=size)
        found = [gradient_noise(problem, theta, np.array(rows), reference="population") for rows in samples]
        norms = [one.squared_norm for one in found]
        assert np.mean([one.trace for one in found]) == pytest.approx(np.trace(covariance), rel=1e-12)
        assert np.mean(norms) == pytest.approx(G @ G, rel=1e-12)
        variance = 4 * G @ covariance @ G / size + 2 * np.trace(covariance @ covariance) / (size * (size - 1))
        assert np.var(norms) == pytest.approx(variance, rel=1e-9)


class TestClosedForms:
    def test_softmax_at_zero_on_any_rows(self):
        n, n_classes = 50, 4
        rows = random.standard_normal((n, D)) + 1.0
        classes = random.integers(0, n_classes, n)
        found = gradient_noise(softmax(rows, classes, n_classes), np.zeros(n_classes * (D + 1)))
        ones = np.column_stack([rows, np.ones(n)])
        G = np.array([ones.mean(axis=0) / n_classes - ones[classes == k].sum(axis=0) / n for k in range(n_classes)])
        trace = (1 - 1 / n_classes) * np.mean(np.sum(ones**2, axis=1)) - np.sum(G**2)
        assert found.trace == pytest.approx(trace, rel=1e-12)
        assert found.squared_norm == pytest.approx(np.sum(G**2), rel=1e-12)

    def test_least_squares_on_normal_rows(self):
        """``d + 1 + d sigma^2 / |delta|^2`` where the rows have unit covariance."""
        d, n, sigma, delta = 10, 40_000, 2.0, 1.5
        rows = np.random.default_rng(1).standard_normal((n, d))
        y = sigma * np.random.default_rng(2).standard_normal(n)
        theta = np.append(np.full(d, delta / np.sqrt(d)), 0.0)
        found = gradient_noise(least_squares(rows, y), theta, reference="population", confidence=0.999)
        exact = d + 1 + d * sigma**2 / delta**2
        assert found.interval[0] < exact < found.interval[1]
        assert found.interval[1] < 1.2 * found.interval[0]

    def test_logistic_regression_at_zero_on_two_normal_classes(self):
        d, n, length = 20, 40_000, 0.5
        random = np.random.default_rng(3)
        side = random.choice([-1.0, 1.0], n)
        rows = random.standard_normal((n, d)) + side[:, None] * length / np.sqrt(d)
        objective = Objective(LOG_LOSS, 0.0, OUTPUTS["separate"], 0, 0.0, 0.0, False)
        problem = LinearProblem.from_arrays(rows, side, None, objective, SGD, 1)
        found = gradient_noise(problem, np.zeros(d + 1), reference="population", confidence=0.999)
        assert found.interval[0] < d / length**2 < found.interval[1]

    def test_identical_rows_have_no_noise(self):
        found = gradient_noise(least_squares(np.ones((5, 2)), np.ones(5)), np.array([2.0, 3.0, 0.0]), np.arange(4))
        assert found.noise_scale < 1e-12
        assert found.resolved


class TestIntervals:
    @pytest.mark.parametrize("n_population", [9, 20, np.inf])
    def test_the_closed_jackknife_is_leaving_out_one_row_after_the_other(self, n_population):
        gradients = random.standard_normal((8, 3)) + 1.0
        of_penalty = np.array([0.3, 0.0, -0.2])
        found = estimated_noise(deviations_of(gradients, of_penalty), n_population, 0.9)
        without = np.array(
            [
                estimated_noise(deviations_of(np.delete(gradients, i, axis=0), of_penalty), n_population, 0.9)[:2]
                for i in range(8)
            ]
        )
        centred = without - without.mean(axis=0)
        covariance = (1 - 8 / n_population) * 7 / 8 * centred.T @ centred
        expected = fieller_interval(found.trace, found.squared_norm, covariance, student_t.ppf(0.95, 7))
        assert found.interval == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize(
        ("n_rows", "n_population", "length"),
        [(50, None, 1.0), (200, None, 1.0), (200, None, 0.02), (50, 100, 1.0), (100, 120, 0.5)],
    )
    def test_they_cover_the_truth_as_often_as_they_say(self, n_rows, n_population, length):
        """Below, not above, by more than chance: they are conservative where the gradient is lost in the noise."""
        d, repeats, confidence = 10, 1500, 0.9
        random = np.random.default_rng(5)

        def draw(n):
            rows = random.standard_normal((n, d))
            return rows * (rows.sum(axis=1) * length / np.sqrt(d) - random.standard_normal(n))[:, None]

        exact, population = d + 1 + d / length**2, None
        if n_population is not None:
            population = draw(n_population)
            exact = estimated_noise(deviations_of(population), n_population, confidence).noise_scale
        n_covered = 0
        for _ in range(repeats):
            rows = draw(n_rows) if population is None else population[random.permutation(n_population)[:n_rows]]
            low, high = estimated_noise(deviations_of(rows), n_population or np.inf, confidence).interval
            n_covered += low <= exact <= high
        # the jackknife is right to order 1 / n_rows
        assert n_covered >= binom.ppf(1e-3, repeats, confidence - 1 / n_rows)
        if length >= 0.5:
            assert n_covered <= binom.ppf(1 - 1e-3, repeats, confidence + 1 / n_rows)

    def test_pure_noise_is_resolved_only_by_chance(self):
        random = np.random.default_rng(6)
        found = [estimated_noise(deviations_of(random.standard_normal((20, 5))), np.inf, 0.95) for _ in range(400)]
        assert np.mean([one.resolved for one in found]) <= 0.05
        for one in found:
            assert one.noise_scale > 0.0
            assert one.interval[0] >= 0.0
            assert (one.interval[1] < np.inf) == one.resolved

    @given(
        st.floats(0.0, 10.0),
        st.floats(0.0, 10.0),
        st.floats(0.01, 5.0),
        st.floats(0.01, 5.0),
        st.floats(-0.99, 0.99),
    )
    def test_the_ends_are_where_the_estimates_begin_to_contradict(self, a, b, of_a, of_b, correlation):
        both = correlation * np.sqrt(of_a * of_b)
        low, high = fieller_interval(a, b, np.array([[of_a, both], [both, of_b]]), 1.96)

        def contradiction(r):  # squared, in units of the allowed one
            return (a - r * b) ** 2 / (1.96**2 * (of_a - 2 * r * both + r**2 * of_b))

        assert 0.0 <= low <= high
        for end in (low, high):
            if 0.0 < end < np.inf:
                assert contradiction(end) == pytest.approx(1.0, rel=1e-6)
        if low == 0.0:
            assert contradiction(0.0) <= 1.0 + 1e-9
        if high == np.inf:
            assert contradiction(1e12) <= 1.0 + 1e-6


class TestNothingToSee:
    def test_neither_gradient_nor_noise(self):
        found = gradient_noise(least_squares(y=np.zeros(N)), np.zeros(D + 1))
        assert np.isnan(found.noise_scale)
        assert found.interval == (0.0, np.inf)
        assert not found.resolved
        assert found.trace == found.squared_norm == 0.0

    def test_noise_without_gradient(self):
        """At the solution the gradient is zero to rounding, and no number is made of that."""
        solution = np.append(np.linalg.lstsq(X, Y, rcond=None)[0], 0.0)
        found = gradient_noise(least_squares(), solution)
        assert found.noise_scale == np.inf
        assert found.interval[0] > 1e20
        assert found.interval[1] == np.inf
        assert not found.resolved

    def test_two_rows_have_no_interval(self):
        found = gradient_noise(least_squares(), np.ones(D + 1), np.array([0, 1]))
        assert found.interval == (0.0, np.inf)
        assert not found.resolved
        assert gradient_noise(least_squares(X[:2], Y[:2]), np.ones(D + 1)).resolved
