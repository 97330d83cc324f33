"""neural_network: a slow network in NumPy step by step, scikit-learn's networks, and what any fit must satisfy."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import compute_sample_weight

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor
from minibatch.engine.activations import ACTIVATIONS
from minibatch.engine.optimizers import SOLVERS
from references.network import forward, gradient, mean_loss, net_of, penalty, train

N, D = 24, 3
rng = np.random.default_rng(0)
X = rng.standard_normal((N, D))
y = X @ [1.0, -2.0, 0.5] + 0.5 * rng.standard_normal(N)
two = np.where(y > 0, "yes", "no")
three = np.array(["low", "middle", "top"])[np.digitize(y, [-1.0, 1.0])]
labels = np.c_[y > 0, X[:, 0] > 0, X.sum(axis=1) > 1].astype(int)
Y = np.c_[y, X[:, 0] ** 2]
counts = rng.poisson(np.exp(0.4 * y))
weight = rng.random(N)
X_new = rng.standard_normal((12, D))

# estimator, further parameters, y, loss of the reference, y as the reference takes it
TASKS = {
    "binary": (MiniBatchMLPClassifier, {}, two, "log_loss", np.where(two == "yes", 1, -1)[:, None]),
    "classes": (MiniBatchMLPClassifier, {}, three, "softmax", np.unique(three, return_inverse=True)[1]),
    "labels": (MiniBatchMLPClassifier, {}, labels, "log_loss", 2 * labels - 1),
    "regression": (MiniBatchMLPRegressor, {}, y, "squared_error", y[:, None]),
    "outputs": (MiniBatchMLPRegressor, {}, Y, "squared_error", Y),
    "poisson": (MiniBatchMLPRegressor, {"loss": "poisson"}, counts, "poisson", counts[:, None]),
}
every_task = pytest.mark.parametrize("task", TASKS)
NET = {"hidden_layer_sizes": (4, 3), "activation": "tanh"}
PLAIN = {**NET, "solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1, "alpha": 0.0}
PLAIN |= {"shuffle": False, "tol": None, "random_state": 0, "max_iter": 3}
NO_STEP = {"solver": "sgd", "learning_rate_init": 1e-300, "max_updates": 1}


def model_of(task, **parameters):
    estimator, more, *_ = TASKS[task]
    return estimator(**{**PLAIN, **more, **parameters})


def fitted(task, X=X, sample_weight=None, **parameters):
    return model_of(task, **parameters).fit(X, TASKS[task][2], sample_weight)


def start_of(task, **parameters):
    """The first parameters."""
    return net_of(fitted(task, **{**parameters, **NO_STEP}))


def reference(
    task, *, weights=None, epochs=3, batch_size=5, etas=0.1, alpha=0.0, activation="tanh", solver="sgd", **more
):
    *_, loss, target = TASKS[task]
    start = start_of(task, activation=activation, **{name: more.pop(name) for name in NORMALIZED if name in more})
    return train(
        start, X, target, loss, activation, batch_size=batch_size, etas=etas, solver=solver, alpha=alpha,
        weights=weights, epochs=epochs, **more,
    )  # fmt: skip


NORMALIZED = ("batch_normalization",)


def theta(model):
    net = net_of(model) if hasattr(model, "coefs_") else model
    return np.concatenate([np.ravel(part) for parts in net for part in parts])


def assert_same_net(ours, theirs, rtol=1e-9, atol=1e-12):
    assert_allclose(theta(ours), theta(theirs), rtol=rtol, atol=atol)


def changed(model, start):
    """Whether training did something, without which equality says nothing."""
    return np.abs(theta(model) - theta(start)).max() > 1e-3


# ---------------------------------------------------------------------- the textbook, step by step


@every_task
@pytest.mark.parametrize("batch_size", [1, 5, 24])
def test_every_loss_and_batch_size(task, batch_size):
    model = fitted(task, batch_size=batch_size, alpha=0.05)
    expected = reference(task, batch_size=batch_size, alpha=0.05)
    assert_same_net(model, expected)
    assert changed(model, start_of(task))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", ["classes", "regression"])
def test_every_solver(task, solver):
    parameters = {"solver": solver, "momentum": 0.8, "beta_1": 0.7, "beta_2": 0.95, "epsilon": 1e-3}
    model = fitted(
        task, batch_size=5, alpha=0.1, nesterovs_momentum=False, **{**parameters, "learning_rate_init": 0.02}
    )
    expected = {**parameters, "solver": "momentum" if solver == "sgd" else solver}
    assert_same_net(model, reference(task, etas=0.02, alpha=0.1, **expected))


def test_sgd_has_nesterovs_momentum_unless_told_otherwise():
    models = [fitted("regression", batch_size=5, momentum=0.9, nesterovs_momentum=flag) for flag in (True, False)]
    for model, solver in zip(models, ("nesterov", "momentum"), strict=True):
        assert_same_net(model, reference("regression", solver=solver, momentum=0.9))
    assert changed(*models)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("task", ["labels", "outputs"])
def test_every_activation(task, activation):
    model = fitted(task, activation=activation, batch_size=8)
    assert_same_net(model, reference(task, activation=activation, batch_size=8))


@pytest.mark.parametrize("hidden_layer_sizes", [1, (5,), [2, 3, 4]])
def test_any_number_of_layers(hidden_layer_sizes):
    parameters = {"hidden_layer_sizes": hidden_layer_sizes, "activation": "gelu"}
    model = fitted("classes", batch_size=8, **parameters)
    *_, loss, target = TASKS["classes"]
    start = start_of("classes", **parameters)
    assert_same_net(model, train(start, X, target, loss, "gelu", batch_size=8, etas=0.1, epochs=3))
    assert model.n_layers_ == 2 + np.size(hidden_layer_sizes)


@pytest.mark.parametrize("task", ["binary", "outputs"])
def test_a_last_batch_that_is_dropped(task):
    model = fitted(task, batch_size=7, last_batch="drop")
    assert_same_net(model, reference(task, batch_size=7, last_batch="drop"))
    assert (model.n_updates_, model.t_) == (9, 63)


@every_task
@pytest.mark.parametrize("batch_size", [5, "full"])
def test_weights(task, batch_size):
    model = fitted(task, sample_weight=weight, batch_size=batch_size, alpha=0.05)
    size = N if batch_size == "full" else batch_size
    assert_same_net(model, reference(task, weights=weight, batch_size=size, alpha=0.05))


@every_task
def test_what_is_recorded(task):
    """Every figure of the history, from its definition."""
    *_, loss, target = TASKS[task]
    model = fitted(task, sample_weight=weight, alpha=0.05, batch_size="full", evaluate_every=2)
    start, s = start_of(task), weight / weight.mean()
    nets = [start, *(reference(task, weights=weight, batch_size=N, alpha=0.05, epochs=k) for k in (1, 2, 3))]
    losses = [mean_loss(net, X, target, loss, "tanh", s) for net in nets]
    objectives = [value + penalty(net, 0.05) for value, net in zip(losses, nets, strict=True)]
    penalties = [penalty(net, 0.05) for net in nets]
    history = model.history_
    assert_allclose(history["progressive_loss"], losses[:3], rtol=1e-10)
    expected = [losses[k] + (penalties[k] + penalties[k + 1]) / 2 for k in range(3)]
    assert_allclose(history["progressive_objective"], expected, rtol=1e-10)
    slopes = gradient(nets[2], X, target, loss, "tanh", s)
    slopes = [g + 0.05 * W if k < 3 else g for k, (g, W) in enumerate(zip(slopes, nets[2].trained, strict=True))]
    columns = {
        "train_loss": losses[2],
        "objective": objectives[2],
        "gradient_norm": np.sqrt(sum((g**2).sum() for g in slopes)),
        "distance_from_init": np.linalg.norm(theta(nets[2]) - theta(start)),
    }
    for name, value in columns.items():
        assert_allclose(history[name], [np.nan, value, np.nan], rtol=1e-9)
    assert_allclose(history["learning_rate"], 0.1)
    assert_array_equal(history["n_samples_seen"], [N, 2 * N, 3 * N])
    assert model.loss_curve_ == history["progressive_objective"].tolist()
    assert (model.loss_, model.best_loss_) == (model.loss_curve_[-1], min(model.loss_curve_))
    assert (model.n_layers_, model.n_outputs_) == (4, model.coefs_[-1].shape[1])
    assert model.validation_scores_ is None


# ---------------------------------------------------------------------- scikit-learn, step by step

THEIR_TASKS = {
    "binary": (MLPClassifier, {}),
    "classes": (MLPClassifier, {}),
    "labels": (MLPClassifier, {}),
    "regression": (MLPRegressor, {}),
    "outputs": (MLPRegressor, {}),
    "poisson": (MLPRegressor, {"loss": "poisson"}),
}
IGNORED = {"tol": 0.0, "n_iter_no_change": 1000}  # scikit-learn's way to train for max_iter epochs


def both_fitted(task, *, alpha=0.0, batch_size=8, sample_weight=None, **parameters):
    """With the documented conversion of ``alpha``; the batch size divides the number of rows."""
    estimator, more = THEIR_TASKS[task]
    parameters = {**PLAIN, "max_iter": 5, **parameters}
    total = batch_size if sample_weight is None else sample_weight.sum()
    theirs = estimator(**{**parameters, **more, **IGNORED, "alpha": alpha * total, "batch_size": batch_size})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(X, TASKS[task][2], sample_weight)
    ours = fitted(task, sample_weight=sample_weight, **{**parameters, "alpha": alpha, "batch_size": batch_size})
    return ours, theirs


def assert_same_predictions(ours, theirs):
    if hasattr(ours, "classes_"):
        assert_array_equal(ours.predict(X_new), theirs.predict(X_new))
        assert_allclose(ours.predict_proba(X_new), theirs.predict_proba(X_new), rtol=1e-9)
    else:
        assert_allclose(ours.predict(X_new), theirs.predict(X_new), rtol=1e-8)


@every_task
@pytest.mark.parametrize("activation", ["logistic", "relu"])
@pytest.mark.parametrize("hidden_layer_sizes", [(5,), (4, 3)])
def test_the_first_parameters_are_those_of_scikit_learn(task, activation, hidden_layer_sizes):
    parameters = {"activation": activation, "hidden_layer_sizes": hidden_layer_sizes, "random_state": 7}
    estimator, more = THEIR_TASKS[task]
    theirs = estimator(**more, **parameters, solver="sgd", learning_rate_init=1e-300, alpha=0.0)
    more = {} if estimator is MLPRegressor else {"classes": getattr(fitted(task), "classes_", None)}
    start = start_of(task, **parameters)
    assert_array_equal(theta(theirs.partial_fit(X, TASKS[task][2], **more)), theta(start))
    assert not np.array_equal(theta(start), theta(start_of(task, **{**parameters, "random_state": 8})))


@every_task
@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, True), (0.9, False), (0.9, True)])
def test_sgd_is_scikit_learns(task, alpha, momentum, nesterov):
    parameters = {"momentum": momentum, "nesterovs_momentum": nesterov, "learning_rate_init": 0.03}
    ours, theirs = both_fitted(task, alpha=alpha, **parameters)
    assert_same_net(ours, theirs)
    assert_same_predictions(ours, theirs)
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_iter_", "t_"):
        assert getattr(ours, name) == getattr(theirs, name)


@every_task
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_adam_is_scikit_learns(task, alpha):
    """But for epsilon, which is added to the root of the second moment before its correction there."""
    ours, theirs = both_fitted(task, alpha=alpha, solver="adam", learning_rate_init=0.01, epsilon=1e-10, max_iter=8)
    assert_same_net(ours, theirs, rtol=1e-6, atol=1e-6)
    assert changed(ours, start_of(task))


@pytest.mark.parametrize("task", ["classes", "outputs", "poisson"])
def test_weights_are_scikit_learns_on_a_full_batch(task):
    ours, theirs = both_fitted(task, alpha=0.1, batch_size=N, sample_weight=weight)
    assert_same_net(ours, theirs)


def test_invscaling_is_scikit_learns():
    """Without momentum: scikit-learn's velocity contains the rate."""
    parameters = {"learning_rate": "invscaling", "power_t": 0.3}
    ours, theirs = both_fitted("classes", **parameters)
    assert_same_net(ours, theirs)
    assert_allclose(ours.history_["learning_rate"], 0.1 / (np.arange(5) * N + 1) ** 0.3)
    chunks = [clone(model).set_params(batch_size=6) for model in (ours, theirs)]
    for model in chunks:
        for start in range(0, N, 6):
            model.partial_fit(X[start : start + 6], three[start : start + 6], classes=np.unique(three))
    assert_same_net(*chunks)


