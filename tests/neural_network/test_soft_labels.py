"""loss="log_loss" of the network for regression, for targets in [0, 1]: the classifier whose rows have both labels."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor
from minibatch._problems.best_constant import best_constant
from references.network_tasks import (
    PLAIN,
    N,
    X,
    X_new,
    assert_same_net,
    changed,
    fitted,
    labels,
    shares,
    theta,
    two,
    weight,
)
from references.refusals import assert_refuses

LOG_LOSS = {**PLAIN, "loss": "log_loss"}
p = shares[:, 0]


def regressor(**parameters):
    return MiniBatchMLPRegressor(**{**LOG_LOSS, **parameters})


def classifier(**parameters):
    return MiniBatchMLPClassifier(**{**PLAIN, **parameters})


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("sample_weight", [None, weight], ids=["", "weights"])
@pytest.mark.parametrize("rows", [X, sp.csr_array(X)], ids=["dense", "csr"])
def test_full_batches_are_those_of_rows_with_both_labels(solver, sample_weight, rows):
    """One with the weight y, one with 1 - y: the same objective has the same gradients."""
    parameters = {"batch_size": "full", "solver": solver, "alpha": 0.05, "max_iter": 5, "epsilon": 1e-4}
    s = np.ones(N) if sample_weight is None else sample_weight
    twice = sp.vstack([rows, rows]).tocsr() if sp.issparse(rows) else np.r_[rows, rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = regressor(**parameters).fit(rows, p, sample_weight)
        both = classifier(**parameters).fit(twice, np.repeat([1, 0], N), np.append(s * p, s * (1 - p)))
    assert_same_net(model, both, rtol=1e-6, atol=1e-8)
    assert_allclose(model.predict(X_new), both.predict_proba(X_new)[:, 1], rtol=1e-6)
    assert changed(
        model, regressor(**{**parameters, "max_iter": 1, "learning_rate_init": 1e-9, "solver": "sgd"}).fit(X, p)
    )


@pytest.mark.parametrize("more", [{}, {"solver": "adam"}, {"dropout": 0.3}, {"batch_normalization": True}], ids=str)
def test_labels_are_shares_of_0_and_1(more):
    """Of one label or several, for every batch."""
    for target, numbers in ((two, (two == "yes") / 1.0), (labels, labels / 1.0)):
        model = regressor(batch_size=5, **more).fit(X, numbers)
        same = classifier(batch_size=5, **more).fit(X, target)
        assert_same_net(model, same, rtol=1e-10)
        assert_allclose(model.history_["progressive_loss"], same.history_["progressive_loss"], rtol=1e-10)
        probabilities = same.predict_proba(X_new)
        assert_allclose(model.predict(X_new), probabilities if target is labels else probabilities[:, 1], rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_are_probabilities(dtype):
    model = fitted("shares", X.astype(dtype), max_iter=50)
    predicted = model.predict(X.astype(dtype))
    assert predicted.shape == shares.shape
    assert predicted.dtype == dtype
    assert ((predicted > 0) & (predicted < 1)).all()
    assert model.out_activation_ == "logistic"
    assert model.score(X, shares) == pytest.approx(r2_score(shares, predicted), rel=1e-5)
    one = regressor(max_iter=50).fit(X, p)
    assert one.predict(X_new).shape == (len(X_new),)


def test_it_learns_what_it_is_shown():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((600, 4))
    target = expit(2 * np.sin(2 * rows[:, 0]) + rows[:, 1])
    model = MiniBatchMLPRegressor("log_loss", (32,), max_iter=100, random_state=0).fit(rows[:400], target[:400])
    assert model.score(rows[400:], target[400:]) > 0.95
    noisy = (rng.random(400) < target[:400]) / 1.0
    seen = MiniBatchMLPRegressor("log_loss", (32,), early_stopping=True, random_state=0).fit(rows[:400], noisy)
    assert r2_score(target[400:], seen.predict(rows[400:])) > 0.6
    assert seen.status_ == "early_stopped"


def test_a_constant_share_is_found():
    model = MiniBatchMLPRegressor("log_loss", (4,), alpha=0.0, max_iter=300, tol=None, random_state=0)
    assert_allclose(model.fit(X, np.full(N, 0.3)).predict(X), 0.3, atol=0.02)


def test_tol_counts_from_the_entropy_of_the_targets():
    """What a model can gain: shares of their own leave this much loss."""
    problem = regressor()._new_problem(X, shares, weight)
    s, mean = weight / weight.sum(), weight @ shares / weight.sum()
    entropy = -(mean * np.log(mean) + (1 - mean) * np.log(1 - mean)).sum()
    inner = shares[(shares > 0) & (shares < 1)]
    rest = (s[:, None] * np.ones(2))[(shares > 0) & (shares < 1)]
    least = -(rest * (inner * np.log(inner) + (1 - inner) * np.log(1 - inner))).sum()
    constant = best_constant(problem)
    assert constant.loss == pytest.approx(entropy)
    assert constant.unit == pytest.approx(entropy - least)


def test_chunks_go_on():
    model = regressor(batch_size=6)
    for first in range(0, N, 6):
        model.partial_fit(X[first : first + 6], shares[first : first + 6])
        model = pickle.loads(pickle.dumps(model))
    assert_same_net(model, regressor(batch_size=6, max_iter=1).fit(X, shares), rtol=1e-11)


def test_averaged_with_chunks():
    """Parts that were made together."""
    more = {"average": "ema", "batch_normalization": True, "ghost_batch_size": 4, "batch_size": 8}
    model = regressor(**more).fit(X, p)
    assert ((model.predict(X_new) > 0) & (model.predict(X_new) < 1)).all()
    assert changed(model, regressor(**{**more, "average": False}).fit(X, p))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("wrong", "said"), [(1.5, "1.5"), (-0.25, "-0.25"), (np.nan, "NaN")])
def test_targets_that_are_no_shares_are_refused(method, wrong, said):
    target = np.where(np.arange(N) == 7, wrong, p)
    model = regressor().fit(X, p)
    assert_refuses(model, lambda: getattr(model, method)(X, target), "log_loss" if wrong == wrong else "NaN", said)


def test_a_validation_set_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"Validation set .*log_loss.*in \[0, 1\]"):
        regressor(early_stopping=True).fit(X, p, X_val=X, y_val=2 * p)


def test_the_same_with_threads_or_without_the_data_in_order():
    order = np.random.default_rng(0).permutation(N)
    models = [regressor(batch_size="full").fit(X[rows], shares[rows]) for rows in (np.arange(N), order)]
    assert_same_net(*models, rtol=1e-9)
    assert_array_equal(theta(models[0]), theta(regressor(batch_size="full").fit(X, shares)))
