"""Parameters at the ends of their ranges: a fit works or says what is wrong, and no warning of NumPy comes through."""

import re
import warnings
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.utils._param_validation import InvalidParameterError

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import gradient_noise_curve, learning_rate_range_test, sharpness
from minibatch.model_selection import (
    batch_size_grid,
    convergence_curve,
    fit_power_law,
    fit_steps_to_target,
    memory_required,
    optimal_batch_size,
    steps_to_target,
)
from minibatch.schedules import scale_adam, scale_learning_rate

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 4))
y = (X[:, 0] > 0).astype(int)
HUGE = 10**400  # no float is as large
LINEAR = (MiniBatchSGDClassifier, MiniBatchSGDRegressor)
EVERY = (*LINEAR, MiniBatchMLPClassifier, MiniBatchMLPRegressor)
ESTIMATORS = pytest.mark.parametrize("estimator", EVERY, ids=lambda estimator: estimator.__name__)
SCHEDULES = ("constant", "invscaling", "inverse_time", "step", "cosine", "triangular2", "exp_range", "one_cycle")
COUNTS = [
    ("max_iter", {"max_updates": 30}),
    ("max_updates", {}),
    ("n_iter_no_change", {}),
    ("evaluate_every", {}),
    ("batch_growth_interval", {"batch_growth": 2.0}),
    ("max_batch_size", {"batch_growth": 2.0}),
]


