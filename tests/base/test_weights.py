"""Weights of rows and classes: only their ratios matter, wherever rows are; what is no weight is refused by name."""

import re
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier
from minibatch._base.rows import relative_weights
from minibatch.diagnostics import gradient_noise_scale
from minibatch.model_selection import convergence_curve
from references.fits import CLASSIFIERS, FOUR, LAYOUTS, model_of, parameters_of, target_of

N = 60
random = np.random.default_rng(0)
X = random.standard_normal((N, 3))
y = X @ [1.0, -2.0, 0.5] + 0.3 * random.standard_normal(N)
weight = random.integers(0, 5, N) / 4.0
ALL_FOUR = pytest.mark.parametrize("estimator", FOUR)
BOTH_TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
# 2^-1000 is 1e-301; of the least, 2^-1070, the binary digits of the weights are still there
EXPONENTS = pytest.mark.parametrize("exponent", [130, 1020, -130, -1000, -1070])


# ---------------------------------------------------------------------- only ratios


@ALL_FOUR
@BOTH_TYPES
@EXPONENTS
@pytest.mark.parametrize("layout", LAYOUTS, ids=["dense", "csr"])
def test_weights_of_any_size_are_the_same_weights(estimator, dtype, exponent, layout):
    """Bit for bit, for powers of two; with rows held out by the estimator and given apart."""
    rows, target, far = layout(X.astype(dtype)), target_of(estimator, y), np.ldexp(weight, exponent)
    model = model_of(estimator, evaluate_every=1, batch_size=8)
    early = clone(model).set_params(early_stopping=True)
    for one, w, v in ((model, far, weight), (model, weight, far), (early, far, None)):
        given = {} if v is None else {"X_val": rows, "y_val": target}
        ours = {**given, "sample_weight": w} | ({} if v is None else {"sample_weight_val": v})
        same = {**given, "sample_weight": weight} | ({} if v is None else {"sample_weight_val": weight})
        found, expected = clone(one).fit(rows, target, **ours), clone(one).fit(rows, target, **same)
        assert_array_equal(parameters_of(found), parameters_of(expected))
        for name in ("validation_loss", "validation_score", "train_loss", "objective"):
            assert_array_equal(found.history_[name], expected.history_[name], err_msg=name)
            assert np.isfinite(found.history_[name]).all()


@ALL_FOUR
def test_rows_held_out_may_weigh_much_more_than_those_trained_on(estimator):
    """Else their weights, of mean 1 over the others, would be too large for float32."""
    rows, target = X.astype(np.float32), target_of(estimator, y)
    model = model_of(estimator, early_stopping=True).fit(rows, target)
    uneven = np.where(random.random(N) < 0.5, 1e45, 1.0)
    found = clone(model).fit(rows, target, sample_weight=uneven)
    assert np.isfinite(parameters_of(found)).all()
    assert np.isfinite(found.history_["validation_loss"]).all()


@ALL_FOUR
@EXPONENTS
def test_weights_of_any_size_in_curves_and_diagnostics(estimator, exponent):
    target = target_of(estimator, y)
    model = model_of(estimator).fit(X, target)
    curves, noise = [], []
    for w in (weight, np.ldexp(weight, exponent)):
        curve = convergence_curve(model, X, target, param_range=[8], cv=2, budget={"epochs": 2}, sample_weight=w)
        curves.append(curve.folds_["test_loss"] + curve.folds_["train_loss"])
        noise.append(gradient_noise_scale(model, X, target, sample_weight=w).noise_scale)
    assert_array_equal(*curves)
    assert noise[0] == noise[1]


def test_weights_with_mean_one():
    for scale in (1.0, 1e300, 1e-300, 5e-324):
        w = np.array([1.0, 2.0, 0.0, 3.0]) * scale
        assert_allclose(relative_weights(w, None), [2 / 3, 4 / 3, 0, 2], rtol=1e-15)
        assert_allclose(relative_weights(w, np.array([0, 3])), [0.5, 0, 0, 1.5], rtol=1e-15)
    assert_allclose(relative_weights(np.array([1e308, 1.7e308]), None).mean(), 1.0)


# ---------------------------------------------------------------------- as they are


