"""loss="log_loss" of the regressor, for targets in [0, 1]: it is the classifier whose rows have both labels."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from sklearn.preprocessing import scale

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.diagnostics import stability_limit
from minibatch.model_selection import MiniBatchGridSearchCV
from minibatch.testing import regression_data

random = np.random.default_rng(0)
X, labels = load_breast_cancer(return_X_y=True)
X, labels = scale(X)[:120, :6], labels[:120]
N = len(X)
shares = np.round(expit(X @ random.standard_normal(6) + random.standard_normal(N)), 3)
shares[:4] = [0.0, 1.0, 0.5, 1.0]
weight = random.uniform(0.1, 3.0, N)
STEPS = {"learning_rate": "constant", "eta0": 0.3, "max_iter": 30, "tol": None, "random_state": 0}


def theta(model):
    return np.concatenate([np.ravel(model.coef_), model.intercept_])


def with_both_labels(model, rows, y, sample_weight=None):
    """The classifier of the same parameters, fitted to each row as 1 with the weight y and as 0 with 1 - y."""
    s = np.ones(len(y)) if sample_weight is None else sample_weight
    parameters = {name: value for name, value in model.get_params().items() if name not in ("quantile",)}
    twice = sp.vstack([rows, rows]).tocsr() if sp.issparse(rows) else np.vstack([rows, rows])
    classifier = MiniBatchSGDClassifier(**parameters)
    return classifier.fit(twice, np.repeat([1, 0], len(y)), sample_weight=np.append(s * y, s * (1.0 - y)))


@pytest.mark.parametrize("sample_weight", [None, weight], ids=["", "weights"])
@pytest.mark.parametrize("rows", [X, sp.csr_array(X)], ids=["dense", "sparse"])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet", None])
@pytest.mark.parametrize("solver", ["sgd", "nesterov", "adam"])
def test_full_batches_are_those_of_rows_with_both_labels(solver, penalty, rows, sample_weight):
    """The same objective has the same gradients, and so the same path."""
    model = MiniBatchSGDRegressor("log_loss", batch_size="full", solver=solver, penalty=penalty, alpha=0.02, **STEPS)
    model.set_params(evaluate_every=10).fit(rows, shares, sample_weight=sample_weight)
    twice = with_both_labels(model, rows, shares, sample_weight)
    assert_allclose(theta(model), theta(twice), rtol=1e-8, atol=1e-12)
    for name in ("progressive_loss", "train_loss", "objective"):
        assert_allclose(model.history_[name], twice.history_[name], rtol=1e-9)
    assert_allclose(model.predict(rows), twice.predict_proba(rows)[:, 1], rtol=1e-8)


@given(regression_data(shares=True, well_scaled=True, dtype=np.float64))
def test_any_shares(data):
    rows, y = data
    model = MiniBatchSGDRegressor("log_loss", batch_size="full", **{**STEPS, "max_iter": 5}).fit(rows, y)
    if 0 < y.sum() < len(y) and 0 < (1 - y).sum():
        assert_allclose(theta(model), theta(with_both_labels(model, rows, y)), rtol=1e-7, atol=1e-10)
    predicted = model.predict(rows)
    assert ((predicted > 0) & (predicted < 1)).all()


@pytest.mark.parametrize("rows", [X, sp.csr_array(X)], ids=["dense", "sparse"])
@pytest.mark.parametrize("batch_size", [1, 7, "full"])
@pytest.mark.parametrize("learning_rate", ["constant", "auto", "optimal", "dowg"])
def test_labels_are_shares_of_0_and_1(learning_rate, batch_size, rows):
    """In every loop that there is."""
    model = MiniBatchSGDRegressor("log_loss", batch_size=batch_size, **{**STEPS, "max_iter": 3})
    eta0 = 0.01 if learning_rate in ("auto", "optimal") else 0.05
    model.set_params(learning_rate=learning_rate, eta0=eta0).fit(rows, labels / 1.0)
    parameters = {name: value for name, value in model.get_params().items() if name != "quantile"}
    classifier = MiniBatchSGDClassifier(**parameters).fit(rows, labels)
    assert_allclose(theta(model), theta(classifier), rtol=1e-9, atol=1e-12)
    assert_allclose(model.history_["progressive_loss"], classifier.history_["progressive_loss"], rtol=1e-9)


def test_the_optimum_is_that_of_logistic_regression_and_of_a_minimiser():
    alpha = 0.02

    def objective(t):
        z = X @ t[:-1] + t[-1]
        slopes = (expit(z) - shares) / N
        value = np.mean(np.logaddexp(0, z) - shares * z) + alpha / 2 * t[:-1] @ t[:-1]
        return value, np.append(X.T @ slopes + alpha * t[:-1], slopes.sum())

    found = minimize(objective, np.zeros(7), jac=True, method="L-BFGS-B", options={"ftol": 1e-16, "gtol": 1e-11})
    model = MiniBatchSGDRegressor("log_loss", alpha=alpha, batch_size="full", solver="nesterov", **STEPS)
    model.set_params(max_iter=2000).fit(X, shares)
    assert_allclose(theta(model), found.x, atol=1e-6)
    theirs = LogisticRegression(C=1 / (alpha * N), tol=1e-10, max_iter=1000)
    theirs.fit(np.vstack([X, X]), np.repeat([1, 0], N), sample_weight=np.append(shares, 1 - shares))
    assert_allclose(model.predict(X), theirs.predict_proba(X)[:, 1], atol=1e-5)


@pytest.mark.parametrize("learning_rate", ["auto", "optimal", "invscaling", "adaptive"])
def test_defaults_come_near_it(learning_rate):
    model = MiniBatchSGDRegressor("log_loss", learning_rate=learning_rate, random_state=0)
    if learning_rate in ("invscaling", "adaptive"):
        model.set_params(eta0="auto")
    model.fit(X, shares)
    full = MiniBatchSGDRegressor("log_loss", batch_size="full", solver="nesterov", **STEPS).set_params(max_iter=1000)
    best = full.fit(X, shares)
    assert model.status_ == "converged"
    assert r2_score(shares, model.predict(X)) > best.score(X, shares) - 0.02


def test_several_outputs_are_one_each():
    Y = np.c_[shares, 1 - shares, shares**2]
    parameters = {**STEPS, "batch_size": 8, "eta0": 0.05}
    model = MiniBatchSGDRegressor("log_loss", **parameters).fit(X, Y)
    alone = [MiniBatchSGDRegressor("log_loss", **parameters).fit(X, column) for column in Y.T]
    assert_allclose(model.predict(X), np.column_stack([one.predict(X) for one in alone]), rtol=1e-10)
    assert_allclose(model.predict(X)[:, 0] + model.predict(X)[:, 1], 1.0)  # shares that sum to 1 stay so


def test_chunks_are_an_epoch():
    parameters = {**STEPS, "batch_size": 40, "shuffle": False, "max_iter": 1}
    whole = MiniBatchSGDRegressor("log_loss", **parameters).fit(X, shares)
    chunks = MiniBatchSGDRegressor("log_loss", **parameters)
    for first in range(0, N, 40):
        chunks.partial_fit(X[first : first + 40], shares[first : first + 40])
    assert_allclose(theta(whole), theta(chunks), rtol=1e-12)


def test_float32_rows():
    parameters = {**STEPS, "batch_size": 8, "eta0": 0.05}
    single, double = (
        MiniBatchSGDRegressor("log_loss", **parameters).fit(X.astype(dtype), shares) for dtype in ("float32", "float64")
    )
    assert single.coef_.dtype == single.predict(X.astype("float32")).dtype == np.float32
    assert_allclose(single.coef_, double.coef_, atol=1e-4)


def test_a_probability_far_out_is_0_or_1_without_a_warning():
    model = MiniBatchSGDRegressor("log_loss", **STEPS).fit(X, shares)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        far = model.predict(np.outer([-1e9, 1e9], model.coef_))
    assert_array_equal(far, [0.0, 1.0])


def test_early_stopping_looks_at_r_squared_of_probabilities():
    model = MiniBatchSGDRegressor("log_loss", early_stopping=True, **{**STEPS, "tol": 1e-3, "eta0": 0.02})
    model.fit(X, shares, X_val=X[:30], y_val=shares[:30])
    assert_allclose(model.history_["validation_score"].max(), r2_score(shares[:30], model.predict(X[:30])))


def test_warnings_do_not_speak_of_the_scale_of_shares():
    for parameters, words in (({"eta0": 1e3}, "Diverged"), ({"eta0": 1e-4, "tol": 1e-12}, "max_iter")):
        model = MiniBatchSGDRegressor("log_loss", **{**STEPS, "max_iter": 8, "n_iter_no_change": 2, **parameters})
        with pytest.warns(ConvergenceWarning, match=words) as shown:
            model.fit(X, shares)
        assert "y" not in str(shown[0].message).replace(",", " ").split()
        assert "|y|" not in str(shown[0].message)


def test_candidates_that_share_passes_are_their_own_fits():
    model = MiniBatchSGDRegressor("log_loss", batch_size=8, **{**STEPS, "max_iter": 3})
    grid = {"eta0": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3], "alpha": [1e-4, 1e-2]}
    search = MiniBatchGridSearchCV(model, grid, cv=KFold(2), refit=False).fit(X, shares)
    train, test = next(KFold(2).split(X))
    for parameters, found in zip(search.cv_results_["params"], search.cv_results_["split0_test_score"], strict=True):
        alone = clone(model).set_params(**parameters).fit(X[train], shares[train])
        assert_allclose(found, alone.score(X[test], shares[test]), rtol=1e-7)


def test_the_stability_limit_is_that_of_rows_with_both_labels():
    model = MiniBatchSGDRegressor("log_loss", batch_size="full", **STEPS).fit(X, shares)
    z = X @ model.coef_ + model.intercept_
    A = np.column_stack([X, np.ones(N)])
    H = (A.T * (expit(z) * expit(-z))) @ A / N + model.alpha * np.diag([1.0] * 6 + [0.0])
    assert_allclose(float(stability_limit(model, X, shares)), 2 / np.linalg.eigvalsh(H)[-1], rtol=1e-6)
