"""What a run is called when it ends: converged only where it has come to rest below where it began."""

import dataclasses
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import linear_model as sk
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

from minibatch import (
    History,
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch._base.complaint import complaint
from minibatch._problems.best_constant import best_constant
from minibatch._training.beginning import CLEARLY, HARDLY, ROWS_LOOKED_AT, VALUES_LOOKED_AT, Beginning
from minibatch._training.loop import Outcome
from minibatch._training.rules import BestRule, ScoreRule, WindowRule
from minibatch.model_selection import ConvergenceScorer, convergence_curve

X, y = make_regression(200, 8, noise=5, random_state=0)
X, y = scale(X), scale(y)
sides = (y > 0).astype(int)
TOO_HIGH = {"learning_rate": "constant", "eta0": 3.0, "batch_size": "full", "random_state": 0}


def fit_and_messages(model, *data, **more):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*data, **more)
    return model, [str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning)]


def objective_of(model, X, y):
    """Of the fitted parameters, and of those that the same fit begins with."""
    problem = model._new_problem(X, model._encode(y, False), weight=None)
    first = model._initial_theta(problem, True, (None, None))
    values = [
        problem.mean_loss(problem.scores(t)) + problem.penalties(t).sum() for t in (model._fitted_theta(problem), first)
    ]
    return *(float(value) for value in values), best_constant(problem)


# ---------------------------------------------------------------------------------------------- runs that rise


@pytest.mark.parametrize("batch_size", [1, 16, "full"])
@pytest.mark.parametrize("rate", [2.5, 5.0])
@pytest.mark.parametrize("estimator", [MiniBatchSGDRegressor, MiniBatchSGDClassifier])
def test_a_run_that_rises_has_diverged(estimator, rate, batch_size):
    loss = "squared_error"
    target = y if estimator is MiniBatchSGDRegressor else sides
    model = estimator(loss, **{**TOO_HIGH, "eta0": rate, "batch_size": batch_size})
    model, messages = fit_and_messages(model, X, target)
    assert model.status_ == "diverged"
    (message,) = messages
    assert message.startswith("Diverged")
    for part in (f"learning rate {rate:.3g}", "largest |x|", "Lower eta0", "StandardScaler"):
        assert part in message


ENDS = {
    "tol": {"tol": 1e-3},
    "max_iter": {"max_iter": 6},
    "max_updates": {"max_updates": 6},
    "a single update": {"max_updates": 1},
    "a callback": {},
}


class StopAtOnce:
    def setup(self, estimator, context): ...
    def teardown(self, estimator, context): ...
    def on_fit_task_begin(self, estimator, context): ...
    def on_fit_task_end(self, estimator, context):
        return context.task_name == "epoch"


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("network", [False, True])
def test_whatever_ends_it(end, network):
    linear = MiniBatchSGDRegressor(**TOO_HIGH)
    net = MiniBatchMLPRegressor(hidden_layer_sizes=(3,), solver="sgd", momentum=0.0, batch_size="full", random_state=0)
    model = net.set_params(learning_rate="constant", learning_rate_init=30.0) if network else linear
    model.set_params(**{"tol": None, "max_iter": 50, **ENDS[end]})
    model = model.set_callbacks(StopAtOnce()) if end == "a callback" else model
    model, messages = fit_and_messages(model, X, y)
    found, first, constant = objective_of(model, X, y)
    assert found > max(first, constant.loss)
    assert model.status_ == "diverged"
    assert len(messages) == 1


def test_the_message_has_both_objectives():
    model, (message,) = fit_and_messages(MiniBatchSGDRegressor(**TOO_HIGH, max_iter=3, tol=None), X, y)
    found, first, _ = objective_of(model, X, y)
    assert f"an objective of {found:.3g}, above the {first:.3g} of its beginning" in message


def test_the_schedule_without_a_first_rate_has_another_remedy():
    model = MiniBatchSGDClassifier("squared_hinge", learning_rate="optimal", batch_size=1, random_state=0, max_iter=3)
    model, (message,) = fit_and_messages(model, 10 * X, sides)
    assert model.status_ == "diverged"
    assert "Set learning_rate='constant' and a low eta0, or scale X" in message


