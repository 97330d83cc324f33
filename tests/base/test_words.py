"""What errors and warnings say to somebody who is wrong: the parameter, the value and the remedy."""

import inspect
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._base.rows import Rows, split_off
from minibatch.linear_model._base import DEFAULT_ETA0

rng = np.random.default_rng(0)
X = rng.standard_normal((20, 3))
y = rng.standard_normal(20)
three = np.arange(20) % 3
LINEAR = (MiniBatchSGDClassifier, MiniBatchSGDRegressor)
CLASSIFIERS = pytest.mark.parametrize("estimator", [MiniBatchSGDClassifier, MiniBatchMLPClassifier])
EVERY = pytest.mark.parametrize("estimator", [*LINEAR, MiniBatchMLPClassifier, MiniBatchMLPRegressor])
FEW = {"max_iter": 3, "random_state": 0}


def shown_by(function):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        function()
    return [str(warning.message) for warning in shown if "eta0" in str(warning.message)]


# ---------------------------------------------------------------------- keywords


@EVERY
@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("batchsize", "batch_size"),
        ("earlystopping", "early_stopping"),
        ("epochs", "max_iter"),
        ("seed", "random_state"),
    ],
)
def test_a_wrong_keyword_says_what_was_meant(estimator, wrong, meant):
    with pytest.raises(TypeError, match=rf"{estimator.__name__}\(\) got .* argument '{wrong}'; did you mean '{meant}'"):
        estimator(**{wrong: 1})
    with pytest.raises(TypeError, match=r"'nothing_like_it'; get_params\(\) lists"):
        estimator(nothing_like_it=1)


@EVERY
def test_the_rate_has_another_name_in_the_other_models(estimator):
    for wrong in {"lr", "eta0", "learning_rate_init"} - {estimator._rate_parameter}:
        with pytest.raises(TypeError, match=rf"did you mean '{estimator._rate_parameter}'"):
            estimator(**{wrong: 0.1})


@EVERY
def test_a_constructor_that_looks_at_keywords_looks_like_any_other(estimator):
    assert list(inspect.signature(estimator).parameters) == list(inspect.signature(estimator.__init__).parameters)[1:]
    assert set(estimator().get_params()) == set(inspect.signature(estimator).parameters)
    assert clone(estimator(batch_size=7)).batch_size == 7


# ---------------------------------------------------------------------- early stopping


@CLASSIFIERS
@pytest.mark.parametrize("seed", range(5))
def test_more_classes_than_rows_to_hold_out(estimator, seed):
    """Two rows of 20, and three classes, one of them of two rows: each gives one row at most."""
    labels = np.array(["a"] * 9 + ["b"] * 9 + ["c"] * 2)
    model = estimator(early_stopping=True, max_iter=3, random_state=seed)
    kept, out = split_off(Rows(X, np.searchsorted(["a", "b", "c"], labels), None), 0.1, np.unique(labels), seed)
    assert len(out.target) == len(set(out.target)) == 2
    assert set(labels[kept]) == {"a", "b", "c"}
    assert_array_equal(np.sort(np.concatenate([X[kept], out.X]), axis=0), np.sort(X, axis=0))
    assert "validation_score" in model.fit(X, labels).history_


@EVERY
def test_too_few_rows_to_hold_out(estimator):
    with pytest.raises(ValueError, match=r"validation set is too small: 1 row of 10\..*validation_fraction=0.1.*X_val"):
        estimator(early_stopping=True, **FEW).fit(X[:10], three[:10] > 0)


@EVERY
def test_too_few_rows_to_train_on(estimator):
    with pytest.raises(ValueError, match=r"validation_fraction=0.99 leaves 0 of 20 rows to train on.*lower it"):
        estimator(early_stopping=True, validation_fraction=0.99, **FEW).fit(X, three > 0)


@CLASSIFIERS
def test_fewer_rows_to_train_on_than_classes(estimator):
    with pytest.raises(ValueError, match=r"validation_fraction=0.9 leaves 2 of 20 .* fewer than the 3 classes; lower"):
        estimator(early_stopping=True, validation_fraction=0.9, **FEW).fit(X, three)


@CLASSIFIERS
@pytest.mark.parametrize("labels", [["a"] * 19 + ["b"], ["a"] * 9 + ["c"] * 10 + ["b"]])
def test_a_class_of_one_row(estimator, labels):
    with pytest.raises(ValueError, match=r"early_stopping=True .* only one row of 'b'\. .*early_stopping=False"):
        estimator(early_stopping=True, **FEW).fit(X, labels)


# ---------------------------------------------------------------------- warm_start


@CLASSIFIERS
@pytest.mark.parametrize("labels", [three + 1, three > 0, np.where(three == 2, 7, three), np.zeros(20, int)])
def test_weights_do_not_go_over_to_other_classes(estimator, labels):
    model = estimator(warm_start=True, tol=None, **FEW).fit(X, three)
    before = model.predict(X)
    with pytest.raises(ValueError, match=r"warm_start .* same classes .* Previously got \[0 1 2\].*warm_start=False"):
        model.fit(X, labels)
    assert_array_equal(model.predict(X), before)
    assert_array_equal(model.classes_, [0, 1, 2])


# ---------------------------------------------------------------------- rates


@pytest.mark.parametrize("estimator", LINEAR)
def test_a_rate_that_the_schedule_ignores_is_said_once(estimator):
    assert estimator().eta0 == DEFAULT_ETA0
    model, target = estimator(learning_rate="optimal", eta0=0.5, tol=None, alpha=1.0, **FEW), three > 0
    (said,) = shown_by(lambda: model.fit(X, target))
    assert said.startswith("eta0=0.5 is not used: learning_rate='optimal' begins at a rate of its own")
    chunks = clone(model)
    classes = {"classes": [False, True]} if estimator is MiniBatchSGDClassifier else {}
    assert len(shown_by(lambda: [chunks.partial_fit(X, target, **classes) for _ in range(3)])) == 1
    for quiet in ({"eta0": DEFAULT_ETA0}, {"learning_rate": "constant"}):
        assert not shown_by(lambda quiet=quiet: clone(model).set_params(**quiet).fit(X, target))


@pytest.mark.parametrize("estimator", LINEAR)
@pytest.mark.parametrize("batch_size", [1, 8])
def test_the_ignored_rate_is_said_where_fit_is_called(estimator, batch_size):
    """In words that hold for single rows, whose rates come from alpha, and for batches, whose first rate is found."""
    given = {"learning_rate": "optimal", "eta0": 0.5, "batch_size": batch_size, "tol": None, "alpha": 1.0}
    with pytest.warns(UserWarning, match=r"eta0=0\.5 is not used: .*'optimal' begins at a rate of its own\.") as shown:
        estimator(**given, **FEW).fit(X, three > 0)
    assert {warning.filename for warning in shown} == {__file__}


@EVERY
def test_no_penalty_and_a_rate_that_is_computed_from_it(estimator):
    schedules = ("optimal", "inverse_time") if estimator in LINEAR else ("inverse_time",)
    for schedule in schedules:
        with pytest.raises(ValueError, match=rf"alpha must be > 0 with learning_rate='{schedule}'.*'constant'"):
            estimator(alpha=0, learning_rate=schedule, **FEW).fit(X, three > 0)