@pytest.mark.parametrize("learning_rate", ["constant", "adaptive"])
@pytest.mark.parametrize("task", ["classes", "regression"])
def test_the_stopping_rule_is_scikit_learns(task, learning_rate):
    """Where there is no penalty, both look at the same figures."""
    parameters = {**PLAIN, "tol": 1e-2, "n_iter_no_change": 3, "max_iter": 400, "batch_size": 8}
    parameters |= {"learning_rate": learning_rate, "learning_rate_init": 0.2}
    estimator, _, target, *_ = TASKS[task]
    ours = estimator(**parameters).fit(X, target)
    theirs = THEIR_TASKS[task][0](**parameters).fit(X, target)
    assert (ours.status_, ours.n_iter_) == ("converged", theirs.n_iter_)
    assert ours.n_iter_ < 400
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert_allclose(ours.best_loss_, theirs.best_loss_, rtol=1e-9)
    assert_same_net(ours, theirs, rtol=1e-8)
    if learning_rate == "adaptive":
        assert ours.history_["learning_rate"][-1] <= 1e-6


# ---------------------------------------------------------------------- L-BFGS


def lbfgs_fitted(task, **parameters):
    """Ours, scikit-learn's, and the objectives of both."""
    estimator, _, target, loss, numbers = TASKS[task]
    theirs, more = THEIR_TASKS[task]
    parameters = {
        "hidden_layer_sizes": (3,),
        "activation": "tanh",
        "random_state": 0,
        "tol": 1e-7,
        **parameters,
        **more,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = estimator(**parameters, solver="lbfgs", alpha=0.05).fit(X, target)
        theirs = theirs(**parameters, solver="lbfgs", alpha=0.05 * N).fit(X, target)
    nets = (net_of(ours), net_of(theirs))
    return ours, theirs, *(mean_loss(net, X, numbers, loss, "tanh") + penalty(net, 0.05) for net in nets)


@pytest.mark.parametrize("task", [task for task in TASKS if task != "outputs"])
def test_lbfgs_is_scikit_learns_for_a_while(task):
    """Rounding grows from iteration to iteration. (Of several outputs, scikit-learn's loss is the mean and its gradient
    that of the sum.)"""
    ours, theirs, *_ = lbfgs_fitted(task, max_iter=15)
    assert_same_net(ours, theirs, rtol=1e-5, atol=1e-6)
    assert ours.n_iter_ == theirs.n_iter_ == 15


@every_task
def test_lbfgs_reaches_the_objective_of_scikit_learn(task):
    ours, _, objective, theirs = lbfgs_fitted(task, max_iter=1000)
    assert ours.status_ == "converged"
    assert objective <= theirs + 1e-6
    assert_allclose(ours.loss_, objective, rtol=1e-9)
    assert (np.diff(ours.loss_curve_) <= 0).all()
    assert ours.n_iter_ == len(ours.loss_curve_) == ours.n_updates_


@pytest.mark.parametrize("weights", [None, weight])
def test_lbfgs_without_activation_is_least_squares(weights):
    parameters = {
        "solver": "lbfgs",
        "activation": "identity",
        "hidden_layer_sizes": (2,),
        "tol": 1e-9,
        "max_iter": 5000,
    }
    model = fitted("outputs", sample_weight=weights, **parameters)
    expected = LinearRegression().fit(X, Y, weights).predict(X_new)
    assert model.status_ == "converged"
    assert_allclose(model.predict(X_new), expected, atol=1e-5)


def test_lbfgs_stops_where_it_is_told_to():
    parameters = {"solver": "lbfgs", "tol": 1e-12, "max_iter": 40}
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = fitted("classes", **parameters)
    assert (model.status_, model.n_iter_) == ("max_iter", 40)
    model = fitted("classes", **parameters, max_updates=3)
    assert (model.status_, model.n_iter_) == ("max_updates", 3)
    model = model_of("classes", **parameters).set_callbacks(StopAfter(2)).fit(X, three)
    assert (model.status_, model.n_iter_) == ("stopped_by_callback", 2)


def test_lbfgs_keeps_the_best_score():
    model = model_of("classes", solver="lbfgs", early_stopping=True, tol=1e-4, n_iter_no_change=2, max_iter=100)
    model.fit(X, three, X_val=X_new, y_val=three[:12])  # labels that have nothing to do with the rows
    assert model.status_ == "early_stopped"
    assert model.score(X_new, three[:12]) == max(model.history_["validation_score"])


# ---------------------------------------------------------------------- what must make no difference

few = settings(max_examples=8)
BATCHES = st.sampled_from([1, 3, 7, "full"])
TASK = st.sampled_from(sorted(TASKS))
SOLVER = st.sampled_from(["sgd", "momentum", "adam"])


@few
@given(TASK, SOLVER, BATCHES, st.integers(0, 99))
def test_dense_and_sparse_rows(task, solver, batch_size, seed):
    random = np.random.default_rng(seed)
    holes = np.where(random.random((N, D)) < 0.5, X, 0.0)
    rows = sp.csr_array(holes)
    order = np.concatenate([random.permutation(np.arange(*rows.indptr[i : i + 2])) for i in range(N)]).astype(int)
    unsorted = sp.csr_array((rows.data[order], rows.indices[order], rows.indptr), shape=rows.shape)
    parameters = {"solver": solver, "batch_size": batch_size, "shuffle": True, "learning_rate_init": 0.02}
    dense, *sparse = (fitted(task, same, **parameters) for same in (holes, rows, unsorted))
    for model in sparse:
        assert_same_net(model, dense, rtol=1e-8, atol=1e-10)
        assert_allclose(forward_of(model, unsorted), forward_of(dense, holes), rtol=1e-8, atol=1e-10)


def forward_of(model, rows):
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)


