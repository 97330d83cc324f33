"""Hard numbers and hard shapes: the right model, or an error that says what to do; for all four estimators."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._training.rules import WindowRule
from references.fits import (
    BATCH_SIZES,
    CLASSIFIERS,
    FOUR,
    LAYOUTS,
    LINEAR,
    NETWORKS,
    REGRESSORS,
    model_of,
    parameters_of,
    target_of,
)

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 3))
y = X @ [1.0, 2.0, -1.0] + 0.1
ALL_FOUR = pytest.mark.parametrize("estimator", FOUR)
THE_LINEAR = pytest.mark.parametrize("estimator", LINEAR)
EVERY_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS, ids=["dense", "csr"])
EVERY_SIZE = pytest.mark.parametrize("batch_size", BATCH_SIZES)


@pytest.fixture(autouse=True)
def only_our_own_warnings():
    """Of NumPy nothing is heard."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


# ---------------------------------------------------------------------- numbers of any scale


@THE_LINEAR
@EVERY_LAYOUT
@EVERY_SIZE
@pytest.mark.parametrize(
    ("exponent", "dtype"), [(500, np.float64), (27, np.float64), (-500, np.float64), (40, np.float32)], ids=str
)
def test_scaled_columns_give_the_scaled_model_bit_for_bit(estimator, layout, batch_size, exponent, dtype):
    """``c X`` at ``eta / c^2`` has the weights ``w / c``; for powers of two nothing is rounded on the way."""
    target = target_of(estimator, y)

    def fitted(k):
        plain = {"penalty": None, "fit_intercept": False, "rate": 2.0 ** (-5 - 2 * k), "batch_size": batch_size}
        return model_of(estimator, **plain).fit(layout(np.ldexp(X, k).astype(dtype)), target)

    expected, found = fitted(0), fitted(exponent)
    assert found.status_ == "max_iter"
    assert_array_equal(found.coef_, np.ldexp(expected.coef_, -exponent))
    scaled, plain = (layout(np.ldexp(X, k).astype(dtype)) for k in (exponent, 0))
    assert_array_equal(found.predict(scaled), expected.predict(plain))


@pytest.mark.parametrize("estimator", REGRESSORS)
@EVERY_LAYOUT
@EVERY_SIZE
def test_large_targets_scale_the_linear_model(estimator, layout, batch_size):
    """Also those of a network without activation, as far as its last layer goes."""
    if estimator in NETWORKS:
        model = model_of(estimator, batch_size=batch_size, rate=1e-20, solver="sgd").fit(layout(X), 1e8 * y)
        assert_allclose(model.history_["progressive_loss"][-1], 0.5e16 * np.mean(y**2), rtol=1e-6)
        return
    plain = {"penalty": None, "batch_size": batch_size}
    expected = model_of(estimator, **plain).fit(layout(X), y)
    found = model_of(estimator, **plain).fit(layout(X), np.ldexp(y, 27))
    assert_array_equal(parameters_of(found), np.ldexp(parameters_of(expected), 27))


@THE_LINEAR
@pytest.mark.parametrize("batch_size", [1, 8])
def test_the_calibrated_rate_scales_with_the_columns(estimator, batch_size):
    """Rates are powers of two: that of ``c X`` is the one of X over ``c^2``."""
    model = model_of(estimator, rate="auto", penalty=None, fit_intercept=False, batch_size=batch_size)
    target = target_of(estimator, y)
    rates = [model.fit(np.ldexp(X, k), target).eta0_ for k in (20, 27)]
    assert rates[0] < 1.0
    assert rates[1] == np.ldexp(rates[0], -14)


