"""``average`` of networks: iterates of a network in NumPy, averaged by hand, and what goes on from an average."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor
from references.network_tasks import (
    TASKS,
    N,
    X,
    assert_same_net,
    changed,
    every_task,
    fitted,
    model_of,
    reference,
    theta,
    three,
    weight,
    y,
)

KINDS = [True, 30, "ema"]
every_kind = pytest.mark.parametrize("average", KINDS)


def averaged(iterates, average, batch_size, half_life):
    """The mean of all, or of those after updates that have seen so many rows; or the exponential average, with a
    half-life in updates."""
    if average == "ema":
        mean = theta(iterates[0])
        for t, net in enumerate(iterates[1:], start=2):
            share = max(1 / t, 1 - 0.5 ** (1 / half_life))
            mean = (1 - share) * mean + share * theta(net)
        return mean
    first = max(0, -(-int(average) // batch_size) - 1)
    return np.mean([theta(net) for net in iterates[first:]], axis=0)


@every_task
@every_kind
@pytest.mark.parametrize("size", [4, 24])
def test_the_model_is_the_average_of_the_iterates(task, average, size):
    parameters = {"batch_size": size, "alpha": 0.05, "solver": "adam", "epsilon": 1e-4}
    model = fitted(
        task, sample_weight=weight, average=average, average_half_life=0.4, max_iter=4, learning_rate_init=0.05,
        **parameters,
    )  # fmt: skip
    iterates = []
    last = reference(task, weights=weight, epochs=4, etas=0.05, iterates=iterates, **parameters)
    expected = averaged(iterates, average, size, 0.4 * N / size)
    assert_allclose(theta(model), expected, rtol=1e-7, atol=1e-9)
    assert_allclose(model._optimizer.iterate, theta(last), rtol=1e-7, atol=1e-9)
    assert changed(model, last)


@pytest.mark.parametrize("normalization", [True, "input"])
@every_kind
def test_running_statistics_are_averaged_along(normalization, average):
    parameters = {"batch_size": 6, "batch_normalization": normalization}
    model = fitted("classes", average=average, average_half_life=0.4, max_iter=4, **parameters)
    iterates = []
    reference("classes", epochs=4, iterates=iterates, **parameters)
    assert_allclose(theta(model), averaged(iterates, average, 6, 0.4 * 4), rtol=1e-7, atol=1e-9)


def test_averaged_means_of_a_first_layer_are_those_of_the_averaged_weights():
    """Means are linear in the weights: full batches, whose statistics are those of all rows, at each iterate."""
    parameters = {"batch_size": "full", "batch_normalization": True, "max_iter": 8}
    model = fitted("classes", average=True, **parameters)
    nets = [fitted("classes", **{**parameters, "max_iter": k}) for k in range(1, 9)]
    seen = [np.mean([net.running_means_[0] for net in nets], axis=0), np.mean([net.coefs_[0] for net in nets], axis=0)]
    assert_allclose(model.running_means_[0], seen[0], atol=1e-12)
    assert_allclose(model.coefs_[0], seen[1], atol=1e-12)


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_and_layouts(layout, dtype):
    model = fitted("classes", layout(X.astype(dtype)), average=True, batch_size=5)
    assert {part.dtype for part in model.coefs_} == {np.dtype(dtype)}
    assert_same_net(model, fitted("classes", average=True, batch_size=5), rtol=1e-3, atol=1e-4)


def test_a_half_life_far_beyond_the_run_is_the_mean_and_a_tiny_one_the_last():
    mean, last = (fitted("regression", average=average, batch_size=5) for average in (True, False))
    assert_same_net(fitted("regression", average="ema", average_half_life=1e9, batch_size=5), mean, rtol=1e-11)
    assert_same_net(fitted("regression", average="ema", average_half_life=1e-3, batch_size=5), last, rtol=1e-11)
    assert changed(mean, last)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_an_epoch_forgets_as_much_whatever_the_batch_size(batch_size):
    """What is left after epochs in which nothing moves is a power of two of what there was: the rate is 0 but in the
    first two, in which the mean at the beginning ends."""
    half_life, rest = 0.5, 3
    parameters = {"learning_rate": "step", "cycle_length": 2.0, "cycle_decay": 1e-300, "batch_size": batch_size}
    at_two, later = (
        fitted("regression", average="ema", average_half_life=half_life, max_iter=n, **parameters)
        for n in (2, 2 + rest)
    )
    end = at_two._optimizer.iterate
    assert_allclose(theta(later) - end, 2.0 ** (-rest / half_life) * (theta(at_two) - end), rtol=1e-6)
    assert np.abs(theta(at_two) - end).max() > 1e-3


@every_kind
@pytest.mark.parametrize("more", [{}, {"batch_normalization": True}, {"solver": "sgd", "momentum": 0.9}], ids=str)
def test_a_warm_start_goes_on(average, more):
    """5 + 5 epochs are 10, with a pickle in between too; of 30 rows, of 180, which are after the first fit."""
    parameters = {"batch_size": 7, "solver": "adam", "last_batch": "drop", "shuffle": True, "average": average, **more}
    for first in (average,) if average != 30 else (30, 180):
        parameters["average"] = first
        once = fitted("classes", max_iter=5, warm_start=True, **parameters)
        twice = pickle.loads(pickle.dumps(once)).fit(X, three)
        at_once = fitted("classes", max_iter=10, **parameters)
        assert_same_net(once.fit(X, three), at_once, rtol=1e-11)
        assert_array_equal(theta(twice), theta(once))
        assert_allclose(once._optimizer.iterate, at_once._optimizer.iterate, rtol=1e-11)
        assert once._optimizer.n_averaged == at_once._optimizer.n_averaged > 0


def test_before_averaging_begins_the_model_is_the_iterate():
    model = fitted("classes", average=10_000, batch_size=5)
    assert_array_equal(theta(model), theta(fitted("classes", batch_size=5)))
    assert model._optimizer.iterate.size == model._optimizer.n_averaged == 0


@pytest.mark.parametrize("average", [True, 11])
def test_slices_of_an_epoch_are_that_epoch(average):
    whole, sliced = (model_of("classes", average=average, batch_size=4) for _ in range(2))
    for _ in range(2):
        whole.partial_fit(X, three, classes=np.unique(three))
        for first in range(0, N, 4):
            sliced.partial_fit(X[first : first + 4], three[first : first + 4], classes=np.unique(three))
    assert_same_net(sliced, whole, rtol=1e-11)
    assert_allclose(sliced._optimizer.iterate, whole._optimizer.iterate, rtol=1e-11)


def test_a_call_counts_as_an_epoch():
    model = model_of("classes", average="ema", average_half_life=1.5, batch_size=5)
    for _ in range(4):
        model.partial_fit(X, three, classes=np.unique(three))
    expected = fitted("classes", average="ema", average_half_life=1.5, batch_size=5, max_iter=4)
    assert_same_net(model, expected, rtol=1e-11)


@every_kind
def test_what_is_recorded_is_of_the_average(average):
    model = fitted("classes", average=average, evaluate_every=1, alpha=0.01, batch_size=5)
    assert model.history_["train_loss"][-1] == pytest.approx(model._loss(X, three))
    penalty = 0.005 * sum((W**2).sum() for W in model.coefs_)
    assert model.history_["objective"][-1] == pytest.approx(model._loss(X, three) + penalty)
    assert model.history_["train_loss"][-1] != fitted("classes", batch_size=5, alpha=0.01, evaluate_every=1).history_[
        "train_loss"
    ][-1]  # fmt: skip


@every_kind
def test_early_stopping_keeps_the_best_average_and_what_training_goes_on_from(average):
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((160, 3))
    target = rows @ [1.0, -1.0, 0.5] + 2.0 * rng.standard_normal(160)
    constant = {"learning_rate": "constant", "learning_rate_init": 0.02, "batch_size": 8, "random_state": 0}
    model = MiniBatchMLPRegressor(
        hidden_layer_sizes=(16,), early_stopping=True, average=average, n_iter_no_change=3, max_iter=100, **constant
    ).fit(rows[:60], target[:60], X_val=rows[60:], y_val=target[60:])
    scores = model.history_["validation_score"]
    assert model.status_ == "early_stopped"
    assert model.score(rows[60:], target[60:]) == pytest.approx(scores.max(), rel=1e-12)
    best = int(np.argmax(scores)) + 1
    assert best < len(scores)
    short = MiniBatchMLPRegressor(hidden_layer_sizes=(16,), average=average, max_iter=best, tol=None, **constant)
    short.fit(rows[:60], target[:60])
    assert_array_equal(theta(short), theta(model))
    assert_array_equal(short._optimizer.iterate, model._optimizer.iterate)
    assert short._optimizer.n_averaged == model._optimizer.n_averaged


@pytest.mark.parametrize("average", [True, "ema"])
def test_an_average_takes_the_place_of_that_of_auto(average):
    """At the same rates: the last parameters are the same."""
    auto = {"learning_rate": "auto", "learning_rate_init": 0.001, "solver": "adam", "batch_size": "full"}
    own, model = (fitted("classes", average=a, average_half_life=0.5, **auto) for a in (False, average))
    assert_array_equal(model._optimizer.iterate, own._optimizer.iterate)
    nets = [fitted("classes", max_iter=k, **auto)._optimizer.iterate for k in (1, 2, 3)]
    shares = np.full(3, 1 / 3) if average is True else np.array([1 / 16, 3 / 16, 3 / 4])  # half of half an epoch
    assert_allclose(theta(model), shares @ nets, atol=1e-12)
    assert changed(model, own)


def test_an_average_begins_anew_where_there_was_none():
    model = fitted("classes", warm_start=True, batch_size="full", max_iter=2)
    model.set_params(average=True).fit(X, three)
    last = [fitted("classes", batch_size="full", max_iter=k) for k in (3, 4)]
    assert_allclose(theta(model), np.mean([theta(net) for net in last], axis=0), atol=1e-12)
    assert model._optimizer.n_averaged == 2


def test_without_an_average_training_goes_on_from_the_model():
    model = fitted("classes", warm_start=True, average=True, batch_size=5)
    before = theta(model)
    model.set_params(average=False, learning_rate_init=1e-300).fit(X, three)
    assert_array_equal(theta(model), before)
    assert model._optimizer.iterate.size == 0


@pytest.mark.slow
@pytest.mark.parametrize("average", [True, "ema"])
def test_an_average_takes_the_noise_out_of_a_high_rate(average):
    """Linear least squares with noise: the objective of the iterates stays above the least, that of an average does not
    by nearly as much."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 6))
    target = rows @ rng.standard_normal(6) + rng.standard_normal(400)
    least = np.linalg.lstsq(np.c_[rows, np.ones(400)], target)[1][0] / 800
    parameters = {"hidden_layer_sizes": (4,), "activation": "identity", "solver": "sgd", "momentum": 0.0, "alpha": 0.0}
    parameters |= {"learning_rate": "constant", "learning_rate_init": 0.02, "batch_size": 1, "tol": None}
    gaps = [
        MiniBatchMLPRegressor(max_iter=30, random_state=0, average=a, average_half_life=3.0, **parameters)
        .fit(rows, target)
        ._loss(rows, target)
        - least
        for a in (False, 4000 if average is True else average)
    ]
    assert gaps[1] < gaps[0] / 4


