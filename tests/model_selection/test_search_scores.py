"""Scores of a search are scikit-learn's, whether it finds them by itself or asks the scorer."""

import warnings
from unittest.mock import patch

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import accuracy_score, balanced_accuracy_score, make_scorer, r2_score
from sklearn.model_selection import GridSearchCV, PredefinedSplit, ShuffleSplit
from sklearn.preprocessing import scale

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import MiniBatchGridSearchCV, _search_scores

DIGITS, NUMBERS = load_digits(return_X_y=True)
DIGITS = DIGITS[:300] / 16
NAMES = np.array(list("abcdefghij"), dtype=object)[NUMBERS[:300]]
DIABETES, PROGRESSION = load_diabetes(return_X_y=True)
DIABETES, PROGRESSION = scale(DIABETES)[:200], PROGRESSION[:200]
SPLIT = ShuffleSplit(2, test_size=0.3, random_state=0)
PLAIN = {"learning_rate": "constant", "max_iter": 3, "tol": None, "random_state": 0}
RATES = {"eta0": [1e-3, 1e-2]}


class Contrary(MiniBatchSGDClassifier):
    """Predicts the first class whatever comes."""

    def predict(self, X):
        return np.full(X.shape[0], self.classes_[0])


def scored_by(model, grid, X, y, weight=None, **options):
    """Results of both searches, and how often ours asked scikit-learn for scores."""
    given = {} if weight is None else {"sample_weight": weight}
    with patch.object(_search_scores, "_score", wraps=_search_scores._score) as asked:
        ours = MiniBatchGridSearchCV(model, grid, **options).fit(X, y, **given).cv_results_
    theirs = GridSearchCV(model, grid, **options).fit(X, y, **given).cv_results_
    for name in theirs:
        if name.startswith(("mean_t", "std_t", "rank_t", "split")) and not name.endswith(("time", "status")):
            assert_allclose(np.asarray(ours[name], float), np.asarray(theirs[name], float), rtol=1e-9, err_msg=name)
    return ours, asked.call_count


@pytest.mark.parametrize(
    ("model", "grid", "X", "y"),
    [
        (MiniBatchSGDClassifier("log_loss", **PLAIN), RATES, DIGITS, NAMES),
        (MiniBatchSGDClassifier("hinge", **PLAIN), RATES, sp.csr_array(DIGITS), NAMES == "c"),
        (MiniBatchSGDRegressor("poisson", **PLAIN), RATES, DIABETES, PROGRESSION / 100),
        (MiniBatchSGDRegressor(**PLAIN), RATES, DIABETES, np.column_stack([PROGRESSION, -(PROGRESSION**2)])),
        (MiniBatchMLPClassifier((3,), max_iter=2), {"alpha": [0.1, 1.0]}, DIGITS, NAMES),
        (MiniBatchMLPRegressor(hidden_layer_sizes=(3,), max_iter=2), {"alpha": [0.1, 1.0]}, DIABETES, PROGRESSION),
    ],
    ids=["labels", "sparse", "link", "outputs", "network", "regression"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_accuracy_and_r_squared_are_those_of_scikit_learn(model, grid, X, y, weighted):
    model.set_params(random_state=0, tol=None)
    # a vector that goes to fit does not go to the scores of a search
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y)) if weighted else None
    _, n_asked = scored_by(model, grid, X, y, weight, cv=SPLIT, return_train_score=True)
    assert n_asked == 0


@pytest.mark.parametrize(("scoring", "n_asked"), [("accuracy", 0), ("balanced_accuracy", 4), (["accuracy"], 4)])
def test_by_name(scoring, n_asked):
    model = MiniBatchSGDClassifier("log_loss", **PLAIN)
    options = {"cv": SPLIT, "scoring": scoring, "refit": False}
    assert scored_by(model, RATES, DIGITS, NAMES, **options)[1] == n_asked


@pytest.mark.parametrize(
    "scorer",
    [
        make_scorer(accuracy_score, greater_is_better=False),
        make_scorer(accuracy_score, normalize=False),
        make_scorer(balanced_accuracy_score),
        make_scorer(r2_score),
        lambda model, X, y: float(len(y)),
    ],
    ids=["loss", "count", "balanced", "r2", "own"],
)
def test_other_scorers_are_asked(scorer):
    model = MiniBatchSGDClassifier("log_loss", **PLAIN)
    assert scored_by(model, RATES, DIGITS, NUMBERS[:300] % 2, cv=SPLIT, scoring=scorer)[1] == 4


def test_a_model_with_predictions_of_its_own_is_asked():
    results, n_asked = scored_by(Contrary("log_loss", **PLAIN), RATES, DIGITS, NAMES, cv=SPLIT)
    assert n_asked == 4
    assert (results["mean_test_score"] < 0.3).all()


def test_labels_that_the_training_part_lacks():
    alone = NAMES == "c"
    results, n_asked = scored_by(
        MiniBatchSGDClassifier("log_loss", **PLAIN), RATES, DIGITS, NAMES, cv=PredefinedSplit(np.where(alone, 0, -1))
    )
    assert n_asked == 2
    assert (results["mean_test_score"] == 0.0).all()


@pytest.mark.parametrize("test_part", [[0], [0, 1, 2]], ids=["one row", "one value"])
def test_scores_without_a_number(test_part):
    y = PROGRESSION.copy()
    y[:3] = 100.0
    part = np.full(len(y), -1)
    part[test_part] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scored_by(MiniBatchSGDRegressor(**PLAIN), RATES, DIABETES, y, cv=PredefinedSplit(part))


@pytest.mark.compiled  # in Python an exponential that overflows raises
def test_predictions_that_are_not_finite_have_the_score_of_a_failure():
    model = MiniBatchSGDRegressor("poisson", **{**PLAIN, "max_iter": 1})
    rows = DIABETES * np.where(np.arange(len(DIABETES)) < 20, 1e6, 1.0)[:, None]
    part = np.where(np.arange(len(DIABETES)) < 20, 0, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results, n_asked = scored_by(model, {"eta0": [1e-2]}, rows, PROGRESSION / 100, cv=PredefinedSplit(part))
    assert n_asked == 1
    assert np.isnan(results["mean_test_score"]).all()


def test_it_takes_as_many_products_as_memory_asks_for():
    model, grid = MiniBatchSGDClassifier("log_loss", **PLAIN), {"eta0": np.geomspace(1e-4, 1e-1, 9)}
    one = MiniBatchGridSearchCV(model, grid, cv=SPLIT).fit(DIGITS, NAMES).cv_results_
    with patch("minibatch._problems.linear.SCORES_OF_MODELS", 2 * 10 * 90):
        many = MiniBatchGridSearchCV(model, grid, cv=SPLIT).fit(DIGITS, NAMES).cv_results_
    assert_allclose(many["mean_test_score"], one["mean_test_score"])
