"""fit_power_law and learning curves: exact laws, noisy laws, and least squares, of which the law is known."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minibatch import MiniBatchMLPRegressor
from minibatch.model_selection import convergence_curve, fit_power_law

SIZES = np.array([50, 100, 200, 400, 800, 1600])


@given(
    st.floats(0.1, 100.0).flatmap(lambda a: st.sampled_from([a, -a])),
    st.floats(0.1, 2.0),
    st.floats(-5.0, 5.0),
)
def test_an_exact_law_is_found(a, b, c):
    """In units of the largest size's part, so that the law is one to see."""
    values = a * (SIZES / 400) ** -b + c
    law = fit_power_law(SIZES, values)
    assert_allclose([law.b, law.c], [b, c], rtol=1e-4, atol=1e-4 * abs(a))
    assert_allclose(law.a, a * 400**b, rtol=1e-2)
    assert_allclose(law.predict(SIZES), values, atol=1e-6 * abs(a))
    assert_allclose(law.predict(10**12), a * (10**12 / 400) ** -b + c, atol=1e-3 * abs(a))


@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.floats(1e-2, 1e4))
def test_the_fit_goes_with_the_units(seed, value_unit, size_unit):
    random = np.random.default_rng(seed)
    values = 3.0 * (SIZES / 50) ** -0.5 + 0.2 + 0.02 * random.standard_normal(6)
    one, other = fit_power_law(SIZES, values), fit_power_law(SIZES * size_unit, values * value_unit)
    assert_allclose(other.b, one.b, rtol=1e-3)
    assert_allclose(other.c, one.c * value_unit, rtol=1e-3, atol=1e-3 * value_unit)
    assert_allclose(other.a, one.a * value_unit * size_unit**one.b, rtol=2e-2)
    assert_allclose(np.diff(other.b_interval), np.diff(one.b_interval), rtol=2e-2)
    assert_allclose(np.diff(other.c_interval), np.diff(one.c_interval) * value_unit, rtol=2e-2)


@given(st.permutations(range(6)))
def test_the_order_of_the_sizes_does_not_matter(order):
    values = 3.0 * SIZES**-0.5 + 0.2 + 0.01 * np.sin(SIZES)
    one, other = fit_power_law(SIZES, values), fit_power_law(SIZES[order], values[order])
    assert_allclose([other.a, other.b, other.c], [one.a, one.b, one.c], rtol=1e-4)


@pytest.mark.parametrize("confidence", [0.5, 0.9])
@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_hold_the_truth_as_often_as_they_say(confidence, weighted):
    """Over 80 noisy curves; the standard error of a share is below 0.06."""
    random, truth, held = np.random.default_rng(1), (3.0, 0.5, 0.2), np.zeros(3)
    sizes = np.repeat(SIZES, 2)
    sigma = 0.004 * (sizes / 50) ** -0.5 if weighted else np.full(12, 0.002)
    for _ in range(80):
        values = 3.0 * sizes**-0.5 + 0.2 + sigma * random.standard_normal(12)
        law = fit_power_law(sizes, values, sigma if weighted else None, confidence=confidence)
        intervals = (law.a_interval, law.b_interval, law.c_interval)
        held += [low <= true <= high for true, (low, high) in zip(truth, intervals, strict=True)]
    assert_allclose(held / 80, confidence, atol=0.18)


def test_only_ratios_of_errors_matter():
    values = 3.0 * SIZES**-0.5 + 0.2 + 0.01 * np.sin(SIZES)
    errors = np.array([1.0, 2.0, 1.0, 0.5, 1.0, 3.0])
    one, other = (fit_power_law(SIZES, values, scale * errors) for scale in (1.0, 1e-4))
    assert_allclose([*one.a_interval, *one.b_interval], [*other.a_interval, *other.b_interval], rtol=1e-3)
    exact = fit_power_law(SIZES, values, [1, 1, 1, 1, 1, 1e9])
    assert_allclose([exact.b, exact.c], [(w := fit_power_law(SIZES[:-1], values[:-1])).b, w.c], rtol=1e-3)


