"""Batches that grow: the sizes that the history shows, and that training is what separate fits in a row would be."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch._training.growth import THETA, Growth, least_passing, next_batch_size
from minibatch.diagnostics._objective import trained_objective
from minibatch.schedules import one_cycle

X, Y = load_breast_cancer(return_X_y=True)
X = scale(X)
N = len(X)
PLAIN = {"learning_rate": "constant", "eta0": 0.01, "tol": None, "random_state": 0}


def sizes(model):
    return model.history_["batch_size"].tolist()


def test_a_factor_multiplies_every_so_many_epochs_up_to_all_rows():
    model = MiniBatchSGDClassifier(
        "log_loss", batch_size=8, batch_growth=4, batch_growth_interval=2, max_iter=9, **PLAIN
    )
    model.fit(X, Y)
    assert sizes(model) == [8, 8, 32, 32, 128, 128, 512, 512, N]
    assert model.batch_size_ == N
    assert_allclose(np.diff(model.history_["n_updates"], prepend=0), [-(-N // size) for size in sizes(model)])
    assert (model.history_["n_samples_seen"] == N * np.arange(1, 10)).all()


@pytest.mark.parametrize(("largest", "resolved"), [(20, 20), (0.1, 57), ("full", N), (10**6, N), (None, N)])
def test_growth_ends_at_the_largest_batch_size(largest, resolved):
    model = MiniBatchSGDClassifier(batch_size=8, batch_growth=100.0, batch_growth_interval=1, max_batch_size=largest)
    model.set_params(max_iter=3, **PLAIN).fit(X, Y)
    assert sizes(model) == [8, resolved, resolved]


def test_a_factor_below_two_grows_small_batches_too():
    model = MiniBatchSGDClassifier(batch_size=1, batch_growth=1.2, batch_growth_interval=1, max_iter=5, **PLAIN)
    assert sizes(model.fit(X, Y)) == [1, 2, 3, 4, 5]


def test_the_default_interval_is_ten_epochs():
    model = MiniBatchSGDClassifier(batch_size=8, batch_growth=2, max_iter=21, **PLAIN).fit(X, Y)
    assert sizes(model) == [8] * 10 + [16] * 10 + [32]


def test_a_batch_never_shrinks_to_a_smaller_largest_one():
    model = MiniBatchSGDClassifier(
        batch_size=64, batch_growth=2, batch_growth_interval=1, max_batch_size=16, max_iter=3, **PLAIN
    )
    assert sizes(model.fit(X, Y)) == [64, 64, 64]


@pytest.mark.parametrize("solver", ["sgd", "momentum", "adam"])
def test_growing_training_is_that_of_fits_in_a_row(solver):
    """Epochs of one batch size after another, each going on from the last: parameters and optimizer's memory."""
    common = {"loss": "log_loss", "solver": solver, "shuffle": False, **PLAIN}
    growing = MiniBatchSGDClassifier(batch_size=8, batch_growth=3, batch_growth_interval=2, max_iter=6, **common)
    growing.fit(X, Y)
    in_a_row = MiniBatchSGDClassifier(warm_start=True, max_iter=2, **common)
    for size in (8, 24, 72):
        in_a_row.set_params(batch_size=size).fit(X, Y)
    assert_allclose(growing.coef_, in_a_row.coef_, rtol=1e-12)
    assert growing.n_updates_ == in_a_row.n_updates_


