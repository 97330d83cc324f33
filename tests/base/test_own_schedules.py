"""learning_rate as a function of a Progress: what it is asked, what its numbers become, with whatever else there is."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.utils._param_validation import InvalidParameterError

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDOneClassSVM,
    MiniBatchSGDRegressor,
)
from minibatch.distributed import fit
from minibatch.model_selection import MiniBatchGridSearchCV, convergence_curve, recommend_batch_size
from minibatch.schedules import Progress, warmup
from minibatch.testing import batch_checks, estimators

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((60, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.1 * RANDOM.standard_normal(60)
LABELS = (Y > 0).astype(int)
LINEAR = (MiniBatchSGDClassifier, MiniBatchSGDRegressor, MiniBatchSGDOneClassSVM)
EVERY = pytest.mark.parametrize(
    "kind", [*LINEAR, MiniBatchMLPClassifier, MiniBatchMLPRegressor], ids=lambda kind: kind.__name__
)


def halves(now):
    """As 'step' with a cycle_length of 2."""
    return 0.5 ** (now.epochs // 2)


def by_updates(now):
    """As 'invscaling' of linear models."""
    return (now.updates + 1.0) ** -0.25


def level(now):
    return 1.0


class Decay:
    """An object, which nobody can hash."""

    __hash__ = None

    def __init__(self, factor):
        self.factor = factor

    def __eq__(self, other):
        return isinstance(other, Decay) and self.factor == other.factor

    def __call__(self, now):
        return self.factor**now.epochs


def model_of(kind, rate=0.02, **parameters):
    own = {"eta0": rate} if kind in LINEAR else {"learning_rate_init": rate, "hidden_layer_sizes": (3,)}
    return kind(**own | {"batch_size": 8, "max_iter": 6, "tol": None, "random_state": 0} | parameters)


def fitted(model, method="fit"):
    return getattr(model, method)(X, LABELS if hasattr(model, "class_weight") else Y)


def parameters_of(model):
    parts = [model.coef_, model.intercept_] if hasattr(model, "coef_") else [*model.coefs_, *model.intercepts_]
    return np.concatenate([np.ravel(part) for part in parts])


@EVERY
@pytest.mark.parametrize(
    ("own", "named"),
    [
        (halves, {"learning_rate": "step", "cycle_length": 2}),
        (level, {"learning_rate": "constant"}),
        (Decay(1.0), {"learning_rate": "constant"}),
    ],
)
def test_schedules_that_have_a_name_are_the_same_by_a_function(kind, own, named):
    ours, theirs = (fitted(model_of(kind, **p)) for p in ({"learning_rate": own}, named))
    assert_array_equal(ours.history_["learning_rate"], theirs.history_["learning_rate"])
    assert_allclose(parameters_of(ours), parameters_of(theirs), rtol=1e-12)
    assert ours.eta0_ == 0.02


@pytest.mark.parametrize("kind", LINEAR)
def test_counts_of_updates_go_on_through_epochs_and_chunks(kind):
    for method in ("fit", "partial_fit"):
        ours, theirs = (model_of(kind, learning_rate=schedule, power_t=0.25) for schedule in (by_updates, "invscaling"))
        for model in (ours, theirs):
            if method == "fit":
                fitted(model)
            else:
                for _ in range(3):
                    model.partial_fit(X, LABELS, *([[0, 1]] if kind is MiniBatchSGDClassifier else []))
        assert_allclose(ours.history_["learning_rate"], theirs.history_["learning_rate"], rtol=1e-14)


class Spy:
    """Keeps what it is asked with."""

    def __init__(self):
        self.asked = []

    def __call__(self, now):
        assert isinstance(now, Progress)
        assert now.epochs.shape == now.updates.shape == now.rows.shape == (now.number,)
        self.asked.append(now)
        return np.ones(now.number)

    def __deepcopy__(self, memo):
        return self


def test_what_it_is_asked_with():
    spy = Spy()
    fitted(model_of(MiniBatchSGDRegressor, learning_rate=spy, tol=1e-3, max_iter=4, n_iter_no_change=50))
    whole = [now for now in spy.asked if now.number == 8]
    assert [now.updates_before for now in whole[:4]] == [0, 8, 16, 24]
    assert [now.epochs_before for now in whole[:4]] == [0.0, 1.0, 2.0, 3.0]
    assert [now.rows_before for now in whole[:4]] == [0, 60, 120, 180]
    assert {now.updates_an_epoch for now in spy.asked} == {8}
    assert_allclose(whole[1].epochs, 1 + np.arange(8) / 8)


def test_several_epochs_in_a_call_are_asked_for_one_by_one():
    """Where nothing looks between epochs they are trained together; with a watch on every epoch they are not."""

    def first_epoch_twice(now):
        return 2.0 if now.epochs_before < 1 else 1.0

    together = fitted(model_of(MiniBatchSGDRegressor, learning_rate=first_epoch_twice, max_iter=40))
    apart = fitted(model_of(MiniBatchSGDRegressor, learning_rate=first_epoch_twice, max_iter=40, evaluate_every=1))
    assert_allclose(together.history_["learning_rate"], apart.history_["learning_rate"], rtol=0)
    assert_allclose(parameters_of(together), parameters_of(apart), rtol=1e-12)
    assert_allclose(together.history_["learning_rate"], np.append(0.04, np.full(39, 0.02)))


@EVERY
def test_first_rates_are_scaled_calibrated_and_warmed_up(kind):
    scaled = model_of(kind, learning_rate=halves, learning_rate_scaling="linear", reference_batch_size=4)
    assert_allclose(fitted(scaled).history_["learning_rate"], 0.04 * 0.5 ** (np.arange(6) // 2))
    warm = fitted(model_of(kind, learning_rate=level, warmup=3))
    assert_allclose(warm.history_["learning_rate"], 0.02 * warmup(np.arange(1, 7.0), 3))
    found = fitted(model_of(kind, learning_rate=halves, rate="auto"))
    assert_allclose(found.history_["learning_rate"], found.eta0_ * 0.5 ** (np.arange(6) // 2))


@EVERY
@pytest.mark.parametrize("schedule", [halves, Decay(0.5)])
def test_clones_pickles_and_searches(kind, schedule):
    model = fitted(model_of(kind, learning_rate=schedule))
    assert clone(model).learning_rate == schedule
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(parameters_of(fitted(loaded)), parameters_of(model))
    grid = {"alpha": [1e-4, 1e-2]} if hasattr(model, "set_params") and kind is not MiniBatchSGDOneClassSVM else {}
    if grid:
        y = LABELS if hasattr(model, "class_weight") else Y
        search = MiniBatchGridSearchCV(clone(model), grid, cv=KFold(2), refit=False).fit(X, y)
        theirs = GridSearchCV(clone(model), grid, cv=KFold(2), refit=False).fit(X, y)
        assert_allclose(search.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-6)


def test_a_lambda_trains_and_cannot_be_pickled():
    model = fitted(model_of(MiniBatchSGDRegressor, learning_rate=lambda now: 0.9**now.epochs))
    assert_allclose(model.history_["learning_rate"], 0.02 * 0.9 ** (np.arange(6) + 7 / 8))
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(model)


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (lambda now: -1.0, "it gave -1.0"),
        (lambda now: np.ones(now.number + 1), f"array of {8} for so many"),
        (lambda now: "fast", "it gave 'fast'"),
        (lambda now: None, "it gave None"),
        (lambda now: np.nan, "it gave nan"),
        (lambda now: np.inf, "it gave inf"),
        (lambda now: 1e308, "comes to a rate of inf"),
    ],
)
@pytest.mark.parametrize("kind", [MiniBatchSGDRegressor, MiniBatchMLPRegressor])
def test_what_is_no_rate_is_refused(kind, gives, said):
    model = fitted(model_of(kind, learning_rate=halves))
    before = parameters_of(model)
    with pytest.raises(ValueError, match=said) as caught:
        fitted(model.set_params(learning_rate=gives, **{model._rate_parameter: 2.0}))
    assert "learning_rate=" in str(caught.value)
    assert_array_equal(parameters_of(model), before)


def raises(now):
    raise KeyError("mine")


def test_errors_reach_the_caller():
    with pytest.raises(KeyError, match="mine"):
        fitted(model_of(MiniBatchSGDRegressor, learning_rate=raises))


@EVERY
def test_a_number_is_still_told_where_it_goes(kind):
    with pytest.raises(InvalidParameterError, match=r"a number goes into .* or a callable"):
        fitted(model_of(kind, learning_rate=0.1))


def test_curves_recommendations_and_workers_take_it():
    model = model_of(MiniBatchSGDRegressor, learning_rate=halves, max_iter=3)
    curve = convergence_curve(model, X, Y, param_range=[8, 16], cv=2)
    assert_allclose(curve.curves_["learning_rate"][0, 0, -1], 0.01)
    advice = recommend_batch_size(clone(model), X, Y, max_seconds=2, random_state=0)
    assert advice.estimator.learning_rate is halves
    driven = fit(clone(model), X, Y, n_workers=1)
    assert_allclose(driven.history_["learning_rate"], [0.02, 0.02, 0.01])


def test_divergence_names_the_first_rate():
    model = model_of(MiniBatchSGDRegressor, rate=1e3, learning_rate=halves)
    with pytest.warns(ConvergenceWarning, match="Lower eta0"):
        fitted(model)


@pytest.mark.parametrize("name", [name for name, _ in batch_checks(MiniBatchSGDRegressor())])
def test_checks_of_batch_sizes_hold(name):
    model = MiniBatchSGDRegressor(learning_rate=by_updates)
    dict(batch_checks(model))[name](model)


def test_strategies_take_one():
    from hypothesis import find

    found = find(estimators("regressor", learning_rate=halves), lambda model: True)
    assert found.learning_rate is halves
