"""MiniBatchGridSearchCV finds what GridSearchCV finds, and every candidate is the model that its own fit would give."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ParameterGrid, ParameterSampler, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import MiniBatchGridSearchCV

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)
DIGITS, NAMES = load_digits(return_X_y=True)
DIGITS, NAMES = DIGITS[:400] / 16, np.array(list("abcdefghij"))[NAMES[:400]]
CANCER, BENIGN = load_breast_cancer(return_X_y=True)
CANCER = scale(CANCER)
DIABETES, PROGRESSION = load_diabetes(return_X_y=True)
DIABETES = scale(DIABETES)
RATES = [0.001, 0.01, 0.1]


def classifier(**parameters):
    return MiniBatchSGDClassifier(
        **{"loss": "log_loss", "learning_rate": "constant", "max_iter": 4, "tol": None, "random_state": 0, **parameters}
    )


def regressor(**parameters):
    return MiniBatchSGDRegressor(
        **{"learning_rate": "constant", "eta0": 0.01, "max_iter": 4, "tol": None, "random_state": 0, **parameters}
    )


def both(model, grid, X, y, given=None, **options):
    """Our search and scikit-learn's, fitted."""
    classes = MiniBatchGridSearchCV, GridSearchCV
    return [search(model, grid, **options).fit(X, y, **(given or {})) for search in classes]


def assert_same(ours, theirs, tolerance=1e-8):
    """But for seconds, all columns; and all that a search without our names has."""
    found, expected = ours.cv_results_, theirs.cv_results_
    assert set(expected) <= set(found)
    assert found["params"] == expected["params"]
    for name, column in expected.items():
        if name.startswith("param_"):
            assert (found[name] == column).all(), name
        elif name.endswith("status"):
            assert (found[name] == column).all(), name
        elif "_time" not in name and name not in ("params", "mean_seconds"):
            assert_allclose(found[name], column, rtol=tolerance, atol=tolerance, err_msg=name)
    assert ours.n_splits_ == theirs.n_splits_
    assert ours.multimetric_ == theirs.multimetric_
    for name in ("best_index_", "best_params_", "best_score_", "refit_time_", "scorer_", "feature_names_in_"):
        assert hasattr(ours, name) == hasattr(theirs, name), name
    if hasattr(theirs, "best_index_"):
        assert ours.best_params_ == theirs.best_params_


