"""``learning_rate="dowg"``: the published loop, what goes on, and what does not go with it."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from minibatch import MiniBatchMLPClassifier, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._problems.linear_loops import LARGE_BATCH
from minibatch.diagnostics import learning_rate_range_test, norm_test
from minibatch.plotting import BatchSizeLearningRateDisplay
from references.gradient_descent import descend

N, D = 50, 4
rng = np.random.default_rng(0)
X = rng.standard_normal((N, D)) * (rng.random((N, D)) < 0.7)
y = X @ [1.0, -2.0, 0.5, 0.0] + 0.3 + 0.1 * rng.standard_normal(N)
Y = np.c_[y, 100 * X[:, 0] ** 2]
three = np.digitize(y, [-1.0, 1.0])
PLAIN = {"learning_rate": "dowg", "shuffle": False, "tol": None, "random_state": 0, "max_iter": 4, "alpha": 0.01}


def model_of(estimator=MiniBatchSGDRegressor, **parameters):
    return estimator(**{**PLAIN, "eta0": 1e-3, "batch_size": 5, **parameters})


def theta(model):
    return np.c_[np.atleast_2d(model.coef_), model.intercept_]


def published(X, y, batch_size, first_distance, epochs, alpha=0.01):
    """Algorithm 1 of Khaled, Mishchenko & Jin 2023 (arXiv 2305.16284), with the rate of the last update."""
    A, w, r, v = np.c_[X, np.ones(len(X))], np.zeros(D + 1), first_distance, 0.0
    for _ in range(epochs):
        for start in range(0, len(X), batch_size):
            rows = slice(start, start + batch_size)
            g = A[rows].T @ (A[rows] @ w - y[rows]) / len(A[rows]) + alpha * np.r_[w[:D], 0]
            r = max(r, np.linalg.norm(w))
            v += r**2 * (g @ g)
            w = w - r**2 / np.sqrt(v) * g
    return w, r**2 / np.sqrt(v)


@pytest.mark.parametrize("batch_size", [1, 5, 7, N])
@pytest.mark.parametrize("layout", [np.array, sp.csr_array])
def test_the_published_loop(layout, batch_size):
    model = model_of(batch_size=batch_size).fit(layout(X), y)
    w, rate = published(X, y, batch_size, 1e-3, 4)
    assert_allclose(theta(model)[0], w, rtol=1e-10)
    assert_allclose(model.history_["learning_rate"][-1], rate, rtol=1e-10)
    assert model.eta0_ == 1e-3


def test_the_first_step_has_the_length_of_eta0():
    model = model_of(max_updates=1, eta0=0.25, penalty=None).fit(X, y)
    assert_allclose(np.linalg.norm(theta(model)), 0.25, rtol=1e-14)


@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet", None])
@pytest.mark.parametrize("batch_size", [5, N])
def test_columns_of_y_have_distances_of_their_own(penalty, batch_size):
    l1, l2 = {None: (0, 0), "l2": (0, 0.02), "l1": (0.02, 0), "elasticnet": (0.006, 0.014)}[penalty]
    parameters = {"penalty": penalty, "l1_ratio": 0.3, "alpha": 0.02, "batch_size": batch_size}
    model = model_of(**parameters).fit(X, Y)
    w, b = descend(X, Y, "squared_error", batch_size=batch_size, etas=1e-3, epochs=4, solver="dowg", l1=l1, l2=l2)
    assert_allclose(theta(model), np.c_[w, b], rtol=1e-9, atol=1e-12)
    alone = [theta(model_of(**parameters).fit(X, Y[:, k]))[0] for k in range(2)]
    assert_allclose(theta(model), alone, rtol=1e-12)


@pytest.mark.parametrize("multi_class", ["ovr", "multinomial"])
def test_classes_against_the_rest_have_their_own_and_a_softmax_has_one(multi_class):
    model = model_of(MiniBatchSGDClassifier, loss="log_loss", multi_class=multi_class).fit(X, three)
    options = {"batch_size": 5, "etas": 1e-3, "epochs": 4, "solver": "dowg", "l2": 0.01}
    if multi_class == "multinomial":
        w, b = descend(X, three, "softmax", **options)
    else:
        w, b = descend(X, 2.0 * np.eye(3)[three] - 1, "log_loss", **options)
    assert_allclose(theta(model), np.c_[w, b], rtol=1e-9)


def test_the_history_has_the_largest_rate_of_the_outputs():
    rates = [published(X, Y[:, k], 5, 1e-3, 4)[1] for k in range(2)]
    assert_allclose(model_of().fit(X, Y).history_["learning_rate"][-1], max(rates), rtol=1e-10)


@pytest.mark.parametrize("multi_class", ["ovr", "multinomial"])
def test_results_do_not_depend_on_threads(multi_class):
    n = LARGE_BATCH + 77
    rows = np.random.default_rng(1).standard_normal((n, D))
    target = np.digitize(rows[:, 0], [-1.0, 1.0])
    for batch_size in (512, n):
        parameters = {"loss": "log_loss", "multi_class": multi_class, "batch_size": batch_size}
        fits = [model_of(MiniBatchSGDClassifier, **parameters, n_jobs=n_jobs).fit(rows, target) for n_jobs in (1, 3)]
        assert_array_equal(theta(fits[0]), theta(fits[1]))


@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize("layout", [np.array, sp.csr_array])
def test_slices_are_an_epoch_and_a_warm_start_goes_on(penalty, layout):
    at_once = model_of(penalty=penalty).fit(layout(X), Y)
    sliced = model_of(penalty=penalty)
    for _ in range(4):
        for start in range(0, N, 10):
            sliced = pickle.loads(
                pickle.dumps(sliced.partial_fit(layout(X[start : start + 10]), Y[start : start + 10]))
            )
    assert_array_equal(theta(sliced), theta(at_once))
    warm = model_of(penalty=penalty, max_iter=1, warm_start=True)
    for _ in range(4):
        warm.fit(layout(X), Y)
    assert_array_equal(theta(warm), theta(at_once))
    assert_array_equal(warm.history_["learning_rate"], at_once.history_["learning_rate"])


def test_a_fit_begins_with_the_first_distance_again():
    model = model_of().fit(X, y)
    first = theta(model)
    assert_array_equal(theta(model.partial_fit(X, y).fit(X, y)), first)
    moved = model_of(max_updates=1, penalty=None).fit(X, y, coef_init=np.ones(D), intercept_init=1.0)
    assert_allclose(np.linalg.norm(theta(moved) - 1), 1e-3, rtol=1e-10)


def test_constant_rates_and_dowg_do_not_take_over_each_others_memory():
    model = model_of(penalty="l1").fit(X, y)
    model.set_params(learning_rate="constant").partial_fit(X, y)
    expected = MiniBatchSGDRegressor(**{**PLAIN, "learning_rate": "constant", "penalty": "l1", "eta0": 1e-3})
    before = model_of(penalty="l1").fit(X, y)
    expected.set_params(batch_size=5, max_iter=1).fit(X, y, coef_init=before.coef_, intercept_init=before.intercept_)
    assert_allclose(theta(model), theta(expected), rtol=1e-12)


def test_averages_are_those_of_the_iterates():
    iterates, one_by_one = [], model_of()
    for start in range(0, N, 5):
        iterates.append(theta(one_by_one.partial_fit(X[start : start + 5], y[start : start + 5])))
    model = model_of(average=True, max_iter=1).fit(X, y)
    assert_allclose(theta(model), np.mean(iterates, axis=0), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_scale_of_the_loss_does_not_matter(scale):
    """Nor need a rate fit it: the path is the same."""
    model = model_of(penalty=None)
    for _ in range(4):
        model.partial_fit(X, y, sample_weight=np.full(N, scale))
    assert_allclose(theta(model)[0], published(X, y, 5, 1e-3, 4, alpha=0.0)[0], rtol=1e-9)


@pytest.mark.parametrize("first_distance", [1e-6, 1e-3, 0.1])
def test_full_batches_reach_the_optimum_from_any_first_distance(first_distance):
    model = model_of(batch_size="full", eta0=first_distance, max_iter=3000).fit(X, y)
    expected = Ridge(0.01 * N).fit(X, y)
    assert_allclose(theta(model)[0], np.append(expected.coef_, expected.intercept_), atol=1e-6)


def test_float32_follows_float64():
    exact, found = (model_of(max_iter=50).fit(X.astype(kind), y) for kind in (np.float64, np.float32))
    assert found.coef_.dtype == np.float32
    assert_allclose(theta(found), theta(exact), atol=1e-4)


def test_rows_without_a_gradient_are_no_division_by_zero():
    model = model_of(max_iter=2, penalty=None).fit(np.zeros((N, D)), np.zeros(N))
    assert_array_equal(theta(model), np.zeros((1, D + 1)))
    assert model.history_["learning_rate"].tolist() == [0.0, 0.0]


def test_batches_that_grow():
    model = model_of(batch_growth=2, batch_growth_interval=1, batch_size=10, max_iter=30, max_batch_size="full").fit(
        X, y
    )
    assert model.batch_size_ == N
    assert model.score(X, y) > 0.99


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "adam"}, "solver must be 'sgd' with learning_rate='dowg', .* got solver='adam'"),
        ({"eta0": "auto"}, "eta0 must be a number with learning_rate='dowg', .* got eta0='auto'"),
        ({"learning_rate_scaling": "sqrt"}, "learning_rate_scaling must be None with learning_rate='dowg'"),
        ({"warmup": 2.0}, "warmup must be 0 with learning_rate='dowg', .* got warmup=2.0"),
    ],
)
@pytest.mark.parametrize("estimator", [MiniBatchSGDClassifier, MiniBatchSGDRegressor])
def test_what_does_not_go_with_it(estimator, parameters, message):
    with pytest.raises(ValueError, match=message):
        model_of(estimator, **parameters).fit(X, y > 0)


def test_networks_do_not_have_it():
    with pytest.raises(ValueError, match="'learning_rate' parameter of MiniBatchMLPClassifier must be"):
        MiniBatchMLPClassifier(learning_rate="dowg").fit(X, y > 0)


def test_tools_know_that_eta0_is_no_rate():
    model = model_of().fit(X, y)
    plain = model_of(learning_rate="constant")
    tests = [learning_rate_range_test(kind, X, y, random_state=0, n_repeats=1) for kind in (model, plain)]
    assert_array_equal(tests[0].losses, tests[1].losses)
    assert norm_test(model, X, y, random_state=0).cabs_batch_size is not None
    with pytest.raises(ValueError, match="learning_rate='dowg' does not use eta0 as a rate"):
        BatchSizeLearningRateDisplay.from_estimator(model, X, y, batch_sizes=[5], learning_rates=[0.1])


def test_a_divergence_says_what_to_do():
    with pytest.warns(match="Diverged.* Set learning_rate='constant' and a low eta0, or scale X"):
        model_of(eta0=1e300).fit(X, y)