@pytest.mark.parametrize("estimator", [MiniBatchMLPClassifier, MiniBatchMLPRegressor])
@every_kind
@pytest.mark.parametrize("solver", ["lbfgs", "schedule_free_sgd", "schedule_free_adamw"])
def test_solvers_that_it_does_not_go_with(estimator, average, solver):
    with pytest.raises(ValueError, match=rf"average={average!r} does not go with solver='{solver}'.*leave average out"):
        estimator(solver=solver, average=average).fit(X, TASKS["binary"][2] if "Class" in estimator.__name__ else y)


def test_the_stopping_rule_waits_for_the_average():
    """It is met by iterates; the run ends where the average has come to rest too."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((300, 4))
    target = np.sin(2 * rows[:, 0]) + 0.5 * rng.standard_normal(300)
    parameters = {
        "hidden_layer_sizes": (16,),
        "learning_rate": "constant",
        "learning_rate_init": 0.02,
        "batch_size": 16,
    }
    parameters |= {"n_iter_no_change": 3, "max_iter": 400, "random_state": 0, "tol": 1e-3}
    plain, model = (MiniBatchMLPRegressor(average=average, **parameters) for average in (False, True))
    plain.fit(rows, target)
    model.fit(rows, target)
    assert plain.status_ == model.status_ == "converged"
    assert model.n_iter_ >= plain.n_iter_