@few
@given(TASK, SOLVER, BATCHES, st.booleans())
def test_float32_stays_float32(task, solver, batch_size, sparse):
    rows = X.astype(np.float32)
    rows = sp.csr_array(rows) if sparse else rows
    parameters = {"solver": solver, "batch_size": batch_size, "learning_rate_init": 0.02}
    model = fitted(task, rows, **parameters)
    assert {part.dtype for part in (*model.coefs_, *model.intercepts_)} == {np.dtype(np.float32)}
    assert_same_net(model, fitted(task, **parameters), rtol=1e-3, atol=1e-4)
    model.partial_fit(X, TASKS[task][2])
    assert model.coefs_[0].dtype == np.float32


@few
@given(TASK, SOLVER, st.integers(0, 99))
def test_weights_are_repetitions_on_a_full_batch(task, solver, seed):
    times = np.random.default_rng(seed).integers(1, 4, N)
    parameters = {"solver": solver, "batch_size": "full", "alpha": 0.01, "learning_rate_init": 0.02, "max_iter": 10}
    repeated = model_of(task, **parameters).fit(np.repeat(X, times, axis=0), np.repeat(TASKS[task][2], times, axis=0))
    assert_same_net(fitted(task, sample_weight=times, **parameters), repeated, rtol=1e-7, atol=1e-9)


