"""linear_model: the models of scikit-learn, at batch size 1 step by step, at any other in the optimum."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn import linear_model as sk
from sklearn.svm import LinearSVC, LinearSVR

from minibatch import MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.engine.losses import CLASSIFICATION, REGRESSION
from minibatch.engine.optimizers import SOLVERS
from references.gradient_descent import MARGIN_LOSSES, descend, slope

N, D = 50, 4
rng = np.random.default_rng(0)
X = rng.standard_normal((N, D))
y = X @ [1.0, -2.0, 0.5, 0.0] + 0.5 * rng.standard_normal(N) + 1.0
binary = np.where(y > 1, "yes", "no")
three = np.digitize(y, [0.0, 2.0])
PLAIN = {"learning_rate": "constant", "eta0": 0.03, "shuffle": False, "tol": None, "random_state": 0, "max_iter": 3}
# To the optimum: momentum, all rows, a rate below 2 / L.
DOWN = {**PLAIN, "batch_size": "full", "solver": "nesterov", "eta0": 0.1, "max_iter": 3000}
# The optimal rate begins at alpha ** -0.25; squared losses diverge there unless it falls quickly.
SCHEDULES = pytest.mark.parametrize(("schedule", "alpha"), [("constant", 0.01), ("invscaling", 0.01), ("optimal", 0.5)])
WEIGHT = rng.random(N)
WEIGHT /= WEIGHT.mean()


def theta(model):
    return np.append(np.ravel(model.coef_), model.intercept_)


def assert_same_model(ours, theirs, rtol=1e-9):
    assert_allclose(ours.coef_, theirs.coef_, rtol=rtol, atol=1e-10)
    assert_allclose(ours.intercept_, theirs.intercept_, rtol=rtol, atol=1e-10)


def both_fitted(classifier, target, weight=None, **parameters):
    """Our model with batches of one row, and scikit-learn's."""
    ours, theirs = (
        (MiniBatchSGDClassifier, sk.SGDClassifier) if classifier else (MiniBatchSGDRegressor, sk.SGDRegressor)
    )
    parameters = {**PLAIN, "alpha": 0.01, **parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a penalty of None and the like, on its way out there
        theirs = theirs(**parameters).fit(X, target, sample_weight=weight)
    return ours(**parameters, batch_size=1).fit(X, target, sample_weight=weight), theirs


# ---------------------------------------------------------------------- batch size 1: scikit-learn, update by update


@pytest.mark.parametrize("loss", CLASSIFICATION)
@SCHEDULES
@pytest.mark.parametrize("penalty", ["l2", "l1", None])
def test_classifier_with_single_rows_is_sgd_classifier(loss, schedule, alpha, penalty):
    assert_same_model(*both_fitted(True, binary, loss=loss, learning_rate=schedule, alpha=alpha, penalty=penalty))


@pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"])
@SCHEDULES
@pytest.mark.parametrize("penalty", ["l2", "l1", None])
def test_regressor_with_single_rows_is_sgd_regressor(loss, schedule, alpha, penalty):
    assert_same_model(*both_fitted(False, y, loss=loss, learning_rate=schedule, alpha=alpha, penalty=penalty))


@pytest.mark.parametrize("average", [True, 60])
@pytest.mark.parametrize("classifier", [True, False])
def test_averages_are_those_of_scikit_learn(classifier, average):
    assert_same_model(*both_fitted(classifier, binary if classifier else y, average=average))


@pytest.mark.parametrize(
    "parameters", [{}, {"penalty": "l1"}, {"average": True}, {"fit_intercept": False}, {"loss": "log_loss"}]
)
def test_one_vs_rest_is_that_of_scikit_learn(parameters):
    ours, theirs = both_fitted(True, three, **parameters)
    assert_same_model(ours, theirs)
    assert_array_equal(ours.predict(X), theirs.predict(X))


def test_sample_weights_of_mean_one_are_those_of_scikit_learn():
    assert_same_model(*both_fitted(True, binary, WEIGHT))
    assert_same_model(*both_fitted(True, three, WEIGHT))
    assert_same_model(*both_fitted(False, y, WEIGHT))


def test_balanced_classes_are_those_of_scikit_learn():
    """Balanced weights have mean 1 already."""
    assert_same_model(*both_fitted(True, binary, class_weight="balanced"))


def test_class_weights_are_sample_weights():
    model = MiniBatchSGDClassifier(**PLAIN, class_weight={"yes": 3.0}).fit(X, binary, sample_weight=WEIGHT)
    weight = WEIGHT * np.where(binary == "yes", 3.0, 1.0)
    assert_same_model(model, MiniBatchSGDClassifier(**PLAIN).fit(X, binary, sample_weight=weight))


@pytest.mark.parametrize("class_weight", [{0: 4.0, 2: 0.5}, "balanced"])
def test_in_one_vs_rest_a_class_weighs_more_in_its_own_problem(class_weight):
    model = MiniBatchSGDClassifier(**PLAIN, class_weight=class_weight).fit(X, three, sample_weight=WEIGHT)
    balanced = dict(enumerate(N / (3 * np.bincount(three))))
    weights = balanced if class_weight == "balanced" else {1: 1.0, **class_weight}
    for k in range(3):
        weight = WEIGHT * np.where(three == k, weights[k], 1.0)
        one = MiniBatchSGDClassifier(**PLAIN).fit(X, three == k, sample_weight=weight)
        assert_allclose(theta(one), np.append(model.coef_[k], model.intercept_[k]), rtol=1e-12)


# ---------------------------------------------------------------------- any batch size: the textbook


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty", [None, "l2", "l1", "elasticnet"])
@pytest.mark.parametrize("batch_size", [7, "full"])
def test_batches_in_order_are_the_textbook(solver, penalty, batch_size):
    parameters = {"alpha": 0.05, "l1_ratio": 0.3, "penalty": penalty, "solver": solver, "batch_size": batch_size}
    model = MiniBatchSGDRegressor(**{**PLAIN, "max_iter": 6}, **parameters).fit(X, y, sample_weight=WEIGHT)
    l1, l2 = {None: (0, 0), "l2": (0, 0.05), "l1": (0.05, 0), "elasticnet": (0.015, 0.035)}[penalty]
    size = N if batch_size == "full" else batch_size
    w, b = descend(
        X,
        y[:, None],
        "squared_error",
        batch_size=size,
        etas=0.03,
        l1=l1,
        l2=l2,
        solver=solver,
        weights=WEIGHT,
        epochs=6,
    )
    assert_allclose(theta(model), np.append(w, b), rtol=1e-10, atol=1e-12)


def test_full_batches_owe_no_l1():
    """A weight that L1 held at 0 leaves it with the first gradient above alpha: nothing is left due from before."""
    first = np.random.default_rng(1).standard_normal(N)
    Z = np.c_[first, 0.9 * first + 0.44 * np.random.default_rng(2).standard_normal(N)]
    parameters = {**PLAIN, "penalty": "l1", "alpha": 0.05, "batch_size": "full", "eta0": 0.2, "max_iter": 40}
    model = MiniBatchSGDRegressor(**parameters, fit_intercept=False).fit(Z, Z @ [1.0, -1.0])
    w, _ = descend(
        Z, (Z @ [1.0, -1.0])[:, None], "squared_error", batch_size=N, etas=0.2, l1=0.05, epochs=40, fit_intercept=False
    )
    assert_allclose(model.coef_, w[0], rtol=1e-10)


@pytest.mark.parametrize("schedule", ["constant", "invscaling", "optimal"])
def test_full_batches_do_not_depend_on_shuffling(schedule):
    """all rows in one batch, drawn without replacement, are gradient descent."""
    parameters = {**PLAIN, "learning_rate": schedule, "batch_size": "full", "max_iter": 20}
    models = [MiniBatchSGDRegressor(**{**parameters, "shuffle": shuffle}).fit(X, y) for shuffle in (False, True)]
    assert_allclose(theta(models[0]), theta(models[1]), rtol=1e-12)


@pytest.mark.parametrize("estimator", [MiniBatchSGDClassifier, MiniBatchSGDRegressor])
def test_all_names_of_the_full_batch_are_one(estimator):
    target = binary if estimator is MiniBatchSGDClassifier else y
    found = [theta(estimator(**PLAIN, batch_size=size).fit(X, target)) for size in ("full", 1.0, N, 10 * N)]
    assert all(np.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("k", [2, 5, 10])
def test_small_steps_add_up_to_a_large_one_on_linear_losses(k):
    """with a gradient that does not depend on w, k updates (B, eta) are one update (k B, k eta)."""
    parameters = {**PLAIN, "loss": "absolute_error", "penalty": None, "max_iter": 1}
    small = MiniBatchSGDRegressor(**{**parameters, "eta0": 1e-4}, batch_size=5).fit(X, y + 100)
    large = MiniBatchSGDRegressor(**{**parameters, "eta0": k * 1e-4}, batch_size=5 * k).fit(X, y + 100)
    assert_allclose(theta(small), theta(large), rtol=1e-11)


def test_linear_losses_do_not_depend_on_the_order():
    """an epoch of linear losses is the same for every permutation."""
    parameters = {**PLAIN, "loss": "absolute_error", "penalty": None, "max_iter": 1, "eta0": 1e-4, "shuffle": True}
    found = [
        theta(MiniBatchSGDRegressor(**{**parameters, "random_state": s}, batch_size=5).fit(X, y + 100))
        for s in range(3)
    ]
    assert_allclose(found[1:], [found[0]] * 2, rtol=1e-11)


# ---------------------------------------------------------------------- the optimum


@pytest.mark.parametrize(
    "loss", ["log_loss", "squared_hinge", "modified_huber", "huber", "squared_epsilon_insensitive"]
)
def test_smooth_losses_reach_the_minimum_of_the_objective(loss):
    estimator, target = (MiniBatchSGDClassifier, binary) if loss in MARGIN_LOSSES else (MiniBatchSGDRegressor, y)
    numbers = np.where(binary == "yes", 1.0, -1.0) if loss in MARGIN_LOSSES else y
    model = estimator(loss, alpha=0.05, epsilon=0.4, **DOWN).fit(X, target)
    slopes = slope(loss, X @ model.coef_.ravel() + model.intercept_, numbers, 0.4)
    # convex: nowhere but in the minimum is the gradient 0
    assert_allclose(X.T @ slopes / N + 0.05 * model.coef_.ravel(), 0.0, atol=1e-8)
    assert_allclose(slopes.mean(), 0.0, atol=1e-8)


@pytest.mark.parametrize("alpha", [1e-3, 0.1])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_optimum_of_ridge(alpha, weight):
    ours = MiniBatchSGDRegressor(alpha=alpha, **DOWN).fit(X, y, sample_weight=weight)
    assert_same_model(ours, sk.Ridge(alpha * N).fit(X, y, sample_weight=weight), rtol=1e-8)


@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
@pytest.mark.parametrize("solver", ["sgd", "momentum", "nesterov", "adagrad"])
def test_optimum_of_the_elastic_net(solver, l1_ratio):
    parameters = {**DOWN, "solver": solver, "penalty": "elasticnet", "alpha": 0.2, "l1_ratio": l1_ratio}
    theirs = sk.ElasticNet(alpha=0.2, l1_ratio=l1_ratio, tol=1e-12).fit(X, y)
    ours = MiniBatchSGDRegressor(**parameters).fit(X, y)
    assert_allclose(theta(ours), theta(theirs), atol=1e-5)
    assert_array_equal(ours.coef_ == 0, theirs.coef_ == 0)


@pytest.mark.parametrize(("loss", "theirs"), [("poisson", sk.PoissonRegressor), ("gamma", sk.GammaRegressor)])
def test_optimum_of_generalised_linear_models(loss, theirs):
    target = np.exp(0.3 * y) if loss == "gamma" else np.random.default_rng(1).poisson(np.exp(0.3 * y))
    ours = MiniBatchSGDRegressor(loss, alpha=0.1, **DOWN).fit(X, target)
    theirs = theirs(alpha=0.1, tol=1e-10, max_iter=1000).fit(X, target)
    assert_same_model(ours, theirs, rtol=1e-5)
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-5)


@pytest.mark.parametrize("multi_class", ["ovr", "multinomial"])
@pytest.mark.parametrize("target", ["binary", "three"])
def test_optimum_of_logistic_regression(multi_class, target):
    labels = {"binary": binary, "three": three}[target]
    ours = MiniBatchSGDClassifier("log_loss", alpha=0.02, multi_class=multi_class, **{**DOWN, "eta0": 0.5}).fit(
        X, labels
    )
    if target == "three" and multi_class == "ovr":
        for k in range(3):
            theirs = sk.LogisticRegression(C=1 / (0.02 * N), tol=1e-10).fit(X, three == k)
            assert_allclose(ours.coef_[k], theirs.coef_[0], atol=1e-5)
        return
    theirs = sk.LogisticRegression(C=1 / (0.02 * N), tol=1e-10, max_iter=1000).fit(X, labels)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


def test_optimum_of_support_vector_machines():
    C, parameters = 1 / (0.1 * N), {**DOWN, "alpha": 0.1, "fit_intercept": False}
    classifier = LinearSVC(C=C, fit_intercept=False, tol=1e-10, max_iter=100_000).fit(X, binary)
    assert_allclose(
        MiniBatchSGDClassifier("squared_hinge", **parameters).fit(X, binary).coef_, classifier.coef_, atol=1e-5
    )
    regressor = LinearSVR(
        C=C, epsilon=0.2, loss="squared_epsilon_insensitive", fit_intercept=False, tol=1e-10, max_iter=100_000
    )
    ours = MiniBatchSGDRegressor("squared_epsilon_insensitive", epsilon=0.2, **parameters).fit(X, y)
    assert_allclose(ours.coef_, regressor.fit(X, y).coef_, atol=1e-5)


@pytest.mark.parametrize("quantile", [0.5, 0.8])
def test_quantiles_reach_the_objective_of_quantile_regression(quantile):
    """Its optimum has kinks, so that the objective is compared; it is linear programming there."""
    theirs = sk.QuantileRegressor(quantile=quantile, alpha=0.05).fit(X, y)
    parameters = {"penalty": "l1", "alpha": 0.05, "batch_size": 5, "tol": None, "max_iter": 1500, "random_state": 0}
    ours = MiniBatchSGDRegressor(
        "quantile", quantile=quantile, learning_rate="invscaling", eta0=0.5, power_t=0.6, **parameters
    )
    ours.fit(X, y)

    def objective(model):
        r = y - X @ model.coef_ - model.intercept_
        return np.mean(np.maximum(quantile * r, (quantile - 1) * r)) + 0.05 * np.abs(model.coef_).sum()

    assert objective(theirs) <= objective(ours) < objective(theirs) + 1e-3
    if quantile == 0.5:
        same = MiniBatchSGDRegressor("absolute_error", penalty="l1", alpha=0.1, **{**PLAIN, "eta0": 0.02})
        half = MiniBatchSGDRegressor("quantile", quantile=0.5, penalty="l1", alpha=0.05, **{**PLAIN, "eta0": 0.04})
        assert_allclose(theta(same.fit(X, y)), theta(half.fit(X, y)), rtol=1e-12)


# ---------------------------------------------------------------------- probabilities


@pytest.mark.parametrize(
    ("loss", "multi_class"), [("log_loss", "ovr"), ("log_loss", "multinomial"), ("modified_huber", "ovr")]
)
@pytest.mark.parametrize("target", [binary, three], ids=["binary", "three"])
def test_probabilities_are_a_distribution_that_agrees_with_the_prediction(loss, multi_class, target):
    model = MiniBatchSGDClassifier(loss, multi_class=multi_class, **{**PLAIN, "max_iter": 50}).fit(X, target)
    probability = model.predict_proba(X)
    assert_allclose(probability.sum(axis=1), 1.0)
    assert (probability >= 0).all()
    certain = np.sort(probability, axis=1)[:, -1] > np.sort(probability, axis=1)[:, -2]
    assert certain.any()
    assert_array_equal(model.classes_[probability.argmax(axis=1)][certain], model.predict(X)[certain])
    with np.errstate(divide="ignore"):
        assert_array_equal(model.predict_log_proba(X), np.log(probability))


def test_probabilities_are_those_of_scikit_learn():
    for loss in ("log_loss", "modified_huber"):
        for target in (binary, three):
            ours, theirs = both_fitted(True, target, loss=loss)
            assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-8, atol=1e-12)


