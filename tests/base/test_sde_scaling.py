"""``learning_rate_scaling="sde"``: rates, betas and epsilon of another batch size."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDRegressor
from minibatch.schedules import scale_adam

N, D = 48, 3
rng = np.random.default_rng(0)
X = rng.standard_normal((N, D))
y = X @ [1.0, -2.0, 0.5] + 0.1 * rng.standard_normal(N)
SHARED = {"random_state": 0, "tol": None, "max_iter": 3, "beta_1": 0.9, "beta_2": 0.99, "alpha": 0.01}
KINDS = {
    "linear": (MiniBatchSGDRegressor, {"learning_rate": "constant"}, "eta0", "adam_epsilon"),
    "network": (MiniBatchMLPRegressor, {"hidden_layer_sizes": (4,)}, "learning_rate_init", "epsilon"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def model_of(kind, rate=0.02, epsilon=1e-3, **parameters):
    estimator, more, rate_name, epsilon_name = KINDS[kind]
    return estimator(**{**SHARED, **more, rate_name: rate, epsilon_name: epsilon, "solver": "adam", **parameters})


def theta(model):
    parts = [*model.coefs_, *model.intercepts_] if hasattr(model, "coefs_") else [model.coef_, model.intercept_]
    return np.concatenate([np.ravel(part) for part in parts])


@every_kind
@pytest.mark.parametrize("solver", ["adam", "adamw", "rmsprop"])
@pytest.mark.parametrize(("batch_size", "reference"), [(24, 6), (3, 12), ("full", 32), (8, 8)])
def test_all_numbers_are_those_of_the_batch_size(kind, solver, batch_size, reference):
    scaled = {"learning_rate_scaling": "sde", "reference_batch_size": reference}
    model = model_of(kind, solver=solver, batch_size=batch_size, **scaled).fit(X, y)
    size = N if batch_size == "full" else batch_size
    # rmsprop has no beta_1
    numbers = scale_adam(0.02, reference, size, beta_1=0.9, beta_2=0.99, epsilon=1e-3)
    by_hand = model_of(kind, solver=solver, batch_size=batch_size).set_params(beta_1=numbers["beta_1"])
    by_hand.set_params(beta_2=numbers["beta_2"], **{KINDS[kind][3]: numbers["epsilon"]})
    by_hand.set_params(**{KINDS[kind][2]: numbers["learning_rate"]}).fit(X, y)
    assert_allclose(theta(model), theta(by_hand), rtol=1e-12)
    assert_allclose(model.eta0_, 0.02 * np.sqrt(size / reference))
    if size != reference:
        assert np.abs(theta(model) - theta(model_of(kind, solver=solver, batch_size=batch_size).fit(X, y))).max() > 1e-3


@every_kind
def test_slices_are_an_epoch(kind):
    parameters = {"batch_size": 8, "learning_rate_scaling": "sde", "reference_batch_size": 2, "shuffle": False}
    at_once, sliced = model_of(kind, **parameters).fit(X, y), model_of(kind, **parameters)
    for _ in range(3):
        for start in range(0, N, 8):
            sliced.partial_fit(X[start : start + 8], y[start : start + 8])
    assert_allclose(theta(sliced), theta(at_once), rtol=1e-11)
    short = model_of(kind, **parameters).partial_fit(X[:3], y[:3])  # a short chunk is a short batch of 8
    assert_allclose(short.eta0_, 0.04)


@every_kind
def test_a_batch_that_grows_keeps_the_numbers_of_its_first_size(kind):
    growing = {"batch_size": 6, "batch_growth": 2, "batch_growth_interval": 1, "max_iter": 3}
    scaled = {"learning_rate_scaling": "sde", "reference_batch_size": 3}
    model = model_of(kind, **growing, **scaled).fit(X, y)
    numbers = scale_adam(0.02, 3, 6, beta_1=0.9, beta_2=0.99, epsilon=1e-3)
    by_hand = model_of(kind, numbers["learning_rate"], numbers["epsilon"], **growing)
    by_hand.set_params(beta_1=numbers["beta_1"], beta_2=numbers["beta_2"]).fit(X, y)
    assert model.batch_size_ == 24
    assert_allclose(theta(model), theta(by_hand), rtol=1e-12)


@every_kind
def test_too_large_a_step_is_refused(kind):
    model = model_of(kind, batch_size=40, learning_rate_scaling="sde", reference_batch_size=2)
    message = "'sde' from reference_batch_size=2 to batches of 40: beta_1 would become -1.* Tune the rate"
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert not hasattr(model, "history_")
    model.set_params(solver="rmsprop").fit(X, y)  # has no beta_1; 1 - 20 (1 - 0.99) is positive
    with pytest.raises(ValueError, match="beta_2 would become"):
        model.set_params(beta_2=0.9).fit(X, y)


@every_kind
@pytest.mark.parametrize("solver", ["sgd", "momentum", "adagrad", "schedule_free_adamw"])
def test_it_is_a_rule_for_adam_and_its_kin(kind, solver):
    with pytest.raises(ValueError, match=f"'sde' is a rule for 'adam', 'adamw', 'rmsprop'; got solver='{solver}'"):
        model_of(kind, solver=solver, learning_rate_scaling="sde").fit(X, y)


def test_masters_and_luschis_base_rate():
    """An update at the base rate follows the sum of the gradients: on a linear loss, an epoch is the same for every
    batch size."""
    parameters = {"learning_rate": "constant", "penalty": None, "tol": None, "max_iter": 1, "shuffle": False}
    parameters |= {"eta0": 1e-4, "learning_rate_scaling": "linear", "reference_batch_size": 1}
    found = [
        theta(MiniBatchSGDRegressor("absolute_error", batch_size=size, **parameters).fit(X, y + 100))
        for size in (1, 4, 16, N)
    ]
    for other in found[1:]:
        assert_allclose(other, found[0], rtol=1e-10)


def test_a_calibrated_rate_is_not_scaled():
    model = model_of("linear", "auto", learning_rate_scaling="sde")
    with pytest.raises(ValueError, match=r"learning_rate_scaling='sde' scales a rate .* leave one of them out"):
        model.fit(X, y)