@few
@given(TASK, SOLVER, st.integers(0, 99))
def test_a_row_without_weight_is_not_there(task, solver, seed):
    kept = np.random.default_rng(seed).random(N) < 0.7
    kept[np.unique(three, return_index=True)[1]] = kept[np.unique(two, return_index=True)[1]] = True
    rows, parameters = np.where(kept[:, None], X, 1e3), {"solver": solver, "batch_size": "full", "max_iter": 10}
    weighted = fitted(task, rows, sample_weight=kept.astype(float), **parameters, learning_rate_init=0.02)
    without = model_of(task, **parameters, learning_rate_init=0.02).fit(X[kept], TASKS[task][2][kept])
    assert_same_net(weighted, without, rtol=1e-7, atol=1e-9)


@few
@given(TASK, st.sampled_from(["sgd", "momentum", "nesterov"]), st.permutations(range(N)))
def test_the_order_of_the_rows_of_a_full_batch(task, solver, order):
    parameters = {"solver": solver, "batch_size": "full", "learning_rate_init": 0.05, "max_iter": 20}
    permuted = model_of(task, **parameters).fit(X[order], TASKS[task][2][order])
    assert_same_net(fitted(task, **parameters), permuted, rtol=1e-8, atol=1e-8)


@few
@given(TASK, st.sampled_from([*SOLVERS]), st.integers(1, 23), st.integers(0, 2))
def test_partial_fits_over_slices_are_an_epoch(task, solver, batch_size, batches_a_call):
    """One batch a call, or several and what is left."""
    parameters = {"solver": solver, "batch_size": batch_size, "max_iter": 1, "momentum": 0.9, "alpha": 0.05}
    parameters |= {"learning_rate_init": 0.02}
    model, whole, size = model_of(task, **parameters), fitted(task, **parameters), batch_size * (1 + batches_a_call)
    target = TASKS[task][2]
    names = np.arange(3) if task == "labels" else np.unique(target)
    classes = {"classes": names} if hasattr(whole, "classes_") else {}
    for start in range(0, N, size):
        model.partial_fit(X[start : start + size], target[start : start + size], **classes)
    assert_same_net(model, whole, rtol=1e-10)
    assert (model.n_updates_, model.t_) == (whole.n_updates_, whole.t_)


@every_task
def test_all_names_of_the_full_batch(task):
    parameters = {"solver": "adam", "shuffle": True}
    found = [fitted(task, batch_size=size, **parameters) for size in ("full", 1.0, N, 10 * N, "auto")]
    for model in found:
        assert_array_equal(theta(model), theta(found[0]))
        assert (model.batch_size_, model.n_updates_) == (N, 3)


def test_batch_sizes_are_resolved_on_the_rows_trained_on():
    tall, target = np.tile(X, (20, 1)), np.tile(y, 20)
    sizes = {"auto": 200, 0.25: 120, 70: 70, 1000: 480}
    found = {size: model_of("regression", batch_size=size).fit(tall, target).batch_size_ for size in sizes}
    assert found == sizes
    half = model_of("regression", batch_size=0.5, early_stopping=True, validation_fraction=0.25).fit(X, y)
    assert half.batch_size_ == 9


@pytest.mark.parametrize("parameters", [{}, {"dropout": 0.4}, {"batch_normalization": True}, {"solver": "lbfgs"}])
def test_the_seed_decides(parameters):
    parameters = {"batch_size": 5, "shuffle": True, **parameters}
    found = [theta(fitted("regression", random_state=seed, **parameters)) for seed in (1, 1, 2)]
    assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])


def test_shuffling_changes_the_order_but_not_the_first_parameters():
    models = [fitted("regression", batch_size=5, shuffle=flag) for flag in (True, False)]
    assert changed(*models)
    assert_same_net(*(start_of("regression", shuffle=flag) for flag in (True, False)))


# ---------------------------------------------------------------------- going on