def test_schedules_in_epochs_do_not_notice_the_growth():
    model = MiniBatchSGDClassifier(
        batch_size=8, batch_growth=2, batch_growth_interval=1, max_iter=4, tol=None, learning_rate="one_cycle", eta0=0.1
    ).fit(X, Y)
    last = np.array([epoch + 1 - 1 / -(-N // size) for epoch, size in enumerate(sizes(model))])
    assert_allclose(model.history_["learning_rate"], one_cycle(last, 0.4, 4, eta0=0.1))


def test_averaging_and_budgets_go_by_the_batch_of_the_moment():
    model = MiniBatchSGDClassifier(
        batch_size=8, batch_growth=8, batch_growth_interval=1, max_updates=75, average=N + 64, max_iter=9, **PLAIN
    ).fit(X, Y)
    assert model.status_ == "max_updates"
    assert sizes(model) == [8, 64]
    assert model.n_updates_ == 75
    assert model._n_averaged == 3  # the updates of 64 rows


def test_partial_fit_does_not_grow():
    model = MiniBatchSGDClassifier(batch_size=8, batch_growth=2, batch_growth_interval=1, **PLAIN)
    for _ in range(3):
        model.partial_fit(X, Y, classes=[0, 1])
    assert sizes(model) == [8, 8, 8]


@pytest.mark.parametrize("net", [MiniBatchMLPClassifier, MiniBatchMLPRegressor])
def test_networks_grow_too(net):
    model = net(hidden_layer_sizes=(4,), batch_size=16, batch_growth=2, batch_growth_interval=1, max_iter=4, tol=None)
    assert sizes(model.fit(X, Y)) == [16, 32, 64, 128]
    model.set_params(
        batch_growth="adaptive",
        max_batch_size=50,
        solver="sgd",
        learning_rate="constant",
        learning_rate_init=0.1,
        max_iter=40,
    )
    grown = sizes(model.fit(X, Y))
    assert grown == sorted(grown)
    assert grown[-1] <= 50


def test_growth_with_batch_normalization_refuses_a_last_batch_of_one_row():
    net = MiniBatchMLPClassifier((4,), batch_size=16, batch_growth=2, batch_normalization=True, max_iter=12)
    with pytest.raises(ValueError, match=r"batch_growth=2 with batch_normalization=True .* last_batch='drop'"):
        net.fit(X, Y)
    net.set_params(last_batch="drop", batch_growth_interval=1, tol=None).fit(X, Y)
    assert net.batch_size_ == N
    with pytest.raises(ValueError, match="batch_growth='adaptive' looks at the gradients of single rows"):
        net.set_params(batch_growth="adaptive").fit(X, Y)


@pytest.mark.parametrize("wrong", [{"batch_growth": 1.0}, {"batch_growth": "fast"}, {"batch_growth_interval": 0}])
def test_wrong_growth_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MiniBatchSGDClassifier(**wrong).fit(X, Y)


def least_squares(noise):
    random = np.random.default_rng(0)
    rows = random.standard_normal((4000, 5))
    return rows, rows @ np.arange(1.0, 6.0) + noise * random.standard_normal(4000)


def test_adaptive_batches_stay_small_without_noise_and_grow_with_it():
    """Without noise in y the gradient's signal to noise is the same all along: B_simple = d + 1 for the isotropic rows
    here, so batches above (d + 1) / 0.9^2 = 7.4 pass for ever. With noise, B_simple grows like 1 / |error|^2."""
    model = MiniBatchSGDRegressor(
        penalty=None, fit_intercept=False, batch_size=16, batch_growth="adaptive", max_iter=12, **PLAIN
    )
    assert set(sizes(model.fit(*least_squares(0.0)))) == {16}
    noisy = sizes(model.fit(*least_squares(1.0)))
    assert noisy == sorted(noisy)
    assert noisy[0] == 16
    assert noisy[-1] >= 256
    assert all(later <= 2 * earlier for earlier, later in pairwise(noisy))


def test_adaptive_growth_goes_below_the_noise_floor_of_its_first_batch_size():
    """Excess loss of a constant rate is eta trace / (2 B (2 - eta h)): the grown batch ends far below that."""
    rows, targets = least_squares(1.0)
    best = 0.5 * np.mean((targets - rows @ np.linalg.lstsq(rows, targets, rcond=None)[0]) ** 2)
    common = {"penalty": None, "fit_intercept": False, "batch_size": 4, "max_iter": 25, **PLAIN, "eta0": 0.05}
    excess = {}
    for growth in (None, "adaptive"):
        model = MiniBatchSGDRegressor(batch_growth=growth, **common).fit(rows, targets)
        excess[growth] = 0.5 * np.mean((targets - model.predict(rows)) ** 2) - best
    assert excess["adaptive"] < 0.1 * excess[None]


def test_the_least_batch_that_passes_is_that_of_all_batches_without_replacement():
    """Of seven gradients all batches of every size are formed: the mean square of their distance from the mean of all
    is at most ``theta^2`` times its square from the least passing size on, and not before."""
    for seed in range(20):
        gradients = np.random.default_rng(seed).standard_normal((7, 3)) + np.array([1.0, 0.3, 0.0])
        mean = gradients.mean(axis=0)
        noise_scale = np.mean(np.sum((gradients - mean) ** 2, axis=1)) / np.sum(mean**2)
        least = least_passing(noise_scale, 7)
        assert 0.0 < least < 7.0
        for size in range(1, 8):
            batches = np.array([gradients[list(rows)].mean(axis=0) for rows in combinations(range(7), size)])
            distance = np.mean(np.sum((batches - mean) ** 2, axis=1))
            assert (distance <= THETA**2 * np.sum(mean**2) + 1e-12) == (size >= least - 1e-9)
        assert least_passing(noise_scale, np.inf) == pytest.approx(noise_scale / THETA**2)


def test_rows_drawn_without_replacement_ask_for_smaller_batches():
    """Near all rows the batch has hardly any noise: 1 / (1 / b + 1 / n) rows in place of b with replacement."""
    rows, targets = least_squares(1.0)
    rows, targets = rows[:100], targets[:100]
    model = MiniBatchSGDRegressor(penalty=None, fit_intercept=False, max_iter=1, **PLAIN).fit(rows, targets)
    model.coef_ = np.linalg.lstsq(rows, targets, rcond=None)[0] + 0.07
    growth = Growth(None, 1, 100)
    with trained_objective(model, rows, targets) as objective:
        arguments = objective.problem, objective.theta
        without, with_replacement = (
            next_batch_size(growth, 50, *arguments, n_epochs=1, seed=0, replacement=flag) for flag in (False, True)
        )
        gradients = (rows @ model.coef_ - targets)[:, None] * rows
    mean = gradients.mean(axis=0)
    b = np.mean(np.sum((gradients - mean) ** 2, axis=1)) / (1 - 1 / 100) / np.sum(mean**2) / THETA**2
    assert without == np.ceil(1 / (1 / b + 1 / 100)) < 100
    assert with_replacement == min(100, np.ceil(b * (1 - 1 / 100)))
    assert with_replacement > without


def test_adaptive_growth_depends_on_the_seed_alone():
    rows, targets = least_squares(1.0)
    model = MiniBatchSGDRegressor(batch_size=4, batch_growth="adaptive", max_iter=8, **PLAIN)
    first, second = (model.fit(rows, targets).coef_.copy() for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.compiled
def test_a_run_that_diverges_while_its_batches_grow_is_a_divergence():
    random = np.random.default_rng(0)
    rows = random.standard_normal((200, 5))
    net = MiniBatchMLPRegressor(
        solver="sgd",
        learning_rate="constant",
        learning_rate_init=1e3,
        batch_growth="adaptive",
        batch_size=4,
        max_iter=20,
        tol=None,
        random_state=0,
    )
    with pytest.warns(ConvergenceWarning, match="Diverged") as caught:
        net.fit(rows, rows.sum(axis=1))
    assert net.status_ == "diverged"
    assert len(caught) == 1


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_a_schedule_of_the_whole_run_ends_with_it_also_when_batches_grow(name):
    model = MiniBatchSGDRegressor(
        learning_rate=name, eta0=0.01, batch_size=4, batch_growth=2, batch_growth_interval=1, max_updates=1800, tol=None
    )
    rates = model.fit(*least_squares(0.0)).history_["learning_rate"]
    assert model.n_updates_ == 1800
    assert rates[-1] < 0.01 * 0.01
    if name == "cosine":
        assert (np.diff(rates) < 0).all()


def test_the_length_of_a_run_that_nothing_tells_has_to_be_given():
    model = MiniBatchSGDRegressor(learning_rate="cosine", batch_growth="adaptive", max_updates=50)
    with pytest.raises(ValueError, match="give cycle_length"):
        model.fit(*least_squares(0.0))
    assert model.set_params(cycle_length=3).fit(*least_squares(0.0)).n_updates_ == 50
