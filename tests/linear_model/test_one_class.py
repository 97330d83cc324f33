"""The one-class machine: scikit-learn's at batch size 1, one objective at every size, an outlier detector."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_outlier_detector
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import OneClassSVM
from sklearn.utils.estimator_checks import check_estimator

from minibatch import MiniBatchSGDOneClassSVM, MiniBatchSGDRegressor
from minibatch.engine.optimizers import SOLVERS
from minibatch.model_selection import MiniBatchGridSearchCV, convergence_curve
from minibatch.schedules._named import SCHEDULES
from minibatch.testing import batch_checks, expected_failed_checks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = np.vstack([rng.normal([4.0, 2.0, 1.0], 1.0, (110, 3)), rng.uniform(-2.0, 2.0, (10, 3))])
labels = np.repeat([1, -1], [110, 10])
order = rng.permutation(120)
X, labels = X[order], labels[order]
every_layout = pytest.mark.parametrize("layout", [np.asarray, sp.csr_array])


def objective(model, X=X, weight=None):
    rho, w = model.offset_[0], np.ravel(model.coef_)
    losses = np.maximum(rho - X @ w, 0.0)
    return 0.5 * model.nu * (w**2).sum() + np.average(losses, weights=weight) - model.nu * rho


def least(X, nu):
    """Of libsvm, which solves the same problem times a number."""
    found = OneClassSVM(kernel="linear", nu=nu, tol=1e-8).fit(X)
    model = MiniBatchSGDOneClassSVM(nu=nu)
    model.coef_, model.offset_ = found.coef_ / (nu * len(X)), -found.intercept_ / (nu * len(X))
    return objective(model, X)


def parameters_of(model):
    return np.append(model.coef_, model.offset_)


@pytest.mark.parametrize("schedule", ["constant", "optimal", "invscaling", "adaptive"])
@pytest.mark.parametrize("average", [False, True, 50])
@pytest.mark.parametrize("fit_intercept", [True, False])
@every_layout
def test_single_rows_are_scikit_learns(schedule, average, fit_intercept, layout):
    same = {"nu": 0.2, "learning_rate": schedule, "average": average, "shuffle": False, "max_iter": 4, "tol": None}
    weight = rng.uniform(0.5, 1.5, 120)
    weight *= 120 / weight.sum()
    for weights in (None, weight):
        ours = MiniBatchSGDOneClassSVM(batch_size=1, fit_intercept=fit_intercept, **same)
        theirs = SGDOneClassSVM(fit_intercept=fit_intercept, **same).fit(X, sample_weight=weights)
        ours.fit(layout(X), sample_weight=weights)
        if fit_intercept:
            assert_allclose(parameters_of(ours), parameters_of(theirs), rtol=1e-9)
            assert_allclose(ours.decision_function(layout(X)), theirs.decision_function(X), rtol=1e-7, atol=1e-9)
        assert ours.t_ == theirs.t_
        assert ours.coef_.shape == theirs.coef_.shape


@pytest.mark.parametrize("schedule", ["constant", "optimal", "invscaling"])
def test_training_ends_where_scikit_learns_does(schedule):
    same = {"nu": 0.2, "learning_rate": schedule, "shuffle": False}
    ours, theirs = MiniBatchSGDOneClassSVM(batch_size=1, **same).fit(X), SGDOneClassSVM(**same).fit(X)
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(parameters_of(ours), parameters_of(theirs), rtol=1e-9)


def test_parameters_are_scikit_learns():
    ours, theirs = MiniBatchSGDOneClassSVM().get_params(), SGDOneClassSVM().get_params()
    assert {name: ours[name] for name in theirs if name != "learning_rate"} == {
        name: value for name, value in theirs.items() if name != "learning_rate"
    }
    assert MiniBatchSGDOneClassSVM(0.3, False, 5).get_params()["max_iter"] == SGDOneClassSVM(0.3, False, 5).max_iter


def trained(X, nu, eta, batch_size, epochs, weight):
    """Batches in NumPy."""
    w, rho = np.zeros(X.shape[1]), 0.0
    for start in list(range(0, len(X), batch_size)) * epochs:
        rows, s = X[start : start + batch_size], weight[start : start + batch_size]
        outside = s * (rows @ w <= rho)
        w, rho = (1.0 - eta * nu) * w + eta * (outside @ rows) / len(rows), rho + eta * (nu - outside.mean())
    return np.append(w, rho)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 33, 50, 120])
@every_layout
def test_batches_are_those_of_numpy(batch_size, layout):
    weight = rng.uniform(0.0, 2.0, 120)
    weight /= weight.mean()
    same = {"nu": 0.3, "learning_rate": "constant", "eta0": 0.0137, "shuffle": False, "max_iter": 4, "tol": None}
    model = MiniBatchSGDOneClassSVM(batch_size=batch_size, **same).fit(layout(X), sample_weight=weight)
    assert_allclose(parameters_of(model), trained(X, 0.3, 0.0137, batch_size, 4, weight), rtol=1e-9)


def test_large_batches_make_the_same_steps(monkeypatch):
    for rate in ("constant", "auto"):
        same = {"nu": 0.3, "learning_rate": rate, "random_state": 0, "batch_size": 60, "max_iter": 5, "tol": None}
        small = MiniBatchSGDOneClassSVM(**same).fit(X)
        with monkeypatch.context() as patch:
            patch.setattr("minibatch._problems.linear_loops.LARGE_BATCH", 1)
            assert_allclose(parameters_of(MiniBatchSGDOneClassSVM(**same).fit(X)), parameters_of(small), rtol=1e-9)


@pytest.mark.parametrize("nu", [0.05, 0.5])
@pytest.mark.parametrize("batch_size", [1, 16, "full"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_auto_finds_the_optimum_at_every_batch_size_and_scale(nu, batch_size, scale):
    rows = scale * X[labels > 0]
    best = least(rows, nu)
    model = MiniBatchSGDOneClassSVM(nu=nu, batch_size=batch_size, max_iter=2000, tol=None, random_state=0).fit(rows)
    assert model.status_ == "max_iter"
    assert objective(model, rows) < (1.0 - 0.05) * best
    assert (model.predict(rows) < 0).mean() == pytest.approx(nu, abs=0.05)


@pytest.mark.parametrize("batch_size", [1, 16, "full"])
def test_auto_comes_to_rest(batch_size):
    model = MiniBatchSGDOneClassSVM(nu=0.5, batch_size=batch_size, random_state=0).fit(X)
    assert model.status_ == "converged"
    assert objective(model) < 0.9 * least(X, 0.5)


@pytest.mark.parametrize("solver", SOLVERS)
@every_layout
def test_every_solver_lowers_the_objective(solver, layout):
    model = MiniBatchSGDOneClassSVM(nu=0.5, solver=solver, learning_rate="constant", eta0="auto", random_state=0)
    model.set_params(batch_size=8, max_iter=100, tol=None, evaluate_every=10).fit(layout(X))
    assert objective(model) < 0.5 * least(X, 0.5)
    assert model.history_["objective"][-1] == pytest.approx(objective(model))


@pytest.mark.parametrize("schedule", [*SCHEDULES, "auto"])
@pytest.mark.parametrize("batch_size", [1, 8, "full"])
def test_every_schedule_trains(schedule, batch_size):
    model = MiniBatchSGDOneClassSVM(learning_rate=schedule, batch_size=batch_size, max_iter=3, random_state=0).fit(X)
    assert np.isfinite(parameters_of(model)).all()


@pytest.mark.parametrize("rate", ["auto", "constant"])
@pytest.mark.parametrize("batch_size", [1, 10, "full"])
def test_layouts_types_threads_and_chunks_agree(rate, batch_size):
    same = {"nu": 0.3, "learning_rate": rate, "batch_size": batch_size, "max_iter": 5, "tol": None, "random_state": 0}
    dense = MiniBatchSGDOneClassSVM(**same).fit(X)
    assert_allclose(parameters_of(MiniBatchSGDOneClassSVM(**same).fit(sp.csr_array(X))), parameters_of(dense))
    assert_array_equal(parameters_of(MiniBatchSGDOneClassSVM(n_jobs=2, **same).fit(X)), parameters_of(dense))
    single = MiniBatchSGDOneClassSVM(**same).fit(X.astype(np.float32))
    assert single.coef_.dtype == single.offset_.dtype == np.float32
    assert_allclose(single.decision_function(X), dense.decision_function(X), rtol=1e-2, atol=1e-2)
    unshuffled = MiniBatchSGDOneClassSVM(nu=0.3, learning_rate=rate, batch_size=10, shuffle=False)
    for start in range(0, 120, 10):
        unshuffled.partial_fit(X[start : start + 10])
    assert unshuffled.n_updates_ == 12
    if rate == "constant":
        whole = clone(unshuffled).set_params(max_iter=1, tol=None).fit(X)
        assert_allclose(parameters_of(unshuffled), parameters_of(whole))


def test_it_is_an_outlier_detector():
    model = MiniBatchSGDOneClassSVM(nu=0.1, random_state=0)
    assert is_outlier_detector(model)
    predicted = model.fit_predict(X)
    assert_array_equal(predicted, np.where(model.decision_function(X) >= 0, 1, -1))
    assert_allclose(model.score_samples(X) - model.offset_, model.decision_function(X))
    assert_allclose(model.score_samples(X), X @ model.coef_)
    assert (predicted[labels < 0] < 0).mean() > 0.8
    assert (predicted[labels > 0] < 0).mean() < 0.1
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.decision_function(X), model.decision_function(X))
    sparse = clone(model).fit(X).sparsify()
    assert_allclose(sparse.decision_function(sp.csr_array(X)), model.decision_function(X))
    assert_allclose(sparse.densify().decision_function(X), model.decision_function(X))


def test_it_goes_on():
    model = MiniBatchSGDOneClassSVM(
        nu=0.3, warm_start=True, max_iter=5, tol=None, shuffle=False, learning_rate="constant"
    )
    first = parameters_of(model.fit(X))
    given = clone(model).set_params(warm_start=False).fit(X, coef_init=first[:-1], offset_init=first[-1:])
    assert_allclose(parameters_of(model.fit(X)), parameters_of(given))
    average = MiniBatchSGDOneClassSVM(average=True, learning_rate="constant", warm_start=True, max_iter=2, tol=None)
    for _ in range(2):
        average.fit(X)
    assert average._n_averaged == 4 * 4


def test_pipelines_and_searches():
    model = make_pipeline(Nystroem(gamma=0.1, n_components=20, random_state=0), MiniBatchSGDOneClassSVM(random_state=0))
    assert set(model.fit_predict(X)) <= {-1, 1}
    grid = {"nu": [0.1, 0.5], "batch_size": [1, 8, "full"]}
    ours = MiniBatchGridSearchCV(MiniBatchSGDOneClassSVM(random_state=0), grid, scoring="roc_auc", cv=3).fit(X, labels)
    theirs = GridSearchCV(MiniBatchSGDOneClassSVM(random_state=0), grid, scoring="roc_auc", cv=3).fit(X, labels)
    assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])


def test_curves_need_no_targets():
    model = MiniBatchSGDOneClassSVM(nu=0.2, tol=None, random_state=0)
    same = {"param_range": [1, 8, "full"], "cv": 3, "budget": {"epochs": 6}}
    curve = convergence_curve(model, X, **same)
    assert curve.scoring == "inliers"
    assert curve.curves_["test_score"].shape == (3, 3, 6)
    fitted = clone(model).set_params(batch_size=8, max_iter=6).fit(X[40:])
    assert curve.curves_["train_score"][1, 0, -1] == pytest.approx((fitted.predict(X[40:]) > 0).mean())
    labelled = convergence_curve(model, X, labels, scoring="roc_auc", **same)
    assert labelled.curves_["test_score"][..., -1].mean() > 0.8
    assert_allclose(labelled.curves_["test_loss"], curve.curves_["test_loss"])
    with pytest.raises(ValueError, match="y is None; convergence_curve requires y"):
        convergence_curve(MiniBatchSGDRegressor(), X)


@pytest.mark.parametrize("batch_size", [1, 16, "full"])
def test_rows_around_the_origin_leave_nothing_to_find(batch_size):
    rows = rng.standard_normal((200, 3))
    model = MiniBatchSGDOneClassSVM(nu=0.1, batch_size=batch_size, random_state=0, max_iter=50).fit(
        rows - rows.mean(axis=0)
    )
    assert model.status_ in ("converged", "max_iter")
    assert abs(objective(model, rows)) < 0.01


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_a_rate_that_is_too_high_is_said():
    model = MiniBatchSGDOneClassSVM(nu=0.5, learning_rate="constant", eta0=1e3, batch_size=8, random_state=0)
    with pytest.warns(match=r"Diverged.*scale X with StandardScaler\(with_mean=False\)\. \[MB109\]$"):
        model.fit(X)
    assert model.status_ == "diverged"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"nu": 0.0}, "The 'nu' parameter"),
        ({"nu": 1.5}, "The 'nu' parameter"),
        ({"learning_rate": "pa1"}, "The 'learning_rate' parameter"),
        ({"batch_size": 0}, "The 'batch_size' parameter"),
        ({"eta0": -1.0}, "The 'eta0' parameter"),
    ],
)
def test_wrong_parameters(parameters, said):
    with pytest.raises(ValueError, match=said):
        MiniBatchSGDOneClassSVM(**parameters).fit(X)


def test_wrong_data():
    model = MiniBatchSGDOneClassSVM(learning_rate="constant")
    for rows, said in (
        (X[:, 0], "Expected 2D array"),
        (np.where(X > 3, np.nan, X), "contains NaN"),
        (X[:0], "0 sample"),
    ):
        with pytest.raises(ValueError, match=said):
            model.fit(rows)
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X, sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="Provided offset_init does not match dataset"):
        model.fit(X, offset_init=[0.0, 1.0])
    with pytest.raises(ValueError, match="Provided coef_init does not match dataset"):
        model.fit(X, coef_init=[0.0, 1.0])
    with pytest.raises(TypeError, match="did you mean 'batch_size'"):
        MiniBatchSGDOneClassSVM(batchsize=1)
    assert not hasattr(model, "coef_")
    with pytest.raises(ValueError, match="2 features"):
        model.fit(X).predict(X[:, :2])


@pytest.mark.parametrize("batch_size", [1, 32, "full"])
def test_checks(batch_size):
    model = MiniBatchSGDOneClassSVM(nu=0.3, batch_size=batch_size)
    for _, check in batch_checks(model):
        check(model)
    found = check_estimator(model, expected_failed_checks=expected_failed_checks(model), on_fail=None, on_skip=None)
    assert not [check["check_name"] for check in found if check["status"] == "failed"]