@ALL_FOUR
@EVERY_LAYOUT
@EVERY_SIZE
@pytest.mark.parametrize(("size", "dtype"), [(1e300, np.float64), (3e37, np.float32)])
@pytest.mark.parametrize("more", [{}, {"early_stopping": True, "evaluate_every": 1}], ids=["plain", "watched"])
def test_rows_near_the_largest_number(estimator, layout, batch_size, size, dtype, more):
    """A model of finite numbers; if it diverged, it says so and what to do."""
    rows, target = layout((size * np.clip(X, -3, 3)).astype(dtype)), target_of(estimator, y)
    model = model_of(estimator, batch_size=batch_size, **more)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(rows, target)
    assert np.isfinite(parameters_of(model)).all()
    assert [warning.category for warning in caught] == [ConvergenceWarning] * (model.status_ == "diverged")
    for warning in caught:
        assert "scale X with StandardScaler" in str(warning.message)
        assert f"largest |x| {np.abs(rows).max():.3g}" in str(warning.message)
    if estimator in CLASSIFIERS:
        assert set(model.predict(rows)) <= {0, 1, 2}
    assert model.set_params(early_stopping=False).fit(layout(X), target).status_ == "max_iter"


@pytest.mark.parametrize("estimator", NETWORKS)
@EVERY_SIZE
def test_lbfgs_on_rows_near_the_largest_number(estimator, batch_size):
    model = model_of(estimator, solver="lbfgs", batch_size=batch_size)
    model.fit(1e300 * np.clip(X, -3, 3), target_of(estimator, y))
    assert np.isfinite(parameters_of(model)).all()


@ALL_FOUR
@EVERY_LAYOUT
@EVERY_SIZE
@pytest.mark.parametrize(("tiny", "dtype"), [(1e-310, np.float64), (1e-41, np.float32)])
def test_denormal_rows_are_as_good_as_zero(estimator, layout, batch_size, tiny, dtype):
    target, model = target_of(estimator, y), model_of(estimator, batch_size=batch_size)
    found = parameters_of(model.fit(layout((tiny * X).astype(dtype)), target))
    zeros = parameters_of(model.fit(layout(np.zeros_like(X, dtype=dtype)), target))
    assert_allclose(found, zeros, rtol=1e-6, atol=1e-30)


@THE_LINEAR
@EVERY_LAYOUT
def test_columns_of_any_scale_beside_each_other(estimator, layout):
    """One step of gradient descent from 0, column by column."""
    mixed, target = X * [1e8, 1.0, 1e-8], target_of(estimator, y)
    rate = 1e-20
    model = model_of(estimator, rate=rate, penalty=None, batch_size="full", max_iter=1).fit(layout(mixed), target)
    signs = np.where(target[:, None] == range(3), 1.0, -1.0) if estimator in CLASSIFIERS else y[:, None]
    assert_allclose(np.atleast_2d(model.coef_), rate * signs.T @ mixed / 40, rtol=1e-12)


@ALL_FOUR
@EVERY_SIZE
def test_a_scaler_makes_any_scale_the_same(estimator, batch_size):
    target = target_of(estimator, y)
    found = [
        make_pipeline(StandardScaler(), model_of(estimator, batch_size=batch_size)).fit(rows, target).predict(rows)
        for rows in (X, 1e8 * X, np.ldexp(X, [27, 0, -27]))
    ]
    assert_allclose(found[1], found[0], rtol=1e-6, atol=1e-6)
    assert_allclose(found[2], found[0], rtol=1e-6, atol=1e-6)


# ---------------------------------------------------------------------- what overflows on the way


@pytest.mark.parametrize("estimator", REGRESSORS)
@pytest.mark.parametrize("batch_size", [8, "full"])
def test_targets_whose_squares_overflow(estimator, batch_size):
    """Their loss is infinite: a divergence that blames y as well, and no R squared."""
    model = model_of(estimator, batch_size=batch_size, early_stopping=True, evaluate_every=1, tol=1e-3, max_iter=30)
    with pytest.warns(ConvergenceWarning, match=r"largest \|y\| 3e\+300.*divide y by a constant"):
        model.fit(X, 1e300 * y / np.abs(y).max() * 3)
    assert model.status_ == "diverged"
    assert (model.history_["validation_score"] == -np.inf).all()
    assert np.isfinite(model.history_["gradient_norm"]).all()


