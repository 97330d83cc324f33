"""``learning_rate="auto"`` of the networks: the whole rule against NumPy, and what goes on from it."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils import check_random_state

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor
from minibatch._base.seeds import SEEDS
from minibatch.neural_network._auto import rates_to_try
from references import auto_rate
from references.network_tasks import NET, TASKS, N, X, assert_same_net, start_of, theta, three, weight, y

AUTO = {**NET, "shuffle": False, "tol": None, "random_state": 0, "max_iter": 3}


def auto(task="classes", **parameters):
    estimator, more, *_ = TASKS[task]
    return estimator(**{**AUTO, "batch_size": 5, **more, **parameters})


def fitted(task="classes", sample_weight=None, **parameters):
    return auto(task, **parameters).fit(X, TASKS[task][2], sample_weight)


def rows_of(size):
    return N if size == "full" else size


@pytest.mark.parametrize(
    ("task", "size", "parameters", "weights"),
    [
        ("classes", 5, {}, None),
        ("regression", 24, {"alpha": 0.05}, weight),
        ("labels", "full", {}, None),
        ("binary", 2, {}, None),
        ("outputs", 8, {"solver": "rmsprop"}, None),
        ("classes", 8, {"solver": "adamw", "alpha": 0.05}, weight),
        ("regression", 8, {"solver": "nesterov"}, None),
        ("classes", 24, {"solver": "sgd", "momentum": 0.0}, None),
        ("binary", 8, {"solver": "adagrad"}, None),
    ],
)
def test_the_whole_rule(task, size, parameters, weights):
    """The rate that is found, those that follow, the average, and the last parameters."""
    model, start = fitted(task, weights, batch_size=size, **parameters), start_of(task, weights)
    *_, loss, target = TASKS[task]
    solver, alpha = parameters.get("solver", "adam"), parameters.get("alpha", 1e-4)
    arguments = X, target, loss, "tanh", alpha, weights
    rows, seed = rows_of(size), check_random_state(0).randint(SEEDS)
    k = auto_rate.probed(start, rows, seed, solver, *arguments)
    assert model.eta0_ == pytest.approx(k)
    average, last = auto_rate.train(start, k, rows, 3, solver, *arguments)
    assert_same_net(model, average, rtol=1e-7, atol=1e-9)
    assert_allclose(model._optimizer.iterate, theta(last), rtol=1e-7, atol=1e-9)
    assert np.abs(theta(average) - theta(last)).max() > 1e-3
    updates = model.history_["n_updates"]
    assert_allclose(model.history_["learning_rate"], [auto_rate.rate(solver, k, t) for t in updates])


@pytest.mark.filterwarnings("ignore:Diverged")
def test_rates_that_overflow_are_not_taken():
    """The gradients of large columns and targets are large: the lowest rate goes furthest."""
    rates = []
    for scale in (1.0, 1e3):
        model = MiniBatchMLPRegressor(
            hidden_layer_sizes=(8,), solver="sgd", batch_size=4, max_iter=1, tol=None, random_state=0
        )
        rates.append(model.fit(scale * X, scale * y).eta0_)
    assert rates[0] > rates[1] == rates_to_try("sgd", 4, noisy=True)[0]


def test_rows_are_seen_in_the_order_of_a_fit_whatever_the_probe_does():
    """The probe trains on parameters of its own: the first progressive loss is that of the first parameters."""
    first = [
        fitted(learning_rate=name, batch_size="full", max_iter=1).history_["progressive_loss"][0]
        for name in ("auto", "constant")
    ]
    assert first[0] == first[1]


@pytest.mark.parametrize("more", [{}, {"batch_normalization": True}, {"solver": "sgd"}, {"dropout": 0.2}])
def test_a_warm_start_goes_on(more):
    """5 + 5 epochs are 10, with a pickle in between too: rate, average and last parameters."""
    parameters = {"batch_size": 7, "shuffle": True, "last_batch": "drop", **more}
    once = fitted(max_iter=5, warm_start=True, **parameters)
    twice = pickle.loads(pickle.dumps(once)).fit(X, three)
    at_once = fitted(max_iter=10, **parameters)
    assert_same_net(once.fit(X, three), at_once, rtol=1e-11)
    assert_array_equal(theta(twice), theta(once))
    assert_allclose(once._optimizer.iterate, at_once._optimizer.iterate, rtol=1e-11)
    assert_allclose(once.history_["learning_rate"], at_once.history_["learning_rate"])
    assert once.eta0_ == at_once.eta0_


def test_slices_of_an_epoch_are_that_epoch():
    """From the second call on: the first finds the rate."""
    whole, sliced = (auto(batch_size=4).partial_fit(X, three, classes=np.unique(three)) for _ in range(2))
    whole.partial_fit(X, three)
    for first in range(0, N, 4):
        sliced.partial_fit(X[first : first + 4], three[first : first + 4])
    assert_same_net(sliced, whole, rtol=1e-11)
    assert_allclose(sliced._optimizer.iterate, whole._optimizer.iterate, rtol=1e-11)


def test_a_call_is_an_epoch():
    model = auto(max_iter=1).fit(X, three)
    assert_same_net(auto().partial_fit(X, three, classes=np.unique(three)), model)
    assert_same_net(model.partial_fit(X, three), fitted(max_iter=2), rtol=1e-11)


def test_what_is_recorded_is_of_the_average():
    model = fitted(evaluate_every=1, alpha=0.01)
    assert model.history_["train_loss"][-1] == pytest.approx(model._loss(X, three))
    penalty = 0.005 * sum((W**2).sum() for W in model.coefs_)
    assert model.history_["objective"][-1] == pytest.approx(model._loss(X, three) + penalty)


def test_early_stopping_keeps_the_best_average_and_its_last_parameters():
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((120, 3))
    target = (rows @ [1.0, -1.0, 0.5] + rng.standard_normal(120) > 0).astype(int)
    model = MiniBatchMLPClassifier(
        (8,), early_stopping=True, batch_size=8, n_iter_no_change=3, max_iter=100, random_state=0
    ).fit(rows[:60], target[:60], X_val=rows[60:], y_val=target[60:])
    scores = model.history_["validation_score"]
    assert model.status_ == "early_stopped"
    assert model.score(rows[60:], target[60:]) == scores.max()
    best = int(np.argmax(scores))
    short = MiniBatchMLPClassifier((8,), batch_size=8, max_iter=best + 1, tol=None, random_state=0)
    short.fit(rows[:60], target[:60])
    if scores.tolist().count(scores.max()) == 1:
        assert_array_equal(theta(short), theta(model))
        assert_array_equal(short._optimizer.iterate, model._optimizer.iterate)


def test_running_statistics_are_those_of_the_average():
    """Predictions normalise by an average too: of as many updates, and positive."""
    model = fitted(batch_normalization="input", batch_size=6, max_iter=20)
    last = model._optimizer.iterate
    assert last.shape == theta(model).shape
    assert all((variances > 0).all() for variances in model.running_variances_)
    n = sum(map(np.size, [*model.running_means_, *model.running_variances_]))
    assert (last[-n:] != theta(model)[-n:]).any()


def test_another_schedule_takes_over_from_the_average_and_back():
    model = fitted(warm_start=True, max_iter=2)
    before = theta(model)
    model.set_params(learning_rate="constant", learning_rate_init=1e-12).fit(X, three)
    assert_allclose(theta(model), before, rtol=1e-6)
    assert model._optimizer.iterate.size == 0
    model.set_params(learning_rate="auto", learning_rate_init=0.001).fit(X, three)
    assert model.eta0_ in rates_to_try("adam", 5, noisy=True)


def test_lbfgs_has_no_rate_and_no_average():
    models = [fitted(solver="lbfgs", learning_rate=name) for name in ("auto", "constant")]
    assert_array_equal(theta(models[0]), theta(models[1]))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_rate_of_the_users_own_is_constant_as_in_scikit_learn(method):
    more = {"classes": np.unique(three)} if method == "partial_fit" else {}
    with pytest.warns(UserWarning, match=r"learning_rate_init=0\.1 makes the rate constant.*learning_rate='constant'"):
        model = getattr(auto(learning_rate_init=0.1), method)(X, three, **more)
    same = getattr(auto(learning_rate="constant", learning_rate_init=0.1), method)(X, three, **more)
    assert_array_equal(theta(model), theta(same))


def test_a_rate_to_be_found_is_found():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert_array_equal(theta(fitted(learning_rate_init="auto")), theta(fitted()))


def test_a_rate_to_be_scaled_is_constant():
    with pytest.warns(UserWarning, match=r"learning_rate_scaling='sqrt' makes the rate constant"):
        model = fitted(learning_rate_scaling="sqrt")
    same = fitted(learning_rate="constant", learning_rate_scaling="sqrt")
    assert_array_equal(theta(model), theta(same))
    with pytest.raises(ValueError, match="learning_rate_scaling='sqrt' scales a rate"):
        fitted(learning_rate_scaling="sqrt", learning_rate_init="auto")


def test_what_does_nothing_is_refused():
    with pytest.raises(ValueError, match=r"warmup=.* does nothing with learning_rate='auto'"):
        fitted(warmup=1.0)


def test_last_parameters_that_do_not_fit_are_refused():
    model = fitted()
    model._optimizer = model._optimizer._replace(iterate=np.zeros(3))
    with pytest.raises(ValueError, match=r"_optimizer\.iterate has shape"):
        model.partial_fit(X, three)


def test_it_is_the_default():
    assert MiniBatchMLPClassifier().learning_rate == MiniBatchMLPRegressor().learning_rate == "auto"