GRIDS = {
    "numbers": {"batch_size": [1, 32, 0.25, "full"], "eta0": RATES, "alpha": [1e-4, 1e-2]},
    "auto": {"learning_rate": ["auto"], "batch_size": [1, 32, "full"], "alpha": [0.0, 1e-4, 1e-3, 1e-2, 0.1]},
    "schedules": {"learning_rate": ["invscaling", "cosine", "constant", "adaptive"], "eta0": RATES, "power_t": [0.3]},
    "losses": {"loss": ["hinge", "log_loss", "modified_huber"], "eta0": RATES, "class_weight": [None, "balanced"]},
    "penalties": {"penalty": ["l1", "elasticnet", "l2", None], "l1_ratio": [0.1, 0.9], "eta0": [0.01, 0.1]},
    "solvers": {"solver": ["momentum", "adam", "schedule_free_sgd"], "momentum": [0.5, 0.9], "eta0": [0.001, 0.01]},
    "averages": {"average": [True, False, 100], "eta0": RATES},
    "ends": {"tol": [1e-3, 1e-1], "n_iter_no_change": [1, 3], "max_iter": [2, 30], "eta0": RATES},
    "budgets": {"max_updates": [3, 50], "evaluate_every": [None, 2], "eta0": RATES},
    "early stopping": {"early_stopping": [True], "validation_fraction": [0.1, 0.3], "eta0": RATES, "max_iter": [20]},
    "seeds": {"random_state": [0, 1, np.random.RandomState(3)], "eta0": RATES, "shuffle": [True, False]},
    "softmax": {"multi_class": ["multinomial"], "eta0": RATES, "alpha": [1e-4, 1e-2]},
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("kind", ["dense", "sparse", "float32"])
def test_every_fit_is_that_of_the_model_alone(grid, kind):
    """Status, number of epochs and updates, history, and the score of the model."""
    X = {"dense": DIGITS, "sparse": sp.csr_matrix(DIGITS), "float32": DIGITS.astype(np.float32)}[kind]
    search = MiniBatchGridSearchCV(classifier(), grid, cv=FOLDS, refit=False, return_train_score=True).fit(X, NAMES)
    tolerance, results = 1e-4 if kind == "float32" else 1e-7, search.cv_results_
    for split, (train, test) in enumerate(FOLDS.split(X, NAMES)):
        for i, parameters in enumerate(results["params"]):
            model = clone(classifier()).set_params(**clone(parameters, safe=False)).fit(X[train], NAMES[train])
            history, own = search.history_of(i, split=split), model.history_
            assert results[f"split{split}_status"][i] == model.status_
            assert list(history) == list(own)
            for name in set(own) - {"seconds"}:
                message = f"{parameters}: {name}"
                assert_allclose(history[name], own[name], rtol=tolerance, atol=tolerance, err_msg=message)
            near = 2.5 / len(test) if kind == "float32" else 0.0  # rounding may turn a label or two
            assert abs(results[f"split{split}_test_score"][i] - model.score(X[test], NAMES[test])) <= near
            assert abs(results[f"split{split}_train_score"][i] - model.score(X[train], NAMES[train])) <= near


def test_a_pipeline_with_parameters_of_a_transformer():
    name = "minibatchsgdclassifier__"
    grid = {
        name + "batch_size": [1, 32, "full"],
        name + "eta0": RATES,
        name + "alpha": [1e-4, 1e-2],
        "standardscaler__with_std": [True, False],
    }
    model = make_pipeline(StandardScaler(), classifier())
    ours, theirs = both(model, grid, DIGITS, NAMES, cv=FOLDS, return_train_score=True)
    assert_same(ours, theirs)
    assert_allclose(ours.best_estimator_[-1].coef_, theirs.best_estimator_[-1].coef_)
    assert_array_equal(ours.predict(DIGITS), theirs.predict(DIGITS))


def test_pipelines_in_pipelines_and_steps_that_are_searched():
    inner = make_pipeline(PCA(5, random_state=0), classifier())
    grid = [
        {"pipeline__minibatchsgdclassifier__eta0": RATES, "standardscaler": [StandardScaler(), "passthrough"]},
        {"pipeline__minibatchsgdclassifier": [classifier(loss="hinge"), MiniBatchMLPClassifier((3,), max_iter=2)]},
    ]
    model = make_pipeline(StandardScaler(), inner)
    with_seed = [{**grid[0]}, {**grid[1], "pipeline__minibatchsgdclassifier__random_state": [0]}]
    ours, theirs = (
        search(model, with_seed, cv=FOLDS).fit(CANCER, BENIGN) for search in (MiniBatchGridSearchCV, GridSearchCV)
    )
    assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    assert ours.best_index_ == theirs.best_index_


@pytest.mark.parametrize("refit", ["r2", False, lambda results: int(results["mean_test_r2"].argmax())])
def test_a_regressor_with_weights_and_several_scores(refit):
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(PROGRESSION))
    grid = {"batch_size": [4, "full"], "eta0": [0.01, 0.1], "penalty": ["l2", "l1"]}
    options = {"cv": 3, "scoring": ["r2", "neg_mean_absolute_error"], "refit": refit}
    assert_same(*both(regressor(), grid, DIABETES, PROGRESSION, {"sample_weight": weight}, **options))


def test_networks():
    grid = {"batch_size": [16, 128], "learning_rate_init": [0.001, 0.01], "alpha": [0.0, 1.0]}
    model = MiniBatchMLPClassifier((4,), max_iter=3, tol=None, random_state=0, learning_rate="constant")
    assert_same(*both(model, grid, CANCER, BENIGN, cv=FOLDS))
    model = MiniBatchMLPRegressor(hidden_layer_sizes=(4,), max_iter=20, random_state=0, solver="lbfgs")
    grid = {"alpha": [0.0, 1.0], "activation": ["tanh", "relu"]}
    assert_same(*both(model, grid, DIABETES, PROGRESSION, cv=3))


def score_with_steps(estimator, X, y):
    """What only a fitted pipeline and rows before its transformers can give."""
    assert estimator.named_steps["standardscaler"].n_features_in_ == X.shape[1] == CANCER.shape[1]
    return {"f1": f1_score(y, estimator.predict(X)), "n_columns": estimator[1].n_components_}


@pytest.mark.parametrize(
    ("scoring", "refit"),
    [
        (None, True),
        ("roc_auc", True),
        (make_scorer(f1_score), True),
        (lambda estimator, X, y: float(estimator.predict(X).mean()), True),
        (score_with_steps, "f1"),
        ({"f1": "f1", "own": lambda estimator, X, y: estimator[1].n_components_}, "f1"),
    ],
)
def test_every_kind_of_scoring(scoring, refit):
    model = make_pipeline(StandardScaler(), PCA(4, random_state=0), classifier())
    grid = {"minibatchsgdclassifier__eta0": RATES, "minibatchsgdclassifier__batch_size": [8, "full"]}
    assert_same(*both(model, grid, CANCER, BENIGN, cv=FOLDS, scoring=scoring, refit=refit))


