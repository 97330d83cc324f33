"""Passive-aggressive steps: scikit-learn's at batch size 1, their mean in batches, and what does not go with them."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.linear_model import SGDClassifier, SGDRegressor

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 4))
X[::7, 2] = 0.0
score = X @ [1.0, -2.0, 0.5, 0.0] + 0.5 * rng.standard_normal(60)
two, three = (score > 0).astype(int), np.digitize(score, [-1.0, 1.0])
IN_ORDER = {"shuffle": False, "max_iter": 3, "tol": None}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
every_step = pytest.mark.parametrize("step", ["pa1", "pa2"])


def classifier(step, **parameters):
    return MiniBatchSGDClassifier("hinge", learning_rate=step, **parameters)


def regressor(step, **parameters):
    return MiniBatchSGDRegressor("epsilon_insensitive", learning_rate=step, **parameters)


@every_step
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("penalty", [None, "l2", "l1"])
@pytest.mark.parametrize("average", [False, 20])
@pytest.mark.parametrize("eta0", [0.01, 1.0])
def test_single_rows_are_scikit_learns(step, layout, penalty, average, eta0):
    if penalty == "l1" and average:
        pytest.skip("scikit-learn averages before its L1 step")
    same = {"learning_rate": step, "penalty": penalty, "alpha": 0.01, "average": average, "eta0": eta0, **IN_ORDER}
    for loss, ours, theirs, y in (
        ("hinge", MiniBatchSGDClassifier, SGDClassifier, two),
        ("hinge", MiniBatchSGDClassifier, SGDClassifier, three),
        ("epsilon_insensitive", MiniBatchSGDRegressor, SGDRegressor, score),
    ):
        mine, other = ours(loss, batch_size=1, **same).fit(layout(X), y), theirs(loss, **same).fit(X, y)
        assert_allclose(mine.coef_, other.coef_, rtol=1e-9, atol=1e-12)
        assert_allclose(mine.intercept_, other.intercept_, rtol=1e-9, atol=1e-12)


@every_step
def test_weights_of_rows_and_classes_are_scikit_learns(step):
    weight = rng.uniform(0.0, 2.0, 60)
    weight *= 60 / weight.sum()
    same = {"loss": "hinge", "learning_rate": step, "eta0": 0.3, "class_weight": {0: 1.0, 1: 3.0}, **IN_ORDER}
    ours = MiniBatchSGDClassifier(batch_size=1, **same).fit(X, two, sample_weight=weight)
    theirs = SGDClassifier(**same).fit(X, two, sample_weight=weight * len(X) / np.where(two, 3 * weight, weight).sum())
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)


@every_step
def test_training_ends_where_scikit_learns_does(step):
    same = {
        "loss": "epsilon_insensitive",
        "learning_rate": step,
        "eta0": 0.05,
        "penalty": "l2",
        "alpha": 0.01,
        "shuffle": False,
    }
    ours, theirs = MiniBatchSGDRegressor(batch_size=1, **same).fit(X, score), SGDRegressor(**same).fit(X, score)
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)


def trained(step, y, eta0, alpha, batch_size, epochs, loss):
    """Mean steps of batches in NumPy."""
    w, b = np.zeros(X.shape[1]), 0.0
    for start in list(range(0, len(X), batch_size)) * epochs:
        rows, targets = X[start : start + batch_size], y[start : start + batch_size]
        z, squares = rows @ w + b, (rows**2).sum(axis=1)
        if loss == "hinge":
            losses, signs = np.maximum(1.0 - targets * z, 0.0), targets
        else:
            losses, signs = np.maximum(np.abs(z - targets) - 0.1, 0.0), np.sign(targets - z)
        steps = signs * (np.minimum(eta0, losses / squares) if step == "pa1" else losses / (squares + 0.5 / eta0))
        w = (1.0 - eta0 * alpha) * w + (steps @ rows) / len(rows)
        b += steps.mean()
    return np.append(w, b)


@every_step
@pytest.mark.parametrize("batch_size", [2, 7, 33, 60])
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array])
def test_a_batch_takes_the_mean_of_its_steps(step, batch_size, layout):
    same = {"batch_size": batch_size, "eta0": 0.4, "alpha": 0.05, **IN_ORDER}
    model = regressor(step, **same).fit(layout(X), score)
    found = np.append(model.coef_, model.intercept_)
    assert_allclose(found, trained(step, score, 0.4, 0.05, batch_size, 3, "epsilon_insensitive"), rtol=1e-9)
    model = classifier(step, **same).fit(layout(X), two)
    found = np.append(model.coef_, model.intercept_)
    assert_allclose(found, trained(step, 2.0 * two - 1.0, 0.4, 0.05, batch_size, 3, "hinge"), rtol=1e-9)


@every_step
def test_large_batches_make_the_same_steps(step, monkeypatch):
    small = regressor(step, batch_size=30, **IN_ORDER).fit(X, score)
    monkeypatch.setattr("minibatch._problems.linear_loops.LARGE_BATCH", 1)
    large = regressor(step, batch_size=30, **IN_ORDER).fit(X, score)
    assert_allclose(large.coef_, small.coef_, rtol=1e-12)


@every_step
@pytest.mark.parametrize("seed", range(5))
def test_outputs_layouts_and_types_agree(seed, step):
    random = np.random.default_rng(seed)
    X = random.standard_normal((40, 3)) * 10.0 ** random.uniform(-3, 3)
    targets = random.standard_normal((40, 5))
    same = {
        "batch_size": int(random.integers(1, 41)),
        "eta0": 10.0 ** random.uniform(-3, 1),
        "random_state": 0,
        "max_iter": 4,
    }
    many = regressor(step, tol=None, **same).fit(X, targets)
    one = regressor(step, tol=None, **same).fit(X, targets[:, 3])
    assert_allclose(many.coef_[3], one.coef_, rtol=1e-9, atol=1e-12)
    sparse = regressor(step, tol=None, **same).fit(sp.csr_array(X), targets[:, 3])
    assert_allclose(sparse.coef_, one.coef_, rtol=1e-9, atol=1e-12)
    single = regressor(step, tol=None, **same).fit(X.astype(np.float32), targets[:, 3])
    assert single.coef_.dtype == np.float32
    assert_allclose(single.coef_, one.coef_, rtol=1e-2, atol=1e-3 * np.abs(one.coef_).max())


@every_step
def test_rows_of_zeros_and_rows_whose_squares_overflow(step):
    same = {"batch_size": 1, "eta0": 0.5, "penalty": None, **IN_ORDER}
    with_zeros = np.vstack([X, np.zeros((3, 4))])
    y = np.append(score, [5.0, 5.0, 5.0])
    ours = regressor(step, **same).fit(with_zeros, y)
    theirs = SGDRegressor("epsilon_insensitive", learning_rate=step, eta0=0.5, penalty=None, **IN_ORDER)
    assert_allclose(ours.coef_, theirs.fit(with_zeros, y).coef_, rtol=1e-9)
    assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-9)
    huge = X.copy()
    huge[0] = 1e200  # makes no step
    assert np.isfinite(regressor(step, **same).fit(huge, score).coef_).all()


@every_step
def test_chunks_and_early_stopping(step):
    whole = classifier(step, batch_size=10, eta0=0.2, shuffle=False, max_iter=1, tol=None).fit(X, two)
    chunks = classifier(step, batch_size=10, eta0=0.2, shuffle=False)
    for start in range(0, 60, 20):
        chunks.partial_fit(X[start : start + 20], two[start : start + 20], classes=[0, 1])
    assert_allclose(chunks.coef_, whole.coef_, rtol=1e-12)
    stopped = classifier(step, eta0=0.2, early_stopping=True, random_state=0, evaluate_every=1).fit(X, two)
    assert stopped.score(X, two) > 0.8
    assert (stopped.history_["objective"] == stopped.history_["train_loss"]).all()
    assert np.isfinite(stopped.history_["gradient_norm"]).all()


@every_step
@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ({"loss": "log_loss"}, "loss must be 'hinge'"),
        ({"solver": "adam"}, "solver must be 'sgd'"),
        ({"eta0": "auto"}, "eta0 must be a number"),
        ({"learning_rate_scaling": "linear"}, "learning_rate_scaling must be None"),
    ],
)
def test_what_does_not_go_with_them(step, wrong, right):
    name, value = next(iter(wrong.items()))
    model = MiniBatchSGDClassifier(**{"loss": "hinge", "learning_rate": step, **wrong})
    with pytest.raises(ValueError, match=f"{right} with learning_rate='{step}'.*got {name}={value!r}"):
        model.fit(X, two)
    assert not hasattr(model, "coef_")


def test_regressors_have_a_loss_of_their_own():
    with pytest.raises(ValueError, match="loss must be 'epsilon_insensitive'"):
        MiniBatchSGDRegressor(learning_rate="pa1").fit(X, score)


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
@every_step
@pytest.mark.parametrize("batch_size", [1, 8, "full"])
def test_training_comes_to_rest(step, batch_size):
    model = classifier(step, batch_size=batch_size, eta0=0.01, random_state=0).fit(X, two)
    assert model.status_ == "converged"
    assert model.score(X, two) > 0.85
