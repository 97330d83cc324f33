"""eta0="auto": the bracket of factors of two, on costs that are known and on data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._training.calibration import lower_end_of_bracket

X, Y = load_breast_cancer(return_X_y=True)
X = scale(X)
AUTO = {"learning_rate": "inverse_time", "eta0": "auto", "random_state": 0}
WHOLE = {"learning_rate_init": "auto", "tol": None, "random_state": 0}


@given(st.integers(-40, 18))
def test_the_answer_is_the_best_power_of_two_or_by_halving_the_one_below(exponent):
    answer = lower_end_of_bracket(lambda eta: abs(np.log2(eta) - exponent))
    assert answer == 2.0 ** (exponent if exponent >= 1 else exponent - 1)


def test_rates_that_run_away_are_left_downwards():
    assert lower_end_of_bracket(lambda eta: np.inf if eta > 1e-3 else 1 / eta) == 2.0**-11
    assert lower_end_of_bracket(lambda eta: np.nan if eta > 0.3 else 1 - eta) == 2.0**-3


def test_a_cost_that_is_never_finite_is_an_error():
    with pytest.raises(ValueError, match="No learning rate"):
        lower_end_of_bracket(lambda eta: np.inf)


def test_full_batch_descent_gets_a_stable_rate_near_its_limit():
    """On one column, 16 updates of gradient descent shrink the error by |1 - eta h| each: best at 1 / h."""
    for h in (0.01, 1.0, 300.0):
        rows = np.full((50, 1), np.sqrt(h))
        model = MiniBatchSGDRegressor(
            penalty=None, fit_intercept=False, batch_size="full", **{**AUTO, "learning_rate": "constant"}
        )
        model.fit(rows, np.full(50, 3.0))
        assert 0.25 / h <= model.eta0_ <= 1.5 / h


@pytest.mark.parametrize("batch_size", [1, 32, "full"])
def test_the_rate_trains_and_follows_the_scale_of_the_columns(batch_size):
    model = MiniBatchSGDClassifier("log_loss", batch_size=batch_size, **AUTO).fit(X, Y)
    assert model.score(X, Y) > 0.95
    larger = MiniBatchSGDClassifier("log_loss", batch_size=batch_size, **AUTO).fit(8 * X, Y)
    assert larger.eta0_ < model.eta0_ / 8


def test_the_calibration_changes_nothing_but_the_rate():
    auto = MiniBatchSGDClassifier("log_loss", max_iter=5, tol=None, **AUTO).fit(X, Y)
    given_ = MiniBatchSGDClassifier("log_loss", max_iter=5, tol=None, **{**AUTO, "eta0": auto.eta0_}).fit(X, Y)
    assert np.array_equal(auto.coef_, given_.coef_)
    assert auto.n_updates_ == given_.n_updates_


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_networks_are_calibrated_too(solver):
    constant = {"solver": solver, "learning_rate": "constant", **WHOLE}
    net = MiniBatchMLPClassifier((8,), max_iter=20, **constant)
    assert net.fit(X, Y).score(X, Y) > 0.95
    assert np.log2(net.eta0_) % 1 == 0
    rows, targets = load_diabetes(return_X_y=True)
    regressor = MiniBatchMLPRegressor(hidden_layer_sizes=(8,), max_iter=50, **constant)
    assert regressor.fit(scale(rows), scale(targets)).score(scale(rows), scale(targets)) > 0.4


def test_what_goes_on_keeps_its_rate():
    model = MiniBatchSGDClassifier("log_loss", batch_size=8, warm_start=True, **AUTO).fit(X, Y)
    first = model.eta0_
    assert model.fit(100 * X, Y).eta0_ == first
    stream = MiniBatchSGDClassifier("log_loss", batch_size=8, **AUTO).partial_fit(X, Y, classes=[0, 1])
    first = stream.eta0_
    assert stream.partial_fit(100 * X, Y).eta0_ == first
    assert stream.fit(100 * X, Y).eta0_ < first
    # but for another batch size, or after a rate that was given, it is calibrated
    assert model.set_params(batch_size="full").fit(X, Y).eta0_ != model.set_params(batch_size=1).fit(X, Y).eta0_
    assert model.set_params(eta0=1e-9).fit(X, Y).eta0_ == 1e-9
    assert model.set_params(eta0="auto").fit(X, Y).eta0_ > 1e-6


def test_rows_of_weight_zero_do_not_count():
    weight = np.r_[np.ones(len(X)), np.zeros(len(X))]
    model = MiniBatchSGDClassifier("log_loss", batch_size=8, **AUTO)
    assert model.fit(np.r_[X, 1e3 * X], np.r_[Y, Y], sample_weight=weight).score(X, Y) > 0.9


def test_short_batches_that_training_leaves_out_are_left_out_of_the_sample():
    rows, labels = np.tile(X, (2, 1))[:1100], np.tile(Y, 2)[:1100]
    net = MiniBatchMLPClassifier((8,), batch_normalization=True, max_iter=2, **WHOLE)
    # 1000 rows in batches of 27 leave one over; in batches of 333 too
    assert net.set_params(batch_size=27).fit(rows, labels).eta0_ > 1e-4
    assert net.set_params(batch_size=333, last_batch="drop").fit(rows, labels).eta0_ > 1e-4
    with pytest.raises(ValueError, match="needs batches of two rows or more"):
        net.set_params(batch_size=1).fit(rows, labels)


def test_the_sample_is_drawn_from_the_rows_that_count():
    weight = np.zeros(len(X))
    weight[[3, 40, 500]] = 1.0
    model = MiniBatchSGDClassifier("log_loss", batch_size=8, max_iter=3, tol=None, **AUTO)
    assert np.isfinite(model.fit(X, Y, sample_weight=weight).eta0_)


def test_columns_of_enormous_scale():
    model = MiniBatchSGDClassifier("log_loss", batch_size=8, fit_intercept=False, max_iter=20, tol=None, **AUTO)
    assert model.fit(1e12 * X, Y).score(1e12 * X, Y) > 0.9
    assert model.eta0_ < 1e-20


def test_a_rate_that_can_only_do_harm_is_said_so():
    model = MiniBatchSGDRegressor(batch_size=1, penalty=None, max_iter=3, tol=None, **{**AUTO, "alpha": 0.1})
    with pytest.warns(ConvergenceWarning, match="found no learning rate that lowers the objective"):
        model.fit(np.zeros((50, 2)), np.tile([-1.0, 1.0], 25))


def test_a_loss_that_is_proportional_to_the_rate_ends_the_search():
    """A perceptron that has nothing to learn from: the lower the rate, the lower the loss, down to 0."""
    model = MiniBatchSGDClassifier("perceptron", solver="momentum", batch_size=1, max_iter=3, tol=None, **AUTO)
    with pytest.warns(ConvergenceWarning, match="found no learning rate that lowers the objective"):
        model.fit(np.zeros((2, 1)), [0, 1])
    assert 0 < model.eta0_ < 1e-100


def test_a_calibrated_rate_leaves_room_for_a_rise():
    model = MiniBatchSGDClassifier("log_loss", max_eta=1e-3, max_iter=5, tol=None, batch_size="full", **AUTO)
    assert model.set_params(learning_rate="one_cycle").fit(X, Y).eta0_ == 1e-3 / 4