@pytest.mark.parametrize(
    "parameters",
    [
        {"momentum": 0.9},
        {"solver": "adam"},
        {"momentum": 0.9, "learning_rate": "invscaling"},
        {"solver": "adagrad", "dropout": 0.3},
        {"solver": "adam", "batch_normalization": True},
    ],
    ids=lambda parameters: "-".join(map(str, parameters.values())),
)
def test_a_warm_start_goes_on(parameters):
    """Memory, schedule, statistics, order of the rows, dropout: 5 + 5 epochs are 10, with a pickle in between too."""
    parameters = {"learning_rate_init": 0.02, "batch_size": 7, "shuffle": True, **parameters}
    once = fitted("classes", max_iter=5, warm_start=True, **parameters)
    twice = pickle.loads(pickle.dumps(once)).fit(X, three)
    at_once = fitted("classes", max_iter=10, **parameters)
    assert_same_net(once.fit(X, three), at_once, rtol=1e-11)
    assert_array_equal(theta(twice), theta(once))
    for name in ("epoch", "n_updates", "n_samples_seen", "learning_rate", "progressive_loss"):
        assert_allclose(once.history_[name], at_once.history_[name], rtol=1e-9)
    assert (once.n_iter_, once.n_updates_, once.t_) == (5, 40, 240)
    assert once.loss_curve_ == once.history_["progressive_objective"].tolist()


def test_a_fit_without_warm_start_forgets():
    model = fitted("binary", solver="adam")
    first = theta(model)
    assert_array_equal(theta(model.partial_fit(X, two).fit(X, two)), first)
    assert model.history_.n_epochs == 3


def test_lbfgs_goes_on_where_adam_stopped_and_back():
    model = fitted("regression", solver="adam", warm_start=True, alpha=0.01)
    before = mean_loss(net_of(model), X, y[:, None], "squared_error", "tanh") + penalty(net_of(model), 0.01)
    model.set_params(solver="lbfgs").fit(X, y)
    assert model.history_["objective"][3] <= before
    assert model.loss_ < before
    model.set_params(solver="adam", learning_rate_init=1e-12, max_iter=1).fit(X, y)
    assert_allclose(model.history_["progressive_objective"][-1], model.history_["objective"][5], rtol=1e-6)


@every_task
def test_a_pickle_predicts_the_same(task):
    model = fitted(task, solver="adam", batch_size=5)
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict(X_new), model.predict(X_new))
    target = TASKS[task][2]
    assert_array_equal(theta(copy.partial_fit(X, target)), theta(model.partial_fit(X, target)))


def test_partial_fit_knows_all_classes_from_the_start():
    order = np.argsort(three, kind="stable")
    model = model_of("classes", batch_size=4)
    for start in range(0, N, 4):
        here = order[start : start + 4]
        model.partial_fit(X[here], three[here], classes=["low", "middle", "top"])
    whole = model_of("classes", batch_size=4, max_iter=1).fit(X[order], three[order])
    assert_same_net(model, whole, rtol=1e-11)


@pytest.mark.parametrize("batch_size", [1, 0.5, "full", "auto"])
def test_clone_keeps_parameters_and_nothing_else(batch_size):
    model = fitted("classes", batch_size=batch_size, dropout=0.2)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "coefs_")
    assert_array_equal(theta(copy.fit(X, three)), theta(model))


