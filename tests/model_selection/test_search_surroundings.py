"""MiniBatchGridSearchCV among failures, callbacks, files and wrong arguments; successive halving."""

import pickle
import re
from unittest.mock import patch

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, scale
from sklearn.utils.estimator_checks import check_estimator

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.engine import notice
from minibatch.model_selection import (
    ConvergenceCurve,
    MiniBatchGridSearchCV,
    _search_board,
    _search_runs,
)

FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)
X, Y = load_breast_cancer(return_X_y=True)
X = scale(X)


def classifier(**parameters):
    return MiniBatchSGDClassifier(
        **{"loss": "log_loss", "learning_rate": "constant", "max_iter": 4, "tol": None, "random_state": 0, **parameters}
    )


def network(**parameters):
    return MiniBatchMLPClassifier((4,), **{"max_iter": 9, "tol": None, "random_state": 0, **parameters})


# ---- failures


def test_candidates_that_fail_or_diverge_leave_the_others_alone():
    grid = {"eta0": [1e-2, 1e6, -1.0], "batch_size": [8, "full"]}
    search = MiniBatchGridSearchCV(classifier(loss="squared_error"), grid, cv=FOLDS)
    with pytest.warns(FitFailedWarning, match="6 fits failed out of a total of 18"):
        with pytest.warns(ConvergenceWarning, match=r"6 of 18 fits diverged, of 2 candidates; cv_results_\['status'\]"):
            search.fit(X, Y)
    results = search.cv_results_
    assert results["status"].tolist() == 2 * ["max_iter", "diverged", "failed"]
    alone = MiniBatchGridSearchCV(classifier(loss="squared_error"), {**grid, "eta0": [1e-2]}, cv=FOLDS).fit(X, Y)
    assert_allclose(results["mean_test_score"][[0, 3]], alone.cv_results_["mean_test_score"])
    assert np.isnan(results["mean_test_score"][[2, 5]]).all()
    assert search.best_params_ == alone.best_params_
    assert len(search.history_of(2, split=1)) == 0


@pytest.mark.parametrize("candidate", [{"alpha": -1.0}, {"batch_size": 0}, {"validation_fraction": 0.001}])
def test_errors_are_raised_where_that_is_asked_for(candidate):
    grid = [{"eta0": 0.1, "early_stopping": True}, {"eta0": 0.1, "early_stopping": True, **candidate}]
    search = MiniBatchGridSearchCV(classifier(), grid, cv=2, error_score="raise")
    with pytest.raises(ValueError, match=next(iter(candidate))):
        search.fit(X, Y)
    with pytest.warns(FitFailedWarning, match="2 fits failed"):
        found = search.set_params(error_score=-1.0).fit(X, Y).cv_results_
    assert found["mean_test_score"][1] == -1.0 < found["mean_test_score"][0]


def refuse_negative(rows):
    if (rows < 0).any():
        raise ValueError("negative")
    return rows


def test_a_transformer_that_fails_costs_its_setting_alone():
    model = make_pipeline(FunctionTransformer(), classifier())
    grid = {"functiontransformer__func": [None, refuse_negative], "minibatchsgdclassifier__eta0": [0.01, 0.1]}
    with pytest.warns(FitFailedWarning, match="6 fits failed"):
        search = MiniBatchGridSearchCV(model, grid, cv=FOLDS).fit(X, Y)
    assert search.cv_results_["status"].tolist() == ["max_iter", "max_iter", "failed", "failed"]


def test_all_fits_failing_is_an_error_with_the_reason():
    with pytest.raises(ValueError, match=r"(?s)All the 6 fits failed.*alpha"):
        MiniBatchGridSearchCV(classifier(), {"alpha": [-1.0, -2.0]}, cv=FOLDS).fit(X, Y)


def test_an_error_in_the_middle_of_training_is_that_of_those_who_share_the_pass():
    original, recorder = _search_runs.run_together, Recorder()

    def fails_at_full_batches(requests):
        if requests[0].epoch.batch_size > 100:
            raise MemoryError("no room")
        return original(requests)

    with patch.object(_search_runs, "run_together", fails_at_full_batches):
        model = classifier().set_callbacks(recorder)
        with pytest.warns(FitFailedWarning, match="no room"):
            search = MiniBatchGridSearchCV(model, {"batch_size": [8, "full"]}, cv=FOLDS, refit=False).fit(X, Y)
    assert search.cv_results_["status"].tolist() == ["max_iter", "failed"]
    assert recorder.n_torn_down == 6


