"""Labels of every type, and classes that are missing from some rows."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import DataConversionWarning, FitFailedWarning
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from references.fits import BATCH_SIZES, CLASSIFIERS, LAYOUTS, NETWORKS, model_of, parameters_of, target_of

pytestmark = [pytest.mark.filterwarnings(f"error::{kind}") for kind in ("RuntimeWarning", "UserWarning")]

rng = np.random.default_rng(0)
X = rng.standard_normal((30, 4))
y = X @ [1.0, 2.0, 0.0, -1.0]
EVERY_SIZE = pytest.mark.parametrize("batch_size", BATCH_SIZES)
EVERY_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS, ids=["dense", "csr"])


def fitted(estimator, target=None, **parameters):
    return model_of(estimator, **parameters).fit(X, target_of(estimator, y) if target is None else target)


# ---------------------------------------------------------------------- types

LABELS = {
    "strings": np.array(["ash", "birch", "cedar"]),
    "objects": np.array(["ash", "birch", "cedar"], dtype=object),
    "negative": np.array([-7, -3, 5]),
    "whole floats": np.array([-1.0, 0.0, 2.0]),
    "uint8": np.array([0, 127, 255], np.uint8),
    "other byte order": np.array([1, 2, 300], ">i4"),
    "bytes": np.array([b"a", b"b", b"c"]),
}


@pytest.mark.parametrize("estimator", CLASSIFIERS)
@EVERY_SIZE
@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_type(estimator, batch_size, kind):
    numbers, names = target_of(estimator, y), LABELS[kind]
    expected = fitted(estimator, batch_size=batch_size)
    if kind == "bytes":
        with pytest.raises((TypeError, ValueError), match="bytes"):
            fitted(estimator, target=names[numbers])
        return
    model = fitted(estimator, target=names[numbers], batch_size=batch_size)
    assert_array_equal(parameters_of(model), parameters_of(expected))
    assert_array_equal(model.classes_, names)
    assert_array_equal(model.predict(X), names[expected.predict(X)])
    if kind != "objects":  # of which networks make strings, as in scikit-learn
        assert model.predict(X).dtype.kind == names.dtype.kind
    assert model.score(X, names[numbers]) == expected.score(X, numbers)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_labels_in_series(estimator):
    numbers, names = target_of(estimator, y), np.array(["ash", "birch", "cedar"])
    expected = fitted(estimator)
    for labels in (
        pd.Series(names[numbers]),
        pd.Series(names[numbers], dtype="category"),
        pd.Series(pd.Categorical(names[numbers], categories=["oak", "cedar", "birch", "ash"])),
        pd.Categorical(names[numbers]),
    ):
        model = fitted(estimator, target=labels)
        assert_array_equal(model.classes_, names)
        assert_array_equal(parameters_of(model), parameters_of(expected))
        assert_array_equal(model.predict(X), names[expected.predict(X)])
    whole = pd.Series(numbers, dtype="Int64")
    assert_array_equal(parameters_of(fitted(estimator, target=whole)), parameters_of(expected))


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_two_labels_of_any_type(estimator):
    found = []
    for labels in (np.array([0, 1]), np.array([False, True]), np.array([-1, 1]), np.array(["no", "yes"])):
        for target in (labels[(y > 0).astype(int)], pd.Series(labels[(y > 0).astype(int)]).convert_dtypes()):
            model = fitted(estimator, target=target)
            found.append(parameters_of(model))
            second = model.predict_proba(X)[:, 1] > 0.5 if estimator in NETWORKS else model.decision_function(X) > 0
            assert_array_equal(model.predict(X) == labels[1], second)
    assert_array_equal(found, [found[0]] * 8)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_labels_in_a_column(estimator):
    target = target_of(estimator, y)
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        model = fitted(estimator, target=target[:, None])
    assert_array_equal(parameters_of(model), parameters_of(fitted(estimator)))
    assert model.predict(X).shape == (30,)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_labels_of_several_types_at_once(estimator):
    mixed = np.array([1, "a"] * 15, dtype=object)
    with pytest.raises((TypeError, ValueError), match=r"str|unknown"):
        fitted(estimator, target=mixed)


# ---------------------------------------------------------------------- classes that are missing


SORTED = np.sort(np.arange(30) % 3)  # a fold of neighbours has a class for itself


@pytest.mark.parametrize("estimator", CLASSIFIERS)
@EVERY_LAYOUT
@EVERY_SIZE
def test_folds_that_lack_a_class(estimator, layout, batch_size):
    """The class cannot be predicted, and that is all: the score of its fold is 0."""
    model, rows = model_of(estimator, batch_size=batch_size), layout(X)
    assert_array_equal(cross_val_score(model, rows, SORTED, cv=KFold(3), error_score="raise"), 0.0)
    search = GridSearchCV(model, {"alpha": [0.0, 0.1]}, cv=KFold(3), error_score="raise").fit(rows, SORTED)
    assert_array_equal(search.best_estimator_.classes_, [0, 1, 2])
    for train, test in KFold(3).split(X):
        alone = model.fit(rows[train], SORTED[train])
        assert_array_equal(alone.classes_, np.unique(SORTED[train]))
        assert set(alone.predict(rows[test])) <= set(alone.classes_)


def test_folds_of_one_class_fail_as_in_scikit_learn():
    """Linear models need two classes: such a fold scores nan, the others count. (Networks learn the one.)"""
    two = (np.arange(30) >= 25).astype(int)
    folds = [(np.arange(20), np.arange(20, 30)), (np.arange(10, 30), np.arange(10))]
    for model in (model_of(CLASSIFIERS[0]), SGDClassifier(tol=None, max_iter=3)):
        with pytest.warns(FitFailedWarning, match="number of classes has to be greater than one; got 1 class"):
            scores = cross_val_score(model, X, two, cv=folds)
        assert_array_equal(np.isnan(scores), [True, False])
    assert np.isfinite(cross_val_score(model_of(CLASSIFIERS[1]), X, two, cv=folds)).all()


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_a_class_with_one_row_cannot_be_held_out(estimator):
    lonely = np.r_[2, np.arange(29) % 2]
    model = fitted(estimator, target=lonely)
    before = parameters_of(model)
    model.set_params(early_stopping=True)
    with pytest.raises(ValueError, match="least populated class"):
        model.fit(X, lonely)
    assert_array_equal(parameters_of(model), before)
    model.fit(X, lonely, X_val=X[1:], y_val=lonely[1:])  # rows of one's own do
    assert model.history_["validation_score"].shape == (3,)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
@EVERY_SIZE
def test_a_validation_set_without_a_class(estimator, batch_size):
    """Its score is the accuracy on the rows that it has."""
    numbers = target_of(estimator, y)
    here = numbers != 1
    model = model_of(estimator, batch_size=batch_size).fit(X, numbers, X_val=X[here], y_val=numbers[here])
    assert model.history_["validation_score"][-1] == model.score(X[here], numbers[here])
    one = numbers == 2
    model.fit(X, numbers, X_val=X[one], y_val=numbers[one])
    assert model.history_["validation_score"][-1] == np.mean(model.predict(X[one]) == 2)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
@pytest.mark.parametrize("labels", [np.array(["ash", "birch", "cedar"]), np.array([-1, 0, 7])], ids=["str", "int"])
def test_labels_unseen_in_training(estimator, labels):
    """Refused in a validation set, of another type too; wrong, and no error, where rows are only scored."""
    numbers = target_of(estimator, y)
    model, two = model_of(estimator), np.minimum(numbers, 1)
    model.fit(X, labels[two])
    before = parameters_of(model)
    with pytest.raises(ValueError, match=r"Validation set.*labels that are not in classes.*(cedar|7)"):
        model.fit(X, labels[two], X_val=X, y_val=labels[numbers])
    with pytest.raises(ValueError, match=r"Validation set.*labels that are not in classes"):
        model.fit(X, labels[two], X_val=X, y_val=np.where(labels.dtype.kind == "U", numbers, numbers.astype(str)))
    assert_array_equal(parameters_of(model), before)
    assert model.score(X, labels[numbers]) == np.mean(model.predict(X) == labels[numbers])


@pytest.mark.parametrize("estimator", CLASSIFIERS)
@EVERY_LAYOUT
def test_a_class_of_one_row_is_learnt_without_early_stopping(estimator, layout):
    """All the same as in scikit-learn: three classes, of which one has a row."""
    lonely = np.r_[2, np.arange(29) % 2]
    model = model_of(estimator, max_iter=300, rate=0.1).fit(layout(np.diag([9.0] * 30)), lonely)
    assert model.score(layout(np.diag([9.0] * 30)), lonely) == 1.0
