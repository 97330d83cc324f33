"""Every diagnostic refuses the parameters that a fit would refuse, and looks at models that it may look at."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import (
    batch_sharpness,
    batch_sharpness_curve,
    gradient_noise_curve,
    gradient_noise_scale,
    hessian_spectrum,
    learning_rate_range_test,
    norm_test,
    sharpness,
    stability_limit,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((40, 3))
Y = X @ np.ones(3) + RANDOM.standard_normal(40)
OF_FITTED = (batch_sharpness, gradient_noise_scale, hessian_spectrum, norm_test, sharpness, stability_limit)
LINEAR = MiniBatchSGDRegressor(max_iter=2, random_state=0)
NETWORK = MiniBatchMLPRegressor(hidden_layer_sizes=(2,), solver="sgd", max_iter=2, random_state=0)
WRONG = [
    {"batch_size": -3},
    {"batch_size": "foo"},
    {"loss": "foo"},
    {"alpha": -5.0},
    {"solver": "foo"},
    {"momentum": "foo"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
@pytest.mark.parametrize("model", [LINEAR, NETWORK], ids=["linear", "network"])
class TestParametersOfTheEstimator:
    @pytest.mark.parametrize("diagnostic", [stability_limit, gradient_noise_curve, batch_sharpness_curve])
    def test_before_a_fit(self, diagnostic, model, wrong):
        ((name, _),) = wrong.items()
        with pytest.raises(ValueError, match=f"The '{name}' parameter of {type(model).__name__} must be"):
            diagnostic(clone(model).set_params(**wrong), X, Y)

    @pytest.mark.parametrize("diagnostic", OF_FITTED)
    def test_after_a_fit(self, diagnostic, model, wrong):
        ((name, _),) = wrong.items()
        fitted = clone(model).fit(X, Y).set_params(**wrong)
        with pytest.raises(ValueError, match=f"The '{name}' parameter of {type(model).__name__} must be"):
            diagnostic(fitted, X, Y)


class TestParametersThatDoNotGoTogether:
    @pytest.mark.parametrize("diagnostic", OF_FITTED)
    def test_are_refused(self, diagnostic):
        model = clone(LINEAR).fit(X, Y).set_params(penalty="elasticnet", l1_ratio=None)
        with pytest.raises(ValueError, match="l1_ratio must be set"):
            diagnostic(model, X, Y)

    @pytest.mark.parametrize("diagnostic", OF_FITTED)
    def test_those_of_a_learning_rate_that_is_not_used_are_not(self, diagnostic):
        """The loss without its penalty has no 'optimal' rates, which fall as alpha says."""
        model = MiniBatchSGDClassifier("log_loss", learning_rate="optimal", max_iter=2, random_state=0).fit(X, Y > 0)
        before = model.set_params(alpha=0).get_params()
        diagnostic(model, X, Y > 0)
        assert model.get_params() == before

    def test_nor_are_they_before_a_fit(self):
        model = MiniBatchSGDClassifier("log_loss", learning_rate="optimal", alpha=0, eta0="auto")
        assert stability_limit(model, X, Y > 0).exact

    def test_dropout_and_early_stopping_may_be_on(self):
        model = clone(NETWORK).set_params(dropout=0.5, early_stopping=True, warm_start=True).fit(X, Y)
        assert stability_limit(model, X, Y) > 0


def test_scikit_learns_configuration_may_skip_the_constraints():
    model = clone(LINEAR).set_params(tol=-1)
    with pytest.raises(ValueError, match="'tol' parameter"):
        stability_limit(model, X, Y)
    with config_context(skip_parameter_validation=True):
        assert stability_limit(model, X, Y) == stability_limit(LINEAR, X, Y)


class TestNumbersOfAnySize:
    @pytest.mark.parametrize("number", [10**400, 10**19, 10**12])
    @pytest.mark.parametrize("name", ["n_rates", "n_repeats"])
    def test_more_updates_than_anybody_has_time_for_are_refused(self, name, number):
        with pytest.raises(ValueError, match=f"The '{name}' parameter of learning_rate_range_test must be an int in"):
            learning_rate_range_test(LINEAR, X, Y, **{name: number})

    @pytest.mark.parametrize("number", [10**400, 10**19, 2**63])
    def test_a_run_goes_on_until_it_ends(self, number):
        model = clone(LINEAR).set_params(max_iter=1000)
        ends = [
            gradient_noise_curve(model, X, Y, max_updates=number).n_updates[-1],
            gradient_noise_curve(clone(model).set_params(max_updates=number), X, Y).n_updates[-1],
            gradient_noise_curve(clone(model).set_params(max_iter=number), X, Y).n_updates[-1],
        ]
        assert ends == [gradient_noise_curve(model, X, Y).n_updates[-1]] * 3

    def test_a_threshold_whose_square_no_float_holds(self):
        model = clone(LINEAR).set_params(batch_size=20).fit(X, Y)
        found = [norm_test(model, X, Y, theta=theta, random_state=0).suggested_batch_size for theta in (1e308, 1e-320)]
        assert found == [1, len(X)]