# ---- successive halving


@pytest.mark.parametrize("make", [classifier, network])
def test_the_worst_go_and_the_others_go_on_where_they_are(make):
    """As own fits of as many epochs; and no epoch is trained twice."""
    model, rate = make(max_iter=20), "eta0" if make is classifier else "learning_rate_init"
    if make is network:
        model.set_params(learning_rate="constant")
    grid = {rate: np.logspace(-6, -1, 6).tolist(), "batch_size": [16, "full"]}
    asked, original = [], _search_runs.run_together

    def counting(requests):
        asked.extend(request.epoch.etas.size for request in requests if request.epoch.etas.any())
        return original(requests)

    with patch.object(_search_runs, "run_together", counting):
        with patch.object(_search_board, "load_kernels"):
            search = MiniBatchGridSearchCV(model, grid, cv=FOLDS, factor=3, min_epochs=2).fit(X, Y)
    results = search.cv_results_
    assert sorted(results["round"]) == [*8 * [0], 1, 1, 2, 3]
    assert sorted(results["mean_n_iter"]) == [*8 * [2], 6, 6, 18, 20]
    assert sum(asked) == 3 * results["mean_n_updates"].sum()
    for i, parameters in enumerate(results["params"]):
        alone = clone(model).set_params(**parameters, max_iter=int(results["mean_n_iter"][i]))
        for split, (train, test) in enumerate(FOLDS.split(X, Y)):
            alone.fit(X[train], Y[train])
            assert_allclose(search.history_of(i, split)["progressive_loss"], alone.history_["progressive_loss"])
            assert results[f"split{split}_test_score"][i] == alone.score(X[test], Y[test])
            assert results[f"split{split}_status"][i] == ("max_iter" if results["round"][i] == 3 else "dropped")


def test_who_lives_longer_ranks_before_others():
    grid = {"eta0": np.logspace(-6, 1, 9).tolist()}
    search = MiniBatchGridSearchCV(classifier(), grid, cv=FOLDS, factor=3).fit(X, Y)
    results = search.cv_results_
    ranked = np.argsort(results["rank_test_score"])
    assert (np.diff(results["round"][ranked]) <= 0).all()
    for number in range(3):
        scores = results["mean_test_score"][ranked][results["round"][ranked] == number]
        assert (np.diff(scores) <= 0).all()
    assert search.best_index_ == ranked[0]
    assert results["round"][search.best_index_] == 2
    assert search.best_estimator_.n_iter_ == 4


def test_fits_that_end_early_stay_in_the_race():
    """Those of few epochs have their scores, and nothing is dropped that had come to its end."""
    grid = {"max_iter": [1, 2, 30], "eta0": [0.001, 0.1, 1e7]}
    with pytest.warns(ConvergenceWarning, match="diverged"):
        search = MiniBatchGridSearchCV(classifier(loss="squared_error"), grid, cv=FOLDS, factor=2).fit(X, Y)
    results = search.cv_results_
    for i, parameters in enumerate(results["params"]):
        ended = results["mean_n_iter"][i] == parameters["max_iter"]
        assert (results["status"][i] in ("max_iter", "diverged")) == ended or results["status"][i] == "diverged"
    assert results["status"][search.best_index_] == "max_iter"


def test_halving_with_several_scores_looks_at_that_of_refit():
    grid = {"eta0": [1e-6, 1e-4, 1e-2, 1.0]}
    search = MiniBatchGridSearchCV(classifier(), grid, cv=FOLDS, scoring=["f1", "roc_auc"], refit="roc_auc", factor=2)
    results = search.fit(X, Y).cv_results_
    after_one = MiniBatchGridSearchCV(classifier(max_iter=1), grid, cv=FOLDS, scoring="roc_auc").fit(X, Y)
    best = np.argsort(-after_one.cv_results_["mean_test_score"])[:2]
    assert_array_equal(np.flatnonzero(results["round"]), np.sort(best))
    with pytest.raises(ValueError, match="factor needs the name of a score in refit"):
        search.set_params(refit=False).fit(X, Y)
    own = search.set_params(scoring=lambda model, X, y: {"own": model.score(X, y), "n": 1.0}, refit="own").fit(X, Y)
    assert own.cv_results_["round"][own.best_index_] == 2


# ---- surroundings


