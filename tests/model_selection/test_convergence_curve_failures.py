"""convergence_curve: folds that lack a class, and fits that fail, leave the others alone."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import ConvergenceScorer, convergence_curve

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
rng = np.random.default_rng(0)
X = rng.standard_normal((30, 3))
LABELS = np.array(["a", "b"] * 12 + ["c"] * 6)  # without shuffling, all of c is in the last of five folds
FEW = {"max_iter": 3, "tol": None, "random_state": 0}
LINEAR, NET = MiniBatchSGDClassifier(**FEW), MiniBatchMLPClassifier(hidden_layer_sizes=(3,), **FEW)
CLASSIFIERS = pytest.mark.parametrize(
    "model", [LINEAR, NET, make_pipeline(StandardScaler(), LINEAR)], ids=["linear", "network", "pipeline"]
)


class FailsOnSmall(MiniBatchSGDRegressor):
    def _check_batches(self, n_samples):
        if self.batch_size == 2:
            raise ValueError("I do not like 2")


@CLASSIFIERS
@pytest.mark.parametrize("scoring", [None, "accuracy", "balanced_accuracy"])
def test_a_fold_that_lacks_a_class(model, scoring):
    with pytest.warns(UserWarning, match=r"in fold 4 \(class 'c'\): its test loss is NaN") as shown:
        curve = convergence_curve(model, X, LABELS, param_range=[4, 8], cv=KFold(5), scoring=scoring)
    assert len([w for w in shown if "training part lacks" in str(w.message)]) == 1
    assert np.isnan(curve.folds_["test_loss"][:, 4]).all()
    assert np.isfinite(curve.folds_["test_loss"][:, :4]).all()
    assert np.isfinite(curve.folds_["train_loss"]).all()
    assert np.isnan(curve.curves_["test_loss"][:, 4]).all()
    assert (curve.folds_["status"] == "max_iter").all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = "batch_size" if model in (LINEAR, NET) else "minibatchsgdclassifier__batch_size"
        search = GridSearchCV(
            clone(model), {name: [4, 8]}, cv=KFold(5), scoring=ConvergenceScorer(scoring), refit=False
        ).fit(X, LABELS)
    theirs = np.array([search.cv_results_[f"split{fold}_test_score"] for fold in range(5)]).T
    assert_allclose(curve.folds_["test_score"], theirs)
    losses = np.array([search.cv_results_[f"split{fold}_test_loss"] for fold in range(5)]).T
    assert_allclose(curve.folds_["test_loss"], losses)


@CLASSIFIERS
def test_folds_that_have_all_classes_are_not_changed_by_one_that_lacks_one(model):
    folds = list(KFold(5).split(X))
    with pytest.warns(UserWarning, match="training part lacks"):
        curve = convergence_curve(model, X, LABELS, param_range=[8], cv=folds)
    same = convergence_curve(model, X, LABELS, param_range=[8], cv=folds[:4])
    for name in ("train_loss", "test_loss", "train_score", "test_score"):
        assert_array_equal(curve.curves_[name][:, :4], same.curves_[name])


@pytest.mark.parametrize("model", [LINEAR, NET], ids=["linear", "network"])
def test_a_training_set_too_small_for_all_classes(model):
    labels = np.array(["a", "b"] * 14 + ["c", "c"])
    with pytest.warns(UserWarning, match=r"\(class 'c'\), at train_size 0.2: its test loss is NaN"):
        curve = convergence_curve(model, X, labels, param_name="train_size", param_range=[0.2, 1.0], cv=2)
    assert np.isnan(curve.folds_["test_loss"][0]).any()
    assert np.isfinite(curve.folds_["test_loss"][1]).all()
    assert np.isfinite(curve.folds_["test_score"]).all()


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("error_score", [np.nan, 0.0, np.float32(-1)])
def test_fits_that_fail_have_the_error_score(error_score, n_jobs):
    model = FailsOnSmall(**FEW)
    with pytest.warns(FitFailedWarning, match=r"(?s)3 fits failed out of a total of 9.*I do not like 2"):
        curve = convergence_curve(
            model, X, X[:, 0], param_range=[1, 2, 4], cv=3, error_score=error_score, n_jobs=n_jobs, target=0.1
        )
    assert_array_equal(curve.folds_["status"][1], ["failed"] * 3)
    assert_array_equal(curve.folds_["test_score"][1], [error_score] * 3)
    assert np.isnan(curve.folds_["test_loss"][1]).all()
    same = convergence_curve(model, X, X[:, 0], param_range=[1, 4], cv=3, target=0.1)
    for name in ("train_loss", "test_loss", "train_score", "test_score"):
        assert_array_equal(curve.folds_[name][[0, 2]], same.folds_[name])
    assert "failed" in str(curve)


def test_an_error_may_be_raised():
    with pytest.raises(ValueError, match="I do not like 2"):
        convergence_curve(FailsOnSmall(**FEW), X, X[:, 0], param_range=[1, 2], cv=3, error_score="raise")


def test_where_every_fit_fails_that_is_an_error():
    with pytest.raises(ValueError, match=r"(?s)All the 3 fits failed.*I do not like 2"):
        convergence_curve(FailsOnSmall(**FEW), X, X[:, 0], param_range=[2], cv=3)


@pytest.mark.parametrize("wrong", ["ignore", None, True, [0.0]])
def test_a_wrong_error_score(wrong):
    with pytest.raises(ValueError, match=r"error_score must be a number or 'raise'; got"):
        convergence_curve(LINEAR, X, LABELS, error_score=wrong)


def test_the_same_failure_is_told_once():
    model = FailsOnSmall(**FEW)
    with pytest.warns(FitFailedWarning, match="3 fits failed with the following error") as told:
        convergence_curve(model, X, X[:, 0], param_range=[2, 4], cv=3)
    assert str(told[0].message).count("ValueError: I do not like 2") == 1


class Stateless(TransformerMixin, BaseEstimator):
    """Learns nothing, and says so nowhere."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return 0.1 * X


def test_a_transformer_without_attributes_is_used_as_pipelines_use_it():
    curve, expected = (
        convergence_curve(model, rows, LABELS, param_range=[4], cv=3)
        for model, rows in ((make_pipeline(Stateless(), LINEAR), X), (LINEAR, 0.1 * X))
    )
    assert_array_equal(curve.folds_["test_score"], expected.folds_["test_score"])
    assert (curve.folds_["status"] == "max_iter").all()
