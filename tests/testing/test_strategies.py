"""testing: what the strategies draw, and what it shrinks to."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDOneClassSVM,
    MiniBatchSGDRegressor,
)
from minibatch.testing import batch_sizes, classification_data, estimators, regression_data

ALL = [MiniBatchSGDClassifier, MiniBatchSGDRegressor, MiniBatchMLPClassifier, MiniBatchMLPRegressor]
shrunk = settings(max_examples=2000, database=None)


def drawn(strategy, number=300):
    """What a strategy gives, so many times."""
    values = []

    @settings(max_examples=number, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(value):
        values.append(value)

    collect()
    return values


# ---------------------------------------------------------------------- batch sizes


@given(batch_sizes(max_size=9))
def test_batch_sizes_are_valid(size):
    if isinstance(size, str):
        assert size in ("full", "auto")
    elif isinstance(size, float):
        assert 0 < size <= 1
    else:
        assert 1 <= size <= 9


def test_every_kind_of_batch_size_is_drawn():
    sizes = drawn(batch_sizes(max_size=9))
    assert {1, 9, 0.5, "full", "auto"} <= set(sizes)
    assert {type(size) for size in sizes} == {int, float, str}


@pytest.mark.parametrize("wrong", [0, -3])
def test_a_largest_batch_below_one_row(wrong):
    with pytest.raises(ValueError, match="max_size must be at least 1"):
        batch_sizes(max_size=wrong)


# ---------------------------------------------------------------------- data


@given(classification_data(min_samples=3, max_samples=7, max_features=2, max_classes=3, weighted=True))
def test_classification_data_keep_their_bounds(data):
    X, y, weight = data
    assert 3 <= X.shape[0] == len(y) == len(weight) <= 7
    assert 1 <= X.shape[1] <= 2
    assert X.dtype in (np.float32, np.float64)
    assert 2 <= len(np.unique(y)) <= 3
    assert (weight >= 0).all()
    assert weight.any()


@given(regression_data(max_samples=5, max_outputs=2, positive=True, dtype=np.float32, sparse=True, well_scaled=True))
def test_regression_data_are_what_was_asked_for(data):
    X, y = data
    assert (sp.issparse(X), X.format, X.dtype) == (True, "csr", np.float32)
    assert np.abs(X.toarray()).max() <= 3
    assert 1 <= len(y) <= 5
    assert y.ndim == 1 or y.shape[1] == 2
    assert y.min() > 0


def dense(X):
    return X.toarray() if sp.issparse(X) else X


# What hypothesis should find soon: the trouble that data make.
FEATURES = {
    "sparse": lambda X, y: sp.issparse(X),
    "float32": lambda X, y: X.dtype == np.float32,
    "one row more than it must be": lambda X, y: len(y) == 3,
    "many rows": lambda X, y: len(y) > 20,
    "duplicated rows": lambda X, y: len(np.unique(dense(X)[dense(X).any(axis=1)], axis=0)) < dense(X).any(axis=1).sum(),
    "a constant column": lambda X, y: len(y) > 4 and (np.ptp(dense(X), axis=0) == 0).any() and np.ptp(dense(X)) > 0,
    "large values": lambda X, y: np.abs(dense(X)).max() > 1e6,
    "ill-scaled columns": lambda X, y: (
        np.ptp(np.log10(np.abs(dense(X)).max(axis=0) + 1e-30)[dense(X).any(axis=0)]) > 3 if dense(X).any() else False
    ),
}


@given(regression_data(max_outputs=2, shares=True))
def test_shares_are_in_0_and_1(data):
    assert ((data[1] >= 0) & (data[1] <= 1)).all()


@pytest.mark.parametrize("strategy", [classification_data(), regression_data()], ids=["classes", "targets"])
def test_troubles_are_drawn(strategy):
    sets = drawn(strategy)
    never = [name for name, has in FEATURES.items() if not any(has(*data) for data in sets)]
    assert never == []


def test_labels_of_all_kinds_are_drawn():
    assert {y.dtype.kind for _, y in drawn(classification_data(), 100)} == {"i", "U", "b"}
    assert {y.dtype.kind for _, y in drawn(classification_data(labels="str"), 20)} == {"U"}


def test_failures_shrink_to_numbers_that_can_be_read():
    X, y = find(classification_data(), lambda data: data[0].shape[0] >= 5 and dense(data[0]).max() > 1, settings=shrunk)
    assert X.shape == (5, 1)
    assert sorted(np.unique(X).tolist()) == [0.0, 1.125]
    assert set(y.tolist()) == {0, 1}
    X, y = find(regression_data(), lambda data: data[1].min() < 0, settings=shrunk)
    assert (X.tolist(), y.tolist()) == ([[0.0]], [-0.125])


@pytest.mark.parametrize(
    ("strategy", "least"), [(classification_data, 2), (regression_data, 1)], ids=["classes", "targets"]
)
def test_bounds_that_nothing_can_keep(strategy, least):
    for bounds in ({"min_samples": least - 1}, {"min_samples": 9, "max_samples": 8}):
        with pytest.raises(ValueError, match=f"min_samples must be at least {least}"):
            find(strategy(**bounds), lambda data: True)


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (classification_data(max_features=0), "max_features must be between 1 and inf; got 0"),
        (classification_data(max_classes=1), "max_classes must be between 2 and 10; got 1"),
        (classification_data(max_classes=11), "max_classes must be between 2 and 10; got 11"),
        (classification_data(labels="float"), r"labels must be one of \['int', 'str', 'bool'\] or None; got 'float'"),
        (regression_data(max_outputs=0), "max_outputs must be between 1 and inf; got 0"),
    ],
)
def test_wrong_arguments_of_data(strategy, words):
    with pytest.raises(ValueError, match=words):
        find(strategy, lambda data: True)


# ---------------------------------------------------------------------- estimators


@pytest.mark.parametrize("kind", ["classifier", "regressor", *ALL])
def test_estimators_are_of_the_kind(kind):
    wanted = {kind} if isinstance(kind, type) else {e for e in ALL if e.__name__.lower().endswith(kind)}
    assert {type(model) for model in drawn(estimators(kind), 20)} == wanted


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@given(st.data(), estimators(max_iter=1))
def test_any_estimator_fits_any_data_of_its_kind(data, model):
    classifier = hasattr(model, "predict_proba") or hasattr(model, "decision_function")
    X, y, weight = data.draw((classification_data if classifier else regression_data)(weighted=True))
    model.fit(X, y, sample_weight=weight)
    assert model.predict(X).shape == y.shape


DEFAULTS = {estimator: estimator().get_params() for estimator in ALL}
LEFT_ALONE = {  # they ask something of the data, or are of no interest here
    "batch_normalization", "ghost_batch_size", "class_weight", "early_stopping", "scoring", "validation_fraction",
    "n_iter_no_change", "verbose", "max_fun", "max_eta", "adam_epsilon",
}  # fmt: skip


def test_every_parameter_is_drawn():
    models = drawn(estimators(), 600)
    known = {name for parameters in DEFAULTS.values() for name in parameters}
    found = {name for m in models for name, value in m.get_params().items() if value != DEFAULTS[type(m)][name]}
    assert found == known - LEFT_ALONE


def test_a_parameter_given_as_a_value_or_a_strategy():
    models = drawn(estimators("classifier", solver="adam", batch_size=st.sampled_from([2, 3])), 20)
    assert {(model.solver, model.batch_size) for model in models} == {("adam", 2), ("adam", 3)}


def test_what_is_given_is_kept_and_the_rest_goes_with_it():
    models = drawn(estimators(MiniBatchSGDClassifier, multi_class="multinomial"), 5)
    assert {(model.loss, model.multi_class) for model in models} == {("log_loss", "multinomial")}


def test_only_classes_that_have_the_parameters():
    models = drawn(estimators(activation="gelu", class_weight="balanced"), 10)
    assert {type(model) for model in models} == {MiniBatchMLPClassifier}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "cluster"}, "kind must be 'classifier', 'regressor'"),
        ({"kind": object}, "kind must be 'classifier', 'regressor'"),
        ({"kind": ["classifier"]}, "kind must be 'classifier', 'regressor'"),
        ({"alpha": -1}, "The 'alpha' parameter of"),
        ({"batchsize": 3}, r"No estimator of kind None has all the parameters \['batchsize'\]"),
        ({"kind": "regressor", "class_weight": None}, "No estimator of kind 'regressor'"),
    ],
)
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        find(estimators(**arguments), lambda model: True)


def test_estimators_shrink_to_few_parameters():
    model = find(estimators(MiniBatchSGDRegressor), lambda model: model.penalty == "l1", settings=shrunk)
    assert (
        repr(model).split()
        == (
            "MiniBatchSGDRegressor(batch_size=1, learning_rate='constant', max_iter=2, penalty='l1', power_t=0.5, "
            "random_state=0, tol=None)"
        ).split()
    )


def test_without_hypothesis_the_error_says_what_to_install():
    code = "import sys; sys.modules['hypothesis'] = None\nimport minibatch.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "minibatch.testing needs hypothesis: pip install 'scikit-minibatch[testing]'" in done.stderr
    assert done.returncode != 0


@pytest.mark.filterwarnings("ignore")
@given(estimators("outlier_detector"), regression_data(max_samples=8))
def test_outlier_detectors_fit_any_rows(estimator, data):
    assert isinstance(estimator, MiniBatchSGDOneClassSVM)
    assert set(estimator.fit(data[0]).predict(data[0])) <= {-1, 1}


def test_outlier_detectors_are_drawn_where_they_are_asked_for():
    assert {type(model) for model in drawn(estimators(), 100)} == set(ALL)
    models = drawn(estimators(MiniBatchSGDOneClassSVM, batch_size=4), 50)
    assert {type(model) for model in models} == {MiniBatchSGDOneClassSVM}
    assert len({model.nu for model in models}) == 3
