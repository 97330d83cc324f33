"""MiniBatchGridSearchCV where candidates differ in more than numbers, and what it leaves behind."""

import gc
import weakref
from unittest.mock import patch

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, TargetEncoder, scale

from minibatch import MiniBatchSGDClassifier
from minibatch.model_selection import MiniBatchGridSearchCV, _search_lanes

FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)
X, Y = load_breast_cancer(return_X_y=True)
X = scale(X)


def classifier(**parameters):
    return MiniBatchSGDClassifier(
        **{"loss": "log_loss", "learning_rate": "constant", "max_iter": 4, "tol": None, "random_state": 0, **parameters}
    )


def test_a_final_step_that_is_a_pipeline_has_transformers_of_its_own():
    inner = make_pipeline(FunctionTransformer(), classifier())
    grid = {"clf": [inner], "clf__functiontransformer__func": [None, np.zeros_like]}
    model = Pipeline([("clf", classifier())])
    ours, theirs = (search(model, grid, cv=FOLDS).fit(X, Y) for search in (MiniBatchGridSearchCV, GridSearchCV))
    assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])


def test_parameters_that_cannot_be_hashed():
    grid = {"functiontransformer__func": [lambda rows: 2 * rows, lambda rows: 0 * rows]}
    model = make_pipeline(FunctionTransformer(), classifier())
    ours, theirs = (search(model, grid, cv=FOLDS).fit(X, Y) for search in (MiniBatchGridSearchCV, GridSearchCV))
    assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])


def test_training_parts_are_transformed_as_test_parts_are():
    """Target encoders give other values to the rows that they are fitted to."""
    codes = np.random.default_rng(0).integers(0, 40, (len(Y), 2))
    model, options = make_pipeline(TargetEncoder(random_state=0), classifier()), {"cv": 2, "return_train_score": True}
    grid = {"minibatchsgdclassifier__eta0": [0.1, 1.0]}
    ours, theirs = (search(model, grid, **options).fit(codes, Y) for search in (MiniBatchGridSearchCV, GridSearchCV))
    assert_allclose(ours.cv_results_["mean_train_score"], theirs.cv_results_["mean_train_score"])
    assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])


def test_a_test_part_that_a_transformer_refuses_cannot_be_scored():
    codes = np.arange(len(Y))[:, None]
    model = make_pipeline(OneHotEncoder(), classifier())
    with pytest.warns(UserWarning, match="Scoring failed"):
        search = MiniBatchGridSearchCV(model, {"minibatchsgdclassifier__eta0": [0.1]}, cv=2).fit(codes, Y)
    assert search.cv_results_["status"].tolist() == ["max_iter"]
    assert np.isnan(search.cv_results_["mean_test_score"]).all()


class OwnFit(MiniBatchSGDClassifier):
    def fit(self, X, y):
        return super().fit(0 * X, y)


def test_a_fit_of_ones_own_is_refused():
    with pytest.raises(TypeError, match="OwnFit has a fit of its own, which a search does not call"):
        MiniBatchGridSearchCV(OwnFit(), {"alpha": [0.1]}).fit(X, Y)


def test_one_candidate_of_defaults_lists_and_a_validation_set():
    assert MiniBatchGridSearchCV(classifier(), {}, cv=iter([(np.arange(300), np.arange(300, 569))])).fit(
        X.tolist(), Y.tolist(), X_val=X[:100], y_val=Y[:100]
    ).cv_results_["params"] == [{}]
    with pytest.raises(ValueError, match="requires y"):
        MiniBatchGridSearchCV(classifier(), {"alpha": [0.1]}, cv=2).fit(X)


def test_nothing_holds_the_rows_when_the_search_is_over():
    made = []
    original = _search_lanes.rows_of_fold

    def remembered(*arguments):
        fold = original(*arguments)
        made.append(weakref.ref(fold.X))
        return fold

    gc.collect()
    gc.disable()
    try:
        with patch.object(_search_lanes, "rows_of_fold", remembered):
            for factor in (None, 2):
                with pytest.warns(FitFailedWarning):
                    search = MiniBatchGridSearchCV(
                        classifier(), {"eta0": [0.1, 0.01], "alpha": [0.1, -1.0]}, cv=FOLDS, factor=factor, refit=False
                    ).fit(X, Y)
        alive = [row() for row in made]
    finally:
        gc.enable()
    assert len(search.history_of(0)) > 0
    assert len(made) == 6
    assert alive == 6 * [None]
