"""Solvers of linear models that reach the optimum: SVRG, SAGA and L-BFGS, through the estimators."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import KFold
from sklearn.preprocessing import scale

from minibatch import MiniBatchSGDClassifier as C
from minibatch import MiniBatchSGDRegressor as R
from minibatch._problems.smoothness import rate_of_variance_reduction
from minibatch.distributed import fit
from minibatch.model_selection import MiniBatchGridSearchCV, convergence_curve, memory_required

BREAST = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
Xc, yc = scale(BREAST[0]), BREAST[1]
Xd, yd = scale(DIABETES[0]), scale(DIABETES[1])
Xi, yi = scale(load_iris().data), load_iris().target
WITHOUT_NOISE = ["svrg", "saga"]

every_solver = pytest.mark.parametrize("solver", WITHOUT_NOISE)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def log_objective(model, alpha=0.01):
    w, z = model.coef_.ravel(), (2 * yc - 1) * model.decision_function(Xc)
    return np.logaddexp(0, -z).mean() + 0.5 * alpha * w @ w


@pytest.fixture(scope="module")
def best():
    """The least objective, by another library."""
    model = LogisticRegression(C=1 / (0.01 * len(yc)), tol=1e-12, solver="newton-cholesky", max_iter=500).fit(Xc, yc)
    return log_objective(model)


@every_solver
@pytest.mark.parametrize("batch_size", [1, 16, 200])
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array])
def test_a_constant_rate_reaches_the_optimum(solver, batch_size, layout, best):
    numbers = {"loss": "log_loss", "alpha": 0.01, "tol": None, "random_state": 0, "batch_size": batch_size}
    rate = {"learning_rate": "constant", "eta0": {1: 0.01, 16: 0.05, 200: 0.2}[batch_size]}
    found = C(solver=solver, max_iter=1500 if batch_size > 16 else 400, **rate, **numbers).fit(layout(Xc), yc)
    noisy = C(max_iter=100, **rate, **numbers).fit(layout(Xc), yc)
    assert log_objective(found) - best < 1e-8
    assert log_objective(noisy) - best > 3e-8


@every_solver
@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_the_rate_needs_no_number(solver, batch_size, best):
    model = C("log_loss", alpha=0.01, solver=solver, batch_size=batch_size, max_iter=300, tol=None, random_state=0)
    assert log_objective(model.fit(Xc, yc)) - best < 1e-4
    assert model.history_["learning_rate"].tolist() == [model.eta0_] * 300


def test_the_rate_is_one_over_the_expected_smoothness():
    """Of least squares, where the curvature is that of the rows."""
    n, alpha = len(yd), 0.1
    Z = np.c_[Xd, np.ones(n)]
    of_all, of_row = np.linalg.eigvalsh(Z.T @ Z / n)[-1] + alpha, (Z**2).sum(axis=1).max() + alpha
    for batch_size in (1, 10, n):
        share = n * (batch_size - 1) / (batch_size * (n - 1))
        model = R(solver="saga", alpha=alpha, batch_size=batch_size, max_iter=1, tol=None).fit(Xd, yd)
        assert_allclose(model.eta0_, 1 / (share * of_all + (1 - share) * 3 * of_row), rtol=0.02)  # 12 power iterations
    weight = np.random.default_rng(0).uniform(0.5, 2, n)
    weight /= weight.mean()
    model = R(solver="saga", alpha=alpha, batch_size=1, max_iter=1, tol=None).fit(Xd, yd, sample_weight=weight)
    assert_allclose(model.eta0_, 1 / (3 * ((weight * (Z**2).sum(axis=1)).max() + alpha)))
    model = C("log_loss", solver="svrg", alpha=0, batch_size=1, max_iter=1, tol=None, class_weight={0: 3}).fit(Xc, yc)
    largest = 3 / np.where(yc == 0, 3, 1).mean()  # weights have mean 1
    assert_allclose(model.eta0_, 4 / largest / ((Xc**2).sum(axis=1).max() + 1))


@pytest.mark.parametrize("loss", ["poisson", "absolute_error"])
def test_a_loss_without_a_bound_on_its_curvature_has_a_calibrated_rate(loss):
    y = np.exp(0.3 * yd)
    model = R(loss, solver="saga", batch_size=8, max_iter=30, tol=None, random_state=0).fit(Xd, y)
    before = R(loss, solver="saga", eta0="auto", learning_rate="constant", batch_size=8, max_iter=1, tol=None)
    assert model.eta0_ == before.set_params(random_state=0).fit(Xd, y).eta0_
    assert model.history_["progressive_objective"][-1] < model.history_["progressive_objective"][0]


def test_the_rate_of_rows_that_are_one_or_all_zero():
    problem = R(solver="saga", fit_intercept=False, alpha=0)._new_problem(np.zeros((3, 2)), np.ones((3, 1)), None)
    assert rate_of_variance_reduction(problem, 1) == np.inf
    assert R(solver="saga", batch_size=1, max_iter=2, tol=None).fit([[1.0]], [2.0]).eta0_ == pytest.approx(1 / 2.0001)


@every_solver
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array])
def test_l1_has_the_optimum_and_the_zeros_of_coordinate_descent(solver, layout):
    model = R(
        solver=solver, penalty="elasticnet", alpha=0.2, l1_ratio=0.7, batch_size=4, max_iter=300, tol=None,
        random_state=0,
    ).fit(layout(Xd), yd)  # fmt: skip
    expected = ElasticNet(alpha=0.2, l1_ratio=0.7, tol=1e-12).fit(Xd, yd)
    assert_allclose(model.coef_, expected.coef_, atol=1e-8)
    assert_array_equal(model.coef_ == 0, expected.coef_ == 0)


@every_solver
@pytest.mark.parametrize("multi_class", ["ovr", "multinomial"])
def test_several_classes(solver, multi_class):
    model = C("log_loss", alpha=0.01, solver=solver, multi_class=multi_class, batch_size=4, max_iter=400, tol=None)
    reference = clone(model).set_params(solver="lbfgs", tol=0.0, max_iter=5000).fit(Xi, yi)
    assert_allclose(model.fit(Xi, yi).coef_, reference.coef_, rtol=1e-4, atol=1e-5)


@every_solver
def test_it_stops_by_itself_where_it_is_done(solver, best):
    model = C("log_loss", alpha=0.01, solver=solver, batch_size=16, tol=1e-6, random_state=0).fit(Xc, yc)
    assert model.status_ == "converged"
    assert log_objective(model) - best < 1e-5


@every_solver
def test_watched_and_validated_fits_are_the_same_fits(solver):
    model = C("log_loss", solver=solver, batch_size=8, max_iter=6, tol=None, random_state=0)
    alone = clone(model).fit(Xc, yc)
    seen = clone(model).set_params(evaluate_every=1).fit(Xc, yc)
    assert_array_equal(seen.coef_, alone.coef_)
    folds = [(np.arange(len(yc)), np.arange(len(yc)))]
    curve = convergence_curve(model, Xc, yc, param_range=[8], evaluations_per_epoch=3, cv=folds)
    assert curve.curves_["test_loss"][0, 0, -1] == pytest.approx(alone._loss(Xc, yc), rel=1e-12)
    early = clone(model).set_params(early_stopping=True, max_iter=50).fit(Xc, yc)
    assert early.score(Xc, yc) > 0.95


@every_solver
def test_candidates_of_a_search_are_their_own_fits(solver):
    model = C("log_loss", solver=solver, batch_size=8, max_iter=6, tol=None, random_state=0)
    folds = list(KFold(3, shuffle=True, random_state=0).split(Xc))
    search = MiniBatchGridSearchCV(model, {"alpha": [1e-4, 1e-2], "batch_size": [4, 8]}, cv=folds).fit(Xc, yc)
    for i, parameters in enumerate(search.cv_results_["params"]):
        fits = [clone(model).set_params(**parameters).fit(Xc[train], yc[train]) for train, _ in folds]
        scores = [each.score(Xc[test], yc[test]) for each, (_, test) in zip(fits, folds, strict=True)]
        assert search.cv_results_["mean_test_score"][i] == pytest.approx(np.mean(scores), abs=1e-12)


@every_solver
def test_a_warm_start_goes_on(solver, best):
    model = C("log_loss", alpha=0.01, solver=solver, batch_size=8, warm_start=True, max_iter=30, tol=None)
    gaps = [log_objective(model.fit(Xc, yc)) - best for _ in range(3)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert model.history_.n_epochs == 90


@pytest.mark.parametrize("solver", ["svrg", "saga", "lbfgs"])
def test_what_they_do_not_do_is_said(solver):
    with pytest.raises(AttributeError, match="partial_fit"):
        C(solver=solver).partial_fit(Xc, yc, classes=[0, 1])
    with pytest.raises(ValueError, match=rf"average=True does not go with solver='{solver}'"):
        C("log_loss", solver=solver, average=True).fit(Xc, yc)
    with pytest.raises(ValueError, match=f"solver='{solver}' has .*; use its fit, or another solver"):
        fit(C("log_loss", solver=solver), Xc, yc, n_workers=2)
    with pytest.raises(ValueError, match=f"solver='{solver}' has .*; use n_workers=1, or another solver"):
        memory_required(C("log_loss", solver=solver), n_samples=100, n_features=5, n_workers=2)


def test_memory_counts_the_slopes():
    sizes = {"n_samples": 10**6, "n_features": 5}
    assert memory_required(C("log_loss", solver="saga"), **sizes).parts["slopes of the rows"] == 8 * 10**6
    assert memory_required(C("log_loss", solver="sgd"), **sizes).parts.get("slopes of the rows", 0) == 0


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("loss", ["log_loss", "squared_hinge", "modified_huber"])
def test_lbfgs_has_the_optimum(layout, loss, best):
    model = C(loss, alpha=0.01, solver="lbfgs", tol=0.0, max_iter=5000).fit(layout(Xc), yc)
    assert model.status_ == "converged"
    if loss == "log_loss":
        assert abs(log_objective(model) - best) < 1e-12
    problem = model._new_problem(Xc, model._encode(yc, True), None)
    theta = np.append(model.coef_, model.intercept_)
    assert np.abs(problem.with_penalty(theta, problem.evaluate(theta)[1])).max() < 1e-6


def test_lbfgs_is_ridge_and_poisson_regression_with_weights():
    weight = np.random.default_rng(0).uniform(0.1, 2, len(yd))
    mean = weight.mean()
    model = R(solver="lbfgs", alpha=0.1, tol=0.0, max_iter=5000).fit(Xd, yd, sample_weight=weight)
    expected = Ridge(alpha=0.1 * len(yd) * mean, tol=1e-12).fit(Xd, yd, sample_weight=weight)
    assert_allclose(model.coef_, expected.coef_, atol=1e-6)
    y = np.exp(0.3 * yd)
    model = R("poisson", solver="lbfgs", alpha=0.1, tol=0.0, max_iter=5000).fit(Xd, y, sample_weight=weight)
    expected = PoissonRegressor(alpha=0.1, tol=1e-12, max_iter=5000, solver="newton-cholesky")
    assert_allclose(model.coef_, expected.fit(Xd, y, sample_weight=weight).coef_, atol=1e-5)


def test_lbfgs_needs_smooth_objectives():
    with pytest.raises(ValueError, match=r"solver='lbfgs' needs a loss whose slope does not jump; got loss='hinge'"):
        C(solver="lbfgs").fit(Xc, yc)
    with pytest.raises(ValueError, match=r"got penalty='l1'. Use solver='saga'"):
        C("log_loss", solver="lbfgs", penalty="l1").fit(Xc, yc)


def test_lbfgs_at_the_minimum_has_nothing_to_do():
    model = R(solver="lbfgs").fit(Xd, np.zeros(len(yd)))
    assert (model.status_, model.n_iter_, model.history_.n_epochs) == ("converged", 0, 0)
    assert not model.coef_.any()


def test_lbfgs_has_a_history_early_stopping_and_no_rate():
    model = C("log_loss", solver="lbfgs", early_stopping=True, evaluate_every=1, random_state=0).fit(Xc, yc)
    assert model.history_.n_epochs == model.n_iter_
    assert np.isnan(model.eta0_)
    assert (np.diff(model.history_["objective"]) <= 1e-12).all()
    assert np.isfinite(model.history_["validation_score"]).all()
    with pytest.warns(ConvergenceWarning, match="L-BFGS"):
        C("log_loss", solver="lbfgs", max_iter=2, tol=1e-9).fit(Xc, yc)
