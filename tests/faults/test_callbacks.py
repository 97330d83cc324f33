"""Callbacks, scorers and candidates that fail: the caller hears of it, the model is as it was, the next fit works."""

import pickle
import warnings

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.model_selection import GridSearchCV
from threadpoolctl import ThreadpoolController

from references.fits import BATCH_SIZES, CLASSIFIERS, FOUR, LAYOUTS, NETWORKS, model_of, parameters_of, target_of

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 3))
y = X @ [1.0, 2.0, -1.0] + 0.1
ALL_FOUR = pytest.mark.parametrize("estimator", FOUR)
EVERY_SIZE = pytest.mark.parametrize("batch_size", BATCH_SIZES)
# The four, and the networks' other trainer.
KINDS = {**{estimator.__name__: (estimator, {}) for estimator in FOUR},
         **{f"{estimator.__name__} lbfgs": (estimator, {"solver": "lbfgs"}) for estimator in NETWORKS}}  # fmt: skip
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
HOOKS = [("begin", "fit", 0), ("begin", "epoch", 0), ("begin", "epoch", 1), ("end", "epoch", 0), ("end", "epoch", 2),
         ("end", "fit", 0), ("setup", "fit", 0)]  # fmt: skip


class Callback:
    """Calls ``action`` at one hook, and answers at the ends of tasks with what it gives."""

    def __init__(self, hook, action):
        self.hook, self.action, self.torn_down = hook, action, 0

    def __deepcopy__(self, memo):
        return self

    def _at(self, when, estimator, context, data=None):
        if self.hook == (when, context.task_name, context.task_id):
            return self.action(estimator, data)
        return None

    def setup(self, estimator, context):
        self._at("setup", estimator, context)

    def teardown(self, estimator, context):
        self.torn_down += 1

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self._at("begin", estimator, context, X)

    def on_fit_task_end(self, estimator, context, *, X=None):
        return self._at("end", estimator, context, X)


def raising(error):
    def action(estimator, data):
        estimator.alpha = 77.0  # as a careless callback might leave it
        raise error

    return action


def blas_settings():
    return [library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()]


def attributes_of(model):
    return pickle.dumps({name: value for name, value in vars(model).items() if not name.startswith("_skl")})


# ---------------------------------------------------------------------- exceptions