def test_frames_groups_and_candidates_drawn_at_random():
    frame = pd.DataFrame(CANCER, columns=[f"column {i}" for i in range(CANCER.shape[1])])
    groups = np.arange(len(BENIGN)) % 7
    drawn = list(ParameterSampler({"eta0": np.logspace(-3, 0, 30), "batch_size": [1, 8, 64]}, 10, random_state=0))
    ours = MiniBatchGridSearchCV(classifier(), drawn, cv=GroupKFold(3)).fit(frame, BENIGN, groups=groups)
    theirs = GridSearchCV(classifier(), [{k: [v] for k, v in given.items()} for given in drawn], cv=GroupKFold(3))
    assert_same(ours, theirs.fit(frame, BENIGN, groups=groups))
    assert list(ours.feature_names_in_) == list(frame.columns)


def test_with_metadata_routing():
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(BENIGN))
    given = {"sample_weight": weight, "groups": np.arange(len(BENIGN)) % 5}
    with config_context(enable_metadata_routing=True):
        final = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        model, grid = make_pipeline(scaler, final), {"minibatchsgdclassifier__eta0": RATES}
        assert_same(*both(model, grid, CANCER, BENIGN, given, cv=GroupKFold(3)))


def test_parameters_of_fit_in_a_pipeline():
    weight = np.random.default_rng(0).uniform(0.0, 3.0, len(BENIGN))
    model, name = make_pipeline(StandardScaler(), classifier()), "minibatchsgdclassifier__"
    given = {name + "sample_weight": weight, name + "intercept_init": [0.5]}
    grid = {name + "eta0": RATES, name + "batch_size": [8, 100]}
    assert_same(*both(model, grid, CANCER, BENIGN, given, cv=FOLDS))


def test_results_do_not_depend_on_the_number_of_threads():
    grid = {"batch_size": [1, 32, "full"], "eta0": np.logspace(-3, 0, 17), "alpha": [1e-4, 1e-2]}
    X = CANCER.astype(np.float32)
    one, many = (
        MiniBatchGridSearchCV(classifier(), grid, cv=FOLDS, n_jobs=n_jobs, return_train_score=True).fit(X, BENIGN)
        for n_jobs in (1, 3)
    )
    with parallel_config(backend="loky", n_jobs=2):  # threads all the same
        again = clone(many).set_params(n_jobs=None).fit(X, BENIGN)
    for other in (many, again):
        assert_same(other, one, tolerance=0.0)
        for number in range(len(one.cv_results_["params"])):
            ours, theirs = other.history_of(number), one.history_of(number)
            assert_array_equal(ours["progressive_loss"], theirs["progressive_loss"])


def test_without_a_seed_all_candidates_have_the_same():
    grid = {"alpha": [1e-4, 1e-4 * (1 + 1e-15)], "warm_start": [False, True]}
    search = MiniBatchGridSearchCV(classifier(random_state=None), grid, cv=2, refit=False).fit(CANCER, BENIGN)
    losses = [search.history_of(i)["progressive_loss"] for i in range(4)]
    for other in losses[1:]:
        assert_allclose(losses[0], other)
    again = clone(search).fit(CANCER, BENIGN)
    assert not np.allclose(again.history_of(0)["progressive_loss"], losses[0])


class CountedScaler(StandardScaler):
    n_fits = 0

    def fit(self, X, y=None, sample_weight=None):
        CountedScaler.n_fits += 1
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("factor", [None, 3])
def test_transformers_are_fitted_once_for_every_fold_and_setting(factor, monkeypatch):
    monkeypatch.setattr(CountedScaler, "n_fits", 0)
    name = "minibatchsgdclassifier__"
    grid = {name + "eta0": RATES, name + "batch_size": [1, "full"], "countedscaler__with_mean": [True, False]}
    model = make_pipeline(CountedScaler(), classifier())
    MiniBatchGridSearchCV(model, grid, cv=FOLDS, refit=False, factor=factor).fit(CANCER, BENIGN)
    assert CountedScaler.n_fits == 2 * 3


def test_histories_are_those_of_candidates_and_folds():
    grid = {"batch_size": [1, 50], "max_iter": [2, 3]}
    search = MiniBatchGridSearchCV(classifier(), grid, cv=KFold(2)).fit(CANCER, BENIGN)
    n = [285, 284]  # rows to test on
    for i, parameters in enumerate(ParameterGrid(grid)):
        for split in range(2):
            history, n_rows = search.history_of(i, split), 569 - n[split]
            assert len(history["epoch"]) == parameters["max_iter"]
            assert history["n_updates"][-1] == parameters["max_iter"] * -(-n_rows // parameters["batch_size"])
    assert_array_equal(search.cv_results_["mean_n_iter"], [2, 3, 2, 3])
    assert_array_equal(search.cv_results_["mean_batch_size"], [1, 1, 50, 50])
    assert_array_equal(search.cv_results_["mean_n_updates"], [569, 853.5, 12, 18])
    assert (search.cv_results_["mean_fit_time"] >= search.cv_results_["mean_seconds"]).all()
    assert search.cv_results_["status"].tolist() == 4 * ["max_iter"]