@ALL_FOUR
@pytest.mark.parametrize(("size", "words"), [(1e39, "large"), (1e-50, "small")])
def test_chunks_whose_weights_float32_does_not_have(estimator, size, words):
    target, own = target_of(estimator, y), {"classes": [0, 1, 2]} if estimator in CLASSIFIERS else {}
    w = np.where(np.arange(N) == 7, size, 1.0)
    for rows in (X.astype(np.float32), sp.csr_array(X.astype(np.float32))):
        with pytest.raises(
            ValueError,
            match=rf"sample_weight has values too {words} for float32.*: {re.escape(f'{size:g}')}\. .*divide",
        ):
            model_of(estimator).partial_fit(rows, target, sample_weight=w, **own)
    if words == "small":
        model_of(estimator).partial_fit(X, target, sample_weight=w, **own)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_chunks_whose_weights_overflow_with_those_of_classes(estimator):
    if estimator is MiniBatchSGDClassifier:  # one against the rest, these are apart
        model = model_of(estimator, class_weight={0: 1e200, 1: 1.0}, loss="log_loss")
        target = (y > 0).astype(int)
    else:
        model, target = model_of(estimator, class_weight={0: 1e200}), target_of(estimator, y)
    with pytest.raises(ValueError, match="sample_weight times class_weight overflows"):
        model.partial_fit(X, target, sample_weight=np.full(N, 1e200), classes=np.unique(target))


# ---------------------------------------------------------------------- classes


class NotTrained(Exception):
    pass


@pytest.mark.parametrize("estimator", CLASSIFIERS)
@pytest.mark.parametrize("bad", [-1.0, -0.5, np.nan, np.inf, -np.inf, None, "2", 1j, 10**400], ids=str)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_is_no_class_weight(estimator, bad, method, monkeypatch):
    def no_data(*_, **__):
        raise NotTrained

    monkeypatch.setattr(estimator, "_checked_rows", no_data)
    model = model_of(estimator, class_weight={0: 2, 1: bad})
    with pytest.raises(ValueError, match="class_weight must have finite numbers, none below 0; class 1 has"):
        getattr(model, method)(X, target_of(estimator, y))
    with pytest.raises(NotTrained):
        getattr(model.set_params(class_weight={0: 2, 1: 0.0}), method)(X, target_of(estimator, y))


def test_what_is_no_class_weight_of_several_labels():
    model = model_of(MiniBatchMLPClassifier, class_weight=[{0: 1.0, 1: 2.0}, {0: np.nan, 1: 1.0}])
    with pytest.raises(ValueError, match="class_weight must have finite numbers, none below 0; class 0 has nan"):
        model.fit(X, np.c_[y > 0, X[:, 0] > 0].astype(int))


@pytest.mark.parametrize("estimator", CLASSIFIERS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_weights_that_leave_no_row(estimator, n_classes):
    target = (y > 0).astype(int) if n_classes == 2 else target_of(estimator, y)
    model = model_of(estimator, class_weight=dict.fromkeys(range(n_classes), 0.0))
    with pytest.raises(ValueError, match=r"weights of all rows to train on are zero.*class_weight"):
        model.fit(X, target)
    model.set_params(class_weight={0: 0.0})
    with pytest.raises(ValueError, match=r"weights of all rows to train on are zero.*class_weight"):
        model.fit(X, target, sample_weight=(target == 0).astype(float))


def test_a_class_without_weight_against_a_rest_of_little():
    """However little: only ratios matter in each of the problems."""
    target = target_of(MiniBatchSGDClassifier, y)
    model = model_of(MiniBatchSGDClassifier, class_weight={1: 0.0}, loss="log_loss", batch_size="full")
    one = model_of(MiniBatchSGDClassifier, loss="log_loss", batch_size="full")
    model.fit(X, target, sample_weight=np.where(target == 1, 1.0, 1e-20))
    one.fit(X, target == 1, sample_weight=(target != 1) / 1.0)
    assert_allclose(model.coef_[1], one.coef_[0], rtol=1e-11)


@pytest.mark.parametrize("size", [1.0, 1e300, 1e-300])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_one_against_the_rest_is_a_problem_with_its_own_weights(size, early_stopping):
    """Three fits of two classes, each with its rows' weights, which the objective divides by their sum."""
    target, of_class = target_of(MiniBatchSGDClassifier, y), {0: 5.0, 2: 0.25}
    plain = {"loss": "log_loss", "batch_size": 8, "early_stopping": early_stopping, "shuffle": False}
    joint = model_of(MiniBatchSGDClassifier, class_weight=of_class, **plain)
    joint.fit(X, target, sample_weight=size * weight)
    if early_stopping:
        assert np.isfinite(joint.history_["validation_loss"]).all()
        return
    for k in range(3):
        own = weight * np.where(target == k, of_class.get(k, 1.0), 1.0)
        one = model_of(MiniBatchSGDClassifier, **plain).fit(X, target == k, sample_weight=own)
        assert_allclose(joint.coef_[k], one.coef_[0], rtol=1e-11)


def test_weights_of_many_classes_cost_no_table():
    """Of 4,000 rows and 400 classes: 12.8 MB in float64."""
    rows, target = random.standard_normal((4000, 3)), np.arange(4000) % 400
    model = MiniBatchSGDClassifier(class_weight="balanced", learning_rate="constant", max_iter=1, tol=None)
    model.fit(rows[:800], target[:800])
    tracemalloc.start()
    model.fit(rows, target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6
