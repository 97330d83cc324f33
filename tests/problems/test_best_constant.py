"""_problems.best_constant: against a search for the constant with the least objective."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from scipy.special import logit, rel_entr

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._problems.best_constant import best_constant

rng = np.random.default_rng(0)
X, y = rng.standard_normal((60, 2)), rng.gamma(2.0, 3.0, 60)
sides = (rng.random(60) < 0.2).astype(int)
three = rng.choice(3, 60, p=[0.2, 0.3, 0.5])
weight = rng.random(60)
shares = np.append(rng.random(58), [0.0, 1.0])
STILL = {"max_updates": 1, "tol": None, "learning_rate": "constant", "random_state": 0}

# The mean or the median of these is the best constant only where no residual is small.
NEARLY = ("huber", "epsilon_insensitive", "squared_epsilon_insensitive")
REGRESSION = ("squared_error", *NEARLY, "absolute_error", "quantile", "poisson", "gamma")
CLASSIFICATION = ("hinge", "squared_hinge", "log_loss", "modified_huber", *REGRESSION[:4])


def constant_of(model, target, sample_weight=None):
    """Of the problem that the model is fitted to, and the loss of any constant score in it."""
    model.fit(X, target, sample_weight=sample_weight)
    encoded = model._encode(target, False)
    problem = model._new_problem(X, encoded, weight=sample_weight)
    return best_constant(problem), lambda scores: problem.mean_loss(np.tile(scores, (60, 1)))


@pytest.mark.parametrize("sample_weight", [None, weight])
@pytest.mark.parametrize(
    ("estimator", "target", "loss"),
    [(MiniBatchSGDRegressor, y, loss) for loss in REGRESSION]
    + [(MiniBatchSGDRegressor, shares, "log_loss")]
    + [(MiniBatchSGDClassifier, sides, loss) for loss in CLASSIFICATION],
)
def test_no_constant_has_less_loss(estimator, target, loss, sample_weight):
    model = estimator(loss, **STILL)
    model.set_params(**({"quantile": 0.3} if loss == "quantile" else {}))
    constant, loss_of = constant_of(model, target, sample_weight)
    found = minimize_scalar(lambda z: loss_of([z]), bounds=(-30, 30), method="bounded", options={"xatol": 1e-10})
    assert_allclose(loss_of(constant.scores), constant.loss, rtol=1e-12)
    # with a flat or quadratic part of the width epsilon, 0.1, they differ by little
    assert found.fun <= constant.loss + 1e-8
    assert constant.loss <= found.fun + (0.02 if loss in NEARLY else 1e-6)


@pytest.mark.parametrize("class_weight", [None, {0: 1.0, 1: 5.0, 2: 0.5}])
@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_hinge"])
def test_one_vs_rest_is_that_of_every_class(loss, class_weight):
    model = MiniBatchSGDClassifier(loss, **STILL, class_weight=class_weight)
    model.fit(X, three)
    rows = model._checked_rows(X, three, weight, reset=False)
    problem = model._new_problem(X, three, **model._training_weights(rows, None, True))
    constant, total = best_constant(problem), 0.0
    for k in range(3):
        of_class = 1.0 if class_weight is None else class_weight[k]
        s = weight * np.where(three == k, of_class, 1.0)
        alone = MiniBatchSGDClassifier(loss, **STILL)
        one, _ = constant_of(alone, (three == k).astype(int), s)
        assert_allclose(constant.scores[k], one.scores[0], rtol=1e-9)
        total += one.loss
    assert_allclose(constant.loss, total, rtol=1e-6)
    assert constant.unit == constant.loss


@pytest.mark.parametrize("network", [False, True])
def test_the_unit_of_a_softmax_is_the_entropy_of_the_classes(network):
    linear = MiniBatchSGDClassifier("log_loss", multi_class="multinomial", **STILL)
    model = MiniBatchMLPClassifier((2,), **STILL) if network else linear
    constant, _ = constant_of(model, three, weight)
    shares = np.bincount(three, weight) / weight.sum()
    assert_allclose(constant.unit, -shares @ np.log(shares), rtol=1e-12)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_networks(loss):
    constant, _ = constant_of(MiniBatchMLPRegressor(loss, (2,), **STILL), y, weight)
    mean = np.average(y, weights=weight)
    if loss == "poisson":  # half the deviance
        expected = np.average(y * np.log(y / mean) - y + mean, weights=weight)
        assert_allclose(constant.scores, np.log(mean))
    else:
        expected = np.average((y - mean) ** 2, weights=weight) / 2
    assert_allclose(constant.unit, expected, rtol=1e-12)


def test_the_unit_of_shares_is_their_divergence_from_the_mean():
    """Of Kullback and Leibler, on average; of labels, the entropy of the classes."""
    constant, _ = constant_of(MiniBatchSGDRegressor("log_loss", **STILL), shares, weight)
    mean = np.average(shares, weights=weight)
    expected = np.average(rel_entr(shares, mean) + rel_entr(1 - shares, 1 - mean), weights=weight)
    assert_allclose(constant.unit, expected, rtol=1e-12)
    assert_allclose(constant.scores, logit(mean))
    labels, _ = constant_of(MiniBatchSGDRegressor("log_loss", **STILL), sides / 1.0)
    classes, _ = constant_of(MiniBatchSGDClassifier("log_loss", **STILL), sides)
    assert_allclose([labels.unit, labels.loss], [classes.unit, classes.loss], rtol=1e-12)


@pytest.mark.parametrize(("loss", "power"), [("squared_error", 2), ("absolute_error", 1), ("poisson", 1), ("gamma", 0)])
def test_the_unit_scales_as_the_loss(loss, power):
    model = MiniBatchSGDRegressor(loss, **STILL)
    units = [constant_of(model, scale * y)[0].unit for scale in (1.0, 1e-3, 1e3)]
    assert_allclose(units[1:], units[0] * np.array([1e-3, 1e3]) ** power, rtol=1e-9)


def test_targets_that_are_all_the_same():
    model = MiniBatchSGDRegressor(**STILL)
    assert constant_of(model, np.full(60, 4.0))[0].unit == 8.0  # of the score 0
    assert constant_of(model, np.zeros(60))[0].unit == 1.0
    counts = constant_of(MiniBatchSGDRegressor("poisson", **STILL), np.zeros(60))[0]
    assert counts.scores == 0.0
    assert np.isfinite(counts.unit)


def test_rows_held_out_do_not_count():
    model = MiniBatchSGDRegressor(**STILL).fit(X, y)
    rows = np.arange(0, 60, 3)
    constant = best_constant(model._new_problem(X, y, weight=None, rows=rows))
    assert_allclose([constant.scores[0], constant.unit], [y[rows].mean(), y[rows].var() / 2], rtol=1e-12)
