"""What a callback sees during a fit is a model: the one that a fit stopped there leaves."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar

from minibatch import MiniBatchSGDClassifier
from minibatch.diagnostics import gradient_noise_scale
from references.fits import CLASSIFIERS, FOUR, LINEAR, NETWORKS, model_of, parameters_of, target_of
from references.persistence import WAYS, assert_same

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 3))
y = X @ [1.0, 2.0, -1.0] + 0.1
FIVE = 5

EVERYWHERE = {
    "plain": {},
    "invscaling": {"learning_rate": "invscaling"},
    "adaptive": {"learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 2},
    "cosine": {"learning_rate": "cosine", "cycle_length": 7, "warmup": 2.0},
    "calibrated": {"rate": "auto"},
    "early_stopping": {"early_stopping": True, "tol": 1e-3, "n_iter_no_change": 30, "validation_fraction": 0.3},
    "growth": {"batch_growth": 2.0, "batch_growth_interval": 2},
    "evaluated": {"evaluate_every": 2},
    "adamw": {"solver": "adamw"},
}
OF_LINEAR = {
    "average": {"average": True},
    "average from the third epoch": {"average": 150},
    "average to come": {"average": 10_000},
    "nesterov": {"solver": "nesterov"},
    "adagrad": {"solver": "adagrad"},
}
OF_NETWORKS = {
    "lbfgs": {"solver": "lbfgs"},
    "lbfgs stopped early": {"solver": "lbfgs", "early_stopping": True, "tol": 1e-9, "n_iter_no_change": 30},
    "sgd": {"solver": "sgd"},
    "normalized": {"batch_normalization": True, "dropout": 0.3},
    "normalized input": {"batch_normalization": "input"},
    "averaged later": {"learning_rate": "constant", "average": 60},
    "averaged": {"learning_rate": "constant", "average": "ema", "batch_normalization": True, "ghost_batch_size": 4},
}
CASES = [
    pytest.param(estimator, parameters, id=f"{estimator.__name__}-{name}")
    for estimator in FOUR
    for name, parameters in {**EVERYWHERE, **(OF_LINEAR if estimator in LINEAR else OF_NETWORKS)}.items()
]
every_case = pytest.mark.parametrize(("estimator", "parameters"), CASES)
every_estimator = pytest.mark.parametrize("estimator", FOUR)


class Seen:
    """Keeps the models of all epochs and of the end; may do something with each, and stop."""

    def __init__(self, stop_after=None, use=lambda model: None):
        self.models, self.last, self.stop_after, self.use = [], None, stop_after, use

    def setup(self, estimator, context): ...
    def teardown(self, estimator, context): ...
    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.use(fitted_estimator)
        if context.task_name != "epoch":
            self.last = fitted_estimator
            return False
        self.models.append(fitted_estimator)
        return len(self.models) == self.stop_after


def model_for(estimator, parameters):
    return model_of(estimator, **{"max_iter": 9, "batch_size": 16, **parameters})


def seen_in_a_fit(model, target, rows=X, **more):
    seen = Seen(**more)
    fitted = clone(model).set_callbacks(seen).fit(rows, target)
    return seen, fitted.set_callbacks()


def assert_same_model(a, b):
    assert_same(vars(a), vars(b), ignore=("seconds",))


@every_case
def test_it_is_the_model_of_a_fit_that_was_stopped_there(estimator, parameters):
    model, target = model_for(estimator, parameters), target_of(estimator, y)
    seen, _ = seen_in_a_fit(model, target)
    for n_epochs in (1, FIVE):
        _, stopped = seen_in_a_fit(model, target, stop_after=n_epochs)
        assert stopped.n_iter_ == n_epochs
        assert stopped.status_ in ("stopped_by_callback", "diverged")  # at a rate that is too high at first
        assert_same_model(seen.models[n_epochs - 1], stopped)


@every_case
def test_it_goes_on_as_one_that_was_fitted_for_so_long(estimator, parameters, tmp_path):
    model, target = model_for(estimator, parameters), target_of(estimator, y)
    kept = seen_in_a_fit(model, target)[0].models[FIVE - 1]
    five = clone(model).set_params(max_iter=FIVE).fit(X, target)
    assert (kept.n_iter_, five.n_iter_) == (FIVE, FIVE)
    classes = {"classes": np.unique(target)} if estimator in CLASSIFIERS else {}
    for way in (copy.deepcopy, lambda saved: WAYS["pickle"](saved, tmp_path)):
        one, other = (way(start).set_params(max_iter=3) for start in (kept, five))
        if hasattr(model, "partial_fit") and not model.early_stopping:
            for chunk in (slice(0, 20), slice(20, 60)):
                assert_same_model(*(m.partial_fit(X[chunk], target[chunk], **classes) for m in (one, other)))
        assert_same_model(*(m.set_params(warm_start=True).fit(X, target) for m in (one, other)))


@every_estimator
@pytest.mark.parametrize("way", WAYS)
def test_it_can_be_saved(estimator, way, tmp_path):
    """It names no callbacks, which skops would ask to trust."""
    kept = seen_in_a_fit(model_for(estimator, {}), target_of(estimator, y))[0].models[FIVE - 1]
    assert_same_model(WAYS[way](kept, tmp_path), kept)


@every_estimator
def test_it_can_be_cloned_and_diagnosed(estimator):
    model, target = model_for(estimator, {}), target_of(estimator, y)
    kept = seen_in_a_fit(model, target)[0].models[FIVE - 1]
    five = clone(model).set_params(max_iter=FIVE).fit(X, target)
    assert_same_model(clone(kept).fit(X, target), clone(model).fit(X, target))
    assert repr(gradient_noise_scale(kept, X, target)) == repr(gradient_noise_scale(five, X, target))
    assert repr(kept.history_) == repr(five.history_)


@every_case
def test_the_last_one_is_the_fitted_model(estimator, parameters):
    seen, fitted = seen_in_a_fit(model_for(estimator, parameters), target_of(estimator, y))
    assert_same_model(seen.last, fitted)
    last = seen.models[-1]
    if parameters.get("solver") == "lbfgs":  # which hears from SciPy only later that this was all
        last.status_ = fitted.status_
    assert_same_model(last, fitted)


@every_estimator
def test_it_is_a_copy(estimator):
    """Of which the fit knows nothing, whatever becomes of it, and which stays what it was."""
    model, target = model_for(estimator, {}), target_of(estimator, y)
    saved = []

    def use(seen):
        saved.append(pickle.dumps(seen))
        seen = copy.copy(seen) if len(saved) % 2 else seen
        seen.set_params(warm_start=True, max_iter=2).fit(-X, target)
        seen.partial_fit(-X, target)

    seen, fitted = seen_in_a_fit(model, target, use=use)
    assert_same_model(fitted, clone(model).fit(X, target))
    quiet, _ = seen_in_a_fit(model, target)
    assert len(saved) == len(seen.models) + 1 == 10
    for then, now in zip(saved, [*quiet.models, quiet.last], strict=True):
        assert_same_model(pickle.loads(then), now)


@every_estimator
def test_it_has_the_parameters_of_its_fit(estimator):
    """Not those that another callback has changed for the next."""

    class Meddling(Seen):
        def on_fit_task_begin(self, estimator, context):
            estimator.alpha = 77.0

    model, seen = model_for(estimator, {}), Seen()
    model.set_callbacks(Meddling(), seen).fit(X, target_of(estimator, y))
    assert model.alpha == 77.0
    assert {kept.alpha for kept in seen.models} == {1e-4}


@pytest.mark.parametrize("estimator", LINEAR)
def test_an_average_of_an_earlier_fit_is_no_part_of_it(estimator):
    target, seen = target_of(estimator, y), Seen()
    model = model_for(estimator, {"average": True}).fit(X, target)
    model.set_params(average=False).set_callbacks(seen).fit(X, target)
    kept, plain = seen.models[-1], model_for(estimator, {}).fit(X, target)
    assert_array_equal(
        *(parameters_of(m.set_params(average=True, warm_start=True).fit(X, target)) for m in (kept, plain))
    )


@pytest.mark.parametrize("estimator", NETWORKS)
def test_an_earlier_history_is_part_of_it(estimator):
    target, seen = target_of(estimator, y), Seen()
    model = model_for(estimator, {"warm_start": True}).fit(X, target)
    model.set_callbacks(seen).fit(X, target)
    assert_array_equal(seen.models[FIVE - 1].history_["epoch"], np.arange(1, 9 + FIVE + 1))
    assert (seen.models[0].n_iter_, len(seen.models[0].loss_curve_)) == (1, 10)


@every_estimator
def test_a_divergence_is_one(estimator):
    target = target_of(estimator, y)
    rows = np.where(np.arange(60)[:, None] == 7, 1e200, X)
    model = model_for(estimator, {"rate": 1e150, "solver": "sgd", "max_iter": 9})
    if estimator is MiniBatchSGDClassifier:
        model.set_params(loss="squared_hinge")
    seen, fitted = seen_in_a_fit(model, target, rows)
    assert seen.models[-1].status_ == fitted.status_ == "diverged"
    assert_same_model(seen.models[-1], fitted)


def test_a_callback_that_asks_for_nothing_costs_no_model(monkeypatch):
    def no_model(*arguments):
        raise AssertionError

    monkeypatch.setattr("minibatch._base.estimator.model_after", no_model)
    model_of(MiniBatchSGDClassifier).set_callbacks(ProgressBar()).fit(X, target_of(MiniBatchSGDClassifier, y))
