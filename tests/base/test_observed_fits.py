"""Fits that are watched: stretches of an epoch, budgets, and what the watching leaves alone."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minibatch import (
    MiniBatchMLPClassifier,
    MiniBatchMLPRegressor,
    MiniBatchSGDClassifier,
    MiniBatchSGDRegressor,
)
from minibatch._problems import requests
from minibatch._training import epochs as epochs_of_training
from minibatch.engine.optimizers import SOLVERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.standard_normal((53, 4))
y = X @ [1.0, -2.0, 0.5, 0.0] + 0.5 * rng.standard_normal(53) + 1.0
labels = np.digitize(y, [0.0, 2.0])
PLAIN = {"tol": None, "random_state": 0, "max_iter": 3, "batch_size": 8}
LINEAR = {**PLAIN, "learning_rate": "constant", "eta0": 0.03, "alpha": 0.02}
NETWORK = {**PLAIN, "hidden_layer_sizes": (5,)}


class Notes:
    """Keeps all that a watched fit tells."""

    def __init__(self, test=(X, y, None), **limits):
        self.test, self.limits, self.rows, self.thetas, self.kept = test, limits, [], [], None

    def begin(self, measures, theta):
        self.measures, self.first = measures, theta.copy()

    def see(self, row, theta):
        self.rows.append(row)
        self.thetas.append(theta.copy())

    def end(self, theta):
        self.kept = theta.copy()

    def __getitem__(self, name):
        return np.array([row[name] for row in self.rows])


def watched(model, rows=X, target=y, **limits):
    notes = Notes((rows, target, None), **limits)
    model._train(rows, target, None, watch=notes)
    return notes


def parameters_of(model):
    if hasattr(model, "coefs_"):
        return np.concatenate([np.ravel(part) for part in (*model.coefs_, *model.intercepts_)])
    return np.append(np.ravel(model.coef_), model.intercept_)


# ---------------------------------------------------------------------- stretches


@given(st.data())
def test_stretches_cover_an_epoch_once_and_evenly(data):
    whole = data.draw(st.integers(1, 500))
    n_batches, number = data.draw(st.integers(1, whole)), data.draw(st.integers(1, 600))
    stretches = list(epochs_of_training._stretches(n_batches, whole, number))
    assert [first for first, _ in stretches] == [0, *(last for _, last in stretches[:-1])]
    assert stretches[-1][1] == n_batches
    lengths = [last - first for first, last in stretches]
    assert min(lengths) >= 1
    if n_batches == whole:
        assert len(stretches) == min(number, whole)
        assert max(lengths) - min(lengths) <= 1
    else:
        complete = list(epochs_of_training._stretches(whole, whole, number))
        assert stretches[:-1] == complete[: len(stretches) - 1]


@pytest.mark.parametrize(
    ("solver", "average"),
    [(s, a) for s in SOLVERS for a in (False, True, 70) if not (a and s.startswith("schedule_free"))],
)
@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_a_linear_fit_in_stretches_is_the_fit_at_once(solver, penalty, average, layout):
    model = MiniBatchSGDRegressor(**LINEAR, solver=solver, penalty=penalty, average=average)
    rows = layout(X)
    notes = watched(model, rows, stretches=3)
    watched_model = parameters_of(model)
    at_once = model.fit(rows, y)
    assert_allclose(watched_model, parameters_of(at_once), rtol=1e-10, atol=1e-14)
    assert_array_equal(notes["n_updates"], [2, 4, 7, 9, 11, 14, 16, 18, 21])
    for n_updates, theta in zip(notes["n_updates"], notes.thetas, strict=True):
        there = model.set_params(max_updates=int(n_updates)).fit(rows, y)
        assert_allclose(theta, parameters_of(there), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("learning_rate", ["optimal", "invscaling", "adaptive"])
@pytest.mark.parametrize("batch_size", [1, 8, "full"])
def test_rates_do_not_depend_on_stretches(learning_rate, batch_size):
    model = MiniBatchSGDClassifier(**{**LINEAR, "learning_rate": learning_rate, "batch_size": batch_size, "tol": 0.1})
    model.set_params(max_iter=30, n_iter_no_change=2)
    notes = watched(model, X, labels, stretches=4)
    watched_model, status, history = parameters_of(model), model.status_, dict(model.history_)
    at_once = model.fit(X, labels)
    assert_allclose(watched_model, parameters_of(at_once), rtol=1e-10, atol=1e-14)
    assert (status, len(history["epoch"])) == (at_once.status_, at_once.n_iter_)
    for name in set(history) - {"seconds"}:
        assert_allclose(history[name], at_once.history_[name], rtol=1e-9, err_msg=name)
    ends = notes["epoch"] == np.floor(notes["epoch"])
    assert_array_equal(notes["learning_rate"][ends], history["learning_rate"])


@pytest.mark.parametrize(
    "special",
    [
        {},
        {"dropout": 0.3},
        {"batch_normalization": True},
        {"solver": "sgd", "learning_rate": "invscaling"},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 1, "max_iter": 5},
        {"early_stopping": True, "tol": 1e-3, "n_iter_no_change": 2, "max_iter": 30},
        {"batch_size": 1},
        {"batch_size": "full"},
        {"last_batch": "drop", "shuffle": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_a_network_in_stretches_is_bit_for_bit_the_network_at_once(special, layout):
    model, rows = MiniBatchMLPClassifier(**{**NETWORK, **special}), layout(X)
    notes = watched(model, rows, labels, stretches=3)
    watched_model, n_iter = parameters_of(model), model.n_iter_
    assert_array_equal(watched_model, parameters_of(model.fit(rows, labels)))
    assert n_iter == model.n_iter_
    if not special.get("early_stopping"):
        model.set_params(max_updates=int(notes["n_updates"][1])).fit(rows, labels)
        assert_array_equal(notes.thetas[1][: len(watched_model)], parameters_of(model))


@given(st.integers(1, 60), st.integers(1, 40), st.sampled_from(["keep", "drop"]))
def test_counts_of_stretches(batch_size, stretches, last_batch):
    model = MiniBatchSGDRegressor(**{**LINEAR, "batch_size": batch_size, "last_batch": last_batch, "max_iter": 2})
    size = min(batch_size, 53)
    batches = 53 // size if last_batch == "drop" else -(-53 // size)
    rows = min(53, batches * size)
    notes = watched(model, stretches=stretches)
    assert len(notes.rows) == 2 * min(stretches, batches)
    assert np.diff(notes["n_updates"], prepend=0).min() >= 1
    assert_array_equal(np.diff(notes["seconds"]) > 0, True)
    assert_allclose(notes["epoch"], notes["n_updates"] / batches, rtol=1e-14)
    full, part = np.divmod(notes["n_updates"], batches)
    assert_array_equal(notes["n_samples_seen"], full * rows + np.minimum(part * size, rows))


def test_measures_of_any_parameters_are_those_of_the_model_that_has_them():
    model = MiniBatchSGDRegressor(**LINEAR)
    notes = watched(model, stretches=2)
    theta = rng.standard_normal(5)
    residual = X @ theta[:4] + theta[4] - y
    assert_allclose(notes.measures.training(theta)["train_loss"], np.mean(residual**2) / 2)
    assert_allclose(notes.measures.test.loss(theta), np.mean(residual**2) / 2)
    other = notes.measures.fitted(theta)
    assert_allclose(other.predict(X), residual + y)
    assert_array_equal(parameters_of(model), notes.kept)  # the model itself is as it was


def test_the_beginning_is_that_of_the_fit():
    model = MiniBatchSGDRegressor(**LINEAR)
    assert_array_equal(watched(model).first, np.zeros(5))
    network = MiniBatchMLPRegressor(**{**NETWORK, "max_iter": 1, "learning_rate_init": 1e-300, "solver": "sgd"})
    assert_array_equal(watched(network).first, parameters_of(network.fit(X, y)))


def test_large_data_on_threads_can_be_measured_after_the_end():
    """Where evaluating needs the threads that training had."""
    rows = rng.standard_normal((17_000, 2))
    model = MiniBatchSGDRegressor(**{**LINEAR, "batch_size": 9000, "n_jobs": 2})

    class Late(Notes):
        def end(self, theta):
            self.kept = self.measures.training(theta)["train_loss"]

    notes = Late((rows, rows[:, 0], None))
    model._train(rows, rows[:, 0], None, watch=notes)
    assert_allclose(notes.kept, np.mean((rows[:, 0] - model.predict(rows)) ** 2) / 2)


def test_invalid_parameters_and_data_raise_as_in_fit_and_leave_the_model_alone():
    model = MiniBatchSGDRegressor(**{**LINEAR, "eta0": -1.0})
    with pytest.raises(ValueError, match="eta0"):
        watched(model)
    model.set_params(eta0=0.1)
    with pytest.raises(ValueError, match=r"Test part: .*NaN"):
        model._train(X, y, None, watch=Notes((np.full((3, 4), np.nan), y[:3], None)))
    assert not hasattr(model, "coef_")
    assert not hasattr(model, "n_features_in_")


# ---------------------------------------------------------------------- budgets


@given(st.integers(1, 60), st.integers(1, 250), st.sampled_from(["keep", "drop"]), st.integers(1, 5))
def test_a_budget_of_samples_ends_with_the_first_batch_that_reaches_it(batch_size, budget, last_batch, stretches):
    model = MiniBatchSGDRegressor(**{**LINEAR, "batch_size": batch_size, "last_batch": last_batch})
    size, seen, n_updates = min(batch_size, 53), 0, 0
    while seen < budget:
        here = 53 if last_batch == "keep" else 53 // size * size
        for start in range(0, here, size):
            seen, n_updates = seen + min(size, 53 - start), n_updates + 1
            if seen >= budget:
                break
    notes = watched(model, max_iter=budget, max_samples=budget, stretches=stretches)
    assert (notes["n_samples_seen"][-1], notes["n_updates"][-1]) == (seen, n_updates)
    assert (model.status_, model.n_updates_) == ("max_samples", n_updates)
    ended_there = model.set_params(max_updates=n_updates, max_iter=budget).fit(X, y)
    assert_allclose(notes.kept, parameters_of(ended_there), rtol=1e-10)


@pytest.mark.parametrize(("stretches", "limit", "evaluations"), [(1, 0.5, 1), (1, 2.0, 2), (3, 1.5, 2), (3, 7.0, 7)])
def test_a_budget_of_seconds_ends_with_the_evaluation_that_reaches_it(stretches, limit, evaluations, monkeypatch):
    """On a clock by which every stretch takes a second, and every evaluation a day."""
    now = [0.0]

    class Slow(Notes):
        def see(self, row, theta):
            super().see(row, theta)
            now[0] += 86_400.0

    def perf_counter():
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(requests, "time", SimpleNamespace(perf_counter=perf_counter))
    notes = Slow(stretches=stretches, max_seconds=limit, max_iter=100)
    model = MiniBatchSGDRegressor(**LINEAR)
    model._train(X, y, None, watch=notes)
    assert_array_equal(notes["seconds"], np.arange(1, evaluations + 1))
    assert model.status_ == "max_seconds"
    # whole epochs but for the last; what was not trained on is not counted
    assert model.history_.last("n_samples_seen") == notes["n_samples_seen"][-1]
    assert_array_equal(parameters_of(model), notes.thetas[-1])


def test_the_progressive_loss_of_an_epoch_cut_short_is_a_mean_over_the_rows_it_had(monkeypatch):
    clock = iter(np.arange(1000.0))
    monkeypatch.setattr(requests, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    model = MiniBatchSGDRegressor(**{**LINEAR, "shuffle": False})
    watched(model, stretches=3, max_seconds=2.0, max_iter=9)
    seen = 4 * 8  # two stretches of two batches
    loss = model.history_.last("progressive_loss")
    other = MiniBatchSGDRegressor(**{**LINEAR, "shuffle": False, "max_updates": 4}).fit(X, y)
    assert other.history_.last("n_samples_seen") == seen
    assert_allclose(loss, other.history_.last("progressive_loss"), rtol=1e-12)


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({"max_iter": 4}, "max_iter"),
        ({"max_iter": 3}, "max_iter"),
        ({"max_iter": 20, "max_updates": 2}, "max_updates"),
        ({"max_iter": 500, "max_samples": 300}, "max_samples"),
        ({"max_iter": 500, "max_seconds": 1e-9}, "max_seconds"),
    ],
)
def test_lbfgs_keeps_budgets_too(limits, status):
    model = MiniBatchMLPRegressor(**{**NETWORK, "solver": "lbfgs", "tol": 0.0, "max_iter": 200})
    notes = watched(model, **limits, stretches=3)
    assert model.status_ == status
    used = {"max_iter": "epoch", "max_updates": "n_updates", "max_samples": "n_samples_seen", "max_seconds": "seconds"}
    seen = notes[used[status]]
    assert seen[-1] >= limits[status]
    assert (seen[:-1] < limits[status]).all()
    model.set_params(max_iter=len(notes.rows)).fit(X, y)
    assert_array_equal(notes.kept, parameters_of(model))


def test_every_evaluation_of_lbfgs_is_an_iteration():
    model = MiniBatchMLPRegressor(**{**NETWORK, "solver": "lbfgs", "tol": 0.0, "max_iter": 6})
    notes = watched(model)
    assert_array_equal(notes["epoch"], [1, 2, 3, 4, 5, 6])
    assert_array_equal(notes["n_updates"], notes["epoch"])
    assert all(before <= after for before, after in pairwise(notes["n_samples_seen"]))
    for k, theta in enumerate(notes.thetas[:3]):
        assert_array_equal(theta, parameters_of(model.set_params(max_iter=k + 1).fit(X, y)))


@pytest.mark.compiled
def test_a_watched_fit_warns_of_nothing(recwarn):
    watched(MiniBatchSGDRegressor(**{**LINEAR, "tol": 0.0, "max_iter": 1}))
    watched(MiniBatchSGDRegressor(**{**LINEAR, "eta0": 1e300}))
    assert [str(warning.message) for warning in recwarn] == []
