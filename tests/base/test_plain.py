"""_base.plain: what is called plain goes through scikit-learn's checks as it is and in silence, and all else still goes
through them. And labels that are told at once."""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.utils.validation import validate_data

from minibatch._base.plain import are_plain_rows, is_plain_target
from minibatch._base.targets import numbers_of_known, numbers_of_labels
from references.fits import CLASSIFIERS, FOUR, REGRESSORS, model_of, parameters_of, target_of

random = np.random.default_rng(0)
X, Y = random.standard_normal((40, 3)), random.standard_normal(40)
FLOATS = np.float64, np.float32

ROWS = {
    "floats": X[:5],
    "small floats": X[:5].astype(np.float32),
    "one row": X[:1],
    "huge": np.full((2, 3), 1e308),
    "some rows": X[::2],
    "columns": np.asfortranarray(X[:5]),
    "swapped bytes": X[:5].astype(">f8"),
    "integers": np.ones((4, 3), np.int64),
    "objects": X[:5].astype(object),
    "a list": X[:2].tolist(),
    "a frame": pd.DataFrame(X[:5], columns=[*"abc"]),
    "a subclass": X[:5].view(np.recarray),
    "sparse": sp.csr_array(X[:5]),
    "complex": X[:5] + 0j,
    "not a number": np.full((2, 3), np.nan),
    "infinite": np.full((2, 3), np.inf),
    "infinite both ways": np.array([[np.inf, -np.inf, 1.0]]),
    "no rows": np.empty((0, 3)),
    "too few columns": X[:5, :2].copy(),
    "one dimension": X[0],
    "three dimensions": X[:4].reshape(2, 2, 3),
}
PLAIN = "floats", "small floats", "one row"


@pytest.fixture(scope="module", params=FOUR, ids=lambda estimator: estimator.__name__)
def model(request):
    return model_of(request.param).fit(X, target_of(request.param, Y))


@pytest.mark.parametrize("name", ROWS)
def test_plain_rows_are_what_the_checks_hand_on_as_it_is(name, model):
    rows = ROWS[name]
    assert are_plain_rows(model, rows, *FLOATS) == (name in PLAIN)
    if name in PLAIN:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert validate_data(model, rows, accept_sparse="csr", dtype=FLOATS, order="C", reset=False) is rows


@pytest.mark.parametrize("name", ROWS)
def test_predictions_and_complaints_do_not_depend_on_who_looks(name, model, monkeypatch):
    def outcome():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                return model.predict(ROWS[name]), [str(warning.message) for warning in caught]
            except (TypeError, ValueError) as error:
                return type(error), str(error)

    found = outcome()
    monkeypatch.setattr("minibatch._base.plain.are_plain_rows", lambda *_: False)
    expected = outcome()
    assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]


def test_rows_are_not_plain_for_a_model_that_knows_names_or_no_columns(model):
    named, unfitted = copy.copy(model), copy.copy(model)
    named.feature_names_in_ = np.array([*"abc"], object)
    del unfitted.n_features_in_
    assert not are_plain_rows(named, X, np.float64)
    assert not are_plain_rows(unfitted, X, np.float64)
    with pytest.warns(UserWarning, match="valid feature names"):
        named.predict(X)


TARGETS = {
    "numbers": Y[:5],
    "labels": np.arange(5),
    "bools": np.arange(5) > 2,
    "a column": Y[:5, None],
    "too few": Y[:4],
    "words": np.array([*"abcde"]),
    "objects": np.arange(5).astype(object),
    "some": Y[:10:2],
    "a list": [1.0] * 5,
    "a series": pd.Series(Y[:5]),
    "complex": Y[:5] + 0j,
    "not a number": np.array([1.0, 2.0, np.nan, 0.0, 1.0]),
    "infinite": np.array([1.0, 2.0, np.inf, -np.inf, 1.0]),
}


@pytest.mark.parametrize("name", TARGETS)
def test_plain_targets_are_what_the_checks_hand_on_as_it_is(name, model):
    target = TARGETS[name]
    assert is_plain_target(target, 5) == (name in ("numbers", "labels", "bools"))
    if is_plain_target(target, 5):
        for several in (False, True):
            _, checked = validate_data(model, X[:5], target, reset=False, multi_output=several, y_numeric=several)
            assert_array_equal(checked, target)
            assert checked.dtype == target.dtype


@pytest.mark.parametrize("estimator", FOUR)
def test_a_stream_is_the_same_through_all_checks(estimator, monkeypatch):
    def stream():
        target = target_of(estimator, Y)
        model = model_of(estimator).fit(X, target)
        for start in range(0, 40, 8):
            model.partial_fit(X[start : start + 8], target[start : start + 8])
        return parameters_of(model), model.history_["progressive_objective"]

    found = stream()
    for module in ("minibatch._base.estimator", "minibatch._base.plain"):
        monkeypatch.setattr(f"{module}.are_plain_rows", lambda *_: False)
    for room in ("linear_model", "neural_network"):
        monkeypatch.setattr(f"minibatch.{room}._classification.numbers_of_known", lambda *_: None)
    for one, other in zip(found, stream(), strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("estimator", FOUR)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_chunk_with_a_hole_is_refused_and_leaves_the_model(estimator, bad):
    target = target_of(estimator, Y)
    model, chunk = model_of(estimator).fit(X, target), X[:8].copy()
    before, chunk[3, 1] = parameters_of(model).copy(), bad
    with pytest.raises(ValueError, match="Input X contains"):
        model.partial_fit(chunk, target[:8])
    assert_array_equal(parameters_of(model), before)
    assert model.history_.n_epochs == 3


@pytest.mark.parametrize("estimator", REGRESSORS)
def test_a_target_with_a_hole_is_refused(estimator):
    model = model_of(estimator).fit(X, Y)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        model.partial_fit(X[:2], np.array([np.nan, 1.0]))


# ---------------------------------------------------------------------- labels

TYPES = "i4", "i8", "u1", "f4", "f8"


@given(st.sampled_from(TYPES), st.lists(st.integers(0, 60), min_size=2, unique=True), st.data())
def test_numbers_of_known_labels_are_their_places(dtype, labels, data):
    classes = np.sort(np.array(labels, dtype))
    y = np.array(data.draw(st.lists(st.sampled_from(classes.tolist()), max_size=20)), dtype)
    numbers = numbers_of_known(classes, y)
    assert_array_equal(numbers, numbers_of_labels(classes, y))
    assert_array_equal(classes[numbers], y)


@pytest.mark.parametrize(
    ("classes", "y"),
    [
        ([1, 3, 5], [1, 2]),
        ([1, 3, 5], [6]),
        ([1, 3, 5], [0]),
        ([1, 3, 5], [1.0]),
        ([1.0, 3.0], [np.nan]),
        ([1.0, np.nan], [1.0]),
        ([3, 1], [3]),
        ([1, 1], [1]),
        ([1], [1]),
        (["a", "b"], ["a"]),
        ([1, 3], [[1], [3]]),
    ],
)
def test_what_asks_for_a_closer_look(classes, y):
    assert numbers_of_known(np.array(classes), np.array(y)) is None
    assert numbers_of_known(None, np.array(y)) is None


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_a_chunk_with_a_new_label_is_refused(estimator):
    model = model_of(estimator).fit(X, target_of(estimator, Y))
    with pytest.raises(ValueError, match="not in classes"):
        model.partial_fit(X[:2], np.array([0, 3]))
    with pytest.raises(ValueError, match="continuous"):
        model.partial_fit(X[:2], np.array([0.5, 1.0]))