class Recorder:
    """A callback that counts tasks by name and keeps the scores of what it sees."""

    def __init__(self):
        self.begun, self.ended, self.rows, self.n_torn_down = [], [], set(), 0

    def __deepcopy__(self, memo):
        return self

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context):
        self.n_torn_down += 1

    def on_fit_task_begin(self, estimator, context, *, X, y):
        self.begun.append(context.task_name)
        self.rows.add(X is None or type(X).__name__)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.ended.append((context.task_name, None if fitted_estimator is None else fitted_estimator.n_iter_))


@pytest.mark.parametrize("factor", [None, 2])
def test_callbacks_of_the_search_and_of_the_estimator(factor):
    of_search, of_model = Recorder(), Recorder()
    model = classifier().set_callbacks(of_model)
    search = MiniBatchGridSearchCV(model, {"eta0": [0.001, 0.01]}, cv=2, factor=factor).set_callbacks(of_search)
    results = search.fit(X, Y).cv_results_
    assert of_search.begun.count("candidate-split-evaluation") == 4
    assert {"fit", "search", "refit-with-best-params"} <= set(of_search.begun)
    assert [name for name, _ in of_search.ended].count("candidate-split-evaluation") == 4
    n_epochs = int(2 * results["mean_n_iter"].sum()) + search.best_estimator_.n_iter_
    assert of_model.begun.count("epoch") >= n_epochs
    for callback in (of_search, of_model):  # what begins ends, that of a dropped fit too
        assert sorted(callback.begun) == sorted(name for name, _ in callback.ended)
    ends = [seen for name, seen in of_model.ended if name == "epoch" and seen is not None]
    assert len(ends) == n_epochs
    assert of_model.rows == {"ndarray"}
    assert sorted(ends)[-1] == 4


def test_a_progress_bar(capsys):
    pytest.importorskip("rich")
    search = MiniBatchGridSearchCV(classifier(), {"eta0": [0.001, 0.01]}, cv=2).set_callbacks(ProgressBar())
    search.fit(X, Y)
    assert "MiniBatchGridSearchCV" in capsys.readouterr().out


class StopsAfter:
    def __init__(self, epoch):
        self.epoch = epoch

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        return context.task_name == "epoch" and context.task_id + 1 == self.epoch


def test_a_callback_may_stop_fits():
    search = MiniBatchGridSearchCV(classifier().set_callbacks(StopsAfter(2)), {"eta0": [0.001, 0.01]}, cv=2).fit(X, Y)
    assert search.cv_results_["status"].tolist() == 2 * ["stopped_by_callback"]
    assert_array_equal(search.cv_results_["mean_n_iter"], [2, 2])


def test_under_halving_no_epoch_is_trained_twice_or_planned_in_vain(monkeypatch):
    trained = []

    def counted(requests):
        trained.extend(len(np.atleast_2d(request.epoch.order)) for request in requests)
        return run_together(requests)

    run_together = _search_runs.run_together
    monkeypatch.setattr(_search_board, "load_kernels", lambda *_: None)
    monkeypatch.setattr(_search_runs, "run_together", counted)
    grid = {"eta0": [1e-3, 1e-2, 1e-1], "batch_size": [4, 32, "full"]}
    search = MiniBatchGridSearchCV(classifier(max_iter=9), grid, cv=2, factor=3).fit(X[:100], Y[:100])
    assert sum(trained) == 2 * search.cv_results_["mean_n_iter"].sum() == 2 * (6 * 1 + 2 * 3 + 9)
    assert max(trained) == 6  # the third to the ninth epoch in one call


def test_it_says_what_it_does(capsys):
    MiniBatchGridSearchCV(classifier(), {"eta0": [0.001, 0.01]}, cv=2, verbose=2).fit(X, Y)
    printed = capsys.readouterr().out
    assert "Fitting 2 folds for each of 2 candidates, totalling 4 fits" in printed
    assert len(re.findall(r"split [01], eta0=0.0?01.*: max_iter after 4 epochs, score 0\.9\d+", printed)) == 4


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_its_threads_tell_it_about_compilation(n_jobs, monkeypatch, capsys):
    original = _search_runs.run_together

    def compiling(requests):
        if listener := notice._listener.get():
            listener("compiling")
        return original(requests)

    monkeypatch.setattr(_search_runs, "run_together", compiling)
    search = MiniBatchGridSearchCV(classifier(), {"batch_size": [4, 6, 8, 10, 12, 16]}, cv=2, n_jobs=n_jobs)
    search.fit(X, Y)
    assert "compiling" not in capsys.readouterr().out
    search.set_params(verbose=1).fit(X, Y)
    assert capsys.readouterr().out.count("compiling") == 1


