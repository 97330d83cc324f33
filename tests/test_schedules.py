"""schedules: published points, closed forms, the schedules of scikit-learn; what estimators make of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.base import clone

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch import schedules as S
from minibatch.model_selection import convergence_curve
from minibatch.schedules import Progress
from minibatch.schedules._named import CYCLES, SCHEDULES, Shape, schedule_of

T = np.arange(2000)
X = np.random.default_rng(0).standard_normal((20, 2))
Y = np.arange(20) % 2
SHAPE = Shape(
    eta0=0.1,
    max_eta=0.4,
    power_t=0.25,
    alpha=1e-3,
    batch_size=8,
    length=5.0,
    decay=0.5,
    decay_base=False,
    warmup=0.0,
    by_rows=False,
)


class Looks:
    """The ``Watch`` of a fit: what it is shown."""

    def __init__(self, test, limits):
        self.test, self.limits, self.rows = test, limits, []

    def begin(self, measures, theta): ...

    def see(self, row, theta):
        self.rows.append(row)

    def end(self, theta):
        self.last = theta


def rates_of(name, **shape):
    """Ten epochs of 20 updates."""
    return schedule_of(name, Shape(**{**vars(SHAPE), **shape}))(Progress(200, 0, 0.0, 20, 0))


def last_rates(**parameters):
    """The rate of the last update of every epoch of four updates."""
    model = MiniBatchSGDClassifier(**{"eta0": 0.1, "batch_size": 5, "max_iter": 6, "tol": None, **parameters})
    return model.fit(X, Y).history_["learning_rate"]


def test_constant():
    assert_allclose(S.constant(T, eta0=0.3), np.full(2000, 0.3), rtol=0)


def test_invscaling_halves_at_four_with_a_root():
    rates = S.invscaling(T, eta0=0.4, power_t=0.5)
    assert_allclose(rates[[0, 3, 99]], [0.4, 0.2, 0.04])


def test_power_of_zero_is_constant():
    assert_allclose(S.invscaling(T, eta0=0.4, power_t=0.0), S.constant(T, eta0=0.4))


@pytest.mark.parametrize("alpha", [1e-5, 1e-3, 0.5])
def test_optimal_shrinks_weights_by_a_telescoping_product(alpha):
    """With eta = 1 / (alpha (t0 + t)), the factors 1 - alpha eta multiply to (t0 - 1) / (t0 + T - 1)."""
    t0 = alpha**-0.75
    shrunk = np.prod(1 - alpha * S.optimal(T, alpha=alpha))
    assert_allclose(shrunk, (t0 - 1) / (t0 + len(T) - 1), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("batch_size", [2, 32, "full"])
def test_optimal_for_batches_is_inverse_time_from_a_calibrated_rate(batch_size):
    model = MiniBatchSGDClassifier(learning_rate="optimal", batch_size=batch_size, max_iter=4, tol=None, random_state=0)
    model.fit(X, Y)
    last = model.n_updates_ - 1
    assert_allclose(model.history_["learning_rate"][-1], S.inverse_time(last, model.eta0_, model.alpha), rtol=1e-12)
    assert clone(model).set_params(batch_size=1).fit(X, Y).eta0_ == S.optimal(0, model.alpha)


@pytest.mark.parametrize("eta0", [0.5, 16.0])
def test_inverse_time_is_one_over_alpha_t_shifted_and_shrinks_weights_by_a_telescoping_product(eta0):
    alpha = 1e-3
    rates, t0 = S.inverse_time(T, eta0, alpha), 1 / (alpha * eta0)
    assert_allclose(rates, 1 / (alpha * (T + t0)), rtol=1e-12)
    assert_allclose(np.prod(1 - alpha * rates), (t0 - 1) / (len(T) + t0 - 1), rtol=1e-10)


def test_triangular_at_the_published_points_and_on_average():
    assert_allclose(
        S.triangular(np.array([0, 1000, 2000, 3000, 4000]), 0.001, 0.006, 2000), [0.001, 0.0035, 0.006, 0.0035, 0.001]
    )
    assert_allclose(S.triangular(np.arange(4000), 0.001, 0.006, 2000).mean(), 0.0035, rtol=1e-12)


def test_triangular2_at_the_published_points():
    assert_allclose(S.triangular2(np.array([2000, 6000, 10_000]), 0.001, 0.006, 2000), [0.006, 0.0035, 0.00225])


def test_exp_range_decays_the_amplitude_or_both_bounds():
    peak = 0.99994**2000
    assert_allclose(S.exp_range(2000, 0.001, 0.006, 2000, 0.99994), 0.001 + 0.005 * peak)
    assert_allclose(S.exp_range(2000, 0.001, 0.006, 2000, 0.99994, decay_base=True), 0.006 * peak)
    assert_allclose(S.exp_range(4000, 0.001, 0.006, 2000, 0.99994, decay_base=True), 0.001 * 0.99994**4000)
    assert_allclose(S.exp_range(T, 0.001, 0.006, 300, 1.0), S.triangular(T, 0.001, 0.006, 300))


def test_one_cycle_begins_peaks_and_ends_where_it_says():
    rates = S.one_cycle(np.arange(1001), 1.0, 1000)
    assert rates.argmax() == 250
    assert_allclose(rates[[0, 250, 1000]], [1 / 25, 1.0, 1e-5])
    assert np.abs(np.diff(rates)).max() < 0.007  # continuous: at most pi / 2 of the mean slope of the rise
    assert_allclose(S.one_cycle(5000, 1.0, 1000), 1e-5)


def test_cosine_is_symmetric_and_starts_again():
    rates = S.cosine(np.arange(300), 0.2, 100)
    assert_allclose(rates[:100], rates[100:200])
    assert_allclose(rates[1:100] + rates[99:0:-1], 0.2)


def test_step_multiplies_after_every_step():
    assert_allclose(S.step(np.array([0, 9, 10, 19, 20]), 0.8, 10, 0.1), [0.8, 0.8, 0.08, 0.08, 0.008])


@pytest.mark.parametrize("function", [S.cosine, S.triangular, S.triangular2, S.exp_range, S.one_cycle, S.step])
def test_a_number_and_an_array_give_the_same(function):
    arguments = {
        S.cosine: (0.1, 50),
        S.step: (0.1, 50),
        S.one_cycle: (0.4, 50),
    }.get(function, (0.1, 0.4, 50))
    alone = [float(function(t, *arguments)) for t in range(120)]
    assert_allclose(alone, function(np.arange(120), *arguments), rtol=1e-14)


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_lie_between_zero_and_the_top_and_rise_only_in_cycles(name):
    rates = rates_of(name)
    assert rates.dtype == np.float64
    assert (rates > 0).all()
    assert rates.max() <= (0.4 if name in CYCLES else max(0.1, rates[0]))
    falls = (np.diff(rates) <= 1e-15).all()
    assert falls == (name not in CYCLES and name != "cosine")


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_warm_up_is_linear_and_leaves_the_rest_alone(name):
    cold, warm = rates_of(name), rates_of(name, warmup=2.0)
    assert_allclose(warm[:40] / cold[:40], np.arange(1, 41) / 40)
    assert_allclose(warm[40:], cold[40:], rtol=0)


@given(st.floats(1e-6, 10), st.integers(1, 4096), st.integers(1, 4096))
def test_scaling_there_and_back_gives_the_rate_again(rate, batch_size, other):
    for rule in ("linear", "sqrt", "adam"):
        there = S.scale_learning_rate(rate, batch_size, other, rule=rule)
        assert_allclose(S.scale_learning_rate(there, other, batch_size, rule=rule), rate)


def test_scaling_rules_at_round_numbers():
    assert S.scale_learning_rate(0.1, 32, 256) == 0.8
    assert_allclose(S.scale_learning_rate(0.1, 32, 128, rule="sqrt"), 0.2)
    assert_allclose(S.scale_learning_rate(0.1, 32, 128, rule="adam"), 0.2)


def test_losses_linear_in_the_weights_do_as_much_in_one_large_step_as_in_many_small_ones():
    """k updates with batches of B at rate eta are one with k B at k eta: exactly, where gradients do not change."""
    # far from the kink, epsilon_insensitive has slope 1 for every row
    targets = np.full(20, -1e6)
    common = {"loss": "epsilon_insensitive", "penalty": None, "learning_rate": "constant", "max_iter": 1, "tol": None}
    small = MiniBatchSGDRegressor(batch_size=5, eta0=0.1, **common).fit(X, targets)
    large = MiniBatchSGDRegressor(
        batch_size=20, eta0=0.1, learning_rate_scaling="linear", reference_batch_size=5, **common
    ).fit(X, targets)
    assert large.eta0_ == pytest.approx(0.4)
    assert_allclose(large.coef_, small.coef_, rtol=1e-10)


@pytest.mark.compiled
def test_the_root_rule_keeps_the_size_of_a_noisy_update():
    """Slopes of +1 and -1 alike: E w^2 = eta^2 / B after one update, the same for every B at a rate as its root."""
    targets = 1e6 * np.random.default_rng(0).permutation(np.repeat([-1.0, 1.0], 2000))
    squares = []
    for batch_size in (1, 16, 64):
        model = MiniBatchSGDRegressor(
            "absolute_error", penalty=None, fit_intercept=False, batch_size=batch_size, learning_rate="constant",
            learning_rate_scaling="sqrt", reference_batch_size=1, max_updates=1, tol=None,
        )  # fmt: skip
        fits = [model.set_params(random_state=seed).fit(np.ones((4000, 1)), targets).coef_[0] for seed in range(300)]
        squares.append(np.mean(np.square(fits)) / 0.01**2)
    assert_allclose(squares, 1.0, atol=4 * np.sqrt(2 / 300))  # four standard errors


def test_the_rule_for_adam_goes_there_and_back_and_refuses_a_step_too_large():
    small = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
    large = S.scale_adam(batch_size=32, new_batch_size=128, **small)
    assert_allclose(list(large.values()), [0.002, 0.6, 0.996, 5e-9])
    assert_allclose(list(S.scale_adam(batch_size=128, new_batch_size=32, **large).values()), list(small.values()))
    with pytest.raises(ValueError, match="beta_1 would become -1: a batch 20 times as large"):
        S.scale_adam(batch_size=10, new_batch_size=200, **small)


@pytest.mark.parametrize("wrong", [{"rule": "cube"}, {"batch_size": 0}, {"new_batch_size": -3}])
def test_scaling_refuses_nonsense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        S.scale_learning_rate(**{"learning_rate": 0.1, "batch_size": 1, "new_batch_size": 2, **wrong})


def test_one_over_t_on_a_mean_is_the_mean_whatever_the_batch_size():
    """f = (w - x)^2 / 2 with eta = 1 / t, one epoch in batches of the same size: w is the mean of x."""
    x = np.random.default_rng(0).standard_normal(60)
    for batch_size in (1, 4, 15, 60):
        model = MiniBatchSGDRegressor(
            penalty=None, fit_intercept=False, batch_size=batch_size, max_iter=1, tol=None, learning_rate="invscaling",
            eta0=1.0, power_t=1.0, random_state=batch_size,
        )  # fmt: skip
        assert_allclose(model.fit(np.ones((60, 1)), x, coef_init=np.array([7.0])).coef_, x.mean(), rtol=1e-12)


def test_rates_go_on_over_epochs_and_partial_fits():
    model = MiniBatchSGDClassifier(
        learning_rate="invscaling", eta0=1.0, power_t=1.0, batch_size=5, max_iter=3, tol=None
    )
    assert_allclose(model.fit(X, Y).history_["learning_rate"], [1 / 4, 1 / 8, 1 / 12])
    assert_allclose(model.partial_fit(X, Y).history_["learning_rate"][-1], 1 / 16)


def test_adaptive_divides_the_rate_by_five_at_each_standstill():
    rows, targets = np.random.default_rng(0).standard_normal((30, 2)), np.random.default_rng(1).standard_normal(30)
    model = MiniBatchSGDRegressor(
        learning_rate="adaptive", eta0=0.5, batch_size=5, max_iter=1000, n_iter_no_change=3, tol=1e-3, random_state=0
    ).fit(rows, targets)
    rates = model.history_["learning_rate"]
    steps = rates[1:] / rates[:-1]
    assert model.status_ == "converged"
    assert np.isclose(steps, 1).sum() + np.isclose(steps, 0.2).sum() == len(steps)
    assert rates[-1] <= 1e-6 < rates[0]


@pytest.mark.parametrize("batch_size", [1, 5, 20])
def test_lengths_in_epochs_mean_the_same_for_every_batch_size(batch_size):
    """The rate of the last update of an epoch is that of its place in the cycle."""
    share = batch_size / 20
    at = np.arange(1, 7) - share
    rates = last_rates(batch_size=batch_size, learning_rate="triangular", cycle_length=4, max_eta=0.3)
    assert_allclose(rates, S.triangular(at, 0.1, 0.3, 2))


def test_cycles_have_defaults():
    at = np.arange(1, 7) - 0.25
    assert_allclose(last_rates(learning_rate="triangular"), S.triangular(at, 0.1, 0.4, 4))
    assert_allclose(last_rates(learning_rate="cosine"), S.cosine(at, 0.1, 6))
    assert_allclose(last_rates(learning_rate="cosine", max_updates=12), S.cosine(at[:3], 0.1, 3))
    assert_allclose(last_rates(learning_rate="one_cycle"), S.one_cycle(at, 0.4, 6, eta0=0.1))
    assert_allclose(last_rates(learning_rate="step", cycle_length=2), 0.1 * 0.5 ** np.array([0, 0, 1, 1, 2, 2]))
    assert_allclose(
        last_rates(learning_rate="exp_range", cycle_length=4, decay_base=True),
        S.exp_range(at, 0.1, 0.4, 2, 0.5**0.25, decay_base=True),
    )
    assert_allclose(
        last_rates(learning_rate="inverse_time", alpha=0.5), S.inverse_time(np.arange(3, 24, 4), 0.1, alpha=0.5)
    )


def test_a_scaled_cycle_is_scaled_as_a_whole():
    scaled = last_rates(learning_rate="triangular", learning_rate_scaling="sqrt", reference_batch_size=20)
    assert_allclose(scaled, 0.5 * last_rates(learning_rate="triangular"))
    tops = {"learning_rate": "triangular", "max_eta": 0.3}
    scaled = last_rates(**tops, learning_rate_scaling="sqrt", reference_batch_size=20)
    assert_allclose(scaled, 0.5 * last_rates(**tops))


@pytest.mark.parametrize(
    "model",
    [
        MiniBatchMLPClassifier(
            (3,), learning_rate="constant", learning_rate_init=0.1, max_iter=6, batch_size=5, tol=None
        ),
        MiniBatchMLPRegressor(
            hidden_layer_sizes=(3,),
            learning_rate="constant",
            learning_rate_init=0.1,
            max_iter=6,
            batch_size=5,
            tol=None,
            solver="sgd",
        ),
    ],
)
def test_networks_have_the_same_schedules(model):
    at = np.arange(1, 7) - 0.25
    fit = model.set_params(learning_rate="one_cycle", max_eta=0.2).fit(X, Y)
    assert_allclose(fit.history_["learning_rate"], S.one_cycle(at, 0.2, 6, eta0=0.1))
    assert fit.eta0_ == 0.1


@pytest.mark.parametrize("warm", [False, True])
def test_a_new_fit_begins_its_cycle_anew(warm):
    at = np.arange(1, 7) - 0.25
    for model in (
        MiniBatchSGDClassifier(eta0=0.1, batch_size=5, max_iter=6, tol=None, warm_start=warm),
        MiniBatchMLPClassifier(
            (3,), learning_rate="constant", learning_rate_init=0.1, batch_size=5, max_iter=6, tol=None, warm_start=warm
        ),
    ):
        model.set_params(learning_rate="one_cycle").fit(X, Y)
        assert_allclose(model.fit(X, Y).history_["learning_rate"][-6:], S.one_cycle(at, 0.4, 6, eta0=0.1))


def test_partial_fit_counts_a_call_as_an_epoch_of_a_cycle():
    model = MiniBatchSGDClassifier(learning_rate="triangular", eta0=0.1, cycle_length=4, batch_size=5)
    for _ in range(4):
        model.partial_fit(X, Y, classes=[0, 1])
    assert_allclose(model.history_["learning_rate"], S.triangular(np.arange(1, 5) - 0.25, 0.1, 0.4, 2))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"learning_rate": "inverse_time", "alpha": 0}, "alpha must be > 0"),
        ({"learning_rate": "optimal", "learning_rate_scaling": "sqrt"}, "learning_rate_scaling='sqrt' does nothing"),
        ({"learning_rate": "optimal", "eta0": "auto"}, "eta0='auto' does nothing"),
        ({"learning_rate": "constant", "eta0": "auto", "learning_rate_scaling": "sqrt"}, "leave one of them out"),
        ({"learning_rate": "triangular", "max_eta": 0.05, "eta0": 0.1}, "max_eta must be above eta0"),
        ({"learning_rate": "sawtooth"}, "learning_rate"),
        ({"cycle_length": 0}, "cycle_length"),
        ({"cycle_decay": 1.5}, "cycle_decay"),
        ({"warmup": -1}, "warmup"),
    ],
)
def test_wrong_schedules_are_refused_before_any_work(parameters, words):
    model = MiniBatchSGDClassifier(**parameters)
    with pytest.raises(ValueError, match=words):
        model.fit(X, Y)
    assert not hasattr(model, "eta0_")


@pytest.mark.parametrize("name", SCHEDULES)
def test_cutting_an_epoch_for_an_observer_changes_no_rate(name):
    """Lengths that are whole epochs: a rounding error in their sum would move a step by an update."""
    rows, targets = np.random.default_rng(0).standard_normal((200, 3)), np.ones(200)
    model = MiniBatchSGDRegressor(
        learning_rate=name, cycle_length=1.0, eta0=0.01, alpha=0.1, batch_size=20, max_iter=4, tol=None, random_state=0
    )
    for pieces in (1, 3, 10):
        looks = Looks((rows[:2], targets[:2], None), {"stretches": pieces})
        clone(model)._train(rows, targets, None, watch=looks)
        at_ends = [row["learning_rate"] for row in looks.rows if row["epoch"] % 1 == 0]
        assert np.array_equal(at_ends, model.fit(rows, targets).history_["learning_rate"])
        assert_allclose(looks.last, np.append(model.coef_, model.intercept_), rtol=1e-10, atol=1e-15)


def test_a_schedule_of_the_whole_run_goes_by_the_budget_of_a_curve():
    curve = convergence_curve(
        MiniBatchSGDClassifier(learning_rate="cosine", eta0=0.1, tol=None, random_state=0), X, Y, cv=2,
        param_range=[5], budget={"epochs": 5},
    )  # fmt: skip
    assert_allclose(curve.curves_["learning_rate"][0].ravel()[-1], S.cosine(4.5, 0.1, 5))
    with pytest.raises(ValueError, match="give cycle_length"):
        convergence_curve(
            MiniBatchSGDClassifier(learning_rate="cosine", tol=None), X, Y, cv=2, param_range=[5], budget={"seconds": 1}
        )


def test_eta0_is_the_rate_that_the_schedule_begins_with():
    model = MiniBatchSGDClassifier(learning_rate="optimal", max_iter=1, max_updates=1, batch_size=5).fit(X, Y)
    assert model.eta0_ == model.history_["learning_rate"][0]


def test_a_schedule_means_nothing_to_lbfgs():
    net = MiniBatchMLPClassifier(
        (3,), solver="lbfgs", learning_rate="one_cycle", max_eta=1e-9, learning_rate_init="auto", max_iter=5
    )
    assert np.isnan(net.fit(X, Y).eta0_)


def test_partial_fit_runs_for_max_iter_calls():
    model = MiniBatchSGDClassifier(learning_rate="cosine", eta0=0.1, batch_size=5, max_iter=3)
    for _ in range(3):
        model.partial_fit(X, Y, classes=[0, 1])
    assert_allclose(model.history_["learning_rate"], S.cosine(np.arange(1, 4) - 0.25, 0.1, 3))
