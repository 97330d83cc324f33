"""Sparse rows whose arrays do not fit together are refused, before SciPy or compiled code goes by them."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from minibatch._base.sparse import refuse_damaged
from minibatch.diagnostics import (
    gradient_noise_curve,
    gradient_noise_scale,
    hessian_spectrum,
    learning_rate_range_test,
    norm_test,
    stability_limit,
)
from minibatch.model_selection import convergence_curve, recommend_batch_size, steps_to_target
from references.fits import FOUR, model_of, parameters_of, target_of

N, D = 40, 5
ROWS = sp.random_array((N, D), density=0.5, format="csr", rng=np.random.default_rng(0))
y = ROWS.toarray() @ np.arange(D) + np.random.default_rng(0).standard_normal(N)
STEPS = {"batch_sizes": [4, 8], "learning_rates": [0.01], "target": {"train_loss": 0.1}, "max_updates": 10}
ALL_FOUR = pytest.mark.parametrize("estimator", FOUR)


def last_too_large(X):
    X.indptr[-1] += 1000


def falling(X):
    X.indptr[7] = X.indptr[9] + 1


def negative(X):
    X.indptr[3] = -5


def too_few_rows(X):
    X.indptr = X.indptr[:-2].copy()


def from_another_place(X):
    X.indptr[0] = 2


def too_few_values(X):
    X.data = X.data[:-3].copy()


def halves(X):
    X.indices = X.indices + 0.5


DAMAGE = {
    **{f"column {i}": lambda X, i=i: X.indices.__setitem__(7, i) for i in (D, 1_000_000, -1, -(2**31))},
    **{function.__name__: function for function in (last_too_large, falling, negative, too_few_rows)},
    **{function.__name__: function for function in (from_another_place, too_few_values, halves)},
}


def damaged(damage, X=ROWS):
    X = X.copy()
    DAMAGE[damage](X)
    return X


@ALL_FOUR
@pytest.mark.parametrize("damage", DAMAGE)
def test_every_way_into_an_estimator(estimator, damage):
    target, bad = target_of(estimator, y), damaged(damage)
    model = model_of(estimator).fit(ROWS, target)
    before, words = parameters_of(model), r"X is a sparse matrix of shape \(40, 5\) \(csr\) that is damaged"
    uses = [
        lambda: model_of(estimator).fit(bad, target),
        lambda: model.fit(bad, target),
        lambda: model.fit(ROWS, target, X_val=bad, y_val=target),
        lambda: model.partial_fit(bad, target),
        lambda: model.predict(bad),
        lambda: model.score(bad, target),
    ]
    uses += [
        lambda method=method: getattr(model, method)(bad)
        for method in ("decision_function", "predict_proba", "predict_log_proba")
        if hasattr(model, method)
    ]
    for use in uses:
        with pytest.raises(ValueError, match=words):
            use()
    assert_array_equal(parameters_of(model), before)


@ALL_FOUR
def test_every_way_into_diagnostics_and_searches(estimator):
    target, bad = target_of(estimator, y), damaged("column 1000000")
    model = model_of(estimator).fit(ROWS, target)
    for look in (
        lambda m: gradient_noise_scale(m, bad, target),
        lambda m: gradient_noise_curve(m, bad, target),
        lambda m: hessian_spectrum(m, bad, target),
        lambda m: norm_test(m, bad, target),
        lambda m: stability_limit(m, bad, target),
        lambda m: learning_rate_range_test(m, bad, target),
        lambda m: convergence_curve(m, bad, target, param_range=[4, 8], cv=2),
        lambda m: recommend_batch_size(m, bad, target),
        lambda m: steps_to_target(m, bad, target, **STEPS),
        lambda m: steps_to_target(
            m, ROWS, target, **{**STEPS, "target": {"test_loss": 0.1}}, X_test=bad, y_test=target
        ),
    ):
        for final in (model, make_pipeline(MaxAbsScaler().fit(ROWS), model)):
            with pytest.raises(ValueError, match="sparse matrix"):
                look(copy.deepcopy(final))


@pytest.mark.parametrize("layout", ["csc", "bsr", "coo", "lil", "dia"])
@pytest.mark.parametrize("estimator", FOUR[:1])
def test_layouts_that_would_be_converted_first(layout, estimator):
    X, target = ROWS.asformat(layout), target_of(estimator, y)
    model = model_of(estimator).fit(X, target)
    if layout == "lil":
        X.rows[3] = [0, 77]
        X.data[3] = [1.0, 1.0]
    elif layout == "coo":
        X.coords[0][3] = 77
    elif layout == "dia":
        X.offsets = np.append(X.offsets, np.arange(10, 20)).astype(X.offsets.dtype)
    else:
        X.indices[3] = 77
    for use in (lambda: model.fit(X, target), lambda: model.predict(X)):
        with pytest.raises(ValueError, match=f"X is a sparse matrix of shape .* \\({layout}\\) that is damaged"):
            use()


@pytest.mark.parametrize("damage", ["longer data", "shorter data", "fewer rows"])
def test_lists_that_do_not_fit_together(damage):
    """SciPy writes what data hold into an array that has room for rows."""
    X, model = ROWS.asformat("lil"), model_of(FOUR[0]).fit(ROWS, target_of(FOUR[0], y))
    for i in range(X.shape[0]):
        if damage != "fewer rows":
            X.data[i] = [*X.data[i], *[1.0] * 500] if damage == "longer data" else X.data[i][1:]
    if damage == "fewer rows":
        X.rows = X.rows[:2]
    with pytest.raises(ValueError, match=r"sparse matrix of shape .* that is damaged: rows and data have"):
        model.predict(X)


@given(st.data(), st.sampled_from(["csr", "csc", "bsr", "coo", "lil", "dia", "dok"]))
def test_what_scipy_makes_is_sound_and_what_a_slow_look_refuses_is_not(data, layout):
    shape = data.draw(st.tuples(*[st.integers(1, 6)] * 2))
    X = sp.random_array(shape, density=0.4, rng=np.random.default_rng(data.draw(st.integers(0, 99))), format=layout)
    refuse_damaged(X)
    refuse_damaged(sp.csr_matrix(X))
    X = X.tocsr()
    array = data.draw(st.sampled_from([X.indices, X.indptr]))
    if len(array):
        array[data.draw(st.integers(0, len(array) - 1))] = data.draw(st.integers(-2, 8))

    ends, columns = X.indptr.tolist(), X.indices.tolist()
    rises = ends[0] == 0 and ends == sorted(ends) and ends[-1] <= len(columns)
    if rises and all(0 <= column < shape[1] for column in columns[: ends[-1]]):
        refuse_damaged(X)
        X.check_format(full_check=True)
    else:
        with pytest.raises(ValueError, match="damaged"):
            refuse_damaged(X)


@pytest.mark.parametrize("X", [sp.csr_array((0, 3)), sp.csr_array((3, 0)), sp.coo_array((0, 0)), sp.csc_array((2, 0))])
def test_nothing_stored_is_sound(X):
    refuse_damaged(X)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint8, np.uint32, np.int64, ">i4"])
@ALL_FOUR
def test_columns_of_a_type_that_cannot_count_the_values(estimator, dtype):
    """Pointers to values do not take the type of the columns where they are beyond it."""
    few, target = sp.vstack([ROWS] * 5, format="csr"), target_of(estimator, np.tile(y, 5))
    assert few.nnz > 255
    expected = model_of(estimator).fit(few, target)
    few.indices = few.indices.astype(dtype)
    found = model_of(estimator).fit(few, target)
    assert_array_equal(parameters_of(found), parameters_of(expected))
    assert_array_equal(found.predict(few), expected.predict(few))


def test_rows_that_share_a_longer_buffer_are_sound():
    """SciPy leaves room behind the last value."""
    X = sp.csr_array((np.ones(9), np.r_[0, 1, 2, -1, -1, -1, 9, 9, 9], [0, 1, 3]), shape=(2, 3), copy=True)
    refuse_damaged(X)
    X.indices = X.indices.astype(np.int64)
    refuse_damaged(X)
