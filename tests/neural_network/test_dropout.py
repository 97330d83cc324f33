"""neural_network: which units dropout leaves out, what a step does without them, and where there is no dropout."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.base import clone

from minibatch import MiniBatchMLPRegressor
from references.network import forward, mean_loss, net_of
from references.network_tasks import NO_STEP, PLAIN, TASKS, X, changed, fitted, theta

# With one feature a row, the gradient of a row's own weights shows the units that it was trained on.
ROWS, UNITS = 120, 60
OWN_FEATURE = {**PLAIN, "activation": "identity", "hidden_layer_sizes": (UNITS,), "max_iter": 1, "dropout": 0.3}
OWN_FEATURE |= {"learning_rate_init": 1e-3}


def one_hot(**parameters):
    target = np.random.default_rng(1).standard_normal(ROWS) + 20
    return MiniBatchMLPRegressor(**{**OWN_FEATURE, "batch_size": "full", **parameters}), np.eye(ROWS), target


def kept_units(**parameters):
    """Which units (columns) each row (rows) was trained on."""
    model, rows, target = one_hot(**parameters)
    before = clone(model).set_params(**NO_STEP).fit(rows, target).coefs_[0]
    return model.fit(rows, target).coefs_[0] != before


def test_dropout_leaves_out_the_right_share():
    for dropout in (0.1, 0.3, 0.8):
        kept = kept_units(dropout=dropout)
        noise = np.sqrt(dropout * (1 - dropout))
        assert abs(kept.mean() - (1 - dropout)) < 4 * noise / np.sqrt(kept.size)
        # as independent from row to row and from unit to unit
        assert kept.mean(axis=1).std() == pytest.approx(noise / np.sqrt(UNITS), rel=0.3)
        assert kept.mean(axis=0).std() == pytest.approx(noise / np.sqrt(ROWS), rel=0.3)
        together = (kept[:-1] == kept[1:]).mean()
        assert abs(together - (1 - 2 * noise**2)) < 0.03


def test_the_mask_depends_on_the_row_and_not_on_its_batch():
    expected = kept_units()
    for parameters in ({"batch_size": 1}, {"batch_size": 7}, {"batch_size": 7, "shuffle": True}):
        assert_array_equal(kept_units(**parameters), expected)
    assert (kept_units(random_state=1) != expected).mean() > 0.3


def test_every_epoch_has_a_mask_of_its_own():
    model, rows, target = one_hot(warm_start=True)
    first, before = kept_units(), model.fit(rows, target).coefs_[0]
    second = model.fit(rows, target).coefs_[0] != before
    assert (first != second).mean() == pytest.approx(2 * 0.3 * 0.7, abs=0.05)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_step_with_dropout_scales_up_the_units_that_stay(activation):
    """One step of a net with one hidden layer, from the mask that its own weights show."""
    model, rows, target = one_hot(activation=activation, learning_rate_init=1e-3)
    net = net_of(clone(model).set_params(**NO_STEP).fit(rows, target))
    factor = kept_units() / 0.7
    z = net.coefs[0] + net.intercepts[0]
    values = (np.tanh(z) if activation == "tanh" else np.maximum(z, 0)) * factor
    slopes = (1 - np.tanh(z) ** 2 if activation == "tanh" else z > 0) * factor
    delta = (values @ net.coefs[1] + net.intercepts[1] - target[:, None]) / ROWS
    below = delta @ net.coefs[1].T * slopes
    model.fit(rows, target)
    assert_allclose(model.coefs_[0], net.coefs[0] - 1e-3 * below, rtol=1e-10)
    assert_allclose(model.coefs_[1], net.coefs[1] - 1e-3 * values.T @ delta, rtol=1e-10)
    assert_allclose(model.intercepts_[0], net.intercepts[0] - 1e-3 * below.sum(axis=0), rtol=1e-10)


def test_no_dropout_is_none_and_some_is_some():
    without = fitted("classes", batch_size=5)
    assert_array_equal(theta(fitted("classes", batch_size=5, dropout=0.0)), theta(without))
    assert changed(fitted("classes", batch_size=5, dropout=0.5), without)


def test_predictions_and_records_are_without_dropout():
    *_, loss, target = TASKS["classes"]
    model = fitted("classes", dropout=0.5, evaluate_every=1)
    scores, _ = forward(net_of(model), X, "tanh")
    for _ in range(2):
        assert_allclose(model.predict_proba(X), softmax(scores, axis=1), rtol=1e-10)
    assert_allclose(model.history_["train_loss"][-1], mean_loss(net_of(model), X, target, loss, "tanh"), rtol=1e-10)