def test_multinomial_probabilities_are_the_softmax_of_the_scores():
    model = MiniBatchSGDClassifier("log_loss", multi_class="multinomial", **PLAIN).fit(X, three)
    assert_allclose(model.predict_proba(X), softmax(X @ model.coef_.T + model.intercept_, axis=1), rtol=1e-12)


def test_a_row_that_no_class_wants_has_uniform_modified_huber_probabilities():
    model = MiniBatchSGDClassifier("modified_huber", **PLAIN).fit(X, three)
    model.coef_, model.intercept_ = np.zeros((3, D)), np.full(3, -5.0)
    assert_allclose(model.predict_proba(X[:1]), [[1 / 3, 1 / 3, 1 / 3]])


# ---------------------------------------------------------------------- outputs


@pytest.mark.parametrize("loss", REGRESSION)
def test_several_outputs_are_one_regressor_each(loss):
    Y = np.abs(np.c_[y, -2 * y, X[:, 0]]) + 0.1
    Y = Y / Y.max() if loss == "log_loss" else Y
    parameters = {**PLAIN, "eta0": 0.01, "batch_size": 8, "alpha": 0.1}
    model = MiniBatchSGDRegressor(loss, **parameters).fit(X, Y)
    assert model.coef_.shape == (3, D)
    assert model.intercept_.shape == (3,)
    for k in range(3):
        one = MiniBatchSGDRegressor(loss, **parameters).fit(X, Y[:, k])
        assert_allclose(model.predict(X)[:, k], one.predict(X), rtol=1e-11)


def test_a_column_stays_a_column():
    model = MiniBatchSGDRegressor(**PLAIN).fit(X, y[:, None])
    assert (model.coef_.shape, model.predict(X).shape) == ((1, D), (N, 1))
    assert_array_equal(model.coef_[0], MiniBatchSGDRegressor(**PLAIN).fit(X, y).coef_)