def test_early_stopping_that_keeps_a_model_worse_than_nothing():
    model = MiniBatchSGDRegressor(**{**TOO_HIGH, "eta0": 50.0}, early_stopping=True, max_iter=30)
    model, messages = fit_and_messages(model, X, y)
    assert (model.status_, len(messages)) == ("diverged", 1)


@pytest.mark.parametrize("budget", [{"epochs": 3}, {"updates": 6}, {"samples": 300}])
def test_curves_and_searches_tell_the_same(budget):
    model = MiniBatchSGDRegressor(**{**TOO_HIGH, "tol": None})
    curve = convergence_curve(model, X, y, param_range=[50, "full"], cv=2, budget=budget)
    assert np.ravel(curve.summary_["status"]).tolist() == ["diverged"] * 2
    search = GridSearchCV(
        model.set_params(max_iter=3), {"batch_size": [50, "full"]}, cv=2, scoring=ConvergenceScorer(), refit=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = search.fit(X, y).cv_results_
    assert_array_equal(found["mean_test_status_diverged"], [1.0, 1.0])


def test_a_stable_run_near_its_limit_converges():
    model, messages = fit_and_messages(MiniBatchSGDRegressor(**{**TOO_HIGH, "eta0": 1.0}), X, y)
    assert (model.status_, messages) == ("converged", [])
    assert model.score(X, y) > 0.98


def test_a_warm_start_at_rest_is_no_divergence():
    """Batches leave the model now above where it was, now below."""
    model = MiniBatchSGDRegressor(learning_rate="constant", eta0=0.05, batch_size=4, tol=None, random_state=0)
    model.set_params(max_iter=30).fit(X, y).set_params(warm_start=True, max_iter=1)
    assert [model.fit(X, y).status_ for _ in range(20)] == ["max_iter"] * 20
    model.set_params(max_iter=500, tol=1e-3).fit(X, y)
    assert model.status_ == "converged"


@pytest.mark.parametrize("learning_rate", ["constant", "adaptive"])
def test_a_run_that_comes_down_again_goes_on(learning_rate):
    """The rate rises first, with the objective: nothing has come to rest there."""
    model = MiniBatchSGDRegressor(
        learning_rate="triangular", eta0=0.01, max_eta=2.4, cycle_length=60, batch_size="full", n_iter_no_change=3
    )
    model, messages = fit_and_messages(model, X, y)
    objective = model.history_["progressive_objective"]
    assert model.status_ == "converged"
    assert objective[-1] <= objective[0]
    assert messages == []


def test_a_lower_rate_mends_adaptive_runs_that_rise():
    model = MiniBatchSGDRegressor(**{**TOO_HIGH, "learning_rate": "adaptive"})
    model, messages = fit_and_messages(model, X, y)
    assert (model.status_, messages) == ("converged", [])
    assert model.score(X, y) > 0.98


def test_chunks_are_not_judged():
    """One row of one class has no constant that is worse than any model."""
    model = MiniBatchSGDClassifier("log_loss", learning_rate="constant", eta0=3.0, batch_size=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(50):
            assert model.partial_fit(X[i : i + 1], sides[i : i + 1], classes=[0, 1]).status_ == "max_iter"


def test_the_perceptron_is_compared_with_the_best_constant():
    """At zero, where it begins, its loss is zero, and every model is above that."""
    model, messages = fit_and_messages(MiniBatchSGDClassifier("perceptron", batch_size=8, random_state=0), X, sides)
    assert (model.status_, messages) == ("converged", [])


@pytest.mark.parametrize("scale_of_y", [2e5, 1e-3])
def test_a_network_is_told_to_scale_y(scale_of_y):
    """Its steps are far too small for y, or too large: it stands as still as it stands wrong."""
    rough = scale_of_y * (y + 3.0)
    model, (message,) = fit_and_messages(
        MiniBatchMLPRegressor(hidden_layer_sizes=(5,), max_iter=20, random_state=0), X, rough
    )
    assert model.score(X, rough) < 0
    assert f"worse than a constant, with |y| up to {np.abs(rough).max():.3g}: scale y with TransformedTarget" in message


# ---------------------------------------------------------------------------------------------- a property


@st.composite
def runs(draw):
    """An estimator of any kind, rate and budget, with data."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(4, 60)), draw(st.integers(1, 5))
    rows = random.standard_normal((n, d)) * 10.0 ** draw(st.integers(-2, 3))
    signal = rows @ random.standard_normal(d) + 10.0 ** draw(st.integers(-2, 2)) * random.standard_normal(n)
    rate, batch_size = 10.0 ** draw(st.floats(-4, 2)), draw(st.sampled_from([1, 3, 16, "full"]))
    common = {"batch_size": batch_size, "random_state": 0, "max_iter": draw(st.sampled_from([3, 60])), "alpha": 1e-3}
    common |= {"n_iter_no_change": draw(st.integers(1, 6)), "tol": draw(st.sampled_from([1e-4, 1e-2]))}
    schedule = {"learning_rate": draw(st.sampled_from(["constant", "invscaling", "adaptive", "cosine"])), **common}
    if draw(st.booleans()):
        schedule["max_updates"] = draw(st.integers(1, 40))
    regression = draw(st.booleans())
    target = signal if regression else (signal > np.median(signal)).astype(int)
    kind = draw(st.sampled_from(["linear", "network"]))
    if kind == "network":
        net = MiniBatchMLPRegressor if regression else MiniBatchMLPClassifier
        solver = draw(st.sampled_from(["sgd", "adam"]))
        return net(hidden_layer_sizes=(3,), solver=solver, learning_rate_init=rate, **schedule), rows, target
    linear = MiniBatchSGDRegressor if regression else MiniBatchSGDClassifier
    loss = draw(st.sampled_from(["squared_error", "huber"] if regression else ["hinge", "log_loss", "squared_hinge"]))
    solver = draw(st.sampled_from(["sgd", "momentum", "adam"]))
    return linear(loss, solver=solver, eta0=rate, **schedule), rows, target


def one_row_as_scikit_learn(model):
    schedules = ("constant", "optimal", "invscaling", "adaptive")
    return model.batch_size_ == 1 and model.solver == "sgd" and model.learning_rate in schedules


@given(runs())
def test_converged_is_below_the_start_and_at_rest(run):
    model, rows, target = run
    model, messages = fit_and_messages(model, rows, target)
    found, first, constant = objective_of(model, rows, target)
    assert (model.status_ == "diverged") == any(message.startswith("Diverged") for message in messages)
    objectives, size = model.history_["progressive_objective"], model.n_iter_no_change
    if model.status_ != "diverged" and found > max(first, constant.loss) * (1 + 1e-9):  # cut off on its way down
        assert model.status_ in ("max_iter", "max_updates")
        assert found < objectives[0]
    if model.status_ != "converged":
        return
    assert found <= min(first, constant.loss + HARDLY * constant.unit) * (1 + 1e-9) or one_row_as_scikit_learn(model)
    assert found <= first * (1 + 1e-9)
    if isinstance(model, MiniBatchSGDRegressor | MiniBatchSGDClassifier) and model.batch_size_ > 1:
        if model.learning_rate != "adaptive":
            gain = objectives[-2 * size : -size].mean() - objectives[-size:].mean()
            assert gain <= model.tol * constant.unit * (1 + 1e-9)


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_a_full_batch_at_rest_has_a_small_gradient(rate):
    """A step of gradient descent on a smooth objective lowers it by at least ``rate / 2`` times the squared norm of the
    gradient, where the rate is below the inverse of the largest curvature; and it lowered it by no more than tol."""
    model = MiniBatchSGDRegressor(**{**TOO_HIGH, "eta0": rate}, evaluate_every=1, alpha=0.0).fit(X, y)
    curvature = np.linalg.eigvalsh(np.c_[X, np.ones(200)].T @ np.c_[X, np.ones(200)] / 200).max()
    assert model.status_ == "converged"
    assert rate < 1 / curvature
    size, unit = model.n_iter_no_change, y.var() / 2
    # between the two windows lie ``size`` steps, whose gradients only get smaller
    assert model.history_["gradient_norm"][-1] ** 2 <= model.tol * unit / size * 2 / rate


# ---------------------------------------------------------------------------------------------- where it began


def after(*objectives):
    """A rule that has seen these."""
    return WindowRule(1e-3, 5, objectives=[*objectives])


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_many_rows_are_looked_at_in_part(layout):
    n = 3 * ROWS_LOOKED_AT
    rows = layout(np.random.default_rng(0).standard_normal((n, 2)))
    target = rows @ [1.0, 2.0]
    model = MiniBatchSGDRegressor(max_updates=1, tol=None, learning_rate="constant").fit(rows, target)
    problem = model._new_problem(rows, target, weight=None)
    zeros = np.zeros(3)
    beginning = Beginning(problem, zeros, best_constant(problem), seed=0)
    good, level, slightly, bad = np.array([1.0, 2.0, 0.0]), zeros, np.array([-1e-3, 0.0, 0.0]), np.array([-1.0, 0, 0])
    assert [beginning.judge(theta, after(0.1)) for theta in (good, level, slightly, bad)] == [
        "below",
        "below",
        "failed",
        "failed",
    ]
    assert "first" in vars(beginning)  # all rows were needed, for those that are close
    alone = Beginning(problem, zeros, best_constant(problem), seed=0)
    assert alone.judge(good, after(0.1)) == "below"
    assert "objective" not in vars(alone)
    assert CLEARLY * beginning.constant.unit < beginning.first - beginning.objective(good)


def test_of_wide_rows_fewer_are_looked_at():
    wide = np.random.default_rng(0).standard_normal((2000, 700)).astype(np.float32)
    model = MiniBatchSGDRegressor(max_updates=1, tol=None, learning_rate="constant").fit(wide, wide[:, 0])
    problem = model._new_problem(wide, wide[:, 0], weight=None)
    beginning = Beginning(problem, np.zeros(701, np.float32), best_constant(problem), seed=0)
    good, middling = np.eye(1, 701, dtype=np.float32)[0], 0.1 * np.eye(1, 701, dtype=np.float32)[0]
    assert beginning.judge(good, after(0.1)) == "below"
    assert len(beginning._sample.data.y) == VALUES_LOOKED_AT // 700
    assert beginning.judge(middling, after(0.1)) == "below"  # a fall by a fifth, which so few rows do not show clearly


def test_between_the_beginning_and_the_constant_is_neither():
    model = MiniBatchSGDRegressor(max_updates=1, tol=None, alpha=0.0, learning_rate="constant").fit(X, y)
    problem = model._new_problem(X, y, weight=None)
    best = np.append(np.linalg.lstsq(X, y, rcond=None)[0], 0.0)
    beginning = Beginning(problem, best, best_constant(problem), seed=0)
    assert [beginning.judge(c * best, after(0.1)) for c in (1.0, 0.9, -0.1)] == ["below", "above", "failed"]
    assert beginning.judge(np.full_like(best, 1e300), after(0.1)) == "failed"
    noisy = after(0.1, 0.5, 0.1, 0.5)
    assert beginning.judge(0.9 * best, noisy) == "above"
    warm = dataclasses.replace(beginning, goes_on=True)
    assert warm.judge(0.9 * best, noisy) == "below"  # by its noise


def test_rows_far_outside_count_though_no_sample_holds_them():
    """The sample shows a fall, the mean over all rows a rise."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((20_000, 3))
    target = 0.3 * rows[:, 0] + 0.1 * random.standard_normal(20_000)
    rows[:3] *= 3000
    model = MiniBatchSGDRegressor("huber", learning_rate="constant", eta0=0.02, batch_size=1, random_state=0)
    model, _ = fit_and_messages(model, rows, target)
    found, first, constant = objective_of(model, rows, target)
    assert found > max(first, constant.loss)
    assert model.status_ != "converged"


# ---------------------------------------------------------------------------------------------- rules


def shown(rule, objectives, scores=None, losses=None):
    """Whether the rule is met, after each of the epochs; it sees a state that is the number of the epoch."""

    class Epoch:
        def __init__(self, number):
            self.number = number

        def copy(self):
            return self

    nothing = np.full(len(objectives), np.nan)
    met = []
    for epoch, row in enumerate(
        zip(objectives, nothing if scores is None else scores, nothing if losses is None else losses, strict=True)
    ):
        rule.see(*row, Epoch(epoch))
        met.append(rule.is_met())
    return met


def test_a_rise_is_more_than_noise():
    noise = 0.1 * np.random.default_rng(0).standard_normal(200)
    for rule in (WindowRule, BestRule):
        flat, rising = rule(1e-3, 5), rule(1e-3, 5)
        shown(flat, 1.0 + noise)
        shown(rising, 1.0 + noise + 0.1 * np.arange(200))
        assert not flat.has_risen()
        assert rising.has_risen()
        down_and_up = rule(1e-3, 5)
        shown(down_and_up, np.r_[np.linspace(1.0, 0.5, 20), np.full(40, 0.8) + 0.01 * noise[:40]])
        assert down_and_up.has_risen()
        assert "has risen since epoch 20 of this fit, from 0.5 to 0.8" in down_and_up.why_not_met(True)


def test_tol_is_measured_in_its_unit():
    objectives = 100.0 - 1.0 * np.arange(10)
    assert not shown(WindowRule(1e-2, 5, unit=1.0), objectives)[-1]
    assert shown(WindowRule(1e-2, 5, unit=1000.0), objectives)[-1]
    assert not shown(BestRule(1e-2, 2, unit=1.0), objectives)[-1]
    assert shown(BestRule(1e-2, 2, unit=1000.0), objectives)[-1]


def test_what_comes_down():
    falling = WindowRule(1e-3, 5, objectives=[*(10.0 / np.arange(1, 30))])
    assert falling.comes_down(1.0)
    noise = np.random.default_rng(1).standard_normal(60)
    assert not WindowRule(1e-3, 5, objectives=[5.0, *(3.0 + 0.1 * noise)]).comes_down(3.0)
    assert not WindowRule(1e-3, 5, objectives=[*np.arange(20.0)]).comes_down(20.0)
    assert not WindowRule(1e-3, 5, objectives=[np.inf, 3.0, 2.0, 1.0]).comes_down(1.0)
    assert [WindowRule(1e-3, 5, objectives=[3.0]).comes_down(end) for end in (2.0, 4.0)] == [True, False]


@pytest.mark.parametrize("max_iter", [1, 3])
def test_a_budget_that_ends_a_descent_from_a_high_rate(max_iter):
    """scikit-learn's default schedule begins high: the objective comes down from there, and the model is good."""
    model = MiniBatchSGDClassifier("log_loss", learning_rate="optimal", batch_size=1, random_state=0, max_iter=max_iter)
    model, (message,) = fit_and_messages(model, Xb, yb)
    found, first, _ = objective_of(model, Xb, yb)
    assert found > first
    assert model.status_ == "max_iter"
    assert model.score(Xb, yb) > 0.9
    assert f"The objective is {found:.3g}, still above the {first:.3g} at which the fit began." in message


def test_a_descent_from_a_high_rate_goes_on_until_it_is_below_its_beginning():
    X_iris, y_iris = load_iris(return_X_y=True)
    model = MiniBatchSGDClassifier(learning_rate="optimal", batch_size=1, random_state=0)
    model, messages = fit_and_messages(model, scale(X_iris), y_iris == 1)
    found, first, _ = objective_of(model, scale(X_iris), y_iris == 1)
    assert (model.status_, messages) == ("converged", [])
    assert found <= first


@pytest.mark.parametrize("eta0", [0.01, 0.1, 1.0, 10.0])
def test_without_penalty_the_rate_of_a_perceptron_is_a_unit(eta0):
    model = MiniBatchSGDClassifier("perceptron", penalty=None, learning_rate="constant", eta0=eta0, random_state=0)
    noisy = np.where(np.random.default_rng(0).random(len(X)) < 0.3, 1 - sides, sides)
    model, messages = fit_and_messages(model.set_params(max_iter=20, tol=None), X, noisy)
    assert (model.status_, messages) == ("max_iter", [])


def test_a_rise_that_ends_below_the_beginning_is_said_so():
    rule = BestRule(1e-3, 5, is_scikit_learns=True, objectives=[1.0, 0.3, 0.5, 0.6])
    model = MiniBatchSGDRegressor(learning_rate="constant", eta0=0.1, max_updates=1, tol=None).fit(X, y)
    problem = model._new_problem(X, y, weight=None)
    beginning = Beginning(problem, np.zeros(9), best_constant(problem), seed=0)
    state, history = problem.new_state(np.linalg.lstsq(np.c_[X, np.ones(200)], y, rcond=None)[0], False), History()
    history.append(epoch=4, n_updates=9, learning_rate=0.1, batch_size=1, progressive_objective=0.6)
    outcome = Outcome("diverged", "", 4, rule, state, history, 0.1)
    said = complaint(model, problem, outcome, beginning)
    assert said.startswith(
        "Diverged: the objective had risen from 0.3 to 0.6 when training ended in epoch 4 (by update 9)"
    )


def test_of_equal_scores_the_lowest_loss_is_kept():
    losses = [0.5, 0.4, 0.3, 0.35, 0.36, 0.37, 0.38]
    rule = ScoreRule(1e-3, 3, unit=1.0)
    met = shown(rule, np.zeros(7), np.full(7, 0.9), losses)
    assert met == [False] * 5 + [True] * 2  # three epochs after the loss was lowest
    assert rule.state_to_keep(None).number == 2


def test_a_loss_that_hardly_falls_is_no_progress():
    rule = ScoreRule(1e-3, 3, unit=1.0)
    assert shown(rule, np.zeros(6), np.full(6, 0.9), 0.5 - 1e-5 * np.arange(6)) == [False] * 3 + [True] * 3
    assert rule.state_to_keep(None).number == 5
    slowly = ScoreRule(1e-3, 3, unit=1.0)  # but what adds up to tol within the patience is
    assert not any(shown(slowly, np.zeros(30), np.full(30, 0.9), 0.5 - 5e-4 * np.arange(30)))


def test_a_better_score_counts_more_than_any_loss():
    rule = ScoreRule(1e-3, 3, unit=1.0)
    shown(rule, np.zeros(4), [0.8, 0.9, 0.9, 0.85], [0.1, 0.9, np.nan, 0.01])
    assert rule.state_to_keep(None).number == 1


def test_the_rule_still_improving_says_so():
    rule = BestRule(1e-3, 5)
    shown(rule, [3.0, 2.0, 1.0])
    assert rule.why_not_met(True) == "The objective is still descending by more than tol=0.001."
    rule.unit = 5.0
    assert "tol=0.001 times 5, what a constant leaves to gain." in rule.why_not_met(True)
    score = ScoreRule(1e-3, 5)
    shown(score, np.zeros(3), [0.1, 0.2, 0.3], np.zeros(3))
    assert score.why_not_met(True) == "The validation score is still improving."


# ---------------------------------------------------------------------------------------------- early stopping


@pytest.mark.parametrize("network", [False, True])
def test_few_positives_do_not_stop_training(network):
    """Accuracy is that of the larger class from the first epoch on; the loss, and the order of the scores, are not."""
    rows, few = make_classification(
        4000, 20, n_informative=8, weights=[0.98], flip_y=0.0, class_sep=0.5, random_state=3
    )
    rows = scale(rows)
    common = {"early_stopping": True, "batch_size": 64, "random_state": 0, "max_iter": 200}
    if network:
        model = MiniBatchMLPClassifier(
            (10,), solver="sgd", learning_rate="constant", learning_rate_init=0.002, **common
        )
    else:
        model = MiniBatchSGDClassifier("log_loss", learning_rate="constant", eta0=0.01, **common)
    model.fit(rows, few)
    longest = clone(model).set_params(early_stopping=False, tol=None, max_iter=200).fit(rows, few)
    found, best = (average_precision_score(few, m.predict_proba(rows)[:, 1]) for m in (model, longest))
    assert model.n_iter_ > 30
    assert found > 0.8 * best


# ---------------------------------------------------------------------------------------------- scale


@pytest.mark.parametrize("batch_size", [8, "full"])
@pytest.mark.parametrize("solver", ["sgd", "momentum"])
def test_the_scale_of_y_is_only_a_scale(batch_size, solver):
    model = MiniBatchSGDRegressor(batch_size=batch_size, solver=solver, alpha=0.0, random_state=0)
    plain, *scaled = (clone(model).fit(X, c * y) for c in (1.0, 2.0**-10, 2.0**10))
    for other, c in zip(scaled, (2.0**-10, 2.0**10), strict=True):
        assert (other.n_iter_, other.status_) == (plain.n_iter_, plain.status_)
        assert_allclose(other.coef_, c * plain.coef_, rtol=1e-9)


def test_a_narrow_target_is_learnt_before_it_has_converged():
    """Its spread is far below the default tol."""
    narrow = 0.015 * y + 1.0
    model = MiniBatchSGDRegressor(random_state=0, learning_rate="constant", eta0=0.05).fit(X, narrow)
    assert model.status_ == "converged"
    assert model.score(X, narrow) > 0.95


def test_lbfgs_on_narrow_targets():
    model = MiniBatchMLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", max_iter=500, random_state=0)
    assert model.fit(X, 1e-3 * y).score(X, 1e-3 * y) > 0.9


# ---------------------------------------------------------------------------------------------- scikit-learn's ends

Xb, yb = load_breast_cancer(return_X_y=True)
Xd, yd = load_diabetes(return_X_y=True)
Xb, Xd = scale(Xb), scale(Xd)
SCHEDULES = [("constant", 0.001), ("invscaling", 0.01), ("adaptive", 0.01)]


@pytest.mark.parametrize(("learning_rate", "eta0"), SCHEDULES)
@pytest.mark.parametrize("loss", ["hinge", "log_loss", "modified_huber"])
@pytest.mark.parametrize("alpha", [1e-4, 1e-2])
def test_single_rows_end_where_scikit_learn_ends(loss, learning_rate, eta0, alpha):
    common = {"loss": loss, "learning_rate": learning_rate, "eta0": eta0, "alpha": alpha, "shuffle": False}
    ours = MiniBatchSGDClassifier(batch_size=1, **common).fit(Xb, yb)
    theirs = sk.SGDClassifier(**common).fit(Xb, yb)
    assert (ours.n_iter_, ours.status_) == (theirs.n_iter_, "converged")
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7)


def test_so_with_their_default_schedule():
    ours = MiniBatchSGDClassifier(batch_size=1, learning_rate="optimal", shuffle=False).fit(Xb, yb)
    theirs = sk.SGDClassifier(shuffle=False).fit(Xb, yb)
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7)


