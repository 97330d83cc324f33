"""testing: the checks pass where all is well, and apply to what an estimator has."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.decomposition import IncrementalPCA
from sklearn.linear_model import SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.engine.losses import CLASSIFICATION, REGRESSION
from minibatch.engine.optimizers import SOLVERS
from minibatch.schedules._named import SCHEDULES
from minibatch.testing import (
    batch_checks,
    classification_data,
    estimators,
    parametrize_with_batch_checks,
    regression_data,
)
from references.random_tasks import smooth_estimators

ALL = [MiniBatchSGDClassifier, MiniBatchSGDRegressor, MiniBatchMLPClassifier, MiniBatchMLPRegressor]
CHECKS = dict(batch_checks(MiniBatchSGDRegressor()))

# ---------------------------------------------------------------------- all is well


@parametrize_with_batch_checks([estimator() for estimator in ALL])
def test_our_estimators(estimator, check):
    check(estimator)


@parametrize_with_batch_checks(
    [MiniBatchSGDRegressor(solver=solver, penalty="elasticnet") for solver in SOLVERS]
    + [MiniBatchSGDRegressor(loss) for loss in REGRESSION]
    + [MiniBatchSGDRegressor(learning_rate=schedule) for schedule in SCHEDULES]
    + [MiniBatchSGDClassifier(loss) for loss in CLASSIFICATION]
    + [MiniBatchSGDClassifier("log_loss", multi_class="multinomial", average=True)]
    + [MiniBatchMLPClassifier((3,), solver=solver) for solver in [*SOLVERS, "lbfgs"]]
    + [MiniBatchMLPRegressor(hidden_layer_sizes=(3, 2), activation="tanh", dropout=0.5, batch_normalization=True)]
    + [MiniBatchMLPRegressor(hidden_layer_sizes=(3,), batch_normalization=True, ghost_batch_size=8)]
    + [MiniBatchMLPClassifier((3,), batch_normalization="input", ghost_batch_size=3, learning_rate="constant")]
    + [MiniBatchMLPClassifier((3,), average=average) for average in (True, 10, "ema")]
)
def test_our_estimators_with_other_parameters(estimator, check):
    check(estimator)


@given(st.data(), estimators())
def test_any_of_our_estimators(data, estimator):
    """Which check, is drawn: a check takes several fits."""
    _, check = data.draw(st.sampled_from(list(batch_checks(estimator))))
    check(estimator)


WITH_DATA = {name: check for name, check in CHECKS.items() if check.__code__.co_varnames[:3] == ("estimator", "X", "y")}


# Not the adaptive solvers, which make a whole step of a gradient that is 0 but for rounding, as that of small whole
# numbers may be.
@given(st.data(), smooth_estimators(solver=st.sampled_from(["sgd", "momentum"])))
def test_any_of_our_estimators_on_any_data(data, estimator):
    classifier = isinstance(estimator, (MiniBatchSGDClassifier, MiniBatchMLPClassifier))
    strategy = (classification_data if classifier else regression_data)(
        well_scaled=True, dtype=np.float64, min_samples=2
    )
    X, y = data.draw(strategy)
    name = data.draw(st.sampled_from([name for name, _ in batch_checks(estimator) if name in WITH_DATA]))
    WITH_DATA[name](estimator, X, y)


def test_networks_of_scikit_learn_do_what_they_say():
    """What they do not: batch sizes by name, counts, and a penalty that is the same for all sizes."""
    for model in (MLPClassifier((3,), random_state=0), MLPRegressor(hidden_layer_sizes=(3,), solver="sgd")):
        failed = {}
        for name, check in batch_checks(model):
            try:
                check(model)
            except AssertionError as error:
                failed[name] = str(error)
        assert list(failed) == [
            "check_penalty_does_not_depend_on_batch_size",
            "check_all_rows_are_a_full_batch",
            "check_updates_are_counted",
        ]
        assert "the penalty depends on the batch size" in failed["check_penalty_does_not_depend_on_batch_size"]


def test_checks_leave_the_estimator_alone():
    model = MiniBatchSGDRegressor(batch_size=7, alpha=0.5)
    before = model.get_params()
    for check in CHECKS.values():
        check(model)
    assert vars(model) == before


# ---------------------------------------------------------------------- what applies


def test_no_batch_size_is_nothing_to_check():
    with pytest.raises(TypeError, match="SGDRegressor has no parameter batch_size, so there is nothing to check"):
        list(batch_checks(SGDRegressor()))


class Plain(MiniBatchSGDRegressor):
    """Takes neither weights nor chunks nor sparse rows."""

    partial_fit = property()

    def fit(self, X, y):
        return super().fit(X, y)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags


def test_what_an_estimator_does_not_have_is_not_checked():
    left_out = set(CHECKS) - {name for name, _ in batch_checks(Plain())}
    assert left_out == {
        "check_dense_equals_sparse",
        "check_weights_are_repetitions",
        "check_partial_fits_over_slices_are_an_epoch",
    }


def test_an_estimator_that_cannot_be_trained_says_with_what():
    with pytest.raises(
        AssertionError, match=r"alpha=-1\.0.* cannot be trained on 24 rows by fit: The 'alpha' parameter"
    ):
        CHECKS["check_updates_are_counted"](MiniBatchSGDRegressor(alpha=-1.0))


def test_half_of_the_data():
    with pytest.raises(ValueError, match="X and y go together, but y is missing"):
        CHECKS["check_updates_are_counted"](MiniBatchSGDRegressor(), np.ones((3, 1)))


class Simple(RegressorMixin, BaseEstimator):
    """Least squares in NumPy, with a learning rate that is a number, as many have it."""

    def __init__(self, batch_size=4, learning_rate=0.01, max_iter=5, alpha=0.1, shuffle=False):
        self.batch_size, self.learning_rate, self.max_iter = batch_size, learning_rate, max_iter
        self.alpha, self.shuffle = alpha, shuffle

    def fit(self, X, y):
        asked = len(y) if isinstance(self.batch_size, str | float) else self.batch_size
        self.batch_size_ = min(asked, len(y))
        self.coef_, self.n_updates_ = np.zeros(X.shape[1]), 0
        for _ in range(self.max_iter):
            for start in range(0, len(y), self.batch_size_):
                rows = slice(start, start + self.batch_size_)
                gradient = X[rows].T @ (X[rows] @ self.coef_ - y[rows]) / len(y[rows])
                self.coef_ = self.coef_ - self.learning_rate * (gradient + self.alpha * self.coef_)
                self.n_updates_ += 1
        return self

    def predict(self, X):
        return X @ self.coef_


def test_a_simple_estimator_of_someone_else_passes():
    names = []
    for name, check in batch_checks(Simple()):
        names.append(name)
        check(Simple())
    assert len(names) == 5


class Labels(ClassifierMixin, BaseEstimator):
    """A network of scikit-learn that shows nothing but labels."""

    def __init__(self, batch_size=8, alpha=0.0, max_iter=5, shuffle=False, tol=0.0):
        self.batch_size, self.alpha, self.max_iter, self.shuffle, self.tol = batch_size, alpha, max_iter, shuffle, tol

    def fit(self, X, y):
        network = MLPClassifier((3,), solver="sgd", learning_rate_init=0.5, random_state=0)
        self._model = network.set_params(**self.get_params(), n_iter_no_change=1000).fit(X, np.array(["a", "b"])[y])
        return self

    def predict_proba(self, X):
        return self._model.predict_proba(X)

    def predict(self, X):
        return self._model.predict(X)


def test_a_fault_shows_in_probabilities_alone():
    with pytest.raises(AssertionError, match="the penalty depends on the batch size"):
        CHECKS["check_penalty_does_not_depend_on_batch_size"](Labels())


@pytest.mark.parametrize("container", [pd.DataFrame, np.ndarray.tolist, sp.coo_array], ids=["frame", "list", "coo"])
def test_data_in_any_container(container):
    X = np.random.default_rng(0).standard_normal((12, 2))
    Y = np.c_[X.sum(axis=1), X[:, 0]]
    for check in WITH_DATA.values():
        check(MiniBatchSGDRegressor(), container(X), Y)


def test_seeds_are_numbers_for_the_time_of_a_check():
    model = MiniBatchSGDRegressor(random_state=np.random.RandomState(0))
    CHECKS["check_clone_pickle_and_refit_give_the_same_model"](model)


def test_what_cannot_be_checked_is_said():
    with pytest.raises(TypeError, match=r"takes an instance: MiniBatchSGDRegressor\(\), not the class"):
        list(batch_checks(MiniBatchSGDRegressor))
    with pytest.raises(TypeError, match="IncrementalPCA has no method predict"):
        list(batch_checks(IncrementalPCA()))


# ---------------------------------------------------------------------- pytest

FILE = """
from minibatch import MiniBatchSGDRegressor
from minibatch.testing import parametrize_with_batch_checks

class Faulty(MiniBatchSGDRegressor):
    def fit(self, X, y, sample_weight=None):
        super().fit(X, y)
        self.n_updates_ = -1
        return self

expected = lambda estimator: {"check_weights_are_repetitions": "takes no weights"}

@parametrize_with_batch_checks([MiniBatchSGDRegressor(batch_size=3), Faulty()], expected_failed_checks=expected)
def test_it(estimator, check):
    check(estimator)
"""


@pytest.mark.slow
def test_the_decorator_in_pytest(tmp_path):
    (tmp_path / "test_it.py").write_text(FILE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", str(tmp_path / "test_it.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert "test_it[MiniBatchSGDRegressor(batch_size=3)-check_updates_are_counted] PASSED" in printed
    assert "test_it[Faulty()-check_updates_are_counted] FAILED" in printed
    assert "test_it[Faulty()-check_weights_are_repetitions] XFAIL" in printed
    assert "1 failed, 15 passed, 1 xfailed, 1 xpassed" in printed


def test_without_pytest_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(ImportError, match="pip install pytest"):
        parametrize_with_batch_checks([])
