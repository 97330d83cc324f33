"""ConvergenceScorer: columns of a search against the models that the search could have made."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import SGDRegressor
from sklearn.metrics import get_scorer, log_loss, mean_squared_error
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.model_selection import ConvergenceScorer

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:(One or more of the test scores|The y_prob values do not|invalid value)"),
]

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 4))
y = X @ [1.0, -2.0, 0.5, 0.0] + 0.5 * rng.standard_normal(60) + 1.0
labels = np.array(["a", "b", "c"])[np.digitize(y, [0.0, 2.0])]
weight = rng.random(60) + 0.1
PLAIN = {"max_iter": 3, "tol": None, "random_state": 0, "batch_size": 7}
sgd = MiniBatchSGDRegressor(**PLAIN)
classifier = MiniBatchMLPClassifier((4,), **PLAIN)
softmax = MiniBatchSGDClassifier("log_loss", multi_class="multinomial", **PLAIN)
GRID = {"batch_size": [1, 16, "full"]}
FOLDS = list(KFold(3, shuffle=True, random_state=0).split(X))
STATUSES = {"converged", "max_iter", "max_updates", "early_stopped", "stopped_by_callback", "diverged"}


def search(estimator=sgd, y=y, grid=GRID, scoring=None, refit="score", **more):
    return GridSearchCV(estimator, grid, scoring=ConvergenceScorer(scoring), refit=refit, cv=FOLDS, **more).fit(X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_columns_of_a_grid_search_are_those_of_the_models(n_jobs):
    results = search(return_train_score=True, n_jobs=n_jobs).cv_results_
    for i, size in enumerate(GRID["batch_size"]):
        for f, (train, test) in enumerate(FOLDS):
            model = clone(sgd).set_params(batch_size=size).fit(X[train], y[train])
            history = model.history_
            expected = {
                "score": model.score(X[test], y[test]),
                "loss": mean_squared_error(y[test], model.predict(X[test])) / 2,
                "n_updates": model.n_updates_,
                "n_iter": model.n_iter_,
                "n_samples_seen": history["n_samples_seen"][-1],
                "train_loss": history["progressive_loss"][-1],
                "batch_size": model.batch_size_,
                **{f"status_{status}": status == model.status_ for status in STATUSES},
            }
            for name, value in expected.items():
                assert_allclose(results[f"split{f}_test_{name}"][i], value, rtol=1e-10, err_msg=name)
            train_loss = mean_squared_error(y[train], model.predict(X[train])) / 2
            assert_allclose(results[f"split{f}_train_loss"][i], train_loss, rtol=1e-10)
            assert_allclose(results[f"split{f}_train_score"][i], model.score(X[train], y[train]))
            assert 0 < results[f"split{f}_test_seconds"][i] < 5
            for name in set(expected) - {"score", "loss"}:
                assert results[f"split{f}_test_{name}"][i] == results[f"split{f}_train_{name}"][i], name


def test_the_score_is_what_the_search_would_have_had_without_it():
    for scoring in (None, "r2", "neg_mean_absolute_error", get_scorer("neg_max_error")):
        plain = GridSearchCV(sgd, GRID, scoring=scoring, cv=FOLDS).fit(X, y)
        ours = search(scoring=scoring)
        assert_array_equal(ours.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
        assert ours.best_params_ == plain.best_params_
        assert ours.best_score_ == plain.best_score_
    assert_allclose(search().predict(X), clone(sgd).set_params(**search().best_params_).fit(X, y).predict(X))


@pytest.mark.parametrize(
    ("scoring", "names"),
    [
        (["accuracy", "neg_log_loss"], {"accuracy", "neg_log_loss"}),
        (("accuracy",), {"accuracy"}),
        ({"accuracy"}, {"accuracy"}),
        ({"right": "accuracy", "ll": get_scorer("neg_log_loss")}, {"right", "ll"}),
    ],
)
def test_several_scores_have_their_own_names(scoring, names):
    refit = sorted(names)[0]
    results = search(classifier, labels, scoring=scoring, refit=refit).cv_results_
    assert {f"mean_test_{name}" for name in names} <= set(results)
    assert "mean_test_score" not in results
    if "ll" in names:
        assert_allclose(results["mean_test_ll"], -results["mean_test_loss"], rtol=1e-9)


@pytest.mark.parametrize("model", [classifier, softmax], ids=["network", "linear"])
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array, np.float32], ids=["dense", "csr", "float32"])
@pytest.mark.parametrize("weights", [None, weight], ids=["", "weights"])
def test_the_loss_is_the_log_loss(model, layout, weights):
    rows = layout(X)
    fitted = clone(model).set_params(alpha=0.3, class_weight="balanced").fit(rows, labels)
    found = ConvergenceScorer()(fitted, rows, labels, sample_weight=weights)
    expected = log_loss(labels, fitted.predict_proba(rows).astype(float), sample_weight=weights)
    assert_allclose(found["loss"], expected, rtol=2e-5 if layout is np.float32 else 1e-9)
    assert_allclose(found["score"], fitted.score(rows, labels, weights))


def test_through_pipelines():
    inside = make_pipeline(make_pipeline(StandardScaler(), "passthrough"), classifier)
    grid = {"minibatchmlpclassifier__batch_size": [5, "full"]}
    results = search(inside, labels, grid).cv_results_
    for i, size in enumerate([5, "full"]):
        for f, (train, test) in enumerate(FOLDS):
            model = clone(inside).set_params(minibatchmlpclassifier__batch_size=size).fit(X[train], labels[train])
            loss = log_loss(labels[test], model.predict_proba(X[test]), labels=model.classes_)
            assert_allclose(results[f"split{f}_test_loss"][i], loss, rtol=1e-9)
            assert results[f"split{f}_test_n_updates"][i] == model[-1].n_updates_


def test_a_sparsified_model_has_the_same_loss():
    model = MiniBatchSGDClassifier("log_loss", penalty="l1", alpha=0.05, **PLAIN).fit(X, labels)
    before = ConvergenceScorer()(model, X, labels)
    assert ConvergenceScorer()(model.sparsify(), X, labels) == before


def test_statuses_are_shares_of_folds():
    grid = {"max_iter": [1, 200], "tol": [None, 1e-2], "max_updates": [None, 3]}
    network = MiniBatchMLPClassifier((4,), early_stopping=True, random_state=0, n_iter_no_change=2)
    results = search(network, labels, grid).cv_results_
    shares = np.array([results[f"mean_test_status_{status}"] for status in sorted(STATUSES)])
    assert_allclose(shares.sum(axis=0), 1.0)
    for i, parameters in enumerate(results["params"]):
        for f, (train, _) in enumerate(FOLDS):
            status = clone(network).set_params(**parameters).fit(X[train], labels[train]).status_
            assert results[f"split{f}_test_status_{status}"][i] == 1.0
    assert results["mean_test_status_early_stopped"].max() == 1.0


def test_divergence_is_a_column_and_not_an_error():
    results = search(clone(sgd).set_params(learning_rate="constant"), grid={"eta0": [0.01, 1e8]}).cv_results_
    assert_array_equal(results["mean_test_status_diverged"], [0.0, 1.0])


def test_the_train_loss_is_the_evaluated_one_where_there_is_one():
    model = clone(sgd).set_params(evaluate_every=1).fit(X, y)
    found = ConvergenceScorer()(model, X, y)
    assert_allclose(found["train_loss"], found["loss"], rtol=1e-12)
    late = clone(sgd).set_params(evaluate_every=2).fit(X, y)  # of 3 epochs
    last = ConvergenceScorer()(late, X, y)["train_loss"]
    assert last == late.history_["train_loss"][1], "the last training loss in history_"


@pytest.mark.parametrize("n_iter", [0, 4])
def test_lbfgs(n_iter):
    model = MiniBatchMLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0, tol=1e-9 if n_iter else 1e9)
    model.set_params(max_iter=max(n_iter, 1)).fit(X, y)
    found = ConvergenceScorer()(model, X, y)
    assert (found["n_updates"], found["n_iter"], found["batch_size"]) == (n_iter, n_iter, 60)
    assert_allclose(found["loss"], mean_squared_error(y, model.predict(X)) / 2)


# ---------------------------------------------------------------------- other searches


def test_a_randomized_search():
    found = RandomizedSearchCV(
        sgd, {"eta0": loguniform(1e-3, 1e-1)}, n_iter=3, scoring=ConvergenceScorer("r2"), refit="score", random_state=0
    ).fit(X, y)
    assert_array_equal(found.cv_results_["mean_test_n_updates"], 3 * 7)


def test_a_halving_search_over_epochs():
    found = HalvingGridSearchCV(
        sgd, GRID, scoring=ConvergenceScorer(), refit="score", resource="max_iter", max_resources=9, min_resources=1,
        random_state=0, cv=FOLDS,
    ).fit(X, y)  # fmt: skip
    assert_array_equal(found.cv_results_["mean_test_n_iter"], found.cv_results_["n_resources"])
    assert "batch_size" in found.best_params_


def test_cross_validate():
    scores = cross_validate(sgd, X, y, scoring=ConvergenceScorer("r2"), cv=FOLDS, return_train_score=True)
    assert_array_equal(scores["test_n_updates"], [18] * 3)
    assert_array_equal(scores["test_score"], cross_validate(sgd, X, y, scoring="r2", cv=FOLDS)["test_score"])


def test_several_columns_need_the_name_of_one_to_refit():
    with pytest.raises(ValueError, match="refit must be set to a scorer key"):
        search(refit=True)


@pytest.mark.parametrize("error_score", [np.nan, -7.0])
def test_a_candidate_that_fails_has_the_error_score_in_every_column(error_score):
    with pytest.warns(FitFailedWarning, match="eta0"):
        results = search(grid={"eta0": [0.01, -1.0]}, error_score=error_score).cv_results_
    for name in ("score", "loss", "n_updates", "status_max_iter"):
        assert_array_equal(results[f"mean_test_{name}"][1], error_score)
        assert results[f"mean_test_{name}"][0] != error_score
    with pytest.raises(ValueError, match="eta0"):
        search(grid={"eta0": [0.01, -1.0]}, error_score="raise")


# ---------------------------------------------------------------------- weights


def test_without_routing_weights_reach_the_score_as_in_scikit_learn():
    plain = GridSearchCV(sgd, GRID, scoring="r2", cv=FOLDS).fit(X, y, sample_weight=weight).cv_results_
    ours = GridSearchCV(sgd, GRID, scoring=ConvergenceScorer("r2"), refit="score", cv=FOLDS)
    ours = ours.fit(X, y, sample_weight=weight).cv_results_
    assert_array_equal(ours["mean_test_score"], plain["mean_test_score"])


def test_with_routing_weights_reach_a_score_that_asks_for_them():
    """As they would without the ConvergenceScorer around it."""
    with config_context(enable_metadata_routing=True):
        model = clone(sgd).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scorer = get_scorer("r2").set_score_request(sample_weight=True)
        plain = GridSearchCV(model, GRID, scoring=scorer, cv=FOLDS).fit(X, y, sample_weight=weight)
        ours = GridSearchCV(model, GRID, scoring=ConvergenceScorer(scorer), refit="score", cv=FOLDS)
        ours.fit(X, y, sample_weight=weight)
    assert_allclose(ours.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"], rtol=1e-12)


def test_with_routing_nothing_is_asked_for_by_default():
    with config_context(enable_metadata_routing=True):
        model = clone(sgd).set_fit_request(sample_weight=True)
        ours = GridSearchCV(model, GRID, scoring=ConvergenceScorer(), refit="score", cv=FOLDS).fit(X, y)
    assert_allclose(ours.cv_results_["mean_test_score"], search().cv_results_["mean_test_score"])


@pytest.mark.compiled
@pytest.mark.parametrize("scoring", [None, "r2", ["r2", "neg_mean_squared_error"], {"mine": "r2"}])
def test_a_candidate_that_predicts_infinity_keeps_its_columns(scoring):
    """Metrics refuse such predictions; the score is NaN then, and the rest is known."""
    model = MiniBatchSGDRegressor("poisson", fit_intercept=False, max_iter=1, tol=None, random_state=0)
    model.fit(X, np.abs(y))
    model.coef_ = np.full_like(model.coef_, 1e3)
    results = ConvergenceScorer(scoring)(model, np.abs(X) + 1.0, np.abs(y))
    scores = {"mine", "r2", "neg_mean_squared_error", "score"} & results.keys()
    assert scores
    assert np.isnan([results[name] for name in (*scores, "loss")]).all()
    assert results["n_updates"] == model.n_updates_


def test_a_label_that_training_lacks_costs_the_loss_only():
    """The score is what it would be without the ConvergenceScorer."""
    three = np.where(np.arange(60) < 10, "w", np.where(X[:, 0] > 0, "u", "v"))
    folds = [(np.arange(10, 60), np.arange(30)), (np.arange(50), np.arange(50, 60))]
    searches = [
        GridSearchCV(classifier, GRID, scoring=scoring, refit=False, cv=folds).fit(X, three)
        for scoring in ("accuracy", ConvergenceScorer("accuracy"))
    ]
    plain, ours = searches
    assert_allclose(ours.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    assert np.isnan(ours.cv_results_["split0_test_loss"]).all()
    assert np.isfinite(ours.cv_results_["split1_test_loss"]).all()


@pytest.mark.parametrize("name", ["loss", "n_updates", "status_diverged"])
def test_a_score_may_not_take_the_name_of_another_column(name):
    with pytest.raises(ValueError, match=f"scoring must not use the names of what is kept besides; got {name}"):
        ConvergenceScorer({name: "r2"})


# ---------------------------------------------------------------------- the object itself


@pytest.mark.parametrize("scoring", [None, "r2", ["r2", "neg_max_error"], {"a": "r2"}, get_scorer("r2")])
def test_pickle_clone_and_repr(scoring):
    scorer, model = ConvergenceScorer(scoring), clone(sgd).fit(X, y)
    for copy in (pickle.loads(pickle.dumps(scorer)), clone(GridSearchCV(sgd, GRID, scoring=scorer)).scoring):
        assert copy(model, X, y) == scorer(model, X, y)
        assert repr(copy) == repr(scorer)
    assert repr(ConvergenceScorer("r2")) == "ConvergenceScorer('r2')"
    assert repr(ConvergenceScorer()) == "ConvergenceScorer()"


def test_models_that_cannot_be_scored():
    with pytest.raises(NotFittedError):
        ConvergenceScorer()(sgd, X, y)
    with pytest.raises(TypeError, match="estimator must be an estimator of minibatch"):
        ConvergenceScorer()(SGDRegressor().fit(X, y), X, y)
    with pytest.raises(ValueError, match="nope"):
        ConvergenceScorer("nope")(clone(sgd).fit(X, y), X, y)
    with pytest.raises(ValueError, match="4 features"):
        ConvergenceScorer(lambda *a, **k: 1.0)(clone(sgd).fit(X, y), X[:, :2], y)


def test_scoring_changes_nothing_and_warns_of_nothing():
    model = clone(classifier).fit(X, labels)
    before = pickle.dumps(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ConvergenceScorer()(model, X, labels)
    assert pickle.dumps(model) == before


def test_a_metric_that_refuses_some_folds_leaves_the_rest():
    labels = np.repeat(["a", "b", "c"], [40, 40, 20])[np.r_[0:20, 40:60, 20:40, 60:80, 80:100]]
    rows = np.random.default_rng(0).standard_normal((100, 3))
    model = MiniBatchSGDClassifier("log_loss", max_iter=2, tol=None, random_state=0)
    scoring = ConvergenceScorer("neg_log_loss")
    with pytest.warns(UserWarning, match="Scoring failed, and the score is NaN: y_true and y_prob contain different"):
        found = GridSearchCV(model, {"batch_size": [8]}, scoring=scoring, refit=False, cv=KFold(2)).fit(rows, labels)
    assert np.isfinite(found.cv_results_["split1_test_n_updates"]).all()
    assert np.isnan(found.cv_results_["mean_test_score"]).all()