def test_a_zero_error_does_not_weigh_infinitely():
    values = 3.0 * SIZES**-0.5 + 0.2 + 0.01 * np.sin(SIZES)
    law = fit_power_law(SIZES, values, [0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert np.isfinite(law.b_interval).all()
    assert_allclose(fit_power_law(SIZES, values, np.zeros(6)).b, fit_power_law(SIZES, values).b)


@pytest.mark.parametrize("values", [np.ones(6), np.zeros(6), np.full(6, 0.3)])
def test_a_flat_curve_has_no_exponent(values):
    """A score of 1 at every size says nothing about b."""
    law = fit_power_law(SIZES, values)
    assert_allclose(law.predict(SIZES), values, atol=1e-9)
    assert not law.b_interval[1] - law.b_interval[0] < 1.0


@pytest.mark.parametrize("values", [[1, 2, 4, 8, 16, 32], [6, 5, 4, 3, 2, 1], [1, 0, 1, 0, 1, 0]])
def test_no_intervals_where_the_exponent_is_at_a_bound(values):
    law = fit_power_law(SIZES, values)
    assert np.isnan([*law.a_interval, *law.b_interval, *law.c_interval]).all() == (not 0.0101 < law.b < 4.95)
    assert "nan" in repr(law) or 0.0101 < law.b < 4.95


@given(st.integers(0, 10_000), st.integers(4, 8), st.sampled_from([1e-3, 1.0, 1e3]))
@settings(max_examples=settings.default.max_examples // 2)
def test_noise_is_fitted_no_worse_than_by_a_constant(seed, n_sizes, scale):
    random = np.random.default_rng(seed)
    n, values = np.sort(random.choice(1000, n_sizes, replace=False)) + 10, scale * random.standard_normal(n_sizes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        law = fit_power_law(n, values)
    assert 0.01 <= law.b <= 5.0
    assert np.sum((law.predict(n) - values) ** 2) <= np.sum((values - values.mean()) ** 2) * (1 + 1e-6)


def test_a_curve_that_is_no_law_at_all_is_fitted_too():
    """The first start does not converge."""
    n = np.array([1, 49, 1799, 277905, 2568153, 2828942])
    values = np.array([0.0, 0.0, 337325.4188878641, -709677.5078545806, 0.0, 437599.62376574613])
    assert np.isfinite(fit_power_law(n, values).predict(n)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2, 3], [1, 2, 3]), "give four different sizes"),
        (([1, 1, 2, 2, 3], [1, 2, 3, 4, 5]), "give four different sizes"),
        (([1, 2, 3, 4], [1, 2, 3]), r"one-dimensional and of one length; got shapes \(4,\), \(3,\)"),
        (([[1, 2, 3, 4]], [[1, 2, 3, 4]]), "one-dimensional"),
        (([1, 2, 3, 4], [1, 2, 3, 4], [1, 1, 1]), "of one length"),
        (([0, 1, 2, 3], [1, 2, 3, 4]), "n positive"),
        (([-1, 1, 2, 3], [1, 2, 3, 4]), "n positive"),
        (([1, 2, 3, 4], [1, 2, 3, np.nan]), "finite"),
        (([1, 2, 3, np.inf], [1, 2, 3, 4]), "finite"),
        (([1, 2, 3, 4], [4, 3, 2, 1], [1, 1, 1, np.nan]), "finite"),
        (([1, 2, 3, 4], [4, 3, 2, 1], [1, 1, 1, -1.0]), "errors"),
    ],
)
def test_wrong_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_power_law(*arguments)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, -0.1, np.nan])
def test_confidence_is_between_0_and_1(confidence):
    with pytest.raises(ValueError, match="confidence must be between 0 and 1; got"):
        fit_power_law(SIZES, 1.0 / SIZES, confidence=confidence)


def test_repr():
    law = fit_power_law(SIZES, 3.0 * SIZES**-0.5 + 0.2, confidence=0.9)
    assert repr(law).startswith("PowerLaw a n^-b + c")
    for part in ("a = 3 [3, 3]", "b = 0.5 [0.5, 0.5]", "c = 0.2 [0.2, 0.2]", "90% intervals"):
        assert part in repr(law)


# ---------------------------------------------------------------------- learning curves


@pytest.mark.compiled
def test_least_squares_learns_as_theory_says():
    """Normal X, d columns and an intercept, noise s: expected half squared errors are
    s²/2 (n + 1) (n - 2) / (n (n - d - 2)) on new rows and s²/2 (1 - (d + 1) / n) on those trained on."""
    d, s, n = 5, 0.7, np.array([14, 20, 40, 80, 160])
    random = np.random.default_rng(0)
    X = random.standard_normal((240 * 30, d))
    y = X @ random.standard_normal(d) + s * random.standard_normal(len(X)) + 1.0
    # 30 experiments of 160 rows to train on and 80 to test on
    folds = [(240 * i + np.arange(160), 240 * i + np.arange(160, 240)) for i in range(30)]
    # a network without a bend is linear, and has no minimum but that of least squares
    least_squares = MiniBatchMLPRegressor(
        hidden_layer_sizes=(3,), activation="identity", solver="lbfgs", alpha=0.0, tol=1e-6, random_state=0
    )
    curve = convergence_curve(
        least_squares, X, y, param_name="train_size", param_range=n, cv=folds, budget={"epochs": 300}, random_state=0
    )
    assert set(curve.summary_["status"]) == {"converged"}
    assert_array_equal(curve.folds_["n_samples"][:, 0], n)
    for name, theory in (
        ("test_loss", s**2 / 2 * (n + 1) * (n - 2) / (n * (n - d - 2))),
        ("train_loss", s**2 / 2 * (1 - (d + 1) / n)),
    ):
        values = curve.folds_[name]
        standard_errors = values.std(axis=1, ddof=1) / np.sqrt(30)
        assert (np.abs(values.mean(axis=1) - theory) < 4 * standard_errors).all(), name
    law = curve.power_law()
    assert law.a > 0.0
    assert_allclose(law.c, s**2 / 2, atol=0.03)
    assert curve.power_law("train_loss").a < 0.0


def test_the_law_of_a_curve_is_that_of_its_means():
    random = np.random.default_rng(0)
    X = random.standard_normal((200, 3))
    y = X[:, 0] + 0.1 * random.standard_normal(200)
    model = MiniBatchMLPRegressor(hidden_layer_sizes=(4,), max_iter=5, tol=None, random_state=0, solver="sgd")
    curve = convergence_curve(model, X, y, param_name="train_size", cv=3)
    folds = curve.folds_["test_loss"]
    law = curve.power_law()
    other = fit_power_law(
        curve.folds_["n_samples"].mean(axis=1), folds.mean(axis=1), folds.std(axis=1, ddof=1) / np.sqrt(3)
    )
    assert repr(law) == repr(other)