@pytest.mark.parametrize("estimator", REGRESSORS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_targets_beyond_the_type_of_x(estimator, method):
    model, rows = model_of(estimator).fit(X.astype(np.float32), y), X.astype(np.float32)
    before = parameters_of(model)
    with pytest.raises(ValueError, match=r"y has values too large for float32.*divide y"):
        getattr(model, method)(rows, 1e39 * y)
    with pytest.raises(ValueError, match="y has values too large for float32"):
        model.fit(rows, y, X_val=rows, y_val=1e39 * y)
    assert_array_equal(parameters_of(model), before)


@ALL_FOUR
def test_weights_beyond_the_type_of_x(estimator):
    """``fit`` divides by their mean; ``partial_fit`` takes them as they are."""
    target, rows = target_of(estimator, y), X.astype(np.float32)
    model = model_of(estimator).fit(rows, target, sample_weight=np.full(40, 1e39))
    of_ones = model_of(estimator).fit(rows, target, sample_weight=np.ones(40))
    assert_array_equal(parameters_of(model), parameters_of(of_ones))
    with pytest.raises(ValueError, match=r"sample_weight has values too large for float32.*divide"):
        model.partial_fit(rows, target, sample_weight=np.full(40, 1e39))


def test_the_norm_of_a_gradient_whose_squares_overflow():
    rows, sides = np.ldexp(X, 515), np.where(y > 0, 1.0, -1.0)
    model = model_of(MiniBatchSGDClassifier, rate=2.0**-1050, penalty=None, fit_intercept=False, evaluate_every=1)
    model.set_params(batch_size="full", max_iter=1).fit(rows, sides)
    # of the hinge loss, where all scores are near 0
    assert_allclose(model.history_["gradient_norm"][0], np.ldexp(np.linalg.norm(sides @ X / 40), 515), rtol=1e-12)


@pytest.mark.parametrize("penalty", [None, "l2", "elasticnet"])
def test_weights_whose_squares_overflow(penalty):
    """Without penalty the objective is the loss; with one it is infinite, which is no standstill but a divergence."""
    model = MiniBatchSGDRegressor(penalty=penalty, learning_rate="constant", batch_size="full", max_iter=40)
    model.fit(1e-200 * X, y, coef_init=[1e200, 2e200, -1e200])
    assert model.status_ == ("converged" if penalty is None else "diverged")
    if penalty is None:
        assert_allclose(model.intercept_, 0.1 * (1 - 0.99**model.n_iter_), rtol=1e-9)
        assert_allclose(model.history_["progressive_objective"][0], 0.005)


def test_infinite_objectives_now_and_then_are_no_standstill():
    rule = WindowRule(tol=1e-3, patience=2)
    for objective, met in ((np.inf, False), (1.0, False), (np.inf, False), (1.0, False), (1.0, False), (1.0, False)):
        rule.see(objective, np.nan, np.nan, None)
        assert rule.is_met() == met
    rule.see(1.0, np.nan, np.nan, None)
    assert rule.is_met()


@pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
def test_logarithms_of_probabilities_that_are_zero(loss):
    model = model_of(MiniBatchSGDClassifier, loss=loss).fit(X, target_of(MiniBatchSGDClassifier, y))
    logarithms = model.predict_log_proba(1e6 * X)
    assert (logarithms == -np.inf).any()
    assert_allclose(np.exp(logarithms), model.predict_proba(1e6 * X), rtol=1e-12)


@pytest.mark.parametrize("estimator", LINEAR)
@EVERY_LAYOUT
def test_scores_that_overflow_are_infinite(estimator, layout):
    start = np.full((1, 3), 1e3)
    model = model_of(estimator, rate=1e-9).fit(X, (y > 0).astype(int), coef_init=start)
    for sign in (1, -1):
        far = layout(np.full((1, 3), sign * 1e308))
        if estimator in CLASSIFIERS:
            assert model.decision_function(far) == sign * np.inf
            assert model.predict(far) == (sign + 1) // 2
        else:
            assert model.predict(far) == sign * np.inf


def test_probabilities_of_infinite_scores_are_limits():
    model = model_of(MiniBatchSGDClassifier, rate=1e-9, loss="log_loss", multi_class="multinomial")
    start = np.zeros((3, 3))
    start[0], start[2] = 1e3, -1e3
    model.fit(X, target_of(MiniBatchSGDClassifier, y), coef_init=start)
    far = np.full((2, 3), 1e308) * [[1], [-1]]
    assert_array_equal(model.predict_proba(far), [[1, 0, 0], [0, 0, 1]])
    assert_array_equal(model.predict_log_proba(far)[0], [0, -np.inf, -np.inf])


def test_r_squared_of_one_row_is_not_for_early_stopping():
    for estimator in REGRESSORS:
        model = model_of(estimator).fit(X, y)
        before = parameters_of(model)
        model.set_params(early_stopping=True)
        with pytest.raises(ValueError, match=r"Validation set.*one row.*two or more"):
            model.fit(X, y, X_val=X[:1], y_val=y[:1])
        assert_array_equal(parameters_of(model), before)
        assert model.fit(X, y, X_val=X[:2], y_val=y[:2]).history_.n_epochs == 3


# ---------------------------------------------------------------------- few and many rows and columns


@pytest.mark.parametrize("estimator", REGRESSORS)
@EVERY_LAYOUT
def test_one_row_is_the_same_batch_for_every_size(estimator, layout):
    found = [parameters_of(model_of(estimator, batch_size=n).fit(layout(X[:1]), y[:1])) for n in BATCH_SIZES]
    assert_array_equal(found[1], found[2])
    assert_allclose(found[0], found[2], rtol=1e-13)
    if estimator in LINEAR:  # the residual shrinks by the same factor every epoch
        model = model_of(estimator, penalty=None, batch_size="full").fit(layout(X[:1]), y[:1])
        factor = 1 - 0.03 * (X[0] @ X[0] + 1)
        assert_allclose(y[0] - model.predict(layout(X[:1])), y[0] * factor**3, rtol=1e-12)


@ALL_FOUR
@EVERY_LAYOUT
@EVERY_SIZE
def test_one_column(estimator, layout, batch_size):
    """It is the model of two columns, of which one is 0 (for a network, with the same first weights)."""
    target = target_of(estimator, y)
    model = model_of(estimator, batch_size=batch_size).fit(layout(X[:, :1]), target)
    assert model.n_features_in_ == 1
    if estimator in LINEAR:
        two = model_of(estimator, batch_size=batch_size).fit(np.c_[X[:, 0], np.zeros(40)], target)
        assert_allclose(np.atleast_2d(model.coef_)[:, 0], np.atleast_2d(two.coef_)[:, 0], rtol=1e-12)
    dense = model_of(estimator, batch_size=batch_size).fit(X[:, :1], target)
    assert_allclose(model.predict(layout(X[:, :1])), dense.predict(X[:, :1]), rtol=1e-9)


@ALL_FOUR
@EVERY_LAYOUT
@pytest.mark.parametrize(("shape", "message"), [((40, 0), "0 feature"), ((0, 3), "0 sample")], ids=str)
def test_no_columns_and_no_rows(estimator, layout, shape, message):
    model, empty, target = model_of(estimator), layout(np.empty(shape)), target_of(estimator, y)[: shape[0]]
    with pytest.raises(ValueError, match=message):
        model.fit(empty, target)
    assert not hasattr(model, "n_features_in_")
    if shape[0] == 0:
        with pytest.raises(ValueError, match=f"Validation set.*{message}"):
            model.fit(X, target_of(estimator, y), X_val=empty, y_val=target)
        with pytest.raises(ValueError, match=message):
            model.fit(X, target_of(estimator, y)).predict(empty)


@ALL_FOUR
@EVERY_SIZE
def test_more_columns_than_16_bits_count(estimator, batch_size):
    wide = sp.random_array((6, 70_000), density=1e-3, rng=np.random.default_rng(0), format="lil")
    wide[0, 69_999] = 3.0
    wide = wide.tocsr()
    target = np.arange(6) % 2 if estimator in CLASSIFIERS else np.arange(6.0)
    own = {"hidden_layer_sizes": (2,), "solver": "sgd"} if estimator in NETWORKS else {"penalty": None}
    model = model_of(estimator, batch_size=batch_size, **own)
    sparse = parameters_of(model.fit(wide, target))
    assert_allclose(sparse, parameters_of(model.fit(wide.toarray(), target)), rtol=1e-9, atol=1e-15)
    if estimator is MiniBatchSGDRegressor and batch_size == "full":
        first = model.set_params(max_iter=1).fit(wide, target).coef_
        assert_allclose(first, 0.03 * wide.T @ target / 6, rtol=1e-12)


# ---------------------------------------------------------------------- nothing to learn from


@ALL_FOUR
@EVERY_LAYOUT
def test_rows_that_are_all_the_same(estimator, layout):
    """Every batch has the same gradient: the model depends on the number of updates alone."""
    rows, target = layout(np.tile(X[:1], (20, 1))), np.ones(20)
    labels = {"classes": [0, 1]} if estimator in CLASSIFIERS else {}
    one_by_one = model_of(estimator, batch_size=1).partial_fit(rows, target, **labels)
    at_once = model_of(estimator, batch_size="full")
    for _ in range(20):
        at_once.partial_fit(rows, target, **labels)
    assert one_by_one.n_updates_ == at_once.n_updates_ == 20
    assert_allclose(parameters_of(one_by_one), parameters_of(at_once), rtol=1e-9, atol=1e-12)


@ALL_FOUR
@EVERY_LAYOUT
@EVERY_SIZE
def test_constant_columns(estimator, layout, batch_size):
    """A column of zeros changes nothing, of linear models its weight stays 0; one of ones is a second intercept."""
    target = target_of(estimator, y)
    if estimator in NETWORKS:
        model = model_of(estimator, batch_size=batch_size, alpha=0.0).fit(layout(np.c_[X, np.zeros(40)]), target)
        start = model_of(estimator, rate=1e-300, max_iter=1, solver="sgd").fit(np.c_[X, np.zeros(40)], target)
        assert_array_equal(model.coefs_[0][3], start.coefs_[0][3])
        return
    plain = model_of(estimator, batch_size=batch_size, penalty=None).fit(layout(X), target)
    zeros = model_of(estimator, batch_size=batch_size, penalty=None).fit(layout(np.c_[X, np.zeros(40)]), target)
    ones = model_of(estimator, batch_size=batch_size, penalty=None).fit(layout(np.c_[X, np.ones(40)]), target)
    weights, with_zeros, with_ones = (np.atleast_2d(model.coef_) for model in (plain, zeros, ones))
    assert_array_equal(with_zeros[:, 3], 0.0)
    assert_allclose(with_zeros[:, :3], weights, rtol=1e-12)
    assert_allclose(with_ones[:, 3], np.ravel(ones.intercept_), rtol=1e-9)


@pytest.mark.parametrize("estimator", REGRESSORS)
@EVERY_LAYOUT
def test_a_constant_target_is_the_intercept(estimator, layout):
    """With columns of zeros: ``b`` goes to y by the same factor every epoch; R squared is defined all the same."""
    own = {"penalty": None} if estimator in LINEAR else {"solver": "sgd", "momentum": 0.0, "alpha": 0.0}
    model = model_of(estimator, batch_size="full", rate=0.5, max_iter=60, early_stopping=True, **own)
    model.fit(layout(np.zeros((40, 3))), np.full(40, 7.0))
    assert_allclose(model.predict(layout(np.zeros((40, 3)))), 7.0, rtol=1e-9)
    assert np.isfinite(model.history_["validation_score"]).all()
    if estimator in LINEAR:
        assert_allclose(model.set_params(max_iter=3).fit(layout(np.zeros((40, 3))), np.full(40, 7.0)).intercept_, 6.125)


def test_a_network_of_one_column_and_one_unit():
    model = MiniBatchMLPRegressor(hidden_layer_sizes=(1,), tol=None, max_iter=2, batch_size=1).fit(X[:, :1], y)
    assert model.predict(X[:, :1]).shape == (40,)