def test_a_grid_over_batch_sizes_does_not_depend_on_the_number_of_jobs():
    grid = {"batch_size": [1, 5, 0.5, "full"]}
    found = [
        GridSearchCV(
            model_of("classes", solver="adam", shuffle=True), grid, cv=2, n_jobs=n_jobs, scoring="neg_log_loss"
        )
        .fit(X, three)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    assert_array_equal(found[0], found[1])
    assert len(set(found[0])) == 4


# ---------------------------------------------------------------------- stopping


class StopAfter:
    """A scikit-learn callback that asks to stop at the end of an epoch."""

    def __init__(self, n_epochs):
        self.n_epochs, self.seen = n_epochs, 0

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "epoch":
            return False
        self.seen += 1
        return self.seen >= self.n_epochs


def test_stopped_by_callback():
    model = model_of("classes", max_iter=50).set_callbacks(StopAfter(3)).fit(X, three)
    assert (model.status_, model.n_iter_) == ("stopped_by_callback", 3)
    assert_array_equal(theta(model), theta(fitted("classes", max_iter=3)))


class Keep(StopAfter):
    """Keeps the estimator of every epoch."""

    def __init__(self):
        super().__init__(np.inf)
        self.kept = []

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.kept.append(fitted_estimator)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize("task", ["classes", "regression"])
def test_callbacks_see_the_net_of_every_epoch(task, solver):
    """And may keep it: the epochs that follow do not change it."""
    callback = Keep()
    model_of(task, solver=solver, max_iter=50, max_updates=3).set_callbacks(callback).fit(X, TASKS[task][2])
    assert len(callback.kept) == 3
    for epoch, kept in enumerate(callback.kept, start=1):
        shorter = fitted(task, solver=solver, max_iter=epoch)
        assert_allclose(forward_of(kept, X_new), forward_of(shorter, X_new), rtol=1e-9)


def test_callbacks_of_lbfgs_up_to_max_iter():
    callback = StopAfter(np.inf)
    model = model_of("classes", solver="lbfgs").set_callbacks(callback).fit(X, three)
    assert (model.status_, model.n_iter_, callback.seen) == ("max_iter", 3, 3)


def test_callbacks_see_nothing_of_an_earlier_fit():
    """Batch normalization may have been switched off since."""
    callback = Keep()
    model = fitted("regression", batch_normalization=True).set_params(batch_normalization=False)
    model.set_callbacks(callback).fit(X, y)
    assert_allclose(callback.kept[-1].predict(X_new), model.predict(X_new), rtol=1e-12)


def test_max_updates_stops_within_an_epoch():
    model = fitted("regression", batch_size=5, max_updates=7, max_iter=50)
    assert (model.status_, model.n_iter_, model.n_updates_, model.t_) == ("max_updates", 2, 7, 34)
    steps = fitted("regression", batch_size=5, max_iter=1).partial_fit(X[:10], y[:10])
    assert_same_net(model, steps, rtol=1e-12)


def test_max_iter_is_a_status_and_a_warning():
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = fitted("regression", tol=1e-9)
    assert (model.status_, model.n_iter_) == ("max_iter", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted("regression").status_ == "max_iter"


@pytest.mark.parametrize("task", ["classes", "labels", "regression", "poisson"])
@pytest.mark.parametrize("own_rows", [True, False])
def test_early_stopping_keeps_the_best_score(task, own_rows):
    target = TASKS[task][2]
    # a rate so high that the score goes up and down
    model = model_of(task, early_stopping=True, tol=1e-4, n_iter_no_change=4, max_iter=200, solver="adam")
    model.set_params(learning_rate_init=0.1, batch_size=5, shuffle=True, validation_fraction=0.4)
    given = {"X_val": X_new, "y_val": target[:12], "sample_weight_val": weight[:12]} if own_rows else {}
    model.fit(X, target, **given)
    scores = model.history_["validation_score"]
    assert model.status_ == "early_stopped"
    assert model.n_iter_ >= scores.argmax() + 1 + 5
    if own_rows:
        assert model.score(X_new, target[:12], weight[:12]) == pytest.approx(scores.max(), abs=1e-12)
    assert model.best_validation_score_ == scores.max()
    assert model.validation_scores_ == scores.tolist()
    assert model.best_loss_ is None
    # the parameters kept are those of a run that ends with the best epoch
    shorter = clone(model).set_params(tol=None, max_iter=int(scores.argmax()) + 1).fit(X, target, **given)
    assert_array_equal(theta(shorter), theta(model))
    assert changed(model, clone(model).set_params(tol=None, max_iter=model.n_iter_).fit(X, target, **given))


@every_task
def test_a_validation_set_is_recorded_and_has_no_say(task):
    *_, target, loss, numbers = TASKS[task]
    given = {"X_val": X[:10], "y_val": target[:10], "sample_weight_val": weight[:10]}
    model = model_of(task, batch_size=5).fit(X, target, **given)
    assert_array_equal(theta(model), theta(fitted(task, batch_size=5)))
    history = model.history_
    assert history["validation_score"][-1] == pytest.approx(model.score(X[:10], target[:10], weight[:10]), abs=1e-12)
    s = weight[:10] / weight[:10].mean()
    assert_allclose(history["validation_loss"][-1], mean_loss(net_of(model), X[:10], numbers[:10], loss, "tanh", s))
    assert model.validation_scores_ == history["validation_score"].tolist()


@pytest.mark.parametrize(
    ("task", "parameters"),
    [("regression", {}), ("outputs", {"solver": "momentum"}), ("poisson", {}), ("regression", {"activation": "relu"})],
)
def test_a_divergence_is_a_status(task, parameters):
    target = TASKS[task][2]
    model = model_of(task, max_iter=200, batch_size=5, warm_start=True, **{"activation": "identity", **parameters})
    model.fit(X, target)
    with pytest.warns(ConvergenceWarning, match="learning_rate_init"):
        model.set_params(learning_rate_init=1e4).fit(100 * X, target)
    assert model.status_ == "diverged"
    assert all(np.isfinite(part).all() for part in (*model.coefs_, *model.intercepts_))
    with pytest.warns(ConvergenceWarning, match="learning_rate_init"):
        fresh = clone(model).fit(100 * X, target)
    assert all(np.isfinite(part).all() for part in (*fresh.coefs_, *fresh.intercepts_))


# ---------------------------------------------------------------------- class weights


@pytest.mark.parametrize(
    ("task", "class_weight"),
    [
        ("binary", {"yes": 3.0}),
        ("classes", {"low": 0.5, "top": 4.0}),
        ("labels", [{0: 1.0, 1: 3.0}, {0: 2.0, 1: 0.5}, {0: 1.0, 1: 1.0}]),
        *((task, "balanced") for task in ("binary", "classes", "labels")),
    ],
)
def test_class_weights_are_sample_weights(task, class_weight):
    target = TASKS[task][2]
    by_class = compute_sample_weight(class_weight, target)
    model = fitted(task, sample_weight=weight, class_weight=class_weight, batch_size=5)
    assert_same_net(model, fitted(task, sample_weight=weight * by_class, batch_size=5), rtol=1e-11)
    assert changed(model, fitted(task, sample_weight=weight, batch_size=5))
    if class_weight != "balanced":
        chunk = fitted(task, class_weight=class_weight).partial_fit(X, target)
        same = fitted(task, sample_weight=by_class).partial_fit(X, target, by_class)
        assert_same_net(chunk, same, rtol=1e-11)


# ---------------------------------------------------------------------- batch normalization


@every_task
@pytest.mark.parametrize("normalization", [True, "input"])
def test_a_full_batch_step_with_batch_normalization(task, normalization):
    """The gradient of the plain objective in which means and variances are functions of the weights."""
    parameters = {"batch_normalization": normalization}
    model = fitted(task, sample_weight=weight, batch_size="full", max_iter=1, alpha=0.05, **parameters)
    start = start_of(task, **parameters)
    start = start._replace(
        means=[np.zeros_like(part) for part in start.means], variances=[np.ones_like(part) for part in start.variances]
    )
    assert all((scale == 1).all() for scale in start.scales)
    *_, loss, target = TASKS[task]
    slopes = gradient(start, X, target, loss, "tanh", weight / weight.mean(), True)
    n = len(start.coefs)
    penalties = [0.05 * W for W in start.coefs] + [0.0] * (len(slopes) - n)
    expected = [part - 0.1 * (g + p) for part, g, p in zip(start.trained, slopes, penalties, strict=True)]
    assert_allclose(theta(net_of(model).with_trained(expected)), theta(model), rtol=1e-9, atol=1e-12)
    # after one batch the running statistics are its own
    _, raw = forward(start, X, "tanh", of_batch=True)
    for mean, variance, z in zip(model.running_means_, model.running_variances_, raw, strict=True):
        assert_allclose(mean, z.mean(axis=0), atol=1e-12)
        assert_allclose(variance, z.var(axis=0, ddof=1), rtol=1e-10)


@pytest.mark.parametrize("normalization", [True, "input"])
@pytest.mark.parametrize(("solver", "batch_size", "last_batch"), [("sgd", 5, "keep"), ("adam", 7, "drop")])
@pytest.mark.parametrize("task", ["classes", "regression"])
def test_batch_normalization_step_by_step(task, solver, batch_size, last_batch, normalization):
    """Trained and running parameters; over more than ten batches, where the weight of a new one becomes constant."""
    parameters = {"batch_size": batch_size, "last_batch": last_batch, "batch_normalization": normalization}
    model = fitted(task, solver=solver, max_iter=4, learning_rate_init=0.05, alpha=0.05, epsilon=1e-4, **parameters)
    expected = reference(task, solver=solver, epochs=4, etas=0.05, alpha=0.05, epsilon=1e-4, **parameters)
    assert_same_net(model, expected, rtol=1e-7, atol=1e-9)
    assert changed(model, start_of(task, batch_normalization=normalization))
    scores, _ = forward(expected, X_new, "tanh")
    if task == "classes":
        assert_allclose(model.predict_proba(X_new), softmax(scores, axis=1), rtol=1e-6)
    else:
        assert_allclose(model.predict(X_new), scores[:, 0], rtol=1e-6)


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_batch_normalization_of_float32(layout):
    parameters = {"batch_normalization": True, "batch_size": 8, "learning_rate_init": 0.02}
    model = fitted("classes", layout(X.astype(np.float32)), **parameters)
    parts = (model.coefs_, model.intercepts_, model.scales_, model.running_means_, model.running_variances_)
    assert {part.dtype for layer in parts for part in layer} == {np.dtype(np.float32)}
    assert_same_net(model, fitted("classes", layout(X), **parameters), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("normalization", [True, "input"])
def test_partial_fits_with_batch_normalization_are_an_epoch(normalization):
    parameters = {"batch_normalization": normalization, "batch_size": 6, "solver": "adam", "max_iter": 1}
    model = model_of("classes", **parameters)
    for start in range(0, N, 6):
        model.partial_fit(X[start : start + 6], three[start : start + 6], classes=np.unique(three))
        model = pickle.loads(pickle.dumps(model))
    assert_same_net(model, fitted("classes", **parameters), rtol=1e-11)


def test_batch_normalization_forgotten():
    """A fit without it leaves nothing of it behind."""
    model = fitted("regression", batch_normalization=True).set_params(batch_normalization=False).fit(X, y)
    assert_array_equal(theta(model), theta(fitted("regression")))
    assert model.scales_ == model.running_means_ == model.running_variances_ == []


def test_records_with_batch_normalization_use_the_running_statistics():
    *_, loss, target = TASKS["classes"]
    model = fitted("classes", batch_normalization=True, batch_size=5, evaluate_every=1, alpha=0.05)
    value = mean_loss(net_of(model), X, target, loss, "tanh")
    assert_allclose(model.history_["train_loss"][-1], value, rtol=1e-10)
    assert_allclose(model.history_["objective"][-1], value + penalty(net_of(model), 0.05), rtol=1e-10)


# ---------------------------------------------------------------------- dropout

# With one feature a row, the gradient of a row's own weights shows the units that it was trained on.
ROWS, UNITS = 120, 60
OWN_FEATURE = {**PLAIN, "activation": "identity", "hidden_layer_sizes": (UNITS,), "max_iter": 1, "dropout": 0.3}
OWN_FEATURE |= {"learning_rate_init": 1e-3}


def one_hot(**parameters):
    target = np.random.default_rng(1).standard_normal(ROWS) + 20
    return MiniBatchMLPRegressor(**{**OWN_FEATURE, "batch_size": "full", **parameters}), np.eye(ROWS), target


def kept_units(**parameters):
    """Which units (columns) each row (rows) was trained on."""
    model, rows, target = one_hot(**parameters)
    before = clone(model).set_params(**NO_STEP).fit(rows, target).coefs_[0]
    return model.fit(rows, target).coefs_[0] != before


def test_dropout_leaves_out_the_right_share():
    for dropout in (0.1, 0.3, 0.8):
        kept = kept_units(dropout=dropout)
        noise = np.sqrt(dropout * (1 - dropout))
        assert abs(kept.mean() - (1 - dropout)) < 4 * noise / np.sqrt(kept.size)
        # as independent from row to row and from unit to unit
        assert kept.mean(axis=1).std() == pytest.approx(noise / np.sqrt(UNITS), rel=0.3)
        assert kept.mean(axis=0).std() == pytest.approx(noise / np.sqrt(ROWS), rel=0.3)
        together = (kept[:-1] == kept[1:]).mean()
        assert abs(together - (1 - 2 * noise**2)) < 0.03


def test_the_mask_depends_on_the_row_and_not_on_its_batch():
    expected = kept_units()
    for parameters in ({"batch_size": 1}, {"batch_size": 7}, {"batch_size": 7, "shuffle": True}):
        assert_array_equal(kept_units(**parameters), expected)
    assert (kept_units(random_state=1) != expected).mean() > 0.3


def test_every_epoch_has_a_mask_of_its_own():
    model, rows, target = one_hot(warm_start=True)
    first, before = kept_units(), model.fit(rows, target).coefs_[0]
    second = model.fit(rows, target).coefs_[0] != before
    assert (first != second).mean() == pytest.approx(2 * 0.3 * 0.7, abs=0.05)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_step_with_dropout_scales_up_the_units_that_stay(activation):
    """One step of a net with one hidden layer, from the mask that its own weights show."""
    model, rows, target = one_hot(activation=activation, learning_rate_init=1e-3)
    net = net_of(clone(model).set_params(**NO_STEP).fit(rows, target))
    factor = kept_units() / 0.7
    z = net.coefs[0] + net.intercepts[0]
    values = (np.tanh(z) if activation == "tanh" else np.maximum(z, 0)) * factor
    slopes = (1 - np.tanh(z) ** 2 if activation == "tanh" else z > 0) * factor
    delta = (values @ net.coefs[1] + net.intercepts[1] - target[:, None]) / ROWS
    below = delta @ net.coefs[1].T * slopes
    model.fit(rows, target)
    assert_allclose(model.coefs_[0], net.coefs[0] - 1e-3 * below, rtol=1e-10)
    assert_allclose(model.coefs_[1], net.coefs[1] - 1e-3 * values.T @ delta, rtol=1e-10)
    assert_allclose(model.intercepts_[0], net.intercepts[0] - 1e-3 * below.sum(axis=0), rtol=1e-10)


def test_no_dropout_is_none_and_some_is_some():
    without = fitted("classes", batch_size=5)
    assert_array_equal(theta(fitted("classes", batch_size=5, dropout=0.0)), theta(without))
    assert changed(fitted("classes", batch_size=5, dropout=0.5), without)


def test_predictions_and_records_are_without_dropout():
    *_, loss, target = TASKS["classes"]
    model = fitted("classes", dropout=0.5, evaluate_every=1)
    scores, _ = forward(net_of(model), X, "tanh")
    for _ in range(2):
        assert_allclose(model.predict_proba(X), softmax(scores, axis=1), rtol=1e-10)
    assert_allclose(model.history_["train_loss"][-1], mean_loss(net_of(model), X, target, loss, "tanh"), rtol=1e-10)


# ---------------------------------------------------------------------- prediction


@every_task
def test_predictions_come_from_the_parameters(task):
    model = fitted(task)
    scores, _ = forward(net_of(model), X_new, "tanh")
    found = forward_of(model, X_new)
    if task == "binary":
        assert_allclose(found, np.c_[expit(-scores), expit(scores)], rtol=1e-10)
        assert_array_equal(model.predict(X_new), np.where(scores[:, 0] > 0, "yes", "no"))
    elif task == "classes":
        assert_allclose(found, softmax(scores, axis=1), rtol=1e-10)
        assert_array_equal(model.predict(X_new), model.classes_[scores.argmax(axis=1)])
        assert_array_equal(model.classes_, ["low", "middle", "top"])
    elif task == "labels":
        assert_allclose(found, expit(scores), rtol=1e-10)
        assert_array_equal(model.predict(X_new), (scores > 0).astype(int))
    else:
        scores = np.exp(scores) if task == "poisson" else scores
        assert_allclose(found, scores if task == "outputs" else scores[:, 0], rtol=1e-10)
    if task in ("binary", "classes"):
        assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)
        assert_allclose(model.predict_log_proba(X_new), np.log(found), rtol=1e-12)


@pytest.mark.parametrize("task", ["classes", "regression"])
@pytest.mark.parametrize("parameters", [{}, {"batch_normalization": True}])
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_many_rows_are_predicted_like_few(task, parameters, layout):
    """3000 rows go through the network in blocks, and with a wide layer on several threads."""
    model = fitted(task, hidden_layer_sizes=(900,), max_iter=1, learning_rate_init=0.001, **parameters)
    rows = layout(np.random.default_rng(3).standard_normal((3000, D)))
    pieces = [forward_of(model, rows[start : start + 700]) for start in range(0, 3000, 700)]
    assert_allclose(forward_of(model, rows), np.concatenate(pieces), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("target", [two, y > 0, np.where(y > 0, 7, -3), three, np.digitize(y, [-1, 1])], ids=repr)
def test_labels_of_any_type(target):
    model = model_of("classes", solver="adam", max_iter=60).fit(X, target)
    assert_array_equal(model.classes_, np.unique(target))
    predicted = model.predict(X)
    assert predicted.dtype == target.dtype
    assert (predicted == target).mean() > 0.7
    assert_array_equal(predicted, model.classes_[model.predict_proba(X).argmax(axis=1)])


def test_a_column_stays_a_column():
    model = model_of("regression").fit(X, y[:, None])
    assert model.predict(X).shape == (N, 1)
    assert_array_equal(model.predict(X)[:, 0], fitted("regression").predict(X))


@pytest.mark.parametrize("estimator", [MiniBatchMLPClassifier, MiniBatchMLPRegressor])
def test_prediction_before_fit(estimator):
    with pytest.raises(NotFittedError):
        estimator().predict(X)


def test_feature_names():
    frame = pd.DataFrame(X, columns=list("abc"))
    model = fitted("classes", frame)
    assert list(model.feature_names_in_) == list("abc")
    assert_array_equal(model.predict_proba(frame), fitted("classes").predict_proba(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c"]])
    with pytest.warns(UserWarning, match="feature names"):
        model.predict(X)


def test_a_change_of_solver_keeps_the_running_statistics():
    """The optimizer begins anew, the statistics do not."""
    statistics = {}
    for solver in ("adam", "sgd"):
        model = fitted("classes", batch_normalization=True, batch_size=5, max_iter=10, solver="adam")
        model.set_params(solver=solver, learning_rate_init=1e-12, batch_size="full").partial_fit(X, three)
        statistics[solver] = np.concatenate(model.running_variances_)
    assert_allclose(statistics["sgd"], statistics["adam"], rtol=1e-6)


def test_the_best_loss_is_the_lowest_also_after_a_divergence_and_with_two_solvers():
    model = fitted("regression", solver="lbfgs", max_iter=4, warm_start=True)
    model.set_params(solver="adam").fit(X, TASKS["regression"][2])
    assert len(model.loss_curve_) == model.history_.n_epochs == 8
    assert np.isfinite(model.loss_curve_).all()
    lowest = min(model.loss_curve_)
    model.set_params(solver="sgd", learning_rate_init=1e6).fit(X, TASKS["regression"][2])
    assert model.status_ == "diverged"
    assert model.best_loss_ == lowest