@EVERY_KIND
@pytest.mark.parametrize("hook", HOOKS, ids=str)
@pytest.mark.parametrize("error", [RuntimeError("own trouble"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_an_exception_at_any_hook(kind, hook, error):
    estimator, parameters = KINDS[kind]
    target, settings = target_of(estimator, y), blas_settings()
    for fitted in (False, True):
        model = model_of(estimator, warm_start=fitted, **parameters)
        if fitted:
            model.fit(X, target)
        before, callback = attributes_of(model), Callback(hook, raising(error))
        model.set_callbacks(callback)
        with pytest.raises(type(error)) as caught:
            model.fit(X, target)
        assert caught.value is error
        assert callback.torn_down == 1
        assert attributes_of(model) == before
        assert blas_settings() == settings
        again, plain = model.set_callbacks(), model_of(estimator, warm_start=fitted, **parameters)
        for _ in range(1 + fitted):
            plain.fit(X, target)
        assert_array_equal(parameters_of(again.fit(X, target)), parameters_of(plain))


@ALL_FOUR
def test_partial_fit_has_no_callbacks(estimator):
    """A call of it is no fit, whatever they would do."""
    target = target_of(estimator, y)
    model = model_of(estimator).fit(X, target).set_callbacks(Callback(("begin", "fit", 0), raising(RuntimeError())))
    assert model.partial_fit(X, target).history_.n_epochs == 4


@ALL_FOUR
def test_a_teardown_that_raises_after_the_fit(estimator):
    """As scikit-learn promises: all are torn down, then the error is raised. The model is fitted by then."""
    target = target_of(estimator, y)

    class Broken(Callback):
        def teardown(self, estimator, context):
            super().teardown(estimator, context)
            raise RuntimeError("own trouble")

    callbacks = [Broken(None, None), Callback(None, None)]
    model = model_of(estimator).set_callbacks(*callbacks)
    with pytest.raises(RuntimeError, match="own trouble"):
        model.fit(X, target)
    assert [callback.torn_down for callback in callbacks] == [1, 1]
    assert_array_equal(parameters_of(model), parameters_of(model_of(estimator).fit(X, target)))


# ---------------------------------------------------------------------- stopping


@EVERY_KIND
@EVERY_SIZE
def test_a_stop_at_once(kind, batch_size):
    estimator, parameters = KINDS[kind]
    target, parameters = target_of(estimator, y), {**parameters, "batch_size": batch_size}
    model = model_of(estimator, **parameters, max_iter=50).set_callbacks(Callback(("end", "epoch", 0), lambda *_: True))
    model.fit(X, target)
    assert (model.status_, model.n_iter_) == ("stopped_by_callback", 1)
    first = model_of(estimator, **parameters, max_iter=1).fit(X, target)
    assert_array_equal(parameters_of(model), parameters_of(first))


# ---------------------------------------------------------------------- meddling

OTHERS = {
    "max_iter": 1, "batch_size": 1, "alpha": 10.0, "tol": 1e3, "early_stopping": True, "n_iter_no_change": 1,
    "learning_rate": "adaptive", "last_batch": "drop", "shuffle": False, "random_state": 5, "warm_start": True,
    "max_updates": 1, "evaluate_every": 1, "batch_growth": 2.0, "momentum": 0.1, "verbose": 0,
}  # fmt: skip
OF_LINEAR = {"eta0": 5.0, "average": True, "penalty": "l1", "solver": "adam", "fit_intercept": False, "n_jobs": 2}
OF_NETWORKS = {
    "activation": "tanh", "hidden_layer_sizes": (9,), "solver": "sgd", "learning_rate_init": 5.0, "dropout": 0.5,
    "batch_normalization": True, "max_fun": 1, "epsilon": 1.0,
}  # fmt: skip


@EVERY_KIND
@pytest.mark.parametrize("hook", [("begin", "fit", 0), ("end", "epoch", 0), ("end", "epoch", 1)], ids=str)
def test_parameters_that_a_callback_changes_are_for_the_next_fit(kind, hook):
    estimator, parameters = KINDS[kind]
    target = target_of(estimator, y)
    others = OTHERS | (OF_NETWORKS if estimator in NETWORKS else OF_LINEAR)
    expected = model_of(estimator, **parameters).fit(X, target)
    callback = Callback(hook, lambda model, _: model.set_params(**others) and None)
    model = model_of(estimator, **parameters).set_callbacks(callback).fit(X, target)
    assert_array_equal(parameters_of(model), parameters_of(expected))
    assert_array_equal(model.predict(X), expected.predict(X))
    assert (model.status_, model.n_iter_) == (expected.status_, expected.n_iter_)
    assert model.alpha == 10.0


@ALL_FOUR
@EVERY_SIZE
@pytest.mark.parametrize("layout", LAYOUTS, ids=["dense", "csr"])
def test_rows_that_a_callback_ruins_are_a_divergence(estimator, batch_size, layout):
    """X is not copied; what becomes of it during the fit is seen. The model is the last finite one."""

    def ruin(_, data):
        (data if isinstance(data, np.ndarray) else data.data)[...] = np.nan

    rows, target = layout(X.copy()), target_of(estimator, y)
    model = model_of(estimator, batch_size=batch_size, max_iter=5)
    with pytest.warns(ConvergenceWarning, match=r"Diverged .* largest \|x\| nan"):
        model.set_callbacks(Callback(("end", "epoch", 1), ruin)).fit(rows, target)
    assert model.status_ == "diverged"
    expected = model_of(estimator, batch_size=batch_size, max_iter=2).fit(layout(X), target)
    # the hinge loss has no slope where a score is not a number: the weights decay on
    assert_allclose(parameters_of(model), parameters_of(expected), rtol=1e-3 if estimator is FOUR[0] else 0)


# ---------------------------------------------------------------------- searches


@ALL_FOUR
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_monitors_in_a_search_on_two_workers(estimator, backend):
    target, grid = target_of(estimator, y), {"batch_size": [8, "full"]}
    scoring = "accuracy" if estimator in CLASSIFIERS else "r2"
    expected = GridSearchCV(model_of(estimator), grid, cv=2).fit(X, target)
    monitor = ScoringMonitor(scoring=scoring)
    search = GridSearchCV(model_of(estimator).set_callbacks(monitor), grid, cv=2, n_jobs=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None))
    with parallel_config(backend=backend):
        search.fit(X, target)
    assert_array_equal(search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
    logs = monitor.get_logs()
    frames = [log.data_as_pandas for log in (logs if isinstance(logs, list) else [logs])]
    epochs = sum((frame["task_name"] == "epoch").sum() for frame in frames)
    assert epochs >= 3  # of the model that is fitted again on all rows at least


def failing_scorer(model, X, y):
    if model.batch_size == 8:
        raise RuntimeError("a scorer's own trouble")
    return 1.0


@ALL_FOUR
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_scorer_that_raises_costs_its_candidate_only(estimator, n_jobs):
    search = GridSearchCV(model_of(estimator), {"batch_size": [8, "full"]}, cv=2, scoring=failing_scorer, n_jobs=n_jobs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, target_of(estimator, y))
    # by workers, warnings are printed
    assert n_jobs == 2 or any("a scorer's own trouble" in str(warning.message) for warning in caught)
    assert_array_equal(search.cv_results_["mean_test_score"], [np.nan, 1.0])
    assert search.best_params_ == {"batch_size": "full"}
    with pytest.raises(RuntimeError, match="own trouble"):
        clone(search).set_params(error_score="raise", n_jobs=1).fit(X, target_of(estimator, y))


BAD = [
    *({"batch_size": [value]} for value in (0, 1.5, "all", None)),
    {"solver": ["newton"]},
    {"alpha": [-1.0]},
    {"early_stopping": [True], "validation_fraction": [1e-9]},
    {"batch_growth": [0.5]},
    {"learning_rate_scaling": ["linear"], "reference_batch_size": [0]},
]


@ALL_FOUR
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_bad_candidates_never_end_a_search(estimator, n_jobs):
    """Those with invalid parameters score nan and say why; one that diverges has a finite model and a score."""
    rate = "learning_rate_init" if estimator in NETWORKS else "eta0"
    grid = [*BAD, {rate: [-1.0]}, {rate: [1e10], "solver": ["sgd"]}, {"batch_size": [8]}]
    search = GridSearchCV(model_of(estimator), grid, cv=2, n_jobs=n_jobs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, target_of(estimator, y))
    scores = search.cv_results_["mean_test_score"]
    assert_array_equal(np.isnan(scores), [*[True] * (len(scores) - 2), False, False])
    assert search.best_params_ == {"batch_size": 8}
    message = next(str(warning.message) for warning in caught if warning.category is FitFailedWarning)
    for name in ("batch_size", "solver", "alpha", "batch_growth", "reference_batch_size", rate):
        assert name in message
    # NumPy is heard from the search only, which squares the scores of the candidate that diverges
    numpys = [warning.filename for warning in caught if warning.category is RuntimeWarning]
    assert all(name.endswith(("_search.py", "_methods.py")) for name in numpys)


@ALL_FOUR
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_divergence_is_no_reason_for_a_score_that_is_not_finite(estimator):
    """The hinge loss, whose slope is bounded, may come down again."""
    model = model_of(estimator, rate=1e30, solver="sgd", batch_size=1, max_iter=30).fit(X, target_of(estimator, y))
    assert model.status_ in (("diverged", "max_iter") if estimator is FOUR[0] else ("diverged",))
    assert np.isfinite(model.score(X, target_of(estimator, y)))
