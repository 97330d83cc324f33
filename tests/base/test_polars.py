"""Frames and series of polars: the model of their numbers, their names, their labels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from references.fits import CLASSIFIERS, FOUR, REGRESSORS, model_of, parameters_of, target_of

pl = pytest.importorskip("polars")
pytestmark = [pytest.mark.filterwarnings(f"error::{kind}") for kind in ("RuntimeWarning", "UserWarning")]

rng = np.random.default_rng(0)
X = rng.standard_normal((30, 4))
y = X @ [1.0, 2.0, 0.0, -1.0]
FRAME = pl.DataFrame(X, schema=list("abcd"))
ALL_FOUR = pytest.mark.parametrize("estimator", FOUR)


@ALL_FOUR
def test_a_frame_has_the_model_of_its_numbers_and_names(estimator):
    target = target_of(estimator, y)
    model, plain = model_of(estimator).fit(FRAME, target), model_of(estimator).fit(X, target)
    assert list(model.feature_names_in_) == list("abcd")
    assert_array_equal(parameters_of(model), parameters_of(plain))
    assert_allclose(model.predict(FRAME), plain.predict(X), rtol=1e-12)
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(FRAME[["b", "a", "c", "d"]])
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- e"):
        model.partial_fit(FRAME.rename({"a": "e"}), target)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)


@ALL_FOUR
def test_series_as_y_and_weights(estimator):
    target, weight = target_of(estimator, y), rng.integers(1, 4, 30).astype(float)
    expected = parameters_of(model_of(estimator).fit(X, target, sample_weight=weight))
    model = model_of(estimator).fit(FRAME, pl.Series(target), sample_weight=pl.Series(weight))
    assert_array_equal(parameters_of(model), expected)


@ALL_FOUR
def test_frames_inside_a_pipeline(estimator):
    model, target = model_of(estimator), target_of(estimator, y)
    pipeline = make_pipeline(StandardScaler(), model).set_output(transform="polars").fit(FRAME, target)
    assert list(model.feature_names_in_) == list("abcd")
    arrays = make_pipeline(StandardScaler(), model_of(estimator)).fit(X, target)
    assert_allclose(pipeline.predict(FRAME), arrays.predict(X), rtol=1e-9)


@ALL_FOUR
def test_missing_values(estimator):
    target = target_of(estimator, y)
    model = model_of(estimator).fit(FRAME, target)
    before = parameters_of(model)
    missing = FRAME.with_columns(a=pl.when(pl.col("a") > 0).then(pl.col("a")))
    for method in (model.fit, model.partial_fit, lambda rows, _: model.predict(rows)):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            method(missing, target)
    assert_array_equal(parameters_of(model), before)


@pytest.mark.parametrize("estimator", REGRESSORS)
def test_targets_in_a_frame(estimator):
    two = np.c_[y, -y]
    model = model_of(estimator).fit(X, pl.DataFrame(two, schema=["p", "q"]))
    assert_array_equal(parameters_of(model), parameters_of(model_of(estimator).fit(X, two)))


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_labels(estimator):
    names, numbers = np.array(["ash", "birch", "cedar"]), target_of(estimator, y)
    expected = model_of(estimator).fit(X, numbers)
    for labels in (pl.Series(names[numbers]), pl.Series(names[numbers]).cast(pl.Categorical)):
        model = model_of(estimator).fit(X, labels)
        assert_array_equal(model.classes_, names)
        assert_array_equal(model.predict(X), names[expected.predict(X)])