@pytest.mark.parametrize(("learning_rate", "eta0"), SCHEDULES)
@pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"])
@pytest.mark.parametrize("penalty", ["l2", None])
def test_so_for_regression(loss, learning_rate, eta0, penalty):
    common = {"loss": loss, "learning_rate": learning_rate, "eta0": eta0, "penalty": penalty, "shuffle": False}
    ours = MiniBatchSGDRegressor(batch_size=1, **common).fit(Xd, scale(yd))
    theirs = sk.SGDRegressor(**common).fit(Xd, scale(yd))
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7)


def test_other_solvers_and_several_outputs_have_the_rule_of_batches():
    common = {"batch_size": 1, "learning_rate": "constant", "eta0": 1e-3, "max_iter": 2, "tol": None}
    model, one = MiniBatchSGDRegressor(**common).fit(X, y), {"unit": 1.0}
    problem = model._new_problem(X, y, weight=None)
    assert isinstance(model._rule(problem, **one), BestRule)
    assert isinstance(clone(model).set_params(solver="adam")._rule(problem, **one), WindowRule)
    assert isinstance(clone(model).set_params(learning_rate="cosine")._rule(problem, **one), WindowRule)
    assert isinstance(clone(model).set_params(batch_size=2)._rule(problem, **one), WindowRule)
    two = model._new_problem(X, np.c_[y, y], weight=None)
    assert isinstance(model._rule(two, **one), WindowRule)