def test_a_fitted_search_goes_through_pickle():
    search = MiniBatchGridSearchCV(classifier(), {"eta0": [0.001, 0.01]}, cv=2, factor=2).fit(X, Y)
    again = pickle.loads(pickle.dumps(search))
    assert_array_equal(again.predict(X), search.predict(X))
    assert_array_equal(again.history_of(1)["n_updates"], search.history_of(1)["n_updates"])


@pytest.mark.compiled
def test_it_is_a_search_and_an_estimator_of_scikit_learn():
    search = MiniBatchGridSearchCV(MiniBatchSGDClassifier(random_state=0), {"alpha": [1e-4, 1e-2]}, cv=2)
    assert isinstance(search, GridSearchCV)
    assert clone(search).get_params()["param_grid"] == {"alpha": [1e-4, 1e-2]}
    failed = [log for log in check_estimator(search, on_fail=None) if log["status"] == "failed"]
    theirs = GridSearchCV(search.estimator, search.param_grid, cv=2)
    allowed = {log["check_name"] for log in check_estimator(theirs, on_fail=None) if log["status"] == "failed"}
    assert {log["check_name"] for log in failed} <= allowed


def test_curves_of_candidates():
    grid = {"batch_size": [8, "full"], "eta0": [0.001, 0.01], "evaluate_every": [2]}
    search = MiniBatchGridSearchCV(classifier(), grid, cv=2).fit(X, Y)
    curve = search.to_curve([2, 1])
    assert isinstance(curve, ConvergenceCurve)
    assert (curve.param_name, curve.param_range) == ("batch_size", ["full", 8])
    assert curve.paired_params == {"eta0": [0.001, 0.01]}
    assert_allclose(curve.summary_["mean_test_score"], search.cv_results_["mean_test_score"][[2, 1]])
    evaluated = curve.curves_["train_loss"][0, 1]
    assert_allclose(evaluated, search.history_of(2, 1)["train_loss"][1::2])
    assert "max_iter" in repr(curve)
    assert len(search.to_curve().param_range) == 4


# ---- wrong calls


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"factor": 1}, r"The 'factor' parameter .* must be an int in the range \[2, inf\) or None"),
        ({"factor": 1.5}, "The 'factor' parameter"),
        ({"min_epochs": 0}, "The 'min_epochs' parameter"),
        ({"param_grid": {"eta0": 0.1}}, "needs to be a list or a numpy array"),
        ({"param_grid": {"eta0": []}}, "need to be a non-empty sequence"),
        ({"param_grid": []}, "no candidates"),
        ({"param_grid": {"rate": [0.1]}}, "Invalid parameter 'rate'"),
        ({"scoring": ["f1", "r2"]}, "refit must be set to a scorer key"),
    ],
)
def test_wrong_arguments_are_named_before_any_fit(parameters, message):
    search = MiniBatchGridSearchCV(classifier(), {"eta0": [0.1]}, cv=2).set_params(**parameters)
    with patch.object(MiniBatchSGDClassifier, "_training", side_effect=AssertionError("it trains")):
        with pytest.raises((ValueError, TypeError), match=message):
            search.fit(X, Y)


def test_estimators_of_others_are_refused():
    message = "estimator must be an estimator of minibatch, or a Pipeline that ends in one; got SGDClassifier"
    with pytest.raises(TypeError, match=message):
        MiniBatchGridSearchCV(SGDClassifier(), {"alpha": [0.1]}).fit(X, Y)


def test_numbers_that_do_not_exist_are_named():
    search = MiniBatchGridSearchCV(MiniBatchSGDRegressor(max_iter=2, tol=None), {"alpha": [0.1, 1.0]}, cv=2)
    with pytest.raises(AttributeError, match="not fitted"):
        search.history_of(0)
    search.fit(X, Y)
    for call, message in (
        (lambda: search.history_of(2), "candidate must be an integer from 0 to 1; got 2"),
        (lambda: search.history_of(0, split=2), "split must be an integer from 0 to 1; got 2"),
        (lambda: search.history_of(0.5), "candidate must be an integer"),
        (lambda: search.to_curve([0, -1]), "candidates must be an integer from 0 to 1; got -1"),
        (lambda: search.to_curve([]), "candidates is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
