"""What a run is called when it ends: converged only where it has come to rest below where it began."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, make_classification, make_regression
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
from minibatch._training.beginning import HARDLY, Beginning
from minibatch._training.loop import Outcome
from minibatch._training.rules import BestRule
from minibatch.model_selection import ConvergenceScorer, convergence_curve

X, y = make_regression(200, 8, noise=5, random_state=0)
X, y = scale(X), scale(y)
sides = (y > 0).astype(int)
Xb, yb = load_breast_cancer(return_X_y=True)
Xb = scale(Xb)
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
    beginning = Beginning(problem, np.zeros(9), seed=0)
    state, history = problem.new_state(np.linalg.lstsq(np.c_[X, np.ones(200)], y, rcond=None)[0], False), History()
    history.append(epoch=4, n_updates=9, learning_rate=0.1, batch_size=1, progressive_objective=0.6)
    outcome = Outcome("diverged", "", 4, rule, state, history, 0.1)
    said = complaint(model, problem, outcome, beginning)
    assert said.startswith(
        "Diverged: the objective had risen from 0.3 to 0.6 when training ended in epoch 4 (by update 9)"
    )


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