def trained(estimator, **parameters):
    """After six epochs, in silence but for what our own warnings say."""
    parameters = {"learning_rate": "constant", "max_iter": 6, "tol": None, "random_state": 0, **parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return estimator(**parameters).fit(X, y)


def assert_trains_or_refuses(reason, estimator, **parameters):
    """To finite numbers; or it says why not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of divergence
        try:
            model = trained(estimator, **parameters)
        except ValueError as error:
            refusal = str(error)
        else:
            assert np.isfinite([*parameters_of(model), *model.history_["learning_rate"], model.eta0_]).all()
            return
    assert re.search(reason, refusal)


def parameters_of(model):
    names = ("coefs_", "intercepts_") if hasattr(model, "coefs_") else ("coef_", "intercept_")
    return np.concatenate([np.ravel(part) for name in names for part in getattr(model, name)])


@ESTIMATORS
@pytest.mark.parametrize(("name", "others"), COUNTS, ids=[name for name, _ in COUNTS])
def test_counts_may_be_of_any_size(estimator, name, others):
    huge, large = (trained(estimator, **{**others, name: count}) for count in (HUGE, 10**6))
    assert_array_equal(parameters_of(huge), parameters_of(large))


@ESTIMATORS
def test_a_batch_of_any_size_is_all_rows(estimator):
    assert_array_equal(*(parameters_of(trained(estimator, batch_size=size)) for size in (HUGE, "full")))
    assert trained(estimator, batch_size=HUGE).batch_size_ == len(X)
    model = estimator(batch_size=HUGE, learning_rate="constant")
    model.partial_fit(X, y, **({"classes": [0, 1]} if hasattr(model, "class_weight") else {}))
    assert model.n_updates_ == 1


def test_a_run_without_end_ends_when_it_has_converged():
    model = MiniBatchSGDRegressor(max_iter=HUGE, max_updates=HUGE, random_state=0).fit(X, X[:, 0])
    assert model.status_ == "converged"


def test_other_counts_may_be_of_any_size():
    assert trained(MiniBatchSGDRegressor, average=HUGE).status_ == "max_iter"
    assert trained(MiniBatchMLPRegressor, solver="lbfgs", max_fun=HUGE, max_iter=HUGE).n_iter_ > 1
    for budget in ({"epochs": HUGE}, {"updates": HUGE}, {"samples": HUGE}):
        curve = convergence_curve(MiniBatchSGDRegressor(), X, X[:, 0], param_range=[8], cv=2, budget=budget)
        assert curve.folds_["status"].tolist() == [["converged"] * 2]


@ESTIMATORS
def test_a_run_without_end_has_no_length_for_a_schedule(estimator):
    with pytest.raises(ValueError, match=r"max_iter.*cycle_length"):
        trained(estimator, max_iter=HUGE, learning_rate="cosine")
    assert trained(estimator, max_iter=HUGE, max_updates=20, learning_rate="cosine").n_updates_ == 20


@ESTIMATORS
@pytest.mark.parametrize("rule", ["linear", "sqrt"])
def test_a_scaled_rate_is_a_rate(estimator, rule):
    with pytest.raises(ValueError, match=r"(eta0|learning_rate_init)=.*1e-320.*becomes 0 .*reference_batch_size"):
        trained(
            estimator,
            learning_rate_scaling=rule,
            reference_batch_size=HUGE,
            **{estimator._rate_parameter: 1e-320},
        )


@ESTIMATORS
@pytest.mark.parametrize("name", ["alpha", "power_t", "max_eta", "cycle_length", "warmup", "batch_growth", "tol"])
def test_numbers_that_no_float_holds(estimator, name):
    with pytest.raises(InvalidParameterError, match=rf"'{name}' parameter of {estimator.__name__}.*e\+308\]"):
        trained(estimator, **{name: HUGE})


@ESTIMATORS
def test_numbers_in_any_type_of_float(estimator):
    for kind in (np.float16, np.float32):
        model = trained(estimator, alpha=kind(0.5), **{estimator._rate_parameter: kind(0.125)})
        same = trained(estimator, alpha=0.5, **{estimator._rate_parameter: 0.125})
        assert_array_equal(parameters_of(model), parameters_of(same))


@ESTIMATORS
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_share_in_any_type_of_float(estimator, kind):
    assert trained(estimator, batch_size=kind(0.5)).batch_size_ == 20
    grown = trained(estimator, batch_size=2, batch_growth=100.0, batch_growth_interval=1, max_batch_size=kind(0.5))
    assert grown.batch_size_ == 20
    assert memory_required(estimator(), 4, kind(0.5), n_samples=100_000, n_outputs=2).batch_size == 50_000
    for wrong in (kind(1.5), kind(0.0), kind(np.nan)):
        with pytest.raises(InvalidParameterError, match="batch_size"):
            trained(estimator, batch_size=wrong)


@ESTIMATORS
@pytest.mark.parametrize("name", ["alpha", "power_t", "cycle_length", "warmup", "rate"])
def test_extreme_numbers_train_or_are_refused(estimator, name):
    """Rates are finite; what they do to the model is another thing."""
    name = estimator._rate_parameter if name == "rate" else name
    for schedule, value in product(SCHEDULES, (5e-324, 1e-30, 1e30, 1e300, 1.7e308)):
        assert_trains_or_refuses(
            rf"learning_rate='{schedule}' comes to a rate of (nan|inf) .* nearer to 1",
            estimator, **{name: value, "learning_rate": schedule, "batch_size": 8},
        )  # fmt: skip


@pytest.mark.parametrize("estimator", LINEAR)
@pytest.mark.parametrize("alpha", [5e-324, 1e-310, 1e-300, 1e300, 1.7e308])
def test_the_optimal_rate_of_an_extreme_penalty(estimator, alpha):
    assert_trains_or_refuses(f"alpha={alpha:g}", estimator, learning_rate="optimal", alpha=alpha)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_penalty_beyond_all_floats(solver, kind):
    model = MiniBatchMLPRegressor(alpha=1.7e308, solver=solver, max_iter=3, tol=None, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        assert np.isfinite(parameters_of(model.fit(X.astype(kind), y))).all()


# ---------------------------------------------------------------------- what no memory holds


@pytest.mark.parametrize("estimator", EVERY[2:])
@pytest.mark.parametrize(
    "sizes", [(10**19,), 10**19, (10**9, 10**9), (3, HUGE), (10**7, 10**6)], ids=lambda s: str(s)[:9]
)
def test_layers_that_no_memory_holds(estimator, sizes):
    message = rf"hidden_layer_sizes={re.escape(repr(sizes))} with 4 columns of X: .* parameters, and [\d,]+ GB"
    with pytest.raises(ValueError, match=message):
        trained(estimator, hidden_layer_sizes=sizes)


@pytest.mark.parametrize("estimator", EVERY)
def test_columns_that_no_memory_holds(estimator):
    wide = sp.csr_array((np.ones(3), np.array([0, 1, 2**45]), np.arange(4)), shape=(3, 2**45 + 1))
    with pytest.raises(ValueError, match=r"35,184,372,088,833 columns.* GB, more than can be allocated"):
        estimator().fit(wide, [0, 1, 0])


def test_memory_is_counted_without_taking_it():
    net = memory_required(MiniBatchMLPRegressor(hidden_layer_sizes=(10**8, 10**8)), 4, n_samples=100)
    assert net.parts["parameters"] == 8 * (4 * 10**8 + 10**16 + 10**8 + 2 * 10**8 + 1)
    assert memory_required(MiniBatchSGDRegressor(), 10**15, n_samples=100).parts["parameters"] == 8 * (10**15 + 1)
    with pytest.raises(ValueError, match="'n_samples' parameter of memory_required"):
        memory_required(MiniBatchSGDRegressor(), 4, n_samples=HUGE)


# ---------------------------------------------------------------------- functions


def test_arguments_that_no_float_holds():
    rows, target = X, X[:, 0]
    for call, named in (
        (lambda: batch_size_grid(100, max_bytes=HUGE, bytes_per_row=8), "max_bytes=1000"),
        (lambda: scale_learning_rate(0.1, 32, HUGE), "new_batch_size must be a positive number"),
        (lambda: scale_adam(0.1, HUGE, 32), "batch_size must be a positive number"),
        (lambda: fit_power_law([1, 2, 4, HUGE], [4, 3, 2, 1]), "n must be finite"),
        (lambda: fit_steps_to_target([1, 2, HUGE], [4, 3, 2]), "batch_sizes must be finite"),
        (lambda: optimal_batch_size(overhead=HUGE, per_sample=1, critical_batch_size=1), "'overhead'"),
        (lambda: learning_rate_range_test(MiniBatchSGDRegressor(), rows, target, max_rate=HUGE), "'max_rate'"),
        (lambda: sharpness(MiniBatchSGDRegressor().fit(rows, target), rows, target, epsilon=HUGE), "'epsilon'"),
        (lambda: convergence_curve(MiniBatchSGDRegressor(), rows, target, budget={"seconds": HUGE}), "seconds"),
        (lambda: convergence_curve(MiniBatchSGDRegressor(), rows, target, target=HUGE), "target must be a finite"),
    ):
        with pytest.raises(ValueError, match=named):
            call()


def test_counts_of_functions_may_be_of_any_size():
    assert batch_size_grid(HUGE)[-1] == "full"
    model = MiniBatchSGDRegressor(learning_rate="constant", max_iter=3, tol=None, random_state=0)
    curve = gradient_noise_curve(model, X, X[:, 0], n_looks=HUGE)
    assert curve.n_updates.tolist() == [1, 2, 3, 4, 5, 6]
    steps = steps_to_target(
        model, X, X[:, 0], batch_sizes=[8, HUGE], learning_rates=[0.1], target=("train_loss", 0.1), max_updates=HUGE
    )
    assert steps.batch_sizes.tolist() == [8, 40]
